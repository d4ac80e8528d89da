"""The compiled programs behave as NumPy does: values, dtypes, layouts and floating-point warnings, whatever the memory."""

import itertools
import warnings

import numpy as np
import pytest

import gradnerve as gn
from gradnerve.ops.define import elementwise

pytestmark = pytest.mark.usefixtures("rows_return")

KINDS = ("divide", "over", "under", "invalid")


def same(found, expected):
    """Equal to the last bit, NaN included, in dtype, shape and strides."""
    found, expected = found._array, np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected, equal_nan=expected.dtype.kind in "fc")
    if expected.size > 1:
        assert found.strides == expected.strides


# ---- np.errstate -------------------------------------------------------------------------------------------------------------------

tiny, huge = 1e-300, 1e300
TROUBLE = {  # what happens, the function, its arguments
    "divide": [(np.divide, 1.0, 0.0), (np.log, 0.0), (np.reciprocal, 0.0), (np.power, 0.0, -1.0), (np.arctanh, 1.0)],
    "over": [(np.multiply, huge, huge), (np.exp, 1000.0), (np.square, huge), (np.add, 1.7e308, 1.7e308), (np.power, huge, 2.5), (np.cosh, 1000.0)],
    "under": [(np.multiply, tiny, tiny), (np.exp, -1000.0), (np.square, tiny), (np.divide, tiny, huge)],
    "invalid": [(np.divide, 0.0, 0.0), (np.log, -1.0), (np.sqrt, -1.0), (np.arcsin, 2.0), (np.subtract, np.inf, np.inf), (np.power, -1.0, 0.5),
                (np.fmod, 1.0, 0.0), (np.sin, np.inf), (np.arccosh, 0.5)],
}  # fmt: skip
CASES = [pytest.param(kind, f, args, id=f"{kind}-{f.__name__}") for kind, cases in TROUBLE.items() for f, *args in cases]
SHAPES = [(), (3,), (2, 2)]


def outcome(function, *args, **modes):
    """What one sees of a call: the text of its warnings, or the error."""
    calls = []
    with np.errstate(**modes, call=lambda *what: calls.append(what)), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            function(*args)
        except FloatingPointError as error:
            return "raised", str(error)
    return [(w.category, str(w.message)) for w in seen], calls


@pytest.mark.parametrize("mode", ["ignore", "warn", "raise", "call"])
@pytest.mark.parametrize(("kind", "function", "args"), CASES)
def test_errstate_forward(kind, function, args, mode):
    """The same warnings, errors and calls as NumPy's for every mode of every kind of trouble, with the others ignored or not."""
    for shape, rest in itertools.product(SHAPES, ("ignore", "warn")):
        arrays = [np.full(shape, a) for a in args]
        modes = dict.fromkeys(KINDS, rest) | {kind: mode}
        expected = outcome(function, *arrays, **modes)
        for tensors in ([gn.Tensor(a, requires_grad=True) for a in arrays], [gn.asarray(arrays[0]), *arrays[1:]]):
            assert outcome(function, *tensors, **modes) == expected, f"{function.__name__} {shape} {modes}"


def test_errstate_of_a_transposed_and_a_broadcast_array():
    x = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]])
    for a, b in [(x.T, x.T), (x[:, ::-2], 1.0), (x, np.array([0.0, 1.0, 0.0]))]:
        expected = outcome(np.divide, b, a, all="warn")
        assert expected[0]
        assert outcome(np.divide, b, gn.asarray(a), all="warn") == expected


def test_only_trouble_of_this_call_is_reported():
    """A flag that an earlier computation has left behind is nobody's warning."""
    with np.errstate(all="ignore"):
        np.array([1.0]) / np.array([0.0])
        gn.Tensor([1.0]) / gn.Tensor([0.0])
    with np.errstate(all="raise"):
        gn.Tensor([1.0]) + gn.Tensor([2.0])
        np.tanh(gn.Tensor([1.0, 2.0]))
        np.array([1.0]) + np.array([2.0])


BACKWARD = {
    "divide": (np.sqrt, [0.0, 4.0], 1.0, "divide by zero"),
    "over": (np.exp, [700.0, 1.0], 1e10, "overflow"),
    "under": (np.exp, [-700.0, 1.0], 1e-10, "underflow"),
    "invalid": (np.log, [0.0, 1.0], 0.0, "invalid value"),
}


@pytest.mark.parametrize("kind", BACKWARD)
def test_errstate_in_a_derivative(kind):
    """A derivative warns, raises and calls as its line of NumPy would; if it raises, no gradient has changed."""
    function, value, seed, words = BACKWARD[kind]

    def backward():
        x = gn.Tensor(value, requires_grad=True)
        with np.errstate(all="ignore"):
            y = function(x)
        y.backward(np.full(2, seed))

    rest = dict.fromkeys(KINDS, "ignore")
    assert outcome(backward, **rest) == ([], [])
    seen, _ = outcome(backward, **rest | {kind: "warn"})
    assert [category for category, _ in seen] == [RuntimeWarning]
    assert words in seen[0][1]
    raised, message = outcome(backward, **rest | {kind: "raise"})
    assert raised == "raised"
    assert words in message
    _, calls = outcome(backward, **rest | {kind: "call"})
    assert [what for what, _ in calls] == [words]


def test_a_derivative_that_raises_leaves_no_trace():
    x, z = gn.Tensor([0.0, 4.0], requires_grad=True), gn.Tensor([1.0, 1.0], requires_grad=True)
    y = np.sqrt(x) * z
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        y.backward(np.ones(2))
    assert not x.grad.any()
    assert not z.grad.any()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        np.divide(gn.Tensor([1.0], requires_grad=True), np.zeros(1))


# ---- memory ------------------------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
box = rng.normal(size=(4, 3, 5))
FORMS = {
    "C order": lambda a: a,
    "F order": np.asfortranarray,
    "reversed": lambda a: a[::-1, :, ::-1],
    "all reversed": lambda a: a[::-1, ::-1, ::-1],
    "transposed": lambda a: a.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    "every second": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
    "reversed F order": lambda a: np.asfortranarray(a)[:, ::-1],
    "one row": lambda a: np.broadcast_to(a[:, :1], a.shape),
    "one number": lambda a: np.broadcast_to(a[0, 0, 0], a.shape),
    "column": lambda a: a[:, :1],
    "last axis": lambda a: a[0, 0],
    "0-d": lambda a: a[0, 0, 0, ...],
    "ones": lambda a: a[:1, :1, :1],
    "empty": lambda a: a[:1, :0],
    "field": lambda a: structured(a)["b"],
}



def structured(a):
    """The same numbers at odd distances in memory: 17 bytes apart."""
    records = np.zeros(a.shape, [("a", "u1"), ("b", a.dtype)])
    records["b"] = a
    return records


@pytest.mark.parametrize("dtype", "fdFDeg")
@pytest.mark.parametrize("one", FORMS)
def test_layouts(one, dtype):
    """Values, gradients and the layout of the result, for every pair of layouts that broadcasts."""
    for two, f in itertools.product(FORMS, (np.add, np.multiply)):
        x, y = FORMS[one](box.astype(dtype)), FORMS[two](box[::-1].astype(dtype))
        try:
            expected = f(x, y)
        except ValueError:  # not of one shape
            continue
        a, b = gn.asarray(x).requires_grad_(), gn.asarray(y).requires_grad_()
        out = f(a, b)
        same(out, expected)
        out.backward(np.ones_like(expected))
        for t, other in ((a, y), (b, x)):
            share = np.broadcast_to(np.conj(other) if f is np.multiply else np.ones((), dtype), expected.shape).astype(dtype)
            extra = tuple(range(share.ndim - t.ndim))
            ones = tuple(k for k, n in enumerate(t.shape) if n == 1)
            share = share.sum(extra).sum(ones, keepdims=True)
            np.testing.assert_allclose(t.grad, share, rtol=50 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("form", FORMS)
def test_layouts_of_one_argument(form):
    x = FORMS[form](box)
    for f in (np.tanh, np.negative, np.exp, np.absolute, gn.relu, gn.sigmoid):
        t = gn.asarray(x).requires_grad_()
        expected = f(x)
        out = f(t)
        np.testing.assert_array_equal(out._array, expected)
        out.backward(np.ones_like(expected))
        compact = gn.Tensor(np.array(x, order="C"), requires_grad=True)
        f(compact).backward(np.ones_like(expected))
        np.testing.assert_allclose(t.grad, compact.grad, rtol=1e-15)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 1023, 1024, 1025, 2048, 5000, 100_003])
@pytest.mark.parametrize("dtype", "fd")
def test_block_borders(size, dtype):
    """Programs run in blocks: no element is forgotten, computed twice or taken from a neighbour."""
    x, y, g = rng.normal(size=(3, size)).astype(dtype)
    for form in (lambda a: a, lambda a: a[::-1], lambda a: np.repeat(a, 3)[::3]):
        a, b = gn.asarray(form(x)).requires_grad_(), gn.asarray(form(y)).requires_grad_()
        out = np.hypot(np.tanh(a), b)
        assert np.array_equal(out._array, np.hypot(np.tanh(form(x)), form(y)))
        out.backward(g)
        r = out._array
        np.testing.assert_allclose(b.grad, g * form(y) / r, rtol=30 * np.finfo(dtype).eps)
        np.testing.assert_allclose(a.grad, g * np.tanh(form(x)) / r * (1 - np.tanh(form(x)) ** 2), rtol=1e-3 if dtype == "f" else 1e-9)


@pytest.mark.parametrize("dtype", "fd")
def test_a_million_elements(dtype):
    x, y = rng.normal(size=(2, 1000, 1000)).astype(dtype)
    for a, b in [(x, y), (x.T, y), (x, y[0]), (x[:, :1], y[:1]), (x[::2], y[1::2])]:
        t, u = gn.asarray(a).requires_grad_(), gn.asarray(b).requires_grad_()
        for f in (np.add, np.multiply, np.divide, np.maximum):
            same(f(t, u), f(a, b))
        for f in (np.tanh, np.exp, np.sqrt):
            with np.errstate(invalid="ignore"):
                same(f(t), f(a))
    t, g = gn.Tensor(x, requires_grad=True), y
    np.tanh(t).backward(g)
    out = np.tanh(x)
    assert np.array_equal(t.grad, g * (1 - out * out))


def test_many_axes():
    x = rng.normal(size=(1, 1, 1, 2) * 8)
    y = x.transpose()[..., ::-1]
    t = gn.asarray(x).requires_grad_()
    same(t * y, x * y)
    (t * y).backward(np.ones((x * y).shape))
    np.testing.assert_allclose(t.grad, np.full(x.shape, y.sum()), rtol=1e-12)  # every element of x meets every element of y
    assert (gn.asarray(np.ones((1,) * 64)) + 1).shape == (1,) * 64


# ---- dtypes ------------------------------------------------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b, "**": lambda a, b: a**b,
    "%": lambda a, b: a % b, "//": lambda a, b: a // b, "maximum": np.maximum, "hypot": np.hypot, "float_power": np.float_power,
    "<": lambda a, b: a < b, "==": lambda a, b: a == b, "@": lambda a, b: a @ b, "where": lambda a, b: np.where(np.asarray(a) > 1, a, b),
}  # fmt: skip
NUMBERS = [2, 0, -1, 3, 0.5, -1.5, True, 1 + 2j, 2**40, np.float64(1.1), np.float32(1.1), np.float16(1.1), np.int64(3), np.int8(3), np.bool_(True),
           np.complex64(1 + 2j), np.longdouble(1.1), np.array(1.1), np.array(3), np.array([1.1, 2.2, 3.3], "f"), np.array([1, 2, 3])]  # fmt: skip
DTYPES = ["f2", "f4", "f8", "g", "c8", "c16", "i8", "i4", "u1", "?"]


def attempt(function, *args):
    """A result, or the type of the error."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            return type(error)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operands_of_every_kind(operator, dtype):
    """Python numbers are weak (NEP 50), NumPy's are not, on both sides and for every dtype: exactly as with an ndarray."""
    f, wrong = OPERATORS[operator], []
    for shape, number, left in itertools.product([(), (3,), (2, 3)], NUMBERS, (True, False)):
        x = np.asarray(rng.integers(1, 5, shape) * 0.75).astype(dtype)
        if not left and isinstance(number, np.generic) and operator in ("<", "=="):
            number = number.item()
        t = gn.asarray(x)
        expected, found = (attempt(f, x, number), attempt(f, t, number)) if left else (attempt(f, number, x), attempt(f, number, t))
        if isinstance(expected, type):
            right = isinstance(found, type) and issubclass(found, expected)
        elif not isinstance(found, gn.Tensor):
            right = False
        else:
            e = np.asarray(expected)
            right = (e.dtype, e.shape) == (found.dtype, found.shape) and np.array_equal(e, found._array, equal_nan=e.dtype.kind in "fc")
        if not right:
            wrong.append(f"{x!r} {operator} {number!r}" if left else f"{number!r} {operator} {x!r}: found {found!r}, NumPy's {expected!r}")
    assert not wrong, f"{len(wrong)} of them:\n" + "\n".join(wrong[:6])


@pytest.mark.parametrize(("x", "y"), list(itertools.permutations(["f2", "f4", "f8", "g", "c8", "c16"], 2)))
def test_gradients_keep_the_dtype_of_their_leaf(x, y):
    a, b = gn.Tensor([1.5, 2.0], requires_grad=True, dtype=x), gn.Tensor([[0.5], [3.0]], requires_grad=True, dtype=y)
    for f in (np.multiply, np.add, np.divide):
        expected = f(a.data, b.data)
        out = f(a, b)
        assert out.dtype == expected.dtype
        assert np.array_equal(out.data, expected)
        out.backward(np.ones_like(expected))
        assert (a.grad.dtype, b.grad.dtype) == (a.dtype, b.dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "g"])
def test_python_numbers_do_not_widen(dtype):
    x = gn.Tensor([0.5, 2.0], requires_grad=True, dtype=dtype)
    y = 2 * x + 1.5 - x / 3 + x**2 + 2**x
    assert y.dtype == dtype
    y.backward(np.ones(2, dtype))
    assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad, 2 - 1 / 3 + 2 * x.data + 2**x.data * np.log(2), rtol=4 * max(np.finfo(dtype).eps, 2e-16))


def test_integer_and_boolean_operands_have_no_gradient():
    x = gn.Tensor([1.5, 2.5], requires_grad=True)
    for other in (gn.Tensor([1, 2]), gn.Tensor([True, False]), np.array([3, 4], "i1"), [1, 2]):
        out = x * other
        assert out.dtype == np.float64
        x.zero_grad()
        out.sum().backward()
        assert np.array_equal(x.grad, np.asarray(other))
    assert not (gn.Tensor([1, 2]) * gn.Tensor([1, 2])).requires_grad


def test_longdouble_keeps_its_digits():
    x = gn.Tensor(np.array([1 + np.longdouble(2) ** -60]), requires_grad=True)
    y = x * x
    y.backward(np.ones(1, np.longdouble))
    assert x.grad[0] - 2 == np.longdouble(2) ** -59


def test_foreign_byte_order_is_read_right():
    x = gn.Tensor(np.array([1.0, 2.0], ">f8"), requires_grad=True)
    np.multiply(x, np.array([3.0, 4.0], ">f8")).sum().backward()
    assert np.array_equal(x.grad, [3.0, 4.0])


def long(x):
    """More values at once than a program has places for."""
    kept = [x + k for k in range(100)]
    return sum((a * b for a, b in zip(kept, kept[::-1], strict=True)), x)


@pytest.mark.parametrize("line", [
    lambda x: np.where(x, x * 2, x),  # the condition is no comparison
    lambda x: np.multiply.outer(x, np.float64(2)),
    lambda x: x * np.array([1.0, 2.0, 3.0]),
    lambda x: np.array([1.0, 2.0, 3.0]),  # reads nothing
    lambda x: np.modf(x)[0],
    long,
], ids=["condition", "method", "array", "constant", "two results", "long"])  # fmt: skip
def test_a_line_that_is_no_program_runs_as_numpy(line):
    values = np.array([0.0, 1.5, -2.5])
    same(elementwise(line, name="line")(gn.Tensor(values)), line(values))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_a_comparison_counts_as_0_or_1(dtype):
    values = np.array([0, 1.5, -2.5], dtype)
    line = lambda x: x * (x == x) + (x != 0)
    same(elementwise(line, name="line")(gn.Tensor(values)), line(values))
