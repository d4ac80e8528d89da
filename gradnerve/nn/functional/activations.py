"""Activations: elementwise functions between the layers of a network; those with sums are in softmaxes.py.

`input` has any shape. ``inplace=True`` means that the tensor that was given stands for the result from now on, as do the names with a `_`
behind. No value or derivative overflows, however large x is.

Read next: softmaxes.py; ../../ops/activations.py for formulas and derivatives.
"""

from functools import wraps

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.nn.functional.dropout import noise, placed
from gradnerve.ops import activations as ops
from gradnerve.ops import network
from gradnerve.ops.shapes import reshape
from gradnerve.random import generator_of

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


def number(name, option, value):
    """An option as a Python number, so that the result keeps the dtype of the input; a Tensor would lose its gradient."""
    if type(value) in (float, int):
        return value
    if np.ndim(value) or not hasattr(value, "__float__") or getattr(value, "requires_grad", False):
        raise TypeError(f"{name}: {option} must be a number, not {value!r}")
    return float(value)


# --- in pieces -------------------------------------------------------------------------------------------------------


def relu(input, inplace=False):
    """x where it is positive, and else 0.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    result = network.relu(input)
    return placed(input, result, "relu") if inplace else result


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where it is positive, and else `negative_slope` times x.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.leaky_relu(np.array([-2.0, 3.0]))
    array([-0.02,  3.  ])
    """
    result = ops.leaky(input, number("leaky_relu", "negative_slope", negative_slope))
    return placed(input, result, "leaky_relu") if inplace else result


def prelu(input, weight):
    """x where it is positive, and else `weight` times x.

    weight  a single number for all, of shape () or (1,), or one for each channel, which is axis 1 of the input

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.prelu(np.array([[-2.0, -2.0]]), np.array([0.5, 0.25]))
    array([[-1. , -0.5]])
    """
    require(weight.ndim <= 1, "prelu: weight must be a number or have one axis", input=input, weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    require(weight.size in (1, channels), f"prelu: weight must have 1 element, or one for each of {channels} channels (axis 1 of input)",
            input=input, weight=weight)  # fmt: skip
    shape = (-1, *[1] * (input.ndim - 2)) if input.ndim > 1 else (1,) * input.ndim
    return ops.leaky(input, reshape(weight, shape))


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False, *, generator=None):
    """x where it is positive, and else x times a slope: in training a random one for each element, and else the mean of `lower` and `upper`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.rrelu(np.array([-3.0, 2.0]), 0.0, 1.0)
    array([-1.5,  2. ])
    """
    if not lower <= upper:
        raise ValueError(f"rrelu: lower must not be larger than upper, but got {lower} and {upper}")
    slope = (number("rrelu", "lower", lower) + number("rrelu", "upper", upper)) / 2
    if training:
        rng = generator_of(generator)
        slope = noise(input, input.shape, lambda shape: rng.uniform(lower, upper, shape).astype(input.dtype))
    result = ops.leaky(input, slope)
    return placed(input, result, "rrelu") if inplace else result


def elu(input, alpha=1.0, inplace=False):
    """x where it is positive, and else ``alpha * (exp(x) - 1)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.elu(np.array([-1000.0, 3.0]), 0.5)
    array([-0.5,  3. ])
    """
    result = ops.elu(input, number("elu", "alpha", alpha))
    return placed(input, result, "elu") if inplace else result


def celu(input, alpha=1.0, inplace=False):
    """x where it is positive, and else ``alpha * (exp(x / alpha) - 1)``: `elu` with the slope 1 on both sides of 0.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.celu(np.array([-1000.0, 3.0]), 0.5)
    array([-0.5,  3. ])
    """
    if alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    result = ops.celu(input, number("celu", "alpha", alpha))
    return placed(input, result, "celu") if inplace else result


def selu(input, inplace=False):
    """A multiple of `elu` that keeps mean 0 and variance 1 from layer to layer: Klambauer et al., Self-Normalizing Neural Networks, 2017.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.selu(np.array([-1000.0, 1.0])).round(4)
    array([-1.7581,  1.0507])
    """
    result = ops.selu(input)
    return placed(input, result, "selu") if inplace else result


def threshold(input, threshold, value, inplace=False):
    """x where it is larger than `threshold`, and else `value`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.threshold(np.array([1.0, 2.0, 3.0]), 2, -1)
    array([-1., -1.,  3.])
    """
    result = np.where(input <= number("threshold", "threshold", threshold), number("threshold", "value", value), input)
    return placed(input, result, "threshold") if inplace else result


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x, moved into the interval from `min_val` to `max_val`; its derivative at these two is 0.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.hardtanh(np.array([-2.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not be larger than max_val, but got {min_val} and {max_val}")
    result = ops.at_most(ops.at_least(input, number("hardtanh", "min_val", min_val)), number("hardtanh", "max_val", max_val))
    return placed(input, result, "hardtanh") if inplace else result


def relu6(input, inplace=False):
    """x, moved into the interval from 0 to 6.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.relu6(np.array([-2.0, 3.0, 8.0]))
    array([0., 3., 6.])
    """
    result = ops.at_most(network.relu(input), 6.0)
    return placed(input, result, "relu6") if inplace else result


def hardsigmoid(input, inplace=False):
    """A line from 0 at -3 to 1 at 3, and constant outside: ``relu6(x + 3) / 6``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.hardsigmoid(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    result = ops.hardsigmoid(input)
    return placed(input, result, "hardsigmoid") if inplace else result


def hardswish(input, inplace=False):
    """x times `hardsigmoid` of x.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.hardswish(np.array([-4.0, 1.5, 4.0]))
    array([0.   , 1.125, 4.   ])
    """
    result = ops.hardswish(input)
    return placed(input, result, "hardswish") if inplace else result


def hardshrink(input, lambd=0.5):
    """0 from ``-lambd`` to `lambd`, and x outside.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.hardshrink(np.array([-2.0, 0.25, 0.5]))
    array([-2.,  0.,  0.])
    """
    return ops.hardshrink(input, number("hardshrink", "lambd", lambd))


def softshrink(input, lambd=0.5):
    """0 from ``-lambd`` to `lambd`, and outside x, moved towards 0 by `lambd`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.softshrink(np.array([-2.0, 0.25, 2.0]))
    array([-1.5,  0. ,  1.5])
    """
    if not lambd >= 0:
        raise ValueError(f"softshrink: lambd must be 0 or larger, not {lambd}")
    return ops.softshrink(input, number("softshrink", "lambd", lambd))


# --- smooth ----------------------------------------------------------------------------------------------------------


def gelu(input, approximate="none"):
    """x times the probability that a normal draw is below x; 'tanh' is a formula that comes near.

    Both are those of Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.gelu(np.array([-1.0, 1.0])).round(4)
    array([-0.1587,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return ops.gelu(input) if approximate == "none" else ops.gelu_tanh(input)


def silu(input, inplace=False):
    """x times `sigmoid` of x, also known as swish.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.silu(np.array([-1000.0, 1.0])).round(4)
    array([-0.    ,  0.7311])
    """
    result = ops.silu(input)
    return placed(input, result, "silu") if inplace else result


def mish(input, inplace=False):
    """x times the tanh of `softplus` of x.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.mish(np.array([-1.0, 1.0])).round(4)
    array([-0.3034,  0.8651])
    """
    result = ops.mish(input)
    return placed(input, result, "mish") if inplace else result


def sigmoid(input):
    """1 / (1 + exp(-x)).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return network.sigmoid(input)


def logsigmoid(input):
    """The logarithm of `sigmoid`, also where that is too small for a number.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.logsigmoid(np.array([-1000.0, 1000.0]))
    array([-1000.,     0.])
    """
    return ops.logsigmoid(input)


def tanh(input):
    """The hyperbolic tangent, `np.tanh`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return np.tanh(input)


def tanhshrink(input):
    """x less its `tanh`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.tanhshrink(np.array([0.0, 1000.0]))
    array([  0., 999.])
    """
    return ops.tanhshrink(input)


def softplus(input, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta * x)) / beta``; x itself where beta times x is larger than `threshold`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.softplus(np.array([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    return ops.softplus(input, threshold) if beta == 1 else ops.softplus(input * beta, threshold) / beta


def softsign(input):
    """x / (1 + abs(x)).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return ops.softsign(input)


def glu(input, dim=-1):
    """The first half of the input along an axis, times `sigmoid` of the second: Dauphin et al., Gated Convolutional Networks, 2017.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.glu(np.array([2.0, 4.0, 0.0, 1000.0]))
    array([1., 4.])
    """
    require(-input.ndim <= dim < input.ndim, f"glu: input must have the axis dim={dim}", input=input)
    require(input.shape[dim] % 2 == 0, f"glu: the length of axis dim={dim}, which is halved, must be even", input=input)
    index, half = (slice(None),) * (dim % input.ndim), input.shape[dim] // 2
    return ops.gated(input[(*index, slice(half))], input[(*index, slice(half, None))])


# --- in place --------------------------------------------------------------------------------------------------------


def in_place(function):
    """The function with ``inplace=True``."""

    @wraps(function)
    def changed(input, *args, **kwargs):
        return function(input, *args, inplace=True, **kwargs)

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"`{function.__name__}` in place: the tensor that is given stands for the result from now on."
    return changed


celu_, elu_, hardtanh_, leaky_relu_ = map(in_place, (celu, elu, hardtanh, leaky_relu))
relu_, rrelu_, selu_, threshold_ = map(in_place, (relu, rrelu, selu, threshold))
