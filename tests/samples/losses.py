"""Samples of the elementwise losses, away from their kinks. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from gradnerve.ops import losses

from .elementwise import at, away, cells, drawer, f32, f64, generator, layouts, pairs, spread, strided_pairs

SHAPES = [((), ()), ((1,), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((3,), ()), ((2, 3), (2, 3))]
NEAR, UNIT = spread(-0.1, 0.1), spread(0.1, 0.9)
KINK_AT_1 = cells(0.2, 0.8)      # of x, with a target near 0: no distance is near a whole number

BINARY = {                       # domains of the input and of the target
    "smooth_l1":     (KINK_AT_1,     NEAR),          "huber":          (KINK_AT_1,      NEAR),
    "binary_entropy": (UNIT,         spread(0, 1)),  "logit_entropy":  (away(0.1, 4),   spread(0, 1)),
    "soft_margin":   (spread(-3, 3), away(0.3, 2)),  "divergence":     (spread(-3, 0),  UNIT),
    "log_divergence": (spread(-3, 0), spread(-3, 0)), "log_poisson":   (spread(-2, 2),  spread(0, 5)),
}  # fmt: skip
UNARY = {"hinge": away(0.2, 3), "at_least": spread(0.3, 4)}


def binary(name):
    rng = generator(name)
    x, y = BINARY[name]
    samples = [(x(rng, a), y(rng, b)) for a, b in SHAPES]
    samples += [pair for dtype in (f64, f32) for pair in pairs(drawer(rng, x, dtype), drawer(rng, y, dtype))]
    samples += strided_pairs(drawer(rng, x, f64), drawer(rng, y, f64))
    samples += [(drawer(rng, x, f64)((2, 1)), drawer(rng, y, f32)((3,))), (drawer(rng, x, f64)((3,)), float(y(rng, ())))]
    samples += [(drawer(rng, x, f64)((k, 2)), drawer(rng, y, f64)((2,))) for k in range(1, 20)]
    return [(pair, {}) for pair in samples]


def unary(name):
    rng = generator(name)
    arrays = [a for dtype in (f64, f32) for a in layouts(drawer(rng, UNARY[name], dtype))]
    return [((a,), {}) for a in arrays + [drawer(rng, UNARY[name], f64)((k, 3)) for k in range(1, 20)]]


SAMPLES = {name: partial(binary, name) for name in BINARY} | {name: partial(unary, name) for name in UNARY}
CALLS = {name: getattr(losses, name) for name in SAMPLES} | {  # other options make other operations of the same name
    "smooth_l1": losses.smooth_l1(1.0), "huber": losses.huber(1.0), "at_least": losses.at_least(1e-6)}  # fmt: skip

zero = np.zeros(3)
TIES = {
    "hinge":          [((at(0, -1, 1, np.inf),), {}, ([1, 0, 1, 1],))],
    "at_least":       [((at(0, -1, 1),), {}, ([1, 1, 1],))],
    "smooth_l1":      [((at(1, -1, 0), zero), {}, ([1, -1, 0], [-1, 1, 0]))],
    "huber":          [((at(1, -1, 0), zero), {}, ([1, -1, 0], [-1, 1, 0]))],
    "binary_entropy": [((at(0, 1), at(0, 1)), {}, ([0, 0], [100, -100]))],
    "logit_entropy":  [((at(1000, -1000), at(1, 0)), {}, ([0, 0], [-1000, 1000])), ((at(1000, -1000), at(0, 1)), {}, ([1, -1], None))],
    "soft_margin":    [((at(1000, -1000), at(1, 1)), {}, ([0, -1], None))],
    "divergence":     [((at(-1, -2), at(0, 1)), {}, ([0, -1], [-np.inf, 3]))],
}
