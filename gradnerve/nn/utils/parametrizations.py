"""Parametrizations that are often wanted, as `torch.nn.utils.parametrizations`.

Read next: norms.py, for what they compute.
"""

import math

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.functional import stop_gradient
from gradnerve.nn.functional.checks import require
from gradnerve.nn.module import Module
from gradnerve.nn.utils.norms import as_matrix, axis_of_outputs, directed, directions, divided, lengths, normalized
from gradnerve.nn.utils.parametrize import register_parametrization
from gradnerve.random import generator_of
from gradnerve.tensor import asarray, no_grad

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def weight_norm(module, name="weight", dim=0):
    """Let the weight be ``g * v / |v|``, where `g` and `v` are "parametrizations.NAME.original0" and "original1"; returns the module.

    >>> import gradnerve as gn
    >>> layer = weight_norm(gn.nn.Linear(20, 40))
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _WeightNorm(Module):
    """A weight of its lengths and its directions."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = dim

    def forward(self, weight_g, weight_v):
        return directed(weight_g, weight_v, self.dim)

    def right_inverse(self, weight):
        return lengths(weight, self.dim), weight


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None, *, generator=None):
    """Divide the weight by its largest singular value, of which each reading in training mode makes a better estimate; returns the module.

    >>> import numpy as np, gradnerve as gn
    >>> layer = spectral_norm(gn.nn.Linear(20, 40), n_power_iterations=50)
    >>> bool(abs(np.linalg.norm(layer.weight.data, 2) - 1) < 0.02)
    True
    """
    if getattr(module, name, None) is None:
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter or buffer {name!r}")
    dim = axis_of_outputs(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(getattr(module, name), n_power_iterations, dim, eps, generator=generator))


class _SpectralNorm(Module):
    """A weight over its largest singular value; a vector over its length."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12, *, generator=None):
        super().__init__()
        require(-weight.ndim <= dim < weight.ndim, f"spectral_norm: there is no axis {dim}", weight=weight)
        if n_power_iterations < 1:
            raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, not {n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            u, v = directions(weight, self.dim, eps, generator)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self.improve(weight, 15)

    def improve(self, weight, times):
        matrix = as_matrix(weight._array, self.dim)
        for _ in range(times):
            self._u.data[...] = normalized(matrix @ self._v.data, self.eps)
            self._v.data[...] = normalized(matrix.T @ self._u.data, self.eps)

    def forward(self, weight):
        if weight.ndim == 1:
            return weight / np.maximum(np.sqrt(np.sum(weight * weight)), self.eps)
        if self.training:
            self.improve(weight, self.n_power_iterations)
        return divided(weight, self._u, self._v, self.dim)

    def right_inverse(self, value):
        return value


# --- orthogonal matrices ---------------------------------------------------------------------------------------------

MAPS = ("matrix_exp", "cayley", "householder")


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True, generator=None):
    """Let the weight be an orthogonal matrix, or one of orthogonal columns (or rows, if there are fewer of these); returns the module.

    orthogonal_map      "matrix_exp" or "cayley", of a skew-symmetric matrix, or "householder", a product of reflections; by default the first
                        for square matrices and the last for others
    use_trivialization  the original is what has changed since the start, or since an assignment
    generator           for the columns that complete a matrix with fewer columns than rows

    Source: Lezcano-Casado 2019, "Trivializations for gradient-based optimization on manifolds".

    >>> import numpy as np, gradnerve as gn
    >>> w = orthogonal(gn.nn.Linear(20, 40, dtype=np.float64)).weight.data
    >>> bool(np.allclose(w.T @ w, np.eye(20)))
    True
    """
    weight = getattr(module, name, None)
    if weight is None:
        raise ValueError(f"orthogonal: {type(module).__name__} has no parameter or buffer {name!r}")
    require(weight.ndim >= 2, "orthogonal: takes a matrix, or many in its last two axes", weight=weight)
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(f"orthogonal: orthogonal_map must be one of {', '.join(MAPS)}, not {orthogonal_map!r}")
    return register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization, generator), unsafe=True)


class _Orthogonal(Module):
    """An orthogonal matrix, from any numbers below the diagonal."""

    def __init__(self, weight, orthogonal_map, use_trivialization=True, generator=None):
        super().__init__()
        self.shape, self.orthogonal_map, self.moves, self.generator = weight.shape, orthogonal_map, use_trivialization, generator
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x):
        transposed = x.shape[-2] < x.shape[-1]
        x = np.swapaxes(x, -1, -2) if transposed else x
        q = reflected(x) if self.orthogonal_map == "householder" else rotated(x, exponential if self.orthogonal_map == "matrix_exp" else cayley)
        q = self.base @ q if self.moves else q
        return np.swapaxes(q, -1, -2) if transposed else q

    def right_inverse(self, value):
        """Zeros below the diagonal, as the value becomes the base; without a base, the reflections that make it."""
        require(value.shape == self.shape, f"orthogonal: a matrix of shape {self.shape} is expected", value=value)
        q = value._array if isinstance(value, TensorBase) else np.asarray(value)
        transposed = q.shape[-2] < q.shape[-1]
        q = np.swapaxes(q, -1, -2) if transposed else q
        if not self.moves:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(f"orthogonal: {self.orthogonal_map} takes no start without use_trivialization")
            found = reflections(q)
            return np.swapaxes(found, -1, -2) if transposed else found
        rows, columns = q.shape[-2:]
        if rows != columns:
            q = np.concatenate([q, generator_of(self.generator).normal(size=(*q.shape[:-1], rows - columns)).astype(q.dtype)], axis=-1)
        if rows != columns or not np.allclose(np.swapaxes(q, -1, -2) @ q, np.eye(rows), atol=10 * rows * np.finfo(q.dtype).eps):
            q, r = np.linalg.qr(q)
            q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
        with no_grad():
            self.base = asarray(np.array(q))
        return np.broadcast_to(-np.eye(*value.shape[-2:], dtype=q.dtype), value.shape)


def rotated(x, function):
    """The first columns of a function of a skew-symmetric matrix."""
    rows, columns = x.shape[-2:]
    x = np.tril(x)
    if rows != columns:
        x = np.concatenate([x, np.zeros((*x.shape[:-1], rows - columns), x.dtype)], axis=-1)
    return function(x - np.swapaxes(x, -1, -2))[..., :columns]


def cayley(a):
    """``(1 - a/2)^-1 (1 + a/2)``"""
    one = np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(one - a / 2, one + a / 2)


def exponential(a):
    """The exponential of a matrix: its series at a small fraction of it, and then squared again and again."""
    with no_grad():
        size = float(np.abs(a.detach()._array if isinstance(a, TensorBase) else a).sum(-1).max(initial=0))
    squarings = max(0, math.ceil(math.log2(size)) + 1) if size else 0
    one, a = np.eye(a.shape[-1], dtype=a.dtype), a * 0.5**squarings
    result = one
    for k in range(16, 0, -1):  # 0.5**17 / 17! is below the rounding error
        result = one + a @ result / k
    for _ in range(squarings):
        result = result @ result
    return result


def reflected(x):
    """The first columns of a product of reflections, whose vectors are the columns below the diagonal: ``1 - v t v.T`` (Joffrain et al. 2006)."""
    columns = x.shape[-1]
    v = np.tril(x, -1) + np.eye(*x.shape[-2:], dtype=x.dtype)
    inner = np.swapaxes(v, -1, -2) @ v
    inverse = np.triu(inner, 1) + np.eye(columns, dtype=x.dtype) * inner / 2
    q = np.eye(*x.shape[-2:], dtype=x.dtype) - v @ np.linalg.solve(inverse, np.swapaxes(v[..., :columns, :], -1, -2))
    return q * np.trunc(stop_gradient(np.diagonal(x, axis1=-2, axis2=-1)))[..., None, :]


def reflections(q):
    """What `reflected` makes the orthogonal factor of this of, with signs on the diagonal."""
    found = np.empty(q.shape, q.dtype)
    for place in np.ndindex(q.shape[:-2]):
        h, tau = np.linalg.qr(q[place], mode="raw")
        a = h.T
        diagonal = np.arange(a.shape[1])
        signs = np.sign(a[diagonal, diagonal])
        a[diagonal, diagonal] = np.where(tau == 0, -signs, signs)
        found[place] = a
    return found
