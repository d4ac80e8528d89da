"""Functions that hold what they were made for: the garbage collector frees such graphs, and no graph that anybody can still differentiate.

A row of the graph holds a function, the function a Tensor, and that its row: by itself nobody would ever free them. Read next: Keeper in
csrc/graph.pyx.
"""

import gc
import random
import weakref

import numpy as np
import pytest
from helpers import leaf, settled_rows

import gradnerve as gn
from gradnerve import _graph


@pytest.fixture(autouse=True)
def only_when_asked():
    gc.collect()
    gc.disable()
    gc.freeze()  # all that is older is not looked at, which takes longer than the tests
    yield
    gc.unfreeze()
    gc.enable()


def doubled(held):
    """An operation of one's own, whose pullback reads the tensors in `held`."""
    return gn.custom_gradient(lambda a: (2 * a, lambda g: 2 * g + 0 * sum(t.data.sum() for t in held)))


def by_hand(parent, *held):
    child = gn.Tensor(2 * parent.data, _prev=(parent,))

    def backward():
        parent.grad += 2 * child.grad + 0 * sum(t.data.sum() for t in held)

    child._backward = backward
    return child


class Doubled(gn.Function):
    """An operation whose `ctx` gets the result in an attribute, later."""

    @staticmethod
    def forward(ctx, a, keep):
        keep(ctx)
        return 2 * a

    @staticmethod
    def backward(ctx, g):
        return 2 * g + 0 * ctx.result.data, None


def own_result(x):
    held = []
    held.append(doubled(held)(x))
    return held[0]


def one_of_several_results(x):
    held = []
    held += gn.custom_gradient(lambda a: ((2 * a, 3 * a), lambda g, h: 2 * g + 3 * h + 0 * held[0].data))(x)
    return held[0]


def context(x):
    box = []
    y = Doubled.apply(x, box.append)
    box.pop().result = y
    return y


def later_result(x):
    held = []
    y = doubled(held)(x)
    held.append(np.tanh(y * 3 + 1).sum())
    return y


def chain_by_hand(x):
    y = by_hand(x)
    for _ in range(9):
        y = by_hand(y)
    return y / 2**9


def chain_of_functions(x):
    held, y = [], x
    for _ in range(10):
        y = doubled(held)(y)
    held.append(y)
    return y / 2**9


def hook(x):
    y = 2 * x
    y.register_hook(lambda g: g + 0 * y.data)
    return y


def hook_of_a_leaf(x):
    x.register_hook(lambda g: g + 0 * x.data)
    return 2 * x


def hook_of_a_leaf_that_holds_a_result(x):
    held = []
    x.register_hook(lambda g: g + 0 * held[0].data)
    held.append(2 * x)
    return held[0]


class Layer:
    def __init__(self, x):
        self.double = gn.custom_gradient(lambda a: (2 * a, lambda g: 2 * g + 0 * self.out.data))
        self.out = self.double(x) * 1.0


def attribute(x):
    return Layer(x).out


def subclass(x):
    class Named(gn.Tensor):
        pass

    y = Named(2 * x.data, _prev=(x,))
    y.me = [y]
    y._backward = lambda: setattr(x, "grad", x.grad + 2 * y.grad)
    return y


MAKERS = (own_result, one_of_several_results, context, later_result, by_hand, chain_by_hand, chain_of_functions, hook, hook_of_a_leaf,
          hook_of_a_leaf_that_holds_a_result, attribute, subclass)  # fmt: skip


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("way", ["dropped", "differentiated", "kept for more"])
def test_one_collection_frees_all(make, way):
    rows, gone = settled_rows(), []
    for _ in range(10):
        x = leaf(np.ones(1000))
        y = make(x)
        if way != "dropped":
            y.sum().backward(retain_graph=way == "kept for more")
            assert (x.grad == 2).all()
        gone += [weakref.ref(x), weakref.ref(y), weakref.ref(x.data)]
        del x, y
    gc.collect()
    assert not any(ref() for ref in gone) and _graph.live_rows() == rows


@pytest.mark.parametrize("make", [own_result, by_hand, hook])
@pytest.mark.parametrize("backward", [False, True])
def test_three_hundred_of_a_megabyte(make, backward):
    """Backward breaks the cycle, and reference counts do the rest; else the collector does."""
    rows, gone = settled_rows(), []
    for k in range(300):
        x = leaf(np.ones(131_072))
        y = make(x)
        if backward:
            y.sum().backward()
            assert x.grad[0] == 2
        gone += [weakref.ref(x), weakref.ref(y), weakref.ref(x.data)]
        del x, y
        if not backward and k % 50 == 49:
            gc.collect()
        assert gone[-1]() is None or (not backward and k % 50 != 49)
    assert all(ref() is None for ref in gone) and _graph.live_rows() == rows


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("kept", ["itself", "what was computed from it", "both"])
def test_what_can_be_differentiated_stays(make, kept):
    x = leaf(np.ones(3))
    y = make(x)
    z = y * 3 if kept != "itself" else None
    if kept == "what was computed from it":
        y = None
    for _ in range(3):
        gc.collect()
    (y if z is None else z).backward(np.ones(3))
    assert (x.grad == (2 if z is None else 6)).all()


def test_a_sweep_in_progress_is_held():
    """The collector runs in the middle of a sweep whose caller holds nothing else."""
    x = leaf(np.ones(3))
    held = []

    def pullback(g):
        gc.collect()
        return 2 * g + 0 * held[0].data

    middle = gn.custom_gradient(lambda a: (2 * a, pullback))
    held.append(middle(x * 1))
    (held[0] * 3).backward(np.ones(3))
    assert (x.grad == 6).all()


class Collecting(gn.Tensor):
    """At its end the collector runs."""

    def __del__(self):
        gc.collect()


def test_the_collector_runs_while_rows_are_freed():
    """It looks at functions whose rows are next in the list of those to be freed."""
    rows, x = settled_rows(), leaf(np.ones(3))
    ends = gn.concatenate([doubled([leaf(1.0), Collecting(1.0)])(x) for _ in range(5)])
    assert ends.requires_grad
    del ends, x
    assert _graph.live_rows() == rows


def test_functions_are_let_go_as_soon_as_backward_has_passed():
    held = [leaf(np.ones(3))]
    y, seen = doubled(held)(held[0]), weakref.ref(held[0])
    y.sum().backward()
    held.clear()
    assert seen() is None and y.requires_grad


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_with_functions(seed):
    """Nodes of all kinds, functions that hold any of them, names that are dropped in any order, collections in between.

    Each node is twice its parents' sum, so that a gradient counts the paths.
    """
    rows, choose = settled_rows(), random.Random(seed)
    x = leaf(1.0)
    nodes, paths = [x], [1]
    for _ in range(60):
        k, j = choose.randrange(len(nodes)), choose.randrange(len(nodes))
        held = choose.sample(nodes, min(len(nodes), choose.randrange(4)))
        kind = choose.randrange(5)
        if kind == 0:
            made, n = by_hand(nodes[k], *held), 2 * paths[k]
        elif kind == 1:
            made, n = doubled(held)(nodes[k]), 2 * paths[k]
            held.append(made)
        elif kind == 2:
            made, n = 2 * nodes[k] + 2 * nodes[j], 2 * paths[k] + 2 * paths[j]
            made.register_hook(lambda g, made=made: g + 0 * made.data)
        else:
            made, n = (nodes[k] + nodes[j]) * 2, 2 * paths[k] + 2 * paths[j]
        nodes.append(made)
        paths.append(n)
        if choose.random() < 0.3:
            drop = choose.randrange(1, len(nodes))
            del nodes[drop], paths[drop]
        if choose.random() < 0.3:
            gc.collect()
    gc.collect()
    gc.collect()
    for node, n in zip(nodes[1:], paths[1:], strict=True):
        x.zero_grad()
        node.backward(retain_graph=True)
        assert x.grad == n
    del x, nodes, held, made, node
    for _ in range(60):  # rows between functions that several hold are freed one layer after the other
        gc.collect()
    assert _graph.live_rows() == rows
