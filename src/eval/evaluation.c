/* mkd_evaluation of the public header: collects scores and pixels of a labelled test set. */
#include "core/memory.h"
#include "eval/metrics.h"
#include "image/pixels.h"
#include "image/resample.h"

#include <math.h>
#include <string.h>

/* From this many images on, areas go without an interval: it is narrow then. */
enum { INTERVAL_IMAGES = 1000 };

typedef struct {
  char *kind;
  bool anomalous; /* by label */
  bool alarm;     /* by the model's threshold */
  bool has_map, has_pixels;
  double score;
  mk_pixels pixels;
} record;

struct mkd_evaluation {
  record *records;
  size_t count, capacity;
  uint64_t pixels; /* of all records */
  int resolution;  /* 0 = that of each mask */
};

mkd_status mkd_evaluation_create(mkd_evaluation **evaluation, int resolution)
{
  const int most = 1 << 14;
  if (resolution < 0 || resolution > most)
    return mk_fail(MKD_ERROR_ARGUMENT, "evaluation: the resolution %d is not in 0 .. %d",
                   resolution, most);
  MK_TRY(mk_alloc(evaluation, 1, sizeof **evaluation));
  (*evaluation)->resolution = resolution;
  return MKD_OK;
}

void mkd_evaluation_destroy(mkd_evaluation *evaluation)
{
  if (!evaluation) return;
  for (size_t i = 0; i < evaluation->count; ++i) {
    mk_free(evaluation->records[i].kind);
    mk_pixels_free(&evaluation->records[i].pixels);
  }
  mk_free(evaluation->records);
  mk_free(evaluation);
}

/* ---- Adding a result --------------------------------------------------------------------------
 */

static bool above_half(const mkd_image *mask, int x, int y)
{
  int channels = mk_format_channels(mask->format);
  const uint8_t *row = (const uint8_t *)mask->data + (size_t)y * mask->stride;
  for (int c = 0; c < channels; ++c) {
    size_t at = (size_t)x * (size_t)channels + (size_t)c;
    if (mk_format_bytes(mask->format) == 1 ? row[at] > 127
                                           : ((const uint16_t *)(const void *)row)[at] > 127 * 257)
      return true;
  }
  return false;
}

typedef struct {
  int width, height;
} extent;

/* 1 where any channel of the mask is above half, else 0, at another size by nearest neighbour;
 * `*any` tells whether the mask itself has such a pixel. */
static mkd_status binarise(uint8_t **binary, bool *any, const mkd_image *mask, extent size)
{
  MK_TRY(mk_alloc(binary, (size_t)size.width * (size_t)size.height, 1));
  *any = false;
  for (int y = 0; y < mask->height && !*any; ++y)
    for (int x = 0; x < mask->width && !*any; ++x) *any = above_half(mask, x, y);
  uint8_t *pixel = *binary;
  for (int y = 0; *any && y < size.height; ++y) {
    int mask_y = (int)((2 * (int64_t)y + 1) * mask->height / (2 * (int64_t)size.height));
    for (int x = 0; x < size.width; ++x)
      *pixel++ = above_half(
          mask, (int)((2 * (int64_t)x + 1) * mask->width / (2 * (int64_t)size.width)), mask_y);
  }
  return MKD_OK;
}

/* Adds the map, brought to `size`, with its binary mask or NULL. */
static mkd_status add_pixels(record *r, const mkd_map *map, const uint8_t *binary, extent size)
{
  float *fitted = NULL;
  if (map->width != size.width || map->height != size.height) {
    mk_scratch scratch = {0};
    MK_TRY(mk_alloc(&fitted, (size_t)size.width * (size_t)size.height, sizeof *fitted));
    mkd_status status = mk_upsample_plane(fitted, size.width, size.height, map->data, map->width,
                                          map->height, NULL, &scratch);
    mk_scratch_free(&scratch);
    if (status != MKD_OK) {
      mk_free(fitted);
      return status;
    }
  }
  mkd_status status =
      mk_pixels_create(&r->pixels, fitted ? fitted : map->data, binary, size.width, size.height);
  r->has_pixels = status == MKD_OK;
  mk_free(fitted);
  return status;
}

static mkd_status add_masked(record *r, const mkd_map *map, const mkd_image *mask, extent size)
{
  uint8_t *binary = NULL;
  bool any = false;
  mkd_status status = binarise(&binary, &any, mask, size);
  if (status == MKD_OK && any != r->anomalous)
    status = mk_fail(MKD_ERROR_DATA, any ? "is normal, but its mask marks a defect"
                                         : "is anomalous, but its mask has no pixel above 127");
  if (status == MKD_OK) status = add_pixels(r, map, any ? binary : NULL, size);
  mk_free(binary);
  return status;
}

static mkd_status check_size(const mkd_evaluation *evaluation, int width, int height)
{
  uint64_t pixels = (uint64_t)width * (uint64_t)height; /* of two ints: fits */
  if (pixels > UINT32_MAX - evaluation->pixels)
    return mk_fail(MKD_ERROR_DATA,
                   "%dx%d pixels are too many: an evaluation holds at most %lu in "
                   "all",
                   width, height, (unsigned long)UINT32_MAX);
  return MKD_OK;
}

/* A mask may be larger or smaller than its image, but one of another shape belongs to another
 * image, or to one that lies on its side. */
static mkd_status check_shape(const mkd_map *map, const mkd_image *mask)
{
  MK_TRY(mk_image_check(mask));
  int64_t across = (int64_t)mask->width * map->height, down = (int64_t)mask->height * map->width;
  int64_t rounding = map->width > map->height ? map->width : map->height;
  if (across - down > rounding || down - across > rounding)
    return mk_fail(MKD_ERROR_DATA, "has %dx%d pixels, but its mask is of another shape: %dx%d",
                   map->width, map->height, mask->width, mask->height);
  return MKD_OK;
}

static mkd_status add_map(mkd_evaluation *evaluation, record *r, const mkd_map *map,
                          const mkd_image *mask)
{
  if (map->width < 1 || map->height < 1)
    return mk_fail(MKD_ERROR_ARGUMENT, "has a map of %dx%d pixels", map->width, map->height);
  if (!mask && r->anomalous) return MKD_OK; /* nobody knows where */
  if (mask) MK_TRY(check_shape(map, mask));
  extent size = {evaluation->resolution, evaluation->resolution};
  if (!evaluation->resolution)
    size = mask ? (extent){mask->width, mask->height} : (extent){map->width, map->height};
  MK_TRY(check_size(evaluation, size.width, size.height));
  return mask ? add_masked(r, map, mask, size) : add_pixels(r, map, NULL, size);
}

static mkd_status fill_record(mkd_evaluation *evaluation, record *r, const char *kind,
                              const mkd_result *result, const mkd_image *mask)
{
  if (!isfinite(r->score))
    return mk_fail(MKD_ERROR_DATA, "has the score %g; scores are finite", r->score);
  if (evaluation->count > 0 && evaluation->records[0].has_map != r->has_map)
    return mk_fail(MKD_ERROR_ARGUMENT, r->has_map ? "has a map, but results before it had none"
                                                  : "has no map, but results before it had one");
  if (r->has_map) MK_TRY(add_map(evaluation, r, &result->map, mask));
  return mk_text_copy(&r->kind, kind);
}

mkd_status mkd_evaluation_add(mkd_evaluation *evaluation, const char *kind, bool anomalous,
                              const mkd_result *result, const mkd_image *mask)
{
  if (!kind) return mk_fail(MKD_ERROR_ARGUMENT, "evaluation: an image needs a kind");
  if (evaluation->count == evaluation->capacity) {
    size_t capacity = evaluation->capacity ? 2 * evaluation->capacity : 64;
    MK_TRY(mk_grow(&evaluation->records, evaluation->count, capacity, sizeof(record)));
    evaluation->capacity = capacity;
  }
  record r = {.anomalous = anomalous,
              .alarm = result->anomalous,
              .has_map = result->map.data != NULL,
              .score = result->score};
  mkd_status status = fill_record(evaluation, &r, kind, result, mask);
  if (status != MKD_OK) {
    mk_pixels_free(&r.pixels);
    return mk_fail(status, "image %zu of the evaluation (%s): %s", evaluation->count + 1, kind,
                   mkd_last_error());
  }
  evaluation->records[evaluation->count++] = r;
  evaluation->pixels += r.pixels.negatives + r.pixels.positives;
  return MKD_OK;
}

/* ---- Metrics ----------------------------------------------------------------------------------
 */

/* The records that are asked for: all normal ones and the anomalous ones of a kind. */
typedef struct {
  double *scores;
  bool *anomalous;
  const mk_pixels **pixels;
  size_t count, with_pixels;
  bool has_mask;               /* at least one anomalous image has its pixels */
  size_t images[2], alarms[2]; /* normal, anomalous */
} selection;

static void selection_free(selection *s)
{
  mk_free(s->scores);
  mk_free(s->anomalous);
  mk_free(s->pixels);
}

static mkd_status select_records(selection *s, const mkd_evaluation *evaluation, const char *kind)
{
  MK_TRY(mk_alloc(&s->scores, evaluation->count, sizeof *s->scores));
  MK_TRY(mk_alloc(&s->anomalous, evaluation->count, sizeof *s->anomalous));
  MK_TRY(mk_alloc(&s->pixels, evaluation->count, sizeof *s->pixels));
  for (size_t i = 0; i < evaluation->count; ++i) {
    const record *r = &evaluation->records[i];
    if (kind && r->anomalous && strcmp(r->kind, kind) != 0) continue;
    s->scores[s->count] = r->score;
    s->anomalous[s->count++] = r->anomalous;
    ++s->images[r->anomalous];
    s->alarms[r->anomalous] += r->alarm;
    if (!r->has_pixels) continue;
    s->pixels[s->with_pixels++] = &r->pixels;
    s->has_mask |= r->anomalous;
  }
  return MKD_OK;
}

static mkd_interval rate_of(size_t hits, size_t count)
{
  mk_bounds bounds = mk_rate_interval(hits, count);
  return (mkd_interval){(double)hits / (double)count, bounds.low, bounds.high};
}

static mkd_status measure(mkd_metrics *metrics, const selection *s)
{
  mk_image_metrics image;
  mk_pixel_metrics pixel = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  mk_bounds auroc = {NAN, NAN}, precision = {NAN, NAN};
  MK_TRY(mk_image_metrics_of(&image, s->scores, s->anomalous, s->count));
  if (s->count < INTERVAL_IMAGES)
    MK_TRY(mk_image_intervals(&auroc, &precision, s->scores, s->anomalous, s->count));
  if (s->has_mask) MK_TRY(mk_pixel_metrics_of(&pixel, s->pixels, s->with_pixels));
  *metrics = (mkd_metrics){
      .normal = s->images[0],
      .anomalous = s->images[1],
      .image_auroc = {image.auroc, auroc.low, auroc.high},
      .image_ap = {image.average_precision, precision.low, precision.high},
      .image_f1_max = image.f1_max,
      .image_f1_threshold = image.f1_threshold,
      .tpr_at_fpr_1 = image.tpr_at_fpr_1,
      .tpr_at_fpr_5 = image.tpr_at_fpr_5,
      .pixel_auroc_all = pixel.auroc,
      .pixel_auroc_anomalous = pixel.auroc_anomalous,
      .aupro_30 = pixel.aupro_30,
      .aupro_5 = pixel.aupro_5,
      .pixel_f1_max = pixel.f1_max,
      .pixel_f1_threshold = pixel.f1_threshold,
      .pixel_ap = pixel.average_precision,
      .false_alarm_rate = rate_of(s->alarms[0], s->images[0]),
      .detection_rate = rate_of(s->alarms[1], s->images[1]),
  };
  return MKD_OK;
}

mkd_status mkd_evaluation_metrics(const mkd_evaluation *evaluation, const char *kind,
                                  mkd_metrics *metrics)
{
  selection s = {0};
  mkd_status status = select_records(&s, evaluation, kind);
  if (status == MKD_OK) status = measure(metrics, &s);
  selection_free(&s);
  if (status != MKD_OK && kind) return mk_fail_in(status, kind);
  return status;
}
