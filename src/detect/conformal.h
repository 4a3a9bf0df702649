/* Thresholds and p-values from the scores of held-out normal images (split conformal prediction).
 *
 * They rest on one assumption: the held-out images and the normal images to come are exchangeable.
 * Then P(score > threshold) <= false_alarm on average over held-out sets, whatever the
 * distribution of the scores, and P(p-value <= a) <= a. */
#ifndef MK_DETECT_CONFORMAL_H
#define MK_DETECT_CONFORMAL_H

#include "core/status.h"

/* Sorts held-out scores in ascending order, as the functions below want them. MKD_ERROR_DATA when
 * there is none, or one is not finite. */
mkd_status mk_conformal_sort(double *scores, size_t count);

/* The score above which an image is called anomalous: the ceil((count + 1)(1 - false_alarm))-th
 * smallest held-out score.
 *
 * When count + 1 < 1 / false_alarm there is no such score. The threshold then lies above all of
 * them, at a distance told by the upper third of the scores (at least 5 excesses, if there are as
 * many): exact in expectation for an exponential tail, cautious for lighter ones, and meeting the
 * largest score where false_alarm = 1 / (count + 1). `*extrapolated` tells. It needs a spread of
 * scores: for a single score, or equal ones, it is that score.
 *
 * `false_alarm` in (0, 1), else MKD_ERROR_ARGUMENT. */
mkd_status mk_conformal_threshold(double *threshold, bool *extrapolated, const double *sorted,
                                  size_t count, double false_alarm);

/* (1 + number of held-out scores >= score) / (count + 1); 1 for count = 0. `score` is finite. */
double mk_conformal_p_value(const double *sorted, size_t count, double score);

#endif
