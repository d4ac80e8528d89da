# cython: language_level=3
"""Pooling: the places of maxima, gathering from planes and scattering into them, sums over windows and the way back.

Planes have one to three axes, which the callers complete to three; what the windows of a plane hold is said in gradnerve/ops/pooling.py,
which also has all of this in NumPy. Everything is done plane by plane, and threads share the planes.
"""
from math import prod

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from gradnerve._loops cimport array_of_shape, product
from gradnerve._program cimport Part, share

cnp.import_array()

cdef enum:
    CHUNK = 8192            # elements that a thread takes at a time
    SHARED = 16384          # elements from which threads share the planes
    LARGEST = 1048576       # windows beyond are none of ours

ctypedef fused real:
    float
    double

ctypedef fused index:       # as wide as the numbers, so that both fit into vectors of the same length
    int32_t
    int64_t

cdef enum Kind:
    SEARCH, TAKE, PUT, SUM, SPREAD

cdef struct Job:
    Kind kind
    int typenum
    const char* x
    char* out
    const int64_t* places
    int64_t* found
    npy_intp elements       # of a plane that is read from, or added to
    npy_intp results        # places or windows of a plane
    bint adds               # PUT: where a place comes twice
    bint wrong              # a place is in no plane, or there is no memory
    npy_intp size[3]        # of a plane
    npy_intp shape[3]       # how many windows there are along each axis
    npy_intp step[3]        # from one element of a window to the next
    const npy_intp* table   # first[0], stop[0], first[1], ... one after the other
    npy_intp tables         # how many there are: one for all planes, or one for each
    npy_intp length         # of one of them
    npy_intp origin, kernel, stride     # along the last axis, if the windows there are regular: kernel > 0
    npy_intp* ranges        # of these, see find_ranges
    bint squares            # all windows are whole squares of four elements, next to one another along the rows


cdef inline const npy_intp* table_of(Job* job, npy_intp plane, int axis) noexcept nogil:
    """Where the windows of a plane begin along an axis; where they stop comes after that."""
    cdef const npy_intp* table = job.table + plane % job.tables * job.length
    cdef int k
    for k in range(axis):
        table += 2 * job.shape[k]
    return table


cdef void find_ranges(Job* job, npy_intp* ranges) noexcept nogil:
    """For each k, the first regular window whose k-th element is inside the row, and how many there are: divisions are slow."""
    cdef npy_intp k, place
    for k in range(job.kernel):
        place = job.origin + k * job.step[2]
        ranges[2 * k] = 0 if place >= 0 else (-place + job.stride - 1) // job.stride
        place = job.size[2] - 1 - place
        ranges[2 * k + 1] = 0 if place < 0 else max(min(place // job.stride + 1, job.shape[2]) - ranges[2 * k], <npy_intp>0)


cdef bint are_squares(Job* job) noexcept nogil:
    """Whether all windows are of the most frequent kind."""
    cdef const npy_intp* first = table_of(job, 0, 1)
    cdef npy_intp h
    for h in range(job.shape[1]):
        if first[job.shape[1] + h] - first[h] != 2:
            return False
    return (job.size[0] == 1 and job.kernel == 2 and job.stride == 2 and job.origin == 0 and job.step[1] == 1 and job.step[2] == 1
            and 2 * job.shape[2] <= job.size[2] and job.tables == 1)


# --- maxima ----------------------------------------------------------------------------------------------------------


cdef inline void keep_larger(const real* x, npy_intp stride, real* best, index* places, index place, npy_intp n) noexcept nogil:
    """One element of each window, against the best so far; NaN is the largest."""
    cdef npy_intp o
    cdef real value
    cdef bint larger
    for o in range(n):
        value = x[o * stride]
        larger = (value > best[o]) | (value != value)
        best[o] = value if larger else best[o]
        places[o] = <index>(place + o * stride) if larger else places[o]


cdef inline void search_row(Job* job, const real* x, const npy_intp** first, npy_intp d, npy_intp h, real* best, index* places) noexcept nogil:
    """A row of regular windows: all first elements, then all second ones, and so on."""
    cdef npy_intp i, j, k, o, start, n, row, row_place
    cdef npy_intp* shape = job.shape
    row = (first[0][d] * job.size[1] + first[1][h]) * job.size[2]
    for o in range(shape[2]):
        best[o] = -INFINITY
        places[o] = <index>(row + first[2][o])
    i = first[0][d]
    while i < first[0][shape[0] + d]:
        j = first[1][h]
        while j < first[1][shape[1] + h]:
            row = (i * job.size[1] + j) * job.size[2]
            for k in range(job.kernel):
                start, n = job.ranges[2 * k], job.ranges[2 * k + 1]
                row_place = row + job.origin + k * job.step[2] + start * job.stride
                if job.stride == 1:
                    keep_larger(x + row_place, 1, best + start, places + start, <index>row_place, n)
                elif job.stride == 2:
                    keep_larger(x + row_place, 2, best + start, places + start, <index>row_place, n)
                else:
                    keep_larger(x + row_place, job.stride, best + start, places + start, <index>row_place, n)
            j += job.step[1]
        i += job.step[0]


cdef inline void search_squares(const real* x, index width, int64_t* found, npy_intp place, npy_intp n) noexcept nogil:
    """A row of squares; the row below `x` is `width` further on."""
    cdef npy_intp o
    cdef index where
    cdef const real* below = x + width
    cdef real best, value
    cdef bint larger
    for o in range(n):
        best, where = x[2 * o], 0
        value = x[2 * o + 1]
        larger = (value > best) | (value != value)
        best, where = value if larger else best, 1 if larger else where
        value = below[2 * o]
        larger = (value > best) | (value != value)
        best, where = value if larger else best, width if larger else where
        value = below[2 * o + 1]
        larger = (value > best) | (value != value)
        where = width + 1 if larger else where
        found[o] = place + 2 * o + where


cdef inline void search_window(Job* job, const real* x, const npy_intp** first, npy_intp d, npy_intp h, npy_intp o, real* best,
                               int64_t* place) noexcept nogil:
    """Any window."""
    cdef npy_intp i, j, k, row
    cdef real value
    cdef npy_intp* shape = job.shape
    best[0] = -INFINITY
    place[0] = (first[0][d] * job.size[1] + first[1][h]) * job.size[2] + first[2][o]
    i = first[0][d]
    while i < first[0][shape[0] + d]:
        j = first[1][h]
        while j < first[1][shape[1] + h]:
            row = (i * job.size[1] + j) * job.size[2]
            k = first[2][o]
            while k < first[2][shape[2] + o]:
                value = x[row + k]
                if value > best[0] or value != value:
                    best[0] = value
                    place[0] = row + k
                k += job.step[2]
            j += job.step[1]
        i += job.step[0]


cdef void search_planes(Job* job, const real* x, npy_intp plane, npy_intp end, index* scratch) noexcept nogil:
    """The places of some planes; `scratch` has room for a row of places and of numbers."""
    cdef npy_intp d, h, o, place
    cdef const npy_intp* first[3]
    cdef int64_t* found
    cdef real* best = <real*>(scratch + job.shape[2])
    while plane < end:
        for d in range(3):
            first[d] = table_of(job, plane, <int>d)
        found = job.found + plane * job.results
        for d in range(job.shape[0]):
            for h in range(job.shape[1]):
                if job.squares:
                    place = first[1][h] * job.size[2]
                    search_squares(x + plane * job.elements + place, <index>job.size[2], found, place, job.shape[2])
                elif job.kernel:
                    search_row(job, x + plane * job.elements, first, d, h, best, scratch)
                    for o in range(job.shape[2]):
                        found[o] = scratch[o]
                else:
                    for o in range(job.shape[2]):
                        search_window(job, x + plane * job.elements, first, d, h, o, best, found + o)
                found += job.shape[2]
        plane += 1


# --- places ----------------------------------------------------------------------------------------------------------


cdef inline void take(Job* job, const real* x, real* out, npy_intp plane, npy_intp end) noexcept nogil:
    cdef npy_intp k
    cdef int64_t place
    cdef const int64_t* places
    while plane < end:
        places = job.places + plane * job.results
        for k in range(job.results):
            place = places[k]
            if <size_t>place >= <size_t>job.elements:
                job.wrong = True
                return
            out[plane * job.results + k] = x[plane * job.elements + place]
        plane += 1


cdef inline void put(Job* job, const real* x, real* out, npy_intp plane, npy_intp end) noexcept nogil:
    cdef npy_intp k
    cdef int64_t place
    cdef const int64_t* places
    memset(out + plane * job.elements, 0, (end - plane) * job.elements * sizeof(real))
    while plane < end:
        places = job.places + plane * job.results
        for k in range(job.results):
            place = places[k]
            if <size_t>place >= <size_t>job.elements:
                job.wrong = True
                return
            if job.adds:
                out[plane * job.elements + place] += x[plane * job.results + k]
            else:
                out[plane * job.elements + place] = x[plane * job.results + k]
        plane += 1


# --- sums ------------------------------------------------------------------------------------------------------------


cdef inline void add_row(const real* x, real* total, npy_intp n) noexcept nogil:
    cdef npy_intp k
    for k in range(n):
        total[k] += x[k]


cdef inline void add_from(const real* x, npy_intp stride, real* total, npy_intp n) noexcept nogil:
    cdef npy_intp o
    for o in range(n):
        total[o] += x[o * stride]


cdef inline void add_to(const real* x, real* total, npy_intp stride, npy_intp n) noexcept nogil:
    cdef npy_intp o
    for o in range(n):
        total[o * stride] += x[o]


cdef inline void sum_along(Job* job, const npy_intp* first, const real* row, real* out) noexcept nogil:
    """The sums over the windows along a row; `out` is 0."""
    cdef npy_intp o, k, start, n
    cdef real total
    if not job.kernel:
        for o in range(job.shape[2]):
            total = 0
            for k in range(first[o], first[job.shape[2] + o]):
                total += row[k]
            out[o] = total
    for k in range(job.kernel):
        start, n = job.ranges[2 * k], job.ranges[2 * k + 1]
        if job.stride == 1:
            add_from(row + job.origin + k + start, 1, out + start, n)
        elif job.stride == 2:
            add_from(row + job.origin + k + 2 * start, 2, out + start, n)
        else:
            add_from(row + job.origin + k + job.stride * start, job.stride, out + start, n)


cdef inline void spread_along(Job* job, const npy_intp* first, const real* x, real* row) noexcept nogil:
    """Add to the elements of a row what there is for the windows that they belong to, in the order of these."""
    cdef npy_intp o, k, start, n
    if not job.kernel:
        for o in range(job.shape[2]):
            for k in range(first[o], first[job.shape[2] + o]):
                row[k] += x[o]
    for k in range(job.kernel - 1, -1, -1):
        start, n = job.ranges[2 * k], job.ranges[2 * k + 1]
        if job.stride == 1:
            add_to(x + start, row + job.origin + k + start, 1, n)
        elif job.stride == 2:
            add_to(x + start, row + job.origin + k + 2 * start, 2, n)
        else:
            add_to(x + start, row + job.origin + k + job.stride * start, job.stride, n)


cdef inline void sum_squares(const real* x, const real* below, real* out, npy_intp n) noexcept nogil:
    cdef npy_intp o
    for o in range(n):
        out[o] = (x[2 * o] + below[2 * o]) + (x[2 * o + 1] + below[2 * o + 1])


cdef inline void spread_squares(const real* x, real* row, real* below, npy_intp n) noexcept nogil:
    cdef npy_intp o
    for o in range(n):
        row[2 * o] += x[o]
        row[2 * o + 1] += x[o]
        below[2 * o] += x[o]
        below[2 * o + 1] += x[o]


cdef inline void sum_planes(Job* job, const real* x, real* out, npy_intp plane, npy_intp end, real* row) noexcept nogil:
    """`row` has room for a row of the planes."""
    cdef npy_intp d, h, i, j, width = job.size[2]
    cdef const npy_intp* first[3]
    for d in range(3):
        first[d] = table_of(job, 0, <int>d)
    x += plane * job.elements
    out += plane * job.results
    memset(out, 0, (end - plane) * job.results * sizeof(real))
    while plane < end:
        for d in range(job.shape[0]):
            for h in range(job.shape[1]):
                if job.squares:
                    sum_squares(x + first[1][h] * width, x + (first[1][h] + 1) * width, out, job.shape[2])
                else:
                    memset(row, 0, width * sizeof(real))
                    for i in range(first[0][d], first[0][job.shape[0] + d]):
                        for j in range(first[1][h], first[1][job.shape[1] + h]):
                            add_row(x + (i * job.size[1] + j) * width, row, width)
                    sum_along(job, first[2], row, out)
                out += job.shape[2]
        x += job.elements
        plane += 1


cdef inline void spread_planes(Job* job, const real* x, real* out, npy_intp plane, npy_intp end, real* row) noexcept nogil:
    cdef npy_intp d, h, i, j, width = job.size[2]
    cdef const npy_intp* first[3]
    for d in range(3):
        first[d] = table_of(job, 0, <int>d)
    x += plane * job.results
    out += plane * job.elements
    memset(out, 0, (end - plane) * job.elements * sizeof(real))
    while plane < end:
        for d in range(job.shape[0]):
            for h in range(job.shape[1]):
                if job.squares:
                    spread_squares(x, out + first[1][h] * width, out + (first[1][h] + 1) * width, job.shape[2])
                else:
                    memset(row, 0, width * sizeof(real))
                    spread_along(job, first[2], x, row)
                    for i in range(first[0][d], first[0][job.shape[0] + d]):
                        for j in range(first[1][h], first[1][job.shape[1] + h]):
                            add_row(row, out + (i * job.size[1] + j) * width, width)
                x += job.shape[2]
        out += job.elements
        plane += 1


# --- from Python -----------------------------------------------------------------------------------------------------


cdef inline void run(Job* job, const real* x, real* out, npy_intp first, npy_intp last, real* row) noexcept nogil:
    if job.kind == SEARCH:
        if real is float:
            search_planes(job, x, first, last, <int32_t*>row)
        else:
            search_planes(job, x, first, last, <int64_t*>row)
    elif job.kind == TAKE:
        take(job, x, out, first, last)
    elif job.kind == PUT:
        put(job, x, out, first, last)
    elif job.kind == SUM:
        sum_planes(job, x, out, first, last, row)
    else:
        spread_planes(job, x, out, first, last, row)


cdef void work(void* pointer, int thread, npy_intp first, npy_intp last) noexcept nogil:
    """The planes first..last; two rows of scratch are enough for everything."""
    cdef Job* job = <Job*>pointer
    cdef void* scratch = malloc(2 * sizeof(double) * max(job.shape[2], job.size[2], <npy_intp>1))
    if scratch == NULL:
        job.wrong = True
    elif job.typenum == cnp.NPY_FLOAT:
        run(job, <float*>job.x, <float*>job.out, first, last, <float*>scratch)
    else:
        run(job, <double*>job.x, <double*>job.out, first, last, <double*>scratch)
    free(scratch)


cdef bint all_planes(Job* job, npy_intp count) noexcept:
    cdef npy_intp elements = max(job.elements, job.results)
    job.ranges = <npy_intp*>malloc((2 * job.kernel + 1) * sizeof(npy_intp))
    if job.ranges == NULL:
        return False
    with nogil:
        find_ranges(job, job.ranges)
        job.squares = job.kernel and are_squares(job)
        if elements * count < SHARED:
            work(job, 0, 0, count)
        else:
            share(<Part>work, job, count, CHUNK // elements + 1)
    free(job.ranges)
    return not job.wrong


cdef bint start(Job* job, Kind kind, ndarray x, npy_intp elements, npy_intp results) noexcept:
    """Whether the kernels know this dtype, and places have room in 32 bits."""
    job.kind, job.wrong, job.kernel = kind, False, 0
    job.shape[2] = job.size[2] = 0
    job.typenum = cnp.PyArray_TYPE(x)
    job.x = <char*>cnp.PyArray_DATA(x)
    job.elements, job.results = elements, results
    return job.typenum in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) and cnp.PyArray_ISCARRAY_RO(x) and 0 <= elements < 1 << 31


cdef bint read_windows(Job* job, windows, npy_intp count) except -1:
    """Take over what the windows are; `count` planes."""
    cdef ndarray table = windows.table
    cdef int k, n = len(windows.size)
    if not 0 < n == len(windows.shape) == len(windows.step) <= 3:
        return False
    for k in range(3):
        job.size[k] = 1 if k < 3 - n else windows.size[k - 3 + n]
        job.shape[k] = 1 if k < 3 - n else windows.shape[k - 3 + n]
        job.step[k] = 1 if k < 3 - n else windows.step[k - 3 + n]
    if windows.regular is not None:
        job.origin, job.kernel, job.stride = windows.regular
        if not (-LARGEST < job.origin < LARGEST and 0 < job.kernel < LARGEST and 0 < job.stride < LARGEST):
            return False
    if table is None or table.ndim != 2 or cnp.PyArray_TYPE(table) != cnp.NPY_INTP or not cnp.PyArray_ISCARRAY_RO(table):
        return False
    job.table = <npy_intp*>cnp.PyArray_DATA(table)
    job.tables, job.length = cnp.PyArray_DIM(table, 0), cnp.PyArray_DIM(table, 1)
    if job.length != 2 * (job.shape[0] + job.shape[1] + job.shape[2]) or not job.tables > 0 or count % job.tables:
        return False
    return all_inside(job)


cdef bint all_inside(Job* job) noexcept:
    """Whether all windows are in the plane, and none begins behind it."""
    cdef npy_intp _row, k
    cdef int axis
    cdef const npy_intp* first = job.table
    for _row in range(job.tables):
        for axis in range(3):
            if job.step[axis] < 1:
                return False
            for k in range(job.shape[axis]):
                if not 0 <= first[k] or first[job.shape[axis] + k] > job.size[axis] or first[k] > job.size[axis]:
                    return False
            first += 2 * job.shape[axis]
    return True


cdef ndarray contiguous(x):
    """In C order, which costs next to nothing where it is already."""
    return <ndarray>cnp.PyArray_GETCONTIGUOUS(x) if isinstance(x, ndarray) else None


cdef ndarray over_windows(Kind kind, x, windows):
    """A result for every plane of x, or None."""
    cdef Job job
    cdef ndarray a = contiguous(x), out
    cdef tuple size = windows.size, shape = windows.shape
    cdef npy_intp count
    cdef int lead
    if kind == SPREAD:
        size, shape = shape, size
    if a is None or (<object>a).shape[-len(size):] != size:
        return None
    lead = cnp.PyArray_NDIM(a) - <int>len(size)
    count = product(lead, cnp.PyArray_DIMS(a))
    if not start(&job, kind, a, prod(windows.size), prod(windows.shape)) or not read_windows(&job, windows, count):
        return None
    out = array_of_shape((<object>a).shape[:lead] + tuple(shape), cnp.NPY_INT64 if kind == SEARCH else job.typenum)
    job.out = <char*>cnp.PyArray_DATA(out)
    job.found = <int64_t*>job.out
    return out if all_planes(&job, count) else None


def max_places(x, windows):
    return over_windows(SEARCH, x, windows)


def window_sum(x, windows):
    return over_windows(SUM, x, windows)


def window_spread(x, windows):
    return over_windows(SPREAD, x, windows)


cdef ndarray at_places(Kind kind, x, places, int n, shape, bint adds):
    """Planes of n axes on both sides; `shape` are those of the result."""
    cdef Job job
    cdef ndarray a = contiguous(x), b = contiguous(places), out
    cdef int lead
    cdef npy_intp count, mine, theirs
    if a is None or b is None or cnp.PyArray_TYPE(b) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(b):
        return None
    lead = cnp.PyArray_NDIM(a) - n
    if lead < 0 or cnp.PyArray_NDIM(b) != lead + n or (<object>a).shape[:lead] != (<object>b).shape[:lead]:
        return None
    if kind == PUT and (<object>a).shape != (<object>b).shape:
        return None
    count, theirs = product(lead, cnp.PyArray_DIMS(b)), product(n, cnp.PyArray_DIMS(b) + lead)
    mine = prod(shape) if kind == PUT else product(n, cnp.PyArray_DIMS(a) + lead)
    if not start(&job, kind, a, mine, theirs):
        return None
    out = array_of_shape((<object>a).shape[:lead] + tuple(shape), job.typenum)
    if kind == PUT and product(n, cnp.PyArray_DIMS(out) + lead) != mine:        # of sizes that are no integers
        return None
    job.out, job.places, job.adds = <char*>cnp.PyArray_DATA(out), <int64_t*>cnp.PyArray_DATA(b), adds
    return out if all_planes(&job, count) else None


def take_planes(x, places, n):
    return at_places(TAKE, x, places, n, places.shape[-n:], False)


def put_planes(x, places, shape, adds=True):
    return at_places(PUT, x, places, len(shape), shape, adds)
