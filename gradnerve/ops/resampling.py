"""Resampling along axes: every element of the result is a weighted sum of a few elements of the same row.

Interpolation, and padding that repeats what is there, are such maps. Their transpose, which the derivative needs, is one as well, so that
one operation has derivatives of any order.

Read next: sampling.py.
"""

from functools import cached_property

import numpy as np

from gradnerve.kernels import resampling as kernel
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op


class Taps:
    """A linear map along an axis, as a sparse matrix in rows.

    size     elements that it reads
    starts   (n + 1,): the taps of element j of the result are those from starts[j] to starts[j + 1]
    places   (taps,): where each tap reads
    weights  (taps,) float64: what it reads is multiplied by this; None stands for one tap of weight 1 for each element

    >>> from gradnerve.ops.resampling import Taps, resample
    >>> halves = Taps(4, np.array([0, 2, 4]), np.arange(4), np.full(4, 0.5))
    >>> resample(np.array([1.0, 3.0, 5.0, 7.0]), (halves,))
    array([2., 6.])
    """

    def __init__(self, size, starts, places, weights=None):
        if len(places) and not 0 <= places.min() <= places.max() < size:  # the kernel relies on it
            raise IndexError(f"Taps: places must be from 0 to {size - 1}, not {places.min()} to {places.max()}")
        self.size, self.starts, self.places, self.weights = size, starts, places, weights

    def __repr__(self):
        return f"Taps of {self.size}: {self.starts}, {self.places}, {self.weights}"

    @cached_property
    def transposed(self):
        n = len(self.starts) - 1
        rows = np.repeat(np.arange(n), np.diff(self.starts))
        order = np.argsort(self.places, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.places, minlength=self.size))])
        weights = np.ones(n) if self.weights is None else self.weights
        other = Taps(n, starts, rows[order], weights[order])
        other.transposed = self
        return other

    def along(self, x, axis):
        """The map, applied to all rows along an axis that is counted from the front."""
        out = x.take(self.places, axis)
        if self.weights is None:
            return out
        behind = (1,) * (x.ndim - 1 - axis)
        out *= self.weights.astype(x.dtype).reshape(-1, *behind)
        filled = self.starts[:-1] < self.starts[1:]
        sums = np.add.reduceat(out, self.starts[:-1][filled], axis) if filled.any() else 0
        if filled.all():
            return sums
        out = np.zeros((*x.shape[:axis], len(filled), *x.shape[axis + 1 :]), x.dtype)
        out[(slice(None),) * axis + (filled,)] = sums
        return out


def picked(size, places):
    """The map that reads one element for each of the result.

    >>> from gradnerve.ops.resampling import picked, resample
    >>> resample(np.array([1.0, 2.0]), (picked(2, np.array([1, 0, 1])),))
    array([2., 1., 2.])
    """
    return Taps(size, np.arange(len(places) + 1), places)


def transposed(maps):
    return tuple(taps and taps.transposed for taps in maps)


def in_turn(along, x, maps):
    """A map along each of the last axes; None leaves one as it is."""
    first = x.ndim - len(maps)
    growth = lambda k: len(maps[k].starts) / maps[k].size
    for k in sorted((k for k, taps in enumerate(maps) if taps), key=growth):  # what shrinks comes first, so that there is less to do
        x = along(x, maps[k], first + k)
        if x is None:
            return None
    return x[...]


def resample(x, maps):
    return in_turn(lambda x, taps, axis: taps.along(x, axis), x, maps)


def by_kernel(x, maps):
    return in_turn(kernel.along, x, maps)


def adjoint(g, maps):
    return resample(g, transposed(maps))


resample = op(resample, fast=by_kernel, linear=True, x=adjoint, many={"x": adjoint})


@rule("resample")
def resampled(call):
    """The axes are counted from the end."""
    return call()
