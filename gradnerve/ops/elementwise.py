"""Elementwise functions of NumPy that are no ufuncs, or ufuncs with two results.

Functions with two results (`frexp`, `modf`, `divmod`) are composed of operations with one result each. `sinc` and `i0` carry their own derivative:
near 0 the textbook formula subtracts two nearly equal numbers, so a short series takes over there.

Read next: arithmetic.py (the ufuncs), define.py (how a line becomes an operation).
"""
import math

import numpy as np

from gradnerve.ops.arithmetic import arctan2, floor_divide, remainder, trunc
from gradnerve.ops.define import implements, op, zero
from gradnerve.ops.values import batched

__all__ = [
    "angle", "around", "clip", "divmod", "fix", "frexp", "i0", "imag", "modf", "nan_to_num", "real", "real_if_close", "round", "sinc", "unwrap",
]  # fmt: skip

MISSING = object()


def horner(coefficients, x):
    """Polynomial with the given coefficients, lowest power first.

    >>> horner([1, 2, 3], 10)
    321
    """
    value = coefficients[-1]
    for c in coefficients[-2::-1]: value = value * x + c
    return value


# ---- parts of a complex number -------------------------------------------------------------------------------------------------------------

def real(x): return np.real(x)
def imag(x): return np.imag(x)
def real_if_close(x, tol=100): return np.real_if_close(x, tol)


real          = op(real,          numpy=np.real,          x=lambda g: g,      analytic=False)
imag          = op(imag,          numpy=np.imag,          x=lambda g: g * 1j, analytic=False)
real_if_close = op(real_if_close, numpy=np.real_if_close, x=lambda g: g,      analytic=False)


@implements(np.angle)
def angle(x, deg=False):
    """Angle of a complex number from the positive real axis, in radians or degrees; at 0 the gradient is 0."""
    a = arctan2(imag(x), real(x)) if np.iscomplexobj(x) else arctan2(0, x)
    return a * (180 / math.pi) if deg else a


def nan_to_num_x(g, x):
    """g where x is finite and 0 elsewhere; for complex x each part on its own."""
    if np.iscomplexobj(x):
        return np.where(np.isfinite(np.real(x)), np.real(g), 0) + np.where(np.isfinite(np.imag(x)), np.imag(g), 0) * 1j
    return np.where(np.isfinite(x), g, 0)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    return np.nan_to_num(x, True, nan, posinf, neginf)  # always a copy: x may be saved by the operation that made it


nan_to_num = op(nan_to_num, numpy=np.nan_to_num, elementwise=True, masks=True, x=nan_to_num_x, analytic=False)


# ---- rounding and splitting ----------------------------------------------------------------------------------------------------------------

def round(x, decimals=0): return np.round(x, decimals)
def mantissa(x): return np.frexp(x)[0]
def fraction(x): return np.modf(x)[0]
def integer(x): return np.modf(x)[1]


round    = op(round,    x=zero, numpy=(np.round, np.around))
mantissa = op(mantissa, x=lambda g, x: np.ldexp(g, -np.frexp(np.asarray(x))[1]))
fraction = op(fraction, x=lambda g: g)
integer  = op(integer,  x=zero)
around   = round


@implements(np.fix)
def fix(x, out=None):
    """Nearest integer towards zero."""
    return trunc(x) if out is None else trunc(x, out=out)


@implements(np.frexp)
def frexp(x):
    """Mantissa (differentiable, d/dx = 2**-exponent) and integer exponent (without gradient): x = mantissa * 2**exponent."""
    return np.frexp(x) if batched(x) else (mantissa(x), np.frexp(np.asarray(x))[1])


@implements(np.modf)
def modf(x):
    """Fractional part (d/dx = 1) and integral part (d/dx = 0)."""
    return fraction(x), integer(x)


@implements(np.divmod)
def divmod(x, y):
    """Floor of the quotient (derivatives 0) and remainder."""
    return floor_divide(x, y), remainder(x, y)


# ---- clip and unwrap -----------------------------------------------------------------------------------------------------------------------

def clamp(x, lo=None, hi=None): return np.clip(x, lo, hi)


def clamp_x(g, x, lo, hi):
    """Inside passes, bounds included."""
    return np.where((True if lo is None else x >= lo) & (True if hi is None else x <= hi), g, 0)


clamp = op(clamp, masks=True, x=clamp_x,
           lo=lambda g, x, lo, hi: np.where((x < lo) & (True if hi is None else lo <= hi), g, 0),
           hi=lambda g, x, lo, hi: np.where((x > hi) | (False if lo is None else lo > hi), g, 0))  # lo > hi: the result is hi  # fmt: skip


@implements(np.clip)
def clip(x, a_min=MISSING, a_max=MISSING, out=None, *, min=MISSING, max=MISSING, **kwargs):
    """Values of x moved into [a_min, a_max] (None: no bound); differentiable in x and both bounds, and x at a bound passes the gradient."""
    if a_min is MISSING and a_max is MISSING:
        a_min, a_max = (None if bound is MISSING else bound for bound in (min, max))
    elif a_min is MISSING or a_max is MISSING:
        raise TypeError(f"clip: a_{'min' if a_min is MISSING else 'max'} is missing (None: no bound)")
    elif min is not MISSING or max is not MISSING:
        raise ValueError("clip: bounds are given twice, as a_min/a_max and as min/max")
    return clamp(x, a_min, a_max, **kwargs) if out is None else np.clip(x, a_min, a_max, out=out, **kwargs)


def unwrap(x, discont=None, axis=-1, *, period=2 * math.pi): return np.unwrap(x, discont, axis, period=period)


unwrap = op(unwrap, numpy=np.unwrap, x=lambda g: g)  # what is added to x are whole periods: constants


# ---- sinc ----------------------------------------------------------------------------------------------------------------------------------

SINC_SERIES = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 12)]  # d/du sin(u)/u = sum over k of SINC_SERIES[k-1] * u**(2k-1)


def sinc_x(g, x, out):
    """(cos(u) - sinc) / x with u = pi*x, and for |u| < 1, where that cancels, the series."""
    u = x * math.pi
    near = np.abs(u) < 1
    small, large = np.where(near, u, 0), np.where(near, 1, x)
    return g * np.where(near, math.pi * small * horner(SINC_SERIES, small * small), (np.cos(u) - out) / large)


def sinc(x): return np.sinc(x)


sinc = op(sinc, numpy=np.sinc, elementwise=True, x=sinc_x)


# ---- modified Bessel functions -------------------------------------------------------------------------------------------------------------

I1_SMALL = """ 2.77791411276104639959E-18 -2.11142121435816608115E-17  1.55363195773620046921E-16 -1.10559694773538630805E-15
               7.60068429473540693410E-15 -5.04218550472791168711E-14  3.22379336594557470981E-13 -1.98397439776494371520E-12
               1.17361862988909016308E-11 -6.66348972350202774223E-11  3.62559028155211703701E-10 -1.88724975172282928790E-9
               9.38153738649577178388E-9  -4.44505912879632808065E-8   2.00329475355213526229E-7  -8.56872026469545474066E-7
               3.47025130813767847674E-6  -1.32731636560394358279E-5   4.78156510755005422638E-5  -1.61760815825896745588E-4
               5.12285956168575772895E-4  -1.51357245063125314899E-3   4.15642294431288815669E-3  -1.05640848946261981558E-2
               2.47264490306265168283E-2  -5.29459812080949914269E-2   1.02643658689847095384E-1  -1.76416518357834055153E-1
               2.52587186443633654823E-1 """
I1_LARGE = """ 7.51729631084210481353E-18  4.41434832307170791151E-18 -4.65030536848935832153E-17 -3.20952592199342395980E-17
               2.96262899764595013876E-16  3.30820231092092828324E-16 -1.88035477551078244854E-15 -3.81440307243700780478E-15
               1.04202769841288027642E-14  4.27244001671195135429E-14 -2.10154184277266431302E-14 -4.08355111109219731823E-13
              -7.19855177624590851209E-13  2.03562854414708950722E-12  1.41258074366137813316E-11  3.25260358301548823856E-11
              -1.89749581235054123450E-11 -5.58974346219658380687E-10 -3.83538038596423702205E-9  -2.63146884688951950684E-8
              -2.51223623787020892529E-7  -3.88256480887769039346E-6  -1.10588938762623716291E-4  -9.76109749136146840777E-3
               7.78576235018280120474E-1 """
I1_SMALL, I1_LARGE = ([float(c) for c in table.split()] for table in (I1_SMALL, I1_LARGE))
I1_SERIES = [0.5 / (4**k * math.factorial(k) * math.factorial(k + 1)) for k in range(10)]  # I1(x)/x = sum over k of I1_SERIES[k] * x**(2k)


def chebyshev(x, coefficients):
    """Chebyshev series by Clenshaw's recurrence, highest coefficient first (as in Cephes and in NumPy's own i0)."""
    b0, b1, b2 = 0.0, 0.0, 0.0
    for c in coefficients: b0, b1, b2 = x * b0 - b1 + c, b0, b1
    return 0.5 * (b0 - b2)


def i1(x):
    """Modified Bessel function of the first kind of order 1 (Cephes: two Chebyshev series, up to 8 and beyond), which NumPy does not have."""
    size = np.abs(x)
    small, large = np.minimum(size, 8), np.maximum(size, 8)
    near = small * chebyshev(small / 2 - 2, I1_SMALL)
    far = chebyshev(32 / large - 2, I1_LARGE) / np.sqrt(large)
    return np.sign(x) * np.exp(size) * np.where(size <= 8, near, far)


def i1_x(g, x, out):
    """I0(x) - I1(x)/x; for |x| < 1 the quotient is a series, so that its own derivatives at and near 0 are right."""
    near = np.abs(x) < 1
    small, large = np.where(near, x, 0), np.where(near, 1, x)
    return g * (i0(x) - np.where(near, horner(I1_SERIES, small * small), out / large))


def i0(x): return np.i0(x)


i0 = op(i0, numpy=np.i0, elementwise=True, x=lambda g, x: g * i1(x))
i1 = op(i1, elementwise=True, x=i1_x)
