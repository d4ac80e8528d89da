"""Optimizer: parameters in groups with options, what is remembered of each, and how both are saved. Compiled: those whose step is a kernel's.

Read next: adam.py.
"""

from collections import OrderedDict, defaultdict
from functools import wraps
from itertools import count
from typing import ClassVar

import numpy as np

from gradnerve._engine import TensorBase, touched
from gradnerve.kernels import updates
from gradnerve.ops.values import value
from gradnerve.tensor import enable_grad

__all__ = ["Optimizer"]


def counted(step):
    """A method `step` around which the hooks are called, and which schedulers know of; once, if it calls that of its base."""

    @wraps(step)
    def hooked(self, *args, **kwargs):
        if self._within:
            return step(self, *args, **kwargs)
        for hook in [*self._before.values()]:
            hook(self, args, kwargs)
        self._within = True
        try:
            result = step(self, *args, **kwargs)
        finally:
            self._within = False
        self._taken += 1
        for hook in [*self._after.values()]:
            hook(self, args, kwargs)
        return result

    return hooked


class Optimizer:
    """What all optimisers are, as `torch.optim.Optimizer`.

    params    Tensors that require grad, or dicts with them at "params" and options of their own beside; also pairs of name and Tensor, as
              `Module.named_parameters` gives them
    defaults  the options of groups that do not name them

    `param_groups` is a list of dicts, whose options may be changed at any time; `state` says what is remembered of each Tensor. A subclass
    has a method ``update(group)``, or a `step` of its own, as in PyTorch. A parameter whose gradient nobody has touched since the last
    `zero_grad` stays as it is, in the optimisers that are here.

    Raises TypeError or ValueError if something cannot be optimised, with its number.

    >>> import numpy as np, gradnerve as gn
    >>> class Signs(gn.optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def update(self, group):
    ...         for p in group["params"]:
    ...             p.data -= group["lr"] * np.sign(p.grad)
    >>> p = gn.nn.Parameter(np.array([1.0, -2.0]))
    >>> (p * p).sum().backward()
    >>> Signs([p]).step()
    >>> p.data
    array([ 0.9, -1.9])
    """

    scalars: ClassVar[dict] = {}  # what the state has that is a number, with its first value

    def __init__(self, params, defaults):
        self.defaults, self.state, self.param_groups = defaults, defaultdict(dict), []
        self._before, self._after, self._taken, self._within = OrderedDict(), OrderedDict(), 0, False
        if isinstance(params, (TensorBase, np.ndarray)):
            raise TypeError(f"{type(self).__name__}: params is one {type(params).__name__}; pass a list of Tensors, such as model.parameters()")
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = counted(cls.step)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for k, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {k}", *(f"    {name}: {group[name]}" for name in sorted(group.keys() - {"params", "param_names"}))]
        return "\n".join([*lines, ")"])

    def add_param_group(self, param_group):
        """Optimise more parameters: a dict with "params", and options that differ from the defaults."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{name}: a group of parameters is a dict with 'params', not {type(param_group).__name__}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(f"{name}: parameters need an order, which a set has not; pass a list")
        params = [params] if isinstance(params, TensorBase) else list(params)
        named = [p for p in params if isinstance(p, tuple)]
        if named and len(named) < len(params):
            raise ValueError(f"{name}: either all parameters of a group have names or none")
        group = {**self.defaults, **param_group, "params": [p[1] for p in named] or params}
        if named:
            group["param_names"] = [p[0] for p in named]
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for k, p in enumerate(group["params"]):
            check_parameter(f"{name}: parameter {k}", p)
            if id(p) in known:
                raise ValueError(f"{name}: parameter {k} of shape {p.shape} is there already: each belongs to one group, once")
            known.add(id(p))
        self.check(group)
        self.param_groups.append(group)

    def check(self, group):
        """Raise ValueError for options that make no sense."""

    @counted
    def step(self, closure=None):
        """Update the parameters from their gradients; `closure`, if given, computes these and returns the loss, which is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.update(group)
        return loss

    def zero_grad(self, set_to_none=True):
        """Forget all gradients; with ``set_to_none=False`` they are zeros from now on, which a step takes for gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or not p.requires_grad else np.zeros_like(p.grad)

    def register_step_pre_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` before every step; the result has `remove()`."""
        return Registered(self._before, hook)

    def register_step_post_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` after every step; the result has `remove()`."""
        return Registered(self._after, hook)

    def state_dict(self):
        """The options and copies of what is remembered, by the number of each parameter, in PyTorch's layout."""
        numbers = {id(p): k for k, p in enumerate(self.parameters())}
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[id(p)]: copied(known) for p, known in self.state.items() if known and id(p) in numbers}, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Go on from a `state_dict`, also one of PyTorch's, if it is one of as many parameters; arrays get the dtype of their parameter.

        Raises ValueError, and changes nothing, if groups, numbers of parameters or shapes differ.
        """
        name, groups = type(self).__name__, state_dict["param_groups"]
        sizes = [[len(group["params"]) for group in each] for each in (self.param_groups, groups)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{name}: the loaded state has groups of {sizes[1]} parameters, this optimizer of {sizes[0]}")
        by_number = dict(zip((k for group in groups for k in group["params"]), self.parameters(), strict=True))
        unknown = [k for k in state_dict["state"] if k not in by_number]
        if unknown:
            raise ValueError(f"{name}: the loaded state has a parameter {unknown[0]}, which is in none of its groups")
        state = {by_number[k]: {key: self.fitted(key, what, by_number[k]) for key, what in known.items() if what is not None}
                 for k, known in state_dict["state"].items()}  # fmt: skip
        problems = [f"parameter {k}: {problem}" for k, p in by_number.items() for problem in self.misfits(p, state.get(p, {}))]
        if problems:
            raise ValueError(f"{name}: the loaded state does not fit:\n\t" + "\n\t".join(problems))
        self.state = defaultdict(dict, state)
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({key: what for key, what in group.items() if key != "params"})

    def fitted(self, key, what, p):
        """A loaded entry of a parameter's state: those of its shape in its precision."""
        if isinstance(what, list):
            return [self.fitted(key, each, p) for each in what]
        if isinstance(what, (np.ndarray, np.generic, TensorBase)):
            array = np.array(value(what))
            same = array.shape == p.shape and array.dtype.kind in "fc"
            return array.item() if key in self.scalars else array.astype(kernel_dtype(p)) if same else array
        return what

    def misfits(self, p, state):
        """What is wrong with the loaded state of a parameter, in words."""
        return []

    def parameters(self):
        return [p for group in self.param_groups for p in group["params"]]


class Registered:
    """A hook that can be taken away again."""

    numbers = count()

    def __init__(self, hooks, hook):
        self.hooks, self.number = hooks, next(self.numbers)
        hooks[self.number] = hook

    def remove(self):
        self.hooks.pop(self.number, None)


class Compiled(Optimizer):
    """An optimiser whose step is a rule of csrc/kernels/updates.pyx.

    A subclass names its `rule`; its `scalars`, the numbers in the state, with their first values; gives by ``arrays(group)`` the names and
    first values of the arrays in the state, in the order of the rule, None for one that the options do not need; and by
    ``numbers(group, fresh, *scalars)`` the numbers of the rule and the next scalars. `fresh` is whether an array begins with this step.
    """

    scalars: ClassVar[dict] = {"step": 0}

    def update(self, group):
        tensors, values, gradients = touched(group["params"])
        arrays, known, numbers, following = self.arrays(group), None, [], []
        names = tuple(name if first is not None else None for name, first in arrays.items())
        needed = {*filter(None, names), *self.scalars}
        states = [self.state[t] for t in tensors]
        for state, parameter in zip(states, values, strict=True):
            fresh = not needed <= state.keys() and self.begin(state, arrays, parameter)
            key = fresh, *[state[name] for name in self.scalars]
            if key != known:  # they are the same for most parameters
                known, (now, later) = key, self.numbers(group, *key)
            numbers.append(now)
            following.append(later)
        step(self.rule, values, gradients, states, names, numbers)
        if self.scalars:
            for state, later in zip(states, following, strict=True):
                state.update(later)

    def begin(self, state, arrays, parameter):
        """Give the state what it does not have yet; whether that was an array."""
        missing = [name for name, first in arrays.items() if first is not None and name not in state]
        for name in missing:
            first = complex(arrays[name], arrays[name]) if parameter.dtype.kind == "c" else arrays[name]
            state[name] = np.full(parameter.shape, first, kernel_dtype(parameter))
        state.update({name: first for name, first in self.scalars.items() if name not in state})
        return bool(missing)

    def misfits(self, p, state):
        arrays = [(name, a) for name, a in state.items() if isinstance(a, np.ndarray)]
        return [f"{name} has shape {a.shape}, the parameter {p.shape}" for name, a in arrays if a.shape != p.shape]


def step(rule, values, gradients, states, names, numbers):
    """The kernel's step; by way of copies for what is not contiguous, or of a dtype that it does not have."""
    if updates.step(rule, values, gradients, states, names, numbers):
        return
    copies, gradients = ([plain(each, kernel_dtype(array)) for each, array in zip(these, values, strict=True)] for these in (values, gradients))
    if not updates.step(rule, copies, gradients, states, names, numbers):
        raise ValueError(f"{rule}: an array in the optimizer's state does not have the shape and dtype of its parameter")
    for array, copy in zip(values, copies, strict=True):
        array[...] = copy


def plain(a, dtype):
    """A contiguous copy."""
    copy = np.empty(a.shape, dtype)
    copy[...] = a
    return copy


def kernel_dtype(a):
    """In which precision a parameter is updated: its own, if the kernel has it."""
    single = a.dtype in (np.float16, np.float32, np.complex64)
    return np.dtype(("c8" if single else "c16") if a.dtype.kind == "c" else ("f4" if single else "f8"))


def check_parameter(what, p):
    if not isinstance(p, TensorBase):
        raise TypeError(f"{what}: is {type(p).__name__}, not a Tensor")
    if p.dtype.kind not in "fc":
        raise TypeError(f"{what}: has dtype {p.dtype}, and no gradient")
    if not p.is_leaf:
        raise ValueError(f"{what}: a tensor of shape {p.shape} that was computed cannot be optimised, only leaves")


def copied(state):
    """The same with its own arrays."""
    if isinstance(state, dict):
        return {key: copied(what) for key, what in state.items()}
    if isinstance(state, list):
        return [copied(what) for what in state]
    return state.copy() if isinstance(state, np.ndarray) else state


def check_range(name, **options):
    """Raise ValueError unless each option is a number between the two that stand beside it, the second excluded."""
    for option, (x, low, high) in options.items():
        if not low <= x < high:
            raise ValueError(f"{name}: {option} is {x}; it must be at least {low}" + (f" and less than {high}" if high != np.inf else ""))
