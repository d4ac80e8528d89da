"""Padding: PyTorch's values and derivatives for every mode, rank and width, layers, and errors."""

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn

F = gn.nn.functional
MODES = ["constant", "reflect", "replicate", "circular"]
SHAPES = {1: [(3, 5), (2, 3, 5)], 2: [(3, 5, 4), (2, 3, 5, 4)], 3: [(2, 4, 3, 5), (2, 1, 4, 3, 5)]}
WIDTHS = {1: [(1, 2), (0, 0), (-1, 2), (2, -2), (-2, -1)], 2: [(1, 2, 3, 0), (-1, 1, 2, -1)], 3: [(2, 1, 0, 2, 1, 3), (2, -1, -1, 1, 0, 0)]}
CASES = [(axes, shape, widths) for axes in SHAPES for shape in SHAPES[axes] for widths in WIDTHS[axes]]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("axes", "shape", "widths"), CASES, ids=str)
def test_pad(axes, shape, widths, mode):
    check(lambda x: F.pad(x, widths, mode), lambda x: torch.nn.functional.pad(x, widths, mode), numbers(*shape))


@pytest.mark.parametrize("widths", [(), (1, 0), (0, 1, 2, 0), (1, 1, 0, 0, 0, 2, 3, 1), (-1, 0, 2, -2)], ids=str)
@pytest.mark.parametrize("value", [None, 0, 2.5, -np.inf])
def test_any_axes_are_padded_with_a_value(widths, value):
    ours, theirs = lambda x: F.pad(x, widths, value=value), lambda x: torch.nn.functional.pad(x, widths, value=value)
    if value == -np.inf:
        np.testing.assert_array_equal(ours(numbers(2, 3, 3, 4)), theirs(torch.from_numpy(numbers(2, 3, 3, 4))).numpy())
    else:
        check(ours, theirs, numbers(2, 3, 3, 4))


@pytest.mark.parametrize("mode", MODES)
def test_padding_takes_random_widths_as_pytorch_does(mode):
    rng = np.random.default_rng(1)
    for _ in range(100):
        axes = int(rng.integers(1, 4))
        x, widths = numbers(*(2, 3, 4, 3, 2)[-axes - int(rng.integers(1, 3)):]), rng.integers(-1, 3, 2 * axes).tolist()
        left = [n + min(b, 0) + min(a, 0) for n, b, a in zip(x.shape[::-1], widths[::2], widths[1::2], strict=False)]
        if min(left) == 0 or (mode == "circular" and any(max(b, a) > n for n, b, a in zip(left, widths[::2], widths[1::2], strict=True))):
            continue  # PyTorch's result is not defined, or it depends on the other axes whether there is one
        try:
            expected = torch.nn.functional.pad(torch.from_numpy(x), widths, mode).numpy()
        except RuntimeError:
            with pytest.raises(ValueError, match="pad: "):
                F.pad(x, widths, mode)
        else:
            np.testing.assert_array_equal(F.pad(x, widths, mode), expected, err_msg=f"{x.shape} {widths}")


@pytest.mark.parametrize("mode", MODES)
def test_padding_keeps_the_dtype_and_works_on_whole_numbers(mode):
    for dtype in (np.float32, np.int64):
        x = np.arange(6).reshape(2, 3).astype(dtype)
        out = F.pad(x, (2, 1), mode)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, torch.nn.functional.pad(torch.from_numpy(x), (2, 1), mode).numpy())


@pytest.mark.parametrize("mode", MODES)
def test_padding_under_vmap_is_that_of_each_example(mode):
    xs = numbers(3, 2, 4, 5)
    both = [lambda x: F.pad(x, (1, -1, 2, 0), mode), gn.grad(lambda x: (F.pad(x, (1, -1, 2, 0), mode) ** 3).sum())]
    for function in both:
        np.testing.assert_allclose(np.asarray(gn.vmap(function)(xs)), np.stack([np.asarray(function(x)) for x in xs]))


def test_padding_gives_an_array_of_its_own():
    x = np.ones((2, 3))
    for mode in MODES:
        out = F.pad(x, (1, 1), mode)
        assert not np.shares_memory(out, x)


LAYERS = [(f"{kind}Pad{n}d", n, (2.5,) if kind == "Constant" else ())
          for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero") for n in (1, 2, 3)]  # fmt: skip


@pytest.mark.parametrize(("name", "n", "more"), LAYERS)
def test_layers(name, n, more):
    x = numbers(2, 3, *(4, 5, 3)[:n])
    for padding in (2, (1, 2, 0, 1, 2, 2)[: 2 * n], (-1, 1, 0, -1, 0, 2)[: 2 * n]):
        ours, theirs = getattr(gn.nn, name)(padding, *more), getattr(torch.nn, name)(padding, *more)
        assert repr(ours) == repr(theirs)
        assert ours.padding == theirs.padding
        check_layer(ours, theirs, x)
    check_layer(ours, theirs, x[0], second=False)


@pytest.mark.parametrize(("shape", "widths", "mode", "says"), [
    ((3,), (1, 1), "reflect", r"2 or 3 axes.* for 1 of 1 axes[^$]*input  \(3,\)"),
    ((2, 2, 2, 3), (1, 1), "replicate", "for 1 of 4 axes"),
    ((2, 3), (1, 1, 1, 1), "circular", "for 2 of 2 axes"),
    ((2, 3, 4, 5, 6), (1,) * 8, "circular", "8 numbers"),
    ((2, 3), (3, 0), "reflect", "at most 2 elements at each end of axis -1, which has 3; pad asks for 3 and 0"),
    ((2, 2, 3), (0, 0, 0, 2), "reflect", "at most 1 elements at each end of axis -2"),
    ((2, 3), (4, 0), "circular", "at most 3"),
    ((2, 3), (3, -1), "circular", "at most 2"),
    ((2, 0), (1, 0), "replicate", "at most 0 elements at each end of axis -1, which has 0"),
    ((2, 3), (1, 1), "mirror", "mode must be 'constant', 'reflect', 'replicate' or 'circular', not 'mirror'"),
    ((2, 3), (1, 1, 1), "constant", "an even number of whole numbers"),
    ((2, 3), 1, "constant", "not 1"),
    ((2, 3), (1, 0.5), "constant", r"not \(1, 0.5\)"),
    ((2, 3), (1, 1) * 3, "constant", "for 3 axes; input has 2"),
    ((2, 3), (-2, -2), "constant", "of the 3 elements along axis -1, 2 and 2 cannot be cut off"),
])  # fmt: skip
def test_padding_that_does_not_fit_is_refused(shape, widths, mode, says):
    with pytest.raises(ValueError, match=says):
        F.pad(np.ones(shape), widths, mode)


def test_a_value_is_for_constant_padding_only():
    with pytest.raises(ValueError, match=r"mode 'reflect' takes no value, but value=2\.0 was given"):
        F.pad(np.ones((2, 3)), (1, 1), "reflect", 2.0)


def test_layers_refuse_a_wrong_number_of_widths():
    with pytest.raises(ValueError, match=r"ReflectionPad2d: padding must be a whole number or 4 of them, not \(1, 1\)"):
        gn.nn.ReflectionPad2d((1, 1))
