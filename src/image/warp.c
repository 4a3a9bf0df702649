#include "image/warp.h"

#include <math.h>

static double draw(mk_rng *rng, double low, double high)
{
  return low + (high - low) * mk_rng_uniform(rng);
}

static double clamp(double v, double high)
{
  return v < 0 ? 0 : v > high ? high : v;
}

/* Over pixels and channels. */
static double mean(const float *values, size_t count)
{
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += values[i];
  return sum / (double)count;
}

void mk_warp_rgb(float *dst, const float *src, int width, int height, const mk_warp_ranges *ranges,
                 mk_rng *rng)
{
  double angle = draw(rng, -ranges->rotation, ranges->rotation) * (3.14159265358979323846 / 180);
  double shift_x = draw(rng, -ranges->shift, ranges->shift);
  double shift_y = draw(rng, -ranges->shift, ranges->shift);
  double scale = draw(rng, ranges->scale_low, ranges->scale_high);
  double contrast = draw(rng, 1 - ranges->contrast, 1 + ranges->contrast);
  double brightness = draw(rng, -ranges->brightness, ranges->brightness);

  size_t row = (size_t)width * 3;
  float gain = (float)contrast;
  float offset = (float)((1 - contrast) * mean(src, row * (size_t)height) + brightness);

  /* From a pixel of the result back to where it comes from. Rows run downwards, so that the
   * backward rotation has the signs of a forward one in a plane whose y axis points up. */
  double c = cos(angle) / scale, s = sin(angle) / scale;
  double centre_x = 0.5 * (width - 1), centre_y = 0.5 * (height - 1);
  for (int y = 0; y < height; ++y) {
    double v = y - centre_y - shift_y;
    for (int x = 0; x < width; ++x) {
      double u = x - centre_x - shift_x;
      double from_x = clamp(c * u - s * v + centre_x, width - 1);
      double from_y = clamp(s * u + c * v + centre_y, height - 1);
      int x0 = (int)from_x, y0 = (int)from_y;
      float wx = (float)(from_x - x0), wy = (float)(from_y - y0);
      const float *top_left = src + (size_t)y0 * row + (size_t)x0 * 3;
      const float *top_right = top_left + (x0 + 1 < width ? 3 : 0);
      size_t down = y0 + 1 < height ? row : 0;
      for (int i = 0; i < 3; ++i) {
        float top = top_left[i] * (1 - wx) + top_right[i] * wx;
        float bottom = top_left[down + (size_t)i] * (1 - wx) + top_right[down + (size_t)i] * wx;
        float value = (top * (1 - wy) + bottom * wy) * gain + offset;
        *dst++ = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
}
