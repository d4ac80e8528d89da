# cython: language_level=3
"""Weighted sums of a few elements along an axis; the reference is `Taps.along` of gradnerve/ops/resampling.py."""
cimport numpy as cnp
from libc.string cimport memcpy
from numpy cimport ndarray, npy_intp

from gradnerve._program cimport share

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    SHARED = 65536      # additions from which threads share the work


cdef struct Map:
    npy_intp size               # elements along the axis that it reads
    npy_intp rows               # and gives
    npy_intp inner              # elements of the axes behind
    npy_intp* starts            # of the taps of each row
    npy_intp* places            # of the taps
    double* weights             # NULL: every row is a copy of one element
    void* x
    void* out


cdef void sum_of(const Real* x, Real* out, const Map* a, npy_intp first, npy_intp end) noexcept nogil:
    """One row, where there are no axes behind."""
    cdef npy_intp k
    cdef Real total = 0
    if first < end:
        total = x[a.places[first]] * <Real>a.weights[first]
    for k in range(first + 1, end):
        total += x[a.places[k]] * <Real>a.weights[k]
    out[0] = total


cdef void sums_of(const Real* x, Real* out, const Map* a, npy_intp first, npy_intp end) noexcept nogil:
    """One row, which lies side by side with those of the axes behind."""
    cdef npy_intp k, i, n = a.inner
    cdef const Real* row
    cdef Real weight
    if first == end:
        for i in range(n):
            out[i] = 0
    for k in range(first, end):
        row, weight = x + a.places[k] * n, <Real>a.weights[k]
        if k == first:
            for i in range(n):
                out[i] = row[i] * weight
        else:
            for i in range(n):
                out[i] += row[i] * weight


cdef void run(void* job, Py_ssize_t first, Py_ssize_t last, Real* kind) noexcept nogil:
    """The rows from first to last, of all axes in front."""
    cdef const Map* a = <const Map*>job
    cdef npy_intp _, row = first % a.rows
    cdef const Real* x = <const Real*>a.x + first // a.rows * a.size * a.inner
    cdef Real* out = <Real*>a.out + first * a.inner
    for _ in range(first, last):
        if a.weights == NULL:
            if a.inner == 1:
                out[0] = x[a.places[row]]
            else:
                memcpy(out, x + a.places[row] * a.inner, a.inner * sizeof(Real))
        elif a.inner == 1:
            sum_of(x, out, a, a.starts[row], a.starts[row + 1])
        else:
            sums_of(x, out, a, a.starts[row], a.starts[row + 1])
        out += a.inner
        row += 1
        if row == a.rows:
            row = 0
            x += a.size * a.inner


cdef void run_floats(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: run(job, first, last, <float*>NULL)
cdef void run_doubles(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: run(job, first, last, <double*>NULL)


cdef bint is_row(object x, int typenum):
    return isinstance(x, ndarray) and cnp.PyArray_TYPE(x) == typenum and cnp.PyArray_NDIM(x) == 1 and cnp.PyArray_ISCARRAY_RO(x)


cdef bint in_range(Map* a, npy_intp count) noexcept nogil:
    """Whether the taps of the rows follow each other, up to the last, and read elements that there are."""
    cdef npy_intp k
    cdef bint outside = a.starts[0] < 0 or a.starts[a.rows] != count
    for k in range(a.rows):
        outside |= a.starts[k] > a.starts[k + 1]
    for k in range(count):
        outside |= (a.places[k] < 0) | (a.places[k] >= a.size)
    return not outside


def along(x, taps, int axis):
    """What `taps.along(x, axis)` gives; None for anything but floats and doubles."""
    starts, places, weights = taps.starts, taps.places, taps.weights
    if not isinstance(x, ndarray) or cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISBEHAVED_RO(x):
        return None
    if not is_row(starts, cnp.NPY_INTP) or not is_row(places, cnp.NPY_INTP) or not (weights is None or is_row(weights, cnp.NPY_DOUBLE)):
        return None
    if not 0 <= axis < x.ndim or x.shape[axis] != taps.size:
        return None
    cdef ndarray whole = cnp.PyArray_GETCONTIGUOUS(x)
    cdef npy_intp shape[64]
    cdef npy_intp outer = 1, n, count = len(places)
    cdef int k, ndim = cnp.PyArray_NDIM(whole)
    cdef Map a
    a.size, a.rows, a.inner = taps.size, len(starts) - 1, 1
    a.starts, a.places = <npy_intp*>cnp.PyArray_DATA(starts), <npy_intp*>cnp.PyArray_DATA(places)
    if a.rows < 0 or count != (a.rows if weights is None else len(weights)) or not in_range(&a, count):
        return None
    for k in range(ndim):
        shape[k] = a.rows if k == axis else whole.shape[k]
        if k < axis:
            outer *= shape[k]
        elif k > axis:
            a.inner *= shape[k]
    cdef ndarray out = cnp.PyArray_EMPTY(ndim, shape, cnp.PyArray_TYPE(whole), 0)
    a.weights = NULL if weights is None else <double*>cnp.PyArray_DATA(weights)
    a.x, a.out = cnp.PyArray_DATA(whole), cnp.PyArray_DATA(out)
    n = outer * a.rows
    cdef npy_intp chunk = max(1, n // 16) if outer * count * a.inner >= SHARED else max(1, n)    # no more than there are: alone
    cdef bint double_ = cnp.PyArray_TYPE(whole) == cnp.NPY_DOUBLE
    if n and a.inner:
        with nogil:
            share(run_doubles if double_ else run_floats, &a, n, chunk)
    return out
