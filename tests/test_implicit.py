"""`fixed_point` and `root`: derivatives to third order against formulas, linear algebra, unrolled loops and JAX; refusals; memory.

Read next: test_recompute.py.
"""

import dataclasses
import functools
import gc
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
from helpers import assert_flat
from test_functional import leaf, refusal, says

import gradnerve as gn
from gradnerve import GraphError, ShapeError, _engine, _graph, _loops

pytestmark = [pytest.mark.usefixtures("rows_return"), pytest.mark.filterwarnings("ignore::gradnerve.BatchWarning")]

W = np.array([[0.3, -0.2, 0.1], [0.25, 0.1, -0.3], [-0.1, 0.35, 0.2]])
B = np.array([0.5, -1.0, 0.8])
DIRECTION = np.array([1.0, 0.5, -2.0])


def array(t):
    return t.data if isinstance(t, gn.Tensor) else np.asarray(t)


def close(found, expected, rtol=1e-10):
    for a, b in zip(gn.tree.flatten(found)[0], gn.tree.flatten(expected)[0], strict=True):
        assert np.shape(array(a)) == np.shape(array(b))
        np.testing.assert_allclose(array(a), array(b), rtol, atol=1e-12)


def unrolled(f, x, *args, steps=150):
    """The iteration as it is, all of its steps in the graph."""
    for _ in range(steps):
        x = f(x, *args)
    return x


def along(f):
    """The derivative of a function along a direction, as a function."""
    return lambda x: (gn.grad(f)(x) * DIRECTION).sum()


# ---- formulas --------------------------------------------------------------------------------------------------------


def of_power(p):
    """a -> a**p and its derivatives."""
    return lambda a: [a**p, p * a ** (p - 1), p * (p - 1) * a ** (p - 2), p * (p - 1) * (p - 2) * a ** (p - 3)]


def of_lambert(a):
    """The w with w exp(w) = a."""
    w = 1.0
    for _ in range(50):
        w -= (w * np.exp(w) - a) / (np.exp(w) * (1 + w))
    return [w, w / (a * (1 + w)), -(w**2) * (2 + w) / (a**2 * (1 + w) ** 3), w**3 * (2 * w**2 + 8 * w + 9) / (a**3 * (1 + w) ** 5)]


def of_kepler(m, e=0.4):
    """The x with x - e sin x = m."""
    x = m
    for _ in range(200):
        x = m + e * np.sin(x)
    s, c = e * np.sin(x), 1 - e * np.cos(x)
    return [x, 1 / c, -s / c**3, -e * np.cos(x) / c**4 + 3 * s**2 / c**5]


SCALARS = {
    "square root by Heron": (lambda a: gn.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, a), of_power(0.5)),
    "square root by Newton": (lambda a: gn.root(lambda x, a: x * x - a, 1.0, a), of_power(0.5)),
    "cube root": (lambda a: gn.root(lambda x: x**3 - a, 1.0), of_power(1 / 3)),
    "reciprocal": (lambda a: gn.fixed_point(lambda x, a: x * (2 - a * x), 0.1, a), of_power(-1.0)),
    "Lambert's W": (lambda a: gn.root(lambda w, a: w * np.exp(w) - a, 1.0, a), of_lambert),
    "Lambert's W by iteration": (lambda a: gn.fixed_point(lambda w: (a * np.exp(-w) + w) / 2, 1.0), of_lambert),
    "Kepler": (lambda m: gn.fixed_point(lambda x, m: m + 0.4 * np.sin(x), 0.0, m), of_kepler),
    "Kepler by Newton": (lambda m: gn.root(lambda x, m: x - 0.4 * np.sin(x) - m, m.data, m), of_kepler),
    "damped": (lambda a: gn.fixed_point(lambda x, a: 0.9 * x + 0.1 * a**2, 0.0, a), of_power(2.0)),
    "without x": (lambda a: gn.fixed_point(lambda x, a: a**3, 0.0, a), of_power(3.0)),
}  # fmt: skip


@pytest.mark.parametrize("a", [0.7, 2.3])
@pytest.mark.parametrize("name", SCALARS)
def test_numbers_to_third_order(name, a):
    solve, formula = SCALARS[name]
    expected = formula(a)
    found = [solve]
    for _ in range(3):
        found.append(gn.grad(found[-1]))
    for f, value in zip(found, expected, strict=True):
        close(f(gn.Tensor(a)), value, 1e-9)
    close(gn.jvp(solve, (a,), (2.0,)), [expected[0], 2 * expected[1]])
    close(gn.jvp(found[1], (a,), (2.0,))[1], 2 * expected[2])
    close([gn.jacobian(solve)(a), gn.hessian(solve)(a), gn.hvp(solve)(a, 3.0)], [expected[1], expected[2], 3 * expected[2]])
    x = leaf(a)
    y = solve(x)
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, np.asarray(2 * expected[1]))


@pytest.mark.parametrize("name", SCALARS)
def test_numbers_under_vmap(name):
    solve, formula = SCALARS[name]
    many = np.array([0.7, 1.1, 2.3])
    expected = np.transpose([formula(a) for a in many])
    close(gn.vmap(solve)(many), expected[0])
    close(gn.vmap(gn.grad(solve))(many), expected[1])
    close(gn.vmap(gn.grad(gn.grad(solve)))(many), expected[2])
    close(gn.grad(lambda a: (gn.vmap(solve)(a) * many).sum())(many), expected[1] * many)


# ---- linear systems --------------------------------------------------------------------------------------------------

A = np.eye(3) * 2 + W
by_solve = np.linalg.solve
LINEAR = {
    "Newton": lambda a, b: gn.root(lambda x, a, b: a @ x - b, np.zeros(3), a, b),
    "closure": lambda a, b: gn.root(lambda x: a @ x - b, np.zeros(3)),
    "iteration": lambda a, b: gn.fixed_point(lambda x, a, b: x + 0.4 * (b - a @ x), np.zeros(3), a, b),
    "Jacobi": lambda a, b: gn.fixed_point(lambda x: (b - a @ x + np.diag(a) * x) / np.diag(a), np.zeros(3)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_systems_have_the_derivatives_of_solve(name):
    solve = LINEAR[name]
    weigh = lambda f: lambda a, b: (f(a, b) ** 3 * DIRECTION).sum()
    found, expected = ([f(A, B), gn.jacobian(f, (0, 1))(A, B), gn.grad(weigh(f), (0, 1))(A, B), gn.hessian(weigh(f), (0, 1))(A, B),
                        gn.jvp(f, (A, B), (W, DIRECTION)), gn.hvp(weigh(f), (0, 1))(A, B, (W, DIRECTION)),
                        gn.grad(lambda b: along(along(lambda b: weigh(f)(A, b)))(b))(B)] for f in (solve, by_solve))  # fmt: skip # noqa: B023
    close(found, expected, 1e-9)


def test_linear_systems_beside_torch():
    torch = pytest.importorskip("torch")
    a, b = torch.tensor(A), torch.tensor(B)
    f = lambda a, b: gn.root(lambda x: a @ x - b, np.zeros(3))
    close(gn.jacobian(f, (0, 1))(A, B), [t.numpy() for t in torch.autograd.functional.jacobian(torch.linalg.solve, (a, b))])
    scalar = lambda b: (torch.linalg.solve(a, b) ** 3).sum()
    close(gn.hessian(lambda b: (f(A, b) ** 3).sum())(B), torch.autograd.functional.hessian(scalar, b).numpy())


def test_a_matrix_as_the_unknown():
    """Stein's equation X = A X A^T + Q, and Sylvester's A X + X B = Q."""
    linalg = pytest.importorskip("scipy.linalg")
    q = np.outer(B, B) + np.eye(3)
    stein = lambda a, q: gn.fixed_point(lambda x: a @ x @ a.T + q, np.eye(3))
    kron = lambda a, q: np.linalg.solve(np.eye(9) - np.kron(a, a), np.reshape(q, -1)).reshape(3, 3)
    close(stein(W, q), linalg.solve_discrete_lyapunov(W, q))
    close(gn.jacobian(stein, (0, 1))(W, q), gn.jacobian(kron, (0, 1))(W, q))
    sylvester = lambda a, b, q: gn.root(lambda x, p: p["a"] @ x + x @ p["b"] - p["q"], np.zeros((3, 3)), {"a": a, "b": b, "q": q})
    close(sylvester(A, W, q), linalg.solve_sylvester(A, W, q))
    pulled = gn.vjp(sylvester, A, W, q)[1](np.outer(B, DIRECTION))
    s = linalg.solve_sylvester(A.T, W.T, np.outer(B, DIRECTION))
    x = linalg.solve_sylvester(A, W, q)
    close(pulled, (-s @ x.T, -x.T @ s, s))


def test_the_square_root_of_a_matrix():
    """X X = A: a change of A moves X by the solution of dX X + X dX = dA."""
    linalg = pytest.importorskip("scipy.linalg")
    a = np.eye(3) * 3 + W @ W.T
    f = lambda a: gn.root(lambda x, a: x @ x - a, np.eye(3) * 2, a)
    x = linalg.sqrtm(a)
    close(f(a), x)
    close(gn.jvp(f, (a,), (W,))[1], linalg.solve_sylvester(x, x, W))
    dx = linalg.solve_sylvester(x, x, W)
    close(gn.jvp(lambda a: gn.jvp(f, (a,), (W,))[1], (a,), (W,))[1], linalg.solve_sylvester(x, x, -2 * dx @ dx))


def test_a_linear_solve_by_conjugate_gradients():
    """The solver takes 300 unknowns and never sees the matrix; its steps are not in the graph."""
    sparse = pytest.importorskip("scipy.sparse.linalg")
    n, rng = 300, np.random.default_rng(0)
    b, d = rng.normal(size=n), rng.uniform(3, 4, size=n)
    times = lambda d, x: d * x - np.roll(x, 1) - np.roll(x, -1)

    def by_cg(f, x0):
        right = -f(np.zeros(n))
        operator = sparse.LinearOperator((n, n), matvec=lambda x: f(x) + right, dtype=float)
        x, info = sparse.cg(operator, right, rtol=1e-14)
        assert info == 0
        return x

    dense = np.array([times(d, e) for e in np.eye(n)])
    f = lambda d, b: gn.root(lambda x: times(d, x) - b, np.zeros(n), solver=by_cg)
    close(f(d, b), np.linalg.solve(dense, b))
    x, s = np.linalg.solve(dense, b), np.linalg.solve(dense, b)
    before = _graph.live_rows()[0]
    t, u = leaf(d), leaf(b)
    y = f(t, u)
    assert _graph.live_rows()[0] - before < 6
    (y * b).sum().backward()
    close([t.grad, u.grad], [-s * x, s], 1e-9)


# ---- beside the unrolled iteration -----------------------------------------------------------------------------------


def net(x, w, b):
    return np.tanh(w @ x + b)


NONLINEAR = {
    "fixed_point": lambda w, b: gn.fixed_point(net, np.zeros(3), w, b),
    "closure": lambda w, b: gn.fixed_point(lambda x: net(x, w, b), np.zeros(3)),
    "intermediates": lambda w, b: (lambda v, c: gn.fixed_point(lambda x: np.tanh(v @ x / 2 + c - 1), np.zeros(3)))(w * 2, b + 1),
    "root": lambda w, b: gn.root(lambda x, w, b: net(x, w, b) - x, np.zeros(3), w, b),
    "both": lambda w, b: gn.root(lambda x: gn.fixed_point(lambda z: net(z, w, b), np.zeros(3)) - x, np.zeros(3)),
    "list": lambda w, b: gn.fixed_point(lambda x: [np.tanh(w[k] @ x + b[k]) for k in range(3)], [0.0, 0.0, 0.0]),
    "list of root": lambda w, b: gn.root(lambda x: tuple(np.tanh(w[k] @ x + b[k]) - x[k] for k in range(3)), np.zeros(3)),
    "another shape": lambda w, b: gn.root(lambda x: (net(x, w, b) - x)[:, None], np.zeros(3)),
    "checkpoint": lambda w, b: gn.checkpoint(lambda w: gn.fixed_point(lambda x: gn.checkpoint(net, x, w, b), np.zeros(3)), w),
    "fixed point in a fixed point": lambda w, b: gn.fixed_point(lambda x: net(gn.fixed_point(lambda z: (z + x) / 2, x.data), w, b), np.zeros(3)),
}


def derivatives(f):
    """Derivatives of all kinds."""
    s = lambda w, b: (f(w, b) ** 2 * DIRECTION).sum()
    found = [f(W, B), gn.grad(s, (0, 1))(W, B), gn.jacobian(f, 1)(W, B), gn.jvp(f, (W, B), (W.T, DIRECTION))[1],
             gn.hvp(s, (0, 1))(W, B, (W.T, DIRECTION)), gn.hessian(s, 1)(W, B), along(along(lambda b: s(W, b)))(B),
             gn.grad(along(along(lambda b: s(W, b))))(B), gn.grad(lambda w: along(lambda b: s(w, b))(B))(W)]  # fmt: skip
    return [array(t) for t in gn.tree.flatten(found)[0]]


@functools.cache
def of_the_loop():
    return derivatives(lambda w, b: unrolled(net, np.zeros(3), w, b, steps=60))


@pytest.mark.parametrize("name", NONLINEAR)
def test_systems_have_the_derivatives_of_the_loop(name):
    close(derivatives(NONLINEAR[name]), of_the_loop(), 1e-9)


def test_systems_beside_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    loop = lambda w, b: jax.lax.scan(lambda x, _: (jax.numpy.tanh(w @ x + b), None), jax.numpy.zeros(3), length=80)[0]
    theirs = lambda w, b: (loop(w, b) ** 2 * DIRECTION).sum()
    ours = lambda w, b: (gn.fixed_point(net, np.zeros(3), w, b) ** 2 * DIRECTION).sum()
    close(ours(W, B), theirs(W, B))
    close(gn.grad(ours, (0, 1))(W, B), jax.jit(jax.grad(theirs, (0, 1)))(W, B))
    close(gn.hessian(ours)(W, B), jax.jit(jax.jacfwd(jax.grad(theirs)))(W, B))

    def solve(f, x0):
        x = x0
        for _ in range(20):
            x = x - jax.numpy.linalg.solve(jax.jacfwd(f)(x), f(x))
        return x

    cubic = lambda module: lambda x, a: x**3 + module.sin(a @ x) - 1 + x
    tangent = lambda g, y: jax.numpy.linalg.solve(jax.jacobian(g)(y), y)
    theirs = lambda a: jax.lax.custom_root(lambda x: cubic(jax.numpy)(x, a), jax.numpy.ones(3), solve, tangent)
    close(gn.jacobian(lambda a: gn.root(cubic(np), np.ones(3), a))(W), jax.jit(jax.jacrev(theirs))(W))


def test_systems_under_vmap():
    f = lambda b: (gn.fixed_point(net, np.zeros(3), W, b) ** 2).sum()
    many = np.stack([B, DIRECTION, B / 2])
    for g in (f, gn.grad(f), gn.jacobian(lambda b: gn.root(lambda x: net(x, W, b) - x, np.zeros(3)))):
        close(gn.vmap(g)(many), np.stack([array(g(b)) for b in many]))


# ---- arguments -------------------------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    w: object
    b: object


@dataclasses.dataclass
class Layer:
    w: object
    b: object


def test_containers_of_arguments():
    expected = gn.grad(lambda w, b: gn.fixed_point(net, np.zeros(3), w, b).sum(), (0, 1))(W, B)
    forms = [(lambda w, b: {"w": w, "b": b}, lambda p: (p["w"], p["b"])), (lambda w, b: [w, [b, None]], lambda p: (p[0], p[1][0])),
             (Parameters, tuple), (Layer, lambda p: (p.w, p.b))]  # fmt: skip
    for made, parts in forms:
        f = lambda x, p, parts=parts: net(x, *parts(p))
        found = gn.grad(lambda p, f=f: gn.fixed_point(f, np.zeros(3), p).sum())(made(W, B))
        close(parts(found), expected)
        w, b = leaf(W), leaf(B)
        gn.root(lambda x, p, f=f: f(x, p) - x, np.zeros(3), made(w, b)).sum().backward()
        close((w.grad, b.grad), expected)


def test_an_argument_that_is_also_read_by_name():
    a = leaf(2.0)
    y = gn.fixed_point(lambda x, b, c: (x + a * b / (c * x)) / 2, 1.0, a, a)
    y.backward()
    close(a.grad, np.asarray(0.5 / 2**0.5))
    a.zero_grad()
    h = a * a
    (gn.root(lambda x, h: x * x - h * h / a, 1.0, h) * h).backward()
    close(a.grad, np.asarray(3.5 * 2**2.5))


def test_the_start_is_no_argument():
    for f in (lambda x0: gn.fixed_point(lambda x: (x + 2 / x) / 2, x0), lambda x0: gn.root(lambda x: x * x - 2, x0)):
        assert float(gn.grad(f)(1.0)) == 0
        assert not f(leaf(1.0)).requires_grad
    a = leaf(2.0)
    gn.root(lambda x, a: x * x - a, a, a).backward()
    close(a.grad, np.asarray(0.5 / 2**0.5))


def test_nothing_is_tracked_without_need():
    a = leaf(2.0)
    assert not gn.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, 2.0).requires_grad
    assert not gn.fixed_point(lambda x, a: (x + a.detach() / x) / 2, 1.0, a).requires_grad
    with gn.no_grad():
        y = gn.root(lambda x, a: x * x - a, 1.0, a)
    assert not y.requires_grad and abs(float(y) - 2**0.5) < 1e-15
    assert gn.root(lambda x, a: x * x - a, 1.0, a).requires_grad and _engine.recording()


STARTS = [1, 1.0, np.float64(1), np.float32(1), np.array(1.0), gn.Tensor(1.0), gn.Tensor([1, 2]), [1, 2], (1.0, 2.0), np.array([1, 2]),
          np.ones((2, 1)), np.ones(1), np.ones((2, 2), np.float32), np.array([1, 2], np.uint8)]  # fmt: skip


@pytest.mark.parametrize("x0", STARTS, ids=repr)
def test_any_start(x0):
    before = np.array(array(x0))
    dtype = before.dtype if before.dtype.kind == "f" else np.dtype(float)
    for solve in (lambda a: gn.fixed_point(lambda x, a: (x + a / x) / 2, x0, a), lambda a: gn.root(lambda x, a: x * x - a, x0, a)):
        a = leaf(2.0)
        y = solve(a)
        assert type(y) is gn.Tensor and y.shape == before.shape and y.dtype == dtype
        np.testing.assert_allclose(y.data, np.sqrt(2), 1e-6 if dtype == np.float32 else 1e-14)
        y.sum().backward()
        np.testing.assert_allclose(a.grad, 0.5 / np.sqrt(2) * before.size, 1e-6 if dtype == np.float32 else 1e-13)
    assert (array(x0) == before).all()


def test_an_empty_start():
    a = leaf(2.0)
    for y in (gn.fixed_point(lambda x: x / 2 * a, np.zeros(0)), gn.root(lambda x: x - a, np.zeros((2, 0)))):
        assert y.size == 0
        y.sum().backward()
    assert a.grad == 0


def test_single_precision_stays():
    a, b = leaf(W.astype(np.float32)), leaf(B.astype(np.float32))
    for y in (gn.fixed_point(net, np.zeros(3, np.float32), a, b), gn.root(lambda x, a, b: net(x, a, b) - x, np.zeros(3, np.float32), a, b)):
        y.sum().backward()
        assert y.dtype == a.grad.dtype == b.grad.dtype == np.float32
        close([a.grad, b.grad], gn.grad(lambda a, b: gn.fixed_point(net, np.zeros(3), a, b).sum(), (0, 1))(W, B), 1e-4)
        a.zero_grad()
        b.zero_grad()


def test_mixed_precision():
    """The unknown has the dtype of the start, each gradient that of its argument."""
    for dtype, other in ((np.float32, float), (float, np.float32)):
        a = leaf(np.asarray(2.0, other))
        for y in (gn.fixed_point(lambda x, a: (x + a / x) / 2, np.ones((), dtype), a), gn.root(lambda x, a: x * x - a, np.ones((), dtype), a)):
            y.backward()
            assert y.dtype == dtype and a.grad.dtype == other and abs(a.grad - 0.5 / 2**0.5) < 1e-6
            a.zero_grad()


def test_the_size_of_the_gradient_does_not_matter():
    """A mean over many elements has small gradients; they are as precise as large ones."""
    f = lambda b: gn.fixed_point(net, np.zeros(3), W, b).sum()
    expected = array(gn.grad(f)(B))
    for size in (1e-30, 1e-12, 1e-3, 1e9, 1e30):
        close(gn.grad(lambda b: f(b) * size)(B) / size, expected, 1e-11)  # noqa: B023
        close(gn.hessian(lambda b: f(b) * size)(B) / size, gn.hessian(f)(B), 1e-11)  # noqa: B023
    single = lambda b: gn.fixed_point(net, np.zeros(3, np.float32), W.astype(np.float32), b).sum() * np.float32(1e-5)
    close(gn.grad(single)(B.astype(np.float32)) / np.float32(1e-5), expected.astype(np.float32), 1e-4)


# ---- complex numbers -------------------------------------------------------------------------------------------------


def test_complex_numbers():
    """Against what the formula of the solution gives, holomorphic or not."""
    c = 0.4 - 0.9j
    cases = [
        (lambda a: gn.root(lambda x, a: x**3 - a, 1 + 0.1j, a), lambda a: a ** (1 / 3)),
        (lambda a: gn.root(lambda x, a: c * x - a, 0j, a), lambda a: a / c),
        (lambda a: gn.fixed_point(lambda x, a: 0.3j * x + a, 0j, a), lambda a: a / (1 - 0.3j)),
        (lambda a: gn.fixed_point(lambda x, a: a + c / 4 * np.conj(x), 0j, a), lambda a: (a + c / 4 * np.conj(a)) / (1 - abs(c / 4) ** 2)),
        (lambda a: gn.root(lambda x, a: x - a - c / 4 * np.conj(x), 0j, a), lambda a: (a + c / 4 * np.conj(a)) / (1 - abs(c / 4) ** 2)),
        (lambda a: gn.root(lambda x, a: x * np.abs(x) - a, 1 + 0j, a), lambda a: a / np.sqrt(np.abs(a))),
    ]
    a, v = 0.8 + 0.5j, 0.3 - 1.1j
    for solve, formula in cases:
        first, second = (lambda a, f=f: np.abs(f(a) * (2 - 1j) + 1) ** 3 for f in (solve, formula))
        close(solve(a), formula(a))
        close(gn.grad(first)(a), gn.grad(second)(a))
        close(gn.hvp(first)(a, v), gn.hvp(second)(a, v))
        close(gn.jvp(solve, (a,), (v,))[1], gn.jvp(formula, (gn.Tensor(a),), (v,))[1])


def test_complex_systems():
    a, b = A + 1j * W.T, B - 0.5j * DIRECTION
    solve = lambda a, b: gn.root(lambda x: a @ x - b, np.zeros(3, complex))
    weigh = lambda f: lambda a, b: (np.abs(f(a, b)) ** 2 * DIRECTION).sum()
    close(gn.grad(weigh(solve), (0, 1))(a, b), gn.grad(weigh(by_solve), (0, 1))(a, b))
    close(gn.jacobian(solve, 1, holomorphic=True)(a, b), np.linalg.inv(a))
    single = solve(a.astype(np.complex64), b.astype(np.complex64))
    assert single.dtype == complex


def test_a_complex_unknown_of_real_arguments():
    """The roots of x**2 - 2 a x + 1 for a < 1 lie on the unit circle, at the angle acos(a)."""
    f = lambda a: np.angle(gn.root(lambda x, a: x * x - 2 * a * x + 1, 0.5 + 1j, a))
    for derivative, expected in ((f, np.arccos(0.3)), (gn.grad(f), -1 / np.sqrt(0.91)), (gn.grad(gn.grad(f)), -0.3 / 0.91**1.5)):
        close(derivative(0.3), expected)


# ---- solvers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov", "df-sane", "broyden1"])
def test_solvers_of_scipy(method):
    optimize = pytest.importorskip("scipy.optimize")
    seen = []

    def solver(f, x0):
        seen.append((type(x0), type(f(x0))))
        return optimize.root(f, x0, method=method, tol=1e-10).x

    found = derivatives(lambda w, b: gn.root(lambda x, w, b: net(x, w, b) - x, np.zeros(3), w, b, solver=solver))
    close(found, of_the_loop(), 1e-5)
    assert set(seen) == {(np.ndarray, np.ndarray)}
    gc.collect()  # of what scipy leaves behind


def test_solvers_of_one_number():
    optimize = pytest.importorskip("scipy.optimize")
    solvers = [lambda f, x0: optimize.brentq(f, 0, 5, xtol=1e-14), lambda f, x0: optimize.newton(f, x0, tol=1e-14),
               lambda f, x0: optimize.root_scalar(f, bracket=[0, 5], method="bisect", xtol=1e-14).root]  # fmt: skip
    for solver in solvers:
        f = lambda a, solver=solver: gn.root(lambda x, a: x**3 - a, 1.0, a, solver=solver)
        for derivative, expected in zip((f, gn.grad(f), gn.grad(gn.grad(f))), of_power(1 / 3)(2.0), strict=False):
            close(derivative(2.0), expected)
    gc.collect()


def test_a_solver_that_fails():
    a = leaf(2.0)
    equation = lambda x, a: x * x - a

    def fails(f, x0):
        raise ArithmeticError("from the solver")

    assert "from the solver" in refusal(ArithmeticError, gn.root, equation, 1.0, a, solver=fails)
    assert _engine.recording()
    says(refusal(ShapeError, gn.root, equation, 1.0, a, solver=lambda f, x0: np.ones(2)), "root", "solver", "(2,)", "()")


def test_a_solver_may_change_what_it_was_given():
    def solver(f, x0):
        value = f(x0)
        value[:] = 7
        x0[:] = np.sqrt(2)
        return x0

    start, a = np.ones(2), leaf(2.0)
    y = gn.root(lambda x, a: x * x - a, start, a, solver=solver)
    assert (start == 1).all()
    y.sum().backward()
    close(a.grad, np.asarray(2**-0.5))


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_an_iteration_that_does_not_end():
    with np.errstate(all="ignore"):
        text = refusal(gn.ConvergenceError, gn.fixed_point, lambda x: 2 * x + 1, 1.0)
        says(text, "fixed_point", "1000 steps", f"{2.0**1000:.3g}", "contract")
        says(refusal(gn.ConvergenceError, gn.fixed_point, lambda x: 1 - x, np.array([0.0, 0.5]), max_steps=7), "7 steps", "by 1;")
        says(refusal(gn.ConvergenceError, gn.fixed_point, lambda x: x * x, 10.0), "nan")
        says(refusal(gn.ConvergenceError, gn.fixed_point, lambda x: x * np.nan, 1.0), "nan")
        says(refusal(gn.ConvergenceError, gn.fixed_point, lambda x: x / 2 + 1, 0.0, max_steps=10), "10 steps", "0.00195")
        says(refusal(gn.ConvergenceError, gn.root, lambda x: x * x + 1, 1.5), "root", "100 of Newton's steps", "begin nearer", "solver")
        says(refusal(gn.ConvergenceError, gn.root, lambda x: np.cbrt(x), 1.0, max_steps=5), "5 of Newton's steps", "48")
        says(refusal(gn.ConvergenceError, gn.root, lambda x: x, 1.0, max_steps=0), "0 of Newton's steps")
        says(refusal(gn.ConvergenceError, gn.fixed_point, lambda x: x, 1.0, max_steps=0), "0 steps")
    assert issubclass(gn.ConvergenceError, RuntimeError) and _engine.recording()


def test_a_gradient_that_does_not_converge():
    """At the start of a repelling fixed point the iteration ends at once; that of the gradient does not."""
    a, b = leaf(2.0), leaf(1.0)
    y = gn.fixed_point(lambda x, a: a * x, 0.0, a)
    z = y + b
    with np.errstate(all="ignore"):
        says(refusal(gn.ConvergenceError, z.backward), "fixed_point", "1000 steps")
    assert a.grad == 0 and b.grad == 0 and _engine.recording()


def test_how_precise():
    for tol, error in ((1e-2, 1e-1), (1e-6, 1e-5), (1e-12, 1e-11)):
        calls = []
        f = lambda x, a: calls.append(1) or 0.5 * x + a  # noqa: B023
        x = gn.fixed_point(f, 0.0, 1.0, tol=tol)
        assert 0 < abs(float(x) - 2) < error and len(calls) < 3 - 4 * np.log10(tol)
        g = gn.grad(lambda a: gn.fixed_point(f, 0.0, a, tol=tol))(1.0)  # noqa: B023
        assert 0 < abs(float(g) - 2) < error


def test_a_singular_jacobian():
    double = lambda x, a: (x - a) ** 2
    refusal(np.linalg.LinAlgError, gn.root, double, 1.0, 1.0)
    refusal(np.linalg.LinAlgError, gn.root, lambda x: x * 0 + 1, np.ones(2))
    refusal(np.linalg.LinAlgError, gn.root, lambda x, a: np.ones((2, 2)) @ x - a, np.zeros(2), np.ones(2))
    a, b = leaf(1.0), leaf(1.0)
    y = gn.root(double, 1.0, a, solver=lambda f, x0: x0) * b
    refusal(np.linalg.LinAlgError, y.backward)
    assert a.grad == 0 and b.grad == 0 and _engine.recording()


@pytest.mark.parametrize("f", [lambda x: np.concatenate([x, x]), lambda x: x[:, None], lambda x: x[:1], lambda x: x.sum(), lambda x: [x, x]])
def test_a_fixed_point_of_another_shape(f):
    shape = np.shape(array(gn.array(f(gn.Tensor(np.ones(2))))))
    says(refusal(ShapeError, gn.fixed_point, f, np.ones(2)), "fixed_point", str(shape), "(2,)")


@pytest.mark.parametrize("f", [lambda x: np.concatenate([x, x]), lambda x: x[:1], lambda x: x.sum(), lambda x: [x, x]])
def test_a_root_with_another_number_of_equations(f):
    says(refusal(ShapeError, gn.root, f, np.ones(2)), "root", "2", str(np.size(array(gn.array(f(gn.Tensor(np.ones(2))))))))
    says(refusal(ShapeError, gn.root, f, np.ones(2), solver=lambda f, x0: f(x0)), "root")


@pytest.mark.parametrize("result", [None, "x", {"a": 1.0}, object(), np.array(["x"]), ["x"], [None]], ids=repr)
@pytest.mark.parametrize("solve", [gn.fixed_point, gn.root])
def test_a_function_that_gives_no_numbers(solve, result):
    refusal(TypeError, solve, lambda x: result, 1.0)
    assert _engine.recording()
    if result is None or type(result) is dict:
        says(refusal(TypeError, solve, lambda x: result, 1.0), solve.__name__, "function", "None" if result is None else "dict")


@pytest.mark.parametrize("solve", [gn.fixed_point, gn.root])
def test_a_complex_result_for_a_real_unknown(solve):
    says(refusal(TypeError, solve, lambda x, a: x / 2 + a, 1.0, 1j), solve.__name__, "complex128", "float64")


@pytest.mark.parametrize("x0", [None, "x", True, {"a": 1.0}, [None], object(), np.array([True])], ids=repr)
@pytest.mark.parametrize("solve", [gn.fixed_point, gn.root])
def test_a_start_that_is_no_numbers(solve, x0):
    says(refusal(TypeError, solve, lambda x: x, x0), "begin", "numbers")


def test_values_taken_out_of_the_graph():
    for take in (lambda x: float(x), lambda x: x.item(), np.asarray):
        f = lambda a, take=take: gn.fixed_point(lambda x: (x + take(a) / x) / 2, 1.0)
        refusal(GraphError, gn.grad(f), 2.0)
        assert _engine.recording()
    close(gn.grad(lambda a: gn.fixed_point(lambda x: (x + a / x) / 2 if float(x.data) > 0 else x + 1, -3.0))(2.0), 0.5 / 2**0.5)


class Failing:
    """Raises when it has been called so many times at the solution."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, x, a):
        if abs(float(x.data) - 2**0.5) < 1e-15 and x.requires_grad:
            self.left -= 1
            if self.left < 0:
                with gn.no_grad():
                    raise KeyboardInterrupt("from inside")
        return (x + a / x) / 2


def test_an_error_from_the_function():
    a = leaf(2.0)
    for calls in (0, 1):
        f = Failing(calls)
        if calls == 0:
            refusal(KeyboardInterrupt, gn.fixed_point, f, 1.0, a)
        else:
            y = gn.fixed_point(f, 1.0, a) + a
            refusal(KeyboardInterrupt, y.backward)
        assert _engine.recording() and a.grad == 0


# ---- changes ---------------------------------------------------------------------------------------------------------


def change_leaves(w, b, p):
    w.data *= 0
    b.data += 1
    b.data[0] = 7


def change_array(w, b, p):
    p["c"] += 5


def change_dict(w, b, p):
    p["c"], p["new"] = None, 1


def change_result(w, b, p):
    p["h"] += 1
    p["h"][0] = 3


@pytest.mark.parametrize("change", [change_leaves, change_array, change_dict, change_result], ids=lambda f: f.__name__)
@pytest.mark.parametrize("solve", [gn.fixed_point, lambda f, *args: gn.root(lambda x, *args: f(x, *args) - x, *args)], ids=["fixed_point", "root"])
def test_changes_of_arguments_do_not_matter(solve, change):
    f = lambda x, w, b, p: np.tanh(w @ x + b * p["c"] + p["h"])
    c = np.array([1.0, 0.5, 2.0])
    w, b = leaf(W), leaf(B)
    p = {"c": c.copy(), "h": b * b}
    y = solve(f, np.zeros(3), w, b, p)
    change(w, b, p)
    (y * DIRECTION).sum().backward()
    expected = gn.grad(lambda w, b: (unrolled(f, np.zeros(3), w, b, {"c": c, "h": b * b}) * DIRECTION).sum(), (0, 1))(W, B)
    close((w.grad, b.grad), expected)


def test_changes_of_the_solution_do_not_matter():
    a = leaf(2.0)
    y = gn.fixed_point(lambda x, a: (x + a / x) / 2, np.ones(2), a)
    z = (y * y).sum()
    y.data[:] = 9
    y += 3
    z.backward()
    close(a.grad, np.asarray(2.0))


class Heron:
    """A step that reads a leaf, a result, an array and a number; each test changes one of them."""

    def __init__(self):
        self.leaf, self.array, self.number = leaf(2.0), np.array(3.0), 4.0
        self.result = self.leaf * 1

    def __call__(self, x):
        return (x + self.leaf * self.array * self.number / self.result / x) / 2


CHANGES = {
    "a leaf": lambda heron: heron.leaf.data.__imul__(2),
    "an array": lambda heron: heron.array.__imul__(2),
    "a number": lambda heron: setattr(heron, "number", 5.0),
    "a result": lambda heron: setattr(heron, "result", heron.result + 1),
    "another result": lambda heron: setattr(heron, "result", heron.leaf * 1),
    "another leaf": lambda heron: setattr(heron, "leaf", leaf(2.0)),
    "a constant": lambda heron: setattr(heron, "leaf", heron.leaf.detach()),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["fixed_point", "root"])
def test_what_the_function_reads_was_changed(name, change):
    heron, b = Heron(), leaf(1.0)
    old = heron.leaf
    x = gn.fixed_point(heron, 1.0) if name == "fixed_point" else gn.root(lambda x: heron(x) - x, 1.0)
    CHANGES[change](heron)
    says(refusal(GraphError, (x + b).backward), name, "when it runs again")
    assert old.grad == 0 and b.grad == 0


MASKED = {
    "around it": lambda a: np.where(a > 1, gn.fixed_point(lambda x: (x + a / x) / 2, np.ones(2)), 2 * a),
    "inside": lambda a: gn.fixed_point(lambda x: np.where(a > 1, (x + np.sqrt(a)) / 2, x / 2 + a), np.ones(2)),
    "of an argument": lambda a: gn.fixed_point(lambda x, h: np.where(a > 1, (x + h) / 2, x / 2 + a), np.ones(2), np.sqrt(a)),
    "of a root": lambda a: gn.root(lambda x, h: x - np.where(a > 1, h, 2 * a), np.ones(2), np.sqrt(a)),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_leaves_out_contributes_nothing(name):
    a = np.array([0.0, 4.0])
    f = lambda a: MASKED[name](a).sum()
    with np.errstate(all="ignore"):
        close([gn.grad(f)(a), gn.hessian(f)(a)], [np.array([2, 0.25]), np.array([[0, 0], [0, -1 / 32]])])


def test_by_the_parameters_of_an_object():
    class Deep:
        def __init__(self):
            self.w, self.b = leaf(W), leaf(B)

        def parameters(self):
            return [self.w, self.b]

        def __call__(self, x):
            return np.tanh(self.w @ x + self.b)

    deep = Deep()
    loss = lambda solve: lambda deep: (solve(deep) * DIRECTION * deep.b).sum()
    forms = [loss(lambda deep: gn.fixed_point(deep, np.zeros(3))), loss(lambda deep: gn.root(lambda x: deep(x) - x, np.zeros(3))),
             loss(lambda deep: gn.checkpoint(lambda: gn.fixed_point(lambda x: gn.checkpoint(deep, x), np.zeros(3))))]  # fmt: skip
    expected = loss(lambda deep: unrolled(deep, np.zeros(3)))
    for f in forms:
        for way in (gn.grad, gn.hessian, lambda f: lambda deep: gn.hvp(f)(deep, [W.T, DIRECTION]), lambda f: lambda deep: gn.vjp(f, deep)[1](2.0)):
            close(way(f)(deep), way(expected)(deep), 1e-9)


def test_a_hook_sees_the_gradient_once():
    for solve in (lambda a: gn.fixed_point(lambda x, a: (x + a / x) / 2, 1.0, a), lambda a: gn.root(lambda x: x * x - a, 1.0)):
        a, seen = leaf(2.0), []
        h = a * 1
        for t in (a, h):
            t.register_hook(lambda g, seen=seen: seen.append(float(g)) or g * 2)
        solve(h).backward()
        close([*seen, a.grad], [0.5 / 2**0.5, 1 / 2**0.5, np.asarray(2 / 2**0.5)])


# ---- size ------------------------------------------------------------------------------------------------------------

MANY = 10_000


def wave(x, a):
    return a + 0.3 * np.sin(np.roll(x, 1)) + 0.2 * np.tanh(np.roll(x, -1))


def peak_of(f):
    """The most memory in use at a time, in arrays of so many elements."""
    _loops.empty_pool()
    gc.collect()
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1] / (8 * MANY)
    finally:
        tracemalloc.stop()
        _loops.empty_pool()


def test_many_unknowns_without_a_matrix():
    a = np.linspace(-1, 1, MANY)
    v = np.cos(np.arange(MANY))
    f = lambda a: (gn.fixed_point(wave, np.zeros(MANY), a) ** 2).sum()
    t = leaf(a)
    assert peak_of(lambda: f(t).backward()) < 600  # a matrix has 10,000; most of these are kept for later arrays
    h = 1e-5
    slope = (float(f(gn.Tensor(a + h * v))) - float(f(gn.Tensor(a - h * v)))) / (2 * h)
    close(float(t.grad @ v), slope, 1e-7)
    product = gn.hvp(f)(a, v)
    close(float((product * v).sum()), float(((gn.grad(f)(a + h * v) - gn.grad(f)(a - h * v)) * v).sum()) / (2 * h), 1e-6)


def test_memory_does_not_grow_with_the_number_of_iterations():
    """A slow iteration takes 70 times as many steps, and more of the gradient's steps; none of them is kept."""

    def run(rate, rows):
        a = leaf(np.ones(MANY))
        y = gn.fixed_point(lambda x, a: rate * x + a / 10, np.zeros(MANY), a, max_steps=5000)
        rows.append(_graph.live_rows()[0])
        (y * y).sum().backward()

    few, many = [], []
    run(0.5, [])
    peaks = [peak_of(lambda: run(0.5, few)), peak_of(lambda: run(0.99, many))]
    assert few == many and peaks[1] < peaks[0] + 20


def test_memory_does_not_grow_over_calls():
    b = leaf(B)

    def step():
        (gn.fixed_point(net, np.zeros(3), W, b) * gn.root(lambda x: net(x, W, b) - x, np.zeros(3))).sum().backward()
        gn.hvp(lambda b: gn.fixed_point(net, np.zeros(3), W, b).sum())(B, DIRECTION)
        b.zero_grad()

    assert_flat(step, 5)


# ---- loops as such ---------------------------------------------------------------------------------------------------


def newtons(x, a):
    """Newton's method as a loop in the graph."""
    step = x
    while abs(float(step.data)) > 1e-12:
        step = (x * np.exp(x) - a) / (np.exp(x) * (1 + x))
        x = x - step
    return x


def bisected(a):
    """Halving an interval looks at values only: its result depends on nothing."""
    low, high = 0.0, 5.0
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if float((middle * np.exp(middle) - a).data) < 0 else (low, middle)
    return gn.Tensor(low)


def test_a_while_loop_of_newton_steps():
    """The last step of Newton's method has the derivative of the root; one that is recorded gives that of the implicit function."""
    implicit = lambda a: gn.root(lambda x, a: x * np.exp(x) - a, 1.0, a)
    for a in (0.7, 2.3):
        loop = lambda a: newtons(gn.Tensor(1.0), a)
        value, first, second, third = of_lambert(a)
        for f in (loop, implicit):
            close([f(gn.Tensor(a)), gn.grad(f)(a), gn.grad(gn.grad(f))(a)], [value, first, second], 1e-9)
        close(gn.grad(gn.grad(gn.grad(implicit)))(a), third, 1e-9)


def test_a_while_loop_of_bisections():
    a = leaf(2.0)
    assert not bisected(a).requires_grad
    equation = lambda x, a: x * np.exp(x) - a
    found = gn.grad(lambda a: gn.root(equation, 1.0, a, solver=lambda f, x0: bisected(a)))(2.0)
    close(found, of_lambert(2.0)[1])
    one_step = lambda a: (lambda x: x - (x * np.exp(x) - a) / (np.exp(x) * (1 + x)))(bisected(a))
    close(gn.grad(one_step)(2.0), of_lambert(2.0)[1])


def test_a_loop_and_the_implicit_function_agree_on_a_system():
    def loop(w, b):
        x, change = np.zeros(3), 1.0
        while change > 1e-14:
            new = net(x, w, b)
            change, x = np.abs(array(new) - array(x)).max(), new
        return x

    close(gn.jacobian(loop, (0, 1))(W, B), gn.jacobian(NONLINEAR["fixed_point"], (0, 1))(W, B), 1e-9)
