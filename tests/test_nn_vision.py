"""Layers and functions that move pixels: PyTorch's values, derivatives and representations, and errors."""

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn

F = gn.nn.functional


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


LAYERS = [
    ("PixelShuffle", (3,), {}, [(2, 18, 2, 4), (9, 3, 2), (1, 2, 9, 1, 1)]),
    ("PixelUnshuffle", (2,), {}, [(2, 3, 4, 6), (1, 2, 2), (1, 2, 3, 2, 4)]),
    ("ChannelShuffle", (3,), {}, [(2, 6, 4, 5), (2, 6, 3), (1, 3, 2, 2, 2)]),
    ("Upsample", (), {"scale_factor": 2}, [(2, 3, 4), (1, 2, 3, 4), (1, 1, 2, 3, 2)]),
    ("Upsample", ((3, 5),), {"mode": "bilinear", "align_corners": True}, [(1, 2, 4, 3)]),
    ("Upsample", (), {"scale_factor": (1.5, 2), "mode": "bicubic", "recompute_scale_factor": True}, [(1, 2, 4, 3)]),
    ("Upsample", (7,), {"mode": "linear"}, [(1, 2, 4)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 2.0}, [(2, 3, 4, 5)]),
    ("UpsamplingNearest2d", ((3, 7),), {}, [(2, 3, 4, 5)]),
    ("UpsamplingBilinear2d", (), {"scale_factor": (2, 3)}, [(2, 3, 4, 5)]),
    ("UpsamplingBilinear2d", (6,), {}, [(2, 3, 4, 5)]),
    ("Flatten", (), {}, [(2, 3, 4), (3, 2), (0, 3, 2)]),
    ("Flatten", (0, 1), {}, [(2, 3, 4)]),
    ("Flatten", (-2,), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(2, 6), (4, 6, 3)]),
    ("Unflatten", (-1, (2, -1)), {}, [(2, 6), (6,)]),
    ("Unfold", (2,), {"padding": 1, "stride": 2}, [(2, 3, 4, 5)]),
    ("Unfold", ((2, 3),), {"dilation": (2, 1)}, [(2, 3, 4, 5), (3, 4, 5)]),
    ("Fold", ((4, 5), (2, 2)), {}, [(2, 12, 12)]),
    ("Fold", ((4, 5), 2), {"padding": 1, "stride": 2}, [(2, 12, 9), (12, 9)]),
]


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS)
def test_layers(name, args, options, shapes):
    ours, theirs = getattr(gn.nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    for word in {**vars(theirs)}:
        assert word.startswith("_") or getattr(ours, word) == getattr(theirs, word)
    for shape in shapes:
        check_layer(ours, theirs, numbers(*shape), second=0 not in shape)


@pytest.mark.parametrize(("name", "n", "shape"), [("pixel_shuffle", 2, (3, 8, 2, 5)), ("pixel_unshuffle", 2, (3, 2, 4, 6)),
                                                  ("channel_shuffle", 4, (2, 8, 3))])  # fmt: skip
def test_functions(name, n, shape):
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    check(lambda x: ours(x, n), lambda x: theirs(x, n), numbers(*shape))
    xs = numbers(3, *shape)
    np.testing.assert_array_equal(np.asarray(gn.vmap(lambda x: ours(x, n))(xs)), np.stack([ours(x, n) for x in xs]))
    assert ours(xs[0].astype(np.float32), n).dtype == np.float32


def test_shuffling_back_gives_what_was_there():
    x = numbers(2, 12, 3, 5)
    np.testing.assert_array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    np.testing.assert_array_equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)


@pytest.mark.parametrize(("name", "n", "shape", "says"), [
    ("pixel_shuffle", 2, (6, 2, 2), r"the 6 channels of input must be divisible by upscale_factor\*\*2 = 4"),
    ("pixel_shuffle", 2, (4, 2), "3 axes or more"),
    ("pixel_shuffle", 0, (4, 2, 2), "upscale_factor must be a positive whole number, not 0"),
    ("pixel_unshuffle", 2, (1, 3, 4), "height 3 and width 4 of input must be divisible by downscale_factor 2"),
    ("pixel_unshuffle", 2.0, (1, 2, 4), "not 2.0"),
    ("pixel_unshuffle", 2, (2, 4), "3 axes or more"),
    ("channel_shuffle", 3, (1, 4, 2), "the 4 channels of input must be divisible by groups = 3"),
    ("channel_shuffle", 2, (4, 2), "3 axes or more"),
])  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(name, n, shape, says):
    with pytest.raises(ValueError, match=f"{name}: .*{says}"):
        getattr(F, name)(np.ones(shape), n)


def test_axes_that_are_not_there_are_refused():
    with pytest.raises(IndexError, match="Flatten: start_dim = 1 is no axis of input, which has 1"):
        gn.nn.Flatten()(np.ones(3))
    with pytest.raises(ValueError, match="start_dim = 2 comes after end_dim = 1"):
        gn.nn.Flatten(2, 1)(np.ones((2, 3, 4)))
    with pytest.raises(IndexError, match="Unflatten: dim = 2 is no axis"):
        gn.nn.Unflatten(2, (1, 2))(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"axis 1 of input has 3 elements, which do not make \(2, 2\)"):
        gn.nn.Unflatten(1, (2, 2))(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"do not make \(2, -1\)"):
        gn.nn.Unflatten(1, (2, -1))(np.ones((2, 3)))
    with pytest.raises(TypeError, match="unflattened_size must be a tuple of whole numbers, not 3"):
        gn.nn.Unflatten(1, 3)
