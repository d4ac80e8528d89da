# cython: language_level=3
"""The graph: rows for nodes and for edges in two typed arrays, use counts, free lists. No mathematics.

A node is one result, an edge says "this node was computed from that one" and exists only for an argument that wants a
gradient. A row is free again the moment its use count reaches 0. Callers keep row numbers, never pointers: the arrays
move when they grow. Everything here runs under the GIL and calls no Python code, except that dropping a saved object may.

Next: csrc/program.pyx, how values are computed; csrc/engine.pyx, how rows come to be.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport INT32_MAX, int32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
cimport numpy as cnp
from numpy cimport npy_intp

from gradnerve._loops cimport recycle

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #ifdef __SANITIZE_ADDRESS__   /* tables that move at every chance show who keeps a pointer into them */
    #define LARGER(room) ((room) + (room) / 64 + 1)
    #define KEEP_ROOM 0
    #else
    #define LARGER(room) ((room) < 512 ? 1024 : 2 * (room))
    #define KEEP_ROOM 65536       /* tables larger than this are given back when the last row is released */
    #endif
    """
    Py_ssize_t LARGER(Py_ssize_t room) noexcept
    int KEEP_ROOM

memset(&tables, 0, sizeof(Tables))
tables.free_node = tables.free_edge = NOTHING


cdef int grow(void** rows, int32_t* room, int32_t wanted, size_t size) except -1:
    """Make room for `wanted` rows of `size` bytes, at least doubling."""
    cdef Py_ssize_t larger = min(max(LARGER(room[0]), <Py_ssize_t>wanted), INT32_MAX)
    cdef void* moved = realloc(rows[0], larger * size)
    if moved == NULL:
        raise MemoryError(f"the graph's table cannot grow to {larger} rows")
    rows[0] = moved
    room[0] = <int32_t>larger
    return 0


cdef int reserve(int32_t nodes, int32_t edges) except -1:
    """Make sure that so many more rows can be taken without an error."""
    if INT32_MAX - nodes < tables.node_top or INT32_MAX - edges < tables.edge_top:
        raise MemoryError("the graph's tables are full: 2,147,483,647 rows")
    if tables.node_top + nodes > tables.node_room:
        grow(<void**>&tables.nodes, &tables.node_room, tables.node_top + nodes, sizeof(Node))
    if tables.edge_top + edges > tables.edge_room:
        grow(<void**>&tables.edges, &tables.edge_room, tables.edge_top + edges, sizeof(Edge))
    return 0


cdef int32_t new_node(PyObject* operation, int ndim, npy_intp* dims, int typenum) except -1:
    """A row with one use, no edges and nothing saved."""
    global last_number
    cdef npy_intp* far = NULL
    cdef int32_t row
    cdef Node* node
    if tables.free_node == NOTHING:
        reserve(1, 0)
    if ndim > INLINE_DIMS:
        far = <npy_intp*>malloc(ndim * sizeof(npy_intp))
        if far == NULL:
            raise MemoryError("no memory for a shape")
    if tables.free_node != NOTHING:
        row = tables.free_node
        tables.free_node = tables.nodes[row].mark
    else:
        row = tables.node_top
        tables.node_top += 1
    tables.live_nodes += 1
    node = &tables.nodes[row]
    node.operation = operation
    Py_XINCREF(operation)
    node.handle = NULL
    node.saved[X] = node.saved[Y] = node.saved[OUT] = NULL
    node.uses = 1
    node.edges = node.mark = NOTHING
    node.ndim = <int8_t>ndim
    node.typenum = <int8_t>typenum
    last_number += 1
    node.number = last_number
    node.state = 0
    if far != NULL:
        node.dims[0] = <npy_intp>far
    if ndim:
        memcpy(shape_of(row), dims, ndim * sizeof(npy_intp))
    return row


cdef void add_edge(int32_t row, int32_t parent, int32_t argument) noexcept:
    """Put an edge before the node's others; `reserve` has made room."""
    cdef int32_t edge = tables.free_edge
    if edge != NOTHING:
        tables.free_edge = tables.edges[edge].next
    else:
        edge = tables.edge_top
        tables.edge_top += 1
    tables.live_edges += 1
    tables.edges[edge].parent = parent
    tables.edges[edge].argument = argument
    tables.edges[edge].next = tables.nodes[row].edges
    tables.nodes[row].edges = edge
    retain(parent)


cdef int32_t unlink(int32_t row, int32_t dead) noexcept:
    """Free the row's edges; parents that nobody needs any more join the list of dead rows, which is returned."""
    cdef int32_t edge = tables.nodes[row].edges, following, parent
    while edge != NOTHING:
        parent = tables.edges[edge].parent
        following = tables.edges[edge].next
        tables.edges[edge].next = tables.free_edge
        tables.free_edge = edge
        tables.live_edges -= 1
        tables.nodes[parent].uses -= 1
        if tables.nodes[parent].uses == 0:
            tables.nodes[parent].mark = dead
            dead = parent
        edge = following
    tables.nodes[row].edges = NOTHING
    return dead


cdef void bury(int32_t dead) noexcept:
    """Free a list of dead rows and whatever dies with them: a loop, whatever the depth of the graph."""
    cdef int32_t row
    cdef PyObject* operation
    while dead != NOTHING:
        row = dead
        dead = unlink(row, tables.nodes[row].mark)
        forget(row)
        if tables.nodes[row].state & HOOKED:
            drop_hooks(row)
        if tables.nodes[row].state & NOTED:
            drop_note(row)
        operation = tables.nodes[row].operation
        if tables.nodes[row].ndim > INLINE_DIMS:
            free(<void*>tables.nodes[row].dims[0])
        tables.nodes[row].mark = tables.free_node
        tables.free_node = row
        tables.live_nodes -= 1
        Py_XDECREF(operation)
    if tables.live_nodes == 0 and tables.node_room > KEEP_ROOM:
        give_back()


cdef void give_back() noexcept:
    """Return the memory of large tables that hold no row."""
    free(tables.nodes)
    free(tables.edges)
    memset(&tables, 0, sizeof(Tables))
    tables.free_node = tables.free_edge = NOTHING


cdef void release(int32_t row) noexcept:
    """Take one use away."""
    tables.nodes[row].uses -= 1
    if tables.nodes[row].uses == 0:
        tables.nodes[row].mark = NOTHING
        bury(row)


cdef void drop_edges(int32_t row) noexcept:
    """Cut a node off from its parents."""
    bury(unlink(row, NOTHING))


cdef void forget(int32_t row) noexcept:
    """Drop what the node saved. Dropping may run Python code, so the row is consistent before each drop."""
    cdef PyObject* saved
    cdef int slot
    for slot in range(SLOTS):
        saved = tables.nodes[row].saved[slot]
        tables.nodes[row].saved[slot] = NULL
        recycle(saved)


# ------------------------------------------------------------------------------------------------------- hooks

cdef dict hooks = {}    # row -> number -> function


cdef dict hooks_of(int32_t row):
    """The hooks of a row, to which more may be added; they live as long as the row."""
    tables.nodes[row].state |= HOOKED
    return hooks.setdefault(row, {})


cdef void drop_hooks(int32_t row) noexcept:
    tables.nodes[row].state &= ~HOOKED
    hooks.pop(row, None)


# ------------------------------------------------------------------------------------------------------- notes

cdef dict notes = {}    # row -> what debugging knows of it


def note(int32_t row, about):
    """Keep something about a row, as long as its derivatives can be taken."""
    check_row(row)
    notes[row] = about
    tables.nodes[row].state |= NOTED


def noted(int32_t row):
    """The note about a row, or None."""
    return notes.get(row)


cdef void drop_note(int32_t row) noexcept:
    tables.nodes[row].state &= ~NOTED
    notes.pop(row, None)


# ---------------------------------------------------------------------------------------------- seen from Python

NODE_DTYPE = np.dtype([("row", "i4"), ("operation", "U24"), ("shape", "U32"), ("dtype", "U12"), ("uses", "i4"),
                       ("first_edge", "i4"), ("freed", "?"), ("number", "i8")])
EDGE_DTYPE = np.dtype([("edge", "i4"), ("child", "i4"), ("argument", "i4"), ("parent", "i4")])


def live_rows():
    """How many nodes and edges are in use in the whole process: ``(nodes, edges)``.

    >>> nodes, edges = live_rows()
    """
    return tables.live_nodes, tables.live_edges


cdef tuple shape_tuple(int32_t row):
    return tuple([shape_of(row)[k] for k in range(tables.nodes[row].ndim)])


cdef tuple describe(int32_t row):
    cdef Node* node = &tables.nodes[row]
    operation = "leaf" if node.operation == NULL else (<object>node.operation).name
    return (row, operation, str(shape_tuple(row)), cnp.PyArray_DescrFromType(node.typenum).name,
            node.uses, node.edges, bool(node.state & FREED), node.number)


cdef int check_row(int32_t row) except -1:
    if not 0 <= row < tables.node_top or tables.nodes[row].uses == 0:
        raise IndexError(f"row {row} is not in use")
    return 0


def saved_by(int32_t row):
    """What a row has saved for the derivatives, for reading only: arrays, numbers, and what general operations put them in."""
    check_row(row)
    return [<object>tables.nodes[row].saved[slot] for slot in range(SLOTS) if tables.nodes[row].saved[slot] != NULL]


def read_tables(int32_t root):
    """The rows reachable from `root`, children before parents, as two structured arrays: ``(nodes, edges)``."""
    check_row(root)
    cdef list rows = [root]
    cdef set seen = {root}
    cdef list edges = []
    cdef int32_t edge
    for row in rows:
        edge = tables.nodes[<int32_t>row].edges
        while edge != NOTHING:
            parent = tables.edges[edge].parent
            edges.append((edge, row, tables.edges[edge].argument, parent))
            if parent not in seen:
                seen.add(parent)
                rows.append(parent)
            edge = tables.edges[edge].next
    return (np.array([describe(row) for row in rows], NODE_DTYPE),
            np.array(edges, EDGE_DTYPE))
