"""Winograd's convolution: where filters of 3 x 3 elements slide by single steps, 2 x 2 results need 16 products instead of 36.

A tile d of 4 x 4 elements and a filter w are each turned into 16 numbers by a few sums and differences; these are multiplied, and the products
turned into 2 x 2 results (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016):

    y = A' [(G w G') * (B' d B)] A

Over channels and filters the products become 16 products of matrices. The rounding error is that of the plain sum, as the factors are 0, 1 and
1/2; larger tiles would save more, and lose a digit. The derivatives go back the same way. An infinite element would reach every result of its
tile: where a result is not finite, all three give None, and the plain sum has to say what is.

Read next: csrc/kernels/winograd.pyx.
"""

import numpy as np

from gradnerve.kernels import winograd as kernels

LEAST, MOST = 16, 16384  # channels, and filters: of fewer the products are not what takes the time; of more they are for many threads at once
MEMORY = 1 << 23  # bytes of tiles that a thread may need

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
FILTERS = {dtype: np.kron(G, G).astype(dtype) for dtype in "fd"}  # (16, 9): the same for a filter in one row


def serves(x, shape, dtype, stride, padding, dilation, groups):
    """Whether this is the way for a convolution of x with filters of this shape."""
    if shape[2:] != (3, 3) or groups > 1 or max(stride) > 1 or max(dilation) > 1 or not x.dtype == dtype in ("f", "d"):
        return False
    height, width = out_size(x.shape[2:], padding)
    memory = 4 * (shape[0] + shape[1]) * (height + 1) * (width + 1) * x.itemsize
    return min(shape[:2]) >= LEAST and shape[0] * shape[1] <= MOST and min(height, width) > 1 and memory <= MEMORY and len(x) >= kernels.threads()


def serves_input(y, weight, size, stride, padding, dilation, groups):
    """The way back to the input is a convolution with the filters turned around, and 2 zeros less what there was."""
    if weight.shape[2:] != (3, 3) or max(map(max, padding)) > 2:
        return False
    filters, channels = weight.shape[:2]
    return serves(y, (channels, filters, 3, 3), weight.dtype, stride, other_padding(y, size, padding), dilation, groups)


def out_size(size, padding):
    return tuple(n + low + high - 2 for n, (low, high) in zip(size, padding, strict=True))


def other_padding(y, size, padding):
    return tuple((2 - low, s + low - n) for s, n, (low, _) in zip(size, y.shape[2:], padding, strict=True))


def matrices(weight):
    """The filters as 16 matrices (O, C)."""
    rows = np.ascontiguousarray(weight).reshape(-1, 9)
    return kernels.product(FILTERS[weight.dtype.char], rows.T).reshape(16, *weight.shape[:2])


def conv(x, weight, padding):
    (top, _), (left, _) = padding
    return kernels.convolve(x, matrices(weight), top, left, *out_size(x.shape[2:], padding))


def conv_input(y, weight, size, padding):
    (top, _), (left, _) = other_padding(y, size, padding)
    return kernels.convolve(y, matrices(weight[:, :, ::-1, ::-1].swapaxes(0, 1)), top, left, *size)


def conv_weight(x, y, padding):
    (top, _), (left, _) = padding
    total = kernels.sums(x, y, top, left)
    if total is None:
        return None
    rows = kernels.product(FILTERS[x.dtype.char].T, total.reshape(16, -1)).T
    return np.ascontiguousarray(rows).reshape(y.shape[1], x.shape[1], 3, 3)
