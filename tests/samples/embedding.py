"""Samples of the linear layer, of the embedding and of attention. What a sample file holds is said in elementwise.py."""

import numpy as np

from gradnerve.ops.attention import attention
from gradnerve.ops.embedding import embedding
from gradnerve.ops.linear import linear

from .shapes import DTYPES, layouts, values


def products():
    samples = []
    for k in range(48):
        lead, features, out = [(), (5,), (2, 3), (0,), (1, 2, 2)][k % 5], (4, 1, 3)[k // 5 % 3], (3, 1, 2, 5)[k % 4]
        dtype = DTYPES[k // 2 % 3]
        forms = layouts(*lead, features, dtype=dtype, seed=k), layouts(out, features, dtype=DTYPES[(k // 2 + (k % 7 == 3)) % 3], seed=k + 1)
        bias = (values(out, dtype=dtype, seed=k + 2),) if k % 2 else ()
        samples.append(((forms[0][k // 3 % 4], forms[1][k % 4], *bias), {}))
    return samples


def lookups():
    numbers = [np.array([1, 2, 2, 0]), np.array(3), np.array([[0, 1], [1, 1]]), np.zeros((2, 0), int), np.array([3, 3], np.int32),
               np.array([2], np.uint8)]  # fmt: skip
    samples = []
    for k in range(42):
        forms = layouts(*[(4, 3), (4, 1), (5, 2), (4, 0)][k % 4], dtype=DTYPES[k // 2 % 3], seed=k)
        samples.append(((forms[k % len(forms)], numbers[k % len(numbers)]), {}))
    return samples


def heads():
    """In arrays of their own, and in projections, of which some lie behind others; with masks, some of which leave nothing."""
    samples = []
    for k in range(48):
        n, count, rows, keys, width = 1 + k % 2, (2, 1, 3)[k % 3], 1 + k % 5, 1 + k // 2 % 4, (2, 3, 1)[k // 3 % 3]
        dtype, batch, parts = DTYPES[k // 2 % 2], k // 4 % 2, [(), (3,), (1, 2), (1, 1, 1)][k % 4]
        rows = keys if parts == (3,) else rows
        mask = [None, values(rows, keys, dtype=dtype), values(n, 1, 1, keys, dtype=dtype),
                np.where(np.tri(rows, keys, -1, dtype=bool), 0, -np.inf).astype(dtype)][k // 4 % 4]  # fmt: skip
        lengths = (rows, keys, keys)
        if parts:
            shapes = [(*((length, n) if batch else (n, length)), count * width * part) for length, part in zip(lengths, parts, strict=False)]
        else:
            shapes = [(n, count, length, width + (place == 2)) for place, length in enumerate(lengths)]
        arrays = [values(*shape, dtype=dtype, seed=k + place) for place, shape in enumerate(shapes)]
        samples.append(((*arrays, *[None] * (3 - len(arrays)), mask, 0.5), {"heads": (count, batch)} if parts else {}))
    return samples


def rows_times(x, weight, bias=None):
    """One product, as the operation has it: for bits, the shape of a product matters."""
    out = (np.reshape(x, (int(np.prod(np.shape(x)[:-1])), np.shape(x)[-1])) @ weight.T).reshape(*np.shape(x)[:-1], len(weight))
    return out if bias is None else out + bias


SAMPLES = {"linear": products, "embedding": lookups, "attention": heads}
CALLS = {"linear": linear, "embedding": embedding, "attention": attention}
REFERENCES = {"linear": rows_times, "embedding": lambda weight, input: weight[input]}
