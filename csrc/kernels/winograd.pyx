# cython: language_level=3
"""Winograd's convolution F(2 x 2, 3 x 3) in floats and doubles; gradnerve/ops/winograd.py says what it is.

Each thread takes an image through all of it, so that its tiles stay in the cache. Tiles of 4 x 4 elements, two apart, lie in an array
(16, channels, tiles): an element's place in its tile comes first, so that each of the 16 is a matrix.
"""
from cpython.object cimport PyObject
from libc.string cimport memcpy, memset
cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from gradnerve._loops cimport Kernel, all_finite, matmul_loops, matrix, multiply_alone, new_array, recycle, take_scratch
from gradnerve._program cimport share, threads as count_threads

import numpy as np

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    PARTS = 4           # of sums over images: as many on every machine, so that the bits are the same
    LARGEST = 1048576   # sizes beyond could overflow

cdef struct Images:
    npy_intp n, channels, height, width
    npy_intp top, left                          # zeros in front
    npy_intp down, across                       # tiles in a column and in a row
    char* image                                 # (n, channels, height, width)
    char* tiles                                 # (16, channels, down * across), of one image
    char* scratch                               # of this thread

cdef struct Job:
    Images x, y                                 # what slides under the filters, and what they give
    Kernel matmul
    bint doubles
    npy_intp itemsize
    char* filters                               # (16, y.channels, x.channels), or where their sums go
    npy_intp filter, row, column                # from one matrix of them to the next, one row and one column, in bytes
    npy_intp images_in_part
    char* parts                                 # the sums of each part of the images
    char* scratch
    npy_intp room                               # bytes of it for each thread


# Each works on the planes of one image: along the rows, of even and odd ones apart, and then down the columns of all tiles at once.


cdef void cut_planes(Images* a, Real* kind) noexcept nogil:
    """B' d B of every tile d."""
    cdef npy_intp plane, row, i, k, t, n = a.across, size = (a.down + 1) * n, step = a.channels * a.down * n, end = a.down * n
    cdef npy_intp start = max(<npy_intp>0, a.left), stop = min(2 * n + 2, a.left + a.width)
    cdef Real* padded = <Real*>a.scratch            # a row, with its zeros
    cdef Real* even = padded + 2 * n + 2            # (4, down + 1, across)
    cdef Real* odd = even + 4 * size
    cdef Real* h
    cdef Real* x
    cdef Real* o
    cdef Real* out
    for t in range(start):
        padded[t] = 0
    for t in range(stop, 2 * n + 2):
        padded[t] = 0
    for plane in range(a.channels):
        for row in range(2 * a.down + 2):
            h, i = (odd if row % 2 else even) + row // 2 * n, row - a.top
            if not 0 <= i < a.height:
                for k in range(4):
                    memset(h + k * size, 0, n * sizeof(Real))
                continue
            x = <Real*>a.image + (plane * a.height + i) * a.width - a.left
            for t in range(start, stop):
                padded[t] = x[t]
            for t in range(n):
                h[t] = padded[2 * t] - padded[2 * t + 2]
                h[size + t] = padded[2 * t + 1] + padded[2 * t + 2]
                h[2 * size + t] = padded[2 * t + 2] - padded[2 * t + 1]
                h[3 * size + t] = padded[2 * t + 1] - padded[2 * t + 3]
        out = <Real*>a.tiles + plane * end
        for k in range(4):
            h, o = even + k * size, odd + k * size
            for i in range(end):
                out[i] = h[i] - h[n + i]
            for i in range(end):
                out[4 * step + i] = o[i] + h[n + i]
            for i in range(end):
                out[8 * step + i] = h[n + i] - o[i]
            for i in range(end):
                out[12 * step + i] = o[i] - o[n + i]
            out += step


cdef void join_planes(Images* a, Real* kind) noexcept nogil:
    """A' m A of every tile m: 2 x 2 elements of the result."""
    cdef npy_intp plane, row, i, k, n = a.across, end = a.down * n, step = a.channels * end
    cdef Real* even = <Real*>a.scratch              # (4, down, across)
    cdef Real* odd = even + 4 * end
    cdef Real* h
    cdef Real* m
    cdef Real* out
    for plane in range(a.channels):
        m = <Real*>a.tiles + plane * end
        for k in range(4):
            h = even + k * end
            for i in range(end):
                h[i] = m[i] + m[4 * step + i] + m[8 * step + i]
            h = odd + k * end
            for i in range(end):
                h[i] = m[4 * step + i] - m[8 * step + i] - m[12 * step + i]
            m += step
        out = <Real*>a.image + plane * a.height * a.width
        for row in range(a.height):
            write_row(out + row * a.width, (odd if row % 2 else even) + row // 2 * n, end, a.width)


cdef inline void write_row(Real* out, const Real* h, npy_intp step, npy_intp width) noexcept nogil:
    cdef npy_intp t, pairs = width // 2
    for t in range(pairs):
        out[2 * t] = h[t] + h[step + t] + h[2 * step + t]
        out[2 * t + 1] = h[step + t] - h[2 * step + t] - h[3 * step + t]
    if width % 2:
        out[width - 1] = h[pairs] + h[step + pairs] + h[2 * step + pairs]


cdef void part_planes(Images* a, Real* kind) noexcept nogil:
    """A y A' of every 2 x 2 elements y, the counterpart of `join_planes`."""
    cdef npy_intp plane, row, i, k, n = a.across, end = a.down * n, step = a.channels * end
    cdef Real* even = <Real*>a.scratch              # (4, down, across)
    cdef Real* odd = even + 4 * end
    cdef Real* h
    cdef Real* o
    cdef Real* y
    cdef Real* out
    if a.height % 2:
        memset(odd, 0, 4 * end * sizeof(Real))      # of the row that is missing at the end
    for plane in range(a.channels):
        y = <Real*>a.image + plane * a.height * a.width
        for row in range(a.height):
            read_row((odd if row % 2 else even) + row // 2 * n, y + row * a.width, end, a.width)
        out = <Real*>a.tiles + plane * end
        for k in range(4):
            h, o = even + k * end, odd + k * end
            memcpy(out, h, end * sizeof(Real))
            for i in range(end):
                out[4 * step + i] = h[i] + o[i]
            for i in range(end):
                out[8 * step + i] = h[i] - o[i]
            for i in range(end):
                out[12 * step + i] = -o[i]
            out += step


cdef inline void read_row(Real* h, const Real* y, npy_intp step, npy_intp width) noexcept nogil:
    cdef npy_intp t, pairs = width // 2
    for t in range(pairs):
        h[t] = y[2 * t]
        h[step + t] = y[2 * t] + y[2 * t + 1]
        h[2 * step + t] = y[2 * t] - y[2 * t + 1]
        h[3 * step + t] = -y[2 * t + 1]
    if width % 2:
        h[pairs] = h[step + pairs] = h[2 * step + pairs] = y[width - 1]
        h[3 * step + pairs] = 0


# ------------------------------------------------------------------------------------------------- image by image


cdef void take_image(Job* job, npy_intp image, int thread, Images* x, Images* y) noexcept nogil:
    """What is known of the images, for one of them, with its tiles in the thread's scratch."""
    cdef npy_intp tiles = job.x.down * job.x.across
    x[0], y[0] = job.x, job.y
    x.image += image * x.channels * x.height * x.width * job.itemsize
    y.image += image * y.channels * y.height * y.width * job.itemsize
    x.tiles = job.scratch + thread * job.room
    y.tiles = x.tiles + 16 * x.channels * tiles * job.itemsize
    x.scratch = y.scratch = y.tiles + 16 * y.channels * tiles * job.itemsize


cdef void convolve_images(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Job* job = <Job*>what
    cdef Images x, y
    cdef npy_intp image, k, size = job.itemsize, n = job.x.down * job.x.across
    for image in range(first, last):
        take_image(job, image, thread, &x, &y)
        if job.doubles:
            cut_planes(&x, <double*>NULL)
        else:
            cut_planes(&x, <float*>NULL)
        for k in range(16):
            multiply_alone(&job.matmul, matrix(job.filters + k * job.filter, job.row, job.column),
                           matrix(x.tiles + k * x.channels * n * size, n * size, size),
                           matrix(y.tiles + k * y.channels * n * size, n * size, size), y.channels, x.channels, n)
        if job.doubles:
            join_planes(&y, <double*>NULL)
        else:
            join_planes(&y, <float*>NULL)


cdef void sum_parts(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The sums over the images of some parts."""
    cdef Job* job = <Job*>what
    cdef Images x, y
    cdef npy_intp number, image, size = job.x.channels * job.y.channels
    for number in range(first, last):
        for image in range(number * job.images_in_part, min((number + 1) * job.images_in_part, job.x.n)):
            take_image(job, image, thread, &x, &y)
            if job.doubles:
                cut_planes(&x, <double*>NULL)
                part_planes(&y, <double*>NULL)
                add_products(job, &x, &y, <double*>job.parts + number * 16 * size, image > number * job.images_in_part)
            else:
                cut_planes(&x, <float*>NULL)
                part_planes(&y, <float*>NULL)
                add_products(job, &x, &y, <float*>job.parts + number * 16 * size, image > number * job.images_in_part)


cdef void add_products(Job* job, Images* x, Images* y, Real* total, bint add) noexcept nogil:
    """The products of the tiles of one image with those of its gradient, added to the sums of its part unless they are the first."""
    cdef npy_intp k, i, size = sizeof(Real), n = x.channels * y.channels, tiles = x.down * x.across
    cdef Real* out
    for k in range(16):
        out = <Real*>x.scratch if add else total
        multiply_alone(&job.matmul, matrix(y.tiles + k * y.channels * tiles * size, tiles * size, size),
                       matrix(x.tiles + k * x.channels * tiles * size, size, tiles * size),
                       matrix(out, x.channels * size, size), y.channels, tiles, x.channels)
        if add:
            for i in range(n):
                total[i] += out[i]
        total += n


cdef int check(ndarray a, int ndim, int typenum) except -1:
    """Raise for what is no array of numbers that we know, with so many axes; `typenum` is theirs."""
    if a.ndim != ndim or cnp.PyArray_TYPE(a) != typenum or typenum not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISBEHAVED_RO(a):
        raise ValueError(f"not a {ndim}-d array of {np.dtype(np.float32 if typenum == cnp.NPY_FLOAT else np.float64)}: {a.dtype} {(<object>a).shape}")
    return 0


cdef ndarray describe(Images* a, ndarray array):
    """Write down images; returns them in C order."""
    cdef ndarray image = cnp.PyArray_GETCONTIGUOUS(array)
    a.n, a.channels, a.height, a.width = image.shape[0], image.shape[1], image.shape[2], image.shape[3]
    a.image = <char*>cnp.PyArray_DATA(image)
    return image


cdef int check_sizes(npy_intp top, npy_intp left, npy_intp height, npy_intp width) except -1:
    if not (0 <= top < LARGEST and 0 <= left < LARGEST and 0 <= height < LARGEST and 0 <= width < LARGEST):
        raise ValueError(f"{top} and {left} zeros in front of images of {height} x {width}")
    return 0


cdef void add_parts(Real* out, const Real* parts, npy_intp count, npy_intp n) noexcept nogil:
    cdef npy_intp k, i
    memcpy(out, parts, n * sizeof(Real))
    for k in range(1, count):
        for i in range(n):
            out[i] += parts[k * n + i]


cdef int run(Job* job, int typenum, npy_intp sums) except -1:
    """sums: the bytes of those of each part, or 0 for a convolution."""
    cdef PyObject* owner
    cdef npy_intp down = (job.y.height + 1) // 2, across = (job.y.width + 1) // 2, rows = 2 * across + 2 + 8 * (down + 1) * across
    cdef npy_intp parts = (job.x.n + job.images_in_part - 1) // job.images_in_part
    job.x.down = job.y.down = down
    job.x.across = job.y.across = across
    job.matmul, job.doubles = matmul_loops[typenum], typenum == cnp.NPY_DOUBLE
    job.room = (16 * (job.x.channels + job.y.channels) * down * across + max(rows, job.x.channels * job.y.channels)) * job.itemsize + 64
    job.scratch = take_scratch(count_threads() * job.room + parts * sums, &owner)
    job.parts = job.scratch + count_threads() * job.room
    with nogil:
        if sums:
            share(sum_parts, job, parts, 1)
            if job.doubles:
                add_parts(<double*>job.filters, <double*>job.parts, parts, 16 * job.x.channels * job.y.channels)
            else:
                add_parts(<float*>job.filters, <float*>job.parts, parts, 16 * job.x.channels * job.y.channels)
        else:
            share(convolve_images, job, job.x.n, 1)
    recycle(owner)
    return 0


def threads():
    """How many threads share the images."""
    return count_threads()


def product(ndarray x not None, ndarray y not None):
    """x @ y of two matrices of floats or doubles, a few columns at a time, for which OpenBLAS wakes no threads: they would be in our way."""
    check(x, 2, cnp.PyArray_TYPE(x))
    check(y, 2, cnp.PyArray_TYPE(x))
    if x.shape[1] != y.shape[0]:
        raise ValueError(f"product: {x.shape[1]} columns and {y.shape[0]} rows")
    cdef npy_intp* shape = [x.shape[0], y.shape[1]]
    cdef ndarray out = new_array(2, shape, cnp.PyArray_TYPE(x))
    with nogil:
        multiply_alone(&matmul_loops[cnp.PyArray_TYPE(x)], matrix(cnp.PyArray_DATA(x), x.strides[0], x.strides[1]),
                       matrix(cnp.PyArray_DATA(y), y.strides[0], y.strides[1]), matrix(cnp.PyArray_DATA(out), out.strides[0], out.strides[1]),
                       x.shape[0], x.shape[1], y.shape[1])
    return out


def convolve(ndarray x not None, ndarray filters not None, npy_intp top, npy_intp left, npy_intp height, npy_intp width):
    """The convolution (N, O, height, width) of images (N, C, H, W), with so many zeros in front, and filters as 16 matrices (O, C).

    None where it is not finite: an infinite element reaches all results of its tile, also those that it does not belong to.
    """
    cdef Job job
    cdef ndarray image, out
    cdef npy_intp shape[4]
    check(x, 4, cnp.PyArray_TYPE(x))
    check(filters, 3, cnp.PyArray_TYPE(x))
    check_sizes(top, left, height, width)
    image = describe(&job.x, x)
    if filters.shape[0] != 16 or filters.shape[2] != job.x.channels:
        raise ValueError(f"convolve: filters of shape {(<object>filters).shape} for {job.x.channels} channels")
    shape[0], shape[1], shape[2], shape[3] = job.x.n, filters.shape[1], height, width
    out = new_array(4, shape, cnp.PyArray_TYPE(image))
    describe(&job.y, out)
    job.x.top, job.x.left, job.itemsize, job.images_in_part = top, left, cnp.PyArray_ITEMSIZE(image), 1
    job.filters, job.filter, job.row, job.column = <char*>cnp.PyArray_DATA(filters), filters.strides[0], filters.strides[1], filters.strides[2]
    run(&job, cnp.PyArray_TYPE(image), 0)
    return out if all_finite(out) else None


def sums(ndarray x not None, ndarray y not None, npy_intp top, npy_intp left):
    """For the gradient y of the result, those of the 16 matrices (O, C); None where they are not finite."""
    cdef Job job
    cdef ndarray image, _gradient, out
    cdef npy_intp shape[3]
    check(x, 4, cnp.PyArray_TYPE(x))
    check(y, 4, cnp.PyArray_TYPE(x))
    check_sizes(top, left, y.shape[2], y.shape[3])
    image, _gradient = describe(&job.x, x), describe(&job.y, y)
    if job.x.n != job.y.n:
        raise ValueError(f"sums: {job.x.n} and {job.y.n} images")
    job.x.top, job.x.left, job.itemsize, job.images_in_part = top, left, cnp.PyArray_ITEMSIZE(image), (job.x.n + PARTS - 1) // PARTS
    shape[0], shape[1], shape[2] = 16, job.y.channels, job.x.channels
    out = new_array(3, shape, cnp.PyArray_TYPE(image))
    job.filters = <char*>cnp.PyArray_DATA(out)
    run(&job, cnp.PyArray_TYPE(image), cnp.PyArray_NBYTES(out))
    return out if all_finite(out) else None
