"""Layers for pooling: what `gradnerve.nn.functional` has under the same names, with the options as attributes.

Read next: functional/pooling.py.
"""

from gradnerve.nn import functional as F
from gradnerve.nn.functional.checks import tuple_of
from gradnerve.nn.module import Module
from gradnerve.tensor import asarray

__all__ = [f"{name}{n}d" for name in ("MaxPool", "MaxUnpool", "AvgPool", "LPPool", "AdaptiveMaxPool", "AdaptiveAvgPool") for n in (1, 2, 3)]
__all__ += ["FractionalMaxPool2d", "FractionalMaxPool3d"]


class Pool(Module):
    """What all have in common: a function, and the attributes that the repr shows."""

    _function = None
    _shown = ("output_size",)

    def extra_repr(self):
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)

    def _tuple(self, value, n, what):
        """PyTorch keeps some options as tuples."""
        return tuple_of(value, n, f"{type(self).__name__}: {what}")


# --- largest elements ------------------------------------------------------------------------------------------------


class MaxPool(Pool):
    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, input):
        return self._function(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)


class MaxPool1d(MaxPool):
    """The largest element of each window of a row: see `gradnerve.nn.functional.max_pool1d`.

    >>> MaxPool1d(3, stride=2)
    MaxPool1d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
    """

    _function = staticmethod(F.max_pool1d)


class MaxPool2d(MaxPool):
    """The largest element of each window of a plane: see `gradnerve.nn.functional.max_pool2d`.

    >>> import numpy as np
    >>> MaxPool2d(2)(np.ones((1, 6, 28, 28))).shape
    (1, 6, 14, 14)
    """

    _function = staticmethod(F.max_pool2d)


class MaxPool3d(MaxPool):
    """The largest element of each window of a volume: see `gradnerve.nn.functional.max_pool3d`.

    >>> import numpy as np
    >>> MaxPool3d((1, 2, 2))(np.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 4, 2, 2)
    """

    _function = staticmethod(F.max_pool3d)


class AdaptiveMaxPool(Pool):
    def __init__(self, output_size, return_indices=False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input):
        return self._function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """The largest elements of as many parts of a row as wanted: see `gradnerve.nn.functional.adaptive_max_pool1d`.

    >>> import numpy as np
    >>> AdaptiveMaxPool1d(3)(np.ones((1, 2, 10))).shape
    (1, 2, 3)
    """

    _function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """The largest elements of a grid of parts of a plane: see `gradnerve.nn.functional.adaptive_max_pool2d`.

    >>> AdaptiveMaxPool2d((3, None))
    AdaptiveMaxPool2d(output_size=(3, None))
    """

    _function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """The largest elements of a grid of parts of a volume: see `gradnerve.nn.functional.adaptive_max_pool3d`.

    >>> AdaptiveMaxPool3d(4)
    AdaptiveMaxPool3d(output_size=4)
    """

    _function = staticmethod(F.adaptive_max_pool3d)


class FractionalMaxPool(Pool):
    _shown = ()
    _axes = 2

    def __init__(self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None, *, generator=None):
        super().__init__()
        name = type(self).__name__
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: takes either an output_size or an output_ratio")
        ratios = output_ratio if isinstance(output_ratio, tuple | list) else (output_ratio,) * self._axes
        if output_ratio is not None and not (len(ratios) == self._axes and all(0 < ratio < 1 for ratio in ratios)):
            raise ValueError(f"{name}: output_ratio must be one number or {self._axes}, between 0 and 1, not {output_ratio}")
        self.kernel_size, self.return_indices = self._tuple(kernel_size, self._axes, "kernel_size"), return_indices
        self.register_buffer("_random_samples", None if _random_samples is None else asarray(_random_samples))
        self.output_size = None if output_size is None else self._tuple(output_size, self._axes, "output_size")
        self.output_ratio = None if output_ratio is None else tuple(ratios)
        self.generator = generator

    def forward(self, input):
        return self._function(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples,
                              generator=self.generator)


class FractionalMaxPool2d(FractionalMaxPool):
    """The largest elements of windows at random places in planes: see `gradnerve.nn.functional.fractional_max_pool2d`.

    >>> import numpy as np
    >>> FractionalMaxPool2d(2, output_ratio=0.7)(np.ones((1, 3, 10, 10))).shape
    (1, 3, 7, 7)
    """

    _function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(FractionalMaxPool):
    """The largest elements of windows at random places in volumes: see `gradnerve.nn.functional.fractional_max_pool3d`.

    >>> import numpy as np
    >>> FractionalMaxPool3d(2, output_size=(3, 4, 5))(np.ones((1, 2, 8, 8, 8))).shape
    (1, 2, 3, 4, 5)
    """

    _axes = 3
    _function = staticmethod(F.fractional_max_pool3d)


class MaxUnpool(Pool):
    _shown = ("kernel_size", "stride", "padding")
    _axes = 1

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.kernel_size = self._tuple(kernel_size, self._axes, "kernel_size")
        self.stride = self._tuple(kernel_size if stride is None else stride, self._axes, "stride")
        self.padding = self._tuple(padding, self._axes, "padding")

    def forward(self, input, indices, output_size=None):
        return self._function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(MaxUnpool):
    """Puts maxima back to their places in a row: see `gradnerve.nn.functional.max_unpool1d`.

    >>> import numpy as np
    >>> MaxUnpool1d(2)(*MaxPool1d(2, return_indices=True)(np.array([[1.0, 3.0, 5.0, 2.0]])))
    array([[0., 3., 5., 0.]])
    """

    _function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(MaxUnpool):
    """Puts maxima back to their places in a plane: see `gradnerve.nn.functional.max_unpool2d`.

    >>> MaxUnpool2d(2)
    MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
    """

    _axes = 2
    _function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(MaxUnpool):
    """Puts maxima back to their places in a volume: see `gradnerve.nn.functional.max_unpool3d`.

    >>> MaxUnpool3d(3, stride=2)
    MaxUnpool3d(kernel_size=(3, 3, 3), stride=(2, 2, 2), padding=(0, 0, 0))
    """

    _axes = 3
    _function = staticmethod(F.max_unpool3d)


# --- means and norms -------------------------------------------------------------------------------------------------


class AvgPool(Pool):
    _shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input):
        return self._function(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override)


class AvgPool1d(Pool):
    """The mean of each window of a row: see `gradnerve.nn.functional.avg_pool1d`.

    >>> AvgPool1d(3, stride=2)
    AvgPool1d(kernel_size=(3,), stride=(2,), padding=(0,))
    """

    _shown = AvgPool._shown

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size = self._tuple(kernel_size, 1, "kernel_size")
        self.stride = self._tuple(kernel_size if stride is None else stride, 1, "stride")
        self.padding = self._tuple(padding, 1, "padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(AvgPool):
    """The mean of each window of a plane: see `gradnerve.nn.functional.avg_pool2d`.

    >>> import numpy as np
    >>> AvgPool2d(2)(np.ones((1, 6, 28, 28))).shape
    (1, 6, 14, 14)
    """

    _function = staticmethod(F.avg_pool2d)


class AvgPool3d(AvgPool):
    """The mean of each window of a volume: see `gradnerve.nn.functional.avg_pool3d`.

    >>> AvgPool3d(2)
    AvgPool3d(kernel_size=2, stride=2, padding=0)
    """

    _function = staticmethod(F.avg_pool3d)


class AdaptiveAvgPool(Pool):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input):
        return self._function(input, self.output_size)


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """The means of as many parts of a row as wanted: see `gradnerve.nn.functional.adaptive_avg_pool1d`.

    >>> AdaptiveAvgPool1d(3)
    AdaptiveAvgPool1d(output_size=3)
    """

    _function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """The means of a grid of parts of a plane: see `gradnerve.nn.functional.adaptive_avg_pool2d`.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.ones((8, 64, 16, 16))).shape
    (8, 64, 1, 1)
    """

    _function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """The means of a grid of parts of a volume: see `gradnerve.nn.functional.adaptive_avg_pool3d`.

    >>> AdaptiveAvgPool3d((None, 2, 2))
    AdaptiveAvgPool3d(output_size=(None, 2, 2))
    """

    _function = staticmethod(F.adaptive_avg_pool3d)


class LPPool(Pool):
    _shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input):
        return self._function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(LPPool):
    """The p-norm of each window of a row: see `gradnerve.nn.functional.lp_pool1d`.

    >>> LPPool1d(2, 3)
    LPPool1d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)
    """

    _function = staticmethod(F.lp_pool1d)


class LPPool2d(LPPool):
    """The p-norm of each window of a plane: see `gradnerve.nn.functional.lp_pool2d`.

    >>> import numpy as np
    >>> LPPool2d(2, 3, stride=2)(np.ones((1, 2, 7, 7))).shape
    (1, 2, 3, 3)
    """

    _function = staticmethod(F.lp_pool2d)


class LPPool3d(LPPool):
    """The p-norm of each window of a volume: see `gradnerve.nn.functional.lp_pool3d`.

    >>> LPPool3d(1.2, 3)
    LPPool3d(norm_type=1.2, kernel_size=3, stride=None, ceil_mode=False)
    """

    _function = staticmethod(F.lp_pool3d)
