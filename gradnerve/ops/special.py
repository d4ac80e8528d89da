"""Derivatives of special functions: one line each. The values are SciPy's.

A line may use SciPy's own functions, as `sp.erf`: they take Tensors, too. Where the textbook formula subtracts two nearly equal numbers, far
out or near 0, a series takes over. What has no formula is in special_parameters.py. Numbers such as 7.12.1 are those of formulas in NIST's
Digital Library of Mathematical Functions, dlmf.nist.gov.

Read next: special_parameters.py; ../special.py for the names that users see.
"""

import math
from types import FunctionType, SimpleNamespace

import numpy as np
from scipy import special as _special

from gradnerve._engine import TensorBase, recording
from gradnerve.ops import define, network
from gradnerve.ops import special_parameters as numeric
from gradnerve.ops.define import implements, zero
from gradnerve.ops.elementwise import horner, sinc
from gradnerve.ops.reductions import kept, sum
from gradnerve.ops.shapes import broadcast_to, reshape
from gradnerve.ops.special_parameters import beta_slopes, gamma_slopes, of_exponential, psi_n
from gradnerve.ops.values import value

PI, ROOT_PI, ROOT_2, ROOT_2_PI, LOG_2_PI = math.pi, math.sqrt(math.pi), math.sqrt(2), math.sqrt(2 * math.pi), math.log(2 * math.pi)


def itself(f):
    """A function of SciPy's without the one that SCIPY_ARRAY_API=1 puts in front of it, and which asks its arguments for their namespace."""
    return getattr(f, "__wrapped__", f) if isinstance(f, FunctionType) and f.__module__ == "scipy.special" else f


sp = SimpleNamespace(**{name: itself(f) for name, f in vars(_special).items()})


def ufunc(function, **lines):
    """An operation for a ufunc of SciPy's with one or two inputs, `x` and `y`."""
    operation = define.ufunc(function, name=f"special.{function.__name__}", **lines)
    if function.nin == 2 and function.resolve_dtypes((np.dtype("f"), float, None))[-1] != np.dtype("f"):
        implements(function)(lambda x, y: operation(strong(x), strong(y)))
    return operation


def strong(x):
    """A Python number as some functions of SciPy's take it, where float32 and a number make float64."""
    return np.asarray(x, complex if type(x) is complex else float) if type(x) in (int, float, complex) else x


def op(name, forward, *, elementwise=True, **lines):
    return define.op(forward, name=f"special.{name}", elementwise=elementwise, **lines)


class Probe:
    """Finds the ufunc behind a Python function of SciPy's."""

    def __array_ufunc__(self, ufunc, *_, **__):
        return ufunc


def refuse_tracked(name, n):
    """A whole number has no derivative: say so when the function is called."""
    if isinstance(n, TensorBase) and n.requires_grad and recording():
        raise TypeError(f"special.{name}: its order, here of shape {n.shape}, is a whole number and has no gradient; pass it without requires_grad")


# ---- lines that need more than a line ------------------------------------------------------------------------------------------------------

TAIL = [float(math.prod(range(1, 2 * k + 2, 2))) / 2**k for k in range(24)]  # erfcx'(x) is -sum of TAIL[k] * (-1)**k / x**(2k+2) / sqrt(pi)


def erfcx_x(g, x, out):
    """2 x erfcx(x) - 2 / sqrt(pi), and its asymptotic series far to the right (7.12.1)."""
    far = (np.abs(x) > 7) & (x > 0)
    r = 1 / np.where(far, x, 7) ** 2
    return g * np.where(far, -r / ROOT_PI * horner(TAIL, -r), 2 * np.where(far, 0, x) * out - 2 / ROOT_PI)


def dawsn_x(g, x, out):
    """1 - 2 x dawsn(x), and its asymptotic series far from the imaginary axis (7.12.1 with 7.5.1)."""
    far = x * x > 49
    r = 1 / np.where(far, x, 7) ** 2
    return g * np.where(far, -0.5 * r * horner(TAIL, r), 1 - 2 * np.where(far, 0, x) * out)


def log_ndtr_x(g, x):
    """The density over the distribution function, to the left both over the density."""
    left = x < -1
    u, v = np.where(left, x, -1), np.where(left, 0, x)
    return g * np.where(left, (ROOT_2 / ROOT_PI) / sp.erfcx(u * (-1 / ROOT_2)), np.exp(-0.5 * v * v) / (ROOT_2_PI * sp.ndtr(v)))


def rgamma_x(g, x, out):
    """-psi(x) / gamma(x); to the left of 1/2, where psi has poles, by reflection (5.5.3)."""
    left = x < 0.5
    right, u = np.where(left, 1, x), np.where(left, x, 0)
    return g * np.where(left, sp.gamma(1 - u) * (np.cos(PI * u) - sp.psi(1 - u) * np.sin(PI * u) / PI), -out * sp.psi(right))


def sinc_of(x):
    """sin(x) / x, with derivatives that are right near 0."""
    near = np.abs(x) < 1
    far = np.where(near, 1, x)
    return np.where(near, sinc(np.where(near, x, 0) / PI), np.sin(far) / far)


def log_where(blank, x):
    """log(x), and 0 where there is nothing to take it of."""
    return np.log(np.where(blank, 1, x))


def nothing(x, y):
    """Where both are 0."""
    return (x == 0) & (y == 0)


def log_ratio(x, y):
    """log(x / y), exact where x is near y; 0 where both are 0."""
    near = np.abs(x - y) < 0.5 * y
    blank = near | nothing(x, y)
    return np.where(near, np.log1p(np.where(near, x - y, 0) / np.where(near, y, 1)), log_where(blank, x) - log_where(blank, y))


def over(x, y):
    """x / y, and 0 where x is."""
    return x / np.where(x == 0, 1, y)


def kl_div_y(g, x, y):
    """1 - x / y, exact also where x is near y."""
    return g * np.where(np.abs(x - y) < 0.5 * y, over(y - x, y), 1 - over(x, y))


def hankel(order, k):
    """The k-th coefficient of Hankel's expansion of Bessel functions (10.17.1)."""
    return math.prod(4 * order**2 - (2 * j - 1) ** 2 for j in range(1, k + 1)) / (math.factorial(k) * 8**k)


GAPS = [hankel(0, k) - hankel(1, k) for k in range(1, 24)]


def i_gap(x):
    """i0e(x) - abs(i1e(x)), by Hankel's expansion where the two are nearly equal (10.40.1)."""
    far = np.abs(x) > 25
    z = np.where(far, np.abs(x), 25)
    return np.where(far, -horner(GAPS, -1 / z) / (z * np.sqrt(2 * PI * z)), sp.i0e(x) - np.abs(sp.i1e(x)))


def k_gap(x):
    """k1e(x) - k0e(x), by Hankel's expansion where the two are nearly equal (10.40.2)."""
    far = x > 25
    z = np.where(far, x, 25)
    return np.where(far, -horner(GAPS, 1 / z) * np.sqrt(PI / (2 * z)) / z, sp.k1e(x) - sp.k0e(x))


def i1e_x(g, x, out):
    """The gap, less i1e(x) / x, which is a difference itself near 0 (10.29.1)."""
    near = np.abs(x) < 1
    return g * (i_gap(x) - np.where(near, 0.5 * (sp.i0e(x) - sp.ive(2, x)), out / np.where(near, 1, x)))


# ---- error functions and the normal distribution -------------------------------------------------------------------------------------------

erf       = ufunc(sp.erf,       x=lambda g, x: g * (2 / ROOT_PI) * np.exp(-x * x))
erfc      = ufunc(sp.erfc,      x=lambda g, x: -g * (2 / ROOT_PI) * np.exp(-x * x))
erfcx     = ufunc(sp.erfcx,     x=erfcx_x)
erfinv    = ufunc(sp.erfinv,    x=lambda g, out: g * (ROOT_PI / 2) * np.exp(out * out))
erfcinv   = ufunc(sp.erfcinv,   x=lambda g, out: -g * (ROOT_PI / 2) * np.exp(out * out))
dawsn     = ufunc(sp.dawsn,     x=dawsn_x)
ndtr      = ufunc(sp.ndtr,      x=lambda g, x: g / ROOT_2_PI * np.exp(-0.5 * x * x))
log_ndtr  = ufunc(sp.log_ndtr,  x=log_ndtr_x)
ndtri     = ufunc(sp.ndtri,     x=lambda g, out: g * ROOT_2_PI * np.exp(0.5 * out * out))


# ---- logistic functions, logarithms and entropies ------------------------------------------------------------------------------------------

expit     = ufunc(sp.expit,     x=lambda g, x, out: g * out * sp.expit(-x))  # 1 - out has lost its digits at 40
logit     = ufunc(sp.logit,     x=lambda g, x: g / (x * (1 - x)))
log_expit = ufunc(sp.log_expit, x=lambda g, x: g * sp.expit(-x))
expm1     = ufunc(sp.expm1,     x=lambda g, x: g * np.exp(x))
log1p     = ufunc(sp.log1p,     x=lambda g, x: g / (1 + x))
entr      = ufunc(sp.entr,      x=lambda g, x: -g * (1 + np.log(x)))
xlogy     = ufunc(sp.xlogy,     x=lambda g, x, y: g * log_where(nothing(x, y), y),                      y=lambda g, x, y: g * over(x, y))
xlog1py   = ufunc(sp.xlog1py,   x=lambda g, x, y: g * np.log1p(np.where((x == 0) & (y == -1), 0, y)),   y=lambda g, x, y: g * over(x, 1 + y))
rel_entr  = ufunc(sp.rel_entr,  x=lambda g, x, y: g * np.where(nothing(x, y), 0, log_ratio(x, y) + 1),  y=lambda g, x, y: -g * over(x, y))
kl_div    = ufunc(sp.kl_div,    x=lambda g, x, y: g * log_ratio(x, y),                                  y=kl_div_y)


# ---- integrals of exponentials and sines ---------------------------------------------------------------------------------------------------

expi      = ufunc(sp.expi,      x=lambda g, x: g * np.exp(x) / x)
exp1      = ufunc(sp.exp1,      x=lambda g, x: -g * np.exp(-x) / x)

sine_integral   = op("sine_integral",   lambda x: sp.sici(x)[0], x=lambda g, x: g * sinc_of(x))
cosine_integral = op("cosine_integral", lambda x: sp.sici(x)[1], x=lambda g, x: g * np.cos(x) / x)


@implements(sp.sici)
def sici(x):
    """The sine and the cosine integral."""
    return sine_integral(x), cosine_integral(x)


# ---- gamma and beta functions --------------------------------------------------------------------------------------------------------------

psi_rise  = define.elementwise(numeric.psi_rise, name="special.psi_rise",
                               x=lambda g, x, y: g * (psi_n(1, x + y) - psi_n(1, x)), y=lambda g, x, y: g * psi_n(1, x + y))

gamma     = ufunc(sp.gamma,     x=lambda g, x, out: g * out * sp.psi(x))
rgamma    = ufunc(sp.rgamma,    x=rgamma_x)
gammaln   = ufunc(sp.gammaln,   x=lambda g, x: g * sp.psi(x))
gammasgn  = ufunc(sp.gammasgn,  x=zero)
beta      = ufunc(sp.beta,      x=lambda g, x, y, out: -g * out * psi_rise(x, y),     y=lambda g, x, y, out: -g * out * psi_rise(y, x))
betaln    = ufunc(sp.betaln,    x=lambda g, x, y: -g * psi_rise(x, y),                y=lambda g, x, y: -g * psi_rise(y, x))

psi           = op("psi",           lambda x: sp.psi(x),            x=lambda g, x: g * (psi_n_complex if x.dtype.kind == "c" else psi_n)(1, x),
                   numpy=sp.psi)
psi_n_complex = op("psi_n_complex", numeric.psi_n_complex,          z=lambda g, n, z: g * psi_n_complex(n + 1, z))
polygamma     = op("polygamma",     lambda n, x: sp.polygamma(n, x), x=lambda g, n, x: g * polygamma(np.asarray(n) + 1, x))


# ---- incomplete gamma and beta functions ---------------------------------------------------------------------------------------------------

def gamma_weight_x(g, k, a, x, out):
    """(a - k) times the next weight, less this one; where a is k, the power is a constant also at 0."""
    return g * (np.where((x == 0) & (a == k), 0, (a - k) * gamma_weight(k + 1, a, x)) - out)


def beta_weight_x(g, j, k, a, b, x):
    """The product rule; where an exponent is 0, the power is a constant also at 0."""
    rise = np.where((x == 0) & (a == j), 0, (a - j) * beta_weight(j + 1, k, a, b, x))
    return g * (rise - np.where((x == 1) & (b == k), 0, (b - k) * beta_weight(j, k + 1, a, b, x)))


def gammainc_n_x(g, n, a, x):
    """The integrand at the end of the interval."""
    return g * gamma_weight(1, a, x) * of_exponential(n, 0, gamma_slopes(n, a, log_where(x == 0, x) - sp.psi(a)))


def betainc_n_x(g, n, m, a, b, x):
    """The integrand at the end of the interval."""
    first = {(1, 0): log_where(x == 0, x) + psi_rise(a, b), (0, 1): np.log1p(np.where(x == 1, 0, -x)) + psi_rise(b, a)}
    return g * beta_weight(1, 1, a, b, x) * of_exponential(n, m, beta_slopes(n, m, a, b, first))


gamma_weight = op("gamma_weight", numeric.gamma_weight, x=gamma_weight_x,
                  a=lambda g, a, x, out: g * (sp.xlogy(out, x) - out * sp.psi(a)))
beta_weight  = op("beta_weight",  numeric.beta_weight,  x=beta_weight_x,
                  a=lambda g, a, b, x, out: g * (sp.xlogy(out, x) + out * psi_rise(a, b)),
                  b=lambda g, a, b, x, out: g * (sp.xlog1py(out, -x) + out * psi_rise(b, a)))

gammainc     = op("gammainc",     lambda a, x: sp.gammainc(a, x),  numpy=sp.gammainc,
                  a=lambda g, a, x: g * gammainc_n(1, a, x),       x=lambda g, a, x: g * gamma_weight(1, a, x))
gammaincc    = op("gammaincc",    lambda a, x: sp.gammaincc(a, x), numpy=sp.gammaincc,
                  a=lambda g, a, x: -g * gammainc_n(1, a, x),      x=lambda g, a, x: -g * gamma_weight(1, a, x))
gammainc_n   = op("gammainc_n",   numeric.gammainc_n,
                  a=lambda g, n, a, x: g * gammainc_n(n + 1, a, x), x=gammainc_n_x)

betainc      = op("betainc",      lambda a, b, x: sp.betainc(a, b, x), numpy=sp.betainc,
                  a=lambda g, a, b, x: g * betainc_n(1, 0, a, b, x), b=lambda g, a, b, x: g * betainc_n(0, 1, a, b, x),
                  x=lambda g, a, b, x: g * beta_weight(1, 1, a, b, x))
betainc_n    = op("betainc_n",    numeric.betainc_n, x=betainc_n_x,
                  a=lambda g, n, m, a, b, x: g * betainc_n(n + 1, m, a, b, x), b=lambda g, n, m, a, b, x: g * betainc_n(n, m + 1, a, b, x))


# ---- zeta ----------------------------------------------------------------------------------------------------------------------------------

def riemann_x(g, x):
    """zeta'(x); to the left of -1/2 the derivative of the reflection formula (25.4.1)."""
    left = x < -0.5
    u = np.where(left, x, -1)
    factor, angle = 2 * (2 * PI) ** (u - 1) * sp.gamma(1 - u) * sp.zeta(1 - u), 0.5 * PI * u
    slope = LOG_2_PI - sp.psi(1 - u) - zeta_n(1, 1 - u, 1.0) / sp.zeta(1 - u)
    return g * np.where(left, factor * (slope * np.sin(angle) + 0.5 * PI * np.cos(angle)), zeta_n(1, np.where(left, 2, x), 1.0))


zeta    = op("zeta",         lambda x, q: sp.zeta(x, q),  numpy=sp.zeta(Probe(), Probe()),
             x=lambda g, x, q: g * zeta_n(1, x, q),       q=lambda g, x, q: -g * x * sp.zeta(x + 1, q))
riemann = op("riemann_zeta", lambda x: sp.zeta(x),        numpy=sp.zeta(Probe()), x=riemann_x)
zeta_n  = op("zeta_n",       numeric.zeta_n,
             s=lambda g, n, s, q: g * zeta_n(n + 1, s, q),
             q=lambda g, n, s, q: -g * (s * zeta_n(n, s + 1, q) + (n * zeta_n(n - 1, s + 1, q) if n else 0)))


# ---- Bessel functions ----------------------------------------------------------------------------------------------------------------------

j0  = ufunc(sp.j0,  x=lambda g, x: -g * sp.j1(x))
j1  = ufunc(sp.j1,  x=lambda g, x: 0.5 * g * (sp.j0(x) - sp.jv(2, x)))
y0  = ufunc(sp.y0,  x=lambda g, x: -g * sp.y1(x))
y1  = ufunc(sp.y1,  x=lambda g, x, out: g * (sp.y0(x) - out / x))
i0  = ufunc(sp.i0,  x=lambda g, x: g * sp.i1(x))
i1  = ufunc(sp.i1,  x=lambda g, x: 0.5 * g * (sp.i0(x) + sp.iv(2, x)))
k0  = ufunc(sp.k0,  x=lambda g, x: -g * sp.k1(x))
k1  = ufunc(sp.k1,  x=lambda g, x, out: -g * (sp.k0(x) + out / x))
i0e = ufunc(sp.i0e, x=lambda g, x: -g * np.sign(x) * i_gap(x))
i1e = ufunc(sp.i1e, x=i1e_x)
k0e = ufunc(sp.k0e, x=lambda g, x: -g * k_gap(x))
k1e = ufunc(sp.k1e, x=lambda g, x, out: g * (k_gap(x) - out / x))


def bessel(function, slope):
    """A Bessel function and its derivatives by the order; `slope` is the derivative by z, which is the same for those (10.6.1, 10.29.1)."""
    def by_order(n, v, z): return numeric.by_order(n, function, v, z)
    name = function.__name__
    higher = op(f"{name}_n", by_order,             v=lambda g, n, v, z: g * higher(n + 1, v, z),
                                                   z=lambda g, n, v, z: slope(g, lambda v, z: higher(n, v, z), v, z))  # fmt: skip
    return op(name, lambda v, z: function(v, z),   v=lambda g, v, z: g * higher(1, v, z),
                                                   z=lambda g, v, z: slope(g, function, v, z), numpy=function)  # fmt: skip


def less_size(g, f, v, z):
    """What the factor exp(-abs(real(z))), which is not holomorphic, takes away."""
    return np.sign(np.real(z)) * np.real(g * f(v, z))


jv  = bessel(sp.jv,  lambda g, f, v, z: g * (f(v - 1, z) - f(v + 1, z)) * 0.5)
yv  = bessel(sp.yv,  lambda g, f, v, z: g * (f(v - 1, z) - f(v + 1, z)) * 0.5)
iv  = bessel(sp.iv,  lambda g, f, v, z: g * (f(v - 1, z) + f(v + 1, z)) * 0.5)
kv  = bessel(sp.kv,  lambda g, f, v, z: g * (f(v - 1, z) + f(v + 1, z)) * -0.5)
ive = bessel(sp.ive, lambda g, f, v, z: g * (f(v - 1, z) + f(v + 1, z)) * 0.5 - less_size(g, f, v, z))
kve = bessel(sp.kve, lambda g, f, v, z: g * (f(v, z) - (f(v - 1, z) + f(v + 1, z)) * 0.5))
yn_x = op("yn", lambda n, x: sp.yn(n, x), x=lambda g, n, x: g * (sp.yn(n - 1, x) - sp.yn(n + 1, x)) * 0.5)


@implements(sp.yn)
def yn(n, x):
    """The Bessel function of the second kind of whole order."""
    refuse_tracked("yn", n)
    return yn_x(value(n), x)


# ---- logarithms of sums of exponentials ----------------------------------------------------------------------------------------------------

def summands(a, b):
    """The shape of b * exp(a), which has one axis at least."""
    return np.broadcast_shapes(np.shape(a), () if b is None else np.shape(b)) or (1,)


def exponentials(a, b, axis):
    """exp(a) and b * exp(a), both over the sum of b * exp(a): how that sum's logarithm changes with `b` and with `a`."""
    a = broadcast_to(a, summands(a, b))
    sizes = np.real(value(a)) if b is None else np.where(value(b) == 0, -np.inf, np.real(value(a)))
    top = np.max(sizes, axis, keepdims=True, initial=-np.inf)
    e = np.exp(np.where(np.isinf(top), np.where((value(a) == top) & (top > 0), 0, -np.inf), a - np.where(np.isinf(top), 0, top)))
    weighted = e if b is None else b * np.where((value(b) == 0) & np.isinf(value(e)), 0, e)
    total = sum(weighted, axis, keepdims=True)
    return over(e, total), over(weighted, total)


def spread(g, a, b, axis):
    """One gradient for each sum, in the shape of the summands."""
    return reshape(g, kept(summands(a, b), axis))


def turn(g, out):
    """The sign of a complex sum, a phase, moves at a right angle to itself; that of a real one does not."""
    return 1j * np.imag(g * np.conjugate(out))


# fmt: off
softmax     = op("softmax",     lambda x, axis=None: sp.softmax(x, axis), elementwise=False,     x=network.softmax.lines["x"])
log_softmax = op("log_softmax", lambda x, axis=None: sp.log_softmax(x, axis), elementwise=False, x=network.log_softmax.lines["x"])
log_sum     = op("logsumexp",   lambda a, axis, b, keepdims: sp.logsumexp(a, axis, b, keepdims), elementwise=False,
                 a=lambda g, a, axis, b: spread(g, a, b, axis) * exponentials(a, b, axis)[1],
                 b=lambda g, a, axis, b: spread(g, a, b, axis) * exponentials(a, b, axis)[0])
log_size    = op("log_size",    lambda a, axis, b, keepdims: sp.logsumexp(a, axis, b, keepdims, True)[0], elementwise=False, analytic=False,
                 a=lambda g, a, axis, b: spread(g, a, b, axis) * np.conjugate(exponentials(a, b, axis)[1]),
                 b=lambda g, a, axis, b: spread(g, a, b, axis) * np.conjugate(exponentials(a, b, axis)[0]))
sum_sign    = op("sum_sign",    lambda a, axis, b, keepdims: sp.logsumexp(a, axis, b, keepdims, True)[1], elementwise=False, analytic=False,
                 a=lambda g, out, a, axis, b: spread(turn(g, out), a, b, axis) * np.conjugate(exponentials(a, b, axis)[1]),
                 b=lambda g, out, a, axis, b: spread(turn(g, out), a, b, axis) * np.conjugate(exponentials(a, b, axis)[0]))
# fmt: on


