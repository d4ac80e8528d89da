"""`vmap`: a function of one example, run on all examples at once.

The function gets tensors whose first axis is hidden (`Batched`): one example, as far as it can see. An operation that meets one looks
up how it works on many examples (ops/batched.py), and does so on the tensors behind, where the graph is recorded as ever: nothing else
in the package knows of examples. That is why `vmap` and `grad` nest both ways.

Read next: ops/batched.py.
"""

import math
import sys
import threading
import warnings
from functools import partial, wraps

import numpy as np

from gradnerve import inplace, tree
from gradnerve._engine import GraphError, Operation, ShapeError, TensorBase, ValuesNeeded, install_helpers, wrap
from gradnerve.dispatch import plain_index, written
from gradnerve.ops import batched_indexing, batched_products, indexing  # noqa: F401  the former two are rules
from gradnerve.ops.batched import arguments, moved, rule_of
from gradnerve.ops.define import implementations
from gradnerve.ops.shapes import broadcast_to, moveaxis, stack
from gradnerve.tensor import Tensor, asarray

__all__ = ["BatchWarning", "vmap"]


class BatchWarning(UserWarning):
    """Under `vmap`, something runs once for each example."""


class Level:
    """One call of a function under `vmap`; a deeper one is called inside it. A strict one never loops."""

    def __init__(self, size, depth, strict=False):
        self.size, self.depth, self.strict, self.over = size, depth, strict, False

    def hidden(self, result):
        """What an operation gave for all examples, as one of them sees it."""
        if type(result) is Tensor:
            return hidden(result, self)
        return type(result)(map(self.hidden, result)) if isinstance(result, (tuple, list)) else hidden(asarray(result), self)


class Levels(threading.local):
    """Those that this thread is in, the outermost first."""

    def __init__(self):
        self.active = []


levels = Levels()


class Batched(Tensor):
    """One example of many. The first axis of `inner` is that of the examples, and hidden."""

    __slots__ = ("inner", "level")

    shape = property(lambda self: self.inner.shape[1:], lambda self, shape: self._become(self.reshape(shape)))
    ndim = property(lambda self: self.inner.ndim - 1)
    size = property(lambda self: math.prod(self.shape))
    dtype = property(lambda self: self.inner.dtype)
    itemsize = property(lambda self: self.inner.itemsize)
    nbytes = property(lambda self: self.size * self.itemsize)
    strides = property(lambda self: self.inner.strides[1:])
    flags = property(lambda self: self.inner.flags)
    requires_grad = property(lambda self: self.inner.requires_grad)
    is_leaf = property(lambda self: not self.requires_grad)

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __repr__(self):
        return f"<one of {self.level.size} examples: shape {self.shape}, {self.dtype}>"

    __str__ = __repr__

    def __array__(self, dtype=None, copy=None):
        raise ValuesNeeded("np.asarray, and an ndarray that is indexed by a tensor, take values; gn.asarray(a)[i] takes tensors")

    def __getitem__(self, index):
        return batched(indexing.getitem, (self, plain_index(index)), {})

    def __setitem__(self, index, value):
        self._become(batched(indexing.setitem, (self, plain_index(index), value), {}))

    def _become(self, other):
        self.inner, self.level = (other.inner, other.level) if isinstance(other, Batched) else (at(other, self.level), self.level)

    def __pow__(self, other):
        return self.level.hidden(self.inner ** other) if type(other) in (int, float) else super().__pow__(other)

    def ravel(self, order="C"):
        return super().ravel("F" if order == "F" else "C")  # how an example lies in memory is nobody's choice

    def detach(self):
        return hidden(self.inner.detach(), self.level)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and not kwargs:
            return implementations[ufunc](*inputs) if ufunc in implementations and ufunc.nout == 1 else batched(ufunc, inputs, {})
        if method == "__call__" and ufunc.nout == 1 and kwargs.keys() <= {"out", "where"}:
            return masked(ufunc, inputs, **kwargs)
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self._or_looped(function, inputs, kwargs, partial(super().__array_ufunc__, ufunc, method, *inputs, **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        if function in (np.zeros, np.ones, np.empty, np.full):  # like=self, to be written into
            made = super().__array_function__(function, types, args, kwargs)
            return made if isinstance(made, Batched) else hidden(at(made, self.level), self.level)
        return self._or_looped(function, args, kwargs, partial(super().__array_function__, function, types, args, kwargs))

    def _or_looped(self, function, args, kwargs, run):
        """What NumPy's function gives, in one piece if it never looks at values."""
        if rule_of(function):
            out, kwargs = kwargs.get("out"), {name: x for name, x in kwargs.items() if name != "out"}
            result = batched(function, args, kwargs)
            return result if out is None else written(out, result, named_as(function))
        try:
            return run()
        except Exception as error:
            if not values_needed(error):
                raise
        return looped(function, args, kwargs)


def of_one_example(name):
    """What a tensor that stands for many examples has not."""

    def refuse(self, *_):
        raise ValuesNeeded(f"{name} is that of a single example")

    return property(refuse, refuse)


for _name in ("all", "any", "argmax", "argmin", "argpartition", "argsort", "nonzero", "searchsorted"):
    setattr(Batched, _name, lambda self, *args, name=_name, **kwargs: getattr(np, name)(self, *args, **kwargs))
for _name in ("backward", "grad", "register_hook", "requires_grad_", "zero_grad", "_backward", "_hooks", "_operation", "_prev"):
    setattr(Batched, _name, of_one_example(_name))


def values_needed(error):
    """What was said when a function looked at values, if an error comes from that: NumPy and others make their own errors of it."""
    while error is not None and not isinstance(error, ValuesNeeded):
        error = error.__cause__ or error.__context__
    return error


def hidden(inner, level):
    """A tensor with its first axis hidden."""
    t = Batched.__new__(Batched)
    t._stand_for_examples()
    t.inner, t.level = inner, level
    return t


def at(x, level):
    """What lies behind a tensor at a level: all examples, also where they are the same."""
    if isinstance(x, Batched) and x.level is level:
        return x.inner
    x = asarray(x)
    if x._is_batched or x.requires_grad:
        return broadcast_to(x, (level.size, *x.shape))
    return wrap(np.broadcast_to(x._array.copy(), (level.size, *x.shape)), owned=True)


# --- operations ------------------------------------------------------------------------------------------------------


def deepest(xs, found=None):
    """The innermost level that one of these takes part in."""
    for x in xs:
        kind = type(x)
        level = x.level if kind is Batched else deepest(x, found) if kind is tuple or kind is list else None
        found = level if level is not None and (found is None or level.depth > found.depth) else found
    return found


def batched(operation, args, options):
    """An operation (or a function of NumPy's) on all examples at once; if nothing is known of how, once for each."""
    args, options = arguments(operation, args, options)
    rule, level = rule_of(operation), deepest([*args, *options.values()])
    if level.over and level not in levels.active:
        raise GraphError("vmap: a tensor that stands for one of many examples was kept beyond the call of the function that it was made for")
    result = NotImplemented
    if rule:
        try:
            result = rule(operation, args, options, level)
        except Exception as error:
            if not level.strict and not values_needed(error):
                raise_as_one(operation, args, options, level)
            raise
    return looped(operation, args, options) if result is NotImplemented else result


def raise_as_one(operation, args, options, level):
    """Raise what an example raises by itself: that speaks of shapes that the caller knows."""
    try:
        for _ in for_each(operation, args, options, level):
            pass
    except Exception as error:
        raise error from None


def batched_in_place(operation, t, other):
    """``t += other``: the name stands for the new value."""
    return written(t, operation(t, other), operation.name)


def masked(ufunc, inputs, where=True, out=(None,)):
    """A ufunc's values where the mask holds, and elsewhere what `out` has."""
    (out,) = out if isinstance(out, tuple) else (out,)
    with np.errstate(**{} if where is True else {"all": "ignore"}):
        result = ufunc(*inputs)
    result = result if where is True else np.where(where, result, 0 if out is None else out)
    if out is not None and not isinstance(out, TensorBase):
        raise ValuesNeeded(f"{ufunc.__name__} writes into an ndarray, which is the same for all examples")
    return result if out is None else written(out, result, ufunc.__name__)


WRITERS = {getattr(np, name) for name in inplace.__all__}


def looped(function, args, options):
    """Once for each example."""
    level, name = deepest([*args, *options.values()]), named_as(function)
    if level.strict:
        raise ValuesNeeded(f"{name} has no batched form")
    if function in WRITERS or name.endswith(".at") or options.get("out") is not None:
        raise ValuesNeeded(f"{name} writes into an argument, and has no batched form")
    try:
        result = together([*for_each(function, args, options, level)], level.hidden)
    except ShapeError as error:
        raise ValuesNeeded(str(error)) from None
    tell(f"{name} has no batched form, and runs once for each of the {level.size} examples")
    return result


def for_each(function, args, options, level):
    """The results of all examples, one after the other."""
    return (function(*example(args, level, i), **example(options, level, i)) for i in range(level.size))


def tell(what):
    """A BatchWarning at the line of the first caller that is neither ours nor NumPy's."""
    frame, stacklevel = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("gradnerve", "numpy"):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(f"vmap: {what}", BatchWarning, stacklevel=stacklevel)


def named_as(function):
    """What users call a function."""
    if isinstance(function, Operation):
        theirs = (f for f, ours in implementations.items() if ours is function or getattr(ours, "__name__", None) == function.name)
        return next(map(named_as, theirs), function.name)
    if isinstance(getattr(function, "__self__", None), np.ufunc):  # a method
        return f"np.{function.__self__.__name__}.{function.__name__}"
    name, module = getattr(function, "__name__", type(function).__name__), getattr(function, "__module__", None) or ""
    if isinstance(function, np.ufunc):
        return f"np.{name}" if getattr(np, name, None) is function else name
    return f"{module}.{name}".replace("numpy", "np", 1) if module.partition(".")[0] == "numpy" else name


def example(x, level, i):
    """The arguments of one example."""
    if isinstance(x, Batched) and x.level is level:
        return x.inner[i]
    if type(x) in (list, tuple):
        return type(x)(example(part, level, i) for part in x)
    return {name: example(part, level, i) for name, part in x.items()} if type(x) is dict else x


def together(results, wrap):
    """The results of all examples as one, built as each of them."""
    if not results:
        raise ValueError("vmap: there is no example, and what cannot be batched cannot be called without one")
    _, rebuild = tree.flatten(results[0])
    columns = zip(*(tree.leaves_like(result, results[0], "vmap: the result for a later example") for result in results), strict=True)
    return rebuild([joined(column, wrap) for column in columns])


def joined(column, wrap):
    if not all(map(is_array, column)):
        if any(x is not column[0] and x != column[0] for x in column):
            raise TypeError(f"vmap: the examples give {column[0]!r} and others, which make no array")
        return column[0]
    shapes = {np.shape(x) for x in column}
    if len(shapes) > 1:
        raise ShapeError(f"vmap: the examples give results of different shapes, {' and '.join(map(str, sorted(shapes)))}")
    return wrap(asarray(stack(column)))


# --- vmap ------------------------------------------------------------------------------------------------------------


def vmap(f, in_axes=0, out_axes=0):
    """The function that runs `f`, a function of one example, on all examples at once.

    in_axes   the axis of the examples in each argument, None where all examples share it: a number for all arguments, or a tuple with
              one for each, which for a container may itself be built as that
    out_axes  likewise, where the axis of the examples shall be in each result

    Arrays among the keyword arguments have their examples along the first axis; whatever else is passed by name is passed on. What
    has no batched form runs once for each example, with a BatchWarning that names it, and a function that looks at values
    (``if x > 0``) is itself called once for each.

    Raises ShapeError where the arguments disagree on the number of examples.

    >>> from gradnerve import grad
    >>> loss = lambda w, x, y: (w @ x - y) ** 2
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([1.0, 2.0, 3.0])
    >>> vmap(grad(loss), in_axes=(None, 0, 0))(np.zeros(2), x, y)
    Tensor([[ -2.,  -4.],
            [-12., -16.],
            [-30., -36.]], dtype=float64)
    """

    @wraps(f)
    def mapped(*args, **kwargs):
        given = [*args, *kwargs.values()]
        axes = axes_of_arguments(in_axes, args) + [axis_of_option(x) for x in kwargs.values()]
        taken = [tree.flatten(x) for x in given]
        axes = [axes_like(axis, x, f"vmap: in_axes of argument {k}") for k, (axis, x) in enumerate(zip(axes, given, strict=True))]
        level = Level(number_of_examples(taken, axes), len(levels.active))

        def called(part):
            """The leaves of what the function gives for a part of each argument, and how it is built of them."""
            parts = [rebuild([part(x, axis) for x, axis in zip(leaves, marks, strict=True)])
                     for (leaves, rebuild), marks in zip(taken, axes, strict=True)]  # fmt: skip
            return f(*parts[:len(args)], **dict(zip(kwargs, parts[len(args):], strict=True)))

        def whole(x, axis):
            return x if axis is None else hidden(moved(asarray(x), axis, 0), level)

        def one(i):
            return lambda x, axis: x if axis is None else moveaxis(asarray(x), axis, 0)[i]

        levels.active.append(level)
        try:
            result, looped = called(whole), False
        except Exception as error:
            if not values_needed(error):
                raise
            tell(f"{named_as(f)} is called once for each of the {level.size} examples: {values_needed(error)}")
            looped = True
        finally:
            levels.active.remove(level)
            level.over = True
        if looped:
            result = together([called(one(i)) for i in range(level.size)], level.hidden)
        leaves, rebuild = tree.flatten(result)
        marks = axes_like(out_axes, result, "vmap: out_axes")
        return rebuild([with_examples_at(axis, x, level, looped) if is_array(x) else x for x, axis in zip(leaves, marks, strict=True)])

    return mapped


def with_examples_at(axis, x, level, looped):
    """A result with the axis of the examples where it shall be."""
    if axis is not None:
        return moved(at(x, level), 0, axis)
    if not isinstance(x, Batched) or x.level is not level:
        return asarray(x)
    if not looped or not np.all(x.inner == x.inner[:1]):
        raise ValueError("vmap: out_axes is None for a result that differs between examples")
    return x.inner[0]


def is_array(x):
    return isinstance(x, (TensorBase, np.ndarray, np.generic, float, int, complex))


def axis_of_option(x):
    return 0 if np.ndim(x) and isinstance(x, (TensorBase, np.ndarray)) else None


def axes_of_arguments(in_axes, args):
    if not isinstance(in_axes, (tuple, list)):
        return [in_axes] * len(args)
    if len(in_axes) != len(args):
        raise TypeError(f"vmap: in_axes names {len(in_axes)} argument(s), but the function was called with {len(args)}")
    return list(in_axes)


def axes_like(axes, x, what):
    """The axis of the examples for each leaf; one for a container stands for all that is in it."""
    count = len(tree.flatten(x)[0])
    if axes is None or isinstance(axes, (int, np.integer)):
        return [axes] * count
    found = tree.container(x)
    if found is None or tree.container(axes) is None or tree.container(axes)[0].keys() != found[0].keys():
        raise TypeError(f"{what} is {tree.described(axes)}, which does not fit {tree.described(x)}")
    return [mark for name in found[0] for mark in axes_like(tree.container(axes)[0][name], found[0][name], what + name)]


def number_of_examples(taken, axes):
    """Along the axes of all leaves that have one."""
    sizes = {}
    for k, ((leaves, _), marks) in enumerate(zip(taken, axes, strict=True)):
        for x, axis in zip(leaves, marks, strict=True):
            if axis is None:
                continue
            if not is_array(x) or not -np.ndim(x) <= axis < np.ndim(x):
                raise ShapeError(f"vmap: argument {k} is {tree.described(x)}, which has no axis {axis} for the examples; in_axes=None shares it")
            sizes.setdefault(np.shape(x)[axis], f"{np.shape(x)[axis]} along axis {axis} of argument {k}, of shape {np.shape(x)}")
    if not sizes:
        raise TypeError("vmap: no argument has an axis of examples; in_axes must name one")
    if len(sizes) > 1:
        raise ShapeError(f"vmap: the arguments disagree on the number of examples: {'; '.join(sizes.values())}")
    return next(iter(sizes))


# --- derivatives under vmap ------------------------------------------------------------------------------------------


def lowered(x, active):
    """The tensor behind all levels: every example of it, in plain sight."""
    for level in reversed(active):
        x = at(x, level)
    return x


def raised(x, active):
    """The other way round."""
    for level in active:
        x = hidden(x, level)
    return x


install_helpers(batched=batched, batched_in_place=batched_in_place, hidden=hidden, examples=at)
