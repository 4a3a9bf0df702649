/* Scores a stream of images in several threads and hands the results over in the order of the
 * images. Each thread holds at most one image and one result, so memory does not grow with their
 * number. */
#ifndef SCAN_H
#define SCAN_H

#include "pictures.h"

typedef struct {
  char *path;           /* of the image */
  char *name;           /* for its pictures, see pictures_save */
  char *mask;           /* path of its ground truth, or NULL */
  mkd_picture *picture; /* that of `path` if it is loaded already, or NULL */
  char *error;          /* why there is no such image, or NULL; its status is not MKD_OK then */
  mkd_status status;
  size_t index; /* free for the caller of scan_run */
} scan_job;

/* The texts and the picture. */
void scan_job_free(scan_job *job);

typedef struct {
  const char *error;        /* NULL, or why the image has no result; then the rest is NULL */
  const mkd_result *result; /* these live until `deliver` returns */
  const mkd_image *image;
  const mkd_image *mask; /* NULL without a mask */
} scan_outcome;

typedef struct {
  const mkd_detector *detector;
  mkd_session_options session; /* `threads` is for the whole scan: images at once where there are
                                  several, else parts of one image */
  picture_folders pictures;
  mkd_limits limits; /* of what is read */
  size_t count;      /* of images, 0 = not known */

  /* Fills `job`, with texts from malloc; scan_run frees it. false = no more. May block. */
  bool (*next)(void *context, scan_job *job);

  /* Takes the outcomes in the order of the jobs. Anything but MKD_OK ends the scan: MKD_CANCELLED
   * without being an error, the rest with that status and the text of mkd_last_error(). */
  mkd_status (*deliver)(void *context, const scan_job *job, const scan_outcome *outcome);

  void *context; /* `next` and `deliver` are each called by one thread at a time */
} scan_plan;

/* An image that cannot be read or scored is an outcome. What would hit the following ones as well,
 * such as a full disk, ends the scan with that status, and so does an interrupt (MKD_CANCELLED). */
mkd_status scan_run(const scan_plan *scan);

#endif
