"""Pooling: the largest element, or the mean, of windows that slide over a plane or divide it, and the way back, in 1, 2 and 3 dimensions.

All take (N, C, ...) or (C, ...): planes of C channels for each of N examples, or for one. Option by option as in PyTorch: a number stands for all
axes. With `ceil_mode`, a last window that goes beyond the end counts if it starts inside the input or the padding before it.
Indices are places in a plane, counted row by row. Maxima that are equal: the first one gets the gradient.

Read next: unpooling.py; ../../ops/pooling.py.
"""

import math
from functools import lru_cache

import numpy as np

from gradnerve.nn.functional.checks import AXES, require, rows, tuple_of
from gradnerve.ops.network import relu
from gradnerve.ops.pooling import dividing, max_places, sliding, take_planes, window_count, window_sum
from gradnerve.ops.reductions import mean
from gradnerve.ops.values import tensor_like

__all__ = [f"{name}_pool{n}d" for name in ("max", "avg", "adaptive_avg", "adaptive_max", "lp") for n in (1, 2, 3)]

# --- arguments -------------------------------------------------------------------------------------------------------


def numbers(value, n, what):
    """One whole number for each axis: of one for all, or of a sequence, also of one element."""
    values = tuple(value) if hasattr(value, "__len__") else (value,)
    return tuple_of(values * n if len(values) == 1 else values, n, what)


def planes_in(name, input, n):
    """The input, if it holds planes of n axes with something in them."""
    x = tensor_like(input)
    if x.ndim not in (n + 1, n + 2) or 0 in x.shape[-n - 1:] or x.dtype.kind not in "fiu":
        axes = AXES[n - 1]
        require(x.ndim in (n + 1, n + 2), f"{name}: input must be (N, C, {axes}) or (C, {axes}), not of {x.ndim} axes", input=x)
        require(0 not in x.shape[-n - 1:], f"{name}: input has no elements, and only the number of examples, N, may be 0", input=x)
        raise TypeError(f"{name}: input must hold real numbers" + rows({"input": x}))
    return x


def windows_on(name, x, *options):
    """The sliding windows for the options of a function on planes like those of x, or what is wrong with these."""
    return checked(name, x.shape, *(tuple(option) if hasattr(option, "__len__") else option for option in options))


@lru_cache(512, typed=True)
def checked(name, shape, n, kernel_size, stride, padding, dilation, ceil_mode):
    kernel = numbers(kernel_size, n, f"{name}: kernel_size")
    stride = kernel if stride is None or stride == () else numbers(stride, n, f"{name}: stride")
    padding, dilation = numbers(padding, n, f"{name}: padding"), numbers(dilation, n, f"{name}: dilation")
    for what, values in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if min(values) < 1:
            raise ValueError(f"{name}: {what} must be at least 1, not {values}")
    window = f"{kernel} elements" + (f" with dilation={dilation}" if max(dilation) > 1 else "")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if min(padding) < 0 or any(2 * p > span for p, span in zip(padding, spans, strict=True)):
        raise ValueError(f"{name}: padding must be at least 0 and at most half of the window of {window}, not {padding}")
    each = zip(shape[-n:], kernel, stride, padding, dilation, strict=True)
    require(all(window_count(*along, ceil_mode) > 0 for along in each),
            f"{name}: a window of {window} is larger than the input of shape {shape} with padding={padding} on both sides")
    windows = sliding(shape[-n:], kernel, stride, padding, dilation, ceil_mode)
    require(min(length.min() for length in windows.lengths) > 0,
            f"{name}: a window of {window} on the input of shape {shape} with padding={padding} holds elements of the padding only")
    return windows


# --- maxima ----------------------------------------------------------------------------------------------------------


def largest(x, windows, return_indices):
    places = max_places(x, windows)
    out = take_planes(x, places, len(windows.size))
    return (out, places) if return_indices else out


def max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    name = f"max_pool{n}d"
    x = planes_in(name, input, n)
    return largest(x, windows_on(name, x, n, kernel_size, stride, padding, dilation, ceil_mode), return_indices)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window of a row, and where it is if `return_indices`; NaN is larger than all.

    input        (N, C, L) or (C, L)
    kernel_size  how many elements a window has, `dilation` apart
    stride       from one window to the next; None: kernel_size
    padding      how many elements that never are the largest are added on both sides, at most half a window

    Gives (N, C, windows) or (C, windows), with indices of that shape, int64.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_pool1d(np.array([[1.0, 3.0, 2.0, 5.0, 0.0]]), 2, return_indices=True)
    (array([[3., 5.]]), array([[1, 3]]))
    """
    return max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window of a plane, (N, C, H, W) or (C, H, W); options as for `max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    """
    return max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window of a volume, (N, C, D, H, W) or (C, D, H, W); options as for `max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), (4, 2, 4))
    array([[[[55.],
             [63.]]]])
    """
    return max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def adaptive(name, n, input, output_size):
    """The input, and windows that give the size that is wanted; None is the input's own."""
    x = planes_in(name, input, n)
    size = x.shape[-n:]
    wanted = output_size if isinstance(output_size, list | tuple) else (output_size,) * n
    require(len(wanted) == n, f"{name}: output_size must be one number or {n}, not {output_size!r}", input=x)
    shape = numbers([m if k is None else k for k, m in zip(wanted, size, strict=True)], n, f"{name}: output_size")
    if min(shape) < 0:
        raise ValueError(f"{name}: output_size must be at least 0, not {output_size}")
    return x, dividing(size, shape)


def adaptive_max_pool(n, input, output_size, return_indices):
    return largest(*adaptive(f"adaptive_max_pool{n}d", n, input, output_size), return_indices)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The largest elements of as many parts as `output_size` says; None gives the input's own size.

    Part k of m goes from element floor(k L / m) to before ceil((k + 1) L / m). Shapes and indices as for `max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_max_pool1d(np.array([[1.0, 3.0, 2.0, 5.0, 0.0]]), 2)
    array([[3., 5.]])
    """
    return adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The largest elements of a grid of parts of a plane, a size or (H, W); see `adaptive_max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_max_pool2d(np.arange(16.0).reshape(1, 4, 4), (2, 1))
    array([[[ 7.],
            [15.]]])
    """
    return adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The largest elements of a grid of parts of a volume, a size or (D, H, W); see `adaptive_max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_max_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), 1)
    array([[[[63.]]]])
    """
    return adaptive_max_pool(3, input, output_size, return_indices)


# --- means -----------------------------------------------------------------------------------------------------------


def divided(sums, count):
    """Sums over windows, by how many elements these have: a number, or an array if that differs."""
    return sums / (count if isinstance(count, int) else count.astype(sums.dtype))


def avg_pool(n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    name = f"avg_pool{n}d"
    x = planes_in(name, input, n)
    windows = windows_on(name, x, n, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    sums = window_sum(x, windows)
    if divisor_override is not None:
        return sums / divisor_override
    return divided(sums, windows.padded_count if count_include_pad else windows.count)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of a row; zeros are added on both sides by `padding`, and count unless `count_include_pad` is False.

    Shapes and the other options as for `max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.avg_pool1d(np.array([[1.0, 3.0, 2.0, 5.0, 0.0]]), 2)
    array([[2. , 3.5]])
    """
    return avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window of a plane, or its sum over `divisor_override`; see `avg_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.avg_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    """
    return avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window of a volume, or its sum over `divisor_override`; see `avg_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.avg_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), (4, 2, 4))
    array([[[[27.5],
             [35.5]]]])
    """
    return avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool(n, input, output_size):
    x, windows = adaptive(f"adaptive_avg_pool{n}d", n, input, output_size)
    if windows.shape == (1,) * n:
        return mean(x, tuple(range(-n, 0)), keepdims=True)
    return divided(window_sum(x, windows), windows.count)


def adaptive_avg_pool1d(input, output_size):
    """The means of as many parts as `output_size` says, which are those of `adaptive_max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_avg_pool1d(np.array([[1.0, 3.0, 2.0, 5.0, 0.0]]), 1)
    array([[2.2]])
    """
    return adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """The means of a grid of parts of a plane, a size or (H, W); see `adaptive_max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 4, 4), (None, 1))
    array([[[ 1.5],
            [ 5.5],
            [ 9.5],
            [13.5]]])
    """
    return adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input, output_size):
    """The means of a grid of parts of a volume, a size or (D, H, W); see `adaptive_max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.adaptive_avg_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), (2, 1, 1))
    array([[[[15.5]],
            [[47.5]]]])
    """
    return adaptive_avg_pool(3, input, output_size)


# --- norms -----------------------------------------------------------------------------------------------------------


def lp_pool(n, input, norm_type, kernel_size, stride, ceil_mode):
    """In PyTorch's own steps: what goes beyond the end is left out of the mean, which stands for that of a whole window."""
    name = f"lp_pool{n}d"
    x = planes_in(name, input, n)
    windows = windows_on(name, x, n, kernel_size, stride, 0, 1, ceil_mode)
    if math.isinf(norm_type):
        sign = math.copysign(1, norm_type)
        return sign * largest(sign * np.abs(x), windows, False)
    if norm_type == 0:
        raise ValueError(f"{name}: norm_type must not be 0")
    means = divided(window_sum(x**norm_type, windows), windows.padded_count)
    means = np.sign(means) * relu(np.abs(means))  # 0 has the derivative 0, whatever that of the root is
    return (means * math.prod(numbers(kernel_size, n, name))) ** (1 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a row, without absolute values: (sum of x^p)^(1/p), p = `norm_type`.

    An infinite `norm_type` gives the largest absolute value, or the smallest for -inf. Where the sum is 0, the gradient is 0. Shapes and the other
    options as for `max_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.lp_pool1d(np.array([[3.0, 4.0, 5.0, 12.0]]), 2, 2)
    array([[ 5., 13.]])
    """
    return lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a plane, (N, C, H, W) or (C, H, W); see `lp_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.lp_pool2d(np.full((1, 2, 4), 3.0), 2, 2)
    array([[[6., 6.]]])
    """
    return lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a volume, (N, C, D, H, W) or (C, D, H, W); see `lp_pool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.lp_pool3d(np.full((1, 2, 2, 2), 3.0), 3, 2)
    array([[[[6.]]]])
    """
    return lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
