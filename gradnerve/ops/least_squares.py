"""Pseudo-inverses and least squares.

The derivative of a pseudo-inverse is made of products with it, and needs no singular vectors: equal singular values do no harm.

Read next: network.py.
"""

import math

import numpy as np

from gradnerve.ops.decompositions import divided, largest, svdvals_x
from gradnerve.ops.define import implements, op
from gradnerve.ops.linalg import adjoint, parts, real, self_adjoint
from gradnerve.ops.products import matrix
from gradnerve.ops.shapes import astype
from gradnerve.ops.values import batched, tensor_like, value


def pinv(x, rcond=None, hermitian=False, *, rtol=np._NoValue):
    return np.linalg.pinv(x, rcond, hermitian, rtol=rtol)


def pinv_line(g, x, out, hermitian):
    """Of a hermitian matrix, NumPy reads the lower triangle."""
    return self_adjoint(pinv_x(g, np.tril(x) + adjoint(np.tril(x, -1)), out)) if hermitian else pinv_x(g, x, out)


def pinv_x(g, x, out):
    """Golub and Pereyra 1973: how the inverse changes, and how the two spaces turn on which it is one.

    What `rest` is left of x has singular values that were cut off; they are zero in most cases.
    """
    if x.shape[-2] < x.shape[-1]:  # upright, all products are no larger than x
        return adjoint(pinv_x(adjoint(g), adjoint(x), adjoint(out)))
    h, p = adjoint(g), adjoint(out)
    rest = x - x @ (out @ x)
    rest = rest - rest @ (out @ x)  # once more, as the first one has the rounding errors of an inverse
    kept, cut = out @ p, adjoint(rest) @ rest
    rows = p @ series(kept, out @ (h - h @ (out @ x) + p @ (g @ rest)), cut)
    columns = (h - x @ (out @ h) + rest @ (g @ p)) @ kept
    columns = columns + rest @ series(cut, adjoint(rest) @ columns @ kept, kept)
    return rows + columns - p @ (g @ p)


def series(x, y, z):
    """The sum of x^k y z^k over all k >= 0, doubled again and again."""
    eps = np.finfo(y.dtype).eps
    if np.linalg.norm(value(x)) * np.linalg.norm(value(z)) <= eps:
        return y
    size = np.linalg.norm(value(z), None, (-2, -1), keepdims=True)
    x, z = x * size, divided(z, size)
    for _ in range(60):
        if not largest(x) * largest(z) > eps:
            break
        y, x, z = y + x @ y @ z, x @ x, z @ z
    return y


def lstsq(a, b, rcond=None):
    x, residuals, rank, s = np.linalg.lstsq(a, b, rcond)
    return np.concatenate([x.reshape(-1), residuals, s, [rank]], dtype=x.dtype)


def lstsq_parts(row, a_shape, b_shape):
    """The solution, the sums of squared residuals (or none), the rank and the singular values."""
    solution, k = (a_shape[1], *b_shape[1:]), min(a_shape)
    residuals = row.size - math.prod(solution) - k - 1
    x, residuals, s, rank = parts(row, solution, (residuals,), (k,), ())
    return x, real(residuals), rank, real(s)


def lstsq_a(g, a, b, out, rcond):
    """The solution is the pseudo-inverse times b; to the residuals it makes no difference how the solution moves."""
    (g_x, g_r, _, g_s), (x, _, _, s) = lstsq_parts(g, a.shape, b.shape), lstsq_parts(out, a.shape, b.shape)
    g_x, x, b = matrix(g_x, "right"), matrix(x, "right"), matrix(b, "right")
    line = pinv_x(g_x @ adjoint(b), a, pseudo_inverse(a, rcond)) + svdvals_x(g_s, a, s)
    return line + 2 * ((a @ x - b) * g_r) @ adjoint(x) if g_r.size else line


def lstsq_b(g, a, b, out, rcond):
    """Likewise."""
    (g_x, g_r, _, _), (x, _, _, _) = lstsq_parts(g, a.shape, b.shape), lstsq_parts(out, a.shape, b.shape)
    line = adjoint(pseudo_inverse(a, rcond)) @ g_x
    return line + 2 * (b - a @ x) * g_r if g_r.size else line


def pseudo_inverse(a, rcond):
    """That by which `lstsq` solves."""
    return np.linalg.pinv(a, max(a.shape) * np.finfo(float).eps if rcond is None else rcond)


# fmt: off
pinv   = op(pinv, numpy=np.linalg.pinv, analytic=False, x=pinv_line)
_lstsq = op(lstsq,                      analytic=False, a=lstsq_a, b=lstsq_b)
# fmt: on


@implements(np.linalg.lstsq)
def lstsq(a, b, rcond=None):
    """The smallest x that makes the squared residuals of ``a @ x == b`` smallest, their sums, the rank and the singular values of `a`.

    As `np.linalg.lstsq`: there are no residuals unless `a` has more rows than columns, and full rank.

    >>> lstsq(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))[:2]
    (array([2.]), array([2.]))
    """
    a, b = tensor_like(a), tensor_like(b)
    x, residuals, rank, s = lstsq_parts(_lstsq(a, b, rcond), a.shape, b.shape)
    return x, residuals, astype(real(rank), np.intc) if batched(rank) else np.intc(real(value(rank))), s
