"""L-BFGS: Newton's steps, with a Hessian that is guessed from the last gradients, and a line search that looks for a good length.

All parameters together are one vector x here, and their gradients one vector. For losses without noise, as those of all data at once.

Read next: lr_scheduler/__init__.py.
"""

from collections import namedtuple

import numpy as np

from gradnerve.optim.optimizer import Optimizer, check_range
from gradnerve.tensor import enable_grad

__all__ = ["LBFGS"]

INFINITY = float("inf")
CURVATURE = 1e-10  # of a step that is kept in the memory; with less, the guessed Hessian would not be positive definite
ARMIJO, WOLFE = 1e-4, 0.9  # c1 and c2 of the strong Wolfe conditions


class LBFGS(Optimizer):
    """Minimize a loss with the limited-memory algorithm of Broyden, Fletcher, Goldfarb and Shanno, as PyTorch does.

    params            the parameters: one group, of any shapes, float32 or float64; all together are one vector
    lr                the length of a step, or the first one that the line search tries
    max_iter          steps of the algorithm in one `step` of this optimizer
    max_eval          evaluations of the loss in one `step`; a quarter more than max_iter if None
    tolerance_grad    stop if no element of the gradient is larger
    tolerance_change  stop if the loss, or all parameters, change by less
    history_size      steps that are remembered: each takes twice the memory of the parameters
    line_search_fn    None, for steps as long as `lr` says, or "strong_wolfe"

    What `step` calls is a closure that makes the gradients zero, computes the loss, calls `backward` and returns the loss. Raises ValueError
    for more than one group.

    Nocedal and Wright 2006, "Numerical Optimization": algorithms 7.4 and 7.5, for the line search 3.5 and 3.6, with cubic interpolation (3.59).

    >>> import numpy as np, gradnerve as gn
    >>> p = gn.nn.Parameter(np.array([-1.5, 2.0]))
    >>> optimizer = gn.optim.LBFGS([p], max_iter=100, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> float(optimizer.step(closure))  # the loss before
    12.5
    >>> p.data.round(4).tolist()
    [1.0, 1.0]
    """

    def __init__(self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100, line_search_fn=None):
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, {"lr": lr, "max_iter": max_iter, "max_eval": max_eval, "tolerance_grad": tolerance_grad, "tolerance_change":
                                  tolerance_change, "history_size": history_size, "line_search_fn": line_search_fn})  # fmt: skip

    def check(self, group):
        if self.param_groups:
            raise ValueError("LBFGS: takes one group of parameters, all with the same options")
        least = {"lr": 0, "max_iter": 1, "max_eval": 1, "history_size": 1, "tolerance_grad": -INFINITY, "tolerance_change": -INFINITY}
        check_range("LBFGS", **{name: (group[name], low, INFINITY) for name, low in least.items()})
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be None or 'strong_wolfe', not {group['line_search_fn']!r}")

    def misfits(self, p, state):
        vectors = [state[name] for name in ("d", "prev_flat_grad") if name in state] + [*state.get("old_dirs", []), *state.get("old_stps", [])]
        n = sum(flat(p.data).size for p in self.parameters())
        return [f"its vectors have {size} elements, all parameters together {n}" for size in {np.size(v) for v in vectors} - {n}]

    def step(self, closure):
        """Take up to `max_iter` steps, and return the loss before them, as the closure gave it.

        closure  a function without arguments that computes the gradients of all parameters and returns the loss; it is called many times
        """
        if not callable(closure):
            raise TypeError(f"LBFGS: step takes a closure, which computes the gradients and returns the loss, not {closure!r}")
        group = self.param_groups[0]
        state = self.state.setdefault(group["params"][0], {})
        for name in ("func_evals", "n_iter"):
            state.setdefault(name, 0)
        objective = Objective(closure, group["params"])
        loss, gradient = objective.here()
        result = objective.result
        if not largest(gradient) <= group["tolerance_grad"]:
            descend(objective, loss, gradient, state, group)
        state["func_evals"] += objective.evaluations
        return result


class Objective:
    """The loss and its gradient as functions of one vector; real and imaginary parts of complex parameters are elements of it."""

    def __init__(self, closure, params):
        self.closure, self.params, self.evaluations = closure, params, 0

    def here(self):
        """The loss and the gradient where the parameters are."""
        with enable_grad():
            self.result = self.closure()
        if self.result is None:
            raise TypeError("LBFGS: the closure must return the loss, and returned None")
        self.evaluations += 1
        return float(self.result), np.concatenate([flat(np.zeros_like(p.data) if p.grad is None else p.grad) for p in self.params])

    def at(self, x):
        self.move(x)
        return self.here()

    def place(self):
        """Where the parameters are."""
        return np.concatenate([flat(p.data) for p in self.params])

    def move(self, x):
        ends = np.cumsum([flat(p.data).size for p in self.params])
        for p, part in zip(self.params, np.split(x, ends[:-1]), strict=True):
            p.data[...] = part.astype(p.data.real.dtype, copy=False).view(p.dtype).reshape(p.shape)


def flat(a):
    """The elements as a vector of real numbers."""
    return np.ascontiguousarray(a).reshape(-1).view(a.real.dtype)


def largest(x):
    return np.abs(x).max()


# --- steps -----------------------------------------------------------------------------------------------------------


def descend(objective, loss, gradient, state, group):
    """Take steps until it is enough; what the next ones need is in the state, in plain numbers and in arrays that are never changed."""
    x, lr, tolerance = objective.place(), float(group["lr"]), group["tolerance_change"]
    for steps_left in reversed(range(group["max_iter"])):
        state["n_iter"] += 1
        d = direction(gradient, state, group["history_size"])
        t = min(1.0, 1.0 / np.abs(gradient).sum()) * lr if state["n_iter"] == 1 else lr
        state.update(d=d, t=float(t), prev_flat_grad=gradient, prev_loss=loss)
        before, slope = loss, gradient @ d
        if t == 0 or slope > -tolerance:
            break
        if group["line_search_fn"] is not None:
            line = Line(objective, x, d, Point(0.0, loss, gradient, slope), group["max_eval"] - objective.evaluations, tolerance)
            t, loss, gradient, _ = line.search(t)
            state["t"] = float(t)
        x = x + t * d
        objective.move(x)
        if group["line_search_fn"] is None and steps_left:  # after the last one nobody asks
            loss, gradient = objective.here()
        if objective.evaluations >= group["max_eval"] or largest(gradient) <= group["tolerance_grad"]:
            break
        if largest(d * t) <= tolerance or abs(loss - before) < tolerance:
            break


def direction(gradient, state, history_size):
    """Where to go: against the gradient, multiplied by the inverse Hessian that the memory stands for (algorithms 7.4 and 7.5).

    The memory has the changes of the gradient, y (`old_dirs`), in the last steps, s (`old_stps`), and 1 / (y @ s) (`ro`).
    """
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -gradient
    y, s = gradient - state["prev_flat_grad"], state["d"] * float(state["t"])
    if y @ s > CURVATURE:
        for name, new in (("old_dirs", y), ("old_stps", s), ("ro", float(1.0 / (y @ s)))):
            state[name] = [*state[name], new][-history_size:]
        state["H_diag"] = float((y @ s) / (y @ y))
    memory, alphas = list(zip(state["old_dirs"], state["old_stps"], map(float, state["ro"]), strict=True)), []
    q = -gradient
    for y, s, rho in reversed(memory):
        alphas.append((s @ q) * rho)
        q -= alphas[-1] * y
    q *= float(state["H_diag"])
    for (y, s, rho), alpha in zip(memory, reversed(alphas), strict=True):
        q += (alpha - (y @ q) * rho) * s
    return q


# --- line search -----------------------------------------------------------------------------------------------------

Point = namedtuple("Point", "t loss gradient slope")  # on the line x + t * d


class Line:
    """The search along a line for a point that fulfils the strong Wolfe conditions: the loss falls enough, and its slope is small.

    start      the point where t is 0
    budget     evaluations, after the first one
    tolerance  how far two points must be from each other, for the search to go on between them
    """

    def __init__(self, objective, x, d, start, budget, tolerance):
        self.objective, self.x, self.d, self.start, self.budget, self.tolerance = objective, x, d, start, budget, tolerance

    def point(self, t):
        loss, gradient = self.objective.at(self.x + t * self.d)
        return Point(t, loss, gradient, gradient @ self.d)

    def falls(self, point):
        return not point.loss > self.start.loss + ARMIJO * point.t * self.start.slope

    def is_flat(self, point):
        return abs(point.slope) <= -WOLFE * self.start.slope

    def search(self, t):
        """A good point, or the best one when the budget is spent; the search begins with the length t."""
        before, point = self.start, self.point(t)
        for tried in range(self.budget):  # algorithm 3.5
            if not self.falls(point) or (tried > 1 and point.loss >= before.loss):
                return self.zoom([before, point], self.budget - tried)
            if self.is_flat(point):
                return point
            if point.slope >= 0:
                return self.zoom([before, point], self.budget - tried)
            longer = point.t + 0.01 * (point.t - before.t), point.t * 10
            before, point = point, self.point(lowest(before, point, longer))
        return self.zoom([self.start, point], 0)

    def zoom(self, ends, budget):
        """A good point between two ends (algorithm 3.6)."""
        low, near = lower(ends), False
        for _ in range(budget):
            if abs(ends[1].t - ends[0].t) * largest(self.d) <= self.tolerance:
                break
            t, near = between(ends, near)
            point = self.point(t)
            if not self.falls(point) or point.loss >= ends[low].loss:
                ends[1 - low] = point
                low = lower(ends)
                continue
            if self.is_flat(point):
                return point
            if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = point
        return ends[low]


def lower(ends):
    """Which of two points has the lower loss."""
    return 0 if ends[0].loss <= ends[1].loss else 1


def between(ends, near):
    """A length between two points, and whether it is near one of them: never twice in a row, since then the search would make no progress."""
    t, (first, last) = lowest(*ends), sorted(end.t for end in ends)
    edge = 0.1 * (last - first)
    if not min(last - t, t - first) < edge:
        return t, False
    if near or t >= last or t <= first:
        return (last - edge if abs(t - last) < abs(t - first) else first + edge), False
    return t, True


def lowest(a, b, bounds=None):
    """Where the cubic through two points with their slopes is lowest (3.59), within bounds; between the points if there are none."""
    low, high = bounds or sorted((a.t, b.t))
    first, last = (a, b) if a.t <= b.t else (b, a)
    with np.errstate(all="ignore"):  # of losses that are not finite
        d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
        square = d1**2 - a.slope * b.slope
        if not square >= 0:
            return (low + high) / 2.0
        d2 = np.sqrt(square)
        t = last.t - (last.t - first.t) * ((last.slope + d2 - d1) / (last.slope - first.slope + 2 * d2))
    return min(max(t, low), high)
