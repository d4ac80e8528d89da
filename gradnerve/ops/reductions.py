"""Sums, means, extremes and products along axes.

The derivative of a reduction hands the gradient back to every element that took part (`spread`), times what the element
contributed. `mean`, `var` and `std` are composed, step by step as NumPy does it, so that their values are NumPy's to the
last bit. Read next: linalg.py.
"""

import math
import warnings

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradnerve._loops import full_sum
from gradnerve.ops.define import elementwise, implements, op
from gradnerve.ops.shapes import astype, broadcast_to, concatenate, flip, inverse, reshape, transpose
from gradnerve.ops.shapes import where as select

NoValue = np._NoValue  # NumPy's mark for an argument that was not given


def axes_of(ndim, axis):
    """The axes of a reduction as a tuple of numbers from zero; None stands for all of them."""
    if axis is None or not ndim:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def kept(shape, axis):
    """The shape that a reduction gives with keepdims=True."""
    axes = axes_of(len(shape), axis)
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(g, x_shape, axis, keepdims=False):
    """`g`, the gradient of a reduction over the axis, copied back to all that was reduced."""
    return broadcast_to(g if keepdims or axis is None else reshape(g, kept(x_shape, axis)), x_shape)


# --- sums ------------------------------------------------------------------------------------------------------------


def sum(x, axis=None, dtype=None, *, keepdims=False, initial=NoValue, where=True):
    return np.add.reduce(x, axis, dtype, None, keepdims, initial, where)


def sum_line(g, x_shape, axis, keepdims, where):
    """Every element that took part gets the whole gradient."""
    g = spread(g, x_shape, axis, keepdims)
    return g if where is True else select(where, g, 0)


def cumsum_line(g, x_shape, axis):
    """Every element counts in all the sums from its place on: a sum from the end."""
    axis = axis or 0
    return reshape(flip(cumsum(flip(g, axis), axis), axis), x_shape)


sum    = op(sum, numpy=np.sum, fast=full_sum, linear=True, masks=lambda where: where is not True, x=sum_line)
cumsum = op(lambda x, axis=None, dtype=None: np.cumsum(x, axis, dtype), numpy=np.cumsum, linear=True, x=cumsum_line)


# --- max and min -----------------------------------------------------------------------------------------------------


def max(x, axis=None, *, keepdims=False, initial=NoValue, where=True):
    return np.maximum.reduce(x, axis, None, None, keepdims, initial, where)


def min(x, axis=None, *, keepdims=False, initial=NoValue, where=True):
    return np.minimum.reduce(x, axis, None, None, keepdims, initial, where)


def shared(g, out, x, x_shape, axis, keepdims, initial, where):
    """The elements that equal the extreme share its gradient equally (with `initial`, if that does too; NaN equals NaN)."""
    shape = kept(x_shape, axis)
    g, out = reshape(g, shape), reshape(out, shape)
    equal = np.logical_or(x == out, x != x)
    equal = equal if where is True else np.logical_and(equal, where)
    count = sum(equal, axis, keepdims=True)
    count = np.maximum(count, 1) if initial is NoValue else np.maximum(count + (out == initial), 1)
    return select(equal, g / count, 0)


max = op(max, numpy=(np.max, np.amax), linear=True, masks=True, x=shared)
min = op(min, numpy=(np.min, np.amin), linear=True, masks=True, x=shared)
amax, amin = max, min


# --- products --------------------------------------------------------------------------------------------------------


def prod(x, axis=None, dtype=None, *, keepdims=False, initial=NoValue, where=True):
    return np.multiply.reduce(x, axis, dtype, None, keepdims, initial, where)


def prod_line(g, x, x_shape, axis, dtype, keepdims, initial, where):
    """The derivative by an element is the product of the others."""
    x = x if where is True else select(where, x, 1)
    x = x if dtype is None else astype(x, dtype)
    g = g if initial is NoValue else g * initial
    reduced = axes_of(len(x_shape), axis)
    order = sorted(range(len(x_shape)), key=lambda i: i in reduced)
    shape = tuple(x_shape[i] for i in order)
    split = len(shape) - len(reduced)
    rows = others(reshape(transpose(x, order), (*shape[:split], math.prod(shape[split:]))))
    line = spread(g, x_shape, axis, keepdims) * transpose(reshape(rows, shape), inverse(order))
    return line if where is True else select(where, line, 0)


def others(x):
    """For each element, the product of all the others in its row, without a division, so that zeros do no harm.

    The left half is multiplied with the right half, the products ask the same question again, and each element gets its
    partner times what the pair got.
    """
    half = x.shape[-1] // 2
    if not half:
        return np.ones(x.shape, x.dtype)
    left, right, odd = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    rest = others(concatenate([left * right, odd], -1))
    pairs = rest[..., :half]
    return concatenate([pairs * right, pairs * left, rest[..., half:]], -1)


prod = op(prod, numpy=np.prod, masks=lambda where: where is not True, x=prod_line)


# --- mean, var, std: numpy/_core/_methods.py, step by step -----------------------------------------------------------


def count(x, axis, where=True, keepdims=False):
    """How many elements one result is made of: a number, or an array when a mask decides."""
    if where is True and axis is None:
        return x.size
    if where is True:
        return x.size if axis is None else math.prod(x.shape[normalize_axis_index(i, x.ndim)] for i in (axis if isinstance(axis, tuple) else (axis,)))
    return np.add.reduce(np.broadcast_to(where, x.shape), axis, np.intp, None, keepdims)


# The largest count up to which all are exact in a dtype (complex64 is left out: its division rounds more than once).
EXACT = {np.dtype(code): 2 ** (np.finfo(code).nmant + 1) for code in "efdD"}


def divide(total, count):
    """`total / count` in the dtype of `total`, with NumPy's bits: NumPy divides in double precision and casts."""
    if isinstance(count, (int, np.integer)) and count <= EXACT.get(total.dtype, -1):
        return total / int(count)  # for an exact count, a single rounding gives the same
    return astype(total / np.asarray(count), total.dtype)


def left_over(count, message):
    """The count that a sum is divided by, not less than 0, and NumPy's warning if it is no more than that."""
    if isinstance(count, int) and count > 0:
        return count
    if np.any(count <= 0):
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    return np.maximum(count, 0)


def double_for_integers(x, dtype):
    """The dtype that a mean is summed in."""
    return np.dtype(float) if dtype is None and x.dtype.kind in "iub" else dtype


@implements(np.mean)
def mean(x, axis=None, dtype=None, *, keepdims=False, where=True):
    """The arithmetic mean along axes, as `np.mean`.

    >>> mean([[1, 2], [3, 6]], axis=1)
    array([1.5, 4.5])
    """
    x = x if hasattr(x, "dtype") else np.asarray(x)
    items = count(x, axis, where, keepdims)
    left_over(items, "Mean of empty slice")
    if x.dtype == np.float16 and dtype is None:
        total = sum(x, axis, np.float32, keepdims=keepdims, where=where)
        ratio = divide(total, items) if total.ndim else total / np.asarray(items)  # NumPy rounds an array once more
        return astype(ratio, np.float16)
    return divide(sum(x, axis, double_for_integers(x, dtype), keepdims=keepdims, where=where), items)


@implements(np.var)
def var(x, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=NoValue, correction=NoValue):
    """The variance along axes, as `np.var`; `ddof` (or `correction`) is subtracted from the number of elements.

    >>> var([[1, 2], [3, 6]], axis=1)
    array([0.25, 2.25])
    """
    if correction is not NoValue and ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    x = x if hasattr(x, "dtype") else np.asarray(x)
    ddof = ddof if correction is NoValue else correction
    items = count(x, axis, where, keepdims)
    left = left_over(items - ddof, "Degrees of freedom <= 0 for slice")
    dtype = double_for_integers(x, dtype)
    if mean is NoValue:
        total = sum(x, axis, dtype, keepdims=True, where=where)
        mean = divide(total, items if isinstance(items, int) else items.reshape(total.shape))
    far = x - mean
    squares = np.square(far) if x.dtype.kind != "c" else np.square(np.real(far)) + np.square(np.imag(far))
    return divide(sum(squares, axis, dtype, keepdims=keepdims, where=where), left)


def root(x):
    return np.sqrt(x)


# Where all elements are equal, the distance from their mean has a kink: its derivative there is 0, as that of a norm.
root = elementwise(root, x=lambda g, out: np.where(out == 0, 0, g) / (2 * np.where(out == 0, 1, out)))


@implements(np.std)
def std(x, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=NoValue, correction=NoValue):
    """The standard deviation along axes, as `np.std`.

    >>> std([[1, 2], [3, 6]], axis=1)
    array([0.5, 1.5])
    """
    return root(var(x, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean, correction=correction))
