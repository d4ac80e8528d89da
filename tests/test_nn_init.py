"""The first values of parameters: bounds, moments and structure, and the scales that PyTorch's formulas give.

Read next: test_nn_module.py.
"""

import math

import numpy as np
import pytest

import gradnerve as gn

init = gn.nn.init

SHAPES = [(400, 300), (40, 30, 5, 3)]


def fresh(shape, dtype=np.float64):
    return gn.nn.Parameter(np.full(shape, np.nan, dtype))


def moments_are(x, mean, std):
    """Both within five standard errors."""
    assert abs(x.mean() - mean) < 5 * std / math.sqrt(x.size)
    assert abs(x.std() - std) < 5 * std / math.sqrt(x.size)


def gain_of(nonlinearity, a):
    return {"leaky_relu": math.sqrt(2 / (1 + a * a)), "relu": math.sqrt(2), "tanh": 5 / 3, "linear": 1, "selu": 3 / 4}[nonlinearity]


def scale(name, shape, **options):
    """The standard deviation that the papers give."""
    fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
    if name == "xavier":
        return options.get("gain", 1) * math.sqrt(2 / (fan_in + fan_out))
    fan = fan_out if options.get("mode") == "fan_out" else fan_in
    return gain_of(options.get("nonlinearity", "leaky_relu"), options.get("a", 0)) / math.sqrt(fan)


CASES = [("xavier", {}), ("xavier", {"gain": 2.5})]
CASES += [("kaiming", options) for options in (
    {}, {"a": math.sqrt(5)}, {"mode": "fan_out", "a": 0.2}, {"nonlinearity": "relu"}, {"nonlinearity": "tanh", "mode": "fan_out"},
    {"nonlinearity": "selu"},
)]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_scales_are_those_of_the_papers(name, options, shape):
    std, rng = scale(name, shape, **options), np.random.default_rng(0)
    w = getattr(init, f"{name}_uniform_")(fresh(shape), **options, generator=rng).data
    assert abs(np.abs(w).max() / (math.sqrt(3) * std) - 1) < 1e-3
    moments_are(w, 0, std)
    moments_are(getattr(init, f"{name}_normal_")(fresh(shape), **options, generator=rng).data, 0, std)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_scales_are_pytorchs(name, options):
    torch = pytest.importorskip("torch")
    for kind in ("uniform", "normal"):
        theirs = getattr(torch.nn.init, f"{name}_{kind}_")(torch.empty(500, 400), **options, generator=torch.Generator().manual_seed(0)).numpy()
        ours = getattr(init, f"{name}_{kind}_")(fresh((500, 400)), **options, generator=np.random.default_rng(0)).data
        assert abs(ours.std() / theirs.std() - 1) < 0.01
        assert kind == "normal" or abs(np.abs(ours).max() / np.abs(theirs).max() - 1) < 1e-3


def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid", "tanh", "relu",
                 "leaky_relu", "selu"):  # fmt: skip
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_uniform_and_normal():
    rng = np.random.default_rng(0)
    w = init.uniform_(fresh(10000), -1, 3, rng).data
    assert w.min() >= -1 and w.max() < 3
    moments_are(w, 1, 4 / math.sqrt(12))
    moments_are(init.normal_(fresh(10000), 2.0, 0.5, rng).data, 2.0, 0.5)


INTERVALS = [(0, 1, -2, 2), (1, 0.5, 0.9, 1.3), (0, 1, 4, 9), (0, 0.02, -2, 2), (5, 1, -1, 1), (0, 1, 7, 1e9), (0, 2, -1e9, 1)]


@pytest.mark.parametrize(("mean", "std", "a", "b"), INTERVALS)
def test_truncated_normal_numbers_have_the_distribution_that_was_asked_for(mean, std, a, b):
    stats = pytest.importorskip("scipy.stats")
    w = init.trunc_normal_(fresh((100, 200)), mean, std, a, b, np.random.default_rng(0)).data
    assert a <= w.min() and w.max() <= b
    assert stats.kstest(w.ravel(), stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std).cdf).pvalue > 1e-3


def test_truncated_normal_numbers_without_width():
    assert init.trunc_normal_(fresh(3), 5.0, 0.0, -2, 2).tolist() == [2.0] * 3
    assert init.trunc_normal_(fresh(2), 5.0, 1.0, 3, 3).tolist() == [3.0] * 2
    assert init.trunc_normal_(fresh(0)).shape == (0,)
    with pytest.raises(ValueError, match="a <= b"):
        init.trunc_normal_(fresh(2), a=1, b=0)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3), (2, 4, 3, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(fresh(shape), gain=2.0, generator=np.random.default_rng(0)).data.reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_all_equally_likely():
    rng = np.random.default_rng(0)
    traces = np.array([np.trace(init.orthogonal_(fresh((4, 4)), generator=rng).data) for _ in range(2000)])
    moments_are(traces, 0, 1)  # Haar measure


def test_sparse():
    w = init.sparse_(fresh((50, 400)), 0.15, std=0.3, generator=np.random.default_rng(0)).data
    assert ((w == 0).sum(0) == 8).all()  # 7.5, rounded up
    moments_are(w[w != 0], 0, 0.3)
    assert len({tuple(column) for column in (w == 0).T}) > 300


@pytest.mark.parametrize(("shape", "groups"), [((4, 3, 3), 1), ((4, 6, 3, 4), 2), ((6, 2, 3, 3, 3), 3), ((3, 5, 1), 1)])
def test_dirac_and_eye_are_pytorchs(shape, groups):
    torch = pytest.importorskip("torch")
    assert init.dirac_(fresh(shape), groups).tolist() == torch.nn.init.dirac_(torch.empty(shape), groups).tolist()
    assert init.eye_(fresh(shape[:2])).tolist() == torch.nn.init.eye_(torch.empty(shape[:2])).tolist()


def test_they_write_in_place_outside_of_the_graph_in_the_tensors_dtype():
    p = fresh((3, 4), np.float32)
    array = p.data
    more = init.uniform_, init.normal_, init.trunc_normal_, lambda t: init.constant_(t, 0.3), lambda t: init.sparse_(t, 0.1)
    for fill in (init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_, init.eye_, init.zeros_, init.ones_, *more):
        assert fill(p) is p and p.data is array and array.dtype == np.float32 and np.isfinite(array).all()
    assert p.is_leaf and p.requires_grad


def test_the_same_seed_gives_the_same_numbers():
    random = (init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_,
              init.orthogonal_, lambda t, **options: init.sparse_(t, 0.5, **options))  # fmt: skip
    for fill in random:
        gn.manual_seed(3)
        first, second = fill(fresh((4, 5))).tolist(), fill(fresh((4, 5))).tolist()
        gn.manual_seed(3)
        assert fill(fresh((4, 5))).tolist() == first != second
        own = [fill(fresh((4, 5)), generator=make(7)).tolist() for make in (np.random.default_rng, gn.random.default_rng)]
        assert own[0] == own[1]


@pytest.mark.parametrize(("kind", "call", "words"), [
    (ValueError, lambda: init.xavier_uniform_(fresh(3)), r"xavier_uniform_: .* at least 2 axes[^$]*\(3,\)"),
    (ValueError, lambda: init.kaiming_normal_(fresh((3, 3)), mode="fan"), "kaiming_normal_: mode must be 'fan_in' or 'fan_out', not 'fan'"),
    (ValueError, lambda: init.kaiming_normal_(fresh((3, 3)), nonlinearity="gelu"), "nonlinearity must be one of .*'gelu'"),
    (ValueError, lambda: init.calculate_gain("leaky_relu", True), "slope"),
    (ValueError, lambda: init.eye_(fresh(3)), "eye_: takes a matrix"),
    (ValueError, lambda: init.dirac_(fresh((3, 3))), "dirac_: .* 3, 4 or 5 axes"),
    (ValueError, lambda: init.dirac_(fresh((3, 3, 3)), 2), "2 groups"),
    (ValueError, lambda: init.orthogonal_(fresh(3)), "orthogonal_: .* 2 axes"),
    (ValueError, lambda: init.sparse_(fresh((3, 3, 3)), 0.1), "sparse_: takes a matrix"),
    (ValueError, lambda: init.sparse_(fresh((3, 3)), 2), "from 0 to 1"),
])  # fmt: skip
def test_errors(kind, call, words):
    with pytest.raises(kind, match=words):
        call()
