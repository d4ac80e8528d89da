"""What the functions of networks ask of their arguments, and say when it does not hold.

Read next: activations.py.
"""

from gradnerve._engine import ShapeError
from gradnerve.ops.reductions import mean, sum

AXES = ("L", "H, W", "D, H, W")  # of sequences, images and volumes


def rows(arrays):
    """The lines of an error that show what came: name, shape and dtype of each array."""
    width = max(map(len, arrays), default=0)
    shown = (f"\n    {name:{width}}  {tuple(x.shape)} {x.dtype}" for name, x in arrays.items() if hasattr(x, "dtype"))
    return "".join(shown)


def require(holds, message, **arrays):
    """Raise ShapeError with the message, and the shapes of the arrays below it, unless it holds."""
    if not holds:
        raise ShapeError(message + rows(arrays))


def tuple_of(value, n, what):
    """``n`` whole numbers, of one number for all or of a sequence of as many; `what` begins the error."""
    values = tuple(value) if isinstance(value, (tuple, list)) or getattr(value, "ndim", 0) else (value,) * n
    if len(values) != n or not all(hasattr(v, "__index__") for v in values):
        raise ValueError(f"{what} must be a whole number or {n} of them, not {value!r}")
    return tuple(v.__index__() for v in values)


REDUCTIONS = {"none": lambda each: each, "mean": mean, "sum": sum}


def reduced(each, reduction, name):
    """The loss of all elements: their mean, their sum, or each by itself."""
    return REDUCTIONS[known(reduction, name)](each)


def known(reduction, name):
    """The word, if it is one."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return reduction
