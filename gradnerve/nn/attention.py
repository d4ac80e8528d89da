"""MultiheadAttention: the layer that transformers are made of.

Read next: transformer.py.
"""

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn import init
from gradnerve.nn.linear import Linear
from gradnerve.nn.module import Module
from gradnerve.nn.parameter import Parameter, factory

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in several heads, each with its own projections of queries, keys and values, and a projection of what they give.

    embed_dim       the number of features E of queries and results, a multiple of `num_heads`
    dropout         the probability that a weight is dropped, in training mode
    bias            whether the projections have one
    add_bias_kv     add a key and a value that are learnt; add_zero_attn: one of zeros
    kdim, vdim      the numbers of features of keys and values, `embed_dim` by default
    batch_first     sequences lie as (N, L, E), not (L, N, E)
    in_proj_weight  (3 * E, E), the projections one below the other; or q_proj_weight, k_proj_weight and v_proj_weight, where these differ
                    in shape: at first uniform as by `init.xavier_uniform_`, with a bias of zeros
    generator       for these first values, and for dropout

    >>> import numpy as np, gradnerve as gn
    >>> layer, x = gn.nn.MultiheadAttention(8, 2, batch_first=True), np.ones((3, 5, 8), "f")
    >>> output, weights = layer(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None, vdim=None,
                 batch_first=False, device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim must be a multiple of num_heads, and both positive, not {embed_dim} and {num_heads}")
        dtype = factory(device, dtype)
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn, self.generator = dropout, batch_first, add_zero_attn, generator
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        widths = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        for name, width in widths.items():
            self.register_parameter(name, None if self._qkv_same_embed_dim else Parameter(np.empty((embed_dim, width), dtype)))
        self.register_parameter("in_proj_weight", Parameter(np.empty((3 * embed_dim, embed_dim), dtype)) if self._qkv_same_embed_dim else None)
        self.register_parameter("in_proj_bias", Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype, generator=generator)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(np.empty((1, 1, embed_dim), dtype)) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self):
        """Draw the first values."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight, generator=self.generator)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k, generator=self.generator)
            init.xavier_normal_(self.bias_v, generator=self.generator)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True, is_causal=False):
        """The output in the shape of query, and the weights if they are needed, else None; without them it is faster.

        query             (L, N, E), or (N, L, E) with batch_first, or (L, E) without a batch
        key, value        (S, N, kdim) and (S, N, vdim), likewise
        key_padding_mask  (N, S) or (S,): booleans, True for keys that are left out, or floats that are added to the products
        attn_mask         (L, S) or (N * num_heads, L, S): likewise
        average_attn_weights  give the mean of the weights of all heads, (N, L, S); else those of each, (N, num_heads, L, S)
        is_causal         says that attn_mask is the causal mask
        """
        return F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn,
            self.dropout, self.out_proj.weight, self.out_proj.bias, self.training, key_padding_mask, need_weights, attn_mask,
            not self._qkv_same_embed_dim, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight, average_attn_weights=average_attn_weights,
            is_causal=is_causal, generator=self.generator, batch_first=self.batch_first)  # fmt: skip
