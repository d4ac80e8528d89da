"""How examples become a batch.

Read next: loader.py.
"""

import copy
import dataclasses
from collections.abc import Mapping, MutableMapping, Sequence
from numbers import Number

import numpy as np

from gradnerve import tree
from gradnerve._engine import ShapeError, TensorBase
from gradnerve.data.rows import Rows, is_array
from gradnerve.ops.values import tracked, value
from gradnerve.tensor import as_numbers, asarray

__all__ = ["default_collate", "default_convert"]


def default_collate(batch):
    """Put examples together: arrays of one shape and numbers become Tensors with one axis more, the first, and containers are kept.

    batch  a list of examples that are built alike, of
           arrays, Tensors   a Tensor of their dtype; the gradient flows back to Tensors that require grad
           numbers           a Tensor: of float64 for Python's floats, of int64 for its ints
           str, bytes        as they are
           dicts             a dict of batches; in the same way named tuples and dataclasses
           tuples, lists     a list of batches

    Raises ShapeError (a ValueError), ValueError or TypeError for examples that cannot be put together, and says which these are.

    >>> import numpy as np
    >>> default_collate([(np.zeros(3), 1), (np.ones(3), 2)])
    [Tensor([[0., 0., 0.],
            [1., 1., 1.]], dtype=float64), Tensor([1, 2], dtype=int64)]
    >>> default_collate([{"name": "a", "size": 1.5}, {"name": "b", "size": 2.5}])
    {'name': ['a', 'b'], 'size': Tensor([1.5, 2.5], dtype=float64)}
    """
    if not len(batch):
        raise ValueError("default_collate: there are no examples in the batch")
    try:
        return collated(batch, "")
    except RecursionError:
        raise tree.endless(batch[0]) from None


def collated(batch, path):
    """The batch; `path` is where in an example we are, as one would write it."""
    if isinstance(batch, Rows):
        return whole(batch.columns, path)
    first = batch[0]
    kind = kind_of(first)
    check_alike(batch, lambda x: kind_of(x) is kind, lambda x: f"the class {type(x).__name__}", path)
    if kind is np.ndarray:
        return stacked(batch, path)
    if kind in (str, bytes):
        return batch
    if kind is Mapping:
        check_alike(batch, lambda x: x.keys() == first.keys(), lambda x: f"the keys {', '.join(map(repr, x))}", path)
        return rebuilt(first, {key: collated([x[key] for x in batch], f"{path}[{key!r}]") for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collated(part, f"{path}.{name}") for name, part in zip(first._fields, zip(*batch, strict=True), strict=True)))
    if kind is Sequence:
        check_alike(batch, lambda x: len(x) == len(first), lambda x: f"{len(x)} parts", path)
        return [collated(part, f"{path}[{k}]") for k, part in enumerate(zip(*batch, strict=True))]
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [part.name for part in dataclasses.fields(first)]
        return tree.with_fields(first, names, [collated([getattr(x, name) for x in batch], f"{path}.{name}") for name in names])
    hint = "; leave out what is missing, or pass a collate_fn that knows what it means" if first is None else "; pass a collate_fn that does"
    raise TypeError(f"default_collate: does not know what a batch of {type(first).__name__} is{at(path)}{hint}")


def whole(columns, path):
    """The batch from columns in which all of its examples lie."""
    if isinstance(columns, dict):
        return {name: whole(column, f"{path}[{name!r}]") for name, column in columns.items()}
    if isinstance(columns, tuple):
        return [whole(column, f"{path}[{k}]") for k, column in enumerate(columns)]
    if is_array(columns) and columns.dtype.kind in "biufc":
        return asarray(columns)
    return collated(list(columns) if is_array(columns) else columns, path)


def kind_of(x):
    """What `collated` sees in an example: np.ndarray for all that goes into arrays, str, bytes, Mapping, Sequence, or its own class."""
    if is_array(x) or isinstance(x, int | float):
        return np.ndarray
    if isinstance(x, str | bytes):
        return str if isinstance(x, str) else bytes
    if isinstance(x, Number) or hasattr(x, "__array__"):
        return np.ndarray
    return next((kind for kind in (Mapping, Sequence) if isinstance(x, kind)), type(x))


def stacked(batch, path):
    """Arrays and numbers as one Tensor."""
    kinds = {*map(type, batch)}
    if kinds <= {int, float, bool}:
        return asarray(np.array(batch))
    try:
        arrays = batch if kinds == {np.ndarray} else [x if isinstance(x, TensorBase) else as_numbers(x, None, copy=False) for x in batch]
        shape = arrays[0].shape
        check_alike(arrays, lambda x: x.shape == shape, lambda x: f"shape {x.shape}", path, ShapeError)
        return np.stack([asarray(x) for x in arrays]) if tracked(*arrays) else asarray(np.array([value(x) for x in arrays]))
    except TypeError as error:
        raise TypeError(f"default_collate: a batch holds numbers{at(path)}; {error}") from None


def rebuilt(mapping, parts):
    """A dict of batches; of the class of the examples, where that is known how."""
    if not isinstance(mapping, MutableMapping):
        return parts
    other = copy.copy(mapping)
    other.update(parts)
    return other


def check_alike(batch, is_alike, described, path, kind=TypeError):
    """Raise if an example is not like the first one. The error knows their places in the batch, from which the loader gets their numbers."""
    for k, x in enumerate(batch):
        if not is_alike(x):
            error = kind(f"default_collate: examples 0 and {k} of the batch differ{at(path)}: {described(batch[0])} and {described(x)}")
            error._places = 0, k
            try:
                raise error
            finally:
                del error  # its traceback has this frame, which has the batch


def at(path):
    return f" at {path}" if path else ""


def default_convert(example):
    """Make Tensors of the arrays in a single example, for a DataLoader with ``batch_size=None``; anything else stays as it is.

    >>> import numpy as np
    >>> default_convert({"x": np.ones(2), "name": "a"})
    {'x': Tensor([1., 1.], dtype=float64), 'name': 'a'}
    """
    leaves, rebuild = tree.flatten(example)
    return rebuild([converted(x) for x in leaves])


def converted(x):
    """A Tensor; of a copy where x is part of an array, as who writes to a batch does not mean the dataset."""
    if not hasattr(x, "dtype") or x.dtype.kind not in "biufc" or tracked(x):
        return x
    return asarray(value(x) if value(x).base is None else value(x).copy())
