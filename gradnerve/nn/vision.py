"""Layers that move pixels and change the size and the shape of images: `torch.nn`'s.

Read next: padding.py, conv.py.
"""

import math

from gradnerve.nn.functional.checks import require
from gradnerve.nn.functional.convolution import fold, unfold
from gradnerve.nn.functional.resampling import interpolate
from gradnerve.nn.functional.vision import channel_shuffle, pixel_shuffle, pixel_unshuffle
from gradnerve.nn.module import Module
from gradnerve.ops.shapes import reshape
from gradnerve.ops.values import tensor_like

__all__ = ["ChannelShuffle", "Flatten", "Fold", "PixelShuffle", "PixelUnshuffle", "Unflatten", "Unfold", "Upsample", "UpsamplingBilinear2d",
           "UpsamplingNearest2d"]  # fmt: skip


# --- channels and pixels ---------------------------------------------------------------------------------------------


class PixelShuffle(Module):
    """Channels that become pixels: (..., C * r**2, H, W) to (..., C, H * r, W * r).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.PixelShuffle(3)(np.ones((1, 9, 4, 4))).shape
    (1, 1, 12, 12)
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input):
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels that become channels: (..., C, H * r, W * r) to (..., C * r**2, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.PixelUnshuffle(3)(np.ones((1, 1, 12, 12))).shape
    (1, 9, 4, 4)
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input):
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels in another order: the first of each group, then the second of each group...

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ChannelShuffle(2)(np.arange(4).reshape(1, 4, 1)).ravel()
    array([0, 2, 1, 3])
    """

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, input):
        return channel_shuffle(input, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"


# --- sizes -----------------------------------------------------------------------------------------------------------


class Upsample(Module):
    """Images of another size, with the arguments of `functional.interpolate`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
    array([[[1., 1., 2., 2.]]])
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor = tuple(map(float, scale_factor)) if hasattr(scale_factor, "__iter__") else float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input):
        return interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self):
        size = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images of another size, each pixel the nearest one.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.UpsamplingNearest2d(size=(6, 8))(np.ones((2, 3, 3, 4))).shape
    (2, 3, 6, 8)
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images of another size, linear between the pixels, and with the same corner pixels.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.UpsamplingBilinear2d((1, 3))(np.array([[[[0.0, 1.0]]]]))
    array([[[[0. , 0.5, 1. ]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


# --- axes ------------------------------------------------------------------------------------------------------------


def axis_of(dim, input, what):
    """The axis, counted from the front."""
    n = max(input.ndim, 1)
    if not -n <= dim < n:
        raise IndexError(f"{what} = {dim} is no axis of input, which has {input.ndim}")
    return dim % n


class Flatten(Module):
    """Several axes as one: by default, all but the first.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        input = tensor_like(input)
        start, end = axis_of(self.start_dim, input, "Flatten: start_dim"), axis_of(self.end_dim, input, "Flatten: end_dim")
        require(start <= end, f"Flatten: start_dim = {self.start_dim} comes after end_dim = {self.end_dim}", input=input)
        shape = input.shape
        return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One axis as several, of the given sizes, one of which may be -1: what is left.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Unflatten(1, (3, -1))(np.ones((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)) or not all(hasattr(n, "__index__") for n in unflattened_size):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple of whole numbers, not {unflattened_size!r}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input):
        input, sizes = tensor_like(input), self.unflattened_size
        axis = axis_of(self.dim, input, "Unflatten: dim")
        size, known = input.shape[axis], -math.prod(sizes)
        whole = [size // known if n == -1 and known > 0 else n for n in sizes]
        require(math.prod(whole) == size and min(whole, default=0) >= 0,
                f"Unflatten: axis {axis} of input has {size} elements, which do not make {sizes}", input=input)
        return reshape(input, (*input.shape[:axis], *whole, *input.shape[axis + 1 :]))

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


# --- patches ---------------------------------------------------------------------------------------------------------


class Unfold(Module):
    """All patches of images, as a convolution sees them: (N, C, H, W) to (N, C * patch, patches).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Unfold((2, 3))(np.ones((2, 5, 3, 4))).shape
    (2, 30, 4)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input):
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """The sum of patches, each at its place: (N, C * patch, patches) to (N, C, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Fold((1, 4), (1, 2))(np.ones((1, 2, 3)))
    array([[[[1., 2., 2., 1.]]]])
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.output_size, self.kernel_size, self.dilation, self.padding, self.stride = output_size, kernel_size, dilation, padding, stride

    def forward(self, input):
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")
