"""Functions of NumPy that only move elements, and the methods of their names."""

import numpy as np
import pytest

import gradnerve as gn

X = np.random.default_rng(0).permutation(np.arange(12.0)).reshape(3, 4)


MOVES = [
    (np.take, (X, [2, 0, 0]), {"axis": 1}), (np.take, (X, [[0, 7], [3, 3]]), {}), (np.take, (X, -1), {"mode": "wrap"}),
    (np.repeat, (X, 3), {}), (np.repeat, (X, [1, 0, 2]), {"axis": 0}), (np.roll, (X, 2), {}), (np.roll, (X, (1, 2), (0, 1)), {}),
    (np.tile, (X, (2, 1, 3)), {}), (np.rot90, (X, 3), {}), (np.fliplr, (X,), {}), (np.flipud, (X,), {}),
    (np.diagonal, (X, 1), {}), (np.diagonal, (X,), {"offset": -1, "axis1": 1, "axis2": 0}), (np.trace, (X, 1), {}), (np.trace, (X,), {}),
    (np.compress, ([True, False, True], X), {"axis": 0}), (np.compress, ([True, False, True], X), {}),
    (np.sort, (X,), {}), (np.sort, (X, None), {}), (np.sort, (X, 0), {"kind": "stable"}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "kwargs"), MOVES, ids=lambda a: getattr(a, "__name__", ""))
def test_functions_that_move_elements(function, args, kwargs):
    t = gn.Tensor(X, requires_grad=True)
    moved = function(*(t if a is X else a for a in args), **kwargs)
    expected = function(*args, **kwargs)
    np.testing.assert_array_equal(moved.data, expected)
    np.testing.assert_array_equal(getattr(gn, function.__name__)(*args, **kwargs), expected)
    seed, direction = np.random.default_rng(1).normal(size=(2, 72))
    seed, direction = seed[: moved.size].reshape(moved.shape), direction[: X.size].reshape(X.shape) * 1e-3  # a small step: the order stays
    moved.backward(seed)
    change = function(*(X + direction if a is X else a for a in args), **kwargs) - expected
    np.testing.assert_allclose((t.grad * direction).sum(), (seed * change).sum(), rtol=1e-9)


def test_methods_that_move_elements():
    t = gn.Tensor(X, requires_grad=True)
    for name, args in [("take", ([1, 1],)), ("repeat", (2,)), ("diagonal", (1,)), ("trace", ()), ("compress", ([True, False], 0))]:
        np.testing.assert_array_equal(getattr(t, name)(*args).data, getattr(X, name)(*args))
    h = t * 1.0
    before = (h * h).sum()
    h.sort()
    np.testing.assert_array_equal(h.data, np.sort(X))
    h.put([0, -1], 7.0)
    assert h.data[0, 0] == h.data[-1, -1] == 7
    (h.sum() + before).backward()
    lost = np.zeros(X.shape)
    lost[0, np.argmin(X[0])] = lost[-1, np.argmax(X[-1])] = 1  # what put has overwritten
    np.testing.assert_allclose(t.grad, 2 * X + 1 - lost)
    h.fill(1.0)
    assert (h.data == 1).all()


def test_a_method_that_is_missing_says_so():
    with pytest.raises(AttributeError, match=r"no byteswap, as its gradient would be lost; t\.data\.byteswap"):
        _ = gn.Tensor(X).byteswap
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = gn.Tensor(X).colour
