/* Every allocation of the library goes through these. */
#ifndef MK_CORE_MEMORY_H
#define MK_CORE_MEMORY_H

#include "core/status.h"

#include <stdint.h>

enum { MK_ALIGNMENT = 64 }; /* bytes: one cache line, one AVX-512 register */

/* count * size zeroed bytes, aligned to MK_ALIGNMENT; never NULL on success, even for 0 bytes;
 * NULL on failure. `out` is the address of a pointer of any object type. */
mkd_status mk_alloc(void *out, size_t count, size_t size);

/* The same with bytes of any content, for memory that is filled anyway. */
mkd_status mk_alloc_any(void *out, size_t count, size_t size);

/* Grows (or shrinks) the array at `*out`; new elements are zero. On failure the array stays. */
mkd_status mk_grow(void *out, size_t old_count, size_t count, size_t size);

void mk_free(void *pointer);

/* A copy of `text` (or of its first `length` bytes). As of mk_alloc, a failure leaves NULL. */
mkd_status mk_text_copy(char **out, const char *text);
mkd_status mk_text_copy_n(char **out, const char *text, size_t length);
__attribute__((format(printf, 2, 3))) mkd_status mk_text_format(char **out, const char *format,
                                                                ...);

/* For libraries that do not tell an allocation that failed from a bad file: clear before the call,
 * ask after one that has failed. After one that has not, it may be mistaken: malloc can leave its
 * mark on the way to memory that it finds elsewhere. */
void mk_memory_watch(void);
bool mk_memory_failed(void); /* in the calling thread */

/* a * b, a + b with overflow check: false and *out untouched when it does not fit. */
static inline bool mk_mul(size_t a, size_t b, size_t *out)
{
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool mk_add(size_t a, size_t b, size_t *out)
{
  return !__builtin_add_overflow(a, b, out);
}

#endif
