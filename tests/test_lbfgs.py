"""L-BFGS: PyTorch's trajectories, what Nocedal and Wright's book says of each step, and runs that are saved and go on."""

import importlib
import pickle

import numpy as np
import pytest
from as_torch import torch

import gradnerve as gn
from gradnerve.optim import lbfgs

pytestmark = pytest.mark.usefixtures("rows_return")

rng = np.random.default_rng(0)
MATRIX, RIGHT = rng.normal(size=(60, 20)), rng.normal(size=60)
INPUTS = rng.normal(size=(40, 5))
TARGETS = np.sin(INPUTS).sum(1, keepdims=True)
WEIGHTS = [rng.normal(size=shape) / 2 for shape in ((5, 8), (8,), (8, 1), (1,))]


def rosenbrock(ps, of):
    x = ps[0]
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def least_squares(ps, of):
    return ((of(MATRIX) @ ps[0] - of(RIGHT)) ** 2).sum()


def network(ps, of):
    hidden = (of(INPUTS) @ ps[0] + ps[1]).tanh()
    return ((hidden @ ps[2] + ps[3] - of(TARGETS)) ** 2).mean()


PROBLEMS = {rosenbrock: [np.linspace(-1.5, 1.5, 6)], least_squares: [np.zeros(20)], network: WEIGHTS}
problems = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda f: f.__name__)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


class Run:
    """A problem, its parameters and the optimizer: ours, or PyTorch's."""

    def __init__(self, library, problem, dtype="float64", **options):
        arrays = [a.astype(dtype) for a in PROBLEMS[problem]]
        if library is gn:
            params, of = [gn.nn.Parameter(a) for a in arrays], lambda a: gn.asarray(a.astype(dtype))
        else:
            params, of = [torch.nn.Parameter(torch.tensor(a)) for a in arrays], lambda a: torch.tensor(a.astype(dtype))
        self.params, self.problem, self.loss = params, problem, lambda: problem(params, of)
        self.optimizer = library.optim.LBFGS(self.params, **options)

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def steps(self, n):
        return np.array([self.optimizer.step(self.closure).item() for _ in range(n)])

    @property
    def state(self):
        return self.optimizer.state[self.params[0]]


OPTIONS = {
    "short steps": {"lr": 0.1, "max_iter": 1}, "very short steps": {"lr": 0.002, "max_iter": 2}, "strong Wolfe": {"line_search_fn": "strong_wolfe"},
    "strong Wolfe, short memory": {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 3},
    "strong Wolfe, few evaluations": {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 4, "lr": 0.5},
}  # fmt: skip


@problems
@dtypes
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_100_steps_take_pytorchs_way(problem, dtype, options):
    """The formulas are the same, but sums are made in another order, so the last places differ.

    Where a loss is curved, an iteration multiplies such a difference by 2 to 10: it is as large as the loss itself after some ten iterations
    in float32, and some thirty in float64, unless the minimum comes first. So the first ten iterations must agree closely, with the same
    evaluations; after that the losses must agree when measured by the first one, and at the end be as low.
    """
    tight, loose = (1e-4, 1e-2) if dtype == "float32" else (1e-10, 1e-3)
    runs = Run(gn, problem, dtype, **options), Run(torch, problem, dtype, **options)
    seen = [[(run.steps(1)[0], run.state["n_iter"], run.state["func_evals"]) for _ in range(100)] for run in runs]
    (found, *counts), (wanted, *their_counts) = (np.array(each).T for each in seen)
    first = np.append(True, their_counts[0][:-1] <= 10)
    np.testing.assert_allclose(found[first], wanted[first], rtol=tight)
    first &= their_counts[0] <= 10
    np.testing.assert_array_equal(np.array(counts)[:, first], np.array(their_counts)[:, first])
    np.testing.assert_allclose(found, wanted, atol=loose * wanted[0], rtol=0)
    assert found[-1] <= 2 * wanted[-1] + 1e-6 * wanted[0] and found[-1] < found[0]


def test_line_searches_try_the_lengths_that_pytorch_tries():
    """On curves with several minima, in one dimension."""
    zeros = torch.zeros(1)
    strong_wolfe, numbers = importlib.import_module("torch.optim.lbfgs")._strong_wolfe, set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        curve = Curve(rng)
        budget, first, tolerance = int(rng.choice([0, 1, 3, 10])), float(rng.choice([0.003, 0.1, 1, 5])), float(rng.choice([1e-9, 1e-3]))
        loss, g = curve.at(np.zeros(1))
        d, their_g = torch.tensor(-g), torch.tensor(g)
        options = {"tolerance_change": tolerance, "max_ls": budget}
        *_, wanted, evaluations = strong_wolfe(curve.of_torch, zeros, first, d, loss, their_g, their_g.dot(d), **options)
        theirs = curve.tried[1:]
        found = lbfgs.Line(curve, np.zeros(1), -g, lbfgs.Point(0.0, loss, g, -g @ g), budget, tolerance).search(first)
        tried = curve.tried[1 + evaluations :]
        assert len(tried) == len(theirs) == evaluations
        np.testing.assert_allclose([*tried, found.t], [*theirs, float(wanted)], rtol=1e-9)
        numbers.add(evaluations)
    assert numbers >= {1, 2, 3, 4, 5, 6}


class Curve:
    """Waves on a parabola, which note where they are evaluated."""

    def __init__(self, rng):
        self.height, self.frequency, self.bend, self.tried = rng.normal(size=3), rng.uniform(0.3, 4, 3), rng.choice([0.01, 0.1, 1]), []

    def at(self, x):
        self.tried.append(x[0])
        loss = self.bend * x[0] ** 2 - x[0] + (self.height * np.sin(self.frequency * x)).sum()
        return float(loss), 2 * self.bend * x - 1 + (self.height * self.frequency * np.cos(self.frequency * x)).sum()

    def of_torch(self, x, t, d):
        loss, g = self.at((x + t * d).numpy())
        return loss, torch.tensor(g)


def test_complex_parameters_count_as_two_real_ones():
    matrix = rng.normal(size=(6, 4)) + 1j * rng.normal(size=(6, 4))
    start = rng.normal(size=4) + 1j * rng.normal(size=4)
    p, q = gn.nn.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    mine, theirs = (m.optim.LBFGS([x], max_iter=4, line_search_fn="strong_wolfe") for m, x in ((gn, p), (torch, q)))

    def closure():
        mine.zero_grad()
        loss = (np.abs(gn.asarray(matrix) @ p - 1) ** 2).sum()
        loss.backward()
        return loss

    def their_closure():
        theirs.zero_grad()
        loss = ((torch.tensor(matrix) @ q - 1).abs() ** 2).sum()
        loss.backward()
        return loss

    for _ in range(5):
        assert mine.step(closure).item() == pytest.approx(theirs.step(their_closure).item(), rel=1e-9)
    np.testing.assert_allclose(p.data, q.numpy(force=True), rtol=1e-6)
    np.testing.assert_allclose(p.data, np.linalg.lstsq(matrix, np.ones(6), rcond=None)[0], rtol=1e-4)


# --- what the book says ----------------------------------------------------------------------------------------------


def test_a_least_squares_problem_is_solved():
    run = Run(gn, least_squares, line_search_fn="strong_wolfe", max_iter=100)
    run.steps(1)
    np.testing.assert_allclose(run.params[0].data, np.linalg.lstsq(MATRIX, RIGHT, rcond=None)[0], atol=1e-6)


@problems
@pytest.mark.parametrize("history_size", [3, 100])
def test_directions_are_those_of_the_inverse_hessian_as_a_matrix(problem, history_size):
    """Nocedal and Wright (7.19), with V = I - rho y s^T: H is updated to V^T H V + rho s s^T, from H_diag times I."""
    run = Run(gn, problem, line_search_fn="strong_wolfe", max_iter=1, max_eval=20, history_size=history_size)
    for n in range(8):
        run.steps(1)
        state = run.state
        assert len(state["ro"]) == min(n, history_size)
        identity = np.eye(len(state["d"]))
        inverse = state["H_diag"] * identity
        for y, s in zip(state["old_dirs"], state["old_stps"], strict=True):
            v = identity - np.outer(y, s) / (y @ s)
            inverse = v.T @ inverse @ v + np.outer(s, s) / (y @ s)
        np.testing.assert_allclose(state["d"], -inverse @ state["prev_flat_grad"], rtol=1e-8, atol=1e-12)


@problems
def test_steps_fulfil_the_strong_wolfe_conditions(problem):
    """Nocedal and Wright (3.7), with c1 = 1e-4 and c2 = 0.9."""
    run = Run(gn, problem, line_search_fn="strong_wolfe", max_iter=1, max_eval=20)
    for _ in range(12):
        before = run.closure().item()
        run.steps(1)
        after = run.closure().item()
        d, t, slope = run.state["d"], run.state["t"], run.state["prev_flat_grad"] @ run.state["d"]
        gradient = np.concatenate([p.grad.reshape(-1) for p in run.params])
        assert after <= before + 1e-4 * t * slope and abs(gradient @ d) <= 0.9 * abs(slope)


# --- states ----------------------------------------------------------------------------------------------------------


def copied_run(run):
    """Another run, from what was saved of this one."""
    arrays, state = pickle.loads(pickle.dumps(([p.data for p in run.params], run.optimizer.state_dict())))
    other = Run(gn, run.problem, run.params[0].dtype)
    for p, a in zip(other.params, arrays, strict=True):
        p.data[...] = a
    other.optimizer.load_state_dict(state)
    return other


@problems
@dtypes
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_resumed_run_goes_on_bit_for_bit(problem, dtype, options, steps):
    run = Run(gn, problem, dtype, **options)
    run.steps(steps)
    other = copied_run(run)
    np.testing.assert_array_equal(other.steps(5), run.steps(5))
    for p, q in zip(run.params, other.params, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    for name, kept in run.state.items():
        np.testing.assert_array_equal(kept, other.state[name])


def test_a_resumed_run_with_complex_parameters_goes_on_bit_for_bit():
    """Their state is a vector of real numbers."""
    runs = []
    for resumed in (False, True):
        p = gn.nn.Parameter(np.array([1 + 2j, 3 - 1j, 0.5j]))
        optimizer = gn.optim.LBFGS([p], max_iter=2, line_search_fn="strong_wolfe")

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (np.abs(MATRIX[:5, :3] @ p - 1) ** 2).sum()
            loss.backward()
            return loss

        if resumed:
            p.data = runs[0][0]
            optimizer.load_state_dict(runs[0][1])
        else:
            optimizer.step(closure)
            runs.append((p.data.copy(), optimizer.state_dict()))
        optimizer.step(closure)
        runs.append(p.data)
    np.testing.assert_array_equal(runs[1], runs[2])


def test_a_state_that_was_taken_stays_as_it_was():
    run = Run(gn, network, line_search_fn="strong_wolfe", max_iter=3)
    run.steps(2)
    state = run.optimizer.state_dict()
    kept = pickle.dumps(state)
    run.steps(2)
    assert pickle.dumps(state) == kept
    assert type(state["state"][0]["d"]) is np.ndarray and type(state["state"][0]["t"]) is type(state["state"][0]["ro"][0]) is float


@dtypes
def test_the_state_of_pytorchs_optimizer_can_be_loaded(dtype):
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    run, theirs = Run(gn, network, dtype), Run(torch, network, dtype, **options)
    theirs.steps(2)
    for p, q in zip(run.params, theirs.params, strict=True):
        p.data[...] = q.numpy(force=True)
    arrays = lambda x: x.numpy(force=True) if isinstance(x, torch.Tensor) else [arrays(each) for each in x] if isinstance(x, list) else x
    state = theirs.optimizer.state_dict()
    run.optimizer.load_state_dict({"state": {0: {name: arrays(x) for name, x in state["state"][0].items()}}, "param_groups": state["param_groups"]})
    np.testing.assert_allclose(run.steps(2), theirs.steps(2), rtol=1e-4 if dtype == "float32" else 1e-10)
    assert run.params[0].dtype == run.state["d"].dtype == dtype


def test_a_state_of_other_parameters_is_an_error():
    run, other = Run(gn, rosenbrock), Run(gn, least_squares)
    run.steps(1)
    with pytest.raises(ValueError, match="its vectors have 6 elements, all parameters together 20"):
        other.optimizer.load_state_dict(run.optimizer.state_dict())
    assert not other.optimizer.state


# --- the rest of the interface ---------------------------------------------------------------------------------------


def test_parameters_without_gradient_stay():
    run, theirs = Run(gn, network, max_iter=5), Run(torch, network, max_iter=5)
    for each in (run, theirs):
        each.params[1].requires_grad_(False)
    np.testing.assert_allclose(run.steps(3), theirs.steps(3), rtol=1e-10)
    np.testing.assert_array_equal(run.params[1].data, WEIGHTS[1])


def test_a_step_works_under_no_grad_and_calls_hooks_and_returns_what_the_closure_gave_first():
    run, calls, results = Run(gn, rosenbrock, max_iter=3), [], []
    run.optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    run.optimizer.register_step_post_hook(lambda *args: calls.append("after"))
    with gn.no_grad():
        result = run.optimizer.step(lambda: results.append(run.closure()) or results[-1])
    assert result is results[0] and len(results) == 3 and calls == ["before", "after"]


def test_a_minimum_ends_the_step_at_once():
    run = Run(gn, rosenbrock)
    run.params[0].data[...] = 1
    assert run.steps(1) == 0 and run.state == {"func_evals": 1, "n_iter": 0}
    np.testing.assert_array_equal(run.params[0].data, 1)


def test_a_rate_of_0_goes_nowhere():
    for search in (None, "strong_wolfe"):
        run = Run(gn, rosenbrock, lr=0, line_search_fn=search)
        run.steps(2)
        np.testing.assert_array_equal(run.params[0].data, PROBLEMS[rosenbrock][0])


def test_schedulers_change_the_rate():
    run, theirs = Run(gn, least_squares, lr=0.5, max_iter=2), Run(torch, least_squares, lr=0.5, max_iter=2)
    schedulers = [m.optim.lr_scheduler.ExponentialLR(each.optimizer, 0.8) for m, each in ((gn, run), (torch, theirs))]
    for _ in range(5):
        np.testing.assert_allclose(run.steps(1), theirs.steps(1), rtol=1e-10)
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize("options, message", [
    ({"lr": -1}, "LBFGS: lr is -1"), ({"max_iter": 0}, "LBFGS: max_iter is 0"), ({"history_size": 0}, "LBFGS: history_size is 0"),
    ({"max_eval": 0}, "LBFGS: max_eval is 0"), ({"line_search_fn": "wolfe"}, "line_search_fn must be None or 'strong_wolfe', not 'wolfe'"),
])  # fmt: skip
def test_options_that_make_no_sense_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Run(gn, rosenbrock, **options)


def test_a_second_group_is_an_error():
    p, q = gn.nn.Parameter([1.0]), gn.nn.Parameter([1.0])
    with pytest.raises(ValueError, match="LBFGS: takes one group"):
        gn.optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="LBFGS: takes one group"):
        gn.optim.LBFGS([p]).add_param_group({"params": [q]})


def test_a_step_needs_a_closure_that_returns_the_loss():
    optimizer = gn.optim.LBFGS([gn.nn.Parameter([1.0])])
    with pytest.raises(TypeError, match="LBFGS: step takes a closure"):
        optimizer.step(None)
    with pytest.raises(TypeError, match="the closure must return the loss"):
        optimizer.step(lambda: None)
