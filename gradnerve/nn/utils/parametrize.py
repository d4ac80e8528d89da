"""Parameters that are functions of others, as `torch.nn.utils.parametrize`: symmetric matrices, say, or orthogonal ones.

A parametrization is a module. Its `forward` makes the parameter out of what is learned, the original, and its `right_inverse`, if it has
one, finds an original for a parameter; both may work with several originals.

Read next: parametrizations.py.
"""

from contextlib import contextmanager

from gradnerve._engine import ShapeError, TensorBase
from gradnerve.nn.containers import ModuleDict, ModuleList
from gradnerve.nn.parameter import Parameter
from gradnerve.tensor import asarray, no_grad

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations", "type_before_parametrizations"]


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Let a parameter or a buffer be what a parametrization makes of the original; returns the module.

    unsafe  the parametrization may change shape and dtype, and is not tried out

    A second one takes what the first one gives. The originals are at "parametrizations.NAME.original", or "original0", "original1" ...
    Assigning to the attribute goes through `right_inverse`.

    >>> import numpy as np, gradnerve as gn
    >>> class Symmetric(gn.nn.Module):
    ...     def forward(self, x):
    ...         return np.triu(x) + np.triu(x, 1).T
    >>> layer = register_parametrization(gn.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool(np.all(layer.weight == layer.weight.T))
    True
    """
    where = f"register_parametrization: {type(parametrization).__name__}"
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            check(where, parametrization, getattr(module, tensor_name))
        module.parametrizations[tensor_name].append(parametrization)
        return module
    if module._parameters.get(tensor_name) is None and module._buffers.get(tensor_name) is None:
        raise ValueError(f"register_parametrization: {type(module).__name__} has no parameter or buffer {tensor_name!r}")
    original = getattr(module, tensor_name)
    if not unsafe:
        check(where, parametrization, original)
    chain = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = chain
    module._computed[tensor_name] = Parametrized(tensor_name)
    return module


def is_parametrized(module, tensor_name=None):
    """Whether a module has parametrizations, or one for this name."""
    chains = module._modules.get("parametrizations")
    return isinstance(chains, ModuleDict) and (len(chains) > 0 if tensor_name is None else tensor_name in chains)


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Let a tensor be a plain parameter or buffer again; returns the module.

    leave_parametrized  with the values that the parametrization gives, otherwise with those of the original, if there is only one
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {type(module).__name__} has no parametrization of {tensor_name!r}")
    chain = module.parametrizations[tensor_name]
    originals = chain.originals()
    if not leave_parametrized and len(originals) > 1:
        raise ValueError(f"remove_parametrizations: {tensor_name!r} has {len(originals)} originals, so it cannot be left unparametrized")
    with no_grad():
        t = asarray(getattr(module, tensor_name) if leave_parametrized else originals[0])
    del module._computed[tensor_name]
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
    if isinstance(originals[0], Parameter):
        module.register_parameter(tensor_name, Parameter(t, any(original.requires_grad for original in originals)))
    else:
        module.register_buffer(tensor_name, t.detach())
    return module


def type_before_parametrizations(module):
    """The class of a module: parametrizations do not change it."""
    return type(module)


caches = []  # of the blocks of `cached`: what each parametrization gave


@contextmanager
def cached():
    """A block in which each parametrized tensor is computed once, when it is first read.

    >>> import gradnerve as gn
    >>> layer = gn.nn.utils.parametrizations.weight_norm(gn.nn.Linear(2, 3))
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    caches.append(caches[-1] if caches else {})
    try:
        yield
    finally:
        caches.pop()


class Parametrized:
    """What a module knows of a parametrized tensor: where it comes from."""

    def __init__(self, name):
        self.name = name

    def __call__(self, module):
        chain = module.parametrizations[self.name]
        if not caches:
            return chain()
        if chain not in caches[-1]:
            caches[-1][chain] = chain()
        return caches[-1][chain]

    def assign(self, module, value):
        module.parametrizations[self.name].right_inverse(value)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, one after the other, and its originals.

    unsafe  as for `register_parametrization`
    many    how many originals there are, None for one that is no tuple
    """

    def __init__(self, modules, original, unsafe=False):
        super().__init__(modules)
        self.unsafe, self.many = unsafe, None
        kind = Parameter if isinstance(original, Parameter) else None
        found = inverted(self, original)
        if isinstance(found, (tuple, list)):
            self.many = len(found)
        tracked = original.requires_grad
        for name, x in zip(self.names(), found if self.many is not None else [found], strict=True):
            same = x is original
            if kind is Parameter:
                self.register_parameter(name, original if same else Parameter(x, tracked))
            else:
                self.register_buffer(name, original if same else asarray(x).detach())

    def names(self):
        return ["original"] if self.many is None else [f"original{k}" for k in range(self.many)]

    def originals(self):
        """What is learned."""
        return [getattr(self, name) for name in self.names()]

    def right_inverse(self, value):
        """Find originals for this value."""
        found = inverted(self, asarray(value))
        for original, x in zip(self.originals(), found if self.many is not None else [found], strict=True):
            original.data = x._array if isinstance(x, TensorBase) else x

    def forward(self):
        first, *others = self
        x = first(*self.originals())
        for module in others:
            x = module(x)
        return x


def inverted(chain, value):
    """An original, or several, for a value; where there is no right inverse, the value itself."""
    with no_grad():
        for module in reversed(list(chain)):
            if hasattr(module, "right_inverse"):
                value = module.right_inverse(value)
    return value


def check(where, parametrization, x):
    """Refuse a parametrization that changes the shape or the dtype."""
    with no_grad():
        found = parametrization.right_inverse(x) if hasattr(parametrization, "right_inverse") else x
        out = parametrization(*found) if isinstance(found, (tuple, list)) else parametrization(found)
    if out.shape != x.shape or out.dtype != x.dtype:
        raise ShapeError(f"{where} makes {out.shape} {out.dtype} of a tensor of {x.shape} {x.dtype}; if that is right, pass unsafe=True")
