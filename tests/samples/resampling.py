"""Samples of resampling along the last axes. What a sample file holds is said in elementwise.py."""

import numpy as np

from gradnerve.ops.resampling import Taps, picked

from .shapes import DTYPES, values


def mixed(n, m, seed):
    """A map with 0 to 3 taps for each of m elements."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, m)
    places = rng.integers(0, n, counts.sum())
    return Taps(n, np.concatenate([[0], np.cumsum(counts)]), places, rng.integers(-8, 9, counts.sum()) / 4)


def resample():
    samples = []
    for k in range(45):
        shape, dtype = [(4,), (2, 3), (3, 1, 4), (0, 3), (2, 3, 2, 2)][k % 5], DTYPES[k % 3]
        axes = 1 + k % len(shape)
        maps = [mixed(n, 1 + (k + n) % 5, k) if n else None for n in shape[-axes:]]
        if k % 3 == 0:
            maps[-1] = picked(shape[-1], np.random.default_rng(k).integers(0, shape[-1], 6))
        if k % 4 == 1:
            maps[0] = None
        samples.append(((values(*shape, dtype=dtype, seed=k), tuple(maps)), {}))
    return samples


SAMPLES = {"resample": resample}
