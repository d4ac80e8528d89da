"""Data: what a batch is, and in which order batches come.

Structures, lengths and roundings are compared with `torch.utils.data`. Read next: test_data_workers.py.
"""

import itertools
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from as_torch import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data_workers import Numbers, ints, rng

import gradnerve as gn
from gradnerve import data
from gradnerve.random import generator_of

Point = namedtuple("Point", "x y")


@dataclass
class Labelled:
    image: object
    label: int


def plain(x):
    """A batch, ours or PyTorch's, as lists, dicts and (dtype, values)."""
    if isinstance(x, dict):
        return type(x).__name__, {key: plain(part) for key, part in x.items()}
    if hasattr(x, "dtype"):
        return str(x.dtype).removeprefix("torch."), x.tolist()
    return (type(x).__name__, [plain(part) for part in x]) if isinstance(x, list | tuple) else x


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        yield from range(self.n)


class SizedStream(Stream):
    def __len__(self):
        return self.n


# --- collate ---------------------------------------------------------------------------------------------------------

BATCHES = {
    "ints": [3, 1, 2],
    "floats": [0.5, 1.5],
    "bools": [True, False],
    "float32 numbers": [np.float32(1), np.float32(2)],
    "int32 numbers": [np.int32(1), np.int32(2)],
    "strings": ["a", "b"],
    "bytes": [b"a", b"b"],
    "float32 arrays": [np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)],
    "uint8 arrays": [np.arange(4, dtype=np.uint8)] * 3,
    "arrays without axes": [np.array(1.0), np.array(2.0)],
    "empty arrays": [np.zeros((0, 2)), np.zeros((0, 2))],
    "one example": [(np.ones(2), 1)],
    "tuples": [(np.ones(2), 1), (np.zeros(2), 2)],
    "tuples of strings": [("a", 1), ("b", 2)],
    "lists": [[1, 2.0], [3, 4.0]],
    "nested": [{"x": (1, [2.0, "a"])}, {"x": (3, [4.0, "b"])}],
    "dicts": [{"b": 1, "a": 2.0}, {"b": 3, "a": 4.0}],
    "dicts of a class": [OrderedDict(b=1, a=2), OrderedDict(a=3, b=4)],
    "named tuples": [Point(1, np.ones(2)), Point(2, np.zeros(2))],
    "ranges": [range(2), range(2)],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_collate_as_pytorch(batch):
    assert plain(data.default_collate(batch)) == plain(torch.utils.data.default_collate(batch))


@pytest.mark.parametrize("example", [np.ones(2), {"a": np.ones(2), "b": "c", "d": 1}, [np.ones(1), "x"], 3, "a", np.float32(2)], ids=repr)
def test_convert_as_pytorch(example):
    assert plain(data.default_convert(example)) == plain(torch.utils.data.default_convert(example))


def test_collate_gives_tensors_of_the_arrays_dtype():
    for dtype in "float16 float32 float64 int8 uint8 int64 bool complex64".split():
        batch = data.default_collate([np.ones(2, dtype), np.zeros(2, dtype)])
        assert isinstance(batch, gn.Tensor) and batch.dtype == dtype and batch.tolist() == [[1, 1], [0, 0]]
    assert data.default_collate([1, 2]).dtype == np.int64 and data.default_collate([1.0, 2]).dtype == np.float64
    assert data.default_collate([np.ones(1, ">f4")] * 2).dtype.isnative


def test_collate_of_dataclasses():
    batch = data.default_collate([Labelled(np.ones(2), 1), Labelled(np.zeros(2), 2)])
    assert isinstance(batch, Labelled) and batch.image.tolist() == [[1, 1], [0, 0]] and batch.label.tolist() == [1, 2]


def test_collate_copies_its_arrays():
    rows = np.zeros((2, 3))
    data.default_collate(rows).data[:] = 1
    data.default_collate(list(rows)).data[:] = 1
    assert not rows.any()


BAD_BATCHES = {
    "shapes": ([np.ones(2), np.ones(2), np.ones(3)], gn.ShapeError, r"0 and 2 .* shape \(2,\) and shape \(3,\)"),
    "shapes inside": ([{"x": [np.ones(2)]}, {"x": [np.ones((2, 1))]}], gn.ShapeError, r"0 and 1 .* at \['x'\]\[0\]: shape \(2,\) and shape \(2, 1\)"),
    "number and array": ([1.0, np.ones(1)], gn.ShapeError, r"shape \(\) and shape \(1,\)"),
    "keys": ([{"a": 1}, {"a": 1, "b": 2}], TypeError, "0 and 1 .* keys 'a' and the keys 'a', 'b'"),
    "lengths": ([(1, 2), (1,)], TypeError, "2 parts and 1 parts"),
    "kinds": ([np.ones(1), None], TypeError, "the class ndarray and the class NoneType"),
    "string and list": (["ab", ["a", "b"]], TypeError, "the class str and the class list"),
    "none": ([None, None], TypeError, "NoneType is; leave out"),
    "objects": ([{"a": object()}], TypeError, r"object is at \['a'\]; pass a collate_fn"),
    "array of objects": ([np.array([None])], TypeError, "holds numbers; .* dtype object"),
    "strings and numbers in one": ([np.array(["a"]), np.ones(1)], TypeError, "holds numbers"),
    "masked": ([np.ma.masked_array([1.0], [True])], TypeError, "mask"),
    "nothing": ([], ValueError, "no examples"),
}


@pytest.mark.parametrize(("batch", "kind", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_collate_says_what_does_not_fit(batch, kind, message):
    with pytest.raises(kind, match=message):
        data.default_collate(batch)


# --- datasets --------------------------------------------------------------------------------------------------------


def test_tensor_dataset():
    x, y = rng().normal(size=(5, 2)), np.arange(5)
    ours, theirs = data.TensorDataset(x, gn.Tensor(y)), torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    assert len(ours) == len(theirs) == 5
    for k in 0, 4, -1, -5, slice(1, 3), [3, 0]:
        assert plain(ours[k]) == plain(theirs[k])
    for k in 5, -6:
        with pytest.raises(IndexError):
            ours[k]
    assert len(list(ours)) == 5  # by numbers, until the IndexError


def test_stack_dataset():
    parts = [np.arange(6).reshape(3, 2), ["a", "b", "c"]]
    for ours, theirs in (
        (data.StackDataset(*parts), torch.utils.data.StackDataset(*parts)),
        (data.StackDataset(x=parts[0], y=parts[1]), torch.utils.data.StackDataset(x=parts[0], y=parts[1])),
    ):
        assert len(ours) == len(theirs) == 3 and plain(ours[2]) == plain(theirs[2])
        assert [plain(each) for each in ours.__getitems__([2, 0])] == [plain(each) for each in theirs.__getitems__([2, 0])]


def test_concat_and_chain():
    parts = [np.arange(3), [], np.arange(10, 12), [7]]
    ours, theirs = data.ConcatDataset(parts), torch.utils.data.ConcatDataset(parts)
    assert len(ours) == len(theirs) == 6 and ours.cumulative_sizes == theirs.cumulative_sizes
    assert [ours[k] for k in range(-6, 6)] == [theirs[k] for k in range(-6, 6)]
    for k in 6, -7:
        with pytest.raises(IndexError, match=f"no example {k}, there are 6"):
            ours[k]
    assert list(Numbers(2) + Numbers(1) + Numbers(1)) == [0, 1, 0, 0]
    chain = SizedStream(2) + SizedStream(3)
    assert list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5


def test_subset():
    for indices in [4, 0, 2], np.array([4, 0, 2]), gn.Tensor([4, 0, 2]), range(4, -1, -2):
        subset = data.Subset("abcde", indices)
        assert len(subset) == 3 and subset[0] == subset[-3] == "e"
        assert list(subset) == subset.__getitems__([0, 1, 2]) and sorted(subset) == list("ace")
        with pytest.raises(IndexError):
            subset[3]
    seen = []
    list(data.Subset(Numbers(3, lambda k: seen.append(type(k))), np.array([2, 1])))
    assert seen == [int, int]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_fractions_are_rounded_as_pytorch_does(n, weights):
    fractions = [weight / sum(weights) for weight in weights]
    if sum(fractions) > 1:  # by a rounding error, which PyTorch does not forgive
        fractions[0] -= 1e-12
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        ours, theirs = data.random_split(range(n), fractions), torch.utils.data.random_split(range(n), fractions)
    assert list(map(len, ours)) == list(map(len, theirs))
    assert sorted(itertools.chain(*ours)) == list(range(n))


def test_random_split():
    parts = data.random_split(Numbers(10), [7, 0, 3], generator=rng())
    assert list(map(len, parts)) == [7, 0, 3] and sorted(itertools.chain(*parts)) == list(range(10))
    again = data.random_split(Numbers(10), [7, 0, 3], generator=gn.random.default_rng(0))
    assert [part.indices for part in parts] == [part.indices for part in again]
    assert list(map(len, data.random_split(range(10), [0.5, 0.5 + 1e-12]))) == [5, 5]  # sums to a bit more than 1
    with pytest.warns(UserWarning, match="part 1 of 2 examples is empty"):
        data.random_split(range(2), [0.9, 0.1])


BAD_DATASETS = {
    "unequal arrays": (lambda: data.TensorDataset(np.ones(3), np.ones((3, 2)), np.ones(4)), ValueError, "part 0 has 3 and part 2 has 4"),
    "unequal columns": (lambda: data.DataLoader({"x": np.ones(3), "y": [1, 2]}), ValueError, "part 'x' has 3 and part 'y' has 2"),
    "unequal datasets": (lambda: data.StackDataset("ab", "abc"), ValueError, "part 0 has 2 and part 1 has 3"),
    "a number": (lambda: data.TensorDataset(np.ones(3), np.ones(())), TypeError, "part 1 has no length"),
    "no array": (data.TensorDataset, ValueError, "at least one"),
    "names and none": (lambda: data.StackDataset("a", b="b"), ValueError, "not both"),
    "nothing to concatenate": (lambda: data.ConcatDataset([]), ValueError, "at least one"),
    "streams to concatenate": (lambda: data.ConcatDataset([Stream(2)]), TypeError, "use ChainDataset"),
    "datasets to chain": (lambda: data.ChainDataset([Numbers(2)]), TypeError, "not a Numbers; use ConcatDataset"),
    "mask": (lambda: data.Subset("abc", np.array([True, False, True])), TypeError, "np.flatnonzero"),
    "mask in a list": (lambda: data.Subset("abc", [True, False, True]), TypeError, "np.flatnonzero"),
    "float indices": (lambda: data.Subset("abc", np.ones(2)), TypeError, "float64"),
    "a set of indices": (lambda: data.Subset("abc", {1, 2}), TypeError, "not a set"),
    "lengths": (lambda: data.random_split(range(10), [5, 4]), ValueError, r"\[5, 4\] sum to 9, and the dataset has 10"),
    "one whole number": (lambda: data.random_split(range(10), [1]), ValueError, "fractions are floats"),
    "negative length": (lambda: data.random_split(range(10), [11, -1]), ValueError, "at least 0, not -1"),
    "fractions": (lambda: data.random_split(range(10), [0.5, 0.4]), ValueError, "sum to 0.9"),
    "negative fraction": (lambda: data.random_split(range(10), [1.5, -0.5]), ValueError, "from 0 to 1"),
    "generator": (lambda: data.random_split(range(10), [5, 5], generator=3), TypeError, "generator"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), BAD_DATASETS.values(), ids=BAD_DATASETS)
def test_datasets_say_what_does_not_fit(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


# --- samplers --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 100), st.integers(1, 12), st.booleans())
def test_lengths_and_counts_of_samplers(n, wanted, batch_size, drop_last):
    """As many as PyTorch's; and without replacement no number comes twice before all have come once."""
    torchs = torch.utils.data
    for replacement in False, True:
        ours, theirs = (module.RandomSampler(range(n), replacement, wanted) for module in (data, torchs))
        drawn = list(ours)
        assert len(ours) == len(theirs) == len(drawn) == len(list(theirs)) and set(drawn) <= set(range(n))
        assert replacement or all(len(set(drawn[k : k + n])) == len(drawn[k : k + n]) for k in range(0, wanted, n))
    assert sorted(data.RandomSampler(range(n))) == list(data.SequentialSampler(range(n))) == list(range(n))
    assert sorted(data.SubsetRandomSampler(range(5, n + 5))) == list(range(5, n + 5))
    ours, theirs = (module.BatchSampler(module.SequentialSampler(range(n)), batch_size, drop_last) for module in (data, torchs))
    assert list(ours) == list(theirs) and len(ours) == len(theirs) == len(list(ours))


def test_samplers_give_ints():
    drawn = data.RandomSampler(range(5000)), data.SubsetRandomSampler(np.arange(3)), data.WeightedRandomSampler(gn.Tensor([1, 2]), 3)
    assert {type(k) for sampler in drawn for k in sampler} == {int}


def within(found, expected, n):
    """Shares that were counted in n draws lie within 5 standard deviations."""
    return np.all(np.abs(np.array(found) / n - expected) <= 5 * np.sqrt(np.array(expected) / n))


def test_all_orders_are_equally_likely():
    sampler, n = data.RandomSampler("abc", generator=rng()), 3000
    counts = dict.fromkeys(itertools.permutations(range(3)), 0)
    for _ in range(n):
        counts[tuple(sampler)] += 1
    assert within(list(counts.values()), np.full(6, 1 / 6), n)


def test_weighted_draws():
    """With replacement the shares of the weights; without, first w_i / W and then w_j / (W - w_i)."""
    w, n = np.array([1.0, 0.0, 2.0, 5.0]), 20000
    drawn = np.bincount(list(data.WeightedRandomSampler(w, n, generator=rng())), minlength=4)
    assert drawn[1] == 0 and within(drawn, w / 8, n)
    sampler, n = data.WeightedRandomSampler([1e308, 0, 2e307, 5e307], 2, replacement=False, generator=rng()), 3000
    w = np.array([10.0, 0.0, 2.0, 5.0])
    pairs = np.zeros((4, 4))
    for _ in range(n):
        pairs[tuple(sampler)] += 1
    expected = w[:, None] / 17 * w / (17 - w[:, None])
    np.fill_diagonal(expected, 0)
    assert within(pairs, expected, n)


BAD_SAMPLERS = {
    "nothing to shuffle": (lambda: data.DataLoader([], shuffle=True), ValueError, "dataset is empty"),
    "no numbers": (lambda: data.RandomSampler("abc", num_samples=0), ValueError, "num_samples must be at least 1, not 0"),
    "replacement": (lambda: data.RandomSampler("abc", 2), TypeError, "replacement must be True or False, not 2"),
    "batch size 0": (lambda: data.BatchSampler(range(3), 0), ValueError, "batch_size must be at least 1, not 0"),
    "batch size True": (lambda: data.BatchSampler(range(3), True), TypeError, "whole number, not True"),
    "negative weight": (lambda: data.WeightedRandomSampler([1, -1], 2), ValueError, "not negative"),
    "weight nan": (lambda: data.WeightedRandomSampler([1, np.nan], 2), ValueError, "finite"),
    "weights 0": (lambda: data.WeightedRandomSampler([0, 0], 2), ValueError, "above 0"),
    "weights in a matrix": (lambda: data.WeightedRandomSampler(np.ones((2, 2)), 2), ValueError, r"\(2, 2\)"),
    "too few weights": (lambda: data.WeightedRandomSampler([1, 2, 0], 3, False), ValueError, "3 numbers .* 2 of the 3 weights"),
    "generator": (lambda: data.SubsetRandomSampler([1], generator=0), TypeError, "default_rng"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), BAD_SAMPLERS.values(), ids=BAD_SAMPLERS)
def test_samplers_say_what_does_not_fit(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


# --- batches ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.one_of(st.none(), st.integers(1, 12)), st.booleans(), st.integers(0, 3))
def test_batches_in_order_are_pytorchs(n, batch_size, drop_last, num_workers):
    drop_last = drop_last and batch_size is not None
    ours = data.DataLoader(Numbers(n), batch_size, drop_last=drop_last, num_workers=num_workers)
    theirs = torch.utils.data.DataLoader(range(n), batch_size, drop_last=drop_last)
    assert [plain(batch) for batch in ours] == [plain(batch) for batch in theirs] and len(ours) == len(theirs)


X, Y = np.arange(14, dtype=np.float32).reshape(7, 2), np.arange(7)
DATASETS = {
    "array": lambda: X.copy(),
    "tensor": lambda: gn.Tensor(X),
    "tensors": lambda: data.TensorDataset(X.copy(), gn.Tensor(Y)),
    "columns": lambda: {"x": X.copy(), "y": Y.copy(), "name": np.array(list("abcdefg")), "list": list("ABCDEFG")},
    "subset": lambda: data.Subset(data.TensorDataset(X.copy(), Y.copy()), [5, 0, 1, 6, 2, 3, 4]),
    "subset of a stack": lambda: data.Subset(data.StackDataset(X.copy(), data.TensorDataset(Y.copy()), Numbers(7)), np.arange(7)[::-1]),
    "concatenated": lambda: data.ConcatDataset([data.TensorDataset(X[:3].copy()), data.TensorDataset(X[3:].copy())]),
    "examples": lambda: list(zip(X.copy(), Y.tolist(), strict=True)),
    "by number": lambda: {k: X[k] for k in range(7)},
}


def one_by_one(dataset):
    """The same examples, without any way to read many at once."""
    by_name = isinstance(dataset, dict) and "x" in dataset
    return [{key: column[k] for key, column in dataset.items()} if by_name else dataset[k] for k in range(7)]


@pytest.mark.parametrize("make", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_examples_read_together_are_those_read_one_by_one(make, num_workers):
    for batch_size in 3, 7, None:
        fast = data.DataLoader(make(), batch_size, num_workers=num_workers)
        slow = data.DataLoader(one_by_one(make()), batch_size)
        assert [plain(batch) for batch in fast] == [plain(batch) for batch in slow] and len(fast) == len(slow)
        chosen = data.DataLoader(make(), 2, sampler=[6, 1, 1, -1]), data.DataLoader(one_by_one(make()), 2, sampler=[6, 1, 1, -1])
        if not isinstance(make(), dict) or "x" in make():
            assert [plain(batch) for batch in chosen[0]] == [plain(batch) for batch in chosen[1]]


def arrays_in(x):
    if isinstance(x, gn.Tensor):
        return [x.data]
    return [a for part in (x.values() if isinstance(x, dict) else x) for a in arrays_in(part)] if isinstance(x, dict | list | tuple) else []


@pytest.mark.parametrize("make", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_who_writes_to_a_batch_does_not_change_the_dataset(make, batch_size):
    loader = data.DataLoader(make(), batch_size)
    before = [plain(batch) for batch in loader]
    written = 0
    for batch in loader:
        for array in arrays_in(batch):
            array[...] = 99
            written += 1
    assert written and [plain(batch) for batch in loader] == before


class Counting(np.ndarray):
    """Counts how often rows are taken, and refuses to give a single one."""

    taken = 0

    def take(self, *args, **kwargs):
        Counting.taken += 1
        return np.asarray(self).take(*args, **kwargs)

    def __getitem__(self, k):
        raise AssertionError("a single row was asked for")


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"x": x}, lambda x: data.random_split(data.StackDataset(x), [1.0])[0],
                                  lambda x: data.Subset(data.Subset(x, range(100)), range(100))])  # fmt: skip
def test_a_batch_is_one_indexing_operation(wrap):
    Counting.taken = 0
    for _ in data.DataLoader(wrap(np.zeros((100, 3)).view(Counting)), 10, shuffle=True):
        pass
    assert Counting.taken == 10


def test_tensor_dataset_is_read_at_once(monkeypatch):
    monkeypatch.setattr(data.TensorDataset, "__getitem__", lambda self, k: pytest.fail("a single example was asked for"))
    assert [x.shape for x, y in data.DataLoader(data.TensorDataset(X, Y), 4)] == [(4, 2), (3, 2)]


def test_a_newer_getitem_is_obeyed():
    """A class that changes the examples changes them in batches too."""

    class Doubled(data.TensorDataset):
        def __getitem__(self, k):
            return tuple(2 * t for t in super().__getitem__(k))

    class Negative(data.Subset):
        def __getitem__(self, k):
            return -super().__getitem__(k)[0]

    class Around:
        def __init__(self, inner):
            self.inner = inner

        def __len__(self):
            return len(self.inner)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __getitem__(self, k):
            return self.inner[k][0] + 1

    doubled = Doubled(Y)
    assert [ints(batch) for batch in data.DataLoader(doubled, 4)] == [[[0, 2, 4, 6]], [[8, 10, 12]]]
    assert ints(data.DataLoader(Negative(doubled, [3, 1]), 2)) == [[-6, -2]]
    assert ints(data.DataLoader(Around(data.TensorDataset(Y)), 4)) == [[1, 2, 3, 4], [5, 6, 7]]


def test_own_getitems_and_collate_are_called():
    class Own(Numbers):
        def __getitems__(self, numbers):
            return [10 * k for k in numbers]

    assert ints(data.DataLoader(Own(3), 2)) == [[0, 10], [20]]
    for dataset in Numbers(3), data.TensorDataset(Y[:3]), Y[:3]:
        batches = list(data.DataLoader(dataset, 2, collate_fn=lambda batch: (type(batch), len(batch))))
        assert batches == [(list, 2), (list, 1)]
    Own.__getitems__ = lambda self, numbers: [1]
    with pytest.raises(ValueError, match="gave 1 examples for 3 numbers"):
        list(data.DataLoader(Own(3), 3))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_gradients_flow_to_the_dataset(num_workers):
    x = gn.Tensor(X, requires_grad=True)
    for batch, _ in data.DataLoader(data.TensorDataset(x, Y), 2, num_workers=num_workers):
        (batch * batch).sum().backward()
    assert np.array_equal(x.grad, 2 * X)
    x.zero_grad()
    data.default_collate([x[0], x[2]]).sum().backward()
    assert x.grad.sum(axis=1).tolist() == [2, 0, 2, 0, 0, 0, 0]
    with gn.no_grad():
        assert not any(batch.requires_grad for batch in data.DataLoader(x, 2, num_workers=num_workers))


def test_batch_samplers():
    lists = [[0, 2], [1], [2, 2, 2]]
    for batch_sampler in lists, [np.array(each) for each in lists], [tuple(each) for each in lists]:
        loader = data.DataLoader(Numbers(3), batch_sampler=batch_sampler)
        assert ints(loader) == lists and len(loader) == 3
    whole = data.DataLoader(data.TensorDataset(Y), None, sampler=data.BatchSampler(data.SequentialSampler(Y), 4))
    assert [x.tolist() for (x,) in whole] == [[0, 1, 2, 3], [4, 5, 6]]


def test_endless_sampler():
    for num_workers in 0, 2:
        loader = data.DataLoader(Numbers(3), 2, sampler=(k % 3 for k in itertools.count()), num_workers=num_workers)
        assert [batch.tolist() for batch in itertools.islice(loader, 3)] == [[0, 1], [2, 0], [1, 2]]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_streams(num_workers):
    for drop_last, batches in (False, [[0, 1, 2], [3, 4, 5], [6]]), (True, [[0, 1, 2], [3, 4, 5]]):
        loader = data.DataLoader(SizedStream(7), 3, drop_last=drop_last, num_workers=num_workers)
        assert ints(loader) == ints(loader) == batches and len(loader) == len(batches)
    assert list(data.DataLoader(Stream(3), None, num_workers=num_workers)) == [0, 1, 2]
    assert ints(data.DataLoader({5}, num_workers=num_workers)) == [[5]]
    with pytest.raises(TypeError, match="the class Stream has no __len__"):
        len(data.DataLoader(Stream(7)))

    class Broken(data.IterableDataset):
        def __iter__(self):
            yield from range(3)
            raise KeyError("broken")

    batches = iter(data.DataLoader(Broken(), 2, num_workers=num_workers))
    assert next(batches).tolist() == [0, 1]
    with pytest.raises(KeyError) as caught:
        next(batches)
    assert "in batch 1 of the Broken" in caught.value.__notes__


def test_shards_of_a_stream_are_complete():
    """A stream written for PyTorch's workers, each of which reads its share, is read whole."""

    class Sharded(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            first, step = (0, 1) if info is None else (info.id, info.num_workers)
            yield from range(first, 10, step)

    for num_workers in 0, 1, 3:
        assert ints(data.DataLoader(Sharded(), 4, num_workers=num_workers)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


BAD_LOADERS = {
    "batch size 0": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
    "batch size -1": ({"batch_size": -1}, ValueError, "not -1"),
    "batch size 2.0": ({"batch_size": 2.0}, TypeError, "whole number, not 2.0"),
    "workers": ({"num_workers": -1}, ValueError, "num_workers must be at least 0"),
    "prefetch": ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "prefetch_factor must be at least 1"),
    "timeout": ({"timeout": -1}, ValueError, "timeout must be 0 or more"),
    "shuffle and sampler": ({"shuffle": True, "sampler": [0]}, ValueError, "without shuffle"),
    "shuffle": ({"shuffle": rng()}, TypeError, "shuffle must be True or False"),
    "two sizes": ({"batch_size": 2, "batch_sampler": [[0]]}, ValueError, "without batch_size"),
    "two orders": ({"sampler": [0], "batch_sampler": [[0]]}, ValueError, "without batch_size, shuffle, sampler"),
    "mask": ({"sampler": np.array([True, False, True])}, TypeError, "np.flatnonzero"),
    "no last one": ({"batch_size": None, "drop_last": True}, ValueError, "no last one to drop"),
    "shuffled stream": ({"dataset": Stream(3), "shuffle": True}, ValueError, "have no numbers"),
    "generator": ({"generator": 0}, TypeError, "default_rng"),
    "read once": ({"dataset": (k for k in range(3))}, TypeError, "generator and can be read once only"),
    "no dataset": ({"dataset": 3}, TypeError, "the class int, which has neither"),
}


@pytest.mark.parametrize(("options", "kind", "message"), BAD_LOADERS.values(), ids=BAD_LOADERS)
def test_loaders_say_what_does_not_fit(options, kind, message):
    with pytest.raises(kind, match=message):
        data.DataLoader(**{"dataset": Numbers(3)} | options)


def test_a_dataset_without_length_needs_a_sampler():
    class Squares:
        def __getitem__(self, k):
            return k * k

    with pytest.raises(TypeError, match="the class Squares has no __len__"):
        data.DataLoader(Squares())
    assert ints(data.DataLoader(Squares(), 2, sampler=[3, 4])) == [[9, 16]]


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_seed_fixes_the_order_with_any_number_of_workers():
    orders = [[ints(data.DataLoader(Numbers(20), 3, True, num_workers=n, generator=g)) for _ in range(2)] for n in (0, 1, 3) for g in [rng(7)]]
    assert orders[0] == orders[1] == orders[2] and orders[0][0] != orders[0][1]
    loader = data.DataLoader(Numbers(20), 3, True)
    seeded = []
    for _ in range(2):
        gn.manual_seed(7)
        seeded.append(ints(loader))
        assert loader.generator is generator_of(None)
    assert seeded == [orders[0][0]] * 2


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("order", [{"shuffle": True}, {"sampler": data.RandomSampler(range(9), True, 30, rng())},
                                   {"sampler": data.WeightedRandomSampler(np.ones(9), 12, generator=gn.random.default_rng(0))},
                                   {"batch_size": 1, "batch_sampler": data.BatchSampler(data.SubsetRandomSampler(range(9), rng()), 2)}])  # fmt: skip
def test_the_generators_state_repeats_an_epoch(num_workers, order):
    loader = data.DataLoader(Numbers(9), **{"batch_size": 2, "num_workers": num_workers} | order)
    for _ in range(2):
        bits = loader.generator.bit_generator
        before = bits.state
        batches = iter(loader)
        after = bits.state
        first = ints(batches)
        assert before != after == bits.state  # all was drawn before the first batch
        second = ints(loader)
        bits.state = before
        assert ints(loader) == first and ints(loader) == second


def test_what_is_not_shuffled_draws_nothing():
    generator = rng()
    before = generator.bit_generator.state
    loader = data.DataLoader(Numbers(9), num_workers=2, generator=generator)
    ints(loader)
    assert loader.generator is generator and generator.bit_generator.state == before


def test_a_batch_is_a_sequence_of_examples():
    rows = data.TensorDataset(np.arange(5), np.arange(5) * 2.0).__getitems__([4, 3, 2, 1])
    assert [tuple(map(float, row)) for row in rows[1:4:2]] == [(3.0, 6.0), (1.0, 2.0)] and len(rows) == 4


def test_an_error_of_a_single_example_names_it():
    def collate(example):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as raised:
        next(iter(data.DataLoader([3.0, 4.0], batch_size=None, collate_fn=collate)))
    assert "in example 0" in "".join(raised.value.__notes__)
