/* Writing JPEG files into memory. */
#ifndef MK_IMAGE_JPEG_WRITE_H
#define MK_IMAGE_JPEG_WRITE_H

#include "core/file.h"

/* `rgb` is [height][width][3], each side at most 65500 pixels (libjpeg's own limit). Colours keep
 * their full resolution, as heat maps need it. Same pixels, same bytes. */
mkd_status mk_jpeg_write(mk_bytes *bytes, const uint8_t *rgb, int width, int height);

#endif
