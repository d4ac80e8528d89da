"""Operations that are not elementwise. Next: csrc/general.pyx."""
from libc.stdint cimport int32_t
from numpy cimport ndarray

from gradnerve._engine cimport Operation, TensorBase

cdef class Reader:
    cdef readonly object line           # the derivative line; None for a zero derivative
    cdef list codes                     # by parameter of the line: IS_G, IS_OUT, IS_I, IS_TOTAL, or the place in General.reads
    cdef unsigned long long needs       # the places in General.reads, as bits
    cdef bint needs_out
    cdef bint multiplies                # g by values, which may be infinite

cdef class General(Operation):
    cdef void* vectorcall               # where Python looks for call_general
    cdef readonly object fast           # the same function for the common case, None when it declines; or None
    cdef readonly tuple names           # of the function's parameters
    cdef readonly bint variadic         # any number of arrays: forward(*xs, **options)
    cdef readonly int n_positional      # parameters before those that are keyword-only
    cdef list defaults                  # by parameter; MISSING where there is none
    cdef list readers                   # by parameter; None where there is no gradient
    cdef list adders                    # likewise: lines that add to a total in place, where there is one
    cdef readonly object numpys         # NumPy's function of that name, or None
    cdef list manys                     # by parameter: lines for many gradients at once, where there is a faster one than with batched tensors
    cdef object mask_rule               # whether a result is a selection: a function of one option, the one at mask_read; or None
    cdef int mask_read
    cdef list reads                     # everything that some line reads of a call: (kind, position, name)

    cdef object call(self, list values, dict options)
    cdef bint knows(self, object names)
    cdef int bind(self, list values, dict options) except -1
    cdef object run(self, list arrays, dict options)
    cdef object attempt(self, list values, dict options)
    cdef object finish(self, list values, list arrays, int32_t* rows, object shared, dict options, ndarray out)
    cdef bint record(self, TensorBase result, list values, list arrays, int32_t* rows, object shared, dict options, list parents) except -1
    cdef object saved_value(self, tuple read, list arrays, object shared, dict options)
    cdef object evaluated(self, int32_t row, int argument, object g, object replaced)
    cdef list read(self, Reader reader, int32_t row, int argument, object g, object total, bint recorded)
    cdef object link(self, int32_t row, tuple read, object value)

cdef class HandMade(Operation):
    cdef tuple shares_alone(self, int32_t row, object g)

cdef class Custom(Operation):
    cdef object as_share(self, object share, bint recorded)
    cdef int check(self, object share, int argument, int32_t parent) except -1
