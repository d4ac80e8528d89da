"""Products of vectors, matrices and stacks of matrices.

For matrices, `out = x @ y` has the derivatives `g @ y.T` and `x.T @ g`; all that is here besides is bookkeeping of axes: a
vector is a matrix with one row or one column, and `dot` and `inner` are one matrix product each when the axes that are
not summed over are written in one row. Read next: network.py.
"""

import math

import numpy as np

from gradnerve._loops import matrix_product
from gradnerve.ops.define import implements, op
from gradnerve.ops.indexing import getitem
from gradnerve.ops.shapes import reshape, swapaxes, transpose

# --- matmul ----------------------------------------------------------------------------------------------------------


def matrix(x, side):
    """A vector as the matrix that it stands for in a product: one row on the left side, one column on the right."""
    return x if len(x.shape) > 1 else reshape(x, (1, -1) if side == "left" else (-1, 1))


def matrices(g, x_shape, y_shape):
    """The gradient of a product with the axes that it would have if no argument were a vector."""
    g = g if len(x_shape) > 1 else getitem(g, (..., None) if len(y_shape) == 1 else (..., None, slice(None)))
    return g if len(y_shape) > 1 else getitem(g, (..., None))


def matmul_x(g, x_shape, y, y_shape):
    """`g @ y.T`; the core sums over the matrices of a stack that shared x."""
    line = matmul(matrices(g, x_shape, y_shape), matrix(y, "right").mT)
    return line if len(x_shape) > 1 else getitem(line, (..., 0, slice(None)))


def matmul_y(g, x, x_shape, y_shape):
    """`x.T @ g`; a stack of matrices times one matrix is one tall matrix times it, which sums inside the product."""
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
    return inner_x(g, x_shape, swapaxes(y, -1, -2) if len(y_shape) > 1 else y, turned(y_shape))


def dot_y(g, x, x_shape, y_shape):
    """As for `inner`, and turned back."""
    line = inner_y(g, x, x_shape, turned(y_shape))
    return swapaxes(line, -1, -2) if x_shape and len(y_shape) > 1 else line


dot   = op(lambda x, y: np.dot(x, y),   numpy=np.dot,   x=dot_x,   y=dot_y)
inner = op(lambda x, y: np.inner(x, y), numpy=np.inner, x=inner_x, y=inner_y)


@implements(np.outer)
def outer(x, y):
    """All products of an element of `x` with an element of `y`, as `np.outer`.

    >>> outer([1, 2], [3, 4])
    array([[3, 4],
           [6, 8]])
    """
    return np.multiply(reshape(x, (-1, 1)), reshape(y, (1, -1)))
