"""Products with matrices of weights, and rows of them that are looked up: linear, bilinear, embedding, embedding_bag, one_hot.

Read next: attention.py.
"""

import math

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.nn.functional.checks import require
from gradnerve.ops.embedding import embedding as rows_of
from gradnerve.ops.indexing import scatter
from gradnerve.ops.linear import linear as product
from gradnerve.ops.values import of_all_examples, tensor_like

__all__ = ["bilinear", "embedding", "embedding_bag", "linear", "one_hot"]

# --- products --------------------------------------------------------------------------------------------------------


def linear(input, weight, bias=None):
    """``input @ weight.T + bias``.

    input   (*, in_features): any number of axes before the last
    weight  (out_features, in_features), or (in_features,) for a result of shape (*)
    bias    (out_features,), or () where the weight has one axis

    Gives (*, out_features). Raises ShapeError for shapes that do not fit.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.linear(np.ones((5, 3)), np.ones((2, 3)), np.array([0.0, 1.0]))[0]
    array([3., 4.])
    """
    if getattr(weight, "ndim", 2) == 1:
        return product(input, weight[None], None if bias is None else np.reshape(bias, (1,)))[..., 0]
    return product(input, weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each k.

    input1, input2  (*, in1_features) and (*, in2_features), of equal shapes but for the last axis
    weight          (out_features, in1_features, in2_features)
    bias            (out_features,)

    Gives (*, out_features). Raises ShapeError for shapes that do not fit.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.bilinear(np.ones((5, 2)), np.ones((5, 3)), np.ones((4, 2, 3))).shape
    (5, 4)
    """
    input1, input2, weight = map(tensor_like, (input1, input2, weight))
    shown = {"input1": input1, "input2": input2, "weight": weight}
    require(weight.ndim == 3, "bilinear: weight must have the shape (out_features, in1_features, in2_features)", **shown)
    out, in1, in2 = weight.shape
    require(input1.shape[:-1] == input2.shape[:-1], "bilinear: input1 and input2 must have equal shapes but for the last axis", **shown)
    for name, x, features in (("input1", input1, in1), ("input2", input2, in2)):
        require(x.shape[-1:] == (features,), f"bilinear: the last axis of {name} must have length {features}, as that of the weight", **shown)
    require(bias is None or np.shape(bias) == (out,), f"bilinear: bias must have shape ({out},)", **shown)
    by_first = product(input1, np.reshape(np.swapaxes(weight, 1, 2), (out * in2, in1)))
    result = np.sum(np.reshape(by_first, (*input1.shape[:-1], out, in2)) * input2[..., None, :], -1)
    return result if bias is None else result + bias


# --- rows that are looked up -----------------------------------------------------------------------------------------


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` whose numbers are in `input`.

    input               whole numbers from 0, of any shape
    weight              (num_embeddings, embedding_dim)
    padding_idx         the number of a row that gets no gradient
    max_norm            scale rows that are looked up and have a larger norm down to it, in place; `norm_type` is the p of that norm
    scale_grad_by_freq  divide the gradient of a row by how often its number is in `input`
    sparse              accepted for PyTorch's sake: the gradient is an array like `weight` either way, with the same values

    Gives (*input.shape, embedding_dim). Raises IndexError for a number that is out of range, and TypeError for what is no whole number.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.embedding(np.array([2, 0]), np.eye(3))
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    weight = tensor_like(weight)
    input = numbers(input, weight, "embedding")
    padding_idx = row_number(padding_idx, weight, "embedding")
    if max_norm is not None:
        limit_norms(weight, input, max_norm, norm_type)
    return rows_of(weight, input, gradient_scale(input, weight, padding_idx, scale_grad_by_freq))


def numbers(input, weight, name):
    """The numbers of rows, looked at."""
    require(weight.ndim == 2, f"{name}: weight must have the shape (num_embeddings, embedding_dim)", weight=weight)
    input = tensor_like(input)
    if input.dtype.kind not in "iu":
        raise TypeError(f"{name}: input must hold whole numbers, those of rows of weight, not {input.dtype}")
    values = of_all_examples(input)
    if values.size:
        lowest, highest = values.min(), values.max()
        if lowest < 0 or highest >= len(weight):
            raise IndexError(f"{name}: input holds the index {lowest if lowest < 0 else highest}; "
                             f"weight has {len(weight)} rows, 0 to {len(weight) - 1}")  # fmt: skip
    return input


def row_number(index, weight, name):
    """The number of the row that is padding, counted from the beginning; or None."""
    if index is None:
        return None
    if not -len(weight) <= index < len(weight):
        raise IndexError(f"{name}: padding_idx {index} is no row of weight, which has {len(weight)}, 0 to {len(weight) - 1}")
    return index % len(weight)


def limit_norms(weight, input, max_norm, norm_type):
    """Scale the rows that are looked up down to a norm, as PyTorch does, in place and outside of the graph."""
    rows = np.unique(of_all_examples(input))
    data = weight.data if isinstance(weight, TensorBase) else weight
    norms = np.linalg.norm(data[rows], norm_type, 1)
    large = norms > max_norm
    data[rows[large]] *= (max_norm / (norms[large] + 1e-7))[:, None].astype(data.dtype)


def gradient_scale(input, weight, padding_idx, by_frequency):
    """What the gradient of each row that is looked up is multiplied by; None for 1."""
    scale = None
    if by_frequency:
        scale = 1 / scatter(np.ones(input.shape, weight.dtype), weight.shape[:1], input)[input]
    if padding_idx is not None:
        scale = np.where(input == padding_idx, weight.dtype.type(0), weight.dtype.type(1) if scale is None else scale)
    return scale


def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
                  per_sample_weights=None, include_last_offset=False, padding_idx=None):  # fmt: skip
    """The sum, mean or largest element of the rows of `weight` in each of several bags of row numbers.

    input                whole numbers: (B, N), a row for each bag, or (N,), bags one after the other
    weight               (num_embeddings, embedding_dim)
    offsets              (B,): where each bag begins in an input of one axis; with `include_last_offset` (B + 1,), also where the last one ends
    mode                 'sum', 'mean' or 'max'; a bag without rows gives zeros
    per_sample_weights   of input's shape: what each row is multiplied by, in mode 'sum'
    padding_idx          the number of a row that is left out of the bags, and gets no gradient

    `max_norm`, `norm_type`, `scale_grad_by_freq` and `sparse` are those of `embedding`.
    Gives (B, embedding_dim). Raises ShapeError, IndexError, TypeError or ValueError for arguments that do not fit.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.embedding_bag(np.array([0, 1, 2]), np.eye(3), np.array([0, 2]), mode="sum")
    array([[1., 1., 0.],
           [0., 0., 1.]])
    """
    name, weight = "embedding_bag", tensor_like(weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode must be 'sum', 'mean' or 'max', not {mode!r}")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(f"{name}: mode 'max' goes with neither scale_grad_by_freq nor sparse")
    input = of_all_examples(numbers(input, weight, name))
    if per_sample_weights is not None:
        if mode != "sum":
            raise ValueError(f"{name}: per_sample_weights go with mode 'sum' only, not {mode!r}")
        per_sample_weights = tensor_like(per_sample_weights)
        require(per_sample_weights.shape == input.shape, f"{name}: per_sample_weights must have the shape of input",
                input=input, per_sample_weights=per_sample_weights)  # fmt: skip
        per_sample_weights = np.reshape(per_sample_weights, -1)
    ends = ends_of_bags(input, offsets, include_last_offset)
    bags = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    input = input.reshape(-1)[: len(bags)]
    if padding_idx is not None:
        kept = input != row_number(padding_idx, weight, name)
        input, bags = input[kept], bags[kept]
        per_sample_weights = None if per_sample_weights is None else per_sample_weights[: len(kept)][kept]
    if max_norm is not None:
        limit_norms(weight, input, max_norm, norm_type)
    return reduce_bags(weight, input, bags, len(ends) - 1, mode, per_sample_weights, scale_grad_by_freq)


def ends_of_bags(input, offsets, include_last):
    """Where each bag ends, with a 0 in front."""
    if input.ndim == 2:
        require(offsets is None, "embedding_bag: an input of two axes holds a bag in each row, and takes no offsets", input=input)
        return np.arange(len(input) + 1) * input.shape[1]
    require(input.ndim == 1, "embedding_bag: input must have one or two axes", input=input)
    require(offsets is not None, "embedding_bag: an input of one axis needs offsets, which say where its bags begin", input=input)
    offsets = of_all_examples(tensor_like(offsets))
    require(offsets.ndim == 1, "embedding_bag: offsets must have one axis", offsets=offsets)
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"embedding_bag: offsets must hold whole numbers, not {offsets.dtype}")
    if include_last:
        require(len(offsets) > 0, "embedding_bag: with include_last_offset, offsets must hold one number at least", offsets=offsets)
        ends = offsets
    else:
        ends = np.append(offsets, len(input)).astype(np.intp)
    if offsets[:1].any() or (np.diff(ends) < 0).any() or ends[-1] > len(input):
        raise ValueError(f"embedding_bag: offsets must begin with 0 and rise to {len(input)} at most, the length of input, not be {offsets.tolist()}")
    return ends


def reduce_bags(weight, input, bags, count, mode, per_sample_weights, by_frequency):
    """The rows, and what becomes of them in the bags whose numbers are in `bags`."""
    if mode == "max":
        return largest_in_bags(weight, input, bags, count)
    rows = rows_of(weight, input, gradient_scale(input, weight, None, by_frequency))
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    sums = scatter(rows, (count, weight.shape[1]), bags)
    if mode == "sum":
        return sums
    sizes = np.maximum(np.bincount(bags, minlength=count), 1)
    return sums / sizes.astype(weight.dtype)[:, None]


def largest_in_bags(weight, input, bags, count):
    """Bags as the rows of a table, filled up with -inf."""
    sizes = np.bincount(bags, minlength=count)
    place = np.arange(len(bags)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table, filled = np.zeros((count, max(sizes.max(initial=0), 1)), np.intp), np.zeros((count, max(sizes.max(initial=0), 1), 1), bool)
    table[bags, place], filled[bags, place] = input, True
    if not len(weight):
        return np.zeros((count, weight.shape[1]), weight.dtype)
    largest = np.max(np.where(filled, rows_of(weight, table), -math.inf), 1)
    return np.where((sizes > 0)[:, None], largest, 0)


def one_hot(tensor, num_classes=-1):
    """A 1 at the place that each number says, and 0 elsewhere, in int64.

    tensor       whole numbers from 0, of any shape
    num_classes  how many places there are; -1 for as many as the largest number needs

    Gives (*tensor.shape, num_classes). Raises IndexError for numbers that are out of range, and TypeError for what is no whole number.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.one_hot(np.array([1, 0]), 3)
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    tensor = tensor_like(tensor)
    if tensor.dtype.kind not in "iu":
        raise TypeError(f"one_hot: tensor must hold whole numbers, not {tensor.dtype}")
    values = of_all_examples(tensor)
    if num_classes == -1:
        if not values.size:
            raise ValueError("one_hot: an empty tensor does not say how many classes there are; pass num_classes")
        num_classes = int(values.max()) + 1
    lowest, highest = values.min(initial=0), values.max(initial=0)
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be -1 or positive, not {num_classes}")
    if lowest < 0 or highest >= num_classes:
        raise IndexError(f"one_hot: tensor holds the class {lowest if lowest < 0 else highest}; there are {num_classes}, 0 to {num_classes - 1}")
    return (tensor[..., None] == np.arange(num_classes)).astype(np.int64)
