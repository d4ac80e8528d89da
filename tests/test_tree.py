"""Containers as arguments and results, and objects with parameters, which are differentiated where they are."""

import collections
import dataclasses
import functools

import numpy as np
import pytest
from test_functional import POINT, close, leaf, refusal, says

import gradnerve as gn
from gradnerve import GraphError, tree

pytestmark = pytest.mark.usefixtures("rows_return")

# ---- containers ------------------------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Plain:
    x: object
    y: object = 1.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object
    y: object = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object
    y: object = 1.0


class Registered:
    def __init__(self, x, y, name="r"):
        self.x, self.y, self.name = x, y, name

    def __eq__(self, other):
        return type(other) is Registered and (self.x, self.y, self.name) == (other.x, other.y, other.name)


class Nothing:
    """No container: an object with an attribute."""

    x = 1.0

    def __repr__(self):
        return "Nothing()"


@pytest.fixture(autouse=True, scope="module")
def registered():
    tree.register(Registered, lambda r: [r.x, r.y], lambda r, parts: Registered(*parts, r.name))


MAKERS = {
    "list": lambda x, y: [x, y],
    "tuple": lambda x, y: (x, y),
    "dict": lambda x, y: {"x": x, "y": y},
    "dict with other keys": lambda x, y: {3: x, (1, "a"): y, None: []},
    "OrderedDict": lambda x, y: collections.OrderedDict([("z", x), ("a", y)]),
    "defaultdict": lambda x, y: collections.defaultdict(list, {"x": x, "y": y}),
    "Counter": lambda x, y: collections.Counter({"x": x, "y": y}),
    "namedtuple": Point,
    "dataclass": Plain,
    "frozen dataclass": Frozen,
    "dataclass with slots": Slotted,
    "registered class": Registered,
    "nested": lambda x, y: {"a": [x, (None, Point(y, []))], "b": Frozen({}, ())},
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_container_comes_back_as_it_was_built(make):
    x, y = np.array([1.0, 2.0]), 3.0
    p, kind = make(x, y), type(make(x, y))
    before = tree.flatten(make(x, y))[0]

    def f(p):
        assert type(p) is kind
        x, y = tree.flatten(p)[0]
        return (x**2).sum() * y

    g = gn.grad(f)(p)
    assert type(g) is kind and tree.paths(g) == tree.paths(p)
    close(tree.flatten(g)[0][0], 6 * x)
    close(tree.flatten(g)[0][1], 5)
    assert all(a is b or a == b for a, b in zip(tree.flatten(p)[0], before, strict=True))
    assert tree.flatten(g)[1]([1, 2]) == make(1, 2) and (kind is not collections.defaultdict or g.default_factory is list)
    second = gn.hessian(f)(p)
    assert type(second) is kind
    for found, expected in zip(tree.flatten(second)[0], [6 * np.eye(2), 2 * x, 2 * x, 0], strict=True):
        close(found, expected)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_container_as_the_result(make):
    f = lambda x: make(x * x, x.sum())
    out, pullback = gn.vjp(f, POINT)
    assert type(out) is type(make(1, 2))
    close(pullback(make(np.ones((2, 3)), 10.0))[0], 2 * POINT + 10)
    out, tangent = gn.jvp(f, (POINT,), (np.ones((2, 3)),))
    assert type(tangent) is type(out)
    close(tree.flatten(tangent)[0][0], 2 * POINT)
    assert float(tree.flatten(tangent)[0][1]) == 6
    rows = gn.jacobian(f)(POINT)
    assert type(rows) is type(out) and [r.shape for r in tree.flatten(rows)[0]] == [(2, 3, 2, 3), (2, 3)]


def test_a_dataclass_computes_anew_what_it_keeps():
    @dataclasses.dataclass
    class Kept:
        x: object
        fixed: object = dataclasses.field(default=2.0, init=False)

        @functools.cached_property
        def double(self):
            return self.x * 2

        def __post_init__(self):
            assert isinstance(self.x, float)  # a gradient does not come through here

    kept = Kept(3.0)
    assert kept.double == 6
    g = gn.grad(lambda kept: kept.double * kept.x * kept.fixed)(kept)
    assert float(g.x) == 24 and float(g.fixed) == 18 and kept.double == 6


def test_a_function_may_change_the_container_that_it_gets():
    p = {"x": 2.0, "rest": [3.0]}

    def f(p):
        p["y"] = p.pop("x") * p["rest"].pop()
        return p["y"]

    assert gn.grad(f)(p) == {"x": 3.0, "rest": [2.0]} and p == {"x": 2.0, "rest": [3.0]}


def test_one_array_in_two_places_has_two_gradients():
    x = leaf([1.0, 2.0])
    g = gn.grad(lambda p: (p[0] ** 2 * p[1]).sum())([x, x])
    close(g[0], 2 * x.data**2)
    close(g[1], x.data**2)
    (g[0] + g[1]).sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_tree_functions():
    p = {"w": 1.0, "b": [2.0, None, Point(POINT, ())], 7: Frozen(Nothing, "text")}
    leaves, rebuild = tree.flatten(p)
    assert leaves == [1.0, 2.0, POINT, Nothing, "text"] and leaves[2] is POINT
    assert tree.paths(p) == ["['w']", "['b'][0]", "['b'][2].x", "[7].x", "[7].y"]
    assert rebuild(range(5)) == {"w": 0, "b": [1, None, Point(2, ())], 7: Frozen(3, 4)} == rebuild(range(5))
    assert tree.flatten(3)[0] == [3] and tree.flatten(3)[1](["x"]) == "x" and tree.paths(3) == [""]
    assert tree.flatten(None)[0] == [] and tree.flatten([])[1]([]) == []


def test_a_registered_class_may_be_a_dict():
    class Table(dict):
        pass

    tree.register(Table, lambda table: [table["x"]], lambda table, parts: Table(table, x=parts[0]))
    assert gn.grad(lambda table: table["x"] ** 2)(Table(x=3.0, name="text")) == Table(x=6.0, name="text")


def test_what_is_no_container_is_a_leaf():
    class Numbers(list):
        pass

    for x in ("text", {1, 2}, range(3), Numbers([1.0]), np.ones(2), Plain, iter([]), np.ones(1, [("x", float)])):
        assert tree.flatten(x)[0][0] is x


# ---- objects with parameters -----------------------------------------------------------------------------------------------


class Net:
    def __init__(self, make=leaf):
        self.w, self.b, self.fixed = make(POINT), make([0.5, -1.0]), gn.Tensor(2.0)

    def named_parameters(self):
        yield "w", self.w
        yield "b", self.b

    def parameters(self):
        return [self.w, self.b]

    def __call__(self, x):
        return np.tanh(self.w @ x + self.b) * self.fixed


class Listed(Net):
    named_parameters = property()  # AttributeError

    def parameters(self):
        return iter([self.w, self.b])


X = np.array([0.2, -0.4, 0.6])
PARAMETERS = {"leaves": leaf, "untracked": gn.Tensor, "results": lambda values: leaf(values) * 1.0}


def loss(net, x=X):
    return (net(x) ** 2).sum()


def loss_of(p, x=X):
    """The same as a function of a dictionary."""
    return ((np.tanh(p["w"] @ x + p["b"]) * 2) ** 2).sum()


def state(net):
    """All that a run must leave as it was."""
    return [(id(t), t._row, t._array.tobytes(), t.requires_grad, t.is_leaf, None if t.grad is None else t.grad.tolist()) for t in net.parameters()]


def nets():
    """A net with each kind of parameters, for a test that must leave it as it was."""
    for kind, make in PARAMETERS.items():
        net = Net(make)
        for t in net.parameters():
            if t.requires_grad:
                t.grad = np.full(t.shape, 7.0)
        before = state(net)
        yield net
        assert state(net) == before, kind


def dictionary(net):
    return {name: t.data.copy() for name, t in net.named_parameters()}


def same(found, expected):
    assert type(found) is dict and list(found) == ["w", "b"]
    for name in found:
        close(found[name], expected[name].data)


def test_gradients_of_an_object():
    for net in nets():
        p = dictionary(net)
        expected = gn.grad(loss_of)(p)
        value, g = gn.value_and_grad(loss)(net)
        same(g, expected)
        close(value, loss_of(p))
        assert value.requires_grad == g["w"].requires_grad == net.w.requires_grad
        with gn.no_grad():
            g = gn.grad(loss)(net)
        same(g, expected)
        assert not g["w"].requires_grad
        g, x = gn.grad(loss, (0, 1))(net, X)
        same(g, expected)
        close(x, gn.grad(loss_of, 1)(p, X).data)
        same(gn.grad(lambda x, net: loss(net, x), -1)(X, net), expected)


def test_an_object_that_lists_its_parameters():
    net = Listed()
    assert not hasattr(net, "named_parameters")
    g = gn.grad(loss)(net)
    assert type(g) is list
    same(dict(zip("wb", g, strict=True)), gn.grad(loss_of)(dictionary(Net())))


def squares(gradient):
    return sum((g**2).sum() for g in gradient.values())


def test_an_object_that_only_names_its_parameters():
    class Named:
        def __init__(self, net):
            self.named_parameters = net.named_parameters

    net = Net()
    same(gn.grad(lambda named: loss(net))(Named(net)), gn.grad(loss_of)(dictionary(net)))


def test_second_order_through_an_object():
    for net in nets():
        p, v = dictionary(net), {"b": np.array([1.0, 2.0]), "w": np.ones((2, 3))}
        second, expected = gn.hessian(loss)(net), gn.hessian(loss_of)(p)
        for name in p:
            same(second[name], expected[name])
        same(gn.hvp(loss)(net, v), gn.hvp(loss_of)(p, v))
        same(gn.jvp(gn.grad(loss), (net,), (v,))[1], gn.hvp(loss_of)(p, v))
        close(gn.jvp(loss, (net,), (v,))[1], gn.jvp(loss_of, (p,), (v,))[1].data)
        expected = gn.grad(lambda p: squares(gn.grad(loss_of)(p)))(p)
        same(gn.grad(lambda net: squares(gn.grad(loss)(net)))(net), expected)
        same(gn.grad(lambda net: squares(gn.vjp(loss, net)[1](1.0)[0]))(net), expected)
        by_x, expected = (gn.grad(lambda x, p, f=f: squares(gn.grad(f)(p, x))) for f in (loss, loss_of))
        close(by_x(X, net), expected(X, p).data)


def test_gradients_of_an_object_lead_on_to_what_its_parameters_came_from():
    u = leaf(2.0)
    net = Net(lambda values: u * values)
    (gn.grad(loss)(net)["w"] ** 2).sum().backward()
    expected = gn.grad(lambda u: (gn.grad(loss_of)({"w": u * POINT, "b": u * np.array([0.5, -1.0])})["w"] ** 2).sum())(2.0)
    np.testing.assert_allclose(u.grad, expected.data, rtol=1e-12)


def test_an_object_in_a_closure_is_a_constant_that_is_tracked():
    net = Net()
    g = gn.grad(lambda x: loss(net, x))(X)
    assert g.requires_grad
    (g @ X).backward()
    expected = gn.grad(lambda p: gn.grad(loss_of, 1)(p, X) @ X)(dictionary(net))
    np.testing.assert_allclose(net.w.grad, expected["w"].data, rtol=1e-12)


def test_a_pullback_after_a_step():
    """Gradient descent changes the parameters in place; the pullback is still that of the old ones."""
    net = Net()
    expected = gn.grad(loss_of)(dictionary(net))
    out, pullback = gn.vjp(loss, net)
    out.backward(retain_graph=True)
    with gn.no_grad():
        for t in net.parameters():
            t -= 0.1 * t.grad
    same(pullback(1.0)[0], expected)
    assert not np.allclose(net.w.data, POINT)


def test_a_training_loop():
    net, losses = Net(), []
    for _ in range(20):
        with gn.no_grad():
            value, g = gn.value_and_grad(loss)(net)
        losses.append(float(value))
        for name, t in net.named_parameters():
            t.data -= 0.05 * g[name].data
    assert losses[-1] < 0.1 * losses[0] and sorted(losses, reverse=True) == losses


# ---- errors ----------------------------------------------------------------------------------------------------------------

TRANSFORMS = [gn.grad, gn.value_and_grad, gn.jacobian, gn.hessian, lambda f: gn.grad(gn.grad(f)), lambda f: lambda net: gn.vjp(f, net),
              lambda f: lambda net: gn.jvp(f, (net,), ({},)), lambda f: lambda net: gn.hvp(f)(net, {})]  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_an_object_is_whole_after_an_exception(transform):
    def fails(net):
        y = loss(net)
        raise KeyError(f"in the function, at {y}")

    def is_interrupted(net):
        gn.grad(loss)(net)
        raise KeyboardInterrupt

    for net in nets():
        says(refusal(KeyError, transform(fails), net), "in the function")
        refusal(KeyboardInterrupt, transform(is_interrupted), net)


def changed_in_place(net):
    net.w += 1
    return loss(net)


def set_in_place(net):
    net.w[0] = 0
    return loss(net)


@pytest.mark.parametrize("f", [changed_in_place, set_in_place])
def test_a_parameter_that_the_function_changes(f):
    for net in nets():
        for transform in (gn.grad, gn.hessian):
            says(refusal(GraphError, transform(f), net), transform.__name__, "changes argument 0['w']", "(2, 3)", "float64", "in place", "copy()")
        with gn.no_grad():
            says(refusal(GraphError, gn.grad(f), net), "changes argument 0['w']")


def test_a_parameter_whose_value_the_function_takes():
    for net in nets():
        for take in (lambda t: t[0].item(), lambda t: float(t[0]), lambda t: np.asarray(t)[0], lambda t: t.tolist()[0]):
            f = lambda net, take=take: loss(net) * take(net.b)
            says(refusal(GraphError, gn.grad(f), net), "argument 0['b']", "(2,)", "float64", "function under grad", "t.data", "detach()")
            with gn.no_grad():
                says(refusal(GraphError, gn.grad(f), net), "argument 0['b']")
        same(gn.grad(lambda net: loss(net) * net.b.data[0] * float(net.fixed))(net), gn.grad(loss_of)(dictionary(net)))  # times 0.5 * 2


def test_parameters_that_cannot_be_differentiated_by():
    class Holder:
        def __init__(self, *tensors):
            self.tensors = tensors

        def parameters(self):
            return self.tensors

    f = lambda holder: holder.tensors[0].sum()
    for holder in (Holder(), Holder(np.ones(2)), Holder(gn.Tensor([1, 2])), Holder(leaf(1.0), 3.0)):
        says(refusal(TypeError, gn.grad(f), holder), "grad: argument 0", "Holder", "parameters()", "real or complex")
    t = leaf(3.0)
    says(refusal(TypeError, gn.grad(f), Holder(t, t)), "argument 0[0]", "argument 0[1]", "same Tensor", "once")
    text = refusal(TypeError, gn.grad(lambda a, b: f(a) * f(b), (0, 1)), Holder(t), Holder(leaf(1.0), t))
    says(text, "argument 0[0]", "argument 1[1]", "same Tensor")
    assert t.is_leaf and float(t) == 3
    assert [float(g) for g in gn.grad(lambda a, b: f(a) * f(b))(Holder(t), Holder(t))] == [6]


def test_a_tangent_that_is_not_built_as_the_object():
    net = Net()
    says(refusal(TypeError, gn.jvp, loss, (net,), ({"w": POINT},)), "jvp", "tangent of argument 0", "['w']", "['b']")
    says(refusal(TypeError, gn.hvp(loss), net, [POINT, X]), "hvp", "vector", "list", "dict")
