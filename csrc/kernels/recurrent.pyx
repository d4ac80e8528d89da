# cython: language_level=3, cdivision=True
"""Recurrent networks: the steps of one layer in one direction, and the way back through them.

What is one product for all steps is left to NumPy, before and after. The sequences do not know of each other, so threads share them. All
arrays but weights are in C order; `rows` are those of all steps, one after the other, and `B` is the number of sequences.

The reference is `composed` in gradnerve/ops/recurrent.py.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.string cimport memcpy, memset
cimport numpy as cnp
from numpy cimport NPY_DOUBLE, NPY_FLOAT, npy_intp

from gradnerve._loops cimport (Kernel, Matrix, find_loop, matmul_loops, matrix as matrix_of, multiply as multiply_any, new_array, recycle,
                               trouble)
from gradnerve._program cimport share, threads

import numpy as np

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum Kind:
    TANH, RELU, LSTM, GRU

cdef enum:
    SHARED = 1048576        # multiplications from which threads share the sequences
    OF_ONE_THREAD = 500000  # with so many in a product, OpenBLAS does not use several threads yet
    FEWEST = 4              # sequences for a thread

cdef struct Weights:        # in any order
    Matrix matrix
    npy_intp rows, columns

cdef struct Job:
    Kind kind
    bint reverse            # the last step is the first to be visited
    npy_intp steps, rows, batch, inputs, hidden, outputs, width     # width: of all gates
    const npy_intp* sizes   # rows of each step
    const Kernel* matmul
    Kernel tanh
    int itemsize
    # forward and back
    char* gates             # (rows, width): what comes from the inputs, then the gates
    Weights w               # (outputs, width); on the way back (width, outputs)
    Weights project         # (hidden, outputs); on the way back (outputs, hidden)
    bint projects           # whether there is `project`
    char* h                 # (B, outputs): the state, or its gradient
    char* c                 # (B, hidden), likewise; or NULL
    char* y                 # (rows, outputs): the outputs, or their gradients
    char* scratch           # (B, width)
    char* h_before          # (rows, outputs)
    char* c_before          # (rows, hidden), LSTM only
    char* kept              # (rows, hidden): tanh(c) of LSTM; of GRU, what n takes of the state
    char* unprojected       # (rows, hidden), or NULL
    # forward only
    char* bias              # (width), and of GRU, hidden more: that of what n takes of the state
    # back only
    char* d_gates           # (rows, width): gradients of what comes from the inputs
    char* d_inner           # (rows, width): of GRU, of what comes from the state
    char* d_projected       # (rows, outputs), or NULL

cdef Kernel tanh_loops[2]       # for float32 and float64
cdef int types[2]
for _double in range(2):
    types[0] = types[1] = NPY_DOUBLE if _double else NPY_FLOAT
    find_loop(np.tanh, types, &tanh_loops[_double])

# ------------------------------------------------------------------------------------------------- NumPy's loops


cdef inline void multiply_matrices(Job* job, void* x, Weights* w, void* out, npy_intp n) noexcept nogil:
    """x @ w, of n rows."""
    multiply_any(job.matmul, matrix_of(x, w.rows * job.itemsize, job.itemsize), w.matrix, matrix_of(out, w.columns * job.itemsize, job.itemsize),
                 n, w.rows, w.columns)


cdef inline void take_tanh(Job* job, void* x, void* out, npy_intp n) noexcept nogil:
    cdef char* args[2]
    cdef npy_intp strides[2]
    args[0], args[1] = <char*>x, <char*>out
    strides[0] = strides[1] = job.itemsize
    job.tanh.loop(args, &n, strides, job.tanh.data)


# --------------------------------------------------------------------- loops over a row, short enough to become vector instructions


cdef inline void add(Real* x, const Real* y, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        x[j] += y[j]


cdef inline void gather(Real* z, const Real* inner, const Real* bias, Real scale, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        z[j] = (z[j] + inner[j] + bias[j]) * scale


cdef inline void to_sigmoid(Real* z, npy_intp n) noexcept nogil:
    """From tanh(x / 2) to sigmoid(x)."""
    cdef Real half = <Real>0.5
    cdef npy_intp j
    for j in range(n):
        z[j] = half * z[j] + half


cdef inline void multiply(Real* out, const Real* x, const Real* y, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        out[j] = x[j] * y[j]


cdef inline void next_cell(Real* c, const Real* i, const Real* f, const Real* g, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        c[j] = f[j] * c[j] + i[j] * g[j]


cdef inline void mix(Real* h, const Real* z, const Real* new, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        h[j] = new[j] + z[j] * (h[j] - new[j])


cdef inline void add_product(Real* z, const Real* x, const Real* y, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        z[j] += x[j] * y[j]


cdef inline void add_two(Real* out, const Real* x, const Real* y, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        out[j] = x[j] + y[j]


# ------------------------------------------------------------------------------------------------------- forward
# b: the first row among the states, r: among the rows of all steps, n: how many


cdef void simple_forward(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, j
    cdef Real* z = <Real*>job.gates + r * size
    cdef Real* inner = <Real*>job.scratch + b * size
    for j in range(n):
        gather(z + j * size, inner + j * size, <Real*>job.bias, 1, size)
    if job.kind == TANH:
        take_tanh(job, z, z, n * size)
    else:
        for j in range(n * size):
            z[j] = <Real>0 if z[j] <= 0 else z[j]       # NaN stays
    memcpy(<Real*>job.h + b * size, z, n * size * sizeof(Real))


cdef void lstm_forward(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, k
    cdef Real* gates = <Real*>job.gates + 4 * r * size
    cdef Real* inner = <Real*>job.scratch + 4 * b * size
    cdef Real* bias = <Real*>job.bias
    cdef Real* c = <Real*>job.c + b * size
    cdef Real* tanh_c = <Real*>job.kept + r * size
    cdef Real* h = <Real*>job.h + b * size if not job.projects else <Real*>job.unprojected + r * size
    cdef Real* z
    cdef Real half = <Real>0.5
    memcpy(<Real*>job.c_before + r * size, c, n * size * sizeof(Real))
    for k in range(n):
        z = gates + 4 * k * size
        gather(z, inner + 4 * k * size, bias, half, 2 * size)
        gather(z + 2 * size, inner + (4 * k + 2) * size, bias + 2 * size, 1, size)
        gather(z + 3 * size, inner + (4 * k + 3) * size, bias + 3 * size, half, size)
    take_tanh(job, gates, gates, 4 * n * size)
    for k in range(n):
        z = gates + 4 * k * size
        to_sigmoid(z, 2 * size)
        to_sigmoid(z + 3 * size, size)
        next_cell(c + k * size, z, z + size, z + 2 * size, size)
    take_tanh(job, c, tanh_c, n * size)
    for k in range(n):
        multiply(h + k * size, gates + (4 * k + 3) * size, tanh_c + k * size, size)
    if job.projects:
        multiply_matrices(job, h, &job.project, <Real*>job.h + b * job.outputs, n)


cdef void gru_forward(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, k
    cdef Real* bias = <Real*>job.bias
    cdef Real* z
    cdef Real* inner
    cdef Real* inner_n
    for k in range(n):
        z = <Real*>job.gates + 3 * (r + k) * size
        inner = <Real*>job.scratch + 3 * (b + k) * size
        inner_n = <Real*>job.kept + (r + k) * size
        gather(z, inner, bias, <Real>0.5, 2 * size)
        take_tanh(job, z, z, 2 * size)
        to_sigmoid(z, 2 * size)
        add_two(inner_n, inner + 2 * size, bias + 3 * size, size)
        add(z + 2 * size, bias + 2 * size, size)
        add_product(z + 2 * size, z, inner_n, size)
        take_tanh(job, z + 2 * size, z + 2 * size, size)
        mix(<Real*>job.h + (b + k) * size, z + size, z + 2 * size, size)


cdef void forward_steps(Job* job, npy_intp first, npy_intp last, Real* real) noexcept nogil:
    """All steps of the sequences first..last."""
    cdef npy_intp k, t, n, r = job.rows if job.reverse else 0, out = job.outputs
    cdef Real* h = <Real*>job.h + first * out
    for k in range(job.steps):
        t = job.steps - 1 - k if job.reverse else k
        if job.reverse:
            r -= job.sizes[t]
        n = min(job.sizes[t], last) - first
        if n > 0:
            memcpy(<Real*>job.h_before + (r + first) * out, h, n * out * sizeof(Real))
            multiply_matrices(job, h, &job.w, <Real*>job.scratch + first * job.width, n)
            if job.kind == LSTM:
                lstm_forward(job, first, r + first, n, real)
            elif job.kind == GRU:
                gru_forward(job, first, r + first, n, real)
            else:
                simple_forward(job, first, r + first, n, real)
            memcpy(<Real*>job.y + (r + first) * out, h, n * out * sizeof(Real))
        if not job.reverse:
            r += job.sizes[t]


# ---------------------------------------------------------------------------------------------------------- back


cdef inline void through_output(Real* dc, Real* d_o, const Real* dh, const Real* o, const Real* tanh_c, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        dc[j] += dh[j] * o[j] * (1 - tanh_c[j] * tanh_c[j])
        d_o[j] = dh[j] * tanh_c[j] * o[j] * (1 - o[j])


cdef inline void through_input(Real* d_i, Real* d_g, const Real* dc, const Real* i, const Real* g, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        d_i[j] = dc[j] * g[j] * i[j] * (1 - i[j])
        d_g[j] = dc[j] * i[j] * (1 - g[j] * g[j])


cdef inline void through_forget(Real* dc, Real* d_f, const Real* c_before, const Real* f, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        d_f[j] = dc[j] * c_before[j] * f[j] * (1 - f[j])
        dc[j] = dc[j] * f[j]


cdef inline void through_mix(Real* d_z, Real* d_n, const Real* dh, const Real* z, const Real* new, const Real* h_before, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        d_z[j] = dh[j] * (h_before[j] - new[j]) * z[j] * (1 - z[j])
        d_n[j] = dh[j] * (1 - z[j]) * (1 - new[j] * new[j])


cdef inline void through_reset(Real* d_r, Real* d_inner, const Real* d_n, const Real* inner, const Real* r, npy_intp n) noexcept nogil:
    cdef npy_intp j
    for j in range(n):
        d_r[j] = d_n[j] * inner[j] * r[j] * (1 - r[j])
        d_inner[j] = d_n[j] * r[j]


cdef void simple_back(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, j
    cdef Real* out = <Real*>job.gates + r * size
    cdef Real* dz = <Real*>job.d_gates + r * size
    cdef Real* dh = <Real*>job.h + b * size
    cdef Real d
    if job.kind == TANH:
        for j in range(n * size):
            dz[j] = dh[j] * (1 - out[j] * out[j])
    else:
        for j in range(n * size):
            d = dh[j]
            dz[j] = d if out[j] > 0 else <Real>0
    multiply_matrices(job, dz, &job.w, dh, n)


cdef void lstm_back(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, out = job.outputs, k
    cdef Real* dz = <Real*>job.d_gates + 4 * r * size
    cdef Real* dh = <Real*>job.h + b * out
    cdef Real* dm = dh
    cdef Real* z
    cdef Real* d
    cdef Real* dc
    if job.projects:
        dm = <Real*>job.scratch + b * job.width
        memcpy(<Real*>job.d_projected + r * out, dh, n * out * sizeof(Real))
        multiply_matrices(job, dh, &job.project, dm, n)
    for k in range(n):
        z, d, dc = <Real*>job.gates + 4 * (r + k) * size, dz + 4 * k * size, <Real*>job.c + (b + k) * size
        through_output(dc, d + 3 * size, dm + k * size, z + 3 * size, <Real*>job.kept + (r + k) * size, size)
        through_input(d, d + 2 * size, dc, z, z + 2 * size, size)
        through_forget(dc, d + size, <Real*>job.c_before + (r + k) * size, z + size, size)
    multiply_matrices(job, dz, &job.w, dh, n)


cdef void gru_back(Job* job, npy_intp b, npy_intp r, npy_intp n, Real* _) noexcept nogil:
    cdef npy_intp size = job.hidden, k
    cdef Real* dh = <Real*>job.h + b * size
    cdef Real* inner = <Real*>job.scratch + b * job.width
    cdef Real* z
    cdef Real* d
    cdef Real* di
    for k in range(n):
        z, d, di = <Real*>job.gates + 3 * (r + k) * size, <Real*>job.d_gates + 3 * (r + k) * size, <Real*>job.d_inner + 3 * (r + k) * size
        through_mix(d + size, d + 2 * size, dh + k * size, z + size, z + 2 * size, <Real*>job.h_before + (r + k) * size, size)
        through_reset(d, di + 2 * size, d + 2 * size, <Real*>job.kept + (r + k) * size, z, size)
        memcpy(di, d, 2 * size * sizeof(Real))
        multiply(dh + k * size, dh + k * size, z + size, size)
    multiply_matrices(job, <Real*>job.d_inner + 3 * r * size, &job.w, inner, n)
    add(dh, inner, n * size)


cdef void back_steps(Job* job, npy_intp first, npy_intp last, Real* real) noexcept nogil:
    """The way back through all steps of the sequences first..last."""
    cdef npy_intp k, t, n, r = 0 if job.reverse else job.rows, out = job.outputs
    for k in range(job.steps):
        t = k if job.reverse else job.steps - 1 - k
        if not job.reverse:
            r -= job.sizes[t]
        n = min(job.sizes[t], last) - first
        if n > 0:
            add(<Real*>job.h + first * out, <Real*>job.y + (r + first) * out, n * out)
            if job.kind == LSTM:
                lstm_back(job, first, r + first, n, real)
            elif job.kind == GRU:
                gru_back(job, first, r + first, n, real)
            else:
                simple_back(job, first, r + first, n, real)
        if job.reverse:
            r += job.sizes[t]


# ------------------------------------------------------------------------------------------------ what Python calls


def matrix(npy_intp rows, npy_intp columns, bint double_precision):
    """A matrix with any numbers in it, float64 or float32; made of memory that `give_back` was given, if there is some."""
    cdef npy_intp[2] shape = [rows, columns]
    return new_array(2, shape, NPY_DOUBLE if double_precision else NPY_FLOAT)


def give_back(list arrays not None):
    """Empty the list. Arrays that nobody else holds will be used again: new memory costs the system as much as filling it."""
    cdef PyObject* last
    while arrays:
        array = arrays.pop()
        last = <PyObject*>array
        Py_INCREF(array)
        array = None
        recycle(last)


cdef void forward_part(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if (<Job*>job).itemsize == sizeof(float):
        forward_steps(<Job*>job, first, last, <float*>NULL)
    else:
        forward_steps(<Job*>job, first, last, <double*>NULL)


cdef void back_part(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if (<Job*>job).itemsize == sizeof(float):
        back_steps(<Job*>job, first, last, <float*>NULL)
    else:
        back_steps(<Job*>job, first, last, <double*>NULL)


cdef bint start(Job* job, kind, bint reverse, sizes, gates, h, c) except -1:
    """The sizes of everything; False declines."""
    cdef npy_intp t, before
    memset(job, 0, sizeof(Job))
    if not (cnp.PyArray_CheckExact(sizes) and cnp.PyArray_ISCARRAY_RO(sizes) and sizes.dtype == np.intp and sizes.ndim == 1 and len(sizes)):
        return False
    if not (cnp.PyArray_CheckExact(gates) and cnp.PyArray_CheckExact(h) and gates.ndim == h.ndim == 2 and gates.dtype in (np.float32, np.float64)):
        return False
    job.kind = {"tanh": TANH, "relu": RELU, "lstm": LSTM, "gru": GRU}[kind]
    job.reverse, job.steps, job.sizes = reverse, len(sizes), <npy_intp*>cnp.PyArray_DATA(sizes)
    job.rows, job.width = gates.shape
    job.batch, job.outputs = h.shape
    job.hidden = job.width // (4 if job.kind == LSTM else 3 if job.kind == GRU else 1)
    job.itemsize = gates.dtype.itemsize
    job.matmul, job.tanh = &matmul_loops[cnp.PyArray_TYPE(gates)], tanh_loops[job.itemsize == sizeof(double)]
    before = job.batch
    for t in range(job.steps):
        if not 0 <= job.sizes[t] <= before:
            return False
        before = job.sizes[t]
    return sizes.sum() == job.rows and (c is not None) == (job.kind == LSTM) and min(job.batch, job.hidden, job.outputs) > 0


cdef bint place(Job* job, char** where, a, npy_intp rows, npy_intp columns) except -1:
    """Let this point to the elements of an array, if it has that size, dtype and order."""
    if not (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY(a) and a.dtype.kind == "f" and a.dtype.itemsize == job.itemsize
            and a.size == rows * columns):
        return False
    where[0] = <char*>cnp.PyArray_DATA(a)
    return True


cdef bint place_matrix(Job* job, Weights* where, a, npy_intp rows, npy_intp columns) except -1:
    """The same for a matrix that is only read, and may have any strides."""
    if not (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISBEHAVED_RO(a) and a.dtype.kind == "f" and a.dtype.itemsize == job.itemsize
            and a.shape == (rows, columns)):
        return False
    where.rows, where.columns, where.matrix = rows, columns, matrix_of(cnp.PyArray_DATA(a), a.strides[0], a.strides[1])
    return True


cdef bint place_common(Job* job, h, c, y, scratch, kept, project) except -1:
    """Those of both ways, but for the matrices."""
    gates, h_before, c_before, other, unprojected = kept
    job.projects = project is not None
    if not (place(job, &job.gates, gates, job.rows, job.width) and place(job, &job.h, h, job.batch, job.outputs)
            and place(job, &job.y, y, job.rows, job.outputs) and place(job, &job.scratch, scratch, job.batch, job.width)
            and place(job, &job.h_before, h_before, job.rows, job.outputs)):
        return False
    if job.kind == LSTM and not (place(job, &job.c, c, job.batch, job.hidden) and place(job, &job.c_before, c_before, job.rows, job.hidden)):
        return False
    if job.kind >= LSTM and not place(job, &job.kept, other, job.rows, job.hidden):
        return False
    if not job.projects:
        return job.outputs == job.hidden
    return job.kind == LSTM and place(job, &job.unprojected, unprojected, job.rows, job.hidden)


cdef npy_intp chunk(Job* job) noexcept nogil:
    """How many sequences a thread takes at a time: so few that BLAS leaves their products to one thread, or else all, and BLAS may share those."""
    cdef npy_intp limit = OF_ONE_THREAD // (job.outputs * job.width)
    cdef npy_intp part = max(FEWEST, quotient_up(job.batch, threads()))
    if threads() == 1 or job.rows * job.outputs * job.width < SHARED or limit < FEWEST:
        return job.batch
    return quotient_up(part, quotient_up(part, limit))


cdef inline npy_intp quotient_up(npy_intp x, npy_intp y) noexcept nogil:
    return (x + y - 1) // y


def forward(kind, reverse, sizes, w, bias, project, h, c, y, scratch, kept):
    """Run through the steps; False declines.

    sizes    how many rows each step has, never more than the step before
    w        (outputs, width), bias (width), of 'gru' (width + hidden), project (hidden, outputs) or None
    h        (B, outputs), c (B, hidden) or None: the states, which are changed
    y        (rows, outputs): receives the outputs
    scratch  (B, width)
    kept     the gates (rows, width), which come as what the inputs give to them; and for `back`, h_before (rows, outputs), c_before, another one,
             and the outputs before their projection, (rows, hidden) each; None where there is none
    """
    cdef Job job
    cdef Job* pointer = &job
    if not (start(&job, kind, reverse, sizes, kept[0], h, c) and place_common(&job, h, c, y, scratch, kept, project)
            and place_matrix(&job, &job.w, w, job.outputs, job.width)
            and (project is None or place_matrix(&job, &job.project, project, job.hidden, job.outputs))
            and place(&job, &job.bias, bias, 1, job.width + (job.hidden if job.kind == GRU else 0))):
        return False
    with nogil:
        share(forward_part, pointer, pointer.batch, chunk(pointer))
    return not trouble()


def back(kind, reverse, sizes, w, project, dh, dc, dy, kept, scratch, d_gates, d_inner, d_projected):
    """Run back through the steps; False declines.

    w            (width, outputs), project (outputs, hidden) or None
    dh, dc       gradients of the last states; receive those of the first
    dy           (rows, outputs): gradients of the outputs
    kept         as `forward` left it
    d_gates      (rows, width): receives the gradients of what comes from the inputs
    d_inner      (rows, width), for 'gru' only: of what comes from the states
    d_projected  (rows, outputs), with `project` only: receives the gradients of the projected outputs
    """
    cdef Job job
    cdef Job* pointer = &job
    if not (start(&job, kind, reverse, sizes, kept[0], dh, dc) and place_common(&job, dh, dc, dy, scratch, kept, project)
            and place_matrix(&job, &job.w, w, job.width, job.outputs)
            and (project is None or place_matrix(&job, &job.project, project, job.outputs, job.hidden))
            and place(&job, &job.d_gates, d_gates, job.rows, job.width)
            and (job.kind != GRU or place(&job, &job.d_inner, d_inner, job.rows, job.width))
            and (project is None or place(&job, &job.d_projected, d_projected, job.rows, job.outputs))):
        return False
    with nogil:
        share(back_part, pointer, pointer.batch, chunk(pointer))
    return not trouble()
