"""Where parameters begin: the functions of `torch.nn.init`.

Each fills a tensor in place, outside of the graph, and returns it. What is random takes `generator`, of NumPy's or of `gn.random`;
without one, the numbers come from the generator that `gn.manual_seed` seeds.

Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal), Martens 2010 (sparse),
Zagoruyko and Komodakis 2017 (dirac).

Read next: linear.py.
"""

import math

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.random import generator_of

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "fans", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "orthogonal_", "sparse_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


def filled(tensor, values):
    """The tensor, with these values."""
    tensor.data[...] = values
    return tensor


# --- numbers that are given ------------------------------------------------------------------------------------------


def constant_(tensor, val):
    """Fill with a number.

    >>> import gradnerve as gn
    >>> constant_(gn.nn.Parameter([0.0, 0.0]), 0.5).tolist()
    [0.5, 0.5]
    """
    return filled(tensor, val)


def zeros_(tensor):
    """Fill with zeros.

    >>> import gradnerve as gn
    >>> zeros_(gn.nn.Parameter([1.0, 2.0])).tolist()
    [0.0, 0.0]
    """
    return filled(tensor, 0)


def ones_(tensor):
    """Fill with ones.

    >>> import gradnerve as gn
    >>> ones_(gn.nn.Parameter([1.0, 2.0])).tolist()
    [1.0, 1.0]
    """
    return filled(tensor, 1)


def eye_(tensor):
    """Fill a matrix with ones on the diagonal and zeros elsewhere.

    >>> import gradnerve as gn
    >>> eye_(gn.zeros((2, 3))).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    require(tensor.ndim == 2, "eye_: takes a matrix", tensor=tensor)
    return filled(tensor, np.eye(*tensor.shape))


def dirac_(tensor, groups=1):
    """Fill the weight of a convolution such that it passes on its input channels, as many as there are outputs in each group.

    Shape: ``(out_channels, in_channels / groups, *kernel)`` with 1 to 3 axes of the kernel, of which the middle is 1.

    >>> import gradnerve as gn
    >>> dirac_(gn.zeros((2, 2, 3))).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    require(3 <= tensor.ndim <= 5, "dirac_: takes the weight of a convolution, of 3, 4 or 5 axes", tensor=tensor)
    require(tensor.shape[0] % groups == 0, f"dirac_: the first axis must be a multiple of the {groups} groups", tensor=tensor)
    outputs, inputs, *kernel = tensor.shape
    each = outputs // groups
    channel = np.arange(min(each, inputs))
    values = np.zeros((groups, each, inputs, *kernel))
    values[(slice(None), channel, channel, *(k // 2 for k in kernel))] = 1
    return filled(tensor, values.reshape(tensor.shape))


# --- random numbers of a given scale ---------------------------------------------------------------------------------


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fill with numbers from the interval [a, b).

    >>> import gradnerve as gn
    >>> w = uniform_(gn.zeros(1000), -1.0, 1.0)
    >>> bool(abs(w.data.mean()) < 0.1)
    True
    """
    return filled(tensor, generator_of(generator).uniform(a, b, tensor.shape))


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fill with normal numbers.

    >>> import gradnerve as gn
    >>> w = normal_(gn.zeros(1000), std=0.1)
    >>> bool(abs(w.data.std() - 0.1) < 0.02)
    True
    """
    return filled(tensor, generator_of(generator).normal(mean, std, tensor.shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fill with normal numbers, but only such from the interval [a, b].

    >>> import gradnerve as gn
    >>> w = trunc_normal_(gn.zeros(1000), std=0.1, a=-0.1, b=0.1)
    >>> bool(abs(w.data).max() <= 0.1)
    True
    """
    if not a <= b or std < 0:
        raise ValueError(f"trunc_normal_: needs a <= b and std >= 0, not a={a}, b={b}, std={std}")
    if std == 0 or a == b:
        return filled(tensor, min(max(mean, a), b))
    values = truncated(generator_of(generator), tensor.size, (a - mean) / std, (b - mean) / std)
    return filled(tensor, np.clip(mean + std * values, a, b).reshape(tensor.shape))


def truncated(generator, n, low, high):
    """Standard normal numbers between two limits: numbers are proposed, and taken as often as the density there says.

    The proposals are normal where the interval has most of these, and else uniform. Behind the end, densities are below exp(-40) times the largest.
    """
    share = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    peak = min(max(low, 0.0), high)
    end = math.sqrt(peak * peak + 80)
    low, high = max(low, -end), min(high, end)
    parts, missing = [np.zeros(0)], n
    while missing:
        many = int(1.1 * missing) + 100
        if share > 0.25:
            x = generator.normal(size=many)
            x = x[(x >= low) & (x <= high)]
        else:
            x = generator.uniform(low, high, many)
            x = x[generator.uniform(size=many) < np.exp((peak * peak - x * x) / 2)]
        parts.append(x[:missing])
        missing -= len(parts[-1])
    return np.concatenate(parts)


# --- random numbers of the scale that suits a layer ------------------------------------------------------------------


def fans(tensor, name="fans"):
    """How many numbers each output of a layer with this weight is computed from, and how many each input goes to.

    >>> import numpy as np
    >>> fans(np.ones((16, 3, 5, 5)))  # of a convolution
    (75, 400)
    """
    require(tensor.ndim >= 2, f"{name}: takes a weight of at least 2 axes, outputs and inputs", tensor=tensor)
    outputs, inputs, *kernel = tensor.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
GAINS.update({f"conv{transposed}{n}d": 1.0 for transposed in ("", "_transpose") for n in (1, 2, 3)})


def calculate_gain(nonlinearity, param=None):
    """The factor by which weights before this function are larger than before none.

    nonlinearity  "linear", "conv1d" ..., "sigmoid", "tanh", "relu", "leaky_relu" or "selu"
    param         the slope of "leaky_relu", by default 0.01

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: param must be a number, the slope of leaky_relu, not {param!r}")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in GAINS:
        raise ValueError(f"calculate_gain: nonlinearity must be one of {', '.join(GAINS)} and leaky_relu, not {nonlinearity!r}")
    return GAINS[nonlinearity]


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fill with numbers from [-a, a), where ``a = gain * sqrt(6 / (fan_in + fan_out))``.

    >>> import gradnerve as gn
    >>> w = xavier_uniform_(gn.zeros((3, 3)))
    >>> bool(abs(w.data).max() <= 1)
    True
    """
    bound = gain * math.sqrt(6 / max(sum(fans(tensor, "xavier_uniform_")), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fill with normal numbers of standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``.

    >>> import gradnerve as gn
    >>> xavier_normal_(gn.zeros((3, 3))).shape
    (3, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor, "xavier_normal_")), 1)), generator)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with numbers from [-b, b), where ``b = gain * sqrt(3 / fan)``, with the gain of `calculate_gain`.

    a     the slope of "leaky_relu"
    mode  which fan: "fan_in" keeps the size of what goes forward, "fan_out" that of gradients

    >>> import gradnerve as gn
    >>> w = kaiming_uniform_(gn.zeros((5, 3)), nonlinearity="linear")
    >>> bool(abs(w.data).max() <= 1)
    True
    """
    bound = math.sqrt(3) * kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with normal numbers of standard deviation ``gain / sqrt(fan)``; arguments as of `kaiming_uniform_`.

    >>> import gradnerve as gn
    >>> kaiming_normal_(gn.zeros((5, 3)), mode="fan_out", nonlinearity="relu").shape
    (5, 3)
    """
    return normal_(tensor, 0.0, kaiming("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def kaiming(name, tensor, a, mode, nonlinearity):
    """The standard deviation of He et al."""
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', not {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans(tensor, name)[modes.index(mode)], 1))


def orthogonal_(tensor, gain=1, generator=None):
    """Fill with a random (semi-)orthogonal matrix times `gain`; all axes but the first count as one.

    >>> import numpy as np, gradnerve as gn
    >>> w = orthogonal_(gn.zeros((2, 5))).data
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """
    require(tensor.ndim >= 2, "orthogonal_: takes a tensor of at least 2 axes", tensor=tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(generator_of(generator).normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diagonal(r) < 0, -1, 1)  # without this, not all matrices are equally likely
    return filled(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fill a matrix with normal numbers, and in each column so large a share of zeros as `sparsity` says.

    >>> import numpy as np, gradnerve as gn
    >>> w = sparse_(gn.zeros((10, 3)), sparsity=0.2)
    >>> int(np.count_nonzero(w.data))
    24
    """
    require(tensor.ndim == 2, "sparse_: takes a matrix", tensor=tensor)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be from 0 to 1, not {sparsity!r}")
    draw = generator_of(generator)
    values = draw.normal(0.0, std, tensor.shape)
    some = np.argsort(draw.uniform(size=tensor.shape), axis=0)[: math.ceil(sparsity * tensor.shape[0])]
    np.put_along_axis(values, some, 0.0, axis=0)
    return filled(tensor, values)
