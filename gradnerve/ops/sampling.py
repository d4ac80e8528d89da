"""Sums of a few pixels of an image, with a weight for each: what sampling at the places of a grid comes down to.

The three operations are the three ways to read one product of pixels x, weights w and results y, which names the pixels by their numbers:
each is linear in both of its arrays, so that they are the derivatives of one another.

Shapes: x (N, C, pixels), y (N, C, results), weights and places (N, taps, results); a place of -1 is outside, where pixels are 0.

Read next: ../nn/functional/resampling.py.
"""

import numpy as np

from gradnerve.kernels import sampling as kernels
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op
from gradnerve.ops.shapes import reshape


def numbered(x, places):
    """The index of the pixels (N, C, taps, results) of an array that has one more, for what is outside."""
    return np.arange(x.shape[0])[:, None, None, None], np.arange(x.shape[1])[:, None, None], places[:, None]


def pixels_at(x, places):
    with_zero = np.concatenate([x, np.zeros((*x.shape[:2], 1), x.dtype)], 2)
    return with_zero[numbered(x, places)]


def blend_pixels(x, weights, places):
    """y: for each result, the sum of the pixels at its places, times the weights."""
    return np.add.reduce(pixels_at(x, places) * weights[:, None], 2)


def spread_pixels(y, weights, places, pixels):
    """x: every result times its weights, added to the pixels at its places."""
    out = np.zeros((*y.shape[:2], pixels + 1), np.result_type(y, weights))
    np.add.at(out, numbered(out, places), y[:, :, None] * weights[:, None])
    return out[:, :, :-1]


def match_pixels(y, x, places):
    """weights: every result times the pixels at its places, summed over the channels."""
    return np.add.reduce(pixels_at(x, places) * y[:, :, None], 1)


# fmt: off
blend_pixels  = op(blend_pixels,
                   fast=kernels.blend,  x=lambda g, x_shape, weights, places: spread_pixels(g, weights, places, x_shape[2]),
                                        weights=lambda g, x, places: match_pixels(g, x, places))
spread_pixels = op(spread_pixels,
                   fast=kernels.spread, y=lambda g, weights, places: blend_pixels(g, weights, places),
                                        weights=lambda g, y, places: match_pixels(y, g, places))
match_pixels  = op(match_pixels,
                   fast=kernels.match,  y=lambda g, x, places: blend_pixels(x, g, places),
                                        x=lambda g, y, x_shape, places: spread_pixels(y, g, places, x_shape[2]))
# fmt: on


@rule("blend_pixels spread_pixels match_pixels", also="*")
def sampled(call):
    """The images of all examples one after the other."""
    arrays = {name: call.whole(name) for name in call.args if name != "pixels"}
    merged = {name: reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])) for name, x in arrays.items()}
    out = call(merged)
    return reshape(out, (call.size, out.shape[0] // call.size, *out.shape[1:]))
