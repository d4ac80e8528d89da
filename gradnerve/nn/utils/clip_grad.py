"""Gradients that are too large: their norm, and two ways to clip them, in place.

They work on `.grad` of each parameter that requires grad, which is zeros where no backward pass came.

Read next: vectors.py.
"""

import math

import numpy as np

from gradnerve._engine import TensorBase

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale all gradients by one factor, such that their norm, of all together, is at most `max_norm`; gives the norm before.

    norm_type           the order of the norm: a number, or ``float("inf")`` for the largest absolute value
    error_if_nonfinite  raise RuntimeError if the norm is nan or infinite
    foreach             without effect

    >>> import numpy as np, gradnerve as gn
    >>> p = gn.nn.Parameter([0.0, 0.0])
    >>> p.grad = np.array([3.0, 4.0])
    >>> float(clip_grad_norm_(p, max_norm=1.0))
    5.0
    >>> p.grad.round(3).tolist()
    [0.6, 0.8]
    """
    parameters = listed(parameters)
    total = get_total_norm([p.grad for p in parameters if p.requires_grad], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all arrays or Tensors together, a NumPy number.

    >>> float(get_total_norm([np.array([3.0]), np.array([[4.0]])]))
    5.0
    """
    order = float(norm_type)
    arrays = [t._array if isinstance(t, TensorBase) else np.asarray(t) for t in listed(tensors)]
    norms = [np.linalg.norm(a.reshape(-1), order) for a in arrays if a.size or abs(order) != math.inf]
    total = np.linalg.norm(norms, order).astype(np.result_type(*norms)) if norms else np.float64(0)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(f"the total norm of order {order} of the gradients is {total}, so they cannot be clipped; to scale them all the same, "
                           "let error_if_nonfinite be False")  # fmt: skip
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale all gradients by ``max_norm / total_norm`` if that is less than 1."""
    factor = float(max_norm) / (float(total_norm) + 1e-6)
    for p in listed(parameters):
        if p.requires_grad and not factor >= 1:  # also nan
            gradient = p.grad
            with np.errstate(invalid="ignore"):  # inf times 0
                np.multiply(gradient, factor, out=gradient)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Move every element of the gradients into the interval from ``-clip_value`` to `clip_value`.

    >>> import numpy as np, gradnerve as gn
    >>> p = gn.nn.Parameter([0.0, 0.0])
    >>> p.grad = np.array([3.0, -0.4])
    >>> clip_grad_value_(p, 0.5)
    >>> p.grad.tolist()
    [0.5, -0.4]
    """
    for p in listed(parameters):
        if p.requires_grad:
            gradient = p.grad
            np.clip(gradient, -float(clip_value), float(clip_value), out=gradient)


def listed(tensors):
    """A list of the tensors, or of the only one."""
    return [tensors] if isinstance(tensors, (TensorBase, np.ndarray)) else list(tensors)
