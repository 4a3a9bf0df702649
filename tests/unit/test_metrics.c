#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "eval/metrics.h"
#include "eval/sort.h"

enum { MAX_VALUES = 1000, MAX_IMAGES = 8 };

static const double tolerance = 1e-12;

static double read_number(FILE *file)
{
  double value = 0;
  assert_int_equal(fscanf(file, "%lf", &value), 1);
  return value;
}

static void assert_close(const char *name, const char *metric, double got, double expected)
{
  if (isnan(expected) ? isnan(got) : fabs(got - expected) <= tolerance) return;
  fail_msg("%s: %s is %.17g instead of %.17g", name, metric, got, expected);
}

static void check_images(FILE *file, const char *name, size_t count)
{
  double scores[MAX_VALUES];
  bool anomalous[MAX_VALUES];
  assert_true(count <= MAX_VALUES);
  for (size_t i = 0; i < count; ++i) scores[i] = read_number(file);
  for (size_t i = 0; i < count; ++i) anomalous[i] = read_number(file) != 0;
  mk_image_metrics m;
  assert_int_equal(mk_image_metrics_of(&m, scores, anomalous, count), MKD_OK);
  assert_close(name, "AUROC", m.auroc, read_number(file));
  assert_close(name, "AP", m.average_precision, read_number(file));
  assert_close(name, "F1-max", m.f1_max, read_number(file));
  assert_true(m.f1_threshold == read_number(file));
  assert_close(name, "TPR at 1 %", m.tpr_at_fpr_1, read_number(file));
  assert_close(name, "TPR at 5 %", m.tpr_at_fpr_5, read_number(file));
}

static void check_pixels(FILE *file, const char *name, size_t count)
{
  mk_pixels pixels[MAX_IMAGES];
  const mk_pixels *images[MAX_IMAGES];
  assert_true(count <= MAX_IMAGES);
  for (size_t i = 0; i < count; ++i) {
    bool anomalous = read_number(file) != 0;
    int width = (int)read_number(file), height = (int)read_number(file);
    float map[MAX_VALUES];
    uint8_t mask[MAX_VALUES];
    assert_true(width * height <= MAX_VALUES);
    for (int p = 0; p < width * height; ++p) map[p] = (float)read_number(file);
    for (int p = 0; p < width * height; ++p) mask[p] = read_number(file) != 0 ? 200 : 0;
    assert_int_equal(mk_pixels_create(&pixels[i], map, anomalous ? mask : NULL, width, height),
                     MKD_OK);
    images[i] = &pixels[i];
  }
  mk_pixel_metrics m;
  assert_int_equal(mk_pixel_metrics_of(&m, images, count), MKD_OK);
  assert_close(name, "AUROC", m.auroc, read_number(file));
  assert_close(name, "AUROC of anomalous images", m.auroc_anomalous, read_number(file));
  assert_close(name, "AP", m.average_precision, read_number(file));
  assert_close(name, "F1-max", m.f1_max, read_number(file));
  assert_true(m.f1_threshold == read_number(file));
  assert_close(name, "AU-PRO(0.3)", m.aupro_30, read_number(file));
  assert_close(name, "AU-PRO(0.05)", m.aupro_5, read_number(file));
  for (size_t i = 0; i < count; ++i) mk_pixels_free(&pixels[i]);
}

static void metrics_match_the_reference(void **state)
{
  (void)state;
  FILE *file = fopen(FIXTURES "/metrics.txt", "r");
  assert_non_null(file);
  char type[16], name[64];
  size_t count, cases = 0;
  while (fscanf(file, "%15s %63s %zu", type, name, &count) == 3) {
    if (strcmp(type, "images") == 0)
      check_images(file, name, count);
    else
      check_pixels(file, name, count);
    ++cases;
  }
  assert_true(feof(file));
  assert_true(cases >= 29);
  fclose(file);
}

static void operating_points_hold_their_limit(void **state)
{
  (void)state;
  /* 100 normal images with scores 0..99. One false alarm is exactly 1 %, five are exactly 5 %. */
  double scores[104];
  bool anomalous[104] = {false};
  for (size_t i = 0; i < 100; ++i) scores[i] = (double)i;
  static const double found[] = {98.5, 98, 95, 94.5};
  for (size_t i = 0; i < 4; ++i) {
    scores[100 + i] = found[i];
    anomalous[100 + i] = true;
  }
  mk_image_metrics m;
  assert_int_equal(mk_image_metrics_of(&m, scores, anomalous, 104), MKD_OK);
  assert_true(m.tpr_at_fpr_1 == 0.25); /* 98 ties with the second normal image */
  assert_true(m.tpr_at_fpr_5 == 1.0);  /* 95 and 94.5 come after 5 normal images: 99 ... 95 */
  scores[102] = 94;
  scores[103] = 93;
  assert_int_equal(mk_image_metrics_of(&m, scores, anomalous, 104), MKD_OK);
  assert_true(m.tpr_at_fpr_5 == 0.5);
}

static mkd_status auroc_interval(double *low, double *high, const double *scores,
                                 const bool *anomalous, size_t count)
{
  mk_bounds auroc = {*low, *high}, precision;
  mkd_status status = mk_image_intervals(&auroc, &precision, scores, anomalous, count);
  *low = auroc.low;
  *high = auroc.high;
  return status;
}

static void scores_that_cannot_be_ranked(void **state)
{
  (void)state;
  double scores[3] = {1, 2, 3}, low = 42, high = 42;
  bool one_class[3] = {true, true, true}, both[3] = {true, false, true};
  mk_image_metrics m;
  assert_int_equal(mk_image_metrics_of(&m, scores, one_class, 3), MKD_ERROR_DATA);
  assert_string_equal(mkd_last_error(), "0 normal and 3 anomalous images; metrics need both kinds");
  assert_int_equal(auroc_interval(&low, &high, scores, one_class, 3), MKD_ERROR_DATA);
  assert_int_equal(mk_image_metrics_of(&m, scores, both, 0), MKD_ERROR_DATA);
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; ++i) {
    scores[1] = bad[i];
    assert_int_equal(mk_image_metrics_of(&m, scores, both, 3), MKD_ERROR_DATA);
    assert_non_null(strstr(mkd_last_error(), "image 2 of 3"));
    assert_int_equal(auroc_interval(&low, &high, scores, both, 3), MKD_ERROR_DATA);
    float map[6] = {0, 0, 0, 0, (float)bad[i], 0};
    mk_pixels pixels = {0};
    assert_int_equal(mk_pixels_create(&pixels, map, NULL, 3, 2), MKD_ERROR_DATA);
    assert_non_null(strstr(mkd_last_error(), "column 1, row 1"));
    assert_null(pixels.negative);
  }
  assert_true(low == 42 && high == 42);
}

static void pixels_need_both_kinds(void **state)
{
  (void)state;
  const float map[4] = {1, 2, 3, 4};
  const uint8_t ones[4] = {1, 1, 1, 1};
  mk_pixels full, normal;
  mk_pixel_metrics m;
  assert_int_equal(mk_pixels_create(&full, map, ones, 2, 2), MKD_OK);
  assert_int_equal(mk_pixels_create(&normal, map, NULL, 2, 2), MKD_OK);
  assert_int_equal(mk_pixel_metrics_of(&m, (const mk_pixels *const[]){&full}, 1), MKD_ERROR_DATA);
  assert_int_equal(mk_pixel_metrics_of(&m, (const mk_pixels *const[]){&normal}, 1), MKD_ERROR_DATA);
  assert_int_equal(mk_pixel_metrics_of(&m, NULL, 0), MKD_ERROR_DATA);
  mk_pixels_free(&full);
  mk_pixels_free(&normal);
}

/* AUROC and its standard error after Hanley and McNeil (1982). */
static double hanley_mcneil(double a, double positives, double negatives)
{
  double q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
  return sqrt((a * (1 - a) + (positives - 1) * (q1 - a * a) + (negatives - 1) * (q2 - a * a)) /
              (positives * negatives));
}

static void interval_is_as_wide_as_theory_says(void **state)
{
  (void)state;
  enum { NORMAL = 120, ANOMALOUS = 80, COUNT = NORMAL + ANOMALOUS };
  mk_rng rng = mk_rng_seed(4, 0);
  double scores[COUNT], low = 0, high = 0, again_low = 0, again_high = 0;
  bool anomalous[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    anomalous[i] = i >= NORMAL;
    scores[i] = mk_rng_normal(&rng) + anomalous[i];
  }
  mk_image_metrics m;
  assert_int_equal(mk_image_metrics_of(&m, scores, anomalous, COUNT), MKD_OK);
  assert_int_equal(auroc_interval(&low, &high, scores, anomalous, COUNT), MKD_OK);
  assert_int_equal(auroc_interval(&again_low, &again_high, scores, anomalous, COUNT), MKD_OK);
  assert_true(low == again_low && high == again_high);
  assert_true(low < m.auroc && m.auroc < high);
  double width = 2 * 1.96 * hanley_mcneil(m.auroc, ANOMALOUS, NORMAL);
  assert_float_equal(high - low, width, 0.15 * width);
}

static void interval_covers_the_truth(void **state)
{
  (void)state;
  enum { SETS = 200, NORMAL = 40, ANOMALOUS = 40, COUNT = NORMAL + ANOMALOUS };
  const double truth = 0.5 * erfc(-1.0 / 2); /* Phi(1 / sqrt 2) */
  mk_rng rng = mk_rng_seed(6, 0);
  int covered = 0;
  for (int set = 0; set < SETS; ++set) {
    double scores[COUNT], low = 0, high = 0;
    bool anomalous[COUNT];
    for (size_t i = 0; i < COUNT; ++i) {
      anomalous[i] = i >= NORMAL;
      scores[i] = mk_rng_normal(&rng) + anomalous[i]; /* difference: mean 1, variance 2 */
    }
    assert_int_equal(auroc_interval(&low, &high, scores, anomalous, COUNT), MKD_OK);
    covered += low <= truth && truth <= high;
  }
  assert_in_range(covered, SETS * 90 / 100, SETS * 99 / 100);
}

static void interval_of_degenerate_scores(void **state)
{
  (void)state;
  double low = 0, high = 0;
  const double perfect[4] = {1, 2, 3, 4}, tied[4] = {1, 1, 1, 1};
  const bool anomalous[4] = {false, false, true, true};
  assert_int_equal(auroc_interval(&low, &high, perfect, anomalous, 4), MKD_OK);
  assert_true(low == 1 && high == 1);
  assert_int_equal(auroc_interval(&low, &high, tied, anomalous, 4), MKD_OK);
  assert_true(low == 0.5 && high == 0.5);
}

/* The mean of the resamples' average precision is near that of the sample; its spread is that of
 * samples drawn afresh. */
static void interval_of_average_precision(void **state)
{
  (void)state;
  enum { SETS = 300, NORMAL = 60, ANOMALOUS = 40, COUNT = NORMAL + ANOMALOUS };
  mk_rng rng = mk_rng_seed(8, 0);
  double sum = 0, squares = 0, widths = 0;
  for (int set = 0; set < SETS; ++set) {
    double scores[COUNT];
    bool anomalous[COUNT];
    mk_image_metrics m;
    mk_bounds auroc, precision;
    for (size_t i = 0; i < COUNT; ++i) {
      anomalous[i] = i >= NORMAL;
      scores[i] = mk_rng_normal(&rng) + anomalous[i];
    }
    assert_int_equal(mk_image_metrics_of(&m, scores, anomalous, COUNT), MKD_OK);
    assert_int_equal(mk_image_intervals(&auroc, &precision, scores, anomalous, COUNT), MKD_OK);
    assert_true(precision.low < m.average_precision && m.average_precision < precision.high);
    sum += m.average_precision;
    squares += m.average_precision * m.average_precision;
    widths += precision.high - precision.low;
  }
  double deviation = sqrt(squares / SETS - sum / SETS * (sum / SETS));
  assert_float_equal(widths / SETS, 2 * 1.96 * deviation, 0.15 * 2 * 1.96 * deviation);
}

static void interval_of_rates(void **state)
{
  (void)state;
  /* scipy.stats.binomtest(7, 20).proportion_ci(method="wilson") */
  mk_bounds some = mk_rate_interval(7, 20), none = mk_rate_interval(0, 10);
  mk_bounds all = mk_rate_interval(10, 10), one = mk_rate_interval(1, 1);
  assert_float_equal(some.low, 0.18119182, 1e-8);
  assert_float_equal(some.high, 0.56714571, 1e-8);
  assert_true(none.low == 0 && all.high == 1 && one.high == 1);
  assert_float_equal(none.high, 0.27753279, 1e-8);
  assert_float_equal(all.low, 1 - none.high, 1e-12);
}

/* Labels by flooding from each unlabelled pixel, with its own stack. */
static uint32_t flood_components(uint32_t *labels, const uint8_t *mask, int width, int height)
{
  int *stack = malloc(sizeof(int) * (size_t)(width * height));
  uint32_t count = 0;
  assert_non_null(stack);
  memset(labels, 0, sizeof *labels * (size_t)(width * height));
  for (int start = 0; start < width * height; ++start) {
    if (!mask[start] || labels[start]) continue;
    int depth = 0;
    labels[start] = ++count;
    stack[depth++] = start;
    while (depth > 0) {
      int at = stack[--depth], x = at % width, y = at / width;
      for (int ny = y - 1; ny <= y + 1; ++ny)
        for (int nx = x - 1; nx <= x + 1; ++nx) {
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          int next = ny * width + nx;
          if (!mask[next] || labels[next]) continue;
          labels[next] = count;
          stack[depth++] = next;
        }
    }
  }
  free(stack);
  return count;
}

static void components_match_flooding(void **state)
{
  (void)state;
  enum { SIDE = 40 };
  mk_rng rng = mk_rng_seed(9, 0);
  for (int round = 0; round < 500; ++round) {
    int width = 1 + (int)mk_rng_below(&rng, SIDE), height = 1 + (int)mk_rng_below(&rng, SIDE);
    double density = mk_rng_uniform(&rng);
    uint8_t mask[SIDE * SIDE];
    uint32_t labels[SIDE * SIDE], expected[SIDE * SIDE];
    for (int i = 0; i < width * height; ++i) mask[i] = mk_rng_uniform(&rng) < density;
    uint32_t count = flood_components(expected, mask, width, height);
    assert_int_equal(mk_label_components(labels, mask, width, height), count);
    assert_memory_equal(labels, expected, sizeof *labels * (size_t)(width * height));
  }
}

static int compare_u32(const void *left, const void *right)
{
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

static void sort_matches_qsort(void **state)
{
  (void)state;
  enum { COUNT = 5000 };
  static const uint32_t masks[] = {UINT32_MAX, 0xFF, 0xFF000000, 0x003FF800, 0xFFC00001, 0};
  static uint32_t keys[COUNT], expected[COUNT], scratch[COUNT];
  static uint64_t pairs[COUNT], pair_scratch[COUNT];
  mk_rng rng = mk_rng_seed(10, 0);
  for (size_t m = 0; m < sizeof masks / sizeof *masks; ++m) {
    for (size_t i = 0; i < COUNT; ++i) {
      keys[i] = expected[i] = (uint32_t)mk_rng_next(&rng) & masks[m];
      pairs[i] = (uint64_t)keys[i] << 32 | i;
    }
    qsort(expected, COUNT, sizeof *expected, compare_u32);
    assert_memory_equal(mk_sort_u32(keys, scratch, COUNT), expected, sizeof expected);
    const uint64_t *sorted = mk_sort_u64_high(pairs, pair_scratch, COUNT);
    for (size_t i = 0; i < COUNT; ++i) {
      assert_int_equal(sorted[i] >> 32, expected[i]);
      if (i > 0) assert_true(sorted[i - 1] < sorted[i]); /* stable */
    }
  }
  assert_ptr_equal(mk_sort_u32(keys, scratch, 0), keys);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(metrics_match_the_reference),
      cmocka_unit_test(operating_points_hold_their_limit),
      cmocka_unit_test(scores_that_cannot_be_ranked),
      cmocka_unit_test(pixels_need_both_kinds),
      cmocka_unit_test(interval_of_average_precision),
      cmocka_unit_test(interval_of_rates),
      cmocka_unit_test(interval_is_as_wide_as_theory_says),
      cmocka_unit_test(interval_covers_the_truth),
      cmocka_unit_test(interval_of_degenerate_scores),
      cmocka_unit_test(components_match_flooding),
      cmocka_unit_test(sort_matches_qsort),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
