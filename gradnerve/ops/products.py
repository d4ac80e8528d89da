"""Products of vectors, matrices and stacks of matrices, and of sequences.

For matrices, `out = x @ y` has the derivatives `g @ y.T` and `x.T @ g`; all that is here besides is bookkeeping of axes: a
vector is a matrix with one row or one column, and `dot` and `inner` are one matrix product each when the axes that are
not summed over are written in one row. Read next: einsum.py.
"""

import math
import warnings

import numpy as np

from gradnerve._loops import matrix_product
from gradnerve.ops.define import implements, op
from gradnerve.ops.indexing import getitem, scatter
from gradnerve.ops.shapes import flip, moveaxis, reshape, stack, swapaxes, transpose
from gradnerve.ops.values import array_of

# --- matmul ----------------------------------------------------------------------------------------------------------


def matrix(x, side):
    """A vector as the matrix that it stands for in a product: one row on the left side, one column on the right."""
    return x if len(x.shape) > 1 else reshape(x, (1, -1) if side == "left" else (-1, 1))


def column(x):
    return getitem(x, (..., None))


def row(x):
    return getitem(x, (..., None, slice(None)))


def matrices(g, x_shape, y_shape):
    """The gradient of a product with the axes that it would have if no argument were a vector."""
    g = g if len(x_shape) > 1 else row(g) if len(y_shape) > 1 else column(g)
    return g if len(y_shape) > 1 else column(g)


def matmul_x(g, x_shape, y, y_shape):
    """`g @ y.T`; the core sums over the matrices of a stack that shared x."""
    if len(x_shape) == len(y_shape) == 2:
        return matmul(g, y.T)
    line = matmul(matrices(g, x_shape, y_shape), matrix(y, "right").mT)
    return line if len(x_shape) > 1 else getitem(line, (..., 0, slice(None)))


def matmul_y(g, x, x_shape, y_shape):
    """`x.T @ g`; a stack of matrices times one matrix is one tall matrix times it, which sums inside the product."""
    if len(x_shape) == len(y_shape) == 2:
        return matmul(x.T, g)
    g = matrices(g, x_shape, y_shape)
    if len(x_shape) > 2 >= len(y_shape):
        x, g = reshape(x, (math.prod(x_shape[:-1]), x_shape[-1])), reshape(g, (math.prod(g.shape[:-1]), g.shape[-1]))
    line = matmul(matrix(x, "left").mT, g)
    return line if len(y_shape) > 1 else getitem(line, (..., 0))


def matmul(x, y):
    if np.ndim(x) and np.ndim(y) and np.shape(x)[-1] != np.shape(y)[-2:][0]:
        raise ValueError(f"inner sizes differ, {np.shape(x)[-1]} != {np.shape(y)[-2:][0]}")
    return np.matmul(x, y)


matmul = op(matmul, numpy=(np.matmul, np.linalg.matmul), fast=matrix_product, x=matmul_x, y=matmul_y)


# --- dot and inner ---------------------------------------------------------------------------------------------------


def inner_x(g, x_shape, y, y_shape):
    """`g @ y`, with every axis but the last written as one: each row of x met each row of y."""
    if not x_shape or not y_shape:
        return g * y
    rows, columns = math.prod(x_shape[:-1]), math.prod(y_shape[:-1])
    return reshape(matmul(reshape(g, (rows, columns)), reshape(y, (columns, y_shape[-1]))), x_shape)


def inner_y(g, x, x_shape, y_shape):
    """`g.T @ x`, likewise."""
    if not x_shape or not y_shape:
        return g * x
    rows, columns = math.prod(x_shape[:-1]), math.prod(y_shape[:-1])
    return reshape(matmul(transpose(reshape(g, (rows, columns))), reshape(x, (rows, x_shape[-1]))), y_shape)


def turned(shape):
    """The shape with its last two axes swapped: `dot` sums over the last axis but one of y, and `inner` over the last."""
    return (*shape[:-2], *shape[:-3:-1])


def dot_x(g, x_shape, y, y_shape):
    """As for `inner`, with y turned."""
    return inner_x(g, x_shape, swapaxes(y, -1, -2) if x_shape and len(y_shape) > 1 else y, turned(y_shape))


def dot_y(g, x, x_shape, y_shape):
    """As for `inner`, and turned back."""
    line = inner_y(g, x, x_shape, turned(y_shape))
    return swapaxes(line, -1, -2) if x_shape and len(y_shape) > 1 else line


dot   = op(lambda x, y: np.dot(x, y),   numpy=np.dot,   x=dot_x,   y=dot_y)
inner = op(lambda x, y: np.inner(x, y), numpy=np.inner, x=inner_x, y=inner_y)


@implements(np.outer)
def outer(x, y, out=None):
    """All products of an element of `x` with an element of `y`, as `np.outer`.

    >>> outer([1, 2], [3, 4])
    array([[3, 4],
           [6, 8]])
    """
    return np.multiply(reshape(x, (-1, 1)), reshape(y, (1, -1))) if out is None else np.outer(x, y, out)


# --- products of vectors with vectors and matrices -------------------------------------------------------------------
# All but `matvec` conjugate x: they are no holomorphic functions of it, so the conjugates stand in their lines.

# fmt: off
vdot   = op(lambda x, y: np.vdot(x, y),
            numpy=np.vdot,                   analytic=False, x=lambda g, x_shape, y: reshape(np.conjugate(g) * y, x_shape),
                                                             y=lambda g, x, y_shape: reshape(g * x, y_shape))
vecdot = op(lambda x, y: np.vecdot(x, y),
            numpy=np.vecdot,                 analytic=False, x=lambda g, y: column(np.conjugate(g)) * y,
                                                             y=lambda g, x: column(g) * x)
vecmat = op(lambda x, y: np.vecmat(x, y),
            numpy=getattr(np, "vecmat", ()), analytic=False, x=lambda g, y: matvec(y, np.conjugate(g)),
                                                             y=lambda g, x: column(x) * row(g))
matvec = op(lambda x, y: np.matvec(x, y),
            numpy=getattr(np, "matvec", ()),                 x=lambda g, y: column(g) * row(y),
                                                             y=lambda g, x: matvec(swapaxes(x, -1, -2), g))
# fmt: on


# --- cross product ---------------------------------------------------------------------------------------------------


def cross(x, y):
    return np.cross(x, y)


_cross = op(cross, x=lambda g, y: _cross(y, g), y=lambda g, x: _cross(g, x))  # a triple product may be turned


@implements(np.cross)
def cross(x, y, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """The cross product of vectors in space, which lie along an axis of `x` and of `y`, as `np.cross`.

    >>> cross([1, 0, 0], [0, 1, 0])
    array([0, 0, 1])
    """
    if not hasattr(x, "requires_grad") and not hasattr(y, "requires_grad"):
        return np.cross(x, y, axisa, axisb, axisc, axis)
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x = x if axisa == -1 else moveaxis(x, axisa, -1)
    y = y if axisb == -1 else moveaxis(y, axisb, -1)
    sizes = np.shape(x)[-1:] + np.shape(y)[-1:]
    if sizes not in ((2, 2), (2, 3), (3, 2)):
        out = _cross(x, y)
        return out if axisc == -1 else moveaxis(out, -1, axisc)
    warnings.warn("Arrays of 2-dimensional vectors are deprecated. Use arrays of 3-dimensional vectors instead.", DeprecationWarning, stacklevel=4)
    out = cross_in_plane(array_of(x), array_of(y))
    return moveaxis(out, -1, axisc) if 3 in sizes else out


def cross_in_plane(x, y):
    """The same for vectors of which one at least has no third component."""
    x0, x1, y0, y1 = (getitem(v, (..., k)) for v in (x, y) for k in (0, 1))
    third = x0 * y1 - x1 * y0
    if x.shape[-1] == 3:
        x2 = getitem(x, (..., 2))
        return stack([-(x2 * y1), x2 * y0, third], -1)
    if y.shape[-1] == 3:
        y2 = getitem(y, (..., 2))
        return stack([x1 * y2, -(x0 * y2), third], -1)
    return third


# --- sequences -------------------------------------------------------------------------------------------------------


def whole(g, x_shape, y_shape):
    """The gradient of a convolution in full length: 'same' and 'valid' are its middle."""
    length = math.prod(x_shape) + math.prod(y_shape) - 1
    begin = (length - len(g)) // 2
    return g if len(g) == length else scatter(g, (length,), (slice(begin, begin + len(g)),))


convolve = op(lambda x, y, mode="full": np.convolve(x, y, mode), numpy=np.convolve,
              x=lambda g, x_shape, y, y_shape: convolve(whole(g, x_shape, y_shape), flip(y), "valid"),
              y=lambda g, x, x_shape, y_shape: convolve(whole(g, x_shape, y_shape), flip(x), "valid"))


@implements(np.correlate)
def correlate(x, y, mode="valid"):
    """The products of a sequence with the conjugate of another one, shifted along it and summed, as `np.correlate`.

    >>> correlate([1, 2, 3], [0, 1])
    array([2, 3])
    """
    y = np.conjugate(y) if np.iscomplexobj(y) else y
    if len(x) < len(y):  # the order in which NumPy adds
        return flip(convolve(y, flip(x), mode))
    return convolve(x, flip(y), mode)
