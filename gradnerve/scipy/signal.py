"""Convolutions, as `scipy.signal` computes them: the same values, and derivatives for them.

A convolution is linear in each of its two inputs, so it is its own derivative: to every element of x comes the gradient of all
results that it took part in, times what it met there, which is a convolution of the gradient with y turned round.

Read next: ../ops/products.py.
"""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from gradnerve.ops.define import op
from gradnerve.ops.indexing import scatter
from gradnerve.ops.shapes import flip, reshape

try:
    from scipy import signal
except ImportError as error:
    raise ImportError('gradnerve.scipy.signal needs SciPy: pip install "gradnerve[special]"') from error

__all__ = ["convolve", "correlate", "correlation_lags", "fftconvolve", "oaconvolve"]

correlation_lags = signal.correlation_lags


# --- the operation ---------------------------------------------------------------------------------------------------


def convolution(x, y, mode, how, axes=None):
    """`how` is a function of SciPy's that has axes, or a method of its `convolve`."""
    return how(x, y, mode, axes) if callable(how) else signal.convolve(x, y, mode, how)


def turned(g, y, x_shape, y_shape, mode, how, axes):
    """The gradient of x from that of the results; y_shape and x_shape change places for that of y."""
    if not g.size:
        return scatter(reshape(g, -1), x_shape, np.zeros(x_shape, bool))
    axes = convolved(x_shape, y_shape, how, axes)
    if not axes:
        return centered(g, x_shape, y_shape, axes) * y
    mode, g = (mode, g) if mode != "same" else ("full", centered(g, x_shape, y_shape, axes))
    larger = all(x_shape[axis] >= y_shape[axis] for axis in axes)
    return convolution(g, flip(y, axes), "full" if mode == "valid" and larger else "valid", how, axes)


def convolved(x_shape, y_shape, how, axes):
    """The axes that are convolved; along the others x and y are multiplied, as functions with axes do where one has a single element."""
    axes = normalize_axis_tuple(range(len(x_shape)) if axes is None else axes, len(x_shape))
    return tuple(axis for axis in axes if x_shape[axis] != 1 != y_shape[axis]) if callable(how) else axes


def centered(g, x_shape, y_shape, axes):
    """`g` in the middle of zeros, in the shape of the whole convolution, from which "same" cuts its result out."""
    sizes = enumerate(zip(x_shape, y_shape, strict=True))
    shape = tuple(n + m - 1 if axis in axes else max(n, m) for axis, (n, m) in sizes)
    starts = ((whole - n) // 2 for whole, n in zip(shape, g.shape, strict=True))
    return scatter(g, shape, tuple(slice(start, start + n) for start, n in zip(starts, g.shape, strict=True)))


convolution = op(convolution, x=lambda g, x_shape, y, y_shape, mode, how, axes: turned(g, y, x_shape, y_shape, mode, how, axes),
                              y=lambda g, x, x_shape, y_shape, mode, how, axes: turned(g, x, y_shape, x_shape, mode, how, axes))


# --- what users call -------------------------------------------------------------------------------------------------


def arraylike(x):
    return x if hasattr(x, "shape") else np.asarray(x)


def convolve(in1, in2, mode="full", method="auto"):
    """The convolution of two arrays with equally many axes, as `scipy.signal.convolve`.

    mode    "full": every place where they overlap; "same": the middle of that, in the shape of `in1`;
            "valid": where one lies within the other
    method  "direct": sums; "fft": products of Fourier transforms; "auto": what SciPy thinks faster

    Raises ValueError for different numbers of axes, and in "valid" if none is the larger along all axes.

    >>> convolve([1.0, 2.0, 3.0], [1.0, 1.0])
    array([1., 3., 5., 3.])
    """
    return convolution(arraylike(in1), arraylike(in2), mode, method)


def fftconvolve(in1, in2, mode="full", axes=None):
    """The convolution along some axes by Fourier transforms, as `scipy.signal.fftconvolve`; along the others, the arrays broadcast.

    >>> fftconvolve(np.ones((2, 3)), np.ones((1, 2)), axes=1).round(12)
    array([[1., 2., 2., 1.],
           [1., 2., 2., 1.]])
    """
    return convolution(arraylike(in1), arraylike(in2), mode, signal.fftconvolve, axes)


def oaconvolve(in1, in2, mode="full", axes=None):
    """The same by the overlap-add method, faster where one array is much longer than the other, as `scipy.signal.oaconvolve`.

    >>> oaconvolve(np.ones(100), np.ones(3), "valid").shape
    (98,)
    """
    return convolution(arraylike(in1), arraylike(in2), mode, signal.oaconvolve, axes)


def correlate(in1, in2, mode="full", method="auto"):
    """The cross-correlation of two arrays with equally many axes, as `scipy.signal.correlate`: a convolution with ``conj(in2)`` turned round.

    >>> correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    x, y = arraylike(in1), arraylike(in2)
    if method == "direct" and x.ndim == y.ndim and exchanged(x, y, mode):  # as SciPy adds up: the shorter one moves along the longer
        return flip(convolution(conj(y), flip(x), mode, method))
    return convolution(x, conj(flip(y)), mode, method)


def exchanged(x, y, mode):
    """Whether SciPy correlates y with x instead and turns the result round."""
    smaller = any(n < m for n, m in zip(x.shape, y.shape, strict=True))
    return smaller if mode == "valid" else mode == "full" and x.size < y.size


def conj(x):
    return np.conjugate(x) if x.dtype.kind == "c" else x
