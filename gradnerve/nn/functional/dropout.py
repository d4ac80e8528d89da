"""Dropout: elements or whole channels become 0 at random while a network learns, and the others grow, so that the mean stays.

One multiplication is recorded, and keeps its mask, in the dtype of the input. Under `vmap` every example has its own mask.

Read next: linear.py.
"""

import math
import warnings

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.batching import hidden
from gradnerve.dispatch import written
from gradnerve.nn.functional.checks import require
from gradnerve.random import generator_of
from gradnerve.tensor import asarray

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

SELU_FLOOR = 1.7580993408473766  # minus what selu gives far to the left


def placed(input, result, name):
    """What ``inplace=True`` means: `input` stands for the result from now on."""
    if isinstance(input, TensorBase):
        return written(input, asarray(result), f"{name}(inplace=True)")
    input[...] = result
    return input


def noise(like, shape, draw):
    """``draw(shape)``; where the tensor `like` stands for many examples, such an array for each."""
    if not (isinstance(like, TensorBase) and like._is_batched):
        return draw(shape)
    return hidden(asarray(noise(like.inner, (like.level.size, *shape), draw)), like.level)


def mask_of(input, shape, p, scale, generator):
    """0 with probability `p`, which is rounded to 32 bits, and else `scale`."""
    rng, scale = generator_of(generator), input.dtype.type(scale)

    def draw(shape):
        size = math.prod(shape)
        bits = rng.integers(0, 2**64, (size + 1) // 2, np.uint64).view(np.uint32)[:size]
        return np.multiply(bits >= round(p * 2**32), scale).reshape(shape)

    return noise(input, shape, draw)


def dropped(name, input, p, training, inplace, generator, axes=None, alpha=False):
    """The work of all functions here: what lies at the same place in the first `axes` shares its fate, to be 0 or selu's lowest value."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")
    if input.dtype.kind not in "fc":
        raise TypeError(f"{name}: input must hold floats, not {input.dtype}")
    if not training or p == 0:
        return input
    shape = input.shape if axes is None else (*input.shape[:axes], *[1] * (input.ndim - axes))
    if p == 1:
        result = input * 0.0
    elif alpha:
        scale = ((1 - p) * (1 + p * SELU_FLOOR**2)) ** -0.5
        result = (input + SELU_FLOOR) * mask_of(input, shape, p, scale, generator) + SELU_FLOOR * scale * (p - 1)
    else:
        result = input * mask_of(input, shape, p, 1 / (1 - p), generator)
    return placed(input, result, name) if inplace else result


def dropout(input, p=0.5, training=True, inplace=False, *, generator=None):
    """Elements become 0 with probability `p`, and the others are divided by ``1 - p``; without `training`, the input itself.

    input      floats, of any shape
    generator  whose random numbers decide: of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.functional.dropout(np.ones(1000), 0.2, generator=np.random.default_rng(0))
    >>> np.unique(x), bool(abs(x.mean() - 1) < 0.05)
    (array([0.  , 1.25]), True)
    """
    return dropped("dropout", input, p, training, inplace, generator)


def alpha_dropout(input, p=0.5, training=False, inplace=False, *, generator=None):
    """The dropout that goes with selu: elements get its lowest value, and a line through all keeps mean 0 and variance 1.

    Its formula is that of Klambauer et al., Self-Normalizing Neural Networks, 2017.

    >>> import numpy as np, gradnerve as gn
    >>> rng = np.random.default_rng(0)
    >>> x = gn.nn.functional.alpha_dropout(rng.normal(size=10000), 0.2, True, generator=rng)
    >>> bool(abs(x.mean()) < 0.05), bool(abs(x.var() - 1) < 0.05)
    (True, True)
    """
    return dropped("alpha_dropout", input, p, training, inplace, generator, alpha=True)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False, *, generator=None):
    """`alpha_dropout` of whole channels, of an input (N, C, ...).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.functional.feature_alpha_dropout(np.zeros((2, 3, 4, 4)), 0.2, True)
    >>> bool((x == x[:, :, :1, :1]).all())
    True
    """
    require(input.ndim >= 2, "feature_alpha_dropout: input must be (N, C, ...)", input=input)
    return dropped("feature_alpha_dropout", input, p, training, inplace, generator, 2, alpha=True)


def dropout1d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """`dropout` of whole channels, of an input (N, C, L) or (C, L).

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.functional.dropout1d(np.ones((2, 3, 4)))
    >>> bool((x == x[:, :, :1]).all())
    True
    """
    require(input.ndim in (2, 3), "dropout1d: input must be (N, C, L) or (C, L)", input=input)
    return dropped("dropout1d", input, p, training, inplace, generator, input.ndim - 1)


def dropout2d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """`dropout` of whole channels, of an input (N, C, H, W).

    As PyTorch, it takes an input of three axes for (N, C, L), and warns; it warns of any other number of axes, too.

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.functional.dropout2d(np.ones((2, 3, 4, 4)))
    >>> bool((x == x[:, :, :1, :1]).all())
    True
    """
    require(input.ndim >= 2, "dropout2d: input must be (N, C, H, W)", input=input)
    if input.ndim == 3:
        warnings.warn("dropout2d: takes an input of 3 axes for (N, C, L); dropout1d does so without a warning", stacklevel=2)
    warn_of_axes("dropout2d", input, "(N, C, H, W)", (3, 4))
    return dropped("dropout2d", input, p, training, inplace, generator, 2)


def dropout3d(input, p=0.5, training=True, inplace=False, *, generator=None):
    """`dropout` of whole channels, of an input (N, C, D, H, W) or (C, D, H, W); it warns of any other number of axes.

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.nn.functional.dropout3d(np.ones((3, 4, 4, 4)))
    >>> bool((x == x[:, :1, :1, :1]).all())
    True
    """
    require(input.ndim >= 1, "dropout3d: input must be (N, C, D, H, W) or (C, D, H, W)", input=input)
    warn_of_axes("dropout3d", input, "(N, C, D, H, W) or (C, D, H, W)", (4, 5))
    return dropped("dropout3d", input, p, training, inplace, generator, 2 if input.ndim == 5 else 1)


def warn_of_axes(name, input, layout, expected):
    if input.ndim not in expected:
        warnings.warn(f"{name}: input should be {layout}, and has shape {tuple(input.shape)}; use dropout instead", stacklevel=3)
