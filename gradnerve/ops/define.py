"""How a line becomes an operation: the factories that every table of derivatives uses.

    multiply = ufunc(np.multiply, x=lambda g, y: g * y, y=lambda g, x: g * x)

One keyword per differentiable input; the parameter names of the line say what is saved for it: `g` is the gradient of the
result, `out` the result, an input stands for its value and ``x_shape`` for its shape. Broadcasting is never mentioned.

Read next: arithmetic.py.
"""

import inspect
from functools import cache, wraps
from itertools import takewhile

import numpy as np

from gradnerve._elementwise import Elementwise
from gradnerve._engine import Operation
from gradnerve._general import General

operations = {}  # name -> operation: everything that has a derivative of its own
implementations = {}  # NumPy's function -> what runs when it meets a Tensor


def zero(*_):
    """The derivative line of what is constant almost everywhere: tracked, and nothing flows back."""


def ufunc(function, *, name=None, analytic=True, masks=False, **lines):
    """A NumPy ufunc, or another package's, with a derivative line for input `x` and, if it has two, `y`.

    A line is written as for a holomorphic function, and conjugates are taken where the numbers are complex; for any other
    function pass ``analytic=False`` and write the line for dL/d(re) + i dL/d(im) itself. With ``masks=True`` it selects one of its inputs:
    the other contributes exactly 0, never NaN.
    """
    operation = Elementwise(name or function.__name__, function, function.nin, lines, zero, analytic)
    operation.masks = masks
    return register(operation, (function,))


def elementwise(forward, *, name=None, analytic=True, masks=False, **lines):
    """An elementwise function of our own: `forward`, too, is a line made of ufuncs, and runs as a program."""
    inputs = forward.__code__.co_argcount
    operation = Elementwise(name or forward.__name__, forward, inputs, lines, zero, analytic)
    operation.masks = masks
    return register(operation, ())


def op(forward, *, numpy=(), name=None, fast=None, analytic=True, linear=False, elementwise=False, masks=False, adds=None, many=None, **lines):
    """Any NumPy code, with a line for each array parameter that has a derivative.

    numpy        the function of NumPy's that this implements, or several
    fast         takes the same arguments in the same order and gives the same result as `forward`, or None where it declines
    masks        selects elements: what it leaves out contributes exactly 0, never NaN; or whether it does, as a function of the option of that name
    elementwise  each element of the result comes from one element of each array
    linear       what is linear with real coefficients needs no conjugates
    adds         parameter -> the same line, which adds what it gives to `total` in place: worth it where that is small in a large array

    many         parameter -> the same line for many gradients at once, along a first axis of `g`, or None where it declines: for Jacobians

    A line that is given a Tensor gives a Tensor.
    """
    functions = numpy if isinstance(numpy, tuple) else (numpy,)
    name = name or (functions[0].__name__ if functions and forward.__name__ == "<lambda>" else forward.__name__)
    parameters = inspect.signature(forward).parameters.values()
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    names = tuple(p.name for p in parameters)
    n_positional = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    analytic, numpys = analytic and not linear, next(iter(functions), None)
    operation = General(name, forward, fast, names, n_positional, defaults, variadic, lines, zero, analytic, adds or {}, many or {}, numpys)
    operation.elementwise, operation.linear = elementwise, linear
    if callable(masks):
        operation.select_by(masks)
    else:
        operation.masks = masks
    return register(operation, functions)


def implements(*functions):
    """Decorator: run this composed function where one of NumPy's `functions` meets a Tensor."""

    def decorate(ours):
        implementations.update(dict.fromkeys(functions, ours))
        return ours

    return decorate


def signature_of(function):
    """The signature of a function; an empty one for C functions of which older NumPys tell none."""
    try:
        return inspect.signature(function)
    except ValueError:
        return inspect.Signature()


def parameters(function):
    """The names of a function's parameters; of Python functions from their code, as `inspect.signature` would take half of our import."""
    code = getattr(getattr(function, "_implementation", function), "__code__", None)
    if code is None:
        return tuple(signature_of(function).parameters)
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:count]


def as_numpys(function, ours):
    """Our composed function; or NumPy's, which leads to ours, where it is called with names or an order of arguments that only NumPy knows."""
    if isinstance(ours, Operation):
        return ours
    theirs, known = parameters(function), frozenset(parameters(ours))
    if known.issuperset(theirs) or "kwargs" in known:
        return ours
    at_most = theirs.index("out") if "out" in theirs else len(theirs)

    @wraps(ours)
    def either(*args, **kwargs):
        return ours(*args, **kwargs) if len(args) <= at_most and known.issuperset(kwargs) else function(*args, **kwargs)

    return either


def register(operation, functions):
    operations[operation.name] = operation
    return implements(*functions)(operation)


@cache
def signatures(function, ours):
    """The parameter names of a NumPy function, and what we call them where it is something else: ``{"a": "x"}``."""
    parameters = signature_of(function).parameters.values()
    theirs = [p.name for p in takewhile(lambda p: p.kind is not p.VAR_POSITIONAL, parameters)]  # what follows *args is called by its name
    ours = ours.names if isinstance(ours, General) else tuple(inspect.signature(ours).parameters)
    shared = [name for name in theirs if name != "out" or "out" in ours]
    return theirs, {their: our for their, our in zip(shared, ours, strict=False) if their not in ours}


def call(function, ours, args, kwargs):
    """Call what stands for one of NumPy's functions, with NumPy's arguments; gives the result and `out`."""
    theirs, names = signatures(function, ours)
    if "out" in theirs and len(args) > theirs.index("out"):
        first = theirs.index("out")
        kwargs = dict(zip(theirs[first:], args[first:], strict=False)) | kwargs
        args = args[:first]
    # over the keys: items() crashes CPython 3.11 where memory runs out
    kwargs = {names.get(name, name): kwargs[name] for name in kwargs if kwargs[name] is not np._NoValue}
    out = kwargs.pop("out", None)
    if kwargs.get("device") == "cpu":  # the only one that NumPy knows
        del kwargs["device"]
    if isinstance(ours, General) and not kwargs.keys() <= set(ours.names):
        raise TypeError(f"{function.__name__}: no such argument here: {', '.join(sorted(kwargs.keys() - set(ours.names)))}")
    kwargs.pop("overwrite_input", None)  # NumPy may use the memory of the input, which here may belong to others, too
    if out is not None and "dtype" in theirs and "ddof" not in theirs and kwargs.get("dtype") is None and hasattr(args[0], "dtype"):
        wider = np.result_type(args[0].dtype, out.dtype)  # what NumPy sums in
        kwargs |= {"dtype": wider} if wider != args[0].dtype else {}
    return ours(*args, **kwargs), out
