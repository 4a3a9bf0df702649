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

typedef struct {
  float *plane, *between; /* [height][width]; between the two passes */
  int width, height, radius;
  const float *weights; /* 2 * radius + 1 */
  float *padded;        /* a row of each thread with what continues it on either side */
  const float **rows;   /* 2 * radius + 1 of each thread */
} blur;

static void blur_along_rows(void *context, size_t begin, size_t end, int worker)
{
  const blur *b = context;
  int taps = 2 * b->radius + 1;
  size_t n = (size_t)b->width;
  float *padded = b->padded + (size_t)worker * (n + (size_t)taps);
  const float **rows = b->rows + (size_t)worker * (size_t)taps;
  for (int k = 0; k < taps; ++k) rows[k] = padded + k;
  for (size_t y = begin; y < end; ++y) {
    const float *row = b->plane + y * n;
    memcpy(padded + b->radius, row, n * sizeof *row);
    for (int k = 1; k <= b->radius; ++k) {
      padded[b->radius - k] = row[mirror(-k, b->width)];
      padded[b->radius + b->width - 1 + k] = row[mirror((int64_t)b->width - 1 + k, b->width)];
    }
    weighted_sum(b->between + y * n, rows, b->weights, taps, b->width);
  }
}

static void blur_along_columns(void *context, size_t begin, size_t end, int worker)
{
  const blur *b = context;
  int taps = 2 * b->radius + 1;
  size_t n = (size_t)b->width;
  const float **rows = b->rows + (size_t)worker * (size_t)taps;
  for (size_t y = begin; y < end; ++y) {
    for (int k = 0; k < taps; ++k)
      rows[k] = b->between + (size_t)mirror((int64_t)y + k - b->radius, b->height) * n;
    weighted_sum(b->plane + y * n, rows, b->weights, taps, b->width);
  }
}

mkd_status mk_gaussian_blur(float *plane, int width, int height, double sigma, int radius,
                            mk_pool *pool, mk_scratch *scratch)
{
  if (radius <= 0 || sigma <= 0) return MKD_OK;
  size_t taps = 2 * (size_t)radius + 1, n = (size_t)width, size;
  size_t threads = (size_t)mk_pool_threads(pool);
  float *weights, *padded, *between;
  const float **rows;
  if (!mk_mul(n, (size_t)height, &size)) return mk_fail_memory(SIZE_MAX);
  MK_TRY(mk_scratch_get(scratch, &weights, taps, sizeof *weights));
  MK_TRY(mk_scratch_get(scratch, &padded, threads * (n + taps), sizeof *padded));
  MK_TRY(mk_scratch_get(scratch, &between, size, sizeof *between));
  MK_TRY(mk_scratch_get(scratch, &rows, threads * taps, sizeof *rows));
  gaussian_weights(weights, sigma, radius);
  blur b = {plane, between, width, height, radius, weights, padded, rows};
  mk_pool_run_ranges(pool, (size_t)height, 0, blur_along_rows, &b);
  mk_pool_run_ranges(pool, (size_t)height, 0, blur_along_columns, &b);
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
