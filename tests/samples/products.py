"""Samples of the products of vectors and matrices. What a sample file holds is said in elementwise.py."""

import warnings
from functools import partial

import numpy as np

from .shapes import BOX, DTYPES, cross, layouts, plain, values

VECTORS = [((3,), (3,)), ((1,), (1,)), ((0,), (0,))]
MATRICES = [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((1, 3), (3, 1)), ((0, 2), (2,))]
STACKS = [(BOX, (4, 5)), (BOX, (2, 4, 5)), (BOX, (1, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((5, 1, 3, 4), (2, 4, 2)), (BOX, (4,)),
          ((4,), (2, 4, 3)),
          ((0, 3, 4), (4, 2)), ((2, 2, 3, 0), (0, 2)), ((4,), (2, 3, 4, 1))]
SCALARS = [((), ()), ((), (3,)), ((2, 3), ()), ((0,), ())]


def pairs(shapes, *options, least=42):
    """Both arguments in all layouts and dtypes by turns; some pairs differ in their dtype; an option is (args, kwargs)."""
    samples = []
    while len(samples) < least:
        for x, y in shapes:
            k = len(samples)
            one, two = DTYPES[k % 3], DTYPES[(k + (k % 4 == 3)) % 3]
            left, right = layouts(*x, dtype=one, seed=k), layouts(*y, dtype=two, seed=k + 1)
            args, kwargs = options[(k + k // len(shapes)) % len(options)] if options else ((), {})
            samples.append(((left[k // 3 % len(left)], right[k // 2 % len(right)], *args), kwargs))
    return samples


def options(**kwargs):
    return (), kwargs


TALL = [((2, 3), (3,)), (BOX, (4,)), ((3,), (2, 3, 4)), (BOX, (5, 4, 2)), ((2, 3), (4, 3, 2)), ((0, 3), (2, 3, 1)), ((2, 0), (3, 0, 2))]
ROWS = [((2, 3), (4, 3)), (BOX, (5, 4)), (BOX, (4,)), ((3,), (2, 3)), ((2, 0), (3, 0)), ((0, 3), (2, 3)), ((1, 3), (2, 2, 3))]
FLAT = [((2, 3), (3, 2)), ((6,), (1, 2, 3)), ((), ()), ((1,), ()), ((2, 0), (0, 3)), (BOX, (4, 3, 2))]
ALONG = [((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), BOX[:1] + (5, 3)), ((2, 1, 4), (3, 4)), ((2, 0), (0,)), ((0, 3), (3,)), ((1,), (2, 1))]
ACROSS = [((2, 3, 4), (4,)), ((2, 3), (3,)), ((2, 3), (5, 3)), ((1, 2, 3), (4, 3)), ((0, 2), (2,)), ((2, 0), (0,)), ((3, 1, 2, 2), (2, 2))]
SPACE = [((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 4, 3)), ((2, 1, 3), (4, 3)), ((0, 3), (3,)), ((1, 3), (2, 3))]
PLANE = [((2,), (2,)), ((3, 2), (2,)), ((2,), (3,)), ((4, 3), (2,)), ((2, 3), (2, 2))]
SEQUENCES = [((5,), (3,)), ((3,), (5,)), ((4,), (2,)), ((2,), (4,)), ((1,), (1,)), ((4,), (4,)), ((6,), (1,)), ((1,), (3,))]
BLOCKS = [((2,), (3,)), ((2, 3), (2, 1)), ((2,), (2, 2)), ((2, 1, 2), (3,)), ((), (2,)), ((1, 1), (2, 2)), ((0,), (2,)), ((2, 0), (2, 2))]


def precise(x, y):
    """In another precision than that of the arguments."""
    return [((values(*x, dtype=np.float32), values(*y)), {"dtype": dtype}) for dtype in (np.complex128, np.float64)]


def with_axes():
    """Vectors and matrices that do not lie along the last axes."""
    square, wide = options(axes=[(1, 0), (0, 1), (0, 1)]), options(axes=[(-1, -2), (-2, -1), (-1, -2)])
    kept, turned = options(axis=0, keepdims=True), options(axes=[0, 0], keepdims=True)
    samples = {
        np.matmul: [*pairs([((3, 2), (3, 4))], square, wide, least=4),
                    *pairs([((4, 2, 3), (3, 4, 5))], options(axes=[(1, 0), (1, 2), (0, 2)]), options(axes=[(1, 0), (1, 2), (-1, 0)]), least=3),
                    *pairs([((3,), (4, 3))], options(axes=[0, (1, 0), 0]), options(axes=[(0,), (1, 0), (-1,)]), least=3), *precise((2, 3), (3, 2))],
        np.vecdot: [*pairs([((3, 2), (3, 2)), ((3,), (3, 2)), ((3, 1, 2), (3, 4, 1))], options(axis=0), kept, options(axes=[0, 0]), turned, least=24),
                    *pairs([((2, 3), (3, 2))], options(axes=[1, 0]), options(axes=[(1,), 0, ()]), options(axes=[-1, 0, 0], keepdims=True), least=3),
                    *pairs([((2, 3), (2, 3))], options(keepdims=True), least=3), *precise((2, 3), (3,))],
        np.matvec: [*pairs([((4, 3, 2), (3, 5, 2))], options(axes=[(0, 1), 0, 0]), options(axes=[(0, 1), -3, -1]), least=8), *precise((2, 3), (3,))],
        np.vecmat: pairs([((3, 2), (3, 4, 2))], options(axes=[0, (0, 1), 0]), options(axes=[-2, (0, 1), -1]), least=8),
    }
    return [((ufunc, *args), kwargs) for ufunc, each in samples.items() for args, kwargs in each]


def vecmat():
    return [((y, x), kwargs) for (x, y), kwargs in pairs([(x[:-2] + x[:-3:-1], y) for x, y in ACROSS])]


def cross_product():
    turned = [((3, 2), (3, 2)), ((3, 4, 2), (3, 2)), ((3,), (3, 2))]
    return [*pairs(SPACE), *pairs(turned, options(axis=0), options(axisa=0, axisb=0), options(axisa=0, axisb=0, axisc=0), least=9),
            *pairs([((2, 3), (3, 2))], ((-1, 0), {}), ((1, 0, 0), {}), options(axisb=0, axisc=-1), least=4)]


def cross_in_plane(x, y, **kwargs):
    """NumPy's cross product of vectors with two components, which it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.cross(x, y, **kwargs)



def tensordot():
    return [*pairs([((2, 3), (3, 4)), (BOX, (4,)), ((0, 3), (3, 2)), ((2, 0), (0, 2))], options(axes=1), least=8),
            *pairs([((5, 3, 4), (3, 4, 2)), ((3, 4), (3, 4))], options(), options(axes=2), least=6),
            *pairs([((2,), (3,)), ((), (2, 2))], options(axes=0), least=6),
            *pairs([(BOX, (4, 3))], options(axes=([1, 2], [1, 0])), options(axes=(2, 0)), options(axes=[[-1], [0]]), least=8)]


# operands' shapes and the sum's names of their axes
SUMS = [
    ("ij,jk->ik", (2, 3), (3, 2)), ("ij,jk", (2, 3), (3, 4)), ("ij,ij", (2, 3), (2, 3)), ("i,j->ji", (2,), (3,)), ("ba", (2, 3)), ("ij->", (2, 3)),
    ("ijk->j", BOX), ("ijk->kij", BOX), ("ij,kj->ik", (2, 3), (4, 3)), ("ij,k->i", (2, 3), (4,)), ("Aa,aA->a", (2, 3), (3, 2)),
    (" i j , j k -> i k ", (2, 2), (2, 2)), (",->", (), ()), ("i,->i", (3,), ()), ("->", ()),
    # an axis twice in one operand
    ("ii->i", (3, 3)), ("ii", (3, 3)), ("iij->ij", (2, 2, 3)), ("iji->j", (2, 3, 2)), ("iijj->ij", (2, 2, 3, 3)), ("iii->", (2, 2, 2)),
    ("ii,i->i", (3, 3), (3,)), ("ij,jj->i", (2, 3), (3, 3)), ("i...i->...", (2, 3, 2)), ("ii->i", (1, 1)), ("ii->", (0, 0)),
    # many operands
    ("ij,j,i->", (2, 3), (3,), (2,)), ("i,i,i->i", (3,), (3,), (3,)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ab,bc,cd,da->", (2, 3), (3, 2), (2, 3), (3, 2)), ("i,j,k,l->lkji", (2,), (1,), (3,), (2,)),
    ("ijk,ilm,njm,nlk,abc->", (2, 1, 2), (2, 1, 2), (2, 1, 2), (2, 1, 2), (1, 2, 1)),
    # broadcasting, and nothing to sum
    ("...i->...", (2, 3)), ("i...->...", (2, 3)), ("...ij,...jk->...ik", (2, 2, 3), (3, 2)), ("...ij,...jk", (3, 2, 2), (1, 2, 2)),
    ("b...,b...->...", (2, 3), (2, 1)), ("...,...->...", (2, 3), (3,)), ("...", (2, 3)), ("...a,a...->a...", (2, 3), (3, 2)),
    ("ij,ij->ij", (1, 3), (2, 1)), ("i,i->", (1,), (3,)), ("ij,j->i", (2, 1), (3,)),
    ("ij,jk->ik", (2, 0), (0, 3)), ("ij->i", (0, 3)), ("ij->j", (0, 3)),
]
NUMBERED = [
    ([0, 1], (2, 3), [1, 2], (3, 2), [0, 2]), ([0, 1], (2, 3), [1, 2], (3, 2)), ([0, 0], (3, 3)), ([0, 0], (3, 3), [0]), ([..., 0], (2, 3), [...]),
    ([..., 3, 51], (2, 2, 3), [..., 51], (2, 3), [..., 3]), ((1, 0), (2, 3), (0, 1)),
]


def einsum():
    samples = []
    for k, (subscripts, *shapes) in enumerate(SUMS * 2):
        forms = [layouts(*shape, dtype=DTYPES[(k + i * (k % 4 == 3)) % 3], seed=k + i) for i, shape in enumerate(shapes)]
        xs = [form[(k + i) % len(form)] for i, form in enumerate(forms)]
        samples.append(((subscripts, *xs), {} if k < len(SUMS) else {"optimize": (True, "greedy", "optimal", ("greedy", 100))[k % 4]}))
    for k, parts in enumerate(NUMBERED):
        xs = [values(*shape, dtype=DTYPES[k % 3], seed=i) for i, shape in enumerate(parts[1::2])]
        # the axes of each operand, in turn with the operands, and at the end those of the result, where they are given
        args = [part for x, axes in zip(xs, parts[::2], strict=False) for part in (x, axes)] + list(parts[2 * len(xs):])
        samples.append((tuple(args), {}))
    x, y, z = values(2, 3), values(3, 4, seed=1), values(4, 2, seed=2)
    path = ["einsum_path", (1, 2), (0, 1)]
    return [*samples, (("ij,jk,kl", x, y, z), {"optimize": path}), (("ij->ji", x), {"order": "F"}), (("ij,j", x, np.arange(3)), {}),
            (("i,i", [1.0, 2.0], values(2)), {}), (("ij,jk", x, y), {"dtype": np.complex128}),
            (("ij,jk", x.astype(np.float32), y.astype(np.float32)), {"dtype": float})]


MODES = [((), {}), (("full",), {}), (("same",), {}), options(mode="valid"), (("same",), {}), (("valid",), {}), (("full",), {})]
DIAGONALS = [plain(shape=(3, 3)), plain(1, shape=(3, 4)), plain(-1, shape=(2, 3)), plain(shape=BOX), plain(0, 1, 2, shape=BOX),
             plain(offset=1, axis1=2, axis2=0, shape=BOX), plain(shape=(0, 2)), plain(5, shape=(2, 2)), plain(dtype=np.complex128, shape=(3, 3))]

SAMPLES = {
    "matmul": partial(pairs, [*VECTORS, *MATRICES, *STACKS]),
    "dot":    partial(pairs, [*VECTORS, *SCALARS, *MATRICES, *TALL]),
    "inner":  partial(pairs, [*VECTORS, *SCALARS, *ROWS]),
    "outer":  partial(pairs, [*VECTORS, ((2,), (3,)), ((2, 3), (2,)), ((), (3,)), ((), ()), ((0,), (2,)), (BOX, (1, 2))]),
    "vdot":   partial(pairs, [*VECTORS, *FLAT]),
    "vecdot": partial(pairs, ALONG),
    "matvec": partial(pairs, ACROSS),
    "vecmat": vecmat,
    "cross":  cross_product,
    "cross in the plane": lambda: pairs(PLANE, least=15) + pairs([((2, 4), (3, 4))], options(axis=0), least=3),
    "convolve":  partial(pairs, [*SEQUENCES, ((), (3,)), ((2,), ())], *MODES, least=70),
    "correlate": partial(pairs, SEQUENCES, *MODES, least=56),
    "einsum": einsum,
    "tensordot": tensordot,
    "kron":   partial(pairs, BLOCKS, least=16),
    "trace":  partial(cross, [], DIAGONALS, least=20),
    "with_axes": with_axes,
}
CALLS = {"cross in the plane": cross_in_plane, "with_axes": lambda ufunc, x, y, **options: ufunc(x, y, **options)}

inf = np.inf
TIES = {
    "matmul": [((values(2, 0), values(0, 3)), {}, (np.zeros((2, 0)), np.zeros((0, 3))))],
    "dot": [((np.array([[1.0, 2.0]]), np.array([[3.0], [5.0]])), {}, ([[3.0, 5.0]], [[1.0], [2.0]]))],
    "vdot": [((np.array([1j, 2.0]), np.array([3j, 5.0])), {}, ([3j, 5.0], [1j, 2.0]))],
    "einsum": [(("ii,i->i", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([inf, 5.0])), {}, (None, [[inf, 0.0], [0.0, 5.0]], [1.0, 4.0])),
               (("ij->j", np.array([[1.0, 2.0]])), {}, (None, [[1.0, 1.0]])),
               (("i,i->i", np.array([2.0]), np.array([3.0, 4.0])), {}, (None, [7.0], [2.0, 2.0]))],
    "convolve": [((np.array([1.0, 2.0]), np.array([3.0, inf])), {}, ([inf, inf], [3.0, 3.0]))],
}

x, y = values(2, 3), values(2, 3)
ERRORS = {
    "matmul": [((x, y), {}, ValueError, r"matmul: inner sizes differ, 3 != 2\n +x +\(2, 3\) float64\n"), ((x, values(4)), {}, ValueError, ""),
               ((x, values()), {}, ValueError, "matmul"),
               ((values(2, 3, 4), values(3, 4, 2)), {}, ValueError, r"x +\(2, 3, 4\) float64")],
    "dot": [((x, y), {}, ValueError, r"\(2,3\) and \(2,3\) not aligned"), ((x, values(2)), {}, ValueError, "not aligned")],
    "inner": [((x, values(3, 2)), {}, ValueError, "not aligned")],
    "vdot": [((x, values(5)), {}, ValueError, "")],
    "vecdot": [((x, values(2)), {}, ValueError, "size 2 is different from 3")],
    "matvec": [((x, values(2)), {}, ValueError, "size 2 is different from 3"), ((values(3), values(3)), {}, ValueError, "")],
    "vecmat": [((values(3), x), {}, ValueError, "")],
    "cross": [((x, values(4)), {}, ValueError, "incompatible dimensions")],
    "with_axes": [((np.matmul, x, y), {"axis": 0}, TypeError, "single shared core dimension"), ((np.vecdot, x, y), {"axis": 5}, ValueError, "axis 5"),
                  ((np.matmul, x, y), {"axes": [(0, 1), (0, 1), (0, 1)]}, ValueError, "size 2")],
    "convolve": [((values(0), values(2)), {}, ValueError, "cannot be empty"), ((x, values(2)), {}, ValueError, "too deep"),
                 ((values(3), values(2), "all"), {}, ValueError, "mode must be")],
    "correlate": [((values(3), values(2), "all"), {}, ValueError, "mode must be"), ((x, values(2)), {}, ValueError, "")],
    "einsum": [(("ij,jk", x, y), {}, ValueError, "could not be broadcast"), (("ij,jk->il", x, y), {}, ValueError, "output subscript 'l'"),
               (("ii", x), {}, ValueError, "don't match"), (("i", x), {}, ValueError, "more dimensions than subscripts"),
               (("ij,ij", x), {}, ValueError, "more operands")],
    "tensordot": [((x, y), {"axes": 1}, ValueError, "shape-mismatch")],
    "trace": [((values(3),), {}, ValueError, "")],
}
