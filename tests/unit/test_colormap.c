#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "image/colormap.h"
#include "image_fixture.h"

static double gamma_decode(double v)
{
  return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

/* sRGB to OKLab, the direction that the library does not have. */
static void oklab(double lab[3], const float rgb[3])
{
  double r = gamma_decode(rgb[0]), g = gamma_decode(rgb[1]), b = gamma_decode(rgb[2]);
  double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
  lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
  lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

static void colours_are_inside_the_gamut(void **state)
{
  (void)state;
  float rgb[MK_COLORMAP_SIZE][3];
  mk_colormap(rgb);
  /* What is outside would have been clamped to exactly 0 or 1. */
  for (int i = 0; i < MK_COLORMAP_SIZE; ++i)
    for (int c = 0; c < 3; ++c) assert_true(rgb[i][c] > 0 && rgb[i][c] < 1);
}

static void lightness_is_linear_and_steps_are_equal(void **state)
{
  (void)state;
  enum { N = MK_COLORMAP_SIZE };
  float rgb[N][3];
  double lab[N][3], step[N - 1], mean = 0;
  mk_colormap(rgb);
  for (int i = 0; i < N; ++i) oklab(lab[i], rgb[i]);
  for (int i = 0; i < N; ++i)
    assert_near(lab[i][0], lab[0][0] + (lab[N - 1][0] - lab[0][0]) * i / (N - 1), 1e-4);
  for (int i = 0; i + 1 < N; ++i) {
    double l = lab[i + 1][0] - lab[i][0], a = lab[i + 1][1] - lab[i][1],
           b = lab[i + 1][2] - lab[i][2];
    step[i] = sqrt(l * l + a * a + b * b);
    mean += step[i] / (N - 1);
  }
  for (int i = 0; i + 1 < N; ++i) assert_near(step[i] / mean, 1, 0.02);
  assert_true(lab[0][0] < 0.15 && lab[N - 1][0] > 0.95);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(colours_are_inside_the_gamut),
      cmocka_unit_test(lightness_is_linear_and_steps_are_equal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
