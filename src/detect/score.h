/* Scores of images, from what their inputs - one, or one a tile - look like. */
#ifndef MK_DETECT_SCORE_H
#define MK_DETECT_SCORE_H

#include "detect/detector.h"
#include "nn/exec.h"

/* What a score is made of: the loss, or the two parts of the standardised score, as the recipe has
 * it; the other ones are 0. Those of an image are the largest of its tiles. */
typedef struct {
  double total;
  double square; /* the largest sum of standardised squares */
  double cosine; /* the largest standardised cosine */
} mk_score_parts;

/* From squares at each critical point and cosines at the deepest. Wants the calibration's means and
 * deviations of both. */
mk_score_parts mk_standardised_parts(const mkd_detector *detector, const mk_shape *shapes,
                                     float *const *squares, const float *cosines,
                                     const mk_calibration *calibration);

mk_score_parts mk_larger_parts(mk_score_parts a, mk_score_parts b);

/* The recipe's score. Wants the calibration's means and deviations of the largest ones, too. */
double mk_score_of(mk_score_parts parts, const mkd_detector *detector,
                   const mk_calibration *calibration);

#endif
