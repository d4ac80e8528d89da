"""Layers of losses: `torch.nn`'s, which keep the options of the functions in nn/functional.

`size_average` and `reduce` are PyTorch's former names of `reduction`, which still work, with a warning.

Read next: functional/losses.py.
"""

from gradnerve.nn.distance import PairwiseDistance
from gradnerve.nn.functional import ctc, losses, ranking
from gradnerve.nn.module import Module
from gradnerve.tensor import asarray

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "HuberLoss",
           "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss",
           "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"]  # fmt: skip


class Loss(Module):
    """What all of them share: the reduction, and the weights, which are buffers."""

    reductions = "mean", "sum", "none"

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__()
        self.reduction = losses.chosen(size_average, reduce, reduction)
        if self.reduction not in self.reductions:
            raise ValueError(f"{type(self).__name__}: reduction must be one of {', '.join(map(repr, self.reductions))}, not {reduction!r}")

    def buffer(self, name, weight):
        self.register_buffer(name, None if weight is None else asarray(weight))


# --- classes ---------------------------------------------------------------------------------------------------------


class CrossEntropyLoss(Loss):
    """The cross entropy between the softmax of the input and the target: see `cross_entropy`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.CrossEntropyLoss()(np.zeros((1, 2)), np.array([1])))
    0.6931471805599453
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
        super().__init__(size_average, reduce, reduction)
        self.buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return losses.cross_entropy(input, target, self.weight, None, self.ignore_index, None, self.reduction, self.label_smoothing)


class NLLLoss(Loss):
    """Minus the logarithm of the probability of the right class, from the logarithms of all: see `nll_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.NLLLoss()(np.log([[0.5, 0.5]]), np.array([1])))
    0.6931471805599453
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return losses.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(Loss):
    """The cross entropy between probabilities of two classes: see `binary_cross_entropy`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.BCELoss()(np.array([0.5, 0.5]), np.array([1.0, 0.0])))
    0.6931471805599453
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.buffer("weight", weight)

    def forward(self, input, target):
        return losses.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """The same of ``sigmoid(input)``, without overflow: see `binary_cross_entropy_with_logits`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.BCEWithLogitsLoss()(np.zeros(2), np.array([1.0, 0.0])))
    0.6931471805599453
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(size_average, reduce, reduction)
        self.buffer("weight", weight)
        self.buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return losses.binary_cross_entropy_with_logits(input, target, self.weight, None, None, self.reduction, self.pos_weight)


class MultiMarginLoss(Loss):
    """How much each wrong class lacks of staying below the right one by the margin: see `multi_margin_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.MultiMarginLoss()(np.array([[0.0, 0.5]]), np.array([1])))
    0.25
    """

    def __init__(self, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, not {p!r}")
        self.buffer("weight", weight)
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return ranking.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(Loss):
    """How much each wrong class lacks of staying below each of the right ones by 1: see `multilabel_margin_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.MultiLabelMarginLoss()(np.array([[0.0, 0.5]]), np.array([[1, -1]])))
    0.25
    """

    def forward(self, input, target):
        return ranking.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """The binary cross entropy of each class: see `multilabel_soft_margin_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.MultiLabelSoftMarginLoss()(np.zeros((1, 2)), np.array([[1.0, 0.0]])))
    0.6931471805599453
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.buffer("weight", weight)

    def forward(self, input, target):
        return ranking.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class CTCLoss(Loss):
    """The loss of connectionist temporal classification: see `ctc_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(np.exp(-gn.nn.CTCLoss()(np.log(np.full((2, 1, 2), 0.5)), np.array([[1]]), [2], [1])))
    0.75
    """

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return ctc.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


# --- distances -------------------------------------------------------------------------------------------------------


class MSELoss(Loss):
    """The squared difference: see `mse_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def forward(self, input, target):
        return losses.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """The absolute difference: see `l1_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """

    def forward(self, input, target):
        return losses.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """The squared difference by 2 beta near the target, the absolute one far from it: see `smooth_l1_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.SmoothL1Loss(reduction="none")(np.array([0.5, 3.0]), np.zeros(2))
    array([0.125, 2.5  ])
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return losses.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """Half the squared difference near the target, and straight on from a distance of delta: see `huber_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.HuberLoss("none", delta=2.0)(np.array([0.5, 3.0]), np.zeros(2))
    array([0.125, 4.   ])
    """

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input, target):
        return losses.huber_loss(input, target, self.reduction, self.delta)


# --- distributions ---------------------------------------------------------------------------------------------------


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence: see `kl_div`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.KLDivLoss(reduction="batchmean")(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]])))
    0.6931471805599453
    """

    reductions = "mean", "batchmean", "sum", "none"

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return losses.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """Minus the logarithm of the probability by a Poisson distribution: see `poisson_nll_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.PoissonNLLLoss()(np.zeros(2), np.array([1.0, 3.0])))
    1.0
    """

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return losses.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(Loss):
    """Minus the logarithm of the density of a normal distribution: see `gaussian_nll_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.GaussianNLLLoss()(np.zeros(2), np.array([1.0, 3.0]), np.ones(2)))
    2.5
    """

    def __init__(self, *, full=False, eps=1e-06, reduction="mean"):
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return losses.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


# --- ranking ---------------------------------------------------------------------------------------------------------


class HingeEmbeddingLoss(Loss):
    """A distance, or what it lacks of the margin: see `hinge_embedding_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.HingeEmbeddingLoss(reduction="none")(np.array([0.3, 0.3]), np.array([1.0, -1.0]))
    array([0.3, 0.7])
    """

    def __init__(self, margin=1.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input, target):
        return ranking.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    """How much one input lacks of being larger than the other by the margin: see `margin_ranking_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.MarginRankingLoss(reduction="none")(np.array([2.0, 2.0]), np.array([1.0, 1.0]), np.array([1.0, -1.0]))
    array([0., 1.])
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return ranking.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(Loss):
    """``log(1 + exp(-target * input))``: see `soft_margin_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.SoftMarginLoss()(np.zeros(2), np.array([1.0, -1.0])))
    0.6931471805599453
    """

    def forward(self, input, target):
        return ranking.soft_margin_loss(input, target, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    """By the angle between rows that belong together, or do not: see `cosine_embedding_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> float(gn.nn.CosineEmbeddingLoss()(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array(1)))
    1.0
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return ranking.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(Loss):
    """How much what does not belong to the anchor lacks of being further away than what does: see `triplet_margin_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> round(float(gn.nn.TripletMarginLoss()(np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))), 4)
    4.0
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-06, swap=False, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin, self.p, self.eps, self.swap = ranking.positive_margin(margin, "TripletMarginLoss"), p, eps, swap

    def forward(self, anchor, positive, negative):
        return ranking.triplet_margin_loss(anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction)


class TripletMarginWithDistanceLoss(Loss):
    """The same with a distance of your own, a function or a module: see `triplet_margin_with_distance_loss`.

    >>> import numpy as np, gradnerve as gn
    >>> loss = gn.nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: np.abs(x - y).max(-1))
    >>> float(loss(np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])))
    3.0
    """

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction=reduction)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = ranking.positive_margin(margin, "TripletMarginWithDistanceLoss"), swap

    def forward(self, anchor, positive, negative):
        return ranking.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=self.distance_function, margin=self.margin,
                                                         swap=self.swap, reduction=self.reduction)  # fmt: skip
