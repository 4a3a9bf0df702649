/* The image files below a folder. */
#ifndef MK_EVAL_WALK_H
#define MK_EVAL_WALK_H

#include "core/status.h"

/* Names that grow one by one, to at most `limit`: { .limit = ... } is an empty list. Owns
 * everything in it. */
typedef struct {
  char **items;
  size_t count, capacity;
  uint64_t limit;
} mk_list;

void mk_list_free(mk_list *list); /* accepts an all-zero struct */

/* Joins a folder and a name by a slash. */
mkd_status mk_path_join(char **path, const char *folder, const char *name);

/* True for the name of a file that this project reads: .jpg .jpeg .png .tif .tiff .webp .bmp .pgm
 * .ppm .pbm .pnm in any case; not for those that it writes beside images: .map.tiff .overlay.png
 * .mask.png. */
bool mk_image_name(const char *name);

/* Whether `path` is a folder; links are followed. What is not there is none. */
mkd_status mk_is_folder(bool *yes, const char *path);

/* Appends the names in `folder` (files, folders, anything) that do not start with a dot, and sorts
 * the list by bytes. MKD_ERROR_DATA when there are more than its limit. */
mkd_status mk_list_folder(mk_list *names, const char *folder);

/* Appends the paths of all files below `folder` that mk_image_name accepts, and sorts the list by
 * bytes. Names that start with a dot are skipped. Links to folders are followed, but no folder is
 * entered twice, so loops do no harm. MKD_ERROR_DATA when folders are nested too deep, or when
 * there are more files, or names in one folder, than the list's limit. */
mkd_status mk_walk_images(mk_list *paths, const char *folder);

#endif
