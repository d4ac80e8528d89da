"""Linear and Bilinear: products with a matrix that is learnt.

Read next: activation.py.
"""

import math

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn import init
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory

__all__ = ["Bilinear", "Linear"]


class Linear(Module):
    """``input @ weight.T + bias``, of an input (*, in_features) to (*, out_features).

    weight, bias  (out_features, in_features) and (out_features,), at first uniform between plus and minus 1 / sqrt(in_features)
    generator     for these first values

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.Linear(3, 4)
    >>> layer(np.ones((5, 3), "f")).shape, layer
    ((5, 4), Linear(in_features=3, out_features=4, bias=True))
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None, *, generator=None):
        super().__init__()
        dtype = factory(device, dtype)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.register_parameter("bias", Parameter(np.empty(out_features, dtype)) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw the first values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``input1 @ weight[k] @ input2 + bias[k]``, of inputs (*, in1_features) and (*, in2_features) to (*, out_features).

    weight, bias  (out_features, in1_features, in2_features) and (out_features,), at first uniform between plus and minus 1 / sqrt(in1_features)
    generator     for these first values

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Bilinear(2, 3, 4)(np.ones((5, 2), "f"), np.ones((5, 3), "f")).shape
    (5, 4)
    """

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None, *, generator=None):
        super().__init__()
        dtype = factory(device, dtype)
        if in1_features <= 0:
            raise ValueError(f"Bilinear: in1_features must be positive, not {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), dtype))
        self.register_parameter("bias", Parameter(np.empty(out_features, dtype)) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        """Draw the first values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound, generator=generator)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")  # fmt: skip
