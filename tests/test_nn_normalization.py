"""Batch, layer, group, instance, RMS and local response normalization against PyTorch's, functions and layers, and what they say about bad input."""

import warnings

import numpy as np
import pytest
from as_torch import check, check_layer, close, torch

import gradnerve as gn
from gradnerve.kernels import normalization as kernels
from gradnerve.ops import normalization as ops

F, TF = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(0)


def numbers(*shape, dtype=np.float64):
    return (2 * rng.normal(size=shape) + 1).astype(dtype)


# ---- functions ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (6, 2, 4, 5), (1, 3, 2, 2, 5), (3, 70), (40, 3, 2), (2, 2, 600)])
@pytest.mark.parametrize("names", [(), ("weight",), ("weight", "bias"), ("bias",)])
def test_batch_norm_of_a_batch(shape, names):
    arrays = [numbers(*shape), *(numbers(shape[1]) for _ in names)]
    f = lambda F: lambda x, *rest: F.batch_norm(x, None, None, training=True, eps=0.1, **dict(zip(names, rest, strict=True)))
    check(f(F), f(TF), *arrays)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 3, 4, 5)])
def test_given_moments(name, shape):
    mean, var = numbers(3), numbers(3) ** 2
    ours = lambda x, w, b: getattr(F, name)(x, mean, gn.Tensor(var), w, b, False)
    theirs = lambda x, w, b: getattr(TF, name)(x, torch.tensor(mean), torch.tensor(var), w, b, False)
    check(ours, theirs, numbers(*shape), numbers(3), numbers(3))
    check(lambda x: ours(x, None, None), lambda x: theirs(x, None, None), numbers(*shape))
    check(lambda x, b: ours(x, None, b), lambda x, b: theirs(x, None, b), numbers(*shape), numbers(3))


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_moments_move_in_place(name, dtype):
    x, mean, var = numbers(4, 3, 5, dtype=dtype), numbers(3, dtype=dtype), numbers(3, dtype=dtype) ** 2
    theirs = torch.tensor(mean), torch.tensor(var)
    tensors, arrays = (gn.Tensor(mean), gn.Tensor(var)), (mean.copy(), var.copy())
    getattr(TF, name)(torch.tensor(x), *theirs, None, None, True, 0.3)
    for ours in (tensors, arrays):
        getattr(F, name)(gn.Tensor(x, requires_grad=True), *ours, None, None, True, 0.3)
        for one, other in zip(ours, theirs, strict=True):
            close(one, other, 1e-6 if dtype == np.float32 else 1e-13, "moments")
            assert not getattr(one, "requires_grad", False)


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 2, 4, 5), (1, 70, 2), (2, 2, 600)])
@pytest.mark.parametrize("names", [(), ("weight",), ("weight", "bias")])
def test_instance_norm(shape, names):
    arrays = [numbers(*shape), *(numbers(shape[1]) for _ in names)]
    f = lambda F: lambda x, *rest: F.instance_norm(x, eps=0.1, **dict(zip(names, rest, strict=True)))
    check(f(F), f(TF), *arrays)


@pytest.mark.parametrize(("shape", "groups"), [((2, 6), 2), ((2, 6, 5), 3), ((3, 4, 2, 5), 1), ((2, 4, 20), 4), ((5, 300), 2)])
@pytest.mark.parametrize("names", [(), ("weight",), ("weight", "bias")])
def test_group_norm(shape, groups, names):
    arrays = [numbers(*shape), *(numbers(shape[1]) for _ in names)]
    f = lambda F: lambda x, *rest: F.group_norm(x, groups, eps=0.1, **dict(zip(names, rest, strict=True)))
    check(f(F), f(TF), *arrays)


LAST = [((5,), (5,)), ((4, 5), (5,)), ((2, 3, 5), (3, 5)), ((2, 3, 4), (2, 3, 4)), ((3, 1), (1,)), ((70, 300), (300,))]


@pytest.mark.parametrize(("shape", "last"), LAST)
@pytest.mark.parametrize("names", [(), ("weight",), ("weight", "bias"), ("bias",)])
def test_layer_norm(shape, last, names):
    arrays = [numbers(*shape), *(numbers(*last) for _ in names)]
    f = lambda F: lambda x, *rest: F.layer_norm(x, last, eps=0.1, **dict(zip(names, rest, strict=True)))
    check(f(F), f(TF), *arrays)


@pytest.mark.parametrize(("shape", "last"), [((5,), (5,)), ((4, 5), (5,)), ((2, 3, 5), (3, 5)), ((70, 300), (300,))])
@pytest.mark.parametrize("eps", [None, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_rms_norm(shape, last, eps, weighted):
    arrays = [numbers(*shape), *([numbers(*last)] if weighted else [])]
    check(lambda x, *w: F.rms_norm(x, last, *w, eps=eps), lambda x, *w: TF.rms_norm(x, last, *w, eps=eps), *arrays)


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 1, 3), (2, 7, 3, 2), (1, 4, 2, 3, 2)])
@pytest.mark.parametrize(("size", "others"), [(1, {}), (2, {"alpha": 0.3}), (5, {"alpha": 0.5, "beta": 1.5, "k": 2.0}), (4, {"alpha": 1.0})])
def test_local_response_norm(shape, size, others):
    check(lambda x: F.local_response_norm(x, size, **others), lambda x: TF.local_response_norm(x, size, **others), numbers(*shape))


# ---- numbers -----------------------------------------------------------------------------------------------------------------------


WAYS = [lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), lambda F, x, w, b: F.group_norm(x, 2, w, b),
        lambda F, x, w, b: F.layer_norm(x, x.shape[1:]), lambda F, x, w, b: F.rms_norm(x, x.shape[1:]),
        lambda F, x, w, b: F.instance_norm(x, None, None, w, b)]  # fmt: skip


@pytest.mark.parametrize("f", WAYS)
@pytest.mark.parametrize(("size", "offset"), [(7, 0), (200, 3), (40, -100)])
def test_single_precision_is_pytorchs(f, size, offset):
    x, w, b = numbers(6, 4, size, dtype=np.float32) + np.float32(offset), numbers(4, dtype=np.float32), numbers(4, dtype=np.float32)
    g = numbers(6, 4, size, dtype=np.float32)
    ours, theirs = [gn.Tensor(a, requires_grad=True) for a in (x, w, b)], [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    one, other = f(F, *ours), f(TF, *theirs)
    exact = f(TF, *(torch.tensor(a, dtype=torch.float64) for a in (x, w, b))).numpy()
    assert one.dtype == np.float32
    assert np.abs(one.data - exact).max() <= max(np.abs(other.detach().numpy() - exact).max(), 3e-7 * np.abs(exact).max())
    one.backward(g)
    other.backward(torch.tensor(g))
    for t, e in zip(ours, theirs, strict=True):
        if e.grad is not None:
            close(t.grad, e.grad, 3e-6 * (1 + abs(offset)), "gradient")


@pytest.mark.parametrize("f", WAYS[:3] + WAYS[4:])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_elements_have_no_variance(f, dtype):
    x = np.full((3, 4, 50), 0.1, dtype)
    assert not f(F, x, None, None).any()
    stats = np.full((2, 4), np.nan)
    ops.normalized(x, None, None, stats, 1e-5, (3, 4, 1, 50), True)
    assert np.array_equal(stats, np.array([[x[0, 0, 0]] * 4, [0.0] * 4]))


def test_eps_0_divides_by_0_as_pytorch():
    x = np.array([[1.0, 1.0], [1.0, 3.0]])
    expected = TF.layer_norm(torch.tensor(x), (2,), eps=0.0).numpy()
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(F.layer_norm(x, (2,), eps=0.0), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("f", WAYS)
def test_nan_and_infinity_stay_in_their_row(f, bad):
    x = numbers(4, 4, 20)
    x[1, 2, 3] = bad
    with np.errstate(invalid="ignore"):
        ours, theirs = f(F, x, None, None), f(TF, torch.tensor(x), None, None).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


FORMS = [((8, 4, 1, 200), True), ((70, 6, 1, 1), True), ((40, 50, 1, 3), True), ((1, 9, 1, 4), True), ((5, 6, 1, 16), True), ((60, 1, 64, 1), False),
         ((6, 3, 2, 5), False), ((6, 3, 4, 25), False), ((6, 3, 4, 1), False), ((3, 1, 1000, 1), False), ((70, 2, 300, 1), False),
         ((2, 3, 1, 1), False), ((16, 64, 1, 100), True), ((16, 8, 8, 100), False), ((1000, 1, 70, 1), False), ((300, 200, 1, 1), True)]  # fmt: skip


@pytest.mark.parametrize(("form", "over_batch"), FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("centered", "given"), [(True, False), (False, False), (True, True)])
def test_loops_do_what_numpy_does(form, over_batch, dtype, centered, given, monkeypatch):
    if given and not over_batch:
        return
    x, g, w, b = numbers(*form, dtype=dtype), numbers(*form, dtype=dtype), numbers(*form[1:3], dtype=dtype), numbers(*form[1:3], dtype=dtype)
    rows, rest = form[1] if over_batch else form[0] * form[1], (1e-5, form, over_batch, centered, given)
    tolerance = 50 * np.finfo(dtype).eps
    for weight, bias in ((None, None), (w, None), (w, b)):
        stats, ours = np.full((2, rows), 0.7), np.full((2, rows), 0.7)
        expected, found = ops.normalized.function(x, weight, bias, stats, *rest), kernels.normalized(x, weight, bias, ours, *rest)
        near(ours, stats, tolerance)
        near(found, expected, tolerance)
        lines = [(ops.input_line, (g, x, x.shape, weight, stats, *rest)), (ops.weight_line, (g, x, w.shape, stats, *rest)),
                 (ops.bias_line, (g, b.shape, form, over_batch))]  # fmt: skip
        fast = [line(*args) for line, args in lines]
        with monkeypatch.context() as patch:
            for name in ("input_share", "weight_share", "bias_share"):
                patch.setattr(kernels, name, lambda *_: None)
            slow = [line(*args) for line, args in lines]
        scale = 1 / np.sqrt(stats[1].min() + 1e-5)
        for one, other, size in zip(fast, slow, (scale, 1, 1), strict=True):
            assert one.dtype == other.dtype
            near(one, other, tolerance, size)


def near(found, expected, tolerance, least=1.0):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(least, np.abs(expected).max()))


def test_loops_decline_other_arrays():
    x, stats, rest = numbers(4, 3, 1, 5), np.empty((2, 3)), (1e-5, (4, 3, 1, 5), True, True, False)
    assert kernels.normalized(x, None, None, stats, *rest) is not None
    for other in (x.astype("e"), x[..., ::-1], x.astype(">f8"), x[:2]):
        assert kernels.normalized(other, None, None, stats, *rest) is None
    assert kernels.normalized(x, np.ones(3, "f"), None, stats, *rest) is None
    assert kernels.normalized(x, None, None, stats[:1], *rest) is None
    assert kernels.input_share(x, x.astype("f"), None, stats, *rest) is None
    check(lambda x: F.layer_norm(x.T, (3,)), lambda x: TF.layer_norm(x.T, (3,)), numbers(3, 4))


def test_dtypes():
    for dtype in (np.float16, np.float32, np.float64, np.longdouble):
        x = numbers(3, 4, dtype=dtype)
        assert F.layer_norm(x, 4).dtype == F.batch_norm(x, None, None, training=True).dtype == dtype
        assert F.layer_norm(x, 4, np.ones(4, "f"), np.ones(4)).dtype == F.batch_norm(x, np.ones(4), np.ones(4)).dtype == dtype


MEAN = numbers(4)


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (0, 0, 0), (0, None, 0), (None, None, 0)])
@pytest.mark.parametrize("f", [lambda x, w, b: F.batch_norm(x, None, None, w, b, True), lambda x, w, b: F.group_norm(x, 2, w, b),
                               lambda x, w, b: F.instance_norm(x, None, None, w, b), lambda x, w, b: F.layer_norm(x.mT, (4,), w, b),
                               lambda x, w, b: F.batch_norm(x, MEAN, MEAN ** 2, w, b)])  # fmt: skip
def test_many_examples_at_once(f, axes):
    shapes, cotangent = ((2, 4, 5), (4,), (4,)), numbers(3, *((2, 5, 4) if "layer" in str(f.__code__.co_names) else (2, 4, 5)))
    arrays = [numbers(*((3, *shape) if axis == 0 else shape)) for shape, axis in zip(shapes, axes, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", gn.BatchWarning)
        out, pullback = gn.vjp(gn.vmap(f, axes), *arrays)
    each = [gn.vjp(f, *(a if axis is None else a[k] for a, axis in zip(arrays, axes, strict=True))) for k in range(3)]
    np.testing.assert_allclose(out, np.stack([o.data for o, _ in each]), atol=1e-12)
    single = [pull(c) for (_, pull), c in zip(each, cotangent, strict=True)]
    for found, parts, axis in zip(pullback(cotangent), zip(*single, strict=True), axes, strict=True):
        parts = np.stack([p.data for p in parts])
        np.testing.assert_allclose(found, parts if axis == 0 else parts.sum(0), atol=1e-10)


def test_many_models_at_once():
    x, mean, var, w = numbers(2, 3), numbers(4, 3), numbers(4, 3) ** 2, numbers(4, 3)
    out = gn.vmap(lambda m, v, w: F.batch_norm(x, m, v, w))(mean, var, w)
    np.testing.assert_allclose(out, np.stack([F.batch_norm(x, *each) for each in zip(mean, var, w, strict=True)]), atol=1e-12)


def test_a_batch_of_batches_does_not_move_running_moments():
    x = numbers(3, 4, 2)
    with pytest.raises(ValueError, match="batch_norm: under vmap"):
        gn.vmap(lambda x: F.batch_norm(x, np.zeros(2), np.ones(2), training=True))(x)


def test_an_empty_batch():
    mean = np.ones(3)
    assert F.batch_norm(np.ones((0, 3)), mean, np.ones(3), training=True).shape == (0, 3)
    assert F.instance_norm(np.ones((0, 3, 4)), mean, np.ones(3)).shape == (0, 3, 4)
    assert F.layer_norm(np.ones((0, 3)), 3).shape == (0, 3)
    assert F.group_norm(np.ones((0, 4, 2)), 2).shape == (0, 4, 2)
    assert np.array_equal(mean, np.ones(3))
    check(lambda x, w: F.layer_norm(x, (3,), w), lambda x, w: TF.layer_norm(x, (3,), w), np.ones((0, 3)), np.ones(3), second=False)


# ---- layers ------------------------------------------------------------------------------------------------------------------------

LAYERS = [("BatchNorm1d", (3,), {}, (4, 3)), ("BatchNorm1d", (3,), {}, (4, 3, 5)),
          ("BatchNorm2d", (3,), {"momentum": None, "eps": 0.1}, (4, 3, 2, 5)), ("BatchNorm3d", (2,), {"bias": False}, (2, 2, 2, 3, 2)),
          ("BatchNorm2d", (3,), {"affine": False, "track_running_stats": False}, (2, 3, 2, 2)),
          ("InstanceNorm1d", (3,), {}, (2, 3, 5)), ("InstanceNorm1d", (3,), {"affine": True}, (3, 5)),
          ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 2, 5)), ("InstanceNorm3d", (2,), {}, (2, 2, 2, 3, 2)),
          ("GroupNorm", (2, 4), {}, (3, 4)), ("GroupNorm", (2, 4), {"affine": False}, (3, 4, 5)),
          ("GroupNorm", (4, 4), {"bias": False}, (3, 4, 2, 5)),
          ("LayerNorm", (5,), {}, (3, 5)), ("LayerNorm", ([2, 5],), {"bias": False, "eps": 0.1}, (3, 2, 5)),
          ("LayerNorm", (5,), {"elementwise_affine": False}, (5,)), ("RMSNorm", (5,), {}, (3, 5)), ("RMSNorm", ((2, 5),), {"eps": 0.1}, (3, 2, 5)),
          ("RMSNorm", (5,), {"elementwise_affine": False}, (3, 5)), ("LocalResponseNorm", (3,), {"alpha": 0.4, "k": 2.0}, (2, 4, 3))]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_layers(name, args, kwargs, shape, training):
    ours, theirs = getattr(gn.nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    kinds = {key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in theirs.state_dict().items()}
    assert {key: (t.shape, str(t.dtype)) for key, t in ours.state_dict().items()} == kinds
    theirs = theirs.double()
    for p in theirs.parameters():
        p.data = torch.tensor(numbers(*p.shape))
    if getattr(theirs, "running_mean", None) is not None:
        theirs(torch.tensor(numbers(*shape)))
    ours = ours.double()
    ours.train(training), theirs.train(training)
    if getattr(theirs, "momentum", 0) is not None and not (training and getattr(theirs, "track_running_stats", False)):
        check_layer(ours, theirs, numbers(*shape))
    else:  # calls change the moments: PyTorch's layer is called as often
        check_layer(ours, theirs, numbers(*shape), second=False)


@pytest.mark.parametrize("momentum", [0.1, 0.4, None])
def test_running_moments_of_several_batches(momentum):
    ours, theirs = gn.nn.BatchNorm1d(3, momentum=momentum), torch.nn.BatchNorm1d(3, momentum=momentum)
    for _ in range(3):
        x = numbers(5, 3, dtype=np.float32)
        ours(x), theirs(torch.tensor(x))
    for key, t in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], t.numpy(), rtol=2e-6, err_msg=key)
    assert ours.num_batches_tracked.dtype == np.int64
    x = numbers(5, 3, dtype=np.float32)
    np.testing.assert_allclose(ours.eval()(x).data, theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert int(ours.num_batches_tracked) == 3
    ours.reset_running_stats()
    assert not ours.running_mean.data.any() and (ours.running_var.data == 1).all() and int(ours.num_batches_tracked) == 0


def test_a_loaded_model_goes_on():
    theirs = torch.nn.BatchNorm2d(3)
    theirs(torch.tensor(numbers(2, 3, 4, 4, dtype=np.float32)))
    ours = gn.nn.BatchNorm2d(3)
    ours.load_state_dict({key: t.numpy() for key, t in theirs.state_dict().items()})
    x = numbers(2, 3, 4, 4, dtype=np.float32)
    np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.running_var.data, theirs.running_var.numpy(), rtol=1e-6)


def test_parameters_start_at_1_and_0():
    layer = gn.nn.GroupNorm(2, 4, dtype=np.float64)
    layer.weight.data[...] = layer.bias.data[...] = 7
    layer.reset_parameters()
    assert (layer.weight.data == 1).all() and not layer.bias.data.any() and layer.weight.dtype == np.float64


# ---- errors ------------------------------------------------------------------------------------------------------------------------

x = np.ones((2, 4, 3))
ERRORS = [
    (lambda: F.batch_norm(np.ones(3), None, None, training=True), ValueError, r"batch_norm: input must be \(N, C\)[^$]*\(3,\)"),
    (lambda: F.batch_norm(np.ones((1, 3)), None, None, training=True), ValueError, r"batch_norm: expected more than 1 value[^$]*\(1, 3\)"),
    (lambda: F.batch_norm(x, np.ones(3), np.ones(4)), ValueError, r"batch_norm: running_mean must be of shape \(4,\)[^$]*running_mean  \(3,\)"),
    (lambda: F.batch_norm(x, np.ones(4), np.ones(4), np.ones((4, 1))), ValueError, r"weight must be of shape \(4,\)[^$]*weight  \(4, 1\)"),
    (lambda: F.batch_norm(x, None, None), ValueError, "running_mean and running_var are None"),
    (lambda: F.batch_norm(x, None, None, training=True, eps=0.0), ValueError, "batch_norm: eps must be positive"),
    (lambda: F.batch_norm(np.ones((2, 3), int), None, None, training=True), TypeError, "batch_norm: input must hold real floating-point[^$]*int64"),
    (lambda: F.instance_norm(np.ones((2, 4))), ValueError, r"instance_norm: input must be \(N, C, ...\)"),
    (lambda: F.instance_norm(np.ones((2, 4, 1))), ValueError, "instance_norm: expected more than 1 spatial element"),
    (lambda: F.instance_norm(x, bias=np.ones(3)), ValueError, "instance_norm: bias must be of shape"),
    (lambda: F.group_norm(x, 3), ValueError, "group_norm: the 4 channels cannot be divided into num_groups=3"),
    (lambda: F.group_norm(x, 0), ValueError, "num_groups=0"),
    (lambda: F.group_norm(x, 2, np.ones(2)), ValueError, "group_norm: weight must be of shape"),
    (lambda: F.group_norm(np.ones((1, 2)), 2), ValueError, "group_norm: expected more than 1 value"),
    (lambda: F.layer_norm(x, (4,)), ValueError, r"layer_norm: normalized_shape=\(4,\) must be the last axes of input[^$]*\(2, 4, 3\)"),
    (lambda: F.layer_norm(x, ()), ValueError, r"normalized_shape=\(\)"),
    (lambda: F.layer_norm(x, (1, 2, 4, 3)), ValueError, "must be the last axes"),
    (lambda: F.layer_norm(x, (4, 3), np.ones(3)), ValueError, r"layer_norm: weight must be of normalized_shape=\(4, 3\)[^$]*weight  \(3,\)"),
    (lambda: F.rms_norm(x, 4), ValueError, r"rms_norm: normalized_shape=\(4,\)"),
    (lambda: F.local_response_norm(np.ones((2, 3)), 2), ValueError, "local_response_norm: input must be"),
    (lambda: F.local_response_norm(x, 0), ValueError, "size must be a whole number"),
    (lambda: gn.nn.BatchNorm1d(4)(np.ones((2, 4, 3, 3), "f")), ValueError, r"BatchNorm1d: input must be \(N, C\) or \(N, C, L\)[^$]*\(2, 4, 3, 3\)"),
    (lambda: gn.nn.BatchNorm2d(4)(x), ValueError, r"BatchNorm2d: input must be \(N, C, H, W\)"),
    (lambda: gn.nn.BatchNorm3d(4)(x), ValueError, "BatchNorm3d"),
    (lambda: gn.nn.BatchNorm1d(3)(x), ValueError, r"batch_norm: running_mean must be of shape \(4,\)"),
    (lambda: gn.nn.InstanceNorm2d(4)(np.ones((2, 3))), ValueError, r"InstanceNorm2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
    (lambda: gn.nn.InstanceNorm1d(3, affine=True)(x), ValueError, "has 4 channels, not num_features=3"),
    (lambda: gn.nn.GroupNorm(3, 4), ValueError, r"GroupNorm: num_channels \(4\) must be divisible by num_groups \(3\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "match"), ERRORS)
def test_errors(call, kind, match):
    with pytest.raises(kind, match=match):
        call()


def test_a_wrong_count_of_features_that_is_not_used():
    with pytest.warns(UserWarning, match="not num_features=3, which is not used"):
        gn.nn.InstanceNorm1d(3)(x)


def test_given_moments_lead_gradients_past_infinite_elements():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    x[0, 0, 0], x[1, 2, 3] = np.inf, np.nan
    mean, var, weight = np.zeros(3), np.array([1.0, 4.0, 0.25]), np.array([1.0, -2.0, 3.0])
    for w in (None, weight):
        ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        gn.nn.functional.batch_norm(ours, mean, var, w).sum().backward()
        torch.nn.functional.batch_norm(theirs, torch.tensor(mean), torch.tensor(var), None if w is None else torch.tensor(w)).sum().backward()
        close(ours.grad, theirs.grad, 1e-12, "gradient")


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_vmap_of_nothing_with_weights(shape):
    x, weight = np.ones((3, *shape)), np.ones((3, 4))
    out = gn.vmap(lambda x, weight: gn.nn.functional.layer_norm(x, (4,), weight))(x, weight)
    assert out.shape == x.shape


def test_first_values_again():
    norm = gn.nn.BatchNorm1d(2)
    norm(np.array([[1.0, 2.0], [3.0, 5.0]], np.float32))
    norm.weight.data[...] = 7
    norm.reset_parameters()
    assert [norm.running_mean.tolist(), norm.running_var.tolist(), norm.weight.tolist(), int(norm.num_batches_tracked)] == [[0, 0], [1, 1], [1, 1], 0]
