/* mkd_thumbnail of the public header. */
#include "core/memory.h"
#include "image/heat.h"
#include "image/jpeg_write.h"
#include "image/pixels.h"
#include "image/resample.h"

#include <math.h>

typedef struct {
  int width, height;
} extent;

static extent fit(int width, int height, int side)
{
  int longest = width > height ? width : height;
  if (longest <= side) return (extent){width, height};
  int short_side = (int)((int64_t)(width < height ? width : height) * side / longest);
  if (short_side < 1) short_side = 1;
  return width > height ? (extent){side, short_side} : (extent){short_side, side};
}

/* rgb [height][width][3] */
static mkd_status shrink_image(uint8_t **rgb, extent size, const mkd_image *image)
{
  size_t count = (size_t)size.width * (size_t)size.height * 3;
  mk_scratch scratch = {0};
  float *values;
  MK_TRY(mk_alloc(&values, count, sizeof *values));
  mkd_status status =
      mk_resize_rgb(values, size.width, size.height, image, MK_RESAMPLE_BILINEAR, NULL, &scratch);
  if (status == MKD_OK) status = mk_alloc(rgb, count, 1);
  for (size_t i = 0; status == MKD_OK && i < count; ++i) (*rgb)[i] = (uint8_t)(values[i] + 0.5F);
  mk_scratch_free(&scratch);
  mk_free(values);
  return status;
}

/* The first pixel of the map that belongs to pixel i of `count`. */
static int first_of(int i, int count, int map_count)
{
  return (int)((int64_t)i * map_count / count);
}

/* The mean of the map's pixels that fall into each pixel. */
static mkd_status shrink_map(float **out, extent size, const mkd_map *map)
{
  MK_TRY(mk_alloc(out, (size_t)size.width * (size_t)size.height, sizeof **out));
  float *pixel = *out;
  for (int y = 0; y < size.height; ++y) {
    int top = first_of(y, size.height, map->height);
    int bottom = first_of(y + 1, size.height, map->height);
    for (int x = 0; x < size.width; ++x) {
      int left = first_of(x, size.width, map->width);
      int right = first_of(x + 1, size.width, map->width);
      double sum = 0;
      for (int v = top; v < bottom; ++v)
        for (int u = left; u < right; ++u)
          sum += (double)map->data[(size_t)v * (size_t)map->width + (size_t)u];
      *pixel++ = (float)(sum / ((double)(bottom - top) * (right - left)));
    }
  }
  return MKD_OK;
}

/* Draws into `canvas`, which is of the thumbnail's size and black. */
static mkd_status draw_heat(mk_canvas *canvas, const uint8_t *rgb, const mkd_map *map,
                            const mkd_overlay_options *options)
{
  extent size = {canvas->width, canvas->height};
  mk_heat_place at = {.width = size.width, .height = size.height, .zoom = 1, .contour = 1};
  mkd_image image = {rgb, size.width, size.height, (size_t)size.width * 3, MKD_RGB8};
  float *values;
  MK_TRY(shrink_map(&values, size, map));
  mkd_map small = {values, size.width, size.height};
  mk_heat_draw(canvas, &at, rgb ? &image : NULL, &small, options);
  mkd_status status = MKD_OK;
  if (!isnan(options->threshold)) status = mk_heat_contour(canvas, &at, &small, options->threshold);
  mk_free(values);
  return status;
}

static mkd_status draw(uint8_t **rgb, extent size, const mkd_image *image, const mkd_map *map,
                       const mkd_overlay_options *options)
{
  uint8_t *small = NULL;
  if (image) MK_TRY(shrink_image(&small, size, image));
  if (!map) {
    *rgb = small;
    return MKD_OK;
  }
  mk_canvas canvas;
  mkd_status status = mk_canvas_create(&canvas, size.width, size.height, (mk_colour){0, 0, 0});
  if (status == MKD_OK) {
    status = draw_heat(&canvas, small, map, options);
    if (status == MKD_OK)
      *rgb = canvas.rgb;
    else
      mk_canvas_free(&canvas);
  }
  mk_free(small);
  return status;
}

mkd_status mkd_thumbnail(unsigned char **jpeg, size_t *bytes, int side, const mkd_image *image,
                         const mkd_map *map, const mkd_overlay_options *options)
{
  enum { LEAST = 16, MOST = 4096 };
  if (side < LEAST || side > MOST)
    return mk_fail(MKD_ERROR_ARGUMENT, "thumbnail: a side of %d pixels is not in %d .. %d", side,
                   LEAST, MOST);
  if (map)
    MK_TRY(mk_heat_check(image, map, options));
  else
    MK_TRY(mk_image_check(image));
  extent size = image ? fit(image->width, image->height, side) : fit(map->width, map->height, side);
  uint8_t *rgb = NULL;
  mk_bytes file;
  MK_TRY(draw(&rgb, size, image, map, options));
  mkd_status status = mk_jpeg_write(&file, rgb, size.width, size.height);
  mk_free(rgb);
  if (status != MKD_OK) return status;
  *jpeg = file.data;
  *bytes = file.size;
  return MKD_OK;
}

void mkd_bytes_free(unsigned char *bytes)
{
  mk_free(bytes);
}
