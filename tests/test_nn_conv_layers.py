"""Layers of convolutions: PyTorch's values, derivatives, attributes, representations and first values, and errors."""

import numpy as np
import pytest
from as_torch import check_layer, torch

import gradnerve as gn

SPACE = {1: (9,), 2: (7, 6), 3: (5, 4, 5)}
KERNEL = {1: 3, 2: (3, 2), 3: (2, 1, 3)}
MODES = ["zeros", "reflect", "replicate", "circular"]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pair(name, *args, **options):
    return getattr(gn.nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)


def check_pair(ours, theirs, *shapes, second=True):
    assert repr(ours) == repr(theirs)
    for word in ("in_channels out_channels kernel_size stride padding dilation transposed output_padding groups padding_mode").split():
        assert getattr(ours, word) == getattr(theirs, word), word
    for k, shape in enumerate(shapes):
        check_layer(ours, theirs, numbers(*shape), second=second and not k)


CONV = [{}, {"stride": 2}, {"padding": 1}, {"padding": "same"}, {"padding": "valid"}, {"dilation": 2}, {"groups": 2}, {"bias": False},
        {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False}]  # fmt: skip
TRANSPOSED = [{}, {"stride": 2}, {"padding": 1}, {"stride": 2, "output_padding": 1}, {"dilation": 2}, {"groups": 2}, {"bias": False},
              {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": 2, "bias": False}]  # fmt: skip


@pytest.mark.parametrize("options", CONV, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv(n, options):
    check_pair(*pair(f"Conv{n}d", 4, 6, KERNEL[n], **options), (2, 4, *SPACE[n]), (4, *SPACE[n]), second=n < 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_padding_modes(n, mode):
    for options in ({"padding": (1, 2, 1)[:n]}, {"padding": "same"}, {"padding": "valid"}, {"padding": "same", "dilation": 2}):
        check_pair(*pair(f"Conv{n}d", 2, 3, KERNEL[n], padding_mode=mode, **options), (2, 2, *SPACE[n]), (2, *SPACE[n]), second=n < 3)


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv_transpose(n, options):
    space = SPACE[n] if n < 3 else (3, 3, 2)
    check_pair(*pair(f"ConvTranspose{n}d", 4, 6, KERNEL[n], **options), (2, 4, *space), (4, *space), second=n < 3)


@pytest.mark.parametrize("size", [(9,), (10,), (2, 3, 10)])
def test_output_size_takes_the_place_of_output_padding(size):
    ours, theirs = pair("ConvTranspose1d", 2, 3, 3, stride=2, padding=1)
    check_layer(ours, theirs, numbers(2, 2, 5), call=lambda layer, x: layer(x, size))
    ours, theirs = pair("ConvTranspose2d", 2, 3, (3, 2), stride=(2, 3))
    check_layer(ours, theirs, numbers(2, 4, 3), call=lambda layer, x: layer(x, output_size=[10, 10]))


def test_output_size_that_cannot_be_is_refused():
    layer = gn.nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1)
    with pytest.raises(ValueError, match=r"ConvTranspose1d: output_size must lie between \[9\] and \[10\] for this input, not be \(11,\)"):
        layer(np.ones((2, 2, 5), np.float32), (11,))
    with pytest.raises(ValueError, match=r"output_size must hold 1 or 3 numbers, not \(1, 10\)"):
        layer(np.ones((2, 2, 5), np.float32), (1, 10))


def test_the_last_convolution_of_its_input_can_be_undone():
    down, up = gn.nn.Conv2d(1, 4, 3, stride=2), gn.nn.ConvTranspose2d(4, 1, 3, stride=2)
    x = np.ones((1, 1, 8, 9), np.float32)
    assert up(down(x), output_size=x.shape).shape == x.shape


@pytest.mark.parametrize("name", [f"{kind}{n}d" for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)])
def test_first_values_are_pytorchs(name):
    """Uniform between the same bounds."""
    ours, theirs = pair(name, 16, 24, 3, groups=2)
    for p, q in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        bound = 1 / np.sqrt(np.prod(theirs.weight.shape[1:]))
        assert p.shape == tuple(q.shape)
        assert p.dtype == np.float32
        assert abs(p.data).max() <= bound * (1 + 1e-6)
        assert abs(p.data).max() > 0.75 * bound
    assert abs(ours.weight.data.mean()) < 0.1 * bound
    np.testing.assert_allclose(ours.weight.data.std(), bound / np.sqrt(3), rtol=0.1)


def test_the_same_generator_gives_the_same_layer():
    make = lambda: gn.nn.Conv2d(2, 3, 3, generator=np.random.default_rng(0))
    assert np.array_equal(make().weight.data, make().weight.data)
    assert np.array_equal(make().bias.data, make().bias.data)


def test_dtype():
    layer = gn.nn.Conv1d(1, 2, 3, dtype=np.float64)
    assert layer.weight.dtype == layer.bias.dtype == np.float64
    assert layer(np.ones((1, 1, 5))).dtype == np.float64
    assert gn.nn.ConvTranspose1d(1, 2, 3)(np.ones((1, 1, 5), np.float32)).dtype == np.float32


def test_a_layer_without_bias_has_none_in_its_state():
    layer = gn.nn.Conv2d(1, 2, 3, bias=False)
    assert layer.bias is None
    assert [*layer.state_dict()] == ["weight"]


@pytest.mark.parametrize(("name", "args", "options", "says"), [
    ("Conv2d", (3, 4, 3), {"groups": 2}, "in_channels = 3 must be divisible by groups = 2"),
    ("Conv2d", (4, 3, 3), {"groups": 2}, "out_channels = 3 must be divisible by groups = 2"),
    ("Conv2d", (4, 4, 3), {"groups": 0}, "groups must be a positive whole number, not 0"),
    ("Conv2d", (0, 4, 3), {}, "in_channels must be a positive whole number, not 0"),
    ("Conv2d", (1, 1, (3, 3, 3)), {}, r"kernel_size must be a whole number or 2 of them, not \(3, 3, 3\)"),
    ("Conv2d", (1, 1, 0), {}, r"kernel_size must be at least 1, not \(0, 0\)"),
    ("Conv1d", (1, 1, 3), {"stride": 0}, "stride must be at least 1"),
    ("Conv1d", (1, 1, 3), {"padding": -1}, "padding must be at least 0"),
    ("Conv1d", (1, 1, 3), {"padding": "full"}, "padding must be 'same', 'valid', a whole number or 1 of them, not 'full'"),
    ("Conv3d", (1, 1, 3), {"padding": "same", "stride": (1, 2, 1)}, "padding='same' needs a stride of 1"),
    ("Conv1d", (1, 1, 3), {"padding_mode": "mirror"}, "padding_mode must be 'zeros' or 'reflect' or 'replicate' or 'circular', not 'mirror'"),
    ("ConvTranspose1d", (1, 1, 3), {"padding_mode": "reflect"}, "padding_mode must be 'zeros', not 'reflect'"),
    ("ConvTranspose1d", (1, 1, 3), {"padding": "same"}, "padding must be a whole number or 1 of them, not 'same'"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(name, args, options, says):
    with pytest.raises(ValueError, match=f"{name}: {says}"):
        getattr(gn.nn, name)(*args, **options)


def test_an_error_names_the_layer():
    with pytest.raises(ValueError, match="conv2d: input has 2 channels, and weight with groups=1 expects 3") as error:
        gn.nn.Sequential(gn.nn.Conv2d(3, 4, 3))(np.ones((1, 2, 5, 5), np.float32))
    assert "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))" in "\n".join(error.value.__notes__)
