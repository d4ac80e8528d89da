"""Images of another size or shape: interpolation, and sampling at the places of a grid, with PyTorch's arguments.

Interpolation works on one axis after the other: along an axis, each element of the result is a weighted sum of a few elements.

Read next: ../../ops/resampling.py.
"""

from functools import lru_cache
from math import floor, prod

import numpy as np

from gradnerve.functional import stop_gradient
from gradnerve.nn.functional import pooling
from gradnerve.nn.functional.checks import require
from gradnerve.ops.indexing import getitem
from gradnerve.ops.resampling import Taps, picked, resample
from gradnerve.ops.sampling import blend_pixels
from gradnerve.ops.shapes import reshape, where
from gradnerve.ops.values import tensor_like

__all__ = ["affine_grid", "grid_sample", "interpolate"]


# --- interpolation ---------------------------------------------------------------------------------------------------

RANKS = {"nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5), "linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,),
         "lanczos": (4,)}


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False):
    """`input` (N, C, ...) with images of another size.

    size                    of the images: a number for all axes, or one for each
    scale_factor            in its place: how many times as large, a number for all axes, or one for each
    mode                    'nearest' (rounds down, as OpenCV), 'nearest-exact' and 'area', for 1 to 3 axes; 'linear' for 1 axis, 'bilinear',
                            'bicubic' and 'lanczos' for 2, 'trilinear' for 3
    align_corners           whether the centres of the outermost pixels lie on one another, not their outer edges; for the last five modes
    recompute_scale_factor  whether the size, which is rounded down, decides where the result is read, not `scale_factor`
    antialias               for 'bilinear', 'bicubic' and 'lanczos': where the result is smaller, mean over all that is between its pixels

    Raises ValueError for options that do not go together, and ShapeError where mode and axes do not.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.interpolate(np.array([[[0.0, 4.0]]]), 4, mode="linear")
    array([[[0., 1., 3., 4.]]])
    """
    input = tensor_like(input)
    check_mode(input, mode, align_corners, antialias)
    sizes, scales = sizes_of(input, size, scale_factor, mode == "area" or recompute_scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
    require(min(sizes) > 0 and min(input.shape[1:]) > 0,
            f"interpolate: images must have at least one pixel and one channel; the result would have the size {sizes}", input=input)
    if mode == "area":
        return getattr(pooling, f"adaptive_avg_pool{len(sizes)}d")(input, sizes)
    if mode in ("nearest", "nearest-exact"):
        maps = (nearest(mode, n, m, s, input.ndim == 4) for n, m, s in zip(input.shape[2:], sizes, scales, strict=True))
    else:
        if input.dtype.kind not in "fc":
            raise TypeError(f"interpolate: mode {mode!r} takes floats, not {input.dtype}; convert with input.astype(float)")
        make = smooth if antialias else MAPS[mode]
        maps = (make(n, m, s, bool(align_corners), mode) for n, m, s in zip(input.shape[2:], sizes, scales, strict=True))
    return resample(input, tuple(maps))


def check_mode(input, mode, align_corners, antialias):
    if mode not in RANKS:
        raise ValueError(f"interpolate: mode must be one of {', '.join(map(repr, RANKS))}, not {mode!r}")
    require(input.ndim in RANKS[mode], f"interpolate: mode {mode!r} takes input of {' or '.join(map(str, RANKS[mode]))} axes, (N, C, ...); "
            f"it has {input.ndim}", input=input)
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: mode {mode!r} takes no align_corners; 'linear', 'bilinear', 'bicubic' and 'trilinear' do")
    if antialias and mode not in KERNELS:
        raise ValueError(f"interpolate: antialias is for the modes 'bilinear', 'bicubic' and 'lanczos', not {mode!r}")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: mode 'lanczos' needs antialias=True, and takes no align_corners=True")


def sizes_of(input, size, scale_factor, recompute):
    """The size of the result along each axis, and the factor to be used there, or None where the sizes decide."""
    axes, shape = input.ndim - 2, input.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: one of size and scale_factor must be given, not {'neither' if size is None else 'both'}")
    name, given = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    each = tuple(given) if hasattr(given, "__iter__") else (given,) * axes
    if len(each) != axes:
        raise ValueError(f"interpolate: {name} must be a number or {axes} of them, one for each axis of the images, not {given!r}")
    if scale_factor is None:
        if not all(hasattr(n, "__index__") for n in each):
            raise TypeError(f"interpolate: size must hold whole numbers, not {size!r}")
        return tuple(n.__index__() for n in each), (None,) * axes
    each = tuple(map(float, each))
    if min(each) <= 0:
        raise ValueError(f"interpolate: scale_factor must be greater than 0, not {scale_factor!r}")
    return tuple(floor(n * s) for n, s in zip(shape, each, strict=True)), (None,) * axes if recompute else each


def step(n, m, scale, align):
    """The distance of two neighbours of the result, in pixels of the input."""
    return ((n - 1) / (m - 1) if m > 1 else 0.0) if align else n / m if scale is None else 1 / scale


def centres(n, m, scale, align):
    """Where the pixels of the result lie, in pixels of the input."""
    return step(n, m, scale, align) * np.arange(m) if align else step(n, m, scale, align) * (np.arange(m) + 0.5) - 0.5


def tapped(n, places, weights):
    """The map with the same number of taps for each element; `places` and `weights` are (m, taps)."""
    m, taps = places.shape
    return Taps(n, np.arange(0, (m + 1) * taps, taps), places.reshape(-1), weights.reshape(-1))


# The weights of the pixels around a place, as polynomials of how far behind a pixel it lies: that pixel, and those at these distances.
TAPS = {"bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}
A = -0.75  # PyTorch's; the kernel that smooths has -0.5
WEIGHTS = {"bilinear": ((1, -1), (0, 1)),
           "bicubic": ((0, A, -2 * A, A), (1, 0, -A - 3, A + 2), (0, -A, 2 * A + 3, -A - 2), (0, 0, A, -A))}


@lru_cache(256)
def nearest(mode, n, m, scale, image):
    """PyTorch multiplies in single precision, which decides where a place falls on an edge; and the same or twice the size is exact in images."""
    factor = np.float32(n) / np.float32(m) if scale is None else np.float32(1 / scale)
    if image and mode == "nearest" and m in (n, 2 * n):
        factor = np.float32(n / m)
    places = np.arange(m, dtype=np.float32) + np.float32(0.5 * (mode == "nearest-exact"))
    return picked(n, np.minimum((places * factor).astype(np.intp), n - 1))


@lru_cache(256)
def linear(n, m, scale, align, _):
    places = np.arange(m) * 1.0 if n == m else np.maximum(centres(n, m, scale, align), 0)
    first = np.minimum(places.astype(np.intp), n - 1)
    part = np.clip(places - first, 0, 1)
    return tapped(n, np.stack([first, np.minimum(first + 1, n - 1)], 1), polynomials(part[None], WEIGHTS["bilinear"]).T)


@lru_cache(256)
def cubic(n, m, scale, align, _):
    places = centres(n, m, scale, align)
    first = np.floor(places).astype(np.intp)
    part = np.clip(places - first, 0, 1)
    return tapped(n, np.clip(first[:, None] + np.arange(-1, 3), 0, n - 1), polynomials(part[None], WEIGHTS["bicubic"]).T)


def cubic_kernel(x, a=-0.5):
    """Keys, 1981."""
    x = np.abs(x)
    return np.where(x < 1, ((a + 2) * x - (a + 3)) * x * x + 1, np.where(x < 2, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a, 0))


KERNELS = {  # how far they reach, and their values
    "bilinear": (1, lambda x: np.maximum(1 - np.abs(x), 0)),
    "bicubic": (2, cubic_kernel),
    "lanczos": (3, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}


@lru_cache(256)
def smooth(n, m, scale, align, mode):
    """Without aliasing: where the result is smaller, the kernel is as much wider. None stands for an axis that stays as it is."""
    if n == m:
        return None
    reach, kernel = KERNELS[mode]
    width = max(step(n, m, scale, align), 1)
    middle = step(n, m, scale, align) * (np.arange(m) + 0.5)
    first = np.maximum((middle - reach * width + 0.5).astype(np.intp), 0)
    counts = np.minimum((middle + reach * width + 0.5).astype(np.intp), n) - first
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = np.repeat(np.arange(m), counts)
    places = np.arange(starts[-1]) - starts[rows] + first[rows]
    weights = kernel((places - middle[rows] + 0.5) / width)
    return Taps(n, starts, places, weights / np.add.reduceat(weights, starts[:-1])[rows])


MAPS = {"linear": linear, "bilinear": linear, "trilinear": linear, "bicubic": cubic, "lanczos": smooth}


# --- grids -----------------------------------------------------------------------------------------------------------


def affine_grid(theta, size, align_corners=None):
    """Where `grid_sample` is to read for images that are turned, scaled, sheared and moved.

    theta          (N, 2, 3) for images, (N, 3, 4) for volumes: takes (x, y, 1) or (x, y, z, 1) of the result to x, y(, z) of the input,
                   where all lie between -1 and 1
    size           of the result: (N, C, H, W) or (N, C, D, H, W)
    align_corners  whether -1 and 1 are the centres of the outermost pixels, not their outer edges

    Gives (N, H, W, 2) or (N, D, H, W, 3).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.affine_grid(np.array([[[1.0, 0, 0], [0, 1, 0]]]), (1, 1, 1, 2), align_corners=False)
    array([[[[-0.5,  0. ],
             [ 0.5,  0. ]]]])
    """
    theta, size = tensor_like(theta), tuple(size)
    axes = len(size) - 2
    require(axes in (2, 3), f"affine_grid: size must be (N, C, H, W) or (N, C, D, H, W), not {size}", theta=theta)
    if not all(hasattr(n, "__index__") and n > 0 for n in size):
        raise ValueError(f"affine_grid: size must hold positive whole numbers, not {size}")
    if theta.dtype.kind != "f":
        raise TypeError(f"affine_grid: theta must hold floats, not {theta.dtype}")
    require(theta.shape == (size[0], axes, axes + 1),
            f"affine_grid: for size {size}, theta must have the shape {(size[0], axes, axes + 1)}", theta=theta)
    lines = [middles(n, align_corners) for n in size[2:]]
    base = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(size[2:])], -1).astype(theta.dtype)
    return reshape(base.reshape(1, -1, axes + 1) @ theta.mT, (size[0], *size[2:], axes))


def middles(n, align):
    """The centres of n pixels between -1 and 1."""
    ends = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    return ends if align else ends * ((n - 1) / n)


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """`input` at the places of a grid.

    input          (N, C, H, W) or (N, C, D, H, W)
    grid           (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3): x, y(, z), from -1, which is left, top and front, to 1
    mode           'bilinear' (of volumes: trilinear), 'nearest', or for images 'bicubic'
    padding_mode   what is outside: 'zeros', the 'border', or its 'reflection'
    align_corners  whether -1 and 1 are the centres of the outermost pixels, not their outer edges

    Gives (N, C, H_out, W_out) or (N, C, D_out, H_out, W_out). From Jaderberg et al., 2015, https://arxiv.org/abs/1506.02025.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.grid_sample(np.array([[[[0.0, 4.0]]]]), np.array([[[[0.0, 0.0], [0.25, 0.0]]]]), align_corners=False)
    array([[[[2., 3.]]]])
    """
    input, grid = tensor_like(input), tensor_like(grid)
    check_grid(input, grid, mode, padding_mode)
    sizes, (examples, channels) = input.shape[2:], input.shape[:2]
    lines = reshape(grid, (examples, 1, prod(grid.shape[1:-1]), len(sizes)))
    places = [unnormalised(getitem(lines, (..., len(sizes) - 1 - k)), n, align_corners) for k, n in enumerate(sizes)]  # x is the last axis
    if mode != "bicubic":
        places = [inside(x, n, padding_mode, align_corners) for x, n in zip(places, sizes, strict=True)]
    if mode == "nearest":
        around, weights = [np.rint(stop_gradient(x)) for x in places], np.ones((examples, 1, lines.shape[2]), input.dtype)
    else:
        first = [np.floor(stop_gradient(x)) for x in places]
        weights = product_of([polynomials(x - at, WEIGHTS[mode]) for x, at in zip(places, first, strict=True)])
        around = [at + column(TAPS[mode], at) for at in first]
    if mode == "bicubic":
        around = [inside(at, n, padding_mode, align_corners) for at, n in zip(around, sizes, strict=True)]
    out = blend_pixels(reshape(input, (examples, channels, prod(sizes))), weights, numbers_of(around, sizes))
    return reshape(out, (examples, channels, *grid.shape[1:-1]))


def check_grid(input, grid, mode, padding_mode):
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample: mode must be 'bilinear', 'nearest' or 'bicubic', not {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', not {padding_mode!r}")
    both = {"input": input, "grid": grid}
    require(input.ndim in (4, 5), "grid_sample: input must be (N, C, H, W) or (N, C, D, H, W)", **both)
    require(grid.ndim == input.ndim and grid.shape[-1] == input.ndim - 2,
            f"grid_sample: for this input, grid must have {input.ndim} axes, the last one of length {input.ndim - 2}", **both)
    require(grid.shape[0] == input.shape[0], "grid_sample: input and grid must hold the same number of images", **both)
    require(min(input.shape[2:]) > 0, "grid_sample: the images of input must have at least one pixel", **both)
    require(mode != "bicubic" or input.ndim == 4, "grid_sample: mode 'bicubic' is for images, input of 4 axes", **both)
    if input.dtype.kind != "f" or grid.dtype.type != input.dtype.type:  # not ==, as the order of bytes may differ
        raise TypeError(f"grid_sample: input and grid must hold floats of one dtype, not {input.dtype} and {grid.dtype}")


def unnormalised(x, n, align):
    """From -1 to 1, in pixels."""
    return (x + 1) * ((n - 1) / 2) if align else (x + 1) * (n / 2) - 0.5


def inside(x, n, padding_mode, align):
    """Places in pixels, led back into the image; like PyTorch, with no derivative at the border itself."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        x = reflected(x, *((0, n - 1) if align else (-0.5, n)))
    between = (x > 0) & (x < n - 1)
    return where(between, x, where(x > 0, n - 1.0, 0.0).astype(x.dtype))


def reflected(x, low, span):
    """Places led back between `low` and `low + span`, as often as it takes."""
    if not span:
        return x * 0
    x = np.abs(x - low)
    turns = np.floor(x / span)
    rest = x - turns * span
    return where(turns % 2 == 0, rest, span - rest) + low


def column(numbers, like):
    """An axis of numbers in place of the last but one."""
    return np.array(numbers, like.dtype)[:, None]


def polynomials(t, coefficients):
    """Polynomials of t along its last axis but one; the coefficients of each are a row, the constant one first."""
    *rest, out = (column(line, t) for line in zip(*coefficients, strict=True))
    for constant in rest[::-1]:
        out = out * t + constant
    return out


def product_of(each):
    """All products of a weight along one axis, (N, taps, Q), and of those along the others."""
    out, *others = each
    for x in others:
        n, taps, count = out.shape
        out = reshape(out, (n, taps, 1, count)) * reshape(x, (n, 1, x.shape[1], count))
        out = reshape(out, (n, taps * x.shape[1], count))
    return out


def numbers_of(around, sizes):
    """The numbers of all pixels around each place, of their places along each axis, (N, taps, Q); -1 stands for what is outside."""
    numbers = None
    for at, n in zip(around, sizes, strict=True):
        at = where((at >= 0) & (at < n), at, -1).astype(np.intp)
        if numbers is not None:
            before, at = numbers[:, :, None], at[:, None]
            at = where((before < 0) | (at < 0), -1, before * n + at)
        numbers = reshape(at, (at.shape[0], prod(at.shape[1:-1]), at.shape[-1]))
    return numbers
