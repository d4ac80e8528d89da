# cython: language_level=3
"""Attention, a head at a time, so that its weights stay in the cache and are never stored; the reference is gradnerve/ops/attention.py."""
from libc.math cimport INFINITY
from libc.string cimport memset
cimport numpy as cnp
from numpy cimport NPY_DOUBLE, NPY_FLOAT, ndarray, npy_intp

from gradnerve._loops cimport Kernel, Matrix, array_of_shape, find_loop, matmul_loops, matrix, multiply, new_array, trouble, well_behaved
from gradnerve._program cimport share, threads

import numpy as np

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    LANES = 16          # sums and maxima that are found side by side
    SHARED = 16384      # elements of all weights from which threads share the heads

cdef Kernel exponentials[2]     # NumPy's loops for float64 and float32
cdef int types[2]
for _single in range(2):
    types[0] = types[1] = NPY_FLOAT if _single else NPY_DOUBLE
    find_loop(np.exp, types, &exponentials[_single])

cdef struct View:
    char* data
    npy_intp steps[4]       # bytes from example to example, head to head, row to row, element to element

cdef struct Job:
    View q, k, v, mask, out, dq, dk, dv     # `out` is that of the result, or of its gradient
    npy_intp heads, rows, keys, width, value_width
    double scale
    char* scratch
    npy_intp room           # bytes of it for each thread
    const Kernel* matmul
    bint single


cdef bint read(object x, int typenum, View* view) noexcept:
    """Write down an array with four axes; False if it is none of this dtype."""
    cdef int k
    if not cnp.PyArray_CheckExact(x) or cnp.PyArray_NDIM(x) != 4 or cnp.PyArray_TYPE(x) != typenum or not well_behaved(x):
        return False
    view.data = <char*>cnp.PyArray_DATA(x)
    for k in range(4):
        view.steps[k] = cnp.PyArray_STRIDE(x, k)
    return True


cdef inline Matrix head(View* view, Job* job, npy_intp n) noexcept nogil:
    """The matrix of one head of one example."""
    return matrix(view.data + n // job.heads * view.steps[0] + n % job.heads * view.steps[1], view.steps[2], view.steps[3])


cdef inline Matrix transposed(Matrix m) noexcept nogil:
    return matrix(m.data, m.column, m.row)


cdef Real largest(const Real* x, npy_intp n) noexcept nogil:
    """The largest element that is no NaN, or -inf."""
    cdef Real lanes[LANES]
    cdef Real found = -INFINITY
    cdef npy_intp i, k, blocks = n // LANES
    for k in range(LANES):
        lanes[k] = found
    for i in range(blocks):
        for k in range(LANES):
            lanes[k] = x[i * LANES + k] if x[i * LANES + k] > lanes[k] else lanes[k]
    for i in range(blocks * LANES, n):
        found = x[i] if x[i] > found else found
    for k in range(LANES):
        found = lanes[k] if lanes[k] > found else found
    return found


cdef Real total(const Real* x, const Real* y, npy_intp n) noexcept nogil:
    """The sum of the products, or of the elements of x where y is NULL."""
    cdef Real lanes[LANES]
    cdef Real found = 0
    cdef npy_intp i, k, blocks = n // LANES
    for k in range(LANES):
        lanes[k] = 0
    for i in range(blocks):
        if y == NULL:
            for k in range(LANES):
                lanes[k] += x[i * LANES + k]
        else:
            for k in range(LANES):
                lanes[k] += x[i * LANES + k] * y[i * LANES + k]
    for i in range(blocks * LANES, n):
        found += x[i] if y == NULL else x[i] * y[i]
    for k in range(LANES):
        found += lanes[k]
    return found


cdef void add_mask(Real* row, Real scale, const char* mask, npy_intp step, npy_intp n) noexcept nogil:
    """Scale a row and add its mask, which may be one number for all."""
    cdef npy_intp j
    cdef Real one
    if step == sizeof(Real):
        for j in range(n):
            row[j] = row[j] * scale + (<const Real*>mask)[j]
    elif step == 0:
        one = (<const Real*>mask)[0]
        for j in range(n):
            row[j] = row[j] * scale + one
    else:
        for j in range(n):
            row[j] = row[j] * scale + (<const Real*>(mask + j * step))[0]


cdef void weigh(Job* job, npy_intp n, Real* weights, Real* inverse) noexcept nogil:
    """The weights of one head, before they are multiplied by `inverse` of their row: 0 where the mask leaves nothing."""
    cdef npy_intp i, j, size = job.rows * job.keys
    cdef Real top, scale = <Real>job.scale
    cdef Real* row
    cdef Matrix mask = head(&job.mask, job, n)
    cdef char* args[2]
    cdef npy_intp steps[2]
    multiply(job.matmul, head(&job.q, job, n), transposed(head(&job.k, job, n)), matrix(weights, job.keys * sizeof(Real), sizeof(Real)),
             job.rows, job.width, job.keys)
    for i in range(job.rows):
        row = weights + i * job.keys
        if job.mask.data != NULL:
            add_mask(row, scale, <char*>mask.data + i * mask.row, mask.column, job.keys)
        else:
            for j in range(job.keys):
                row[j] *= scale
        top = largest(row, job.keys)
        if top == INFINITY or top == -INFINITY:
            top = 0
        for j in range(job.keys):
            row[j] -= top
    args[0] = args[1] = <char*>weights
    steps[0] = steps[1] = sizeof(Real)
    exponentials[job.single].loop(args, &size, steps, exponentials[job.single].data)
    for i in range(job.rows):
        top = total(weights + i * job.keys, <const Real*>NULL, job.keys)
        inverse[i] = 0 if top == 0 else 1 / top


cdef void attend_head(Job* job, npy_intp n, Real* weights) noexcept nogil:
    cdef Real* inverse = weights + job.rows * job.keys
    cdef Matrix out = head(&job.out, job, n)
    cdef Real* row
    cdef npy_intp i, j
    weigh(job, n, weights, inverse)
    multiply(job.matmul, matrix(weights, job.keys * sizeof(Real), sizeof(Real)), head(&job.v, job, n), out, job.rows, job.keys, job.value_width)
    for i in range(job.rows):
        row = <Real*>(<char*>out.data + i * out.row)
        for j in range(job.value_width):
            row[j] *= inverse[i]


cdef void differentiate_head(Job* job, npy_intp n, Real* weights) noexcept nogil:
    """The gradients of one head: those of the weights first, then of the scaled products."""
    cdef Real* inverse = weights + job.rows * job.keys
    cdef Real* slopes = inverse + job.rows
    cdef npy_intp i, j
    cdef Matrix g = head(&job.out, job, n), by_rows = matrix(slopes, job.keys * sizeof(Real), sizeof(Real))
    cdef Real* row
    cdef Real* slope
    cdef Real mean, scale = <Real>job.scale
    weigh(job, n, weights, inverse)
    for i in range(job.rows):
        row = weights + i * job.keys
        for j in range(job.keys):
            row[j] *= inverse[i]
    multiply(job.matmul, matrix(weights, sizeof(Real), job.keys * sizeof(Real)), g, head(&job.dv, job, n), job.keys, job.rows, job.value_width)
    multiply(job.matmul, g, transposed(head(&job.v, job, n)), by_rows, job.rows, job.value_width, job.keys)
    for i in range(job.rows):
        row, slope = weights + i * job.keys, slopes + i * job.keys
        mean = total(row, slope, job.keys)
        for j in range(job.keys):
            slope[j] = row[j] * (slope[j] - mean) * scale
    multiply(job.matmul, by_rows, head(&job.k, job, n), head(&job.dq, job, n), job.rows, job.keys, job.width)
    multiply(job.matmul, transposed(by_rows), head(&job.q, job, n), head(&job.dk, job, n), job.keys, job.rows, job.width)


cdef void run_part(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Some heads: their results, or if there is room for gradients, these."""
    cdef Job* job = <Job*>what
    cdef char* scratch = job.scratch + thread * job.room
    cdef Py_ssize_t n
    for n in range(first, last):
        if job.dq.data == NULL and job.single:
            attend_head(job, n, <float*>scratch)
        elif job.dq.data == NULL:
            attend_head(job, n, <double*>scratch)
        elif job.single:
            differentiate_head(job, n, <float*>scratch)
        else:
            differentiate_head(job, n, <double*>scratch)


cdef bint run(Job* job, object q, object k, object v, object mask, double scale, object out, tuple gradients) except -1:
    """Write down the job, and do it in all threads; False if an array is none that we take, or NumPy may have something to warn of."""
    cdef int typenum
    cdef npy_intp count, size, room
    cdef ndarray scratch
    if not cnp.PyArray_CheckExact(q) or cnp.PyArray_TYPE(q) not in (NPY_FLOAT, NPY_DOUBLE):
        return False
    typenum = cnp.PyArray_TYPE(q)
    memset(&job.mask, 0, sizeof(View))      # no mask has no steps either
    if not (read(q, typenum, &job.q) and read(k, typenum, &job.k) and read(v, typenum, &job.v) and read(out, typenum, &job.out)
            and (mask is None or read(mask, typenum, &job.mask))):
        return False
    if gradients and not (read(gradients[0], typenum, &job.dq) and read(gradients[1], typenum, &job.dk) and read(gradients[2], typenum, &job.dv)):
        return False
    n, heads, rows, width = q.shape
    keys, value_width = k.shape[2], v.shape[3]
    if not (k.shape == (n, heads, keys, width) and v.shape == (n, heads, keys, value_width) and out.shape == (n, heads, rows, value_width)
            and (mask is None or mask.shape == (n, heads, rows, keys))
            and (not gradients or [a.shape for a in gradients] == [q.shape, k.shape, v.shape])
            and all([cnp.PyArray_ISWRITEABLE(a) for a in gradients or (out,)])):
        return False
    job.heads, job.rows, job.width = cnp.PyArray_DIM(q, 1), cnp.PyArray_DIM(q, 2), cnp.PyArray_DIM(q, 3)
    job.keys, job.value_width, job.scale, job.single = cnp.PyArray_DIM(k, 2), cnp.PyArray_DIM(v, 3), scale, typenum == NPY_FLOAT
    size = job.rows * job.keys
    count = cnp.PyArray_DIM(q, 0) * job.heads
    if job.width == 0 or job.value_width == 0 or size == 0 or job.out.steps[3] != cnp.PyArray_ITEMSIZE(q):
        return False
    job.matmul = &matmul_loops[typenum]
    room = (2 if gradients else 1) * size + job.rows + 64 // cnp.PyArray_ITEMSIZE(q)
    job.room = room * cnp.PyArray_ITEMSIZE(q)
    room *= threads()
    scratch = new_array(1, &room, typenum)
    job.scratch = <char*>cnp.PyArray_DATA(scratch)
    with nogil:
        share(run_part, job, count, 1 if count * size >= SHARED else max(count, 1))
    return not trouble()


def attend(q, k, v, mask, double scale, out):
    """``softmax(scale * q @ k.mT + mask) @ v``, of arrays (N, heads, length, width), into `out`; returns whether it was done.

    All have one dtype, float32 or float64, and shapes that fit; the mask may be None. `out` has its elements side by side.
    """
    cdef Job job
    job.dq.data = NULL
    return run(&job, q, k, v, mask, scale, out, ())


def differentiate(g, q, k, v, mask, double scale, dq, dk, dv):
    """Write the gradients by q, k and v; returns whether it was done."""
    cdef Job job
    return run(&job, q, k, v, mask, scale, g, (dq, dk, dv))


def empty(tuple shape not None, ndarray like not None):
    """An array like another one in dtype, from the pool, in C order; its values are anything."""
    return array_of_shape(shape, cnp.PyArray_TYPE(like))
