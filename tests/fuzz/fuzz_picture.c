/* Image files of all formats, and the picture that comes of them. */
#include "fuzz.h"

#include <mkd/mkd.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  mkd_picture *picture;
  mkd_limits limits = mkd_limits_default();
  limits.max_pixels = 1 << 20;
  if (mkd_picture_decode(&picture, data, size, "input", &limits) != MKD_OK) return 0;
  const mkd_image *image = mkd_picture_image(picture);
  if (image->width < 1 || image->height < 1 ||
      (uint64_t)image->width * (uint64_t)image->height > limits.max_pixels)
    abort();
  unsigned char *jpeg;
  size_t bytes;
  if (mkd_thumbnail(&jpeg, &bytes, 64, image, NULL, NULL) == MKD_OK) mkd_bytes_free(jpeg);
  mkd_picture_destroy(picture);
  return 0;
}
