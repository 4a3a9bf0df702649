/* The axis that scores are drawn on: linear around the normal images, logarithmic far from them, as
 * scores of anomalous images may be a hundred times larger. */
#ifndef SCORE_AXIS_H
#define SCORE_AXIS_H

#include <stddef.h>

/* A score is at (asinh((score - centre) / width) - low) / (high - low). */
typedef struct {
  double centre, width; /* median of the normal images, and from there to the threshold */
  double low, high;     /* of the transformed scores, somewhat beyond the outermost */
} score_axis;

typedef struct {
  const double *scores; /* ascending */
  size_t count;         /* at least 1 */
} score_set;

score_axis score_axis_of(const score_set *normal, const score_set *anomalous, double threshold);

double score_axis_place(const score_axis *axis, double score); /* 0..1 */
double score_axis_at(const score_axis *axis, double place);

/* Round scores, about evenly spread over the axis. */
enum { SCORE_AXIS_TICKS = 7 };
void score_axis_ticks(const score_axis *axis, double ticks[SCORE_AXIS_TICKS]);

#endif
