"""Losses and their layers against PyTorch: values, first and second derivatives, kinks, warnings and errors."""

import warnings
from functools import partial

import numpy as np
import pytest
from as_torch import check, check_layer, close, torch

import gradnerve as gn

F, N = gn.nn.functional, gn.nn
T, TN = torch.nn.functional, torch.nn
rng = np.random.default_rng(3)
pytestmark = pytest.mark.filterwarnings("ignore:reduction:UserWarning", "ignore:kl_div:UserWarning", "ignore:Using a target size:UserWarning",
                                        "ignore:.*so they are broadcast:UserWarning")


def numbers(*shape, scale=2.0):
    return np.asarray(rng.normal(size=shape) * scale)


def probabilities(*shape):
    return np.asarray(rng.uniform(0.05, 0.95, shape))


def apart(*shape):
    """Numbers whose differences keep away from all margins: differences of PyTorch's gradients must not meet a kink."""
    return 0.37 * rng.integers(-8, 9, shape)


def signs(*shape):
    return rng.choice([-1.0, 1.0], shape)


def both(args, change):
    """The arguments, with arrays of whole numbers and constants changed into PyTorch's tensors or left as they are."""
    return [change(a) if isinstance(a, np.ndarray) else a for a in args]


def agree(name, *args, constant=(), **options):
    """Ours and PyTorch's, differentiated by every array of floats that is not among the constants (numbers of arguments, or names)."""
    places = [k for k, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype == float and k not in constant]
    tensors = {k: torch.tensor(a) if isinstance(a, np.ndarray) else a for k, a in options.items()}

    def call(function, change, options):
        def run(*arrays):
            given = both(args, change)
            for k, a in zip(places, arrays, strict=True):
                given[k] = a
            out = function(*given, **options)
            return out if change is np.asarray else out + 0 * sum((a * a).sum() for a in arrays)  # else zeros come in a class without .numpy()

        return run

    check(call(getattr(F, name), np.asarray, options), call(getattr(T, name), torch.tensor, tensors), *(args[k] for k in places))


REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(), (5,), (3, 4), (2, 3, 2)]
DISTANCES = [("mse_loss", {}), ("l1_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.5}), ("smooth_l1_loss", {"beta": 0.0}),
             ("huber_loss", {}), ("huber_loss", {"delta": 2.5})]  # fmt: skip


# ---- element by element --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "options"), DISTANCES)
def test_distances(name, options, reduction):
    for shape in SHAPES:
        agree(name, numbers(*shape), numbers(*shape), reduction=reduction, **options)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_distances_with_weights(name, reduction):
    agree(name, numbers(3, 4), numbers(3, 4), reduction=reduction, weight=probabilities(3, 4))


@pytest.mark.parametrize(("name", "options"), DISTANCES)
def test_distances_of_shapes_that_differ_warn_and_broadcast(name, options):
    with pytest.warns(UserWarning, match=rf"{name}: target has the shape \(3, 1\)"):
        getattr(F, name)(np.zeros((3, 4)), np.zeros((3, 1)), **options)
    agree(name, numbers(3, 4), numbers(4), **options)
    agree(name, numbers(3, 1), numbers(4), reduction="none", **options)
    with pytest.raises(gn.ShapeError, match=rf"{name}: target must have the shape"):
        getattr(F, name)(np.zeros((3, 4)), np.zeros(3), **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_binary_cross_entropy(shape, reduction):
    agree("binary_cross_entropy", probabilities(*shape), probabilities(*shape), reduction=reduction)
    agree("binary_cross_entropy", probabilities(*shape), probabilities(*shape), reduction=reduction, weight=probabilities(*shape))
    agree("binary_cross_entropy_with_logits", numbers(*shape), probabilities(*shape), reduction=reduction)
    agree("binary_cross_entropy_with_logits", numbers(*shape), probabilities(*shape), reduction=reduction, weight=probabilities(*shape))
    agree("binary_cross_entropy_with_logits", numbers(*shape), probabilities(*shape), reduction=reduction, pos_weight=probabilities(*shape[-1:]))


def test_binary_cross_entropy_at_its_ends():
    x, y = np.array([0.0, 1.0, 0.0, 1.0, 1e-50, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.5])
    ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss, expected = F.binary_cross_entropy(ours, y, reduction="none"), T.binary_cross_entropy(theirs, torch.tensor(y), reduction="none")
    close(loss, expected, 1e-12, "value")
    loss.sum().backward()
    expected.sum().backward()
    close(ours.grad, theirs.grad, 1e-12, "gradient")


def test_logits_far_from_zero_neither_overflow_nor_vanish():
    x, y = np.array([1000.0, -1000.0, 1000.0, -1000.0]), np.array([1.0, 0.0, 0.0, 1.0])
    with np.errstate(all="raise", under="ignore"):
        for name in ("binary_cross_entropy_with_logits", "soft_margin_loss"):
            t = gn.Tensor(x, requires_grad=True)
            loss = getattr(F, name)(t, y, reduction="none")
            loss.sum().backward()
            assert np.isfinite(loss.data).all()
            assert np.isfinite(t.grad).all()


@pytest.mark.parametrize("alpha", [0.25, -1])
@pytest.mark.parametrize("gamma", [2, 1.5, 0])
def test_sigmoid_focal_loss(alpha, gamma):
    def theirs(x, y):
        p = torch.sigmoid(x)
        loss = T.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - (p * y + (1 - p) * (1 - y))) ** gamma
        return loss if alpha < 0 else (alpha * y + (1 - alpha) * (1 - y)) * loss

    check(lambda x, y: F.sigmoid_focal_loss(x, y, alpha, gamma), theirs, numbers(3, 4), probabilities(3, 4))
    x, y = numbers(3, 4), probabilities(3, 4)
    close(F.sigmoid_focal_loss(x, y, alpha, gamma, "mean"), theirs(torch.tensor(x), torch.tensor(y)).mean(), 1e-12, "mean")


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_kl_div(reduction):
    for shape in SHAPES[1:]:
        agree("kl_div", numbers(*shape), probabilities(*shape), reduction=reduction)
        agree("kl_div", numbers(*shape), numbers(*shape), reduction=reduction, log_target=True)
    agree("kl_div", numbers(2, 3), np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]), constant=[1], reduction=reduction)
    agree("kl_div", numbers(2, 3), probabilities(3), reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_poisson_and_gaussian(reduction):
    counts = rng.uniform(0.1, 5, (3, 4))
    for full in (False, True):
        agree("poisson_nll_loss", numbers(3, 4), counts, reduction=reduction, full=full)
        agree("poisson_nll_loss", probabilities(3, 4), counts, False, reduction=reduction, full=full, eps=1e-3)
        for shape in ((3, 4), (3, 1), (3,), (1, 4)):
            agree("gaussian_nll_loss", numbers(3, 4), numbers(3, 4), probabilities(*shape), reduction=reduction, full=full)
        agree("gaussian_nll_loss", numbers(3, 4), numbers(3, 4), 0.3, reduction=reduction, full=full)
    agree("gaussian_nll_loss", numbers(3), numbers(3), np.array([0.1, 0.3, 0.2]), eps=0.25, reduction=reduction)


# ---- classes -------------------------------------------------------------------------------------------------------------


def classes_of(*shape):
    """Shapes of the input -> some of the target's classes."""
    return rng.integers(0, shape[1] if len(shape) > 1 else shape[0], shape[:1] * (len(shape) > 1) + shape[2:])


CLASSES = [(5,), (4, 5), (3, 5, 2), (2, 3, 2, 2)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", CLASSES)
def test_cross_entropy_of_labels(shape, reduction):
    for smoothing in (0.0, 0.1, 1.0):
        for weight in (None, probabilities(shape[min(len(shape) - 1, 1)])):
            agree("cross_entropy", numbers(*shape), classes_of(*shape), weight, label_smoothing=smoothing, constant=[2], reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", CLASSES)
def test_cross_entropy_of_probabilities(shape, reduction):
    axis = min(len(shape) - 1, 1)
    target = probabilities(*shape)
    for smoothing in (0.0, 0.1):
        for weight in (None, probabilities(shape[axis])):
            agree("cross_entropy", numbers(*shape), target / target.sum(axis, keepdims=True), weight, label_smoothing=smoothing, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", CLASSES[1:])
@pytest.mark.parametrize("ignored", [-100, 1, 77])
def test_ignored_labels_count_nothing(shape, reduction, ignored):
    target = classes_of(*shape)
    target.flat[::3] = ignored
    for weight in (None, probabilities(shape[1])):
        agree("nll_loss", numbers(*shape), target, weight, constant=[2], ignore_index=ignored, reduction=reduction)
        for smoothing in (0.0, 0.2):
            options = {"ignore_index": ignored, "reduction": reduction, "label_smoothing": smoothing}
            agree("cross_entropy", numbers(*shape), target, weight, constant=[2], **options)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 1.0])])
def test_if_all_labels_are_ignored_the_mean_is_nan(name, weight):
    x, target = numbers(2, 3), np.array([-100, -100])
    with np.errstate(all="raise"):
        t = gn.Tensor(x, requires_grad=True)
        assert np.isnan(getattr(F, name)(t, target, weight).data)
        assert getattr(F, name)(t, target, weight, reduction="sum").data == 0
        assert getattr(F, name)(t, target, weight, reduction="none").data.tolist() == [0, 0]
        getattr(F, name)(t, target, weight, reduction="sum").backward()
    assert not t.grad.any()


def test_rows_that_are_ignored_may_hold_anything():
    x = np.array([[np.nan, 0.0], [0.0, 0.0]])
    for name in ("cross_entropy", "nll_loss"):
        t = gn.Tensor(x, requires_grad=True)
        loss = getattr(F, name)(t, np.array([-100, 1]))
        loss.backward()
        assert np.isfinite(loss.data)
        assert t.grad[0].tolist() == [0, 0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", CLASSES)
def test_nll_loss(shape, reduction):
    for weight in (None, probabilities(shape[min(len(shape) - 1, 1)])):
        agree("nll_loss", numbers(*shape), classes_of(*shape), weight, constant=[2], reduction=reduction)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (70, 33), (5, 5000), (9, 2, 20000), (4, 100, 3), (2, 21, 5, 7), (40, 3000, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_give_what_numpy_gives(shape, dtype):
    """Values along the last axis to the last bit, whichever way the rows are shared; all else but for rounding."""
    x, g = numbers(*shape, scale=4).astype(dtype), numbers(*shape).astype(dtype)
    x.flat[0] = -np.inf
    for axis in (-1, 1):
        for f in (gn.softmax, gn.log_softmax):
            t = gn.Tensor(x, requires_grad=True)
            with np.errstate(all="ignore"):
                out, reference = f(t, axis), f.function(x, axis)
                assert axis == 1 != t.ndim - 1 or np.array_equal(out.data, reference, equal_nan=True)
                close_to(out.data, reference, dtype)
                out.backward(g)
                total = (g * (out.data if f is gn.softmax else 1)).sum(axis, keepdims=True)
                close_to(t.grad, out.data * (g - total) if f is gn.softmax else g - np.exp(out.data) * total, dtype)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (70, 33), (5, 5000), (18, 20000), (4, 100, 3), (2, 21, 5, 7), (40, 3000, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_and_small_cross_entropies(shape, dtype):
    x, target = numbers(*shape, scale=4).astype(dtype), classes_of(*shape)
    target.flat[1::4] = -100
    for reduction in REDUCTIONS:
        ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        loss, expected = F.cross_entropy(ours, target, reduction=reduction), T.cross_entropy(theirs, torch.tensor(target), reduction=reduction)
        close_to(loss.data, expected.detach().numpy(), dtype)
        close_to(loss.data, F.cross_entropy(np.asfortranarray(x), target, reduction=reduction), dtype)
        seed = numbers(*loss.shape).astype(dtype)
        loss.backward(seed)
        expected.backward(torch.tensor(seed))
        close_to(ours.grad, theirs.grad.numpy(), dtype)


def close_to(found, expected, dtype):
    eps, expected = np.finfo(dtype).eps, np.asarray(expected)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=50 * eps, atol=50 * eps * np.abs(expected[np.isfinite(expected)]).max(initial=0))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margins_of_classes(reduction):
    for options in ({}, {"p": 2}, {"margin": 0.3}, {"p": 2, "margin": 2.0, "weight": probabilities(5)}, {"weight": probabilities(5)}):
        agree("multi_margin_loss", apart(4, 5), np.array([0, 4, 2, 2]), reduction=reduction, **options)
        agree("multi_margin_loss", apart(5), np.array(3), reduction=reduction, **options)
    agree("multilabel_margin_loss", apart(4, 4), np.array([[3, 0, -1, 1], [-1, 2, 0, 1], [2, 1, 0, 3], [1, -1, -1, 3]]), reduction=reduction)
    agree("multilabel_margin_loss", apart(4), np.array([3, 0, -1, 1]), reduction=reduction)
    for weight in (None, probabilities(4), probabilities(3, 4)):
        agree("multilabel_soft_margin_loss", numbers(3, 4), probabilities(3, 4), weight, constant=[2], reduction=reduction)


# ---- ranking -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_targets_of_one_and_minus_one(reduction):
    for margin in (0.0, 0.4, 1.0):
        agree("hinge_embedding_loss", numbers(3, 4), signs(3, 4), margin, constant=[1], reduction=reduction)
        agree("margin_ranking_loss", numbers(5), numbers(5), signs(5), margin, reduction=reduction)
        agree("margin_ranking_loss", numbers(3, 4), numbers(3, 1), signs(1, 4), margin, constant=[2], reduction=reduction)
        agree("cosine_embedding_loss", numbers(5, 3), numbers(5, 3), signs(5), margin - 0.3, constant=[2], reduction=reduction)
        agree("cosine_embedding_loss", numbers(3), numbers(3), np.array(-1), margin - 0.8, reduction=reduction)
    agree("soft_margin_loss", numbers(3, 4), signs(3, 4), constant=[1], reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
def test_triplets(reduction, swap):
    for shape in ((4, 3), (3,)):
        three = numbers(*shape), numbers(*shape), numbers(*shape)
        for p in (1, 2, 3.5):
            agree("triplet_margin_loss", *three, 2.0, p, 1e-3, swap=swap, reduction=reduction)
        agree("triplet_margin_with_distance_loss", *three, swap=swap, reduction=reduction)
        options = {"distance_function": lambda x, y: ((x - y) ** 2).sum(-1), "margin": 3.0, "swap": swap, "reduction": reduction}
        check(partial(F.triplet_margin_with_distance_loss, **options), partial(T.triplet_margin_with_distance_loss, **options), *three)


# ---- kinks ---------------------------------------------------------------------------------------------------------------


KINKS = [("l1_loss", [0.0, 1.0], np.zeros(2), {}), ("smooth_l1_loss", [0.5, -0.5, 0.0], np.zeros(3), {"beta": 0.5}),
         ("smooth_l1_loss", [0.0, 1.0], np.zeros(2), {"beta": 0.0}), ("huber_loss", [2.0, -2.0, 0.0], np.zeros(3), {"delta": 2.0}),
         ("hinge_embedding_loss", [1.0, 2.0], -np.ones(2), {}), ("multi_margin_loss", [[1.0, 0.0, 0.5]], np.array([0]), {}),
         ("multi_margin_loss", [[1.0, 0.0, 0.5]], np.array([0]), {"p": 2}), ("multilabel_margin_loss", [[1.0, 0.0, 0.5]], np.array([[0, -1, 0]]), {}),
         ("cosine_embedding_loss", [[1.0, 0.0]], np.array([[0.0, 1.0]]), {"target": np.array([-1.0])})]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "y", "options"), KINKS)
def test_kinks(name, x, y, options):
    ours, theirs = gn.Tensor(x, requires_grad=True), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    getattr(F, name)(ours, y, reduction="sum", **options).backward()
    options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    getattr(T, name)(theirs, torch.tensor(y), reduction="sum", **options).backward()
    close(ours.grad, theirs.grad, 1e-12, name)


def test_kinks_of_ranking():
    x = np.array([[1.0, 2.0]])
    for name, args in (("margin_ranking_loss", (x, x, np.ones((1, 2)))), ("triplet_margin_loss", (x, x, x + np.array([[1.0, 0.0]]), 1.0, 2, 0.0))):
        ours = [gn.Tensor(a, requires_grad=True) if isinstance(a, np.ndarray) else a for a in args]
        theirs = [torch.tensor(a, requires_grad=True) if isinstance(a, np.ndarray) else a for a in args]
        getattr(F, name)(*ours, reduction="sum").backward()
        getattr(T, name)(*theirs, reduction="sum").backward()
        for a, b in zip(ours[:3], theirs[:3], strict=True):
            close(a.grad, b.grad, 1e-12, name)


# ---- what they take ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
def test_former_names_of_the_reduction(size_average, reduce):
    x, y = numbers(3, 4), numbers(3, 4)
    if size_average is reduce is None:
        return
    with pytest.warns(UserWarning, match="deprecated"):
        ours = F.mse_loss(x, y, size_average, reduce), N.MSELoss(size_average, reduce)(x, y), F.cross_entropy(x, y, None, size_average, -100, reduce)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [f(torch.tensor(x), torch.tensor(y), *args) for f, args in ((T.mse_loss, (size_average, reduce)),
                  (TN.MSELoss(size_average, reduce), ()), (T.cross_entropy, (None, size_average, -100, reduce)))]  # fmt: skip
    for a, b in zip(ours, theirs, strict=True):
        close(np.asarray(a), b, 1e-12, "value")


def test_results_have_the_dtype_of_the_input():
    x, y, labels = numbers(3, 4).astype(np.float32), probabilities(3, 4), np.array([0, 1, 2])
    for f in (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.binary_cross_entropy_with_logits, F.multilabel_soft_margin_loss,
              F.soft_margin_loss, F.poisson_nll_loss, F.sigmoid_focal_loss):  # fmt: skip
        assert np.asarray(f(x, y)).dtype == np.float32
    for weight in (None, probabilities(4)):
        for f in (F.cross_entropy, F.nll_loss, lambda x, labels, weight: F.multi_margin_loss(x, labels, weight=weight)):
            assert np.asarray(f(x, labels, weight)).dtype == np.float32
            assert np.asarray(f(x, labels.astype(np.int32), weight)).dtype == np.float32
    assert F.cross_entropy(x, labels, label_smoothing=0.1).dtype == np.float32
    assert F.cross_entropy is gn.cross_entropy


def test_losses_of_each_example():
    x, y, labels = numbers(6, 3, 4), probabilities(6, 3, 4), rng.integers(0, 4, (6, 3))
    labels[2, 1] = -100
    for f, target in ((F.mse_loss, y), (F.binary_cross_entropy_with_logits, y), (F.cross_entropy, labels), (F.nll_loss, labels),
                      (F.multi_margin_loss, np.abs(labels) % 4), (lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), labels),
                      (F.cross_entropy, y)):  # fmt: skip
        found = gn.vmap(gn.grad(f))(x, target)
        for k in range(6):
            np.testing.assert_allclose(found.data[k], gn.grad(f)(x[k], target[k]).data, rtol=1e-12, atol=1e-15)


# ---- layers --------------------------------------------------------------------------------------------------------------


x, y, p, labels = numbers(4, 5), numbers(4, 5), probabilities(4, 5), rng.integers(0, 5, 4)
LAYERS = [
    ("CrossEntropyLoss", {}, labels),
    ("CrossEntropyLoss", {"weight": probabilities(5), "label_smoothing": 0.1, "reduction": "none"}, labels),
    ("NLLLoss", {"weight": probabilities(5), "ignore_index": 2}, labels),
    ("BCELoss", {"weight": probabilities(5)}, p),
    ("BCEWithLogitsLoss", {"weight": probabilities(4, 5), "pos_weight": probabilities(5)}, p),
    ("MSELoss", {}, y),
    ("L1Loss", {"reduction": "sum"}, y),
    ("SmoothL1Loss", {"beta": 0.7}, y),
    ("HuberLoss", {"delta": 0.7}, y),
    ("KLDivLoss", {"reduction": "batchmean"}, p),
    ("KLDivLoss", {"log_target": True}, y),
    ("HingeEmbeddingLoss", {"margin": 0.5}, signs(4, 5)),
    ("MarginRankingLoss", {"margin": 0.5}, y, signs(4, 5)),
    ("MultiMarginLoss", {"p": 2, "weight": probabilities(5)}, labels),
    ("MultiLabelMarginLoss", {}, np.tile([1, 0, -1, 2, 2], (4, 1))),
    ("MultiLabelSoftMarginLoss", {"weight": probabilities(5)}, p),
    ("SoftMarginLoss", {}, signs(4, 5)),
    ("TripletMarginLoss", {"swap": True}, y, p),
    ("TripletMarginWithDistanceLoss", {"margin": 0.5}, y, p),
    ("CosineEmbeddingLoss", {"margin": 0.1}, y, signs(4)),
    ("PoissonNLLLoss", {"full": True}, p),
    ("GaussianNLLLoss", {"full": True}, y, p),
]


@pytest.mark.parametrize(("name", "options", "others"), [(name, options, others) for name, options, *others in LAYERS])
def test_layers(name, options, others):
    theirs = getattr(TN, name)(**{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()})
    ours = getattr(N, name)(**options)
    assert repr(ours) == repr(theirs)
    for attribute, value in vars(theirs).items():
        assert attribute.startswith("_") or getattr(ours, attribute) == value, attribute

    def call(layer, x):
        if isinstance(x, torch.Tensor):
            return layer(x, *map(torch.tensor, others)) + 0 * (x * x).sum()
        return layer(x, *others)

    check_layer(ours, theirs, p if name == "BCELoss" else x, call=call)


# ---- errors --------------------------------------------------------------------------------------------------------------

z, k = np.zeros((4, 3)), np.zeros(4, int)
ERRORS = [
    (F.cross_entropy, (z, np.array([0, 1, 2, 3])), {}, IndexError, "cross_entropy: target holds the class 3; there are 3 classes"),
    (F.cross_entropy, (z, np.array([0, -100, 2, -1])), {}, IndexError, "class -1"),
    (F.cross_entropy, (z, k, np.ones(4)), {}, gn.ShapeError, "3 classes"),
    (F.cross_entropy, (z, k), {"label_smoothing": 1.5}, ValueError, "label_smoothing"),
    (F.cross_entropy, (z, k), {"reduction": "max"}, ValueError, "'max'"),
    (F.cross_entropy, (z, k[:3]), {}, gn.ShapeError, r"shape \(4,\)"),
    (F.cross_entropy, (z, z[:, :2]), {}, gn.ShapeError, r"shape \(4, 3\)"),
    (F.cross_entropy, (z, k > 0), {}, TypeError, "bool"),
    (F.nll_loss, (z, k + 3), {}, IndexError, "nll_loss: target holds the class 3; there are 3"),
    (F.nll_loss, (z, z), {}, TypeError, "nll_loss: target"),
    (F.nll_loss, (z, k[:2]), {}, gn.ShapeError, r"of shape \(4,\)"),
    (F.nll_loss, (z, k, np.ones(2)), {}, gn.ShapeError, "nll_loss: weight"),
    (F.nll_loss, (np.array(1.0), np.array(0)), {}, gn.ShapeError, "class axis"),
    (F.nll_loss, (z, k, np.ones(3)), {"reduction": "no"}, ValueError, "'no'"),
    (F.mse_loss, (z, z), {"reduction": "average"}, ValueError, "mse_loss: reduction"),
    (F.mse_loss, (z, z), {"weight": np.ones(3)}, gn.ShapeError, "weight"),
    (F.l1_loss, (z, z), {"weight": np.ones(3)}, gn.ShapeError, "l1_loss: weight"),
    (F.smooth_l1_loss, (z, z), {"beta": -1}, ValueError, "beta"),
    (F.huber_loss, (z, z), {"delta": 0}, ValueError, "delta"),
    (F.huber_loss, (z, z), {"weight": np.ones(3)}, gn.ShapeError, "huber_loss: weight"),
    (F.binary_cross_entropy, (z + 1.5, z), {}, ValueError, r"from 0 to 1, not 1\.5"),
    (F.binary_cross_entropy, (z - 1, z), {}, ValueError, r"not -1\.0"),
    (F.binary_cross_entropy, (z * np.nan, z), {}, ValueError, "probabilities"),
    (F.binary_cross_entropy, (z, z[:1]), {}, gn.ShapeError, "target"),
    (F.binary_cross_entropy_with_logits, (z, z[:1]), {}, gn.ShapeError, "with_logits: target"),
    (F.sigmoid_focal_loss, (z, z[:1]), {}, gn.ShapeError, "focal"),
    (F.kl_div, (z, z), {"reduction": "x"}, ValueError, "kl_div: reduction"),
    (F.gaussian_nll_loss, (z, z, z - 1), {}, ValueError, "negative"),
    (F.gaussian_nll_loss, (z, z, np.ones((4, 2))), {}, gn.ShapeError, "var must"),
    (F.gaussian_nll_loss, (z, z, np.ones((1, 1))), {}, gn.ShapeError, "var must"),
    (F.margin_ranking_loss, (z, z, k), {}, gn.ShapeError, "margin_ranking_loss"),
    (F.soft_margin_loss, (z, z[0]), {}, gn.ShapeError, "soft_margin_loss"),
    (F.cosine_embedding_loss, (z, z, z), {}, gn.ShapeError, r"\(N, D\)"),
    (F.cosine_embedding_loss, (z, z[0], k), {}, gn.ShapeError, "cosine"),
    (F.multi_margin_loss, (z, k), {"p": 3}, ValueError, "p must be 1 or 2"),
    (F.multi_margin_loss, (z, k + 3), {}, IndexError, "class 3; there are 3"),
    (F.multi_margin_loss, (z, k, 1, 1.0, np.ones(2)), {}, gn.ShapeError, "multi_margin_loss: weight"),
    (F.multi_margin_loss, (z, z[:, 0]), {}, TypeError, "int"),
    (F.multilabel_margin_loss, (z, z.astype(int) + 3), {}, IndexError, "class 3"),
    (F.multilabel_margin_loss, (z, k), {}, gn.ShapeError, r"\(4, 3\)"),
    (F.multilabel_margin_loss, (z[None], k), {}, gn.ShapeError, r"\(N, C\) or \(C,\)"),
    (F.multilabel_soft_margin_loss, (z, k), {}, gn.ShapeError, "target"),
    (F.triplet_margin_loss, (z, z, z, 0.0), {}, ValueError, "margin must be positive"),
    (F.triplet_margin_loss, (z, z, z[0]), {}, gn.ShapeError, "axes"),
    (N.MSELoss, (), {"reduction": "average"}, ValueError, "MSELoss: reduction"),
    (N.MultiMarginLoss, (3,), {}, ValueError, "p must be"),
    (N.TripletMarginLoss, (-1.0,), {}, ValueError, "TripletMarginLoss: margin"),
    (N.MSELoss, (), {"reduction": "batchmean"}, ValueError, "MSELoss"),
]


@pytest.mark.parametrize(("function", "args", "options", "error", "words"), ERRORS)
def test_errors_say_what_is_wrong(function, args, options, error, words):
    with pytest.raises(error, match=words):
        function(*args, **options)
    tensors = [gn.Tensor(a, requires_grad=True) if isinstance(a, np.ndarray) and a.dtype == float else a for a in args]
    with pytest.raises(error, match=words):
        function(*tensors, **options)


@pytest.mark.filterwarnings("ignore:size_average")
@pytest.mark.parametrize("former", [{"size_average": False}, {"reduce": False}, {"size_average": True}], ids=str)
def test_former_arguments_of_kl_div(former):
    agree("kl_div", np.log(probabilities(2, 3)), probabilities(2, 3), **former)


def test_the_reduction_in_third_place():
    logits, labels = numbers(3, 4), np.array([0, 3, 1])
    each = gn.cross_entropy(logits, labels, reduction="none")
    assert np.allclose(gn.cross_entropy(logits, labels, "sum"), np.sum(each), rtol=1e-14)
