"""Layers of convolutions: `torch.nn`'s, with their weights and biases.

Read next: functional/convolution.py.
"""

import math

import numpy as np

from gradnerve.nn import init
from gradnerve.nn.functional import convolution
from gradnerve.nn.functional.checks import require, tuple_of
from gradnerve.nn.functional.vision import pad
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory
from gradnerve.ops.values import tensor_like

__all__ = [f"{kind}{n}d" for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)]


class Convolution(Module):
    """What all six layers share: `axes` of the images, options, filters and their first values."""

    axes, transposed, function = None, False, None

    def make(self, in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias, padding_mode, dtype, generator):
        super().__init__()
        name = type(self).__name__
        size_of = lambda word, given: tuple_of(given, self.axes, f"{name}: {word}")
        for word, n in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if not hasattr(n, "__index__") or n < 1:
                raise ValueError(f"{name}: {word} must be a positive whole number, not {n!r}")
        for word, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            if n % groups:
                raise ValueError(f"{name}: {word} = {n} must be divisible by groups = {groups}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size, self.stride, self.dilation = size_of("kernel_size", kernel_size), size_of("stride", stride), size_of("dilation", dilation)
        self.padding = padding if isinstance(padding, str) else size_of("padding", padding)
        self.output_padding = size_of("output_padding", output_padding)
        for word, least in (("kernel_size", 1), ("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0)):
            given = getattr(self, word)
            if not isinstance(given, str) and min(given) < least:
                raise ValueError(f"{name}: {word} must be at least {least}, not {given}")
        self.check_padding(name)
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(np.empty((outer, inner // groups, *self.kernel_size), dtype))
        if bias:
            self.bias = Parameter(np.empty(out_channels, dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(generator)

    def check_padding(self, name):
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if self.padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be {' or '.join(map(repr, modes))}, not {self.padding_mode!r}")
        if isinstance(self.padding, str):
            if self.transposed or self.padding not in ("same", "valid"):
                words = "" if self.transposed else "'same', 'valid', "
                raise ValueError(f"{name}: padding must be {words}a whole number or {self.axes} of them, not {self.padding!r}")
            if self.padding == "same" and max(self.stride) > 1:
                raise ValueError(f"{name}: padding='same' needs a stride of 1, not {self.stride}")

    def reset_parameters(self, generator=None):
        """New first values, uniform between -b and b, where b is 1 / sqrt(inputs of a filter).

        They are what PyTorch draws: He et al. (2015), for a leaky relu of slope sqrt(5).
        """
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        usual = {"padding": (0,) * self.axes, "dilation": (1,) * self.axes, "output_padding": (0,) * self.axes, "groups": 1}
        text += "".join(f", {word}={getattr(self, word)}" for word, value in usual.items() if getattr(self, word) != value)
        text += ", bias=False" * (self.bias is None)
        return text + f", padding_mode={self.padding_mode}" * (self.padding_mode != "zeros")


class Conv(Convolution):
    """What slides filters over sequences, images or volumes."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode="zeros",
                 device=None, dtype=None, *, generator=None):
        self.make(in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, factory(device, dtype), generator)

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self.padded(input), 0
        return self.function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def padded(self, input):
        if self.padding == "same":
            more = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            ends = [(n // 2, n - n // 2) for n in more]
        else:
            ends = [(0, 0)] * self.axes if self.padding == "valid" else [(n, n) for n in self.padding]
        return pad(input, [n for both in ends[::-1] for n in both], self.padding_mode)


class ConvTranspose(Convolution):
    """What slides filters the other way."""

    transposed = True

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1,
                 padding_mode="zeros", device=None, dtype=None, *, generator=None):
        self.make(in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias, padding_mode,
                  factory(device, dtype), generator)

    def forward(self, input, output_size=None):
        """The result; `output_size`, with or without (N, C), says how large it shall be, in place of output_padding."""
        more = self.output_padding if output_size is None else self.padding_for(tensor_like(input), tuple(output_size))
        return self.function(input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)

    def padding_for(self, input, output_size):
        """The output_padding that makes a result of this size."""
        name, n = type(self).__name__, self.axes
        outer = input.ndim - n
        require(outer in (1, 2), f"{name}: input must have {n + 1} or {n + 2} axes", input=input)
        require(len(output_size) in (n, n + outer), f"{name}: output_size must hold {n} or {n + outer} numbers, not {output_size}", input=input)
        options = zip(input.shape[outer:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = [(length - 1) * s - 2 * p + d * (k - 1) + 1 for length, s, p, d, k in options]
        more = tuple(size - low for size, low in zip(output_size[-n:], least, strict=True))
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        require(all(0 <= m < s for m, s in zip(more, self.stride, strict=True)),
                f"{name}: output_size must lie between {least} and {most} for this input, not be {output_size[-n:]}", input=input)
        return more


class Conv1d(Conv):
    """Filters that slide over sequences: (N, C, L) or (C, L).

    in_channels, out_channels  of the input and of the result
    kernel_size, stride        of the filters, and how far they move: a number for all axes, or one for each
    padding                    how much is added at both ends of each axis, or 'same' (the result is as large as the input) or 'valid' (none)
    dilation                   the distance between the elements of a filter
    groups                     how many parts the channels come in, of which each sees only its own
    padding_mode               'zeros', 'reflect', 'replicate' or 'circular', as in `functional.pad`

    Parameters: weight (out_channels, in_channels / groups, *kernel_size), and bias (out_channels,) or None.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Conv1d(16, 33, 3, stride=2)(np.ones((20, 16, 50), np.float32)).shape
    (20, 33, 24)
    """

    axes, function = 1, staticmethod(convolution.conv1d)


class Conv2d(Conv):
    """Filters that slide over images: (N, C, H, W) or (C, H, W); the arguments are those of `Conv1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Conv2d(3, 8, 3, padding=1)(np.ones((2, 3, 8, 8), np.float32)).shape
    (2, 8, 8, 8)
    """

    axes, function = 2, staticmethod(convolution.conv2d)


class Conv3d(Conv):
    """Filters that slide over volumes: (N, C, D, H, W) or (C, D, H, W); the arguments are those of `Conv1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Conv3d(2, 4, (3, 1, 1), padding="same")(np.ones((1, 2, 5, 4, 3), np.float32)).shape
    (1, 4, 5, 4, 3)
    """

    axes, function = 3, staticmethod(convolution.conv3d)


class ConvTranspose1d(ConvTranspose):
    """The way back through `Conv1d`, (N, C, L) or (C, L): each element of the input puts a filter into the result.

    padding         how much of the result is cut off at both ends of each axis
    output_padding  how much longer it is at its end, since several sizes have the same convolution; or pass output_size in the call

    Parameters: weight (in_channels, out_channels / groups, *kernel_size), and bias (out_channels,) or None; the rest as for `Conv1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConvTranspose1d(4, 2, 3, stride=2)(np.ones((1, 4, 5), np.float32), output_size=(12,)).shape
    (1, 2, 12)
    """

    axes, function = 1, staticmethod(convolution.conv_transpose1d)


class ConvTranspose2d(ConvTranspose):
    """The way back through `Conv2d`: (N, C, H, W) or (C, H, W); the arguments are those of `ConvTranspose1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConvTranspose2d(4, 2, 2, stride=2)(np.ones((1, 4, 5, 6), np.float32)).shape
    (1, 2, 10, 12)
    """

    axes, function = 2, staticmethod(convolution.conv_transpose2d)


class ConvTranspose3d(ConvTranspose):
    """The way back through `Conv3d`: (N, C, D, H, W) or (C, D, H, W); the arguments are those of `ConvTranspose1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConvTranspose3d(4, 2, 2, stride=2)(np.ones((1, 4, 2, 3, 4), np.float32)).shape
    (1, 2, 4, 6, 8)
    """

    axes, function = 3, staticmethod(convolution.conv_transpose3d)
