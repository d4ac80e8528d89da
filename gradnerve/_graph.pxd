"""The two tables that hold every graph. Next: csrc/graph.pyx, then gradnerve/_engine.pxd."""
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int8_t, int32_t, int64_t
from numpy cimport npy_intp

cdef enum:
    NOTHING = -1        # no row, no edge, end of a list
    SLOTS = 3           # what a node can save: X, Y and OUT
    X = 0               # the first input, or everything that a general operation saves, in a tuple
    Y = 1               # the second input
    OUT = 2             # the result
    FREED = 1           # a backward has passed and released what was saved
    HOOKED = 2          # there are hooks: functions that want to see its gradient
    RETIRED = 8         # a leaf by which nothing more will be differentiated: what depends on it alone is a constant
    NOTED = 16          # debugging has a note about it
    BEYOND = 32         # there is a Keeper further back
    MASKED = 4          # part of a derivative behind a mask: what that left out is 0 here, too
    INLINE_DIMS = 4     # shapes up to this length stand in the row itself

cdef struct Node:
    PyObject* operation         # owned: what made it; NULL for a leaf
    PyObject* handle            # borrowed: the live Tensor of this row; NULL when nobody holds one
    PyObject* saved[SLOTS]      # owned, or NULL: what the derivatives will read
    PyObject* keeper            # of the row's functions, or NULL: each use of the row is one reference to it
    npy_intp dims[INLINE_DIMS]  # the shape; of one that is too long, where it stands, in memory of ours
    int64_t number              # nodes made later have larger ones
    int32_t uses                # handles, edges and sweeps that need this row; it is free at 0
    int32_t edges               # the first of its edges
    int32_t mark                # scratch: the next free row, the next dead row, or the place in a sweep
    int8_t ndim                 # length of the shape
    int8_t typenum              # NumPy's number of the dtype
    int8_t state                # FREED, HOOKED, MASKED, RETIRED, NOTED, BEYOND

cdef struct Edge:
    int32_t parent              # row of the argument
    int32_t argument            # which argument it was
    int32_t next                # the next edge of the same node, or the next free edge

cdef struct Tables:
    Node* nodes
    Edge* edges
    int32_t node_room, edge_room    # rows allocated
    int32_t node_top, edge_top      # rows ever used; those above are untouched
    int32_t free_node, free_edge    # heads of the free lists
    int32_t live_nodes, live_edges

ctypedef int (*Visit)(PyObject*, void*) noexcept

cdef Tables tables
cdef int64_t last_number     # of the node that was made last

cdef int reserve(int32_t nodes, int32_t edges) except -1
cdef int32_t new_node(PyObject* operation, int ndim, npy_intp* dims, int typenum) except -1
cdef void add_edge(int32_t row, int32_t parent, int32_t argument) noexcept
cdef void release(int32_t row) noexcept
cdef void forget(int32_t row) noexcept

cdef class Keeper:
    cdef object function        # of the user, for the derivatives; or None
    cdef dict hooks             # number -> function that wants to see the gradient; or None
    cdef int32_t row

cdef Keeper keeper_of(int32_t row)
cdef object function_of(int32_t row)
cdef dict hooks_of(int32_t row)
cdef void drop_hooks(int32_t row) noexcept
cdef void show_to_collector(PyObject* tensor, int32_t row) noexcept
cdef int visit_use(int32_t row, Visit visit, void* arg) noexcept
cdef void drop_note(int32_t row) noexcept
cdef tuple shape_tuple(int32_t row)

cdef inline void retain(int32_t row) noexcept:
    tables.nodes[row].uses += 1
    if tables.nodes[row].keeper != NULL:
        Py_INCREF(<object>tables.nodes[row].keeper)

cdef inline npy_intp* shape_of(int32_t row) noexcept:
    if tables.nodes[row].ndim > INLINE_DIMS:
        return <npy_intp*>tables.nodes[row].dims[0]
    return tables.nodes[row].dims
