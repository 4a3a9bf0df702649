#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tiffio.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "image/codec.h"
#include "image/png_write.h"

/* ---- The files of make_images.py ------------------------------------------------------------- */

enum { MAX_CASES = 400, REFUSED = 255 };

typedef struct {
  char name[64];
  int format, tolerance, width, height;
  const uint8_t *file, *expected;
  size_t file_size, expected_size;
} image_case;

static mk_bytes container;
static image_case cases[MAX_CASES];
static size_t case_count;

static int load_cases(void **state)
{
  (void)state;
  if (mk_file_read(&container, FIXTURES "/images.bin", 1 << 20) != MKD_OK) return 1;
  const uint8_t *p = container.data, *end = p + container.size;
  for (; p < end && case_count < MAX_CASES; ++case_count) {
    image_case *c = &cases[case_count];
    size_t length = mk_le16(p);
    memcpy(c->name, p + 2, length);
    p += 2 + length;
    c->format = p[0];
    c->tolerance = p[1];
    c->width = (int)mk_le16(p + 2);
    c->height = (int)mk_le16(p + 4);
    c->file_size = mk_le32(p + 6);
    c->file = p + 10;
    p = c->file + c->file_size;
    c->expected_size = mk_le32(p);
    c->expected = p + 4;
    p = c->expected + c->expected_size;
  }
  return p == end ? 0 : 1;
}

static int free_cases(void **state)
{
  (void)state;
  mk_free(container.data);
  return 0;
}

static const image_case *find_case(const char *name)
{
  for (size_t i = 0; i < case_count; ++i)
    if (strcmp(cases[i].name, name) == 0) return &cases[i];
  fail_msg("no fixture %s", name);
  return NULL;
}

static mkd_pixel_format case_format(const image_case *c)
{
  static const mkd_pixel_format formats[] = {MKD_GREY8, MKD_RGB8, MKD_GREY16, MKD_RGB16};
  return formats[c->format];
}

static int value_of(const mkd_image *image, int x, int y, int channel)
{
  const uint8_t *row = (const uint8_t *)image->data + (size_t)y * image->stride;
  int i = x * mk_format_channels(image->format) + channel;
  return mk_format_bytes(image->format) == 2 ? ((const uint16_t *)(const void *)row)[i] : row[i];
}

static void check_pixels(const image_case *c, const mkd_image *image)
{
  if (image->width != c->width || image->height != c->height || image->format != case_format(c))
    fail_msg("%s: %d x %d, format %d", c->name, image->width, image->height, (int)image->format);
  assert_int_equal(mk_image_check(image), MKD_OK);
  const uint8_t *expected = c->expected;
  int channels = mk_format_channels(image->format), bytes = mk_format_bytes(image->format);
  assert_int_equal(c->expected_size, c->width * c->height * channels * bytes);
  for (int y = 0; y < c->height; ++y)
    for (int x = 0; x < c->width; ++x)
      for (int channel = 0; channel < channels; ++channel, expected += bytes) {
        int wanted = bytes == 2 ? (int)mk_le16(expected) : *expected;
        int got = value_of(image, x, y, channel);
        if (abs(got - wanted) > c->tolerance)
          fail_msg("%s: pixel (%d, %d), channel %d is %d, not %d", c->name, x, y, channel, got,
                   wanted);
      }
}

static void good_files_give_their_pixels(void **state)
{
  (void)state;
  int good = 0;
  for (size_t i = 0; i < case_count; ++i) {
    const image_case *c = &cases[i];
    if (c->format == REFUSED) continue;
    mkd_picture *picture = NULL;
    if (mkd_picture_decode(&picture, c->file, c->file_size, c->name, NULL) != MKD_OK)
      fail_msg("%s", mkd_last_error());
    check_pixels(c, mkd_picture_image(picture));
    mkd_picture_destroy(picture);
    ++good;
  }
  assert_in_range(good, 100, MAX_CASES);
}

static void bad_files_are_refused_with_a_reason(void **state)
{
  (void)state;
  int bad = 0;
  for (size_t i = 0; i < case_count; ++i) {
    const image_case *c = &cases[i];
    if (c->format != REFUSED) continue;
    char words[128];
    snprintf(words, sizeof words, "%.*s", (int)c->expected_size, (const char *)c->expected);
    mkd_picture *picture = NULL;
    mkd_status status = mkd_picture_decode(&picture, c->file, c->file_size, c->name, NULL);
    if (status != MKD_ERROR_FILE) fail_msg("%s: status %d", c->name, (int)status);
    assert_null(picture);
    const char *text = mkd_last_error();
    if (strncmp(text, c->name, strlen(c->name)) != 0 || !strstr(text, words))
      fail_msg("'%s' does not say '%s'", text, words);
    ++bad;
  }
  assert_in_range(bad, 40, MAX_CASES);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

/* Decodes a copy of exactly `size` bytes, so that a read beyond it is seen by the sanitizer. NULL
 * when it is refused. */
static mkd_picture *decode_copy(const uint8_t *data, size_t size)
{
  const mkd_limits limits = {
      .size = sizeof limits, .max_pixels = 1 << 16, .max_bytes = 1 << 20, .max_files = 1};
  uint8_t *copy = malloc(size ? size : 1);
  assert_non_null(copy);
  memcpy(copy, data, size);
  mkd_picture *picture = NULL;
  mkd_status status = mkd_picture_decode(&picture, copy, size, "damaged", &limits);
  assert_int_equal(status == MKD_OK, picture != NULL);
  if (picture) assert_int_equal(mk_image_check(mkd_picture_image(picture)), MKD_OK);
  free(copy);
  return picture;
}

/* A cut file may lack only what no pixel needs, such as padding. */
static void cut_files_are_refused_or_whole(void **state)
{
  (void)state;
  size_t refused = 0, whole = 0;
  for (size_t i = 0; i < case_count; ++i) {
    const image_case *c = &cases[i];
    size_t step = c->file_size / 150 + 1;
    for (size_t size = 0; size < c->file_size; ++size) {
      /* Every length near both ends, and some between. */
      if (size > 40 && size + 40 < c->file_size && size % step != 0) continue;
      mkd_picture *picture = decode_copy(c->file, size);
      /* The last number of a plain PNM may have lost digits: nothing tells. */
      bool plain = c->file[0] == 'P' && c->file[1] <= '3';
      if (picture && c->format != REFUSED && !plain) check_pixels(c, mkd_picture_image(picture));
      ++*(picture ? &whole : &refused);
      mkd_picture_destroy(picture);
    }
  }
  assert_in_range(refused, 20000, 100000);
  assert_in_range(whole, 1, 300);
}

static void flipped_bytes_do_no_harm(void **state)
{
  (void)state;
  uint8_t *damaged = malloc(container.size);
  assert_non_null(damaged);
  for (size_t i = 0; i < case_count; ++i) {
    const image_case *c = &cases[i];
    memcpy(damaged, c->file, c->file_size);
    for (size_t at = 0; at < c->file_size; ++at) {
      /* TIFF directories may be at the end. */
      if (at >= 300 && at + 300 < c->file_size) continue;
      static const uint8_t flips[] = {0xff, 0x01, 0x80};
      damaged[at] ^= flips[at % 3];
      mkd_picture_destroy(decode_copy(damaged, c->file_size));
      damaged[at] = c->file[at];
    }
  }
  free(damaged);
}

static void random_damage_does_no_harm(void **state)
{
  (void)state;
  mk_rng rng = mk_rng_seed(7, 0);
  uint8_t *damaged = malloc(container.size);
  assert_non_null(damaged);
  for (size_t i = 0; i < case_count; ++i) {
    const image_case *c = &cases[i];
    if (c->file_size == 0) continue;
    for (int round = 0; round < 60; ++round) {
      memcpy(damaged, c->file, c->file_size);
      for (int n = 0; n < 1 + round % 6; ++n)
        damaged[mk_rng_below(&rng, c->file_size)] = (uint8_t)mk_rng_below(&rng, 256);
      mkd_picture_destroy(decode_copy(damaged, c->file_size));
    }
  }
  free(damaged);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void limits_hold_for_every_type(void **state)
{
  (void)state;
  static const char *const names[] = {"jpeg-444",
                                      "jpeg-progressive",
                                      "png-rgb-16",
                                      "tiff-planar-8-little",
                                      "tiff-rgb-tiles-8",
                                      "webp-lossless",
                                      "bmp-rgb-pillow",
                                      "pnm-6",
                                      "pnm-2"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    const image_case *c = find_case(names[i]);
    mkd_limits limits = mkd_limits_default();
    mkd_picture *picture = NULL;
    limits.max_pixels = (uint64_t)c->width * (uint64_t)c->height - 1;
    assert_int_equal(mkd_picture_decode(&picture, c->file, c->file_size, "x", &limits),
                     MKD_ERROR_FILE);
    assert_non_null(strstr(mkd_last_error(), "more than the limit of"));
    limits.max_pixels = UINT64_MAX;
    limits.max_bytes = c->file_size;
    assert_int_equal(mkd_picture_decode(&picture, c->file, c->file_size, "x", &limits), MKD_OK);
    mkd_picture_destroy(picture);
    limits.max_bytes = c->file_size - 1;
    assert_int_equal(mkd_picture_decode(&picture, c->file, c->file_size, "x", &limits),
                     MKD_ERROR_FILE);
    assert_non_null(strstr(mkd_last_error(), "bytes, more than the limit of"));
  }
  mkd_limits other = {.size = 3};
  mkd_picture *picture;
  assert_int_equal(mkd_picture_decode(&picture, "P5", 2, "x", &other), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_picture_load(&picture, FIXTURES "/images.bin", &other), MKD_ERROR_ARGUMENT);
}

static void pictures_too_large_for_memory_are_an_error(void **state)
{
  (void)state;
  mkd_limits limits = mkd_limits_default();
  limits.max_pixels = UINT64_MAX;
  mkd_picture *picture;
  assert_int_equal(mk_picture_create(&picture, UINT64_MAX, 2, MKD_GREY8, &limits, "x"),
                   MKD_ERROR_FILE);
  assert_int_equal(mk_picture_create(&picture, 0, 2, MKD_GREY8, NULL, "x"), MKD_ERROR_FILE);
  assert_int_equal(mk_picture_create(&picture, 1 << 14, (1 << 14) + 1, MKD_GREY8, NULL, "x"),
                   MKD_ERROR_FILE);
  assert_int_equal(mk_picture_create(&picture, INT32_MAX, INT32_MAX, MKD_RGB16, &limits, "x"),
                   MKD_ERROR_MEMORY);
}

static void views_are_checked(void **state)
{
  (void)state;
  static const uint16_t pixels[64];
  const mkd_image good = {pixels, 4, 4, 24, MKD_RGB16};
  assert_int_equal(mk_image_check(&good), MKD_OK);
  mkd_image image = good;
  image.data = NULL;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_image_check(NULL), MKD_ERROR_ARGUMENT);
  image = good;
  image.width = 5;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  image = good;
  image.height = 0;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  image = good;
  image.stride = 25;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  image = good;
  image.data = (const uint8_t *)pixels + 1;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  image.format = MKD_BGR8;
  assert_int_equal(mk_image_check(&image), MKD_OK);
  image.format = (mkd_pixel_format)7;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
  image = good;
  image.stride = SIZE_MAX / 2 & ~(size_t)1;
  assert_int_equal(mk_image_check(&image), MKD_ERROR_ARGUMENT);
}

static void blending_over_black_rounds_to_the_nearest(void **state)
{
  (void)state;
  for (unsigned value = 0; value < 256; ++value)
    for (unsigned alpha = 0; alpha < 256; ++alpha)
      assert_int_equal(mk_over_black8(value, alpha), lround(value * alpha / 255.0));
  for (unsigned value = 0; value < 65536; value += 257)
    for (unsigned alpha = 0; alpha < 65536; alpha += 119)
      assert_int_equal(mk_over_black16(value, alpha), lround((double)value * alpha / 65535.0));
}

/* ---- Writing --------------------------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
  (void)state;
  strcpy(folder, "/tmp/mkd-images-XXXXXX");
  return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
  (void)state;
  return rmdir(folder); /* fails when a file was left behind */
}

static void png_round_trip(void **state)
{
  (void)state;
  enum { WIDTH = 5, HEIGHT = 3, STRIDE = 40 };
  static const mkd_pixel_format formats[] = {MKD_GREY8, MKD_RGB8, MKD_BGR8, MKD_GREY16, MKD_RGB16};
  uint16_t pixels[HEIGHT * STRIDE / 2];
  for (size_t i = 0; i < sizeof pixels / 2; ++i) pixels[i] = (uint16_t)(i * 40503u);
  char path[128];
  snprintf(path, sizeof path, "%s/a.png", folder);
  for (size_t f = 0; f < sizeof formats / sizeof formats[0]; ++f) {
    const mkd_image image = {pixels, WIDTH, HEIGHT, STRIDE, formats[f]};
    assert_int_equal(mk_png_write(path, &image), MKD_OK);
    mkd_picture *picture;
    assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
    const mkd_image *read = mkd_picture_image(picture);
    assert_int_equal(read->format, formats[f] == MKD_BGR8 ? MKD_RGB8 : formats[f]);
    assert_int_equal(read->width, WIDTH);
    assert_int_equal(read->height, HEIGHT);
    int channels = mk_format_channels(read->format);
    for (int y = 0; y < HEIGHT; ++y)
      for (int x = 0; x < WIDTH; ++x)
        for (int c = 0; c < channels; ++c)
          assert_int_equal(value_of(read, x, y, c),
                           value_of(&image, x, y, formats[f] == MKD_BGR8 ? 2 - c : c));
    mkd_picture_destroy(picture);
  }
  assert_int_equal(unlink(path), 0);
  const mkd_image image = {pixels, WIDTH, HEIGHT, STRIDE, MKD_RGB8};
  snprintf(path, sizeof path, "%s/none/a.png", folder);
  assert_int_equal(mk_png_write(path, &image), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), path));
  assert_int_equal(mk_png_write(path, &(mkd_image){0}), MKD_ERROR_ARGUMENT);
}

static void full_disks_leave_the_old_file(void **state)
{
  (void)state;
  enum { SIZE = 200 };
  static uint32_t pixels[SIZE * SIZE];
  mk_rng rng = mk_rng_seed(1, 1);
  for (size_t i = 0; i < SIZE * SIZE; ++i) pixels[i] = (uint32_t)mk_rng_next(&rng) & 0x3fffffff;
  char path[128];
  snprintf(path, sizeof path, "%s/file", folder);
  assert_int_equal(mkd_file_save(path, "old", 3), MKD_OK);

  /* Files that grow beyond this limit fail as if the disk were full. */
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small = {4096, before.rlim_max};
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const mkd_image image = {pixels, SIZE, SIZE, SIZE * 4, MKD_RGB8};
  const mkd_map map = {(const float *)(const void *)pixels, SIZE, SIZE};
  mkd_status png = mk_png_write(path, &image);
  bool png_named = strncmp(mkd_last_error(), path, strlen(path)) == 0;
  mkd_status tiff = mkd_map_save(path, &map);
  bool tiff_named = strncmp(mkd_last_error(), path, strlen(path)) == 0;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);

  assert_int_equal(png, MKD_ERROR_STORAGE);
  assert_true(png_named);
  assert_int_equal(tiff, MKD_ERROR_STORAGE);
  assert_true(tiff_named);
  mk_bytes bytes;
  assert_int_equal(mk_file_read(&bytes, path, 3), MKD_OK);
  assert_memory_equal(bytes.data, "old", 3);
  mk_free(bytes.data);
  assert_int_equal(unlink(path), 0);
}

static void map_round_trip(void **state)
{
  (void)state;
  enum { WIDTH = 67, HEIGHT = 45 };
  float values[WIDTH * HEIGHT], row[WIDTH];
  for (int i = 0; i < WIDTH * HEIGHT; ++i) values[i] = (float)sin(i) * 1e3f;
  values[0] = INFINITY;
  values[1] = NAN;
  values[2] = -0.0f;
  const mkd_map map = {values, WIDTH, HEIGHT};
  char path[128];
  snprintf(path, sizeof path, "%s/map.tiff", folder);
  assert_int_equal(mkd_map_save(path, &map), MKD_OK);
  mk_bytes first, second;
  assert_int_equal(mk_file_read(&first, path, 1 << 20), MKD_OK);

  TIFF *tiff = TIFFOpen(path, "r");
  assert_non_null(tiff);
  uint32_t width, height;
  uint16_t bits, format, samples;
  assert_true(TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width));
  assert_true(TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height));
  assert_true(TIFFGetField(tiff, TIFFTAG_BITSPERSAMPLE, &bits));
  assert_true(TIFFGetField(tiff, TIFFTAG_SAMPLEFORMAT, &format));
  assert_true(TIFFGetField(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples));
  assert_int_equal(width, WIDTH);
  assert_int_equal(height, HEIGHT);
  assert_int_equal(bits, 32);
  assert_int_equal(format, SAMPLEFORMAT_IEEEFP);
  assert_int_equal(samples, 1);
  for (uint32_t y = 0; y < HEIGHT; ++y) {
    assert_int_equal(TIFFReadScanline(tiff, row, y, 0), 1);
    assert_memory_equal(row, values + y * WIDTH, sizeof row);
  }
  TIFFClose(tiff);

  assert_int_equal(mkd_map_save(path, &map), MKD_OK); /* over the old one; same bytes */
  assert_int_equal(mk_file_read(&second, path, 1 << 20), MKD_OK);
  assert_int_equal(first.size, second.size);
  assert_memory_equal(first.data, second.data, first.size);
  mk_free(first.data);
  mk_free(second.data);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "32-bit floating-point"));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkd_map_save(path, &(mkd_map){NULL, 2, 2}), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_map_save(path, &(mkd_map){values, 2, 0}), MKD_ERROR_ARGUMENT);
}

static void masks_are_white_above_the_threshold(void **state)
{
  (void)state;
  static const float values[6] = {0.5f, 0.25f, NAN, 0.50001f, -1, INFINITY};
  static const uint8_t expected[6] = {0, 0, 0, 255, 0, 255};
  char path[128];
  snprintf(path, sizeof path, "%s/mask.png", folder);
  const mkd_map map = {values, 3, 2};
  assert_int_equal(mkd_mask_save(path, &map, 0.5), MKD_OK);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  const mkd_image *image = mkd_picture_image(picture);
  assert_int_equal(image->format, MKD_GREY8);
  assert_int_equal(image->width, 3);
  assert_int_equal(image->height, 2);
  assert_memory_equal(image->data, expected, 6);
  mkd_picture_destroy(picture);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkd_mask_save(path, &map, NAN), MKD_ERROR_ARGUMENT);
}

/* ---- Real files ------------------------------------------------------------------------------ */

static void missing_files_and_folders(void **state)
{
  (void)state;
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, "/none/here.png", NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "/none/here.png"));
  assert_int_equal(mkd_picture_load(&picture, folder, NULL), MKD_ERROR_FILE);
}

/* Decodes up to `limit` files of each folder below `path`; returns how many. */
static int decode_folder(const char *path, int limit)
{
  DIR *directory = opendir(path);
  if (!directory) return 0;
  int count = 0, here = 0;
  for (struct dirent *entry; (entry = readdir(directory));) {
    char name[1024];
    if (entry->d_name[0] == '.' || strstr(entry->d_name, ".txt")) continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (entry->d_type == DT_DIR) {
      count += decode_folder(name, limit);
      continue;
    }
    if (here++ >= limit) continue;
    mkd_picture *picture;
    if (mkd_picture_load(&picture, name, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
    mkd_picture_destroy(picture);
    ++count;
  }
  closedir(directory);
  return count;
}

static void real_files_are_read(void **state)
{
  (void)state;
  if (access(SHARED_DIR "/data/brain-mri", R_OK) != 0) skip();
  assert_int_equal(decode_folder(SHARED_DIR "/data/brain-mri", 1000), 228);
  assert_in_range(decode_folder(SHARED_DIR "/data/magnetic-tile", 5), 30, 100);
  assert_in_range(decode_folder(SHARED_DIR "/data/mvtec-hazelnut-small", 5), 20, 100);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_files_give_their_pixels),
      cmocka_unit_test(bad_files_are_refused_with_a_reason),
      cmocka_unit_test(cut_files_are_refused_or_whole),
      cmocka_unit_test(flipped_bytes_do_no_harm),
      cmocka_unit_test(random_damage_does_no_harm),
      cmocka_unit_test(limits_hold_for_every_type),
      cmocka_unit_test(pictures_too_large_for_memory_are_an_error),
      cmocka_unit_test(views_are_checked),
      cmocka_unit_test(blending_over_black_rounds_to_the_nearest),
      cmocka_unit_test_setup_teardown(png_round_trip, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(full_disks_leave_the_old_file, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(map_round_trip, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(masks_are_white_above_the_threshold, make_folder,
                                      remove_folder),
      cmocka_unit_test_setup_teardown(missing_files_and_folders, make_folder, remove_folder),
      cmocka_unit_test(real_files_are_read),
  };
  return cmocka_run_group_tests(tests, load_cases, free_cases);
}
