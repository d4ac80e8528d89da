# cython: language_level=3
"""Rows of a matrix by their numbers, and products with the rows of an array of any number of axes.

The references are `add_rows` in gradnerve/ops/indexing.py, and gradnerve/ops/linear.py.
"""
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset
cimport numpy as cnp
from numpy cimport NPY_DOUBLE, NPY_FLOAT, ndarray, npy_intp

from gradnerve._loops cimport (RELEASE_GIL, Kernel, Matrix, array_of_shape, find_loop, matmul_loops, matrix as matrix_of, multiply, new_array,
                               product, trouble, well_behaved)
from gradnerve._program cimport multiply_together, share, threads

import numpy as np

cnp.import_array()

ctypedef fused Real:
    float
    double

ctypedef fused Number:
    int32_t
    int64_t

cdef enum:
    SHARED = 65536      # elements from which threads share the work
    MANY = 128          # rows for which a copy of the matrix is worth its time

# ------------------------------------------------------------------------------------------------ rows by their numbers

cdef struct Scatter:
    char* out
    char* x
    void* numbers           # of the rows
    npy_intp rows           # that there are in `out`
    npy_intp n              # that are added
    npy_intp width          # elements of a row
    npy_intp step           # bytes from row to row of x
    npy_intp inner          # bytes from element to element of x
    bint fresh              # whether `out` is not even zero yet


cdef bint all_inside(const Number* numbers, npy_intp n, npy_intp rows) noexcept nogil:
    """Whether each number, also one that counts from the end, is that of a row."""
    cdef npy_intp i
    cdef bint outside = False
    for i in range(n):
        outside |= (numbers[i] < -rows) | (numbers[i] >= rows)
    return not outside


cdef void add(Scatter* s, npy_intp first, npy_intp last, Real* _, const Number* numbers) noexcept nogil:
    """All that is added to the rows first..last, in the order of x."""
    cdef npy_intp i, j, row
    cdef Real* out
    cdef char* x
    if s.fresh:
        memset(<Real*>s.out + first * s.width, 0, (last - first) * s.width * sizeof(Real))
    for i in range(s.n):
        row = numbers[i]
        row = row + s.rows if row < 0 else row
        if not first <= row < last:
            continue
        out, x = <Real*>s.out + row * s.width, s.x + i * s.step
        if s.inner == sizeof(Real):
            for j in range(s.width):
                out[j] += (<Real*>x)[j]
        else:
            for j in range(s.width):
                out[j] += (<Real*>(x + j * s.inner))[0]


cdef void add_float_int32(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    add(<Scatter*>job, first, last, <float*>NULL, <int32_t*>(<Scatter*>job).numbers)


cdef void add_float_int64(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    add(<Scatter*>job, first, last, <float*>NULL, <int64_t*>(<Scatter*>job).numbers)


cdef void add_double_int32(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    add(<Scatter*>job, first, last, <double*>NULL, <int32_t*>(<Scatter*>job).numbers)


cdef void add_double_int64(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    add(<Scatter*>job, first, last, <double*>NULL, <int64_t*>(<Scatter*>job).numbers)


cdef bint run(ndarray out, ndarray numbers, ndarray x, bint fresh) except -1:
    cdef Scatter s
    cdef npy_intp chunk
    cdef bint short = cnp.PyArray_ITEMSIZE(numbers) == 4, single = cnp.PyArray_TYPE(out) == NPY_FLOAT
    s.out, s.x, s.numbers = <char*>cnp.PyArray_DATA(out), <char*>cnp.PyArray_DATA(x), cnp.PyArray_DATA(numbers)
    s.rows, s.n, s.width = cnp.PyArray_DIM(out, 0), cnp.PyArray_DIM(x, 0), product(cnp.PyArray_NDIM(out) - 1, cnp.PyArray_DIMS(out) + 1)
    s.step, s.inner, s.fresh = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1), fresh
    if not (all_inside(<int32_t*>s.numbers, s.n, s.rows) if short else all_inside(<int64_t*>s.numbers, s.n, s.rows)):
        return False
    chunk = s.rows
    if s.n * s.width + fresh * s.rows * s.width >= SHARED:
        chunk = (s.rows + threads() - 1) // threads()       # all numbers are looked at for each
    with nogil:
        share((add_float_int32 if short else add_float_int64) if single else (add_double_int32 if short else add_double_int64),
              &s, s.rows, max(chunk, 1))
    return True


cdef bint takes(ndarray a, ndarray numbers) noexcept:
    """Whether it is of a dtype that we know, and in the machine's order of bytes."""
    return (a is not None and numbers is not None
            and cnp.PyArray_TYPE(a) in (NPY_FLOAT, NPY_DOUBLE) and well_behaved(a) and well_behaved(numbers)
            and cnp.PyArray_ITEMSIZE(numbers) in (4, 8) and cnp.PyTypeNum_ISSIGNED(cnp.PyArray_TYPE(numbers))
            and cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(numbers)))


def add_rows(out, numbers, x):
    """``np.add.at(out, numbers, x)`` for an array of row numbers; returns whether it was done.

    It is not where a number is out of range, x has not the shape of what is added, or a dtype is none of float32, float64, int32 and int64.
    """
    if not (takes(out, numbers) and cnp.PyArray_ISCARRAY(out) and cnp.PyArray_NDIM(out) and fits(out.shape, numbers, x, out.dtype)):
        return False
    return run(out, cnp.PyArray_GETCONTIGUOUS(numbers), as_matrix(x, numbers), False)


def sum_rows(tuple shape, numbers, x):
    """Zeros of the shape, with `x` added at the rows of these numbers; None where `add_rows` would not do it."""
    cdef ndarray out
    if not (cnp.PyArray_CheckExact(x) and takes(x, numbers) and 0 < len(shape) <= 64 and fits(shape, numbers, x, x.dtype)):
        return None
    out = array_of_shape(shape, cnp.PyArray_TYPE(x))
    return out if run(out, cnp.PyArray_GETCONTIGUOUS(numbers), as_matrix(x, numbers), True) else None


cdef bint fits(tuple shape, ndarray numbers, object x, object dtype) except -1:
    """Whether there is one row of x, in this dtype, for each number."""
    return cnp.PyArray_CheckExact(x) and x.dtype == dtype and well_behaved(x) and x.shape == (<object>numbers).shape + shape[1:]


cdef ndarray as_matrix(object x, ndarray numbers):
    cdef npy_intp n = cnp.PyArray_SIZE(numbers)
    if cnp.PyArray_NDIM(x) == 2 and cnp.PyArray_NDIM(numbers) == 1:
        return x
    return x.reshape(n, cnp.PyArray_SIZE(x) // n if n else 0)


# ------------------------------------------------------------------------------------------------ products with rows

cdef Kernel sums[2]
cdef int types[3]
for _single in range(2):
    types[0] = types[1] = NPY_FLOAT if _single else NPY_DOUBLE
    find_loop(np.add, types, &sums[_single])

cdef struct Rows:
    Matrix matrix
    npy_intp rows, columns


cdef int read(object x, Rows* m) noexcept:
    """An array in C order as a matrix, with all axes but the last as one; returns its dtype, or -1 for what is no such array of floats."""
    cdef int ndim
    cdef npy_intp* dims
    cdef npy_intp size
    if not cnp.PyArray_CheckExact(x) or cnp.PyArray_NDIM(x) == 0 or not cnp.PyArray_ISCARRAY_RO(x):
        return -1
    if cnp.PyArray_TYPE(x) != NPY_FLOAT and cnp.PyArray_TYPE(x) != NPY_DOUBLE:
        return -1
    ndim, dims, size = cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_ITEMSIZE(x)
    m.rows, m.columns = product(ndim - 1, dims), dims[ndim - 1]
    m.matrix = matrix_of(cnp.PyArray_DATA(x), m.columns * size, size)
    return cnp.PyArray_TYPE(x)


cdef Rows transposed(Rows m) noexcept:
    cdef Rows t
    t.matrix, t.rows, t.columns = matrix_of(m.matrix.data, m.matrix.column, m.matrix.row), m.columns, m.rows
    return t


cdef void multiply_rows(Rows x, Rows y, ndarray out) noexcept:
    """Write x @ y in C order."""
    cdef int typenum = cnp.PyArray_TYPE(out)
    cdef npy_intp size = cnp.PyArray_ITEMSIZE(out)
    cdef Matrix into = matrix_of(cnp.PyArray_DATA(out), y.columns * size, size)
    if x.rows * x.columns * y.columns >= RELEASE_GIL:
        with nogil:
            multiply_together(&matmul_loops[typenum], x.matrix, y.matrix, into, x.rows, x.columns, y.columns)
    else:
        multiply(&matmul_loops[typenum], x.matrix, y.matrix, into, x.rows, x.columns, y.columns)


cdef ndarray in_c_order(Rows* m, int typenum):
    """Let the matrix be a copy in C order, which is returned."""
    cdef npy_intp* shape = [m.rows, m.columns]
    cdef ndarray copy = new_array(2, shape, typenum)
    cdef npy_intp size = cnp.PyArray_ITEMSIZE(copy)
    if typenum == NPY_FLOAT:
        turn(<float*>cnp.PyArray_DATA(copy), <float*>m.matrix.data, m.rows, m.columns)
    else:
        turn(<double*>cnp.PyArray_DATA(copy), <double*>m.matrix.data, m.rows, m.columns)
    m.matrix = matrix_of(cnp.PyArray_DATA(copy), m.columns * size, size)
    return copy


cdef void turn(Real* out, const Real* x, npy_intp rows, npy_intp columns) noexcept nogil:
    """A matrix (rows, columns) from one with the axes swapped, in squares that the cache holds."""
    cdef npy_intp r, c, row, column
    for row in range(0, rows, 16):
        for column in range(0, columns, 16):
            for r in range(row, min(row + 16, rows)):
                for c in range(column, min(column + 16, columns)):
                    out[r * columns + c] = x[c * rows + r]


def rows_times(x, matrix, bias, bint turned):
    """``x @ matrix + bias``, or ``x @ matrix.T + bias`` if `turned`, with all axes of x but the last as one; None where this is declined.

    x, matrix and bias, which may be None, are arrays in C order, in float32 or float64.
    """
    cdef Rows a, m, b
    cdef npy_intp shape[64]
    cdef int k, ndim, typenum = read(x, &a)
    cdef ndarray out, _room
    if typenum < 0 or read(matrix, &m) != typenum or cnp.PyArray_NDIM(matrix) != 2:
        return None
    m = transposed(m) if turned else m
    if m.rows != a.columns or bias is not None and (read(bias, &b) != typenum or cnp.PyArray_NDIM(bias) != 1 or b.columns != m.columns):
        return None
    ndim = cnp.PyArray_NDIM(x)
    for k in range(ndim - 1):
        shape[k] = cnp.PyArray_DIM(x, k)
    shape[ndim - 1] = m.columns
    out = new_array(ndim, shape, typenum)
    if turned and a.rows >= MANY:
        _room = in_c_order(&m, typenum)     # OpenBLAS multiplies small blocks of that twice as fast
    multiply_rows(a, m, out)
    if bias is not None:
        add_to_rows(<char*>cnp.PyArray_DATA(out), <char*>b.matrix.data, a.rows, m.columns, typenum == NPY_FLOAT)
    return None if trouble() else out


cdef void add_to_rows(char* out, char* bias, npy_intp rows, npy_intp columns, bint single) noexcept:
    """Add the bias to each row."""
    cdef npy_intp steps[3]
    cdef char* args[3]
    cdef npy_intp _k
    steps[0] = steps[1] = steps[2] = sizeof(float) if single else sizeof(double)
    args[0], args[1] = out, bias
    for _k in range(rows):
        args[2] = args[0]
        sums[single].loop(args, &columns, steps, sums[single].data)
        args[0] += columns * steps[0]


def product_of_rows(g, x):
    """``g.T @ x``, with all axes but the last as one: the sum of what the rows give; None where this is declined."""
    cdef Rows a, b
    cdef npy_intp shape[2]
    cdef int typenum = read(g, &a)
    cdef ndarray out
    if typenum < 0 or read(x, &b) != typenum or a.rows != b.rows:
        return None
    shape[0], shape[1] = a.columns, b.columns
    out = new_array(2, shape, typenum)
    multiply_rows(transposed(a), b, out)
    return None if trouble() else out


def sum_of_rows(g):
    """The sum over all axes but the last; None where this is declined."""
    cdef Rows a
    cdef int typenum = read(g, &a)
    cdef ndarray out
    if typenum < 0:
        return None
    out = new_array(1, &a.columns, typenum)
    with nogil:
        if typenum == NPY_FLOAT:
            add_up(<float*>cnp.PyArray_DATA(out), <float*>a.matrix.data, a.rows, a.columns)
        else:
            add_up(<double*>cnp.PyArray_DATA(out), <double*>a.matrix.data, a.rows, a.columns)
    return None if trouble() else out


cdef void add_up(Real* out, const Real* x, npy_intp rows, npy_intp n) noexcept nogil:
    """Four rows at a time, so that the sums are read and written a quarter as often."""
    cdef npy_intp i, row = 0
    memset(out, 0, n * sizeof(Real))
    while row + 4 <= rows:
        for i in range(n):
            out[i] += (x[i] + x[n + i]) + (x[2 * n + i] + x[3 * n + i])
        x += 4 * n
        row += 4
    while row < rows:
        for i in range(n):
            out[i] += x[i]
        x += n
        row += 1
