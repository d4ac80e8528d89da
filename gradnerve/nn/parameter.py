"""Parameter: a Tensor that a module learns; and the dtype that new ones get.

Read next: module.py, which registers them.
"""

import numpy as np

from gradnerve.tensor import Tensor

__all__ = ["Parameter", "get_default_dtype", "set_default_dtype"]


class Parameter(Tensor):
    """A tensor that a `Module` registers when it is assigned as an attribute, as `torch.nn.Parameter`; it requires grad.

    data  anything that `Tensor` takes; it is copied in its own dtype, and integers become float64

    >>> Parameter([1.0, 2.0])
    Parameter([1., 2.], dtype=float64, requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)

    def __repr__(self):
        values = np.array2string(self._array, separator=", ", prefix="Parameter(")
        return f"Parameter({values}, dtype={self.dtype}{', requires_grad=True' if self.requires_grad else ''})"


def get_default_dtype():
    """The dtype of the parameters of new layers: float32, unless `set_default_dtype` has said otherwise.

    >>> get_default_dtype()
    dtype('float32')
    """
    return _default


def set_default_dtype(dtype):
    """Let the parameters of new layers have this dtype, a floating-point one, or raise TypeError.

    >>> set_default_dtype(np.float64)
    >>> get_default_dtype()
    dtype('float64')
    >>> set_default_dtype(np.float32)
    """
    global _default
    _default = floating(dtype, "set_default_dtype")


_default = np.dtype(np.float32)


def factory(device=None, dtype=None):
    """The dtype of a new layer's parameters, from the last two arguments of its constructor."""
    if device not in (None, "cpu"):
        raise ValueError(f"device: everything is on the 'cpu', there is no {device!r}")
    return _default if dtype is None else floating(dtype, "dtype")


def floating(dtype, what):
    """The dtype, if it is one of real floating-point numbers."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"{what}: parameters are real floating-point numbers, as of float32 or float64, not {dtype}")
    return dtype
