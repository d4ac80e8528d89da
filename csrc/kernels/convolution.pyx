# cython: language_level=3
"""Columns of images, what is added back from them, and their products with filters, in up to three dimensions.

The reference, and what it is about, is gradnerve/ops/convolution.py. Each thread takes an image through all of it, so that the columns stay in
its cache, unless the products are so large that BLAS shares them between threads itself.
"""
from cpython.object cimport PyObject
from libc.string cimport memcpy, memset
cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from gradnerve._loops cimport (ALONE, Kernel, Matrix, array_of_shape, matmul_loops, matrix, multiply, multiply_alone, new_array, recycle,
                               take_scratch)
from gradnerve._program cimport Part, share, threads

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    SHARED = 65536      # elements from which threads share the work
    LARGEST = 1048576   # sizes beyond, of which three could overflow, are none of ours


cdef struct Geometry:
    npy_intp size[3]                            # of a plane, with axes of length 1 in front
    npy_intp kernel[3]
    npy_intp stride[3]
    npy_intp low[3]                             # zeros in front of an axis
    npy_intp dilation[3]
    npy_intp places[3]                          # of a filter
    npy_intp area, elements, count              # of a plane, of a filter, and places
    npy_intp itemsize
    char* image
    void* columns


cdef bint fill(Geometry* a, size, kernel, stride, padding, dilation) except -1:
    """Write it down for three axes; False if there are more."""
    cdef int k, n = <int>len(size)
    if n > 3 or not n == len(kernel) == len(stride) == len(padding) == len(dilation) or min(*kernel, *stride, *dilation, 1) < 1:
        return False
    for k in range(3 - n):
        a.size[k] = a.kernel[k] = a.stride[k] = a.dilation[k] = a.places[k] = 1
        a.low[k] = 0
    for k in range(n):
        a.size[3 - n + k], a.kernel[3 - n + k], a.stride[3 - n + k], a.dilation[3 - n + k] = size[k], kernel[k], stride[k], dilation[k]
        a.low[3 - n + k], high = padding[k]
        a.places[3 - n + k] = (size[k] + a.low[3 - n + k] + high - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
    a.area, a.elements, a.count = 1, 1, 1
    if not all([-LARGEST < a.low[k] < LARGEST and 0 <= a.size[k] < LARGEST and a.kernel[k] < LARGEST and a.stride[k] < LARGEST
                and a.dilation[k] * a.kernel[k] < LARGEST and 0 <= a.places[k] < LARGEST for k in range(3)]):
        return False
    for k in range(3):
        a.area, a.elements, a.count = a.area * a.size[k], a.elements * a.kernel[k], a.count * a.places[k]
    return True


cdef inline npy_intp first_inside(npy_intp start, npy_intp stride, npy_intp places) noexcept nogil:
    """The first place whose element, at start + place * stride, is not in front of the image."""
    return min(places, 0 if start >= 0 else (-start + stride - 1) // stride)


cdef inline npy_intp end_inside(npy_intp start, npy_intp stride, npy_intp size, npy_intp places) noexcept nogil:
    return min(places, 0 if start >= size else (size - start + stride - 1) // stride)


cdef void write_row(Real* out, const Real* plane, const Geometry* a, npy_intp element) noexcept nogil:
    """What one element of a filter meets in one plane, at all places."""
    cdef npy_intp k2 = element % a.kernel[2], k1 = element // a.kernel[2] % a.kernel[1], k0 = element // a.kernel[2] // a.kernel[1]
    cdef npy_intp start = k2 * a.dilation[2] - a.low[2], stride = a.stride[2], n = a.places[2], p0, p1, p2, i0, i1
    cdef npy_intp first = first_inside(start, stride, n), end = end_inside(start, stride, a.size[2], n)
    cdef const Real* row
    for p0 in range(a.places[0]):
        i0 = p0 * a.stride[0] + k0 * a.dilation[0] - a.low[0]
        for p1 in range(a.places[1]):
            i1 = p1 * a.stride[1] + k1 * a.dilation[1] - a.low[1]
            if not (0 <= i0 < a.size[0] and 0 <= i1 < a.size[1] and first < end):
                memset(out, 0, n * sizeof(Real))
                out += n
                continue
            row = plane + (i0 * a.size[1] + i1) * a.size[2] + start
            for p2 in range(first):
                out[p2] = 0
            if stride == 1:
                memcpy(out + first, row + first, (end - first) * sizeof(Real))
            else:
                for p2 in range(first, end):
                    out[p2] = row[p2 * stride]
            for p2 in range(end, n):
                out[p2] = 0
            out += n


cdef void add_row(Real* plane, const Real* x, const Geometry* a, npy_intp element) noexcept nogil:
    """The counterpart of `write_row`."""
    cdef npy_intp k2 = element % a.kernel[2], k1 = element // a.kernel[2] % a.kernel[1], k0 = element // a.kernel[2] // a.kernel[1]
    cdef npy_intp start = k2 * a.dilation[2] - a.low[2], stride = a.stride[2], n = a.places[2], p0, p1, p2, i0, i1
    cdef npy_intp first = first_inside(start, stride, n), end = end_inside(start, stride, a.size[2], n)
    cdef Real* row
    for p0 in range(a.places[0]):
        i0 = p0 * a.stride[0] + k0 * a.dilation[0] - a.low[0]
        for p1 in range(a.places[1]):
            i1 = p1 * a.stride[1] + k1 * a.dilation[1] - a.low[1]
            if 0 <= i0 < a.size[0] and 0 <= i1 < a.size[1]:
                row = plane + (i0 * a.size[1] + i1) * a.size[2] + start
                if stride == 1:
                    for p2 in range(first, end):
                        row[p2] += x[p2]
                else:
                    for p2 in range(first, end):
                        row[p2 * stride] += x[p2]
            x += n


cdef void write_planes(Geometry* a, npy_intp first, npy_intp last, Real* kind) noexcept nogil:
    cdef npy_intp element, plane
    for plane in range(first, last):
        for element in range(a.elements):
            write_row(<Real*>a.columns + (plane * a.elements + element) * a.count, <Real*>a.image + plane * a.area, a, element)


cdef void add_planes(Geometry* a, npy_intp first, npy_intp last, Real* kind) noexcept nogil:
    cdef npy_intp element, plane
    memset(<Real*>a.image + first * a.area, 0, (last - first) * a.area * sizeof(Real))
    for plane in range(first, last):
        for element in range(a.elements):
            add_row(<Real*>a.image + plane * a.area, <Real*>a.columns + (plane * a.elements + element) * a.count, a, element)


cdef void write(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Geometry* a = <Geometry*>what
    if a.itemsize == sizeof(double):
        write_planes(a, first, last, <double*>NULL)
    else:
        write_planes(a, first, last, <float*>NULL)


cdef void add(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Geometry* a = <Geometry*>what
    if a.itemsize == sizeof(double):
        add_planes(a, first, last, <double*>NULL)
    else:
        add_planes(a, first, last, <float*>NULL)


cdef void share_planes(Part work, Geometry* a, npy_intp n) noexcept nogil:
    share(work, a, n, max(1, n // 16) if n * a.elements * a.count >= SHARED else max(1, n))     # no more than there are: alone


def columns(x, kernel, stride, padding, dilation):
    """The columns of the images (N, C, ...) in an array (N, C * elements, places); None for anything but floats and doubles in up to 3-d."""
    cdef Geometry a
    if not is_real(x) or x.ndim < 2 or not fill(&a, x.shape[2:], kernel, stride, padding, dilation):
        return None
    cdef ndarray image = cnp.PyArray_GETCONTIGUOUS(x)
    cdef npy_intp* shape = [image.shape[0], image.shape[1] * a.elements, a.count]
    cdef ndarray out = new_array(3, shape, cnp.PyArray_TYPE(image))
    cdef npy_intp planes = image.shape[0] * image.shape[1]
    a.image, a.columns, a.itemsize = cnp.PyArray_BYTES(image), cnp.PyArray_BYTES(out), cnp.PyArray_ITEMSIZE(image)
    with nogil:
        share_planes(write, &a, planes)
    return out


def spread(y, size, kernel, stride, padding, dilation):
    """The images (N, C, *size) to which the columns (N, C * elements, places) are added; None as above."""
    cdef Geometry a
    if not is_real(y) or y.ndim != 3 or not fill(&a, size, kernel, stride, padding, dilation) or y.shape[2] != a.count or y.shape[1] % a.elements:
        return None
    cdef ndarray cols = cnp.PyArray_GETCONTIGUOUS(y)
    cdef ndarray out = array_of_shape((cols.shape[0], cols.shape[1] // a.elements, *size), cnp.PyArray_TYPE(cols))
    cdef npy_intp planes = out.shape[0] * out.shape[1]
    a.image, a.columns, a.itemsize = cnp.PyArray_BYTES(out), cnp.PyArray_BYTES(cols), cnp.PyArray_ITEMSIZE(cols)
    with nogil:
        share_planes(add, &a, planes)
    return out


cdef bint is_real(x) except -1:
    return isinstance(x, ndarray) and (cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(x)


# ---------------------------------------------------------------------------------------- with the products of matrices


cdef enum:
    PARTS = 4           # of sums over images: as many on every machine, so that the bits are the same


cdef struct Job:
    Geometry a                                  # whose image is the first one
    Kernel matmul
    npy_intp n, groups, channels, filters       # the latter two of each group
    npy_intp rows                               # of the columns of each group
    bint plain                                  # the image is its columns
    bint alone                                  # a thread takes an image by itself; else threads share its planes, and BLAS shares its products
    char* weight                                # (groups, filters, rows), or where its sums go
    char* y                                     # (n, groups, filters, count)
    npy_intp images_in_part
    char* parts                                 # the sums of each part of the images
    char* scratch
    npy_intp room                               # bytes of it for each thread


cdef Geometry in_image(Job* job, npy_intp image, npy_intp group, char* scratch) noexcept nogil:
    """The geometry for a group of one image, with its columns in the scratch, or in the image itself."""
    cdef Geometry a = job.a
    a.image += (image * job.groups + group) * job.channels * a.area * a.itemsize
    a.columns = a.image if job.plain else scratch
    return a


cdef inline Matrix weights(Job* job, char* weight, npy_intp group) noexcept nogil:
    return matrix(weight + group * job.filters * job.rows * job.a.itemsize, job.rows * job.a.itemsize, job.a.itemsize)


cdef inline Matrix results(Job* job, npy_intp image, npy_intp group) noexcept nogil:
    cdef npy_intp size = job.a.count * job.a.itemsize
    return matrix(job.y + (image * job.groups + group) * job.filters * size, size, job.a.itemsize)


cdef inline Matrix in_rows(Geometry* a) noexcept nogil:
    return matrix(a.columns, a.count * a.itemsize, a.itemsize)


cdef inline Matrix turned(Matrix m) noexcept nogil:
    return matrix(m.data, m.column, m.row)


cdef void each_plane(Job* job, Part work, Geometry* a) noexcept nogil:
    """Write or add the columns of an image, unless these are the image itself."""
    if job.plain:
        return
    if job.alone:
        work(a, 0, 0, job.channels)
    else:
        share_planes(work, a, job.channels)


cdef void product(Job* job, Matrix x, Matrix y, Matrix out, npy_intp rows, npy_intp inner, npy_intp columns) noexcept nogil:
    if job.alone:
        multiply_alone(&job.matmul, x, y, out, rows, inner, columns)
    else:
        multiply(&job.matmul, x, y, out, rows, inner, columns)


cdef void convolve_images(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Job* job = <Job*>what
    cdef Geometry a
    cdef npy_intp image, group
    for image in range(first, last):
        for group in range(job.groups):
            a = in_image(job, image, group, job.scratch + thread * job.room)
            each_plane(job, write, &a)
            product(job, weights(job, job.weight, group), in_rows(&a), results(job, image, group), job.filters, job.rows, a.count)


cdef void return_images(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Job* job = <Job*>what
    cdef Geometry a
    cdef npy_intp image, group
    for image in range(first, last):
        for group in range(job.groups):
            a = in_image(job, image, group, job.scratch + thread * job.room)
            product(job, turned(weights(job, job.weight, group)), results(job, image, group), in_rows(&a), job.rows, job.filters, a.count)
            each_plane(job, add, &a)


cdef void sum_parts(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The sums over the images of some parts."""
    cdef Job* job = <Job*>what
    cdef Geometry a
    cdef npy_intp number, image, group, n = job.groups * job.filters * job.rows
    cdef char* scratch = job.scratch + thread * job.room
    cdef char* total
    cdef char* out
    for number in range(first, last):
        total = job.parts + number * n * job.a.itemsize
        for image in range(number * job.images_in_part, min((number + 1) * job.images_in_part, job.n)):
            out = total if image == number * job.images_in_part else scratch + job.rows * job.a.count * job.a.itemsize
            for group in range(job.groups):
                a = in_image(job, image, group, scratch)
                each_plane(job, write, &a)
                product(job, results(job, image, group), turned(in_rows(&a)), weights(job, out, group), job.filters, a.count, job.rows)
            if out != total:
                add_numbers(total, out, n, job.a.itemsize)


cdef void add_numbers(char* total, const char* x, npy_intp n, npy_intp itemsize) noexcept nogil:
    cdef npy_intp i
    if itemsize == sizeof(double):
        for i in range(n):
            (<double*>total)[i] += (<double*>x)[i]
    else:
        for i in range(n):
            (<float*>total)[i] += (<float*>x)[i]


cdef enum Task:
    CONVOLVE, RETURN, SUM


cdef int run(Job* job, Task task, int typenum) except -1:
    cdef PyObject* owner
    cdef npy_intp part, n = job.groups * job.filters * job.rows, parts = 0, workers
    job.matmul, job.a.itemsize = matmul_loops[typenum], 8 if typenum == cnp.NPY_DOUBLE else 4
    job.alone = job.n >= threads() and 16 * job.filters * job.rows <= ALONE
    workers = threads() if job.alone else 1
    job.room = job.rows * job.a.count * job.a.itemsize
    job.plain = (job.a.elements == 1 and job.a.stride[0] == job.a.stride[1] == job.a.stride[2] == 1 and job.a.count == job.a.area
                 and job.a.low[0] == job.a.low[1] == job.a.low[2] == 0)
    if task == SUM:
        job.images_in_part = (job.n + PARTS - 1) // PARTS if job.alone else job.n
        parts = (job.n + job.images_in_part - 1) // job.images_in_part
        job.room += n * job.a.itemsize
    job.room = (job.room + 63) & ~63
    job.scratch = take_scratch(workers * job.room + parts * n * job.a.itemsize, &owner)
    job.parts = job.scratch + workers * job.room
    with nogil:
        if task == CONVOLVE:
            share(convolve_images, job, job.n, 1 if job.alone else job.n)       # no more than there are: one thread
        elif task == RETURN:
            share(return_images, job, job.n, 1 if job.alone else job.n)
        else:
            share(sum_parts, job, parts, 1)
            memcpy(job.weight, job.parts, n * job.a.itemsize)
            for part in range(1, parts):
                add_numbers(job.weight, job.parts + part * n * job.a.itemsize, n, job.a.itemsize)
    recycle(owner)
    return 0


cdef bint describe(Job* job, x, y, weight_shape, size, geometry) except -1:
    """Write down what the three have in common; False for what has no fast way."""
    stride, padding, dilation, groups = geometry
    if not is_real(x) or not is_real(y) or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y) or not x.size or not y.size:
        return False
    if groups < 1 or len(weight_shape) < 2 or weight_shape[0] % groups:
        return False
    job.groups, job.filters, job.channels = groups, weight_shape[0] // groups, weight_shape[1]
    if not fill(&job.a, size, weight_shape[2:], stride, padding, dilation):
        return False
    job.rows = job.channels * job.a.elements
    return job.a.count > 0


cdef bint fit(Job* job, x, y, weight_shape) except -1:
    """Whether these are images, what a convolution of them gives, and its filters; None is what is yet to be made."""
    cdef int k, n = <int>len(weight_shape)
    places = [job.a.places[k] for k in range(5 - n, 3)]
    return ((x is None or x.ndim == n and x.shape[1] == job.groups * job.channels)
            and (y is None or y.ndim == n and y.shape[1] == weight_shape[0] and list(y.shape[2:]) == places)
            and (x is None or y is None or x.shape[0] == y.shape[0]))


def convolve(x, weight, *geometry):
    """The convolution of images (N, C, ...) in floats or doubles; None for anything else."""
    cdef Job job
    if not describe(&job, x, weight, weight.shape, x.shape[2:], geometry) or not fit(&job, x, None, weight.shape):
        return None
    cdef ndarray image = cnp.PyArray_GETCONTIGUOUS(x), filters = cnp.PyArray_GETCONTIGUOUS(weight)
    cdef npy_intp* places = [job.a.places[0], job.a.places[1], job.a.places[2]]
    cdef ndarray out = array_of_shape((image.shape[0], filters.shape[0], *[places[k] for k in range(5 - image.ndim, 3)]), cnp.PyArray_TYPE(image))
    job.n, job.a.image, job.weight, job.y = image.shape[0], cnp.PyArray_BYTES(image), cnp.PyArray_BYTES(filters), cnp.PyArray_BYTES(out)
    run(&job, CONVOLVE, cnp.PyArray_TYPE(image))
    return out


def convolve_back(y, weight, size, *geometry):
    """The images (N, C, *size) that a gradient of the convolution comes back to; None as above."""
    cdef Job job
    if not describe(&job, y, weight, weight.shape, size, geometry) or not fit(&job, None, y, weight.shape):
        return None
    cdef ndarray gradient = cnp.PyArray_GETCONTIGUOUS(y), filters = cnp.PyArray_GETCONTIGUOUS(weight)
    cdef ndarray out = array_of_shape((gradient.shape[0], job.channels * job.groups, *size), cnp.PyArray_TYPE(gradient))
    job.n, job.a.image, job.weight, job.y = out.shape[0], cnp.PyArray_BYTES(out), cnp.PyArray_BYTES(filters), cnp.PyArray_BYTES(gradient)
    run(&job, RETURN, cnp.PyArray_TYPE(gradient))
    return out


def sums(x, y, weight_shape, *geometry):
    """The filters that a gradient of the convolution comes back to; None as above."""
    cdef Job job
    if not describe(&job, x, y, weight_shape, x.shape[2:], geometry) or not fit(&job, x, y, weight_shape):
        return None
    cdef ndarray image = cnp.PyArray_GETCONTIGUOUS(x), gradient = cnp.PyArray_GETCONTIGUOUS(y)
    cdef ndarray out = array_of_shape(tuple(weight_shape), cnp.PyArray_TYPE(image))
    job.n, job.a.image, job.weight, job.y = image.shape[0], cnp.PyArray_BYTES(image), cnp.PyArray_BYTES(out), cnp.PyArray_BYTES(gradient)
    run(&job, SUM, cnp.PyArray_TYPE(image))
    return out
