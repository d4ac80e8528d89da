"""Functions of functions: `grad`; operations of your own: `custom_gradient`.

Read next: csrc/sweep.pyx, which walks the graph.
"""

from functools import wraps

import numpy as np

from gradnerve import _engine, _sweep
from gradnerve._engine import TensorBase, wrap
from gradnerve._general import Custom
from gradnerve.ops.arithmetic import positive
from gradnerve.tensor import Tensor, enable_grad


def grad(f, argnums=0):
    """The function that computes the gradient of `f`, a function with a result of size 1, by one or several arguments.

    argnums  the number of the argument, or a tuple of numbers: then the result is a tuple

    Arguments may be numbers, arrays or Tensors; the gradients are Tensors. They can be differentiated again.
    Raises TypeError for an argument that can have no gradient, or for a result that is no real scalar.

    >>> float(grad(lambda x: x ** 3)(2.0))
    12.0
    >>> float(grad(grad(lambda x: x ** 3))(2.0))
    12.0
    """
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)

    @wraps(f)
    def gradient(*args, **kwargs):
        args = list(args)
        for k in numbers:
            if not -len(args) <= k < len(args):
                raise TypeError(f"grad: argnums names argument {k}, but the function was called with {len(args)}")
            args[k] = watched(args[k], k)
        watching = [args[k] for k in numbers]
        with enable_grad():
            out = f(*args, **kwargs)
        shares = gradients(out, watching)
        return tuple(shares) if isinstance(argnums, tuple) else shares[0]

    return gradient


def watched(x, k):
    """The argument as a tensor of its own, linked to what it came from if that is tracked."""
    if isinstance(x, TensorBase) and x.requires_grad and _engine.recording():
        return positive(x)
    try:
        return Tensor(x, requires_grad=True)
    except TypeError as error:
        raise TypeError(f"grad: argument {k}: {error}") from None


def gradients(out, watching):
    """The gradient of `out` by each tensor; zeros where it does not depend on one."""
    if not isinstance(out, TensorBase) and (np.ndim(out) or np.asarray(out).dtype.kind not in "biufc"):
        raise TypeError(f"grad: the function must return a scalar, not {type(out).__name__} of shape {np.shape(out)}")
    if isinstance(out, TensorBase) and out.size != 1:
        raise TypeError(f"grad: the function must return a scalar, not a tensor of shape {out.shape}; return its sum, for the gradient of that")
    if np.iscomplexobj(out):
        raise TypeError("grad: the function must return a real number, not a complex one; return np.real(out) or np.abs(out)")
    tracked = isinstance(out, TensorBase) and out.requires_grad
    found = _sweep.gradients(out, watching) if tracked else [None] * len(watching)
    return [wrap(np.zeros(x.shape, x.dtype), owned=True) if g is None else g for g, x in zip(found, watching, strict=True)]


def custom_gradient(f):
    """Decorator: an operation of your own, from a function that returns its value and its pullback.

    f         takes arrays, and returns ``(value, pullback)``
    pullback  takes the gradient of the value, an array of its shape, and returns one gradient for each argument (a tuple,
              unless there is one argument only), of that argument's shape; None counts as zero

    Raises TypeError for a wrong number of gradients and ShapeError for a wrong shape, during backward. It can be
    differentiated once.

    >>> @custom_gradient
    ... def cube(x):
    ...     return x ** 3, lambda g: 3 * x * x * g
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    array(12.)
    """
    return Custom(f)
