"""Threads of the user's: graphs of their own and graphs that they share, at the worst times to be interrupted.

In this file Python changes threads as often as it can. Numbers are whole wherever sums are compared, so that the order of adding makes no difference.
"""

import gc
import itertools
import os
import sys
import sysconfig
import threading
import time
import warnings
import weakref

import numpy as np
import pytest
from helpers import SANITIZED, leaf, settled_rows, works

import gradnerve as gn
import gradnerve.nn.functional as F
from gradnerve import _loops, _memory, nn, optim
from gradnerve.data import DataLoader
from gradnerve.ops.define import elementwise

MANY = 2_000  # elements: above 500, NumPy copies and adds without the GIL


@pytest.fixture(autouse=True)
def restless():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def rows_return():
    before = settled_rows()
    yield
    assert settled_rows() == before


def together(*jobs, times=1):
    """Run all jobs at once, each in a thread, so many times; the first error of any is raised here."""
    errors, ready = [], threading.Barrier(len(jobs))

    def run(job):
        try:
            ready.wait()
            for _ in range(times):
                job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def repeated(times):
    """Decorator: run it so often, at once."""
    return lambda function: [function() for _ in range(times)]


def raises(kind, job):
    try:
        job()
    except kind:
        return True
    return False


# ---- leaves and values that threads share --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, MANY, 50_000])
def test_a_shared_leaf_gets_the_exact_sum_also_while_others_look(size):
    """Looking at `.grad` makes zeros, or a copy of what was lent: what another thread adds meanwhile must not be lost."""

    @repeated(20)
    def _():
        x = leaf(np.ones(size))
        sweeps = [lambda k=k: (x * k).sum().backward() for k in range(1, 5)]
        together(*sweeps, lambda: x.grad, lambda: x.grad.sum(), times=5)
        assert (x.grad == 5 * (1 + 2 + 3 + 4)).all()


def test_looking_at_a_value_loses_no_update():
    """The graph has saved the array, so whoever asks for it first gives the tensor a copy, and there is one first."""

    @repeated(60)
    def _():
        p = leaf(np.zeros(200_000))
        square = p * p

        def step():
            p.data += 1

        together(step, lambda: np.asarray(p), lambda: p.data, lambda: np.asarray(p))
        assert (p.data == 1).all()
        square.backward(np.ones(200_000))
        assert not p.grad.any()


READERS = [np.exp, lambda h: h * h, lambda h: np.sum(h * 1.0), lambda h: np.cumsum(h), lambda h: np.where(h > 0, h, 0.0)]


@pytest.mark.parametrize("function", READERS)
def test_a_value_and_its_row_belong_together(function):
    """While one thread computes with a tensor, another lets the name stand for a new value: the gradient is of the one that was read."""
    start = np.full(100_000, 2.0)
    right = {}
    for factor in (1.0, 3.0):
        x = leaf(start)
        y = function(x * factor)
        y.backward(np.ones(y.shape))
        right[float(y.data.flat[0])] = x.grad

    def move(h):
        h *= 3.0

    @repeated(25)
    def _():
        x, found = leaf(start), []
        h = x * 1.0
        together(lambda: found.append(function(h)), lambda: move(h))
        (y,) = found
        y.backward(np.ones(y.shape))
        np.testing.assert_array_equal(x.grad, right[float(y.data.flat[0])])


def test_a_leaf_that_loses_its_row_while_another_thread_records(rows_return):
    """The argument is copied for the graph without the GIL, as somebody else holds it."""
    delays = iter(np.linspace(0, 0.004, 40))

    @repeated(40)
    def _():
        x, w = leaf(np.full(500_000, 2.0)), leaf(np.full(500_000, 3.0))
        held, made = x.data, []

        def stop():
            time.sleep(next(delays))
            x.requires_grad = False
            made.extend(leaf(float(k)) for k in range(20))  # which take the row

        together(lambda: made.append(x * w), stop)
        product = next(t for t in made if t.size > 1)
        product.backward(np.ones(500_000))
        assert (w.grad == held).all() and not any(t.grad for t in made if t.size == 1)

    works()


def test_a_gradient_that_arrives_while_another_is_given():
    """The garbage collector runs a finaliser at any allocation, one in the middle of the end of a backward among them."""
    hits = []

    class Late:
        def __init__(self):
            self.me = self

        def __del__(self):
            (x * 1.0).sum().backward()
            hits.append(1)

    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    try:
        for threshold in range(60, 140):
            gc.disable()
            x, others = leaf(np.ones(3)), [leaf(np.ones(2)) for _ in range(30)]
            total = sum((t.sum() for t in others), (x * 1.0).sum())
            hits.clear()
            Late()
            gc.set_threshold(threshold, 10, 10)
            gc.enable()
            total.backward()
            gc.collect()
            assert len(hits) == 1 and x.grad.tolist() == [2.0] * 3
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
        gc.enable()


def test_hand_made_children_of_a_shared_leaf():
    """While a function by hand runs, its parents' gradients are put aside: for all threads, so one function at a time."""
    x = leaf(1.0)

    def by_hand():
        y = gn.Tensor(3.0 * x.data, _prev=(x,))

        def backward():
            share = 3.0 * y.grad
            x.grad = x.grad + share

        y._backward = backward
        y.backward()

    for _ in range(20):
        x.zero_grad()
        together(by_hand, by_hand, by_hand, times=10)
        assert x.grad == 90


# ---- one graph, many sweeps ----------------------------------------------------------------------------------------------

N = 60
REAL = np.linspace(0.5, 1.5, N * N).reshape(N, N) / N + np.eye(N)
COMPLEX = REAL + 0.5j * REAL.T
SHARED = {
    "elementwise": (REAL, lambda x: (np.tanh(x * x) + np.exp(x) * x**3).sum()),
    "linear": (REAL, lambda x: sum((x * k for k in range(20)), x).sum()),
    "matmul": (REAL, lambda x: (x @ x).sum()),
    "inv": (REAL, lambda x: np.linalg.inv(x).sum()),
    "softmax": (REAL, lambda x: F.softmax(x, 1)[:, 0].sum()),
    "complex matmul": (COMPLEX, lambda x: (x @ x).real.sum()),  # the gradient is conjugated, by NumPy, before the line reads what was saved
    "complex einsum": (COMPLEX, lambda x: np.einsum("ij,jk->ik", x, x).real.sum()),
    "complex solve": (COMPLEX, lambda x: np.linalg.solve(x, COMPLEX).real.sum()),
    "checkpoint": (REAL, lambda x: gn.checkpoint(lambda x: np.sin(x) * x, x).sum()),
}


def meeting(y, n):
    """Let n sweeps from `y` begin before the first of them goes on."""
    here = threading.Barrier(n)

    def wait(g):
        raises(threading.BrokenBarrierError, lambda: here.wait(0.1))

    y.register_hook(wait)


@pytest.mark.parametrize("name", SHARED)
def test_one_graph_swept_by_four_threads(name, rows_return):
    """Each call either raises, or counts exactly once (row 98)."""
    start, function = SHARED[name]
    x = leaf(start)
    function(x).backward()
    once = x.grad

    @repeated(15)
    def _():
        x = leaf(start)
        y, refused = function(x), []
        meeting(y, 4)
        together(*[lambda: refused.append(raises(gn.GraphError, y.backward))] * 4)
        np.testing.assert_array_equal(x.grad, sum([once] * refused.count(False), np.zeros_like(once)))


@pytest.mark.parametrize("name", SHARED)
def test_one_graph_kept_for_four_threads(name):
    start, function = SHARED[name]
    x = leaf(start)
    function(x).backward()
    once = x.grad
    x = leaf(start)
    y = function(x)
    together(*[lambda: y.backward(retain_graph=True)] * 4, times=3)
    np.testing.assert_array_equal(x.grad, sum([once] * 12))


def test_a_hook_is_not_forgotten_by_a_second_sweep():
    """The first sweep drops the hooks with the row; adding needs nothing saved, so the second could go on without them."""

    @repeated(40)
    def _():
        x = leaf(np.ones(3))
        h = x + 1.0
        h.register_hook(lambda g: g * 10)
        y, refused = (h + h).sum(), []
        meeting(y, 3)
        together(*[lambda: refused.append(raises(gn.GraphError, y.backward))] * 3)
        assert x.grad.tolist() == [20.0 * refused.count(False)] * 3


def test_dropping_what_another_thread_sweeps(rows_return):
    @repeated(20)
    def _():
        x = leaf(np.full(MANY, 1.5))
        parts = [x * x]
        for _ in range(30):
            parts.append(parts[-1] * 1.0 + x)
        y = parts[-1].sum()
        together(y.backward, parts.clear, lambda: [leaf(1.0) * 2 for _ in range(100)])
        assert (x.grad == 2 * 1.5 + 30).all()


def test_made_in_one_thread_swept_in_another_freed_in_a_third(rows_return):
    made, swept, right = [], [], []

    def make():
        for k in range(50):
            x = leaf(np.full(MANY, float(k)))
            made.append((x, (x * x + x).sum(), k))

    def sweep():
        for _ in range(50):
            while not made:
                time.sleep(0)
            x, y, k = made.pop()
            y.backward()
            swept.append((x, y, k))

    def free():
        for _ in range(50):
            while not swept:
                time.sleep(0)
            x, y, k = swept.pop()
            watched = weakref.ref(x)
            right.append((x.grad == 2 * k + 1).all() and np.shape(y.data) == ())
            del x, y
            right.append(watched() is None or k)  # the other threads' last pair may still have a name there

    together(make, sweep, free)
    assert len(right) == 100 and all(r is not False for r in right)


# ---- modes, hooks, functions of functions ----------------------------------------------------------------------------------


def test_modes_are_of_a_thread():
    x, zero = leaf(np.ones(3)), leaf(np.zeros(3))

    @gn.no_grad()
    def quiet():
        with gn.enable_grad():
            inside = (x * 2).requires_grad
        return inside and not (x * 2).requires_grad

    def mixed():
        with gn.no_grad():
            assert not (x * 2).requires_grad
            with gn.enable_grad():
                assert (x * 2).requires_grad and quiet()
            assert not np.exp(x).requires_grad
        assert (x * 2).requires_grad and quiet()

    def strict():
        with np.errstate(divide="raise"):
            assert raises(FloatingPointError, lambda: np.log(zero)) and (x * 2).requires_grad

    def tolerant():
        with np.errstate(divide="ignore"), warnings.catch_warnings():
            assert np.isinf(np.log(zero).data).all() and (x * 2).requires_grad

    def raising():
        with gn.no_grad():
            raise KeyError

    together(mixed, strict, tolerant, mixed, strict, lambda: raises(KeyError, raising) and mixed(), times=100)


def test_one_block_is_not_for_two_threads():
    block, found = gn.no_grad(), []
    with block, block:
        thread = threading.Thread(target=lambda: found.append(raises(gn.GraphError, block.__enter__) and leaf(1.0) * 2))
        thread.start()
        thread.join()
    assert found[0].requires_grad and (leaf(1.0) * 2).requires_grad
    thread = threading.Thread(target=lambda: block.__enter__() and found.append(leaf(1.0) * 2))  # which is free now
    thread.start()
    thread.join()
    assert not found[1].requires_grad and (leaf(1.0) * 2).requires_grad


def test_intermediate_gradients_of_a_thread_are_its_own():
    def work():
        x = leaf(np.arange(4.0))
        h = x * 3.0
        seen = []
        handle = h.register_hook(lambda g: seen.append(g.data.tolist()))
        (h * h).sum().backward()
        assert seen == [(2 * h.data).tolist()] and h.grad.tolist() == seen[0] and x.grad.tolist() == (6 * h.data).tolist()
        handle.remove()

    together(*[work] * 6, times=50)


def test_functions_of_functions_in_threads():
    a = np.linspace(0.2, 1.0, 5)
    f = lambda x: np.sum(np.sin(x) * x**2)
    slope = np.cos(a) * a**2 + 2 * a * np.sin(a)
    curve = 2 * np.sin(a) + 4 * a * np.cos(a) - a**2 * np.sin(a)
    close = lambda found, right: np.testing.assert_allclose(found.data, right, rtol=1e-12)
    jobs = [
        lambda: close(gn.grad(f)(a), slope),
        lambda: close(gn.grad(lambda x: gn.grad(f)(x).sum())(a), curve),
        lambda: close(gn.hvp(f)(a, np.full(5, 2.0)), 2 * curve),
        lambda: close(gn.vmap(gn.grad(f))(np.stack([a, a])), np.stack([slope, slope])),
        lambda: close(gn.jacobian(gn.grad(f))(a), np.diag(curve)),
        lambda: close(gn.grad(lambda x: gn.checkpoint(f, x))(a), slope),
        lambda: close(gn.jvp(f, (a,), (np.ones(5),))[1], slope.sum()),
    ]
    together(*jobs, times=15)


def test_a_line_that_many_threads_meet_first():
    """Each traces it, and only one program stays."""
    x0 = np.linspace(0, 1, 5)

    @repeated(20)
    def _():
        bell = elementwise(lambda x: np.exp(-x * x), name="bell", x=lambda g, x: -2 * x * np.exp(-x * x) * g)

        def work():
            x = leaf(x0)
            bell(x).sum().backward()
            np.testing.assert_allclose(x.grad, -2 * x0 * np.exp(-x0 * x0), rtol=1e-14)

        together(*[work] * 6)


# ---- networks, optimizers, data ----------------------------------------------------------------------------------------------


def network():
    gn.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 2))


X = np.random.default_rng(5).normal(size=(8, 4)).astype(np.float32)


def test_a_network_that_threads_only_read():
    net = network().eval()
    before = {name: value.copy() for name, value in net.state_dict().items()}
    right = net(X).data.copy()

    def work():
        with gn.no_grad():
            np.testing.assert_array_equal(net(X).data, right)
        np.testing.assert_array_equal(net(X).data, right)

    together(*[work] * 6, times=20)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_gradient_by_a_network_that_threads_share():
    """`gn.grad` lets the network's tensors trade places with its own during the call: that is one thread's turn at a time."""
    net = network().eval()
    own = list(net.parameters())
    before = [p.data.copy() for p in own]

    def loss(net, x):
        time.sleep(0.001)  # in which the others come
        return (net(x) ** 2).sum()

    right = gn.grad(loss)(net, X)

    def work():
        for name, g in gn.grad(loss)(net, X).items():
            np.testing.assert_array_equal(g.data, right[name].data)

    together(*[work] * 4, times=10)
    assert all(p.is_leaf and p.requires_grad and (p.data == b).all() for p, b in zip(own, before, strict=True))
    loss(net, X).backward()
    for name, p in net.named_parameters():
        np.testing.assert_allclose(p.grad, right[name].data, rtol=1e-5)


def trained(make, steps=8):
    p, q = leaf(np.linspace(-1, 1, 300)), leaf(np.ones(300))
    optimizer = make([p, q])
    for _ in range(steps):
        optimizer.zero_grad()
        (np.tanh(p * q) ** 2).sum().backward()
        optimizer.step()
    return np.concatenate([p.data, q.data])


def test_an_optimizer_in_each_thread():
    makers = [lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9), lambda ps: optim.Adam(ps, lr=0.1), lambda ps: optim.RMSprop(ps, lr=0.01)]
    right = [trained(make) for make in makers]

    def work(k):
        np.testing.assert_array_equal(trained(makers[k]), right[k])

    together(*[lambda k=k: work(k % 3) for k in range(6)], times=10)


def test_a_loader_in_each_thread():
    def work(k):
        data = np.arange(40.0) + 100 * k
        loader = DataLoader(data, batch_size=8, num_workers=k % 3)
        assert [batch.tolist() for batch in loader] == data.reshape(5, 8).tolist()

    together(*[lambda k=k: work(k) for k in range(5)], times=3)


@pytest.mark.skipif(SANITIZED, reason="bytes are counted all the time, and no array is used again")
def test_arrays_are_used_again_after_counts_that_overlap():
    first, second = _memory.Count(), _memory.Count()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not _loops.keep_arrays(False)
    second.__exit__(None, None, None)
    assert _loops.keep_arrays(True)


# ---- anything at any time -----------------------------------------------------------------------------------------------------


def gradient(f, *values):
    """The value and the gradients of a function's sum."""
    leaves = [leaf(v) for v in values]
    y = f(*leaves)
    y.sum().backward()
    return y.data, *[x.grad for x in leaves]


def stretched(v, n):
    return np.resize(v, n)


def unrolled(x, w):
    h = x
    for _ in range(5):
        h = np.tanh(h * w)
    return h


def by_hand_unrolled(v, w):
    values = [v]
    for _ in range(5):
        values.append(np.tanh(values[-1] * w))
    g, dw = np.ones_like(v), np.zeros_like(w)
    for before, after in zip(values[-2::-1], values[:0:-1], strict=True):
        g = g * (1 - after**2)
        dw, g = dw + g * before, g * w
    return values[-1], g, dw


def moved(x):
    h = x * 2.0
    h[:2] = 0.0
    h += x
    return h


def no_gradient(v):
    with gn.no_grad():
        y = leaf(v) * 2
    return y.data, np.array(y.requires_grad)


def refused(v):
    x = leaf(v)
    y = (x * x).sum()
    y.backward()
    return x.grad, np.array(raises(gn.GraphError, y.backward))


def scaled(v):
    t = gn.custom_gradient(lambda x: (x * 2, lambda g: g * 2))
    return gradient(lambda x: t(x) * x, v)


def second(v):
    return (gn.grad(lambda x: gn.grad(lambda x: np.sum(x**4))(x).sum())(v).data,)


def stepped(v):
    p = leaf(v)
    optimizer = optim.SGD([p], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    return p.data, p.grad


ones, wide, tall = np.ones_like, lambda v: v.reshape(2, 3), lambda v: v.reshape(3, 2)
soft = lambda v: np.exp(v - v.max()) / np.exp(v - v.max()).sum()
JOBS = {  # what a thread does with a vector of 6 numbers between 1/2 and 3/2, and the formula for that
    "multiply": (lambda v: gradient(lambda x, y: x * y, v, v[::-1]), lambda v: (v * v[::-1], v[::-1], v)),
    "square": (lambda v: gradient(lambda x: x * x, v), lambda v: (v * v, 2 * v)),
    "exp": (lambda v: gradient(np.exp, v), lambda v: (np.exp(v), np.exp(v))),
    "tanh": (lambda v: gradient(np.tanh, v), lambda v: (np.tanh(v), 1 - np.tanh(v) ** 2)),
    "log": (lambda v: gradient(np.log, v), lambda v: (np.log(v), 1 / v)),
    "power": (lambda v: gradient(lambda x, y: x**y, v, v), lambda v: (v**v, v * v ** (v - 1), v**v * np.log(v))),
    "sum": (lambda v: gradient(lambda x: x.sum() * x, v), lambda v: (v.sum() * v, v.sum() + v.sum() * ones(v))),
    "matmul": (lambda v: gradient(lambda a, b: a @ b, wide(v), tall(v)),
               lambda v: (wide(v) @ tall(v), np.ones((2, 2)) @ tall(v).T, wide(v).T @ np.ones((2, 2)))),
    "broadcast": (lambda v: gradient(lambda x, y: x * y, v[:, None], v[:3]),
                  lambda v: (v[:, None] * v[:3], np.full((6, 1), v[:3].sum()), np.full(3, v.sum()))),
    "index": (lambda v: gradient(lambda x: x[[0, 0, 2, 5]], v), lambda v: (v[[0, 0, 2, 5]], np.array([2.0, 0, 1, 0, 0, 1]))),
    "max": (lambda v: gradient(lambda x: np.max(x), v), lambda v: (v.max(), (v == v.max()) / (v == v.max()).sum())),
    "softmax": (lambda v: gradient(lambda x: F.softmax(x, 0) * v, v), lambda v: (soft(v) * v, soft(v) * (v - (soft(v) * v).sum()))),
    "cumsum": (lambda v: gradient(np.cumsum, v), lambda v: (np.cumsum(v), np.arange(6.0, 0, -1))),
    "sort": (lambda v: gradient(lambda x: np.sort(x) * np.arange(6), v), lambda v: (np.sort(v) * np.arange(6), np.argsort(np.argsort(v)) * 1.0)),
    "unrolled": (lambda v: gradient(unrolled, v, v[::-1]), lambda v: by_hand_unrolled(v, v[::-1])),
    "moved": (lambda v: gradient(moved, v), lambda v: (v * [1, 1, 3, 3, 3, 3], np.array([1.0, 1, 3, 3, 3, 3]))),
    "no_grad": (no_gradient, lambda v: (2 * v, np.array(False))),
    "twice": (refused, lambda v: (2 * v, np.array(True))),
    "custom": (scaled, lambda v: (2 * v * v, 4 * v)),
    "second": (second, lambda v: (12 * v**2,)),
    "checkpoint": (lambda v: gradient(lambda x: gn.checkpoint(lambda x: np.sin(x) * x, x), v), lambda v: (np.sin(v) * v, np.cos(v) * v + np.sin(v))),
    "step": (stepped, lambda v: (0 * v, 0 * v)),
    "large": (lambda v: gradient(lambda x, y: x * y, stretched(v, 40_000), stretched(v, 40_000) + 1),
              lambda v: (stretched(v, 40_000) * (stretched(v, 40_000) + 1), stretched(v, 40_000) + 1, stretched(v, 40_000))),
}  # fmt: skip


def test_ten_thousand_calls_of_anything():
    """Every result has the bits that it had when nothing else ran, and these are right."""
    rng = np.random.default_rng(11)
    vectors = rng.uniform(0.5, 1.5, (4, 6))
    right = {}
    for (name, (job, formula)), (k, v) in itertools.product(JOBS.items(), enumerate(vectors)):
        right[name, k] = job(v)
        for found, expected in zip(right[name, k], formula(v), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)

    def work(seed):
        names = list(JOBS)
        for draw, k in np.random.default_rng(seed).integers(0, [len(names), len(vectors)], (1250, 2)):
            found = JOBS[names[draw]][0](vectors[k])
            assert all(map(np.array_equal, found, right[names[draw], k])), names[draw]

    rows = settled_rows()
    together(*[lambda k=k: work(k) for k in range(8)])
    assert settled_rows() == rows


# ---- who holds the GIL -----------------------------------------------------------------------------------------------------------


def steps_of_others(f):
    """How far another Python thread gets while `f` runs, which hands over the GIL only where it lets it go of its own accord."""
    steps, over = itertools.count(), threading.Event()

    def count():
        while not over.is_set():
            next(steps)
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    time.sleep(0.01)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        before = next(steps)
        f()
        return next(steps) - before - 1
    finally:
        sys.setswitchinterval(interval)
        over.set()
        thread.join()


def both_ways(f, *shapes):
    """The forward pass, and the backward pass, with numbers in arrays of these shapes."""
    rng = np.random.default_rng(1)
    leaves = [leaf(rng.uniform(0.5, 1.5, shape).astype(np.float32)) for shape in shapes]
    y = f(*leaves)
    seed = np.ones(y.shape, y.dtype)
    return lambda: f(*leaves), lambda: y.backward(seed)


def update_of(kind):
    p = leaf(np.ones(10**7, np.float32))
    p.grad = p.data
    optimizer = kind([p], lr=0.1)
    optimizer.step()
    return (optimizer.step,)


ROWS, IMAGES, BIG = (10_000, 500), (8, 16, 128, 128), 5 * 10**6
RELEASED = {
    "ufunc": lambda: both_ways(np.exp, BIG),
    "line of many": lambda: both_ways(F.gelu, BIG),
    "two arrays": lambda: both_ways(lambda x, y: x * y, BIG, BIG),
    "broadcast": lambda: both_ways(lambda x, y: x * y, ROWS, ROWS[1]),
    "strided": lambda: both_ways(lambda x: x[:, ::2] * 2.0, ROWS),
    "sum": lambda: both_ways(lambda x: x.sum(), BIG)[:1],
    "sum along": lambda: both_ways(lambda x: x.sum(0), ROWS)[:1],
    "max": lambda: both_ways(lambda x: x.max(1), ROWS),
    "matmul": lambda: both_ways(lambda x, y: x @ y, (700, 700), (700, 700)),
    "convolution": lambda: both_ways(lambda x, w: F.conv2d(x, w, padding=1), IMAGES, (16, 16, 3, 3)),
    "max_pool": lambda: both_ways(lambda x: F.max_pool2d(x, 2), IMAGES),
    "avg_pool": lambda: both_ways(lambda x: F.avg_pool2d(x, 2), IMAGES),
    "interpolate": lambda: both_ways(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), IMAGES),
    "softmax": lambda: both_ways(lambda x: F.softmax(x, 1), ROWS),
    "cross_entropy": lambda: both_ways(lambda x: F.cross_entropy(x, np.arange(ROWS[0]) % ROWS[1]), ROWS),
    "layer_norm": lambda: both_ways(lambda x: F.layer_norm(x, ROWS[1:]), ROWS),
    "lstm": lambda: both_ways(lambda x: nn.LSTM(64, 128)(x)[0], (50, 64, 64)),
    "attention": lambda: both_ways(lambda x: F.scaled_dot_product_attention(x, x, x), (4, 8, 256, 32)),
    "embedding": lambda: both_ways(lambda w: F.embedding(np.arange(50_000) % 1000, w), (1000, 64)),
    "mask": lambda: both_ways(lambda x: np.where(x > 1, x, 0.0), BIG),
    "sort": lambda: both_ways(np.sort, 10**6),
    "cumsum": lambda: both_ways(np.cumsum, BIG),
    "fft": lambda: both_ways(lambda x: np.fft.rfft(x).real, 10**6),
    "solve": lambda: both_ways(lambda a, b: np.linalg.solve(a, b), (400, 400), (400, 400)),
    "SGD": lambda: update_of(optim.SGD),
    "Adam": lambda: update_of(optim.Adam),
}


@pytest.mark.parametrize("name", RELEASED)
def test_other_threads_go_on_during(name):
    """A step of the other thread takes 60 microseconds, and each of these runs for milliseconds. On a busy machine that thread has to try often."""
    for way in range(len(RELEASED[name]())):
        assert any(steps_of_others(RELEASED[name]()[way]) >= 5 for _ in range(20)), ("forward", "backward")[way]


# ---- without a GIL ---------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python")
@pytest.mark.skipif(os.environ.get("PYTHON_GIL") == "0", reason="the user insists")
def test_importing_switches_the_gil_on():
    """The tables have no lock of their own: on a free-threaded Python, importing gradnerve brings the GIL back (and Python says so)."""
    assert sys._is_gil_enabled()
