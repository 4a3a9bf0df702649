/* mkd score: one line of output for each image, in the order they are named. */
#include "ahead.h"
#include "cli.h"
#include "inputs.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "scan.h"
#include "verbs.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

typedef enum { FORMAT_TABLE, FORMAT_JSONL, FORMAT_CSV } score_format;

typedef struct {
  input_list *inputs;
  job_ahead single; /* its job, if there is only one */
  score_format format;
  bool bar; /* nothing else on the terminal shows how far the work is */
  progress_bar progress;
  size_t total, done, anomalous, failed;
  mkd_threshold threshold; /* of the last result */
} score_run;

static const char *parse_format(void *value, const char *text)
{
  static const char *const names[] = {"table", "jsonl", "csv"};
  for (int i = 0; i < 3; ++i) {
    if (strcmp(text, names[i]) != 0) continue;
    *(score_format *)value = (score_format)i;
    return NULL;
  }
  return "table, jsonl or csv";
}

static void print_head(score_format format)
{
  if (format == FORMAT_TABLE) puts("       score   p-value  verdict    image");
  if (format == FORMAT_CSV) puts("path,score,p_value,threshold,anomalous,map_max,ms,error");
}

static void print_table(const scan_job *job, const scan_outcome *outcome)
{
  const mkd_result *result = outcome->result;
  if (result) {
    plain_number(stdout, 12, 4, result->score);
    plain_number(stdout, 10, 4, result->p_value);
  } else {
    printf("%12s%10s", "-", "-");
  }
  printf("  %-9s  ", !result ? "error" : result->anomalous ? "anomalous" : "normal");
  plain_text(stdout, job->path);
  putchar('\n');
}

/* Thousandths of a millisecond, below which there is only noise. */
static double rounded_ms(const mkd_result *result)
{
  return round(result->ms * 1000) / 1000;
}

static void print_json(const scan_job *job, const scan_outcome *outcome)
{
  const mkd_result *result = outcome->result;
  fputs("{\"path\": ", stdout);
  json_text(stdout, job->path);
  fputs(", \"score\": ", stdout);
  json_number(stdout, result ? result->score : NAN);
  fputs(", \"p_value\": ", stdout);
  json_number(stdout, result ? result->p_value : NAN);
  fputs(", \"threshold\": ", stdout);
  json_number(stdout, result ? result->threshold.score : NAN);
  printf(", \"anomalous\": %s", !result ? "null" : result->anomalous ? "true" : "false");
  fputs(", \"map_max\": ", stdout);
  json_number(stdout, result ? result->map_max : NAN);
  fputs(", \"ms\": ", stdout);
  json_number(stdout, result ? rounded_ms(result) : NAN);
  fputs(", \"error\": ", stdout);
  json_text_or_null(stdout, outcome->error);
  fputs("}\n", stdout);
}

static void print_csv(const scan_job *job, const scan_outcome *outcome)
{
  const mkd_result *result = outcome->result;
  csv_text(stdout, job->path);
  putchar(',');
  csv_number(stdout, result ? result->score : NAN);
  putchar(',');
  csv_number(stdout, result ? result->p_value : NAN);
  putchar(',');
  csv_number(stdout, result ? result->threshold.score : NAN);
  printf(",%s,", !result ? "" : result->anomalous ? "true" : "false");
  csv_number(stdout, result ? result->map_max : NAN);
  putchar(',');
  csv_number(stdout, result ? rounded_ms(result) : NAN);
  putchar(',');
  csv_text(stdout, outcome->error ? outcome->error : "");
  putchar('\n');
}

static bool next(void *context, scan_job *job)
{
  score_run *scoring = context;
  if (!scoring->single.job.path) return inputs_next(scoring->inputs, job);
  ahead_finish(&scoring->single);
  *job = scoring->single.job;
  scoring->single.job = (scan_job){0};
  return true;
}

static mkd_status deliver(void *context, const scan_job *job, const scan_outcome *outcome)
{
  score_run *scoring = context;
  ++scoring->done;
  if (outcome->result) {
    scoring->anomalous += outcome->result->anomalous;
    scoring->threshold = outcome->result->threshold;
  } else {
    ++scoring->failed;
    progress_note(&scoring->progress, "mkd score: %s", outcome->error);
  }
  switch (scoring->format) {
  case FORMAT_TABLE:
    print_table(job, outcome);
    break;
  case FORMAT_JSONL:
    print_json(job, outcome);
    break;
  case FORMAT_CSV:
    print_csv(job, outcome);
    break;
  }
  if (scoring->bar) progress_count(&scoring->progress, scoring->done, scoring->total);
  /* At once, so that a pipeline can act on it. */
  return output_flush() ? MKD_OK : MKD_CANCELLED; /* main tells why */
}

static void print_summary(const score_run *scoring)
{
  fprintf(stderr, "%zu image%s: %zu anomalous", scoring->done, scoring->done == 1 ? "" : "s",
          scoring->anomalous);
  if (scoring->failed > 0) fprintf(stderr, ", %zu failed", scoring->failed);
  if (scoring->done > scoring->failed)
    fprintf(stderr, "; threshold %.4f for a false-alarm rate of %g%s", scoring->threshold.score,
            scoring->threshold.false_alarm,
            scoring->threshold.extrapolated ? " (extrapolated)" : "");
  fputc('\n', stderr);
}

static int score(const char *model, score_run *scoring, scan_plan *scan, bool quiet)
{
  mkd_detector *detector = NULL;
  scoring->total = inputs_count(scoring->inputs);
  /* An image alone keeps one thread busy until it is loaded, and so does a model. */
  if (scoring->total == 1 && scan->session.threads != 1) {
    scoring->single.limits = scan->limits;
    if (inputs_next(scoring->inputs, &scoring->single.job)) ahead_start(&scoring->single);
  }
  mkd_status status = mkd_detector_load(&detector, model, &scan->limits);
  if (status == MKD_OK) status = pictures_check(&scan->pictures, detector, scan->session.localize);
  if (status == MKD_OK) {
    scoring->bar = !isatty(STDOUT_FILENO);
    scoring->progress = progress_start(quiet);
    scan->detector = detector;
    scan->count = scoring->total;
    scan->next = next;
    scan->deliver = deliver;
    scan->context = scoring;
    print_head(scoring->format);
    status = scan_run(scan);
    progress_end(&scoring->progress);
    if (!quiet && status == MKD_OK && output_flush()) print_summary(scoring);
  }
  ahead_finish(&scoring->single);
  scan_job_free(&scoring->single.job);
  mkd_detector_destroy(detector);
  return fail("score", status);
}

int verb_score(int argc, char **argv)
{
  score_run scoring = {0};
  scan_plan scan = {.session = mkd_session_options_default(), .limits = mkd_limits_default()};
  scan.session.threads = 0;
  bool fail_on_anomaly = false, quiet = false;
  const option_spec options[] = {
      {"format", 0, "FORMAT", "table (default), jsonl or csv", parse_format, &scoring.format},
      {"maps", 0, "DIR", "write heat maps, IMAGE.map.tiff (32-bit float)", parse_text,
       &scan.pictures.maps},
      {"overlays", 0, "DIR", "write images under their maps, IMAGE.overlay.png", parse_text,
       &scan.pictures.overlays},
      {"masks", 0, "DIR", "write where the map is anomalous, IMAGE.mask.png", parse_text,
       &scan.pictures.masks},
      {"localize", 0, "METHOD", "discrepancy, gradient, smoothgrad, gbp (else MODEL's)",
       parse_localize, &scan.session.localize},
      {"false-alarm", 0, "RATE", "use the threshold for this rate of false alarms", parse_rate,
       &scan.session.false_alarm},
      {"fail-on-anomaly", 0, NULL, "exit with status 5 if an image is anomalous", parse_switch,
       &fail_on_anomaly},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &scan.limits},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &scan.session.threads},
      {"quiet", 'q', NULL, "no progress, no summary", parse_switch, &quiet},
  };
  const command_spec command = {
      .verb = "score",
      .operands = "[options] MODEL PATH...",
      .purpose =
          "Scores images: the higher, the more anomalous. A PATH is an image, a folder that\n"
          "is searched recursively, or - for names on standard input, one a line.",
      .example = "mkd score parts.mkd incoming --format csv --overlays found",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 2,
      .max_operands = INT_MAX,
  };
  char **operands;
  int count;
  int status = options_parse(&command, argc, argv, &operands, &count);
  if (status != OPTIONS_OK) return status;
  int streams = 0;
  for (int i = 1; i < count; ++i) streams += strcmp(operands[i], "-") == 0;
  if (streams > 1) return usage_error(&command, "standard input (-) is named more than once");

  scoring.inputs = inputs_open(operands + 1, count - 1, &scan.limits);
  status = score(operands[0], &scoring, &scan, quiet);
  inputs_close(scoring.inputs);
  if (status != EXIT_DONE) return status;
  if (fail_on_anomaly && scoring.anomalous > 0) return EXIT_ANOMALY;
  return scoring.failed > 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}
