/* Scoring of single images: mkd_session of the public header. */
#include "core/memory.h"
#include "core/threads.h"
#include "detect/conformal.h"
#include "detect/examiner.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* What one thread does with a tile. */
typedef struct {
  mk_examiner *examiner;
  float *map; /* at the tile's size */
  size_t map_size;
  mkd_status status;
  char error[2048]; /* of `status` */
} seat;

struct mkd_session {
  const mkd_detector *detector;
  mk_pool *pool; /* NULL for one thread */
  seat *seats;   /* one a thread if there may be tiles, else one */
  int seat_count;
  mkd_localize localize;
  bool plain_map; /* not smoothed: nothing that the calibration's threshold is for */
  mkd_threshold threshold;
  float *map; /* at the image's size */
  size_t map_size;
  mk_scratch scratch;

  /* The image in work. */
  const mkd_image *image;
  mk_tile_grid grid;
  size_t first, round; /* tiles that are looked at now */
};

static double milliseconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

mkd_status mkd_detector_threshold(const mkd_detector *detector, double false_alarm,
                                  mkd_threshold *threshold)
{
  const mk_calibration *c = &detector->calibration;
  mkd_threshold found = {.false_alarm = false_alarm, .map = NAN, .held_out = c->held_out};
  bool map_extrapolated;
  MK_TRY(mk_conformal_threshold(&found.score, &found.extrapolated, c->scores, c->held_out,
                                false_alarm));
  if (c->localize != MKD_LOCALIZE_NONE)
    MK_TRY(mk_conformal_threshold(&found.map, &map_extrapolated, c->map_maxima, c->held_out,
                                  false_alarm));
  *threshold = found;
  return MKD_OK;
}

mkd_localize mkd_detector_localize(const mkd_detector *detector)
{
  return detector->calibration.localize;
}

mkd_session_options mkd_session_options_default(void)
{
  return (mkd_session_options){.size = sizeof(mkd_session_options), .threads = 1};
}

static mkd_status create(mkd_session *s, const mkd_session_options *options)
{
  const mkd_detector *d = s->detector;
  s->localize = options->localize ? options->localize : d->calibration.localize;
  if (s->localize < MKD_LOCALIZE_NONE || s->localize > MKD_LOCALIZE_GBP)
    return mk_fail(MKD_ERROR_ARGUMENT, "localize: %d is no method of localization",
                   (int)options->localize);
  double false_alarm =
      options->false_alarm != 0 ? options->false_alarm : d->calibration.false_alarm;
  MK_TRY(mkd_detector_threshold(d, false_alarm, &s->threshold));
  if (options->threads != 1) MK_TRY(mk_pool_create(&s->pool, options->threads));
  s->plain_map = options->plain_map;
  s->seat_count = mk_input_is_tiled(&d->input) ? mk_pool_threads(s->pool) : 1;
  MK_TRY(mk_alloc(&s->seats, (size_t)s->seat_count, sizeof *s->seats));
  for (int i = 0; i < s->seat_count; ++i) {
    MK_TRY(mk_examiner_create(&s->seats[i].examiner, d, s->localize, i == 0 ? s->pool : NULL));
    s->seats[i].examiner->localizer->plain = s->plain_map;
  }
  return MKD_OK;
}

mkd_status mkd_session_create(mkd_session **out, const mkd_detector *detector,
                              const mkd_session_options *options)
{
  mkd_session_options defaults = mkd_session_options_default();
  if (!options) options = &defaults;
  if (options->size != sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "mkd_session_options.size is %zu, not %zu: start from "
                   "mkd_session_options_default()",
                   options->size, sizeof *options);
  mkd_session *s;
  MK_TRY(mk_alloc(&s, 1, sizeof *s));
  s->detector = detector;
  mkd_status status = create(s, options);
  if (status != MKD_OK) {
    mkd_session_destroy(s);
    return status;
  }
  *out = s;
  return MKD_OK;
}

void mkd_session_destroy(mkd_session *s)
{
  if (!s) return;
  for (int i = 0; s->seats && i < s->seat_count; ++i) {
    mk_examiner_destroy(s->seats[i].examiner);
    mk_free(s->seats[i].map);
  }
  mk_free(s->seats);
  mk_scratch_free(&s->scratch);
  mk_pool_destroy(s->pool);
  mk_free(s->map);
  mk_free(s);
}

/* Images may change their size from call to call; memory only grows. */
static mkd_status reserve(float **map, size_t *size, int width, int height)
{
  size_t pixels = (size_t)width * (size_t)height;
  if (pixels <= *size) return MKD_OK;
  mk_free(*map);
  *size = 0;
  MK_TRY(mk_alloc(map, pixels, sizeof **map));
  *size = pixels;
  return MKD_OK;
}

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* Tile `first + index` on seat `index`. A tile alone has all threads for its networks. */
static void examine_tile(void *context, size_t index, int worker)
{
  (void)worker;
  mkd_session *s = context;
  seat *at = &s->seats[index];
  mkd_image tile = mk_tile_view(s->image, &s->grid, s->first + index);
  at->status = MKD_OK;
  if (s->localize != MKD_LOCALIZE_NONE)
    at->status = reserve(&at->map, &at->map_size, tile.width, tile.height);
  if (at->status == MKD_OK)
    at->status = mk_examine(at->examiner, &tile, s->round == 1 ? s->pool : NULL, at->map);
  if (at->status != MKD_OK) {
    at->error[0] = 0;
    strncat(at->error, mkd_last_error(), sizeof at->error - 1);
  }
}

typedef struct {
  mk_score_parts parts;
  double map_max;
} findings;

static void add_findings(findings *f, const mk_examiner *e)
{
  f->parts = mk_larger_parts(f->parts, e->parts);
  if (e->map_max > f->map_max) f->map_max = e->map_max;
}

/* In rounds of as many tiles as there are seats. What they give is put together in the order of the
 * tiles, so that it does not depend on the number of seats. */
static mkd_status examine_tiles(mkd_session *s, findings *f)
{
  mk_blend blend;
  size_t count = s->grid.count;
  mk_scratch_reset(&s->scratch);
  MK_TRY(mk_blend_create(&blend, &s->grid, &s->scratch));
  for (s->first = 0; s->first < count; s->first += s->round) {
    size_t left = count - s->first, seats = (size_t)s->seat_count;
    s->round = left < seats ? left : seats;
    mk_pool_run(s->pool, s->round, examine_tile, s);
    for (size_t i = 0; i < s->round; ++i) {
      const seat *at = &s->seats[i];
      if (at->status != MKD_OK) return mk_fail(at->status, "%s", at->error);
      add_findings(f, at->examiner);
      if (s->localize != MKD_LOCALIZE_NONE) mk_blend_tile(&blend, s->map, s->first + i, at->map);
    }
  }
  return MKD_OK;
}

static mkd_status examine(mkd_session *s, const mkd_image *image, findings *f)
{
  s->image = image;
  MK_TRY(mk_input_tiles(&s->grid, &s->detector->input, image));
  if (s->localize != MKD_LOCALIZE_NONE)
    MK_TRY(reserve(&s->map, &s->map_size, image->width, image->height));
  if (s->grid.count > 1) return examine_tiles(s, f);
  MK_TRY(mk_examine(s->seats[0].examiner, image, s->pool, s->map));
  add_findings(f, s->seats[0].examiner);
  return MKD_OK;
}

/* ---- The whole ------------------------------------------------------------------------------- */

mkd_status mkd_session_score(mkd_session *s, const mkd_image *image, mkd_result *result)
{
  const mk_calibration *c = &s->detector->calibration;
  double start = milliseconds();
  bool maps = s->localize != MKD_LOCALIZE_NONE;
  findings found = {{-INFINITY, -INFINITY, -INFINITY}, -INFINITY};
  MK_TRY(examine(s, image, &found));
  mkd_result r = {.score = mk_score_of(found.parts, s->detector, c),
                  .threshold = s->threshold,
                  .map_calibrated = maps && s->localize == c->localize && !s->plain_map,
                  .map_max = maps ? found.map_max : NAN,
                  .map_mean_normal = c->map_mean};
  r.p_value = mk_conformal_p_value(c->scores, c->held_out, r.score);
  r.anomalous = r.score > s->threshold.score;
  if (maps) r.map = (mkd_map){s->map, image->width, image->height};
  r.ms = milliseconds() - start;
  *result = r;
  return MKD_OK;
}
