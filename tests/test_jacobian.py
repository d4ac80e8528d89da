"""Jacobians, Hessians and their products with vectors; derivatives of functions of complex numbers."""

import math

import numpy as np
import pytest
from test_functional import close

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")


# ---- Jacobians and Hessians ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [(), (1,), (3,), (2, 2), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("given", [(), (1,), (4,), (2, 3), (0,), (3, 0)], ids=str)
def test_shape_of_a_jacobian(given, wanted):
    rng = np.random.default_rng(1)
    matrix, x = rng.normal(size=(math.prod(wanted), math.prod(given))), rng.normal(size=given)
    f = lambda x: (matrix @ x.reshape(-1)).reshape(wanted)
    close(gn.jacobian(f)(x), matrix.reshape(wanted + given))
    close(gn.jacobian(gn.jacobian(f))(x), np.zeros(wanted + given + given))
    if not wanted:
        close(gn.hessian(lambda x: f(x) ** 2)(x), 2 * np.multiply.outer(matrix.reshape(given), matrix.reshape(given)))


def test_jacobian_of_several_arguments_and_results():
    f = lambda x, y: {"sum": x + y[0], "product": [x * y]}
    found = gn.jacobian(f, (0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    close(found["sum"][0], np.eye(2))
    close(found["sum"][1], [[1, 0], [1, 0]])
    close(found["product"][0][0], np.diag([3, 4]))
    close(found["product"][0][1], np.diag([1, 2]))
    found = gn.hessian(lambda p: (p["a"] ** 2 * p["b"][0]).sum())({"a": np.array([1.0, 2.0]), "b": [3.0]})
    close(found["a"]["a"], 6 * np.eye(2))
    close(found["a"]["b"][0], [2, 4])
    close(found["b"][0]["a"], [2, 4])
    close(found["b"][0]["b"][0], 0)
    found = gn.hessian(lambda x, y: x**2 * y, (1, 0))(3.0, 5.0)
    assert [[float(h) for h in row] for row in found] == [[0, 6], [6, 10]]


def test_jacobian_and_hessian_run_the_function_once():
    calls = []

    def f(x):
        calls.append(x)
        return x[:2] * x.sum()

    for transform, g in ((gn.jacobian, f), (gn.hessian, lambda x: f(x).sum()), (gn.elementwise_grad, f), (gn.hvp, lambda x: f(x).sum())):
        calls.clear()
        transform(g)(*(np.ones(7),) * (2 if transform is gn.hvp else 1))
        assert len(calls) == 1
    calls.clear()
    _, pullback = gn.vjp(f, np.ones(7))
    assert len(calls) == 1 and all(pullback(np.ones(2)) for _ in range(3)) and len(calls) == 1
    gn.jvp(f, (np.ones(7),), (np.ones(7),))
    assert len(calls) == 2
    calls.clear()


def test_jacobian_in_single_precision():
    found = gn.jacobian(lambda x: x * np.float64(2))(np.ones(2, np.float32))
    assert found.dtype == np.float32 and found.data.tolist() == [[2, 0], [0, 2]]


def test_hvp_is_the_hessian_times_the_vector():
    f = lambda x, y: np.exp(x[0] * y) * (x**3).sum()
    x, y, v, w = np.array([0.3, 0.5]), 0.7, np.array([1.0, 2.0]), -1.5
    h = gn.hessian(f, (0, 1))(x, y)
    close(gn.hvp(f)(x, y, v), h[0][0].data @ v)
    close(gn.hvp(f, 1)(x, y, w), h[1][1].data * w)
    close(gn.hvp(f, -1)(x, y, w), h[1][1].data * w)
    found = gn.hvp(f, (0, 1))(x, y, (v, w))
    close(found[0], h[0][0].data @ v + h[0][1].data * w)
    close(found[1], h[1][0].data @ v + h[1][1].data * w)
    found = gn.hvp(lambda p: f(p["x"], p["y"]))({"x": x, "y": y}, {"y": w, "x": v})
    close(found["x"], h[0][0].data @ v + h[0][1].data * w)


# ---- complex numbers -------------------------------------------------------------------------------------------------------

Z = np.array([0.5 + 1j, -0.3 + 0.2j, 1.1 - 0.7j])


def test_gradient_of_a_complex_argument():
    """dL/d(re) + i dL/d(im), as PyTorch has it."""
    close(gn.grad(lambda z: (np.abs(z) ** 2).sum())(Z), 2 * Z)
    close(gn.grad(lambda z: np.real(z**3).sum())(Z), np.conj(3 * Z**2))
    torch = pytest.importorskip("torch")
    f = lambda np, z: (np.exp(z * z[0]) * np.conj(z)).imag.sum()
    close(gn.grad(lambda z: f(np, z))(Z), torch.func.grad(lambda z: f(torch, z))(torch.tensor(Z)).resolve_conj())
    close(gn.grad(lambda x: (x * Z).imag.sum())(np.ones(3)), Z.imag)


def test_holomorphic_jacobian():
    matrix = np.array([[1 + 1j, 2, 0.5j], [0, 1j, 3]])
    close(gn.jacobian(lambda z: matrix @ z**2, holomorphic=True)(Z), matrix * 2 * Z)
    close(gn.jacobian(gn.jacobian(np.sin, holomorphic=True), holomorphic=True)(1 + 2j), -np.sin(1 + 2j))
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f = lambda np, z: np.exp(z[0] * z) / np.cosh(z).sum()
    close(gn.jacobian(lambda z: f(np, z), holomorphic=True)(Z), jax.jacrev(lambda z: f(jax.numpy, z), holomorphic=True)(Z))


def test_hessian_of_complex_parts():
    f = lambda x, y: np.abs(np.exp((x + 1j * y) ** 2)) ** 2  # exp(2 x**2 - 2 y**2)
    x, y = 0.3, 0.4
    found, e = gn.hessian(f, (0, 1))(x, y), np.exp(2 * x**2 - 2 * y**2)
    close(found[0][0], (4 + 16 * x * x) * e)
    close(found[0][1], -16 * x * y * e)
    close(found[1][1], (-4 + 16 * y * y) * e)
    v = 0.5 - 2j
    close(gn.hvp(lambda z: f(z.real, z.imag))(x + 1j * y, v), np.array([h[0].data * v.real + h[1].data * v.imag for h in found]) @ [1, 1j])


def test_what_is_flat_everywhere_adds_nothing():
    x = np.array([0.26, 1.51])
    assert gn.jacobian(lambda x: np.round(x, 1) + 3 * x)(x).tolist() == [[3.0, 0.0], [0.0, 3.0]]
    assert gn.grad(lambda x: (np.round(x, 1) * x).sum())(x).tolist() == [0.3, 1.5]
