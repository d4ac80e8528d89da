"""Embeddings and bags of them, against PyTorch; rows that are added by their numbers, against NumPy."""

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn
from gradnerve.kernels.rows import add_rows, rows_times, sum_rows

F, TF = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(0)
WEIGHT = rng.normal(size=(7, 3))
NUMBERS = [np.array([1, 2, 2, 6]), np.array(3), np.array([[0, 1], [1, 1]]), np.zeros((2, 0), int), np.array([5, 5], np.int32)]


def compare(name, numbers, *arrays, **options):
    """The function of this name here and in PyTorch, with offsets and numbers as each wants them."""
    ours, theirs = getattr(F, name), getattr(TF, name)
    offsets = options.pop("offsets", None)
    more = {} if offsets is None else {"offsets": np.asarray(offsets)}
    their_more = {} if offsets is None else {"offsets": torch.tensor(offsets)}
    weights = (lambda rest: {"per_sample_weights": rest[0]} if rest else {})  # fmt: skip
    check(lambda w, *rest: ours(numbers, w, **more, **weights(rest), **options),
          lambda w, *rest: theirs(torch.tensor(numbers.astype(np.int64)), w, **their_more, **weights(rest), **options), *arrays)  # fmt: skip


# --- embedding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", NUMBERS, ids=lambda a: f"{a.dtype}{a.shape}")
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"padding_idx": -2}, {"scale_grad_by_freq": True},
                                     {"scale_grad_by_freq": True, "padding_idx": 2}], ids=str)  # fmt: skip
def test_embedding_is_pytorchs(numbers, options):
    theirs = lambda w: TF.embedding(torch.tensor(numbers.astype(np.int64)), w, **options)
    if "scale_grad_by_freq" in options or "padding_idx" in options:  # PyTorch forgets these in second derivatives
        check(lambda w: F.embedding(numbers, w, **options), theirs, WEIGHT, second=False)
    else:
        check(lambda w: F.embedding(numbers, w, **options), theirs, WEIGHT)


def test_an_embedding_can_be_differentiated_twice():
    numbers = np.array([1, 1, 2, 4])
    gn.check_gradients(lambda w: (F.embedding(numbers, w) ** 3).sum(), WEIGHT, order=2)


def test_max_norm_scales_rows_in_place():
    for norm_type in (2.0, 1.0, np.inf):
        ours, theirs = gn.Tensor(WEIGHT), torch.tensor(WEIGHT)
        numbers = np.array([1, 2, 2, 5])
        found = F.embedding(numbers, ours, max_norm=0.8, norm_type=norm_type)
        wanted = TF.embedding(torch.tensor(numbers), theirs, max_norm=0.8, norm_type=norm_type)
        np.testing.assert_allclose(found.data, wanted.numpy(), rtol=1e-12)
        np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-12)


def test_embedding_in_single_precision():
    weight = gn.Tensor(WEIGHT.astype("f"), requires_grad=True)
    (F.embedding(np.array([1, 1, 3]), weight, padding_idx=3) * np.float32(2)).sum().backward()
    assert weight.grad.dtype == np.float32
    np.testing.assert_array_equal(weight.grad[:, 0], [0, 4, 0, 0, 0, 0, 0])


def test_a_row_of_padding_gets_no_gradient_whatever_comes():
    weight = gn.Tensor(WEIGHT, requires_grad=True)
    y = F.embedding(np.array([1, 2]), weight, padding_idx=1)
    y.backward(np.array([[np.inf, np.nan, 1.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_array_equal(weight.grad[1:3], [[0, 0, 0], [1, 1, 1]])


def test_gradients_of_one_table_add_up():
    weight = gn.Tensor(WEIGHT, requires_grad=True)
    total = F.embedding(np.array([1, 2]), weight).sum() + (F.embedding(np.array([2, 2]), weight) @ weight.T).sum()
    total.backward()
    theirs = torch.tensor(WEIGHT, requires_grad=True)
    (TF.embedding(torch.tensor([1, 2]), theirs).sum() + (TF.embedding(torch.tensor([2, 2]), theirs) @ theirs.T).sum()).backward()
    np.testing.assert_allclose(weight.grad, theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}], ids=str)
def test_embedding_for_many_examples(options):
    numbers, weights = np.array([[1, 1, 2], [0, 3, 1]]), rng.normal(size=(2, 7, 3))
    f = lambda numbers, w: gn.grad(lambda w: (F.embedding(numbers, w, **options) ** 2).sum())(w)
    for axes in [(0, None), (None, 0), (0, 0)]:
        args = [a if axis == 0 else a[0] for a, axis in zip((numbers, weights), axes, strict=True)]
        found = gn.vmap(f, axes)(*args)
        for k in range(2):
            own = [a[k] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]
            np.testing.assert_allclose(found[k].data, f(*own).data, rtol=1e-12)


# --- bags ------------------------------------------------------------------------------------------------------------

BAGS = [(np.array([1, 2, 3, 4, 5]), {"offsets": [0, 2, 4]}), (np.array([1, 1, 3, 4, 5]), {"offsets": [0, 0, 5]}),
        (np.array([1, 2, 3, 4, 5]), {"offsets": [0, 2, 5], "include_last_offset": True}), (np.array([[1, 2, 2], [4, 2, 0]]), {}),
        (np.array([2, 1, 2, 4, 2]), {"offsets": [0, 1, 3, 4], "padding_idx": 2}), (np.array([[1, 2, 2], [2, 2, 2]]), {"padding_idx": -5}),
        (np.zeros(0, int), {"offsets": [0, 0]}), (np.array([3, 4], np.int32), {"offsets": [0]})]  # fmt: skip


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(("numbers", "options"), BAGS, ids=[str(k) for k in range(len(BAGS))])
def test_embedding_bag_is_pytorchs(numbers, options, mode):
    compare("embedding_bag", numbers, WEIGHT, mode=mode, **options)


@pytest.mark.parametrize(("numbers", "options"), BAGS, ids=[str(k) for k in range(len(BAGS))])
def test_bags_with_weights_are_pytorchs(numbers, options):
    compare("embedding_bag", numbers, WEIGHT, rng.normal(size=numbers.shape), mode="sum", **options)


def test_bags_scale_gradients_by_frequency():
    """By that of each number; PyTorch 2.13 divides by that of another one."""
    numbers, bags = np.array([1, 1, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1, 1])
    for mode, sizes in (("sum", 1), ("mean", 3)):
        weight, g = gn.Tensor(WEIGHT, requires_grad=True), rng.normal(size=(2, 3))
        F.embedding_bag(numbers, weight, np.array([0, 3]), mode=mode, scale_grad_by_freq=True).backward(g)
        wanted = np.zeros_like(WEIGHT)
        np.add.at(wanted, numbers, g[bags] / sizes / np.array([3, 3, 3, 2, 2, 1])[:, None])
        np.testing.assert_allclose(weight.grad, wanted, rtol=1e-12)


def test_bags_limit_norms():
    ours, theirs, numbers = gn.Tensor(WEIGHT), torch.tensor(WEIGHT), np.array([1, 2, 2, 5])
    found = F.embedding_bag(numbers, ours, np.array([0, 1]), max_norm=0.8)
    np.testing.assert_allclose(found.data, TF.embedding_bag(torch.tensor(numbers), theirs, torch.tensor([0, 1]), max_norm=0.8).numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-12)


# --- layers ----------------------------------------------------------------------------------------------------------


def test_layers_are_pytorchs():
    numbers = np.array([[1, 2, 2], [0, 3, 6]])
    ours = lambda layer, *_: layer(torch.tensor(numbers) if is_pytorchs(layer) else numbers)
    check_layer(gn.nn.Embedding(7, 3, dtype="d"), torch.nn.Embedding(7, 3), call=ours)
    check_layer(gn.nn.Embedding(7, 3, padding_idx=2, dtype="d"), torch.nn.Embedding(7, 3, padding_idx=2), call=ours, second=False)
    for mode in ("sum", "mean", "max"):
        check_layer(gn.nn.EmbeddingBag(7, 3, mode=mode, padding_idx=2, dtype="d"), torch.nn.EmbeddingBag(7, 3, mode=mode, padding_idx=2), call=ours)


def is_pytorchs(layer):
    return isinstance(getattr(layer, "module", layer), torch.nn.Module)


@pytest.mark.parametrize("options", [{}, {"padding_idx": -1}, {"max_norm": 1.0, "norm_type": 1.0, "scale_grad_by_freq": True, "sparse": True}],
                         ids=str)  # fmt: skip
def test_layers_look_like_pytorchs(options):
    ours, theirs = gn.nn.Embedding(7, 3, **options), torch.nn.Embedding(7, 3, **options)
    assert repr(ours) == repr(theirs)
    assert ours.padding_idx == theirs.padding_idx
    assert repr(gn.nn.EmbeddingBag(7, 3, **options)) == repr(torch.nn.EmbeddingBag(7, 3, **options))


def test_first_values_are_normal_and_padding_is_zero():
    layer = gn.nn.Embedding(500, 40, padding_idx=3, generator=np.random.default_rng(0))
    assert abs(layer.weight.data.std() - 1) < 0.02
    assert not layer.weight.data[3].any()
    assert layer.weight.dtype == np.float32


def test_from_pretrained_keeps_the_values():
    for kind in (gn.nn.Embedding, gn.nn.EmbeddingBag):
        layer = kind.from_pretrained(WEIGHT, padding_idx=0)
        np.testing.assert_array_equal(layer.weight.data, WEIGHT)
        assert not layer.weight.requires_grad
        assert layer.padding_idx == 0
        assert kind.from_pretrained(gn.Tensor(WEIGHT), freeze=False).weight.requires_grad


def test_a_row_of_padding_stays_while_the_others_learn():
    layer = gn.nn.Embedding(5, 2, padding_idx=1, dtype="d")
    before = layer.weight.data.copy()
    layer(np.array([0, 1, 2])).sum().backward()
    layer.weight.data -= layer.weight.grad
    np.testing.assert_array_equal(before - layer.weight.grad, layer.weight.data)
    assert layer.weight.grad.tolist() == [[1, 1], [0, 0], [1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: F.embedding(np.array([0, 7]), WEIGHT), IndexError, "embedding: input holds the index 7; weight has 7 rows, 0 to 6"),
    (lambda: F.embedding(np.array([0, -1]), WEIGHT), IndexError, "embedding: input holds the index -1"),
    (lambda: F.embedding(np.array([0.0]), WEIGHT), TypeError, "embedding: input must hold whole numbers, .* not float64"),
    (lambda: F.embedding(np.array([0]), WEIGHT[0]), ValueError, "embedding: weight must have the shape"),
    (lambda: F.embedding(np.array([0]), WEIGHT, padding_idx=7), IndexError, "embedding: padding_idx 7 is no row of weight, which has 7"),
    (lambda: gn.nn.Embedding(7, 3, padding_idx=-8), IndexError, "Embedding: padding_idx -8"),
    (lambda: gn.nn.Embedding(7, 3, _weight=np.ones((7, 4))), ValueError, r"Embedding: _weight must have shape \(7, 3\)"),
    (lambda: gn.nn.Embedding.from_pretrained(np.ones(3)), ValueError, "Embedding.from_pretrained: embeddings must have the shape"),
    (lambda: F.embedding_bag(np.array([0]), WEIGHT), ValueError, "embedding_bag: an input of one axis needs offsets"),
    (lambda: F.embedding_bag(np.array([[0]]), WEIGHT, np.array([0])), ValueError, "embedding_bag: an input of two axes .* takes no offsets"),
    (lambda: F.embedding_bag(np.array([[[0]]]), WEIGHT), ValueError, "embedding_bag: input must have one or two axes"),
    (lambda: F.embedding_bag(np.array([0, 1]), WEIGHT, np.array([1])), ValueError, r"offsets must begin with 0 and rise to 2 at most.*\[1\]"),
    (lambda: F.embedding_bag(np.array([0, 1]), WEIGHT, np.array([0, 3])), ValueError, "offsets must begin with 0 and rise to 2 at most"),
    (lambda: F.embedding_bag(np.array([0, 1]), WEIGHT, np.array([0.0])), TypeError, "offsets must hold whole numbers, not float64"),
    (lambda: F.embedding_bag(np.array([[0]]), WEIGHT, mode="total"), ValueError, "mode must be 'sum', 'mean' or 'max', not 'total'"),
    (lambda: F.embedding_bag(np.array([[0]]), WEIGHT, mode="max", sparse=True), ValueError, "mode 'max' goes with neither"),
    (lambda: F.embedding_bag(np.array([[0]]), WEIGHT, per_sample_weights=np.ones((1, 1))), ValueError, "per_sample_weights go with mode 'sum'"),
    (lambda: F.embedding_bag(np.array([[0]]), WEIGHT, mode="sum", per_sample_weights=np.ones(1)), ValueError, "must have the shape of input"),
    (lambda: F.embedding_bag(np.array([[9]]), WEIGHT), IndexError, "embedding_bag: input holds the index 9; weight has 7 rows"),
])  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- kernels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_rows_are_added_as_numpy_does(dtype, index):
    for rows, n, width in ((1, 5, 3), (7, 0, 3), (40, 1000, 1), (300, 5000, 64)):
        numbers, some = rng.integers(-rows, rows, n).astype(index), rng.normal(size=(n, width)).astype(dtype)
        for x in (some, some[::-1], np.asfortranarray(some), np.broadcast_to(some.dtype.type(3), some.shape)):
            wanted = np.ones((rows, width), dtype)
            out = wanted.copy()
            np.add.at(wanted, numbers, x)
            assert add_rows(out, numbers, x)
            np.testing.assert_array_equal(out, wanted)
            wanted = np.zeros((rows, width), dtype)
            np.add.at(wanted, numbers, x)
            np.testing.assert_array_equal(sum_rows((rows, width), numbers, x), wanted)


def test_rows_decline_what_they_cannot_add():
    x, out = np.ones((2, 3)), np.zeros((4, 3))
    for numbers in (np.array([0, 4]), np.array([-5, 0]), np.array([0, 1], np.uint8), np.array([True, False]), np.array([0, 1], ">i8")):
        assert not add_rows(out, numbers, x)
        assert sum_rows((4, 3), numbers, x) is None
    assert not add_rows(out, np.array([0, 1, 2]), x)
    assert not add_rows(out, np.array([0, 1]), x.astype("f"))
    assert not add_rows(out.T, np.array([0, 1]), np.ones((2, 4)))
    assert not out.any()


def test_products_with_rows_decline_what_they_cannot_take():
    x, matrix, bias = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
    np.testing.assert_array_equal(rows_times(x, matrix, bias, False), np.full((2, 4), 4.0))
    np.testing.assert_array_equal(rows_times(x[None], matrix.T.copy(), bias, True), np.full((1, 2, 4), 4.0))
    assert rows_times(x, np.ones((4, 3)).T, None, False) is None
    for args in ((x.astype("f"), matrix, None), (x, matrix, bias.astype("f")), (x, matrix, bias[:3]), (x.T, matrix.T, None), (x, matrix[0], None),
                 (x[:, :2], matrix, None), (np.array(1.0), matrix, None), (x.astype(int), matrix.astype(int), None), (x.tolist(), matrix, None)):
        assert rows_times(*args, False) is None
