# cython: language_level=3, c_api_binop_methods=True
"""The compiled base of Tensor, and of operations.

Whoever saves an array must be the only one who can write to it. `saved_array` copies what somebody else may hold, and
`escape` gives a tensor a private copy before the array that the graph has saved could be handed out.

Next: csrc/elementwise.pyx and csrc/general.pyx, the two kinds of operation; csrc/sweep.pyx, the way back.
"""
cimport cython
from cpython.complex cimport PyComplex_CheckExact
from cpython.float cimport PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, Py_NE, PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t
from libc.string cimport memset
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._graph cimport (MASKED, NOTHING, OUT, Visit, hooks_of, last_number, new_node, release, reserve, retain, show_to_collector, tables,
                               visit_use)
from gradnerve._loops cimport bytes_of, recycle

from functools import wraps

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define GRADNERVE_LOCAL static __declspec(thread)
    #else
    #define GRADNERVE_LOCAL static _Thread_local
    #endif
    GRADNERVE_LOCAL int gradnerve_paused = 0, gradnerve_behind_mask = 0;
    GRADNERVE_LOCAL void* gradnerve_watcher = 0;
    """
    int paused "gradnerve_paused"               # 1 where this thread does not record
    int behind_mask "gradnerve_behind_mask"     # 1 while a sweep of this thread works out a share that has passed a mask
    void* local_watcher "gradnerve_watcher"     # owned: an object of gradnerve/debugging.py that sees what this thread does; or NULL

ctypedef void (*Dispose)(PyObject*) noexcept

cdef extern from "Python.h":
    Py_ssize_t REFCOUNT "Py_REFCNT"(PyObject*)
    ctypedef void* Slot "void*"
    ctypedef struct NumberSlots "PyNumberMethods":
        Slot nb_add, nb_subtract, nb_multiply, nb_true_divide, nb_floor_divide, nb_remainder, nb_power, nb_matrix_multiply
        Slot nb_inplace_add, nb_inplace_subtract, nb_inplace_multiply, nb_inplace_true_divide
    ctypedef struct MutableType "PyTypeObject":
        unsigned long tp_flags
        Py_ssize_t tp_vectorcall_offset, tp_basicsize
        PyObject* (*tp_alloc)(PyTypeObject*, Py_ssize_t) noexcept
        int (*tp_traverse)(PyObject*, Visit, void*) noexcept
        Dispose tp_dealloc
        NumberSlots* tp_as_number
    const unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    const size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    PyObject* new_object "_PyObject_GC_New"(PyTypeObject*) noexcept
    void PyObject_GC_UnTrack(PyObject*) noexcept
    unsigned long current_thread "PyThread_get_thread_ident"() noexcept

ctypedef object (*Maker)(PyTypeObject*, PyObject*, PyObject*)

cdef enum:
    KEEP_BYTES = 4096       # results up to this size stay in their node, so that a learner can look at them,
    KEEP_NODES = 100000     # as long as there are not more nodes than anybody looks at


class ShapeError(ValueError):
    """The shapes of the arguments do not fit the operation."""


class GraphError(RuntimeError):
    """The graph cannot do what was asked."""


class ValuesNeeded(GraphError):
    """Under vmap a tensor stands for all examples at once, and has no value that Python could look at."""


cdef Dispose dispose_base = (<MutableType*>TensorBase).tp_dealloc
cdef ndarray EMPTY = np.zeros(0)        # the value of a tensor that was never initialised
cdef tuple NO_ARGUMENTS = ()
cdef PyTypeObject* tensor_type = <PyTypeObject*>TensorBase
cdef dict helpers = {}                  # operations of gradnerve/ops that the core itself calls


cdef object helper(str name):
    return helpers[name]


def install(type tensor, **operations):
    """Tell the core the class of its results and the operations behind its operators."""
    global tensor_type
    Py_INCREF(tensor)
    tensor_type = <PyTypeObject*>tensor
    (<MutableType*>tensor).tp_alloc, (<MutableType*>tensor).tp_traverse = hidden, traverse
    (<MutableType*>tensor).tp_dealloc = dispose
    take_operators((<MutableType*>tensor).tp_as_number, (<MutableType*>TensorBase).tp_as_number)
    helpers.update(operations)
    for name, index in SLOTS_BY_NAME.items():
        operator_table[index] = <PyObject*>helpers[name]


def install_helpers(**functions):
    """Tell the core of more functions of ours that it calls."""
    helpers.update(functions)


def batched(operation, args, options):
    """The operation on all examples at once, as one of the arguments is batched."""
    return helper("batched")(operation, args, options)


cdef PyObject* hidden(PyTypeObject* kind, Py_ssize_t _) noexcept:
    """A Tensor that the cyclic garbage collector does not see, until `show_to_collector`: nearly all of them hold arrays only, and to look at
    them again and again would cost a tenth of a small operation. An object of a subclass is seen from the start."""
    cdef PyObject* tensor = new_object(kind)
    if tensor != NULL:
        memset(<char*>tensor + sizeof(PyObject), 0, (<MutableType*>kind).tp_basicsize - sizeof(PyObject))
    return tensor


cdef void dispose(PyObject* tensor) noexcept:
    """What Python does with a hidden object, without the precautions for attributes and for deep nesting that a Tensor does not need."""
    cdef PyTypeObject* kind = tensor.ob_type
    PyObject_GC_UnTrack(tensor)
    dispose_base(tensor)
    Py_DECREF(<object>kind)


@cython.profile(False)
@cython.linetrace(False)
cdef int traverse(PyObject* tensor, Visit visit, void* arg) noexcept:
    cdef int32_t row = (<TensorBase>tensor).node
    cdef int outcome = visit(<PyObject*>tensor.ob_type, arg)
    return outcome if outcome or row == NOTHING else visit_use(row, visit, arg)


cdef void take_operators(NumberSlots* ours, NumberSlots* base) noexcept:
    """Let the class use the base's operators directly: Python's own slots would look each up by its name, every time."""
    ours.nb_add, ours.nb_subtract, ours.nb_multiply = base.nb_add, base.nb_subtract, base.nb_multiply
    ours.nb_true_divide, ours.nb_floor_divide, ours.nb_remainder = base.nb_true_divide, base.nb_floor_divide, base.nb_remainder
    ours.nb_power, ours.nb_matrix_multiply = base.nb_power, base.nb_matrix_multiply
    ours.nb_inplace_add, ours.nb_inplace_subtract = base.nb_inplace_add, base.nb_inplace_subtract
    ours.nb_inplace_multiply, ours.nb_inplace_true_divide = base.nb_inplace_multiply, base.nb_inplace_true_divide


# ------------------------------------------------------------------------------------------- recording on and off

cdef bint is_recording() noexcept:
    return not paused


cdef bint is_behind_mask() noexcept:
    return behind_mask


cdef bint set_behind_mask(bint on) noexcept:
    """Returns what it was."""
    global behind_mask
    cdef bint before = behind_mask
    behind_mask = on
    return before


def recording():
    """Whether this thread records operations."""
    return not paused


def set_recording(bint on):
    """Switch recording in this thread; returns what it was."""
    global paused
    cdef bint before = not paused
    paused = not on
    return before


cdef class Recording:
    """A block of code with recording on or off. Leaving it cannot fail: nothing is allocated."""
    cdef bint on
    cdef int depth
    cdef unsigned long long before      # a bit for each block that this object is in
    cdef unsigned long thread           # which is in these blocks

    def __init__(self, bint on):
        self.on = on

    def __enter__(self):
        global paused
        if self.depth == 64:
            raise GraphError("no_grad: the same object is entered 64 times; make a new one for each block")
        if self.depth and self.thread != current_thread():
            raise GraphError("no_grad: another thread is in a block of the same object; make a new one for each block")
        self.thread = current_thread()
        self.before = self.before << 1 | <unsigned long long>(not paused)
        self.depth += 1
        paused = not self.on
        return self

    def __exit__(self, kind, error, traceback):
        global paused
        if self.depth == 0:
            raise GraphError("no_grad: left without having been entered")
        paused = not self.before & 1
        self.before >>= 1
        self.depth -= 1

    def __call__(self, function):
        """As a decorator."""
        @wraps(function)
        def decorated(*args, **kwargs):
            with Recording(self.on):
                return function(*args, **kwargs)
        return decorated


def set_watcher(new):
    """Let an object see the operations and the derivatives of this thread, or None; returns the one before, or None."""
    global local_watcher, watchers
    before = watcher()
    if before is not None:
        Py_DECREF(before)
    if new is not None:
        Py_INCREF(new)
    watchers += (new is not None) - (before is not None)
    local_watcher = NULL if new is None else <void*>new
    return before


cdef object watcher():
    """The watcher of this thread, or None."""
    return None if local_watcher == NULL else <object>local_watcher


cdef int show(Operation operation, object again, object arguments, dict options, TensorBase result) except -1:
    """Show the watcher an operation that has been recorded; `again` is what would be called to do it again."""
    cdef object seen_by = watcher()
    if seen_by is not None:
        set_watcher(None)
        try:
            seen_by.made(operation, again, arguments, options, result)
        finally:
            set_watcher(seen_by)
    return 0


def touched(list tensors not None):
    """Those whose gradient somebody has touched, with their values to be updated in place, and their gradients to be read: three lists."""
    cdef list found = [], values = [], gradients = []
    cdef TensorBase t, keeper
    for t in tensors:
        keeper = gradient_keeper(t)
        if keeper.gradient is None or keeper.flags & BLANK and not np.any(keeper.gradient):
            continue
        found.append(t)
        values.append(escape(t))
        gradients.append(keeper.gradient)
    return found, values, gradients


def last_node():
    """The number of the node that was made last: later ones have larger numbers."""
    return last_number


# ------------------------------------------------------------------------------------------------ who holds an array

cdef bint held_elsewhere(PyObject* a) noexcept:
    """Whether anybody but one owner holds the array or its memory. NumPy's views all hold the array that owns the memory.

    It takes a pointer because an argument of type ndarray would be one more owner.
    """
    cdef PyObject* base
    if REFCOUNT(a) > 1:
        return True
    base = <PyObject*>cnp.PyArray_BASE(<ndarray>a)
    if base == NULL:
        return not cnp.PyArray_CHKFLAGS(<ndarray>a, cnp.NPY_ARRAY_OWNDATA)
    return not cnp.PyArray_CheckExact(<object>base) or REFCOUNT(base) > 1 or cnp.PyArray_BASE(<ndarray>base) != NULL


cdef ndarray escape(TensorBase t):
    """The tensor's array for anybody to write to: a private one, should the graph have saved it."""
    cdef ndarray before, copy
    value_of(t)
    while not t.flags & ESCAPED and (held_elsewhere(<PyObject*>t.array) or not cnp.PyArray_ISWRITEABLE(t.array)):
        before = t.array
        copy = cnp.PyArray_NewCopy(before, cnp.NPY_KEEPORDER)
        if t.array is before:       # else another thread has been here meanwhile, and somebody may have written to its copy already
            t.array = copy
            t.flags |= ESCAPED
        before = None
    t.flags |= ESCAPED
    return t.array


cdef bint exposed(TensorBase t) noexcept:
    """Whether somebody outside may still write to the tensor's array."""
    if not t.flags & ESCAPED:
        return False
    if held_elsewhere(<PyObject*>t.array):
        return True
    t.flags &= ~ESCAPED
    return False


cdef bint is_shared(object argument) noexcept:
    """Whether somebody outside may still write to the argument's array; to be asked before we hold that, too."""
    return not isinstance(argument, TensorBase) or exposed(<TensorBase>argument)


cdef PyObject* saved_array(PyObject* value, bint shared, int typenum) except NULL:
    """A new reference to an array (or number) that nobody else can write to, in the dtype that the loop has read it in."""
    cdef object copy
    if (cnp.PyArray_CheckExact(<object>value) and cnp.PyArray_TYPE(<ndarray>value) != typenum and is_inexact(<ndarray>value)
            and cnp.PyArray_CanCastSafely(cnp.PyArray_TYPE(<ndarray>value), typenum)):
        copy = cnp.PyArray_Cast(<ndarray>value, typenum)
        value = <PyObject*>copy
    elif cnp.PyArray_CheckExact(<object>value) and shared:
        copy = cnp.PyArray_NewCopy(<ndarray>value, cnp.NPY_KEEPORDER)
        value = <PyObject*>copy
    Py_INCREF(<object>value)
    return value


cdef bint is_inexact(ndarray a) noexcept:
    """Whether the elements are floating-point numbers, real or complex: those that have gradients."""
    return cnp.PyTypeNum_ISFLOAT(cnp.PyArray_TYPE(a)) or cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(a))


cdef ndarray value_of(TensorBase t):
    if t.flags & (LOST | BATCHED):
        if t.flags & BATCHED:
            raise ValuesNeeded("under vmap, a tensor stands for all examples at once, and its values cannot be looked at")
        raise GraphError("the value of this intermediate result was not kept; hold the Tensor itself to look at its value")
    return t.array


cdef ndarray array_in(object a):
    """The array of a Tensor, or the array itself."""
    return value_of(<TensorBase>a) if isinstance(a, TensorBase) else a


# ----------------------------------------------------------------------------------------------------- new tensors

cdef TensorBase new_tensor(ndarray array):
    """An untracked tensor around an array of ours."""
    cdef TensorBase t = <TensorBase>(<Maker>tensor_type.tp_new)(tensor_type, <PyObject*>NO_ARGUMENTS, NULL)
    t.array = array
    return t


def wrap(ndarray array not None, bint owned):
    """A Tensor around an array, without a copy; `owned`: nobody else has seen the array."""
    cdef TensorBase t = new_tensor(array)
    t.flags = 0 if owned else ESCAPED
    return t


cdef TensorBase linked(ndarray array, int32_t row):
    """A second tensor for a row and a saved array, for derivative lines to compute with."""
    cdef TensorBase t = new_tensor(array)
    retain(row)
    t.node = row
    show_to_collector(<PyObject*>t, row)
    return t


cdef TensorBase without_value(int32_t row):
    """A tensor for a row whose value nobody needs."""
    cdef TensorBase t = linked(EMPTY, row)
    t.flags = LOST
    return t


cdef void move_to(TensorBase t, TensorBase other):
    """`t` now stands for the value of `other`, a fresh result that gives it up."""
    leave_node(t)
    t.array, t.gradient, t.flags = other.array, None, other.flags
    t.node, other.node = other.node, NOTHING
    stand_for_row(t)


cdef void stand_for_row(TensorBase t) noexcept:
    if t.node != NOTHING:
        tables.nodes[t.node].handle = <PyObject*>t
        show_to_collector(<PyObject*>t, t.node)


cdef void leave_node(TensorBase t) noexcept:
    cdef int32_t row = t.node
    if row != NOTHING:
        t.node = NOTHING
        if tables.nodes[row].handle == <PyObject*>t:
            tables.nodes[row].handle = NULL
        release(row)


cdef TensorBase holder(int32_t row, ndarray value):
    """The tensor that the caller holds for a row, or a new one in its place."""
    cdef TensorBase t
    if tables.nodes[row].handle != NULL:
        return <TensorBase>tables.nodes[row].handle
    t = linked(EMPTY if value is None else value, row)
    if value is None:
        t.flags = LOST
    tables.nodes[row].handle = <PyObject*>t
    return t


cdef TensorBase gradient_keeper(TensorBase t):
    """Which of the tensors of a row has its gradient: the one that the row knows."""
    if t.node == NOTHING:
        return t
    if tables.nodes[t.node].handle == NULL:
        tables.nodes[t.node].handle = <PyObject*>t
    return <TensorBase>tables.nodes[t.node].handle


cdef void drop_gradient(TensorBase t) noexcept:
    cdef PyObject* gradient = <PyObject*>t.gradient
    Py_INCREF(<object>gradient)
    t.gradient = None
    recycle(gradient)


@cython.no_gc
cdef class TensorBase:
    """What every Tensor is in C: an array, a gradient and the number of a row."""

    def __cinit__(self):
        self.array = EMPTY
        self.node = NOTHING

    def __dealloc__(self):
        cdef PyObject* array = <PyObject*>self.array
        leave_node(self)
        Py_INCREF(<object>array)
        self.array = None
        recycle(array)
        if self.gradient is not None:
            drop_gradient(self)

    # ------------------------------------------------------------------------------------------------ the value

    @property
    def _is_batched(self):
        return bool(self.flags & BATCHED)

    def _stand_for_examples(self):
        """From now on, the value is that of all examples, which a class of batching.py holds."""
        self.flags = BATCHED

    def _start(self, ndarray array not None, bint owned):
        """Take the value; `owned`: nobody else has seen the array."""
        leave_node(self)
        self.array, self.gradient = array, None
        self.flags = 0 if owned else ESCAPED

    @property
    def data(self):
        """The value, an ndarray that may be written to: gradients stay those of the values that the forward pass saw."""
        return escape(self)

    @data.setter
    def data(self, value):
        if value is self.array:
            return
        cdef ndarray array = np.asarray(value)
        if not np.can_cast(array.dtype, self.array.dtype, "same_kind"):
            raise TypeError(f"data: cannot put {array.dtype} values into a tensor of {self.array.dtype}")
        if np.shape(array) != np.shape(value_of(self)):
            raise ShapeError(f"data: the tensor has shape {np.shape(self.array)}, the new value {np.shape(array)}")
        self.array = array.astype(self.array.dtype, copy=False)
        self.flags |= ESCAPED

    @property
    def _array(self):
        """The value for reading only, without a copy."""
        return value_of(self)

    @property
    def shape(self):
        """The lengths of the axes, which can be set: the elements stay in their order."""
        return (<object>value_of(self)).shape

    @shape.setter
    def shape(self, shape):
        check_not_leaf(self, "shape")
        move_to(self, helper("reshape")(self, shape))

    @property
    def dtype(self):
        """The type of the elements."""
        return (<object>value_of(self)).dtype

    @property
    def ndim(self):
        """The number of axes."""
        return cnp.PyArray_NDIM(value_of(self))

    @property
    def size(self):
        """The number of elements."""
        return cnp.PyArray_SIZE(value_of(self))

    # --------------------------------------------------------------------------------------------- the gradient

    @property
    def grad(self):
        """The gradient that backward passes have added up: an ndarray of the tensor's shape and dtype, zeros before the first."""
        cdef TensorBase t = gradient_keeper(self)
        cdef ndarray before, fresh, value
        if t.node == NOTHING:
            return t.gradient
        while t.gradient is None or t.flags & BORROWED and (held_elsewhere(<PyObject*>t.gradient) or not cnp.PyArray_ISCARRAY(t.gradient)):
            before = t.gradient
            if before is None:
                value = value_of(self)
                fresh = cnp.PyArray_ZEROS(cnp.PyArray_NDIM(value), cnp.PyArray_DIMS(value), cnp.PyArray_TYPE(value), 0)
            else:
                fresh = cnp.PyArray_NewCopy(before, cnp.NPY_CORDER)
            if t.gradient is before:        # else a backward of another thread has added to it meanwhile
                t.gradient = fresh
                t.flags = t.flags & ~BORROWED | (BLANK if before is None else 0)
            before = fresh = None
        t.flags &= ~BORROWED
        return t.gradient

    @grad.setter
    def grad(self, value):
        cdef TensorBase t = gradient_keeper(self)
        if value is not None and value is t.gradient and not t.flags & BORROWED:  # p.grad += x
            t.flags &= ~BLANK
            return
        if self.node == NOTHING and value is not None:
            raise GraphError("grad: this tensor does not require grad; make it with requires_grad=True")
        if value is not None and not (type(value) in (int, float) and value == 0):
            if isinstance(value, TensorBase):
                value = value_of(<TensorBase>value)
            value = np.asarray(value)
            if value.shape != np.shape(value_of(self)):
                raise ShapeError(f"grad: the tensor has shape {np.shape(self.array)}, the gradient {value.shape}")
            if not np.can_cast(value.dtype, self.array.dtype, "same_kind"):
                raise TypeError(f"grad: cannot put {value.dtype} values into the gradient of a tensor of {self.array.dtype}")
            t.gradient = np.array(value, self.array.dtype, order="C")
        else:
            drop_gradient(t)
        t.flags &= ~(BORROWED | BLANK)

    # ------------------------------------------------------------------------------------------------ the graph

    @property
    def requires_grad(self):
        """Whether gradients flow to this tensor."""
        return self.node != NOTHING

    @requires_grad.setter
    def requires_grad(self, bint on):
        if on == (self.node != NOTHING):
            return
        if not on:
            if not self.is_leaf:
                raise GraphError("requires_grad: only a leaf can stop requiring grad; use detach() on a result")
            leave_node(self)
            self.gradient = None
            return
        cdef int typenum = cnp.PyArray_TYPE(value_of(self))
        if not is_inexact(self.array):
            raise TypeError(f"requires_grad: a tensor of {self.array.dtype} has no gradient; use astype(float)")
        self.node = new_node(NULL, cnp.PyArray_NDIM(self.array), cnp.PyArray_DIMS(self.array), typenum)
        tables.nodes[self.node].handle = <PyObject*>self

    @property
    def is_leaf(self):
        """Whether the tensor is no recorded result."""
        return self.node == NOTHING or tables.nodes[self.node].operation == NULL

    @property
    def _row(self):
        return self.node

    @property
    def _operation(self):
        """The operation that made this tensor, or None."""
        return None if self.node == NOTHING or tables.nodes[self.node].operation == NULL else <object>tables.nodes[self.node].operation

    @property
    def _prev(self):
        """The set of tensors that this one was computed from and that want a gradient."""
        cdef set parents = set()
        cdef int32_t edge, row
        if self.node == NOTHING:
            return parents
        edge = tables.nodes[self.node].edges
        while edge != NOTHING:
            row = tables.edges[edge].parent
            parents.add(holder(row, kept_value(self.node, row, tables.edges[edge].argument)))
            edge = tables.edges[edge].next
        return parents

    @property
    def _hooks(self):
        """The functions that see this tensor's gradient in every sweep, by a key of each."""
        if self.node == NOTHING:
            raise GraphError("a tensor that is not tracked has no hooks")
        hooks = hooks_of(self.node)
        show_to_collector(<PyObject*>self, self.node)
        return hooks

    def _link(self):
        """A second tensor for the same value, which later changes of this one do not reach."""
        cdef int32_t row = self.node
        cdef ndarray array
        value_of(self)
        array = cnp.PyArray_NewCopy(self.array, cnp.NPY_KEEPORDER) if exposed(self) else self.array     # asked before we hold it, too
        if self.node != row:        # it stands for another value by now, in another thread
            return self._link()
        return new_tensor(array) if row == NOTHING else linked(array, row)

    def detach(self):
        """The same values, untracked."""
        cdef TensorBase t = new_tensor(value_of(self))
        t.flags = self.flags & ESCAPED
        return t

    def _become(self, TensorBase other not None):
        """Stand for the value of `other`, a fresh result, from now on."""
        value_of(other)
        if other.node == NOTHING and self.node != NOTHING:
            raise GraphError("a tracked tensor cannot become an untracked one")
        move_to(self, other)

    # ---- operators: C's slots, called with the arguments in either order

    def __add__(x, y): return (<Operation>operator_table[ADD]).binary(x, y)
    def __sub__(x, y): return (<Operation>operator_table[SUBTRACT]).binary(x, y)
    def __mul__(x, y): return (<Operation>operator_table[MULTIPLY]).binary(x, y)
    def __truediv__(x, y): return (<Operation>operator_table[DIVIDE]).binary(x, y)
    def __floordiv__(x, y): return (<Operation>operator_table[FLOOR_DIVIDE]).binary(x, y)
    def __mod__(x, y): return (<Operation>operator_table[REMAINDER]).binary(x, y)
    def __matmul__(x, y): return (<Operation>operator_table[MATMUL]).binary(x, y)
    def __pow__(x, y, modulo): return power(x, y) if modulo is None else NotImplemented
    def __neg__(self): return (<Operation>operator_table[NEGATIVE]).unary(self)
    def __pos__(self): return (<Operation>operator_table[POSITIVE]).unary(self)
    def __abs__(self): return (<Operation>operator_table[ABSOLUTE]).unary(self)

    def __iadd__(self, other): return in_place(<Operation>operator_table[ADD], self, other)
    def __isub__(self, other): return in_place(<Operation>operator_table[SUBTRACT], self, other)
    def __imul__(self, other): return in_place(<Operation>operator_table[MULTIPLY], self, other)
    def __itruediv__(self, other): return in_place(<Operation>operator_table[DIVIDE], self, other)
    def __ifloordiv__(self, other): return in_place(<Operation>operator_table[FLOOR_DIVIDE], self, other)
    def __imod__(self, other): return in_place(<Operation>operator_table[REMAINDER], self, other)
    def __ipow__(self, other, modulo): return in_place(<Operation>operator_table[POWER], self, other)
    def __imatmul__(self, other): return in_place(<Operation>operator_table[MATMUL], self, other)

    def __richcmp__(self, other, int kind):
        if is_batched(self) or is_batched(other):
            return helper("batched")(COMPARISONS[kind], (self, other), {})
        cdef ndarray a = value_of(self)
        if isinstance(other, TensorBase):
            other = value_of(<TensorBase>other)
        if kind == Py_LT: result = a < other
        elif kind == Py_LE: result = a <= other
        elif kind == Py_EQ: result = a == other
        elif kind == Py_NE: result = a != other
        elif kind == Py_GT: result = a > other
        else: result = a >= other
        return new_tensor(np.asarray(result))

    def __hash__(self):
        return <Py_ssize_t><PyObject*>self >> 4


cdef dict COMPARISONS = {Py_LT: np.less, Py_LE: np.less_equal, Py_EQ: np.equal, Py_NE: np.not_equal, Py_GT: np.greater, Py_GE: np.greater_equal}


cdef bint is_batched(object a) noexcept:
    return isinstance(a, TensorBase) and (<TensorBase>a).flags & BATCHED


cdef object power(object x, object y):
    """``x ** y`` with the short cuts of ndarray's operator."""
    if isinstance(x, TensorBase) and not is_batched(x) and (PyLong_CheckExact(y) or PyFloat_CheckExact(y)):
        if not is_inexact(value_of(<TensorBase>x)):
            return new_tensor(np.asarray((<TensorBase>x).array ** y))       # integers have rules of their own
        if y == 2: return (<Operation>operator_table[SQUARE]).unary(x)
        if y == 0.5: return (<Operation>operator_table[SQRT]).unary(x)
        if y == 1: return (<Operation>operator_table[POSITIVE]).unary(x)
        if y == -1: return (<Operation>operator_table[RECIPROCAL]).unary(x)
    return (<Operation>operator_table[POWER]).binary(x, y)


cdef object kept_value(int32_t child, int32_t row, int argument):
    """The value of a row as far as a node has kept it: its own result, or what its child saved of it."""
    if tables.nodes[row].saved[OUT] != NULL:
        return <object>tables.nodes[row].saved[OUT]
    return (<Operation>tables.nodes[child].operation).saved_input(child, argument)


cdef enum:      # places in operator_table
    ADD, SUBTRACT, MULTIPLY, DIVIDE, FLOOR_DIVIDE, REMAINDER, POWER, MATMUL, NEGATIVE, POSITIVE, ABSOLUTE, SQUARE, SQRT, RECIPROCAL, N_OPERATORS

cdef PyObject* operator_table[N_OPERATORS]
cdef dict SLOTS_BY_NAME = {
    "add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY, "divide": DIVIDE, "floor_divide": FLOOR_DIVIDE, "remainder": REMAINDER,
    "power": POWER, "matmul": MATMUL, "negative": NEGATIVE, "positive": POSITIVE, "absolute": ABSOLUTE, "square": SQUARE, "sqrt": SQRT,
    "reciprocal": RECIPROCAL,
}


cdef object in_place(Operation op, TensorBase t, object other):
    """``t += other``: the name stands for the new value; what was computed from the old one keeps it."""
    cdef TensorBase result
    cdef bint other_tracked = isinstance(other, TensorBase) and (<TensorBase>other).node != NOTHING
    if is_batched(t) or is_batched(other):
        return helper("batched_in_place")(op, t, other)
    if paused or t.node == NOTHING and not other_tracked:
        if isinstance(other, TensorBase):
            other = value_of(<TensorBase>other)
        array = escape(t)
        if isinstance(op.function, np.ufunc):
            op.function(array, other, out=array, casting="same_kind")
        else:
            np.copyto(array, op.function(array, other), casting="same_kind")
        return t
    check_not_leaf(t, op.name)
    result = op(t, other)
    if np.shape(result.array) != np.shape(value_of(t)):
        raise ShapeError(f"{op.name} in place: the result has shape {np.shape(result.array)}, the tensor {np.shape(t.array)}")
    if result.array.dtype != t.array.dtype:
        if not np.can_cast(result.array.dtype, t.array.dtype, "same_kind"):
            raise TypeError(f"{op.name} in place: cannot put {result.array.dtype} values into a tensor of {t.array.dtype}")
        result = helper("astype")(result, t.array.dtype)
    move_to(t, result)
    return t


def trade_places(TensorBase t not None, TensorBase other not None):
    """Each of two tensors stands for the other's value from now on."""
    value_of(t), value_of(other)
    t.array, other.array = other.array, t.array
    t.gradient, other.gradient = other.gradient, t.gradient
    t.node, other.node = other.node, t.node
    t.flags, other.flags = other.flags, t.flags
    stand_for_row(t)
    stand_for_row(other)


def check_not_leaf(TensorBase t not None, str name):
    """Refuse an in-place change of a leaf that requires grad while recording."""
    if t.node != NOTHING and tables.nodes[t.node].operation == NULL and not paused:
        error = GraphError(f"{name} in place on a leaf that requires grad: its gradient would be lost.\n"
                           f"  to update a parameter:  with gn.no_grad(): p -= lr * p.grad     (or p.data -= lr * p.grad)\n"
                           f"  to compute with it:     q = p - ...                             (a new name)")
        error.tensor = t
        raise error


# ---------------------------------------------------------------------------------------------------- operations

cdef class Operation:
    """A differentiable operation: the base of all kinds."""

    cdef object unary(self, TensorBase x):
        """Compute and record; what an operator calls."""
        return self(x)

    cdef object binary(self, object x, object y):
        """The same for two arguments, one of them a Tensor; NotImplemented leaves it to the other's class."""
        if getattr(type(x), "__array_ufunc__", 0) is None or getattr(type(y), "__array_ufunc__", 0) is None:
            return NotImplemented
        return self(x, y)

    cdef object share(self, int32_t row, int argument, object g):
        """The gradient that flows to one argument, before broadcasting is undone; None is zero."""
        raise NotImplementedError

    cdef bint add_share(self, int32_t row, int argument, ndarray g, PyObject* total) except -1:
        """Add that gradient to `total` without making an array for it; False declines."""
        return False

    cdef bint multiplies(self, int argument) noexcept:
        """Whether the gradient is multiplied by values, which may be infinite."""
        return True

    cdef bint selects(self, int32_t row) except -1:
        """Whether this result is a selection: the gradient of what it leaves out is exactly 0."""
        return self.masks

    cdef object without_infinities(self, int32_t row, int argument, object g, object share):
        """The share, with a finite number where an infinite one comes only from values that g multiplies by 0."""
        return share

    cdef object share_of_many(self, int32_t row, int argument, ndarray g, object level):
        """The shares of many gradients, which lie along the first axis of g, in one array; `level` is theirs, as under vmap."""
        return self.share(row, argument, g)         # what works element by element broadcasts

    cdef tuple shares(self, int32_t row, object g):
        """The same for all arguments, where `at_once` says that they are worked out together."""
        raise NotImplementedError

    cdef ndarray saved_input(self, int32_t row, int argument):
        """The value of an argument, if the node has saved it."""
        return None

    cdef list input_names(self, int n):
        """What errors call the arguments."""
        return ["x", "y"]

    def __repr__(self):
        return f"<operation {self.name}>"

    def __get__(self, instance, owner):
        return self if instance is None else BoundOperation(self, instance)


cdef tuple parameters_of(line):
    """The names of a derivative line's parameters."""
    return line.__code__.co_varnames[:line.__code__.co_argcount]


cdef void allow_vectorcall(type kind, Py_ssize_t offset) noexcept:
    """Let Python call instances through the C function whose address they hold at this offset."""
    (<MutableType*>kind).tp_vectorcall_offset = offset
    (<MutableType*>kind).tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL


cdef size_t argument_count(size_t nargs) noexcept:
    return nargs & ~PY_VECTORCALL_ARGUMENTS_OFFSET


cdef class BoundOperation:
    """``t.tanh``: an operation waiting for its other arguments."""
    cdef object operation, instance

    def __init__(self, operation, instance):
        self.operation, self.instance = operation, instance

    def __call__(self, *args, **kwargs):
        return self.operation(self.instance, *args, **kwargs)


cdef object explained(Operation op, Exception error, args):
    """The error with the operation and the shapes of its arguments in it."""
    rows = [f"    {name}  {np.shape(a)} {a.dtype}" for name, a in zip(op.input_names(len(args)), args) if hasattr(a, "dtype")]
    if type(error) is ValueError:
        return ShapeError("\n".join([f"{op.name}: {str(error).removeprefix(op.name + ': ')}", *rows]))
    error.add_note("\n".join([f"in gradnerve's {op.name}:", *rows]))
    return error


cdef object already_freed(str name):
    return GraphError(f"{name}: what its derivative needs was released by an earlier backward() through this part of the graph; "
                      f"call that one with retain_graph=True to go through it again")


cdef int32_t give_row(TensorBase result, Operation op, int n_edges) except -1:
    """Make a fresh result tracked: a row in its name, and room for its edges."""
    cdef ndarray out = result.array
    reserve(1, n_edges)
    result.node = new_node(<PyObject*>op, cnp.PyArray_NDIM(out), cnp.PyArray_DIMS(out), cnp.PyArray_TYPE(out))
    tables.nodes[result.node].handle = <PyObject*>result
    if behind_mask:
        tables.nodes[result.node].state |= MASKED
    return result.node


cdef void keep_result(TensorBase result, bint needed) noexcept:
    """Save the result in its node for the derivatives, and if it is small, for a learner to look at."""
    if needed or bytes_of(<PyObject*>result.array) <= KEEP_BYTES and tables.live_nodes < KEEP_NODES:
        Py_INCREF(result.array)
        tables.nodes[result.node].saved[OUT] = <PyObject*>result.array


cpdef bint holds_tensors(object data):
    """Whether there are Tensors in a nested list, as deep as NumPy looks into one."""
    cdef PyObject* above[64]
    return isinstance(data, (list, tuple)) and among(data, above, 0)


cdef bint among(object data, PyObject** above, int depth) except -1:
    """`above`: the lists that this one is in, itself perhaps."""
    cdef int k
    for k in range(depth):
        if above[k] == <PyObject*>data:
            return False
    if depth == 64:
        return False
    above[depth] = <PyObject*>data
    for part in data:
        if isinstance(part, TensorBase) or isinstance(part, (list, tuple)) and among(part, above, depth + 1):
            return True
    return False


def refuse_tensors(data):
    """Refuse a list with Tensors in it: as an array it would lose their gradients."""
    if holds_tensors(data):
        raise TypeError("a list of Tensors would lose their gradients as an array; use gn.array, gn.stack or gn.concatenate")


cdef object as_operand(object a):
    """An argument that is neither a Tensor nor an exact ndarray nor a number: as an array, or NotImplemented."""
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError("a masked array has no gradient through its mask; pass a.filled(value) or a.data")
    if getattr(type(a), "__array_ufunc__", 0) is None:
        return NotImplemented
    refuse_tensors(a)
    array = np.asarray(a)
    return array if array.dtype.kind in "biufc" else NotImplemented


cdef object scalar_type(int typenum):
    cdef object dtype = cnp.PyArray_DescrFromType(typenum)
    return dtype.type


cdef bint involves_complex(int32_t row, TensorBase g):
    return cnp.PyTypeNum_ISCOMPLEX(tables.nodes[row].typenum) or np.iscomplexobj(g.array)


cdef object saved_tensor(Operation op, int32_t row, int slot, int argument):
    """A saved value as the derivative lines see it: linked to the row that it is the value of, if that wants a gradient."""
    cdef PyObject* value = tables.nodes[row].saved[slot]
    if value == NULL:
        raise already_freed(op.name)
    return link_value(row, <object>value, NOTHING if slot == OUT else argument)


cdef object link_value(int32_t row, object value, int argument):
    """`value` as a tensor of the row itself (argument NOTHING) or of the row behind that argument's edge."""
    cdef int32_t edge
    if not isinstance(value, ndarray):
        return scalar_type(tables.nodes[row].typenum)(value) if isinstance(value, (int, float, complex)) else value
    if argument == NOTHING:
        return linked(value, row)
    edge = tables.nodes[row].edges
    while edge != NOTHING:
        if tables.edges[edge].argument == argument:
            return linked(value, tables.edges[edge].parent)
        edge = tables.edges[edge].next
    return value


cdef inline object operand(object a, PyObject** value):
    """What holds the argument's value while we compute: the tensor itself, an array or a number; NotImplemented declines.

    The value is NULL if the tensor is batched.
    """
    if isinstance(a, TensorBase):
        if (<TensorBase>a).flags & LOST:
            value_of(<TensorBase>a)
        value[0] = <PyObject*>(<TensorBase>a).array if not (<TensorBase>a).flags & BATCHED else NULL
        return a
    if not (cnp.PyArray_CheckExact(a) or PyFloat_CheckExact(a) or PyLong_CheckExact(a) or PyComplex_CheckExact(a)):
        a = as_operand(a)
    value[0] = <PyObject*>a
    return a


cdef inline int32_t row_of(object a) noexcept:
    return (<TensorBase>a).node if isinstance(a, TensorBase) else NOTHING
