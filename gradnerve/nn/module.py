"""Module: what every layer and every network is, as `torch.nn.Module`.

A module is called like a function. It knows its parameters, its buffers (arrays that are no parameters) and the modules in it by their
names, because these are registered when they are assigned as attributes.

Read next: state.py, for weights that come and go; containers.py.
"""

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.nn import backward_hooks, state
from gradnerve.nn.parameter import Parameter
from gradnerve.nn.reports import locate, repr_of
from gradnerve.tensor import Hook

__all__ = ["Module"]

REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module:
    """The base class of all layers: write ``__init__``, which assigns Parameters and other Modules, and ``forward``.

    training  whether it is in training mode, which `train` and `eval` switch

    What is registered is also an attribute like any other, so that reading ``self.weight`` costs nothing; `_place` keeps the two in step.
    `_computed` has what is no attribute, but is computed whenever it is read: a function of the module for each name.

    >>> import numpy as np, gradnerve as gn
    >>> class Scale(gn.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = gn.nn.Parameter([1.0, 10.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(np.ones(2)).sum().backward()
    >>> [(name, p.grad.tolist()) for name, p in scale.named_parameters()]
    [('factor', [1.0, 1.0])]
    """

    def __init__(self):
        values = self.__dict__
        values["training"] = True
        values.update(_parameters={}, _buffers={}, _modules={}, _computed={}, _not_saved=set(), _hooks={})

    # ---------------------------------------------------------------------------------------------- calls

    def forward(self, *args, **kwargs):
        """What the module computes: to be written by its class."""
        raise NotImplementedError(f"{type(self).__name__}: write a method forward(self, ...), which computes the result")

    def __call__(self, *args, **kwargs):
        try:
            return self._call_with_hooks(args, kwargs) if self._hooks else self.forward(*args, **kwargs)
        except Exception as error:
            locate(error, self, args)
            raise

    def _call_with_hooks(self, args, kwargs):
        for hook, with_kwargs in self._hooks_of("pre"):
            if with_kwargs:
                args, kwargs = hook(self, args, kwargs) or (args, kwargs)
            else:
                changed = hook(self, args)
                args = args if changed is None else changed if isinstance(changed, tuple) else (changed,)
        watch = backward_hooks.Watch(self)
        result = watch.result(self.forward(*watch.arguments(args), **kwargs))
        for hook, with_kwargs in self._hooks_of("post"):
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            result = result if changed is None else changed
        return result

    def _hooks_of(self, kind):
        return [rest for which, *rest in list(self._hooks.values()) if which == kind]

    def _add_hook(self, kind, hook, prepend, with_kwargs=False):
        before = dict(self._hooks) if prepend else {}
        for key in before:
            del self._hooks[key]
        handle = Hook(self._hooks, (kind, hook, with_kwargs))
        self._hooks.update(before)
        return handle

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args)`` before each `forward`; what it returns, unless None, takes the place of the arguments.

        With `with_kwargs` it is ``hook(module, args, kwargs)``, and returns None or both. `prepend` puts it before all others. Gives a
        handle, whose `remove()` ends this.
        """
        return self._add_hook("pre", hook, prepend, with_kwargs)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args, output)`` after each `forward`; what it returns, unless None, takes the place of the output.

        With `with_kwargs` it is ``hook(module, args, kwargs, output)``. Gives a handle, whose `remove()` ends this.

        >>> import numpy as np, gradnerve as gn
        >>> layer = gn.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: print(output.shape))
        >>> y = layer(np.ones(3))
        (3,)
        """
        return self._add_hook("post", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_output)`` when the gradients of the outputs are there; a tuple that it returns takes their place."""
        return self._add_hook("backward pre", hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are there.

        Both are tuples of Tensors, with None for what is no Tensor of real or complex numbers; inputs are those by position, and None if no
        gradient flows to any of them. A tuple that the hook returns takes the place of `grad_input`. Gives a handle, whose `remove()` ends this.
        """
        return self._add_hook("backward", hook, prepend)

    # ---------------------------------------------------------------------------------------------- attributes

    def __setattr__(self, name, value):
        registries = self.__dict__
        if "_modules" not in registries:
            if isinstance(value, (Parameter, Module)):
                raise AttributeError(f"cannot assign {name!r} before super().__init__() was called in {type(self).__name__}.__init__")
            object.__setattr__(self, name, value)
        elif name in registries["_computed"]:
            registries["_computed"][name].assign(self, value)
        elif isinstance(value, Parameter):
            self._place("_parameters", name, value)
        elif isinstance(value, Module):
            self._place("_modules", name, value)
        elif name in registries["_parameters"] or name in registries["_modules"] or name in registries["_buffers"]:
            self._replace(name, value)
        else:
            object.__setattr__(self, name, value)

    def _replace(self, name, value):
        """Put something that is neither Parameter nor Module where one of these or a buffer is registered."""
        which, wanted = next((which, wanted) for which, wanted in zip(REGISTRIES, ("Parameter", "Tensor", "Module"), strict=True)
                             if name in self.__dict__[which])  # fmt: skip
        if value is not None and not (which == "_buffers" and isinstance(value, TensorBase)):
            hint = "; to change its values, assign to .data" if wanted != "Module" else ""
            raise TypeError(f"{type(self).__name__}.{name} is a {wanted}; assign a {wanted} or None, not a {type(value).__name__}{hint}")
        self._place(which, name, value)

    def _place(self, which, name, value):
        """Register: the one place where registries and attributes are changed."""
        values = self.__dict__
        for other in REGISTRIES:
            if other != which:
                values[other].pop(name, None)
        if which != "_buffers":
            values["_not_saved"].discard(name)
        values[which][name] = values[name] = value

    def __delattr__(self, name):
        object.__delattr__(self, name)
        for which in REGISTRIES:
            self.__dict__[which].pop(name, None)
        self._not_saved.discard(name)

    def __getattr__(self, name):
        """Only called for what is missing."""
        computed, kind = self.__dict__.get("_computed"), type(self).__name__
        if computed and name in computed:
            return computed[name](self)
        if name in ("_computed", "_hooks", "_not_saved", "training", *REGISTRIES):
            raise AttributeError(f"{kind} is not set up: call super().__init__() first in {kind}.__init__")
        from gradnerve import idioms

        raise AttributeError(f"{kind!r} object has no attribute {name!r}{idioms.of_layer(name)}", name=name, obj=self)

    def __dir__(self):
        return sorted(name for name in {*super().__dir__()} if not name[:1].isdigit())

    def __copy__(self):
        """The same parameters and modules, in registries of its own."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        for which in (*REGISTRIES, "_computed", "_not_saved", "_hooks"):
            other.__dict__[which] = self.__dict__[which].copy()
        return other

    def __repr__(self):
        return repr_of(self)

    def extra_repr(self):
        """What the repr shows between the brackets: to be written by the class of a layer."""
        return ""

    # ---------------------------------------------------------------------------------------------- registration

    def _check_name(self, name, value, kind, wanted):
        """Refuse a name that cannot be registered, or is something else already, or a value of a wrong class."""
        where = f"{type(self).__name__}: register_{kind}({name!r})"
        if not isinstance(name, str):
            raise TypeError(f"{where}: the name must be a string")
        if "." in name or not name:
            raise KeyError(f"{where}: the name must not be empty, and have no dot in it")
        if name not in self.__dict__.get(f"_{kind}s", {}) and (name in self.__dict__ or name in self._computed or hasattr(type(self), name)):
            raise KeyError(f"{where}: there is another attribute of this name")
        if value is not None and not isinstance(value, wanted):
            raise TypeError(f"{where}: takes a {wanted.__name__.removesuffix('Base')} or None, not a {type(value).__name__}")

    def register_parameter(self, name, param):
        """Register a Parameter, or None for one that the layer could have but has not."""
        self._check_name(name, param, "parameter", Parameter)
        self._place("_parameters", name, param)

    def register_buffer(self, name, tensor, persistent=True):
        """Register a tensor that is no parameter, as a running mean; unless `persistent`, it is left out of the state dict."""
        self._check_name(name, tensor, "buffer", TensorBase)
        self._place("_buffers", name, tensor)
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def add_module(self, name, module):
        """Register a module under a name."""
        self._check_name(name, module, "module", Module)
        self._place("_modules", name, module)

    register_module = add_module

    def _at(self, path, kind):
        """The module that a path like "layers.0.weight" leads through, and the last name."""
        *names, last = path.split(".")
        module = self
        for name in names:
            if name not in module._modules:
                raise AttributeError(f"get_{kind}({path!r}): {type(module).__name__} has no module {name!r}")
            module = module._modules[name]
        return module, last

    def _got(self, path, kind, registry):
        module, name = self._at(path, kind)
        if name not in getattr(module, registry):
            raise AttributeError(f"get_{kind}({path!r}): {type(module).__name__} has no {kind.removeprefix('sub')} {name!r}")
        return getattr(module, registry)[name]

    def get_submodule(self, target):
        """The module at a path such as "encoder.layers.0"; this one for ""."""
        return self._got(target, "submodule", "_modules") if target else self

    def get_parameter(self, target):
        """The parameter at a path such as "encoder.layers.0.weight"."""
        return self._got(target, "parameter", "_parameters")

    def get_buffer(self, target):
        """The buffer at a path such as "norm.running_mean"."""
        return self._got(target, "buffer", "_buffers")

    # ---------------------------------------------------------------------------------------------- what is in it

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Pairs of path and module: this one, under the prefix, and all in it."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named(self, registry, prefix, recurse, remove_duplicate):
        seen = set()
        for path, module in self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]:
            for name, t in getattr(module, registry).items():
                if t is not None and id(t) not in seen:
                    if remove_duplicate:
                        seen.add(id(t))
                    yield f"{path}.{name}" if path else name, t

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Pairs of path and parameter, of this module and, with `recurse`, of all in it; what is shared comes once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Pairs of path and buffer."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def named_children(self):
        """Pairs of name and module, of those that are registered here."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def parameters(self, recurse=True):
        """The parameters, as an optimiser takes them.

        >>> import gradnerve as gn
        >>> [p.shape for p in gn.nn.Linear(3, 4).parameters()]
        [(4, 3), (4,)]
        """
        return (p for _, p in self.named_parameters(recurse=recurse))

    def buffers(self, recurse=True):
        """The buffers."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def children(self):
        """The modules that are registered here."""
        return (module for _, module in self.named_children())

    def modules(self):
        """This module and all in it."""
        return (module for _, module in self.named_modules())

    # ---------------------------------------------------------------------------------------------- what is done to all

    def apply(self, fn):
        """Call `fn` with every module in this one and then with this one; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Switch this module and all in it to training mode, or off; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: the mode is True or False, not {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Switch training mode off; returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Switch the tracking of all parameters; returns the module."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget the gradients of all parameters, which read as zeros then."""
        for p in self.parameters():
            p.zero_grad()

    def to(self, *args, device=None, dtype=None, **options):
        """Convert all floating-point parameters and buffers to a dtype, in place; returns the module.

        Takes a dtype, a tensor of that dtype, or the device "cpu". Raises TypeError for a dtype of no floating-point numbers.

        >>> import gradnerve as gn
        >>> gn.nn.Linear(3, 4).to("float64").weight.dtype
        dtype('float64')
        """
        return state.convert(self, state.destination(args, device, dtype, options))

    def type(self, dst_type):
        """As `to` with a dtype."""
        return state.convert(self, dst_type)

    def float(self):
        """Convert all floating-point parameters and buffers to float32; returns the module."""
        return state.convert(self, np.float32)

    def double(self):
        """Convert all floating-point parameters and buffers to float64; returns the module."""
        return state.convert(self, np.float64)

    def cpu(self):
        """The module itself: everything is on the CPU."""
        return self

    # ---------------------------------------------------------------------------------------------- state

    def state_dict(self, *, prefix=""):
        """Copies of all parameters and buffers, as ndarrays by path: a snapshot, which `np.savez` takes.

        >>> import gradnerve as gn
        >>> {name: a.shape for name, a in gn.nn.Linear(3, 4).state_dict().items()}
        {'weight': (4, 3), 'bias': (4,)}
        """
        return state.saved(self, prefix)

    def load_state_dict(self, state_dict, strict=True):
        """Copy arrays into the parameters and buffers, which keep their dtype; gives ``(missing_keys, unexpected_keys)``.

        state_dict  arrays, Tensors or whatever `np.asarray` takes, by path
        strict      raise if keys are missing or not known

        Raises RuntimeError, which lists all that does not fit; then nothing has changed.
        """
        return state.loaded(self, state_dict, strict)

    # A class with more to save than arrays writes both: get_extra_state(self) gives it, and set_extra_state(self, state) takes it back.
    get_extra_state = set_extra_state = None
