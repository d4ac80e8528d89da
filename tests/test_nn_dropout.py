"""Dropout: what is left out and how often, what the gradient is, whose random numbers decide, and what is refused."""

import warnings

import numpy as np
import pytest

import gradnerve as gn
from gradnerve.random import generator_of

pytestmark = pytest.mark.usefixtures("rows_return")

F = gn.nn.functional
RNG = np.random.default_rng(0)
NAMES = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
CHANNELS = {"dropout1d": (2, 3), "dropout2d": (2, 3), "dropout3d": (2, 3), "feature_alpha_dropout": (2, 3)}
LAYERS = {"dropout": "Dropout", "dropout1d": "Dropout1d", "dropout2d": "Dropout2d", "dropout3d": "Dropout3d", "alpha_dropout": "AlphaDropout",
          "feature_alpha_dropout": "FeatureAlphaDropout"}  # fmt: skip
REST = {"dropout": (), "dropout1d": (4,), "dropout2d": (4, 2), "dropout3d": (2, 3, 2), "alpha_dropout": (), "feature_alpha_dropout": (5,)}
ALPHA = 1.7580993408473766


def rng(seed=3):
    return np.random.default_rng(seed)


def shape_of(name, n=2, c=3):
    return (n, c, *REST[name])


# --- generators ------------------------------------------------------------------------------------------------------


def test_whose_random_numbers_are_taken():
    numpys, ours = np.random.default_rng(3), gn.random.default_rng(3)
    assert generator_of(numpys) is numpys and generator_of(ours).bit_generator is ours.bit_generator
    gn.manual_seed(5)
    first = generator_of().random()
    gn.manual_seed(5)
    assert generator_of(None).random() == first == np.random.default_rng(5).random()


@pytest.mark.parametrize(("wrong", "hint"), [(3, r"pass np\.random\.default_rng\(3\)"), (np.random.RandomState(0), "RandomState"), ("a", "'a'")])
def test_what_is_no_generator(wrong, hint):
    with pytest.raises(TypeError, match=f"generator must be None, a numpy.random.Generator or a gradnerve.random.Generator, not .*{hint}"):
        generator_of(wrong)
    with pytest.raises(TypeError, match=hint):
        F.dropout(np.ones(3), generator=wrong)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_numbers(name):
    x, f = RNG.normal(size=shape_of(name, 8, 9)), getattr(F, name)
    gn.manual_seed(1)
    first, second = f(x, 0.5, True), f(x, 0.5, True)
    gn.manual_seed(1)
    assert np.array_equal(first, f(x, 0.5, True)) and not np.array_equal(first, second)
    given = [f(x, 0.5, True, generator=g) for g in (rng(1), gn.random.default_rng(1))]
    layer = getattr(gn.nn, LAYERS[name])(generator=rng(1))
    assert all(np.array_equal(first, other) for other in [*given, layer(x)]) and np.array_equal(second, layer(x))


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients_are_those_of_the_mask(name, dtype):
    """Where an input of ones is left out says what the mask is; the formulas are PyTorch's."""
    f, p, shape = getattr(F, name), 0.3, shape_of(name, 20, 30)
    kept = f(np.ones(shape), p, True, generator=rng()) > 0
    a = RNG.normal(size=shape).astype(dtype)
    x = gn.Tensor(a, requires_grad=True)
    y = f(x, p, True, generator=rng())
    (y * a).sum().backward()
    if "alpha" in name:
        slope = (1 - p + ALPHA**2 * p * (1 - p)) ** -0.5
        expected = slope * (a * kept + (kept - 1.0) * ALPHA + ALPHA * p)
    else:
        slope = 1 / (1 - p)
        expected = slope * a * kept
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    assert y.dtype == f(a, p, True).dtype == dtype and type(f(a, p, True)) is np.ndarray
    assert np.allclose(y.data, expected, rtol=tolerance, atol=tolerance) and np.allclose(x.grad, slope * a * kept, rtol=tolerance)
    assert abs(kept.mean() - 0.7) < (0.08 if name in CHANNELS else 0.05)
    if name in CHANNELS:
        own = kept.reshape(20, 30, -1)
        assert (own == own[:, :, :1]).all() and 0 < own[0, :, 0].sum() < 30


def test_second_derivative():
    f = lambda x: np.sum(F.dropout(x, 0.5, generator=rng()) ** 3)
    x = RNG.normal(size=20)
    found = gn.grad(lambda x: np.sum(gn.grad(f)(x)))(x).data
    assert np.allclose(found, 6 * 8 * x * (F.dropout(np.ones(20), 0.5, generator=rng()) > 0), rtol=1e-13)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1 / 3])
def test_mean_and_variance(p):
    x = RNG.normal(size=400000)
    y = F.dropout(x, p, generator=rng())
    assert abs((y != 0).mean() - (1 - p)) < 0.003 and abs(F.dropout(np.ones(400000), p, generator=rng()).mean() - 1) < 0.02
    y = F.alpha_dropout(x, p, True, generator=rng())
    assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.02


def test_the_distribution_of_alpha_dropout_is_pytorchs():
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=400000) * 0.5 + 1
    theirs = torch.nn.functional.alpha_dropout(torch.tensor(x), 0.33, True).numpy()
    ours = F.alpha_dropout(x, 0.33, True, generator=rng())
    assert np.allclose(np.quantile(ours, np.arange(1, 20) / 20), np.quantile(theirs, np.arange(1, 20) / 20), atol=0.02)
    assert np.allclose(np.unique(theirs.round(9))[0], np.unique(ours.round(9))[0], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_without_training_or_with_probability_0_the_input_itself_comes_back(name):
    f, x = getattr(F, name), gn.Tensor(np.ones(shape_of(name)), requires_grad=True)
    layer = getattr(gn.nn, LAYERS[name])(0.4)
    assert f(x, 0.5, False) is x and f(x, 0.0, True) is x and layer.eval()(x) is x and f(x.data, 0.0, True) is x.data
    assert layer.train()(x) is not x


@pytest.mark.parametrize("name", NAMES)
def test_probability_1_gives_zeros(name):
    x = gn.Tensor(RNG.normal(size=shape_of(name)), requires_grad=True)
    y = getattr(F, name)(x, 1.0, True)
    y.sum().backward()
    assert not y.data.any() and not x.grad.any() and not getattr(F, name)(x.data, 1, True).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("p", [1e-12, 1 - 1e-12])
def test_probabilities_next_to_0_and_1(name, p):
    x = RNG.normal(size=shape_of(name))
    assert np.isfinite(getattr(F, name)(x, p, True)).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_elements(name):
    x = gn.Tensor(np.ones(shape_of(name, 0)), requires_grad=True)
    assert getattr(F, name)(x, 0.5, True).shape == x.shape
    assert F.dropout(np.array(1.0)).shape == ()


@pytest.mark.parametrize("name", NAMES)
def test_in_place(name):
    f, a = getattr(F, name), RNG.normal(size=shape_of(name))
    expected = f(a, 0.5, True, generator=rng())
    b, t, x = a.copy(), gn.Tensor(a), gn.Tensor(a, requires_grad=True)
    y = x * 1.0
    for target in (b, t, y):
        assert f(target, 0.5, True, inplace=True, generator=rng()) is target
        assert np.array_equal(np.asarray(gn.asarray(target).data), expected)
    y.sum().backward()
    assert np.array_equal(x.grad != 0, f(np.ones(a.shape), 0.5, True, generator=rng()) > 0)


# --- whole channels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape", "axes", "warning"), [
    ("dropout1d", (40, 6), 1, None), ("dropout1d", (9, 9, 6), 2, None), ("dropout2d", (9, 9, 6), 2, "dropout1d does so"),
    ("dropout2d", (9, 9, 3, 2), 2, None), ("dropout2d", (9, 9), 2, "use dropout instead"), ("dropout2d", (9, 9, 2, 3, 2), 2, "use dropout instead"),
    ("dropout3d", (9, 9, 3, 2, 2), 2, None), ("dropout3d", (40, 3, 2, 2), 1, None), ("dropout3d", (40, 3), 1, "use dropout instead"),
    ("feature_alpha_dropout", (9, 9), 2, None), ("feature_alpha_dropout", (9, 9, 2, 2, 2, 2), 2, None),
])  # fmt: skip
def test_the_axes_that_have_their_own_channels(name, shape, axes, warning):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kept = getattr(F, name)(np.ones(shape), 0.5, True, generator=rng()) > 0
    assert [warning in str(one.message) and one.filename == __file__ for one in told] == [True] * bool(warning)
    kept = kept.reshape(*shape[:axes], -1)
    assert (kept == kept[..., :1]).all() and 0 < kept.mean() < 1
    assert all(len(np.unique(kept[..., 0].take(0, k))) == 2 for k in range(axes) if axes > 1)


def test_ranks_warnings_and_errors_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"):
        for n in range(7):
            found = []
            for f, x in ((getattr(F, name), np.ones((2,) * n)), (getattr(torch.nn.functional, name), torch.ones((2,) * n))):
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    try:
                        f(x, 0.5, True)
                        found.append(bool(told))
                    except (RuntimeError, ValueError):
                        found.append("error")
            assert found[0] == found[1], (name, n)


# --- with other functions of functions -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_example_of_vmap_has_its_own_mask(name):
    f = lambda x: getattr(F, name)(x, 0.5, True)
    ones = np.ones((5, *shape_of(name, 6, 7)))
    masks = gn.vmap(f)(ones).data > 0
    assert len({mask.tobytes() for mask in masks}) == 5
    if name in CHANNELS:
        assert (masks == masks[:, :, :, *[slice(1)] * (masks.ndim - 3)]).all()
    inner = gn.vmap(gn.vmap(f))(np.stack([ones, ones])).data > 0
    assert inner.shape == (2, *ones.shape) and len({mask.tobytes() for mask in inner.reshape(-1, *ones.shape[1:])}) == 10
    gradient = gn.vmap(gn.grad(lambda x: np.sum(f(x))))(ones).data
    assert len({mask.tobytes() for mask in gradient}) == 5


@pytest.mark.parametrize("own", [False, True])
def test_a_checkpoint_draws_the_same_again(own):
    layer = gn.nn.Dropout(0.5, generator=rng() if own else None)
    f = layer if own else lambda x: np.exp(layer(np.sin(x)))
    found = []
    for run in (gn.checkpoint, lambda f, x: f(x)):
        x = gn.Tensor(np.linspace(-1, 1, 50), requires_grad=True)
        gn.manual_seed(4)
        layer.generator = rng() if own else None
        y = run(f, x)
        after = F.dropout(np.ones(50), generator=layer.generator)
        y.sum().backward()
        found.append((y.data, x.grad, after, F.dropout(np.ones(50), generator=layer.generator)))
    assert all(map(np.array_equal, *found)) and not np.array_equal(found[0][2], found[0][3])


# --- layers, and what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS.values())
def test_layers_look_like_pytorchs(name):
    torch = pytest.importorskip("torch")
    for args in ((), (0.2,), (0.2, True)):
        ours, theirs = getattr(gn.nn, name)(*args), getattr(torch.nn, name)(*args)
        assert repr(ours) == repr(theirs) and (ours.p, ours.inplace) == (theirs.p, theirs.inplace) and not ours.state_dict()


def test_layers_in_place_where_pytorchs_are():
    for function, name in LAYERS.items():
        layer, x = getattr(gn.nn, name)(0.5, True), np.ones(shape_of(function))
        assert (layer(x) is x) == ("Alpha" not in name)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_between_0_and_1(name, p):
    with pytest.raises(ValueError, match=f"{name}: dropout probability has to be between 0 and 1, but got {p}"):
        getattr(F, name)(np.ones(shape_of(name)), p)
    with pytest.raises(ValueError, match=f"{LAYERS[name]}: dropout probability has to be between 0 and 1, but got {p}"):
        getattr(gn.nn, LAYERS[name])(p)


def test_errors():
    with pytest.raises(gn.ShapeError, match=r"dropout1d: input must be \(N, C, L\) or \(C, L\)[^$]*input  \(2,\)"):
        F.dropout1d(np.ones(2))
    with pytest.raises(TypeError, match="dropout: input must hold floats, not int64"):
        F.dropout(np.ones(3, np.int64))
    with pytest.raises(gn.GraphError, match=r"dropout\(inplace=True\).*leaf"):
        F.dropout(gn.Tensor(np.ones(3), requires_grad=True), inplace=True)
