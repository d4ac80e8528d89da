"""gradnerve.random: NumPy's values and stream, the derivative of every draw, and averages of derivatives.

A draw moves with a parameter so that its probability stays: ``ppf(cdf(x; θ); θ + h)`` of SciPy says where it goes. Draws that are a formula
of noise are also on the samples of tests/samples/random.py.
"""

import copy
import pickle
import platform
import threading

import numpy as np
import pytest

import gradnerve as gn
from gradnerve import Tensor, _sweep
from gradnerve.ops import implicit

pytestmark = pytest.mark.usefixtures("rows_return")

FUSED = platform.machine().lower() not in ("x86_64", "amd64")  # there, loc + scale * noise may be rounded once instead of twice

# name -> SciPy's distribution of the parameters, and parameters
DISTRIBUTIONS = {
    "normal":               (lambda st, loc, scale: st.norm(loc, scale),                    (0.5, 2.0)),
    "uniform":              (lambda st, low, high: st.uniform(low, high - low),             (-1.0, 2.0)),
    "exponential":          (lambda st, scale: st.expon(scale=scale),                       (2.0,)),
    "laplace":              (lambda st, loc, scale: st.laplace(loc, scale),                 (0.5, 2.0)),
    "logistic":             (lambda st, loc, scale: st.logistic(loc, scale),                (0.5, 2.0)),
    "gumbel":               (lambda st, loc, scale: st.gumbel_r(loc, scale),                (0.5, 2.0)),
    "rayleigh":             (lambda st, scale: st.rayleigh(scale=scale),                    (2.0,)),
    "lognormal":            (lambda st, mean, sigma: st.lognorm(sigma, scale=np.exp(mean)), (0.3, 0.7)),
    "weibull":              (lambda st, a: st.weibull_min(a),                               (1.7,)),
    "pareto":               (lambda st, a: st.lomax(a),                                     (6.0,)),
    "power":                (lambda st, a: st.powerlaw(a),                                  (1.7,)),
    "triangular":           (lambda st, l, m, r: st.triang((m - l) / (r - l), l, r - l),    (-1.0, 0.5, 3.0)),
    "wald":                 (lambda st, mean, scale: st.invgauss(mean / scale, scale=scale), (1.5, 2.3)),
    "standard_gamma":       (lambda st, shape: st.gamma(shape),                             (1.3,)),
    "gamma":                (lambda st, shape, scale: st.gamma(shape, scale=scale),         (0.6, 2.0)),
    "chisquare":            (lambda st, df: st.chi2(df),                                    (3.0,)),
    "noncentral_chisquare": (lambda st, df, nonc: st.ncx2(df, nonc),                        (3.0, 2.5)),
    "f":                    (lambda st, dfnum, dfden: st.f(dfnum, dfden),                   (4.0, 20.0)),
    "noncentral_f":         (lambda st, dfnum, dfden, nonc: st.ncf(dfnum, dfden, nonc),     (4.0, 20.0, 2.0)),
    "standard_t":           (lambda st, df: st.t(df),                                       (5.0,)),
    "beta":                 (lambda st, a, b: st.beta(a, b),                                (1.3, 0.6)),
    "vonmises":             (lambda st, mu, kappa: st.vonmises(kappa, mu),                  (0.5, 2.0)),
}  # fmt: skip
NAMES = sorted(DISTRIBUTIONS)
PARAMETERS = [(name, k) for name in NAMES for k in range(len(DISTRIBUTIONS[name][1]))]
LOCATED = "normal uniform exponential laplace logistic gumbel rayleigh gamma chisquare".split()


def distribution(name, *parameters):
    return DISTRIBUTIONS[name][0](pytest.importorskip("scipy.stats"), *parameters)


def leaves(*values):
    return [Tensor(v, requires_grad=True) for v in values]


def draw(name, *parameters, seed=1, **kwargs):
    return getattr(gn.random.default_rng(seed), name)(*parameters, **kwargs)


def same_bits(name, ours, numpys):
    assert isinstance(ours, Tensor) and ours.dtype == np.asarray(numpys).dtype and ours.shape == np.shape(numpys)
    if FUSED and name in LOCATED:
        np.testing.assert_allclose(ours.data, numpys, rtol=1e-14)
    else:
        assert ours.data.tobytes() == np.asarray(numpys).tobytes()


# ---- values ------------------------------------------------------------------------------------------------------------------------

SHAPES = [
    ([(), (), ()], [None, 3, (2, 2), (0,)]),
    ([(3,), (), ()], [None, 3, (2, 3)]),
    ([(2, 1), (3,), (1,)], [None, (2, 3), (4, 2, 3)]),
    ([(0,), (1,), ()], [None, (2, 0)]),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("track", [True, False])
def test_values_and_stream(name, track):
    """For parameters of all shapes: NumPy's values, and the generator is in the same state after them."""
    rng, numpys = gn.random.default_rng(5), np.random.default_rng(5)
    for shapes, sizes in SHAPES:
        arrays = [p * np.random.default_rng(1).uniform(0.9, 1.1, shape) for p, shape in zip(DISTRIBUTIONS[name][1], shapes, strict=False)]
        for size in sizes:
            x = getattr(rng, name)(*[Tensor(a, requires_grad=track) for a in arrays], size=size)
            same_bits(name, x, getattr(numpys, name)(*arrays, size=size))
            assert x.requires_grad == track
            if track:
                x.backward(np.ones(x.shape))
        assert rng.bit_generator.state == numpys.bit_generator.state


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_any_kind(name):
    """Numbers, integers, float32, lists, some of them Tensors: always float64, as NumPy gives."""
    values = (1, 2, 4) if name == "triangular" else (1, 2, 3)
    values = values[: len(DISTRIBUTIONS[name][1])]
    expected = getattr(np.random.default_rng(1), name)(*values, size=4)
    for make in (int, float, np.float32, np.array, lambda v: Tensor(v, dtype=np.float32), lambda v: [v] * 4,
                 lambda v: Tensor(np.float32(v), requires_grad=True), lambda v: [Tensor(float(v), requires_grad=True)] * 4):  # fmt: skip
        x = draw(name, *map(make, values), size=4)
        same_bits(name, x, expected)
    first = Tensor(np.float32(values[0]), requires_grad=True)
    draw(name, first, *values[1:], size=4).sum().backward()
    assert first.grad.dtype == np.float32 and (first.grad != 0 or name == "uniform")


@pytest.mark.parametrize("name", "random standard_normal standard_exponential standard_cauchy".split())
def test_noise(name):
    for kwargs in [{}, {"size": (2, 3)}] + [{"size": 3, "dtype": np.float32}] * (name != "standard_cauchy"):
        x = draw(name, **kwargs)
        same_bits(name, x, getattr(np.random.default_rng(1), name)(**kwargs))
        assert not x.requires_grad


@pytest.mark.parametrize("name", "random standard_normal standard_exponential standard_gamma".split())
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_out(name, dtype):
    """In an array, which NumPy returns, or in a Tensor."""
    args = (2.5,) if name == "standard_gamma" else ()
    expected = getattr(np.random.default_rng(1), name)(*args, size=4, dtype=dtype)
    a, t = np.empty(4, dtype), Tensor(np.empty(4, dtype))
    assert draw(name, *args, out=a, dtype=dtype) is a and draw(name, *args, out=t, dtype=dtype) is t
    assert a.tobytes() == t.data.tobytes() == expected.tobytes()
    with pytest.raises((TypeError, ValueError)):
        draw(name, *args, out=np.empty(4, np.float16))
    with pytest.raises((TypeError, ValueError)):
        draw(name, *args, 3, out=t, dtype=dtype)


def test_out_carries_the_gradient():
    shape = Tensor(2.5, requires_grad=True)
    t = Tensor(np.empty(4))
    assert draw("standard_gamma", shape, out=t) is t
    t.sum().backward()
    x = draw("standard_gamma", shape, 4)
    assert np.isclose(shape.grad, implicit.gamma_slope(x.data, np.full(4, 2.5)).sum())
    with pytest.raises(TypeError, match="out is an ndarray"):
        draw("standard_gamma", shape, out=np.empty(4))


def test_float32_draws():
    shape = Tensor(np.full(5, 2.5, np.float32), requires_grad=True)
    x = draw("standard_gamma", shape, dtype=np.float32)
    same_bits("standard_gamma", x, np.random.default_rng(1).standard_gamma(shape.data, dtype=np.float32))
    x.sum().backward()
    np.testing.assert_allclose(shape.grad, implicit.gamma_slope(x.data, shape.data), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_is_recorded_where_none_is_wanted(name):
    parameters = leaves(*DISTRIBUTIONS[name][1])
    with gn.no_grad():
        assert not draw(name, *parameters).requires_grad


# ---- first derivatives ---------------------------------------------------------------------------------------------------------------


def quantiles(name, parameters, x):
    """Where draws go when the parameters change: a function of the new parameters."""
    before = distribution(name, *parameters)
    below, above = before.cdf(x), before.sf(x)

    def at(*parameters):
        after = distribution(name, *parameters)
        return np.where(below < 0.5, after.ppf(below), after.isf(above))

    return at


def slope(f, parameters, k, step=1e-3):
    """The derivative of f by parameter number k: a central difference of fourth order."""
    at = lambda h: f(*(p + h * (i == k) for i, p in enumerate(parameters)))
    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


@pytest.mark.parametrize(("name", "k"), PARAMETERS)
def test_every_draw_keeps_its_probability(name, k):
    parameters = DISTRIBUTIONS[name][1]
    given = leaves(*(np.full(40, p) for p in parameters))
    x = draw(name, *given)
    x.backward(np.ones(40))
    expected = slope(quantiles(name, parameters, x.data), parameters, k)
    np.testing.assert_allclose(given[k].grad, expected, rtol=1e-8, atol=1e-8)


WIDE = {
    "gamma":                [(0.1, 1.0), (0.2, 3.0), (30.0, 0.1), (1e4, 1.0)],
    "chisquare":            [(0.1,), (200.0,)],
    "beta":                 [(0.05, 0.1), (0.3, 40.0), (500.0, 0.7), (2e3, 3e3)],
    "f":                    [(0.5, 9.0), (1.0, 1.0), (300.0, 5.0)],
    "standard_t":           [(0.5,), (1.0,), (300.0,)],
    "noncentral_chisquare": [(0.5, 0.1), (0.3, 30.0), (20.0, 300.0)],
    "noncentral_f":         [(0.5, 6.0, 0.1), (3.0, 2.0, 40.0)],
    "wald":                 [(0.01, 3.0), (100.0, 3.0), (1.0, 1.0)],
    "vonmises":             [(0.0, 0.01), (0.0, 0.5), (1.0, 30.0)],
    "lognormal":            [(-3.0, 2.0), (5.0, 0.01)],
    "triangular":           [(0.0, 0.01, 1.0), (-5.0, 2.0, 2.1)],
    "weibull":              [(0.2,), (50.0,)],
    "pareto":               [(0.3,), (50.0,)],
    "power":                [(0.1,), (50.0,)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
@pytest.mark.parametrize(("name", "parameters"), [(name, parameters) for name, cases in WIDE.items() for parameters in cases])
def test_wide_ranges_of_parameters(name, parameters):
    given = leaves(*(np.full(20, p) for p in parameters))
    x = draw(name, *given)
    x.backward(np.ones(20))
    f = quantiles(name, parameters, x.data)
    for k, t in enumerate(given):
        expected = slope(f, parameters, k, 1e-3 * min(1, abs(parameters[k]) or 1))
        with np.errstate(invalid="ignore"):
            scale = np.maximum(abs(expected), 1e-3 * abs(x.data / (parameters[k] or 1)))
        inside = (x.data > 0) & (x.data != 1) if name in ("beta", "gamma", "chisquare") else np.full(20, True)
        assert np.count_nonzero(inside) > 10
        assert (abs(t.grad - expected) / scale)[inside].max() < 2e-6, (name, parameters, k)


@pytest.mark.parametrize(("name", "k"), [(name, k) for name, k in PARAMETERS if name in ("triangular", "uniform")])
def test_parts_of_an_interval_sum_up_to_one(name, k):
    """All ends moved by the same move every draw by as much."""
    given = leaves(*(np.full(30, p) for p in DISTRIBUTIONS[name][1]))
    draw(name, *given).backward(np.ones(30))
    np.testing.assert_allclose(sum(t.grad for t in given), 1, rtol=1e-12)
    assert (given[k].grad >= 0).all()


def test_ends_of_distributions():
    """Where no noise can be told from the draw, or there is none: finite numbers, without warnings."""
    with np.errstate(all="raise", under="ignore"):
        scale, sigma, a = leaves(np.zeros(3), np.zeros(3), np.full(50, 1e-3))
        draw("normal", 1.0, scale).sum().backward()
        assert scale.grad.tolist() == np.random.default_rng(1).standard_normal(3).tolist()
        draw("lognormal", 1.0, sigma).sum().backward()
        assert sigma.grad.tolist() == [0, 0, 0]
        x = draw("standard_gamma", a)
        assert (x.data == 0).any()  # to all digits
        x.sum().backward()
        assert np.isfinite(a.grad).all()
        left, mode, right = leaves(0.0, 0.0, 1.0)
        x = draw("triangular", left, mode, right, 20)
        x.sum().backward()
        assert np.isfinite(left.grad) and right.grad > 0
        a, b = leaves(np.full(50, 1e-3), np.full(50, 1e-3))
        draw("beta", a, b).sum().backward()
        assert np.isfinite(a.grad).all() and np.isfinite(b.grad).all()
        df, nonc = leaves(3.0, 0.0)
        x = draw("noncentral_chisquare", df, nonc)
        x.backward()
        np.testing.assert_allclose([df.grad, nonc.grad], [implicit.gamma_slope(x.data / 2, 1.5), x.data / 3], rtol=1e-12)


# ---- implicit derivatives ------------------------------------------------------------------------------------------------------------


def test_gamma_slope_against_mpmath():
    mp = pytest.importorskip("mpmath")

    def reference(x, a):
        with mp.workdps(60):
            x, a = mp.mpf(x), mp.mpf(a)
            lower = lambda a: mp.gammainc(a, 0, x, regularized=True)
            upper = lambda a: -mp.gammainc(a, x, mp.inf, regularized=True)
            moved = -mp.diff(lower if x < a else upper, a, h=a * mp.mpf(10) ** -20)
            return float(moved / mp.exp((a - 1) * mp.log(x) - x - mp.loggamma(a)))

    rng = np.random.default_rng(2)
    for a in (0.01, 0.1, 0.7, 1.0, 1.5, 3.0, 10.0, 100.0, 1e3, 1e4):
        draws = rng.gamma(a, size=2000)
        draws = np.unique([*draws[:4], draws[draws > 0].min(), draws.max(), a, a + 1])
        expected = [reference(x, a) for x in draws]
        np.testing.assert_allclose(implicit.gamma_slope(draws, a), expected, rtol=1e-11, err_msg=f"shape {a}")


def test_logit_slope_against_mpmath():
    mp = pytest.importorskip("mpmath")

    def reference(x, a, b):
        with mp.workdps(50):
            x, a, b = mp.mpf(x), mp.mpf(a), mp.mpf(b)
            h = a * mp.mpf(10) ** -16
            moved = (mp.betainc(a - h, b, 0, x, regularized=True) - mp.betainc(a + h, b, 0, x, regularized=True)) / (2 * h)
            return float(moved * mp.beta(a, b) * mp.exp(-a * mp.log(x) - b * mp.log(1 - x)))

    rng = np.random.default_rng(2)
    for a in (0.01, 0.5, 1.0, 3.0, 100.0, 1e4):
        for b in (0.01, 0.5, 1.0, 3.0, 100.0):
            draws = rng.beta(a, b, size=500)
            draws = draws[(draws > 1e-200) & (draws < 1 - 1e-9)]
            draws = np.unique([*draws[:2], *draws[draws > 0][:1], draws.min(), draws.max()])
            try:
                expected = [reference(x, a, b) for x in draws]
            except mp.NoConvergence:
                continue
            np.testing.assert_allclose(implicit.logit_slope(draws, 1 - draws, a, b), expected, rtol=1e-8, err_msg=f"{a} {b}")


@pytest.mark.parametrize("order", range(4))
def test_log_gamma_slope_against_mpmath(order):
    mp = pytest.importorskip("mpmath")
    x = np.array([1e-3, 0.1, 0.5, 1.0, 1.4616321, 2.0, 7.0, 30.0, 1e3, 1e8])
    expected = [float(mp.polygamma(order, v)) for v in x]
    np.testing.assert_allclose(implicit.log_gamma_slope(x, order), expected, rtol=1e-13, atol=1e-15 if order == 0 else 0)


def test_tail_ratio_against_scipy():
    special = pytest.importorskip("scipy.special")
    z = np.array([0.0, 1e-8, 0.1, 1.0, 3.0, 10.0, 1e3, 1e8])
    np.testing.assert_allclose(implicit.tail_ratio(z), np.sqrt(np.pi / 2) * special.erfcx(z / np.sqrt(2)), rtol=1e-12)


@pytest.mark.parametrize("kappa", [0.0, 1e-6, 0.1, 1.0, 5.0, 50.0, 300.0, 1e4, 1e6])
def test_angle_slope_against_mpmath(kappa):
    mp = pytest.importorskip("mpmath")

    def reference(x):
        with mp.workdps(30):
            mean, width = mp.besseli(1, kappa) / mp.besseli(0, kappa), 1 / mp.sqrt(1 + kappa)
            cuts = [0, *(c for c in (width, 3 * width, 8 * width, 20 * width) if c < abs(x)), mp.mpf(abs(x))]
            f = lambda t: (mean - mp.cos(t)) * mp.exp(kappa * (mp.cos(t) - mp.cos(x)))
            return float(mp.sign(x) * mp.quad(f, cuts))

    draws = np.random.default_rng(4).vonmises(0, kappa, size=6)
    np.testing.assert_allclose(implicit.angle_slope(draws, kappa), [reference(x) for x in draws], rtol=1e-9)


def test_gamma_slope_against_torch():
    torch = pytest.importorskip("torch")
    for a in (0.05, 0.5, 1.0, 2.0, 20.0, 1000.0):
        x = np.random.default_rng(3).gamma(a, size=50) + 1e-30
        theirs = torch._standard_gamma_grad(torch.full((50,), a, dtype=torch.float64), torch.tensor(x)).numpy()
        np.testing.assert_allclose(implicit.gamma_slope(x, a), theirs, rtol=3e-3)  # theirs is good to about 1e-3


@pytest.mark.parametrize("alpha", [[0.5, 1.5, 3.0], [0.05, 0.05, 0.02], [30.0, 2.0], [4.0]])
def test_dirichlet(alpha):
    """NumPy's values; the gradient is that of PyTorch's formula, and ours to its precision."""
    torch = pytest.importorskip("torch")
    for size in (None, 4, (2, 3)):
        t = Tensor(alpha, requires_grad=True)
        x = draw("dirichlet", t, size)
        same_bits("dirichlet", x, np.random.default_rng(1).dirichlet(alpha, size))
        g = np.random.default_rng(2).normal(size=x.shape)
        x.backward(g)
        numbers = torch.tensor(x.data)
        conc = torch.tensor(alpha, dtype=torch.float64).expand_as(numbers)
        theirs = torch._dirichlet_grad(numbers, conc, conc.sum(-1, True).expand_as(conc))
        theirs = (theirs * (torch.tensor(g) - (numbers * torch.tensor(g)).sum(-1, True))).reshape(-1, len(alpha)).sum(0).numpy()
        np.testing.assert_allclose(t.grad, np.nan_to_num(theirs), rtol=1e-2, atol=1e-3)


def test_large_arrays():
    """They are worked on in blocks, with the same result."""
    x, a = np.random.default_rng(1).gamma(2.0, size=(3, 3000)), np.array([[0.5], [2.0], [30.0]])
    parts = [implicit.gamma_slope(x[i, k:k + 100], a[i]) for i in range(3) for k in range(0, 3000, 100)]
    np.testing.assert_allclose(implicit.gamma_slope(x, a), np.reshape(parts, x.shape), rtol=1e-13)


@pytest.mark.parametrize("size", [50, 5000])
def test_beta_is_the_first_of_two_of_dirichlet(size):
    """Of few draws, all nodes are summed at once; of many, one after the other."""
    (a, b, alpha) = leaves(0.7, 2.0, [0.7, 2.0])
    x = np.random.default_rng(1).dirichlet(alpha.data, size)
    implicit.beta(lambda a, b: x[:, 0], a, b).sum().backward()
    implicit.dirichlet(lambda alpha: x, alpha)[:, 0].sum().backward()
    np.testing.assert_allclose([a.grad, b.grad], alpha.grad, rtol=1e-9)


# ---- multivariate_normal ---------------------------------------------------------------------------------------------------------------

COV = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.7]])


@pytest.mark.parametrize("method", ["svd", "eigh", "cholesky"])
def test_multivariate_normal(method):
    """NumPy's values; and the draws' mean and covariance follow the parameters as they should."""
    for size in (None, 3, (2, 2), [2], 0):
        mean, cov = leaves([1.0, 2.0, 3.0], COV)
        x = draw("multivariate_normal", mean, cov, size, method=method)
        same_bits("normal", x, np.random.default_rng(1).multivariate_normal(mean.data, COV, size, method=method))
        x.sum().backward()
        assert mean.grad.tolist() == [x.size / 3] * 3
        assert np.array_equal(cov.grad, cov.grad.T)
    if method == "cholesky":
        return  # finite differences are taken on the samples
    change = np.array([[0.3, 0.2, -0.1], [0.2, -0.5, 0.4], [-0.1, 0.4, 0.1]])
    x = draw("multivariate_normal", np.zeros(3), COV, 4, method=method).data
    np.testing.assert_allclose(moves_with(COV, x, change), 0.5 * x @ np.linalg.inv(COV) @ change, atol=1e-12)


def moves_with(cov, x, change):
    """How each element of these draws moves when the covariance changes."""
    moves = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        element = lambda c, index=index: implicit.multivariate_normal(lambda *_: x, np.zeros(3), c)[index]
        moves[index] = (gn.grad(element)(cov).data * change).sum()
    return moves


@pytest.mark.parametrize("singular", [False, True])
def test_factor_of_covariance(singular):
    """The draws are A z, and dA A^T + A dA^T is the change of the covariance, also where that has no inverse, or equal values."""
    root = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]) if singular else np.eye(3) * 1.5
    cov, turned = root @ root.T, np.random.default_rng(5).normal(size=root.shape)
    change = turned @ root.T + root @ turned.T
    w, u = np.linalg.eigh(cov)
    factor = u * np.sqrt(abs(w))
    moved = moves_with(cov, factor.T, change).T  # the columns of A are draws for z = (1, 0, 0) and so on
    np.testing.assert_allclose(moved @ factor.T + factor @ moved.T, change, atol=1e-7)


def test_multivariate_normal_errors():
    mean, cov = leaves([0.0, 0.0], np.eye(2))
    with pytest.raises(ValueError, match="same length"):
        draw("multivariate_normal", leaves([0.0] * 3)[0], cov)
    with pytest.raises(ValueError, match="method"):
        draw("multivariate_normal", mean, cov, method="qr")
    with pytest.raises(np.linalg.LinAlgError):
        draw("multivariate_normal", mean, -cov, method="cholesky")
    with pytest.warns(RuntimeWarning, match="positive-semidefinite"):
        draw("multivariate_normal", mean, -cov)


# ---- second derivatives ----------------------------------------------------------------------------------------------------------------


def cubes(name, parameters, x, k):
    """The derivative of the cubes of given draws by parameter k, and the parameters that it is tracked to."""
    given = leaves(*(np.full(len(x), p) for p in parameters))
    inner = [gn.positive(t) for t in given]
    if name == "gamma":
        y = implicit.standard_gamma(lambda *_: x / parameters[1], inner[0]) * inner[1]
    elif name == "chisquare":
        y = 2.0 * implicit.standard_gamma(lambda *_: x / 2, inner[0] / 2)
    else:
        y = getattr(implicit, name)(lambda *_: x, *inner)
    return _sweep.gradients([(y * y * y).sum()], inner, [None])[k], given


@pytest.mark.parametrize(("name", "k"), [(name, k) for name, k in PARAMETERS if name not in LOCATED or name in ("gamma", "chisquare")])
def test_second_derivatives(name, k):
    """Where the draws go, their derivatives do."""
    parameters = DISTRIBUTIONS[name][1]
    x = draw(name, *parameters, size=12).data
    at = quantiles(name, parameters, x)
    g, given = cubes(name, parameters, x, k)
    g.sum().backward()
    for i, t in enumerate(given):
        expected = slope(lambda *p: cubes(name, p, at(*p), k)[0].data, parameters, i)
        np.testing.assert_allclose(t.grad, expected, rtol=1e-7, atol=1e-7)


def test_third_derivative():
    """The average of x^3 is a (a + 1) (a + 2), whose third derivative is 6."""
    n = 4000
    a = Tensor(np.full(n, 5.0), requires_grad=True)
    f = lambda a: (draw("standard_gamma", a) ** 3).sum()
    third = gn.grad(lambda a: gn.grad(lambda a: gn.grad(f)(a).sum())(a).sum())(a).data
    assert abs(third.mean() - 6) < 4 * third.std() / n**0.5


# ---- averages --------------------------------------------------------------------------------------------------------------------------

TESTS = {"mean": (lambda x: x, lambda d: d.mean()), "sine": (np.sin, lambda d: d.expect(np.sin))}


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
@pytest.mark.parametrize(("name", "k"), PARAMETERS)
@pytest.mark.parametrize("test", TESTS)
def test_averages(name, k, test):
    """The average derivative is the derivative of the average, within four standard errors."""
    n, parameters = 4000, DISTRIBUTIONS[name][1]
    if name == "vonmises" and test == "mean":
        pytest.skip("the mean of angles is none of their circle")
    f, average = TESTS[test]
    given = leaves(*(np.full(n, p) for p in parameters))
    f(draw(name, *given, seed=11)).sum().backward()
    expected = slope(lambda *p: average(distribution(name, *p)), parameters, k)
    g = given[k].grad
    assert abs(g.mean() - expected) <= 4 * g.std() / n**0.5 + 1e-7


@pytest.mark.parametrize("method", ["svd", "eigh", "cholesky"])
def test_average_of_normal_vectors(method):
    """The average of x0^2 x1^2 is c00 c11 + 2 c01^2: first and second derivative along a direction."""
    change = np.array([[0.3, 0.2, -0.1], [0.2, -0.5, 0.4], [-0.1, 0.4, 0.1]])

    def function(cov, seed):
        x = draw("multivariate_normal", np.zeros(3), cov, 400, method=method, seed=seed)
        return (x[:, 0] ** 2 * x[:, 1] ** 2).mean()

    first, second = [], []
    for seed in range(40):
        along = lambda cov, seed=seed: (gn.grad(function)(cov, seed) * change).sum()
        first.append(along(COV).item())
        second.append((gn.grad(along)(COV).data * change).sum())
    expected = (change[0, 0] * COV[1, 1] + COV[0, 0] * change[1, 1] + 4 * COV[0, 1] * change[0, 1],
                2 * change[0, 0] * change[1, 1] + 4 * change[0, 1] ** 2)  # fmt: skip
    for found, exact in zip((first, second), expected, strict=True):
        assert abs(np.mean(found) - exact) < 4 * np.std(found) / 40**0.5


@pytest.mark.parametrize("alpha", [[0.5, 1.5, 3.0], [0.05, 0.04, 0.08]])
def test_average_of_dirichlet(alpha):
    """The average of x0 x1 is a0 a1 / (a (a + 1)) with a the sum."""
    n, alpha = 4000, np.array(alpha)
    exact = lambda *a: a[0] * a[1] / (sum(a) * (sum(a) + 1))
    found = []
    for seed in range(40):
        t = Tensor(alpha, requires_grad=True)
        x = draw("dirichlet", t, n // 40, seed=seed)
        (x[:, 0] * x[:, 1]).mean().backward()
        found.append(t.grad)
    for k in range(3):
        expected = slope(exact, alpha, k, 1e-4)
        assert abs(np.mean(found, 0)[k] - expected) < 4 * np.std(found, 0)[k] / 40**0.5


# ---- whole numbers, and elements in other places ---------------------------------------------------------------------------------------

WHOLE = {
    "integers": (2.0, 9.0), "poisson": (3.0,), "binomial": (9.0, 0.4), "negative_binomial": (3.0, 0.4), "geometric": (0.4,), "logseries": (0.4,),
    "zipf": (2.5,), "hypergeometric": (5.0, 6.0, 4.0), "multinomial": (5.0, [0.25, 0.75]), "multivariate_hypergeometric": ([5, 6], 4),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_whole_numbers(name):
    """Tensors stand for their values, unless a gradient is asked for."""
    integers = name in ("integers", "binomial", "hypergeometric", "multinomial", "multivariate_hypergeometric")
    arrays = [np.array(v).astype(int) if integers and np.all(np.array(v) == np.round(v)) else np.array(v) for v in WHOLE[name]]
    if name == "multivariate_hypergeometric":
        arrays[1] = 4
    expected = getattr(np.random.default_rng(1), name)(*arrays, size=5)
    x = draw(name, *[Tensor(a) if isinstance(a, np.ndarray) else a for a in arrays], size=5)
    assert type(x) is np.ndarray and np.array_equal(x, expected)
    assert np.array_equal(getattr(np.random.default_rng(1), name)(*arrays), draw(name, *arrays))
    for k, a in enumerate(arrays):
        if isinstance(a, np.ndarray):
            given = [Tensor(b, requires_grad=i == k) if isinstance(b, np.ndarray) else b for i, b in enumerate(arrays)]
            with pytest.raises(TypeError, match=rf"(?s){name}: .*score function.*gumbel_softmax"):
                draw(name, *given)
            with gn.no_grad():
                draw(name, *[np.asarray(t.data) if integers and t is given[k] else t for t in given] if not integers else arrays)


def test_error_names_the_parameter():
    lam = Tensor(3.0, requires_grad=True)
    for call in (lambda: draw("poisson", lam), lambda: draw("poisson", lam=lam), lambda: draw("poisson", [lam, 2.0])):
        with pytest.raises(TypeError, match=r"poisson: what is drawn has no derivative by lam, .*\n.*lam.data"):
            call()
    with pytest.raises(TypeError, match=r"choice: .* by p"):
        draw("choice", 2, p=Tensor([0.5, 0.5], requires_grad=True))


MOVED = [
    ("permutation", {}), ("permutation", {"axis": 1}), ("permuted", {}), ("permuted", {"axis": 1}), ("choice", {"size": 4}),
    ("choice", {"size": (2, 2), "axis": 1}), ("choice", {"size": 2, "replace": False}), ("choice", {"size": 3, "p": [0.2, 0.3, 0.5]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs"), MOVED)
def test_elements_in_other_places(name, kwargs):
    """Of arrays, NumPy's arrays; of a Tensor, a Tensor whose gradient goes to where the elements were."""
    a = np.arange(12.0).reshape(3, 4) + 1
    expected = getattr(np.random.default_rng(1), name)(a, **kwargs)
    plain = draw(name, a, **kwargs)
    assert type(plain) is np.ndarray and np.array_equal(plain, expected)
    t = Tensor(a, requires_grad=True)
    x = draw(name, t, **kwargs)
    assert np.array_equal(x.data, expected) and x.dtype == a.dtype
    x.sum().backward()
    assert t.grad.tolist() == [[np.count_nonzero(expected == v) for v in row] for row in a]


def test_moves_of_numbers_and_lists():
    rng, numpys = gn.random.default_rng(1), np.random.default_rng(1)
    assert np.array_equal(rng.permutation(5), numpys.permutation(5))
    assert rng.choice(5) == numpys.choice(5)
    assert np.array_equal(rng.choice([1, 2, 3], 2), numpys.choice([1, 2, 3], 2))
    x = rng.choice([Tensor(1.0, requires_grad=True), 2.0], 4)
    assert x.requires_grad and np.array_equal(x.data, numpys.choice([1.0, 2.0], 4))
    t = rng.choice(Tensor([1.0, 2.0, 3.0]))
    assert isinstance(t, Tensor) and t.shape == () and t.item() == numpys.choice([1.0, 2.0, 3.0])
    assert rng.bytes(4) == numpys.bytes(4)


@pytest.mark.parametrize("axis", [0, 1])
def test_shuffle(axis):
    """In place: the name stands for the new value, and what was computed before keeps its gradient."""
    a = np.arange(6.0).reshape(2, 3)
    expected = a.copy()
    np.random.default_rng(1).shuffle(expected, axis)
    leaf = Tensor(a, requires_grad=True)
    t = leaf * 1
    before = t * a
    assert draw("shuffle", t, axis) is None
    assert np.array_equal(t.data, expected)
    (t * expected).sum().backward(retain_graph=True)
    assert np.array_equal(leaf.grad, a)
    before.sum().backward()
    assert np.array_equal(leaf.grad, 2 * a)
    plain, untracked, words = a.copy(), Tensor(a), list("abcdef")
    draw("shuffle", plain, axis)
    draw("shuffle", untracked, axis)
    draw("shuffle", words)
    assert np.array_equal(plain, expected) and np.array_equal(untracked.data, expected) and sorted(words) == list("abcdef")
    with pytest.raises(RuntimeError, match="shuffle"):
        draw("shuffle", leaf, axis)


def test_permuted_out():
    a, out = np.arange(6.0).reshape(2, 3), np.empty((2, 3))
    expected = np.random.default_rng(1).permuted(a, axis=1)
    assert draw("permuted", a, axis=1, out=out) is out and np.array_equal(out, expected)
    leaf, t = Tensor(a, requires_grad=True), Tensor(np.empty((2, 3)))
    assert draw("permuted", leaf, axis=1, out=t) is t and t.requires_grad and np.array_equal(t.data, expected)
    with pytest.raises(TypeError, match="out is an ndarray"):
        draw("permuted", leaf, axis=1, out=out)


# ---- the generator ---------------------------------------------------------------------------------------------------------------------


def test_default_rng():
    numpys = np.random.default_rng(4)
    ours = gn.random.default_rng(numpys)
    assert ours.bit_generator is numpys.bit_generator and gn.random.default_rng(ours) is ours
    for seed in (4, [1, 2], np.random.SeedSequence(4), np.random.PCG64(4), np.random.MT19937(4), None):
        rng = gn.random.default_rng(copy.deepcopy(seed))
        if seed is not None:
            assert rng.normal().item() == np.random.default_rng(seed).normal()
    assert gn.random.Generator(np.random.Philox(3)).random().item() == np.random.Generator(np.random.Philox(3)).random()
    assert "PCG64" in repr(ours)
    with pytest.raises(ValueError):
        gn.random.default_rng(-1)


def test_copies():
    rng = gn.random.default_rng(4)
    for twin in (pickle.loads(pickle.dumps(rng)), copy.deepcopy(rng)):
        assert twin.bit_generator is not rng.bit_generator
        assert twin.normal(size=3).tolist() == np.random.default_rng(4).normal(size=3).tolist()
    assert copy.copy(rng).bit_generator is rng.bit_generator  # as NumPy's
    assert [child.random().item() for child in rng.spawn(2)] == [child.random() for child in np.random.default_rng(4).spawn(2)]


def test_functions_of_the_module():
    gn.random.seed(6)
    x = gn.random.normal(size=3), gn.random.gamma(2.0), gn.random.integers(9)
    numpys = np.random.default_rng(6)
    assert x[0].tolist() == numpys.normal(size=3).tolist() and x[1].item() == numpys.gamma(2.0) and x[2] == numpys.integers(9)
    gn.random.manual_seed(6)
    assert gn.random.normal(size=3).tolist() == x[0].tolist()
    with pytest.raises(AttributeError, match="no randn; use standard_normal"):
        _ = gn.random.randn


def test_has_what_numpys_generator_has():
    missing = {name for name in dir(np.random.Generator) if not name.startswith("_")} - set(dir(gn.random.Generator))
    assert not missing
    methods = {name for name in dir(np.random.Generator) if not name.startswith("_")} - {"bit_generator"}
    assert not {name for name in methods if not callable(getattr(gn.random, name, None))}
    assert not {name for name in methods if not getattr(gn.random.Generator, name).__doc__}


def test_threads():
    """Draws of several threads from one generator are those of one thread, in some order."""
    rng, drawn = gn.random.default_rng(3), []
    scale = Tensor(1.0, requires_grad=True)
    threads = [threading.Thread(target=lambda: drawn.extend(rng.normal(0.0, scale, size=50).tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == sorted(np.random.default_rng(3).normal(size=200).tolist())


ERRORS = [
    ("normal", (0.0, -1.0), "scale < 0"),         ("exponential", (-1.0,), "scale < 0"),        ("uniform", (1.0, 0.0), "high - low"),
    ("gamma", (-1.0, 1.0), "shape < 0"),          ("chisquare", (0.0,), "df <= 0"),             ("standard_gamma", (-1.0,), "shape < 0"),
    ("beta", (0.0, 1.0), "a <= 0"),               ("wald", (1.0, -1.0), "scale <= 0"),          ("triangular", (1.0, 0.0, 2.0), "left > mode"),
    ("vonmises", (0.0, -1.0), "kappa < 0"),       ("dirichlet", ([-1.0],), "alpha"),            ("f", (1.0, 0.0), "dfden <= 0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "message"), ERRORS)
def test_errors(name, parameters, message):
    """NumPy's, for tracked parameters too, and the stream is where it was."""
    for track in (True, False):
        rng = gn.random.default_rng(1)
        with pytest.raises(ValueError, match=message):
            getattr(rng, name)(*[Tensor(p, requires_grad=track) for p in parameters])
        assert rng.bit_generator.state == np.random.default_rng(1).bit_generator.state


@pytest.mark.parametrize("name", ["normal", "weibull", "gamma"])
def test_complex_parameters_are_refused(name):
    with pytest.raises(TypeError):
        draw(name, *[Tensor(1j, requires_grad=True)] * (1 if name == "weibull" else 2))
