"""Derivatives of NumPy's elementwise functions (ufuncs): one line each.

A line maps `g`, the gradient of the result, to the gradient of one input; its other parameters (`x`, `y`, `out`) are what the operation saves.
Python numbers stay weak (float32 stays float32), so constants are Python floats. Where a formula has no value (0/0 at the origin, inf - inf)
the argument is made safe *before* the division and the result is selected after, which keeps NaN out of the derivative of the line as well.

Read next: elementwise.py (what is no ufunc), define.py (how a line becomes an operation).
"""
import math

import numpy as np

from gradnerve.ops.define import ufunc, zero

LN2, LN10 = math.log(2.0), math.log(10.0)
RADIAN, DEGREE = 180.0 / math.pi, math.pi / 180.0  # one radian in degrees, one degree in radians

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan",
    "atan2", "atanh", "cbrt", "ceil", "conj", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees", "divide", "exp", "exp2", "expm1", "fabs",
    "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "heaviside", "hypot", "ldexp", "log", "log1p", "log2", "log10", "logaddexp",
    "logaddexp2", "maximum", "minimum", "mod", "multiply", "negative", "nextafter", "positive", "pow", "power", "rad2deg", "radians", "reciprocal",
    "remainder", "rint", "sign", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc",
]  # fmt: skip


# ---- lines that need more than a line ------------------------------------------------------------------------------------------------------

def power_x(g, x, y):
    """y * x**(y - 1), without the 0 * inf of x**0 at 0 (or at NaN, or at a number too small to be inverted)."""
    return g * (y * np.where((y != 0) | (np.abs(x) > 1e-38), x, 1) ** (y - 1))


def power_y(g, x, y):
    """x**y * log(x), and 0 where x is 0."""
    base = np.where(x == 0, 1, x)
    return g * np.where(x == 0, 0, base**y * np.log(base))


def sign_x(g, x, out):
    """A complex sign x/|x| moves only at a right angle to x; for real x this is exactly 0."""
    return np.where(out == 0, 0, g - np.conjugate(g) * out * out) / (2 * (np.abs(x) + (out == 0)))


def winner(g, wins, tie):
    """All of g to the argument that is the result, half where both are."""
    return np.where(tie, g * 0.5, np.where(wins, g, 0))


def softmax_of_two(g, x, y, out, exp):
    """The share exp(x - out) of x in log(exp(x) + exp(y)); of an infinite result, the larger argument has all and equal ones half."""
    infinite = np.isinf(out)
    share = exp(np.where(infinite, 0, x) - np.where(infinite, 0, out))
    return np.where(infinite, winner(g, x > y, x == y), g * share)


def along(g, x, out):
    """x / hypot(x, y): 0 at the origin, and at infinity the limit, 1 for the infinite argument and 0 for the finite one."""
    edge = (out == 0) | np.isinf(out)
    return g * (np.where(edge, np.isinf(x) * np.sign(x), x) / np.where(edge, 1, out))


def over_square(g, a, x, y):
    """a / (x*x + y*y) without overflow, and 0 at the origin and at infinity."""
    r = np.hypot(x, y)
    edge = (r == 0) | np.isinf(r)
    r = np.where(edge, 1, r)
    return g * (np.where(edge, 0, a) / r / r)


# ---- one argument --------------------------------------------------------------------------------------------------------------------------

positive   = ufunc(np.positive,   x=lambda g: g)
negative   = ufunc(np.negative,   x=lambda g: -g)
square     = ufunc(np.square,     x=lambda g, x: g * (2 * x))
reciprocal = ufunc(np.reciprocal, x=lambda g, out: -g * out * out)
sqrt       = ufunc(np.sqrt,       x=lambda g, out: g * 0.5 / out)
cbrt       = ufunc(np.cbrt,       x=lambda g, out: g / 3 / out / out)

exp        = ufunc(np.exp,        x=lambda g, out: g * out)
exp2       = ufunc(np.exp2,       x=lambda g, out: g * out * LN2)
expm1      = ufunc(np.expm1,      x=lambda g, out: g * (out + 1))
log        = ufunc(np.log,        x=lambda g, x: g / x)
log2       = ufunc(np.log2,       x=lambda g, x: g / x / LN2)
log10      = ufunc(np.log10,      x=lambda g, x: g / x / LN10)
log1p      = ufunc(np.log1p,      x=lambda g, x: g / (1 + x))

sin        = ufunc(np.sin,        x=lambda g, x: g * np.cos(x))
cos        = ufunc(np.cos,        x=lambda g, x: -g * np.sin(x))
tan        = ufunc(np.tan,        x=lambda g, out: g * (1 + out * out))
arcsin     = ufunc(np.arcsin,     x=lambda g, x: g / np.sqrt((1 - x) * (1 + x)))
arccos     = ufunc(np.arccos,     x=lambda g, x: -g / np.sqrt((1 - x) * (1 + x)))
arctan     = ufunc(np.arctan,     x=lambda g, x: g / (1 + x * x))
sinh       = ufunc(np.sinh,       x=lambda g, x: g * np.cosh(x))
cosh       = ufunc(np.cosh,       x=lambda g, x: g * np.sinh(x))
tanh       = ufunc(np.tanh,       x=lambda g, out: g * (1 - out * out))
arcsinh    = ufunc(np.arcsinh,    x=lambda g, x: g / np.sqrt(1 + x * x))
arccosh    = ufunc(np.arccosh,    x=lambda g, x: g / np.sqrt(x - 1) / np.sqrt(x + 1))  # two roots: sqrt(x*x - 1) has the wrong sign for re(x) < 0
arctanh    = ufunc(np.arctanh,    x=lambda g, x: g / ((1 - x) * (1 + x)))

deg2rad    = ufunc(np.deg2rad,    x=lambda g: g * DEGREE)
radians    = ufunc(np.radians,    x=lambda g: g * DEGREE)
rad2deg    = ufunc(np.rad2deg,    x=lambda g: g * RADIAN)
degrees    = ufunc(np.degrees,    x=lambda g: g * RADIAN)

fabs       = ufunc(np.fabs,       x=lambda g, x: g * np.sign(x))
absolute   = ufunc(np.absolute,   x=lambda g, x: g * np.sign(x),    analytic=False)
conjugate  = ufunc(np.conjugate,  x=lambda g: np.conjugate(g),      analytic=False)
sign       = ufunc(np.sign,       x=sign_x,                         analytic=False)


# ---- two arguments -------------------------------------------------------------------------------------------------------------------------

add         = ufunc(np.add,         x=lambda g: g,                                     y=lambda g: g)
subtract    = ufunc(np.subtract,    x=lambda g: g,                                     y=lambda g: -g)
multiply    = ufunc(np.multiply,    x=lambda g, y: g * y,                              y=lambda g, x: g * x)
divide      = ufunc(np.divide,      x=lambda g, y: g / y,                              y=lambda g, y, out: -g * out / y)
power       = ufunc(np.power,       x=power_x,                                         y=power_y)
float_power = ufunc(np.float_power, x=power_x,                                         y=power_y)

# remainder = x - floor(x/y)*y and fmod = x - trunc(x/y)*y; x/y itself may round up to the next integer, so both quotients are taken exactly
remainder   = ufunc(np.remainder,   x=lambda g: g,                                     y=lambda g, x, y: -g * np.floor_divide(x, y))
fmod        = ufunc(np.fmod,        x=lambda g: g,                                     y=lambda g, x, y, out: -g * np.rint((x - out) / y))

maximum     = ufunc(np.maximum,     x=lambda g, x, y: winner(g, x > y, x == y),        y=lambda g, x, y: winner(g, y > x, x == y), masks=True)
minimum     = ufunc(np.minimum,     x=lambda g, x, y: winner(g, x < y, x == y),        y=lambda g, x, y: winner(g, y < x, x == y), masks=True)
fmax        = ufunc(np.fmax, masks=True,
                    x=lambda g, x, y, out: winner(g, x == out, x == y),               y=lambda g, x, y, out: winner(g, y == out, x == y))  # fmt: skip
fmin        = ufunc(np.fmin, masks=True,
                    x=lambda g, x, y, out: winner(g, x == out, x == y),               y=lambda g, x, y, out: winner(g, y == out, x == y))  # fmt: skip

logaddexp   = ufunc(np.logaddexp,   x=lambda g, x, y, out: softmax_of_two(g, x, y, out, np.exp),
                                    y=lambda g, x, y, out: softmax_of_two(g, y, x, out, np.exp))  # fmt: skip
logaddexp2  = ufunc(np.logaddexp2,  x=lambda g, x, y, out: softmax_of_two(g, x, y, out, np.exp2),
                                    y=lambda g, x, y, out: softmax_of_two(g, y, x, out, np.exp2))  # fmt: skip

hypot       = ufunc(np.hypot,       x=along,                                           y=lambda g, y, out: along(g, y, out))
arctan2     = ufunc(np.arctan2,     x=lambda g, x, y: over_square(g, y, x, y),         y=lambda g, x, y: over_square(-g, x, x, y))
copysign    = ufunc(np.copysign,    x=lambda g, x, out: g * np.sign(x) * np.sign(out), y=zero)
ldexp       = ufunc(np.ldexp,       x=lambda g, y: np.ldexp(g, np.asarray(y, int)))  # y is an integer: it has no gradient
nextafter   = ufunc(np.nextafter,   x=lambda g: g,                                     y=zero)


# ---- derivative zero: tracked, contributes nothing -----------------------------------------------------------------------------------------

floor        = ufunc(np.floor,        x=zero)
ceil         = ufunc(np.ceil,         x=zero)
trunc        = ufunc(np.trunc,        x=zero)
rint         = ufunc(np.rint,         x=zero)
floor_divide = ufunc(np.floor_divide, x=zero, y=zero)
heaviside    = ufunc(np.heaviside,    x=zero, y=lambda g, x: np.where(x == 0, g, 0), masks=True)  # y is the value at x == 0


# ---- second names --------------------------------------------------------------------------------------------------------------------------

abs, conj, true_divide, mod, pow, atan2 = absolute, conjugate, divide, remainder, power, arctan2
asin, acos, atan, asinh, acosh, atanh   = arcsin, arccos, arctan, arcsinh, arccosh, arctanh
