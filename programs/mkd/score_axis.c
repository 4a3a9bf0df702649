#include "score_axis.h"

#include <math.h>

double score_axis_place(const score_axis *axis, double score)
{
  return (asinh((score - axis->centre) / axis->width) - axis->low) / (axis->high - axis->low);
}

double score_axis_at(const score_axis *axis, double place)
{
  return axis->centre + axis->width * sinh(axis->low + place * (axis->high - axis->low));
}

score_axis score_axis_of(const score_set *normal, const score_set *anomalous, double threshold)
{
  const double margin = 0.03;
  double least = fmin(threshold, fmin(normal->scores[0], anomalous->scores[0]));
  double most = fmax(
      threshold, fmax(normal->scores[normal->count - 1], anomalous->scores[anomalous->count - 1]));
  score_axis axis = {.centre = normal->scores[normal->count / 2]};
  axis.width = fabs(threshold - axis.centre);
  /* A width that is nothing beside the scores would leave nothing of the linear part. */
  if (axis.width < 1e-3 * (most - least)) axis.width = most - least;
  if (!(axis.width > 0)) axis.width = 1;
  axis.low = asinh((least - axis.centre) / axis.width);
  axis.high = asinh((most - axis.centre) / axis.width);
  double room = axis.high > axis.low ? margin * (axis.high - axis.low) : 1;
  axis.low -= room;
  axis.high += room;
  return axis;
}

/* The roundest number whose place is near. */
static double roundest(const score_axis *axis, double place, double nearness)
{
  static const double parts[] = {1, 0.5, 0.2};
  double score = score_axis_at(axis, place);
  for (int power = (int)ceil(log10(fabs(score) + axis->width)); power > -300; --power)
    for (int i = 0; i < 3; ++i) {
      double step = parts[i] * pow(10, power), round_score = step * round(score / step);
      if (fabs(score_axis_place(axis, round_score) - place) < nearness) return round_score;
    }
  return score;
}

void score_axis_ticks(const score_axis *axis, double ticks[SCORE_AXIS_TICKS])
{
  const double gap = 1.0 / SCORE_AXIS_TICKS;
  for (int i = 0; i < SCORE_AXIS_TICKS; ++i) ticks[i] = roundest(axis, (i + 0.5) * gap, 0.2 * gap);
}
