"""Tensor: an ndarray that remembers how it was made.

The compiled base (csrc/engine.pyx) holds the array, the gradient and a row of the graph, and does the operators. Here is
the rest of what a user sees: construction, NumPy's methods and protocols, conversions, and the modes of recording.

Read next: functional.py, graph.py; csrc/engine.pyx for what lies below.
"""

import os
import sys
from copy import deepcopy
from functools import partial

import numpy as np

from gradnerve import _engine, _program, _sweep, dispatch
from gradnerve._engine import GraphError, TensorBase, ValuesNeeded, wrap
from gradnerve._general import make_by_hand
from gradnerve.dispatch import plain_index, refuse_number, refuse_numpy, refuse_store, refuse_value, shows_values, written
from gradnerve.ops import arithmetic, elementwise, indexing, network, products, reductions, scans, shapes
from gradnerve.ops.define import as_numpys, implementations


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
        if isinstance(data, TensorBase):
            refuse_value(data, "Tensor()")
        self._start(as_numbers(data, dtype, copy=True), owned=True)
        if requires_grad and self.dtype.kind in "biu":
            self._start(self._array.astype(float), owned=True)
        if isinstance(_prev, TensorBase) or _prev:
            make_by_hand(self, parents_of(_prev), None)
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

    def register_hook(self, hook):
        """Call `hook` with the gradient of this tensor, a Tensor, whenever a sweep has worked it out; what it returns takes its place.

        Gives a handle, whose `remove()` ends this. Raises GraphError for a tensor that does not require grad. A hook of a result goes
        with the graph when backward has released it.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda g: g.clip(-1, 1))
        >>> (x * 10).sum().backward()
        >>> x.grad
        array([1., 1.])
        """
        if not self.requires_grad:
            raise GraphError("register_hook: this tensor does not require grad, so no gradient ever comes here")
        if not callable(hook):
            raise TypeError(f"register_hook: takes a function of the gradient, not {hook!r}")
        return Hook(self._hooks, hook)

    def requires_grad_(self, requires_grad=True):
        """Switch tracking of a leaf on or off, and return it."""
        self.requires_grad = requires_grad
        return self

    def zero_grad(self):
        """Forget the gradient: `.grad` is zeros again."""
        self.grad = None

    # ---------------------------------------------------------------------------------------------- the array

    nbytes = property(lambda self: self._array.nbytes)
    device = property(lambda self: "cpu")
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(shapes.transpose)
    mT = property(lambda self: shapes.swapaxes(self, -1, -2))
    real = property(lambda self: elementwise.real(self) if self.dtype.kind == "c" else self, dispatch.set_real)
    imag = property(elementwise.imag, dispatch.set_imag)
    flat = property(shapes.Flat, lambda self, values: shapes.Flat(self).__setitem__(slice(None), values))

    def numpy(self):
        """The value, an ndarray, as `.data`."""
        return self.data

    to_numpy = numpy  # by which matplotlib takes it

    def item(self, *index):
        """One element as a Python number.

        >>> Tensor([[2.5]]).item()
        2.5
        """
        refuse_value(self, "item()")
        return self._array.item(*index)

    def tolist(self):
        """The values as nested lists of Python numbers."""
        refuse_value(self, "tolist()")
        return self._array.tolist()

    def tobytes(self, order="C"):
        """The values as bytes."""
        refuse_value(self, "tobytes()")
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
        index = plain_index(index)
        if type(index) is tuple and _engine.holds_tensors(index):  # batched ones, with an index for each example
            return _engine.batched(indexing.getitem, (self, index), {})
        return indexing.getitem(self, index)

    def __setitem__(self, index, value):
        index = plain_index(index)
        _engine.refuse_tensors(value)
        if getattr(value, "_is_batched", False) or _engine.holds_tensors([index]):
            raise ValuesNeeded("setitem: the tensor that is written into is the same for all examples; np.zeros_like(x) makes one for each")
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
    take, repeat, diagonal = shapes.take, shapes.repeat, shapes.diagonal

    def compress(self, condition, axis=None):
        """The slices along an axis where the condition holds, as `ndarray.compress`."""
        return shapes.compress(condition, self, axis)

    def fill(self, value):
        """Set every element, as `ndarray.fill`; what was computed from the old values keeps them."""
        self[...] = value

    def sort(self, axis=-1, kind=None, order=None, *, stable=None):
        """Sort in place, as `ndarray.sort`; what was computed from the old values keeps them."""
        written(self, scans.sort(self, axis, kind, order, stable=stable), "sort")

    def partition(self, kth, axis=-1, kind="introselect", order=None):
        """Partition in place, as `ndarray.partition`; what was computed from the old values keeps them."""
        written(self, scans.partition(self, kth, axis, kind, order), "partition")

    def conj(self):
        """The complex conjugate; real numbers are their own, and as for `ndarray.conj` the result is this tensor itself."""
        return arithmetic.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj

    def put(self, indices, values, mode="raise"):
        """Set elements by their number in one row, as `ndarray.put`."""
        np.put(self, indices, values, mode)

    def choose(self, choices, out=None, mode="raise"):
        """From which of the choices each element comes, as `ndarray.choose`."""
        return np.choose(self, choices, out, mode)

    def resize(self, *shape, refcheck=True):
        """Give the tensor another shape, with zeros where elements are missing, as `ndarray.resize`."""
        _engine.check_not_leaf(self, "resize")
        numbers = np.array(shapes.numbered(self) + 1)
        numbers.resize(*shape, refcheck=False)  # 0 where an element is missing
        self._become(shapes.concatenate([np.zeros(1, self.dtype), self.ravel()])[numbers])

    def view(self, dtype=None, type=None, *shape):
        """The same values; as another dtype, their bytes would have no gradient."""
        if isinstance(dtype, int | tuple):
            wanted = dtype if isinstance(dtype, tuple) else [n for n in (dtype, type, *shape) if n is not None]
            raise TypeError(f"view: NumPy's view takes a dtype, no shape; here it is t.reshape({', '.join(map(str, wanted))})")
        if type is not None or dtype not in (None, self.dtype):
            raise TypeError(f"view: a Tensor of {self.dtype} can be viewed as such only; t.astype converts, t.data.view gives the values' bytes")
        return self[...]

    def __getattr__(self, name):
        if name.startswith("_"):  # a protocol, which NumPy and others ask for often
            raise AttributeError(f"Tensor has no attribute {name!r}")
        if hasattr(np.ndarray, name):
            raise AttributeError(f"Tensor has no {name}, as its gradient would be lost; t.data.{name} is that of the values")
        from gradnerve import idioms

        hint = idioms.of_tensor(name)
        raise AttributeError(f"Tensor has no {name}{hint}" if hint else f"Tensor has no attribute {name!r}")

    sum, prod, max, min, cumsum, cumprod = reductions.sum, reductions.prod, reductions.max, reductions.min, reductions.cumsum, scans.cumprod
    mean, var, std = as_numpys(np.mean, reductions.mean), as_numpys(np.var, reductions.var), as_numpys(np.std, reductions.std)
    trace = as_numpys(np.trace, shapes.trace)
    dot, round = products.dot, elementwise.round
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
        refuse_store(self, sys._getframe(1))
        refuse_number(self, "float()", sys._getframe(1))
        return float(self._single("float"))

    def __int__(self):
        refuse_store(self, sys._getframe(1))
        refuse_number(self, "int()", sys._getframe(1))
        return int(self._single("int"))

    def __complex__(self):
        refuse_store(self, sys._getframe(1))
        refuse_number(self, "complex()", sys._getframe(1))
        return complex(self._single("complex"))

    def __index__(self):
        return self._array.__index__()

    def __bool__(self):
        return bool(self._array)

    def __format__(self, spec):
        return format(self._single("format").item(), spec) if spec else str(self)

    def __array__(self, dtype=None, copy=None):
        refuse_store(self, sys._getframe(1))
        refuse_numpy(self, sys._getframe(1))
        refuse_number(self, "np.asarray", sys._getframe(1))
        return np.array(self._array if copy else self.data, dtype=dtype, copy=copy)

    def _single(self, what):
        if self.size != 1:
            raise TypeError(f"{what}: only a tensor of size 1 is a number; this one has shape {self.shape}")
        return self._array.reshape(())

    def __reduce__(self):
        if not self.is_leaf:
            raise TypeError("a result with its graph cannot be pickled or copied; use t.detach(), or t.copy() for a copy that gradients flow through")
        refuse_value(self, "copy")
        return remade, (type(self), self.data, self.requires_grad), getattr(self, "__dict__", None) or None

    def __setstate__(self, attributes):
        self.__dict__.update(attributes)  # a class derived from Tensor has some

    def __copy__(self):
        if shows_values(sys._getframe(2)):  # matplotlib keeps a copy of what it plots
            return np.array(self._array)
        make, parts, attributes = self.__reduce__()
        again = make(*parts)
        if attributes:
            again.__setstate__(attributes)
        return again

    def __deepcopy__(self, memo):
        make, parts, attributes = self.__reduce__()
        memo[id(self)] = again = make(*parts)
        if self.requires_grad:
            again.grad = self.grad
        if attributes:
            again.__setstate__(deepcopy(attributes, memo))
        return again

    def __repr__(self):
        values = np.array2string(self._array, separator=", ", prefix="Tensor(")
        made = f", made by {self._operation.name}" if self._operation else ""
        return f"Tensor({values}, dtype={self.dtype}{', requires_grad=True' if self.requires_grad else ''}{made})"

    def __str__(self):
        return str(self._array)

    # -------------------------------------------------------------------------------------------------- protocols

    def __array_namespace__(self, *, api_version=None):
        """The array API standard's functions, for Tensors: gradnerve.array_api."""
        from gradnerve import array_api

        if api_version not in (None, *array_api.VERSIONS):
            raise ValueError(f"array API version {api_version!r} is none of {', '.join(array_api.VERSIONS)}")
        return array_api

    def to_device(self, device, /, *, stream=None):
        """The tensor itself: there is no other device than the "cpu"."""
        if device != "cpu" or stream is not None:
            raise ValueError(f'to_device: a Tensor lives on the "cpu", not on {device!r}, and takes no stream')
        return self

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        refuse_value(self, "DLPack")
        return self.data.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and not kwargs and ufunc in implementations:
            return implementations[ufunc](*inputs)
        return dispatch.call_ufunc(ufunc, method, inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return dispatch.call_function(function, args, kwargs, sys._getframe(1))


class Hook:
    """What `register_hook` gives: `remove()` takes the hook away, as does the end of a `with` block."""

    def __init__(self, hooks, hook):
        self.hooks, self.key = hooks, object()  # were this the key itself, it would be part of a cycle
        hooks[self.key] = hook

    def remove(self):
        self.hooks.pop(self.key, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


def parents_of(prev):
    """The parents of a hand-made child."""
    if isinstance(prev, TensorBase) or not all(isinstance(t, TensorBase) for t in prev):
        raise TypeError(f"Tensor: _prev takes a tuple of Tensors, the parents, not {prev!r}")
    return tuple(prev)


def remade(kind, array, requires_grad):
    """A copy of a leaf, for pickle and copy; without its gradient."""
    t = kind.__new__(kind)
    t._start(np.array(array), owned=True)
    return t.requires_grad_(requires_grad)


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
    setattr(Tensor, f"__{_name}__", lambda self, other, ufunc=_ufunc: ufunc(self, other))
    setattr(Tensor, f"__r{_name}__", lambda self, other, ufunc=_ufunc: ufunc(other, self))
    setattr(Tensor, f"__i{_name}__", lambda self, other, ufunc=_ufunc: ufunc(self, other, out=self))
Tensor.__invert__ = lambda self: np.invert(self)


def as_numbers(data, dtype, copy):
    """An exact, native ndarray of numbers."""
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError("Tensor: a masked array would lose its mask; pass data.filled(value) or data.data")
    if isinstance(data, TensorBase):
        data = data._array
    _engine.refuse_tensors(data)
    array = np.asarray(np.array(data, dtype=dtype, copy=copy or None))
    if copy and hasattr(data, "__array__") and not isinstance(data, np.ndarray):  # which may give what it keeps itself
        array = array.copy()
    if array.dtype.kind not in "biufc":
        raise TypeError(f"Tensor: data of dtype {array.dtype} can have no gradient; pass numbers")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def asarray(data, dtype=None):
    """A Tensor around an array without a copy; a Tensor is returned as it is.

    >>> a = np.zeros(2)
    >>> asarray(a).data is a
    True
    """
    if isinstance(data, TensorBase):
        return data if dtype is None or dtype == data.dtype else shapes.astype(data, np.dtype(dtype))
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
                astype=shapes.astype, array_of=shapes.array_of, reshape=shapes.reshape, sum_to=shapes.sum_to,
                where=shapes.where)  # fmt: skip
