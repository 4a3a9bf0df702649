/* mkd bench: where the time of scoring an image goes, against the peak of the machine. */
#include "cli.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

enum { DECODE_ROUNDS = 20 };

typedef struct {
  const char *model, *image;
  mkd_limits limits;
  int threads;
  mkd_localize localize;
  double peak; /* GFLOP/s */
} bench_run;

static void print_part(void *context, const mkd_measurement *m)
{
  const bench_run *bench = context;
  printf("%-34s %9.3f ms", m->name, m->ms);
  if (m->gflop > 0) {
    double rate = 1e3 * m->gflop / m->ms;
    printf(" %8.1f GFLOP/s %4.0f %%", rate, 100 * rate / bench->peak);
  }
  putchar('\n');
  output_flush(); /* the next line takes its time */
}

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Reads the file anew each time; it stays in the system's cache. */
static mkd_status measure_decode(bench_run *bench, mkd_picture **picture)
{
  double times[DECODE_ROUNDS];
  *picture = NULL;
  for (int i = 0; i < DECODE_ROUNDS; ++i) {
    mkd_picture_destroy(*picture);
    *picture = NULL;
    double start = seconds_now();
    mkd_status status = mkd_picture_load(picture, bench->image, &bench->limits);
    if (status != MKD_OK) return status;
    times[i] = 1e3 * (seconds_now() - start);
  }
  qsort(times, DECODE_ROUNDS, sizeof *times, ascending);
  print_part(bench, &(mkd_measurement){.name = "decode", .ms = times[DECODE_ROUNDS / 2]});
  return MKD_OK;
}

static mkd_status measure(bench_run *bench)
{
  mkd_detector *detector = NULL;
  mkd_picture *picture = NULL;
  mkd_session_options options = mkd_session_options_default();
  options.threads = bench->threads;
  options.localize = bench->localize;
  mkd_status status = mkd_detector_load(&detector, bench->model, &bench->limits);
  if (status == MKD_OK) status = mkd_measure_peak(&bench->peak, bench->threads);
  if (status == MKD_OK) {
    printf("%s\npeak       %.1f GFLOP/s, %d thread%s\n\n", mkd_build_info(), bench->peak,
           bench->threads, bench->threads == 1 ? "" : "s");
    status = measure_decode(bench, &picture);
  }
  if (status == MKD_OK)
    status = mkd_measure_stages(detector, mkd_picture_image(picture), &options, print_part, bench);
  if (status == MKD_OK) {
    putchar('\n');
    status = mkd_measure_layers(detector, bench->threads, print_part, bench);
  }
  mkd_picture_destroy(picture);
  mkd_detector_destroy(detector);
  return status;
}

int verb_bench(int argc, char **argv)
{
  bench_run bench = {.limits = mkd_limits_default(), .threads = 1};
  const option_spec options[] = {
      {"localize", 0, "METHOD", "discrepancy, gradient, smoothgrad, gbp (else MODEL's)",
       parse_localize, &bench.localize},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &bench.limits},
      {"threads", 0, "N", "threads; 0 = one a core (default 1)", parse_threads, &bench.threads},
  };
  const command_spec command = {
      .verb = "bench",
      .operands = "[options] MODEL IMAGE",
      .purpose = "Times the stages of scoring one image - decode, resize, expert, cloner, score,\n"
                 "map - and every kind of layer of both networks, against the most that this\n"
                 "machine's arithmetic units can do. Layers that Winograd's algorithm computes\n"
                 "may exceed it, as they take fewer operations than are counted. Of a model that\n"
                 "cuts images into tiles, one tile is timed.",
      .example = "mkd bench parts.mkd parts/new.png --threads 2",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 2,
      .max_operands = 2,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;
  interrupt_at_once();
  bench.model = operands[0];
  bench.image = operands[1];
  if (bench.threads == 0) bench.threads = core_count();
  mkd_status status = measure(&bench);
  return status == MKD_OK ? EXIT_DONE : fail("bench", status);
}
