"""The linear layer as one operation: a product of all rows with one matrix, and a bias.

All axes but the last count as one, so that each of the three products, of the values and of both gradients, is a single one of matrices.

Read next: embedding.py.
"""

import math

import numpy as np

from gradnerve.kernels.rows import product_of_rows, rows_times, sum_of_rows
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op
from gradnerve.ops.products import matmul
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import reshape, swapaxes


def flat(x):
    """All axes but the last as one."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def linear(input, weight, bias=None):
    """``input @ weight.T + bias``."""
    x, weight = np.asarray(input), np.asarray(weight)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight must have the shape (out_features, in_features), not {weight.shape}")
    if x.shape[-1:] != weight.shape[1:]:
        raise ValueError(f"linear: the last axis of input must have length {weight.shape[1]}, that of the rows of weight, and not shape {x.shape}")
    if bias is not None and np.shape(bias) != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, a number for each row of weight, not {np.shape(bias)}")
    out = reshape(np.matmul(flat(x), weight.T), (*x.shape[:-1], len(weight)))
    return out if bias is None else out + bias


def linear_input(g, input_shape, weight):
    fast = rows_times(in_order(g), weight, None, False)
    return reshape(matmul(flat(g), weight), input_shape) if fast is None else fast


def linear_weight(g, input):
    fast = product_of_rows(in_order(g), input)
    return matmul(flat(g).T, flat(input)) if fast is None else fast


def linear_bias(g):
    fast = sum_of_rows(in_order(g))
    return sum(flat(g), 0) if fast is None else fast


def in_order(g):
    """An array in C order; a sum, for one, gives a gradient of one number with strides of 0."""
    return np.ascontiguousarray(g) if type(g) is np.ndarray and not g.flags.c_contiguous else g


linear = op(linear, fast=lambda input, weight, bias=None: rows_times(input, weight, bias, True),
            input=linear_input, weight=linear_weight, bias=linear_bias)  # fmt: skip


@rule("linear", also="weight bias")
def linears(call):
    """With a matrix for each example, a stack of products."""
    x, weight, bias = call["input"], call["weight"], call["bias"]
    if call.batched == {"input"}:
        return call()
    if "weight" in call.batched:
        lead = call.shape("input")[:-1]
        rows = (call.size,) * ("input" in call.batched) + (math.prod(lead), x.shape[-1])
        out = reshape(matmul(reshape(x, rows), swapaxes(weight, -1, -2)), (call.size, *lead, weight.shape[1]))
    else:
        out = reshape(call(bias=None), (call.size if "input" in call.batched else 1, *call.shape("input")[:-1], len(weight)))
    if bias is None:
        return out
    return out + (reshape(bias, (call.size, *(1,) * (out.ndim - 2), -1)) if "bias" in call.batched else bias)
