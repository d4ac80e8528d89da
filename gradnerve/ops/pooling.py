"""Pooling: windows on planes, the places of their largest elements, and their sums.

A plane is what the last axes of an array hold, of one channel of one example; all axes before them count planes. A maximum is found
without a derivative (`max_places`), and what stands at places is read by `take_planes`; its derivative adds to these places, `put_planes`, and
the other way round. Sums over windows are linear, and `window_sum` and `window_spread` are each the other's derivative.

Read next: ../nn/functional/pooling.py.
"""

from functools import cached_property, lru_cache
from itertools import product
from math import prod

import numpy as np

from gradnerve.kernels import pooling as kernels
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op


class Windows:
    """Which elements of a plane belong to each window.

    size     of a plane
    first    for each axis an array: along it, window o holds the elements first[o], first[o] + step, ...
    stop     for each axis an array: ... that are below stop[o]; a window holds one element or more
    step     for each axis a number
    regular  (origin, kernel, stride) of the last axis if there, but for what lies outside, window o holds kernel elements from
             origin + o * stride on; or None
    padded   for each axis how many elements each window has with those of the padding around a plane
    shape    how many windows there are along each axis

    The arrays may have axes in front, for windows that differ between planes.
    """

    def __init__(self, size, first, stop, step, regular=None, padded=()):
        self.size, self.first, self.stop, self.step, self.regular, self.padded = tuple(size), first, stop, tuple(step), regular, padded
        self.shape = tuple(a.shape[-1] for a in first)

    @cached_property
    def counts(self):
        """How many elements the largest window has along each axis."""
        return [int(length.max(initial=0)) for length in self.lengths]

    @cached_property
    def lengths(self):
        """For each axis how many elements each window has."""
        return [-((first - stop) // step) for first, stop, step in zip(self.first, self.stop, self.step, strict=True)]

    @cached_property
    def count(self):
        """How many elements a window has: a number, or an array if that differs."""
        return product_of(self.lengths)

    @cached_property
    def padded_count(self):
        return product_of(self.padded)

    @cached_property
    def table(self):
        """`first` and `stop` of all axes, completed to three, one after the other: one row for all planes, or one for each."""
        alone = [np.array([0]), np.array([1])] * (3 - len(self.size))
        lead = self.first[0].shape[:-1]
        parts = [*alone, *(a for pair in zip(self.first, self.stop, strict=True) for a in pair)]
        rows = np.concatenate([np.broadcast_to(a, (*lead, a.shape[-1])) for a in parts], -1)
        return np.ascontiguousarray(rows.reshape(prod(lead), rows.shape[-1]), np.intp)

    @cached_property
    def transposed(self):
        """The windows that each element of a plane belongs to, as windows on what there is for each window; they may be empty."""
        edges = zip(self.first, self.stop, self.size, strict=True)
        first, stop = zip(*[[np.searchsorted(ends, np.arange(size), "right") for ends in (stop, first)] for first, stop, size in edges], strict=True)
        return Windows(self.shape, first, stop, self.step)

    def along(self, axis, k):
        """The k-th element of every window along an axis (the first one where there is none), and whether there is one."""
        ones = (1,) * (len(self.size) - 1 - axis)
        first, stop = (a[axis].reshape(*a[axis].shape[:-1], *(1,) * axis, -1, *ones) for a in (self.first, self.stop))
        place = first + k * self.step[axis]
        return np.where(place < stop, place, first), place < stop

    def elements(self, ks):
        """One element of every window, as a place in the plane, and whether there is one."""
        places, inside = 0, True
        for axis, k in enumerate(ks):
            place, there = self.along(axis, k)
            places, inside = places * self.size[axis] + place, inside & there
        return places, inside


def product_of(lengths):
    """How many elements windows of these lengths have: a number if all have as many."""
    if all(length.size and (length == length[0]).all() for length in lengths):
        return prod(int(length[0]) for length in lengths)
    return prod(np.ix_(*lengths))


def sliding(size, kernel, stride, padding, dilation, ceil_mode):
    """Windows with equal steps from one to the next."""
    first, stop, padded = [], [], []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        start = np.arange(window_count(n, k, s, p, d, ceil_mode)) * s - p
        first.append(start + d * np.maximum(-(start // d), 0))
        stop.append(np.minimum(start + d * (k - 1) + 1, n))
        padded.append(np.minimum(start + k, n + p) - start)
    return Windows(size, first, stop, dilation, (-padding[-1], kernel[-1], stride[-1]), padded)


def window_count(size, kernel, stride, padding, dilation, ceil_mode):
    """How many such windows there are along an axis."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    windows = -(-room // stride) + 1
    return windows - ((windows - 1) * stride >= size + padding)


@lru_cache(512)
def dividing(size, shape):
    """As many windows as `shape` says, which divide planes into parts that are as equal as can be; neighbours may share an element."""
    first = [np.arange(m) * n // max(m, 1) for n, m in zip(size, shape, strict=True)]
    stop = [-(-np.arange(1, m + 1) * n // max(m, 1)) for n, m in zip(size, shape, strict=True)]
    kernel, left = divmod(size[-1], max(shape[-1], 1))
    return Windows(size, first, stop, (1,) * len(size), None if left else (0, kernel, kernel))


def planes(x, n):
    """The last n axes as one."""
    return x.reshape(*x.shape[: x.ndim - n], prod(x.shape[x.ndim - n :]))


# --- places ----------------------------------------------------------------------------------------------------------


def max_places(x, windows):
    """The place of the largest element of every window in its plane: of equal ones the first, of NaN the last."""
    n, best, found = len(windows.size), None, None
    lead = x.shape[: x.ndim - n]
    flat = planes(x, n)
    for ks in product(*map(range, windows.counts)):
        places, inside = windows.elements(ks)
        places = np.broadcast_to(places, (*lead, *windows.shape))
        values = np.take_along_axis(flat, planes(places, n), -1).reshape(places.shape)
        larger = True if best is None else inside & ((values > best) | (values != values))
        best, found = np.where(larger, values, best), np.where(larger, places, found)
    return np.zeros((*lead, *windows.shape), np.int64) if found is None else found.astype(np.int64)


def take_planes(x, places, n):
    """The elements at these places; planes have n axes."""
    return np.take_along_axis(planes(x, n), planes(places, n), -1).reshape(places.shape)


def put_planes(x, places, shape, adds=True):
    """Planes of zeros of the given shape, with x at the places: added up where a place comes twice, or else the last one."""
    flat = np.zeros((*x.shape[: x.ndim - len(shape)], prod(shape)), x.dtype)
    starts = flat.shape[-1] * np.arange(prod(flat.shape[:-1])).reshape(*flat.shape[:-1], 1)
    numbers = planes(places, len(shape)) + starts
    if adds:
        np.add.at(flat.reshape(-1), numbers.reshape(-1), x.reshape(-1))
    else:
        flat.reshape(-1)[numbers.reshape(-1)] = x.reshape(-1)
    return flat.reshape(*flat.shape[:-1], *shape)


max_places  = op(max_places,  fast=kernels.max_places)
take_planes = op(take_planes, fast=kernels.take_planes, linear=True, masks=True, x=lambda g, x_shape, places, n: put_planes(g, places, x_shape[-n:]))
put_planes  = op(put_planes,  fast=kernels.put_planes, linear=True, x=lambda g, places, shape: take_planes(g, places, len(shape)))


# --- sums ------------------------------------------------------------------------------------------------------------


def added(x, windows, axes):
    """Sums over the windows along some axes: for each step along each of them, one element of every window."""
    n = len(windows.size)
    lengths = [windows.shape[k] if k in axes else x.shape[k - n] for k in range(n)]
    total = np.zeros((*x.shape[: x.ndim - n], *lengths), x.dtype)
    for ks in product(*(range(windows.counts[axis]) for axis in axes)):
        total = total + taken(x, windows, axes, ks)
    return total


def taken(x, windows, axes, ks):
    """One element of every window, 0 where it has none."""
    n = len(windows.size)
    for axis, k in zip(axes, ks, strict=True):
        place = windows.first[axis] + k
        inside = place < windows.stop[axis]
        x = np.take(x, np.where(inside, place, 0), axis - n)
        x = np.where(inside.reshape(-1, *(1,) * (n - 1 - axis)), x, 0)
    return x


def window_sum(x, windows):
    """The sum of every window, a contiguous one: down to single rows, and then along them."""
    last = len(windows.size) - 1
    return added(added(x, windows, range(last)), windows, [last])


def window_spread(x, windows):
    """Planes in which every element has the sum of x over the windows that it belongs to."""
    last, windows = len(windows.size) - 1, windows.transposed
    return added(added(x, windows, [last]), windows, range(last))


window_sum    = op(window_sum,    fast=kernels.window_sum,    linear=True, x=lambda g, windows: window_spread(g, windows))
window_spread = op(window_spread, fast=kernels.window_spread, linear=True, x=lambda g, windows: window_sum(g, windows))


# --- many examples at once -------------------------------------------------------------------------------------------


@rule("max_places window_sum window_spread")
def by_planes(call):
    """An axis in front of others that count planes."""
    return call()


@rule("take_planes put_planes", also="places")
def at_places(call):
    return call(x=call.whole("x"), places=call.whole("places"))
