#include "core/threads.h"

#include "core/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MAX_THREADS = 1024, SPINS = 2000, STACK = 1 << 20 };

typedef struct {
  mk_pool *pool;
  int index;
  pthread_t thread;
} worker;

/* The indices of a loop that one thread begins with. */
typedef struct {
  _Alignas(MK_ALIGNMENT) atomic_size_t next; /* to hand out; past `end` when none is left */
  size_t end;
} share;

struct mk_pool {
  int threads;
  worker *workers; /* threads - 1 of them; the caller is worker 0 */
  int started;

  mk_task *task;
  void *context;
  share *shares;          /* one a thread */
  int active;             /* threads that take part in this loop, the first ones */
  atomic_int busy;        /* workers that have not finished this round */
  atomic_uint generation; /* round number; odd bits carry no meaning */
  atomic_bool stop;

  pthread_mutex_t mutex;
  pthread_cond_t wake, done;
};

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int mk_core_count(void)
{
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    int count = CPU_COUNT(&set);
    return count < MAX_THREADS ? count : MAX_THREADS;
  }
  return 1;
}

/* First the own share, then what the others have not begun with. */
static void work(mk_pool *pool, int index)
{
  for (int offset = 0; offset < pool->active; ++offset) {
    share *from = &pool->shares[(index + offset) % pool->active];
    for (;;) {
      size_t i = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
      if (i >= from->end) break;
      pool->task(pool->context, i, index);
    }
  }
}

static void *worker_main(void *argument)
{
  worker *self = argument;
  mk_pool *pool = self->pool;
  unsigned seen = 0;
  for (;;) {
    for (int spin = 0; spin < SPINS && atomic_load(&pool->generation) == seen; ++spin) spin_pause();
    if (atomic_load(&pool->generation) == seen) {
      pthread_mutex_lock(&pool->mutex);
      while (atomic_load(&pool->generation) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
      pthread_mutex_unlock(&pool->mutex);
    }
    seen = atomic_load(&pool->generation);
    if (atomic_load(&pool->stop)) return NULL;
    if (self->index < pool->active) work(pool, self->index);
    if (atomic_fetch_sub(&pool->busy, 1) == 1) {
      pthread_mutex_lock(&pool->mutex);
      pthread_cond_signal(&pool->done);
      pthread_mutex_unlock(&pool->mutex);
    }
  }
}

static void start_round(mk_pool *pool)
{
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->generation, 1);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

/* With a stack that does not shrink with `ulimit -s`. */
static bool start_worker(worker *w)
{
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  bool started = pthread_attr_setstacksize(&attributes, STACK) == 0 &&
                 pthread_create(&w->thread, &attributes, worker_main, w) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

mkd_status mk_pool_create(mk_pool **out, int threads)
{
  if (threads < 0 || threads > MAX_THREADS)
    return mk_fail(MKD_ERROR_ARGUMENT, "threads: %d is not in 0 .. %d", threads, MAX_THREADS);
  if (threads == 0) threads = mk_core_count();
  mk_pool *pool;
  MK_TRY(mk_alloc(&pool, 1, sizeof *pool));
  pool->threads = threads;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->done, NULL);
  mkd_status status = mk_alloc(&pool->workers, (size_t)threads, sizeof *pool->workers);
  if (status == MKD_OK) status = mk_alloc(&pool->shares, (size_t)threads, sizeof *pool->shares);
  for (int i = 1; status == MKD_OK && i < threads; ++i) {
    worker *w = &pool->workers[i - 1];
    *w = (worker){.pool = pool, .index = i};
    if (!start_worker(w))
      status = mk_fail(MKD_ERROR_MEMORY, "cannot start thread %d of %d", i + 1, threads);
    else
      ++pool->started;
  }
  if (status != MKD_OK) {
    mk_pool_destroy(pool);
    return status;
  }
  *out = pool;
  return MKD_OK;
}

void mk_pool_destroy(mk_pool *pool)
{
  if (!pool) return;
  atomic_store(&pool->stop, true);
  start_round(pool);
  for (int i = 0; i < pool->started; ++i) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  mk_free(pool->workers);
  mk_free(pool->shares);
  mk_free(pool);
}

int mk_pool_threads(const mk_pool *pool)
{
  return pool ? pool->threads : 1;
}

void mk_pool_run(mk_pool *pool, size_t count, mk_task *task, void *context)
{
  mk_pool_run_on(pool, mk_pool_threads(pool), count, task, context);
}

void mk_pool_run_on(mk_pool *pool, int active, size_t count, mk_task *task, void *context)
{
  if (mk_pool_threads(pool) == 1 || active <= 1 || count <= 1) {
    for (size_t i = 0; i < count; ++i) task(context, i, 0);
    return;
  }
  pool->task = task;
  pool->context = context;
  pool->active = active < pool->threads ? active : pool->threads;
  size_t threads = (size_t)pool->active, each = count / threads, rest = count % threads, at = 0;
  for (size_t i = 0; i < threads; ++i) {
    atomic_store_explicit(&pool->shares[i].next, at, memory_order_relaxed);
    at += each + (i < rest);
    pool->shares[i].end = at;
  }
  atomic_store(&pool->busy, pool->threads - 1);
  start_round(pool);
  work(pool, 0);
  for (int spin = 0; spin < SPINS && atomic_load(&pool->busy) > 0; ++spin) spin_pause();
  if (atomic_load(&pool->busy) > 0) {
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->busy) > 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
  }
}

typedef struct {
  mk_range_task *task;
  void *context;
  size_t count, grain;
} ranges;

static void run_range(void *context, size_t index, int thread)
{
  const ranges *r = context;
  size_t begin = index * r->grain, left = r->count - begin;
  r->task(r->context, begin, begin + (left < r->grain ? left : r->grain), thread);
}

void mk_pool_run_ranges(mk_pool *pool, size_t count, size_t grain, mk_range_task *task,
                        void *context)
{
  size_t threads = (size_t)mk_pool_threads(pool), parts = threads > 1 ? 2 * threads : 1;
  if (count == 0) return;
  ranges r = {task, context, count, grain ? grain : (count + parts - 1) / parts};
  mk_pool_run(pool, (count + r.grain - 1) / r.grain, run_range, &r);
}
