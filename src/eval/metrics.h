/* How well scores tell anomalous from normal: of images, and of pixels. Higher = more anomalous.
 * All values are rates or areas in 0..1, unless said otherwise. */
#ifndef MK_EVAL_METRICS_H
#define MK_EVAL_METRICS_H

#include "core/status.h"

/* ---- Images ---------------------------------------------------------------------------------- */

typedef struct {
  double auroc;                      /* P(s+ > s-) + P(s+ = s-) / 2 */
  double average_precision;          /* sum of (R_n - R_n-1) P_n, no interpolation */
  double f1_max, f1_threshold;       /* score >= threshold; the highest threshold that reaches it */
  double tpr_at_fpr_1, tpr_at_fpr_5; /* highest recall of a threshold with FPR <= 1 %, 5 % */
} mk_image_metrics;

/* MKD_ERROR_DATA when a score is not finite, or one class is missing. */
mkd_status mk_image_metrics_of(mk_image_metrics *metrics, const double *scores,
                               const bool *anomalous, size_t count);

typedef struct {
  double low, high;
} mk_bounds;

/* 95 % percentile intervals over 2000 bootstrap resamples. Same input, same intervals. The
 * resampling is stratified: how many normal and anomalous images a test set has is a choice of its
 * makers, not chance, and a plain resample of few images can lack a class. Errors as above. */
mkd_status mk_image_intervals(mk_bounds *auroc, mk_bounds *average_precision, const double *scores,
                              const bool *anomalous, size_t count);

/* Wilson's 95 % interval of a rate, of which `hits` of `count` (at least 1) were seen. Unlike a
 * bootstrap it has a width even if all or none were hits. */
mk_bounds mk_rate_interval(size_t hits, size_t count);

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* Connected components with 8 neighbours of the non-zero pixels of mask [height][width]: numbers
 * 1, 2, ... in the order of their first pixels, 0 elsewhere. Returns how many there are.
 * width * height is below 2^32. */
uint32_t mk_label_components(uint32_t *labels, const uint8_t *mask, int width, int height);

/* The pixels of one image, without their places. Scores are kept as order-preserving keys: 4 bytes
 * a normal pixel, 8 an anomalous one. */
typedef struct {
  bool anomalous; /* the image */
  uint32_t *negative;
  size_t negatives;
  uint64_t *positive; /* key, then (low 32 bits) the index of the component */
  size_t positives;
  uint32_t *component_sizes; /* in pixels */
  size_t components;
} mk_pixels;

/* From a map [height][width] and a mask [height][width] (0 = normal), NULL for all normal.
 * MKD_ERROR_DATA when the map has a value that is not finite; nothing to free then.
 * width * height is below 2^32. */
mkd_status mk_pixels_create(mk_pixels *pixels, const float *map, const uint8_t *mask, int width,
                            int height);
void mk_pixels_free(mk_pixels *pixels); /* accepts an all-zero struct */

typedef struct {
  double auroc;           /* over the pixels of all images */
  double auroc_anomalous; /* over those of anomalous images; NAN when these have no normal pixel */
  double average_precision, f1_max, f1_threshold; /* over all images, as for scores */
  /* Area under the mean overlap of components against the FPR over all images: to exactly FPR 0.3
   * and 0.05, trapezoidal, divided by that limit. */
  double aupro_30, aupro_5;
} mk_pixel_metrics;

/* MKD_ERROR_DATA without an anomalous, or without a normal pixel. Needs 8 bytes for each normal
 * pixel, 16 for each anomalous one. All images together have less than 2^32 pixels. */
mkd_status mk_pixel_metrics_of(mk_pixel_metrics *metrics, const mk_pixels *const *images,
                               size_t count);

#endif
