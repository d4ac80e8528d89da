"""Probabilities along an axis: softmax, its logarithm, and draws that have a gradient.

Read next: dropout.py.
"""

import warnings

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.nn.functional.checks import rows
from gradnerve.nn.functional.dropout import noise
from gradnerve.ops import network
from gradnerve.ops.shapes import reshape
from gradnerve.ops.values import tensor_like
from gradnerve.random import generator_of

__all__ = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


def axis_of(name, input, dim, stacklevel):
    """The axis `dim`; without one, PyTorch's choice, and its warning."""
    if dim is None:
        warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
                      stacklevel=stacklevel)  # fmt: skip
        return 0 if input.ndim in (0, 1, 3) else 1
    axes = max(input.ndim, 1)
    if not -axes <= dim < axes:
        raise IndexError(f"{name}: dim must be from {-axes} to {axes - 1}, not {dim}" + rows({"input": input}))
    return dim


def along(operation, name, input, dim, stacklevel, dtype):
    """softmax or its logarithm along an axis; an input without axes is taken for one of a single element."""
    input = tensor_like(input) if dtype is None else tensor_like(input).astype(dtype)
    dim = axis_of(name, input, dim, stacklevel + 1)
    return operation(input, dim) if input.ndim else reshape(operation(reshape(input, (1,)), 0), ())


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Positive numbers with sum 1 along the axis `dim`: exp(x), divided by its sum.

    dim    without it, axis 0 of an input of 0, 1 or 3 axes, and else 1; PyTorch warns that one should say it, and so does this
    dtype  to which the input is converted first

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.softmax(np.array([0.0, np.log(3.0)]), dim=0)
    array([0.25, 0.75])
    """
    return along(network.softmax, "softmax", input, dim, _stacklevel, dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """`softmax` of minus the input.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.softmin(np.array([0.0, np.log(3.0)]), dim=0)
    array([0.75, 0.25])
    """
    return along(network.softmax, "softmin", -input, dim, _stacklevel, dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of `softmax`, also where that is too small for a number.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.log_softmax(np.array([0.0, 1000.0]), dim=0)
    array([-1000.,     0.])
    """
    return along(network.log_softmax, "log_softmax", input, dim, _stacklevel, dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1, *, generator=None):
    """Draws from the probabilities ``softmax(logits)`` that have a gradient: the softmax of logits with Gumbel noise, divided by `tau`.

    tau   near 0, a draw is nearly 1 for one class and 0 for the others
    hard  exactly so, with the gradient that it would have otherwise
    eps   has no effect, as in PyTorch

    The formula is that of Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.gumbel_softmax(np.array([0.0, 100.0, 0.0]), hard=True)
    array([0., 1., 0.])
    """
    if eps != 1e-10:
        warnings.warn("gumbel_softmax: eps is deprecated and has no effect", stacklevel=2)
    if logits.dtype.kind != "f":
        raise TypeError(f"gumbel_softmax: logits must hold floats, not {logits.dtype}")
    dim, rng = axis_of("gumbel_softmax", logits, dim, 3), generator_of(generator)
    drawn = np.float64 if logits.dtype == np.float64 else np.float32
    gumbels = noise(logits, logits.shape, lambda shape: -np.log(rng.standard_exponential(shape, drawn)).astype(logits.dtype))
    soft = softmax((logits + gumbels) / tau, dim)
    return straight_through(soft, dim) if hard else soft


def straight_through(soft, dim):
    """1 at the largest along the axis and else 0, with the gradient of `soft`."""
    places = np.arange(soft.shape[dim] if soft.ndim else 1)
    places = places.reshape([-1 if k == dim % soft.ndim else 1 for k in range(soft.ndim)])
    hot = (np.expand_dims(np.argmax(soft, dim), dim) == places).astype(soft.dtype)
    return hot + (soft - soft.detach()) if isinstance(soft, TensorBase) else hot
