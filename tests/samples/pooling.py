"""Samples of what pooling is made of: places of maxima, and sums over windows. What a sample file holds is said in elementwise.py."""

import numpy as np

from gradnerve.ops.pooling import dividing, sliding

from .shapes import values

REAL = [np.float64, np.float32]
ELSEWHERE = {"max_places": "tests/test_nn_pooling.py"}


def windows():
    """Windows of all kinds on rows, planes and volumes."""
    for size in [(7,), (5, 6), (3, 4, 5)]:
        n = len(size)
        for kernel, stride, padding, ceil_mode in [(2, 2, 0, False), (3, 1, 1, False), (2, 3, 1, True), (1, 2, 0, False), (3, 2, 1, True)]:
            yield sliding(size, (kernel,) * n, (stride,) * n, (padding,) * n, (1,) * n, ceil_mode)
        yield dividing(size, (2,) * n)
        yield dividing(size, (4,) * n)


def sums(shape_of):
    """One array for each kind of windows; every third time with examples, and sometimes one that is not contiguous."""
    samples = []
    for k, w in enumerate([*windows(), *windows()]):
        lead = [(2,), (2, 3), (), (0, 2)][k % 4]
        x = values(*lead, *shape_of(w), dtype=REAL[k % 2], seed=k)
        samples.append(((x[..., ::-1] if k % 5 == 0 else x, w), {}))
    return samples


def places():
    """(places, the size of their planes): some of them twice."""
    for k in range(42):
        n = 1 + k % 3
        lead, size, shape = [(2,), (2, 3), ()][k // 3 % 3], (6, 4, 5)[:n], (3, 2, 4)[:n]
        rng = np.random.default_rng(k)
        yield rng.integers(0, np.prod(size), (*lead, *shape)), lead, size, REAL[k % 2]


def take_planes():
    return [((values(*lead, *size, dtype=dtype, seed=k), where, len(size)), {}) for k, (where, lead, size, dtype) in enumerate(places())]


def put_planes():
    samples = [((values(*where.shape, dtype=dtype, seed=k), where, size), {}) for k, (where, _, size, dtype) in enumerate(places())]
    apart = np.array([[4, 0, 3], [1, 2, 5]])
    return samples + [((values(2, 3, dtype=dtype), apart, (6,), False), {}) for dtype in REAL]


SAMPLES = {"take_planes": take_planes, "put_planes": put_planes, "window_sum": lambda: sums(lambda w: w.size),
           "window_spread": lambda: sums(lambda w: w.shape)}  # fmt: skip
