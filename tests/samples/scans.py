"""Samples of cumulative products, order statistics, what ignores NaN, differences and bins. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .reductions import AXES, DDOF, FULL, HIGH, LOW, POINT, REAL
from .reductions import WHERE as MASKED
from .shapes import BOX, DTYPES, cross, layouts, plain, values

SOME = [(1,), (7,), (2, 3), BOX]
LONG = SOME[1:]


def holes(samples):
    """The samples with NaN in the place of some elements; numbers remain in every row."""
    found = []
    for (x, *args), kwargs in samples:
        missing = np.arange(x.size).reshape(x.shape) % 5 == 2
        x = x.copy(order="K")
        x[missing] = np.nan
        found.append(((x, *args), kwargs))
    return found


def reduction(*options, shapes=FULL, dtypes=DTYPES):
    return cross(shapes, [*AXES, *(option for group in options for option in group)], dtypes)


# ---- scans -------------------------------------------------------------------------------------------------------------------------

SCAN = [plain(), plain(axis=1, shape=BOX), plain(-1, shape=BOX), plain(0, shape=(7,)), plain(axis=-1, shape=(2, 0, 3)), plain(0, shape=(6,)),
        plain(0, np.complex128, shape=(2, 3)), plain(axis=0, shape=()), plain(axis=0, shape=(8, 2)), plain(shape=(9,)), plain(shape=(17,))]
CUMULATIVE = [plain(shape=()), plain(shape=(1,)), plain(shape=(7,)), plain(shape=(0,)), plain(axis=0, shape=(2, 3)), plain(axis=-1, shape=BOX),
              plain(axis=1, include_initial=True, shape=BOX), plain(include_initial=True, shape=(6,)),
              plain(axis=0, dtype=np.complex128, shape=(2, 3))]


# ---- order -------------------------------------------------------------------------------------------------------------------------

SORT = [plain(), plain(0, shape=BOX), plain(axis=None, shape=BOX), plain(-2, shape=BOX), plain(axis=1, kind="stable", shape=(2, 3)),
        plain(-1, None, None, stable=True, shape=(7,)), plain(shape=(2, 0, 3)), plain(shape=(0,))]
PARTITION = [plain(0), plain(-1), plain(2, shape=(7,)), plain([1, 3], shape=(7,)), plain((0, -1), axis=0, shape=(2, 3)),
             plain(5, axis=None, shape=BOX), plain(1, 1, shape=BOX), plain(1, -1, "introselect", shape=BOX), plain(0, axis=0, shape=(2, 0, 3))]
METHODS = """inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull linear median_unbiased normal_unbiased
    lower higher midpoint nearest""".split()
QUANTILE = [plain(0.37), plain([0.15, 0.62]), plain(0.62, axis=1, shape=BOX), plain(0.15, -1, keepdims=True, shape=BOX),
            plain(0, axis=(0, 2), shape=BOX), plain([0.62, 0.15, 1], axis=(-1, 0), keepdims=True, shape=BOX),
            plain([[0.15], [0.62]], axis=1, shape=BOX), plain(1.0, shape=()),
            *(plain([0.15, 0.62], axis=axis, method=method, shape=shape) for method in METHODS for axis, shape in ((None, (7,)), (1, BOX))),
            plain(0.4, method="inverted_cdf", weights=[1, 0, 3, 1, 2, 1, 1], shape=(7,)),
            plain([0.15, 0.62], -1, method="inverted_cdf", weights=np.arange(24).reshape(BOX) % 3 + 1, shape=BOX)]


def quantile(scale=1, methods=METHODS):
    samples = cross(SOME, [(shape, (scaled(q, scale), *args), kwargs) for shape, (q, *args), kwargs in QUANTILE], REAL)
    for k, method in enumerate(methods):  # also differentiated by q
        q = scale * np.array([0.15, 0.62])
        samples += [((values(7, seed=k), q), {"method": method}),
                    ((values(*BOX, seed=k, dtype=REAL[k % 2]), q[1:].reshape(()), 1), {"method": method})]
    return samples


def scaled(q, scale):
    return q if scale == 1 else [scaled(part, scale) for part in q] if isinstance(q, list) else scale * q


# ---- differences and averages ------------------------------------------------------------------------------------------------------


def rising(n, seed=0, dtype=np.float64):
    return np.cumsum(np.abs(values(n, seed=seed)) + 0.3).astype(dtype)


def average():
    samples = cross(SOME, [plain(), plain(axis=0), plain((0, 2), keepdims=True, shape=BOX), plain(axis=1, weights=[1, 2, 3], shape=BOX)])
    for k, (shape, form, axis) in enumerate([((7,), (7,), None), ((2, 3), (2, 3), None), (BOX, (4,), -1), (BOX, BOX, (0, 2)), (BOX, BOX, None),
                                             (BOX, (2, 4), (0, 2)), (BOX, (3,), 1), ((1,), (1,), 0)]):
        weights = np.abs(values(*form, dtype=REAL[k % 2], seed=k))
        x = values(*shape, dtype=DTYPES[k % 3], seed=k + 1)
        samples += [((x, axis, weights), kwargs) for kwargs in ({}, {"keepdims": True}, {"returned": True})]
    return samples


def trapezoid():
    samples = cross(SOME, [plain(), plain(dx=0.5), plain(None, 2.0, 0, shape=BOX), plain(axis=1, shape=BOX), plain([1, 2, 4, 5], shape=BOX)])
    places = [((7,), (7,), -1), (BOX, (4,), -1), (BOX, (3,), 1), (BOX, BOX, 0), ((2, 3), (2, 3), 1)]
    return samples + [((values(*shape, dtype=DTYPES[k % 3], seed=k), values(*form, seed=k + 9)), {"axis": axis})
                      for k, (shape, form, axis) in enumerate(places)]


DIFF = [plain(), plain(2, shape=(7,)), plain(0), plain(1, 0, shape=BOX), plain(n=3, axis=-1, shape=BOX), plain(axis=1, prepend=0, shape=BOX),
        plain(append=2.5, shape=(7,)), plain(n=2, axis=1, prepend=1, append=[[[1, 2, 3, 4]]] * 2, shape=BOX), plain(shape=(0,))]


def diff():
    return [*cross(SOME, DIFF), ((values(2, 3), 1, -1, values(2, 1, seed=1), values(seed=2)), {}), ((values(7), 2), {"prepend": values(2, seed=3)})]


def ediff1d():
    samples = cross([*SOME, (), (0,)], [plain(), plain([1, 2], shape=(7,)), plain(to_begin=9), plain(to_end=3, to_begin=[[4, 5]], shape=BOX)])
    return samples + [((values(5), values(2, seed=1)), {"to_begin": values(seed=2)}), ((values(2, 3), None, values(2, 1, dtype=np.float32)), {}),
                      ((values(3, dtype=np.complex128), values(1)), {})]


def gradient():
    samples = []
    for k, (shape, axis) in enumerate([((7,), 0), ((3, 4), 1), ((3, 4, 3), -1), ((2, 3), 0)]):
        uneven, even = rising(shape[axis], seed=k), 0.5 * np.arange(shape[axis])
        for x, order in ((uneven, 1), (uneven, 2), (even, 1), (even, 2)):
            order = min(order, shape[axis] - 1)
            samples += [((values(*shape, dtype=DTYPES[k % 3 * 2 % 3], seed=k), x), {"axis": axis, "edge_order": order}),
                        ((values(*shape, seed=k + 1), x.tolist()), {"axis": axis, "edge_order": order})]
    both = [rising(3), np.array(0.25)]
    samples += cross([(7,), (3, 4), (3, 4, 3)], [plain(), plain(edge_order=2), plain(0.5), plain(2, axis=0, edge_order=2), plain(axis=-1)])
    return [*samples, ((values(3, 4), *both), {}), ((values(3, 4), *both), {"edge_order": 2}), ((values(4, 3), *both), {"axis": (1, 0)}),
            ((values(4), np.array(0.3)), {}), ((np.arange(5) ** 2, rising(5)), {}), ((np.arange(6).reshape(2, 3), np.array(0.5)), {})]


def cov(also):
    samples = cross([(7,), (2, 3), (3, 4)], [plain(), plain(rowvar=False, shape=(4, 3)), plain(dtype=np.complex128), *also])
    for k in range(6):
        x, y = values(2, 4, dtype=DTYPES[k % 3], seed=k), values(*[(4,), (1, 4), (2, 4)][k % 3], dtype=DTYPES[k // 2], seed=k + 1)
        samples += [((x, y), {}), ((np.ascontiguousarray(x.T), np.ascontiguousarray(np.atleast_2d(y).T), False), {})]
    return samples


WEIGHTED = [plain(bias=True), plain(ddof=0, shape=(2, 3)), plain(fweights=[1, 2, 1], shape=(2, 3)),
            plain(ddof=2, fweights=[3, 1, 2, 1], shape=(3, 4)), plain(aweights=[0.5, 1, 2, 1], shape=(3, 4)),
            plain(aweights=[0.5, 1, 2], fweights=[1, 2, 3], shape=(2, 3))]


def weighted_cov():
    weights = np.abs(values(4, seed=5))
    return [*cov(WEIGHTED), ((values(3, 4), None, True, False, None, None, weights), {}),
            ((values(3, 4), None, True, True, None, [1, 2, 1, 3], weights), {})]


# ---- points and bins ---------------------------------------------------------------------------------------------------------------


def interp():
    samples = []
    for k in range(42):
        n, shape = [(4, (5,)), (3, ()), (6, (2, 3)), (2, (1,)), (5, (0,)), (1, (2,)), (4, (3, 2))][k % 7]
        xp = rising(n, seed=k, dtype=REAL[k % 2])
        x = np.random.default_rng(k).uniform(xp[0] - 0.4, xp[-1] + 0.4, shape)
        x = np.where(np.abs(np.subtract.outer(x, xp)).min(-1) < 0.02, x + 0.05, x).astype(REAL[k // 3 % 2])
        x, xp, fp = (a[k // 2 % len(a)] for a in (layouts_of(x), layouts_of(xp), layouts(n, dtype=DTYPES[k % 3], seed=k + 1)))
        ends = [{}, {"left": 0.5}, {"right": np.array(-1.5)}, {"left": np.array(0.25), "right": 2.0}][k % 4]
        samples.append(((x, xp, fp, *([ends["left"]] if k % 8 == 1 else [])), {} if k % 8 == 1 else ends))
    for k in range(12):
        xp = np.array([0.1, 0.5, 1.3, 2.1])[[0, 3, 1, 2] if k % 2 else ...]
        x = np.array([-0.7, 0.3, 1.1, 1.9, 2.9, 4.6])
        period = [3.1, np.array(2.7)][k // 3 % 2]
        samples.append(((x, xp + (k % 5 - 2) * float(period), values(4, dtype=DTYPES[k % 3], seed=k)), {"period": period}))
    return [*samples, ((0.7, rising(4), values(4)), {}), (([0.5, 1.5], [0, 1, 2], values(3, dtype=np.float32)), {}),
            ((values(3), [0, 1], [1, 2]), {})]


def layouts_of(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype) if x.ndim else x
    if x.ndim:
        wide[..., ::2] = x
    return [x, wide[..., ::2], np.ascontiguousarray(x[::-1])[::-1]] if x.ndim else [x]


PLACES = [[0, 2, 1, 2, 2], [3], [], [1, 1], [0, 0, 7]]


def bincount():
    samples = []
    for k in range(45):
        places = PLACES[k % 5]
        forms = layouts(len(places), dtype=REAL[k % 2], seed=k)
        samples.append(((places if k % 3 and places else np.array(places, int), forms[k // 5 % len(forms)]), {"minlength": 4} if k % 4 == 3 else {}))
    return samples


DATA = np.array([0.05, 0.35, 0.4, 0.95, 1.5, 1.7, 2.3, 2.9])


def histogram():
    samples = []
    for k in range(24):
        bins = [4, [0, 1, 1.6, 3], 3, [0.5, 1, 2]][k % 4]
        span = [{}, {"range": (0.2, 2.6)}][k % 4 == 2]
        weights = np.abs(values(8, seed=k)).astype(REAL[k % 2]) * (1 - 2j if k % 5 == 4 else 1)
        data = [DATA, DATA.reshape(2, 4), np.ascontiguousarray(DATA[::-1])][k % 3]
        samples += [((data, bins, span.get("range"), k // 4 % 2 == 1, weights.reshape(data.shape)), {}),
                    ((DATA.astype(REAL[k % 2]), bins), {"density": True, **span})]
    return samples


def histogram2d():
    samples = []
    for k, (bins, span) in enumerate([(3, None), ([2, 3], None), ([[0, 1, 3], 2], None), (2, [[0, 2.5], [0.2, 2.8]])] * 3):
        x, y = DATA.astype(REAL[k % 2]), np.ascontiguousarray(DATA[[3, 0, 5, 7, 2, 1, 6, 4]])
        samples.append(((x, y, bins, span, k >= 8, np.abs(values(8, seed=k)) if k >= 4 else None), {}))
    return samples


def histogramdd():
    return [((np.stack([x, y], -1), bins, span), {"density": density}) for (x, y, bins, span, density, _), _ in histogram2d()]


NUMBERS = [option for option in AXES if option[1] != ((),)]  # over no axis, a NaN remains
WITH_DDOF = [option for option in DDOF if "ddof" in option[2] and option[0]]


def nan_reduction(*options, shapes=FULL, dtypes=DTYPES):
    return holes(cross(shapes, [*NUMBERS, *(option for group in options for option in group)], dtypes))


SAMPLES = {
    "ptp":             partial(reduction, POINT, dtypes=REAL),
    "cumprod":         lambda: cross([*FULL, (0,)], SCAN),
    "cumulative_sum":  partial(cross, [], CUMULATIVE),
    "cumulative_prod": partial(cross, [], CUMULATIVE),
    "nansum":          lambda: holes(reduction(MASKED)),
    "nanprod":         lambda: holes(reduction(MASKED)),
    "nanmean":         partial(nan_reduction, MASKED),
    "nanmax":          partial(nan_reduction, POINT, LOW, dtypes=REAL),
    "nanmin":          partial(nan_reduction, POINT, HIGH, dtypes=REAL),
    "nanvar":          partial(nan_reduction, MASKED, WITH_DDOF, shapes=LONG),
    "nanstd":          partial(nan_reduction, MASKED, WITH_DDOF, shapes=LONG),
    "nancumsum":       lambda: holes(cross([*FULL, (0,)], SCAN)),
    "nancumprod":      lambda: holes(cross([*FULL, (0,)], SCAN)),
    "median":          partial(reduction, shapes=SOME),
    "nanmedian":       partial(nan_reduction, shapes=SOME),
    "quantile":        lambda: [*quantile(), ((values(*BOX), 0.62, 1), {"method": "inverted_cdf", "weights": [1, 2, 3]})],  # not in nanquantile
    "percentile":      partial(quantile, 100),
    "nanquantile":     lambda: holes(quantile(methods=METHODS[:7])),
    "nanpercentile":   lambda: holes(quantile(100, methods=METHODS[7:])),
    "average":         average,
    "trapezoid":       trapezoid,
    "diff":            diff,
    "ediff1d":         ediff1d,
    "gradient":        gradient,
    "cov":             weighted_cov,
    "corrcoef":        partial(cov, []),
    "interp":          interp,
    "bincount":        bincount,
    "histogram":       histogram,
    "histogram2d":     histogram2d,
    "histogramdd":     histogramdd,
    "histogram_bin_edges": lambda: [((values(n, seed=n, dtype=REAL[n % 2]), bins), {}) for n in (5, 6, 9) for bins in (2, 5, [1, 2, 4], "sqrt")],
    "sort":            lambda: cross([(), (1,), (7,), (2, 3), BOX][1:], SORT),
    "partition":       lambda: cross([(1,), (7,), (2, 3), BOX], PARTITION),
    "sort_complex":    lambda: cross([(1,), (0,), (7,), (2, 3), BOX], [plain()], least=12),
}

PARTS = {"of_value": "gradient"}


def flat_histogramdd(*args, **kwargs):
    heights, edges = np.histogramdd(*args, **kwargs)
    return heights, *edges


CALLS = {"histogramdd": flat_histogramdd}


# ---- kinks, ties and NaN -----------------------------------------------------------------------------------------------------------

nan, inf = np.nan, np.inf
three = np.array([0.0, 1.0, 2.0])
TIES = {
    "cumprod":      [((np.array([2.0, 0.0, 3.0]),), {}, ([1.0, 8.0, 0.0],)), ((np.array([0.0, 5.0, 0.0]),), {}, ([6.0, 0.0, 0.0],)),
                     ((np.array([0.0]),), {}, ([1.0],)), ((np.array([[0.0, 2.0], [3.0, 0.0]]), 0), {}, ([[4.0, 1.0], [0.0, 2.0]],)),
                     ((np.array([1e-200, 1e-200, 1e300]),), {}, ([1e100, 1e100, 0.0],))],
    "nansum":       [((np.array([nan, 1.0]),), {}, ([0.0, 1.0],))],
    "nanprod":      [((np.array([nan, 2.0, 0.0]),), {}, ([0.0, 0.0, 2.0],))],
    "nanmean":      [((np.array([nan, 1.0, 3.0]),), {}, ([0.0, 0.5, 0.5],)), ((np.array([nan, nan]),), {}, (0.0,))],
    "nancumsum":    [((np.array([nan, 1.0, nan]),), {}, ([0.0, 2.0, 0.0],))],
    "nancumprod":   [((np.array([nan, 2.0, 0.0]),), {}, ([0.0, 1.0, 2.0],))],
    "nanmax":       [((np.array([2.0, nan, 2.0, 1.0]),), {}, ([0.5, 0.0, 0.5, 0.0],)), ((np.array([-inf, nan]),), {}, ([1.0, 0.0],)),
                     ((np.array([[nan, 1.0], [nan, nan]]), 1), {}, ([[0.0, 1.0], [0.0, 0.0]],)),
                     ((np.array([nan, 2.0]),), {"initial": 2.0}, ([0.0, 0.5],))],
    "nanmin":       [((np.array([inf, nan]),), {}, ([1.0, 0.0],)), ((np.array([nan, nan]),), {"initial": 3.0}, (0.0,))],
    "nanvar":       [((np.array([nan, 2.0, 2.0]),), {}, (0.0,))],
    "nanstd":       [((np.array([nan, 2.0, 2.0]),), {}, (0.0,)),
                     ((np.array([[nan, 1.0, 3.0], [nan, nan, 1.0]]), 1), {}, ([[0.0, -0.5, 0.5], [0.0] * 3],))],
    "median":       [((np.array([2.0, 2.0, 1.0]),), {}, ([1.0, 0.0, 0.0],)), ((np.array([1.0, nan, 2.0]),), {}, ([0.0, 1.0, 0.0],))],
    "nanmedian":    [((np.array([nan, 1.0, 5.0, 3.0]),), {}, ([0.0, 0.0, 0.0, 1.0],)), ((np.array([nan, nan]),), {}, (0.0,)),
                     ((np.array([[nan, 1.0, 3.0], [nan, nan, nan]]), 1), {}, ([[0.0, 0.5, 0.5], [0.0] * 3],))],
    "nanquantile":  [((np.array([[nan, 1.0, 3.0], [nan, nan, nan]]), 0.25, 1), {}, ([[0.0, 0.75, 0.25], [0.0] * 3],))],
    "quantile":     [((np.array([1.0, 1.0, 1.0, 0.0]), 0.5), {}, ([0.5, 0.5, 0.0, 0.0],)), ((three, np.array(0.5)), {}, ([0.0, 1.0, 0.0], 2.0))],
    "ptp":          [((np.array([1.0, 1.0, 3.0]),), {}, ([-0.5, -0.5, 1.0],)), ((np.ones(3),), {}, (0.0,))],
    "interp":       [((three, three, three**2), {}, ([1.0, 3.0, 3.0], [-1.0, -3.0, -3.0], [1.0, 1.0, 1.0])),  # at a point, the line after it
                     ((np.array([-inf, 5.0, nan]), three, three), {}, (0.0, 0.0, [1.0, 0.0, 1.0])),
                     ((np.array([-1.0, 5.0]), three, three), {"left": 7.0}, (0.0, 0.0, [0.0, 0.0, 1.0])),
                     ((np.array([0.5, 1.5]), np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, 3.0, 4.0])), {},  # a step
                      ([1.0, 1.0], [-0.5, -0.5, -0.5, -0.5], [0.5, 0.5, 0.5, 0.5]))],
}


# ---- errors ------------------------------------------------------------------------------------------------------------------------

a, b = np.ones(3), np.ones((2, 3))
AXIS = [((b, 5), {}, ValueError, "axis 5"), ((b, -3), {}, ValueError, "axis -3")]
ERRORS = dict.fromkeys("ptp cumprod nansum nanprod nanmax nanmin nanmean nanvar nanstd nancumsum nancumprod median nanmedian".split(), AXIS)
ERRORS |= {
    "cumulative_sum":  [((b,), {}, ValueError, "axis")],
    "cumulative_prod": [((b,), {}, ValueError, "axis")],
    "partition":       [((a, 3), {}, ValueError, "kth"), ((b, 0, 2), {}, ValueError, "axis 2")],
    "sort":            [*AXIS, ((a, 0, "fast"), {}, ValueError, "kind")],
    "nanvar":          [*AXIS, ((b,), {"ddof": 1, "correction": 1}, ValueError, "simultaneously")],
    "quantile":        [((b, 1.5), {}, ValueError, "range"), ((b, 0.5, 2), {}, ValueError, "axis 2"),
                        ((b, 0.5), {"method": "mean"}, ValueError, "valid method"), ((b + 0j, 0.5), {}, TypeError, "real"),
                        ((b, 0.5), {"weights": [1, 2]}, ValueError, "inverted_cdf")],
    "nanquantile":     [((b, 1.5), {}, ValueError, "range"), ((b, 0.5, 2), {}, ValueError, "axis 2"), ((b + 0j, 0.5), {}, TypeError, "real")],
    "average":         [*AXIS, ((b, 0, np.ones(3)), {}, ValueError, "weights"), ((a, 0, [0, 0, 0]), {}, ZeroDivisionError, "zero")],
    "trapezoid":       [((a, np.ones(4)), {}, ValueError, "broadcast")],
    "diff":            [((a, -1), {}, ValueError, "non-negative"), ((a, 1, 1), {}, ValueError, "axis 1"),
                        ((np.ones(()),), {}, ValueError, "one dimensional")],
    "ediff1d":         [((a, 1j), {}, TypeError, "to_end")],
    "gradient":        [((a, np.ones(2)), {}, ValueError, "distances"), ((np.ones(1),), {}, ValueError, "too small"),
                        ((b, 1, 2, 3), {}, TypeError, "")],
    "cov":             [((np.ones((2, 2, 2)),), {}, ValueError, "2 dimensions"), ((b,), {"fweights": [1]}, RuntimeError, "numbers of samples")],
    "corrcoef":        [((np.ones((2, 2, 2)),), {}, ValueError, "2 dimensions")],
    "interp":          [((a, a, np.ones(4)), {}, ValueError, "same length"), ((a, np.ones(0), np.ones(0)), {}, ValueError, "empty")],
    "bincount":        [(([0, 1], a), {}, ValueError, "length"), (([-1, 0, 0], a), {}, ValueError, "")],
    "histogram":       [((a, 0), {}, ValueError, "positive"), ((a, 3, None, None, np.ones(4)), {}, ValueError, "same shape")],
}
