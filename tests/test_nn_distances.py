"""normalize, cosine_similarity, pairwise_distance and pdist against PyTorch's, where lengths are 0, too."""

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn

F, TF = gn.nn.functional, torch.nn.functional
rng = np.random.default_rng(0)
inf = float("inf")


def numbers(*shape):
    return rng.normal(size=shape)


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, inf, -inf, -1.0])
@pytest.mark.parametrize(("shape", "dim"), [((3, 4), 1), ((2, 3, 4), -1), ((5,), 0), ((2, 3, 4), (0, 2)), ((2, 3, 4), 0)])
def test_normalize(p, shape, dim):
    check(lambda x: F.normalize(x, p, dim), lambda x: TF.normalize(x, p, dim), numbers(*shape), second=p != 0)


def test_normalize_short_vectors():
    x = np.array([[0.3, 0.4], [0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    check(lambda x: F.normalize(x, eps=1.0), lambda x: TF.normalize(x, eps=1.0), x, second=False)
    assert np.array_equal(F.normalize(np.array([[0.0, 0.0]])), [[0.0, 0.0]])
    assert float(F.normalize(np.array(3.0), dim=0)) == 1.0


def test_normalize_writes_into_out():
    x, out = numbers(3, 4), gn.Tensor(np.zeros((3, 4)))
    F.normalize(gn.Tensor(x), out=out)
    np.testing.assert_array_equal(out.data, F.normalize(x))


SHAPES = [((3, 4), (3, 4), 1), ((2, 3, 4), (3, 4), -1), ((4,), (4,), 0), ((3, 1), (3, 4), 1), ((2, 1, 4), (3, 1), 1)]


@pytest.mark.parametrize(("one", "other", "dim"), SHAPES)
def test_cosine_similarity(one, other, dim):
    check(lambda x, y: F.cosine_similarity(x, y, dim), lambda x, y: TF.cosine_similarity(x, y, dim), numbers(*one), numbers(*other))


@pytest.mark.parametrize("eps", [1e-8, 0.5, 10.0])
def test_cosine_similarity_of_short_vectors(eps):
    """PyTorch's derivative is that of the length itself, also where it counts as eps."""
    x = np.array([[1e-9, 0.0], [0.0, 0.0], [3.0, 4.0], [0.1, 0.2]])
    check(lambda x, y: F.cosine_similarity(x, y, 1, eps), lambda x, y: TF.cosine_similarity(x, y, 1, eps), x, numbers(4, 2), second=False)


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, inf, -inf])
@pytest.mark.parametrize(("one", "other"), [((3, 4), (3, 4)), ((4,), (4,)), ((3, 4), (4,)), ((2, 1, 4), (3, 4))])
def test_pairwise_distance(p, one, other):
    for options in ({}, {"eps": 0.1, "keepdim": True}):
        check(lambda x, y: F.pairwise_distance(x, y, p, **options), lambda x, y: TF.pairwise_distance(x, y, p, **options),  # noqa: B023
              numbers(*one), numbers(*other), second=abs(p) not in (0, 1, inf))  # fmt: skip


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, inf])
@pytest.mark.parametrize("shape", [(5, 3), (2, 1), (6, 2)])
def test_pdist(p, shape):
    """PyTorch's has no second derivative, but norms of differences have."""
    one, two = np.triu_indices(shape[0], 1)
    check(lambda x: F.pdist(x, p), lambda x: TF.pdist(x, p), numbers(*shape), second=False)
    check(lambda x: F.pdist(x, p), lambda x: (x[one] - x[two]).norm(p, -1), numbers(*shape), second=p not in (0, 1, inf))


def test_pdist_without_pairs():
    for n in (0, 1):
        assert F.pdist(np.ones((n, 3))).shape == gn.grad(lambda x: F.pdist(x).sum())(np.ones((n, 3))).shape[:0] + (0,)


@pytest.mark.parametrize("p", [0, 1, 1.5, 2, 3, inf])
def test_pdist_of_equal_points(p):
    x = np.array([[1.0, 2.0], [1.0, 2.0], [4.0, 6.0], [4.0, 1.0]])
    check(lambda x: F.pdist(x, p), lambda x: TF.pdist(x, p), x, second=False)
    assert not np.isnan(gn.grad(lambda x: (gn.grad(lambda x: F.pdist(x, p).sum())(x) ** 2).sum())(x).data).any()


def test_single_precision_and_many_examples():
    x, y = numbers(3, 4, 2).astype("f"), numbers(4, 2).astype("f")
    for f in (F.cosine_similarity, F.pairwise_distance, lambda x, y: F.normalize(x + y), lambda x, y: F.pdist(x * y)):
        out = gn.vmap(f, (0, None))(x, y)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, np.stack([f(each, y) for each in x]), rtol=1e-5)


def test_layers():
    check_layer(gn.nn.CosineSimilarity(), torch.nn.CosineSimilarity(), numbers(3, 4), numbers(3, 4))
    check_layer(gn.nn.CosineSimilarity(0, 0.1), torch.nn.CosineSimilarity(0, 0.1), numbers(3, 4), numbers(3, 4))
    check_layer(gn.nn.PairwiseDistance(3, 0.1, True), torch.nn.PairwiseDistance(3, 0.1, True), numbers(3, 4), numbers(3, 4))
    for name in ("CosineSimilarity", "PairwiseDistance"):
        assert repr(getattr(gn.nn, name)()) == repr(getattr(torch.nn, name)())


x = np.ones((2, 3))
ERRORS = [
    (lambda: F.normalize(x, dim=2), ValueError, r"normalize: dim=2 is no axis[^$]*input  \(2, 3\)"),
    (lambda: F.normalize(x, dim=(0, 5)), ValueError, "dim=5"),
    (lambda: F.normalize(x.astype(int)), TypeError, "normalize: input must hold real floating-point numbers, not int64"),
    (lambda: F.cosine_similarity(x, np.ones((4, 3))), ValueError, r"cosine_similarity: x1 and x2 do not broadcast[^$]*\(4, 3\)"),
    (lambda: F.cosine_similarity(x, x, -3), ValueError, "cosine_similarity: dim=-3"),
    (lambda: F.cosine_similarity(x, x, (0, 1)), ValueError, r"cosine_similarity: dim=\(0, 1\)"),
    (lambda: F.pairwise_distance(x, np.ones(2)), ValueError, r"pairwise_distance: x1 and x2 do not broadcast[^$]*\(2,\)"),
    (lambda: F.pairwise_distance(np.array(1.0), np.array(2.0)), ValueError, "pairwise_distance: x1 and x2 must be"),
    (lambda: F.pairwise_distance(x, x.astype(complex)), TypeError, "pairwise_distance: x2 must hold real"),
    (lambda: F.pdist(np.ones(3)), ValueError, r"pdist: input must be \(N, M\)[^$]*\(3,\)"),
    (lambda: F.pdist(x, -1), ValueError, "pdist: p must not be negative"),
]


@pytest.mark.parametrize(("call", "kind", "match"), ERRORS)
def test_errors(call, kind, match):
    with pytest.raises(kind, match=match):
        call()
