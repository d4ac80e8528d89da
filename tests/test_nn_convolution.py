"""Convolutions, their transposes, and patches: PyTorch's values and derivatives, for every option and shape."""

import numpy as np
import pytest
from as_torch import check, torch

import gradnerve as gn
from gradnerve.kernels import convolution as kernel
from gradnerve.kernels import winograd as winograd_kernel
from gradnerve.ops import convolution, winograd

F = gn.nn.functional
SPACE = {1: (9,), 2: (7, 6), 3: (5, 5, 4)}
OPTIONS = [
    {}, {"stride": 2}, {"padding": 1}, {"padding": "same"}, {"padding": "valid"}, {"dilation": 2}, {"groups": 2}, {"groups": 4},
    {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}, {"stride": 3, "padding": 2}, {"padding": "same", "dilation": 2},
]  # fmt: skip
TRANSPOSED = [
    {}, {"stride": 2}, {"padding": 1}, {"stride": 2, "output_padding": 1}, {"dilation": 2, "output_padding": 1}, {"groups": 2},
    {"stride": 3, "padding": 1, "output_padding": 2, "groups": 4, "dilation": 2},
]  # fmt: skip


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def both(name, **options):
    return lambda *xs: getattr(F, name)(*xs, **options), lambda *xs: getattr(torch.nn.functional, name)(*xs, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv(n, options):
    groups, kernel = options.get("groups", 1), (3, 2, 1)[:n]
    x, weight, bias = numbers(2, 4, *SPACE[n]), numbers(8, 4 // groups, *kernel, seed=1), numbers(8, seed=2)
    check(*both(f"conv{n}d", **options), x, weight, bias)
    check(*both(f"conv{n}d", **options), x[0], weight, second=False)


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv_transpose(n, options):
    groups, kernel = options.get("groups", 1), (3, 2, 4)[:n]
    x, weight, bias = numbers(2, 4, *(3, 2, 2)[:n]), numbers(4, 3, *kernel, seed=1), numbers(3 * groups, seed=2)
    check(*both(f"conv_transpose{n}d", **options), x, weight, bias)
    check(*both(f"conv_transpose{n}d", **options), x[0], weight, second=False)


def test_a_number_for_each_axis():
    x, weight = numbers(2, 3, 9, 8), numbers(4, 3, 2, 3, seed=1)
    check(*both("conv2d", stride=(2, 1), padding=(0, 2), dilation=(3, 1)), x, weight)
    check(*both("conv_transpose2d", stride=(2, 1), padding=(0, 2), dilation=(1, 2), output_padding=(1, 1)), x, numbers(3, 4, 2, 3))
    check(*both("conv2d"), x, numbers(4, 3, 1, 1))


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (1, 16, 7, 9), (3, 16, 5, 4), (2, 16, 3, 3)], ids=str)
@pytest.mark.parametrize("padding", [0, 1, (2, 0), "same"], ids=str)
def test_many_filters_of_three_by_three(shape, padding):
    x, weight, bias = numbers(*shape), numbers(16, 16, 3, 3, seed=1), numbers(16, seed=2)
    assert len(x) < winograd.kernels.threads() or winograd.serves(x, weight.shape, weight.dtype, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    check(*both("conv2d", padding=padding), x, weight, bias)
    check(*both("conv_transpose2d", padding=0 if padding == "same" else padding), x, weight, second=False)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_an_element_that_is_not_finite_reaches_the_results_that_it_belongs_to(bad):
    x, weight, y = numbers(2, 16, 8, 8), numbers(16, 16, 3, 3, seed=1), numbers(2, 16, 8, 8, seed=2)
    x[0, 3, 3, 3] = y[1, 2, 7, 0] = bad
    reached = np.zeros((2, 8, 8), bool)
    reached[0, 2:5, 2:5] = True
    assert np.array_equal(~np.isfinite(F.conv2d(x, weight, padding=1)).all(1), reached)
    back = convolution.conv_input(y, weight, (8, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    reached = np.zeros((2, 8, 8), bool)
    reached[1, 6:, :2] = True
    assert np.array_equal(~np.isfinite(back).all(1), reached)
    sums = convolution.conv_weight(x, numbers(2, 16, 8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert np.array_equal(~np.isfinite(sums).all((0, 2, 3)), np.arange(16) == 3)


@pytest.mark.parametrize("channels", [3, 16, 64])
def test_single_precision(channels):
    x, weight = (a.astype(np.float32) for a in (numbers(2, channels, 10, 10), numbers(channels, channels, 3, 3, seed=1)))
    found, wanted = F.conv2d(x, weight, padding=1), torch.nn.functional.conv2d(*map(torch.tensor, (x, weight)), padding=1).numpy()
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 2e-6 * np.abs(wanted).max()


def test_patches():
    x = numbers(2, 3, 6, 7)
    for options in ({}, {"dilation": 2}, {"padding": (1, 2)}, {"stride": (2, 3), "padding": 1, "dilation": (1, 2)}):
        columns = F.unfold(x, (2, 3), **options)
        check(*both("unfold", kernel_size=(2, 3), **options), x)
        check(*both("fold", output_size=(6, 7), kernel_size=(2, 3), **options), columns)
    check(*both("fold", output_size=(4, 4), kernel_size=2), numbers(8, 9))


GEOMETRIES = [  # spatial shape, filter, stride, padding, dilation
    ((9,), (3,), (2,), ((1, 2),), (2,)),
    ((5, 6), (2, 3), (1, 2), ((0, 0), (3, 3)), (1, 1)),
    ((5, 6), (5, 1), (3, 1), ((4, 4), (0, -1)), (1, 1)),
    ((3, 4, 5), (2, 2, 3), (1, 2, 1), ((1, 0), (0, 1), (5, 5)), (2, 1, 2)),
    ((40, 50), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation"), GEOMETRIES, ids=str)
def test_compiled_columns_are_the_references(size, kernel, stride, padding, dilation, dtype, monkeypatch):
    geometry = stride, padding, dilation
    x = numbers(3, 20, *size).astype(dtype)
    fast = convolution.columns(x, kernel, *geometry)
    back = convolution.spread(fast, size, kernel, *geometry)
    for name in ("columns", "spread"):
        monkeypatch.setattr(convolution.kernels, name, lambda *_: None)
    assert np.array_equal(fast, convolution.columns(x, kernel, *geometry))
    assert np.array_equal(back, convolution.spread(fast, size, kernel, *geometry))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize(("channels", "kernel", "stride"), [(4, (3, 2), 1), (4, (1, 1), 1), (4, (1, 1), 2), (96, (2, 3), 2)], ids=str)
def test_compiled_products_are_the_references(channels, kernel, stride, n, groups, dtype, monkeypatch):
    """Of few filters, which threads take image by image, and of so many that one product is shared."""
    x, weight = numbers(n, channels, 9, 8).astype(dtype), numbers(channels * 2, channels // groups, *kernel, seed=1).astype(dtype)
    geometry = (stride, stride), ((1, 0), (0, 2)), (1, 1), groups
    y = convolution.conv(x, weight, None, *geometry)

    def three():
        return (convolution.conv(x, weight, None, *geometry), convolution.conv_input(y, weight, x.shape[2:], *geometry),
                convolution.conv_weight(x, y, kernel, *geometry))  # fmt: skip

    fast = three()
    for name in ("convolve", "convolve_back", "sums"):
        monkeypatch.setattr(convolution.kernels, name, lambda *_: None)
    for found, wanted in zip(fast, three(), strict=True):
        assert found.dtype == dtype
        assert np.abs(found - wanted).max() <= 20 * np.finfo(dtype).eps * np.abs(wanted).max()


def test_the_same_bits_on_every_run():
    x, weight, y = (a.astype(np.float32) for a in (numbers(7, 16, 12, 12), numbers(16, 16, 3, 3, seed=1), numbers(7, 16, 12, 12, seed=2)))
    for geometry in (((1, 1), ((1, 1), (1, 1)), (1, 1), 1), ((1, 1), ((1, 1), (1, 1)), (1, 1), 2)):
        filters = weight[:, : 16 // geometry[3]]
        runs = [(convolution.conv(x, filters, None, *geometry), convolution.conv_weight(x, y, (3, 3), *geometry)) for _ in range(20)]
        assert all(np.array_equal(a, b) for run in runs for a, b in zip(run, runs[0], strict=True))


def test_per_example_filters_under_vmap():
    x, weight = numbers(3, 2, 4, 6, 6), numbers(3, 6, 2, 3, 3, seed=1)
    loss = lambda x, weight: (F.conv2d(x, weight, groups=2, padding=1) ** 2).sum()
    found = gn.vmap(gn.grad(loss, (0, 1)))(x, weight)
    for k in range(3):
        for g, wanted in zip(found, gn.grad(loss, (0, 1))(x[k], weight[k]), strict=True):
            assert np.allclose(g.data[k], wanted.data, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(numbers(4, 4), numbers(2, 1, 3, 3)), r"conv2d: input must be \(N, C, H, W\) or \(C, H, W\), not of 2 dimensions"),
        (lambda: F.conv2d(numbers(1, 3, 8, 8), numbers(4, 2, 3, 3)), r"input has 3 channels, and weight with groups=1 expects 2\n.*\(1, 3, 8, 8\)"),
        (lambda: F.conv2d(numbers(1, 4, 8, 8), numbers(5, 2, 3, 3), groups=2), "first axis of weight, 5, must be divisible by groups=2"),
        (lambda: F.conv2d(numbers(1, 2, 8, 8), numbers(5, 2, 3, 3), numbers(4)), r"bias must be of shape \(5,\)"),
        (lambda: F.conv2d(numbers(1, 2, 2, 8), numbers(5, 2, 3, 3)), "filters are larger than the padded input"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3, 3)), "weight must be"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3), stride=0), "stride must be at least 1, not 0"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3), padding=-1), "padding must be at least 0"),
        (lambda: F.conv2d(numbers(1, 2, 8, 8), numbers(5, 2, 3, 3), stride=(1, 2, 3)), "stride must be a whole number or 2 of them"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3), padding="full"), "'same', 'valid' or whole numbers, not 'full'"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3), padding="same", stride=2), "needs a stride of 1"),
        (lambda: F.conv1d(numbers(1, 2, 8), numbers(5, 2, 3), groups=0), "groups must be a positive whole number"),
        (lambda: F.conv_transpose1d(numbers(1, 3, 8), numbers(2, 5, 3)), "input has 3 channels, and weight with groups=1 expects 2"),
        (lambda: F.conv_transpose1d(numbers(1, 2, 8), numbers(2, 5, 3), output_padding=1), "output_padding must be smaller"),
        (lambda: F.conv_transpose1d(numbers(1, 2, 1), numbers(2, 5, 1), padding=1), "the result would be of size"),
        (lambda: F.unfold(numbers(1, 2, 2, 2), 3), "larger than the padded input"),
        (lambda: F.fold(numbers(1, 8, 5), (3, 3), 2), r"have 4 patches of 4 elements"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match=r"floating-point numbers only\n    input +\(1, 2, 8\) int64"):
        F.conv1d(np.ones((1, 2, 8), int), numbers(5, 2, 3))


def test_the_kernel_declines_what_does_not_fit():
    x, weight = np.ones((1, 4, 5)), np.ones((3, 4, 2))
    fits = [(1,), ((0, 0),), (1,), 1]
    assert kernel.convolve(x, weight, *fits).tolist() == [[[8.0] * 4] * 3]
    for k, wrong in [(0, (0,)), (0, (1, 1)), (1, ((0, 2**62),)), (2, (0,)), (3, 0), (3, 2)]:
        assert kernel.convolve(x, weight, *fits[:k], wrong, *fits[k + 1 :]) is None
    for x_, weight_ in [(x.astype("f4"), weight), (x.astype(int), weight.astype(int)), (x[:, :, :0], weight)]:
        assert kernel.convolve(x_, weight_, *fits) is None


IMAGES, FILTERS = np.ones((1, 2, 8, 8)), np.ones((16, 3, 2))


@pytest.mark.parametrize("call, message", [
    (lambda: winograd_kernel.product(np.ones((2, 3)), np.ones((4, 2))), "product: 3 columns and 4 rows"),
    (lambda: winograd_kernel.product(np.ones((2, 3)), np.ones((3, 2), "f4")), "not a 2-d array of float64: float32"),
    (lambda: winograd_kernel.product(np.ones((2, 3), int), np.ones((3, 2), int)), "not a 2-d array"),
    (lambda: winograd_kernel.convolve(IMAGES[0], FILTERS, 1, 1, 8, 8), "not a 4-d array"),
    (lambda: winograd_kernel.convolve(IMAGES, FILTERS[:, :, :1], 1, 1, 8, 8), "filters of shape .* for 2 channels"),
    (lambda: winograd_kernel.convolve(IMAGES, FILTERS, -1, 1, 8, 8), "-1 and 1 zeros in front"),
    (lambda: winograd_kernel.convolve(IMAGES, FILTERS, 1, 1, 8, 2**62), "images of 8 x"),
    (lambda: winograd_kernel.sums(IMAGES, np.ones((2, 3, 8, 8)), 1, 1), "sums: 1 and 2 images"),
])  # fmt: skip
def test_the_kernel_of_fast_convolution_checks_what_it_is_given(call, message):
    with pytest.raises(ValueError, match=message):
        call()
