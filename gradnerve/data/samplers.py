"""Samplers: in which order examples are read, and which of them make a batch.

Whatever is random is drawn when an iteration begins, all of it and from one generator: to put the state of this generator back and to
iterate again gives the same order again, and nothing that is drawn in the meantime changes it.

Read next: rows.py, how the examples of these numbers are read.
"""

from itertools import islice
from operator import index

import numpy as np

from gradnerve.ops.values import value
from gradnerve.random import generator_of

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler"]


def whole_number(where, name, given, least):
    """The argument as an int; an error if it is none, or too small."""
    try:
        number = index(given)
    except TypeError:
        number = None
    if number is None or isinstance(given, bool | np.bool_):
        raise TypeError(f"{where}: {name} must be a whole number, not {given!r}")
    if number < least:
        raise ValueError(f"{where}: {name} must be at least {least}, not {number}")
    return number


def switch(where, name, given):
    """The argument, which must be a bool."""
    if not isinstance(given, bool):
        raise TypeError(f"{where}: {name} must be True or False, not {given!r}")
    return given


def numbers_of(where, indices):
    """The numbers of examples: an array or a Tensor as a list of ints, anything else as it is."""
    if hasattr(indices, "dtype"):
        indices = value(indices)
        if indices.dtype == bool:
            raise TypeError(f"{where}: indices is a mask; pass np.flatnonzero(mask)")
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise TypeError(f"{where}: indices must be whole numbers in one row, not an array of {indices.dtype} and shape {indices.shape}")
        return indices.tolist()
    if not (hasattr(indices, "__len__") and hasattr(indices, "__getitem__")):
        raise TypeError(f"{where}: indices must be a sequence or an array of whole numbers, not a {type(indices).__name__}")
    if len(indices) and isinstance(indices[0], bool | np.bool_):
        raise TypeError(f"{where}: indices is a mask; pass np.flatnonzero(mask)")
    return indices


def ints(order):
    """The numbers in an array as ints, which a dataset may want; a long one is not turned into ints all at once."""
    for start in range(0, len(order), 4096):
        yield from order[start : start + 4096].tolist()


def batches(things, batch_size, drop_last):
    """Lists of so many neighbours; the last may be shorter, unless it is dropped."""
    things = iter(things)
    while len(batch := list(islice(things, batch_size))) == batch_size:
        yield batch
    if batch and not drop_last:
        yield batch


class Sampler:
    """The base class of samplers: write ``__iter__``, which gives the numbers of examples (or for a batch sampler lists of them), and ``__len__``.

    >>> import gradnerve as gn
    >>> class ByLength(gn.data.Sampler):
    ...     def __init__(self, texts):
    ...         self.texts = texts
    ...     def __len__(self):
    ...         return len(self.texts)
    ...     def __iter__(self):
    ...         return iter(sorted(range(len(self.texts)), key=lambda k: len(self.texts[k])))
    >>> texts = ["ccc", "a", "bb"]
    >>> list(gn.data.DataLoader(texts, batch_size=2, sampler=ByLength(texts)))
    [['a', 'bb'], ['ccc']]
    """


class SequentialSampler(Sampler):
    """All numbers in their order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def __len__(self):
        return len(self.data_source)

    def __iter__(self):
        return iter(range(len(self.data_source)))


class Drawing(Sampler):
    """A sampler that draws: `_drawn` gives the array of all numbers."""

    def __init__(self, generator):
        generator_of(generator)  # raises what there is to raise
        self._generator = generator

    @property
    def generator(self):
        """The `numpy.random.Generator` that it draws from; unless one was given, that which `gn.manual_seed` seeds."""
        return generator_of(self._generator)

    def __iter__(self):
        return ints(self._drawn())


class RandomSampler(Drawing):
    """All numbers in a random order, or numbers that are drawn one by one.

    replacement  whether each is drawn from all; if not, none comes again before all others have come
    num_samples  how many; by default, as many as there are examples
    generator    of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    Raises ValueError if there are no examples, or num_samples is less than 1.

    >>> import numpy as np
    >>> sorted(RandomSampler("abcd", generator=np.random.default_rng(0)))
    [0, 1, 2, 3]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        super().__init__(generator)
        if not len(data_source):
            raise ValueError("RandomSampler: there are no examples to draw from, the dataset is empty")
        self.data_source, self.replacement = data_source, switch("RandomSampler", "replacement", replacement)
        self._num_samples = num_samples if num_samples is None else whole_number("RandomSampler", "num_samples", num_samples, 1)

    @property
    def num_samples(self):
        """How many numbers an iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self):
        return self.num_samples

    def _drawn(self):
        n, wanted, generator = len(self.data_source), self.num_samples, self.generator
        if self.replacement:
            return generator.integers(n, size=wanted)
        return np.concatenate([generator.permutation(n) for _ in range(0, wanted, n)])[:wanted]


class SubsetRandomSampler(Drawing):
    """These numbers in a random order.

    indices    a sequence or an array of whole numbers
    generator  of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    >>> sorted(SubsetRandomSampler([5, 3, 8]))
    [3, 5, 8]
    """

    def __init__(self, indices, generator=None):
        super().__init__(generator)
        self.indices = numbers_of("SubsetRandomSampler", indices)

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        order = self.generator.permutation(len(self.indices))
        return (self.indices[k] for k in ints(order))


class WeightedRandomSampler(Drawing):
    """Numbers from 0 to len(weights) - 1, each with a probability in proportion to its weight.

    weights      in one row, none negative; they need not sum to 1
    num_samples  how many are drawn
    replacement  whether a number can come again
    generator    of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`

    Raises ValueError for other weights, and if without replacement there are fewer weights above 0 than numbers to draw.

    >>> import numpy as np
    >>> drawn = list(WeightedRandomSampler([1, 0, 3], 1000, generator=np.random.default_rng(0)))
    >>> drawn.count(1), 700 < drawn.count(2) < 800
    (0, True)
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        super().__init__(generator)
        self.weights = np.array(value(weights), dtype=np.float64)
        self.replacement = switch("WeightedRandomSampler", "replacement", replacement)
        self.num_samples = whole_number("WeightedRandomSampler", "num_samples", num_samples, 1)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights must be in one row, not of shape {self.weights.shape}")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()):
            raise ValueError("WeightedRandomSampler: weights must be finite and not negative, and one of them above 0")
        possible = np.count_nonzero(self.weights)
        if not replacement and possible < self.num_samples:
            raise ValueError(f"WeightedRandomSampler: {self.num_samples} numbers are to be drawn without replacement, "
                             f"and {possible} of the {len(self.weights)} weights are above 0")  # fmt: skip

    def __len__(self):
        return self.num_samples

    def _drawn(self):
        shares = self.weights / self.weights.max()  # the sum of large weights may be infinite
        return self.generator.choice(len(shares), self.num_samples, self.replacement, shares / shares.sum())


class BatchSampler(Sampler):
    """Lists of `batch_size` numbers each from another sampler, or from any iterable; the last is shorter, or with `drop_last` left out.

    Raises TypeError or ValueError if batch_size is no whole number above 0.

    >>> list(BatchSampler(SequentialSampler("abcde"), 2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last=False):
        self.sampler, self.batch_size = sampler, whole_number("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = switch("BatchSampler", "drop_last", drop_last)

    def __len__(self):
        return number_of_batches(len(self.sampler), self.batch_size, self.drop_last)

    def __iter__(self):
        return batches(iter(self.sampler), self.batch_size, self.drop_last)  # the sampler draws now, not when the first batch is wanted


def number_of_batches(examples, batch_size, drop_last):
    return examples // batch_size if drop_last else -(-examples // batch_size)
