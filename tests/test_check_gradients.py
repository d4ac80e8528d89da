"""gn.check_gradients: right derivatives pass, wrong ones fail, and the message says what is wrong with them where the numbers prove it.

Wrong derivatives are made with gn.custom_gradient; the numbers in the messages are those of closed formulas.
"""

import dataclasses
import itertools
import re

import numpy as np
import pytest

import gradnerve as gn
from gradnerve.differences import noise_of, slope
from gradnerve.testing import GradientError, check_gradients

pytestmark = pytest.mark.usefixtures("rows_return")

x, y = np.array([0.5, -1.25, 2.0]), np.array([1.5, 0.75, -0.25])
square = np.array([[0.5, -1.0, 0.25], [1.5, 2.0, -0.75], [0.1, 0.3, -1.3]])
wide = np.array([[0.5, -1.0, 0.25], [1.5, 2.0, -0.75]])
cube = np.arange(1.0, 9.0).reshape(2, 2, 2) ** 2
z = np.array([1 + 2j, -0.5 + 0.25j, 0.75 - 1.5j])


def with_gradient(value, *gradients):
    """An operation with these gradients, functions of g and the arguments."""

    @gn.custom_gradient
    def operation(*args):
        return value(*args), lambda g: tuple(gradient(g, *args) for gradient in gradients)

    return operation


def failure(f, *args, **kwargs):
    """What GradientError says; it is gone, and what it held, when this returns."""
    return refusal(GradientError, f, *args, **kwargs)


def refusal(kind, f, *args, **kwargs):
    with pytest.raises(kind) as caught:
        check_gradients(f, *args, **kwargs)
    text = str(caught.value)
    del caught
    return text


def cells(text, row=0):
    """A line of the table."""
    lines = text.split("\n\n")[1].splitlines()
    return re.split(r"  +", lines[1 + row].strip())


# ---- what is right ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Pair:
    left: object
    right: object


RIGHT = {
    "a product": (lambda a, b: np.sin(a) @ b, x, y),
    "numbers": (lambda a, b: a**b, 2.0, 1.5),
    "a matrix": (lambda a: np.linalg.inv(a), square),
    "containers": (lambda p, q: {"a": p["w"] @ q[0], "b": (q[1] * 2j, None)}, {"w": square, "n": 3}, [x, 0.5]),
    "a dataclass": (lambda pair: Pair(pair.right, pair.left * pair.right), Pair(x, y)),
    "constants": (lambda a, k, kind: a[k] if kind == "take" else None, x, np.array([2, 0, 0]), "take"),
    "complex numbers": (lambda a: np.abs(a) ** 2 * np.exp(a), z),
    "complex of real": (lambda a: np.fft.rfft(a), x),
    "real of complex": (lambda a: np.real(a) * np.imag(a), z),
    "nothing that depends": (lambda a: np.ones(2), x),
    "empty": (lambda a: a * 2, np.zeros((0, 3))),
    "not holomorphic": (lambda a: np.maximum(a, 0.1) * np.abs(a) * np.sort(a), x),
    "holomorphic in part": (lambda a: np.stack([np.exp(a[0]), np.abs(a[1]), np.real(a[2])]), x),
    "large and small": (lambda a, b: np.sin(a * 1e-9) * 1e5 + b * 1e-7, x * 1e9, y * 1e-4),
    "far from 0": (lambda a: np.log(a), np.array([1e-12, 1.0, 1e12])),
    "steep": (lambda a: np.sin(1000 * a), x),
    "beside a kink": (lambda a: np.abs(a - 1.9999), x),
    "a small difference of large numbers": (lambda a: (a + 1e8) - 1e8, x),
    "zeros": (lambda a: a * a, np.zeros(3)),
    "at the end of where it is finite": (lambda a: a**2.5, np.array([0.0, 1.0])),
    "NaN in the argument": (lambda a: np.nansum(a * a), np.array([1.0, np.nan, 2.0])),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass(name):
    report = check_gradients(*RIGHT[name])
    assert report and report.largest <= 1 and report.forward


@pytest.mark.parametrize("name", ["a product", "numbers", "a matrix", "containers", "complex numbers", "complex of real", "not holomorphic"])
def test_right_second_derivatives_pass(name):
    first, second = check_gradients(*RIGHT[name]), check_gradients(*RIGHT[name], order=2)
    assert second.derivatives > first.derivatives


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_lower_precision_is_compared_with_differences_in_double_precision(dtype):
    argument = (z if dtype == "complex64" else x).astype(dtype)
    assert check_gradients(lambda a: np.exp(a) * a, argument).largest < 0.1
    assert check_gradients(lambda a: (np.exp(a) * a).astype(dtype), argument)


def test_a_derivative_that_is_wrong_by_more_than_the_precision_fails():
    for dtype, wrong in (("float64", 1e-5), ("float32", 1e-2)):
        f = with_gradient(np.sin, lambda g, a, wrong=wrong: (g * np.cos(a) * (1 + wrong)).astype(a.dtype))
        failure(lambda a, f=f: f(a), x.astype(dtype))
        check_gradients(lambda a, f=f: f(a), x.astype(dtype), rtol=2 * wrong)
        check_gradients(lambda a, f=f: f(a), x.astype(dtype), atol=2 * wrong)


def test_the_report_says_how_much_was_compared():
    report = check_gradients(lambda a, b: np.outer(a, b), x, y)
    assert repr(report).startswith("<f: 54 derivatives agree with numerical ones, in reverse and forward mode; at most ")
    assert repr(check_gradients(np.sin, 1.0)).startswith("<sin: 1 ")


def test_argnums_choose_the_arguments():
    wrong = with_gradient(np.multiply, lambda g, a, b: g * b, lambda g, a, b: g * b)
    f = lambda a, b: wrong(a, b)
    for argnums in (0, -2, (0,)):
        assert check_gradients(f, x, y, argnums=argnums).derivatives == 9
    for argnums in (1, (0, 1), None):
        assert " b[0]" in failure(f, x, y, argnums=argnums)


def test_keyword_arguments_go_to_the_function():
    assert check_gradients(lambda a, power: a**power, x, power=2)


def test_tracked_tensors_are_arguments_as_others_are():
    made = gn.Tensor(y, requires_grad=True) * 2
    assert check_gradients(lambda a, b: a * b, gn.Tensor(x), made).derivatives == 18
    assert check_gradients(lambda a, b: a * b, x, made, argnums=0).derivatives == 9
    with gn.no_grad():
        assert check_gradients(lambda a: a * a, x)


def test_objects_stand_for_their_parameters():
    class Line:
        def __init__(self):
            self.w, self.b = gn.Tensor([2.0, 3.0], requires_grad=True), gn.Tensor(0.5, requires_grad=True)

        def parameters(self):
            return [self.w, self.b]

    class Wrong(Line):
        def named_parameters(self):
            return [("w", self.w), ("b", self.b)]

        def __call__(self, a):
            return (a @ with_gradient(np.copy, lambda g, w: 2 * g)(self.w) + self.b) ** 2

    line = Line()
    assert check_gradients(lambda line, a: (a @ line.w + line.b) ** 2, line, x[:2]).derivatives == 5
    assert line.w.data.tolist() == [2.0, 3.0] and line.w.requires_grad
    assert "The gradient by model.w is 2 times the numeric one." in failure(lambda model, a: model(a), Wrong(), x[:2])


def test_large_arrays_are_compared_along_directions():
    a, b = np.random.default_rng(0).normal(size=(2, 100, 100))
    calls = []

    def f(a, b, c):
        calls.append(0)
        return np.tanh(a * b + c)

    assert check_gradients(f, a, b, y[0]).largest < 1
    assert len(calls) < 200


def test_one_wrong_element_of_a_large_array_is_found():
    a, wrong = np.random.default_rng(0).normal(size=(90, 110)), np.ones((90, 110))
    wrong[37, 41] = 1.01
    sine = with_gradient(np.sin, lambda g, a: g * np.cos(a) * wrong)
    for f in (lambda a: sine(a), lambda a: sine(a).sum()):
        text = failure(f, a)
        assert cells(text)[1] == "a[37, 41]" and cells(text)[-1] == "1.01"
        assert "f: 1 of" in text or "f: 3 of" in text


def test_small_errors_everywhere_in_a_large_array_are_found():
    a = np.random.default_rng(0).normal(size=(90, 110))
    f = with_gradient(np.sin, lambda g, a: g * np.cos(a) * 1.001)
    assert "is 1.001 times the numeric one" in failure(lambda a: f(a), a)
    assert check_gradients(lambda a: f(a), a, rtol=1e-2)


def test_forward_mode_is_compared_with_reverse_mode():
    @gn.custom_gradient
    def odd(a):
        return np.sin(a), lambda g: g * np.cos(a) + (g * a if isinstance(g, gn.Tensor) else 0)  # asked for again, it is another one

    text = failure(lambda a: odd(a), x)
    assert "forward mode (jvp) differs from reverse mode" in text and cells(text)[0] == "f[0]"


def test_what_can_be_differentiated_only_once_passes_without_forward_mode():
    @gn.numerical_gradient(warn=False)
    def sine(a):
        return np.sin(a)

    assert check_gradients(lambda a: np.sin(a), x, order=2).forward
    assert not check_gradients(gn.grad(lambda a: sine(a).sum()), x, rtol=1e-4).forward


def test_order_2_finds_a_wrong_derivative_of_a_derivative():
    slope = with_gradient(np.cos, lambda g, a: g * np.sin(a))
    sine = with_gradient(np.sin, lambda g, a: g * slope(a))
    text = failure(lambda a: sine(a), x, order=2)
    assert text.startswith("df: 3 of 9 derivatives differ") and cells(text)[0].startswith("df/da[")
    assert "The gradient by a is -1 times the numeric one: the sign is wrong." in text
    assert check_gradients(lambda a: with_gradient(np.sin, lambda g, a: g * np.cos(a))(a), x, order=2)


# ---- what is wrong ---------------------------------------------------------------------------------------------------------


def test_the_table_shows_the_worst_entries():
    f = with_gradient(lambda a: a**3, lambda g, a: g * np.array([3 * 0.25, 9.0, 12.0]))
    text = failure(lambda a: f(a).sum(), x)
    assert text.startswith("f: 1 of 3 derivatives differ from numerical ones\n\n")
    assert cells(text) == ["f", "a[1]", "9", "4.6875", "1.92"]
    many = failure(lambda a: with_gradient(np.copy, lambda g, a: g * a)(a), np.arange(2.0, 30.0))
    assert len(many.split("\n\n")[1].splitlines()) == 9 and cells(many) == ["f[27]", "a[27]", "29", "1", "29"]


def test_names_of_entries_are_what_one_would_write():
    f = with_gradient(np.sin, lambda g, a: g)
    text = failure(lambda params: {"loss": f(params["w"][0]).sum()}, {"w": [square], "b": 1.0})
    assert all(re.fullmatch(r"params\['w'\]\[0\]\[\d, \d\]", cells(text, row)[1]) for row in range(8)) and cells(text)[0] == "f['loss']"
    assert "im f[1]" in failure(lambda a: f(a) * 1j, x)
    assert "argument 1[0]" in failure(lambda *args: f(args[1]), x, y)


SIGN = "The gradient by a is -1 times the numeric one: the sign is wrong."
WRONG = {
    "factor": (with_gradient(np.sin, lambda g, a: 2 * g * np.cos(a)), (x,), "The gradient by a is 2 times the numeric one."),
    "factor of a number": (with_gradient(lambda a: a**3, lambda g, a: g * a**2), (2.0,), "The gradient by a is 0.3333 times the numeric one."),
    "sign": (with_gradient(np.cos, lambda g, a: g * np.sin(a)), (x,), SIGN),
    "complex factor": (with_gradient(np.exp, lambda g, a: 1j * g * np.exp(a).conj()), (z,), "The gradient by a is 0+1j times the numeric one."),
    "conjugate": (with_gradient(np.exp, lambda g, a: g * np.exp(a)), (z,), "The pullback to a multiplies by the derivative where its complex"),
    "conjugate of a real number": (with_gradient(lambda a: np.abs(a) ** 2, lambda g, a: 2 * g * a.conj()), (z,),
                                   "The gradient by a is the complex conjugate of the numeric one"),
    "exchanged": (with_gradient(np.multiply, lambda g, a, b: g * a, lambda g, a, b: g * b), (x, y), "The gradients by a and b are exchanged."),
    "the other's": (with_gradient(np.multiply, lambda g, a, b: g * a, lambda g, a, b: g * a), (x, y),
                    "What is given as the gradient by a is the gradient by b."),
    "transposed": (with_gradient(lambda a: a * square, lambda g, a: (g * square).T), (square,), "The gradient by a is the numeric one, transposed"),
    "transposed and reshaped": (with_gradient(lambda a: a.T * np.arange(6.0).reshape(3, 2) ** 2,
                                              lambda g, a: (g * np.arange(6.0).reshape(3, 2) ** 2).reshape(a.shape)), (wide,),
                                "The gradient by a is the numeric one, transposed and reshaped."),
    "other axes": (with_gradient(lambda a: a.transpose(2, 0, 1) * cube, lambda g, a: g * cube), (cube,),
                   "The gradient by a is the numeric one, with its axes in the order (2, 0, 1)."),
    "Jacobian": (with_gradient(lambda a: a @ square, lambda g, a: g @ square), (x,), "The pullback to a multiplies by the Jacobian where"),
    "summed": (with_gradient(np.sin, lambda g, a: np.full(a.shape, (g * np.cos(a)).sum(axis=0))), (wide,),
               "The gradient by a is the numeric one, summed over axis 0: the same in every place along it."),
    "averaged": (with_gradient(np.sin, lambda g, a: np.full(a.shape, (g * np.cos(a)).mean(axis=1, keepdims=True))), (wide,),
                 "The gradient by a is the numeric one, averaged over axis 1: the same in every place along it."),
    "not summed": (with_gradient(np.add, lambda g, a, b: g, lambda g, a, b: g[1]), (wide, x),
                   "The gradient by b is right for f[1, :], and 0 for all else along axis 0 of f"),
    "zero": (with_gradient(np.multiply, lambda g, a, b: g * b, lambda g, a, b: None), (x, y), "The gradient by b is 0 everywhere"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_the_message_says_what_is_wrong(name):
    f, args, sentence = WRONG[name]
    text = failure((lambda a: f(a)) if len(args) == 1 else (lambda a, b: f(a, b)), *args)
    assert sentence in text.split("\n\n")[2]
    assert len(text.split("\n\n")[2].splitlines()) == 1


def test_it_says_which_gradient_has_to_be_added_up():
    add = with_gradient(np.add, lambda g, a, b: g, lambda g, a, b: g[0])
    text = failure(lambda a, b: (add(a, b) ** 2).sum(), wide, x)
    assert "The gradient by b should be that by a, summed over axis 0: the shares of all places there." in text


def test_a_detached_argument_is_told_by_its_gradient_of_zeros():
    for f in (lambda a, b: a * b.detach(), lambda a, b: a * b.data):
        assert "The gradient by b is 0 everywhere: none flows back to it." in failure(f, x, y)


def test_several_wrong_gradients_have_a_sentence_each():
    f = with_gradient(np.multiply, lambda g, a, b: 2 * g * b, lambda g, a, b: -g * a)
    said = failure(lambda a, b: f(a, b), x, y).split("\n\n")[2].splitlines()
    assert said == ["  The gradient by a is 2 times the numeric one.", "  The gradient by b is -1 times the numeric one: the sign is wrong."]


def test_a_pattern_that_does_not_hold_beside_the_point_is_not_told():
    by_chance = with_gradient(lambda a: a**3, lambda g, a: g * a)  # 1/3 of what it should be, where a is 1
    text = failure(lambda a: by_chance(a), np.ones(3))
    assert cells(text)[-1] == "0.3333" and "times" not in text and len(text.split("\n\n")) == 2
    others = with_gradient(np.multiply, lambda g, a, b: g * a**2, lambda g, a, b: g * a)  # by a, what it should be by b, where a is 1
    assert "given as" not in failure(lambda a, b: others(a, b), np.ones(2), np.full(2, 2.0))


def test_a_gradient_without_a_pattern_has_a_table_only():
    text = failure(lambda a: with_gradient(np.sin, lambda g, a: g * np.cos(a + 0.1))(a), x)
    assert len(text.split("\n\n")) == 2


def test_large_arrays_have_diagnoses_too():
    a = np.random.default_rng(0).normal(size=(60, 60))
    f = with_gradient(np.sin, lambda g, a: (g * np.cos(a)).T)
    assert "The gradient by a is the numeric one, transposed." in failure(lambda a: f(a), a)


def test_kinks_are_named():
    at = np.array([1.0, 0.0, -1.0])
    text = failure(lambda a: gn.relu(a), at)
    assert "f[1] has a kink at a[1]: left 0, right 1, ours 0, between these: there is no derivative to compare with." in text
    wrong = with_gradient(np.abs, lambda g, a: np.where(a == 0, 5.0, np.sign(a)) * g)
    assert "f[1] has a kink at a[1]: left -1, right 1, ours 5, not between these." in failure(lambda a: wrong(a), at)


def test_derivatives_that_are_not_finite_are_named():
    f = with_gradient(lambda a: a * a, lambda g, a: g * 2 * a * np.array([1.0, np.nan, np.inf]))
    text = failure(lambda a: f(a).sum(), x)
    assert "Ours is nan for f by a[1], where the numerical derivative is -2.5." in text
    assert "Ours is inf for f by a[2], where the numerical derivative is 4." in text


def test_jumps_and_infinite_slopes_are_named():
    for f, at in ((lambda a: np.floor(a) + a, [1.0, 1.5]), (lambda a: np.cbrt(a), [0.0, 1.0])):
        text = failure(f, np.array(at))
        assert "Differences of f[0] by a[0] do not settle as the steps shrink" in text


def test_values_that_are_not_exact_enough_are_named():
    rough = with_gradient(lambda a: 1e12 + a, lambda g, a: g)
    assert "cannot be compared" in (text := failure(lambda a: rough(np.abs(a)), x)) and "is known to" in text


# ---- what cannot be checked ------------------------------------------------------------------------------------------------


def test_a_function_that_is_not_deterministic_is_refused():
    rng = np.random.default_rng(0)
    assert "f is not deterministic: two calls with the same arguments differ by" in failure(lambda a: a + rng.normal(), x)
    lengths = itertools.count(1)
    assert "their shapes, (1,) and (2,)" in failure(lambda a: a[: next(lengths)], x)


def test_a_function_that_writes_into_its_argument_is_refused():
    def doubled(a):
        a *= 2
        return a + 1

    assert "doubled writes into its argument a (a ndarray of shape (3,) and dtype float64)" in refusal(ValueError, doubled, x)

    def counted(a, count):
        count[0] += 1
        return a * 2

    assert "writes into its argument count (a ndarray of shape (1,) and dtype int64)" in refusal(ValueError, counted, x, np.zeros(1, np.int64))


def test_arguments_and_results_without_derivatives_are_refused():
    text = refusal(TypeError, lambda a, n: a, np.arange(3), 5)
    assert "f has no argument with floats" in text and "a is a ndarray of shape (3,) and dtype int64, n is 5 (int)" in text
    assert "it has none at all" in refusal(TypeError, lambda: 1.0)
    assert "argument 1 is a ndarray of shape (3,) and dtype int64" in refusal(TypeError, lambda a, b: a, x, np.arange(3), argnums=1)
    assert "argnums names argument 2" in refusal(TypeError, lambda a: a, x, argnums=2)
    assert "f returns 'a' (str), which is no array of numbers" in refusal(TypeError, lambda a: "a", x)
    assert "dtype int64, in which nothing has a derivative" in refusal(TypeError, lambda a: np.argsort(a), x)
    assert "f[1] is nan at these arguments" in refusal(ValueError, lambda a: np.log(a), x)


def test_errors_of_the_function_itself_come_through():
    with pytest.raises(ZeroDivisionError):
        check_gradients(lambda a: 1 / 0, x)
    assert "out of the graph" in refusal(gn.GraphError, lambda a: a * a[0].item(), x)


# ---- differences -----------------------------------------------------------------------------------------------------------

CURVES = {
    "exp": (np.exp, 1.0), "sin(1000 t)": (lambda t: np.sin(1 + 1000 * t), 1000 * np.cos(1)), "t**10": (lambda t: (2 + t) ** 10, 5120.0),
    "beside a kink": (lambda t: abs(t - 0.01), -1.0), "constant": (lambda t: 5.0, 0.0), "large": (lambda t: 1e10 + 3 * t, 3.0),
    "float32": (lambda t: float(np.float32(np.sin(1 + t))), np.cos(1)), "coarse": (lambda t: np.round(np.sin(1 + t), 8), np.cos(1)),
    "beside a pole": (lambda t: np.tan(1.57 + t), 1 / np.cos(1.57) ** 2),
}  # fmt: skip


@pytest.mark.parametrize("side", [0, 1, -1])
@pytest.mark.parametrize("name", CURVES)
def test_differences_know_their_error(name, side):
    f, expected = CURVES[name]
    expected = np.exp(0) if name == "exp" else expected
    curve = lambda t: np.array([f(t)])
    (found,), (error,) = slope(curve, np.maximum(noise_of(curve), 2e-16 * np.abs(curve(0.0))), side)
    assert abs(found - expected) <= 4 * error + 1e-12 * abs(expected)
    assert error <= (1e-3 if name in ("float32", "coarse", "large") else 1e-5) * max(abs(expected), 1e-4)


@pytest.mark.parametrize("f", [np.floor, np.cbrt, np.sqrt, np.sign])
def test_differences_do_not_settle_where_there_is_no_derivative(f):
    with np.errstate(invalid="ignore"):
        assert slope(lambda t: np.array([f(t)]), np.array([1e-16]))[1] == np.inf
