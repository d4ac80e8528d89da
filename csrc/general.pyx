# cython: language_level=3
"""All operations that are not elementwise: NumPy code with derivative lines, and what users make by hand.

Next: csrc/sweep.pyx, the way back.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._engine cimport (BLANK, BORROWED, Operation, TensorBase, allow_vectorcall, already_freed, argument_count, array_in, explained, exposed,
                                give_row, helper, holder, holds_tensors, involves_complex, is_batched, is_inexact, is_recording,
                                keep_result, link_value, linked, new_tensor,
                                parameters_of, row_of, saved_tensor, show, value_of, watchers)
from gradnerve._graph cimport FREED, NOTHING, OUT, X, add_edge, forget, function_of, keeper_of, shape_tuple, tables
from gradnerve._loops cimport all_finite, clear_trouble

from threading import RLock

import numpy as np

from gradnerve._engine import GraphError, ShapeError

cnp.import_array()

MISSING = object()
turns = RLock()     # of hand-made functions

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject** args, size_t nargs, PyObject* names)
    Py_ssize_t REFCOUNT "Py_REFCNT"(PyObject*)


cdef enum:          # what a parameter of a derivative line stands for, beside the number of something that was saved
    IS_G = -1       # the gradient of the result
    IS_OUT = -2     # the result
    IS_I = -3       # which of many arrays
    IS_TOTAL = -4   # what has come to the argument already: the line adds to it in place

cdef dict SPECIAL = {"g": IS_G, "out": IS_OUT, "i": IS_I, "total": IS_TOTAL}

cdef enum:
    FEW = 8         # arguments that need no memory of their own

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
                 dict adds, dict many, numpys):
        self.name, self.function, self.fast, self.names, self.variadic, self.numpys = name, function, fast, names, variadic, numpys
        self.n_positional, self.lines, self.analytic = n_positional, lines, analytic
        self.vectorcall = <void*>call_general
        self.defaults = [defaults.get(n, MISSING) for n in names]
        self.reads = []
        self.readers, self.adders, self.manys = ([None] * len(names) for _ in range(3))
        for input_name, line in lines.items():
            if input_name not in names:
                raise TypeError(f"{name}: a line for {input_name!r}, but the parameters are {names}")
            self.readers[names.index(input_name)] = self.reader(line, zero)
        for input_name, line in adds.items():
            self.adders[names.index(input_name)] = self.reader(line, zero)
        for input_name, line in many.items():
            self.manys[names.index(input_name)] = self.reader(line, zero)

    def select_by(self, rule):
        """A result is a selection if this function of one of the options says so; it is named as that option is."""
        read = self.meaning(parameters_of(rule)[0])
        if read not in self.reads:
            self.reads.append(read)
        self.mask_rule, self.mask_read = rule, self.reads.index(read)

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
        if not self.variadic:
            if self.numpys is not None and (len(values) > self.n_positional or options and not self.knows(options)):
                return self.numpys(*values, **options)      # NumPy's order and names of arguments, `out` among them
            self.bind(values, options)
        outcome = self.attempt(values, options)
        while outcome is MISSING:
            outcome = self.attempt(values, options)
        return outcome

    cdef object attempt(self, list values, dict options):
        """The same; MISSING if another thread has changed an argument in place meanwhile, so that its row is no longer that of the value."""
        cdef list arrays = list(values)
        cdef object shared = None
        cdef int32_t few[FEW]
        cdef int32_t* rows = few
        cdef ndarray many
        cdef int k
        if len(values) > FEW:
            many = np.empty(len(values), np.int32)
            rows = <int32_t*>cnp.PyArray_DATA(many)
        for k in range(len(values)):
            value = values[k]
            if isinstance(value, (list, tuple)) and self.readers[0 if self.variadic else k] is not None:
                arrays[k] = values[k] = value = helper("array_of")(value)
            if isinstance(value, TensorBase):
                if is_batched(value):
                    return helper("batched")(self, tuple(values), options)
                if exposed(<TensorBase>value):      # asked before we hold the array, too
                    shared = add_to(shared, k)
                arrays[k] = value_of(<TensorBase>value)
            elif isinstance(value, ndarray):
                shared = add_to(shared, k)
            rows[k] = row_of(value)
        try:
            out = self.run(arrays, options)
        except Exception as error:
            raise explained(self, error, arrays)
        finally:
            clear_trouble()
        return self.finish(values, arrays, rows, shared, options, out if cnp.PyArray_CheckExact(out) else np.asarray(out))

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

    cdef object finish(self, list values, list arrays, int32_t* rows, object shared, dict options, ndarray out):
        """Wrap the result and record it; MISSING if an argument no longer has the row that it had."""
        cdef TensorBase result
        cdef list parents = []
        cdef int k
        if shared is not None and (not cnp.PyArray_CHKFLAGS(out, cnp.NPY_ARRAY_OWNDATA) or REFCOUNT(<PyObject*>out) > 2):   # a view, or an input
            for k in shared:
                if np.may_share_memory(out, arrays[k]):
                    out = cnp.PyArray_NewCopy(out, cnp.NPY_KEEPORDER)
        result = new_tensor(out)
        if is_recording() and is_inexact(out):
            for k in range(len(values)):
                if rows[k] != NOTHING and self.readers[0 if self.variadic else k] is not None:
                    parents.append(k)
            if parents and not self.record(result, values, arrays, rows, shared, options, parents):
                return MISSING
        if watchers:
            show(self, self, values, options if self.variadic else {}, result)
        return result

    cdef bint record(self, TensorBase result, list values, list arrays, int32_t* rows, object shared, dict options, list parents) except -1:
        """Give the result a row; False if an argument has lost its own."""
        cdef unsigned long long needs = 0
        cdef bint needs_out = False
        cdef Reader reader
        cdef int32_t row
        cdef int k
        if self.mask_rule is not None:
            needs = 1 << self.mask_read
        for k in parents:
            reader = <Reader>self.readers[0 if self.variadic else k]
            needs |= reader.needs
            needs_out |= reader.needs_out
        saved = []
        for k in range(len(self.reads)):
            value = self.saved_value(<tuple>self.reads[k], arrays, shared, options) if needs >> k & 1 else None
            saved.append(value)
        for k in parents:
            if row_of(values[k]) != rows[k]:
                return False
        row = give_row(result, self, <int>len(parents))
        Py_INCREF(saved)
        tables.nodes[row].saved[X] = <PyObject*>saved
        keep_result(result, needs_out)
        for k in range(<int>len(parents) - 1, -1, -1):
            add_edge(row, rows[<int>parents[k]], parents[k])
        return True

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

    cdef object share_of_many(self, int32_t row, int argument, ndarray g, object level):
        cdef Reader reader = <Reader>self.readers[0 if self.variadic else argument]
        cdef Reader many = <Reader>self.manys[0 if self.variadic else argument]
        cdef object one
        if reader.line is None:
            return None
        if many is not None:
            result = many.line(*self.read(many, row, argument, g, None, False))
            if result is not None:
                return result
        one = helper("hidden")(new_tensor(g), level)
        conjugate = self.analytic and cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(g))
        result = reader.line(*self.read(reader, row, argument, np.conjugate(one) if conjugate else one, None, False))
        if result is None:
            return None
        return value_of(helper("examples")(np.conjugate(result) if conjugate else result, level))

    cdef bint selects(self, int32_t row) except -1:
        cdef PyObject* saved = tables.nodes[row].saved[X]
        if self.mask_rule is None or saved == NULL:
            return self.masks
        return self.mask_rule((<list>saved)[self.mask_read])

    cdef object without_infinities(self, int32_t row, int argument, object g, object share):
        """Put other numbers, twice, in place of infinite values, then of all: where that makes no difference, g has multiplied them by 0."""
        for replaced in (False, True):
            one, another = (self.evaluated(row, argument, g, (replaced, seed)) for seed in (1, 2))
            lost = array_in(one) == array_in(another)
            if share is None:
                return helper("where")(lost, one, np.nan)
            share = helper("where")(lost & ~np.isfinite(array_in(share)), one, share)
            if all_finite(array_in(share)):
                break
        return share

    cdef object evaluated(self, int32_t row, int argument, object g, object replaced):
        """The share; `replaced`: whether other numbers are to be read in place of all values, or of those only that are not finite, and a seed."""
        cdef Reader reader = <Reader>self.readers[0 if self.variadic else argument]
        cdef bint recorded = isinstance(g, TensorBase), conjugate
        if reader.line is None:
            return None
        conjugate = self.analytic and (involves_complex(row, g) if recorded else cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(<ndarray>g)))
        g = np.conjugate(g) if conjugate else g
        args = self.read(reader, row, argument, g, None, recorded)
        if replaced is not None:
            args = [a if a is g else other_numbers(a, *replaced) for a in args]
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
        """What a line's parameters stand for. Another thread may release the node at any time before."""
        cdef list args = [], saved
        cdef int code
        if tables.nodes[row].saved[X] == NULL:
            raise already_freed(self.name)
        saved = <list?>tables.nodes[row].saved[X]
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


def other_numbers(a, everywhere, seed):
    """What a line reads, with other numbers in place of the elements that are not finite, or of all of them."""
    if isinstance(a, (list, tuple)):
        return type(a)([other_numbers(part, everywhere, seed) for part in a])
    if not isinstance(a, (TensorBase, ndarray)) or array_in(a).dtype.kind not in "fc" or not everywhere and all_finite(array_in(a)):
        return a
    numbers = irregular(np.shape(array_in(a)), array_in(a).dtype, seed)
    return helper("where")(np.isfinite(array_in(a)) & (not everywhere), a, numbers)


def irregular(shape, dtype, seed=1):
    """Numbers between 1/2 and 3/2 that have nothing to do with one another: no sum of them vanishes, no matrix of them is singular."""
    return np.random.Generator(np.random.PCG64(seed)).uniform(0.5, 1.5, shape).astype(dtype)


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
        if isinstance(g, TensorBase):
            raise GraphError("a hand-made _backward works on arrays and has no second derivative; use gn.custom_gradient, "
                             "or a line of gradnerve.ops.define.op")
        with turns:         # the parents' gradients are put aside for all threads
            return self.shares_alone(row, g)

    cdef tuple shares_alone(self, int32_t row, object g):
        cdef list parents = [], arguments = [], before = []
        cdef int32_t edge = tables.nodes[row].edges
        cdef TensorBase child, parent
        if tables.nodes[row].state & FREED:
            raise already_freed(self.name)
        function = function_of(row)
        if function is None:
            raise GraphError("this hand-made tensor has no _backward: assign a function that adds to the .grad of its _prev")
        child = holder(row, None)
        while edge != NOTHING:
            parents.append(holder(tables.edges[edge].parent, None))
            arguments.append(tables.edges[edge].argument)
            edge = tables.edges[edge].next
        involved = list({id(t): t for t in [child, *parents]}.values())
        before = [((<TensorBase>t).gradient, (<TensorBase>t).flags & (BLANK | BORROWED)) for t in involved]
        try:
            for t in involved:
                parent = t
                parent.gradient, parent.flags = None, parent.flags & ~(BLANK | BORROWED)
            child.gradient = np.array(g)
            function()
            shares, seen = {}, set()
            for argument, t in zip(arguments, parents):
                parent = t
                shares[argument] = None if t in seen else parent.gradient       # x * x: both edges' shares are in one .grad
                seen.add(t)
        finally:
            for t, (gradient, flags) in zip(involved, before):
                parent = t
                parent.gradient, parent.flags = gradient, parent.flags & ~(BLANK | BORROWED) | flags
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
    if row != NOTHING and watchers:
        show(hand_made, None, parents, {}, t)
    if function is None or row == NOTHING:
        return
    forget(row)
    operation = tables.nodes[row].operation
    Py_INCREF(hand_made)
    tables.nodes[row].operation = <PyObject*>hand_made
    keeper_of(row).function = function
    Py_DECREF(<object>operation)


cdef class Custom(Operation):
    """A user's own operation: what computes its value and its gradients is Python code, which gradnerve/own.py calls."""

    def __init__(self, str name):
        self.name, self.lines, self.at_once = name, {}, True

    def record(self, ndarray value not None, args, pullback, bint reads_result=False, again=None):
        """A tensor of the value, an array that is ours.

        pullback    takes the gradient of the value (a Tensor if it is to be differentiated again, else an array) and the value, likewise,
                    and gives a gradient or None for each of `args`
        again       a function of `args` that does the operation again, for debugging
        """
        cdef TensorBase result = new_tensor(value)
        cdef int32_t row
        tracked = [k for k, a in enumerate(args) if row_of(a) != NOTHING]
        if tracked and is_recording() and is_inexact(value):
            row = give_row(result, self, <int>len(tracked))
            keeper_of(row).function = (pullback, len(args))
            keep_result(result, reads_result)
            for k in reversed(tracked):
                add_edge(row, (<TensorBase>args[k]).node, k)
        if watchers:
            show(self, again, args, {}, result)
        return result

    cdef tuple shares(self, int32_t row, object g):
        cdef bint recorded = isinstance(g, TensorBase)
        cdef object out = None
        saved = function_of(row)
        if saved is None:
            raise already_freed(self.name)
        pullback, n = <tuple>saved
        if tables.nodes[row].saved[OUT] != NULL:
            out = <object>tables.nodes[row].saved[OUT]
            out = linked(<ndarray>out, row) if recorded else out
        shares = pullback(g if recorded else np.array(g), out)
        if not isinstance(shares, (tuple, list)):
            shares = (shares,)
        if len(shares) != n:
            raise TypeError(f"{self.name}: gave {len(shares)} gradient(s) for {n} argument(s)")
        shares = tuple([None if s is None else self.as_share(s, recorded) for s in shares])
        cdef int32_t edge = tables.nodes[row].edges
        while edge != NOTHING:
            self.check(shares[tables.edges[edge].argument], tables.edges[edge].argument, tables.edges[edge].parent)
            edge = tables.edges[edge].next
        return shares

    cdef object as_share(self, object share, bint recorded):
        """A Tensor in a sweep that is recorded, else an array of its own."""
        if isinstance(share, TensorBase):
            return share if recorded else np.array(value_of(<TensorBase>share))
        try:
            share = np.array(share)
        except ValueError as error:
            raise TypeError(f"{self.name}: a gradient is no array: {error}") from None
        return new_tensor(share) if recorded else share

    cdef int check(self, object share, int argument, int32_t parent) except -1:
        """The gradient that the user's code gave for an argument has its shape, and numbers that its dtype can take."""
        cdef ndarray a
        if share is None:
            return 0
        a = array_in(share)
        wanted, dtype = shape_tuple(parent), cnp.PyArray_DescrFromType(tables.nodes[parent].typenum)
        if a.dtype.kind not in "biufc" or not np.can_cast(a.dtype, dtype, "same_kind"):
            raise TypeError(f"{self.name}: gave a gradient of dtype {a.dtype} for argument {argument} of dtype {dtype}")
        if np.shape(a) != wanted:
            raise ShapeError(f"{self.name}: gave a gradient of shape {np.shape(a)} for argument {argument} of shape {wanted}")
        return 0


cdef General _any = General.__new__(General)
allow_vectorcall(General, <char*>&_any.vectorcall - <char*><PyObject*>_any)
