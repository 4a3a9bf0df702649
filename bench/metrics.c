/* Times the evaluation of a test set the size of a large MVTec AD category: 600 maps of 512x512
 * pixels, a third of them of normal images, with 3 defects in each of the others. */
#include <mkd/mkd.h>

#include "core/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { IMAGES = 600, SIDE = 512, DEFECTS = 3, DEFECT_SIDE = 50, KINDS = 5 };

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void check(mkd_status status)
{
  if (status == MKD_OK) return;
  fprintf(stderr, "%s\n", mkd_last_error());
  exit(1);
}

static void fill(float *map, uint8_t *mask, bool anomalous, mk_rng *rng)
{
  memset(mask, 0, SIDE * SIDE);
  for (int d = 0; anomalous && d < DEFECTS; ++d) {
    size_t x = mk_rng_below(rng, SIDE - DEFECT_SIDE), y = mk_rng_below(rng, SIDE - DEFECT_SIDE);
    for (size_t row = y; row < y + DEFECT_SIDE; ++row)
      memset(mask + row * SIDE + x, 255, DEFECT_SIDE);
  }
  for (size_t i = 0; i < SIDE * SIDE; ++i) {
    double noise = mk_rng_uniform(rng) + mk_rng_uniform(rng) + mk_rng_uniform(rng);
    map[i] = (float)(noise + (mask[i] ? 1 : 0));
  }
}

int main(void)
{
  static float map[SIDE * SIDE];
  static uint8_t mask[SIDE * SIDE];
  mkd_evaluation *evaluation;
  mkd_metrics metrics;
  mk_rng rng = mk_rng_seed(0, 0);
  double adding = 0;
  check(mkd_evaluation_create(&evaluation, 0));
  for (int i = 0; i < IMAGES; ++i) {
    bool anomalous = i % 3 != 0;
    char kind[] = "good";
    if (anomalous) snprintf(kind, sizeof kind, "%d", i % KINDS);
    fill(map, mask, anomalous, &rng);
    mkd_result result = {.score = mk_rng_uniform(&rng) + anomalous, .map = {map, SIDE, SIDE}};
    mkd_image image = {mask, SIDE, SIDE, SIDE, MKD_GREY8};
    double start = seconds();
    check(mkd_evaluation_add(evaluation, kind, anomalous, &result, anomalous ? &image : NULL));
    adding += seconds() - start;
  }
  double start = seconds();
  check(mkd_evaluation_metrics(evaluation, NULL, &metrics));
  double all = seconds() - start;
  start = seconds();
  mkd_metrics by_kind;
  check(mkd_evaluation_metrics(evaluation, "1", &by_kind));
  double one = seconds() - start;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("%d masks of %dx%d: add %.2f s, metrics of all %.2f s, of one kind of %d %.2f s, "
         "peak memory %.2f GB\n",
         IMAGES, SIDE, SIDE, adding, all, KINDS, one, (double)usage.ru_maxrss * 1024 * 1e-9);
  printf("pixel AUROC %.4f, AU-PRO(0.3) %.4f, AP %.4f, F1-max %.4f\n", metrics.pixel_auroc_all,
         metrics.aupro_30, metrics.pixel_ap, metrics.pixel_f1_max);
  mkd_evaluation_destroy(evaluation);
  return 0;
}
