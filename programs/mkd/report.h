/* The page that mkd eval --report writes. */
#ifndef REPORT_H
#define REPORT_H

#include "eval_rows.h"
#include "gallery.h"

typedef struct {
  const char *path;         /* of the page */
  const char *model, *data; /* as named on the command line */
  const mkd_dataset *dataset;
  image_record *records; /* of all images that were evaluated; `kind` is set here */
  size_t record_count;
  const eval_row *rows; /* the one of all kinds is the last */
  size_t row_count;
  char *const *errors; /* of the images that were not */
  size_t error_count;
  mkd_threshold threshold;
  int resolution;        /* of pixel metrics; 0 = that of each mask */
  const scan_plan *scan; /* how the images were scored */
} report_input;

/* Writes the page, completely or not at all. `undrawn` counts the images that it should show, but
 * that could not be read again. */
mkd_status report_write(const report_input *input, size_t *undrawn);

#endif
