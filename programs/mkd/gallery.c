#include "gallery.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 256, RAMP = 256 };

/* ---- Choosing -------------------------------------------------------------------------------- */

/* By class and score; equal scores stay in the order of the data set. */
static int compare(const void *left, const void *right)
{
  const image_record *a = *(const image_record *const *)left;
  const image_record *b = *(const image_record *const *)right;
  if (a->anomalous != b->anomalous) return a->anomalous ? 1 : -1;
  if (a->score != b->score) return a->score < b->score ? -1 : 1;
  return a->item < b->item ? -1 : a->item > b->item;
}

static bool is_chosen(const gallery *shown, size_t count, const image_record *record)
{
  for (size_t i = 0; i < count; ++i)
    if (shown->images[i].record == record) return true;
  return false;
}

/* The detected ones among `anomalous`, kind by kind: first the middle one of each kind by score,
 * then what lies between. */
static size_t choose_hits(gallery *shown, size_t used, const image_record **anomalous, size_t count)
{
  static const size_t eighths[] = {4, 2, 6, 1, 7, 3, 5};
  size_t kinds = 0, end = used + GALLERY_GROUP_SIZE;
  for (size_t i = 0; i < count; ++i)
    kinds = anomalous[i]->kind >= kinds ? anomalous[i]->kind + 1 : kinds;
  size_t *detected = must_grow(NULL, kinds, sizeof *detected);
  for (size_t i = 0; i < kinds; ++i) detected[i] = 0;
  for (size_t i = 0; i < count; ++i) detected[anomalous[i]->kind] += anomalous[i]->alarm;
  for (size_t round = 0; round < sizeof eighths / sizeof eighths[0]; ++round)
    for (size_t kind = 0; kind < kinds && used < end; ++kind) {
      size_t rank = detected[kind] * eighths[round] / 8, i = 0;
      if (detected[kind] == 0) continue;
      while (anomalous[i]->kind != kind || !anomalous[i]->alarm || rank-- > 0) ++i;
      if (!is_chosen(shown, used, anomalous[i])) shown->images[used++].record = anomalous[i];
    }
  free(detected);
  return used;
}

void gallery_choose(gallery *shown, const image_record *records, size_t count)
{
  const image_record **sorted = must_grow(NULL, count, sizeof *sorted);
  size_t normal = 0, used = 0;
  for (size_t i = 0; i < count; ++i) {
    sorted[i] = &records[i];
    normal += !records[i].anomalous;
  }
  qsort(sorted, count, sizeof *sorted, compare);
  *shown = (gallery){0};
  for (size_t i = 0; i < GALLERY_GROUP_SIZE && normal + i < count; ++i)
    shown->images[used++].record = sorted[normal + i];
  shown->starts[GALLERY_HIGHEST_NORMAL] = used;
  for (size_t i = 0; i < GALLERY_GROUP_SIZE && i < normal; ++i)
    shown->images[used++].record = sorted[normal - 1 - i];
  shown->starts[GALLERY_HITS] = used;
  shown->starts[GALLERY_GROUPS] = choose_hits(shown, used, sorted + normal, count - normal);
  free(sorted);
}

/* ---- Drawing --------------------------------------------------------------------------------- */

typedef struct {
  gallery *shown;
  const mkd_dataset *dataset;
  size_t next;
} drawing;

static bool next(void *context, scan_job *job)
{
  drawing *d = context;
  if (d->next == d->shown->starts[GALLERY_GROUPS]) return false;
  job->index = d->next++;
  mkd_dataset_item item = mkd_dataset_get(d->dataset, d->shown->images[job->index].record->item);
  job->path = text_format("%s", item.path);
  if (item.mask) job->mask = text_format("%s", item.mask);
  return true;
}

static mkd_status draw(gallery_picture *picture, const mkd_image *image, const mkd_map *map,
                       const mkd_overlay_options *options)
{
  return mkd_thumbnail(&picture->jpeg, &picture->bytes, SIDE, image, map, options);
}

static mkd_status draw_all(gallery_picture views[GALLERY_VIEWS], const scan_outcome *outcome)
{
  const mkd_map *map = &outcome->result->map;
  mkd_status status = draw(&views[GALLERY_IMAGE], outcome->image, NULL, NULL);
  if (status == MKD_OK && outcome->mask)
    status = draw(&views[GALLERY_TRUTH], outcome->mask, NULL, NULL);
  if (status != MKD_OK || !map->data) return status;
  mkd_overlay_options over = pictures_scale(outcome->result), alone = over;
  alone.threshold = NAN;
  status = draw(&views[GALLERY_MAP], NULL, map, &alone);
  if (status == MKD_OK) status = draw(&views[GALLERY_OVERLAY], outcome->image, map, &over);
  return status;
}

static mkd_status deliver(void *context, const scan_job *job, const scan_outcome *outcome)
{
  drawing *d = context;
  gallery_image *image = &d->shown->images[job->index];
  if (!outcome->result) {
    image->error = text_format("%s", outcome->error);
    ++d->shown->failed;
    complain("eval", "not shown in the report: %s", outcome->error);
    return MKD_OK;
  }
  if (outcome->result->map.data && outcome->result->map_calibrated)
    d->shown->scale = pictures_scale(outcome->result);
  return draw_all(image->views, outcome);
}

static mkd_status draw_ramp(gallery *shown)
{
  float values[4][RAMP];
  const mkd_map map = {&values[0][0], RAMP, 4};
  mkd_overlay_options options = {.size = sizeof options, .high = RAMP - 1, .threshold = NAN};
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < RAMP; ++x) values[y][x] = (float)x;
  return mkd_thumbnail(&shown->ramp.jpeg, &shown->ramp.bytes, RAMP, NULL, &map, &options);
}

mkd_status gallery_draw(gallery *shown, const mkd_dataset *dataset, const scan_plan *scan)
{
  drawing d = {.shown = shown, .dataset = dataset};
  scan_plan again = {.detector = scan->detector,
                     .limits = scan->limits,
                     .session = scan->session,
                     .count = shown->starts[GALLERY_GROUPS],
                     .next = next,
                     .deliver = deliver,
                     .context = &d};
  mkd_status status = scan_run(&again);
  if (status == MKD_OK && shown->scale.size > 0) status = draw_ramp(shown);
  return status;
}

void gallery_free(gallery *shown)
{
  for (size_t i = 0; i < shown->starts[GALLERY_GROUPS]; ++i) {
    for (int view = 0; view < GALLERY_VIEWS; ++view)
      mkd_bytes_free(shown->images[i].views[view].jpeg);
    free(shown->images[i].error);
  }
  mkd_bytes_free(shown->ramp.jpeg);
}
