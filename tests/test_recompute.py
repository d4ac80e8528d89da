"""`checkpoint`: the values and the gradients of the function without it, in less memory; random numbers, changes, errors, memory.

Read next: test_implicit.py.
"""

import dataclasses
import functools
import gc
import threading
import tracemalloc
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from helpers import assert_flat
from test_functional import leaf, refusal, says

import gradnerve as gn
from gradnerve import GraphError, _engine, _graph, _loops

pytestmark = pytest.mark.usefixtures("rows_return")

POINT = np.array([0.3, -1.2, 0.8])
DIRECTION = np.array([1.0, 0.5, -2.0])
MANY = np.stack([POINT, POINT[::-1], 2 * POINT, POINT + 0.1])


def plain(f, *args, **kwargs):
    """What checkpoint is compared with."""
    return f(*args, **kwargs)


def leaves(x):
    return [np.asarray(t.data) if isinstance(t, gn.Tensor) else t for t in gn.tree.flatten(x)[0]]


def same(found, expected):
    """To the last bit, and built in the same way."""
    assert gn.tree.paths(found) == gn.tree.paths(expected)
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert type(a) is type(b) and np.shape(a) == np.shape(b) and getattr(a, "dtype", None) == getattr(b, "dtype", None)
        np.testing.assert_array_equal(a, b)


def close(found, expected, rtol=1e-12):
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol, atol=1e-13)


# ---- the same values and gradients -----------------------------------------------------------------------------------


class Point(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass
class Pair:
    left: object
    right: object


class Layer:
    def __init__(self, w):
        self.w, self.calls = w, 0

    def forward(self, x, power=1):
        self.calls += 1
        return np.tanh(self.w * x) ** power

    __call__ = forward


def several_results(run, x):
    a, b, c = run(lambda x: (np.sin(x), np.exp(x), x.sum()), x)
    return (a * b).sum() + a[0] * c


def containers(run, x):
    f = lambda p, q: {"a": [p["w"] * p["b"][0], None], "n": Point(p["b"][1] * q.left, Pair(q.right, 2.0))}
    out = run(f, {"w": x, "b": (x[::-1], x * 2)}, Pair(np.cos(x), [x, 3]))
    return (out["a"][0] * out["n"].x).sum() + out["n"].y.left[0].sum() * out["n"].y.right


def arguments_as_results(run, x):
    h = x * 2
    a, b, c, d = run(lambda x, h: (x, h * x, h, [x, h]), x, h)
    return (a * b + c * d[0] * d[1]).sum()


def results_twice(run, x):
    def f(x):
        h = np.sin(x)
        return x, x, h, [h, h * h]

    a, b, c, (d, e) = run(f, x)
    return (a + 10 * b + 100 * c * d + e).sum()


def constants_among_results(run, x):
    a, b, c, d, e = run(lambda x: (x**2, np.ones(3), 3, gn.Tensor([1.0, 2.0, 3.0]), np.argsort(x.detach())), x)
    return (a * b * c * d + e).sum()


def arguments_by_name(run, x):
    return run(lambda x, *, power, scale: scale["s"] * x**power, x, power=3, scale={"s": np.tanh(x)}).sum()


def closures(run, x):
    h = np.exp(x) * x
    return (run(lambda x: h * x + np.sin(h), x) * h + run(lambda: np.sin(x) * h)).sum()


def an_input_behind_another(run, x):
    h = np.sin(x)
    k = h * x
    return (run(lambda x, k: x * h * k, x, k) + k).sum()


def methods(run, x):
    layer = Layer(x * 2)
    return (run(layer.forward, x, power=2) * layer.w + run(layer, np.cos(x))).sum()


def nested(run, x):
    h = x * 3
    inner = lambda x: run(np.tanh, x * h) * x
    middle = lambda x: run(inner, np.sin(x)) + x * h
    return run(lambda x: run(middle, x * x) * h, x).sum()


def used_outside(run, x):
    y = run(np.sin, x)
    return (y * x + x**2 + run(lambda x: np.cos(x) * y, x)).sum() + x[0]


def several_dtypes(run, x):
    a, b, c = run(lambda x: (x.astype(np.float32), x * (1 + 2j), np.sin(x).astype(np.float16)), x)
    return (np.abs(b * a) ** 2).sum() + c.astype(float).sum()


def changes_inside(run, x):
    def f(x):
        h = x * 2
        h += x
        h[0] = h[1] * h[2]
        np.multiply(h, x, out=h)
        return h

    return run(f, x).sum()


def an_argument_changed_inside(run, x):
    def f(h, parts):
        h *= x
        parts[0][1] = h[0]
        parts.append(h.sum())
        return np.sin(h) * parts.pop() + parts[0]

    h = x * 2
    return (run(f, h, [x + 1]) + h).sum()


def not_recorded_inside(run, x):
    def f(x):
        with gn.no_grad():
            scale = x.sum() * 2
        return np.sin(x) * scale + gn.stop_gradient(x)

    return run(f, x).sum()


def derivatives_inside(run, x):
    f = lambda x: gn.grad(lambda x: run(lambda x: (x**3).sum() * x[0], x))(x) + gn.jacobian(lambda x: run(np.sin, x) * x[::-1])(x).sum(0)
    return run(f, x).sum()


def linear_algebra(run, x):
    a = np.eye(3) * 4 + x[:, None] * x
    return run(lambda a, b: np.linalg.solve(a, b) * np.linalg.det(a), a, x + 1).sum()


def a_loop(run, x):
    for k in range(5):
        x = run(lambda x, k: np.sin(x) * x + k, x, k)
    return x.sum()


def a_recurrence(run, x):
    w, state = x * 0.5, {"h": x * 0, "n": 0}
    for k in range(4):
        state = run(lambda s, k: {"h": np.tanh(w * s["h"] + k), "n": s["n"] + 1}, state, k)
    return (state["h"] * state["n"]).sum()


def a_fixed_point(run, x):
    return run(lambda x: gn.fixed_point(lambda z: np.cos(z) * x / 4, np.zeros(3)) * gn.root(lambda z: z**3 + z - x, np.zeros(3)), x).sum()


def views(run, x):
    return run(lambda x: (x[None, :], x.reshape(3, 1), x[::-1], x), x + 0)[0].sum() * run(lambda x: x[1:], np.exp(x)).sum()


PROGRAMS = [several_results, containers, arguments_as_results, results_twice, constants_among_results, arguments_by_name, closures,
            an_input_behind_another, methods, nested, used_outside, several_dtypes, changes_inside, an_argument_changed_inside,
            not_recorded_inside, derivatives_inside, linear_algebra, a_loop, a_recurrence, a_fixed_point, views]  # fmt: skip


def twice(pullback):
    return [pullback(1.0), pullback(2.0)]


def by_backward(f):
    x = leaf(POINT)
    y = f(x)
    y.backward(retain_graph=True)
    first = x.grad.copy()
    y.backward()
    return first, x.grad


def along(f):
    """The derivative of a scalar function along a direction, as a function."""
    return lambda x: (gn.grad(f)(x) * DIRECTION).sum()


WAYS = {
    "value": lambda f: (f(gn.Tensor(POINT)), f(leaf(POINT))),
    "backward": by_backward,
    "grad": lambda f: gn.value_and_grad(f)(POINT),
    "vjp": lambda f: twice(gn.vjp(f, POINT)[1]),
    "jvp": lambda f: gn.jvp(f, (POINT,), (DIRECTION,)),
    "jacobian": lambda f: gn.jacobian(lambda x: f(x) * x)(POINT),
    "hessian": lambda f: gn.hessian(f)(POINT),
    "hvp": lambda f: gn.hvp(f)(POINT, DIRECTION),
    "grad of hvp": lambda f: gn.grad(lambda x: (gn.hvp(f)(x, DIRECTION) * DIRECTION).sum())(POINT),
    "third order": lambda f: gn.grad(along(along(f)))(POINT),
    "jvp of grad": lambda f: gn.jvp(gn.grad(f), (POINT,), (DIRECTION,)),
    "vmap": lambda f: gn.vmap(f)(MANY),
    "vmap of grad": lambda f: gn.vmap(gn.grad(f))(MANY),
    "grad of vmap": lambda f: gn.grad(lambda x: (gn.vmap(lambda m: f(m * x))(MANY) ** 2).sum())(POINT),
}


@pytest.mark.filterwarnings("ignore::gradnerve.BatchWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_everything_is_as_without(program, way):
    found, expected = (WAYS[way](functools.partial(program, run)) for run in (gn.checkpoint, plain))
    close(found, expected, 1e-3 if program is several_dtypes else 1e-11)
    if way in ("value", "vmap"):
        same(found, expected)


def test_against_closed_formulas():
    f = lambda x: gn.checkpoint(lambda x: gn.checkpoint(np.sin, x**2), x)
    x = 0.7
    s, c = np.sin(x**2), np.cos(x**2)
    assert abs(float(gn.grad(f)(x)) - 2 * x * c) < 1e-15
    assert abs(float(gn.grad(gn.grad(f))(x)) - (2 * c - 4 * x**2 * s)) < 1e-14
    assert abs(float(gn.grad(gn.grad(gn.grad(f)))(x)) - (-12 * x * s - 8 * x**3 * c)) < 1e-13


def test_special_values_stay_as_they_are():
    a = np.array([np.nan, np.inf, -0.0, 0.0, -1.0, 1e-320])
    x, z = leaf(a), leaf(a)
    with np.errstate(all="ignore"):
        found, expected = gn.checkpoint(np.sqrt, x), np.sqrt(z)
        same(found, expected)
        assert (np.signbit(found.data) == np.signbit(expected.data)).all()
        found.sum().backward()
        expected.sum().backward()
    same(x.grad, z.grad)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (2, 1, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, float, np.longdouble, np.complex64, complex])
def test_any_shape_and_dtype(shape, dtype):
    a = np.ones(shape, dtype) * 0.5
    for f in (np.sin, lambda x: (x, np.sin(x))):
        x, z = leaf(a), leaf(a)
        found, expected = gn.checkpoint(f, x), f(z)
        same(found, expected)
        for y in (found, expected):
            gn.tree.flatten(y)[0][-1].backward(np.ones(shape, dtype), retain_graph=True)
        same(x.grad, z.grad)


def test_by_the_parameters_of_an_object():
    """Objects hold other tensors while they are differentiated by; what runs again later must find these."""

    class Net(Layer):
        def parameters(self):
            return [self.w]

    def loss(run):
        return lambda net, x: (run(net.forward, x) * net.w).sum() + (run(lambda: np.exp(net.w) * run(net, x))).sum()

    net, x = Net(leaf(DIRECTION)), leaf(POINT)
    for way in (gn.grad, gn.hessian, lambda f: gn.grad(f, (0, 1)), lambda f: gn.grad(lambda n, x: sum((g**2).sum() for g in gn.grad(f)(n, x))),
                lambda f: lambda *args: twice(gn.vjp(f, *args)[1]), lambda f: lambda n, x: gn.hvp(f)(n, x, [POINT])):  # fmt: skip
        found, expected = (way(loss(run))(net, x) for run in (gn.checkpoint, plain))
        close(found, expected)
        assert np.any(leaves(found)[0]) and net.w.is_leaf
    pullback = gn.vjp(loss(gn.checkpoint), net, x)[1]
    expected = leaves(pullback(1.0))
    net.w.data += 1
    close(pullback(1.0), expected)


def test_a_checkpoint_by_an_object_inside_another():
    class Net(Layer):
        def parameters(self):
            return [self.w]

    def inner(run, net, x):
        return lambda scale: (gn.grad(lambda net: run(net, x * scale).sum())(net)[0] ** 2).sum()

    net = Net(leaf(DIRECTION))
    found, expected = (gn.grad(inner(run, net, POINT))(2.0) for run in (gn.checkpoint, plain))
    close(found, expected)
    outer = lambda run: gn.grad(lambda net, x: run(lambda x: sum((g * x).sum() for g in gn.grad(lambda n: run(n, x).sum())(net)), x), (0, 1))
    close(outer(gn.checkpoint)(net, POINT), outer(plain)(net, POINT))


def test_a_hook_sees_the_gradient_once():
    found = []
    for run in (gn.checkpoint, plain):
        x, seen = leaf(POINT), []
        h = x * 2
        for t in (x, h):
            t.register_hook(lambda g, seen=seen: seen.append(g.data.copy()) or g * 2)
        (run(lambda x, h: np.sin(x) * h, x, h) + x * h).sum().backward()
        found.append([x.grad, *seen])
    assert len(found[0]) == len(found[1]) == 3
    close(found[0], found[1])


MASKED = {
    "around it": lambda run, x: np.where(x > 1, run(np.sqrt, x), x).sum(),
    "around two": lambda run, x: np.where(x > 1, run(lambda x: run(np.sqrt, x), x), x).sum(),
    "inside": lambda run, x: run(lambda x: np.where(x > 1, np.sqrt(x), x), x).sum(),
    "of an argument": lambda run, x: run(lambda h: np.where(x > 1, h, x), np.sqrt(x)).sum(),
    "an unused result": lambda run, x: run(lambda x: (np.sqrt(x), x), x)[1].sum(),
    "an unused argument": lambda run, x: run(lambda h, x: (h * 1, x), np.sqrt(x), x)[1].sum(),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_leaves_out_contributes_nothing(name):
    """Where the function is not differentiable, as without."""
    a = np.array([0.0, 4.0])
    with np.errstate(all="ignore"):
        for way in (gn.grad, gn.hessian):
            found, expected = (way(functools.partial(MASKED[name], run))(a) for run in (gn.checkpoint, plain))
            assert np.isfinite(expected.data).all()
            close(found, expected)


def test_under_vmap_in_one_piece():
    """Also below several of them, over shared arguments, and where backward comes after it."""
    f = lambda run: lambda x, w: run(lambda x: run(np.sin, x * w) * w, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", gn.BatchWarning)
        found = []
        for run in (gn.checkpoint, plain):
            x, w = leaf(MANY), leaf(DIRECTION)
            (gn.vmap(f(run), (0, None))(x, w) * MANY).sum().backward()
            (gn.vmap(gn.vmap(f(run), (0, None)), (None, 0))(x, MANY) ** 2).sum().backward()
            (gn.vmap(gn.vmap(f(run)), (0, None))(x, w) ** 2).sum().backward()
            g = gn.vmap(lambda x, run=run: gn.grad(lambda x: gn.vmap(lambda m: run(lambda m: m * np.sin(x), m) + run(lambda: x * 2))(MANY).sum())(x))
            h = gn.vmap(gn.hessian(lambda x, run=run: f(run)(x, DIRECTION).sum()))
            found.append([x.grad, w.grad, g(MANY), h(MANY)])
    close(found[0], found[1])


def test_the_function_runs_once_more_for_each_backward():
    layer, x = Layer(leaf(DIRECTION)), leaf(POINT)
    y = gn.checkpoint(layer, x)
    z = y.sum()
    assert layer.calls == 1
    z.backward(retain_graph=True)
    assert layer.calls == 2
    z.backward()
    assert layer.calls == 3
    says(refusal(GraphError, (y * y).sum().backward), "already swept", "retain_graph=True")
    assert layer.calls == 3


def test_without_recording_it_is_the_function_itself():
    layer, x = Layer(leaf(DIRECTION)), leaf(POINT)
    with gn.no_grad():
        y = gn.checkpoint(layer, x)
    assert layer.calls == 1 and not y.requires_grad
    same(y, np.tanh(x.data * DIRECTION))
    z = gn.checkpoint(Layer(gn.Tensor(DIRECTION)), gn.Tensor(POINT))
    assert not z.requires_grad
    marker = object()
    assert gn.checkpoint(lambda *args: args, marker, None, "name") == (marker, None, "name")


def test_the_result_is_an_ordinary_tensor():
    x = leaf(POINT)
    y = gn.checkpoint(np.sin, x)
    assert y.requires_grad and not y.is_leaf and type(y) is gn.Tensor
    z = y * 2
    y[0] = 5.0
    y += x
    (y * z).sum().backward()
    w = leaf(POINT)
    s = np.sin(w)
    t = s * 2
    s[0] = 5.0
    ((s + w) * t).sum().backward()
    close(x.grad, w.grad)


def test_a_tensor_made_inside_stays_inside():
    """What depends on nothing outside is not packed at all."""
    made = []

    def f():
        made.append(leaf(POINT))
        return np.sin(made[-1])

    gn.checkpoint(f).sum().backward()
    assert len(made) == 1
    close(made[0].grad, np.cos(POINT))


def test_in_several_threads():
    found = {}

    def work(k):
        x = leaf(POINT + k)
        for _ in range(20):
            x.zero_grad()
            nested(gn.checkpoint, x).backward()
        found[k] = x.grad.copy()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        close(found[k], gn.grad(functools.partial(nested, plain))(POINT + k))


# ---- sequences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_a_sequence_in_segments(segments):
    layers = [np.sin, Layer(leaf(DIRECTION)), lambda x: x * x, np.exp, lambda x: x[::-1]]
    found = []
    for run in (lambda x: gn.checkpoint_sequential(layers, segments, x), lambda x: functools.reduce(lambda x, f: f(x), layers, x)):
        x = leaf(POINT)
        y = run(x)
        layers[1].w.zero_grad()
        (y * x).sum().backward()
        found.append((y.data, x.grad, layers[1].w.grad))
    same(found[0][0], found[1][0])
    close(found[0], found[1])


def test_a_sequence_of_layers_with_several_results():
    layers = [lambda x: (x, x * 2), lambda p: {"a": p[0] * p[1]}, lambda d: d["a"].sum()]
    for segments in (1, 2, 3):
        close(gn.grad(lambda x, segments=segments: gn.checkpoint_sequential(layers, segments, x))(POINT), 4 * POINT)


@pytest.mark.parametrize("segments", [0, -1, 3])
def test_a_wrong_number_of_segments(segments):
    says(refusal(ValueError, gn.checkpoint_sequential, [np.sin, np.cos], segments, leaf(1.0)), "checkpoint_sequential", "1 to 2", str(segments))


# ---- random numbers --------------------------------------------------------------------------------------------------

NUMPYS, OURS = np.random.default_rng(5), gn.random.default_rng(6)


class Dropout:
    def __init__(self):
        self.rng = gn.random.default_rng(11)

    def forward(self, x):
        return x * (self.rng.random(3) < 0.5) / 0.5

    __call__ = forward


def of_numpy(x):
    return x * np.random.randn(3) + np.random.rand() * x * np.random.normal()


def by_name(x):
    return x * NUMPYS.normal(size=3) + OURS.uniform(x, 5.0)


def of_arguments(x, rng, other=None):
    return x * rng.normal(size=3) * (1 if other is None else other["rng"][0].exponential(size=3))


def of_module(x):
    return x * gn.random.normal(x, 2.0) + gn.random.integers(5) * x


def in_closure():
    ours, numpys, old = gn.random.default_rng(7), np.random.Generator(np.random.Philox(8)), np.random.RandomState(9)
    f = lambda x: x * ours.normal(size=3) + numpys.normal(size=3) * x * old.randn(3)
    return f, (), lambda: [ours.normal(), numpys.normal(), old.randn()]


def of_object(take):
    layer = Dropout()
    return take(layer), (), lambda: layer.rng.random(3)


def as_arguments():
    ours, numpys = gn.random.default_rng(7), np.random.default_rng(7)
    return of_arguments, (ours, {"rng": [numpys]}), lambda: [ours.normal(), numpys.normal()]


def bound():
    rng = np.random.default_rng(7)
    return functools.partial(of_arguments, rng=rng), (), rng.normal


def from_one_state():
    numpys = np.random.default_rng(7)
    ours = gn.random.default_rng(numpys)
    return lambda x: x * ours.normal(size=3) * numpys.normal(size=3) * ours.normal(), (), numpys.normal


DRAWS = {
    "gn.random": lambda: (of_module, (), lambda: gn.random.normal(size=3)),
    "np.random": lambda: (of_numpy, (), lambda: [np.random.randn(3), np.random.rand()]),
    "by name": lambda: (by_name, (), lambda: [NUMPYS.normal(), OURS.normal()]),
    "arguments": as_arguments,
    "a RandomState": lambda: (of_arguments, (np.random.RandomState(3),), np.random.randn),
    "closure": in_closure,
    "method": lambda: of_object(lambda layer: layer.forward),
    "object": lambda: of_object(lambda layer: layer),
    "partial": bound,
    "one state": from_one_state,
    "reseeded inside": lambda: (lambda x: (gn.manual_seed(5), np.random.seed(5)) and x * gn.random.normal(size=3) * np.random.randn(3), (),
                                lambda: [gn.random.normal(), np.random.randn()]),
}  # fmt: skip


def seed_all():
    gn.manual_seed(3)
    np.random.seed(3)
    NUMPYS.bit_generator.state = np.random.default_rng(3).bit_generator.state
    OURS.bit_generator.state = np.random.default_rng(4).bit_generator.state


def session(run, way, backward):
    """Values, gradients, and what is drawn next at each step."""
    seed_all()
    f, args, draw = DRAWS[way]()
    x = leaf(POINT)
    drawn = [draw()]
    y = run(f, x, *args)
    z = run(lambda x: run(f, np.sin(x)), y) if way in ("gn.random", "np.random", "reseeded inside") else y
    drawn.append(draw())
    backward(z)
    drawn.append(draw())
    return y, z, x.grad, [leaves(d) for d in drawn]


def swept_twice(z):
    z.sum().backward(retain_graph=True)
    z.sum().backward()


@pytest.mark.parametrize("backward", [lambda z: z.sum().backward(), swept_twice], ids=["once", "twice"])
@pytest.mark.parametrize("way", DRAWS)
def test_random_numbers_are_the_same_again(way, backward):
    """The generators go on afterwards as if nothing had happened."""
    found, expected = (session(run, way, backward) for run in (gn.checkpoint, plain))
    same(found[:2], expected[:2])
    close(found[2], expected[2])
    same(found[3], expected[3])


@pytest.mark.parametrize("way", ["gn.random", "np.random", "arguments"])
def test_random_numbers_in_derivatives_of_higher_order(way):
    found = []
    for run in (gn.checkpoint, plain):
        seed_all()
        f, args, draw = DRAWS[way]()
        found.append([gn.hessian(lambda x: (run(f, np.sin(x), *args) ** 2).sum())(POINT), leaves(draw())])  # noqa: B023
    close(found[0], found[1])


def test_a_new_seed_before_backward():
    for seed in (gn.manual_seed, np.random.seed):
        seed_all()
        x = leaf(np.ones(3))
        y = gn.checkpoint(lambda x: x * gn.random.normal(size=3) * np.random.randn(3), x)
        seed(8)
        expected = leaves([gn.random.normal(size=2), np.random.randn(3)])
        seed_all()
        seed(8)
        y.sum().backward()
        same(x.grad, y.data)
        drawn = leaves([gn.random.normal(size=2), np.random.randn(3)])
        k = (gn.manual_seed, np.random.seed).index(seed)
        same(drawn[k], expected[k])


def test_a_module_of_random_functions_by_name():
    """numpy.random has a submodule called bit_generator, which is none."""
    from numpy import random

    x = leaf(np.ones(3))
    y = gn.checkpoint(lambda x: x * random.normal(size=3) * gn.random.normal(), x)
    y.sum().backward()
    same(x.grad, y.data)


def test_random_numbers_under_vmap():
    """All examples draw at once, with and without."""
    found = []
    for run in (gn.checkpoint, plain):
        seed_all()
        found.append([gn.vmap(gn.grad(lambda x: run(of_numpy, np.sin(x)).sum()))(MANY), np.random.rand()])  # noqa: B023
    close(found[0], found[1])
    assert found[0][1] == found[1][1]


HIDDEN = {"rng": np.random.default_rng(1)}


def test_a_generator_that_cannot_be_found_is_heard_of():
    x = leaf(POINT)
    y = gn.checkpoint(lambda x: x * HIDDEN["rng"].normal(size=3), x)
    says(refusal(GraphError, y.sum().backward), "checkpoint of <lambda>", "other values", "random numbers", "generator", "argument")
    assert not x.grad.any()


# ---- changes between forward and backward ----------------------------------------------------------------------------


def change_leaf(x, h, a, d):
    x.data -= 1


def change_element(x, h, a, d):
    x.data[0] = 7


def replace_data(x, h, a, d):
    x.data = np.zeros(3)


def change_without_recording(x, h, a, d):
    with gn.no_grad():
        x *= 0
        h += 1
        h[:] = 3


def change_result(x, h, a, d):
    h += 1
    h[0] = 5.0
    d["t"] *= 2


def change_array(x, h, a, d):
    a += 1
    d["a"][:] = 0


def change_dict(x, h, a, d):
    d["t"], d["a"] = None, np.zeros(7)
    d["new"] = 1


def empty_dict(x, h, a, d):
    d["l"].append(a)
    d.clear()


@pytest.mark.parametrize("change", [change_leaf, change_element, replace_data, change_without_recording, change_result, change_array, change_dict,
                                    empty_dict], ids=lambda f: f.__name__)  # fmt: skip
def test_changes_of_arguments_do_not_matter(change):
    def f(x, h, a, d):
        return np.sin(x) * h * a + d["t"] * x * d["a"] * d["l"][0]

    x = leaf(POINT)
    h = x * 2
    a, d = np.array([1.0, 2.0, 3.0]), {"t": h * x, "a": np.ones(3), "l": [x]}
    y = gn.checkpoint(f, x, h, a, d)
    change(x, h, a, d)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    expected = gn.grad(lambda x: f(x, 2 * x, np.array([1.0, 2.0, 3.0]), {"t": 2 * x * x, "a": np.ones(3), "l": [x]}).sum())(POINT)
    close(x.grad, 2 * expected)


def test_a_change_through_a_view_that_was_there_before():
    x, a = leaf(POINT), np.array([1.0, 2.0, 3.0])
    h = x * 2
    views = [x.data[:], h.data[:], a[::-1]]
    y = gn.checkpoint(lambda x, h, a: np.sin(x) * h * a[:], x, h, a[:])
    for view in views:
        view[:] = 5
    y.sum().backward()
    close(x.grad, np.array([1.0, 2.0, 3.0]) * 2 * (np.sin(POINT) + POINT * np.cos(POINT)))


def test_changes_of_the_result_do_not_matter():
    x = leaf(POINT)
    y, z = gn.checkpoint(lambda x: (np.sin(x), np.exp(x)), x)
    w = (y * z).sum()
    y.data[:] = 0
    z.data = np.zeros(3)
    w.backward()
    close(x.grad, np.exp(POINT) * (np.sin(POINT) + np.cos(POINT)))


def test_an_array_that_the_function_changes():
    """As a running mean does: in the first run only."""
    x, mean = leaf(POINT), np.zeros(3)

    def f(x, mean):
        mean += 0.5 * (x.data - mean)
        return x * mean

    y = gn.checkpoint(f, x, mean)
    same(mean, 0.5 * POINT)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    same(mean, 0.5 * POINT)
    close(x.grad, POINT)


def test_an_array_keeps_its_class():
    x = leaf(np.eye(2))
    y = gn.checkpoint(lambda x, m: x * m.filled(7.0), x, np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 0], [1, 0]]))
    y.sum().backward()
    close(x.grad, np.array([[1.0, 2.0], [7.0, 4.0]]))


class Reads:
    """A function that reads all kinds of things; each test changes one of them."""

    def __init__(self):
        self.array, self.leaf, self.number, self.items, self.training = np.array([1.0, 2.0, 3.0]), leaf(POINT), 2.0, [1.0], True
        self.result = self.leaf * 2

    def __call__(self, x):
        y = np.sin(x) * self.array * self.leaf * self.result * self.number * self.items[0]
        return y if self.training else (y, y)


def in_place_of(name):
    def change(reads):
        setattr(reads, name, getattr(reads, name) * 1.0)

    return change


CHANGES = {
    "an array": lambda reads: np.multiply(reads.array, 2, out=reads.array),
    "a number": lambda reads: setattr(reads, "number", 3.0),
    "a leaf": lambda reads: np.multiply(reads.leaf.data, 2, out=reads.leaf.data),
    "one element": lambda reads: reads.leaf.data.__setitem__(0, np.nan),
    "a list": lambda reads: reads.items.__setitem__(0, 3.0),
    "a result": lambda reads: reads.result.__iadd__(1),
    "what it returns": lambda reads: setattr(reads, "training", False),
    "the shape": lambda reads: setattr(reads, "array", np.ones((2, 3))),
    "the dtype": lambda reads: setattr(reads, "number", np.complex128(2)),
    "another leaf": lambda reads: setattr(reads, "leaf", leaf(POINT)),
    "a constant": lambda reads: setattr(reads, "leaf", reads.leaf.detach()),
    "a constant result": lambda reads: setattr(reads, "result", reads.result.detach()),
    "another result": in_place_of("result"),
    "a result of a leaf": in_place_of("leaf"),
    "a tensor": lambda reads: setattr(reads, "array", leaf(reads.array)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_function_reads_was_changed(change):
    x, reads = leaf(POINT), Reads()
    old = reads.leaf
    y = gn.tree.flatten(gn.checkpoint(reads, x))[0][0]
    CHANGES[change](reads)
    says(refusal(GraphError, y.sum().backward), "checkpoint of Reads", "when it runs again")
    assert not x.grad.any() and not old.grad.any()


def test_a_change_that_does_not_show_in_the_values():
    """Where a factor is 0, as in a layer that starts as the identity, only the gradient is another one."""
    x, a, b = gn.Tensor(POINT), leaf(DIRECTION), leaf(np.zeros(3))
    y = gn.checkpoint(lambda: x * a * b)
    a.data *= 3
    try:
        y.sum().backward()
    except GraphError:
        return
    close(b.grad, POINT * DIRECTION)


def test_the_same_values_in_other_memory_are_no_change():
    x, reads = leaf(POINT), Reads()
    y = gn.checkpoint(reads, x)
    reads.array, reads.items = reads.array.copy(), [1.0]
    y.sum().backward()
    close(x.grad, np.cos(POINT) * np.array([1, 2, 3]) * POINT * 2 * POINT * 2)


def test_a_tensor_that_the_first_run_made_and_kept():
    """As a layer does that makes its weights when it first sees data."""
    kept, x, w = {}, leaf(POINT), leaf(DIRECTION)

    def lazily(x):
        if "w" not in kept:
            kept["w"] = leaf(DIRECTION)
        return x * kept["w"]

    def cached(x):
        if "v" not in kept:
            kept["v"] = w * 2
        return x * kept["v"]

    for f in (lazily, cached):
        y = gn.checkpoint(f, x)
        says(refusal(GraphError, y.sum().backward), f.__name__, "other tensors", "kept", "before")
    assert not x.grad.any() and not w.grad.any()
    gn.checkpoint(lazily, x).sum().backward()
    close([x.grad, kept["w"].grad], [DIRECTION, POINT])


# ---- errors ----------------------------------------------------------------------------------------------------------


class Failing:
    """Raises when it has been called so many times."""

    def __init__(self, calls, error):
        self.left, self.error = calls, error

    def __call__(self, x):
        y = np.sin(x) * gn.random.normal(size=3) * np.random.randn(3)
        self.left -= 1
        if self.left < 0:
            with gn.no_grad():
                raise self.error
        return y


ERRORS = [ValueError("from inside"), KeyboardInterrupt("from inside"), GraphError("from inside"), MemoryError("from inside")]


def in_order():
    """Recording is on, and generators stand where they stood after these draws."""
    x = leaf(1.0)
    assert _engine.recording() and (x * 2).requires_grad and not gn.batching.levels.active
    return leaves([gn.random.normal(size=3), np.random.randn(3), np.random.rand()])


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_in_the_first_run(error):
    found = []
    for run in (gn.checkpoint, plain):
        seed_all()
        x = leaf(POINT)
        assert "from inside" in refusal(type(error), run, Failing(0, error), x)
        found.append(in_order())
        assert not x.grad.any()
        error.__traceback__ = None
    same(found[0], found[1])


@pytest.mark.parametrize("nest", [1, 3])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_in_the_second_run(error, nest):
    found = []
    for run in (gn.checkpoint, plain):
        seed_all()
        f, x, w = Failing(1, error), leaf(POINT), leaf(DIRECTION)
        for _ in range(nest - 1):
            f = functools.partial(run, f)
        y = (run(lambda x: np.exp(x) * w, x) * x + run(f, x) + w).sum()  # noqa: B023
        if run is gn.checkpoint:
            assert "from inside" in refusal(type(error), y.backward)
            assert not x.grad.any() and not w.grad.any()
        found.append(in_order())
        error.__traceback__ = None
    same(found[0], found[1])


def test_an_error_in_the_second_run_under_grad():
    """Objects have their own tensors back, and vmap has left."""

    class Net(Failing):
        def __init__(self, calls, error):
            super().__init__(calls, error)
            self.w = leaf(POINT)

        def parameters(self):
            return [self.w]

    net = Net(1, ValueError("from inside"))
    own, row = net.w, net.w._row
    assert "from inside" in refusal(ValueError, gn.grad(lambda net: gn.checkpoint(lambda: net(net.w)).sum()), net)
    net.error.__traceback__ = None
    assert net.w is own and own._row == row and own.is_leaf
    f = Failing(1, ValueError("from inside"))
    assert "from inside" in refusal(ValueError, gn.vmap(gn.grad(lambda x: gn.checkpoint(f, x).sum())), MANY)
    f.error.__traceback__ = None
    in_order()


# ---- memory ----------------------------------------------------------------------------------------------------------

SIZE = 200_000


def peak_of(f):
    """The most memory that a forward and a backward pass need at a time, in arrays; what is kept for later arrays counts, too."""
    x = leaf(np.linspace(1, 2, SIZE))
    f(leaf(1.0)).backward()
    _loops.empty_pool()
    gc.collect()
    tracemalloc.start()
    try:
        f(x).sum().backward()
        return tracemalloc.get_traced_memory()[1] / (8 * SIZE)
    finally:
        tracemalloc.stop()
        _loops.empty_pool()


def layer(x):
    return 1 / x


def by_halves(n):
    """n layers; whatever is computed is a checkpoint of two halves."""
    return lambda x: layer(x) if n == 1 else gn.checkpoint(by_halves(n - n // 2), gn.checkpoint(by_halves(n // 2), x))


def test_the_memory_of_a_chain_grows_with_the_square_root():
    n = 200
    assert peak_of(lambda x: functools.reduce(lambda x, _: layer(x), range(n), x)) > 0.9 * n
    few, many = (peak_of(lambda x, n=n: gn.checkpoint_sequential([layer] * n, round(n**0.5), x)) for n in (n, 4 * n))
    assert few < 80  # of which 42 are the 64 MiB that are kept for later arrays
    assert many < 140


def test_the_memory_of_nested_checkpoints_grows_with_the_logarithm():
    few, many = (peak_of(by_halves(n)) for n in (16, 64))
    assert many < 100 and many - few < 40


def test_memory_does_not_grow_over_calls():
    w = leaf(np.linspace(1, 2, 10_000))

    def step():
        x = leaf(np.linspace(1, 2, 10_000))
        y = gn.checkpoint(lambda x, rng: gn.checkpoint(layer, x * w) * rng.normal(), x, np.random.default_rng(0))
        (y * x).sum().backward()
        gn.hvp(lambda x: gn.checkpoint(layer, x).sum())(x.data, x.data)
        w.zero_grad()

    assert_flat(step, 10)


def test_the_graph_keeps_no_more_than_the_call():
    x = leaf(POINT)
    before = _graph.live_rows()[0]
    y = gn.checkpoint(lambda x: functools.reduce(lambda x, _: layer(x), range(100), x), x)
    assert _graph.live_rows()[0] - before < 10
    y.sum().backward()
    del y
    assert _graph.live_rows()[0] == before


def test_what_is_dropped_without_a_backward_is_gone():
    rows = _graph.live_rows()
    x = leaf(POINT)
    for _ in range(5):
        gn.checkpoint(nested, gn.checkpoint, x)
    del x
    assert _graph.live_rows() == rows
