"""Samples of the makers that pass gradients on: what is copied, filled with or spaced out. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

import gradnerve as gn

from .shapes import ANY, BOX, DTYPES, cross, layouts, plain, values

SIX = (2, 3)


def maker(name):
    """NumPy's maker of arrays, and ours where there is a Tensor to be made one of."""

    def make(*args, **kwargs):
        return getattr(gn if tensors([*args, *kwargs.values()]) else np, name)(*args, **kwargs)

    return make


def tensors(x):
    return any(map(tensors, x)) if isinstance(x, (list, tuple)) else hasattr(x, "requires_grad")


COPIED = [plain(), plain(np.complex128), plain(dtype="complex128", shape=SIX)]
ORDERED = [*COPIED, plain(order="F", shape=BOX), plain(order="C", shape=BOX), plain(np.complex128, order="F", shape=SIX), plain(order="K", shape=SIX)]
OPTIONS = {
    "array":             [*ORDERED, plain(ndmin=3, shape=(5,)), plain(copy=None, shape=SIX), plain(ndmin=1, order="F", shape=())],
    "asarray":           [*ORDERED, plain(copy=True, shape=SIX), plain(device="cpu", shape=())],
    "asanyarray":        ORDERED,
    "asarray_chkfinite": [plain(), plain(np.complex128), plain(order="F", shape=BOX)],
    "ascontiguousarray": COPIED,
    "asfortranarray":    COPIED,
    "require":           [*COPIED, plain(None, "F", shape=BOX), plain(None, ["C", "W", "A"], shape=BOX), plain(np.complex128, ["F"], shape=SIX),
                          plain(None, "E", shape=SIX)],
}


def array():
    """Also Tensors in lists."""
    nested = [[values(3), values(3, seed=1)], [values(), 2.5], [values(2), [1.0, 2.0]], [values(2, dtype=np.float32), values(2)],
              [values(), values(dtype=np.complex128)], [values(0)]]
    return cross(ANY, OPTIONS["array"], least=1) + [((nest,), {}) for nest in nested] + [(([values(2), values(2)], np.complex128), {"order": "F"})]


def full():
    cases = [((2, 3), (), {}), ((2, 3), (3,), {}), ((2, 3), (2, 1), {"order": "F"}), (4, (), {"dtype": np.complex128}), ((), (), {}),
             ((0, 2), (2,), {}), ((2, 2), (1, 2), {"dtype": np.complex128})]
    return [((shape, values(*fill, dtype=DTYPES[k % 3])), options) for k, (shape, fill, options) in enumerate(cases * 2)]


def full_like():
    cases = [(SIX, (), {}), (SIX, (3,), {}), (BOX, (2, 1, 1), {"dtype": np.complex128}), ((5,), (3, 1), {"shape": (3, 2)}), ((), (), {}),
             ((0,), (1,), {}), (BOX, (4,), {"order": "F"})]
    return [((layouts(*shape, dtype=np.complex128 if k % 3 == 2 else DTYPES[k % 3])[k % 4 if shape else 0], values(*fill, dtype=DTYPES[k % 3])),
             options)
            for k, (shape, fill, options) in enumerate(cases * 2)]


def positive(*shape, dtype=np.float64, seed=0):
    return np.asarray(np.abs(values(*shape, seed=seed)), dtype)


SPACED = [((), (), {}), ((3,), (3,), {"num": 4}), ((2, 1), (3,), {"num": 3, "axis": 1}), ((3,), (), {"num": 5, "endpoint": False}),
          ((), (2,), {"num": 1}), ((2,), (2,), {"num": 0}),
          (SIX, SIX, {"num": 3, "axis": -1, "endpoint": False}), ((0,), (0,), {"num": 2}), ((), (), {"num": 3, "dtype": np.complex128})]


def linspace():
    made = [((values(*x, dtype=DTYPES[k % 3]), values(*y, dtype=DTYPES[k % 2 * 2], seed=1)), {"num": 4, **options})
            for k, (x, y, options) in enumerate(SPACED * 2)]
    step = [((values(*x, seed=2), values(*x, seed=3), n), {"retstep": True}) for x, n in (((), 3), (SIX, 2))]
    same = values(3)
    return [*made, *step, ((values(3), 2.0, 3), {}), ((1, values(2)), {"num": 3, "endpoint": False}), ((values(1), 2, 3), {"dtype": np.float64}),
            ((np.stack([same[0], 1.0]), same[:1], 3), {})]


def logspace():
    made = [((values(*x, dtype=DTYPES[k % 2]), values(*y, seed=1)), {"num": 4, **options}) for k, (x, y, options) in enumerate(SPACED)]
    return [*made, ((values(2), values(2, seed=1), 3, True, positive(2)), {}), ((0.5, 1.5, 4, False, positive()), {}),
            ((values(1), 1, 3), {"base": 2.0}), ((values(2), 1, 2, True, positive(3, 1)), {"axis": -1})]


def geomspace():
    made = [((positive(*x, dtype=DTYPES[k % 2]), positive(*y, seed=1)), {"num": 4, **options}) for k, (x, y, options) in enumerate(SPACED)]
    return [*made, ((-positive(2), -positive(2, seed=1), 3), {}), ((positive(2), 2.0), {"num": 3}),
            ((values(2, dtype=np.complex128), values(2, dtype=np.complex128, seed=4), 3), {}),
            ((values(dtype=np.complex128), 1 + 2j, 4), {"endpoint": False})]


def kaiser():
    return [((m, positive(seed=m) * 5), {}) for m in (2, 3, 5, 8)] * 3 + [((1, 2.0), {}), ((0, 2.0), {})]


def made_by_function(x, shape, dtype=float):
    return (gn if tensors([x]) else np).fromfunction(lambda *index: np.sin(x * sum(index)), shape, dtype=dtype)


def made_by_iteration(x, count=-1):
    return (gn if tensors([x]) else np).fromiter((y * y for y in x), x.dtype, count)


SAMPLES = {name: partial(cross, ANY, options, DTYPES, 10) for name, options in OPTIONS.items()}
SAMPLES |= {f.__name__: f for f in (array, full, full_like, linspace, logspace, geomspace, kaiser)} | {
    "fromfunction": lambda: [((values(seed=k), shape), {}) for k, shape in enumerate([(3,), (2, 3), (0,), (1, 2)] * 3)],
    "fromiter":     lambda: [((values(n, dtype=DTYPES[n % 2]),), {}) for n in range(1, 9)] + [((values(5), 2), {}), ((values(5), 5), {})],
}
CALLS = {name: maker(name) for name in [*OPTIONS, "full", "full_like", "kaiser"]} | {"fromfunction": made_by_function, "fromiter": made_by_iteration}

a = np.ones(3)
ERRORS = {
    "array": [((a,), {"order": "Z"}, ValueError, "order"), ((a, np.float32), {"copy": False}, ValueError, "copy")],
    "asarray_chkfinite": [((np.array([1.0, np.inf]),), {}, ValueError, "infs or NaNs")],
    "require": [((a, None, ["C", "F"]), {}, ValueError, "both"), ((a, None, "Z"), {}, KeyError, "Z")],
    "full": [((2, a), {}, ValueError, "broadcast")], "full_like": [((a, np.ones(4)), {}, ValueError, "broadcast")],
    "linspace": [((a, a, -1), {}, ValueError, "non-negative"), ((a, np.ones(4)), {}, ValueError, "broadcast"),
                 ((a, a), {"axis": 3}, ValueError, "axis 3")],
    "geomspace": [((np.zeros(1), a), {}, ValueError, "zero")],
}
