/* Floating-point numbers as files store them: little-endian, in several widths. */
#ifndef MK_CORE_FLOAT_TYPES_H
#define MK_CORE_FLOAT_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef enum { MK_FLOAT16, MK_BFLOAT16, MK_FLOAT32, MK_FLOAT64 } mk_float_type;

size_t mk_float_size(mk_float_type type); /* bytes of one number */

/* Converts `count` numbers to fp32; `bytes` need not be aligned. Exact, but for MK_FLOAT64, which
 * is rounded to nearest. */
void mk_float_decode(float *values, const uint8_t *bytes, size_t count, mk_float_type type);

/* fp32 as little-endian bytes, 4 for each number. */
void mk_float_encode(uint8_t *bytes, const float *values, size_t count);

#endif
