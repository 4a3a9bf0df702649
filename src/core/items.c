#include "core/items.h"

#include "core/memory.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Threads meet so often to report: seldom enough that they hardly wait for each other, often enough
 * for a bar to move and for an interrupt to be heard. */
static const double round_seconds = 0.05;

/* The first item of a lane that failed. */
typedef struct {
  mkd_status status;
  size_t item;
  char text[2048]; /* as much as a thread keeps */
} failure;

typedef struct {
  const mk_items *items;
  failure *failures; /* [lanes] */
  atomic_size_t next;
  atomic_bool failed;
  double end; /* of the round */
} round_state;

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Items are handed out in order: when one fails, all before it have been, so that the first to fail
 * is always found. */
static void run_lane(void *context, size_t lane, int worker)
{
  (void)worker;
  round_state *round = context;
  const mk_items *items = round->items;
  failure *f = &round->failures[lane];
  do {
    if (atomic_load(&round->failed)) return;
    size_t item = atomic_fetch_add(&round->next, 1);
    if (item >= items->count) return;
    f->status = items->work(items->context, item, (int)lane);
    if (f->status != MKD_OK) {
      f->item = item;
      strncpy(f->text, mkd_last_error(), sizeof f->text - 1);
      atomic_store(&round->failed, true);
      return;
    }
  } while (now() < round->end);
}

static mkd_status first_failure(const failure *failures, int lanes)
{
  const failure *first = NULL;
  for (int i = 0; i < lanes; ++i) {
    if (failures[i].status != MKD_OK && (!first || failures[i].item < first->item))
      first = &failures[i];
  }
  return first ? mk_fail(first->status, "%s", first->text) : MKD_OK;
}

static mkd_status run_rounds(round_state *round, int lanes, mk_pool *pool)
{
  const mk_items *items = round->items;
  for (size_t done = 0; done < items->count;) {
    round->end = now() + round_seconds;
    mk_pool_run(pool, (size_t)lanes, run_lane, round);
    MK_TRY(first_failure(round->failures, lanes));
    /* Each lane that found no item left has counted one too many. */
    size_t taken = atomic_load(&round->next);
    if (taken > items->count) taken = items->count;
    while (done < taken) {
      ++done;
      if (items->report) MK_TRY(items->report(items->context, done));
    }
  }
  return MKD_OK;
}

mkd_status mk_items_run(const mk_items *items, mk_pool *pool)
{
  int threads = mk_pool_threads(pool);
  int lanes = items->lanes > 0 && items->lanes < threads ? items->lanes : threads;
  round_state round = {.items = items};
  MK_TRY(mk_alloc(&round.failures, (size_t)lanes, sizeof *round.failures));
  mkd_status status = run_rounds(&round, lanes, pool);
  mk_free(round.failures);
  return status;
}
