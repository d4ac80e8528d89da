"""Fourier transforms along one axis; NumPy's own code makes all others of these four.

A transform is a matrix F of complex numbers, and its gradient the conjugate transpose of it, which is the transform in the
other direction, not divided by what the transform itself is not divided by. In front of F the input is cropped or padded with
zeros, behind its transpose the gradient is padded or cropped. The lines give that conjugate transpose themselves
(`analytic=False`): so nothing is conjugated twice.

Read next: linalg.py.
"""

import numpy as np

from gradnerve.ops.define import op
from gradnerve.ops.indexing import getitem, scatter

OPPOSITE = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def fitted(g, x_shape, axis):
    """`g` in the shape of x: cropped, or with zeros behind, as the transform did with x the other way round."""
    size = x_shape[axis]
    if g.shape[axis] == size:
        return g
    index = (slice(None),) * (axis % len(x_shape)) + (slice(min(size, g.shape[axis])),)
    return getitem(g, index) if g.shape[axis] > size else scatter(g, x_shape, index)


def occurrences(n, g, axis):
    """How often each frequency of a real signal of length n stands in its whole spectrum: twice; zero, and the last one of an even n, once."""
    counts = np.full(n // 2 + 1, 2, np.finfo(g.dtype).dtype)
    counts[0 if n % 2 else [0, -1]] = 1
    return counts.reshape([-1 if i == axis % g.ndim else 1 for i in range(g.ndim)])


def rfft_x(g, x_shape, n, axis, norm):
    """irfft, which counts frequencies twice; here each counts once."""
    n = x_shape[axis] if n is None else n
    return fitted(irfft(g * (1 / occurrences(n, g, axis)), n, axis, OPPOSITE[norm]), x_shape, axis)


def irfft_x(g, x_shape, axis, norm):
    """rfft, times how often each frequency was counted. Of zero and the last one of an even n irfft ignores the imaginary part; g has none there."""
    spectrum = rfft(g, None, axis, OPPOSITE[norm])
    return fitted(spectrum * occurrences(g.shape[axis], spectrum, axis), x_shape, axis)


# fmt: off
fft   = op(lambda x, n=None, axis=-1, norm=None: np.fft.fft(x, n, axis, norm),
           numpy=np.fft.fft,   analytic=False, x=lambda g, x_shape, axis, norm: fitted(ifft(g, None, axis, OPPOSITE[norm]), x_shape, axis))
ifft  = op(lambda x, n=None, axis=-1, norm=None: np.fft.ifft(x, n, axis, norm),
           numpy=np.fft.ifft,  analytic=False, x=lambda g, x_shape, axis, norm: fitted(fft(g, None, axis, OPPOSITE[norm]), x_shape, axis))
rfft  = op(lambda x, n=None, axis=-1, norm=None: np.fft.rfft(x, n, axis, norm),
           numpy=np.fft.rfft,  analytic=False, x=rfft_x)
irfft = op(lambda x, n=None, axis=-1, norm=None: np.fft.irfft(x, n, axis, norm),
           numpy=np.fft.irfft, analytic=False, x=irfft_x)
# fmt: on
