"""What NumPy lets a ufunc do beside a plain call: `where`, `dtype`, `axes`, and reduce, accumulate, outer, at and reduceat.

A mask is an index, and a fold is the operation over and over: each total is made of the one before and of an element, so that
what flows back is a recurrence, made of the operation's own two derivatives. The values come from NumPy's own method, to the last
bit, also where the derivative is that of the same steps in Python (`exactly`).

Read next: borrowed.py.
"""

import inspect
import math
import re
import warnings

import numpy as np

from gradnerve.ops import reductions
from gradnerve.ops.define import implementations, op
from gradnerve.ops.indexing import getitem, setitem, work_at
from gradnerve.ops.reductions import axes_of, shared
from gradnerve.ops.scans import recurrence, shared_by_numbers
from gradnerve.ops.shapes import astype, broadcast_to, concatenate, moveaxis, numbered, reshape, squeeze, sum_to
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import tensor_like, value

NoValue = np._NoValue
REDUCTIONS = {np.add: reductions.sum, np.multiply: reductions.prod}
SCANS = {np.add: np.cumsum, np.multiply: np.cumprod}
FORGETFUL = {np.power, np.arctan2}  # reduce in NumPy's AVX512 loops, as of NumPy 2.4, forgets all steps but the last
EXTREMES = {np.maximum: shared, np.minimum: shared, np.fmax: shared_by_numbers, np.fmin: shared_by_numbers}


# --- a call ----------------------------------------------------------------------------------------------------------


def call(ufunc, inputs, out=None, *, where=True, dtype=None, signature=None, casting="same_kind", order="K", subok=True, **core):
    """``ufunc(*inputs)`` with NumPy's keywords, of which `order` and `subok` say nothing about the values.

    out   what the result has where the mask does not hold
    core  `axes`, `axis` or `keepdims`, of a ufunc that works on vectors or matrices
    """
    where = True if where is NoValue else where
    signature = core.pop("sig", signature)
    if dtype is not None or signature is not None or casting != "same_kind":
        inputs = converted(ufunc, inputs, dtype, signature, casting)
    if core and not ufunc.signature:
        ufunc(*map(value, inputs), **core)  # NumPy's error
    if core:
        return _with_axes(*map(tensor_like, inputs), ufunc=ufunc, **core)
    if where is True:
        return implementations[ufunc](*inputs)
    if out is None:
        warnings.warn("'where' used without 'out': where it does not hold, the result is 0", UserWarning, stacklevel=3)
    return masked(implementations[ufunc], inputs, value(where), out)


def converted(ufunc, inputs, dtype, signature, casting):
    """The inputs in the dtypes of the loop that NumPy chooses for a dtype of the results, or for a signature like ``"dd->d"``."""
    if signature is None:
        dtype = dtype() if isinstance(dtype, type) and issubclass(dtype, np.dtype) else dtype and np.dtype(dtype)  # as type(x.dtype)
        signature = (*[None] * ufunc.nin, *[dtype] * ufunc.nout)
    elif isinstance(signature, str):
        signature = tuple(map(np.dtype, signature.replace("->", "")))
    given = tuple(type(x) if type(x) in (int, float, complex) else tensor_like(x).dtype for x in inputs)
    wanted = ufunc.resolve_dtypes((*given, *[None] * ufunc.nout), signature=tuple(x and np.dtype(x) for x in signature), casting=casting)
    return [astype(tensor_like(x), to) for x, to in zip(inputs, wanted, strict=False)]


def masked(function, inputs, where, out):
    """The function of the elements for which the mask holds, in their places in `out`."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs), np.shape(where))
    where = np.broadcast_to(where, shape)
    values = function(*(getitem(broadcast_to(x, shape), where) if np.ndim(x) else x for x in inputs))
    placed = [placed_in(out, part, where) for part in (values if isinstance(values, tuple) else [values])]
    return tuple(placed) if isinstance(values, tuple) else placed[0]


def placed_in(out, values, where):
    values = broadcast_to(values, (np.count_nonzero(where),))
    return setitem(np.zeros(where.shape, values.dtype) if out is None else out, where, values)


# --- ufuncs of vectors and matrices that do not lie along the last axes ------------------------------------------------


def core_axes(ufunc, xs, axes, axis, keepdims):
    """For each operand, and for the result, the axes that a ufunc works on, and those that it works on without being told."""
    names = [part.split(",") if part else [] for part in re.findall(r"\(([^)]*)\)", ufunc.signature)]
    missing = {name for x, part in zip(xs, names, strict=False) for name in part if name.endswith("?") and x.ndim < len(part)}
    counts = [len([name for name in part if name not in missing]) for part in names]
    if keepdims:
        counts[-1] = counts[0]
    ends = [tuple(range(-n, 0)) for n in counts]
    axes = [(axis,) * n for n in counts] if axis is not None else [axis if isinstance(axis, tuple) else (axis,) for axis in axes or ends]
    return axes + ends[len(axes):], ends


def with_axes_line(g, i, xs, ufunc, axes, axis, keepdims):
    """The operation's own line, of operands and a gradient that are turned to the last axes; its result is turned back."""
    operation, name = implementations[ufunc], "xy"[i]
    axes, ends = core_axes(ufunc, xs, axes, axis, keepdims)
    x, y, g = (moveaxis(array, axis, end) for array, axis, end in zip((*xs, g), axes, ends, strict=True))
    g = squeeze(g, ends[-1]) if keepdims else g
    known = {"x": x, "y": y, "x_shape": x.shape, "y_shape": y.shape, "g": np.conjugate(g) if operation.analytic else g}
    line = operation.lines[name](**{name: known[name] for name in inspect.signature(operation.lines[name]).parameters})
    line = sum_to(np.conjugate(line) if operation.analytic else line, known[name].shape)
    return moveaxis(line, ends[i], axes[i])


def with_axes(*xs, ufunc=None, axes=None, axis=None, keepdims=False):
    options = {"axes": axes, "axis": axis, "keepdims": keepdims or None}
    return ufunc(*xs, **{name: option for name, option in options.items() if option is not None})


_with_axes = op(with_axes, analytic=False, xs=with_axes_line)


# --- accumulate ------------------------------------------------------------------------------------------------------


def derivative(ufunc, argument, x, y, out):
    """That of a ufunc by one of its arguments, for every element."""
    line = implementations[ufunc].lines[argument]
    known = {"g": np.ones(out.shape, out.dtype), "x": x, "y": y, "out": out}
    found = line(**{name: known[name] for name in inspect.signature(line).parameters})
    return np.zeros(out.shape, out.dtype) if found is None else broadcast_to(found, out.shape)


def accumulate_line(g, x, out, ufunc, axis):
    """What flows back to a total comes from the next total as well: a recurrence, which begins at the end."""
    g, x, out = (moveaxis(part, axis, -1) for part in (g, astype(x, out.dtype), out))
    steps = getitem(out, (..., slice(-1))), getitem(x, (..., slice(1, None))), getitem(out, (..., slice(1, None)))
    by_total, by_element = (derivative(ufunc, name, *steps) for name in "xy")
    totals = recurrence(concatenate([by_total, np.ones((*g.shape[:-1], 1), out.dtype)], -1), g)
    line = concatenate([getitem(totals, (..., slice(1))), by_element * getitem(totals, (..., slice(1, None)))], -1)
    return moveaxis(line, -1, axis)


def accumulate(x, ufunc=None, axis=0, dtype=None):
    return ufunc.accumulate(x, axis, dtype)


_accumulate = op(accumulate, x=accumulate_line)


def accumulate(ufunc, x, axis=0, dtype=None):
    """As `ufunc.accumulate`."""
    x = tensor_like(x)
    if ufunc in SCANS and x.ndim and axis is not None:
        return SCANS[ufunc](x, axis, dtype)
    return running(ufunc, x, axis, dtype) if ufunc in EXTREMES else _accumulate(x, ufunc, axis, dtype)


def running(extreme, x, axis, dtype):
    """The largest (or smallest) element so far; among equals, the gradient belongs to the last."""
    so_far = extreme.accumulate(value(x), axis, dtype)
    x = x if dtype is None else astype(x, dtype)
    values, numbers = value(x), np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    record = (values == so_far) | (values != values) & (so_far != so_far)
    last = np.maximum.accumulate(np.where(record, numbers, 0), axis)
    return getitem(reshape(x, -1), np.take_along_axis(numbered(x), last, axis))


# --- reduce ----------------------------------------------------------------------------------------------------------


def exactly(x, values=None):
    return np.array(values)


# the values that NumPy's own method gave, which may differ from ours in their last bits
exactly = op(exactly, linear=True, x=lambda g: g)


def rows_of(x, axis):
    """All that is reduced to one element in a column, and how many axes these were."""
    axes = axes_of(x.ndim, axis)
    rows = moveaxis(x, axes, range(len(axes)))
    return reshape(rows, (math.prod(rows.shape[:len(axes)]), *rows.shape[len(axes):])), axes


def reduce_line(g, x, x_shape, out, ufunc, axis, dtype, keepdims, initial, where):
    """That of the totals that `accumulate` gives, of which the last one is the result."""
    if ufunc in EXTREMES:
        x = x if dtype is None else astype(x, dtype)
        return EXTREMES[ufunc](g, out, x, x_shape, axis, keepdims, initial, where)
    rows, axes = rows_of(astype(x, out.dtype), axis)
    first = [] if initial is NoValue else [np.full((1, *rows.shape[1:]), initial, out.dtype)]
    rows = concatenate([*first, rows])
    if not len(rows):
        return np.zeros(x_shape, out.dtype)
    last = concatenate([np.zeros((len(rows) - 1, *rows.shape[1:]), out.dtype), reshape(g, (1, *rows.shape[1:]))])
    line = getitem(accumulate_line(last, rows, accumulate(ufunc, rows), ufunc, 0), slice(len(first), None))
    shape = [x_shape[i] for i in axes] + [n for i, n in enumerate(x_shape) if i not in axes]
    return moveaxis(reshape(line, shape), range(len(axes)), axes)


def folded(ufunc, x, axis, initial, where, shape):
    """Step by step."""
    rows, axes = rows_of(x, axis)
    if initial is not NoValue:
        rows = concatenate([np.full((1, *rows.shape[1:]), initial, x.dtype), rows])
    if where is True:
        return reshape(getitem(accumulate(ufunc, rows), -1), shape)
    masks = np.moveaxis(np.broadcast_to(where, x.shape), axes, range(len(axes))).reshape(len(rows) - 1, *rows.shape[1:])
    total = rows[0]
    for mask, row in zip(masks, rows[1:], strict=True):
        total = select(mask, implementations[ufunc](total, row), total)
    return reshape(total, shape)


def reduce(x, ufunc=None, axis=0, dtype=None, keepdims=False, initial=NoValue, where=True):
    values = ufunc.reduce(x, axis, dtype, None, keepdims, initial, where)
    return values if ufunc not in FORGETFUL else folded(ufunc, x.astype(values.dtype), axis, initial, where, np.shape(values))


_reduce = op(reduce, masks=lambda ufunc: ufunc in EXTREMES, x=reduce_line)


def reduce(ufunc, x, axis=0, dtype=None, keepdims=False, initial=NoValue, where=True):
    """As `ufunc.reduce`."""
    x, where = tensor_like(x), value(where)
    if initial is None:  # NumPy's word for: start with the first element, whatever the identity
        ufunc.reduce(value(x), axis, dtype, None, keepdims, None, where)  # or NumPy's error
        initial = NoValue
    if ufunc in REDUCTIONS:
        return REDUCTIONS[ufunc](x, axis, dtype, keepdims=keepdims, initial=initial, where=where)
    values = _reduce(x, ufunc, axis, dtype, keepdims, initial, where)
    if where is True or ufunc in EXTREMES:
        return values
    initial = ufunc.identity if initial is NoValue else initial
    return exactly(folded(ufunc, astype(x, values.dtype), axis, initial, where, values.shape), value(values))


# --- outer, at, reduceat ---------------------------------------------------------------------------------------------


def outer(ufunc, x, y, **options):
    """As `ufunc.outer`."""
    if ufunc.signature:
        return ufunc.outer(value(x), value(y))  # NumPy's error
    x = tensor_like(x)
    return call(ufunc, (reshape(x, x.shape + (1,) * np.ndim(y)), y), **options)


def at(ufunc, x, indices, *other):
    """The value that ``ufunc.at(x, indices, *other)`` leaves in `x`; a place that is named k times is worked on k times."""
    values = np.array(value(x))
    work_at(ufunc, values, indices, *map(value, other))
    places = numbered(x)[indices]
    flat, other = reshape(x, -1), [reshape(broadcast_to(y, places.shape), -1) for y in other]
    places = places.reshape(-1)
    turns = turn(places)
    for k in range(turns.max(initial=-1) + 1):
        now = turns == k
        flat = setitem(flat, places[now], implementations[ufunc](getitem(flat, places[now]), *(getitem(y, now) for y in other)))
    return exactly(reshape(flat, x.shape), values)


def turn(places):
    """For each place, how often it was named before."""
    order = np.argsort(places, kind="stable")
    in_order = places[order]
    first = np.searchsorted(in_order, in_order)
    turns = np.empty_like(places)
    turns[order] = np.arange(len(places)) - first
    return turns


def reduceat(ufunc, x, indices, axis=0, dtype=None):
    """As `ufunc.reduceat`: from each index to the next one, or the element alone where the next is not larger."""
    values = ufunc.reduceat(value(x), value(indices), axis, dtype)  # or NumPy's error
    rows = moveaxis(x, axis, 0)
    begins = np.asarray(value(indices)).tolist()
    ends = [*begins[1:], len(rows)]
    parts = [reduce(ufunc, rows[i:j] if i < j else rows[i:i + 1], 0, dtype, keepdims=True) for i, j in zip(begins, ends, strict=True)]
    steps = moveaxis(concatenate(parts) if parts else rows[:0], 0, axis)
    return steps if ufunc in FORGETFUL else exactly(steps, values)


METHODS = {"reduce": reduce, "accumulate": accumulate, "outer": outer, "reduceat": reduceat}
