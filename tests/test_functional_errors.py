"""What functions of functions refuse, in which words, and that nothing is left behind: no row of the graph, no changed argument.

Read next: test_tree.py, where the arguments are objects.
"""

import collections
import copy
import math

import numpy as np
import pytest
from test_functional import leaf, refusal, says

import gradnerve as gn
from gradnerve import GraphError, ShapeError

pytestmark = pytest.mark.usefixtures("rows_return")

NAMED = {name: getattr(gn, name) for name in ("grad", "value_and_grad", "elementwise_grad", "jacobian", "hessian")} | {
    "hvp": lambda f: lambda x: gn.hvp(f)(x, x),
    "vjp": lambda f: lambda x: gn.vjp(f, x),
    "jvp": lambda f: lambda x: gn.jvp(f, (x,), (x,)),
}
Point = collections.namedtuple("Point", "x y")
total = lambda x: np.sum(x * 1.0)


# ---- arguments -------------------------------------------------------------------------------------------------------------

NO_NUMBERS = {
    "integers": (np.arange(3), ["ndarray", "(3,)", "int64", "astype(float)"]),
    "one integer": (np.int8(3), ["int8", "()", "astype(float)"]),
    "booleans": (np.array([True]), ["(1,)", "bool", "astype(float)"]),
    "a Tensor of integers": (gn.Tensor([1, 2]), ["Tensor", "(2,)", "int64", "astype(float)"]),
    "a bool": (True, ["True (bool)"]),
    "a string": ("text", ["'text' (str)"]),
    "strings": (np.array(["a"]), ["ndarray", "<U1"]),
    "objects": (np.array([1.0, None]), ["(2,)", "object"]),
    "records": (np.zeros(2, [("a", float)]), ["(2,)", "('a', '<f8')"]),
    "dates": (np.datetime64("2020"), ["datetime64"]),
    "None": (None, ["None"]),
    "an object": (object(), ["object object"]),
    "a function": (len, ["function"]),
    "a set": ({1.5}, ["{1.5} (set)"]),
    "nothing in a list": ([], ["a list with nothing in it"]),
    "an iterator": (iter([1.0]), ["list_iterator"]),
}


@pytest.mark.parametrize("transform", NAMED)
@pytest.mark.parametrize(("x", "words"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_arguments_without_a_gradient(x, words, transform):
    says(refusal(TypeError, NAMED[transform](total), x), f"{transform}: argument 0 is ", "nothing can be differentiated", *words)


@pytest.mark.parametrize(("x", "words"), [pair for name, pair in NO_NUMBERS.items() if name not in ("None", "nothing in a list")])
def test_the_place_in_a_container_is_named(x, words):
    for container, path in (([1.0, x], "[1]"), ({"w": (2.0, {3: x})}, "['w'][1][3]"), (Point(1.0, [x]), ".y[0]"), ((x, x), "[0]")):
        says(refusal(TypeError, gn.grad(lambda p: 1.0), container), f"grad: argument 0{path} is ", *words)
        says(refusal(TypeError, gn.vjp, lambda y, p: y, 1.0, container), f"vjp: argument 1{path} is ", *words)


def test_the_way_out_fits_the_function():
    says(refusal(TypeError, gn.grad(total), "text"), "argnums")
    for call in (lambda x: gn.vjp(total, x), lambda x: gn.jvp(total, (x,), (x,))):
        text = refusal(TypeError, call, "text")
        says(text, "from outside")
        assert "argnums" not in text


def test_tensors_of_others_are_refused():
    torch = pytest.importorskip("torch")
    says(refusal(TypeError, gn.grad(total), torch.ones(2)), "argument 0", "torch.float32")


def test_an_integer_in_a_container_is_a_number_to_differentiate_by():
    """So where it is used as one to count with, there is an error."""
    p = {"w": 2.0, "n": 3}
    assert gn.grad(lambda p: p["w"] * p["n"])(p) == {"w": 3, "n": 2}
    refusal(TypeError, gn.grad(lambda p: sum(p["w"] for _ in range(p["n"]))), p)


ARGNUMS = [(3, "argument 3", "with 2"), (-3, "argument -3", "with 2"), ((0, 2), "argument 2"), ((0, 0), "twice"), ((0, -2), "(0, -2)", "twice"),
           ([0], "[0]", "tuple of ints"), ("x", "'x'"), (None, "None"), (1.0, "1.0"), ((0, "x"), "'x'")]  # fmt: skip


@pytest.mark.parametrize("case", ARGNUMS, ids=lambda case: repr(case[0]))
@pytest.mark.parametrize("name", ["grad", "value_and_grad", "elementwise_grad", "jacobian", "hessian"])
def test_argnums_that_name_no_argument(name, case):
    says(refusal(TypeError, getattr(gn, name)(lambda x, y: x * y, case[0]), 1.0, 2.0), f"{name}: argnums", *case[1:])


def test_arguments_by_name_are_not_differentiated_by():
    says(refusal(TypeError, gn.grad(total), x=1.0), "grad: argnums names argument 0", "with 0 by position")
    says(refusal(TypeError, gn.hvp(total), 1.0), "hvp", "vector", "1 argument")


def test_errors_of_the_function_come_through():
    says(refusal(TypeError, gn.grad(total), 1.0, 2.0), "positional argument")
    says(refusal(TypeError, gn.grad(total), 1.0, y=2.0), "'y'")
    says(refusal(TypeError, gn.grad(3), 1.0), "not callable")
    says(refusal(ShapeError, gn.grad(lambda x: (x @ np.ones(3)).sum()), np.ones(2)), "matmul", "(2,)", "(3,)")
    with pytest.raises(RecursionError):
        (f := gn.grad(lambda x: f(x)))(1.0)


# ---- results ---------------------------------------------------------------------------------------------------------------

NO_SCALARS = {
    "a vector": (lambda x: x, ["(2,)", "float64", "return its sum", "jacobian"]),
    "an array": (lambda x: np.ones((1, 2)), ["(1, 2)", "float64", "return its sum"]),
    "a complex number": (lambda x: x.sum() * 1j, ["real number", "np.real", "np.abs"]),
    "None": (lambda x: None, ["None", "return"]),
    "a string": (lambda x: "text", ["'text' (str)", "return numbers"]),
    "an object": (lambda x: object(), ["object", "return numbers"]),
    "strings": (lambda x: np.array("a"), ["ndarray", "<U1"]),
    "a list": (lambda x: [x.sum()], ["scalar", "a list with [0]"]),
    "a tuple": (lambda x: (x.sum(), 1), ["scalar", "a tuple with [0], [1]"]),
    "a dict": (lambda x: {"loss": x.sum()}, ["scalar", "a dict with ['loss']"]),
}


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "hessian", "hvp"])
@pytest.mark.parametrize(("f", "words"), NO_SCALARS.values(), ids=NO_SCALARS)
def test_results_that_are_no_scalar(f, words, name):
    says(refusal(TypeError, NAMED[name](f), np.ones(2)), f"{name}: the function", *words)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("case", ["None", "a string", "an object", "strings"])
def test_results_that_are_no_numbers(case, name):
    f, words = NO_SCALARS[case]
    says(refusal(TypeError, NAMED[name](f), np.ones(2)), f"{name}: the function returned", *words)
    if case != "None" and name in ("vjp", "jvp", "jacobian", "elementwise_grad"):
        says(refusal(TypeError, NAMED[name](lambda x: {"a": [x, f(x)]}), np.ones(2)), f"{name}: the function returned", *words)


def test_results_without_their_aux():
    for f, words in ((lambda x: x, "Tensor of shape ()"), (lambda x: [x, 1], "a list"), (lambda x: (x, 1, 2), "[2]"), (lambda x: None, "None")):
        calls = {"grad": gn.grad(f, has_aux=True), "value_and_grad": gn.value_and_grad(f, has_aux=True),
                 "vjp": lambda x: gn.vjp(f, x, has_aux=True), "jvp": lambda x: gn.jvp(f, (x,), (x,), has_aux=True)}  # noqa: B023  # fmt: skip
        for name, call in calls.items():
            says(refusal(TypeError, call, 1.0), f"{name}: with has_aux", "(result, aux)", words)
    says(refusal(TypeError, gn.grad(lambda x: (x, 1)), 1.0), "has_aux=True")
    assert "has_aux" not in refusal(TypeError, gn.hessian(lambda x: (x, 1)), 1.0)


def test_complex_results_of_a_jacobian():
    says(refusal(TypeError, gn.jacobian(lambda x: x * 1j), 1.0), "jacobian", "complex128", "holomorphic=True", ".real and .imag")
    says(refusal(TypeError, gn.jacobian(np.abs, holomorphic=True), 1j), "jacobian", "float64", "complex functions")
    says(refusal(TypeError, gn.jacobian(lambda x: x * 1j, holomorphic=True), np.ones(2)), "jacobian: argument 0 (shape (2,), float64) is real")
    says(refusal(TypeError, gn.hessian(lambda z: np.abs(z) ** 2), 1j), "hessian: argument 0 (shape (), complex128)", "two arguments", "hvp")


# ---- tangents and gradients of results -------------------------------------------------------------------------------------

MISFITS = {
    "a key is missing": ({"b": [1.0]}, TypeError, "", ["a dict with ['b']", "['a'], ['b']"]),
    "a key too many": ({"a": np.ones(3), "b": [1.0], "c": 1}, TypeError, "", ["['c']"]),
    "no container": (3.0, TypeError, "", ["3.0 (float)", "a dict with ['a'], ['b']"]),
    "None": (None, TypeError, "", ["None", "a dict"]),
    "too short a list": ({"a": np.ones(3), "b": []}, TypeError, "['b']", ["nothing in it", "[0]"]),
    "a list for an array": ({"a": [1.0, 1.0, 1.0], "b": [1.0]}, TypeError, "['a']", ["list", "shape (3,)", "float64"]),
    "None for a number": ({"a": np.ones(3), "b": [None]}, TypeError, "['b'][0]", ["None"]),
    "another shape": ({"a": np.ones(2), "b": [1.0]}, ShapeError, "['a']", ["(2,)", "(3,)"]),
    "a shape that would broadcast": ({"a": 1.0, "b": [1.0]}, ShapeError, "['a']", ["()", "(3,)"]),
    "one axis too many": ({"a": np.ones(3), "b": [np.ones(1)]}, ShapeError, "['b'][0]", ["(1,)", "()"]),
    "complex for real": ({"a": np.ones(3), "b": [1j]}, TypeError, "['b'][0]", ["complex128", "float64"]),
    "a complex Tensor for real": ({"a": gn.Tensor(np.ones(3) * 1j), "b": [1.0]}, TypeError, "['a']", ["complex128", "float64"]),
    "a string": ({"a": np.ones(3), "b": ["x"]}, TypeError, "['b'][0]", ["<U1", "float64"]),
}
ARGUMENT = {"a": np.ones(3), "b": [2.0]}


@pytest.mark.parametrize(("misfit", "kind", "path", "words"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit(misfit, kind, path, words):
    f = lambda p: {"a": p["a"] * p["b"][0], "b": [p["a"].sum()]}
    says(refusal(kind, gn.vjp(f, ARGUMENT)[1], misfit), "vjp: the gradient" + path, *words)
    says(refusal(kind, gn.jvp, f, (ARGUMENT,), (misfit,)), "jvp: the tangent of argument 0" + path, *words)
    says(refusal(kind, gn.jvp, lambda x, p: f(p), (1.0, ARGUMENT), (1.0, misfit)), "jvp: the tangent of argument 1" + path, *words)
    says(refusal(kind, gn.hvp(lambda p: f(p)["b"][0]), ARGUMENT, misfit), "hvp: the vector" + path, *words)


def test_tangents_that_are_no_tuples():
    for primals, tangents in ((1.0, 1.0), ((1.0,), 1.0), ((1.0,), (1.0, 2.0)), ((), (1.0,)), ({"x": 1.0}, {"x": 1.0}), (np.ones(1), np.ones(1))):
        says(refusal(TypeError, gn.jvp, total, primals, tangents), "jvp: primals and tangents", "tuples of one length")
    says(refusal(TypeError, gn.hvp(lambda x, y: x * y, (0, 1)), 1.0, 2.0, 3.0), "hvp: the vector is 3.0", "a tuple with [0], [1]")


# ---- values that leave the graph -------------------------------------------------------------------------------------------

TAKES = {
    "item()": lambda t: t.item(),
    "float()": float,
    "int()": int,
    "complex()": lambda t: complex(t).real,
    "tolist()": lambda t: t.tolist(),
    "np.asarray": lambda t: float(np.asarray(t)),
    "np.array": lambda t: np.array(t),
    "math.sin": math.sin,
    "np.float64": np.float64,
    "in a list": lambda t: np.array([t, 1.0])[0],
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_a_value_that_depends_on_the_argument(take, name):
    for f, x in ((lambda x: x * take(x), 1.5), (lambda x: x * take(2 * x + 1), leaf(1.5))):
        says(refusal(GraphError, NAMED[name](f), x), "argument 0 (shape (), float64)", f"function under {name}", "lost", "t.data", "detach()")


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_a_value_that_depends_on_an_outer_argument(take):
    """The gradient would be lost there."""
    f = lambda x: gn.jvp(lambda y: y * take(x), (1.0,), (1.0,))[1]
    says(refusal(GraphError, gn.grad(f), 2.0), "argument 0", "function under grad", "t.data")
    text = refusal(GraphError, gn.grad(lambda p: p["w"][1] * take(p["w"][0] * 1)), {"w": [1.0, 2.0]})
    says(text, "argument 0['w'][0] (shape (), float64)")


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_a_value_that_depends_on_something_else(take):
    w, c = leaf(3.0), gn.Tensor(3.0)
    for t in (w, c, w * 1, gn.stop_gradient(w)):
        assert float(gn.grad(lambda x: x * take(t) * 1.0)(2.0)) == pytest.approx(float(take(t)))  # noqa: B023
        assert float(gn.grad(lambda x, t: x * take(t) * 1.0)(2.0, t)) == pytest.approx(float(take(t)))
    assert float(gn.grad(lambda x: x * float(x.data) + x.detach().item() + float(gn.stop_gradient(x)))(2.0)) == 2
    assert float(gn.grad(lambda x: x * take(gn.Tensor(1.0) + x.shape.__len__()))(2.0)) == pytest.approx(float(take(c - 2)))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, gn.Tensor, gn.asarray, gn.array, np.from_dlpack], ids=lambda f: f.__qualname__)
def test_copies_keep_the_gradient_or_are_refused(copied):
    try:
        assert float(gn.grad(lambda x: x * copied(x))(3.0)) == 6
    except (GraphError, TypeError) as error:
        says(str(error), "gradient")


def test_decisions_and_output_are_allowed():
    def f(x):
        text = f"{x} {x:.2f} {x!r}"
        return x * x if x > 1 and bool(x) and x in x and len(text) and np.argmax(x) == 0 else x

    assert float(gn.grad(f)(2.0)) == 4 and float(gn.grad(f)(0.5)) == 1
    assert float(gn.jvp(f, (2.0,), (1.0,))[1]) == 4


def test_after_an_error_values_may_leave_again():
    refusal(GraphError, gn.grad(lambda x: float(x)), 1.0)
    t = leaf(2.0) * 3
    assert float(t) == t.item() == 6 and np.asarray(t) == 6
    out, pullback = gn.vjp(lambda x: x * t, 2.0)
    assert float(out) == 12 and float(pullback(1.0)[0]) == 6


# ---- arguments that are changed --------------------------------------------------------------------------------------------


def reshape_in_place(x):
    x.shape = (3, 1)


def add_in_place(x):
    x += 1


CHANGES = {
    "+=": add_in_place,
    "[...] =": lambda x: x.__setitem__(0, 5.0),
    "fill": lambda x: x.fill(0.0),
    "sort": lambda x: x.sort(),
    "put": lambda x: x.put([0], [1.0]),
    "out=": lambda x: np.add(x, 1, out=x),
    "at": lambda x: np.add.at(x, [0], 1.0),
    "copyto": lambda x: np.copyto(x, 0.0),
    "shape =": reshape_in_place,
    "flat": lambda x: x.flat.__setitem__(0, 1.0),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_arguments_that_the_function_changes(change, name):
    """Tracked ones too, where the value semantics of Tensors would let it."""

    def f(x):
        change(x)
        return x.sum()

    for x in (np.array([3.0, 1.0, 2.0]), gn.Tensor([3.0, 1.0, 2.0]), leaf([3.0, 1.0, 2.0]), leaf([3.0, 1.0, 2.0]) * 1):
        says(refusal(GraphError, NAMED[name](f), x), f"{name}: the function changes argument 0 (shape (3", "float64", "in place", "x.copy()")
        says(refusal(GraphError, gn.grad(lambda p: f(p["w"][1])), {"w": [1.0, x]}), "changes argument 0['w'][1]")
        assert x.tolist() == [3, 1, 2] and x.shape == (3,)


def test_an_argument_that_the_function_stops_tracking():
    f = lambda x: x.requires_grad_(False) * 2
    says(refusal(GraphError, gn.grad(f), 1.0), "argument 0")
    x = leaf(1.0)
    refusal(GraphError, gn.grad(f), x)
    assert x.requires_grad


def test_a_copy_may_be_changed():
    def f(x):
        y = x.copy()
        y[0] = 5 * x[1]
        y *= x
        return y.sum()

    for x in (np.array([3.0, 1.0, 2.0]), leaf([3.0, 1.0, 2.0])):
        assert gn.grad(f)(x).tolist() == [5, 17, 4]


def test_a_graph_that_the_function_released():
    def f(x):
        y = x * x
        y.backward()
        return y

    says(refusal(GraphError, gn.grad(f), 2.0), "earlier backward()", "retain_graph=True")
