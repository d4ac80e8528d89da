"""Layers that compare vectors.

Read next: functional/distances.py.
"""

from gradnerve.nn import functional as F
from gradnerve.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim` of two inputs; their lengths count as `eps` at least.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]))
    array([0.6])
    """

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm, along the last axis, of the difference of two inputs, plus `eps` in each component.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.PairwiseDistance(eps=0)(np.array([[3.0, 4.0]]), np.zeros((1, 2)))
    array([5.])
    """

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
