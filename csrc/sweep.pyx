# cython: language_level=3
"""The way back: put a graph in order, sweep gradients through it, commit them to the tensors.

A `Sweep` keeps all of its state to itself, so that sweeps may nest (a derivative may call backward) and run in several
threads. Gradients reach the tensors in one loop at the very end that cannot fail: a backward that raises changes nothing.

    order     find the nodes behind the roots; a node comes after all that use it (Kahn's algorithm: count the users)
    run       for each node, ask its operation for the share of each argument, and add it up there
    commit    move the sums to the tensors that somebody still holds

What a mask leaves out (`where`, indexing, `clip`...) gets a gradient of exactly 0, and must pass on exactly 0, also through an
infinite derivative, where 0 * inf would be NaN: so behind a mask, and only there, shares are checked (`selected`).

Next: gradnerve/ops/arithmetic.py, the derivatives; gradnerve/tensor.py, what users see.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc, realloc
cimport numpy as cnp
from numpy cimport ndarray

from gradnerve._engine cimport (BLANK, BORROWED, LOST, Operation, TensorBase, array_in, gradient_keeper, helper, is_behind_mask, linked,
                                new_tensor, row_of, set_behind_mask, value_of, watcher, watchers, without_value)
from gradnerve._graph cimport (FREED, HOOKED, MASKED, NOTED, NOTHING, RETIRED, drop_hooks, drop_note, forget, hooks_of, release, retain, shape_of,
                               shape_tuple, tables)
from gradnerve._loops cimport (NPY_ARRAY_CARRAY, NPY_ARRAY_OWNDATA, PyArray_FLAGS, PyArrayObject, add_arrays, all_finite, bytes_of, is_array,
                               recycle, sum_to_shape)

import numpy as np

from gradnerve._engine import GraphError, ShapeError, ValuesNeeded, set_recording, set_watcher

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t REFCOUNT "Py_REFCNT"(PyObject*)

cdef enum:
    POLL_NODES = 1000           # ask for Ctrl-C after so many nodes
    POLL_BYTES = 4000000        # or after gradients of so many bytes
    TARGET = 2

cdef struct Entry:
    int32_t row
    int32_t users           # not yet swept, while ordering
    int32_t parents         # where its parents stand in Sweep.parents, in the order of its edges
    int32_t wanted          # whether a gradient has to come here; TARGET: and has to stay
    int32_t masked          # some of the gradient passed a mask: its zeros are exact, whatever they are multiplied by
    PyObject* grad          # owned; an ndarray, or a Tensor when the sweep itself is recorded

cdef class Sweep:
    """One passage from the roots to the leaves."""
    cdef Entry* entries
    cdef int32_t* parents
    cdef int32_t* order
    cdef int32_t count, n_parents, room, parent_room
    cdef int32_t n_roots        # the first entries, which the sweep keeps alive
    cdef set ends               # rows to stop at, as if they were leaves; or None
    cdef bint recorded          # gradients are Tensors, and the sweep itself can be differentiated
    cdef bint retain_graph
    cdef object level           # of the gradients, where many of them are swept at once along a first axis; else None
    cdef Py_ssize_t width       # how many; 0: one, without such an axis
    cdef bint only_targets      # keep gradients for TARGET entries; otherwise for tensors that somebody holds

    def __dealloc__(self):
        cdef int32_t k
        for k in range(self.count):
            Py_XDECREF(self.entries[k].grad)
        for k in range(self.n_roots):
            release(self.entries[k].row)
        free(self.entries)
        free(self.parents)
        free(self.order)

    # ------------------------------------------------------------------------------------------------- order

    cdef int discover(self, list roots, set ends) except -1:
        """List all nodes behind the roots, and count how often each is used. Calls no Python code: the marks stay ours."""
        cdef int32_t k = 0, edge, row
        self.ends = ends
        for root in roots:
            row = (<TensorBase>root).node
            if row == NOTHING:
                raise GraphError("a tensor that is not tracked has no graph behind it")
            if self.place_of(row) == NOTHING:
                self.append(row)
                retain(row)
                self.n_roots += 1
        while k < self.count:
            row = self.entries[k].row
            self.entries[k].parents = self.n_parents
            if ends is not None and row in ends:
                k += 1
                continue
            edge = tables.nodes[row].edges
            while edge != NOTHING:
                row = tables.edges[edge].parent
                place = self.place_of(row)
                if place == NOTHING:
                    place = self.append(row)
                self.entries[place].users += 1
                if self.n_parents == self.parent_room:
                    self.parent_room = max(64, 2 * self.parent_room)
                    self.parents = <int32_t*>enlarged(self.parents, self.parent_room * sizeof(int32_t))
                self.parents[self.n_parents] = place
                self.n_parents += 1
                edge = tables.edges[edge].next
            k += 1
        return 0

    cdef inline int32_t place_of(self, int32_t row) noexcept:
        cdef int32_t place = tables.nodes[row].mark
        return place if 0 <= place < self.count and self.entries[place].row == row else NOTHING    # a mark of another sweep, or none

    cdef int32_t append(self, int32_t row) except -1:
        cdef Entry* entry
        if self.count == self.room:
            self.room = max(64, 2 * self.room)
            self.entries = <Entry*>enlarged(self.entries, self.room * sizeof(Entry))
        entry = &self.entries[self.count]
        entry.row, entry.users, entry.parents, entry.wanted, entry.grad = row, 0, 0, 1, NULL
        entry.masked = (tables.nodes[row].state & MASKED) != 0
        tables.nodes[row].mark = self.count
        self.count += 1
        return self.count - 1

    cdef inline int32_t end_of_parents(self, int32_t k) noexcept:
        return self.entries[k + 1].parents if k + 1 < self.count else self.n_parents

    cdef int put_in_order(self) except -1:
        """Fill `order`: children before parents. A node is ready when its last user has been placed."""
        cdef int32_t* ready = <int32_t*>malloc(self.count * sizeof(int32_t))
        cdef int32_t n_ready = 0, n = 0, k, j, parent
        self.order = <int32_t*>malloc(self.count * sizeof(int32_t))
        if ready == NULL or self.order == NULL:
            free(ready)
            raise MemoryError("no memory to order the graph")
        for k in range(self.n_roots):
            if self.entries[k].users == 0:      # no other root depends on it
                ready[n_ready] = k
                n_ready += 1
        while n_ready:
            n_ready -= 1
            k = ready[n_ready]
            self.order[n] = k
            n += 1
            for j in range(self.entries[k].parents, self.end_of_parents(k)):
                parent = self.parents[j]
                self.entries[parent].users -= 1
                if self.entries[parent].users == 0:
                    ready[n_ready] = parent
                    n_ready += 1
        free(ready)
        return 0

    cdef int want_only(self, set rows) except -1:
        """Restrict the sweep to the nodes between the root and these rows."""
        cdef int32_t n, k, j
        for n in range(self.count - 1, -1, -1):
            k = self.order[n]
            self.entries[k].wanted = TARGET if self.entries[k].row in rows else 0
            for j in range(self.entries[k].parents, self.end_of_parents(k)):
                if self.entries[self.parents[j]].wanted and not self.entries[k].wanted:
                    self.entries[k].wanted = 1
        return 0

    cdef int refuse_freed(self) except -1:
        """Raise if the sweep would go through a node whose saved values have been released."""
        cdef int32_t k
        for k in range(self.count):
            if tables.nodes[self.entries[k].row].state & FREED and self.leads_on(k):
                raise freed_error(self.entries[k].row)
        return 0

    cdef bint leads_on(self, int32_t k) noexcept:
        """Whether some parent wants a gradient."""
        cdef int32_t j
        for j in range(self.entries[k].parents, self.end_of_parents(k)):
            if self.entries[self.parents[j]].wanted:
                return True
        return False

    cdef bint has_leaves_beyond(self, set rows) except -1:
        """Whether some leaf is in none of these rows."""
        cdef int32_t k, row
        for k in range(self.count):
            row = self.entries[k].row
            if tables.nodes[row].operation == NULL and not tables.nodes[row].state & RETIRED and row not in rows:
                return True
        return False

    # --------------------------------------------------------------------------------------------------- run

    cdef int run(self) except -1:
        """Visit every node in order. If one fails, the whole graph counts as released: never half of it."""
        cdef int32_t n, k
        cdef Py_ssize_t nodes = 0, nbytes = 0
        try:
            for n in range(self.count):
                k = self.order[n]
                if self.entries[k].grad != NULL and self.entries[k].wanted:
                    if tables.nodes[self.entries[k].row].state & (HOOKED | FREED):
                        self.look_at(k)
                    self.visit(k)
                    if not self.recorded:
                        nbytes += bytes_of(self.entries[k].grad)
                self.leave(k)
                nodes += 1
                if nodes == POLL_NODES or nbytes > POLL_BYTES:
                    PyErr_CheckSignals()
                    nodes = nbytes = 0
        except BaseException:
            for k in range(self.count):
                self.leave(k)
            raise
        return 0

    cdef int visit(self, int32_t k) except -1:
        """Hand the gradient of one node on to its parents."""
        cdef int32_t row = self.entries[k].row
        cdef object g = <object>self.entries[k].grad
        cdef Operation operation
        cdef bint before
        if tables.nodes[row].operation == NULL or not self.leads_on(k):
            return 0
        operation = <Operation>tables.nodes[row].operation
        before = set_behind_mask(self.entries[k].masked)
        try:
            self.hand_on(k, row, operation, g)
        finally:
            set_behind_mask(before)
        return 0

    cdef int hand_on(self, int32_t k, int32_t row, Operation operation, object g) except -1:
        cdef int32_t edge = tables.nodes[row].edges, j = self.entries[k].parents, parent
        cdef tuple together = operation.shares(row, g) if operation.at_once else None
        cdef bint selects = operation.selects(row), careful
        cdef object seen_by = watcher() if watchers else None
        cdef int argument
        cdef PyObject* spare
        while edge != NOTHING:
            parent, argument = self.parents[j], tables.edges[edge].argument
            if self.entries[parent].wanted:
                careful = self.entries[k].masked and not operation.linear and operation.multiplies(argument)
                if self.entries[k].masked or selects:
                    self.entries[parent].masked = 1
                if careful or seen_by is not None or not self.adds_to(parent) or not operation.add_share(row, argument, g, self.entries[parent].grad):
                    if together is not None:
                        share = together[argument]
                    elif careful:
                        share = self.selected(operation, row, argument, g)
                    elif self.width:
                        share = operation.share_of_many(row, argument, g, self.level)
                    else:
                        share = operation.share(row, argument, g)
                    if share is not None:
                        if seen_by is not None and not self.width:
                            show_share(seen_by, row, operation, argument, g, share, self.entries[parent].row)
                        self.accumulate(parent, share, operation, argument)
                        spare = <PyObject*>share
                        Py_INCREF(share)
                        share = None
                        recycle(spare)
            edge = tables.edges[edge].next
            j += 1
        return 0

    cdef object selected(self, Operation operation, int32_t row, int argument, object g):
        """The share of a gradient that passed a mask: what the mask left out contributes exactly 0, also through an infinite derivative."""
        cdef bint before
        if operation.elementwise and not self.recorded:
            share = operation.share_of_many(row, argument, g, self.level) if self.width else operation.share(row, argument, g)
            if share is None or all_finite(share):
                return share
        with np.errstate(all="ignore"):
            share = self.cleaned(operation, row, argument, g)
        if share is not None and not self.recorded and not self.width and not all_finite(share):
            before = set_behind_mask(False)
            try:
                operation.share(row, argument, g)       # for its warning or error: this infinity is none of the mask's
            finally:
                set_behind_mask(before)
        return share

    cdef object cleaned(self, Operation operation, int32_t row, int argument, object g):
        """The share, with 0 where infinite values have met a gradient of 0."""
        try:
            share = operation.share_of_many(row, argument, g, self.level) if self.width else operation.share(row, argument, g)
            if share is None or all_finite(array_in(share)):
                return share
        except np.linalg.LinAlgError:       # of a matrix that was left out, or of another
            share = None
        if operation.elementwise and share is not None:
            lost = (array_in(g) == 0) & ~np.isfinite(array_in(share))
            return helper("where")(lost, np.zeros((), array_in(share).dtype), share)
        if self.width:
            raise ValuesNeeded(f"{operation.name}: infinite derivatives behind a mask are looked at one by one")
        return operation.without_infinities(row, argument, g, share)

    cdef inline bint adds_to(self, int32_t parent) noexcept:
        """Whether a share may be added to what has come to the parent in place: that sum is ours alone."""
        return not self.recorded and not self.width and is_ours(self.entries[parent].grad)

    cdef int look_at(self, int32_t k) except -1:
        """Before a node is visited that another sweep has released since this one began, or that has hooks."""
        cdef int32_t row = self.entries[k].row
        if self.ends is not None and row in self.ends:
            return 0
        if tables.nodes[row].state & FREED and self.leads_on(k):
            raise freed_error(row)
        return self.call_hooks(k) if tables.nodes[row].state & HOOKED else 0

    cdef int call_hooks(self, int32_t k) except -1:
        """Show the gradient of a node to those who asked for it; what they return takes its place."""
        cdef int32_t row = self.entries[k].row
        for hook in list(hooks_of(row).values()):
            g = <object>self.entries[k].grad
            outcome = hook(own_tensor(g))
            if outcome is None:
                continue
            self.entries[k].grad = NULL
            Py_DECREF(g)
            g = fitting_hook(row, outcome, hook, self.recorded)
            Py_INCREF(g)
            self.entries[k].grad = <PyObject*>g
        return 0

    cdef int accumulate(self, int32_t k, object share, Operation operation, int argument) except -1:
        """Add a share to what has come to a node: borrow the first, add out of place, then in place once the sum is ours."""
        cdef PyObject* old
        if self.width:
            share = fitting_many(self.entries[k].row, share, operation, argument, self.width)
        else:
            share = fitting(self.entries[k].row, share, operation, argument)
        old = self.entries[k].grad
        if old == NULL:
            pass
        elif self.recorded:
            share = <object>old + share
        elif is_ours(old):
            add_arrays(<ndarray>old, <ndarray>share, True, False)
            return 0
        else:
            share = add_arrays(<ndarray>old, <ndarray>share, False, False)
        Py_INCREF(share)
        self.entries[k].grad = <PyObject*>share
        recycle(old)
        return 0

    cdef void leave(self, int32_t k) noexcept:
        """Drop what is no longer needed: the gradient unless somebody waits for it, and what the node saved."""
        cdef int32_t row = self.entries[k].row
        cdef PyObject* grad = self.entries[k].grad
        if self.entries[k].wanted != TARGET and (self.only_targets or tables.nodes[row].handle == NULL):
            self.entries[k].grad = NULL
            recycle(grad)
        if self.ends is not None and row in self.ends:
            return                              # what stands there belongs to the sweep around this one
        if not self.retain_graph and self.entries[k].wanted and tables.nodes[row].operation != NULL:
            tables.nodes[row].state |= FREED
            forget(row)
            if tables.nodes[row].state & HOOKED:    # which may hold the tensor that holds the row
                drop_hooks(row)
            if tables.nodes[row].state & NOTED:
                drop_note(row)

    cdef list found(self, list targets):
        """What has come to the targets, None where nothing has."""
        cdef dict grads = {}
        cdef int32_t k
        for k in range(self.count):
            if self.entries[k].wanted == TARGET and self.entries[k].grad != NULL:
                grads[self.entries[k].row] = <object>self.entries[k].grad
        return [grads.get((<TensorBase>t).node) for t in targets]

    # ------------------------------------------------------------------------------------------------- commit

    cdef int commit(self) except -1:
        """Give every tensor that is still held its gradient. All that can fail comes before the first change."""
        cdef list fresh = [], added = []
        cdef TensorBase t
        cdef ndarray grad
        self.find_sums(fresh, added)
        while not (are_as_found(fresh, True) and are_as_found(added, False)):   # another thread, or a finaliser, has added to one meanwhile
            fresh, added = [], []
            self.find_sums(fresh, added)
        for t, _, grad in fresh:
            t.gradient = grad
            t.flags = t.flags & ~BLANK | BORROWED
        for t, _, grad in added:
            t.flags &= ~BLANK
            add_arrays(t.gradient, grad, True, True)
        return 0

    cdef int find_sums(self, list fresh, list added) except -1:
        """For every tensor that is still held, its gradient as it is, and what takes its place or is to be added in place."""
        cdef int32_t k
        cdef TensorBase t
        cdef ndarray grad
        for k in range(self.count):
            if tables.nodes[self.entries[k].row].handle == NULL or self.entries[k].grad == NULL:
                continue
            t = <TensorBase>tables.nodes[self.entries[k].row].handle
            grad = <ndarray>self.entries[k].grad
            before = t.gradient
            if before is None:
                fresh.append((t, before, grad))
            elif t.flags & BORROWED or not cnp.PyArray_ISCARRAY(before):
                fresh.append((t, before, add_arrays(before, grad, False, False)))
            else:
                added.append((t, before, grad if cnp.PyArray_ISCARRAY_RO(grad) else cnp.PyArray_NewCopy(grad, cnp.NPY_CORDER)))
        return 0


cdef int show_share(object seen_by, int32_t row, Operation operation, int argument, object g, object share, int32_t parent) except -1:
    """Show the watcher the share of an argument, before it is added up."""
    set_watcher(None)
    try:
        seen_by.shared(operation, row, argument, array_in(g), array_in(share), shape_tuple(parent),
                       cnp.PyArray_DescrFromType(tables.nodes[parent].typenum))
    finally:
        set_watcher(seen_by)
    return 0


cdef bint are_as_found(list sums, bint lent) except -1:
    """Whether the gradients are still those that the sums were made of; `lent`: others may read them."""
    cdef TensorBase t
    for t, before, _ in sums:
        if t.gradient is not before or not lent and t.flags & BORROWED:
            return False
    return True


cdef bint is_ours(PyObject* grad) noexcept:
    """Whether nobody else can see this array: neither another node, to which it was lent, nor a user."""
    return grad != NULL and REFCOUNT(grad) == 1 and is_array(grad) and owns_plain_memory(grad)


cdef inline bint owns_plain_memory(PyObject* a) noexcept:
    cdef int wanted = NPY_ARRAY_CARRAY | NPY_ARRAY_OWNDATA
    return PyArray_FLAGS(<PyArrayObject*>a) & wanted == wanted


cdef void* enlarged(void* memory, size_t size) except NULL:
    cdef void* moved = realloc(memory, size)
    if moved == NULL:
        raise MemoryError("no memory to order the graph")
    return moved


cdef object freed_error(int32_t row):
    name = (<Operation>tables.nodes[row].operation).name
    return GraphError(f"backward: {name} was already swept by an earlier backward(), which released what its derivative needs; "
                      f"call that one with retain_graph=True to go through it again")


cdef object fitting(int32_t row, object share, Operation operation, int argument):
    """The share in the shape and dtype of the node that it goes to: the one place where broadcasting is undone."""
    cdef ndarray a
    cdef int typenum = tables.nodes[row].typenum, ndim = tables.nodes[row].ndim
    cdef object fitted
    if (cnp.PyArray_CheckExact(share) and cnp.PyArray_TYPE(<ndarray>share) == typenum and cnp.PyArray_ISNOTSWAPPED(<ndarray>share)
            and has_shape(<ndarray>share, row)):
        return share
    a = (<TensorBase>share).array if isinstance(share, TensorBase) else np.asarray(share)
    if not (cnp.PyTypeNum_ISNUMBER(cnp.PyArray_TYPE(a)) or cnp.PyTypeNum_ISBOOL(cnp.PyArray_TYPE(a))):
        raise TypeError(f"{operation.name}: its derivative for argument {argument} gave {a.dtype}, which is no number")
    if isinstance(share, TensorBase):
        return fitting_tensor(row, <TensorBase>share, operation, argument)
    a = in_dtype(a, typenum)
    if not has_shape(a, row):
        fitted = sum_to_shape(a, ndim, shape_of(row))
        if fitted is None:
            raise shape_error(row, a, operation, argument)
        return fitted
    return a


cdef ndarray in_dtype(ndarray a, int typenum):
    """A share in the dtype of its node; the gradient of a real number is real."""
    if cnp.PyArray_TYPE(a) == typenum and cnp.PyArray_ISNOTSWAPPED(a):
        return a
    if cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(a)) and not cnp.PyTypeNum_ISCOMPLEX(typenum):
        a = a.real
    return cnp.PyArray_Cast(a, typenum)


cdef object fitting_many(int32_t row, object share, Operation operation, int argument, Py_ssize_t width):
    """The same for many shares along a first axis."""
    cdef ndarray a = share
    cdef cnp.npy_intp dims[65]
    cdef int k, more, typenum = tables.nodes[row].typenum, ndim = tables.nodes[row].ndim
    a = in_dtype(a, typenum)
    more = cnp.PyArray_NDIM(a) - 1 - ndim
    if more < 0:
        raise shape_error(row, a, operation, argument)
    dims[0] = width
    for k in range(more):
        dims[1 + k] = 1
    for k in range(ndim):
        dims[1 + more + k] = shape_of(row)[k]
    share = sum_to_shape(a, 1 + more + ndim, dims)
    if share is None:
        raise shape_error(row, a, operation, argument)
    return (<object>share).reshape((width, *shape_tuple(row))) if more else share


cdef object fitting_tensor(int32_t row, TensorBase share, Operation operation, int argument):
    """The same, recorded."""
    cdef int typenum = tables.nodes[row].typenum
    if cnp.PyArray_TYPE(share.array) != typenum:
        if cnp.PyTypeNum_ISCOMPLEX(cnp.PyArray_TYPE(share.array)) and not cnp.PyTypeNum_ISCOMPLEX(typenum):
            share = helper("real")(share)
        share = helper("astype")(share, cnp.PyArray_DescrFromType(typenum))
    if not has_shape(share.array, row):
        if sum_to_shape(share.array, tables.nodes[row].ndim, shape_of(row)) is None:
            raise shape_error(row, share.array, operation, argument)
        share = helper("sum_to")(share, shape_tuple(row))
    return share


cdef object fitting_hook(int32_t row, object g, object hook, bint recorded):
    """What a hook returned, in the dtype of the node."""
    name = f"the hook {getattr(hook, '__qualname__', hook)}"
    dtype = cnp.PyArray_DescrFromType(tables.nodes[row].typenum)
    array = array_in(g) if isinstance(g, TensorBase) else np.asarray(g)
    if array.dtype.kind not in "biufc" or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"{name} returned {array.dtype}, the gradient has dtype {dtype}")
    if not has_shape(array, row):
        raise ShapeError(f"{name} returned shape {np.shape(array)}, the gradient has shape {shape_tuple(row)}")
    if not recorded:
        return np.array(array, dtype)
    return helper("astype")(g, dtype) if isinstance(g, TensorBase) else new_tensor(np.array(array, dtype))


cdef bint has_shape(ndarray a, int32_t row) noexcept:
    cdef int k, ndim = tables.nodes[row].ndim
    cdef cnp.npy_intp* dims = shape_of(row)
    if cnp.PyArray_NDIM(a) != ndim:
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(a, k) != dims[k]:
            return False
    return True


cdef object shape_error(int32_t row, ndarray a, Operation operation, int argument):
    return ShapeError(f"{operation.name}: its derivative for argument {argument} has shape {np.shape(a)}, the argument {shape_tuple(row)}")


# ------------------------------------------------------------------------------------------------ seen from Python

cdef ndarray seed_for(TensorBase root, object gradient):
    """The gradient to start from: checked, and a copy."""
    cdef ndarray value = value_of(root)
    cdef ndarray ones
    shape = (<object>value).shape
    if gradient is None:
        if cnp.PyArray_SIZE(value) != 1 or cnp.PyArray_ISCOMPLEX(value):
            raise GraphError(f"backward: the output is no real scalar but has shape {shape} and dtype {value.dtype}, "
                             f"so it needs a gradient to start from.\n"
                             f"  for the gradient of the sum:  y.{'real.' if value.dtype.kind == 'c' else ''}sum().backward()\n"
                             f"  for a seed of your own:       y.backward(seed), an array of shape {shape}")
        ones = cnp.PyArray_ZEROS(cnp.PyArray_NDIM(value), cnp.PyArray_DIMS(value), cnp.PyArray_TYPE(value), 0)
        cnp.PyArray_FillWithScalar(ones, 1)
        return ones
    seed = value_of(<TensorBase>gradient) if isinstance(gradient, TensorBase) else np.asarray(gradient)
    if seed.dtype.kind not in "biufc" or not np.can_cast(seed.dtype, value.dtype, "same_kind"):
        raise TypeError(f"backward: the seed has dtype {seed.dtype}, the output {value.dtype}")
    if seed.shape != shape:
        raise ShapeError(f"backward: the seed has shape {seed.shape}, the output {shape}")
    return np.array(seed, value.dtype, order="C")


cdef Sweep start(list roots, set ends):
    """A sweep with its nodes in order."""
    cdef Sweep sweep = Sweep()
    for root in roots:
        if (<TensorBase?>root).node == NOTHING:
            raise GraphError("backward: the output does not depend on any tensor that requires grad "
                             "(made without requires_grad=True, detached, or computed under no_grad)")
    sweep.discover(roots, ends)
    sweep.put_in_order()
    return sweep


def backward(TensorBase root not None, gradient, bint retain_graph):
    """Add the gradient of `root` to the `.grad` of every tensor behind it that somebody holds."""
    cdef Sweep sweep = start([root], None)
    sweep.refuse_freed()
    seed = seed_for(root, gradient)
    Py_INCREF(seed)
    sweep.entries[0].grad = <PyObject*>seed
    sweep.retain_graph = retain_graph
    sweep.run()
    sweep.commit()


def gradients(list roots not None, list targets not None, list seeds not None, *, bint retain_graph=False, recorded=None, list ends=None):
    """The gradients of the sum of ``seed * root`` for these tensors, None where it does not depend on one; no `.grad` is touched.

    seeds       where to start, for each root: an array or a Tensor of its shape, or None for 1
    recorded    the gradients are tracked tensors, and the graph stays; by default, if a seed is tracked or the graph holds other leaves,
                so that the gradients depend on these in turn
    ends        tensors to stop at: the gradients are those with all of these held fixed
    """
    cdef set rows = {(<TensorBase?>t).node for t in targets}
    cdef Sweep sweep = start(roots, None if ends is None else {(<TensorBase?>t).node for t in ends})
    cdef int32_t k
    cdef bint before
    sweep.want_only(rows)
    sweep.refuse_freed()
    before = set_recording(True)
    try:
        if recorded is None:
            recorded = before and (sweep.has_leaves_beyond(rows) or any([row_of(seed) != NOTHING for seed in seeds]))
        sweep.only_targets, sweep.recorded, sweep.retain_graph = True, recorded, recorded or retain_graph
        for k in range(sweep.n_roots):
            sweep.entries[k].masked |= is_behind_mask()     # of a function that runs again, inside another sweep
        for root, seed in zip(roots, seeds, strict=True):
            add_seed(sweep, root, seed)
        sweep.run()
    finally:
        set_recording(before)
    grads = [None if g is None else own_tensor(g) for g in sweep.found(targets)]
    sweep = None                        # whose tensors die with it: from now on, ours stand for the rows
    for g in grads:
        if g is not None:
            gradient_keeper(g)
    return grads


cdef TensorBase own_tensor(object g):
    """A gradient as a Tensor that the caller may let stand for something else."""
    cdef TensorBase t
    if not isinstance(g, TensorBase):
        return new_tensor(<ndarray>g)
    t = g
    return new_tensor(t.array) if t.node == NOTHING else linked(t.array, t.node)


def leads_beyond(list roots not None, list targets not None):
    """Whether other leaves than the targets stand behind these tensors."""
    cdef Sweep sweep = Sweep()
    sweep.discover(roots, None)
    return sweep.has_leaves_beyond({(<TensorBase?>t).node for t in targets})


def gradients_of_many(TensorBase root not None, list targets not None, ndarray seeds not None, level):
    """The gradients from many seeds, which lie along the first axis, in one sweep: for each target an array of them, or None.

    Raises ValuesNeeded where some operation can only be swept for one seed at a time. The graph stays.
    """
    cdef Sweep sweep = start([root], None)
    cdef set rows = {(<TensorBase?>t).node for t in targets}
    cdef int32_t k, row
    cdef bint before
    sweep.want_only(rows)
    sweep.refuse_freed()
    for k in range(sweep.count):
        row = sweep.entries[k].row
        if sweep.entries[k].wanted and (tables.nodes[row].state & HOOKED or
                                        tables.nodes[row].operation != NULL and (<Operation>tables.nodes[row].operation).at_once):
            raise ValuesNeeded("a user's own code sees one gradient at a time")
    sweep.only_targets, sweep.retain_graph, sweep.level, sweep.width = True, True, level, cnp.PyArray_DIM(seeds, 0)
    Py_INCREF(seeds)
    sweep.entries[0].grad = <PyObject*>seeds
    before = set_recording(False)
    try:
        sweep.run()
    finally:
        set_recording(before)
    return sweep.found(targets)


def inputs_of(list roots not None, int64_t number):
    """What these were computed from that was made no later than the node of this number: tensors to differentiate by, without a value.

    And whether there is a mask among what was made later.
    """
    cdef list rows = [(<TensorBase?>root).node for root in roots], found = []
    cdef set seen = set(rows)
    cdef int32_t edge
    cdef bint selects = False
    for row in rows:
        if tables.nodes[<int32_t>row].number <= number:
            found.append(without_value(row))
            continue
        if tables.nodes[<int32_t>row].operation != NULL:
            selects = selects or (<Operation>tables.nodes[<int32_t>row].operation).selects(row)
        edge = tables.nodes[<int32_t>row].edges
        while edge != NOTHING:
            parent = tables.edges[edge].parent
            if parent not in seen:
                seen.add(parent)
                rows.append(parent)
            edge = tables.edges[edge].next
    return found, selects


def retire(list leaves not None):
    """Nothing more will be differentiated by these, except by sweeps that name them as targets."""
    for t in leaves:
        if (<TensorBase?>t).node != NOTHING and tables.nodes[(<TensorBase>t).node].operation == NULL:
            tables.nodes[(<TensorBase>t).node].state |= RETIRED


def values_held(list tensors not None):
    """The arrays of the tensors that somebody holds for the rows of these, for reading only; None where nobody does."""
    cdef list arrays = []
    cdef PyObject* handle
    for t in tensors:
        handle = tables.nodes[(<TensorBase?>t).node].handle
        arrays.append(None if handle == NULL or (<TensorBase>handle).flags & LOST else (<TensorBase>handle).array)
    return arrays


def depends(TensorBase t not None, TensorBase other not None):
    """Whether the other tensor stands behind this one."""
    cdef Sweep sweep = Sweep()
    if t.node == NOTHING or other.node == NOTHING:
        return False
    sweep.discover([t], {other.node})
    return sweep.place_of(other.node) != NOTHING


cdef int add_seed(Sweep sweep, TensorBase root, object seed) except -1:
    """Put a seed in its place; a root that is named twice gets both."""
    cdef int32_t k = 0
    cdef PyObject* old
    if not (sweep.recorded and isinstance(seed, TensorBase)):
        seed = seed_for(root, seed)
        seed = new_tensor(<ndarray>seed) if sweep.recorded else seed
    while sweep.entries[k].row != root.node:
        k += 1
    old = sweep.entries[k].grad
    if old != NULL:
        seed = <object>old + seed if sweep.recorded else add_arrays(<ndarray>old, <ndarray>seed, False, False)
        Py_DECREF(<object>old)
    Py_INCREF(seed)
    sweep.entries[k].grad = <PyObject*>seed
    return 0


def step(TensorBase t not None):
    """What ``t._backward()`` does: take ``t.grad`` and add each parent's share to that parent's ``.grad``."""
    cdef list parents = [], shares = []
    cdef int32_t edge, row = t.node
    cdef Operation operation
    cdef TensorBase parent
    cdef tuple together = None
    if row == NOTHING or tables.nodes[row].operation == NULL:
        return
    if tables.nodes[row].state & FREED:
        raise freed_error(row)
    operation = <Operation>tables.nodes[row].operation
    g = t.grad
    if operation.at_once:
        together = operation.shares(row, g)
    edge = tables.nodes[row].edges
    while edge != NOTHING:
        argument = tables.edges[edge].argument
        share = operation.share(row, argument, g) if together is None else together[argument]
        if share is not None and tables.nodes[tables.edges[edge].parent].handle != NULL:
            parents.append(<object>tables.nodes[tables.edges[edge].parent].handle)
            shares.append(fitting(tables.edges[edge].parent, share, operation, argument))
        edge = tables.edges[edge].next
    for parent, share in zip(parents, shares):
        parent.gradient = np.array(share) if parent.gradient is None else np.asarray(np.add(parent.gradient, share))
        parent.flags &= ~(BLANK | BORROWED)
