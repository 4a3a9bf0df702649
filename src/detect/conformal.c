#include "detect/conformal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static int compare_scores(const void *left, const void *right)
{
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

mkd_status mk_conformal_sort(double *scores, size_t count)
{
  if (count == 0)
    return mk_fail(MKD_ERROR_DATA, "no held-out normal image to calibrate the threshold with; at "
                                   "least 1 is needed");
  for (size_t i = 0; i < count; ++i)
    if (!isfinite(scores[i]))
      return mk_fail(MKD_ERROR_DATA, "score %zu of %zu held-out images is %g; scores are finite",
                     i + 1, count, scores[i]);
  qsort(scores, count, sizeof *scores, compare_scores);
  return MKD_OK;
}

/* Probability that a new score exceeds S(n) + t * (sum of the `tail` largest excesses over
 * S(n - tail)), when scores above S(n - tail) are distributed exponentially. Their spacings are
 * then independent (Renyi): with standard exponential Z, the largest excess is the sum of Z_i / i
 * and the sum of excesses is the sum of Z_i. The mean of exp(-(largest + t * sum)) is a product,
 * so that the uncertainty of the fitted scale is accounted for, not only its estimate. */
static double exceedance(double t, size_t count, size_t tail)
{
  double p = ((double)tail + 1) / ((double)count + 1);
  for (size_t i = 1; i <= tail; ++i) p /= 1 + 1 / (double)i + t;
  return p;
}

static double tail_factor(size_t count, size_t tail, double false_alarm)
{
  double low = 0, high = 1;
  while (exceedance(high, count, tail) > false_alarm) high *= 2;
  for (;;) {
    double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return high;
    if (exceedance(middle, count, tail) > false_alarm)
      low = middle;
    else
      high = middle;
  }
}

static double extrapolate(const double *sorted, size_t count, double false_alarm)
{
  size_t tail = (count + 2) / 3;
  if (tail < 5) tail = 5;
  if (tail > count - 1) tail = count - 1;
  double largest = sorted[count - 1], base = sorted[count - 1 - tail], sum = 0;
  for (size_t i = count - tail; i < count; ++i) sum += sorted[i] - base;
  if (sum == 0) return largest; /* one score, or no spread: nothing tells a scale */
  return fmin(largest + tail_factor(count, tail, false_alarm) * sum, DBL_MAX);
}

mkd_status mk_conformal_threshold(double *threshold, bool *extrapolated, const double *sorted,
                                  size_t count, double false_alarm)
{
  if (!(false_alarm > 0 && false_alarm < 1))
    return mk_fail(MKD_ERROR_ARGUMENT, "false-alarm rate %g is not between 0 and 1", false_alarm);
  if (count == 0)
    return mk_fail(MKD_ERROR_DATA, "no held-out normal image to take the threshold from; at least "
                                   "1 is needed");
  /* Held-out scores that may lie at or above the threshold. The factor undoes the rounding of
   * decimal rates: 0.01 of 100 is 1. */
  double above = floor(((double)count + 1) * false_alarm * (1 + 1e-12));
  if (above > (double)count) above = (double)count;
  *extrapolated = above < 1;
  *threshold =
      *extrapolated ? extrapolate(sorted, count, false_alarm) : sorted[count - (size_t)above];
  return MKD_OK;
}

double mk_conformal_p_value(const double *sorted, size_t count, double score)
{
  size_t low = 0, high = count; /* sorted[i] < score below low, >= score from high on */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (sorted[middle] < score)
      low = middle + 1;
    else
      high = middle;
  }
  return (1 + (double)(count - low)) / ((double)count + 1);
}
