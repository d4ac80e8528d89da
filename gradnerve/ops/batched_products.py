"""Products, equations and decompositions for many examples at once.

NumPy does most of it itself, with matrices in the last axes. Where a matrix is the same for all examples, the vectors of all meet it
in one product, and it is factored once: a stack of small products costs several times more.

Read next: ../batching.py.
"""

import math
from string import ascii_letters

import numpy as np
from numpy._core.einsumfunc import _parse_einsum_input

from gradnerve._engine import ShapeError
from gradnerve.ops import einsum
from gradnerve.ops.batched import all_axes, composed, rule, with_ones
from gradnerve.ops.define import implementations
from gradnerve.ops.indexing import getitem
from gradnerve.ops.least_squares import lstsq_parts
from gradnerve.ops.products import inner, matmul, vecdot
from gradnerve.ops.shapes import broadcast_to, concatenate, expand_dims, flip, moveaxis, reshape, squeeze, swapaxes
from gradnerve.ops.ufuncs import core_axes
from gradnerve.ops.values import tensor_like

# --- products --------------------------------------------------------------------------------------------------------

FEW = 8  # rows of an example up to which one tall matrix is faster than a stack


@rule("matmul", also="y")
def matrix_products(call):
    x, y, of_x, of_y = call["x"], call["y"], call.ndim("x"), call.ndim("y")
    if not of_x or not of_y:
        raise ShapeError("matmul: a number is no matrix")
    if "y" not in call.batched and of_x == 1:
        return of_rows(x, y, of_y)
    if "x" not in call.batched and of_y == 1:
        return of_rows(y, swapaxes(x, -1, -2) if of_x > 1 else x, of_x)
    if "y" not in call.batched and of_y < 3 and x.shape[-2] < FEW:
        rows = matmul(reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])), y)
        return reshape(rows, (*x.shape[:-1], *y.shape[1:]))
    x, y = expand_dims(x, -2) if of_x == 1 else x, expand_dims(y, -1) if of_y == 1 else y
    most = max(of_x, of_y, 2)
    x = with_ones(x, most - max(of_x, 2)) if "x" in call.batched else x
    y = with_ones(y, most - max(of_y, 2)) if "y" in call.batched else y
    out = matmul(x, y)
    out = squeeze(out, -2) if of_x == 1 else out
    return squeeze(out, -1) if of_y == 1 else out


def of_rows(rows, y, of_y):
    """A vector for each example, times what is the same for all."""
    out = matmul(rows, y)
    return moveaxis(out, -2, 0) if of_y > 2 else out


@rule("dot inner", also="y")
def all_pairs(call):
    """Every row of x times every row of y, or column if that is what `dot` takes."""
    x, y, of_x, of_y = call["x"], call["y"], call.ndim("x"), call.ndim("y")
    if not of_x or not of_y:
        return np.multiply(*map(tensor_like, call.aligned("xy").values()))
    columns = call.operation.name == "dot" and of_y > 1
    if "y" not in call.batched:
        return call()
    if "x" not in call.batched:
        return moveaxis(call() if columns else inner(x, y), of_x - 1, 0)
    y = swapaxes(y, -1, -2) if columns else y
    rows, others = (reshape(part, (call.size, math.prod(part.shape[1:-1]), part.shape[-1])) for part in (x, y))
    return reshape(matmul(rows, swapaxes(others, 1, 2)), (call.size, *x.shape[1:-1], *y.shape[1:-1]))


VECTORS = {"cross": (1, 1), "vecdot": (1, 1), "vecmat": (1, 2), "matvec": (2, 1), "solve_sylvester": (2, 2, 2)}


@rule(" ".join(VECTORS), also="*")
def of_vectors(call):
    """Of vectors and matrices in the last axes."""
    return call(call.aligned(call.args, VECTORS[call.operation.name]))


@composed("vdot")
def vdot(x, y):
    return vecdot(reshape(x, -1), reshape(y, -1))


@composed("with_axes")
def with_axes(*xs, ufunc, **options):
    """Turned to the last axes, and back."""
    axes, ends = core_axes(ufunc, xs, *map(options.get, ("axes", "axis", "keepdims")))
    out = implementations[ufunc](*(moveaxis(x, axis, end) for x, axis, end in zip(xs, axes, ends, strict=False)))
    return moveaxis(expand_dims(out, ends[-1]) if options.get("keepdims") else out, ends[-1], axes[-1])


@rule("einsum", also="*")
def sums_of_products(call):
    """With one letter more, for the examples."""
    shapes = [call.shape(k) for k in call.args if isinstance(k, int)]
    terms, out, _ = _parse_einsum_input(einsum.operands(call["subscripts"], [np.broadcast_to(0, shape) for shape in shapes]))
    example = next(letter for letter in ascii_letters if letter not in terms + out)
    terms = ",".join(example * (k in call.batched) + term for k, term in enumerate(terms.split(",")))
    return call(subscripts=f"{terms}->{example}{out}")


# --- sequences -------------------------------------------------------------------------------------------------------


@composed("convolve")
def convolve(x, y, mode):
    """Each element of the result is a product of vectors."""
    if max(x.ndim, y.ndim) > 1:
        return NotImplemented
    x, y = (reshape(part, -1) for part in ((x, y) if x.size >= y.size else (y, x)))
    n, m = x.size, y.size
    length = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    nothing = np.zeros(m - 1, x.dtype)
    places = (n + m - 1 - length) // 2 + np.arange(length)[:, None] + np.arange(m)
    return getitem(concatenate([nothing, x, nothing]), places) @ flip(y)


@rule("convolution", also="y")
def scipys_convolutions(call):
    """The functions that have axes; the others choose a method by the size."""
    x, y, ndim = call.whole("x"), call.whole("y"), call.ndim("x")
    if not callable(call["how"]) or not ndim or call.ndim("y") != ndim or not x.size or not y.size:
        return NotImplemented
    return call(x=x, y=y, axes=all_axes(call["axes"], ndim))


# --- matrices --------------------------------------------------------------------------------------------------------


@rule("inv det slogdet cholesky eigh eigvalsh eig eigvals svd svdvals qr expm sqrtm cho_factor np.linalg.cond np.linalg.matrix_rank")
def of_matrices(call):
    return call(call.aligned([call.first], [2]))


@rule("pinv", also="rcond rtol")
def pseudo_inverses(call):
    return call(call.aligned(["x", "rcond", "rtol"], [2, 0, 0]))


@rule("solve solve_triangular cho_solve", also="b")
def solutions(call):
    a, b, of_b = call.first, call["b"], call.ndim("b")
    if a not in call.batched and call.ndim(a) == 2 and of_b < 3:
        return apart(call(b=side_by_side(b)), b)
    if of_b != 1:
        return call(call.aligned([a, "b"], [2, 2]))
    column = expand_dims(b, -1)
    return squeeze(call(b=with_ones(column, call.ndim(a) - 2) if "b" in call.batched else column), -1)


def side_by_side(b):
    """The right sides of all examples as those of one matrix."""
    columns = moveaxis(b, 0, 1)
    return reshape(columns, (columns.shape[0], math.prod(columns.shape[1:])))


def apart(x, b):
    """The solutions for these, for each example."""
    return moveaxis(reshape(x, (x.shape[0], b.shape[0], *b.shape[2:])), 1, 0)


@rule("lstsq", also="b")
def least_squares(call):
    """With one matrix for all; of matrices that differ, NumPy takes one at a time."""
    if "a" in call.batched:
        return NotImplemented
    b = call["b"]
    columns = side_by_side(b)
    x, residuals, rank, s = lstsq_parts(call(b=columns), call.shape("a"), columns.shape)
    shared = concatenate([s, reshape(rank, 1)])
    parts = apart(x, b), residuals, broadcast_to(shared, (call.size, shared.size))
    return concatenate([reshape(part, (call.size, part.size // call.size)) for part in parts], 1)


@rule("np.polyfit", also="y")
def polynomials_fitted(call):
    if call.batched != {"y"} or call.ndim("y") > 1 or call["full"] or call["cov"]:
        return NotImplemented
    return swapaxes(call(y=swapaxes(call["y"], 0, 1)), 0, 1)
