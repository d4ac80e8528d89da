"""Tensor: an ndarray that remembers how it was made.

The compiled base (csrc/engine.pyx) holds the array, the gradient and a row of the graph, and does the operators. Here is
the rest of what a user sees: construction, NumPy's methods and protocols, conversions, and the modes of recording.

Read next: functional.py, graph.py; csrc/engine.pyx for what lies below.
"""

import os
import sys
from functools import partial
from opcode import opmap

import numpy as np

from gradnerve import _engine, _program, _sweep
from gradnerve._engine import ShapeError, TensorBase
from gradnerve._general import make_by_hand
from gradnerve.ops import arithmetic, elementwise, indexing, names, network, products, reductions, shapes, ufuncs
from gradnerve.ops.borrowed import borrowed
from gradnerve.ops.define import call, implementations

STORES = {opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opmap}


class Tensor(TensorBase):
    """An array that records what is computed from it.

    data           anything that np.array takes; it is copied
    requires_grad  whether gradients flow here; integers and booleans become float64
    dtype          a NumPy dtype; by default that of the data, and float64 for Python floats
    _prev          the parents of a hand-made result, whose `_backward` you then assign

    Raises TypeError for data that can have no gradient: strings, objects, records, dates.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=False, dtype=None, _prev=()):
        self._start(as_numbers(data, dtype, copy=True), owned=True)
        if requires_grad and self.dtype.kind in "biu":
            self._start(self._array.astype(float), owned=True)
        if _prev:
            make_by_hand(self, tuple(_prev), None)
        self.requires_grad = requires_grad or self.requires_grad

    # ---------------------------------------------------------------------------------------------- the graph

    def backward(self, gradient=None, retain_graph=False):
        """Add the gradient of this tensor to the `.grad` of every tensor that it was computed from.

        gradient      where to start: an array of this tensor's shape; 1 for a tensor of size 1
        retain_graph  keep what the derivatives need, to go through the graph again

        Raises GraphError without a seed on an output of another size, or on a graph that was released; ShapeError and
        TypeError for a seed that does not fit. If anything raises, no `.grad` has changed.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward()
        >>> x.grad
        array(6.)
        """
        _sweep.backward(self, gradient, retain_graph)

    @property
    def _backward(self):
        """A function that takes ``self.grad`` and adds each parent's share to that parent's ``.grad``."""
        return partial(_sweep.step, self)

    @_backward.setter
    def _backward(self, function):
        make_by_hand(self, (), function)

    def requires_grad_(self, requires_grad=True):
        """Switch tracking of a leaf on or off, and return it."""
        self.requires_grad = requires_grad
        return self

    def zero_grad(self):
        """Forget the gradient: `.grad` is zeros again."""
        self.grad = None

    # ---------------------------------------------------------------------------------------------- the array

    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(shapes.transpose)
    mT = property(lambda self: shapes.swapaxes(self, -1, -2))
    real = property(elementwise.real)
    imag = property(elementwise.imag)
    flat = property(lambda self: iter(self.ravel()))

    def numpy(self):
        """The value, an ndarray, as `.data`."""
        return self.data

    def item(self, *index):
        """One element as a Python number.

        >>> Tensor([[2.5]]).item()
        2.5
        """
        return self._array.item(*index)

    def tolist(self):
        """The values as nested lists of Python numbers."""
        return self._array.tolist()

    def tobytes(self, order="C"):
        """The values as bytes."""
        return self._array.tobytes(order)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value):
        return bool((self._array == (value._array if isinstance(value, TensorBase) else value)).any())

    def __getitem__(self, index):
        return indexing.getitem(self, plain_index(index))

    def __setitem__(self, index, value):
        index = plain_index(index)
        _engine.refuse_tensors(() if isinstance(value, TensorBase) else value)
        if not _engine.recording() or not (self.requires_grad or getattr(value, "requires_grad", False)):
            self.data[index] = value._array if isinstance(value, TensorBase) else value
            return
        if self.dtype.kind not in "fc":
            raise TypeError(f"setitem: a tensor of {self.dtype} cannot take a tracked value: it has no gradient; use astype(float)")
        _engine.check_not_leaf(self, "setitem")
        self._become(indexing.setitem(self, index, value))

    def reshape(self, *shape, order="C", copy=None):
        """The elements in another shape, as `ndarray.reshape`."""
        return shapes.reshape(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)

    def transpose(self, *axes):
        """The axes in another order, as `ndarray.transpose`."""
        return shapes.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        """The values in another dtype; the gradient comes back in this one."""
        return shapes.astype(self, np.dtype(dtype), copy=copy)

    def copy(self, order="C"):
        """A copy that gradients flow through."""
        return shapes.copy(self, order)

    def flatten(self, order="C"):
        """All elements in one row, copied."""
        return shapes.copy(shapes.ravel(self, order))

    def clip(self, min=None, max=None, out=None):
        """Values moved into [min, max], as `ndarray.clip`."""
        return elementwise.clip(self, min, max, out)

    ravel, swapaxes, squeeze = shapes.ravel, shapes.swapaxes, shapes.squeeze
    take, repeat, diagonal, trace = shapes.take, shapes.repeat, shapes.diagonal, shapes.trace

    def compress(self, condition, axis=None):
        """The slices along an axis where the condition holds, as `ndarray.compress`."""
        return shapes.compress(condition, self, axis)

    def fill(self, value):
        """Set every element, as `ndarray.fill`; what was computed from the old values keeps them."""
        self[...] = value

    def sort(self, axis=-1, kind=None, order=None, *, stable=None):
        """Sort in place, as `ndarray.sort`; what was computed from the old values keeps them."""
        self[...] = shapes.sort(self, axis, kind, order, stable=stable)

    def put(self, indices, values):
        """Set elements by their number in one row, as `ndarray.put`."""
        self[np.unravel_index(np.arange(self.size)[np.asarray(indices)], self.shape)] = values

    def __getattr__(self, name):
        if hasattr(np.ndarray, name) and not name.startswith("__"):
            raise AttributeError(f"Tensor has no {name}, as its gradient would be lost; t.data.{name} is that of the values")
        raise AttributeError(f"Tensor has no attribute {name!r}")

    sum, mean, prod, max, min = reductions.sum, reductions.mean, reductions.prod, reductions.max, reductions.min
    var, std, cumsum = reductions.var, reductions.std, reductions.cumsum
    dot, round, conj, conjugate = products.dot, elementwise.round, arithmetic.conjugate, arithmetic.conjugate
    exp, log, tanh, sqrt, sin, cos = arithmetic.exp, arithmetic.log, arithmetic.tanh, arithmetic.sqrt, arithmetic.sin, arithmetic.cos
    relu, sigmoid, softmax, log_softmax = network.relu, network.sigmoid, network.softmax, network.log_softmax

    def __divmod__(self, other):
        return elementwise.divmod(self, other)

    def __rdivmod__(self, other):
        return elementwise.divmod(other, self)

    def __round__(self, digits=None):
        return elementwise.round(self, digits or 0)

    # ---------------------------------------------------------------------------------------------- conversions

    def __float__(self):
        self._refuse_store()
        return float(self._single("float"))

    def __int__(self):
        self._refuse_store()
        return int(self._single("int"))

    def __complex__(self):
        self._refuse_store()
        return complex(self._single("complex"))

    def __index__(self):
        return self._array.__index__()

    def __bool__(self):
        return bool(self._array)

    def __format__(self, spec):
        return format(self._single("format").item(), spec) if spec else str(self)

    def __array__(self, dtype=None, copy=None):
        self._refuse_store()
        self._refuse_numpy()
        return np.array(self.data, dtype=dtype, copy=copy)

    def _single(self, what):
        if self.size != 1:
            raise TypeError(f"{what}: only a tensor of size 1 is a number; this one has shape {self.shape}")
        return self._array.reshape(())

    def _refuse_store(self):
        """Refuse ``ndarray[i] = t``, which would lose the gradient: the caller is then in the middle of an item assignment."""
        if not self.requires_grad or not _engine.recording():
            return
        frame = sys._getframe(2)
        if frame.f_code.co_code[frame.f_lasti] in STORES:
            raise TypeError("a tensor that requires grad cannot be stored into an ndarray: its gradient would be lost.\n"
                            "  to keep the gradient:  make the target a Tensor, or use np.stack or np.concatenate\n"
                            "  to store the value:    a[i] = t.data")  # fmt: skip

    def _refuse_numpy(self):
        """Refuse what NumPy's own Python code does with arrays only: it would go on without the gradient."""
        caller = sys._getframe(2)
        module = caller.f_globals.get("__name__", "")
        if module.startswith("numpy.") and not module.startswith("numpy.testing") and self.requires_grad and _engine.recording():
            raise TypeError(f"{module}.{caller.f_code.co_name}: NumPy would turn a tensor that requires grad into an ndarray here, and its gradient "
                            "would be lost.\n"
                            "  to keep the gradient:  use the function of that name in gradnerve (gn.polynomial, gn.random, gn.r_...)\n"
                            "  for the value alone:   pass t.data")  # fmt: skip

    def __reduce__(self):
        if not self.is_leaf:
            raise TypeError("a result with its graph cannot be pickled or copied; use t.detach(), or t.copy() for a copy that gradients flow through")
        return Tensor, (self._array, self.requires_grad)

    def __repr__(self):
        values = np.array2string(self._array, separator=", ", prefix="Tensor(")
        made = f", made by {self._operation.name}" if self._operation else ""
        return f"Tensor({values}, dtype={self.dtype}{', requires_grad=True' if self.requires_grad else ''}{made})"

    def __str__(self):
        return str(self._array)

    # ------------------------------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if method == "at":
            return work_at(ufunc, *inputs)
        out = out or (None,) * ufunc.nout
        if any(target is not None and not isinstance(target, TensorBase) for target in out):
            raise TypeError(f"{ufunc.__name__}: the result would be written into an ndarray and its gradient lost.\n"
                            f"  instead of  a *= t  write  a = a * t")  # fmt: skip
        if ufunc not in implementations and getattr(np, ufunc.__name__, None) is not ufunc and "scipy.special" in sys.modules:
            import gradnerve.special  # noqa: F401  SciPy's ufuncs have their derivatives there
        if ufunc not in implementations:
            results = without_gradient(getattr(ufunc, method), inputs, kwargs, ufunc)
        elif method != "__call__":
            results = ufuncs.METHODS[method](ufunc, *inputs, **kwargs)
        elif kwargs:
            results = ufuncs.call(ufunc, inputs, out[0], **kwargs)
        else:
            results = implementations[ufunc](*inputs)
        if not any(target is not None for target in out):
            return results
        written_ = [result if target is None else written(target, result, ufunc.__name__)
                    for target, result in zip(out, results if ufunc.nout > 1 else [results], strict=True)]  # fmt: skip
        return tuple(written_) if ufunc.nout > 1 else written_[0]

    def __array_function__(self, function, types, args, kwargs):
        if function in implementations:
            result, out = call(function, args, kwargs)
            if out is not None and not isinstance(out, TensorBase):
                raise TypeError(f"{function.__name__}: out is an ndarray, and the result's gradient would be lost; leave out away, or pass a Tensor")
            return result if out is None else written(out, result, function.__name__)
        if function in names.NO_GRADIENT:
            return without_gradient(function, args, kwargs)
        if function in names.BORROWED:
            return borrowed(function)(*args, **kwargs)
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        why = names.OUT_OF_SCOPE.get(function.__name__, f"{name}(t.data) gives its value without a gradient")
        raise TypeError(f"{name} takes no Tensor: {why}")


def no_gradient_method(name):
    """A method of ndarray whose result has no gradient: it gives what ndarray gives."""

    def method(self, *args, **kwargs):
        return getattr(self._array, name)(*args, **kwargs)

    method.__name__, method.__doc__ = name, f"As `ndarray.{name}`; the result is no Tensor."
    return method


for _name in ("all", "any", "argmax", "argmin", "argpartition", "argsort", "nonzero", "searchsorted"):
    setattr(Tensor, _name, no_gradient_method(_name))

for _name in ("and", "or", "xor", "lshift", "rshift"):
    _ufunc = {"lshift": np.left_shift, "rshift": np.right_shift}.get(_name) or getattr(np, f"bitwise_{_name}")
    setattr(Tensor, f"__{_name}__", lambda self, other, ufunc=_ufunc: without_gradient(ufunc, (self, other), {}, ufunc))
    setattr(Tensor, f"__r{_name}__", lambda self, other, ufunc=_ufunc: without_gradient(ufunc, (other, self), {}, ufunc))
Tensor.__invert__ = lambda self: without_gradient(np.invert, (self,), {}, np.invert)

def without_gradient(function, args, kwargs, ufunc=None):
    """NumPy's function on the values; a ufunc (comparisons, logic) gives an untracked Tensor, as any operator does."""
    result = function(*map(values, args), **{name: values(kwargs[name]) for name in kwargs})
    if ufunc is None:
        return result
    tracked = _engine.recording() and any(isinstance(a, TensorBase) and a.requires_grad for a in args)
    if tracked and any(np.asarray(part).dtype.kind in "fc" for part in (result if isinstance(result, tuple) else [result])):
        raise TypeError(f"{ufunc.__name__} has no derivative in gradnerve; call it on t.data for its value without a gradient")
    return result if isinstance(result, tuple) else wrap(np.asarray(result), owned=True)


def plain(x):
    """The value of a Tensor; anything else as it is."""
    return x._array if isinstance(x, TensorBase) else x


def values(x):
    """The same, also in lists and tuples."""
    return type(x)(map(values, x)) if type(x) in (list, tuple) else plain(x)


def work_at(ufunc, target, indices, *other):
    """``ufunc.at(target, indices, *other)``."""
    indices = plain_index(indices)
    if not isinstance(target, TensorBase):
        raise TypeError(f"{ufunc.__name__}.at: the result would be written into an ndarray and its gradient lost; make it a Tensor")
    if not _engine.recording() or not any(isinstance(x, TensorBase) and x.requires_grad for x in (target, *other)):
        ufunc.at(target.data, indices, *map(plain, other))
        return
    result = indexing.add_at(target, indices, *other) if ufunc is np.add else ufuncs.at(ufunc, target, indices, *other)
    written(target, result, f"{ufunc.__name__}.at")


def written(target, result, name):
    """`target` stands for the result from now on: what ``out=target`` means for a Tensor."""
    if result.shape != target.shape:
        raise ShapeError(f"{name}: the result has shape {result.shape}, out {target.shape}")
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise TypeError(f"{name}: cannot put {result.dtype} values into out of {target.dtype}")
    if not _engine.recording() or not (result.requires_grad or target.requires_grad):
        target.data[...] = result._array
        return target
    _engine.check_not_leaf(target, f"{name} with out")
    target._become(result if result.dtype == target.dtype else result.astype(target.dtype))
    return target


def plain_index(index):
    """The index with arrays in place of Tensors, and nothing in it that the caller could still change."""
    if isinstance(index, tuple):
        return tuple(plain_index(part) for part in index)
    return indexing.frozen(index._array if isinstance(index, TensorBase) else index)


def as_numbers(data, dtype, copy):
    """An exact, native ndarray of numbers."""
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError("Tensor: a masked array would lose its mask; pass data.filled(value) or data.data")
    if isinstance(data, TensorBase):
        data = data._array
    _engine.refuse_tensors(() if isinstance(data, TensorBase) else data)
    array = np.asarray(np.array(data, dtype=dtype, copy=copy or None))
    if copy and hasattr(data, "__array__") and not isinstance(data, np.ndarray):  # which may give what it keeps itself
        array = array.copy()
    if array.dtype.kind not in "biufc":
        raise TypeError(f"Tensor: data of dtype {array.dtype} can have no gradient; pass numbers")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def wrap(array, owned):
    """A Tensor around an array, without a copy."""
    t = Tensor.__new__(Tensor)
    t._start(array, owned)
    return t


def asarray(data, dtype=None):
    """A Tensor around an array without a copy; a Tensor is returned as it is.

    >>> a = np.zeros(2)
    >>> asarray(a).data is a
    True
    """
    if isinstance(data, TensorBase) and dtype in (None, data.dtype):
        return data
    return wrap(as_numbers(data, dtype, copy=False), owned=False)


# ------------------------------------------------------------------------------------------------- modes of recording


def no_grad():
    """Results in this block, or in the decorated function, are not tracked.

    >>> x = Tensor(1.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    return _engine.Recording(False)


def enable_grad():
    """Results in this block, or in the decorated function, are tracked, also inside `no_grad`."""
    return _engine.Recording(True)


_OPERATORS = "add subtract multiply divide floor_divide remainder power negative positive absolute square sqrt reciprocal conjugate".split()


def threads_wanted():
    """How many threads share a large loop: GRADNERVE_THREADS, or the processors that we may use, at most 8."""
    wanted = os.environ.get("GRADNERVE_THREADS")
    if wanted is not None and not (wanted.isdigit() and 1 <= int(wanted) <= 16):
        raise ImportError(f"GRADNERVE_THREADS is {wanted!r}; it must be a number from 1 to 16")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(wanted) if wanted is not None else min(available, 8)


_program.set_threads(threads_wanted())
_engine.install(Tensor, **{name: getattr(arithmetic, name) for name in _OPERATORS}, matmul=products.matmul, real=elementwise.real,
                astype=shapes.astype, sum_to=shapes.sum_to, where=shapes.where)  # fmt: skip
