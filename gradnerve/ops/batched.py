"""How operations work on many examples at once: what `vmap` runs in place of each.

A rule takes the call that it stands for, with the arrays of all examples, the examples along the first axis, and gives all results,
again with the examples along the first axis. Most functions need no more than axes that are counted from the end, or axes of length 1
in the right place, so that one rule serves many. What has none, or what its rule declines (`NotImplemented`), runs once for each example.

Read next: batched_indexing.py, batched_products.py; ../batching.py, which looks the rules up.
"""

import math
from functools import cache
from inspect import signature
from operator import attrgetter

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from gradnerve import _engine
from gradnerve._engine import Operation, ShapeError, TensorBase, ValuesNeeded
from gradnerve._general import General
from gradnerve.ops.define import operations
from gradnerve.ops.shapes import broadcast_to, moveaxis, reshape
from gradnerve.ops.values import array_of, holds_tensors, tensor_like, value

RULES = {}  # an operation's name or its first part, or a function of NumPy's -> what takes it, its arguments and the level of `vmap`


def rule_of(operation):
    if getattr(operation, "elementwise", isinstance(operation, np.ufunc) and not operation.signature):
        return elementwise
    if isinstance(getattr(operation, "__self__", None), np.ufunc):
        return RULES.get(f"ufunc.{operation.__name__}")
    if not isinstance(operation, Operation):
        return RULES.get(operation)
    known = operations.get(operation.name) is operation  # another one may have the same name
    return RULES.get(operation.name, RULES.get(operation.name.partition(".")[0])) if known else None


def learn(names, run):
    """`run` is the rule of these: operations by their names, and functions of NumPy's (``np.any``)."""
    RULES.update({attrgetter(name[3:])(np) if name.startswith("np.") else name: run for name in names.split()})


def rule(names, also=""):
    """Decorator: a rule that takes a `Call`.

    also   the arguments that may differ between examples beside the first one; "*" stands for all
    """

    def decorate(function):
        def run(operation, args, options, level):
            call = Call(operation, args, options, level)
            result = function(call) if also == "*" or call.batched <= {call.first, *also.split()} else NotImplemented
            return result if result is NotImplemented else level.hidden(result)

        learn(names, run)
        return function

    return decorate


def composed(names):
    """Decorator: how these are written, for one example, with functions that have a rule."""

    def decorate(function):
        learn(names, lambda operation, args, options, _: function(*args, **options))
        return function

    return decorate


# --- calls -----------------------------------------------------------------------------------------------------------


class Call:
    """The call of an operation, with the arrays of all examples in place of those of one.

    args      name -> argument, also of those that were left out; where there may be any number of arrays, those by their numbers
    batched   the names of the arguments that differ between examples: these have the examples along their first axis
    first     the name of the first argument
    """

    def __init__(self, operation, args, options, level):
        self.operation, self.level, self.size = operation, level, level.size
        self.bound = None if isinstance(operation, Operation) else bound(operation, args, options)
        given = self.bound.arguments if self.bound else named(operation, args, options)
        self.first = next(iter(given))
        self.args = {name: array_of(x) if name != "index" and holds_tensors(x) else x for name, x in given.items()}
        self.batched = {name for name, x in self.args.items() if self.differs(x) and name != "index"}
        for name in self.batched:
            self.args[name] = self.args[name].inner

    def __getitem__(self, name):
        return self.args.get(name)

    def differs(self, x):
        """Whether each example has its own."""
        return getattr(x, "level", None) is self.level

    def shape(self, name):
        """The shape of one example."""
        return shape_of(self.args[name])[name in self.batched:]

    def ndim(self, name):
        return len(self.shape(name))

    def whole(self, name):
        """The argument with the examples along its first axis, whether they differ or not."""
        x = self.args[name]
        return x if name in self.batched else broadcast_to(x, (self.size, *shape_of(x)))

    def aligned(self, names, cores=None, least=0):
        """These arguments with axes of length 1 after that of the examples, so that they broadcast as those of one example do.

        cores   for each, how many of its last axes are those of a vector or a matrix, which do not broadcast
        least   of how many axes there shall be at least
        """
        outer = [self.ndim(name) - core for name, core in zip(names, cores or [0] * len(names), strict=True)]
        if min(outer) < 0:
            raise ShapeError("too few axes for vectors or matrices")
        most = max(*outer, least)
        return {name: with_ones(self[name], most - n) if name in self.batched else self[name] for name, n in zip(names, outer, strict=True)}

    def __call__(self, arrays=(), **changed):
        """Run the operation, with some arguments changed."""
        args, operation = self.args | dict(arrays) | changed, self.operation
        if self.bound:
            self.bound.arguments.update(args)
            return operation(*self.bound.args, **self.bound.kwargs)
        if operation.variadic:
            return operation(*(x for name, x in args.items() if isinstance(name, int)), **{k: x for k, x in args.items() if isinstance(k, str)})
        given = arguments(operation, [args[name] for name in operation.names], {})
        return _engine.batched(operation, *given) if holds_tensors(args.get("index")) else operation(*given[0], **given[1])


def arguments(operation, args, options):
    """The arguments as they are to be passed: the core gives all by their places, and lists in place of some arrays."""
    if not isinstance(operation, General) or operation.variadic:
        return args, options
    names, n = operation.names, operation.n_positional
    args = [array_of(x) if type(x) in (list, tuple) and name in operation.lines else x for name, x in zip(names, args, strict=True)]
    return args[:n], dict(zip(names[n:], args[n:], strict=True))


def named(operation, args, options):
    """The arguments of an operation by their names, or those of any number by their numbers."""
    return dict(enumerate(args) if operation.variadic else zip(operation.names, args, strict=False)) | options


SIGNATURES = {  # those that Python does not know: of the methods of ufuncs, for one
    "reduce": lambda array, axis=0, dtype=None, out=None, keepdims=False, initial=np._NoValue, where=True: ...,
    "accumulate": lambda array, axis=0, dtype=None, out=None: ...,
    "reduceat": lambda array, indices, axis=0, dtype=None, out=None: ...,
    "unravel_index": lambda indices, shape, order="C": ...,
}
signature_of = cache(signature)


def bound(function, args, options):
    """The arguments of a function of NumPy's, with its defaults."""
    found = signature_of(SIGNATURES.get(function.__name__, function)).bind(*args, **options)
    found.apply_defaults()
    return found


# --- shapes ----------------------------------------------------------------------------------------------------------


def ndim(x):
    return x.ndim if isinstance(x, (TensorBase, np.ndarray)) else np.ndim(x) if isinstance(x, (list, tuple)) else 0


def shape_of(x):
    return x.shape if isinstance(x, (TensorBase, np.ndarray)) else np.shape(x) if isinstance(x, (list, tuple)) else ()


def as_shape(shape):
    return tuple(shape) if hasattr(shape, "__iter__") else (shape,)


def with_ones(x, count):
    return reshape(x, (x.shape[0], *(1,) * count, *x.shape[1:])) if count > 0 else x


def moved(x, source, destination):
    return x if source == destination else moveaxis(x, source, destination)


def from_end(axis, ndim):
    """An axis, or several, counted from the end, where that of the examples does not count."""
    if isinstance(axis, (tuple, list, range)):
        return tuple(k - ndim for k in normalize_axis_tuple(axis, ndim))
    return normalize_axis_index(axis, ndim) - ndim


def all_axes(axis, ndim):
    """The same; None stands for all axes. NumPy lets sums of a number name one."""
    return tuple(range(-ndim, 0)) if axis is None or not ndim else from_end(axis, ndim)


# --- elementwise -----------------------------------------------------------------------------------------------------


def elementwise(operation, args, options, level):
    """What has fewer axes gets axes of length 1 after that of the examples, to broadcast as one example does."""
    most = max(map(ndim, args))
    aligned = (with_ones(x.inner, most - x.ndim) if getattr(x, "level", None) is level else x for x in args)
    return level.hidden(operation(*aligned, **options))


learn("where clamp real imag round mantissa fraction integer copy astype log_gamma_slope", elementwise)
learn("np.isclose np.isneginf np.isposinf np.isreal np.iscomplex", elementwise)


@rule("interp np.digitize np.isin np.unravel_index")
def by_elements(call):
    """Elementwise in the first argument."""
    return call()


@rule("np.searchsorted", also="v")
def places(call):
    return NotImplemented if "a" in call.batched else call()


# --- along axes ------------------------------------------------------------------------------------------------------


@rule("sum max min prod nanmax nanmin reduce p_norm softmax log_softmax logsumexp special.softmax special.log_softmax flip", also="where")
@rule("ufunc.reduce np.any np.all np.count_nonzero np.median np.nanmedian np.nansum np.nanprod np.nanmean np.nanvar", also="where")
def over_axes(call):
    """If no axis is named, over all axes of an example."""
    masks = call.aligned([call.first, "where"]) if "where" in call.batched else {}
    return call(masks | {call.first: call.whole(call.first)}, axis=all_axes(call["axis"], call.ndim(call.first)))


@rule("sort partition accumulate unwrap fft ifft rfft irfft ufunc.accumulate ufunc.reduceat np.argsort np.argpartition")
def along_axis(call, row=False):
    """If no axis is named, along all elements of an example in one row."""
    x, axis, shape = call[call.first], call["axis"], call.shape(call.first)
    if axis is not None and not row:
        return call(axis=from_end(axis, len(shape)))
    out = call({call.first: reshape(x, (call.size, math.prod(shape)))}, axis=-1)
    return reshape(out, (call.size, *(1,) * len(shape))) if call["keepdims"] is True else out


@rule("cumsum cumprod np.nancumsum np.nancumprod np.argmax np.argmin np.nanargmax np.nanargmin")
def along_axis_or_number(call):
    """These take a number as a row."""
    return along_axis(call, row=not call.shape(call.first))


@rule("np.quantile np.percentile np.nanquantile np.nanpercentile")
def quantiles(call):
    """NumPy puts the axes of q first."""
    return moveaxis(over_axes(call), ndim(call["q"]), 0)


@rule("np.average", also="weights")
def averages(call):
    if call["weights"] is None:
        return over_axes(call)
    if call.ndim("weights") != call.ndim("a"):  # they are those along one axis
        return NotImplemented
    return call(a=call.whole("a"), weights=call.whole("weights"), axis=all_axes(call["axis"], call.ndim("a")))


@rule("special.logsumexp special.log_size special.sum_sign", also="b")
def weighted_sums(call):
    ndim = max(call.ndim("a"), call.ndim("b"), 1)
    return call(call.aligned("ab", least=ndim), axis=all_axes(call["axis"], ndim))


@rule("np.linspace np.logspace np.geomspace", also="stop base")
def spaced(call):
    """The axis that is named is one of the result."""
    ends = [name for name in ("start", "stop", "base") if name in call.args]
    return call(call.aligned(ends), axis=from_end(call["axis"], max(map(call.ndim, ends)) + 1))


# --- moved elements --------------------------------------------------------------------------------------------------


@rule("reshape")
def reshaped(call):
    shape, size = as_shape(call["shape"]), math.prod(call.shape("x"))
    known = -math.prod(shape)
    shape = tuple(size // (known or 1) if n == -1 else n for n in shape)
    if call["order"] == "C":
        return call(shape=(call.size, *shape))
    return moveaxis(call(x=moveaxis(call["x"], 0, -1), shape=(*shape, call.size)), -1, 0)  # the first axis is the fastest


@rule("swapaxes moveaxis")
def axes_moved(call):
    return call(**{name: from_end(axis, call.ndim("x")) for name, axis in call.args.items() if name != "x"})


@rule("transpose")
def transposed(call):
    ndim = call.ndim("x")
    axes = range(ndim)[::-1] if call["axes"] is None else normalize_axis_tuple(call["axes"], ndim)
    return call(axes=(0, *(k + 1 for k in axes)))


@rule("expand_dims")
def expanded(call):
    return call(axis=from_end(call["axis"], call.ndim("x") + len(as_shape(call["axis"]))))


@rule("squeeze")
def squeezed(call):
    shape, axis = call.shape("x"), call["axis"]
    axis = tuple(k for k, n in enumerate(shape) if n == 1) if axis is None else axis
    return call(axis=from_end(axis, len(shape)))


@rule("broadcast_to")
def spread(call):
    shape = as_shape(call["shape"])
    return call(x=with_ones(call["x"], len(shape) - call.ndim("x")), shape=(call.size, *shape))


@rule("sum_to")
def summed(call):
    shape = call["shape"]
    ones = (1,) * (call.ndim("x") - len(shape))
    return reshape(call(shape=(call.size, *ones, *shape)), (call.size, *shape))


@rule("concatenate stack", also="*")
def joined(call):
    arrays = {k: call.whole(k) for k in call.args if isinstance(k, int)}
    return call(arrays, axis=from_end(call["axis"], call.ndim(0) + (call.operation.name == "stack")))


@composed("np.broadcast_arrays")
def broadcast_arrays(*args, subok=False):
    shape = np.broadcast_shapes(*map(shape_of, args))
    return tuple(broadcast_to(x, shape) for x in args)


@composed("np.select")
def select(condlist, choicelist, default=0):
    """The first condition that holds comes last, and has the last word."""
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        default = np.where(condition, choice, default)
    return default


@rule("bincount", also="weights")
def counts(call):
    """The bins of all examples side by side."""
    numbers, minlength = value(call.whole("x")), call["minlength"]
    bins = max(minlength, numbers.max(initial=-1) + 1)
    if "x" in call.batched and bins > minlength:
        return NotImplemented  # each has as many as its numbers need
    numbers = numbers + bins * np.arange(call.size)[:, None]
    out = call(x=numbers.reshape(-1), weights=reshape(call.whole("weights"), (numbers.size,)), minlength=call.size * bins)
    return reshape(out, (call.size, bins))


@rule("random", also="*")
def draws(call):
    raise ValuesNeeded("a generator draws for one example after the other")


# --- shapes, and comparisons as a whole ------------------------------------------------------------------------------


@rule("np.zeros_like np.ones_like np.empty_like np.full_like", also="fill_value")
def alike(call):
    shape = call.shape(call.first) if call["shape"] is None else as_shape(call["shape"])
    filling = {"fill_value": with_ones(call["fill_value"], len(shape) - call.ndim("fill_value"))} if "fill_value" in call.batched else {}
    return call(filling | {call.first: call.whole(call.first)}, shape=(call.size, *shape))


def of_shapes(function, args, options, _):
    """What asks for shapes and dtypes only."""
    alone = lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape) if getattr(x, "_is_batched", False) else x
    return function(*map(alone, args), **{name: alone(x) for name, x in options.items()})


learn("np.ndim np.shape np.size np.iscomplexobj np.isrealobj np.result_type np.common_type np.can_cast np.einsum_path", of_shapes)
learn("np.tril_indices_from np.triu_indices_from np.diag_indices_from", of_shapes)


@composed("np.allclose")
def allclose(a, b, **options):
    return np.all(np.isclose(a, b, **options))


@composed("np.array_equal")
def array_equal(a1, a2, equal_nan=False):
    if shape_of(a1) != shape_of(a2):
        return False
    return np.all((a1 == a2) | ((a1 != a1) & (a2 != a2)) if equal_nan else a1 == a2)


def outer(method, args, options, _):
    x, y = map(tensor_like, args)
    return method.__self__(reshape(x, (*x.shape, *(1,) * y.ndim)), y, **options)


learn("ufunc.outer", outer)
