"""Random programs: what people do with tensors, in any order, against examples/00_engine_in_60_lines.py; and random graphs, against PyTorch, too.

A program is a list of steps, and a step the name of a method of `Program` with three small numbers, of which each method makes
something that is allowed: so short lists are simple programs, and Hypothesis reports the simplest one that fails. Each step
is done to tensors of ours, and its meaning to tensors of the example: there, a write into an array is a new value, reading
and writing at an index are products with matrices of zeros and ones, and nothing is ever given back.

500 programs in the suite; for more, `GRADNERVE_PROGRAMS=20000 python -m pytest tests/test_random_programs.py`, with another seed each time,
which is in the name of the test. Read next: test_mutation.py, every way to write into an array, one by one.
"""

import gc
import operator
import os
import random
import sys
import traceback
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import example

import gradnerve as gn
from gradnerve import _graph

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import event, given, seed, settings  # noqa: E402
from hypothesis import example as program_found  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# ---- engines ---------------------------------------------------------------------------------------------------------------

NAMES = ["add", "subtract", "multiply", "divide", "matmul", "power", "tanh", "exp", "log", "relu", "sum", "mean", "reshape", "transpose"]
R = example("00_engine_in_60_lines")
REACHED = SimpleNamespace(largest=0.0)  # the largest gradient on its way: what rounding is measured by


def measured(g, shape, unbroadcast=R.unbroadcast):
    REACHED.largest = max(REACHED.largest, np.abs(g).max(initial=0))
    return unbroadcast(g, shape)


R.unbroadcast = measured


def engine(module, leaf, value=lambda t: t.data, grad=lambda t: t.grad, watch=lambda t: t, **functions):
    """What `node` and `run` need to know of an engine: its functions, and how to make and read tensors."""
    functions = {name: getattr(module, name, None) for name in NAMES} | functions
    return SimpleNamespace(**functions, leaf=leaf, value=value, grad=grad, watch=watch)


def places(shape):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape)


def one_hot(rows, n):
    return (np.reshape(rows, (-1, 1)) == np.arange(n)).astype(float)


def picked(x, index):
    """x[index], of operations of the example."""
    found = places(x.data.shape)[index]
    return R.reshape(R.matmul(one_hot(found, x.data.size), R.reshape(x, (-1, 1))), np.shape(found))


def joined(x, y):
    n, m = x.data.size, y.data.size
    return R.reshape(np.eye(n + m, n) @ R.reshape(x, (-1, 1)) + np.eye(n + m, m, -n) @ R.reshape(y, (-1, 1)), (-1,))


def placed(x, index, y):
    """`x` after x[index] = y: of several writes to one place, the last counts."""
    found = places(x.data.shape)[index]
    y = R.multiply(y, np.ones(np.shape(found)))
    writer = np.full(x.data.shape, -1)
    writer[index] = places(y.data.shape)
    written = R.reshape(R.matmul(one_hot(writer, y.data.size), R.reshape(y, (-1, 1))), x.data.shape)
    return R.multiply(x, writer < 0) + written


def ties(x):
    largest = x == x.max(0)
    return largest / largest.sum(0)


def safe_root(x, mask):
    """The square root where the mask is 1; at 0, the example's and PyTorch's derivative behind a mask would be NaN."""
    return (x * mask + (1.0 - mask)) ** 0.5 * mask


def root_behind_a_mask(x):
    with np.errstate(all="ignore"):
        return np.where(x > 0, np.sqrt(x), 0)


EXAMPLE = engine(
    R,
    leaf=lambda a: R.Tensor(a, requires_grad=True),
    index=picked,
    join=joined,
    where=lambda mask, x, y: x * mask.astype(float) + y * (~mask).astype(float),
    largest=lambda x: R.sum(R.multiply(x, ties(x.data)), 0),
    root=lambda x: safe_root(x, (x.data > 0) * 1.0),
    slope=lambda x, y: (1.0 - R.tanh(x) ** 2) * y,
    second_slope=lambda x, y: x * R.tanh(y),
    again=lambda x, y: R.tanh(x) * y,
)
PLAIN = engine(
    np,
    leaf=np.array,
    relu=lambda x: np.maximum(x, 0),
    index=lambda x, index: x[index],
    join=lambda x, y: np.concatenate([x.ravel(), y.ravel()]),
    where=np.where,
    largest=lambda x: x.max(0),
    root=root_behind_a_mask,
    slope=lambda x, y: ((1 - np.tanh(x) ** 2) * y).astype(x.dtype),
    second_slope=lambda x, y: (x * np.tanh(y)).astype(x.dtype),
    again=lambda x, y: np.tanh(x) * y,
)
OURS = engine(
    gn,
    leaf=lambda a: gn.Tensor(a, requires_grad=True),
    value=lambda t: t._array,  # .data would change who holds it
    index=lambda x, index: x[index],
    join=lambda x, y: np.concatenate([x.ravel(), y.ravel()]),
    where=np.where,
    largest=lambda x: np.max(x, axis=0),
    root=root_behind_a_mask,
    slope=lambda x, y: gn.grad(lambda u: gn.sum(gn.tanh(u) * y))(x),
    second_slope=lambda x, y: gn.grad(lambda u: gn.sum(gn.grad(lambda v: gn.sum(v**3 * gn.tanh(y)) / 6)(u)))(x),
    again=lambda x, y: gn.checkpoint(lambda u, v: gn.tanh(u) * v, x, y),
)


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
        index=lambda x, index: x.reshape(-1)[torch.tensor(np.array(places(tuple(x.shape))[index]))],
        join=lambda x, y: torch.cat([x.reshape(-1), y.reshape(-1)]),
        where=lambda mask, x, y: torch.where(torch.as_tensor(mask), x, y),
        largest=lambda x: torch.amax(x, 0),
        root=lambda x: safe_root(x, (x > 0).to(x.dtype)),
        slope=lambda x, y: (1.0 - torch.tanh(x) ** 2) * y,
        second_slope=lambda x, y: x * torch.tanh(y),
        again=lambda x, y: torch.tanh(x) * y,
    )


# ---- what a node may be; all keep the numbers of a deep graph in bounds -----------------------------------------------------


def clear(*values):
    """Whether all engines have numbers on the same sides of 0, and rounding does not decide."""
    return all(((np.abs(v) > 1e-3) | (v == 0)).all() and np.array_equal(np.sign(v), np.sign(values[0])) for v in values)


INDEX = [
    lambda n: 0,
    lambda n: slice(None, None, -1),
    lambda n: slice(1, None, 2),
    lambda n: [0, 0, n - 1],
    lambda n: np.array([[0, n - 1], [-1, 0]]),
    lambda n: np.arange(n) % 2 == 0,
    lambda n: (Ellipsis, None),
    lambda n: np.zeros(0, int),
    lambda n: (np.array([0, -1, 0]), Ellipsis),
]
always = lambda *values: True
has_axis = lambda *values: values[0].ndim > 0
has_rows = lambda *values: values[0].ndim > 0 and len(values[0]) > 0
UNARY = [  # when, what
    (always, lambda e, x: e.tanh(x)),
    (always, lambda e, x: e.exp(e.tanh(x))),
    (always, lambda e, x: e.log(x * x + 1.0)),
    (clear, lambda e, x: e.relu(x)),
    (always, lambda e, x: e.tanh(x) ** 2),
    (always, lambda e, x: e.power(e.tanh(x), 3.0)),
    (always, lambda e, x: 1.0 - 0.5 * x),
    (always, lambda e, x: -x),
    (always, lambda e, x: 2.0 / (x * x + 1.0)),
    (always, lambda e, x: e.sum(e.tanh(x))),
    (lambda *values: values[0].size, lambda e, x: e.mean(x)),
    (has_axis, lambda e, x: e.sum(e.tanh(x), 0)),
    (lambda *values: values[0].ndim and values[0].size, lambda e, x: e.mean(x, -1)),
    (always, lambda e, x: e.transpose(x)),
    (always, lambda e, x: e.reshape(x, (-1,))),
    (always, lambda e, x: e.reshape(x, (-1, 1))),
    (always, lambda e, x: e.add(x, x)),
    (lambda *values: has_rows(*values) and clear(*(v.max(0) - v for v in values)), lambda e, x: e.largest(x)),
    *[(has_rows, lambda e, x, k=k: e.index(x, INDEX[k](len(e.value(x))))) for k in range(len(INDEX))],
    (clear, lambda e, x: e.root(x)),
]
ROOT = len(UNARY) - 1


def fits(x, y):
    try:
        return np.prod(np.broadcast_shapes(x, y)) <= 200
    except ValueError:
        return False


def halves(e, x, y):
    return e.where(places(np.broadcast_shapes(np.shape(e.value(x)), np.shape(e.value(y)))) % 2 == 0, x, y)


BINARY = [
    (fits, lambda e, x, y: e.add(x, y)),
    (fits, lambda e, x, y: e.subtract(x, y)),
    (fits, lambda e, x, y: e.multiply(e.tanh(x), y)),
    (fits, lambda e, x, y: e.divide(x, y * y + 1.0)),
    (fits, lambda e, x, y: e.power(e.exp(e.tanh(x)), e.tanh(y))),
    (fits, lambda e, x, y: e.tanh(x) * e.tanh(y) + x),
    (fits, lambda e, x, y: e.again(x, y)),
    (fits, halves),
    (lambda x, y: np.prod(x) + np.prod(y) <= 60, lambda e, x, y: e.join(x, y)),
    (operator.eq, lambda e, x, y: e.slope(x, y)),
    (operator.eq, lambda e, x, y: e.second_slope(x, y)),
]
WHATS = len(UNARY) + 3 * len(BINARY)


def choice(what, xs, ys):
    """What a number stands for, by the values of both operands in all engines: two that do not fit are multiplied as matrices if they
    can be, else the first is taken."""
    a, b = xs[0].shape, ys[0].shape
    if what >= len(UNARY):
        allowed, f = BINARY[what % len(BINARY)]
        if allowed(a, b):
            return f
        if len(a) == len(b) == 2 and a[1] == b[0]:
            return lambda e, x, y: e.tanh(e.matmul(x, y))
    allowed, f = UNARY[what % len(UNARY)]
    return lambda e, x, y: f(e, x) if allowed(*xs) else e.tanh(x)


# ---- graphs ----------------------------------------------------------------------------------------------------------------

LEAVES = [(3, 4), (4,), (3, 1), (), (4, 3), (1, 4), (1,)]


def grown(e, nodes, graph):
    """The nodes, and those that each triple, (what, one operand, another), adds."""
    for what, one, other in graph:
        x, y = nodes[-1 - one % len(nodes)], nodes[-1 - other % len(nodes)]
        nodes.append(e.watch(choice(what, [e.value(x)], [e.value(y)])(e, x, y)))
    return nodes


def run(e, graph, backward=lambda total: total.backward()):
    """Values and gradients of all nodes after backward from the sum of what nobody uses."""
    rng = np.random.default_rng(len(graph))
    nodes = grown(e, [e.leaf(rng.normal(size=shape)) for shape in LEAVES], graph)
    total = e.leaf(np.zeros(()))
    for x in nodes[-4:]:
        total = e.add(total, e.sum(e.tanh(x)))
    backward(total)
    return [e.value(x) for x in nodes], [e.grad(x) for x in nodes]


def equal(ours, theirs):
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def lists(step):
    """Of about twenty steps: left alone, Hypothesis would make lists of six, and from a list of lists, it can still go down to one."""
    return st.lists(st.lists(step, min_size=1, max_size=6), min_size=1, max_size=10).map(lambda parts: [step for part in parts for step in part])


graphs = lists(st.tuples(st.integers(0, WHATS - 1), st.integers(0, 12), st.integers(0, 12)))
quick = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@quick
@given(graphs)
def test_second_run_gives_the_same_bits(graph):
    for first, second in zip(run(OURS, graph), run(OURS, graph), strict=True):
        assert [a.tobytes() for a in first] == [a.tobytes() for a in second]


@quick
@given(graphs)
def test_walk_by_hand(graph):
    """Calling `_backward` in reverse topological order, as the tutorials do, gives what backward gives; but it knows nothing of masks further on."""
    graph = [(0 if what % len(UNARY) == ROOT else what, *operands) for what, *operands in graph]
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
def test_second_derivative(graph, seed):
    """u H v = v H u, and H v is the difference of two gradients of the example."""
    rng = np.random.default_rng(seed)
    x, u, v = rng.normal(size=(3, *LEAVES[0]))
    smooth = [(0 if UNARY[what % len(UNARY)][0] not in (always, has_axis, has_rows) else what, *operands) for what, *operands in graph[:12]]

    def value(e, t):
        nodes = grown(e, [e.leaf(np.full(shape, 0.5)) for shape in LEAVES[1:]] + [t], smooth)
        return sum((e.sum(e.tanh(t)) for t in nodes[-3:]), 0.0)

    def gradient(a):
        forget_example()
        t = EXAMPLE.leaf(a)
        value(EXAMPLE, t).backward()
        return t.grad

    def along(a):
        return gn.grad(lambda t: gn.sum(gn.grad(lambda t: value(OURS, t))(t) * a))(x).data

    before = _graph.live_rows()
    hu, hv = along(u), along(v)
    assert _graph.live_rows() == before
    np.testing.assert_allclose(np.sum(v * hu), np.sum(u * hv), rtol=1e-8, atol=1e-10)
    h = 1e-4
    difference = (8 * (gradient(x + h * v) - gradient(x - h * v)) - gradient(x + 2 * h * v) + gradient(x - 2 * h * v)) / (12 * h)
    np.testing.assert_allclose(hv, difference, rtol=1e-5, atol=1e-7)


def forget_example():
    """Its tables only grow."""
    for table in (R.nodes, R.edges, R.handles):
        table.clear()


# ---- programs --------------------------------------------------------------------------------------------------------------

PROGRAMS = int(os.environ.get("GRADNERVE_PROGRAMS", 500))
SEED = random.SystemRandom().randrange(2**32) if "GRADNERVE_PROGRAMS" in os.environ else 0
SHAPES = [(3, 4), (4,), (3, 1), (), (1, 4), (4, 3), (1,), (2, 3, 4), (0,), (0, 4)]
LAYOUTS = [
    lambda v: v,
    lambda v: np.array(v, order="F"),
    lambda v: v.astype(v.dtype.newbyteorder()),
    lambda v: np.stack([v, v])[1],
    lambda v: np.frombuffer(bytearray(b"\0" + v.tobytes() + bytes(8)), v.dtype, v.size, 1).reshape(v.shape),  # at an odd address
    lambda v: locked(v),
    lambda v: np.broadcast_to(v[..., :1], v.shape),
    lambda v: np.repeat(v, 2, -1)[..., ::2],
    lambda v: v[::-1],
    lambda v: v.T.copy().T,
]
WAYS = [  # how a leaf is made, and whether it shares the caller's array
    (lambda a: gn.Tensor(a, requires_grad=True), False),
    (lambda a: gn.asarray(a).requires_grad_(), True),
    (lambda a: gn.asarray(a), True),
    (lambda a: gn.Tensor(a), False),
]
ROUTES = [
    lambda t: t.data,
    lambda t: np.asarray(t),
    lambda t: t.numpy().T,
    lambda t: np.from_dlpack(t),
    lambda t: np.asarray(memoryview(t.data)),
    lambda t: t.data[...],
]
WRITES = [
    lambda a, v: a.fill(v),
    lambda a, v: operator.setitem(a, ..., v),
    lambda a, v: a.__iadd__(v),
    lambda a, v: np.multiply(a, v, out=a, casting="unsafe"),
    lambda a, v: operator.setitem(a[:1] if a.ndim else a, ..., v),
    lambda a, v: operator.setitem(a.flat, slice(0, 2), v),
]
whole = lambda a: a
ASSIGNMENTS = [  # what it writes to, as a step on a tensor or an array h, and its meaning
    (whole, lambda h, v: operator.setitem(h, ..., v), lambda h, v: placed(h, ..., v)),
    (lambda a: a[0], lambda h, v: operator.setitem(h, 0, v), lambda h, v: placed(h, 0, v)),
    (lambda a: a[::-2], lambda h, v: operator.setitem(h, slice(None, None, -2), v), lambda h, v: placed(h, slice(None, None, -2), v)),
    (lambda a: a[[0, -1, 0]], lambda h, v: operator.setitem(h, [0, -1, 0], v), lambda h, v: placed(h, [0, -1, 0], v)),
    (whole, operator.iadd, R.add),
    (whole, operator.isub, R.subtract),
    (whole, lambda h, v: operator.imul(h, np.tanh(v)), lambda h, v: h * R.tanh(v)),
    (whole, lambda h, v: operator.itruediv(h, v * v + 1), lambda h, v: h / (v * v + 1.0)),
    (whole, lambda h, v: np.add(h, v, out=h, casting="same_kind"), R.add),
    (whole, lambda h, v: np.subtract(v, h, out=h, casting="same_kind"), lambda h, v: v - h),
    (whole, lambda h, v: np.tanh(h + v, out=h, casting="same_kind"), lambda h, v: R.tanh(h + v)),
    (whole, lambda h, v: np.copyto(h, v), lambda h, v: placed(h, ..., v)),
    (whole, lambda h, v: np.subtract(h, v, out=h, where=odd(h), casting="same_kind"), lambda h, v: h - v * odd(h.data)),
]
CONSTANTS = [
    (fits, lambda e, x, a: e.multiply(x, a)),
    (fits, lambda e, x, a: e.multiply(a, x)),
    (fits, lambda e, x, a: e.subtract(a, x)),
    (fits, lambda e, x, a: e.divide(a, x * x + 1.0)),
    (fits, lambda e, x, a: e.power(e.exp(e.tanh(x)), a)),
    (lambda x, a: len(x) == len(a) == 2 and x[1] == a[0], lambda e, x, a: e.matmul(x, a)),
    (lambda x, a: len(x) == len(a) == 2 and a[1] == x[0], lambda e, x, a: e.matmul(a, x)),
]
SEEDS = [
    np.ones_like,
    lambda v: v,
    np.float32,
    lambda v: np.array(v, order="F"),
    lambda v: np.broadcast_to(0.5, v.shape),
    gn.Tensor,
    lambda v: v.T.copy().T,
]
OWN = ["custom_gradient", "Function", "by hand", "hook"]


def locked(v):
    v = v.copy()
    v.flags.writeable = False
    return v


def odd(a):
    return places(np.shape(a)) % 2 == 1


def fits_into(shape, target):
    return fits(shape, target) and np.broadcast_shapes(shape, target) == target


def float64(a):
    return np.array(a, np.float64)


class Boom(Exception):
    pass


class Fuse:
    """What makes the own operations below raise in backward."""

    armed = False

    @staticmethod
    def burn(*ignored):
        if Fuse.armed:
            raise Boom


@gn.custom_gradient
def own_tanh(x):
    out = np.tanh(x)

    def pullback(g):
        Fuse.burn()
        return g * (1 - out * out)

    return out, pullback


class OwnTanh(gn.Function):
    @staticmethod
    def forward(ctx, x):
        out = np.tanh(x)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        Fuse.burn()
        (out,) = ctx.saved_tensors
        return g * (1 - out * out)


class ByHand:
    """A `_backward` for child = tanh(x). It holds both until backward has passed."""

    def __init__(self, x):
        self.x, self.child = x, gn.Tensor(np.tanh(x.data), _prev=(x,))
        self.slope = 1 - np.tanh(x.data) ** 2
        self.child._backward = self

    def __call__(self):
        self.x.grad += self.child.grad * self.slope
        Fuse.burn()


class Pair:
    """A tensor of ours, and the one of the example that it has to agree with.

    group  the same for all tensors, arrays and aliases that may share memory in the eyes of a user
    """

    def __init__(self, ours, theirs, group):
        self.ours, self.theirs, self.group = ours, theirs, group


class Array:
    """An array of the caller's, and what is to be in it."""

    def __init__(self, array, group):
        self.array, self.group, self.content = array, group, array.copy()


def near(found, expected, exact, largest=0.0):
    """Whether two arrays differ by rounding only; `largest` is what was added up on the way."""
    tolerance = 1e-9 if exact else 1e-3
    return np.shape(found) == np.shape(expected) and (np.abs(found - expected) <= tolerance * (np.abs(expected) + largest + 1e-3)).all()


def raises(error, call, *args):
    """Call, and expect the error; of which nothing is kept."""
    try:
        call(*args)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


class Program:
    """The state of a program, with its steps as methods that take three small numbers."""

    def __init__(self):
        forget_example()
        REACHED.largest, Fuse.armed = 0.0, False
        self.rows = _graph.live_rows()
        self.exact = True  # until there is a tensor of float32
        self.pairs, self.arrays, self.aliases = [], [], []
        self.freed, self.fused = set(), set()  # nodes of the example
        self.rules = weakref.WeakSet()  # the ByHand that a row of the graph holds
        self.seen = []

    def run(self, steps):
        for name, a, b, c in steps:
            if not self.pairs:
                self.leaf(a, b, c)
            getattr(self, name)(a, b, c)
        self.finish()

    # what steps have in common

    def is_held(self, t):
        """Whether a function made by hand holds the tensor, and will read its gradient."""
        return any(t is held for rule in self.rules for held in (rule.x, rule.child))

    def pick(self, k):
        return self.pairs[-1 - k % len(self.pairs)]

    def keep(self, ours, theirs, group=None):
        self.exact = self.exact and ours.dtype == np.float64
        self.pairs.append(Pair(ours, theirs, group or object()))
        self.seen.append(weakref.ref(ours))
        self.check_value(self.pairs[-1])

    def check_value(self, pair):
        assert pair.ours.requires_grad == pair.theirs.requires_grad
        assert near(pair.ours._array, pair.theirs.data, self.exact, np.abs(pair.theirs.data).max(initial=0))

    def check(self):
        """All values and gradients, what the caller's arrays hold, and the number of rows."""
        for pair in self.pairs:
            self.check_value(pair)
            grad = pair.ours.grad
            if grad is None:
                assert not pair.theirs.requires_grad
            else:
                assert grad.dtype == pair.ours.dtype and near(grad, pair.theirs.grad, self.exact, REACHED.largest)
        self.check_arrays()
        self.check_rows()

    def check_arrays(self):
        for a in self.arrays:
            assert np.array_equal(a.array, a.content)

    def check_rows(self):
        """The graph has the rows that can be reached from tensors that are held, and no others."""
        tensors = [p.ours for p in self.pairs] + [t for rule in self.rules for t in (rule.x, rule.child)]
        nodes, edges = set(), set()
        for t in tensors:
            if t.requires_grad and t._row not in nodes:
                below = gn.graph(t)
                nodes |= set(below.nodes["row"].tolist())
                edges |= set(below.edges["edge"].tolist())
        assert _graph.live_rows() == (self.rows[0] + len(nodes), self.rows[1] + len(edges))

    def computed(self, f, x, y):
        """The result of a function of two pairs in all engines, NumPy among them, which says what dtype it has."""
        plain = np.asarray(f(PLAIN, x.ours._array.copy(), y.ours._array.copy()))
        ours = f(OURS, x.ours, y.ours)
        assert (ours.dtype, ours.shape) == (plain.dtype, plain.shape)
        assert near(ours._array, plain, plain.dtype == np.float64, np.abs(plain).max(initial=0))
        return ours, f(EXAMPLE, x.theirs, y.theirs)

    def chosen(self, a, b, c):
        x, y = self.pick(b), self.pick(c)
        return choice(a % WHATS, [x.ours._array, x.theirs.data], [y.ours._array, y.theirs.data]), x, y

    def written(self, group, write, *args):
        """Write into memory of this group: no other tensor or array has changed, and of those that have, the values are what they are."""
        before = [(p, p.ours._array.copy()) for p in self.pairs]
        write(*args)
        for p, old in before:
            if not np.array_equal(p.ours._array, old):
                assert p.group is group
                p.theirs.data = float64(p.ours._array)
        for a in self.arrays:
            if not np.array_equal(a.array, a.content):
                assert a.group is group
                a.content = a.array.copy()

    # the steps

    def leaf(self, a, b, c):
        """A leaf or a constant, from an array of any layout."""
        shape, rng = SHAPES[a % len(SHAPES)], np.random.default_rng(len(self.seen))
        values = rng.normal(size=shape) if a % 2 else rng.integers(-4, 5, shape) / 2  # with ties, and zeros
        array = LAYOUTS[b % len(LAYOUTS) if shape else b % 6](values.astype(np.float32 if c % 8 == 7 else np.float64))
        make, shares = WAYS[c // 8 % len(WAYS)]
        self.arrays.append(Array(array, object()))
        ours = make(array)
        event(f"leaf: layout {b % len(LAYOUTS) if shape else b % 6}")
        self.keep(ours, R.Tensor(array, requires_grad=ours.requires_grad), self.arrays[-1].group if shares else None)

    def apply(self, a, b, c):
        """An operation on two tensors."""
        event("apply")
        self.keep(*self.computed(*self.chosen(a, b, c)))

    def apply_constant(self, a, b, c):
        """An operation on a tensor and an array of the caller's, which may be written to later."""
        x, (allowed, f) = self.pick(b), CONSTANTS[a % len(CONSTANTS)]
        fit = [k for k in self.arrays if k.array.dtype.kind == "f" and allowed(x.ours.shape, k.array.shape)]
        if fit:
            event("apply to an array")
            k = fit[c % len(fit)]
            self.keep(f(OURS, x.ours, k.array), f(EXAMPLE, x.theirs, float64(k.array)))

    def apply_index(self, a, b, c):
        """Elements at places that an array of the caller's names."""
        x = self.pick(b)
        if has_rows(x.ours._array):
            event("apply an index of the caller's")
            n = len(x.ours)
            self.arrays.append(Array(np.array([0, c % n, 0, a % n, -1]), object()))
            index = self.arrays[-1]
            self.keep(x.ours[index.array], picked(x.theirs, index.content))

    def apply_gradient(self, a, b, c):
        """An operation on a tensor and the gradient of another, which later passes add to."""
        x, y = self.pick(b), self.pick(c)
        if y.ours.requires_grad and fits(x.ours.shape, y.ours.shape):
            event("apply to a gradient")
            self.keep(np.tanh(x.ours) * y.ours.grad, R.tanh(x.theirs) * y.theirs.grad.copy())

    def untracked(self, a, b, c):
        """An operation, or an assignment, under no_grad."""
        with gn.no_grad():
            if a % 2:
                event("no_grad: apply")
                ours, theirs = self.computed(*self.chosen(a, b, c))
                self.keep(ours, R.Tensor(theirs.data))
            else:
                event("no_grad: assign")
                self.assign(a // 2, b, c, tracking=False)

    def detach(self, a, b, c):
        x = self.pick(a)
        event("detach")
        ours = x.ours.detach() if b % 2 else gn.asarray(x.ours.data)
        self.keep(ours, R.Tensor(x.theirs.data), x.group)

    def assign(self, a, b, c, tracking=True):
        """Write a tensor into another: it stands for a new value."""
        results = [p for p in self.pairs if not p.ours.is_leaf]
        h, v = results[-1 - b % len(results)] if results and b % 4 else self.pick(b // 4), self.pick(c)
        part, step, meaning = ASSIGNMENTS[a % len(ASSIGNMENTS)]
        array, tracked = h.ours._array.copy(), tracking and (h.ours.requires_grad or v.ours.requires_grad)
        if self.is_held(h.ours) or (part is not whole and not has_rows(array)) or not fits_into(v.ours.shape, part(array).shape):
            return
        if tracked and h.ours.requires_grad and h.ours.is_leaf:
            event("assign: to a leaf")
            raises(gn.GraphError, step, h.ours, v.ours)
        elif not tracked and not h.ours.data.flags.writeable:
            event("assign: read-only")
            if h.ours._array is not v.ours._array:  # NumPy copies an array to itself
                raises(ValueError, step, h.ours, v.ours)
        else:
            event("assign: tracked" if tracked else "assign: untracked")
            step(array, v.ours._array.copy())
            theirs = meaning(h.theirs, v.theirs)
            h.group = object() if tracked else h.group
            self.written(h.group, step, h.ours, v.ours)
            h.theirs = theirs if tracked else h.theirs
            assert h.ours.dtype == array.dtype and near(h.ours._array, array, array.dtype == np.float64)
            self.check_value(h)

    def write(self, a, b, c):
        """Write into the data of a tensor, by some way of getting at it."""
        x, route, write = self.pick(b), ROUTES[a % len(ROUTES)], WRITES[c % len(WRITES)]
        if x.ours.data.flags.writeable:
            event(f"write: route {a % len(ROUTES)}")
            array = route(x.ours)
            self.written(x.group, write, array, (c - 15) / 8)
            assert np.array_equal(array, route(x.ours))

    def alias(self, a, b, c):
        """Hold the data of a tensor, to write to it later."""
        x = self.pick(b)
        if x.ours.data.flags.writeable:
            event(f"alias: route {a % len(ROUTES)}")
            self.aliases.append((ROUTES[a % len(ROUTES)](x.ours), x.group))

    def overwrite(self, a, b, c):
        """Write through an alias, or into an array of the caller's."""
        targets = self.aliases + [(k.array, k.group) for k in self.arrays if k.array.flags.writeable]
        if targets:
            array, group = targets[-1 - a % len(targets)]
            event("overwrite")
            self.written(group, WRITES[c % len(WRITES)], array, 0 if array.dtype.kind == "i" else (c - 15) / 8)

    def forget_alias(self, a, b, c):
        if self.aliases:
            event("forget an alias")
            del self.aliases[a % len(self.aliases)]

    def rebind(self, a, b, c):
        """Another array becomes the data of a tensor: the caller's own, if it has the dtype."""
        x = self.pick(b)
        event("rebind")
        values = np.random.default_rng(a).integers(-4, 5, x.ours.shape) / 2
        array = LAYOUTS[c % len(LAYOUTS) if values.ndim else c % 6](np.asarray(values))
        self.arrays.append(Array(array, object()))
        x.group = self.arrays[-1].group
        x.ours.data = array
        assert x.ours._array.dtype.isnative and np.array_equal(x.ours._array, array)
        x.theirs.data = float64(array)

    def change_gradient(self, a, b, c):
        """Assign to a gradient, or write into it."""
        x, value, kind = self.pick(b), (c - 15) / 8, a % 4
        if not x.ours.requires_grad:
            raises(gn.GraphError, setattr, x.ours, "grad", np.ones(x.ours.shape))
            return
        event(f"gradient: change {kind}")
        REACHED.largest = max(REACHED.largest, abs(value))
        if kind == 0:
            x.ours.zero_grad()
        elif kind == 1:
            x.ours.grad += value
        elif kind == 2:
            x.ours.grad[...] = value
        else:
            x.ours.grad = np.full(x.ours.shape, value)
        x.theirs.grad[...] = [0, x.theirs.grad + value, value, value][kind]

    def own(self, a, b, c):
        """An operation, or a hook, that raises in backward where the fuse is armed."""
        x, kind = self.pick(b), OWN[a % len(OWN)]
        if kind in ("by hand", "hook") and not x.ours.requires_grad:
            return
        event(f"own: {kind}")
        theirs = R.tanh(x.theirs)
        if kind == "hook":
            x.ours.register_hook(Fuse.burn)
            theirs = x.theirs
        elif kind == "by hand":
            self.rules.add(rule := ByHand(x.ours))
            self.keep(rule.child, theirs)
        else:
            self.keep((own_tanh if kind == "custom_gradient" else OwnTanh.apply)(x.ours), theirs)
        if theirs.requires_grad:
            self.fused.add(theirs.node)

    def seed(self, kind, x):
        """A gradient to start from."""
        shape = x.ours.shape
        values = np.random.default_rng(kind).integers(-4, 5, shape) / 2
        if kind % 8 == 7:
            return np.ones((*shape, 2))
        if kind % 8 == 0 and x.ours.size == 1:
            return None
        return SEEDS[kind % 8 % 7](values)

    def behind(self, theirs):
        """The nodes of the example that backward would visit, and those among them that are results."""
        reached = set(R.count_users(theirs.node))
        return reached, {n for n in reached if R.nodes[n][1] < R.nodes[n][2]}

    def backward(self, a, b, c):
        """From any tensor, with any seed; c says whether to retain the graph, whether to look at all gradients, and whether to arm the fuse."""
        x, retain, look, Fuse.armed = self.pick(a // 2), c % 2 == 1, c // 2 % 2 == 1, c // 4 % 2 == 1
        seed = self.seed(b, x)
        kept = None if seed is None else np.array(seed)
        error, released = self.outcome(x, wrong=b % 8 == 7)
        event(f"backward: {error.__name__ if error else 'retains' if retain else 'releases'}{', from a result' if released else ''}")
        if error:
            raises(error, x.ours.backward, seed, retain)
        else:
            x.ours.backward(seed, retain_graph=retain)
            REACHED.largest = max(REACHED.largest, 2.0)
            x.theirs.backward(1.0 if seed is None else float64(kept))
        self.freed |= set() if retain else released
        Fuse.armed = False
        assert seed is None or np.array_equal(kept, np.array(seed))
        if isinstance(seed, np.ndarray) and seed.flags.writeable:
            seed[...] = 9  # it is the caller's
        if look:
            self.check()

    def outcome(self, x, wrong):
        """The error that backward has to raise, or None; and the nodes of the example that it releases."""
        if not x.ours.requires_grad:
            return gn.GraphError, set()
        reached, results = self.behind(x.theirs)
        if results & self.freed:
            return gn.GraphError, set()
        if wrong:
            return gn.ShapeError, set()
        return Boom if Fuse.armed and reached & self.fused else None, results

    def mistake(self, a, b, c):
        """What cannot work, as no tensor has more than 200 elements, raises, and all is as it was."""
        x = self.pick(b).ours
        calls = [
            (gn.ShapeError, lambda: x @ np.ones((251, 11))),
            (gn.ShapeError, lambda: x.reshape(251)),
            (IndexError, lambda: x[251]),
            (ZeroDivisionError, lambda: gn.grad(lambda u: gn.sum(u * x) * (1 / 0))(x)),
            (gn.ShapeError, lambda: setattr(x, "data", np.ones((7, 13)))),
            ((gn.ShapeError, gn.GraphError), lambda: setattr(x, "grad", np.ones((7, 13)))),
            ((ValueError, gn.GraphError), lambda: operator.setitem(x, ..., np.ones((7, 13)))),
            ((ValueError, gn.GraphError), lambda: operator.iadd(x, np.ones((7, 13)))),
        ]
        event(f"mistake {a % len(calls)}")
        raises(*calls[a % len(calls)])

    def forget(self, a, b, c):
        """Drop one tensor, every second one, or all that are younger than one; what is dropped is gone at once, and so is what only it held."""
        event(f"forget {b % 3}")
        n = len(self.pairs)
        which = [[a % n], range(a % 2, n, 2), range(a % n, n)][b % 3]
        for k in sorted(which, reverse=True):
            self.drop(k)
        self.check_rows()

    def drop(self, k):
        gone = weakref.ref(self.pairs[k].ours)
        del self.pairs[k]
        assert gone() is None or self.is_held(gone())

    def collect(self, a, b, c):
        event("collect")
        gc.collect(a % 3)
        self.check_rows()

    def look(self, a, b, c):
        event("look")
        self.check()

    def finish(self):
        """Once more through all that was not released; then nothing is left."""
        self.keep(*self.total())
        self.backward(0, 0, 2)
        for rule in list(self.rules):
            rule.x = rule.child = None
        while self.pairs:
            self.drop(-1)
        assert [t() for t in self.seen if t() is not None] == [] and _graph.live_rows() == self.rows
        self.aliases.clear()
        self.check_arrays()
        fresh = Array(np.ones(1), None)
        assert {sys.getrefcount(a.array) for a in self.arrays} <= {sys.getrefcount(fresh.array)}

    def total(self):
        ours, theirs = gn.Tensor(0.0, requires_grad=True), R.Tensor(0.0, requires_grad=True)
        for x in self.pairs[-4:]:
            if x.ours.requires_grad and not self.behind(x.theirs)[1] & self.freed:
                ours, theirs = ours + gn.sum(gn.tanh(x.ours)), theirs + R.sum(R.tanh(x.theirs))
        return ours, theirs


STEPS = """
apply apply apply apply apply apply apply apply leaf leaf leaf backward backward backward assign assign assign assign untracked
apply_constant apply_constant apply_index apply_gradient write write alias overwrite overwrite rebind detach forget forget
own own own change_gradient look mistake forget_alias collect
""".split()
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 63), st.integers(0, 15), st.integers(0, 31))


@pytest.mark.parametrize("number", [SEED])
@settings(max_examples=PROGRAMS, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck))
@seed(SEED)
@given(program=lists(step))
@program_found(program=[("apply", 53, 0, 0)])  # what gn.grad gave, held by the caller, got no gradient
@program_found(program=[("apply", 0, 0, 0), ("backward", 0, 0, 0), ("apply", 53, 0, 0)])  # gn.grad refused what a backward had released
@program_found(program=[("apply", 0, 0, 0), ("own", 1, 0, 0), ("forget", 1, 0, 0)])  # the graph held the arguments of a Function
def test_programs(number, program):
    gc.freeze()  # what is older, hypothesis's records of all programs, takes the collector longer than a program
    try:
        Program().run(program)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold tensors, whose rows the next program would miss
        raise
    finally:
        gc.unfreeze()
