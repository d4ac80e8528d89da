"""Attention, as a function and as a layer, against PyTorch."""

import warnings

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn
from gradnerve.kernels.attention import attend, differentiate
from gradnerve.ops.attention import attention_weights, slopes

backends = pytest.importorskip("torch.nn.attention")

F, TF = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(0)
SDPA, TSDPA = F.scaled_dot_product_attention, TF.scaled_dot_product_attention


def random(*shape):
    return rng.normal(size=shape)


# --- scaled_dot_product_attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [((4, 5), (6, 5), (6, 7)), ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5)), ((3, 4, 5), (6, 5), (6, 7)),
                                    ((1, 1, 5), (1, 1, 5), (1, 1, 2)), ((2, 0, 5), (2, 6, 5), (2, 6, 5))], ids=str)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_attention_is_pytorchs(shapes, options):
    check(lambda *a: SDPA(*a, **options), lambda *a: TSDPA(*a, **options), *(random(*shape) for shape in shapes))


MASKS = [(4, 6), (2, 1, 4, 6), (2, 3, 4, 6), (1, 6), (4, 1)]


@pytest.mark.parametrize("shape", MASKS, ids=str)
def test_masks_are_pytorchs(shape):
    arrays = random(2, 3, 4, 5), random(2, 3, 6, 5), random(2, 3, 6, 5)
    for mask in (rng.random(shape) < 0.6, np.zeros(shape, bool), rng.random(shape) < 0.2):
        check(lambda *a, mask=mask: SDPA(*a, mask), lambda *a, mask=mask: TSDPA(*a, torch.tensor(mask)), *arrays)
    check(SDPA, TSDPA, *arrays, random(*shape))


def test_a_query_that_nothing_takes_part_for_gets_zeros():
    mask = np.zeros((4, 6))
    mask[1], mask[2, :3] = -np.inf, -np.inf
    arrays = random(2, 3, 4, 5), random(2, 3, 6, 5), random(2, 3, 6, 5)
    check(lambda *a: SDPA(*a, mask), lambda *a: TSDPA(*a, torch.tensor(mask)), *arrays)
    leaf, theirs = gn.Tensor(mask, requires_grad=True), torch.tensor(mask, requires_grad=True)
    out = SDPA(*arrays, leaf)
    assert not out.data[:, :, 1].any()
    (out * out).sum().backward()
    (TSDPA(*map(torch.tensor, arrays), theirs) ** 2).sum().backward()
    np.testing.assert_allclose(leaf.grad, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("heads", "shared"), [(4, 2), (4, 1), (3, 3)])
def test_heads_of_queries_share_those_of_keys(heads, shared):
    arrays = random(2, heads, 4, 5), random(2, shared, 6, 5), random(2, shared, 6, 3)
    check(lambda *a: SDPA(*a, enable_gqa=True), lambda *a: TSDPA(*a, enable_gqa=True), *arrays)
    check(lambda *a: SDPA(*a, is_causal=True, enable_gqa=True), lambda *a: TSDPA(*a, is_causal=True, enable_gqa=True), *arrays)


def test_attention_in_single_precision():
    arrays = [gn.Tensor(random(2, 4, 5).astype("f"), requires_grad=True) for _ in range(3)]
    out = SDPA(*arrays, np.tri(4, dtype=bool))
    out.sum().backward()
    assert out.dtype == arrays[0].grad.dtype == np.float32
    np.testing.assert_allclose(out.data, TSDPA(*(torch.tensor(a.data) for a in arrays), is_causal=True).numpy(), rtol=1e-4, atol=1e-6)


def test_dropout_keeps_the_mean_and_obeys_the_generator():
    query, key, value = random(1, 4), random(5, 4), np.ones((5, 2000))
    draw = lambda seed: SDPA(query, key, value, dropout_p=0.5, generator=np.random.default_rng(seed))
    np.testing.assert_array_equal(draw(1), draw(1))
    assert abs(np.mean([draw(k)[0, 0] for k in range(300)]) - 1) < 0.15


def test_attention_for_many_examples():
    query, key, value, mask = random(3, 4, 5), random(3, 6, 5), random(3, 6, 5), rng.random((3, 4, 6)) < 0.5
    f = lambda q, k, v, mask: gn.grad(lambda q, k, v: (SDPA(q, k, v, mask) ** 2).sum(), (0, 1, 2))(q, k, v)
    found = gn.vmap(f)(query, key, value, mask)
    for k in range(3):
        for g, wanted in zip(found, f(query[k], key[k], value[k], mask[k]), strict=True):
            np.testing.assert_allclose(g[k].data, wanted.data, rtol=1e-10, atol=1e-13)


# --- several heads ---------------------------------------------------------------------------------------------------


def layers(**options):
    return gn.nn.MultiheadAttention(6, 2, dtype="d", **options), torch.nn.MultiheadAttention(6, 2, **options)


def compare(options, *arrays, masks=None, second=False, **call):
    """A layer on (query, key, value), or on one array for all three; `masks` by name, of booleans or floats."""
    ours, theirs = layers(**options)
    masks = masks or {}

    def run(layer, *xs):
        there = isinstance(xs[0], torch.Tensor)
        xs = xs * 3 if len(xs) == 1 else (*xs, xs[1]) if len(xs) == 2 else xs
        with warnings.catch_warnings(), backends.sdpa_kernel(backends.SDPBackend.MATH):  # which PyTorch can differentiate twice
            warnings.simplefilter("ignore")  # of masks of two dtypes
            return layer(*xs, **{name: torch.tensor(mask) if there else mask for name, mask in masks.items()}, **call)

    check_layer(ours, theirs, *arrays, call=run, second=second)
    output, weights = run(ours, *arrays)
    their_output, their_weights = run(theirs, *map(torch.tensor, arrays))
    assert (weights is None) == (their_weights is None)
    for mine, other in ((output, their_output), (weights, their_weights)):
        if mine is not None:
            np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=1e-10, atol=1e-12)


OPTIONS = [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"batch_first": True},
           {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True, "bias": False}]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_layer_is_pytorchs(options, need_weights):
    compare(options, random(4, 3, 6), second=True, need_weights=need_weights)
    key = random(4, 5, 6) if options.get("batch_first") else random(5, 3, 6)
    compare(options, random(4, 3, 6), key, need_weights=need_weights)
    compare(options, random(4, 3, 6), key, random(*key.shape), second=True, need_weights=need_weights)


@pytest.mark.parametrize("options", [{"kdim": 5, "vdim": 4}, {"kdim": 5, "vdim": 4, "bias": False, "add_bias_kv": True}, {"vdim": 3}], ids=str)
def test_keys_and_values_may_have_other_features(options):
    compare(options, random(4, 3, 6), random(5, 3, options.get("kdim", 6)), random(5, 3, options["vdim"]))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_sequences_without_a_batch(options):
    compare(options, random(4, 6))
    compare(options, random(4, 6), random(5, 6), masks={"key_padding_mask": np.array([False, True, False, False, True])}, need_weights=False)


PADDING = np.array([[False] * 5, [False, True, False, False, True], [True, False, False, False, False]])


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"add_bias_kv": True, "add_zero_attn": True}], ids=str)
@pytest.mark.parametrize("need_weights", [True, False])
def test_masks_of_the_layer_are_pytorchs(options, need_weights):
    query, key = (random(3, 4, 6), random(3, 5, 6)) if options.get("batch_first") else (random(4, 3, 6), random(5, 3, 6))
    masked = rng.random((4, 5)) < 0.3
    masked[:, 2] = False
    for masks in ({"attn_mask": masked}, {"attn_mask": random(4, 5)}, {"attn_mask": random(6, 4, 5)}, {"key_padding_mask": PADDING},
                  {"key_padding_mask": random(3, 5)}, {"attn_mask": masked, "key_padding_mask": PADDING},
                  {"attn_mask": random(6, 4, 5), "key_padding_mask": PADDING}):  # fmt: skip
        compare(options, query, key, masks=masks, need_weights=need_weights)
    compare(options, query, key, masks={"attn_mask": masked}, second=True, average_attn_weights=False)


def test_a_causal_mask_may_come_with_a_hint():
    mask = gn.nn.Transformer.generate_square_subsequent_mask(4, dtype="d").data
    for need_weights in (True, False):
        compare({}, random(4, 3, 6), masks={"attn_mask": mask}, is_causal=True, need_weights=need_weights)


def test_what_is_masked_entirely_is_as_in_pytorch():
    """NaN if the weights are needed, and zeros, before the last projection, if not."""
    ours, theirs = layers(bias=False)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.double().state_dict().items()})
    x, padding = random(3, 2, 6), np.array([[False, False, True], [True, True, True]])
    for need_weights in (True, False):
        with np.errstate(invalid="ignore"):
            found, _ = ours(x, x, x, padding, need_weights)
        wanted, _ = theirs(*[torch.tensor(x)] * 3, torch.tensor(padding), need_weights)
        np.testing.assert_allclose(found.data, wanted.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_the_function_is_pytorchs():
    weight, bias, out = random(18, 6), random(18), random(6, 6)
    args = lambda make: (6, 2, make(weight), make(bias), None, None, False, 0.0, make(out), None)
    check(lambda q, k: F.multi_head_attention_forward(q, k, k, *args(lambda a: a)),
          lambda q, k: TF.multi_head_attention_forward(q, k, k, *args(torch.tensor)), random(4, 3, 6), random(5, 3, 6))  # fmt: skip
    static = random(6, 7, 3), random(6, 7, 3)
    check(lambda q, k, sk, sv: F.multi_head_attention_forward(q, k, k, *args(lambda a: a), static_k=sk, static_v=sv),
          lambda q, k, sk, sv: TF.multi_head_attention_forward(q, k, k, *args(torch.tensor), static_k=sk, static_v=sv),
          random(4, 3, 6), random(5, 3, 6), *static)  # fmt: skip


def test_first_values_are_pytorchs():
    layer = gn.nn.MultiheadAttention(64, 4, add_bias_kv=True, generator=np.random.default_rng(0))
    theirs = torch.nn.MultiheadAttention(64, 4, add_bias_kv=True)
    assert [p.shape for p in layer.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert {p.dtype for p in layer.parameters()} == {np.dtype("f")}
    for weight, bound in ((layer.in_proj_weight, (6 / (64 + 192)) ** 0.5), (layer.out_proj.weight, 1 / 8)):
        assert 0.98 * bound < np.abs(weight.data).max() <= bound
    assert 0.09 < layer.bias_k.data.std() < 0.16  # 1 / 8
    assert not layer.in_proj_bias.data.any()
    assert not layer.out_proj.bias.data.any()
    again = gn.nn.MultiheadAttention(64, 4, add_bias_kv=True, generator=np.random.default_rng(0)).state_dict()
    assert all(np.array_equal(a, again[name]) for name, a in layer.state_dict().items())


def test_dropout_is_for_training():
    layer, x = gn.nn.MultiheadAttention(6, 2, dropout=0.5, dtype="d", generator=np.random.default_rng(0)), random(4, 3, 6)
    assert not np.array_equal(layer(x, x, x)[0].data, layer(x, x, x)[0].data)
    layer.eval()
    np.testing.assert_array_equal(layer(x, x, x)[0].data, layer(x, x, x)[0].data)


def test_backward_may_run_twice_and_by_some_arguments_only():
    query, key, value = (gn.Tensor(random(2, 3, 4, 5), requires_grad=True) for _ in range(3))
    out = SDPA(query, key, value)
    out.backward(np.ones((2, 3, 4, 5)), retain_graph=True)
    once = [t.grad.copy() for t in (query, key, value)]
    out.backward(np.ones((2, 3, 4, 5)))
    for t, g in zip((query, key, value), once, strict=True):
        np.testing.assert_allclose(t.grad, 2 * g, rtol=1e-12)
    for k, t in enumerate((query, key, value)):
        alone = [gn.asarray(x.data) for x in (query, key, value)]
        found = gn.grad(lambda x, k=k, alone=alone: SDPA(*alone[:k], x, *alone[k + 1 :]).sum())(t.data)
        np.testing.assert_allclose(found.data, once[k], rtol=1e-12)


def test_a_mask_behind_the_result_leaves_gradients_finite():
    """Behind relu, what is infinite is looked at twice."""
    x = gn.Tensor(random(2, 3, 6), requires_grad=True)
    layer = gn.nn.MultiheadAttention(6, 2, batch_first=True, dtype="d")
    gn.relu(layer(x, x, x, need_weights=False)[0]).sum().backward()
    assert np.isfinite(x.grad).all()


# --- the kernel ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "close"), [("f", 2e-5), ("d", 1e-12)])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (2, 3, 5, 7, 4, 3), (3, 2, 40, 65, 16, 16), (2, 2, 1, 33, 8, 1)], ids=str)
def test_the_kernel_does_what_the_formula_says(dtype, close, sizes):
    n, heads, length, keys, width, value_width = sizes
    q, k, v = (random(n, rows, heads, wide).astype(dtype).swapaxes(1, 2) for rows, wide in ((length, width), (keys, width), (keys, value_width)))
    g = random(n, heads, length, value_width).astype(dtype)
    some = np.where(rng.random((length, keys)) < 0.5, 0, -np.inf).astype(dtype)
    for mask in (None, some, random(n, 1, 1, keys).astype(dtype), np.full((1, 1), -np.inf, dtype)):
        mask = None if mask is None else np.broadcast_to(mask, (n, heads, length, keys))
        weights = attention_weights(q, k, mask, 0.3)
        slope, out = slopes(g, weights, v) * 0.3, np.empty_like(g)
        assert attend(q, k, v, mask, 0.3, out)
        dq, dk, dv = (np.empty(x.shape, dtype) for x in (q, k, v))
        assert differentiate(g, q, k, v, mask, 0.3, dq, dk, dv)
        for found, wanted in ((out, weights @ v), (dq, slope @ k), (dk, slope.mT @ q), (dv, weights.mT @ g)):
            np.testing.assert_allclose(found, wanted, rtol=close, atol=close)


def test_the_kernel_declines_other_dtypes_and_shapes():
    x, out = random(2, 3, 4, 5), np.zeros((2, 3, 4, 5))
    for arrays in ((x.astype("f"), x, x), (x, x.astype(complex), x), (x.astype(int),) * 3, (x[0],) * 3, (x.tolist(),) * 3, (x.astype(">f8"),) * 3):
        assert not attend(*arrays, None, 1.0, out)
    assert not attend(x, x, x, np.zeros((2, 3, 4, 4), "f"), 1.0, out)
    assert not attend(x, x, x, None, 1.0, np.zeros((2, 3, 5, 4)).mT)
    assert not out.any()


LAYER, X = gn.nn.MultiheadAttention(6, 2, dtype="d"), random(4, 3, 6)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: SDPA(random(4, 5), random(6, 4), random(6, 4)), ValueError, "query and key must have last axes of equal length"),
    (lambda: SDPA(random(4, 5), random(6, 5), random(7, 5)), ValueError, "there must be as many values as keys"),
    (lambda: SDPA(random(5), random(6, 5), random(6, 5)), ValueError, "query, key and value must have the shapes"),
    (lambda: SDPA(random(2, 4, 5), random(3, 6, 5), random(3, 6, 5)), ValueError, "the axes before the last two do not broadcast"),
    (lambda: SDPA(random(2, 4, 5), random(2, 6, 5), random(2, 6, 5), random(4, 5)), ValueError,
     r"attn_mask must have shape \(4, 6\) or \(2, 4, 6\)[^$]*attn_mask  \(4, 5\)"),
    (lambda: SDPA(random(4, 5), random(6, 5), random(6, 5), random(2, 4, 6)), ValueError, r"attn_mask must have shape \(4, 6\)"),
    (lambda: SDPA(random(4, 5), random(4, 5), random(4, 5), np.ones((4, 4), int)), TypeError, "attn_mask must hold booleans or floats, not int64"),
    (lambda: SDPA(random(4, 5), random(4, 5), random(4, 5), random(4, 4), is_causal=True), ValueError, "either attn_mask or is_causal"),
    (lambda: SDPA(random(3, 4, 5), random(2, 4, 5), random(2, 4, 5), enable_gqa=True), ValueError, "must be a multiple of those of key and value"),
    (lambda: LAYER(random(4, 3, 5), X, X), ValueError, "last axis of query must have length 6"),
    (lambda: LAYER(X, random(4, 3, 5), random(4, 3, 5)), ValueError, "last axes of key and value must have length 6; .* kdim and vdim"),
    (lambda: LAYER(X, random(4, 3, 6), random(5, 3, 6)), ValueError, "key and value must have equal shapes"),
    (lambda: LAYER(X, random(4, 2, 6), random(4, 2, 6)), ValueError, "axis 1 is that of the batch"),
    (lambda: LAYER(X[0], X, X), ValueError, "must all have three axes, or two without a batch"),
    (lambda: LAYER(X, X, X, attn_mask=random(3, 4, 4)), ValueError, r"attn_mask must have shape \(4, 4\) or \(6, 4, 4\)[^$]*attn_mask  \(3, 4, 4\)"),
    (lambda: LAYER(X, X, X, np.zeros((4, 3), bool)), ValueError, r"key_padding_mask must have shape \(3, 4\)[^$]*key_padding_mask  \(4, 3\)"),
    (lambda: LAYER(X, X, X, np.zeros((3, 4), int)), TypeError, "key_padding_mask must hold booleans or floats"),
    (lambda: LAYER(X, X, X, is_causal=True), ValueError, "pass that, too"),
    (lambda: gn.nn.MultiheadAttention(6, 4), ValueError, "embed_dim must be a multiple of num_heads, and both positive, not 6 and 4"),
    (lambda: gn.nn.MultiheadAttention(6, 0), ValueError, "not 6 and 0"),
])  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_kernel_declines_what_does_not_fit():
    x = np.ones((1, 1, 2, 3))
    still = np.broadcast_to(1.0, x.shape)
    assert attend(x, x, x, None, 1.0, np.empty_like(x))
    for arrays in [(x[..., :2], x, x, None), (x, x[..., :2], x, None), (x, x, x[:, :, :1], None), (x, x.astype("f4"), x, None), (x, x, x, x),
                   (x.astype(int), x, x, None), (x.tolist(), x, x, None), (x[0], x, x, None)]:  # fmt: skip
        out = np.zeros_like(x)
        assert not attend(*arrays, 1.0, out) and not out.any()
    assert not attend(x, x, x, None, 1.0, still) and not differentiate(x, x, x, x, None, 1.0, np.empty_like(x), np.empty_like(x), still)
    assert not differentiate(x, x, x, x, None, 1.0, np.empty_like(x), np.empty_like(x), np.empty((1, 1, 2, 4)))


def test_the_columns_of_a_mask_may_lie_apart():
    q, mask = rng.normal(size=(1, 2, 3, 4)), rng.normal(size=(1, 2, 3, 6))[..., ::2]
    found, expected = np.empty_like(q), np.empty_like(q)
    assert attend(q, q, q, mask, 0.5, found) and attend(q, q, q, mask.copy(), 0.5, expected)
    np.testing.assert_array_equal(found, expected)
    weights = np.exp(0.5 * q @ q.swapaxes(2, 3) + mask)
    np.testing.assert_allclose(found, weights / weights.sum(3, keepdims=True) @ q, rtol=1e-12)
