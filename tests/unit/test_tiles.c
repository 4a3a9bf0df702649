#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "image/tiles.h"
#include "numbers.h"

static mk_scratch scratch;

static int free_scratch(void **state)
{
  (void)state;
  mk_scratch_free(&scratch);
  return 0;
}

static mk_tile_grid grid_of(int width, int height, int tile_width, int tile_height, double overlap)
{
  static const uint8_t pixel;
  mkd_image image = {&pixel, width, height, (size_t)width, MKD_GREY8};
  mk_tile_grid grid;
  if (mk_tile_grid_create(&grid, &image, tile_width, tile_height, overlap) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  return grid;
}

/* ---- Positions ------------------------------------------------------------------------------- */

static void assert_starts(int length, int tile, double overlap, const int *starts, size_t count)
{
  static uint8_t line[4096];
  mkd_image image = {line, length, 1, sizeof line, MKD_GREY8};
  mk_tile_grid grid;
  assert_int_equal(mk_tile_grid_create(&grid, &image, tile, 0, overlap), MKD_OK);
  assert_int_equal(grid.count, count);
  for (size_t i = 0; i < count; ++i) {
    mkd_image view = mk_tile_view(&image, &grid, i);
    assert_int_equal((const uint8_t *)view.data - line, starts[i]);
    assert_int_equal(view.width, tile > 0 && tile < length ? tile : length);
    assert_int_equal(view.height, 1);
    assert_int_equal(view.stride, sizeof line);
  }
}

static void tiles_lie_where_they_should(void **state)
{
  (void)state;
  assert_starts(1024, 256, 0.25, (int[]){0, 192, 384, 576, 768}, 5);
  assert_starts(1000, 256, 0.25, (int[]){0, 192, 384, 576, 744}, 5);
  assert_starts(1024, 256, 0, (int[]){0, 256, 512, 768}, 4);
  assert_starts(1025, 256, 0, (int[]){0, 256, 512, 768, 769}, 5);
  assert_starts(300, 256, 0.5, (int[]){0, 44}, 2);
  assert_starts(256, 256, 0.9, (int[]){0}, 1);
  assert_starts(255, 256, 0.9, (int[]){0}, 1);
  assert_starts(3000, 0, 0.25, (int[]){0}, 1);
  assert_starts(3, 1, 0.9, (int[]){0, 1, 2}, 3); /* a step is at least a pixel */
}

/* Every pixel is covered, no tile reaches beyond the image, neighbours overlap as asked, and no
 * tile could be left out. */
static void axes_are_covered_exactly(void **state)
{
  (void)state;
  static uint8_t line[700], seen[700];
  const double overlaps[] = {0, 0.1, 0.25, 0.5, 0.77, 0.9};
  for (int length = 1; length <= 700; length += 1 + length / 40) {
    for (int tile = 1; tile <= 720; tile += 1 + tile / 12) {
      for (int k = 0; k < 6; ++k) {
        mkd_image image = {line, 1, length, 1, MKD_GREY8};
        mk_tile_grid grid;
        assert_int_equal(mk_tile_grid_create(&grid, &image, 0, tile, overlaps[k]), MKD_OK);
        int size = tile < length ? tile : length;
        int shared = (int)floor(overlaps[k] * size + 0.5), end = 0;
        memset(seen, 0, sizeof seen);
        for (size_t i = 0; i < grid.count; ++i) {
          mkd_image view = mk_tile_view(&image, &grid, i);
          int start = (int)((const uint8_t *)view.data - line);
          assert_int_equal(view.height, size);
          assert_true(start + size <= length && (i == 0 ? start == 0 : start + size > end));
          if (i > 0) assert_true(end - start >= shared || size - shared < 1);
          if (i + 1 < grid.count) assert_true(start + size < length);
          end = start + size;
          memset(seen + start, 1, (size_t)size);
        }
        assert_null(memchr(seen, 0, (size_t)length));
      }
    }
  }
}

static void tiles_are_views(void **state)
{
  (void)state;
  static const struct {
    mkd_pixel_format format;
    size_t bytes;
  } formats[] = {{MKD_GREY8, 1}, {MKD_RGB8, 3}, {MKD_BGR8, 3}, {MKD_GREY16, 2}, {MKD_RGB16, 6}};
  static uint16_t memory[10000];
  const uint8_t *pixels = (const uint8_t *)memory;
  for (int i = 0; i < 5; ++i) {
    mkd_image image = {pixels, 20, 10, 128, formats[i].format};
    mk_tile_grid grid;
    assert_int_equal(mk_tile_grid_create(&grid, &image, 8, 4, 0.25), MKD_OK);
    assert_int_equal(grid.x.count, 3);
    assert_int_equal(grid.y.count, 3);
    assert_int_equal(grid.count, 9);
    mkd_image view = mk_tile_view(&image, &grid, 5);
    assert_true(view.data == pixels + (size_t)3 * 128 + 12 * formats[i].bytes);
    assert_true(view.format == formats[i].format && view.stride == 128);
    assert_true(view.width == 8 && view.height == 4);
  }
}

static void largest_images_are_counted(void **state)
{
  (void)state;
  mk_tile_grid grid = grid_of(INT_MAX, INT_MAX, 1, 1, 0.9);
  assert_true(grid.x.count == INT_MAX && grid.y.count == INT_MAX);
  grid = grid_of(INT_MAX, 1, 0, 0, 0.25);
  assert_true(grid.count == 1 && grid.x.size == INT_MAX);
}

static void wrong_images_are_refused(void **state)
{
  (void)state;
  static const uint8_t pixel;
  mk_tile_grid grid;
  const mkd_image wrong[] = {{NULL, 1, 1, 1, MKD_GREY8},
                             {&pixel, 0, 1, 1, MKD_GREY8},
                             {&pixel, 1, -1, 1, MKD_GREY8},
                             {&pixel, 1, 1, 2, MKD_RGB8},
                             {&pixel, 1, 1, 8, (mkd_pixel_format)9}};
  for (int i = 0; i < 5; ++i)
    assert_int_equal(mk_tile_grid_create(&grid, &wrong[i], 8, 8, 0), MKD_ERROR_ARGUMENT);
}

/* ---- Blending -------------------------------------------------------------------------------- */

enum { WIDTH = 97, HEIGHT = 61 };
static float map[HEIGHT][WIDTH], want[HEIGHT][WIDTH];

/* `value` gives a tile's map at a pixel of the image. */
static void blend(const mk_tile_grid *grid, float (*value)(size_t tile, int x, int y))
{
  mk_blend b;
  float *tile_map;
  mk_scratch_reset(&scratch);
  assert_int_equal(mk_blend_create(&b, grid, &scratch), MKD_OK);
  assert_int_equal(
      mk_scratch_get(&scratch, &tile_map, (size_t)(grid->x.size * grid->y.size), sizeof *tile_map),
      MKD_OK);
  memset(map, 0xff, sizeof map); /* NaN */
  static uint8_t pixels[HEIGHT][WIDTH];
  mkd_image image = {pixels, WIDTH, HEIGHT, WIDTH, MKD_GREY8};
  for (size_t tile = 0; tile < grid->count; ++tile) {
    mkd_image view = mk_tile_view(&image, grid, tile);
    int at = (int)((const uint8_t *)view.data - &pixels[0][0]);
    for (int y = 0; y < grid->y.size; ++y)
      for (int x = 0; x < grid->x.size; ++x)
        tile_map[y * grid->x.size + x] = value(tile, at % WIDTH + x, at / WIDTH + y);
    mk_blend_tile(&b, &map[0][0], tile, tile_map);
  }
}

static float constant(size_t tile, int x, int y)
{
  (void)tile, (void)x, (void)y;
  return -0.7234567F;
}

/* The same in every tile: blending must give it back. */
static float smooth(size_t tile, int x, int y)
{
  (void)tile;
  return 3 + sinf((float)x * 0.1F) * cosf((float)y * 0.07F);
}

static float own_value(size_t tile, int x, int y)
{
  (void)x, (void)y;
  return number(77, tile);
}

static const struct {
  int tile_width, tile_height;
  double overlap;
} cases[] = {{16, 16, 0.25}, {16, 16, 0},   {31, 8, 0.5},   {10, 13, 0.9}, {97, 20, 0.25},
             {0, 0, 0.25},   {96, 60, 0.1}, {500, 12, 0.3}, {1, 1, 0.5},   {40, 40, 0.25}};
enum { CASES = sizeof cases / sizeof *cases };

static mk_tile_grid grid_of_case(int i)
{
  return grid_of(WIDTH, HEIGHT, cases[i].tile_width, cases[i].tile_height, cases[i].overlap);
}

static void constants_stay_constant(void **state)
{
  (void)state;
  for (int i = 0; i < CASES; ++i) {
    mk_tile_grid grid = grid_of_case(i);
    blend(&grid, constant);
    for (int y = 0; y < HEIGHT; ++y)
      for (int x = 0; x < WIDTH; ++x) assert_true(map[y][x] == constant(0, x, y));
    blend(&grid, smooth);
    for (int y = 0; y < HEIGHT; ++y)
      for (int x = 0; x < WIDTH; ++x) assert_true(map[y][x] == smooth(0, x, y));
  }
}

static double window(int at, int size)
{
  double wave = at < 0 || at >= size ? 0 : sin(3.14159265358979323846 * (at + 0.5) / size);
  return wave * wave;
}

static int start_of(const mk_tile_axis *axis, size_t i)
{
  int first = (int)i * axis->step, most = axis->length - axis->size;
  return first < most ? first : most;
}

/* The weighted mean, written as such, in double precision. */
static void mean_of_tiles(const mk_tile_grid *grid, float (*value)(size_t tile, int x, int y))
{
  for (int y = 0; y < HEIGHT; ++y) {
    for (int x = 0; x < WIDTH; ++x) {
      double sum = 0, weights = 0;
      for (size_t tile = 0; tile < grid->count; ++tile) {
        double weight = window(x - start_of(&grid->x, tile % grid->x.count), grid->x.size) *
                        window(y - start_of(&grid->y, tile / grid->x.count), grid->y.size);
        sum += weight * (double)value(tile, x, y);
        weights += weight;
      }
      want[y][x] = (float)(sum / weights);
    }
  }
}

static void tiles_blend_by_their_weights(void **state)
{
  (void)state;
  for (int i = 0; i < CASES; ++i) {
    mk_tile_grid grid = grid_of_case(i);
    blend(&grid, own_value);
    mean_of_tiles(&grid, own_value);
    for (int y = 0; y < HEIGHT; ++y) {
      for (int x = 0; x < WIDTH; ++x) {
        if (fabsf(map[y][x] - want[y][x]) < 2e-6F) continue;
        fail_msg("case %d at %d, %d: %g, not %g", i, x, y, (double)map[y][x], (double)want[y][x]);
      }
    }
  }
}

/* Two tiles of different level that share half a tile: no step is larger than a smooth transition
 * over the shared pixels has. */
static void there_is_no_seam(void **state)
{
  (void)state;
  mk_tile_grid grid = grid_of(WIDTH, HEIGHT, 64, 0, 0.48);
  assert_int_equal(grid.count, 2);
  blend(&grid, own_value);
  double range = fabs((double)own_value(0, 0, 0) - (double)own_value(1, 0, 0));
  for (int x = 1; x < WIDTH; ++x)
    assert_true(fabs((double)map[9][x] - (double)map[9][x - 1]) < 2 * range / 31);
  assert_true(map[0][0] == own_value(0, 0, 0) && map[0][WIDTH - 1] == own_value(1, 0, 0));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_lie_where_they_should),
      cmocka_unit_test(axes_are_covered_exactly),
      cmocka_unit_test(tiles_are_views),
      cmocka_unit_test(largest_images_are_counted),
      cmocka_unit_test(wrong_images_are_refused),
      cmocka_unit_test(constants_stay_constant),
      cmocka_unit_test(tiles_blend_by_their_weights),
      cmocka_unit_test(there_is_no_seam),
  };
  return cmocka_run_group_tests(tests, NULL, free_scratch);
}
