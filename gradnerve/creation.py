"""Making Tensors as NumPy makes arrays: `array`, `zeros`, `arange`, `full`...

Every maker takes NumPy's arguments and `requires_grad`; what is given a Tensor to copy or to fill with passes its gradient on.
Code that is borrowed from NumPy uses the same makers, where it is about numbers with gradients.

Read next: ops/borrowed.py.
"""

from functools import wraps

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.ops.borrowed import replaced
from gradnerve.ops.define import implements
from gradnerve.ops.shapes import astype, broadcast_to, copy, reshape, stack
from gradnerve.tensor import Tensor, asarray, plain, wrap

__all__ = ["array", "asanyarray", "asarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "full", "full_like", "require"]

CONSTANTS = """arange bartlett blackman empty empty_like eye from_dlpack frombuffer fromfunction fromiter hamming hanning identity indices
    kaiser ones ones_like tri zeros zeros_like""".split()


def maker(function):
    """NumPy's maker of constants, which gives a Tensor."""

    @wraps(function)
    def make(*args, requires_grad=False, like=None, **kwargs):
        made = function(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})
        return wrap(made, owned=function is not np.from_dlpack).requires_grad_(requires_grad)

    make.__doc__ = f"As `np.{function.__name__}`, for a Tensor; `requires_grad` makes it a leaf."
    return implements(function)(make)


for _name in CONSTANTS:
    globals()[_name] = maker(getattr(np, _name))
__all__ += CONSTANTS


# --- from what is there ----------------------------------------------------------------------------------------------


def holds_tensors(data):
    """Whether there are Tensors in a nested list."""
    return isinstance(data, (list, tuple)) and any(isinstance(part, TensorBase) or holds_tensors(part) for part in data)


def joined(data):
    """A nested list with Tensors in it, stacked."""
    return stack([joined(part) if holds_tensors(part) else part for part in data])


@implements(np.array)
def array(data, dtype=None, *, copy=True, order="K", subok=False, ndmin=0, like=None, requires_grad=False):
    """A Tensor of numbers, or of Tensors in nested lists, whose gradients it passes on; as `np.array`.

    Raises TypeError for data that can have no gradient: strings, objects, records, dates.

    >>> x = Tensor(2.0, requires_grad=True)
    >>> y = array([x, 3 * x])
    >>> y.sum().backward()
    >>> float(x.grad)
    4.0
    """
    if holds_tensors(data):
        data = joined(data)
    if isinstance(data, TensorBase) and (data.requires_grad or not copy):
        t = data if dtype is None or data.dtype == dtype else astype(data, dtype)
        t = globals()["copy"](t, order) if copy and t is data else t
    else:
        t = Tensor(data, dtype=dtype) if copy else asarray(data, dtype)
    t = reshape(t, (1,) * (ndmin - t.ndim) + t.shape) if ndmin > t.ndim else t
    return t.requires_grad_() if requires_grad else t


@implements(np.asanyarray)
def asanyarray(data, dtype=None, order=None, *, like=None):
    """A Tensor is passed through; anything else becomes one, without a copy where it is an array; as `np.asanyarray`."""
    return array(data, dtype, copy=None, order=order)


@implements(np.ascontiguousarray)
def ascontiguousarray(data, dtype=None, *, like=None):
    """The same in C order, with one axis at least, as `np.ascontiguousarray`."""
    t = array(data, dtype, copy=None, ndmin=1)
    return t if t.flags.c_contiguous else copy(t, "C")


@implements(np.asfortranarray)
def asfortranarray(data, dtype=None, *, like=None):
    """The same in Fortran order, as `np.asfortranarray`."""
    t = array(data, dtype, copy=None)
    return t if t.flags.f_contiguous else copy(t, "F")


@implements(np.require)
def require(data, dtype=None, requirements=None, *, like=None):
    """The same with what `np.require` asks of its memory; a Tensor's is always writeable and aligned."""
    order = "F" if set(requirements or ()) & {"F", "F_CONTIGUOUS", "FORTRAN"} else "C"
    return (asfortranarray if order == "F" else ascontiguousarray)(data, dtype)


def asarray_chkfinite(data, dtype=None, order=None):
    """As `asarray`; raises ValueError for NaN and infinity, as `np.asarray_chkfinite`."""
    t = asanyarray(data, dtype, order)
    np.asarray_chkfinite(plain(t))
    return t


@implements(np.full)
def full(shape, fill_value, dtype=None, order="C", *, like=None, device=None, requires_grad=False):
    """A Tensor filled with one value, which may be a Tensor; as `np.full`.

    >>> full((2, 2), 7.0).sum().item()
    28.0
    """
    value = asanyarray(fill_value)
    t = copy(broadcast_to(value if dtype is None or value.dtype == dtype else astype(value, np.dtype(dtype)), shape), order)
    return t.requires_grad_() if requires_grad else t


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None, requires_grad=False):
    """The same in the shape and dtype of another array, as `np.full_like`."""
    model = np.empty_like(plain(a), dtype, order, shape=shape)
    t = full(model.shape, fill_value, model.dtype, "F" if model.flags.fnc else "C")
    return t.requires_grad_() if requires_grad else t


# --- for borrowed code -----------------------------------------------------------------------------------------------


def keeping(function):
    """NumPy's converter, which keeps a Tensor, and joins those in a list."""

    @wraps(function)
    def keep(data, dtype=None, *args, copy=function is np.array, order=None, subok=False, ndmin=0, **kwargs):
        if isinstance(data, TensorBase) or holds_tensors(data):
            return array(data, dtype, copy=copy, ndmin=ndmin)
        return np.array(data, dtype, *args, copy=copy or None, order=order or "K", subok=subok, ndmin=ndmin, **kwargs)

    return keep


def inexact(function, ours):
    """NumPy's maker; of floating-point numbers, ours: borrowed code fills it with values that have gradients."""

    @wraps(function)
    def make(*args, **kwargs):
        made = function(*map(plain, args), **kwargs)
        return ours(*args, **kwargs) if made.dtype.kind in "fc" else made

    return make


replaced.update({f: keeping(f) for f in (np.array, np.asarray, np.asanyarray)})
replaced.update({f: inexact(f, globals()[f.__name__]) for f in (np.empty, np.zeros, np.ones, np.full)})
