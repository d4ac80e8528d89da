"""Hooks: functions that see a tensor's gradient on its way, and may put another in its place."""

import threading
import weakref

import numpy as np
import pytest
from test_functional import close, leaf, refusal, says

import gradnerve as gn
from gradnerve import GraphError, ShapeError

pytestmark = pytest.mark.usefixtures("rows_return")


def test_a_hook_sees_the_sum_once():
    x, seen = leaf([1.0, 2.0]), []
    x.register_hook(seen.append)
    (x * x + 3 * x + np.exp(x) / np.exp(x)).sum().backward()
    assert [type(g) for g in seen] == [gn.Tensor] and not seen[0].requires_grad and seen[0].dtype == float
    np.testing.assert_allclose(seen[0].data, [5, 7])
    assert (seen[0].data == x.grad).all()
    (x * x).sum().backward()
    assert len(seen) == 2 and seen[1].tolist() == [2, 4]


def test_a_hook_of_a_result():
    x, seen = leaf([1.0, 2.0]), []
    y = x * x
    y.register_hook(lambda g: seen.append(g.tolist()))
    z = y * 10 + y
    z.register_hook(lambda g: seen.append(g.tolist()))
    z.sum().backward()
    assert seen == [[1, 1], [11, 11]] and y.grad.tolist() == [11, 11]


def test_a_hook_of_the_output_sees_the_seed():
    x = leaf([1.0, 2.0])
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [30, 60] and y.grad.tolist() == [10, 20]


@pytest.mark.parametrize("returned", [[5.0, 6.0], np.array([5, 6]), np.array([5, 6], np.float32), gn.Tensor([5.0, 6.0]), (5.0, 6.0)], ids=repr)
def test_what_a_hook_returns_takes_the_place_of_the_gradient(returned):
    x = leaf([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: returned)
    (y * 7).sum().backward()
    assert x.grad.tolist() == [10, 24] and y.grad.tolist() == [5, 6] and x.grad.dtype == y.grad.dtype == float
    returned = np.asarray(returned)
    y.grad[:] = 0
    assert returned.tolist() == [5, 6]


def test_hooks_run_in_the_order_of_registration():
    x, seen = leaf(1.0), []
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(float(g)))
    x.register_hook(lambda g: g + 1)
    (2 * x).backward()
    assert x.grad == 21 and seen == [20]


def test_hooks_are_removed():
    x, calls = leaf(1.0), []
    hook = lambda g: calls.append(float(g))
    one, two = x.register_hook(hook), x.register_hook(hook)
    (x * 2).backward()
    one.remove()
    one.remove()
    (x * 3).backward()
    with x.register_hook(lambda g: g * 100):
        (x * 5).backward()
    two.remove()
    (x * 7).backward()
    assert calls == [2, 2, 3, 5] and x.grad == 2 + 3 + 500 + 7


def test_a_hook_that_removes_itself_or_adds_another():
    x, calls = leaf(1.0), []

    def once(g):
        handle.remove()
        x.register_hook(lambda g: calls.append("added"))
        calls.append("once")

    handle = x.register_hook(once)
    (x * 2).backward()
    assert calls == ["once"]
    (x * 2).backward()
    assert calls == ["once", "added"]
    x.requires_grad_(False)  # the hook that was added goes with the row


def test_a_handle_outlives_its_tensor():
    y = leaf(1.0) * 2
    handle = y.register_hook(lambda g: g * 5)
    y.backward()
    handle.remove()
    del y
    handle.remove()


def test_changing_the_gradient_in_place_changes_nothing():
    """Neither in a plain sweep nor in a recorded one: only what is returned counts."""

    def spoil(g):
        g *= 100
        g.data[...] = -1

    def f(x):
        y = x * x
        y.register_hook(spoil)
        return (y + 3 * x).sum()

    for x in (np.array([1.0, 2.0]), leaf([1.0, 2.0])):
        assert gn.grad(f)(x).tolist() == [5, 7]
        assert gn.grad(lambda x: gn.grad(f)(x).sum())(x).tolist() == [2, 2]
    x, seed = leaf([1.0, 2.0]), np.ones(2)
    y = x + 1
    y.register_hook(spoil)
    y.backward(seed)
    assert x.grad.tolist() == [1, 1] == seed.tolist()


def test_a_gradient_that_a_hook_keeps_stays_as_it_was():
    x, kept = leaf(np.ones(3)), []
    y = x * 2
    y.register_hook(kept.append)
    z = y * 1
    z.register_hook(kept.append)
    (z + y * y).sum().backward()
    values = [g.tolist() for g in kept]
    for _ in range(3):
        (x * x * 7).sum().backward()
    assert values == [[1, 1, 1], [5, 5, 5]] == [g.tolist() for g in kept]


# ---- second order ----------------------------------------------------------------------------------------------------------


def cubed(x, hook):
    y = x**3
    y.register_hook(hook)
    return (y * x).sum()


def test_gradients_through_a_hook_are_differentiated():
    """The gradient that a hook multiplies by x**2 is 3 w x**2, and its derivative 6 w x."""
    x, w = np.array([2.0, 3.0]), np.array([1.0, -2.0])

    def f(x):
        y = 3 * x
        y.register_hook(lambda g: g * x**2)
        return (y * w).sum()

    close(gn.grad(f)(x), 3 * w * x**2)
    close(gn.grad(lambda x: gn.grad(f)(x).sum())(x), 6 * w * x)
    close(gn.jacobian(gn.grad(f))(x), np.diag(6 * w * x))
    close(gn.jvp(gn.grad(f), (x,), (np.ones(2),))[1], 6 * w * x)
    close(gn.hvp(f)(x, np.ones(2)), 6 * w * x)


def test_a_hook_sees_the_gradients_of_all_orders_that_pass_its_tensor():
    torch = pytest.importorskip("torch")
    f = lambda x: cubed(x, lambda g: g * x)
    x = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    (second,) = torch.autograd.grad(g.sum(), x)
    x = x.detach().numpy()
    close(gn.grad(f)(x), g.detach())
    close(gn.grad(lambda x: gn.grad(f)(x).sum())(x), second)
    close(gn.hvp(f)(x, np.ones(2)), second)
    close(gn.jvp(gn.grad(f), (x,), (np.ones(2),))[1], second)


def test_a_linear_hook_in_every_kind_of_sweep():
    x, v = np.array([2.0, 3.0]), np.array([1.0, -1.0])
    f = lambda x: (lambda y: y.register_hook(lambda g: 10 * g) and y * 2)(x * x)
    close(gn.elementwise_grad(f)(x), 40 * x)
    close(gn.vjp(f, x)[1](v)[0], 40 * x * v)
    close(gn.jvp(f, (x,), (v,))[1], 40 * x * v)
    close(gn.jacobian(f)(x), np.diag(40 * x))


@pytest.mark.parametrize("hook", [lambda g: g / np.sqrt((g * g).sum()), lambda g: g.clip(-1, 1), lambda g: np.sort(g), lambda g: np.arange(2.0),
                                  lambda g: g * float(g[0]), lambda g: g if g[0] > 0 else -g], ids=str)  # fmt: skip
def test_a_hook_sees_each_row_of_a_jacobian(hook):
    def f(x):
        y = x * x
        y.register_hook(hook)
        return np.stack([y[0] * y[1], y[0] - 5 * y[1], -y[0]])

    x = np.array([2.0, 3.0])
    expected = [gn.vjp(f, x)[1](row)[0].data for row in np.eye(3)]
    close(gn.jacobian(f)(x), expected)
    np.testing.assert_allclose(expected[2], [2 * a * b for a, b in zip(x, np.asarray(hook(gn.Tensor([-1.0, 0.0]))), strict=True)])


def test_a_hook_with_constants_in_a_recorded_sweep():
    x = leaf([2.0, 3.0])
    g = gn.grad(lambda x: cubed(x, lambda g: np.ones(2)))(x)
    close(g, 3 * x.data**2 + x.data**3)
    assert g.requires_grad
    g.sum().backward()
    np.testing.assert_allclose(x.grad, 6 * x.data + 3 * x.data**2)


def test_hooks_of_the_argument_itself():
    def f(x):
        x.register_hook(lambda g: g * 10)
        return (x * x).sum()

    x = leaf([1.0, 2.0])
    for argument in (np.array([1.0, 2.0]), x):
        close(gn.grad(f)(argument), [20, 40])
    x.register_hook(lambda g: 1 / 0)  # outside of what is differentiated
    close(gn.grad(f)(x), [20, 40])
    assert "division" in refusal(ZeroDivisionError, gn.grad(f)(x).sum().backward)


def test_only_hooks_on_the_way_are_called():
    x, w, seen = leaf(2.0), leaf(3.0), []
    y = w * 2
    for t in (w, y):
        t.register_hook(seen.append)
    assert float(gn.grad(lambda x: x * y)(x)) == 6 and not seen


# ---- errors ----------------------------------------------------------------------------------------------------------------

BAD = [
    (lambda g: np.ones(3), ShapeError, ["(3,)", "(2,)"]),
    (lambda g: 1.0, ShapeError, ["()", "(2,)"]),
    (lambda g: g.sum(), ShapeError, ["()", "(2,)"]),
    (lambda g: g * 1j, TypeError, ["complex128", "float64"]),
    (lambda g: "text", TypeError, ["<U4", "float64"]),
    (lambda g: object(), TypeError, ["object", "float64"]),
    (lambda g: 1 / 0, ZeroDivisionError, ["division"]),
]


@pytest.mark.parametrize(("hook", "kind", "words"), BAD, ids=[" ".join(words) for _, _, words in BAD])
def test_an_error_in_a_hook_changes_no_gradient(hook, kind, words):
    words = words if kind is ZeroDivisionError else ["the hook", "<lambda>", *words]
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x.grad, w.grad = np.array([5.0, 6.0]), np.array([7.0, 8.0])
    with x.register_hook(hook):
        says(refusal(kind, (x * w).sum().backward), *words)
        y = x * w
        y.register_hook(hook)
        says(refusal(kind, (y * w).sum().backward), *words)
    for argument in (x, x.data):
        says(refusal(kind, gn.grad(lambda x: cubed(x, hook)), argument), *words)
        says(refusal(kind, gn.hessian(lambda x: cubed(x, hook)), argument), *words)
    assert x.grad.tolist() == [5, 6] and w.grad.tolist() == [7, 8]
    (x * w).sum().backward()
    assert x.grad.tolist() == [8, 10]


def test_hooks_that_cannot_be_registered():
    says(refusal(GraphError, gn.Tensor(1.0).register_hook, print), "register_hook", "does not require grad")
    says(refusal(TypeError, leaf(1.0).register_hook, 3), "register_hook", "function", "3")


# ---- leaks and nesting -----------------------------------------------------------------------------------------------------


def test_hooks_go_with_their_tensor():
    """At once, not when the garbage collector comes."""
    functions = []

    def hook():
        functions.append(weakref.ref(function := lambda g: g * 2))
        return function

    for _ in range(3):
        x = leaf(1.0)
        x.register_hook(hook())
        y = x * 2
        handle = y.register_hook(hook())
        y.backward()
        y = y * 3
        y.register_hook(hook())
        handle.remove()
    del x, y, handle
    assert len(functions) == 9 and not any(ref() for ref in functions)


def test_a_hook_of_a_result_may_hold_it():
    """The sweep that releases the graph lets go of the hooks, too."""

    def f(x):
        y = x * x
        y.register_hook(lambda g: g + 0 * y.detach())
        return y.sum()

    f(leaf([1.0, 2.0])).backward()
    gn.grad(f)(np.ones(2))


def test_an_error_lets_go_of_the_hooks():
    def f(x):
        y = x * x
        y.register_hook(lambda g: y / 0 if 1 / 0 else y)
        return y.sum()

    refusal(ZeroDivisionError, gn.grad(f), np.ones(2))
    refusal(ZeroDivisionError, f(leaf(np.ones(2))).backward)


def test_backward_within_a_hook():
    x, z = leaf(3.0), leaf(1.0)
    x.register_hook(lambda g: (z * z * g).backward())
    (x * x).backward()
    assert x.grad == 6 and z.grad == 12
    y = leaf(2.0)
    y.register_hook(lambda g: gn.grad(lambda t: t**3)(g))
    (y * 5).backward()
    assert y.grad == 75


def test_hooks_in_threads():
    x, seen = leaf(np.ones(4)), []
    x.register_hook(lambda g: seen.append(float(g[0])))
    threads = [threading.Thread(target=lambda k=k: (x * k).sum().backward()) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(8)) and x.grad.tolist() == [28] * 4


def test_a_hook_of_a_layer_gives_a_gradient_for_each_input():
    layer = gn.nn.Bilinear(2, 2, 1)
    layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0],))
    one, two = leaf(np.ones((1, 2))), leaf(np.ones((1, 2)))
    with pytest.raises(ValueError, match="returned 1 gradients, where 2 are expected"):
        layer(one, two).sum().backward()
