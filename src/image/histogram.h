/* How often each 16-bit level occurs, and percentiles of it. */
#ifndef MK_IMAGE_HISTOGRAM_H
#define MK_IMAGE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Half a megabyte: allocate it, zeroed. */
typedef struct {
  uint64_t counts[65536];
} mk_histogram;

void mk_histogram_add(mk_histogram *histogram, const uint16_t *values, size_t count);

/* The level below which `percent` (0..100) of the values lie, between levels by linear
 * interpolation of ranks as numpy.percentile's default; NAN when nothing has been added. */
double mk_histogram_percentile(const mk_histogram *histogram, double percent);

#endif
