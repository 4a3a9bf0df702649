/* Pixels in memory, and the operations that turn a decoded file into a network's input. */
#ifndef MK_IMAGE_PIXELS_H
#define MK_IMAGE_PIXELS_H

#include "core/status.h"

/* What mkd_picture is: owned pixels of format MKD_GREY8, MKD_RGB8, MKD_GREY16 or MKD_RGB16. */
struct mkd_picture {
  mkd_image image;
  void *memory;
};

/* Channels (1 or 3) and bytes per channel value (1 or 2) of a format. */
int mk_format_channels(mkd_pixel_format format);
int mk_format_bytes(mkd_pixel_format format);

/* Checks a caller's view: pointer, size, stride, format. */
mkd_status mk_image_check(const mkd_image *image);

/* Allocates a picture, after checking the limits (NULL = defaults). `name` is for error texts. */
mkd_status mk_picture_create(mkd_picture **picture, int width, int height, mkd_pixel_format format,
                             const mkd_limits *limits, const char *name);

#endif
