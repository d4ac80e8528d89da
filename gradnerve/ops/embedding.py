"""Rows of a matrix, looked up by their numbers: an embedding.

Read next: attention.py in ../nn/functional.
"""

import numpy as np

from gradnerve.ops.batched import rule
from gradnerve.ops.define import op
from gradnerve.ops.indexing import add_into, scatter
from gradnerve.ops.shapes import reshape


def embedding(weight, input, scale=None):
    """The rows of `weight` with the numbers `input`; the gradient of each is multiplied by its `scale`, and left out where that is 0."""
    return np.take(weight, input, 0)


def scaled(g, scale):
    return g if scale is None else np.where(scale[..., None] == 0, 0, g) * scale[..., None]


embedding = op(embedding, linear=True, masks=True,
               weight=lambda g, weight_shape, input, scale: scatter(scaled(g, scale), weight_shape, input),
               adds={"weight": lambda total, g, input, scale: add_into(total, scaled(g, scale), input)})  # fmt: skip


@rule("embedding", also="input scale")
def lookups(call):
    """Where each example has a matrix of its own, in all of them one below the other."""
    if "weight" not in call.batched:
        return call()
    weight, input = call["weight"], call.whole("input")
    count, rows, width = weight.shape
    input = input + rows * np.arange(count).reshape(-1, *(1,) * (input.ndim - 1))
    scale = {} if call["scale"] is None else {"scale": call.whole("scale")}
    return call(scale, weight=reshape(weight, (count * rows, width)), input=input)
