"""Layers that leave out at random while a network learns; after ``eval()`` they give their input back.

Read next: functional/dropout.py.
"""

from gradnerve.nn import functional as F
from gradnerve.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class Leaving(Module):
    """What the layers here share: how likely something is left out, and whose random numbers decide."""

    def __init__(self, p=0.5, inplace=False, *, generator=None):
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: dropout probability has to be between 0 and 1, but got {p}")
        super().__init__()
        self.p, self.inplace, self.generator = p, inplace, generator

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(Leaving):
    """Elements become 0 with probability `p`, and the others are divided by ``1 - p``.

    generator  of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.Dropout(0.2)
    >>> np.unique(layer(np.ones(1000))), layer.eval()(np.ones(2))
    (array([0.  , 1.25]), array([1., 1.]))
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace, generator=self.generator)


class Dropout1d(Leaving):
    """`Dropout` of whole channels, of an input (N, C, L) or (C, L).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.Dropout1d(0.2)(np.ones((2, 3, 4)))
    >>> bool((x == x[:, :, :1]).all())
    True
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace, generator=self.generator)


class Dropout2d(Leaving):
    """`Dropout` of whole channels, of an input (N, C, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.Dropout2d(0.2)(np.ones((2, 3, 4, 4)))
    >>> bool((x == x[:, :, :1, :1]).all())
    True
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace, generator=self.generator)


class Dropout3d(Leaving):
    """`Dropout` of whole channels, of an input (N, C, D, H, W) or (C, D, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.Dropout3d(0.2)(np.ones((3, 4, 4, 4)))
    >>> bool((x == x[:, :1, :1, :1]).all())
    True
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace, generator=self.generator)


class AlphaDropout(Leaving):
    """The dropout that goes with `SELU`: mean 0 and variance 1 stay. As in PyTorch, it never works in place.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.AlphaDropout(0.2)(np.zeros((2, 3))).shape
    (2, 3)
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training, generator=self.generator)


class FeatureAlphaDropout(Leaving):
    """`AlphaDropout` of whole channels, of an input (N, C, ...).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.FeatureAlphaDropout(0.2)(np.zeros((2, 3, 4, 4)))
    >>> bool((x == x[:, :, :1, :1]).all())
    True
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training, generator=self.generator)
