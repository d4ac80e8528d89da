"""Reductions and scans beside their samples: `out`, methods of NumPy's, what works in place, and NaN in every place."""

import itertools
import warnings

import numpy as np
import pytest
from samples.shapes import values

import gradnerve as gn
from gradnerve.ops.scans import recurrence

pytestmark = pytest.mark.usefixtures("rows_return")

METHODS = "sum prod max min mean var std cumsum cumprod".split()
FUNCTIONS = [*METHODS, *"median ptp nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian nancumsum nancumprod".split()]
nan, inf = np.nan, np.inf


def leaf(a):
    return gn.Tensor(a, requires_grad=True)


# ---- out and methods ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FUNCTIONS, "cumulative_sum", "cumulative_prod"])
def test_out(name):
    """The result is written into a Tensor, and its gradient flows; an ndarray is refused."""
    x = leaf(values(2, 3))
    expected = getattr(np, name)(x.data, axis=1)
    out = gn.Tensor(np.zeros_like(expected))
    assert getattr(np, name)(x, axis=1, out=out) is out
    assert np.array_equal(out.data, expected)
    out.sum().backward()
    assert x.grad.any()
    with pytest.raises(TypeError, match="out is an ndarray"):
        getattr(np, name)(x, axis=1, out=np.zeros_like(expected))


@pytest.mark.parametrize("name", "quantile percentile nanquantile nanpercentile".split())
@pytest.mark.parametrize("keepdims", [False, True])
def test_out_of_quantiles(name, keepdims):
    """Also where the input may be overwritten, which a Tensor's values never are."""
    x = leaf(values(2, 3))
    expected = getattr(np, name)(x.data, [0.2, 0.7], axis=0, keepdims=keepdims)
    out = gn.Tensor(np.zeros_like(expected))
    assert getattr(np, name)(x, [0.2, 0.7], axis=0, out=out, overwrite_input=True, keepdims=keepdims) is out
    assert np.array_equal(out.data, expected)
    assert np.array_equal(x.data, values(2, 3))
    out.sum().backward()
    assert x.grad.any()


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "cumsum", "cumprod", "nansum"])
@pytest.mark.parametrize(("dtype", "wider"), [("f", "d"), ("i", "d"), ("d", "D")])
def test_a_wider_out_is_what_is_summed_in(name, dtype, wider):
    x = (values(60, seed=1) * 2 + 1).astype(dtype)
    expected, out = np.zeros_like(getattr(np, name)(x), wider), gn.Tensor(np.zeros_like(getattr(np, name)(x), wider))
    getattr(np, name)(x, out=expected)
    getattr(np, name)(gn.Tensor(x), out=out)
    assert out.data.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_what_numpys_take(name):
    x, array = leaf(values(2, 3)), values(2, 3)
    third = {"max": (1, None, True), "min": (1, None, True), "var": (1, None, None, 1), "std": (1, None, None, 1, True)}
    for args in ((), (1,), (-1, None), third.get(name, (1, float, None))):
        assert np.array_equal(getattr(x, name)(*args).data, getattr(array, name)(*args))
    out = gn.Tensor(np.zeros_like(getattr(array, name)(axis=0)))
    assert getattr(x, name)(axis=0, out=out) is out
    assert np.array_equal(out.data, getattr(array, name)(axis=0))
    assert out.requires_grad


# ---- in place ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args"), [("sort", ()), ("sort", (0,)), ("partition", (1,)), ("partition", ([0, 2], 1))])
def test_sort_and_partition_in_place(name, args):
    x, expected = leaf(values(2, 3)), values(2, 3)
    y = x * 1
    old = y * y
    assert getattr(y, name)(*args) is getattr(expected, name)(*args) is None
    assert np.array_equal(y.data, expected)
    (y * np.arange(6.0).reshape(2, 3) + old).sum().backward()
    places = {value: k for k, value in enumerate(expected.ravel())}
    assert np.array_equal(x.grad, 2 * x.data + np.vectorize(places.get)(x.data))
    with pytest.raises(gn.GraphError, match="no_grad"):
        getattr(x, name)(*args)
    with gn.no_grad():
        getattr(x, name)(*args)
    assert np.array_equal(x.data, expected)


def test_parts_of_complex_numbers_can_be_set():
    x = leaf([1 + 2j, 3 - 1j])
    y = x * 1
    y.real = 2 * y.imag
    y.imag *= 3
    assert y.data.tolist() == [4 + 6j, -2 - 3j]
    (y.real + y.imag).sum().backward()
    assert x.grad.tolist() == [5j, 5j]
    z = gn.Tensor([1.0, 2.0])
    z.real = 5
    assert z.data.tolist() == [5, 5]
    with pytest.raises(TypeError, match="imaginary"):
        z.imag = 1


# ---- NaN, infinities, ties, empty arrays -------------------------------------------------------------------------------------------

HARD = [[[1, 2, nan, 4], [nan] * 4, [3, nan, 1, 0]], [[nan, nan], [1, nan]], [[1, 1, nan], [0, -0.0, 0], [inf, nan, inf]], [[inf, nan], [-inf, nan]],
        [nan, nan], nan, 2, np.zeros((0, 3)), np.zeros((2, 0)), [5]]  # fmt: skip
QUANTILES = [(name, (q,)) for name in ("quantile", "nanquantile") for q in (0.3, [0.2, 0.5], np.float32(0.3), 1)]


def outcome(function, *args, **kwargs):
    """The result, or the type of the error."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return type(error)


@pytest.mark.parametrize(("name", "args"), [(name, ()) for name in [*FUNCTIONS, "sort", "diff"]] + QUANTILES)
def test_hard_values(name, args):
    """Values, dtypes and errors are NumPy's, and a NaN that does not count has exactly no gradient."""
    for x, dtype, axis in itertools.product(HARD, "edfD", (None, 0, 1)):
        x = np.array(x, dtype)
        t, axes = leaf(x), {} if name == "diff" else {"axis": axis}
        expected, found = outcome(getattr(np, name), x, *args, **axes), outcome(getattr(np, name), t, *args, **axes)
        if isinstance(expected, type):
            assert issubclass(found, expected), f"{x} {axes}"
            continue
        assert found.dtype == expected.dtype, f"{x} {axes}"
        assert np.array_equal(found.data, expected, equal_nan=True), f"{x} {axes}"
        if name.startswith("nan") and found.requires_grad:
            with np.errstate(all="ignore"):
                found.backward(np.ones_like(found.data))
            assert not t.grad[np.isnan(x)].any(), f"{x} {axes}"


def test_plain_arrays_and_integers():
    """Integers and booleans have no gradient, and the results are NumPy's."""
    for x in (np.arange(6).reshape(2, 3), np.array([3, 1, 2], np.int8), np.array([True, False])):
        for name in [*FUNCTIONS, "sort", "ediff1d", "average", "sort_complex"]:
            expected, found = outcome(getattr(np, name), x), outcome(getattr(np, name), gn.Tensor(x))
            assert found is expected or (found.dtype == expected.dtype and np.array_equal(found.data, expected)), name


# ---- cumulative products -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 100, 1023])
def test_recurrence(length):
    x, g = np.random.default_rng(length).normal(size=(2, 3, length))
    expected, s = np.zeros((3, length)), 0
    for i in reversed(range(length)):
        s = expected[:, i] = g[:, i] + x[:, i] * s
    np.testing.assert_allclose(recurrence(x, g), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("zeros", [[], [0], [3], [2, 5], [0, 1, 6]])
def test_cumprod_against_torch(zeros):
    """Of first and second order, also with zeros."""
    torch = pytest.importorskip("torch")
    x = values(7)
    x[zeros] = 0
    w, v = values(7, seed=1), values(7, seed=2)
    t = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad((torch.cumprod(t, 0) * torch.tensor(w)).sum(), t, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.tensor(v)).sum(), t)
    ours = gn.grad(lambda x: (np.cumprod(x) * w).sum())
    np.testing.assert_allclose(ours(x).data, first.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gn.grad(lambda x: (ours(x) * v).sum())(x).data, second.numpy(), rtol=1e-12, atol=1e-15)
