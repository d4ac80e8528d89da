"""Random graphs: the compiled engine against examples/00_engine_in_60_lines.py, and against PyTorch.

A graph is a list of triples of small numbers, (what, one operand, another), each of which adds a node: short lists are simple
graphs, so Hypothesis reports the simplest one that fails.
"""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gradnerve as gn
from gradnerve import _graph

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

LEAVES = [(3, 4), (4,), (3, 1), (), (4, 3), (1, 4), (1,)]
NAMES = ["add", "subtract", "multiply", "divide", "matmul", "power", "tanh", "exp", "log", "relu", "sum", "mean", "reshape", "transpose"]


def sixty_lines():
    path = Path(__file__).parents[1] / "examples" / "00_engine_in_60_lines.py"
    spec = importlib.util.spec_from_file_location("engine_in_60_lines", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return engine(module, lambda a: module.Tensor(a, requires_grad=True), forget=lambda: (module.nodes.clear(), module.edges.clear()))


def engine(module, leaf, value=lambda t: t.data, grad=lambda t: t.grad, watch=lambda t: t, **functions):
    """What `run` needs to know of an engine: its functions, and how to make and read tensors."""
    functions = {name: getattr(module, name, None) for name in NAMES} | functions
    return SimpleNamespace(**functions, leaf=leaf, value=value, grad=grad, watch=watch)


def compiled():
    return engine(gn, lambda a: gn.Tensor(a, requires_grad=True))


def pytorch():
    torch = pytest.importorskip("torch")

    def watch(t):
        t.retain_grad()
        return t

    return engine(
        torch,
        leaf=lambda a: torch.tensor(a, requires_grad=True),
        value=lambda t: t.detach().numpy(),
        grad=lambda t: np.zeros(tuple(t.shape)) if t.grad is None else t.grad.numpy(),
        watch=watch,
        power=torch.pow,
        transpose=lambda x: x.permute(tuple(reversed(range(x.ndim)))),
    )


def axis_of(e, f, x, axis):
    return f(x, axis) if np.ndim(e.value(x)) else f(x)


# What a node may be; all keep the numbers of a deep graph in bounds.
UNARY = [
    lambda e, x: e.tanh(x),
    lambda e, x: e.exp(e.tanh(x)),
    lambda e, x: e.log(x * x + 1.0),
    lambda e, x: e.relu(x),
    lambda e, x: e.tanh(x) ** 2,
    lambda e, x: e.power(e.tanh(x), 3.0),
    lambda e, x: 1.0 - 0.5 * x,
    lambda e, x: -x,
    lambda e, x: 2.0 / (x * x + 1.0),
    lambda e, x: e.sum(e.tanh(x)),
    lambda e, x: e.mean(x),
    lambda e, x: axis_of(e, e.sum, e.tanh(x), 0),
    lambda e, x: axis_of(e, e.mean, x, -1),
    lambda e, x: e.transpose(x),
    lambda e, x: e.reshape(x, (-1,)),
    lambda e, x: e.reshape(x, (-1, 1)),
    lambda e, x: e.add(x, x),
]
BINARY = [
    lambda e, x, y: e.add(x, y),
    lambda e, x, y: e.subtract(x, y),
    lambda e, x, y: e.multiply(e.tanh(x), y),
    lambda e, x, y: e.divide(x, y * y + 1.0),
    lambda e, x, y: e.power(e.exp(e.tanh(x)), e.tanh(y)),
    lambda e, x, y: e.tanh(x) * e.tanh(y) + x,
]


def fits(x, y):
    try:
        return np.prod(np.broadcast_shapes(x, y)) <= 200
    except ValueError:
        return False


def node(e, what, x, y):
    """The node that a triple stands for; two operands that do not fit are multiplied as matrices if they can be, else the first is taken."""
    a, b = np.shape(e.value(x)), np.shape(e.value(y))
    if what >= len(UNARY) and fits(a, b):
        return BINARY[what % len(BINARY)](e, x, y)
    if what >= len(UNARY) and len(a) == len(b) == 2 and a[1] == b[0]:
        return e.tanh(e.matmul(x, y))
    return UNARY[what % len(UNARY)](e, x)


def run(e, graph, backward=lambda total: total.backward()):
    """Values and gradients of all nodes after backward from the sum of what nobody uses."""
    rng = np.random.default_rng(len(graph))
    nodes = [e.leaf(rng.normal(size=shape)) for shape in LEAVES]
    for what, one, other in graph:
        nodes.append(e.watch(node(e, what, nodes[-1 - one % len(nodes)], nodes[-1 - other % len(nodes)])))
    total = e.leaf(np.zeros(()))
    for x in nodes[-4:]:
        total = e.add(total, e.mean(e.tanh(x)))
    backward(total)
    return [e.value(x) for x in nodes], [e.grad(x) for x in nodes]


def equal(ours, theirs):
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


triple = st.tuples(st.integers(0, len(UNARY) + 3 * len(BINARY) - 1), st.integers(0, 12), st.integers(0, 12))
graphs = st.lists(triple, min_size=1, max_size=40)
quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
OURS, EXAMPLE = compiled(), sixty_lines()


@quick
@given(graphs)
def test_against_the_engine_in_sixty_lines(graph):
    """Values and gradients of every node that is held agree, and all rows are given back."""
    before = _graph.live_rows()
    values, grads = run(OURS, graph)
    assert _graph.live_rows() == before
    expected_values, expected_grads = run(EXAMPLE, graph)
    EXAMPLE.forget()  # its tables only grow
    equal(values, expected_values)
    equal(grads, expected_grads)


@quick
@given(graphs)
def test_second_run_gives_the_same_bits(graph):
    for first, second in zip(run(OURS, graph), run(OURS, graph), strict=True):
        assert [a.tobytes() for a in first] == [a.tobytes() for a in second]


@quick
@given(graphs)
def test_walk_by_hand(graph):
    """Calling `_backward` in reverse topological order, as the tutorials do, gives what backward gives."""
    equal(run(OURS, graph, walk)[1], run(OURS, graph)[1])


def walk(root):
    order, seen, stack = [], set(), [(root, iter(root._prev))]
    while stack:
        t, parents = stack[-1]
        parent = next((p for p in parents if p not in seen), None)
        if parent is None:
            order.append(stack.pop()[0])
            seen.add(t)
        else:
            seen.add(parent)
            stack.append((parent, iter(parent._prev)))
    root.grad = np.ones(root.shape)
    for t in reversed(order):
        t._backward()


@quick
@given(graphs)
def test_against_torch(graph):
    values, grads = run(OURS, graph)
    expected_values, expected_grads = run(pytorch(), graph)
    equal(values, expected_values)
    equal(grads, expected_grads)


@quick
@given(graphs, st.integers(0, 2**32 - 1))
def test_hessian_is_symmetric(graph, seed):
    """The recorded sweep: u H v = v H u, and H v is the difference of two gradients."""
    short = graph[:12]
    rng = np.random.default_rng(seed)
    x, u, v = rng.normal(size=(3, *LEAVES[0]))

    def f(t):
        nodes = [gn.asarray(np.full(shape, 0.5)) for shape in LEAVES[1:]] + [t]
        for what, one, other in short:
            smooth = 0 if what % len(UNARY) == 3 else what  # relu' jumps
            nodes.append(node(OURS, smooth, nodes[-1 - one % len(nodes)], nodes[-1 - other % len(nodes)]))
        return sum((gn.mean(gn.tanh(t)) for t in nodes[-3:]), 0.0)

    before = _graph.live_rows()
    gradient = gn.grad(f)

    def along(a):
        return gn.grad(lambda t: gn.sum(gradient(t) * a))(x).data

    hu, hv = along(u), along(v)
    assert _graph.live_rows() == before
    np.testing.assert_allclose(np.sum(v * hu), np.sum(u * hv), rtol=1e-8, atol=1e-10)
    h = 1e-4
    difference = (8 * (gradient(x + h * v).data - gradient(x - h * v).data) - gradient(x + 2 * h * v).data + gradient(x - 2 * h * v).data) / (12 * h)
    np.testing.assert_allclose(hv, difference, rtol=1e-5, atol=1e-7)
