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

/* Allocates a picture (black, rows without padding) after checking the limits (NULL = defaults);
 * width and height are wide enough for what any file can claim. `name` is for error texts. */
mkd_status mk_picture_create(mkd_picture **picture, uint64_t width, uint64_t height,
                             mkd_pixel_format format, const mkd_limits *limits, const char *name);

/* Row `y` of a picture that is being filled. */
void *mk_picture_row(mkd_picture *picture, int y);

/* Turns and mirrors the pixels as EXIF and TIFF orientation 1..8 asks for. */
mkd_status mk_picture_orient(mkd_picture *picture, int orientation);

#endif
