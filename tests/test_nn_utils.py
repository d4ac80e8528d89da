"""What is done with parameters: clipped gradients, vectors, calls with other tensors, and weights that are computed from others.

Read next: test_nn_init.py.
"""

import copy
import math
import pickle

import numpy as np
import pytest
from as_torch import check, check_layer, torch

import gradnerve as gn

nn, utils, tutils = gn.nn, gn.nn.utils, torch.nn.utils
rng = np.random.default_rng(0)

pytestmark = pytest.mark.usefixtures("rows_return")


def parameters_with_gradients(dtype):
    """The same parameters, of the same gradients, here and in PyTorch; and one whose gradient nobody asked for."""
    draw = np.random.default_rng(0)
    shapes = [(3, 4), (5,), (), (2, 1, 3)]
    ours, theirs = [], []
    for shape in shapes:
        gradient = draw.normal(size=shape).astype(dtype)
        ours.append(nn.Parameter(np.zeros(shape, dtype)))
        theirs.append(torch.nn.Parameter(torch.zeros(shape, dtype=torch.float32 if dtype is np.float32 else torch.float64)))
        ours[-1].grad, theirs[-1].grad = gradient, torch.tensor(gradient)
    return [*ours, nn.Parameter([1.0], requires_grad=False)], theirs


def same_gradients(ours, theirs, dtype):
    for p, q in zip(ours, theirs, strict=False):
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-6 if dtype is np.float32 else 1e-13)


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm_type", [2, 1, 0.5, 3.0, float("inf"), float("-inf"), 0])
@pytest.mark.parametrize("max_norm", [0.1, 1000.0])
def test_norms_and_clipped_gradients_are_pytorchs(dtype, norm_type, max_norm):
    ours, theirs = parameters_with_gradients(dtype)
    total = utils.clip_grad_norm_(ours, max_norm, norm_type)
    expected = tutils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(total, expected.numpy(), rtol=1e-6 if dtype is np.float32 else 1e-13)
    assert total.dtype == dtype
    same_gradients(ours, theirs, dtype)


def test_clipped_values_are_pytorchs():
    ours, theirs = parameters_with_gradients(np.float64)
    utils.clip_grad_value_(iter(ours), 0.3)
    tutils.clip_grad_value_(theirs, 0.3)
    same_gradients(ours, theirs, np.float64)


def test_norms_of_gradients_that_are_not_finite_not_there_or_of_nobody():
    p = nn.Parameter([1.0, 2.0])
    assert utils.clip_grad_norm_(p, 1.0) == 0 and p.grad.tolist() == [0.0, 0.0]
    assert utils.clip_grad_norm_([], 1.0) == 0
    p.grad = np.array([np.inf, 1.0])
    with pytest.raises(RuntimeError, match=r"total norm of order 2.0 of the gradients is inf"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]
    q = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    for bad in (math.inf, math.nan):
        p.grad, q.grad = np.array([bad, 1.0]), torch.tensor([bad, 1.0], dtype=torch.float64)
        utils.clip_grad_norm_(p, 1.0)
        tutils.clip_grad_norm_(q, 1.0)
        np.testing.assert_array_equal(p.grad, q.grad.numpy())


def test_a_norm_may_be_taken_first_and_clipped_by_later():
    ours, theirs = parameters_with_gradients(np.float64)
    total = utils.get_total_norm([gn.asarray(p.grad) for p in ours[:-1]])
    utils.clip_grads_with_norm_(ours, 0.5, total)
    tutils.clip_grads_with_norm_(theirs, 0.5, tutils.get_total_norm([p.grad for p in theirs]))
    same_gradients(ours, theirs, np.float64)


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_parameters_become_a_vector_and_come_back():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.tolist() == [x for p in net.parameters() for x in p.data.ravel().tolist()]
    (vector * np.arange(11)).sum().backward()
    assert net[1].bias.grad.tolist() == [10.0]
    utils.vector_to_parameters(np.arange(11.0), net.parameters())
    assert net[0].weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] and net[1].bias.dtype == np.float32
    with pytest.raises(ValueError, match="vector of 11 elements"):
        utils.vector_to_parameters(np.arange(12.0), net.parameters())


# --- calls with other tensors ----------------------------------------------------------------------------------------


def test_a_call_with_other_tensors_leaves_the_module_as_it_was():
    net = nn.Sequential(nn.Linear(3, 2), nn.Identity())
    net[1].register_buffer("b", gn.Tensor([1.0]))
    net[1].tied = net[0]
    before = dict(net.named_parameters()) | dict(net.named_buffers())
    weight, x = gn.Tensor(np.ones((2, 3)), requires_grad=True), np.arange(3.0)
    out = utils.functional_call(net, ({"0.weight": weight}, {"0.bias": np.array([5.0, 6.0])}), x)
    assert out.tolist() == [8.0, 9.0]
    out.sum().backward()
    assert weight.grad.tolist() == [[0.0, 1.0, 2.0]] * 2
    for call in (lambda: utils.functional_call(net, {"0.weight": np.ones((4, 7))}, (x,)), lambda: utils.functional_call(net, {"0.w": weight}, x),
                 lambda: utils.functional_call(net, {"0.weight": weight}, x, strict=True)):  # fmt: skip
        with pytest.raises((ValueError, KeyError)):
            call()
    after = dict(net.named_parameters()) | dict(net.named_buffers())
    assert all(after[name] is t and net[0]._parameters["weight"] is net[0].weight for name, t in before.items())


@pytest.mark.parametrize("tie", [True, False])
def test_tied_weights_are_replaced_together(tie):
    def make(of):
        class Net(of.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = of.Linear(2, 2, bias=False), of.Linear(2, 2, bias=False)
                self.b.weight = self.a.weight

            def forward(self, x):
                return self.b(self.a(x))

        return Net()

    ours, theirs = make(nn).double(), make(torch.nn).double()
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    out = utils.functional_call(ours, {"a.weight": 2 * np.eye(2)}, np.ones(2), tie_weights=tie)
    expected = torch.func.functional_call(theirs, {"a.weight": 2 * torch.eye(2).double()}, torch.ones(2).double(), tie_weights=tie)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12)


# --- weights that are computed ---------------------------------------------------------------------------------------


def layers():
    """Pairs of a layer here and in PyTorch, and an input."""
    yield nn.Linear(3, 4).double(), torch.nn.Linear(3, 4), rng.normal(size=(5, 3))
    yield nn.Conv2d(2, 3, 3).double(), torch.nn.Conv2d(2, 3, 3), rng.normal(size=(2, 2, 5, 5))
    yield nn.ConvTranspose1d(2, 3, 3).double(), torch.nn.ConvTranspose1d(2, 3, 3), rng.normal(size=(2, 2, 5))


@pytest.mark.parametrize("dim", [0, 1, -1, None])
@pytest.mark.parametrize("of", [lambda u: u, lambda u: u.parametrizations])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_weight_norm(dim, of):
    for ours, theirs, x in layers():
        before = ours.weight.data.copy()
        ours, theirs = of(utils).weight_norm(ours, dim=dim), of(tutils).weight_norm(theirs, dim=dim)
        np.testing.assert_allclose(ours.weight.data, before, rtol=1e-5)
        check_layer(ours, theirs, x, second=False)  # PyTorch's second derivative takes the norms for constants
        assert repr(ours) == repr(theirs)


def test_second_derivatives_of_weight_norm():
    layer = utils.weight_norm(nn.Linear(3, 4, bias=False).double())
    g, v, x = rng.normal(size=(4, 1)), rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    check(lambda g, v, x: utils.functional_call(layer, {"weight_g": g, "weight_v": v}, x),
          lambda g, v, x: x @ (v * (g / (v * v).sum(1, keepdim=True).sqrt())).T, g, v, x)  # fmt: skip


@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("of", [lambda u: u, lambda u: u.parametrizations])
def test_spectral_norm(dim, of):
    for ours, theirs, x in layers():
        ours, theirs = of(utils).spectral_norm(ours, dim=dim).eval(), of(tutils).spectral_norm(theirs, dim=dim).eval()
        check_layer(ours, theirs, x)
        assert repr(ours) == repr(theirs)
        ours.train()
        theirs.train()
        for _ in range(3):  # each call moves the singular vectors on
            np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-9)
        for name, t in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name], t.numpy(), rtol=1e-9, atol=1e-12)
        for _ in range(300):
            ours(x)
        with gn.no_grad():
            swapped = dim == 1 or (dim is None and isinstance(ours, nn.ConvTranspose1d))
            matrix = np.swapaxes(ours.weight.data, 0, 1) if swapped else ours.weight.data
        assert abs(np.linalg.norm(matrix.reshape(len(matrix), -1), 2) - 1) < 1e-6


def test_spectral_norm_of_a_vector_is_its_length():
    layer = utils.parametrizations.spectral_norm(nn.Linear(3, 4), "bias")
    assert abs(np.linalg.norm(layer.bias.data) - 1) < 1e-6


@pytest.mark.parametrize(("add", "remove"), [(utils.weight_norm, utils.remove_weight_norm), (utils.spectral_norm, utils.remove_spectral_norm)])
def test_a_computed_weight_follows_its_parts_and_can_be_kept(add, remove):
    layer = add(nn.Linear(3, 4))
    first = next(p for name, p in layer.named_parameters() if name != "bias")
    before = layer.weight.data.copy()
    first.data[...] += 1
    assert not np.allclose(layer.weight.data, before)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert list(other.state_dict()) == list(layer.state_dict())
        np.testing.assert_allclose(other.eval().weight.data, layer.weight.data)
        remove(other)
        assert not other._hooks
    weight = layer.weight.data.copy()
    remove(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"] and layer.weight.data.tolist() == weight.tolist() and layer.weight.requires_grad
    with pytest.raises(ValueError, match="is not under"):
        remove(layer)
    with pytest.raises(ValueError, match="has no parameter 'wait'"):
        add(layer, "wait")


# --- parametrizations ------------------------------------------------------------------------------------------------


def parametrizations(of, triu):
    class Symmetric(of.Module):
        def forward(self, x):
            return triu(x) + triu(x, 1).T

        def right_inverse(self, x):
            return triu(x)

    class Twice(of.Module):
        def forward(self, x):
            return 2 * x

    class Product(of.Module):
        def forward(self, a, b):
            return a * b

        def right_inverse(self, x):
            return x / 3, x * 0 + 3

    return Symmetric(), Twice(), Product()


def test_parametrizations_are_pytorchs():
    ours, theirs = nn.Linear(3, 3).double(), torch.nn.Linear(3, 3)
    for net, of, triu in ((ours, nn, np.triu), (theirs, torch.nn, torch.triu)):
        symmetric, twice, product = parametrizations(of, triu)
        register = of.utils.parametrize.register_parametrization
        register(net, "weight", symmetric)
        register(net, "weight", twice)
        register(net, "bias", product)
    check_layer(ours, theirs, rng.normal(size=(2, 3)))
    assert repr(ours) == repr(theirs)
    values = rng.normal(size=3)
    ours.bias, theirs.bias = gn.asarray(values), torch.tensor(values)
    np.testing.assert_allclose(ours.state_dict()["parametrizations.bias.original0"], theirs.state_dict()["parametrizations.bias.original0"].numpy())
    np.testing.assert_allclose(ours.bias.data, values)
    again = copy.deepcopy(ours)
    for left in (True, False):
        net = copy.deepcopy(again)
        weight, original = net.weight.data.copy(), net.parametrizations.weight.original.data.copy()
        utils.parametrize.remove_parametrizations(net, "weight", leave_parametrized=left)
        assert net.weight.tolist() == (weight if left else original).tolist() and isinstance(net.weight, nn.Parameter)
        assert utils.parametrize.is_parametrized(net, "bias") and not utils.parametrize.is_parametrized(net, "weight")
    utils.parametrize.remove_parametrizations(net, "bias")
    assert not utils.parametrize.is_parametrized(net) and sorted(net.state_dict()) == ["bias", "weight"] and type(net) is nn.Linear


def test_parametrizations_that_do_not_fit_are_refused():
    class Rows(nn.Module):
        def forward(self, x):
            return x[:1]

    layer = nn.Linear(3, 3)
    register, remove = utils.parametrize.register_parametrization, utils.parametrize.remove_parametrizations
    with pytest.raises(ValueError, match=r"Rows makes \(1, 3\) float32 of a tensor of \(3, 3\) float32.*unsafe"):
        register(layer, "weight", Rows())
    assert list(layer.state_dict()) == ["weight", "bias"]
    register(layer, "weight", Rows(), unsafe=True)
    assert layer.weight.shape == (1, 3)
    with pytest.raises(ValueError, match="no parameter or buffer 'wait'"):
        register(layer, "wait", Rows())
    with pytest.raises(ValueError, match="has no parametrization of 'bias'"):
        remove(layer, "bias")


def test_buffers_can_be_parametrized_too():
    layer = nn.Identity()
    layer.register_buffer("b", gn.Tensor([1.0, 2.0]))
    utils.parametrize.register_parametrization(layer, "b", parametrizations(nn, np.triu)[1])
    assert layer.b.tolist() == [2.0, 4.0] and list(layer.state_dict()) == ["parametrizations.b.original"] and not list(layer.parameters())
    utils.parametrize.remove_parametrizations(layer, "b")
    assert layer._buffers["b"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("how", "moves"), [("matrix_exp", True), ("cayley", True), ("householder", True), (None, True), ("householder", False)])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 4)])
def test_orthogonal_weights_are_pytorchs(how, shape, moves):
    ours, theirs = nn.Linear(*shape[::-1]).double(), torch.nn.Linear(*shape[::-1]).double()
    start = np.linalg.qr(rng.normal(size=(5, 5)))[0][: shape[0], : shape[1]] if moves else rng.normal(size=shape)
    ours.weight.data[...], theirs.weight.data[...] = start, torch.tensor(start)
    for layer, of in ((ours, nn), (theirs, torch.nn)):
        of.utils.parametrizations.orthogonal(layer, "weight", how, use_trivialization=moves)
    assert repr(ours) == repr(theirs)
    small = theirs.parametrizations.weight.original
    small.data += torch.tensor(rng.normal(size=shape)).tril(-1) if shape[0] >= shape[1] else torch.tensor(rng.normal(size=shape)).triu(1)
    if not moves:
        np.testing.assert_allclose(np.abs(ours.weight.data), np.abs(theirs_of(start)), atol=1e-10)
    check_layer(ours, theirs, rng.normal(size=(2, shape[1])))
    w = ours.weight.data
    np.testing.assert_allclose(w @ w.T if shape[0] < shape[1] else w.T @ w, np.eye(min(shape)), atol=1e-12)


def theirs_of(start):
    layer = torch.nn.Linear(*start.shape[::-1]).double()
    layer.weight.data[...] = torch.tensor(start)
    return torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map="householder", use_trivialization=False).weight.detach().numpy()


def test_an_orthogonal_weight_can_be_assigned():
    layer = utils.parametrizations.orthogonal(nn.Linear(3, 4).double())
    q = np.linalg.qr(rng.normal(size=(4, 3)))[0]
    layer.weight = q
    np.testing.assert_allclose(np.abs(layer.weight.data), np.abs(q), atol=1e-12)
    with pytest.raises(ValueError, match=r"shape \(4, 3\) is expected"):
        layer.weight = q.T
    with pytest.raises(ValueError, match="matrix_exp, cayley, householder"):
        utils.parametrizations.orthogonal(nn.Linear(3, 4), orthogonal_map="qr")
    with pytest.raises(NotImplementedError, match="cayley"):
        utils.parametrizations.orthogonal(nn.Linear(3, 4), orthogonal_map="cayley", use_trivialization=False)


def test_what_is_parametrized_is_computed_once_in_a_cached_block():
    layer = utils.parametrizations.weight_norm(nn.Linear(3, 4))
    with utils.parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_parametrizations_that_cannot_be():
    wanted = utils.parametrizations
    for call, message in [
        (lambda layer: utils.spectral_norm(layer, n_power_iterations=0), "at least 1, not 0"),
        (lambda layer: wanted.spectral_norm(layer, n_power_iterations=0), "at least 1, not 0"),
        (lambda layer: wanted.spectral_norm(layer, "none"), "no parameter or buffer 'none'"),
        (lambda layer: wanted.orthogonal(layer, "none"), "no parameter or buffer 'none'"),
        (lambda layer: utils.parametrize.remove_parametrizations(wanted.weight_norm(layer), "weight", leave_parametrized=False), "2 originals"),
    ]:
        layer = nn.Linear(3, 4)
        with pytest.raises(ValueError, match=message):
            call(layer)
        assert utils.parametrize.type_before_parametrizations(layer) is nn.Linear


def test_a_packed_sequence_of_a_pair():
    made = utils.rnn.PackedSequence((gn.Tensor([1.0, 2.0, 3.0]), np.array([2, 1])))
    assert made.data.tolist() == [1.0, 2.0, 3.0] and made.batch_sizes.tolist() == [2, 1] and made.cpu() is made
