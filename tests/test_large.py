"""A million elements: the values are NumPy's, the derivative is right along a random direction, and nothing takes quadratic time or memory.

What is checked on eight elements elsewhere is checked here for the paths that only large arrays take: blocks, threads, scans
by doubling, gathers. A function that needs a million steps of Python would time the suite out.
"""

import numpy as np
import pytest

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

N, SIDE = 1_000_000, 1000
RNG = np.random.default_rng(7)
X, Y = 0.2 + (RNG.permutation(N) + 0.5) / N, (2 * RNG.permutation(N) + 1) / N - 1  # all different, by 1e-6 at least, and none near a kink
NEAR_ONE = 1 + RNG.uniform(-1e-6, 1e-6, N)
SQUARE, BATCH = X.reshape(SIDE, SIDE), X.reshape(-1, 4, 4) + 3 * np.eye(4)
HOLES = np.where(np.arange(N) % 7, X, np.nan)
PLACES, KNOTS = RNG.integers(0, 1000, N), np.linspace(-2, 2, 1001)


def scattered(x, y):
    out = np.zeros_like(x[:1000])
    np.add.at(out, PLACES, y)
    return out


CASES = {
    "elementwise": (lambda x, y: np.exp(np.sin(x) * y) + np.logaddexp(x, y) / np.hypot(x, y), X, Y),
    "where": (lambda x, y: np.where(y > 0, np.exp(y), x) * y, X, Y),
    "clip": (lambda x: np.clip(x, 0.3, 1.1), X),
    "sum": (lambda x: x.reshape(10, -1).sum(0) ** 2, X),
    "mean, var": (lambda x: np.mean(x) * np.var(x), X),
    "max": (lambda x: np.max(x.reshape(-1, 8), axis=1), X),
    "prod": (lambda x: np.prod(x.reshape(-1, 8), axis=1), X),
    "cumsum": (lambda x: np.cumsum(x), X),
    "cumprod": (lambda x: np.cumprod(x), NEAR_ONE),
    "nanmean": (lambda x: np.nanmean(x) + np.nansum(x.reshape(SIDE, SIDE), axis=0), HOLES),
    "sort": (lambda x: np.sort(x) * Y, X),
    "partition": (lambda x: np.partition(x, 1000)[:1000], X),
    "median": (lambda x: np.median(x), X),
    "quantile": (lambda x: np.quantile(x.reshape(SIDE, SIDE), [0.1, 0.5, 0.77], axis=1), X),
    "diff": (lambda x: np.diff(x, 2), X),
    "gradient": (lambda x: np.gradient(x.reshape(SIDE, SIDE))[0], X),
    "trapezoid": (lambda x, y: np.trapezoid(y, np.cumsum(x)), X, Y),
    "interp": (lambda y, f: np.interp(y, KNOTS, f), Y, np.sin(KNOTS)),
    "bincount": (lambda x: np.bincount(PLACES, x), X),
    "histogram": (lambda x: np.histogram(Y, 50, weights=x)[0], X),
    "cov": (lambda x: np.cov(x.reshape(100, -1)), X),
    "maximum.accumulate": (lambda x: np.maximum.accumulate(x.reshape(SIDE, SIDE), axis=1), X),
    "add.at": (scattered, X, Y),
    "add.reduceat": (lambda x: np.add.reduceat(x, np.arange(0, N, 5000)), X),
    "transpose": (lambda x: x.reshape(SIDE, SIDE).T.copy()[::-1, ::2] * 2, X),
    "take": (lambda x: np.take(x, PLACES), X),
    "repeat": (lambda x: np.repeat(x, 2), X),
    "roll": (lambda x: np.roll(x, 3) * Y, X),
    "pad": (lambda x: np.pad(x.reshape(SIDE, SIDE), 2, "reflect"), X),
    "concatenate": (lambda x, y: np.concatenate([x, y, x]), X, Y),
    "mask": (lambda x: x[Y > 0] ** 2, X),
    "select": (lambda x, y: np.select([y > 0.5, y > 0], [x, x * y], y), X, Y),
    "insert": (lambda x, y: np.insert(x, PLACES, y), X, Y),
    "matmul": (lambda x, y: x.reshape(SIDE, SIDE) @ y.reshape(SIDE, SIDE), X, Y),
    "einsum": (lambda x, y: np.einsum("ijk,ij->k", x.reshape(100, 100, 100), y.reshape(100, 100, 100)[0]), X, Y),
    "convolve": (lambda x, k: np.convolve(x, k), X, Y[:64]),
    "polyval": (lambda p, x: np.polyval(p, x), Y[:5], X),
    "inv": (lambda x: np.linalg.inv(x), BATCH),
    "det": (lambda x: np.linalg.slogdet(x)[1], BATCH),
    "cholesky": (lambda x: np.linalg.cholesky(x @ np.swapaxes(x, -1, -2)), BATCH),
    "solve": (lambda x, y: np.linalg.solve(x, y.reshape(-1, 4, 4)), BATCH, Y),
    "eigvalsh": (lambda x: np.linalg.eigvalsh(x + np.swapaxes(x, -1, -2)), BATCH),
    "svdvals": (lambda x: np.linalg.svd(x, compute_uv=False), BATCH),
    "qr": (lambda x: np.linalg.qr(x)[1], BATCH),
    "norm": (lambda x: np.linalg.norm(x.reshape(SIDE, SIDE), axis=1), X),
    "fft": (lambda x: np.abs(np.fft.fft(x)) ** 2, X),
    "rfft": (lambda x: np.fft.irfft(np.fft.rfft(x) * 2) ** 2, X),
    "fft2": (lambda x: np.fft.fft2(x.reshape(SIDE, SIDE)).real, X),
}


@pytest.mark.parametrize("name", CASES)
def test_a_million_elements(name):
    function, *arrays = CASES[name]
    leaves = [gn.asarray(a).requires_grad_() for a in arrays]
    out, expected = function(*leaves), function(*arrays)
    assert np.array_equal(out.data, expected, equal_nan=True)
    weight = np.random.default_rng(1).choice([-1.0, 1.0], np.shape(expected))
    out.backward(weight.astype(out.dtype))
    rng, step = np.random.default_rng(2), 1e-7
    directions = [rng.uniform(-1, 1, np.shape(a)) for a in arrays]
    ahead, behind = (function(*(a + h * v for a, v in zip(arrays, directions, strict=True))) for h in (step, -step))
    slope = np.sum(weight * (ahead - behind).real) / (2 * step)
    found = sum(np.sum(np.nan_to_num(t.grad) * v) for t, v in zip(leaves, directions, strict=True))
    size = sum(np.linalg.norm(np.nan_to_num(t.grad)) for t in leaves)
    assert abs(found - slope) <= 1e-4 * size, (found, slope, size)
