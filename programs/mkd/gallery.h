/* The images that a report shows: chosen by their scores, and scored once more to be drawn, so that
 * a test set of any size needs memory for a few small pictures only. */
#ifndef GALLERY_H
#define GALLERY_H

#include "scan.h"

/* What is kept of each image that was evaluated. */
typedef struct {
  double score, p_value;
  bool anomalous; /* by label */
  bool alarm;     /* by the model's threshold */
  size_t item;    /* of the data set */
  size_t kind;    /* of defect, numbered by the caller; 0 for normal images */
} image_record;

typedef enum {
  GALLERY_IMAGE,
  GALLERY_TRUTH,
  GALLERY_MAP,
  GALLERY_OVERLAY,
  GALLERY_VIEWS
} gallery_view;

typedef struct {
  unsigned char *jpeg; /* NULL = there is none */
  size_t bytes;
} gallery_picture;

typedef struct {
  const image_record *record;
  gallery_picture views[GALLERY_VIEWS];
  char *error; /* NULL, or why it could not be drawn */
} gallery_image;

typedef enum {
  GALLERY_LOWEST_ANOMALOUS,
  GALLERY_HIGHEST_NORMAL,
  GALLERY_HITS, /* detected, spread over kinds and scores; none that is in the first group */
  GALLERY_GROUPS
} gallery_group;

enum { GALLERY_GROUP_SIZE = 8 };

typedef struct {
  gallery_image images[GALLERY_GROUPS * GALLERY_GROUP_SIZE]; /* group after group */
  size_t starts[GALLERY_GROUPS + 1];                         /* of each group; the end */
  size_t failed; /* images that could not be drawn: gone or changed since they were scored */
  mkd_overlay_options scale; /* of the maps; size is 0 if they have none in common */
  gallery_picture ramp;      /* its colours, cold on the left */
} gallery;

void gallery_choose(gallery *shown, const image_record *records, size_t count);

/* Draws the chosen images. `scan` says with which detector, session and threads. Complains of what
 * cannot be drawn. */
mkd_status gallery_draw(gallery *shown, const mkd_dataset *dataset, const scan_plan *scan);

void gallery_free(gallery *shown);

#endif
