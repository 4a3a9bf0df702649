#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

#include "image/colormap.h"
#include "image_fixture.h"

enum { W = 600, H = 300 };

static uint8_t pixels[H][W][3];
static float values[H][W];

static const mkd_image image = {pixels, W, H, sizeof pixels[0], MKD_RGB8};
static const mkd_map map = {&values[0][0], W, H};

/* A reddish image, with a hot block in the middle of its left half. */
static int set_up(void **state)
{
  (void)state;
  for (int y = 0; y < H; ++y)
    for (int x = 0; x < W; ++x) {
      pixels[y][x][0] = 200;
      pixels[y][x][1] = 100;
      pixels[y][x][2] = 50;
      values[y][x] = x >= 100 && x < 200 && y >= 100 && y < 200 ? 10 : 0;
    }
  return 0;
}

static mkd_picture *thumbnail(int side, const mkd_image *of, const mkd_map *heat, double threshold)
{
  const mkd_overlay_options options = {sizeof options, 0, 10, threshold};
  unsigned char *jpeg;
  size_t size;
  mkd_picture *picture;
  assert_int_equal(mkd_thumbnail(&jpeg, &size, side, of, heat, heat ? &options : NULL), MKD_OK);
  assert_memory_equal(jpeg, "\xff\xd8\xff", 3);
  assert_int_equal(mkd_picture_decode(&picture, jpeg, size, "thumbnail", NULL), MKD_OK);
  mkd_bytes_free(jpeg);
  return picture;
}

static void assert_size(const mkd_picture *picture, int width, int height)
{
  assert_int_equal(mkd_picture_image(picture)->width, width);
  assert_int_equal(mkd_picture_image(picture)->height, height);
}

/* JPEG is lossy, but hardly so in the middle of what is flat. */
static void assert_colour(const mkd_picture *picture, int x, int y, double r, double g, double b)
{
  const mkd_image *view = mkd_picture_image(picture);
  const uint8_t *pixel = (const uint8_t *)view->data + (size_t)y * view->stride + (size_t)x * 3;
  assert_near(pixel[0], r, 4);
  assert_near(pixel[1], g, 4);
  assert_near(pixel[2], b, 4);
}

static void image_is_shrunk_to_fit_but_not_enlarged(void **state)
{
  (void)state;
  mkd_picture *picture = thumbnail(200, &image, NULL, NAN);
  assert_size(picture, 200, 100);
  assert_colour(picture, 50, 50, 200, 100, 50);
  mkd_picture_destroy(picture);

  picture = thumbnail(4096, &image, NULL, NAN);
  assert_size(picture, W, H);
  mkd_picture_destroy(picture);

  const mkd_image line = {pixels, W, 1, sizeof pixels[0], MKD_RGB8};
  picture = thumbnail(16, &line, NULL, NAN);
  assert_size(picture, 16, 1);
  mkd_picture_destroy(picture);

  const mkd_image upright = {pixels, 10, H, sizeof pixels[0], MKD_RGB8};
  picture = thumbnail(150, &upright, NULL, NAN);
  assert_size(picture, 5, 150);
  mkd_picture_destroy(picture);
}

static void map_alone_has_the_colours_of_the_scale(void **state)
{
  (void)state;
  float colours[MK_COLORMAP_SIZE][3];
  mk_colormap(colours);
  const float *cold = colours[0], *hot = colours[MK_COLORMAP_SIZE - 1];
  mkd_picture *picture = thumbnail(300, NULL, &map, NAN);
  assert_size(picture, 300, 150);
  assert_colour(picture, 220, 75, 255 * cold[0], 255 * cold[1], 255 * cold[2]);
  assert_colour(picture, 75, 75, 255 * hot[0], 255 * hot[1], 255 * hot[2]);
  mkd_picture_destroy(picture);
}

static void both_make_an_overlay_with_its_contour(void **state)
{
  (void)state;
  double grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50;
  mkd_picture *plain = thumbnail(300, &image, &map, NAN);
  mkd_picture *lined = thumbnail(300, &image, &map, 5);
  assert_colour(plain, 220, 75, grey, grey, grey);
  assert_colour(lined, 220, 75, grey, grey, grey);
  /* Just left of the block, whose edge is at 50. */
  const mkd_image *without = mkd_picture_image(plain), *with = mkd_picture_image(lined);
  size_t at = 75 * without->stride + 49 * 3;
  assert_true(((const uint8_t *)with->data)[at + 2] >
              ((const uint8_t *)without->data)[at + 2] + 60);
  mkd_picture_destroy(plain);
  mkd_picture_destroy(lined);
}

static void same_pixels_same_bytes(void **state)
{
  (void)state;
  const mkd_overlay_options options = {sizeof options, 0, 10, 5};
  unsigned char *jpegs[2];
  size_t sizes[2];
  for (int i = 0; i < 2; ++i)
    assert_int_equal(mkd_thumbnail(&jpegs[i], &sizes[i], 256, &image, &map, &options), MKD_OK);
  assert_int_equal(sizes[0], sizes[1]);
  assert_memory_equal(jpegs[0], jpegs[1], sizes[0]);
  for (int i = 0; i < 2; ++i) mkd_bytes_free(jpegs[i]);
}

static void what_cannot_be_drawn_is_refused(void **state)
{
  (void)state;
  mkd_overlay_options options = {sizeof options, 0, 10, 5};
  unsigned char *jpeg = NULL;
  size_t size;
  const mkd_map other = {&values[0][0], W / 2, H};
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 15, &image, NULL, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 5000, &image, NULL, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 64, NULL, NULL, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 64, &image, &other, &options), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 64, &image, &map, NULL), MKD_ERROR_ARGUMENT);
  options.high = options.low;
  assert_int_equal(mkd_thumbnail(&jpeg, &size, 64, NULL, &map, &options), MKD_ERROR_ARGUMENT);
  assert_null(jpeg);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(image_is_shrunk_to_fit_but_not_enlarged),
      cmocka_unit_test(map_alone_has_the_colours_of_the_scale),
      cmocka_unit_test(both_make_an_overlay_with_its_contour),
      cmocka_unit_test(same_pixels_same_bytes),
      cmocka_unit_test(what_cannot_be_drawn_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
