/* mkd_train and mkd_detector_calibrate: from the public options to training, calibration and a
 * detector. */
#include "core/memory.h"
#include "detect/calibrate.h"
#include "distill/trainer.h"
#include "expert/expert.h"
#include "nn/exec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

mkd_train_options mkd_train_options_default(void)
{
  return (mkd_train_options){.size = sizeof(mkd_train_options),
                             .recipe = "default",
                             .false_alarm = 0.01,
                             .cache_memory = UINT64_C(2) << 30};
}

mkd_calibrate_options mkd_calibrate_options_default(void)
{
  return (mkd_calibrate_options){.size = sizeof(mkd_calibrate_options), .false_alarm = 0.01};
}

static mkd_status check_false_alarm(double rate)
{
  if (rate > 0 && rate < 1) return MKD_OK;
  return mk_fail(MKD_ERROR_ARGUMENT, "false-alarm rate %g is not between 0 and 1", rate);
}

static mkd_status check_snapshots(const mkd_train_options *options)
{
  if (options->snapshot_every < 0)
    return mk_fail(MKD_ERROR_ARGUMENT, "snapshot_every: %d is less than 0",
                   options->snapshot_every);
  if (options->snapshot_every > 0 && !options->snapshot)
    return mk_fail(MKD_ERROR_ARGUMENT, "snapshot_every: %d, but no callback that takes snapshots",
                   options->snapshot_every);
  return MKD_OK;
}

static mkd_status check_source(const mkd_image_source *source)
{
  if (source->count > 0 && source->get) return MKD_OK;
  return mk_fail(MKD_ERROR_DATA, "the source has no image");
}

/* ---- Training -------------------------------------------------------------------------------- */

static void make_input_spec(mk_input_spec *input, const mk_recipe *recipe, const mkd_expert *expert)
{
  static const float imagenet_mean[3] = {123.675F, 116.28F, 103.53F};
  static const float imagenet_std[3] = {58.395F, 57.12F, 57.375F};
  *input = (mk_input_spec){
      .width = recipe->input_width,
      .height = recipe->input_height,
      .resize_width = recipe->resize_width ? recipe->resize_width : recipe->input_width,
      .resize_height = recipe->resize_height ? recipe->resize_height : recipe->input_height,
      .tile_width = recipe->tile_width,
      .tile_height = recipe->tile_height,
      .tile_overlap = recipe->tile_overlap,
      .filter = (mk_resample)recipe->resample,
      .low = 0,
      .high = 255};
  for (int c = 0; c < 3; ++c) {
    switch ((mk_values)recipe->values) {
    case MK_VALUES_EXPERT:
      input->mean[c] = expert->mean[c];
      input->std[c] = expert->std[c];
      break;
    case MK_VALUES_IMAGENET:
      input->mean[c] = imagenet_mean[c];
      input->std[c] = imagenet_std[c];
      break;
    case MK_VALUES_UNIT:
      input->mean[c] = 0;
      input->std[c] = 255;
      break;
    }
  }
}

static mkd_status fail_point(const mkd_expert *expert, const char *name)
{
  char list[1024] = "";
  for (int i = 1; i < expert->graph->count; ++i) {
    const char *known = expert->graph->ops[i].name;
    /* Convolutions have names too; those that outputs are known by are enough for a message. */
    if (strncmp(known, "block", 5) != 0 && strncmp(known, "pool", 4) != 0) continue;
    if (strchr(known, '.') || strlen(list) + strlen(known) + 3 > sizeof list) continue;
    strcat(list, list[0] ? ", " : "");
    strcat(list, known);
  }
  return mk_fail(MKD_ERROR_ARGUMENT,
                 "recipe: the expert %s has no output '%s' to be a critical point; it has %s",
                 expert->arch, name, list);
}

/* The expert, cut off behind its deepest critical point, each of which bears its name. */
static mkd_status cut_expert(mkd_detector *d, const mkd_expert *expert)
{
  const mk_point_list *points = &d->recipe.critical_points;
  int outputs[MK_MAX_POINTS];
  d->point_count = points->count;
  for (int p = 0; p < points->count; ++p) {
    outputs[p] = mk_graph_find(expert->graph, points->names[p]);
    if (outputs[p] < 1) return fail_point(expert, points->names[p]);
  }
  return mk_graph_prune(&d->expert, expert->graph, outputs, points->count, d->expert_outputs);
}

static mkd_status load_recipe(mk_recipe *recipe, const mkd_train_options *options)
{
  MK_TRY(mk_recipe_load(recipe, options->recipe ? options->recipe : "default"));
  for (size_t i = 0; i < options->set_count; ++i) MK_TRY(mk_recipe_set(recipe, options->set[i]));
  return mk_recipe_check(recipe);
}

static mkd_status fill_provenance(mkd_detector *d, const mkd_expert *expert,
                                  const mk_training *training, uint64_t seed)
{
  mk_provenance *p = &d->provenance;
  p->seed = seed;
  p->trained_images = training->trained_images;
  p->epochs = training->epochs;
  p->loss = training->loss;
  p->held_out_loss = training->held_out_loss;
  p->converged = training->converged;
  MK_TRY(mk_text_copy(&p->expert_arch, expert->arch));
  MK_TRY(mk_text_copy(&p->expert_sha256, expert->sha256));
  MK_TRY(mk_text_copy(&p->kernels, mk_kernels_best()->name));
  return mk_text_copy(&p->mkd_version, mkd_version());
}

static mkd_status copy_array(float **copy, const float *array, int count)
{
  if (!array) return MKD_OK;
  MK_TRY(mk_alloc(copy, (size_t)count, sizeof **copy));
  memcpy(*copy, array, (size_t)count * sizeof **copy);
  return MKD_OK;
}

static mkd_status copy_networks(mkd_detector *d, const mk_training *training)
{
  MK_TRY(mk_graph_prune(&d->cloner, training->cloner, training->outputs, d->point_count,
                        d->cloner_outputs));
  for (int p = 0; p < d->point_count; ++p) {
    const mk_channel_statistics *s = &training->statistics[p];
    MK_TRY(copy_array(&d->target_mean[p], s->mean, s->channels));
    MK_TRY(copy_array(&d->target_deviation[p], s->deviation, s->channels));
  }
  d->input = training->input;
  d->weight_val = training->weight_val;
  d->weight_dir = training->weight_dir;
  return MKD_OK;
}

/* The held-out part of a training, image by image. */
typedef struct {
  const mk_training *training;
  const size_t **items; /* [lanes]: of the store, the tiles of the open image */
} held_out_images;

static mkd_status open_held_out(void *context, int lane, size_t index, size_t *tiles)
{
  const held_out_images *images = context;
  const mk_training *t = images->training;
  images->items[lane] = t->held_out + t->held_out_first[index];
  *tiles = t->held_out_first[index + 1] - t->held_out_first[index];
  return MKD_OK;
}

static mkd_status read_held_out(void *context, int lane, size_t tile, float *dst)
{
  const held_out_images *images = context;
  const mk_training *t = images->training;
  mk_input_normalise(dst, mk_store_input(t->store, images->items[lane][tile]), &t->input);
  return MKD_OK;
}

static const float *held_out_activations(void *context, int lane, size_t tile)
{
  const held_out_images *images = context;
  return mk_store_targets(images->training->store, images->items[lane][tile]);
}

/* Activations that training has kept are what the expert gives to the bit if they are fp32. Those
 * in fp16 are rounded: scores at run time are not, and must not be compared with ones that are. */
static bool has_activations(const mk_training *t)
{
  return t->store->target_size > 0 && !t->store->half;
}

typedef struct {
  const mkd_expert *expert;
  const mkd_train_options *options;
  mkd_detector *detector; /* with recipe and expert from the start, the rest at the end */
  mk_pool *pool;
} train_job;

/* From a detector that has recipe and expert to a calibrated one. */
static mkd_status complete(const train_job *job, mkd_detector *d, const mk_training *training,
                           bool report)
{
  const mkd_train_options *options = job->options;
  MK_TRY(copy_networks(d, training));
  MK_TRY(fill_provenance(d, job->expert, training, options->seed));
  MK_TRY(mk_detector_finish(d));
  held_out_images images = {.training = training};
  mk_calibrate_job calibration = {
      .images = {.count = training->held_out_images,
                 .open = open_held_out,
                 .read = read_held_out,
                 .activations = has_activations(training) ? held_out_activations : NULL,
                 .context = &images},
      .false_alarm = options->false_alarm,
      .progress = report ? options->progress : NULL,
      .progress_context = options->context};
  MK_TRY(mk_alloc(&images.items, (size_t)mk_pool_threads(job->pool), sizeof *images.items));
  mkd_status status = mk_calibrate(d, &calibration, job->pool);
  mk_free(images.items);
  return status;
}

/* Stages are reported in their order, so that this calibration, between epochs, is not. */
static mkd_status take_snapshot(void *context, const mk_training *training)
{
  const train_job *job = context;
  const mkd_detector *begun = job->detector;
  mkd_detector *d;
  MK_TRY(mk_alloc(&d, 1, sizeof *d));
  mkd_status status = mk_recipe_copy(&d->recipe, &begun->recipe);
  if (status == MKD_OK)
    status = mk_graph_prune(&d->expert, begun->expert, begun->expert_outputs, begun->point_count,
                            d->expert_outputs);
  d->point_count = begun->point_count;
  if (status == MKD_OK) status = complete(job, d, training, false);
  if (status == MKD_OK) status = job->options->snapshot(job->options->context, training->epochs, d);
  mkd_detector_destroy(d);
  return status;
}

static mkd_status train(train_job *job, mkd_image_source source, mk_training *training)
{
  const mkd_expert *expert = job->expert;
  const mkd_train_options *options = job->options;
  mkd_detector *d = job->detector;
  mk_input_spec input;
  MK_TRY(load_recipe(&d->recipe, options));
  MK_TRY(cut_expert(d, expert));
  make_input_spec(&input, &d->recipe, expert);
  mk_teacher teacher = {expert->graph, d->expert, d->expert_outputs, expert->sha256};
  mk_training_options training_options = {.seed = options->seed,
                                          .cache_memory = options->cache_memory,
                                          .checkpoint = options->checkpoint,
                                          .resume = options->resume,
                                          .snapshot_every = options->snapshot_every,
                                          .snapshot = take_snapshot,
                                          .snapshot_context = job};
  mk_reporter reporter = {options->progress, options->log, options->context};
  MK_TRY(mk_train(training, &d->recipe, &teacher, &input, source, &training_options, &reporter,
                  job->pool));
  MK_TRY(complete(job, d, training, true));
  if (!options->snapshot_every) return MKD_OK;
  return options->snapshot(options->context, training->epochs, d);
}

mkd_status mkd_train(mkd_detector **detector, const mkd_expert *expert, mkd_image_source source,
                     const mkd_train_options *options)
{
  mkd_train_options defaults = mkd_train_options_default();
  if (!options) options = &defaults;
  if (options->size != sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "mkd_train_options.size is %zu, not %zu: start from mkd_train_options_default()",
                   options->size, sizeof *options);
  if (options->seed > INT64_MAX) /* what JSON can tell */
    return mk_fail(MKD_ERROR_ARGUMENT, "the seed is not in 0 .. 2^63 - 1");
  MK_TRY(check_false_alarm(options->false_alarm));
  MK_TRY(check_source(&source));
  MK_TRY(check_snapshots(options));
  train_job job = {.expert = expert, .options = options};
  mk_training training = {0};
  MK_TRY(mk_alloc(&job.detector, 1, sizeof *job.detector));
  mkd_status status = mk_pool_create(&job.pool, options->threads);
  if (status == MKD_OK) status = train(&job, source, &training);
  mk_training_free(&training);
  mk_pool_destroy(job.pool);
  if (status != MKD_OK) {
    mkd_detector_destroy(job.detector);
    return status;
  }
  *detector = job.detector;
  return MKD_OK;
}

/* ---- Calibration ----------------------------------------------------------------------------- */

/* The image that a lane has open. */
typedef struct {
  mkd_image image;
  void *handle;
  mk_tile_grid grid;
  uint16_t *input;
  mk_scratch scratch;
} open_image;

typedef struct {
  const mk_input_spec *input;
  mkd_image_source source;
  open_image *open; /* [lanes] */
} source_images;

static void close_image(void *context, int lane)
{
  const source_images *images = context;
  if (images->source.release)
    images->source.release(images->source.context, &images->open[lane].image,
                           images->open[lane].handle);
}

static mkd_status open_next(void *context, int lane, size_t index, size_t *tiles)
{
  source_images *images = context;
  open_image *at = &images->open[lane];
  at->image = (mkd_image){0};
  at->handle = NULL;
  MK_TRY(images->source.get(images->source.context, index, &at->image, &at->handle));
  mkd_status status = mk_input_tiles(&at->grid, images->input, &at->image);
  if (status != MKD_OK) close_image(images, lane);
  *tiles = at->grid.count;
  return status;
}

static mkd_status read_tile(void *context, int lane, size_t tile, float *dst)
{
  const source_images *images = context;
  open_image *at = &images->open[lane];
  mkd_image view = mk_tile_view(&at->image, &at->grid, tile);
  mk_scratch_reset(&at->scratch);
  MK_TRY(mk_input_read(at->input, images->input, &view, NULL, &at->scratch));
  mk_input_normalise(dst, at->input, images->input);
  return MKD_OK;
}

static mkd_status open_lanes(source_images *images, int lanes)
{
  MK_TRY(mk_alloc(&images->open, (size_t)lanes, sizeof *images->open));
  for (int i = 0; i < lanes; ++i)
    MK_TRY(mk_alloc(&images->open[i].input, mk_input_size(images->input), sizeof(uint16_t)));
  return MKD_OK;
}

static void close_lanes(source_images *images, int lanes)
{
  for (int i = 0; images->open && i < lanes; ++i) {
    mk_free(images->open[i].input);
    mk_scratch_free(&images->open[i].scratch);
  }
  mk_free(images->open);
}

static mkd_status calibrate_from_source(mkd_detector *d, mkd_image_source normal,
                                        const mkd_calibrate_options *options)
{
  source_images images = {.input = &d->input, .source = normal};
  mk_calibrate_job job = {.images = {.count = normal.count,
                                     .open = open_next,
                                     .read = read_tile,
                                     .close = close_image,
                                     .context = &images},
                          .false_alarm = options->false_alarm,
                          .localize = options->localize,
                          .progress = options->progress,
                          .progress_context = options->context};
  mk_pool *pool;
  MK_TRY(mk_pool_create(&pool, options->threads));
  int threads = mk_pool_threads(pool);
  mkd_status status = open_lanes(&images, threads);
  if (status == MKD_OK) status = mk_calibrate(d, &job, pool);
  close_lanes(&images, threads);
  mk_pool_destroy(pool);
  return status;
}

mkd_status mkd_detector_calibrate(mkd_detector **calibrated, const mkd_detector *detector,
                                  mkd_image_source normal, const mkd_calibrate_options *options)
{
  mkd_calibrate_options defaults = mkd_calibrate_options_default();
  if (!options) options = &defaults;
  if (options->size != sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "mkd_calibrate_options.size is %zu, not %zu: start from "
                   "mkd_calibrate_options_default()",
                   options->size, sizeof *options);
  MK_TRY(check_false_alarm(options->false_alarm));
  MK_TRY(check_source(&normal));
  if (normal.count < 2)
    return mk_fail(MKD_ERROR_DATA,
                   "1 image: calibration needs at least 2 normal images, as one does "
                   "not tell how far scores spread");
  mkd_detector *copy;
  MK_TRY(mk_detector_copy(&copy, detector));
  mkd_status status = calibrate_from_source(copy, normal, options);
  if (status != MKD_OK) {
    mkd_detector_destroy(copy);
    return status;
  }
  *calibrated = copy;
  return MKD_OK;
}
