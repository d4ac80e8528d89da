"""Operations of your own: `custom_gradient`, and `Function`, PyTorch's way.

Both give code in place of a derivative line. Gradients of first order call it on plain values. For a second order, the graph must
reach what that code has kept from the forward pass, so then the forward pass runs again, on Tensors that are linked to the arguments.

Read next: docs/own_operations.md, which shows all four ways; recompute.py.
"""

from functools import wraps

import numpy as np

from gradnerve import _engine, _sweep, tree
from gradnerve._engine import GraphError, TensorBase, wrap
from gradnerve._general import Custom
from gradnerve.dispatch import watching
from gradnerve.ops.indexing import getitem
from gradnerve.ops.shapes import astype, reshape
from gradnerve.ops.values import tracked, value
from gradnerve.tensor import enable_grad, no_grad

__all__ = ["Function", "custom_gradient"]


def custom_gradient(f):
    """Decorator: an operation of your own, from a function that returns its value and its pullback.

    f         takes arrays, and returns ``(value, pullback)``; the value is an array or a number, or a tuple of these
    pullback  takes the gradient of the value (of each value, if there are several), and returns one gradient for each argument (a tuple,
              unless there is one argument only), of that argument's shape; None counts as zero

    Keyword arguments are passed on; they are options, without a gradient. During backward, a wrong number of gradients or a wrong dtype
    raises TypeError, and a wrong shape ShapeError. For second derivatives `f` is called again, on Tensors: then it must be NumPy code that
    takes them, and give the same value, or there is a GraphError.

    >>> from gradnerve import Tensor, grad
    >>> @custom_gradient
    ... def cube(x):
    ...     return x ** 3, lambda g: 3 * x * x * g
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    array(12.)
    >>> float(grad(grad(cube))(2.0))
    12.0
    """
    operation = Custom(getattr(f, "__name__", type(f).__name__))

    @wraps(f)
    def call(*args, **kwargs):
        return called(operation, f, args, kwargs)

    return call


def called(operation, f, args, kwargs):
    """What a function under `custom_gradient` gives."""
    name = operation.name
    if any(isinstance(a, TensorBase) and a._is_batched for a in args):
        return _engine.batched(named(name, lambda *args, **kwargs: called(operation, f, args, kwargs)), args, kwargs)
    links, options = frozen(name, args), {key: as_it_is(a) for key, a in kwargs.items()}
    result, pullback = evaluated(name, f, [plain(a) for a in links], options)
    if tracked(*parts_of(result)):
        raise GraphError(f"{name}: computes with a tracked tensor that is no argument by position, so its gradient would be lost; pass it as one")
    if not any(isinstance(a, TensorBase) for a in args):
        return result

    def shares(gradients, results):
        if not any(isinstance(g, TensorBase) for g in gradients):
            return pullback(*gradients)
        with enable_grad(), Watch(name, [*links, *gradients]):
            again, pullback_again = evaluated(name, f, links, options)
            refuse_changes(name, results, parts_of(again))
            return pullback_again(*gradients)

    return packed(operation, result, args, shares, read=range(len(parts_of(result))),
                  again=lambda *args: called(operation, f, args, kwargs))  # fmt: skip


def named(name, function):
    """The function, under a name that warnings give it."""
    function.__name__ = function.__qualname__ = name
    return function


def evaluated(name, f, args, kwargs):
    outcome = f(*args, **kwargs)
    if not (isinstance(outcome, tuple) and len(outcome) == 2 and callable(outcome[1])):
        raise TypeError(f"{name}: a function under custom_gradient returns (value, pullback), not {tree.described(outcome)}")
    return outcome


def frozen(name, args):
    """The arguments as they are now: whatever happens to them, these stay."""
    for k, a in enumerate(args):
        if isinstance(a, (list, tuple, dict)) and tracked(*tree.flatten(a)[0]):
            raise TypeError(f"{name}: argument {k} is {tree.described(a)}, among which are Tensors that require grad; pass each as an argument")
    return [as_it_is(a) for a in args]


def as_it_is(a):
    if isinstance(a, TensorBase):
        return a._link()
    if isinstance(a, np.ndarray):
        return a.copy("K")
    if isinstance(a, (list, tuple, dict)):
        leaves, rebuild = tree.flatten(a)
        return rebuild([as_it_is(leaf) for leaf in leaves])
    return a


def plain(a):
    """An array of its own in place of a Tensor."""
    return np.array(a._array) if isinstance(a, TensorBase) else a


def parts_of(result):
    return result if isinstance(result, (tuple, list)) else (result,)


def packed(operation, result, args, shares, read=(), constants=(), again=None):
    """What an operation with one or several results gives. The graph knows one result for each operation: several lie one after the other.

    shares     takes the gradients of the results, and the results as Tensors linked to the operation, as far as `read` numbers them
    constants  the numbers of results without a gradient, as those of integers have none
    again      a function of `args` that does the operation again
    """
    single, parts = not isinstance(result, (tuple, list)), [np.asarray(value(part)) for part in parts_of(result)]
    for part in parts:
        if part.dtype.kind not in "biufc":
            raise TypeError(f"{operation.name}: gave {part.dtype}, which is no number")
    if single and not constants:
        return operation.record(np.array(parts[0]), args, lambda g, out: shares([g], [out]), bool(read), again)
    kept = [k for k, part in enumerate(parts) if part.dtype.kind in "fc" and k not in constants]
    row = np.concatenate([parts[k].reshape(-1) for k in kept]) if kept else np.zeros(0)
    ends = np.cumsum([0, *(parts[k].size for k in kept)])
    places = {k: slice(ends[i], ends[i + 1]) for i, k in enumerate(kept)}
    forms = [(part.shape, part.dtype) for part in parts]
    others = {k: parts[k] for k in read if k not in places}

    def gradients(g):
        return [unpacked(g, places[k], *form) if k in places else np.zeros(*form) for k, form in enumerate(forms)]

    def results(out):
        return [unpacked(out, places[k], *form) if k in places else others.get(k) for k, form in enumerate(forms)]

    whole = operation.record(row, args, lambda g, out: shares(gradients(g), None if out is None else results(out)), bool(read), again)
    outs = [unpacked(whole, places[k], *form) if k in places else wrap(np.array(parts[k]), owned=True) for k, form in enumerate(forms)]
    return outs[0] if single else tree.container(result)[1](outs)


def unpacked(whole, place, shape, dtype):
    """One result out of the row."""
    values = reshape(getitem(whole, place), shape)
    if dtype.kind != "c":
        values = np.real(values)
    return astype(values, dtype, copy=False)


# --- forward once more -----------------------------------------------------------------------------------------------


class Watch:
    """A block in which values of these tensors are not to be taken, as a `Run` does not allow it for its arguments. No other `Run` looks on."""

    def __init__(self, name, tensors):
        self.name, self.tensors = name, tensors

    def __enter__(self):
        self.before, watching.runs = watching.runs, [self]

    def __exit__(self, *error):
        watching.runs = self.before

    def argument_of(self, t):
        depends = any(isinstance(x, TensorBase) and _sweep.depends(t, x) for x in self.tensors)
        return f"the arguments of {self.name}, which runs on Tensors for second derivatives and jvp," if depends else None


def refuse_changes(name, before, after):
    """What forward gives or keeps must be the same when it runs again, but for rounding."""
    if len(before) != len(after) or not all(map(same_values, before, after)):
        raise GraphError(f"{name}: gives other values when it runs again, for a second derivative: what it reads was changed, or it draws random "
                         "numbers; let it take these as an argument")  # fmt: skip


def same_values(before, after):
    before, after = np.asarray(value(before)), np.asarray(value(after))
    if before.dtype.kind not in "biufc" or after.dtype.kind not in "biufc":
        return True
    largest = np.abs(before[np.isfinite(before)]).max(initial=0)
    return before.shape == after.shape and np.allclose(before, after, rtol=1e-2, atol=1e-6 * largest, equal_nan=True)


# --- PyTorch's way ---------------------------------------------------------------------------------------------------


class Function:
    """An operation of your own with `forward` and `backward`, as `torch.autograd.Function`.

    ``forward(ctx, *args)`` takes Tensors (and whatever else `apply` was called with) and returns a Tensor, an array or a tuple; what it
    computes is not recorded. ``backward(ctx, *gradients)`` takes the gradient of each result and returns one for each argument, None
    where there is none. `ctx` hands things on: ``ctx.save_for_backward(...)`` and ``ctx.saved_tensors``, attributes of any name,
    ``ctx.needs_input_grad``, ``ctx.mark_non_differentiable(...)``. With a method
    ``setup_context(ctx, inputs, output)``, forward takes no ctx.

    A gradient of a wrong number, shape or dtype raises an error that names the class. Second derivatives go through `backward`; if it reads
    more than arguments and results that were saved, forward runs again for them.

    >>> from gradnerve import Tensor
    >>> class Exp(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         out = np.exp(x)
    ...         ctx.save_for_backward(out)
    ...         return out
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         out, = ctx.saved_tensors
    ...         return g * out
    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    array([1.        , 2.71828183])
    """

    setup_context = None

    @staticmethod
    def forward(ctx, *args):
        raise NotImplementedError("Function: write a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("Function: write a static method backward(ctx, *gradients)")

    @classmethod
    def apply(cls, *args):
        """Call the operation."""
        if any(isinstance(a, TensorBase) and a._is_batched for a in args):
            return _engine.batched(named(cls.__name__, lambda *args: cls.apply(*args)), args, {})
        ctx = Context(cls.__name__, frozen(cls.__name__, args))
        with no_grad(), Watch(cls.__name__, ()):
            result = ctx.run(cls)
        n = len(args)  # so that the graph does not hold the arguments themselves

        def shares(gradients, results):
            if any(isinstance(g, TensorBase) for g in gradients):
                with enable_grad(), Watch(cls.__name__, [*ctx._links, *gradients]):
                    found = ctx.for_second_derivative(cls).pulled(cls, gradients, results)
            else:
                with no_grad():
                    found = ctx.pulled(cls, gradients, results)
            while len(found) > n and found[-1] is None:
                found.pop()
            return found

        return packed(Custom(cls.__name__), result, args, shares, ctx.saved_results(), ctx._constants, cls.apply)


def given(x):
    """What `backward` sees: a Tensor of its own."""
    return x._link() if isinstance(x, TensorBase) else wrap(x, owned=True)


class Context:
    """What `forward` hands on to `backward`.

    _links      the arguments
    _saved      what `save_for_backward` was given: (None, that), or for a result (its number, None)
    _constants  the numbers of results without a gradient
    _results    the results, while `backward` runs
    """

    __slots__ = ("__dict__", "_constants", "_links", "_name", "_results", "_saved", "needs_input_grad")  # so vars() are the user's

    def __init__(self, name, links):
        self._name, self._links, self._saved, self._constants, self._results = name, links, (), (), ()
        self.needs_input_grad = tuple(isinstance(a, TensorBase) and a.requires_grad for a in links)

    def save_for_backward(self, *tensors):
        """Keep these for `backward`: arguments and results keep their place in the graph."""
        self._saved = [(None, t) for t in tensors]

    @property
    def saved_tensors(self):
        """What `save_for_backward` was given."""
        everything = [t if place is None else self._results[place] for place, t in self._saved]
        return tuple(given(t) if isinstance(t, (TensorBase, np.ndarray)) else t for t in everything)

    def mark_non_differentiable(self, *results):
        """No gradient flows through these results."""
        self._constants = results

    def set_materialize_grads(self, on):
        """Without effect: where no gradient has come to a result, `backward` is given zeros."""

    def mark_dirty(self, *tensors):
        """Raises TypeError: an operation returns a new value, and leaves its arguments as they are."""
        raise TypeError(f"{self._name}: an operation cannot change its arguments; return a new value")

    # what `apply` calls

    def run(self, function):
        """The result of `forward`, of which nothing is kept that was not saved."""
        if function.setup_context is None:
            result = function.forward(self, *self._links)
        else:
            result = function.forward(*self._links)
            function.setup_context(self, tuple(self._links), result)
        parts = parts_of(result)
        self._constants = [k for k, part in enumerate(parts) if any(part is c for c in self._constants)]
        self._saved = [self.entry(t, parts) for _, t in self._saved]
        return result

    def entry(self, t, parts):
        """What `_saved` holds for something: a result that has a place in the graph need not be kept, one without a gradient is just a value."""
        place = next((k for k, part in enumerate(parts) if part is t and k not in self._constants and not self.is_argument(t)), None)
        return (place, t if place is None else None)

    def is_argument(self, x):
        return any(x is a for a in tree.flatten(self._links)[0])

    def saved_results(self):
        return [place for place, _ in self._saved if place is not None]

    def pulled(self, function, gradients, results):
        """The gradients that `backward` gives."""
        self._results = results
        try:
            return list(parts_of(function.backward(self, *map(given, gradients))))
        finally:
            self._results = ()  # they are linked to the node that keeps us

    def kept_beyond(self):
        """What `backward` may read beside arguments and saved results, and what the graph knows nothing of: intermediate values."""
        leaves = [x for x in tree.flatten([[t for _, t in self._saved], vars(self)])[0] if not isinstance(x, (type, np.dtype))]
        return [x for x in leaves if np.asarray(value(x)).dtype.kind not in "biuUS" and not self.is_argument(x)]

    def for_second_derivative(self, function):
        """This context; or one of a forward pass that is recorded, if intermediate values are kept."""
        kept = self.kept_beyond()
        if not kept:
            return self
        other = Context(self._name, self._links)
        other.run(function)
        refuse_changes(self._name, kept, other.kept_beyond())
        return other
