# cython: language_level=3
"""All operations that are not elementwise: NumPy code with derivative lines, and what users make by hand.

Next: csrc/sweep.pyx, the way back.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._engine cimport (BORROWED, Operation, TensorBase, allow_vectorcall, already_freed, argument_count, array_in, explained, exposed,
                                give_row, helper, holder, holds_tensors, involves_complex, is_inexact, is_recording, keep_result, link_value, new_tensor,
                                parameters_of, row_of, saved_tensor, value_of)
from gradnerve._graph cimport NOTHING, OUT, X, add_edge, forget, shape_tuple, tables
from gradnerve._loops cimport clear_trouble

import numpy as np

from gradnerve._engine import GraphError, ShapeError

cnp.import_array()

MISSING = object()

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject** args, size_t nargs, PyObject* names)
    Py_ssize_t REFCOUNT "Py_REFCNT"(PyObject*)


cdef enum:          # what a parameter of a derivative line stands for, beside the number of something that was saved
    IS_G = -1       # the gradient of the result
    IS_OUT = -2     # the result
    IS_I = -3       # which of many arrays
    IS_TOTAL = -4   # what has come to the argument already: the line adds to it in place

cdef dict SPECIAL = {"g": IS_G, "out": IS_OUT, "i": IS_I, "total": IS_TOTAL}

cdef enum:          # what is saved
    VALUE, SHAPE, ALL_VALUES, ALL_SHAPES, OPTION


cdef class Reader:
    """A derivative line, and what it reads."""

    def __init__(self, line):
        self.line, self.codes = line, []


cdef object call_general(PyObject* callable, PyObject** args, size_t nargs, PyObject* names):
    """What Python calls for ``matmul(a, b)``: without any Tensor, as in derivative lines, it goes to the function at once."""
    cdef General op = <General>callable
    cdef Py_ssize_t k, n = <Py_ssize_t>argument_count(nargs)
    cdef bint tracked = False
    cdef list values = []
    cdef dict options = {}
    for k in range(n if names == NULL else n + len(<tuple>names)):
        tracked = tracked or isinstance(<object>args[k], TensorBase) or holds_tensors(<object>args[k])
    if tracked:
        for k in range(n):
            values.append(<object>args[k])
        for k in range(0 if names == NULL else len(<tuple>names)):
            options[(<tuple>names)[k]] = <object>args[n + k]
        return op.call(values, options)
    if op.numpys is not None and (n > op.n_positional or names != NULL and not op.knows(<object>names)):
        return PyObject_Vectorcall(op.numpys, args, nargs, names)
    if op.fast is not None:
        out = PyObject_Vectorcall(op.fast, args, nargs, names)
        if out is not None:
            return out if cnp.PyArray_NDIM(<ndarray>out) else out[()]
    return PyObject_Vectorcall(op.function, args, nargs, names)


cdef class General(Operation):
    """Any NumPy code with a derivative line for each array parameter that has one."""

    def __init__(self, str name, function, fast, tuple names, int n_positional, dict defaults, bint variadic, dict lines, zero, bint analytic,
                 dict adds, numpys):
        self.name, self.function, self.fast, self.names, self.variadic, self.numpys = name, function, fast, names, variadic, numpys
        self.n_positional, self.lines, self.analytic = n_positional, lines, analytic
        self.vectorcall = <void*>call_general
        self.defaults = [defaults.get(n, MISSING) for n in names]
        self.reads, self.readers, self.adders = [], [None] * len(names), [None] * len(names)
        for input_name, line in lines.items():
            if input_name not in names:
                raise TypeError(f"{name}: a line for {input_name!r}, but the parameters are {names}")
            self.readers[names.index(input_name)] = self.reader(line, zero)
        for input_name, line in adds.items():
            self.adders[names.index(input_name)] = self.reader(line, zero)

    def reader(self, line, zero):
        """Work out what each parameter of the line stands for."""
        cdef Reader reader = Reader(None if line is zero else line)
        for name in () if line is zero else parameters_of(line):
            if name in SPECIAL:
                reader.codes.append(SPECIAL[name])
                reader.needs_out |= name == "out"
                reader.multiplies |= name == "out"
                continue
            read = self.meaning(name)
            reader.multiplies |= read[0] in (VALUE, ALL_VALUES)
            if read not in self.reads:
                self.reads.append(read)
            reader.codes.append(self.reads.index(read))
            reader.needs |= 1 << <int>self.reads.index(read)
        return reader

    def meaning(self, name):
        """(kind, position, name) of something that a line reads of the call."""
        names = list(self.names)
        if self.variadic and name in (names[0], names[0] + "_shapes"):
            return (ALL_VALUES if name == names[0] else ALL_SHAPES, 0, name)
        if name in names:
            return (OPTION if self.variadic else VALUE, names.index(name), name)
        if not self.variadic and name.removesuffix("_shape") in names:
            return (SHAPE, names.index(name.removesuffix("_shape")), name)
        raise TypeError(f"{self.name}: a line reads {name!r}; there are g, out, {', '.join(names)} and NAME_shape")

    def __call__(self, *args, **kwargs):
        return self.call(list(args), kwargs)

    cdef object call(self, list values, dict options):
        """Compute and record."""
        cdef list arrays
        cdef object shared = None
        cdef int k
        if not self.variadic:
            if self.numpys is not None and (len(values) > self.n_positional or options and not self.knows(options)):
                return self.numpys(*values, **options)      # NumPy's order and names of arguments, `out` among them
            self.bind(values, options)
        arrays = list(values)
        for k in range(len(values)):
            value = values[k]
            if isinstance(value, (list, tuple)) and self.readers[0 if self.variadic else k] is not None:
                arrays[k] = values[k] = value = helper("array_of")(value)
            if isinstance(value, TensorBase):
                if exposed(<TensorBase>value):      # asked before we hold the array, too
                    shared = add_to(shared, k)
                arrays[k] = value_of(<TensorBase>value)
            elif isinstance(value, ndarray):
                shared = add_to(shared, k)
        try:
            out = self.run(arrays, options)
        except Exception as error:
            raise explained(self, error, arrays)
        finally:
            clear_trouble()
        return self.finish(values, arrays, shared, options, out if cnp.PyArray_CheckExact(out) else np.asarray(out))

    cdef bint knows(self, object names):
        """Whether these are names of parameters."""
        for name in names:
            if name not in self.names:
                return False
        return True

    cdef list input_names(self, int n):
        return [f"{self.names[0]}[{k}]" for k in range(n)] if self.variadic else list(self.names)

    cdef object run(self, list arrays, dict options):
        """With arrays in place of the Tensors; the fast version may decline."""
        if self.variadic:
            return self.function(*arrays, **options)
        if self.fast is not None:
            out = self.fast(*arrays)
            if out is not None:
                return out
        if self.n_positional == len(arrays):
            return self.function(*arrays)
        return self.function(*arrays[:self.n_positional], **dict(zip(self.names[self.n_positional:], arrays[self.n_positional:])))

    cdef int bind(self, list values, dict options) except -1:
        """Complete the positional arguments to one value for each parameter."""
        cdef Py_ssize_t given = len(values), used = 0, k
        if given > self.n_positional:
            raise TypeError(f"{self.name}: takes {self.n_positional} positional argument(s), got {given}; by name: {', '.join(self.names)}")
        for k in range(given, len(self.names)):
            value = self.defaults[k]
            if options and self.names[k] in options:
                value = options[self.names[k]]
                used += 1
            elif value is MISSING:
                raise TypeError(f"{self.name}: argument {self.names[k]!r} is missing")
            values.append(value)
        if used < len(options):
            raise TypeError(f"{self.name}: no such argument here: {', '.join(sorted(set(options) - set(self.names[given:])))}")
        return 0

    cdef object finish(self, list values, list arrays, object shared, dict options, ndarray out):
        """Wrap the result and record it."""
        cdef TensorBase result
        cdef list parents = []
        cdef int k
        if shared is not None and (not cnp.PyArray_CHKFLAGS(out, cnp.NPY_ARRAY_OWNDATA) or REFCOUNT(<PyObject*>out) > 2):   # a view, or an input
            for k in shared:
                if np.may_share_memory(out, arrays[k]):
                    out = cnp.PyArray_NewCopy(out, cnp.NPY_KEEPORDER)
        result = new_tensor(out)
        if not is_recording() or not is_inexact(out):
            return result
        for k in range(len(values)):
            if row_of(values[k]) != NOTHING and self.readers[0 if self.variadic else k] is not None:
                parents.append(k)
        if parents:
            self.record(result, values, arrays, shared, options, parents)
        return result

    cdef int record(self, TensorBase result, list values, list arrays, object shared, dict options, list parents) except -1:
        cdef unsigned long long needs = 0
        cdef bint needs_out = False
        cdef Reader reader
        cdef int32_t row
        cdef int k
        for k in parents:
            reader = <Reader>self.readers[0 if self.variadic else k]
            needs |= reader.needs
            needs_out |= reader.needs_out
        saved = []
        for k in range(len(self.reads)):
            value = self.saved_value(<tuple>self.reads[k], arrays, shared, options) if needs >> k & 1 else None
            saved.append(value)
        row = give_row(result, self, <int>len(parents))
        Py_INCREF(saved)
        tables.nodes[row].saved[X] = <PyObject*>saved
        keep_result(result, needs_out)
        for k in range(<int>len(parents) - 1, -1, -1):
            add_edge(row, (<TensorBase>values[parents[k]]).node, parents[k])
        return 0

    cdef object saved_value(self, tuple read, list arrays, object shared, dict options):
        """What a line's parameter will be: an array nobody else can write to, a shape, or an option."""
        cdef int kind = read[0], k = read[1]
        if kind == SHAPE:
            return np.shape(arrays[k]) if not cnp.PyArray_CheckExact(arrays[k]) else arrays[k].shape
        if kind == VALUE:
            return arrays[k].copy() if shared is not None and k in shared else frozen(arrays[k])
        if kind == ALL_VALUES:
            return tuple([a.copy() if shared is not None and k in shared else a for k, a in enumerate(arrays)])
        if kind == ALL_SHAPES:
            return tuple([np.shape(a) for a in arrays])
        return frozen(options.get(read[2], self.defaults[k]))

    cdef object share(self, int32_t row, int argument, object g):
        return self.evaluated(row, argument, g, None)

    cdef bint multiplies(self, int argument) noexcept:
        return (<Reader>self.readers[0 if self.variadic else argument]).multiplies

    cdef object without_infinities(self, int32_t row, int argument, object g, object share):
        """Put two different numbers in place of infinite values: where that makes no difference, g has multiplied them by 0."""
        one, another = (self.evaluated(row, argument, g, number) for number in (0.75, 1.25))
        same = array_in(one) == array_in(another)
        return helper("where")(same & ~np.isfinite(array_in(share)), one, share)

    cdef object evaluated(self, int32_t row, int argument, object g, object finite):
        """The share; `finite`: a number to be read in place of infinite values and NaN."""
        cdef Reader reader = <Reader>self.readers[0 if self.variadic else argument]
        cdef bint recorded = isinstance(g, TensorBase), conjugate
        if reader.line is None:
            return None
        if tables.nodes[row].saved[X] == NULL:
            raise already_freed(self.name)
        conjugate = self.analytic and (involves_complex(row, g) if recorded else cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(<ndarray>g)))
        args = self.read(reader, row, argument, np.conjugate(g) if conjugate else g, None, recorded)
        if finite is not None:
            args = [without_infinite(a, finite) for a in args]
        try:
            result = reader.line(*args)
        finally:
            clear_trouble()
        if result is None:
            return None
        result = np.conjugate(result) if conjugate else result
        return result if recorded or cnp.PyArray_CheckExact(result) else np.asarray(result)

    cdef bint add_share(self, int32_t row, int argument, ndarray g, PyObject* total) except -1:
        cdef Reader reader = None if self.variadic else <Reader>self.adders[argument]
        if reader is None or cnp.PyArray_TYPE(g) != cnp.PyArray_TYPE(<ndarray>total) or tables.nodes[row].saved[X] == NULL:
            return False
        reader.line(*self.read(reader, row, argument, g, <object>total, False))
        return True

    cdef list read(self, Reader reader, int32_t row, int argument, object g, object total, bint recorded):
        """What a line's parameters stand for."""
        cdef list args = [], saved = <list>tables.nodes[row].saved[X]
        cdef int code
        for code in reader.codes:
            if code == IS_G:
                args.append(g)
            elif code == IS_TOTAL:
                args.append(total)
            elif code == IS_OUT:
                if tables.nodes[row].saved[OUT] == NULL:
                    raise already_freed(self.name)
                args.append(saved_tensor(self, row, OUT, NOTHING) if recorded else <object>tables.nodes[row].saved[OUT])
            elif code == IS_I:
                args.append(argument)
            else:
                args.append(self.link(row, <tuple>self.reads[code], saved[code]) if recorded else saved[code])
        return args

    cdef object link(self, int32_t row, tuple read, object value):
        """A saved value as a Tensor of the row that it came from."""
        cdef int kind = read[0], k = read[1]
        if kind == ALL_VALUES:
            return [link_value(row, v, k) for k, v in enumerate(value)]
        return link_value(row, value, k) if kind == VALUE and isinstance(value, ndarray) else value


cdef object without_infinite(object a, double number):
    """What a line reads, with a number in place of infinite elements."""
    if isinstance(a, (list, tuple)):
        return type(a)([without_infinite(part, number) for part in a])
    if not isinstance(a, (TensorBase, ndarray)) or array_in(a).dtype.kind not in "fc" or np.isfinite(array_in(a)).all():
        return a
    return helper("where")(np.isfinite(array_in(a)), a, array_in(a).dtype.type(number))


cdef object add_to(object numbers, int k):
    """The set with one number more; None is the empty set."""
    if numbers is None:
        return {k}
    numbers.add(k)
    return numbers


cdef object frozen(object value):
    """A list as it is now: the caller may change it after the operation."""
    if isinstance(value, list):
        return [frozen(part) for part in value]
    if isinstance(value, tuple):
        return tuple([frozen(part) for part in value])
    return value


cdef class HandMade(Operation):
    """A child made by ``Tensor(data, _prev=...)``, with the function that was assigned to its `_backward`."""

    def __init__(self):
        self.name, self.lines, self.at_once = "by hand", {}, True

    cdef tuple shares(self, int32_t row, object g):
        """Call the function with empty gradients all around, and collect what it adds to them."""
        cdef list parents = [], arguments = [], before = []
        cdef int32_t edge = tables.nodes[row].edges
        cdef TensorBase child, parent
        if isinstance(g, TensorBase):
            raise GraphError("a hand-made _backward works on arrays and has no second derivative; write the operation with gn.op instead")
        if tables.nodes[row].freed:
            raise already_freed(self.name)
        if tables.nodes[row].saved[X] == NULL:
            raise GraphError("this hand-made tensor has no _backward: assign a function that adds to the .grad of its _prev")
        function = <object>tables.nodes[row].saved[X]
        child = holder(row, None)
        while edge != NOTHING:
            parents.append(holder(tables.edges[edge].parent, None))
            arguments.append(tables.edges[edge].argument)
            edge = tables.edges[edge].next
        involved = list({id(t): t for t in [child, *parents]}.values())
        before = [((<TensorBase>t).gradient, (<TensorBase>t).flags & BORROWED) for t in involved]
        try:
            for t in involved:
                parent = t
                parent.gradient, parent.flags = None, parent.flags & ~BORROWED
            child.gradient = np.array(g)
            function()
            shares, seen = {}, set()
            for argument, t in zip(arguments, parents):
                parent = t
                shares[argument] = None if t in seen else parent.gradient       # x * x: both edges' shares are in one .grad
                seen.add(t)
        finally:
            for t, (gradient, borrowed) in zip(involved, before):
                parent = t
                parent.gradient, parent.flags = gradient, parent.flags & ~BORROWED | borrowed
        return tuple([shares.get(k) for k in range(max(shares) + 1)])


cdef HandMade hand_made = HandMade()


def make_by_hand(TensorBase t not None, tuple parents, function):
    """Turn an untracked tensor into the hand-made child of `parents`, or give a result another derivative."""
    cdef int k
    cdef int32_t row = t.node
    cdef PyObject* operation
    if row == NOTHING:
        tracked = [k for k, p in enumerate(parents) if (<TensorBase?>p).node != NOTHING]
        if tracked and is_recording():
            row = give_row(t, hand_made, <int>len(tracked))
            for k in reversed(tracked):
                add_edge(row, (<TensorBase>parents[k]).node, k)
    elif tables.nodes[row].operation == NULL:
        raise GraphError("_backward: a leaf has no parents; make the child with Tensor(data, _prev=(a, b))")
    if function is None or row == NOTHING:
        return
    forget(row)
    operation = tables.nodes[row].operation
    Py_INCREF(hand_made)
    Py_INCREF(function)
    tables.nodes[row].operation = <PyObject*>hand_made
    tables.nodes[row].saved[X] = <PyObject*>function
    Py_DECREF(<object>operation)


cdef class Custom(Operation):
    """A user's own operation: `function` takes arrays and gives a value and its pullback."""

    def __init__(self, function):
        self.name, self.function, self.lines, self.at_once = function.__name__, function, {}, True

    def __call__(self, *args):
        cdef TensorBase result
        cdef int32_t row
        arrays = [value_of(<TensorBase>a) if isinstance(a, TensorBase) else a for a in args]
        copies = [a.copy() if isinstance(a, ndarray) else a for a in arrays]     # whatever happens to them, the tensors stay
        outcome = self.function(*copies)
        if not (isinstance(outcome, tuple) and len(outcome) == 2 and callable(outcome[1])):
            raise TypeError(f"{self.name}: a function under custom_gradient returns (value, pullback), not {type(outcome).__name__}")
        if len(arrays) == 0 or not any(isinstance(a, TensorBase) for a in args):
            return outcome[0]
        result = new_tensor(np.array(outcome[0]))
        tracked = [k for k, a in enumerate(args) if row_of(a) != NOTHING]
        if tracked and is_recording():
            row = give_row(result, self, <int>len(tracked))
            saved = (outcome[1], len(args))
            Py_INCREF(saved)
            tables.nodes[row].saved[X] = <PyObject*>saved
            keep_result(result, False)
            for k in reversed(tracked):
                add_edge(row, (<TensorBase>args[k]).node, k)
        return result

    cdef tuple shares(self, int32_t row, object g):
        if isinstance(g, TensorBase):
            raise GraphError(f"{self.name}: a custom_gradient has no second derivative")
        if tables.nodes[row].saved[X] == NULL:
            raise already_freed(self.name)
        pullback, n = <tuple>tables.nodes[row].saved[X]
        shares = pullback(np.array(g))
        try:
            shares = tuple([None if s is None else np.array(s) for s in (shares if isinstance(shares, tuple) else (shares,))])
        except ValueError as error:
            raise TypeError(f"{self.name}: the pullback gave something that is no array: {error}") from None
        if len(shares) != n:
            raise TypeError(f"{self.name}: the pullback gave {len(shares)} gradient(s) for {n} argument(s)")
        cdef int32_t edge = tables.nodes[row].edges
        while edge != NOTHING:
            share = shares[tables.edges[edge].argument]
            wanted = shape_tuple(tables.edges[edge].parent)
            if share is not None and np.shape(share) != wanted:
                raise ShapeError(f"{self.name}: the pullback gave a gradient of shape {np.shape(share)} for argument "
                                 f"{tables.edges[edge].argument} of shape {wanted}")
            edge = tables.edges[edge].next
        return shares


cdef General _any = General.__new__(General)
allow_vectorcall(General, <char*>&_any.vectorcall - <char*><PyObject*>_any)
