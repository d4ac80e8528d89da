# cython: language_level=3
"""The graph: rows for nodes and for edges in two typed arrays, use counts, free lists. No mathematics.

A node is one result, an edge says "this node was computed from that one" and exists only for an argument that wants a
gradient. A row is free again the moment its use count reaches 0. Callers keep row numbers, never pointers: the arrays
move when they grow. Everything here runs under the GIL and calls no Python code, except that dropping a saved object may.

Next: csrc/program.pyx, how values are computed; csrc/engine.pyx, how rows come to be.
"""
cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, Py_XINCREF
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
    node.saved[X] = node.saved[Y] = node.saved[OUT] = node.keeper = NULL
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
    if tables.nodes[parent].keeper != NULL or tables.nodes[parent].state & BEYOND:
        tables.nodes[row].state |= BEYOND
        show_to_collector(tables.nodes[row].handle, row)


cdef inline bint is_last_use(int32_t row) noexcept:
    """Take one use away, but for the reference to the Keeper that goes with the last."""
    tables.nodes[row].uses -= 1
    if tables.nodes[row].uses == 0:
        return True
    if tables.nodes[row].keeper != NULL:
        Py_DECREF(<object>tables.nodes[row].keeper)
    return False


cdef int32_t unlink(int32_t row, int32_t dead) noexcept:
    """Free the row's edges; parents that nobody needs any more join the list of dead rows, which is returned."""
    cdef int32_t edge = tables.nodes[row].edges, following, parent
    while edge != NOTHING:
        parent = tables.edges[edge].parent
        following = tables.edges[edge].next
        tables.edges[edge].next = tables.free_edge
        tables.free_edge = edge
        tables.live_edges -= 1
        if is_last_use(parent):
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
        drop_keeper(row)
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
    if is_last_use(row):
        tables.nodes[row].mark = NOTHING
        bury(row)


cdef void forget(int32_t row) noexcept:
    """Drop what the node saved. Dropping may run Python code, so the row is consistent before each drop."""
    cdef PyObject* saved
    cdef int slot
    for slot in range(SLOTS):
        saved = tables.nodes[row].saved[slot]
        tables.nodes[row].saved[slot] = NULL
        recycle(saved)
    if tables.nodes[row].keeper != NULL:
        drop_function(<Keeper>tables.nodes[row].keeper)


# --------------------------------------------------------------------------------------------- functions of rows

ctypedef int (*Traverse)(PyObject*, Visit, void*) noexcept

cdef extern from *:
    ctypedef struct Class "PyTypeObject":
        Traverse tp_traverse
    bint PyObject_IS_GC(PyObject*) noexcept
    bint PyObject_GC_IsTracked(PyObject*) noexcept
    void PyObject_GC_Track(PyObject*) noexcept


cdef class Keeper:
    """The functions that a row holds: of a user's own derivative, and hooks.

    Such a function may hold a Tensor of the very row, or of one that was computed from it, and that is a cycle. For Python's garbage
    collector, which does not see the tables, the Keeper stands for the row: each use of the row is one reference to it. A Tensor
    whose row has one, or has one further back (BEYOND), shows the collector what its use of its row keeps alive (`visit_use`);
    all other Tensors are hidden from it, as they hold arrays of numbers only.
    """

    def __cinit__(self):
        self.row = NOTHING


cdef Keeper keeper_of(int32_t row):
    """The Keeper of a row, or a new one."""
    cdef Keeper keeper
    if tables.nodes[row].keeper == NULL:
        keeper = Keeper()
        if tables.nodes[row].keeper == NULL:    # else code that ran in between, on behalf of the collector, has made one
            keeper.row = row
            tables.nodes[row].keeper = <PyObject*>keeper
            for _ in range(tables.nodes[row].uses):
                Py_INCREF(keeper)
    show_to_collector(tables.nodes[row].handle, row)
    return <Keeper>tables.nodes[row].keeper


cdef void drop_keeper(int32_t row) noexcept:
    cdef PyObject* keeper = tables.nodes[row].keeper
    if keeper != NULL:
        tables.nodes[row].keeper = NULL
        (<Keeper>keeper).row = NOTHING
        Py_DECREF(<object>keeper)


cdef void drop_function(Keeper keeper) noexcept:
    _before, keeper.function = keeper.function, None


cdef object function_of(int32_t row):
    """The user's function for the derivatives of a row; None if there is none, or none any more."""
    return None if tables.nodes[row].keeper == NULL else (<Keeper>tables.nodes[row].keeper).function


cdef dict hooks_of(int32_t row):
    """The hooks of a row, to which more may be added; they live as long as the row."""
    cdef Keeper keeper = keeper_of(row)
    if keeper.hooks is None:
        keeper.hooks = {}
    tables.nodes[row].state |= HOOKED
    return keeper.hooks


cdef void drop_hooks(int32_t row) noexcept:
    cdef Keeper keeper = <Keeper>tables.nodes[row].keeper
    tables.nodes[row].state &= ~HOOKED
    _before, keeper.hooks = keeper.hooks, None


cdef void show_to_collector(PyObject* tensor, int32_t row) noexcept:
    """From now on the collector sees a tensor of a row that has a Keeper, or has one further back."""
    if (tensor != NULL and (tables.nodes[row].keeper != NULL or tables.nodes[row].state & BEYOND)
            and PyObject_IS_GC(tensor) and not PyObject_GC_IsTracked(tensor)):
        PyObject_GC_Track(tensor)


@cython.profile(False)
@cython.linetrace(False)
cdef int visit_use(int32_t row, Visit visit, void* arg) noexcept:
    """Show the collector what one use of a row keeps alive: its Keeper; or if it is the only use, what the row keeps alive."""
    if tables.nodes[row].keeper != NULL:
        return visit(tables.nodes[row].keeper, arg)
    return visit_parents(row, visit, arg) if tables.nodes[row].uses == 1 else 0


@cython.profile(False)
@cython.linetrace(False)
cdef int visit_parents(int32_t row, Visit visit, void* arg) noexcept:
    """The same for all that the edges of a row keep alive: a loop over the tree of the rows that nobody else uses, whose marks say what is next.

    The mark of the first row is left alone: it may be in the list of the dead.
    """
    cdef int32_t waiting = NOTHING, edge, parent
    cdef int outcome
    while row != NOTHING:
        edge = tables.nodes[row].edges
        while edge != NOTHING:
            parent = tables.edges[edge].parent
            if tables.nodes[parent].keeper != NULL:
                outcome = visit(tables.nodes[parent].keeper, arg)
                if outcome:
                    return outcome
            elif tables.nodes[parent].uses == 1 and tables.nodes[parent].state & BEYOND:
                tables.nodes[parent].mark = waiting
                waiting = parent
            edge = tables.edges[edge].next
        row = waiting
        if row != NOTHING:
            waiting = tables.nodes[row].mark
    return 0


cdef Traverse traverse_fields = (<Class*>Keeper).tp_traverse


@cython.profile(False)
@cython.linetrace(False)
cdef int traverse_keeper(PyObject* keeper, Visit visit, void* arg) noexcept:
    cdef int outcome = traverse_fields(keeper, visit, arg)
    cdef int32_t row = (<Keeper>keeper).row
    return outcome if outcome or row == NOTHING else visit_parents(row, visit, arg)


(<Class*>Keeper).tp_traverse = traverse_keeper


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
    """What a row has saved for the derivatives, for reading only: arrays, numbers, what general operations put them in, and functions."""
    check_row(row)
    saved = [<object>tables.nodes[row].saved[slot] for slot in range(SLOTS) if tables.nodes[row].saved[slot] != NULL]
    return saved if function_of(row) is None else [*saved, function_of(row)]


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
