"""DataLoader: batches of a dataset, in order or shuffled, in this thread or loaded ahead by others.

Read next: workers.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import repeat

from gradnerve.data.collate import default_collate, default_convert
from gradnerve.data.datasets import Dataset, IterableDataset, StackDataset
from gradnerve.data.rows import Rows, described, example, examples, is_array
from gradnerve.data.samplers import BatchSampler, RandomSampler, SequentialSampler, batches, number_of_batches, numbers_of, switch, whole_number
from gradnerve.data.workers import End, Prefetched, explain
from gradnerve.random import generator_of

__all__ = ["DataLoader"]

SHOWN = 8  # numbers of examples in a note


class DataLoader:
    """Iterates over a dataset in batches of Tensors; each ``for`` loop is an epoch.

    dataset             anything with ``len(data)`` and ``data[k]``, as a Dataset or a list;
                        an array or a Tensor: its rows;
                        a dict of arrays of one length, by names: each example is a dict of their rows, as in a `StackDataset`;
                        an IterableDataset, or another object with ``__iter__`` only
    batch_size          how many examples a batch has, the last one may have fewer; None: single examples, whose arrays become Tensors
    shuffle             whether they come in a new random order in each epoch
    sampler             the numbers of the examples in their order, any iterable; in place of `shuffle`
    batch_sampler       lists of numbers, one for each batch; in place of batch_size, shuffle, sampler and drop_last
    num_workers         how many threads load ahead; 0: batches are loaded when they are wanted, in the thread that wants them
    collate_fn          from a list of examples to a batch; by default `default_collate`, or without batches `default_convert`
    drop_last           whether a shorter last batch is left out
    timeout             seconds to wait for a batch of a worker until a TimeoutError; 0: for ever
    worker_init_fn      called with the worker's number at the start of each thread
    generator           what the order is drawn from, of NumPy's or of `gn.random`'s; without one, that of `gn.manual_seed`
    prefetch_factor     how many batches each worker loads ahead: 2 by default
    pin_memory, persistent_workers  have no effect

    Batches are copies: who writes to one does not change the dataset. (With batch_size=None there are no batches; views are copied, and an
    array that the dataset gives whole is not.) From a TensorDataset, arrays, a dict of arrays, and Subsets of these, a batch is read with one
    indexing operation for each array. Gradients flow back to Tensors of the dataset that require grad.

    The order of an epoch is drawn at once when the iteration begins, and nothing else is drawn: to put the state of ``loader.generator``
    back repeats the epoch, whatever num_workers is.

    Workers are threads, not processes: NumPy and most decoders release Python's lock while they work, no example has to be pickled, and
    arrays are not copied from one process to another. There is one dataset for all of them: what its ``__getitem__`` changes needs a lock.
    Batch k is loaded by worker k % num_workers, and no more than prefetch_factor * num_workers batches wait. A stream of examples is read by
    one worker, as it comes in one order. Workers run in the modes that held where the loop began (gn.no_grad, np.errstate).

    A dataset that draws random numbers gives the same ones with any number of workers if each example has a generator of its own, as
    ``np.random.default_rng([seed, epoch, k])``.

    When the loop is left, at its end, by a break or by an error, the threads end too. It waits up to a second for them to finish the example
    that they are reading, after Ctrl-C 0.05 seconds; one that takes longer ends right after this example.

    Errors of the dataset or of collate_fn are raised where the batch would have come, with a note that says which examples were being read.

    Raises ValueError or TypeError for arguments that do not go together.

    >>> import numpy as np, gradnerve as gn
    >>> data = {"image": np.ones((5, 8, 8), np.float32), "label": np.arange(5)}
    >>> loader = gn.data.DataLoader(data, batch_size=2, shuffle=True, num_workers=2, generator=np.random.default_rng(0))
    >>> [batch["image"].shape for batch in loader]
    [(2, 8, 8), (2, 8, 8), (1, 8, 8)]
    >>> sorted(k.item() for batch in loader for k in batch["label"])
    [0, 1, 2, 3, 4]
    """

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None, pin_memory=False,
                 drop_last=False, timeout=0, worker_init_fn=None, *, generator=None, prefetch_factor=None, persistent_workers=False):  # fmt: skip
        self.dataset = StackDataset(**dataset) if has_columns(dataset) else dataset
        self._is_stream = is_stream(self.dataset)
        check_together(self._is_stream, batch_size, shuffle, sampler, batch_sampler, drop_last)
        generator_of(generator)
        self.num_workers = whole_number("DataLoader", "num_workers", num_workers, 0)
        self.prefetch_factor = whole_number("DataLoader", "prefetch_factor", 2 if prefetch_factor is None else prefetch_factor, 1)
        if not timeout >= 0:
            raise ValueError(f"DataLoader: timeout must be 0 or more seconds, not {timeout!r}")
        self.timeout, self.worker_init_fn, self.drop_last = timeout, worker_init_fn, switch("DataLoader", "drop_last", drop_last)
        self.batch_size = None if batch_size is None or batch_sampler is not None else whole_number("DataLoader", "batch_size", batch_size, 1)
        self.collate_fn = collate_fn or (default_convert if batch_size is None and batch_sampler is None else default_collate)
        self._generator, self.batch_sampler = generator, batch_sampler
        self.sampler = numbers_of("DataLoader", sampler) if hasattr(sampler, "dtype") else sampler
        if not self._is_stream:
            self._choose_samplers(shuffle is not None and switch("DataLoader", "shuffle", shuffle))

    def _choose_samplers(self, shuffle):
        if self.batch_sampler is not None:
            return
        if self.sampler is None:
            if not hasattr(self.dataset, "__len__"):
                raise TypeError(f"DataLoader: the class {type(self.dataset).__name__} has no __len__; write one, or pass a sampler")
            self.sampler = RandomSampler(self.dataset, generator=self._generator) if shuffle else SequentialSampler(self.dataset)
        if self.batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, self.batch_size, self.drop_last)

    @property
    def generator(self):
        """The `numpy.random.Generator` that decides the order: the sampler's, or that which was given, or that of `gn.manual_seed`."""
        samplers = self.sampler, self.batch_sampler, getattr(self.batch_sampler, "sampler", None)
        own = next((own for sampler in samplers if (own := getattr(sampler, "generator", None)) is not None), self._generator)
        return generator_of(own)

    def __len__(self):
        """How many batches an epoch has."""
        if not self._is_stream:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        if not hasattr(self.dataset, "__len__"):
            raise TypeError(f"DataLoader: how many batches there are is not known, as the class {type(self.dataset).__name__} has no __len__")
        n = len(self.dataset)
        return n if self.batch_size is None else number_of_batches(n, self.batch_size, self.drop_last)

    def __iter__(self):
        """The batches of an epoch, whose order is drawn here."""
        if self._is_stream:
            tasks, load, workers = repeat(None), Stream(self.dataset, self.batch_size, self.drop_last, self.collate_fn), min(self.num_workers, 1)
        elif self.batch_sampler is not None:
            tasks, load, workers = iter(self.batch_sampler), partial(load_batch, self.dataset, self.collate_fn), self.num_workers
        else:
            tasks, load, workers = iter(self.sampler), partial(load_one, self.dataset, self.collate_fn), self.num_workers
        if not workers:
            return in_turn(tasks, load)
        ahead = self.prefetch_factor * self.num_workers // workers
        return Prefetched(tasks, load, self.dataset, workers, ahead, self.worker_init_fn, self.timeout)


def in_turn(tasks, load):
    """Batches that are loaded when they are wanted."""
    with suppress(End):
        for task in tasks:
            yield load(task)


def load_batch(dataset, collate, numbers):
    """The batch of the examples of these numbers."""
    try:
        numbers = numbers.tolist() if hasattr(numbers, "tolist") else list(numbers)
        found = examples(dataset, numbers)
        return collate(list(found) if isinstance(found, Rows) and collate is not default_collate else found)
    except Exception as error:
        if collate is default_collate and hasattr(error, "_places"):
            error.add_note("these are the examples {} and {} of the dataset".format(*(numbers[k] for k in error._places)))
        explain(error, f"in the batch of the examples {shown(numbers)} of {described(dataset)}")
        raise


def load_one(dataset, collate, number):
    """The example of this number, or what else the dataset gives for what the sampler gives."""
    found = example(dataset, number)
    try:
        return collate(found)
    except Exception as error:
        explain(error, f"in example {shown(number)} of {described(dataset)}")
        raise


class Stream:
    """Loads the next batch of a dataset that can only be read from its beginning to its end."""

    def __init__(self, dataset, batch_size, drop_last, collate):
        self.parts = iter(dataset) if batch_size is None else batches(iter(dataset), batch_size, drop_last)
        self.name, self.collate, self.number = described(dataset), collate, 0

    def __call__(self, _):
        try:
            for found in self.parts:
                batch = self.collate(found)
                self.number += 1
                return batch
        except Exception as error:
            explain(error, f"in batch {self.number} of {self.name}")
            raise
        raise End


def shown(numbers):
    """The numbers of examples in a note, which are not too many."""
    if isinstance(numbers, list | tuple) and len(numbers) > SHOWN:
        return f"[{', '.join(map(repr, numbers[:SHOWN]))}, ...] ({len(numbers)})"
    return repr(numbers)


def has_columns(dataset):
    """Whether this is a dict of arrays or lists by names; a dict of examples by their numbers is a dataset as it is."""
    return isinstance(dataset, Mapping) and all(isinstance(name, str) and (is_array(x) or isinstance(x, list)) for name, x in dataset.items())


def is_stream(dataset):
    """Whether a dataset is read from its beginning to its end; an error if it is no dataset."""
    if isinstance(dataset, Iterator) and not isinstance(dataset, Dataset) and not hasattr(dataset, "__getitem__"):
        raise TypeError(f"DataLoader: the dataset is of the class {type(dataset).__name__} and can be read once only; a second epoch would be empty; "
                        f"pass a list, or an IterableDataset whose __iter__ makes it")  # fmt: skip
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__getitem__") or hasattr(dataset, "__getitems__")):
        if not hasattr(dataset, "__iter__"):
            raise TypeError(f"DataLoader: the dataset is of the class {type(dataset).__name__}, which has neither __getitem__ nor __iter__")
        return True
    return False


def check_together(is_stream, batch_size, shuffle, sampler, batch_sampler, drop_last):
    """Refuse arguments that contradict each other."""
    if is_stream and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError("DataLoader: examples of an iterable dataset have no numbers, so that it takes no shuffle, sampler or batch_sampler")
    if sampler is not None and shuffle:
        raise ValueError("DataLoader: a sampler says what the order is; pass it without shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("DataLoader: a batch_sampler says what the batches are; pass it without batch_size, shuffle, sampler and drop_last")
    if batch_size is None and drop_last:
        raise ValueError("DataLoader: with batch_size=None there are no batches, and no last one to drop")
