"""Pooling against PyTorch: every function and layer, options, places, ties and NaN; and the kernels against their NumPy code."""

import re
from functools import partial
from itertools import product

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn
from gradnerve.kernels import pooling as kernels
from gradnerve.ops import pooling as ops

F, T = gn.nn.functional, torch.nn.functional
SIZES = {1: (11,), 2: (9, 12), 3: (6, 5, 8)}


def drawn(*shape, seed=0):
    """Numbers without ties."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape) + 0.01


def both(name, *args, **kwargs):
    """The same function there and here, with options."""
    return (lambda *xs: getattr(F, name)(*xs, *args, **kwargs)), (lambda *xs: getattr(T, name)(*xs, *args, **kwargs))


def inputs(n):
    """With examples and without."""
    return [drawn(2, 3, *SIZES[n]), drawn(3, *SIZES[n], seed=1)]


# ---- functions ---------------------------------------------------------------------------------------------------------------------

MAX = [(2,), (3, 2), (3, 2, 1), (3, 1, 1), (2, 3), (4, 3, 2), (3, 2, 1, 2), (2, 1, 1, 3), (2, 2, 0, 1, True), (3, 2, 1, 1, True), (3, 4, 0, 1, True)]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("args", MAX)
def test_max_pool(n, args):
    for x in inputs(n):
        check(*both(f"max_pool{n}d", *args), x, second=n == 1)
        check(*both(f"max_pool{n}d", *args, return_indices=True), x, second=False)


AVG = [(2,), (3, 2), (3, 2, 1), (3, 1, 1, False, False), (2, 3), (4, 3, 2), (2, 2, 0, True), (3, 2, 1, True), (3, 4, 1, True, False), (1, 2)]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("args", AVG)
def test_avg_pool(n, args):
    for x in inputs(n):
        check(*both(f"avg_pool{n}d", *args), x)


def test_different_options_along_the_axes():
    x, y = drawn(2, 2, *SIZES[2]), drawn(2, 2, *SIZES[3])
    check(*both("max_pool2d", (2, 3), (1, 2), (1, 0), (2, 1), return_indices=True), x)
    check(*both("max_pool2d", [4, 1]), x)
    check(*both("max_pool3d", (2, 1, 3), (1, 3, 2), (0, 0, 1), return_indices=True), y)
    check(*both("avg_pool2d", (2, 3), (1, 2), (1, 0), True, False), x)
    check(*both("avg_pool3d", (2, 1, 3), (1, 3, 2), (0, 0, 1)), y)
    check(*both("avg_pool2d", 3, 2, 1, divisor_override=5), x)
    check(*both("avg_pool3d", 3, 2, 1, divisor_override=-2), y)
    check(*both("lp_pool2d", 3, (2, 3), (2, 2)), np.abs(x))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 13])
def test_adaptive_pooling(n, size):
    for x in inputs(n):
        check(*both(f"adaptive_avg_pool{n}d", size), x, second=size < 5)
        check(*both(f"adaptive_max_pool{n}d", size), x, second=False)
        check(*both(f"adaptive_max_pool{n}d", size, True), x, second=False)


@pytest.mark.parametrize("name", ["adaptive_avg_pool", "adaptive_max_pool"])
def test_adaptive_sizes_by_axis(name):
    x, y = drawn(2, 2, *SIZES[2]), drawn(2, 2, *SIZES[3])
    for size in [(3, 4), (None, 4), (3, None), (None, None), (1, 5)]:
        check(*both(f"{name}2d", size), x)
    check(*both(f"{name}3d", (None, 2, 4)), y)
    check(*both(f"{name}3d", (1, 1, 2)), y)
    assert getattr(F, f"{name}2d")(x, None).shape == x.shape
    assert getattr(F, f"{name}2d")(x, (0, 3)).shape == (2, 2, 0, 3)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("p", [1, 2, 3, 2.5, np.inf, -np.inf])
def test_lp_pool(n, p):
    for x in inputs(n):
        for args in [(2,), (3, 2), (2, 2, True), (3, 2, True)]:
            check(*both(f"lp_pool{n}d", p, *args), np.abs(x) + 0.1 if p != 2 else x)


def test_lp_pool_of_zeros_has_the_gradient_zero():
    x = np.array([[0.0, 0.0, 3.0, 4.0]])
    with np.errstate(all="ignore"):
        check(*both("lp_pool1d", 2, 2), x, second=False)
        assert np.allclose(gn.grad(lambda x: F.lp_pool1d(x, 2, 2).sum())(x).data, [[0.0, 0.0, 0.6, 0.8]])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 3, "padding": 1}, {"kernel_size": 2, "stride": 3}])
def test_max_unpool(n, options):
    for x in inputs(n):
        pooled, places = getattr(T, f"max_pool{n}d")(torch.tensor(x), **options, return_indices=True)
        sizes = [{"output_size": x.shape[-n:]}, {"output_size": (7, 7, *x.shape[-n:])}]
        default = [(m - 1) * options.get("stride", 2) + options["kernel_size"] - 2 * options.get("padding", 0) for m in pooled.shape[-n:]]
        sizes += [{}] if int(places.max()) < np.prod(default) else []
        for size in sizes:
            ours, theirs = (partial(getattr(package, f"max_unpool{n}d"), indices=indices, **options, **size)
                            for package, indices in ((F, gn.asarray(places.numpy())), (T, places)))  # fmt: skip
            check(ours, theirs, pooled.numpy())


def test_of_places_that_come_twice_the_last_value_is_kept():
    x, places = np.array([[1.0, 2.0, 3.0]]), np.array([[1, 1, 4]])
    check(lambda x: F.max_unpool1d(x, places, 2), lambda x: T.max_unpool1d(x, torch.tensor(places), 2), x)
    assert F.max_unpool1d(x, places.astype(np.int32), 2).tolist() == [[0, 2, 0, 0, 3, 0]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "sizes"), [(2, {"output_size": 4}), (2, {"output_size": (5, 7)}), (2, {"output_ratio": (0.5, 0.6)}),
                                          (2, {"output_size": (1, 1)}),
                                          (3, {"output_size": (3, 2, 5)}), (3, {"output_ratio": (0.5, 0.5, 0.6)})])  # fmt: skip
def test_fractional_max_pool(n, sizes, dtype):
    for seed, x in enumerate(inputs(n)):
        lead = (1,) * (4 - x.ndim + n - 2) + x.shape[:-n]
        samples = np.random.default_rng(seed).random((*lead[-2:], n)).astype(dtype)
        ours, theirs = (partial(getattr(package, f"fractional_max_pool{n}d"), kernel_size=(2, 3, 2)[:n], **sizes, return_indices=True,
                                _random_samples=numbers) for package, numbers in ((F, samples), (T, torch.tensor(samples))))  # fmt: skip
        if dtype == np.float64:
            check(ours, theirs, x)
        else:
            assert np.array_equal(ours(x.astype(dtype))[1], theirs(torch.tensor(x.astype(dtype)))[1].numpy())


def test_fractional_max_pool_draws_from_a_generator():
    x = drawn(2, 3, *SIZES[2])
    one, same = (F.fractional_max_pool2d(x, 2, 4, generator=np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, same)
    gn.manual_seed(5)
    one = gn.nn.FractionalMaxPool2d(2, output_size=4)(x)
    gn.manual_seed(5)
    assert np.array_equal(F.fractional_max_pool2d(x, 2, 4), one)
    assert not np.array_equal(F.fractional_max_pool2d(x, 2, 4), one)


# ---- ties, NaN and infinities ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_first_of_equal_maxima_and_the_last_nan(dtype):
    rng = np.random.default_rng(0)
    for seed, size in enumerate([(16,), (7, 9), (4, 5, 6)] * 3):
        n = len(size)
        x = rng.integers(0, 3, (2, 2, *size)).astype(dtype)
        x[rng.random(x.shape) < 0.15] = [np.nan, -np.inf, np.inf][seed // 3]
        for args in [(2,), (3, 2, 1), (3, 1, 1, 2), (2, 3, 1, 1, True)]:
            out, places = getattr(F, f"max_pool{n}d")(x, *args, return_indices=True)
            theirs = torch.tensor(x, requires_grad=True)
            values, indices = getattr(T, f"max_pool{n}d")(theirs, *args, return_indices=True)
            assert np.array_equal(out, values.detach().numpy(), equal_nan=True)
            assert np.array_equal(places, indices.numpy())
            values.backward(torch.ones_like(values))
            g = gn.grad(lambda x, args=args, n=n: (getattr(F, f"max_pool{n}d")(x, *args) * np.ones((), dtype)).sum())(x)
            assert np.array_equal(g.data, theirs.grad.numpy())


def test_infinities_stay_in_their_windows():
    x = drawn(1, 2, 9, 12)
    x[0, 0, 4, 4], x[0, 1, 2, 2] = np.inf, np.nan
    for ours, theirs in [both("avg_pool2d", 3, 2, 1), both("adaptive_avg_pool2d", (4, 5)), both("avg_pool2d", 2)]:
        assert np.allclose(ours(x), theirs(torch.tensor(x)).numpy(), equal_nan=True)


def test_what_is_not_the_largest_contributes_nothing():
    """An infinite derivative of an element that no window has taken is not multiplied by 0."""
    with np.errstate(all="ignore"):
        g = gn.grad(lambda x: F.max_pool1d(np.sqrt(x), 2).sum())(np.array([[0.0, 4.0]]))
        behind = gn.grad(lambda x: np.where(True, np.sqrt(F.max_pool1d(x, 2)), 0).sum())(np.array([[-1.0, 0.0]]))
    assert g.data.tolist() == [[0.0, 0.25]]
    assert behind.data.tolist() == [[0.0, np.inf]]


def test_indices_may_be_written_to():
    x = gn.Tensor(drawn(2, 3, 8), requires_grad=True)
    out, places = F.max_pool1d(x, 2, return_indices=True)
    expected = gn.grad(lambda x: F.max_pool1d(x, 2).sum())(x.data)
    places.data[...] = 0
    out.sum().backward()
    assert np.array_equal(x.grad, expected.data)


def test_forward_mode():
    x, v = drawn(2, 3, 9, 12), drawn(2, 3, 9, 12, seed=1)
    for f in [lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.lp_pool2d(x, 2, 2)]:
        expected = (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6
        assert np.allclose(gn.jvp(f, (x,), (v,))[1].data, expected, rtol=1e-7, atol=1e-7)


def test_whole_numbers_and_half_precision():
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 8, 8))
    for dtype in (np.int64, np.int8, np.float16):
        out, places = F.max_pool2d(x.astype(dtype), 3, 2, 1, return_indices=True)
        theirs, indices = T.max_pool2d(torch.tensor(x.astype(float)), 3, 2, 1, return_indices=True)
        assert out.dtype == dtype
        assert np.array_equal(out, theirs.numpy())
        assert np.array_equal(places, indices.numpy())


# ---- kernels -----------------------------------------------------------------------------------------------------------------------


def windows():
    for n, size in SIZES.items():
        for kernel, stride, padding, dilation, ceil in product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)):
            if 2 * padding <= kernel and min(ops.window_count(m, kernel, stride, padding, dilation, ceil) for m in size) > 0:
                yield ops.sliding(size, (kernel,) * n, (stride,) * n, (padding,) * n, (dilation,) * n, ceil)
        yield from (ops.dividing(size, (m,) * n) for m in (0, 1, 2, 3, 5, 7, 12))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kernels_give_the_bits_of_numpy(dtype):
    rng = np.random.default_rng(0)
    for w in windows():
        x, g = (rng.normal(size=(2, 3, *shape)).round(1).astype(dtype) for shape in (w.size, w.shape))
        places = ops.max_places.function(x, w)
        pairs = [(kernels.max_places(x, w), places)]
        pairs += [(kernels.take_planes(x, places, len(w.size)), ops.take_planes.function(x, places, len(w.size)))]
        pairs += [(kernels.put_planes(g, places, w.size, adds), ops.put_planes.function(g, places, w.size, adds)) for adds in (False, True)]
        if set(w.step) == {1}:
            pairs += [(kernels.window_sum(x, w), ops.window_sum.function(x, w)), (kernels.window_spread(g, w), ops.window_spread.function(g, w))]
        for fast, slow in pairs:
            assert fast.dtype == slow.dtype
            assert np.array_equal(fast, slow)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_inputs_in_threads(dtype):
    """More planes than one thread takes; and not contiguous."""
    x = drawn(30, 64, 64, 4).astype(dtype).transpose(3, 0, 1, 2)
    calls = [("max_pool2d", (2,)), ("max_pool2d", (3, 2, 1)), ("avg_pool2d", (2,)), ("avg_pool2d", (3, 1, 1)), ("adaptive_avg_pool2d", (7,))]
    for name, args in calls:
        ours, theirs = both(name, *args)
        t, leaf = torch.tensor(x.copy(), requires_grad=True), gn.Tensor(x, requires_grad=True)
        out, expected = ours(leaf), theirs(t)
        seed = np.random.default_rng(0).normal(size=out.shape).astype(dtype)
        out.backward(seed)
        expected.backward(torch.tensor(seed))
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        assert np.allclose(out.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
        assert np.allclose(leaf.grad, t.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_kernels_decline():
    w = ops.sliding((4,), (2,), (2,), (0,), (1,), False)
    x = np.arange(8.0).reshape(2, 4)
    places = np.array([[0, 3], [1, 2]])
    assert kernels.max_places(x.astype(np.float16), w) is kernels.max_places(x[:, :3], w) is kernels.max_places([1.0], w) is None
    assert kernels.take_planes(x, places + 2, 1) is kernels.take_planes(x, -places, 1) is kernels.take_planes(x[:1], places, 1) is None
    assert kernels.put_planes(x[:, :3], places, (4,)) is kernels.put_planes(x[:, :2], places, (3,)) is None
    assert kernels.window_sum(x.astype(int), w) is kernels.window_spread(x, w) is None
    assert kernels.max_places(x[:0], w).shape == (0, 2)


def test_no_examples():
    x = gn.Tensor(np.zeros((0, 3, 8, 8)), requires_grad=True)
    for f in [F.max_pool2d, F.avg_pool2d, F.adaptive_max_pool2d, F.adaptive_avg_pool2d, lambda x, k: F.lp_pool2d(x, 2, k),
              lambda x, k: F.fractional_max_pool2d(x, k, 4), lambda x, k: F.max_unpool2d(x, np.zeros(x.shape, int), k)]:  # fmt: skip
        f(x, 2).sum().backward()
        assert x.grad.shape == x.shape


# ---- under vmap --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    lambda x: F.lp_pool2d(x, 2, 2), lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.fractional_max_pool2d(x, 2, 4, _random_samples=np.full((2, 3, 2), 0.3)),
])  # fmt: skip
def test_vmap_is_a_loop(f, recwarn):
    x = drawn(4, 2, 3, 9, 12)
    loop = np.stack([f(part) for part in x])
    assert np.array_equal(gn.vmap(f)(x).data, loop)
    assert np.array_equal(gn.vmap(gn.grad(lambda x: (f(x) ** 2).sum()))(x).data, gn.grad(lambda x: sum((f(part) ** 2).sum() for part in x))(x).data)
    jacobian = gn.jacobian(lambda x: f(x)[0, 0, 0])(x[0])
    assert np.allclose(jacobian.data[-1], gn.grad(lambda x: f(x)[0, 0, 0, -1])(x[0]).data)
    assert not recwarn.list


# ---- layers ------------------------------------------------------------------------------------------------------------------------

LAYERS = [("MaxPool", (2,), {}), ("MaxPool", (3, 2, 1), {"ceil_mode": True}), ("MaxPool", (3,), {"dilation": 2}), ("AvgPool", (2,), {}),
          ("AvgPool", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}), ("AdaptiveMaxPool", (3,), {}), ("AdaptiveAvgPool", (3,), {}),
          ("LPPool", (2, 3), {}), ("LPPool", (2, 2), {"stride": 1, "ceil_mode": True})]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(("name", "args", "options"), LAYERS)
def test_layers(name, args, options, n):
    ours, theirs = (getattr(package.nn, f"{name}{n}d")(*args, **options) for package in (gn, torch))
    assert repr(ours) == repr(theirs)
    assert {key for key in vars(theirs) if not key.startswith("_")} <= {*vars(ours)}
    check_layer(ours, theirs, drawn(2, 3, *SIZES[n]), second=False)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_layers_of_places(n):
    x = drawn(2, 3, *SIZES[n])
    kinds = [("MaxPool", (2, 0, 1, True)), ("MaxUnpool", ())]
    layers = [[getattr(package.nn, f"{name}{n}d")(2, *rest) for name, rest in kinds] for package in (gn, torch)]
    assert [*map(repr, layers[0])] == [*map(repr, layers[1])]
    ours, theirs = ((lambda x, pool=pool, back=back: back(*pool(x), output_size=x.shape)) for pool, back in layers)
    check(ours, theirs, x)


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_layers(n):
    x, samples = drawn(2, 3, *SIZES[n]), np.random.default_rng(0).random((2, 3, n))
    for options in [{"output_size": 3}, {"output_ratio": 0.5, "return_indices": True}]:
        name = f"FractionalMaxPool{n}d"
        ours = getattr(gn.nn, name)(2, **options, _random_samples=samples)
        theirs = getattr(torch.nn, name)(2, **options, _random_samples=torch.tensor(samples))
        assert repr(ours) == repr(theirs)
        assert ours.output_size == theirs.output_size
        assert ours.output_ratio == theirs.output_ratio
        check_layer(ours, theirs, x, second=False)
    assert getattr(gn.nn, name)(2, output_size=3).state_dict() == {}


# ---- errors ------------------------------------------------------------------------------------------------------------------------

x1, x2 = np.zeros((2, 3, 6)), np.zeros((2, 3, 6, 6))
ERRORS = [
    (lambda: F.max_pool2d(np.zeros((6, 6)), 2), gn.ShapeError, r"max_pool2d: input must be .* or \(C, H, W\), not of 2 axes\s*input  \(6, 6\)"),
    (lambda: F.avg_pool1d(x2, 2), gn.ShapeError, r"avg_pool1d: input must be \(N, C, L\)"),
    (lambda: F.adaptive_avg_pool3d(np.zeros((2, 2, 2)), 2), gn.ShapeError, r"adaptive_avg_pool3d: input must be \(N, C, D, H, W\)"),
    (lambda: F.max_pool2d(np.zeros((2, 0, 6, 6)), 2), gn.ShapeError, "max_pool2d: input has no elements"),
    (lambda: F.max_pool2d(x2, 7), gn.ShapeError, r"max_pool2d: a window of \(7, 7\) elements is larger than the input of shape \(2, 3, 6, 6\)"),
    (lambda: F.max_pool1d(x1, 4, dilation=2), gn.ShapeError, r"max_pool1d: a window of \(4,\) elements with dilation=\(2,\)"),
    (lambda: F.max_pool2d(x2, 3, padding=2), ValueError, r"padding must be .* half of the window of \(3, 3\) elements, not \(2, 2\)"),
    (lambda: F.avg_pool2d(x2, 3, padding=-1), ValueError, "avg_pool2d: padding must be"),
    (lambda: F.max_pool1d(np.zeros((1, 1, 2)), 2, padding=1, dilation=3), gn.ShapeError, "elements of the padding only"),
    (lambda: F.max_pool2d(x2, 2, stride=0), ValueError, r"max_pool2d: stride must be at least 1, not \(0, 0\)"),
    (lambda: F.max_pool2d(x2, 0), ValueError, "max_pool2d: kernel_size must be at least 1"),
    (lambda: F.max_pool2d(x2, 2, dilation=0), ValueError, "max_pool2d: dilation must be at least 1"),
    (lambda: F.max_pool2d(x2, (2, 2, 2)), ValueError, "max_pool2d: kernel_size must be a whole number or 2 of them"),
    (lambda: F.avg_pool2d(x2, 2.5), ValueError, "avg_pool2d: kernel_size must be a whole number or 2 of them"),
    (lambda: F.avg_pool2d(x2, 2, divisor_override=0), ValueError, "avg_pool2d: divisor_override must not be 0"),
    (lambda: F.max_pool2d(x2 + 0j, 2), TypeError, "max_pool2d: input must hold real numbers"),
    (lambda: F.lp_pool2d(x2, 0, 2), ValueError, "lp_pool2d: norm_type must not be 0"),
    (lambda: F.adaptive_max_pool2d(x2, (2, 2, 2)), gn.ShapeError, r"adaptive_max_pool2d: output_size must be one number or 2, not \(2, 2, 2\)"),
    (lambda: F.adaptive_avg_pool2d(x2, -1), ValueError, "adaptive_avg_pool2d: output_size must be at least 0"),
    (lambda: F.max_unpool2d(x2, np.full(x2.shape, 144), 2), IndexError, r"max_unpool2d: indices holds 144; .* size \(12, 12\), .* 0 to 143"),
    (lambda: F.max_unpool2d(x2, np.full(x2.shape, -1), 2), IndexError, "indices holds -1"),
    (lambda: F.max_unpool2d(x2, np.zeros((2, 3, 6, 5), int), 2), gn.ShapeError, "indices must have the shape of input"),
    (lambda: F.max_unpool2d(x2, x2, 2), TypeError, "max_unpool2d: indices must be whole numbers"),
    (lambda: F.max_unpool2d(x2, x2.astype(int), 2, output_size=(14, 12)), ValueError, r"stride of \(2, 2\) away from \(12, 12\), not \(14, 12\)"),
    (lambda: F.max_unpool1d(x1[..., :1], x1[..., :1].astype(int), 2, padding=1), ValueError, r"the size \(0,\)"),
    (lambda: F.fractional_max_pool2d(x2, 3, 5), gn.ShapeError, r"fractional_max_pool2d: \(5, 5\) windows of \(3, 3\) elements do not fit"),
    (lambda: F.fractional_max_pool2d(x2, 3), ValueError, "fractional_max_pool2d: takes either an output_size or an output_ratio"),
    (lambda: F.fractional_max_pool3d(x2, 2, output_ratio=1.5), ValueError, "between 0 and 1, not 1.5"),
    (lambda: F.fractional_max_pool2d(x2, 2, 3, _random_samples=np.zeros((2, 3, 3))), gn.ShapeError, r"_random_samples must be of shape \(2, 3, 2\)"),
    (lambda: gn.nn.FractionalMaxPool2d(2), ValueError, "FractionalMaxPool2d: takes either"),
    (lambda: gn.nn.FractionalMaxPool3d(2, output_ratio=(0.5, 2, 1)), ValueError, "FractionalMaxPool3d: output_ratio must be"),
    (lambda: gn.nn.MaxUnpool2d((2, 2, 2)), ValueError, "MaxUnpool2d: kernel_size must be a whole number or 2"),
]


@pytest.mark.parametrize("k", range(len(ERRORS)))
def test_errors(k):
    call, kind, pattern = ERRORS[k]
    with pytest.raises(kind) as caught:
        call()
    assert re.search(pattern, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize("kernel, size", [(0, 1), (2, 0)])
def test_fractional_pooling_of_nothing(kernel, size):
    with pytest.raises(ValueError, match="at least 1"):
        gn.nn.functional.fractional_max_pool2d(np.ones((1, 4, 4)), kernel, output_size=size)
