"""Cumulative products, sorting, what ignores NaN, and sums over bins and between points.

Order does not compute: sorting moves elements, and a median or a quantile, which is NumPy's own code, reads a few of them.

Read next: network.py.
"""

import math
import warnings

import numpy as np
from numpy.lib._function_base_impl import compiled_interp, compiled_interp_complex
from numpy.lib.array_utils import normalize_axis_tuple

from gradnerve.ops.borrowed import borrowed, special
from gradnerve.ops.define import implements, op
from gradnerve.ops.indexing import getitem, scatter
from gradnerve.ops.reductions import NoValue, max, min, root, shared
from gradnerve.ops.shapes import astype, concatenate, expand_dims, moveaxis, numbered, ravel, reshape, stack
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import any_tensor, batched, of_all_examples, stand_in, value

# --- cumulative products ---------------------------------------------------------------------------------------------


def recurrence(x, g):
    """The `s` with ``s[i] = g[i] + x[i] * s[i + 1]`` along the last axis, and 0 after the end.

    Two steps are one step of the same kind, so that every second `s` is found in a sequence half as long; the others follow.
    """
    if g.shape[-1] < 2:
        return g
    none = np.zeros((*g.shape[:-1], 1), g.dtype)
    if g.shape[-1] % 2:
        return recurrence(concatenate([x, none], -1), concatenate([g, none], -1))[..., :-1]
    x_even, x_odd, g_even, g_odd = x[..., ::2], x[..., 1::2], g[..., ::2], g[..., 1::2]
    even = recurrence(x_even * x_odd, g_even + x_even * g_odd)
    odd = g_odd + concatenate([x_odd[..., :-1] * even[..., 1:], none], -1)
    return reshape(stack([even, odd], -1), g.shape)


def cumprod_line(g, x, x_shape, out, axis):
    """The product of all before an element, times what follows it: ``s[i] = g[i] + x[i + 1] * s[i + 1]``."""
    axis, x = axis or 0, astype(x, out.dtype)
    g, x, out = (moveaxis(part, axis, -1) for part in (g, reshape(x, out.shape), out))
    one = np.ones((*out.shape[:-1], 1), out.dtype)
    before, after = concatenate([one, out[..., :-1]], -1), concatenate([x[..., 1:], 0 * one], -1)
    return reshape(moveaxis(before * recurrence(after, g), -1, axis), x_shape)


cumprod = op(lambda x, axis=None, dtype=None: np.cumprod(x, axis, dtype), numpy=np.cumprod, x=cumprod_line)


# --- order -----------------------------------------------------------------------------------------------------------


def order(x, axis):
    """Where the smallest element along an axis is, the next, and so on; equal ones in the order in which they stand."""
    places = np.argsort(x, axis)
    ascending = np.moveaxis(np.take_along_axis(x, places, axis), axis, 0)
    if (ascending[:-1] < ascending[1:]).all():
        return places
    return np.argsort(x, axis, kind="stable")  # the fast way puts equal elements in an order that depends on the processor


def home(g, x, x_shape, out, axis):
    """Each element's gradient from where it went: the k-th smallest of `x` is the k-th smallest of the result."""
    x, out, axis = value(x).reshape(out.shape), value(out), -1 if axis is None else axis
    places = np.empty(out.shape, np.intp)
    np.put_along_axis(places, order(x, axis), np.take_along_axis(numbered(out), order(out, axis), axis), axis)
    return reshape(getitem(reshape(g, -1), places), x_shape)


# fmt: off
sort      = op(lambda x, axis=-1, kind=None, order=None, *, stable=None: np.sort(x, axis, kind, order, stable=stable),
               numpy=np.sort,      linear=True, x=home)
partition = op(lambda x, kth, axis=-1, kind="introselect", order=None: np.partition(x, kth, axis, kind, order),
               numpy=np.partition, linear=True, x=home)
# fmt: on


@implements(np.ptp)
def ptp(x, axis=None, *, keepdims=False):
    """From the smallest to the largest element along axes, as `np.ptp`.

    >>> int(ptp([3, 1, 2]))
    2
    """
    return np.subtract(max(x, axis, keepdims=keepdims), min(x, axis, keepdims=keepdims))


# --- without NaN -----------------------------------------------------------------------------------------------------


def nanmax(x, axis=None, *, keepdims=False, initial=NoValue, where=True):
    return np.nanmax(x, axis, None, keepdims, initial, where)


def nanmin(x, axis=None, *, keepdims=False, initial=NoValue, where=True):
    return np.nanmin(x, axis, None, keepdims, initial, where)


def shared_by_numbers(g, out, x, x_shape, axis, keepdims, initial, where):
    """As for `max`, among the elements that are not NaN."""
    return shared(g, out, x, x_shape, axis, keepdims, initial, np.logical_and(value(x) == value(x), where))


nanmax = op(nanmax, numpy=np.nanmax, linear=True, masks=True, x=shared_by_numbers)
nanmin = op(nanmin, numpy=np.nanmin, linear=True, masks=True, x=shared_by_numbers)


@implements(np.nanstd)
def nanstd(x, axis=None, dtype=None, *, ddof=0, keepdims=NoValue, where=NoValue, mean=NoValue, correction=NoValue):
    """The standard deviation without NaN, as `np.nanstd`.

    >>> float(nanstd([1, np.nan, 3]))
    1.0
    """
    return root(np.nanvar(x, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def by_count(statistic, x, axis, keepdims):
    """A statistic of the rows along the axes without their NaN, of all rows with as many numbers at once."""
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    rows = moveaxis(x, axes, range(-len(axes), 0))
    outer = rows.shape[:x.ndim - len(axes)]
    rows = reshape(rows, (math.prod(outer), -1))
    missing = np.isnan(value(rows))
    counts = rows.shape[1] - np.count_nonzero(missing, -1)
    numbers_first = np.argsort(missing, -1, kind="stable")
    members = [np.flatnonzero(counts == count) for count in np.unique(counts)]
    parts = [statistic(numbers(rows, of_count, numbers_first[of_count, :counts[of_count[0]]])) for of_count in members]
    out = getitem(concatenate(parts, -1), (..., np.argsort(np.concatenate(members))))
    out = astype(out, x.dtype) if not counts[0] else out  # NumPy makes the result from that of the first row
    out = reshape(out, (*out.shape[:-1], *outer))
    return expand_dims(out, tuple(out.ndim - len(outer) + i for i in axes)) if keepdims else out


def numbers(rows, members, columns):
    """The elements of some rows in some columns; a single NaN where there are no columns."""
    if columns.size:
        return getitem(rows, (members[:, None], columns))
    warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=5)
    return np.full((len(members), 1), np.nan, rows.dtype, like=rows)


@implements(np.nanmedian)
def nanmedian(x, axis=None, overwrite_input=False, keepdims=False):
    """The median without NaN, as `np.nanmedian`.

    >>> float(nanmedian([1, np.nan, 5, 3]))
    3.0
    """
    if not any_tensor(x) or batched(x):
        return np.nanmedian(x, axis, None, overwrite_input, keepdims)
    return by_count(lambda rows: np.median(rows, -1), x, axis, keepdims) if x.size else np.nanmean(x, axis, keepdims=keepdims)


def nanquantiles(name, example):
    """`nanquantile` or `nanpercentile`."""
    theirs, complete = getattr(np, name), getattr(np, name.removeprefix("nan"))

    @implements(theirs)
    def ours(x, q, axis=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
        if not any_tensor(x, q, weights) or batched(x, q, weights):
            return theirs(x, q, axis, None, overwrite_input, method, keepdims, weights=weights)
        x = x if hasattr(x, "dtype") else np.asarray(x)
        if weights is not None or not x.size or x.dtype.kind == "c":  # the last is an error
            return borrowed(theirs)(x, q, axis, None, False, method, keepdims, weights=weights)
        return by_count(lambda rows: complete(rows, q, -1, method=method), x, axis, keepdims)

    ours.__name__ = name
    ours.__doc__ = f"""The same without NaN, as `np.{name}`.\n\n    >>> float({example})\n    3.0\n    """
    return ours


nanquantile   = nanquantiles("nanquantile", "nanquantile([1, np.nan, 5, 3], 0.5)")
nanpercentile = nanquantiles("nanpercentile", "nanpercentile([1, np.nan, 5, 3], 50)")


# --- bins and points -------------------------------------------------------------------------------------------------


def bincount(x, weights, minlength):
    return np.bincount(x, weights, minlength)


_bincount = op(bincount, linear=True, weights=lambda g, x: getitem(g, np.asarray(value(x), int)))


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """How often each integer is in `x`, or the sum of the weights of its places, as `np.bincount`.

    >>> bincount([0, 2, 2], [1.0, 2.0, 3.0])
    array([1., 0., 5.])
    """
    numbers = np.asarray(of_all_examples(x))
    if numbers.dtype.kind == "i" and numbers.max(initial=0) == np.iinfo(np.intp).max:  # NumPy would make one bin more, none, and write beyond it
        raise ValueError(f"bincount: x has the number {numbers.max()}; there cannot be so many bins")
    return _bincount(x, weights, minlength) if any_tensor(weights) else np.bincount(value(x), weights, minlength)


def between(x, xp):
    """For each `x`, the numbers of the points before and after it, and how far from the one to the other it is: 0 to 1, also outside."""
    last, places = len(xp) - 1, value(x)
    before = np.clip(np.searchsorted(value(xp), places, "right") - 1, 0, last - bool(last))
    after = np.minimum(before + 1, last)
    start, width = getitem(xp, before), step(xp, before, after)
    t = (select(inside(x, xp), x, start) - start) / width
    return before, after, t + (places > value(xp)[-1])


def inside(x, xp):
    """Which `x` are among the points."""
    x, xp = value(x), value(xp)
    return np.logical_and(xp[0] <= x, x <= xp[-1])


def step(x, before, after):
    """From one point to another, or 1 where they are the same."""
    width = getitem(x, after) - getitem(x, before)
    return select(value(width) == 0, 1, width)


def slope(g, x, xp, fp):
    """At an `x` between two points, how fast the line between them rises; at a point, the line that begins there, and at the last that ends there."""
    before, after, _ = between(x, xp)
    return select(inside(x, xp), g * (getitem(fp, after) - getitem(fp, before)) / step(xp, before, after), 0)


def shares(g, x, xp):
    """What is between two points goes to both, the more to the nearer one."""
    before, after, t = between(x, xp)
    return scatter(g * (1 - t), xp.shape, before) + scatter(g * t, xp.shape, after)


def interp_fp(g, x, xp, left, right):
    """Outside the points it is the value of the first or the last one that counts, unless another was given."""
    counts = inside(x, xp)
    counts = counts if left is not None else np.logical_or(counts, value(x) < value(xp)[0])
    counts = counts if right is not None else np.logical_or(counts, value(x) > value(xp)[-1])
    return shares(select(counts, g, 0), x, xp)


def interp(x, xp, fp, left=None, right=None):
    return (compiled_interp_complex if np.iscomplexobj(fp) else compiled_interp)(x, xp, fp, left, right)


interp = op(interp, masks=True, x=slope,
                    xp=lambda g, x, xp, fp: shares(-slope(g, x, xp, fp), x, xp),
                    fp=interp_fp,
                    left=lambda g, x, xp: select(value(x) < value(xp)[0], g, 0),
                    right=lambda g, x, xp: select(value(x) > value(xp)[-1], g, 0))


def interp_of_arrays(x, xp, fp, left, right):
    """What borrowed code calls in place of NumPy's C functions."""
    return interp(*(a if hasattr(a, "dtype") else np.asarray(a) for a in (x, xp, fp)), left, right)


special["numpy.lib._function_base_impl"] = {"compiled_interp": interp_of_arrays, "compiled_interp_complex": interp_of_arrays}


# --- differences -----------------------------------------------------------------------------------------------------


@implements(np.ediff1d)
def ediff1d(x, to_end=None, to_begin=None):
    """The differences between consecutive elements, with others before and behind, as `np.ediff1d`.

    >>> ediff1d([1, 2, 4], to_begin=7)
    array([7, 1, 2])
    """
    expected = np.ediff1d(*map(stand_in, (x, to_end, to_begin)))  # or NumPy's error
    if not any_tensor(x, to_end, to_begin):
        return expected
    x = ravel(x)
    parts = [part if part is None else astype(ravel(part), expected.dtype) for part in (to_begin, x[1:] - x[:-1], to_end)]
    return concatenate([part for part in parts if part is not None])


def of_value(x, value):
    """What NumPy computes in another way than we differentiate it."""
    return value


of_value = op(of_value, linear=True, x=lambda g: g)


def uneven(f, x, axis, edge_order):
    """The derivative along an axis at the places `x`: that of the parabola through three points, and at the ends of a line, or it, too."""
    f, steps = moveaxis(f, axis, -1), np.diff(x)
    slopes = np.diff(f) / steps
    bends = np.diff(slopes) / (steps[1:] + steps[:-1])
    middle = slopes[..., :-1] + bends * steps[:-1]
    first, last = slopes[..., :1], slopes[..., -1:]
    if edge_order == 2:
        first, last = first - bends[..., :1] * steps[0], last + bends[..., -1:] * steps[-1]
    return moveaxis(concatenate([first, middle, last], -1), -1, axis)


@implements(np.gradient)
def gradient(f, *spacing, axis=None, edge_order=1):
    """The slope of a sampled function along each axis, as `np.gradient`; also differentiable by the places of the samples.

    >>> gradient([1.0, 4.0, 9.0])
    array([3., 4., 5.])
    """
    if not any_tensor(f, *spacing):
        return np.gradient(f, *spacing, axis=axis, edge_order=edge_order)
    outs = borrowed(np.gradient)(f, *spacing, axis=axis, edge_order=edge_order)
    if not any(any_tensor(x) and x.ndim for x in spacing):
        return outs
    axes = normalize_axis_tuple(range(np.ndim(f)) if axis is None else axis, np.ndim(f))
    # for even steps NumPy has a shorter formula, whose derivative by the places is another one
    outs = [of_value(uneven(f, x, axis, edge_order), value(out)) if any_tensor(x) and x.ndim else out
            for out, axis, x in zip(outs if len(axes) > 1 else [outs], axes, spacing, strict=True)]  # fmt: skip
    return tuple(outs) if len(outs) > 1 else outs[0]


@implements(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """The covariance matrix of the rows, as `np.cov`.

    >>> cov([1, 2, 4], [2, 4, 6]).tolist()
    [[2.3333333333333335, 3.0], [3.0, 4.0]]
    """
    function = borrowed(np.cov) if any_tensor(m, y, fweights, aweights) else np.cov
    if any_tensor(aweights) and fweights is not None:  # NumPy multiplies the one by the other in place
        fweights = np.asarray(fweights, float, like=aweights)
    return function(m, y, rowvar, bias, ddof, fweights, aweights, dtype=dtype)


@implements(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """The correlation coefficients of the rows, as `np.corrcoef`.

    >>> corrcoef([1, 2, 3], [2, 4, 7]).round(3)
    array([[1.   , 0.993],
           [0.993, 1.   ]])
    """
    if not any_tensor(x, y):
        return np.corrcoef(x, y, rowvar, dtype=dtype)
    out = borrowed(np.corrcoef)(x, y, rowvar, dtype=dtype)
    # NumPy clips a complex array by writing into its parts, which are copies here
    return np.clip(np.real(out), -1, 1) + 1j * np.clip(np.imag(out), -1, 1) if out.dtype.kind == "c" else out
