#include "image/heat.h"
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
  mk_heat_place image;
  int bar_left, bar_top, bar_width, bar_height;
  int tick;   /* length */
  int pen;    /* thickness of ticks */
  int letter; /* height */
  int text_left;
  int canvas_width, canvas_height;
} layout;

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

static void draw_scale(mk_canvas *canvas, const layout *at, const mkd_overlay_options *options)
{
  float colours[MK_COLORMAP_SIZE][3];
  mk_colormap(colours);
  for (int i = 0; i < at->bar_height; ++i) {
    float t = 1 - (float)i / (float)(at->bar_height - 1);
    mk_canvas_fill(canvas, at->bar_left, at->bar_top + i, at->bar_width, 1,
                   mk_heat_colour(colours, t));
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
  layout at = {.image.zoom = 1};
  int longest = at_least(image->width, image->height);
  if (longest < READABLE) at.image.zoom = (READABLE + longest - 1) / longest;
  at.image.width = image->width * at.image.zoom;
  at.image.height = image->height * at.image.zoom;

  int unit = at_least(longest * at.image.zoom / 640, 1);
  if (unit > LARGEST_UNIT) unit = LARGEST_UNIT;
  int margin = 20 * unit;
  at.pen = unit;
  at.image.contour = 1.5F * (float)unit;
  at.letter = 13 * unit;
  at.tick = 6 * unit;
  at.bar_width = 16 * unit;
  at.bar_height = at_least(at.image.height, 10 * at.letter);
  at.canvas_height = at.bar_height + 2 * margin;
  at.image.left = margin;
  at.image.top = (at.canvas_height - at.image.height) / 2;
  at.bar_left = at.image.left + at.image.width + margin;
  at.bar_top = margin;
  at.text_left = at.bar_left + at.bar_width + at.tick + 8 * unit;
  at.canvas_width = at.text_left + (int)ceilf(widest_label(options, (float)at.letter)) + margin;
  return at;
}

static mkd_status check(const char *path, const mkd_image *image, const mkd_map *map,
                        const mkd_overlay_options *options)
{
  const int max_side = 1000000; /* libpng's own limit */
  MK_TRY(mk_image_check(image));
  if (image->width > max_side || image->height > max_side)
    return mk_fail(MKD_ERROR_DATA, "%s: of %d x %d pixels; a PNG has at most %d a side", path,
                   image->width, image->height, max_side);
  return mk_heat_check(image, map, options);
}

mkd_status mkd_overlay_save(const char *path, const mkd_image *image, const mkd_map *map,
                            const mkd_overlay_options *options)
{
  MK_TRY(check(path, image, map, options));
  layout at = arrange(image, options);
  mk_canvas canvas;
  MK_TRY(mk_canvas_create(&canvas, at.canvas_width, at.canvas_height, background));
  mk_heat_draw(&canvas, &at.image, image, map, options);
  draw_scale(&canvas, &at, options);
  mkd_status status = MKD_OK;
  if (!isnan(options->threshold))
    status = mk_heat_contour(&canvas, &at.image, map, options->threshold);
  if (status == MKD_OK) {
    mkd_image result = {canvas.rgb, at.canvas_width, at.canvas_height, (size_t)at.canvas_width * 3,
                        MKD_RGB8};
    status = mk_png_write(path, &result);
  }
  mk_canvas_free(&canvas);
  return status;
}
