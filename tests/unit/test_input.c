#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "image/histogram.h"
#include "image/input.h"
#include "image_fixture.h"

static mk_scratch scratch;

static const mk_input_spec plain = {.width = WIDTH,
                                    .height = HEIGHT,
                                    .resize_width = WIDTH,
                                    .resize_height = HEIGHT,
                                    .filter = MK_RESAMPLE_BILINEAR,
                                    .mean = {127, 127, 127},
                                    .std = {128, 128, 128},
                                    .low = 0,
                                    .high = 255};

static uint8_t pixels[HEIGHT][WIDTH][3];

static mkd_image draw(void)
{
  for (int y = 0; y < HEIGHT; ++y)
    for (int x = 0; x < WIDTH; ++x)
      for (int c = 0; c < 3; ++c) pixels[y][x][c] = (uint8_t)pattern(x, y, c);
  return (mkd_image){pixels, WIDTH, HEIGHT, WIDTH * 3, MKD_RGB8};
}

static void eight_bit_pixels_are_kept_exactly(void **state)
{
  (void)state;
  mkd_image image = draw();
  static uint16_t input[HEIGHT * WIDTH * 3];
  static float normalised[HEIGHT * WIDTH * 3];
  assert_int_equal(mk_input_size(&plain), HEIGHT * WIDTH * 3);
  assert_int_equal(mk_input_read(input, &plain, &image, NULL, &scratch), MKD_OK);
  mk_input_normalise(normalised, input, &plain);
  for (int i = 0; i < HEIGHT * WIDTH * 3; ++i) {
    int value = ((const uint8_t *)pixels)[i];
    assert_int_equal(input[i], value * 257);
    assert_near(normalised[i], ((float)value - 127) / 128, 0);
  }
}

static void crop_is_the_centre(void **state)
{
  (void)state;
  mkd_image image = draw();
  mk_input_spec spec = plain;
  spec.width = 20;
  spec.height = 11;
  static uint16_t input[11][20][3];
  assert_int_equal(mk_input_read(&input[0][0][0], &spec, &image, NULL, &scratch), MKD_OK);
  for (int y = 0; y < 11; ++y)
    for (int x = 0; x < 20; ++x)
      for (int c = 0; c < 3; ++c) assert_int_equal(input[y][x][c], pixels[y + 6][x + 8][c] * 257);
}

static void contrast_map_clamps(void **state)
{
  (void)state;
  const mk_input_spec spec = {.width = 2,
                              .height = 1,
                              .resize_width = 2,
                              .resize_height = 1,
                              .mean = {10, 20, 30},
                              .std = {2, 4, 8},
                              .low = 100,
                              .high = 151};
  const uint16_t input[6] = {100 * 257, 151 * 257, 110 * 257, 50 * 257, 200 * 257, 150 * 257};
  const double want[6] = {(0 - 10) / 2.0, (255 - 20) / 4.0, (50 - 30) / 8.0,
                          (0 - 10) / 2.0, (255 - 20) / 4.0, (250 - 30) / 8.0};
  float normalised[6];
  mk_input_normalise(normalised, input, &spec);
  for (int i = 0; i < 6; ++i) assert_near(normalised[i], want[i], 1e-4);
}

static void levels_survive_the_round_trip(void **state)
{
  (void)state;
  static uint16_t before[65536], after[65536];
  static float levels[65536];
  for (int i = 0; i < 65536; ++i) before[i] = (uint16_t)i;
  mk_input_to_levels(levels, before, 65536);
  mk_input_from_levels(after, levels, 65536);
  assert_memory_equal(before, after, sizeof before);
  assert_near(levels[65535], 255, 0);

  const float outside[4] = {-3, 300, NAN, 1e30F};
  mk_input_from_levels(after, outside, 4);
  assert_int_equal(after[0], 0);
  assert_int_equal(after[1], 65535);
  assert_int_equal(after[2], 0);
  assert_int_equal(after[3], 65535);
}

static void map_goes_back_to_the_image(void **state)
{
  (void)state;
  /* 8x6 frame, of which the central 4x2 is the input; image of the frame's size: nothing moves. */
  const mk_input_spec spec = {.width = 4, .height = 2, .resize_width = 8, .resize_height = 6};
  const float map[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  float out[6][8];
  assert_int_equal(mk_input_map_to_image(&out[0][0], 8, 6, &map[0][0], &spec, NULL, &scratch),
                   MKD_OK);
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 8; ++x) {
      int from_y = y < 2 ? 0 : y > 3 ? 1 : y - 2, from_x = x < 2 ? 0 : x > 5 ? 3 : x - 2;
      assert_near(out[y][x], map[from_y][from_x], 0);
    }
  }
  /* Without a crop: the plain upsampling of the whole. */
  const mk_input_spec whole = {.width = 4, .height = 2, .resize_width = 4, .resize_height = 2};
  float big[4][8], want[4][8];
  assert_int_equal(mk_input_map_to_image(&big[0][0], 8, 4, &map[0][0], &whole, NULL, &scratch),
                   MKD_OK);
  assert_int_equal(mk_upsample_plane(&want[0][0], 8, 4, &map[0][0], 4, 2, NULL, &scratch), MKD_OK);
  assert_memory_equal(big, want, sizeof big);
  assert_near(big[1][1], 1 * 0.75 * 0.75 + 2 * 0.25 * 0.75 + 5 * 0.75 * 0.25 + 6 * 0.25 * 0.25,
              1e-6);
}

static void percentiles_are_those_of_numpy(void **state)
{
  (void)state;
  static mk_histogram histogram;
  assert_true(isnan(mk_histogram_percentile(&histogram, 50)));
  const uint16_t values[] = {3, 1, 4, 1, 5, 9, 2, 6, 65535, 3, 500};
  mk_histogram_add(&histogram, values, 5);
  mk_histogram_add(&histogram, values + 5, 6);
  /* numpy.percentile(values, [0, 1, 37, 50, 90, 99, 100]) */
  const double percents[] = {0, 1, 37, 50, 90, 99, 100};
  const double want[] = {1, 1, 3, 4, 500, 59031.5, 65535};
  for (int i = 0; i < 7; ++i)
    assert_near(mk_histogram_percentile(&histogram, percents[i]), want[i], 1e-6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_bit_pixels_are_kept_exactly),
      cmocka_unit_test(crop_is_the_centre),
      cmocka_unit_test(contrast_map_clamps),
      cmocka_unit_test(levels_survive_the_round_trip),
      cmocka_unit_test(map_goes_back_to_the_image),
      cmocka_unit_test(percentiles_are_those_of_numpy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
