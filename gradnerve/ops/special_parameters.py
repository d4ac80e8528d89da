"""Derivatives of special functions by parameters, where they are no formula: integrals, series and differences.

The incomplete gamma function by `a`, the incomplete beta function by `a` and `b`, zeta by its exponent, Bessel functions by their order.
Each function here gives the n-th derivative, of plain arrays, so that the table in special.py is closed: the derivative of that is the
n+1-st.

Read next: special.py.
"""

from fractions import Fraction
from functools import cache, wraps
from itertools import pairwise
from math import comb, factorial, pi

import numpy as np
from numpy.polynomial import polynomial
from scipy import special

from gradnerve.ops.elementwise import horner

BLOCK = 4096  # elements that are integrated at a time: each takes some hundred places
FAR = 40.0    # an integrand is followed until it has fallen by exp(-FAR)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)
BERNOULLI = [float(b) for b in special.bernoulli(24)[2::2]]  # B2, B4, ... B24
STIRLING = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI[:7], 1)]


def elementwise(numbers):
    """Decorator: broadcast the arrays that follow so many other arguments, take a block of elements at a time, and keep single precision."""
    def of(function):
        @wraps(function)
        def of_arrays(*args):
            arrays = np.broadcast_arrays(*args[numbers:])
            dtype = np.result_type(*(a.dtype if a.dtype.kind in "fc" else np.float64 for a in arrays))
            flat = [np.ravel(a).astype(np.result_type(a, np.float64)) for a in arrays]
            out = np.empty(arrays[0].size, np.result_type(dtype, np.float64))
            with np.errstate(all="ignore"):
                for k in range(0, out.size, BLOCK):
                    out[k:k + BLOCK] = function(*args[:numbers], *(a[k:k + BLOCK] for a in flat))
            return out.reshape(arrays[0].shape).astype(dtype)[()]
        return of_arrays
    return of


def integral(f, edges):
    """Gauss-Legendre over the intervals between the edges, each an array with the edge of every element; `f` gets places on a last axis."""
    total = 0.0
    for low, high in pairwise(edges):
        if np.any(high > low):
            half = (high - low) / 2
            total = total + half * (f((low + half)[:, None] + half[:, None] * NODES) @ WEIGHTS)
    return total


def of_exponential(n, m, slopes):
    """The derivative of exp(h(a, b)), n times by a and m times by b, divided by exp(h): a Bell polynomial in h's own, ``slopes[i, j]``."""
    if n:
        return sum(comb(n - 1, i) * comb(m, j) * slopes[i + 1, j] * of_exponential(n - 1 - i, m - j, slopes) for i in range(n) for j in range(m + 1))
    return sum(comb(m - 1, j) * slopes[0, j + 1] * of_exponential(0, m - 1 - j, slopes) for j in range(m)) if m else 1.0


def psi_n(n, x):
    """The n-th derivative of psi, of arrays as of Tensors."""
    return (-1.0) ** (n + 1) * factorial(n) * special.zeta(n + 1, x) if n else special.psi(x)


# ---- parts ---------------------------------------------------------------------------------------------------------------------------------

def stirling(a):
    """gammaln(a) less (a - 1/2) log(a) - a + log(2 pi) / 2, for a >= 10 (DLMF 5.11.1)."""
    return horner(STIRLING, 1 / (a * a)) / a


def log_less(x, off):
    """log(x) - off, where off is x - 1: near 1 by the series of 2 artanh(r) with r = off / (2 + off)."""
    r = np.where(np.abs(off) < 0.3, off / (2 + off), 0)
    series = 2 * r * r * horner([1 / (2 * k + 3) for k in range(10)], r * r)
    return np.where(np.abs(off) < 0.3, r * (series - off), np.log(x) - off)


@elementwise(1)
def gamma_weight(k, a, x):
    """x**(a - k) exp(-x) / gamma(a), k = 0, 1...; for large a by the deviation from the largest value, where nothing cancels."""
    large = a >= 20
    b = np.where(large, a, 20)
    high = np.exp(b * log_less(x / b, (x - b) / b) - stirling(b)) * np.sqrt(b / (2 * pi)) / x**k
    return np.where(large, np.where(x == 0, 0, high), np.exp(special.xlogy(a - k, x) - x) * special.rgamma(a))


@elementwise(2)
def beta_weight(j, k, a, b, x):
    """x**(a - j) (1 - x)**(b - k) / B(a, b); for large a and b by the deviation from the largest value (Loader 2000)."""
    large, y = np.minimum(a, b) >= 10, 1 - x
    c, d = np.where(large, a, 10), np.where(large, b, 10)
    off = x * d - y * c
    high = c * log_less(x * (c + d) / c, off / c) + d * log_less(y * (c + d) / d, -off / d) + stirling(c + d) - stirling(c) - stirling(d)
    high = np.exp(high) * np.sqrt(c * d / (2 * pi * (c + d))) / x**j / y**k
    low = np.exp(special.xlogy(a - j, x) + special.xlog1py(b - k, -x) - special.betaln(a, b))
    return np.where(large, np.where((x == 0) | (y == 0), 0, high), low)


def psi_rise(x, y):
    """psi(x + y) - psi(x), exact also where y is small beside x: 10 steps up, then the asymptotic series (DLMF 5.5.2 and 5.11.2)."""
    positive = (x > 0) & (x + y > 0)
    a, b, total = np.where(positive, x, 1), np.where(positive, y, 0), 0.0
    for _ in range(10):
        total = total + b / a / (a + b)
        a = a + 1
    rise = np.log1p(b / a)
    inverse, fall = 1 / (a * a), np.expm1(-2 * rise)  # a**(-2k) and (a + b)**(-2k) / a**(-2k) - 1
    power, less = inverse, fall
    total = total + rise + b / (2 * a * (a + b))
    for k, bernoulli in enumerate(BERNOULLI[:8], 1):
        total = total - bernoulli / (2 * k) * power * less
        power, less = power * inverse, less + fall + less * fall
    return np.where(positive, total, special.psi(x + y) - special.psi(x))


# ---- incomplete gamma function -------------------------------------------------------------------------------------------------------------

def gamma_slopes(n, a, first):
    """The derivatives by a, up to the n-th, of the logarithm of t**(a-1) / gamma(a), of which the first is given."""
    return {(1, 0): first} | {(k, 0): -psi_n(k - 1, a) for k in range(2, n + 1)}


@elementwise(1)
def gammainc_n(n, a, x):
    """The n-th derivative of gammainc(a, x) by a, n >= 1: the integral from 0 to x, or minus that from x on, of that of the integrand.

    The integrand t**(a-1) exp(-t) / gamma(a) gets the factor log(t) - psi(a) for n = 1, which changes its sign at t = exp(psi(a)). The
    integral on the side of x is taken that has no change of sign, so that nothing cancels, over v = log(t / x): the logarithm of the
    integrand is concave there.
    """
    valid = (x > 0) & (x < np.inf) & (a >= 0) & (a < np.inf)
    a, x = np.where(valid, np.maximum(a, 1e-290), 1), np.where(valid, x, 1)  # 0 has the limit
    start = np.log(x)
    below = start < special.psi(a)

    b = 2 * (a - x) - FAR  # the root of a quadratic, where a*v + x*expm1(-v) is more than FAR
    root = np.sqrt(b * b + 8 * FAR * a)
    left = np.where(b > 0, 4 * FAR / (b + root), (root - b) / (2 * a))

    cuts = [np.maximum(cut - start, 0) for cut in (-32, -14, -4)]  # from where exp(-t) begins to matter
    t = np.maximum(x, np.exp(-4.0))
    right = 2 * (FAR + 3) / (t - a + np.sqrt((t - a) ** 2 + 2 * (FAR + 3) * t))
    for _ in range(4):
        right = np.log1p((FAR + 3 + a * right) / t)
    edges = [np.where(below, -left, 0), *(np.where(below, 0, edge) for edge in (0 * x, *cuts, cuts[-1] + right))]

    a, x, start = a[:, None], x[:, None], start[:, None]
    slopes, first = gamma_slopes(n, a, 0.0), start - special.psi(a)
    def integrand(v): return np.exp(a * v - x * np.expm1(v)) * of_exponential(n, 0, slopes | {(1, 0): first + v})
    total = np.where(below, 1, -1) * gamma_weight(0, a[:, 0], x[:, 0]) * integral(integrand, edges)
    return np.where(valid, total, 0)


# ---- incomplete beta function --------------------------------------------------------------------------------------------------------------

def beta_slopes(n, m, a, b, first):
    """The derivatives, up to n times by a and m times by b, of the logarithm of t**(a-1) (1-t)**(b-1) / B(a, b); `first` has those of order 1."""
    slopes = {(i, j): psi_n(i + j - 1, a + b) for i in range(n + 1) for j in range(m + 1) if i + j > 1}
    for i in range(2, n + 1): slopes[i, 0] = slopes[i, 0] - psi_n(i - 1, a)
    for j in range(2, m + 1): slopes[0, j] = slopes[0, j] - psi_n(j - 1, b)
    return slopes | first


def log_mix(x, y, v):
    """log(y + x exp(v)) for y = 1 - x and v <= 0."""
    change = x * np.expm1(v)
    return np.where(change > -0.5, np.log1p(change), np.log(y + x * np.exp(v)))


@elementwise(2)
def betainc_n(n, m, a, b, x):
    """The derivative of betainc(a, b, x), n times by a and m times by b, n + m >= 1; see `gammainc_n`.

    The sign changes where log(t) = psi(a) - psi(a + b), for b where log(1 - t) = psi(b) - psi(a + b); the integral is over the logarithm of
    t / (1 - t). That from x on is the one from 0 to 1 - x with a and b exchanged.
    """
    valid = (x > 0) & (x < 1) & (a > 0) & (b > 0) & (a + b < np.inf)
    a, b, x = np.where(valid, a, 1), np.where(valid, b, 1), np.where(valid, x, 0.5)
    factor = np.where(valid, beta_weight(0, 0, a, b, x), 0)
    first = {(1, 0): np.log(x) + psi_rise(a, b), (0, 1): np.log1p(-x) + psi_rise(b, a)}
    fixed = {key: value[:, None] for key, value in beta_slopes(n, m, a, b, first).items()}
    above = first[1, 0] > 0 if n else first[0, 1] < 0
    start = np.log(x) - np.log1p(-x)
    a, b, x, y, start = (np.where(above, turned, p) for p, turned in ((a, b), (b, a), (x, 1 - x), (1 - x, x), (start, -start)))

    left = (FAR - (a + b) * np.log(y)) / a  # Newton's method from above, where a*v + (a + b) log(y + x exp(-v)) is FAR
    for _ in range(30):
        left = left - (a * left + (a + b) * log_mix(x, y, -left) - FAR) / (a - (a + b) / (1 + np.exp(left - start)))
    edges = [-left, *(np.clip(edge - start, -left, 0) for edge in (-32, -10, -3, 3, 10, 32)), 0 * x]

    a, b, x, y, above = a[:, None], b[:, None], x[:, None], y[:, None], above[:, None]
    def integrand(v):
        rest = log_mix(x, y, v)
        change = y * np.expm1(-v)
        log_t, log_rest = np.where(change < 1, -np.log1p(change), v - rest), -rest  # less their values at x
        slopes = fixed | {(1, 0): fixed[1, 0] + np.where(above, log_rest, log_t), (0, 1): fixed[0, 1] + np.where(above, log_t, log_rest)}
        weight = np.exp(np.where(x < 0.5, a * v - (a + b) * rest, (a + b) * log_t - b * v))  # the same, v being log_t + rest
        return weight * of_exponential(n, m, slopes)
    return np.where(above[:, 0], -1, 1) * factor * integral(integrand, edges)


# ---- zeta ----------------------------------------------------------------------------------------------------------------------------------

def product(p, q):
    """The product of two Taylor polynomials of the same length."""
    return [sum(p[i] * q[k - i] for i in range(k + 1)) for k in range(len(p))]


def euler_maclaurin(n, s, u):
    """The n-th derivative by s of the sum of (u + k)**-s over k = 0, 1... for large u (DLMF 25.11.7), by Taylor polynomials in s."""
    zeros = [0.0] * n
    power = [u**-s * (-np.log(u)) ** k / factorial(k) for k in range(n + 1)]
    inverse = [(-1) ** k * (s - 1) ** (-1.0 - k) for k in range(n + 1)]
    total = [u * first + second / 2 for first, second in zip(product(power, inverse), power, strict=True)]
    rising = power
    for j, bernoulli in enumerate(BERNOULLI, 1):  # power times s (s + 1) ... (s + 2j - 2)
        for i in range(max(2 * j - 3, 0), 2 * j - 1):
            rising = product(rising, [s + i, 1.0, *zeros][:n + 1])
        total = [t + bernoulli / factorial(2 * j) * r * u ** (1.0 - 2 * j) for t, r in zip(total, rising, strict=True)]
    return factorial(n) * total[n]


@elementwise(1)
def zeta_n(n, s, q):
    """The n-th derivative by s of zeta(s, q), real or complex: so many terms that q + k is large beside s, then Euler and Maclaurin."""
    steps = np.maximum(np.ceil(12 + np.minimum(np.abs(np.real(s)), 40) + np.abs(np.imag(s)) - np.real(q)), 0)
    total = 0.0
    for k in range(int(np.max(steps, initial=0, where=np.isfinite(steps)))):
        u = np.where(k < steps, q + k, 1)
        total = total + np.where(k < steps, u**-s * (-np.log(u)) ** n, 0)
    return total + euler_maclaurin(n, s, q + steps)


def cotangent_n(n, z):
    """The n-th derivative of cot(pi z), n >= 1: 1 + cot**2, which is small far from the real axis, times a polynomial in cot."""
    r = np.array([-pi])
    for _ in range(n - 1):
        r = -pi * polynomial.polyadd(polynomial.polymul([0, 2], r), polynomial.polymul([1, 0, 1], polynomial.polyder(r)))
    far = np.abs(np.imag(z)) > 30
    z = np.where(far, 0.5, z)
    return np.where(far, 0, np.sin(pi * z) ** -2 * polynomial.polyval(1 / np.tan(pi * z), r))


@elementwise(1)
def psi_n_complex(n, z):
    """The n-th derivative of psi, n >= 1, for complex z; where re(z) < 0 by reflection (DLMF 5.15.6)."""
    left = np.real(z) < 0
    right = (-1) ** (n + 1) * factorial(n) * zeta_n(0, n + 1.0, np.where(left, 1 - z, z))
    return np.where(left, (-1) ** n * right - cotangent_n(n, np.where(left, z, 0.5)) * pi, right)


# ---- Bessel functions by their order -------------------------------------------------------------------------------------------------------

@cache
def difference(n, reach=13):
    """The weights of f(-reach) ... f(reach) in the n-th derivative at 0 of the polynomial through these values."""
    places = range(-reach, reach + 1)
    weights = []
    for j in places:
        one = [Fraction(1)]  # the polynomial that is 1 at j and 0 at the other places, lowest power first
        for k in places:
            if k != j:
                one = [(low - k * high) / (j - k) for low, high in zip([0, *one], [*one, 0], strict=True)]
        weights.append(float(one[n] * factorial(n)))
    return dict(zip(places, weights, strict=True))


@elementwise(2)
def by_order(n, function, v, z):
    """The n-th derivative by v of a Bessel function: a central difference of order 26.

    Bessel functions are entire functions of the order that grow like abs(2 v / z)**abs(v), so the step goes by the logarithm of that, and is a
    multiple of 2**-20, for v + j*step to be exact. What SciPy's values lack, 1e-16 to 1e-13 of their size, counts about step**-n times.
    """
    step = np.rint(0.65 / (2 + np.arcsinh(2 * (np.abs(v) + 1) / np.abs(z))) * 2**20) / 2**20
    total = sum(weight * function(v + j * step, z) for j, weight in difference(n).items() if weight) / step**n
    return np.where((z == 0) & (v > 0) & (function(v, z) == 0), 0, total)
