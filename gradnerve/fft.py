"""Fourier transforms: all of `numpy.fft`, whose functions take Tensors as they are.

Read next: ops/fft.py, where the derivatives are.
"""

from numpy.fft import *
