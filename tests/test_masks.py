"""What a mask leaves out puts no NaN and no infinity into a gradient, of any order; what it takes keeps its gradient exactly.

Derivatives of single functions are mpmath's, those of programs finite differences of NumPy's values, and where infinity is the truth, those
of the same program without the mask. docs/masks.md is for readers.
"""

import itertools
import warnings

import numpy as np
import pytest

import gradnerve as gn
from gradnerve.ops.define import elementwise, op

mp = pytest.importorskip("mpmath")
scipy_special = pytest.importorskip("scipy.special")

pytestmark = [pytest.mark.usefixtures("rows_return"), pytest.mark.filterwarnings("ignore::RuntimeWarning")]

nan, inf = np.nan, np.inf
sp = gn.special


def derivative(f, order):
    """The derivative of the sum of all that `f` gives, by each element."""
    for _ in range(order):
        f = gn.elementwise_grad(f)
    return f


def at(f, x, order=1):
    return derivative(f, order)(np.asarray(x, float)).data


# ---- one function, whose value or derivative is infinite or NaN somewhere ------------------------------------------------------------------

# name: ours, mpmath's, where it is left out, where it is taken
FUNCTIONS = {
    "log":        (np.log,                        mp.log,                                   [0, -1, -inf, nan],    [0.5, 2]),
    "log2":       (np.log2,                       lambda x: mp.log(x, 2),                   [0, -1, nan],          [0.5, 2]),
    "log1p":      (np.log1p,                      mp.log1p,                                 [-1, -2, nan],         [0.5, 2]),
    "sqrt":       (np.sqrt,                       mp.sqrt,                                  [0, -1, -inf, nan],    [0.5, 2]),
    "cbrt":       (np.cbrt,                       mp.cbrt,                                  [0, inf, nan],         [0.5, 2]),
    "reciprocal": (np.reciprocal,                 lambda x: 1 / x,                          [0, -0.0, inf, nan],   [0.5, -2]),
    "divide":     (lambda x: (x + 2) / (x - 1),   lambda x: (x + 2) / (x - 1),              [1, inf, nan],         [0.5, -2]),
    "x/x":        (lambda x: x / x,               lambda x: x / x,                          [0, inf, nan],         [0.5, -2]),
    "x**0.5":     (lambda x: x**0.5,              mp.sqrt,                                  [0, -1, nan],          [0.5, 2]),
    "x**1.5":     (lambda x: x**1.5,              lambda x: x**1.5,                         [0, -1, nan],          [0.5, 2]),
    "x**2.5":     (lambda x: x**2.5,              lambda x: x**2.5,                         [0, -1, nan],          [0.5, 2]),
    "x**-2.0":    (lambda x: x**-2.0,             lambda x: x**-2,                          [0, inf, nan],         [0.5, -2]),
    "x**x":       (lambda x: x**x,                lambda x: x**x,                           [0, -0.5, 1000, nan],  [0.5, 2]),
    "2**x":       (lambda x: 2.0**x,              lambda x: mp.mpf(2)**x,                   [5000, inf, nan],      [0.5, -2]),
    "float_power": (lambda x: np.float_power(x, 1.5), lambda x: x**1.5,                     [0, -1, nan],          [0.5, 2]),
    "abs**1.5":   (lambda x: np.abs(x)**1.5,      lambda x: abs(x)**1.5,                    [0, inf, nan],         [0.5, -2]),
    "sqrt(x*x)":  (lambda x: np.sqrt(x * x),      abs,                                      [0, 1e200, nan],       [0.5, -2]),
    "x*sqrt(x)":  (lambda x: x * np.sqrt(x),      lambda x: x * mp.sqrt(x),                 [0, -1, nan],          [0.5, 2]),
    "x*log(x)":   (lambda x: x * np.log(x),       lambda x: x * mp.log(x),                  [0, -1, nan],          [0.5, 2]),
    "sqrt(log)":  (lambda x: np.sqrt(np.log(x)),  lambda x: mp.sqrt(mp.log(x)),             [1, 0.5, 0, nan],      [2, 3]),
    "sin(x)/x":   (lambda x: np.sin(x) / x,       lambda x: mp.sin(x) / x,                  [0, inf, nan],         [0.5, -2]),
    "exp(-1/x)":  (lambda x: np.exp(-1 / x),      lambda x: mp.exp(-1 / x),                 [0, -1e-3, nan],       [0.5, 2]),
    "exp":        (np.exp,                        mp.exp,                                   [1000, inf, nan],      [0.5, -2]),
    "expm1":      (np.expm1,                      mp.expm1,                                 [1000, inf, nan],      [0.5, -2]),
    "exp(exp)":   (lambda x: np.exp(np.exp(x)),   lambda x: mp.exp(mp.exp(x)),              [10, inf, nan],        [0.5, -2]),
    "softplus":   (lambda x: np.log(1 + np.exp(x)), lambda x: mp.log(1 + mp.exp(x)),        [1000, inf, nan],      [0.5, -2]),
    "exp/(1+exp)": (lambda x: np.exp(x) / (1 + np.exp(x)), lambda x: 1 / (1 + mp.exp(-x)),  [1000, inf, nan],      [0.5, -2]),
    "sinh":       (np.sinh,                       mp.sinh,                                  [1000, inf, nan],      [0.5, -2]),
    "tan":        (np.tan,                        mp.tan,                                   [inf, nan],            [0.5, -1]),
    "tanh":       (np.tanh,                       mp.tanh,                                  [inf, nan],            [0.5, -1]),
    "sinc":       (np.sinc,                       lambda x: mp.sincpi(x),                   [inf, nan],            [0.5, 1.2]),
    "i0":         (np.i0,                         lambda x: mp.besseli(0, x),               [1000, inf, nan],      [0.5, 9]),
    "arcsin":     (np.arcsin,                     mp.asin,                                  [1, -1, 2, nan],       [0.5, -0.2]),
    "arccos":     (np.arccos,                     mp.acos,                                  [1, -1, 2, nan],       [0.5, -0.2]),
    "arctan":     (np.arctan,                     mp.atan,                                  [inf, nan],            [0.5, -2]),
    "arcsinh":    (np.arcsinh,                    mp.asinh,                                 [inf, nan],            [0.5, -2]),
    "arccosh":    (np.arccosh,                    mp.acosh,                                 [1, 0.5, nan],         [1.5, 3]),
    "arctanh":    (np.arctanh,                    mp.atanh,                                 [1, -1, 2, nan],       [0.5, -0.2]),
    "hypot":      (lambda x: np.hypot(x, x * x),  lambda x: mp.hypot(x, x * x),             [0, inf, nan],         [0.5, -2]),
    "arctan2":    (lambda x: np.arctan2(x, x * x), lambda x: mp.atan(1 / x),                [0, inf, nan],         [0.5, 2]),
    "logaddexp":  (lambda x: np.logaddexp(x, 2 * x), lambda x: mp.log(mp.exp(x) + mp.exp(2 * x)), [inf, -inf, nan], [0.5, -2]),
    "remainder":  (lambda x: np.remainder(1.0, x), lambda x: 1 - mp.floor(1 / x) * x,       [0, nan],              [0.3, 0.7]),
    "sigmoid":    (gn.sigmoid,                    lambda x: 1 / (1 + mp.exp(-x)),           [inf, nan],            [0.5, -2]),
    "relu(log)":  (lambda x: gn.relu(np.log(x)),  lambda x: max(mp.log(x), mp.mpf(0)),      [0, -1, nan],          [0.5, 2]),
}  # fmt: skip

SPECIAL = {
    "erf":        (sp.erf,                        mp.erf,                                   [inf, nan],            [0.5, -1]),
    "erfinv":     (sp.erfinv,                     mp.erfinv,                                [1, -1, 2, nan],       [0.5, -0.2]),
    "erfcx":      (sp.erfcx,                      lambda x: mp.exp(x * x) * mp.erfc(x),     [-100, inf, nan],      [0.5, 2]),
    "ndtri":      (sp.ndtri,                      lambda x: mp.sqrt(2) * mp.erfinv(2 * x - 1), [0, 1, 2, nan],     [0.3, 0.6]),
    "log_ndtr":   (sp.log_ndtr,                   lambda x: mp.log(mp.ncdf(x)),             [-inf, nan],           [0.5, -2]),
    "logit":      (sp.logit,                      lambda x: mp.log(x / (1 - x)),            [0, 1, 2, nan],        [0.3, 0.6]),
    "entr":       (sp.entr,                       lambda x: -x * mp.log(x),                 [0, -1, nan],          [0.5, 2]),
    "xlogy":      (lambda x: sp.xlogy(x, x),      lambda x: x * mp.log(x),                  [0, -1, nan],          [0.5, 2]),
    "rel_entr":   (lambda x: sp.rel_entr(x, 2.0), lambda x: x * mp.log(x / 2),              [0, -1, nan],          [0.5, 3]),
    "gamma":      (sp.gamma,                      mp.gamma,                                 [0, -1, 500, nan],     [0.5, 2.5]),
    "gammaln":    (sp.gammaln,                    mp.loggamma,                              [0, -1, nan],          [0.5, 2.5]),
    "psi":        (sp.psi,                        mp.digamma,                               [0, -1, nan],          [0.5, 2.5]),
    "polygamma":  (lambda x: sp.polygamma(1, x),  lambda x: mp.polygamma(1, x),             [0, -1, nan],          [0.5, 2.5]),
    "betaln":     (lambda x: sp.betaln(x, 0.5),   lambda x: mp.log(mp.beta(x, 0.5)),        [0, -1, nan],          [0.5, 2.5]),
    "gammainc":   (lambda x: sp.gammainc(1.5, x), lambda x: mp.gammainc(1.5, 0, x, True),   [0, -1, nan],          [0.5, 2.5]),
    "betainc":    (lambda x: sp.betainc(1.5, 0.5, x), lambda x: mp.betainc(1.5, 0.5, 0, x, True), [0, 1, nan],     [0.3, 0.6]),
    "zeta":       (lambda x: sp.zeta(x, 1.0),     mp.zeta,                                  [1, 0.5, nan],         [2.5, 4]),
    "expi":       (sp.expi,                       mp.ei,                                    [0, nan],              [0.5, -2]),
    "cosint":     (lambda x: sp.sici(x)[1],       mp.ci,                                    [0, nan],              [0.5, 2]),
    "k1":         (sp.k1,                         lambda x: mp.besselk(1, x),               [0, -1, nan],          [0.5, 2]),
    "kv":         (lambda x: sp.kv(0.5, x),       lambda x: mp.besselk(0.5, x),             [0, -1, nan],          [0.5, 2]),
    "yv":         (lambda x: sp.yv(0.5, x),       lambda x: mp.bessely(0.5, x),             [0, -1, nan],          [0.5, 2]),
    "jv":         (lambda x: sp.jv(0.5, x),       lambda x: mp.besselj(0.5, x),             [0, -1, nan],          [0.5, 2]),
}  # fmt: skip


def exact(function, places, order):
    with mp.workdps(40):
        return [float(mp.diff(function, mp.mpf(place), order)) for place in places]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", [*FUNCTIONS, *SPECIAL])
def test_function_behind_a_mask(name, order):
    """One element that is left out, as a number and beside others, which are taken."""
    ours, theirs, left_out, taken = (FUNCTIONS | SPECIAL)[name]
    expected = exact(theirs, taken, order)
    for bad in left_out:
        assert at(lambda x: np.where(False, ours(x), 7), bad, order) == 0, bad
        found = at(lambda x: np.where([False, True, True], ours(x), 7), [bad, *taken], order)
        assert found[0] == 0, bad
        np.testing.assert_allclose(found[1:], expected, rtol=1e-8, atol=1e-10, err_msg=str(bad))


# ---- everything that selects ---------------------------------------------------------------------------------------------------------------

TAKEN = np.array([False, True, True])


def written(write):
    """A mask that is a write into the result."""
    def mask(f, x):
        y = f(x) * 1.0
        write(y)
        return y

    return mask


def assign(y): y[~TAKEN] = 0.0
def assign_numbers(y): y[[0]] = 0.0
def assign_slice(y): y[:1] = 0.0


def put_back(f, x):
    y = 0.0 * gn.Tensor(TAKEN * 1.0)
    y[TAKEN] = f(x)[TAKEN]
    return y


# name: the elements of f(x) for which TAKEN holds, with or without 0 in the place of the other
MASKS = {
    "where":            lambda f, x: np.where(TAKEN, f(x), 0),
    "where, turned":    lambda f, x: np.where(~TAKEN, 0, f(x)),
    "where in where":   lambda f, x: np.where(TAKEN, np.where(TAKEN, f(x), 1), 0),
    "where broadcast":  lambda f, x: np.where(TAKEN, f(x), [[0.0]]),
    "select":           lambda f, x: np.select([~TAKEN, TAKEN], [0 * TAKEN, f(x)]),
    "select, default":  lambda f, x: gn.select([~TAKEN], [0 * TAKEN], f(x)),
    "piecewise":        lambda f, x: np.piecewise(x, [TAKEN], [f, 0.0]),
    "choose":           lambda f, x: np.choose(TAKEN * 1, [0 * TAKEN, f(x)]),
    "index":            lambda f, x: f(x)[TAKEN],
    "index before":     lambda f, x: f(x[TAKEN]),
    "index by numbers": lambda f, x: f(x)[[1, 2]],
    "take":             lambda f, x: np.take(f(x), [1, 2]),
    "take_along_axis":  lambda f, x: np.take_along_axis(f(x), np.array([1, 2]), 0),
    "compress":         lambda f, x: np.compress(TAKEN, f(x)),
    "extract":          lambda f, x: np.extract(TAKEN, f(x)),
    "delete":           lambda f, x: np.delete(f(x), 0),
    "ufunc where":      lambda f, x: np.add(f(x), 0, where=TAKEN, out=gn.Tensor(np.zeros(3))),
    "assign":           written(assign),
    "assign numbers":   written(assign_numbers),
    "assign slice":     written(assign_slice),
    "assign into":      put_back,
    "copyto":           written(lambda y: np.copyto(y, 0, where=~TAKEN)),
    "putmask":          written(lambda y: np.putmask(y, ~TAKEN, 0.0)),
    "place":            written(lambda y: np.place(y, ~TAKEN, [0.0])),
    "put":              written(lambda y: np.put(y, [0], 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", MASKS)
def test_every_mask(name, order):
    """Left out: a NaN, an infinite value, an infinite derivative."""
    for bad, f in itertools.product([0, -1, nan, inf, -inf], [np.log, np.sqrt, lambda x: 1 / x, lambda x: x * np.exp(x) / x]):
        found = at(lambda x, f=f: MASKS[name](f, x) ** 2, [bad, 0.5, 2], order)
        assert found[0] == 0, bad
        np.testing.assert_allclose(found[1:], at(lambda x, f=f: f(x) ** 2, [0.5, 2], order), rtol=1e-12)


@pytest.mark.parametrize("name", MASKS)
def test_a_gradient_that_happens_to_be_zero_is_not_left_out(name):
    """(x**2 - 4)**2 at 2 has the derivatives 0, 32, 48: a zero by value is no mask."""
    for order, expected in ((1, 0), (2, 32), (3, 48)):
        assert at(lambda x: (MASKS[name](np.square, x) - 4) ** 2, [nan, 2, 2], order).tolist() == [0, expected, expected]


# Bounds and extremes are masks, too: x, and what the gradient of the sum is.
BOUNDS = {
    "clip":                (lambda x: np.clip(np.log(x), -5, 0.5),                    [0, 1, 2],     [0, 1, 0]),
    "clip at its bounds":  (lambda x: np.clip(x, 1, 2),                               [1, 2, 3],     [1, 1, 0]),
    "clip, infinite":      (lambda x: np.clip(1 / x, -5, 5),                          [0, -0.0, 2],  [0, 0, -0.25]),
    "clip, lower bound":   (lambda x: np.clip(2, np.log(x), 5),                       [0, 1, 20],    [0, 0, 0.05]),
    "maximum":             (lambda x: np.maximum(np.log(x), -5),                      [0, 1, 2],     [0, 1, 0.5]),
    "minimum":             (lambda x: np.minimum(1 / x, 5),                           [0, 1, 2],     [0, -1, -0.25]),
    "fmax":                (lambda x: np.fmax(np.sqrt(x), 0.1),                       [-1, 0, 4],    [0, 0, 0.25]),
    "fmin":                (lambda x: np.fmin(np.sqrt(x), 9),                         [-1, 1, 4],    [0, 0.5, 0.25]),
    "max":                 (lambda x: np.max(np.log(x)),                              [0, 1, 2],     [0, 0, 0.5]),
    "min":                 (lambda x: np.min(1 / x),                                  [0, 1, 2],     [0, 0, -0.25]),
    "max with where":      (lambda x: np.max(np.log(x), where=[False, True, False], initial=-1),  [-1, 1, 2],  [0, 1, 0]),
    "maximum.reduce":      (lambda x: np.maximum.reduce(np.log(x)),                   [0, 1, 2],     [0, 0, 0.5]),
    "fmin.reduce":         (lambda x: np.fmin.reduce(np.sqrt(x)),                     [-1, 4, 1],    [0, 0, 0.5]),
    "maximum.accumulate":  (lambda x: np.maximum.accumulate(np.log(x))[1:],           [0, 1, 2],     [0, 1, 0.5]),
    "relu of":             (lambda x: gn.relu(np.log(x)),                             [0, 0.5, 2],   [0, 0, 0.5]),
    "maximum in":          (lambda x: np.sqrt(np.maximum(x, 0)),                      [-1, 1, 4],    [0, 0.5, 0.25]),
    "clip in":             (lambda x: np.log(np.clip(x, 0, None)),                    [-1, 1, 4],    [0, 1, 0.25]),
    "relu in sqrt":        (lambda x: np.sqrt(gn.relu(x)),                            [-1, 1, 4],    [0, 0.5, 0.25]),
    "relu in power":       (lambda x: gn.relu(x) ** 1.5,                              [-1, 1, 4],    [0, 1.5, 3]),
    "heaviside":           (lambda x: np.heaviside([1.0, 0.0, 0.0], np.log(x)),       [0, 1, 2],     [0, 1, 0.5]),
    "interp":              (lambda x: np.interp(np.log(x), [-1, 0, 1], [2, 3, 5]),    [0, 2, 9],     [0, 1, 0]),
    "nan_to_num":          (lambda x: np.nan_to_num(np.sqrt(x)),                      [-1, 1, 4],    [0, 0.5, 0.25]),
    "nan_to_num, infinite": (lambda x: np.nan_to_num(np.log(x), neginf=0),            [0, 1, 2],     [0, 1, 0.5]),
    "nan_to_num in":       (lambda x: np.log(np.nan_to_num(x)),                       [nan, 1, 2],   [0, 1, 0.5]),
    "nansum":              (lambda x: np.nansum(np.sqrt(x)),                          [-1, 1, 4],    [0, 0.5, 0.25]),
    "nanmean":             (lambda x: np.nanmean(np.sqrt(x)),                         [-1, 1, 4],    [0, 0.25, 0.125]),
    "nanvar":              (lambda x: np.nanvar(np.sqrt(x)),                          [-1, 1, 4],    [0, -0.25, 0.125]),
    "nanstd":              (lambda x: np.nanstd(np.sqrt(x)),                          [-1, 1, 4],    [0, -0.25, 0.125]),
    "nanprod":             (lambda x: np.nanprod(np.sqrt(x)),                         [-1, 1, 4],    [0, 1, 0.25]),
    "nanmax":              (lambda x: np.nanmax(np.sqrt(x)),                          [-1, 1, 4],    [0, 0, 0.25]),
    "nanmedian":           (lambda x: np.nanmedian(np.sqrt(x)),                       [-1, 1, 4],    [0, 0.25, 0.125]),
    "nancumsum":           (lambda x: np.nancumsum(np.sqrt(x)),                       [-1, 1, 4],    [0, 1, 0.25]),
    "sum with where":      (lambda x: np.sum(np.log(x), where=TAKEN),                 [0, 1, 2],     [0, 1, 0.5]),
    "mean with where":     (lambda x: np.mean(np.log(x), where=TAKEN),                [0, 1, 2],     [0, 0.5, 0.25]),
    "prod with where":     (lambda x: np.prod(np.sqrt(x), where=TAKEN),               [0, 1, 4],     [0, 1, 0.25]),
    "var with where":      (lambda x: np.var(np.sqrt(x), where=TAKEN),                [-1, 1, 4],    [0, -0.25, 0.125]),
    "divide with where":   (lambda x: np.divide(1, x, where=TAKEN, out=gn.Tensor(np.zeros(3))),   [0, 1, 2],   [0, -1, -0.25]),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_and_extremes(name):
    f, x, expected = BOUNDS[name]
    np.testing.assert_allclose(at(f, x), expected, rtol=1e-14)
    second = at(f, x, 2)
    assert np.isfinite(second).all()
    assert not second[np.equal(expected, 0) & (np.arange(3) == 0)].any()


# ---- before, after and between -------------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
A, EYE = rng.normal(size=(4, 4)), np.eye(3)
WEIGHTS = rng.normal(size=400)

PROGRAMS = {
    "matmul":      lambda y: y @ A,
    "y @ y.T":     lambda y: y @ y.T,
    "einsum":      lambda y: np.einsum("ij,kj,jl->ikl", y, y, A),
    "tensordot":   lambda y: np.tensordot(y, A, 1),
    "outer":       lambda y: np.outer(y[0], y),
    "kron":        lambda y: np.kron(y, A[:2, :2]),
    "convolve":    lambda y: np.convolve(y[0], y[1]),
    "sum":         lambda y: np.sum(y, 0),
    "mean":        lambda y: np.mean(y, 1),
    "var":         lambda y: np.var(y, 1),
    "std":         lambda y: np.std(y, 0),
    "prod":        lambda y: np.prod(y, 1),
    "cumsum":      lambda y: np.cumsum(y, 1),
    "cumprod":     lambda y: np.cumprod(y, 1),
    "norm":        lambda y: np.linalg.norm(y, axis=1),
    "norm 3":      lambda y: np.linalg.norm(y, 3, axis=0),
    "reshape":     lambda y: (y.reshape(2, 6) * A[0, 0]).T,
    "transpose":   lambda y: np.transpose(y[:, None], (2, 0, 1)),
    "broadcast":   lambda y: np.broadcast_to(y[:, None], (3, 4, 4)) * A,
    "concatenate": lambda y: np.concatenate([y, y * y], 1),
    "stack":       lambda y: np.stack([y, y * y]),
    "roll":        lambda y: np.roll(y, 1, 1) * y,
    "pad":         lambda y: np.pad(y, 1),
    "diff":        lambda y: np.diff(y, axis=1),
    "fft":         lambda y: np.abs(np.fft.fft(y)) ** 2,
    "rfft2":       lambda y: np.real(np.fft.rfft2(y)),
    "softmax":     lambda y: np.exp(y) / np.sum(np.exp(y), 1, keepdims=True),
    "logsumexp":   lambda y: np.log(np.sum(np.exp(y), 1)),
    "det":         lambda y: np.linalg.det(y @ y.T + EYE),
    "inv":         lambda y: np.linalg.inv(y @ y.T + EYE),
    "solve":       lambda y: np.linalg.solve(y @ y.T + EYE, A[:3]),
    "cholesky":    lambda y: np.linalg.cholesky(y @ y.T + EYE),
    "eigvalsh":    lambda y: np.linalg.eigvalsh(y @ y.T + np.diag([1.0, 2.0, 3.0])),
    "svd":         lambda y: np.linalg.svd(y + A[:3], compute_uv=False),
    "logaddexp.reduce":    lambda y: np.logaddexp.reduce(y, 1),
    "multiply.accumulate": lambda y: np.multiply.accumulate(y, 1),
}  # fmt: skip

HOLES = np.array([[1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 0]], bool)  # False: left out
PLACES = rng.uniform(0.5, 2, (3, 4))


def weighted(out):
    """A number that depends on every element in a different way."""
    return np.sum(out * WEIGHTS[:out.size].reshape(out.shape))


def slope(f, xs, ways, h=1e-4):
    """How f moves along the ways, by differences of fourth order; what does not move may be NaN or infinite."""
    moved = lambda t: f(*(np.where(way == 0, x, x + t * way) for x, way in zip(xs, ways, strict=True)))
    with np.errstate(all="ignore"):
        return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)


def check(f, xs, ways):
    """First and second derivatives along the ways against differences, and exactly 0 where there is no way."""
    numbers = tuple(range(len(xs)))
    first = lambda *xs: [g.data for g in gn.grad(f, numbers)(*xs)]
    second = [g.data for g in gn.hvp(f, numbers)(*xs, tuple(ways))]
    along = lambda *xs: np.array([np.sum(g * way) for g, way in zip(first(*xs), ways, strict=True)]).sum()
    found = first(*xs)
    for by in (found, second):
        assert all(np.isfinite(g).all() and not g[way == 0].any() for g, way in zip(by, ways, strict=True))
    np.testing.assert_allclose(along(*xs), slope(f, xs, ways), rtol=1e-7, atol=1e-8)
    curvature = sum(np.sum(g * way) for g, way in zip(second, ways, strict=True))
    np.testing.assert_allclose(curvature, slope(along, xs, ways), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", PROGRAMS)
def test_after_a_mask(name):
    """Of log(x), some elements are left out; then comes a program that mixes all of them."""
    way = np.where(HOLES, rng.normal(size=HOLES.shape), 0)
    for bad in (0, -1, nan):
        check(lambda x: weighted(PROGRAMS[name](np.where(HOLES, np.log(x), 0.3))), [np.where(HOLES, PLACES, bad)], [way])


@pytest.mark.parametrize("name", PROGRAMS)
def test_before_a_mask(name):
    """A program, whose result is moved so that its logarithm and its root are bad in some places, which are left out."""
    values = PROGRAMS[name](PLACES)
    taken = np.arange(values.size).reshape(values.shape) % 3 > 0
    way = rng.normal(size=PLACES.shape)
    for bad, f in itertools.product((0, -1), (np.log, np.sqrt)):
        shift = np.where(taken, 1.5, bad) - values
        check(lambda x, shift=shift, f=f: weighted(np.where(taken, f(PROGRAMS[name](x) + shift), 0.3)), [PLACES], [way])


# Programs that keep rows apart, of x with bad rows and of a matrix, which takes part in all of them.
ROWS = {
    "matmul":      lambda x, a: x @ a,
    "matvec":      lambda x, a: x @ a[0],
    "dot":         lambda x, a: np.dot(x, a),
    "einsum":      lambda x, a: np.einsum("ij,jk,ij->ik", x, a, x),
    "outer":       lambda x, a: x[:, :, None] * x[:, None, :] * a,
    "mul":         lambda x, a: x * a[0],
    "divide":      lambda x, a: a[0] / x,
    "power":       lambda x, a: np.abs(x) ** a[0],
    "hypot":       lambda x, a: np.hypot(x, a[0]),
    "logaddexp":   lambda x, a: np.logaddexp(x, a[0]),
    "var":         lambda x, a: np.var(x * a[0], 1),
    "std":         lambda x, a: np.std(x * a[0], 1),
    "prod":        lambda x, a: np.prod(x * a[0], 1),
    "cumprod":     lambda x, a: np.cumprod(x * a[0], 1),
    "norm":        lambda x, a: np.linalg.norm(x * a[0], axis=1),
    "norm 3":      lambda x, a: np.linalg.norm(x * a[0], 3, axis=1),
    "max":         lambda x, a: np.max(x * a[0], 1),
    "softmax":     lambda x, a: gn.softmax(x * a[0], 1) * a[1],
    "log_softmax": lambda x, a: gn.log_softmax(x * a[0], 1) * a[1],
    "logsumexp":   lambda x, a: gn.logsumexp(x * a[0], 1),
    "fft":         lambda x, a: np.abs(np.fft.fft(x * a[0], axis=1)) ** 2,
    "det":         lambda x, a: np.linalg.det(x[:, :, None] * a + np.eye(4)),
    "slogdet":     lambda x, a: np.linalg.slogdet(x[:, :, None] * a + np.eye(4))[1],
    "inv":         lambda x, a: np.linalg.inv(x[:, :, None] * a + np.eye(4)),
    "solve":       lambda x, a: np.linalg.solve(x[:, :, None] * a + np.eye(4), a[0][:, None]),
    "matrix_power": lambda x, a: np.linalg.matrix_power(x[:, :, None] * a, 3),
    "accumulate":  lambda x, a: np.multiply.accumulate(x * a[0], axis=1),
}  # fmt: skip


@pytest.mark.parametrize("bad", [nan, inf, 0])
@pytest.mark.parametrize("name", ROWS)
def test_between_a_bad_element_and_its_mask(name, bad):
    """Every row of the result comes from one row of x, and the rows with a bad element are left out; the matrix has gradients from the others."""
    x, taken = PLACES.T.copy()[:, [0, 1, 2, 0]] / 3, np.array([True, False, True, False])
    ways = [np.where(taken[:, None], rng.normal(size=x.shape), 0), rng.normal(size=A.shape)]
    for columns in (slice(None), slice(1, 2)):
        x[~taken, columns] = bad

        def program(x, a):
            out = ROWS[name](np.log(x) if bad == 0 else x, a)
            return weighted(np.where(taken.reshape(4, *[1] * (out.ndim - 1)), out, 0.3))

        check(program, [x, A], ways)


MATRICES = {
    "det":      np.linalg.det,
    "log(det)": lambda m: np.log(np.abs(np.linalg.det(m))),
    "slogdet":  lambda m: np.linalg.slogdet(m)[1],
    "inv":      np.linalg.inv,
    "solve":    lambda m: np.linalg.solve(m, np.ones((2, 1))),
    "norm":     lambda m: 1 / np.linalg.norm(m, axis=(1, 2)),
    "cond":     np.linalg.cond,
    "pinv":     np.linalg.pinv,
    "qr":       lambda m: np.linalg.qr(m)[1],
    "svd":      lambda m: np.log(np.linalg.svd(m, compute_uv=False)),
    "eigvalsh": lambda m: np.sqrt(np.linalg.eigvalsh(m @ np.swapaxes(m, 1, 2))),
    "eigh":     lambda m: np.linalg.eigh(m + np.swapaxes(m, 1, 2))[1] ** 2,
}  # fmt: skip


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), nan), np.full((2, 2), inf), np.array([[inf, 1], [1, 1]])],
                         ids=["zero", "singular", "NaN", "inf", "an inf"])  # fmt: skip
@pytest.mark.parametrize("name", MATRICES)
def test_stacks_with_a_bad_matrix(name, bad):
    """Of a stack, the matrix that is left out is singular, or no number; NumPy's own errors are NumPy's."""
    x, taken = np.stack([bad, [[2.0, 1.0], [0.5, 3.0]]]), np.array([False, True])
    if name == "pinv" and np.isinf(bad).all():
        pytest.skip("a limit that docs/masks.md names: NaN at second order")
    try:
        MATRICES[name](x)
    except np.linalg.LinAlgError:
        pytest.skip("NumPy raises")
    way = np.where(taken[:, None, None], rng.normal(size=x.shape), 0)

    def program(m):
        out = MATRICES[name](m)
        return weighted(np.where(taken.reshape(2, *[1] * (out.ndim - 1)), out, 0))

    check(program, [x], [way])


def test_two_arguments_are_left_out_together():
    """At (0, 0) and its like, both derivatives of a function of two arguments are bad, and the mixed second ones."""
    bad = {np.power: [(0, 0.5), (-1, 0.5), (0, -1)], np.divide: [(1, 0), (0, 0), (inf, inf)], np.hypot: [(inf, nan), (nan, 1)],
           np.arctan2: [(inf, inf), (nan, 1)], np.logaddexp: [(-inf, -inf), (inf, inf)], np.remainder: [(1, 0), (inf, 1)],
           sp.xlogy: [(1, 0), (1, -1)], sp.rel_entr: [(1, 0), (-1, 1)], sp.beta: [(-1, 2)]}  # fmt: skip
    for f, places in bad.items():
        for x, y in places:
            program = lambda x, y, f=f: np.sum(np.where([False, True], f(x, y), 0) ** 2)
            arguments = np.array([x, 0.7]), np.array([y, 0.2])
            found = [gn.grad(program, (0, 1))(*arguments), *gn.hessian(program, (0, 1))(*arguments)]
            alone = lambda x, y, f=f: np.sum(f(x, y) ** 2)
            arguments = np.array([0.7]), np.array([0.2])
            expected = [gn.grad(alone, (0, 1))(*arguments), *gn.hessian(alone, (0, 1))(*arguments)]
            for part, whole in zip(itertools.chain(*expected), itertools.chain(*found), strict=True):
                np.testing.assert_allclose(whole.data[(-1,) * part.ndim], part.data.item(), rtol=1e-10)
                assert np.count_nonzero(whole.data) <= 1, (f, x, y)


def test_least_squares_at_its_minimum():
    """The residuals are 0, so all gradients are; the Hessian is that of what is taken, also with NaN in what is not."""
    x, taken = np.array([nan, 1.0, -1.0, 1.0]), np.array([False, True, False, True])
    f = lambda x: np.sum((A @ np.where(taken, np.log(x), 0)) ** 2)
    assert gn.grad(f)(x).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(gn.hessian(f)(x).data, np.outer(taken, taken) * (2 * A.T @ A), rtol=1e-12)


# ---- chains --------------------------------------------------------------------------------------------------------------------------------


def test_masks_in_masks():
    """sqrt(log(x)) is selected twice, divided by what is 0 where it is left out, bounded, and cut."""
    def f(x):
        root = np.where(x > 1, np.sqrt(np.where(x > 1, np.log(x), 0)), 0)
        part = np.clip(root / np.where(x > 1, x, 0), -1, 1)
        part[x > 100] = 0.0
        return np.nansum(part) + np.sum(gn.relu(np.log(np.abs(x)))[x < 0])

    with np.errstate(all="ignore"):
        found = derivative(f, 1)(np.array([0, 0.5, 1, 2, 5, 1e300, inf, nan, -3.0]))
    expected = exact(lambda x: mp.sqrt(mp.log(x)) / x, [2, 5], 1)
    np.testing.assert_allclose(found.data, [0, 0, 0, *expected, 0, 0, 0, -1 / 3], rtol=1e-12)


def test_other_ways_to_a_leaf_that_is_left_out():
    """What comes to it past the mask stays."""
    x = np.array([0.0, 2.0])
    f = lambda x: np.sum(np.where(x > 0, np.log(x), 0) + 3 * x + np.sin(x))
    np.testing.assert_allclose(gn.grad(f)(x).data, [4, 3.5 + np.cos(2)], rtol=1e-14)
    np.testing.assert_allclose(np.diag(gn.hessian(f)(x).data), [0, -0.25 - np.sin(2)], rtol=1e-14)


def test_attention_with_a_mask_against_torch():
    """Scores of -inf are weights of 0, and the rows without any score, whose softmax is NaN, are left out."""
    torch = pytest.importorskip("torch")
    queries, values = rng.normal(size=(2, 4, 3))
    seen = np.tri(4, k=-1, dtype=bool)

    def attention(q, xp, softmax, seen):
        scores = xp.where(seen, q @ q.T, -inf)
        return (xp.where(seen.any(1)[:, None], softmax(scores, -1), 0) @ (q * 2)).sum() + (q**3).sum()

    def past_the_bad_row(q):  # torch has to leave the row out by hand
        weights = torch.softmax(torch.where(torch.tensor(seen[1:]), q[1:] @ q.T, -inf), -1)
        return (weights @ (q * 2)).sum() + (q**3).sum()

    f = lambda q: attention(q, np, gn.softmax, seen)
    expected = torch.autograd.functional.hvp(past_the_bad_row, torch.tensor(queries), torch.tensor(values))[1]
    gradient = torch.autograd.functional.jacobian(past_the_bad_row, torch.tensor(queries))
    np.testing.assert_allclose(gn.grad(f)(queries).data, gradient, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gn.hvp(f)(queries, values).data, expected, rtol=1e-10, atol=1e-12)


def test_double_where_in_jax():
    """What JAX gives if the argument is made harmless before the function and the result is selected after it."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def program(xp, x, y):
        z = xp.where(HOLES, y * xp.log(x) + xp.sqrt(x), 0.0)
        z = xp.linalg.norm(z @ A, axis=1) + xp.cumprod(z, 1)[:, -1] + xp.fft.fft(z, axis=1).real[:, 1]
        return xp.sum(xp.where(z > 0, z**1.5, xp.exp(z)))

    x, y = np.where(HOLES, PLACES, -1), np.where(HOLES, PLACES + 0.3, inf)
    ours = lambda x, y: program(np, x, y)
    theirs = lambda x, y: program(jnp, jnp.where(HOLES, x, 1.0), jnp.where(HOLES, y, 1.0))
    for mine, other in zip(gn.grad(ours, (0, 1))(x, y), jax.jit(jax.grad(theirs, (0, 1)))(x, y), strict=True):
        np.testing.assert_allclose(mine.data, other, rtol=1e-10)
    for mine, other in zip(gn.hessian(ours, (0, 1))(x, y), jax.jit(jax.hessian(theirs, (0, 1)))(x, y), strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a.data, b, rtol=1e-8, atol=1e-10)


# ---- ways to a derivative, dtypes, shapes --------------------------------------------------------------------------------------------------


def masked_log(x):
    return np.where(x > 0, np.log(x), 0)


X = np.array([0.0, -1.0, nan, 0.5, 2.0])
FIRST, SECOND = np.array([0, 0, 0, 2, 0.5]), np.array([0, 0, 0, -4, -0.25])
WAYS = {
    "grad":            (FIRST, lambda: gn.grad(lambda x: masked_log(x).sum())(X)),
    "value_and_grad":  (FIRST, lambda: gn.value_and_grad(lambda x: masked_log(x).sum())(X)[1]),
    "elementwise":     (FIRST, lambda: gn.elementwise_grad(masked_log)(X)),
    "vjp":             (FIRST, lambda: gn.vjp(masked_log, X)[1](np.ones(5))[0]),
    "vjp, again":      (FIRST, lambda: [pull(np.ones(5)) for pull in 2 * [gn.vjp(masked_log, X)[1]]][1][0]),
    "jvp":             (FIRST, lambda: gn.jvp(masked_log, (X,), (np.ones(5),))[1]),
    "jacobian":        (np.diag(FIRST), lambda: gn.jacobian(masked_log)(X)),
    "vmap of grad":    (FIRST, lambda: gn.vmap(gn.grad(masked_log))(X)),
    "hessian":         (np.diag(SECOND), lambda: gn.hessian(lambda x: masked_log(x).sum())(X)),
    "hvp":             (SECOND, lambda: gn.hvp(lambda x: masked_log(x).sum())(X, np.ones(5))),
    "jvp of grad":     (SECOND, lambda: gn.jvp(gn.elementwise_grad(masked_log), (X,), (np.ones(5),))[1]),
    "grad of jvp":     (SECOND, lambda: gn.elementwise_grad(lambda x: gn.jvp(masked_log, (x,), (np.ones(5),))[1])(X)),
    "jacobian twice":  (SECOND, lambda: np.einsum("iii->i", gn.jacobian(gn.jacobian(masked_log))(X).data)),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_a_derivative(name):
    expected, way = WAYS[name]
    assert np.array_equal(np.asarray(way()), expected)


def test_backward():
    """Twice, with the graph kept; and what is held in between has its gradient, too."""
    x = gn.Tensor(X, requires_grad=True)
    y = np.log(x)
    out = np.where(X > 0, y, 0).sum()
    out.backward(retain_graph=True)
    out.backward()
    assert x.grad.tolist() == (2 * FIRST).tolist()
    assert y.grad.tolist() == [0, 0, 0, 2, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128])
def test_dtypes(dtype):
    """The gradient by a complex number is the conjugate of 1/z."""
    x = gn.Tensor(np.array([0, nan, 2], dtype), requires_grad=True)
    if x.dtype.kind == "c":
        x = gn.Tensor(np.array([0, complex(nan, inf), 2 + 1j], dtype), requires_grad=True)
    np.real(np.where([False, False, True], np.log(x), 0)).sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad[:2].tolist() == [0, 0]
    np.testing.assert_allclose(x.grad[2], 1 / np.conjugate(x.data[2]), rtol=1e-3 if dtype is np.float16 else 1e-6)


@pytest.mark.parametrize("f", [np.log, np.sqrt, np.reciprocal, np.abs, np.sign, np.angle, np.square, np.arcsin, lambda z: z**z, sp.gamma])
@pytest.mark.parametrize("bad", [0, complex(nan, 1), complex(1, inf), complex(nan, nan)])
def test_complex_functions(f, bad):
    """First and second derivatives of what is taken, as alone, and nothing of what is left out."""
    z, way = np.array([bad, 1 + 2j, -0.5j]), np.array([1j, 2 - 1j, 3])
    number = lambda y: np.sum(np.real(y * np.conjugate(y) + y * (1 - 2j)))
    masked, alone = lambda z: number(np.where(TAKEN, f(z), 0)), lambda z: number(f(z))
    for found, expected in ((gn.grad(masked)(z), gn.grad(alone)(z[1:])), (gn.hvp(masked)(z, way), gn.hvp(alone)(z[1:], way[1:]))):
        assert found.data[0] == 0
        np.testing.assert_allclose(found.data[1:], expected.data, rtol=1e-12, atol=1e-14)


def test_shapes():
    """No axis, no element, one condition for many elements, many conditions for one element."""
    assert [at(masked_log, 0.0, order).tolist() for order in (1, 2, 3)] == [0, 0, 0]
    assert at(masked_log, np.zeros((0, 3)), 2).shape == (0, 3)
    assert at(lambda x: np.where([[True], [False]], x, np.log(x)), [[0.0, 2.0]] * 2).tolist() == [[1, 1], [inf, 0.5]]
    assert at(lambda x: np.where([[True, False], [False, False]], np.log(x), x), [[1.0], [0.0]]).tolist() == [[2], [2]]
    assert at(lambda x: np.where([[True], [False], [True]], np.log(x), x), [0.5, 2.0]).tolist() == [5, 2]
    assert at(lambda x: np.where([True, False, True], 3.0, np.log(x)), 2.0).tolist() == 0.5
    assert at(lambda x: np.where([True, False, True], 1 / x, 3.0), [[0.0], [1.0]]).tolist() == [[-inf], [-2]]
    assert at(lambda x: np.log(x)[np.array([False, False])], [0.0, 1.0]).tolist() == [0, 0]


# ---- what is taken -------------------------------------------------------------------------------------------------------------------------

# name: a program, and x. Behind an index that takes everything, its infinities are those without the index.
INFINITE = {
    "log":          (np.log,                                  [0, 1]),
    "sqrt":         (np.sqrt,                                 [0, 1]),
    "sqrt of NaN":  (np.sqrt,                                 [-1, 1]),
    "1/x":          (lambda x: 1 / x,                         [0, inf]),
    "arccos":       (np.arccos,                               [1, -1]),
    "exp":          (np.exp,                                  [1000, 1]),
    "inf - inf":    (lambda x: np.log(x) - np.log(2 * x),     [0, 1]),
    "cancelled":    (lambda x: np.array([inf, inf]) @ (x * np.array([1, -1])),   [1, 1]),
    "a row":        (lambda x: np.array([[inf], [inf]]) @ x[:1] * np.array([1, -1]),   [1, 1]),
    "logsumexp":    (gn.logsumexp,                            [inf, 1]),
    "norm 3":       (lambda x: np.linalg.norm(x, 3),          [inf, 1]),
    "prod":         (np.prod,                                 [inf, 0]),
    "matmul":       (lambda x: np.array([[inf, 1], [2, nan]]) @ x,   [1, 0]),
}  # fmt: skip


def without_nan(a):
    """NaN and infinity are both no numbers: which of them it is may depend on the order of the steps."""
    return np.where(np.isfinite(a), a, inf)


@pytest.mark.parametrize("name", INFINITE)
def test_infinities_that_are_taken_stay(name):
    """A gradient that is infinite or NaN without a mask is so behind one that takes the element."""
    f, x = INFINITE[name]
    masked = lambda x: f(x)[...]
    assert np.array_equal(without_nan(at(masked, x)), without_nan(at(f, x)))
    tangents = [gn.jvp(g, (np.asarray(x, float),), (np.ones(2),))[1].data for g in (masked, f)]
    assert np.array_equal(*map(without_nan, tangents))


def test_infinities_of_second_order_that_are_taken_stay():
    assert at(lambda x: np.where(x >= 0, np.log(x), 0), [0, 1], 2).tolist() == [-inf, -1]
    assert at(lambda x: np.where(x >= 0, x**1.5, 0), [0, 1], 2).tolist() == [inf, 0.75]


def test_tangents_that_are_taken():
    """They are those without the mask, also where what pulls gradients back cancels: in y and -y."""
    m = np.array([[inf, 1.0], [2.0, 3.0], [nan, 1.0]])
    assert gn.jvp(lambda a: (m @ a)[:2], (np.ones(2),), (np.ones(2),))[1].tolist() == [inf, 5]
    both = lambda x: np.stack([y := np.where(x >= 0, np.sqrt(x), 0), -y])
    assert gn.jvp(both, (np.array([0.0, 1.0]),), (np.ones(2),))[1].tolist() == [[inf, 0.5], [-inf, -0.5]]


# ---- warnings ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["warn", "raise"])
@pytest.mark.parametrize("name", ["log", "sqrt", "divide", "x**0.5", "arccos", "exp", "gamma"])
def test_backward_is_silent_about_what_is_left_out(name, state):
    """The forward pass warns as NumPy does; the way back says nothing, however strict `np.errstate` is."""
    f, _, left_out, taken = (FUNCTIONS | SPECIAL)[name]
    for bad in left_out:
        x = gn.Tensor([bad, *taken], requires_grad=True)
        with np.errstate(all="ignore"):
            out = np.where(TAKEN, f(x), 0).sum()
        with warnings.catch_warnings(), np.errstate(all=state):
            warnings.simplefilter("error")
            out.backward()


@pytest.mark.parametrize("f", [np.sqrt, np.arcsin, lambda x: x**0.5, lambda x: x**1.5], ids=["sqrt", "arcsin", "x**0.5", "x**1.5"])
def test_higher_orders_are_silent_about_what_is_left_out(f):
    """At 0, and for arcsin at 1, values are finite and derivatives are not, so that no warning is the forward pass's."""
    for order in (1, 2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            at(lambda x: np.where(TAKEN, f(x), 0), [float(f is np.arcsin), 0.3, 0.7], order)


def test_a_division_by_zero_that_is_taken_warns():
    """As without a mask: `np.errstate` decides."""
    for f in (np.sqrt, lambda x: np.sqrt(x)[:1]):
        x = gn.Tensor([0.0, 1.0], requires_grad=True)
        out = f(x).sum()
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            out.backward()


# ---- operations of one's own ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [elementwise, op])
def test_operations_of_ones_own(make, monkeypatch):
    """A derivative line knows nothing of masks, and need not: an elementwise one, and one of any NumPy code."""
    monkeypatch.setattr("gradnerve.ops.define.operations", {})
    own = make(lambda x: np.log(x), name="own log", x=lambda g, x: g / x)
    for order, expected in ((1, 0.5), (2, -0.25)):
        assert at(lambda x: np.where(x > 0, own(x), 0), [0, 2], order).tolist() == [0, expected]


def test_checkpoint():
    """What is computed again on the way back has a mask outside, inside, or both."""
    for order, expected in ((1, 0.5), (2, -0.25)):
        assert at(lambda x: gn.checkpoint(masked_log, x), [0, 2], order).tolist() == [0, expected]
        assert at(lambda x: np.where(x > 0, gn.checkpoint(np.log, x), 0), [0, 2], order).tolist() == [0, expected]


@pytest.mark.parametrize("extreme", [np.max, np.min])
def test_an_infinite_gradient_comes_through_an_extreme(extreme):
    """Values that only say where a gradient goes multiply nothing."""
    x = gn.Tensor([-1.0, 0.0] if extreme is np.max else [0.0, 1.0], requires_grad=True)
    np.where(np.array(True), np.sqrt(extreme(x)), 0.0).sum().backward()
    assert np.array_equal(x.grad, [0, inf] if extreme is np.max else [inf, 0])
