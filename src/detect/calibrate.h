/* Calibration: what held-out normal images look like to a detector. */
#ifndef MK_DETECT_CALIBRATE_H
#define MK_DETECT_CALIBRATE_H

#include "core/threads.h"
#include "detect/detector.h"

/* Gives image `index` as the networks' input, [height][width][3]. */
typedef mkd_status mk_input_getter(void *context, size_t index, float *dst);

typedef struct {
  size_t count; /* of images */
  mk_input_getter *get;
  void *context;
  double false_alarm;
  mkd_localize localize; /* whose map is calibrated; MKD_LOCALIZE_RECIPE = the recipe's */
  bool (*progress)(void *context, const mkd_progress *progress); /* or NULL */
  void *progress_context;
} mk_calibrate_job;

/* Replaces the detector's calibration. Reads every image once, twice if the map needs gradients. */
mkd_status mk_calibrate(mkd_detector *detector, const mk_calibrate_job *job, mk_pool *pool);

#endif
