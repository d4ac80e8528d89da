"""NumPy's functions that write into their first argument: `copyto`, `put`, `place`...

A Tensor has value semantics: its name stands for the new value, and what was computed from the old one keeps its gradient. A leaf
that requires grad refuses (outside `no_grad`), and so does an ndarray that is to take tracked values.

Read next: creation.py.
"""

import inspect
from functools import wraps

import numpy as np

from gradnerve import _engine
from gradnerve._engine import TensorBase, ValuesNeeded
from gradnerve.ops.define import implements
from gradnerve.ops.indexing import setitem
from gradnerve.ops.shapes import astype, broadcast_to, cycled, numbered, reshape, where
from gradnerve.ops.values import array_of, batched, holds_tensors, value

__all__ = ["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"]


def writes(function):
    """Decorator: this function gives the value that NumPy's leaves in its first argument, for the case that a gradient is asked for."""

    def decorate(value_of):
        signature = inspect.signature(value_of)

        @wraps(value_of)
        def write(*args, **kwargs):
            arguments = signature.bind(*args, **kwargs)
            arguments.apply_defaults()
            target, *others = (joined(x) for x in arguments.args)
            if batched(*others) and not batched(target):
                raise ValuesNeeded(f"{function.__name__} writes into what is the same for all examples")
            if batched(target):
                return target._become(value_of(target, *others))
            plains = [value(x) for x in others]
            if not _engine.recording() or not any(getattr(x, "requires_grad", False) for x in (target, *others)):
                return function(target.data if isinstance(target, TensorBase) else target, *plains)
            check(function.__name__, target)
            function(np.empty_like(target._array), *plains)  # or NumPy's error
            return target._become(value_of(target, *others))

        return implements(function)(write)

    return decorate


def joined(x):
    """Tensors in nested lists as one Tensor."""
    return array_of(x) if holds_tensors(x) else x


def check(name, target):
    """Refuse what would lose a gradient."""
    if not isinstance(target, TensorBase):
        raise TypeError(f"{name}: a tensor that requires grad cannot be written into an ndarray: its gradient would be lost.\n"
                        "  to keep the gradient:  make the target a Tensor\n"
                        "  to store the value:    pass t.data")  # fmt: skip
    if target.dtype.kind not in "fc":
        raise TypeError(f"{name}: a tensor of {target.dtype} cannot take a tracked value: it has no gradient; use astype(float)")
    _engine.check_not_leaf(target, name)


def write_row(x, index, values):
    """`x` with values written at these places in one row."""
    return reshape(setitem(reshape(x, -1), index, values), x.shape)


@writes(np.copyto)
def copyto(dst, src, casting="same_kind", where=True):
    """Write `src` into a Tensor, where the mask holds, as `np.copyto`.

    >>> import gradnerve as gn
    >>> x = gn.Tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 3
    >>> copyto(y, 0.0, where=[True, False])
    >>> y.sum().backward()
    >>> x.grad
    array([0., 3.])
    """
    return chosen(where, src, dst)


def chosen(mask, values, x):
    """`x` with the values where the mask holds."""
    values = astype(array_of(values), x.dtype, copy=False)
    values = reshape(values, values.shape[max(values.ndim - x.ndim, 0):])  # an assignment lets further axes of length 1 pass
    return where(mask, broadcast_to(values, x.shape), x)


@writes(np.putmask)
def putmask(a, mask, values):
    """Write values where the mask holds, each from its own place (over and over if they are fewer), as `np.putmask`.

    >>> x = np.zeros(4)
    >>> putmask(x, [True, False, False, True], [1, 2, 3])
    >>> x
    array([1., 0., 0., 1.])
    """
    mask = reshape(mask, a.shape)
    return chosen(mask, reshape(cycled(values, a.size), a.shape), a) if np.size(values) else +a


@writes(np.place)
def place(arr, mask, vals):
    """Write the next value (over and over if they are fewer) wherever the mask holds, as `np.place`.

    >>> x = np.zeros(4)
    >>> place(x, [True, False, False, True], [1, 2])
    >>> x
    array([1., 0., 0., 2.])
    """
    mask = np.reshape(value(mask), -1).astype(bool)
    return write_row(arr, mask, cycled(vals, np.count_nonzero(mask)))


@writes(np.put)
def put(a, ind, v, mode="raise"):
    """Write values to elements given by their numbers in one row, as `np.put`.

    >>> x = np.zeros((2, 2))
    >>> put(x, [0, -1], [1, 2])
    >>> x
    array([[1., 0.],
           [0., 2.]])
    """
    places = numbered(a).take(value(ind), mode=mode)
    return write_row(a, places.reshape(-1), cycled(v, places.size)) if np.size(v) else +a


@writes(np.put_along_axis)
def put_along_axis(arr, indices, values, axis):
    """Write values to the elements that `np.take_along_axis` takes, as `np.put_along_axis`.

    >>> x = np.zeros((2, 2))
    >>> put_along_axis(x, np.array([[1], [0]]), 5, axis=1)
    >>> x
    array([[0., 5.],
           [5., 0.]])
    """
    places = np.take_along_axis(numbered(arr), value(indices), axis)
    return write_row(arr, places, cycled(values, places.size) if axis is None else values)


@writes(np.fill_diagonal)
def fill_diagonal(a, val, wrap=False):
    """Write values to the diagonal, as `np.fill_diagonal`.

    >>> x = np.zeros((2, 2))
    >>> fill_diagonal(x, [1, 2])
    >>> x
    array([[1., 0.],
           [0., 2.]])
    """
    mask = np.zeros(a.shape, bool)
    np.fill_diagonal(mask, True, wrap)
    return write_row(a, mask.reshape(-1), cycled(val, np.count_nonzero(mask)))
