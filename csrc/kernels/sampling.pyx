# cython: language_level=3
"""Weighted sums of pixels that are named by their numbers, and the two counterparts; the reference is gradnerve/ops/sampling.py."""
cimport numpy as cnp
from libc.string cimport memset
from numpy cimport ndarray, npy_intp

from gradnerve._program cimport share

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    SHARED = 65536      # products from which threads share the work


cdef struct Images:
    npy_intp count              # N
    npy_intp channels           # C
    npy_intp pixels             # P, of a plane
    npy_intp taps               # K
    npy_intp results            # Q
    npy_intp* places            # (N, K, Q), -1 for what is outside
    void* x                     # (N, C, P)
    void* y                     # (N, C, Q)
    void* weights               # (N, K, Q)


cdef void blend_planes(void* job, Py_ssize_t first, Py_ssize_t last, Real* kind) noexcept nogil:
    """The planes from first to last of y."""
    cdef Images* a = <Images*>job
    cdef npy_intp _, plane, q, place, taps
    cdef Real* x
    cdef Real* y
    cdef Real* weights
    cdef Real pixel
    for plane in range(first, last):
        x, y, taps = <Real*>a.x + plane * a.pixels, <Real*>a.y + plane * a.results, plane // a.channels * a.taps * a.results
        memset(y, 0, a.results * sizeof(Real))
        for _ in range(a.taps):
            weights = <Real*>a.weights + taps
            for q in range(a.results):
                place = a.places[taps + q]
                pixel = x[place] if place >= 0 else <Real>0
                y[q] += pixel * weights[q]
            taps += a.results


cdef void spread_planes(void* job, Py_ssize_t first, Py_ssize_t last, Real* kind) noexcept nogil:
    """The planes from first to last of x."""
    cdef Images* a = <Images*>job
    cdef npy_intp _, plane, q, place, taps
    cdef Real* x
    cdef Real* y
    cdef Real* weights
    for plane in range(first, last):
        x, y, taps = <Real*>a.x + plane * a.pixels, <Real*>a.y + plane * a.results, plane // a.channels * a.taps * a.results
        memset(x, 0, a.pixels * sizeof(Real))
        for _ in range(a.taps):
            weights = <Real*>a.weights + taps
            for q in range(a.results):
                place = a.places[taps + q]
                if place >= 0:
                    x[place] += y[q] * weights[q]
            taps += a.results


cdef void match_taps(void* job, Py_ssize_t first, Py_ssize_t last, Real* kind) noexcept nogil:
    """The rows from first to last of the weights."""
    cdef Images* a = <Images*>job
    cdef npy_intp row, channel, plane, q, place
    cdef npy_intp* places
    cdef Real* x
    cdef Real* y
    cdef Real* weights
    cdef Real pixel
    for row in range(first, last):
        weights, places = <Real*>a.weights + row * a.results, a.places + row * a.results
        memset(weights, 0, a.results * sizeof(Real))
        for channel in range(a.channels):
            plane = row // a.taps * a.channels + channel
            x, y = <Real*>a.x + plane * a.pixels, <Real*>a.y + plane * a.results
            for q in range(a.results):
                place = places[q]
                pixel = x[place] if place >= 0 else <Real>0
                weights[q] += y[q] * pixel


cdef void blend_floats(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: blend_planes(job, first, last, <float*>NULL)
cdef void blend_doubles(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: blend_planes(job, first, last, <double*>NULL)
cdef void spread_floats(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: spread_planes(job, first, last, <float*>NULL)
cdef void spread_doubles(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: spread_planes(job, first, last, <double*>NULL)
cdef void match_floats(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: match_taps(job, first, last, <float*>NULL)
cdef void match_doubles(void* job, int _, Py_ssize_t first, Py_ssize_t last) noexcept nogil: match_taps(job, first, last, <double*>NULL)


cdef ndarray whole(x, int typenum):
    """The array in C order, or None if it is not one of three axes and of this type."""
    if not isinstance(x, ndarray) or cnp.PyArray_TYPE(x) != typenum or cnp.PyArray_NDIM(x) != 3 or not cnp.PyArray_ISBEHAVED_RO(x):
        return None
    return cnp.PyArray_GETCONTIGUOUS(x)


cdef bint in_range(Images* a) noexcept nogil:
    cdef npy_intp k
    for k in range(a.count * a.taps * a.results):
        if not -1 <= a.places[k] < a.pixels:
            return False
    return True


cdef object result(x, y, weights, places, npy_intp pixels):
    """Whichever of the three arrays is None, from the other two; None if there is no way."""
    cdef int kind = cnp.PyArray_TYPE(y if x is None else x) if isinstance(y if x is None else x, ndarray) else -1
    if kind not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE):
        return None
    cdef ndarray p = whole(places, cnp.NPY_INTP), a = None, b = None, c = None
    a = None if x is None else whole(x, kind)
    b = None if y is None else whole(y, kind)
    c = None if weights is None else whole(weights, kind)
    if p is None or (a is None) != (x is None) or (b is None) != (y is None) or (c is None) != (weights is None):
        return None
    cdef Images all
    cdef npy_intp channels = a.shape[1] if b is None else b.shape[1]
    all.count, all.channels, all.pixels, all.taps, all.results = p.shape[0], channels, pixels, p.shape[1], p.shape[2]
    cdef npy_intp* x_shape = [all.count, channels, pixels]
    cdef npy_intp* y_shape = [all.count, channels, all.results]
    a = cnp.PyArray_EMPTY(3, x_shape, kind, 0) if a is None else a
    b = cnp.PyArray_EMPTY(3, y_shape, kind, 0) if b is None else b
    c = cnp.PyArray_EMPTY(3, cnp.PyArray_DIMS(p), kind, 0) if c is None else c
    if not (fits(a, x_shape) and fits(b, y_shape) and fits(c, cnp.PyArray_DIMS(p))):
        return None
    all.places, all.x, all.y, all.weights = <npy_intp*>cnp.PyArray_DATA(p), cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), cnp.PyArray_DATA(c)
    cdef bint double_ = kind == cnp.NPY_DOUBLE
    cdef int sought = 0 if x is None else 1 if y is None else 2
    cdef npy_intp n = all.count * (all.taps if sought == 2 else channels)
    cdef npy_intp chunk = 1 if n and all.count * channels * all.taps * all.results >= SHARED else max(1, n)    # no more than there are: alone
    if not in_range(&all):
        return None
    with nogil:
        if n == 0:
            pass
        elif sought == 0:
            share(spread_doubles if double_ else spread_floats, &all, n, chunk)
        elif sought == 1:
            share(blend_doubles if double_ else blend_floats, &all, n, chunk)
        else:
            share(match_doubles if double_ else match_floats, &all, n, chunk)
    return a if sought == 0 else b if sought == 1 else c


cdef bint fits(ndarray x, npy_intp* shape):
    return x.shape[0] == shape[0] and x.shape[1] == shape[1] and x.shape[2] == shape[2]


def blend(x, weights, places):
    """The sums; None for anything but floats or doubles of one dtype, and shapes and places that fit."""
    return result(x, None, weights, places, x.shape[2]) if isinstance(x, ndarray) and x.ndim == 3 else None


def spread(y, weights, places, npy_intp pixels):
    return result(None, y, weights, places, pixels)


def match(y, x, places):
    return result(x, y, None, places, x.shape[2]) if isinstance(x, ndarray) and x.ndim == 3 else None
