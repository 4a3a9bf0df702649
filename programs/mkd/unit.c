#include "unit.h"

#include "cli.h"
#include "interrupt.h"
#include "scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const unit_plan *plan;
  unit_result *result;
  unit_features *kept;
  progress_bar progress;
  double start; /* seconds */
} unit;

void unit_result_free(unit_result *result)
{
  free(result->samples);
  *result = (unit_result){0};
}

void unit_features_free(unit_features *kept)
{
  mkd_features_destroy(kept->features);
  *kept = (unit_features){0};
}

/* ---- Progress -------------------------------------------------------------------------------- */

/* Time left is that of all units, as far as this one's is known. */
static bool on_progress(void *context, const mkd_progress *state)
{
  unit *u = context;
  mkd_progress all = *state;
  if (state->epochs > 0) u->result->epochs = state->epochs;
  double whole = u->plan->mean_seconds;
  if (isnan(whole)) whole = seconds_now() - u->start + state->seconds_left;
  if (u->plan->later > 0) all.seconds_left += (double)u->plan->later * whole;
  progress_stage(&u->progress, &all);
  return !interrupted();
}

static void on_log(void *context, mkd_log_level level, const char *text)
{
  unit *u = context;
  if (level == MKD_LOG_WARNING)
    progress_note(&u->progress, "mkd reproduce: %s: %s", u->plan->label, text);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static mkd_status prepare_features(unit *u, const mkd_detector *detector)
{
  unit_features *kept = u->kept;
  uint64_t key = u->plan->images->test_key;
  if (kept->features && (kept->key != key || !mkd_features_match(kept->features, detector)))
    unit_features_free(kept);
  if (kept->features) return MKD_OK;
  mkd_features_options options = mkd_features_options_default();
  options.threads = u->plan->threads;
  options.cache_memory = u->plan->cache_memory;
  options.progress = on_progress;
  options.context = u;
  kept->key = key;
  return mkd_features_create(&kept->features, detector, image_set_source(&u->plan->images->test),
                             &options);
}

static mkd_status auroc_of(const double *scores, const class_images *images, double *auroc)
{
  mkd_evaluation *evaluation;
  mkd_metrics metrics;
  mkd_status status = mkd_evaluation_create(&evaluation, 0);
  if (status != MKD_OK) return status;
  for (size_t i = 0; status == MKD_OK && i < images->test.count; ++i) {
    mkd_result result = {.score = scores[i]};
    status = mkd_evaluation_add(evaluation, "", images->anomalous[i], &result, NULL);
  }
  if (status == MKD_OK) status = mkd_evaluation_metrics(evaluation, NULL, &metrics);
  if (status == MKD_OK) *auroc = metrics.image_auroc.value;
  mkd_evaluation_destroy(evaluation);
  return status;
}

static mkd_status sample(unit *u, int epoch, const mkd_detector *detector)
{
  const class_images *images = u->plan->images;
  unit_result *result = u->result;
  double auroc = NAN;
  mkd_status status = prepare_features(u, detector);
  if (status != MKD_OK) return status;
  double *scores = must_grow(NULL, images->test.count, sizeof *scores);
  status = mkd_features_score(u->kept->features, detector, u->plan->threads, scores);
  if (status == MKD_OK) status = auroc_of(scores, images, &auroc);
  free(scores);
  if (status != MKD_OK) return status;
  result->samples = must_grow(result->samples, result->sample_count + 1, sizeof *result->samples);
  result->samples[result->sample_count++] = (unit_sample){epoch, auroc};
  return MKD_OK;
}

/* The last epoch's model is the one that mkd_train gives. */
static mkd_status on_snapshot(void *context, int epoch, const mkd_detector *detector)
{
  unit *u = context;
  int epochs = u->result->epochs;
  return 2 * epoch >= epochs && epoch < epochs ? sample(u, epoch, detector) : MKD_OK;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

typedef struct {
  const class_images *images;
  mkd_evaluation *evaluation;
  progress_bar progress;
  size_t next, done;
} map_scan;

static bool next_image(void *context, scan_job *job)
{
  map_scan *scan = context;
  const image_set *test = &scan->images->test;
  if (scan->next == test->count) return false;
  job->index = scan->next++;
  mkd_dataset_item item = mkd_dataset_get(test->dataset, test->indices[job->index]);
  job->path = text_format("%s", item.path);
  job->name = text_format("%s", item.path);
  if (item.mask) job->mask = text_format("%s", item.mask);
  return true;
}

static mkd_status take_map(void *context, const scan_job *job, const scan_outcome *outcome)
{
  map_scan *scan = context;
  progress_count(&scan->progress, ++scan->done, scan->images->test.count);
  if (!outcome->result) return mkd_set_error(MKD_ERROR_DATA, outcome->error);
  mkd_status status = mkd_evaluation_add(scan->evaluation, "", scan->images->anomalous[job->index],
                                         outcome->result, outcome->mask);
  if (status != MKD_ERROR_DATA || !job->mask) return status;
  char *why = text_format("%s", mkd_last_error());
  status = refuse(status, "%s: %s", job->mask, why);
  free(why);
  return status;
}

static mkd_status measure_map(unit *u, const mkd_detector *detector, const map_variant *wanted)
{
  const unit_plan *plan = u->plan;
  map_scan scan = {.images = plan->images, .progress = progress_start(plan->quiet)};
  scan_plan all = {.detector = detector,
                   .limits = *plan->limits,
                   .session = mkd_session_options_default(),
                   .count = plan->images->test.count,
                   .next = next_image,
                   .deliver = take_map,
                   .context = &scan};
  mkd_metrics metrics;
  all.session.threads = plan->threads;
  all.session.localize = wanted->localize;
  all.session.plain_map = wanted->plain;
  char *label = text_format("%s  maps", plan->label);
  scan.progress.label = label;
  mkd_status status = mkd_evaluation_create(&scan.evaluation, plan->resolution);
  if (status == MKD_OK) status = scan_run(&all);
  progress_end(&scan.progress);
  if (status == MKD_OK) status = mkd_evaluation_metrics(scan.evaluation, NULL, &metrics);
  if (status == MKD_OK)
    u->result->maps[u->result->map_count++] =
        (unit_maps){metrics.pixel_auroc_anomalous, metrics.pixel_auroc_all, metrics.aupro_30};
  mkd_evaluation_destroy(scan.evaluation);
  free(label);
  return status;
}

/* ---- The unit -------------------------------------------------------------------------------- */

static mkd_status run(unit *u)
{
  const unit_plan *plan = u->plan;
  mkd_train_options options = mkd_train_options_default();
  options.recipe = plan->recipe;
  options.set = (const char *const *)plan->settings->texts;
  options.set_count = plan->settings->count;
  options.seed = plan->seed;
  options.threads = plan->threads;
  options.cache_memory = plan->cache_memory;
  options.progress = on_progress;
  options.log = on_log;
  options.context = u;
  if (plan->sampled) {
    options.snapshot_every = SAMPLE_EVERY;
    options.snapshot = on_snapshot;
  }
  mkd_detector *detector;
  mkd_status status =
      mkd_train(&detector, plan->expert, image_set_source(&plan->images->train), &options);
  if (status != MKD_OK) return status;
  status = sample(u, u->result->epochs, detector);
  progress_end(&u->progress);
  for (size_t i = 0; status == MKD_OK && i < plan->map_count; ++i)
    status = measure_map(u, detector, &plan->maps[i]);
  mkd_detector_destroy(detector);
  return status;
}

mkd_status unit_run(unit_result *result, const unit_plan *plan, unit_features *kept)
{
  unit u = {.plan = plan,
            .result = result,
            .kept = kept,
            .progress = progress_start(plan->quiet),
            .start = seconds_now()};
  u.progress.label = plan->label;
  *result = (unit_result){.trained_on = plan->images->train.count};
  for (size_t i = 0; i < plan->images->test.count; ++i)
    *(plan->images->anomalous[i] ? &result->anomalous : &result->normal) += 1;
  mkd_status status = run(&u);
  progress_end(&u.progress);
  result->seconds = seconds_now() - u.start;
  if (status != MKD_OK) unit_result_free(result);
  return status;
}
