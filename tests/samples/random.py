"""Samples of random draws, with a seed for each: the same noise for other parameters. What a sample file holds is said in elementwise.py.

Draws by rejection are no smooth function of their parameters when the noise is kept; tests/test_random.py keeps their probability.
"""

from functools import partial

import numpy as np

import gradnerve as gn
from gradnerve.ops import implicit  # noqa: F401  its operations have samples here

from .shapes import cross, layouts, plain, values

SHAPES = [((), (), ()), ((3,), (3,), (3,)), ((2, 3), (3,), (2, 1)), ((2, 1), (1, 3), ()), ((1,), (4,), (4,)), ((0,), (1,), (0,)), ((), (2, 2), (2,)),
          ((3, 1, 2), (2,), (2, 1))]  # fmt: skip
TURNS = [(np.float64,), (np.float32,), (np.float64,), (np.float64, np.float32)]
POSITIVE, ANY, UPPER = (0.4, 2.5), (-2.0, 2.0), (3.0, 4.0)

DOMAINS = {
    "uniform":     (ANY, UPPER),    "normal":      (ANY, POSITIVE), "laplace":     (ANY, POSITIVE), "logistic":    (ANY, POSITIVE),
    "gumbel":      (ANY, POSITIVE), "lognormal":   (ANY, POSITIVE), "exponential": (POSITIVE,),     "rayleigh":    (POSITIVE,),
    "weibull":     (POSITIVE,),     "pareto":      ((2.0, 4.0),),   "power":       (POSITIVE,),
    "triangular":  (ANY, UPPER, (4.5, 6.0)),
}  # fmt: skip


def numbers(lo, hi, shape, dtype, turn):
    """Numbers between two bounds, in every kind of memory by turns."""
    forms = layouts(*shape, dtype=dtype, seed=turn)
    x = forms[turn % len(forms)]
    x[...] = lo + (hi - lo) * (x + 1.6) / 3.2
    return x


def parameters(domains, least):
    samples = []
    while len(samples) < least:
        for shapes in SHAPES:
            turn = len(samples)
            dtypes = TURNS[turn % len(TURNS)]
            each = enumerate(zip(domains, shapes, strict=False))
            arrays = [numbers(*domain, shape, dtypes[k % len(dtypes)], turn + k) for k, (domain, shape) in each]
            full = np.broadcast_shapes(*(a.shape for a in arrays))
            samples.append((tuple(arrays), [{}, {"size": (2, *full)}, {"size": full}][turn % 3]))
    return samples


def draw(name, *args, **kwargs):
    """By a generator that is new in every call; of a Tensor, by ours."""
    ours = any(isinstance(a, gn.Tensor) for a in args)
    return getattr((gn.random if ours else np.random).default_rng(len(name)), name)(*args, **kwargs)


def shuffled(x, axis=0):
    x = x.copy()
    draw("shuffle", x, axis)
    return x


def normal_vectors(mean, root, **kwargs):
    """With a covariance that is symmetric and positive definite whatever the root."""
    return draw("multivariate_normal", mean, root @ root.T + np.eye(len(root)), **kwargs)


def roots():
    sizes = [(1, None), (2, 3), (3, (2, 2)), (4, ()), (2, 0), (3, [1]), (2, (2, 1, 2))] * 6
    return [((values(n), values(n, n, seed=k)), {"size": size, "method": "cholesky"}) for k, (n, size) in enumerate(sizes)]


MOVES = {
    "permutation": [plain(), plain(1, shape=(2, 3)), plain(axis=-1, shape=(2, 3, 4))],
    "shuffle":     [plain(), plain(1, shape=(2, 3)), plain(axis=-1, shape=(2, 3, 4))],
    "permuted":    [plain(), plain(axis=0), plain(axis=-1, shape=(2, 3))],
    "choice":      [plain(), plain(3), plain((2, 3)), plain(2, False), plain(4, axis=-1, shape=(2, 3)),
                    plain((2, 2), shuffle=False, axis=1, shape=(2, 3)), plain(3, p=[0.5, 0.25, 0.25], shape=(3, 2))],
}  # fmt: skip

ORDERS = [plain(), plain(1), plain(order=2), plain(3)]


def positive(samples):
    """The same with positive numbers in place of all."""
    for (x, *_), _ in samples:
        x[...] = abs(x) + 0.2
    return samples


SAMPLES = {f"random.{name}": partial(parameters, domains, 40 if f"random.{name}" in gn.ops.define.operations else 16)
           for name, domains in DOMAINS.items()}  # fmt: skip
SAMPLES |= {f"random.{name}": partial(cross, [(5,), (2, 3), (3, 1, 4)], options, least=12) for name, options in MOVES.items()}
SAMPLES["random.multivariate_normal"] = roots
SAMPLES["log_gamma_slope"] = lambda: positive(cross([(), (1,), (0,), (5,), (2, 3)], ORDERS, (np.float64, np.float32)))

CALLS = {name: partial(draw, name.partition(".")[2]) for name in SAMPLES if name.startswith("random.")} | {
    "random.shuffle": shuffled, "random.multivariate_normal": normal_vectors}  # fmt: skip

ERRORS = {
    "random.weibull": [((values(3),), {"size": 2}, ValueError, "Output size|a < 0")],
    "random.normal":  [((values(3), values(4)), {}, ValueError, "broadcast"), ((values(3), -np.ones(3)), {}, ValueError, "scale < 0"),
                       ((values(3),), {"size": 2}, ValueError, "broadcast|not compatible")],
    "random.uniform": [((np.ones(2), np.zeros(2)), {}, ValueError, "high - low")],
}  # fmt: skip

ELSEWHERE = dict.fromkeys([f"random.{name}" for name in """beta dirichlet f noncentral_chisquare noncentral_f standard_gamma standard_t vonmises
    wald""".split()], "tests/test_random.py")  # fmt: skip
