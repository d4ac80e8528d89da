"""The functions that networks are made of and NumPy lacks: relu, sigmoid, softmax and the cross entropy.

All of them are stable: exponentials are taken of numbers that are not positive, so that nothing overflows.
Softmax and the cross entropy of labels have a faster twin, csrc/kernels/softmax.pyx.

Read next: losses.py.
"""

import warnings

import numpy as np

from gradnerve._engine import ShapeError
from gradnerve.kernels import softmax as kernel
from gradnerve.ops.batched import from_end, rule
from gradnerve.ops.define import elementwise, op
from gradnerve.ops.reductions import divide, kept, mean, sum
from gradnerve.ops.shapes import astype, expand_dims, reshape
from gradnerve.ops.values import of_all_examples, tensor_like

# --- activations -----------------------------------------------------------------------------------------------------


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    small = np.exp(np.minimum(x, -x))  # of complex x, minimum takes the one with the smaller real part
    return np.where(x >= 0, 1, small) / (1 + small)


relu    = elementwise(relu,    masks=True, x=lambda g, out: np.where(out > 0, g, 0))
sigmoid = elementwise(sigmoid, x=lambda g, out: g * out * (1 - out))


# --- softmax ---------------------------------------------------------------------------------------------------------


def below_zero(x, axis):
    """`x` less its largest element along the axis, and that element (0 where it is infinite: inf - inf has no value)."""
    x = np.asarray(x)
    x = x if x.dtype.kind in "fc" else x.astype(float)
    top = np.maximum.reduce(x, axis, None, None, True, -np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    return x - top, top


def softmax(x, axis=-1):
    small = np.exp(below_zero(x, axis)[0])
    return small / np.add.reduce(small, axis, keepdims=True)


def log_softmax(x, axis=-1):
    x, _ = below_zero(x, axis)
    return x - np.log(np.add.reduce(np.exp(x), axis, keepdims=True))


def logsumexp(x, axis=None, keepdims=False):
    x, top = below_zero(x, axis)
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum is -inf
        out = np.log(np.add.reduce(np.exp(x), axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)[()]


def weights(g, out, x, x_shape, axis):
    """The softmax of x, written with the result that is there already."""
    shape = kept(x_shape, axis)
    g, out = reshape(g, shape), reshape(out, shape)
    return g * np.exp(x - np.where(np.isfinite(out), out, 0))


def softmax_line(g, out, axis):
    fast = kernel.softmax_back(g, out, axis)
    return out * (g - sum(g * out, axis, keepdims=True)) if fast is None else fast


def log_softmax_line(g, out, axis):
    fast = kernel.log_softmax_back(g, out, axis)
    return g - np.exp(out) * sum(g, axis, keepdims=True) if fast is None else fast


softmax     = op(softmax,     fast=kernel.softmax,     x=softmax_line)
log_softmax = op(log_softmax, fast=kernel.log_softmax, x=log_softmax_line)
logsumexp   = op(logsumexp,   x=weights)


# --- cross entropy ---------------------------------------------------------------------------------------------------


def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    """The cross entropy between the softmax of `input` and `target`, as `torch.nn.functional.cross_entropy`.

    input            (C,), (N, C) or (N, C, ...): a number for each of C classes, not yet normalised
    target           integers: the number of the right class, of the shape of input without the class axis;
                     floats: a probability for every class, of the shape of input
    weight           (C,): how much each class counts
    ignore_index     a number in `target` that stands for no class: such elements count nothing
    reduction        'mean' over all that is classified, by their weights, 'sum', or 'none' for each by itself
    label_smoothing  the part of the probability, from 0 to 1, that is shared by all classes

    Raises IndexError for a number that is no class, ShapeError for shapes that do not fit, TypeError for a target of another kind.

    >>> float(cross_entropy(np.array([[0.0, 0.0]]), np.array([1])))
    0.6931471805599453
    """
    if type(weight) is str:
        weight, reduction = None, weight
    if size_average is not None or reduce is not None:
        reduction = legacy(size_average, reduce)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    input, target = tensor_like(input), tensor_like(target)
    shape, labels = input.shape, of_all_examples(target)
    if len(shape) < 2 or target.shape != shape[:1] + shape[2:] or kernel.labels_that_count(labels, shape[1], ignore_index) < 0:
        check_target(input, target, ignore_index)
    if weight is None and label_smoothing == 0 and target.dtype.kind != "f":
        return label_entropy(input, target, ignore_index, reduction, min(input.ndim - 1, 1))
    return weighted_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def legacy(size_average, reduce):
    """The reduction that PyTorch's former arguments stand for."""
    reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(f"size_average and reduce are deprecated: please use reduction={reduction!r} instead", stacklevel=3)
    return reduction


def shapes_of(input, target):
    return f"\n    input   {input.shape} {input.dtype}\n    target  {target.shape} {target.dtype}"


def check_target(input, target, ignore_index, name="cross_entropy"):
    """Say what is wrong with a target that does not fit its input."""
    shapes = shapes_of(input, target)
    if not input.ndim:
        raise ShapeError(f"{name}: input must have a class axis: (C,), (N, C) or (N, C, ...)" + shapes)
    labels = input.shape[:1] * (input.ndim > 1) + input.shape[2:]
    if target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ShapeError(f"{name}: target holds floats, so it must hold a probability for each class, of shape {input.shape}; "
                             f"for the numbers of classes, of shape {labels}, pass integers" + shapes)
    elif target.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must hold integers (class numbers) or floats (probabilities)" + shapes)
    elif target.shape != labels:
        raise ShapeError(f"{name}: target holds integers, so it must hold one class number for each row of input, of shape {labels}" + shapes)
    else:
        check_labels(name, target, input.shape[min(input.ndim - 1, 1)], ignore_index, shapes)


def check_labels(name, target, classes, ignore_index=None, shapes=""):
    """Raise IndexError if there is a number that is no class."""
    labels = of_all_examples(target)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        wrong = labels[(labels < 0) | (labels >= classes)]
        wrong = wrong if ignore_index is None else wrong[wrong != ignore_index]
        if wrong.size:
            raise IndexError(f"{name}: target holds the class {wrong[0]}; there are {classes} classes, 0 to {classes - 1}" + shapes)


def counted(target, ignore_index):
    """Which labels count; None if it is all of them."""
    labels = of_all_examples(target)
    return target != ignore_index if (labels == ignore_index).any() else None


def without_ignored(target, counts):
    return target if counts is None else np.where(counts, target, 0)


def label_entropy(logits, target, ignore_index, reduction, axis):
    """Minus the logarithm of the probability that softmax gives to the right class."""
    counts = counted(target, ignore_index)
    below, _ = below_zero(logits, axis)
    right = np.take_along_axis(below, np.expand_dims(without_ignored(target, counts), axis), axis).squeeze(axis)
    each = np.log(np.add.reduce(np.exp(below), axis)) - right
    each = each if counts is None else np.where(counts, each, each.dtype.type(0))
    if reduction == "none":
        return each
    with np.errstate(invalid="ignore"):
        return divide(np.add.reduce(each, None), number(target, counts) if reduction == "mean" else 1)


def number(target, counts):
    """How many labels count."""
    return target.size if counts is None else int(np.count_nonzero(counts))


def label_line(g, logits, target, ignore_index, reduction, axis):
    """The probability of each class, less one for the right class."""
    fast = kernel.label_entropy_back(g, logits, target, ignore_index, reduction, axis)
    if fast is not None:
        return fast
    target = np.asarray(target)
    counts = counted(target, ignore_index)
    right = np.zeros(logits.shape, logits.dtype)
    np.put_along_axis(right, np.expand_dims(without_ignored(target, counts), axis), 1, axis)
    g = expand_dims(g, axis) if reduction == "none" else g / max(number(target, counts), 1) if reduction == "mean" else g
    out = g * (softmax(logits, axis) - right)
    return out if counts is None else np.where(np.expand_dims(counts, axis), out, 0)


label_entropy = op(label_entropy, fast=kernel.label_entropy, logits=label_line)


@rule("label_entropy", also="target")
def label_entropies(call):
    """Of each row; then their sum or mean for each example."""
    logits, target, reduction = call.whole("logits"), call.whole("target"), call["reduction"]
    each = call(logits=logits, target=target, axis=from_end(call["axis"], call.ndim("logits")), reduction="none")
    if reduction == "none":
        return each
    axes = tuple(range(1, each.ndim))
    if reduction == "sum":
        return sum(each, axes)
    counts = sum(astype(target != call["ignore_index"], each.dtype), axes)
    return sum(each, axes) / np.where(counts == 0, np.nan, counts)


def weighted_entropy(input, target, weight, ignore_index, reduction, label_smoothing):
    """The cross entropy with weights of classes, smoothed labels, or probabilities."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, not {label_smoothing!r}")
    axis, dtype = min(input.ndim - 1, 1), input.dtype
    classes, ones = input.shape[axis], (1,) * (input.ndim - 1 - axis)
    weight = None if weight is None else class_weights(weight, classes, dtype, "cross_entropy")
    least, most = label_smoothing / classes, 1 - label_smoothing + label_smoothing / classes

    def each(share):
        share = share if weight is None else share * reshape(weight, (classes, *ones))
        return -sum(share * log_softmax(input, axis), axis)

    if target.dtype.kind == "f":
        return all_of(each(target if label_smoothing == 0 else target * (1 - label_smoothing) + least), None, None, reduction)
    counts = counted(target, ignore_index)
    labels = without_ignored(target, counts)
    weights = None if weight is None else np.take(weight, labels)
    if label_smoothing == 0:
        return all_of(label_entropy(input, labels, ignore_index, "none", axis) * weights, weights, counts, reduction)
    right = expand_dims(labels, axis) == np.arange(classes).reshape(classes, *ones)
    return all_of(each(np.where(right, np.array(most, dtype), np.array(least, dtype))), weights, counts, reduction)


def class_weights(weight, classes, dtype, name):
    """The weights of classes in the dtype of the input."""
    weight = tensor_like(weight)
    if weight.shape != (classes,):
        raise ShapeError(f"{name}: weight must hold a number for each of the {classes} classes, of shape ({classes},), not {weight.shape}")
    return astype(weight, dtype, copy=False)


def all_of(each, weight, counts, reduction):
    """The weighted losses of those labels that count: each by itself, their sum, or the sum by that of the weights."""
    each = each if counts is None else np.where(counts, each, 0)
    if reduction != "mean":
        return each if reduction == "none" else sum(each)
    if weight is None and counts is None:
        return mean(each)
    weight = astype(counts, each.dtype) if weight is None else weight if counts is None else np.where(counts, weight, 0)
    total = sum(weight)
    return sum(each) / np.where(total == 0, np.nan, total)
