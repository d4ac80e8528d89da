"""NumPy's inner loops, and arrays stepped through together. Next: csrc/loops.pyx."""
from cpython.object cimport PyObject
from numpy cimport ndarray, npy_intp

ctypedef void (*Loop)(char** args, const npy_intp* dims, const npy_intp* strides, void* data) noexcept nogil

cdef extern from "numpy/arrayobject.h":         # as in numpy.pxd, but for borrowed pointers: nothing is counted
    ctypedef struct PyArrayObject
    bint is_array "PyArray_CheckExact"(PyObject*) noexcept
    int PyArray_FLAGS(PyArrayObject*) noexcept
    int PyArray_NDIM(PyArrayObject*) noexcept
    npy_intp* PyArray_DIMS(PyArrayObject*) noexcept
    npy_intp* PyArray_STRIDES(PyArrayObject*) noexcept
    void* PyArray_DATA(PyArrayObject*) noexcept
    int PyArray_TYPE(PyArrayObject*) noexcept
    npy_intp PyArray_ITEMSIZE(PyArrayObject*) noexcept
    void* PyArray_DESCR(PyArrayObject*) noexcept
    enum: NPY_ARRAY_CARRAY, NPY_ARRAY_CARRAY_RO, NPY_ARRAY_OWNDATA

cdef enum:
    OPERANDS = 6            # arrays in one walk: up to five inputs and the result
    MAX_DIMS = 64           # NumPy's own limit
    TYPES = 24              # NumPy's numeric dtypes have smaller numbers
    RELEASE_GIL = 32768     # elements from which a loop runs without the GIL
    ALONE = 262144          # multiplications of a matrix product up to which OpenBLAS stays in one thread

cdef struct Kernel:
    Loop loop
    void* data
    int nargs

cdef struct Walk:
    int noperands, ndim
    npy_intp dims[MAX_DIMS]                 # the common shape
    npy_intp strides[OPERANDS][MAX_DIMS]    # 0 along broadcast axes
    char* base[OPERANDS]

cdef Kernel add_loops[TYPES]            # by dtype; the loop is NULL where NumPy has none
cdef Kernel matmul_loops[TYPES]
cdef PyObject* plain_dtypes[TYPES]      # NumPy's own dtype objects, by number

cdef struct Matrix:
    void* data              # no char*, which line tracing would read as a string, to show what a function returns
    npy_intp row, column    # steps in bytes

cdef inline Matrix matrix(void* data, npy_intp row, npy_intp column) noexcept nogil:
    cdef Matrix m
    m.data, m.row, m.column = data, row, column
    return m

cdef inline void multiply(const Kernel* matmul, Matrix x, Matrix y, Matrix out, npy_intp rows, npy_intp inner, npy_intp columns) noexcept nogil:
    """One product of matrices, out = x @ y."""
    cdef npy_intp* dims = [1, rows, inner, columns]
    cdef npy_intp* strides = [0, 0, 0, x.row, x.column, y.row, y.column, out.row, out.column]
    cdef char** args = [<char*>x.data, <char*>y.data, <char*>out.data]
    matmul.loop(args, dims, strides, matmul.data)

cdef inline void multiply_alone(const Kernel* matmul, Matrix x, Matrix y, Matrix out, npy_intp rows, npy_intp inner, npy_intp columns) noexcept nogil:
    """The same a few columns at a time, which OpenBLAS does not share between threads: for threads of our own."""
    cdef npy_intp piece = max(<npy_intp>16, ALONE // max(1, rows * inner))
    while columns > piece:
        multiply(matmul, x, y, out, rows, inner, piece)
        y.data += piece * y.column
        out.data += piece * out.column
        columns -= piece
    multiply(matmul, x, y, out, rows, inner, columns)

cdef inline npy_intp product(int ndim, npy_intp* dims) noexcept:
    cdef npy_intp n = 1
    cdef int k
    for k in range(ndim):
        n *= dims[k]
    return n

cdef inline npy_intp bytes_of(PyObject* a) noexcept:
    return product(PyArray_NDIM(<PyArrayObject*>a), PyArray_DIMS(<PyArrayObject*>a)) * PyArray_ITEMSIZE(<PyArrayObject*>a)

cdef inline bint is_plain(PyObject* a, int typenum, int flags) noexcept:
    """Whether the array has exactly this dtype, in the machine's byte order, and these flags."""
    return <PyObject*>PyArray_DESCR(<PyArrayObject*>a) == plain_dtypes[typenum] and PyArray_FLAGS(<PyArrayObject*>a) & flags == flags

cdef inline bint same_dims(PyObject* a, PyObject* b) noexcept:
    cdef int k, ndim = PyArray_NDIM(<PyArrayObject*>a)
    if ndim != PyArray_NDIM(<PyArrayObject*>b):
        return False
    for k in range(ndim):
        if PyArray_DIMS(<PyArrayObject*>a)[k] != PyArray_DIMS(<PyArrayObject*>b)[k]:
            return False
    return True

cdef bint find_loop(object ufunc, int* types, Kernel* kernel) except -1
cdef bint find_cast(int source, int target, Kernel* kernel) noexcept
cdef bint find_select(int typenum, Kernel* kernel) noexcept
cdef bint start_walk(Walk* walk, PyObject** values, int n) noexcept
cdef bint in_c_order(Walk* walk) noexcept
cdef void simplify(Walk* walk) noexcept
cdef bint next_row(Walk* walk, npy_intp* counter, char** base) noexcept nogil
cdef bint store_number(PyObject* value, int typenum, void* where) except -1
cdef bint well_behaved(ndarray a) noexcept
cdef ndarray sum_to_shape(ndarray a, int ndim, npy_intp* dims)
cdef ndarray add_arrays(ndarray a, ndarray b, bint in_place, bint keep_gil)
cdef bint all_finite(ndarray a) except -1
cdef bint trouble() except -1
cdef void clear_trouble() noexcept
cdef ndarray new_array(int ndim, npy_intp* dims, int typenum)
cdef ndarray array_of_shape(tuple shape, int typenum)       # the same for a shape of Python's
cdef void recycle(PyObject* value) noexcept
cdef char* take_scratch(npy_intp size, PyObject** owner) except NULL     # so many bytes, until the owner is recycled
