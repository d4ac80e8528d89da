# cython: language_level=3, cdivision=True
"""Rows less their mean, over their standard deviation, and the way back: the loops of gradnerve/ops/normalization.py.

An array is seen as one of shape `form`, (N, G, K, L), with a weight for each of its G * K channels. A row is what one mean is taken of: the last two
axes of it, or with `over_batch` (where K is 1) the first one as well, and then it consists of N pieces, far from one another. `stats` has
the mean and the variance of each row.

Sums have several accumulators side by side, which compilers turn into vectors without permission to reorder anything, and are
added up in double precision every BLOCK elements. The first element of a row is subtracted before the mean is taken: so the variance of equal
elements is exactly 0.
"""
from cpython.object cimport PyObject
from libc.math cimport sqrt
cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from gradnerve._loops cimport NPY_ARRAY_CARRAY_RO, is_plain, new_array
from gradnerve._program cimport share, threads

cnp.import_array()

cdef enum:
    LANES = 16          # accumulators of a sum
    BLOCK = 512         # elements that are summed in their own precision
    LINES = 32          # lines of columns that are
    COLUMNS = 128       # columns at a time
    SHORT = 16          # elements of a piece, up to which a row is summed in columns
    SHARED = 49152      # elements from which threads share the rows

cdef enum:              # what is to be done
    FORWARD, INPUT, CHANNELS

ctypedef fused real:
    float
    double

cdef struct Job:
    void* g             # those that a task does not have are NULL
    void* x
    void* weight
    void* bias
    void* out
    double* mean        # of each row
    double* var
    npy_intp N, G, K, L
    npy_intp pieces, length, step   # of one row: how many, of how many elements, and how far apart
    npy_intp row                    # how far apart the rows are
    npy_intp count                  # elements in a row
    double share                    # 1 / count
    double eps
    int task
    bint over_batch, centered, given, single
    bint columns                    # rows consist of short pieces, far apart


# --------------------------------------------------------------------------------------------------------- sums
# Of a block: compilers turn loops of this form into vectors, as nothing is added up in another order than is written here.


cdef inline real folded(real* lanes) noexcept nogil:
    cdef int k
    for k in range(8):
        lanes[k] += lanes[k + 8]
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))


cdef real block_far(const real* x, npy_intp n, real first) noexcept nogil:
    cdef real lanes[LANES]
    cdef real total
    cdef npy_intp i, j
    cdef int k
    for k in range(LANES):
        lanes[k] = 0
    for j in range(n // LANES):
        i = j * LANES
        for k in range(LANES):
            lanes[k] += x[i + k] - first
    total = folded(lanes)
    for i in range(n - n % LANES, n):
        total += x[i] - first
    return total


cdef real block_squares(const real* x, npy_intp n, real mean) noexcept nogil:
    cdef real lanes[LANES]
    cdef real total
    cdef npy_intp i, j
    cdef int k
    for k in range(LANES):
        lanes[k] = 0
    for j in range(n // LANES):
        i = j * LANES
        for k in range(LANES):
            lanes[k] += (x[i + k] - mean) * (x[i + k] - mean)
    total = folded(lanes)
    for i in range(n - n % LANES, n):
        total += (x[i] - mean) * (x[i] - mean)
    return total


cdef real block_products(const real* g, const real* x, npy_intp n, real mean) noexcept nogil:
    cdef real lanes[LANES]
    cdef real total
    cdef npy_intp i, j
    cdef int k
    for k in range(LANES):
        lanes[k] = 0
    for j in range(n // LANES):
        i = j * LANES
        for k in range(LANES):
            lanes[k] += g[i + k] * (x[i + k] - mean)
    total = folded(lanes)
    for i in range(n - n % LANES, n):
        total += g[i] * (x[i] - mean)
    return total


cdef real block_weighted(const real* g, const real* w, const real* x, npy_intp n, real mean) noexcept nogil:
    cdef real lanes[LANES]
    cdef real total
    cdef npy_intp i, j
    cdef int k
    for k in range(LANES):
        lanes[k] = 0
    for j in range(n // LANES):
        i = j * LANES
        for k in range(LANES):
            lanes[k] += g[i + k] * w[i + k] * (x[i + k] - mean)
    total = folded(lanes)
    for i in range(n - n % LANES, n):
        total += g[i] * w[i] * (x[i] - mean)
    return total


cdef double sum_of(const real* g, const real* w, const real* x, npy_intp n, real mean) noexcept nogil:
    """The sum of ``g * (x - mean)``, and with w, of ``g * w * (x - mean)``; without g, of ``(x - mean) ** 2``; without x, of ``g - mean``."""
    cdef double total = 0
    cdef npy_intp i, j, m
    for j in range((n + BLOCK - 1) // BLOCK):
        i = j * BLOCK
        m = min(BLOCK, n - i)
        if g == NULL:
            total += block_squares(x + i, m, mean)
        elif x == NULL:
            total += block_far(g + i, m, mean)
        elif w == NULL:
            total += block_products(g + i, x + i, m, mean)
        else:
            total += block_weighted(g + i, w + i, x + i, m, mean)
    return total


# ---------------------------------------------------------------------------------- rows whose pieces lie together, or are long


cdef inline void find_moments(const real* x, Job* job, npy_intp row) noexcept nogil:
    cdef npy_intp pieces = job.pieces, length = job.length, p
    cdef double total = 0, mean = 0
    if job.step == length:
        pieces, length = 1, job.count
    if job.centered:
        for p in range(pieces):
            total += sum_of(x + p * job.step, <real*>NULL, <real*>NULL, length, x[0])
        mean = x[0] + total * job.share
    total = 0
    for p in range(pieces):
        total += sum_of(<real*>NULL, <real*>NULL, x + p * job.step, length, <real>mean)
    set_moments(job, row, mean, total, mean - <real>mean)


cdef inline void set_moments(Job* job, npy_intp row, double mean, double squares, double shift) noexcept nogil:
    """From the sum of squares of what lies `shift` to one side of the distances from the mean."""
    cdef double var = squares * job.share - shift * shift
    job.mean[row] = mean
    job.var[row] = 0 if var < 0 else var


cdef inline double deviation(Job* job, npy_intp row) noexcept nogil:
    """What the row is multiplied by."""
    return 1 / sqrt(job.var[row] + job.eps)


cdef inline void move(const real* x, real* out, npy_intp n, real mean, real scale, real shift) noexcept nogil:
    cdef npy_intp i
    for i in range(n):
        out[i] = (x[i] - mean) * scale + shift


cdef inline void move_each(const real* x, const real* w, const real* b, real* out, npy_intp n, real mean, real scale) noexcept nogil:
    """With a weight for each element."""
    cdef npy_intp i
    if b == NULL:
        for i in range(n):
            out[i] = (x[i] - mean) * scale * w[i]
    else:
        for i in range(n):
            out[i] = (x[i] - mean) * scale * w[i] + b[i]


cdef inline npy_intp first_channel(Job* job, npy_intp row) noexcept nogil:
    return row if job.over_batch else row % job.G * job.K


cdef void forward_rows(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef real* weight
    cdef real* bias
    cdef const real* x
    cdef real* out
    cdef real mean
    cdef double rstd, scale, shift
    cdef npy_intp row, p, at
    for row in range(first, last):
        x, out = <real*>job.x + row * job.row, <real*>job.out + row * job.row
        if not job.given:
            find_moments(x, job, row)
        mean, rstd = <real>job.mean[row], deviation(job, row)
        shift = mean - job.mean[row]        # what the rounded mean is wrong by
        if job.weight == NULL:
            for p in range(job.pieces):
                move(x + p * job.step, out + p * job.step, job.length, mean, <real>rstd, <real>(shift * rstd))
            continue
        weight = <real*>job.weight + first_channel(job, row)
        bias = NULL if job.bias == NULL else <real*>job.bias + first_channel(job, row)
        if job.length == 1 and not job.over_batch:
            move_each(x, weight, bias, out, job.count, mean, <real>rstd)
            continue
        for p in range(job.pieces):
            at = 0 if job.over_batch else p
            scale = rstd * weight[at]
            move(x + p * job.step, out + p * job.step, job.length, mean, <real>scale, <real>(shift * scale + (0 if bias == NULL else bias[at])))


cdef inline void pull(const real* g, const real* x, real w, real* out, npy_intp n, real mean, real scale, real one, real two) noexcept nogil:
    cdef npy_intp i
    for i in range(n):
        out[i] = (g[i] * w - one - (x[i] - mean) * two) * scale


cdef inline void pull_each(const real* g, const real* x, const real* w, real* out, npy_intp n, real mean, real scale, real one,
                           real two) noexcept nogil:
    cdef npy_intp i
    for i in range(n):
        out[i] = (g[i] * w[i] - one - (x[i] - mean) * two) * scale


cdef void input_rows(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    """With the mean of ``g * weight``, and that of its product with the result, taken off."""
    cdef real* weight
    cdef const real* g
    cdef const real* x
    cdef real* out
    cdef real mean
    cdef double rstd, one, two, w
    cdef npy_intp row, p, at
    cdef bint each = job.length == 1 and job.weight != NULL and not job.over_batch
    for row in range(first, last):
        at = row * job.row
        g, x, out = <real*>job.g + at, <real*>job.x + at, <real*>job.out + at
        mean, rstd = <real>job.mean[row], deviation(job, row)
        weight = NULL if job.weight == NULL else <real*>job.weight + first_channel(job, row)
        one = two = 0
        if each:
            one, two = sum_of(g, <real*>NULL, weight, job.count, <real>0), sum_of(g, weight, x, job.count, mean)
        elif not job.given:
            for p in range(job.pieces):
                w = 1 if weight == NULL else weight[0 if job.over_batch else p]
                at = p * job.step
                one += w * sum_of(g + at, <real*>NULL, <real*>NULL, job.length, <real>0)
                two += w * sum_of(g + at, <real*>NULL, x + at, job.length, mean)
        one = one * job.share if job.centered else 0
        two *= rstd * rstd * job.share
        if each:
            pull_each(g, x, weight, out, job.count, mean, <real>rstd, <real>one, <real>two)
            continue
        for p in range(job.pieces):
            w = 1 if weight == NULL else weight[0 if job.over_batch else p]
            at = p * job.step
            pull(g + at, x + at, <real>w, out + at, job.length, mean, <real>rstd, <real>one, <real>two)


cdef void sum_channels(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    """For each channel, the sum over its pieces in all rows: of ``g``, or where there is an x, of its product with the normalised array."""
    cdef npy_intp c, n, row, at
    cdef double total
    for c in range(first, last):
        total = 0
        for n in range(job.N):
            row = c if job.over_batch else n * job.G + c // job.K
            at = (n * job.G * job.K + c) * job.L
            if job.x == NULL:
                total += sum_of(<real*>job.g + at, <real*>NULL, <real*>NULL, job.L, <real>0)
            else:
                total += sum_of(<real*>job.g + at, <real*>NULL, <real*>job.x + at, job.L, <real>job.mean[row]) * deviation(job, row)
        (<real*>job.out)[c] = <real>total


# ------------------------------------------------------------------------------------- rows whose pieces are short and far apart
# Of an array of N lines, COLUMNS neighbours at a time, which hold all of some channels.


cdef void sum_columns(const real* g, const real* x, real* from_, Job* job, npy_intp width, double* totals) noexcept nogil:
    """For each column, the sum of ``(x - from_) ** 2``; or without x, of ``g - from_``; or with both, of ``g * (x - from_)``."""
    cdef real lanes[COLUMNS]
    cdef npy_intp n, i
    for i in range(width):
        lanes[i] = totals[i] = 0
    for n in range(job.N):
        if x == NULL:
            for i in range(width):
                lanes[i] += g[i] - from_[i]
        elif g == NULL:
            for i in range(width):
                lanes[i] += (x[i] - from_[i]) * (x[i] - from_[i])
        else:
            for i in range(width):
                lanes[i] += g[i] * (x[i] - from_[i])
        if n % LINES == LINES - 1 or n == job.N - 1:
            for i in range(width):
                totals[i] += lanes[i]
                lanes[i] = 0
        g = g + job.step if g != NULL else g
        x = x + job.step if x != NULL else x


cdef inline double total_of(const double* totals, npy_intp n) noexcept nogil:
    cdef double total = 0
    cdef npy_intp i
    for i in range(n):
        total += totals[i]
    return total


cdef inline void spread(real value, real* columns, npy_intp n) noexcept nogil:
    cdef npy_intp i
    for i in range(n):
        columns[i] = value


cdef void find_column_moments(Job* job, npy_intp first, npy_intp last, real* mean) noexcept nogil:
    """`mean` is room for a number for each column."""
    cdef double totals[COLUMNS]
    cdef const real* x = <real*>job.x + first * job.L
    cdef npy_intp width = (last - first) * job.L, row, at
    for row in range(first, last):
        at = (row - first) * job.L
        job.mean[row] = x[at] if job.centered else 0
        spread(<real>job.mean[row], mean + at, job.L)
    if job.centered:
        sum_columns(x, <real*>NULL, mean, job, width, totals)
        for row in range(first, last):
            at = (row - first) * job.L
            job.mean[row] += total_of(totals + at, job.L) * job.share
            spread(<real>job.mean[row], mean + at, job.L)
    sum_columns(<real*>NULL, x, mean, job, width, totals)
    for row in range(first, last):
        at = (row - first) * job.L
        set_moments(job, row, job.mean[row], total_of(totals + at, job.L), job.mean[row] - <real>job.mean[row])


cdef void forward_columns(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef real mean[COLUMNS]
    cdef real scale[COLUMNS]
    cdef real shift[COLUMNS]
    cdef const real* x = <real*>job.x + first * job.L
    cdef real* out = <real*>job.out + first * job.L
    cdef real* weight = <real*>job.weight
    cdef real* bias = <real*>job.bias
    cdef npy_intp width = (last - first) * job.L, row, at, _n, i
    cdef double factor
    if not job.given:
        find_column_moments(job, first, last, mean)
    for row in range(first, last):
        at = (row - first) * job.L
        factor = deviation(job, row) * (1 if weight == NULL else weight[row])
        spread(<real>job.mean[row], mean + at, job.L)
        spread(<real>factor, scale + at, job.L)
        spread(<real>((<real>job.mean[row] - job.mean[row]) * factor + (0 if bias == NULL else bias[row])), shift + at, job.L)
    for _n in range(job.N):
        for i in range(width):
            out[i] = (x[i] - mean[i]) * scale[i] + shift[i]
        x, out = x + job.step, out + job.step


cdef void input_columns(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef double ones[COLUMNS]
    cdef double twos[COLUMNS]
    cdef real mean[COLUMNS]
    cdef real scale[COLUMNS]
    cdef real one[COLUMNS]
    cdef real two[COLUMNS]
    cdef const real* g = <real*>job.g + first * job.L
    cdef const real* x = <real*>job.x + first * job.L
    cdef real* out = <real*>job.out + first * job.L
    cdef real* weight = <real*>job.weight
    cdef npy_intp width = (last - first) * job.L, row, at, _n, i
    cdef double rstd
    spread(<real>0, mean, width)
    sum_columns(g, <real*>NULL, mean, job, width, ones)
    for row in range(first, last):
        spread(<real>job.mean[row], mean + (row - first) * job.L, job.L)
    sum_columns(g, x, mean, job, width, twos)
    for row in range(first, last):
        at, rstd = (row - first) * job.L, deviation(job, row)
        spread(<real>(rstd * (1 if weight == NULL else weight[row])), scale + at, job.L)
        spread(<real>(total_of(ones + at, job.L) * job.share if job.centered and not job.given else 0), one + at, job.L)
        spread(<real>(0 if job.given else total_of(twos + at, job.L) * job.share * rstd * rstd), two + at, job.L)
    for _n in range(job.N):
        for i in range(width):
            out[i] = (g[i] - one[i] - (x[i] - mean[i]) * two[i]) * scale[i]
        g, x, out = g + job.step, x + job.step, out + job.step


cdef void channel_columns(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef double totals[COLUMNS]
    cdef real mean[COLUMNS]
    cdef npy_intp width = (last - first) * job.L, row, at
    for row in range(first, last):
        spread(<real>(0 if job.x == NULL else job.mean[row]), mean + (row - first) * job.L, job.L)
    sum_columns(<real*>job.g + first * job.L, <real*>NULL if job.x == NULL else <real*>job.x + first * job.L, mean, job, width, totals)
    for row in range(first, last):
        at = (row - first) * job.L
        (<real*>job.out)[row] = <real>(total_of(totals + at, job.L) * (1 if job.x == NULL else deviation(job, row)))


cdef void weight_elements(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    """For weights of the single elements of a row, COLUMNS at a time."""
    cdef real lanes[COLUMNS]
    cdef double totals[COLUMNS]
    cdef npy_intp width, n, i, row, at
    cdef const real* g
    cdef const real* x
    cdef real mean, rstd
    while first < last:
        width = min(COLUMNS, last - first, job.K - first % job.K)      # in one group
        for i in range(width):
            lanes[i] = totals[i] = 0
        for n in range(job.N):
            row = n * job.G + first // job.K
            at = row * job.K + first % job.K
            g, x = <real*>job.g + at, <real*>job.x + at
            mean, rstd = <real>job.mean[row], <real>deviation(job, row)
            for i in range(width):
                lanes[i] += g[i] * ((x[i] - mean) * rstd)
            if n % LINES == LINES - 1 or n == job.N - 1:
                for i in range(width):
                    totals[i] += lanes[i]
                    lanes[i] = 0
        for i in range(width):
            (<real*>job.out)[first + i] = <real>totals[i]
        first += width


# ------------------------------------------------------------------------------------------------------------ calls


cdef inline void run_typed(Job* job, npy_intp first, npy_intp last, real* kind) noexcept nogil:
    cdef npy_intp end
    if job.columns:
        while first < last:
            end = min(last, first + COLUMNS // job.L)
            if job.task == FORWARD:
                forward_columns(job, first, end, kind)
            elif job.task == INPUT:
                input_columns(job, first, end, kind)
            else:
                channel_columns(job, first, end, kind)
            first = end
    elif job.task == FORWARD:
        forward_rows(job, first, last, kind)
    elif job.task == INPUT:
        input_rows(job, first, last, kind)
    elif job.L == 1 and not job.over_batch and job.x != NULL:
        weight_elements(job, first, last, kind)
    else:
        sum_channels(job, first, last, kind)


cdef void run_part(void* job, int thread, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    if (<Job*>job).single:
        run_typed(<Job*>job, first, last, <float*>NULL)
    else:
        run_typed(<Job*>job, first, last, <double*>NULL)


cdef bint takes(object a, int typenum, npy_intp size, void** data) noexcept:
    """Whether it is an array in C order of that dtype and size; or None, and then `data` stays NULL."""
    if a is None:
        return True
    if not cnp.PyArray_CheckExact(a) or not is_plain(<PyObject*>a, typenum, NPY_ARRAY_CARRAY_RO) or cnp.PyArray_SIZE(a) != size:
        return False
    data[0] = cnp.PyArray_DATA(<ndarray>a)
    return True


cdef object run(int task, ndarray like, object g, object x, object weight, object bias, object stats, double eps, tuple form, bint over_batch,
                bint centered, bint given):
    """What the task gives, in the dtype of `like`, in all threads if there is much to do; None if there is an array that the loops do not take."""
    cdef Job job
    cdef int typenum = cnp.PyArray_TYPE(like)
    cdef npy_intp size, channels, rows, n
    cdef void* moments = NULL
    cdef ndarray out
    job.g = job.x = job.weight = job.bias = NULL
    job.N, job.G, job.K, job.L = form
    job.task, job.eps, job.over_batch, job.centered, job.given, job.single = task, eps, over_batch, centered, given, typenum == cnp.NPY_FLOAT
    channels, rows = job.G * job.K, job.G if over_batch else job.N * job.G
    size = job.N * channels * job.L
    if (typenum not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or size == 0 or over_batch and job.K != 1 or given and not over_batch
            or weight is None and bias is not None or not takes(x, typenum, size, &job.x) or not takes(g, typenum, size, &job.g)
            or not takes(weight, typenum, channels, &job.weight) or not takes(bias, typenum, channels, &job.bias)
            or not takes(stats, cnp.NPY_DOUBLE, 2 * rows, &moments) or x is not None and moments == NULL or task != CHANNELS and x is None):
        return None
    job.mean, job.var = <double*>moments, <double*>moments + rows
    job.columns = over_batch and job.N > 1 and job.L <= SHORT
    job.count, job.share = size // rows, <double>rows / size
    job.pieces, job.length, job.step, job.row = (job.N, job.L, channels * job.L, job.L) if over_batch else (job.K, job.L, job.L, job.count)
    if not over_batch and weight is None:
        job.pieces, job.length = 1, job.count
    n = channels if task == CHANNELS else rows
    out = new_array(1, &n, typenum) if task == CHANNELS else new_array(cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), typenum)
    job.out = cnp.PyArray_DATA(out)
    with nogil:
        if size < SHARED:
            run_part(&job, 0, 0, n)
        else:
            share(run_part, &job, n, max(COLUMNS // job.L if job.columns else 1, n // (4 * threads())))
    return out


def normalized(ndarray x not None, weight, bias, stats, eps, form, over_batch, centered, given):
    """The normalised array, of the shape of `x`, and its moments in `stats`, unless they are `given` there; None declines."""
    return run(FORWARD, x, None, x, weight, bias, stats, eps, form, over_batch, centered, given)


def input_share(ndarray g not None, x, weight, stats, eps, form, over_batch, centered, given):
    """The gradient of the sum of ``g`` times the result by `x`, in the shape of g; None declines."""
    return run(INPUT, g, g, x, weight, None, stats, eps, form, over_batch, centered, given)


def weight_share(ndarray g not None, x, stats, eps, form, over_batch, centered, given):
    """The same by the weights, as a row of them; None declines."""
    return run(CHANNELS, g, g, x, None, None, stats, eps, form, over_batch, centered, given)


def bias_share(ndarray g not None, form, over_batch):
    """The same by the biases."""
    return run(CHANNELS, g, g, None, None, None, None, 0, form, over_batch, True, False)
