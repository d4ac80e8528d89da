"""Normalization: arrays less their mean, over their standard deviation; what the mean is taken of makes the difference.

All but two are one operation, `gradnerve.ops.normalization.normalized`. Statistics that a layer keeps are updated in place, outside of
the graph. Read next: distances.py.
"""

import math

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.nn.functional.checks import require, rows
from gradnerve.ops.indexing import getitem
from gradnerve.ops.joining import concatenate
from gradnerve.ops.normalization import normalized
from gradnerve.ops.shapes import astype, reshape
from gradnerve.ops.values import batched, tensor_like, value

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Each channel normalised by its mean and variance over the batch or, unless `training`, by those that are given.

    input         (N, C) or (N, C, ...)
    running_mean  (C,), Tensors or arrays, which while training are moved in place by `momentum` towards the moments of this batch; the
    running_var   variance is then that with N - 1 in place of N. Either may be None while training
    weight, bias  (C,) or None: what the result is multiplied by, and what is added

    Source: Ioffe and Szegedy, Batch Normalization, 2015.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=1e-12)
    array([[-1.],
           [ 1.]])
    """
    input = checked("batch_norm", input, 2, "(N, C) or (N, C, ...)")
    running = {"running_mean": running_mean, "running_var": running_var}
    per_channel("batch_norm", input, input.shape[1], **running, weight=weight, bias=bias)
    if not training:
        return by_given("batch_norm", input, running_mean, running_var, weight, bias, eps)
    n, channels = input.shape[:2]
    length = math.prod(input.shape[2:])
    if n * length == 1:
        raise ValueError("batch_norm: expected more than 1 value per channel when training" + rows({"input": input}))
    if eps <= 0:
        raise ValueError(f"batch_norm: eps must be positive when training, not {eps}")
    keeps(running, input, "batch_norm")
    stats = np.empty((2, channels))
    out = normalized(input, weight, bias, stats, eps, (n, channels, 1, length), True)
    if input.size:
        update(running_mean, stats[0], momentum)
        update(running_var, stats[1] * (n * length / (n * length - 1)), momentum)
    return out


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    """Each channel of each example normalised by its own mean and variance or, unless `use_input_stats`, by those that are given.

    input  (N, C, ...); all others as in `batch_norm`, where the running statistics move towards the mean of those of the examples

    Source: Ulyanov, Vedaldi and Lempitsky, Instance Normalization, 2016.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.instance_norm(np.array([[[1.0, 3.0], [5.0, 1.0]]]), eps=1e-12)
    array([[[-1.,  1.],
            [ 1., -1.]]])
    """
    input = checked("instance_norm", input, 3 if use_input_stats else 2, "(N, C, ...)")
    running = {"running_mean": running_mean, "running_var": running_var}
    per_channel("instance_norm", input, input.shape[1], **running, weight=weight, bias=bias)
    if not use_input_stats:
        return by_given("instance_norm", input, running_mean, running_var, weight, bias, eps)
    n, channels = input.shape[:2]
    length = math.prod(input.shape[2:])
    if length == 1:
        raise ValueError("instance_norm: expected more than 1 spatial element when training" + rows({"input": input}))
    keeps(running, input, "instance_norm")
    stats = np.empty((2, n * channels))
    out = normalized(input, weight, bias, stats, eps, (n, channels, 1, length))
    if input.size:
        mean, var = stats.reshape(2, n, channels).mean(1)
        update(running_mean, mean, momentum)
        update(running_var, var * (length / (length - 1)), momentum)
    return out


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The channels of each example in `num_groups` groups, each of which is normalised by its mean and variance.

    input         (N, C, ...), C a multiple of num_groups
    weight, bias  (C,) or None: what the result is multiplied by, and what is added

    Source: Wu and He, Group Normalization, 2018.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.group_norm(np.array([[1.0, 3.0, 7.0, 5.0]]), 2, eps=1e-12)
    array([[-1.,  1.,  1., -1.]])
    """
    input = checked("group_norm", input, 2, "(N, C) or (N, C, ...)")
    n, channels = input.shape[:2]
    if not isinstance(num_groups, (int, np.integer)) or num_groups < 1 or channels % num_groups:
        raise ValueError(f"group_norm: the {channels} channels cannot be divided into num_groups={num_groups!r} groups" + rows({"input": input}))
    per_channel("group_norm", input, channels, weight=weight, bias=bias)
    length = math.prod(input.shape[2:])
    if n * (channels // num_groups) * length == 1:
        raise ValueError(f"group_norm: expected more than 1 value per group, in num_groups={num_groups}" + rows({"input": input}))
    return normalized(input, weight, bias, np.empty((2, n * num_groups)), eps, (n, num_groups, channels // num_groups, length))


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each example normalised by the mean and the variance of all its features.

    normalized_shape  the last axes of `input`: what one mean is taken of
    weight, bias      of that shape, or None: what the result is multiplied by, and what is added

    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.layer_norm(np.array([[1.0, 3.0], [7.0, 5.0]]), (2,), eps=1e-12)
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    return over_last("layer_norm", input, normalized_shape, weight, bias, eps, True)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """As `layer_norm`, but without the mean: each example is divided by the root of its mean square, plus `eps`.

    eps  None stands for the distance from 1 to the next number of the dtype

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.rms_norm(np.array([1.0, 7.0]), (2,))
    array([0.2, 1.4])
    """
    return over_last("rms_norm", input, normalized_shape, weight, None, eps, False)


def over_last(name, input, normalized_shape, weight, bias, eps, centered):
    input = checked(name, input, 1, "an array of at least one axis")
    shape = (normalized_shape,) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape)
    outer = input.ndim - len(shape)
    require(shape and outer >= 0 and input.shape[outer:] == shape, f"{name}: normalized_shape={shape} must be the last axes of input", input=input)
    for key, array in (("weight", weight), ("bias", bias)):
        if array is not None:
            require(array.shape == shape, f"{name}: {key} must be of normalized_shape={shape}", input=input, **{key: array})
    eps = np.finfo(input.dtype).eps if eps is None else eps
    n = math.prod(input.shape[:outer])
    return normalized(input, weight, bias, np.empty((2, n)), float(eps), (n, 1, math.prod(shape), 1), False, centered)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Each element divided by ``(k + alpha * m) ** beta``, where m is the mean of the squares in `size` neighbouring channels.

    input  (N, C, ...) of at least three axes; beyond the first and the last channel, squares count as 0

    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification, 2012, section 3.3, but for the mean in place of a sum.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.local_response_norm(np.ones((1, 2, 1)), 2, alpha=2.0, beta=1.0)
    array([[[0.5       ],
            [0.33333333]]])
    """
    input = checked("local_response_norm", input, 3, "(N, C, ...) of at least three axes")
    if not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"local_response_norm: size must be a whole number from 1 on, not {size!r}")
    channels = input.shape[1]
    edges = [np.zeros((input.shape[0], width, *input.shape[2:]), input.dtype) for width in (size // 2, (size - 1) // 2)]
    squares = concatenate([edges[0], input * input, edges[1]], 1)
    total = getitem(squares, (slice(None), slice(channels)))
    for first in range(1, size):
        total = total + getitem(squares, (slice(None), slice(first, first + channels)))
    return input / (total * (alpha / size) + k) ** beta


# --- what they share -------------------------------------------------------------------------------------------------


def checked(name, input, least, expected):
    """The input, if it holds floats and has as many axes at least."""
    input = tensor_like(input)
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: input must hold real floating-point numbers" + rows({"input": input}))
    require(input.ndim >= least, f"{name}: input must be {expected}", input=input)
    return input


def per_channel(name, input, channels, **arrays):
    for key, array in arrays.items():
        if array is not None and array.shape != (channels,):
            require(False, f"{name}: {key} must be of shape ({channels},), a number for each channel of input", input=input, **{key: array})


def by_given(name, input, mean, var, weight, bias, eps):
    """Normalised by moments that are there already."""
    if mean is None or var is None:
        raise ValueError(f"{name}: running_mean and running_var are None; without them, the moments must be those of the input")
    if batched(mean, var):
        return by_many(input, mean, var, weight, bias, eps)
    n, channels = input.shape[:2]
    stats = np.array([value(mean), value(var)], float)
    return normalized(input, weight, bias, stats, eps, (n, channels, 1, math.prod(input.shape[2:])), True, True, True)


def by_many(input, mean, var, weight, bias, eps):
    """The same under vmap, where each example has its own moments."""
    scale = 1 / np.sqrt(var + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (-1, *(1,) * (input.ndim - 2))
    return astype(input * reshape(scale, shape) + reshape(shift, shape), input.dtype)


def keeps(running, input, name):
    """Refuse statistics of many examples at once, as there is one place for them."""
    if batched(input) and any(array is not None for array in running.values()):
        raise ValueError(f"{name}: under vmap, each example has other moments, and running_mean and running_var have room for one; pass None "
                         "(track_running_stats=False), or let the layer not train (eval())")  # fmt: skip


def update(running, found, momentum):
    """Move a running moment towards the one that was found."""
    if running is not None:
        array = running.data if isinstance(running, TensorBase) else running
        array[...] = (1 - momentum) * array + momentum * found
