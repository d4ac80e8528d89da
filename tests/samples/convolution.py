"""Samples of convolutions and their parts. What a sample file holds is said in elementwise.py."""

import math
from functools import partial
from itertools import product

import numpy as np

from gradnerve.ops import convolution

from .shapes import layouts

# spatial shape, filter, (stride, padding, dilation), groups
GEOMETRIES = [
    ((5,), (3,), ((1,), ((1, 1),), (1,)), 1),
    ((6,), (2,), ((2,), ((0, 1),), (2,)), 2),
    ((4,), (3,), ((3,), ((2, 2),), (1,)), 4),
    ((4, 3), (3, 2), ((1, 2), ((1, 0), (2, 2)), (1, 1)), 1),
    ((3, 3), (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)), 2),
    ((3, 4), (2, 2), ((2, 1), ((1, -1), (0, 0)), (1, 2)), 4),
    ((0, 4), (1, 2), ((1, 1), ((1, 0), (0, 0)), (1, 1)), 1),
    ((2, 3, 2), (2, 2, 1), ((1, 1, 2), ((1, 1), (0, 0), (0, 1)), (1, 2, 1)), 1),
]
f32, f64, c128 = np.float32, np.float64, np.complex128
DTYPES = [(f64, f64), (f32, f32), (c128, c128), (f32, f64), (f64, c128)]


def samples(names, options):
    """Every geometry with all dtypes, and layouts by turns; `options` are the names of what follows the arrays and the geometry."""
    found = []
    for k, (dtypes, (size, kernel, geometry, groups)) in enumerate(product(DTYPES, GEOMETRIES)):
        n, channels, filters = 1 + k % 2, 4, 4
        places = convolution.out_size(size, kernel, *geometry)
        shapes = {"x": (n, channels, *size), "weight": (filters, channels // groups, *kernel), "y": (n, filters, *places), "bias": (filters,),
                  "columns": (n, channels * math.prod(kernel), math.prod(places))}  # fmt: skip
        arrays = []
        for name, dtype in zip(names, (*dtypes, dtypes[0]), strict=False):
            fitting = [a for a in layouts(*shapes[name], dtype=dtype, seed=k + len(arrays)) if a.shape == shapes[name]]
            arrays.append(None if name == "bias" and k % 3 else fitting[k % len(fitting)])
        known = {"size": size, "kernel": kernel, "groups": groups}
        found.append(((*arrays, *(known[name] for name in options if name != "groups"), *geometry, *([groups] if "groups" in options else [])), {}))
    return found


SAMPLES = {
    "columns":     partial(samples, ["x"], ["kernel"]),
    "spread":      partial(samples, ["columns"], ["size", "kernel"]),
    "conv":        partial(samples, ["x", "weight", "bias"], ["groups"]),
    "conv_input":  partial(samples, ["y", "weight"], ["size", "groups"]),
    "conv_weight": partial(samples, ["x", "y"], ["kernel", "groups"]),
}
