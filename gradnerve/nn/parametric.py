"""Activations as layers, with numbers that one chooses, or that are learned.

Read next: functional/activations.py.
"""

import warnings

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn.activation import InPlace
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory

__all__ = [
    "CELU", "ELU", "GELU", "Hardshrink", "Hardtanh", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "Softplus", "Softshrink", "Threshold",
]  # fmt: skip


def shown(inplace):
    """The end of a repr."""
    return ", inplace=True" if inplace else ""


class LeakyReLU(Module):
    """x where it is positive, and else `negative_slope` times x.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.LeakyReLU(0.5)(np.array([-2.0, 4.0])).round(4)
    array([-1.,  4.])
    """

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}{shown(self.inplace)}"


class RReLU(Module):
    """x where it is positive, and else x times a slope: a random one for each element in training, and after ``eval()`` the mean of both bounds.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.RReLU(0.5, 0.5)(np.array([-2.0, 4.0])).round(4)
    array([-1.,  4.])
    """

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False, *, generator=None):
        super().__init__()
        self.lower, self.upper, self.inplace, self.generator = lower, upper, inplace, generator

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace, generator=self.generator)

    def extra_repr(self):
        return f"lower={self.lower}, upper={self.upper}{shown(self.inplace)}"


class ELU(Module):
    """x where it is positive, and else ``alpha * (exp(x) - 1)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ELU(0.5)(np.array([-2.0, 4.0])).round(4)
    array([-0.4323,  4.    ])
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return f"alpha={self.alpha}{shown(self.inplace)}"


class CELU(Module):
    """x where it is positive, and else ``alpha * (exp(x / alpha) - 1)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.CELU(0.5)(np.array([-2.0, 4.0])).round(4)
    array([-0.4908,  4.    ])
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return f"alpha={self.alpha}{shown(self.inplace)}"


class Threshold(Module):
    """x where it is larger than `threshold`, and else `value`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Threshold(1, 7.0)(np.array([-2.0, 4.0])).round(4)
    array([7., 4.])
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return f"threshold={self.threshold}, value={self.value}{shown(self.inplace)}"


class Hardtanh(Module):
    """x, moved into the interval from `min_val` to `max_val`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Hardtanh()(np.array([-2.0, 0.5]))
    array([-1. ,  0.5])
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        if min_value is not None or max_value is not None:
            warnings.warn("Hardtanh: min_value and max_value are now min_val and max_val", FutureWarning, stacklevel=2)
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if not self.min_val < self.max_val:
            raise ValueError(f"{type(self).__name__}: max_val must be larger than min_val, but got {self.max_val} and {self.min_val}")

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return f"min_val={self.min_val}, max_val={self.max_val}{shown(self.inplace)}"


class ReLU6(Hardtanh):
    """x, moved into the interval from 0 to 6.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReLU6()(np.array([-2.0, 4.0, 8.0]))
    array([0., 4., 6.])
    """

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def forward(self, input):
        return F.relu6(input, self.inplace)

    extra_repr = InPlace.extra_repr


class Hardshrink(Module):
    """0 from ``-lambd`` to `lambd`, and x outside.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Hardshrink(3)(np.array([-2.0, 4.0])).round(4)
    array([0., 4.])
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return f"{self.lambd}"


class Softshrink(Module):
    """0 from ``-lambd`` to `lambd`, and outside x, moved towards 0 by `lambd`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softshrink(3)(np.array([-2.0, 4.0])).round(4)
    array([0., 1.])
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.softshrink(input, self.lambd)

    def extra_repr(self):
        return f"{self.lambd}"


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``; x itself where beta times x is larger than `threshold`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softplus(2)(np.array([-2.0, 4.0])).round(4)
    array([0.0091, 4.0002])
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class GELU(Module):
    """x times the probability that a normal draw is below x; 'tanh' is a formula that comes near.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.GELU()(np.array([-2.0, 4.0])).round(4)
    array([-0.0455,  3.9999])
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class PReLU(Module):
    """x where it is positive, and else x times a slope that is learned.

    num_parameters  1, or one for each channel, which is axis 1 of the input
    init            the slopes at first

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.PReLU()(np.array([-2.0, 4.0])).data
    array([-0.5,  4. ])
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.empty(num_parameters, factory(device, dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Make all slopes what they were at first."""
        self.weight.data[...] = self.init

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"
