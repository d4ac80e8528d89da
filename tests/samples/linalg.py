"""Samples of linear algebra, with SciPy's functions where there is SciPy. What a sample file holds is said in elementwise.py.

Matrices are well-conditioned, with eigenvalues and singular values far apart. A function that takes hermitian matrices is called on the
hermitian part; the free phases of complex vectors are fixed by their sum, and vectors that only complete a basis by their projector.
"""

import importlib.util
from functools import partial

import numpy as np

from .shapes import BOX, values

ALL = (np.float64, np.complex128, np.float32, np.complex64)
REAL = (np.float64, np.float32)


# ---- matrices ----------------------------------------------------------------------------------------------------------------------


def matrices(*shape, dtype=np.float64, seed=0):
    """Something like diag(1, 2, 3...), of any shape."""
    x = 0.2 * values(*shape, dtype=dtype, seed=seed)
    k = min(shape[-2:])
    x[..., range(k), range(k)] += np.arange(1, k + 1)
    return x


def laid_out(x, turn):
    """The array in C order, in Fortran order, backwards, or as every second element of a larger one, by turns."""
    if not x.ndim or not turn % 4:
        return x
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return [np.asfortranarray(x), np.ascontiguousarray(x[::-1])[::-1], wide[..., ::2]][turn % 4 - 1]


def cases(shapes, *options, dtypes=ALL, least=42, make=matrices):
    """Every option with matrices of every shape; dtypes and layouts by turns. An option is a dictionary."""
    samples = []
    while len(samples) < least:
        for option in options or [{}]:
            for shape in shapes:
                k = len(samples)
                samples.append(((laid_out(make(*shape, dtype=dtypes[k % len(dtypes)], seed=k), k // len(dtypes)),), option))
    return samples


def pairs(shapes, *options, least=42, first=matrices, second=values, dtypes=ALL):
    """Two arrays, of different dtypes now and then."""
    samples = []
    while len(samples) < least:
        for option in options or [{}]:
            for one, two in shapes:
                k = len(samples)
                x = first(*one, dtype=dtypes[k % len(dtypes)], seed=k)
                y = second(*two, dtype=dtypes[(k + (k % 5 == 4)) % len(dtypes)], seed=k + 1)
                samples.append(((laid_out(x, k // 2), laid_out(y, k // 3)), option))
    return samples


SQUARE = [(2, 2), (3, 3), (1, 1), (2, 3, 3), (0, 0), (0, 2, 2), (2, 1, 2, 2)]
ANY = [(3, 2), (2, 3), (2, 2), (1, 1), (2, 3, 2), (1, 2, 2, 3), (4, 1), (0, 2), (2, 0, 2, 2), (3, 0)]
FULL = [(3, 2), (2, 3), (3, 3), (1, 1), (2, 2, 3), (1, 3)]

EQUATIONS = [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3,)), ((2, 2, 2), (2, 2, 1)), ((2, 2), (2, 2, 3)), ((1, 2, 2), (3, 2, 1)), ((0, 0), (0,)),
             ((2, 2), (2, 0)), ((0, 2, 2), (2,)), ((1, 1), (1,)), ((3, 1, 2, 2), (2, 2, 2)), ((0, 0), (0, 2))]
SYSTEMS = [((4, 2), (4,)), ((4, 2), (4, 3)), ((3, 3), (3,)), ((2, 4), (2,)), ((2, 3), (2, 2)), ((3, 2), (3, 0)), ((0, 2), (0,)), ((1, 1), (1, 1)),
           ((3, 1), (3,)), ((2, 2), (2, 2))]


def pinv():
    cut = [((matrices(*shape, dtype=ALL[k], seed=k),), {"rcond": rcond})
           for k, (shape, rcond) in enumerate([((3, 3), 0.5), ((4, 3), 0.8), ((2, 3, 4), 0.5), ((2, 3, 3), np.array([0.5, 0.0]))])]
    given = [{}, {"rcond": 1e-9}, {"rtol": None}, {"rtol": 1e-6}]
    return cut + cases(ANY[:-2], *given) + cases(SQUARE[:-2], {"hermitian": True}, {"hermitian": True, "rtol": 0.5}, least=8)


def lstsq():
    cut = pairs([((4, 3), (4,)), ((3, 3), (3, 2)), ((3, 4), (3,))], {"rcond": 0.5}, least=6)
    return cut + pairs(SYSTEMS, {}, {"rcond": 1e-6})


def tensorsolve():
    a = matrices(6, 6).reshape(2, 3, 6), matrices(6, 6, dtype=np.complex128).reshape(6, 2, 3), matrices(4, 4, dtype=np.float32).reshape(2, 2, 2, 2)
    calls = [((a[0], values(2, 3)), {}), ((a[1], values(6)), {}), ((a[2], values(2, 2, dtype=np.float32)), {}),
             ((a[2].swapaxes(1, 2), values(2, 2)), {"axes": (1, 3)}), ((a[0].transpose(2, 0, 1), values(2, 3)), {"axes": (0,)}),
             ((a[1].transpose(1, 0, 2), values(6, dtype=np.complex128)), {"axes": [0, 2]}), ((matrices(3, 3), values(3)), {}),
             ((matrices(1, 1), values(1)), {}), ((matrices(2, 2), values(2, dtype=np.complex64)), {"axes": (1,)}), ((matrices(0, 0), values(0)), {})]
    return [((laid_out(x, k), y), kwargs) for k, ((x, y), kwargs) in enumerate(calls)]


def tensorinv():
    shapes = [((2, 3, 6), 2), ((6, 3, 2), 1), ((4, 2, 2), 1), ((2, 2, 2, 2), 2), ((3, 3), 1), ((1, 1), 1)]
    return [((matrices(n, n, dtype=ALL[k % 4], seed=k).reshape(shape),), {"ind": ind}) for k in range(12)
            for shape, ind in [shapes[k % 6]] for n in [int(np.prod(shape[ind:]))]]


# ---- norms -------------------------------------------------------------------------------------------------------------------------

P = [3, 1.5, 0.5, -1, -2.5, np.float64(4)]
ORDERS = [None, 2, 1, 0, np.inf, -np.inf, *P]
OF_MATRICES = [None, "fro", "nuc", np.inf, -np.inf, 1, -1, 2, -2]


def norm():
    vectors = [{}, *({"ord": ord} for ord in ORDERS)]
    along = [{"ord": ord, "axis": [k % 3, (-1 - k % 3,)][k % 2], "keepdims": k % 4 > 1} for k, ord in enumerate(ORDERS * 2)]
    flat = [{"ord": ord, "keepdims": keep} for k, ord in enumerate(OF_MATRICES) for keep in (False, True)]
    deep = [{"ord": ord, "axis": [(0, 1), (2, 1), (-1, 0)][k % 3], "keepdims": k % 2 > 0} for k, ord in enumerate(OF_MATRICES * 2)]
    whole = [{}, {"keepdims": True}]
    return [*cases([(5,)], *vectors, make=values, least=20), *cases([(1,)], *vectors[:6], make=values, least=4),
            *cases([BOX], *along, make=values, least=4), *cases([(2, 3), (3, 2)], *flat), *cases([BOX], *deep, least=18),
            *cases([BOX, (), (1,)], *whole, make=values, least=6),
            *cases([(2, 0), (0, 3)], {"axis": 0, "ord": 1}, {"axis": 0, "ord": 3}, make=values, least=4)]


def p_norm():
    options = [{"ord": ord, "axis": axis, "keepdims": axis == 0} for ord in P for axis in (0, (1,), -1)]
    return cases([BOX, (2, 3)], *options, make=values) + cases([(5,), (1,)], *({"ord": ord} for ord in P), make=values, least=12)


def vector_norm():
    options = [{"ord": ord, "axis": [None, 0, (0, 2), (2, 1), -1][k % 5], "keepdims": k % 2 > 0} for k, ord in enumerate(ORDERS)]
    return cases([BOX], {}, *options, make=values, least=26)


def cond():
    options = [{"p": p} for p in (None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf)]
    return cases([(2, 2), (3, 3), (2, 2, 2)], *options, least=27) + cases([(3, 2), (2, 2, 3)], *options[:3], least=6)


# ---- what is composed --------------------------------------------------------------------------------------------------------------


def multi_dot():
    chains = [((2, 3), (3, 2)), ((2, 3), (3, 4), (4, 1)), ((3,), (3, 2), (2,)), ((4, 1), (1, 3), (3, 2), (2, 2)), ((2,), (2, 3), (3, 1), (1, 2)),
              ((2, 3), (3, 1), (1, 4), (4,)), ((3,), (3, 2)), ((1, 1), (1, 1), (1, 1)), ((2, 0), (0, 3), (3, 2)), ((3, 1), (1, 4), (4, 2))]
    return [(([laid_out(values(*shape, dtype=ALL[k % 4], seed=k + i), k + i) for i, shape in enumerate(chain)],), {})
            for k, chain in enumerate(chains * 2)]


def matrix_power():
    return cases([(2, 2), (2, 3, 3), (1, 1)], *({"n": n} for n in (0, 1, 2, 3, 4, 5, 7, -1, -2, -3)), least=30)


SPACE = [((3,), (3,)), ((2, 3), (3,)), ((4, 1, 3), (2, 3))]
PRODUCTS = {
    "cross":     pairs(SPACE, {}, first=values) + pairs([((3, 2), (3, 2)), ((3, 1), (3, 4))], {"axis": 0}, first=values, least=6),
    "vecdot":    pairs([*SPACE, ((0,), (0,))], {}, first=values) + pairs([((3, 2), (3, 2)), ((3, 4), (3, 1))], {"axis": 0}, first=values, least=6),
    "matmul":    pairs([((2, 3), (3, 2)), ((3,), (3, 4)), (BOX, (4, 2)), ((2, 3), (3,)), ((0, 2), (2, 3))], first=values, least=20),
    "outer":     pairs([((3,), (2,)), ((1,), (3,)), ((0,), (2,))], first=values, least=12),
    "tensordot": [*pairs([(BOX, (3, 4, 2))], {}, {"axes": 2}, first=values, least=6),
                  *pairs([(BOX, (4, 2)), ((2,), (2,))], {"axes": 1}, first=values, least=6),
                  *pairs([(BOX, (4, 3))], {"axes": ([1, 2], [1, 0])}, {"axes": [[2], [0]]}, {"axes": 0}, first=values, least=6)],
}  # fmt: skip
CORNERS = [{}, {"offset": 1}, {"offset": -1}, {"offset": 3}]

SAMPLES = {
    "linalg.inv":          partial(cases, SQUARE),                                  "linalg.det":      partial(cases, SQUARE),
    "linalg.slogdet":      partial(cases, SQUARE),                                  "linalg.solve":    partial(pairs, EQUATIONS),
    "linalg.cholesky":     partial(cases, SQUARE, {}, {"upper": True}),             "linalg.eigvals":  partial(cases, SQUARE),
    "linalg.eigh":         partial(cases, SQUARE, {}, {"UPLO": "U"}, {"UPLO": "l"}), "linalg.eigvalsh": partial(cases, SQUARE, {}, {"UPLO": "U"}),
    "linalg.eig":          partial(cases, SQUARE),                                  "linalg.svdvals":  partial(cases, ANY),
    "linalg.svd":          lambda: cases(ANY, {}, {"full_matrices": False}, {"compute_uv": False})
                                   + cases(SQUARE, {"hermitian": True}, {"hermitian": True, "compute_uv": False}, least=14),
    "linalg.qr":           partial(cases, ANY, {}, {"mode": "complete"}, {"mode": "r"}), "linalg.pinv": pinv,
    "linalg.lstsq":        lstsq,                                                   "linalg.norm":     norm,
    "linalg.vector_norm":  vector_norm,                                             "p_norm":          p_norm,
    "linalg.matrix_norm":  lambda: cases([(2, 3), (3, 2), BOX], {}, *({"ord": ord, "keepdims": ord == 1} for ord in OF_MATRICES), least=30),
    "linalg.cond":         cond,                                                    "linalg.matrix_power": matrix_power,
    "linalg.multi_dot":    multi_dot,                                               "linalg.tensorsolve": tensorsolve,
    "linalg.tensorinv":    tensorinv,
    "linalg.trace":        partial(cases, [(2, 3), (3, 3), BOX, (0, 2)], *CORNERS, {"dtype": np.complex128}, make=values, least=20),
    "linalg.diagonal":     partial(cases, [(2, 3), (3, 3), BOX, (0, 2)], *CORNERS, make=values, least=16),
    "linalg.matrix_transpose": partial(cases, [(2, 3), BOX, (1, 1), (0, 2)], make=values, least=16),
} | {f"linalg.{name}": lambda name=name: PRODUCTS[name] for name in PRODUCTS}  # fmt: skip


# ---- functions without a free choice -----------------------------------------------------------------------------------------------


def adjoint(x):
    return np.conjugate(np.swapaxes(x, -1, -2))


def of_hermitian(function):
    """The function of the hermitian part of its argument."""
    return lambda x, **kwargs: function((x + adjoint(x)) / 2, **kwargs)


def completed(q, k):
    """The first k vectors, and the projector on the others."""
    rest = q[..., k:]
    return q[..., :k], rest @ adjoint(rest)


def turned(v):
    """What turns the sum of each vector to a positive number."""
    return np.conjugate(np.sign(np.sum(v, -2, keepdims=True)))


def eigenvectors(result):
    return result[0], result[1] * turned(result[1])


def svd(x, **kwargs):
    x = (x + adjoint(x)) / 2 if kwargs.get("hermitian") else x
    if not kwargs.get("compute_uv", True):
        return np.linalg.svd(x, **kwargs)
    u, s, vh = np.linalg.svd(x, **kwargs)
    k = s.shape[-1]
    (u, u_rest), (v, v_rest) = completed(u, k), completed(adjoint(vh), k)
    turn = turned(u)
    return u * turn, u_rest, s, v * turn, v_rest


def qr(x, **kwargs):
    result = np.linalg.qr(x, **kwargs)
    if kwargs.get("mode") == "r":
        return result
    return *completed(result[0], min(x.shape[-2:])), result[1]


CALLS = {
    "linalg.cholesky": of_hermitian(np.linalg.cholesky), "linalg.eigvalsh": of_hermitian(np.linalg.eigvalsh),
    "linalg.eigh": of_hermitian(lambda x, **kwargs: eigenvectors(np.linalg.eigh(x, **kwargs))),
    "linalg.eig": lambda x: eigenvectors(np.linalg.eig(x)), "linalg.svd": svd, "linalg.qr": qr,
    "linalg.pinv": lambda x, **kwargs: (of_hermitian(np.linalg.pinv) if kwargs.get("hermitian") else np.linalg.pinv)(x, **kwargs),
}


# ---- SciPy -------------------------------------------------------------------------------------------------------------------------

if importlib.util.find_spec("scipy"):
    from gradnerve.scipy import linalg

    TRIANGLES = [{"trans": trans, "lower": lower, "unit_diagonal": unit}
                 for trans in (0, "T", 2, "N", 1, "C") for lower, unit in [(False, False), (True, False), (False, True), (True, True)]]
    ONE_BY_ONE = [shapes for shapes in EQUATIONS if len(shapes[0]) == 2]
    SYLVESTER = [(2, 3), (3, 2), (1, 1), (2, 2), (1, 3)]

    def solve_sylvester():
        return [((*(laid_out(matrices(*shape, dtype=ALL[k % 4], seed=k + i), k // 4 + i) for i, shape in enumerate([(m, m), (n, n), (m, n)])),), {})
                for k in range(40) for m, n in [SYLVESTER[k % 5]]]

    SAMPLES |= {
        "scipy.linalg.expm": partial(cases, SQUARE), "scipy.linalg.sqrtm": partial(cases, SQUARE), "scipy.linalg.solve_sylvester": solve_sylvester,
        "scipy.linalg.solve_triangular": lambda: pairs([*ONE_BY_ONE[:3], ((1, 1), (1,))], *TRIANGLES),
        "scipy.linalg.cho_factor": partial(cases, [(2, 2), (3, 3), (1, 1), (0, 0)], {}, {"lower": True}),
        "scipy.linalg.cho_solve": partial(pairs, ONE_BY_ONE, {}, {"lower": True}),
    }  # fmt: skip
    CALLS |= {
        "scipy.linalg.cho_factor": of_hermitian(lambda x, lower=False: (np.tril if lower else np.triu)(linalg.cho_factor(x, lower)[0])),
        "scipy.linalg.cho_solve": lambda c, b, lower=False: linalg.cho_solve((c, lower), b),
    }


# ---- ties --------------------------------------------------------------------------------------------------------------------------

nan, inf = np.nan, np.inf
zero, one = np.zeros((2, 2)), np.eye(2)
line, flat = np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([0.0, 0.0, 0.0])
TIES = {
    "linalg.det": [((line,), {}, ([[4.0, -2.0], [-2.0, 1.0]],)), ((zero,), {}, (zero,)), ((np.array([[0.0]]),), {}, ([[1.0]],)),
                   ((np.stack([line, 2 * one]),), {}, ([[[4.0, -2.0], [-2.0, 1.0]], 2 * one],)),
                   ((np.diag([0.0, 2.0, 3.0]),), {}, (np.diag([6.0, 0.0, 0.0]),)), ((np.diag([0.0, 0.0, 3.0]),), {}, (np.zeros((3, 3)),))],
    "linalg.eigvalsh": [((one,), {}, (one,)), ((zero,), {}, (one,))],
    "linalg.eigvals": [((one,), {}, (one,)), ((3 * one,), {}, (one,))],
    "linalg.svdvals": [((zero,), {}, (zero,)), ((one,), {}, (one,)), ((np.diag([2.0, 0.0]),), {}, (np.diag([1.0, 0.0]),))],
    "linalg.pinv": [((zero,), {}, (zero,)), ((one,), {}, (-np.ones((2, 2)),)), ((np.diag([2.0, 0.0]),), {}, ([[-0.25, 0.25], [0.25, 0.0]],))],
    "linalg.matrix_power": [((one, 0), {}, (zero,)), ((zero, 1), {}, (np.ones((2, 2)),)), ((zero, 2), {}, (zero,))],
    "linalg.norm": [*(((flat,), {"ord": ord}, (flat,)) for ord in ORDERS), *(((zero,), {"ord": ord}, (zero,)) for ord in OF_MATRICES),
                    ((np.zeros((2, 3)),), {}, (np.zeros((2, 3)),)), ((np.zeros((2, 3)),), {"axis": 1}, (np.zeros((2, 3)),)),
                    ((np.array([[0.0, 0.0], [3.0, 4.0]]),), {"axis": 1}, ([[0.0, 0.0], [0.6, 0.8]],)), ((one,), {"ord": 2}, (one / 2,)),
                    ((np.array([3.0, -3.0]),), {"ord": inf}, ([0.5, -0.5],)), ((np.array([0.0, 2.0]),), {"ord": 1}, ([0.0, 1.0],)),
                    ((np.array([0.0, 2.0]),), {"ord": 3}, ([0.0, 1.0],)), ((np.array([0.0, 2.0]),), {"ord": 0.5}, ([0.0, 1.0],)),
                    ((np.array([0.0, 2.0]),), {"ord": -1}, ([0.0, 0.0],)), ((one,), {"ord": "nuc"}, (one,))],
    "linalg.lstsq": [((one, np.array([1.0, 2.0])), {}, ([[0.0, -2.0], [-1.0, -1.0]], [1.0, 1.0]))],
}  # fmt: skip


# ---- errors ------------------------------------------------------------------------------------------------------------------------

x, tall, vector = matrices(3, 3), matrices(3, 2), values(3)
LinAlgError = np.linalg.LinAlgError
ERRORS = {f"linalg.{name}": [((tall,), {}, LinAlgError, rf"must be square\n*in gradnerve's {name}:\n *x +\(3, 2\) float64"),
                             ((vector,), {}, LinAlgError, rf"at least two-dimensional\n*in gradnerve's {name}:\n *x +\(3,\) float64")]
          for name in ("inv", "det", "slogdet", "eig", "eigvals")}  # fmt: skip
ERRORS["linalg.inv"] += [((line,), {}, LinAlgError, "Singular matrix\nin gradnerve's inv")]
ERRORS["linalg.eig"] += [((nan * one,), {}, LinAlgError, "infs or NaNs")]
ERRORS |= {
    "linalg.solve": [((line, vector[:2]), {}, LinAlgError, "Singular matrix\nin gradnerve's solve"), ((tall, vector), {}, LinAlgError, "square"),
                     ((x, tall[:2]), {}, ValueError, r"solve: (.|\n)*a +\(3, 3\)"), ((x, np.ones((2, 3))), {}, ValueError, "solve")],
    "linalg.cholesky": [((-one,), {}, LinAlgError, "not positive definite\nin gradnerve's cholesky")],
    "linalg.eigh": [((x,), {"UPLO": "X"}, ValueError, "UPLO argument must be")],
    "linalg.svd": [((vector,), {}, LinAlgError, "at least two-dimensional\nin gradnerve's svd")],
    "linalg.svdvals": [((vector,), {}, LinAlgError, "at least two-dimensional")],
    "linalg.qr": [((vector,), {}, LinAlgError, "at least two-dimensional\nin gradnerve's qr"),
                  ((x,), {"mode": "sideways"}, ValueError, "Unrecognized mode"),
                  ((x,), {"mode": "raw"}, TypeError, "qr: mode 'raw' gives LAPACK's own form, which has no gradient; use 'reduced'")],
    "linalg.pinv": [((x,), {"rcond": 1e-9, "rtol": 1e-9}, ValueError, "can't be both set"), ((vector,), {}, (ValueError, IndexError), "")],
    "linalg.lstsq": [((tall, values(2)), {}, LinAlgError, "Incompatible dimensions\nin gradnerve's lstsq"),
                     ((vector, vector), {}, LinAlgError, "must be two-dimensional")],
    "linalg.norm": [((x, "sideways"), {}, ValueError, "Invalid norm order"), ((vector, "fro"), {}, ValueError, "norm order 'fro' for vectors"),
                    ((x, 3), {}, ValueError, "Invalid norm order"), ((x, 2, (0, 0)), {}, ValueError, "Duplicate axes"),
                    ((x, 3, 5), {}, ValueError, "axis 5"), ((values(*BOX), 2), {}, ValueError, "Improper number of dimensions"),
                    ((x, None, 1.5j), {}, TypeError, "must be None, an integer")],
    "p_norm": [((x, 3, 5), {}, ValueError, "axis 5")],
    "linalg.cond": [((np.zeros((0, 2)),), {}, LinAlgError, "not defined on empty"), ((tall, 1), {}, LinAlgError, "square")],
    "linalg.matrix_power": [((x, 1.5), {}, TypeError, "exponent must be an integer"), ((tall, 2), {}, LinAlgError, "square"),
                            ((line, -1), {}, LinAlgError, "Singular matrix\nin gradnerve's inv")],
    "linalg.multi_dot": [(([x],), {}, ValueError, "at least two arrays"), (([x, vector, x],), {}, LinAlgError, "two-dimensional")],
    "linalg.tensorsolve": [((np.ones((2, 3, 5)), np.ones((2, 3))), {}, LinAlgError, r"tensorsolve: a of shape \(2, 3, 5\) is no square matrix")],
    "linalg.tensorinv": [((x, 0), {}, ValueError, "Invalid ind"), ((np.ones((2, 3, 5)),), {}, LinAlgError, "square")],
    "linalg.outer": [((x, x), {}, ValueError, "must be one-dimensional")],
    "linalg.cross": [((np.ones((3, 2)), np.ones((3, 2))), {}, ValueError, "3-dimensional vectors")],
}  # fmt: skip
