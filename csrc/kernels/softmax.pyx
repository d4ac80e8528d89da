# cython: language_level=3, cdivision=True
"""Softmax, its logarithm and the cross entropy with labels, along the rows of one axis: several rows at a time, in the cache.

The arithmetic is NumPy's own inner loops, in the order in which ops/network.py writes them, so the values have the same bits as there, along
the last axis. Rows along another one are copied there and back. What is not a float32 or float64 array in C order is declined: None.
"""
from cpython.object cimport PyObject
from libc.math cimport isfinite, INFINITY
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
cimport numpy as cnp
from numpy cimport NPY_DOUBLE, NPY_FLOAT, NPY_INT64, ndarray, npy_intp

from gradnerve._loops cimport (NPY_ARRAY_CARRAY_RO, RELEASE_GIL, Kernel, find_loop, is_plain, new_array, same_dims, trouble)
from gradnerve._program cimport share, threads

import numpy as np

cnp.import_array()

cdef enum:
    BLOCK = 4096        # elements that go through all steps before the next rows; a longer row goes by itself
    CHUNK = 32768       # elements that a thread takes at a time
    SHARED = 65536      # elements from which threads share the rows

cdef enum:
    ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, EXP, LOG, N_STEPS

cdef Kernel steps[2][N_STEPS]       # of float32, of float64

ctypedef fused real:
    float
    double

cdef struct Job:
    int typenum, what
    npy_intp n, rows, block     # the length of a row, how many there are, and how many go together
    npy_intp inner              # the step from one element of a row to the next
    char* x                     # the input; on the way back from a softmax, its result
    char* g                     # on the way back: the gradient
    npy_intp g_step             # from one row's to the next, if there is one for each row only; 0 if there is a single one
    double count                # which divides that
    int64_t* labels
    int64_t ignored
    char* out
    char* scratch               # for each thread: a block or a row, and two numbers for each row of a block
    npy_intp room               # bytes

cdef enum:
    SOFTMAX, LOG_SOFTMAX, LABEL_ENTROPY, SOFTMAX_BACK, LOG_SOFTMAX_BACK, LABEL_ENTROPY_BACK


cdef int find_steps() except -1:
    cdef int types[3]
    cdef int k, step
    for k in range(2):
        for step, function in enumerate([np.add, np.subtract, np.multiply, np.divide, np.maximum, np.exp, np.log]):
            types[0] = types[1] = types[2] = NPY_DOUBLE if k else NPY_FLOAT
            if not find_loop(function, types, &steps[k][step]):
                raise ImportError(f"NumPy has no loop of {function} for {'float64' if k else 'float32'}")
    return 0


find_steps()


# -------------------------------------------------------------------------------------------------- steps on rows


cdef inline void unary(int step, real* x, real* out, npy_intp n) noexcept nogil:
    cdef Kernel* kernel = &steps[sizeof(real) == 8][step]
    cdef char* args[2]
    cdef npy_intp strides[2]
    args[0], args[1] = <char*>x, <char*>out
    strides[0] = strides[1] = sizeof(real)
    kernel.loop(args, &n, strides, kernel.data)


cdef inline void binary(int step, real* x, real* y, npy_intp y_step, real* out, npy_intp n) noexcept nogil:
    cdef Kernel* kernel = &steps[sizeof(real) == 8][step]
    cdef char* args[3]
    cdef npy_intp strides[3]
    args[0], args[1], args[2] = <char*>x, <char*>y, <char*>out
    strides[0] = strides[2] = sizeof(real)
    strides[1] = y_step * <npy_intp>sizeof(real)
    kernel.loop(args, &n, strides, kernel.data)


cdef inline void with_number(int step, real* x, real y, real* out, npy_intp n) noexcept nogil:
    binary(step, x, &y, 0, out, n)


cdef inline real over(int step, real* x, npy_intp n, real start) noexcept nogil:
    """The sum or the largest element of a row, and of `start`."""
    cdef Kernel* kernel = &steps[sizeof(real) == 8][step]
    cdef char* args[3]
    cdef npy_intp strides[3]
    cdef real total = start
    args[0] = args[2] = <char*>&total
    args[1] = <char*>x
    strides[0] = strides[2] = 0
    strides[1] = sizeof(real)
    kernel.loop(args, &n, strides, kernel.data)
    return total


cdef void below_zero(real* x, real* out, real* tops, npy_intp rows, npy_intp n) noexcept nogil:
    """Each row less its largest element, unless that is infinite or NaN."""
    cdef npy_intp r
    for r in range(rows):
        tops[r] = over(MAXIMUM, x + r * n, n, <real>-INFINITY)
        if not isfinite(tops[r]):
            tops[r] = 0
        with_number(SUBTRACT, x + r * n, tops[r], out + r * n, n)


cdef void exponentials(real* below, real* out, real* sums, npy_intp rows, npy_intp n) noexcept nogil:
    """The exponentials of rows, and their sums."""
    cdef npy_intp r
    unary(EXP, below, out, rows * n)
    for r in range(rows):
        sums[r] = over(ADD, out + r * n, n, <real>0)


# ------------------------------------------------------------------------------------------------- blocks of rows


cdef void softmax_block(real* x, real* out, real* sums, real* tops, npy_intp rows, npy_intp n) noexcept nogil:
    cdef npy_intp r
    below_zero(x, out, tops, rows, n)
    exponentials(out, out, sums, rows, n)
    for r in range(rows):
        with_number(DIVIDE, out + r * n, sums[r], out + r * n, n)


cdef void log_softmax_block(real* x, real* out, real* scratch, real* sums, real* tops, npy_intp rows, npy_intp n) noexcept nogil:
    cdef npy_intp r
    below_zero(x, out, tops, rows, n)
    exponentials(out, scratch, sums, rows, n)
    unary(LOG, sums, sums, rows)
    for r in range(rows):
        with_number(SUBTRACT, out + r * n, sums[r], out + r * n, n)


cdef void label_entropy_block(Job* job, real* x, npy_intp first, real* scratch, real* sums, real* tops, npy_intp rows, npy_intp n) noexcept nogil:
    """A number for each row goes straight to the result."""
    cdef npy_intp r
    cdef int64_t label
    cdef real* out = <real*>job.out + first
    below_zero(x, scratch, tops, rows, n)
    exponentials(scratch, scratch, sums, rows, n)
    unary(LOG, sums, sums, rows)
    for r in range(rows):
        label = job.labels[first + r]
        out[r] = 0 if label == job.ignored else sums[r] - (x[r * n + label] - tops[r])


cdef void softmax_back_block(real* x, real* g, real* out, real* sums, npy_intp rows, npy_intp n) noexcept nogil:
    """``out * (g - sum(g * out))``"""
    cdef npy_intp r
    binary(MULTIPLY, g, x, 1, out, rows * n)
    for r in range(rows):
        sums[r] = over(ADD, out + r * n, n, <real>0)
        with_number(SUBTRACT, g + r * n, sums[r], out + r * n, n)
    binary(MULTIPLY, x, out, 1, out, rows * n)


cdef void log_softmax_back_block(real* x, real* g, real* out, real* sums, npy_intp rows, npy_intp n) noexcept nogil:
    """``g - exp(out) * sum(g)``"""
    cdef npy_intp r
    unary(EXP, x, out, rows * n)
    for r in range(rows):
        sums[r] = over(ADD, g + r * n, n, <real>0)
        with_number(MULTIPLY, out + r * n, sums[r], out + r * n, n)
    binary(SUBTRACT, g, out, 1, out, rows * n)


cdef void label_entropy_back_block(Job* job, real* x, npy_intp first, real* out, real* sums, real* tops, npy_intp rows, npy_intp n) noexcept nogil:
    """``g * (softmax - one_hot)``"""
    cdef npy_intp r
    cdef int64_t label
    cdef real g
    below_zero(x, out, tops, rows, n)
    exponentials(out, out, sums, rows, n)
    for r in range(rows):
        label = job.labels[first + r]
        if label == job.ignored:
            memset(out + r * n, 0, n * sizeof(real))
            continue
        g = <real>((<real*>(job.g + (first + r) * job.g_step))[0] / <real>job.count)
        with_number(MULTIPLY, out + r * n, g / sums[r], out + r * n, n)
        out[r * n + label] -= g


cdef void copy_rows(Job* job, char* array, npy_intp first, npy_intp rows, real* block, bint back) noexcept nogil:
    """Copy rows that do not lie along the last axis into a block, or back."""
    cdef npy_intp r, k, last, inner = job.inner, n = job.n
    cdef real* start
    while rows > 0:
        last = min(rows, inner - first % inner)         # as many as lie side by side
        start = <real*>array + first // inner * inner * n + first % inner
        for k in range(n):
            for r in range(last):
                if back:
                    start[k * inner + r] = block[r * n + k]
                else:
                    block[r * n + k] = start[k * inner + r]
        block += last * n
        first += last
        rows -= last


cdef void run_rows(Job* job, int thread, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef npy_intp rows, n = job.n
    cdef int what = job.what
    cdef real* sums = <real*>(job.scratch + thread * job.room)
    cdef real* tops = sums + job.block
    cdef real* scratch = tops + job.block
    cdef real* x = scratch + job.block * n
    cdef real* out = x + job.block * n
    cdef real* g = out + job.block * n
    while first < last:
        rows = min(job.block, last - first)
        if job.inner == 1:
            x, out, g = <real*>job.x + first * n, <real*>job.out + first * n, <real*>job.g + first * n
        else:
            copy_rows(job, job.x, first, rows, x, False)
            if what == SOFTMAX_BACK or what == LOG_SOFTMAX_BACK:
                copy_rows(job, job.g, first, rows, g, False)
        if what == SOFTMAX: softmax_block(x, out, sums, tops, rows, n)
        elif what == LOG_SOFTMAX: log_softmax_block(x, out, scratch, sums, tops, rows, n)
        elif what == LABEL_ENTROPY: label_entropy_block(job, x, first, scratch, sums, tops, rows, n)
        elif what == SOFTMAX_BACK: softmax_back_block(x, g, out, sums, rows, n)
        elif what == LOG_SOFTMAX_BACK: log_softmax_back_block(x, g, out, sums, rows, n)
        else: label_entropy_back_block(job, x, first, out, sums, tops, rows, n)
        if job.inner != 1 and what != LABEL_ENTROPY:
            copy_rows(job, job.out, first, rows, out, True)
        first += rows


cdef void part(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if (<Job*>job).typenum == NPY_FLOAT:
        run_rows(<Job*>job, thread, first, last, <float*>NULL)
    else:
        run_rows(<Job*>job, thread, first, last, <double*>NULL)


# ------------------------------------------------------------------------------------------------------------ calls


cdef bint takes(object x, object axis, Job* job) noexcept:
    """Whether these are rows for this file."""
    cdef int ndim, k, place
    if not cnp.PyArray_CheckExact(x) or type(axis) is not int:
        return False
    job.typenum = cnp.PyArray_TYPE(<ndarray>x)
    ndim = cnp.PyArray_NDIM(<ndarray>x)
    if (job.typenum != NPY_FLOAT and job.typenum != NPY_DOUBLE or not is_plain(<PyObject*>x, job.typenum, NPY_ARRAY_CARRAY_RO)
            or not -ndim <= axis < ndim or cnp.PyArray_SIZE(<ndarray>x) == 0):
        return False
    place = axis + ndim if axis < 0 else axis
    job.n, job.inner = cnp.PyArray_DIM(<ndarray>x, place), 1
    for k in range(place + 1, ndim):
        job.inner *= cnp.PyArray_DIM(<ndarray>x, k)
    job.rows = cnp.PyArray_SIZE(<ndarray>x) // job.n
    job.x = job.g = <char*>cnp.PyArray_DATA(<ndarray>x)
    return True


cdef object run(Job* job, int what, ndarray out):
    """Fill `out`; None if there is a warning to give, which NumPy does."""
    cdef char stack[BLOCK * 8 + 1024]
    cdef npy_intp size = job.n * job.rows, copies = 0
    job.what, job.out = what, <char*>cnp.PyArray_DATA(out)
    if job.inner > 1:
        copies = 4
    elif what == LOG_SOFTMAX or what == LABEL_ENTROPY:
        copies = 1
    job.block = max(min(BLOCK // job.n, job.rows), <npy_intp>(16 if job.inner > 1 else 1))      # side by side, to read whole cache lines
    job.room = job.block * (2 + copies * job.n) * (4 if job.typenum == NPY_FLOAT else 8)
    job.room = (job.room + 63) // 64 * 64       # a cache line belongs to one thread
    if size < SHARED and job.room <= <npy_intp>sizeof(stack):
        job.scratch = stack
        if size >= RELEASE_GIL:
            with nogil:
                part(job, 0, 0, job.rows)
        else:
            part(job, 0, 0, job.rows)
        return None if trouble() else out
    job.scratch = <char*>malloc(job.room * threads())
    if job.scratch == NULL:
        raise MemoryError("no memory for rows of a softmax")
    with nogil:
        if size < SHARED:
            part(job, 0, 0, job.rows)
        else:
            share(part, job, job.rows, max(CHUNK // job.n, <npy_intp>1))
    free(job.scratch)
    return None if trouble() else out


def softmax(x, axis=-1):
    """``exp(x) / sum(exp(x))`` of each row."""
    cdef Job job
    return run(&job, SOFTMAX, like(x)) if takes(x, axis, &job) else None


def log_softmax(x, axis=-1):
    """``x - log(sum(exp(x)))`` of each row."""
    cdef Job job
    return run(&job, LOG_SOFTMAX, like(x)) if takes(x, axis, &job) else None


def softmax_back(g, out, axis):
    """The gradient by x, from that of the result."""
    cdef Job job
    return back(&job, SOFTMAX_BACK, g, out) if takes(out, axis, &job) else None


def log_softmax_back(g, out, axis):
    """The gradient by x, from that of the result."""
    cdef Job job
    return back(&job, LOG_SOFTMAX_BACK, g, out) if takes(out, axis, &job) else None


cdef object back(Job* job, int what, g, out):
    if not fitting(g, job) or not same_dims(<PyObject*>g, <PyObject*>out):
        return None
    job.g = <char*>cnp.PyArray_DATA(<ndarray>g)
    return run(job, what, like(out))


cdef ndarray like(x):
    return new_array(cnp.PyArray_NDIM(<ndarray>x), cnp.PyArray_DIMS(<ndarray>x), cnp.PyArray_TYPE(<ndarray>x))


cdef bint fitting(g, Job* job) noexcept:
    return cnp.PyArray_CheckExact(g) and is_plain(<PyObject*>g, job.typenum, NPY_ARRAY_CARRAY_RO)


# ----------------------------------------------------------------------------------------------------------- labels


def labels_that_count(target, classes, ignore_index):
    """How many are not `ignore_index`; -1 if others are no classes, or not in int64 and in C order, so that somebody has to look at them."""
    return count_labels(target, classes, ignore_index)


cdef npy_intp count_labels(target, int64_t classes, int64_t ignored) except -2:
    """How many labels there are that are not ignored; -1 if there are others than classes."""
    cdef int64_t* labels
    cdef npy_intp k, n, counted = 0
    cdef bint wrong = False
    if not cnp.PyArray_CheckExact(target) or not is_plain(<PyObject*>target, NPY_INT64, NPY_ARRAY_CARRAY_RO):
        return -1
    labels = <int64_t*>cnp.PyArray_DATA(<ndarray>target)
    n = cnp.PyArray_SIZE(<ndarray>target)
    for k in range(n):
        if labels[k] != ignored:
            counted += 1
            wrong |= labels[k] < 0 or labels[k] >= classes
    return -1 if wrong else counted


cdef npy_intp with_labels(Job* job, logits, target, ignore_index, axis) except -2:
    """How many labels count; -1 declines."""
    if not takes(logits, axis, job) or not cnp.PyArray_CheckExact(target) or cnp.PyArray_SIZE(<ndarray>target) != job.rows:
        return -1
    job.labels, job.ignored = <int64_t*>cnp.PyArray_DATA(<ndarray>target), ignore_index
    return count_labels(target, job.n, job.ignored)


def label_entropy(logits, target, ignore_index, reduction, axis):
    """``log(sum(exp(x))) - x[label]`` of each row, their sum or their mean."""
    cdef Job job
    cdef ndarray each, out
    cdef npy_intp count = with_labels(&job, logits, target, ignore_index, axis)
    if count < 0:
        return None
    each = run(&job, LABEL_ENTROPY, new_array(cnp.PyArray_NDIM(<ndarray>target), cnp.PyArray_DIMS(<ndarray>target), job.typenum))
    if each is None or reduction == "none":
        return each
    if reduction == "mean" and count == 0:
        return None
    out = new_array(0, NULL, job.typenum)
    if job.typenum == NPY_FLOAT:
        (<float*>cnp.PyArray_DATA(out))[0] = over(ADD, <float*>job.out, job.rows, <float>0) / (<float>count if reduction == "mean" else <float>1)
    else:
        (<double*>cnp.PyArray_DATA(out))[0] = over(ADD, <double*>job.out, job.rows, <double>0) / (<double>count if reduction == "mean" else 1.0)
    return None if trouble() else out


def label_entropy_back(g, logits, target, ignore_index, reduction, axis):
    """The gradient by the logits, from that of the rows, of their sum or of their mean."""
    cdef Job job
    cdef npy_intp count = with_labels(&job, logits, target, ignore_index, axis)
    if count < 0 or not fitting(g, &job) or cnp.PyArray_SIZE(<ndarray>g) != (job.rows if reduction == "none" else 1):
        return None
    job.g = <char*>cnp.PyArray_DATA(<ndarray>g)
    job.g_step = cnp.PyArray_ITEMSIZE(<ndarray>g) if reduction == "none" else 0
    job.count = count if reduction == "mean" and count else 1
    return run(&job, LABEL_ENTROPY_BACK, like(logits))
