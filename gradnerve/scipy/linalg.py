"""Matrix functions and matrix equations, as `scipy.linalg` computes them: the same values, and derivatives for them.

What NumPy has as well is in gradnerve.linalg. All functions take stacks of matrices where SciPy does (1.15 and later).

Read next: ../ops/linalg.py.
"""

import numpy as np

from gradnerve.ops.define import op
from gradnerve.ops.linalg import adjoint, cholesky_x, outer_product, turned
from gradnerve.ops.shapes import concatenate
from gradnerve.ops.values import tensor_like, value

try:
    from scipy import linalg
except ImportError as error:
    raise ImportError('gradnerve.scipy.linalg needs SciPy: pip install "gradnerve[special]"') from error

__all__ = ["cho_factor", "cho_solve", "expm", "solve_sylvester", "solve_triangular", "sqrtm"]


# --- functions of matrices -------------------------------------------------------------------------------------------


def expm_x(g, x):
    """With x on its side, the exponential of [[x, g], [0, x]] has the derivative in its corner (Higham, Functions of Matrices, 3.2)."""
    n, size = x.shape[-1], np.abs(value(g)).max((-2, -1), keepdims=True, initial=0)
    g, x = g / np.where(size == 0, 1, size), turned(x)  # the exponential of large numbers next to small ones has fewer digits
    above, below = concatenate([x, g], -1), concatenate([np.zeros(x.shape, x.dtype), x], -1)
    return size * _expm(concatenate([above, below], -2))[..., :n, n:]


def sylvester_q(g, a, b):
    """Solve with both matrices on their side."""
    return _sylvester(turned(a), turned(b), g)


def expm(x):
    return linalg.expm(x)


def sqrtm(x):
    return linalg.sqrtm(x)


def solve_sylvester(a, b, q):
    return linalg.solve_sylvester(a, b, q) if np.size(q) else np.zeros_like(q)  # SciPy refuses an empty stack


# fmt: off
_expm      = op(expm,            x=expm_x)
_sqrtm     = op(sqrtm,           x=lambda g, out: _sylvester(turned(out), turned(out), g))
_sylvester = op(solve_sylvester, a=lambda g, a, b, out: -(sylvester_q(g, a, b) @ turned(out)),
                                 b=lambda g, a, b, out: -(turned(out) @ sylvester_q(g, a, b)),
                                 q=sylvester_q)
# fmt: on


def expm(A):
    """The matrix exponential, as `scipy.linalg.expm`.

    >>> expm(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    return _expm(tensor_like(A))


def sqrtm(A):
    """The principal square root of a matrix, as `scipy.linalg.sqrtm`: complex, where a real one does not exist.

    >>> sqrtm(np.diag([4.0, 9.0]))
    array([[2., 0.],
           [0., 3.]])
    """
    return _sqrtm(tensor_like(A))


def solve_sylvester(a, b, q):
    """Solve ``a @ x + x @ b == q`` for x, as `scipy.linalg.solve_sylvester`.

    >>> solve_sylvester(np.eye(2), 3 * np.eye(2), 8 * np.eye(2))
    array([[2., 0.],
           [0., 2.]])
    """
    return _sylvester(tensor_like(a), tensor_like(b), tensor_like(q))


# --- triangles -------------------------------------------------------------------------------------------------------


def triangle(x, lower, unit_diagonal=False):
    """The triangle of a matrix that is read."""
    return np.tril(x, -int(unit_diagonal)) if lower else np.triu(x, int(unit_diagonal))


def triangular_b(g, a, trans, lower, unit_diagonal):
    """Solve with the adjoint of what was solved with."""
    if trans in (1, "T"):
        return np.conjugate(_triangular(a, np.conjugate(g), 0, lower, unit_diagonal))
    return _triangular(a, g, 0 if trans in (2, "C") else 2, lower, unit_diagonal)


def triangular_a(g, a, b_shape, out, trans, lower, unit_diagonal):
    """As for `numpy.linalg.solve`: minus the gradient of b times the result, of which the triangle counts."""
    line = outer_product(-triangular_b(g, a, trans, lower, unit_diagonal), np.conjugate(out), b_shape)
    line = turned(line) if trans in (1, "T") else adjoint(line) if trans in (2, "C") else line
    return triangle(line, lower, unit_diagonal)


def cho_solve_c(g, c, b_shape, out, lower):
    """Through the matrix of which c is a factor."""
    line = outer_product(_cho_solve(c, -g, lower), np.conjugate(out), b_shape)
    line, factor = line + adjoint(line), triangle(c, lower)
    return triangle(line @ factor if lower else factor @ line, lower)


def cho_factor_x(g, out, lower):
    """As for `numpy.linalg.cholesky`; what is in the other triangle does not count."""
    return cholesky_x(triangle(g, lower), triangle(out, lower), not lower)


def solve_triangular(a, b, trans, lower, unit_diagonal, check_finite=False):
    return linalg.solve_triangular(a, b, trans, lower, unit_diagonal, check_finite=check_finite)


def cho_factor(x, lower, check_finite=False):
    return linalg.cho_factor(x, lower, check_finite=check_finite)[0]


def cho_solve(c, b, lower, check_finite=False):
    return linalg.cho_solve((c, lower), b, check_finite=check_finite)


# fmt: off
_triangular = op(solve_triangular, analytic=False, a=triangular_a, b=triangular_b)
_cho_solve  = op(cho_solve,        analytic=False, c=cho_solve_c,  b=lambda g, c, lower: _cho_solve(c, g, lower))
_cho_factor = op(cho_factor,       analytic=False, x=cho_factor_x)
# fmt: on


def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False, check_finite=True):
    """Solve ``a @ x == b``, of whose matrix one triangle is read, as `scipy.linalg.solve_triangular`; `b` is never overwritten.

    trans  0 or "N"; 1 or "T": with `a` on its side; 2 or "C": on its side and conjugated

    Raises LinAlgError if there is a 0 on the diagonal.

    >>> solve_triangular(np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([1.0, 5.0]), lower=True)
    array([1., 2.])
    """
    a, b = tensor_like(a), tensor_like(b)
    if a.ndim > 2 and b.ndim == 1:  # the same vector for each matrix of a stack
        return _triangular(a, b[:, None], trans, lower, unit_diagonal, check_finite)[..., 0]
    return _triangular(a, b, trans, lower, unit_diagonal, check_finite)


def cho_factor(a, lower=False, overwrite_a=False, check_finite=True):
    """A factor for `cho_solve`, and which of its triangles holds it, as `scipy.linalg.cho_factor`; `a` is never overwritten.

    Raises LinAlgError if the matrix is not positive definite.

    >>> cho_factor(np.diag([4.0, 9.0]))
    (array([[2., 0.],
            [0., 3.]]), False)
    """
    return _cho_factor(tensor_like(a), lower, check_finite), lower


def cho_solve(c_and_lower, b, overwrite_b=False, check_finite=True):
    """Solve ``a @ x == b`` with what `cho_factor` gave for `a`, as `scipy.linalg.cho_solve`.

    >>> cho_solve(cho_factor(np.diag([4.0, 9.0])), np.array([4.0, 9.0]))
    array([1., 1.])
    """
    (c, lower), b = c_and_lower, tensor_like(b)
    c = tensor_like(c)
    if c.ndim > 2 and b.ndim == 1:  # the same vector for each matrix of a stack
        return _cho_solve(c, b[:, None], lower, check_finite)[..., 0]
    return _cho_solve(c, b, lower, check_finite)
