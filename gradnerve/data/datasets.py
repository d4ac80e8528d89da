"""Datasets: examples by their numbers, or one after another.

A dataset is anything with ``len(data)`` and ``data[k]``; these classes make datasets of arrays and of other datasets. A batch of what lies
in arrays is read with one indexing operation for each array (`__getitems__`), also through a `Subset` or a `StackDataset`.

Read next: rows.py, for batches; samplers.py, for the order.
"""

import math
import warnings
from bisect import bisect_right
from itertools import accumulate, pairwise
from operator import index

import numpy as np

from gradnerve.data.rows import Rows, examples, taken
from gradnerve.data.samplers import numbers_of, whole_number
from gradnerve.random import generator_of
from gradnerve.tensor import asarray

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset", "random_split"]


class Dataset:
    """The base class of datasets: write ``__len__`` and ``__getitem__(k)``, which gives the example of number k.

    A dataset that can read many examples at once also has ``__getitems__(numbers)``, which gives a list of them. The sum of two datasets is
    a `ConcatDataset`.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, k):
    ...         return k, k**2
    >>> len(Squares() + Squares())
    20
    """

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """The base class of datasets that are read one example after another: write ``__iter__``; ``__len__`` only if it is known.

    >>> class Lines(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(["a line", "another"])
    >>> list(Lines() + Lines())
    ['a line', 'another', 'a line', 'another']
    """

    def __add__(self, other):
        return ChainDataset([self, other])


def common_length(where, parts):
    """The length that all of the named parts have."""
    if not parts:
        raise ValueError(f"{where}: needs at least one dataset or array")
    lengths = {}
    for name, part in parts.items():
        try:
            lengths[name] = len(part)
        except TypeError as error:
            raise TypeError(f"{where}: part {name!r} has no length: {error}") from None
    (first, length), *others = lengths.items()
    for name, other in others:
        if other != length:
            raise ValueError(f"{where}: all parts must have as many examples, but part {first!r} has {length} and part {name!r} has {other}")
    return length


class TensorDataset(Dataset):
    """Example k is the tuple of the rows k of all arrays.

    tensors  arrays or Tensors with equally many rows; they are not copied. Gradients flow to those that require grad

    Raises ValueError if their lengths differ.

    >>> data = TensorDataset(np.ones((3, 2)), np.array([5, 6, 7]))
    >>> data[-1]
    (Tensor([1., 1.], dtype=float64), Tensor(7, dtype=int64))
    """

    def __init__(self, *tensors):
        self.tensors = tuple(map(asarray, tensors))
        self._length = common_length("TensorDataset", dict(enumerate(self.tensors)))

    def __len__(self):
        return self._length

    def __getitem__(self, k):
        return tuple(t[k] for t in self.tensors)

    def __getitems__(self, numbers):
        return Rows(tuple(taken(t, numbers) for t in self.tensors), len(numbers))


class StackDataset(Dataset):
    """Example k holds the examples k of several datasets or arrays: in a tuple, or by their names in a dict.

    args, kwargs  datasets of one length, either without or with names

    Raises ValueError if their lengths differ.

    >>> StackDataset(image=np.zeros((2, 3)), label=["cat", "dog"])[1]
    {'image': array([0., 0., 0.]), 'label': 'dog'}
    """

    def __init__(self, /, *args, **kwargs):
        if args and kwargs:
            raise ValueError("StackDataset: takes datasets either without names or with names, not both")
        self.datasets = args or kwargs
        self._length = common_length("StackDataset", dict(enumerate(args)) or kwargs)

    def __len__(self):
        return self._length

    def _each(self, function):
        if isinstance(self.datasets, dict):
            return {name: function(dataset) for name, dataset in self.datasets.items()}
        return tuple(map(function, self.datasets))

    def __getitem__(self, k):
        return self._each(lambda dataset: dataset[k])

    def __getitems__(self, numbers):
        return Rows(self._each(lambda dataset: examples(dataset, numbers)), len(numbers))


class Subset(Dataset):
    """Those examples of a dataset that have these numbers.

    indices  a sequence or an array of whole numbers; a mask is refused with a TypeError

    >>> list(Subset("abcdef", [5, 0, 3]))
    ['f', 'a', 'd']
    """

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, numbers_of("Subset", indices)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, k):
        return self.dataset[[self.indices[i] for i in k] if isinstance(k, list) else self.indices[k]]

    def __getitems__(self, numbers):
        return examples(self.dataset, [self.indices[k] for k in numbers])


class ConcatDataset(Dataset):
    """The examples of one dataset after those of the other.

    datasets  at least one, each with a length

    >>> data = ConcatDataset(["ab", "cde"])
    >>> data[1], data[2], data[-1]
    ('b', 'c', 'e')
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: needs at least one dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no numbered examples; use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, k):
        number = index(k) + (len(self) if k < 0 else 0)
        if not 0 <= number < len(self):
            raise IndexError(f"ConcatDataset: there is no example {k}, there are {len(self)}")
        which = bisect_right(self.cumulative_sizes, number)
        return self.datasets[which][number - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """The examples of one IterableDataset after those of the other; what the sum of two of them is.

    datasets  IterableDatasets; others are refused with a TypeError
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset: takes IterableDatasets, not a {type(dataset).__name__}; use ConcatDataset for datasets with numbers")

    def __iter__(self):
        for dataset in self.datasets:
            yield from dataset

    def __len__(self):
        return sum(map(len, self.datasets))


def random_split(dataset, lengths, generator=None):
    """Split a dataset at random into Subsets, none of which has an example of another's.

    lengths    whole numbers that sum to the dataset's length; or fractions, floats that sum to 1: these are rounded down, and what is
               left over goes to the first Subsets, one example each
    generator  of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    Raises ValueError if the lengths do not fit the dataset.

    >>> [len(part) for part in random_split(range(11), [0.5, 0.25, 0.25])]
    [6, 3, 2]
    """
    n, lengths = len(dataset), list(lengths)
    if any(isinstance(length, float | np.floating) for length in lengths):
        lengths = from_fractions(n, lengths)
    lengths = [whole_number("random_split", "each of the lengths", length, 0) for length in lengths]
    if sum(lengths) != n:
        raise ValueError(f"random_split: the lengths {lengths} sum to {sum(lengths)}, and the dataset has {n} examples; fractions are floats")
    order = generator_of(generator).permutation(n)
    return [Subset(dataset, order[start:end]) for start, end in pairwise(accumulate(lengths, initial=0))]


def from_fractions(n, fractions):
    """Whole numbers that sum to n."""
    if any(not 0 <= fraction <= 1 for fraction in fractions) or not math.isclose(sum(fractions), 1):
        raise ValueError(f"random_split: fractions must be from 0 to 1 and sum to 1; {fractions} sum to {sum(fractions)}")
    lengths = [math.floor(n * fraction) for fraction in fractions]
    left = n - sum(lengths)
    lengths = [length + left // len(lengths) + (k < left % len(lengths)) for k, length in enumerate(lengths)]
    if 0 in lengths:
        warnings.warn(f"random_split: part {lengths.index(0)} of {n} examples is empty, with the fractions {fractions}")
    return lengths
