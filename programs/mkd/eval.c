/* mkd eval: metrics of a model on a labelled test set, over all and per kind of defect. */
#include "cli.h"
#include "destination.h"
#include "eval_rows.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "scan.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *model, *data; /* as named on the command line */
  mkd_dataset *dataset;
  mkd_evaluation *evaluation;
  progress_bar progress;
  size_t total, next, done;
  image_record *records; /* of the images that could be scored */
  size_t scored;
  char **errors; /* of those that could not */
  size_t failed;
  size_t undrawn; /* images that the report could not show */
  mkd_threshold threshold;
} eval_run;

static const char *parse_format(void *value, const char *text)
{
  bool json = strcmp(text, "json") == 0;
  if (!json && strcmp(text, "table") != 0) return "table or json";
  *(bool *)value = json;
  return NULL;
}

static bool next(void *context, scan_job *job)
{
  eval_run *evaluating = context;
  if (evaluating->next == evaluating->total) return false;
  job->index = evaluating->next++;
  mkd_dataset_item item = mkd_dataset_get(evaluating->dataset, job->index);
  size_t length = strlen(evaluating->data);
  const char *below =
      strncmp(item.path, evaluating->data, length) == 0 ? item.path + length : item.path;
  while (*below == '/') ++below;
  job->path = text_format("%s", item.path);
  job->name = text_format("%s", below);
  if (item.mask) job->mask = text_format("%s", item.mask);
  return true;
}

static mkd_status deliver(void *context, const scan_job *job, const scan_outcome *outcome)
{
  eval_run *evaluating = context;
  mkd_status status = MKD_OK;
  ++evaluating->done;
  if (outcome->result) {
    mkd_dataset_item item = mkd_dataset_get(evaluating->dataset, job->index);
    status = mkd_evaluation_add(evaluating->evaluation, item.kind, item.anomalous, outcome->result,
                                outcome->mask);
    if (status == MKD_ERROR_DATA && item.mask) {
      char *why = text_format("%s", mkd_last_error());
      status = refuse(status, "%s: %s", item.mask, why);
      free(why);
    }
    evaluating->threshold = outcome->result->threshold;
    evaluating->records[evaluating->scored++] = (image_record){.score = outcome->result->score,
                                                               .p_value = outcome->result->p_value,
                                                               .anomalous = item.anomalous,
                                                               .alarm = outcome->result->anomalous,
                                                               .item = job->index};
  } else {
    evaluating->errors = must_grow(evaluating->errors, evaluating->failed + 1, sizeof(char *));
    evaluating->errors[evaluating->failed++] = text_format("%s", outcome->error);
    progress_note(&evaluating->progress, "mkd eval: %s", outcome->error);
  }
  progress_count(&evaluating->progress, evaluating->done, evaluating->total);
  return status;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* One row for each kind of defect that has results, in the order of the data set, and one over all
 * at the end. */
static mkd_status make_rows(const eval_run *evaluating, eval_row **rows, size_t *count)
{
  eval_row *all = NULL;
  size_t used = 0;
  for (size_t i = 0; i < evaluating->scored; ++i) {
    mkd_dataset_item item = mkd_dataset_get(evaluating->dataset, evaluating->records[i].item);
    bool known = !item.anomalous;
    for (size_t j = 0; j < used && !known; ++j) known = strcmp(all[j].name, item.kind) == 0;
    if (known) continue;
    all = must_grow(all, used + 1, sizeof *all);
    all[used++].name = item.kind;
  }
  all = must_grow(all, used + 1, sizeof *all);
  all[used++].name = NULL;
  for (size_t i = 0; i < used; ++i) {
    mkd_status status =
        mkd_evaluation_metrics(evaluating->evaluation, all[i].name, &all[i].metrics);
    if (status != MKD_OK) {
      free(all);
      return status;
    }
  }
  *rows = all;
  *count = used;
  return MKD_OK;
}

/* ---- The verb -------------------------------------------------------------------------------- */

typedef struct {
  bool json, quiet;
  int resolution;
  const char *report; /* path, or NULL */
} eval_output;

static mkd_status write_results(eval_run *evaluating, const scan_plan *scan,
                                const eval_output *output, const eval_row *rows, size_t count)
{
  if (output->json)
    eval_print_json(rows, count, evaluating->model, evaluating->data);
  else
    eval_print_table(rows, count);
  if (!output->report) return MKD_OK;
  const report_input input = {.path = output->report,
                              .model = evaluating->model,
                              .data = evaluating->data,
                              .dataset = evaluating->dataset,
                              .records = evaluating->records,
                              .record_count = evaluating->scored,
                              .rows = rows,
                              .row_count = count,
                              .errors = evaluating->errors,
                              .error_count = evaluating->failed,
                              .threshold = evaluating->threshold,
                              .resolution = output->resolution,
                              .scan = scan};
  return report_write(&input, &evaluating->undrawn);
}

static mkd_status evaluate(eval_run *evaluating, scan_plan *scan, const eval_output *output)
{
  evaluating->total = mkd_dataset_count(evaluating->dataset);
  evaluating->records = must_grow(NULL, evaluating->total, sizeof *evaluating->records);
  evaluating->progress = progress_start(output->quiet);
  scan->count = evaluating->total;
  scan->next = next;
  scan->deliver = deliver;
  scan->context = evaluating;
  mkd_status status = scan_run(scan);
  progress_end(&evaluating->progress);
  eval_row *rows = NULL;
  size_t count = 0;
  if (status == MKD_OK) status = make_rows(evaluating, &rows, &count);
  if (status == MKD_OK) status = write_results(evaluating, scan, output, rows, count);
  free(rows);
  return status;
}

static void eval_free(eval_run *evaluating)
{
  for (size_t i = 0; i < evaluating->failed; ++i) free(evaluating->errors[i]);
  free(evaluating->errors);
  free(evaluating->records);
  mkd_evaluation_destroy(evaluating->evaluation);
  mkd_dataset_destroy(evaluating->dataset);
}

int verb_eval(int argc, char **argv)
{
  eval_run evaluating = {0};
  scan_plan scan = {.session = mkd_session_options_default(), .limits = mkd_limits_default()};
  scan.session.threads = 0;
  eval_output output = {0};
  const option_spec options[] = {
      {"format", 0, "FORMAT", "table (default) or json", parse_format, &output.json},
      {"localize", 0, "METHOD", "discrepancy, gradient, smoothgrad, gbp (else MODEL's)",
       parse_localize, &scan.session.localize},
      {"overlays", 0, "DIR", "write images under their maps, IMAGE.overlay.png", parse_text,
       &scan.pictures.overlays},
      {"report", 0, "FILE", "write an HTML page with figures, curves and images", parse_text,
       &output.report},
      {"resolution", 0, "N", "pixel metrics at NxN (default: at each mask's own size)",
       parse_resolution, &output.resolution},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &scan.limits},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &scan.session.threads},
      {"quiet", 'q', NULL, "no progress", parse_switch, &output.quiet},
  };
  const command_spec command = {
      .verb = "eval",
      .operands = "[options] MODEL DIR",
      .purpose = "Measures a model on a test set in MVTec AD layout: images in DIR/test/good and\n"
                 "DIR/test/KIND, masks in DIR/ground_truth/KIND.",
      .example = "mkd eval bottle.mkd mvtec/bottle --report bottle.html",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 2,
      .max_operands = 2,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;

  mkd_detector *detector = NULL;
  evaluating.model = operands[0];
  evaluating.data = operands[1];
  mkd_status status = output.report ? destination_check(output.report) : MKD_OK;
  if (status == MKD_OK && output.report)
    status = destination_spares(output.report, evaluating.model);
  if (status == MKD_OK) status = mkd_detector_load(&detector, evaluating.model, &scan.limits);
  if (status == MKD_OK)
    status = mkd_dataset_open(&evaluating.dataset, evaluating.data, MKD_SPLIT_TEST, &scan.limits);
  if (status == MKD_OK && output.report)
    status = destination_spares_images(output.report, evaluating.dataset);
  if (status == MKD_OK) status = pictures_check(&scan.pictures, detector, scan.session.localize);
  if (status == MKD_OK) status = mkd_evaluation_create(&evaluating.evaluation, output.resolution);
  scan.detector = detector;
  if (status == MKD_OK) status = evaluate(&evaluating, &scan, &output);
  int exit = fail("eval", status);
  if (exit == EXIT_DONE && evaluating.failed + evaluating.undrawn > 0) exit = EXIT_SOME_FAILED;
  eval_free(&evaluating);
  mkd_detector_destroy(detector);
  return exit;
}
