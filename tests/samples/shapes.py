"""Samples of the operations that move elements and of indexing. What a sample file holds is said in elementwise.py.

`values`, `layouts` and `cross` are used by the other files here: distinct numbers, in every kind of memory, with every kind of option.
"""

from functools import partial

import numpy as np

DTYPES = (np.float64, np.float32, np.complex128)


def values(*shape, dtype=np.float64, seed=0):
    """Numbers between -1.5 and 1.5 that differ from one another and from zero by 0.2 / size at least."""
    rng = np.random.default_rng([seed, *shape])
    size = int(np.prod(shape))
    x = (0.2 + 1.3 * (rng.permutation(size) + rng.uniform(0.2, 0.8)) / max(size, 1)) * rng.choice([-1.0, 1.0], size)
    x = x + 1j * rng.uniform(-1, 1, size) if np.dtype(dtype).kind == "c" else x
    return x.reshape(shape).astype(dtype)


def layouts(*shape, dtype=np.float64, seed=0):
    """The same numbers in C order, in Fortran order, backwards, and as every second element of a larger array."""
    x = values(*shape, dtype=dtype, seed=seed)
    if not shape:
        return [x]
    wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
    wide[..., ::2] = x
    return [x, np.asfortranarray(x), np.ascontiguousarray(x[::-1])[::-1], wide[..., ::2]]


def cross(shapes, options, dtypes=DTYPES, least=40):
    """Every option with arrays of its shapes, dtypes and layouts by turns; an option is (shape or None for any, args, kwargs)."""
    samples, turn = [], 0
    while len(samples) < least:
        for only, args, kwargs in options:
            for shape in shapes if only is None else [only]:
                dtype = dtypes[turn % len(dtypes)]
                forms = layouts(*shape, dtype=dtype, seed=turn)
                samples.append(((forms[turn // len(dtypes) % len(forms)], *args), kwargs))
                turn += 1
        turn += 1
    return samples


def plain(*args, shape=None, **kwargs):
    return shape, args, kwargs


ANY = [(), (1,), (0,), (5,), (2, 3), (3, 1, 4), (2, 0, 3)]
BOX = (2, 3, 4)

OPTIONS = {
    "reshape":      [plain((4, 6), shape=BOX), plain(-1, shape=BOX), plain((2, -1), shape=BOX), plain((3, 8), order="F", shape=BOX),
                     plain((24, 1), "F", shape=BOX), plain((), shape=(1,)), plain((1, 1), shape=()), plain((0, 5), shape=(0,)),
                     plain((3, 0), shape=(2, 0, 3))],
    "ravel":        [plain(), plain(order="F"), plain(order="A"), plain(order="K")],
    "transpose":    [plain(), plain((1, 2, 0), shape=BOX), plain([2, 0, 1], shape=BOX), plain((-1, 0, -2), shape=BOX), plain((0,), shape=(5,))],
    "swapaxes":     [plain(0, 1, shape=BOX), plain(-1, 0, shape=BOX), plain(1, 1, shape=BOX), plain(0, -1, shape=(5,)), plain(1, 2, shape=(2, 0, 3))],
    "moveaxis":     [plain(0, -1, shape=BOX), plain((0, 1), (1, 2), shape=BOX), plain([2, 0], [0, 1], shape=BOX), plain(1, 1, shape=BOX),
                     plain(0, 2, shape=(2, 0, 3))],
    "expand_dims":  [plain(0), plain(-1), plain((0, 1)), plain((0, -1)), plain(1, shape=BOX), plain([1, 3], shape=BOX)],
    "squeeze":      [plain(), plain(0, shape=(1, 3)), plain(-1, shape=(3, 1)), plain((0, 2), shape=(1, 3, 1)), plain(axis=1, shape=(3, 1, 4)),
                     plain(shape=(1, 1))],
    "broadcast_to": [plain((3,), shape=()), plain((2, 3), shape=(3,)), plain((4, 2, 3), shape=(2, 3)), plain((2, 3), shape=(2, 1)),
                     plain((2, 3, 4), shape=(3, 1)), plain((0, 3), shape=(1, 3)), plain((2, 3), shape=(2, 3)), plain((), shape=()),
                     plain((3, 5, 4), shape=(3, 1, 4)), plain((0,), shape=(1,)), plain(4, shape=(1,))],
    "sum_to":       [plain((3,), shape=(2, 3)), plain((), shape=(2, 3)), plain((2, 1), shape=(2, 3)), plain((3, 1), shape=BOX),
                     plain((1,), shape=(5,)), plain((1, 3, 4), shape=BOX), plain((2, 3), shape=(2, 3)), plain((1,), shape=(0,)), plain((), shape=())],
    "flip":         [plain(), plain(0, shape=BOX), plain(-1, shape=BOX), plain((0, 2), shape=BOX), plain(axis=1, shape=(2, 0, 3))],
    "copy":         [plain(), plain(order="F")],
    "astype":       [plain(np.float64), plain(np.complex128), plain("complex128", copy=False)],
    "array_split":  [plain(3, shape=(7,)), plain(4, shape=(6, 2)), plain([2, 5], shape=(7,)), plain(2, -1, shape=BOX), plain((1,), axis=1, shape=BOX),
                     plain(3, shape=(2,)), plain([-2], shape=(5,)), plain(2, shape=(0,))],
    "split":        [plain(2, shape=(6,)), plain(3, 1, shape=BOX), plain([1, 3], -1, shape=BOX), plain([2, 2, 9], shape=(5,)), plain(1, shape=(5, 2)),
                     plain(2, axis=-1, shape=BOX)],
}

MASK = np.array([[True, False, True], [False, False, True]])
INDICES = [
    (2, (5,)), (-1, (5,)), (np.int64(3), (5,)), (slice(1, 4), (5,)), (slice(None, None, -2), (5,)), (slice(4, 1), (5,)), (..., (5,)), (None, (5,)),
    ((), (5,)),
    ([0, 2, 4], (5,)), ([0, 0, 2, 0], (5,)), (np.array([-1, 2]), (5,)), (np.array([[0, 1], [1, 4]]), (5,)), ([], (5,)), (np.array(3), (5,)),
    (np.array([True, False, True, True, False]), (5,)), ([False] * 5, (5,)), (True, (5,)), (False, (5,)), (np.array([2, 2], np.uint8), (5,)),
    (1, (2, 3)), ((1, -1), (2, 3)), ((slice(None), 1), (2, 3)), ((..., 0), (2, 3)), ((None, 1, None), (2, 3)), (MASK, (2, 3)),
    ((MASK[:, 0], slice(1, 3)), (2, 3)),
    (([0, 1, 1], [2, 0, 0]), (2, 3)), ((slice(None), [2, 2, 0]), (2, 3)), ((1, [2, 0]), (2, 3)), ((np.array([True, True]), [0, 2]), (2, 3)),
    (np.array([[1, 1], [0, 1]]), (2, 3)), (np.array([-1, 0, -1]), (2, 3)), (np.zeros((0, 2), int), (2, 3)),
    (([0, 1], slice(None), [3, 3]), BOX), ((0, slice(None), [1, 1, 2]), BOX), ((slice(None), MASK[0], 1), BOX), ((..., [3, 0]), BOX),
    ((np.array([[0], [1]]), np.array([2, 1])), BOX), ((slice(None, None, -1), ..., slice(0, 3, 2)), BOX), (MASK, BOX),
    ((None, [1, 1], ..., None), BOX),
    ((slice(None), np.array([[0, 2], [2, 2]])), BOX), (..., ()), ((), ()), (None, ()), (True, ()), (slice(None), (0,)), ((slice(None), 0), (0, 3)),
    ([1, 1], (2, 0, 3)),
]


def getitem():
    return [((layouts(*shape, dtype=DTYPES[k % 3], seed=k)[k // 3 % 4 if shape else 0], index), {}) for k, (index, shape) in enumerate(INDICES)]


def scatter():
    return [((values(*np.empty(shape)[index].shape, dtype=DTYPES[k % 3], seed=k), shape, index), {}) for k, (index, shape) in enumerate(INDICES)]


def setitem():
    samples = []
    for k, (index, shape) in enumerate(INDICES):
        whole, dtype = np.empty(shape)[index].shape, DTYPES[k % 3]
        masked = isinstance(index, (bool, list, np.ndarray)) and np.asarray(index).dtype == bool  # NumPy wants no further axes for these
        for form in [whole, (), (1, *whole[1:]), (1, 1, *whole)][:1 if not whole else 3 if masked else 4]:
            samples.append(((values(*shape, dtype=dtype, seed=k), index, values(*form, dtype=dtype, seed=k + 1)), {}))
    samples.append(((values(3, dtype=np.float32), [0, 1], values(2)), {}))
    samples.append(((values(4), np.array([[0, 1], [1, 0]], order="F"), np.asfortranarray(values(2, 2))), {}))
    return samples


def add_at():
    samples = []
    for k, (index, shape) in enumerate(INDICES * 2):
        form = np.empty(shape)[index].shape if k < len(INDICES) else ()
        samples.append(((values(*shape, dtype=DTYPES[k % 3], seed=k), index, values(*form, dtype=DTYPES[k % 3], seed=k + 1)), {}))
    return samples


def added_at(x, index, value):
    x = x.copy() if hasattr(x, "requires_grad") else np.array(x)
    np.add.at(x, index, value)
    return x


CALLS = {"add_at": added_at}


def joined(shapes, *options, least=40):
    samples = []
    while len(samples) < least:
        for pieces in shapes:
            for axis, kwargs in options:
                k = len(samples)
                forms = [layouts(*shape, dtype=DTYPES[k % 3], seed=k + i) for i, shape in enumerate(pieces)]
                samples.append((([form[(k + i) % len(form)] for i, form in enumerate(forms)], *axis), kwargs))
    return samples


def concatenate():
    same = [[(2, 3)] * 2, [(2, 3)] * 3, [(2, 3)], [(0, 3), (0, 3)], [BOX, BOX]]
    return [*joined(same, ((), {}), ((1,), {}), ((-1,), {}), ((None,), {})),
            *joined([[(2,), (0,), (1,)], [(2, 3), (1, 3)]], ((), {}), ((0,), {}), least=8),
            *joined([[(2,), (3, 1), ()]], ((None,), {}), least=3), (([values(2), values(3, dtype=np.float32)],), {"dtype": np.float64}),
            (([values(2), values(1, dtype=np.complex128)],), {}), (([values(2), np.arange(3)],), {})]


def stack():
    return [*joined([[(2, 3)] * 2, [(2, 3)] * 3, [(2, 3)], [(0, 3)] * 2], ((), {}), ((1,), {}), ((), {"axis": -1}), ((2,), {})),
            *joined([[()] * 3, [(1,)] * 2], ((), {}), ((-1,), {}), least=8), (([values(2), values(2, dtype=np.float32)],), {})]


def where():
    samples = []
    for k in range(42):
        condition, x, y = [((3,), (3,), (3,)), ((2, 3), (3,), (2, 1)), ((), (2,), (2,)), ((2, 1), (), (3,)), ((0,), (1,), (0,)), ((2, 3, 4),) * 3,
                           ((1,), (), ())][k % 7]
        mask = np.random.default_rng(k).random(condition) < 0.5
        forms = layouts(*x, dtype=DTYPES[k % 3], seed=k)
        samples.append(((mask, forms[k % len(forms)], values(*y, dtype=DTYPES[k % 2 * 2], seed=k + 1)), {}))
    return [*samples, ((np.array([0, 2]), values(2), 1.5), {}), ((MASK, 0, values(2, 3, dtype=np.float32)), {}), ((MASK,), {})]


# ---- functions that are composed, or NumPy's own code ---------------------------------------------------------------------------------

COMPOSED = {
    "permute_dims": OPTIONS["transpose"],
    "matrix_transpose": [plain(shape=BOX), plain(shape=(2, 3)), plain(shape=(2, 0, 3)), plain(shape=(1, 1))],
    "rollaxis":     [plain(2, shape=BOX), plain(0, 2, shape=BOX), plain(-1, 1, shape=BOX), plain(axis=1, start=3, shape=BOX), plain(0, shape=(5,))],
    "atleast_1d":   [plain()],
    "atleast_2d":   [plain()],
    "atleast_3d":   [plain()],
    "repeat":       [plain(2), plain(0), plain(3, axis=-1, shape=BOX), plain([1, 0, 2], axis=0, shape=(3, 1, 4)), plain([2], 0, shape=(5,)),
                     plain([1, 3], 0, shape=(2, 0, 3)), plain(np.array(2), shape=(5,))],
    "tile":         [plain(2), plain(()), plain((2, 1)), plain((2, 1, 3), shape=(2, 3)), plain(0, shape=(2, 3)), plain([1, 2], shape=BOX)],
    "roll":         [plain(2), plain(-1, axis=0, shape=BOX), plain((1, 2), (0, 1), shape=BOX), plain(1, (0, 2), shape=BOX),
                     plain((1, 2), 0, shape=(5,)), plain(7, shape=(5,)), plain(1, -1, shape=(2, 0, 3))],
    "fliplr":       [plain(shape=(2, 3)), plain(shape=BOX), plain(shape=(2, 0, 3))],
    "flipud":       [plain(shape=(5,)), plain(shape=(2, 3)), plain(shape=BOX)],
    "rot90":        [plain(shape=(2, 3)), plain(2, shape=(2, 3)), plain(3, (0, 2), shape=BOX), plain(-1, axes=(2, 1), shape=BOX),
                     plain(4, shape=(2, 3)), plain(shape=(0, 3))],
    "diagonal":     [plain(shape=(2, 3)), plain(1, shape=(2, 3)), plain(-1, 1, 0, shape=(2, 3)), plain(axis1=0, axis2=2, shape=BOX),
                     plain(9, shape=(2, 3)), plain(0, -1, -2, shape=BOX), plain(shape=(0, 3))],
    "tril":         [plain(shape=(2, 3)), plain(1, shape=BOX), plain(k=-1, shape=(2, 3)), plain(shape=(5,)), plain(9, shape=(2, 3)),
                     plain(shape=(0, 3))],
    "take":         [plain([0, 2, 2], shape=(5,)), plain([[0, 1], [1, 1]], 1, shape=BOX), plain(-1, axis=0, shape=BOX),
                     plain([7, -9], mode="wrap", shape=(5,)),
                     plain([7, -9], None, None, "clip", shape=(2, 3)), plain(np.array([3]), axis=-1, shape=BOX),
                     plain(np.zeros(0, int), 0, shape=(2, 3)),
                     plain(0, shape=(1,)), plain([0], shape=()), plain([1, 0], 0, shape=(2, 0, 3)), plain(np.array([[11]]), mode="raise", shape=BOX)],
    "take_along_axis": [plain(np.array([[2, 0], [1, 1]]), 1, shape=(2, 3)), plain(np.array([0, 5, 5]), None, shape=(2, 3)),
                     plain(np.array([[[1]], [[0]]]), axis=0, shape=BOX), plain(np.array([[-1, 0, 0, 1]]), shape=(3, 2)),
                     plain(np.array([4, -5]), -1, shape=(5,)), plain(np.zeros((2, 0), int), 1, shape=(2, 3))],
    "resize":       [plain((3, 4), shape=(5,)), plain((2,), shape=BOX), plain(7, shape=(2, 3)), plain((0, 2), shape=(5,)), plain((2, 3), shape=(0,)),
                     plain((2, 2), shape=()), plain((), shape=(5,)), plain((4, 3, 2), shape=BOX)],
    "trim_zeros":   [plain(shape=(5,)), plain("f", shape=(5,)), plain("b", shape=(1,)), plain(shape=(0,))],
    "trimmed":      [plain(np.array([0, 1, 0, 1, 0]), shape=(5,)), plain(np.array([0, 1, 0, 1, 0]), trim="f", shape=(5,)),
                     plain(np.array([0, 0, 1, 1, 0]), trim="b", shape=(5,)), plain(np.zeros(5, int), shape=(5,)),
                     plain(np.array([[0, 0, 0], [0, 1, 0]]), shape=(2, 3)), plain(np.array([[0, 0, 0], [0, 1, 0]]), axis=1, shape=(2, 3))],
    "sliding_window_view": [plain(2, shape=(5,)), plain(5, shape=(5,)), plain((2, 2), shape=(2, 3)), plain(2, 1, shape=BOX),
                            plain((2, 3), axis=(0, -1), shape=BOX),
                     plain((2, 2), (1, 1), shape=BOX), plain(1, shape=(1,)), plain((), (), shape=(5,))],
    "flat":         [plain(0, shape=(2, 3)), plain(-1, shape=BOX), plain(slice(1, None, 2), shape=BOX), plain([0, 0, 3], shape=(2, 3)),
                     plain(..., shape=(2, 3)), plain(np.array([True, False, True, False, True]), shape=(5,)), plain(0, shape=())],
}
COMPOSED["triu"] = COMPOSED["tril"]


class Named:
    """A function that prints the same in every run: a sample draws its random numbers by what it prints."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def __repr__(self):
        return self.function.__qualname__


def broadcast_arrays():
    shapes = [[(2, 3), (3,), (2, 1)], [(), (0,)], [(1,), (1, 1)], [BOX, (3, 1)], [(2, 3)]]
    return [(tuple(values(*shape, dtype=DTYPES[(k + i) % 3], seed=k + i) for i, shape in enumerate(group)), {}) for k, group in enumerate(shapes * 2)]


def several():
    """For `atleast_...d`: one array and more."""
    return [*cross(ANY, [plain()], least=8), ((values(), values(3), values(2, 3)), {}), ((values(0), values(1)), {})]


def meshgrid():
    samples = []
    for k, options in enumerate([{}, {"sparse": True}, {"indexing": "ij"}, {"copy": False}, {"indexing": "ij", "sparse": True, "copy": False}]):
        for sizes in [(2, 3), (2, 1, 3), (4,), (2, 0)]:
            samples.append((tuple(values(n, dtype=DTYPES[k % 3], seed=i) for i, n in enumerate(sizes)), options))
    return [*samples, ((values(), values(1)), {}), ((values(2, dtype=np.float32), values(3)), {})]


def compress():
    cases = [((5,), [True, False, True], {}), ((5,), [False] * 5, {}), ((2, 3), [True, False, True, False, True, True], {}),
             (BOX, [False, True], {"axis": 0}),
             (BOX, [True, False, True, True], {"axis": -1}), ((2, 3), [0, 2, 1], {"axis": 1}), ((0,), [], {}), ((), [True], {}),
             (BOX, [True], {"axis": 1}), ((2, 0, 3), [True, True], {"axis": 0})]
    return [((condition, layouts(*shape, dtype=DTYPES[k % 3])[k % 4 if shape else 0]), options)
            for k, (shape, condition, options) in enumerate(cases)]


def extract():
    cases = [((2, 3), MASK), ((5,), [True, False, True, True, False]), ((), True), ((0,), []), ((2, 3), [1, 0, 2, 0, 0, 1]),
             (BOX, np.zeros(BOX, int))]
    return [((condition, layouts(*shape, dtype=DTYPES[k % 3])[k % 4 if shape else 0]), {}) for k, (shape, condition) in enumerate(cases * 2)]


def total(v, scale=1.0): return scale * v.sum()
def cubed(v): return v**3
def squares(v): return v[:2, None] * v
def one_more(v): return np.append(v, v[0] * v[-1])


def apply_along_axis():
    samples = []
    for k, function in enumerate((total, cubed, squares, one_more)):
        for axis, shape in [(0, (5,)), (1, (2, 3)), (0, (2, 3)), (-2, BOX)]:
            samples.append(((Named(function), axis, layouts(*shape, dtype=DTYPES[k % 3 if k else 0])[k]), {}))
    return [*samples, ((Named(total), 0, values(2, 3), 2.0), {}), ((Named(total), 0, values(2, 3)), {"scale": 3.0}),
            ((Named(cubed), 1, values(2, 0)), {})]


def apply_over_axes():
    forms = [(np.sum, 0, (5,)), (np.sum, [0, 2], BOX), (np.sum, (1,), BOX), (np.max, [0, -1], BOX), (np.cumsum, 1, (2, 3)), (np.mean, [0, 1], (2, 3))]
    return [((Named(function), layouts(*shape, dtype=DTYPES[k % 2])[k % 4], axes), {}) for k, (function, axes, shape) in enumerate(forms * 2)]


def ix_():
    return [(tuple(values(n, dtype=DTYPES[k % 3], seed=i) for i, n in enumerate(sizes)), {})
            for k, sizes in enumerate([(2, 3), (4,), (1, 2, 3), (0, 2)] * 2)
            ] + [((values(2), [0, 1]), {}), ((np.array([True, False]), values(2)), {})]


SAMPLES = {name: partial(cross, ANY, options, DTYPES[:2] if name == "astype" else DTYPES) for name, options in OPTIONS.items()}
SAMPLES |= {name: partial(cross, ANY, options, least=12) for name, options in COMPOSED.items()}
SAMPLES |= {f.__name__: f for f in (getitem, scatter, setitem, add_at, concatenate, stack, where, broadcast_arrays, meshgrid, compress, extract,
                                    apply_along_axis, apply_over_axes, ix_)}
SAMPLES |= dict.fromkeys(("atleast_1d", "atleast_2d", "atleast_3d"), several)
CALLS |= {
    "sliding_window_view": np.lib.stride_tricks.sliding_window_view,
    "trimmed": lambda x, mask, **options: np.trim_zeros(x * mask, **options),
    "flat": lambda x, index: x.flat[index],
}

nan, inf = np.nan, np.inf
TIES = {
    "where": [((np.array([True, False]), np.array([1.0, nan]), np.array([inf, 2.0])), {}, (None, [1.0, 0.0], [0.0, 1.0]))],
    "getitem": [((np.array([1.0, 2.0, 3.0]), [0, 0, 2, 0]), {}, ([3.0, 0.0, 1.0], None)),
                ((np.array([1.0, 2.0, 3.0]), [-1, 2]), {}, ([0.0, 0.0, 2.0], None))],
    "setitem": [((np.zeros(3), [0, 0, 1], np.array([1.0, 2.0, 3.0])), {}, ([0.0, 0.0, 1.0], None, [0.0, 1.0, 1.0])),
                ((np.zeros(3), [0, -3, 0], np.array(5.0)), {}, ([0.0, 1.0, 1.0], None, 1.0)),
                ((np.zeros((2, 2)), ([0, 0], [1, 1]), np.array([1.0, 2.0])), {}, ([[1.0, 0.0], [1.0, 1.0]], None, [0.0, 1.0])),
                ((np.zeros(2), np.array([[0, 1], [1, 0]]), np.array([[1.0, 2.0], [3.0, 4.0]])), {}, ([0.0, 0.0], None, [[0.0, 0.0], [1.0, 1.0]]))],
    "broadcast_to": [((np.array(1.0), (3, 4)), {}, (12.0, None))],
    "take": [((np.array([1.0, 2.0, 3.0]), [0, 0, -1]), {}, ([2.0, 0.0, 1.0], None)),
             ((np.array([1.0, 2.0]), [5, -5]), {"mode": "clip"}, ([1.0, 1.0], None))],
    "trim_zeros": [((np.array([0.0, 1.0, 0.0, 2.0, 0.0]),), {}, ([0.0, 1.0, 1.0, 1.0, 0.0],)), ((np.zeros(3),), {}, (0.0,))],
    "tril": [((np.array([[1.0, nan], [inf, 2.0]]),), {}, ([[1.0, 0.0], [1.0, 1.0]],))],
    "triu": [((np.array([[1.0, nan], [inf, 2.0]]),), {}, ([[1.0, 1.0], [0.0, 1.0]],))],
}

a, b = np.ones(3), np.ones((2, 3))
ERRORS = {
    "reshape": [((np.ones(6), (4,)), {}, ValueError, "size 6 into shape"), ((np.ones(6), (-1, -1)), {}, ValueError, "one unknown dimension"),
                ((a, (2**40, 2**40)), {}, ValueError, ""), ((b, -1), {"order": "A"}, ValueError, "order 'A'")],
    "transpose": [((b, (0, 0)), {}, ValueError, "repeated axis"), ((b, (0,)), {}, ValueError, "axes don't match"),
                  ((b, (0, 2)), {}, ValueError, "axis 2")],
    "swapaxes": [((b, 0, 2), {}, ValueError, "axis2: axis 2")],
    "moveaxis": [((b, 0, 5), {}, ValueError, "axis 5"), ((b, (0, 1), 0), {}, ValueError, "same number")],
    "expand_dims": [((a, 3), {}, ValueError, "axis 3"), ((a, (0, 0)), {}, ValueError, "repeated axis")],
    "squeeze": [((b, 0), {}, ValueError, "size not equal to one")],
    "flip": [((a, 1), {}, ValueError, "axis 1")],
    "broadcast_to": [((a, (4,)), {}, ValueError, r"\(3,\)"), ((a, (2**40, 2**40, 3)), {}, ValueError, "")],
    "concatenate": [(([b, np.ones((2, 4))], 0), {}, ValueError, "size 3.*size 4"), (([a, b],), {}, ValueError, "number of dimensions"),
                    (([a, a], 1), {}, ValueError, "axis 1"),
                    (([],), {}, ValueError, "at least one array"), (([np.float64(1), np.float64(2)],), {}, ValueError, "zero-dimensional")],
    "stack": [(([a, np.ones(4)],), {}, ValueError, "same shape"), (([a, a], 2), {}, ValueError, "axis 2"),
              (([],), {}, ValueError, "at least one array")],
    "split": [((a, 2), {}, ValueError, "equal division")],
    "array_split": [((a, 0), {}, ValueError, "larger than 0"), ((a, 2, 1), {}, ValueError, "axis 1")],
    "where": [((a > 0, a, np.ones(4)), {}, ValueError, "could not be broadcast"), ((a > 0, a), {}, ValueError, "either both or neither")],
    "getitem": [((a, i), {}, (IndexError, OverflowError), m) for i,
                m in ((10, "out of bounds"), (-11, "out of bounds"), (-2**63, "out of bounds"), (2**63, ""), ([0, 99], "99 is out of bounds"),
                                                         (1.5, "integers"), ("a", "integers"), ((0, 0), "too many indices"),
                                                         ([True, False], "boolean index"))],
    "setitem": [((a, 10, 1.0), {}, IndexError, "out of bounds"), ((a, slice(2), a), {}, ValueError, "could not broadcast"),
                ((a, [0, 99], 1.0), {}, IndexError, "99 is out of bounds")],
    "repeat": [((a, [1, 2]), {}, ValueError, "broadcast"), ((a, -1), {}, ValueError, "negative"), ((a, 2, 1), {}, ValueError, "axis 1")],
    "tile": [((a, -1), {}, ValueError, "negative")],
    "roll": [((a, 1, 2), {}, ValueError, "axis 2"), ((a, (1, 2), (0, 0, 0)), {}, ValueError, "broadcast")],
    "rot90": [((a,), {}, ValueError, "different|dimensions|Axes|axes"), ((b, 1, (0, 0)), {}, ValueError, "different")],
    "fliplr": [((a,), {}, ValueError, "2-d")], "flipud": [((np.array(1.0),), {}, ValueError, "1-d")],
    "take": [((a, [3]), {}, IndexError, "out of bounds"), ((a, 0, 1), {}, ValueError, "axis 1"),
             ((a, 0), {"mode": "x"}, ValueError, "clipmode|mode")],
    "take_along_axis": [((a, np.array([3]), 0), {}, IndexError, "out of bounds"), ((b, np.array([0]), 0), {}, ValueError, "dimensions"),
                        ((a, np.array([0.5]), 0), {}, IndexError, "integer")],
    "diagonal": [((a,), {}, ValueError, "at least two"), ((b, 0, 1, 1), {}, ValueError, "same")],
    "compress": [(([True] * 4, a), {}, IndexError, "out of bounds"), (([True], a), {"axis": 1}, ValueError, "axis 1")],
    "extract": [(([True] * 4, a), {}, IndexError, "out of bounds")],
    "broadcast_arrays": [((a, np.ones(4)), {}, ValueError, "broadcast")],
    "rollaxis": [((b, 2), {}, ValueError, "axis 2"), ((b, 0, 4), {}, ValueError, "start")],
    "matrix_transpose": [((a,), {}, ValueError, "2-dimensional")],
    "permute_dims": [((b, (0, 0)), {}, ValueError, "repeated axis")],
    "meshgrid": [((a,), {"indexing": "zz"}, ValueError, "indexing"), ((a,), {"sparce": True}, TypeError, "sparce")],
    "resize": [((a, (-1,)), {}, ValueError, "negative")],
    "apply_along_axis": [((Named(total), 1, a), {}, ValueError, "axis 1"), ((Named(total), 0, np.ones((2, 0))), {}, ValueError, "no row")],
    "apply_over_axes": [((np.sum, a, 1), {}, ValueError, "axis 1")],
    "ix_": [((b,), {}, ValueError, "1 dimensional")],
    "sliding_window_view": [((a, 4), {}, ValueError, "larger"), ((a, 1, 1), {}, ValueError, "axis 1"), ((a, (1, 1)), {}, ValueError, "window_shape")],
    "flat": [((a, 3), {}, IndexError, "out of bounds"), ((a, (0, 0)), {}, IndexError, "")],
}
