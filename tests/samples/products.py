"""Samples of the products of vectors and matrices. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .shapes import BOX, DTYPES, layouts, values

VECTORS = [((3,), (3,)), ((1,), (1,)), ((0,), (0,))]
MATRICES = [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((1, 3), (3, 1)), ((0, 2), (2,))]
STACKS = [(BOX, (4, 5)), (BOX, (2, 4, 5)), (BOX, (1, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((5, 1, 3, 4), (2, 4, 2)), (BOX, (4,)),
          ((4,), (2, 4, 3)),
          ((0, 3, 4), (4, 2)), ((2, 2, 3, 0), (0, 2)), ((4,), (2, 3, 4, 1))]
SCALARS = [((), ()), ((), (3,)), ((2, 3), ()), ((0,), ())]


def pairs(shapes, least=42):
    """Both arguments in all layouts and dtypes by turns; some pairs differ in their dtype."""
    samples = []
    while len(samples) < least:
        for x, y in shapes:
            k = len(samples)
            one, two = DTYPES[k % 3], DTYPES[(k + (k % 4 == 3)) % 3]
            left, right = layouts(*x, dtype=one, seed=k), layouts(*y, dtype=two, seed=k + 1)
            samples.append(((left[k // 3 % len(left)], right[k // 2 % len(right)]), {}))
    return samples


TALL = [((2, 3), (3,)), (BOX, (4,)), ((3,), (2, 3, 4)), (BOX, (5, 4, 2)), ((2, 3), (4, 3, 2)), ((0, 3), (2, 3, 1)), ((2, 0), (3, 0, 2))]
ROWS = [((2, 3), (4, 3)), (BOX, (5, 4)), (BOX, (4,)), ((3,), (2, 3)), ((2, 0), (3, 0)), ((0, 3), (2, 3)), ((1, 3), (2, 2, 3))]
SAMPLES = {
    "matmul": partial(pairs, [*VECTORS, *MATRICES, *STACKS]),
    "dot":    partial(pairs, [*VECTORS, *SCALARS, *MATRICES, *TALL]),
    "inner":  partial(pairs, [*VECTORS, *SCALARS, *ROWS]),
    "outer":  partial(pairs, [*VECTORS, ((2,), (3,)), ((2, 3), (2,)), ((), (3,)), ((), ()), ((0,), (2,)), (BOX, (1, 2))]),
}

TIES = {
    "matmul": [((values(2, 0), values(0, 3)), {}, (np.zeros((2, 0)), np.zeros((0, 3))))],
    "dot": [((np.array([[1.0, 2.0]]), np.array([[3.0], [5.0]])), {}, ([[3.0, 5.0]], [[1.0], [2.0]]))],
}

x, y = values(2, 3), values(2, 3)
ERRORS = {
    "matmul": [((x, y), {}, ValueError, r"matmul: inner sizes differ, 3 != 2\n +x +\(2, 3\) float64\n"), ((x, values(4)), {}, ValueError, ""),
               ((x, values()), {}, ValueError, "matmul"),
               ((values(2, 3, 4), values(3, 4, 2)), {}, ValueError, r"x +\(2, 3, 4\) float64")],
    "dot": [((x, y), {}, ValueError, r"\(2,3\) and \(2,3\) not aligned"), ((x, values(2)), {}, ValueError, "not aligned")],
    "inner": [((x, values(3, 2)), {}, ValueError, "not aligned")],
}
