/* What training reads again and again: per item the canonical input and the expert's activations.
 * Kept in memory up to a limit, else in an unlinked file in $TMPDIR that is mapped into memory. */
#ifndef MK_DISTILL_STORE_H
#define MK_DISTILL_STORE_H

#include "core/status.h"

typedef struct {
  size_t count;       /* items */
  size_t input_size;  /* uint16 values an item */
  size_t target_size; /* activations an item, all critical points one after the other */
  bool half;          /* activations as fp16, else fp32 */
  size_t item_bytes;
  uint8_t *data;
  size_t mapped; /* bytes of the mapping; 0 when in memory */
} mk_store;

mkd_status mk_store_create(mk_store **store, size_t count, size_t input_size, size_t target_size,
                           bool half, uint64_t memory_limit);
void mk_store_destroy(mk_store *store);

uint16_t *mk_store_input(const mk_store *store, size_t item);

/* Activations `begin` .. `begin + count` of an item; fp16 saturates at its largest number. */
void mk_store_put_targets(const mk_store *store, size_t item, size_t begin, const float *src,
                          size_t count);
void mk_store_get_targets(const mk_store *store, size_t item, size_t begin, float *dst,
                          size_t count);

/* All activations of an item of a store that keeps fp32. */
const float *mk_store_targets(const mk_store *store, size_t item);

#endif
