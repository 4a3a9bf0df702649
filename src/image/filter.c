#include "image/filter.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 16 }; /* sums that stay in registers */

/* dst[x] = sum over k of weights[k] * rows[k][x]. */
static void weighted_sum(float *restrict dst, const float *const *rows, const float *weights,
                         int taps, int count)
{
  int x = 0;
  for (; x + BLOCK <= count; x += BLOCK) {
    float sum[BLOCK] = {0};
    for (int k = 0; k < taps; ++k) {
      const float *row = rows[k] + x;
      for (int i = 0; i < BLOCK; ++i) sum[i] += weights[k] * row[i];
    }
    memcpy(dst + x, sum, sizeof sum);
  }
  for (; x < count; ++x) {
    float sum = 0;
    for (int k = 0; k < taps; ++k) sum += weights[k] * rows[k][x];
    dst[x] = sum;
  }
}

/* Index i of 0 .. count - 1 continued on either side by mirror images, however far out it is. */
static int mirror(int64_t i, int count)
{
  int64_t period = 2 * (int64_t)count;
  i %= period;
  if (i < 0) i += period;
  return (int)(i < count ? i : period - 1 - i);
}

static void gaussian_weights(float *weights, double sigma, int radius)
{
  double sum = 0;
  for (int k = -radius; k <= radius; ++k) sum += exp(-0.5 * k * k / (sigma * sigma));
  for (int k = -radius; k <= radius; ++k)
    weights[k + radius] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
}

mkd_status mk_gaussian_blur(float *plane, int width, int height, double sigma, int radius,
                            mk_scratch *scratch)
{
  if (radius <= 0 || sigma <= 0) return MKD_OK;
  int taps = 2 * radius + 1;
  size_t n = (size_t)width, size;
  float *weights, *padded, *between;
  const float **rows;
  if (!mk_mul(n, (size_t)height, &size)) return mk_fail_memory(SIZE_MAX);
  MK_TRY(mk_scratch_get(scratch, &weights, (size_t)taps, sizeof *weights));
  MK_TRY(mk_scratch_get(scratch, &padded, n + (size_t)taps, sizeof *padded));
  MK_TRY(mk_scratch_get(scratch, &between, size, sizeof *between));
  MK_TRY(mk_scratch_get(scratch, &rows, (size_t)taps, sizeof *rows));
  gaussian_weights(weights, sigma, radius);
  for (int k = 0; k < taps; ++k) rows[k] = padded + k;
  for (int y = 0; y < height; ++y) {
    const float *row = plane + (size_t)y * n;
    memcpy(padded + radius, row, n * sizeof *row);
    for (int k = 1; k <= radius; ++k) {
      padded[radius - k] = row[mirror(-k, width)];
      padded[radius + width - 1 + k] = row[mirror((int64_t)width - 1 + k, width)];
    }
    weighted_sum(between + (size_t)y * n, rows, weights, taps, width);
  }
  for (int y = 0; y < height; ++y) {
    for (int k = 0; k < taps; ++k)
      rows[k] = between + (size_t)mirror((int64_t)y + k - radius, height) * n;
    weighted_sum(plane + (size_t)y * n, rows, weights, taps, width);
  }
  return MKD_OK;
}

static float lower(float a, float b)
{
  return a < b ? a : b;
}

static float higher(float a, float b)
{
  return a > b ? a : b;
}

/* Both steps repeat the edge pixel, which changes no minimum or maximum that it is part of. */
static void erode(float *restrict dst, const float *restrict src, int width, int height)
{
  for (int y = 0; y < height; ++y) {
    const float *row = src + (size_t)y * (size_t)width;
    const float *above = y > 0 ? row - width : row, *below = y + 1 < height ? row + width : row;
    float *out = dst + (size_t)y * (size_t)width;
    for (int x = 0; x < width; ++x) out[x] = lower(row[x], lower(above[x], below[x]));
    for (int x = 0; x + 1 < width; ++x) out[x] = lower(out[x], row[x + 1]);
    for (int x = 1; x < width; ++x) out[x] = lower(out[x], row[x - 1]);
  }
}

static void dilate(float *restrict dst, const float *restrict src, int width, int height)
{
  for (int y = 0; y < height; ++y) {
    const float *row = src + (size_t)y * (size_t)width;
    const float *above = y > 0 ? row - width : row, *below = y + 1 < height ? row + width : row;
    float *out = dst + (size_t)y * (size_t)width;
    for (int x = 0; x < width; ++x) out[x] = higher(row[x], higher(above[x], below[x]));
    for (int x = 0; x + 1 < width; ++x) out[x] = higher(out[x], row[x + 1]);
    for (int x = 1; x < width; ++x) out[x] = higher(out[x], row[x - 1]);
  }
}

mkd_status mk_open_plus(float *plane, int width, int height, mk_scratch *scratch)
{
  size_t size;
  if (!mk_mul((size_t)width, (size_t)height, &size)) return mk_fail_memory(SIZE_MAX);
  float *eroded;
  MK_TRY(mk_scratch_get(scratch, &eroded, size, sizeof *eroded));
  erode(eroded, plane, width, height);
  dilate(plane, eroded, width, height);
  return MKD_OK;
}
