#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "image/filter.h"
#include "image_fixture.h"

static mk_scratch scratch;

static void draw(float *plane)
{
  for (int y = 0; y < HEIGHT; ++y)
    for (int x = 0; x < WIDTH; ++x) plane[y * WIDTH + x] = (float)pattern(x, y, 0);
}

static void blur_is_that_of_scipy_and_opening_that_of_opencv(void **state)
{
  (void)state;
  const struct {
    double sigma;
    int radius;
  } blurs[] = {{1.0, 4}, {4.0, 16}, {2.5, 60}};
  expected e = expected_open(FIXTURES "/filter.f32");
  static float plane[HEIGHT * WIDTH];
  for (int i = 0; i < 3; ++i) {
    draw(plane);
    assert_int_equal(
        mk_gaussian_blur(plane, WIDTH, HEIGHT, blurs[i].sigma, blurs[i].radius, NULL, &scratch),
        MKD_OK);
    assert_near(expected_difference(&e, plane, HEIGHT * WIDTH), 0, 2e-4);
  }
  draw(plane);
  assert_int_equal(mk_open_plus(plane, WIDTH, HEIGHT, &scratch), MKD_OK);
  assert_near(expected_difference(&e, plane, HEIGHT * WIDTH), 0, 0);
  expected_close(&e);
}

static void no_sigma_or_radius_is_no_blur(void **state)
{
  (void)state;
  float plane[3] = {1, 5, 2};
  assert_int_equal(mk_gaussian_blur(plane, 3, 1, 0, 4, NULL, &scratch), MKD_OK);
  assert_int_equal(mk_gaussian_blur(plane, 3, 1, 4, 0, NULL, &scratch), MKD_OK);
  assert_near(plane[1], 5, 0);
}

static void threads_give_the_same_bytes(void **state)
{
  (void)state;
  static float alone[HEIGHT * WIDTH], shared[HEIGHT * WIDTH];
  mk_pool *pool;
  assert_int_equal(mk_pool_create(&pool, 3), MKD_OK);
  draw(alone);
  draw(shared);
  assert_int_equal(mk_gaussian_blur(alone, WIDTH, HEIGHT, 2.5, 10, NULL, &scratch), MKD_OK);
  assert_int_equal(mk_gaussian_blur(shared, WIDTH, HEIGHT, 2.5, 10, pool, &scratch), MKD_OK);
  assert_memory_equal(shared, alone, sizeof alone);
  mk_pool_destroy(pool);
}

static void one_pixel_survives(void **state)
{
  (void)state;
  float pixel = 7;
  assert_int_equal(mk_gaussian_blur(&pixel, 1, 1, 4, 16, NULL, &scratch), MKD_OK);
  assert_near(pixel, 7, 1e-5);
  assert_int_equal(mk_open_plus(&pixel, 1, 1, &scratch), MKD_OK);
  assert_near(pixel, 7, 1e-5);
}

static void opening_removes_what_is_smaller_than_a_plus(void **state)
{
  (void)state;
  float speck[5 * 5] = {0}, plus[5 * 5] = {0};
  speck[12] = 1;
  plus[7] = plus[11] = plus[12] = plus[13] = plus[17] = 1;
  assert_int_equal(mk_open_plus(speck, 5, 5, &scratch), MKD_OK);
  assert_int_equal(mk_open_plus(plus, 5, 5, &scratch), MKD_OK);
  assert_near(speck[12], 0, 0);
  const int cells[] = {7, 11, 12, 13, 17};
  for (int i = 0; i < 5; ++i) assert_near(plus[cells[i]], 1, 0);
  assert_near(plus[6], 0, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blur_is_that_of_scipy_and_opening_that_of_opencv),
      cmocka_unit_test(no_sigma_or_radius_is_no_blur),
      cmocka_unit_test(one_pixel_survives),
      cmocka_unit_test(threads_give_the_same_bytes),
      cmocka_unit_test(opening_removes_what_is_smaller_than_a_plus),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
