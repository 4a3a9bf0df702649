/* Work on many items at once that can fail, and that somebody watches. */
#ifndef MK_CORE_ITEMS_H
#define MK_CORE_ITEMS_H

#include "core/threads.h"

typedef struct {
  size_t count;
  int lanes; /* most items at a time; 0 = one a thread */
  /* Does one item. `lane` is in 0 .. lanes - 1 (or threads - 1) and never used twice at the same
   * time: it picks the working memory. */
  mkd_status (*work)(void *context, size_t item, int lane);
  /* After each item, in their order, from the thread that calls mk_items_run; or NULL. `done`
   * counts them. Anything but MKD_OK ends the work. */
  mkd_status (*report)(void *context, size_t done);
  void *context;
} mk_items;

/* Of several items that fail, the first is the one reported, on any number of threads. Items after
 * it may have been done, too. */
mkd_status mk_items_run(const mk_items *items, mk_pool *pool);

#endif
