"""The transformer, its layers, and the positions that it adds to what it reads (Vaswani et al. 2017, arXiv:1706.03762).

Read next: rnn.py.
"""

import copy
import math

import numpy as np

from gradnerve.nn import functional as F
from gradnerve.nn import init
from gradnerve.nn.attention import MultiheadAttention
from gradnerve.nn.containers import ModuleList
from gradnerve.nn.dropout import Dropout
from gradnerve.nn.functional.checks import require
from gradnerve.nn.linear import Linear
from gradnerve.nn.module import Module
from gradnerve.nn.norm import LayerNorm
from gradnerve.nn.parameter import factory, get_default_dtype
from gradnerve.ops.values import of_all_examples, tensor_like
from gradnerve.tensor import Tensor

__all__ = ["PositionalEncoding", "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]


# --- layers ----------------------------------------------------------------------------------------------------------


def activation_of(activation):
    """The function of a name, or what was given."""
    if activation not in ("relu", "gelu") and not callable(activation):
        raise ValueError(f"activation must be 'relu', 'gelu' or a function, not {activation!r}")
    return getattr(F, activation) if isinstance(activation, str) else activation


class Layer(Module):
    """What the layers of encoder and decoder share: attention to itself, two linear layers, and a norm for each step."""

    norms = 2

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5, batch_first=False,
                 norm_first=False, bias=True, device=None, dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        options = {"bias": bias, "dtype": factory(device, dtype)}
        drawn = options | {"generator": generator}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **drawn)
        if self.norms == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **drawn)
        self.linear1 = Linear(d_model, dim_feedforward, **drawn)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, **drawn)
        self.norm_first = norm_first
        for k in range(1, self.norms + 1):
            setattr(self, f"norm{k}", LayerNorm(d_model, eps=layer_norm_eps, **options))
        for k in range(1, self.norms + 1):
            setattr(self, f"dropout{k}", Dropout(dropout, generator=generator))
        self.activation = activation_of(activation)

    def _step(self, x, norm, block):
        """Add what a block gives, with the norm before it or after."""
        return x + block(norm(x)) if self.norm_first else norm(x + block(x))

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        x, _ = self.self_attn(x, x, x, key_padding_mask, False, attn_mask, is_causal=is_causal)
        return self.dropout1(x)

    def _ff_block(self, x):
        x = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return (self.dropout2 if self.norms == 2 else self.dropout3)(x)


class TransformerEncoderLayer(Layer):
    """Attention to the sequence itself, and then two linear layers; each step is added to what it reads, and normalised.

    d_model          the number of features E, a multiple of `nhead`
    dim_feedforward  the number of features between the linear layers
    activation       what is between them: 'relu', 'gelu' or a function
    norm_first       normalise what a step reads, and not the sum
    batch_first      sequences lie as (N, S, E), not (S, N, E); or (S, E) without a batch
    generator        for the first values of the parameters, and for dropout

    The masks are those of `MultiheadAttention`: True for what is left out, or floats that are added.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.TransformerEncoderLayer(8, 2, batch_first=True)(np.ones((3, 5, 8), "f")).shape
    (3, 5, 8)
    """

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        src = tensor_like(src)
        x = self._step(src, self.norm1, lambda x: self._sa_block(x, src_mask, src_key_padding_mask, is_causal))
        return self._step(x, self.norm2, self._ff_block)


class TransformerDecoderLayer(Layer):
    """Attention to the sequence itself, then to that of an encoder, and then two linear layers; the arguments are the encoder layer's.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.TransformerDecoderLayer(8, 2)(np.ones((4, 3, 8), "f"), np.ones((5, 3, 8), "f")).shape
    (4, 3, 8)
    """

    norms = 3

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=False,
                memory_is_causal=False):  # fmt: skip
        tgt, memory = tensor_like(tgt), tensor_like(memory)
        x = self._step(tgt, self.norm1, lambda x: self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self._step(x, self.norm2, lambda x: self._mha_block(x, memory, memory_mask, memory_key_padding_mask, memory_is_causal))
        return self._step(x, self.norm3, self._ff_block)

    def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
        x, _ = self.multihead_attn(x, mem, mem, key_padding_mask, False, attn_mask, is_causal=is_causal)
        return self.dropout2(x)


# --- stacks of layers ------------------------------------------------------------------------------------------------


def copies(layer, n):
    """As many layers with parameters of their own and the same values; what they draw comes from one generator."""
    generators = [m.generator for m in layer.modules() if getattr(m, "generator", None) is not None]
    return ModuleList(copy.deepcopy(layer, {id(g): g for g in generators}) for _ in range(n))


def is_causal_mask(mask, is_causal):
    """Whether the mask is the causal one, unless the caller says so."""
    if is_causal is not None or mask is None:
        return bool(is_causal)
    mask = of_all_examples(tensor_like(mask))
    return mask.dtype.kind == "f" and mask.ndim == 2 and mask.shape[0] == mask.shape[1] and np.array_equal(mask, causal_mask(len(mask), mask.dtype))


def causal_mask(size, dtype):
    return np.triu(np.full((size, size), -np.inf, dtype), 1)


class TransformerEncoder(Module):
    """Layers one after the other: copies of the one that is given, all with the same first values; and a norm, if there is one.

    enable_nested_tensor, mask_check  accepted for PyTorch's sake, without effect

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.TransformerEncoderLayer(8, 2)
    >>> gn.nn.TransformerEncoder(layer, 3)(np.ones((5, 2, 8), "f")).shape
    (5, 2, 8)
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers, self.num_layers, self.norm = copies(encoder_layer, num_layers), num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        is_causal = is_causal_mask(mask, is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Layers one after the other: copies of the one that is given, all with the same first values; and a norm, if there is one.

    >>> import numpy as np, gradnerve as gn
    >>> layer = gn.nn.TransformerDecoderLayer(8, 2)
    >>> gn.nn.TransformerDecoder(layer, 3)(np.ones((4, 2, 8), "f"), np.ones((5, 2, 8), "f")).shape
    (4, 2, 8)
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers, self.num_layers, self.norm = copies(decoder_layer, num_layers), num_layers, norm

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None, tgt_is_causal=None,
                memory_is_causal=False):  # fmt: skip
        tgt_is_causal = is_causal_mask(tgt_mask, tgt_is_causal)
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                        memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of one sequence, and a decoder that reads another one and what the encoder gives.

    custom_encoder, custom_decoder  in place of those that are made here; the other arguments are those of the layers
    src, tgt                        (S, N, E) and (T, N, E), or (N, S, E) and (N, T, E) with batch_first, or (S, E) and (T, E)

    Gives the shape of tgt. Matrices are at first uniform as by `init.xavier_uniform_`.

    >>> import numpy as np, gradnerve as gn
    >>> model = gn.nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
    >>> model(np.ones((3, 5, 8), "f"), np.ones((3, 4, 8), "f"), tgt_mask=model.generate_square_subsequent_mask(4)).shape
    (3, 4, 8)
    """

    def __init__(self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1, activation=F.relu,
                 custom_encoder=None, custom_decoder=None, layer_norm_eps=1e-5, batch_first=False, norm_first=False, bias=True, device=None,
                 dtype=None, *, generator=None):  # fmt: skip
        super().__init__()
        shape = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype)
        norm = lambda: LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)
        if custom_encoder is None:
            custom_encoder = TransformerEncoder(TransformerEncoderLayer(*shape, generator=generator), num_encoder_layers, norm())
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(TransformerDecoderLayer(*shape, generator=generator), num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self._reset_parameters(generator)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self, generator=None):
        """Draw the first values."""
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p, generator=generator)

    def forward(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None, memory_is_causal=False):  # fmt: skip
        src, tgt = tensor_like(src), tensor_like(tgt)
        batch = 0 if self.batch_first else 1
        require(src.ndim in (2, 3) and src.ndim == tgt.ndim, "Transformer: src and tgt must have three axes, or two without a batch",
                src=src, tgt=tgt)  # fmt: skip
        require(src.ndim == 2 or src.shape[batch] == tgt.shape[batch], f"Transformer: axis {batch} is that of the batch, and must have one length",
                src=src, tgt=tgt)  # fmt: skip
        require(src.shape[-1] == tgt.shape[-1] == self.d_model, f"Transformer: the last axis of src and tgt must have length {self.d_model}, d_model",
                src=src, tgt=tgt)  # fmt: skip
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
                            memory_is_causal=memory_is_causal)  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """The causal mask (sz, sz): 0 where a place may look, at itself and before, and -inf behind.

        >>> Transformer.generate_square_subsequent_mask(2).tolist()
        [[0.0, -inf], [0.0, 0.0]]
        """
        return Tensor(causal_mask(sz, get_default_dtype() if dtype is None else factory(device, dtype)))


# --- positions -------------------------------------------------------------------------------------------------------


class PositionalEncoding(Module):
    """Add to each place of a sequence sines and cosines of its number, as PyTorch's tutorials do, and drop out.

    d_model      the number of features E
    max_len      the largest length of a sequence
    batch_first  sequences lie as (N, S, E), not (S, N, E)
    pe           the buffer (max_len, 1, E), or (1, max_len, E) with batch_first: sin(place / 10000 ** (2k / E)) in feature 2k, and the cosine
                 of the same in 2k + 1
    generator    for dropout

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.PositionalEncoding(4, dropout=0.0)(np.zeros((2, 1, 4), "f"))[0].tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """

    def __init__(self, d_model, dropout=0.1, max_len=5000, *, batch_first=False, device=None, dtype=None, generator=None):
        super().__init__()
        self.dropout, self.batch_first = Dropout(dropout, generator=generator), batch_first
        angles = np.arange(max_len)[:, None] * np.exp(np.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = np.empty((max_len, d_model), factory(device, dtype))
        pe[:, 0::2], pe[:, 1::2] = np.sin(angles), np.cos(angles[:, : d_model // 2])
        self.register_buffer("pe", Tensor(pe[None] if batch_first else pe[:, None]))

    def forward(self, x):
        x, axis = tensor_like(x), int(self.batch_first)
        longest, _, width = np.moveaxis(self.pe.data, axis, 0).shape
        require(x.ndim == 3 and x.shape[axis] <= longest and x.shape[-1] == width, f"PositionalEncoding: x must have axes "
                f"{'(N, S, E)' if axis else '(S, N, E)'}, with at most {longest} places and {width} features", x=x)  # fmt: skip
        return self.dropout(x + (self.pe[:, : x.shape[1]] if axis else self.pe[: x.shape[0]]))
