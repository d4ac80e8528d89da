"""Special functions where it is hard: tails, limits and parameters against mpmath, the rest against PyTorch and JAX.

The samples of tests/samples/special.py stay where finite differences have digits; here are the other places.
"""

import itertools
import warnings

import numpy as np
import pytest
from helpers import process
from samples import special

import gradnerve as gn

scipy_special = pytest.importorskip("scipy.special")
mp = pytest.importorskip("mpmath")

pytestmark = pytest.mark.usefixtures("rows_return")


def slope(f, *args, order, digits=80):
    """The exact derivative, as often by each argument as `order` says, of which a quarter of these digits are right."""
    places = [mp.mpf(x) for x in args]
    step = mp.mpf(10) ** -(digits // 4) * min([1, *(abs(x) for x in places if x)])
    with mp.workdps(digits):
        return mp.diff(f, tuple(places) if len(places) > 1 else places[0], order if len(places) > 1 else order[0], h=step)


def found(f, *args, order):
    """The same by gradnerve."""
    def by(f, k):
        return lambda *args: gn.grad(lambda x: f(*args[:k], x, *args[k + 1:]))(args[k])

    for k, times in enumerate(order):
        for _ in range(times):
            f = by(f, k)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(f(*map(np.float64, args)).data)


def check(ours, exact, places, orders, relative, digits=80):
    """Every derivative at every place, where it is a number of float64."""
    wrong, checked = [], 0
    for args, order in itertools.product(places, orders):
        expected = slope(exact, *args, order=order, digits=digits)
        if not 1e-290 < abs(expected) < 1e290:
            continue
        checked += 1
        value = found(ours, *args, order=order)
        if not abs(mp.mpf(value) - expected) <= relative * abs(expected):
            wrong.append(f"{args}, derivative {order}: found {value!r}, exact {mp.nstr(expected, 17)}")
    assert checked and not wrong, "\n".join([f"{len(wrong)} of {checked} differ by more than {relative}", *wrong[:9]])


# ---- tails and limits ----------------------------------------------------------------------------------------------------------------------

FAR = [1e-8, 0.4, 1.4616321449683622, 6.9, 7.1, 24.9, 25.1, 30, 700]
FEW = [1e-8, 0.4, 24.9, 25.1, 700]
BOTH = [s * x for x in FAR for s in (1, -1)]
INSIDE = [1e-16, 1e-8, 0.1, 0.5, 1 - 1e-8]
LEFT = [0.0, -1.0, -30.0, -1e-12, -0.5, -30.5]


HARD = {
    "erf":      (lambda x: mp.erf(x), BOTH),
    "erfc":     (lambda x: mp.erfc(x), [*FAR, -1e-8, -0.4, -6.9]),
    "erfcx":    (lambda x: mp.exp(x * x) * mp.erfc(x), [*FAR, -1e-8, -6.9, -24.9]),
    "erfinv":   (lambda x: mp.erfinv(x), [*INSIDE, *(-x for x in INSIDE)]),
    "erfcinv":  (lambda x: mp.erfinv(1 - x), INSIDE),
    "dawsn":    (lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), [x for x in BOTH if abs(x) < 100]),
    "ndtr":     (lambda x: mp.ncdf(x), BOTH),
    "log_ndtr": (lambda x: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2), BOTH),
    "ndtri":    (lambda x: mp.sqrt(2) * mp.erfinv(2 * x - 1), INSIDE),
    "expit":    (lambda x: 1 / (1 + mp.exp(-x)), [x for x in BOTH if abs(x) > 1e-3]),  # flat at 0: its second derivative is a difference there
    "logit":    (lambda x: mp.log(x / (1 - x)), [1e-16, 1e-8, 0.1, 1 - 1e-8]),
    "log_expit": (lambda x: -mp.log1p(mp.exp(-x)), BOTH),
    "expm1":    (lambda x: mp.expm1(x), BOTH),
    "log1p":    (lambda x: mp.log1p(x), [*FAR, -1e-8, -0.4, -1 + 1e-8]),
    "entr":     (lambda x: -x * mp.log(x), FAR),
    "expi":     (lambda x: mp.ei(x), BOTH),
    "exp1":     (lambda x: mp.e1(x), FAR),
    "gamma":    (lambda x: mp.gamma(x), [*FAR, 170.3, *LEFT[3:]]),
    "rgamma":   (lambda x: mp.rgamma(x), [*FAR, 170.3, *LEFT]),
    "gammaln":  (lambda x: mp.log(abs(mp.gamma(x))), [*FAR, 1e15, *LEFT[3:]]),
    "psi":      (lambda x: mp.digamma(x), [*FAR, *LEFT[3:]]),
    "zeta":     (lambda x: mp.zeta(x), [1 + 1e-8, 1.5, 10, 60, 0.5, 0.1, -0.3, -0.6, -1, -2, -3.5, -30.3, -100.5]),
    "j0":       (lambda x: mp.besselj(0, x), BOTH),
    "j1":       (lambda x: mp.besselj(1, x), BOTH),
    "y0":       (lambda x: mp.bessely(0, x), FEW),
    "y1":       (lambda x: mp.bessely(1, x), FEW),
    "i0":       (lambda x: mp.besseli(0, x), BOTH),
    "i1":       (lambda x: mp.besseli(1, x), BOTH),
    "k0":       (lambda x: mp.besselk(0, x), FEW),
    "k1":       (lambda x: mp.besselk(1, x), FEW),
    "i0e":      (lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), [*BOTH, 1e5]),
    "i1e":      (lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), [*BOTH, 1e5]),
    "k0e":      (lambda x: mp.exp(x) * mp.besselk(0, x), [*FEW, 1e5]),
    "k1e":      (lambda x: mp.exp(x) * mp.besselk(1, x), [*FEW, 1e5]),
}


@pytest.mark.parametrize("name", sorted(HARD))
def test_tails(name):
    exact, places = HARD[name]
    digits = {"i": 50, "j": 50, "k": 36, "y": 44}.get(name[0], 80) if name[1] in "01" else 80  # mpmath takes its time over these
    check(getattr(gn.special, name), exact, [(x,) for x in places], [(1,), (2,)], 1e-11, digits)


@pytest.mark.parametrize(("k", "exact"), [(0, "si"), (1, "ci")])
def test_sine_and_cosine_integral(k, exact):
    check(lambda x: gn.special.sici(x)[k], lambda x: getattr(mp, exact)(x), [(x,) for x in (1e-8, 1e-3, 0.999, 1.001, 30, 700)], [(1,), (2,)], 1e-11)


@pytest.mark.parametrize("name", ["erfcx", "dawsn"])
def test_far_beyond_the_exponentials(name):
    """At 1e8 only the first term of the asymptotic series is left, and the textbook formula has no digit."""
    first = 1 / np.sqrt(np.pi) if name == "erfcx" else 0.5
    assert found(getattr(gn.special, name), 1e8, order=(1,)) == pytest.approx(-first * 1e-16, rel=1e-14)
    assert found(getattr(gn.special, name), 1e8, order=(2,)) == pytest.approx(2 * first * 1e-24, rel=1e-14)


# ---- two arguments -------------------------------------------------------------------------------------------------------------------------

FIRST = [(1, 0), (0, 1)]
SECOND = [(2, 0), (1, 1), (0, 2)]
TINY = [1e-300, 1e-8, 1.0, 5.0]


def grid(*axes):
    return list(itertools.product(*axes))


PAIRS = {
    "rel_entr":  (lambda x, y: x * mp.log(x / y), grid(TINY, [1e-8, 1.0, 1.00001, 7.0])),
    "kl_div":    (lambda x, y: x * mp.log(x / y) - x + y, [(x, y) for x, y in grid(TINY, [1e-8, 1.0, 1.00001, 7.0]) if x != y]),
    "xlogy":     (lambda x, y: x * mp.log(y), grid(TINY, [1e-8, 1.00001, 7.0])),
    "xlog1py":   (lambda x, y: x * mp.log1p(y), grid(TINY, [-0.99999, 1e-8, 7.0])),
    "betaln":    (lambda x, y: mp.log(mp.beta(x, y)), grid([1e-8, 0.3, 5, 40, 1e8], [1e-8, 0.3, 5, 1e4])),
    "beta":      (lambda x, y: mp.beta(x, y), grid([1e-8, 0.3, 5, 40], [1e-8, 0.3, 5])),
    "gammainc":  (lambda a, x: mp.gammainc(a, 0, x, regularized=True), grid([1e-6, 0.2, 19.9, 20.1, 300], [1e-6, 0.3, 30, 320])),
    "gammaincc": (lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True), grid([1e-6, 0.2, 19.9, 20.1, 300], [1e-6, 0.3, 30, 320])),
    "zeta":      (lambda s, q: mp.zeta(s, q), grid([1.0001, 3, 40], [1e-3, 1, 300])),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_two_arguments(name):
    exact, places = PAIRS[name]
    if name.startswith("gammainc"):  # where mpmath's difference of two numbers near 1 has digits
        places = [(a, x) for a, x in places if abs(slope(exact, a, x, order=(0, 1))) > 1e-40]
    check(getattr(gn.special, name), exact, places, FIRST, 1e-11)
    second = {"xlogy": SECOND[1:], "xlog1py": SECOND[1:], "beta": [], "betaln": []}  # the last two are differences next to a tiny number
    for order in second.get(name, SECOND):
        check(getattr(gn.special, name), exact, places, [order], 1e-9)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
@pytest.mark.parametrize("a", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("off", [-5, -1, 0, 0.5, 4])
def test_incomplete_gamma_function_of_large_numbers(name, a, off):
    """Against the integral over log(t), on the side where the integrand has one sign."""
    a = mp.mpf(a)
    x = mp.mpf(float(a + off * mp.sqrt(a)))
    psi, start, width = mp.digamma(a), mp.log(x), 1 / mp.sqrt(a)
    with mp.workdps(35):
        log_gamma = mp.loggamma(a)
        side = 1 if start < psi else -1
        edges = sorted(start - side * k * width for k in (0, 1, 2, 4, 8, 16))
        expected = side * mp.quad(lambda u: mp.exp(a * u - mp.exp(u) - log_gamma) * (u - psi), edges)
    sign = 1 if name == "gammainc" else -1
    assert found(getattr(gn.special, name), a, x, order=(1, 0)) == pytest.approx(float(sign * expected), rel=1e-10)


def test_incomplete_gamma_function_at_the_edges():
    """At a = 0 the limit, -E1(x); at x = 0 nothing."""
    assert found(gn.special.gammainc, 0.0, 1.0, order=(1, 0)) == pytest.approx(-scipy_special.exp1(1), rel=1e-13)
    assert found(gn.special.gammainc, 2.0, 0.0, order=(1, 0)) == found(gn.special.gammainc, 2.0, 0.0, order=(0, 1)) == 0


BETAS = [(a, b, x) for a in (1e-6, 0.3, 9.9, 60) for b in (1e-4, 1, 11, 300) for x in (1e-10, 0.2, 0.9, a / (a + b))]


@pytest.mark.parametrize("order", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (1, 1, 0), (0, 1, 1)])
def test_incomplete_beta_function(order):
    """By the smaller of the two integrals, as the difference of numbers near 1 has no digits in mpmath either."""
    wrong = []
    for a, b, x in BETAS:
        lower = mp.betainc(a, b, 0, x, regularized=True) < 0.5
        def exact(a, b, x, lower=lower):
            return mp.betainc(a, b, 0, x, regularized=True) if lower else -mp.betainc(b, a, 0, 1 - x, regularized=True)
        expected = slope(exact, a, b, x, order=order)
        value = found(gn.special.betainc, a, b, x, order=order)
        if 1e-290 < abs(expected) < 1e290 and not abs(value - expected) <= (1e-10 if sum(order) == 1 else 1e-8) * abs(expected):
            wrong.append(f"{a, b, x}: found {value!r}, exact {mp.nstr(expected, 17)}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(BETAS)} differ", *wrong[:9]])


# ---- Bessel functions by their order -------------------------------------------------------------------------------------------------------

BESSEL = {"jv": mp.besselj, "yv": mp.bessely, "iv": mp.besseli, "kv": mp.besselk}


@pytest.mark.parametrize("name", sorted(BESSEL))
def test_by_order(name):
    """The first derivative to 1e-11 of the function's size nearby, the second to 1e-9; also of the function that is scaled by exp(-x) or exp(x)."""
    exact, sign = BESSEL[name], 1 if name == "kv" else -1
    for v, x in itertools.product((-20.3, -1.0, 0.0, 1e-3, 2.7, 30.2), (1e-8, 0.1, 3.3, 20.0)):
        with mp.workdps(20):
            size = max(abs(exact(v + d, x)) for d in (-0.5, -0.25, 0, 0.25, 0.5))
        speed = 1 + np.arcsinh(2 * (abs(v) + 1) / x)
        for times, relative in ((1, 1e-11), (2, 1e-9)):
            expected, allowed = slope(lambda v: exact(v, x), v, order=(times,), digits=44), relative * size * speed**times  # noqa: B023
            for f, factor in [(name, 1), (name + "e", mp.exp(sign * x))] if name in ("iv", "kv") else [(name, 1)]:
                assert abs(found(getattr(gn.special, f), v, x, order=(times, 0)) - expected * factor) <= allowed * factor, (f, v, x, times)


def test_complex_arguments_by_order():
    for name, exact in BESSEL.items():
        z = 1.5 - 2j
        v = gn.Tensor(0.7, requires_grad=True)
        np.real(getattr(gn.special, name)(v, z)).backward()
        expected = slope(lambda v: exact(v, mp.mpc(z)), 0.7, order=(1,))  # noqa: B023
        assert v.grad == pytest.approx(float(expected.real), rel=1e-11), name


@pytest.mark.parametrize("call", [lambda n: gn.special.yn(n, 2.0), lambda n: gn.special.polygamma(n, 2.0), lambda n: gn.special.multigammaln(3.0, n)])
def test_whole_orders_have_no_gradient(call):
    n = gn.Tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match=r"special\.\w+: its order, here of shape \(\), is a whole number"):
        call(n)
    assert np.isfinite(float(call(gn.Tensor(1))))


# ---- complex numbers -----------------------------------------------------------------------------------------------------------------------

PLANE = {
    "erfcx": (lambda z: mp.exp(z * z) * mp.erfc(z), [3 + 4j, 12 - 5j, 9j, 0.1 + 7.2j, 7.5 + 0j, -2 + 1j]),
    "dawsn": (lambda z: mp.sqrt(mp.pi) / 2 * mp.exp(-z * z) * mp.erfi(z), [3 + 4j, 12 - 5j, 2j, -8 + 0.5j, 0.1 + 0j]),
    "log_ndtr": (lambda z: mp.log(mp.erfc(-z / mp.sqrt(2)) / 2), [1 + 1j, -3 + 2j, -20 - 1j]),
    "psi": (mp.digamma, [1 + 2j, 0.5 - 3j, -3.2 + 0.1j, -20.5 + 4j, 8j, 100 - 50j, -0.5 + 40j]),
    "gamma": (mp.gamma, [1 + 2j, 0.5 - 3j, -3.2 + 0.1j, 20 + 5j]),
    "rgamma": (mp.rgamma, [1 + 2j, 0.4 - 3j, -3.2 + 0.1j, -3 + 0j, 20 + 5j]),
    "expi": (mp.ei, [1 + 1j, -3 + 2j, 20 - 20j, 1e-8j]),
    "exp1": (mp.e1, [1 + 1j, -3 + 2j, 20 - 20j, 1e-8j]),
    "zeta": (mp.zeta, [2 + 1j, 0.5 + 14j, 1 + 30j, -0.3 + 1j, -2.5 + 2j]),
}


@pytest.mark.parametrize("name", sorted(PLANE))
def test_complex_plane(name):
    """The gradient of the real part is the conjugate derivative; and once more."""
    exact, places = PLANE[name]
    for z in places:
        if name == "zeta" and scipy_special.zeta(Types()).count("D") == 0:
            pytest.skip("SciPy's zeta is real before 1.15")
        def first(z): return gn.grad(lambda z: np.real(getattr(gn.special, name)(z)))(z)
        def second(z): return gn.grad(lambda z: np.real(np.conjugate(first(z))))(z)
        for found_, times in ((first, 1), (second, 2)):
            with mp.workdps(50):
                expected = complex(mp.diff(exact, mp.mpc(z), times, h=mp.mpf(10) ** -12 * min(1, abs(z))))
            assert np.conjugate(complex(found_(np.complex128(z)).data)) == pytest.approx(expected, rel=1e-10), (z, times)


class Types:
    """Finds the types that a SciPy function computes in."""

    def __array_ufunc__(self, ufunc, *_, **__):
        return "".join(ufunc.types)


# ---- other libraries -----------------------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
LINE, POSITIVE, UNIT = rng.uniform(-3, 3, 6), rng.uniform(0.3, 4, 6), rng.uniform(0.05, 0.95, 6)
TORCH = {
    "erf erfc erfcx expit log_ndtr ndtr expm1 i0 i0e i1 i1e sinc": LINE, "gammaln digamma psi entr log1p": POSITIVE, "logit ndtri erfinv": UNIT,
}  # fmt: skip


@pytest.mark.parametrize("name", " ".join(TORCH).split())
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    x = next(x for names, x in TORCH.items() if name in names.split())
    t = torch.tensor(x, requires_grad=True)
    getattr(torch.special, name)(t).sum().backward()
    np.testing.assert_allclose(gn.grad(lambda x: getattr(gn.special, name)(x).sum())(x).data, t.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_pairs_against_torch():
    torch = pytest.importorskip("torch")
    for name in ("xlogy", "xlog1py"):
        x, y = torch.tensor(LINE, requires_grad=True), torch.tensor(POSITIVE, requires_grad=True)
        getattr(torch.special, name)(x, y).sum().backward()
        a, b = gn.Tensor(LINE, requires_grad=True), gn.Tensor(POSITIVE, requires_grad=True)
        getattr(gn.special, name)(a, b).sum().backward()
        np.testing.assert_allclose(a.grad, x.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(b.grad, y.grad.numpy(), rtol=1e-12)
    for call in (lambda s, x: s.polygamma(2, x), lambda s, x: s.zeta(2.5, x) if s is gn.special else s.zeta(torch.tensor(2.5, dtype=x.dtype), x),
                 lambda s, x: s.logsumexp(x, 0), lambda s, x: s.softmax(x, 0)[2], lambda s, x: s.log_softmax(x, 0)[2],
                 lambda s, x: s.multigammaln(x + 2, 3)):
        x, t = torch.tensor(POSITIVE, requires_grad=True), gn.Tensor(POSITIVE, requires_grad=True)
        call(torch.special, x).sum().backward()
        call(gn.special, t).sum().backward()
        np.testing.assert_allclose(t.grad, x.grad.numpy(), rtol=1e-9)


@pytest.mark.parametrize(("name", "args"), [
    ("gammainc", (POSITIVE, 2 * POSITIVE[::-1])), ("gammaincc", (POSITIVE, POSITIVE[::-1])), ("betaln", (POSITIVE, POSITIVE[::-1])),
    ("kl_div", (POSITIVE, POSITIVE[::-1])), ("rel_entr", (POSITIVE, POSITIVE[::-1])),
    ("expi", (POSITIVE,)), ("exp1", (POSITIVE,)), ("log_ndtr", (LINE,)), ("i1e", (LINE,)), ("digamma", (POSITIVE,)), ("logsumexp", (LINE,)),
])  # fmt: skip
def test_against_jax(name, args):
    jax = pytest.importorskip("jax")
    pytest.importorskip("jax.scipy.special")
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        expected = jax.grad(lambda *args: getattr(jax.scipy.special, name)(*args).sum(), tuple(range(len(args))))(*args)
        expected = [np.asarray(e) for e in expected]
    leaves = [gn.Tensor(a, requires_grad=True) for a in args]
    getattr(gn.special, name)(*leaves).sum().backward()
    for t, e in zip(leaves, expected, strict=True):
        np.testing.assert_allclose(t.grad, e, rtol=1e-6)  # as good as JAX's series


# ---- the module ----------------------------------------------------------------------------------------------------------------------------


def test_every_name_is_there():
    """All of SciPy's; those that have derivatives have samples, on which each is checked."""
    assert all(hasattr(gn.special, name) for name in scipy_special.__all__)
    assert {f"special.{name}" for name in gn.special.__all__} == set(special.REFERENCES)
    assert gn.special.erf is scipy_special.erf


def test_python_functions_of_scipys_refuse_tensors():
    """They would go on with arrays, and the gradient would be lost in silence."""
    t = gn.Tensor([1.0, 2.0], requires_grad=True)
    for call in (scipy_special.logsumexp, scipy_special.softmax, lambda t: scipy_special.polygamma(1, t), lambda t: scipy_special.multigammaln(t, 1)):
        with pytest.raises(TypeError, match=r"scipy\.special\.\w+\.\w+ would turn .*its gradient would be lost(?s:.*)gn\.(special|scipy)"):
            call(t)
    with pytest.raises(TypeError, match="ellipk has no derivative"):
        scipy_special.ellipk(t)


def test_keywords_of_ufuncs():
    x = gn.Tensor([0.5, 1.5], requires_grad=True)
    target = gn.Tensor([7.0, 7.0])
    out = scipy_special.erf(x, out=target, where=[True, False])
    out.sum().backward()
    assert out is target and out.data.tolist() == [scipy_special.erf(0.5), 7]
    np.testing.assert_allclose(x.grad, [2 / np.sqrt(np.pi) * np.exp(-0.25), 0], rtol=1e-14)
    assert gn.special.gammainc(1.0, x, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "beta", "betaln", "rel_entr", "kl_div", "gammainc", "jv", "kve"])
@pytest.mark.parametrize("number", [2, 2.0])
def test_numbers_beside_single_precision(name, number):
    """Some of SciPy's functions make float64 of float32 and a Python number, others float32: the same here."""
    x, f = np.array([0.5, 1.5], np.float32), getattr(gn.special, name)
    t = gn.Tensor(x, requires_grad=True)
    for ours, theirs in ((f(t, number), f(x, number)), (f(number, t), f(number, x))):
        assert ours.dtype == theirs.dtype and ours.data.tobytes() == theirs.tobytes()
        ours.sum().backward()
    assert t.grad.dtype == np.float32


def test_scipy_is_imported_when_it_is_needed():
    process("""if True:
        import gradnerve as gn
        assert "scipy" not in sys.modules
        assert "special" in dir(gn)
        from scipy import special
        assert "gradnerve.special" not in sys.modules
        x = gn.Tensor(0.5, requires_grad=True)
        special.erf(x).backward()
        assert abs(x.grad - 0.8787825789354449) < 1e-15
    """)


def test_without_scipy():
    process("""if True:
        sys.modules["scipy"] = None
        import gradnerve as gn
        try:
            gn.special
        except ImportError as error:
            assert 'pip install "gradnerve[special]"' in str(error)
        else:
            raise AssertionError("no error")
    """)
