"""What an argument is: a Tensor, a list with Tensors in it, an array, a number.

Read next: shapes.py.
"""

import numpy as np

from gradnerve._engine import TensorBase, holds_tensors, recording
from gradnerve.tree import endless

__all__ = ["any_tensor", "array_of", "batched", "holds_tensors", "of_all_examples", "stand_in", "tensor_like", "tracked", "value", "values", "wanted"]


def any_tensor(*xs):
    """Whether there are Tensors among these."""
    return any(isinstance(x, TensorBase) for x in xs)


def batched(*xs):
    """Whether there are Tensors among these that stand for many examples, under `vmap`."""
    return any(isinstance(x, TensorBase) and x._is_batched for x in xs)


def stand_in(x):
    """The value of a Tensor, or zeros if it stands for many examples: for what asks for shape and dtype only, or for NumPy's error."""
    return np.zeros(x.shape, x.dtype) if batched(x) else value(x)


def wanted(x):
    """Whether this is a Tensor to which gradients flow."""
    return isinstance(x, TensorBase) and x.requires_grad


def tracked(*xs):
    """Whether what is computed from these is recorded."""
    return recording() and any(map(wanted, xs))


def value(x):
    """The array of a Tensor, without its history; anything else as it is."""
    return x._array if isinstance(x, TensorBase) else x


def of_all_examples(x):
    """The same, also of a Tensor that stands for one of many examples under vmap: the values of all of them."""
    while isinstance(x, TensorBase) and x._is_batched:
        x = x.inner
    return value(x)


def values(x):
    """The same, also in lists and tuples."""
    try:
        return type(x)(map(values, x)) if type(x) in (list, tuple) else value(x)
    except RecursionError:
        raise endless(x) from None


def tensor_like(x):
    """A Tensor or an array as it is, anything else as an array."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def array_of(x, *, like=()):
    """A Tensor as it is, Tensors in nested lists as one, and anything else as an array, or a Tensor if `like` holds one."""
    if isinstance(x, TensorBase):
        return x
    like = next(tensors([x, *like]), None)
    return np.asarray(x) if like is None else np.asarray(x, like=like)


def tensors(x):
    """The Tensors in nested lists."""
    try:
        for part in x:
            if isinstance(part, TensorBase):
                yield part
            elif isinstance(part, (list, tuple)):
                yield from tensors(part)
    except RecursionError:
        raise endless(x) from None
