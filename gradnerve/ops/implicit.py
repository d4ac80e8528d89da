"""How random draws move with the parameters of their distribution: the derivatives behind gradnerve.random.

A draw x is a function of the parameter θ if its probability F(x; θ) is kept: dx/dθ = -(dF/dθ) / (dF/dx), whatever way x was
drawn (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018). Where F has no closed form, dF/dθ is the
integral of (dlog f/dθ) f over what lies below x, or, with the other sign, above it. On one of the two sides the integrand
has one sign, so that nothing cancels; we choose that side and integrate numerically, to about 1e-10. All is written with
functions that have derivatives, so that second derivatives need no thought.

Read next: ../random.py.
"""

import inspect
from functools import cache, wraps
from math import factorial, pi, prod

import numpy as np

from gradnerve.ops.define import op
from gradnerve.ops.elementwise import horner
from gradnerve.ops.network import softmax
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import astype, reshape, swapaxes
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import value

# --- integrals -------------------------------------------------------------------------------------------------------

LAST = 40.0  # where an exponential exp(-LAST) is nothing any more
MANY = 300  # from this many integrals on, one node after the other is faster and saves memory


@cache
def gauss(n=40):
    """Nodes and weights of Gauss and Legendre for the interval from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


def integral(f, end):
    """The integral of a smooth function from 0 to `end`, for every element of the array `end`."""
    nodes, weights = gauss()
    if end.size > MANY:
        total = 0.0
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            total = total + weight * f(node * end)
        return end * total
    nodes, weights = (x.reshape(-1, *[1] * end.ndim) for x in (nodes, weights))
    return end * sum(weights * f(nodes * end), 0)


def reach(exponent, slope, start):
    """Where a convex exponent reaches LAST: Newton's method."""
    for _ in range(5):
        start = start - (exponent(start) - LAST) / slope(start)
    return start


def doubles(*xs):
    """Arrays or Tensors in double precision."""
    xs = [x if hasattr(x, "dtype") else np.asarray(x) for x in xs]
    return [x if x.dtype == np.float64 else astype(x, np.float64) for x in xs]


def in_blocks(slope, block=4096):
    """Decorator: of large arrays, a part at a time, which stays in the cache."""

    @wraps(slope)
    def blocked(*xs):
        shape = np.broadcast_shapes(*map(np.shape, xs))
        if prod(shape) <= block or any(hasattr(x, "requires_grad") for x in xs):
            return slope(*xs)
        xs = [np.broadcast_to(x, shape).reshape(-1) for x in xs]
        return np.concatenate([slope(*(x[k:k + block] for x in xs)) for k in range(0, prod(shape), block)]).reshape(shape)

    return blocked


# --- the gamma function ----------------------------------------------------------------------------------------------

SHIFT, BERNOULLI = 16, [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6]


def log_gamma_slope(x, order=0):
    """The derivative of log Γ at x > 0 (digamma), or the derivative of that of the given order (polygamma), by Stirling's series."""
    n, z = order, x + float(SHIFT)
    series = [b * factorial(2 * k + n - 1) / factorial(2 * k) for k, b in enumerate(BERNOULLI, 1)]
    first = factorial(n - 1) * z**-n if n else -np.log(z)
    terms = factorial(n) / 2 / z + horner(series, z**-2.0) / (z * z)
    shifted = 0.0
    for k in range(SHIFT):
        shifted = shifted + factorial(n) * (x + float(k)) ** -(n + 1.0)
    return (-1) ** (n + 1) * (first + terms * z ** -float(n) + shifted)


log_gamma_slope = op(log_gamma_slope, x=lambda g, x, order: g * log_gamma_slope(x, order + 1))


# --- slopes of draws -------------------------------------------------------------------------------------------------


@in_blocks
def gamma_slope(x, a):
    """How a draw x of the gamma distribution of shape a moves with a.

    With t = x exp(-w) below and x exp(w) above, the integrand is (gap + w) exp(-exponent); below, the first term of its series in
    x comes before the integral, for shapes near 0.
    """
    x, a = doubles(x, a)
    inside = (value(x) > 0) & (value(a) > 0)
    x, a = select(inside, x, 1.0), select(inside, a, 1.0)
    below = value(x) < value(a) + 1
    sign = np.where(below, 1.0, -1.0)
    shape = a + below
    X, A = value(x), value(shape)
    end = reach(lambda w: sign * A * w + X * np.expm1(-sign * w), lambda w: sign * (A - X * np.exp(-sign * w)),
                np.minimum(np.sqrt(2 * LAST) / np.sqrt(X), (LAST + X) / A))  # fmt: skip
    gap = sign * (log_gamma_slope(shape) - np.log(x))
    area = x * integral(lambda w: (gap + w) * np.exp(-sign * shape * w - x * np.expm1(-sign * w)), end)
    return select(inside, select(below, x / a * (gap + area), area), 0.0)


@in_blocks
def logit_slope(x, y, a, b):
    """How log(x / y) moves with a, where x is a draw of the beta distribution of a and b, and y = 1 - x.

    The nearer end of the interval is at distance u from x, the other one at v; t comes near it as u exp(-w).
    """
    x, y, a, b = doubles(x, y, a, b)
    inside = (value(x) > 0) & (value(y) > 0) & (value(a) > 0) & (value(b) > 0)
    x, y, a, b = (select(inside, number, 0.5) for number in (x, y, a, b))
    below = value(x) * (value(b) + 1) < value(y) * (value(a) + 1)
    sign = np.where(below, 1.0, -1.0)
    odds = select(below, x, y) / select(below, y, x)
    near, far = select(below, a, b), select(below, b, a)
    R, A, B = value(odds), value(near) + 1, value(far) - 1
    stretch = lambda w, odds: np.log1p(-odds * np.expm1(-w))  # log of how much longer the way to the other end is
    bend = np.maximum(B, 1e-3) * R * (1 + R)
    end = reach(lambda w: A * w - B * stretch(w, R), lambda w: A - B * R * np.exp(-w) / (1 - R * np.expm1(-w)),
                np.minimum(np.sqrt(2 * LAST) / np.sqrt(bend), (LAST + np.maximum(B, 0) * np.log1p(R)) / A))  # fmt: skip
    score = log_gamma_slope(a + below) - np.log(x)
    first, gap = (sign * (score - log_gamma_slope(a + b + k)) for k in (0, 1))

    def integrand(w):
        longer = stretch(w, odds)
        return (gap + select(below, w, longer)) * np.exp((far - 1) * longer - (near + 1) * w)

    return select(inside, (first + odds * (a + b) * integral(integrand, end)) / near, 0.0)


@in_blocks
def tail_ratio(z):
    """What is left of the standard normal distribution beyond z >= 0, over its density there: Mills' ratio."""
    end = 2 * LAST / (np.sqrt(value(z) ** 2 + 2 * LAST) + value(z))
    return integral(lambda w: np.exp(-w * (z + w / 2)), end)


@in_blocks
def angle_slope(x, kappa):
    """How a draw x of the von Mises distribution around 0 moves with kappa: towards 0."""
    x, kappa = doubles(x, kappa)
    size, K = abs(x), np.maximum(value(kappa), 1e-300)
    versed = lambda angle: 2 * np.sin(angle / 2) ** 2  # 1 - cos
    whole = 2 * np.arcsin(np.sqrt(np.minimum(LAST / 2 / K, 1)))
    mean = integral(lambda w: versed(w) * np.exp(-kappa * versed(w)), whole) / integral(lambda w: np.exp(-kappa * versed(w)), whole)
    outer = versed(value(size)) > value(mean)
    sign = np.where(outer, 1.0, -1.0)
    last = 2 * np.arcsin(np.sqrt(np.minimum(LAST / 2 / K + versed(value(size)) / 2, 1)))

    def integrand(w):
        t = size + sign * w
        return (versed(t) - mean) * np.exp(-2 * kappa * np.sin((size + t) / 2) * np.sin(sign * w / 2))

    return -np.sign(value(x)) * sign * integral(integrand, select(outer, last - size, size))


def triangle_parts(out, left, mode, right):
    """Whether a draw is on the left side, and its distance to that side's end, over twice the whole width and twice the side's."""
    below = value(out) <= value(mode)
    distance, side = select(below, out - left, right - out), select(below, mode - left, right - mode)
    return below, distance / (2 * (right - left)), distance / (2 * select(value(side) > 0, side, 1.0))


# --- mixtures --------------------------------------------------------------------------------------------------------


def mixture(product, a, b=None):
    """The numbers j, in a first axis, and the probability of each, given a draw of a noncentral distribution.

    Such a draw is one of the central distribution with a + j in place of a, where j comes from Poisson's distribution: the probability
    of j + 1 is that of j times product / (j + 1) / (a + j), times (a + b + j) if there is b. Around its largest value it falls at
    least as fast as Poisson's.
    """
    P, A = value(product), value(a)
    half = (A - (0 if b is None else P)) / 2
    top = np.fmax(np.sqrt(half * half + P * (1 if b is None else A + value(b))) - half, 0)
    first, last = (top - 9 * np.sqrt(top)).min(initial=np.inf), (top + 9 * np.sqrt(top) + 30).max(initial=1.0)
    j = np.arange(max(0, int(min(first, last))), int(last) + 1).reshape(-1, *[1] * np.ndim(top))
    ratios = product / ((j + 1) * (a + j)) * (1 if b is None else a + b + j)
    logs = np.cumsum(np.log(select(value(ratios) > 0, ratios, 1e-300)), 0)
    return j, softmax(np.concatenate([np.zeros_like(value(logs[:1])), logs[:-1]]), 0)


def noncentral_gamma(out, df, nonc):
    out, df, nonc = doubles(out, df, nonc)
    return (out / 2, df / 2, *mixture(out * nonc / 4, df / 2))


def noncentral_beta(out, dfnum, dfden, nonc):
    out, dfnum, dfden, nonc = doubles(out, dfnum, dfden, nonc)
    x, y = beta_of(out, dfnum, dfden)
    return (x, y, dfnum / 2, dfden / 2, *mixture(x * nonc / 2, dfnum / 2, dfden / 2))


def beta_of(out, dfnum, dfden):
    """A draw of F as one of the beta distribution, and its distance to 1."""
    whole = dfnum * out + dfden
    return dfnum * out / whole, dfden / whole


# --- lines -----------------------------------------------------------------------------------------------------------


def log_of(out):
    """The logarithm, and 0 where there is none: a draw that is 0 to all digits does not move."""
    return np.log(select(value(out) > 0, out, 1.0))


def noise(out, mean, sigma):
    """What was drawn of the standard normal distribution; with sigma 0 that is not known, and 0 stands for it: its mean."""
    return select(value(sigma) > 0, (log_of(out) - mean) / select(value(sigma) > 0, sigma, 1.0), 0.0)


def wald_part(out, mean, scale):
    """Twice the tail of the inverse Gaussian distribution's second term, over mean and density."""
    out = select(value(out) > 0, out, 1e-300)
    return 2 / mean * np.sqrt(out**3 / scale) * tail_ratio(np.sqrt(scale / out) * (out / mean + 1))


def left_line(g, out, left, mode, right):
    below, of_width, of_side = triangle_parts(out, left, mode, right)
    return g * select(below, 1 - of_width - of_side, of_width)


def right_line(g, out, left, mode, right):
    below, of_width, of_side = triangle_parts(out, left, mode, right)
    return g * select(below, of_width, 1 - of_width - of_side)


def dirichlet_line(g, out, alpha):
    """Element i is a draw of the beta distribution; where it moves, the others shrink in proportion (Jankowiak and Obermeyer, 2018)."""
    slopes = logit_slope(out, 1 - out, alpha, sum(alpha, -1, keepdims=True) - alpha)
    return out * slopes * (g - sum(g * out, -1, keepdims=True))


def t_line(g, out, df):
    """The square of `out` is a draw of F with one degree of freedom in the numerator."""
    x, y = beta_of(out * out, 1.0, df)
    return g * out / 2 * (1 / df - logit_slope(y, x, df / 2, 0.5) / 2)


def dfnum_line(g, out, dfnum, dfden):
    x, y = beta_of(out, dfnum, dfden)
    return g * out * (logit_slope(x, y, dfnum / 2, dfden / 2) / 2 - 1 / dfnum)


def dfden_line(g, out, dfnum, dfden):
    x, y = beta_of(out, dfnum, dfden)
    return g * out * (1 / dfden - logit_slope(y, x, dfden / 2, dfnum / 2) / 2)


def noncentral_df_line(g, out, df, nonc):
    x, a, j, weights = noncentral_gamma(out, df, nonc)
    return g * sum(weights * gamma_slope(x, a + j), 0)


def noncentral_nonc_line(g, out, df, nonc):
    x, a, j, weights = noncentral_gamma(out, df, nonc)
    return g * x * sum(weights / (a + j), 0)


def noncentral_dfnum_line(g, out, dfnum, dfden, nonc):
    x, y, a, b, j, weights = noncentral_beta(out, dfnum, dfden, nonc)
    return g * out * (sum(weights * logit_slope(x, y, a + j, b), 0) / 2 - 1 / dfnum)


def noncentral_dfden_line(g, out, dfnum, dfden, nonc):
    x, y, a, b, j, weights = noncentral_beta(out, dfnum, dfden, nonc)
    return g * out * (1 / dfden - sum(weights * logit_slope(y, x, b, a + j), 0) / 2)


def noncentral_f_nonc_line(g, out, dfnum, dfden, nonc):
    _, _, a, _, j, weights = noncentral_beta(out, dfnum, dfden, nonc)
    return g * out / 2 * sum(weights / (a + j), 0)


def cov_line(g, out, mean, cov):
    """A factor A of cov may change by any dA with dA A^T + A dA^T = dcov. We take the one that has no eigenvectors in it.

    With the pseudoinverse I of cov and the projection P = cov I onto where draws lie, the draw moves by (1 - P/2) dcov I (out - mean).
    """
    mean, cov = doubles(mean, cov)
    n = cov.shape[0]
    inverse = np.linalg.pinv(cov, 10 * n * np.finfo(float).eps, True)
    moved, g = reshape(out - mean, (-1, n)) @ inverse, reshape(g, (-1, n))
    line = swapaxes(g - g @ (inverse @ cov) / 2, 0, 1) @ moved
    return (line + swapaxes(line, 0, 1)) / 2


# --- the table -------------------------------------------------------------------------------------------------------


def pathwise(name, **lines):
    """An operation that calls its first argument, `draw`, with the parameters of a distribution, and has a line for each of them."""

    def sample(draw, *parameters):
        return draw(*parameters)

    sample.__name__ = f"random.{name}"
    sample.__signature__ = inspect.Signature([inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in ("draw", *lines)])
    return op(sample, **lines)


# fmt: off
lognormal      = pathwise("lognormal",      mean=lambda g, out: g * out,
                                            sigma=lambda g, out, mean, sigma: g * out * noise(out, mean, sigma))
weibull        = pathwise("weibull",        a=lambda g, out, a: -g * out * log_of(out) / a)
power          = pathwise("power",          a=lambda g, out, a: -g * out * log_of(out) / a)
pareto         = pathwise("pareto",         a=lambda g, out, a: -g * (1 + out) * np.log1p(out) / a)
triangular     = pathwise("triangular",     left=left_line, mode=lambda g, out, left, mode, right: g * triangle_parts(out, left, mode, right)[2],
                                            right=right_line)
wald           = pathwise("wald",           mean=lambda g, out, mean, scale: g * wald_part(out, mean, scale) * scale / mean,
                                            scale=lambda g, out, mean, scale: g * (out / scale - wald_part(out, mean, scale)))
standard_gamma = pathwise("standard_gamma", shape=lambda g, out, shape: g * gamma_slope(out, shape))
beta           = pathwise("beta",           a=lambda g, out, a, b: g * out * (1 - out) * logit_slope(out, 1 - out, a, b),
                                            b=lambda g, out, a, b: -g * out * (1 - out) * logit_slope(1 - out, out, b, a))
dirichlet      = pathwise("dirichlet",      alpha=dirichlet_line)
standard_t     = pathwise("standard_t",     df=t_line)
f              = pathwise("f",              dfnum=dfnum_line, dfden=dfden_line)
vonmises       = pathwise("vonmises",       mu=lambda g: g,
                                            kappa=lambda g, out, mu, kappa: g * angle_slope(np.remainder(out - mu + pi, 2 * pi) - pi, kappa))
noncentral_chisquare = pathwise("noncentral_chisquare", df=noncentral_df_line, nonc=noncentral_nonc_line)
noncentral_f         = pathwise("noncentral_f", dfnum=noncentral_dfnum_line, dfden=noncentral_dfden_line, nonc=noncentral_f_nonc_line)
multivariate_normal  = pathwise("multivariate_normal", mean=lambda g: g, cov=cov_line)
# fmt: on
