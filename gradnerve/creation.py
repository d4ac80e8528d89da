"""Making Tensors as NumPy makes arrays: `array`, `zeros`, `arange`, `full`...

Every maker takes NumPy's arguments and `requires_grad`, which makes the result a leaf (of float64 where the numbers are integers);
what is given a Tensor to copy or to fill with passes its gradient on. Code that is borrowed from NumPy uses the same makers, where
it is about numbers with gradients.

Read next: inplace.py, ops/borrowed.py.
"""

from functools import wraps
from itertools import islice

import numpy as np

from gradnerve import _engine
from gradnerve import tensor as _tensor
from gradnerve._engine import TensorBase, wrap
from gradnerve.ops import joining  # noqa: F401  registers its functions
from gradnerve.ops.borrowed import borrowed_module, replaced
from gradnerve.ops.define import implements
from gradnerve.ops.shapes import Flat, astype, broadcast_to, reshape, stack
from gradnerve.ops.shapes import copy as copied
from gradnerve.ops.values import batched, holds_tensors, value
from gradnerve.tensor import Tensor, as_numbers  # noqa: F401  Tensor for the examples
from gradnerve.tree import endless

__all__ = ["c_", "r_"]  # the others are found by the names that NumPy has for them

CONSTANTS = """arange bartlett blackman empty empty_like eye frombuffer hamming hanning identity indices ones ones_like tri zeros
    zeros_like""".split()


# --- constants -------------------------------------------------------------------------------------------------------


def maker(function):
    """NumPy's maker of constants, which gives a Tensor."""
    shares = function is np.frombuffer  # the memory of its argument

    @wraps(function)
    def make(*args, requires_grad=False, like=None, **kwargs):
        if batched(*args):  # one for each example
            return function(*args, **kwargs)
        refuse_tracked(function.__name__, args[function.__name__.endswith("_like"):])
        values = [x.data if isinstance(x, TensorBase) and shares else value(x) for x in args]
        made = function(*values, **{name: value(x) for name, x in kwargs.items()})
        make_one = lambda a: as_leaf(wrap(as_numbers(a, None, copy=False), owned=not shares), requires_grad)
        return tuple(map(make_one, made)) if isinstance(made, tuple) else make_one(made)

    make.__doc__ = f"As `np.{function.__name__}`, for a Tensor; `requires_grad` makes it a leaf."
    return implements(function)(make)


def refuse_tracked(name, args):
    """A constant does not depend on anything."""
    for x in args:
        if isinstance(x, TensorBase) and x.requires_grad and _engine.recording():
            raise TypeError(f"{name} makes constants: the gradient of an argument would be lost.\n"
                            f"  to keep the gradient:  compute with what gn.{name} makes, or use gn.linspace\n"
                            "  for the value alone:   pass t.data")  # fmt: skip


def as_leaf(t, requires_grad, given=None):
    """The Tensor, or a leaf of its values; what was given is left as it is."""
    if not requires_grad or t.requires_grad:
        return t
    t = astype(t, float) if t.dtype.kind in "biu" else t.detach() if t is given else t
    return t.requires_grad_()


for _name in CONSTANTS:
    globals()[_name] = maker(getattr(np, _name))


@implements(np.kaiser)
def kaiser(M, beta, *, requires_grad=False):
    """The Kaiser window, as `np.kaiser`; its parameter may be a Tensor.

    >>> kaiser(3, 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not isinstance(beta, TensorBase) or M <= 1:
        return as_leaf(wrap(np.kaiser(M, value(beta)), owned=True), requires_grad)
    alpha = (M - 1) / 2.0
    return np.i0(beta * np.sqrt(1 - ((np.arange(0.0, M) - alpha) / alpha) ** 2.0)) / np.i0(beta)


# --- from what is there ----------------------------------------------------------------------------------------------


def joined(data):
    """A nested list with Tensors in it, stacked."""
    try:
        return stack([joined(part) if holds_tensors(part) else part for part in data])
    except RecursionError:
        raise endless(data) from None


@implements(np.array)
def array(object, dtype=None, *, copy=True, order="K", subok=False, ndmin=0, ndmax=0, like=None, requires_grad=False):
    """A Tensor of numbers, or of Tensors in nested lists, whose gradients it passes on; as `np.array`.

    Raises TypeError for data that can have no gradient: strings, objects, records, dates.

    >>> x = Tensor(2.0, requires_grad=True)
    >>> y = array([x, 3 * x])
    >>> y.sum().backward()
    >>> float(x.grad)
    4.0
    """
    if isinstance(object, TensorBase):
        t = array_of_tensor(object, dtype, copy, order or "K")
    elif holds_tensors(object):
        t = array_of_tensor(joined(object), dtype, None, order or "K")
    else:
        options = {"ndmax": ndmax} if ndmax else {}
        object = np.array(object, dtype, copy=copy, order=order, **options) if copy is False or ndmax else object
        a = as_numbers(object, dtype, copy=bool(copy))
        t = wrap(np.array(a, copy=None, order=order), owned=bool(copy))
    t = reshape(t, (1,) * (ndmin - t.ndim) + t.shape) if ndmin > t.ndim else t
    return as_leaf(t, requires_grad, object)


def array_of_tensor(t, dtype, copy, order):
    """A Tensor in the dtype and with the layout that are asked for."""
    if dtype is not None and t.dtype != dtype:
        changed = astype(t, np.dtype(dtype))
    else:
        flags = t.flags
        laid_out = flags.c_contiguous if order == "C" else flags.f_contiguous if order == "F" else True
        changed = copied(t, order) if copy or not laid_out else t
    if copy is False and changed is not t:
        raise ValueError(f"array: a copy is needed for dtype {dtype} and order {order!r}; pass copy=None to allow it")
    return changed


@implements(np.asarray)
def asarray(a, dtype=None, order=None, *, device=None, copy=None, like=None, requires_grad=False):
    """A Tensor around an array, without a copy where none is needed; a Tensor is returned as it is; as `np.asarray`.

    >>> a = np.zeros(2)
    >>> asarray(a).data is a
    True
    """
    if order is copy is device is None and not requires_grad and not isinstance(a, (list, tuple)):
        return _tensor.asarray(a, dtype)
    return array(a, dtype, copy=copy, order=order or "K", requires_grad=requires_grad)


@implements(np.asanyarray)
def asanyarray(a, dtype=None, order=None, *, device=None, copy=None, like=None, requires_grad=False):
    """As `asarray`: there are no subclasses to be passed through."""
    return asarray(a, dtype, order, copy=copy, requires_grad=requires_grad)


@implements(np.ascontiguousarray)
def ascontiguousarray(a, dtype=None, *, like=None, requires_grad=False):
    """The same in C order, with one axis at least, as `np.ascontiguousarray`."""
    return array(a, dtype, copy=None, order="C", ndmin=1, requires_grad=requires_grad)


@implements(np.asfortranarray)
def asfortranarray(a, dtype=None, *, like=None, requires_grad=False):
    """The same in Fortran order, with one axis at least, as `np.asfortranarray`."""
    return array(a, dtype, copy=None, order="F", ndmin=1, requires_grad=requires_grad)


@implements(np.require)
def require(a, dtype=None, requirements=None, *, like=None, requires_grad=False):
    """The same with what `np.require` asks of its memory; a Tensor's is always writeable and aligned."""
    flags = np.require(np.empty((2, 2)), None, requirements).flags  # or NumPy's error
    wanted = {str(r)[0].upper() for r in requirements or ()}
    return array(a, dtype, copy=None, order="F" if flags.fnc else "C" if "C" in wanted else "K", requires_grad=requires_grad)


@implements(np.asarray_chkfinite)
def asarray_chkfinite(a, dtype=None, order=None, *, requires_grad=False):
    """As `asarray`; raises ValueError for NaN and infinity, as `np.asarray_chkfinite`."""
    t = asarray(a, dtype, order, requires_grad=requires_grad)
    np.asarray_chkfinite(value(t))
    return t


@implements(np.from_dlpack)
def from_dlpack(x, /, *, device=None, copy=None, requires_grad=False):
    """A Tensor in the memory of another library's array, as `np.from_dlpack`; a Tensor is passed through, with its gradient.

    >>> a = np.zeros(2)
    >>> from_dlpack(a).data[0] = 1
    >>> a
    array([1., 0.])
    """
    if isinstance(x, TensorBase):
        return array(x.to_device(device or "cpu"), copy=copy, requires_grad=requires_grad)
    return as_leaf(wrap(np.from_dlpack(x, device=device, copy=copy), owned=False), requires_grad)


@implements(np.fromfunction)
def fromfunction(function, shape, *, dtype=float, like=None, requires_grad=False, **kwargs):
    """What a function gives for the index arrays of this shape, which may depend on Tensors; as `np.fromfunction`.

    >>> fromfunction(lambda i, j: i * Tensor(2.0) + j, (2, 2)).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    return asarray(function(*np.indices(shape, dtype), **kwargs), requires_grad=requires_grad)


@implements(np.fromiter)
def fromiter(iter, dtype, count=-1, *, like=None, requires_grad=False):
    """A row of numbers or Tensors, one after the other, as `np.fromiter`.

    >>> fromiter((Tensor(2.0) * i for i in range(3)), float).tolist()
    [0.0, 2.0, 4.0]
    """
    items = list(islice(iter, None if count < 0 else count))
    return array(items if holds_tensors(items) else np.fromiter(items, dtype, count), dtype, requires_grad=requires_grad)


@implements(np.full)
def full(shape, fill_value, dtype=None, order="C", *, like=None, device=None, requires_grad=False):
    """A Tensor filled with one value, which may be a Tensor; as `np.full`.

    >>> full((2, 2), 7.0).sum().item()
    28.0
    """
    value = asarray(fill_value)
    value = value if dtype is None or value.dtype == dtype else astype(value, np.dtype(dtype))
    return as_leaf(copied(broadcast_to(value, shape), order), requires_grad)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None, requires_grad=False):
    """The same in the shape and dtype of another array, as `np.full_like`."""
    if batched(a):
        return np.full_like(a, fill_value, dtype, order, subok, shape)
    model = np.empty_like(value(a), dtype, order, shape=shape)
    return full(model.shape, fill_value, model.dtype, "F" if model.flags.fnc else "C", requires_grad=requires_grad)


class Joiner:
    """What stands in brackets, joined: numbers, slices, arrays and Tensors; as `np.r_` and `np.c_`.

    >>> r_[Tensor([1.0, 2.0]), 3:5].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, name):
        self.name = name

    def __getitem__(self, parts):
        return getattr(borrowed_module("numpy.lib._index_tricks_impl"), self.name)[parts]


r_, c_ = Joiner("r_"), Joiner("c_")


# --- for borrowed code -----------------------------------------------------------------------------------------------


def keeping(function):
    """NumPy's converter, which keeps a Tensor, and joins those in a list."""

    @wraps(function)
    def keep(data, dtype=None, *args, copy=function is np.array, order=None, subok=False, ndmin=0, **kwargs):
        data = reshape(data.base, -1) if isinstance(data, Flat) else data
        data = data.coeffs if isinstance(data, np.poly1d) else data
        if isinstance(data, TensorBase) or holds_tensors(data):
            return array(data, dtype, copy=copy or None, order=order, ndmin=ndmin)
        return np.array(data, dtype, *args, copy=copy or None, order=order or "K", subok=subok, ndmin=ndmin, **kwargs)

    return keep


def inexact(function, ours):
    """NumPy's maker; of floating-point numbers, ours: borrowed code fills it with values that have gradients."""

    @wraps(function)
    def make(*args, **kwargs):
        if batched(*args):
            return function(*args, **kwargs)
        made = function(*map(value, args), **{name: value(x) for name, x in kwargs.items()})
        return ours(*args, **kwargs) if made.dtype.kind in "fc" else made

    return make


MAKERS = (np.empty, np.zeros, np.ones, np.full, np.empty_like, np.zeros_like, np.ones_like, np.full_like)
replaced.update({f: keeping(f) for f in (np.array, np.asarray, np.asanyarray)})
replaced.update({f: inexact(f, globals()[f.__name__]) for f in MAKERS})
replaced[np.broadcast] = lambda *xs: np.broadcast(*map(value, xs))
replaced[np.atleast_2d] = lambda *xs: np.atleast_2d(*(joined(x) if holds_tensors(x) else x for x in xs))
