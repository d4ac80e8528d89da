"""Samples of NumPy's functions of polynomials. What a sample file holds is said in elementwise.py; numpy.polynomial is in ../test_polynomial.py."""

from functools import partial
from operator import attrgetter

import numpy as np

import gradnerve as gn

from .products import pairs
from .shapes import BOX, DTYPES, cross, layouts, plain, values

TWO = [((3,), (3,)), ((4,), (2,)), ((2,), (4,)), ((1,), (3,)), ((1,), (1,)), ((), (3,))]
KINDS = ["polynomial.polycompanion", "chebyshev.chebcompanion", "legendre.legcompanion", "laguerre.lagcompanion", "hermite.hermcompanion",
         "hermite_e.hermecompanion"]


def companion():
    """Coefficients of all kinds of polynomials, of degree 1 to 4; 0 as the last ones does not count."""
    samples = []
    for k in range(42):
        c = layouts(2 + k // 6 % 4, dtype=DTYPES[k // 2 % 3], seed=k)[k % 4]
        samples.append(((KINDS[k % 6], c), {}))
    return samples


def polyint():
    constants = pairs([((3,), (2,)), ((2,), (2,)), ((1,), (2,))], least=9)
    return [((p, 2, k), {}) for (p, k), _ in constants] + cross([(1,), (4,)], [plain(), plain(2), plain(0), plain(m=3)], least=12)


def polyfit():
    """Lines and parabolas through points, of one and of two sets of values, with weights."""
    samples = []
    for k in range(16):
        x, y = values(6, dtype=DTYPES[k % 2], seed=k), values(*[(6,), (6, 2)][k // 2 % 2], dtype=DTYPES[k % 2], seed=k + 50)
        degree = 1 + k // 4 % 2
        w = np.abs(values(6, dtype=DTYPES[k % 2], seed=k + 99))
        samples.append(((x, y, degree), {}) if k % 3 else ((x, y, degree, None, False, w), {}))
    return samples


def polyfit_cov():
    x, y, w = values(6), values(6, seed=1), np.abs(values(6, seed=2))
    two = values(6, 2, seed=3)
    return [((x, y, degree, None, False, *weights, cov), {}) for degree in (1, 2) for weights in ((None,), (w,)) for cov in (True, "unscaled")] + [
        ((x, two, 1), {"cov": True}), ((x, two, 2), {"cov": "unscaled"})]


def full(x, y, degree):
    """The results of a fit that have a gradient: coefficients, residuals and singular values."""
    c, residuals, _, s, _ = np.polyfit(x, y, degree, full=True)
    return c, residuals, s


def polydiv():
    """In double precision: in single precision, NumPy takes what rounding leaves for a remainder."""
    shapes = [(4, 2), (3, 3), (2, 4), (3, 1), (5, 3), (1, 1)]
    return [((layouts(n, seed=k)[k % 4], layouts(m, seed=k + 1)[k // 2 % 4]), {}) for k, (n, m) in enumerate(shapes * 2)]


def polyfit_in_full():
    return [((values(6, seed=k), values(*shape, seed=k + 9), degree), {}) for k, shape in enumerate([(6,), (6, 2)] * 3) for degree in (1, 2)]


def zeros():
    return [*cross([(1,), (3,), (4,)], [plain()], least=12), *(((values(n, n, seed=n),), {}) for n in (1, 2, 3))]


def roots():
    return [((values(n, dtype=DTYPES[seed % 3 // 2 * 2 * (n > 2)], seed=seed),), {}) for n in (1, 2, 3, 4) for seed in range(3)]


SAMPLES = {
    "companion": companion,
    "polyadd": partial(pairs, TWO, least=12),
    "polysub": partial(pairs, TWO, least=12),
    "polymul": partial(pairs, TWO, least=12),
    "polydiv": polydiv,
    "polyval": partial(pairs, [((3,), (4,)), ((1,), (2,)), ((4,), ()), ((3,), (2, 3)), ((0,), (2,)), ((3,), (0,)), ((2,), BOX)], least=14),
    "polyder": partial(cross, [(1,), (4,)], [plain(), plain(2), plain(0), plain(m=3)], least=12),
    "polyint": polyint,
    "poly": zeros,
    "roots": roots,
    "polyfit": polyfit,
    "polyfit with covariances": polyfit_cov,
    "polyfit in full": polyfit_in_full,
}
CALLS = {
    "companion": lambda name, c: attrgetter(name)(gn.polynomial)(c),
    "polyfit with covariances": np.polyfit,
    "polyfit in full": full,
}

x = values(3)
ERRORS = {
    "polyval": [((values(2, 2), values(3)), {}, ValueError, "")],
    "poly": [((values(2, 3),), {}, ValueError, "square 2d array")],
    "roots": [((values(2, 3),), {}, ValueError, "rank-1 array")],
    "polyint": [((x, -1), {}, ValueError, "must be positive")],
    "polyder": [((x, -1), {}, ValueError, "must be positive")],
    "polyfit": [((x, values(4), 1), {}, TypeError, "same length"), ((x, x, -1), {}, ValueError, "deg >= 0"),
                ((values(2, 2), x, 1), {}, TypeError, "1D vector")],
}
