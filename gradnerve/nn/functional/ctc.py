"""The loss of connectionist temporal classification: Graves et al., ICML 2006.

A network gives the probabilities of classes at each of T times, one of them a blank. A target of S labels stands for all ways to write T classes
that become the target when repeated ones are merged and blanks dropped. Such a way goes through the 2S + 1 states ``blank label blank ... blank``
from the first two to the last two: at each time it stays, goes on by one, or skips a blank between two labels that differ.

All sums are logarithms, and axes are (T, states, direction, N): the second direction goes from the end to the beginning, in the same sweep.

Read next: ../loss.py.
"""

import numpy as np

from gradnerve._engine import TensorBase
from gradnerve.nn.functional.checks import known, require
from gradnerve.ops.network import check_labels
from gradnerve.ops.reductions import mean, sum
from gradnerve.ops.shapes import reshape
from gradnerve.ops.values import of_all_examples, tensor_like
from gradnerve.own import custom_gradient

__all__ = ["ctc_loss"]

LOW = -1e30  # in place of the logarithm of 0: differences of it are no NaN


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Minus the logarithm of the probability of all ways to write the targets, as `torch.nn.functional.ctc_loss`.

    log_probs       (T, N, C) or (T, C): the logarithms of the probabilities of C classes at T times, as `log_softmax` gives them
    targets         (N, S): the classes of each target, and anything behind them; or all targets in one row; (S,) for log_probs of (T, C)
    input_lengths   (N,): of how many times each input is; N numbers, or one for log_probs of (T, C)
    target_lengths  (N,): of how many classes each target is
    blank           the number of the class that is the blank
    reduction       'none': (N,); 'sum'; 'mean': each is divided by the length of its target, and then the mean taken
    zero_infinity   whether a target that is too long for its input counts 0, with a gradient of 0; otherwise it is infinite, and its gradient NaN

    The gradient by `log_probs` is PyTorch's, which takes it that they come from `log_softmax`: at each time it has one part more, the
    probabilities themselves, which the derivative of `log_softmax` removes.

    Raises IndexError for a target that is no class, ShapeError for shapes and lengths that do not fit.

    >>> import numpy as np, gradnerve as gn
    >>> half = np.log(np.full((2, 1, 2), 0.5))
    >>> float(np.exp(-gn.nn.functional.ctc_loss(half, np.array([[1]]), [2], [1])))
    0.75
    """
    log_probs, targets = tensor_like(log_probs), of_all_examples(tensor_like(targets))
    require(log_probs.ndim in (2, 3) and len(log_probs), "ctc_loss: log_probs must be (T, N, C) or (T, C), with T at least 1", log_probs=log_probs)
    single = log_probs.ndim == 2
    if single:
        log_probs = reshape(log_probs, (log_probs.shape[0], 1, log_probs.shape[1]))
    times, n, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise IndexError(f"ctc_loss: blank is the class {blank}; there are {classes} classes, 0 to {classes - 1}")
    input_lengths = lengths(input_lengths, n, times, "input_lengths")
    states = States(padded(targets, lengths(target_lengths, n, None, "target_lengths"), classes), input_lengths, blank)
    emissions = log_probs[:, np.arange(n), states.classes]
    each = ctc_alignments(log_probs, emissions, states=states, zero_infinity=bool(zero_infinity))
    if known(reduction, "ctc_loss") == "mean":
        each = each / np.maximum(states.target_lengths, 1).astype(each.dtype)
    return mean(each) if reduction == "mean" else sum(each) if reduction == "sum" else reshape(each, ()) if single else each


def lengths(given, n, most, name):
    """The lengths of N sequences, none of them negative or larger than `most`."""
    given = np.asarray(of_all_examples(given))
    if given.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: {name} must be integers, not {given.dtype}")
    given = given.reshape(-1)
    require(given.size == n, f"ctc_loss: {name} must be {n} numbers, one for each of the batch, not {given.size}")
    if n and (given.min() < 0 or (most is not None and given.max() > most)):
        wrong = given.min() if given.min() < 0 else given.max()
        require(False, f"ctc_loss: {name} must not be negative{'' if most is None else f', nor more than the {most} there are'}, but one is {wrong}")
    return given.astype(np.int64)


def padded(targets, target_lengths, classes):
    """The targets as an array (N, S) with as many columns as needed, and their lengths."""
    if targets.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: targets must hold the numbers of classes, as integers, not {targets.dtype}")
    n, most = target_lengths.size, int(target_lengths.max(initial=0))
    used = np.arange(most) < target_lengths[:, None]
    if targets.ndim == 2:
        require(targets.shape[0] == n and targets.shape[1] >= most,
                f"ctc_loss: targets must be (N, S) with N = {n} and at least {most} columns, or all in one row", targets=targets)
        rows = np.where(used, targets[:, :most], 0)
    else:
        total = int(target_lengths.sum())
        require(targets.ndim == 1 and targets.size == total,
                f"ctc_loss: targets must be (N, S), or in one row as many as target_lengths say, {total}", targets=targets)
        rows = np.zeros((n, most), np.int64)
        rows[used] = targets[:total]
    check_labels("ctc_loss", rows[used], classes)
    return rows.astype(np.int64), target_lengths


class States:
    """What is known of the states before any probability.

    classes         (states, N): the class of each
    skip            (states, 2, N): 0 where it may be reached by a skip, LOW elsewhere
    last            (N,): the number of the last
    used            (T, states, N): which are a state at a time of an input
    """

    def __init__(self, targets, input_lengths, blank):
        rows, self.target_lengths = targets
        n, most = rows.shape
        self.input_lengths, self.n = input_lengths, n
        self.classes = np.full((2 * most + 1, n), blank)
        self.classes[1::2] = rows.T
        self.last = 2 * self.target_lengths
        numbers = np.arange(2 * most + 1)[:, None]
        self.backward = np.where(numbers <= self.last, self.last - numbers, numbers)
        both = np.stack([self.classes, np.take_along_axis(self.classes, self.backward, 0)], 1)
        self.skip = np.full(both.shape, LOW)
        self.skip[2:][(both[2:] != blank) & (both[2:] != both[:-2])] = 0

    def used(self, times):
        numbers = np.arange(len(self.classes))[:, None]
        return (np.arange(times)[:, None, None] < self.input_lengths) & (numbers <= self.last)

    def turned(self, x):
        """From the end to the beginning, in time and states, of each sequence by itself: (T, states, N)."""
        if (self.input_lengths == len(x)).all() and (self.last == x.shape[1] - 1).all():
            return x[::-1, ::-1]
        times = np.arange(len(x))[:, None, None]
        times = np.where(times < self.input_lengths, self.input_lengths - 1 - times, times)
        return x[times, self.backward, np.arange(self.n)]


@custom_gradient
def ctc_alignments(log_probs, emissions, states, zero_infinity):
    """The loss of each sequence, from the logarithms of the probabilities of its states, (T, states, N)."""
    times, n = len(emissions), states.n
    possible = np.maximum(emissions, LOW)
    arrived, total = sweep(np.stack([possible, states.turned(possible)], 2), states.skip)
    ends = total[:, :, 0]
    at, there = states.input_lengths - 1, np.arange(n)
    before_last = np.where(states.last > 0, ends[at, states.last - 1, there], LOW)
    loss = -np.logaddexp(ends[at, states.last, there], before_last)
    loss = np.where(states.input_lengths == 0, np.where(states.target_lengths == 0, 0, -LOW).astype(emissions.dtype), loss)
    lost = of_all_examples(loss) > -LOW / 2

    def pullback(g):
        used = states.used(times)
        through = np.exp(np.where(used & ~lost, ends + states.turned(arrived[:, :, 1]) + loss, LOW))
        g = np.where(lost, 0 if zero_infinity else np.nan, g)
        return np.where(used[:, 0, :, None], np.exp(log_probs) * g[:, None], 0), np.where(used, -through * g, 0)

    return np.where(lost, 0 if zero_infinity else np.inf, loss), pullback


def sweep(emissions, skip):
    """For each time and state, the probability of all ways that arrive there, without and with that of the state itself."""
    skip = skip.astype(emissions.dtype)
    start = np.where(np.arange(len(skip))[:, None, None] < 2, skip.dtype.type(0), skip.dtype.type(LOW)) + np.zeros_like(skip)
    return (recorded if isinstance(emissions, TensorBase) else in_place)(emissions, skip, start)


def recorded(emissions, skip, start):
    nowhere = np.full((2, *skip.shape[1:]), LOW, skip.dtype)
    arrived, total = [start], [start + emissions[0]]
    for k in range(1, len(emissions)):
        before = np.concatenate([nowhere, total[-1]])
        arrived.append(np.logaddexp(np.logaddexp(before[2:], before[1:-1]), before[:-2] + skip))
        total.append(arrived[-1] + emissions[k])
    return np.stack(arrived), np.stack(total)


def in_place(emissions, skip, start):
    """The same for arrays, in memory that is used again at each time."""
    arrived, total = np.empty_like(emissions), np.full((len(emissions), len(skip) + 2, *skip.shape[1:]), LOW, skip.dtype)
    arrived[0] = start
    np.add(start, emissions[0], out=total[0, 2:])
    ways, most = np.empty((3, *skip.shape), skip.dtype), np.empty_like(skip)
    stay, go, leap = ways
    for before, after, here, gained in zip(total, total[1:, 2:], arrived[1:], emissions[1:], strict=False):
        np.add(before[:-2], skip, out=leap)
        np.maximum(before[2:], before[1:-1], out=most)
        np.maximum(most, leap, out=most)
        np.subtract(before[2:], most, out=stay)
        np.subtract(before[1:-1], most, out=go)
        np.subtract(leap, most, out=leap)
        np.exp(ways, out=ways)
        np.add(stay, go, out=stay)
        np.add(stay, leap, out=stay)
        np.log(stay, out=stay)
        np.add(stay, most, out=here)
        np.add(here, gained, out=after)
    return arrived, total[:, 2:]
