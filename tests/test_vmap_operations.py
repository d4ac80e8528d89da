"""Every operation under vmap, on the samples of test_operations.py: what a loop over the examples gives, values and gradients, without one.

What runs once for each example after all is in `LOOPS`, with the reason. What vmap itself promises is tested in test_vmap.py.
"""

import importlib.util
import re
import warnings
from itertools import product

import numpy as np
import pytest
from test_operations import NAMES, leaf, ours, replace, samples, value

import gradnerve as gn
from gradnerve import tree
from gradnerve.ops.batched import rule_of
from gradnerve.ops.define import operations

pytestmark = pytest.mark.usefixtures("rows_return")

COUNT = 3  # examples
MOST = 8  # samples of an operation

# Operations without a rule.
WITHOUT_RULE = {
    "companion": "those who call it look at coefficients: a leading one may be 0",
    "real_if_close": "the dtype of the result depends on the values",
    "exactly": "it is called with values, which one of many examples does not have",
    "of_value": "likewise",
}

# What runs once for each example, with some of its samples at least.
LOOPS = {
    "it writes into what is the same for all examples": """add.at, add_at, copyto, delete, fill_diagonal, flat_set, flat_setitem, histogram,
        histogram2d, histogramdd, insert, method_fill, method_put, pad, pad_values, place, poly, put, put_along_axis, putmask, select""",
    "ufunc.at, but for sums": """arctan2.at, divide.at, exp.at, fmax.at, hypot.at, logaddexp.at, maximum.at, minimum.at, multiply.at, power.at,
        subtract.at""",
    "how long the result is, or its dtype, depends on the values": "companion, polydiv, polymul, real_if_close, roots, trim_zeros, trimmed",
    "it looks at values to find what is wrong with them": "asarray_chkfinite, special.multigammaln",
    "each example has its own bins, points, indices or levels": "choose, gradient, histogram_bin_edges, interp, percentile, quantile, nanpercentile, "
        "nanquantile",
    "NumPy takes one matrix at a time": "linalg.lstsq, polyfit, polyfit in full, polyfit with covariances",
    "weights of one axis": "average, cov",
    "NumPy's own way for these ufuncs forgets all steps but the last": "arctan2.reduce, arctan2.reduceat, power.reduce, power.reduceat",
    "SciPy chooses a method by the size of the arrays": """scipy.signal.convolve, scipy.signal.correlate, scipy.signal.fftconvolve,
        scipy.signal.oaconvolve""",
    "a generator draws for one example after the other": """random.exponential, random.gumbel, random.laplace, random.logistic, random.lognormal,
        random.multivariate_normal, random.normal, random.pareto, random.power, random.rayleigh, random.triangular, random.uniform, random.weibull""",
}
LOOPS = {name.strip(): why for why, names in LOOPS.items() for name in names.split(",")}

# Where the examples only move, every bit is the same.
EXACT = """add_at amax amin append astype bincount broadcast_arrays broadcast_to choose clip column_stack compress concatenate copy diag diagonal flip
    getitem hstack imag kron linalg.matrix_transpose max maximum.accumulate median min moveaxis nanmax nanmin partition real relu repeat reshape roll
    scatter select setitem sort split squeeze stack swapaxes take take_along_axis tile transpose tril triu where""".split()


# ---- examples ----------------------------------------------------------------------------------------------------------------------


def chosen(name):
    """Samples that differ by more than their numbers, evenly from all there are."""
    found = {}
    for sample in samples(name):
        kind = [np.shape(a) if isinstance(a, np.ndarray) else str(a)[:20] for a in sample.args], sorted(map(str, sample.kwargs.items()))
        if sample.arrays:
            found.setdefault(str(kind), sample)
    return list(found.values())[::max(1, len(found) // MOST)]


def variant(a, k):
    """The array, almost the same numbers, and the array turned round: domains are kept."""
    if k % 3 == 1:
        return (a * (1 - 0.01 * np.arange(1, a.size + 1).reshape(a.shape) / max(a.size, 1))).astype(a.dtype)
    return a if k % 3 == 0 else a[(slice(None, None, -1),) * a.ndim]


def function_of(sample):
    """The operation as a function of the sample's arrays, which gives all results that are real or complex numbers."""

    def f(*arrays):
        arrays = iter(arrays)
        out = ours(sample.name)(*replace(sample.args, lambda _: next(arrays)), **sample.kwargs)
        return tuple(part for part in (out if isinstance(out, (tuple, list)) else [out]) if getattr(part, "dtype", np.dtype(object)).kind in "fc")

    return f


def mapped(f, axes):
    return gn.vmap(f, tuple(axes))


def looped(f, axes, count=COUNT):
    """`f` for one example after the other."""

    def results(*arrays):
        each = [f(*(a if axis is None else a[i] for a, axis in zip(arrays, axes, strict=True))) for i in range(count)]
        return tuple(np.stack([gn.asarray(part) for part in parts]) for parts in zip(*each, strict=True))

    return results


def ways(n):
    """The axes of n arguments: each with examples by itself, and all of them."""
    return [[0 if i == k else None for i in range(n)] for k in range(n)] + [[0] * n] * (n > 1)


def stacked(sample, axes, count=COUNT):
    """The arrays of all examples; these are all the same where NumPy does not take the variants."""
    for k in (1, 0):
        arrays = [a if axis is None else np.stack([variant(a, k * i) for i in range(count)]) for a, axis in zip(sample.arrays, axes, strict=True)]
        try:
            looped(function_of(sample), axes, count)(*map(gn.asarray, arrays))
        except Exception:
            continue
        return arrays
    return arrays


def close(found, expected, digits=12):
    """Equal but for the order of sums: relative to the largest element."""
    found = np.asarray(found)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind not in "fc":
        assert np.array_equal(found, expected)
        return
    eps = max(np.finfo(expected.dtype).eps, 1e-16) / 1e-16
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=10.0**-digits * eps, atol=10.0**-digits * eps * size)


def gradients(f, arrays, seeds):
    leaves = [leaf(a) for a in arrays]
    outs = f(*leaves)
    for out, seed in zip(outs, seeds, strict=True):
        if out.requires_grad:
            out.backward(seed, retain_graph=out is not outs[-1])
    return [t.grad for t in leaves]


@pytest.fixture
def quiet():
    """No warnings about numbers; those of vmap are kept."""
    with np.errstate(all="ignore"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", gn.BatchWarning)
        yield told


# ---- every operation ---------------------------------------------------------------------------------------------------------------


def test_every_operation_has_a_rule():
    assert {name for name, operation in operations.items() if not rule_of(operation)} <= set(WITHOUT_RULE)


@pytest.mark.parametrize("name", NAMES)
def test_as_a_loop(name, quiet):
    """Each array with examples by itself, and all of them: values, and gradients for random weights of the results."""
    for sample in chosen(name):
        f = function_of(sample)
        for axes in ways(len(sample.arrays)):
            arrays = stacked(sample, axes)
            found = mapped(f, axes)(*map(gn.asarray, arrays))
            expected = looped(f, axes)(*map(gn.asarray, arrays))
            assert len(found) == len(expected)
            for out, e in zip(found, expected, strict=True):
                close(out.data, e.data)
                assert name not in EXACT or np.array_equal(out.data, e.data, equal_nan=True)
            seeds = sample.draw([e.data for e in expected])
            for g, e in zip(gradients(mapped(f, axes), arrays, seeds), gradients(looped(f, axes), arrays, seeds), strict=True):
                close(g, e, 10)
    if name in LOOPS:
        assert quiet, f"{name} does not loop any more: take it out of LOOPS"
    else:
        assert not quiet, quiet[0].message


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LOOPS)))
def test_one_vmap_in_another(name, quiet):
    """The first array has the outer examples, the others the inner ones; a single one has both."""
    for sample in chosen(name)[:1]:
        f, n = function_of(sample), len(sample.arrays)
        if n == 1:
            outer, inner = [0], [0]
            arrays = [np.stack(stacked(sample, inner) * 2)]
        else:
            outer, inner = [0] + [None] * (n - 1), [None] + [0] * (n - 1)
            arrays = stacked(sample, outer, 2)[:1] + stacked(sample, inner)[1:]
        found = mapped(mapped(f, inner), outer)(*map(gn.asarray, arrays))
        expected = looped(looped(f, inner), outer, 2)(*map(gn.asarray, arrays))
        for out, e in zip(found, expected, strict=True):
            close(out.data, e.data)
    assert not quiet, quiet[0].message


# ---- products of any shapes --------------------------------------------------------------------------------------------------------

VECTORS_AND_MATRICES = [(4,), (3, 4), (5, 3, 4), (2, 5, 3, 4)], [(4,), (4, 2), (5, 4, 2), (2, 1, 4, 2)]
PAIRS = [(function, x, y) for function in (np.matmul, np.dot) for x, y in product(*VECTORS_AND_MATRICES)]
PAIRS += [(np.dot, (), (4,)), (np.dot, (4,), ()), (np.dot, (3, 4), ()), (np.dot, (), ())]
PAIRS += [(np.inner, x, y) for x, y in product([(), (4,), (3, 4), (2, 3, 4)], repeat=2)] + [(np.vdot, (3, 4), (2, 6)), (np.vdot, (4,), (4,))]
PAIRS += [(np.linalg.solve, (*stack, 4, 4), b) for stack in [(), (5,), (2, 5)] for b in [(4,), (4, 2), (5, 4, 1)]]
PAIRS += [(np.convolve, (n,), (m,)) for n, m in [(5, 3), (2, 6), (1, 1), (4, 4)]] + [(np.cross, (5, 3), (3,)), (np.tensordot, (3, 2, 5), (2, 5, 4))]


@pytest.mark.parametrize(("function", "x_shape", "y_shape"), PAIRS)
def test_products(function, x_shape, y_shape, quiet):
    rng = np.random.default_rng(0)
    for axes in ways(2):
        arrays = [rng.normal(size=shape if axis is None else (COUNT, *shape)) for shape, axis in zip((x_shape, y_shape), axes, strict=True)]
        f = lambda x, y: (function(x, y),)
        [found], [expected] = mapped(f, axes)(*arrays), looped(f, axes)(*map(gn.asarray, arrays))
        close(found.data, expected.data)
        seed = rng.normal(size=expected.shape)
        for g, e in zip(gradients(mapped(f, axes), arrays, [seed]), gradients(looped(f, axes), arrays, [seed]), strict=True):
            close(g, e, 10)
    assert not quiet, quiet[0].message


# ---- any index ---------------------------------------------------------------------------------------------------------------------


def any_index(rng, shape):
    """The parts of a random index; a list stands for an array of indices of which each example has its own."""
    parts, axis = [], 0
    while axis < len(shape) and (not parts or rng.random() < 0.9):
        n, form = shape[axis], [(), (2,), (2, 1), (1, 3), (2, 3)][rng.integers(5)]
        parts.append([None, slice(None, None, int(rng.choice([1, -1, 2]))), slice(1, n), int(rng.integers(-n, n)), rng.random(n) < 2,
                      rng.integers(-n, n, form), [rng.integers(-n, n, (COUNT, *form))]][rng.integers(7)])  # fmt: skip
        axis += parts[-1] is not None
    if rng.random() < 0.3:
        place = rng.integers(len(parts) + 1)
        parts[place:] = [..., *parts[place + 1:]]
    return parts


def filled_in(parts, indices):
    indices = iter(indices)
    return tuple(next(indices) if isinstance(part, list) else part for part in parts)


def reading(parts):
    return lambda x, *indices: (x[filled_in(parts, indices)],)


def writing(parts):
    def write(x, value, *indices):
        x = x.copy()
        x[filled_in(parts, indices)] = value
        return (x,)

    return write


@pytest.mark.parametrize("seed", range(60))
def test_any_index(seed, quiet):
    """Reading and writing, with values that broadcast; of what is read, and of what writes, the gradient as well."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        shape = tuple(rng.integers(2, 5, rng.integers(1, 5)))
        parts = any_index(rng, shape)
        own = [part[0] for part in parts if isinstance(part, list)]
        axes = [None if own and rng.random() < 0.4 else 0] + [0] * len(own)
        x = rng.normal(size=shape if axes[0] is None else (COUNT, *shape))
        try:
            expected = looped(reading(parts), axes)(x, *own)[0].data
        except IndexError:  # arrays that do not broadcast
            continue
        same_gradients(rng, reading(parts), axes, [x], own)
        form = expected.shape[1:][rng.integers(expected.ndim):]
        axes[:1] = [0, [0, None][rng.integers(2)]]
        x, value = rng.normal(size=(COUNT, *shape)), rng.normal(size=form if axes[1] is None else (COUNT, *form))
        same_gradients(rng, writing(parts), axes, [x, value], own)
    assert not quiet, quiet[0].message


def same_gradients(rng, f, axes, arrays, own):
    """Values, too. `own`: arrays without a gradient."""
    [out], [e] = (way(f, axes)(*map(gn.asarray, arrays), *own) for way in (mapped, looped))
    assert np.array_equal(out.data, e.data)
    seed = rng.normal(size=e.shape)
    found, expected = (gradients(lambda *x, way=way: way(f, axes)(*x, *own), arrays, [seed]) for way in (mapped, looped))
    for g, e in zip(found, expected, strict=True):
        close(g, e)


# ---- functions that are composed, or have no gradient, and methods -----------------------------------------------------------------------

IN_ONE_PIECE = """
    np.var(x, axis=0)
    np.std(x, ddof=1)
    np.mean(x, (0, 1), keepdims=True)
    np.median(x)
    np.median(x, axis=1)
    np.quantile(x, [0.2, 0.7], axis=1)
    np.percentile(x, 30)
    np.nanmean(np.where(b, x, np.nan), axis=1)
    np.nansum(np.where(b, x, np.nan))
    np.nanmedian(np.where(b, x, np.nan), 0)
    np.average(x, axis=0)
    np.average(x, weights=[[1, 2, 3, 4]] * 3)
    np.ptp(x, axis=1)
    np.sum(x, where=b)
    np.sum(TABLE[:3], where=b, axis=1)
    np.max(x, axis=1, where=b, initial=-9)
    np.cumsum(x)
    np.cumprod(v[0], axis=0)
    np.linalg.norm(x)
    np.linalg.norm(x, axis=1)
    np.linalg.norm(v, 3)
    np.linalg.norm(x, "nuc")
    np.linalg.cond(x)
    np.linalg.matrix_rank(x)
    np.linalg.svd(x, full_matrices=False)
    np.linalg.eigh(x @ x.T)[0]
    np.linalg.slogdet(x @ x.T + np.eye(3))
    np.linalg.multi_dot([x, x.T, x])
    np.linalg.solve(TABLE[:4], v)
    np.polyfit([1.0, 2.0, 3.0, 4.0], v, 1)
    np.cov(x)
    np.trapezoid(x, dx=0.5)
    np.diff(x, axis=0)
    np.clip(x, -1, v)
    np.outer(v, x)
    np.kron(x, v)
    np.einsum("ij,j->i", x, v)
    np.einsum("...j,kj->...k", v, TABLE)
    np.einsum(x, [0, 1], v, [1], [0])
    np.tensordot(x, TABLE, ([1], [1]))
    np.interp(v, [-1.0, 0.0, 1.0], [1.0, 4.0, 9.0])
    np.convolve(v, [1.0, 2.0, 3.0], "same")
    np.roll(x, 1, axis=0)
    np.repeat(x, 2)
    np.tile(x, (2, 1))
    np.rot90(x)
    np.take(x, [0, 2], axis=1)
    np.diag(v)
    np.trace(x)
    np.pad(x, 1, "reflect")
    np.pad(x, 1)
    np.vander(v)
    np.gradient(v, 0.5)
    np.ediff1d(v)
    np.linalg.lstsq(TABLE[:4, :2], v)[0]
    np.linalg.matrix_power(x[:, :3], 0)
    gn.linalg.lstsq(TABLE[:4, :2], v)[2]
    gn.nanquantile(np.where(b, x, np.nan), [0.3, 0.6], axis=0)
    gn.zeros_like(x)
    gn.full_like(v, x[0, 0])
    gn.cross_entropy(x[:2], k)
    gn.cross_entropy(x[0], i, "sum")
    x.take([0, 2], axis=1)
    x.repeat(2)
    x.diagonal()
    x.trace()
    np.bincount([0, 2, 2, 5], v, 8)
    np.bincount(k, v[:2], 3)
    np.fft.fft2(x)
    np.fft.irfft(np.fft.rfft(v))
    np.block([[x, x], [x, x]])
    np.vstack([x, v])
    np.concatenate([v, x[0], [1.0]])
    np.stack([x, TABLE[:3]], axis=-1)
    np.append(x, 3.0)
    np.split(x, [1], axis=1)
    np.broadcast_arrays(x, v)
    np.meshgrid(v, v)
    np.select([x > 1, b], [x, -x], 0.5)
    np.where(b, x, 0)
    np.linspace(0, v, 5)
    np.linspace(k[0], k[1], 3, axis=-1)
    np.full_like(x, v[0])
    np.full_like(TABLE, v)
    np.zeros_like(x, shape=(2,))
    np.ones(3, like=x) * v[0]
    np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
    np.sort(x, axis=None)
    np.argmax(x)
    np.argmax(x, axis=0)
    np.argmin(x, keepdims=True)
    np.argsort(x, axis=None)
    np.nanargmax(x)
    np.any(b)
    np.all(b, axis=0)
    np.all(x > 0, where=b)
    np.count_nonzero(b, axis=1)
    np.isnan(x) | ~b & (k[0] > 0)
    np.isclose(x, v)
    np.allclose(x, x[0])
    np.array_equal(x, x)
    np.isfinite(x).all()
    np.isreal(x)
    np.logical_and(b, x > 0)
    np.searchsorted([0.0, 1.0], x)
    np.digitize(x, [0.0, 1.0])
    np.isin(k, [0, 2])
    np.unravel_index(k, (2, 3))
    np.frexp(x)
    np.modf(x)
    np.divmod(x, v)
    np.add.reduce(x, axis=None)
    np.maximum.accumulate(x, axis=1)
    np.add.reduceat(x, [0, 2], axis=1)
    np.subtract.outer(v, x)
    np.divide(x, v, where=b, out=np.zeros_like(x))
    np.add(x, v, dtype=np.float64)
    np.matmul(x, v[:, None], axes=[(0, 1), (0, 1), (1, 0)])
    np.vecdot(x, v, keepdims=True)
    gn.softmax(x)
    gn.logsumexp(x)
    gn.cross_entropy(x, np.abs(x) / np.sum(np.abs(x), axis=1, keepdims=True))
    x ** 2 + 2 ** x
    x[i]
    x[:, k]
    x[i, k]
    x[k, :, None]
    x[..., i, None]
    x[i] @ TABLE.T
    TABLE[i]
    TABLE[:, k]
    TABLE[k, k]
    x.T
    x.flat[3]
    list(x)
    [len(x), x.ndim, x.size, x.nbytes, x.itemsize, *x.strides]
    [np.ndim(x), np.size(x), np.iscomplexobj(x), *np.shape(x)]
    x.argmax(1)
    x.argsort()
    x.any()
    x.all(0)
    x.mean(0)
    x.var()
    x.clip(0, 1)
    x.astype(np.float32)
    x.reshape(4, -1)
    x.reshape(4, 3, order="F")
    x.ravel("K")
    x.flatten()
    (x + 1j * v).imag
    x.real.conj()
    x.round(1)
    x.dot(v)
    divmod(x, 2)
    round(abs(-x), 1)
"""

WRITES = """
    y[0] = v
    y[i] = 0
    y[:, k] += 1
    y[b] = 0
    y[x > 0] = v[0]
    y[..., 1:] = v[1:]
    y[i, k] = v[:2]
    y += v
    y *= x
    y **= 2
    y.sort()
    y.sort(axis=0)
    y.partition(1)
    y.fill(2.0)
    y.real = v
    y.shape = (4, 3)
    np.add(x, v, out=y)
    np.cumsum(x, axis=1, out=y)
    np.median(x, axis=1, out=y[:, 0])
    np.copyto(y, v, where=b)
    np.putmask(y, b, v[0])
    np.put(y, [0, 5], v)
    np.put_along_axis(y, np.array([[0], [1], [2]]), v[:3, None], axis=1)
    np.fill_diagonal(y, v[0])
    y.put([1, 2], 0.0)
    y.flat[2:4] = v[:2]
    np.add.at(y, i, v)
    np.add.at(y, (k, k), 1.0)
    np.maximum(y, 0, out=y)
    np.exp(x, where=b, out=y)
"""

RNG = np.random.default_rng(0)
TABLE = gn.asarray(RNG.normal(size=(5, 4)))
EXAMPLES = {"x": RNG.normal(size=(COUNT, 3, 4)), "v": RNG.normal(size=(COUNT, 4)), "i": RNG.integers(0, 3, COUNT),
            "k": RNG.integers(0, 3, (COUNT, 2)), "b": RNG.random((COUNT, 3, 4)) < 0.6}  # fmt: skip


if importlib.util.find_spec("scipy"):
    IN_ONE_PIECE += """
    gn.special.logsumexp(x, axis=0, b=b)
    gn.special.jv(1.5, np.abs(v))
    """


def lines(code):
    return [line.strip() for line in code.splitlines() if line.strip()]


def function(code):
    return eval(f"lambda {', '.join(EXAMPLES)}: {code}", globals())


def written(code):
    """What a copy of x is after the statement."""

    def f(*args):
        names = {"y": args[0].copy()} | dict(zip(EXAMPLES, args, strict=True))
        exec(code, globals(), names)
        return names["y"]

    return f


@pytest.mark.parametrize("f", [pytest.param(function(code), id=code) for code in lines(IN_ONE_PIECE)] +
                              [pytest.param(written(code), id=code) for code in lines(WRITES)])
def test_in_one_piece(f, quiet):
    """Functions that are composed or have no gradient, and methods: nothing runs once for each example."""
    found = tree.flatten(gn.vmap(f)(*EXAMPLES.values()))[0]
    each = [tree.flatten(f(*(gn.asarray(a[n]) for a in EXAMPLES.values())))[0] for n in range(COUNT)]
    for out, parts in zip(found, zip(*each, strict=True), strict=True):
        close(value(out), np.stack([value(part) for part in parts]))
    assert not quiet, quiet[0].message


# ---- warnings and errors -----------------------------------------------------------------------------------------------------------

TOLD = {
    "np.real_if_close(x + 0j)": "np.real_if_close",
    "np.linalg.lstsq(x, v[:3])": "np.linalg.lstsq",
    "np.maximum.at(x.copy(), 0, 1.0)": "<lambda>",
    "np.argwhere(v)": "np.argwhere",
    "np.interp([0.0], np.sort(v), v)": "interp",
    "np.insert(x, 0, v, axis=0)": "np.insert",
}


@pytest.mark.parametrize("code", TOLD)
def test_a_loop_is_told_at_the_users_line(code):
    f = function(code)
    with pytest.warns(gn.BatchWarning, match=f"vmap: {re.escape(TOLD[code])} .* once for each of the 3 examples") as told:
        gn.vmap(f)(*EXAMPLES.values())
    assert (told[0].filename, told[0].lineno) in [("<string>", 1), (__file__, told[0].lineno)]


WRONG = """
    x @ v[:2]
    x.reshape(5)
    np.sum(x, axis=2)
    np.linalg.inv(v)
    np.linalg.inv(x)
    np.linalg.solve(x[:, :3], v)
    x[5]
    x[i, k + 9]
    np.sort(v[0])
    np.concatenate([x, v])
    v + x.T
    np.einsum("ij,jk", x, v)
    np.expand_dims(x, 4)
    np.transpose(x, (0, 2))
    np.matmul(x, v[0])
    np.broadcast_to(x, (4,))
    np.argmax(x, axis=3)
    np.linalg.cholesky(-np.eye(3) * x[0, 0] ** 2)
"""


@pytest.mark.parametrize("code", lines(WRONG))
def test_an_error_is_that_of_one_example(code, quiet):
    f = function(code)
    with pytest.raises(Exception) as one:
        f(*(gn.asarray(a[0]) for a in EXAMPLES.values()))
    with pytest.raises(type(one.value)) as of_all:
        gn.vmap(f)(*EXAMPLES.values())
    assert str(of_all.value) == str(one.value)
    assert not quiet, quiet[0].message
    del one, of_all
