"""The CTC loss: against PyTorch, and against a sum over all ways to write the target."""

import itertools

import numpy as np
import pytest
from as_torch import check, check_layer, close, torch

import gradnerve as gn

F, T = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(5)
INPUTS, TARGETS = np.array([7, 5, 7]), np.array([3, 2, 0])
LABELS = np.array([[1, 1, 2], [3, 2, 9], [9, 9, 9]])  # what is behind the end is no class, and nobody's business


def logits(*shape):
    return rng.normal(size=shape)


def agree(x, targets, inputs, lengths, **options):
    tensors = [torch.tensor(a) for a in (targets, inputs, lengths)]
    check(lambda x: F.ctc_loss(gn.log_softmax(x, -1), targets, inputs, lengths, **options),
          lambda x: T.ctc_loss(torch.log_softmax(x, -1), *tensors, **options), x)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("blank", [0, 3])
def test_batches(reduction, blank):
    labels = np.where(blank == LABELS, 0, LABELS)
    agree(logits(7, 3, 4), labels, INPUTS, TARGETS, blank=blank, reduction=reduction)
    in_one_row = np.concatenate([row[:n] for row, n in zip(labels, TARGETS, strict=True)])
    agree(logits(7, 3, 4), in_one_row, INPUTS, TARGETS, blank=blank, reduction=reduction)
    agree(logits(7, 4), labels[0], np.array(7), np.array(3), blank=blank, reduction=reduction)
    agree(logits(7, 4), labels[0, :2], np.array([6]), np.array([2]), blank=blank, reduction=reduction)


def test_lengths_may_be_tuples_and_lists():
    x = gn.log_softmax(logits(7, 3, 4), -1)
    expected = F.ctc_loss(x, LABELS, INPUTS, TARGETS)
    assert expected == F.ctc_loss(x, LABELS, tuple(INPUTS), list(TARGETS)) == F.ctc_loss(gn.Tensor(x), gn.asarray(LABELS), INPUTS, TARGETS).data


def test_the_gradient_by_log_probs_is_pytorchs():
    x = gn.log_softmax(logits(7, 3, 4), -1)
    ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    F.ctc_loss(ours, LABELS, INPUTS, TARGETS).backward()
    T.ctc_loss(theirs, *map(torch.tensor, (LABELS, INPUTS, TARGETS))).backward()
    close(ours.grad, theirs.grad, 1e-12, "gradient")


def merged(way, blank=0):
    return [c for c, _ in itertools.groupby(way) if c != blank]


@pytest.mark.parametrize("target", [[], [1], [1, 1], [1, 2], [2, 1, 2]])
def test_it_is_the_sum_over_all_ways(target):
    times, classes = 4, 3
    x = gn.log_softmax(logits(times, classes), -1)
    ways = (way for way in itertools.product(range(classes), repeat=times) if merged(way) == target)
    probability = sum(np.exp(sum(x[t, c] for t, c in enumerate(way))) for way in ways)
    found = F.ctc_loss(x, np.array(target, int), [times], [len(target)], reduction="none")
    np.testing.assert_allclose(found, -np.log(probability), rtol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_targets_that_are_too_long(reduction):
    """Repeated labels need a blank between them."""
    x, targets, inputs, lengths = logits(4, 3, 3), np.array([[1, 1, 2], [1, 1, 1], [2, 1, 0]]), np.array([4, 4, 1]), np.array([3, 3, 2])
    tensors = [torch.tensor(a) for a in (targets, inputs, lengths)]
    for zero in (False, True):
        ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        loss = F.ctc_loss(gn.log_softmax(ours, -1), targets, inputs, lengths, 0, reduction, zero)
        expected = T.ctc_loss(torch.log_softmax(theirs, -1), *tensors, 0, reduction, zero)
        close(loss, expected, 1e-12, "value")
        loss.sum().backward()
        expected.sum().backward()
        close(ours.grad, theirs.grad, 1e-12, "gradient")
    agree(x, targets, inputs, lengths, reduction=reduction, zero_infinity=True)


def test_inputs_of_no_time():
    """Nothing can be written, which is right for an empty target only."""
    x = gn.Tensor(gn.log_softmax(logits(3, 2, 3), -1), requires_grad=True)
    loss = F.ctc_loss(x, np.array([[1], [1]]), [0, 0], [0, 1], reduction="none", zero_infinity=True)
    assert loss.data.tolist() == [0, 0]
    loss.sum().backward()
    assert not x.grad.any()
    assert np.isinf(F.ctc_loss(x, np.array([[1], [1]]), [0, 0], [0, 1], reduction="none").data[1])


def test_probabilities_of_zero():
    some = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 1]]) > 0
    x = np.where(some, np.log([[1.0], [0.5], [1.0]]), -np.inf)
    t = gn.Tensor(x, requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        loss = F.ctc_loss(t, np.array([1, 2]), [3], [2], reduction="sum")
        loss.backward()
    np.testing.assert_allclose(loss.data, 0, atol=1e-12)
    assert np.isfinite(t.grad).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_sequences_neither_overflow_nor_vanish(dtype):
    """The largest logarithms are far below what single precision can take the exponential of."""
    x = gn.log_softmax(logits(300, 2, 30) * 20, -1).astype(dtype)
    targets, inputs, lengths = rng.integers(1, 30, (2, 40)), np.array([300, 250]), np.array([40, 25])
    ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x.astype(float), requires_grad=True)
    loss, expected = F.ctc_loss(ours, targets, inputs, lengths), T.ctc_loss(theirs, *map(torch.tensor, (targets, inputs, lengths)))
    loss.backward()
    expected.backward()
    tolerance = 1e-10 if dtype is np.float64 else 2e-3
    assert loss.dtype == ours.grad.dtype == dtype
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=tolerance)
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), atol=tolerance)


def test_layer():
    theirs, ours = torch.nn.CTCLoss(1, "sum", True), gn.nn.CTCLoss(1, "sum", True)
    assert repr(ours) == repr(theirs)
    others = np.array([[2, 2, 3], [3, 2, 9], [9, 9, 9]]), INPUTS, TARGETS

    def call(layer, x):
        if isinstance(x, torch.Tensor):
            return layer(x.log_softmax(-1), *map(torch.tensor, others))
        return layer(gn.log_softmax(x, -1), *others)

    check_layer(ours, theirs, logits(7, 3, 4), call=call)


x = gn.log_softmax(np.zeros((5, 2, 4)), -1)
ok = np.array([[1, 2], [3, 1]]), [5, 5], [2, 2]
ERRORS = [
    ((x[:0], *ok), {}, gn.ShapeError, "T at least 1"),
    ((x[0, 0], *ok), {}, gn.ShapeError, r"\(T, N, C\) or \(T, C\)"),
    ((x, ok[0] + 1, *ok[1:]), {}, IndexError, "class 4; there are 4 classes"),
    ((x, ok[0], [5, 6], [2, 2]), {}, gn.ShapeError, "input_lengths must not .* 5 there are, but one is 6"),
    ((x, ok[0], [5], [2, 2]), {}, gn.ShapeError, "2 numbers"),
    ((x, ok[0], [5, 5], [2, 3]), {}, gn.ShapeError, "at least 3 columns"),
    ((x, ok[0], [5, 5], [2, -1]), {}, gn.ShapeError, "target_lengths .* one is -1"),
    ((x, ok[0][0], [5, 5], [2, 2]), {}, gn.ShapeError, "in one row as many as target_lengths say, 4"),
    ((x, *ok, 4), {}, IndexError, "blank is the class 4"),
    ((x, ok[0] * 1.0, *ok[1:]), {}, TypeError, "targets must hold"),
    ((x, ok[0], [5.0, 5.0], [2, 2]), {}, TypeError, "input_lengths must be integers"),
    ((x, *ok), {"reduction": "batchmean"}, ValueError, "ctc_loss: reduction"),
]


@pytest.mark.parametrize(("args", "options", "error", "words"), ERRORS)
def test_errors_say_what_is_wrong(args, options, error, words):
    with pytest.raises(error, match=words):
        F.ctc_loss(*args, **options)
