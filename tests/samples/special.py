"""Samples of gradnerve.special; none where SciPy is missing. What a sample file holds is said in elementwise.py."""

import importlib.util
from functools import partial

import numpy as np

from .elementwise import RIGHT, SMALL, WIDE, at, away, c64, c128, drawer, f16, f32, f64, generator, layouts, pairs, plane, spread, strided_pairs
from .shapes import BOX, values
from .shapes import layouts as in_memory

inf, ROOT_PI = np.inf, np.sqrt(np.pi)
UNIT = spread(0.1, 0.9)
UPPER_HALF = plane(spread(-2, 2), spread(0.5, 2))
ORDER = spread(-2, 3)         # of Bessel functions, at arguments where SciPy's values have all their digits, which finite differences need
BESSEL   = ORDER, spread(0.5, 1.9), ORDER, RIGHT
BESSEL_K = ORDER, spread(2.1, 4), ORDER, plane(spread(2.1, 4), away(0.3, 1.5))
BESSEL_Y = spread(0.2, 3), spread(2.1, 4), ORDER, RIGHT

UNARY = {                     # real domain, complex domain (None: SciPy has none)
    "erf":      (spread(-2, 2),      SMALL), "erfc":      (spread(-2, 2),      SMALL), "erfcx":     (spread(-1.5, 12),   RIGHT),
    "erfinv":   (spread(-0.9, 0.9),  None),  "erfcinv":   (spread(0.1, 1.9),   None),  "dawsn":     (spread(-12, 12),    SMALL),
    "ndtr":     (spread(-2, 2),      SMALL), "log_ndtr":  (spread(-9, 2),      SMALL), "ndtri":     (UNIT,               None),
    "expit":    (spread(-4, 4),      None),  "logit":     (UNIT,               None),  "log_expit": (spread(-9, 4),      None),
    "expm1":    (spread(-2, 2),      WIDE),  "log1p":     (spread(-0.6, 3),    RIGHT), "entr":      (spread(0.2, 3),     None),
    "expi":     (away(0.3, 3),       UPPER_HALF),                                      "exp1":      (spread(0.3, 4),     UPPER_HALF),
    "gamma":    (spread(0.6, 4),     RIGHT), "rgamma":    (spread(-2.4, 3),    RIGHT), "gammaln":   (spread(0.5, 5),     None),
    "gammasgn": (spread(-0.8, -0.2), None),  "psi":       (spread(0.4, 5),     WIDE),  "j0":        (spread(-8, 8),      None),
    "j1":       (spread(-8, 8),      None),  "y0":        (spread(0.6, 9),     None),  "y1":        (spread(0.6, 9),     None),
    "i0":       (spread(-4, 4),      None),  "i1":        (spread(-4, 4),      None),  "k0":        (spread(0.4, 4),     None),
    "k1":       (spread(0.4, 4),     None),  "i0e":       (away(0.3, 30),      None),  "i1e":       (away(0.3, 30),      None),
    "k0e":      (spread(0.4, 30),    None),  "k1e":       (spread(0.4, 30),    None),
}
BINARY = {                    # domains of both arguments
    "xlogy":    (away(0.2, 2), spread(0.3, 4),  WIDE, RIGHT), "xlog1py":   (away(0.2, 2), spread(-0.6, 3), WIDE, RIGHT),
    "rel_entr": (spread(0.3, 3), spread(0.3, 3), None, None), "kl_div":    (spread(0.3, 3), spread(0.3, 3), None, None),
    "beta":     (spread(0.4, 4), spread(0.4, 4), None, None), "betaln":    (spread(0.4, 4), spread(0.4, 4), None, None),
    "gammainc": (spread(0.4, 4), spread(0.3, 5), None, None), "gammaincc": (spread(0.4, 4), spread(0.3, 5), None, None),
    "jv":       BESSEL, "iv": BESSEL, "ive": BESSEL, "kv": BESSEL_K, "kve": BESSEL_K, "yv": BESSEL_Y,
}
SHAPES = [((), ()), ((1,), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((3,), ()), ((2, 3), (2, 3))]


def unary(name):
    rng = generator(name)
    real, complex_ = UNARY[name]
    arrays = [a for dtype in (f64, f32) for a in layouts(drawer(rng, real, dtype))] + [drawer(rng, real, f16)((3,))]
    if complex_:
        arrays += [*layouts(drawer(rng, complex_, c128)), *(drawer(rng, complex_, c64)(shape) for shape in ((), (3,)))]
    return [((a,), {}) for a in arrays]


def binary(name):
    rng = generator(name)
    x, y, cx, cy = BINARY[name]
    samples = [(x(rng, a), y(rng, b)) for a, b in SHAPES]
    samples += [pair for dtype in (f64, f32) for pair in pairs(drawer(rng, x, dtype), drawer(rng, y, dtype))]
    samples += strided_pairs(drawer(rng, x, f64), drawer(rng, y, f64))
    samples += [(drawer(rng, x, f64)((2, 1)), drawer(rng, y, f32)((3,))), (drawer(rng, x, f64)((3,)), float(y(rng, ()))), (1, y(rng, (3,)))]
    if cx:
        kinds = (f64, f32) if cx(rng, ()).dtype.kind == "f" else (c128, c64)
        samples += [(drawer(rng, cx, kinds[0])(a), drawer(rng, cy, c128)(b)) for a, b in SHAPES]
        samples += [(drawer(rng, cx, kinds[1])((2, 1)), drawer(rng, cy, c64)((3,)))]
    return [(pair, {}) for pair in samples]


def drawn(name, *numbers, count=40):
    """Arrays from domains, one for each of the shapes that broadcast, after whole numbers by turns: ``(numbers, domains, complex domains)``."""
    rng, samples = generator(name), []
    shapes = [((),) * 3, ((3,), (3,), (3,)), ((2, 1), (3,), ()), ((1,), (2, 3), (3,)), ((0,), (1,), (1,)), ((2, 2), (2, 1), (1, 2)), ((4,), (), (1,))]
    while len(samples) < count:
        for first, domains in numbers:
            k = len(samples)
            dtype = (f64, f32)[k % 3 == 2]
            arrays = [drawer(rng, d, dtype if d(rng, ()).dtype.kind == "f" else c128)(s) for d, s in zip(domains, shapes[k % 7], strict=False)]
            samples.append(((*first, *(a[::-1] if k % 2 and a.ndim else a for a in arrays)), {}))
    return samples


A, B, X = spread(0.4, 4), spread(0.4, 4), spread(0.3, 5)
INTERNAL = {                  # derivatives that are functions themselves
    "gamma_weight":  [((k,), (domain, X)) for k in (0, 1, 2) for domain in (A, spread(21, 25))],
    "beta_weight":   [((1, 1), (A, B, UNIT)), ((0, 2), (A, B, UNIT)), ((1, 1), (spread(10.5, 14), spread(10.5, 14), UNIT)), ((2, 0), (A, B, UNIT))],
    "gammainc_n":    [((1,), (A, X)), ((2,), (A, X)), ((1,), (spread(8, 9), spread(5, 12))), ((1,), (spread(0.1, 0.3), spread(0.01, 3)))],
    "betainc_n":     [((1, 0), (A, B, UNIT)), ((0, 1), (A, B, UNIT)), ((1, 1), (A, B, UNIT)), ((0, 2), (A, B, UNIT)), ((2, 0), (A, B, UNIT))],
    "zeta_n":        [((1,), (spread(1.5, 5), A)), ((2,), (spread(1.5, 5), A)), ((1,), (plane(spread(1.5, 4), spread(-3, 3)), A))],
    "psi_n_complex": [((1,), (WIDE,)), ((2,), (plane(spread(-3, -1), spread(0.5, 1)),)), ((1,), (plane(spread(2, 4), away(0.1, 8)),))],
    "psi_rise":      [((), (A, B)), ((), (spread(20, 30), B)), ((), (B, spread(20, 30))), ((), (spread(-0.8, -0.2), spread(0.05, 0.1)))],
}
INTERNAL |= {f"{name}_n": [((1,), BINARY[name][:2]), ((1,), BINARY[name][2:])] for name in ("jv", "yv", "iv", "kv", "ive", "kve")}


def along(*options, dtypes=(f64, f32), shapes=((5,), (2, 3), (3, 2, 2)), count=40):
    """Every option, ``(args, kwargs)``, with arrays in all layouts, by turns."""
    samples = []
    while len(samples) < count:
        for args, kwargs in options:
            k = len(samples)
            shape = BOX if any(isinstance(o, tuple) for o in (*args, *kwargs.values())) else shapes[k % len(shapes)]
            forms = in_memory(*shape, dtype=dtypes[k % len(dtypes)], seed=k)
            samples.append(((forms[k // 2 % len(forms)], *args), kwargs))
    return samples


def log_sums():
    rng = generator("logsumexp")
    options = [((), {}), ((0,), {}), ((-1,), {"keepdims": True}), (((0, 2),), {}), ((), {"axis": (1,), "keepdims": True}), ((None, None, True), {}),
               ((0,), {"return_sign": True}), ((), {"return_sign": True, "keepdims": True})]
    samples = along(*options, dtypes=(f64, f32, c128), count=34)
    samples[9:9] = [((np.array(0.5),), {}), ((np.array(0.5 + 1j), None, None, False, True), {}), ((np.array(0.5), 0), {})]
    for k, (one, two) in enumerate([((3,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 1)), ((3,), (2, 3)), ((2, 3), ()), ((), (3,))]):
        for kind, positive in ((f64, True), (f64, False), (c128, True)):
            a, b = values(*one, dtype=kind, seed=k), rng.uniform(0.3, 1, two) * (1 if positive else rng.choice([-1.0, 1.0], two))
            axis = (None, -1)[k % 2]
            samples.append(((a, axis, np.asarray(b).astype((f64, kind)[k % 2])), {"keepdims": k % 3 == 0, "return_sign": not positive or k > 2}))
    return samples


def whole_orders(name, draw):
    """Whole orders as numbers and as arrays, with arguments in all layouts."""
    rng, orders = generator(name), [0, 1, 2, 3, np.array(2), np.int32(1)]
    samples = [((orders[k % len(orders)], a), {}) for k, a in enumerate(a for dtype in (f64, f32) for a in layouts(drawer(rng, draw, dtype)))]
    return [*samples, ((np.array([[0], [1]]), draw(rng, (3,))), {}), ((np.array([0, 2]), draw(rng, ())), {})]


def zetas():
    rng = generator("zeta")
    one = [a for dtype in (f64, f32) for a in layouts(drawer(rng, spread(1.5, 5), dtype))][:24]
    one += [spread(-4, -0.7)(rng, (5,)), spread(-0.4, 0.6)(rng, (4,))]
    two = [(x, q) for x, q in pairs(drawer(rng, spread(1.5, 5), f64), drawer(rng, A, f64))][:9] + [(2, A(rng, (3,))), (spread(2, 3)(rng, (3,)), 1.5)]
    single = [(spread(1.5, 5)(rng, (3,)).astype(f32), A(rng, (2, 1)).astype(f32))] * 2
    return [((x,), {}) for x in one] + [(pair, {}) for pair in [*two, *single, *strided_pairs(drawer(rng, spread(1.5, 5), f64), drawer(rng, A, f64))]]


def multigammas():
    rng = generator("multigammaln")
    return [((a, d), {}) for d in (1, 2, 4) for a in [spread(2, 5)(rng, s) for s in ((), (3,), (2, 3), (0,))] + [spread(2, 5)(rng, (3,)).astype(f32)]]


def sine_and_cosine():
    rng = generator("sici")
    real, edge = layouts(drawer(rng, spread(0.4, 6), f64)), np.array([0.9999, 1.0001, 20.0])
    return [((a,), {}) for a in [*real, edge, *(drawer(rng, spread(0.4, 6), f32)(s) for s in ((), (3,))), *layouts(drawer(rng, RIGHT, c128))]]


def betaincs(): return drawn("betainc", ((), (A, B, UNIT)), ((), (spread(4, 9), spread(4, 9), UNIT)), count=44)


SAMPLES, TIES, ERRORS, PARTS, REFERENCES, NO_COMPLEX_STEP = {}, {}, {}, {}, {}, {}

if importlib.util.find_spec("scipy"):
    import scipy.special

    import gradnerve.special  # noqa: F401  registers the operations

    SAMPLES = {name: partial(unary, name) for name in UNARY} | {name: partial(binary, name) for name in BINARY}
    SAMPLES |= {name: partial(drawn, name, *numbers) for name, numbers in INTERNAL.items()}
    SAMPLES |= {
        "sinc": lambda: [((a,), {}) for a in layouts(drawer(generator("sinc"), spread(-3, 3), f64))],
        "betainc": betaincs, "logsumexp": log_sums, "multigammaln": multigammas, "sici": sine_and_cosine, "zeta": zetas,
        "polygamma": partial(whole_orders, "polygamma", spread(0.4, 5)), "yn": partial(whole_orders, "yn", spread(0.6, 9)),
        "softmax": partial(along, ((), {}), ((0,), {}), ((-1,), {}), (((0, 2),), {}), ((), {"axis": 1 - 1})),
        "log_softmax": partial(along, ((), {}), ((0,), {}), ((-1,), {}), (((0, 2),), {}), ((), {"axis": 1 - 1})),
    }  # fmt: skip
    SAMPLES |= {"digamma": SAMPLES["psi"], "jn": SAMPLES["jv"]}
    TIES = {
        "erf": [((at(inf, -inf),), {}, [at(0, 0)])], "erfcx": [((at(inf, -30),), {}, [at(0, -inf)])], "dawsn": [((at(inf, -inf),), {}, [at(0, 0)])],
        "erfinv":   [((at(1, -1, 0),), {}, [at(inf, inf, ROOT_PI / 2)])],
        "erfcinv":  [((at(0, 2, 1),), {}, [at(-inf, -inf, -ROOT_PI / 2)])],
        "ndtri":    [((at(0, 1),), {}, [at(inf, inf)])],
        "log_ndtr": [((at(inf, -1e30),), {}, [at(0, 1e30)])],
        "expit":    [((at(1000, -1000, inf, -inf, 0),), {}, [at(0, 0, 0, 0, 0.25)])],
        "log_expit": [((at(1000, -1000, inf, -inf, 0),), {}, [at(0, 1, 0, 1, 0.5)])],
        "logit":    [((at(0, 1, 0.5),), {}, [at(inf, inf, 4)])],
        "expm1":    [((at(-inf, inf, 0),), {}, [at(0, inf, 1)])],
        "entr":     [((at(0, 1),), {}, [at(inf, -1)])],
        "xlogy":    [((at(0, 0, 2), at(0, 3, 1)), {}, [at(0, np.log(3), 0), at(0, 0, 2)])],
        "xlog1py":  [((at(0, 0, 2), at(-1, 2, 0)), {}, [at(0, np.log(3), 0), at(0, 0, 2)])],
        "rel_entr": [((at(0, 0, 1), at(0, 2, 1)), {}, [at(0, -inf, 1), at(0, 0, -1)])],
        "kl_div":   [((at(0, 0, 1), at(0, 2, 1)), {}, [at(0, -inf, 0), at(1, 1, 0)])],
        "rgamma":   [((at(0, -1, -2, -3),), {}, [at(1, -1, 2, -6)])],
        "gammaln":  [((at(0.0, inf),), {}, [at(-inf, inf)])],
        "gammasgn": [((at(-0.5, 1.5),), {}, [at(0, 0)])],
        "i0e": [((at(0.0, inf),), {}, [at(0, 0)])], "i1": [((at(0.0),), {}, [at(0.5)])], "i1e": [((at(0.0, inf),), {}, [at(0.5, 0)])],
        "j1": [((at(0.0),), {}, [at(0.5)])], "k0": [((at(0.0, inf),), {}, [at(-inf, 0)])], "k0e": [((at(inf),), {}, [at(0)])],
        "jv":       [((at(1, 2, 2.5), at(0, 0, 0)), {}, [at(0, 0, 0), at(0.5, 0, 0)])],
        "gammainc": [((at(1, 2, 0.5, 1), at(0, 0, 0, inf)), {}, [at(0, 0, 0, 0), at(1, 0, inf, 0)])],
        "betainc":  [((at(1, 1, 2, 0.5), at(2, 1, 2, 3), at(0, 1, 1, 0)), {}, [at(0, 0, 0, 0), at(0, 0, 0, 0), at(2, 1, 0, inf)])],
        "logsumexp": [((at(1000, -1000),), {}, [at(1, 0)]), ((at(-inf, -inf),), {}, [at(0, 0)]), ((at(inf, 0, inf),), {}, [at(0.5, 0, 0.5)]),
                      ((at(0, -inf), None, at(1, 1)), {}, [at(1, 0), None, at(1, 0)]), ((at(inf, 1), None, at(0, 2)), {}, [at(0, 1)])],
        "softmax":  [((at(1000, -1000),), {}, [at(0, 0)])], "log_softmax": [((at(1000, -1000),), {}, [at(-1, 1)])],
    }  # fmt: skip
    box, line = np.ones((2, 3)), np.ones(4)
    ERRORS = {name: [((box, line), {}, ValueError, "broadcast")] for name in BINARY} | {
        name: [((np.ones(2, complex),), {}, TypeError, "not supported")] for name, (_, complex_) in UNARY.items() if complex_ is None
    } | {
        "betainc": [((box, line, 0.5), {}, ValueError, "broadcast"), ((line + 0j, line, line), {}, TypeError, "not supported")],
        "softmax": [((box, 2), {}, ValueError, "axis 2")], "log_softmax": [((box, -3), {}, ValueError, "axis -3")],
        "logsumexp": [((box, 2), {}, ValueError, "axis 2"), ((box, None, line), {}, ValueError, "broadcast")],
        "multigammaln": [((line, 9), {}, ValueError, "not met"), ((line, 1.5), {}, ValueError, "positive integer")],
        "polygamma": [((line, line), {}, TypeError, "whole number"), ((1, line + 0j), {}, TypeError, "not supported")],
        "yn": [((line, line), {}, TypeError, "whole number")],
    }  # fmt: skip
    PARTS = {"sine_integral": "sici", "cosine_integral": "sici", "log_size": "logsumexp", "sum_sign": "logsumexp", "riemann_zeta": "zeta"}
    NO_COMPLEX_STEP = {"expi": "SciPy's complex expi drops a tiny imaginary part", "rgamma": "and rgamma does to the left of 0",
                       "erfcx": "it has 12 digits near 7"}
    REFERENCES = {name: getattr(scipy.special, name) for name in SAMPLES if name not in INTERNAL}

SAMPLES, TIES, ERRORS, REFERENCES, NO_COMPLEX_STEP = (
    {f"special.{name}": value for name, value in table.items()} for table in (SAMPLES, TIES, ERRORS, REFERENCES, NO_COMPLEX_STEP))  # fmt: skip
PARTS = {f"special.{part}": f"special.{whole}" for part, whole in PARTS.items()}
