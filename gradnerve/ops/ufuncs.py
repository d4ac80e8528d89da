"""What NumPy lets a ufunc do beside a plain call: `where`, `dtype`, `axes`, and reduce, accumulate, outer, at and reduceat.

Nothing here has a derivative of its own: a mask is an index, a fold is the operation over and over.

Read next: borrowed.py.
"""

import warnings

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradnerve.ops import reductions
from gradnerve.ops.define import implementations
from gradnerve.ops.indexing import getitem, setitem
from gradnerve.ops.reductions import axes_of
from gradnerve.ops.shapes import astype, broadcast_to, concatenate, expand_dims, moveaxis, numbered, reshape, stack
from gradnerve.ops.shapes import where as select

NoValue = np._NoValue
REDUCTIONS = {np.add: reductions.sum, np.multiply: reductions.prod, np.maximum: reductions.max, np.minimum: reductions.min}


def value(x):
    return getattr(x, "_array", x)


def tensor_like(x):
    return x if hasattr(x, "dtype") else np.asarray(x)


# --- a call ----------------------------------------------------------------------------------------------------------


def call(ufunc, inputs, out=None, *, where=True, dtype=None, casting="same_kind", order="K", subok=True, **core):
    """``ufunc(*inputs)`` with NumPy's keywords, of which `order` and `subok` say nothing about the values.

    out   what the result has where the mask does not hold
    core  `axes`, `axis` or `keepdims`, of a ufunc that works on vectors or matrices
    """
    if dtype is not None:
        inputs = converted(ufunc, inputs, np.dtype(dtype), casting)
    if core:
        return with_axes(ufunc, inputs, **core)
    if where is True:
        return implementations[ufunc](*inputs)
    if out is None:
        warnings.warn("'where' used without 'out': where it does not hold, the result is 0", UserWarning, stacklevel=3)
    return masked(implementations[ufunc], inputs, value(where), out)


def converted(ufunc, inputs, dtype, casting):
    """The inputs in the dtypes of the loop that gives results of this one."""
    given = tuple(type(x) if type(x) in (int, float, complex) else tensor_like(x).dtype for x in inputs)
    wanted = ufunc.resolve_dtypes((*given, *[dtype] * ufunc.nout), casting=casting)
    return [astype(tensor_like(x), to) for x, to in zip(inputs, wanted, strict=False)]


def masked(function, inputs, where, out):
    """The function of the elements for which the mask holds, in their places in `out`."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs), np.shape(where))
    where = np.broadcast_to(where, shape)
    values = function(*(getitem(broadcast_to(x, shape), where) if np.ndim(x) else x for x in inputs))
    values = broadcast_to(values, (np.count_nonzero(where),))
    return setitem(np.zeros(shape, values.dtype) if out is None else out, where, values)


def with_axes(ufunc, inputs, axes=None, axis=None, keepdims=False):
    """A generalised ufunc over other axes than the last ones."""
    ndims = [len([name for name in part.split(",") if name]) for part in ufunc.signature.replace("->", ",").replace(" ", "").strip("()").split("),(")]
    if axis is not None:
        axes = [(axis,) * n for n in ndims]
    axes = [axis if isinstance(axis, tuple) else (axis,) for axis in axes] if axes is not None else [tuple(range(-n, 0)) for n in ndims]
    ends = [tuple(range(-n, 0)) for n in ndims]
    out = implementations[ufunc](*(moveaxis(tensor_like(x), axis, end) for x, axis, end in zip(inputs, axes, ends, strict=False)))
    if keepdims:
        return expand_dims(out, axes[0])
    return moveaxis(out, ends[-1], axes[-1]) if len(axes) > len(inputs) else out


# --- reduce and accumulate -------------------------------------------------------------------------------------------


def reduce(ufunc, x, axis=0, dtype=None, out=None, keepdims=False, initial=NoValue, where=True):
    """As `ufunc.reduce`."""
    x, options = tensor_like(x), {"keepdims": keepdims, "initial": initial, "where": value(where)}
    if initial is None:  # NumPy's word for: start with the first element, whatever the identity
        options["initial"] = NoValue
    if ufunc in REDUCTIONS:
        if ufunc in (np.add, np.multiply):
            return REDUCTIONS[ufunc](x, axis, dtype, **options)
        return REDUCTIONS[ufunc](x if dtype is None else astype(x, dtype), axis, **options)
    return folded(ufunc, x if dtype is None else astype(x, dtype), axis, **options)


def folded(ufunc, x, axis, keepdims, initial, where):
    """Slice by slice."""
    expected = ufunc.reduce(value(x), axis, None, None, keepdims, initial, where)  # or NumPy's error
    axes = axes_of(x.ndim, axis)
    rows = moveaxis(x, axes, range(len(axes)))
    rows = reshape(rows, (-1, *rows.shape[len(axes):]))
    masks = where if where is True else np.moveaxis(np.broadcast_to(where, x.shape), axes, range(len(axes))).reshape(rows.shape)
    start = ufunc.identity if initial is NoValue and where is not True else initial
    if not len(rows):
        return expected
    total, begin = (rows[0], 1) if start is NoValue else (broadcast_to(np.asarray(start, expected.dtype), rows.shape[1:]), 0)
    for k in range(begin, len(rows)):
        step = implementations[ufunc](total, rows[k])
        total = step if where is True else select(masks[k], step, total)
    return reshape(total, np.shape(expected))


def accumulate(ufunc, x, axis=0, dtype=None, out=None):
    """As `ufunc.accumulate`."""
    x = tensor_like(x)
    axis = normalize_axis_index(axis, x.ndim)
    if ufunc is np.add:
        return np.cumsum(x, axis, dtype)
    if ufunc is np.multiply:
        return np.cumprod(x, axis, dtype)
    x = x if dtype is None else astype(x, dtype)
    if ufunc in (np.maximum, np.minimum):
        return running(ufunc, x, axis)
    slices, totals = moveaxis(x, axis, 0), []
    for part in slices:
        totals.append(implementations[ufunc](totals[-1], part) if totals else part)
    return stack(totals, axis) if totals else x


def running(extreme, x, axis):
    """The largest (or smallest) element so far; among equals, the gradient belongs to the last."""
    values = value(x)
    so_far = extreme.accumulate(values, axis)
    numbers = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    record = (values == so_far) | (values != values) & (so_far != so_far)
    last = np.maximum.accumulate(np.where(record, numbers, 0), axis)
    return getitem(reshape(x, -1), np.take_along_axis(numbered(x), last, axis))


# --- outer, at, reduceat ---------------------------------------------------------------------------------------------


def outer(ufunc, x, y, **options):
    """As `ufunc.outer`."""
    x = tensor_like(x)
    return call(ufunc, (reshape(x, x.shape + (1,) * np.ndim(y)), y), **options)


def at(ufunc, x, indices, *other):
    """The value that ``ufunc.at(x, indices, *other)`` leaves in `x`; a place that is named k times is worked on k times."""
    places = numbered(x)[indices]
    flat, other = reshape(x, -1), [reshape(broadcast_to(y, places.shape), -1) for y in other]
    places = places.reshape(-1)
    turns = turn(places)
    for k in range(turns.max(initial=-1) + 1):
        now = turns == k
        values = implementations[ufunc](getitem(flat, places[now]), *(getitem(y, now) for y in other))
        flat = setitem(flat, places[now], values)
    return reshape(flat, x.shape)


def turn(places):
    """For each place, how often it was named before."""
    order = np.argsort(places, kind="stable")
    in_order = places[order]
    first = np.searchsorted(in_order, in_order)
    turns = np.empty_like(places)
    turns[order] = np.arange(len(places)) - first
    return turns


def reduceat(ufunc, x, indices, axis=0, dtype=None, out=None):
    """As `ufunc.reduceat`: from each index to the next one, or the element alone where the next is not larger."""
    x = tensor_like(x)
    axis = normalize_axis_index(axis, x.ndim)
    ufunc.reduceat(value(x), indices, axis)  # or NumPy's error
    indices = [int(i) for i in indices]
    rows = moveaxis(x, axis, 0)
    ends = [*indices[1:], len(rows)]
    parts = [rows[i:j] if i < j else rows[i:i + 1] for i, j in zip(indices, ends, strict=True)]
    return moveaxis(concatenate([reduce(ufunc, part, 0, dtype, keepdims=True) for part in parts]), 0, axis)


METHODS = {"reduce": reduce, "accumulate": accumulate, "outer": outer, "reduceat": reduceat}
