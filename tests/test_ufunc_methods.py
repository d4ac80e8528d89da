"""What a ufunc takes beside its operands: `out`, `where`, `dtype`, `signature`, `casting`; and its methods without a gradient.

Values and derivatives of the methods are checked on the samples in samples/methods.py.
"""

import functools
import warnings

import numpy as np
import pytest
from helpers import leaf
from samples.methods import MASK, UFUNCS

import gradnerve as gn
from gradnerve import Tensor

NAMES = [u.__name__ for u in UFUNCS]
X = np.array([[0.3, 1.2, 0.7], [0.9, 0.4, 1.1]])
Y = np.array([0.8, 0.5, 1.3])


@pytest.fixture(autouse=True)
def rows(request):
    """No test leaves rows; but where a method of a ufunc raises an error of ours, NumPy (2.4) keeps its operands for good."""
    if "errors_of_methods" not in request.node.name:
        request.getfixturevalue("rows_return")


def equal(found, expected):
    assert type(found) is Tensor and found.dtype == expected.dtype and found.shape == expected.shape
    assert np.array_equal(found.data, expected, equal_nan=True)


def slope(f, x):
    """The gradient of sum(f(x)), by central differences."""
    found = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = 1e-6
        found[i] = (np.sum(f(x + step)) - np.sum(f(x - step))) / 2e-6
    return found


# ---- a call ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_where_and_out(name):
    """Where the mask does not hold, the result is what `out` was, and its gradient belongs to that."""
    ufunc = getattr(np, name)
    x, y, start = leaf(X), leaf(Y), leaf(X + 5)
    out = start * 1
    again = ufunc(x, y, out=out, where=MASK)
    assert again is out
    equal(out, ufunc(X, Y, out=X + 5, where=MASK))
    out.sum().backward()
    assert np.array_equal(start.grad, np.where(MASK, 0.0, 1.0))
    np.testing.assert_allclose(x.grad, slope(lambda x: np.where(MASK, ufunc(x, Y), 0), X), atol=1e-8)
    np.testing.assert_allclose(y.grad, slope(lambda y: np.where(MASK, ufunc(X, y), 0), Y), atol=1e-8)


def test_a_larger_out_is_filled():
    x, start = leaf([1.0, 2.0, 3.0]), leaf(X)
    out = start * 1
    assert np.exp(x, out=out) is out
    equal(out, np.exp([1.0, 2.0, 3.0], out=X * 0))
    out.sum().backward()
    assert np.allclose(x.grad, 2 * np.exp(x.data)) and not start.grad.any()
    plain = Tensor(X * 0)
    equal(np.add(plain[0], 1, out=plain), np.ones((2, 3)))
    with pytest.raises(gn.ShapeError, match=r"add: the result has shape \(2, 3\), out \(3,\)"):
        np.add(leaf(X), 1, out=Tensor([0.0, 0.0, 0.0]))


@pytest.mark.parametrize("clip", [gn.clip, np.clip])
def test_clip_into_out(clip):
    x, out = leaf([0.5, 2.0]), Tensor([0.0, 0.0])
    assert clip(x, 0, 1, out=out) is out and out.data.tolist() == [0.5, 1.0]
    out.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]
    plain = np.zeros(2)
    assert clip(np.array([0.5, 2.0]), 0, 1, out=plain) is plain and plain.tolist() == [0.5, 1.0]


def test_where_computes_nothing_elsewhere():
    x = leaf([0.0, 4.0])
    y = np.sqrt(x, out=x * 0, where=[False, True])
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_where_without_out_warns():
    with pytest.warns(UserWarning, match="where it does not hold, the result is 0"):
        y = np.exp(leaf([0.0, 1.0]), where=[True, False])
    assert y.data.tolist() == [1.0, 0.0]


def test_where_of_two_results():
    x = leaf([1.5, -2.25, 3.5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fraction, whole = np.modf(x, where=[True, True, False])
    assert fraction.data.tolist() == [0.5, -0.25, 0.0] and whole.data.tolist() == [1.0, -2.0, 0.0]
    fraction.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


def test_where_without_gradient():
    out = Tensor([7, 7, 7])
    assert np.bitwise_and(Tensor([1, 2, 3]), 2, out=out, where=[True, False, True]) is out and out.data.tolist() == [0, 7, 2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{"dtype": "f4"}, {"dtype": float}, {"signature": "ff->f"}, {"sig": "dd->d"}, {"casting": "unsafe"}], ids=str)
def test_dtype_and_signature(name, options):
    ufunc = getattr(np, name)
    x = leaf(X)
    equal(ufunc(x, Y.astype("f4"), **options), ufunc(X, Y.astype("f4"), **options))
    ufunc(x, Y, **options).sum().backward()
    np.testing.assert_allclose(x.grad, slope(lambda x: ufunc(x, Y), X), rtol=1e-5, atol=1e-6)


def test_order_and_subok():
    equal(np.add(leaf(X), Y, order="F", subok=False), X + Y)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.add(x, x, dtype=int), TypeError, "Cannot cast ufunc 'add'"),
        (lambda x: np.add(x, np.float32(1) * Y.astype("f4"), casting="no"), TypeError, "casting rule 'no'"),
        (lambda x: np.add(x, x, nonsense=1), TypeError, "unexpected keyword argument 'nonsense'"),
        (lambda x: np.add(x, x, axis=0), TypeError, "axis"),
        (lambda x: np.add(x, x, signature="dd->d", dtype=float), TypeError, "signature"),
        (lambda x: np.add(x, x, out=np.zeros((2, 3))), TypeError, "written into an ndarray"),
        (lambda x: np.add(x, x, out=Tensor(np.zeros((2, 3), int))), TypeError, "cannot put float64 values"),
        (lambda x: np.add(x, x, out=x), gn.GraphError, "leaf"),
    ],
)  # fmt: skip
def test_errors_of_calls(call, error, words):
    with pytest.raises(error, match=words):
        call(leaf(X))


# ---- methods -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["power", "arctan2"])
def test_every_step_counts(name):
    """NumPy's own result is that of the last step alone where it uses AVX512 (up to 2.4 at least)."""
    ufunc = getattr(np, name)
    for dtype, tolerance in (("f4", 1e-5), ("f8", 1e-12)):
        x = X.astype(dtype)
        expected = [functools.reduce(ufunc, row) for row in x]
        for t in Tensor(x), leaf(x):
            np.testing.assert_allclose(ufunc.reduce(t, axis=1).data, expected, rtol=tolerance)
            np.testing.assert_allclose(ufunc.reduce(t, axis=1, initial=2).data, [functools.reduce(ufunc, row, 2) for row in x], rtol=tolerance)
            np.testing.assert_allclose(ufunc.reduceat(t, [0], axis=1).data[:, 0], expected, rtol=tolerance)
            masked = ufunc.reduce(t, axis=1, initial=0.5, where=[True, False, True]).data
            np.testing.assert_allclose(masked, [ufunc(ufunc(np.asarray(0.5, dtype), row[0]), row[2]) for row in x], rtol=tolerance)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_methods_without_gradient_are_numpys(name):
    """Of untracked Tensors of any dtype; the result is a Tensor."""
    ufunc = getattr(np, name)
    for x in (np.array([3, 1, 2]), np.array([True, False, True]), X[0], X[0].astype("f4"), np.zeros(0)):
        for method, *args in (("reduce",), ("reduce", 0, None, None, True), ("accumulate",), ("outer", x), ("reduceat", [0, 1])):
            try:
                expected = getattr(ufunc, method)(x, *args)
            except (TypeError, ValueError, IndexError) as error:
                with pytest.raises(type(error)):
                    getattr(ufunc, method)(Tensor(x), *args)
                continue
            if name in ("power", "arctan2") and method in ("reduce", "reduceat"):
                assert getattr(ufunc, method)(Tensor(x), *args).dtype == np.asarray(expected).dtype
            else:
                equal(getattr(ufunc, method)(Tensor(x), *args), np.asarray(expected))


def test_methods_of_ufuncs_without_derivative():
    t = Tensor([[6, 3], [5, 7]])
    assert np.bitwise_and.reduce(t).data.tolist() == [4, 3] and type(np.logical_and.reduce(t)) is Tensor
    assert np.greater.outer(t[0], leaf([1.0, 4.0])).data.tolist() == [[True, True], [True, False]]
    quotient, rest = np.divmod.outer(t[0], t[1])
    assert quotient.data.tolist() == [[1, 0], [0, 0]] and rest.data.tolist() == [[1, 6], [3, 3]]
    np.bitwise_or.at(t, (0, [0, 0]), [8, 16])
    assert t.data.tolist() == [[30, 3], [5, 7]]


def test_initial_none_is_no_identity():
    """It means: start with the first element."""
    x = leaf(Y)
    y = np.add.reduce(x, initial=None)
    y.backward()
    assert y.item() == np.add.reduce(Y) and x.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_equal_extremes_share(name):
    x = leaf([[2.0, 2.0, 2.0], [1.0, 3.0, 3.0]])
    ufunc = getattr(np, name)
    ufunc.reduce(x, axis=1).sum().backward()
    third, half = [1 / 3] * 3, [0, 0.5, 0.5]
    assert x.grad.tolist() == [third, half if name in ("maximum", "fmax") else [1, 0, 0]]


def test_nan_is_ignored_by_fmax():
    x = leaf([np.nan, 2.0, 1.0])
    y = np.fmax.reduce(x) + np.fmax.accumulate(x)[1:].sum()
    y.backward()
    assert y.item() == 6 and x.grad.tolist() == [0, 3, 0]


def test_recurrence_of_a_long_row():
    """The derivative of `accumulate` is no loop over elements: 1e5 of them take a moment."""
    x = leaf(np.full(100_000, 0.5))
    np.logaddexp.accumulate(x)[-1].backward()
    np.testing.assert_allclose(x.grad, 1e-5, rtol=1e-9)


def test_out_of_methods():
    x = leaf(X)
    out = x[0] * 1
    assert np.hypot.reduce(x, out=out) is out and out.requires_grad
    out.sum().backward()
    np.testing.assert_allclose(x.grad, X / np.hypot.reduce(X))
    total = Tensor(np.zeros((2, 3)))
    assert np.add.accumulate(Tensor(X), out=total) is total and np.array_equal(total.data, np.add.accumulate(X))


def test_at_changes_the_name_only():
    """What was computed from the old value keeps it."""
    x = leaf(Y)
    y = x * 2
    z = y * y
    np.multiply.at(y, [0, 0, 2], x)
    assert y.data.tolist() == [2 * 0.8 * 0.8 * 0.5, 1.0, 2.6 * 1.3]
    (y.sum() + z.sum()).backward()
    a, b, c = Y
    np.testing.assert_allclose(x.grad, [4 * a * b + 8 * a, 2 * a * a + 2 + 8 * b, 4 * c + 8 * c])


def test_at_of_a_ufunc_with_one_operand():
    x = leaf(Y)
    y = x * 1
    np.negative.at(y, [0, 0, 1])
    y.sum().backward()
    assert y.data.tolist() == [0.8, -0.5, 1.3] and x.grad.tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.subtract.reduce(x, axis=(0, 1)), ValueError, "not reorderable"),
        (lambda x: np.subtract.reduce(x, where=MASK), ValueError, "does not have an identity"),
        (lambda x: np.subtract.reduce(x[:0]), ValueError, "zero-size array"),
        (lambda x: np.add.reduce(x[:0], initial=None), ValueError, "zero-size array"),
        (lambda x: np.multiply.reduce(x, initial=None, where=MASK), ValueError, "does not have an identity"),
        (lambda x: np.fmax.reduce(x[:0]), ValueError, "zero-size array"),
        (lambda x: np.hypot.reduce(x, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda x: np.hypot.accumulate(x, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda x: np.maximum.accumulate(x, axis=None), ValueError, "multiple axes"),
        (lambda x: np.add.accumulate(x, axis=None), ValueError, "multiple axes"),
        (lambda x: np.add.accumulate(x[0, 0]), TypeError, "cannot accumulate on a scalar"),
        (lambda x: np.hypot.reduceat(x, [2]), IndexError, "out-of-bounds"),
        (lambda x: np.add.reduceat(x[0, 0], [0]), TypeError, "scalar"),
        (lambda x: np.exp.reduce(x), ValueError, "binary functions"),
        (lambda x: np.divmod.reduce(x), ValueError, "single value"),
        (lambda x: np.exp.outer(x, x), ValueError, "outer product only supported for binary functions"),
        (lambda x: np.spacing.at(x * 1, [0]), TypeError, "spacing has no derivative"),
        (lambda x: np.spacing(x), TypeError, "spacing has no derivative"),
        (lambda x: np.add.reduce(x, out=np.zeros(3)), TypeError, "written into an ndarray"),
        (lambda x: np.add.reduce(x, out=x[0] * 1, axis=1), ValueError, "out"),
        (lambda x: np.add.at(x * 1, [9], 1.0), IndexError, "out of bounds"),
        (lambda x: np.add.at(x, [0], 1.0), gn.GraphError, "leaf"),
        (lambda x: np.add.at(np.zeros(3), [0], x[0, 0]), TypeError, "written into an ndarray"),
        (lambda x: np.hypot.at(x * 1, [0]), ValueError, "second operand"),
        (lambda x: np.hypot.reduce(x, nonsense=1), TypeError, "nonsense"),
    ],
)  # fmt: skip
def test_errors_of_methods(call, error, words):
    with pytest.raises(error, match=words):
        call(leaf(X))


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.logaddexp], ids=lambda u: u.__name__)
def test_nothing_is_reduced_to_the_identity_and_gets_no_gradient(ufunc):
    x = leaf(np.ones((0, 3)))
    total = ufunc.reduce(x)
    total.sum().backward()
    assert total.tolist() == [ufunc.identity] * 3 and x.grad.shape == (0, 3)
