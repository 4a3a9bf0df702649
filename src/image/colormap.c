#include "image/colormap.h"

#include <math.h>

/* Lightness of the two ends, and the path of the hue: a Bezier curve in OKLab's (a, b) plane. Its
 * control points are the outcome of a search for the most colourful path of this kind that stays
 * inside sRGB. */
static const double dark = 0.13, light = 0.97;
enum { POINTS = 5 };
static const double path[POINTS][2] = {
    {0.006, -0.036}, {0.053, -0.314}, {0.548, 0.203}, {-0.134, 0.234}, {-0.030, 0.105}};

/* De Casteljau's construction. */
static void bezier(double ab[2], double t)
{
  double p[POINTS][2];
  for (int i = 0; i < POINTS; ++i)
    for (int k = 0; k < 2; ++k) p[i][k] = path[i][k];
  for (int n = POINTS - 1; n > 0; --n)
    for (int i = 0; i < n; ++i)
      for (int k = 0; k < 2; ++k) p[i][k] += (p[i + 1][k] - p[i][k]) * t;
  ab[0] = p[0][0];
  ab[1] = p[0][1];
}

static float gamma_encode(double v)
{
  v = v < 0 ? 0 : v > 1 ? 1 : v;
  return (float)(v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055);
}

/* OKLab (Ottosson 2020) to sRGB. */
static void oklab_to_srgb(float rgb[3], double lightness, const double ab[2])
{
  double l = lightness + 0.3963377774 * ab[0] + 0.2158037573 * ab[1];
  double m = lightness - 0.1055613458 * ab[0] - 0.0638541728 * ab[1];
  double s = lightness - 0.0894841775 * ab[0] - 1.2914855480 * ab[1];
  l = l * l * l;
  m = m * m * m;
  s = s * s * s;
  rgb[0] = gamma_encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
  rgb[1] = gamma_encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
  rgb[2] = gamma_encode(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

void mk_colormap(float rgb[MK_COLORMAP_SIZE][3])
{
  /* Equal steps need the curve by its length: lengths[i] is that of its first i pieces. */
  enum { PIECES = 2048 };
  double lengths[PIECES + 1], before[2], ab[2];
  lengths[0] = 0;
  bezier(before, 0);
  for (int i = 1; i <= PIECES; ++i) {
    bezier(ab, (double)i / PIECES);
    lengths[i] = lengths[i - 1] + hypot(ab[0] - before[0], ab[1] - before[1]);
    before[0] = ab[0];
    before[1] = ab[1];
  }
  int piece = 0;
  for (int i = 0; i < MK_COLORMAP_SIZE; ++i) {
    double position = (double)i / (MK_COLORMAP_SIZE - 1), target = position * lengths[PIECES];
    while (piece < PIECES - 1 && lengths[piece + 1] < target) ++piece;
    double within = (target - lengths[piece]) / (lengths[piece + 1] - lengths[piece]);
    bezier(ab, (piece + within) / PIECES);
    oklab_to_srgb(rgb[i], dark + (light - dark) * position, ab);
  }
}
