/* What a data set is, for those who read one: one file for each layout. */
#ifndef MK_EVAL_DATASET_H
#define MK_EVAL_DATASET_H

#include "core/status.h"

typedef struct {
  char *path, *kind, *mask; /* mask may be NULL */
  bool anomalous;
} mk_dataset_entry;

struct mkd_dataset {
  mk_dataset_entry *entries;
  size_t count, capacity;
  /* Of the images that a file holds many of; NULL where each image is a file of its own. All of
   * them are alike: `shape`, whose data is NULL, tells size and format; rows are not padded. */
  uint8_t *pixels; /* [pixel_capacity][shape.height][shape.stride] */
  size_t pixel_capacity;
  mkd_image shape;
  mkd_limits limits; /* of the images, and of what tells them */
};

/* Appends an image file. */
mkd_status mk_dataset_add(mkd_dataset *dataset, const char *path, const char *kind, bool anomalous);

/* Appends all images below a folder, sorted by path. */
mkd_status mk_dataset_add_folder(mkd_dataset *dataset, const char *folder, const char *kind,
                                 bool anomalous);

/* Appends `count` images of a file. `labels` has the label of each, which names its kind in
 * `kinds`; MKD_ERROR_FILE, naming `label_file`, when one is not below `kind_count`. Their pixels
 * are appended as they are. `file` goes into their paths, FILE#0, FILE#1, ... */
typedef struct {
  const char *file, *label_file;
  size_t count;
  const uint8_t *labels, *pixels;
  size_t label_step, pixel_step; /* bytes from one image to the next */
  const char *const *kinds;
  size_t kind_count;
} mk_packed_images;

mkd_status mk_dataset_add_packed(mkd_dataset *dataset, const mk_packed_images *images);

/* ---- Readers: each fills an empty data set ----------------------------------------------------
 */

/* The layout of MVTec AD, a folder of images, or one image. */
mkd_status mk_dataset_read_folder(mkd_dataset *dataset, const char *folder, mkd_split split);

/* MNIST and what has its format; `kinds` are the names of the ten labels. */
mkd_status mk_dataset_read_idx(mkd_dataset *dataset, const char *folder, mkd_split split,
                               const char *const *kinds);

mkd_status mk_dataset_read_cifar10(mkd_dataset *dataset, const char *folder, mkd_split split);
mkd_status mk_dataset_read_oct(mkd_dataset *dataset, const char *folder, mkd_split split);
mkd_status mk_dataset_read_brain_mri(mkd_dataset *dataset, const char *folder);
mkd_status mk_dataset_read_head_ct(mkd_dataset *dataset, const char *folder);

#endif
