#include "image/resample.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>

/* One pixel: R, G, B and an unused lane, so that a tap is one multiplication. */
typedef float pixel __attribute__((vector_size(16)));

/* Output index i is the weighted sum of source indices first[i] .. first[i] + count[i] - 1; its
 * weights start at weights[i * taps]. */
typedef struct {
  int *first, *count;
  float *weights;
  size_t taps; /* the largest count */
} axis;

static double triangle(double x)
{
  x = fabs(x);
  return x < 1 ? 1 - x : 0;
}

static double sinc(double x)
{
  const double pi = 3.14159265358979323846;
  return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

static double lanczos3(double x)
{
  return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/* To be freed even after a failure. */
static mkd_status axis_create(axis *a, int src, int dst, mk_resample filter, mk_scratch *scratch)
{
  double scale = (double)src / dst;
  double stretch = scale > 1 ? scale : 1; /* a shrinking filter covers all pixels it replaces */
  double support = (filter == MK_RESAMPLE_LANCZOS ? 3 : 1) * stretch;
  size_t n = (size_t)dst, total;
  *a = (axis){.taps = (size_t)ceil(support) * 2 + 1};
  if (!mk_mul(n, a->taps, &total)) return mk_fail_memory(SIZE_MAX);
  MK_TRY(mk_scratch_get(scratch, &a->first, n, sizeof *a->first));
  MK_TRY(mk_scratch_get(scratch, &a->count, n, sizeof *a->count));
  MK_TRY(mk_scratch_get(scratch, &a->weights, total, sizeof *a->weights));
  for (int i = 0; i < dst; ++i) {
    double centre = (i + 0.5) * scale, sum = 0;
    double low = floor(centre - support + 0.5), high = floor(centre + support + 0.5);
    int first = low > 0 ? (int)low : 0, end = high < src ? (int)high : src;
    float *weights = a->weights + (size_t)i * a->taps;
    for (int k = 0; first + k < end; ++k) {
      double x = (first + k + 0.5 - centre) / stretch;
      double weight = filter == MK_RESAMPLE_LANCZOS ? lanczos3(x) : triangle(x);
      weights[k] = (float)weight;
      sum += weight;
    }
    while (end - first > 1 && weights[end - first - 1] == 0) --end; /* of the triangle's foot */
    for (int k = 0; first + k < end; ++k) weights[k] /= (float)sum;
    a->first[i] = first;
    a->count[i] = end - first;
  }
  return MKD_OK;
}

/* One row of any format to pixels of 0..255. */
static void unpack_row(pixel *dst, const mkd_image *image, int y)
{
  const uint8_t *bytes = (const uint8_t *)image->data + (size_t)y * image->stride;
  const uint16_t *words = (const uint16_t *)(const void *)bytes;
  const float word = 1.0F / 257;
  int width = image->width;
  switch (image->format) {
  case MKD_GREY8:
    for (int x = 0; x < width; ++x) dst[x] = (pixel){bytes[x], bytes[x], bytes[x]};
    break;
  case MKD_RGB8:
    for (int x = 0; x < width; ++x, bytes += 3) dst[x] = (pixel){bytes[0], bytes[1], bytes[2]};
    break;
  case MKD_BGR8:
    for (int x = 0; x < width; ++x, bytes += 3) dst[x] = (pixel){bytes[2], bytes[1], bytes[0]};
    break;
  case MKD_GREY16:
    for (int x = 0; x < width; ++x) dst[x] = (pixel){words[x], words[x], words[x]} * word;
    break;
  case MKD_RGB16:
    for (int x = 0; x < width; ++x, words += 3)
      dst[x] = (pixel){words[0], words[1], words[2]} * word;
    break;
  }
}

static void clamp_grey(float *values, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    float v = values[i] < 0 ? 0 : values[i];
    values[i] = v > 255 ? 255 : v;
  }
}

/* Source row to output width. `dst` has room for one value more than width * 3. */
static void resample_row(float *dst, const pixel *src, const axis *a, int width)
{
  for (int x = 0; x < width; ++x) {
    const pixel *tap = src + a->first[x];
    const float *weights = a->weights + (size_t)x * a->taps;
    pixel sum = {0};
    for (int k = 0; k < a->count[x]; ++k) sum += tap[k] * weights[k];
    memcpy(dst + (size_t)x * 3, &sum, sizeof sum); /* the next pixel overwrites the fourth lane */
  }
}

static void add_row(float *restrict dst, const float *restrict row, float weight, size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] += weight * row[i];
}

typedef struct {
  float *dst;
  int width;
  const mkd_image *image;
  axis horizontal, vertical;
  pixel *sources; /* a source row of each thread */
  float *rows;    /* and the same at the output's width */
} resize;

static size_t resized_row(const resize *r)
{
  return (size_t)r->width * 3;
}

/* Output rows begin .. end - 1. Each source row is added to those that it belongs to, so that no
 * image between the two passes is kept. Supports move down monotonically: rows before `first` are
 * complete. */
static void resize_rows(void *context, size_t begin, size_t end, int worker)
{
  const resize *r = context;
  const axis *vertical = &r->vertical;
  size_t row_size = resized_row(r);
  pixel *source = r->sources + (size_t)worker * (size_t)r->image->width;
  float *row = r->rows + (size_t)worker * (row_size + 1);
  int first = (int)begin, last = (int)end - 1;
  memset(r->dst + begin * row_size, 0, (end - begin) * row_size * sizeof *r->dst);
  for (int y = vertical->first[first]; y < vertical->first[last] + vertical->count[last]; ++y) {
    while (vertical->first[first] + vertical->count[first] <= y) ++first;
    if (vertical->first[first] > y) continue;
    unpack_row(source, r->image, y);
    resample_row(row, source, &r->horizontal, r->width);
    clamp_grey(row, row_size); /* after either pass, as Pillow's integers are */
    for (int i = first; i <= last && vertical->first[i] <= y; ++i) {
      const float *weights = vertical->weights + (size_t)i * vertical->taps;
      add_row(r->dst + (size_t)i * row_size, row, weights[y - vertical->first[i]], row_size);
    }
  }
  clamp_grey(r->dst + begin * row_size, (end - begin) * row_size);
}

mkd_status mk_resize_rgb(float *dst, int width, int height, const mkd_image *image,
                         mk_resample filter, mk_pool *pool, mk_scratch *scratch)
{
  resize r = {.dst = dst, .width = width, .image = image};
  size_t threads = (size_t)mk_pool_threads(pool), source_pixels, row_values;
  if (!mk_mul(threads, (size_t)image->width, &source_pixels) ||
      !mk_mul(threads, resized_row(&r) + 1, &row_values))
    return mk_fail_memory(SIZE_MAX);
  MK_TRY(axis_create(&r.horizontal, image->width, width, filter, scratch));
  MK_TRY(axis_create(&r.vertical, image->height, height, filter, scratch));
  MK_TRY(mk_scratch_get(scratch, &r.sources, source_pixels, sizeof *r.sources));
  MK_TRY(mk_scratch_get(scratch, &r.rows, row_values, sizeof *r.rows));
  mk_pool_run_ranges(pool, (size_t)height, 0, resize_rows, &r);
  return MKD_OK;
}

/* Where output index i lies between two source indices. */
typedef struct {
  int low, high;
  float weight; /* of high */
} between;

static between locate(int i, int src, int dst)
{
  double position = (i + 0.5) * src / dst - 0.5;
  if (position < 0) position = 0;
  int low = (int)position;
  return (between){low, low + 1 < src ? low + 1 : low, (float)(position - low)};
}

static void stretch_row(float *dst, const float *src, const between *columns, int width)
{
  for (int x = 0; x < width; ++x) {
    between b = columns[x];
    dst[x] = src[b.low] * (1 - b.weight) + src[b.high] * b.weight;
  }
}

typedef struct {
  float *dst;
  const float *src;
  int width, height, src_width, src_height;
  const between *columns;
  float *rows; /* two of each thread */
} upsample;

static void upsample_rows(void *context, size_t begin, size_t end, int worker)
{
  const upsample *u = context;
  size_t n = (size_t)u->width;
  /* The two source rows in use, already stretched, and which ones they are. */
  float *low = u->rows + 2 * (size_t)worker * n, *high = low + n;
  int in_low = -1, in_high = -1;
  for (size_t y = begin; y < end; ++y) {
    between b = locate((int)y, u->src_height, u->height);
    if (in_low != b.low) {
      if (in_high == b.low) {
        float *kept = low;
        low = high;
        high = kept;
        in_high = -1;
      } else {
        stretch_row(low, u->src + (size_t)b.low * (size_t)u->src_width, u->columns, u->width);
      }
      in_low = b.low;
    }
    if (in_high != b.high) {
      stretch_row(high, u->src + (size_t)b.high * (size_t)u->src_width, u->columns, u->width);
      in_high = b.high;
    }
    float *restrict out = u->dst + y * n;
    for (size_t x = 0; x < n; ++x) out[x] = low[x] * (1 - b.weight) + high[x] * b.weight;
  }
}

mkd_status mk_upsample_plane(float *dst, int width, int height, const float *src, int src_width,
                             int src_height, mk_pool *pool, mk_scratch *scratch)
{
  size_t n = (size_t)width, row_values;
  between *columns;
  float *rows;
  if (!mk_mul(2 * (size_t)mk_pool_threads(pool), n, &row_values)) return mk_fail_memory(SIZE_MAX);
  MK_TRY(mk_scratch_get(scratch, &columns, n, sizeof *columns));
  MK_TRY(mk_scratch_get(scratch, &rows, row_values, sizeof *rows));
  for (int x = 0; x < width; ++x) columns[x] = locate(x, src_width, width);
  upsample u = {dst, src, width, height, src_width, src_height, columns, rows};
  mk_pool_run_ranges(pool, (size_t)height, 0, upsample_rows, &u);
  return MKD_OK;
}
