"""Losses that rank: a margin between what belongs together and what does not, with the signatures of `torch.nn.functional`.

`reduction`, and PyTorch's former names of it, are explained in losses.py. Read next: ctc.py.
"""

import numpy as np

from gradnerve.nn.functional.checks import reduced, require
from gradnerve.nn.functional.distances import pairwise_distance
from gradnerve.nn.functional.losses import cast, chosen, same_shape
from gradnerve.ops import losses as ops
from gradnerve.ops.network import check_labels, class_weights, relu
from gradnerve.ops.reductions import sum
from gradnerve.ops.shapes import expand_dims
from gradnerve.ops.values import of_all_examples, tensor_like

__all__ = ["cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
           "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss"]  # fmt: skip

# --- targets of 1 and -1 ---------------------------------------------------------------------------------------------


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """The input, a distance, where `target` is 1, and what it lacks of the margin where that is -1.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.hinge_embedding_loss(np.array([0.3, 0.3]), np.array([1.0, -1.0]), reduction="none")
    array([0.3, 0.7])
    """
    input, target = tensor_like(input), tensor_like(target)
    each = np.where(target != 1, ops.hinge(margin - input), 0) + np.where(target != -1, input, 0)
    return reduced(each, chosen(size_average, reduce, reduction), "hinge_embedding_loss")


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """``max(0, margin - target * (input1 - input2))``: input1 shall be the larger one where `target` is 1, and input2 where that is -1.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.functional.margin_ranking_loss(np.array([2.0, 2.0]), np.array([1.0, 1.0]), np.array([1.0, -1.0]), reduction="none")
    array([0., 1.])
    """
    input1 = tensor_like(input1)
    input2, target = cast(input2, input1), cast(target, input1)
    require(input1.ndim == input2.ndim == target.ndim, "margin_ranking_loss: all must have the same number of axes", input1=input1, input2=input2,
            target=target)  # fmt: skip
    each = ops.hinge(margin - target * (input1 - input2))
    return reduced(each, chosen(size_average, reduce, reduction), "margin_ranking_loss")


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """``log(1 + exp(-target * input))`` for targets of 1 and -1, without overflow.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.soft_margin_loss(np.zeros(2), np.array([1.0, -1.0])))
    0.6931471805599453
    """
    input, target = same_shape(input, target, "soft_margin_loss")
    return reduced(ops.soft_margin(input, target), chosen(size_average, reduce, reduction), "soft_margin_loss")


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """One less the cosine of the angle between rows where `target` is 1, and what that exceeds the margin by where it is -1.

    input1, input2  (N, D) with a target of (N,), or (D,) with a target without axes

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.cosine_embedding_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array(1)))
    1.0
    """
    input1, target = tensor_like(input1), tensor_like(target)
    input2, arrays = cast(input2, input1), {"input1": input1, "input2": input2, "target": target}
    require(target.ndim <= 1 and input1.ndim == input2.ndim == target.ndim + 1,
            "cosine_embedding_loss: the inputs must be (N, D) with a target of (N,), or (D,) with a target without axes", **arrays)
    product, square1, square2 = (sum(a * b, -1) for a, b in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = product / np.sqrt((square1 + 1e-12) * (square2 + 1e-12))
    each = np.where(target == 1, 1 - cosine, 0) + np.where(target == -1, ops.hinge(cosine - margin), 0)
    return reduced(each, chosen(size_average, reduce, reduction), "cosine_embedding_loss")


# --- classes ---------------------------------------------------------------------------------------------------------


def rows_of_classes(input, target, shape, name):
    """Input and target as arrays; the target must hold integers, and have the shape that this gives for that of the input."""
    input, target = tensor_like(input), tensor_like(target)
    require(input.ndim in (1, 2) and input.shape[-1] > 0, f"{name}: input must be (N, C) or (C,)", input=input, target=target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must hold the numbers of classes, as integers, not {target.dtype}")
    require(target.shape == shape(input.shape), f"{name}: target must have the shape {shape(input.shape)}", input=input, target=target)
    return input, target


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """How much each wrong class lacks of staying below the right one by the margin, to the power of p: the mean over the classes.

    input   (N, C) or (C,)
    target  (N,) or (): the numbers of the right classes
    p       1 or 2
    weight  (C,): how much each right class counts

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.multi_margin_loss(np.array([[0.0, 0.5]]), np.array([1])))
    0.25
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, not {p!r}")
    input, target = rows_of_classes(input, target, lambda shape: shape[:-1], name)
    classes = input.shape[-1]
    check_labels(name, target, classes)
    right = expand_dims(target, -1)
    short = relu(margin + input - np.take_along_axis(input, right, -1))
    each = sum(np.where(np.arange(classes) == right, 0, short if p == 1 else short * short), -1) / classes
    each = each if weight is None else each * np.take(class_weights(weight, classes, input.dtype, name), target)
    return reduced(each, chosen(size_average, reduce, reduction), name)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """How much each wrong class lacks of staying below each of the right ones by 1, divided by the number of classes.

    input   (N, C) or (C,)
    target  of the same shape: the numbers of the right classes, as many as there are, then -1

    >>> import numpy as np, gradnerve as gn
    >>> round(float(gn.nn.functional.multilabel_margin_loss(np.array([[0.1, 0.2, 0.4, 0.8]]), np.array([[3, 0, -1, 1]]))), 10)
    0.85
    """
    name = "multilabel_margin_loss"
    input, target = rows_of_classes(input, target, lambda shape: shape, name)
    classes = input.shape[-1]
    check_labels(name, target, classes, ignore_index=-1)
    most = int(np.logical_and.accumulate(of_all_examples(target) >= 0, -1).sum(-1).max(initial=0))
    target = target[..., :most]
    given = np.logical_and.accumulate(target >= 0, -1)
    labels = np.where(given, target, 0)
    is_right = np.any(expand_dims(given, -1) & (expand_dims(labels, -1) == np.arange(classes)), -2)
    short = relu(1 - expand_dims(np.take_along_axis(input, labels, -1), -1) + expand_dims(input, -2))
    pairs = expand_dims(given, -1) & ~expand_dims(is_right, -2)
    each = sum(np.where(pairs, short, 0), (-2, -1)) / classes
    return reduced(each, chosen(size_average, reduce, reduction), name)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The binary cross entropy of ``sigmoid(input)``: the mean over the classes, which lie along the last axis.

    weight  how much each class counts, of a shape that broadcasts

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.functional.multilabel_soft_margin_loss(np.zeros((1, 2)), np.array([[1.0, 0.0]])))
    0.6931471805599453
    """
    name = "multilabel_soft_margin_loss"
    input, target = same_shape(input, target, name)
    require(input.ndim > 0, f"{name}: input must have an axis of classes, the last one", input=input)
    each = ops.logit_entropy(input, target)
    each = each if weight is None else each * cast(weight, input)
    return reduced(sum(each, -1) / input.shape[-1], chosen(size_average, reduce, reduction), name)


# --- triplets --------------------------------------------------------------------------------------------------------


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"):
    """How much `negative` lacks of being further from the anchor than `positive` by the margin, in the p-norm of rows.

    anchor, positive, negative  (N, D) or (D,), or whatever broadcasts
    eps                         what is added to each difference
    swap                        take the distance between negative and positive where that is smaller (Balntas et al., BMVC 2016)

    >>> import numpy as np, gradnerve as gn
    >>> round(float(gn.nn.functional.triplet_margin_loss(np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))), 4)
    4.0
    """

    def distance(x, y):
        return pairwise_distance(x, y, p, eps)

    return triplets(anchor, positive, negative, distance, margin, swap, chosen(size_average, reduce, reduction), "triplet_margin_loss")


def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
    """`triplet_margin_loss` with a distance of your own: a function of two arrays; `pairwise_distance` if there is none.

    >>> import numpy as np, gradnerve as gn
    >>> far = lambda x, y: np.abs(x - y).max(-1)
    >>> a, p, n = np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])
    >>> float(gn.nn.functional.triplet_margin_with_distance_loss(a, p, n, distance_function=far))
    3.0
    """
    distance = pairwise_distance if distance_function is None else distance_function
    return triplets(anchor, positive, negative, distance, margin, swap, reduction, "triplet_margin_with_distance_loss")


def triplets(anchor, positive, negative, distance, margin, swap, reduction, name):
    margin = positive_margin(margin, name)
    anchor = tensor_like(anchor)
    positive, negative = cast(positive, anchor), cast(negative, anchor)
    require(anchor.ndim == positive.ndim == negative.ndim, f"{name}: all must have the same number of axes", anchor=anchor, positive=positive,
            negative=negative)  # fmt: skip
    near, far = distance(anchor, positive), distance(anchor, negative)
    far = np.minimum(far, distance(positive, negative)) if swap else far
    return reduced(ops.hinge(margin + near - far), reduction, name)


def positive_margin(margin, name):
    if not margin > 0:
        raise ValueError(f"{name}: margin must be positive, not {margin!r}")
    return margin
