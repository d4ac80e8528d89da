"""Functions that nothing can look into, as operations: `numerical_gradient`.

Read next: differences.py, for differences that know their own error.
"""

import warnings
from functools import cached_property, partial, wraps

import numpy as np

from gradnerve import tree
from gradnerve._engine import GraphError, ShapeError, TensorBase, batched
from gradnerve._general import Custom
from gradnerve.differences import in_double_precision
from gradnerve.ops.values import any_tensor, tracked, value
from gradnerve.own import as_it_is, packed, plain

__all__ = ["NumericalGradientWarning", "numerical_gradient"]


class NumericalGradientWarning(UserWarning):
    """A gradient costs many calls of a function."""


def numerical_gradient(f=None, *, step=None, warn=True):
    """Decorator: make any function of arrays an operation, whose gradient comes from differences of its values.

    f     takes arrays, in containers too, and returns an array or a number; it may do with them what it likes: call C, write into
          them, solve something. It has to give the same for the same, and to be smooth
    step  how far to move each element, in the units of the arguments; by default some 6e-6 of its own size. Take a larger one for
          a function with an error of its own: what an iteration leaves, say
    warn  issue a NumericalGradientWarning with the cost, at the first call that is recorded

    Every backward calls f twice for each element of the arguments that require grad (four times if they are complex), so this is for
    few elements. The gradient has some 10 digits where the values of f have 16, and 7 by an element that is tiny beside others in its
    array. Arguments of float32 go to f as float64 if f takes these.

    There is a second derivative: four more calls for each element, and some 6 digits. That is as much as second differences can have, so
    it is for functions that are exact to the last bit. A third one would have no digits left, and is a GraphError.

    >>> from gradnerve import Tensor
    >>> @numerical_gradient(warn=False)
    ... def length(x):
    ...     return sum(number ** 2 for number in x.tolist()) ** 0.5
    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> length(x).backward()
    >>> x.grad.round(6)
    array([0.6, 0.8])
    """
    if f is None:
        return partial(numerical_gradient, step=step, warn=warn)
    name, told = getattr(f, "__name__", type(f).__name__), not warn

    @wraps(f)
    def operation(*args, **kwargs):
        nonlocal told
        leaves, rebuild = tree.flatten((args, kwargs))
        if any(isinstance(leaf, TensorBase) and leaf._is_batched for leaf in leaves):
            return batched(operation, args, kwargs)
        call = Call(name, f, rebuild, leaves, step)
        if call.wanted and not told:
            told, calls = True, sum(leaves[k].size * (4 if leaves[k].dtype.kind == "c" else 2) for k in call.wanted)
            warnings.warn(f"{name}: its gradient comes from finite differences, {calls} calls of {name} in every backward(); "
                          "numerical_gradient(..., warn=False) says nothing", NumericalGradientWarning, stacklevel=2)  # fmt: skip
        return packed(Custom(name), call.out, call.leaves, lambda g, _: call.pullback(g[0])) if any_tensor(*leaves) else call.out

    return operation


class Call:
    """A call of a black box with some leaves, and its derivatives by those that are wanted."""

    def __init__(self, name, f, rebuild, leaves, step):
        self.name, self.f, self.rebuild, self.step = name, f, rebuild, step
        self.leaves, self.wanted = [as_it_is(leaf) for leaf in leaves], [k for k, leaf in enumerate(leaves) if tracked(leaf)]
        self.arrays = [plain(leaf) for leaf in self.leaves]
        self.out = self.result(self.arrays)

    def result(self, arrays):
        """What the function gives for these; it gets copies."""
        args, kwargs = self.rebuild([a.copy() if isinstance(a, np.ndarray) else a for a in arrays])
        found = self.f(*args, **kwargs)
        try:
            out = np.asarray(value(found))
        except ValueError:  # of lists of several lengths
            out = np.asarray(None)
        if out.dtype.kind not in "biufc":
            raise TypeError(f"{self.name}: a function under numerical_gradient returns an array or a number, not {tree.described(found)}")
        return out if out.dtype.kind in "fc" else out.astype(float)

    @cached_property
    def precise(self):
        """The leaves in double precision if the function takes these, and its result."""
        doubled = [in_double_precision(a) for a in self.arrays]
        if all(a is d or a.dtype == d.dtype for a, d in zip(self.arrays, doubled, strict=True)):
            return self.arrays, self.out
        try:
            return doubled, self.result(doubled)
        except Exception:
            return self.arrays, self.out

    @property
    def eps(self):
        return np.finfo(self.precise[1].dtype).eps

    def by(self, k):
        """The result as a function of the leaf number k."""
        arrays, usual = self.precise

        def out(x):
            found = self.result([*arrays[:k], x, *arrays[k + 1 :]])
            if found.shape != usual.shape:
                raise ShapeError(f"{self.name}: gave the shape {usual.shape}, and {found.shape} when an argument was moved a little")
            return found

        return out

    def for_each(self, share):
        """What `share` gives for the leaves that are wanted."""
        return [share(k) if k in self.wanted else None for k in range(len(self.leaves))]

    # --- first derivatives

    def pullback(self, g):
        """The gradient by each leaf; of a Tensor, so that it can be differentiated in turn."""
        return self.for_each(lambda k: self.recorded(k, g) if isinstance(g, TensorBase) else self.gradient(k, g))

    def gradient(self, k, g):
        (arrays, out), relative = self.precise, self.eps ** (1 / 3)
        steps = Steps(relative, 1e-3, relative / 10 * np.abs(out), self.step)
        return steps.gradient(self.by(k), arrays[k], g).astype(self.arrays[k].dtype)

    # --- second derivatives

    def recorded(self, k, g):
        """The gradient by one leaf as a sum: of what g moves, and of what the leaves move, which is 0 as they are."""
        array = plain(g)
        by_gradient = packed(Custom(self.name), self.gradient(k, array), [g], lambda v, _: [self.pushed(k, v[0], 1 / 3)[0](*self.precise[0])])
        by_leaves = packed(Custom(self.name), np.zeros_like(self.arrays[k]), self.leaves, lambda v, _: self.second(k, array, v[0]))
        return by_gradient + by_leaves

    def pushed(self, k, v, exponent):
        """How the result moves when the leaf number k moves along v, as a function of the leaves; and how far v goes."""
        if isinstance(v, TensorBase):
            raise GraphError(f"{self.name}: numerical_gradient has a first and a second derivative; a third, by differences, has no digits left")
        (arrays, out), relative = self.precise, self.eps**exponent
        t = Steps(relative, 1.0, relative / 10 * np.max(np.abs(out), initial=0.0), self.step).along(self.by(k), arrays[k], v)

        def move(*arrays):
            one, two = ([*arrays[:k], arrays[k] + sign * t * v, *arrays[k + 1 :]] for sign in (1, -1))
            return (self.result(one) - self.result(two)) / (2 * t)

        return move, t

    def second(self, k, g, v):
        """The derivatives of <v, gradient by the leaf number k> by all leaves: those of <g, what v moves>."""
        (arrays, out), (move, t) = self.precise, self.pushed(k, v, 1 / 4)
        steps = Steps(self.eps ** (1 / 4), 1.0, 1e6 * self.eps * np.abs(out) / t, self.step)  # a million times the rounding of what v moves
        by = lambda i: lambda x: move(*arrays[:i], x, *arrays[i + 1 :])
        return self.for_each(lambda i: steps.gradient(by(i), arrays[i], g).astype(self.arrays[i].dtype))


class Steps:
    """How far arguments move in central differences.

    relative  how far, in units of an element's own size; but at least `least` of what the largest element moves, ...
    clear     ... if the values change by less than this
    fixed     the step that the user wants, or None
    """

    def __init__(self, relative, least, clear, fixed):
        self.relative, self.least, self.clear, self.fixed = relative, least, clear, fixed

    def gradient(self, f, x, g):
        """The gradient of the inner product of g and f(x)."""
        found = np.zeros(x.shape, x.dtype)
        for place in np.ndindex(x.shape):
            for unit in (1, 1j) if x.dtype.kind == "c" else (1,):
                direction = np.zeros_like(x)
                direction[place] = unit
                h = self.along(f, x, direction)
                one, two = x + h * direction, x - h * direction
                found[place] += unit * np.vdot(g, f(one) - f(two)).real / abs(one[place] - two[place])
        return found

    def along(self, f, x, direction):
        """How many times the direction to go."""
        moves, size = np.abs(direction), np.abs(x)
        if self.fixed or not np.any(moves):
            return (self.fixed or 1.0) / (moves.max(initial=0.0) or 1.0)
        largest = size.max() or 1.0
        h = self.relative / np.max(moves / np.where(size > 0, size, largest))
        most = self.least * self.relative * largest / moves.max()
        while h < most and not np.any(np.abs(f(x + h * direction) - f(x - h * direction)) > self.clear):
            h *= 16
        return h
