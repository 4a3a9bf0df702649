/* mkd_features: the expert's activations of a set of images, for several detectors. */
#include "core/items.h"
#include "core/memory.h"
#include "detect/inspector.h"
#include "distill/images.h"
#include "distill/targets.h"

#include <math.h>
#include <string.h>

/* A detector stands for what its inputs and activations depend on. */
struct mkd_features {
  mk_input_spec input;
  char *expert_arch, *expert_sha256;
  int point_count;
  char *points[MK_MAX_POINTS];
  mk_shape shapes[MK_MAX_POINTS];
  size_t images;
  size_t *first; /* [images + 1]: item of the store with an image's first tile */
  mk_store *store;
};

mkd_features_options mkd_features_options_default(void)
{
  return (mkd_features_options){.size = sizeof(mkd_features_options),
                                .cache_memory = UINT64_C(2) << 30};
}

/* ---- Life ------------------------------------------------------------------------------------ */

static mkd_status identify(mkd_features *f, const mkd_detector *d)
{
  f->input = d->input;
  f->point_count = d->point_count;
  MK_TRY(mk_text_copy(&f->expert_arch, d->provenance.expert_arch));
  MK_TRY(mk_text_copy(&f->expert_sha256, d->provenance.expert_sha256));
  for (int p = 0; p < d->point_count; ++p) {
    MK_TRY(mk_text_copy(&f->points[p], d->recipe.critical_points.names[p]));
    MK_TRY(mk_graph_shape(d->expert, d->expert_outputs[p], d->input.height, d->input.width,
                          &f->shapes[p]));
  }
  return MKD_OK;
}

static mkd_status compute(mkd_features *f, const mkd_detector *d, mkd_image_source source,
                          const mkd_features_options *options, mk_pool *pool)
{
  size_t activations = 0;
  mk_reporter reporter = {.progress = options->progress, .context = options->context};
  for (int p = 0; p < f->point_count; ++p)
    activations +=
        (size_t)f->shapes[p].height * (size_t)f->shapes[p].width * (size_t)f->shapes[p].channels;
  f->images = source.count;
  MK_TRY(mk_find_tiles(&f->first, &f->input, source, &reporter, pool));
  MK_TRY(mk_store_create(&f->store, f->first[f->images], mk_input_size(&f->input), activations,
                         false, options->cache_memory));
  MK_TRY(mk_read_images(f->store, f->first, &f->input, source, &reporter, pool));
  mk_target_job job = {.store = f->store,
                       .input = &f->input,
                       .expert = d->expert_net,
                       .outputs = d->expert_outputs,
                       .points = f->point_count};
  return mk_compute_targets(&job, &reporter, pool);
}

mkd_status mkd_features_create(mkd_features **features, const mkd_detector *detector,
                               mkd_image_source source, const mkd_features_options *options)
{
  mkd_features_options defaults = mkd_features_options_default();
  if (!options) options = &defaults;
  if (options->size != sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "mkd_features_options.size is %zu, not %zu: start from "
                   "mkd_features_options_default()",
                   options->size, sizeof *options);
  if (source.count == 0 || !source.get) return mk_fail(MKD_ERROR_DATA, "the source has no image");
  mkd_features *f;
  mk_pool *pool = NULL;
  MK_TRY(mk_alloc(&f, 1, sizeof *f));
  mkd_status status = mk_pool_create(&pool, options->threads);
  if (status == MKD_OK) status = identify(f, detector);
  if (status == MKD_OK) status = compute(f, detector, source, options, pool);
  mk_pool_destroy(pool);
  if (status != MKD_OK) {
    mkd_features_destroy(f);
    return status;
  }
  *features = f;
  return MKD_OK;
}

void mkd_features_destroy(mkd_features *f)
{
  if (!f) return;
  mk_free(f->expert_arch);
  mk_free(f->expert_sha256);
  for (int p = 0; p < f->point_count; ++p) mk_free(f->points[p]);
  mk_free(f->first);
  mk_store_destroy(f->store);
  mk_free(f);
}

size_t mkd_features_count(const mkd_features *features)
{
  return features->images;
}

/* ---- Match ----------------------------------------------------------------------------------- */

static bool same_input(const mk_input_spec *a, const mk_input_spec *b)
{
  for (int c = 0; c < 3; ++c) {
    if (a->mean[c] != b->mean[c] || a->std[c] != b->std[c]) return false;
  }
  return a->width == b->width && a->height == b->height && a->resize_width == b->resize_width &&
         a->resize_height == b->resize_height && a->filter == b->filter && a->low == b->low &&
         a->high == b->high && a->tile_width == b->tile_width && a->tile_height == b->tile_height &&
         a->tile_overlap == b->tile_overlap;
}

static bool same_points(const mkd_features *f, const mkd_detector *d)
{
  if (f->point_count != d->point_count) return false;
  for (int p = 0; p < d->point_count; ++p) {
    if (strcmp(f->points[p], d->recipe.critical_points.names[p]) != 0) return false;
  }
  return true;
}

bool mkd_features_match(const mkd_features *f, const mkd_detector *d)
{
  return strcmp(f->expert_arch, d->provenance.expert_arch) == 0 &&
         strcmp(f->expert_sha256, d->provenance.expert_sha256) == 0 &&
         same_input(&f->input, &d->input) && same_points(f, d);
}

/* ---- Scores ---------------------------------------------------------------------------------- */

typedef struct {
  const mkd_features *features;
  const mkd_detector *detector;
  mk_inspector **inspectors; /* [threads] */
  double *scores;
} score_job;

static mkd_status score_image(void *context, size_t image, int lane)
{
  const score_job *job = context;
  const mkd_features *f = job->features;
  const mkd_detector *d = job->detector;
  mk_inspector *in = job->inspectors[lane];
  mk_score_parts parts = {-INFINITY, -INFINITY, -INFINITY};
  for (size_t item = f->first[image]; item < f->first[image + 1]; ++item) {
    mk_input_normalise(mk_inspector_input(in), mk_store_input(f->store, item), &f->input);
    mk_inspect_activations(in, mk_store_targets(f->store, item));
    mk_score_parts tile = mk_inspector_parts(in, &d->calibration);
    if (!isfinite(mk_score_of(tile, d, &d->calibration)))
      return mk_fail(MKD_ERROR_FILE, "the score is not finite: the model's weights are damaged");
    parts = mk_larger_parts(parts, tile);
  }
  job->scores[image] = mk_score_of(parts, d, &d->calibration);
  return MKD_OK;
}

/* A file may lie about its expert. */
static mkd_status check_shapes(const mkd_features *f, const mk_inspector *in)
{
  for (int p = 0; p < f->point_count; ++p) {
    const mk_shape *a = &f->shapes[p], *b = &in->shapes[p];
    if (a->height != b->height || a->width != b->width || a->channels != b->channels)
      return mk_fail(MKD_ERROR_FILE,
                     "critical point '%s': the model gives %dx%dx%d, the expert that it names "
                     "%dx%dx%d",
                     f->points[p], b->width, b->height, b->channels, a->width, a->height,
                     a->channels);
  }
  return MKD_OK;
}

/* Scores go to memory of their own, since the caller's is written on success alone. */
static mkd_status score_all(score_job *job, double *scores, mk_pool *pool)
{
  size_t count = mkd_features_count(job->features);
  int threads = mk_pool_threads(pool);
  MK_TRY(mk_alloc(&job->scores, count, sizeof *job->scores));
  MK_TRY(mk_alloc(&job->inspectors, (size_t)threads, sizeof *job->inspectors));
  for (int i = 0; i < threads; ++i)
    MK_TRY(mk_inspector_create(&job->inspectors[i], job->detector, NULL, MK_INSPECTOR_CLONER));
  MK_TRY(check_shapes(job->features, job->inspectors[0]));
  mk_items items = {.count = count, .work = score_image, .context = job};
  MK_TRY(mk_items_run(&items, pool));
  memcpy(scores, job->scores, count * sizeof *scores);
  return MKD_OK;
}

mkd_status mkd_features_score(const mkd_features *features, const mkd_detector *detector,
                              int threads, double *scores)
{
  score_job job = {.features = features, .detector = detector};
  mk_pool *pool;
  if (!mkd_features_match(features, detector))
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "the detector has another expert, input or critical points than the one that "
                   "the features were computed for");
  MK_TRY(mk_pool_create(&pool, threads));
  mkd_status status = score_all(&job, scores, pool);
  for (int i = 0; job.inspectors && i < mk_pool_threads(pool); ++i)
    mk_inspector_destroy(job.inspectors[i]);
  mk_free(job.inspectors);
  mk_free(job.scores);
  mk_pool_destroy(pool);
  return status;
}
