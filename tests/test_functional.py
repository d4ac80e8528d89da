"""Functions of functions: what `grad` and its kin give for any arguments, nested in any order.

Derivatives are compared with those of JAX, PyTorch and HIPS autograd, or with formulas. Read next: test_jacobian.py; test_jvp.py, forward
mode and pullbacks of every operation; test_tree.py, containers and objects as arguments; test_functional_errors.py; test_hooks.py.
"""

import functools
import itertools
import math

import numpy as np
import pytest

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

POINT = np.array([[0.3, -1.2, 0.8], [1.5, 0.4, -0.6]])
DIRECTION = np.array([[1.0, 0.5, -2.0], [0.3, -0.7, 1.1]])


def leaf(values):
    return gn.Tensor(values, requires_grad=True)


def close(found, expected, rtol=1e-11):
    assert isinstance(found, gn.Tensor)
    np.testing.assert_allclose(found.data, np.asarray(expected), rtol=rtol, atol=1e-13)
    assert found.shape == np.shape(expected)


def refusal(kind, function, *args, **kwargs):
    """What the error says; it is gone, and what it held, when this returns."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    del caught
    return text


def says(text, *words):
    missing = [word for word in words if word not in text]
    assert not missing, f"{text!r} does not say {missing}"


# ---- beside others ---------------------------------------------------------------------------------------------------------


def jaxs():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    push = lambda f, x, v: jax.jvp(f, (x,), (v,))[1]
    return jax.numpy, np.asarray, jax.grad, jax.jacobian, jax.hessian, push, jax.jit  # one program is compiled sooner than its operations


def torchs():
    torch = pytest.importorskip("torch")
    push = lambda f, x, v: torch.func.jvp(f, (x,), (v,))[1]
    return torch, torch.tensor, torch.func.grad, torch.func.jacrev, torch.func.hessian, push, lambda f: f


def hips():
    autograd = pytest.importorskip("autograd")
    numpy = pytest.importorskip("autograd.numpy")
    push = lambda f, x, v: numpy.tensordot(autograd.jacobian(f)(x), v, v.ndim)  # det has no forward mode
    return numpy, np.asarray, autograd.grad, autograd.jacobian, autograd.hessian, push, lambda f: f


PROGRAMS = {
    "products": lambda np, x: (np.tanh(x @ x.T) @ x).sum() + np.log1p(x * x).mean(),
    "branches": lambda np, x: (np.where(x > 0.35, x**3, np.exp(x)) * np.sin(x[::1, 1:2])).sum(),
    "linear algebra": lambda np, x: np.log(np.linalg.det(x @ x.T)) + np.linalg.inv(x @ x.T)[0, 1],
    "sums": lambda np, x: np.sqrt(np.einsum("ij,ij->j", x, x)).sum() * np.cumsum(x, 1)[1, 2],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("rival", [jaxs, torchs, hips])
def test_derivatives_are_those_of_others(rival, program):
    module, array, grad, jacobian, hessian, push, compiled = rival()
    f, g = (lambda x, module=module: PROGRAMS[program](module, x) for module in (np, module))
    rows, their_rows = (lambda x, f=f: f(x) * x[0] + x[1] for f in (f, g))
    theirs = lambda x, v: (g(x), grad(g)(x), jacobian(their_rows)(x), hessian(g)(x), push(grad(g), x, v), push(g, x, v))
    value, gradient, rows_slopes, second, product, slope = compiled(theirs)(array(POINT), array(DIRECTION))
    found = gn.value_and_grad(f)(POINT)
    close(found[0], value)
    close(found[1], gradient)
    close(gn.grad(f)(leaf(POINT)), gradient)
    close(gn.jacobian(rows)(POINT), rows_slopes)
    close(gn.hessian(f)(POINT), second)
    close(gn.hvp(f)(POINT, DIRECTION), product)
    close(gn.jvp(f, (POINT,), (DIRECTION,))[1], slope)
    close(gn.jvp(gn.grad(f), (POINT,), (DIRECTION,))[1], product)


# ---- arguments -------------------------------------------------------------------------------------------------------------


def weighted(x, y, z, power=1):
    return np.sum(x * y**2 * z**3) ** power


@pytest.mark.parametrize(("argnums", "expected"), [(0, 4 * 27), (1, 2 * 2 * 2 * 27), (-1, 2 * 4 * 3 * 9), (-3, 4 * 27), (np.int64(1), 216)])
def test_argnums_one(argnums, expected):
    found = gn.grad(weighted, argnums)(2.0, 2.0, 3.0)
    assert isinstance(found, gn.Tensor) and float(found) == expected


@pytest.mark.parametrize("argnums", [(0, 2), (2, 0), (-1, 1), (1,), ()])
def test_argnums_several_give_a_tuple_in_their_order(argnums):
    expected = {0: 108, 1: 216, 2: 216}
    found = gn.grad(weighted, argnums)(2.0, 2.0, 3.0)
    assert type(found) is tuple and [float(g) for g in found] == [expected[k % 3] for k in argnums]


def test_arguments_by_name_are_passed_on():
    assert float(gn.grad(weighted)(2.0, 2.0, 3.0, power=2)) == 2 * 216 * 108
    assert float(gn.grad(weighted)(2.0, z=3.0, y=2.0)) == 108
    assert [float(v) for v in gn.value_and_grad(weighted)(2.0, 2.0, 3.0, power=2)] == [216**2, 2 * 216 * 108]
    assert float(gn.vjp(weighted, 2.0, 2.0, 3.0, power=2)[1](1.0)[0]) == 2 * 216 * 108
    assert float(gn.jvp(weighted, (2.0, 2.0, 3.0), (1.0, 0.0, 0.0), power=2)[1]) == 2 * 216 * 108
    assert float(gn.hvp(weighted)(2.0, 2.0, 3.0, 1.0, power=2)) == 2 * 108**2
    assert float(gn.hessian(weighted)(2.0, 2.0, 3.0, power=2)) == 2 * 108**2
    assert float(gn.jacobian(weighted)(2.0, 2.0, 3.0, power=2)) == float(gn.elementwise_grad(weighted)(2.0, 2.0, 3.0, power=2)) == 2 * 216 * 108


NUMBERS = [2.0, 2, np.float64(2), np.float32(2), np.array(2.0), np.float16(2), np.longdouble(2), np.array(2, ">f8"), gn.Tensor(2.0), 2 + 0j,
           np.complex64(2)]  # fmt: skip


@pytest.mark.parametrize("x", NUMBERS, ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}")
def test_any_kind_of_number(x):
    dtype = np.dtype(getattr(x, "dtype", complex if type(x) is complex else float)).newbyteorder("=")
    seen = []

    def f(t):
        seen.append(t.dtype)
        return np.abs(t) ** 3

    value, g = gn.value_and_grad(f)(x)
    assert type(g) is gn.Tensor and g.dtype == dtype and g.shape == () and float(g.real) == 12 and not g.requires_grad
    assert type(value) is gn.Tensor and float(value) == 8 and seen == [dtype] and not value.requires_grad


def test_arrays_of_any_layout_and_class():
    a = np.arange(12.0).reshape(3, 4)
    locked = a.copy()
    locked.flags.writeable = False
    for x in (a, a.T, a[::-1, ::2], locked, np.asfortranarray(a), np.broadcast_to(a[0], (2, 4)), a.view(np.matrix), gn.Tensor(a), leaf(a)[1:]):
        before = np.array(x.data if isinstance(x, gn.Tensor) else x)
        close(gn.grad(lambda t: (t * t * t).sum())(x), 3 * before**2)
        assert (np.array(x.data if isinstance(x, gn.Tensor) else x) == before).all()


def test_the_argument_is_a_copy_of_the_array():
    a = np.ones(3)

    def f(x):
        y = x * x
        a[:] = 5
        return (y * x).sum()

    close(gn.grad(f)(a), np.full(3, 3.0))


def test_an_unused_argument_has_gradient_zero():
    x = np.ones((2, 3), np.float32)
    for g in (gn.grad(lambda x, y: y)(x, 1.0), gn.vjp(lambda x: 1.0, x)[1](1.0)[0], gn.elementwise_grad(lambda x: np.sign(x))(x)):
        assert g.shape == (2, 3) and g.dtype == np.float32 and not g.data.any()
    assert gn.jacobian(lambda x: np.ones(4))(x).shape == (4, 2, 3)
    assert gn.hessian(lambda x: x.sum())(x).shape == (2, 3, 2, 3) and not gn.hessian(lambda x: 3)(x).data.any()
    assert float(gn.jvp(lambda x: 3.0, (x,), (x,))[1]) == 0


def test_function_attributes_are_kept():
    for transform in (gn.grad, gn.value_and_grad, gn.elementwise_grad, gn.jacobian, gn.hessian, gn.hvp):
        assert transform(weighted).__name__ == "weighted"
        assert callable(transform(functools.partial(weighted, 1.0)))
    for f in (np.sin, gn.sin, functools.partial(np.multiply, 1.0)):
        assert float(gn.grad(f)(0.0)) == 1


def test_elementwise_grad():
    close(gn.elementwise_grad(np.tanh)(POINT), 1 / np.cosh(POINT) ** 2)
    close(gn.elementwise_grad(gn.elementwise_grad(np.sin))(POINT), -np.sin(POINT))
    g = gn.elementwise_grad(lambda x, y: [x * y, (x * x,)], (0, 1))(POINT, 3.0)
    close(g[0], 3 + 2 * POINT)
    close(g[1], POINT.sum())


# ---- value_and_grad, has_aux -----------------------------------------------------------------------------------------------


def test_aux_is_untracked():
    extra = object()
    f = lambda x: ((x**2).sum(), {"double": [2 * x, x.dtype], "extra": extra, "nothing": None})
    (value, aux), g = gn.value_and_grad(f, has_aux=True)(POINT)
    close(g, 2 * POINT)
    close(aux["double"][0], 2 * POINT)
    assert float(value) == (POINT**2).sum() and aux["extra"] is extra and aux["nothing"] is None
    g, other = gn.grad(f, has_aux=True)(POINT)
    _, _, third = gn.vjp(f, POINT, has_aux=True)
    out, tangent, fourth = gn.jvp(f, (POINT,), (DIRECTION,), has_aux=True)
    assert float(tangent) == pytest.approx((2 * POINT * DIRECTION).sum())
    assert not any(a["double"][0].requires_grad for a in (aux, other, third, fourth)) and not out.requires_grad
    assert gn.grad(lambda x: (x, None), has_aux=True)(1.0)[1] is None


def test_aux_keeps_the_gradient_of_what_is_outside():
    inner = lambda x, w: gn.grad(lambda x: (x**2, w * x), has_aux=True)(x)[1]
    assert float(gn.grad(inner, 1)(3.0, 2.0)) == 3
    assert float(gn.grad(inner, 0)(3.0, 2.0)) == 2
    w = leaf(2.0)
    g, aux = gn.grad(lambda x: (x**2, w * x), has_aux=True)(3.0)
    assert not g.requires_grad
    aux.backward()
    assert w.grad == 3


# ---- nesting ---------------------------------------------------------------------------------------------------------------

SLOPES = {
    "grad": gn.grad,
    "jvp": lambda f: lambda x: gn.jvp(f, (x,), (1.0,))[1],
    "vjp": lambda f: lambda x: gn.vjp(f, x)[1](1.0)[0],
    "jacobian": gn.jacobian,
    "value_and_grad": lambda f: lambda x: gn.value_and_grad(f)(x)[1],
}


@pytest.mark.parametrize("kinds", [*itertools.product(SLOPES, repeat=3)], ids=" of ".join)
def test_third_derivatives_in_any_order(kinds):
    f = lambda x: np.sin(x) * x**3
    for kind in kinds:
        f = SLOPES[kind](f)
    x = 0.7
    close(f(x), 6 * np.sin(x) + 18 * x * np.cos(x) - 9 * x**2 * np.sin(x) - x**3 * np.cos(x))


FIFTH = [["grad"] * 5, ["jvp"] * 5, ["grad", "jvp", "vjp", "jvp", "jacobian"], ["jvp", *["grad", "jvp"] * 2]]


@pytest.mark.parametrize("kinds", FIFTH, ids=" of ".join)
def test_fifth_derivatives(kinds):
    f, g = (lambda x: x**7, lambda x: np.exp(-2 * x) / x)
    for kind in kinds:
        f, g = SLOPES[kind](f), SLOPES[kind](g)
    close(f(1.5), 7 * 6 * 5 * 4 * 3 * 1.5**2)
    leibniz = sum(math.comb(5, k) * (-2.0) ** (5 - k) * (-1) ** k * math.factorial(k) / 1.5 ** (k + 1) for k in range(6))
    close(g(1.5), leibniz * np.exp(-3.0))


CONFUSIONS = {  # with D for any way to take a derivative: each D must see its own variable only
    "a product around a sum": (lambda D: D(lambda x: x * D(lambda y: x + y)(1.0)), 1.0, 1),
    "a product around a product": (lambda D: D(lambda x: x * D(lambda y: x * y)(2.0)), 3.0, 6),
    "the same number in both places": (lambda D: D(lambda x: D(lambda y: x * y)(x)), 3.0, 1),
    "both in the inner one": (lambda D: D(lambda x: D(lambda y: x * y * y)(x)), 3.0, 12),
    "the inner result as a factor": (lambda D: D(lambda x: x * D(lambda y: y * y * x)(x) * D(lambda y: y)(x)), 2.0, 24),
    "three levels": (lambda D: D(lambda x: x * D(lambda y: y * D(lambda z: x * y * z)(1.0))(x)), 2.0, 24),
    "constant inside": (lambda D: D(lambda x: D(lambda y: x * x)(1.0) + x), 2.0, 1),
}


@pytest.mark.parametrize("name", CONFUSIONS)
@pytest.mark.parametrize("kinds", [*itertools.product(["grad", "jvp", "vjp"], repeat=2)], ids=" and ".join)
def test_no_perturbation_confusion(kinds, name):
    """Two kinds of derivative take turns."""
    build, x, expected = CONFUSIONS[name]
    turns = itertools.cycle(kinds)
    D = lambda f: lambda x: SLOPES[next(turns)](f)(x)
    assert float(build(D)(x)) == expected


def test_jacobian_and_hessian_nest():
    f = lambda x: (x**3).sum() * x[0]
    x = np.array([2.0, 3.0])
    expected = np.zeros((2, 2, 2))  # of x0**4 + x0 * x1**3
    expected[0, 0, 0], expected[1, 1, 1] = 24 * 2, 6 * 2
    expected[0, 1, 1] = expected[1, 0, 1] = expected[1, 1, 0] = 6 * 3
    close(gn.jacobian(gn.hessian(f))(x), expected)
    close(gn.jacobian(gn.jacobian(gn.jacobian(f)))(x), expected)
    close(gn.hessian(lambda x: gn.grad(f)(x)[0])(x), expected[0])
    close(gn.grad(lambda x: gn.jacobian(gn.grad(f))(x).sum())(x), expected.sum((0, 1)))
    close(gn.jacobian(lambda x: gn.hvp(f)(x, np.ones(2)))(x), expected.sum(0))
    close(gn.grad(lambda v: gn.hvp(f)(x, v) @ v)(np.ones(2)), 2 * gn.hessian(f)(x).data.sum(0))
    close(gn.jvp(gn.hessian(f), (x,), (np.array([1.0, 0.0]),))[1], expected[..., 0])


def test_vjp_inside_grad():
    f = lambda x: np.tanh(x) * x[::-1]
    seed = np.array([1.0, -2.0, 0.5])
    pulled = lambda x: gn.vjp(f, x)[1](seed)[0]
    x = POINT[0]
    expected = gn.hessian(lambda x: (f(x) * seed).sum())(x).data
    close(gn.jacobian(pulled)(x), expected)
    close(gn.grad(lambda x: (pulled(x) ** 2).sum())(x), 2 * expected @ pulled(x).data)


def test_gradients_by_tensors_from_outside():
    w = leaf(2.0)
    value, g = gn.value_and_grad(lambda x: w * x**2)(3.0)
    assert value.requires_grad and g.requires_grad
    g.backward()
    assert w.grad == 6
    value.backward()
    assert w.grad == 6 + 9
    x = leaf(3.0)
    gn.grad(lambda x: w * x**3)(x).backward()
    assert x.grad == 6 * 2 * 3 and w.grad == 15 + 27


def test_a_gradient_leaves_no_grad_behind():
    x, w = leaf([1.0, 2.0]), leaf(3.0)
    found = [gn.grad(lambda x: (w * x * x).sum())(x), gn.hessian(lambda x: (w * x**3).sum())(x), gn.jvp(lambda x: w * x * x, (x,), (x,))[1]]
    found += gn.vjp(lambda x: w * x * x, x)[1](x)
    assert all(g.requires_grad for g in found) and not x.grad.any() and not w.grad.any()


def test_a_loop_that_calls_backward():
    """Gradient descent on w, of a loss with a gradient of a gradient in it: d/dx (3 x**2 w)**2 at 1 is 36 w**2."""
    w, expected = leaf(0.5), 0.5
    loss = gn.grad(lambda x: gn.grad(lambda y: y**3 * w)(x) ** 2)
    for _ in range(5):
        w.grad = None
        loss(1.0).backward()
        with gn.no_grad():
            w -= 0.01 * w.grad
        expected -= 0.01 * 72 * expected
        assert w.data == pytest.approx(expected, rel=1e-13)


def test_a_function_that_calls_backward_itself():
    u = leaf(2.0)

    def f(x):
        u.grad = None
        (u**3).backward()
        return x * x * u.grad + gn.grad(lambda y: y * u.grad * x)(x)

    close(gn.grad(f)(3.0), 2 * 3 * 12 + 12)
    close(gn.grad(gn.grad(f))(3.0), 2 * 12)
    x = leaf(3.0)
    f(x).backward()
    assert x.grad == 84


def test_gradients_are_tensors_of_their_own():
    """Changing one in place changes no other."""
    x = leaf([1.0, 2.0])
    for factor in (x, np.ones(2)):
        g, h = gn.grad(lambda a, b, factor: ((a + b) * factor).sum(), (0, 1))(np.ones(2), np.ones(2), factor)
        before = h.data.copy()
        g += 1
        assert (h.data == before).all() and (g.data == before + 1).all()
    _, pullback = gn.vjp(lambda a, b: [a + b, a], x, x)
    g, h = pullback([seed := leaf([5.0, 6.0]), np.zeros(2)])
    g *= 2
    assert seed.data.tolist() == h.data.tolist() == [5, 6]


def test_modes():
    f = lambda x: x**3
    with gn.no_grad():
        assert float(gn.grad(f)(2.0)) == 12 and float(gn.grad(gn.grad(f))(2.0)) == 12
        x = leaf(2.0)
        for result in (gn.grad(f)(x), *gn.value_and_grad(f)(x), *gn.jvp(f, (x,), (x,)), gn.hessian(f)(x), gn.hvp(f)(x, x), gn.vjp(f, x)[1](x)[0]):
            assert not result.requires_grad
    g = gn.no_grad()(gn.grad(f))(x)
    assert float(g) == 12 and not g.requires_grad

    def halves(x):
        with gn.no_grad():
            y = x**2
        return y * x

    assert float(gn.grad(halves)(3.0)) == 9 and float(gn.jvp(halves, (3.0,), (1.0,))[1]) == 9
    assert float(gn.grad(gn.no_grad()(f))(2.0)) == 0
    assert float(gn.grad(gn.no_grad()(gn.enable_grad()(f)))(2.0)) == 12
    assert (x * 2).requires_grad


def test_stop_gradient():
    f = lambda x: x * gn.stop_gradient(x * x)
    assert float(gn.grad(f)(3.0)) == 9 and float(gn.jvp(f, (3.0,), (1.0,))[1]) == 9
    assert float(gn.grad(gn.grad(f))(3.0)) == 0
    x = leaf([1.0, 2.0])
    found = gn.stop_gradient({"a": [x, 3], "b": (None, "text", x * x)})
    assert found["a"][1] == 3 and found["b"][:2] == (None, "text") and not found["a"][0].requires_grad and not found["b"][2].requires_grad
    assert found["b"][2].data.tolist() == [1, 4] and x.requires_grad
    assert gn.stop_gradient(3.0) == 3 and gn.stop_gradient(POINT) is POINT
