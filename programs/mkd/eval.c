/* mkd eval: metrics of a model on a labelled test set, over all and per kind of defect. */
#include "cli.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "scan.h"
#include "verbs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *model, *data; /* as named on the command line */
  mkd_dataset *dataset;
  mkd_evaluation *evaluation;
  progress_bar progress;
  size_t total, next, done, failed;
  mkd_status status; /* of the evaluation */
} eval_run;

/* Metrics of all kinds together (name NULL), or of the normal images against one kind. */
typedef struct {
  const char *name;
  mkd_metrics metrics;
} eval_row;

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

static bool deliver(void *context, const scan_job *job, const scan_outcome *outcome)
{
  eval_run *evaluating = context;
  ++evaluating->done;
  if (outcome->result) {
    mkd_dataset_item item = mkd_dataset_get(evaluating->dataset, job->index);
    evaluating->status = mkd_evaluation_add(evaluating->evaluation, item.kind, item.anomalous,
                                            outcome->result, outcome->mask);
  } else {
    ++evaluating->failed;
    progress_note(&evaluating->progress, "mkd eval: %s", outcome->error);
  }
  progress_count(&evaluating->progress, evaluating->done, evaluating->total);
  return evaluating->status == MKD_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* One row for each kind of defect, in the order of the data set, and one over all at the end. */
static mkd_status make_rows(const eval_run *evaluating, eval_row **rows, size_t *count)
{
  eval_row *all = NULL;
  size_t used = 0;
  for (size_t i = 0; i < evaluating->total; ++i) {
    mkd_dataset_item item = mkd_dataset_get(evaluating->dataset, i);
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

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_member(const char *before, const char *key, double value)
{
  printf("%s\"%s\": ", before, key);
  json_number(stdout, value);
}

static void print_json_interval(const mkd_interval *interval)
{
  if (isnan(interval->low) || isnan(interval->high)) {
    fputs("null", stdout);
    return;
  }
  putchar('[');
  json_number(stdout, interval->low);
  fputs(", ", stdout);
  json_number(stdout, interval->high);
  putchar(']');
}

static void print_json_metrics(const mkd_metrics *m)
{
  fputs("\"image\": {", stdout);
  json_member("", "auroc", m->image_auroc.value);
  fputs(", \"auroc_ci95\": ", stdout);
  print_json_interval(&m->image_auroc);
  json_member(", ", "ap", m->image_ap.value);
  fputs(", \"ap_ci95\": ", stdout);
  print_json_interval(&m->image_ap);
  json_member(", ", "f1_max", m->image_f1_max);
  fputs("}, \"pixel\": {", stdout);
  json_member("", "auroc_all", m->pixel_auroc_all);
  json_member(", ", "auroc_anomalous", m->pixel_auroc_anomalous);
  json_member(", ", "aupro_0.3", m->aupro_30);
  json_member(", ", "aupro_0.05", m->aupro_5);
  json_member(", ", "f1_max", m->pixel_f1_max);
  json_member(", ", "ap", m->pixel_ap);
  fputs("}, \"at_threshold\": {", stdout);
  json_member("", "false_alarm_rate", m->false_alarm_rate.value);
  fputs(", \"false_alarm_rate_ci95\": ", stdout);
  print_json_interval(&m->false_alarm_rate);
  json_member(", ", "detection_rate", m->detection_rate.value);
  fputs(", \"detection_rate_ci95\": ", stdout);
  print_json_interval(&m->detection_rate);
  printf("}, \"images\": {\"normal\": %zu, \"anomalous\": %zu}", m->normal, m->anomalous);
}

static void print_json(const eval_run *evaluating, const eval_row *rows, size_t count)
{
  putchar('{');
  print_json_metrics(&rows[count - 1].metrics);
  fputs(", \"kinds\": {", stdout);
  for (size_t i = 0; i + 1 < count; ++i) {
    if (i > 0) fputs(", ", stdout);
    json_text(stdout, rows[i].name);
    fputs(": {", stdout);
    print_json_metrics(&rows[i].metrics);
    putchar('}');
  }
  fputs("}, \"model\": ", stdout);
  json_text(stdout, evaluating->model);
  fputs(", \"data\": ", stdout);
  json_text(stdout, evaluating->data);
  puts("}");
}

/* ---- Table ----------------------------------------------------------------------------------- */

static void print_name(const eval_row *row)
{
  printf("%-16.16s", row->name ? row->name : "all kinds");
}

static void print_percent(int width, double rate)
{
  plain_number(stdout, width, 1, 100 * rate);
}

static void print_image_row(const eval_row *row)
{
  const mkd_metrics *m = &row->metrics;
  print_name(row);
  printf("%7zu%10zu", m->normal, m->anomalous);
  print_percent(8, m->image_auroc.value);
  if (isnan(m->image_auroc.low) || isnan(m->image_auroc.high))
    printf("%14s", "-");
  else
    printf("  %5.1f -%6.1f", 100 * m->image_auroc.low, 100 * m->image_auroc.high);
  print_percent(8, m->image_ap.value);
  print_percent(8, m->image_f1_max);
  putchar('\n');
}

static void print_pixel_row(const eval_row *row)
{
  const mkd_metrics *m = &row->metrics;
  print_name(row);
  print_percent(11, m->pixel_auroc_all);
  print_percent(12, m->pixel_auroc_anomalous);
  print_percent(11, m->aupro_30);
  print_percent(12, m->aupro_5);
  print_percent(8, m->pixel_ap);
  print_percent(8, m->pixel_f1_max);
  putchar('\n');
}

static void print_threshold_row(const eval_row *row)
{
  print_name(row);
  print_percent(11, row->metrics.detection_rate.value);
  print_percent(12, row->metrics.false_alarm_rate.value);
  putchar('\n');
}

static bool has_pixels(const mkd_metrics *metrics)
{
  return !isnan(metrics->pixel_auroc_all) || !isnan(metrics->pixel_auroc_anomalous);
}

static void print_table(const eval_row *rows, size_t count)
{
  puts("Images, %: all normal ones against those of a kind");
  puts("kind             normal anomalous   AUROC  95% interval      AP  F1 max");
  for (size_t i = 0; i < count; ++i) print_image_row(&rows[i]);
  if (has_pixels(&rows[count - 1].metrics)) {
    puts("\nPixels, %: AUROC over all images and over anomalous ones only; the rest over all");
    puts("kind              AUROC all  AUROC anom.  AUPRO 0.3  AUPRO 0.05     AP  F1 max");
    for (size_t i = 0; i < count; ++i) print_pixel_row(&rows[i]);
  } else {
    puts("\nPixels: none, as the data has no masks or the model makes no map");
  }
  puts("\nAt the model's threshold, % of images");
  puts("kind              detected  false alarms");
  for (size_t i = 0; i < count; ++i) print_threshold_row(&rows[i]);
}

/* ---- The verb -------------------------------------------------------------------------------- */

static mkd_status evaluate(eval_run *evaluating, scan_plan *scan, bool json, bool quiet)
{
  evaluating->total = mkd_dataset_count(evaluating->dataset);
  evaluating->progress = progress_start(quiet);
  scan->count = evaluating->total;
  scan->next = next;
  scan->deliver = deliver;
  scan->context = evaluating;
  mkd_status status = scan_run(scan);
  progress_end(&evaluating->progress);
  if (status == MKD_OK) status = evaluating->status;
  eval_row *rows = NULL;
  size_t count = 0;
  if (status == MKD_OK) status = make_rows(evaluating, &rows, &count);
  if (status != MKD_OK) return status;
  if (json)
    print_json(evaluating, rows, count);
  else
    print_table(rows, count);
  free(rows);
  return MKD_OK;
}

int verb_eval(int argc, char **argv)
{
  eval_run evaluating = {0};
  scan_plan scan = {.session = mkd_session_options_default()};
  scan.session.threads = 0;
  bool json = false, quiet = false;
  int resolution = 0;
  const option_spec options[] = {
      {"format", 0, "FORMAT", "table (default) or json", parse_format, &json},
      {"localize", 0, "METHOD", "discrepancy, gradient, smoothgrad, gbp (else MODEL's)",
       parse_localize, &scan.session.localize},
      {"overlays", 0, "DIR", "write images under their maps, IMAGE.overlay.png", parse_text,
       &scan.pictures.overlays},
      {"resolution", 0, "N", "pixel metrics at NxN (default: at each mask's own size)",
       parse_resolution, &resolution},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &scan.session.threads},
      {"quiet", 'q', NULL, "no progress", parse_switch, &quiet},
  };
  const command_spec command = {
      .verb = "eval",
      .operands = "[options] MODEL DIR",
      .purpose = "Measures a model on a test set in MVTec AD layout: images in DIR/test/good and\n"
                 "DIR/test/KIND, masks in DIR/ground_truth/KIND.",
      .example = "  mkd eval bottle.mkd mvtec/bottle --format json",
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
  mkd_status status = mkd_detector_load(&detector, evaluating.model);
  if (status == MKD_OK)
    status = mkd_dataset_open(&evaluating.dataset, evaluating.data, MKD_SPLIT_TEST);
  if (status == MKD_OK) status = mkd_evaluation_create(&evaluating.evaluation, resolution);
  scan.detector = detector;
  if (status == MKD_OK) status = evaluate(&evaluating, &scan, json, quiet);
  int exit = fail("eval", status);
  mkd_evaluation_destroy(evaluating.evaluation);
  mkd_dataset_destroy(evaluating.dataset);
  mkd_detector_destroy(detector);
  return exit == EXIT_DONE && evaluating.failed > 0 ? EXIT_SOME_FAILED : exit;
}
