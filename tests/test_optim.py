"""Optimisers take PyTorch's steps: parameters and state after 100 of them, for every option, in both precisions."""

import copy
import warnings

import numpy as np
import pytest
from as_torch import torch

import gradnerve as gn
from gradnerve import nn, optim
from gradnerve.kernels import updates

CASES = {
    "SGD": [{"lr": 0.01}, {"lr": 0.01, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            {"lr": 0.01, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}, {"lr": 0.001, "maximize": True, "weight_decay": 0.1}],
    "Adam": [{}, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-5}, {"lr": 0.02, "amsgrad": True, "betas": (0.8, 0.9)},
             {"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.01, "maximize": True},
             {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.01, "betas": (0.0, 0.9)}],
    "AdamW": [{"lr": 0.02}, {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}],
    "Adamax": [{"lr": 0.02}, {"lr": 0.02, "betas": (0.7, 0.9), "weight_decay": 0.1, "maximize": True}],
    "NAdam": [{"lr": 0.02}, {"lr": 0.02, "weight_decay": 0.1, "momentum_decay": 0.1},
              {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{"lr": 0.02}, {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.1},
              {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}],
    "Adagrad": [{"lr": 0.05}, {"lr": 0.05, "lr_decay": 0.1, "initial_accumulator_value": 0.3, "weight_decay": 0.1}],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.7, "weight_decay": 0.1, "eps": 1e-4}],
    "RMSprop": [{"lr": 0.005}, {"lr": 0.005, "alpha": 0.8, "momentum": 0.5, "weight_decay": 0.1}, {"lr": 0.005, "centered": True, "eps": 1e-3},
                {"lr": 0.005, "centered": True, "momentum": 0.9, "alpha": 0.9, "eps": 1e-2}],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (1e-3, 0.5)}, {"maximize": True}],
    "ASGD": [{}, {"lr": 0.05, "lambd": 0.01, "t0": 20, "alpha": 0.6, "weight_decay": 0.1}],
}  # fmt: skip
EACH = [pytest.param(name, options, id=f"{name}-{k}") for name, cases in CASES.items() for k, options in enumerate(cases)]
SHAPES = [(7, 5), (5,), (), (3, 0), (130, 41)]
PRECISIONS = [pytest.param(np.float64, 1e-11, id="float64"), pytest.param(np.float32, 5e-5, id="float32")]
STEPS = 100


def gradients(step, p, k):
    """Of a function with many valleys that changes from step to step; None for one parameter now and then."""
    if k == 1 and step % 7 == 3:
        return None
    return (np.sin(3 * p + k) + 0.3 * p + np.cos(step * (k + 1.0))).astype(p.dtype)


class Theirs:
    def __init__(self, arrays, name, options):
        self.tensors = [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
        self.optimizer = getattr(torch.optim, name)(self.tensors, **options)

    def step(self, n):
        for k, t in enumerate(self.tensors):
            g = gradients(n, t.detach().numpy(), k)
            t.grad = None if g is None else torch.tensor(g)
        self.optimizer.step()


class Ours:
    def __init__(self, arrays, name, options):
        self.tensors = [nn.Parameter(a) for a in arrays]
        self.optimizer = getattr(optim, name)(self.tensors, **options)

    def step(self, n):
        for k, t in enumerate(self.tensors):
            t.grad = gradients(n, t._array, k)
        self.optimizer.step()


@pytest.fixture
def double_scalars():
    """PyTorch keeps some numbers (NAdam's, ASGD's) in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def starts(dtype, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    scale = 1 + 1j if dtype is np.complex128 else 1
    return [np.asarray(scale * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1, abs(wanted).max(initial=0)))


@pytest.mark.parametrize("dtype, tolerance", PRECISIONS)
@pytest.mark.parametrize("name, options", EACH)
def test_trajectory_and_state_are_pytorchs(name, options, dtype, tolerance, double_scalars):
    ours, theirs = Ours(starts(dtype), name, options), Theirs(starts(dtype), name, options)
    for n in range(STEPS):
        ours.step(n)
        theirs.step(n)
    for p, q in zip(ours.tensors, theirs.tensors, strict=True):
        assert p.dtype == dtype
        close(p.data, q.detach().numpy(), tolerance)
    state = theirs.optimizer.state_dict()["state"]
    for k, known in ours.optimizer.state_dict()["state"].items():
        for key, what in known.items():
            if not (name == "NAdam" and dtype is np.float32):  # the product of 100 numbers
                close(np.asarray(what), state[k][key].numpy(), 20 * tolerance)
        assert known.keys() == state[k].keys()


@pytest.mark.parametrize("name, options", EACH)
def test_a_large_parameter_is_updated_by_several_threads_as_by_one(name, options):
    """Elements do not know of each other: a parameter of 200,000 goes where many small ones go, to the last bit."""
    large = starts(np.float32, [(200_000,)])
    small = np.split(large[0], 40)
    one, many = (Ours(arrays, name, options) for arrays in (large, small))
    for n in range(4):
        one.tensors[0].grad = g = gradients(n, one.tensors[0].data, 0)
        for p, part in zip(many.tensors, np.split(g, 40), strict=True):
            p.grad = part
        one.optimizer.step()
        many.optimizer.step()
    np.testing.assert_array_equal(one.tensors[0].data, np.concatenate([p.data for p in many.tensors]))


def test_lion_is_its_paper_in_numpy():
    p, m, lr, b1, b2, decay = starts(np.float64)[0], 0.0, 0.01, 0.9, 0.97, 0.2
    ours = Ours([p], "Lion", {"lr": lr, "betas": (b1, b2), "weight_decay": decay})
    for n in range(STEPS):
        g = gradients(n, p, 0)
        ours.step(n)
        p = p - lr * (np.sign(b1 * m + (1 - b1) * g) + decay * p)
        m = b2 * m + (1 - b2) * g
    close(ours.tensors[0].data, p, 1e-12)
    close(ours.optimizer.state[ours.tensors[0]]["exp_avg"], m, 1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD"])
def test_complex_parameters_are_pairs_of_numbers(name, double_scalars):
    arrays = starts(np.complex128, [(4, 3), (2,)])
    ours, theirs = Ours(arrays, name, {}), Theirs(arrays, name, {})
    for n in range(20):
        g = [np.sin(n + 1 + a) for a in arrays]
        for p, q, each in zip(ours.tensors, theirs.tensors, g, strict=True):
            p.grad, q.grad = each, torch.tensor(each)
        ours.optimizer.step()
        theirs.optimizer.step()
    for p, q in zip(ours.tensors, theirs.tensors, strict=True):
        close(p.data, q.detach().numpy(), 1e-11)


@pytest.mark.parametrize("name, options", EACH)
def test_saved_and_loaded_it_goes_on_as_before(name, options):
    first = Ours(starts(np.float32), name, options)
    for n in range(5):
        first.step(n)
    second = Ours([p.data for p in first.tensors], name, {})
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    for n in range(5, 10):
        first.step(n)
        second.step(n)
    for p, q in zip(first.tensors, second.tensors, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("name, options", EACH)
def test_it_goes_on_from_pytorchs_state(name, options, double_scalars):
    theirs = Theirs(starts(np.float64), name, options)
    for n in range(5):
        theirs.step(n)
    ours = Ours([q.detach().numpy() for q in theirs.tensors], name, {})
    state = theirs.optimizer.state_dict()
    state = {"state": {k: {key: getattr(x, "numpy", lambda x=x: x)() for key, x in known.items()} for k, known in state["state"].items()},
             "param_groups": state["param_groups"]}  # fmt: skip
    ours.optimizer.load_state_dict(state)
    for n in range(5, 20):
        ours.step(n)
        theirs.step(n)
    for p, q in zip(ours.tensors, theirs.tensors, strict=True):
        close(p.data, q.detach().numpy(), 1e-11)


def test_state_dict_is_a_copy():
    ours = Ours(starts(np.float64), "Adam", {})
    ours.step(0)
    before = ours.optimizer.state_dict()
    kept = copy.deepcopy(before)
    ours.step(1)
    np.testing.assert_array_equal(before["state"][0]["exp_avg"], kept["state"][0]["exp_avg"])
    assert before["state"][0]["step"] == 1


def test_a_copied_optimizer_has_parameters_of_its_own():
    ours = Ours(starts(np.float64), "Adam", {})
    ours.step(0)
    tensors, optimizer = copy.deepcopy((ours.tensors, ours.optimizer))
    assert optimizer.param_groups[0]["params"][0] is tensors[0]
    np.testing.assert_array_equal(optimizer.state[tensors[0]]["exp_avg"], ours.optimizer.state[ours.tensors[0]]["exp_avg"])


# ------------------------------------------------------------------------------------------ what is updated, and what not


def pair():
    return [nn.Parameter(np.array([1.0, -2.0])), nn.Parameter(np.array([3.0]))]


DECAYING = {"lr": 0.1, "weight_decay": 0.5}


@pytest.mark.parametrize("look", [lambda p: None, lambda p: p.grad, lambda p: print(p.grad), lambda p: nn.utils.clip_grad_norm_([p], 1.0)])
def test_what_no_gradient_reached_stays_as_it_is(look):
    used, unused = pair()
    optimizer = optim.SGD([used, unused], **DECAYING)
    (used**2).sum().backward()
    look(unused)
    optimizer.step()
    assert used.data[0] != 1
    assert unused.data[0] == 3
    assert unused not in optimizer.state


@pytest.mark.parametrize("touch", [lambda p: setattr(p, "grad", np.zeros(1)), lambda p: (p * 0).sum().backward(),
                                   lambda p: p.grad.__setitem__(0, 1e-9)])  # fmt: skip
def test_a_gradient_of_zeros_is_a_gradient(touch):
    p = pair()[1]
    optimizer = optim.SGD([p], **DECAYING)
    touch(p)
    optimizer.step()
    assert abs(p.data[0] - 3 * 0.95) < 1e-8


def test_a_gradient_that_was_added_to_is_touched():
    p = pair()[1]
    p.grad += 0
    optim.SGD([p], **DECAYING).step()
    np.testing.assert_allclose(p.data, 3 * 0.95)


def test_zero_grad():
    used, unused = pair()
    optimizer = optim.SGD([used, unused], **DECAYING)
    (used**2).sum().backward()
    optimizer.zero_grad()
    optimizer.step()
    assert used.data.tolist() == [1, -2]
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert used.data.tolist() == [0.95, -1.9]


def test_gradients_of_a_graph_that_waits_are_those_of_its_own_values():
    """The step writes to an array of its own where a graph still needs the old one."""
    p = nn.Parameter(np.array([2.0]))
    y = (p**3).sum()
    p.grad = np.array([1.0])
    optim.SGD([p], lr=1.0).step()
    assert p.data[0] == 1
    p.grad = None
    y.backward()
    assert p.grad[0] == 12


@pytest.mark.parametrize("array", [np.asfortranarray(np.ones((3, 2))), np.ones((6, 4))[::2, ::2], np.ones((3, 2), ">f8"), np.ones((3, 2), np.float16),
                                   np.ones((3, 2), np.longdouble)], ids=["fortran", "strided", "swapped", "float16", "longdouble"])  # fmt: skip
def test_memory_that_the_kernel_cannot_step_through(array):
    p, plain = nn.Parameter(np.zeros_like(array)), nn.Parameter(np.ones((3, 2)))
    p.data = array
    both = [optim.Adam([each], lr=0.1, weight_decay=0.1) for each in (p, plain)]
    for n in range(5):
        g = np.arange(6.0).reshape(3, 2) - n
        for each, optimizer in zip((p, plain), both, strict=True):
            each.grad = g
            optimizer.step()
    assert p.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_allclose(p.data, plain.data, rtol=2e-3 if array.dtype == np.float16 else 1e-14)


def test_the_array_that_asarray_wrapped_is_written_to():
    a = np.array([1.0])
    p = gn.asarray(a).requires_grad_()
    p.grad = np.array([1.0])
    optim.SGD([p], lr=0.25).step()
    assert a[0] == 0.75


def test_groups_have_their_own_options():
    p, q = pair()
    optimizer = optim.SGD([{"params": [p], "lr": 1.0}, {"params": q}], lr=0.1)
    p.grad, q.grad = np.ones(2), np.ones(1)
    optimizer.step()
    assert p.data.tolist() == [0, -3]
    assert q.data[0] == 2.9
    optimizer.param_groups[1]["lr"] = 1.0
    optimizer.step()
    assert q.data[0] == 1.9
    r = nn.Parameter(np.ones(1))
    optimizer.add_param_group({"params": [r], "momentum": 0.5})
    r.grad = np.ones(1)
    optimizer.step()
    assert "momentum_buffer" in optimizer.state[r]


def test_parameters_may_come_with_names():
    model = nn.Linear(2, 2)
    optimizer = optim.AdamW(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][1] is model.bias


def test_closure_is_called_with_recording_on_and_its_loss_returned():
    p = pair()[0]
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with gn.no_grad():
        assert float(optimizer.step(closure)) == 5
    np.testing.assert_allclose(p.data, [0.8, -1.6])


def test_hooks_run_around_a_step_until_they_are_removed():
    seen = []
    optimizer = optim.SGD(pair(), lr=0.1)
    handles = [optimizer.register_step_pre_hook(lambda *call: seen.append("before")),
               optimizer.register_step_post_hook(lambda *call: seen.append("after"))]  # fmt: skip
    optimizer.step()
    handles[0].remove()
    optimizer.step()
    assert seen == ["before", "after", "after"]


def test_groups_may_do_without_momentum_under_nesterov():
    arrays, found = starts(np.float64), []
    for library, parameter in ((optim, nn.Parameter), (torch.optim, lambda a: torch.tensor(a, requires_grad=True))):
        tensors = [parameter(a.copy()) for a in arrays]
        groups = [{"params": tensors[:1], "momentum": 0}, {"params": tensors[1:2], "dampening": 0.5}, {"params": tensors[2:]}]
        optimizer = library.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
        for n in range(3):
            for k, (t, a) in enumerate(zip(tensors, arrays, strict=True)):
                t.grad = gradients(n, a, k) if library is optim else torch.tensor(gradients(n, a, k))
            optimizer.step()
        found.append([np.array(t.tolist()) for t in tensors])
    for mine, theirs in zip(*found, strict=True):
        close(mine, theirs, 1e-14)


def test_an_own_step_is_counted_and_has_hooks_around_it():
    class Own(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data -= group["lr"] * p.grad

    class Twice(optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            return super().step(closure)

    for kind, left in ((Own, 0.9), (Twice, 0.8)):
        p, seen = gn.Tensor([1.0], requires_grad=True), []
        optimizer = kind([p], lr=0.1)
        optimizer.register_step_pre_hook(lambda *call, seen=seen: seen.append(("before", *call[1:])))
        optimizer.register_step_post_hook(lambda *call, seen=seen: seen.append(("after", *call[1:])))
        scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
        p.grad = np.ones(1)
        optimizer.step(closure=None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # that the scheduler is ahead of the optimizer
            scheduler.step()
        np.testing.assert_allclose(p.data, [left])
        assert seen == [("before", (), {"closure": None}), ("after", (), {"closure": None})]


@pytest.mark.parametrize("make, name", [(lambda p: optim.Adam(p, betas=(0.0, 0.9)), "exp_avg"),
                                        (lambda p: optim.NAdam(p, betas=(0.0, 0.9)), "exp_avg"),
                                        (lambda p: optim.RMSprop(p, alpha=0.0, centered=True), "grad_avg")])  # fmt: skip
def test_a_mean_that_remembers_nothing_is_the_gradient(make, name):
    """Also after one that was 1e20 times as large."""
    p = pair()[0]
    optimizer = make([p])
    for size in (1e20, 1.0):
        p.grad = np.array([size, -size])
        optimizer.step()
    assert optimizer.state[p][name].tolist() == [1.0, -1.0]


def test_options_may_be_switched_on_later():
    p = pair()[0]
    optimizer = optim.Adam([p])
    for amsgrad in (False, True):
        optimizer.param_groups[0]["amsgrad"] = amsgrad
        p.grad = np.ones(2)
        optimizer.step()
    assert "max_exp_avg_sq" in optimizer.state[p]


def test_repr_shows_the_groups():
    assert repr(optim.SGD(pair(), lr=0.5)) == ("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.5\n    maximize: False\n    momentum: 0\n"
                                               "    nesterov: False\n    weight_decay: 0\n)")  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- errors


P = nn.Parameter(np.ones(2))


@pytest.mark.parametrize("make, error, words", [
    (lambda: optim.Adam(P), TypeError, "params is one Parameter; pass a list"),
    (lambda: optim.Adam([]), ValueError, "no parameters"),
    (lambda: optim.Adam([P, np.ones(2)]), TypeError, "parameter 1: is ndarray, not a Tensor"),
    (lambda: optim.Adam([gn.Tensor([1, 2])]), TypeError, "parameter 0: has dtype int64"),
    (lambda: optim.Adam([P * 2]), ValueError, "shape (2,) that was computed"),
    (lambda: optim.Adam([P, P]), ValueError, "parameter 1 of shape (2,) is there already"),
    (lambda: optim.Adam([{"params": [P]}, {"params": [P]}]), ValueError, "is there already"),
    (lambda: optim.Adam([{"lr": 1}]), TypeError, "a dict with 'params'"),
    (lambda: optim.Adam([{"params": {P}}]), TypeError, "a set has not"),
    (lambda: optim.Adam([P], lr=-1), ValueError, "Adam: lr is -1.0; it must be at least 0"),
    (lambda: optim.Adam([P], betas=(0.9, 1.0)), ValueError, "betas[1] is 1.0; it must be at least 0 and less than 1"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "nesterov needs a momentum"),
    (lambda: optim.NAdam([P], momentum_decay=-1), ValueError, "momentum_decay is -1"),
    (lambda: optim.Rprop([P], etas=(2, 3)), ValueError, "etas are 2 and 3"),
    (lambda: optim.RMSprop([P], alpha=-1), ValueError, "RMSprop: alpha is -1"),
    (lambda: optim.Adadelta([P], rho=2), ValueError, "rho is 2"),
])  # fmt: skip
def test_what_cannot_be_optimised(make, error, words):
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)


def test_a_state_that_does_not_fit_changes_nothing():
    ours = Ours(starts(np.float64), "Adam", {})
    ours.step(0)
    state = ours.optimizer.state_dict()
    other = Ours(starts(np.float64, [(7, 5), (5,), (), (3, 0), (130, 40)]), "Adam", {})
    with pytest.raises(ValueError, match=r"parameter 4: exp_avg has shape \(130, 41\), the parameter \(130, 40\)"):
        other.optimizer.load_state_dict(state)
    assert not other.optimizer.state
    with pytest.raises(ValueError, match=r"groups of \[5\] parameters, this optimizer of \[1\]"):
        Ours(starts(np.float64, [(2,)]), "Adam", {}).optimizer.load_state_dict(state)


def test_a_wrong_array_in_the_state_changes_no_parameter():
    ours = Ours(starts(np.float64), "Adam", {})
    ours.step(0)
    before = [p.data.copy() for p in ours.tensors]
    ours.optimizer.state[ours.tensors[4]]["exp_avg"] = np.zeros(3)
    with pytest.raises(ValueError, match="does not have the shape and dtype of its parameter"):
        ours.step(1)
    for p, a in zip(ours.tensors, before, strict=True):
        np.testing.assert_array_equal(p.data, a)


def test_the_kernel_steps_through_no_array_that_does_not_fit():
    def step(p, g, state, names=("mean",), numbers=(1.0,) * 6):
        return updates.step("lion", [p], [g], [state], names, [numbers])

    p, g = np.ones(3), np.ones(3)
    assert step(p, g, {"mean": np.zeros(3)})
    before = p.copy()
    for wrong in [([1.0], g, g), (p.astype(int), g, g), (np.ones(6)[::2], g, g), (p, np.ones(2), g), (p, g.astype("f4"), g), (p, g, np.ones(2)),
                  (p, g, np.ones(6)[::2]), (np.broadcast_to(1.0, 3), g, g)]:  # fmt: skip
        assert not step(*wrong[:2], {"mean": wrong[2]})
    with pytest.raises(ValueError, match="lion takes 1 to 3 arrays"):
        step(p, g, {}, ())
    with pytest.raises(ValueError, match="lion takes 6 numbers"):
        step(p, g, {"mean": g}, numbers=(1.0,) * 5)
    assert p.tolist() == before.tolist()
