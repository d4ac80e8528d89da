"""NumPy's own Python code, run on Tensors.

A third of NumPy is written in Python, composed of other NumPy functions: `quantile`, `average`, `tensordot`, `polyfit`...
What is composed of differentiable functions needs no derivative of its own, so we run that very code. Its module is executed
once more with a few names changed: `asarray` keeps a Tensor, `empty` makes one, ``isinstance(t, ndarray)`` holds. The values are
NumPy's because it is NumPy; and where a C function would turn a Tensor into an array, `Tensor.__array__` raises.

Read next: names.py, which says what is borrowed.
"""

import builtins
import functools
import importlib
import importlib.util
import sys
import warnings
from types import FunctionType, ModuleType

import numpy as np
from numpy._core import overrides
from numpy._core._multiarray_umath import _array_converter

from gradnerve._engine import TensorBase

MODULES = {f"numpy.{name}" for name in """
    _core.fromnumeric _core.function_base _core.numeric _core.shape_base fft._helper fft._pocketfft lib._arraysetops_impl
    lib._function_base_impl lib._histograms_impl lib._index_tricks_impl lib._nanfunctions_impl lib._polynomial_impl lib._shape_base_impl
    lib._stride_tricks_impl lib._twodim_base_impl lib._type_check_impl linalg._linalg polynomial._polybase polynomial.chebyshev polynomial.hermite
    polynomial.hermite_e polynomial.laguerre polynomial.legendre polynomial.polynomial polynomial.polyutils""".split()}

replaced = {}  # what stands in for an object of NumPy's in borrowed code
special = {}  # module's name -> what stands in for its own names, or a function that makes it of them
codes = {}  # NumPy's function -> its code, with our names


class InstanceOfBoth(type):
    def __instancecheck__(cls, x):
        return isinstance(x, (np.ndarray, TensorBase))


class AnyArray(metaclass=InstanceOfBoth):
    """What borrowed code means by ndarray."""


class Lookalike:
    """A module of NumPy's as borrowed code sees it."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        value = getattr(self.module, name)
        if self.module.__name__.startswith("numpy.polynomial") or (name.startswith("_") and isinstance(value, FunctionType)):
            home = getattr(value, "__module__", None)
            return getattr(borrowed_module(home), name) if home in MODULES else translated(value)
        return translated(value)


def translated(value):
    """What stands in for something of NumPy's. Its public functions stand for themselves: they meet Tensors by protocol."""
    if isinstance(value, ModuleType):
        return Lookalike(value) if value.__name__.partition(".")[0] == "numpy" else value
    try:
        return replaced.get(value, value)
    except TypeError:  # a table of NumPy's
        return value


def look_up(name, globals=None, locals=None, fromlist=(), level=0):
    """`__import__` for borrowed code."""
    return translated(importlib.__import__(name, globals, locals, fromlist, level))


def undispatched(*_, **__):
    """NumPy's `array_function_dispatch` for borrowed code: the name stands for NumPy's function, and `codes` keeps the code."""

    def keep(code):
        function = getattr(sys.modules[code.__module__], code.__name__)
        codes[function] = code
        return function

    return keep


@functools.cache
def borrowed_module(name):
    """The module, executed once more."""
    spec = importlib.util.find_spec(name)
    module = ModuleType(name)
    names = vars(module)
    names.update(__builtins__=vars(builtins) | {"__import__": look_up}, __spec__=spec, __package__=spec.parent, __file__=spec.origin)
    with warnings.catch_warnings():  # some modules set filters, which NumPy has done before
        exec(spec.loader.get_code(name), names)
    ours = special.get(name, {})
    names.update(ours(names) if callable(ours) else ours)
    return module


def borrowed(function):
    """The code of a NumPy function, to be called with Tensors."""
    if function not in codes:
        borrowed_module(function._implementation.__globals__["__name__"])
    return codes[function]


class Converter:
    """What NumPy's functions turn their arguments into arrays with, and their result into what the caller expects."""

    def __init__(self, *xs):
        self.xs = xs

    def as_arrays(self, subok=True, pyscalars="convert_if_no_array"):
        return tuple(x if isinstance(x, AnyArray) else np.asarray(x) for x in self.xs)

    def result_type(self, extra_dtype=None, ensure_inexact=False):
        types = [x if type(x) in (int, float, complex) else np.asarray(getattr(x, "_array", x)).dtype for x in self.xs]
        return np.result_type(*types, *[extra_dtype] * (extra_dtype is not None), *[0.0] * ensure_inexact)

    def wrap(self, result, to_scalar=None):
        return result

    def __getitem__(self, k):
        return self.as_arrays()[k]


replaced.update({np.ndarray: AnyArray, overrides.array_function_dispatch: undispatched, _array_converter: Converter})
