"""Elementwise operations. Next: csrc/elementwise.pyx."""
from cpython.object cimport PyObject
from libc.stdint cimport int32_t
from numpy cimport ndarray

from gradnerve._engine cimport Operation, TensorBase
from gradnerve._loops cimport TYPES
from gradnerve._program cimport Program

cdef class Line:
    cdef readonly object function
    cdef readonly bint zero             # the derivative is zero everywhere
    cdef bint conjugates                # a complex gradient is conjugated on the way in and out
    cdef int nparams
    cdef int source[4]                  # by parameter: X, Y, OUT or GRAD
    cdef int needs                      # the slots among them, as bits
    cdef dict mixed                     # programs by tuple of dtype numbers
    cdef PyObject* same[TYPES]          # borrowed from `mixed`: the program where all dtypes are this one

    cdef Program program(self, PyObject** values, int typenum)
    cdef object run(self, PyObject** values, int typenum, bint forward)

cdef class Elementwise(Operation):
    cdef readonly int nin
    cdef void* vectorcall               # where Python looks for call_elementwise
    cdef Line line_x, line_y            # None: no gradient
    cdef Line forward                   # the function itself

    cdef ndarray compute(self, PyObject** values)
    cdef int record(self, TensorBase result, int shared, PyObject** values, int32_t* rows) except -1
    cdef int take_values(self, int32_t row, Line line, PyObject* g, PyObject** values) except -1
    cdef object plain_share(self, Line line, PyObject** values, int typenum)
    cdef object recorded_share(self, int32_t row, Line line, TensorBase g)
