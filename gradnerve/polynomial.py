"""Polynomials: all of `numpy.polynomial`, for Tensors as coefficients and as arguments.

It is NumPy's own code (ops/borrowed.py): ``gn.polynomial.Polynomial(t)``, ``gn.polynomial.chebyshev.chebval(x, c)``. NumPy's own classes
refuse Tensors; its own functions may take one as `x`, but then broadcast coefficients of several axes in another way than for an array.

Read next: ops/polynomials.py.
"""

import sys

import numpy as np

from gradnerve.ops.borrowed import borrowed_module

__all__ = ["Chebyshev", "Hermite", "HermiteE", "Laguerre", "Legendre", "Polynomial", "chebyshev", "hermite", "hermite_e", "laguerre", "legendre",
           "polynomial", "polyutils", "set_default_printstyle"]  # fmt: skip

MODULES = "polyutils", "polynomial", "chebyshev", "legendre", "laguerre", "hermite", "hermite_e"

polyutils, polynomial, chebyshev, legendre, laguerre, hermite, hermite_e = (borrowed_module(f"numpy.polynomial.{name}") for name in MODULES)
sys.modules.update({f"{__name__}.{name}": globals()[name] for name in MODULES})

Polynomial, Chebyshev, Legendre = polynomial.Polynomial, chebyshev.Chebyshev, legendre.Legendre
Laguerre, Hermite, HermiteE = laguerre.Laguerre, hermite.Hermite, hermite_e.HermiteE
poly1d = borrowed_module("numpy.lib._polynomial_impl").poly1d
_Base = polynomial.ABCPolyBase


def _repr(self):
    """As NumPy's, and with all that a Tensor says of itself."""
    coef, domain, window = (repr(x)[6:-1] if isinstance(x, np.ndarray) else repr(x) for x in (self.coef, self.domain, self.window))
    return f"{type(self).__name__}({coef}, domain={domain}, window={window}, symbol='{self.symbol}')"


_Base.__repr__ = _repr
for _kind in (Polynomial, Chebyshev, Legendre, Laguerre, Hermite, HermiteE):
    _kind.__module__ = __name__
    _kind.register(getattr(np.polynomial, _kind.__name__))  # which our arithmetic may meet
    np.polynomial.polynomial.ABCPolyBase.register(_kind)  # NumPy's refuses ours, which it would else take for a coefficient


def set_default_printstyle(style):
    """Print polynomials in "unicode" or in "ascii", NumPy's and ours.

    >>> set_default_printstyle("ascii")
    >>> print(Polynomial([1, 2]))
    1.0 + 2.0 x
    >>> set_default_printstyle("unicode")
    """
    np.polynomial.set_default_printstyle(style)
    _Base._use_unicode = np.polynomial.polynomial.ABCPolyBase._use_unicode
