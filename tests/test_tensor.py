"""The contract of Tensor, in the ordinary case: what goes in, what comes out, and what the errors say.

Also `gn.graph` and `gn.grad`. Read next: test_mutation.py, test_backward.py and test_process.py, the same under hostile conditions.
"""

import copy
import pickle
import threading

import numpy as np
import pytest

import gradnerve as gn
import gradnerve.tensor
from gradnerve import Tensor


def leaf(values, dtype=None):
    return Tensor(values, requires_grad=True, dtype=dtype)


def gradient(f, *values):
    """The gradients of the sum of f's result by arguments of these values."""
    leaves = [leaf(v) for v in values]
    f(*leaves).sum().backward()
    return [t.grad for t in leaves]


def raises(error, *words):
    """The error is of this type, and its message has all of these words."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{word})" for word in words))


# ---- construction ------------------------------------------------------------------------------------------------------------


def test_one_tensor_under_two_names():
    assert gn.Tensor is gradnerve.tensor.Tensor is Tensor and type(Tensor(1.0) * 2) is Tensor


FLOATS = ["e", "f", "d", "g", "F", "D", "G"]


@pytest.mark.parametrize("char", FLOATS)
def test_a_broadcast_argument_gets_the_sum_in_every_dtype(char):
    rows, column = leaf(np.array([[1, 2, 3], [4, 5, 6]], char)), leaf(np.array([[2], [3]], char))
    (rows * column).backward(np.ones((2, 3), char))
    assert column.grad.dtype == np.dtype(char) and column.grad.tolist() == [[6], [15]]


@pytest.mark.parametrize("char", FLOATS)
def test_inexact_dtypes_are_kept(char):
    x = leaf(np.array([1.0, 2.0], char))
    y = x * 2 + 1.0
    y.backward(np.ones(2, char))
    assert x.dtype == y.dtype == x.grad.dtype == np.dtype(char) and x.grad.tolist() == [2.0, 2.0]


DTYPES = [(1.0, "f8"), ([1.0, 2], "f8"), (1, int), ([1, 2], int), (True, bool), (1j, "c16"), (np.float32(1), "f4"), (range(3), int), ([], "f8")]


@pytest.mark.parametrize("data, dtype", DTYPES, ids=repr)
def test_dtype_of_data(data, dtype):
    assert Tensor(data).dtype == dtype and not Tensor(data).requires_grad


@pytest.mark.parametrize("data", [[1, 2, 3], 3, True, [True, False], np.arange(3, dtype="i1"), np.arange(3, dtype="u8")], ids=repr)
def test_requires_grad_makes_floats(data):
    x = leaf(data)
    (0.5 * x).sum().backward()
    assert x.dtype == np.float64 and (x.grad == 0.5).all()


def test_dtype_argument():
    assert Tensor([1, 2], dtype="f4").dtype == np.float32 and leaf([1, 2], "f4").dtype == np.float32 and leaf([1, 2], int).dtype == np.float64


def test_byte_order_becomes_native():
    x = leaf(np.array([1.0, 2.0], ">f8"))
    assert x.dtype.isnative and x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "data, dtype",
    [("a", "U1"), (["a", "b"], "U1"), ([None], "object"), (10**30, "object"), (object(), "object"), ({"a": 1}, "object")]
    + [(np.zeros(2, "i4,f8"), "f0")]
    + [(np.array(["2020-01-01"], "M8[D]"), "datetime64"), (np.zeros(2, "m8[s]"), "timedelta64"), (b"ab", "S2"), (lambda: 0, "object")],
    ids=lambda v: str(v)[:24],
)
def test_data_without_gradient(data, dtype):
    for requires_grad in True, False:
        with raises(TypeError, "Tensor", dtype):
            Tensor(data, requires_grad=requires_grad)


def test_ragged_list():
    with raises(ValueError, "inhomogeneous"):
        Tensor([[1.0, 2.0], [3.0]])


def test_masked_array():
    with raises(TypeError, "mask", "filled"):
        Tensor(np.ma.masked_array([1.0, 2.0], [True, False]))
    with raises(TypeError, "mask"):
        leaf([1.0, 2.0]) * np.ma.masked_array([1.0, 2.0], [True, False])


def test_list_of_tensors():
    with raises(TypeError, "stack"):
        Tensor([leaf(1.0), leaf(2.0)])


def test_tensor_copies_asarray_does_not():
    a = np.zeros(2)
    copied, wrapped = Tensor(a), gn.asarray(a)
    a[0] = 1
    assert copied.data.tolist() == [0.0, 0.0] and wrapped.data is a and gn.asarray(wrapped) is wrapped
    assert Tensor(wrapped).data is not a and gn.asarray([1, 2]).dtype == int and gn.asarray(a, "f4").dtype == np.float32


def test_tensor_of_a_tracked_tensor_is_a_new_leaf():
    x = leaf([1.0, 2.0])
    y = leaf(x * 2)
    (y * y).sum().backward()
    assert y.is_leaf and y.grad.tolist() == [4.0, 8.0] and x.grad.tolist() == [0.0, 0.0]


# ---- data and gradient -------------------------------------------------------------------------------------------------------


def test_data_is_an_array_to_write_to():
    x = leaf([1.0, 2.0])
    x.data[0] = 5
    x.data -= 1
    assert type(x.data) is np.ndarray and x.data is x.data and x.data.tolist() == [4.0, 1.0] and x.requires_grad


def test_data_of_another_array():
    x, a = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    x.data = a
    assert x.data is a
    x.data = [5, 6]
    assert x.data.tolist() == [5.0, 6.0] and x.dtype == np.float64
    x.data = Tensor([7.0, 8.0])
    assert x.data.tolist() == [7.0, 8.0] and type(x.data) is np.ndarray


def test_data_that_does_not_fit():
    x = leaf([1.0, 2.0])
    for shape in (3,), (), (1,), (2, 1):
        with raises(gn.ShapeError, r"\(2,\)", str(shape).replace("(", r"\(").replace(")", r"\)")):
            x.data = np.ones(shape)
    for data, dtype in ([1j, 2j], "complex128"), (["a", "b"], "U1"), ([None, None], "object"):
        with raises(TypeError, dtype, "float64"):
            x.data = data
    assert x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("char", FLOATS)
def test_grad_before_backward_is_zeros(char):
    x = leaf(np.ones((2, 3), char))
    assert type(x.grad) is np.ndarray and x.grad.shape == (2, 3) and x.grad.dtype == np.dtype(char) and not x.grad.any()
    assert x.grad is x.grad


def test_grad_without_requires_grad():
    x = Tensor([1.0])
    assert x.grad is None
    x.grad = None
    with raises(gn.GraphError, "requires_grad=True"):
        x.grad = np.ones(1)


def test_grad_can_be_assigned():
    x, a = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    x.grad = a
    a[0] = 9
    assert x.grad.tolist() == [3.0, 4.0]
    (x * 1).sum().backward()
    assert x.grad.tolist() == [4.0, 5.0]
    for reset in 0, 0.0, None, np.zeros(2):
        x.grad = [1.0, 1.0]
        x.grad = reset
        assert x.grad.tolist() == [0.0, 0.0]
    x.grad += 2
    x.grad[0] *= 3
    assert x.grad.tolist() == [6.0, 2.0]
    x.zero_grad()
    assert x.grad.tolist() == [0.0, 0.0]
    x.grad = Tensor([1, 2])
    assert x.grad.tolist() == [1.0, 2.0] and x.grad.dtype == float


@pytest.mark.parametrize("wrong", [1.0, "a", np.array([1j, 1j]), [None, None], [True], "zero"], ids=repr)
def test_grad_that_does_not_fit(wrong):
    x = leaf([1.0, 2.0])
    with raises((gn.ShapeError, TypeError), "grad"):
        x.grad = wrong
    assert x.grad.tolist() == [0.0, 0.0]


def test_grad_has_the_dtype_of_its_tensor():
    x, y = leaf([1.0, 2.0], "f4"), leaf([1.0, 2.0], "f8")
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_intermediates_keep_their_gradient():
    x = leaf([1.0, 2.0])
    h = x * x
    y = (h * 3).sum()
    y.backward()
    assert h.grad.tolist() == [3.0, 3.0] and y.grad.tolist() == 1.0 and y.grad.shape == ()


def test_independent_leaf_keeps_zeros():
    x, w = leaf(1.0), leaf([1.0, 2.0])
    (x * 2).backward()
    assert w.grad.tolist() == [0.0, 0.0]


def test_requires_grad():
    x = Tensor([1.0])
    assert x.requires_grad_() is x and x.requires_grad and x.is_leaf
    assert not x.requires_grad_(False).requires_grad and x.grad is None
    y = leaf([1.0]) * 2
    with raises(gn.GraphError, "detach"):
        y.requires_grad = False
    with raises(TypeError, "int64", "astype"):
        Tensor([1, 2]).requires_grad_()


def test_detach():
    x = leaf([1.0, 2.0])
    y = x * x.detach()
    y.sum().backward()
    d = (x * 2).detach()
    assert x.grad.tolist() == [1.0, 2.0] and not d.requires_grad and d.is_leaf and d._prev == set() and d.data.tolist() == [2.0, 4.0]


def test_backward_with_a_seed():
    x = leaf([1.0, 2.0])
    y = x * x
    y.backward([1.0, 10.0], retain_graph=True)
    y.backward(Tensor([1, 10]), retain_graph=True)
    y.backward(gradient=np.array([1.0, 10.0], "f4"))
    assert x.grad.tolist() == [6.0, 120.0] and y.grad.tolist() == [3.0, 30.0]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_backward_of_one_element(shape):
    x = leaf(np.full(shape, 3.0))
    (x * x).backward()
    assert x.grad.shape == shape and x.grad.item() == 6


def test_backward_on_a_leaf():
    x = leaf(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2


def test_graph_stays_after_backward():
    x = leaf(2.0)
    y = x * x
    y.backward()
    assert y._prev == {x} and "(released)" in str(gn.graph(y)) and y.requires_grad


# ---- _prev and _backward -----------------------------------------------------------------------------------------------------


def test_prev_is_the_callers_objects():
    x, w, c = leaf(2.0), leaf(3.0), Tensor(4.0)
    y = x * w
    z = y * c + y
    assert y._prev == {x, w} and x._prev == set() and Tensor(1.0)._prev == set()
    products = [t for t in z._prev if t is not y]
    assert y in z._prev and len(products) == 1 and products[0]._prev == {y} and (x * x)._prev == {x}


def test_prev_shows_values_of_dropped_intermediates():
    x = leaf([1.0, 2.0])
    y = np.exp(x * 3)
    (product,) = y._prev
    assert product.data.tolist() == [3.0, 6.0] and product._prev == {x} and y._prev == {product}


def test_a_value_that_nobody_kept_cannot_be_used():
    (dropped,) = (leaf(np.ones(1000)) + 1 + 2)._prev
    for use in (lambda: dropped.data, lambda: dropped * 2, lambda: np.exp(dropped)):
        with raises(gn.GraphError, "was not kept"):
            use()


def by_tutorial(result, seed=1.0):
    """Backpropagation as tutorials write it."""
    order, seen = [], set()

    def visit(t):
        if t not in seen:
            seen.add(t)
            for parent in t._prev:
                visit(parent)
            order.append(t)

    visit(result)
    result.grad = np.broadcast_to(seed, result.shape)
    for t in reversed(order):
        t._backward()


EXPRESSIONS = """
x * w
x * x + w
x - x
(x @ w).sum() * x
np.exp(x) / (1 + w * w)
np.concatenate([x, w, x]).sum() ** 2
np.maximum(x, w) * x[0]
np.tanh(x).sum() * x.sum()
np.where(x > w, x, w * w)
np.stack([x, w]).mean(axis=0)
""".strip().splitlines()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_tutorial_loop_gives_what_backward_gives(expression):
    for X, W in ([0.5, -1.0], [2.0, 0.25]), ([1.0], [3.0]):
        found = []
        for differentiate in (lambda y: y.backward(np.ones(y.shape))), by_tutorial:
            x, w = leaf(X), leaf(W)
            differentiate(eval(expression, {"np": np, "x": x, "w": w}))
            found.append(np.concatenate([x.grad, w.grad]))
        assert np.allclose(*found, rtol=1e-15, atol=0)


def test_tutorial_loop_on_scalars():
    x = leaf(3.0)
    y = x * x + x
    by_tutorial(y * y)
    assert type(x.grad) is np.ndarray and x.grad.shape == () and x.grad == 2 * 12 * 7


def test_tutorial_loop_after_backward():
    x = leaf([1.0, 2.0])
    y = np.exp(x)
    y.sum().backward()
    with raises(gn.GraphError, "exp was already swept", "retain_graph"):
        y._backward()
    assert x.grad.tolist() == np.exp([1.0, 2.0]).tolist()


def test_backward_of_a_leaf_does_nothing():
    x = leaf(1.0)
    x._backward()
    Tensor(1.0)._backward()
    assert x.grad == 0


def hand_made(a, b):
    """a * b, as a reader of the specification adds an operation."""
    out = Tensor(a.data * b.data, _prev=(a, b))

    def backward():
        a.grad += out.grad * b.data
        b.grad += out.grad * a.data

    out._backward = backward
    return out


def test_hand_made_child():
    a, b = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    a.grad = [100.0, 100.0]
    out = hand_made(a, b)
    assert out._prev == {a, b} and out.requires_grad and not out.is_leaf
    (hand_made(out, a) * 1).sum().backward()
    assert a.grad.tolist() == [100 + 2 * 2 * 5.0, 100 + 2 * 3 * 7.0] and b.grad.tolist() == [4.0, 9.0]


def test_hand_made_child_of_one_tensor_twice():
    a = leaf([2.0, 3.0])
    hand_made(a, a).sum().backward()
    assert a.grad.tolist() == [4.0, 6.0]


def test_hand_made_child_with_assigned_gradients():
    """`a.grad = a.grad + ...` is as good as `+=`."""
    a = leaf([2.0, 3.0])
    out = Tensor(a.data**2, _prev=(a,))

    def backward():
        a.grad = a.grad + out.grad * 2 * a.data

    out._backward = backward
    (out + a).sum().backward()
    assert a.grad.tolist() == [5.0, 7.0]


def test_hand_made_child_in_the_tutorial_loop():
    a, b = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    by_tutorial((hand_made(a, b) * 3).sum())
    assert a.grad.tolist() == [15.0, 21.0] and b.grad.tolist() == [6.0, 9.0]


def test_hand_made_child_of_constants_is_untracked():
    assert not Tensor(1.0, _prev=(Tensor(2.0),)).requires_grad
    with gn.no_grad():
        assert not Tensor(1.0, _prev=(leaf(2.0),)).requires_grad


def test_hand_made_errors():
    a = leaf(2.0)
    with raises(gn.GraphError, "_backward"):
        Tensor(4.0, _prev=(a,)).backward()
    with raises(gn.GraphError, "leaf"):
        a._backward = lambda: None
    with pytest.raises(TypeError):
        Tensor(4.0, _prev=(np.ones(2),))


def test_backward_can_be_replaced():
    """Another derivative for a result that is there: a gradient that is reversed on its way."""
    x = leaf([1.0, 2.0])
    y = x * 1

    def backward():
        x.grad += -10 * y.grad

    y._backward = backward
    (y * y).sum().backward()
    assert x.grad.tolist() == [-20.0, -40.0]


# ---- operators ---------------------------------------------------------------------------------------------------------------

OPERATORS = ["+", "-", "*", "/", "//", "%", "**"]
OTHERS = [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.array(2.0), np.array([2.0, 3.0]), np.array([2, 3]), [2.0, 3.0], (2, 3), True, 2 + 0j]


@pytest.mark.parametrize("other", OTHERS, ids=lambda o: f"{type(o).__name__} {o}")
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_on_both_sides(operator, other):
    """The value and dtype that ndarray has, on either side of a float64 and a float32 tensor; a Tensor that is tracked."""
    for dtype in "f8", "f4":
        x = leaf([0.5, 3.0], dtype)
        for expression in f"x {operator} o", f"o {operator} x":
            try:
                value = eval(expression, {"x": x.data, "o": other})
            except TypeError:
                continue
            y = eval(expression, {"x": x, "o": other})
            assert type(y) is Tensor and y.requires_grad and y.dtype == value.dtype and y.data.tobytes() == value.tobytes(), expression


@pytest.mark.parametrize("other", OTHERS[:-1], ids=lambda o: f"{type(o).__name__} {o}")
def test_gradients_on_both_sides(other):
    x = leaf([0.5, 3.0])
    o = np.asarray(other, float)
    (x - other + (other - x) * 3 + x * other + other / x + other**x + x**other).sum().backward()
    expected = -2 + o - o / x.data**2 + o**x.data * np.log(o) + o * x.data ** (o - 1)
    assert np.allclose(x.grad, expected, rtol=1e-14)


def test_matmul_on_both_sides():
    x, a = leaf(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(3, 2) + 1
    for y, value in (x @ a, x.data @ a), (a @ x, a @ x.data), (x @ a.tolist(), x.data @ a), (x @ Tensor(a), x.data @ a):
        assert type(y) is Tensor and y.requires_grad and np.array_equal(y.data, value)
    (a @ x).sum().backward()
    assert np.array_equal(x.grad, a.T @ np.ones((3, 3)))


def test_unary_operators():
    x = leaf([-2.0, 3.0])
    (-x * 2 + +x + abs(x) * 10).sum().backward()
    assert x.grad.tolist() == [-11.0, 9.0] and round(x * 1.26, 1).data.tolist() == [-2.5, 3.8]
    quotient, rest = divmod(x, 2)
    assert quotient.data.tolist() == [-1.0, 1.0] and rest.data.tolist() == [0.0, 1.0]


def test_divmod_on_both_sides():
    for ours, (quotient, rest) in [(divmod(leaf(7.5), 2), divmod(7.5, 2)), (divmod(7.5, leaf(2.0)), divmod(7.5, 2.0))]:
        assert ours[0] == quotient and ours[1] == rest
    x = leaf(2.0)
    divmod(7.5, x)[1].backward()
    assert x.grad == -3.0  # 7.5 - 3 x


def test_builtin_sum():
    x = leaf([1.0, 2.0])
    y = sum([x, x * x])
    y.sum().backward()
    assert type(y) is Tensor and x.grad.tolist() == [3.0, 5.0] and sum(x).requires_grad


def test_numpy_scalar_on_the_left():
    x = leaf([1.0, 2.0])
    for y in np.float64(2) * x, np.float32(2) * x, np.array(2.0) * x, np.array([2.0, 2.0]) * x, np.multiply(2, x):
        assert type(y) is Tensor and y.requires_grad and y.data.tolist() == [2.0, 4.0] and y.dtype == np.float64


def test_comparisons():
    x, y = leaf([1.0, 2.0]), Tensor([2.0, 2.0])
    for c in x < y, y > x, x <= 1, x <= 1, x != 2, np.less(x, 2), ~(x == 2), x.data < y:
        assert type(c) is Tensor and c.dtype == bool and not c.requires_grad and c.data.tolist() == [True, False]
    assert (x == y).data.tolist() == [False, True] and (x == [1.0, 2.0]).all()


@pytest.mark.parametrize("number", [2**53, 2**53 + 1, -(2**60), 2**64, 10**30], ids=repr)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_large_python_integers(number, dtype):
    values = np.array([1.5, -3.0], dtype)
    x = leaf(values)
    y = (x * number + number) / number
    y.sum().backward()
    assert y.dtype == dtype and np.array_equal(y, (values * number + number) / number) and np.allclose(x.grad, [1.0, 1.0], rtol=1e-6)


def test_python_scalars_are_weak():
    x = leaf([1.0, 2.0], "f4")
    for y in x * 2, x * 0.1, 0.1 * x, x**2, x**0.5, 2**x, x + True, np.maximum(x, 0.0), np.where(x > 1, x, 0.0), x / 3, x.mean() * 2.5:
        assert y.dtype == np.float32, y
    assert (x * np.float64(2)).dtype == (x.data * np.float64(2)).dtype


@pytest.mark.parametrize("other", ["a", None, {}, object(), "ab", b"a", [None], ["a", "b"]], ids=repr)
def test_operands_that_are_no_numbers(other):
    x = leaf([1.0, 2.0])
    for operator in "+", "*", "@", "**", "<":
        for expression in f"x {operator} o", f"o {operator} x":
            with pytest.raises((TypeError, ValueError) if operator == "@" else TypeError):  # as NumPy: for matmul, None has too few dimensions
                eval(expression, {"x": x, "o": other})


def test_a_list_in_itself_and_a_very_deep_one():
    itself, deep = [], leaf(1.0)
    itself.append(itself)
    for _ in range(70):  # deeper than NumPy looks
        deep = [deep]
    for data in itself, deep:
        with pytest.raises(ValueError, match="maximum number of dimension"):
            leaf([1.0]) + data


def test_other_classes_have_their_turn():
    class Other:
        __array_ufunc__ = None

        def __rmul__(self, other):
            return "theirs"

        __radd__ = __rmatmul__ = __rmul__

    x = leaf([1.0])
    assert x * Other() == x + Other() == x @ Other() == "theirs"


# ---- in place ----------------------------------------------------------------------------------------------------------------


def test_in_place_is_a_new_value():
    x = leaf([1.0, 2.0])
    h = x * 1
    same, old = h, h * h
    h += x
    h *= 3
    h -= 1.0
    h /= 2
    h **= 2
    assert same is h and h.data.tolist() == [6.25, 30.25] and h._prev
    old.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [2.0, 4.0]
    x.zero_grad()
    h.sum().backward()
    assert x.grad.tolist() == [15.0, 33.0]


def test_in_place_matmul():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    h = x * 1
    h @= np.array([[0.0, 1.0], [1.0, 0.0]])
    (h * [[1.0, 10.0], [100.0, 1000.0]]).sum().backward()
    assert h.data.tolist() == [[2.0, 1.0], [4.0, 3.0]] and x.grad.tolist() == [[10.0, 1.0], [1000.0, 100.0]]


def test_in_place_without_tracking():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    data = t.data
    t += 1
    t *= Tensor(2.0)
    t @= np.eye(2)
    t //= 1
    t %= 100
    t[0] = 7
    np.add(t, 1, out=t)
    assert t.data is data and data.tolist() == [[8.0, 8.0], [9.0, 11.0]] and not t.requires_grad


def test_in_place_tracked_onto_untracked():
    w, t = leaf([2.0, 3.0]), Tensor([1.0, 1.0])
    t *= w
    t += w
    t.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0] and t.requires_grad


def test_out_is_a_new_value():
    x = leaf([1.0, 2.0])
    h = x * 1
    old = h * h
    assert np.multiply(h, 5, out=h) is h and np.add(x, x, out=(h,)) is h
    (h + old).sum().backward()
    assert h.data.tolist() == [2.0, 4.0] and x.grad.tolist() == [4.0, 6.0]


def test_out_of_a_function():
    x, total, buffer = leaf([1.0, 2.0]), Tensor(0.0), np.zeros(())
    assert np.sum(x, out=total) is total and np.sum(x, 0, None, total) is total
    total.backward()
    assert total.data == 3 and x.grad.tolist() == [1.0, 1.0]
    with raises(TypeError, "sum: out is an ndarray", "gradient"):
        np.sum(x, out=buffer)
    assert buffer == 0


IN_PLACE = ["x += 1", "x -= 1", "x *= 2", "x /= 2", "x **= 2", "x //= 2", "x %= 2", "x[0] = 1", "x[:] = x", "np.add(x, 1, out=x)", "x[0] += 1"]


@pytest.mark.parametrize("statement", IN_PLACE)
def test_in_place_on_a_leaf(statement):
    x = leaf([1.0, 2.0])
    with raises(gn.GraphError, "no_grad", r"q = |\.data"):
        exec(statement, {"x": x, "np": np})
    assert x.data.tolist() == [1.0, 2.0]
    with gn.no_grad():
        exec(statement, {"x": x, "np": np})
    assert x.requires_grad and x.is_leaf
    (x * x).sum().backward()
    assert np.array_equal(x.grad, 2 * x.data)


def test_in_place_that_does_not_fit():
    h = leaf([1.0, 2.0]) * 1
    with raises(gn.ShapeError, r"\(2,\)"):
        h += np.ones((3, 2))
    with raises(TypeError, "complex128"):
        h *= 1j
    with raises(TypeError, "float64"):
        np.multiply(h, 1j, out=h)
    with raises(gn.ShapeError, r"\(3, 2\)", r"\(2,\)"):
        np.add(h, np.ones((3, 2)), out=h)
    with pytest.raises(TypeError):
        h += "a"
    i = Tensor([1, 2])
    with pytest.raises(TypeError):
        i += leaf([0.5, 0.5])
    assert h.data.tolist() == [1.0, 2.0] and h.requires_grad and i.data.tolist() == [1, 2]


def test_float32_in_place_stays_float32():
    h = leaf([1.0, 2.0], "f4") * 1
    h += np.ones(2)
    assert h.dtype == np.float32 and h.requires_grad


SETITEM = [0, -1, slice(0, 2), slice(None, None, -2), ..., [0, 2], [2, 2, 0], np.array([True, False, True]), None, (0,), (slice(None),)]


@pytest.mark.parametrize("index", SETITEM, ids=str)
def test_setitem(index):
    """Where the value was written it has the gradient, elsewhere what was there before; a place written twice is its last writer's."""
    x, seed = leaf([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0])
    h, plain = x * 2, x.data * 2
    w = leaf(50.0 + np.arange(np.size(plain[index])).reshape(np.shape(plain[index])))
    h[index] = w
    plain[index] = w.data
    h.backward(seed)
    assert np.array_equal(h.data, plain) and np.array_equal(x.grad, np.where(plain < 50, 2 * seed, 0))
    assert w.grad.ravel().tolist() == [seed[plain == v].sum() for v in w.data.ravel()]


def test_a_gather_from_more_axes_than_ufunc_at_can_take():
    x = leaf(np.ones((1,) * 32 + (2,)))
    (x[..., [0, 0, 1]] * [1.0, 2.0, 4.0]).sum().backward()
    assert x.grad.shape == x.shape and x.grad.ravel().tolist() == [3.0, 4.0]


def test_setitem_augmented():
    x = leaf([1.0, 2.0, 3.0])
    h = x * 1
    h[0] *= 5
    h[1:] += x[0]
    h.sum().backward()
    assert h.data.tolist() == [5.0, 3.0, 4.0] and x.grad.tolist() == [7.0, 1.0, 1.0]


def test_setitem_broadcasts():
    w, h = leaf(2.0), Tensor(np.zeros((2, 3)))
    h[:, 1:] = w
    assert h.data.tolist() == [[0.0, 2.0, 2.0]] * 2
    h.sum().backward()
    assert w.grad == 4


def test_setitem_errors():
    h = leaf([1.0, 2.0, 3.0]) * 1
    for index in 3, -4, [0, 3], 0.5, "a", np.array([True, False]), (0, 0):
        with pytest.raises((IndexError, TypeError)):
            h[index] = 1
        with pytest.raises((IndexError, TypeError)):
            h[index]
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        h[:2] = np.ones(3)
    assert h.data.tolist() == [1.0, 2.0, 3.0]


def test_ndarray_takes_no_tensor_in_place():
    a, t = np.ones(2), leaf([2.0, 3.0])
    for statement in "a *= t", "a += t", "a @= t", "np.multiply(a, t, out=a)":
        with raises(TypeError, "ndarray", "a = a"):
            exec(statement, {"a": a, "t": t, "np": np})
    assert a.tolist() == [1.0, 1.0]


STORES = ["a[0] = t[0]", "a[:] = t", "a[...] = t", "a[[0, 1]] = t", "a[0] = t[:1].sum()", "a.flat[0] = t[0]", "a[0] = t[:1]", "a[:] = [t[0], t[1]]"]


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "i8"])
@pytest.mark.parametrize("statement", STORES)
def test_ndarray_stores_no_tracked_tensor(statement, dtype):
    """NumPy may put an error of its own on top of ours, which then is its cause; `flat` drops ours."""
    a, t = np.ones(2, dtype), leaf([2.0, 3.0])
    with pytest.raises((TypeError, ValueError)) as raised:
        exec(statement, {"a": a, "t": t})
    if "flat" not in statement:
        with raises(TypeError, "gradient", r"\.data"):
            raise raised.value.__cause__ or raised.value
    assert a.tolist() == [1, 1]


def test_ndarray_stores_untracked_tensors():
    a = np.ones(2)
    a[0] = Tensor(5.0)
    a[1:] = leaf([6.0]).detach()
    with gn.no_grad():
        a[0] = leaf(7.0)
    assert a.tolist() == [7.0, 6.0]
    a[:] = leaf([1.0, 2.0]).data
    kept = {}
    kept[0], kept["array"] = float(leaf(2.0)), np.asarray(leaf([1.0]))
    assert a.tolist() == [1.0, 2.0] and kept == {0: 2.0, "array": [1.0]}


# ---- protocols ---------------------------------------------------------------------------------------------------------------


def test_asarray_gives_the_data():
    x = leaf([1.0, 2.0])
    assert np.asarray(x) is x.data and np.asarray(x, dtype="f4").dtype == np.float32 and np.array(x) is not x.data
    assert type(np.asarray(x * 2)) is np.ndarray
    with pytest.raises(ValueError):
        np.array(x, dtype="f4", copy=False)


def test_hash_by_identity():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    names = {x: "x", y: "y"}
    assert names[x] == "x" and names[y] == "y" and len({x, y, x}) == 2 and hash(x) == hash(x)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["copy", "deepcopy", "pickle"])
def test_copy_and_pickle(again):
    """A leaf comes back as a leaf of its own; a result would lose its graph, and says so."""
    for t in leaf([1.0, 2.0], "f4"), Tensor([1, 2]):
        made = again(t)
        assert type(made) is Tensor and made.requires_grad == t.requires_grad and made.is_leaf and made.dtype == t.dtype
        assert made.data.tolist() == [1, 2] and not np.shares_memory(made.data, t.data)
    with raises(TypeError, "pickled or copied", "detach"):
        again(leaf([1.0]) * 2)


def test_len_iteration_and_in():
    x = leaf([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = list(x)
    assert len(x) == len(rows) == 3 and all(type(r) is Tensor and r.requires_grad for r in rows)
    sum(k * r.sum() for k, r in enumerate(rows)).backward()
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    assert 3.0 in x and 7 not in x and x[0] in x and np.float64(6) in x
    _, b, c = x
    assert b.data.tolist() == [3.0, 4.0] and [v.item() for v in reversed(c)] == [6.0, 5.0]
    for use in (len, list, iter):
        with pytest.raises(TypeError):
            use(leaf(1.0))


def test_repr():
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.], dtype=float64)"
    assert repr(leaf(1.5, "f4")) == "Tensor(1.5, dtype=float32, requires_grad=True)"
    assert repr(leaf([1.0]) * 2) == "Tensor([2.], dtype=float64, requires_grad=True, made by multiply)"
    assert "made by sum" in repr(leaf([1.0]).sum()) and "made by" not in repr(Tensor([1.0]) * 2)
    assert repr(leaf(np.ones((2, 2)))) == "Tensor([[1., 1.],\n        [1., 1.]], dtype=float64, requires_grad=True)"
    assert str(leaf([1.0, 2.0])) == "[1. 2.]" and f"{leaf([1.0, 2.0])}" == "[1. 2.]" and len(repr(Tensor(np.zeros(10**6)))) < 200
    assert repr(Tensor(np.zeros((0, 3)))).startswith("Tensor([]")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1)])
def test_numbers_of_one_element(shape):
    x = leaf(np.full(shape, 2.75))
    assert (float(x), int(x), x.item(), complex(x), f"{x:.1f}", f"{x:8.3e}") == (2.75, 2, 2.75, 2.75 + 0j, "2.8", "2.750e+00")
    assert bool(x) and not x - 2.75 and f"{x:.2f}" == "2.75" and type(x.item()) is float


def test_numbers_of_more_elements():
    x = leaf([1.0, 2.0])
    for use in float, int, complex, lambda t: f"{t:.2f}":
        with raises(TypeError, r"\(2,\)", "size 1"):
            use(x)
    for use in bool, Tensor.item:
        with pytest.raises(ValueError):
            use(x)
    assert x.item(1) == 2 and x.tolist() == [1.0, 2.0] and f"{Tensor(3)}" == "3" and f"{Tensor([7]):03d}" == "007"


def test_index():
    assert [10, 20, 30][Tensor(1)] == 20 and list(range(Tensor(2))) == [0, 1]
    with pytest.raises(TypeError):
        [10, 20][leaf(1.0)]


def test_array_attributes():
    x = leaf(np.arange(6.0, dtype="f4").reshape(2, 3))
    a = x.data
    for name in "shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides":
        assert getattr(x, name) == getattr(a, name), name
    assert np.array_equal(x.T.data, a.T) and np.array_equal(x.mT.data, a.mT) and x.flags.c_contiguous and x.numpy() is x.data
    assert np.array_equal(x.real.data, a) and not x.imag.data.any() and [v.item() for v in x.flat] == a.ravel().tolist()
    assert np.shape(x) == (2, 3) and np.ndim(x) == 2 and np.size(x) == 6 and x.tobytes() == a.tobytes()


METHODS = """
t.sum(); t.sum(0); t.sum(axis=1, keepdims=True); t.mean(1); t.prod(); t.max(axis=0); t.min(); t.var(); t.std(0); t.var(axis=1, ddof=1)
t.cumsum(1); t.reshape(3, 2); t.reshape((3, 2)); t.reshape(-1); t.reshape(3, -1, order="F"); t.transpose(); t.transpose(1, 0); t.transpose((1, 0))
t.ravel(); t.flatten(); t.squeeze(); t.swapaxes(0, 1); t.clip(1, 3); t.clip(max=2); t.round(); t.dot([1.0, 2.0, 3.0]); t.astype("f4"); t.copy()
t.conj(); t.T.ravel("F"); t[1]; t[:, 1]; t[..., None]; t[1, 2]; t[[0, 1], [2, 0]]; t[t > 2]; t.any(); t.all(axis=0)
t.argmax(); t.argmin(1); t.argsort(); t.nonzero(); t.sum(axis=(0, 1)); t.mean(keepdims=True); t.max(axis=1, keepdims=True); t.sum(dtype="f4")
"""


@pytest.mark.parametrize("call", [c.strip() for line in METHODS.strip().splitlines() for c in line.split(";")])
def test_methods_mean_what_numpy_means(call):
    a = np.array([[0.4, 1.5, 2.5], [3.25, 0.0, 2.0]])
    ours, theirs = eval(call, {"t": leaf(a)}), eval(call, {"t": a})
    for o, t in zip(ours, theirs, strict=True) if isinstance(theirs, tuple) else [(ours, theirs)]:
        assert np.asarray(o).tobytes() == np.asarray(t).tobytes() and np.shape(o) == np.shape(t) and np.asarray(o).dtype == np.asarray(t).dtype
        assert (isinstance(o, Tensor) and o.requires_grad) or np.asarray(t).dtype.kind in "bi"


def test_astype_and_copy_pass_gradients():
    x = leaf([1.0, 2.0])
    (x.astype("f4") * 3).sum().backward()
    (x.copy() * 4).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0] and x.grad.dtype == np.float64 and x.astype(int).dtype == int and not x.astype(int).requires_grad


def test_numpy_is_the_namespace():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    calls = "sin(t); sum(t, axis=0); concatenate([t, t]); where(t > 2, t, 0); transpose(t); matmul(t, t); max(t); stack([t, t]); dot(t, t)"
    for call in calls.split("; "):
        ours = eval("np." + call, {"np": np, "t": x})
        same = eval("gn." + call, {"gn": gn, "t": x})
        value = eval("np." + call, {"np": np, "t": x.data})
        assert type(ours) is type(same) is Tensor and ours.requires_grad and np.array_equal(ours.data, value) and np.array_equal(same.data, value)
        plain = eval("gn." + call, {"gn": gn, "t": x.data})
        assert not isinstance(plain, Tensor) and type(plain) is type(value)


def test_numpys_positional_arguments():
    """NumPy's functions have `out` among their parameters, ours have not."""
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    for call in "sum(t, 0, None, None, True)", "max(t, 0, None, True)", "prod(t, 1, None, None, True)", "mean(t, 0, None, None, True)":
        ours, value = (eval("np." + call, {"np": np, "t": t}) for t in (x, x.data))
        assert ours.requires_grad and ours.shape == value.shape and np.array_equal(ours.data, value)


def test_functions_of_ours_write_into_out_of_arrays():
    a, out = np.array([[1.0, 2.0], [3.0, 6.0]]), np.zeros(2)
    assert gn.mean(a, axis=0, out=out) is out and out.tolist() == [2.0, 4.0]
    assert gn.sum(a, axis=0, out=out) is out and out.tolist() == [4.0, 8.0]
    assert gn.einsum("ij->i", a, out=out) is out and out.tolist() == [3.0, 9.0]


def test_ufuncs_of_ours_take_numpys_keywords():
    x = leaf([0.5, 1.5])
    y = gn.exp(x, dtype="f4")
    y.sum().backward()
    assert y.dtype == "f4" and np.allclose(x.grad, np.exp([0.5, 1.5]), rtol=1e-6)
    assert np.array_equal(gn.add(x, 1.0, where=np.array([True, False]), out=Tensor([7.0, 8.0])), [1.5, 8.0])


def test_functions_without_gradient():
    x = leaf([1.0, 2.0])
    assert np.argmax(x) == 1 and np.allclose(x, [1.0, 2.0]) and np.array_equal(x, x.data)
    assert np.isfinite(x).all() and np.sign(x).data.tolist() == [1.0, 1.0]
    assert np.zeros_like(x).tolist() == [0.0, 0.0] and np.isnan(x).data.tolist() == [False, False] and np.result_type(x, np.float32) == np.float64


def test_what_is_out_of_scope_says_so_when_called():
    x = leaf([1.0, 2.0])
    for call, why in [("np.save('x', x)", "files"), ("np.is_busday(x)", "dates"), ("np.savez('x', x)", "files")]:
        with raises(TypeError, call.split("(")[0], why):
            eval(call, {"np": np, "x": x})


@pytest.mark.parametrize("name", ["np.spacing", "special.wofz"])
def test_ufunc_without_a_derivative(name):
    """Also one of another library: it raises for a tracked tensor, and gives the value of any other."""
    special = pytest.importorskip("scipy.special") if name.startswith("special") else None
    function, x = eval(name, {"np": np, "special": special}), leaf([1.0, 2.0])
    inputs = [x] * function.nin
    with raises(TypeError, name.split(".")[1], "no derivative", r"\.data"):
        function(*inputs)
    with gn.no_grad():
        assert np.array_equal(function(*inputs).data, function(*[x.data] * function.nin))


def test_errstate_is_obeyed():
    x = leaf([0.0, 1.0])
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        1 / x
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        np.log(x - 2)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y = 1 / x
    with np.errstate(all="ignore"):
        y.sum().backward()
    assert x.grad.tolist() == [-np.inf, -1.0]


# ---- modes of recording ------------------------------------------------------------------------------------------------------


def test_modes_as_decorators():
    x = leaf(1.0)

    @gn.no_grad()
    def untracked():
        """Its text."""
        return x * 2, tracked()

    @gn.enable_grad()
    def tracked():
        return x * 2

    for _ in range(2):
        off, on = untracked()
        assert not off.requires_grad and on.requires_grad and (x * 2).requires_grad
    assert untracked.__name__ == "untracked" and untracked.__doc__ == "Its text."


def test_modes_are_reusable_and_nest():
    x, mode = leaf(1.0), gn.no_grad()
    with mode, mode, gn.enable_grad(), mode:
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_a_mode_is_left_as_often_as_entered_and_holds_64_blocks():
    x, mode = leaf(1.0), gn.no_grad()
    with raises(gn.GraphError, "without having been entered"):
        mode.__exit__(None, None, None)
    for _ in range(64):
        mode.__enter__()
    with raises(gn.GraphError, "entered 64 times"):
        mode.__enter__()
    assert not (x * 2).requires_grad
    for _ in range(64):
        mode.__exit__(None, None, None)
    assert (x * 2).requires_grad


def test_modes_in_a_recursive_decorated_function():
    @gn.no_grad()
    def down(n):
        return leaf(1.0) * 2 if n == 0 else down(n - 1)

    assert not down(5).requires_grad and (leaf(1.0) * 2).requires_grad


def test_threads_start_recording():
    found = []
    with gn.no_grad():
        thread = threading.Thread(target=lambda: found.append((leaf(1.0) * 2).requires_grad))
        thread.start()
        thread.join()
    assert found == [True]


def test_backward_under_no_grad():
    x = leaf(3.0)
    y = x * x
    with gn.no_grad():
        y.backward()
    assert x.grad == 6


# ---- complex -----------------------------------------------------------------------------------------------------------------


def test_complex_gradient_is_steepest_ascent():
    z = leaf([1 + 2j, 3 - 1j])
    (abs(z) ** 2).sum().backward()
    assert np.allclose(z.grad, 2 * z.data) and z.grad.dtype == np.complex128
    z.zero_grad()
    (z * z).real.sum().backward()
    assert np.allclose(z.grad, 2 * z.data.conj())


def test_real_leaf_of_a_complex_result():
    x = leaf([1.0, 2.0])
    ((x * (1 + 2j)) * (3 - 1j)).real.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0] and x.grad.dtype == np.float64


def test_complex_output_needs_a_seed():
    z = leaf(1 + 2j)
    with raises(gn.GraphError, "complex128", "seed"):
        (z * z).backward()
    (z * z).backward(np.array(1 + 0j))
    assert z.grad == 2 * (1 - 2j)


# ---- errors that teach -------------------------------------------------------------------------------------------------------

ERRORS = [
    ("x + np.ones(4)", ValueError, ["add", r"\(2, 3\)", r"\(4,\)"]),
    ("np.ones(4) * x", ValueError, ["multiply", r"\(2, 3\)", r"\(4,\)"]),
    ("x @ np.ones((2, 3))", ValueError, ["matmul", r"\(2, 3\)"]),
    ("np.concatenate([x, np.ones((2, 4))])", ValueError, ["concatenate", r"\(2, 3\)", r"\(2, 4\)"]),
    ("np.stack([x, np.ones(2)])", ValueError, ["stack|shape"]),
    ("x.reshape(4)", ValueError, ["reshape", r"\(2, ?3\)", "4"]),
    ("x.reshape(-1, -1)", ValueError, ["reshape"]),
    ("x.sum(axis=5)", ValueError, ["5", "sum"]),
    ("x.sum(axis=(0, 0))", ValueError, ["sum|axis"]),
    ("x.sum(axes=0)", TypeError, ["sum", "axes"]),
    ("x.transpose(0)", ValueError, ["axes"]),
    ("x.squeeze(0)", ValueError, ["squeeze"]),
    ("x[5]", IndexError, ["5"]),
    ("x[0, 0, 0]", IndexError, ["indices|dimension"]),
    ("x[0.5]", (IndexError, TypeError), ["int"]),
    ("x['a']", (IndexError, TypeError), ["ind|int"]),
    ("np.where(x > 0, x, np.ones(4))", ValueError, ["where", r"\(2, 3\)", r"\(4,\)"]),
    ("x.max(axis=2)", ValueError, ["2"]),
    ("gn.max(x, 0, None, True, 1, 2, 3)", TypeError, ["max", "positional"]),
    ("pow(x, 2, 3)", TypeError, ["pow", "Tensor"]),
    ("gn.relu(x, x)", TypeError, ["relu", r"1 input\(s\)", "got 2"]),
    ("gn.relu(x, where=True)", TypeError, ["relu", "where"]),
    ("np.max(x[:0])", ValueError, ["max|zero-size"]),
    ("x.bckward()", AttributeError, ["bckward"]),
    ("x.backward()", gn.GraphError, [r"\(2, 3\)", r"y\.sum\(\)\.backward\(\)"]),
    ("(x * 2).backward(np.ones(3))", gn.ShapeError, [r"\(3,\)", r"\(2, 3\)"]),
    ("gn.Tensor(np.ones(3)).sum().backward()", gn.GraphError, ["requires_grad=True"]),
    ("gn.graph(gn.Tensor(1.0))", gn.GraphError, ["not tracked"]),
    ("np.reshape(x, 6, order='A')", ValueError, ["'A'", "memory"]),
    ("np.array_split(x, 0)", ValueError, ["larger than 0"]),
    ("np.split(x, 4, axis=1)", ValueError, ["equal division"]),
    ("np.clip(x, 0)", TypeError, ["clip", "a_max is missing"]),
    ("np.clip(x, 0, 1, min=2)", ValueError, ["clip", "twice"]),
    ("np.var(x, ddof=1, correction=1)", ValueError, ["ddof and correction"]),
    ("np.linalg.tensorsolve(x, np.ones(2))", np.linalg.LinAlgError, ["tensorsolve", r"\(2, 3\)", r"\(2,\)"]),
    ("np.linalg.qr(x, 'raw')", TypeError, ["qr", "no gradient"]),
    ("np.apply_along_axis(np.sum, 1, x[:0])", ValueError, ["apply_along_axis", r"\(0, 3\)"]),
    ("np.matmul.outer(x, x)", TypeError, ["outer", "signature"]),
    ("np.add(x, x, axis=0)", TypeError, ["add", "axis"]),
    ("gn.cross_entropy(gn.Tensor(1.0), gn.Tensor(0))", gn.ShapeError, ["class axis"]),
    ("gn.scipy.nothing", AttributeError, ["nothing", "linalg, signal"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS, ids=[e[0] for e in ERRORS])
def test_errors_teach(call, error, words):
    with pytest.raises(error) as raised:
        eval(call, {"x": leaf(np.ones((2, 3))), "np": np, "gn": gn})
    said = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
    with raises(Exception, *words):
        raise Exception(said)


def test_error_types_are_pythons_own():
    assert issubclass(gn.ShapeError, ValueError) and issubclass(gn.GraphError, RuntimeError)


# ---- the graph, printed ------------------------------------------------------------------------------------------------------


def test_graph_tables():
    x, w = leaf([1.0, 2.0]), leaf([[1.0, 2.0]])
    y = np.tanh(x * w).sum()
    g = gn.graph(y)
    assert g.nodes["operation"].tolist() == ["sum", "tanh", "multiply", "leaf", "leaf"] and len(g) == 5
    assert g.nodes["shape"].tolist() == ["()", "(1, 2)", "(1, 2)", "(2,)", "(1, 2)"] and set(g.nodes["dtype"].tolist()) == {"float64"}
    product = g.nodes["row"][2]
    assert g.parents(product) == g.nodes["row"][3:].tolist() and g.parents(g.nodes["row"][4]) == []


def test_graph_printed():
    x = leaf([1.0, 2.0], "f4")
    y = (x * x).sum()
    lines = str(gn.graph(y)).splitlines()
    assert lines[0].split() == ["row", "operation", "parents", "shape", "dtype", "uses"] and len(lines) == 4
    row = gn.graph(x).nodes["row"][0]
    assert lines[2].split()[1:4] == ["multiply", str(row), str(row)] and lines[3].split()[:5] == [str(row), "leaf", "-", "(2,)", "float32"]
    assert repr(gn.graph(y)) == str(gn.graph(y))


def test_graph_of_a_leaf_and_of_a_diamond():
    x = leaf(1.0)
    assert gn.graph(x).nodes["operation"].tolist() == ["leaf"] and len(gn.graph(x).edges) == 0
    y = x
    for _ in range(20):
        y = y + y
    assert len(gn.graph(y)) == 21 and len(gn.graph(y).edges) == 40


def test_graph_is_a_snapshot():
    x = leaf(1.0)
    y = x * 2
    g = gn.graph(y)
    text = str(g)
    y.backward()
    del y
    assert str(g) == text


# ---- grad --------------------------------------------------------------------------------------------------------------------


def test_grad():
    for x in 2.0, 2, np.float32(2), np.array(2.0), Tensor(2.0), leaf(2.0):
        g = gn.grad(lambda x: x**3 + x)(x)
        assert type(g) is Tensor and g.shape == () and g.item() == 13


def test_grad_keeps_dtype_and_touches_nothing():
    x, a = leaf([1.0, 2.0], "f4"), np.array([1.0, 2.0])
    g = gn.grad(lambda x: (x * x).sum())
    assert g(x).dtype == np.float32 and not x.grad.any() and g(a).dtype == np.float64 and a.tolist() == [1.0, 2.0]
    assert not g(a).requires_grad and g(x).requires_grad


def test_grad_argnums():
    f = lambda x, y, z=1.0: (x * y * y * z).sum()
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert gn.grad(f)(x, y).data.tolist() == [9.0, 16.0]
    assert gn.grad(f, argnums=1)(x, y).data.tolist() == gn.grad(f, 1)(x, y).data.tolist() == [6.0, 16.0]
    both = gn.grad(f, argnums=(1, 0))(x, y, z=2.0)
    assert type(both) is tuple and [g.data.tolist() for g in both] == [[12.0, 32.0], [18.0, 32.0]]
    assert gn.grad(f, argnums=-1)(x, y).data.tolist() == [6.0, 16.0]
    assert type(gn.grad(f, argnums=(0,))(x, y)) is tuple


def test_grad_fifth_derivative_of_tanh():
    f = np.tanh
    for _ in range(5):
        f = gn.grad(f)
    t = np.tanh(0.3)
    s = 1 - t * t
    assert np.isclose(f(0.3).item(), 16 * s**3 - 88 * s**2 * t**2 + 16 * s * t**4, rtol=1e-13)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_grad_hessian_of_rosenbrock():
    x = np.array([-1.2, 1.0])
    rows = [gn.grad(lambda x, i=i: gn.grad(rosenbrock)(x)[i])(x).data for i in range(2)]
    assert np.allclose(rows, [[2 + 1200 * x[0] ** 2 - 400 * x[1], -400 * x[0]], [-400 * x[0], 200]], rtol=1e-14)


def test_grad_mixed_second_derivative():
    f = lambda x, y: np.sin(x) * y**3
    assert np.isclose(gn.grad(gn.grad(f, 0), 1)(0.5, 2.0).item(), np.cos(0.5) * 12)
    assert np.isclose(gn.grad(gn.grad(f, 1), 0)(0.5, 2.0).item(), np.cos(0.5) * 12)


def test_grad_with_perturbation_confusion():
    """d/dx (x * d/dy (x + y)) is 1: the two derivatives must not be mixed up."""
    assert gn.grad(lambda x: x * gn.grad(lambda y: x + y)(1.0))(1.0).item() == 1
    assert gn.grad(lambda x: x * gn.grad(lambda y: x * y)(2.0))(3.0).item() == 6


def test_grad_of_a_closure():
    """What the function sees of the outside is a constant for grad, and stays tracked for who comes after."""
    w = leaf([2.0, 3.0])
    g = gn.grad(lambda x: (w * x * x).sum())(np.array([5.0, 7.0]))
    assert g.data.tolist() == [20.0, 42.0] and not w.grad.any() and g.requires_grad
    g.sum().backward()
    assert w.grad.tolist() == [10.0, 14.0]


def test_grad_of_a_closure_over_a_result():
    w = leaf(2.0)
    h = w * w
    g = gn.grad(lambda x: h * x * x)(3.0)
    (g + h).backward()
    assert g.item() == 24 and w.grad == 4 * 6 + 4 and h.grad == 7


def test_backward_through_a_gradient():
    x = leaf([1.0, 2.0])
    penalty = (gn.grad(lambda x: (x**3).sum())(x) ** 2).sum()
    penalty.backward()
    assert np.allclose(x.grad, 36 * x.data**3)


def test_grad_of_what_ignores_an_argument():
    f = lambda x, y: (x * 2).sum()
    g = gn.grad(f, (0, 1))(np.ones(2), np.ones((3, 1), "f4"))
    assert g[1].shape == (3, 1) and g[1].dtype == np.float32 and not g[1].data.any() and type(g[1]) is Tensor
    for constant in (lambda x: 5.0), (lambda x: Tensor(5.0)), (lambda x: x.detach().sum()), (lambda x: np.float64(1)):
        assert gn.grad(constant)(np.ones(2)).data.tolist() == [0.0, 0.0]


def test_grad_of_the_identity():
    assert gn.grad(lambda x: x)(3.0).item() == 1 and gn.grad(lambda x: x)(np.array([3.0])).data.tolist() == [1.0]


def test_grad_under_no_grad():
    x = leaf(3.0)
    with gn.no_grad():
        g = gn.grad(lambda x: x * x)(x)
    assert g.item() == 6 and not g.requires_grad


def test_grad_of_control_flow():
    def f(x):
        while x < 100:
            x = x * 2 if x > 3 else x + 1
        return x

    assert gn.grad(f)(3.0).item() == 32


def test_grad_is_named_after_the_function():
    assert gn.grad(rosenbrock).__name__ == "rosenbrock"


def test_grad_leaves_the_mode_alone():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError):
        gn.grad(lambda x: 1 // 0)(x)
    assert (x * 2).requires_grad
    with gn.no_grad():
        gn.grad(lambda x: x * x)(1.0)
        assert not (x * 2).requires_grad


GRAD_ERRORS = [
    ("gn.grad(lambda x: x * 2)(np.ones(2))", TypeError, ["scalar", r"\(2,\)"]),
    ("gn.grad(lambda x: np.ones(3))(1.0)", TypeError, ["scalar", r"\(3,\)"]),
    ("gn.grad(lambda x: None)(1.0)", TypeError, ["return|None"]),
    ("gn.grad(lambda x: 'a')(1.0)", TypeError, ["scalar|str"]),
    ("gn.grad(lambda x: (x, x))(1.0)", TypeError, ["scalar|tuple"]),
    ("gn.grad(lambda x: x * 1j)(1.0)", (TypeError, gn.GraphError), ["complex"]),
    ("gn.grad(lambda x: x)('a')", TypeError, ["argument 0"]),
    ("gn.grad(lambda x, y: x, argnums=1)(1.0, None)", TypeError, ["argument 1"]),
    ("gn.grad(lambda x: x, argnums=1)(1.0)", TypeError, ["argnums|argument 1", "1"]),
    ("gn.grad(lambda x: x, argnums=-2)(1.0)", TypeError, ["argnums|argument"]),
    ("gn.grad(lambda x: x)()", TypeError, ["argument"]),
    ("gn.grad(3)(1.0)", TypeError, ["call|function"]),
    ("gn.grad(lambda x: x, argnums='x')(1.0)", TypeError, ["argnums|int"]),
]


@pytest.mark.parametrize("call, error, words", GRAD_ERRORS, ids=[e[0] for e in GRAD_ERRORS])
def test_grad_errors(call, error, words):
    with raises(error, *words):
        eval(call, {"gn": gn, "np": np})
