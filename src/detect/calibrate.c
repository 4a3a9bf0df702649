#include "detect/calibrate.h"

#include "core/items.h"
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

/* What one image leaves behind. */
typedef struct {
  trace *tiles;
  size_t count;
  double map_sum; /* over all pixels of all tiles */
} image_trace;

/* One thread's memory. */
typedef struct {
  mk_inspector *inspector;
  mk_localizer *localizer;
  float *map;
} lane_memory;

typedef struct calibrator calibrator;

struct calibrator {
  mkd_detector *detector;
  const mk_calibrate_job *job;
  mk_pool *pool;
  bool gradients;
  int lane_count;
  lane_memory *lanes;
  mk_calibration c;
  image_trace *images;
  size_t tiles;     /* of all images, once these are known */
  int pass, passes; /* over the images */
  /* What is done in this pass to each tile that has been inspected. */
  mkd_status (*work)(calibrator *k, size_t image, size_t tile, const lane_memory *lane);
};

static size_t positions(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width;
}

static const mk_shape *shapes(const calibrator *k)
{
  return k->lanes[0].inspector->shapes;
}

/* ---- Passes over the images ------------------------------------------------------------------ */

static mkd_status work_on_tile(calibrator *k, size_t image, size_t tile, int lane)
{
  const mk_normal_images *images = &k->job->images;
  mk_inspector *in = k->lanes[lane].inspector;
  MK_TRY(images->read(images->context, lane, tile, mk_inspector_input(in)));
  if (images->activations && k->pass == 0)
    mk_inspect_activations(in, images->activations(images->context, lane, tile));
  else
    mk_inspect(in);
  return k->work(k, image, tile, &k->lanes[lane]);
}

/* The first pass makes room for the traces of an image, the second finds it as it was. */
static mkd_status expect_tiles(calibrator *k, size_t image, size_t tiles)
{
  image_trace *t = &k->images[image];
  if (k->pass == 0) {
    MK_TRY(mk_alloc(&t->tiles, tiles, sizeof *t->tiles));
    t->count = tiles;
  }
  if (tiles < 1 || tiles != t->count)
    return mk_fail(MKD_ERROR_DATA, "image %zu has another size when it is read again", image + 1);
  return MKD_OK;
}

static mkd_status work_on_image(void *context, size_t image, int lane)
{
  calibrator *k = context;
  const mk_normal_images *images = &k->job->images;
  size_t tiles;
  MK_TRY(images->open(images->context, lane, image, &tiles));
  mkd_status status = expect_tiles(k, image, tiles);
  for (size_t tile = 0; status == MKD_OK && tile < tiles; ++tile)
    status = work_on_tile(k, image, tile, lane);
  if (images->close) images->close(images->context, lane);
  return status;
}

static mkd_status report(void *context, size_t done)
{
  const calibrator *k = context;
  size_t count = k->job->images.count;
  mkd_progress progress = {.stage = MKD_STAGE_CALIBRATE,
                           .done = (size_t)k->pass * count + done,
                           .total = (size_t)k->passes * count,
                           .loss = NAN,
                           .held_out_loss = NAN,
                           .seconds_left = NAN};
  if (k->job->progress && !k->job->progress(k->job->progress_context, &progress))
    return mk_fail(MKD_CANCELLED, "stopped on request");
  return MKD_OK;
}

/* A single lane's inspector has the pool for itself. */
static mk_pool *pool_of_lanes(const calibrator *k)
{
  return k->lane_count > 1 ? k->pool : NULL;
}

static mkd_status inspect_images(calibrator *k)
{
  mk_items items = {.count = k->job->images.count,
                    .lanes = k->lane_count,
                    .work = work_on_image,
                    .report = report,
                    .context = k};
  return mk_items_run(&items, pool_of_lanes(k));
}

/* ---- Differences at every location ----------------------------------------------------------- */

static mkd_status copy_floats(float **copy, const float *src, size_t count)
{
  MK_TRY(mk_alloc(copy, count, sizeof **copy));
  memcpy(*copy, src, count * sizeof **copy);
  return MKD_OK;
}

static mkd_status take_trace(calibrator *k, size_t image, size_t tile, const lane_memory *lane)
{
  const mk_inspector *in = lane->inspector;
  trace *t = &k->images[image].tiles[tile];
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
  size_t size = positions(shapes(k)[point < 0 ? k->detector->deepest : point]);
  double sum = 0, squares = 0, count = (double)size * (double)k->tiles;
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < k->job->images.count; ++i) {
      for (size_t tile = 0; tile < k->images[i].count; ++tile) {
        const trace *t = &k->images[i].tiles[tile];
        const float *plane = point < 0 ? t->cosines : t->squares[point];
        for (size_t j = 0; j < size; ++j) {
          double value = (double)plane[j];
          if (pass == 0)
            sum += value;
          else
            squares += (value - *mean) * (value - *mean);
        }
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
  const image_trace *t = &k->images[image];
  mk_score_parts parts = {.square = -INFINITY, .cosine = -INFINITY};
  for (size_t i = 0; i < t->count; ++i)
    parts =
        mk_larger_parts(parts, mk_standardised_parts(k->detector, shapes(k), t->tiles[i].squares,
                                                     t->tiles[i].cosines, &k->c));
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
  k->work = take_trace;
  MK_TRY(inspect_images(k));
  for (size_t i = 0; i < k->job->images.count; ++i) k->tiles += k->images[i].count;
  for (int p = 0; p < k->detector->point_count; ++p)
    plane_statistics(k, p, &c->square_mean[p], &c->square_deviation[p]);
  plane_statistics(k, -1, &c->cosine_mean, &c->cosine_deviation);
  return k->detector->recipe.score == MK_SCORE_STANDARDISED ? standardised_scores(k) : MKD_OK;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

/* The map of what the inspector holds. */
static mkd_status add_map(calibrator *k, size_t image, size_t tile, const lane_memory *lane)
{
  const mkd_detector *d = k->detector;
  size_t pixels = (size_t)d->input.width * (size_t)d->input.height;
  MK_TRY(mk_localize(lane->map, lane->localizer, lane->inspector, k->c.localize, &k->c));
  double most = tile == 0 ? -INFINITY : k->c.map_maxima[image];
  for (size_t i = 0; i < pixels; ++i) {
    k->images[image].map_sum += (double)lane->map[i];
    if ((double)lane->map[i] > most) most = (double)lane->map[i];
  }
  k->c.map_maxima[image] = most;
  return MKD_OK;
}

/* Without gradients, the traces are all that a map needs. */
static mkd_status map_from_traces(void *context, size_t image, int lane)
{
  calibrator *k = context;
  mk_inspector *in = k->lanes[lane].inspector;
  for (size_t tile = 0; tile < k->images[image].count; ++tile) {
    for (int p = 0; p < k->detector->point_count; ++p)
      memcpy(in->squares[p], k->images[image].tiles[tile].squares[p],
             positions(in->shapes[p]) * sizeof(float));
    MK_TRY(add_map(k, image, tile, &k->lanes[lane]));
  }
  return MKD_OK;
}

static mkd_status find_maps(calibrator *k)
{
  size_t pixels = (size_t)k->detector->input.width * (size_t)k->detector->input.height;
  size_t count = k->job->images.count;
  if (k->c.localize == MKD_LOCALIZE_NONE) return MKD_OK;
  if (k->gradients) {
    k->pass = 1;
    k->work = add_map;
    MK_TRY(inspect_images(k));
  } else {
    mk_items items = {
        .count = count, .lanes = k->lane_count, .work = map_from_traces, .context = k};
    MK_TRY(mk_items_run(&items, pool_of_lanes(k)));
  }
  for (size_t i = 0; i < count; ++i) k->c.map_mean += k->images[i].map_sum;
  k->c.map_mean /= (double)pixels * (double)k->tiles;
  return MKD_OK;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* Whole images keep threads busier than parts of one do, but each needs memory, with gradients much
 * of it. */
static int count_lanes(const calibrator *k)
{
  const int most_pixels = k->gradients ? 1 << 19 : 1 << 21;
  int threads = mk_pool_threads(k->pool);
  int most = most_pixels / (k->detector->input.width * k->detector->input.height);
  return most < 1 ? 1 : most < threads ? most : threads;
}

static mkd_status create_lanes(calibrator *k, mkd_localize method)
{
  const mkd_detector *d = k->detector;
  mk_inspector_kind kind = mk_localize_inspector(method);
  if (kind == MK_INSPECTOR_FORWARD && k->job->images.activations) kind = MK_INSPECTOR_CLONER;
  k->lane_count = count_lanes(k);
  MK_TRY(mk_alloc(&k->lanes, (size_t)k->lane_count, sizeof *k->lanes));
  for (int i = 0; i < k->lane_count; ++i) {
    lane_memory *lane = &k->lanes[i];
    MK_TRY(mk_inspector_create(&lane->inspector, d, k->lane_count > 1 ? NULL : k->pool, kind));
    MK_TRY(mk_localizer_create(&lane->localizer, d, method));
    MK_TRY(mk_alloc(&lane->map, (size_t)d->input.width * (size_t)d->input.height, sizeof(float)));
  }
  return MKD_OK;
}

static mkd_status run(calibrator *k)
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
  MK_TRY(mk_alloc(&k->images, count, sizeof *k->images));
  MK_TRY(create_lanes(k, method));
  MK_TRY(find_scores(k));
  /* The gradient of the excess looks at the detector's calibration. */
  memcpy(d->calibration.square_mean, k->c.square_mean, sizeof k->c.square_mean);
  memcpy(d->calibration.square_deviation, k->c.square_deviation, sizeof k->c.square_deviation);
  MK_TRY(find_maps(k));
  MK_TRY(mk_conformal_sort(k->c.scores, count));
  return mk_conformal_sort(k->c.map_maxima, count);
}

static void free_memory(calibrator *k)
{
  for (size_t i = 0; k->images && i < k->job->images.count; ++i) {
    image_trace *image = &k->images[i];
    for (size_t tile = 0; tile < image->count; ++tile) {
      for (int p = 0; p < MK_MAX_POINTS; ++p) mk_free(image->tiles[tile].squares[p]);
      mk_free(image->tiles[tile].cosines);
    }
    mk_free(image->tiles);
  }
  mk_free(k->images);
  for (int i = 0; k->lanes && i < k->lane_count; ++i) {
    mk_inspector_destroy(k->lanes[i].inspector);
    mk_localizer_destroy(k->lanes[i].localizer);
    mk_free(k->lanes[i].map);
  }
  mk_free(k->lanes);
}

mkd_status mk_calibrate(mkd_detector *detector, const mk_calibrate_job *job, mk_pool *pool)
{
  calibrator k = {.detector = detector, .job = job, .pool = pool};
  mkd_status status = run(&k);
  free_memory(&k);
  if (status == MKD_OK) {
    mk_calibration_free(&detector->calibration);
    detector->calibration = k.c;
  } else {
    mk_calibration_free(&k.c);
  }
  return status;
}
