"""Arrays put together of others: pad, choose, select, diag, vander...

Nothing here has a derivative of its own: what only moves is done with element numbers, and the rest is written with operations
that have one, or is NumPy's own code.

Read next: borrowed.py, ../creation.py.
"""

import math
from functools import wraps

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradnerve.ops.borrowed import borrowed, special
from gradnerve.ops.define import implements
from gradnerve.ops.indexing import getitem, setitem
from gradnerve.ops.shapes import astype, broadcast_to, concatenate, diagonal, moveaxis, numbered, reshape, where
from gradnerve.ops.values import any_tensor, array_of, holds_tensors, stand_in, value

# --- borrowed code ---------------------------------------------------------------------------------------------------

special["numpy._core.shape_base"] = {"_concatenate": np.concatenate}  # NumPy goes around its own protocol here
special["numpy.lib._stride_tricks_impl"] = {"_broadcast_to": lambda x, shape, **_: broadcast_to(x, shape)}


def anywhere(function):
    """A borrowed function that also takes Tensors where NumPy does not look for them."""

    @wraps(function)
    def ours(*args, **kwargs):
        return (borrowed(function) if holds_tensors((*args, *kwargs.values())) else function)(*args, **kwargs)

    ours.__doc__ = f"As `np.{function.__name__}`, with Tensors in any place."
    return implements(function)(ours)


for _name in {"row_stack"} & set(dir(np)):  # a second name, which NumPy is going to drop
    implements(getattr(np, _name))(np.vstack)

select, piecewise = anywhere(np.select), anywhere(np.piecewise)


# --- choose ----------------------------------------------------------------------------------------------------------


@implements(np.choose)
def choose(a, choices, mode="raise"):
    """From which of the choices each element comes, `a` says; as `np.choose`.

    >>> choose([1, 0], [[1, 2], [3, 4]])
    array([3, 2])
    """
    a = value(a)
    if not holds_tensors([choices]):
        return np.choose(a, choices, mode=mode)
    choices = [array_of(x) if holds_tensors(x) else x for x in choices]
    out = np.zeros((), np.choose(a, [value(x) for x in choices], mode=mode).dtype)
    taken = np.choose(a, range(len(choices)), mode=mode)
    for k, x in enumerate(choices):
        out = where(taken == k, x, out)
    return out


@implements(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """The results of a function of one row, for every row along an axis, as `np.apply_along_axis`.

    >>> apply_along_axis(np.sum, 1, [[1, 2], [3, 4]])
    array([3, 7])
    """
    if not any_tensor(arr):
        return np.apply_along_axis(func1d, axis, arr, *args, **kwargs)
    lines = moveaxis(arr, axis, -1)
    results = [array_of(func1d(row, *args, **kwargs), like=[arr]) for row in rows(lines)]
    if not results:
        raise ValueError(f"apply_along_axis: an array of shape {arr.shape} has no row along axis {axis}")
    first, axis = results[0], axis % arr.ndim
    out = np.stack([broadcast_to(astype(x, first.dtype, copy=False), first.shape) for x in results])
    out = reshape(out, lines.shape[:-1] + first.shape)
    return moveaxis(out, range(lines.ndim - 1, out.ndim), range(axis, axis + first.ndim))


def rows(x):
    """All rows along the last axis."""
    return list(reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])))


@implements(*(getattr(np, name) for name in ("unstack",) if hasattr(np, name)))  # NumPy 2.0 has none
def unstack(x, /, *, axis=0):
    """The slices along an axis, as `np.unstack`.

    >>> unstack(np.array([[1, 2], [3, 4]]), axis=1)
    (array([1, 3]), array([2, 4]))
    """
    if not any_tensor(x) or not x.ndim:
        return np.unstack(value(x), axis=axis)  # or NumPy's error
    axis = normalize_axis_index(axis, x.ndim)
    return tuple(getitem(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis]))


# --- matrices --------------------------------------------------------------------------------------------------------


@implements(np.diag)
def diag(v, k=0):
    """A matrix with the elements of `v` on a diagonal, or the diagonal of a matrix, as `np.diag`.

    >>> diag([1, 2])
    array([[1, 0],
           [0, 2]])
    """
    if not any_tensor(v) or v.ndim != 1:
        return diagonal(v, k) if np.ndim(v) == 2 else np.diag(value(v), k)  # or NumPy's error
    n = v.size + abs(k)
    begin = k if k > 0 else -k * n
    return reshape(setitem(np.zeros(n * n, v.dtype), slice(begin, begin + (v.size - 1) * (n + 1) + 1, n + 1), v), (n, n))


@implements(np.diagflat)
def diagflat(v, k=0):
    """A matrix with all elements of `v` on a diagonal, as `np.diagflat`.

    >>> diagflat([[1], [2]], 1).shape
    (3, 3)
    """
    return diag(reshape(v, -1), k) if any_tensor(v) else np.diagflat(v, k)


@implements(np.vander)
def vander(x, N=None, increasing=False):
    """The powers of the elements of `x`, a row for each, as `np.vander`.

    >>> vander([2, 3], 3)
    array([[4, 2, 1],
           [9, 3, 1]])
    """
    made = np.vander(stand_in(x), N, increasing)  # or NumPy's error
    if not any_tensor(x):
        return made
    x = astype(x, made.dtype, copy=False)
    powers = np.multiply.accumulate(broadcast_to(reshape(x, (-1, 1)), made[:, 1:].shape), axis=1)
    powers = concatenate([np.ones_like(made[:, :1]), powers], 1)
    return powers if increasing else powers[:, ::-1]


# --- pad -------------------------------------------------------------------------------------------------------------


@implements(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    """An array with more elements at the ends of its axes, as `np.pad`.

    constant_values, end_values  may be Tensors
    mode                         a function works in place on Tensors, line by line, as NumPy calls it for arrays

    >>> pad([1, 2, 3], (2, 1), "reflect")
    array([3, 2, 1, 2, 3, 2])
    """
    if not holds_tensors((array, *kwargs.values())):
        return np.pad(array, pad_width, mode, **kwargs)
    x = array_of(array)
    if callable(mode):
        return padded_by(mode, x, pad_width, kwargs)
    if mode in ("edge", "wrap", "reflect", "symmetric") and kwargs.get("reflect_type", "even") == "even":
        return getitem(reshape(x, -1), np.pad(numbered(x), pad_width, mode, **kwargs))
    if mode in ("constant", "empty") and not holds_tensors([*kwargs.values()]):
        return setitem(np.pad(stand_in(x), pad_width, mode, **kwargs), middle(x.shape, pad_width), x)
    return borrowed(np.pad)(x, pad_width, mode, **kwargs)


def widths(pad_width, ndim):
    """How many elements come before and after those of each axis."""
    if isinstance(pad_width, dict):
        pairs = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            pairs[axis] = width if isinstance(width, tuple) else (width, width)
        return pairs
    return [tuple(pair) for pair in np.broadcast_to(pad_width, (ndim, 2)).tolist()]


def middle(shape, pad_width):
    """Where the elements of an array of this shape are when it is padded."""
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, widths(pad_width, len(shape)), strict=True))


def padded_by(function, x, pad_width, kwargs):
    """`pad` with a function that fills the ends of each line along each axis, in place."""
    out = pad(x, pad_width)
    for axis, width in enumerate(widths(pad_width, x.ndim)):
        lines = moveaxis(out, axis, -1)
        written = rows(lines)
        for row in written:
            function(row, width, axis, kwargs)
        out = moveaxis(reshape(np.stack(written), lines.shape), -1, axis) if written else out
    return out


class Part:
    """A view of a Tensor: what is written into it is written into the Tensor."""

    def __init__(self, whole, index):
        self.whole, self.index = whole, index

    shape = property(lambda self: self.whole[self.index].shape)
    dtype = property(lambda self: self.whole.dtype)

    def __getitem__(self, index):
        return self.whole[self.index][index]

    def __setitem__(self, index, values):
        part = self.whole[self.index].copy()
        part[index] = values
        self.whole[self.index] = part


def view_without_corners(padded, original, axis):
    """`_view_roi` of NumPy's."""
    return Part(padded, (slice(None),) * (axis + 1) + original[axis + 1:])


def as_pairs(x, ndim, as_index=False):
    """`_as_pairs` of NumPy's, which finds two values for each axis."""
    theirs = np.lib._arraypad_impl._as_pairs
    if not any_tensor(x) and not holds_tensors(x):
        return theirs(x, ndim, as_index)
    x = array_of(x)
    return [[reshape(x, -1)[place] for place in pair] for pair in theirs(numbered(x), ndim)]


special["numpy.lib._arraypad_impl"] = {"_view_roi": view_without_corners, "_as_pairs": as_pairs}
