"""How NumPy's functions meet Tensors: what `__array_ufunc__` and `__array_function__` do, and what must not become an array.

A function is ours (`implementations`), NumPy's own code run on Tensors (`BORROWED`), NumPy's on the values (`NO_GRADIENT`), or
refused. What works in place makes the Tensor stand for the new value (`written`).

Read next: ops/names.py, ops/ufuncs.py, ops/borrowed.py.
"""

import os
import sys
import threading
from opcode import opmap

import numpy as np

from gradnerve import _engine
from gradnerve._engine import GraphError, ShapeError, TensorBase, ValuesNeeded
from gradnerve.ops import indexing, names, ufuncs
from gradnerve.ops.borrowed import borrowed
from gradnerve.ops.define import call, implementations
from gradnerve.ops.values import tracked, value, values

# --- the values of Tensors -------------------------------------------------------------------------------------------


def plain_index(index):
    """The index with arrays in place of Tensors (batched ones excepted), and nothing in it that the caller could still change."""
    if isinstance(index, tuple):
        return tuple(plain_index(part) for part in index)
    if isinstance(index, TensorBase):
        return index if index._is_batched else indexing.frozen(index._array)
    return indexing.frozen(index)


# --- calls -----------------------------------------------------------------------------------------------------------


def call_function(function, args, kwargs, caller):
    """A function of NumPy's that was called with a Tensor."""
    if caller.f_globals.get("__name__", "").startswith("scipy.optimize") and not tracked(*args, *kwargs.values()):
        return function(*map(values, args), **{name: values(kwargs[name]) for name in kwargs})  # its C code takes arrays only
    ours = implementations.get(function) or (borrowed(function) if function in names.BORROWED else None)
    if ours:
        result, out = call(function, ours, args, kwargs)
        if out is not None and not isinstance(out, TensorBase):
            raise TypeError(f"{function.__name__}: out is an ndarray, and the result's gradient would be lost; leave out away, or pass a Tensor")
        return as_tensors(result) if out is None else written(out, result, function.__name__)
    if function in names.NO_GRADIENT:
        return without_gradient(function, args, kwargs)
    name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
    why = names.OUT_OF_SCOPE.get(function.__name__, f"{name}(t.data) gives its value without a gradient")
    raise TypeError(f"{name} takes no Tensor: {why}")


def as_tensors(result):
    """What a function gave, with Tensors for all numbers that can have a gradient, also for those that did not come from one."""
    if type(result) in (tuple, list):
        return type(result)(map(as_tensors, result))
    if isinstance(result, (np.ndarray, np.inexact)) and result.dtype.kind in "fc":
        return _engine.wrap(np.asarray(result), owned=False)
    return result


def call_ufunc(ufunc, method, inputs, out=None, **kwargs):
    """A ufunc's method, or a call with keywords: one of ours, or NumPy's without a gradient."""
    if method == "at":
        return work_at(ufunc, *inputs)
    out = out or (None,) * ufunc.nout
    plain = [target for target in out if target is not None and not isinstance(target, TensorBase)]
    if plain and not tracked(*inputs, *out):
        return getattr(ufunc, method)(*map(value, inputs), out=tuple(map(value, out)), **kwargs)
    if plain:
        raise TypeError(f"{ufunc.__name__}: the result would be written into an ndarray and its gradient lost.\n"
                        f"  instead of  a *= t  write  a = a * t")  # fmt: skip
    if ufunc not in implementations and getattr(np, ufunc.__name__, None) is not ufunc and "scipy.special" in sys.modules:
        import gradnerve.special  # noqa: F401  SciPy's ufuncs have their derivatives there
    if ufunc not in implementations or (method != "__call__" and not tracked(*inputs) and ufunc not in ufuncs.FORGETFUL):
        if method == "__call__" and "where" in kwargs and out[0] is not None:  # what stays where the mask does not hold
            kwargs["out"] = tuple(None if target is None else np.array(target._array) for target in out)
        results = without_gradient(getattr(ufunc, method), inputs, kwargs, ufunc)
    elif method == "__call__":
        results = ufuncs.call(ufunc, inputs, out[0], **kwargs)
    else:
        results = ufuncs.METHODS[method](ufunc, *inputs, **kwargs)
    if all(target is None for target in out):
        return results
    results = [result if target is None else written(target, spread(result, target) if method == "__call__" else result, ufunc.__name__)
               for target, result in zip(out, results if ufunc.nout > 1 else [results], strict=True)]  # fmt: skip
    return tuple(results) if ufunc.nout > 1 else results[0]


def spread(result, target):
    """A ufunc's result in the shape of an `out` that is larger, if it can be broadcast to that."""
    try:
        return result if np.shape(result) == target.shape else np.broadcast_to(result, target.shape)
    except ValueError:
        return result


def without_gradient(function, args, kwargs, ufunc=None):
    """NumPy's function on the values; a ufunc (comparisons, logic) gives an untracked Tensor, as any operator does."""
    result = function(*map(values, args), **{name: values(kwargs[name]) for name in kwargs})
    if ufunc is None:
        return result
    parts = [np.asarray(part) for part in (result if isinstance(result, tuple) else [result])]
    if tracked(*args) and any(part.dtype.kind in "fcO" for part in parts):
        raise without_derivative(ufunc)
    parts = [_engine.wrap(part, owned=True) if part.dtype.kind in "biufc" else part for part in parts]
    return tuple(parts) if isinstance(result, tuple) else parts[0]


def without_derivative(ufunc):
    return TypeError(f"{ufunc.__name__} has no derivative in gradnerve; call it on t.data for its value without a gradient")


# --- in place --------------------------------------------------------------------------------------------------------


def work_at(ufunc, target, indices, *other):
    """``ufunc.at(target, indices, *other)``."""
    indices = plain_index(indices)
    if not isinstance(target, TensorBase):
        raise TypeError(f"{ufunc.__name__}.at: the result would be written into an ndarray and its gradient lost; make it a Tensor")
    if _engine.holds_tensors([indices]) or any(getattr(x, "_is_batched", False) for x in (target, *other)):
        if ufunc is not np.add:
            raise ValuesNeeded(f"{ufunc.__name__}.at has no batched form")
        written(target, _engine.batched(indexing.add_at, (target, indices, *other), {}), "add.at")
        return
    for y in other:
        if np.ndim(y) > 1:
            np.broadcast_to(value(y), target._array[indices].shape)  # or its error: NumPy's own `at` crashes
    if not tracked(target, *other):
        indexing.work_at(ufunc, target.data, indices, *map(value, other))
        return
    if ufunc not in implementations:
        raise without_derivative(ufunc)
    result = indexing.add_at(target, indices, *other) if ufunc is np.add else ufuncs.at(ufunc, target, indices, *other)
    written(target, result, f"{ufunc.__name__}.at")


def written(target, result, name):
    """`target` stands for the result from now on: what ``out=target`` means for a Tensor."""
    result = result if isinstance(result, TensorBase) else _engine.wrap(np.asarray(result), owned=False)  # of plain arrays
    if result.shape != target.shape:
        raise ShapeError(f"{name}: the result has shape {result.shape}, out {target.shape}")
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise TypeError(f"{name}: cannot put {result.dtype} values into out of {target.dtype}")
    if result._is_batched and not target._is_batched:
        raise ValuesNeeded(f"{name}: the tensor that is written into is the same for all examples; "
                           "y = y + x needs no such tensor, and np.zeros_like(x) makes one for each")  # fmt: skip
    if not target._is_batched and not (_engine.recording() and (result.requires_grad or target.requires_grad)):
        target.data[...] = result._array
        return target
    _engine.check_not_leaf(target, f"{name} with out")
    target._become(result if result.dtype == target.dtype else result.astype(target.dtype))
    return target


def set_real(t, new):
    """``t.real = new``."""
    if t.dtype.kind == "c":
        set_part(t, "real", new, lambda: new + 1j * t.imag)
    else:
        t[...] = new


def set_imag(t, new):
    """``t.imag = new``; NumPy's error for real numbers."""
    set_part(t, "imag", new, lambda: t.real + 1j * new)


def set_part(t, part, new, whole):
    """Write one part into the array, or if that is to be recorded, make the tensor stand for the new whole."""
    if t.dtype.kind == "c" and (t._is_batched or tracked(t, new)):
        written(t, whole(), part)
    else:
        setattr(t.data, part, value(new))


# --- what must not become an array -----------------------------------------------------------------------------------


class Watching(threading.local):
    """The functions that this thread is differentiating."""

    def __init__(self):
        self.runs = []


watching = Watching()


def refuse_value(t, what):
    """Refuse to take a value out of a function that is being differentiated, where it depends on what this is done by."""
    for run in watching.runs if t.requires_grad else ():
        depends_on = run.argument_of(t)
        if depends_on:
            raise GraphError(f"{what} of a tensor of shape {t.shape} and dtype {t.dtype} would take its value out of the graph, and the gradient by "
                             f"{depends_on} would be lost.\n"
                             f"  to compute with it:   use the tensor itself, which NumPy's functions take\n"
                             f"  for the value alone:  t.data, or t.detach() first")  # fmt: skip


STORES = {opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opmap}


def refuse_store(t, frame):
    """Refuse ``ndarray[i] = t``, which would lose the gradient: the caller is then in the middle of an item assignment."""
    if not t.requires_grad or not _engine.recording():
        return
    if frame.f_code.co_code[frame.f_lasti] in STORES and not shows_values(frame):
        raise TypeError("a tensor that requires grad cannot be stored into an ndarray: its gradient would be lost.\n"
                        "  to keep the gradient:  make the target a Tensor, or use np.stack or np.concatenate\n"
                        "  to store the value:    a[i] = t.data")  # fmt: skip


def refuse_numpy(t, frame):
    """Refuse what NumPy's own Python code does with arrays only: it would go on without the gradient."""
    if not t.requires_grad or not _engine.recording():
        return
    inside = None
    while frame is not None and in_numpy(frame):
        frame, inside = frame.f_back, frame
    if inside is not None and inside.f_code.co_name not in names.WITHOUT_GRADIENT and not shows_values(frame):
        raise TypeError(f"{inside.f_globals['__name__']}.{inside.f_code.co_qualname} would turn a tensor that requires grad into an ndarray, and its "
                        "gradient would be lost.\n"
                        "  to keep the gradient:  use what gradnerve has under that name (gn.polynomial, gn.random, gn.scipy, gn.r_...)\n"
                        "  for the value alone:   pass t.data")  # fmt: skip


def in_numpy(frame):
    """Whether the frame is code of NumPy's that computes, or of SciPy's that gives a Tensor back.

    These are its special functions; with SCIPY_ARRAY_API=1 it is all of SciPy but the optimisers, which ask for values only.
    """
    module = frame.f_globals.get("__name__", "")
    scipys = ["scipy."] if os.environ.get("SCIPY_ARRAY_API") else ["scipy.special.", "scipy._lib._array_api", "scipy._lib.array_api_"]
    return module.startswith(("numpy.", *scipys)) and not module.startswith(("numpy.testing", "scipy.optimize", "scipy._lib._util"))


def refuse_number(t, what, frame):
    """The same, unless the code of the frame knows what it does."""
    if watching.runs and not wants_values(frame):
        refuse_value(t, what)


def wants_values(frame):
    """Whether the frame is code that knows what it does with a tensor's values: it plots them, or it is ours."""
    return shows_values(frame) or frame.f_globals.get("__name__", "").startswith(("gradnerve.", "numpy."))


def shows_values(frame):
    """Whether the frame is code that plots or tabulates: it wants no gradient."""
    return frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("matplotlib", "mpl_toolkits", "pandas", "seaborn")
