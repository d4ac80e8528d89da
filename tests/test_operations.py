"""Every operation on every sample: values against NumPy, derivatives against finite differences, programs against plain lines.

The samples are in tests/samples, a file for each family; an operation without samples fails here. One test is one check of one
operation on all of its samples, and a failure names the samples.
"""

import contextlib
import importlib
import inspect
import io
import operator
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from samples import elementwise

import gradnerve as gn
from gradnerve import _sweep
from gradnerve._program import show
from gradnerve.ops.define import Elementwise, operations

pytestmark = pytest.mark.usefixtures("rows_return")

FAMILIES = [importlib.import_module(f"samples.{path.stem}") for path in sorted((Path(__file__).parent / "samples").glob("*.py"))]


def table(name):
    """What all sample files say under this name, in one dictionary."""
    return {key: value for family in FAMILIES for key, value in getattr(family, name, {}).items()}


SAMPLES, TIES, ERRORS, ALIASES, CALLS, REFERENCES = map(table, ("SAMPLES", "TIES", "ERRORS", "ALIASES", "CALLS", "REFERENCES"))

def found(package, name):
    """The function of a dotted name, or None."""
    try:
        return operator.attrgetter(name)(package)
    except AttributeError:
        return None


NAMES = sorted(name for name in SAMPLES if name in CALLS or name in operations or found(gn, name))  # an older NumPy has fewer

# Operations that users reach only through another function, on whose samples they run.
PARTS = {"clamp": "clip", "fraction": "modf", "integer": "modf", "mantissa": "frexp", "root": "std", "label_entropy": "cross_entropy", "i1": "i0"}
PARTS |= table("PARTS")

NETWORK = ["relu", "sigmoid", "softmax", "log_softmax", "logsumexp", "cross_entropy"]


# ---- samples -----------------------------------------------------------------------------------------------------------------------


def floating(a):
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"


def replace(args, new):
    """The arguments with `new(a)` in place of every array of floats, also in a list of arrays."""
    return [replace(a, new) if isinstance(a, list) and any(map(floating, a)) else new(a) if floating(a) else a for a in args]


class Sample:
    """Arguments of an operation, and what depends on their arrays of floats."""

    def __init__(self, name, args, kwargs):
        self.name, self.args, self.kwargs = name, args, kwargs
        self.arrays = []
        replace(args, self.arrays.append)
        self.rng = np.random.default_rng(zlib.crc32(repr(self).encode()))

    def __repr__(self):
        args = replace(self.args, lambda a: f"{a.dtype}{a.shape} strides {a.strides}")
        return f"{self.name}({', '.join([*map(str, args), *(f'{k}={v}' for k, v in self.kwargs.items())])})"

    def call(self, function, arrays):
        """All results of a function that are numbers with a derivative, for other arrays in the place of ours."""
        arrays = iter(arrays)
        out = function(*replace(self.args, lambda _: next(arrays)), **self.kwargs)
        return [part for part in (out if isinstance(out, (tuple, list)) else [out]) if np.asarray(value(part)).dtype.kind in "fc"]

    def reference(self, arrays):
        with np.errstate(all="ignore"):
            return [np.asarray(out) for out in self.call(REFERENCE[self.name], arrays)]

    def doubled(self):
        """The arrays in double precision, in C order."""
        return [np.array(a, np.result_type(a, np.float64), order="C") for a in self.arrays]

    def draw(self, arrays):
        """Random arrays like these, of numbers that are exact in every precision."""
        return [drawn(self.rng, np.shape(a), np.asarray(a).dtype) for a in arrays]


def drawn(rng, shape, dtype):
    def eighths():
        return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.integers(4, 9, shape) / 8)

    return (eighths() + 1j * eighths() if dtype.kind == "c" else eighths()).astype(dtype)


def value(out):
    return out._array if isinstance(out, gn.Tensor) else out


def samples(name):
    return [Sample(name, args, kwargs) for args, kwargs in SAMPLES[name]()]


def exact(sample):
    """Whether finite differences of the sample itself mean something: all in double precision."""
    return all(a.dtype.itemsize == (16 if a.dtype.kind == "c" else 8) for a in sample.arrays)


def contiguous(sample):
    return all(a.flags.c_contiguous and a.flags.aligned for a in sample.arrays)


def each(name, check, wanted=lambda sample: True):
    """Run the check on the samples of an operation; one failure names all that failed."""
    failed = []
    for sample in filter(wanted, samples(name)):
        try:
            check(sample)
        except Exception as error:
            failed.append(f"{sample}\n    {type(error).__name__}: {error}")
    if failed:
        pytest.fail("\n".join([f"{name}: {len(failed)} samples fail, the first of them", *failed[:4]]), pytrace=False)


# ---- functions ---------------------------------------------------------------------------------------------------------------------


def numpy_setitem(x, index, value):
    """Where an index names a place twice, NumPy's order of writing depends on memory; ours is always that of the elements."""
    out = np.array(x)
    out[index] = np.ascontiguousarray(value) if np.ndim(value) else value
    return out


def tensor_setitem(x, index, value):
    out = x.copy()
    out[index] = value
    return out


def ours(name):
    return CALLS.get(name) or found(gn, name) or operations[name]


def numpys(name):
    """The function of NumPy's, or another package's ufunc, that takes Tensors by protocol."""
    if name in ("copy", "astype") or name in CALLS:  # np.copy(t) gives an ndarray by its own contract
        return None
    return REFERENCES[name] if isinstance(REFERENCES.get(name), np.ufunc) else found(np, name)


REFERENCE = {name: REFERENCES.get(name) or CALLS.get(name) or found(np, name) or ours(name) for name in NAMES} | {
    "getitem": lambda x, index: x[index],
    "setitem": numpy_setitem,
    "astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy),
}
SYNTAX = {"getitem": lambda x, index: x[index], "setitem": tensor_setitem, "astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy)}


def leaf(a):
    """A leaf in the array's own memory, whatever its strides."""
    return gn.asarray(a).requires_grad_()


def gradients(sample, arrays, seeds):
    """What backward, started from every result in turn, adds up in the leaves."""
    leaves = [leaf(a) for a in arrays]
    results = sample.call(ours(sample.name), leaves)
    for k, (out, seed) in enumerate(zip(results, seeds, strict=True)):
        if isinstance(out, gn.Tensor) and out.requires_grad:
            out.backward(seed, retain_graph=k + 1 < len(results))
    return [t.grad for t in leaves]


def inner_product(a, b):
    """The sum over all arrays of re(conj(a) * b): how a function with gradient `a` changes along `b`."""
    return sum(float(np.sum(np.real(np.conj(x) * y), dtype=float)) for x, y in zip(a, b, strict=True))


def sizes(a, b):
    return sum(float(np.sum(np.abs(x) * np.abs(y), dtype=float)) for x, y in zip(a, b, strict=True))


def slope(function, arrays, directions, step=3e-4):
    """The derivative of `function(arrays)` along the directions, by a central difference of fourth order."""

    def at(h):
        return function([a + h * v for a, v in zip(arrays, directions, strict=True)])

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def close(found, expected, scale, noise, relative):
    tolerance = relative * scale + 1e-11 * noise
    assert abs(found - expected) <= tolerance, f"found {found!r}, finite differences {expected!r}, more than {tolerance:.1e} apart"


PRECISION = {np.dtype("e"): 2e-2, np.dtype("f"): 3e-5, np.dtype("F"): 3e-5, np.dtype("d"): 1e-9, np.dtype("D"): 1e-9}


# ---- completeness ------------------------------------------------------------------------------------------------------------------


def test_every_operation_has_samples():
    missing = set(operations) - set(SAMPLES) - {name.rpartition(".")[2] for name in SAMPLES} - set(PARTS) - set(table("ELSEWHERE"))
    assert not missing, f"write samples (tests/samples) for {sorted(missing)}"
    assert not set(PARTS.values()) - set(SAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_there_are_enough_samples(name):
    assert len(SAMPLES[name]()) >= (40 if name in operations else 10)


@pytest.mark.parametrize("name", sorted(set(PARTS) - {"i1"}))
def test_parts_run_on_the_samples_of_their_whole(name):
    met = set()
    for sample in samples(PARTS[name])[:40]:
        for out in sample.call(ours(sample.name), [leaf(a) for a in sample.arrays]):
            met.update(gn.graph(out).nodes["operation"].tolist() if isinstance(out, gn.Tensor) and out.requires_grad else ())
    assert name in met


@pytest.mark.parametrize("name", NETWORK)
def test_network_names(name):
    assert callable(getattr(gn, name))


# ---- values ------------------------------------------------------------------------------------------------------------------------


def same(found, expected, layout=True, units=0):
    """Equal to the last bit, NaN included, in dtype, shape and, for a result with memory of its own, in layout."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype, f"dtype {found.dtype}, NumPy's {expected.dtype}"
    assert found.shape == expected.shape, f"shape {found.shape}, NumPy's {expected.shape}"
    if units:
        np.testing.assert_allclose(found, expected, rtol=units * np.finfo(found.dtype).eps)
    else:
        assert found.tobytes() == expected.tobytes() or np.array_equal(found, expected, equal_nan=True), f"{found} is not NumPy's {expected}"
    if layout and expected.flags.owndata and expected.size > 1:
        assert found.strides == expected.strides, f"strides {found.strides}, NumPy's {expected.strides}"


@pytest.mark.parametrize("name", NAMES)
def test_values(name):
    def check(sample):
        with np.errstate(all="ignore"):
            expected = sample.call(REFERENCE[name], sample.arrays)
            plain = sample.call(ours(name), sample.arrays)
            forms = [sample.call(f, [make(a) for a in sample.arrays]) for make, f in forms_of(name)]
        layout = isinstance(operations.get(name), Elementwise)  # others may give a copy where NumPy gives a view
        units = 2 if name == "angle" and not contiguous(sample) else 0  # of strided parts, NumPy's arctan2 has other last bits
        for found, out in zip(plain, expected, strict=True):
            assert type(found) is type(out), f"plain arrays give {type(found)}, NumPy's {type(out)}"
            same(found, out, layout)
        for results in forms:
            for found, out in zip(results, expected, strict=True):
                assert not sample.arrays or isinstance(found, gn.Tensor), f"a {type(found)}, no Tensor"
                same(value(found), out, layout, units)

    each(name, check)


def forms_of(name):
    """Ways to call an operation with Tensors, tracked and not."""
    functions = [f for f in (ours(name), numpys(name)) if f is not None]
    return [(make, f) for make in (leaf, gn.asarray) for f in functions] + [(leaf, f) for key, f in SYNTAX.items() if key == name]


# ---- derivatives -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_first_derivative(name):
    """Along a random direction, for a random weight of every result; single precision against double."""

    def check(sample):
        arrays = sample.doubled()
        results = sample.reference(arrays)
        weights, directions = sample.draw(results), sample.draw(arrays)
        seeds = [w.astype(out.dtype) for w, out in zip(weights, sample.reference(sample.arrays), strict=True)]
        found = gradients(sample, sample.arrays, seeds)
        for g, a in zip(found, sample.arrays, strict=True):
            assert (type(g), g.shape, g.dtype) == (np.ndarray, a.shape, a.dtype)
        expected = slope(lambda arrays: inner_product(weights, sample.reference(arrays)), arrays, directions)
        relative = max([PRECISION[a.dtype] for a in sample.arrays] + [1e-9])
        close(inner_product(found, directions), expected, sizes(found, directions), sizes(weights, results), relative)

    each(name, check)


def first_derivative(sample, inner, weights):
    """The gradients as tensors that are tracked back to what `inner` was made of."""
    found = [None] * len(inner)
    for out, weight in zip(sample.call(ours(sample.name), inner), weights, strict=True):
        if isinstance(out, gn.Tensor) and out.requires_grad:
            for k, g in enumerate(_sweep.gradients([out], inner, [weight])):
                found[k] = g if found[k] is None else found[k] if g is None else found[k] + g
    return found


def second_derivative(sample, arrays, weights, directions):
    leaves = [gn.Tensor(a, requires_grad=True) for a in arrays]
    for g, v in zip(first_derivative(sample, [gn.positive(t) for t in leaves], weights), directions, strict=True):
        if g is not None and g.requires_grad:
            g.backward(v, retain_graph=True)
    return [t.grad for t in leaves]


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative(name):
    """Recorded gradients, differentiated along a random direction."""

    def check(sample):
        arrays = sample.doubled()
        weights, one, two = sample.draw(sample.reference(arrays)), sample.draw(arrays), sample.draw(arrays)
        first = gradients(sample, arrays, weights)
        found = second_derivative(sample, arrays, weights, one)
        expected = slope(lambda arrays: inner_product(one, gradients(sample, arrays, weights)), arrays, two)
        close(inner_product(found, two), expected, sizes(found, two), sizes(first, one), 1e-9)

    each(name, check, exact)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative_in_single_precision(name):
    def check(sample):
        arrays = sample.doubled()
        weights, directions = sample.draw(sample.reference(arrays)), sample.draw(arrays)
        seeds = [w.astype(out.dtype) for w, out in zip(weights, sample.reference(sample.arrays), strict=True)]
        found = second_derivative(sample, sample.arrays, seeds, [v.astype(a.dtype) for v, a in zip(directions, sample.arrays, strict=True)])
        expected = second_derivative(sample, arrays, weights, directions)
        for g, e, a in zip(found, expected, sample.arrays, strict=True):
            assert g.dtype == a.dtype
            np.testing.assert_allclose(g, e, rtol=3e-4, atol=1e-6 + 3e-4 * np.abs(e).max(initial=0))

    each(name, check, lambda sample: not exact(sample) and all(a.dtype != np.float16 for a in sample.arrays))


HOLOMORPHIC = [n for n, op in operations.items() if isinstance(op, Elementwise) and op.analytic and "D" in str(getattr(op.function, "types", ""))]
HOLOMORPHIC = sorted(set(HOLOMORPHIC) - set(table("NO_COMPLEX_STEP")))  # whose values for complex numbers near the real axis are not exact


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_complex_step(name):
    """f(x + ih).imag / h has no cancellation: the derivative of a holomorphic function nearly to the last bit."""

    def check(sample):
        directions = sample.draw(sample.arrays)
        weights = sample.draw(sample.reference(sample.arrays))
        found = gradients(sample, sample.arrays, weights)
        with np.errstate(all="ignore"):
            moved = sample.call(REFERENCE[name], [a + 1e-30j * v for a, v in zip(sample.arrays, directions, strict=True)])
        expected = inner_product(weights, [np.imag(out) for out in moved]) / 1e-30
        close(inner_product(found, directions), expected, sizes(found, directions), 0, 1e-13)

    each(name, check, lambda sample: exact(sample) and all(isinstance(a, float) or (floating(a) and a.dtype == np.float64) for a in sample.args))


@pytest.mark.parametrize("name", sorted(TIES))
def test_ties(name):
    """Kinks, ties and infinities: the gradient of the sum, written by hand."""
    for args, kwargs, expected in TIES[name]:
        sample = Sample(name, args, kwargs)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            ones = [np.ones_like(out) for out in sample.reference(sample.arrays)]
            leaves = [leaf(a) if floating(a) else a for a in args]
            for out, seed in zip(Sample.call(sample, ours(name), [t for t in leaves if isinstance(t, gn.Tensor)]), ones, strict=True):
                if out.requires_grad:
                    out.backward(seed, retain_graph=True)  # the next result may share its graph
        for t, e in zip(leaves, expected, strict=False):
            if e is not None:
                np.testing.assert_allclose(t.grad, np.broadcast_to(e, t.shape), rtol=1e-12, atol=0, err_msg=f"{sample}")


BRANCHES = ["np.log(x)", "np.sqrt(x)", "np.divide(1, x)", "1 / np.sqrt(x)", "x * np.log(x)", "x ** 0.5", "np.log(x * x) / x"]


@pytest.mark.parametrize("form", ["np.where(x > 0, {}, 0)", "np.where(x <= 0, 0, {})"])
@pytest.mark.parametrize("branch", BRANCHES)
def test_branch_not_taken_contributes_exactly_zero(branch, form):
    """At 0 the derivatives of the branch are infinite or NaN; first and second order, by gn.grad and by backward."""
    f, alone = (eval(f"lambda x: ({code}).sum()", {"np": np}) for code in (form.format(branch), branch))
    x = leaf(np.array([0.0, 4.0]))
    with np.errstate(all="ignore"):
        f(x).backward()
        first, second = gn.grad(f), gn.grad(lambda x: gn.grad(f)(x).sum())
        assert x.grad[0] == first(x.data).data[0] == second(x.data).data[0] == 0
        assert x.grad[1] == first(x.data).data[1] == gn.grad(alone)(x.data).data[1]
        assert second(x.data).data[1] == gn.grad(lambda x: gn.grad(alone)(x).sum())(x.data).data[1]


# ---- programs ----------------------------------------------------------------------------------------------------------------------

LINES = [(name, k) for name, op in sorted(operations.items()) if isinstance(op, Elementwise) for k in op.lines]


def plain_line(op, argument, g, values):
    """A derivative line as NumPy runs it: from inputs in the dtype that the loop read them in, to the dtype of the argument.

    On arrays of at least one axis, that is: NumPy computes single numbers, and powers of them, in other ways with other last bits.
    """
    line, shape, values = op.lines[argument], g.shape, values | {"g": g}
    number = None if op.name == "ldexp" else g.dtype
    read = {k: np.atleast_1d(v) if isinstance(v, np.ndarray) else np.full(g.shape or 1, v, number) for k, v in values.items()}
    read = {k: v.astype(g.dtype) if floating(v) and np.can_cast(v.dtype, g.dtype) else v for k, v in read.items()}
    g = read["g"]
    parameters = list(inspect.signature(line).parameters)
    conjugate = op.analytic and any(np.iscomplexobj(read[p]) for p in parameters)
    args = [(np.conjugate(g) if conjugate else g) if p == "g" else read[p] for p in parameters]
    result = line(*args)
    result = np.conjugate(result) if conjugate else result
    dtype = values[argument].dtype
    return np.asarray(np.real(result) if dtype.kind != "c" else result).astype(dtype).reshape(shape)


@pytest.mark.parametrize(("name", "argument"), [pair for pair in LINES if pair[0] in SAMPLES])
def test_program_equals_plain_line(name, argument):
    op = operations[name]
    k = ("x", "y").index(argument)

    def check(sample):
        with np.errstate(all="ignore"):
            out = np.asarray(op.function(*sample.args))
            g = drawn(sample.rng, out.shape, out.dtype)
            t = leaf(sample.args[k])
            op(*(t if i == k else a for i, a in enumerate(sample.args))).backward(g)
            if "zero" in op.lines[argument].__name__:
                expected = np.zeros(t.shape, t.dtype)
            else:
                expected = plain_line(op, argument, g, dict(zip("xy", sample.args, strict=False)) | {"out": out})
        if contiguous(sample):
            assert np.array_equal(t.grad, expected, equal_nan=True), f"program {t.grad}, plain line {expected}"
        else:  # some of NumPy's loops give other last bits for strided memory, and NumPy turns negative strides round
            np.testing.assert_allclose(t.grad, expected, rtol=8 * np.finfo(t.dtype).eps)

    def takes(sample):
        return floating(sample.args[k]) and np.broadcast_shapes(*map(np.shape, sample.args)) == sample.args[k].shape and not sample.kwargs

    each(name, check, takes)


@pytest.mark.parametrize(("name", "argument"), LINES)
def test_lines_are_traceable(name, argument):
    """In every precision that the function has, a derivative is a program, not Python."""
    line = operations[name].lines[argument]
    if line.__name__ == "zero" or name == "ldexp":
        pytest.skip("there is nothing to trace: no derivative, or one by an integer")
    parameters = list(inspect.signature(line).parameters)
    for dtype in "fdFD" if name != "relu" else "fd":
        with np.errstate(all="ignore"):
            try:
                operations[name].function(*[np.ones(1, dtype)] * operations[name].nin)
                line(*[np.ones(1, dtype)] * len(parameters))
            except TypeError:
                continue  # NumPy has no such function for this dtype
        with contextlib.redirect_stdout(io.StringIO()) as text:
            show(line, dtype * len(parameters))
        assert "not traceable" not in text.getvalue(), f"{name}, line for {argument}, dtype {dtype}"


# ---- what else must hold on every sample --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_hygiene(name):
    """Inputs and seeds stay as they were, gradients have memory of their own, and a second run gives the same bits."""

    def check(sample):
        before = [a.tobytes() for a in sample.arrays]
        seeds = sample.draw(sample.reference(sample.arrays))
        seeds_before = [seed.tobytes() for seed in seeds]
        found = gradients(sample, sample.arrays, seeds)
        again = gradients(sample, sample.arrays, seeds)
        assert [a.tobytes() for a in sample.arrays] == before, "an input was changed"
        assert [seed.tobytes() for seed in seeds] == seeds_before, "a seed was changed"
        assert [g.tobytes() for g in found] == [g.tobytes() for g in again], "a second run gives other bits"
        apart([*found, *again, *seeds, *sample.arrays])

    each(name, check)


def apart(arrays):
    """No two of these share memory (the inputs may, among themselves)."""
    for k, a in enumerate(arrays):
        for b in arrays[k + 1 :]:
            assert a is b or not np.may_share_memory(a, b) or not np.shares_memory(a, b), "a gradient shares memory with another array"


def test_gradients_of_results_do_not_share_memory():
    x, y = gn.Tensor([1.0, 2.0], requires_grad=True), gn.Tensor([3.0, 4.0], requires_grad=True)
    seed = np.ones(2)
    z = x + y
    z.backward(seed)
    apart([x.grad, y.grad, z.grad, seed])


@pytest.mark.parametrize("name", NAMES)
def test_strides_make_no_difference(name):
    """The gradient of arrays in other memory is that of the same numbers in C order."""

    def check(sample):
        compact = [np.array(a, order="C") for a in sample.arrays]
        seeds = sample.draw(sample.reference(sample.arrays))
        if {"A", "K"} & {*map(str, sample.args), *map(str, sample.kwargs.values())}:
            return  # an order that asks for the memory's own
        for g, e in zip(gradients(sample, sample.arrays, seeds), gradients(sample, compact, seeds), strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-13 if exact(sample) else PRECISION[g.dtype], atol=0 if exact(sample) else 1e-6)

    each(name, check, lambda sample: not contiguous(sample))


# ---- errors ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_errors(name):
    """The type and the message; that of an operation with a derivative of its own names it and the shapes."""
    for args, kwargs, kind, pattern in ERRORS[name]:
        sample = Sample(name, args, kwargs)
        with pytest.raises(kind) as caught:
            sample.call(ours(name), [leaf(a) for a in sample.arrays])
        text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
        for part in [name, *(str(a.shape) for a in sample.arrays)] if name in operations and name != "where" else []:
            assert part in text, f"{sample}: {text!r} does not name {part}"
        del caught
        assert re.search(pattern, text), f"{sample}: {text!r} does not match {pattern!r}"


# ---- PyTorch -----------------------------------------------------------------------------------------------------------------------

TORCH = {"conjugate": "conj_physical", "degrees": "rad2deg", "radians": "deg2rad", "rint": "round", "power": "pow"}
NOT_TORCH = {
    "i1", "root", "cbrt", "fabs", "clip", "nextafter", "ldexp", "heaviside", "sign", "fmod", "remainder", "divmod", "frexp", "modf", "unwrap",
    "round", "real", "imag", "nan_to_num", "real_if_close", "angle", "floor_divide", "rint",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(({*elementwise.UNARY, *elementwise.BINARY} - NOT_TORCH) | {"matmul", "relu", "sigmoid"}))
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch, TORCH.get(name, name), None)
    if theirs is None:
        pytest.skip("PyTorch has no such function")

    def check(sample):
        tensors = [torch.tensor(a, requires_grad=True) for a in sample.arrays]
        out = theirs(*tensors)
        seed = drawn(sample.rng, out.shape, out.detach().numpy().dtype)
        if out.requires_grad:
            out.backward(torch.tensor(seed))
        for g, t in zip(gradients(sample, sample.arrays, [seed]), tensors, strict=True):
            e = np.zeros(t.shape, g.dtype) if t.grad is None else t.grad.numpy()
            np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-8)

    def takes(sample):
        plain = contiguous(sample) and all(a.flags.writeable and a.size for a in sample.arrays)
        one_dtype = len({a.dtype for a in sample.arrays}) == 1
        return plain and one_dtype and exact(sample) and not sample.kwargs and len(sample.arrays) == len(sample.args)

    each(name, check, takes)
