# cython: language_level=3, cdivision=True
"""NumPy's own inner loops, called directly: the same bits without the cost of a ufunc call.

A ufunc object carries the C loops that NumPy itself would call (``numpy/ufuncobject.h``). This file finds them, steps
through broadcast and strided arrays for them, and adds the few loops that are no ufunc: casts and ``where``.
Whatever it does not handle it declines, and the caller lets NumPy do it.

Next: csrc/program.pyx, which strings loops together.
"""
cimport cython
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport uint32_t, uint64_t
cimport numpy as cnp
from numpy cimport NPY_BOOL, NPY_CDOUBLE, NPY_CFLOAT, NPY_DOUBLE, NPY_FLOAT, ndarray, npy_intp

import numpy as np

cnp.import_array()
cnp.import_umath()

cdef extern from "numpy/ufuncobject.h":
    ctypedef struct PyUFuncObject:
        int nin, nout, nargs, ntypes
        Loop* functions
        void** data
        const char* types

cdef extern from "<fenv.h>" nogil:
    int FE_ALL_EXCEPT, FE_DIVBYZERO, FE_INVALID, FE_OVERFLOW, FE_UNDERFLOW
    int feclearexcept(int)
    int fetestexcept(int)

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyArray_Descr
    ndarray PyArray_NewFromDescr(PyTypeObject* kind, PyArray_Descr* dtype, int ndim, npy_intp* dims, npy_intp* strides, void* data,
                                 int flags, PyObject* like)
    enum: NPY_ARRAY_ALIGNED

cdef extern from "numpy/ndarraytypes.h":
    ctypedef struct PyArrayObject_fields:
        PyObject* weakreflist

cdef extern from "Python.h":
    Py_ssize_t REFCOUNT "Py_REFCNT"(PyObject*)
    object take "(PyObject*)"(PyObject*)        # a reference that was ours becomes the caller's
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1

# ------------------------------------------------------------------------------------------- arrays, used again

cdef enum:
    STACKS = 64                 # by shape and dtype
    DEPTH = 1024                # arrays in one stack
    LARGEST = 16777216          # bytes of an array that is kept: 16 MiB
    POOL_BYTES = 67108864       # of all arrays that are kept: 64 MiB

cdef PyObject* pool[STACKS][DEPTH]
cdef int pool_top[STACKS]
cdef npy_intp pooled = 0         # bytes
cdef int next_to_drop = 0        # a stack
cdef npy_intp largest = LARGEST  # -1 while no array is kept

for _num in range(TYPES):
    _dtype = cnp.PyArray_DescrFromType(_num)
    Py_INCREF(_dtype)
    plain_dtypes[<int>_num] = <PyObject*>_dtype


@cython.overflowcheck(False)      # a hash may wrap around
cdef inline int stack_of(int ndim, npy_intp* dims, int typenum) noexcept:
    cdef int k
    cdef size_t h = typenum
    for k in range(ndim):
        h = h * 31 + <size_t>dims[k]
    return <int>((h ^ (h >> 7)) % STACKS)


cdef bint is_like(PyObject* a, int ndim, npy_intp* dims, int typenum) noexcept:
    """Whether an array of the pool has the dtype and the shape; it gets the steps of a new one: along an axis of length 1 they may be any."""
    cdef int k
    cdef npy_intp step = PyArray_ITEMSIZE(<PyArrayObject*>a)
    if PyArray_TYPE(<PyArrayObject*>a) != typenum or PyArray_NDIM(<PyArrayObject*>a) != ndim:
        return False
    for k in range(ndim - 1, -1, -1):
        if PyArray_DIMS(<PyArrayObject*>a)[k] != dims[k]:
            return False
        PyArray_STRIDES(<PyArrayObject*>a)[k] = step
        step *= dims[k] if dims[k] else 1
    return True


cdef ndarray new_array(int ndim, npy_intp* dims, int typenum):
    """An uninitialised array in C order, from a pool if possible.

    Making a small array costs NumPy more than adding two; the memory of a large one costs the system as much as filling it.
    """
    cdef PyObject* kept = from_pool(stack_of(ndim, dims, typenum))
    if kept != NULL and is_like(kept, ndim, dims, typenum):
        return <ndarray>take(kept)
    Py_XDECREF(kept)            # of another shape: make room
    try:
        return cnp.PyArray_SimpleNew(ndim, dims, typenum)
    except MemoryError:
        empty_pool()
        return cnp.PyArray_SimpleNew(ndim, dims, typenum)


cdef ndarray array_of_shape(tuple shape, int typenum):
    cdef npy_intp dims[MAX_DIMS]
    cdef int k
    if len(shape) > MAX_DIMS:
        raise ValueError(f"an array has at most {MAX_DIMS} axes, not {len(shape)}")
    for k in range(<int>len(shape)):
        dims[k] = shape[k]
    return new_array(<int>len(shape), dims, typenum)


cdef PyObject* from_pool(int stack) noexcept:
    """The array on top of a stack, with the pool's reference to it; NULL if there is none."""
    global pooled
    cdef PyObject* kept
    if pool_top[stack] == 0:
        return NULL
    pool_top[stack] -= 1
    kept = pool[stack][pool_top[stack]]     # first: while lines are traced, a call may let others use the pool
    pooled -= bytes_of(kept)
    return kept


def empty_pool():
    """Give back the memory of all arrays that are kept to be used again; returns how many bytes that was."""
    cdef npy_intp before = pooled
    cdef int stack
    for stack in range(STACKS):
        while pool_top[stack]:
            Py_XDECREF(from_pool(stack))
    return before


def keep_arrays(bint on):
    """Whether arrays that nobody needs any more are kept to be used again; off, the pool is emptied, too. Returns what it was."""
    global largest
    before = largest >= 0
    largest = LARGEST if on else -1
    if not on:
        empty_pool()
    return before


cdef void make_room(npy_intp size) noexcept:
    """Drop arrays of one stack after the other, until so many bytes fit: some stacks hold what NumPy has made, and nobody asks for."""
    global next_to_drop
    while pooled + size > POOL_BYTES:
        next_to_drop = (next_to_drop + 1) % STACKS
        Py_XDECREF(from_pool(next_to_drop))


cdef void recycle(PyObject* value) noexcept:
    """Drop a reference to something; if it is an array that nobody else knows of, keep it for `new_array`."""
    cdef int stack, typenum
    cdef npy_intp size
    global pooled
    if value == NULL:
        return
    if REFCOUNT(value) == 1 and is_array(value):
        typenum = PyArray_TYPE(<PyArrayObject*>value)
        size = bytes_of(value)
        if (typenum < TYPES and is_plain(value, typenum, NPY_ARRAY_CARRAY | NPY_ARRAY_OWNDATA) and size <= largest
                and (<PyArrayObject_fields*>value).weakreflist == NULL):
            make_room(size)
            stack = stack_of(PyArray_NDIM(<PyArrayObject*>value), PyArray_DIMS(<PyArrayObject*>value), typenum)
            if pool_top[stack] < DEPTH:
                pool[stack][pool_top[stack]] = value
                pool_top[stack] += 1
                pooled += size
                return
    Py_DECREF(<object>value)


cdef char* take_scratch(npy_intp size, PyObject** owner) except NULL:
    cdef ndarray room = new_array(1, &size, cnp.NPY_BYTE)
    Py_INCREF(room)
    owner[0] = <PyObject*>room
    return <char*>cnp.PyArray_DATA(room)


# ------------------------------------------------------------------------------------------------ finding loops


cdef bint find_loop(object ufunc, int* types, Kernel* kernel) except -1:
    """The loop whose input types are exactly types[:nin]; types[nin:] receives the result types."""
    cdef PyUFuncObject* u
    cdef int loop, k
    if type(ufunc) is not np.ufunc:
        raise TypeError(f"{ufunc!r} is not a ufunc")
    u = <PyUFuncObject*>ufunc
    for loop in range(u.ntypes):
        for k in range(u.nin):
            if u.types[loop * u.nargs + k] != types[k]:
                break
        else:
            if u.functions[loop] == NULL:
                return False
            kernel.loop = u.functions[loop]
            kernel.data = u.data[loop] if u.data != NULL else NULL
            kernel.nargs = u.nargs
            for k in range(u.nin, u.nargs):
                types[k] = u.types[loop * u.nargs + k]
            return True
    return False


ctypedef fused Source:
    cnp.npy_bool
    float
    double
    float complex

ctypedef fused Target:
    float
    double
    float complex
    double complex


cdef void cast_loop(char** args, npy_intp n, const npy_intp* strides, Source* source, Target* target) noexcept nogil:
    cdef char* x = args[0]
    cdef char* out = args[1]
    cdef npy_intp i
    for i in range(n):
        (<Target*>(out + i * strides[1]))[0] = <Target>(<Source*>(x + i * strides[0]))[0]


cdef void bool_to_float(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <cnp.npy_bool*>NULL, <float*>NULL)


cdef void bool_to_double(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <cnp.npy_bool*>NULL, <double*>NULL)


cdef void bool_to_cfloat(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <cnp.npy_bool*>NULL, <float complex*>NULL)


cdef void bool_to_cdouble(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <cnp.npy_bool*>NULL, <double complex*>NULL)


cdef void float_to_double(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <float*>NULL, <double*>NULL)


cdef void float_to_cfloat(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <float*>NULL, <float complex*>NULL)


cdef void float_to_cdouble(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <float*>NULL, <double complex*>NULL)


cdef void double_to_cdouble(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <double*>NULL, <double complex*>NULL)


cdef void cfloat_to_cdouble(char** a, const npy_intp* n, const npy_intp* s, void* _) noexcept nogil:
    cast_loop(a, n[0], s, <float complex*>NULL, <double complex*>NULL)


cdef bint find_cast(int source, int target, Kernel* kernel) noexcept:
    """A loop that copies `source` elements into `target` elements without loss."""
    cdef Loop loop = NULL
    if source == NPY_BOOL and target == NPY_FLOAT: loop = bool_to_float
    elif source == NPY_BOOL and target == NPY_DOUBLE: loop = bool_to_double
    elif source == NPY_BOOL and target == NPY_CFLOAT: loop = bool_to_cfloat
    elif source == NPY_BOOL and target == NPY_CDOUBLE: loop = bool_to_cdouble
    elif source == NPY_FLOAT and target == NPY_DOUBLE: loop = float_to_double
    elif source == NPY_FLOAT and target == NPY_CFLOAT: loop = float_to_cfloat
    elif source == NPY_FLOAT and target == NPY_CDOUBLE: loop = float_to_cdouble
    elif source == NPY_DOUBLE and target == NPY_CDOUBLE: loop = double_to_cdouble
    elif source == NPY_CFLOAT and target == NPY_CDOUBLE: loop = cfloat_to_cdouble
    kernel.loop = loop
    kernel.data = NULL
    kernel.nargs = 2
    return loop != NULL


cdef void select_loop(char** args, npy_intp n, const npy_intp* s, Target* kind) noexcept nogil:
    cdef char* c = args[0]
    cdef char* x = args[1]
    cdef char* y = args[2]
    cdef char* out = args[3]
    cdef Target taken, other
    cdef npy_intp i, size = sizeof(Target)
    cdef bint packed = s[0] == 1 and s[3] == size       # then the compiler makes vector instructions of these, and no branches
    if packed and s[1] == size and s[2] == size:
        for i in range(n):
            taken, other = (<Target*>x)[i], (<Target*>y)[i]
            (<Target*>out)[i] = taken if c[i] else other
        return
    if packed and s[1] == size and s[2] == 0:
        other = (<Target*>y)[0]
        for i in range(n):
            taken = (<Target*>x)[i]
            (<Target*>out)[i] = taken if c[i] else other
        return
    if packed and s[1] == 0 and s[2] == size:
        taken = (<Target*>x)[0]
        for i in range(n):
            other = (<Target*>y)[i]
            (<Target*>out)[i] = taken if c[i] else other
        return
    if packed and s[1] == 0 and s[2] == 0:
        taken, other = (<Target*>x)[0], (<Target*>y)[0]
        for i in range(n):
            (<Target*>out)[i] = taken if c[i] else other
        return
    for i in range(n):
        taken = (<Target*>(x + i * s[1]))[0]
        other = (<Target*>(y + i * s[2]))[0]
        (<Target*>(out + i * s[3]))[0] = taken if c[i * s[0]] else other


cdef void select_float(char** a, const npy_intp* n, const npy_intp* s, void* data) noexcept nogil: select_loop(a, n[0], s, <float*>NULL)
cdef void select_double(char** a, const npy_intp* n, const npy_intp* s, void* data) noexcept nogil: select_loop(a, n[0], s, <double*>NULL)
cdef void select_cfloat(char** a, const npy_intp* n, const npy_intp* s, void* data) noexcept nogil: select_loop(a, n[0], s, <float complex*>NULL)
cdef void select_cdouble(char** a, const npy_intp* n, const npy_intp* s, void* data) noexcept nogil: select_loop(a, n[0], s, <double complex*>NULL)


cdef bint find_select(int typenum, Kernel* kernel) noexcept:
    """The loop of ``np.where(condition, x, y)``."""
    cdef Loop loop = NULL
    if typenum == NPY_FLOAT: loop = select_float
    elif typenum == NPY_DOUBLE: loop = select_double
    elif typenum == NPY_CFLOAT: loop = select_cfloat
    elif typenum == NPY_CDOUBLE: loop = select_cdouble
    kernel.loop = loop
    kernel.data = NULL
    kernel.nargs = 4
    return loop != NULL


# ----------------------------------------------------------------------------------- arrays and numbers as operands


cdef bint well_behaved(ndarray a) noexcept:
    """Aligned and in the machine's byte order: what an inner loop may read."""
    return cnp.PyArray_ISBEHAVED_RO(a)


cdef bint store_number(PyObject* value, int typenum, void* where) except -1:
    """Write a Python float or int as one element of the dtype (a weak scalar); False declines."""
    cdef double number
    cdef int overflow = 0
    if PyFloat_CheckExact(<object>value):
        number = PyFloat_AS_DOUBLE(<object>value)
    elif PyLong_CheckExact(<object>value):
        whole = PyLong_AsLongLongAndOverflow(<object>value, &overflow)
        if overflow or not -(1 << 53) <= whole <= (1 << 53):
            return False
        number = <double>whole
    else:
        return False
    if typenum == NPY_DOUBLE:
        (<double*>where)[0] = number
    elif typenum == NPY_FLOAT:
        if number > 3e38 or number < -3e38:     # NumPy has its own word on what overflows
            return False
        (<float*>where)[0] = <float>number
    else:
        return False
    return True


cdef bint start_walk(Walk* walk, PyObject** values, int n) noexcept:
    """Broadcast the arrays among `values` (numbers have stride 0 and their base already set); False if they do not fit."""
    cdef int k, axis, ndim = 0, offset
    cdef npy_intp dim
    cdef ndarray a
    walk.noperands = n
    for k in range(n):
        if cnp.PyArray_CheckExact(<object>values[k]):
            ndim = max(ndim, cnp.PyArray_NDIM(<ndarray>values[k]))
    walk.ndim = ndim
    for axis in range(ndim):
        walk.dims[axis] = 1
    for k in range(n):
        for axis in range(ndim):
            walk.strides[k][axis] = 0
        if not cnp.PyArray_CheckExact(<object>values[k]):
            continue
        a = <ndarray>values[k]
        walk.base[k] = <char*>cnp.PyArray_DATA(a)
        offset = ndim - cnp.PyArray_NDIM(a)
        for axis in range(offset, ndim):
            dim = cnp.PyArray_DIM(a, axis - offset)
            if dim == 1:
                continue
            if walk.dims[axis] == 1:
                walk.dims[axis] = dim
            elif walk.dims[axis] != dim:
                return False
            walk.strides[k][axis] = cnp.PyArray_STRIDE(a, axis - offset)
    return True


cdef bint in_c_order(Walk* walk) noexcept:
    """Whether NumPy, too, would lay the result out in C order: no operand steps further along a later axis."""
    cdef int k, axis
    cdef npy_intp stride, last
    for k in range(walk.noperands):
        last = 0
        for axis in range(walk.ndim - 1, -1, -1):
            stride = walk.strides[k][axis]
            if stride == 0 or walk.dims[axis] == 1:
                continue
            if stride < last:       # also every negative stride
                return False
            last = stride
    return True


cdef void simplify(Walk* walk) noexcept:
    """Drop axes of length 1 and merge neighbours that every operand steps through evenly."""
    cdef int k, axis, last = -1
    cdef npy_intp dim
    cdef bint merges
    for axis in range(walk.ndim):
        dim = walk.dims[axis]
        if dim == 1:
            continue
        merges = last >= 0
        for k in range(walk.noperands if merges else 0):
            if walk.strides[k][last] != walk.strides[k][axis] * walk.dims[axis]:
                merges = False
                break
        if not merges:
            last += 1
            walk.dims[last] = 1
        walk.dims[last] *= dim
        for k in range(walk.noperands):
            walk.strides[k][last] = walk.strides[k][axis]
    if last < 0:
        last = 0
        walk.dims[0] = 1
        for k in range(walk.noperands):
            walk.strides[k][0] = 0
    walk.ndim = last + 1


cdef bint next_row(Walk* walk, npy_intp* counter, char** base) noexcept nogil:
    """Move `base` to the next row, a row being the last axis; False at the end."""
    cdef int k, axis
    for axis in range(walk.ndim - 2, -1, -1):
        counter[axis] += 1
        for k in range(walk.noperands):
            base[k] += walk.strides[k][axis]
        if counter[axis] < walk.dims[axis]:
            return True
        counter[axis] = 0
        for k in range(walk.noperands):
            base[k] -= walk.strides[k][axis] * walk.dims[axis]
    return False


# --------------------------------------------------------------------------------------- sums, matrix products

cdef int fill(Kernel* loops, object ufunc) except -1:
    cdef int types[3]
    cdef int typenum
    for typenum in range(TYPES):
        types[0] = types[1] = typenum
        if not find_loop(ufunc, types, &loops[typenum]) or types[2] != typenum:
            loops[typenum].loop = NULL
    return 0


fill(add_loops, np.add)
fill(matmul_loops, np.matmul)


cdef inline Loop loop_of(Kernel* loops, int typenum) noexcept:
    return loops[typenum].loop if 0 <= typenum < TYPES else NULL


cdef ndarray add_arrays(ndarray a, ndarray b, bint in_place, bint keep_gil):
    """``a + b`` for two arrays of one shape and dtype, written into `a` when it is ours to write."""
    cdef int typenum = cnp.PyArray_TYPE(a)
    cdef Loop loop = loop_of(add_loops, typenum)
    cdef char* args[3]
    cdef npy_intp strides[3]
    cdef npy_intp n
    cdef ndarray out
    if (loop == NULL or not is_plain(<PyObject*>a, typenum, NPY_ARRAY_CARRAY_RO) or not is_plain(<PyObject*>b, typenum, NPY_ARRAY_CARRAY_RO)
            or not same_dims(<PyObject*>a, <PyObject*>b)):
        return np.asarray(np.add(a, b, out=a if in_place else None))
    out = a if in_place else new_array(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), typenum)
    args[0] = <char*>cnp.PyArray_DATA(a)
    args[1] = <char*>cnp.PyArray_DATA(b)
    args[2] = <char*>cnp.PyArray_DATA(out)
    strides[0] = strides[1] = strides[2] = cnp.PyArray_ITEMSIZE(a)
    n = product(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a))
    if n >= RELEASE_GIL and not keep_gil:
        with nogil:
            loop(args, &n, strides, add_loops[typenum].data)
    else:
        loop(args, &n, strides, add_loops[typenum].data)
    return out


cdef void sum_rows(Walk* walk, Kernel kernel) noexcept nogil:
    cdef npy_intp counter[MAX_DIMS]
    cdef char* base[OPERANDS]
    cdef char* args[3]
    cdef npy_intp strides[3]
    cdef npy_intp n = walk.dims[walk.ndim - 1]
    cdef int axis
    for axis in range(walk.ndim):
        counter[axis] = 0
        if walk.dims[axis] == 0:
            return
    base[0], base[1] = walk.base[0], walk.base[1]
    strides[0] = strides[2] = walk.strides[0][walk.ndim - 1]
    strides[1] = walk.strides[1][walk.ndim - 1]
    while True:
        args[0] = args[2] = base[0]
        args[1] = base[1]
        kernel.loop(args, &n, strides, kernel.data)
        if not next_row(walk, counter, base):
            return


cdef ndarray sum_to_shape(ndarray a, int ndim, npy_intp* dims):
    """Undo broadcasting: add up `a` along the axes that shape `dims` does not have; None if it does not fit."""
    cdef int typenum = cnp.PyArray_TYPE(a)
    cdef int offset = cnp.PyArray_NDIM(a) - ndim, axis
    cdef Walk walk
    cdef PyObject* values[2]
    cdef ndarray out
    if offset < 0:
        return None
    for axis in range(ndim):
        if dims[axis] != 1 and dims[axis] != cnp.PyArray_DIM(a, axis + offset):
            return None
    out = cnp.PyArray_ZEROS(ndim, dims, typenum, 0)
    if loop_of(add_loops, typenum) == NULL or not well_behaved(a):
        axes = tuple([axis for axis in range(a.ndim) if axis < offset or dims[axis - offset] != cnp.PyArray_DIM(a, axis)])
        np.copyto(out, np.add.reduce(a, axes, keepdims=True).reshape(np.shape(out)))
        return out
    values[0] = <PyObject*>out
    values[1] = <PyObject*>a
    start_walk(&walk, values, 2)
    simplify(&walk)
    if cnp.PyArray_SIZE(a) >= RELEASE_GIL:
        with nogil:
            sum_rows(&walk, add_loops[typenum])
    else:
        sum_rows(&walk, add_loops[typenum])
    return out


def full_sum(x, axis=None, dtype=None, keepdims=False, initial=np._NoValue, where=True):
    """The sum of all elements through the loop that np.sum would use; None for anything but an array in C order."""
    cdef int typenum
    cdef ndarray out
    cdef npy_intp n
    cdef char* args[3]
    cdef npy_intp strides[3]
    if not cnp.PyArray_CheckExact(x) or axis is not None or dtype is not None or keepdims or initial is not np._NoValue or where is not True:
        return None
    typenum = cnp.PyArray_TYPE(<ndarray>x)
    n = bytes_of(<PyObject*>x) // cnp.PyArray_ITEMSIZE(<ndarray>x)
    if typenum not in (NPY_FLOAT, NPY_DOUBLE) or not is_plain(<PyObject*>x, typenum, NPY_ARRAY_CARRAY_RO) or n == 0:
        return None
    out = new_array(0, NULL, typenum)
    args[0] = args[2] = <char*>cnp.PyArray_DATA(out)
    args[1] = <char*>cnp.PyArray_DATA(<ndarray>x)
    if typenum == NPY_DOUBLE:
        (<double*>args[0])[0] = 0.0
    else:
        (<float*>args[0])[0] = 0.0
    strides[0] = strides[2] = 0
    strides[1] = cnp.PyArray_ITEMSIZE(<ndarray>x)
    if n >= RELEASE_GIL:
        with nogil:
            add_loops[typenum].loop(args, &n, strides, add_loops[typenum].data)
    else:
        add_loops[typenum].loop(args, &n, strides, add_loops[typenum].data)
    return None if trouble() else out


def broadcast_view(x, shape, subok=False):
    """``np.broadcast_to(x, shape)``: a view that repeats elements with stride 0; None where NumPy has to look at it."""
    cdef npy_intp dims[MAX_DIMS]
    cdef npy_intp strides[MAX_DIMS]
    cdef int ndim, offset, k
    cdef npy_intp dim
    if not cnp.PyArray_CheckExact(x) or type(shape) is not tuple or not max(1, cnp.PyArray_NDIM(x)) <= len(<tuple>shape) <= MAX_DIMS:
        return None
    ndim = <int>len(<tuple>shape)
    offset = ndim - cnp.PyArray_NDIM(x)
    for k in range(ndim):
        if not PyLong_CheckExact(shape[k]):
            return None
        dims[k] = shape[k]
        dim = cnp.PyArray_DIM(x, k - offset) if k >= offset else 1
        if dims[k] < 0 or dim != 1 and dim != dims[k]:
            return None
        strides[k] = cnp.PyArray_STRIDE(x, k - offset) if k >= offset and dim == dims[k] else 0
    dtype = <object>PyArray_DESCR(<PyArrayObject*>x)
    Py_INCREF(dtype)            # the new array takes a reference
    view = PyArray_NewFromDescr(<PyTypeObject*>ndarray, <PyArray_Descr*><PyObject*>dtype, ndim, dims, strides, cnp.PyArray_DATA(x),
                                NPY_ARRAY_ALIGNED, NULL)
    cnp.set_array_base(view, x)
    return view


def matrix_product(x, y):
    """``x @ y`` through the loop of np.matmul; None for anything but fitting matrices or vectors of one dtype."""
    return matmul_or_none(<ndarray>x, <ndarray>y) if cnp.PyArray_CheckExact(x) and cnp.PyArray_CheckExact(y) else None


cdef ndarray matmul_or_none(ndarray x, ndarray y):
    cdef int typenum = cnp.PyArray_TYPE(x), nx = cnp.PyArray_NDIM(x), ny = cnp.PyArray_NDIM(y), ndim = 0
    cdef Loop loop = loop_of(matmul_loops, typenum)
    cdef npy_intp size = cnp.PyArray_ITEMSIZE(x)
    cdef npy_intp shape[2]
    cdef npy_intp dims[4]
    cdef npy_intp strides[9]
    cdef char* args[3]
    cdef ndarray out
    if (loop == NULL or cnp.PyArray_TYPE(y) != typenum or not 1 <= nx <= 2 or not 1 <= ny <= 2
            or not well_behaved(x) or not well_behaved(y) or cnp.PyArray_DIM(x, nx - 1) != cnp.PyArray_DIM(y, 0)):
        return None
    dims[0] = 1
    dims[1] = cnp.PyArray_DIM(x, 0) if nx == 2 else 1
    dims[2] = cnp.PyArray_DIM(y, 0)
    dims[3] = cnp.PyArray_DIM(y, 1) if ny == 2 else 1
    if nx == 2:
        shape[ndim] = dims[1]
        ndim += 1
    if ny == 2:
        shape[ndim] = dims[3]
        ndim += 1
    out = new_array(ndim, shape, typenum)
    args[0] = <char*>cnp.PyArray_DATA(x)
    args[1] = <char*>cnp.PyArray_DATA(y)
    args[2] = <char*>cnp.PyArray_DATA(out)
    strides[0] = strides[1] = strides[2] = 0
    strides[3] = cnp.PyArray_STRIDE(x, 0) if nx == 2 else dims[2] * size
    strides[4] = cnp.PyArray_STRIDE(x, nx - 1)
    strides[5] = cnp.PyArray_STRIDE(y, 0)
    strides[6] = cnp.PyArray_STRIDE(y, 1) if ny == 2 else size
    strides[7] = dims[3] * size
    strides[8] = size
    if dims[1] * dims[2] * dims[3] >= RELEASE_GIL:
        with nogil:
            loop(args, dims, strides, matmul_loops[typenum].data)
    else:
        loop(args, dims, strides, matmul_loops[typenum].data)
    return None if trouble() else out


# ------------------------------------------------------------------------------------------- floating-point trouble

cdef extern from *:
    """
    static int gradnerve_pending(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    int pending_error "gradnerve_pending"() except -1


cdef bint all_finite(ndarray a) except -1:
    """Whether no element is infinite or NaN: none has all bits of the exponent set."""
    cdef const uint64_t* doubles = <const uint64_t*>cnp.PyArray_DATA(a)
    cdef const uint32_t* singles = <const uint32_t*>cnp.PyArray_DATA(a)
    cdef Py_ssize_t k, n = cnp.PyArray_SIZE(a)
    cdef int kind = cnp.PyArray_TYPE(a)
    cdef uint64_t found = 0
    cdef uint32_t found_single = 0
    if not cnp.PyArray_ISCARRAY_RO(a) or kind not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE, cnp.NPY_CFLOAT, cnp.NPY_CDOUBLE):
        return np.isfinite(a).all()
    if kind == cnp.NPY_CFLOAT or kind == cnp.NPY_CDOUBLE:
        n *= 2
    if kind == cnp.NPY_DOUBLE or kind == cnp.NPY_CDOUBLE:
        for k in range(n):
            found |= (doubles[k] & <uint64_t>0x7FF0000000000000) + <uint64_t>0x0010000000000000     # carries into the sign bit
    else:
        for k in range(n):
            found_single |= (singles[k] & <uint32_t>0x7F800000) + <uint32_t>0x00800000
    return not (found >> 63 or found_single >> 31)


cdef bint trouble() except -1:
    """Whether a loop has raised a floating-point flag that np.errstate does not ignore. NumPy's own call then warns or raises.

    A loop of SciPy's may also have raised an exception, which then is raised here.
    """
    pending_error()
    cdef int flags = fetestexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW)
    if flags == 0:
        return False
    clear_trouble()
    modes = np.geterr()
    return (flags & FE_DIVBYZERO and modes["divide"] != "ignore" or flags & FE_INVALID and modes["invalid"] != "ignore"
            or flags & FE_OVERFLOW and modes["over"] != "ignore" or flags & FE_UNDERFLOW and modes["under"] != "ignore")


cdef void clear_trouble() noexcept:
    if fetestexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW):
        feclearexcept(FE_ALL_EXCEPT)
