"""numpy.polynomial and np.poly1d: values bit for bit, first and second derivatives by finite differences."""

import pickle
from functools import partial
from operator import attrgetter

import numpy as np
import pytest
from helpers import leaf
from samples.shapes import layouts, values
from test_operations import Sample, close, gradients, inner_product, same, second_derivative, sizes, slope, value

import gradnerve as gn

pytestmark = pytest.mark.usefixtures("rows_return")

MODULES = {"polynomial": "poly", "chebyshev": "cheb", "legendre": "leg", "laguerre": "lag", "hermite": "herm", "hermite_e": "herme"}
KINDS = ["Polynomial", "Chebyshev", "Legendre", "Laguerre", "Hermite", "HermiteE"]


class Case(Sample):
    """A function of arrays: with NumPy's modules and classes, and with ours for Tensors."""

    def __init__(self, theirs, ours, args, kwargs):
        super().__init__("polynomial", args, kwargs)
        self.theirs, self.ours = theirs, ours

    def call(self, function, arrays):
        return super().call(self.ours if any(isinstance(a, gn.Tensor) for a in arrays) else self.theirs, arrays)

    def reference(self, arrays):
        return [np.asarray(out) for out in self.call(None, arrays)]


def check(case):
    """Values of tracked and untracked Tensors, first and second derivative along random directions."""
    expected = case.reference(case.arrays)
    for make in (leaf, gn.asarray):
        for found, out in zip(case.call(None, [make(a) for a in case.arrays]), expected, strict=True):
            same(value(found), out, layout=False)
    arrays = case.doubled()
    weights, one, two = case.draw(expected), case.draw(arrays), case.draw(arrays)
    first = gradients(case, arrays, weights)
    slopes = slope(lambda arrays: inner_product(weights, case.reference(arrays)), arrays, one)
    close(inner_product(first, one), slopes, sizes(first, one), sizes(weights, expected), 1e-9)
    second = second_derivative(case, arrays, weights, one)
    slopes = slope(lambda arrays: inner_product(one, gradients(case, arrays, weights)), arrays, two)
    close(inner_product(second, two), slopes, sizes(second, two), sizes(first, one), 1e-8)


# ---- functions ---------------------------------------------------------------------------------------------------------------------

x, y, z = (values(3, seed=k) for k in range(3))
c, d, w = values(4), layouts(3, seed=1)[2], np.abs(values(6, seed=2))
long, two = values(6, seed=3), values(6, 2, seed=4)
table, block = values(3, 2, seed=5), values(2, 3, 2, seed=6)
CALLS = {
    "val": [(x, c), (x, values(4, 2)), (x, values(4, 3), False), (0.5, c), (values(2, 3), c), (x, d), (values(2, dtype=np.complex128), c),
            (values(), c), (x, [1.0, 2.0]), (values(2, dtype=np.float32), values(3, dtype=np.float32))],
    "val2d": [(x, y, table)], "val3d": [(x, y, z, block)], "grid2d": [(x, values(2), table)], "grid3d": [(x, values(2), y, block)],
    "add": [(c, d), (d, c), (d, d), (c, [1.0]), ([1.0, 2.0, 3.0, 4.0], d), (c, values(2, dtype=np.complex128))],
    "sub": [(c, d), (d, c), ([1.0, 2.0, 3.0, 4.0], d)],
    "mul": [(c, d), (d, c), (c, values(1)), (values(2, dtype=np.complex128), d)], "mulx": [(c,), (values(1),)],
    "div": [(c, d), (c, values(1)), (d, c)], "pow": [(d, 3), (c, 1), (c, 2, 8)],
    "der": [(c,), (c, 2), (values(4, 2), 1, 2.0), (table, 1, 1, 1), (c, 1, values()), (c, 9), (values(4), 0)],
    "int": [(c,), (c, 2), (c, 2, [1.0, 2.0]), (c, 1, values(1)), (c, 1, [], values()), (c, 1, [], 0, values()), (table, 1, [], 0.5, 1, 1),
            (values(4), 0)],
    "fromroots": [(c,), (d,), (values(2, dtype=np.complex128),)], "roots": [(values(2),), (c,), (values(4, seed=7),)],
    "companion": [(c,), (values(2),), (values(3, dtype=np.complex128),)], "trim": [(c,), (c, 1e-3)],
    "line": [(values(), values(seed=1))], "vander": [(x, 3), (table, 2), (x, 0)], "vander2d": [(x, y, [2, 1])], "vander3d": [(x, y, z, [1, 2, 1])],
    "fit": [(long, long[::-1], 2), (long, two, 1), (long, long[::-1], [0, 2]), (long, long[::-1], 1, None, False, w)],
    "valfromroots": [(x, d), (x, values(2, 3), False)], "weight": [(x / 2,)],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("module", MODULES)
def test_functions(module, name):
    name = f"polynomial.{module}.{MODULES[module]}{name}"
    if hasattr(attrgetter(f"polynomial.{module}")(np), name.rpartition(".")[2]):
        for args in CALLS[name.rpartition(".")[2].removeprefix(MODULES[module])]:
            check(Case(attrgetter(name)(np), attrgetter(name)(gn), args, {}))


@pytest.mark.parametrize("module", list(MODULES)[1:])
def test_conversions_to_and_from_powers(module):
    short = MODULES[module]
    for name in (f"polynomial.{module}.{short}2poly", f"polynomial.{module}.poly2{short}"):
        check(Case(attrgetter(name)(np), attrgetter(name)(gn), (c,), {}))


def test_utilities():
    for name, args in [("mapdomain", (x, values(2), values(2, seed=1))), ("mapparms", (values(2), values(2, seed=1))), ("getdomain", (x,)),
                       ("trimcoef", (c, 1e-3)), ("as_series", ([c, d],)), ("trimseq", (c,))]:  # fmt: skip
        name = f"polynomial.polyutils.{name}"
        check(Case(attrgetter(name)(np), attrgetter(name)(gn), args, {}))


@pytest.mark.parametrize("module", MODULES)
def test_without_tensors_the_functions_are_numpys(module):
    ours, theirs = getattr(gn.polynomial, module), getattr(np.polynomial, module)
    for name, args in [("add", (c, d)), ("int", (c,)), ("companion", (c,)), ("roots", (c,)), ("val", (0.5, c)), ("gauss", (3,))]:
        if hasattr(theirs, MODULES[module] + name):
            found, expected = (getattr(package, MODULES[module] + name)(*args) for package in (ours, theirs))
            assert type(found) is type(expected)
            np.testing.assert_array_equal(found, expected)


# ---- classes -----------------------------------------------------------------------------------------------------------------------

WINDOW = {"domain": [0.0, 2.0], "window": [-1.0, 3.0]}
METHODS = {
    "evaluate": (lambda kind, c, x: kind(c)(x), c, x),
    "domain": (lambda kind, c, domain, window, x: kind(c, domain, window)(x), c, values(2), values(2, seed=1), x),
    "add": (lambda kind, c, d: (kind(c) + kind(d)).coef, c, d),
    "subtract": (lambda kind, c, d: (kind(d) - kind(c)).coef, c, d),
    "multiply": (lambda kind, c, d: (kind(c) * kind(d)).coef, c, d),
    "scale": (lambda kind, c, s: (s * kind(c) * s + s - 2 * kind(c) / 3.0).coef, c, values()),
    "arrays": (lambda kind, c, d: (d * kind(c) - d).coef, c, d),
    "floor_divide": (lambda kind, c, d: (kind(c) // kind(d)).coef, c, d),
    "divmod": (lambda kind, c, d: [p.coef for p in divmod(kind(c), kind(d))] + [(kind(c) % kind(d)).coef], c, d),
    "power": (lambda kind, d: (-kind(d) ** 3).coef, d),
    "derivative": (lambda kind, c: [kind(c, **WINDOW).deriv().coef, kind(c).deriv(2).coef], c),
    "integral": (lambda kind, c, k, low: [kind(c, **WINDOW).integ(2, k=k, lbnd=low).coef, kind(c).integ().coef], c, values(2), values()),
    "roots": (lambda kind, c: kind(c, **WINDOW).roots(), c),
    "fromroots": (lambda kind, d: [kind.fromroots(d).coef, kind.fromroots(d, domain=[0, 3])(0.5)], d),
    "fit": (lambda kind, x, y, w: [kind.fit(x, y, 2)(0.3), kind.fit(x, y, 1, domain=[-2, 2], w=w).coef], long, two[:, 0], w),
    "interpolate": (lambda kind, s: kind.interpolate(lambda x: np.exp(s * x), 3).coef if hasattr(kind, "interpolate") else s, values()),
    "convert": (lambda kind, c: [kind(c).convert(domain=[0, 1]).coef, kind(c).convert(window=[0, 1])(0.4)], c),
    "linspace": (lambda kind, c: kind(c, **WINDOW).linspace(4)[1], c),
    "parts": (lambda kind, c: [kind(c).truncate(2).coef, kind(c).cutdeg(1).coef, kind(c).trim(1e-3).coef, kind(c).copy().coef, *kind(c)], c),
    "composition": (lambda kind, c, d: kind(c)(kind(d)).coef, d, values(2)),
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_classes(kind, method):
    function, *arrays = METHODS[method]
    check(Case(*(partial(function, getattr(package.polynomial, kind)) for package in (np, gn)), arrays, {}))


@pytest.mark.parametrize("other", KINDS[1:])
def test_conversion_between_classes(other):
    for kind, target in [("Polynomial", other), (other, "Polynomial")]:
        kinds = [[getattr(package.polynomial, name) for name in (kind, target)] for package in (np, gn)]
        check(Case(*(lambda c, pair=pair: [pair[0](c).convert(kind=pair[1]).coef, pair[1].cast(pair[0](c)).coef] for pair in kinds), (c,), {}))


def test_classes_are_shown_compared_and_pickled():
    p = gn.polynomial.Polynomial(leaf([1.0, 2.0]))
    assert str(p) == str(np.polynomial.Polynomial([1.0, 2.0])) and "Tensor([1., 2.], dtype=float64, requires_grad=True" in repr(p)
    assert repr(gn.polynomial.Polynomial([1.0, 2.0])) == repr(np.polynomial.Polynomial([1.0, 2.0]))
    assert p == gn.polynomial.Polynomial([1.0, 2.0]) and p != gn.polynomial.Chebyshev([1.0, 2.0]) and len(p) == 2 and p.degree() == 1
    assert pickle.loads(pickle.dumps(gn.polynomial.Polynomial(gn.Tensor([1.0, 2.0])))).coef.tolist() == [1.0, 2.0]
    from gradnerve.polynomial.chebyshev import chebval

    assert chebval is gn.polynomial.chebyshev.chebval


def test_numpys_classes_refuse_tensors_and_name_ours():
    ours, theirs = gn.polynomial.Polynomial([1.0, 2.0]), np.polynomial.Polynomial([1.0, 2.0])
    c, x = leaf([1.0, 2.0]), leaf(0.5)
    for misuse in (lambda: np.polynomial.Polynomial(c), lambda: theirs(x), lambda: np.polynomial.polynomial.polyval(0.5, c)):
        with pytest.raises(TypeError, match=r"numpy\.polynomial.*gradient would be lost(.|\n)*gn\.polynomial"):
            misuse()
    assert (ours + theirs).coef.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="Polynomial types differ"):
        theirs + ours


@pytest.mark.parametrize("module", MODULES)
def test_numpys_functions_evaluate_at_a_tensor(module):
    function = getattr(getattr(np.polynomial, module), f"{MODULES[module]}val")
    check(Case(*[lambda x: function(x, [1.0, 2.0, 3.0])] * 2, (x,), {}))


# ---- np.poly1d ---------------------------------------------------------------------------------------------------------------------

POLY1D = {
    "evaluate": (lambda kind, p, x: kind(p)(x), c, x),
    "of roots": (lambda kind, p: kind(p, True).coeffs, c),
    "arithmetic": (lambda kind, p, q: (kind(p) * kind(q) - kind(q) + 2.0 * kind(p) / 3.0 - (-kind(q)) ** 2 + 1.0).coeffs, c, d),
    "division": (lambda kind, p, q: (kind(p) / kind(q))[0].coeffs, c, d),
    "calculus": (lambda kind, p: [kind(p).deriv().coeffs, kind(p).integ(2, k=[1.0, 2.0]).coeffs], c),
    "roots": (lambda kind, p: kind(p).roots, c),
    "composition": (lambda kind, p, q: kind(p)(kind(q)).coeffs, d, values(2)),
    "parts": (lambda kind, p: [kind(p)[1], *kind(p)], c),
    "functions": (lambda kind, p, q: [np.polyadd(kind(p), kind(q)).coeffs, np.polymul(kind(p), q).coeffs, np.sin(kind(p)), np.sum(kind(q))], c, d),
}


@pytest.mark.parametrize("name", POLY1D)
def test_poly1d(name):
    function, *arrays = POLY1D[name]
    check(Case(*(partial(function, package.poly1d) for package in (np, gn)), arrays, {}))


def test_poly1d_is_numpys():
    p = gn.poly1d(leaf([1.0, 2.0]))
    assert isinstance(p, np.poly1d) and isinstance(np.poly1d([1.0]), gn.poly1d) and isinstance(np.polyadd(np.poly1d([1.0]), p.coeffs), gn.poly1d)
    assert str(p) == str(np.poly1d([1.0, 2.0])) and repr(p).startswith("poly1d(Tensor([1., 2.]")
    assert (np.poly1d([1.0, 2.0]) * p).coeffs.tolist() == [1.0, 4.0, 4.0] and np.poly1d(leaf([1.0, 2.0]))(3.0).item() == 5.0
    p[0] = leaf(7.0)
    assert p.coeffs.tolist() == [1.0, 7.0]
    with pytest.raises(TypeError, match=r"would lose their gradient; use p\.coeffs"):
        np.asarray(p)
    assert np.asarray(gn.poly1d([1.0, 2.0])).tolist() == [1.0, 2.0]
