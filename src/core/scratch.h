/* Memory for many things that are given back together, in a few large blocks. An owner that does
 * the same work again and again keeps one scratch and resets it before each round: after the
 * largest round, nothing is allocated any more. */
#ifndef MK_CORE_SCRATCH_H
#define MK_CORE_SCRATCH_H

#include "core/status.h"

typedef struct mk_scratch_block mk_scratch_block;

/* All zero is an empty one. For one thread at a time. */
typedef struct {
  mk_scratch_block *blocks; /* the last one first */
  size_t total;             /* bytes of all of them */
} mk_scratch;

/* count * size bytes of any content, aligned to MK_ALIGNMENT, until the next reset; NULL on
 * failure. `out` is the address of a pointer of any object type. */
mkd_status mk_scratch_get(mk_scratch *scratch, void *out, size_t count, size_t size);

/* Makes room for that many bytes at once, where it is known what is to come. Room that nobody gets
 * costs addresses, not memory. */
mkd_status mk_scratch_reserve(mk_scratch *scratch, size_t bytes);

/* Takes back everything that was got. */
void mk_scratch_reset(mk_scratch *scratch);

void mk_scratch_free(mk_scratch *scratch);

#endif
