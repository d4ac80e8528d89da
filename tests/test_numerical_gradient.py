"""gn.numerical_gradient: functions that see arrays only, with gradients from differences, beside the same functions as NumPy code."""

import math
import warnings

import numpy as np
import pytest

import gradnerve as gn
from gradnerve.black_box import NumericalGradientWarning, numerical_gradient
from gradnerve.testing import check_gradients

pytestmark = pytest.mark.usefixtures("rows_return")

x, y = np.array([0.5, -1.25, 0.0, 2.0]), np.array(1.5)
z = np.array([1 + 2j, -0.5 + 0.25j])


def leaf(values):
    return gn.Tensor(values, requires_grad=True)


def box(f, **options):
    """The function with numerical gradients; it counts its calls, and sees no Tensors."""

    def counted(*args, **kwargs):
        counted.calls += 1
        assert not any(isinstance(a, gn.Tensor) for a in args)
        return f(*args, **kwargs)

    counted.calls = 0
    operation = numerical_gradient(counted, warn=False, **options)
    operation.counted = counted
    return operation


def gradients(f, *arrays):
    leaves = [leaf(a) for a in arrays]
    out = f(*leaves)
    (np.real(out * np.conj(np.arange(1.0, out.size + 1).reshape(out.shape) * (1 + 0.5j))) if out.dtype.kind == "c" else out * 1.5).sum().backward()
    return [t.grad for t in leaves]


FUNCTIONS = {
    "smooth": (lambda x, y: np.sin(x) * y**2, x, y),
    "a number": (lambda y: np.exp(y) * y, y),
    "a vector to a number": (lambda x: np.sum(x**3), x),
    "a matrix": (lambda a: np.linalg.inv(a + 3 * np.eye(2)), np.array([[0.5, 1.0], [-0.25, 2.0]])),
    "complex": (lambda z: np.abs(z) ** 2 * np.exp(z), z),
    "real to complex": (lambda x: np.fft.rfft(x), x),
    "complex to real": (lambda z: np.abs(z), z),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_have_nine_digits(name):
    f, *arrays = FUNCTIONS[name]
    for found, expected in zip(gradients(box(f), *arrays), gradients(f, *arrays), strict=True):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


def test_values_are_those_of_the_function():
    f = box(lambda a, b: np.sin(a) * b)
    for a in (x, gn.Tensor(x), leaf(x)):
        out = f(a, 2.0)
        assert isinstance(out, gn.Tensor) == isinstance(a, gn.Tensor)
        np.testing.assert_array_equal(np.asarray(out.data if isinstance(out, gn.Tensor) else out), np.sin(x) * 2.0)
    assert not f(gn.Tensor(x), 2.0).requires_grad
    with gn.no_grad():
        assert not f(leaf(x), 2.0).requires_grad


def test_the_function_may_do_what_it_likes():
    optimize = pytest.importorskip("scipy.optimize")

    @numerical_gradient(warn=False)
    def root(a):
        return optimize.brentq(lambda t: t**3 + t - float(a), -10, 10, xtol=1e-15)

    t = leaf(10.0)
    root(t).backward()
    assert abs(t.grad - 1 / (3 * 2.0**2 + 1)) < 1e-9

    @numerical_gradient(warn=False)
    def total(numbers):
        numbers *= 2
        return sum(map(math.exp, numbers.tolist()))

    t = leaf([0.5, 1.0])
    total(t).backward()
    np.testing.assert_allclose(t.grad, 2 * np.exp([1.0, 2.0]), rtol=1e-9)
    assert t.data.tolist() == [0.5, 1.0]


def test_each_backward_costs_two_calls_for_each_element_that_wants_a_gradient():
    f = box(lambda a, b: np.sum(a * b))
    for a, b, calls in ((leaf(x), leaf(x + 1), 16), (leaf(x), x + 1, 8), (x, leaf(x + 1), 8), (gn.Tensor(x), leaf(x + 1), 8)):
        f.counted.calls = 0
        out = f(a, b)
        assert f.counted.calls == 1
        out.backward()
        assert f.counted.calls == 1 + calls
    f.counted.calls = 0
    f(leaf(z), z).real.backward()
    assert f.counted.calls == 1 + 8


def test_arguments_may_be_containers_and_keywords():
    @numerical_gradient(warn=False)
    def energy(params, scale, *, power):
        return scale * np.sum(params["w"] ** power) + params["b"][0]

    w, b, power = leaf(x + 2), leaf(3.0), leaf(2.5)
    energy({"w": w, "b": [b, None]}, 2, power=power).backward()
    np.testing.assert_allclose(w.grad, 2 * 2.5 * w.data**1.5, rtol=1e-8)
    np.testing.assert_allclose([b.grad, power.grad], [1, 2 * np.sum(np.log(w.data) * w.data**2.5)], rtol=1e-8)


def test_float32_goes_to_the_function_as_float64_if_it_takes_that():
    seen = []

    def sine(a):
        seen.append(a.dtype)
        return np.sin(a)

    def only_float32(a):
        if a.dtype != np.float32:
            raise TypeError("float32, please")
        return np.sin(a)

    a = x.astype(np.float32)
    for f, precision in ((sine, 1e-7), (lambda a: np.sin(a.astype(np.float32)), 1e-3), (only_float32, 1e-3)):
        t = leaf(a)
        out = numerical_gradient(f, warn=False)(t)
        out.sum().backward()
        assert t.grad.dtype == np.float32 and out.dtype == np.float32
        np.testing.assert_allclose(t.grad, np.cos(x), atol=precision)
    assert seen[0] == np.float32 and set(seen[1:]) == {np.dtype(np.float64)}


SCALES = {
    "tiny and huge": (lambda a: np.sum(np.log(a)), np.array([1e-12, 1.0, 1e12]), lambda a: 1 / a),
    "rates and temperatures": (lambda a: a[0] * np.exp(-a[1] / 300), np.array([1e-6, 350.0]),
                               lambda a: np.exp(-a[1] / 300) * np.array([1, -a[0] / 300])),
    "nearly zero beside others": (lambda a: np.sum(np.sin(a)) + 5, np.array([1e-15, 1.0]), np.cos),
    "zeros": (lambda a: np.sum(np.sin(a)) + 5, np.zeros(3), np.cos),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALES)
def test_steps_suit_the_size_of_each_element(name):
    f, a, expected = SCALES[name]
    np.testing.assert_allclose(gradients(box(f), a)[0], 1.5 * expected(a), rtol=2e-7)


def test_a_step_of_ones_own_suits_functions_that_are_not_exact():
    rough = lambda a: np.round(np.sum(np.sin(a)), 6)
    t, s = leaf(x), leaf(x)
    box(rough)(t).backward()
    box(rough, step=1e-2)(s).backward()
    assert np.abs(t.grad - np.cos(x)).max() > 1e-2 > 10 * np.abs(s.grad - np.cos(x)).max()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_have_five_digits(name):
    f, *arrays = FUNCTIONS[name]
    scalar = lambda f: lambda *arrays: np.sum(np.abs(f(*arrays)) ** 2)
    for k in range(len(arrays)):
        v = np.asarray(np.linspace(0.5, 2.0, arrays[k].size).reshape(arrays[k].shape), dtype=arrays[k].dtype)
        found, expected = (gn.hvp(scalar(g), argnums=k)(*arrays, v).data for g in (box(f), f))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        found, expected = (gn.jvp(g, tuple(arrays), tuple(map(np.ones_like, arrays)))[1].data for g in (box(f), f))
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_mixed_second_derivatives_flow_to_all_arguments():
    f = lambda a, b: np.sum(np.sin(a) * b**3)
    found, expected = (gn.hessian(g, (0, 1))(x, y) for g in (box(f), f))
    for row, wanted in zip(found, expected, strict=True):
        for part, like in zip(row, wanted, strict=True):
            np.testing.assert_allclose(part.data, like.data, rtol=1e-5, atol=1e-6)


def test_forward_mode_does_not_pay_for_second_derivatives():
    f = box(lambda a: np.sin(a))
    gn.jvp(f, (np.linspace(1, 2, 100),), (np.ones(100),))
    assert f.counted.calls < 1 + 200 + 10


def test_a_third_derivative_is_refused():
    f = box(lambda a: np.sin(a))
    with pytest.raises(gn.GraphError, match="counted: numerical_gradient has a first and a second derivative; a third, by differences"):
        gn.grad(gn.grad(gn.grad(f)))(1.0)


def test_it_agrees_with_check_gradients():
    f = box(lambda a: np.linalg.solve(a + 3 * np.eye(2), np.ones(2)))
    assert check_gradients(lambda a: np.tanh(f(a * 2)), np.array([[0.5, 1.0], [-0.25, 2.0]]))


@pytest.mark.filterwarnings("ignore:vmap")
def test_it_runs_once_for_each_example_of_vmap():
    f, rows = lambda a, b: np.sin(a) * b**2, np.arange(6.0).reshape(3, 2)
    for transformed in (lambda f: gn.vmap(f, (0, None)), lambda f: gn.vmap(gn.grad(lambda a, b: f(a, b).sum()), (0, None))):
        np.testing.assert_allclose(transformed(box(f))(rows, 2.0).data, transformed(f)(rows, 2.0).data, rtol=1e-8)


def test_the_gradient_is_that_of_the_values_that_the_function_saw():
    t = leaf([1.0, 2.0])
    out = box(lambda a: np.sum(a**3))(t)
    t.data[:] = 100.0
    out.backward()
    np.testing.assert_allclose(t.grad, [3.0, 12.0], rtol=1e-9)


# ---- what it says ----------------------------------------------------------------------------------------------------------


def test_the_warning_comes_once_for_each_function_and_says_the_cost():
    def circuit(a, b):
        return np.sum(a) * np.sum(b)

    f, g = numerical_gradient(circuit), numerical_gradient(circuit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f(x, y)
        f(gn.Tensor(x), y)
        assert not caught
        f(leaf(x), leaf(z))
        f(leaf(x), leaf(z))
        g(leaf(x), y)
    assert [warning.category for warning in caught] == [NumericalGradientWarning] * 2 and issubclass(NumericalGradientWarning, UserWarning)
    assert str(caught[0].message).startswith("circuit: its gradient comes from finite differences, 16 calls of circuit in every backward()")
    assert "8 calls of circuit" in str(caught[1].message) and caught[0].filename == __file__


def test_it_keeps_the_name_and_the_documentation():
    @numerical_gradient
    def circuit(a):
        """What it is."""
        return a

    assert circuit.__name__ == "circuit" and circuit.__doc__ == "What it is."


def test_what_is_no_number_is_refused():
    for result in ("text", None, [1.0, [2.0, 3.0]]):
        with pytest.raises(TypeError, match="a function under numerical_gradient returns an array or a number, not "):
            box(lambda a, result=result: result)(leaf(x))


def test_a_result_that_changes_its_shape_is_refused():
    f = box(lambda a: np.zeros(3 if a.sum() <= x.sum() else 2))
    with pytest.raises(gn.ShapeError, match=r"counted: gave the shape \(3,\), and \(2,\) when an argument was moved a little"):
        f(leaf(x)).sum().backward()


def test_whole_numbers_have_the_gradient_zero():
    t = leaf(x + 0.1)
    box(lambda a: int(np.sum(a > 0)))(t).backward()
    assert t.grad.tolist() == [0.0] * 4
