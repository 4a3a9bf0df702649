#include "image/input.h"

#include "core/memory.h"

#include <string.h>

static const float levels_per_grey = 257; /* 255 * 257 = 65535 */

size_t mk_input_size(const mk_input_spec *spec)
{
  return (size_t)spec->width * (size_t)spec->height * 3;
}

bool mk_input_is_tiled(const mk_input_spec *spec)
{
  return spec->tile_width > 0 || spec->tile_height > 0;
}

mkd_status mk_input_tiles(mk_tile_grid *grid, const mk_input_spec *spec, const mkd_image *image)
{
  return mk_tile_grid_create(grid, image, spec->tile_width, spec->tile_height, spec->tile_overlap);
}

void mk_input_to_levels(float *dst, const uint16_t *src, size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] = (float)src[i] / levels_per_grey;
}

void mk_input_from_levels(uint16_t *dst, const float *src, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    float v = src[i] * levels_per_grey + 0.5F;
    v = v > 0 ? v : 0; /* also for NaN */
    dst[i] = (uint16_t)(int)(v < 65535 ? v : 65535);
  }
}

/* First row or column of the central part. */
static size_t margin(int whole, int part)
{
  return (size_t)(whole - part) / 2;
}

mkd_status mk_input_read(uint16_t *dst, const mk_input_spec *spec, const mkd_image *image,
                         mk_pool *pool, mk_scratch *scratch)
{
  size_t whole_row = (size_t)spec->resize_width * 3, row = (size_t)spec->width * 3;
  float *resized;
  MK_TRY(
      mk_scratch_get(scratch, &resized, whole_row * (size_t)spec->resize_height, sizeof *resized));
  MK_TRY(mk_resize_rgb(resized, spec->resize_width, spec->resize_height, image, spec->filter, pool,
                       scratch));
  const float *src = resized + margin(spec->resize_height, spec->height) * whole_row +
                     margin(spec->resize_width, spec->width) * 3;
  for (int y = 0; y < spec->height; ++y, src += whole_row, dst += row)
    mk_input_from_levels(dst, src, row);
  return MKD_OK;
}

void mk_input_normalise(float *dst, const uint16_t *src, const mk_input_spec *spec)
{
  /* ((v / 257 - low) gain, clamped to 0..255, - mean) / std is one line, clamped. */
  enum { PERIOD = 12 }; /* a multiple of the channels and of the vector width */
  float slope[PERIOD], offset[PERIOD], least[PERIOD], most[PERIOD];
  double low = (double)spec->low, gain = 255 / ((double)spec->high - low);
  for (size_t i = 0; i < PERIOD; ++i) {
    double mean = (double)spec->mean[i % 3], std = (double)spec->std[i % 3];
    slope[i] = (float)(gain / std / (double)levels_per_grey);
    offset[i] = (float)(-(low * gain + mean) / std);
    least[i] = (float)(-mean / std);
    most[i] = (float)((255 - mean) / std);
  }
  size_t count = mk_input_size(spec);
  for (size_t start = 0; start < count; start += PERIOD) {
    size_t n = count - start < PERIOD ? count - start : PERIOD;
    for (size_t i = 0; i < n; ++i) {
      float v = (float)src[start + i] * slope[i] + offset[i];
      v = v > least[i] ? v : least[i];
      dst[start + i] = v < most[i] ? v : most[i];
    }
  }
}

/* The map of the central part, with its border continued to the size of the whole. */
static void extend(float *dst, const float *map, const mk_input_spec *spec)
{
  size_t left = margin(spec->resize_width, spec->width), width = (size_t)spec->width;
  size_t top = margin(spec->resize_height, spec->height), height = (size_t)spec->height;
  for (size_t y = 0; y < (size_t)spec->resize_height; ++y) {
    size_t from = y < top ? 0 : y - top < height ? y - top : height - 1;
    const float *row = map + from * width;
    for (size_t x = 0; x < (size_t)spec->resize_width; ++x)
      *dst++ = row[x < left ? 0 : x - left < width ? x - left : width - 1];
  }
}

mkd_status mk_input_map_to_image(float *dst, int image_width, int image_height, const float *map,
                                 const mk_input_spec *spec, mk_pool *pool, mk_scratch *scratch)
{
  if (spec->width == spec->resize_width && spec->height == spec->resize_height)
    return mk_upsample_plane(dst, image_width, image_height, map, spec->width, spec->height, pool,
                             scratch);
  float *whole;
  MK_TRY(mk_scratch_get(scratch, &whole, (size_t)spec->resize_width * (size_t)spec->resize_height,
                        sizeof *whole));
  extend(whole, map, spec);
  return mk_upsample_plane(dst, image_width, image_height, whole, spec->resize_width,
                           spec->resize_height, pool, scratch);
}
