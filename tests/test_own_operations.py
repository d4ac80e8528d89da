"""Operations of a user's own, by all ways: lines, `custom_gradient`, `Function`, `_prev` and `_backward`; and docs/own_operations.md."""

import contextlib
import gc
import re
import warnings
import weakref
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from helpers import forgetting_operations

import gradnerve as gn
from gradnerve import _graph
from gradnerve.ops.define import elementwise, op, operations, ufunc

with contextlib.suppress(ImportError):
    import gradnerve.special  # its operations are registered here and now, not in the middle of a test

PAGE = Path(__file__).parents[1] / "docs" / "own_operations.md"
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def nothing_stays(rows_return):
    """No operation that a test has defined, and no row; what was made by hand holds itself until backward has passed."""
    with forgetting_operations():
        yield
    while made_by_hand:
        made_by_hand.pop()._backward = lambda: None


def leaf(values, dtype=None):
    return gn.Tensor(values, requires_grad=True, dtype=dtype)


def test_the_page_prints_what_it_shows(capsys):
    """All blocks run in order and in one namespace; the text after one is what it prints."""
    if not PAGE.exists():
        pytest.skip("the page is not here")
    pytest.importorskip("scipy")
    found, names = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL), {}
    for (language, code), (following, shown) in zip(found, [*found[1:], ("", "")], strict=True):
        if language == "python":
            exec(compile(code, "<own_operations.md>", "exec"), names)
            printed = capsys.readouterr().out
            assert following != "text" or printed == shown, code
    assert sum(language == "python" for language, _ in found) >= 6
    names.clear()
    gc.collect()


# --- the same operation by every way ---------------------------------------------------------------------------------


def built_in(x, y):
    return x * np.exp(y)


def by_line(x, y):
    return x * np.exp(y)


LINES = {"x": lambda g, y: g * np.exp(y), "y": lambda g, x, y: g * x * np.exp(y)}
by_op, by_elementwise = op(by_line, **LINES), elementwise(by_line, name="by_elementwise", **LINES)
for _own in (by_op, by_elementwise):  # the table of all operations is the package's own
    operations.pop(_own.name)


@gn.custom_gradient
def by_custom(x, y):
    e = np.exp(y)
    return x * e, lambda g: (g * np.conj(e), g * np.conj(x * e))


class OfArguments(gn.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * np.exp(y)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * np.conj(np.exp(y)), g * np.conj(x * np.exp(y))


class OfIntermediates(gn.Function):
    @staticmethod
    def forward(ctx, x, y):
        e = np.exp(y)
        ctx.save_for_backward(e)
        ctx.x, ctx.more = x, {"both": [x * e]}
        return x * e

    @staticmethod
    def backward(ctx, g):
        (e,) = ctx.saved_tensors
        return g * np.conj(e), g * np.conj(ctx.more["both"][0])


class OfResults(gn.Function):
    """With the result saved, and kept as an attribute under a name of any sort."""

    @staticmethod
    def forward(x, y):
        return x * np.exp(y)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[1], output)
        ctx.result = ctx.results = output

    @staticmethod
    def backward(ctx, g):
        y, out = ctx.saved_tensors
        return g * np.conj(np.exp(y)), g * np.conj(out + ctx.result) / 2


made_by_hand = []


def by_hand(x, y):
    x, y = (t if isinstance(t, gn.Tensor) else gn.Tensor(t) for t in (x, y))
    e = np.exp(y.data)
    child, kept = gn.Tensor(x.data * e, _prev=(x, y)), np.array(x.data)

    def backward():
        for t, share in ((x, child.grad * np.conj(e)), (y, child.grad * np.conj(kept * e))):
            if t.requires_grad:
                t.grad += share

    child._backward = backward
    made_by_hand.append(child)
    return child


ANY_ORDER = {
    "op": by_op, "elementwise": by_elementwise, "custom": by_custom, "arguments": OfArguments.apply, "intermediates": OfIntermediates.apply,
    "results": OfResults.apply,
}  # fmt: skip
WAYS = ANY_ORDER | {"by hand": by_hand}
any_order = pytest.mark.parametrize("way", ANY_ORDER.values(), ids=ANY_ORDER)
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
by_code = pytest.mark.parametrize("way", [by_custom, OfArguments.apply, OfIntermediates.apply, OfResults.apply],
                                  ids=["custom", "arguments", "intermediates", "results"])  # fmt: skip


def samples(dtype, shape=(3,)):
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(2, 2, *shape))
    return (parts[0] + 1j * parts[1] if np.dtype(dtype).kind == "c" else parts[0]).astype(dtype)


def close(one, two, dtype=np.float64):
    one, two = gn.tree.flatten(one)[0], gn.tree.flatten(two)[0]
    return len(one) == len(two) and all(
        np.shape(a) == np.shape(b) and a.dtype == b.dtype and np.allclose(np.array(a), np.array(b), rtol=100 * np.finfo(dtype).eps, atol=1e-6)
        for a, b in zip(one, two, strict=True)
    )


def size_of(out):
    """A real number that depends on all of a result."""
    weights = np.arange(1, out.size + 1, dtype=out.dtype).reshape(out.shape) * (1 + 0.5j if out.dtype.kind == "c" else 1)
    return np.real(np.sum(np.sin(out) * weights.astype(out.dtype)))


@each_way
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (), (2, 0, 3)])
def test_first_derivatives(way, dtype, shape):
    grads = []
    for f in (way, built_in):
        x, y = (leaf(a) for a in samples(dtype, shape))
        out = f(x, y)
        assert out.dtype == dtype and out.shape == shape and out.requires_grad
        size_of(out).backward()
        grads.append([x.grad, y.grad])
    assert close(*grads, dtype)


@each_way
@pytest.mark.parametrize("dtype", DTYPES)
def test_first_derivatives_by_functions_of_functions(way, dtype):
    x, y = samples(dtype)
    one, two = (gn.value_and_grad(lambda x, y, f=f: size_of(f(x, y)), argnums=(0, 1))(x, y) for f in (way, built_in))
    assert close(one, two, dtype)
    one, two = (gn.vjp(f, x, y)[1](np.ones(3, dtype)) for f in (way, built_in))
    assert close(one, two, dtype)


@any_order
@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_mode_and_jacobian(way, dtype):
    x, y = samples(dtype)
    assert close(gn.jvp(way, (x, y), (y, x)), gn.jvp(built_in, (x, y), (y, x)), dtype)
    one, two = (gn.jacobian(f, argnums=(0, 1), holomorphic=np.dtype(dtype).kind == "c")(x, y) for f in (way, built_in))
    assert close(one, two, dtype)


@any_order
@pytest.mark.parametrize("dtype", DTYPES)
def test_second_derivatives(way, dtype):
    x, y = samples(dtype)
    one, two = (gn.hvp(lambda x, y, f=f: size_of(f(x, y)), argnums=(0, 1))(x, y, (y, x)) for f in (way, built_in))
    assert close(one, two, dtype)
    if np.dtype(dtype).kind == "f":
        one, two = (gn.hessian(lambda x, y, f=f: size_of(f(x, y)), argnums=(0, 1))(x, y) for f in (way, built_in))
        assert close(one, two, dtype)


@any_order
def test_third_derivatives(way):
    def third(f):
        inner = gn.grad(lambda x, y: size_of(f(x * y, np.sin(y))), argnums=(0, 1))
        middle = gn.grad(lambda x, y: np.sum(inner(x, y)[0] * inner(x, y)[1]), argnums=(0, 1))
        return gn.grad(lambda x, y: np.sum(middle(x, y)[0] ** 2 * middle(x, y)[1]), argnums=(0, 1))

    x, y = samples(np.float64)
    assert close(third(way)(x, y), third(built_in)(x, y))


@any_order
def test_check_gradients_of_second_order(way):
    x, y = samples(np.float64, (2,))
    assert gn.check_gradients(lambda x, y: way(x, y), x, y, order=2).forward


@each_way
def test_a_gradient_that_leads_to_a_parameter_outside(way):
    """`backward()` of a result of `grad`, whose sweep is recorded for the parameter's sake: a second derivative. By hand there is none."""
    grads = []
    for f in (way, built_in):
        w, (x, y) = leaf([0.5, 1.0, -1.0]), samples(np.float64)
        inner = gn.grad(lambda x, y, f=f, w=w: np.sum(f(x * w, y)))
        if f is by_hand:
            with pytest.raises(gn.GraphError, match="no second derivative"):
                inner(x, y)
            return
        np.sum(inner(x, y) ** 2).backward()
        grads.append(w.grad)
    assert close(*grads)


# --- under vmap and checkpoint ---------------------------------------------------------------------------------------


def with_and_without_warning(way, run):
    """What it gives; a loop warns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run()
    assert all(w.category is gn.BatchWarning for w in caught)
    assert bool(caught) == (way not in (by_elementwise, built_in)), [str(w.message) for w in caught]
    return result, " ".join(str(w.message) for w in caught)


@each_way
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_vmap(way, dtype):
    x, y = samples(dtype, (4, 3))
    cases = {
        "values": lambda f: gn.vmap(lambda x, y: f(x, y) * 2)(x, y),
        "shared": lambda f: gn.vmap(lambda x, y: f(x, y) * 2, in_axes=(0, None))(x, y[0]),
        "gradients": lambda f: gn.vmap(gn.grad(lambda x, y: size_of(f(x, y)), argnums=(0, 1)))(x, y),
        "nested": lambda f: gn.vmap(gn.vmap(lambda x, y: f(x, y) * 2))(x, y),
    }
    for name, run in cases.items():
        got, said = with_and_without_warning(way, lambda run=run: run(way))
        assert close(got, with_and_without_warning(built_in, lambda run=run: run(built_in))[0], dtype), name
        assert way in (by_elementwise, by_hand) or any(part in said for part in ("by_line", "by_custom", "Of")), said


@each_way
def test_gradient_of_a_vmap(way):
    x, y = samples(np.float64, (4, 3))
    run = lambda f: gn.grad(lambda x, y: np.sum(gn.vmap(f)(x, y) ** 2), argnums=(0, 1))(x, y)
    assert close(with_and_without_warning(way, lambda: run(way))[0], run(built_in))


@any_order
def test_second_derivatives_under_vmap(way):
    x, y = samples(np.float64, (4, 3))
    run = lambda f: gn.vmap(gn.hessian(lambda x, y: size_of(f(x, y)), argnums=(0, 1)))(x, y)
    assert close(with_and_without_warning(way, lambda: run(way))[0], run(built_in))
    push = lambda f: gn.vmap(lambda x, y: gn.jvp(f, (x, y), (y, x)))(x, y)
    assert close(with_and_without_warning(way, lambda: push(way))[0], push(built_in))


@any_order
def test_checkpoint(way):
    x, y = samples(np.float64)
    run = lambda f: lambda x, y: size_of(gn.checkpoint(lambda x, y: np.tanh(f(np.sin(x), y)), x, y))
    for derivative in (gn.grad, gn.hessian):
        assert close(derivative(run(way), argnums=(0, 1))(x, y), derivative(run(built_in), argnums=(0, 1))(x, y))


def test_checkpoint_of_what_is_made_by_hand():
    x, y = samples(np.float64)
    run = lambda f: lambda x, y: size_of(gn.checkpoint(lambda x, y: np.tanh(f(x, y)), x, y))
    one, two = (gn.grad(run(f), argnums=(0, 1))(x, y) for f in (by_hand, built_in))
    assert close(one, two)


# --- arguments -------------------------------------------------------------------------------------------------------


@gn.custom_gradient
def scaled(x, factor, name, *, plus=(), table=None):
    assert name == "it"
    more = sum(plus) + (table or {"none": 0.0})["none"]
    return x * factor + more, lambda g: (g * factor, None, None)


class Scaled(gn.Function):
    @staticmethod
    def forward(ctx, x, factor, name, shift, plus, table):
        assert name == "it" and plus == [1, 2] and table == {"none": 0.5}
        ctx.factor = factor
        return x * factor + sum(plus) + table["none"]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None, None, None, None, None, None, None  # more than there are, as PyTorch allows it


def test_options():
    x = leaf([1.0, 2.0])
    y = scaled(x, 3, "it", plus=[1, 2], table={"none": 0.5})
    z = Scaled.apply(x, 3, "it", None, [1, 2], {"none": 0.5})
    assert y.tolist() == z.tolist() == [6.5, 9.5]
    (y * z).sum().backward()
    assert x.grad.tolist() == [39.0, 57.0]
    assert gn.hessian(lambda x: np.sum(Scaled.apply(x, 3, "it", None, [1, 2], {"none": 0.5}) ** 2))(np.ones(2)).tolist() == [[18.0, 0.0], [0.0, 18.0]]


def test_options_are_those_of_the_call():
    factors, array = [2.0], np.array([3.0])

    class Times(gn.Function):
        @staticmethod
        def forward(ctx, x, factors, array):
            ctx.factors, ctx.array = factors, array
            return x * factors[0] * array

        @staticmethod
        def backward(ctx, g):
            return g * ctx.factors[0] * ctx.array, None, None

    times = gn.custom_gradient(lambda x, factors, *, array: (x * factors[0] * array, lambda g: (g * factors[0] * array, None)))
    x = leaf([1.0])
    results = [Times.apply(x, factors, array), times(x, factors, array=array)]
    factors[0], array[0] = 100.0, 100.0
    for out in results:
        x.grad = None
        out.backward()
        assert x.grad.tolist() == [6.0]


@by_code
def test_without_a_tensor_there_is_nothing_to_record(way):
    x, y = samples(np.float64)
    for args in [(x, y), (gn.Tensor(x), gn.Tensor(y)), (gn.Tensor(x), y)]:
        out = way(*args)
        assert np.array_equal(np.array(out), x * np.exp(y)) and not getattr(out, "requires_grad", False)
    with gn.no_grad():
        assert not way(leaf(x), leaf(y)).requires_grad
    assert float(np.asarray(way(2.0, 0.0))) == 2.0


@by_code
def test_constants_among_the_arguments(way):
    x, y = samples(np.float64)
    for make in (lambda a: a, gn.Tensor, lambda a: a.tolist()[0], lambda a: a[0]):
        grads = []
        for f in (way, built_in):
            tracked = leaf(x)
            f(tracked, make(y)).sum().backward()
            grads.append(tracked.grad)
        assert close(*grads)


@each_way
def test_the_same_tensor_twice(way):
    x = samples(np.float64)[0]
    one, two = (leaf(x) for _ in range(2))
    way(one, one).sum().backward()
    built_in(two, two).sum().backward()
    assert close(one.grad, two.grad)
    if way is not by_hand:
        assert close(gn.hessian(lambda x: np.sum(way(x, x) ** 2))(x), gn.hessian(lambda x: np.sum(built_in(x, x) ** 2))(x))


def changed_by_data(t):
    t.data[...] = 100.0


def changed_in_place(t):
    t *= 100.0
    t[0] = 7.0


def changed_without_grad(t):
    with gn.no_grad():
        t += 100.0


@any_order
@pytest.mark.parametrize("change", [changed_by_data, changed_in_place, changed_without_grad])
@pytest.mark.parametrize("seen_before", [False, True])
def test_gradients_are_those_of_the_values_that_forward_saw(way, change, seen_before):
    x, y = samples(np.float64)
    grads = []
    for f in (way, built_in):
        a, b = leaf(x), leaf(y)
        p, q = a * 1, b * 1
        views = [t.data for t in (p, q)] if seen_before else []
        out = f(p, q)
        if f is way:
            change(p)
            change(q)
            for view in views:
                view[...] = -1.0
        out.sum().backward()
        grads.append([a.grad, b.grad])
    assert close(*grads)


@any_order
def test_results_may_change_after_the_call(way):
    x, y = samples(np.float64)
    a, b = leaf(x), leaf(y)
    out = way(a, b)
    twice = out * 2
    out.data[...] = 100.0
    out *= 3
    (twice.sum() + out.sum()).backward()
    assert close([a.grad, b.grad], [5 * np.exp(y), 5 * x * np.exp(y)])


def test_a_saved_result_that_backward_writes_into():
    class Exp(gn.Function):
        @staticmethod
        def forward(ctx, x):
            out = np.exp(x)
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, g):
            (out,) = ctx.saved_tensors
            share = g * out
            out *= 100
            out.data[...] = 7
            return share

    x = leaf([0.0, 1.0])
    out = Exp.apply(x)
    for times in (1, 2):
        out.backward(np.ones(2), retain_graph=True)
        assert close(x.grad, times * np.exp([0.0, 1.0])) and close(out.data, np.exp([0.0, 1.0]))


@by_code
def test_plain_arrays_may_change_after_the_call(way):
    x, y = samples(np.float64)
    kept, t = np.array(y), leaf(x)
    out = way(t, y)
    y[...] = 100.0
    out.sum().backward()
    assert close(t.grad, np.exp(kept))


def test_what_the_code_does_to_its_arguments_stays_there():
    def messy(x, w):
        x *= 2
        w += 1
        return x * w, lambda g: (g * 2 * w, None)

    class Messy(gn.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(w + 1)
            x.data[...] = x.data * 2
            w += 1
            return x * w

        @staticmethod
        def backward(ctx, g):
            (w,) = ctx.saved_tensors
            g *= 2
            out = g * w
            w *= 100
            g.data[...] = 100
            return out, None

    for f in (gn.custom_gradient(messy), Messy.apply):
        x, w = leaf([1.0, 2.0]), np.array([1.0, 1.0])
        out = f(x, w)
        assert out.tolist() == [4.0, 8.0] and x.tolist() == [1.0, 2.0] and w.tolist() == [1.0, 1.0]
        for times in (1, 2):
            out.backward(np.ones(2), retain_graph=True)
            assert x.grad.tolist() == [4.0 * times, 4.0 * times]


# --- results ---------------------------------------------------------------------------------------------------------

Both = namedtuple("Both", "double rest")


def many(x):
    """Several results of all sorts, as a function of an array or a Tensor."""
    return np.sum(x), (x * 2).astype(np.float32), x * (1 + 2j), np.arange(3), x[:0], np.array([True])


def pulled_of_many(x, g):
    sizes, doubles, complexes = g[0], g[1], g[2]
    return sizes * np.ones_like(x) + 2 * doubles.astype(np.float64) + np.real(complexes * (1 - 2j))


custom_many = gn.custom_gradient(lambda x: (many(x), lambda *g: pulled_of_many(x, g)))


class Many(gn.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return many(x)

    @staticmethod
    def backward(ctx, *g):
        return pulled_of_many(*ctx.saved_tensors, g)


several = pytest.mark.parametrize("way", [custom_many, Many.apply], ids=["custom", "Function"])


@several
def test_several_results_of_all_dtypes(way):
    x = np.array([1.0, 2.0])
    for out, expected in zip(way(leaf(x)), many(x), strict=True):
        assert out.dtype == np.asarray(expected).dtype and np.array_equal(out.data, expected)
        assert out.requires_grad == (out.dtype.kind in "fc")

    def mixed(f):
        return lambda x: (lambda o: o[0] ** 2 + np.sum(o[1] ** 2) + np.sum(np.abs(o[2]) ** 2) + np.sum(o[3]) + np.sum(o[4]))(f(x))

    for derivative in (gn.grad, gn.hessian):
        assert close(derivative(mixed(way))(x), derivative(mixed(many))(x), np.float32)
    for k in (0, 1, 4):
        assert close(gn.jacobian(lambda x, k=k: way(x)[k])(x), gn.jacobian(lambda x, k=k: many(x)[k])(x), np.float32)
    pushed = gn.jvp(way, (x,), (np.array([1.0, -1.0]),))[1]
    assert close(pushed[:3], gn.jvp(many, (x,), (np.array([1.0, -1.0]),))[1][:3], np.float32)


@several
def test_only_one_of_several_results_is_used(way):
    x = leaf([1.0, 2.0])
    way(x)[1].sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_results_without_a_gradient_get_zeros():
    seen = []

    @gn.custom_gradient
    def ranked(x):
        return (np.argsort(x), x * 2), lambda g_order, g: (seen.append(g_order), g * 2)[1]

    class Ranked(gn.Function):
        @staticmethod
        def forward(ctx, x):
            order, halves = np.argsort(x), x / 2
            ctx.mark_non_differentiable(order, halves)
            return order, x * 2, halves

        @staticmethod
        def backward(ctx, *g):
            seen.extend([g[0], g[2]])
            return g[1] * 2

    for f in (ranked, Ranked.apply):
        assert gn.grad(lambda x, f=f: f(x)[1].sum())(np.array([3.0, 1.0, 2.0])).tolist() == [2.0, 2.0, 2.0]
        assert gn.jvp(f, (np.array([3.0, 1.0]),), (np.ones(2),))[1][1].tolist() == [2.0, 2.0]
    assert len(seen) == 6 and not np.any([np.array(g[:2]) for g in seen])
    assert not Ranked.apply(leaf([1.0]))[2].requires_grad


def test_a_saved_result_without_a_gradient_is_a_value_like_others():
    """Nothing flows through the result itself, but what backward computes of it has derivatives."""

    class Squared(gn.Function):
        @staticmethod
        def forward(ctx, x):
            slope = 2 * x
            ctx.save_for_backward(slope)
            ctx.mark_non_differentiable(slope)
            return x * x, slope

        @staticmethod
        def backward(ctx, g, _):
            return g * ctx.saved_tensors[0]

    assert gn.hessian(lambda x: np.sum(Squared.apply(x)[0] + Squared.apply(x)[1]))(np.ones(2)).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_a_constant_result_alone():
    class Rounded(gn.Function):
        @staticmethod
        def forward(ctx, x):
            out = np.round(x)
            ctx.mark_non_differentiable(out)
            return out

    out = Rounded.apply(leaf([1.4]))
    assert out.tolist() == [1.0] and not out.requires_grad


def test_containers_of_results():
    x = leaf([1.0, 2.0])
    for kind, make in [(Both, Both), (tuple, lambda *a: a), (list, lambda *a: list(a))]:

        class Made(gn.Function):
            @staticmethod
            def forward(ctx, x, make=make):
                rest = x + 1
                ctx.mark_non_differentiable(rest)
                return make(x * 2, rest)

            @staticmethod
            def backward(ctx, g, _):
                return g * 2

        for out in (gn.custom_gradient(lambda x, make=make: (make(x * 2, x + 1), lambda g, h: g * 2 + h))(x), Made.apply(x)):
            assert type(out) is kind and [part.tolist() for part in out] == [[2.0, 4.0], [2.0, 3.0]]
            x.grad = None
            out[0].sum().backward()
            assert x.grad.tolist() == [2.0, 2.0]


class Reversed(gn.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return -g


@pytest.mark.parametrize("f", [Reversed.apply, gn.custom_gradient(lambda x: (x, lambda g: -g))], ids=["Function", "custom"])
def test_a_result_that_is_the_argument(f):
    """It is another tensor, with the gradient that the operation says."""
    x = leaf([1.0, 2.0])
    out = f(x)
    assert out is not x and not np.shares_memory(out.data, x.data)
    (out * 3).sum().backward()
    assert x.grad.tolist() == [-3.0, -3.0]
    out.data[...] = 7.0
    assert x.tolist() == [1.0, 2.0]
    assert gn.hessian(lambda x: np.sum(f(x) ** 2))(np.ones(2)).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_numbers_and_lists_as_gradients_of_a_scalar():
    for share in (2, 2.0, np.float32(2), np.array(2.0), gn.Tensor(2.0), True):
        x = leaf(1.0)
        gn.custom_gradient(lambda x, share=share: (float(x) * 2, lambda g: share))(x).backward()
        assert x.grad == float(share)


# --- gradients belong to whom ----------------------------------------------------------------------------------------


def test_gradients_are_nobody_elses():
    """What code gives for two arguments may be one array, which it changes later; and what it was given is its own."""
    seen = []

    @gn.custom_gradient
    def added(x, y):
        def pullback(g):
            seen.append(g)
            return g, g

        return x + y, pullback

    class Added(gn.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            seen.append(g.data)
            return g, seen[-1]

    for f in (added, Added.apply):
        x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        p, q = x * 1, y * 1
        out = f(p, q)
        (out.sum() + (p * 10).sum() + (q * 100).sum() + (p * 1000).sum()).backward()
        seen[-1][...] = -7.0
        grads = [t.grad.tolist() for t in (x, y, p, q, out)]
        assert grads == [[1011.0] * 2, [101.0] * 2, [1011.0] * 2, [101.0] * 2, [1.0] * 2]


@each_way
def test_retain_graph_and_freed(way):
    x, y = samples(np.float64)
    t = leaf(x)
    out = way(t, leaf(y)).sum()
    out.backward(retain_graph=True)
    once = np.array(t.grad)
    out.backward()
    assert close(t.grad, 2 * once)
    with pytest.raises(gn.GraphError, match="retain_graph=True"):
        out.backward()
    assert close(t.grad, 2 * once)


@each_way
def test_pulling_back_again_and_again(way):
    x, y = samples(np.float64)
    _, pullback = gn.vjp(way, x, y)
    for g in (np.ones(3), np.array([1.0, 0.0, 2.0])):
        assert close(pullback(g), (g * np.exp(y), g * x * np.exp(y)))


# --- errors ----------------------------------------------------------------------------------------------------------


def function_with(forward, backward, name="Wrong"):
    return type(name, (gn.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}).apply


def custom_with(forward, backward, name="Wrong"):
    def f(*args):
        return forward(None, *args), lambda *g: backward(None, *g)

    f.__name__ = name
    return gn.custom_gradient(f)


both_codes = pytest.mark.parametrize("made", [custom_with, function_with], ids=["custom", "Function"])
WRONG_GRADIENTS = {
    "too few": (lambda ctx, g: g, TypeError, "Wrong: gave 1 gradient.* for 2 argument"),
    "too many": (lambda ctx, g: (g, g, g), TypeError, "Wrong: gave 3 gradient.* for 2 argument"),
    "none at all": (lambda ctx, g: (), TypeError, "Wrong: gave 0 gradient.* for 2 argument"),
    "shape": (lambda ctx, g: (g, np.ones(5)), gn.ShapeError, r"Wrong: .*shape \(5,\) for argument 1 of shape \(2,\)"),
    "one row too many": (lambda ctx, g: (np.ones((1, 2)), g), gn.ShapeError, r"Wrong: .*shape \(1, 2\) for argument 0 of shape \(2,\)"),
    "a number": (lambda ctx, g: (2.0, g), gn.ShapeError, r"Wrong: .*shape \(\) for argument 0 of shape \(2,\)"),
    "complex": (lambda ctx, g: (g, g * 1j), TypeError, "Wrong: .*complex128 for argument 1 of dtype float64"),
    "text": (lambda ctx, g: ("ab", g), TypeError, "Wrong: .*<U2 for argument 0 of dtype float64"),
    "objects": (lambda ctx, g: (g, np.array([None, None])), TypeError, "Wrong: .*object for argument 1 of dtype float64"),
    "ragged": (lambda ctx, g: (g, [[1.0], [1.0, 2.0]]), TypeError, "Wrong: a gradient is no array"),
}


@both_codes
@pytest.mark.parametrize("case", WRONG_GRADIENTS)
def test_wrong_gradients(made, case):
    backward, error, message = WRONG_GRADIENTS[case]
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x.grad, y.grad = np.ones(2), np.ones(2)
    f = made(lambda ctx, x, y: x + y, backward)
    with pytest.raises(error, match=message):
        (f(x * 1, y * 1) * x).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [1.0, 1.0]
    with pytest.raises(error, match=message):
        gn.jvp(f, (x.data, y.data), (y.data, x.data))


@both_codes
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, ValueError])
def test_exceptions_pass_and_change_nothing(made, where, error):
    def fail(*_):
        raise error("here")

    f = made(fail, fail) if where == "forward" else made(lambda ctx, x: x * 2, fail)
    x = leaf([1.0, 2.0])
    x.grad = np.array([5.0, 6.0])
    with pytest.raises(error, match="here"):
        (f(x * 1) * x).sum().backward()
    assert x.grad.tolist() == [5.0, 6.0]
    with pytest.raises(error, match="here"):
        gn.grad(gn.grad(lambda x: np.sum(f(x) ** 2)))(1.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [7.0, 10.0]


def test_exceptions_by_hand():
    x = leaf([1.0, 2.0])
    x.grad = np.array([5.0, 6.0])
    for line in ("x.grad += np.ones(3)", "x.grad = np.ones(3)", "x.grad = np.ones(2) * 1j", "x.grad += 1; raise KeyError()"):
        child = gn.Tensor(x.data, _prev=(x,))
        child._backward = lambda line=line: exec(line, {"x": x, "np": np})
        with pytest.raises((ValueError, TypeError, KeyError)):
            child.sum().backward()
        assert x.grad.tolist() == [5.0, 6.0] and not child.grad.any()
    with pytest.raises(gn.GraphError, match="assign a function"):
        gn.Tensor(x.data, _prev=(x,)).sum().backward()
    with pytest.raises(gn.GraphError, match="a leaf has no parents"):
        x._backward = lambda: None
    with pytest.raises(TypeError):
        gn.Tensor(1.0, _prev=(2.0,))


@pytest.mark.parametrize("outcome", [3.0, None, (1.0, 2.0), (1.0, 2.0, len), [1.0, len]])
def test_no_pullback(outcome):
    with pytest.raises(TypeError, match=r"broken: .* returns \(value, pullback\)"):
        custom_gradient_named("broken", lambda x: outcome)(leaf(1.0))


def custom_gradient_named(name, f):
    f.__name__ = name
    return gn.custom_gradient(f)


@both_codes
@pytest.mark.parametrize("value", [None, "text", np.array([None]), {"a": 1.0}, (1.0, None)])
def test_a_value_that_is_no_number(made, value):
    with pytest.raises(TypeError, match=r"Wrong: gave .* no number"):
        made(lambda ctx, x: value, None)(leaf(1.0))


def test_a_function_without_its_methods():
    class Bare(gn.Function):
        pass

    with pytest.raises(NotImplementedError, match="forward"):
        Bare.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="backward"):
        type("Half", (gn.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)}).apply(leaf(1.0)).backward()


@both_codes
@pytest.mark.parametrize("held", [lambda t: [t], lambda t: {"a": (1.0, t)}, lambda t: (t, 2.0)])
def test_tensors_in_containers_are_refused(made, held):
    f = made(lambda ctx, x, parts: x * 2, lambda ctx, g: (g * 2, None))
    with pytest.raises(TypeError, match=r"Wrong: argument 1 .* pass each as an argument"):
        f(leaf(1.0), held(leaf(2.0)))
    assert f(leaf(1.0), held(gn.Tensor(2.0))).item() == 2.0


def test_tensors_from_outside_are_refused():
    """`custom_gradient` sees that the value depends on them; `Function` takes them for constants, as PyTorch does."""
    w = leaf(3.0)
    f = gn.custom_gradient(lambda x, scale=1.0: (x * scale * w, lambda g: g * w))
    with pytest.raises(gn.GraphError, match="no argument by position"):
        f(leaf(1.0))
    with pytest.raises(gn.GraphError, match="no argument by position"):
        f(1.0)
    with pytest.raises(gn.GraphError, match="no argument by position"):
        gn.custom_gradient(lambda x, scale=1.0: (x * scale, lambda g: g))(leaf(1.0), scale=w)
    with gn.no_grad():
        assert f(leaf(1.0)).item() == 3.0
    function_with(lambda ctx, x: x * w, lambda ctx, g: g * 3.0)(leaf(1.0)).backward()
    assert w.grad == 0
    gc.collect()  # the class, which is part of a cycle, knows w


# --- what runs again for a second derivative -------------------------------------------------------------------------


def black_box(x):
    """Code that takes values out, in every way."""
    return np.asarray(float(x) ** 3) + 0 * x.item() + 0 * np.asarray(x)


CLOSED = {
    "custom": gn.custom_gradient(lambda x: (black_box(x), lambda g: g * 3 * float(x) ** 2)),
    "its pullback": gn.custom_gradient(lambda x: (x**3, lambda g: np.asarray(g) * 3 * x * x)),
    "Function": function_with(lambda ctx, x: (setattr(ctx, "slope", 3 * float(x) ** 2), black_box(x))[1], lambda ctx, g: g * ctx.slope),
    "its arrays": function_with(lambda ctx, x: (ctx.save_for_backward(3 * np.asarray(x) ** 2), black_box(x))[1],
                                lambda ctx, g: g * ctx.saved_tensors[0]),
    "its backward": function_with(lambda ctx, x: (ctx.save_for_backward(x), x**3)[1], lambda ctx, g: float(g) * 3 * ctx.saved_tensors[0] ** 2),
}  # fmt: skip


@pytest.mark.parametrize("f", CLOSED.values(), ids=CLOSED)
def test_code_that_takes_values_out_can_be_differentiated_once(f):
    """A second derivative, or a tangent, would be 0 in silence."""
    assert gn.grad(f)(2.0) == 12.0
    assert gn.grad(lambda x: gn.checkpoint(f, x) * 2)(2.0) == 24.0
    for derivative in (gn.grad(gn.grad(lambda x: f(x) ** 2)), gn.hessian(lambda x: f(x) ** 2), lambda x: gn.jvp(f, (x,), (1.0,))):
        with pytest.raises(gn.GraphError, match="would be lost"):
            derivative(2.0)
    with pytest.raises(gn.GraphError, match="would be lost"):
        gn.grad(lambda x: f(x) ** 2)(leaf(2.0))


def test_other_values_the_second_time_are_heard():
    rng = np.random.default_rng(0)

    @gn.custom_gradient
    def dropped(x):
        mask = rng.random(x.shape) > 0.5
        return x * mask * x, lambda g: g * mask * 2 * x

    class Dropped(gn.Function):
        @staticmethod
        def forward(ctx, x):
            mask = (rng.random(x.shape) > 0.5) / 0.5
            ctx.save_for_backward(x, mask)
            return x * mask * x

        @staticmethod
        def backward(ctx, g):
            x, mask = ctx.saved_tensors
            return g * mask * 2 * x

    class Growing(gn.Function):
        @staticmethod
        def forward(ctx, x):
            state.append(1.0)
            ctx.kept = [x * k for k in state]
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    state, x = [], np.ones(50)
    for f in (dropped, Dropped.apply, Growing.apply):
        assert gn.grad(lambda x, f=f: np.sum(f(x)))(x).shape == (50,)
        with pytest.raises(gn.GraphError, match="other values when it runs again"):
            gn.grad(lambda x, f=f: np.sum(gn.grad(lambda x: np.sum(f(x) ** 2))(x)))(x)


def test_a_mask_of_booleans_is_kept_as_it_is():
    rng = np.random.default_rng(0)

    class Dropped(gn.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mask = rng.random(x.shape) > 0.5
            ctx.save_for_backward(x)
            return x * x * ctx.mask

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x * ctx.mask

    hessian = gn.hessian(lambda x: np.sum(Dropped.apply(x)))(np.ones(5))
    assert sorted(set(np.diag(hessian.data))) == [0.0, 2.0]


def test_how_often_forward_runs():
    """Once for a value and a gradient; once more for a second derivative, if more is kept than arguments and results."""
    calls = []

    class Counted(gn.Function):
        @staticmethod
        def forward(ctx, x, keep):
            calls.append(1)
            ctx.save_for_backward(x)
            if keep:
                ctx.half = x / 2
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0], None

    for keep, expected in ((False, 1), (True, 2)):
        calls.clear()
        gn.grad(lambda x, keep=keep: Counted.apply(x, keep))(2.0)
        assert len(calls) == 1
        calls.clear()
        assert gn.grad(gn.grad(lambda x, keep=keep: Counted.apply(x, keep)))(2.0) == 2.0
        assert len(calls) == expected


def test_operations_within_operations():
    """A pullback may use operations of one's own, and `grad`; all derivatives go through."""

    @gn.custom_gradient
    def cosine(x):
        return np.cos(x), lambda g: -g * sine(x)

    @gn.custom_gradient
    def sine(x):
        return np.sin(x), lambda g: g * cosine(x)

    class Sine(gn.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return Reversed.apply(sine(x))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * gn.grad(lambda x: np.sum(sine(x)))(x)

    for f in (sine, Sine.apply):
        derivative = f
        for expected in (np.sin(0.5), np.cos(0.5), -np.sin(0.5), -np.cos(0.5), np.sin(0.5)):
            assert np.isclose(float(derivative(gn.Tensor(0.5))), expected)
            derivative = gn.grad(derivative)


# --- PyTorch as the oracle -------------------------------------------------------------------------------------------


def square_and_sum(xp, function):
    class SquareAndSum(function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * x * y, x + y

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return 2 * x * y * g + h, x * x * g + h

    return lambda x, y: xp.sin(SquareAndSum.apply(x, y)[0]) * SquareAndSum.apply(x, y)[1]


def of_the_result(xp, function):
    class Exp(function):
        @staticmethod
        def forward(ctx, x, factor):
            out = xp.exp(x) * factor
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, g):
            (out,) = ctx.saved_tensors
            return g * out, None

    return lambda x, y: Exp.apply(x, 2.0) * Exp.apply(x * y, 3)


def with_a_context_set_up(xp, function):
    class Tanh(function):
        @staticmethod
        def forward(x, y):
            return xp.tanh(x), xp.tanh(x) * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.y = inputs[1].detach()
            ctx.save_for_backward(output[0], inputs[1])

        @staticmethod
        def backward(ctx, g, h):
            out, y = ctx.saved_tensors
            return (g + h * y) * (1 - out * out), h * out

    return lambda x, y: (lambda a, b: a * b * b)(*Tanh.apply(x, y))


def half_marked(xp, function):
    class Half(function):
        @staticmethod
        def forward(ctx, x, y):
            out, constant = x * y, x + y
            ctx.mark_non_differentiable(constant)
            ctx.save_for_backward(x, y, constant)
            return out, constant

        @staticmethod
        def backward(ctx, g, h):
            x, y, constant = ctx.saved_tensors
            return g * y + h, g * x + h * constant

    return lambda x, y: Half.apply(x, y)[0] ** 2 * Half.apply(x, y)[1]


def wrong_on_purpose(xp, function):
    """Not the derivative of what forward computes: only a library that follows `backward` agrees."""

    class Wrong(function):
        @staticmethod
        def forward(ctx, x, y):
            out = x * y
            ctx.save_for_backward(out, y)
            return out

        @staticmethod
        def backward(ctx, g):
            out, y = ctx.saved_tensors
            return g * out * y, -3 * g * g

    return lambda x, y: Wrong.apply(x, y) ** 2 + Wrong.apply(y, y)


def chained(xp, function):
    class Cube(function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return Square.apply(ctx.saved_tensors[0]) * 3 * g

    class Square(function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    return lambda x, y: Cube.apply(x * y) * y


PAIRS = [square_and_sum, of_the_result, with_a_context_set_up, half_marked, wrong_on_purpose, chained]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_as_pytorch(pair, dtype):
    torch = pytest.importorskip("torch")
    ours, theirs = pair(np, gn.Function), pair(torch, torch.autograd.Function)
    arrays, weights = samples(dtype, (3,)), [np.array(w, dtype) for w in ([1.0, 2.0, -1.0], [0.5, 1.0, 2.0])]

    def real(out, xp):
        return xp.real(out) if dtype == "complex128" else out

    found = []
    for xp, f, make, derive in [
        (torch, theirs, lambda a: torch.tensor(a, requires_grad=True), lambda out, at: torch.autograd.grad(out, at, create_graph=True)),
        (np, ours, leaf, lambda out, at: gn._sweep.gradients([out], at, [np.ones(out.shape, out.dtype)], recorded=True)),
    ]:
        x, y = (make(a) for a in arrays)
        constant = (lambda a: torch.tensor(a)) if xp is torch else np.asarray
        first = derive(real((f(x, y) * constant(weights[0])).sum(), xp), [x, y])
        inner = sum(real((g * constant(w)).sum(), xp) for g, w in zip(first, weights, strict=True))
        second = derive(inner, [x, y])
        found.append([g.detach().resolve_conj().numpy() if xp is torch else g.data for g in (*first, *second)])
        del first, second, inner, x, y
    assert close(*found, dtype)


def kept_intermediates(xp, function):
    class Gauss(function):
        @staticmethod
        def forward(ctx, x):
            square, e = x * x, xp.exp(-x * x)
            ctx.save_for_backward(x, e)
            ctx.square = square
            return e

        @staticmethod
        def backward(ctx, g):
            x, e = ctx.saved_tensors
            return -2 * x * e * g + 0 * ctx.square

    return Gauss.apply


def test_intermediates_that_pytorch_takes_for_constants():
    """The first derivative agrees; the second agrees with that of the composed function."""
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(kept_intermediates(torch, torch.autograd.Function)(x).sum(), x)
    composed = torch.autograd.functional.hessian(lambda x: torch.exp(-x * x).sum(), x)
    f = lambda x: np.sum(kept_intermediates(np, gn.Function)(x))
    assert close(gn.grad(f)(x.detach().numpy()), first.numpy())
    assert close(gn.hessian(f)(x.detach().numpy()), composed.numpy())


@pytest.mark.parametrize("tracked", [(True, False), (False, True), (True, True), (False, False)])
def test_needs_input_grad_as_pytorchs(tracked):
    torch = pytest.importorskip("torch")
    seen = []

    def made(function):
        class Seen(function):
            @staticmethod
            def forward(ctx, x, y, z):
                seen.append(ctx.needs_input_grad)
                ctx.save_for_backward(x, y)
                return x * y

            @staticmethod
            def backward(ctx, g):
                seen.append(ctx.needs_input_grad)
                x, y = ctx.saved_tensors
                return g * y if ctx.needs_input_grad[0] else None, g * x if ctx.needs_input_grad[1] else None, None

        return Seen.apply

    grads = []
    for f, make in [(made(gn.Function), gn.Tensor), (made(torch.autograd.Function), torch.tensor)]:
        x, y = (make([1.0, 2.0], requires_grad=t) for t in tracked)
        out = f(x, y, 3)
        if any(tracked):
            out.sum().backward()
        grads.append([None if t.grad is None else t.grad.tolist() for t in (x, y)])
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :] and grads[0] == grads[1]
    assert seen[0] == (*tracked, False)


def test_what_pytorch_knows_and_we_refuse():
    class InPlace(gn.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            ctx.mark_dirty(x)

    with pytest.raises(TypeError, match=r"InPlace: .* return a new value"):
        InPlace.apply(leaf(1.0))


# --- memory ----------------------------------------------------------------------------------------------------------


class Watched(np.ndarray):
    """An array that a weak reference can follow through np.array."""


def test_what_is_not_saved_is_not_kept():
    """Of a forward pass, the graph keeps what the context does: neither its result nor what it computed on the way."""
    alive = {}

    class Keeps(gn.Function):
        @staticmethod
        def forward(ctx, x):
            saved, other, out = np.array(x.data * 2), np.array(x.data * 3), np.array(x.data * 4)
            alive.update(saved=weakref.ref(saved), other=weakref.ref(other), out=weakref.ref(out))
            ctx.saved = saved
            return out

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved

    gc.disable()
    try:
        x = leaf(np.ones(100_000))
        y = Keeps.apply(x) * 2
        assert {name: ref() is not None for name, ref in alive.items()} == {"saved": True, "other": False, "out": False}
        y.sum().backward()
        assert alive["saved"]() is None
        y = Keeps.apply(x)
        del y
        assert alive["saved"]() is None
    finally:
        gc.enable()


def test_what_a_pullback_keeps_goes_with_the_graph():
    alive = []

    @gn.custom_gradient
    def kept(x):
        big = x * 2
        alive.append(weakref.ref(big))
        return x * big, lambda g: 2 * g * big

    gc.disable()
    try:
        x = leaf(np.ones(100_000))
        y = kept(x)
        y.sum().backward(retain_graph=True)
        assert alive[0]() is not None
        y.sum().backward()
        assert alive[0]() is None
        kept(x)
        assert alive[1]() is None
    finally:
        gc.enable()


def test_a_function_of_ones_own_is_no_cycle():
    gc.disable()
    try:
        f = lambda x: (x * 2, lambda g: g * 2)
        alive = weakref.ref(f)
        gn.custom_gradient(f)(leaf(1.0)).backward()
        del f
        assert alive() is None
    finally:
        gc.enable()


@any_order
def test_rows_return_without_the_garbage_collector(way):
    """Also from derivatives that are recorded, and from a graph that is retained."""
    x, y = samples(np.float64)
    gc.collect()
    gc.disable()
    try:
        before = _graph.live_rows()
        gn.jvp(way, (x, y), (y, x))
        gn.hessian(lambda x: np.sum(way(x, y) ** 2))(x)
        gn.grad(lambda x: np.sum(gn.grad(lambda x: np.sum(gn.grad(lambda x: np.sum(way(x, y) ** 2))(x) ** 2))(x)))(x)
        gn.vjp(way, x, y)[1](np.ones(3))
        a, b = leaf(x), leaf(y)
        out = way(a, b)
        out.sum().backward(retain_graph=True)
        del out, a, b
        assert _graph.live_rows() == before
    finally:
        gc.enable()


def test_many_calls_leave_nothing():
    x = leaf(np.ones(8))
    before = _graph.live_rows()
    for _ in range(2000):
        out = OfIntermediates.apply(by_custom(x, x), x)
        out.sum().backward()
    del out
    assert _graph.live_rows() == before


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_ufunc_of_another_package():
    special = pytest.importorskip("scipy.special")
    with pytest.raises(TypeError, match="owens_t has no derivative"):
        special.owens_t(leaf(1.0), 0.5)
    gauss = lambda h, a: np.exp(-0.5 * h * h * (1 + a * a)) / (2 * np.pi) / (1 + a * a)
    owens = ufunc(special.owens_t, y=lambda g, x, y: g * gauss(x, y),
                  x=lambda g, x, y: -g * np.exp(-0.5 * x * x) * special.erf(x * y * 0.5**0.5) / (8 * np.pi) ** 0.5)  # fmt: skip
    x, y = np.array([[0.3], [1.0]]), np.array([0.5, -0.2, 2.0])
    assert gn.check_gradients(special.owens_t, x, y, order=2)
    assert owens(leaf(np.float32(0.5)), np.float32(0.1)).dtype == np.float32
    assert gn.vmap(gn.grad(special.owens_t), in_axes=(0, None))(np.array([0.1, 0.2]), 0.5).shape == (2,)
    assert special.owens_t(0.5, 0.5) == owens(0.5, 0.5)


def test_a_holomorphic_ufunc_of_another_package():
    special = pytest.importorskip("scipy.special")
    ufunc(special.wrightomega, x=lambda g, out: g * out / (1 + out))
    z = np.array([0.5 + 1j, -1.0 - 0.3j])
    assert gn.check_gradients(special.wrightomega, z, order=2)
    assert gn.jacobian(special.wrightomega, holomorphic=True)(z).shape == (2, 2)


def test_leaky_relu_and_gelu_as_pytorchs():
    torch = pytest.importorskip("torch")
    leaky = elementwise(lambda x: np.where(x > 0, x, 0.1 * x), name="leaky_relu", x=lambda g, x: g * np.where(x > 0, 1.0, 0.1))

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))

    def slope(g, x):
        t = np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
        return g * 0.5 * (1 + t + x * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x))

    gelu = elementwise(gelu, x=slope)
    theirs = {leaky: lambda x: torch.nn.functional.leaky_relu(x, 0.1), gelu: lambda x: torch.nn.functional.gelu(x, approximate="tanh")}
    for dtype in (np.float32, np.float64):
        a = np.array([[-2.0, -0.1, 0.5], [3.0, 0.2, -1.0]], dtype)
        for ours, their in theirs.items():
            x, t = leaf(a), torch.tensor(a, requires_grad=True)
            ours(x).sum().backward()
            their(t).sum().backward()
            assert close([ours(gn.Tensor(a)), x.grad], [their(t).detach().numpy(), t.grad.numpy()], dtype)
    for ours, their in theirs.items():
        hessian = torch.autograd.functional.hessian(lambda t, f=their: f(t).sum(), torch.tensor([0.3, -1.0], dtype=torch.float64))
        assert close(gn.hessian(lambda x, f=ours: np.sum(f(x)))(np.array([0.3, -1.0])), hessian.numpy())
        assert np.array_equal(gn.vmap(gn.grad(ours))(a[0]), gn.elementwise_grad(ours)(a[0]))


def test_an_op_with_options_and_shapes():
    def windows(x, width, *, step=1):
        return np.stack([x[k : k + width] for k in range(0, len(x) - width + 1, step)])

    def back(g, x_shape, width, step):
        return sum(np.pad(g[k], (k * step, x_shape[0] - width - k * step)) for k in range(len(g)))

    windows = op(windows, x=back, linear=True)
    x = np.arange(6.0)
    for args, options in [((2,), {}), ((3,), {"step": 2}), ((), {"width": 2, "step": 3})]:
        weights = np.random.default_rng(0).normal(size=windows(x, *args, **options).shape)
        assert gn.check_gradients(lambda x, a=args, o=options, w=weights: windows(x, *a, **o) ** 2 * w, x, order=2)
    for call, message in [(lambda: windows(leaf(x)), "'width' is missing"), (lambda: windows(leaf(x), 2, 3), "positional"),
                          (lambda: windows(leaf(x), 2, stride=3), "no such argument here: stride")]:  # fmt: skip
        with pytest.raises(TypeError, match=f"windows: .*{message}"):
            call()


def test_an_op_stands_for_numpys_function():
    flipped = op(lambda m, axis=None: np.asarray(m)[::-1], numpy=np.flipud, m=lambda g: g[::-1])
    x = leaf([1.0, 2.0])
    (np.flipud(x) * [1.0, 10.0]).sum().backward()
    assert x.grad.tolist() == [10.0, 1.0] and flipped.name == "flipud"


@pytest.mark.parametrize(("lines", "message"), [
    ({"z": lambda g: g}, "z"), ({"x": lambda g, q: g}, "reads 'q'"), ({"x": lambda g, y: g}, "reads 'y'"),
    ({"x": lambda g, x, out, q, r: g}, "at most|reads 'q'"),
])  # fmt: skip
@pytest.mark.parametrize("kind", [op, elementwise])
def test_wrong_lines_are_refused_at_once(kind, lines, message):
    with pytest.raises(TypeError, match=message):
        kind(lambda x: x * 2, name="twice", **lines)


@pytest.mark.parametrize("kind", [op, elementwise])
@pytest.mark.parametrize(("line", "error", "message"), [
    (lambda g: np.ones(5), gn.ShapeError, r"twice: .*argument 0 has shape \(5,\), the argument \(3,\)"),
    (lambda g: 1.0, gn.ShapeError, r"twice: .*argument 0 has shape \(\), the argument \(3,\)"),
    (lambda g: "text", TypeError, "twice: .*argument 0 gave <U4"),
])  # fmt: skip
def test_wrong_gradients_of_lines(kind, line, error, message):
    twice, x = kind(lambda x: x * 2, name="twice", x=line), leaf(np.ones(3))
    with pytest.raises(error, match=message):
        twice(x).sum().backward()
    assert not x.grad.any()


def test_gradients_of_a_wrong_shape_at_once_and_of_second_order():
    x = np.ones(3)
    for line, shape in [(lambda g: np.concatenate([g, g]), r"\(.*6,?\)"), (lambda g: g.sum(), r"\(.*\)")]:
        twice = op(lambda x: x * 2, name="twice", x=line)
        for function in gn.jacobian(twice), gn.grad(gn.grad(lambda x, twice=twice: (twice(x) ** 2).sum())):
            with pytest.raises(gn.ShapeError, match=f"twice: .*argument 0 has shape {shape}, the argument \\(3,\\)"):
                function(x)


def test_a_mask_may_be_an_option_that_no_line_reads():
    scaled = op(lambda x, chosen=False: x * 2, name="scaled", masks=lambda chosen: chosen, x=lambda g: g * 2)
    for chosen, expected in [(True, [0.0, 2.0]), (False, [np.nan, 2.0])]:
        x = leaf([0.0, 1.0])
        with np.errstate(all="ignore"):
            (scaled(np.log(x), chosen=chosen) * [0.0, 1.0]).sum().backward()
        np.testing.assert_array_equal(x.grad, expected)


def test_operations_are_named():
    assert repr(op(lambda x: x, name="mine")) == "<operation mine>" and repr(gn.relu) == "<operation relu>"


def test_an_input_without_a_line_is_a_constant():
    weighted = op(lambda x, w: x * w, name="weighted", x=lambda g, w: g * w)
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    weighted(x, w).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0] and not w.grad.any()
    assert not weighted([1.0, 2.0], w).requires_grad


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_by_hand_has_no_second_derivative():
    for derivative in (gn.grad(gn.grad(lambda x: by_hand(x, x))), gn.hessian(lambda x: by_hand(x, x)), lambda x: gn.jvp(by_hand, (x, x), (x, x))):
        with pytest.raises(gn.GraphError, match="no second derivative"):
            derivative(2.0)


def test_by_hand_in_the_tutorials_loop():
    """Parents of all sorts, a child of a child, and a walk by hand in place of backward()."""
    x, c = leaf([1.0, 2.0]), gn.Tensor([3.0, 4.0])
    h = gn.Tensor(x.data * c.data, _prev={x, c})

    def first():
        x.grad += c.data * h.grad

    h._backward = first
    out = gn.Tensor(h.data.sum(), _prev=[h, h])

    def second():
        h.grad += out.grad * np.ones(2)

    out._backward = second
    out.backward(retain_graph=True)
    assert x.grad.tolist() == [3.0, 4.0] and c.grad is None and out._prev == {h} and h._prev == {x}
    x.grad = h.grad = None
    out.grad = 1.0
    for t in (out, h):
        t._backward()
    assert x.grad.tolist() == [3.0, 4.0]
    out.backward()


def test_a_result_gets_another_backward():
    x = leaf([1.0, 2.0])
    y = x * 3

    def backward():
        x.grad += 100 * y.grad

    y._backward = backward
    y.sum().backward()
    assert x.grad.tolist() == [100.0, 100.0]


# --- constants, hooks, differences -----------------------------------------------------------------------------------


def test_straight_through_as_pytorchs_detach():
    torch = pytest.importorskip("torch")
    a = np.array([0.4, 2.6, -1.5])
    x, t = leaf(a), torch.tensor(a, requires_grad=True)
    ((x + gn.stop_gradient(np.round(x) - x)) ** 2).sum().backward()
    ((t + (torch.round(t) - t).detach()) ** 2).sum().backward()
    assert close(x.grad, t.grad.numpy())
    by_code = gn.custom_gradient(lambda x: (np.round(x), lambda g: g))
    assert close(gn.grad(lambda x: np.sum(by_code(x) ** 2))(a), x.grad) or np.allclose(gn.grad(lambda x: np.sum(by_code(x) ** 2))(a), x.grad)
    assert close(gn.stop_gradient({"a": [leaf(a), 1.0]})["a"][0], gn.Tensor(a))


@by_code
def test_hooks_see_and_change_gradients_of_own_operations(way):
    seen, (x, y) = [], samples(np.float64)
    a, b = leaf(x), leaf(y)
    a.register_hook(lambda g: seen.append(np.array(g)))
    out = way(a, b)
    out.register_hook(lambda g: g * 2)
    out.sum().backward()
    assert close(a.grad, 2 * np.exp(y)) and np.array_equal(seen[0], a.grad) and close(b.grad, 2 * x * np.exp(y))
    with pytest.raises(gn.GraphError, match="does not require grad"):
        gn.Tensor(1.0).register_hook(print)


def test_numerical_gradients_beside_lines():
    x, y = samples(np.float64)
    numerical = gn.numerical_gradient(lambda x, y: np.array([float(a) * np.exp(b) for a, b in zip(x, y, strict=True)]), warn=False)
    one, two = (gn.grad(lambda x, y, f=f: np.sum(np.sin(f(x, y))), argnums=(0, 1))(x, y) for f in (numerical, by_op))
    assert all(np.allclose(a.data, b.data, rtol=1e-8) for a, b in zip(one, two, strict=True))


def test_gradients_in_another_byte_order_are_summed_right():
    scaled = op(lambda x, y: x * y, name="scaled", x=lambda g, y: (g * y).astype(">f8"))
    x, whole, y = leaf(np.ones(3)), leaf(np.ones((2, 3))), np.arange(6.0).reshape(2, 3)
    (scaled(x, y) + scaled(whole, y)).sum().backward()
    assert x.grad.tolist() == [3.0, 5.0, 7.0] and whole.grad.tolist() == y.tolist() and x.grad.dtype == whole.grad.dtype == float
