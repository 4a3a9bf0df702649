#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "image/warp.h"
#include "image_fixture.h"

static float image[HEIGHT * WIDTH * 3], result[HEIGHT * WIDTH * 3];

static void draw(void)
{
  for (int i = 0; i < HEIGHT * WIDTH * 3; ++i)
    image[i] = (float)pattern(i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
}

static void copies_are_those_of_the_definition(void **state)
{
  (void)state;
  const mk_warp_ranges ranges = {30, 6, 0.7, 1.4, 0.5, 60};
  expected e = expected_open(FIXTURES "/warp.f32");
  mk_rng rng = mk_rng_seed(5, 3);
  draw();
  for (int copy = 0; copy < 4; ++copy) {
    mk_warp_rgb(result, image, WIDTH, HEIGHT, &ranges, &rng);
    assert_near(expected_difference(&e, result, HEIGHT * WIDTH * 3), 0, 1e-3);
  }
  expected_close(&e);
}

static void empty_ranges_change_nothing(void **state)
{
  (void)state;
  const mk_warp_ranges ranges = {.scale_low = 1, .scale_high = 1};
  mk_rng rng = mk_rng_seed(1, 0);
  draw();
  mk_warp_rgb(result, image, WIDTH, HEIGHT, &ranges, &rng);
  for (int i = 0; i < HEIGHT * WIDTH * 3; ++i) assert_near(result[i], image[i], 1e-4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_are_those_of_the_definition),
      cmocka_unit_test(empty_ranges_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
