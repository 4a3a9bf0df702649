#include "eval/sort.h"

#include <stdbool.h>

enum { PASSES = 3, BITS = 11, BUCKETS = 1 << BITS };

/* Bucket sizes to bucket starts. False when one bucket holds all: nothing to do. */
static bool to_starts(size_t *buckets, size_t count)
{
  size_t start = 0;
  for (size_t b = 0; b < BUCKETS; ++b) {
    size_t size = buckets[b];
    if (size == count) return false;
    buckets[b] = start;
    start += size;
  }
  return true;
}

/* `shift` is where the 32 bits to sort by begin. */
#define DEFINE_RADIX_SORT(name, type, shift)                                                       \
  type *name(type *keys, type *scratch, size_t count)                                              \
  {                                                                                                \
    size_t buckets[PASSES][BUCKETS] = {{0}};                                                       \
    for (size_t i = 0; i < count; ++i)                                                             \
      for (int pass = 0; pass < PASSES; ++pass)                                                    \
        ++buckets[pass][keys[i] >> ((shift) + pass * BITS) & (BUCKETS - 1)];                       \
    for (int pass = 0; pass < PASSES; ++pass) {                                                    \
      if (!to_starts(buckets[pass], count)) continue;                                              \
      size_t *next = buckets[pass];                                                                \
      for (size_t i = 0; i < count; ++i)                                                           \
        scratch[next[keys[i] >> ((shift) + pass * BITS) & (BUCKETS - 1)]++] = keys[i];             \
      type *sorted = scratch;                                                                      \
      scratch = keys;                                                                              \
      keys = sorted;                                                                               \
    }                                                                                              \
    return keys;                                                                                   \
  }

DEFINE_RADIX_SORT(mk_sort_u32, uint32_t, 0)
DEFINE_RADIX_SORT(mk_sort_u64_high, uint64_t, 32)
