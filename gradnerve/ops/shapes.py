"""Operations that move elements and compute nothing: reshape, transpose, join, cut, broadcast, select.

Each is linear, and its derivative moves the elements back. `broadcast_to` and `sum_to` undo one another: what was copied
out is summed back in. Read next: indexing.py, then reductions.py.
"""

import inspect
from itertools import accumulate, pairwise

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from gradnerve._loops import broadcast_view
from gradnerve.ops.define import implements, op
from gradnerve.ops.indexing import getitem
from gradnerve.ops.values import array_of, batched, holds_tensors, stand_in, value


def reshape(x, shape, order="C", *, copy=None):
    if order not in ("C", "F"):
        raise ValueError(f"order {order!r} depends on how x lies in memory; write 'C' (last index fastest) or 'F' (first index fastest)")
    return np.reshape(x, shape, order=order) if copy is None else np.reshape(x, shape, order=order, copy=copy)


def inverse(axes):
    """The axes that undo `transpose(x, axes)`."""
    return None if axes is None else tuple(np.argsort([axis % len(axes) for axis in axes]).tolist())


# fmt: off
reshape     = op(reshape,
                 numpy=np.reshape,      linear=True, x=lambda g, x_shape, order: reshape(g, x_shape, order))
transpose   = op(lambda x, axes=None: np.transpose(x, axes),
                 numpy=np.transpose,    linear=True, x=lambda g, axes: transpose(g, inverse(axes)))
swapaxes    = op(lambda x, axis1, axis2: np.swapaxes(x, axis1, axis2),
                 numpy=np.swapaxes,     linear=True, x=lambda g, axis1, axis2: swapaxes(g, axis1, axis2))
moveaxis    = op(lambda x, source, destination: np.moveaxis(x, source, destination),
                 numpy=np.moveaxis,     linear=True, x=lambda g, source, destination: moveaxis(g, destination, source))
expand_dims = op(lambda x, axis: np.expand_dims(x, axis),
                 numpy=np.expand_dims,  linear=True, x=lambda g, x_shape: reshape(g, x_shape))
squeeze     = op(lambda x, axis=None: np.squeeze(x, axis),
                 numpy=np.squeeze,      linear=True, x=lambda g, x_shape: reshape(g, x_shape))
flip        = op(lambda x, axis=None: np.flip(x, axis),
                 numpy=np.flip,         linear=True, x=lambda g, axis: flip(g, axis))
copy        = op(lambda x, order="K", subok=False: np.copy(x, order, subok),
                 numpy=np.copy,         linear=True, x=lambda g: g)
# fmt: on


def sum_to(x, shape):
    """Sum `x` over the axes that broadcasting from `shape` added or stretched."""
    new = x.ndim - len(shape)
    stretched = (new + i for i, n in enumerate(shape) if n == 1 and x.shape[new + i] != 1)
    return np.add.reduce(x, (*range(new), *stretched), x.dtype).reshape(shape)


broadcast_to = op(lambda x, shape, subok=False: np.broadcast_to(x, shape, subok),
                  numpy=np.broadcast_to, fast=broadcast_view, linear=True, x=lambda g, x_shape: sum_to(g, x_shape))
sum_to       = op(sum_to, linear=True, x=lambda g, x_shape: broadcast_to(g, x_shape))


# The core casts every gradient to the dtype of what it belongs to (and keeps the real part for a real one).
astype       = op(lambda x, dtype, *, copy=True: x.astype(dtype, copy=copy),
                  numpy=getattr(np, "astype", ()), linear=True, x=lambda g: g)


@implements(np.ravel)
def ravel(x, order="C"):
    """All elements in one row, as `np.ravel`; the orders 'A' and 'K' follow how `x` lies in memory."""
    if order in ("C", "F") or batched(x):  # how one of many examples lies in memory is nobody's choice
        return reshape(x, -1, "F" if order == "F" else "C")
    x = x if hasattr(x, "shape") else np.asarray(x)
    places = np.empty_like(np.asarray(x), np.intp, "K")
    places[...] = np.arange(x.size).reshape(x.shape)
    return getitem(reshape(x, -1), np.ravel(places, order))


# --- join ------------------------------------------------------------------------------------------------------------


def piece(g, i, axis, ends):
    """The part of `g` that lies where input `i` was put; `ends` are the places where one input ends and the next begins."""
    axis = axis % g.ndim
    return getitem(g, (slice(None),) * axis + (slice(ends[i - 1] if i else 0, ends[i]),))


def concatenate(*xs, axis=0, ends=(), dtype=None, casting="same_kind"):
    return np.concatenate(xs, axis, dtype=dtype, casting=casting)


def stack(*xs, axis=0, dtype=None, casting="same_kind"):
    return np.stack(xs, axis, dtype=dtype, casting=casting)


_concatenate = op(concatenate, linear=True, xs=piece)
_stack       = op(stack,       linear=True, xs=lambda g, i, axis: getitem(g, (slice(None),) * (axis % g.ndim) + (i,)))


@implements(np.concatenate)
def concatenate(arrays, axis=0, *, dtype=None, casting="same_kind"):
    """Join arrays along an axis, as `np.concatenate`.

    >>> concatenate([[1, 2], [3]])
    array([1, 2, 3])
    """
    arrays = [array_of(x) if holds_tensors(x) else x for x in arrays]
    if axis is None:
        arrays, axis = [ravel(x) for x in arrays], 0
    shapes = [x.shape if hasattr(x, "shape") else np.shape(x) for x in arrays]
    ends = accumulate(shape[axis] if -len(shape) <= axis < len(shape) else 0 for shape in shapes)  # NumPy complains about the rest
    return _concatenate(*arrays, axis=axis, ends=tuple(ends), dtype=dtype, casting=casting)


@implements(np.stack)
def stack(arrays, axis=0, *, dtype=None, casting="same_kind"):
    """Join arrays of one shape along a new axis, as `np.stack`.

    >>> stack([[1, 2], [3, 4]], axis=1)
    array([[1, 3],
           [2, 4]])
    """
    return _stack(*arrays, axis=axis, dtype=dtype, casting=casting)


# --- cut -------------------------------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(x, indices_or_sections, axis=0):
    """Cut an array into parts of nearly equal size, or at the given places, as `np.array_split`.

    >>> array_split(np.arange(5), 2)
    [array([0, 1, 2]), array([3, 4])]
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    axis = normalize_axis_index(axis, x.ndim)
    cuts = [0, *places(indices_or_sections, x.shape[axis])]
    return [getitem(x, (slice(None),) * axis + (slice(begin, end),)) for begin, end in pairwise(cuts)]


def places(indices_or_sections, size):
    """Where the parts of `array_split` end: the first ones are one longer when the size does not divide evenly."""
    if np.ndim(indices_or_sections):
        return [*indices_or_sections, size]
    sections = int(indices_or_sections)
    if sections <= 0:
        raise ValueError("number sections must be larger than 0.")
    each, longer = divmod(size, sections)
    return [(i + 1) * each + min(i + 1, longer) for i in range(sections)]


@implements(np.split)
def split(x, indices_or_sections, axis=0):
    """Cut an array into equal parts, or at the given places, as `np.split`.

    >>> split(np.arange(4), 2)
    [array([0, 1]), array([2, 3])]
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    if not np.ndim(indices_or_sections) and x.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, axis)


# --- move ------------------------------------------------------------------------------------------------------------


def numbered(x):
    """The number of each element, in the shape of `x`."""
    return np.arange(x.size).reshape(x.shape)


class Flat:
    """The elements in one row, to be read and written: what `t.flat` is, as `ndarray.flat`."""

    def __init__(self, base):
        self.base, self.index = base, 0

    def __len__(self):
        return self.base.size

    def __iter__(self):
        return self

    def __next__(self):
        if self.index == self.base.size:
            raise StopIteration
        self.index += 1
        return self[self.index - 1]

    def __getitem__(self, index):
        return reshape(self.base, -1)[index]

    def __setitem__(self, index, values):
        np.empty(self.base.shape, self.base.dtype).flat[value(index)] = stand_in(values)  # or NumPy's error
        places = np.arange(self.base.size)[value(index)]
        if np.size(stand_in(values)):
            values = reshape(cycled(values, places.size), places.shape)
            self.base[np.unravel_index(places, self.base.shape) if self.base.ndim else ...] = values

    def __array__(self, dtype=None, copy=None):
        raise TypeError("t.flat is no array; t.ravel() is one, with its gradient, and t.data.flat has the values")


def cycled(x, count):
    """The first elements of `x` in one row, over and over again."""
    x = reshape(x if hasattr(x, "dtype") else np.asarray(x), -1)
    return x if x.size == count else getitem(x, np.arange(count) % max(x.size, 1))


def moves(function, name="a"):
    """A function of NumPy's that only moves elements of argument `name`: run on their numbers, it tells where each comes from."""
    signature = inspect.signature(function)

    def moved(*args, **kwargs):
        arguments = signature.bind(*args, **kwargs)
        given = arguments.arguments
        if "offset" in given:
            given["offset"] = max(given["offset"], 1 - 2**31)  # np.diagonal negates a C int, and crashes where that cannot be
        if given.get("out") is not None or not holds_tensors((*given.values(),)):  # with `out`, NumPy's protocol comes back here
            return function(*arguments.args, **arguments.kwargs)
        x = array_of(given[name], like=given.values())
        given.update({key: value(given[key]) for key in given if key != name}, **{name: numbered(x)})
        return getitem(reshape(x, -1), function(*arguments.args, **arguments.kwargs))

    moved.__name__, moved.__wrapped__ = function.__name__, function
    moved.__doc__ = f"As `np.{function.__name__}`: the elements in other places."
    return implements(function)(moved)


take, repeat, diagonal, roll = moves(np.take), moves(np.repeat), moves(np.diagonal), moves(np.roll)
rot90, fliplr, flipud = moves(np.rot90, "m"), moves(np.fliplr, "m"), moves(np.flipud, "m")
tile, compress = moves(np.tile, "A"), moves(np.compress)
sliding_window_view = moves(np.lib.stride_tricks.sliding_window_view, "x")


@implements(np.trace)
def trace(x, offset=0, axis1=0, axis2=1, dtype=None):
    """The sum along a diagonal, as `np.trace`.

    >>> trace(np.ones((2, 2))).item()
    2.0
    """
    return np.sum(diagonal(x, offset, axis1, axis2), -1, dtype)


# --- select ----------------------------------------------------------------------------------------------------------


def where(condition, x, y):
    return np.where(condition, x, y)


_where = op(where, linear=True, masks=True, x=lambda g, condition: where(condition, g, 0),
                                             y=lambda g, condition: where(condition, 0, g))


@implements(np.where)
def where(condition, *branches):
    """`x` where the condition holds and `y` elsewhere, as `np.where`; with the condition alone, the indices where it holds.

    >>> where([True, False], [1, 2], [3, 4])
    array([1, 4])
    """
    if len(branches) == 2:
        return _where(condition, *branches)
    return np.where(np.asarray(condition), *map(np.asarray, branches))  # the condition alone, or NumPy's own error
