"""The compiled bases of Tensor and of operations. Next: csrc/engine.pyx."""
cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int32_t
from numpy cimport ndarray

cdef enum:          # TensorBase.flags
    ESCAPED = 1     # the array was handed out: somebody may hold it, or a view of it, and write to it
    LOST = 2        # an intermediate that was not kept: there is no value
    BORROWED = 4    # the gradient may be shared with other gradients: copy it before anybody sees it
    BLANK = 16      # the gradient is zeros that were made for somebody to look at: nobody has touched it, unless there are others by now
    BATCHED = 8     # stands for one example of many, under vmap: it has no value of its own, and operations go to gradnerve/batching.py

cdef enum:
    GRAD = 3        # beside the slots X, Y, OUT: the gradient of the result


@cython.no_gc
cdef class TensorBase:
    cdef ndarray array          # the value
    cdef ndarray gradient       # what backward passes have added up; None as long as that is nothing
    cdef int32_t node           # row of the graph, or NOTHING
    cdef int8_t flags
    cdef object __weakref__

cdef class Operation:
    cdef readonly str name
    cdef readonly object function       # NumPy's, or our plain NumPy code; the reference for the values
    cdef readonly dict lines            # input name -> derivative, as written
    cdef readonly bint analytic         # the lines are those of a holomorphic function: conjugate for complex numbers
    cdef readonly bint at_once          # one call gives the gradients of all arguments
    cdef public bint elementwise        # each element of a share comes from one element of g
    cdef public bint masks              # selects elements: the gradient of what it leaves out is exactly 0
    cdef public bint linear             # no value multiplies a gradient: at most it says where that goes

    cdef object unary(self, TensorBase x)
    cdef object binary(self, object x, object y)
    cdef object share(self, int32_t row, int argument, object g)
    cdef bint add_share(self, int32_t row, int argument, ndarray g, PyObject* total) except -1
    cdef bint multiplies(self, int argument) noexcept
    cdef bint selects(self, int32_t row) except -1
    cdef object without_infinities(self, int32_t row, int argument, object g, object share)
    cdef object share_of_many(self, int32_t row, int argument, ndarray g, object level)
    cdef tuple shares(self, int32_t row, object g)
    cdef ndarray saved_input(self, int32_t row, int argument)
    cdef list input_names(self, int n)

cdef int watchers   # how many threads are being debugged

cdef bint is_recording() noexcept
cdef object watcher()
cdef int show(Operation operation, object again, object arguments, dict options, TensorBase result) except -1
cdef bint is_behind_mask() noexcept
cdef bint set_behind_mask(bint on) noexcept
cdef bint is_inexact(ndarray a) noexcept
cpdef bint holds_tensors(object data)
cdef object helper(str name)
cdef tuple parameters_of(line)
cdef void allow_vectorcall(type kind, Py_ssize_t offset) noexcept
cdef size_t argument_count(size_t nargs) noexcept
cdef bint exposed(TensorBase t) noexcept
cdef bint is_shared(object argument) noexcept
cdef PyObject* saved_array(PyObject* value, bint shared, int typenum) except NULL
cdef ndarray value_of(TensorBase t)
cdef ndarray array_in(object a)
cdef TensorBase new_tensor(ndarray array)
cdef TensorBase linked(ndarray array, int32_t row)
cdef TensorBase without_value(int32_t row)
cdef TensorBase gradient_keeper(TensorBase t)
cdef TensorBase holder(int32_t row, ndarray value)
cdef object operand(object a, PyObject** value)
cdef int32_t row_of(object a) noexcept
cdef int32_t give_row(TensorBase result, Operation op, int n_edges) except -1
cdef void keep_result(TensorBase result, bint needed) noexcept
cdef object explained(Operation op, Exception error, args)
cdef object already_freed(str name)
cdef object as_operand(object a)
cdef object scalar_type(int typenum)
cdef bint is_batched(object a) noexcept
cdef bint involves_complex(int32_t row, TensorBase g)
cdef object saved_tensor(Operation op, int32_t row, int slot, int argument)
cdef object link_value(int32_t row, object value, int argument)
