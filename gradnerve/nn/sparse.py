"""Embedding and EmbeddingBag: a vector that is learnt for each word of a vocabulary.

Read next: attention.py.
"""

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn import init
from gradnerve.nn.functional.checks import require
from gradnerve.nn.functional.linear import row_number
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory
from gradnerve.ops.values import tensor_like, value

__all__ = ["Embedding", "EmbeddingBag"]


class Table(Module):
    """What Embedding and EmbeddingBag share: the vectors, as rows of `weight`."""

    def set_up(self, num_embeddings, embedding_dim, padding_idx, dtype, generator, given, freeze):
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = row_number(padding_idx, np.empty((num_embeddings, 0)), type(self).__name__)
        if given is None:
            self.weight = Parameter(np.empty((num_embeddings, embedding_dim), dtype), requires_grad=not freeze)
            self.reset_parameters(generator)
        else:
            given = tensor_like(given)
            require(given.shape == (num_embeddings, embedding_dim), f"{type(self).__name__}: _weight must have shape {num_embeddings, embedding_dim}",
                    _weight=given)  # fmt: skip
            self.weight = Parameter(value(given), requires_grad=not freeze)

    def reset_parameters(self, generator=None):
        """Draw the first values; the row of padding is 0."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def extra_repr(self):
        words = [f"{self.num_embeddings}, {self.embedding_dim}"]
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False, "mode": None, "sparse": False}
        return ", ".join(words + [f"{name}={getattr(self, name)!r}" for name in self.shown if getattr(self, name) != defaults[name]])

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, **options):
        """A layer with these vectors, (num_embeddings, embedding_dim), which are not learnt further if `freeze`; the options are the class's."""
        embeddings = tensor_like(embeddings)
        require(embeddings.ndim == 2, f"{cls.__name__}.from_pretrained: embeddings must have the shape (num_embeddings, embedding_dim)",
                embeddings=embeddings)  # fmt: skip
        layer = cls(*embeddings.shape, _weight=embeddings, **options)
        layer.weight.requires_grad_(not freeze)
        return layer


class Embedding(Table):
    """A vector for each whole number below `num_embeddings`: of numbers (*) to (*, embedding_dim).

    padding_idx   the number whose vector is 0 at first and gets no gradient
    max_norm, norm_type, scale_grad_by_freq, sparse  as in `gn.nn.functional.embedding`
    weight        (num_embeddings, embedding_dim), at first normal with mean 0 and standard deviation 1
    generator     for these first values

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.Embedding(10, 3, padding_idx=0)
    >>> layer(np.array([[1, 2], [4, 0]])).shape, layer
    ((2, 2, 3), Embedding(10, 3, padding_idx=0))
    """

    shown = ("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False,
                 _weight=None, _freeze=False, device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self.set_up(num_embeddings, embedding_dim, padding_idx, factory(device, dtype), generator, _weight, _freeze)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
        """A layer with these vectors, (num_embeddings, embedding_dim); they stay as they are if `freeze`.

        >>> import numpy as np, gradnerve as gn
        >>> gn.nn.Embedding.from_pretrained(np.eye(3))(np.array([1])).tolist()
        [[0.0, 1.0, 0.0]]
        """
        return super().from_pretrained(embeddings, freeze, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                                       scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)  # fmt: skip

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)


class EmbeddingBag(Table):
    """The sum, mean or largest element of the vectors of each bag of numbers: of bags (B, N), or (N,) with offsets, to (B, embedding_dim).

    mode                 'sum', 'mean' or 'max'
    include_last_offset  offsets have one number more, where the last bag ends
    padding_idx          the number that is left out of the bags; its vector is 0 at first and gets no gradient
    max_norm, norm_type, scale_grad_by_freq, sparse  as in `gn.nn.functional.embedding`
    weight               (num_embeddings, embedding_dim), at first normal with mean 0 and standard deviation 1
    generator            for these first values

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.EmbeddingBag(10, 3, mode="sum")
    >>> layer(np.array([1, 2, 4]), np.array([0, 2])).shape, layer
    ((2, 3), EmbeddingBag(10, 3, mode='sum'))
    """

    shown = ("max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")

    def __init__(self, num_embeddings, embedding_dim, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean", sparse=False,
                 _weight=None, include_last_offset=False, padding_idx=None, device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self.mode, self.include_last_offset = mode, include_last_offset
        self.set_up(num_embeddings, embedding_dim, padding_idx, factory(device, dtype), generator, _weight, False)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean", sparse=False,
                        include_last_offset=False, padding_idx=None):  # fmt: skip
        """A layer with these vectors, (num_embeddings, embedding_dim); they stay as they are if `freeze`.

        >>> import numpy as np, gradnerve as gn
        >>> gn.nn.EmbeddingBag.from_pretrained(np.eye(3))(np.array([[0, 1]])).tolist()
        [[0.5, 0.5, 0.0]]
        """
        return super().from_pretrained(embeddings, freeze, max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq, mode=mode,
                                       sparse=sparse, include_last_offset=include_last_offset, padding_idx=padding_idx)  # fmt: skip

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
                               per_sample_weights, self.include_last_offset, self.padding_idx)  # fmt: skip
