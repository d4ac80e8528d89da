"""Attention: each query's mean of all values, with weights that say how well its key fits (Vaswani et al. 2017, arXiv:1706.03762).

    weights = softmax(query @ key.T / sqrt(E) + mask)
    output  = weights @ value

Read next: ../attention.py, the layer.
"""

import math
from itertools import pairwise

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.nn.functional.dropout import dropout
from gradnerve.nn.functional.linear import linear
from gradnerve.ops.attention import apart, attention, attention_weights, cut, in_heads, side_by_side
from gradnerve.ops.shapes import broadcast_to, concatenate
from gradnerve.ops.values import tensor_like

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False, *, generator=None):
    """The mean of the values for each query, weighted by the softmax of its products with the keys.

    query       (..., L, E)
    key, value  (..., S, E) and (..., S, Ev)
    attn_mask   of a shape that broadcasts to (..., L, S): booleans, True for what takes part, or floats that are added to the products.
                A query that nothing takes part for gets zeros
    dropout_p   the probability that a weight is dropped, always: pass 0 for evaluation
    is_causal   let query i see the keys 0 to i only
    scale       of the products, 1 / sqrt(E) by default
    enable_gqa  the last axis but two is that of heads, and several heads of queries share one of keys and values
    generator   for dropout

    Gives (..., L, Ev). Raises ShapeError for shapes that do not fit, and ValueError for both an attn_mask and is_causal.

    >>> import numpy as np, gradnerve as gn
    >>> x = np.eye(3)
    >>> gn.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)[0]
    array([1., 0., 0.])
    """
    name = "scaled_dot_product_attention"
    query, key, value = map(tensor_like, (query, key, value))
    check_shapes(query, key, value, enable_gqa, name)
    if enable_gqa:
        key, value = (for_groups(x, query.shape[-3] // x.shape[-3]) for x in (key, value))
    sizes = query.shape[-2], key.shape[-2]
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{name}: pass either attn_mask or is_causal, which makes a mask of its own")
        attn_mask = np.where(np.tri(*sizes, dtype=bool), query.dtype.type(0), query.dtype.type(-np.inf))
    elif attn_mask is not None:
        attn_mask = as_added(attn_mask, query.dtype, True, f"{name}: attn_mask")
        check_broadcast(attn_mask, query, key, sizes, name)
    scale = default_scale(query) if scale is None else scale
    lead = query.shape[:-2]
    if dropout_p == 0 and lead == key.shape[:-2] == value.shape[:-2]:
        if len(lead) == 2:
            return attention(query, key, value, attn_mask, scale)
        if attn_mask is None or attn_mask.ndim == 2:
            out = attention(*(np.reshape(x, (math.prod(lead), 1, *x.shape[-2:])) for x in (query, key, value)), attn_mask, scale)
            return np.reshape(out, (*lead, *out.shape[-2:]))
    weights = attention_weights(query, key, attn_mask, scale)
    return np.matmul(dropout(weights, dropout_p, generator=generator), value)


def default_scale(query):
    return max(query.shape[-1], 1) ** -0.5


def check_shapes(query, key, value, enable_gqa, name):
    shown = {"query": query, "key": key, "value": value}
    require(min(query.ndim, key.ndim, value.ndim) > 1, f"{name}: query, key and value must have the shapes (..., L, E), (..., S, E), (..., S, Ev)",
            **shown)  # fmt: skip
    require(query.shape[-1] == key.shape[-1], f"{name}: query and key must have last axes of equal length", **shown)
    require(key.shape[-2] == value.shape[-2], f"{name}: there must be as many values as keys, along the last axis but one", **shown)
    if enable_gqa:
        fits = query.ndim > 2 and key.ndim > 2 and value.ndim > 2 and not any(query.shape[-3] % x.shape[-3] for x in (key, value))
        require(fits, f"{name}: with enable_gqa, the heads of query, its last axis but two, must be a multiple of those of key and value", **shown)
    else:
        try:
            np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        except ValueError:
            require(False, f"{name}: the axes before the last two do not broadcast", **shown)


def for_groups(x, count):
    """Each head as often as there are heads of queries that share it."""
    repeated = broadcast_to(x[..., :, None, :, :], (*x.shape[:-2], count, *x.shape[-2:]))
    return np.reshape(repeated, (*x.shape[:-3], x.shape[-3] * count, *x.shape[-2:]))


def as_added(mask, dtype, taking_part, what):
    """A mask as what is added to the products: booleans become 0 where they are `taking_part`, and -inf elsewhere."""
    mask = tensor_like(mask)
    if mask.dtype == bool:
        return np.where(mask == taking_part, dtype.type(0), dtype.type(-np.inf))
    if mask.dtype.kind != "f":
        raise TypeError(f"{what} must hold booleans or floats, not {mask.dtype}")
    return mask


def check_broadcast(mask, query, key, sizes, name):
    shape = (*np.broadcast_shapes(query.shape[:-2], key.shape[:-2]), *sizes)
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        require(False, f"{name}: attn_mask must have shape {sizes} or {shape}, or broadcast to that", query=query, key=key, attn_mask=mask)


# --- several heads ---------------------------------------------------------------------------------------------------


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn,
                                 dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True,
                                 attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None,
                                 static_k=None, static_v=None, average_attn_weights=True, is_causal=False, *, generator=None,
                                 batch_first=False):  # fmt: skip
    """Attention in several heads, each with its own projections of queries, keys and values, and a projection of what they give.

    query             (L, N, E), or (L, E) without a batch; (N, L, E) with `batch_first`
    key, value        (S, N, Ek) and (S, N, Ev), likewise
    in_proj_weight    (3 * E, E): the projections one below the other; or use_separate_proj_weight, and (E, E), (E, Ek) and (E, Ev)
    in_proj_bias      (3 * E,) or None
    bias_k, bias_v    (1, 1, E): a further key and value for all; add_zero_attn adds one of zeros
    key_padding_mask  (N, S) or (S,): booleans, True for keys that are left out, or floats that are added
    attn_mask         (L, S) or (N * num_heads, L, S): likewise
    static_k, static_v  (N * num_heads, S, E / num_heads): in place of the projections
    is_causal         says that attn_mask is the causal mask

    The other arguments are those of `gn.nn.MultiheadAttention`.

    Gives the output in the shape of query, and with `need_weights` the weights (N, L, S), or (N, num_heads, L, S) unless
    `average_attn_weights`; else None. Raises ShapeError for shapes that do not fit.

    >>> import numpy as np, gradnerve as gn
    >>> x, weight = np.ones((5, 2, 4)), np.ones((12, 4))
    >>> F = gn.nn.functional
    >>> output, weights = F.multi_head_attention_forward(x, x, x, 4, 2, weight, None, None, None, False, 0.0, np.eye(4), None)
    >>> output.shape, weights.shape
    ((5, 2, 4), (2, 5, 5))
    """
    name, selves = "multi_head_attention_forward", (query is key, key is value)
    query, key, value = map(tensor_like, (query, key, value))
    key = query if selves[0] else key
    value = key if selves[1] else value
    check_inputs(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight, batch_first and query.ndim == 3, name)
    is_batched = query.ndim == 3
    batch = 0 if batch_first or not is_batched else 1
    if not is_batched:
        query, key, value = one_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else tensor_like(key_padding_mask)[None]
    count, length, keys = query.shape[batch], query.shape[1 - batch], key.shape[1 - batch]
    masks = mask_of_all(attn_mask, key_padding_mask, is_causal, (count, num_heads, length, keys), query.dtype, name)
    if use_separate_proj_weight:
        parts = separate_projections(query, key, value, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias)
    else:
        parts = packed_projections(query, key, value, in_proj_weight, in_proj_bias)
    heads, dropout_p = (num_heads, batch), dropout_p if training else 0
    scale = (embed_dim_to_check // num_heads) ** -0.5
    weights = None
    if not (need_weights or dropout_p or add_zero_attn) and bias_k is bias_v is static_k is static_v is None:
        output = attention(*parts, joint_mask(masks, keys), scale, heads)
    else:
        q, k, v = apart(*parts, heads)
        k, v = extended(k, v, num_heads, bias_k, bias_v, static_k, static_v, add_zero_attn)
        weights = attention_weights(q, k, joint_mask(masks, k.shape[-2]), scale, not need_weights)
        weights = dropout(weights, dropout_p, generator=generator)
        output = side_by_side(np.matmul(weights, v), heads)
    output = linear(output, out_proj_weight, out_proj_bias)
    weights = None if not need_weights else np.mean(weights, 1) if average_attn_weights else weights
    if is_batched:
        return output, weights
    return output[0], None if weights is None else weights[0]


def check_inputs(query, key, value, embed_dim, num_heads, separate, batch_first, name):
    shown = {"query": query, "key": key, "value": value}
    require(query.ndim in (2, 3) and query.ndim == key.ndim == value.ndim, f"{name}: query, key and value must all have three axes, or two "
            "without a batch", **shown)  # fmt: skip
    require(query.shape[-1] == embed_dim, f"{name}: the last axis of query must have length {embed_dim}, the embed_dim", **shown)
    require(embed_dim % num_heads == 0, f"{name}: embed_dim {embed_dim} must be a multiple of num_heads {num_heads}")
    require(key.shape[:-1] == value.shape[:-1], f"{name}: key and value must have equal shapes but for the last axis", **shown)
    require(separate or key.shape[-1] == value.shape[-1] == embed_dim, f"{name}: the last axes of key and value must have length {embed_dim}; "
            "for others, there are kdim and vdim, and use_separate_proj_weight", **shown)  # fmt: skip
    if query.ndim == 3:
        batch = 0 if batch_first else 1
        require(query.shape[batch] == key.shape[batch], f"{name}: axis {batch} is that of the batch, and must have one length", **shown)


def one_batch(query, key, value):
    """With an axis for the batch in front; what was one tensor still is."""
    new_query = query[None]
    new_key = new_query if key is query else key[None]
    return new_query, new_key, new_key if value is key else value[None]


def packed_projections(query, key, value, weight, bias):
    """Of queries, keys and values, in one product where they are the same: then None stands for those that lie behind the one before."""
    require(weight is not None, "multi_head_attention_forward: pass in_proj_weight, or use_separate_proj_weight")
    if query is key and key is value:
        return linear(query, weight, bias), None, None
    width = query.shape[-1]
    ends = (0, 1, 3) if key is value else (0, 1, 2, 3)
    rows = [slice(a * width, b * width) for a, b in pairwise(ends)]
    parts = [linear(x, weight[part], None if bias is None else bias[part]) for x, part in zip((query, key, value), rows, strict=False)]
    return (*parts, None) if key is value else tuple(parts)


def separate_projections(query, key, value, weights, bias):
    require(all(w is not None for w in weights), "multi_head_attention_forward: with use_separate_proj_weight, pass q_, k_ and v_proj_weight")
    biases = (None,) * 3 if bias is None else cut(bias, 3)
    return tuple(map(linear, (query, key, value), weights, biases))


def extended(k, v, num_heads, bias_k, bias_v, static_k, static_v, add_zero_attn):
    """Keys and values in heads, or what takes their place, with those that are added to them."""
    name = "multi_head_attention_forward"
    k, v = (static(given, x, part) for given, x, part in ((static_k, k, "static_k"), (static_v, v, "static_v")))
    require((bias_k is None) == (bias_v is None), f"{name}: pass both bias_k and bias_v, or neither")
    if bias_k is not None:
        require(static_k is None and static_v is None, f"{name}: bias_k and bias_v cannot be added to static_k and static_v")
        k, v = (with_last(x, in_heads(np.reshape(bias, (1, 1, -1)), (num_heads, 0))) for x, bias in ((k, bias_k), (v, bias_v)))
    if add_zero_attn:
        k, v = (with_last(x, np.zeros((1, 1, 1, 1), x.dtype)) for x in (k, v))
    return k, v


def static(given, projected, name):
    """What takes the place of a projection, (N * heads, S, E / heads)."""
    if given is None:
        return projected
    given, (count, heads, _, width) = tensor_like(given), projected.shape
    require(given.ndim == 3 and given.shape[0] == count * heads and given.shape[2] == width,
            f"multi_head_attention_forward: {name} must have shape ({count * heads}, S, {width})", **{name: given})  # fmt: skip
    return np.reshape(given, (count, heads, *given.shape[1:]))


def with_last(x, one):
    """One key or value more."""
    return concatenate([x, broadcast_to(one, (*x.shape[:2], 1, x.shape[3]))], 2)


def mask_of_all(attn_mask, key_padding_mask, is_causal, shape, dtype, name):
    """The two masks as what is added to the products, in shapes that broadcast to (N, heads, L, S)."""
    count, heads, length, keys = shape
    if is_causal and attn_mask is None:
        raise ValueError(f"{name}: is_causal says that attn_mask is the causal mask; pass that, too, "
                         "as gn.nn.Transformer.generate_square_subsequent_mask makes it")  # fmt: skip
    if attn_mask is not None:
        attn_mask = as_added(attn_mask, dtype, False, f"{name}: attn_mask")
        wanted = (length, keys), (count * heads, length, keys)
        require(attn_mask.shape in wanted, f"{name}: attn_mask must have shape {wanted[0]} or {wanted[1]}", attn_mask=attn_mask)
        attn_mask = np.reshape(attn_mask, (-1, 1, length, keys) if attn_mask.ndim == 2 else shape)
    if key_padding_mask is not None:
        key_padding_mask = as_added(key_padding_mask, dtype, False, f"{name}: key_padding_mask")
        fits = key_padding_mask.shape == (count, keys)
        require(fits, f"{name}: key_padding_mask must have shape {(count, keys)}", key_padding_mask=key_padding_mask)
        key_padding_mask = np.reshape(key_padding_mask, (count, 1, 1, keys))
    return [mask for mask in (attn_mask, key_padding_mask) if mask is not None]


def joint_mask(masks, keys):
    """Their sum; what was added to the keys is seen by all."""
    if not masks:
        return None
    mask = masks[0] if len(masks) == 1 else masks[0] + masks[1]
    more = keys - mask.shape[-1]
    return concatenate([mask, np.zeros((*mask.shape[:-1], more), mask.dtype)], -1) if more else mask
