#include "detect/calibrate.h"

#include "core/memory.h"
#include "detect/conformal.h"
#include "detect/inspector.h"
#include "detect/localize.h"

#include <math.h>
#include <string.h>

/* What one tile leaves behind. */
typedef struct {
  float *squares[MK_MAX_POINTS], *cosines;
} trace;

typedef struct {
  mkd_detector *detector;
  const mk_calibrate_job *job;
  mk_inspector *inspector;
  mk_localizer *localizer;
  mk_calibration c;
  size_t *first; /* [images + 1]: trace of an image's first tile */
  trace *traces; /* of all tiles */
  size_t trace_count, trace_room;
  float *map;
  bool gradients;
  size_t done, passes;
} calibrator;

static size_t positions(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width;
}

static mkd_status report(calibrator *k)
{
  mkd_progress progress = {.stage = MKD_STAGE_CALIBRATE,
                           .done = ++k->done,
                           .total = k->passes * k->job->images.count,
                           .loss = NAN,
                           .held_out_loss = NAN,
                           .seconds_left = NAN};
  if (k->job->progress && !k->job->progress(k->job->progress_context, &progress))
    return mk_fail(MKD_CANCELLED, "stopped on request");
  return MKD_OK;
}

/* Work on one tile of an image that is open; `at` is the place of its trace. */
typedef mkd_status tile_work(calibrator *k, size_t image, size_t tile, size_t at);

static mkd_status work_on_tiles(calibrator *k, size_t image, size_t tiles, tile_work *work)
{
  const mk_normal_images *images = &k->job->images;
  for (size_t tile = 0; tile < tiles; ++tile) {
    MK_TRY(images->read(images->context, tile, mk_inspector_input(k->inspector)));
    mk_inspect(k->inspector);
    MK_TRY(work(k, image, tile, k->first[image] + tile));
  }
  return MKD_OK;
}

/* Makes room for the traces of the next image, or finds that it is as it was. */
static mkd_status expect_tiles(calibrator *k, size_t image, size_t tiles)
{
  size_t end = k->first[image] + tiles;
  if (k->done < k->job->images.count) {
    if (end > k->trace_room) {
      MK_TRY(mk_grow(&k->traces, k->trace_count, 2 * end, sizeof *k->traces));
      k->trace_room = 2 * end;
    }
    k->first[image + 1] = k->trace_count = end;
  }
  if (tiles < 1 || end != k->first[image + 1])
    return mk_fail(MKD_ERROR_DATA, "image %zu has another size when it is read again", image + 1);
  return MKD_OK;
}

static mkd_status inspect_images(calibrator *k, tile_work *work)
{
  const mk_normal_images *images = &k->job->images;
  for (size_t i = 0; i < images->count; ++i) {
    size_t tiles;
    MK_TRY(images->open(images->context, i, &tiles));
    mkd_status status = expect_tiles(k, i, tiles);
    if (status == MKD_OK) status = work_on_tiles(k, i, tiles, work);
    if (images->close) images->close(images->context);
    MK_TRY(status);
    MK_TRY(report(k));
  }
  return MKD_OK;
}

/* ---- Differences at every location ----------------------------------------------------------- */

static mkd_status copy_floats(float **copy, const float *src, size_t count)
{
  MK_TRY(mk_alloc(copy, count, sizeof **copy));
  memcpy(*copy, src, count * sizeof **copy);
  return MKD_OK;
}

static mkd_status take_trace(calibrator *k, size_t image, size_t tile, size_t at)
{
  const mk_inspector *in = k->inspector;
  trace *t = &k->traces[at];
  for (int p = 0; p < k->detector->point_count; ++p)
    MK_TRY(copy_floats(&t->squares[p], in->squares[p], positions(in->shapes[p])));
  MK_TRY(copy_floats(&t->cosines, in->cosines, positions(in->shapes[in->deepest])));
  if (k->detector->recipe.score == MK_SCORE_TOTAL) {
    double total = mk_inspector_parts(in, &k->c).total;
    if (tile == 0 || !(total <= k->c.scores[image])) k->c.scores[image] = total;
  }
  return MKD_OK;
}

/* A deviation of nothing must not divide by zero. */
static double usable(double deviation, double mean)
{
  double least = 1e-6 * fabs(mean) + 1e-12;
  return deviation > least ? deviation : least;
}

/* Mean and deviation of a plane over all tiles: `point` < 0 means the cosines. */
static void plane_statistics(const calibrator *k, int point, double *mean, double *deviation)
{
  const mk_inspector *in = k->inspector;
  size_t size = positions(in->shapes[point < 0 ? in->deepest : point]);
  double sum = 0, squares = 0, count = (double)size * (double)k->trace_count;
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < k->trace_count; ++i) {
      const float *plane = point < 0 ? k->traces[i].cosines : k->traces[i].squares[point];
      for (size_t j = 0; j < size; ++j) {
        double value = (double)plane[j];
        if (pass == 0)
          sum += value;
        else
          squares += (value - *mean) * (value - *mean);
      }
    }
    if (pass == 0) *mean = sum / count;
  }
  *deviation = usable(sqrt(squares / count), *mean);
}

static void number_statistics(const double *numbers, size_t count, double *mean, double *deviation)
{
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; ++i) sum += numbers[i];
  *mean = sum / (double)count;
  for (size_t i = 0; i < count; ++i) squares += (numbers[i] - *mean) * (numbers[i] - *mean);
  /* One image has no spread: its parts then enter the score as they are. */
  *deviation = count > 1 ? usable(sqrt(squares / (double)(count - 1)), *mean) : 1;
}

/* ---- Scores ---------------------------------------------------------------------------------- */

static mk_score_parts image_parts(const calibrator *k, size_t image)
{
  mk_score_parts parts = {.square = -INFINITY, .cosine = -INFINITY};
  for (size_t i = k->first[image]; i < k->first[image + 1]; ++i)
    parts = mk_larger_parts(parts, mk_standardised_parts(k->detector, k->inspector->shapes,
                                                         k->traces[i].squares, k->traces[i].cosines,
                                                         &k->c));
  return parts;
}

static mkd_status standardised_scores(calibrator *k)
{
  size_t count = k->job->images.count;
  double *square, *cosine;
  MK_TRY(mk_alloc(&square, 2 * count, sizeof *square));
  cosine = square + count;
  mk_calibration *c = &k->c;
  for (size_t i = 0; i < count; ++i) {
    mk_score_parts parts = image_parts(k, i);
    square[i] = parts.square;
    cosine[i] = parts.cosine;
  }
  number_statistics(square, count, &c->largest_square_mean, &c->largest_square_deviation);
  number_statistics(cosine, count, &c->largest_cosine_mean, &c->largest_cosine_deviation);
  for (size_t i = 0; i < count; ++i)
    c->scores[i] =
        mk_score_of((mk_score_parts){.square = square[i], .cosine = cosine[i]}, k->detector, c);
  mk_free(square);
  return MKD_OK;
}

static mkd_status find_scores(calibrator *k)
{
  mk_calibration *c = &k->c;
  MK_TRY(inspect_images(k, take_trace));
  for (int p = 0; p < k->detector->point_count; ++p)
    plane_statistics(k, p, &c->square_mean[p], &c->square_deviation[p]);
  plane_statistics(k, -1, &c->cosine_mean, &c->cosine_deviation);
  return k->detector->recipe.score == MK_SCORE_STANDARDISED ? standardised_scores(k) : MKD_OK;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

/* The map of what the inspector holds: its sum goes to map_mean, until all are counted. */
static mkd_status add_map(calibrator *k, size_t image, size_t tile, size_t at)
{
  (void)at;
  const mkd_detector *d = k->detector;
  size_t pixels = (size_t)d->input.width * (size_t)d->input.height;
  MK_TRY(mk_localize(k->map, k->localizer, k->inspector, k->c.localize, &k->c));
  double most = tile == 0 ? -INFINITY : k->c.map_maxima[image];
  for (size_t i = 0; i < pixels; ++i) {
    k->c.map_mean += (double)k->map[i];
    if ((double)k->map[i] > most) most = (double)k->map[i];
  }
  k->c.map_maxima[image] = most;
  return MKD_OK;
}

/* Without gradients, the traces are all that a map needs. */
static mkd_status maps_from_traces(calibrator *k)
{
  for (size_t image = 0; image < k->job->images.count; ++image) {
    for (size_t i = k->first[image]; i < k->first[image + 1]; ++i) {
      for (int p = 0; p < k->detector->point_count; ++p)
        memcpy(k->inspector->squares[p], k->traces[i].squares[p],
               positions(k->inspector->shapes[p]) * sizeof(float));
      MK_TRY(add_map(k, image, i - k->first[image], i));
    }
  }
  return MKD_OK;
}

static mkd_status find_maps(calibrator *k)
{
  size_t pixels = (size_t)k->detector->input.width * (size_t)k->detector->input.height;
  if (k->c.localize == MKD_LOCALIZE_NONE) return MKD_OK;
  MK_TRY(k->gradients ? inspect_images(k, add_map) : maps_from_traces(k));
  k->c.map_mean /= (double)pixels * (double)k->trace_count;
  return MKD_OK;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static mkd_status run(calibrator *k, mk_pool *pool)
{
  mkd_detector *d = k->detector;
  const mk_calibrate_job *job = k->job;
  size_t count = job->images.count;
  if (count == 0)
    return mk_fail(MKD_ERROR_DATA, "no image: calibration needs at least one normal image");
  if (!(job->false_alarm > 0 && job->false_alarm < 1))
    return mk_fail(MKD_ERROR_ARGUMENT, "false-alarm rate %g is not between 0 and 1",
                   job->false_alarm);
  if ((unsigned)job->localize > MKD_LOCALIZE_GBP)
    return mk_fail(MKD_ERROR_ARGUMENT, "localize: %d is no method of localization",
                   (int)job->localize);
  mkd_localize method = job->localize ? job->localize : (mkd_localize)d->recipe.localize;
  k->c = (mk_calibration){.held_out = count,
                          .localize = method,
                          .false_alarm = job->false_alarm,
                          .largest_square_deviation = 1,
                          .largest_cosine_deviation = 1};
  k->gradients = mk_localize_inspector(method) == MK_INSPECTOR_GRADIENTS;
  k->passes = k->gradients ? 2 : 1;
  MK_TRY(mk_alloc(&k->c.scores, count, sizeof(double)));
  MK_TRY(mk_alloc(&k->c.map_maxima, count, sizeof(double)));
  MK_TRY(mk_alloc(&k->first, count + 1, sizeof *k->first));
  MK_TRY(mk_alloc(&k->map, (size_t)d->input.width * (size_t)d->input.height, sizeof(float)));
  MK_TRY(mk_inspector_create(&k->inspector, d, pool, mk_localize_inspector(method)));
  MK_TRY(mk_localizer_create(&k->localizer, d, method));
  MK_TRY(find_scores(k));
  /* The gradient of the excess looks at the detector's calibration. */
  memcpy(d->calibration.square_mean, k->c.square_mean, sizeof k->c.square_mean);
  memcpy(d->calibration.square_deviation, k->c.square_deviation, sizeof k->c.square_deviation);
  MK_TRY(find_maps(k));
  MK_TRY(mk_conformal_sort(k->c.scores, count));
  return mk_conformal_sort(k->c.map_maxima, count);
}

mkd_status mk_calibrate(mkd_detector *detector, const mk_calibrate_job *job, mk_pool *pool)
{
  calibrator k = {.detector = detector, .job = job};
  mkd_status status = run(&k, pool);
  for (size_t i = 0; i < k.trace_count; ++i) {
    for (int p = 0; p < MK_MAX_POINTS; ++p) mk_free(k.traces[i].squares[p]);
    mk_free(k.traces[i].cosines);
  }
  mk_free(k.traces);
  mk_free(k.first);
  mk_free(k.map);
  mk_inspector_destroy(k.inspector);
  mk_localizer_destroy(k.localizer);
  if (status == MKD_OK) {
    mk_calibration_free(&detector->calibration);
    detector->calibration = k.c;
  } else {
    mk_calibration_free(&k.c);
  }
  return status;
}
