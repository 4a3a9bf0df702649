#include "image/pixels.h"

#include "core/memory.h"

#include <limits.h>

int mk_format_channels(mkd_pixel_format format)
{
  return format == MKD_GREY8 || format == MKD_GREY16 ? 1 : 3;
}

int mk_format_bytes(mkd_pixel_format format)
{
  return format == MKD_GREY16 || format == MKD_RGB16 ? 2 : 1;
}

mkd_status mk_image_check(const mkd_image *image)
{
  if (!image || !image->data) return mk_fail(MKD_ERROR_ARGUMENT, "image: there are no pixels");
  if (image->width < 1 || image->height < 1)
    return mk_fail(MKD_ERROR_ARGUMENT, "image: %d x %d pixels; both must be at least 1",
                   image->width, image->height);
  if ((int)image->format < MKD_GREY8 || (int)image->format > MKD_RGB16)
    return mk_fail(MKD_ERROR_ARGUMENT, "image: %d is not a pixel format", (int)image->format);
  int bytes = mk_format_bytes(image->format);
  size_t row, whole;
  if (!mk_mul((size_t)image->width, (size_t)(mk_format_channels(image->format) * bytes), &row) ||
      image->stride < row || !mk_mul(image->stride, (size_t)image->height, &whole))
    return mk_fail(MKD_ERROR_ARGUMENT, "image: a stride of %zu bytes does not fit %d x %d pixels",
                   image->stride, image->width, image->height);
  if (bytes == 2 && (image->stride % 2 != 0 || (uintptr_t)image->data % 2 != 0))
    return mk_fail(MKD_ERROR_ARGUMENT, "image: 16-bit rows must be aligned to 2 bytes");
  return MKD_OK;
}

mkd_status mk_picture_create(mkd_picture **out, uint64_t width, uint64_t height,
                             mkd_pixel_format format, const mkd_limits *limits, const char *name)
{
  uint64_t max_pixels = limits ? limits->max_pixels : mkd_limits_default().max_pixels;
  if (width == 0 || height == 0)
    return mk_fail(MKD_ERROR_FILE, "%s: has %llu x %llu pixels: nothing to see", name,
                   (unsigned long long)width, (unsigned long long)height);
  /* Divided, because the product may not fit. */
  if (width > INT_MAX || height > INT_MAX || width > max_pixels / height)
    return mk_fail(MKD_ERROR_FILE, "%s: has %llu x %llu pixels, more than the limit of %llu", name,
                   (unsigned long long)width, (unsigned long long)height,
                   (unsigned long long)max_pixels);
  size_t stride;
  int pixel = mk_format_channels(format) * mk_format_bytes(format);
  if (!mk_mul((size_t)width, (size_t)pixel, &stride)) return mk_fail_memory(SIZE_MAX);
  mkd_picture *picture;
  MK_TRY(mk_alloc(&picture, 1, sizeof *picture));
  mkd_status status = mk_alloc(&picture->memory, (size_t)height, stride);
  if (status != MKD_OK) {
    mk_free(picture);
    return mk_fail_in(status, name);
  }
  picture->image = (mkd_image){.data = picture->memory,
                               .width = (int)width,
                               .height = (int)height,
                               .stride = stride,
                               .format = format};
  *out = picture;
  return MKD_OK;
}

void *mk_picture_row(mkd_picture *picture, int y)
{
  return (uint8_t *)picture->memory + (size_t)y * picture->image.stride;
}

void mkd_picture_destroy(mkd_picture *picture)
{
  if (!picture) return;
  mk_free(picture->memory);
  mk_free(picture);
}

const mkd_image *mkd_picture_image(const mkd_picture *picture)
{
  return &picture->image;
}
