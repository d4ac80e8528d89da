"""Samples of sums, means, extremes and products. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .shapes import BOX, DTYPES, cross, plain, values

FULL = [(), (1,), (7,), (2, 3), BOX]                    # every result has elements to be made of
EMPTY = [(0,), (2, 0, 3)]
MASK = np.random.default_rng(0).random(BOX) < 0.6
MASK[:, :, 0], MASK[:, 0], MASK[0] = True, True, True    # of every row, column and layer something remains

AXES = [plain(), plain(keepdims=True), plain(axis=0, shape=(7,)), plain(0, shape=(2, 3)), plain(-1, shape=(2, 3)), plain(axis=1, shape=BOX),
        plain((0, 2), shape=BOX),
        plain((-1, 0), shape=BOX), plain((0, 1, 2), shape=BOX), plain((), shape=BOX), plain(axis=1, keepdims=True, shape=BOX),
        plain((2, 1), keepdims=True, shape=BOX)]
POINT = [plain(axis=0, shape=()), plain(axis=-1, keepdims=True, shape=())]  # NumPy lets it pass, but not for a mean
WHERE = [plain(where=MASK, shape=BOX), plain(1, where=MASK, shape=BOX), plain((0, 2), where=MASK, keepdims=True, shape=BOX),
         plain(axis=-1, where=np.array([True, False, True, True]), shape=BOX), plain(where=np.array([[True], [False]]), shape=(2, 3))]
INITIAL = [plain(initial=0.5), plain(axis=-1, initial=2.0, shape=BOX), plain(1, where=MASK, initial=0.1, shape=BOX)]
LOW = [plain(initial=-9.0), plain(axis=-1, initial=-9.0, shape=BOX), plain(1, where=MASK, initial=-9.0, shape=BOX),
       plain(where=MASK, axis=(0, 1), initial=-9.0, shape=BOX)]
HIGH = [(shape, args, {**kwargs, "initial": 9.0}) for shape, args, kwargs in LOW]
DTYPE = [plain(dtype=np.complex128, shape=BOX), plain(axis=1, dtype=np.complex128, shape=BOX)]
DDOF = [plain(ddof=1, shape=BOX), plain(1, ddof=0.5, shape=BOX), plain(axis=(0, 2), correction=1, keepdims=True, shape=BOX),
        plain(ddof=1, where=MASK, shape=BOX)]
REAL = DTYPES[:2]


def mean_given():
    return [((values(*BOX, seed=k), axis), {"mean": np.mean(values(*BOX, seed=k), axis, keepdims=True)}) for k, axis in enumerate((None, 1, (0, 2)))]


def reduction(*options, dtypes=DTYPES, empty=True):
    return cross(FULL, [*AXES, *(option for group in options for option in group)],
                 dtypes) + (cross(EMPTY, AXES[:2], dtypes, least=4) if empty else [])


def spread_out():
    """Variances without a single element or a mask that leaves one, where the standard deviation has its kink."""
    options = [option for option in [*AXES, *WHERE, *DDOF] if option[0] not in ((), None) and option[1] != ((),)]
    return cross([(7,), (2, 3), BOX], [*options, plain(), plain(keepdims=True)], DTYPES) + mean_given()


SAMPLES = {
    "sum":    partial(reduction, POINT, WHERE, INITIAL, DTYPE),
    "prod":   partial(reduction, POINT, WHERE, INITIAL, DTYPE),
    "max":    partial(reduction, POINT, LOW, dtypes=REAL, empty=False),
    "min":    partial(reduction, POINT, HIGH, dtypes=REAL, empty=False),
    "mean":   partial(reduction, WHERE, DTYPE, empty=False),
    "var":    lambda: [(args, kwargs) for args, kwargs in reduction(WHERE, DDOF,
                                                                    empty=False) if np.size(args[0]) > 1 or "ddof" not in kwargs] + mean_given(),
    "std":    spread_out,
    "cumsum": lambda: cross([*FULL, *EMPTY], [plain(), plain(axis=1, shape=BOX), plain(-1, shape=BOX), plain(0, shape=(7,)),
                                              plain(axis=-1, shape=(2, 0, 3)),
                                              plain(0, np.complex128, shape=(2, 3)), plain(axis=0, shape=())]),
}
SAMPLES["amax"], SAMPLES["amin"] = SAMPLES["max"], SAMPLES["min"]

nan = np.nan
two = np.array([2.0, 2.0, 1.0])
grid = np.array([[1.0, 3.0, 3.0], [5.0, 2.0, 0.0]])
TIES = {
    "max": [((two,), {}, ([0.5, 0.5, 0.0],)), ((grid, 1), {}, ([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]],)),
            ((grid[:, 1:],), {"keepdims": True}, ([[0.5, 0.5], [0.0, 0.0]],)),
            ((two,), {"initial": 2.0}, ([1 / 3, 1 / 3, 0.0],)), ((two,), {"initial": 3.0}, ([0.0, 0.0, 0.0],)),
            ((two,), {"where": np.array([True, False, True]), "initial": 0.0}, ([1.0, 0.0, 0.0],)), ((np.array([1.0, nan]),), {}, ([0.0, 1.0],)),
            ((np.zeros(4),), {}, ([0.25] * 4,))],
    "min": [((-two,), {}, ([0.5, 0.5, 0.0],)), ((-grid, 1), {}, ([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]],)),
            ((np.array([nan, nan, 1.0]),), {}, ([0.5, 0.5, 0.0],))],
    "prod": [((np.array([2.0, 0.0, 3.0]),), {}, ([0.0, 6.0, 0.0],)), ((np.array([0.0, 5.0, 0.0]),), {}, ([0.0, 0.0, 0.0],)),
             ((np.array([0.0]),), {}, ([1.0],)),
             ((np.array([[0.0, 2.0], [3.0, 4.0]]), 0), {}, ([[3.0, 4.0], [0.0, 2.0]],)),
             ((np.array([0.0, 2.0]),), {"where": np.array([False, True])}, ([0.0, 1.0],)),
             ((np.array([1e-200, 1e-200, 1e300]),), {}, ([1e100, 1e100, 0.0],)), ((np.array([2.0, 0.0]),), {"initial": 5.0}, ([0.0, 10.0],))],
    "std": [((np.full(4, 2.0),), {}, ([0.0] * 4,)), ((np.array([[1.0, 1.0], [1.0, 3.0]]), 1), {}, ([[0.0, 0.0], [-0.5, 0.5]],)),
            ((np.array(3.0),), {}, (0.0,))],
    "var": [((np.full(4, 2.0),), {}, ([0.0] * 4,))],
    "sum": [((np.array([nan, 1.0]),), {"where": np.array([False, True])}, ([0.0, 1.0],))],
    "mean": [((np.array([nan, 1.0]),), {"where": np.array([False, True])}, ([0.0, 1.0],))],
}
TIES["amax"], TIES["amin"] = TIES["max"], TIES["min"]

b = np.ones((2, 3))
AXIS = [((b, 5), {}, ValueError, "axis 5"), ((b, -3), {}, ValueError, "axis -3"), ((b, (0, 0)), {}, ValueError, "duplicate"),
        ((b, 1.5), {}, TypeError, "")]
ERRORS = dict.fromkeys(("sum", "prod", "max", "min", "amax", "amin", "mean", "var", "std"), AXIS)
ERRORS |= {"max": [*AXIS, ((np.ones(0),), {}, ValueError, "zero-size"), ((b,), {"where": b > 0}, ValueError, "initial")],
           "min": [*AXIS, ((np.ones((0, 3)), 0), {}, ValueError, "zero-size")],
           "sum": [*AXIS, ((b,), {"where": np.ones(4, bool)}, ValueError, "broadcast")],
           "var": [*AXIS, ((b,), {"ddof": 1, "correction": 1}, ValueError, "simultaneously")],
           "cumsum": [((b, 2), {}, ValueError, "axis 2"), ((b, (0, 1)), {}, TypeError, "")]}
