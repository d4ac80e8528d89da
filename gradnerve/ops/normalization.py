"""Normalised arrays: less their mean, over their standard deviation, with a weight and a bias for each channel.

Batch, layer, group, instance and RMS normalization are this one operation: they differ in what the mean is taken of. The array is
seen as one of shape ``form``, (N, G, K, L), where G * K are the channels; the mean is taken over the last two axes, or with `over_batch` over
the first one as well. In words, with r = 1 / sqrt(var + eps), the derivative by x takes off from the gradient its mean, and its part
along the result:  r * (g - mean(g) - out * mean(g * out)).

Read next: ../nn/functional/normalization.py.
"""

import numpy as np

from gradnerve.kernels import normalization as kernels
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op
from gradnerve.ops.reductions import mean, sum
from gradnerve.ops.shapes import broadcast_to, reshape, swapaxes
from gradnerve.ops.values import any_tensor


def normalized(x, weight, bias, stats, eps, form, over_batch=False, centered=True, given=False):
    """The normalised array, and its moments.

    weight, bias  one number for each channel, of any shape, or None
    stats         float64 of shape (2, rows): is filled with the mean and the variance of each row, a row being what one mean is taken of
    centered      whether the mean is subtracted; if not, it counts as 0
    given         the moments are not found but those in `stats`, which are constants; with `over_batch`
    """
    if not x.size:
        return x.copy()
    if not given:
        find_moments(x.reshape(form), axes_of(over_batch), centered, stats)
    far = (x.reshape(form) - of_rows(stats[0], form, over_batch, float)).astype(x.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = far * of_rows(1 / np.sqrt(stats[1] + eps), form, over_batch, x.dtype)
    out = out if weight is None else out * per_channel(weight, form)
    out = out if bias is None else out + per_channel(bias, form)
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def find_moments(x, axes, centered, stats):
    middle = np.zeros(())
    if centered:
        first = x[tuple(slice(1) if axis in axes else slice(None) for axis in range(4))]  # without it, the mean of equal elements may not be theirs
        middle = first + np.mean(x - first, axes, float, keepdims=True)
    far = (x - middle).astype(x.dtype)
    stats[0], stats[1] = middle.reshape(-1), np.mean(far * far, axes, float).reshape(-1)


def axes_of(over_batch):
    return (0, 2, 3) if over_batch else (2, 3)


def per_channel(weight, form):
    return reshape(weight, (form[1], form[2], 1))


def of_rows(values, form, over_batch, dtype):
    return values.reshape(1 if over_batch else form[0], form[1], 1, 1).astype(dtype)


def standard(x, stats, eps, form, over_batch, centered, given):
    """The normalised array without weights, and 1 over its deviations: by the moments, or of a Tensor, by what they are made of."""
    x = reshape(x, form)
    if given or not any_tensor(x):
        scale = of_rows(1 / np.sqrt(stats[1] + eps), form, over_batch, x.dtype)
        return (x - of_rows(stats[0], form, over_batch, x.dtype)) * scale, scale
    far = x - mean(x, axes_of(over_batch), keepdims=True) if centered else x
    scale = 1 / np.sqrt(mean(far * far, axes_of(over_batch), keepdims=True) + float(eps))
    return far * scale, scale


def input_line(g, x, x_shape, weight, stats, eps, form, over_batch, centered, given):
    if given:  # whatever x is, also infinite
        scale = of_rows(1 / np.sqrt(stats[1] + eps), form, over_batch, x.dtype)
        return reshape(reshape(g, form) * (scale if weight is None else scale * per_channel(weight, form)), x_shape)
    if not any_tensor(g, x, weight):
        share = kernels.input_share(np.ascontiguousarray(g), np.ascontiguousarray(x), weight, stats, eps, form, over_batch, centered, given)
        if share is not None:
            return share
    out, scale = standard(x, stats, eps, form, over_batch, centered, given)
    g, axes = reshape(g, form), axes_of(over_batch)
    g = g if weight is None else g * per_channel(weight, form)
    share = g - out * mean(g * out, axes, keepdims=True)
    return reshape(scale * (share - mean(g, axes, keepdims=True) if centered else share), x_shape)


def weight_line(g, x, weight_shape, stats, eps, form, over_batch, centered, given):
    if not any_tensor(g, x):
        share = kernels.weight_share(np.ascontiguousarray(g), np.ascontiguousarray(x), stats, eps, form, over_batch, centered, given)
        if share is not None:
            return share.reshape(weight_shape)
    return reshape(sum(reshape(g, form) * standard(x, stats, eps, form, over_batch, centered, given)[0], (0, 3)), weight_shape)


def bias_line(g, bias_shape, form, over_batch):
    if not any_tensor(g) and form[3] > 1:  # else NumPy's own sum is as fast
        share = kernels.bias_share(np.ascontiguousarray(g), form, over_batch)
        if share is not None:
            return share.reshape(bias_shape)
    return reshape(sum(reshape(g, form), (0, 3)), bias_shape)


def in_c_order(x, weight, bias, stats, eps, form, over_batch=False, centered=True, given=False):
    return kernels.normalized(np.ascontiguousarray(x), weight, bias, stats, eps, form, over_batch, centered, given)


normalized = op(normalized, fast=in_c_order, analytic=False, x=input_line, weight=weight_line, bias=bias_line)


@rule("normalized", also="weight bias")
def many_normalized(call):
    """The examples as a larger batch, or if a mean is taken over that, their channels side by side; where x is the same for all, it is once."""
    (n, g, k, length), over_batch, size, shape = call["form"], call["over_batch"], call.size, call.shape("x")
    differs, apart = "x" in call.batched, call["given"] or not over_batch
    larger = n * (size if differs else 1)
    stats = call["stats"] if call["given"] or not differs else np.empty((2, size * g * (1 if over_batch else n)))
    if call.batched == {"x"} and apart:
        return call(stats=stats, form=(larger, g, k, length))
    if apart or not differs:
        out = reshape(call(weight=None, bias=None, stats=stats, form=(larger, g, k, length)), (size if differs else 1, n, g, k, length))
        weight, bias = (weights(call, name, (size, 1, g, k, 1)) for name in ("weight", "bias"))
        return reshape(out * (1 if weight is None else weight) + (0 if bias is None else bias), (size, *shape))
    x = swapaxes(reshape(call["x"], (size, n, g * k * length)), 0, 1)
    weight, bias = (weights(call, name, (size * g * k,)) for name in ("weight", "bias"))
    out = call(x=x, weight=weight, bias=bias, stats=stats, form=(n, size * g, k, length))
    return reshape(swapaxes(out, 0, 1), (size, *shape))


def weights(call, name, shape):
    """Weights of all examples, or in a shape with length 1 for the examples those that they share."""
    x = call[name]
    if x is None or name in call.batched:
        return None if x is None else reshape(x, shape)
    if len(shape) == 1:
        return reshape(broadcast_to(reshape(x, (1, -1)), (call.size, x.size)), shape)
    return reshape(x, (1, *shape[1:]))
