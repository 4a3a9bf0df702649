/* From units to the rows of a table: a row for each class and variant, and one for their mean. */
#ifndef ROWS_H
#define ROWS_H

#include "experiment.h"

/* In percent; NAN where there is none. */
typedef struct {
  double mean, deviation; /* deviation: of a sample, with n - 1; NAN if there is only one */
} figure;

typedef struct {
  const char *class_name; /* NULL: mean over the classes */
  const char *title;      /* of the variant; "" without ablation */
  size_t models;          /* sampled ones */
  /* Over the sampled models of all seeds; in the row of the mean, the deviation is that of seeds.
   */
  figure image;
  figure pixel_anomalous, pixel_all, aupro; /* of the last models, over seeds */
  double published_image, published_pixel;
} row;

/* Of the class, or "mean". */
const char *row_name(const row *r);

/* All classes of the first variant, their mean, all classes of the second one, ... The caller frees
 * the array. */
row *rows_make(const experiment *e, size_t *count);

#endif
