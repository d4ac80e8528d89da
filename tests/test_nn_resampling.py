"""Interpolation and sampling at a grid: PyTorch's values and derivatives for every mode, option and rank, and errors."""

from itertools import product

import numpy as np
import pytest
from as_torch import check, torch

import gradnerve as gn
from gradnerve.kernels import resampling as kernel
from gradnerve.kernels import sampling
from gradnerve.ops.resampling import Taps, picked
from gradnerve.ops.sampling import blend_pixels, match_pixels, spread_pixels

F, T = gn.nn.functional, torch.nn.functional
LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def both(**options):
    return lambda x: F.interpolate(x, **options), lambda x: T.interpolate(x, **options)


def same(x, **options):
    """The values are PyTorch's."""
    ours, theirs = F.interpolate(x, **options), T.interpolate(torch.from_numpy(x), **options).numpy()
    np.testing.assert_allclose(ours, theirs, 1e-10 if x.dtype == np.float64 else 1e-5, 1e-12, err_msg=f"{x.shape} {options}")
    assert ours.dtype == theirs.dtype


# --- interpolation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizing", [{"size": 6}, {"size": 2}, {"scale_factor": 2}, {"scale_factor": 0.6}, {"scale_factor": 1.7},
                                    {"scale_factor": 1.7, "recompute_scale_factor": True}], ids=str)  # fmt: skip
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "linear", "bicubic"])
def test_interpolate(mode, sizing):
    for ndim in (4,) if mode == "bicubic" else (3, 4, 5):
        name = LINEAR[ndim] if mode == "linear" else mode
        for align in (None, False, True) if mode in ("linear", "bicubic") else (None,):
            check(*both(mode=name, align_corners=align, **sizing), numbers(2, 3, *(5, 4, 3)[: ndim - 2]), second=align is None)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("sizing", [{"size": (3, 4)}, {"size": (9, 2)}, {"scale_factor": (0.6, 0.5)}, {"scale_factor": (1, 2.3)}], ids=str)
def test_antialias(mode, sizing):
    for align in (False, True)[: 1 + (mode != "lanczos")]:
        check(*both(mode=mode, antialias=True, align_corners=align, **sizing), numbers(2, 2, 7, 6), second=not align)


@pytest.mark.parametrize(("mode", "options"), [
    *((mode, {}) for mode in ("nearest", "nearest-exact", "area")),
    *((mode, {"align_corners": align}) for mode in ("bilinear", "bicubic") for align in (True, False)),
    *((mode, {"align_corners": align, "antialias": True}) for mode in ("bilinear", "bicubic") for align in (True, False)),
    ("lanczos", {"antialias": True}),
], ids=str)  # fmt: skip
def test_every_size_is_interpolated_as_pytorch_does(mode, options):
    for n, m in product((1, 2, 3, 5, 8, 13), (1, 2, 3, 4, 7, 8, 11, 16, 26)):
        x = numbers(1, 2, n, 4).astype(np.float32 if "nearest" in mode else np.float64)  # of doubles, PyTorch's gradient may be that of others
        same(x, size=(m, 3), mode=mode, **options)
        for recompute in (None, True):
            same(x, scale_factor=(m / n * 1.01, 0.8), mode=mode, recompute_scale_factor=recompute, **options)


def test_nearest_rounds_as_pytorch_does():
    """Which pixel is nearest is decided in single precision, also in PyTorch's gradient for doubles."""
    for n, m in product(range(1, 25), range(1, 40)):
        x, weights = torch.arange(n, dtype=torch.float64)[None, None].requires_grad_(), np.arange(1.0, m + 1)
        for mode in ("nearest", "nearest-exact"):
            (expected,) = torch.autograd.grad((T.interpolate(x, m, mode=mode) * torch.from_numpy(weights)).sum(), x)
            found = gn.grad(lambda x, mode=mode, m=m, w=weights: (F.interpolate(x, m, mode=mode) * w).sum())(x.detach().numpy())
            np.testing.assert_array_equal(np.asarray(found), expected.numpy(), err_msg=f"{mode} {n} {m}")


def test_interpolation_keeps_the_dtype():
    x = numbers(1, 2, 5, 4).astype(np.float32)
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        out = F.interpolate(x, (7, 3), mode=mode)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, T.interpolate(torch.from_numpy(x), (7, 3), mode=mode).numpy(), 1e-5, 1e-5)
    images = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(F.interpolate(images, scale_factor=2), T.interpolate(torch.from_numpy(images), scale_factor=2).numpy())


def test_one_bad_pixel_stays_where_it_is():
    x = np.ones((1, 1, 6, 6))
    x[0, 0, 0, 0] = np.nan
    for mode in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_array_equal(np.isnan(F.interpolate(x, 12, mode=mode)), T.interpolate(torch.from_numpy(x), 12, mode=mode).isnan().numpy())


def test_interpolation_under_vmap_is_that_of_each_example():
    xs = numbers(3, 1, 2, 5, 4)
    upsampled = lambda x: F.interpolate(x, (7, 3), mode="bicubic", antialias=True)
    for function in (upsampled, gn.grad(lambda x: (upsampled(x) ** 3).sum())):
        np.testing.assert_allclose(np.asarray(gn.vmap(function)(xs)), np.stack([np.asarray(function(x)) for x in xs]))


def test_interpolation_is_recorded_as_one_operation():
    x = gn.Tensor(numbers(1, 2, 5, 4, 3), requires_grad=True)
    (only,) = F.interpolate(x, scale_factor=2, mode="trilinear")._prev
    assert only is x


@pytest.mark.parametrize(("shape", "options", "error", "says"), [
    ((1, 2, 3), {}, ValueError, "one of size and scale_factor must be given, not neither"),
    ((1, 2, 3), {"size": 2, "scale_factor": 2}, ValueError, "not both"),
    ((1, 2, 3), {"size": (2, 3)}, ValueError, r"size must be a number or 1 of them, one for each axis of the images, not \(2, 3\)"),
    ((1, 2, 3, 4), {"scale_factor": (2.0,)}, ValueError, "scale_factor must be a number or 2 of them"),
    ((1, 2, 3), {"size": 2.5}, TypeError, "size must hold whole numbers"),
    ((1, 2, 3), {"scale_factor": -1}, ValueError, "scale_factor must be greater than 0, not -1"),
    ((1, 2, 3), {"scale_factor": 0.1}, ValueError, r"at least one pixel.*size \(0,\)"),
    ((1, 2, 0), {"size": 2}, ValueError, r"at least one pixel[^$]*input  \(1, 2, 0\)"),
    ((1, 2, 3), {"size": 2, "mode": "bilinear"}, ValueError, r"mode 'bilinear' takes input of 4 axes, \(N, C, ...\); it has 3"),
    ((1, 2), {"size": 2}, ValueError, "takes input of 3 or 4 or 5 axes"),
    ((1, 2, 3), {"size": 2, "mode": "cubic"}, ValueError, "mode must be one of 'nearest', .*, not 'cubic'"),
    ((1, 2, 3), {"size": 2, "align_corners": False}, ValueError, "mode 'nearest' takes no align_corners"),
    ((1, 2, 3), {"size": 2, "mode": "linear", "antialias": True}, ValueError, "antialias is for the modes"),
    ((1, 2, 3, 4), {"size": 2, "mode": "lanczos"}, ValueError, "needs antialias=True"),
    ((1, 2, 3), {"size": 2, "recompute_scale_factor": True}, ValueError, "recompute_scale_factor goes with scale_factor"),
])  # fmt: skip
def test_interpolation_that_does_not_fit_is_refused(shape, options, error, says):
    with pytest.raises(error, match="interpolate: .*" + says):
        F.interpolate(np.ones(shape), **options)


def test_whole_numbers_have_nothing_between_them():
    with pytest.raises(TypeError, match="mode 'linear' takes floats, not int64"):
        F.interpolate(np.ones((1, 1, 3), int), 4, mode="linear")


def test_the_kernel_gives_what_numpy_gives():
    rng = np.random.default_rng(0)
    for n, m in ((5, 9), (9, 5), (1, 4), (6, 1)):
        counts = rng.integers(0, 4, m)
        some = Taps(n, np.concatenate([[0], np.cumsum(counts)]), rng.integers(0, n, counts.sum()), rng.normal(size=counts.sum()))
        one = picked(n, rng.integers(0, n, m))
        for taps, dtype in product((some, some.transposed, one, one.transposed), (np.float32, np.float64)):
            for shape, axis in (((3, taps.size), 1), ((taps.size, 4), 0), ((2, taps.size, 3), 1), ((0, taps.size), 1), ((2, taps.size, 0), 1)):
                x = rng.normal(size=shape).astype(dtype)
                found, expected = kernel.along(x, taps, axis), taps.along(x, axis)
                assert found.dtype == expected.dtype == dtype
                assert found.shape == expected.shape
                np.testing.assert_allclose(found, expected, rtol=1e3 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)


def test_the_kernel_declines_what_it_does_not_know():
    taps = picked(3, np.array([0, 2]))
    for x, axis in ((np.ones(3, int), 0), (np.ones(3, ">f8"), 0), (np.ones(4), 0), (np.ones(3), 1), ([1.0] * 3, 0)):
        assert kernel.along(x, taps, axis) is None
    taps.starts = np.array([0, 1, 5])
    assert kernel.along(np.ones(3), taps, 0) is None
    with pytest.raises(IndexError, match="places must be from 0 to 2, not 0 to 3"):
        picked(3, np.array([0, 3]))


def test_the_kernels_of_pixels_give_what_numpy_gives():
    """Complex numbers run in NumPy."""
    rng = np.random.default_rng(0)
    for n, channels, pixels, taps, results in [(1, 1, 4, 1, 3), (2, 3, 5, 4, 2), (8, 4, 60, 9, 300), (2, 2, 3, 0, 4), (0, 2, 3, 2, 1)]:
        x, y, weights = (rng.normal(size=(n, *shape)) for shape in ((channels, pixels), (channels, results), (taps, results)))
        places = rng.integers(-1, pixels, (n, taps, results))
        for arrays, function, ours in [((x, weights, places), sampling.blend, blend_pixels), ((y, x, places), sampling.match, match_pixels),
                                     ((y, weights, places, pixels), sampling.spread, spread_pixels)]:  # fmt: skip
            expected = ours(*(a.astype(complex) for a in arrays[:2]), *arrays[2:]).real
            for dtype in (np.float32, np.float64):
                found = function(*(a.astype(dtype) for a in arrays[:2]), *arrays[2:])
                assert found.dtype == dtype
                np.testing.assert_allclose(found, expected, rtol=1e3 * np.finfo(dtype).eps, atol=1e2 * np.finfo(dtype).eps)


def test_the_kernels_of_pixels_decline_what_they_do_not_know():
    x, weights, places = np.ones((2, 3, 5)), np.ones((2, 4, 6)), np.zeros((2, 4, 6), int)
    assert sampling.blend(x, weights, places).shape == (2, 3, 6)
    for bad in ((x.astype(int), weights, places), (x, weights.astype(np.float32), places), (x[0], weights, places), (x, weights[:1], places),
                (x[:1], weights, places), (x, weights, places + 5), (x, weights, places - 2), (x, weights, places.astype(np.int32))):  # fmt: skip
        assert sampling.blend(*bad) is None
    assert sampling.spread(np.ones((2, 3, 6)), weights, places + 4, 4) is None
    assert sampling.match(np.ones((2, 2, 6)), x, places) is None


# --- grids -----------------------------------------------------------------------------------------------------------

GRIDS = [(mode, padding, align) for mode in ("bilinear", "nearest", "bicubic") for padding in ("zeros", "border", "reflection")
         for align in (False, True)]  # fmt: skip


@pytest.mark.parametrize(("mode", "padding", "align"), GRIDS)
def test_grid_sample(mode, padding, align):
    sample = lambda f: lambda x, grid: f.grid_sample(x, grid, mode, padding, align)
    for shape in [(2, 3, 4, 5), (1, 2, 1, 3), (2, 1, 3, 4, 2)][: 2 if mode == "bicubic" else 3]:
        axes = len(shape) - 2
        grid = np.random.default_rng(1).uniform(-2.3, 2.3, (shape[0], *(3, 4, 2)[:axes], axes))
        check(sample(F), sample(T), numbers(*shape), grid)
        at_edges = np.random.default_rng(2).choice([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], grid.shape)
        check(sample(F), sample(T), numbers(*shape), at_edges, second=False)


@pytest.mark.parametrize(("mode", "padding", "align"), GRIDS)
def test_a_grid_that_is_no_number_gives_what_pytorch_gives(mode, padding, align):
    grid = np.zeros((1, 1, 4, 2))
    grid[0, 0, :3, 0] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        ours = F.grid_sample(numbers(1, 1, 3, 4), grid, mode, padding, align)
    np.testing.assert_allclose(ours, T.grid_sample(torch.from_numpy(numbers(1, 1, 3, 4)), torch.from_numpy(grid), mode, padding, align).numpy())


def test_no_images_and_no_places():
    for images, places in ((0, 3), (2, 0)):
        for mode in ("bilinear", "nearest", "bicubic"):
            assert F.grid_sample(np.ones((images, 2, 4, 5)), np.ones((images, places, 2, 2)), mode).shape == (images, 2, places, 2)
    assert F.interpolate(np.ones((0, 2, 4, 5)), 3, mode="bilinear").shape == (0, 2, 3, 3)


def test_what_is_outside_of_an_image_does_not_spoil_it():
    x, grid = np.full((1, 1, 2, 2), np.inf), np.full((1, 1, 1, 2), 7.0)
    assert F.grid_sample(x, grid, align_corners=False).item() == 0


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
@pytest.mark.parametrize("align", [None, False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 3), (2, 1, 3, 1, 4)], ids=str)
def test_affine_grid(size, align):
    axes = len(size) - 2
    theta = lambda f: lambda theta: f.affine_grid(theta, size, align_corners=bool(align))
    check(theta(F), theta(T), numbers(2, axes, axes + 1))
    np.testing.assert_array_equal(F.affine_grid(numbers(2, axes, axes + 1), size, align), theta(F)(numbers(2, axes, axes + 1)))


def test_a_spatial_transformer_is_differentiable_by_all():
    def turned(f):
        return lambda x, theta: f.grid_sample(x, f.affine_grid(theta, (2, 1, 4, 4), align_corners=False), align_corners=False)

    check(turned(F), turned(T), numbers(2, 1, 5, 5), 0.4 * numbers(2, 2, 3, seed=1))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_sampling_under_vmap_is_that_of_each_example(mode):
    xs, grids = numbers(3, 2, 1, 4, 5), np.random.default_rng(0).uniform(-1.5, 1.5, (3, 2, 2, 3, 2))
    sample = lambda x, grid: F.grid_sample(x, grid, mode, "reflection")
    gradient = gn.grad(lambda x, grid: (sample(x, grid) ** 2).sum(), (0, 1))
    np.testing.assert_allclose(np.asarray(gn.vmap(sample)(xs, grids)), np.stack([sample(*pair) for pair in zip(xs, grids, strict=True)]))
    each = [gradient(*pair) for pair in zip(xs, grids, strict=True)]
    for k, found in enumerate(gn.vmap(gradient)(xs, grids)):
        np.testing.assert_allclose(np.asarray(found), np.stack([np.asarray(one[k]) for one in each]), atol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_sampling_keeps_the_dtype(mode):
    x, grid = numbers(2, 3, 4, 5).astype(np.float32), numbers(2, 2, 2, 2, seed=1).astype(np.float32)
    out = F.grid_sample(x, grid, mode, align_corners=False)
    assert out.dtype == np.float32
    expected = T.grid_sample(torch.from_numpy(x), torch.from_numpy(grid), mode, align_corners=False)
    np.testing.assert_allclose(out, expected.numpy(), 1e-4, 1e-5)
    assert F.affine_grid(numbers(1, 2, 3).astype(np.float32), (1, 1, 2, 2)).dtype == np.float32


@pytest.mark.parametrize(("shape", "grid", "options", "says"), [
    ((2, 3, 4), (2, 4, 2), {}, r"input must be \(N, C, H, W\) or \(N, C, D, H, W\)"),
    ((2, 3, 4, 4), (2, 4, 2), {}, "grid must have 4 axes, the last one of length 2"),
    ((2, 3, 4, 4), (2, 4, 4, 3), {}, r"of length 2[^$]*grid   \(2, 4, 4, 3\)"),
    ((2, 3, 4, 4), (3, 4, 4, 2), {}, "the same number of images"),
    ((2, 3, 0, 4), (2, 4, 4, 2), {}, "at least one pixel"),
    ((2, 3, 4, 4, 4), (2, 4, 4, 4, 3), {"mode": "bicubic"}, "'bicubic' is for images"),
    ((2, 3, 4, 4), (2, 4, 4, 2), {"mode": "linear"}, "mode must be 'bilinear', 'nearest' or 'bicubic', not 'linear'"),
    ((2, 3, 4, 4), (2, 4, 4, 2), {"padding_mode": "edge"}, "padding_mode must be 'zeros', 'border' or 'reflection', not 'edge'"),
])  # fmt: skip
def test_grids_that_do_not_fit_are_refused(shape, grid, options, says):
    with pytest.raises(ValueError, match="grid_sample: .*" + says):
        F.grid_sample(np.ones(shape), np.ones(grid), **options)


@pytest.mark.parametrize(("theta", "size", "error", "says"), [
    (np.ones((2, 2, 3)), (2, 1, 4), ValueError, r"size must be \(N, C, H, W\) or \(N, C, D, H, W\), not \(2, 1, 4\)"),
    (np.ones((2, 2, 3)), (3, 1, 4, 4), ValueError, r"theta must have the shape \(3, 2, 3\)"),
    (np.ones((2, 2, 3)), (2, 1, 4, 4, 4), ValueError, r"theta must have the shape \(2, 3, 4\)"),
    (np.ones((2, 2, 3)), (2, 1, 0, 4), ValueError, "positive whole numbers"),
    (np.ones((2, 2, 3), int), (2, 1, 4, 4), TypeError, "theta must hold floats, not int64"),
])  # fmt: skip
def test_affine_grids_that_do_not_fit_are_refused(theta, size, error, says):
    with pytest.raises(error, match="affine_grid: .*" + says):
        F.affine_grid(theta, size)


def test_images_and_grid_are_of_one_dtype():
    with pytest.raises(TypeError, match="floats of one dtype, not float64 and float32"):
        F.grid_sample(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 2), np.float32))


def test_images_and_grid_may_differ_in_the_order_of_bytes():
    rng = np.random.default_rng(0)
    image, grid = rng.normal(size=(1, 2, 4, 5)), rng.uniform(-1, 1, (1, 3, 3, 2))
    sample = gn.nn.functional.grid_sample
    for mode in ("bilinear", "nearest", "bicubic"):
        wanted = sample(image, grid, mode, align_corners=False)
        for a, b in ((image.astype(">f8"), grid), (image, grid.astype(">f8"))):
            np.testing.assert_array_equal(sample(a, b, mode, align_corners=False), wanted)
