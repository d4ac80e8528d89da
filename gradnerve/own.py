"""Operations of your own: `custom_gradient`.

Read next: docs/own_operations.md.
"""

from gradnerve._general import Custom


def custom_gradient(f):
    """Decorator: an operation of your own, from a function that returns its value and its pullback.

    f         takes arrays, and returns ``(value, pullback)``
    pullback  takes the gradient of the value, an array of its shape, and returns one gradient for each argument (a tuple,
              unless there is one argument only), of that argument's shape; None counts as zero

    Raises TypeError for a wrong number of gradients and ShapeError for a wrong shape, during backward. It can be
    differentiated once.

    >>> from gradnerve import Tensor
    >>> @custom_gradient
    ... def cube(x):
    ...     return x ** 3, lambda g: 3 * x * x * g
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    array(12.)
    """
    return Custom(f)
