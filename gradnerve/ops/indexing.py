"""Reading and writing parts of an array: `x[index]`, and its two counterparts `scatter` and `setitem`.

`getitem` and `scatter` undo one another: what was read from several places is summed back into them. Writing gives a new
array, so that the old one stays what it was for those who have used it. Read next: reductions.py.
"""

import math
import operator

import numpy as np

from gradnerve.kernels import rows as kernel
from gradnerve.ops.define import op


def frozen(index):
    """The index with copies of the lists and arrays in it, which the caller may overwrite after the operation."""
    if isinstance(index, (int, slice, np.integer)) or index is None or index is Ellipsis:
        return index
    if isinstance(index, list):
        return np.array(index, dtype=None if index else np.intp)  # an empty list is an index, an empty array of floats is not
    return np.array(index) if hasattr(index, "dtype") else operator.index(index)


def repeats(index):
    """Whether the index may name a place twice: only integer arrays can."""
    if type(index) is slice or type(index) is int:
        return False
    parts = index if isinstance(index, tuple) else (index,)
    arrays = (np.asarray(part) for part in parts if hasattr(part, "__len__"))
    return any(array.ndim and array.dtype != bool for array in arrays)


def chooses(index):
    """Whether the index is a mask or an array of places, as a whole or in part."""
    if type(index) is slice or type(index) is int:
        return False
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(part, "ndim", 0) for part in parts)


def getitem(x, index):
    return x[index]


def work_at(ufunc, out, index, *other):
    """``ufunc.at(out, index, *other)``, over single elements where NumPy's own crashes: on more than 32 axes (NumPy 2.4)."""
    parts = index if isinstance(index, tuple) else (index,)
    if out.ndim + max(map(np.ndim, parts), default=0) <= 32:
        ufunc.at(out, index, *other)
        return
    places = np.arange(out.size).reshape(out.shape)[index]
    flat = out.reshape(-1)  # a copy if `out` is not contiguous
    ufunc.at(flat, places.reshape(-1), *[np.broadcast_to(y, places.shape).reshape(-1) for y in other])
    out[...] = flat.reshape(out.shape)


def scatter(x, shape, index):
    """Zeros of the given shape, with `x` added at the index; a place that is named twice gets both."""
    if isinstance(index, np.ndarray):
        out = kernel.sum_rows(shape, index, x)
        if out is not None:
            return out
    out = np.zeros(shape, x.dtype)
    if repeats(index):
        add_into(out, x, index)
    else:
        out[index] = x
    return out


def add_into(total, g, index):
    """``total[index] += g``, where a place that is named twice gets both."""
    view = total[index] if type(index) in (int, slice) else None
    if isinstance(view, np.ndarray):
        np.add(view, g, out=view)  # total[index] += g would write it twice
    elif not repeats(index):
        total[index] += g
    elif isinstance(index, np.ndarray) and total.ndim > 1:
        add_rows(total, index, g)
    else:
        work_at(np.add, total, index, g)


def add_rows(out, index, x):
    """`np.add.at(out, index, x)` for an array of row numbers: without the kernel, it is three times as fast over the single elements."""
    if kernel.add_rows(out, index, x):
        return
    rows, width = np.arange(len(out))[index], math.prod(out.shape[1:])
    elements = rows[..., None] * width + np.arange(width)
    np.add.at(out.reshape(-1), elements.reshape(-1), x.reshape(-1))


def add_at(x, index, value):
    """A copy of `x` with the value added at the index; a place that is named twice gets both."""
    out = np.array(x)
    work_at(np.add, out, index, value)
    return out


def setitem(x, index, value):
    """A copy of `x` with the value written at the index."""
    out = np.array(x)
    out[index] = np.ascontiguousarray(value) if np.ndim(value) else value  # so that `won` can repeat the order of writing
    return out


def won(g, x_shape, index, value_shape):
    """The gradient of the value written by `setitem`: of the places that an element was written to, those where it was the last."""
    if not repeats(index):
        g = getitem(g, index)
        ones = len(value_shape) - g.ndim  # an assignment lets them pass, broadcasting does not
        return getitem(g, (None,) * ones) if ones > 0 else g
    size = math.prod(value_shape)
    writer = np.full(x_shape, -1)
    writer[index] = np.arange(size).reshape(value_shape)
    written = writer >= 0
    return np.reshape(scatter(getitem(g, written), (size,), writer[written]), value_shape)


def for_all(index):
    """The index as one that leaves a first axis whole; None if it holds arrays, whose axes NumPy may move."""
    parts = index if isinstance(index, tuple) else (index,)
    return None if chooses(parts) else (slice(None), *parts)


def scatter_many(g, x_shape, index):
    index = for_all(index)
    return index and scatter(g, (len(g), *x_shape), index)


def getitem_many(g, index):
    index = for_all(index)
    return index and g[index]


getitem = op(getitem, linear=True, masks=lambda index: chooses(index), x=lambda g, x_shape, index: scatter(g, x_shape, index),
             adds={"x": add_into}, many={"x": scatter_many})
scatter = op(scatter, linear=True, x=lambda g, index: getitem(g, index), many={"x": getitem_many})
add_at  = op(add_at,  linear=True, x=lambda g: g, value=lambda g, index: getitem(g, index))
setitem = op(setitem, linear=True, masks=True, x=lambda g, index: setitem(g, index, 0), value=won)
