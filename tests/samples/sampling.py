"""Samples of weighted sums of pixels, and of their counterparts. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from gradnerve.ops.sampling import blend_pixels  # noqa: F401  registers them

from .shapes import DTYPES, values


def samples(names, more=False):
    found = []
    for k in range(45):
        n, channels, pixels, taps, results = [(1, 1, 4, 1, 3), (2, 3, 5, 4, 2), (3, 1, 1, 2, 6), (2, 2, 3, 0, 4), (0, 2, 3, 2, 1)][k % 5]
        shapes = {"x": (n, channels, pixels), "y": (n, channels, results), "weights": (n, taps, results)}
        arrays = [values(*shapes[name], dtype=DTYPES[(k + i * (k % 7 == 6)) % 3], seed=k + i) for i, name in enumerate(names)]
        places = np.random.default_rng(k).integers(-1, pixels, (n, taps, results))
        found.append(((*arrays, places, *([pixels] if more else [])), {}))
    return found


SAMPLES = {
    "blend_pixels": partial(samples, ["x", "weights"]),
    "spread_pixels": partial(samples, ["y", "weights"], True),
    "match_pixels": partial(samples, ["y", "x"]),
}
