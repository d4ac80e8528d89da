"""Schedulers of learning rates: PyTorch's numbers, a state that goes on where it was, and what the published formulas say."""

import math
import pickle
import warnings

import numpy as np
import pytest
from as_torch import torch

import gradnerve as gn
from gradnerve.optim import lr_scheduler as ours

STEPS = 200


def optimizer_of(library, kind="SGD", rates=(0.1, 0.02)):
    """An optimizer with two groups, of ours or of PyTorch."""
    if library is gn:
        groups = [{"params": [gn.nn.Parameter([1.0])], "lr": lr} for lr in rates]
    else:
        groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in rates]
    options = {"SGD": {"momentum": 0.9}, "Adam": {"betas": (0.9, 0.99)}, "plain": {}}[kind]
    return getattr(library.optim, "SGD" if kind == "plain" else kind)(groups, lr=1.0, **options)


def settings(optimizer):
    """What schedulers write: of each group the learning rate, and the momentum or betas."""
    return [(group["lr"], group.get("momentum", 0), *group.get("betas", ())) for group in optimizer.param_groups]


def run(optimizer, scheduler, steps):
    seen = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        seen.append(settings(optimizer))
    return np.array(seen)


def pair(make, kind="SGD"):
    """Both optimizers and schedulers."""
    mine, theirs = optimizer_of(gn, kind), optimizer_of(torch, kind)
    with warnings.catch_warnings(action="ignore"):  # PyTorch's SequentialLR steps those inside it before the optimizer
        return (mine, make(ours, mine)), (theirs, make(torch.optim.lr_scheduler, theirs))


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-18)


class Falling:
    """A function with something to remember."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, epoch):
        return 1 / (1 + self.rate * epoch)


CASES = {
    "lambda": lambda m, o: m.LambdaLR(o, lambda epoch: 0.97**epoch),
    "lambdas": lambda m, o: m.LambdaLR(o, [lambda epoch: epoch // 30, Falling(0.5)]),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda epoch: 0.9 + 0.1 / (epoch + 1)),
    "multiplicatives": lambda m, o: m.MultiplicativeLR(o, [Falling(0.001), lambda epoch: 0.98]),
    "step": lambda m, o: m.StepLR(o, 30),
    "step up": lambda m, o: m.StepLR(o, step_size=7, gamma=1.1),
    "milestones": lambda m, o: m.MultiStepLR(o, [30, 80, 80, 150], gamma=0.5),
    "milestone 0": lambda m, o: m.MultiStepLR(o, (0, 2)),
    "constant": lambda m, o: m.ConstantLR(o),
    "constant, long": lambda m, o: m.ConstantLR(o, factor=0.3, total_iters=77),
    "linear": lambda m, o: m.LinearLR(o),
    "linear down": lambda m, o: m.LinearLR(o, start_factor=1.0, end_factor=0.05, total_iters=150),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.95),
    "polynomial": lambda m, o: m.PolynomialLR(o),
    "polynomial, power": lambda m, o: m.PolynomialLR(o, total_iters=120, power=2.5),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, T_max=200),
    "cosine, waves": lambda m, o: m.CosineAnnealingLR(o, T_max=13, eta_min=0.001),
    "cosine, period 1": lambda m, o: m.CosineAnnealingLR(o, T_max=1),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=17),
    "restarts, longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=9, T_mult=2, eta_min=0.003),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, 0.1, step_size_up=20),
    "cyclic, lists": lambda m, o: m.CyclicLR(
        o, [0.01, 0.002], [0.1, 0.05], step_size_up=15, step_size_down=35, mode="triangular2", base_momentum=[0.7, 0.75], max_momentum=[0.9, 0.95]
    ),
    "cyclic, exponential": lambda m, o: m.CyclicLR(o, 0.01, 0.1, step_size_up=20, mode="exp_range", gamma=0.99, cycle_momentum=False),
    "cyclic, function": lambda m, o: m.CyclicLR(o, 0.01, 0.1, step_size_up=20, scale_fn=lambda x: 0.8 ** (x - 1), scale_mode="cycle"),
    "cyclic, object": lambda m, o: m.CyclicLR(o, 0.01, 0.1, step_size_up=20, scale_fn=Falling(0.01), scale_mode="iterations"),
    "cyclic, no fall": lambda m, o: m.CyclicLR(o, 0.01, 0.1, step_size_up=20, step_size_down=0),
    "one cycle": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=200),
    "one cycle, linear": lambda m, o: m.OneCycleLR(o, [0.5, 0.3], epochs=10, steps_per_epoch=25, anneal_strategy="linear", pct_start=0.4),
    "one cycle, three": lambda m, o: m.OneCycleLR(
        o, 0.5, total_steps=210, three_phase=True, div_factor=10, final_div_factor=50, base_momentum=[0.8, 0.7], max_momentum=[0.9, 0.85]
    ),
    "one cycle, from the top": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=200, pct_start=0.0, cycle_momentum=False),
    "sequence": lambda m, o: m.SequentialLR(o, [m.LinearLR(o, 0.1, total_iters=10), m.CosineAnnealingLR(o, T_max=190)], [10]),
    "sequence of three": lambda m, o: m.SequentialLR(o, [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9), m.StepLR(o, 10, 0.5)], [20, 60]),
    "sequence of restarts": lambda m, o: m.SequentialLR(o, [m.PolynomialLR(o, 30), m.CosineAnnealingWarmRestarts(o, 11, 2)], milestones=[30]),
    "sequence of functions": lambda m, o: m.SequentialLR(o, [m.MultiplicativeLR(o, lambda n: 0.9), m.LambdaLR(o, Falling(0.1))], [80]),
    "sequence, goes on": lambda m, o: m.SequentialLR(o, [m.StepLR(o, 3), m.MultiplicativeLR(o, lambda n: 0.9)], [20]),
    "sequence with cycles": lambda m, o: m.SequentialLR(o, [m.MultiStepLR(o, [5, 9]), m.OneCycleLR(o, 0.3, total_steps=180)], [20]),
    "sequence at once": lambda m, o: m.SequentialLR(o, [m.LinearLR(o), m.ExponentialLR(o, 0.99)], [0]),
    "sequence in a sequence": lambda m, o: m.SequentialLR(
        o, [m.SequentialLR(o, [m.ConstantLR(o, 0.5, 4), m.ExponentialLR(o, 0.9)], [10]), m.StepLR(o, 9, 0.7)], [40]
    ),
    "chain": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.97)]),
    "chain of many": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.2, total_iters=30), m.StepLR(o, 40, 0.5), m.MultiStepLR(o, [50, 90]), m.PolynomialLR(o, 250, 1.5)], optimizer=o
    ),
    "chain with a cosine": lambda m, o: m.ChainedScheduler([m.MultiplicativeLR(o, Falling(1e-4)), m.CosineAnnealingLR(o, 60)]),
    "chain with a sequence": lambda m, o: m.ChainedScheduler(
        [m.SequentialLR(o, [m.ConstantLR(o, 0.5, 4), m.ExponentialLR(o, 0.99)], [10]), m.StepLR(o, 50, 0.5)]
    ),
}
cases = pytest.mark.parametrize("make", CASES.values(), ids=CASES)
kind_of = lambda make: "Adam" if make in (CASES["cyclic, lists"], CASES["one cycle"], CASES["one cycle, three"]) else "SGD"


@cases
def test_200_steps_give_pytorchs_numbers(make):
    (optimizer, scheduler), (their_optimizer, theirs) = pair(make, kind_of(make))
    same(settings(optimizer), settings(their_optimizer))
    with warnings.catch_warnings(action="ignore"):
        wanted = run(their_optimizer, theirs, STEPS)
    same(run(optimizer, scheduler, STEPS), wanted)
    assert len(np.unique(wanted[:, 0, 0])) > 1


@cases
def test_a_resumed_run_goes_on_bit_for_bit(make):
    start = lambda: (optimizer := optimizer_of(gn, kind_of(make)), make(ours, optimizer))
    optimizer, scheduler = start()
    run(optimizer, scheduler, 63)
    saved = pickle.dumps((optimizer.state_dict(), scheduler.state_dict()))
    wanted = run(optimizer, scheduler, 137)
    state = pickle.loads(saved)
    assert is_plain(state[1]) and pickle.dumps(state) == saved
    optimizer, scheduler = start()
    scheduler.load_state_dict(state[1])
    optimizer.load_state_dict(state[0])
    assert scheduler.state_dict() == state[1]
    np.testing.assert_array_equal(run(optimizer, scheduler, 137), wanted)


def is_plain(x):
    if isinstance(x, dict):
        return type(x) is dict and all(isinstance(name, str | int) and is_plain(each) for name, each in x.items())
    return all(map(is_plain, x)) if type(x) is list else x is None or type(x) in (int, float, str, bool)


@cases
def test_the_state_of_pytorchs_scheduler_can_be_loaded(make):
    (optimizer, scheduler), (their_optimizer, theirs) = pair(make)
    with warnings.catch_warnings(action="ignore"):
        run(their_optimizer, theirs, 41)
        scheduler.load_state_dict(theirs.state_dict())
        for group, their_group in zip(optimizer.param_groups, their_optimizer.param_groups, strict=True):
            group.update({name: x for name, x in their_group.items() if name in group and name != "params"})
        same(run(optimizer, scheduler, 100), run(their_optimizer, theirs, 100))
    assert is_plain(scheduler.state_dict())


def test_a_state_that_was_taken_stays_as_it_was():
    optimizer = optimizer_of(gn)
    scheduler = CASES["chain of many"](ours, optimizer)
    state = scheduler.state_dict()
    kept = pickle.dumps(state)
    run(optimizer, scheduler, 5)
    assert pickle.dumps(state) == kept != pickle.dumps(scheduler.state_dict())


def test_objects_in_place_of_functions_keep_their_attributes():
    optimizer = optimizer_of(gn)
    state = ours.LambdaLR(optimizer, [Falling(0.25), lambda epoch: 1.0]).state_dict()
    assert state["lr_lambdas"] == [{"rate": 0.25}, None]
    other = ours.LambdaLR(optimizer, [Falling(7.0), math.exp])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].rate == 0.25 and other.lr_lambdas[1] is math.exp


# --- other ways to step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", "step,milestones,constant,linear,exponential,polynomial,cosine,lambda,cyclic,one cycle".split(","))
def test_steps_to_an_epoch_give_pytorchs_numbers(name):
    (optimizer, scheduler), (their_optimizer, theirs) = pair(CASES[name])
    for epoch in (0, 3, 30, 31, 80, 7, 200):
        optimizer.step(), their_optimizer.step()
        scheduler.step(epoch)
        with warnings.catch_warnings(action="ignore"):  # PyTorch calls this deprecated
            theirs.step(epoch)
        same(settings(optimizer), settings(their_optimizer))
        assert scheduler.last_epoch == epoch


@pytest.mark.parametrize("options", [{"T_0": 4}, {"T_0": 3, "T_mult": 2, "eta_min": 0.01}, {"T_0": 5, "T_mult": 3}])
def test_restarts_take_parts_of_epochs(options):
    (optimizer, scheduler), (their_optimizer, theirs) = pair(lambda m, o: m.CosineAnnealingWarmRestarts(o, **options))
    for epoch in [*np.arange(0, 30, 0.3).tolist(), 2, 17.5, None, None, 3.25, None]:
        optimizer.step(), their_optimizer.step()
        scheduler.step(epoch), theirs.step(epoch)
        same(settings(optimizer), settings(their_optimizer))
        assert scheduler.last_epoch == theirs.last_epoch and scheduler.T_i == theirs.T_i
        assert math.isclose(scheduler.T_cur, theirs.T_cur, abs_tol=1e-12)


def test_restarts_begin_where_powers_say():
    """Falls of 1, 3, 9, 27 and 81 epochs end at epoch 121; by a logarithm, which is rounded, this would be the last epoch of the fifth."""
    scheduler = ours.CosineAnnealingWarmRestarts(optimizer_of(gn), T_0=1, T_mult=3)
    for epoch in (1, 4, 13, 40, 121, 364):
        scheduler._update_lr(epoch)
        assert scheduler.get_last_lr() == [0.1, 0.02] and scheduler.T_cur == 0


@pytest.mark.parametrize("name", "step,constant,linear,exponential,polynomial,cosine,restarts,lambda,cyclic,one cycle".split(","))
def test_a_scheduler_can_begin_at_an_epoch(name):
    """With last_epoch, from groups that have been scheduled before."""
    (optimizer, scheduler), (their_optimizer, theirs) = pair(CASES[name])
    run(optimizer, scheduler, 29), run(their_optimizer, theirs, 29)
    options = {
        "step": {"step_size": 30}, "linear": {"total_iters": 50}, "exponential": {"gamma": 0.95}, "cosine": {"T_max": 200}, "restarts": {"T_0": 17},
        "lambda": {"lr_lambda": lambda epoch: 0.97**epoch}, "cyclic": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 20},
        "one cycle": {"max_lr": 0.5, "total_steps": 200}, "polynomial": {"total_iters": 90},
    }.get(name, {})  # fmt: skip
    again = type(scheduler)(optimizer, last_epoch=29, **options)
    their_again = type(theirs)(their_optimizer, last_epoch=29, **options)
    same(settings(optimizer), settings(their_optimizer))
    same(run(optimizer, again, 50), run(their_optimizer, their_again, 50))


def test_schedulers_on_the_same_optimizer_act_on_each_others_rates():
    (optimizer, _), (their_optimizer, _) = pair(lambda m, o: None)
    make = lambda m, o: (m.CosineAnnealingLR(o, 40), m.ExponentialLR(o, 0.99), m.ReduceLROnPlateau(o, patience=3))
    mine, theirs = make(ours, optimizer), make(torch.optim.lr_scheduler, their_optimizer)
    for epoch in range(100):
        for which, schedulers in ((optimizer, mine), (their_optimizer, theirs)):
            which.step()
            for scheduler in schedulers[:2]:
                scheduler.step()
            schedulers[2].step(math.sin(epoch))
        same(settings(optimizer), settings(their_optimizer))


def test_a_chain_may_follow_in_a_sequence():
    """It starts with the learning rates of the beginning, as by itself."""
    make = lambda o: ours.ChainedScheduler([ours.ConstantLR(o, 0.5, 3), ours.ExponentialLR(o, 0.9)])
    optimizer, alone = optimizer_of(gn), optimizer_of(gn)
    scheduler = ours.SequentialLR(optimizer, [ours.LinearLR(optimizer, 0.1), make(optimizer)], [8])
    chain = make(alone)
    wanted = np.concatenate([[settings(alone)], run(alone, chain, 10)])
    run(optimizer, scheduler, 7)
    same(run(optimizer, scheduler, 11), wanted)


def test_a_sequence_may_follow_in_a_sequence():
    optimizer, alone = optimizer_of(gn), optimizer_of(gn)
    make = lambda o: ours.SequentialLR(o, [ours.ConstantLR(o, 0.5, 3), ours.ExponentialLR(o, 0.9)], [4])
    scheduler = ours.SequentialLR(optimizer, [ours.LinearLR(optimizer, 0.1), make(optimizer)], [8])
    inner = make(alone)
    wanted = np.concatenate([[settings(alone)], run(alone, inner, 10)])
    run(optimizer, scheduler, 7)
    same(run(optimizer, scheduler, 11), wanted)


# --- plateaus --------------------------------------------------------------------------------------------------------


PLATEAUS = [
    {}, {"mode": "max", "factor": 0.5, "patience": 2}, {"patience": 0, "cooldown": 3}, {"patience": 3, "threshold": 0.1, "threshold_mode": "abs"},
    {"mode": "max", "patience": 1, "threshold": 0.05, "threshold_mode": "abs", "min_lr": [1e-3, 1e-4]}, {"factor": 0.7, "patience": 2, "eps": 1e-3},
    {"mode": "max", "threshold": 0.2, "patience": 4, "min_lr": 0.005, "cooldown": 1},
]  # fmt: skip


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_plateaus_are_found_where_pytorch_finds_them(options, seed):
    rng = np.random.default_rng(seed)
    metrics = (np.exp(-np.arange(STEPS) / 20) + 0.2 * rng.normal(size=STEPS) - 0.1 * seed).round(2)  # with ties
    metrics[rng.integers(STEPS, size=3)] = math.inf, math.nan, -5
    if options.get("mode") == "max":
        metrics = -metrics
    (optimizer, scheduler), (their_optimizer, theirs) = pair(lambda m, o: m.ReduceLROnPlateau(o, **options))
    for n, metric in enumerate(metrics):
        if n == 100:  # saved, and loaded by others
            optimizer_state, state = optimizer.state_dict(), scheduler.state_dict()
            assert is_plain(state)
            optimizer = optimizer_of(gn)
            scheduler = ours.ReduceLROnPlateau(optimizer, **options)
            optimizer.load_state_dict(optimizer_state)
            scheduler.load_state_dict(state)
        scheduler.step(gn.asarray(metric)), theirs.step(metric)
        assert settings(optimizer) == settings(their_optimizer) and scheduler.get_last_lr() == theirs.get_last_lr()
        for name in ("best", "num_bad_epochs", "cooldown_counter", "in_cooldown", "last_epoch"):
            assert getattr(scheduler, name) == getattr(theirs, name)
    assert scheduler.get_last_lr() != [0.1, 0.02]


def test_plateaus_take_groups_that_come_later():
    optimizer = optimizer_of(gn)
    one, two = ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.005), ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0, 0.0])
    optimizer.add_param_group({"params": [gn.nn.Parameter([1.0])], "lr": 1.0})
    one.step(1.0), one.step(1.0)
    assert one.get_last_lr() == pytest.approx([0.01, 0.005, 0.1])
    two.step(1.0)
    with pytest.raises(ValueError, match="min_lrs must have one entry for each group"):
        two.step(1.0)


# --- formulas, warnings, errors --------------------------------------------------------------------------------------


def test_cosine_annealing_is_loshchilov_and_hutters_formula():
    optimizer = optimizer_of(gn)
    scheduler = ours.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.004)
    for t in range(1, 51):
        optimizer.step(), scheduler.step()
        wanted = [0.004 + 0.5 * (high - 0.004) * (1 + math.cos(t / 50 * math.pi)) for high in (0.1, 0.02)]
        np.testing.assert_allclose(scheduler.get_last_lr(), wanted, rtol=1e-12)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_starts_at_its_share_of_the_top_and_ends_far_below(strategy):
    optimizer = optimizer_of(gn)
    scheduler = ours.OneCycleLR(optimizer, 0.5, total_steps=100, pct_start=0.21, anneal_strategy=strategy, div_factor=20, final_div_factor=1000)
    rates = np.array([scheduler.get_last_lr()[0], *run(optimizer, scheduler, 99)[:, 0, 0]])
    assert rates[[0, 20, 99]] == pytest.approx([0.5 / 20, 0.5, 0.5 / 20_000])
    assert (np.diff(rates[:21]) > 0).all() and (np.diff(rates[20:]) < 0).all()
    scheduler.step()  # PyTorch lets one more pass
    with pytest.raises(ValueError, match="step 101 of 100"):
        scheduler.step()


def test_a_cycle_whose_rise_is_one_step_starts_at_the_top():
    assert ours.OneCycleLR(optimizer_of(gn), 0.5, total_steps=10, pct_start=0.1).get_last_lr() == [0.5, 0.5]


def test_a_scheduler_that_is_stepped_first_warns_once():
    optimizer = optimizer_of(gn)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    with pytest.warns(UserWarning, match="called before optimizer.step") as seen:
        scheduler.step(), scheduler.step()
    assert len(seen) == 1 and seen[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        optimizer = optimizer_of(gn)
        run(optimizer, ours.ExponentialLR(optimizer, 0.5), 3)
        run(optimizer, ours.CosineAnnealingWarmRestarts(optimizer, 2), 3)


def test_optimizers_that_have_a_scheduler_can_be_copied():
    optimizer = optimizer_of(gn)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    copied = pickle.loads(pickle.dumps((optimizer, scheduler)))
    run(*copied, 2)
    assert copied[1].get_last_lr() == [0.025, 0.005] and optimizer.param_groups[0]["lr"] == 0.1


def test_a_class_of_ones_own_writes_get_lr():
    class Root(ours.LRScheduler):
        def get_lr(self):
            return [lr / np.sqrt(1 + self.last_epoch) for lr in self.base_lrs]

    optimizer = optimizer_of(gn)
    found = run(optimizer, Root(optimizer), 3)[:, :, 0]
    np.testing.assert_allclose(found, np.outer([2**-0.5, 3**-0.5, 4**-0.5], [0.1, 0.02]))
    assert type(optimizer.param_groups[0]["lr"]) is float
    with pytest.raises(NotImplementedError, match="LRScheduler: write a method get_lr"):
        ours.LRScheduler(optimizer)


WRONG = {
    "StepLR: optimizer must be one of gn.optim, not list": lambda o: ours.StepLR([], 3),
    "StepLR: step_size must be a whole number of at least 1, not 0": lambda o: ours.StepLR(o, 0),
    "StepLR: step_size must be a whole number, not 2.5": lambda o: ours.StepLR(o, 2.5),
    "StepLR: gamma must be a number, not '0.1'": lambda o: ours.StepLR(o, 2, "0.1"),
    "StepLR: last_epoch must be a whole number of at least -1, not -2": lambda o: ours.StepLR(o, 2, last_epoch=-2),
    "MultiStepLR: milestones must be a whole number, not '3'": lambda o: ours.MultiStepLR(o, ["3"]),
    "ConstantLR: factor must be a number between 0 and 1, not 2": lambda o: ours.ConstantLR(o, 2),
    "ConstantLR: factor must be above 0": lambda o: ours.ConstantLR(o, 0),
    "LinearLR: start_factor must be above 0": lambda o: ours.LinearLR(o, 0.0),
    "LinearLR: end_factor must be a number between 0 and 1, not -0.5": lambda o: ours.LinearLR(o, end_factor=-0.5),
    "PolynomialLR: total_iters must be a whole number of at least 1, not 0": lambda o: ours.PolynomialLR(o, total_iters=0),
    "ExponentialLR: gamma must be a number, not nan": lambda o: ours.ExponentialLR(o, math.nan),
    "LambdaLR: lr_lambda must be a function, not 0.5": lambda o: ours.LambdaLR(o, 0.5),
    "LambdaLR: lr_lambda must have one entry for each group of the optimizer, which are 2, not 1": lambda o: ours.LambdaLR(o, [abs]),
    "CosineAnnealingLR: T_max": lambda o: ours.CosineAnnealingLR(o, 0),
    "CosineAnnealingWarmRestarts: T_mult must be a whole number of at least 1, not 0": lambda o: ours.CosineAnnealingWarmRestarts(o, 3, 0),
    "CosineAnnealingWarmRestarts: epoch must be a number of at least 0, not -1": lambda o: ours.CosineAnnealingWarmRestarts(o, 3).step(-1),
    "CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', not 'square'": lambda o: ours.CyclicLR(o, 0.1, 0.2, mode="square"),
    "CyclicLR: scale_mode must be": lambda o: ours.CyclicLR(o, 0.1, 0.2, scale_mode="epochs"),
    "CyclicLR: cycle_momentum=True needs an optimizer with momentum or betas": lambda o: ours.CyclicLR(
        gn.optim.Adagrad(o.param_groups[0]["params"]), 0.1, 0.2
    ),
    "CyclicLR: max_lr must have one entry": lambda o: ours.CyclicLR(o, 0.1, [0.2]),
    "OneCycleLR: give total_steps, or epochs and steps_per_epoch": lambda o: ours.OneCycleLR(o, 0.1, epochs=3),
    "OneCycleLR: pct_start must be a number between 0 and 1, not 30": lambda o: ours.OneCycleLR(o, 0.1, 100, pct_start=30),
    "OneCycleLR: anneal_strategy must be 'cos' or 'linear', not 'sin'": lambda o: ours.OneCycleLR(o, 0.1, 100, anneal_strategy="sin"),
    "OneCycleLR: div_factor must be above 0": lambda o: ours.OneCycleLR(o, 0.1, 100, div_factor=0),
    "ReduceLROnPlateau: mode must be 'min' or 'max', not 'low'": lambda o: ours.ReduceLROnPlateau(o, "low"),
    "ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs'": lambda o: ours.ReduceLROnPlateau(o, threshold_mode="x"),
    "ReduceLROnPlateau: factor must be below 1, not 1.0": lambda o: ours.ReduceLROnPlateau(o, factor=1.0),
    "ReduceLROnPlateau: min_lr must have one entry": lambda o: ours.ReduceLROnPlateau(o, min_lr=[0.1]),
    "SequentialLR: schedulers must have at least one scheduler": lambda o: ours.SequentialLR(o, [], []),
    "SequentialLR: milestones must be 0 ascending epochs": lambda o: ours.SequentialLR(o, [ours.StepLR(o, 3)], [4]),
    "SequentialLR: milestones must be 2 ascending epochs": lambda o: ours.SequentialLR(o, [ours.StepLR(o, 3) for _ in range(3)], [4, 2]),
    r"SequentialLR: schedulers\[0\], a StepLR, belongs to another optimizer": lambda o: ours.SequentialLR(o, [ours.StepLR(optimizer_of(gn), 3)], []),
    r"ChainedScheduler: schedulers\[1\] is a ReduceLROnPlateau": lambda o: ours.ChainedScheduler([ours.StepLR(o, 3), ours.ReduceLROnPlateau(o)]),
    r"ChainedScheduler: schedulers\[0\] must be a scheduler, not float": lambda o: ours.ChainedScheduler([0.5], o),
    "StepLR: load_state_dict: this is the state of another scheduler, without step_size": lambda o: ours.StepLR(o, 3).load_state_dict(
        ours.ExponentialLR(o, 0.5).state_dict()
    ),
    "StepLR: load_state_dict: this is the state for 1 groups, the optimizer has 2": lambda o: ours.StepLR(o, 3).load_state_dict(
        ours.StepLR(optimizer_of(gn, rates=[0.1]), 3).state_dict()
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors_name_the_scheduler_the_argument_and_its_value(message):
    with pytest.raises((ValueError, TypeError), match=message), warnings.catch_warnings(action="ignore"):
        WRONG[message](optimizer_of(gn))


def test_going_on_needs_groups_that_were_scheduled_before():
    with pytest.raises(KeyError, match=r"StepLR: param_groups\[0\] has no 'initial_lr'"):
        ours.StepLR(optimizer_of(gn), 3, last_epoch=5)


def test_a_group_that_comes_later_is_an_error_where_its_rate_is_not_known():
    optimizer = optimizer_of(gn)
    scheduler = ours.LambdaLR(optimizer, lambda epoch: 0.5)
    optimizer.add_param_group({"params": [gn.nn.Parameter([1.0])], "lr": 1.0})
    optimizer.step()
    with pytest.raises(ValueError, match="LambdaLR: there are learning rates for 2 groups, and the optimizer has 3"):
        scheduler.step()


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = optimizer_of(gn)
    scheduler, other = CASES["chain"](ours, optimizer), CASES["chain"](ours, optimizer_of(gn))
    run(other.optimizer, other, 5)
    state = other.state_dict()
    del state["_schedulers"][1]["gamma"]
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match="ExponentialLR: load_state_dict: this is the state of another scheduler, without gamma"):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before
