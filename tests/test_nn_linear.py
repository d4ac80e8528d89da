"""linear, bilinear and one_hot, and their layers, against PyTorch."""

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn

F, TF = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(0)


def random(*shape):
    return rng.normal(size=shape)


@pytest.mark.parametrize("lead", [(), (5,), (1,), (0,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_pytorchs(lead, bias):
    check(F.linear, TF.linear, random(*lead, 4), random(3, 4), *([random(3)] * bias))


def test_linear_takes_other_layouts():
    x, weight = random(4, 3, 5), random(4, 6)
    check(lambda x, w: F.linear(x.T, w.T), lambda x, w: TF.linear(x.permute(2, 1, 0), w.T), x, weight)
    check(lambda x, w: F.linear(np.broadcast_to(x, (2, 4)), w), lambda x, w: TF.linear(x.expand(2, 4), w), random(4), random(3, 4))
    check(lambda x, w: F.linear(x, w).sum(), lambda x, w: TF.linear(x, w).sum(), random(7, 4), random(3, 4))


def test_linear_takes_a_weight_of_one_axis():
    check(F.linear, TF.linear, random(5, 4), random(4))
    check(F.linear, lambda x, w, b: TF.linear(x, w) + b, random(2, 5, 4), random(4), random())


def test_linear_in_single_precision():
    x, weight, bias = (gn.Tensor(a.astype("f"), requires_grad=True) for a in (random(3, 5, 4), random(6, 4), random(6)))
    y = F.linear(x, weight, bias)
    np.testing.assert_array_equal(y.data, (x.data.reshape(15, 4) @ weight.data.T + bias.data).reshape(3, 5, 6))
    (y * y).sum().backward()
    assert y.dtype == x.grad.dtype == weight.grad.dtype == bias.grad.dtype == np.float32


def test_linear_takes_arrays_and_tensors_of_any_dtype():
    x, weight = np.arange(8).reshape(2, 4), random(3, 4)
    assert type(F.linear(x, weight)) is np.ndarray
    np.testing.assert_array_equal(F.linear(x, weight), x @ weight.T)
    t = gn.Tensor(weight.astype("f"), requires_grad=True)
    y = F.linear(random(2, 4), t, random(3))
    y.sum().backward()
    assert (y.dtype, t.grad.dtype) == (np.float64, np.float32)


def test_linear_for_many_examples():
    x, weight, bias = random(5, 2, 3, 4), random(5, 6, 4), random(5, 6)
    for axes in [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, None), (0, 0, 0), (None, 0, 0), (0, None, 0)]:
        arrays = [a if axis == 0 else a[0] for a, axis in zip((x, weight, bias), axes, strict=True)]
        found = gn.vmap(lambda *a: gn.grad(lambda *a: (F.linear(*a) ** 2).sum(), (0, 1, 2))(*a), axes)(*arrays)
        for k in range(5):
            own = [a[k] if axis == 0 else a for a, axis in zip(arrays, axes, strict=True)]
            for g, wanted in zip(found, gn.grad(lambda *a: (F.linear(*a) ** 2).sum(), (0, 1, 2))(*own), strict=True):
                np.testing.assert_allclose(g[k].data, wanted.data, rtol=1e-12)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_is_pytorchs(lead, bias):
    check(F.bilinear, TF.bilinear, random(*lead, 4), random(*lead, 5), random(3, 4, 5), *([random(3)] * bias))


def test_layers_are_pytorchs():
    for bias in (True, False):
        check_layer(gn.nn.Linear(4, 3, bias=bias, dtype="d"), torch.nn.Linear(4, 3, bias=bias), random(2, 5, 4))
        check_layer(gn.nn.Bilinear(4, 5, 3, bias=bias, dtype="d"), torch.nn.Bilinear(4, 5, 3, bias=bias), random(2, 4), random(2, 5))
        assert repr(gn.nn.Linear(4, 3, bias)) == repr(torch.nn.Linear(4, 3, bias))
        assert repr(gn.nn.Bilinear(4, 5, 3, bias)) == repr(torch.nn.Bilinear(4, 5, 3, bias))


@pytest.mark.parametrize(("make", "bound"), [(lambda **more: gn.nn.Linear(400, 900, **more), 1 / 20),
                                             (lambda **more: gn.nn.Bilinear(16, 30, 400, **more), 1 / 4)], ids=["Linear", "Bilinear"])  # fmt: skip
def test_first_values_are_uniform_and_those_of_the_seed(make, bound):
    layer = make(generator=np.random.default_rng(3))
    for p in layer.parameters():
        assert 0.98 * bound < np.abs(p.data).max() <= bound
        assert p.dtype == np.float32
    assert layer.weight.tolist() == make(generator=np.random.default_rng(3)).weight.tolist()
    gn.manual_seed(1)
    first = make().weight.tolist()
    gn.manual_seed(1)
    assert first == make().weight.tolist()


def test_one_hot_is_pytorchs():
    for labels in (np.array([0, 2, 1]), np.array(3), np.array([[1, 0], [4, 2]]), np.array([1, 0], np.int32)):
        theirs = torch.tensor(labels.astype(np.int64))
        for classes in (-1, 5, 7):
            found, wanted = F.one_hot(labels, classes), TF.one_hot(theirs, classes).numpy()
            np.testing.assert_array_equal(found, wanted)
            assert found.dtype == np.int64
    assert F.one_hot(np.zeros(0, int), 3).shape == (0, 3)
    assert gn.vmap(lambda t: F.one_hot(t, 3))(np.array([1, 2])).tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: F.linear(random(2, 5), random(3, 4)), ValueError, r"linear: the last axis of input must have length 4, .* \(2, 5\)"),
    (lambda: F.linear(np.array(1.0), random(3, 4)), ValueError, "linear: the last axis of input must have length 4"),
    (lambda: F.linear(random(2, 4), random(3, 4), random(4)), ValueError, r"linear: bias must have shape \(3,\)"),
    (lambda: F.linear(random(2, 4), random(1, 3, 4)), ValueError, r"linear: weight must have the shape \(out_features, in_features\)"),
    (lambda: F.bilinear(random(2, 4), random(3, 5), random(3, 4, 5)), ValueError, "bilinear: input1 and input2 must have equal shapes"),
    (lambda: F.bilinear(random(2, 4), random(2, 4), random(3, 4, 5)), ValueError, "bilinear: the last axis of input2 must have length 5"),
    (lambda: F.bilinear(random(2, 4), random(2, 5), random(4, 5)), ValueError, "bilinear: weight must have the shape"),
    (lambda: F.bilinear(random(2, 4), random(2, 5), random(3, 4, 5), random(2)), ValueError, r"bilinear: bias must have shape \(3,\)"),
    (lambda: gn.nn.Bilinear(0, 1, 2), ValueError, "Bilinear: in1_features must be positive, not 0"),
    (lambda: F.one_hot(np.array([0, 3]), 3), IndexError, "one_hot: tensor holds the class 3; there are 3, 0 to 2"),
    (lambda: F.one_hot(np.array([0, -1])), IndexError, "one_hot: tensor holds the class -1"),
    (lambda: F.one_hot(np.array([0.0])), TypeError, "one_hot: tensor must hold whole numbers, not float64"),
    (lambda: F.one_hot(np.zeros(0, int)), ValueError, "one_hot: an empty tensor"),
    (lambda: F.one_hot(np.array([0]), 0), ValueError, "one_hot: num_classes must be -1 or positive, not 0"),
])  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_layer_says_which_one_it_is():
    with pytest.raises(ValueError, match="last axis of input must have length 4") as caught:
        gn.nn.Linear(4, 3)(random(2, 5))
    assert "Linear(in_features=4" in "".join(caught.value.__notes__)


def test_vmap_of_no_rows_with_their_own_biases():
    x, weight, bias = np.ones((3, 2, 0, 4)), np.ones((5, 4)), np.ones((3, 5))
    out = gn.vmap(gn.nn.functional.linear, in_axes=(0, None, 0))(x, weight, bias)
    assert out.shape == (3, 2, 0, 5)
