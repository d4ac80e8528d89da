"""Activations against PyTorch: values, first and second derivatives, kinks, numbers far out, options, and what is refused."""

import warnings

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn
from gradnerve.ops import activations

pytestmark = pytest.mark.usefixtures("rows_return")

F, T = gn.nn.functional, torch.nn.functional
RNG = np.random.default_rng(0)
SHAPES = [(), (1,), (7,), (0, 3), (3, 4), (2, 3, 1, 2)]

OPTIONS = {
    "relu": [{}], "relu6": [{}], "selu": [{}], "silu": [{}], "mish": [{}], "sigmoid": [{}], "tanh": [{}], "softsign": [{}], "tanhshrink": [{}],
    "logsigmoid": [{}], "hardsigmoid": [{}], "hardswish": [{}], "gelu": [{}, {"approximate": "tanh"}],
    "leaky_relu": [{}, {"negative_slope": 0.3}, {"negative_slope": 0}, {"negative_slope": 2.0}, {"negative_slope": -0.5}],
    "elu": [{}, {"alpha": 0.3}, {"alpha": -2}], "celu": [{}, {"alpha": 0.3}, {"alpha": -2.0}],
    "softplus": [{}, {"beta": 3}, {"beta": 0.5, "threshold": 0.7}, {"threshold": -1.0}], "hardtanh": [{}, {"min_val": -0.3, "max_val": 1.2}],
    "threshold": [{"threshold": 0.1, "value": 3.0}, {"threshold": -1, "value": 0}], "hardshrink": [{}, {"lambd": 1}, {"lambd": -1}],
    "softshrink": [{}, {"lambd": 1}, {"lambd": 0.0}], "rrelu": [{}, {"lower": 0.5, "upper": 2.0}],
}  # fmt: skip
# PyTorch's own derivatives of these two are those of single precision, 3e-8 and 1e-7 away from what they should be
EXACT = {"hardsigmoid": lambda x: T.relu6(x + 3) / 6,
         "celu": lambda x, alpha=1.0: torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0) / alpha))}  # fmt: skip
CASES = [(name, options) for name, all_options in OPTIONS.items() for options in all_options]
IN_PLACE = [name for name in OPTIONS if name not in "gelu hardshrink logsigmoid sigmoid softplus softshrink softsign tanh tanhshrink".split()]
KINKS = [-3.0, -2.0, -1.0, -0.5, -0.3, -0.0, 0.0, 0.1, 0.5, 0.7, 1.0, 1.2, 3.0, 6.0, 7.0, 20.0, 21.0]
FAR = [1000.0, -1000.0, 50.0, -50.0, 1e-8, -1e-8]


def theirs(name):
    return EXACT.get(name) or getattr(T, name)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_values_and_derivatives(name, options):
    for shape in SHAPES:
        check(lambda x: getattr(F, name)(x, **options), lambda x: theirs(name)(x, **options), RNG.normal(size=shape) * 2)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("points", [KINKS, FAR], ids=["kinks", "far"])
def test_kinks_and_numbers_far_out(name, options, points):
    """The first derivative at a kink is PyTorch's; the second has no value there, and in PyTorch is NaN for mish far out."""
    if options.get("alpha", 1) < 0 and points is FAR:
        pytest.skip("it overflows in PyTorch, too" if name == "celu" else "PyTorch refuses it")
    second = points is KINKS and name not in ("celu", "elu", "selu", "softplus")
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        check(lambda x: getattr(F, name)(x, **options), lambda x: theirs(name)(x, **options), np.array(points), second=second)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_pytorch_has_a_finite_number_so_have_we(name, options, dtype):
    """Value, first and second derivative at infinities and at the largest numbers, and in single precision."""
    points = np.array([np.inf, -np.inf, 1e30, -1e30, 1000, -1000, 100, -100, 12, -12, 3, -3, 1e-3], dtype)

    def ours(x):
        f = lambda x: np.sum(getattr(F, name)(x, **options))
        return [getattr(F, name)(x, **options), gn.grad(f)(x), gn.grad(lambda x: np.sum(gn.grad(f)(x)))(x)]

    t = torch.tensor(points, requires_grad=True)
    value = theirs(name)(t, **options)
    (first,) = torch.autograd.grad(value.sum(), t, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), t) if first.requires_grad else (torch.zeros_like(t),)
    with np.errstate(all="ignore"):
        found = [np.asarray(x) for x in ours(points)]
    for a, b in zip(found, (value, first, second), strict=True):
        b = b.detach().numpy()
        assert a.dtype == dtype
        finite = np.isfinite(b)
        np.testing.assert_allclose(a[finite], b[finite], rtol=3e-6 if dtype == np.float32 else 1e-12, atol=3e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_arrays_give_arrays_and_float32_stays(name, options):
    for dtype in (np.float32, np.float64):
        x = RNG.normal(size=(3, 4)).astype(dtype)
        plain, tensor = getattr(F, name)(x, **options), getattr(F, name)(gn.asarray(x), **options)
        assert type(plain) is np.ndarray and type(tensor) is gn.Tensor
        assert plain.dtype == tensor.dtype == dtype
        assert np.allclose(plain, tensor.data, rtol=1e-6)
        strong = {key: np.float64(value) if isinstance(value, float) else value for key, value in options.items()}
        assert getattr(F, name)(x, **strong).dtype == getattr(F, name)(gn.asarray(x), **strong).dtype == dtype


@pytest.mark.parametrize(("name", "options"), CASES)
def test_examples_of_vmap_are_rows(name, options):
    x, f = RNG.normal(size=(3, 4)), lambda x: getattr(F, name)(x, **options)
    slope = gn.grad(lambda x: np.sum(f(x)))
    assert np.allclose(gn.vmap(f)(x).data, f(x), rtol=1e-14) and np.allclose(gn.vmap(slope)(x).data, slope(x).data, rtol=1e-14)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    options, a = OPTIONS[name][0], RNG.normal(size=(3, 4))
    x = gn.Tensor(a, requires_grad=True)
    y = x * 2
    assert getattr(F, name)(y, **options, inplace=True) is y
    (y * a).sum().backward()
    f = lambda x: np.sum(getattr(F, name)(x * 2, **options) * a)
    assert np.array_equal(y.data, getattr(F, name)(a * 2, **options)) and np.array_equal(x.grad, gn.grad(f)(a).data)
    b, t = a.copy(), gn.Tensor(a)
    kept = t.data
    assert getattr(F, name)(b, **options, inplace=True) is b and getattr(F, name)(t, **options, inplace=True) is t
    assert np.array_equal(b, getattr(F, name)(a, **options)) and np.array_equal(t.data, b) and t.data is kept
    with pytest.raises(gn.GraphError, match=rf"{name}\(inplace=True\).*leaf"):
        getattr(F, name)(x, **options, inplace=True)


@pytest.mark.parametrize("name", ["relu_", "threshold_", "hardtanh_", "elu_", "celu_", "selu_", "leaky_relu_", "rrelu_"])
def test_names_of_what_works_in_place(name):
    a, options = RNG.normal(size=5), (0.1, 3.0) if name == "threshold_" else ()
    x = gn.Tensor(a)
    assert getattr(F, name)(x, *options) is x and getattr(F, name).__name__ == name
    assert np.allclose(x.data, getattr(T, name)(torch.tensor(a), *options).numpy(), rtol=1e-14)


@pytest.mark.parametrize(("name", "left"), [
    ("relu", -1.0), ("relu6", -1.0), ("relu6", 8.0), ("hardtanh", -8.0), ("hardsigmoid", -4.0), ("hardsigmoid", 4.0), ("hardswish", -4.0),
    ("hardshrink", 0.25), ("softshrink", 0.25), ("threshold", -1.0),
])  # fmt: skip
def test_what_an_activation_leaves_out_contributes_nothing(name, left):
    """The derivative of the root is infinite at 0."""
    options = (0.0, 0.0) if name == "threshold" else ()
    f = lambda x: np.sum(getattr(F, name)(left + np.sqrt(x), *options))
    with np.errstate(all="ignore"):
        assert gn.grad(f)(np.zeros(2)).data.tolist() == [0, 0]


# --- gelu ------------------------------------------------------------------------------------------------------------


def test_gelu_to_the_last_digits_also_far_to_the_left():
    mp = pytest.importorskip("mpmath")
    x = np.concatenate([np.linspace(-37, 37, 371), RNG.normal(size=300) * 3, [0.0, -0.0, 1e-300, -1e-5, 1e-5]])
    with mp.workdps(40):
        for dtype, near, far in ((np.float64, 2e-15, 1e-13), (np.float32, 1e-6, 5e-6)):
            a = x.astype(dtype)
            exact = np.array([float(mp.mpf(float(v)) * mp.ncdf(mp.mpf(float(v)))) for v in a])
            slope = np.array([float(mp.ncdf(mp.mpf(float(v))) + mp.mpf(float(v)) * mp.npdf(mp.mpf(float(v)))) for v in a])
            held = np.abs(exact) > 1e-30 if dtype == np.float32 else np.abs(exact) > 1e-290
            leaf = gn.Tensor(a, requires_grad=True)
            out = activations.gelu(leaf)
            out.sum().backward()
            for found in (out.data, activations.gelu(a)):
                error = np.abs(found - exact)[held] / np.abs(exact[held])
                assert found.dtype == dtype and error.max() < far and error[np.abs(a[held]) < 5].max() < near
            assert np.abs(leaf.grad - slope).max() < near


def test_gelu_of_the_smallest_and_of_half_precision():
    x = np.array([0.0, -0.0, 5e-324, 1e-310, -1e-38, 1e-29, -1e-29])
    assert np.allclose(gn.elementwise_grad(F.gelu)(x).data, 0.5, rtol=1e-12)
    assert F.gelu(gn.Tensor(np.float16([1, -50]))).dtype == np.float16
    assert np.allclose(F.gelu(np.float16([1, -50])), [0.8413, 0], atol=1e-3)


def test_derivatives_of_gelu_of_third_and_fourth_order():
    t = torch.tensor([-1.5, 0.3, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    ours, theirs = F.gelu, t * torch.special.ndtr(t)
    for order in range(1, 5):
        ours = gn.elementwise_grad(ours)
        (theirs,) = torch.autograd.grad(theirs.sum(), t, create_graph=True)
        if order > 2:
            assert np.allclose(ours(t.detach().numpy()).data, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


# --- several inputs, and sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "weight"), [((), ()), ((), (1,)), ((5,), ()), ((5,), (1,)), ((2, 3), (3,)), ((2, 3, 4), (3,)),
                                               ((2, 3, 2, 2), (3,)), ((2, 3, 2, 2), (1,)), ((2, 1, 3), (1,)), ((0, 3), (3,))])  # fmt: skip
def test_prelu(shape, weight):
    check(F.prelu, T.prelu, RNG.normal(size=shape), RNG.normal(size=weight))


@pytest.mark.parametrize(("shape", "dim"), [((4,), -1), ((4, 3), 0), ((2, 6, 3), 1), ((2, 6, 3), -2), ((2, 0), 1), ((0, 2), 1)])
def test_glu(shape, dim):
    check(lambda x: F.glu(x, dim), lambda x: T.glu(x, dim), RNG.normal(size=shape))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmaxes(name):
    ours, theirs = getattr(F, name), getattr(T, name)
    for shape, dim in [((), 0), ((), -1), ((1,), 0), ((5,), -1), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), -3), ((2, 0), 0)]:
        check(lambda x, dim=dim: ours(x, dim), lambda x, dim=dim: theirs(x, dim), RNG.normal(size=shape) * 3)
    check(lambda x: ours(x, 0), lambda x: theirs(x, 0), np.array([1000.0, -1000.0, 0.0]))
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    assert ours(x, 1).dtype == ours(gn.asarray(x), 1).dtype == np.float32
    assert ours(x, 1, dtype=np.float64).dtype == ours(gn.asarray(x), 1, dtype="float64").dtype == np.float64
    assert ours(np.arange(3), 0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_a_softmax_without_an_axis_chooses_and_warns_as_pytorchs(name):
    layer = {"softmax": gn.nn.Softmax, "log_softmax": gn.nn.LogSoftmax, "softmin": gn.nn.Softmin}[name]()
    for n in range(5):
        x = RNG.normal(size=(2, 3, 2, 2)[:n])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = getattr(T, name)(torch.tensor(x)).numpy()
        for f in (getattr(F, name), layer):
            with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been deprecated") as told:
                assert np.allclose(f(x), expected, rtol=1e-14)
            assert told[0].filename == __file__


def test_the_temperature_of_gumbel_softmax():
    x = np.log(np.tile([0.5, 0.3, 0.2], (20000, 1)))
    hard = F.gumbel_softmax(gn.asarray(x), hard=True, generator=np.random.default_rng(0)).data
    assert np.allclose(hard.mean(0), [0.5, 0.3, 0.2], atol=0.02) and (np.sort(hard, -1) == [0, 0, 1]).all()
    soft = F.gumbel_softmax(x, tau=0.5, generator=np.random.default_rng(0))
    assert np.array_equal(hard, soft == soft.max(-1, keepdims=True)) and np.allclose(soft.sum(-1), 1)
    noise = -np.log(np.random.default_rng(0).standard_exponential(x.shape))
    assert np.array_equal(soft, F.softmax((x + noise) / 0.5, -1))


def test_gumbel_softmax_has_the_gradient_of_the_soft_draw():
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    for dim in (0, 1, -1):
        slopes = [gn.grad(lambda x, hard=hard, dim=dim: np.sum(w * F.gumbel_softmax(x, 0.7, hard, dim=dim, generator=np.random.default_rng(3))))(x)
                  for hard in (False, True)]  # fmt: skip
        assert np.allclose(slopes[0].data, slopes[1].data, rtol=1e-14)
        hard = F.gumbel_softmax(gn.asarray(x.astype(np.float32)), hard=True, dim=dim)
        assert hard.dtype == np.float32 and np.array_equal(hard.data.sum(dim), np.ones(x.shape[1 - dim % 2]))
    assert F.gumbel_softmax(np.array(1.0), hard=True) == 1
    drawn = gn.vmap(lambda x: F.gumbel_softmax(x, hard=True))(np.zeros((50, 4)))
    assert len(np.unique(drawn.data, axis=0)) == 4


def test_rrelu_in_training():
    a = RNG.normal(size=(40, 50))
    x = gn.Tensor(a, requires_grad=True)
    y = F.rrelu(x, 0.2, 0.4, True, generator=np.random.default_rng(2))
    y.sum().backward()
    below = a < 0
    assert np.array_equal(y.data[~below], a[~below]) and (x.grad[~below] == 1).all()
    slopes = x.grad[below]
    assert np.allclose(slopes, y.data[below] / a[below]) and abs(slopes.mean() - 0.3) < 0.01
    assert 0.2 <= slopes.min() < 0.21 and 0.39 < slopes.max() < 0.4
    assert np.array_equal(y.data, F.rrelu(a, 0.2, 0.4, True, generator=gn.random.default_rng(2)))
    assert F.rrelu(a.astype(np.float32), training=True).dtype == np.float32
    rows = gn.vmap(lambda x: F.rrelu(x, training=True))(-np.ones((2, 8)))
    assert not np.array_equal(rows[0].data, rows[1].data)


# --- layers ----------------------------------------------------------------------------------------------------------

LAYERS = [
    ("ReLU", (), {}), ("ReLU6", (), {}), ("SELU", (), {}), ("SiLU", (), {}), ("Mish", (), {}), ("Hardsigmoid", (), {}), ("Hardswish", (), {}),
    ("Sigmoid", (), {}), ("LogSigmoid", (), {}), ("Tanh", (), {}), ("Tanhshrink", (), {}), ("Softsign", (), {}), ("LeakyReLU", (), {}),
    ("LeakyReLU", (0.2,), {}), ("RReLU", (), {}), ("RReLU", (0.1, 0.2), {}), ("ELU", (), {}), ("ELU", (0.5,), {}), ("CELU", (), {}),
    ("CELU", (), {"alpha": 0.5}), ("Threshold", (0.1, 20), {}), ("Hardtanh", (), {}), ("Hardtanh", (-2, 0.5), {}), ("Hardshrink", (), {}),
    ("Hardshrink", (1.0,), {}), ("Softshrink", (), {}), ("Softshrink", (1.0,), {}), ("Softplus", (), {}), ("Softplus", (2, 1.5), {}),
    ("GELU", (), {}), ("GELU", ("tanh",), {}), ("PReLU", (), {}), ("PReLU", (4,), {"init": 0.1}), ("Softmax", (), {"dim": 1}), ("Softmin", (0,), {}),
    ("LogSoftmax", (-1,), {}), ("GLU", (), {}), ("GLU", (1,), {}), ("Softmax2d", (), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), LAYERS)
def test_layers(name, args, options):
    ours, theirs = getattr(gn.nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    for x in (RNG.normal(size=(2, 4, 3, 2)), RNG.normal(size=(2, 4, 2))):
        check_layer(ours.eval(), theirs.eval(), x, gradients=1e-7 if name == "Hardsigmoid" else 1e-10)  # where PyTorch's is not exact


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish", "LeakyReLU", "RReLU", "ELU", "CELU",
                                  "Hardtanh", "Threshold"])  # fmt: skip
def test_layers_in_place(name):
    args = (0.1, 20) if name == "Threshold" else ()
    ours, theirs = (getattr(nn, name)(*args, inplace=True).eval() for nn in (gn.nn, torch.nn))
    assert repr(ours) == repr(theirs) and ours.inplace
    x = gn.Tensor(RNG.normal(size=5))
    expected = theirs(torch.tensor(x.data.copy())).numpy()
    assert ours(x) is x and np.allclose(x.data, expected, rtol=1e-14)


def test_a_layer_with_random_slopes():
    layer, x = gn.nn.RReLU(generator=np.random.default_rng(0)), -np.ones(4)
    assert not np.array_equal(layer(x), layer(x)) and np.array_equal(layer.eval()(x), layer(x))


def test_slopes_that_are_learned():
    layer = gn.nn.PReLU(3, 0.1)
    assert layer.weight.dtype == np.float32 and gn.nn.PReLU(dtype=np.float64).weight.dtype == np.float64
    layer.weight.data[...] = 5
    layer.reset_parameters()
    assert np.array_equal(layer.weight.data, np.full(3, 0.1, np.float32))


def test_the_old_names_of_bounds():
    with pytest.warns(FutureWarning, match="min_val"):
        layer = gn.nn.Hardtanh(min_value=-3, max_value=2.0)
    assert (layer.min_val, layer.max_val) == (-3, 2.0)


# --- what is refused -------------------------------------------------------------------------------------------------

x = gn.Tensor(np.ones((2, 3)))
ERRORS = [
    (lambda: F.prelu(x, np.ones((1, 3))), gn.ShapeError, r"prelu: weight must .*one axis[^$]*weight  \(1, 3\)"),
    (lambda: F.prelu(x, np.ones(2)), gn.ShapeError, r"prelu: weight must .*3 channels[^$]*input   \(2, 3\)"),
    (lambda: F.prelu(np.ones(3), np.ones(3)), gn.ShapeError, "1 channels"),
    (lambda: F.glu(x), gn.ShapeError, "glu: .*dim=-1.*even"), (lambda: F.glu(x, 2), gn.ShapeError, "glu: .*dim=2"),
    (lambda: F.glu(np.array(1.0)), gn.ShapeError, "glu: .*dim=-1"),
    (lambda: F.gelu(x, "erf"), ValueError, "gelu: approximate must be 'none' or 'tanh', not 'erf'"),
    (lambda: F.softmax(x, 2), IndexError, r"softmax: dim must be from -2 to 1, not 2[^$]*\(2, 3\)"),
    (lambda: F.log_softmax(x, -3), IndexError, "log_softmax: dim"), (lambda: F.softmin(np.array(1.0), 1), IndexError, "softmin: dim .*-1 to 0"),
    (lambda: F.gumbel_softmax(x, dim=2), IndexError, "gumbel_softmax: dim"),
    (lambda: F.gumbel_softmax(np.ones(3, int)), TypeError, "gumbel_softmax: logits .*int"),
    (lambda: F.celu(x, 0), ValueError, "celu: alpha must not be 0"), (lambda: F.softshrink(x, -1), ValueError, "softshrink: lambd .*-1"),
    (lambda: F.hardtanh(x, 2, 1), ValueError, "hardtanh: min_val .* 2 and 1"), (lambda: F.rrelu(x, 2, 1), ValueError, "rrelu: lower .* 2 and 1"),
    (lambda: F.elu(x, x), TypeError, "elu: alpha must be a number"), (lambda: F.hardshrink(x, "a"), TypeError, "hardshrink: lambd must be a number"),
    (lambda: F.leaky_relu(x, gn.Tensor(0.1, requires_grad=True)), TypeError, "leaky_relu: negative_slope must be a number"),
    (lambda: gn.nn.Hardtanh(1, 1), ValueError, "Hardtanh: max_val must be larger"), (lambda: gn.nn.Softmax2d()(x), gn.ShapeError, "Softmax2d: input"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_gumbel_softmax_warns_of_eps():
    with pytest.warns(UserWarning, match="eps"):
        F.gumbel_softmax(np.ones(3), eps=0.1)
