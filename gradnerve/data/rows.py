"""Many examples at once: one indexing operation for each array, where the examples lie in arrays, and a loop where they do not.

Read next: collate.py, which makes a batch of them.
"""

from collections.abc import Sequence
from operator import length_hint

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.data.workers import check_wanted, explain
from gradnerve.ops.values import tracked, value
from gradnerve.tensor import asarray

__all__ = ["Rows", "examples", "is_array"]


class Rows(Sequence):
    """The examples of a batch that were taken together: a sequence of examples, which `default_collate` need not put together again.

    columns  one array of its own, or a tuple or dict of columns, each of which is an array or any sequence of as many parts of examples
    """

    def __init__(self, columns, length):
        self.columns, self._length = columns, length

    def __len__(self):
        return self._length

    def __getitem__(self, k):
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(self._length))]
        if isinstance(self.columns, dict):
            return {name: column[k] for name, column in self.columns.items()}
        return tuple(column[k] for column in self.columns) if isinstance(self.columns, tuple) else self.columns[k]


def is_array(x):
    return isinstance(x, np.ndarray | TensorBase)


def taken(array, numbers):
    """The rows of these numbers in an array of its own; the gradient flows back to a Tensor that requires grad."""
    if tracked(array):
        return array[numbers]
    rows = value(array).take(numbers, axis=0)
    return asarray(rows) if isinstance(array, TensorBase) else rows


def examples(dataset, numbers):
    """The examples of these numbers: a sequence, which is `Rows` if they lie in arrays."""
    if is_array(dataset):
        return Rows(taken(dataset, numbers), len(numbers))
    together = method_for_many(dataset)
    if together is None:
        return [example(dataset, number) for number in numbers]
    found = together(numbers)
    if len(found) != len(numbers):
        raise ValueError(f"{type(dataset).__name__}.__getitems__ gave {len(found)} examples for {len(numbers)} numbers")
    return found


def example(dataset, number):
    """One example; an error says which one it was."""
    check_wanted()
    try:
        return dataset[number]
    except Exception as error:
        explain(error, f"in example {number!r} of {described(dataset)}")
        raise


def described(dataset):
    """What a note calls a dataset."""
    length = length_hint(dataset, -1)
    return f"the {type(dataset).__name__}" + (f" of {length} examples" if length >= 0 else "")


def method_for_many(dataset):
    """The method __getitems__; None if there is none, or if a class has a __getitem__ that is newer and thus says something else."""
    method = getattr(dataset, "__getitems__", None)
    for owner in type(dataset).__mro__ if method is not None else ():
        if "__getitems__" in vars(owner):
            return method
        if "__getitem__" in vars(owner):
            return None
    return method
