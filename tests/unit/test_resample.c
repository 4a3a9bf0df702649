#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "image/resample.h"
#include "image_fixture.h"

static mk_scratch scratch;

static const struct {
  int width, height;
} sizes[] = {{16, 16}, {50, 29}, {37, 9}, {5, 23}, {1, 1}},
  map_sizes[] = {{16, 12}, {80, 50}, {7, 30}};

enum { SIZES = sizeof sizes / sizeof sizes[0], MOST = 80 * 50 * 3 };

/* The pattern in every format, in rows that are longer than their pixels. */
typedef union {
  uint8_t bytes[HEIGHT][WIDTH * 3 + 5];
  uint16_t words[HEIGHT][WIDTH * 3 + 4];
} canvas;

static uint16_t narrow(int value)
{
  return (uint16_t)(value * 40 / 255 + 100);
}

static mkd_image draw(canvas *c, mkd_pixel_format format, bool full)
{
  bool grey = format == MKD_GREY8 || format == MKD_GREY16;
  bool wide = format == MKD_GREY16 || format == MKD_RGB16;
  memset(c, 0xee, sizeof *c);
  for (int y = 0; y < HEIGHT; ++y) {
    for (int x = 0; x < WIDTH * (grey ? 1 : 3); ++x) {
      int column = grey ? x : x / 3, channel = grey ? 0 : x % 3;
      int value = pattern(column, y, format == MKD_BGR8 ? 2 - channel : channel);
      if (!full) value = narrow(value);
      if (wide)
        c->words[y][x] = (uint16_t)(value * 257);
      else
        c->bytes[y][x] = (uint8_t)value;
    }
  }
  return (mkd_image){c, WIDTH, HEIGHT, wide ? sizeof c->words[0] : sizeof c->bytes[0], format};
}

static void resize_is_that_of_pillow(void **state)
{
  (void)state;
  expected e = expected_open(FIXTURES "/resample.f32");
  static canvas c;
  static float result[MOST];
  for (int full = 1; full >= 0; --full) {
    mkd_image image = draw(&c, full ? MKD_RGB8 : MKD_RGB16, full);
    for (int filter = MK_RESAMPLE_BILINEAR; filter <= MK_RESAMPLE_LANCZOS; ++filter) {
      for (int i = 0; i < SIZES; ++i) {
        int width = sizes[i].width, height = sizes[i].height;
        assert_int_equal(
            mk_resize_rgb(result, width, height, &image, (mk_resample)filter, NULL, &scratch),
            MKD_OK);
        double difference = expected_difference(&e, result, (size_t)(width * height) * 3);
        /* Pillow rounds 8-bit images after each pass, which is all that may differ: half a level,
         * and half a level times the sum of the second pass' absolute weights (Lanczos: 1.3). */
        assert_near(difference, 0, full ? 1.15 : 1e-4);
      }
    }
  }

  const int count = sizeof map_sizes / sizeof map_sizes[0];
  static float plane[HEIGHT * WIDTH];
  for (int y = 0; y < HEIGHT; ++y)
    for (int x = 0; x < WIDTH; ++x) plane[y * WIDTH + x] = (float)pattern(x, y, 0);
  for (int i = 0; i < count; ++i) {
    int width = map_sizes[i].width, height = map_sizes[i].height;
    assert_int_equal(mk_upsample_plane(result, width, height, plane, WIDTH, HEIGHT, NULL, &scratch),
                     MKD_OK);
    assert_near(expected_difference(&e, result, (size_t)(width * height)), 0, 1e-3);
  }
  expected_close(&e);
}

static void formats_agree(void **state)
{
  (void)state;
  static canvas c;
  static float rgb[16 * 16 * 3], other[16 * 16 * 3];
  mkd_image image = draw(&c, MKD_RGB8, true);
  assert_int_equal(mk_resize_rgb(rgb, 16, 16, &image, MK_RESAMPLE_BILINEAR, NULL, &scratch),
                   MKD_OK);
  const mkd_pixel_format formats[] = {MKD_BGR8, MKD_RGB16, MKD_GREY8, MKD_GREY16};
  for (int f = 0; f < 4; ++f) {
    image = draw(&c, formats[f], true);
    assert_int_equal(mk_resize_rgb(other, 16, 16, &image, MK_RESAMPLE_BILINEAR, NULL, &scratch),
                     MKD_OK);
    for (int i = 0; i < 16 * 16 * 3; ++i)
      assert_near(other[i], f < 2 ? rgb[i] : rgb[i / 3 * 3], 1e-3);
  }
}

static void same_size_changes_nothing(void **state)
{
  (void)state;
  static canvas c;
  static float result[HEIGHT * WIDTH * 3];
  mkd_image image = draw(&c, MKD_RGB8, true);
  for (int filter = MK_RESAMPLE_BILINEAR; filter <= MK_RESAMPLE_LANCZOS; ++filter) {
    assert_int_equal(
        mk_resize_rgb(result, WIDTH, HEIGHT, &image, (mk_resample)filter, NULL, &scratch), MKD_OK);
    for (int i = 0; i < HEIGHT * WIDTH * 3; ++i)
      assert_near(result[i], c.bytes[i / (WIDTH * 3)][i % (WIDTH * 3)], 1e-4);
  }
}

static void overshoot_is_clamped(void **state)
{
  (void)state;
  uint8_t edge[16] = {0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
  mkd_image image = {edge, 16, 1, 16, MKD_GREY8};
  float result[40 * 3];
  assert_int_equal(mk_resize_rgb(result, 40, 1, &image, MK_RESAMPLE_LANCZOS, NULL, &scratch),
                   MKD_OK);
  for (int i = 0; i < 40 * 3; ++i) assert_true(result[i] >= 0 && result[i] <= 255);
  assert_near(result[0], 0, 1e-3);
  assert_near(result[39 * 3], 255, 1e-3);
}

static void threads_give_the_same_bytes(void **state)
{
  (void)state;
  static canvas c;
  static float alone[MOST], shared[MOST];
  mk_pool *pool;
  mkd_image image = draw(&c, MKD_RGB16, true);
  for (int threads = 2; threads <= 5; ++threads) {
    assert_int_equal(mk_pool_create(&pool, threads), MKD_OK);
    for (int i = 0; i < SIZES; ++i) {
      int width = sizes[i].width, height = sizes[i].height;
      for (int filter = MK_RESAMPLE_BILINEAR; filter <= MK_RESAMPLE_LANCZOS; ++filter) {
        mk_resample f = (mk_resample)filter;
        assert_int_equal(mk_resize_rgb(alone, width, height, &image, f, NULL, &scratch), MKD_OK);
        assert_int_equal(mk_resize_rgb(shared, width, height, &image, f, pool, &scratch), MKD_OK);
        assert_memory_equal(shared, alone, (size_t)(width * height) * 3 * sizeof *alone);
      }
      const float *plane = alone;
      assert_int_equal(mk_upsample_plane(shared, width, height, plane, 7, 5, pool, &scratch),
                       MKD_OK);
      static float other[MOST];
      assert_int_equal(mk_upsample_plane(other, width, height, plane, 7, 5, NULL, &scratch),
                       MKD_OK);
      assert_memory_equal(shared, other, (size_t)(width * height) * sizeof *shared);
    }
    mk_pool_destroy(pool);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(resize_is_that_of_pillow),    cmocka_unit_test(formats_agree),
      cmocka_unit_test(same_size_changes_nothing),   cmocka_unit_test(overshoot_is_clamped),
      cmocka_unit_test(threads_give_the_same_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
