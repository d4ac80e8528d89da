"""Weights that are computed from others: by their lengths and directions, or divided by their largest singular value.

A module computes such a weight each time that it is read, so there is no copy of it that could be out of date.

Sources: Salimans and Kingma 2016 (weight normalization), Miyato et al. 2018 (spectral normalization).

Read next: parametrize.py, which does this for any function.
"""

from dataclasses import dataclass

import numpy as np

from gradnerve._engine import TensorBase, wrap
from gradnerve.nn.parameter import Parameter
from gradnerve.random import generator_of
from gradnerve.tensor import no_grad

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


def weight_norm(module, name="weight", dim=0):
    """Let the weight be ``g * v / |v|``, where `name` + "_g" and `name` + "_v" are the parameters in its place; returns the module.

    dim  the axis along which each slice has its own length; None, or as in PyTorch -1, for one length of the whole

    >>> import gradnerve as gn
    >>> layer = weight_norm(gn.nn.Linear(20, 40))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('bias', (40,)), ('weight_g', (40, 1)), ('weight_v', (40, 20))]
    """
    weight = taken("weight_norm", module, name)
    module.register_parameter(f"{name}_g", Parameter(lengths(weight.data, dim), weight.requires_grad))
    module.register_parameter(f"{name}_v", weight)
    module._computed[name] = WeightNorm(name, dim)
    return module


def remove_weight_norm(module, name="weight"):
    """Let the weight be a parameter again, as it is now; returns the module."""
    return removed("weight_norm", module, name, WeightNorm, "_g", "_v")


@dataclass
class WeightNorm:
    """A weight of its lengths and its directions."""

    name: str
    dim: int | None

    def __call__(self, module):
        return directed(getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v"), self.dim)


def lengths(v, dim):
    """The norm of each slice along an axis, which stays."""
    if dim in (None, -1):
        return np.sqrt(np.sum(v * v))
    return np.sqrt(np.sum(v * v, axis=tuple(k for k in range(v.ndim) if k != dim % v.ndim), keepdims=True))


def directed(g, v, dim):
    """What has the lengths `g` and the directions of `v`."""
    return v * (g / lengths(v, dim))


# --- singular values -------------------------------------------------------------------------------------------------


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None, *, generator=None):
    """Divide the weight by its largest singular value, of which each call in training mode makes a better estimate; returns the module.

    n_power_iterations  how much better
    dim                 the axis of the outputs, whose slices are the rows of the matrix; by default 0, for transposed convolutions 1

    The parameter is `name` + "_orig", and buffers `name` + "_u" and `name` + "_v" have the singular vectors.

    >>> import gradnerve as gn
    >>> layer = spectral_norm(gn.nn.Linear(20, 40))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, not {n_power_iterations}")
    weight = taken("spectral_norm", module, name)
    how = SpectralNorm(name, n_power_iterations, axis_of_outputs(module) if dim is None else dim, eps)
    module.register_parameter(f"{name}_orig", weight)
    for which, vector in zip("uv", directions(weight, how.dim, eps, generator), strict=True):
        module.register_buffer(f"{name}_{which}", vector)
    module._computed[name] = how
    how.handle = module.register_forward_pre_hook(how.improve)
    return module


def remove_spectral_norm(module, name="weight"):
    """Let the weight be a parameter again, as it is now; returns the module."""
    how = module._computed.get(name)
    if isinstance(how, SpectralNorm):
        how.handle.remove()
    return removed("spectral_norm", module, name, SpectralNorm, "_orig", "_u", "_v")


@dataclass
class SpectralNorm:
    """A weight over its largest singular value."""

    name: str
    n_power_iterations: int
    dim: int
    eps: float

    def __call__(self, module):
        weight, u, v = self.parts(module)
        return divided(weight, u, v, self.dim)

    def parts(self, module):
        return [getattr(module, self.name + which) for which in ("_orig", "_u", "_v")]

    def improve(self, module, args):
        if module.training:
            weight, u, v = self.parts(module)
            matrix = as_matrix(weight.data, self.dim)
            for _ in range(self.n_power_iterations):
                v.data[...] = normalized(matrix.T @ u.data, self.eps)
                u.data[...] = normalized(matrix @ v.data, self.eps)


def axis_of_outputs(module):
    return 1 if getattr(module, "transposed", False) else 0


def as_matrix(weight, dim):
    """The slices along an axis as rows."""
    return np.reshape(np.moveaxis(weight, dim, 0) if dim else weight, (weight.shape[dim], -1))


def normalized(x, eps):
    return x / max(np.linalg.norm(x), eps)


def directions(weight, dim, eps, generator):
    """Random vectors of length 1 for the outputs and for the inputs of a weight."""
    draw = generator_of(generator)
    return [wrap(normalized(draw.normal(size=n), eps).astype(weight.dtype), owned=True) for n in as_matrix(weight.data, dim).shape]


def divided(weight, u, v, dim):
    """The weight over ``u W v``, in which `u` and `v` count as constants."""
    return weight / (np.array(u.data) @ (as_matrix(weight, dim) @ np.array(v.data)))


# --- in and out of a module ------------------------------------------------------------------------------------------


def taken(what, module, name):
    """The parameter, which the module loses."""
    weight = module._parameters.get(name)
    if not isinstance(weight, TensorBase):
        raise ValueError(f"{what}: {type(module).__name__} has no parameter {name!r} (any more); it has {', '.join(module._parameters) or 'none'}")
    delattr(module, name)
    return weight


def removed(what, module, name, kind, *endings):
    """The module, with a parameter in place of what was computed."""
    if not isinstance(module._computed.get(name), kind):
        raise ValueError(f"remove_{what}: the {name!r} of {type(module).__name__} is not under {what}")
    with no_grad():
        weight = getattr(module, name)
    tracked = any(getattr(module, name + ending).requires_grad for ending in endings)
    del module._computed[name]
    for ending in endings:
        delattr(module, name + ending)
    module.register_parameter(name, Parameter(weight, tracked))
    return module
