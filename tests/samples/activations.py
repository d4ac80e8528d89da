"""Samples of the activations beyond relu and sigmoid, as operations. What a sample file holds is said in elementwise.py."""

from functools import partial

import numpy as np

from gradnerve.ops import activations

from .elementwise import spread
from .shapes import ANY, cross, layouts, plain

REAL = (np.float64, np.float32)
INNER = spread(0.05, 0.45)
inf = np.inf


def pieces(*options):
    """Numbers whose distance from all kinks, which are multiples of a half, is 0.05 at least."""
    rng, samples = np.random.default_rng(len(options)), []
    for dtype in REAL:
        for shape in [*ANY, (7,), (4, 3), (2, 1, 2), (9,), (3, 3), (1, 5), (2, 2), (8,), (6, 2), (1, 1), (16,), (4, 2), (2, 5)]:
            x = (rng.integers(-8, 8, shape) / 2 + INNER(rng, shape)).astype(dtype)
            samples.append(((np.asfortranarray(x) if len(samples) % 2 else x, *options), {}))
    return samples


def smooth(*options):
    return cross(ANY, [plain(*options)], REAL)


def pairs():
    return [((x, y), {}) for k in range(12) for x, y in zip(layouts(4, 3, dtype=REAL[k % 2], seed=k), layouts(*[(3,), (4, 3), (4, 1)][k % 3],
            dtype=REAL[k % 2], seed=k + 50), strict=True)]  # fmt: skip


SAMPLES = {
    "leaky": pairs, "gated": pairs, "elu": partial(smooth, 0.7), "celu": partial(smooth, 0.7), "selu": smooth, "at_least": partial(pieces, -1.0),
    "at_most": partial(pieces, 2.5), "hardsigmoid": pieces, "hardswish": pieces, "hardshrink": partial(pieces, 0.5),
    "softshrink": partial(pieces, 0.5), "softplus": partial(smooth, 20.0), "logsigmoid": smooth, "softsign": smooth, "silu": smooth,
    "tanhshrink": smooth, "mish": smooth, "mish_gate": smooth, "gelu": smooth, "gelu_tanh": smooth, "tanh_of_cube": smooth,
}  # fmt: skip
ELSEWHERE = {"nn.gelu_slope": "test_nn_activations.py"}  # its second input, the value of gelu, counts as constant

FAR = np.array([1000.0, -1000.0])
TIES = {
    "leaky": [((np.array([0.0, -0.0, inf, -inf]), 0.5), {}, ([0.5, 0.5, 1, 0.5],))],
    "elu": [((np.array([0.0, 1000, -1000, inf, -inf]), 0.5), {}, ([0.5, 1, 0, 1, 0],))],
    "celu": [((np.array([0.0, 1000, -1000, inf, -inf]), 0.5), {}, ([1.0, 1, 0, 1, 0],))],
    "selu": [((np.array([0.0, 1000, -1000]),), {}, ([1.0507009873554805 * 1.6732632423543772, 1.0507009873554805, 0],))],
    "at_least": [((np.array([-1.0, 2, -2, inf, -inf]), -1.0), {}, ([0, 1, 0, 1, 0],))],
    "at_most": [((np.array([-1.0, 2, 2.5, inf, -inf]), 2.0), {}, ([1, 0, 0, 0, 1],))],
    "hardsigmoid": [((np.array([-3.0, 3, 0, inf, -inf]),), {}, ([0, 0, 1 / 6, 0, 0],))],
    "hardswish": [((np.array([-3.0, 3, 0, inf, -inf]),), {}, ([0, 1, 0.5, 1, 0],))],
    "hardshrink": [((np.array([-0.5, 0.5, 0.51, inf, -inf]), 0.5), {}, ([0, 0, 1, 1, 1],))],
    "softshrink": [((np.array([-0.5, 0.5, 0.51, inf, -inf]), 0.5), {}, ([0, 0, 1, 1, 1],))],
    "softplus": [((np.array([20.0, 21, 1000, -1000, inf, -inf]), 20.0), {}, ([1 / (1 + np.exp(-20)), 1, 1, 0, 1, 0],))],
    "logsigmoid": [((np.array([0.0, 1000, -1000, inf, -inf]),), {}, ([0.5, 0, 1, 0, 1],))],
    "softsign": [((np.array([0.0, 999, -999, inf, -inf]),), {}, ([1, 1e-6, 1e-6, 0, 0],))],
    "silu": [((FAR,), {}, ([1, 0],))], "mish": [((FAR,), {}, ([1, 0],))], "gelu": [((FAR,), {}, ([1, 0],))],
    "gelu_tanh": [((FAR,), {}, ([1, 0],)), ((1e100 * FAR,), {}, ([1, 0],))],
    "tanhshrink": [((np.array([0.0, 1000, inf, -inf]),), {}, ([0, 1, 1, 1],))],
}  # fmt: skip

SAMPLES, TIES = ({f"nn.{name}": what for name, what in table.items()} for table in (SAMPLES, TIES))
CALLS = {name: getattr(activations, name.removeprefix("nn.")) for name in SAMPLES}
