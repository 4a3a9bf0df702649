/* Scoring of single images: mkd_session of the public header. */
#include "core/memory.h"
#include "core/threads.h"
#include "detect/conformal.h"
#include "detect/inspector.h"
#include "detect/localize.h"

#include <math.h>
#include <time.h>

struct mkd_session {
  const mkd_detector *detector;
  mk_pool *pool; /* NULL for one thread */
  mk_inspector *inspector;
  mk_localizer *localizer;
  mkd_localize localize;
  mkd_threshold threshold;
  uint16_t *input;
  float *map;   /* at the input's size */
  float *grown; /* at the image's size */
  size_t grown_size;
  mk_scratch scratch;
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
  MK_TRY(mk_inspector_create(&s->inspector, d, s->pool, mk_localize_inspector(s->localize)));
  MK_TRY(mk_localizer_create(&s->localizer, d, s->localize));
  MK_TRY(mk_alloc(&s->input, mk_input_size(&d->input), sizeof *s->input));
  return mk_alloc(&s->map, (size_t)d->input.width * (size_t)d->input.height, sizeof *s->map);
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
  mk_inspector_destroy(s->inspector);
  mk_localizer_destroy(s->localizer);
  mk_scratch_free(&s->scratch);
  mk_pool_destroy(s->pool);
  mk_free(s->input);
  mk_free(s->map);
  mk_free(s->grown);
  mk_free(s);
}

/* The image's size may change from call to call; memory only grows. */
static mkd_status make_map(mkd_session *s, const mkd_image *image, mkd_result *result)
{
  const mkd_detector *d = s->detector;
  size_t pixels = (size_t)image->width * (size_t)image->height;
  if (pixels > s->grown_size) {
    mk_free(s->grown);
    s->grown_size = 0;
    MK_TRY(mk_alloc(&s->grown, pixels, sizeof *s->grown));
    s->grown_size = pixels;
  }
  MK_TRY(mk_localize(s->map, s->localizer, s->inspector, s->localize, &d->calibration));
  MK_TRY(
      mk_input_map_to_image(s->grown, image->width, image->height, s->map, &d->input, &s->scratch));
  result->map = (mkd_map){s->grown, image->width, image->height};
  result->map_max = -INFINITY;
  size_t count = (size_t)d->input.width * (size_t)d->input.height;
  for (size_t i = 0; i < count; ++i) {
    if ((double)s->map[i] > result->map_max) result->map_max = (double)s->map[i];
  }
  return MKD_OK;
}

mkd_status mkd_session_score(mkd_session *s, const mkd_image *image, mkd_result *result)
{
  const mkd_detector *d = s->detector;
  double start = milliseconds();
  mk_scratch_reset(&s->scratch);
  MK_TRY(mk_input_read(s->input, &d->input, image, &s->scratch));
  mk_input_normalise(mk_inspector_input(s->inspector), s->input, &d->input);
  mk_inspect(s->inspector);
  mkd_result r = {.score = mk_inspector_score(s->inspector, &d->calibration),
                  .threshold = s->threshold,
                  .map_calibrated =
                      s->localize != MKD_LOCALIZE_NONE && s->localize == d->calibration.localize,
                  .map_max = NAN,
                  .map_mean_normal = d->calibration.map_mean};
  if (!isfinite(r.score))
    return mk_fail(MKD_ERROR_FILE, "the score is not finite: the model's weights are damaged");
  r.p_value = mk_conformal_p_value(d->calibration.scores, d->calibration.held_out, r.score);
  r.anomalous = r.score > s->threshold.score;
  if (s->localize != MKD_LOCALIZE_NONE) MK_TRY(make_map(s, image, &r));
  r.ms = milliseconds() - start;
  *result = r;
  return MKD_OK;
}
