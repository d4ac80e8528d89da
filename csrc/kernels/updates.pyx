# cython: language_level=3, cdivision=True
"""The steps of optimisers: one pass over a parameter, its gradient and what its optimiser remembers, without temporaries.

A rule updates the elements p of a parameter, given those of its gradient g, with up to three arrays of state (a, b, c) and numbers k
that Python works out once for all parameters of a group. Arrays are float32 or float64, complex ones in pairs; the numbers come in float64.
The reference is the optimiser's formula in its docstring, in gradnerve/optim.
"""
from cpython.object cimport PyObject
from libc.math cimport sqrt, sqrtf
from libc.stdlib cimport free, malloc
cimport numpy as cnp
from numpy cimport NPY_CDOUBLE, NPY_CFLOAT, NPY_DOUBLE, NPY_FLOAT, npy_intp

from gradnerve._loops cimport NPY_ARRAY_CARRAY, NPY_ARRAY_CARRAY_RO, PyArray_DATA, PyArray_TYPE, PyArrayObject, is_array, is_plain, same_dims
from gradnerve._program cimport share

cnp.import_array()

ctypedef fused Real:
    float
    double

cdef enum:
    STATES = 3          # arrays that a rule may remember
    NUMBERS = 8
    SHARED = 65536      # elements from which threads share the work
    CHUNK = 16384       # elements of a thread at a time

cdef struct Item:           # a parameter
    void* data[2 + STATES]  # it, its gradient, and the state
    double k[NUMBERS]
    npy_intp before         # elements of the items before it
    npy_intp n
    bint wide               # float64

cdef struct Job:
    Item* items
    npy_intp count
    int rule


# ------------------------------------------------------------------------------------------------------------ rules
# maximize makes g negative, and a weight decay that is not "decoupled" adds decay * p to it: `uphill`, k[0], is 1 or -1, `decay` is k[1].

cdef inline Real gradient(Real g, Real p, Real uphill, Real decay) noexcept nogil:
    return uphill * g + decay * p


cdef inline Real root(Real x) noexcept nogil:
    return sqrtf(x) if Real is float else sqrt(x)


cdef inline Real sign(Real x) noexcept nogil:
    return <Real>((x > 0) - (x < 0))


cdef inline Real greater(Real x, Real y) noexcept nogil:
    """As np.maximum: nan if one is."""
    return x if x >= y or x != x else y


cdef inline Real between(Real old, Real new, Real part) noexcept nogil:
    """The mean of two numbers, exactly `new` if its part is 1."""
    return (old if part < 0.5 else new) + (part if part < 0.5 else part - 1) * (new - old)


cdef void sgd(Real* p, Real* g, Real* velocity, Real* b, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, rate, momentum, the gradient's part in the velocity, Nesterov's (1 or 0)"""
    cdef Real uphill = k[0], decay = k[1], rate = k[2], momentum = k[3], part = k[4], ahead = k[5] * k[3], x
    cdef npy_intp i
    if velocity == NULL:
        for i in range(n):
            p[i] -= rate * gradient(g[i], p[i], uphill, decay)
        return
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        velocity[i] = momentum * velocity[i] + part * x
        p[i] -= rate * (ahead * velocity[i] + x if ahead != 0 else velocity[i])


cdef void adam(Real* p, Real* g, Real* mean, Real* square, Real* largest, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, kept of p, 1 - beta1, beta2, rate / (1 - beta1^t), 1 / root(1 - beta2^t), eps"""
    cdef Real uphill = k[0], decay = k[1], kept = k[2], new = k[3], beta = k[4], rest = 1 - k[4], rate = k[5], scale = k[6], eps = k[7], x
    cdef npy_intp i
    if largest == NULL:
        for i in range(n):
            x = gradient(g[i], p[i], uphill, decay)
            mean[i] = between(mean[i], x, new)
            square[i] = beta * square[i] + rest * x * x
            p[i] = kept * p[i] - rate * mean[i] / (root(square[i]) * scale + eps)
        return
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        mean[i] = between(mean[i], x, new)
        square[i] = beta * square[i] + rest * x * x
        largest[i] = greater(largest[i], square[i])
        p[i] = kept * p[i] - rate * mean[i] / (root(largest[i]) * scale + eps)


cdef void adamax(Real* p, Real* g, Real* mean, Real* largest, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, 1 - beta1, beta2, rate / (1 - beta1^t), eps"""
    cdef Real uphill = k[0], decay = k[1], new = k[2], beta = k[3], rate = k[4], eps = k[5], x
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        mean[i] = between(mean[i], x, new)
        largest[i] = greater(beta * largest[i], (x if x >= 0 else -x) + eps)
        p[i] -= rate * mean[i] / largest[i]


cdef void nadam(Real* p, Real* g, Real* mean, Real* square, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, kept of p, 1 - beta1, beta2, rate of g, rate of the mean, eps; all but the first five times root(1 - beta2^t)"""
    cdef Real uphill = k[0], decay = k[1], kept = k[2], new = k[3], beta = k[4], rest = 1 - k[4], of_g = k[5], of_mean = k[6], eps = k[7], x
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        mean[i] = between(mean[i], x, new)
        square[i] = beta * square[i] + rest * x * x
        p[i] = kept * p[i] - (of_g * x + of_mean * mean[i]) / (root(square[i]) + eps)


cdef void radam(Real* p, Real* g, Real* mean, Real* square, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, kept of p, 1 - beta1, beta2, rate with the variance, rate without (one of them is 0), eps"""
    cdef Real uphill = k[0], decay = k[1], kept = k[2], new = k[3], beta = k[4], rest = 1 - k[4], rectified = k[5], plain = k[6], eps = k[7], x
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        mean[i] = between(mean[i], x, new)
        square[i] = beta * square[i] + rest * x * x
        if plain != 0:
            p[i] = kept * p[i] - plain * mean[i]
        else:
            p[i] = kept * p[i] - rectified * mean[i] / (root(square[i]) + eps)


cdef void adagrad(Real* p, Real* g, Real* total, Real* b, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, rate, eps"""
    cdef Real uphill = k[0], decay = k[1], rate = k[2], eps = k[3], x
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        total[i] += x * x
        p[i] -= rate * x / (root(total[i]) + eps)


cdef void adadelta(Real* p, Real* g, Real* square, Real* moved, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, rate, rho, eps"""
    cdef Real uphill = k[0], decay = k[1], rate = k[2], rho = k[3], rest = 1 - k[3], eps = k[4], x, move
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        square[i] = rho * square[i] + rest * x * x
        move = root(moved[i] + eps) / root(square[i] + eps) * x
        moved[i] = rho * moved[i] + rest * move * move
        p[i] -= rate * move


cdef void rmsprop(Real* p, Real* g, Real* square, Real* velocity, Real* mean, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, rate, alpha, eps, momentum"""
    cdef Real uphill = k[0], decay = k[1], rate = k[2], alpha = k[3], rest = 1 - k[3], eps = k[4], momentum = k[5], x, variance
    cdef npy_intp i
    for i in range(n):
        x = gradient(g[i], p[i], uphill, decay)
        square[i] = variance = alpha * square[i] + rest * x * x
        if mean != NULL:
            mean[i] = between(mean[i], x, rest)
            variance -= mean[i] * mean[i]
        x /= root(variance) + eps
        if velocity != NULL:
            velocity[i] = x = momentum * velocity[i] + x
        p[i] -= rate * x


cdef void rprop(Real* p, Real* g, Real* previous, Real* size, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, 0, the factor after a change of sign, the factor without one, the smallest and the largest step"""
    cdef Real uphill = k[0], less = k[2], more = k[3], smallest = k[4], largest = k[5], x, agreement
    cdef npy_intp i
    for i in range(n):
        x = uphill * g[i]
        agreement = x * previous[i]
        size[i] *= more if agreement > 0 else (less if agreement < 0 else <Real>1)
        size[i] = min(max(size[i], smallest), largest)
        x = 0 if agreement < 0 else x
        p[i] -= sign(x) * size[i]
        previous[i] = x


cdef void asgd(Real* p, Real* g, Real* average, Real* b, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, decay, rate, kept of p, the new value's part in the average"""
    cdef Real uphill = k[0], decay = k[1], rate = k[2], kept = k[3], part = k[4]
    cdef npy_intp i
    for i in range(n):
        p[i] = kept * p[i] - rate * gradient(g[i], p[i], uphill, decay)
        average[i] = p[i] if part == 1 else average[i] + part * (p[i] - average[i])


cdef void lion(Real* p, Real* g, Real* mean, Real* b, Real* c, double* k, npy_intp n) noexcept nogil:
    """k: uphill, 0, rate, kept of p, 1 - beta1, 1 - beta2"""
    cdef Real uphill = k[0], rate = k[2], kept = k[3], shown = k[4], new = k[5], x
    cdef npy_intp i
    for i in range(n):
        x = uphill * g[i]
        p[i] = kept * p[i] - rate * sign(between(mean[i], x, shown))
        mean[i] = between(mean[i], x, new)


cdef tuple ARRAYS = (0, 2, 2, 2, 2, 1, 2, 1, 2, 1, 1)     # that a rule cannot do without, the first ones
cdef tuple HOW_MANY = (6, 8, 6, 8, 8, 4, 5, 6, 6, 5, 6)   # numbers of a rule
RULES = ("sgd", "adam", "adamax", "nadam", "radam", "adagrad", "adadelta", "rmsprop", "rprop", "asgd", "lion")


cdef void update(int rule, Real* p, Real* g, Real* a, Real* b, Real* c, double* k, npy_intp n) noexcept nogil:
    if rule == 0:
        sgd(p, g, a, b, c, k, n)
    elif rule == 1:
        adam(p, g, a, b, c, k, n)
    elif rule == 2:
        adamax(p, g, a, b, c, k, n)
    elif rule == 3:
        nadam(p, g, a, b, c, k, n)
    elif rule == 4:
        radam(p, g, a, b, c, k, n)
    elif rule == 5:
        adagrad(p, g, a, b, c, k, n)
    elif rule == 6:
        adadelta(p, g, a, b, c, k, n)
    elif rule == 7:
        rmsprop(p, g, a, b, c, k, n)
    elif rule == 8:
        rprop(p, g, a, b, c, k, n)
    elif rule == 9:
        asgd(p, g, a, b, c, k, n)
    else:
        lion(p, g, a, b, c, k, n)


# ------------------------------------------------------------------------------------------------------ all parameters

cdef inline Real* start(Item* item, int which, npy_intp first, Real* _) noexcept nogil:
    return <Real*>item.data[which] + first if item.data[which] != NULL else NULL


cdef void run_item(int rule, Item* item, npy_intp first, npy_intp n, Real* _) noexcept nogil:
    update(rule, start(item, 0, first, _), start(item, 1, first, _), start(item, 2, first, _), start(item, 3, first, _),
           start(item, 4, first, _), item.k, n)


cdef void run_part(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The elements first..last, counted through all parameters."""
    cdef Job* j = <Job*>job
    cdef npy_intp low = 0, high = j.count, middle, begin, end
    cdef Item* item
    while high - low > 1:  # the item that has the first element
        middle = (low + high) // 2
        if j.items[middle].before <= first:
            low = middle
        else:
            high = middle
    while low < j.count and j.items[low].before < last:
        item = &j.items[low]
        begin, end = max(first - item.before, 0), min(last - item.before, item.n)
        if item.wide:
            run_item(j.rule, item, begin, end - begin, <double*>NULL)
        else:
            run_item(j.rule, item, begin, end - begin, <float*>NULL)
        low += 1


cdef bint fits(PyObject* a, PyObject* p, int flags) noexcept:
    return is_array(a) and PyArray_TYPE(<PyArrayObject*>a) == PyArray_TYPE(<PyArrayObject*>p) and is_plain(
        a, PyArray_TYPE(<PyArrayObject*>p), flags) and same_dims(a, p)


cdef bint read_item(Item* item, object p, object g, dict state, tuple names, tuple numbers) except -1:
    """Take the memory of one parameter; False if that is none to step through directly."""
    cdef int typenum, k = 0
    cdef object a
    if not is_array(<PyObject*>p):
        return False
    typenum = cnp.PyArray_TYPE(p)
    if typenum not in (NPY_FLOAT, NPY_DOUBLE, NPY_CFLOAT, NPY_CDOUBLE):
        return False
    if not fits(<PyObject*>p, <PyObject*>p, NPY_ARRAY_CARRAY) or not fits(<PyObject*>g, <PyObject*>p, NPY_ARRAY_CARRAY_RO):
        return False
    item.wide = typenum in (NPY_DOUBLE, NPY_CDOUBLE)
    item.n = cnp.PyArray_SIZE(p) * (2 if typenum in (NPY_CFLOAT, NPY_CDOUBLE) else 1)
    item.data[0], item.data[1] = PyArray_DATA(<PyArrayObject*>p), PyArray_DATA(<PyArrayObject*>g)
    item.data[2] = item.data[3] = item.data[4] = NULL
    for name in names:
        if name is not None:
            a = state[name]
            if not fits(<PyObject*>a, <PyObject*>p, NPY_ARRAY_CARRAY):
                return False
            item.data[2 + k] = PyArray_DATA(<PyArrayObject*>a)
        k += 1
    k = 0
    for x in numbers:
        item.k[k] = x
        k += 1
    return True


def step(str rule, list parameters, list gradients, list states, tuple names, list numbers):
    """Update all parameters in place; for each its gradient, a dict with its state, and a tuple of the numbers of the rule.

    `names` are those of the arrays in the states, in the order of the rule, None for what it has to do without. False, and nothing is
    changed, where an array is not contiguous or of another dtype or shape than its parameter.
    """
    cdef Py_ssize_t i, n = len(parameters)
    cdef npy_intp total = 0
    cdef Job job
    job.rule, job.count = RULES.index(rule), n
    if not ARRAYS[job.rule] <= len(names) <= STATES or None in names[:ARRAYS[job.rule]]:
        raise ValueError(f"step: {rule} takes {ARRAYS[job.rule]} to {STATES} arrays for each parameter")
    if any([len(each) != HOW_MANY[job.rule] for each in numbers]) or not n == len(gradients) == len(states) == len(numbers):
        raise ValueError(f"step: {rule} takes {HOW_MANY[job.rule]} numbers for each parameter, its gradient and its state")
    job.items = <Item*>malloc(max(1, n) * sizeof(Item))
    if job.items == NULL:
        raise MemoryError
    try:
        for i in range(n):
            if not read_item(&job.items[i], parameters[i], gradients[i], states[i], names, numbers[i]):
                return False
            job.items[i].before = total
            total += job.items[i].n
        with nogil:
            if total < SHARED:
                run_part(&job, 0, 0, total)
            else:
                share(run_part, &job, total, CHUNK)
    finally:
        free(job.items)
    return True
