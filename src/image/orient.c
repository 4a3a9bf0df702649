#include "image/pixels.h"

#include "core/memory.h"

#include <string.h>

/* Walks the source with steps of its own while the destination is written in order. Inlined with a
 * constant `pixel`, so that each copy is a few plain moves. */
static inline void copy_turned(uint8_t *dst, int width, int height, const uint8_t *src,
                               ptrdiff_t step_x, ptrdiff_t step_y, size_t pixel)
{
  for (int y = 0; y < height; ++y) {
    const uint8_t *from = src + y * step_y;
    for (int x = 0; x < width; ++x) {
      memcpy(dst, from, pixel);
      dst += pixel;
      /* Not stepped after the last pixel: it would point outside the picture. */
      if (x + 1 < width) from += step_x;
    }
  }
}

mkd_status mk_picture_orient(mkd_picture *picture, int orientation)
{
  if (orientation <= 1 || orientation > 8) return MKD_OK;
  mkd_image *image = &picture->image;
  bool transposed = orientation >= 5; /* rows become columns */
  bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  size_t pixel = (size_t)(mk_format_channels(image->format) * mk_format_bytes(image->format));
  ptrdiff_t column = (ptrdiff_t)pixel, row = (ptrdiff_t)image->stride;
  const uint8_t *src = image->data;
  if (from_right) {
    src += (image->width - 1) * column;
    column = -column;
  }
  if (from_below) {
    src += (image->height - 1) * row;
    row = -row;
  }
  int width = transposed ? image->height : image->width;
  int height = transposed ? image->width : image->height;
  ptrdiff_t step_x = transposed ? row : column, step_y = transposed ? column : row;
  uint8_t *turned;
  MK_TRY(mk_alloc(&turned, (size_t)width * (size_t)height, pixel));
  switch (pixel) {
  case 1:
    copy_turned(turned, width, height, src, step_x, step_y, 1);
    break;
  case 2:
    copy_turned(turned, width, height, src, step_x, step_y, 2);
    break;
  case 3:
    copy_turned(turned, width, height, src, step_x, step_y, 3);
    break;
  default:
    copy_turned(turned, width, height, src, step_x, step_y, 6);
    break;
  }
  mk_free(picture->memory);
  picture->memory = turned;
  *image = (mkd_image){.data = turned,
                       .width = width,
                       .height = height,
                       .stride = (size_t)width * pixel,
                       .format = image->format};
  return MKD_OK;
}
