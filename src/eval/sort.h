/* Radix sort of integer keys, for tens of millions of pixels. */
#ifndef MK_EVAL_SORT_H
#define MK_EVAL_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Ascending and stable. The result is in `keys` or in `scratch`, of `count` elements each: the
 * return value tells which. */
uint32_t *mk_sort_u32(uint32_t *keys, uint32_t *scratch, size_t count);

/* The same by the high 32 bits alone. */
uint64_t *mk_sort_u64_high(uint64_t *keys, uint64_t *scratch, size_t count);

#endif
