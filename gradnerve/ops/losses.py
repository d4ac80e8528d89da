"""Losses that compare two arrays element by element, each one operation: x is the input, y the target.

Where a loss has a kink, its derivative is PyTorch's. Read next: ../nn/functional/losses.py, which reduces them.
"""

from functools import lru_cache

import numpy as np

from gradnerve.ops.define import elementwise
from gradnerve.ops.network import sigmoid

# --- distances -------------------------------------------------------------------------------------------------------


@lru_cache(64)
def smooth_l1(beta):
    """The squared error, divided by 2 beta, up to a distance of beta, and the absolute error beyond."""

    def smooth_l1(x, y):
        far = np.abs(x - y)
        return np.where(far < beta, far * far * (0.5 / beta), far - 0.5 * beta)

    return elementwise(smooth_l1, x=slope(beta, 1 / beta), y=slope(beta, -1 / beta))


@lru_cache(64)
def huber(delta):
    """Half the squared error up to a distance of delta, and beyond it delta times the absolute error, less what makes it continuous."""

    def huber(x, y):
        far = np.abs(x - y)
        return np.where(far < delta, 0.5 * far * far, delta * (far - 0.5 * delta))

    return elementwise(huber, x=slope(delta, 1), y=slope(delta, -1))


def slope(end, factor):
    """The line of what is a square up to a distance, and goes straight on from there."""
    edge = factor * end

    def line(g, x, y):
        far = x - y
        return g * np.where(np.abs(far) < end, far * factor, np.sign(far) * edge)

    return line


smooth_l1(1.0), huber(1.0)

# --- probabilities ---------------------------------------------------------------------------------------------------

LEAST = -100  # PyTorch's bounds of a logarithm, and of a variance
LEAST_VARIANCE = float(np.float32(1e-12))


def log(x):
    """The logarithm of a probability, of 0 as well."""
    return np.where(x > 0, np.maximum(np.log(np.where(x > 0, x, 1)), LEAST), LEAST)


def log_of_rest(x):
    """The logarithm of 1 - x."""
    return np.where(x < 1, np.log1p(np.where(x < 1, -x, 0)), LEAST)


def binary_entropy(x, y):
    return (y - 1) * log_of_rest(x) - y * log(x)


def softplus(x):
    """log(1 + exp(x))"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def logit_entropy(x, y):
    return (1 - y) * x + softplus(-x)


def soft_margin(x, y):
    return softplus(-x * y)


def log_of_positive(x):
    return np.log(np.where(x > 0, x, 1))


def divergence(x, y):
    return y * (log_of_positive(y) - x)


def log_divergence(x, y):
    return np.exp(y) * (y - x)


def log_poisson(x, y):
    return np.exp(x) - y * x


binary_entropy = elementwise(binary_entropy, x=lambda g, x, y: g * (x - y) / np.maximum((1 - x) * x, LEAST_VARIANCE),
                                             y=lambda g, x: g * (log_of_rest(x) - log(x)))
logit_entropy  = elementwise(logit_entropy,  x=lambda g, x, y: g * (sigmoid(x) - y), y=lambda g, x: -g * x)
soft_margin    = elementwise(soft_margin,    x=lambda g, x, y: -g * y * sigmoid(-x * y), y=lambda g, x, y: -g * x * sigmoid(-x * y))
divergence     = elementwise(divergence,     x=lambda g, y: -g * y, y=lambda g, x, y: g * (np.where(y > 0, log_of_positive(y) + 1, -np.inf) - x))
log_divergence = elementwise(log_divergence, x=lambda g, y: -g * np.exp(y), y=lambda g, x, y: g * np.exp(y) * (1 + y - x))
log_poisson    = elementwise(log_poisson,    x=lambda g, x, y: g * (np.exp(x) - y), y=lambda g, x: -g * x)

# --- margins ---------------------------------------------------------------------------------------------------------


def hinge(x):
    return np.maximum(x, 0)


hinge = elementwise(hinge, masks=True, x=lambda g, x: np.where(x >= 0, g, 0))  # unlike relu, it has a slope of 1 at 0


@lru_cache(64)
def at_least(eps):
    """No less than eps; the gradient passes as if nothing had been done."""

    def at_least(x):
        return np.maximum(x, eps)

    return elementwise(at_least, x=lambda g: g)


at_least(1e-6)
