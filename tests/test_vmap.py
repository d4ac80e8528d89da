"""`vmap` against a Python loop over the examples, JAX and PyTorch: axes, containers, gradients in every nest, and what goes wrong in a function."""

import copy
import pickle
import re
import resource
import threading
import time
import warnings
from collections import namedtuple
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import alone, works

import gradnerve as gn
from gradnerve import _engine, tree
from gradnerve.batching import levels
from gradnerve.dispatch import watching
from gradnerve.ops import define

pytestmark = [pytest.mark.usefixtures("rows_return"), pytest.mark.filterwarnings("ignore::gradnerve.BatchWarning")]

rng = np.random.default_rng(5)
A, B, C = rng.normal(size=(3, 2)), rng.normal(size=(4, 3, 2)), rng.normal(size=(5, 4, 3, 2))
W, v = rng.normal(size=(2, 2)), rng.normal(size=2)
SIGNS = np.array([-1.0, 2.0, -3.0])
Point = namedtuple("Point", "x y")


def value(x):
    return np.asarray(x.data if isinstance(x, gn.Tensor) else x)


def same(found, expected):
    """The same numbers, shapes and dtypes, in containers built in the same way."""
    a, b = tree.flatten(found)[0], tree.leaves_like(expected, found, "expected")
    for x, y in zip(map(value, a), map(value, b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=3e-5 if x.dtype.char in "fF" else 1e-11, atol=1e-13)


def loop(f, in_axes=0, out_axes=0):
    """What `vmap` stands for: the function on each example, and the results stacked."""

    def run(*args):
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        taken = [tree.flatten(x) for x in args]
        size = next(np.shape(leaves[0])[axis] for (leaves, _), axis in zip(taken, axes, strict=True) if axis is not None)
        results = [f(*(rebuild(leaves if axis is None else [np.moveaxis(x, axis, 0)[i] for x in leaves])
                       for (leaves, rebuild), axis in zip(taken, axes, strict=True))) for i in range(size)]  # fmt: skip
        columns = zip(*(tree.flatten(result)[0] for result in results), strict=True)
        return tree.flatten(results[0])[1]([np.moveaxis(np.stack(column), 0, out_axes) for column in columns])

    return run


def in_one_piece(f, *args, **kwargs):
    """Call a function that must not fall back to one example after the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", gn.BatchWarning)
        return f(*args, **kwargs)


def tensor(a):
    return gn.Tensor(a, requires_grad=True)


# ---- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("out", [0, 1, 2, -1, -2, -3])
def test_an_axis_of_the_argument_becomes_one_of_the_result(axis, out):
    f = lambda x: np.sin(x) * x.shape[0] + x[0]
    same(gn.vmap(f, in_axes=axis, out_axes=out)(B), loop(f, axis, out)(B))


def test_each_argument_has_an_axis_of_its_own_or_none():
    f = lambda x, y, z: x * y + z
    for axes in [(0, 1, None), (0, -1, 0), (None, 1, None), [0, 1, None], (0, 1, -2)]:
        expected = loop(f, tuple(axes))(A, A.T, A if axes[2] is not None else 2.0)
        same(gn.vmap(f, in_axes=axes)(A, A.T, A if axes[2] is not None else 2.0), expected)


def test_axes_of_containers():
    """One axis for all that is in a container, or a container of axes."""
    f = lambda p, x: p["w"] @ x + p["b"][0]
    shared, each = {"w": W, "b": [v]}, {"w": np.stack([W, 2 * W, 3 * W]), "b": [A]}
    same(gn.vmap(f)(each, A), np.einsum("nij,nj->ni", each["w"], A) + A)
    same(gn.vmap(f, in_axes=(None, 0))(shared, A), A @ W.T + v)
    same(gn.vmap(f, in_axes=({"w": None, "b": 0}, 0))({"w": W, "b": [A]}, A), A @ W.T + A)
    same(gn.vmap(f, in_axes=({"w": 2, "b": [1]}, 0))({"w": np.stack([W, W, W], axis=2), "b": [A.T]}, A), A @ W.T + A)


def test_containers_as_results():
    p = gn.vmap(lambda x: Point(x.sum(), {"twice": [2 * x, None], "name": "p"}))(A)
    assert type(p) is Point and p.y["twice"][1] is None and p.y["name"] == "p"
    same((p.x, p.y["twice"][0]), (A.sum(1), 2 * A))


def test_axes_of_the_results():
    f = lambda x: (x, 2 * x, {"s": x.sum()})
    a, b, c = gn.vmap(f, out_axes=(0, 1, 0))(A)
    same((a, b, c["s"]), (A, 2 * A.T, A.sum(1)))
    same(gn.vmap(lambda x: {"p": x, "q": [x]}, out_axes={"p": -1, "q": 0})(A), {"p": A.T, "q": [A]})


def test_a_result_without_examples():
    """With None for an axis, what is the same for all examples is given once; what differs is refused."""
    same(gn.vmap(lambda x: (x, v), out_axes=(0, None))(A), (A, v))
    same(gn.vmap(lambda x: 3.0, out_axes=None)(A), np.array(3.0))
    same(gn.vmap(lambda x: np.ones(2), out_axes=None)(np.zeros((0, 2))), np.ones(2))
    with pytest.raises(ValueError, match="out_axes"):
        gn.vmap(lambda x: 2 * x, out_axes=None)(A)


def test_an_axis_may_be_that_of_another_vmap():
    f = lambda x, y, z: np.sum(x * y * z)
    found = gn.vmap(gn.vmap(gn.vmap(f, (None, None, 0)), (None, 0, None)), (0, None, None))(A, 2 * A, 3 * A)
    same(found, np.einsum("ik,jk,lk->ijl", A, 2 * A, 3 * A))


AXES = [((0, 0, 0), (0, 0, 0)), ((1, -1, 1), (0, 1, 0)), ((3, 0, 1), (-1, -2, 0)), ((-4, 1, -2), (1, -1, 1)), ((2, 2, 0), (0, 2, -1))]


@pytest.mark.parametrize(("ins", "outs"), AXES)
def test_three_deep_along_different_axes(ins, outs):
    f = lambda x: np.outer(x, np.sin(x)) if isinstance(x, np.ndarray) else x[:, None] * np.sin(x)
    mapped, looped = f, f
    for k in reversed(range(3)):
        mapped, looped = gn.vmap(mapped, ins[k], outs[k]), loop(looped, ins[k], outs[k])
    same(mapped(C), looped(C))


@pytest.mark.parametrize(("ins", "outs"), AXES)
def test_three_deep_as_jax(ins, outs):
    jax = jax_()
    ours, theirs = lambda x: np.sum(x) * x, lambda x: jax.numpy.sum(x) * x
    for k in reversed(range(3)):
        ours, theirs = gn.vmap(ours, ins[k], outs[k]), jax.vmap(theirs, ins[k], outs[k])
    same(ours(C), np.asarray(theirs(C)))


# ---- keyword arguments ------------------------------------------------------------------------------------------------


def test_arrays_by_name_are_mapped_and_the_rest_is_passed_on():
    def f(x, y, power=1, scale=None, name=""):
        assert name == "f" and power == 2
        return scale * x**power + y

    same(gn.vmap(f)(A, y=A, power=2, scale=0.5, name="f"), 0.5 * A**2 + A)
    same(gn.vmap(f)(A, y=gn.Tensor(A), power=2, scale=gn.Tensor(0.5), name="f"), 0.5 * A**2 + A)
    same(gn.vmap(lambda x: x.sum())(x=A), A.sum(1))


def test_by_name_as_jax():
    jax = jax_()
    f = lambda x, y: x * y
    same(gn.vmap(f)(A, y=2 * A), np.asarray(jax.vmap(f)(A, y=2 * A)))


# ---- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "message"), [
    (lambda f: gn.vmap(f)(A, A[:2]), r"disagree.*3 along axis 0 of argument 0, of shape \(3, 2\).*2 along axis 0 of argument 1"),
    (lambda f: gn.vmap(f)(A, y=A[:2]), "disagree"),
    (lambda f: gn.vmap(f, in_axes=(0, 1))(A, A), "disagree"),
    (lambda f: gn.vmap(f, in_axes=None)(A, A), "no argument has an axis"),
    (lambda f: gn.vmap(f, in_axes=(None, None))(A, A), "no argument has an axis"),
    (lambda f: gn.vmap(f)(A, 2.0), r"argument 1 is 2\.0.*in_axes=None"),
    (lambda f: gn.vmap(f)(A, np.array(2.0)), "argument 1"),
    (lambda f: gn.vmap(f)(A, "name"), "argument 1 is 'name'"),
    (lambda f: gn.vmap(f, in_axes=(0, 2))(A, A), "no axis 2"),
    (lambda f: gn.vmap(f, in_axes=-3)(A, A), "no axis -3"),
    (lambda f: gn.vmap(f, in_axes=(0,))(A, A), r"in_axes names 1 argument\(s\).*2"),
    (lambda f: gn.vmap(f, in_axes=({"w": 0}, 0))({"b": A}, A), "in_axes of argument 0"),
    (lambda f: gn.vmap(f, in_axes=(0.5, 0))(A, A), "in_axes of argument 0 is 0.5"),
    (lambda f: gn.vmap(f, out_axes=(0, 0))(A, A), "out_axes"),
    (lambda f: gn.vmap(f, out_axes=5)(A, A), "axis 5"),
    (lambda f: gn.vmap(lambda x: (x, x), out_axes=(0,))(A), "out_axes"),
])  # fmt: skip
def test_errors_name_the_argument(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(lambda x, y: x * y)
    assert not levels.active


def test_a_function_without_arguments():
    with pytest.raises(TypeError, match="no argument has an axis"):
        gn.vmap(lambda: 1.0)()


def test_shapes_of_one_example_do_not_meet_the_number_of_examples():
    """Shapes that fit only because of the axis of the examples are an error, and those that do not fit it are none."""
    with pytest.raises(ValueError):
        gn.vmap(lambda x: x + np.ones(3))(A)
    same(gn.vmap(lambda x: x + np.ones((3, 1)))(A), A[:, None] + np.ones((3, 1)))
    same(gn.vmap(lambda x, y: x * y)(np.ones((3, 4, 3)), np.arange(3.0)[:, None]), np.ones((3, 4, 3)) * np.arange(3.0)[:, None, None])
    same(gn.vmap(lambda x, y: x * y)(SIGNS, B[:3]), SIGNS[:, None, None] * B[:3])


# ---- few examples, plain results, dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1])
def test_no_example_and_one(size):
    a = A[:size]
    same(gn.vmap(lambda x: 2 * x)(a), 2 * a)
    same(gn.vmap(lambda x: x.sum())(a), a.sum(1))
    same(gn.vmap(lambda x: (x.reshape(2, 1), 1.0))(a), (a[:, :, None], np.ones(size)))
    same(gn.vmap(lambda x: 2 * x, out_axes=1)(a), 2 * a.T)
    same(gn.vmap(gn.vmap(np.sin))(a), np.sin(a))
    same(gn.vmap(gn.vmap(np.sin, in_axes=0), in_axes=1)(a), np.sin(a.T))


@pytest.mark.parametrize("size", [0, 1])
def test_derivatives_of_no_example_and_of_one(size):
    a, f = A[:size], lambda x: np.sum(np.sin(x))
    same(gn.vmap(gn.grad(f))(a), np.cos(a))
    same(gn.vmap(gn.value_and_grad(f))(a), (np.sin(a).sum(1), np.cos(a)))
    same(gn.vmap(gn.jacobian(np.sin))(a), np.cos(a)[:, :, None] * np.eye(2))
    same(gn.vmap(gn.hessian(f))(a), -np.sin(a)[:, :, None] * np.eye(2))
    same(gn.grad(lambda b: np.sum(gn.vmap(np.sin)(b)))(a), np.cos(a))


def test_what_cannot_run_without_an_example_says_so():
    with pytest.raises(ValueError, match="there is no example"):
        gn.vmap(lambda x: x if x[0] > 0 else -x)(A[:0])


def test_numbers_are_examples():
    same(gn.vmap(lambda x: x * x)(SIGNS), SIGNS**2)
    same(gn.vmap(lambda x: (x, x + 1, np.exp(x)))(SIGNS), (SIGNS, SIGNS + 1, np.exp(SIGNS)))
    same(gn.vmap(gn.grad(np.sin))(SIGNS), np.cos(SIGNS))


def test_what_does_not_depend_on_the_example_is_there_for_each():
    constant = gn.Tensor(v)
    found = gn.vmap(lambda x: (1.0, 2, v, constant, np.float32(3), True, 1j))(A)
    expected = (np.ones(3), np.full(3, 2), np.tile(v, (3, 1)), np.tile(v, (3, 1)), np.full(3, np.float32(3)), np.full(3, True), np.full(3, 1j))
    same(found, expected)


def test_results_that_are_no_arrays_are_given_as_they_are():
    assert gn.vmap(lambda x: (None, "text", {"k": None}))(A) == (None, "text", {"k": None})


@pytest.mark.parametrize("dtype", ["?", "i1", "i8", "u2", "f4", "f8", "F", "D"])
def test_dtypes(dtype):
    a = (A > 0 if dtype == "?" else 10 * A if dtype != "u2" else 10 * abs(A)).astype(dtype)
    for f in [lambda x: x, lambda x: x + x, lambda x: x * 2, lambda x: x * 0.5, lambda x: x.sum(), lambda x: x == x[0], np.sin, np.conjugate]:
        same(gn.vmap(f)(a), loop(f)(gn.asarray(a)))


def test_one_example_of_float32_meets_float64_as_an_array_does():
    small, large = A.astype("f4"), rng.normal(size=3)
    for f in [lambda x, y: x * y, lambda x, y: x + np.float64(2), lambda x, y: x + 2.0, lambda x, y: x.sum() * y, lambda x, y: x + v]:
        same(gn.vmap(f)(small, large), loop(f)(gn.asarray(small), gn.asarray(large)))


def test_one_example_looks_like_one():
    def f(x):
        assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((3, 2), 2, 6, 3, np.float64)
        assert (np.shape(x), np.ndim(x), np.size(x), np.iscomplexobj(x)) == ((3, 2), 2, 6, False)
        assert isinstance(x, gn.Tensor) and not x.requires_grad
        assert "4 examples" in repr(x)
        assert len(list(x)) == 3
        return x

    same(gn.vmap(f)(B), B)
    same(in_one_piece(gn.vmap(lambda x: x * np.ndim(x) * np.size(x) * np.shape(x)[0]), A), A * 4)


def test_a_call_leaves_the_arguments_alone():
    def f(x, p):
        x += 1
        p["w"][0] = 7.0
        return x + p["w"]

    a, p = A.copy(), {"w": A.copy()}
    gn.vmap(f)(a, p)
    gn.vmap(lambda x, p: f(x, p) if x[0] > 0 else 2 * f(x, p))(a, p)
    assert np.array_equal(a, A) and np.array_equal(p["w"], A)


# ---- gradients through vmap ------------------------------------------------------------------------------------------------


def test_backward_through_vmap():
    """To mapped and to shared tensors, and to those that the function closes over."""

    def gradients(vmap):
        x, w, b = tensor(A), tensor(W), tensor(v)
        np.sum(vmap(lambda x, w: np.sum(np.sin(w @ x) * b), (0, None))(x, w) ** 2).backward()
        return x.grad, w.grad, b.grad

    same(gradients(gn.vmap), gradients(loop))


def test_backward_through_a_gradient_under_vmap():
    def gradients(vmap):
        x, w = tensor(A), tensor(W)
        each = vmap(gn.grad(lambda x: np.sum(np.sin(w @ x))))(x)
        np.sum(each**2).backward()
        return each, x.grad, w.grad

    same(gradients(gn.vmap), gradients(loop))


def test_a_gradient_by_what_all_examples_share_is_one_for_each_example():
    w = tensor(W)
    f = lambda w, x: np.sum(np.sin(w @ x))
    each = gn.vmap(lambda x: gn.grad(f)(w, x))(A)
    same(each, loop(lambda x: gn.grad(f)(W, x))(A))
    np.sum(each**2).backward()
    found, w.grad = w.grad, None
    np.sum(loop(lambda x: gn.grad(f)(w, x))(A) ** 2).backward()
    same(found, w.grad)


def test_results_are_tracked_only_where_something_is():
    assert not gn.vmap(np.sin)(A).requires_grad
    assert gn.vmap(np.sin)(tensor(A)).requires_grad
    assert not gn.vmap(gn.grad(lambda x: x.sum()))(A).requires_grad
    with gn.no_grad():
        assert not gn.vmap(np.sin)(tensor(A)).requires_grad
        same(gn.vmap(gn.grad(lambda x: np.sum(x * x)))(A), 2 * A)


def test_no_grad_and_detach_inside():
    same(gn.grad(lambda a: gn.vmap(lambda x: np.sum(x * x.detach()))(a).sum())(A), A)
    same(gn.vmap(gn.grad(lambda x: np.sum(x * gn.stop_gradient(x))))(A), A)

    def f(x):
        with gn.no_grad():
            y = 2 * x
        assert not y.requires_grad
        return x * y

    same(gn.grad(lambda a: gn.vmap(f)(a).sum())(A), 2 * A)


def test_backward_inside_works_for_each_example():
    """A function that itself calls `backward` adds to the gradients of what it closes over, as a loop would."""

    def gradient(vmap):
        w = tensor(v)

        def f(x):
            y = np.sum(w * x * x)
            y.backward()
            return y.detach()

        return vmap(f)(A), w.grad

    same(gradient(gn.vmap), gradient(lambda f: loop(f)))


def test_a_leaf_made_inside():
    def f(x):
        t = x.detach().requires_grad_()
        np.sum(np.sin(t)).backward()
        return t.grad

    same(gn.vmap(f)(A), np.cos(A))


@alone
def test_hooks_inside():
    """A hook on an intermediate result changes the gradient of each example."""
    warnings.simplefilter("ignore")

    def f(x):
        y = x * x
        y.register_hook(lambda g: g.clip(-0.1, 0.1) * x.detach())
        return np.sum(y)

    same(gn.vmap(gn.grad(f))(A), loop(gn.grad(f))(A))
    same(gn.grad(lambda a: gn.vmap(f)(a).sum())(A), loop(gn.grad(f))(A))


# ---- nests -----------------------------------------------------------------------------------------------------------------


def jax_():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def of_jax():
    jax = jax_()
    hvp = lambda f: lambda x, u: jax.jvp(jax.grad(f), (x,), (u,))[1]
    names = ["vmap", "grad", "value_and_grad", "jvp", "vjp"]
    return SimpleNamespace(np=jax.numpy, jacobian=jax.jacrev, hessian=jax.hessian, hvp=hvp, **{name: getattr(jax, name) for name in names})


def of_gradnerve(vmap):
    names = ["grad", "value_and_grad", "jacobian", "hessian", "hvp", "jvp", "vjp"]
    return SimpleNamespace(np=np, vmap=vmap, **{name: getattr(gn, name) for name in names})


def scalar(m):
    return lambda x: m.np.sum(m.np.sin(W @ x) * x * x)


def of_two(m):
    return lambda x, y: m.np.sum(x * m.np.sin(x * y))


def vector(m):
    return lambda x: m.np.sin(W @ x) * x


def pushed(m):
    return lambda x, u: m.jvp(vector(m), (x,), (u,))


def pulled(m):
    def f(x, u):
        out, pull = m.vjp(vector(m), x)
        return out, pull(u), pull(2 * u)

    return f


def of_gradients(m):
    """The sum of the squares of the gradients of all examples."""
    return lambda a: m.np.sum(m.vmap(m.grad(scalar(m)))(a) ** 2)


def of_values(m):
    return lambda a: m.np.sum(m.vmap(vector(m))(a) ** 2)


# what, as a function of a namespace of functions of functions; the arguments
NESTS = {
    "vmap(grad)": (lambda m: m.vmap(m.grad(scalar(m))), (A,)),
    "vmap(grad), axis 1": (lambda m: m.vmap(m.grad(scalar(m)), 1, 1), (A.T,)),
    "vmap(value_and_grad)": (lambda m: m.vmap(m.value_and_grad(scalar(m))), (A,)),
    "vmap(jacobian)": (lambda m: m.vmap(m.jacobian(vector(m))), (A,)),
    "vmap(jacobian), axis -1": (lambda m: m.vmap(m.jacobian(vector(m)), 0, -1), (A,)),
    "vmap(hessian)": (lambda m: m.vmap(m.hessian(scalar(m))), (A,)),
    "vmap(jacobian(jacobian))": (lambda m: m.vmap(m.jacobian(m.jacobian(vector(m)))), (A,)),
    "vmap(hvp)": (lambda m: m.vmap(m.hvp(scalar(m))), (A, 2 * A)),
    "vmap(hvp), one vector": (lambda m: m.vmap(m.hvp(scalar(m)), (0, None)), (A, v)),
    "vmap(hvp), one point": (lambda m: m.vmap(m.hvp(scalar(m)), (None, 0)), (v, A)),
    "vmap(jvp)": (lambda m: m.vmap(pushed(m)), (A, 2 * A)),
    "vmap(jvp), one tangent": (lambda m: m.vmap(pushed(m), (0, None)), (A, v)),
    "vmap(jvp), one point": (lambda m: m.vmap(pushed(m), (None, 0)), (v, A)),
    "vmap(vjp)": (lambda m: m.vmap(pulled(m)), (A, 2 * A)),
    "vmap(vjp), one gradient": (lambda m: m.vmap(pulled(m), (0, None)), (A, v)),
    "vmap(vjp), one point": (lambda m: m.vmap(pulled(m), (None, 0)), (v, A)),
    "vmap(grad(grad(grad)))": (lambda m: m.vmap(m.grad(m.grad(m.grad(lambda x: m.np.sin(x) * x)))), (SIGNS,)),
    "vmap(grad), two arguments": (lambda m: m.vmap(m.grad(of_two(m), (0, 1)), (0, 1)), (A, 2 * A.T)),
    "vmap(grad), a shared argument": (lambda m: m.vmap(m.grad(of_two(m), (0, 1)), (0, None)), (A, v)),
    "vmap(vmap(grad))": (lambda m: m.vmap(m.vmap(m.grad(scalar(m)))), (B,)),
    "vmap(vmap(grad)), axes 1 and 0": (lambda m: m.vmap(m.vmap(m.grad(scalar(m)), 0, 1), 1), (B,)),
    "vmap(vmap(hessian))": (lambda m: m.vmap(m.vmap(m.hessian(scalar(m)))), (B,)),
    "vmap(vmap(vmap(jacobian)))": (lambda m: m.vmap(m.vmap(m.vmap(m.jacobian(vector(m))), 1)), (C[:2, :2],)),
    "vmap(vmap(grad)), one pair each": (lambda m: m.vmap(m.vmap(m.grad(of_two(m), (0, 1)), (None, 0)), (0, None)), (A, 2 * A)),
    "vmap(jacobian(vmap))": (lambda m: m.vmap(m.jacobian(m.vmap(vector(m)))), (B,)),
    "vmap(grad(vmap(grad)))": (lambda m: m.vmap(m.grad(of_gradients(m))), (B,)),
    "vmap(hessian(vmap))": (lambda m: m.vmap(m.hessian(of_values(m))), (B[:2],)),
    "vmap(grad), closed over two examples": (lambda m: m.vmap(lambda x: m.vmap(lambda y: m.grad(lambda z: m.np.sum(x * y * z**3))(x))(2 * A)), (A,)),
    "vmap(grad) at a constant": (lambda m: m.vmap(lambda x: m.grad(lambda z: m.np.sum(x * z**3))(v)), (A,)),
    "vmap(grad) of what no example changes": (lambda m: m.vmap(lambda x: m.grad(lambda z: m.np.sum(z**3))(v)), (A,)),
    "vmap(grad) of what does not depend on it": (lambda m: m.vmap(lambda x: m.grad(lambda z: m.np.sum(x))(v)), (A,)),
    "vmap(jacobian) of a constant": (lambda m: m.vmap(m.jacobian(lambda x: 1.0 * v)), (A,)),
    "grad(vmap)": (lambda m: m.grad(of_values(m)), (A,)),
    "value_and_grad(vmap)": (lambda m: m.value_and_grad(of_values(m)), (A,)),
    "jacobian(vmap)": (lambda m: m.jacobian(m.vmap(vector(m), 0, 1)), (A,)),
    "hessian(vmap)": (lambda m: m.hessian(of_values(m)), (A,)),
    "hvp(vmap)": (lambda m: m.hvp(of_values(m)), (A, 2 * A)),
    "jvp(vmap)": (lambda m: lambda a, u: m.jvp(m.vmap(vector(m)), (a,), (u,)), (A, 2 * A)),
    "grad(vmap(grad))": (lambda m: m.grad(of_gradients(m)), (A,)),
    "hessian(vmap(grad))": (lambda m: m.hessian(of_gradients(m)), (A,)),
    "hvp(vmap(grad))": (lambda m: m.hvp(of_gradients(m)), (A, 2 * A)),
    "jvp(vmap(grad))": (lambda m: lambda a, u: m.jvp(m.vmap(m.grad(scalar(m))), (a,), (u,)), (A, 2 * A)),
    "jacobian(vmap(jacobian))": (lambda m: m.jacobian(m.vmap(m.jacobian(vector(m)))), (A,)),
    "grad(vmap(hessian))": (lambda m: m.grad(lambda a: m.np.sum(m.vmap(m.hessian(scalar(m)))(a) ** 2)), (A,)),
    "grad(vmap(vmap(grad)))": (lambda m: m.grad(lambda a: m.np.sum(m.vmap(m.vmap(m.grad(scalar(m))), 1)(a) ** 2)), (B,)),
    "grad(vmap(grad(vmap(grad))))": (lambda m: m.grad(lambda b: m.np.sum(m.vmap(m.grad(of_gradients(m)))(b) ** 2)), (B[:2],)),
    "grad by what vmap closes over": (lambda m: m.grad(lambda w: m.np.sum(m.vmap(m.grad(lambda z: m.np.sum(w * z**3)))(A) ** 2)), (v,)),
    "vmap(pullback)": (lambda m: lambda x, us: m.vmap(m.vjp(vector(m), x)[1])(us), (v, np.eye(2))),
    "vmap(push)": (lambda m: lambda x, us: m.vmap(lambda u: m.jvp(vector(m), (x,), (u,))[1], 0, 1)(us), (v, np.eye(2))),
    "vmap(vmap(pullback))": (lambda m: m.vmap(lambda x: m.vmap(m.vjp(vector(m), x)[1])(np.eye(2))), (A,)),
}


def nests(without="nothing"):
    return pytest.mark.parametrize(("nest", "args"), [pytest.param(*NESTS[name], id=name) for name in NESTS if without not in name])


@nests()
def test_a_nest_is_that_with_a_loop(nest, args):
    same(nest(of_gradnerve(gn.vmap))(*args), nest(of_gradnerve(loop))(*args))


@nests()
def test_a_nest_is_that_of_jax(nest, args):
    m = of_jax()
    found, expected = nest(of_gradnerve(gn.vmap))(*args), nest(m)(*args)
    same(found, tree.flatten(found)[1]([np.asarray(x) for x in tree.leaves_like(expected, found, "JAX's")]))


@nests(without="pullback")
def test_a_nest_runs_in_one_piece(nest, args):
    in_one_piece(nest(of_gradnerve(gn.vmap)), *args)


@nests()
def test_a_nest_of_float32_has_the_dtypes_of_a_loop(nest, args):
    args = [gn.asarray(x.astype("f4")) for x in args]
    same(nest(of_gradnerve(gn.vmap))(*args), nest(of_gradnerve(loop))(*args))


@pytest.mark.parametrize("aux", [False, True])
def test_containers_and_what_comes_with_the_value(aux):
    def f(p, x):
        value = np.sum(np.sin(p["w"] @ x) * p["b"][0])
        return (value, (x, {"norm": np.sum(x * x)})) if aux else value

    p = {"w": W, "b": [v]}
    for g in [gn.grad(f, has_aux=aux), gn.value_and_grad(f, has_aux=aux), gn.grad(f, (1, 0), has_aux=aux)]:
        same(gn.vmap(g, (None, 0))(p, A), loop(g, (None, 0))(p, A))
    if not aux:
        for g in [gn.hessian(f), gn.hessian(f, (0, 1)), gn.jacobian(lambda p, x: {"y": p["w"] @ x, "s": p["b"]})]:
            same(gn.vmap(g, (None, 0))(p, A), loop(g, (None, 0))(p, A))


def test_complex_gradients_and_holomorphic_jacobians():
    z = A + 1j * A[::-1]
    for g in [gn.grad(lambda z: np.sum(np.abs(z * z * v))), gn.jacobian(lambda z: np.sin(z) * z[0], holomorphic=True)]:
        same(gn.vmap(g)(z), loop(g)(z))


class Model:
    """An object with parameters."""

    def __init__(self):
        self.w, self.b = tensor(W), tensor(v)

    def named_parameters(self):
        return [("w", self.w), ("b", self.b)]

    def parameters(self):
        return [self.w, self.b]

    def __call__(self, x):
        return np.sum(np.sin(self.w @ x + self.b))


def test_a_gradient_by_an_object():
    model, f = Model(), lambda model, x: model(x) ** 2
    same(gn.vmap(gn.grad(f), (None, 0))(model, A), loop(gn.grad(f), (None, 0))(model, A))
    same(gn.vmap(lambda x: gn.grad(f)(model, x))(A), loop(lambda x: gn.grad(f)(model, x))(A))
    assert model.w.is_leaf and model.w.shape == (2, 2) and not model.w.grad.any()
    gn.vmap(model)(A).sum().backward()
    found, model.w.grad = model.w.grad, None
    loop(model)(A).sum().backward()
    same(found, model.w.grad)


# ---- the gradient of each image's loss ---------------------------------------------------------------------------------------------


def network():
    draw = np.random.default_rng(1)
    return {"w0": draw.normal(size=(784, 16)) / 28, "b0": draw.normal(size=16), "w1": draw.normal(size=(16, 10)) / 4, "b1": draw.normal(size=10)}


def images():
    draw = np.random.default_rng(2)
    return draw.normal(size=(64, 784)), draw.integers(0, 10, size=64)


def cross_entropy(p, x, y):
    logits = np.tanh(x @ p["w0"] + p["b0"]) @ p["w1"] + p["b1"]
    return np.log(np.sum(np.exp(logits))) - np.sum(logits * y)


def test_the_gradient_for_each_image_is_that_of_a_loop():
    """With parameters that all images share, and with those that the function closes over."""
    p, (x, labels) = network(), images()
    y = np.eye(10)[labels]
    expected = loop(gn.grad(cross_entropy), (None, 0, 0))(p, x, y)
    same(gn.vmap(gn.grad(cross_entropy), (None, 0, 0))(p, x, y), expected)
    tracked = {name: tensor(a) for name, a in p.items()}
    closed = gn.vmap(lambda x, y: gn.grad(cross_entropy)(tracked, x, y))(x, y)
    same(closed, expected)
    gn.vmap(lambda x, y: cross_entropy(tracked, x, y))(x, y).sum().backward()
    same({name: t.grad for name, t in tracked.items()}, {name: value(g).sum(0) for name, g in expected.items()})


def test_the_gradient_for_each_image_is_that_of_torch():
    torch = pytest.importorskip("torch")
    p, (x, labels) = network(), images()

    def theirs(p, x, y):
        return torch.nn.functional.cross_entropy(torch.tanh(x @ p["w0"] + p["b0"]) @ p["w1"] + p["b1"], y)

    each = torch.func.vmap(torch.func.grad(theirs), (None, 0, 0))
    expected = each({name: torch.tensor(a) for name, a in p.items()}, torch.tensor(x), torch.tensor(labels))
    expected = {name: g.numpy() for name, g in expected.items()}
    ours = lambda p, x, y: gn.cross_entropy(np.tanh(x @ p["w0"] + p["b0"]) @ p["w1"] + p["b1"], y)
    same(gn.vmap(gn.grad(ours), (None, 0, 0))(p, x, labels), expected)
    same(gn.vmap(gn.grad(cross_entropy), (None, 0, 0))(p, x, np.eye(10)[labels]), expected)


def test_jacobian_and_hessian_for_each_example_are_those_of_torch():
    torch = pytest.importorskip("torch")
    w = torch.tensor(W)
    ours, theirs = (lambda x: np.tanh(W @ x) * x), (lambda x: torch.tanh(w @ x) * x)
    same(gn.vmap(gn.jacobian(ours))(A), torch.func.vmap(torch.func.jacrev(theirs))(torch.tensor(A)).numpy())
    expected = torch.func.vmap(torch.func.hessian(lambda x: theirs(x).sum()))(torch.tensor(A)).numpy()
    same(gn.vmap(gn.hessian(lambda x: ours(x).sum()))(A), expected)


# ---- functions that look at values ---------------------------------------------------------------------------------------------------


def branches(x):
    return x * x if x > 0 else -3 * x


def halved(x):
    while x * x > 1.5:
        x = x / 2
    return x


LOOKS = {
    "if": branches,
    "while": halved,
    "float": lambda x: x * float(x.detach()),
    "int": lambda x: x * int(x.detach()),
    "item": lambda x: x * x.detach().item(),
    "data": lambda x: x * x.data,
    "asarray": lambda x: x * np.asarray(x.detach()),
    "format": lambda x: x * len(f"{x.detach():.0f}"),
    "range": lambda x: sum(x * k for k in range(int(abs(x.data)) + 1)),
    "in a list": lambda x: x * [1.0, 5.0, 7.0, 9.0][int(abs(x.data))],
    "max": lambda x: max(x, -2 * x),
    "stored": lambda x: x * into_an_array(x),
    "caught": lambda x: x * tried(x),
}


def into_an_array(x):
    a = np.zeros(2)
    a[0] = x.detach()
    return a[0]


def tried(x):
    """What a library does that wants its own kind of error."""
    try:
        return float(x.detach())
    except RuntimeError as error:
        raise ValueError("no number") from error


@pytest.mark.parametrize("f", [pytest.param(f, id=name) for name, f in LOOKS.items()])
def test_a_function_that_looks_at_values_is_called_for_each_example(f):
    with pytest.warns(gn.BatchWarning, match="is called once for each of the 3 examples"):
        same(gn.vmap(f)(SIGNS), loop(f)(gn.asarray(SIGNS)))
    same(gn.vmap(gn.grad(f))(SIGNS), loop(gn.grad(f))(SIGNS))
    same(gn.grad(lambda a: np.sum(gn.vmap(f)(a) ** 2))(SIGNS), gn.grad(lambda a: np.sum(loop(f)(a) ** 2))(SIGNS))
    same(gn.vmap(gn.vmap(f))(A), loop(loop(f))(gn.asarray(A)))
    same(gn.vmap(gn.vmap(gn.grad(f)), in_axes=1)(A), loop(loop(gn.grad(f)), 1)(A))


def test_a_gradient_through_looks_at_every_order():
    f = lambda x: branches(x) * x
    g = lambda a: np.sum(gn.vmap(gn.grad(f))(a) ** 2)
    same(gn.grad(g)(SIGNS), gn.grad(lambda a: np.sum(loop(gn.grad(f))(a) ** 2))(SIGNS))
    same(gn.hessian(g)(SIGNS), gn.hessian(lambda a: np.sum(loop(gn.grad(f))(a) ** 2))(SIGNS))


def test_the_warning_names_the_function_and_points_at_the_call():
    with pytest.warns(gn.BatchWarning, match=r"branches.* is called once for each of the 3 examples") as seen:
        gn.vmap(branches)(SIGNS)
    assert len(seen) == 1 and seen[0].filename == __file__


def test_only_the_vmap_that_has_to_loops():
    """The function inside looks at the outer example only."""
    calls = []

    def f(x):
        sign = 1.0 if x > 0 else -1.0

        def g(y):
            calls.append(1)
            return sign * y * y

        return gn.vmap(g)(A)

    same(gn.vmap(f)(SIGNS), np.sign(SIGNS)[:, None, None] * A * A)
    assert len(calls) == 3


def test_a_gradient_that_would_be_lost_is_refused_as_ever():
    with pytest.raises(gn.GraphError, match="out of the graph"):
        gn.vmap(gn.grad(lambda x: x * float(x)))(SIGNS)
    assert not levels.active and not watching.runs


def test_results_that_make_no_array_are_refused():
    for f, message in [
        (lambda x: gn.ones(int(x)), r"different shapes, \(1,\) and \(2,\)"),
        (lambda x: "one" if x == 1 else "more", "'one'"),
        (lambda x: None if x == 1 else x, "later example"),
        (lambda x: (x, x) if x == 1 else [x], "later example"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            gn.vmap(f)(np.array([1, 2]))
        assert not levels.active


def test_what_is_the_same_for_all_examples_of_a_loop():
    with pytest.warns(gn.BatchWarning):
        assert gn.vmap(lambda x: "one" if x > 0 else "other")(np.array([1.0, 2.0])) == "one"
    with pytest.warns(gn.BatchWarning):
        found = gn.vmap(lambda x: (x / x) * (2 if x > 0 else 3), out_axes=None)(np.array([1.0, 2.0]))
    assert found.shape == () and found == 2.0


def test_values_of_different_kinds_for_different_examples():
    """Results as np.stack makes them: of the common dtype."""
    same(gn.vmap(lambda x: 1 if x > 0 else 0.5)(SIGNS), np.array([0.5, 1.0, 0.5]))
    same(gn.vmap(lambda x: bool(x > 0))(SIGNS), SIGNS > 0)
    same(gn.vmap(lambda x: x if x > 0 else 0)(SIGNS), np.maximum(SIGNS, 0))


def test_one_examples_index_into_what_all_share():
    table, index = gn.Tensor(B), np.array([2, 0, 1])
    same(gn.vmap(lambda k: table[k])(index), B[index])
    same(gn.vmap(lambda k: table[1, k])(index), B[1, index])
    same(gn.vmap(lambda x, k: x[k])(B[:3], index), B[np.arange(3), index])
    t = tensor(B)
    np.sum(gn.vmap(lambda k: table[k] * t[k])(index)).backward()
    expected = np.zeros_like(B)
    expected[index] = B[index]
    same(t.grad, expected)


# ---- in place ---------------------------------------------------------------------------------------------------------------------


def filled(x):
    y = gn.zeros(3)
    y[0] = x[0]
    y[1:] = x * 2
    return y


def filled_array(x):
    y = np.zeros(3)
    y[0] = x[0].data
    return x.sum() * y


def tracked_first(x):
    y = gn.Tensor(np.ones(2), requires_grad=True) * 2
    y[0] = x[1]
    return y * x


def added(x):
    y = gn.zeros(2)
    y += x
    y *= x
    return y


def added_to_another_name(x):
    y = gn.zeros(2)
    z = y
    y += x
    return z * 1


def own_argument(x):
    x = x * 1
    x[0] = x[1] * x[1]
    x += 1
    return x


def argument_itself(x):
    x[0] = 3.0
    return x * x


def with_out(x):
    y = gn.zeros(2)
    np.add(x, x, out=y)
    return y


def with_out_of_its_own(x):
    y = x * 1
    np.multiply(y, y, out=y)
    return y


def scattered(x):
    y = gn.zeros(2)
    np.add.at(y, [0, 0], x)
    return y


def with_methods(x):
    y = x * 1
    y.sort()
    y.put([0], 5.0)
    return y


def by_a_function(x):
    y = x * 1
    np.copyto(y, 7.0, where=np.array([True, False]))
    return y


IN_PLACE = [filled, filled_array, tracked_first, added, added_to_another_name, own_argument, with_out, with_out_of_its_own, scattered, with_methods,
            by_a_function]  # fmt: skip


@pytest.mark.parametrize("f", IN_PLACE)
def test_in_place(f):
    same(value(gn.vmap(f)(A)), value(loop(f)(gn.Tensor(A))))
    same(value(gn.vmap(f)(tensor(A))), value(loop(f)(tensor(A))))
    same(gn.vmap(gn.vmap(f))(B), loop(loop(f))(gn.Tensor(B)))


@pytest.mark.parametrize("f", IN_PLACE)
def test_gradients_of_in_place(f):
    total = lambda x: np.sum(f(x) ** 2)
    same(gn.vmap(gn.grad(total))(A), loop(gn.grad(total))(A))
    same(gn.grad(lambda a: np.sum(gn.vmap(f)(a) ** 2))(A), gn.grad(lambda a: np.sum(loop(f)(a) ** 2))(A))


def test_in_place_on_the_argument_itself():
    same(gn.vmap(argument_itself)(A), loop(argument_itself)(gn.Tensor(A.copy())))


def test_in_place_keeps_the_dtype():
    def f(x):
        x = x * 1
        x += v
        return x

    same(gn.vmap(f)(A.astype("f4")), loop(f)(gn.Tensor(A.astype("f4"))))
    with pytest.raises(TypeError):
        gn.vmap(f)(np.ones((3, 2), int))


def test_in_place_from_an_inner_example():
    def f(vmap):
        def g(x):
            def h(y):
                z = x * 1.0
                z[0] = y
                z += y
                return z * y + x

            return vmap(h)(SIGNS)

        return vmap(g)(A)

    same(f(gn.vmap), f(loop))


def test_what_the_function_closes_over_is_changed_as_in_a_loop():
    def changed(vmap):
        total, last, both = gn.zeros(2), gn.zeros(2), tensor(v) * 1

        def f(x):
            nonlocal total
            total += x
            last[...] = 2 * x
            return x

        def g(x):
            both[0] = x[1] * both[1]
            return both * x

        results = vmap(f)(gn.Tensor(A)), vmap(g)(gn.Tensor(A))
        return *results, total, last, both

    same([value(x) for x in changed(gn.vmap)], [value(x) for x in changed(loop)])


# ---- exceptions, threads, random numbers ---------------------------------------------------------------------------------------------


class Odd(BaseException):
    pass


def raising(error):
    def f(x):
        y = np.sin(x) * tensor(v)
        with gn.no_grad():
            if y.shape:
                raise error
        return y

    return f


@pytest.mark.parametrize("error", [KeyError("k"), Odd(), ValueError("v"), StopIteration(), gn.GraphError("g")], ids=repr)
def test_an_exception_restores_everything(error):
    f = raising(error)
    looking = lambda x: f(x) if x[0] > -9 else x
    for call in [gn.vmap(f), gn.vmap(gn.grad(f)), gn.vmap(gn.hessian(f)), gn.vmap(gn.vmap(lambda x: f(x * np.ones(2)))), gn.vmap(looking),
                 gn.grad(lambda a: gn.vmap(f)(a).sum()), gn.vmap(lambda x: gn.jvp(f, (x,), (x,))), gn.vmap(gn.grad(looking))]:  # fmt: skip
        with pytest.raises(type(error)):
            call(A)
        assert not levels.active and not watching.runs and _engine.recording()
    error.__traceback__ = None
    works()


def test_a_function_that_catches_an_error_of_an_inner_vmap():
    def f(x):
        try:
            return gn.vmap(raising(KeyError))(A)
        except KeyError:
            return 2 * x

    same(gn.vmap(f)(A), 2 * A)
    assert not levels.active


def test_an_error_is_told_with_the_shapes_of_one_example():
    with pytest.raises(gn.ShapeError) as caught:
        gn.vmap(lambda x: x @ np.ones((5, 2)))(A)
    assert re.search(r"x +\(2,\)", str(caught.value))


def test_two_threads_at_once():
    """Each thread is in a vmap of its own, of another size."""
    ready, errors = threading.Barrier(4), []

    def work(size):
        a = np.random.default_rng(size).normal(size=(size, 2))

        def f(x):
            time.sleep(0.001)
            return np.sum(gn.vmap(lambda c: np.sin(x) * c)(SIGNS) * x)

        try:
            ready.wait()
            for _ in range(10):
                same(gn.vmap(gn.grad(f))(a), SIGNS.sum() * (np.cos(a) * a + np.sin(a)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(size,)) for size in (2, 3, 4, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_work_that_another_thread_does_for_an_example():
    def f(x):
        done = []
        thread = threading.Thread(target=lambda: done.append(np.sin(x) * x))
        thread.start()
        thread.join()
        return done[0]

    same(gn.vmap(f)(A), np.sin(A) * A)


def test_random_numbers_that_need_no_example_are_drawn_once():
    draw = gn.random.default_rng(3)
    noise = value(gn.vmap(lambda x: 0 * x + draw.normal(size=2))(A))
    assert np.array_equal(noise, np.tile(np.random.default_rng(3).normal(size=2), (3, 1)))


def test_random_numbers_that_an_example_decides_on_are_drawn_for_each():
    draw, again = gn.random.default_rng(3), np.random.default_rng(3)
    found = gn.vmap(lambda x: draw.normal(x, 1.0))(A)
    same(found, np.stack([again.normal(x, 1.0) for x in A]))


# ---- operations without a rule -----------------------------------------------------------------------------------------------------


def own(name, forward, **lines):
    operation = define.op(forward, name=name, **lines)
    del define.operations[name]
    return operation


cube = own("own_cube", lambda x: x**3, x=lambda g, x: g * 3 * x * x)
times = own("own_times", lambda x, y: x * y, x=lambda g, y: g * y, y=lambda g, x: g * x)
powered = own("own_power", lambda x, *, power=3: x**power, x=lambda g, x, power: g * power * x ** (power - 1))
total = own("own_total", lambda *xs: sum(xs), xs=lambda g: g)


@gn.custom_gradient
def custom(x):
    return x**3, lambda g: 3 * x * x * g


@pytest.mark.parametrize(("f", "name"), [
    (cube, "own_cube"),
    (lambda x: times(x, np.sin(x)), "own_times"),
    (lambda x: times(W, x), "own_times"),
    (powered, "own_power"),
    (lambda x: powered(x, power=2), "own_power"),
    (lambda x: total(x, 2 * x, v), "own_total"),
    (custom, "custom"),
])  # fmt: skip
def test_an_operation_without_a_rule(f, name):
    with pytest.warns(gn.BatchWarning, match=f"{name} .*once for each of the 3 examples"):
        same(gn.vmap(f)(A), loop(f)(gn.Tensor(A)))
    same(gn.vmap(gn.vmap(f))(B), loop(loop(f))(gn.Tensor(B)))
    turned = np.moveaxis(B, -1, 0)
    same(gn.vmap(gn.vmap(f, 1), 1)(turned), loop(loop(f, 1), 1)(gn.Tensor(turned)))
    g = gn.grad(lambda x: np.sum(f(x) ** 2))
    same(gn.vmap(g)(A), loop(g)(A))
    same(gn.vmap(gn.vmap(g))(B), loop(loop(g))(B))
    same(gn.grad(lambda a: np.sum(gn.vmap(f)(a) ** 2))(A), gn.grad(lambda a: np.sum(loop(f)(a) ** 2))(A))
    if f is not custom:
        h = gn.hessian(lambda x: np.sum(f(x) ** 2))
        same(gn.vmap(h)(A), loop(h)(A))
        same(gn.grad(lambda a: np.sum(gn.vmap(g)(a) ** 2))(A), gn.grad(lambda a: np.sum(loop(g)(a) ** 2))(A))


def test_an_operation_without_a_rule_on_two_levels():
    found = gn.vmap(lambda x: gn.vmap(lambda y: times(x, y))(2 * A))(A)
    same(found, A[:, None] * 2 * A)
    g = gn.vmap(lambda x: gn.vmap(gn.grad(lambda y: np.sum(times(times(x, y), y))))(2 * A))(A)
    same(g, 2 * A[:, None] * 2 * A)


def test_a_pullback_that_closes_over_an_example():
    def f(x):
        @gn.custom_gradient
        def scaled(q):
            return q * x, lambda g: g * x

        return gn.grad(lambda q: np.sum(scaled(q)))(v)

    same(gn.vmap(f)(A), A)


# ---- what is kept beyond its vmap ---------------------------------------------------------------------------------------------------


def hooked(x, q):
    y = q * 2
    y.register_hook(lambda g: g * x)
    return np.sum(y)


def pulled_back(x):
    np.sum(gn.custom_gradient(lambda q: (q, lambda g: x))(tensor(v))).backward()


USES = [
    repr, str, float, bool, len, list, hash, copy.copy, copy.deepcopy, pickle.dumps, np.sum, np.exp, np.asarray, gn.Tensor, gn.asarray, gn.graph,
    lambda x: x + 1,
    lambda x: x @ x,
    lambda x: np.stack([x, x]),
    lambda x: (x[0], W[x], gn.Tensor(W)[x > 0]),
    lambda x: W[x],
    lambda x: gn.Tensor(W)[x > 0],
    lambda x: x.data,
    lambda x: (x._prev, x.grad, x._operation, x._backward()),
    lambda x: x.register_hook(print),
    lambda x: (x.detach(), x.zero_grad(), x.requires_grad_()),
    lambda x: x.backward(),
    lambda x: x.sum().backward(),
    lambda x: x.backward(np.ones(2)),
    lambda x: (tensor(v) * 2).backward(x),
    lambda x: setattr(x, "data", v),
    lambda x: setattr(x, "grad", v),
    lambda x: setattr(tensor(v), "data", x),
    lambda x: setattr(tensor(v), "grad", x),
    lambda x: x.__setitem__(0, 1.0),
    lambda x: gn.zeros(2).__setitem__(0, x),
    lambda x: (tensor(v) * 1).__setitem__(0, x),
    lambda x: x.__iadd__(1.0),
    lambda x: gn.zeros(2).__iadd__(x),
    lambda x: (tensor(v) * 1).__iadd__(x),
    lambda x: np.add(x, 1, out=x),
    lambda x: np.add(x, 1, out=tensor(v) * 1),
    lambda x: gn.vmap(np.sin)(x),
    lambda x: gn.vmap(lambda y: x * y)(A),
    lambda x: gn.vmap(lambda y: x * y)(B[0, :2]),
    lambda x: gn.grad(np.sum)(x),
    lambda x: gn.grad(lambda q: np.sum(q * x))(v),
    lambda x: gn.hessian(lambda q: np.sum(q * q * x))(v),
    lambda x: gn.jacobian(lambda q: q * x)(v),
    lambda x: gn.jvp(np.sin, (v,), (x,)),
    lambda x: gn.vjp(np.sin, v)[1](x),
    lambda x: hooked(x, tensor(v)).backward(),
    lambda x: gn.grad(lambda q: hooked(x, q))(v),
    pulled_back,
]  # fmt: skip


@alone
def test_a_kept_example_does_no_harm():
    """Whatever is done with it gives a result or an error."""
    warnings.simplefilter("ignore")

    def kept(a):
        store = []
        gn.vmap(lambda x: store.append((x, np.sum(x * x))))(a)
        return store[0]

    for a in [A, gn.Tensor(A, requires_grad=True)]:
        for which in (0, 1):
            for use in USES:
                x = kept(a)[which]
                with suppress(Exception):
                    use(x)
                works()
    assert not levels.active and not watching.runs


def test_the_values_of_a_kept_example_are_refused():
    kept = []
    gn.vmap(lambda x: kept.append(x))(A)
    with pytest.raises(gn.GraphError, match="vmap"):
        kept[0].data
    with pytest.raises(gn.GraphError, match="vmap"):
        gn.grad(lambda q: np.sum(q * kept[0]))(v)


@alone
def test_a_gradient_in_another_thread_does_no_harm():
    """The other thread is in no vmap: it cannot know how many examples there are."""
    warnings.simplefilter("ignore")

    def f(x):
        def work():
            try:
                done.append(gn.grad(lambda q: np.sum(q * q * x))(x))
            except gn.GraphError as error:
                done.append(error)

        done = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return x if isinstance(done[0], Exception) else done[0]

    gn.vmap(f)(A)
    works()


@alone
def test_no_memory_is_left_behind():
    warnings.simplefilter("ignore")
    f = lambda x: np.sum(np.sin(x) * x)
    size = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    a = np.ones((50, 200))
    for k in range(300):
        gn.vmap(gn.grad(f))(a)
        gn.vmap(gn.vmap(np.sin))(a)
        if k == 50:
            before = size()
    assert size() < before + 4096


def test_looks_at_a_mask_and_at_equality():
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 5.0]])
    for f in np.array_equal, np.allclose, lambda a, b: np.array_equal(a, b[:1]), lambda a, b: np.array_equal(a, b, equal_nan=True):
        assert gn.vmap(f)(x, y).tolist() == [f(a, b) for a, b in zip(x, y, strict=True)]
    assert gn.vmap(np.vdot)(x, y).tolist() == [5.0, 29.0]
    choose = lambda a, b: np.select([a > 2, b > 1], [a, b * 10], default=-1.0)
    assert gn.vmap(choose)(x, y).tolist() == [choose(a, b).tolist() for a, b in zip(x, y, strict=True)]


def test_a_number_has_no_length_and_a_matrix_no_number():
    with pytest.raises(TypeError, match="0-d"):
        gn.vmap(lambda x: len(x) * x)(np.ones(2))
    with pytest.raises(ValueError, match="matmul"):
        gn.vmap(lambda x: x @ np.ones((2, 2)))(np.ones(2))
