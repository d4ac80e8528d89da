"""The functions that networks are made of and NumPy lacks: relu, sigmoid, softmax and the cross entropy.

All of them are stable: exponentials are taken of numbers that are not positive, so that nothing overflows.
"""

import numpy as np

from gradnerve.ops.define import elementwise, op
from gradnerve.ops.reductions import kept, mean, sum
from gradnerve.ops.shapes import expand_dims, reshape
from gradnerve.ops.values import of_all_examples

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


softmax     = op(softmax,     x=lambda g, out, axis: out * (g - sum(g * out, axis, keepdims=True)))
log_softmax = op(log_softmax, x=lambda g, out, axis: g - np.exp(out) * sum(g, axis, keepdims=True))
logsumexp   = op(logsumexp,   x=weights)


# --- cross entropy ---------------------------------------------------------------------------------------------------


def cross_entropy(logits, target, reduction="mean"):
    """The cross entropy between the softmax of `logits` and `target`.

    logits     (C,), (N, C) or (N, C, ...): a number for each of C classes, not yet normalised
    target     integers: the number of the right class, of the shape of logits without the class axis;
               floats: a probability for every class, of the shape of logits
    reduction  'mean' over all that is classified, 'sum', or 'none' for each by itself

    >>> float(cross_entropy(np.array([[0.0, 0.0]]), np.array([1])))
    0.6931471805599453
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    logits, target = (x if hasattr(x, "dtype") else np.asarray(x) for x in (logits, target))
    check_target(logits, target)
    axis = int(logits.ndim > 1)
    each = label_entropy(logits, target, axis) if target.dtype.kind in "iu" else -sum(target * log_softmax(logits, axis), axis)
    return each if reduction == "none" else mean(each) if reduction == "mean" else sum(each)


def check_target(logits, target):
    """Say what is wrong with a target that does not fit its logits."""
    shapes = f"\n    logits  {logits.shape} {logits.dtype}\n    target  {target.shape} {target.dtype}"
    if not logits.ndim:
        raise ValueError("cross_entropy: logits must have a class axis: (C,), (N, C) or (N, C, ...)" + shapes)
    classes, labels = logits.shape[1 if logits.ndim > 1 else 0], logits.shape[:1] * (logits.ndim > 1) + logits.shape[2:]
    if target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ValueError(f"cross_entropy: target holds floats, so it must hold a probability for each class, of shape {logits.shape}; "
                             f"for the numbers of classes, of shape {labels}, pass integers" + shapes)
    elif target.dtype.kind not in "iu":
        raise TypeError("cross_entropy: target must hold integers (class numbers) or floats (probabilities)" + shapes)
    elif target.shape != labels:
        raise ValueError(f"cross_entropy: target holds integers, so it must hold one class number for each row of logits, of shape {labels}"
                         + shapes)
    elif target.size:
        labels = of_all_examples(target)
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= classes:
            raise IndexError(f"cross_entropy: target holds the class {lowest if lowest < 0 else highest}; "
                             f"there are {classes} classes, 0 to {classes - 1}" + shapes)


def label_entropy(logits, target, axis):
    """Minus the logarithm of the probability that softmax gives to the right class."""
    below, _ = below_zero(logits, axis)
    right = np.take_along_axis(below, np.expand_dims(target, axis), axis).squeeze(axis)
    return np.log(np.add.reduce(np.exp(below), axis)) - right


def label_line(g, logits, target, axis):
    """The probability of each class, less one for the right class."""
    right = np.zeros(logits.shape, logits.dtype)
    np.put_along_axis(right, np.expand_dims(np.asarray(target), axis), 1, axis)
    return expand_dims(g, axis) * (softmax(logits, axis) - right)


label_entropy = op(label_entropy, logits=label_line)
