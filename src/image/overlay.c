#include "core/memory.h"
#include "image/canvas.h"
#include "image/colormap.h"
#include "image/pixels.h"
#include "image/png_write.h"

#include <math.h>
#include <stdio.h>

static const mk_colour background = {0.075F, 0.075F, 0.090F};
static const mk_colour ink = {0.900F, 0.900F, 0.920F};
static const mk_colour dim_ink = {0.560F, 0.560F, 0.600F};
static const mk_colour contour_light = {1, 1, 1};
static const mk_colour contour_dark = {0.02F, 0.02F, 0.05F};

/* All lengths in pixels of the result. */
typedef struct {
  int zoom;                     /* image and map are enlarged by it */
  int left, top, width, height; /* of the image */
  int bar_left, bar_top, bar_width, bar_height;
  int tick;      /* length */
  int pen;       /* thickness of ticks */
  float contour; /* thickness of each tone of the contour */
  int letter;    /* height */
  int text_left;
  int canvas_width, canvas_height;
} layout;

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

static mk_colour heat_colour(float colours[MK_COLORMAP_SIZE][3], float t)
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

static void draw_image(mk_canvas *canvas, const layout *at, const mkd_image *image,
                       const mkd_map *map, const mkd_overlay_options *options,
                       float colours[MK_COLORMAP_SIZE][3])
{
  for (int i = 0; i < at->height; ++i) {
    between y = locate(i, at->zoom, image->height);
    for (int k = 0; k < at->width; ++k) {
      between x = locate(k, at->zoom, image->width);
      float g = grey_at(image, x, y) / 255, t = heat(map_at(map, x, y), options);
      float alpha = heat_alpha(t);
      mk_colour hot = heat_colour(colours, t);
      mk_colour both = {mix(g, hot.r, alpha), mix(g, hot.g, alpha), mix(g, hot.b, alpha)};
      mk_canvas_blend(canvas, at->left + k, at->top + i, both, 1);
    }
  }
}

/* ---- Contour --------------------------------------------------------------------------------- */

/* How many pixels a pixel is above or below the nearest one of the region in its own column;
 * `far` for that many and more. */
static mkd_status column_distances(uint8_t **out, const layout *at, const mkd_map *map,
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

/* A light line just outside the region and a dark one around it, so that one of them stands out
 * from whatever is below. */
static mkd_status draw_contour(mk_canvas *canvas, const layout *at, const mkd_map *map,
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

/* ---- Colour scale ---------------------------------------------------------------------------- */

/* What is nothing beside the scale's range is 0: no "-0", no "2.9e-08". */
static void format_number(char text[32], const mkd_overlay_options *options, double value)
{
  bool nothing = fabs(value) < 1e-4 * (options->high - options->low);
  snprintf(text, 32, "%.3g", nothing ? 0.0 : value);
}

static const char threshold_word[] = "threshold";
static const float word_size = 0.8F; /* of the numbers' */

static bool shows_threshold(const mkd_overlay_options *options)
{
  return options->threshold >= options->low && options->threshold <= options->high;
}

/* A tick at `value`'s height on the scale; returns where it is. */
static int draw_tick(mk_canvas *canvas, const layout *at, const mkd_overlay_options *options,
                     double value)
{
  double t = (value - options->low) / (options->high - options->low);
  int y = at->bar_top + (int)lround((1 - t) * (at->bar_height - at->pen));
  mk_canvas_fill(canvas, at->bar_left + at->bar_width, y, at->tick, at->pen, ink);
  return y;
}

static void draw_number(mk_canvas *canvas, const layout *at, const mkd_overlay_options *options,
                        double value, int top)
{
  char text[32];
  format_number(text, options, value);
  mk_canvas_text(canvas, (float)at->text_left, (float)top, (float)at->letter, ink, text);
}

/* The number at the threshold's height and what it is below, moved out of the way of the numbers at
 * the ends. */
static void draw_threshold(mk_canvas *canvas, const layout *at, const mkd_overlay_options *options)
{
  int y = draw_tick(canvas, at, options, options->threshold);
  mk_canvas_fill(canvas, at->bar_left, y - at->pen, at->bar_width, 3 * at->pen, contour_dark);
  mk_canvas_fill(canvas, at->bar_left, y, at->bar_width, at->pen, contour_light);

  int gap = at->letter / 2, top = y + at->pen / 2 - at->letter / 2;
  int bottom = top + 2 * at->letter + gap;
  int highest = at->bar_top + at->letter / 2 + 2 * gap;
  int lowest = at->bar_top + at->bar_height - at->letter / 2 - 2 * gap;
  if (bottom > lowest) top -= bottom - lowest;
  if (top < highest) top = highest;
  draw_number(canvas, at, options, options->threshold, top);
  mk_canvas_text(canvas, (float)at->text_left, (float)(top + at->letter + gap),
                 word_size * (float)at->letter, dim_ink, threshold_word);
}

static void draw_scale(mk_canvas *canvas, const layout *at, const mkd_overlay_options *options,
                       float colours[MK_COLORMAP_SIZE][3])
{
  for (int i = 0; i < at->bar_height; ++i) {
    float t = 1 - (float)i / (float)(at->bar_height - 1);
    mk_canvas_fill(canvas, at->bar_left, at->bar_top + i, at->bar_width, 1,
                   heat_colour(colours, t));
  }
  int above = (at->letter - at->pen) / 2;
  draw_number(canvas, at, options, options->high,
              draw_tick(canvas, at, options, options->high) - above);
  draw_number(canvas, at, options, options->low,
              draw_tick(canvas, at, options, options->low) - above);
  if (shows_threshold(options)) draw_threshold(canvas, at, options);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static float widest_label(const mkd_overlay_options *options, float letter)
{
  const double values[] = {options->low, options->high, options->threshold};
  int count = shows_threshold(options) ? 3 : 2;
  float widest = count == 3 ? mk_text_width(word_size * letter, threshold_word) : 0;
  for (int i = 0; i < count; ++i) {
    char text[32];
    format_number(text, options, values[i]);
    widest = fmaxf(widest, mk_text_width(letter, text));
  }
  return widest;
}

static int at_least(int a, int b)
{
  return a > b ? a : b;
}

static layout arrange(const mkd_image *image, const mkd_overlay_options *options)
{
  enum { READABLE = 400, LARGEST_UNIT = 8 };
  layout at = {.zoom = 1};
  int longest = at_least(image->width, image->height);
  if (longest < READABLE) at.zoom = (READABLE + longest - 1) / longest;
  at.width = image->width * at.zoom;
  at.height = image->height * at.zoom;

  int unit = at_least(longest * at.zoom / 640, 1);
  if (unit > LARGEST_UNIT) unit = LARGEST_UNIT;
  int margin = 20 * unit;
  at.pen = unit;
  at.contour = 1.5F * (float)unit;
  at.letter = 13 * unit;
  at.tick = 6 * unit;
  at.bar_width = 16 * unit;
  at.bar_height = at_least(at.height, 10 * at.letter);
  at.canvas_height = at.bar_height + 2 * margin;
  at.left = margin;
  at.top = (at.canvas_height - at.height) / 2;
  at.bar_left = at.left + at.width + margin;
  at.bar_top = margin;
  at.text_left = at.bar_left + at.bar_width + at.tick + 8 * unit;
  at.canvas_width = at.text_left + (int)ceilf(widest_label(options, (float)at.letter)) + margin;
  return at;
}

static mkd_status check(const mkd_image *image, const mkd_map *map,
                        const mkd_overlay_options *options)
{
  const int max_side = 1000000; /* libpng's own limit */
  MK_TRY(mk_image_check(image));
  if (image->width > max_side || image->height > max_side)
    return mk_fail(MKD_ERROR_ARGUMENT, "image of %d x %d pixels: a PNG has at most %d a side",
                   image->width, image->height, max_side);
  if (!map || !map->data) return mk_fail(MKD_ERROR_ARGUMENT, "the result has no heat map to draw");
  if (map->width != image->width || map->height != image->height)
    return mk_fail(MKD_ERROR_ARGUMENT, "heat map of %d x %d pixels for an image of %d x %d",
                   map->width, map->height, image->width, image->height);
  if (!options || options->size < sizeof *options)
    return mk_fail(MKD_ERROR_ARGUMENT, "overlay options: size must be sizeof(mkd_overlay_options)");
  if (!isfinite(options->low) || !isfinite(options->high) || options->low >= options->high)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "overlay options: low (%g) and high (%g) must be finite, and low below high",
                   options->low, options->high);
  return MKD_OK;
}

mkd_status mkd_overlay_save(const char *path, const mkd_image *image, const mkd_map *map,
                            const mkd_overlay_options *options)
{
  MK_TRY(check(image, map, options));
  layout at = arrange(image, options);
  float colours[MK_COLORMAP_SIZE][3];
  mk_colormap(colours);
  mk_canvas canvas;
  MK_TRY(mk_canvas_create(&canvas, at.canvas_width, at.canvas_height, background));
  draw_image(&canvas, &at, image, map, options, colours);
  draw_scale(&canvas, &at, options, colours);
  mkd_status status = MKD_OK;
  if (!isnan(options->threshold)) status = draw_contour(&canvas, &at, map, options->threshold);
  if (status == MKD_OK) {
    mkd_image result = {canvas.rgb, at.canvas_width, at.canvas_height, (size_t)at.canvas_width * 3,
                        MKD_RGB8};
    status = mk_png_write(path, &result);
  }
  mk_canvas_free(&canvas);
  return status;
}
