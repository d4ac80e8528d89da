"""Linear algebra: NumPy's and SciPy's results, derivatives against PyTorch and JAX, and what has no derivative.

Every function is also checked on samples against finite differences, in test_operations.py.
"""

import importlib.util
import sys
import warnings

import numpy as np
import pytest
from samples.linalg import SAMPLES, matrices
from samples.shapes import values
from test_operations import leaf, replace

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

LinAlgError = np.linalg.LinAlgError


def results(out):
    return out if isinstance(out, tuple) else (out,)


# ---- values ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(name for name in SAMPLES if name.startswith("linalg.")))
def test_results_are_numpys(name):
    """Bits, dtypes and named tuples, of the results as they come, with their free choices."""
    function = getattr(np.linalg, name.removeprefix("linalg."))
    for args, kwargs in SAMPLES[name]():
        with np.errstate(all="ignore"):
            expected = function(*args, **kwargs)
            found = [function(*replace(args, make), **kwargs) for make in (leaf, gn.asarray)]
        for out in found:
            assert type(out) is type(expected) or not isinstance(expected, tuple)
            for part, e in zip(results(out), results(expected), strict=True):
                assert type(part) is (gn.Tensor if np.asarray(e).dtype.kind in "fc" else type(e))
                part = part.numpy() if isinstance(part, gn.Tensor) else part
                assert part.dtype == e.dtype
                assert part.shape == e.shape
                assert np.array_equal(part, e, equal_nan=True), f"{name}{args}{kwargs}"


@pytest.mark.parametrize("name", ["expm", "sqrtm", "solve_sylvester", "solve_triangular", "cho_factor", "cho_solve"])
def test_values_are_scipys(name):
    theirs, ours = getattr(pytest.importorskip("scipy.linalg"), name), getattr(gn.scipy.linalg, name)
    for args, kwargs in SAMPLES[f"scipy.linalg.{name}"]():
        if name == "cho_solve":
            lower = kwargs.get("lower", False)
            expected, found = theirs((args[0], lower), args[1]), ours((leaf(args[0]), lower), args[1])
        elif name == "cho_factor":
            square = args[0] @ args[0].conj().mT
            (expected, lower), (found, also_lower) = theirs(square, **kwargs), ours(leaf(square), **kwargs)
            assert lower is also_lower
        else:
            expected, found = theirs(*args, **kwargs), ours(*map(leaf, args), **kwargs)
        assert isinstance(found, gn.Tensor)
        assert found.dtype == expected.dtype
        assert np.array_equal(found.data, expected)


def test_scipy_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    spec = importlib.util.find_spec("gradnerve.scipy.linalg")
    with pytest.raises(ImportError, match=r'gradnerve\.scipy\.linalg needs SciPy: pip install "gradnerve\[special\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


# ---- against PyTorch ---------------------------------------------------------------------------------------------------------------


def sym(x):
    return (x + x.conj().swapaxes(-1, -2)) / 2


def positive(x):
    return x @ x.conj().swapaxes(-1, -2)


def phases(xp, v):
    """The numbers that make the sum of each vector positive."""
    return (getattr(xp, "sgn", None) or xp.sign)(v.sum(-2)).conj()[..., None, :]


def of_eig(xp, w, v):
    return w, v * phases(xp, v)


def of_svd(xp, u, s, vh):
    turn = phases(xp, u)
    return u * turn, s, vh * turn.conj().swapaxes(-1, -2)


# What is computed from xp (NumPy or PyTorch) and x, a stack of square matrices; the results are real or complex.
FUNCTIONS = {
    "inv":        lambda xp, x: xp.linalg.inv(x),              "det":       lambda xp, x: xp.linalg.det(x),
    "slogdet":    lambda xp, x: tuple(xp.linalg.slogdet(x)),   "pinv":      lambda xp, x: xp.linalg.pinv(x[..., :2]),
    "pinv wide":  lambda xp, x: xp.linalg.pinv(x[..., :2, :]), "solve":     lambda xp, x: xp.linalg.solve(x, x.mT[..., :2]),
    "lstsq":      lambda xp, x: xp.linalg.lstsq(x[0, :, :2], x[1])[0],
    "cholesky":   lambda xp, x: xp.linalg.cholesky(positive(x)), "upper":   lambda xp, x: xp.linalg.cholesky(positive(x), upper=True),
    "eigvals":    lambda xp, x: xp.linalg.eigvals(x),          "eigvalsh":  lambda xp, x: xp.linalg.eigvalsh(sym(x)),
    "eigh":       lambda xp, x: of_eig(xp, *xp.linalg.eigh(sym(x))), "eig": lambda xp, x: of_eig(xp, *xp.linalg.eig(x)),
    "svd":        lambda xp, x: of_svd(xp, *xp.linalg.svd(x)),
    "svd tall":   lambda xp, x: of_svd(xp, *xp.linalg.svd(x[..., :2], full_matrices=False)),
    "svd wide":   lambda xp, x: of_svd(xp, *xp.linalg.svd(x[..., :2, :], full_matrices=False)),
    "qr":         lambda xp, x: tuple(xp.linalg.qr(x)),        "qr tall":   lambda xp, x: tuple(xp.linalg.qr(x[..., :2])),
    "qr wide":    lambda xp, x: tuple(xp.linalg.qr(x[..., :2, :])),
    "power":      lambda xp, x: xp.linalg.matrix_power(x, -3), "multi_dot": lambda xp, x: xp.linalg.multi_dot([x[0], x[1], x[0]]),
    "cond":       lambda xp, x: xp.linalg.cond(x),             "norm 3":    lambda xp, x: xp.linalg.vector_norm(x, ord=3, axis=-1),
    "nuclear":    lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc"), "spectral": lambda xp, x: xp.linalg.matrix_norm(x, ord=2),
    "frobenius":  lambda xp, x: xp.linalg.matrix_norm(x),      "norm inf":  lambda xp, x: xp.linalg.matrix_norm(x, ord=np.inf),
    "norm 1.5":   lambda xp, x: xp.linalg.vector_norm(x, ord=1.5),
    "tensorinv":  lambda xp, x: xp.linalg.tensorinv(x[0], ind=1), "tensorsolve": lambda xp, x: xp.linalg.tensorsolve(x[0], x[1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_torch(name, dtype):
    """The gradient, and the gradient of a sum of its elements with weights."""
    torch = pytest.importorskip("torch")
    x, f = matrices(2, 3, 3, dtype=dtype, seed=5), FUNCTIONS[name]
    weights = [np.asarray(values(*out.shape, dtype=out.dtype)) for out in results(f(np, x))]
    energy = lambda xp, x, constant: sum((constant(w) * out).real.sum() for w, out in zip(weights, results(f(xp, x)), strict=True))
    t = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(energy(torch, t, torch.tensor), t, create_graph=True)
    ours = gn.grad(lambda x: energy(np, x, np.asarray))
    compare(ours(x).data, first.detach().numpy(force=True))
    v = values(*x.shape, dtype=dtype, seed=6)
    (second,) = torch.autograd.grad((torch.tensor(v) * first).real.sum(), t)
    compare(gn.grad(lambda x: (v * ours(x)).real.sum())(x).data, second.numpy(force=True))


def compare(found, expected, relative=1e-9):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=relative * (1 + np.abs(expected).max()))


VECTORS = {
    "eigh":  lambda xp, x: xp.linalg.eigh(sym(x))[1],   "eig":    lambda xp, x: xp.linalg.eig(x)[1].real,
    "svd U": lambda xp, x: xp.linalg.svd(x)[0],         "svd V":  lambda xp, x: xp.linalg.svd(x)[2].mT,
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_real_vectors_against_torch(name):
    """As they come, but for the sign of each, which is LAPACK's choice."""
    torch = pytest.importorskip("torch")
    x, weight, function = matrices(4, 4, seed=7), values(4, 4), VECTORS[name]
    t, ours = torch.tensor(x, requires_grad=True), leaf(x)
    theirs, found = function(torch, t), function(np, ours)
    signs = np.sign((found.data * theirs.detach().numpy()).sum(-2))
    compare(found.data, signs * theirs.detach().numpy())
    (weight * found).sum().backward()
    (torch.tensor(weight * signs) * theirs).sum().backward()
    compare(ours.grad, t.grad.numpy())


# ---- SciPy's functions -------------------------------------------------------------------------------------------------------------

SECOND = {
    "expm":             (lambda torch, x: torch.linalg.matrix_exp(x),                               lambda sp, x: sp.expm(x)),
    "sqrtm":            (lambda torch, x: sqrt_by_eigenvalues(torch, x),                            lambda sp, x: sp.sqrtm(x)),
    "upper":            (lambda torch, x: torch.linalg.solve_triangular(x.triu(), x.mT, upper=True), lambda sp, x: sp.solve_triangular(x, x.mT)),
    "lower":            (lambda torch, x: torch.linalg.solve_triangular(x, x.mT, upper=False),
                         lambda sp, x: sp.solve_triangular(x, x.mT, lower=True)),
    "transposed":       (lambda torch, x: torch.linalg.solve_triangular(x.mT, x, upper=True),
                         lambda sp, x: sp.solve_triangular(x, x, trans="T", lower=True)),
    "adjoint":          (lambda torch, x: torch.linalg.solve_triangular(x.mH, x, upper=False), lambda sp, x: sp.solve_triangular(x, x, trans="C")),
    "unit":             (lambda torch, x: torch.linalg.solve_triangular(x, x.mT, upper=True, unitriangular=True),
                         lambda sp, x: sp.solve_triangular(x, x.mT, unit_diagonal=True)),
    "cho_solve":        (lambda torch, x: torch.linalg.solve(positive(x), x.mT), lambda sp, x: sp.cho_solve(sp.cho_factor(positive(x)), x.mT)),
    "cho_solve lower":  (lambda torch, x: torch.linalg.solve(positive(x), x.mT),
                         lambda sp, x: sp.cho_solve(sp.cho_factor(positive(x), lower=True), x.mT)),
    "solve_sylvester":  (lambda torch, x: sylvester_by_kron(torch, x, x.mT @ x, x.mT), lambda sp, x: sp.solve_sylvester(x, x.mT @ x, x.mT)),
}  # fmt: skip


def sqrt_by_eigenvalues(torch, x):
    w, v = torch.linalg.eig(x)
    return (v * w.sqrt()[..., None, :]) @ torch.linalg.inv(v)


def sylvester_by_kron(torch, a, b, q):
    n, eye = len(a), torch.eye(len(a), dtype=a.dtype)
    return torch.linalg.solve(torch.kron(a, eye) + torch.kron(eye, b.mT.contiguous()), q.reshape(-1)).reshape(n, n)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", SECOND)
def test_scipys_functions_against_torch(name, dtype):
    """First and second derivative of compositions in PyTorch that compute the same."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("scipy")
    theirs, ours = SECOND[name]
    x, weight, v = matrices(3, 3, dtype=dtype, seed=8), values(3, 3, dtype=dtype), values(3, 3, dtype=dtype, seed=9)
    t = torch.tensor(x, requires_grad=True)
    out = theirs(torch, t)
    (first,) = torch.autograd.grad((torch.tensor(weight) * out).real.sum(), t, create_graph=True)
    (second,) = torch.autograd.grad((torch.tensor(v) * first).real.sum(), t)
    compare(ours(gn.scipy.linalg, gn.Tensor(x)).data, out.detach().numpy(force=True))
    gradient = gn.grad(lambda x: (weight * ours(gn.scipy.linalg, x)).real.sum())
    compare(gradient(x).data, first.detach().numpy(force=True))
    compare(gn.grad(lambda x: (v * gradient(x)).real.sum())(x).data, second.numpy(force=True))


@pytest.mark.parametrize("name", ["expm", "upper", "lower", "transposed", "unit", "cho_solve", "cho_solve lower"])
def test_scipys_functions_against_jax(name):
    jax, theirs = pytest.importorskip("jax"), pytest.importorskip("jax.scipy.linalg")
    pytest.importorskip("scipy")
    function, x, weight = SECOND[name][1], matrices(3, 3, seed=8), values(3, 3)
    with jax.enable_x64(True):
        expected = jax.grad(lambda x: (weight * function(theirs, x)).sum())(jax.numpy.asarray(x))
    compare(gn.grad(lambda x: (weight * function(gn.scipy.linalg, x)).sum())(x).data, expected)


def test_the_exponential_of_small_matrices_keeps_its_digits_under_large_gradients():
    pytest.importorskip("scipy")
    for size in (1e-200, 1e-8, 1.0, 1e8, 1e200):
        x = leaf(np.zeros((2, 2)))
        gn.scipy.linalg.expm(x).backward(size * np.array([[1.0, 2.0], [3.0, 4.0]]))
        np.testing.assert_array_equal(x.grad, size * np.array([[1.0, 2.0], [3.0, 4.0]]))


# ---- singular, degenerate, deficient -----------------------------------------------------------------------------------------------


def gradient(f, x):
    return gn.grad(f)(x).data


def hessian_times(f, x, v):
    return gn.grad(lambda x: np.real((v * gn.grad(f)(x)).sum()))(x).data


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_second_derivative_of_the_determinant_of_a_singular_matrix(rank):
    """By expansion: the determinant of a 3 x 3 matrix is its triple product."""
    x = np.array([[1.0, 2.0, 0.0], [0.5, 1.0, 3.0], [0.5, 1.0, 3.0]]) * (np.arange(3)[:, None] < rank)
    triple = lambda x: (x[0] * np.cross(x[1], x[2])).sum()
    v = values(3, 3)
    assert np.linalg.det(x) == 0
    compare(gradient(np.linalg.det, x), gradient(triple, x))
    compare(hessian_times(np.linalg.det, x, v), hessian_times(triple, x, v))


@pytest.mark.parametrize("n", [1, 4, 7, 13])
def test_cofactors(n):
    """Of singular matrices, and of those that are nearly so."""
    for last in (0.0, matrices(n, n, seed=n)[0], matrices(n, n, seed=n)[0] + 1e-9):
        x = matrices(n, n, seed=n)
        x[-1] = last
        x = x / 2 if n > 7 else x
        minors = [[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(n)] for i in range(n)]
        compare(gradient(np.linalg.det, x), np.array(minors), 1e-7)


def test_cofactors_of_large_matrices():
    """Of rank n - 1, by singular vectors; and those of a regular matrix whose determinant is too small for a number are, too."""
    x = values(40, 40)
    x[-1] = 0
    u, s, vh = np.linalg.svd(x)
    expected = np.linalg.det(u) * np.linalg.det(vh) * s[:-1].prod() * np.outer(u[:, -1], vh[-1])
    np.testing.assert_allclose(gradient(np.linalg.det, x), expected, atol=1e-10 * np.abs(expected).max())
    assert not gradient(np.linalg.det, 0.1 * np.eye(400)).any()


def test_eigenvalues_of_large_matrices():
    """LAPACK finds them in another order when it is asked for vectors, too; the sum of cubes has a gradient without eigenvalues."""
    rng = np.random.default_rng(0)
    for x in (np.eye(200)[rng.permutation(200)], np.roll(np.eye(150), 1, 0) + np.eye(150)):
        found = gradient(lambda x: np.real((np.linalg.eigvals(x) ** 3).sum()), x)
        np.testing.assert_allclose(found, 3 * (x @ x).T, atol=1e-8)


@pytest.mark.parametrize("ord", [None, 0, 1, 2, 3, 1.5, 0.5, -1, -2.5, np.inf, -np.inf])
def test_norms_of_zero_have_the_derivative_zero(ord):
    """To second order, of float32 and complex vectors too."""
    for dtype in (np.float64, np.float32, np.complex128):
        for x, options in [(np.zeros(3, dtype), {}), (np.zeros((2, 3), dtype), {"axis": 1, "keepdims": True})]:
            with np.errstate(all="ignore"):
                f = lambda x: np.linalg.norm(x, ord, **options).sum()  # noqa: B023
                assert not gradient(f, x).any()
                assert not hessian_times(f, x, np.ones(x.shape)).any()


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
def test_norms_of_zero_matrices_have_the_derivative_zero(ord):
    for x in (np.zeros((2, 2)), np.zeros((3, 2), np.complex128), np.zeros((2, 2, 3))):
        axis = (-2, -1)
        f = lambda x: np.linalg.norm(x, ord, axis=axis).sum()  # noqa: B023
        assert not gradient(f, x).any()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert not hessian_times(f, x, np.ones(x.shape)).any()


def rotated(*eigenvalues):
    """A symmetric matrix with these eigenvalues."""
    q = np.linalg.qr(values(len(eigenvalues), len(eigenvalues)))[0]
    return q * eigenvalues @ q.T


def test_equal_eigenvalues():
    """A function of the space that their vectors span has a gradient; here it is the projector on it."""
    weight = sym(values(3, 3))
    for x in (np.diag([1.0, 1.0, 3.0]), rotated(1.0, 1.0, 3.0), np.diag([1.0, 3.0, 3.0])):
        w = np.linalg.eigvalsh(x)
        k = 2 if w[1] < 2 else 1
        low = np.linalg.eigh(x)[1][:, :k]
        p = low @ low.T
        rest = np.eye(3) - p
        expected = -(p @ weight @ rest + rest @ weight @ p) / 2  # the gap is 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = gradient(lambda x: (np.linalg.eigh(x)[1][:, :k].T @ weight @ np.linalg.eigh(x)[1][:, :k]).trace(), x)  # noqa: B023
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_equal_eigenvalues_warn_only_if_their_vectors_matter():
    x = np.diag([1.0, 1.0, 3.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(lambda x: np.linalg.eigvalsh(x)[0] + np.linalg.eigh(x)[0].prod(), x)
        gradient(lambda x: (np.linalg.eigh(x)[1][:, 2] ** 4).sum(), x)
    for name, f in [("eigh", lambda x: np.linalg.eigh(x)[1][:, 0].sum()), ("svd", lambda x: np.linalg.svd(x)[0][:, 1].sum())]:
        with pytest.warns(RuntimeWarning, match=f"{name}: some values are equal; the gradient through their vectors is right only"):
            assert np.isfinite(gradient(f, x)).all()


def test_a_sum_of_equal_eigenvalues():
    """Which of the equal ones is which does not matter to a function that treats them alike."""
    for x in (np.eye(3), rotated(2.0, 2.0, 2.0), rotated(1.0, 1.0, 5.0), np.zeros((3, 3))):
        for name in ("eigvalsh", "eigvals"):
            f = getattr(np.linalg, name)
            np.testing.assert_allclose(gradient(lambda x: f(x).real.sum(), x), np.eye(3), atol=1e-12)  # noqa: B023
            np.testing.assert_allclose(gradient(lambda x: (f(x).real ** 2).sum(), x), 2 * x, atol=1e-12)  # noqa: B023


def test_orthogonal_matrices():
    """All singular values are 1: norms, pseudo-inverse and polar factor do not mind."""
    q, v, weight = np.linalg.qr(values(4, 4))[0], values(4, 4, seed=1), values(4, 4, seed=2)
    np.testing.assert_allclose(gradient(lambda x: np.linalg.norm(x, "nuc"), q), q, atol=1e-12)
    inverse, pseudo = (lambda x, f=f: (weight * f(x)).sum() for f in (np.linalg.inv, np.linalg.pinv))
    compare(gradient(pseudo, q), gradient(inverse, q))
    compare(hessian_times(pseudo, q, v), hessian_times(inverse, q, v))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        polar = gradient(lambda x: (weight * (np.linalg.svd(x)[0] @ np.linalg.svd(x)[2])).sum(), q)
    np.testing.assert_allclose(polar, (weight - q @ weight.T @ q) / 2, atol=1e-12)


def test_the_pseudo_inverse_of_a_matrix_without_full_rank():
    """Of an outer product it is the outer product over the squared lengths."""
    weight = values(4, 3, seed=2)
    a, b = values(3), values(4)
    whole = lambda x: (weight * np.linalg.pinv(x, 1e-10)).sum()
    parts = lambda a, b: (weight * np.outer(b, a) / ((a @ a) * (b @ b))).sum()
    for k in (0, 1):
        compare(gn.grad(lambda a, b: whole(np.outer(a, b)), k)(a, b).data, gn.grad(parts, k)(a, b).data)
        twice = lambda f: gn.grad(lambda a, b: (gn.grad(f, k)(a, b) ** 2).sum(), (0, 1))  # noqa: B023
        for found, expected in zip(twice(lambda a, b: whole(np.outer(a, b)))(a, b), twice(parts)(a, b), strict=True):
            compare(found.data, expected.data, 1e-8)


def test_tall_pseudo_inverses_need_no_large_products():
    """A square matrix of as many rows would take 3 GB."""
    x = leaf(np.random.default_rng(0).normal(size=(20_000, 3)))
    np.linalg.pinv(x).sum().backward()
    np.linalg.pinv(x.T).sum().backward()
    assert np.isfinite(x.grad).all()


def test_least_squares_by_the_normal_equations():
    a, b = matrices(5, 3), values(5, 2)

    def whole(a, b):
        x, residuals, _, _ = np.linalg.lstsq(a, b)
        return (3 * x).sum() + (residuals**2).sum()

    def parts(a, b):
        x = np.linalg.solve(a.T @ a, a.T @ b)
        return (3 * x).sum() + (((b - a @ x) ** 2).sum(0) ** 2).sum()

    for k in (0, 1):
        compare(gn.grad(whole, k)(a, b).data, gn.grad(parts, k)(a, b).data)
        twice = lambda f: gn.grad(lambda a, b: (gn.grad(f, k)(a, b) ** 2).sum(), (0, 1))(a, b)  # noqa: B023
        for found, expected in zip(twice(whole), twice(parts), strict=True):
            compare(found.data, expected.data)


def test_a_logarithm_that_was_not_taken_contributes_nothing():
    x = leaf(np.stack([np.eye(2), np.ones((2, 2))]))
    sign, logabsdet = np.linalg.slogdet(x)
    np.where(sign > 0, logabsdet, 0).sum().backward()
    np.testing.assert_array_equal(x.grad, [np.eye(2), np.zeros((2, 2))])


# ---- what has no derivative --------------------------------------------------------------------------------------------------------

GAUGE = r"depends on an arbitrary choice \(the phase of complex vectors, or the basis of a null space\)"
COMPLEX = matrices(3, 3, dtype=np.complex128)
NO_DERIVATIVE = {
    "eigh": (COMPLEX, lambda x: np.linalg.eigh(x)[1].real.sum(), f"eigh: the function {GAUGE}"),
    "eig": (COMPLEX, lambda x: np.linalg.eig(x)[1].imag.sum(), f"eig: the function {GAUGE}"),
    "pairs": (np.array([[0.0, 1.0], [-2.0, 0.0]]), lambda x: np.linalg.eig(x)[1].real.sum(), f"eig: the function {GAUGE}"),
    "svd": (COMPLEX, lambda x: np.linalg.svd(x)[0].real.sum(), f"svd: the function {GAUGE}"),
    "null space": (matrices(4, 2), lambda x: np.linalg.svd(x)[0].sum(), f"svd: the function {GAUGE}"),
    "complete": (matrices(4, 2), lambda x: np.linalg.qr(x, "complete")[0].sum(), f"qr: the function {GAUGE}"),
    "deficient": (np.ones((3, 2)), lambda x: np.linalg.qr(x)[1].sum(), "qr: the first columns of x, .* are linearly dependent"),
    "defective": (np.array([[1.0, 1.0], [0.0, 1.0]]), lambda x: np.linalg.eigvals(x).sum(), "eigvals: the matrix is defective"),
    "defective vectors": (np.array([[1.0, 1.0], [0.0, 1.0]]), lambda x: np.linalg.eig(x)[0].sum(), "eig: the matrix is defective"),
    "logarithm": (np.ones((2, 2)), lambda x: np.linalg.slogdet(x)[1], "slogdet: of a singular matrix, the logarithm"),
}


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_what_has_no_derivative_says_why(name):
    x, f, message = NO_DERIVATIVE[name]
    with pytest.raises(LinAlgError, match=message):
        f(leaf(x)).backward()


def test_what_does_not_depend_on_the_choice_has_a_derivative():
    f = lambda x: sum(np.abs(v).sum() for v in (np.linalg.eigh(x)[1], np.linalg.eig(x)[1], np.linalg.svd(x)[0]))
    assert np.isfinite(gradient(f, COMPLEX)).all()


def test_gradients_of_hermitian_matrices_are_hermitian():
    """Whichever triangle is read."""
    x = sym(COMPLEX)
    for f in (lambda x: np.linalg.cholesky(x), lambda x: np.linalg.cholesky(x, upper=True), lambda x: np.linalg.eigvalsh(x, "U"),
              lambda x: np.linalg.eigh(x, "U").eigenvalues, lambda x: np.linalg.pinv(x, hermitian=True)):  # fmt: skip
        g = gradient(lambda x: np.abs(f(x)).sum(), x)  # noqa: B023
        np.testing.assert_allclose(g, g.conj().T, atol=1e-14)


def test_the_other_triangle_is_not_read():
    x = sym(matrices(3, 3))
    lower = np.tril(x) + np.triu(np.full((3, 3), 9.0), 1)
    for f in (np.linalg.cholesky, lambda x: np.linalg.eigvalsh(x), lambda x: np.linalg.eigh(x)[1], lambda x: np.linalg.pinv(x, hermitian=True)):
        np.testing.assert_allclose(gradient(lambda x: (f(x) ** 3).sum(), lower), gradient(lambda x: (f(x) ** 3).sum(), x), atol=1e-12)  # noqa: B023


@pytest.mark.parametrize("mode", ["raw", "r", "full"])
def test_modes_of_qr(mode):
    x = gn.Tensor(matrices(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for found, expected in zip(results(np.linalg.qr(x, mode)), results(np.linalg.qr(x.data, mode)), strict=True):
            np.testing.assert_array_equal(found.numpy(), expected)


def test_arguments_that_are_lists():
    """Beside a Tensor, as in NumPy."""
    x, plain = leaf(matrices(2, 2)), [[1.0, 2.0], [3.0, 5.0]]
    for f in (lambda x, y: np.linalg.solve(y, x), lambda x, y: np.linalg.solve(x, y), lambda x, y: np.linalg.lstsq(y, x)[0],
              lambda x, y: np.linalg.lstsq(x, y)[0], lambda x, y: np.linalg.tensorsolve(x, y[0]),
              lambda x, y: np.linalg.multi_dot([x, y, x])):  # fmt: skip
        found = f(x, plain)
        assert np.array_equal(found.data, f(x.data, np.array(plain)))
        found.sum().backward()
    assert np.isfinite(x.grad).all()


def test_one_vector_for_each_matrix_of_a_stack():
    """Also where there are as many matrices as elements."""
    rng = np.random.default_rng(0)
    linalg, scipys = gn.scipy.linalg, pytest.importorskip("scipy.linalg")
    a, b = rng.normal(size=(3, 3, 3)) + 3 * np.eye(3), rng.normal(size=3)
    spd = a @ np.swapaxes(a, 1, 2)
    assert np.array_equal(linalg.solve_triangular(a, b, lower=True), scipys.solve_triangular(a, b, lower=True))
    assert np.array_equal(linalg.cho_solve(linalg.cho_factor(spd), b), scipys.cho_solve(scipys.cho_factor(spd), b))
    gn.check_gradients(lambda a, b: linalg.solve_triangular(a, b, lower=True), a, b)
    gn.check_gradients(lambda a, b: linalg.cho_solve(linalg.cho_factor(a + np.swapaxes(a, 1, 2)), b), spd, b)


def test_dot_of_a_number_and_a_matrix():
    gn.check_gradients(np.dot, 3.0, np.arange(8.0).reshape(4, 2))
