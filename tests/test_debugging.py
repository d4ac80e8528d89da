"""Debugging: NaN and infinity are reported where they are born, derivatives of a wrong shape, dtype or value are named."""

import inspect
import threading
import warnings
import weakref

import numpy as np
import pytest
from helpers import forgetting_operations

import gradnerve as gn
from gradnerve import _graph, nn
from gradnerve.ops.define import elementwise, op

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")


@pytest.fixture(autouse=True)
def nothing_stays():
    with forgetting_operations():
        yield


def leaf(*values, dtype=float):
    return gn.Tensor(np.array(values, dtype), requires_grad=True)


def this_line():
    return inspect.currentframe().f_back.f_lineno


# ------------------------------------------------------------------------------------------------------- NaN and infinity


def test_a_value_is_reported_at_its_operation_and_line():
    x = leaf(1.0, 4.0, -2.0)
    with pytest.raises(FloatingPointError) as raised, gn.debug():
        y, line = x * 2, this_line() + 1
        np.sqrt(y)
    assert str(raised.value).splitlines() == [
        "nan first appears in the result of sqrt: 1 of 3 elements, the first at [2], where x is -4.0",
        f'  File "{__file__}", line {line}, in test_a_value_is_reported_at_its_operation_and_line',
        "    np.sqrt(y)",
    ]


def test_the_line_is_the_users_also_through_layers_and_numpys_own_code():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].weight.data[0, 0] = 1e38
    with pytest.raises(FloatingPointError, match="inf first appears in the result of linear") as raised, gn.debug():
        line = this_line() + 1
        net(np.full((3, 2), 1e30, np.float32))
    assert f"line {line}, in test_the_line" in str(raised.value)
    with pytest.raises(FloatingPointError, match="nan first appears in the result of") as raised, gn.debug():
        line = this_line() + 1
        np.quantile(np.log(leaf(1.0, 2.0) - 3), 0.5)
    assert f"line {line}, in test_the_line" in str(raised.value)


def test_a_gradient_is_reported_at_the_line_of_the_operation():
    x = leaf(4.0, 0.0)
    with gn.debug():
        y, line = np.sqrt(x), this_line()
        loss = (y * 3).sum()
        with pytest.raises(FloatingPointError, match=r"inf first appears in the gradient of sqrt by x: 1 of 2 .* at \[1\]") as raised:
            loss.backward()
    assert f"line {line}, in test_a_gradient" in str(raised.value)
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_gradient_of_a_forward_pass_elsewhere_has_no_line():
    loss = np.sqrt(leaf(0.0)).sum()
    with pytest.raises(FloatingPointError, match=r"inf first appears in the gradient of sqrt .*\n.*was not in a block of gn.debug"), gn.debug():
        loss.backward()


def test_what_comes_in_is_not_reported_but_a_nan_from_infinity_is():
    with gn.debug():
        x = leaf(np.nan, np.inf, 1.0)
        (x * 2 + np.array([0.0, np.nan, 1.0])).sum().backward()
        mask = np.array([0.0, -np.inf])
        assert gn.softmax(leaf(1.0, 2.0) + mask).data.tolist() == [1.0, 0.0]
        with pytest.raises(FloatingPointError, match="nan first appears in the result of subtract: 1 of 2 elements"):
            leaf(np.inf, 1.0) - np.array([np.inf, 1.0])


def test_infinities_may_be_left_alone():
    x = leaf(0.0, 1.0)
    with gn.debug(inf=False):
        np.log(x).sum().backward()
        assert x.grad.tolist() == [np.inf, 1.0]
        with pytest.raises(FloatingPointError, match="nan first appears in the result of log"):
            np.log(x - 1)


def test_what_a_mask_leaves_out_is_not_reported_in_a_gradient():
    x = leaf(0.0, 1.0)
    with gn.debug(inf=False):
        np.where(x > 0, np.sqrt(x), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.5]


def test_results_that_nothing_is_recorded_of_are_looked_at():
    with pytest.raises(FloatingPointError, match="result of log"), gn.debug():
        np.log(gn.Tensor([-1.0]))
    with pytest.raises(FloatingPointError, match="result of log"), gn.debug(), gn.no_grad():
        np.log(leaf(-1.0))


def test_with_warn_it_goes_on_and_says_it_once():
    x = leaf(0.0, 1.0)
    with warnings.catch_warnings(record=True) as seen, gn.debug(warn=True):
        warnings.simplefilter("always", RuntimeWarning)
        with np.errstate(all="ignore"):
            loss = (np.log(x) * 2 + 1).sum()
    assert [str(w.message).split(":")[0] for w in seen] == ["inf first appears in the result of log"]
    assert loss.data == -np.inf


# ------------------------------------------------------------------------------------------------------- shapes and dtypes


def test_a_derivative_of_a_wrong_shape_is_named_also_where_broadcasting_would_hide_it():
    double = elementwise(lambda x: x + x, x=lambda g: np.broadcast_to(2 * g, (2, *np.shape(g))))
    x = leaf(1.0, 2.0, 3.0)
    double(x).sum().backward()  # summed over the axis that is too many
    assert x.grad.tolist() == [4.0, 4.0, 4.0]
    with pytest.raises(gn.ShapeError, match=r"the gradient by x, \(3,\) float64, comes in shape \(2, 3\); .*\n.*line"), gn.debug():
        double(x).sum().backward()


def test_a_derivative_that_is_less_precise_is_named():
    triple = op(lambda x: 3 * x, x=lambda g: (3 * g).astype(np.float32))
    x = leaf(1.0, 2.0)
    triple(x).sum().backward()
    with pytest.raises(TypeError, match=r"the gradient by x, \(2,\) float64, comes as float32, from a gradient of the result of float64"), gn.debug():
        triple(x).sum().backward()
    counts = op(lambda x: 3.0 * x, x=lambda g: np.full(g.shape, 3))
    with pytest.raises(TypeError, match="comes as int64"), gn.debug():
        counts(x).sum().backward()


# ------------------------------------------------------------------------------------------------------------- the block


def small_loss(x):
    h = np.concatenate([x, x * 2])
    h[1] = x[0] * 3
    return np.tanh(np.outer(h, h)).sum() + np.linalg.norm(x)


def test_values_and_gradients_are_the_same_bits_to_any_order():
    found = []
    for block in (gn.no_grad(), gn.debug()):
        x = leaf(0.3, 0.7, -0.2)
        with block, gn.enable_grad():
            loss = small_loss(x)
            loss.backward()
            found.append([loss.data, x.grad, gn.hessian(small_loss)(x.data).data])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_blocks_nest_and_end_with_errors_and_are_of_their_thread():
    def born():
        np.log(leaf(-1.0))

    seen = []
    with gn.debug():
        thread = threading.Thread(target=lambda: seen.append(born()))
        thread.start()
        thread.join()
        with gn.debug(inf=False):
            np.log(leaf(0.0))
        with pytest.raises(FloatingPointError):
            np.log(leaf(0.0))
        with pytest.raises(FloatingPointError), gn.debug():
            born()
        with pytest.raises(FloatingPointError):
            born()
    assert seen == [None]
    born()


def test_it_is_a_decorator():
    @gn.debug(inf=False)
    def f(x):
        """What f does."""
        return np.log(x)

    assert f.__doc__ == "What f does." and f(leaf(0.0)).data == -np.inf
    with pytest.raises(FloatingPointError):
        f(leaf(-1.0))
    np.log(leaf(-1.0))


def test_notes_go_with_the_graph():
    x = leaf(1.0, 2.0)
    with gn.debug():
        y = np.exp(x)
        loss = y.sum()
        notes = [weakref.ref(_graph.noted(t._row)) for t in (y, loss)]
        loss.backward()
        assert [note() for note in notes] == [None, None]
        z = np.exp(x)
        note = weakref.ref(_graph.noted(z._row))
        assert note() is not None
    del z
    assert note() is None


# ------------------------------------------------------------------------------------------------------- every derivative


def test_verify_looks_at_every_node_of_a_network():
    gn.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)).double()
    with gn.debug():
        loss = nn.functional.cross_entropy(net(np.random.default_rng(0).normal(size=(4, 1, 6, 6))), np.array([0, 1, 2, 0]))
    nodes = [name for name in gn.graph(loss).nodes["operation"] if name != "leaf"]
    assert repr(gn.verify(loss)) == f"<verify: the derivatives of {len(nodes)} nodes agree with numerical ones>"
    loss.backward()
    with pytest.raises(gn.GraphError, match=r"was released by backward\(\): call verify before it, or backward\(retain_graph=True\)"):
        gn.verify(loss)


def test_verify_names_the_worst_node():
    nearly = gn.custom_gradient(lambda x: (x**2, lambda g: g * 2.001 * x))

    @gn.custom_gradient
    def wrong(x, factor=1.0):
        return factor * x**3, lambda g: factor * g * x**2

    x = leaf(1.0, 2.0)
    with gn.debug():
        y, line = wrong(nearly(x), factor=2.0), this_line()
        loss = np.exp(y / 100).sum()
    with pytest.raises(gn.GradientError) as raised:
        gn.verify(loss)
    said = str(raised.value)
    assert "verify: 2 of 5 nodes have wrong derivatives (3 agree); the worst is wrong (2,) float64, node" in said
    assert f"line {line}, in test_verify_names" in said
    assert "The gradient by argument 0 is 0.3333 times the numeric one." in said
    assert gn.verify(loss, rtol=10.0).agree == 5


def test_verify_takes_functions_with_several_results_and_arguments_of_every_kind():
    class Both(gn.Function):
        @staticmethod
        def forward(ctx, x, power):
            ctx.save_for_backward(x)
            ctx.power = power
            return x**power, -x

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * ctx.power * x ** (ctx.power - 1) - h, None

    x, w = leaf(0.5, 1.5, 2.5), gn.Tensor(np.eye(3, dtype=np.float32), requires_grad=True)
    with gn.debug():
        a, b = Both.apply(x, 3)
        h = np.concatenate([a, b])[np.array([0, 0, 5, 2])]
        h[1:3] = x[:2] ** 2
        loss = np.einsum("i,ij,j->", x, w, x) + np.where(h > 0, h, 0.5).sum() + np.max(h) + np.pad(x, 1, constant_values=x[0]).prod()
    report = gn.verify(loss)
    assert not report.unknown and report.agree == np.count_nonzero(gn.graph(loss).nodes["operation"] != "leaf")


def test_verify_takes_a_kink_for_no_error_if_the_derivative_beside_it_is_right():
    x = leaf(0.0, -1.0, 2.0)
    with gn.debug():
        loss = (gn.relu(x) + abs(x)).sum()
    assert gn.verify(loss).agree == 4
    wrong = gn.custom_gradient(lambda x: (np.abs(x), lambda g: 2 * g * np.sign(x)))
    with gn.debug():
        loss = wrong(x).sum()
    with pytest.raises(gn.GradientError, match="by argument 0 is 2 times the numeric one"):
        gn.verify(loss)


def test_verify_says_of_what_nobody_can_know():
    x = leaf(1.0, 2.0)
    with gn.debug():
        y = gn.Tensor(x.data**2, _prev=(x,))
        y._backward = lambda: None
        loss = (y * x).sum()
    report = gn.verify(loss)
    assert report.agree == 2
    assert "1 not compared:\n  by hand (2,) float64: nobody knows how to do it again\n" in repr(report)
    with pytest.raises(gn.GraphError, match=r"verify: exp \(2,\) float64 was made elsewhere; the forward pass has to be in a block of gn.debug\(\)"):
        gn.verify(np.exp(x))
    with pytest.raises(gn.GraphError, match="not tracked"):
        gn.verify(gn.Tensor([1.0]))


def test_the_only_element_is_named_as_such():
    with pytest.raises(FloatingPointError, match="it is the only element"), gn.debug():
        np.log(leaf(-1.0).sum())
