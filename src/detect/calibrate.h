/* Calibration: what held-out normal images look like to a detector. */
#ifndef MK_DETECT_CALIBRATE_H
#define MK_DETECT_CALIBRATE_H

#include "core/threads.h"
#include "detect/detector.h"

/* Normal images. Each lane, less than the threads of the pool, has one open at a time; lanes are
 * in these functions at the same time. */
typedef struct {
  size_t count;
  /* Opens image `index`, which has so many tiles: one if the detector knows no tiles. */
  mkd_status (*open)(void *context, int lane, size_t index, size_t *tiles);
  /* Gives a tile of the open image as the networks' input, [height][width][3]. */
  mkd_status (*read)(void *context, int lane, size_t tile, float *dst);
  /* The expert's activations of that tile, as mk_inspect_activations wants them; or NULL: the
   * expert has to run. */
  const float *(*activations)(void *context, int lane, size_t tile);
  /* Follows every `open` that succeeded; or NULL. */
  void (*close)(void *context, int lane);
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
