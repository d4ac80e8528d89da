# cython: language_level=3
"""Elementwise operations: a NumPy ufunc, or a line of them, with at most two inputs.

The value and the derivatives run as programs. What a program declines, NumPy runs: the line is plain NumPy code. For
higher derivatives the line runs on Tensors, and records itself.

Next: csrc/general.pyx, all other operations.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._engine cimport (GRAD, TensorBase, allow_vectorcall, already_freed, argument_count, explained, give_row, helper, involves_complex,
                                is_behind_mask, is_recording, is_shared, keep_result, new_tensor, operand, parameters_of, row_of, saved_array,
                                saved_tensor, scalar_type, show, watchers)
from gradnerve._graph cimport NOTHING, OUT, X, Y, add_edge, tables
from gradnerve._loops cimport clear_trouble, trouble
from gradnerve._program cimport Program, evaluate, trace

import numpy as np

cnp.import_array()


cdef class Line:
    """A derivative as written, what it reads, and its programs."""

    def __init__(self, function, bint zero, bint conjugates, dict slots):
        self.function, self.zero, self.conjugates, self.mixed = function, zero, conjugates, {}
        names = () if zero else parameters_of(function)
        if len(names) > 4:
            raise TypeError(f"a derivative line reads at most g, x, y and out, not {names}")
        self.nparams = len(names)
        for k, name in enumerate(names):
            if name not in slots:
                raise TypeError(f"a derivative line reads {name!r}; there are {', '.join(slots)}")
            self.source[<int>k] = slots[name]
            if slots[name] != GRAD:
                self.needs |= 1 << <int>slots[name]

    cdef Program program(self, PyObject** values, int typenum):
        """The program for these values, or None; `typenum` is the dtype of the result, which numbers take."""
        cdef int k
        typenums = [cnp.PyArray_TYPE(<ndarray>values[k]) if cnp.PyArray_CheckExact(<object>values[k]) else typenum for k in range(self.nparams)]
        key = tuple(typenums)
        program = self.mixed.get(key, False)
        if program is False:
            program = self.mixed[key] = self.compiled(typenums)
            if program is not None and set(typenums) == {typenum} and typenum < TYPES:
                self.same[typenum] = <PyObject*>program
        return program

    cdef object run(self, PyObject** values, int typenum, bint forward):
        """The line on these values as a program; None where only NumPy can run it, or has a warning to give."""
        cdef Program program
        cdef object out = None
        if typenum < TYPES and self.same[typenum] != NULL:
            out = evaluate(<Program>self.same[typenum], values, forward, NULL)
        if out is None:
            program = self.program(values, typenum)
            if program is not None:
                out = evaluate(program, values, forward, NULL)
        if out is not None and not forward and is_behind_mask():
            clear_trouble()         # which may come from what the mask left out: the sweep looks at the result
            return out
        return None if out is None or trouble() else out

    def compiled(self, list typenums):
        """The line's program for these dtypes; None where it can only run as Python."""
        line = self.function
        if not all(cnp.PyTypeNum_ISFLOAT(<int>n) or cnp.PyTypeNum_ISCOMPLEX(<int>n) for n in typenums):
            return None
        if self.conjugates and any(cnp.PyTypeNum_ISCOMPLEX(<int>n) for n in typenums):
            at = [k for k in range(self.nparams) if self.source[<int>k] == GRAD]
            line = lambda *args: np.conjugate(self.function(*[np.conjugate(a) if k in at else a for k, a in enumerate(args)]))
        return trace(line, typenums)


cdef inline void let_go(PyObject** values, int n) noexcept:
    cdef int k
    for k in range(n):
        Py_DECREF(<object>values[k])


cdef Line forward_line(function, int nin):
    """The operation's own function as a line that reads its inputs."""
    cdef Line line = Line(function, True, False, {})
    line.nparams = nin
    return line


cdef object call_elementwise(PyObject* callable, PyObject** args, size_t nargs, PyObject* names):
    """What Python calls for ``tanh(t)``: without the tuple and the dict that `__call__` takes."""
    cdef Elementwise op = <Elementwise>callable
    cdef size_t n = argument_count(nargs)
    if names == NULL:
        if n == 1 and op.nin == 1 and isinstance(<object>args[0], TensorBase):
            return op.unary(<TensorBase>args[0])
        if n == 2 and op.nin == 2 and (isinstance(<object>args[0], TensorBase) or isinstance(<object>args[1], TensorBase)):
            result = op.binary(<object>args[0], <object>args[1])
            if result is not NotImplemented:
                return result
    values = tuple([<object>args[k] for k in range(n)])
    return op.__call__(*values, **{name: <object>args[n + k] for k, name in enumerate(() if names == NULL else <tuple>names)})


cdef class Elementwise(Operation):
    """A ufunc, or a line made of ufuncs, with one or two inputs and a derivative line for each."""

    def __init__(self, str name, function, int nin, dict lines, object zero, bint analytic=True):
        self.name, self.function, self.nin, self.lines, self.analytic, self.elementwise = name, function, nin, lines, analytic, True
        inputs = ("x", "y")[:nin]
        if set(lines) - set(inputs):
            raise TypeError(f"{name}: lines for {sorted(lines)}, but the inputs are {inputs}")
        slots = {"g": GRAD, "out": OUT} | {n: k for k, n in enumerate(inputs)}
        made = {n: Line(line, line is zero, analytic, slots) for n, line in lines.items()}
        self.line_x, self.line_y = made.get("x"), made.get("y")
        self.forward = forward_line(function, nin)
        self.vectorcall = <void*>call_elementwise

    def __call__(self, *args, **kwargs):
        if any(isinstance(a, TensorBase) for a in args):
            if isinstance(self.function, np.ufunc) and (kwargs or len(args) > self.nin):    # where=, out=, dtype=: NumPy knows how they are meant
                return self.function(*args, **kwargs)
            if kwargs or len(args) != self.nin:
                raise TypeError(f"{self.name}: {self.nin} input(s) and no other arguments with Tensors, got {len(args)} and {sorted(kwargs)}")
            result = self.binary(args[0], args[1]) if self.nin == 2 else self.unary(args[0])
            if result is NotImplemented:
                raise TypeError(f"{self.name}: cannot take {' and '.join(type(a).__name__ for a in args)}")
            return result
        return self.function(*args, **kwargs)

    cdef ndarray compute(self, PyObject** values):
        """The value, bit for bit what NumPy gives."""
        cdef int k
        cdef object out = None
        for k in range(self.nin):
            if cnp.PyArray_CheckExact(<object>values[k]):
                out = self.forward.run(values, cnp.PyArray_TYPE(<ndarray>values[k]), True)
                break
        if out is not None:
            return out
        args = [<object>values[k] for k in range(self.nin)]
        try:
            out = np.asarray(self.function(*args))
        except Exception as error:
            raise explained(self, error, args)
        finally:
            clear_trouble()
        return out

    cdef object binary(self, object x, object y):
        cdef PyObject* values[2]
        cdef int32_t rows[2]
        x = operand(x, &values[0])
        y = operand(y, &values[1])
        if x is NotImplemented or y is NotImplemented:
            return NotImplemented
        if values[0] == NULL or values[1] == NULL:
            return helper("batched")(self, (x, y), {})
        cdef int shared = is_shared(x) << X | is_shared(y) << Y
        cdef object _held_x = <object>values[0], _held_y = <object>values[1]  # without the GIL, another thread may drop them
        rows[0] = row_of(x) if self.line_x is not None else NOTHING
        rows[1] = row_of(y) if self.line_y is not None else NOTHING
        cdef TensorBase result = new_tensor(self.compute(values))
        if is_recording() and (rows[0] != NOTHING or rows[1] != NOTHING):
            if rows[0] != NOTHING and (<TensorBase>x).node != rows[0] or rows[1] != NOTHING and (<TensorBase>y).node != rows[1]:
                return self.binary(x, y)    # another thread has changed one in place meanwhile: its row is no longer that of the value
            self.record(result, shared, values, rows)
        if watchers:
            show(self, self, (x, y), {}, result)
        return result

    cdef object unary(self, TensorBase x):
        cdef PyObject* values[2]
        cdef int32_t rows[2]
        cdef int32_t row_x = x.node
        operand(x, &values[0])
        if values[0] == NULL:
            return helper("batched")(self, (x,), {})
        cdef int shared = is_shared(x) << X
        cdef object _held = <object>values[0]
        cdef TensorBase result = new_tensor(self.compute(values))
        if x.node != row_x:
            return self.unary(x)
        rows[0], rows[1] = row_x, NOTHING
        if is_recording() and x.node != NOTHING and self.line_x is not None:
            self.record(result, shared, values, rows)
        if watchers:
            show(self, self, (x,), {}, result)
        return result

    cdef int record(self, TensorBase result, int shared, PyObject** values, int32_t* rows) except -1:
        """Give the result a row: its edges, and what the lines of the arguments that want a gradient will read."""
        cdef int needs = (self.line_x.needs if rows[0] != NOTHING else 0) | (self.line_y.needs if rows[1] != NOTHING else 0)
        cdef int typenum = cnp.PyArray_TYPE(result.array)
        cdef int32_t row = give_row(result, self, 2)
        if rows[1] != NOTHING:      # first, as the arguments may lose their rows to another thread while arrays are copied
            add_edge(row, rows[1], 1)
        if rows[0] != NOTHING:
            add_edge(row, rows[0], 0)
        if needs & (1 << X):
            tables.nodes[row].saved[X] = saved_array(values[0], shared & 1 << X, typenum)
        if needs & (1 << Y):
            tables.nodes[row].saved[Y] = saved_array(values[1], shared & 1 << Y, typenum)
        keep_result(result, needs & (1 << OUT))
        return 0

    cdef ndarray saved_input(self, int32_t row, int argument):
        cdef PyObject* saved = tables.nodes[row].saved[argument]
        return <object>saved if saved != NULL and isinstance(<object>saved, ndarray) else None

    cdef object share(self, int32_t row, int argument, object g):
        cdef Line line = self.line_x if argument == X else self.line_y
        cdef PyObject* values[4]
        cdef int typenum
        if line.zero:
            return None
        if isinstance(g, TensorBase):
            return self.recorded_share(row, line, <TensorBase>g)
        typenum = cnp.PyArray_TYPE(<ndarray>g)
        self.take_values(row, line, <PyObject*>g, values)
        try:
            out = line.run(values, typenum, False)
            if out is None and is_behind_mask():
                with np.errstate(all="ignore"):
                    return self.plain_share(line, values, typenum)
            return self.plain_share(line, values, typenum) if out is None else out
        finally:
            let_go(values, line.nparams)

    cdef bint add_share(self, int32_t row, int argument, ndarray g, PyObject* total) except -1:
        cdef Line line = self.line_x if argument == X else self.line_y
        cdef PyObject* values[4]
        cdef int typenum = cnp.PyArray_TYPE(g)
        if line.zero or typenum >= TYPES or line.same[typenum] == NULL:
            return False
        self.take_values(row, line, <PyObject*>g, values)
        try:
            if evaluate(<Program>line.same[typenum], values, False, total) is None:
                return False
            if trouble():       # too late to let NumPy do it, but not for its warning
                self.plain_share(line, values, typenum)
            return True
        finally:
            let_go(values, line.nparams)

    cdef bint multiplies(self, int argument) noexcept:
        return (self.line_x if argument == X else self.line_y).needs != 0

    cdef int take_values(self, int32_t row, Line line, PyObject* g, PyObject** values) except -1:
        """What a line reads, with references of our own: another thread may release the node at any time that we do not hold the GIL."""
        cdef int k
        for k in range(line.nparams):
            values[k] = g if line.source[k] == GRAD else tables.nodes[row].saved[line.source[k]]
            if values[k] == NULL:
                let_go(values, k)
                raise already_freed(self.name)
            Py_INCREF(<object>values[k])
        return 0

    cdef object plain_share(self, Line line, PyObject** values, int typenum):
        """The line as plain NumPy; numbers take the dtype of the result."""
        cdef int k
        number = scalar_type(typenum)
        args = [<object>values[k] if cnp.PyArray_CheckExact(<object>values[k]) else number(<object>values[k]) for k in range(line.nparams)]
        conjugate = line.conjugates and any(np.iscomplexobj(a) for a in args)
        if conjugate:
            args = [np.conjugate(a) if line.source[<int>k] == GRAD else a for k, a in enumerate(args)]
        try:
            result = line.function(*args)
            return np.asarray(np.conjugate(result) if conjugate else result)
        finally:
            clear_trouble()

    cdef object recorded_share(self, int32_t row, Line line, TensorBase g):
        """The line on Tensors: it records itself, which is what higher derivatives are made of."""
        cdef int k, slot
        cdef list args = []
        conjugate = line.conjugates and involves_complex(row, g)
        for k in range(line.nparams):
            slot = line.source[k]
            if slot == GRAD:
                args.append(helper("conjugate")(g) if conjugate else g)
            else:
                args.append(saved_tensor(self, row, slot, slot))
        result = line.function(*args)
        return helper("conjugate")(result) if conjugate else result


cdef Elementwise _any = Elementwise.__new__(Elementwise)
allow_vectorcall(Elementwise, <char*>&_any.vectorcall - <char*><PyObject*>_any)
