/* Calibration: what held-out normal images look like to a detector. */
#ifndef MK_DETECT_CALIBRATE_H
#define MK_DETECT_CALIBRATE_H

#include "core/threads.h"
#include "detect/detector.h"

/* Normal images, one at a time, from one thread. */
typedef struct {
  size_t count;
  /* Opens image `index`, which has so many tiles: one if the detector knows no tiles. */
  mkd_status (*open)(void *context, size_t index, size_t *tiles);
  /* Gives a tile of the open image as the networks' input, [height][width][3]. */
  mkd_status (*read)(void *context, size_t tile, float *dst);
  /* Follows every `open` that succeeded; or NULL. */
  void (*close)(void *context);
  void *context;
} mk_normal_images;

typedef struct {
  mk_normal_images images;
  double false_alarm;
  mkd_localize localize; /* whose map is calibrated; MKD_LOCALIZE_RECIPE = the recipe's */
  bool (*progress)(void *context, const mkd_progress *progress); /* or NULL */
  void *progress_context;
} mk_calibrate_job;

/* Replaces the detector's calibration: statistics are taken over all tiles, scores and the largest
 * values of maps are those of whole images. Reads every image once, twice if the map needs
 * gradients. */
mkd_status mk_calibrate(mkd_detector *detector, const mk_calibrate_job *job, mk_pool *pool);

#endif
