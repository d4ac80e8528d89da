"""Losses: how far an input is from its target, element by element or class by class, with the signatures of `torch.nn.functional`.

What all of them share is said once, here:

reduction             'mean', 'sum', or 'none' for the loss of each element (of each row, where classes or coordinates belong together)
weight                how much each element or class counts; cast to the dtype of the input, as targets are
size_average, reduce  PyTorch's former names of the same: they still work, with a warning, and overrule `reduction`

All can be differentiated twice, by target and weight as well; at kinks the derivatives are PyTorch's.

Read next: ranking.py, ctc.py; ../loss.py, the layers.
"""

import math
import warnings

import numpy as np

from gradnerve.kernels import softmax as kernel
from gradnerve.nn.functional.checks import known, reduced, require
from gradnerve.ops import losses as ops
from gradnerve.ops.indexing import getitem
from gradnerve.ops.network import all_of, check_labels, class_weights, counted, cross_entropy, legacy, sigmoid, without_ignored
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import astype, expand_dims, squeeze
from gradnerve.ops.values import of_all_examples, tensor_like

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss",
           "mse_loss", "nll_loss", "poisson_nll_loss", "sigmoid_focal_loss", "smooth_l1_loss"]  # fmt: skip

# --- what they share -------------------------------------------------------------------------------------------------


def chosen(size_average, reduce, reduction):
    """The reduction, also by PyTorch's former arguments."""
    return reduction if size_average is None and reduce is None else legacy(size_average, reduce)


def cast(x, input):
    """An array in the dtype of the input."""
    x = tensor_like(x)
    return x if x.dtype == input.dtype else astype(x, input.dtype)


def pair(input, target, name):
    """Both as arrays of one dtype, with PyTorch's warning if they have to be broadcast."""
    input = tensor_like(input)
    target = cast(target, input)
    if input.shape != target.shape:
        try:
            np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            require(False, f"{name}: target must have the shape of input, or one that broadcasts", input=input, target=target)
        warnings.warn(f"{name}: target has the shape {target.shape} and input {input.shape}, so they are broadcast, which is hardly what is meant",
                      stacklevel=3)
    return input, target


def same_shape(input, target, name):
    """Both as arrays of one dtype and shape."""
    input = tensor_like(input)
    target = cast(target, input)
    require(input.shape == target.shape, f"{name}: target must have the shape of input", input=input, target=target)
    return input, target


def weighted(each, input, weight, reduction, name):
    """The loss of elements that count differently; their mean is that by the weights."""
    if weight is None:
        return reduced(each, reduction, name)
    weight = weight_of(input, weight, name)
    each = each * weight
    return sum(each) / sum(weight) if reduction == "mean" else reduced(each, reduction, name)


def weight_of(input, weight, name):
    """A weight for each element."""
    weight = cast(weight, input)
    require(weight.shape == input.shape, f"{name}: weight must have the shape of input", input=input, weight=weight)
    return weight


# --- distances -------------------------------------------------------------------------------------------------------


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The squared difference; with a `weight` of the shape of input, the mean is that by the weights.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    input, target = pair(input, target, "mse_loss")
    return weighted(np.square(input - target), input, weight, chosen(size_average, reduce, reduction), "mse_loss")


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The absolute difference, with a slope of 0 where it is 0; with a `weight` of the shape of input, the mean is that by the weights.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    input, target = pair(input, target, "l1_loss")
    return weighted(np.abs(input - target), input, weight, chosen(size_average, reduce, reduction), "l1_loss")


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """The squared difference by 2 beta up to a distance of beta, and the absolute difference less beta / 2 beyond.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, not {beta!r}")
    input, target = pair(input, target, "smooth_l1_loss")
    each = ops.smooth_l1(float(beta))(input, target) if beta else np.abs(input - target)
    return reduced(each, chosen(size_average, reduce, reduction), "smooth_l1_loss")


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Half the squared difference up to a distance of delta, and delta times the absolute difference less delta / 2 beyond.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none", delta=2.0)
    array([0.125, 4.   ])
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, not {delta!r}")
    input, target = pair(input, target, "huber_loss")
    each = ops.huber(float(delta))(input, target)
    return reduced(each if weight is None else each * weight_of(input, weight, "huber_loss"), reduction, "huber_loss")


# --- classes ---------------------------------------------------------------------------------------------------------


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Minus the logarithm of the probability of the right class, where `input` holds the logarithms of all: (C,), (N, C) or (N, C, ...).

    target        the numbers of classes, of the shape of input without the class axis
    weight        (C,): how much each class counts, also in the mean
    ignore_index  a number in `target` that stands for no class: such elements count nothing

    Raises IndexError for a number that is no class.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.nll_loss(np.log([[0.5, 0.5]]), np.array([1])))
    0.6931471805599453
    """
    input, target = tensor_like(input), tensor_like(target)
    require(input.ndim > 0, "nll_loss: input must have a class axis: (C,), (N, C) or (N, C, ...)", input=input, target=target)
    axis = min(input.ndim - 1, 1)
    classes, shape = input.shape[axis], input.shape[:axis] + input.shape[axis + 1:]
    if target.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: target must hold the numbers of classes, as integers, not {target.dtype}")
    require(target.shape == shape, f"nll_loss: target must hold one class number for each row of input, of shape {shape}", input=input, target=target)
    if kernel.labels_that_count(of_all_examples(target), classes, ignore_index) != target.size:
        check_labels("nll_loss", target, classes, ignore_index)
        counts = counted(target, ignore_index)
    else:
        counts = None
    labels = without_ignored(target, counts)
    if input.ndim == 2:
        each = -getitem(input, (np.arange(input.shape[0]), labels))
    else:
        each = -squeeze(np.take_along_axis(input, expand_dims(labels, axis), axis), axis)
    if weight is not None:
        weight = np.take(class_weights(weight, classes, input.dtype, "nll_loss"), labels)
        each = each * weight
    reduction = chosen(size_average, reduce, reduction)
    return reduced(each, reduction, "nll_loss") if counts is weight is None else all_of(each, weight, counts, known(reduction, "nll_loss"))


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The cross entropy between probabilities: ``-(target * log(input) + (1 - target) * log(1 - input))``, with no logarithm below -100.

    weight  how much each element counts, of a shape that broadcasts; the mean is still by their number

    Raises ValueError for an input that is no probability: not from 0 to 1, or NaN.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.binary_cross_entropy(np.array([0.5, 0.5]), np.array([1.0, 0.0])))
    0.6931471805599453
    """
    input, target = same_shape(input, target, "binary_cross_entropy")
    values = of_all_examples(input)
    lowest, highest = values.min(initial=0), values.max(initial=1)
    if not (lowest >= 0 and highest <= 1):
        raise ValueError(f"binary_cross_entropy: input must hold probabilities, from 0 to 1, not {highest if lowest >= 0 else lowest}; "
                         "binary_cross_entropy_with_logits takes any numbers")
    each = ops.binary_entropy(input, target)
    return reduced(each if weight is None else each * cast(weight, input), chosen(size_average, reduce, reduction), "binary_cross_entropy")


def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
    """The binary cross entropy of ``sigmoid(input)``, without overflow.

    weight      how much each element counts, of a shape that broadcasts; the mean is still by their number
    pos_weight  how much more a target of 1 counts than one of 0, of a shape that broadcasts: one number for each class

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.binary_cross_entropy_with_logits(np.zeros(2), np.array([1.0, 0.0])))
    0.6931471805599453
    """
    name = "binary_cross_entropy_with_logits"
    input, target = same_shape(input, target, name)
    each = ops.logit_entropy(input, target)
    if pos_weight is not None:
        each = each + (cast(pos_weight, input) - 1) * target * ops.logit_entropy(input, 1)
    return reduced(each if weight is None else each * cast(weight, input), chosen(size_average, reduce, reduction), name)


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """The binary cross entropy of logits times ``(1 - p) ** gamma``, p being the probability given to the target: the easy count less.

    alpha  how much the targets of 1 count, those of 0 counting ``1 - alpha``; a negative one: all count 1

    As `torchvision.ops.sigmoid_focal_loss`; Lin et al., https://arxiv.org/abs/1708.02002

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.sigmoid_focal_loss(np.zeros(2), np.array([1.0, 0.0]), alpha=-1)
    array([0.1732868, 0.1732868])
    """
    inputs, targets = same_shape(inputs, targets, "sigmoid_focal_loss")
    p = sigmoid(inputs)
    each = ops.logit_entropy(inputs, targets) * (p + targets - 2 * p * targets) ** gamma
    if alpha >= 0:
        each = each * (alpha * targets + (1 - alpha) * (1 - targets))
    return reduced(each, reduction, "sigmoid_focal_loss")


# --- distributions ---------------------------------------------------------------------------------------------------


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The Kullback-Leibler divergence ``target * (log(target) - input)``, where `input` holds logarithms of probabilities.

    reduction   also 'batchmean', the sum divided by the length of the first axis, which is what the word means; 'mean' divides by all
    log_target  whether `target` holds logarithms, too

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.kl_div(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]), reduction="batchmean"))
    0.6931471805599453
    """
    input, target = pair(input, target, "kl_div")
    each = (ops.log_divergence if log_target else ops.divergence)(input, target)
    if size_average is not None or reduce is not None:
        return reduced(each, legacy(size_average, reduce), "kl_div")
    if reduction == "mean":
        warnings.warn("kl_div: 'mean' divides by the number of elements; the Kullback-Leibler divergence is what 'batchmean' gives", stacklevel=2)
    if reduction == "batchmean":
        return sum(each) / input.shape[0] if input.ndim else each
    return reduced(each, reduction, "kl_div")


def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction="mean"):
    """Minus the logarithm of the probability that a Poisson distribution gives to the target, less a constant.

    log_input  `input` is the logarithm of the distribution's mean: ``exp(input) - target * input``; else the mean:
               ``input - target * log(input + eps)``
    full       with the constant, by Stirling's formula, for targets above 1

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.poisson_nll_loss(np.zeros(2), np.array([1.0, 3.0])))
    1.0
    """
    input, target = tensor_like(input), cast(target, tensor_like(input))
    each = ops.log_poisson(input, target) if log_input else input - target * np.log(input + eps)
    if full:
        many = target > 1
        safe = np.where(many, target, 1)
        each = each + np.where(many, safe * np.log(safe) - safe + 0.5 * np.log(2 * math.pi * safe), 0)
    return reduced(each, chosen(size_average, reduce, reduction), "poisson_nll_loss")


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Minus the logarithm of the density of a normal distribution with mean `input` and variance `var`, less a constant.

    var   of the shape of input, or with a last axis of length 1 or none; or a number. Below eps it counts as eps, and its gradient passes
    full  with the constant, ``log(2 pi) / 2``

    Raises ValueError for a negative variance.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.gaussian_nll_loss(np.zeros(2), np.array([1.0, 3.0]), np.ones(2)))
    2.5
    """
    input = tensor_like(input)
    target, var = cast(target, input), cast(var, input)
    if of_all_examples(var).min(initial=0) < 0:
        raise ValueError("gaussian_nll_loss: var must not be negative")
    if var.ndim and var.shape != input.shape:
        var = expand_dims(var, -1) if var.shape == input.shape[:-1] else var
        others = [v for n, v in zip(input.shape, var.shape, strict=False) if n != v]
        require(var.ndim == input.ndim and others == [1],
                "gaussian_nll_loss: var must have the shape of input, or lack its last axis, or have length 1 along one axis", input=input, var=var)
    var = ops.at_least(float(eps))(var)
    each = 0.5 * (np.log(var) + np.square(input - target) / var)
    return reduced(each + 0.5 * math.log(2 * math.pi) if full else each, reduction, "gaussian_nll_loss")
