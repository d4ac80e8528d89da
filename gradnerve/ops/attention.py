"""Attention as one operation, of one head or several (Vaswani et al. 2017, arXiv:1706.03762).

    weights = softmax(scale * q @ k.T + mask)
    out     = weights @ v

Its derivative needs the weights, which are as many as there are pairs of places: they are computed again, and not kept. All three
gradients are made at once, for each other's sake.

Read next: ../nn/functional/attention.py.
"""

import numpy as np

from gradnerve.kernels import attention as kernel
from gradnerve.ops.batched import composed
from gradnerve.ops.define import op
from gradnerve.ops.network import softmax
from gradnerve.ops.products import matmul
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import concatenate, reshape, swapaxes, transpose
from gradnerve.ops.values import any_tensor

# --- the formulas ----------------------------------------------------------------------------------------------------


def attention_weights(query, key, mask, scale, safe=True):
    """How much each query takes of each value. If `safe`, a query that the mask leaves no key takes nothing; otherwise it gets NaN."""
    products = matmul(query * float(scale), swapaxes(key, -1, -2))
    if mask is None:
        return softmax(products)
    products = products + mask
    lost = np.all(products == -np.inf, -1, keepdims=True) if safe else None
    if lost is None or not (any_tensor(lost) or lost.any()):
        return softmax(products)
    return np.where(lost, 0, softmax(np.where(lost, 0, products)))


def slopes(g, weights, v):
    """The gradient of what the softmax is taken of."""
    g = matmul(g, swapaxes(v, -1, -2))
    return weights * (g - sum(g * weights, -1, keepdims=True))


# --- how heads lie in arrays -----------------------------------------------------------------------------------------


def in_heads(x, heads):
    """A projection as (N, heads, length, width). `heads` is their number and the axis of the batch; None if x lies so already."""
    if heads is None:
        return x
    x = reshape(x, (*x.shape[:2], heads[0], x.shape[2] // heads[0]))
    return transpose(x, (1, 2, 0, 3) if heads[1] else (0, 2, 1, 3))


def side_by_side(x, heads):
    """The other way."""
    if heads is None:
        return x
    x = transpose(x, (2, 0, 1, 3) if heads[1] else (0, 2, 1, 3))
    return reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))


def cut(x, count):
    """Projections that lie side by side in the last axis."""
    width = x.shape[-1] // count
    return tuple(x[..., k * width : (k + 1) * width] for k in range(count))


def apart(query, key, value, heads):
    """Queries, keys and values, where those that are None lie behind the one before."""
    parts = cut(query, 3) if key is None else (query, *cut(key, 2)) if value is None else (query, key, value)
    return tuple(in_heads(x, heads) for x in parts)


def together(parts, key, value, heads):
    """The other way, with None for those that are None."""
    q, k, v = (side_by_side(x, heads) for x in parts)
    if key is None:
        return concatenate([q, k, v], -1), None, None
    return (q, concatenate([k, v], -1), None) if value is None else (q, k, v)


# --- the operation ---------------------------------------------------------------------------------------------------


def attention(query, key=None, value=None, mask=None, scale=1.0, heads=None, memo=None):
    """The mean of the values for each query.

    query, key, value  (N, heads, length, width) each; or, with `heads`, projections with the features of all heads in the last axis, the
                       last two of which may be None: then they lie behind the one before
    mask               added to the products, of a shape that broadcasts to (N, heads, L, S)
    heads              (number of heads, axis of the batch)
    memo               an empty dict, for the gradients
    """
    q, k, v = apart(query, key, value, heads)
    return side_by_side(matmul(attention_weights(q, k, mask, scale), v), heads)


def fast(query, key=None, value=None, mask=None, scale=1.0, heads=None, memo=None):
    if not all(x is None or type(x) is np.ndarray for x in (query, key, value, mask)):
        return None
    q, k, v = apart(query, key, value, heads)
    shape = (*q.shape[:3], v.shape[3]) if heads is None else (*query.shape[:2], q.shape[1] * v.shape[3])
    out = kernel.empty(shape, q)
    return out if kernel.attend(q, k, v, as_weights(mask, q, k), scale, in_heads(out, heads)) else None


def as_weights(mask, q, k):
    """The mask in the shape and dtype of the weights, without a copy if possible."""
    return None if mask is None else np.broadcast_to(mask.astype(q.dtype, copy=False), (*q.shape[:3], k.shape[2]))


def gradients(g, query, key, value, mask, scale, heads):
    """By queries, keys and values."""
    if not any_tensor(g, query, key, value, mask):
        found = [None if x is None else kernel.empty(x.shape, x) for x in (query, key, value)]
        q, k, v = apart(query, key, value, heads)
        if kernel.differentiate(in_heads(np.ascontiguousarray(g), heads), q, k, v, as_weights(mask, q, k), scale, *apart(*found, heads)):
            return found
    q, k, v = apart(query, key, value, heads)
    g, weights = in_heads(g, heads), attention_weights(q, k, mask, scale)
    slope = slopes(g, weights, v) * float(scale)
    parts = matmul(slope, k), matmul(swapaxes(slope, -1, -2), q), matmul(swapaxes(weights, -1, -2), g)
    return together(parts, key, value, heads)


def share(place):
    """The line of an argument: the gradient that was made together with those of the others, once for all."""

    def line(g, query, key, value, mask, scale, heads, memo):
        read = (g, query, key, value, mask)
        if memo is None or any_tensor(g) or not (memo and all(a is b for a, b in zip(read, memo["read"], strict=True)) and place in memo):
            found = gradients(g, query, key, value, mask, scale, heads)
            if memo is None or any_tensor(g):
                return found[place]
            memo.clear()
            memo.update(enumerate(found), read=read)
        return memo.pop(place)

    return line


def mask_line(g, query, key, value, mask, scale, heads):
    q, k, v = apart(query, key, value, heads)
    return slopes(in_heads(g, heads), attention_weights(q, k, mask, scale), v)


_attention = op(attention, fast=fast, query=share(0), key=share(1), value=share(2), mask=mask_line)
composed("attention")(attention)


def attention(query, key=None, value=None, mask=None, scale=1.0, heads=None):
    """The operation, with a memo of its own."""
    return _attention(query, key, value, mask, scale, heads, {})
