"""Samples of what writes into its first argument: NumPy's functions and ndarray's methods. What a sample file holds is said in elementwise.py.

Each works on a copy, which is the result.
"""

from functools import partial

import numpy as np

from .shapes import ANY, BOX, DTYPES, MASK, cross, plain, values

nan, inf = np.nan, np.inf
SIX, FIVE = (2, 3), (5,)
ODD = np.array([True, False, True, False, True])
COLUMN = np.array([[2], [0]])


def two(x_shape, y_shape, *args, kwargs=None, k=0, same=False):
    """A sample: an array, indices or a mask, and the values that are written, of the same dtype by turns (or always)."""
    return (values(*x_shape, dtype=DTYPES[k % 3], seed=k), *args, values(*y_shape, dtype=DTYPES[k % 3 if k % 2 or same else 0],
                                                                         seed=k + 1)), kwargs or {}


def copyto():
    cases = [(FIVE, FIVE, {}), (SIX, (3,), {}), (SIX, (2, 1), {"where": MASK}), (SIX, (), {"where": [True, False, True]}), ((), (), {}),
             ((0,), (1,), {}),
             (BOX, (3, 1), {"where": np.array([[True], [False], [True]])}), (FIVE, FIVE, {"where": ODD, "casting": "unsafe"}), (FIVE, (1, 5), {}),
             ((2, 0, 3), (3,), {"where": False})]
    return [two(x, y, kwargs=options, k=k) for k, (x, y, options) in enumerate(cases * 2)] + [((values(3, dtype=np.float32), 2.5), {}),
                                                                                              ((values(3), [1, 2, 3]), {})]


def fill_diagonal():
    square, cube = values(3, 3), values(3, 3, 3)
    return cross(ANY, [plain(2.5, shape=(3, 3)), plain(values(3), shape=(3, 3)), plain(values(2), shape=(3, 4)), plain(values(2), True, shape=(7, 2)),
                       plain(values(), wrap=True, shape=(4, 3)), plain(values(3, 2), shape=(2, 2)), plain([1, 2], shape=(2, 3)),
                       plain(values(2), shape=(3, 3, 3)),
                       plain(values(1), shape=(1, 1)), plain(values(1), shape=(0, 2))], least=12) + [((square.T, 1), {}), ((cube.T, values(3)), {})]


def place():
    cases = [(FIVE, ODD, (3,)), (FIVE, ODD, (2,)), (FIVE, ODD, (7,)), (SIX, MASK, (2, 1)), (SIX, MASK.ravel(), ()), ((), np.array(True), (1,)),
             ((0,), np.zeros(0, bool), (1,)),
             (SIX, MASK.astype(int), (3,)), (FIVE, ~(ODD | True), (2,)), (BOX, np.broadcast_to(MASK[..., None], BOX), (5,))]
    return [two(x, y, mask, k=k, same=True) for k, (x, mask, y) in enumerate(cases)] + [((values(5), ODD, [1.5, 2]), {})]


def put():
    cases = [(FIVE, [0, 2], (2,), {}), (FIVE, [[0, -1], [2, 1]], (2, 2), {}), (SIX, [5, 0, 1], (2,), {}), (SIX, 4, (), {}),
             (SIX, [0, 0, 3], (3,), {}), (FIVE, [7, -9], (2,), {"mode": "wrap"}),
             (FIVE, [7, -9, 1], (1,), {"mode": "clip"}), ((), [0], (1,), {}), ((0,), [], (1,), {}), (BOX, [3, 3, 3, 3], (4,), {}),
             (FIVE, [1], (4,), {})]
    return [((x, ind, v), options) for (x, ind, v), options in (two(x, y, ind, kwargs=options, k=k) for k, (x, ind, y, options) in enumerate(cases))
            ] + [((values(5), [1, 2], []), {}), ((values(5), np.array([1, 2]), [1.5]), {})]


def put_along_axis():
    cases = [(SIX, COLUMN, (2, 1), 1), (SIX, COLUMN, (), 1), (SIX, np.array([[1, 0, 1]]), (3,), 0), (FIVE, np.array([0, 0, 3]), (3,), 0),
             (FIVE, np.array([4]), (1,), -1), (SIX, np.array([5, 0]), (2,), None),
             (SIX, np.array([5, 0, 1]), (1,), None), (BOX, np.array([[[0, 1, 1, 0]]]), (2, 1, 4), 1), (SIX, np.zeros((2, 0), int), (2, 0), 1),
             (SIX, np.array([[1, 1, 1]]), (1, 3), 0)]
    return [((x, ind, v, axis), {}) for k, (shape, ind, y, axis) in enumerate(cases * 2) for (x, ind, v), _ in [two(shape, y, ind, k=k)]]


def putmask():
    cases = [(FIVE, ODD, FIVE), (FIVE, ODD, (2,)), (FIVE, ODD, (9,)), (SIX, MASK, ()), (SIX, MASK, (2, 2)), ((), np.array(True), ()),
             ((0,), np.zeros(0, bool), (1,)),
             (SIX, MASK.astype(int), SIX), (FIVE, [0, 1, 0, 1, 0], (1,)), (BOX, np.broadcast_to(MASK[..., None], BOX), (4,))]
    return [two(x, y, mask, k=k, same=True) for k, (x, mask, y) in enumerate(cases)] + [((values(5), ODD, []), {}), ((values(5), ODD, [1, 2.5]), {})]


def flat_setitem():
    cases = [(SIX, 4, ()), (SIX, slice(None, None, 2), (2,)), (SIX, slice(1, 3), (4,)), (FIVE, [0, 0, 1], (3,)), (FIVE, ODD, (1,)), (SIX, ..., SIX),
             ((), 0, ()), (FIVE, [1, 2], (0,)), (BOX, np.array([[0, 1], [23, 0]]), (3,)), ((0,), slice(None), (1,))]
    return [two(x, y, index, k=k) for k, (x, index, y) in enumerate(cases)]


def in_place(work):
    """A function that copies its first argument, works on it and returns it."""

    def call(x, *args, **kwargs):
        x = x.copy() if hasattr(x, "requires_grad") else np.array(x)
        work(x, *args, **kwargs)
        return x

    return call


def set_flat(x, index, v): x.flat[index] = v
def set_all(x, v): x.flat = v
def set_shape(x, shape): x.shape = shape


FUNCTIONS = (copyto, fill_diagonal, place, put, put_along_axis, putmask)
CALLS = {f.__name__: in_place(getattr(np, f.__name__)) for f in FUNCTIONS} | {
    "flat_setitem":  in_place(set_flat),
    "flat_set":      in_place(set_all),
    "shape_set":     in_place(set_shape),
    "method_fill":   in_place(lambda x, v: x.fill(v)),
    "method_put":    in_place(lambda x, *args, **kwargs: x.put(*args, **kwargs)),
    "method_sort":   in_place(lambda x, *args, **kwargs: x.sort(*args, **kwargs)),
    "method_resize": in_place(lambda x, *args: x.resize(*args, refcheck=False)),
}

SAMPLES = {f.__name__: f for f in (*FUNCTIONS, flat_setitem)} | {
    "flat_set":      lambda: [two(x, y, k=k) for k, (x, y) in enumerate([(SIX, (3,)), (FIVE, FIVE), ((), ()), (SIX, ()), (BOX, (5,)),
                                                                         ((1,), (2, 2))] * 2)],
    "shape_set":     partial(cross, ANY, [plain((6,), shape=SIX), plain((3, -1), shape=SIX), plain(24, shape=(2, 3, 4)), plain((1, 1), shape=()),
                                          plain((), shape=(1,)), plain((5, 0), shape=(0,))], least=10),
    "method_fill":   lambda: [two(x, (), k=k) for k, x in enumerate(ANY)] + [((values(3), 2.5), {}), ((values(2, 2, dtype=np.complex128), 1), {}),
                                                                             ((values(2), values()), {})],
    "method_put":    put,
    "method_sort":   partial(cross, ANY, [plain(shape=FIVE), plain(0, shape=SIX), plain(axis=-1, kind="stable", shape=BOX), plain(shape=(0,)),
                                          plain(1, shape=BOX)], DTYPES[:2], least=10),
    "method_resize": partial(cross, ANY, [plain((2, 2), shape=FIVE), plain(2, 4, shape=SIX), plain(0, shape=FIVE), plain((3,), shape=()),
                                          plain(shape=SIX), plain(None, shape=SIX),
                                          plain((2, 2), shape=(0,)), plain((), shape=FIVE), plain((3, 2), shape=BOX)], least=10),
}

TIES = {
    "copyto": [((np.array([1.0, nan]), np.array([inf, 2.0])), {"where": np.array([False, True])}, ([1.0, 0.0], [0.0, 1.0]))],
    "put": [((np.zeros(3), [0, 0, 1], np.array([1.0, 2.0, 3.0])), {}, ([0.0, 0.0, 1.0], None, [0.0, 1.0, 1.0])),
            ((np.zeros(3), [0, 1, 2], np.array([1.0, 2.0])), {}, ([0.0, 0.0, 0.0], None, [2.0, 1.0]))],
    "putmask": [((np.array([nan, 1.0, 1.0]), np.array([False, False, True]), np.array([nan, inf])), {}, ([1.0, 1.0, 0.0], None, [1.0, 0.0]))],
    "place": [((np.array([nan, 1.0, 1.0]), np.array([False, True, True]), np.array([3.0, inf])), {}, ([1.0, 0.0, 0.0], None, [1.0, 1.0]))],
    "fill_diagonal": [((np.zeros((2, 2)), np.array(nan)), {}, ([[0.0, 1.0], [1.0, 0.0]], 2.0))],
    "put_along_axis": [((np.zeros((1, 3)), np.array([[1, 1]]), np.array([[5.0, 6.0]]), 1), {}, ([[1.0, 0.0, 1.0]], None, [[0.0, 1.0]]))],
    "flat_setitem": [((np.zeros(3), slice(None), np.array([1.0, 2.0])), {}, (0.0, None, [2.0, 1.0]))],
}

a, b, c = np.ones(3), np.ones((2, 3)), np.ones((3, 3))
ERRORS = {
    "copyto": [((a, np.ones(4)), {}, ValueError, r"\(4,\).*\(3,\)"), ((a, np.ones(3, complex)), {}, TypeError, "same_kind"),
               ((a, a), {"where": np.ones(4, bool)}, ValueError, "broadcast"), ((a, a), {"casting": "no way"}, ValueError, "casting")],
    "fill_diagonal": [((a, 1.0), {}, ValueError, "at least 2-d"), ((np.ones((2, 2, 3)), 1.0), {}, ValueError, "equal length")],
    "place": [((a, np.array([True, False]), a), {}, ValueError, "same shape|size"), ((a, a.astype(bool), np.ones(0)), {}, ValueError, "empty")],
    "put": [((a, [3], a), {}, IndexError, "out of bounds"), ((a, [0], a), {"mode": "x"}, ValueError, "clipmode|mode")],
    "put_along_axis": [((a, np.array([3]), 1.0, 0), {}, IndexError, "out of bounds"), ((b, np.array([0]), 1.0, 0), {}, ValueError, "dimension"),
                       ((a, np.array([0]), 1.0, 2), {}, ValueError, "axis 2"), ((b, COLUMN, np.ones((3, 2)), 1), {}, ValueError, "mismatch")],
    "putmask": [((a, np.ones(4, bool), a), {}, ValueError, "same size")],
    "flat_setitem": [((a, 3, 1.0), {}, IndexError, "out of bounds"), ((a, 0, np.ones(2)), {}, ValueError, "single item")],
    "shape_set": [((a, (2,)), {}, ValueError, "reshape")],
    "method_resize": [((a, (-1,)), {}, ValueError, "negative")],
}
