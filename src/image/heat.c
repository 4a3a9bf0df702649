#include "image/heat.h"

#include "core/memory.h"
#include "image/pixels.h"

#include <math.h>

static const mk_colour contour_light = {1, 1, 1};
static const mk_colour contour_dark = {0.02F, 0.02F, 0.05F};

mkd_status mk_heat_check(const mkd_image *image, const mkd_map *map,
                         const mkd_overlay_options *options)
{
  if (!map || !map->data) return mk_fail(MKD_ERROR_ARGUMENT, "the result has no heat map to draw");
  if (image) {
    MK_TRY(mk_image_check(image));
    if (map->width != image->width || map->height != image->height)
      return mk_fail(MKD_ERROR_ARGUMENT, "heat map of %d x %d pixels for an image of %d x %d",
                     map->width, map->height, image->width, image->height);
  }
  if (map->width < 1 || map->height < 1)
    return mk_fail(MKD_ERROR_ARGUMENT, "heat map of %d x %d pixels", map->width, map->height);
  if (!options || options->size < sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT, "overlay options: size must be sizeof(mkd_overlay_options)");
  if (!isfinite(options->low) || !isfinite(options->high) || options->low >= options->high)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "overlay options: low (%g) and high (%g) must be finite, and low below high",
                   options->low, options->high);
  return MKD_OK;
}

/* ---- Image and map at a pixel of the result -------------------------------------------------- */

/* Luma, 0..255. */
static float grey(const mkd_image *image, int x, int y)
{
  const uint8_t *row = (const uint8_t *)image->data + (size_t)y * image->stride;
  const uint8_t *bytes = row + (size_t)x * 3;
  const uint16_t *words = (const uint16_t *)(const void *)row;
  switch (image->format) {
  case MKD_GREY8:
    return row[x];
  case MKD_RGB8:
    return 0.299F * bytes[0] + 0.587F * bytes[1] + 0.114F * bytes[2];
  case MKD_BGR8:
    return 0.299F * bytes[2] + 0.587F * bytes[1] + 0.114F * bytes[0];
  case MKD_GREY16:
    return words[x] / 257.0F;
  case MKD_RGB16:
    words += (size_t)x * 3;
    return (0.299F * words[0] + 0.587F * words[1] + 0.114F * words[2]) / 257;
  }
  return 0;
}

static float map_value(const mkd_map *map, int x, int y)
{
  return map->data[(size_t)y * (size_t)map->width + (size_t)x];
}

/* Where pixel i of the enlarged axis lies between two of the original, and the weight of the
 * second. */
typedef struct {
  int first, second;
  float weight;
} between;

static between locate(int i, int zoom, int count)
{
  float position = ((float)i + 0.5F) / (float)zoom - 0.5F;
  if (position < 0) position = 0;
  int first = (int)position;
  if (first >= count - 1) return (between){count - 1, count - 1, 0};
  return (between){first, first + 1, position - (float)first};
}

static float mix(float a, float b, float weight)
{
  return a + (b - a) * weight;
}

static float grey_at(const mkd_image *image, between x, between y)
{
  if (x.weight == 0 && y.weight == 0) return grey(image, x.first, y.first);
  float top = mix(grey(image, x.first, y.first), grey(image, x.second, y.first), x.weight);
  float bottom = mix(grey(image, x.first, y.second), grey(image, x.second, y.second), x.weight);
  return mix(top, bottom, y.weight);
}

static float map_at(const mkd_map *map, between x, between y)
{
  if (x.weight == 0 && y.weight == 0) return map_value(map, x.first, y.first);
  float top = mix(map_value(map, x.first, y.first), map_value(map, x.second, y.first), x.weight);
  float bottom =
      mix(map_value(map, x.first, y.second), map_value(map, x.second, y.second), x.weight);
  return mix(top, bottom, y.weight);
}

/* ---- Heat ------------------------------------------------------------------------------------ */

/* 0 at the cold end of the scale, 1 at the hot end; NaN is cold. */
static float heat(float value, const mkd_overlay_options *options)
{
  double t = (value - options->low) / (options->high - options->low);
  return t > 0 ? t < 1 ? (float)t : 1 : 0;
}

mk_colour mk_heat_colour(float colours[MK_COLORMAP_SIZE][3], float t)
{
  const float *c = colours[(int)(t * (MK_COLORMAP_SIZE - 1) + 0.5F)];
  return (mk_colour){c[0], c[1], c[2]};
}

/* Opaque enough at the hot end to be read off the scale, and nothing at the cold end. */
static float heat_alpha(float t)
{
  float s = t < 0.6F ? t / 0.6F : 1;
  return 0.8F * s * s * (3 - 2 * s);
}

void mk_heat_draw(mk_canvas *canvas, const mk_heat_place *at, const mkd_image *image,
                  const mkd_map *map, const mkd_overlay_options *options)
{
  float colours[MK_COLORMAP_SIZE][3];
  mk_colormap(colours);
  for (int i = 0; i < at->height; ++i) {
    between y = locate(i, at->zoom, map->height);
    for (int k = 0; k < at->width; ++k) {
      between x = locate(k, at->zoom, map->width);
      float t = heat(map_at(map, x, y), options);
      mk_colour colour = mk_heat_colour(colours, t);
      if (image) {
        float g = grey_at(image, x, y) / 255, alpha = heat_alpha(t);
        colour =
            (mk_colour){mix(g, colour.r, alpha), mix(g, colour.g, alpha), mix(g, colour.b, alpha)};
      }
      mk_canvas_blend(canvas, at->left + k, at->top + i, colour, 1);
    }
  }
}

/* ---- Contour --------------------------------------------------------------------------------- */

/* How many pixels a pixel is above or below the nearest one of the region in its own column;
 * `far` for that many and more. */
static mkd_status column_distances(uint8_t **out, const mk_heat_place *at, const mkd_map *map,
                                   double threshold, int far)
{
  size_t width = (size_t)at->width, height = (size_t)at->height;
  uint8_t *distances;
  MK_TRY(mk_alloc(&distances, width * height, 1));
  for (size_t i = 0; i < height; ++i) {
    between y = locate((int)i, at->zoom, map->height);
    uint8_t *row = distances + i * width;
    const uint8_t *before = i > 0 ? row - width : NULL;
    for (size_t k = 0; k < width; ++k) {
      int above = before ? before[k] + 1 : far;
      bool inside = map_at(map, locate((int)k, at->zoom, map->width), y) > threshold;
      row[k] = (uint8_t)(inside ? 0 : above < far ? above : far);
    }
  }
  for (size_t i = height - 1; i > 0; --i) {
    uint8_t *row = distances + (i - 1) * width;
    for (size_t k = 0; k < width; ++k)
      if (row[k + width] + 1 < row[k]) row[k] = (uint8_t)(row[k + width] + 1);
  }
  *out = distances;
  return MKD_OK;
}

static float unit_clamp(float v)
{
  return v < 0 ? 0 : v > 1 ? 1 : v;
}

mkd_status mk_heat_contour(mk_canvas *canvas, const mk_heat_place *at, const mkd_map *map,
                           double threshold)
{
  int reach = (int)ceilf(2 * at->contour) + 1;
  uint8_t *distances;
  MK_TRY(column_distances(&distances, at, map, threshold, reach));
  for (int y = 0; y < at->height; ++y) {
    const uint8_t *row = distances + (size_t)y * (size_t)at->width;
    int until = -1; /* the last pixel that one seen so far is in reach of */
    for (int x = -reach; x < at->width; ++x) {
      if (x + reach < at->width && row[x + reach] < reach) until = x + 2 * reach;
      if (x < 0 || x > until || row[x] == 0) continue;
      int square = reach * reach;
      for (int dx = -reach; dx <= reach; ++dx) {
        if (x + dx < 0 || x + dx >= at->width) continue;
        int candidate = dx * dx + row[x + dx] * row[x + dx];
        if (candidate < square) square = candidate;
      }
      if (square == reach * reach) continue;
      float distance = sqrtf((float)square);
      float light = unit_clamp(at->contour + 1 - distance);
      float dark = unit_clamp(2 * at->contour + 1 - distance);
      mk_canvas_blend(canvas, at->left + x, at->top + y, contour_dark, dark * 0.85F);
      mk_canvas_blend(canvas, at->left + x, at->top + y, contour_light, light);
    }
  }
  mk_free(distances);
  return MKD_OK;
}
