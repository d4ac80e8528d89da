"""Padding, and channels that become pixels: functions that move elements, with PyTorch's arguments.

Read next: resampling.py.
"""

from functools import lru_cache

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.ops.indexing import getitem, scatter, setitem
from gradnerve.ops.resampling import picked, resample
from gradnerve.ops.shapes import reshape, transpose
from gradnerve.ops.values import tensor_like

__all__ = ["channel_shuffle", "pad", "pixel_shuffle", "pixel_unshuffle"]


# --- padding ---------------------------------------------------------------------------------------------------------


def pad(input, pad, mode="constant", value=None):
    """`input` with more elements at the ends of its last axes, or fewer, where a number is negative.

    pad    (before, after) of the last axis, then of the last but one, and so on: whole numbers
    mode   'constant': `value`, or 0; any number of axes. For the last one of 2 or 3 axes, two of 3 or 4, or three of 4 or 5:
           'reflect' mirrors at the outermost elements, 'replicate' repeats these, and 'circular' goes on at the other end

    Raises ShapeError where there are too few axes, or too few elements to take the padding from.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.pad(np.array([[1, 2, 3]]), (2, 1), "reflect")
    array([[3, 2, 1, 2, 3, 2]])
    """
    input = tensor_like(input)
    widths = axis_widths(input, pad)
    if mode == "constant":
        return filled(input, widths, 0 if value is None else value)
    if mode not in PLACES:
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', not {mode!r}")
    if value is not None and value != 0:
        raise ValueError(f"pad: mode {mode!r} takes no value, but value={value!r} was given")
    axes = len(widths)
    require(1 <= axes <= 3 and axes < input.ndim <= axes + 2,
            f"pad: mode {mode!r} pads the last of 2 or 3 axes, the last 2 of 3 or 4, or the last 3 of 4 or 5; "
            f"pad has {2 * axes} numbers, for {axes} of {input.ndim} axes", input=input)
    sizes = input.shape[-axes:]
    for k, (n, (before, after)) in enumerate(zip(sizes, widths, strict=True)):
        most = {"reflect": n - 1, "replicate": max(before, after) if n else 0, "circular": n + min(before, 0) + min(after, 0)}[mode]
        require(max(before, after) <= most,
                f"pad: mode {mode!r} can add at most {most} elements at each end of axis {k - axes}, which has {n}; "
                f"pad asks for {before} and {after}", input=input)
    return resample(input, tuple(padded(mode, n, *width) if any(width) else None for n, width in zip(sizes, widths, strict=True)))


def axis_widths(input, pad):
    """The (before, after) of each of the last axes, in the order of the axes."""
    numbers = [*pad] if hasattr(pad, "__iter__") else None
    if numbers is None or len(numbers) % 2 or not all(hasattr(n, "__index__") for n in numbers):
        raise ValueError(f"pad: pad must be an even number of whole numbers, (before, after) of the last axis first, not {pad!r}")
    numbers = [n.__index__() for n in numbers]
    widths = [*zip(numbers[::2], numbers[1::2], strict=True)][::-1]
    require(len(widths) <= input.ndim, f"pad: pad has {len(numbers)} numbers, for {len(widths)} axes; input has {input.ndim}", input=input)
    for k, (before, after) in enumerate(widths, -len(widths)):
        require(input.shape[k] + before + after >= 0,
                f"pad: of the {input.shape[k]} elements along axis {k}, {-before} and {-after} cannot be cut off", input=input)
    return widths


def filled(x, widths, value):
    """`x` with a value around it."""
    whole = (slice(None),) * (x.ndim - len(widths))
    if any(min(width) < 0 for width in widths):
        sizes = x.shape[len(whole):]
        x = getitem(x, (*whole, *(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(sizes, widths, strict=True))))
        widths = [(max(b, 0), max(a, 0)) for b, a in widths]
    sizes = x.shape[len(whole):]
    shape = (*x.shape[: len(whole)], *(b + n + a for n, (b, a) in zip(sizes, widths, strict=True)))
    inside = (*whole, *(slice(b, b + n) for n, (b, _) in zip(sizes, widths, strict=True)))
    return scatter(x, shape, inside) if type(value) in (int, float) and value == 0 else setitem(np.full(shape, value, x.dtype), inside, x)


def circular_places(n, before, after):
    """What is cut off at one end is not there to go on with at the other."""
    left = n + min(before, 0) + min(after, 0)
    return np.arange(-max(before, 0), left + max(after, 0)) % max(left, 1) - min(before, 0)


PLACES = {
    "reflect": lambda n, before, after: n - 1 - np.abs(n - 1 - np.abs(np.arange(-before, n + after))),
    "replicate": lambda n, before, after: np.clip(np.arange(-before, n + after), 0, n - 1),
    "circular": circular_places,
}


@lru_cache(256)
def padded(mode, n, before, after):
    return picked(n, PLACES[mode](n, before, after))


# --- channels and pixels ---------------------------------------------------------------------------------------------


def factor(n, name, word):
    if not hasattr(n, "__index__") or n.__index__() < 1:
        raise ValueError(f"{name}: {word} must be a positive whole number, not {n!r}")
    return n.__index__()


def pixel_shuffle(input, upscale_factor):
    """Every r * r channels become one, of images that are r times as high and wide: (..., C * r**2, H, W) to (..., C, H * r, W * r).

    Raises ShapeError where the channels are not divisible by r**2. From Shi et al., 2016, https://arxiv.org/abs/1609.05158.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.pixel_shuffle(np.arange(4).reshape(4, 1, 1), 2)
    array([[[0, 1],
            [2, 3]]])
    """
    input, r = tensor_like(input), factor(upscale_factor, "pixel_shuffle", "upscale_factor")
    require(input.ndim >= 3, f"pixel_shuffle: input must have 3 axes or more, (..., C * {r}**2, H, W)", input=input)
    *outer, channels, height, width = input.shape
    require(channels % r**2 == 0, f"pixel_shuffle: the {channels} channels of input must be divisible by upscale_factor**2 = {r**2}", input=input)
    axes, n = (*outer, channels // r**2, r, r, height, width), len(outer)
    moved = transpose(reshape(input, axes), (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return reshape(moved, (*outer, channels // r**2, height * r, width * r))


def pixel_unshuffle(input, downscale_factor):
    """What undoes `pixel_shuffle`: (..., C, H * r, W * r) to (..., C * r**2, H, W).

    Raises ShapeError where height and width are not divisible by r.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.pixel_unshuffle(np.arange(4).reshape(1, 2, 2), 2).ravel()
    array([0, 1, 2, 3])
    """
    input, r = tensor_like(input), factor(downscale_factor, "pixel_unshuffle", "downscale_factor")
    require(input.ndim >= 3, f"pixel_unshuffle: input must have 3 axes or more, (..., C, H * {r}, W * {r})", input=input)
    *outer, channels, height, width = input.shape
    require(height % r == 0 and width % r == 0,
            f"pixel_unshuffle: height {height} and width {width} of input must be divisible by downscale_factor {r}", input=input)
    axes, n = (*outer, channels, height // r, r, width // r, r), len(outer)
    moved = transpose(reshape(input, axes), (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return reshape(moved, (*outer, channels * r**2, height // r, width // r))


def channel_shuffle(input, groups):
    """The channels in another order: the first of each group, then the second of each group... (N, C, ...) to (N, C, ...).

    Raises ShapeError where the channels are not divisible by the groups. From Zhang et al., 2018, https://arxiv.org/abs/1707.01083.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.channel_shuffle(np.arange(4).reshape(1, 4, 1, 1), 2).ravel()
    array([0, 2, 1, 3])
    """
    input, groups = tensor_like(input), factor(groups, "channel_shuffle", "groups")
    require(input.ndim >= 3, "channel_shuffle: input must have 3 axes or more, (N, C, ...)", input=input)
    examples, channels, *rest = input.shape
    require(channels % groups == 0, f"channel_shuffle: the {channels} channels of input must be divisible by groups = {groups}", input=input)
    moved = transpose(reshape(input, (examples, groups, channels // groups, *rest)), (0, 2, 1, *range(3, 3 + len(rest))))
    return reshape(moved, input.shape)
