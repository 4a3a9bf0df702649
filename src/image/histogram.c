#include "image/histogram.h"

#include <math.h>

enum { LEVELS = 65536 };

void mk_histogram_add(mk_histogram *histogram, const uint16_t *values, size_t count)
{
  for (size_t i = 0; i < count; ++i) ++histogram->counts[values[i]];
}

/* The value at 0-based `rank` in sorted order. */
static double value_at(const mk_histogram *histogram, uint64_t rank)
{
  uint64_t below = 0;
  for (int level = 0; level < LEVELS; ++level) {
    below += histogram->counts[level];
    if (below > rank) return level;
  }
  return LEVELS - 1;
}

double mk_histogram_percentile(const mk_histogram *histogram, double percent)
{
  uint64_t total = 0;
  for (int i = 0; i < LEVELS; ++i) total += histogram->counts[i];
  if (total == 0) return NAN;
  double position = percent / 100 * (double)(total - 1);
  uint64_t rank = (uint64_t)position;
  double low = value_at(histogram, rank);
  double high = rank + 1 < total ? value_at(histogram, rank + 1) : low;
  return low + (high - low) * (position - (double)rank);
}
