"""Polynomials with Tensors as coefficients: what NumPy's own code, which is borrowed, does not do by itself.

The functions and classes of `numpy.polynomial` run NumPy's code as it is where there is no Tensor. Where there is one, arrays
become Tensors, too, so that the code can write into them.

Read next: ../polynomial.py.
"""

import sys
from functools import wraps
from types import FunctionType

import numpy as np

from gradnerve.ops.borrowed import borrowed, borrowed_module, special
from gradnerve.ops.define import op
from gradnerve.ops.indexing import getitem
from gradnerve.ops.shapes import concatenate, reshape
from gradnerve.ops.values import tensors

# --- companion matrices ----------------------------------------------------------------------------------------------


def companion_line(g, x, kind):
    """Only the last column depends on the coefficients: it has x / x[-1], times numbers that the kind of polynomial determines."""
    ones, last = np.ones(len(x)), np.arange(len(x)) == len(x) - 1.0
    factors = kind(ones)[:, -1] - kind(ones * last)[:, -1]
    line = getitem(g, (..., -1)) * factors / getitem(x, -1)
    return concatenate([line, reshape(-np.sum(line * getitem(x, slice(-1))) / getitem(x, -1), 1)])


def companion(x, kind):
    return kind(x)


companion = op(companion, x=companion_line)


def companion_of(kind):
    """The companion matrix of one kind of polynomials, whose eigenvalues are the roots; NumPy writes it through a view."""

    @wraps(kind)
    def function(c):
        [c] = borrowed_module("numpy.polynomial.polyutils").as_series([c])
        return companion(c, kind)

    return function


# --- numpy.polynomial ------------------------------------------------------------------------------------------------


def beside(t, x):
    """What is an array of floats becomes a Tensor, as `t` is one."""
    return np.asarray(x, like=t) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else x


def for_tensors(code, numpys):
    """The borrowed code where there is a Tensor, NumPy's where there is none."""

    @wraps(code)
    def function(*args, **kwargs):
        t = next(tensors((*args, *kwargs.values())), None)
        if t is None:
            return numpys(*args, **kwargs)
        return code(*(beside(t, x) for x in args), **{name: beside(t, kwargs[name]) for name in kwargs})

    return function


def module_for_tensors(names):
    """The functions of a module of numpy.polynomial, which its class has got hold of, too."""
    module = sys.modules[names["__name__"]]
    codes = {name: code for name, code in names.items() if isinstance(code, FunctionType) and code.__globals__ is names and name[0] != "_"}
    ours = {name: for_tensors(code, getattr(module, name)) for name, code in codes.items()}
    ours |= {name: companion_of(getattr(module, name)) for name in ours if name.endswith("companion")}
    [kind] = (value for value in names.values() if isinstance(value, type) and value.__module__ == module.__name__)
    for name, member in list(vars(kind).items()):
        if isinstance(member, staticmethod) and member.__func__.__name__ in ours:
            setattr(kind, name, staticmethod(ours[member.__func__.__name__]))
    return ours


def utilities_for_tensors(names):
    """All series become Tensors where one is: they are added to one another in place."""
    code = names["as_series"]

    @wraps(code)
    def as_series(alist, trim=True):
        t = next(tensors([alist]), None)
        return code(alist, trim) if t is None else [beside(t, c) for c in code(alist, trim)]

    return {"as_series": as_series}


for _name in ("polynomial", "chebyshev", "legendre", "laguerre", "hermite", "hermite_e"):
    special[f"numpy.polynomial.{_name}"] = module_for_tensors
special["numpy.polynomial.polyutils"] = utilities_for_tensors

# --- np.poly1d -------------------------------------------------------------------------------------------------------

FUNCTIONS = (np.poly, np.polyadd, np.polyder, np.polydiv, np.polyint, np.polymul, np.polysub, np.polyval, np.roots)


class Polynomials(type):
    """NumPy's polynomials are instances of our class, too; ours are instances of NumPy's by inheritance."""

    def __instancecheck__(cls, p):
        return isinstance(p, np.poly1d)


def coefficients(p):
    return p.coeffs if isinstance(p, np.poly1d) else p


def array_function(self, function, types, args, kwargs):
    """Functions of polynomials are borrowed; in any other one, a polynomial stands for its coefficients."""
    if function in FUNCTIONS:
        return borrowed(function)(*args, **kwargs)
    return function(*map(coefficients, args), **kwargs)


def array_ufunc(self, ufunc, method, *inputs, **kwargs):
    return getattr(ufunc, method)(*map(coefficients, inputs), **kwargs)


def array(self, dtype=None, copy=None):
    if getattr(self.coeffs, "requires_grad", False):
        raise TypeError("poly1d: as an ndarray, coefficients that require grad would lose their gradient; use p.coeffs, or p.coeffs.data for a value")
    return np.array(getattr(self.coeffs, "_array", self.coeffs), dtype, copy=copy)


POLY1D = """A polynomial in one variable, as `np.poly1d`, whose coefficients may be a Tensor, the highest power first.

    >>> p = poly1d([1.0, 2.0, 3.0])
    >>> print(p(2.0), p.deriv())
    11.0 2 x + 2
    """


def poly1d(names):
    """The borrowed class with these protocols."""
    members = {name: member for name, member in vars(names["poly1d"]).items() if name not in ("__dict__", "__weakref__")}
    members |= {"__array__": array, "__array_function__": array_function, "__array_ufunc__": array_ufunc}
    members |= {"__repr__": lambda self: f"poly1d({self.coeffs!r})", "__module__": "gradnerve.polynomial", "__doc__": POLY1D}
    return {"poly1d": Polynomials("poly1d", (np.poly1d,), members)}


special["numpy.lib._polynomial_impl"] = poly1d
