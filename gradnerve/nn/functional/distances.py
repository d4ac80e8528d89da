"""Lengths of vectors, and distances and angles between them.

Where a length is 0, its derivative is taken to be 0. Read next: losses.py.
"""

import math

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.ops import reductions
from gradnerve.ops.elementwise import clip
from gradnerve.ops.indexing import getitem
from gradnerve.ops.linalg import p_norm
from gradnerve.ops.losses import at_least
from gradnerve.ops.reductions import kept, root, sum
from gradnerve.ops.shapes import astype, broadcast_to, moveaxis, reshape
from gradnerve.ops.values import tensor_like

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Vectors along `dim` (a number, or several) divided by their p-norm, or by `eps` if that is larger.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.normalize(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    input = floats("normalize", input=input)[0]
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    for axis in dims:
        names_axis("normalize", axis, input.ndim, input=input)
    result = input / clip(length(input, p, dims if len(dims) > 1 else dims[0] if dims and input.ndim else None, True), eps, None)
    return result if out is None else np.positive(result, out=out)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between vectors along `dim` of `x1` and `x2`, which broadcast; lengths count as `eps` at least.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.cosine_similarity(np.array([[1.0, 0.0]]), np.array([3.0, 4.0]))
    array([0.6])
    """
    x1, x2, shape = pair("cosine_similarity", x1, x2)
    names_axis("cosine_similarity", dim, len(shape), x1=x1, x2=x2)
    axis = dim if shape else None
    x1, x2 = (x if x.shape == shape else broadcast_to(x, shape) for x in (x1, x2))
    x1, x2 = (x / at_least(float(eps))(length(x, 2, axis, True)) for x in (x1, x2))
    return sum(x1 * x2, axis)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm, along the last axis, of ``x1 - x2 + eps``; the two broadcast.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.pairwise_distance(np.array([[3.0, 4.0]]), np.zeros(2), eps=0)
    array([5.])
    """
    x1, x2, shape = pair("pairwise_distance", x1, x2)
    require(shape, "pairwise_distance: x1 and x2 must be (N, D) or (D,)", x1=x1, x2=x2)
    return length(x1 - x2 + eps, p, -1, keepdim)


def pdist(input, p=2.0):
    """The distances between all pairs of rows of an (N, M) array, by the p-norm: N * (N - 1) / 2 of them, in the order (0, 1), (0, 2), ...

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.pdist(np.array([[0.0], [1.0], [5.0]]))
    array([1., 5., 4.])
    """
    input = floats("pdist", input=input)[0]
    require(input.ndim == 2, "pdist: input must be (N, M), a point in each row", input=input)
    if not p >= 0:
        raise ValueError(f"pdist: p must not be negative, but is {p}")
    one, two = np.triu_indices(input.shape[0], 1)
    return length(getitem(input, one) - getitem(input, two), p, -1, False)


# --- what they share -------------------------------------------------------------------------------------------------


def floats(name, **arrays):
    """These as arrays or Tensors, if they hold floats."""
    arrays = {key: tensor_like(x) for key, x in arrays.items()}
    for key, x in arrays.items():
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: {key} must hold real floating-point numbers, not {x.dtype}")
    return list(arrays.values())


def pair(name, x1, x2):
    """Both, and the shape to which they broadcast."""
    x1, x2 = floats(name, x1=x1, x2=x2)
    try:
        return x1, x2, x1.shape if x1.shape == x2.shape else np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        require(False, f"{name}: x1 and x2 do not broadcast", x1=x1, x2=x2)


def names_axis(name, dim, ndim, **arrays):
    least = max(ndim, 1)
    require(hasattr(dim, "__index__") and -least <= dim < least, f"{name}: dim={dim!r} is no axis, there are {ndim}", **arrays)


def length(x, p, axis, keepdims):
    """The p-norm of vectors along the axis, or along several as one."""
    if p == 2:
        return root(sum(x * x, axis, keepdims=keepdims))
    if p == 1:
        return sum(np.abs(x), axis, keepdims=keepdims)
    if p == 0:
        return sum(astype(x != 0, x.dtype), axis, keepdims=keepdims)
    if math.isinf(p):
        return (reductions.max if p > 0 else reductions.min)(np.abs(x), axis, keepdims=keepdims)
    if isinstance(axis, tuple):
        shape, x = kept(x.shape, axis), moveaxis(x, axis, range(-len(axis), 0))
        x = reshape(x, (*x.shape[:x.ndim - len(axis)], math.prod(x.shape[x.ndim - len(axis):])))
        out = p_norm(x, p, -1)
        return reshape(out, shape) if keepdims else out
    return p_norm(x, p, axis, keepdims)
