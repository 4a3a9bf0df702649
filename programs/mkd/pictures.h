/* Pictures of results: maps, overlays and masks in the folders that the user names. */
#ifndef PICTURES_H
#define PICTURES_H

#include <mkd/mkd.h>

typedef struct {
  const char *maps, *overlays, *masks; /* folders, made when needed; NULL = not wanted */
} picture_folders;

/* Tells before the work whether pictures of maps by `localize` can be made, and written where they
 * are wanted. */
mkd_status pictures_check(const picture_folders *folders, const mkd_detector *detector,
                          mkd_localize localize);

/* Writes what is wanted as FOLDER/`name`.map.tiff, .overlay.png, .mask.png. Because the name of the
 * image stays whole, a.png and a.jpg do not collide, nor do the kinds within one folder. */
mkd_status pictures_save(const picture_folders *folders, const char *name, const mkd_image *image,
                         const mkd_result *result);

/* The ends of the colour scale for the map of a result. They are the same for all images if the map
 * is calibrated, with the threshold in between, so that colours can be compared; else they are the
 * map's own, without a threshold (NAN). */
mkd_overlay_options pictures_scale(const mkd_result *result);

#endif
