"""Modules that hold others: `Sequential`, `ModuleList`, `ModuleDict`; and `ParameterList`, `ParameterDict`, which hold parameters.

Each is a Python list or dict of what is registered in it.

Read next: init.py.
"""

from collections.abc import Mapping

from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter
from gradnerve.nn.reports import nested, runs

__all__ = ["Identity", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class Holder(Module):
    """What lists and dicts have in common.

    _holds  the registry with the contents
    """

    _holds = "_modules"

    def _held(self):
        return self.__dict__[self._holds]

    def __len__(self):
        return len(self._held())

    def _put(self, name, value):
        """Register, in the place that the name had, or as the last."""
        if self._holds == "_modules":
            self.add_module(name, value)
        else:
            self.register_parameter(name, value if value is None or isinstance(value, Parameter) else Parameter(value))

    def _empty(self):
        for name in list(self._held()):
            delattr(self, name)


class Row(Holder):
    """What behaves as a list; names are "0", "1", ..."""

    def _name(self, index):
        names = list(self._held())
        try:
            return names[index]
        except IndexError:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range, there are {len(names)}") from None

    def _renew(self, values):
        """Hold these, and nothing else."""
        values = list(values)
        self._empty()
        for k, value in enumerate(values):
            self._put(str(k), value)
        return self

    def __iter__(self):
        return iter(self._held().values())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._held()[self._name(index)]

    def __setitem__(self, index, value):
        self._put(self._name(index), value)

    def __delitem__(self, index):
        values = list(self)
        if not isinstance(index, slice):
            self._name(index)
        del values[index]
        self._renew(values)

    def __iadd__(self, values):
        return self.extend(values)

    def append(self, value):
        """Put something at the end."""
        self._put(str(len(self)), value)
        return self

    def extend(self, values):
        """Put all these at the end."""
        for value in iterated(self, values):
            self.append(value)
        return self

    def insert(self, index, value):
        """Put something before the one at the index."""
        if not -len(self) <= index <= len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range, there are {len(self)}")
        values = list(self)
        values.insert(index, value)
        self._renew(values)
        return self

    def pop(self, key=-1):
        """Take one out, by default the last."""
        value = self[key]
        del self[key]
        return value


def iterated(owner, values):
    """A list of the values; raises TypeError if they are no such thing."""
    if not hasattr(values, "__iter__"):
        raise TypeError(f"{type(owner).__name__}: takes an iterable, not a {type(values).__name__}")
    return list(values)


class Sequential(Row):
    """Modules one after the other: each takes what the one before gives. Made of the modules, or of an OrderedDict, which names them.

    >>> import numpy as np, gradnerve as gn
    >>> net = gn.nn.Sequential(gn.nn.Linear(3, 4), gn.nn.ReLU(), gn.nn.Linear(4, 2))
    >>> net(np.ones((5, 3), np.float32)).shape
    (5, 2)
    >>> net[:2]
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args):
        super().__init__()
        for name, module in args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args):
            self._put(str(name), module)

    def forward(self, input):
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __add__(self, other):
        if not isinstance(other, Sequential):
            raise TypeError(f"Sequential: a Sequential can be added, not a {type(other).__name__}")
        return Sequential(*self, *other)

    def __mul__(self, times):
        return Sequential(*list(self) * times)

    __rmul__ = __mul__

    def __imul__(self, times):
        return self._renew(list(self) * times)


class ModuleList(Row):
    """A list of modules, which are registered.

    >>> import gradnerve as gn
    >>> layers = gn.nn.ModuleList(gn.nn.Linear(4, 4) for _ in range(3))
    >>> layers.append(gn.nn.ReLU())
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
      (3): ReLU()
    )
    """

    def __init__(self, modules=None):
        super().__init__()
        self.extend([] if modules is None else modules)

    def __add__(self, other):
        return ModuleList([*self, *iterated(self, other)])

    def __repr__(self):
        return nested(type(self).__name__, [], runs([repr(module) for module in self]))


class ParameterList(Row):
    """A list of parameters; other tensors and arrays that are put into it become Parameters.

    >>> import numpy as np, gradnerve as gn
    >>> weights = gn.nn.ParameterList([np.zeros(2), np.ones((2, 3))])
    >>> [p.shape for p in weights.parameters()]
    [(2,), (2, 3)]
    """

    _holds = "_parameters"

    def __init__(self, values=None):
        super().__init__()
        self.extend([] if values is None else values)

    def extra_repr(self):
        return shown(self._parameters)


class Keyed(Holder):
    """What behaves as a dict."""

    def __getitem__(self, key):
        return self._held()[key]

    def __setitem__(self, key, value):
        self._put(key, value)

    def __delitem__(self, key):
        if key not in self._held():
            raise KeyError(key)
        delattr(self, key)

    def __iter__(self):
        return iter(self._held())

    def __reversed__(self):
        return reversed(self._held())

    def __contains__(self, key):
        return key in self._held()

    def clear(self):
        """Take out everything."""
        self._empty()

    def pop(self, key):
        """Take one out."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Take out the last one, with its key."""
        key = list(self)[-1]
        return key, self.pop(key)

    def keys(self):
        """The keys."""
        return self._held().keys()

    def values(self):
        """What is in it."""
        return self._held().values()

    def items(self):
        """Pairs of key and what it names."""
        return self._held().items()

    def get(self, key, default=None):
        """What the key names, or the default."""
        return self._held().get(key, default)

    def setdefault(self, key, default=None):
        """What the key names; first the default is put there if there is nothing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, values):
        """Put in all of a dict, or of an iterable of pairs."""
        pairs = values.items() if hasattr(values, "items") else iterated(self, values)
        for key, value in pairs:
            self[key] = value


class ModuleDict(Keyed):
    """A dict of modules, which are registered.

    >>> import gradnerve as gn
    >>> gn.nn.ModuleDict({"left": gn.nn.Linear(2, 3), "right": gn.nn.Identity()})
    ModuleDict(
      (left): Linear(in_features=2, out_features=3, bias=True)
      (right): Identity()
    )
    """

    def __init__(self, modules=None):
        super().__init__()
        self.update({} if modules is None else modules)


class ParameterDict(Keyed):
    """A dict of parameters; other tensors and arrays that are put into it become Parameters.

    >>> import numpy as np, gradnerve as gn
    >>> weights = gn.nn.ParameterDict({"left": np.zeros(2)})
    >>> weights["left"].requires_grad
    True
    """

    _holds = "_parameters"

    def __init__(self, parameters=None):
        super().__init__()
        self.update({} if parameters is None else parameters)

    def update(self, values):
        """Put in all of a dict, or of an iterable of pairs; those of a plain dict in the order of their keys, as PyTorch does."""
        super().update(dict(sorted(values.items())) if type(values) is dict else values)

    def copy(self):
        """Another dict of the same parameters."""
        return type(self)(self)

    def fromkeys(self, keys, default=None):
        """Another dict, with these keys."""
        return type(self)(dict.fromkeys(keys, default))

    def __or__(self, other):
        both = self.copy()
        both.update(other)
        return both

    def __ior__(self, other):
        self.update(other)
        return self

    def extra_repr(self):
        return shown(self._parameters)


def shown(parameters):
    """A line for each parameter."""
    kinds = {name: "None" if p is None else f"{type(p).__name__} containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
             for name, p in parameters.items()}  # fmt: skip
    return "\n".join(f"  ({name}): {kind}" for name, kind in kinds.items())


class Identity(Module):
    """Gives what it is given; takes any arguments, which it ignores.

    >>> Identity(54, unused=0.1)(3.0)
    3.0
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input
