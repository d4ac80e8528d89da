"""Functions of functions: `grad`, `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`.

All of them call the function once, on tensors of their own (`Run`), and then sweep the graph that this has made: once for a gradient,
once for each element of the result for a Jacobian. If the arguments are themselves tracked, so are the derivatives, and these can
be differentiated in turn: a Hessian is the Jacobian of the gradient.

Arguments are numbers, arrays, Tensors or containers of them (lists, tuples, dicts, dataclasses, what `tree.register` knows, and objects
with `parameters()`); derivatives are Tensors, in containers built in the same way.

Read next: tree.py; csrc/sweep.pyx, which walks the graph; own.py, for operations of your own.
"""

import threading
from functools import wraps

import numpy as np

from gradnerve import _engine, _sweep, tree
from gradnerve._engine import GraphError, ShapeError, TensorBase, ValuesNeeded, wrap
from gradnerve._general import irregular
from gradnerve.batching import Level, levels, lowered, raised
from gradnerve.dispatch import watching
from gradnerve.ops.arithmetic import positive
from gradnerve.ops.shapes import astype, reshape, stack
from gradnerve.tensor import Tensor, asarray, enable_grad

__all__ = ["elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp"]


AT_ONCE = 2**22  # elements: of a Jacobian, so many are swept together


# --- what users call -------------------------------------------------------------------------------------------------


def grad(f, argnums=0, has_aux=False):
    """The function that computes the gradient of `f`, a function with one real number as its result.

    argnums  the number of the argument to differentiate by, or a tuple of numbers: then the result is a tuple
    has_aux  `f` returns ``(number, aux)``, and the gradient function ``(gradient, aux)``

    Keyword arguments are passed on. Raises TypeError for an argument that can have no gradient (of integers, say), or for a result that
    is no real scalar, and GraphError where `f` takes a value out of the graph (`item`, `float`, `np.asarray`).

    >>> float(grad(lambda x: x ** 3)(2.0))
    12.0
    >>> float(grad(grad(lambda x: x ** 3))(2.0))
    12.0
    >>> grad(lambda p: (p["w"] * 3 + p["b"]).sum())({"w": np.ones(2), "b": 0.0})
    {'w': Tensor([3., 3.], dtype=float64), 'b': Tensor(2., dtype=float64)}
    """

    return gradient_of("grad", f, argnums, has_aux)


def gradient_of(name, f, argnums, has_aux=False):
    """`grad`, under the name that errors give it."""

    @wraps(f)
    def gradient(*args, **kwargs):
        run = Run(name, f, argnums, args, kwargs, has_aux)
        found = run.pulled(run.one())
        return (found, run.aux) if has_aux else found

    return gradient


def value_and_grad(f, argnums=0, has_aux=False):
    """As `grad`, but the function gives ``(value, gradient)``, and with `has_aux` ``((value, aux), gradient)``.

    >>> value, gradient = value_and_grad(lambda x: (x ** 2).sum())(np.array([1.0, 2.0]))
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """

    @wraps(f)
    def both(*args, **kwargs):
        run = Run("value_and_grad", f, argnums, args, kwargs, has_aux)
        found = run.pulled(run.one())
        return ((run.out, run.aux) if has_aux else run.out), found

    return both


def elementwise_grad(f, argnums=0):
    """The gradient of the sum of all that `f` returns: of a function that works element by element, its derivative at each element.

    >>> elementwise_grad(np.sin)(np.zeros(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    @wraps(f)
    def derivative(*args, **kwargs):
        run = Run("elementwise_grad", f, argnums, args, kwargs)
        return run.pulled([np.ones(out.shape, out.dtype) for out in run.outs])

    return derivative


def vjp(f, *primals, has_aux=False, **kwargs):
    """The result of ``f(*primals)``, and the function that pulls a gradient of the result back to the arguments: reverse mode.

    Gives ``(out, pullback)``, with `has_aux` ``(out, pullback, aux)``. ``pullback(g)`` takes what is built as `out` and gives a tuple
    with one gradient for each argument; it can be called again and again. For complex numbers, a gradient is dL/d(re) + i dL/d(im).

    >>> out, pullback = vjp(lambda x, y: x * y, np.array([1.0, 2.0]), 3.0)
    >>> [g.tolist() for g in pullback(np.array([1.0, 10.0]))]
    [[3.0, 30.0], 21.0]
    """
    run = Run("vjp", f, tuple(range(len(primals))), primals, kwargs, has_aux)


    def pullback(g):
        return run.pulled(run.seeds(g, "vjp: the gradient"), again=True)

    return (run.out, pullback, run.aux) if has_aux else (run.out, pullback)


def jvp(f, primals, tangents, has_aux=False, **kwargs):
    """The result of ``f(*primals)``, and how it moves when the arguments move along the tangents: forward mode.

    Gives ``(out, tangent)``, with `has_aux` ``(out, tangent, aux)``. The tangents are built as the arguments. What pulls gradients back
    is linear in them, and its own transpose is what pushes tangents forward: so one line for each derivative serves both modes.

    >>> out, tangent = jvp(np.sin, (0.0,), (2.0,))
    >>> float(tangent)
    2.0
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)) or len(primals) != len(tangents):
        raise TypeError(f"jvp: primals and tangents must be tuples of one length, not {tree.described(primals)} and {tree.described(tangents)}")
    run = Run("jvp", f, tuple(range(len(primals))), primals, kwargs, has_aux)
    tangent = run.pushed(run.tangents(tangents))
    return (run.out, tangent, run.aux) if has_aux else (run.out, tangent)


def jacobian(f, argnums=0, holomorphic=False):
    """The function that computes all derivatives of `f`: an array of shape ``out.shape + argument.shape``.

    argnums      the number of the argument, or a tuple of numbers: then the result is a tuple
    holomorphic  `f` is a holomorphic function of complex arguments: the result holds its complex derivatives

    Where `f` returns a container, the result is a container of that kind. The function runs once; each element of its result costs a sweep.

    >>> jacobian(lambda x: x[::-1] ** 2)(np.array([1.0, 2.0])).tolist()
    [[0.0, 4.0], [2.0, 0.0]]
    """

    @wraps(f)
    def derivatives(*args, **kwargs):
        run = Run("jacobian", f, argnums, args, kwargs)
        for k, x in enumerate(run.watched if holomorphic else ()):
            if x.dtype.kind != "c":
                raise TypeError(f"jacobian: {run.name_of(k)} is real; holomorphic=True is for functions of complex arguments")
        for out in run.outs:
            if (out.dtype.kind == "c") != holomorphic:
                raise TypeError(f"jacobian: the function gives {out.dtype}; " + (
                    "holomorphic=True is for complex functions" if holomorphic else
                    "pass holomorphic=True if it is a holomorphic function of complex arguments, or split the result in .real and .imag"))
        return run.all_rows(holomorphic)

    return derivatives


def hessian(f, argnums=0):
    """The function that computes all second derivatives of `f`, a function with one real number as its result.

    The shape is that of the argument twice; with a tuple of `argnums` the result is a tuple of tuples, and for containers a container
    of containers. The function runs once; each element of its gradient costs a sweep.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0])).tolist()
    [[10.0, 6.0], [6.0, 0.0]]
    """

    @wraps(f)
    def derivatives(*args, **kwargs):
        run = Run("hessian", gradient_of("hessian", f, argnums), argnums, args, kwargs)
        for k, x in enumerate(run.watched):
            if x.dtype.kind == "c":
                raise TypeError(f"hessian: {run.name_of(k)} is complex; pass its real and imaginary parts as two arguments, or use hvp")
        return run.all_rows()

    return derivatives


def hvp(f, argnums=0):
    """The function that multiplies the Hessian of `f` by a vector, its last argument, without ever making the Hessian.

    The vector is built as the argument that `argnums` names, with a tuple of numbers as a tuple of these arguments. The cost is a small
    multiple of that of `f` itself.

    >>> hvp(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]), np.array([1.0, 0.0])).tolist()
    [10.0, 6.0]
    """

    @wraps(f)
    def product(*args, **kwargs):
        if len(args) < 2:
            raise TypeError(f"hvp: takes the function's arguments and then a vector, got {len(args)} argument(s)")
        *args, vector = args
        run = Run("hvp", gradient_of("hvp", f, argnums), argnums, args, kwargs)
        return run.pulled(run.seeds(vector, "hvp: the vector"))

    return product


def stop_gradient(x):
    """The same values, as constants: no gradient flows through them. Containers keep their kind.

    >>> float(grad(lambda x: x * stop_gradient(x))(3.0))
    3.0
    """
    leaves, rebuild = tree.flatten(x)
    return rebuild([leaf.detach() if isinstance(leaf, TensorBase) else leaf for leaf in leaves])


# --- one call of a function ------------------------------------------------------------------------------------------


class Run:
    """A call of `f` with tensors of our own in place of what it is differentiated by.

    watched    these tensors, of all arguments; under vmap, those behind them
    met        what the function meets in their place: an object's own tensors, where these have traded places with ours
    groups     for each argument: its number, how it is built of its leaves, and these
    out        the result as users see it; `outs`, its leaves, and `aux`, what came with it
    """

    def __init__(self, name, f, argnums, args, kwargs, has_aux=False):
        self.levels = list(levels.active)
        self.name, self.argnums, self.watched, self.met, self.groups, self.swapped = name, argnums, [], [], [], []
        args, self.taken = list(args), []
        try:
            for k in numbers_of(name, argnums, args):
                args[k] = self.watch(args[k], k)
            result = self.call(f, args, kwargs)
        finally:
            turns.give_back(self.taken)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(f"{name}: with has_aux the function must return (result, aux), not {tree.described(result)}")
        result, aux = result if has_aux else (result, None)
        if result is None:
            raise TypeError(f"{name}: the function returned None; does it lack a return?")
        leaves, self.rebuilt_out = tree.flatten(result)
        self.outs = [as_result(name, leaf) for leaf in leaves]
        self.roots = [lowered(out, self.levels) for out in self.outs]
        self.outer = self.leads_beyond(self.outs)
        self.out = self.rebuilt_out(shown(self.outs, self.outer))
        self.aux = None if aux is None else self.shown_aux(aux)

    # --- arguments

    def watch(self, x, k):
        """The argument with tensors of our own in place of its leaves; an object keeps its own, which trade places with ours during the call."""
        is_object = type(x) is not np.ndarray and (hasattr(x, "parameters") or hasattr(x, "named_parameters"))
        if is_object and self.levels:
            raise ValuesNeeded(f"{self.name}: argument {k} is an object, whose parameters stand for one example at a time")
        own, rebuild = parameters_of(x, f"{self.name}: argument {k}") if is_object else tree.flatten(x)
        if not own:
            raise TypeError(f"{self.name}: argument {k} is {tree.described(x)}, by which nothing can be differentiated")
        if is_object:
            turns.take(own)
            self.taken += own
        self.groups.append((k, rebuild, own))
        first = len(self.watched)
        for leaf in own:
            self.watched.append(watched(leaf, self))
        ours = [raised(t, self.levels) for t in self.watched[first:]]
        self.met += own if is_object else ours
        if is_object:
            self.swapped += zip(own, ours, strict=True)
            self.refuse_twice()
        return x if is_object else rebuild(ours)

    def refuse_twice(self):
        """Refuse a tensor of an object's that is named twice: it can trade places with one of ours only."""
        first = {}
        for k, t in enumerate(self.met):
            if first.setdefault(id(t), k) != k:
                raise TypeError(f"{self.name}: {self.name_at(first[id(t)])} and {self.name_at(k)} are the same Tensor; let parameters() name it "
                                "once, or differentiate by one of the objects that share it")

    def call(self, f, args, kwargs):
        trade(self.swapped)
        watching.runs.append(self)
        before = self.rows_met()
        try:
            with enable_grad():
                result = f(*args, **kwargs)
            self.refuse_changes([k for k, row in enumerate(self.rows_met()) if row != before[k]])
            return result
        except GraphError as error:
            self.refuse_changes([k for k, t in enumerate(self.met) if t is getattr(error, "tensor", None)])
            raise
        finally:
            watching.runs.pop()
            trade(self.swapped)

    def rows_met(self):
        return [lowered(t, self.levels)._row for t in self.met]

    def refuse_changes(self, places):
        for k in places:
            raise GraphError(f"{self.name}: the function changes {self.name_of(k)} in place; let it work on a copy: x = x.copy()") from None

    def name_of(self, place):
        """What an error calls one of our own tensors."""
        x = raised(self.watched[place], self.levels)
        return f"{self.name_at(place)} (shape {x.shape}, {x.dtype})"

    def name_at(self, place):
        return self.names()[place]

    def names(self):
        return [f"argument {k}{path}" for k, rebuild, own in self.groups for path in tree.paths(rebuild(own))]

    def argument_of(self, t):
        """What an error says of the argument that a tensor depends on, or None."""
        t = lowered(t, self.levels)
        place = next((k for k, x in enumerate(self.met) if _sweep.depends(t, lowered(x, self.levels))), None)
        return None if place is None else f"{self.name_of(place)} of the function under {self.name}"

    def tangents(self, tangents):
        """The tangents of the arguments, as arrays or Tensors in the shapes and dtypes of these."""
        leaves = []
        for tangent, (k, rebuild, own) in zip(tangents, self.groups, strict=True):
            leaves += tree.leaves_like(tangent, rebuild(own), f"{self.name}: the tangent of argument {k}")
        fitted = [fitting(leaf, raised(x, self.levels), f"{self.name}: the tangent of {name}")
                  for leaf, x, name in zip(leaves, self.watched, self.names(), strict=True)]
        return [lowered(leaf, self.levels) for leaf in fitted]

    # --- the result

    def shown_aux(self, aux):
        leaves, rebuild = tree.flatten(aux)
        return rebuild(shown(leaves, self.leads_beyond(leaves)))

    def leads_beyond(self, results):
        """Whether these depend on more than our own tensors: only then do users see them tracked."""
        roots = [lowered(t, self.levels) for t in results if isinstance(t, TensorBase) and t.requires_grad]
        return bool(roots) and _engine.recording() and _sweep.leads_beyond(roots, self.watched)

    def one(self):
        """What the gradient of the result starts from, if this is one real number."""
        if len(self.outs) != 1 or self.rebuilt_out(self.outs) is not self.outs[0]:
            way_out = "; with has_aux=True it may return (scalar, anything else)" if self.name in ("grad", "value_and_grad") else ""
            raise TypeError(f"{self.name}: the function must return a scalar, not {tree.described(self.out)}{way_out}")
        out = self.outs[0]
        if out.size != 1:
            raise TypeError(f"{self.name}: the function must return a scalar, not {tree.described(out)}; return its sum, for the gradient of that, "
                            "or use jacobian")
        if out.dtype.kind == "c":
            raise TypeError(f"{self.name}: the function must return a real number, not a complex one; return np.real(out) or np.abs(out)")
        return [np.ones(out.shape, out.dtype)]

    def seeds(self, g, what):
        """What gradients of the result start from: built as the result."""
        leaves, paths = tree.leaves_like(g, self.out, what), tree.paths(self.out)
        return [fitting(leaf, out, what + path) for leaf, out, path in zip(leaves, self.outs, paths, strict=True)]

    # --- derivatives

    def gradients(self, roots, seeds, again=False, recorded=None):
        """The gradient by each watched tensor, or None."""
        pairs = [(root, seed) for root, seed in zip(roots, seeds, strict=True) if root.requires_grad]
        if not pairs:
            return [None] * len(self.watched)
        return _sweep.gradients([root for root, _ in pairs], self.watched, [seed for _, seed in pairs], retain_graph=again, recorded=recorded)

    def pulled(self, seeds, again=False):
        """The gradients by the arguments, built as these."""
        found = self.gradients(self.roots, [lowered(seed, self.levels) for seed in seeds], again)
        if not again:
            _sweep.retire(self.watched)
        return self.as_arguments([self.seen(g, x) for g, x in zip(found, self.watched, strict=True)])

    def seen(self, g, x):
        """A gradient by one of our tensors as users see it."""
        return raised(zeros(x.shape, x.dtype) if g is None else g, self.levels)

    def as_arguments(self, leaves):
        built = []
        for _, rebuild, own in self.groups:
            built.append(rebuild(leaves[:len(own)]))
            leaves = leaves[len(own):]
        return tuple(built) if isinstance(self.argnums, tuple) else built[0]

    def pushed(self, tangents):
        """The tangents of the result: the pullback is linear in what it pulls back, and here it is itself pulled back.

        So any numbers will do to pull back, but not zeros: they look like what a mask has left out.
        """
        dummies = [Tensor(irregular(root.shape, root.dtype), requires_grad=True) if root.requires_grad else None for root in self.roots]
        shares = self.gradients(self.roots, dummies, again=True, recorded=True)
        pairs = [(share, tangent) for share, tangent in zip(shares, tangents, strict=True) if share is not None and share.requires_grad]
        inputs = [dummy for dummy in dummies if dummy is not None]
        if pairs:
            recorded = self.outer or any(isinstance(tangent, TensorBase) and tangent.requires_grad for _, tangent in pairs)
            moved = iter(_sweep.gradients([share for share, _ in pairs], inputs, [tangent for _, tangent in pairs], recorded=recorded))
        else:
            moved = iter([None] * len(inputs))
        found = [None if dummy is None else next(moved) for dummy in dummies]
        return self.rebuilt_out([self.seen(t, root) for t, root in zip(found, self.roots, strict=True)])

    def all_rows(self, holomorphic=False):
        """All derivatives of the result, built as this."""
        rows = [self.rows(k, holomorphic) for k in range(len(self.outs))]
        _sweep.retire(self.watched)
        return self.rebuilt_out(rows)

    def rows(self, k, holomorphic):
        """All derivatives of one leaf of the result, built as the arguments: a sweep for each element."""
        out = self.outs[k]
        seeds = np.eye(out.size, dtype=out.dtype).reshape(out.size, *out.shape)
        columns = self.rows_at_once(k, seeds) or self.rows_one_by_one(k, seeds)
        columns = [reshape(column, (*out.shape, *column.shape[1:])) for column in columns]
        return self.as_arguments([np.conjugate(column) for column in columns] if holomorphic else columns)

    def rows_at_once(self, k, seeds):
        """In one sweep; None where the derivatives are to be differentiated in turn, or where some operation needs its own sweep for each."""
        if self.outer or self.levels or not len(seeds) or not self.roots[k].requires_grad:
            return None
        rows = max(1, AT_ONCE // max(x.size for x in (*self.watched, self.roots[k])))
        try:
            parts = [_sweep.gradients_of_many(self.roots[k], self.watched, part, Level(len(part), 0, strict=True))
                     for part in (seeds[i:i + rows] for i in range(0, len(seeds), rows))]  # fmt: skip
        except ValuesNeeded:
            return None
        return [zeros((len(seeds), *x.shape), x.dtype) if columns[0] is None else wrap(np.concatenate(columns), owned=True)
                for x, columns in zip(self.watched, zip(*parts, strict=True), strict=True)]  # fmt: skip

    def rows_one_by_one(self, k, seeds):
        found = [self.gradients([self.roots[k]], [lowered(seed, self.levels)], again=True) for seed in seeds]
        return [joined([self.seen(row[i], x) for row in found]) if found else zeros((0, *raised(x, self.levels).shape), x.dtype)
                for i, x in enumerate(self.watched)]  # fmt: skip


class Turns:
    """Whose call has tensors that have traded places: they do so for all threads, so those of others wait."""

    def __init__(self):
        self.changed, self.taken = threading.Condition(), {}  # id of a tensor -> its thread, and how many calls of that

    def take(self, tensors):
        me = threading.get_ident()
        with self.changed:
            self.changed.wait_for(lambda: all(self.taken.get(id(t), (me, 0))[0] == me for t in tensors))
            for t in tensors:
                self.taken[id(t)] = me, self.taken.get(id(t), (me, 0))[1] + 1

    def give_back(self, tensors):
        if tensors:
            with self.changed:
                for t in tensors:
                    me, calls = self.taken.pop(id(t))
                    if calls > 1:
                        self.taken[id(t)] = me, calls - 1
                self.changed.notify_all()


turns = Turns()


def trade(pairs):
    """Let an object's own tensors trade places with ours."""
    for own, ours in pairs:
        _engine.trade_places(own, ours)


def shown(leaves, tracked):
    """Results as users see them: tensors of their own, which they may change in place."""
    own = lambda t: reshape(t, t.shape) if tracked and t.requires_grad else t.detach()
    return [own(leaf) if isinstance(leaf, TensorBase) else leaf for leaf in leaves]


def joined(parts):
    """Tensors along a new first axis."""
    if any(part.requires_grad or part._is_batched for part in parts):
        return stack(parts)
    return wrap(np.stack([part._array for part in parts]), owned=True)


def zeros(shape, dtype):
    return wrap(np.zeros(shape, dtype), owned=True)


# --- arguments and results -------------------------------------------------------------------------------------------


def numbers_of(name, argnums, args):
    """The numbers of the arguments to differentiate by."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    for k in numbers:
        if not isinstance(k, (int, np.integer)):
            raise TypeError(f"{name}: argnums must be an int or a tuple of ints, not {k!r}")
        if not -len(args) <= k < len(args):
            raise TypeError(f"{name}: argnums names argument {k}, but the function was called with {len(args)} by position")
    if len({k % len(args) for k in numbers}) < len(numbers):
        raise TypeError(f"{name}: argnums {argnums} names an argument twice")
    return numbers


def watched(x, run):
    """A leaf of an argument as a tensor of our own, linked to what it came from if that is tracked. Under vmap, each example has its own."""
    if isinstance(x, TensorBase) and x.requires_grad and _engine.recording():
        return positive(lowered(x, run.levels))
    if type(x) is int:
        x = float(x)
    kind = getattr(getattr(x, "dtype", None), "kind", "f" if type(x) in (float, complex) else "")
    if kind not in ("f", "c"):
        constant = "let the function take it from outside" if run.name in ("vjp", "jvp") else "name other arguments with argnums"
        way_out = f"pass x.astype(float), or {constant}" if kind in ("b", "i", "u") else constant
        raise TypeError(f"{run.name}: {run.name_at(len(run.watched))} is {tree.described(x)}, by which nothing can be differentiated; {way_out}")
    if run.levels:  # a view, where all examples are the same: their copies would not fit into the cache
        return asarray(lowered(x, run.levels)).detach().requires_grad_()
    return Tensor(x.detach() if isinstance(x, TensorBase) else x, requires_grad=True)


def parameters_of(x, where):
    """The tensors of an object, and what their gradients are given as: a dict by name, or else a list."""
    named = hasattr(x, "named_parameters")
    own = dict(x.named_parameters() if named else enumerate(x.parameters()))
    if not own or not all(isinstance(t, TensorBase) and t.dtype.kind in "fc" for t in own.values()):
        raise TypeError(f"{where} is a {type(x).__name__} whose parameters() are no Tensors of real or complex numbers, or none at all")
    return list(own.values()), lambda leaves: dict(zip(own, leaves, strict=True)) if named else list(leaves)


def as_result(name, x):
    """A leaf of what the function returned, as a Tensor."""
    if isinstance(x, TensorBase):
        return x
    if isinstance(x, (bool, int, float, complex, np.ndarray, np.generic)) and np.asarray(x).dtype.kind in "biufc":
        return asarray(x)
    raise TypeError(f"{name}: the function returned {tree.described(x)}, no numbers; return numbers, Tensors or containers of them")


def fitting(x, pattern, what):
    """A gradient or a tangent in the dtype of what it belongs to, with its shape checked."""
    array = x if hasattr(x, "dtype") else np.asarray(x)
    if array.dtype.kind not in "biufc" or not np.can_cast(array.dtype, pattern.dtype, "same_kind"):
        raise TypeError(f"{what} has dtype {array.dtype}, where {pattern.dtype} is expected")
    if array.shape != pattern.shape:
        raise ShapeError(f"{what} has shape {array.shape}, where {pattern.shape} is expected")
    return astype(array, pattern.dtype, copy=False)
