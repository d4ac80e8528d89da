"""Normalization layers: what they learn, and the moments that they keep.

Read next: distance.py; functional/normalization.py, which does the work.
"""

import warnings

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn import init
from gradnerve.nn.functional.checks import require
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory
from gradnerve.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm",
           "LocalResponseNorm", "RMSNorm"]  # fmt: skip


class Normalizing(Module):
    """What all of these layers share: a weight, at first 1, and a bias, at first 0, of one shape; or neither, or no bias."""

    def make_parameters(self, shape, dtype, weight, bias):
        self.register_parameter("weight", Parameter(np.ones(shape, dtype)) if weight else None)
        self.register_parameter("bias", Parameter(np.zeros(shape, dtype)) if weight and bias else None)

    def reset_parameters(self):
        """Put the first values back."""
        if self.weight is not None:
            init.ones_(self.weight)
        if getattr(self, "bias", None) is not None:
            init.zeros_(self.bias)

    def extra_repr(self):
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)


# --- each channel by itself ------------------------------------------------------------------------------------------


class ByChannel(Normalizing):
    """Batch and instance normalization. `ranks`: of how many axes the input may be; `forms`: what these are."""

    shown = "eps", "momentum", "affine", "track_running_stats"

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias):
        super().__init__()
        dtype = factory(device, dtype)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.make_parameters(num_features, dtype, affine, bias)
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, dtype)) if track_running_stats else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, dtype)) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if track_running_stats else None)

    def reset_running_stats(self):
        """Forget all batches: mean 0 and variance 1."""
        if self.track_running_stats:
            self.running_mean.data[...] = self.num_batches_tracked.data[...] = 0
            self.running_var.data[...] = 1

    def reset_parameters(self):
        """Put the first values back, those of the moments, too."""
        self.reset_running_stats()
        super().reset_parameters()

    def check(self, input):
        require(np.ndim(input) in self.ranks, f"{type(self).__name__}: input must be {self.forms}", input=input)

    def extra_repr(self):
        names = self.shown[:3], self.shown[3:]
        before, after = (", ".join(f"{name}={getattr(self, name)}" for name in part) for part in names)
        return f"{self.num_features}, {before}, bias={self.bias is not None}, {after}"


class BatchNorm(ByChannel):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self.check(input)
        momentum, keeps = self.momentum or 0.0, self.training and self.track_running_stats
        if keeps and self.num_batches_tracked is not None:
            self.num_batches_tracked.data[...] += 1
            momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        mean, var = (self.running_mean, self.running_var) if keeps or not self.training else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(BatchNorm):
    """Each channel of an input (N, C) or (N, C, L) normalised over the batch, and by the running moments after ``eval()``.

    num_features         C
    momentum             how far the running moments move towards those of a batch; None: they are the mean of those of all batches
    affine, bias         whether there are `weight` and `bias`, of (C,)
    track_running_stats  whether there are `running_mean` and `running_var`, of (C,); without them, moments are always those of the batch

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.BatchNorm1d(3)
    >>> layer(np.eye(4, 3, dtype="f")).shape, layer.running_mean
    ((4, 3), Tensor([0.025, 0.025, 0.025], dtype=float32))
    """

    ranks, forms = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(BatchNorm):
    """As `BatchNorm1d`, of an input (N, C, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.BatchNorm2d(3)(np.zeros((2, 3, 4, 4), "f")).shape
    (2, 3, 4, 4)
    """

    ranks, forms = (4,), "(N, C, H, W)"


class BatchNorm3d(BatchNorm):
    """As `BatchNorm1d`, of an input (N, C, D, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.BatchNorm3d(3)(np.zeros((2, 3, 4, 4, 4), "f")).shape
    (2, 3, 4, 4, 4)
    """

    ranks, forms = (5,), "(N, C, D, H, W)"


class InstanceNorm(ByChannel):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self.check(input)
        alone = np.ndim(input) == self.ranks[0]
        channels = input.shape[not alone]
        if channels != self.num_features:
            message = f"{type(self).__name__}: input of shape {input.shape} has {channels} channels, not num_features={self.num_features}"
            if self.affine:
                raise ValueError(message)
            warnings.warn(message + ", which is not used because of affine=False", stacklevel=3)
        by_instance = self.training or not self.track_running_stats
        out = F.instance_norm(input[None] if alone else input, self.running_mean, self.running_var, self.weight, self.bias, by_instance,
                              self.momentum or 0.0, self.eps)  # fmt: skip
        return out[0] if alone else out


class InstanceNorm1d(InstanceNorm):
    """Each channel of each example, of an input (N, C, L) or (C, L), normalised by itself; arguments as those of `BatchNorm1d`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.InstanceNorm1d(2, eps=1e-12)(np.array([[1.0, 3.0], [7.0, 5.0]]))
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    ranks, forms = (2, 3), "(N, C, L) or (C, L)"


class InstanceNorm2d(InstanceNorm):
    """As `InstanceNorm1d`, of an input (N, C, H, W) or (C, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.InstanceNorm2d(3)(np.zeros((2, 3, 4, 4), "f")).shape
    (2, 3, 4, 4)
    """

    ranks, forms = (3, 4), "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(InstanceNorm):
    """As `InstanceNorm1d`, of an input (N, C, D, H, W) or (C, D, H, W).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.InstanceNorm3d(3)(np.zeros((2, 3, 4, 4, 4), "f")).shape
    (2, 3, 4, 4, 4)
    """

    ranks, forms = (4, 5), "(N, C, D, H, W) or (C, D, H, W)"


# --- channels of one example -----------------------------------------------------------------------------------------


class GroupNorm(Normalizing):
    """The channels of each example of an input (N, C, ...) in groups, each normalised by itself.

    num_groups, num_channels  the second, C, is a multiple of the first
    affine, bias              whether there are `weight` and `bias`, of (C,)

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.GroupNorm(2, 4, eps=1e-12)(np.array([[1.0, 3.0, 7.0, 5.0]])).data
    array([[-1.,  1.,  1., -1.]])
    """

    shown = "eps", "affine"

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.make_parameters(num_channels, factory(device, dtype), affine, bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, {super().extra_repr()}, bias={self.bias is not None}"


class LayerNorm(Normalizing):
    """The last axes of the input normalised by one mean and variance for each example.

    normalized_shape          their lengths, or a number for the last one
    elementwise_affine, bias  whether there are `weight` and `bias`, of that shape

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.LayerNorm(2, eps=1e-12)(np.array([[1.0, 3.0], [7.0, 5.0]])).data
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    shown = "eps", "elementwise_affine"

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = as_shape(normalized_shape), eps, elementwise_affine
        self.make_parameters(self.normalized_shape, factory(device, dtype), elementwise_affine, bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, {super().extra_repr()}, bias={self.bias is not None}"


class RMSNorm(Normalizing):
    """The last axes of the input divided by the root of their mean square.

    normalized_shape    their lengths, or a number for the last one
    eps                 is added to the mean square; None: the distance from 1 to the next number of the dtype
    elementwise_affine  whether there is `weight`, of that shape

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.RMSNorm(2)(np.array([1.0, 7.0])).data
    array([0.2, 1.4])
    """

    shown = "eps", "elementwise_affine"

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = as_shape(normalized_shape), eps, elementwise_affine
        self.register_parameter("weight", Parameter(np.ones(self.normalized_shape, factory(device, dtype))) if elementwise_affine else None)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, {super().extra_repr()}"


class LocalResponseNorm(Module):
    """Each element divided by ``(k + alpha * m) ** beta``, where m is the mean of the squares in `size` neighbouring channels of (N, C, ...).

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.LocalResponseNorm(2)
    LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def as_shape(shape):
    return (shape,) if hasattr(shape, "__index__") else tuple(shape)
