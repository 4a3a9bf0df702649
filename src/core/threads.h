/* A pool of threads that share the indices of one loop at a time.
 *
 * Waiting threads spin for some microseconds and then sleep: a pool that spins on would fight with
 * any other process for its core. Each thread begins with its own share of the indices, so that it
 * finds in its cache what it made in the last loop, and then helps the others: indices are handed
 * out one by one, so a thread that loses its core delays nobody else. Results must not depend on
 * who runs which index: that is what makes them the same on any number of threads. */
#ifndef MK_CORE_THREADS_H
#define MK_CORE_THREADS_H

#include "core/status.h"

typedef struct mk_pool mk_pool;

/* Runs one index; `worker` is in 0 .. threads - 1 and never used twice at the same time. */
typedef void mk_task(void *context, size_t index, int worker);

int mk_core_count(void);

/* `threads` includes the caller of mk_pool_run; 0 means one a core. */
mkd_status mk_pool_create(mk_pool **pool, int threads);
void mk_pool_destroy(mk_pool *pool);

/* 1 for NULL, which stands for "the calling thread alone". */
int mk_pool_threads(const mk_pool *pool);

/* Runs task(context, i, worker) for every i < count and returns when all are done. Not reentrant.
 */
void mk_pool_run(mk_pool *pool, size_t count, mk_task *task, void *context);

/* The same on the first `threads` threads at most, if each needs something of its own that there
 * are only so many of: `worker` is below `threads`. */
void mk_pool_run_on(mk_pool *pool, int threads, size_t count, mk_task *task, void *context);

/* The indices begin .. end - 1; `worker` as above. */
typedef void mk_range_task(void *context, size_t begin, size_t end, int worker);

/* Splits 0 .. count - 1 into ranges of `grain`; 0: a few a thread, one where there is one thread.
 */
void mk_pool_run_ranges(mk_pool *pool, size_t count, size_t grain, mk_range_task *task,
                        void *context);

#endif
