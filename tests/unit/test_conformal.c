#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "core/rng.h"
#include "detect/conformal.h"

enum { MAX_HELD_OUT = 400 };

typedef double draw(mk_rng *rng);

static double draw_normal(mk_rng *rng)
{
  return mk_rng_normal(rng);
}

static double draw_exponential(mk_rng *rng)
{
  return -log1p(-mk_rng_uniform(rng));
}

static double draw_log_normal(mk_rng *rng)
{
  return exp(0.5 * mk_rng_normal(rng));
}

static double draw_quantised(mk_rng *rng)
{
  return floor(5 * mk_rng_uniform(rng));
}

static double threshold_of(const double *sorted, size_t count, double rate, bool *extrapolated)
{
  double threshold = NAN;
  assert_int_equal(mk_conformal_threshold(&threshold, extrapolated, sorted, count, rate), MKD_OK);
  return threshold;
}

static void threshold_is_the_order_statistic(void **state)
{
  (void)state;
  double scores[99];
  for (size_t i = 0; i < 99; ++i) scores[i] = (double)((i * 37) % 99) + 1; /* 1..99 shuffled */
  assert_int_equal(mk_conformal_sort(scores, 99), MKD_OK);
  for (size_t i = 0; i < 99; ++i) assert_true(scores[i] == (double)i + 1);
  bool extrapolated;
  for (int percent = 1; percent < 100; ++percent) {
    /* ceil(100 * (1 - percent / 100)) = 100 - percent, whatever the rounding of percent / 100 */
    assert_true(threshold_of(scores, 99, percent / 100.0, &extrapolated) == 100 - percent);
    assert_false(extrapolated);
  }
  assert_true(threshold_of(scores, 99, 0.015, &extrapolated) == 99); /* ceil(98.5) */
  assert_true(threshold_of(scores, 99, 0.999999, &extrapolated) == 1);
  assert_true(threshold_of(scores, 1, 0.5, &extrapolated) == 1);
  assert_false(extrapolated);
}

static void p_value_counts_ties(void **state)
{
  (void)state;
  const double scores[] = {-1, 0, 2, 2, 2, 7};
  assert_true(mk_conformal_p_value(scores, 6, -5) == 1);
  assert_true(mk_conformal_p_value(scores, 6, -1) == 1);
  assert_true(mk_conformal_p_value(scores, 6, 0) == 6.0 / 7);
  assert_true(mk_conformal_p_value(scores, 6, -0.0) == 6.0 / 7);
  assert_true(mk_conformal_p_value(scores, 6, 2) == 5.0 / 7);
  assert_true(mk_conformal_p_value(scores, 6, 2.5) == 2.0 / 7);
  assert_true(mk_conformal_p_value(scores, 6, 7) == 2.0 / 7);
  assert_true(mk_conformal_p_value(scores, 6, 8) == 1.0 / 7);
  assert_true(mk_conformal_p_value(NULL, 0, 8) == 1);
}

static void verdict_and_p_value_agree(void **state)
{
  (void)state;
  /* score > threshold exactly when p <= rate, as long as no score has to be extrapolated */
  mk_rng rng = mk_rng_seed(3, 0);
  double scores[50];
  for (size_t i = 0; i < 50; ++i) scores[i] = draw_normal(&rng);
  assert_int_equal(mk_conformal_sort(scores, 50), MKD_OK);
  for (int i = 0; i < 2000; ++i) {
    double rate = 0.02 + 0.9 * mk_rng_uniform(&rng), score = 1.5 * draw_normal(&rng);
    bool extrapolated;
    bool anomalous = score > threshold_of(scores, 50, rate, &extrapolated);
    assert_false(extrapolated);
    assert_int_equal(anomalous, mk_conformal_p_value(scores, 50, score) <= rate);
  }
}

/* False-alarm rate of the threshold, over many held-out sets. */
static double false_alarm_rate(draw *next, size_t count, double rate, int sets)
{
  mk_rng rng = mk_rng_seed(11, count);
  double scores[MAX_HELD_OUT];
  size_t alarms = 0;
  enum { NEW = 20 };
  for (int set = 0; set < sets; ++set) {
    for (size_t i = 0; i < count; ++i) scores[i] = next(&rng);
    assert_int_equal(mk_conformal_sort(scores, count), MKD_OK);
    bool extrapolated;
    double threshold = threshold_of(scores, count, rate, &extrapolated);
    assert_int_equal(extrapolated, (double)(count + 1) * rate < 1);
    for (int i = 0; i < NEW; ++i) alarms += next(&rng) > threshold;
  }
  return (double)alarms / sets / NEW;
}

static void false_alarms_are_as_asked(void **state)
{
  (void)state;
  /* Exchangeable scores without ties: the rate is floor((n + 1) a) / (n + 1), on average. */
  assert_float_equal(false_alarm_rate(draw_normal, 19, 0.1, 10000), 0.1, 0.006);
  assert_float_equal(false_alarm_rate(draw_exponential, 39, 0.05, 10000), 0.05, 0.004);
  assert_float_equal(false_alarm_rate(draw_log_normal, 5, 0.4, 10000), 2.0 / 6, 0.012);
  assert_true(false_alarm_rate(draw_quantised, 19, 0.1, 10000) <= 0.1 + 0.004);
}

static void extrapolated_false_alarms_are_as_asked(void **state)
{
  (void)state;
  static const size_t counts[] = {2, 5, 10, 20, 50};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
    size_t n = counts[i];
    /* Exact for an exponential tail; at most as asked for lighter ones. */
    assert_float_equal(false_alarm_rate(draw_exponential, n, 0.01, 40000), 0.01, 0.0012);
    assert_true(false_alarm_rate(draw_normal, n, 0.01, 40000) <= 0.01);
    assert_true(false_alarm_rate(draw_log_normal, n, 0.01, 40000) <= 0.0125);
    /* not by calling everything normal */
    if (n >= 20) assert_true(false_alarm_rate(draw_normal, n, 0.01, 40000) >= 0.003);
  }
}

static void p_values_are_uniform(void **state)
{
  (void)state;
  enum { SETS = 20000, COUNT = 9 };
  mk_rng rng = mk_rng_seed(5, 0);
  size_t seen[COUNT + 2] = {0};
  for (int set = 0; set < SETS; ++set) {
    double scores[COUNT];
    for (size_t i = 0; i < COUNT; ++i) scores[i] = draw_normal(&rng);
    assert_int_equal(mk_conformal_sort(scores, COUNT), MKD_OK);
    double rank = mk_conformal_p_value(scores, COUNT, draw_normal(&rng)) * (COUNT + 1);
    ++seen[(size_t)lround(rank)];
  }
  assert_int_equal(seen[0], 0);
  double chi_square = 0, expected = (double)SETS / (COUNT + 1);
  for (size_t i = 1; i <= COUNT + 1; ++i)
    chi_square += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
  assert_true(chi_square < 27.9); /* 99.9 % quantile with 9 degrees of freedom */
}

static void extrapolation_is_monotone_and_continuous(void **state)
{
  (void)state;
  mk_rng rng = mk_rng_seed(8, 0);
  static const size_t counts[] = {1, 2, 3, 5, 6, 17, 98, 400};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; ++c) {
    size_t n = counts[c];
    double scores[MAX_HELD_OUT];
    for (size_t i = 0; i < n; ++i) scores[i] = draw_normal(&rng);
    assert_int_equal(mk_conformal_sort(scores, n), MKD_OK);
    double spread = scores[n - 1] - scores[0], edge = 1 / ((double)n + 1), last = -INFINITY;
    bool extrapolated;
    for (double rate = 0.999; rate > 1e-9; rate *= 0.97) {
      double threshold = threshold_of(scores, n, rate, &extrapolated);
      assert_true(isfinite(threshold));
      assert_true(threshold >= last);
      if (n > 1 && extrapolated) assert_true(threshold > last);
      last = threshold;
    }
    assert_true(extrapolated);
    assert_true(threshold_of(scores, n, edge, &extrapolated) == scores[n - 1]);
    assert_false(extrapolated);
    double just_above = threshold_of(scores, n, edge * (1 - 1e-9), &extrapolated);
    assert_true(extrapolated);
    assert_true(just_above - scores[n - 1] <= 1e-6 * spread);
  }
}

static void scale_and_shift_carry_over(void **state)
{
  (void)state;
  double a[] = {1, 2, 4, 8, 9}, b[5];
  for (int i = 0; i < 5; ++i) b[i] = 1000 * a[i] - 7000;
  bool extrapolated;
  double x = threshold_of(a, 5, 0.01, &extrapolated), y = threshold_of(b, 5, 0.01, &extrapolated);
  assert_true(extrapolated);
  assert_true(x > 9);
  assert_float_equal(y, 1000 * x - 7000, 1e-6);
}

static void degenerate_scores(void **state)
{
  (void)state;
  bool extrapolated = false;
  const double same[] = {3, 3, 3, 3}, extreme[] = {-DBL_MAX, 0, DBL_MAX}, one[] = {-2};
  assert_true(threshold_of(same, 4, 0.01, &extrapolated) == 3);
  assert_true(extrapolated);
  assert_true(threshold_of(one, 1, 0.01, &extrapolated) == -2);
  assert_true(extrapolated);
  assert_true(threshold_of(extreme, 3, 0.01, &extrapolated) == DBL_MAX);
  assert_true(isfinite(threshold_of((const double[]){1, 2}, 2, DBL_TRUE_MIN, &extrapolated)));
}

static void bad_arguments(void **state)
{
  (void)state;
  double threshold = 42, scores[] = {1, NAN}, infinite[] = {1, -INFINITY};
  bool extrapolated;
  static const double rates[] = {0, 1, -0.1, 1.5, NAN};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i)
    assert_int_equal(mk_conformal_threshold(&threshold, &extrapolated, scores, 1, rates[i]),
                     MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_conformal_threshold(&threshold, &extrapolated, NULL, 0, 0.1), MKD_ERROR_DATA);
  assert_true(threshold == 42);
  assert_int_equal(mk_conformal_sort(NULL, 0), MKD_ERROR_DATA);
  assert_int_equal(mk_conformal_sort(scores, 2), MKD_ERROR_DATA);
  assert_int_equal(mk_conformal_sort(infinite, 2), MKD_ERROR_DATA);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threshold_is_the_order_statistic),
      cmocka_unit_test(p_value_counts_ties),
      cmocka_unit_test(verdict_and_p_value_agree),
      cmocka_unit_test(false_alarms_are_as_asked),
      cmocka_unit_test(extrapolated_false_alarms_are_as_asked),
      cmocka_unit_test(p_values_are_uniform),
      cmocka_unit_test(extrapolation_is_monotone_and_continuous),
      cmocka_unit_test(scale_and_shift_carry_over),
      cmocka_unit_test(degenerate_scores),
      cmocka_unit_test(bad_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
