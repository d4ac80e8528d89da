"""`fixed_point` and `root`: what is found by iteration, differentiated without going through the iterations.

At a solution x of f(x, a) = x, a small change of a moves x by dx = f_x dx + f_a da: the implicit function theorem. So backward solves
one linear equation, and it does not matter how the solution was found. (Loops as such need nothing: eager code is differentiated
as it ran. This is for those whose steps nobody wants to keep.)

Read next: recompute.py.
"""

import numpy as np

from gradnerve import _engine, _sweep, tree
from gradnerve._engine import ShapeError, TensorBase
from gradnerve._general import Custom
from gradnerve.creation import array
from gradnerve.functional import as_result, fitting, jacobian
from gradnerve.ops.arithmetic import positive
from gradnerve.ops.shapes import reshape, stack
from gradnerve.ops.values import tracked, values
from gradnerve.own import packed
from gradnerve.recompute import Surroundings, Traced, frozen
from gradnerve.tensor import Tensor, asarray, enable_grad, no_grad

__all__ = ["ConvergenceError", "fixed_point", "root"]


class ConvergenceError(RuntimeError):
    """An iteration has not come to an end."""


def fixed_point(f, x0, *args, tol=None, max_steps=1000):
    """The x with ``f(x, *args) = x``, by iteration from `x0`; gradients flow to `args`, and to whatever else `f` reads.

    tol        the iteration ends when no element changes by more than ``tol * (1 + |x|)``; by default 100 roundings of the dtype
    max_steps  how long it may take, before ConvergenceError is raised

    The iteration must contract (near x, the Jacobian of `f` by x has no eigenvalue of size 1 or more): so does that of the gradients then.
    Nothing of it is kept; derivatives of any order are those of the solution. By the implicit function theorem.

    >>> from gradnerve import grad
    >>> root_of = lambda a: fixed_point(lambda x, a: (x + a / x) / 2, 1.0, a)
    >>> abs(float(root_of(2.0)) - 2 ** 0.5) < 1e-15
    True
    >>> abs(float(grad(root_of)(2.0)) - 0.5 / 2 ** 0.5) < 1e-12
    True
    """

    def step(x, *args):
        return fitting(as_one("fixed_point", f(x, *args)), x, "fixed_point: what the function returned")

    def adjoint(pull, g):
        size = np.max(np.abs(g._array), initial=0) or 1.0  # `tol` is meant for numbers of about 1
        return size * fixed_point(lambda w: g / size + pull(w), g / size, tol=tol, max_steps=max_steps)

    return implicit("fixed_point", step, iterated(step, start_of(x0), args, tol, max_steps), args, adjoint)


def root(f, x0, *args, solver=None, tol=None, max_steps=100):
    """The x with ``f(x, *args) = 0``, an array of the shape of `x0`; gradients flow to `args`, and to whatever else `f` reads.

    solver     finds it: a function of f (of arrays) and x0, such as ``lambda f, x0: scipy.optimize.root(f, x0).x``; Newton's method by default
    tol        Newton's method ends when no element moves by more than ``tol * (1 + |x|)``; by default 100 roundings of the dtype
    max_steps  how long it may take, before ConvergenceError is raised

    Both Newton's method and the gradients solve with the Jacobian, n x n for an x of n elements. Derivatives of any order are those of the
    solution, by the implicit function theorem. Raises ShapeError if `f` gives another number of elements than `x0` has, and
    `np.linalg.LinAlgError` where the Jacobian is singular.

    >>> from gradnerve import grad
    >>> cube_root = lambda a: root(lambda x, a: x ** 3 - a, 1.0, a)
    >>> round(float(cube_root(8.0)), 12), round(float(grad(cube_root)(8.0)), 12)
    (2.0, 0.083333333333)
    """
    start = start_of(x0)

    def residual(x, *args):
        value = as_one("root", f(x, *args))
        if value.size != x.size:
            raise ShapeError(f"root: f must give as many elements as x has, {x.size}, but gives {value.size}")
        return fitting(reshape(value, x.shape), x, "root: what the function returned")

    def step(x, *args):
        return positive(x) - residual(x, *args)  # a fixed point where f is 0, so that both are differentiated in one way

    def adjoint(pull, g):
        return solved_by_slope(lambda w: w - pull(w), asarray(np.zeros(g.shape, g.dtype)), g)

    with no_grad():
        at = lambda x: residual(x, *args)
        solution = newton(at, start, tol, max_steps) if solver is None else solved(solver, at, start)
    return implicit("root", step, solution, args, adjoint)


# --- the solution ----------------------------------------------------------------------------------------------------


def start_of(x0):
    """An array to begin with."""
    x = np.array(x0._array if isinstance(x0, TensorBase) else x0)
    if x.dtype.kind in "iu":
        x = x.astype(float)
    if x.dtype.kind not in "fc":
        raise TypeError(f"the iteration must begin with numbers, not with {tree.described(x0)}")
    return x


def as_one(name, value):
    """What a function returned, as one Tensor; it may be a list of numbers and Tensors."""
    return array(value) if isinstance(value, (list, tuple)) else as_result(name, value)


def iterated(f, x, args, tol, max_steps):
    change = np.inf
    with no_grad():
        for _ in range(max_steps):
            new = f(asarray(x), *args)._array
            change, x = np.abs(new - x), new
            if settled(change, x, tol):
                return x
    raise ConvergenceError(f"fixed_point: after {max_steps} steps, x still changes by {np.max(change):.3g}; f must contract near its fixed point")


def settled(change, x, tol):
    """Whether a step was as small as rounding makes it."""
    tol = 100 * np.finfo(x.dtype).eps if tol is None else tol
    return bool(np.all((change <= tol * (1 + np.abs(x))) & np.isfinite(change)))


def newton(f, x, tol, max_steps):
    step = np.inf
    for _ in range(max_steps):
        step = solved_by_slope(f, asarray(x), f(asarray(x)))._array
        x = x - step
        if settled(np.abs(step), x, tol):
            return x
    raise ConvergenceError(f"root: after {max_steps} of Newton's steps, x still moves by {np.max(np.abs(step)):.3g}; begin nearer, or pass a solver")


def solved(solver, f, start):
    x = np.asarray(solver(lambda x: np.array(f(asarray(x))._array), start))
    if x.shape != start.shape:
        raise ShapeError(f"root: the solver gave shape {x.shape}, where x0 has {start.shape}")
    return x.astype(start.dtype)


def solved_by_slope(f, x, b):
    """The v with J v = b, where J is the Jacobian of f at x; complex numbers count as two real ones."""
    if x.dtype.kind == "c":
        v = solved_by_slope(lambda v: halves(f(v[0] + 1j * v[1])), halves(x), halves(b))
        return v[0] + 1j * v[1]
    return reshape(np.linalg.solve(reshape(jacobian(f)(x), (x.size, x.size)), reshape(b, -1)), x.shape)


def halves(x):
    return stack([np.real(x), np.imag(x)])


# --- its derivatives -------------------------------------------------------------------------------------------------


def implicit(name, f, solution, args, adjoint):
    """The solution of f(x, *args) = x as a result of `args` and of whatever else `f` reads.

    adjoint  takes the function that pulls gradients of f(x) back to x, and a gradient g, and gives the w with w = g + pull(w)
    """
    if not _engine.recording():
        return asarray(solution)
    leaves, rebuild = tree.flatten(args)
    links, rebuild = tree.flatten(rebuild([frozen(a) for a in leaves]))  # containers of our own, too
    around = Surroundings([])

    def step(x):
        """One more step from the solution."""
        again = Traced(f, (x, *rebuild([frozen(a) for a in links])), {})
        again.inputs = [t for t in again.inputs if t._row != x._row]
        return again

    def once_more(x):
        with around.again():
            again = step(x)
        again.refuse_changes(name, inputs, read, before)
        return again.roots[0]

    first = step(Tensor(solution, requires_grad=True))
    inputs, read, before = first.inputs, first.read_beside(links), values(first.roots)
    if not inputs:
        return asarray(solution)

    def shares(gradients, results):
        (g,), (x,) = gradients, results
        recorded = isinstance(g, TensorBase)
        x = positive(x) if recorded else Tensor(x, requires_grad=True)
        known = None if recorded else once_more(x)

        def pulled(w, targets):
            root = once_more(x) if known is None else known  # one of its own where it is recorded: a later sweep releases what it passes
            again = recorded or tracked(w)
            return _sweep.gradients([root], targets, [w], retain_graph=True, recorded=again, ends=[x, *inputs])

        def pull(w):
            found = pulled(w, [x])[0]
            return asarray(np.zeros(w.shape, w.dtype)) if found is None else found

        with enable_grad() if recorded else no_grad():
            w = adjoint(pull, asarray(g))
        return pulled(w, inputs)

    operation = Custom(name)
    operation.masks = True  # there may be masks in the function: their zeros are exact
    return packed(operation, asarray(solution), inputs, shares, read=(0,))
