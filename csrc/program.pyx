# cython: language_level=3, cdivision=True
"""Programs: a line of NumPy, traced once per dtype into a straight list of inner loops.

``lambda g, out: g * (1 - out * out)`` is called once with symbols instead of arrays; each ufunc that it reaches becomes one
instruction. The list then runs from C, block by block, so that intermediate values stay in the cache and no array is
made for them. A line that does something else than ufuncs, ``np.where`` and numbers cannot be traced: it stays Python.

    >>> show(lambda g, out: g * (1 - out * out), "dd")
    multiply r1 r1 -> r4
    subtract 1.0 r4 -> r4
    multiply r0 r4 -> result

Next: csrc/engine.pyx, which records and differentiates.
"""
from cpython.object cimport PyObject
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
cimport numpy as cnp
from numpy cimport NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, ndarray, npy_intp

from gradnerve._loops cimport (ALONE, MAX_DIMS, NPY_ARRAY_CARRAY, RELEASE_GIL, Kernel, Matrix, PyArray_DATA, PyArray_DIMS, PyArray_FLAGS,
                               PyArray_ITEMSIZE, PyArray_NDIM, PyArrayObject, Walk, add_loops, find_cast, find_loop, find_select, in_c_order,
                               is_array, is_plain, matrix, multiply, new_array, next_row, product, same_dims, simplify, start_walk, store_number)

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

cnp.import_array()

cdef extern from "threads.h" nogil:
    void gn_share(Part work, void* job, Py_ssize_t n, Py_ssize_t chunk, int helpers)
    enum: GN_MAX_HELPERS

cdef enum:
    BLOCK = 1024        # elements that run through all instructions before the next block
    CHUNK = 8192        # elements that one thread takes at a time
    SHARED = 65537      # elements from which threads share a loop
    ALONE_TOGETHER = 16777216   # multiplications of a product up to which our own threads share it
    CELL = 32           # bytes kept for a constant: the largest item
    ON_STACK = 8192     # bytes of temporaries that need no malloc

# ------------------------------------------------------------------------------------------------------- tracing


class NotTraceable(Exception):
    """The line does something that a program cannot hold."""


class Symbol(NDArrayOperatorsMixin):
    """Stands for an array while a line is traced: what is done to it becomes instructions."""

    __slots__ = ("dtype", "register", "trace")

    def __init__(self, trace, register, dtype):
        self.trace, self.register, self.dtype = trace, register, dtype

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs or ufunc.nout != 1 or ufunc.signature:
            raise NotTraceable(f"{ufunc.__name__}.{method}")
        return self.trace.emit(ufunc, inputs)

    def __array_function__(self, function, types, args, kwargs):
        if function is np.where and len(args) == 3:
            return self.trace.select(*args)
        raise NotTraceable(function.__name__)

    def __pow__(self, exponent):    # the same short cuts as ndarray's operator
        ufuncs = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive}
        if type(exponent) in (int, float) and exponent in ufuncs:
            return ufuncs[exponent](self)
        return np.power(self, exponent)

    def __bool__(self):
        raise NotTraceable("a decision that depends on values")


class Trace:
    """Collects instructions ``(name, ufunc or kind, operand registers, result register)``."""

    def __init__(self, dtypes):
        self.dtypes = list(dtypes)      # by register
        self.inputs = len(self.dtypes)
        self.constants = {}             # register -> value
        self.code = []

    def register(self, dtype):
        self.dtypes.append(np.dtype(dtype))
        return len(self.dtypes) - 1

    def operand(self, value, dtype):
        """The register that holds `value` as `dtype`: its own, a cast of it, or a constant's."""
        if not isinstance(value, Symbol):
            register = self.register(dtype)
            self.constants[register] = np.asarray(value).astype(dtype)
            return register
        if value.dtype == dtype:
            return value.register
        register = self.register(dtype)
        self.code.append(("cast", None, [value.register], register))
        return register

    def emit(self, ufunc, inputs):
        kinds = [kind_of(value) for value in inputs]
        *wanted, result = ufunc.resolve_dtypes((*kinds, None))
        operands = [self.operand(value, dtype) for value, dtype in zip(inputs, wanted)]
        register = self.register(result)
        self.code.append((ufunc.__name__, ufunc, operands, register))
        return Symbol(self, register, result)

    def select(self, condition, x, y):
        if not isinstance(condition, Symbol) or condition.dtype != np.bool_:
            raise NotTraceable("where with a condition that is no comparison")
        *_, dtype = np.add.resolve_dtypes((kind_of(x), kind_of(y), None))
        operands = [condition.register, self.operand(x, dtype), self.operand(y, dtype)]
        register = self.register(dtype)
        self.code.append(("where", None, operands, register))
        return Symbol(self, register, dtype)


def kind_of(value):
    """What dtype resolution wants to know: a dtype, or a Python type for a number without one (NEP 50)."""
    if isinstance(value, (Symbol, np.generic)) or isinstance(value, np.ndarray) and value.ndim == 0:
        return value.dtype
    if type(value) in (int, float, complex, bool):
        return np.dtype(bool) if type(value) is bool else type(value)
    raise NotTraceable(f"an operand of type {type(value).__name__}")


def allocate(trace, result):
    """Number the registers anew: inputs, result, constants, temporaries; a temporary is reused after its last reading."""
    places = {register: register for register in range(trace.inputs)}
    if result >= trace.inputs:
        places[result] = trace.inputs
    for register in trace.constants:
        places[register] = trace.inputs + 1 + len([r for r in trace.constants if r < register])
    last_read = {register: k for k, (*_, operands, _) in enumerate(trace.code) for register in operands}
    free_places, top = {}, trace.inputs + 1 + len(trace.constants)
    itemsizes = {}
    for k, (*_, operands, register) in enumerate(trace.code):
        size = trace.dtypes[register].itemsize
        for operand in set(operands):
            if places[operand] in itemsizes and last_read[operand] == k:
                free_places.setdefault(trace.dtypes[operand].itemsize, []).append(places[operand])
        if register in places:
            continue
        if free_places.get(size):
            places[register] = free_places[size].pop()
        else:
            places[register] = top
            itemsizes[top] = size
            top += 1
    return places, itemsizes, top


cdef int find_kernel(object name, object ufunc, list dtypes, Kernel* kernel) except -1:
    """The loop for an instruction whose operands, result last, have these dtypes."""
    cdef int types[8]
    cdef bint found
    for k, dtype in enumerate(dtypes):
        types[k] = dtype.num
    if ufunc is not None:
        found = find_loop(ufunc, types, kernel) and types[len(dtypes) - 1] == dtypes[-1].num
    elif name == "cast":
        found = find_cast(types[0], types[1], kernel)
    else:
        found = find_select(types[1], kernel)
    if not found or len(dtypes) > 4:
        raise NotTraceable(f"no loop of {name} for {[str(d) for d in dtypes]}")
    return 0


cdef Program assemble(object tracing, object result):
    """Turn what was traced into a Program."""
    cdef Program program = Program()
    cdef Instruction* instruction
    cdef Py_ssize_t cell
    places, itemsizes, top = allocate(tracing, result)
    if top > MAX_REGISTERS:
        raise NotTraceable("too many registers")
    program.ninputs = tracing.inputs
    program.nregisters = top
    program.first_temporary = tracing.inputs + 1 + len(tracing.constants)
    program.typenum = tracing.dtypes[result].num
    program.same_as = result if result < tracing.inputs else -1
    program.code = <Instruction*>calloc(max(1, len(tracing.code)), sizeof(Instruction))
    program.constants = <char*>calloc(max(1, len(tracing.constants)), CELL)
    if program.code == NULL or program.constants == NULL:
        raise MemoryError()
    for place in range(tracing.inputs):
        program.typenums[<int>place] = tracing.dtypes[place].num
    for register, value in tracing.constants.items():
        cell = places[register] - tracing.inputs - 1
        memcpy(program.constants + cell * CELL, cnp.PyArray_DATA(<ndarray>value), cnp.PyArray_ITEMSIZE(<ndarray>value))
    for place, size in itemsizes.items():
        program.itemsizes[<int>place] = size
    program.itemsizes[program.ninputs] = tracing.dtypes[result].itemsize
    names = {place: f"r{place}" for place in range(top)} | {tracing.inputs: "result"}
    names |= {places[register]: str(value) for register, value in tracing.constants.items()}
    program.listing = []
    for name, ufunc, operands, register in tracing.code:
        registers = [*operands, register]
        instruction = &program.code[program.ninstructions]
        find_kernel(name, ufunc, [tracing.dtypes[r] for r in registers], &instruction.kernel)
        for k, r in enumerate(registers):
            instruction.register[<int>k] = places[r]
        program.ninstructions += 1
        program.listing.append(f"{name} {' '.join(names[places[r]] for r in operands)} -> {names[places[register]]}")
    return program


cdef Program trace(object line, list typenums):
    """Trace a line whose arguments have these dtypes; None if it can only run as Python."""
    tracing = Trace([np.dtype(<object>cnp.PyArray_DescrFromType(num)) for num in typenums])
    if not 1 <= len(typenums) <= MAX_INPUTS:
        return None
    try:
        symbol = line(*[Symbol(tracing, k, dtype) for k, dtype in enumerate(tracing.dtypes)])
        if not isinstance(symbol, Symbol):
            return None
        return assemble(tracing, symbol.register)
    except (MemoryError, KeyboardInterrupt, RecursionError):
        raise
    except Exception:       # whatever the line does with symbols that it may do with arrays
        return None


def show(line, dtypes):
    """Print the program of a line for the given dtype characters, one per argument.

    >>> show(lambda g, x: g * (x > 0), "ff")
    greater r1 0.0 -> r4
    cast r4 -> r5
    multiply r0 r5 -> result
    """
    cdef Program program = trace(line, [np.dtype(c).num for c in dtypes])
    print("\n".join(program.listing) if program is not None else "not traceable: runs as plain NumPy")


# ------------------------------------------------------------------------------------------------------- running


cdef int n_helpers = 0


def set_threads(int threads):
    """Let so many threads share a loop over a large array; returns how many did before. 1: no helpers."""
    global n_helpers
    cdef int before = n_helpers + 1
    if not 1 <= threads <= GN_MAX_HELPERS + 1:
        raise ValueError(f"set_threads: 1 to {GN_MAX_HELPERS + 1} threads, not {threads}")
    n_helpers = threads - 1
    return before


cdef int threads() noexcept nogil:
    return n_helpers + 1


cdef void share(Part work, void* job, Py_ssize_t n, Py_ssize_t chunk) noexcept nogil:
    gn_share(work, job, n, chunk, n_helpers)


cdef struct Product:
    const Kernel* matmul
    Matrix x, y, out
    npy_intp rows, inner, columns, height, width     # the latter two of a block of the result
    npy_intp across                                  # blocks


cdef void multiply_blocks(void* what, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Product* p = <Product*>what
    cdef npy_intp k, row, column
    for k in range(first, last):
        row, column = k // p.across * p.height, k % p.across * p.width
        multiply(p.matmul, matrix(p.x.data + row * p.x.row, p.x.row, p.x.column), matrix(p.y.data + column * p.y.column, p.y.row, p.y.column),
                 matrix(p.out.data + row * p.out.row + column * p.out.column, p.out.row, p.out.column),
                 min(p.height, p.rows - row), p.inner, min(p.width, p.columns - column))


cdef void multiply_together(const Kernel* matmul, Matrix x, Matrix y, Matrix out, npy_intp rows, npy_intp inner, npy_intp columns) noexcept nogil:
    """out = x @ y, where threads of ours share a product of medium size.

    Those of OpenBLAS share it as fast, but then they look for more work for 25 ms, and are in our threads' way.
    """
    cdef Product p
    cdef npy_intp size = rows * inner * columns
    if n_helpers == 0 or size <= ALONE or size > ALONE_TOGETHER or inner > 1024:
        multiply(matmul, x, y, out, rows, inner, columns)
        return
    p.matmul, p.x, p.y, p.out, p.rows, p.inner, p.columns = matmul, x, y, out, rows, inner, columns
    p.height = min(rows, <npy_intp>(64 if inner <= 128 else 32 if inner <= 256 else 16))
    p.width = max(<npy_intp>16, ALONE // (p.height * inner) // 16 * 16)
    p.across = (columns + p.width - 1) // p.width
    gn_share(multiply_blocks, &p, (rows + p.height - 1) // p.height * p.across, 1, n_helpers)


cdef void run_part(void* job, int helper, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Run a shared program on the elements first..last, with this thread's own scratch."""
    (<Program>(<Shared*>job).program).run_chunk(<Shared*>job, helper, first, last)


cdef inline npy_intp in_cache_lines(npy_intp size) noexcept:
    return (size + 63) & ~63


cdef inline void run_one(Instruction* instruction, char** base, npy_intp* step, npy_intp n) noexcept nogil:
    cdef char* args[4]
    cdef npy_intp strides[4]
    cdef int j, r
    for j in range(instruction.kernel.nargs):
        r = instruction.register[j]
        args[j] = base[r]
        strides[j] = step[r]
    instruction.kernel.loop(args, &n, strides, instruction.kernel.data)


cdef class Program:
    """A straight list of inner loops over registers."""

    def __cinit__(self):
        self.code = NULL
        self.constants = NULL
        self.ninstructions = 0

    def __dealloc__(self):
        free(self.code)
        free(self.constants)

    cdef void run(self, char** base, npy_intp* step, npy_intp n, char* total) noexcept nogil:
        """Run all instructions on n elements, a block at a time; base of inputs and result moves along.

        With a `total`, add each block of the result to it while it is in the cache; base of the result is then a block of scratch.
        """
        cdef npy_intp block
        cdef int k, r
        cdef char* args[3]
        cdef npy_intp strides[3]
        cdef npy_intp largest = n if self.ninstructions == 1 and total == NULL else BLOCK
        while n > 0:
            block = min(n, largest)
            for k in range(self.ninstructions):
                run_one(&self.code[k], base, step, block)
            if total == NULL:
                base[self.ninputs] += block * step[self.ninputs]
            else:
                args[0] = args[2] = total
                args[1] = base[self.ninputs if self.same_as < 0 else self.same_as]
                strides[0] = strides[1] = strides[2] = step[self.ninputs]
                add_loops[self.typenum].loop(args, &block, strides, add_loops[self.typenum].data)
                total += block * step[self.ninputs]
            for r in range(self.ninputs):
                base[r] += block * step[r]
            n -= block

    cdef int run_rows(self, Walk* walk, char** base, npy_intp* step, npy_intp n, char* total) except -1:
        """Run on one evenly strided row of n elements, which threads may share, or with a walk on all of its rows."""
        cdef char stack[ON_STACK]
        cdef char* scratch = stack
        cdef npy_intp room = 0, place = 0, block = min(n, <npy_intp>BLOCK)
        cdef int r, first = self.first_temporary if total == NULL else self.ninputs
        cdef int helpers = n_helpers if walk == NULL and n >= SHARED else 0
        cdef Shared shared
        for r in range(first, self.nregisters):
            room += in_cache_lines(block * self.itemsizes[r])
        if room * (helpers + 1) > ON_STACK:
            scratch = <char*>malloc(room * (helpers + 1))
            if scratch == NULL:
                raise MemoryError("no memory for a program's temporaries")
        for r in range(first, self.nregisters):
            if self.itemsizes[r]:       # not a constant
                base[r] = scratch + place
                step[r] = self.itemsizes[r]
                place += in_cache_lines(block * self.itemsizes[r])
        if helpers:
            shared.program, shared.base, shared.step, shared.total = <PyObject*>self, base, step, total
            shared.room, shared.first_scratch = room, first
            with nogil:
                gn_share(run_part, &shared, n, CHUNK, helpers)
        elif n >= RELEASE_GIL or walk != NULL and product(walk.ndim, walk.dims) >= RELEASE_GIL:
            with nogil:
                self.run_all(walk, base, step, n, total)
        else:
            self.run_all(walk, base, step, n, total)
        if scratch != stack:
            free(scratch)
        return 0

    cdef void run_chunk(self, Shared* shared, int helper, npy_intp first, npy_intp last) noexcept nogil:
        """One thread's part of a shared row."""
        cdef char* base[MAX_REGISTERS]
        cdef char* total = shared.total
        cdef int r
        memcpy(base, shared.base, self.nregisters * sizeof(char*))
        for r in range(self.ninputs + 1):
            base[r] += first * shared.step[r]
        for r in range(shared.first_scratch, self.nregisters):
            if self.itemsizes[r]:
                base[r] = shared.base[r] + helper * shared.room
        if total != NULL:
            total += first * shared.step[self.ninputs]
        self.run(base, shared.step, last - first, total)

    cdef void run_all(self, Walk* walk, char** base, npy_intp* step, npy_intp n, char* total) noexcept nogil:
        cdef npy_intp counter[MAX_DIMS]
        cdef char* start[MAX_INPUTS + 1]
        cdef int k
        if walk == NULL:
            self.run(base, step, n, total)
            return
        for k in range(walk.ndim):
            counter[k] = 0
        for k in range(walk.noperands):
            start[k] = base[k]
        while True:
            self.run(base, step, n, NULL)
            if not next_row(walk, counter, start):
                return
            for k in range(walk.noperands):
                base[k] = start[k]


cdef object evaluate(Program program, PyObject** values, bint forward, PyObject* total):
    """Run a program on arrays and Python numbers; None declines.

    The result is laid out in C order. Where NumPy would choose another order for a result that users see (`forward`), decline.
    With a `total`, an array of the result's shape and dtype in C order, the result is added to that.
    The caller holds the values: a large loop runs without the GIL.
    """
    cdef char* base[MAX_REGISTERS]
    cdef npy_intp step[MAX_REGISTERS]
    cdef double numbers[MAX_INPUTS][2]
    cdef PyObject* first = NULL
    cdef PyObject* value
    cdef ndarray out
    cdef npy_intp size
    cdef bint even = True       # all arrays in C order and of one shape
    cdef int k, n = program.ninputs
    for k in range(n):
        value = values[k]
        if not is_array(value):
            if forward and program.typenum != program.typenums[k] or not store_number(value, program.typenums[k], numbers[k]):
                return None     # a number takes the dtype that the loop works in, which is that of the arrays only if nothing is cast
            base[k] = <char*>numbers[k]
            step[k] = 0
            continue
        if not is_plain(value, program.typenums[k], NPY_ARRAY_ALIGNED):
            return None
        base[k] = <char*>PyArray_DATA(<PyArrayObject*>value)
        step[k] = PyArray_ITEMSIZE(<PyArrayObject*>value)
        if first == NULL:
            first = value
        even = even and PyArray_FLAGS(<PyArrayObject*>value) & NPY_ARRAY_C_CONTIGUOUS and (value == first or same_dims(value, first))
    if first == NULL:
        return None
    for k in range(n + 1, program.first_temporary):
        base[k] = program.constants + (k - n - 1) * CELL
        step[k] = 0
    if total != NULL:
        if (not even or not is_plain(total, program.typenum, NPY_ARRAY_CARRAY) or not same_dims(total, first)
                or add_loops[program.typenum].loop == NULL):
            return None
        out = <ndarray>total
    elif program.same_as >= 0:
        return None if forward else <object>values[program.same_as]
    elif not even:
        return evaluate_unevenly(program, values, base, step, forward)
    else:
        out = new_array(PyArray_NDIM(<PyArrayObject*>first), PyArray_DIMS(<PyArrayObject*>first), program.typenum)
        base[n] = <char*>cnp.PyArray_DATA(out)
        step[n] = cnp.PyArray_ITEMSIZE(out)
    size = product(cnp.PyArray_NDIM(out), cnp.PyArray_DIMS(out))
    if program.ninstructions == 1 and total == NULL and size < RELEASE_GIL:
        run_one(&program.code[0], base, step, size)
        return out
    program.run_rows(NULL, base, step, size, NULL if total == NULL else <char*>cnp.PyArray_DATA(out))
    return out


cdef object evaluate_unevenly(Program program, PyObject** values, char** base, npy_intp* step, bint forward):
    """The same for arrays that are broadcast, strided or transposed."""
    cdef Walk walk
    cdef PyObject* operands[MAX_INPUTS + 1]
    cdef ndarray out
    cdef int k, n = program.ninputs
    for k in range(n):
        walk.base[k] = base[k]
        operands[k] = values[k]
    if not start_walk(&walk, operands, n) or forward and not in_c_order(&walk):
        return None
    out = new_array(walk.ndim, walk.dims, program.typenum)
    operands[n] = <PyObject*>out
    start_walk(&walk, operands, n + 1)
    simplify(&walk)
    if product(walk.ndim, walk.dims) == 0:
        return out
    for k in range(n + 1):
        base[k] = walk.base[k]
        step[k] = walk.strides[k][walk.ndim - 1]
    program.run_rows(NULL if walk.ndim == 1 else &walk, base, step, walk.dims[walk.ndim - 1], NULL)
    return out
