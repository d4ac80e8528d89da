"""The way back from maxima to their places, and pooling with windows at random places, in 1, 2 and 3 dimensions.

Read next: ../../ops/pooling.py.
"""

import math

import numpy as np

from gradnerve.nn.functional.checks import require, rows
from gradnerve.nn.functional.pooling import largest, numbers, planes_in
from gradnerve.ops.pooling import Windows, put_planes
from gradnerve.ops.values import of_all_examples, tensor_like, value
from gradnerve.random import generator_of

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


# --- the way back ----------------------------------------------------------------------------------------------------


def max_unpool(n, input, indices, kernel_size, stride, padding, output_size):
    name = f"max_unpool{n}d"
    x, indices = planes_in(name, input, n), tensor_like(indices)
    kernel = numbers(kernel_size, n, f"{name}: kernel_size")
    stride = kernel if stride is None else numbers(stride, n, f"{name}: stride")
    padding = numbers(padding, n, f"{name}: padding")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices must be whole numbers, as max_pool{n}d gives them" + rows({"indices": indices}))
    require(indices.shape == x.shape, f"{name}: indices must have the shape of input", input=x, indices=indices)
    size = unpooled_size(name, x.shape[-n:], kernel, stride, padding, output_size)
    check_indices(name, of_all_examples(indices), size)
    return put_planes(x, indices if indices.dtype == np.int64 else indices.astype(np.int64), size, False)


def unpooled_size(name, size, kernel, stride, padding, output_size):
    """The size that pooling with these options would have come from; sizes that are less than a stride away would do as well."""
    found = tuple((m - 1) * s + k - 2 * p for m, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if output_size is not None:
        n, wanted = len(size), tuple(output_size) if hasattr(output_size, "__len__") else (output_size,) * len(size)
        wanted = wanted[2:] if len(wanted) == n + 2 else wanted
        if len(wanted) != n or any(abs(a - b) >= s for a, b, s in zip(wanted, found, stride, strict=True)):
            raise ValueError(f"{name}: output_size must be less than a stride of {stride} away from {found}, not {output_size}")
        found = numbers(wanted, n, f"{name}: output_size")
    if min(found) < 1:
        raise ValueError(f"{name}: the result would have the size {found}, with kernel_size={kernel}, stride={stride} and padding={padding}")
    return found


def check_indices(name, indices, size):
    places = math.prod(size)
    lowest, highest = int(indices.min(initial=0)), int(indices.max(initial=0))
    if lowest < 0 or highest >= places:
        raise IndexError(f"{name}: indices holds {lowest if lowest < 0 else highest}; the result's planes are of size {size}, with the places "
                         f"0 to {places - 1}")


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Rows of zeros with the input at the places that `max_pool1d` gave for it.

    input, indices  (N, C, windows) or (C, windows)
    output_size     (L,) or the whole shape; None: what `kernel_size`, `stride` and `padding` of the pooling say

    Where a place comes twice, the last of the values is there, and each gets the gradient of the place. An index that is in no row is an IndexError.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_unpool1d(np.array([[3.0, 5.0]]), np.array([[1, 3]]), 2)
    array([[0., 3., 0., 5.]])
    """
    return max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Planes of zeros with the input at the places that `max_pool2d` gave for it; see `max_unpool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_unpool2d(np.array([[[3.0, 5.0]]]), np.array([[[1, 6]]]), 2)
    array([[[0., 3., 0., 0.],
            [0., 0., 5., 0.]]])
    """
    return max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Volumes of zeros with the input at the places that `max_pool3d` gave for it; see `max_unpool1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.max_unpool3d(np.array([[[[3.0, 5.0]]]]), np.array([[[[1, 3]]]]), (1, 1, 2))
    array([[[[0., 3., 0., 5.]]]])
    """
    return max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# --- windows at random places ----------------------------------------------------------------------------------------


def fractional_max_pool(n, input, kernel_size, output_size, output_ratio, return_indices, samples, generator):
    name = f"fractional_max_pool{n}d"
    x = planes_in(name, input, n)
    size, kernel = x.shape[-n:], numbers(kernel_size, n, f"{name}: kernel_size")
    shape = fractional_size(name, size, output_size, output_ratio)
    if min(kernel) < 1 or min(shape) < 1:
        raise ValueError(f"{name}: kernel_size and output_size must be at least 1, not {kernel} and {shape}")
    require(all(m + k - 1 <= length for m, k, length in zip(shape, kernel, size, strict=True)),
            f"{name}: {shape} windows of {kernel} elements do not fit: output_size + kernel_size - 1 must be at most the size of the input", input=x)
    lead = x.shape[:-n] if x.ndim == n + 2 else (1, *x.shape[:-n])
    samples = generator_of(generator).random((*lead, n)) if samples is None else value(tensor_like(samples))
    require(samples.shape == (*lead, n), f"{name}: _random_samples must be of shape {(*lead, n)}", input=x, _random_samples=samples)
    samples = samples.reshape(*x.shape[:-n], n).astype(x.dtype if x.dtype.kind == "f" else float)
    order = range(n) if n == 3 else (1, 0)  # PyTorch's order of the samples: for a plane, first the one along its rows
    first = [random_steps(samples[..., j], *each) for j, each in zip(order, zip(size, shape, kernel, strict=True), strict=True)]
    return largest(x, Windows(size, first, [a + k for a, k in zip(first, kernel, strict=True)], (1,) * n), return_indices)


def fractional_size(name, size, output_size, output_ratio):
    n = len(size)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name}: takes either an output_size or an output_ratio")
    if output_size is not None:
        return numbers(output_size, n, f"{name}: output_size")
    ratios = tuple(output_ratio) if hasattr(output_ratio, "__len__") else (output_ratio,) * n
    if len(ratios) != n or not all(0 < ratio < 1 for ratio in ratios):
        raise ValueError(f"{name}: output_ratio must be one number or {n}, between 0 and 1, not {output_ratio}")
    return tuple(int(length * ratio) for length, ratio in zip(size, ratios, strict=True))


def random_steps(sample, size, shape, kernel):
    """Where windows begin, in steps of two lengths whose order a number between 0 and 1 decides: Graham, Fractional Max-Pooling (2014), section 2."""
    sample = sample[..., None]
    alpha = sample.dtype.type(size - kernel) / sample.dtype.type(max(shape - 1, 1))
    steps = np.arange(shape - 1).astype(sample.dtype)
    first = np.trunc((steps + sample) * alpha) - np.trunc(sample * alpha)
    return np.concatenate([first, np.full(sample.shape, size - kernel)], -1).astype(np.intp)


def fractional_max_pool2d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None, *, generator=None):
    """The largest elements of windows at random places in planes, of which there are as many as wanted.

    input            (N, C, H, W) or (C, H, W)
    output_size      how many windows there are along each axis; or
    output_ratio     that as a part of the input's size, between 0 and 1
    _random_samples  (N, C, 2), numbers from 0 to 1 that decide on the places; otherwise `generator` draws them

    Gives the largest elements, with their places if `return_indices`, as `max_pool2d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.fractional_max_pool2d(np.arange(25.0).reshape(1, 5, 5), 2, 3, _random_samples=np.zeros((1, 1, 2)))
    array([[[ 6.,  7.,  9.],
            [11., 12., 14.],
            [21., 22., 24.]]])
    """
    return fractional_max_pool(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)


def fractional_max_pool3d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None, *, generator=None):
    """The largest elements of windows at random places in volumes, (N, C, D, H, W) or (C, D, H, W); see `fractional_max_pool2d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.fractional_max_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), 2, output_ratio=0.25)
    array([[[[63.]]]])
    """
    return fractional_max_pool(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)
