"""Samples of what a ufunc can do beside a call: reduce, accumulate, outer, at and reduceat.

The numbers are between 0.2 and 1.5, so that all of these have derivatives, also when they are folded.
"""

from functools import partial

import numpy as np
from samples.shapes import cross, plain, values

from gradnerve.ops.ufuncs import FORGETFUL, reduce, reduceat

UFUNCS = (np.add, np.multiply, np.maximum, np.minimum, np.subtract, np.divide, np.logaddexp, np.hypot, np.fmax, np.power, np.arctan2)
REAL = {np.maximum, np.minimum, np.logaddexp, np.hypot, np.fmax, np.arctan2}
ONE_AXIS = {np.subtract, np.divide, np.power, np.arctan2}  # what depends on the order, NumPy folds along one axis only
BOX = (2, 3, 4)
MASK = np.array([[True, False, True], [True, True, False]])

REDUCE = [plain(), plain(axis=-1, shape=BOX), plain(1, keepdims=True, shape=BOX), plain(axis=None, shape=(5,)), plain(axis=(), shape=(2, 3)),
          plain(initial=0.7, shape=(4,)), plain(axis=1, initial=0.7, where=MASK, shape=(2, 3)), plain(0, initial=0.7, keepdims=True, shape=(0, 3)),
          plain(0, where=MASK[:, :1], initial=0.3, shape=(2, 3)), plain(1, dtype=np.float64, shape=(2, 3)), plain(axis=-1, shape=(1,)),
          plain(axis=1, shape=(0, 3)), plain(axis=0, shape=(2, 0, 3)), plain(1, initial=0.5, where=True, shape=(0, 2))]  # fmt: skip
AXES = [plain(axis=None, shape=BOX), plain(axis=(0, 2), shape=BOX), plain(axis=(1, 0), initial=0.9, keepdims=True, shape=BOX),
        plain(axis=None, where=MASK, initial=0.4, shape=(2, 3))]  # fmt: skip
ACCUMULATE = [plain(shape=(6,)), plain(axis=1, shape=BOX), plain(axis=-1, shape=(2, 3)), plain(0, shape=(0, 3)), plain(shape=(1,)),
              plain(axis=0, dtype=np.float64, shape=(3, 2)), plain(-2, shape=(3, 4)), plain(0, shape=(2, 0))]  # fmt: skip
REDUCEAT = [plain([0, 2, 1], shape=(5,)), plain([0, 3, 3, 1], axis=1, shape=(2, 4)), plain(np.array([1]), axis=-1, shape=BOX),
            plain([0, 1], shape=(2, 3)), plain([2, 0], dtype=np.float64, axis=0, shape=(4,)), plain([0, 1, 2, 0], shape=(3, 2)),
            plain([0, 1], shape=(2, 0))]  # fmt: skip
AT = [plain([0, 2], 0.3, shape=(4,)), plain([1, 1, 1], np.array([0.3, 0.5, 0.9]), shape=(3,)), plain((slice(None), [0, 0, 2]), 0.6, shape=(2, 3)),
      plain(([0, 1, 0], [1, 1, 1]), np.array([0.9, 0.4, 0.7]), shape=(2, 3)), plain(slice(1, None), np.array([[0.8], [0.6]]), shape=(3, 4)),
      plain(MASK, 0.5, shape=(2, 3)), plain(..., np.array(0.9), shape=()), plain(np.array([], int), 0.5, shape=(3,)),
      plain([0], 0.5, shape=(2, 0))]  # fmt: skip


def positive(samples):
    """The same samples with numbers between 0.2 and 1.5, of which complex ones keep their imaginary parts."""
    samples = [((np.asarray(np.abs(x.real) + 1j * x.imag if x.dtype.kind == "c" else np.abs(x)), *args), kwargs) for (x, *args), kwargs in samples]
    return [(args, kwargs) for args, kwargs in samples if args[0].dtype.kind != "c" or "dtype" not in kwargs]


def dtypes(ufunc):
    return (np.float64, np.float32) if ufunc in REAL else (np.float64, np.float32, np.complex128)


def folds(ufunc, options, shapes=((3,), (2, 4)), least=40):
    return lambda: positive(cross(list(shapes), options, dtypes(ufunc), least))


def pairs(ufunc):
    """Two arrays for `outer`."""
    shapes = [((3,), (4,)), ((), (3,)), ((2, 3), ()), ((2, 1), (2,)), ((0,), (3,)), ((2,), (1, 3))]
    options = [{}, {"dtype": np.float64}] if ufunc in REAL else [{}]
    forms = [(x, y, dtype, kwargs) for x, y in shapes for dtype in dtypes(ufunc) for kwargs in options] * 2
    return positive([((values(*x, dtype=dtype, seed=k), np.abs(values(*y, seed=k + 50)).astype(dtype)), kwargs)
                     for k, (x, y, dtype, kwargs) in enumerate(forms)])  # fmt: skip


def at(ufunc, x, indices, *other):
    """What `ufunc.at` leaves in a copy."""
    x = x.copy() if hasattr(x, "requires_grad") else np.array(x)
    ufunc.at(x, indices, *other)
    return x


SAMPLES, CALLS, PARTS = {}, {}, {"exactly": "hypot.at"}
for u in UFUNCS:
    name = u.__name__
    SAMPLES |= {
        f"{name}.reduce":     folds(u, REDUCE if u in ONE_AXIS else REDUCE + AXES),
        f"{name}.accumulate": folds(u, ACCUMULATE),
        f"{name}.reduceat":   folds(u, REDUCEAT, least=24),
        f"{name}.outer":      partial(pairs, u),
        f"{name}.at":         folds(u, AT, least=24),
    }  # fmt: skip
    CALLS |= {f"{name}.{method}": getattr(u, method) for method in ("reduce", "accumulate", "reduceat", "outer")} | {f"{name}.at": partial(at, u)}
CALLS |= {f"{u.__name__}.{f.__name__}": partial(f, u) for u in FORGETFUL for f in (reduce, reduceat)}  # NumPy's own are wrong on some processors
SAMPLES |= {"exp.at": folds(np.exp, [plain([1, 1, 0], shape=(3,)), plain(MASK, shape=(2, 3)), plain((0, [0, 1]), shape=(2, 3))], least=20)}
CALLS |= {"exp.at": partial(at, np.exp)}
