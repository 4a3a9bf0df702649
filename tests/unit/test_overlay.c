#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "image/canvas.h"
#include "image/colormap.h"
#include "image_fixture.h"

enum { W = 420, H = 300, MARGIN = 20 };

static char path[64];
static uint8_t pixels[H][W];
static float values[H][W];

static int set_up(void **state)
{
  (void)state;
  snprintf(path, sizeof path, "/tmp/mkd-overlay-%d.png", (int)getpid());
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  unlink(path);
  return 0;
}

static const uint8_t *pixel_of(const mkd_picture *picture, int x, int y)
{
  const mkd_image *image = mkd_picture_image(picture);
  assert_int_equal(image->format, MKD_RGB8);
  assert_true(x < image->width && y < image->height);
  return (const uint8_t *)image->data + (size_t)y * image->stride + (size_t)x * 3;
}

static void assert_colour(const uint8_t *pixel, double r, double g, double b)
{
  assert_near(pixel[0], r, 1);
  assert_near(pixel[1], g, 1);
  assert_near(pixel[2], b, 1);
}

static void picture_shows_image_heat_contour_and_scale(void **state)
{
  (void)state;
  /* A grey image, a hot block, and one value that is not a number. */
  for (int y = 0; y < H; ++y)
    for (int x = 0; x < W; ++x) {
      bool hot = x >= 100 && x < 200 && y >= 100 && y < 180;
      pixels[y][x] = 128;
      values[y][x] = hot ? 10 : 0;
    }
  values[10][10] = NAN;
  const mkd_image image = {pixels, W, H, W, MKD_GREY8};
  const mkd_map map = {&values[0][0], W, H};
  const mkd_overlay_options options = {sizeof options, 0, 10, 5};
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_OK);

  mkd_picture *picture;
  float hot[MK_COLORMAP_SIZE][3];
  mk_colormap(hot);
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  const mkd_image *result = mkd_picture_image(picture);
  assert_int_equal(result->height, H + 2 * MARGIN);
  assert_in_range(result->width, W + 4 * MARGIN, W + 10 * MARGIN);
  const int left = MARGIN, top = MARGIN;

  /* Cold: the image as it is. Hot: four fifths of the hottest colour. */
  assert_colour(pixel_of(picture, left, top), 128, 128, 128);
  assert_colour(pixel_of(picture, left + 10, top + 10), 128, 128, 128);
  assert_colour(pixel_of(picture, left + W - 1, top + H - 1), 128, 128, 128);
  const float *c = hot[MK_COLORMAP_SIZE - 1];
  assert_colour(pixel_of(picture, left + 150, top + 140), 0.8 * 255 * c[0] + 0.2 * 128,
                0.8 * 255 * c[1] + 0.2 * 128, 0.8 * 255 * c[2] + 0.2 * 128);

  /* Contour, from the block outwards: hot, light, dark, image. */
  assert_colour(pixel_of(picture, left + 99, top + 140), 255, 255, 255);
  assert_true(pixel_of(picture, left + 97, top + 140)[0] < 60);
  assert_colour(pixel_of(picture, left + 95, top + 140), 128, 128, 128);
  assert_colour(pixel_of(picture, left + 150, top + 180), 255, 255, 255);

  /* Scale: hottest at the top, coldest at the bottom, a light line at the threshold. */
  const int bar = left + W + MARGIN + 5;
  assert_colour(pixel_of(picture, bar, top), 255 * c[0], 255 * c[1], 255 * c[2]);
  assert_colour(pixel_of(picture, bar, top + H - 1), 255 * hot[0][0], 255 * hot[0][1],
                255 * hot[0][2]);
  assert_colour(pixel_of(picture, bar, top + H / 2), 255, 255, 255);
  mkd_picture_destroy(picture);
}

static void no_threshold_no_contour(void **state)
{
  (void)state;
  memset(pixels, 128, sizeof pixels);
  for (int y = 0; y < H; ++y)
    for (int x = 0; x < W; ++x) values[y][x] = x < W / 2 ? 0 : 10;
  const mkd_image image = {pixels, W, H, W, MKD_GREY8};
  const mkd_map map = {&values[0][0], W, H};
  const mkd_overlay_options options = {sizeof options, 0, 10, NAN};
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_OK);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  assert_colour(pixel_of(picture, MARGIN + W / 2 - 1, MARGIN + 50), 128, 128, 128);
  mkd_picture_destroy(picture);
}

static void tiny_images_are_enlarged(void **state)
{
  (void)state;
  uint16_t rgb[3 * 3] = {65535, 65535, 65535, 0, 0, 0, 0, 0, 0};
  float cold[3] = {0};
  const mkd_image image = {rgb, 3, 1, sizeof rgb, MKD_RGB16};
  const mkd_map map = {cold, 3, 1};
  const mkd_overlay_options options = {sizeof options, 0, 1e-7, 2};
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_OK);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  int height = mkd_picture_image(picture)->height, middle = height / 2;
  assert_int_equal(height, 134 + 2 * MARGIN); /* 3 x 1 pixels, 134 times */
  assert_colour(pixel_of(picture, MARGIN, middle), 255, 255, 255);
  assert_colour(pixel_of(picture, MARGIN + 134, middle), 127, 127, 127); /* between two */
  assert_colour(pixel_of(picture, MARGIN + 3 * 134 - 1, middle), 0, 0, 0);
  mkd_picture_destroy(picture);
}

/* The file that the picture of an image makes. */
static mk_bytes overlay_of(const void *data, int channels, int bytes, mkd_pixel_format format)
{
  const mkd_image image = {data, W, H, (size_t)(W * channels * bytes), format};
  const mkd_map map = {&values[0][0], W, H};
  const mkd_overlay_options options = {sizeof options, 0, 10, 5};
  mk_bytes file;
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_OK);
  assert_int_equal(mk_file_read(&file, path, 1 << 24), MKD_OK);
  return file;
}

static void assert_same_file(mk_bytes a, mk_bytes b)
{
  assert_int_equal(a.size, b.size);
  assert_memory_equal(a.data, b.data, a.size);
  mk_free(a.data);
  mk_free(b.data);
}

static void formats_of_the_same_image_make_the_same_picture(void **state)
{
  (void)state;
  static uint8_t rgb[W * H * 3], bgr[W * H * 3];
  static uint16_t wide[W * H * 3];
  memset(values, 0, sizeof values);
  for (int i = 0; i < W * H * 3; ++i) {
    rgb[i] = (uint8_t)(i * 37 + i / W);
    bgr[i / 3 * 3 + 2 - i % 3] = rgb[i];
    wide[i] = (uint16_t)(rgb[i] * 257);
  }
  assert_same_file(overlay_of(rgb, 3, 1, MKD_RGB8), overlay_of(bgr, 3, 1, MKD_BGR8));
  assert_same_file(overlay_of(rgb, 1, 1, MKD_GREY8), overlay_of(wide, 1, 2, MKD_GREY16));
  mk_bytes narrow = overlay_of(rgb, 3, 1, MKD_RGB8);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  assert_colour(pixel_of(picture, MARGIN, MARGIN), luma, luma, luma);
  mkd_picture_destroy(picture);
  assert_same_file(narrow, overlay_of(wide, 3, 2, MKD_RGB16));
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  const mkd_image image = {pixels, W, H, W, MKD_GREY8};
  const mkd_map map = {&values[0][0], W, H}, other = {&values[0][0], W - 1, H}, none = {NULL, W, H};
  mkd_overlay_options options = {sizeof options, 0, 10, 5};
  assert_int_equal(mkd_overlay_save(path, &image, &other, &options), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_overlay_save(path, &image, &none, &options), MKD_ERROR_ARGUMENT);
  options.low = 10;
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_ERROR_ARGUMENT);
  options = (mkd_overlay_options){sizeof options, 0, INFINITY, 5};
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_ERROR_ARGUMENT);
  options = (mkd_overlay_options){0, 0, 1, 5};
  assert_int_equal(mkd_overlay_save(path, &image, &map, &options), MKD_ERROR_ARGUMENT);
  options = (mkd_overlay_options){sizeof options, 0, 10, 5};
  assert_int_equal(mkd_overlay_save("/nonexistent/a.png", &image, &map, &options), MKD_ERROR_FILE);
}

static void lettering_stays_on_the_canvas(void **state)
{
  (void)state;
  mk_canvas canvas;
  assert_int_equal(mk_canvas_create(&canvas, 30, 20, (mk_colour){0, 0, 0}), MKD_OK);
  mk_canvas_text(&canvas, -5, -5, 40, (mk_colour){1, 1, 1}, "0123456789+-.dehlorst?");
  mk_canvas_fill(&canvas, -3, -3, 5, 1000, (mk_colour){1, 0, 0});
  assert_int_equal(canvas.rgb[0], 255);
  assert_int_equal(canvas.rgb[1], 0);
  mk_canvas_free(&canvas);
  assert_near(mk_text_width(16, ""), 0, 0);
  assert_near(mk_text_width(16, "00"), 2 * mk_text_width(16, "0") + 2.3 * 2, 1e-4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(picture_shows_image_heat_contour_and_scale, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(no_threshold_no_contour, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tiny_images_are_enlarged, set_up, tear_down),
      cmocka_unit_test_setup_teardown(formats_of_the_same_image_make_the_same_picture, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(bad_arguments_are_refused, set_up, tear_down),
      cmocka_unit_test(lettering_stays_on_the_canvas),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
