"""Debugging: where NaN and infinity are born, whether derivatives have the shape and dtype that they should, and whether they are right.

The core shows a watcher every operation and every share of a gradient, before it is used (`show` in csrc/engine.pyx, `show_share` in
csrc/sweep.pyx). The watcher leaves a note at the row of each operation: what was called, and from which line.

Read next: testing.py, which compares derivatives with numerical ones.
"""

import inspect
import linecache
import sys
import warnings
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path

import numpy as np

from gradnerve import _graph
from gradnerve._engine import GraphError, ShapeError, TensorBase, set_watcher
from gradnerve.graph import graph
from gradnerve.testing import GradientError, check_gradients

__all__ = ["debug", "verify"]

OURS = tuple(str(Path(module.__file__).parent) for module in (sys.modules["gradnerve"], np))
SMOOTH_BESIDE = ("there is no derivative to compare with", "do not settle", "not smooth enough")


# --- what is noted ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of the user's: the innermost that is neither ours nor NumPy's."""

    file: str
    number: int
    function: str

    @classmethod
    def here(cls):
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)

    def __str__(self):
        text = linecache.getline(self.file, self.number).strip()
        return f'  File "{self.file}", line {self.number}, in {self.function}' + (f"\n    {text}" if text else "")


@dataclass(frozen=True)
class Call:
    """An operation as it was called: `again` does it again, None if nobody knows how."""

    operation: object
    again: object
    arguments: list
    options: dict
    line: Line

    def names(self):
        """The names of the arguments."""
        names = getattr(self.operation, "names", None)
        if getattr(self.operation, "variadic", False):
            return [f"{names[0]}[{k}]" for k in range(len(self.arguments))]
        if names is None and getattr(self.operation, "elementwise", False):
            names = ("x", "y")
        return [names[k] if names is not None else f"argument {k}" for k in range(len(self.arguments))]

    def function(self):
        """What is called again, as a function of the arguments."""
        names, by_position = self.names(), getattr(self.operation, "n_positional", len(self.arguments))
        by_position = len(self.arguments) if getattr(self.operation, "variadic", False) else by_position

        def f(*args):
            return self.again(*args[:by_position], **dict(zip(names[by_position:], args[by_position:], strict=True)), **self.options)

        f.__name__ = self.operation.name
        if all(map(str.isidentifier, names)):
            f.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])
        return f


def kept(argument):
    """The argument as it is now."""
    if isinstance(argument, TensorBase):
        return np.array(argument._array)
    if isinstance(argument, np.ndarray):
        return argument.copy()
    if isinstance(argument, (list, tuple)):
        return type(argument)([kept(part) for part in argument])
    return argument


def arrays_in(things):
    """The arrays and numbers in nested lists."""
    for a in things:
        if isinstance(a, (list, tuple)):
            yield from arrays_in(a)
        elif isinstance(a, (TensorBase, np.ndarray, float, complex, np.generic)):
            yield a._array if isinstance(a, TensorBase) else np.asarray(a)


# --- the watcher -----------------------------------------------------------------------------------------------------


class debug:
    """A block of code, or a function, in which every operation of this thread and every derivative is looked at.

    inf   whether infinities are reported, too, and not only NaN
    warn  whether to warn and go on, in place of raising

    FloatingPointError is raised where NaN or infinity first appears, in a value or in a gradient: it names the operation, its arguments, and
    the line of the program. ShapeError and TypeError are raised for a derivative that has not the shape of its argument or of the result, or
    that is less precise than both. `verify` needs the loss of a forward pass in such a block. It takes several times as long, and the memory
    of a copy of all arguments until the graph is released.

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.Tensor([1.0, 0.0], requires_grad=True)
    >>> with gn.debug():
    ...     np.sqrt(x).sum().backward()  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    FloatingPointError: inf first appears in the gradient of sqrt by x: 1 of 2 elements, the first at [1], where x is 0.0
    """

    def __init__(self, *, inf=True, warn=False):
        self.inf, self.warn, self.before = inf, warn, []

    def __enter__(self):
        self.before.append(set_watcher(self))
        return self

    def __exit__(self, *error):
        set_watcher(self.before.pop())

    def __call__(self, function):
        @wraps(function)
        def debugged(*args, **kwargs):
            with debug(inf=self.inf, warn=self.warn):
                return function(*args, **kwargs)

        return debugged

    def made(self, operation, again, arguments, options, result):
        """An operation has given a result."""
        call = Call(operation, again, [kept(a) for a in arguments], options, Line.here())
        if result._row >= 0:
            _graph.note(result._row, call)
        self.look(f"in the result of {operation.name}", result._array, call.arguments, call)

    def shared(self, operation, row, argument, g, share, shape, dtype):
        """The derivative of an operation has given a share of the gradient for an argument of this shape and dtype."""
        call = _graph.noted(row)
        name = call.names()[argument] if call is not None and call.arguments else f"argument {argument}"
        what = f"{operation.name}: the gradient by {name}, {shape} {dtype}"
        if operation.elementwise and share.shape not in (shape, g.shape):
            raise ShapeError(f"{what}, comes in shape {share.shape}; expected is that, or that of the result, {g.shape}{line_of(call)}")
        if share.dtype.kind not in "fc" or max(map(rounding, (dtype, g.dtype))) < rounding(share.dtype):
            raise TypeError(f"{what}, comes as {share.dtype}, from a gradient of the result of {g.dtype}{line_of(call)}")
        self.look(f"in the gradient of {operation.name} by {name}", share, [g, *_graph.saved_by(row)], call)

    def look(self, where, array, sources, call):
        """Report NaN or infinity that the sources do not have."""
        if array.dtype.kind not in "fc" or np.isfinite(array).all():
            return
        sources = [a for a in arrays_in(sources) if a.dtype.kind in "fc"]
        for name, found in (("nan", np.isnan), ("inf", np.isinf)):
            here = found(array)
            known = any(found(a).any() for a in sources) if name == "nan" else not all(np.isfinite(a).all() for a in sources)
            if here.any() and not known and (self.inf or name == "nan"):
                self.report(f"{name} first appears {where}: {count(here)}{values_there(here, call)}{line_of(call)}")
                return

    def report(self, message):
        if not self.warn:
            raise FloatingPointError(message)
        warnings.warn(message, RuntimeWarning, **({"skip_file_prefixes": OURS} if sys.version_info >= (3, 12) else {"stacklevel": 4}))


def rounding(dtype):
    return np.finfo(dtype).eps


def line_of(call):
    return f"\n{call.line}" if call is not None else "\n  (the forward pass was not in a block of gn.debug(), which would tell the line)"


def count(here):
    if not here.ndim:
        return "it is the only element"
    return f"{np.count_nonzero(here)} of {here.size} elements, the first at {list(map(int, np.argwhere(here)[0]))}"


def values_there(here, call):
    """The arguments at the first place, if they have the same shape; else what range they are in."""
    if call is None:
        return ""
    place, said = tuple(np.argwhere(here)[0]), []
    for name, a in zip(call.names(), call.arguments, strict=True):
        if isinstance(a, (np.ndarray, float, complex)) and np.size(a):
            a = np.asarray(a)
            if a.shape == here.shape or not a.ndim:
                said.append(f"{name} is {a[place if a.ndim else ()]}")
            elif a.dtype.kind == "f":
                said.append(f"{name} {a.shape} is between {a.min():.4g} and {a.max():.4g}")
    return f", where {', '.join(said)}" if said else ""


# --- every derivative ------------------------------------------------------------------------------------------------


@dataclass
class Verification:
    """How many nodes of a graph have derivatives that agree with numerical ones, and for which nobody can say."""

    agree: int
    unknown: list = field(default_factory=list)

    def __repr__(self):
        rest = f"; {len(self.unknown)} not compared:\n" + "\n".join(self.unknown) if self.unknown else ""
        return f"<verify: the derivatives of {self.agree} nodes agree with numerical ones{rest}>"


def verify(t, *, rtol=None, atol=None, seed=0):
    """Compare the derivatives of each operation behind a tensor with numerical ones, on the arguments that it had.

    t           a loss, or another tensor, from a forward pass in a block of `debug`
    rtol, atol  tolerances, as for `check_gradients`, which does the comparing; seed: of its random directions

    Returns a report. Raises GradientError, which names the worst node, the line that it comes from, and its derivatives; and GraphError
    for a graph that was released by backward (without ``retain_graph=True``), or that was made without `debug`. A kink, as of relu at 0, is
    no error if the derivative is right beside it. Children made by hand, with a `_backward`, cannot be compared: nobody knows what they compute.

    >>> import numpy as np, gradnerve as gn
    >>> x = gn.Tensor([1.0, 2.0], requires_grad=True)
    >>> with gn.debug():
    ...     loss = (np.exp(x) * x).sum()
    >>> gn.verify(loss)
    <verify: the derivatives of 3 nodes agree with numerical ones>
    """
    tables, done, wrong = graph(t), Verification(0), []
    for node in np.sort(tables.nodes[tables.nodes["operation"] != "leaf"], order="number"):
        call, title = _graph.noted(node["row"]), f"{node['operation']} {node['shape']} {node['dtype']}"
        if call is None:
            why = "was released by backward(): call verify before it, or backward(retain_graph=True)" if node["freed"] else "was made elsewhere"
            raise GraphError(f"verify: {title} {why}; the forward pass has to be in a block of gn.debug()")
        edges = tables.edges[tables.edges["child"] == node["row"]]
        try:
            problem = "nobody knows how to do it again" if call.again is None else compared(call, edges["argument"].tolist(), rtol, atol, seed)
        except GradientError as error:
            wrong.append((error.largest, f"{title}, node {node['number']}\n{call.line}\n\n{error}"))
            continue
        if problem:
            done.unknown.append(f"  {title}: {problem}\n{call.line}")
        else:
            done.agree += 1
    if wrong:
        others = f" ({done.agree} agree)" if done.agree else ""
        raise GradientError(f"verify: {len(wrong)} of {len(wrong) + done.agree} nodes have wrong derivatives{others}; the worst is "
                            f"{max(wrong, key=lambda each: each[0])[1]}")  # fmt: skip
    return done


def compared(call, argnums, rtol, atol, seed):
    """None if the derivatives agree, and otherwise why nobody can say; GradientError if they are wrong."""
    options = {"argnums": tuple(sorted(set(argnums))), "rtol": rtol, "atol": atol, "seed": seed}
    try:
        check_gradients(call.function(), *call.arguments, **options)
    except (TypeError, ValueError) as error:
        return str(error)
    except GradientError as error:
        if "not deterministic" in str(error):
            return str(error)
        if not any(words in str(error) for words in SMOOTH_BESIDE):
            raise
        check_gradients(call.function(), *beside(call.arguments, seed), **options)
    return None


def beside(arguments, seed):
    """The arguments, moved a little."""
    rng = np.random.default_rng(seed)

    def moved(a):
        if isinstance(a, (list, tuple)):
            return type(a)([moved(part) for part in a])
        if isinstance(a, np.ndarray) and a.dtype.kind in "fc":
            return (a + 0.01 * (1 + np.abs(a)) * rng.uniform(0.5, 1.5, a.shape)).astype(a.dtype)
        return a

    return [moved(a) for a in arguments]
