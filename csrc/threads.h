/* A few helper threads that share the blocks of one long loop with the thread that asks for it.

   Each thread has a part of the elements, the same part in every loop of that length, as they may still be in its cache; it
   takes its part a chunk at a time, and then the last chunks of others: a helper that the system has not woken yet costs
   nothing. A second loop that starts meanwhile, in another thread, simply runs alone. Helpers start when first needed, look
   for work for a short while before they sleep, and are forgotten by a child after fork. Without POSIX threads, everything
   runs alone. */
#ifndef GRADNERVE_THREADS_H
#define GRADNERVE_THREADS_H

#include <fenv.h>
#include <stddef.h>

typedef void (*gn_work)(void *job, int helper, ptrdiff_t first, ptrdiff_t last);
#define GN_MAX_HELPERS 15

#if defined(_WIN32)

static void gn_share(gn_work work, void *job, ptrdiff_t n, ptrdiff_t chunk, int helpers) { work(job, 0, 0, n); }

#else

#include <pthread.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;               /* guards all below */
    pthread_cond_t wake, done;
    gn_work work;
    void *job;
    ptrdiff_t next[GN_MAX_HELPERS + 1], end[GN_MAX_HELPERS + 1];        /* what is left of each thread's part */
    ptrdiff_t left, chunk;              /* elements that nobody has taken yet; how many to take at a time */
    int allowed;                        /* helpers with a larger number stay out */
    int running;                        /* helpers inside a chunk */
    int flags;                          /* floating-point flags that they raised */
    int started;                        /* helpers that exist */
    int busy;                           /* a loop is being shared */
} gn_pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static int gn_has_work(int helper) { return gn_pool.left > 0 && helper <= gn_pool.allowed; }

/* Take a chunk, of this thread's own part if there is one; with the lock held, and there is work. */
static void gn_take(int helper, ptrdiff_t *first, ptrdiff_t *last)
{
    int part = helper;
    if (gn_pool.next[part] >= gn_pool.end[part])
        for (part = 0; gn_pool.next[part] >= gn_pool.end[part]; part++) {}
    ptrdiff_t size = gn_pool.end[part] - gn_pool.next[part];
    if (size > gn_pool.chunk) size = gn_pool.chunk;
    gn_pool.left -= size;
    if (part == helper) {
        *first = gn_pool.next[part];
        gn_pool.next[part] += size;
    } else
        *first = gn_pool.end[part] -= size;
    *last = *first + size;
}

/* Work until nothing is left to take. Called and returns with the lock held. */
static void gn_take_chunks(int helper)
{
    while (gn_has_work(helper)) {
        gn_work work = gn_pool.work;
        void *job = gn_pool.job;
        ptrdiff_t first, last;
        gn_take(helper, &first, &last);
        gn_pool.running += helper > 0;
        pthread_mutex_unlock(&gn_pool.lock);
        work(job, helper, first, last);
        pthread_mutex_lock(&gn_pool.lock);
        if (helper > 0) {
            gn_pool.flags |= fetestexcept(FE_ALL_EXCEPT);
            feclearexcept(FE_ALL_EXCEPT);
            if (--gn_pool.running == 0) pthread_cond_signal(&gn_pool.done);
        }
    }
}

static int gn_none_runs(int unused) { return gn_pool.running == 0; }

/* Whether it comes true within 200 microseconds: longer, and other libraries' threads would miss the processor; to sleep at once would cost
   half of that to wake up. Called and returns with the lock held. */
static int gn_soon(int (*true_now)(int), int helper)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (true_now(helper)) return 1;
        pthread_mutex_unlock(&gn_pool.lock);
        for (volatile int pause = 0; pause < 50; pause++) {}
        pthread_mutex_lock(&gn_pool.lock);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 200000L);
    return true_now(helper);
}

static void *gn_helper(void *number)
{
    int helper = (int)(ptrdiff_t)number;
    pthread_mutex_lock(&gn_pool.lock);
    for (;;) {
        while (!gn_soon(gn_has_work, helper)) pthread_cond_wait(&gn_pool.wake, &gn_pool.lock);
        gn_take_chunks(helper);
    }
    return NULL;
}

static void gn_forget_helpers(void)     /* in a child after fork, where they do not exist */
{
    pthread_mutex_init(&gn_pool.lock, NULL);
    pthread_cond_init(&gn_pool.wake, NULL);
    pthread_cond_init(&gn_pool.done, NULL);
    gn_pool.left = 0;
    gn_pool.running = gn_pool.started = gn_pool.busy = 0;
}

/* Start missing helpers; with the lock held. */
static void gn_start(int helpers)
{
    static int prepared = 0;
    pthread_attr_t detached;
    if (!prepared) prepared = pthread_atfork(NULL, NULL, gn_forget_helpers) == 0;
    if (!prepared || pthread_attr_init(&detached) != 0) return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (gn_pool.started < helpers && gn_pool.started < GN_MAX_HELPERS) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, gn_helper, (void *)(ptrdiff_t)(gn_pool.started + 1)) != 0) break;
        gn_pool.started++;
    }
    pthread_attr_destroy(&detached);
}

/* Run work on 0..n in chunks, together with up to so many helpers. */
static void gn_share(gn_work work, void *job, ptrdiff_t n, ptrdiff_t chunk, int helpers)
{
    pthread_mutex_lock(&gn_pool.lock);
    if (gn_pool.busy || helpers < 1 || n <= chunk) {
        pthread_mutex_unlock(&gn_pool.lock);
        work(job, 0, 0, n);
        return;
    }
    if (gn_pool.started < helpers) gn_start(helpers);
    gn_pool.busy = 1;
    gn_pool.work = work;
    gn_pool.job = job;
    for (int part = 0; part <= helpers; part++) {
        gn_pool.next[part] = n / (helpers + 1) / 64 * 64 * part;
        gn_pool.end[part] = part == helpers ? n : n / (helpers + 1) / 64 * 64 * (part + 1);
    }
    gn_pool.left = n;
    gn_pool.chunk = chunk;
    gn_pool.allowed = helpers;
    gn_pool.flags = 0;
    pthread_cond_broadcast(&gn_pool.wake);
    gn_take_chunks(0);
    while (!gn_soon(gn_none_runs, 0)) pthread_cond_wait(&gn_pool.done, &gn_pool.lock);
    gn_pool.busy = 0;
    int flags = gn_pool.flags;
    pthread_mutex_unlock(&gn_pool.lock);
    if (flags) feraiseexcept(flags & (FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW));
}

#endif
#endif
