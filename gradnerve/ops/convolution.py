"""Convolution in any number of dimensions: three operations, each of which is a derivative of the other two.

    conv(x, weight)        the result y: each filter slides over x
    conv_input(y, weight)  the input that a gradient y comes back to: what `conv_transpose` computes
    conv_weight(x, y)      the same for the filters

A sum of products ``x * weight * y`` over all places where the three meet stays the same when they change parts, which is why a table of
six lines differentiates convolutions to any order. Each is one product of matrices per image: `columns` writes below each other what
every element of a filter meets, `spread` adds it back. Where the filters are 3 x 3 and many, fewer products will do (winograd.py).

x is (N, C, ...), weight (O, C / groups, ...), y (N, O, ...); stride and dilation have a number for each spatial axis, padding a pair, of which
the second may be negative.

Read next: winograd.py, ../nn/functional/convolution.py.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gradnerve.kernels import convolution as kernels
from gradnerve.ops import winograd
from gradnerve.ops.batched import rule
from gradnerve.ops.define import op
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import moveaxis, reshape


def out_size(size, kernel, stride, padding, dilation):
    """The spatial shape of the result."""
    return tuple((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in zip(size, kernel, stride, padding, dilation, strict=True))


# --- columns ---------------------------------------------------------------------------------------------------------


def windows(x, kernel, stride, padding, dilation):
    """A view of x, padded with zeros, of shape (N, C, *kernel, *places): what each element of a filter meets."""
    padded = np.pad(x, ((0, 0), (0, 0), *with_zeros(padding)))
    moves = [step * d for step, d in zip(padded.strides[2:], dilation, strict=True)]
    jumps = [step * s for step, s in zip(padded.strides[2:], stride, strict=True)]
    places = out_size(x.shape[2:], kernel, stride, padding, dilation)
    return as_strided(padded, (*x.shape[:2], *kernel, *places), (*padded.strides[:2], *moves, *jumps), writeable=False)


def with_zeros(padding):
    """Where there is less than nothing behind an axis, its last elements meet no filter."""
    return [(low, max(high, 0)) for low, high in padding]


def columns(x, kernel, stride, padding, dilation):
    """For each image a matrix with a row for each element of a filter, and a column for each of its places."""
    found = kernels.columns(x, kernel, stride, padding, dilation)
    if found is not None:
        return found
    n, channels = x.shape[:2]
    view = windows(x, kernel, stride, padding, dilation)
    return view.reshape(n, channels * math.prod(kernel), math.prod(view.shape[2 + len(kernel) :]))


def spread(y, size, kernel, stride, padding, dilation):
    """The counterpart: every element of the columns added to the place in the images that it stands for."""
    found = kernels.spread(y, size, kernel, stride, padding, dilation)
    if found is not None:
        return found
    n, places = len(y), out_size(size, kernel, stride, padding, dilation)
    y = y.reshape(n, -1, *kernel, *places)
    room = (s + low + high for s, (low, high) in zip(size, with_zeros(padding), strict=True))
    out = np.zeros((n, y.shape[1], *room), y.dtype)
    for element in np.ndindex(*kernel):
        met = (slice(k * d, k * d + s * p, s) for k, d, s, p in zip(element, dilation, stride, places, strict=True))
        out[:, :, *met] += y[:, :, *element]
    return np.ascontiguousarray(out[:, :, *(slice(low, low + s) for s, (low, _) in zip(size, padding, strict=True))])


columns = op(columns, linear=True, x=lambda g, x_shape, kernel, stride, padding, dilation: spread(g, x_shape[2:], kernel, stride, padding, dilation))
spread  = op(spread,  linear=True, y=lambda g, kernel, stride, padding, dilation: columns(g, kernel, stride, padding, dilation))


# --- the three -------------------------------------------------------------------------------------------------------


def in_groups(x, groups):
    """Columns, or results, as (N, groups, rows, places)."""
    places = math.prod(x.shape[2:])
    return x.reshape(len(x), groups, x.shape[1] // groups, places)


def filters(weight, groups):
    """The filters of each group as the rows of a matrix."""
    return weight.reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))


def conv(x, weight, bias, stride, padding, dilation, groups):
    out = None
    if winograd.serves(x, weight.shape, weight.dtype, stride, padding, dilation, groups):
        out = winograd.conv(x, weight, padding)
    if out is None:
        out = kernels.convolve(x, weight, stride, padding, dilation, groups)
    if out is None:
        cols = in_groups(columns(x, weight.shape[2:], stride, padding, dilation), groups)
        out = np.matmul(filters(weight, groups), cols)
        out = out.reshape(len(x), len(weight), *out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation))
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (x.ndim - 2))
    return out


def conv_input(y, weight, size, stride, padding, dilation, groups):
    out = None
    if winograd.serves_input(y, weight, size, stride, padding, dilation, groups):
        out = winograd.conv_input(y, weight, size, padding)
    if out is None:
        out = kernels.convolve_back(y, weight, size, stride, padding, dilation, groups)
    if out is not None:
        return out
    cols = np.matmul(filters(weight, groups).swapaxes(1, 2), in_groups(y, groups))
    cols = cols.reshape(len(y), groups * cols.shape[2], cols.shape[3])
    return spread(cols, size, weight.shape[2:], stride, padding, dilation)


def conv_weight(x, y, size, stride, padding, dilation, groups):
    shape = y.shape[1], x.shape[1] // groups, *size
    out = None
    if winograd.serves(x, shape, y.dtype, stride, padding, dilation, groups):
        out = winograd.conv_weight(x, y, padding)
    if out is None:
        out = kernels.sums(x, y, shape, stride, padding, dilation, groups)
    if out is not None:
        return out
    cols = in_groups(columns(x, size, stride, padding, dilation), groups)
    return np.matmul(in_groups(y, groups), cols.swapaxes(2, 3)).sum(0).reshape(shape)


def over_places(g):
    return sum(g, (0, *range(2, g.ndim)))


# fmt: off
conv        = op(conv,        x=lambda g, x_shape, weight, stride, padding, dilation, groups:
                                conv_input(g, weight, x_shape[2:], stride, padding, dilation, groups),
                         weight=lambda g, x, weight_shape, stride, padding, dilation, groups:
                                conv_weight(x, g, weight_shape[2:], stride, padding, dilation, groups),
                           bias=over_places)
conv_input  = op(conv_input,  y=lambda g, weight, stride, padding, dilation, groups: conv(g, weight, None, stride, padding, dilation, groups),
                         weight=lambda g, y, weight_shape, stride, padding, dilation, groups:
                                conv_weight(g, y, weight_shape[2:], stride, padding, dilation, groups))
conv_weight = op(conv_weight, x=lambda g, x_shape, y, stride, padding, dilation, groups:
                                conv_input(y, g, x_shape[2:], stride, padding, dilation, groups),
                              y=lambda g, x, stride, padding, dilation, groups: conv(x, g, None, stride, padding, dilation, groups))
# fmt: on


# --- many examples at once -------------------------------------------------------------------------------------------


def side_by_side(call, *names):
    """Arguments with the channels, or filters, of all examples side by side: each example is a group, or several."""
    found = {}
    for name in names:
        x, axis = call.whole(name), 0 if name in ("weight", "bias") else 1
        x = moveaxis(x, 0, axis)
        found[name] = reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))
    return found | {"groups": call["groups"] * call.size}


def apart(call, out, axis):
    """The examples of a result side by side, again along a first axis."""
    shape = (*out.shape[:axis], call.size, out.shape[axis] // call.size, *out.shape[axis + 1 :])
    return moveaxis(reshape(out, shape), axis, 0)


def one_after_the_other(call, name):
    """The images of all examples in one batch."""
    x = call[name]
    out = call({name: reshape(x, (call.size * x.shape[1], *x.shape[2:]))})
    return reshape(out, (call.size, x.shape[1], *out.shape[1:]))


@rule("conv", also="weight bias")
def convs(call):
    if call.batched == {"x"}:
        return one_after_the_other(call, "x")
    return apart(call, call(side_by_side(call, "x", "weight", *(["bias"] if call["bias"] is not None else []))), 1)


@rule("conv_input", also="weight")
def convs_input(call):
    return one_after_the_other(call, "y") if call.batched == {"y"} else apart(call, call(side_by_side(call, "y", "weight")), 1)


@rule("conv_weight", also="y")
def convs_weight(call):
    return apart(call, call(side_by_side(call, "x", "y")), 0)


rule("columns spread")(lambda call: one_after_the_other(call, call.first))
