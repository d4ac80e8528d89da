"""Transformers and their layers, against PyTorch."""

import warnings

import numpy as np
import pytest
from as_torch import check_layer, torch

import gradnerve as gn

backends = pytest.importorskip("torch.nn.attention")

nn, tnn = gn.nn, torch.nn
rng = np.random.default_rng(0)
torch.backends.mha.set_fastpath_enabled(False)
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


def random(*shape):
    return rng.normal(size=shape)


def compare(ours, theirs, *arrays, masks=None, second=False, **call):
    """The same layer here and there, on the same arrays and masks."""
    masks = masks or {}

    def run(layer, *xs):
        there = isinstance(xs[0], torch.Tensor)
        with warnings.catch_warnings(), backends.sdpa_kernel(backends.SDPBackend.MATH):  # which PyTorch can differentiate twice
            warnings.simplefilter("ignore")  # of masks of two dtypes
            return layer(*xs, **{name: torch.tensor(mask) if there else mask for name, mask in masks.items()}, **call)

    check_layer(ours, theirs, *arrays, call=run, second=second)


OPTIONS = [{}, {"norm_first": True, "batch_first": True}, {"activation": "gelu", "bias": False}, {"layer_norm_eps": 0.1}]
CAUSAL = np.triu(np.ones((4, 4), bool), 1)
PADDING = np.array([[False] * 4, [False, True, False, True], [False, False, True, True]])


def sequences(options, length=4):
    return random(3, length, 6) if options.get("batch_first") else random(length, 3, 6)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_encoder_layers_are_pytorchs(options):
    layers = nn.TransformerEncoderLayer(6, 2, 8, 0.0, dtype="d", **options), tnn.TransformerEncoderLayer(6, 2, 8, 0.0, **options)
    compare(*layers, sequences(options), second=True)
    compare(*layers, random(4, 6))
    for masks in ({"src_mask": CAUSAL}, {"src_mask": random(4, 4)}, {"src_key_padding_mask": PADDING},
                  {"src_mask": CAUSAL, "src_key_padding_mask": PADDING}):  # fmt: skip
        compare(*layers, sequences(options), masks=masks)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_decoder_layers_are_pytorchs(options):
    layers = nn.TransformerDecoderLayer(6, 2, 8, 0.0, dtype="d", **options), tnn.TransformerDecoderLayer(6, 2, 8, 0.0, **options)
    compare(*layers, sequences(options), sequences(options, 5), second=True)
    compare(*layers, random(4, 6), random(5, 6))
    compare(*layers, sequences(options), sequences(options), masks={"tgt_mask": CAUSAL, "tgt_key_padding_mask": PADDING,
                                                                    "memory_mask": random(4, 4), "memory_key_padding_mask": PADDING})  # fmt: skip


def test_activations_may_be_functions_and_modules():
    compare(nn.TransformerEncoderLayer(6, 2, 8, 0.0, activation=np.tanh, dtype="d"),
            tnn.TransformerEncoderLayer(6, 2, 8, 0.0, activation=torch.tanh), random(4, 3, 6))  # fmt: skip
    layer = nn.TransformerEncoderLayer(6, 2, 8, 0.0, activation=nn.ReLU())
    assert isinstance(layer.activation, nn.ReLU)
    assert [name for name, _ in layer.named_children()][-1] == "activation"


@pytest.mark.parametrize("options", OPTIONS[:2], ids=str)
def test_stacks_of_layers_are_pytorchs(options):
    pairs = []
    for make, kind in ((nn, {"dtype": "d"}), (tnn, {})):
        encoder = make.TransformerEncoder(make.TransformerEncoderLayer(6, 2, 8, 0.0, **options, **kind), 2, make.LayerNorm(6, **kind))
        decoder = make.TransformerDecoder(make.TransformerDecoderLayer(6, 2, 8, 0.0, **options, **kind), 2)
        pairs.append((encoder, decoder))
    (encoder, decoder), (their_encoder, their_decoder) = pairs
    compare(encoder, their_encoder, sequences(options))
    causal = np.where(CAUSAL, -np.inf, 0.0)
    compare(encoder, their_encoder, sequences(options), masks={"mask": causal, "src_key_padding_mask": PADDING})
    compare(decoder, their_decoder, sequences(options), sequences(options, 5), masks={"tgt_mask": causal})


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "batch_first": True, "activation": "gelu"}], ids=str)
def test_the_transformer_is_pytorchs(options):
    arguments = {"d_model": 6, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 8, "dropout": 0.0} | options
    ours, theirs = nn.Transformer(**arguments, dtype="d"), tnn.Transformer(**arguments)
    compare(ours, theirs, sequences(options, 5), sequences(options))
    compare(ours, theirs, random(5, 6), random(4, 6))
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype="d").data
    compare(ours, theirs, sequences(options), sequences(options), masks={"tgt_mask": mask, "src_key_padding_mask": PADDING,
                                                                         "memory_key_padding_mask": PADDING})  # fmt: skip
    compare(ours, theirs, sequences(options), sequences(options), masks={"src_mask": mask, "tgt_mask": mask}, tgt_is_causal=True)


def test_layers_look_like_pytorchs():
    for name in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
        theirs = repr(getattr(tnn, name)(6, 2, 8)).replace("NonDynamicallyQuantizable", "")
        assert repr(getattr(nn, name)(6, 2, 8)) == theirs
    mask, theirs = nn.Transformer.generate_square_subsequent_mask(3), tnn.Transformer.generate_square_subsequent_mask(3)
    np.testing.assert_array_equal(mask.data, theirs.numpy())
    assert mask.dtype == np.float32


def test_layers_of_a_stack_are_copies_with_parameters_of_their_own():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8), 2)
    one, two = stack.layers[0].linear1.weight, stack.layers[1].linear1.weight
    assert one is not two
    np.testing.assert_array_equal(one.data, two.data)


def test_the_seed_decides_about_first_values_and_dropout():
    def outputs(generator=None):
        model = nn.Transformer(6, 2, 2, 1, 8, dropout=0.3, generator=generator)
        x = np.linspace(-1, 1, 60).reshape(5, 2, 6).astype("f")
        return model(x, x).data, model(x, x).data

    one, two = outputs(np.random.default_rng(0)), outputs(np.random.default_rng(0))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(*one)
    gn.manual_seed(4)
    one = outputs()
    gn.manual_seed(4)
    np.testing.assert_array_equal(one, outputs())


def test_copies_share_the_generator_of_their_layer():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, generator=np.random.default_rng(0)), 2)
    assert stack.layers[0].self_attn.generator is stack.layers[1].self_attn.generator is stack.layers[1].dropout.generator


def test_positions_are_sines_and_cosines():
    x = np.zeros((7, 2, 5))
    layer = nn.PositionalEncoding(5, dropout=0.0, max_len=9, dtype="d")
    place, feature = np.arange(7)[:, None], np.arange(5)
    angle = place / 10000 ** (feature // 2 * 2 / 5)
    expected = np.where(feature % 2, np.cos(angle), np.sin(angle))
    np.testing.assert_allclose(layer(x)[:, 1].data, expected, rtol=1e-12, atol=1e-14)
    other = nn.PositionalEncoding(5, 0.0, 9, batch_first=True, dtype="d")
    np.testing.assert_array_equal(other(x.swapaxes(0, 1)).data, layer(x).data.swapaxes(0, 1))
    assert layer.state_dict()["pe"].shape == (9, 1, 5)
    assert not list(layer.parameters())
    assert np.count_nonzero(nn.PositionalEncoding(6, 0.5)(np.ones((50, 4, 6), "f")).data == 0) > 300


def test_a_transformer_learns_to_copy():
    """What it has read, with positions that it has to look up."""
    gn.manual_seed(0)
    rng = np.random.default_rng(0)
    embed, positions, head = nn.Embedding(5, 16), nn.PositionalEncoding(16, 0.0, batch_first=True), nn.Linear(16, 5)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
    parameters = [p for module in (embed, layer, head) for p in module.parameters()]
    losses = []
    for _ in range(60):
        words = rng.integers(0, 5, (16, 6))
        loss = gn.cross_entropy(head(layer(positions(embed(words)))).reshape(-1, 5), words[:, ::-1].reshape(-1))
        loss.backward()
        for p in parameters:
            p.data -= np.float32(0.3) * p.grad
            p.zero_grad()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: nn.TransformerEncoderLayer(6, 4), ValueError, "embed_dim must be a multiple of num_heads"),
    (lambda: nn.TransformerEncoderLayer(6, 2, activation="swish"), ValueError, "activation must be 'relu', 'gelu' or a function, not 'swish'"),
    (lambda: nn.TransformerEncoderLayer(6, 2)(random(4, 3, 5)), ValueError, "last axis of query must have length 6"),
    (lambda: nn.TransformerEncoderLayer(6, 2)(random(4, 3, 6), random(3, 4)), ValueError, r"attn_mask must have shape \(4, 4\) or \(6, 4, 4\)"),
    (lambda: nn.Transformer(6, 2, 1, 1, 8)(random(4, 3, 6), random(4, 2, 6)), ValueError, "axis 1 is that of the batch"),
    (lambda: nn.Transformer(6, 2, 1, 1, 8)(random(4, 3, 5), random(4, 3, 6)), ValueError, "last axis of src and tgt must have length 6"),
    (lambda: nn.Transformer(6, 2, 1, 1, 8)(random(4, 6), random(4, 3, 6)), ValueError, "src and tgt must have three axes"),
    (lambda: nn.PositionalEncoding(6, max_len=3)(random(4, 2, 6)), ValueError, "at most 3 places and 6 features"),
])  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()
