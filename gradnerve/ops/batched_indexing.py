"""Indexing for many examples at once: each with the same index, or with one of its own.

An index that differs between examples becomes an array of indices, beside the numbers of the examples. What makes this long is NumPy's
rule for the place of the axes that arrays make: theirs if the arrays stand side by side in the index, and first if they do not.

Read next: batched_products.py.
"""

import numpy as np

from gradnerve._engine import ValuesNeeded
from gradnerve.ops.batched import as_shape, moved, ndim, rule, with_ones
from gradnerve.ops.indexing import frozen
from gradnerve.ops.shapes import astype, reshape
from gradnerve.ops.values import tensor_like

# --- the parts of an index -------------------------------------------------------------------------------------------


def as_parts(index):
    """The parts of an index, with arrays in place of lists."""
    return tuple(frozen(part) if isinstance(part, list) else part for part in (index if isinstance(index, tuple) else (index,)))


def is_basic(part):
    return part is None or part is Ellipsis or isinstance(part, slice)


def is_mask(part):
    return isinstance(part, (bool, np.bool_)) or getattr(part, "dtype", None) == np.dtype(bool)


def axes_read(part):
    """How many axes a part of an index reads."""
    return 0 if part is None or part is Ellipsis else ndim(part) if is_mask(part) else 1


def axes_made(part):
    """How many axes what is no slice makes together with all its like."""
    return 0 if is_basic(part) else 1 if is_mask(part) else ndim(part)


def numbers(part, differs):
    """A mask as arrays of numbers."""
    if not is_mask(part):
        return (part,)
    if differs or not ndim(part):
        raise ValuesNeeded("what a mask selects has another size for each example; np.where(mask, x, 0) keeps the size")
    return part.nonzero()


# --- for all examples ------------------------------------------------------------------------------------------------


def index_of_all(call, x_ndim, whole):
    """The index that does for all examples what the call's does for one.

    x_ndim   the number of axes of one example of what it is applied to
    whole    whether that has the examples along its first axis

    Gives the index, the axes to move in what it reads, from where and to where, and the number of axes of one example of that.
    """
    parts = as_parts(call["index"])
    differs = any(map(call.differs, parts))
    if differs:
        parts = [number for part in parts for number in numbers(part, call.differs(part))]
    parts = [*parts] if any(part is Ellipsis for part in parts) else [*parts, Ellipsis]
    rest = x_ndim - sum(map(axes_read, parts))
    lengths = [rest if part is Ellipsis else int(is_basic(part)) for part in parts]
    places = [k for k, part in enumerate(parts) if not is_basic(part)]
    made = max(map(axes_made, parts))
    apart = bool(places) and places[-1] - places[0] >= len(places)
    first = 0 if apart or not places else sum(lengths[:places[0]])
    if not differs:
        return (slice(None), *parts), made if apart else 0, 0, sum(lengths) + made
    parts = [plain(with_ones(part.inner, made - part.ndim)) if call.differs(part) else part for part in parts]
    if whole:
        examples = np.arange(call.size).reshape(-1, *(1,) * made)
        return (examples, *parts), range(1, 1 + made), range(1 + first, 1 + first + made), sum(lengths) + made
    parts = parts[:-1] if parts[-1] is Ellipsis else parts
    return tuple(parts) if len(parts) > 1 else parts[0], first, 0, sum(lengths) + made


def plain(x):
    """An array as an index takes it."""
    return x if x._is_batched else x._array


# --- rules -----------------------------------------------------------------------------------------------------------


@rule("getitem")
def taken(call):
    parts = as_parts(call["index"])
    if "x" in call.batched and all(is_basic(part) or type(part) is int for part in parts):
        return call(index=(slice(None), *parts))
    index, source, destination, _ = index_of_all(call, call.ndim("x"), "x" in call.batched)
    return moved(call(index=index), source, destination)


@rule("setitem scatter add_at", also="value")
def put(call):
    values, shape = ("x", as_shape(call["shape"])) if "shape" in call.args else ("value", call.shape("x"))
    parts = as_parts(call["index"])
    if call.operation.name == "setitem" and len(parts) == 1 and is_mask(parts[0]) and call.differs(parts[0]):
        return masked(call, parts[0])
    index, source, destination, ndim = index_of_all(call, len(shape), whole=True)
    target = {"x": call.whole("x")} if values == "value" else {"shape": (call.size, *shape)}
    return call(target | {values: placed(call, values, ndim, source, destination)}, index=index)


def placed(call, name, ndim, source, destination):
    """Values as they are written."""
    x, shape = call[name], call.shape(name)
    if name not in call.batched and (source == destination or not shape):
        return x
    shape = shape[max(len(shape) - ndim, 0):]  # an assignment lets further axes of length 1 pass
    x = reshape(x, (call.size if name in call.batched else 1, *(1,) * (ndim - len(shape)), *shape))
    return moved(x, destination, source)


def masked(call, mask):
    """``x[x > 0] = value``: the value is one for all places that the mask of an example selects."""
    rest = call.ndim("x") - mask.ndim
    if call.ndim("value") > rest:
        return numbers(mask, True)
    mask = reshape(mask.inner, (*mask.inner.shape, *(1,) * rest))
    values = call["value"] if "value" not in call.batched else with_ones(call["value"], call.ndim("x") - call.ndim("value"))
    return np.where(mask, astype(tensor_like(values), call["x"].dtype, copy=False), call.whole("x"))
