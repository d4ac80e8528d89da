"""Special functions: all of `scipy.special`, with derivatives for those that are named in `__all__`.

SciPy's ufuncs, as `erf`, take Tensors as they are; its Python functions, as `logsumexp`, are here once more, with the same arguments. The
derivatives are by all continuous arguments, real or complex:

- of `gammainc` and `gammaincc` by `a`, and of `betainc` by `a` and `b`, by integrals in which nothing cancels: to ten digits at least;
- of `zeta` by both arguments;
- of Bessel functions by their order, for a positive or complex argument, by differences of order 26: the error is some 1e-12 of the
  function's own size in the neighbourhood of the order (not of the derivative's). `jn` is `jv`, as in SciPy.

Whole numbers (`n` of `yn` and `polygamma`, `d` of `multigammaln`) have no gradient: a tracked one is a TypeError, and so is a tracked
argument of any other function of SciPy's.

>>> from gradnerve import Tensor, special
>>> x = Tensor([-30.0, 0.0], requires_grad=True)
>>> special.log_ndtr(x).sum().backward()
>>> x.grad
array([30.03325967,  0.79788456])

Read next: ops/special.py, where the derivatives are.
"""

import numpy as np

try:
    from scipy.special import *  # noqa: F403
except ImportError as error:
    raise ImportError('gradnerve.special needs SciPy: pip install "gradnerve[special]"') from error

from gradnerve._engine import TensorBase
from gradnerve.ops import special as _ops
from gradnerve.ops.reductions import sum as _sum
from gradnerve.ops.shapes import stack as _stack

__all__ = list("""
    beta betainc betaln dawsn digamma entr erf erfc erfcinv erfcx erfinv exp1 expi expit expm1 gamma gammainc gammaincc gammaln gammasgn i0
    i0e i1 i1e iv ive j0 j1 jn jv k0 k0e k1 k1e kl_div kv kve log1p log_expit log_ndtr log_softmax logit logsumexp multigammaln ndtr ndtri
    polygamma psi rel_entr rgamma sici sinc softmax xlog1py xlogy y0 y1 yn yv zeta """.split())  # fmt: skip


def polygamma(n, x):
    """The n-th derivative of `psi`, for whole numbers n >= 0; differentiable in real x.

    >>> polygamma(1, np.array([2.0, 3.0]))
    array([0.64493407, 0.39493407])
    """
    _ops.refuse_tracked("polygamma", n)
    return _ops.polygamma(n, x)


def multigammaln(a, d):
    """The logarithm of the gamma function of d-by-d matrices: log(pi) d (d - 1) / 4 and the sum of gammaln(a - j / 2) over j < d.

    Raises ValueError where a is not greater than (d - 1) / 2.

    >>> multigammaln(np.array([3.0, 4.0]), 1)
    array([0.69314718, 1.79175947])
    """
    _ops.refuse_tracked("multigammaln", d)
    constant = _ops.sp.multigammaln(_ops.value(a), _ops.value(d))
    if not isinstance(a, TensorBase):
        return constant
    d = _ops.value(d)
    return d * (d - 1) * 0.25 * np.log(np.pi) + _sum(_ops.gammaln(_stack([a - (j - 1.0) / 2 for j in range(1, d + 1)])), 0)


def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):
    """log(sum(b * exp(a))) without overflow, along one axis, some or all; differentiable in a and b, real or complex.

    b            factors, which broadcast with a; where one is 0, a is left out, also if it is infinite
    return_sign  give the logarithm of the sum's absolute value, and its sign or phase

    >>> logsumexp(np.array([[1000.0, 1000.0], [0.0, 0.0]]), axis=1)
    array([1.00069315e+03, 6.93147181e-01])
    """
    if return_sign:
        return _ops.log_size(a, axis, b, keepdims), _ops.sum_sign(a, axis, b, keepdims)
    return _ops.log_sum(a, axis, b, keepdims)


def softmax(x, axis=None):
    """exp(x) / sum(exp(x)) along one axis, some, or all, which is the default in SciPy.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return _ops.softmax(x, axis)


def log_softmax(x, axis=None):
    """log(softmax(x)), exact also where the softmax is 0 or 1.

    >>> log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    return _ops.log_softmax(x, axis)
