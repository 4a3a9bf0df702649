#include "image/canvas.h"

#include "core/memory.h"

#include <math.h>

static uint8_t byte(float v)
{
  v = v * 255 + 0.5F;
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

mkd_status mk_canvas_create(mk_canvas *canvas, int width, int height, mk_colour background)
{
  size_t pixels;
  if (!mk_mul((size_t)width, (size_t)height, &pixels)) return mk_fail_memory(SIZE_MAX);
  *canvas = (mk_canvas){NULL, width, height};
  MK_TRY(mk_alloc(&canvas->rgb, pixels, 3));
  mk_canvas_fill(canvas, 0, 0, width, height, background);
  return MKD_OK;
}

void mk_canvas_free(mk_canvas *canvas)
{
  mk_free(canvas->rgb);
}

void mk_canvas_blend(mk_canvas *canvas, int x, int y, mk_colour colour, float alpha)
{
  if (x < 0 || y < 0 || x >= canvas->width || y >= canvas->height) return;
  uint8_t *pixel = canvas->rgb + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3;
  const float values[3] = {colour.r, colour.g, colour.b};
  for (int c = 0; c < 3; ++c) {
    float below = (float)pixel[c] / 255;
    pixel[c] = byte(below + (values[c] - below) * alpha);
  }
}

void mk_canvas_fill(mk_canvas *canvas, int x, int y, int width, int height, mk_colour colour)
{
  int left = x > 0 ? x : 0, right = x + width < canvas->width ? x + width : canvas->width;
  int top = y > 0 ? y : 0, bottom = y + height < canvas->height ? y + height : canvas->height;
  const uint8_t bytes[3] = {byte(colour.r), byte(colour.g), byte(colour.b)};
  for (int i = top; i < bottom; ++i) {
    uint8_t *pixel = canvas->rgb + ((size_t)i * (size_t)canvas->width + (size_t)left) * 3;
    for (int k = left; k < right; ++k, pixel += 3)
      for (int c = 0; c < 3; ++c) pixel[c] = bytes[c];
  }
}

/* ---- Lettering ------------------------------------------------------------------------------- */

/* Strokes, parted by '/'. A stroke is a list of points "xy": x to the right 0..6, y down 0..8,
 * where 8 is the line that letters stand on. It is drawn as a quadratic B-spline through the
 * middles of its sides; a point that is given twice makes a corner. */
static const struct {
  char letter;
  const char *strokes;
} glyphs[] = {
    {'0', "306064683808040030"},
    {'1', "02202028"},
    {'2', "020030606264080868"},
    {'3', "00606033336368380807"},
    {'4', "40060666/4448"},
    {'5', "6000000404336368380807"},
    {'6', "616030000508386863330305"},
    {'7', "00606028"},
    {'8', "305052543414121030/346466683808060434"},
    {'9', "070838686360300005356563"},
    {'-', "0444"},
    {'+', "0444/2226"},
    {'.', "0808"},
    {'d', "6068/656232020508386865"},
    {'e', "05656562320205083867"},
    {'h', "0008/050232626468"},
    {'l', "0008"},
    {'o', "326265683808050232"},
    {'r', "0208/05023252"},
    {'s', "6362320205356568380807"},
    {'t', "2026283848/0242"},
};

/* "" when there is none. */
static const char *glyph(char letter)
{
  for (size_t i = 0; i < sizeof glyphs / sizeof glyphs[0]; ++i)
    if (glyphs[i].letter == letter) return glyphs[i].strokes;
  return "";
}

/* In grid units. */
static const float pen = 0.58F;    /* half a stroke's thickness */
static const float aspect = 0.84F; /* columns are narrower than rows */
static const float spacing = 2.3F; /* between letters */
static const float space = 3;      /* width of what has no glyph */
static const float grid_height = 8;

typedef struct {
  float x, y;
} point;

static point control(const char *stroke, size_t i)
{
  return (point){(float)(stroke[2 * i] - '0') * aspect, (float)(stroke[2 * i + 1] - '0')};
}

static point middle(point a, point b)
{
  return (point){(a.x + b.x) / 2, (a.y + b.y) / 2};
}

enum { MAX_POINTS = 128, PIECES = 6 }; /* pieces of straight line per curve */

/* The glyph as polylines; a point whose x is NAN parts two of them. */
static int flatten(point *points, const char *strokes)
{
  int n = 0;
  while (*strokes) {
    size_t count = 0;
    while (strokes[2 * count] && strokes[2 * count] != '/') ++count;
    point from = control(strokes, 0);
    points[n++] = from;
    if (count == 2) points[n++] = control(strokes, 1);
    for (size_t i = 1; i + 1 < count; ++i) {
      point via = control(strokes, i), next = control(strokes, i + 1);
      point to = i + 2 == count ? next : middle(via, next);
      for (int k = 1; k <= PIECES; ++k) {
        float t = (float)k / PIECES, a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
        points[n++] = (point){a * from.x + b * via.x + c * to.x, a * from.y + b * via.y + c * to.y};
      }
      from = to;
    }
    points[n++] = (point){NAN, NAN};
    strokes += 2 * count;
    if (*strokes == '/') ++strokes;
  }
  return n;
}

static float distance(point p, point a, point b)
{
  float dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
  float t = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  return hypotf(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

static float glyph_width(const char *strokes)
{
  if (!*strokes) return space;
  char widest = '0';
  for (size_t i = 0; strokes[i]; i += strokes[i] == '/' ? 1 : 2)
    if (strokes[i] > widest) widest = strokes[i]; /* '/' comes before the digits */
  return (float)(widest - '0') * aspect;
}

static void draw_glyph(mk_canvas *canvas, float x, float y, float scale, mk_colour colour,
                       const char *strokes)
{
  point points[MAX_POINTS];
  int count = flatten(points, strokes);
  int left = (int)floorf(x - scale), right = (int)ceilf(x + (glyph_width(strokes) + 1) * scale);
  int top = (int)floorf(y - scale), bottom = (int)ceilf(y + (grid_height + 1) * scale);
  for (int row = top; row < bottom; ++row) {
    for (int column = left; column < right; ++column) {
      point p = {((float)column + 0.5F - x) / scale, ((float)row + 0.5F - y) / scale};
      float nearest = INFINITY;
      for (int i = 0; i + 1 < count; ++i) {
        if (isnan(points[i].x) || isnan(points[i + 1].x)) continue;
        nearest = fminf(nearest, distance(p, points[i], points[i + 1]));
      }
      float coverage = (pen - nearest) * scale + 0.5F;
      if (coverage > 0) mk_canvas_blend(canvas, column, row, colour, fminf(coverage, 1));
    }
  }
}

void mk_canvas_text(mk_canvas *canvas, float x, float y, float height, mk_colour colour,
                    const char *text)
{
  float scale = height / grid_height;
  for (; *text; ++text) {
    const char *strokes = glyph(*text);
    draw_glyph(canvas, x, y, scale, colour, strokes);
    x += (glyph_width(strokes) + spacing) * scale;
  }
}

float mk_text_width(float height, const char *text)
{
  float width = 0;
  for (; *text; ++text) width += glyph_width(glyph(*text)) + spacing;
  return width == 0 ? 0 : (width - spacing) * height / grid_height;
}
