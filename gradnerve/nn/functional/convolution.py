"""Convolutions and their transposes in one, two and three dimensions, and the patches of an image.

Like everybody's, these do not turn the filters around: mathematics calls it a cross-correlation.

Read next: ../../ops/convolution.py; pooling.py.
"""

import math

from gradnerve.nn.functional.checks import AXES, require, rows, tuple_of
from gradnerve.ops import convolution as ops
from gradnerve.ops.shapes import expand_dims, reshape, squeeze
from gradnerve.ops.values import tensor_like

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold", "unfold"]


def sizes(name, n, **options):
    """The options as tuples of n numbers, none of which is too small."""
    found = []
    for option, value in options.items():
        numbers, least = tuple_of(value, n, f"{name}: {option}"), 0 if "padding" in option else 1
        if min(numbers) < least:
            raise ValueError(f"{name}: {option} must be at least {least}, not {value}")
        found.append(numbers)
    return found


def with_batch(name, input, n, **others):
    """The images as (N, C, ...), also a single one, and whether it was single."""
    input = tensor_like(input)
    axes = AXES[n - 1]
    require(input.ndim in (n + 1, n + 2), f"{name}: input must be (N, C, {axes}) or (C, {axes}), not of {input.ndim} dimensions",
            input=input, **others)
    return (expand_dims(input, 0), True) if input.ndim == n + 1 else (input, False)


def check_filters(name, input, weight, bias, n, groups, channels, filters, filters_name):
    """Say what is wrong with filters that do not fit the images."""
    shown = {"input": input, "weight": weight, "bias": bias}
    require(weight.ndim == n + 2, f"{name}: weight must be {filters_name}, not of {weight.ndim} dimensions", **shown)
    if not hasattr(groups, "__index__") or groups < 1:
        raise ValueError(f"{name}: groups must be a positive whole number, not {groups!r}")
    require(len(weight) % groups == 0, f"{name}: the first axis of weight, {len(weight)}, must be divisible by groups={groups}", **shown)
    require(input.shape[1] == channels, f"{name}: input has {input.shape[1]} channels, and weight with groups={groups} expects {channels}", **shown)
    require(min(weight.shape[2:]) > 0, f"{name}: filters must have at least one element", **shown)
    require(bias is None or bias.shape == (filters,), f"{name}: bias must be of shape ({filters},), a number for each filter", **shown)
    if any(x is not None and x.dtype.kind not in "fc" for x in shown.values()):
        raise TypeError(f"{name}: works on floating-point numbers only" + rows(shown))


def conv(n, input, weight, bias, stride, padding, dilation, groups):
    name = f"conv{n}d"
    weight, bias = tensor_like(weight), bias if bias is None else tensor_like(bias)
    stride, dilation = sizes(name, n, stride=stride, dilation=dilation)
    x, single = with_batch(name, input, n, weight=weight)
    check_filters(name, x, weight, bias, n, groups, weight.shape[1] * groups if weight.ndim > 1 else 0, len(weight) if weight.ndim else 0,
                  f"(filters, channels / groups, {AXES[n - 1].lower().replace(',', '')})")
    padding = pairs(name, padding, weight.shape[2:], stride, dilation)
    room = [s + low + high - d * (k - 1) for s, (low, high), d, k in zip(x.shape[2:], padding, dilation, weight.shape[2:], strict=True)]
    require(min(room) > 0, f"{name}: the filters are larger than the padded input", input=x, weight=weight)
    out = ops.conv(x, weight, bias, stride, padding, dilation, groups)
    return squeeze(out, 0) if single else out


def pairs(name, padding, kernel, stride, dilation):
    """How many zeros stand before and after each axis."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in sizes(name, len(kernel), padding=padding)[0])
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ValueError(f"{name}: padding must be 'same', 'valid' or whole numbers, not {padding!r}")
    if max(stride) > 1:
        raise ValueError(f"{name}: padding='same' needs a stride of 1, not {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return tuple((t // 2, t - t // 2) for t in total)


def conv_transpose(n, input, weight, bias, stride, padding, output_padding, groups, dilation):
    name = f"conv_transpose{n}d"
    weight, bias = tensor_like(weight), bias if bias is None else tensor_like(bias)
    stride, padding, more, dilation = sizes(name, n, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation)
    y, single = with_batch(name, input, n, weight=weight)
    check_filters(name, y, weight, bias, n, groups, len(weight) if weight.ndim else 0, weight.shape[1] * groups if weight.ndim > 1 else 0,
                  f"(channels, filters / groups, {AXES[n - 1].lower().replace(',', '')})")
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"{name}: output_padding must be smaller than stride or dilation; it is {more}, these are {stride} and {dilation}")
    size = tuple((i - 1) * s - 2 * p + d * (k - 1) + m + 1 for i, s, p, d, k, m in
                 zip(y.shape[2:], stride, padding, dilation, weight.shape[2:], more, strict=True))  # fmt: skip
    require(min(size) > 0, f"{name}: the result would be of size {size}", input=y, weight=weight)
    pairs = tuple((p, p - m // s * s) for p, m, s in zip(padding, more, stride, strict=True))  # with which as many places as y has fit into size
    out = ops.conv_input(y, weight, size, stride, pairs, dilation, groups)
    if bias is not None:
        out = out + reshape(bias, (-1, *(1,) * n))
    return squeeze(out, 0) if single else out


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Filters that slide over sequences, as `torch.nn.functional.conv1d`.

    input     (N, C, L) or (C, L)
    weight    (filters, C / groups, l)
    bias      (filters,)
    padding   zeros at both ends, or 'same' (the result is as long as the input) or 'valid' (none)
    dilation  the distance between the elements of a filter
    groups    how many parts channels and filters come in, of which each sees only its own

    Gives (N, filters, places) or (filters, places). Raises ShapeError for shapes that do not fit, TypeError for whole numbers.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv1d(np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([[[-1.0, 1.0]]]))
    array([[1., 2., 4.]])
    """
    return conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Filters that slide over images, as `torch.nn.functional.conv2d`: (N, C, H, W) or (C, H, W); the rest as for `conv1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv2d(np.ones((1, 5, 5)), np.ones((4, 1, 3, 3)), stride=2).shape
    (4, 2, 2)
    """
    return conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Filters that slide over volumes, as `torch.nn.functional.conv3d`: (N, C, D, H, W) or (C, D, H, W); the rest as for `conv1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv3d(np.ones((1, 5, 5, 5)), np.ones((2, 1, 3, 3, 3)), padding="same").shape
    (2, 5, 5, 5)
    """
    return conv(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The way back through `conv1d`: every number puts a filter, times itself, into the result, as `torch.nn.functional.conv_transpose1d`.

    input           (N, C, L) or (C, L)
    weight          (C, filters / groups, l)
    bias            (filters,)
    padding         how much is cut off at both ends
    output_padding  how much longer the result is at its end, since several lengths have the same `conv1d`; less than stride or dilation

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv_transpose1d(np.array([[1.0, 2.0]]), np.array([[[1.0, 10.0]]]), stride=2)
    array([[ 1., 10.,  2., 20.]])
    """
    return conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The way back through `conv2d`, as `torch.nn.functional.conv_transpose2d`; the arguments as for `conv_transpose1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv_transpose2d(np.ones((4, 2, 2)), np.ones((4, 1, 3, 3)), stride=2).shape
    (1, 5, 5)
    """
    return conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The way back through `conv3d`, as `torch.nn.functional.conv_transpose3d`; the arguments as for `conv_transpose1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.conv_transpose3d(np.ones((2, 2, 2, 2)), np.ones((2, 1, 3, 3, 3)), stride=2, output_padding=1).shape
    (1, 6, 6, 6)
    """
    return conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# --- patches ---------------------------------------------------------------------------------------------------------


def patches(name, dilation, padding, stride, kernel_size):
    """What `unfold` and `fold` share: kernel, and how it moves."""
    kernel, dilation, padding, stride = sizes(name, 2, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)
    return kernel, stride, tuple((p, p) for p in padding), dilation


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The patches of images as columns, as `torch.nn.functional.unfold`.

    input   (N, C, H, W) or (C, H, W)

    Gives (N, C * elements of a patch, patches). Raises ShapeError for another rank, or patches larger than the padded images.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.unfold(np.arange(6.0).reshape(1, 2, 3), 2)
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    """
    geometry = patches("unfold", dilation, padding, stride, kernel_size)
    x, single = with_batch("unfold", input, 2)
    require(min(ops.out_size(x.shape[2:], *geometry)) > 0, f"unfold: patches of {geometry[0]} are larger than the padded input", input=x)
    out = ops.columns(x, *geometry)
    return squeeze(out, 0) if single else out


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Images of patches, which are added where they overlap, as `torch.nn.functional.fold`.

    input        (N, C * elements of a patch, patches), or without N
    output_size  (H, W)

    Raises ShapeError unless `unfold` of such images has the shape of the input.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.fold(np.ones((4, 2)), (2, 3), 2)
    array([[[1., 2., 1.],
            [1., 2., 1.]]])
    """
    input = tensor_like(input)
    geometry = patches("fold", dilation, padding, stride, kernel_size)
    (size,) = sizes("fold", 2, output_size=output_size)
    require(input.ndim in (2, 3), f"fold: input must be (N, C * {math.prod(geometry[0])}, patches), or without N", input=input)
    places = math.prod(ops.out_size(size, *geometry))
    require(input.shape[-2] % math.prod(geometry[0]) == 0 and input.shape[-1] == places,
            f"fold: images of {size} have {places} patches of {math.prod(geometry[0])} elements for each channel", input=input)
    out = ops.spread(input if input.ndim == 3 else expand_dims(input, 0), size, *geometry)
    return out if input.ndim == 3 else squeeze(out, 0)
