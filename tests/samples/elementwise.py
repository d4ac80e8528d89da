"""Samples of the elementwise functions: what every operation is checked on.

SAMPLES  name -> function that returns a list of (args, kwargs): arrays and numbers, away from kinks and branch cuts, so that finite differences hold
TIES     name -> list of (args, kwargs, gradients of sum(f(*args)) written by hand, None for an argument without one): kinks, ties, infinities, NaN
ERRORS   name -> list of (args, kwargs, exception, regular expression that its message matches)
ALIASES  second name -> name
ELSEWHERE  name of an operation -> the test file that checks it, where no sample can
CALLS    name -> function to call in place of gn.name and np.name, for arrays and Tensors alike: where a name works in place, or has free choices
REFERENCES  name -> function of another package than NumPy that gives the values, for arrays
NO_COMPLEX_STEP  name of a holomorphic function -> why its values so near the real axis are not exact

A domain is a function of (generator, shape) that returns float64 or complex128 values; the layouts make it into arrays of every kind of memory.
"""
import zlib
from functools import partial

import numpy as np

nan, inf = np.nan, np.inf
f64, f32, f16, c128, c64 = np.float64, np.float32, np.float16, np.complex128, np.complex64


# ---- domains -------------------------------------------------------------------------------------------------------------------------------

def spread(lo, hi): return lambda rng, shape: rng.uniform(lo, hi, shape)
def sign_of(rng, shape): return rng.choice([-1.0, 1.0], shape)
def away(lo, hi): return lambda rng, shape: sign_of(rng, shape) * rng.uniform(lo, hi, shape)
def cells(lo, hi, count=3): return lambda rng, shape: rng.integers(-count, count, shape) + rng.uniform(lo, hi, shape)
def times(factor, domain): return lambda rng, shape: factor * domain(rng, shape)
def plane(re, im): return lambda rng, shape: re(rng, shape) + 1j * im(rng, shape)
def mantissas(rng, shape): return sign_of(rng, shape) * np.ldexp(rng.uniform(0.55, 0.95, shape), rng.integers(-4, 5, shape))
def steps(rng, shape): return 0.9 * rng.integers(0, 10, shape) + rng.uniform(-0.05, 0.05, shape)  # no difference near an odd multiple of pi or of 2
def integers(lo, hi): return lambda rng, shape: rng.integers(lo, hi, shape).astype(np.int32)


INNER  = cells(0.2, 0.8)            # between two integers
LOWER  = cells(0.1, 0.4)            # LOWER and UPPER values are never closer than 0.2, so neither are maximum's arguments nor clip's bounds
UPPER  = cells(0.6, 0.9)
WIDE   = plane(away(0.3, 1.5), away(0.3, 1.5))
SMALL  = plane(away(0.2, 0.8), away(0.2, 0.8))
RIGHT  = plane(spread(0.3, 2.0), away(0.3, 1.5))  # off the negative real axis
CELLS  = plane(INNER, INNER)

UNARY = {                           # real domain, complex domain (None: not defined by NumPy)
    "positive":   (away(0.1, 3),      WIDE),  "negative":   (away(0.1, 3),      WIDE),  "square":     (away(0.1, 3),      WIDE),
    "reciprocal": (away(0.4, 3),      WIDE),  "sqrt":       (spread(0.3, 4),    RIGHT), "cbrt":       (away(0.3, 4),      None),
    "exp":        (spread(-2, 2),     WIDE),  "exp2":       (spread(-2, 2),     WIDE),  "expm1":      (spread(-2, 2),     WIDE),
    "log":        (spread(0.3, 4),    RIGHT), "log2":       (spread(0.3, 4),    RIGHT), "log10":      (spread(0.3, 4),    RIGHT),
    "log1p":      (spread(-0.6, 3),   RIGHT), "sin":        (spread(-4, 4),     WIDE),  "cos":        (spread(-4, 4),     WIDE),
    "tan":        (spread(-1.1, 1.1), SMALL), "arcsin":     (spread(-0.8, 0.8), SMALL), "arccos":     (spread(-0.8, 0.8), SMALL),
    "arctan":     (spread(-3, 3),     SMALL), "sinh":       (spread(-2, 2),     WIDE),  "cosh":       (spread(-2, 2),     WIDE),
    "tanh":       (spread(-2, 2),     SMALL), "arcsinh":    (spread(-3, 3),     SMALL), "arccosh":    (spread(1.3, 4),    WIDE),
    "arctanh":    (spread(-0.8, 0.8), SMALL), "deg2rad":    (away(1, 200),      None),  "radians":    (away(1, 200),      None),
    "rad2deg":    (away(0.1, 3),      None),  "degrees":    (away(0.1, 3),      None),  "fabs":       (away(0.3, 3),      None),
    "absolute":   (away(0.3, 3),      WIDE),  "conjugate":  (away(0.1, 3),      WIDE),  "sign":       (away(0.3, 3),      WIDE),
    "floor":      (INNER,             None),  "ceil":       (INNER,             None),  "trunc":      (INNER,             None),
    "rint":       (cells(-0.3, 0.3),  plane(cells(-0.3, 0.3), cells(-0.3, 0.3))),       "fix":        (INNER,             None),
    "round":      (cells(-0.3, 0.3),  plane(cells(-0.3, 0.3), cells(-0.3, 0.3))),       "modf":       (INNER,             None),
    "real":       (away(0.1, 3),      WIDE),  "imag":       (away(0.1, 3),      WIDE),  "angle":      (away(0.3, 3),      RIGHT),
    "nan_to_num": (away(0.1, 3),      WIDE),  "real_if_close": (away(0.1, 3),   WIDE),  "sinc":       (spread(-3, 3),     WIDE),
    "i0":         (spread(-10, 10),   None),  "frexp":      (mantissas,         None),  "unwrap":     (steps,             None),
    "clip":       (LOWER,             None),
}

THIRDS = times(3, cells(0.3, 0.7))  # x / y stays away from the integers for every y in NEAR_3
NEAR_3 = lambda rng, shape: sign_of(rng, shape) * 3 * rng.uniform(0.99, 1.01, shape)

BINARY = {                          # real domains of x and y, complex domains
    "add":         (away(0.1, 3),     away(0.1, 3),     WIDE,  WIDE), "subtract":    (away(0.1, 3),     away(0.1, 3),     WIDE,  WIDE),
    "multiply":    (away(0.1, 3),     away(0.1, 3),     WIDE,  WIDE), "divide":      (away(0.1, 3),     away(0.4, 3),     WIDE,  WIDE),
    "power":       (spread(0.3, 2.5), spread(-2, 3),    RIGHT, WIDE), "float_power": (spread(0.3, 2.5), spread(-2, 3),    RIGHT, WIDE),
    "maximum":     (LOWER,            UPPER,            None,  None), "minimum":     (LOWER,            UPPER,            None,  None),
    "fmax":        (LOWER,            UPPER,            None,  None), "fmin":        (LOWER,            UPPER,            None,  None),
    "remainder":   (THIRDS,           NEAR_3,           None,  None), "fmod":        (THIRDS,           NEAR_3,           None,  None),
    "divmod":      (THIRDS,           NEAR_3,           None,  None), "floor_divide": (THIRDS,          NEAR_3,           None,  None),
    "logaddexp":   (spread(-3, 3),    spread(-3, 3),    None,  None), "logaddexp2":  (spread(-3, 3),    spread(-3, 3),    None,  None),
    "hypot":       (away(0.3, 3),     away(0.3, 3),     None,  None), "arctan2":     (away(0.3, 3),     away(0.3, 3),     None,  None),
    "copysign":    (away(0.3, 3),     away(0.3, 3),     None,  None), "nextafter":   (away(0.3, 3),     away(4, 5),       None,  None),
    "heaviside":   (away(0.3, 3),     spread(-1, 1),    None,  None), "ldexp":       (away(0.3, 3),     integers(-3, 4),  None,  None),
}


# ---- layouts -------------------------------------------------------------------------------------------------------------------------------

def unaligned(a):
    """A copy of a at an odd address."""
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    memory[...] = a
    return memory


def read_only(a):
    a.flags.writeable = False
    return a


def layouts(draw):
    """Arrays of every shape and kind of memory, from `draw(shape)`."""
    for shape in [(), (1,), (5,), (17,), (2, 3), (3, 1), (1, 4), (2, 1, 3), (0,), (0, 3), (2, 0, 2)]:
        yield draw(shape)
    yield draw((9,))[::2]
    yield draw((6,))[::-1]
    yield draw((3, 4))[:, ::-1]
    yield draw((4, 5))[1::2, ::-2]
    yield draw((3, 2)).T
    yield draw((2, 3, 2)).swapaxes(0, 2)
    yield np.asfortranarray(draw((3, 4)))
    yield np.broadcast_to(draw((3,)), (2, 3))
    yield read_only(draw((4,)))
    yield unaligned(draw((4,)))


def pairs(x, y):
    """Pairs of arrays that broadcast, from `x(shape)` and `y(shape)`."""
    for a, b in [((), ()), ((3,), ()), ((), (3,)), ((5,), (5,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (2, 3)), ((8, 16), (16,)),
                 ((3, 1, 5), (4, 1)), ((1,), (4,)), ((4, 1), (1, 3)), ((2, 3), (2, 1)), ((2, 3), (1, 1)),
                 ((0,), (0,)), ((0, 3), (3,)), ((0,), (1,)), ((2, 1), (1, 0))]:
        yield x(a), y(b)


def strided_pairs(x, y):
    yield x((9,))[::2], y((5,))
    yield x((5,)), y((5,))[::-1]
    yield x((3, 2)).T, y((2, 3))
    yield np.asfortranarray(x((3, 4))), y((3, 4))
    yield np.asfortranarray(x((3, 4))), y((6, 8))[::2, ::-2]
    yield x((2, 3)), np.broadcast_to(y((3,)), (2, 3))
    yield np.broadcast_to(x((2, 1)), (2, 3)), y((3,))
    yield unaligned(x((4,))), read_only(y((4,)))


def drawer(rng, domain, dtype):
    """Function shape -> array of `dtype` from the domain; integers stay integers."""
    def draw(shape):
        a = np.asarray(domain(rng, shape))
        return a if a.dtype.kind == "i" else a.astype(dtype)
    return draw


def generator(name): return np.random.default_rng(zlib.crc32(name.encode()))


def unary_samples(name):
    rng = generator(name)
    real, complex_ = UNARY[name]
    arrays = [a for dtype in (f64, f32) for a in layouts(drawer(rng, real, dtype))]
    arrays += [drawer(rng, real, f16)(shape) for shape in ((), (5,), (2, 3))]
    if complex_:
        arrays += [*layouts(drawer(rng, complex_, c128)), *(drawer(rng, complex_, c64)(shape) for shape in ((), (5,), (2, 3), (0,)))]
    return [((a,), {}) for a in arrays] + [(args, kwargs) for args, kwargs in EXTRA.get(name, lambda rng: [])(rng)]


def binary_samples(name):
    rng = generator(name)
    x, y, cx, cy = BINARY[name]
    draw_x, draw_y = partial(drawer, rng, x), partial(drawer, rng, y)
    samples = [pair for dtype in (f64, f32) for pair in pairs(draw_x(dtype), draw_y(dtype))]
    samples += strided_pairs(draw_x(f64), draw_y(f64))
    samples += [(draw_x(a)((2, 3)), draw_y(b)((3,))) for a, b in [(f64, f32), (f32, f64), (f16, f16), (f16, f32)]]
    samples += [(draw_x(dtype)(shape), draw_y(f64)(()).item()) for dtype in (f64, f32, f16) for shape in ((), (2, 3))]
    if name != "ldexp":  # whose y is an integer
        samples += [(draw_x(f64)(()).item(), draw_y(dtype)(shape)) for dtype in (f64, f32, f16) for shape in ((), (2, 3))]
    if cx:
        re, im = partial(drawer, rng, cx), partial(drawer, rng, cy)
        samples += [*pairs(re(c128), im(c128)), *strided_pairs(re(c128), im(c128)), (re(c64)((2, 3)), im(c64)((3,)))]
        samples += [(draw_x(f64)((3,)), im(c128)((3,))), (re(c128)((3,)), draw_y(f64)((2, 3)))]
        samples += [(draw_x(f32)((3,)), im(c64)(())), (re(c64)((3,)), draw_y(f32)((3,)))]
        samples += [(re(c128)(()).item(), im(c128)((3,))), (re(c128)((3,)), im(c128)(()).item()), (draw_x(f64)((3,)), im(c128)(()).item())]
    return [(pair, {}) for pair in samples] + EXTRA.get(name, lambda rng: [])(rng)


# ---- more samples, for options and for arguments that a domain does not draw ---------------------------------------------------------------

def powers(rng):
    """Constant exponents, also of negative bases, and integer arrays on either side."""
    x = away(0.3, 2)(rng, (2, 3))
    return [((x, n), {}) for n in (0, 1, 2, 3, -1, -2, 2.0, -3.0)] + [
        ((x.astype(f32), 2), {}), ((x.astype(f16), 3), {}), ((x, np.array([1, 2, 3])), {}), ((x, np.array([[-1], [2]])), {}),
        ((2, x), {}), ((3.0, x.astype(f32)), {}), ((np.array([1, 2, 3]), x), {}), ((WIDE(rng, (3,)), 2), {}), ((WIDE(rng, (3,)), -1), {}),
    ]


def bounds(rng):
    x, y = drawer(rng, LOWER, f64), drawer(rng, UPPER, f64)
    def low(shape): return np.asarray(-0.5 - y(shape) % 1 / 4)  # -0.65 .. -0.725, between two cells of LOWER
    def high(shape): return np.asarray(1.5 + y(shape) % 1 / 4)  # 1.65 .. 1.725
    return [
        ((x((2, 3)), -1.5, 1.5), {}), ((x((2, 3)).astype(f32), -1.5, 1.5), {}), ((x((5,)).astype(f16), -1.5, None), {}), ((x((5,)), None, 0.5), {}),
        ((x((5,)),), {"min": -0.5}), ((x((5,)),), {"max": 1.5}), ((x((5,)),), {"min": -1.5, "max": 0.5}), ((x((5,)), None, None), {}),
        ((x((5,)),), {"a_min": -1.5, "a_max": 1.5}), ((x((2, 3)), low((3,)), high((2, 1))), {}), ((x((3,)), low((2, 3)), 2.5), {}),
        ((x((4, 1)), low(()), high((3,))), {}), ((x(()), -0.5, 0.5), {}), ((x((0, 3)), -0.5, high((3,))), {}), ((x((3, 4)).T[::-1], -1.5, 0.5), {}),
        ((np.asfortranarray(x((3, 4))), low((4,)), None), {}), ((x((5,)), None, high((5,))), {}),
        ((x((5,)), np.array([-1, 0, 1, -2, -3]) + 0.5, 2.5), {}),
    ]


def with_bounds(name):
    rng = generator(name)
    plain = [((a, -1.5, 1.5), {}) for dtype in (f64, f32) for a in layouts(drawer(rng, LOWER, dtype))]
    return plain + bounds(rng)


def lines_of_steps(name):
    """Everything but a number, which np.unwrap does not take, and its options."""
    rng = generator(name)
    plain = [((a,), {}) for dtype in (f64, f32) for a in layouts(drawer(rng, steps, dtype)) if a.ndim]
    options = [{"axis": 0}, {"axis": -2}, {"period": 4}, {"period": 4.0, "axis": 0}, {"discont": 4.0}, {"discont": 4.0, "axis": 0}]
    return plain + [((a(rng, (4, 5)),), kwargs) for a in (steps, steps) for kwargs in options]


def near_real(name):
    """Complex arrays that are real within an absolute tolerance of 0.5 (with the usual 100 epsilons a finite difference would leave it)."""
    rng = generator(name)
    draw = drawer(rng, plane(away(0.1, 3), away(0.01, 0.1)), c128)
    return unary_samples(name) + [((draw(shape),), {"tol": 0.5}) for shape in ((), (5,), (2, 3), (0,))]


EXTRA = {
    "power": powers,
    "float_power": powers,
    "angle": lambda rng: [((RIGHT(rng, (5,)),), {"deg": True}), ((RIGHT(rng, (2, 3)).astype(c64), True), {}),
                          ((away(0.3, 3)(rng, (3,)),), {"deg": True})],
    "nan_to_num": lambda rng: [((away(0.1, 3)(rng, (3,)),), {"nan": 2.0}), ((WIDE(rng, (3,)),), {"posinf": 5.0, "neginf": -5.0})],
    "round": lambda rng: [((cells(-0.3, 0.3)(rng, (2, 3)) * 10.0**-d, d), {}) for d in (-2, -1, 0, 1, 2)]
                       + [((cells(-0.3, 0.3)(rng, (5,)) / 10,), {"decimals": 1})],
    "sinc": lambda rng: [((np.array([0.0, 1e-9, -1e-5, 1e-3, 0.1, 1.0, -2.0, 25.5]),), {}), ((np.array(0.0),), {}), ((np.zeros(3, f32),), {})],
    "i0": lambda rng: [((np.array([0.0, 1e-9, -1e-5, 1e-3, 0.1, 7.9, -8.1, 20.0]),), {}), ((np.array(0.0),), {}), ((np.zeros(3, f32),), {})],
    "logaddexp": lambda rng: [((np.array([1000.0, -1000.0, 2.0]), np.array([1000.0, 1000.0, 2.0])), {})],
    "logaddexp2": lambda rng: [((np.array([1000.0, -1000.0, 2.0]), np.array([1000.0, 1000.0, 2.0])), {})],
}

SAMPLES = {name: partial(unary_samples, name) for name in UNARY} | {name: partial(binary_samples, name) for name in BINARY}
SAMPLES |= {"clip": partial(with_bounds, "clip"), "unwrap": partial(lines_of_steps, "unwrap"), "real_if_close": partial(near_real, "real_if_close")}

ALIASES = {
    "abs": "absolute", "conj": "conjugate", "true_divide": "divide", "mod": "remainder", "pow": "power", "atan2": "arctan2",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "around": "round",
}


# ---- kinks, ties, infinities ---------------------------------------------------------------------------------------------------------------

def at(*values): return np.array(values, dtype=complex if any(isinstance(v, complex) for v in values) else float)


TIES = {
    "absolute":    [((at(0.0, -0.0, 2, -3),), {}, [at(0, 0, 1, -1)]), ((at(inf, -inf),), {}, [at(1, -1)]),
                    ((at(0j, 3 + 4j),), {}, [at(0j, 0.6 + 0.8j)])],
    "fabs":        [((at(0.0, -0.0, 2, -3),), {}, [at(0, 0, 1, -1)])],
    "sign":        [((at(0.0, -0.0, 2, -inf),), {}, [at(0, 0, 0, 0)])],
    "sqrt":        [((at(0.0, 4),), {}, [at(inf, 0.25)])],
    "cbrt":        [((at(0.0, 8),), {}, [at(inf, 1 / 12)])],
    "log":         [((at(0.0, 2, inf),), {}, [at(inf, 0.5, 0)])],
    "log1p":       [((at(-1.0, 0, inf),), {}, [at(inf, 1, 0)])],
    "reciprocal":  [((at(0.0, inf, 2),), {}, [at(-inf, 0, -0.25)])],
    "exp":         [((at(inf, -inf, 0),), {}, [at(inf, 0, 1)])],
    "tanh":        [((at(1000, -1000, inf, 0),), {}, [at(0, 0, 0, 1)])],
    "arctan":      [((at(inf, -inf, 0),), {}, [at(0, 0, 1)])],
    "arcsin":      [((at(1, -1, 0),), {}, [at(inf, inf, 1)])],
    "arccos":      [((at(1, -1, 0),), {}, [at(-inf, -inf, -1)])],
    "arccosh":     [((at(1, inf),), {}, [at(inf, 0)])],
    "sinc":        [((at(0.0, -0.0),), {}, [at(0, 0)])],
    "i0":          [((at(0.0, -0.0),), {}, [at(0, 0)])],
    "nan_to_num":  [((at(nan, inf, -inf, 2),), {}, [at(0, 0, 0, 1)]), ((at(nan, inf, 2),), {"nan": 3.0, "posinf": 7.0}, [at(0, 0, 1)])],
    "real_if_close": [((at(1 + 1e-17j, 2 + 0j),), {}, [at(1 + 0j, 1 + 0j)])],
    "angle":       [((at(0j, 2j),), {}, [at(0j, -0.5 + 0j)]), ((at(-1.0, 0, 2),), {}, [at(0, 0, 0)])],
    "frexp":       [((at(0.0, 1, 8, -3),), {}, [at(1, 0.5, 1 / 16, 0.25)])],  # of the mantissa
    "modf":        [((at(0.0, -0.0, 2, -3.5),), {}, [at(1, 1, 1, 1)])],
    "floor":       [((at(0.0, 1, -2, 0.5),), {}, [at(0, 0, 0, 0)])],
    "round":       [((at(0.5, 1.5, -2.5),), {}, [at(0, 0, 0)])],
    "divide":      [((at(1.0, 0, 1), at(0.0, 2, inf)), {}, [at(inf, 0.5, 0), at(-inf, 0, 0)])],
    "power":       [((at(0.0, 0, 0, -2, 2), at(0.0, 1, 2, 3, 0)), {}, [at(0, 1, 0, 12, 0), at(0, 0, 0, nan, np.log(2))]),
                    ((at(0.0, -0.0, nan, inf, 5e-324), 0), {}, [at(0, 0, 0, 0, 0), None]), ((at(0.0, -2), 1), {}, [at(1, 1), None]),
                    ((at(0.0, -3), 2), {}, [at(0, -6), None]), ((at(0.0, -2), 3), {}, [at(0, 12), None]), ((at(0.0), 0.5), {}, [at(inf), None]),
                    ((0.0, at(1, 2)), {}, [None, at(0, 0)]), ((at(0j, 2j), 2), {}, [at(0j, -4j), None])],
    "float_power": [((at(0.0, 0, 0, 2), at(0.0, 1, 2, 0)), {}, [at(0, 1, 0, 0), at(0, 0, 0, np.log(2))])],
    "maximum":     [((at(1, 2, 3), at(2, 2, 2)), {}, [at(0, 0.5, 1), at(1, 0.5, 0)]), ((at(-1, 0, 1), 0), {}, [at(0, 0.5, 1), None]),
                    ((at(inf, -inf), at(inf, 0)), {}, [at(0.5, 0), at(0.5, 1)])],
    "minimum":     [((at(1, 2, 3), at(2, 2, 2)), {}, [at(1, 0.5, 0), at(0, 0.5, 1)])],
    "fmax":        [((at(1, 2, nan, 3), at(2, 2, 2, nan)), {}, [at(0, 0.5, 0, 1), at(1, 0.5, 1, 0)])],
    "fmin":        [((at(1, 2, nan, 3), at(2, 2, 2, nan)), {}, [at(1, 0.5, 0, 1), at(0, 0.5, 1, 0)])],
    "logaddexp":   [((at(1000, -1000, 0), at(1000, 1000, 0)), {}, [at(0.5, 0, 0.5), at(0.5, 1, 0.5)]),
                    ((at(inf, inf, -inf, -inf), at(inf, 0, -inf, 0)), {}, [at(0.5, 1, 0.5, 0), at(0.5, 0, 0.5, 1)])],
    "logaddexp2":  [((at(inf, inf, -inf, 1000), at(inf, 0, -inf, 1000)), {}, [at(0.5, 1, 0.5, 0.5), at(0.5, 0, 0.5, 0.5)])],
    "hypot":       [((at(0.0, 3, inf, 1e200), at(0.0, 4, 1, 1e200)), {}, [at(0, 0.6, 1, np.sqrt(0.5)), at(0, 0.8, 0, np.sqrt(0.5))])],
    "arctan2":     [((at(0.0, 1, inf, 1), at(0.0, 1, 1, inf)), {}, [at(0, 0.5, 0, 0), at(0, -0.5, 0, 0)]),
                    ((at(1e200), at(1e200)), {}, [at(5e-201), at(-5e-201)])],
    "copysign":    [((at(0.0, 2, -2), at(1, -1, -1)), {}, [at(0, -1, 1), at(0, 0, 0)])],
    "remainder":   [((at(6.0, -7), at(3.0, 3)), {}, [at(1, 1), at(-2, 3)]), ((at(1.0), at(inf)), {}, [at(1), at(0)])],
    "fmod":        [((at(6.0, -7, 0.8999999999999999), at(3.0, 3, 0.3)), {}, [at(1, 1, 1), at(-2, 2, -2)])],
    "heaviside":   [((at(0.0, 1, -1), at(0.5, 0.5, 0.5)), {}, [at(0, 0, 0), at(1, 0, 0)])],
    "clip":        [((at(1, 2, 3, 0, 4), 1, 3), {}, [at(1, 1, 1, 0, 0), None, None]),
                    ((at(1, 2, 0), at(1, 1, 1), None), {}, [at(1, 1, 0), at(0, 0, 1), None]),
                    ((at(1, 5), at(3, 3), at(2, 2)), {}, [at(0, 0), at(0, 0), at(1, 1)]), ((at(nan, inf), 0.0, 1.0), {}, [at(0, 0), None, None])],
}

ERRORS = {name: [((np.zeros((2, 3)), np.zeros(4)), {}, ValueError, r"(?is)(2, ?3).*(4,?)")] for name in BINARY if name != "ldexp"} | {
    "arctan2": [((np.zeros(2, complex), np.ones(2)), {}, TypeError, "arctan2")],
    "cbrt":    [((np.zeros(2, complex),), {}, TypeError, "cbrt")],
    "floor":   [((np.zeros(2, complex),), {}, TypeError, "floor")],
    "ldexp":   [((np.zeros(2), np.ones(2)), {}, TypeError, "ldexp")],
    "frexp":   [((np.zeros(2, complex),), {}, TypeError, "frexp")],
    "i0":      [((np.zeros(2, complex),), {}, TypeError, "i0")],
    "clip":    [((np.zeros(2),), {"a_min": 0}, TypeError, "a_max"), ((np.zeros(2), 0, 1), {"min": 0}, ValueError, "min")],
    "unwrap":  [((np.zeros(2),), {"axis": 3}, ValueError, "axis")],
}
