"""Inverses, determinants, equations and norms of matrices, which lie in the last two axes of an array.

The derivatives are those of Giles, "Collected matrix derivative results" (2008). What NumPy composes (most norms, `cond`,
`matrix_power`, `multi_dot`, `tensorinv`) is borrowed and has none of its own.

Read next: decompositions.py.
"""

import math
from itertools import accumulate, pairwise
from numbers import Number
from types import SimpleNamespace

import numpy as np
from numpy.linalg import LinAlgError
from numpy.linalg._linalg import EighResult, EigResult, QRResult, SlogdetResult, SVDResult, _umath_linalg

from gradnerve.ops.borrowed import borrowed, special
from gradnerve.ops.define import implements, op
from gradnerve.ops.reductions import root, spread
from gradnerve.ops.shapes import astype, concatenate, ravel, reshape, swapaxes, transpose
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import tensor_like, value

# --- several results in one array: an operation has one --------------------------------------------------------------


def packed(x, *results):
    """Of every matrix in `x`, all results in one row; real numbers beside complex ones become complex."""
    stack = x.shape[:-2]
    return concatenate([reshape(part, (*stack, math.prod(part.shape[len(stack):]))) for part in results], -1)


def parts(row, *shapes):
    """The results that were packed, each in the shape that it has for one matrix."""
    ends = pairwise(accumulate(map(math.prod, shapes), initial=0))
    return [reshape(row[..., begin:end], (*row.shape[:-1], *shape)) for (begin, end), shape in zip(ends, shapes, strict=True)]


def real(x):
    """A result that is real, which lay beside complex ones."""
    return np.real(x) if x.dtype.kind == "c" else x


# --- matrices --------------------------------------------------------------------------------------------------------


def turned(x):
    """The matrix on its side."""
    return swapaxes(x, -1, -2)


def adjoint(x):
    """The matrix on its side, conjugated."""
    return np.conjugate(turned(x)) if x.dtype.kind == "c" else turned(x)


def self_adjoint(x):
    """The part of the matrix that is its own adjoint."""
    return (x + adjoint(x)) / 2


# --- inverse and determinant -----------------------------------------------------------------------------------------


def adjugate(x):
    """The determinant times the inverse: a polynomial, which singular matrices have too (Faddeev and LeVerrier)."""
    eye = np.eye(x.shape[-1], dtype=x.dtype)
    if len(eye) > 12:
        return mean_on_circle(x, eye)
    out = eye
    for k in range(1, len(eye)):
        product = x @ out
        out = np.trace(product, axis1=-2, axis2=-1)[..., None, None] / k * eye - product
    return out


def mean_on_circle(x, eye):
    """The same for larger matrices, where that loses digits: the mean over a circle around x, on which there are inverses (Cauchy)."""
    radius = np.linalg.norm(value(x), axis=(-2, -1))[..., None, None, None] / 100
    circle = np.where(radius == 0, 1, radius) * np.exp(2j * np.pi * np.arange(16) / 16)[:, None, None]
    x = x[..., None, :, :] + circle * eye
    out = np.mean(det(x)[..., None, None] * inv(x), -3)
    return out if eye.dtype.kind == "c" else np.real(out)


def det_x(g, x, out):
    """The determinant times the inverse, on its side; of a singular matrix, the cofactors."""
    g, out = g[..., None, None], out[..., None, None]
    singular = value(out) == 0
    if singular.any():
        singular = (np.linalg.slogdet(value(x)).sign == 0)[..., None, None]  # not those whose determinant is only too small for a number
    if not singular.any():
        return g * out * turned(inv(x))
    inverse = out * inv(select(singular, np.eye(x.shape[-1]), x))
    return g * turned(select(singular, adjugate(x), inverse))


def slogdet(x):
    return packed(x, *np.linalg.slogdet(x))


def slogdet_x(g, x, out):
    """The logarithm of the determinant is log|det| + i angle; its derivative is the inverse, on its side."""
    (g_sign, g_log), (sign, _) = parts(g, (), ()), parts(out, (), ())
    g = real(g_log) + 1j * np.imag(np.conjugate(sign) * g_sign) if x.dtype.kind == "c" else g_log
    singular = value(sign) == 0
    if np.any(value(g)[singular]):
        raise LinAlgError("slogdet: of a singular matrix, the logarithm of the determinant is -inf and has no derivative")
    x = select(singular[..., None, None], np.eye(x.shape[-1]), x) if singular.any() else x
    return g[..., None, None] * adjoint(inv(x))


def cholesky(x, *, upper=False):
    return np.linalg.cholesky(x, upper=upper)


def cholesky_x(g, out, upper):
    """Between two inverses of the factor stands the lower triangle of its adjoint times g; half the diagonal, as it is in both."""
    g, out = (adjoint(g), adjoint(out)) if upper else (g, out)
    n = out.shape[-1]
    inner = self_adjoint(adjoint(out) @ g * (np.tri(n) - np.eye(n) / 2).astype(out.dtype))
    return self_adjoint(solve(adjoint(out), adjoint(solve(adjoint(out), inner))))


# --- equations -------------------------------------------------------------------------------------------------------


def solve_b(g, a, b_shape):
    """Solve with the matrix on its side."""
    return solve(turned(a), g) if len(b_shape) > 1 else solve(turned(a), g[..., None])[..., 0]


def solve_a(g, a, b_shape, out):
    """As for the inverse: minus the gradient of b times the result."""
    return -outer_product(solve_b(g, a, b_shape), out, b_shape)


def outer_product(x, y, b_shape):
    """The first vector times the second on its side; for matrices, the sum over their columns."""
    return x @ turned(y) if len(b_shape) > 1 else x[..., None] * y[..., None, :]


# A function of hermitian matrices reads one triangle of x, and its gradient is the hermitian one, as in PyTorch and JAX.
# fmt: off
inv      = op(lambda x: np.linalg.inv(x),         numpy=np.linalg.inv,   x=lambda g, out: -(turned(out) @ g @ turned(out)))
det      = op(lambda x: np.linalg.det(x),         numpy=np.linalg.det,   x=det_x)
_slogdet = op(slogdet,                            analytic=False,        x=slogdet_x)
cholesky = op(cholesky, numpy=np.linalg.cholesky, analytic=False,        x=cholesky_x)
solve    = op(lambda a, b: np.linalg.solve(a, b), numpy=np.linalg.solve, a=solve_a, b=solve_b)
# fmt: on


@implements(np.linalg.slogdet)
def slogdet(x):
    """The sign of the determinant and the logarithm of its absolute value, as `np.linalg.slogdet`.

    >>> slogdet(np.diag([1.0, -1.0]))
    SlogdetResult(sign=array(-1.), logabsdet=array(0.))
    """
    sign, logabsdet = parts(_slogdet(x), (), ())
    return SlogdetResult(sign, real(logabsdet))


@implements(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    """Solve ``tensordot(a, x, x.ndim) == b`` for x, as `np.linalg.tensorsolve`.

    >>> tensorsolve(2 * np.eye(4).reshape(2, 2, 4), np.ones((2, 2)))
    array([0.5, 0.5, 0.5, 0.5])
    """
    a, b = tensor_like(a), tensor_like(b)
    moved = () if axes is None else tuple(axes)
    a = transpose(a, [*(k for k in range(a.ndim) if k not in moved), *moved])
    shape = a.shape[-(a.ndim - b.ndim):]
    size = math.prod(shape)
    if a.size != size ** 2:
        raise LinAlgError(f"tensorsolve: a of shape {a.shape} is no square matrix: its first axes have as many elements as b, of shape {b.shape}, "
                          "and the last ones should have as many")  # fmt: skip
    return reshape(solve(reshape(a, (size, size)), ravel(b)), shape)


# --- norms -----------------------------------------------------------------------------------------------------------


def p_norm(x, ord, axis=None, keepdims=False):
    return np.linalg.norm(x, ord, axis, keepdims)


def p_norm_x(g, x, x_shape, ord, axis, keepdims, out):
    """The sign of x times its share to the power of ord - 1; where x is 0, the norm has a kink and the derivative 0."""
    g, out = spread(g, x_shape, axis, keepdims), spread(out, x_shape, axis, keepdims)
    zero = (value(x) == 0) | (value(out) == 0)
    share = select(zero, 1, np.abs(x)) / select(zero, 1, out)
    return select(zero, 0, g * np.sign(x) * share ** (ord - 1))


p_norm = op(p_norm, analytic=False, x=p_norm_x)


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    """A norm of vectors or matrices, as `np.linalg.norm`; where it is 0, so is its derivative.

    >>> norm(np.array([3.0, 4.0])).item()
    5.0
    """
    of_vectors = x.ndim == 1 if axis is None else not isinstance(axis, tuple) or len(axis) == 1
    if of_vectors and isinstance(ord, Number) and ord not in (0, 1, 2, math.inf, -math.inf):
        return p_norm(x, ord, axis, keepdims)
    return borrowed(np.linalg.norm)(x, ord, axis, keepdims)


# --- for borrowed code -----------------------------------------------------------------------------------------------


def inverse_or_nan(x, signature):
    """What `cond` asks of NumPy's compiled inverse: NaN for a singular matrix, and the result in double precision."""
    x = astype(x, np.dtype(signature[0]))
    with np.errstate(all="ignore"):
        singular = np.isnan(_umath_linalg.inv(value(x))).any((-2, -1))[..., None, None]
    return select(singular, np.nan, inv(select(singular, np.eye(x.shape[-1]), x)))


special["numpy.linalg._linalg"] = {
    "sqrt": root, "_makearray": lambda x: (tensor_like(x), lambda out: out), "_umath_linalg": SimpleNamespace(inv=inverse_or_nan),
    "LinAlgError": LinAlgError, "EighResult": EighResult, "EigResult": EigResult, "QRResult": QRResult, "SVDResult": SVDResult,
}  # fmt: skip
