# cython: language_level=3
"""How many bytes arrays take, counted while a block of code runs.

NumPy takes the memory of new arrays from functions that one may choose (NEP 49). Those here write the size before each array's memory, so
that it is known when the memory goes back, whoever gives it back, and whenever.

Next: gradnerve/nn/summary.py, which asks.
"""
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport strcpy
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._loops import keep_arrays

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ctypedef struct Functions "PyDataMemAllocator":
        void* (*malloc)(void*, size_t) noexcept nogil
        void* (*calloc)(void*, size_t, size_t) noexcept nogil
        void* (*realloc)(void*, void*, size_t) noexcept nogil
        void (*free)(void*, void*, size_t) noexcept nogil
    ctypedef struct Handler "PyDataMem_Handler":
        char name[127]
        uint8_t version
        Functions allocator
    object PyDataMem_SetHandler(object)
    PyObject* handler_of "PyArray_HANDLER"(ndarray) noexcept

cdef enum:
    BEFORE = 64         # bytes before an array's memory, which stays as aligned as it was

cdef struct Header:
    size_t size
    size_t block        # the number of the block in which the array was made

cdef size_t live = 0, peak = 0          # bytes of the arrays that were made in the last block
cdef size_t last_block = 0
cdef int open_blocks = 0                # of all threads
cdef bint kept = False                  # whether arrays were used again before the first of these


cdef void* booked(void* start, size_t size) noexcept nogil:
    global live, peak
    cdef Header* header = <Header*>start
    if start == NULL:
        return NULL
    header.size, header.block = size, last_block
    live += size
    peak = max(peak, live)
    return <char*>start + BEFORE


cdef Header* header_of(void* memory) noexcept nogil:
    return <Header*>(<char*>memory - BEFORE)


cdef void book_out(size_t size, size_t block) noexcept nogil:
    global live
    if block == last_block:
        live -= size


cdef void* counted_malloc(void* _, size_t size) noexcept nogil:
    return booked(malloc(size + BEFORE), size)


cdef void* counted_calloc(void* _, size_t n, size_t size) noexcept nogil:
    return booked(calloc(1, n * size + BEFORE), n * size)


cdef void* counted_realloc(void* _, void* memory, size_t size) noexcept nogil:
    cdef Header before
    cdef void* moved
    if memory == NULL:
        return counted_malloc(NULL, size)
    before = header_of(memory)[0]
    moved = realloc(header_of(memory), size + BEFORE)
    if moved != NULL:
        book_out(before.size, before.block)
    return booked(moved, size)


cdef void counted_free(void* _, void* memory, size_t size) noexcept nogil:
    if memory != NULL:
        book_out(header_of(memory).size, header_of(memory).block)
        free(header_of(memory))


cdef Handler handler
strcpy(handler.name, b"gradnerve_counted")
handler.version = 1
handler.allocator.malloc, handler.allocator.calloc = counted_malloc, counted_calloc
handler.allocator.realloc, handler.allocator.free = counted_realloc, counted_free
cdef object capsule = PyCapsule_New(&handler, b"mem_handler", NULL)


cdef class Count:
    """A block of code in which the bytes of new arrays are counted, those of this thread; no array is used again meanwhile.

    live  the bytes of those that were made in the block and are still there
    peak  the most that were there at a time, since the block began or since `restart`

    One block at a time: when another begins, this one's numbers are lost.

    >>> import numpy as np
    >>> with Count() as count:
    ...     a = np.zeros(1000).copy()
    >>> count.live, count.peak, count.made(a)
    (8000, 16000, True)
    """
    cdef object handler

    def __enter__(self):
        global last_block, live, peak, open_blocks, kept
        if open_blocks == 0:
            kept = keep_arrays(False)
        open_blocks += 1
        self.handler = PyDataMem_SetHandler(capsule)
        last_block += 1
        live = peak = 0
        return self

    def __exit__(self, kind, error, traceback):
        global open_blocks
        PyDataMem_SetHandler(self.handler)
        open_blocks -= 1
        if open_blocks == 0:
            keep_arrays(kept)

    def restart(self):
        """Forget the peak."""
        global peak
        peak = live

    def made(self, ndarray a not None):
        """Whether the memory of this array, which must own it, was taken in the block."""
        return handler_of(a) == <PyObject*>capsule and header_of(cnp.PyArray_DATA(a)).block == last_block

    @property
    def live(self):
        return live

    @property
    def peak(self):
        return peak
