"""Samples of what puts arrays together: pad, choose, select, diag, stacks, insert... What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from .shapes import ANY, BOX, DTYPES, MASK, Named, cross, joined, layouts, plain, values

nan, inf = np.nan, np.inf

SIX, FIVE = (2, 3), (5,)

OPTIONS = {
    "diag":         [plain(shape=FIVE), plain(2, shape=FIVE), plain(-1, shape=FIVE), plain(shape=SIX), plain(k=1, shape=SIX), plain(-9, shape=SIX),
                     plain(shape=(0,)), plain(3, shape=(0,)), plain(-2, shape=(1,)), plain(shape=(0, 3))],
    "diagflat":     [plain(), plain(2, shape=SIX), plain(k=-1, shape=FIVE)],
    "vander":       [plain(shape=FIVE), plain(3, shape=FIVE), plain(N=4, increasing=True, shape=FIVE), plain(1, shape=FIVE), plain(0, shape=FIVE),
                     plain(shape=(1,)), plain(shape=(0,)), plain(2, True, shape=(1,))],
    "hsplit":       [plain(2, shape=(6,)), plain([1, 2], shape=SIX), plain(3, shape=SIX), plain((1,), shape=BOX)],
    "vsplit":       [plain(2, shape=BOX), plain([1], shape=SIX), plain(2, shape=SIX), plain([0, 5], shape=SIX)],
    "dsplit":       [plain(2, shape=BOX), plain([1, 3], shape=BOX), plain(4, shape=BOX), plain([-1], shape=BOX)],
    "unstack":      [plain(shape=FIVE), plain(shape=BOX), plain(axis=1, shape=SIX), plain(axis=-1, shape=BOX)],
    "delete":       [plain(1, shape=FIVE), plain(-1, 0, shape=SIX), plain([0, 2], 1, shape=BOX), plain(slice(1, 4, 2), shape=FIVE),
                     plain(np.array([True, False, True]), axis=1, shape=SIX), plain([], 0, shape=SIX), plain([1, 1, -1], shape=SIX),
                     plain(slice(None), shape=FIVE), plain(0, 1, shape=(2, 1))],
    "append":       [plain(values(3), shape=()), plain(values(2, 2)), plain(values(1, 3), 0, shape=SIX), plain(values(2, 1), axis=-1, shape=SIX),
                     plain(2.5), plain([1, 2])],
    "insert":       [plain(1, 2.5, shape=FIVE), plain(-1, values(3), 0, shape=SIX), plain([1, 3], values(2), shape=FIVE),
                     plain([2, 0, 0], values(3), shape=FIVE),
                     plain(slice(0, 4, 2), values(2), shape=FIVE), plain([0, 2], values(2, 2), axis=1, shape=SIX),
                     plain(1, values(2, 1), 1, shape=SIX),
                     plain(np.array([True, False, True]), 7.5, axis=1, shape=SIX), plain(0, values(2, 1, 4), axis=1, shape=(2, 3, 4)),
                     plain(2, values(3), shape=FIVE), plain([1], values(2, 4), axis=1, shape=BOX), plain(0, values(2), shape=(0,))],
}

PAD = [
    *[plain(width, mode) for mode in ("constant",) for width in (1, (2, 0), 0)],
    *[plain(width, mode, shape=shape) for mode in ("edge", "reflect", "symmetric", "wrap", "maximum", "minimum", "mean", "median", "linear_ramp")
      for width, shape in (((2, 3), FIVE), (((1, 0), (0, 2)), SIX), (1, BOX), (7, (3,)), (0, (0,)), (1, ()), (((0, 0), (1, 2), (0, 0)), (2, 1, 3)))
      if (mode, shape) != ("median", BOX)],  # two of its means are nearly equal
    *[plain((2, 6), mode, shape=shape, reflect_type="odd") for mode in ("reflect", "symmetric") for shape in (FIVE, SIX, (1, 3))],
    *[plain(3, mode, shape=shape, stat_length=length) for mode in ("maximum", "minimum", "mean", "median")
      for length, shape in ((2, FIVE), (((1, 2), (3, 1)), SIX), ((3,), (4,)))],
    plain(2, "constant", constant_values=1.5, shape=FIVE), plain(2, "constant", constant_values=(1.5, 2), shape=SIX),
    plain(1, constant_values=((1, 2), (3, 4.5)), shape=SIX), plain(2, "linear_ramp", end_values=(5, -4), shape=FIVE),
    plain({0: 1, -1: (2, 0)}, "edge", shape=SIX), plain({-2: (1, 2)}, shape=BOX), plain([[2], [1]], "wrap", shape=SIX),
    plain(((1, 2),), shape=(0, 3)),
    plain((2, 1), "edge", shape=(2, 3, 4)), plain(np.array([1, 2]), "reflect", shape=(4,)),
]


def spread_ends(vector, width, axis, options):
    """A user's function for pad: the ends get the sum of the middle, scaled by the axis."""
    total = vector[width[0] : len(vector) - width[1]].sum() * (axis + options.get("scale", 1.0))
    vector[: width[0]] = total
    vector[len(vector) - width[1] :] = -total * total


def pad():
    by_function = [plain(1, Named(spread_ends), shape=SIX), plain(((1, 0), (0, 2)), Named(spread_ends), scale=2.0, shape=SIX),
                   plain((2, 1), Named(spread_ends), shape=(3,))]
    return cross(ANY, PAD, least=1) + cross(ANY, by_function, DTYPES[:2], least=6)


def pad_values():
    """The values at the ends, which have gradients too."""
    cases = [((5,), 2, "constant", ()), (SIX, ((1, 2), (0, 3)), "constant", (2,)), (SIX, ((1, 2), (0, 3)), "constant", (2, 2)),
             (SIX, 1, "constant", (1,)),
             (SIX, 1, "constant", (2, 1)), (BOX, 1, "constant", (3, 2)), ((5,), 2, "linear_ramp", ()), (SIX, ((1, 2), (0, 3)), "linear_ramp", (2,)),
             (SIX, 2, "linear_ramp", (2, 2)), ((0,), 2, "constant", (2,))]
    return [((layouts(*shape, dtype=DTYPES[k % 3], seed=k)[k % 4], values(*ends, dtype=DTYPES[k % 3]), width, mode), {})
            for k, (shape, width, mode, ends) in enumerate(cases)]


def padded(x, ends, width, mode):
    """`np.pad` looks for Tensors in its first argument only, but it is one that finds them in the others."""
    return np.pad(x, width, mode, **{"constant_values" if mode == "constant" else "end_values": ends})


def stacks(*shapes, **options):
    return [*joined(shapes, ((), options), least=12), (([values(1, 1, 1), values(1, 1, 1, dtype=np.float32)],), {"dtype": np.float64}),
            (([values(1, 1, 1), values(1, 1, 1, dtype=np.complex128)],), {}), (([values(1, 1, 1), np.ones((1, 1, 1), int)],), {})]


def block():
    a, b, c = values(2, 2), values(2, 3, dtype=np.complex128), values(1, 5, dtype=np.float32)
    lists = [[a, b], [a[0], b[1]], [values(), values(3)], [np.asfortranarray(a), np.asfortranarray(a)], [values(2, 0), a],
             [values(2, 2, 1), values(2, 2, 2)], [c], [c, 2.5 * c], [values(1, 2), values(2, dtype=np.float32)]]
    return [((arrays,), {}) for arrays in lists] + [((layouts(*SIX, dtype=np.float32)[2],), {})]


def block_nested():
    """Blocks of blocks, by their numbers."""
    a, b, c, point, row = values(2, 2), values(2, 3, dtype=np.complex128), values(1, 5, dtype=np.float32), values(), values(3)
    return [(([[0, 1], [2]], a, b, c), {}), (([[0, 1], [1, 0]], a, values(2, 2, seed=1).T), {}), (([[0], [0]], row), {}),
            (([[0, 0, 0], [1]], point, row), {}), (([[[0], [1]], [[1], [0]]], a, values(2, 2, seed=1)), {}),
            (([[0, 1], [1, 0]], np.asfortranarray(a), values(2, 2)[::-1]), {}), (([[0]], point), {}), (([[0, 1]], values(2, 0), a), {}),
            (([[[0]]], a), {}), (([[0], [1]], c, 2 * c), {})]


def nested(numbers, *arrays):
    return [nested(part, *arrays) for part in numbers] if isinstance(numbers, list) else arrays[numbers]


def insert():
    return cross(ANY, OPTIONS["insert"], least=12) + [((values(2, 2), 1, 3), {"axis": 0})]


def choose():
    samples = []
    for k, (a, shapes, mode) in enumerate([
        ([0, 1, 1], [(3,), (3,)], "raise"), ([[0], [2]], [(3,), (2, 1), ()], "raise"), ([3, -1, 1], [(3,), (3,)], "wrap"),
        ([3, -1, 1], [(3,), (3,)], "clip"),
        (1, [SIX, SIX], "raise"), ([[1, 0, 1]], [(2, 1), (1,)], "raise"), ([], [(0,), ()], "raise"), (MASK.astype(int), [SIX, SIX], "raise"),
    ]):  # fmt: skip
        samples.append(((np.array(a, int), [layouts(*shape, dtype=DTYPES[k % 3], seed=i)[i % 2 if shape else 0] for i, shape in enumerate(shapes)]),
                        {"mode": mode}))
    stacked = [((np.array([0, 2, 1]), values(3, 3, dtype=dtype)), {}) for dtype in DTYPES]
    return [*samples, *stacked, ((np.array([0, 1]), [values(2, dtype=np.float32), 1.5]), {}),
            ((np.array([0, 1]), [values(2, dtype=np.float32), values(2)]), {})]


def select():
    samples = []
    for k, (conditions, choices, default) in enumerate([
        ([MASK, ~MASK], [SIX, SIX], ()), ([MASK], [(3,)], (2, 1)), ([MASK[0], MASK[1]], [(), SIX], SIX), ([MASK, MASK], [SIX, SIX], None),
        ([True], [()], ()), ([MASK[:, :0]], [(2, 0)], None),
    ] * 2):  # fmt: skip
        arrays = [layouts(*shape, dtype=DTYPES[(k + i) % 3], seed=i)[k % 4 if shape else 0] for i, shape in enumerate(choices)]
        samples.append((([np.array(c) for c in conditions], arrays, 2.5 if default is None else values(*default, dtype=DTYPES[k % 3], seed=9)), {}))
    return samples


def halved(x): return x / 2
def inverse(x, power=1): return 1 / x**power


def piecewise():
    cases = []
    for k, shape in enumerate([FIVE, SIX, (), (0,), (1,), BOX]):
        x = layouts(*shape, dtype=DTYPES[k % 3], seed=k)[k % 4 if shape else 0]
        cases += [((x, [x.real > 0, x.real < 0], [Named(inverse), Named(halved)]), {}), ((x, [x.real > 0.5], [Named(np.square), 3.0]), {}),
                  ((x, [x.real < 0], [Named(inverse), Named(inverse)], 2), {})]
    return [*cases, ((values(3), np.array([True, False, True]), [Named(halved)]), {}),
            ((values(3), [[True, False, True]], [4.0, Named(inverse)]), {"power": 3})]


def r_():
    return [((values(3), values(2)), {}), ((values(), values(2, dtype=np.complex128)), {}), ((values(2, dtype=np.float32), values(1)), {})] + [
        ((values(k % 3, dtype=DTYPES[k % 3]), values(2, seed=k)), {}) for k in range(8)]


def c_():
    return [((values(n, dtype=DTYPES[k % 3]), values(n, seed=k)), {}) for k,
            n in enumerate([1, 3, 2, 0, 4] * 2)] + [((values(2, 2), values(2, 1)), {})]


def rows_of(module):
    return lambda x, y: (module.r_[x, y], module.r_[x, 1.5, 2:4, y], module.r_[1:2:3j, y], module.r_["0,2", y, y], module.r_["1,2,0", y, y],
                         module.r_["-1", y])


def columns_of(module):
    return lambda x, y: (module.c_[x, y], module.c_[x, y, x])


def of(numpys, ours):
    """NumPy's function where there is no Tensor, and ours where there is."""
    return lambda *args, **kwargs: (ours if any(hasattr(x, "requires_grad") for x in args) else numpys)(*args, **kwargs)


CALLS = {
    "pad_values": padded,
    "block_nested": lambda numbers, *arrays: np.block(nested(numbers, *arrays)),
    "r_": of(rows_of(np), lambda x, y: rows_of(__import__("gradnerve"))(x, y)),
    "c_": of(columns_of(np), lambda x, y: columns_of(__import__("gradnerve"))(x, y)),
}

SAMPLES = {name: partial(cross, ANY, options, least=10) for name, options in OPTIONS.items()}
SAMPLES |= {f.__name__: f for f in (pad, pad_values, block, block_nested, insert, choose, select, piecewise, r_, c_)}
SAMPLES |= {
    "vstack":       partial(stacks, [(3,), (2, 3)], [(), (1,)], [SIX] * 2, [(0, 3), SIX], [BOX]),
    "hstack":       partial(stacks, [(3,), (2,)], [(), (1,)], [SIX, (2, 1)], [(2, 0), SIX], [BOX]),
    "dstack":       lambda: [(args, {}) for args, _ in stacks([(3,), (3,)], [()], [SIX] * 2, [SIX, (2, 3, 2)], [(0,)])],
    "column_stack": lambda: [(args, {}) for args, _ in stacks([(3,), (3,)], [(2,), SIX], [SIX] * 2, [()], [(0,)])],
}
TIES = {
    "choose": [((np.array([0, 0, 1]), np.array([1.0, nan])), {}, (None, [2.0, 1.0]))],
    "pad": [((np.array([3.0, 1.0, 3.0]), 1, "maximum"), {}, ([2.0, 1.0, 2.0],)), ((np.array([1.0, 2.0]), (2, 0), "edge"), {}, ([3.0, 1.0],)),
            ((np.array([nan, 2.0]), 1), {}, ([1.0, 1.0],))],
}

a, b = np.ones(3), np.ones((2, 3))
ERRORS = {
    "pad": [((a, -1), {}, ValueError, "negative"), ((a, 1, "nonsense"), {}, ValueError, "not supported"),
            ((a, (1, 2, 3)), {}, ValueError, "broadcast"), ((a, 1.5), {}, TypeError, "integral"),
            ((a, 1, "edge"), {"constant_values": 2}, ValueError, "unsupported keyword"), ((np.ones(0), 1, "edge"), {}, ValueError, "empty axis"),
            ((a, 1, "maximum"), {"stat_length": 0}, ValueError, "stat_length of 0"),
            ((a, 1, "reflect"), {"reflect_type": "odd", "x": 1}, ValueError, "unsupported")],
    "choose": [((np.array([2]), [a, a]), {}, ValueError, "invalid entry"), ((np.array([0, 1]), [a, a]), {}, ValueError, "broadcast|mismatch")],
    "select": [(([b > 0], [b, b]), {}, ValueError, "same length"), (([b], [b]), {}, TypeError, "boolean"),
               (([b > 0], [np.ones(4)]), {}, ValueError, "broadcast")],
    "piecewise": [((a, [a > 0], [1, 2, 3]), {}, ValueError, "expected")],
    "diag": [((np.ones((2, 2, 2)),), {}, ValueError, "1- or 2-d"), ((np.array(1.0),), {}, ValueError, "1- or 2-d")],
    "vander": [((b,), {}, ValueError, "one-dimensional"), ((a, -1), {}, ValueError, "negative")],
    "hsplit": [((a, 2), {}, ValueError, "equal division"), ((np.array(1.0), 1), {}, ValueError, "1 or more")],
    "vsplit": [((a, 1), {}, ValueError, "2 or more")], "dsplit": [((b, 1), {}, ValueError, "3 or more")],
    "unstack": [((np.array(1.0),), {}, ValueError, "at least 1-d"), ((a,), {"axis": 1}, ValueError, "axis 1")],
    "vstack": [(([a, np.ones(4)],), {}, ValueError, "match")], "hstack": [(([b, np.ones((3, 3))],), {}, ValueError, "match")],
    "dstack": [(([b, np.ones((2, 4))],), {}, ValueError, "match")], "column_stack": [(([a, np.ones(4)],), {}, ValueError, "match")],
    "block": [(([[a, a], [np.ones(4)]],), {}, ValueError, "match"), (([[a], a],), {}, ValueError, "depth")],
    "append": [((b, a, 0), {}, ValueError, "dimension")],
    "insert": [((a, 5, 1.0), {}, IndexError, "out of bounds"), ((b, 1, np.ones(4), 0), {}, ValueError, "broadcast")],
    "delete": [((a, 5), {}, IndexError, "out of bounds"), ((b, 0, 2), {}, ValueError, "axis 2")],
}
