"""The activations of networks that are elementwise, beyond relu and sigmoid: one operation each, with one array saved for backward.

At a kink the derivative is PyTorch's: the one on the left for what goes on on both sides (`leaky`, `elu`), and 0 where one side is constant
(`at_least`, `hardsigmoid`). What leaves x out there says `masks=True`. An option that is a number is the second input.

Read next: network.py; ../nn/functional/activations.py for the functions that users call.
"""

import math

import numpy as np

from gradnerve.ops import define
from gradnerve.ops.define import zero
from gradnerve.ops.elementwise import horner
from gradnerve.ops.network import sigmoid


def elementwise(forward, **lines):
    return define.elementwise(forward, name=f"nn.{forward.__name__}", **lines)


# --- in pieces -------------------------------------------------------------------------------------------------------

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # for which mean 0 and variance 1 stay: Klambauer et al., 2017


def leaky(x, y): return np.maximum(x, 0) + y * np.minimum(x, 0)
def elu(x, y): return np.maximum(x, 0) + y * np.expm1(np.minimum(x, 0))
def celu(x, y): return np.maximum(x, 0) + y * np.expm1(np.minimum(x, 0) / y)
def selu(x): return SELU_SCALE * (np.maximum(x, 0) + SELU_ALPHA * np.expm1(np.minimum(x, 0)))
def at_least(x, y): return np.maximum(x, y)
def at_most(x, y): return np.minimum(x, y)
def hardsigmoid(x): return np.minimum(np.maximum(x + 3, 0), 6) / 6
def hardswish(x): return np.where(x > -3, x, 0) * hardsigmoid(x)
def hardshrink(x, y): return np.where(np.abs(x) <= y, 0, x)
def softshrink(x, y): return x - np.minimum(np.maximum(x, -y), y)


def hardswish_x(g, x):
    """0 as far as -3, then a line, and 1 from 3."""
    return g * np.where(x > -3, np.where(x < 3, x / 3 + 0.5, 1), 0)


leaky       = elementwise(leaky,       x=lambda g, x, y: np.where(x > 0, g, g * y),   y=lambda g, x: np.where(x > 0, 0, g * x))
elu         = elementwise(elu,         x=lambda g, x, y: np.where(x > 0, g, g * y * np.exp(np.minimum(x, 0))))
celu        = elementwise(celu,        x=lambda g, x, y: np.where(x > 0, g, g * np.exp(np.minimum(x, 0) / y)))
selu        = elementwise(selu,        x=lambda g, x: SELU_SCALE * np.where(x > 0, g, g * SELU_ALPHA * np.exp(np.minimum(x, 0))))
at_least    = elementwise(at_least,    masks=True, x=lambda g, out, y: np.where(out > y, g, 0))
at_most     = elementwise(at_most,     masks=True, x=lambda g, out, y: np.where(out < y, g, 0))
hardsigmoid = elementwise(hardsigmoid, masks=True, x=lambda g, x: np.where(np.abs(x) < 3, g / 6, 0))
hardswish   = elementwise(hardswish,   masks=True, x=hardswish_x)
hardshrink  = elementwise(hardshrink,  masks=True, x=lambda g, x, y: np.where(np.abs(x) > y, g, 0))
softshrink  = elementwise(softshrink,  masks=True, x=lambda g, x, y: np.where(np.abs(x) > y, g, 0))


# --- smooth ----------------------------------------------------------------------------------------------------------
# exponentials are taken of numbers that are not positive, so that nothing overflows


def softplus(x, y): return np.where(x > y, x, np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))
def logsigmoid(x): return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
def softsign(x): return x / (1 + np.abs(x))
def silu(x): return x * sigmoid(x)
def gated(x, y): return x * sigmoid(y)
def tanhshrink(x): return x - np.tanh(x)
def mish(x): return x * mish_gate(x)


def mish_gate(x):
    """The tanh of softplus, which is (e*e + 2*e) / (e*e + 2*e + 2) with the exponential e of x, or its inverse."""
    small = np.exp(-np.abs(x))
    right, square = x >= 0, small * small
    above = np.where(right, 1, square) + 2 * small
    return above / (above + 2 * np.where(right, square, 1))


def softsign_x(g, x):
    r = 1 / (1 + np.abs(x))
    return g * r * r


def silu_x(g, x):
    s = sigmoid(x)
    return g * s * (1 + x * (1 - s))


def gated_y(g, x, y):
    s = sigmoid(y)
    return g * x * s * (1 - s)


def tanhshrink_x(g, x):
    t = np.tanh(x)
    return g * t * t


def mish_x(g, x):
    t = mish_gate(x)
    return g * (t + x * sigmoid(x) * (1 - t * t))


softplus   = elementwise(softplus,   x=lambda g, x, y: g * np.where(x <= y, sigmoid(x), 1))
logsigmoid = elementwise(logsigmoid, x=lambda g, x: g * sigmoid(-x))
softsign   = elementwise(softsign,   x=softsign_x)
silu       = elementwise(silu,       x=silu_x)
gated      = elementwise(gated,      x=lambda g, y: g * sigmoid(y),   y=gated_y)
tanhshrink = elementwise(tanhshrink, x=tanhshrink_x)
mish_gate  = elementwise(mish_gate,  x=lambda g, x, out: g * sigmoid(x) * (1 - out * out))
mish       = elementwise(mish,       x=mish_x)


# --- gelu ------------------------------------------------------------------------------------------------------------

# Mills' ratio, that of the normal distribution's upper tail to exp(-a*a/2), for a from 0 to 40: the quotient of two polynomials, lowest power first,
# with an error of 6e-17 of its value, and of 2e-8 for single precision. Fitted with mpmath, with errors that are equally large everywhere.
MILLS = (
    [142813.42658713128, 221503.10935764466, 169934.01406712865, 82825.8348978851, 27988.46757558653, 6772.53593831306, 1173.400438021246,
     140.85489704163422, 10.711501904085027, 0.3989422804003617],
    [285626.85317426256, 670903.4750137373, 732358.1260496739, 490502.926140743, 223893.73545120042, 73044.26017937885, 17327.30105736894,
     2968.128465925514, 354.0708675980177, 26.849753535980025, 1.0])  # fmt: skip
MILLS_SINGLE = (
    [40.04954281092704, 36.823983178677075, 15.983899680507273, 3.704721132235396, 0.3989428428218475],
    [80.0990839784776, 137.55789626901478, 101.67246287716384, 41.06119826537914, 9.286487064159976, 1.0])  # fmt: skip
TANH_SCALE, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


def pdf(x):
    """The density of the normal distribution."""
    return np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def gelu(x):
    """x times the normal distribution's probability below x: relu, less |x| times that of the tail."""
    if x.dtype == np.float16:  # has no room for the polynomials
        return gelu(x.astype(np.float32)).astype(x.dtype)
    above, below = MILLS_SINGLE if x.dtype == np.float32 else MILLS
    a = np.minimum(np.abs(x), 40)
    return np.maximum(x, 0) - a * np.exp(-0.5 * a * a) * (horner(above, a) / horner(below, a))


def gelu_slope(x, y):
    """The derivative of gelu by x, of which y is the value: that spares the quotient."""
    near = np.abs(x) < 1e-30
    return np.where(near, 0.5, y / np.where(near, 1, x)) + x * pdf(x)


def tanh_of_cube(x):
    """The tanh in the approximation of gelu; far out it is 1, and cubes would overflow."""
    x = np.minimum(np.maximum(x, -20), 20)
    return np.tanh(x * (TANH_SCALE + TANH_SCALE * TANH_CUBE * x * x))


def gelu_tanh(x): return 0.5 * x * (1 + tanh_of_cube(x))


def gelu_tanh_x(g, x):
    t = tanh_of_cube(x)
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (TANH_SCALE + 3 * TANH_SCALE * TANH_CUBE * x * x))


gelu_slope   = elementwise(gelu_slope,   x=lambda g, x: g * (2 - x * x) * pdf(x),   y=zero)
gelu         = elementwise(gelu,         x=lambda g, x, out: g * gelu_slope(x, out))
tanh_of_cube = elementwise(tanh_of_cube, x=lambda g, x, out: g * (1 - out * out) * (TANH_SCALE + 3 * TANH_SCALE * TANH_CUBE * x * x))
gelu_tanh    = elementwise(gelu_tanh,    x=gelu_tanh_x)
