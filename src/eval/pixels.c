#include "core/memory.h"
#include "eval/curve.h"
#include "eval/metrics.h"
#include "eval/sort.h"

#include <math.h>
#include <string.h>

/* Keys are ordered as the floats they stand for; -0 and 0 are one. */
static uint32_t key_from_float(float value)
{
  uint32_t bits;
  value += 0.0f;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static float float_from_key(uint32_t key)
{
  uint32_t bits = key >> 31 ? key & 0x7FFFFFFFu : ~key;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

void mk_pixels_free(mk_pixels *pixels)
{
  mk_free(pixels->negative);
  mk_free(pixels->positive);
  mk_free(pixels->component_sizes);
  *pixels = (mk_pixels){0};
}

static mkd_status check_finite(const float *map, size_t count, size_t width)
{
  for (size_t i = 0; i < count; ++i)
    if (!isfinite(map[i]))
      return mk_fail(MKD_ERROR_DATA, "the map is %g at column %zu, row %zu; scores are finite",
                     (double)map[i], i % width, i / width);
  return MKD_OK;
}

static mkd_status take_components(mk_pixels *pixels, uint32_t **labels, const uint8_t *mask,
                                  int width, int height)
{
  size_t count = (size_t)width * (size_t)height;
  MK_TRY(mk_alloc(labels, count, sizeof **labels));
  pixels->components = mk_label_components(*labels, mask, width, height);
  MK_TRY(mk_alloc(&pixels->component_sizes, pixels->components, sizeof(uint32_t)));
  for (size_t i = 0; i < count; ++i) {
    if ((*labels)[i] == 0) continue;
    ++pixels->component_sizes[(*labels)[i] - 1];
    ++pixels->positives;
  }
  return MKD_OK;
}

mkd_status mk_pixels_create(mk_pixels *out, const float *map, const uint8_t *mask, int width,
                            int height)
{
  size_t count = (size_t)width * (size_t)height;
  mk_pixels pixels = {.anomalous = mask != NULL};
  uint32_t *labels = NULL;
  MK_TRY(check_finite(map, count, (size_t)width));
  mkd_status status = MKD_OK;
  if (mask) status = take_components(&pixels, &labels, mask, width, height);
  if (status == MKD_OK) status = mk_alloc(&pixels.positive, pixels.positives, sizeof(uint64_t));
  if (status == MKD_OK)
    status = mk_alloc(&pixels.negative, count - pixels.positives, sizeof(uint32_t));
  if (status == MKD_OK) {
    size_t positives = 0;
    for (size_t i = 0; i < count; ++i) {
      uint32_t key = key_from_float(map[i]);
      if (labels && labels[i])
        pixels.positive[positives++] = (uint64_t)key << 32 | (labels[i] - 1);
      else
        pixels.negative[pixels.negatives++] = key;
    }
  }
  mk_free(labels);
  if (status != MKD_OK) {
    mk_pixels_free(&pixels);
    return status;
  }
  *out = pixels;
  return MKD_OK;
}

/* ---- Pixels of several images, sorted ---------------------------------------------------------
 */

/* Negatives of one sort of images, in ascending order, and how many of them are not above the
 * score that the walk has reached. */
typedef struct {
  uint32_t *keys;
  size_t count, left;
} negative_set;

typedef struct {
  negative_set normal, anomalous; /* by image */
  uint64_t *positive;             /* ascending */
  size_t positives;
  double *weights; /* 1 / size of each component */
  size_t components;
} population;

static void population_free(population *p)
{
  mk_free(p->normal.keys);
  mk_free(p->anomalous.keys);
  mk_free(p->positive);
  mk_free(p->weights);
}

static mkd_status gather_negatives(negative_set *set, const mk_pixels *const *images, size_t count,
                                   bool anomalous)
{
  for (size_t i = 0; i < count; ++i)
    if (images[i]->anomalous == anomalous) set->count += images[i]->negatives;
  set->left = set->count;
  uint32_t *scratch;
  MK_TRY(mk_alloc(&set->keys, set->count, sizeof *set->keys));
  size_t filled = 0;
  for (size_t i = 0; i < count; ++i) {
    if (images[i]->anomalous != anomalous) continue;
    memcpy(set->keys + filled, images[i]->negative, images[i]->negatives * sizeof *set->keys);
    filled += images[i]->negatives;
  }
  MK_TRY(mk_alloc(&scratch, set->count, sizeof *scratch));
  uint32_t *sorted = mk_sort_u32(set->keys, scratch, set->count);
  mk_free(sorted == scratch ? set->keys : scratch);
  set->keys = sorted;
  return MKD_OK;
}

static mkd_status gather_positives(population *p, const mk_pixels *const *images, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    p->positives += images[i]->positives;
    p->components += images[i]->components;
  }
  uint64_t *scratch;
  MK_TRY(mk_alloc(&p->weights, p->components, sizeof *p->weights));
  MK_TRY(mk_alloc(&p->positive, p->positives, sizeof *p->positive));
  size_t filled = 0, base = 0;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < images[i]->positives; ++j)
      p->positive[filled++] = images[i]->positive[j] + base;
    for (size_t j = 0; j < images[i]->components; ++j)
      p->weights[base++] = 1 / (double)images[i]->component_sizes[j];
  }
  MK_TRY(mk_alloc(&scratch, p->positives, sizeof *scratch));
  uint64_t *sorted = mk_sort_u64_high(p->positive, scratch, p->positives);
  mk_free(sorted == scratch ? p->positive : scratch);
  p->positive = sorted;
  return MKD_OK;
}

/* ---- One walk for all metrics -----------------------------------------------------------------
 */

/* Moves on to a lower score: how many negatives lie above it, and how many share it. */
static void advance(negative_set *set, uint32_t key, size_t *above, size_t *tied)
{
  size_t left = set->left;
  while (left > 0 && set->keys[left - 1] > key) --left;
  *above = set->count - left;
  set->left = left;
  while (left > 0 && set->keys[left - 1] == key) --left;
  *tied = set->left - left;
  set->left = left;
}

/* Area that pixels add to the overlap curve up to FPR = limit, when they are found while the FPR
 * rises from `from` to `to`: none before, all after, linear between. Summed over all pixels this is
 * the trapezoid rule, cut at exactly the limit. */
static double overlap_area(double from, double to, double limit)
{
  if (to <= limit) return limit - (from + to) / 2;
  if (from < limit) return (limit - from) * (limit - from) / (2 * (to - from));
  return 0;
}

static mk_pixel_metrics walk_down(population *p)
{
  mk_curve all = {.positives = p->positives, .negatives = p->normal.count + p->anomalous.count};
  mk_curve within = {.positives = p->positives, .negatives = p->anomalous.count};
  double negatives = (double)all.negatives, area_30 = 0, area_5 = 0;
  for (size_t i = p->positives, start; i > 0; i = start) {
    uint32_t key = (uint32_t)(p->positive[i - 1] >> 32);
    double score = float_from_key(key), weight = 0;
    for (start = i; start > 0 && p->positive[start - 1] >> 32 == key; --start)
      weight += p->weights[p->positive[start - 1] & UINT32_MAX];
    size_t above, tied, above_normal, tied_normal;
    advance(&p->anomalous, key, &above, &tied);
    mk_curve_step(&within, score, i - start, above, tied);
    advance(&p->normal, key, &above_normal, &tied_normal);
    above += above_normal;
    tied += tied_normal;
    mk_curve_step(&all, score, i - start, above, tied);
    double from = (double)above / negatives, to = (double)(above + tied) / negatives;
    area_30 += weight * overlap_area(from, to, 0.3);
    area_5 += weight * overlap_area(from, to, 0.05);
  }
  double components = (double)p->components;
  return (mk_pixel_metrics){.auroc = mk_curve_auroc(&all),
                            .auroc_anomalous = mk_curve_auroc(&within),
                            .average_precision = all.average_precision,
                            .f1_max = all.f1_max,
                            .f1_threshold = all.f1_threshold,
                            .aupro_30 = area_30 / components / 0.3,
                            .aupro_5 = area_5 / components / 0.05};
}

mkd_status mk_pixel_metrics_of(mk_pixel_metrics *metrics, const mk_pixels *const *images,
                               size_t count)
{
  population p = {0};
  mkd_status status = gather_negatives(&p.normal, images, count, false);
  if (status == MKD_OK) status = gather_negatives(&p.anomalous, images, count, true);
  if (status == MKD_OK) status = gather_positives(&p, images, count);
  size_t negatives = p.normal.count + p.anomalous.count;
  if (status == MKD_OK && (p.positives == 0 || negatives == 0))
    status = mk_fail(MKD_ERROR_DATA, "%zu normal and %zu anomalous pixels; metrics need both kinds",
                     negatives, p.positives);
  if (status == MKD_OK) *metrics = walk_down(&p);
  population_free(&p);
  return status;
}
