"""Straight-line programs of inner loops. Next: csrc/program.pyx."""
from cpython.object cimport PyObject
from numpy cimport npy_intp

from gradnerve._loops cimport Kernel, Matrix, Walk

ctypedef void (*Part)(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil      # of some work, in thread 0, 1...

cdef enum:
    MAX_REGISTERS = 64
    MAX_INPUTS = 5

cdef struct Instruction:
    Kernel kernel
    int register[4]     # operands, the result last

cdef struct Shared:     # a row that threads share
    PyObject* program
    char** base
    npy_intp* step
    char* total
    npy_intp room       # bytes of scratch for each thread
    int first_scratch   # the first register in it

cdef class Program:
    # registers: the inputs, the result, constants, temporaries
    cdef Instruction* code
    cdef readonly int ninstructions, ninputs, nregisters
    cdef int first_temporary
    cdef int same_as                    # the input that is the result unchanged, or -1
    cdef int typenum                    # dtype of the result
    cdef int typenums[MAX_INPUTS]       # dtypes of the inputs
    cdef npy_intp itemsizes[MAX_REGISTERS]
    cdef char* constants                # one 32-byte cell each
    cdef readonly list listing          # the same in words

    cdef void run(self, char** base, npy_intp* step, npy_intp n, char* total) noexcept nogil
    cdef int run_rows(self, Walk* walk, char** base, npy_intp* step, npy_intp n, char* total) except -1
    cdef void run_chunk(self, Shared* shared, int helper, npy_intp first, npy_intp last) noexcept nogil
    cdef void run_all(self, Walk* walk, char** base, npy_intp* step, npy_intp n, char* total) noexcept nogil

cdef int threads() noexcept nogil               # that may share a loop, this one among them
cdef void share(Part work, void* job, Py_ssize_t n, Py_ssize_t chunk) noexcept nogil    # work on 0..n, a chunk at a time, in all of them
cdef void multiply_together(const Kernel* matmul, Matrix x, Matrix y, Matrix out, npy_intp rows, npy_intp inner, npy_intp columns) noexcept nogil
cdef Program trace(object line, list typenums)
cdef object evaluate(Program program, PyObject** values, bint forward, PyObject* total)
