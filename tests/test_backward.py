"""Hostile graphs: depth, repetition, seeds that do not fit, and code that fails in the middle of a sweep.

A failed backward changes nothing. What could kill the process (`alone`) runs in one of its own, with limits of time and
memory. Read next: test_process.py, the same for the process around the graph.
"""

import os
import threading

import numpy as np
import pytest
from helpers import alone, chain, leaf, pages, settled_rows, sized, works

import gradnerve as gn
from gradnerve import _graph

# ---- depth and width -----------------------------------------------------------------------------------------------------


@alone
def test_deep_chain_backward_1e6():
    x = leaf(1.0)
    y = chain(x, 10**6)
    y.backward()
    assert np.isclose(x.grad, 1.0000001**10**6, rtol=1e-9)
    del y
    assert _graph.live_rows() == (1, 0)


@alone
def test_deep_destroy_unused_1e6():
    x = leaf(1.0)
    y = chain(x, 10**6)
    assert _graph.live_rows() == (10**6 + 1, 10**6)
    del y
    assert _graph.live_rows() == (1, 0)


@alone
def test_deep_small_stack_thread():
    found = []

    def step():
        x = leaf(1.0)
        chain(x, 10**5).backward()
        chain(x, 10**5)
        found.append(x.grad)

    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert np.isclose(found[0], 1.0000001**10**5, rtol=1e-9)


@alone
def test_wide_fanout_1e6():
    x = leaf(1.0)
    parts = [x * 1.0 for _ in range(10**6)]
    while len(parts) > 1:
        odd = parts[len(parts) // 2 * 2 :]
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + odd
    parts[0].backward()
    assert x.grad == 10**6


def test_diamond_2pow60():
    y = x = leaf(1.0)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_same_tensor_1000_times():
    y = x = leaf(1.001)
    for _ in range(999):
        y = y * x
    y.backward()
    assert np.isclose(x.grad, 1000 * 1.001**999, rtol=1e-12)


def test_buffered_branches():
    x, y = leaf(np.ones((5, 5))), leaf(np.ones((5, 5)))
    a, b, c = x + 2, y + 2, x + 2
    early = (a + b) + c
    for _ in range(4):
        a, b, c = a * 2, b * 2, c * 2
    (early + (a + b + c)).backward(np.ones((5, 5)))
    assert (x.grad == 34).all() and (y.grad == 17).all()


@alone
def test_concatenate_1e5():
    x = leaf([2.0])
    y = np.concatenate([x] * 10**5)
    (y * y).sum().backward()
    assert y.shape == (10**5,) and x.grad.tolist() == [4e5]


@alone
def test_deep_repr():
    y = chain(leaf([1.0]), 10**5)
    assert "made by multiply" in repr(y) and len(repr(y)) < 120 and str(y) == str(y.data)


@sized
@alone
def test_memory_per_node():
    """At most 400 bytes a node: a million of them, measured on the whole process."""
    if not os.path.exists("/proc/self/statm"):
        return
    before = pages()[1]
    y = chain(leaf(1.0), 10**6)
    assert (pages()[1] - before) / 10**6 < 400 and y.requires_grad


# ---- backward, seeds and modes ---------------------------------------------------------------------------------------------


def test_backward_accumulates():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_backward_twice_same_graph():
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(gn.GraphError, match=r"(?s)multiply.*retain_graph=True"):
        y.backward()
    assert x.grad == 6 and y.grad == 1


def test_backward_twice_retained():
    x = leaf([0.1, 0.7])
    y = np.exp(x * x).sum()
    y.backward(retain_graph=True)
    once = x.grad.copy()
    y.backward(retain_graph=True)
    y.backward()
    assert np.array_equal(x.grad, once + once + once)


def test_backward_through_freed():
    x = leaf(3.0)
    shared = np.exp(x)
    a, b = shared * 2, shared * 5
    a.backward()
    before = x.grad.copy(), shared.grad.copy()
    with pytest.raises(gn.GraphError, match=r"(?s)exp.*retain_graph=True"):
        b.backward()
    assert (x.grad, shared.grad) == before and b.grad == 0


def test_backward_through_retained():
    x = leaf(3.0)
    shared = x * x
    a, b = shared * 2, shared * 5
    a.backward(retain_graph=True)
    b.backward()
    assert x.grad == 42


def test_nonscalar_no_seed():
    y = leaf(np.ones((2, 3))) * 2
    with pytest.raises(gn.GraphError, match=r"(?s)\(2, 3\).*y\.sum\(\)\.backward\(\)"):
        y.backward()


@pytest.mark.parametrize("seed, output", [((3,), (2,)), ((2,), (1,)), ((), (2,)), ((1, 2), (2,)), ((2, 1), (2,)), ((0,), (1,))])
def test_seed_wrong_shape(seed, output):
    x = leaf(np.ones(output))
    with pytest.raises(gn.ShapeError) as error:
        (x * 2).backward(np.ones(seed))
    assert str(seed) in str(error.value) and str(output) in str(error.value) and not x.grad.any()


@pytest.mark.parametrize("seed", [np.ones(2) * 1j, np.array(["a", "b"]), np.array([None, 1]), [1, "b"], np.ones(2, "M8[s]")], ids=repr)
def test_seed_wrong_dtype(seed):
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match="float64"):
        (x * 2).backward(seed)
    assert not x.grad.any()


def test_backward_constant():
    x = leaf(1.0)
    with gn.no_grad():
        under_no_grad = x * 2
    for y in gn.Tensor(1.0) * 2, x.detach(), under_no_grad, x > 0:
        with pytest.raises(gn.GraphError, match="requires grad"):
            y.backward()


def test_no_grad_restores():
    x = leaf(1.0)
    with gn.no_grad():
        with gn.no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
        with gn.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(KeyError), gn.no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_no_grad_thread_local():
    x, inside, done, found = leaf(1.0), threading.Event(), threading.Event(), []

    def other():
        with gn.no_grad():
            inside.set()
            done.wait(10)
            found.append((x * 2).requires_grad)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    found.append((x * 2).requires_grad)
    done.set()
    thread.join()
    assert found == [True, False]


# ---- failing code ----------------------------------------------------------------------------------------------------------


def by_hand(f):
    """What gn.custom_gradient does, with hand-made children."""

    def operation(*tensors):
        value, pullback = f(*[t.data for t in tensors])
        out = gn.Tensor(value, _prev=tensors)

        def backward():
            shares = pullback(out.grad)
            for t, share in zip(tensors, shares if isinstance(shares, tuple) else (shares,), strict=True):
                if share is not None:
                    t.grad += share

        out._backward = backward
        return out

    return operation


@pytest.fixture(params=["custom_gradient", "by hand"])
def own(request):
    return by_hand if request.param == "by hand" else gn.custom_gradient


def failing(a):
    def pullback(g):
        raise ZeroDivisionError("from the pullback")

    return 2 * a, pullback


def test_custom_raises(own):
    x = leaf([1.0, 2.0])
    with pytest.raises(ZeroDivisionError, match="from the pullback"):
        own(failing)(x * x).sum().backward()
    assert not x.grad.any()
    works()


def test_custom_raises_leaf_grad_consistent(own):
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    loss = (x * 5 + own(failing)(x)).sum()
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises((gn.GraphError, ZeroDivisionError)):  # never the rest of the gradient
        loss.backward()
    assert x.grad.tolist() == [3.0, 3.0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("late", [0, 1])
def test_failed_backward_all_or_nothing(own, late, retain):
    """Two leaves and two intermediates; whichever path is swept first, the other's failure leaves all four as they were."""
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a * 2 + b).sum().backward()
    f, h = a * a, b * b
    paths = [(h * 3).sum(), own(failing)(f * 1).sum()]
    with pytest.raises(ZeroDivisionError):
        (paths[late] + paths[1 - late]).backward(retain_graph=retain)
    assert [t.grad.tolist() for t in (a, b, f, h)] == [[2.0, 2.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("shape", [(3,), (), (1,), (2, 2), (1, 2), (2, 1), (0,)], ids=str)
def test_custom_wrong_grad_shape(shape):
    def doubled(a):
        return 2 * a, lambda g: np.ones(shape)

    x = leaf([1.0, 2.0])
    with pytest.raises(gn.ShapeError) as error:
        gn.custom_gradient(doubled)(x).sum().backward()
    message = str(error.value)
    assert str(shape) in message and "(2,)" in message and "doubled" in message and not x.grad.any()


@pytest.mark.parametrize("shape", [(3,), (), (1,), (2, 2), (0,)], ids=str)
def test_by_hand_wrong_grad_shape(shape):
    x = leaf([1.0, 2.0])
    out = gn.Tensor(2 * x.data, _prev=(x,))

    def backward():
        x.grad = np.ones(shape)

    out._backward = backward
    with pytest.raises(gn.ShapeError) as error:
        out.sum().backward()
    assert str(shape) in str(error.value) and not x.grad.any()


@pytest.mark.parametrize("shares", ["g", "(g,)", "(g, g, g)", "()", "[g]", "np.stack([g, g])", "None", "{0: g, 1: g}", "iter([g])"])
def test_custom_wrong_grad_count(shares):
    def added(a, b):
        return a + b, lambda g: eval(shares, {"g": g, "np": np})

    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    with pytest.raises((TypeError, gn.ShapeError), match="added"):
        gn.custom_gradient(added)(x, y).sum().backward()
    assert not x.grad.any() and not y.grad.any()


@pytest.mark.parametrize("share", ["'a'", "np.array(['a', 'b'])", "np.array([None, None])", "{}", "[[1.0], [1.0, 2.0]]"])
def test_custom_gradient_of_no_numbers(share):
    def doubled(a):
        return 2 * a, lambda g: eval(share, {"np": np})

    x = leaf([1.0, 2.0])
    with pytest.raises((TypeError, ValueError), match="doubled"):
        gn.custom_gradient(doubled)(x).sum().backward()
    assert not x.grad.any()


def test_custom_returns_none(own):
    def product(a, b):
        return a * b, lambda g: (None, g * a)

    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    own(product)(x, y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0] and y.grad.tolist() == [1.0, 2.0]


def test_custom_keeps_what_forward_saw():
    """The pullback's arrays are those of the forward pass, and whoever writes to data meanwhile does not reach them."""

    def squared(a):
        return a * a, lambda g: 2 * a * g

    x = leaf([1.0, 2.0])
    alias = x.data
    y = gn.custom_gradient(squared)(x).sum()
    alias[...] = 9
    x.data[...] = 9
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_reentrant_backward(own):
    """A derivative that builds a graph of its own and differentiates it."""

    def cubed(a):
        def pullback(g):
            inner = leaf(a)
            (inner * inner * inner).sum().backward()
            return g * inner.grad

        return a**3, pullback

    x = leaf([1.0, 2.0])
    own(cubed)(x * 1).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


def test_reentrant_backward_onto_the_same_leaf(own):
    """The inner backward adds to a leaf that the outer one has yet to reach: both arrive."""
    x = leaf([1.0, 2.0])

    def doubled(a):
        def pullback(g):
            (x * 10).sum().backward()
            return 2 * g

        return 2 * a, pullback

    own(doubled)(x * 1).sum().backward()
    assert x.grad.tolist() == [12.0, 12.0]


def test_forward_error_leaves_state():
    x, buffer = leaf([1.0, 2.0]), np.ones(2)
    h = x * x
    rows = settled_rows()
    for wrong in "h + np.ones(3)", "h @ np.ones(3)", "np.concatenate([h, np.ones((2, 2))])", "h[5]", "h.reshape(3)", "h.sum(axis=4)", "h * 'a'":
        with pytest.raises((ValueError, TypeError, IndexError)):
            eval(wrong, {"np": np, "h": h})
    with pytest.raises(ValueError):
        h += np.ones(3)
    with pytest.raises((ValueError, IndexError)):
        h[:1] = np.ones(3)
    assert _graph.live_rows() == rows
    (h * buffer).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    x.data[...] = buffer[...] = 7
