"""Activations as layers: each calls the function of its name in `gn.nn.functional`, with the options that it was made with.

Read next: parametric.py.
"""

from gradnerve.nn import functional as F
from gradnerve.nn.functional.checks import require
from gradnerve.nn.module import Module

__all__ = [
    "GLU", "SELU", "Hardsigmoid", "Hardswish", "LogSigmoid", "LogSoftmax", "Mish", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softmax2d",
    "Softmin", "Softsign", "Tanh", "Tanhshrink",
]  # fmt: skip


# --- without options, or with `inplace` alone ------------------------------------------------------------------------


class InPlace(Module):
    """A layer whose only option is that its input may stand for the result from now on."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ReLU(InPlace):
    """x where it is positive, and else 0.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReLU()(np.array([-2.0, 4.0])).round(4)
    array([0., 4.])
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class SELU(InPlace):
    """A multiple of `ELU` that keeps mean 0 and variance 1 from layer to layer.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.SELU()(np.array([-2.0, 4.0])).round(4)
    array([-1.5202,  4.2028])
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class SiLU(InPlace):
    """x times sigmoid(x).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.SiLU()(np.array([-2.0, 4.0])).round(4)
    array([-0.2384,  3.9281])
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(InPlace):
    """x times tanh(softplus(x)).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Mish()(np.array([-2.0, 4.0])).round(4)
    array([-0.2525,  3.9974])
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class Hardsigmoid(InPlace):
    """A line from 0 at -3 to 1 at 3, and constant outside.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Hardsigmoid()(np.array([-2.0, 4.0])).round(4)
    array([0.1667, 1.    ])
    """

    extra_repr = Module.extra_repr  # PyTorch's says nothing

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)


class Hardswish(InPlace):
    """x times hardsigmoid(x).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Hardswish()(np.array([-2.0, 4.0])).round(4)
    array([-0.3333,  4.    ])
    """

    extra_repr = Module.extra_repr  # PyTorch's says nothing

    def forward(self, input):
        return F.hardswish(input, self.inplace)


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Sigmoid()(np.array([-2.0, 4.0])).round(4)
    array([0.1192, 0.982 ])
    """

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Module):
    """The logarithm of `Sigmoid`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.LogSigmoid()(np.array([-2.0, 4.0])).round(4)
    array([-2.1269, -0.0181])
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Tanh()(np.array([-2.0, 4.0])).round(4)
    array([-0.964 ,  0.9993])
    """

    def forward(self, input):
        return F.tanh(input)


class Tanhshrink(Module):
    """x less its tanh.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Tanhshrink()(np.array([-2.0, 4.0])).round(4)
    array([-1.036 ,  3.0007])
    """

    def forward(self, input):
        return F.tanhshrink(input)


class Softsign(Module):
    """x / (1 + abs(x)).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softsign()(np.array([-2.0, 4.0])).round(4)
    array([-0.6667,  0.8   ])
    """

    def forward(self, input):
        return F.softsign(input)


# --- along an axis ---------------------------------------------------------------------------------------------------


class AlongAxis(Module):
    """A layer whose option is an axis."""

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax(AlongAxis):
    """Positive numbers with sum 1 along the axis `dim`: exp(x), divided by its sum.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softmax(dim=0)(np.array([0.0, np.log(3.0)]))
    array([0.25, 0.75])
    """

    def forward(self, input):
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(AlongAxis):
    """`Softmax` of minus the input.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softmin(dim=0)(np.array([0.0, np.log(3.0)]))
    array([0.75, 0.25])
    """

    def forward(self, input):
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(AlongAxis):
    """The logarithm of `Softmax`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.LogSoftmax(dim=0)(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """`Softmax` over the channels at each place, of an input (N, C, H, W) or (C, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.Softmax2d()(np.zeros((2, 1, 1))).ravel()
    array([0.5, 0.5])
    """

    def forward(self, input):
        require(input.ndim in (3, 4), "Softmax2d: input must be (N, C, H, W) or (C, H, W)", input=input)
        return F.softmax(input, -3)


class GLU(AlongAxis):
    """The first half of the input along the axis `dim`, times sigmoid of the second.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.GLU()(np.array([2.0, 4.0, 0.0, 1000.0]))
    array([1., 4.])
    """

    def __init__(self, dim=-1):
        super().__init__(dim)

    def forward(self, input):
        return F.glu(input, self.dim)
