/* Training, calibration and scoring of images by tiles, with a tiny expert and images in memory. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "core/file.h"
#include "core/hash.h"
#include "image/tiles.h"
#include "tiny.h"

enum { IMAGES = 7, SIDE = 256 };

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("status %d: %s", (int)status, mkd_last_error());
}

static void assert_error(mkd_status status, mkd_status expected, const char *text)
{
  if (status != expected) fail_msg("status %d: %s", (int)status, mkd_last_error());
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
}

static mkd_status train_with(mkd_detector **detector, mkd_image_source source, int threads,
                             const char *const *sets, size_t set_count)
{
  static const char *const common[] = {TINY_SET};
  const char *all[32];
  size_t count = sizeof common / sizeof *common;
  mkd_train_options options = mkd_train_options_default();
  memcpy(all, common, sizeof common);
  for (size_t i = 0; i < set_count; ++i) all[count++] = sets[i];
  options.set = all;
  options.set_count = count;
  options.threads = threads;
  mkd_expert *expert = tiny_expert();
  mkd_status status = mkd_train(detector, expert, source, &options);
  mkd_expert_destroy(expert);
  return status;
}

/* Random images of 41 x 36 pixels in tiles of 24 x 16: 2 x 3 of them. */
static const char *const small_tiles[] = {"tile_width=24", "tile_height=16", "tile_overlap=0.25"};

static tiny_images small_images(uint32_t seed)
{
  tiny_images images = tiny_images_of(IMAGES, seed);
  images.width = 41;
  images.height = 36;
  return images;
}

static mkd_detector *train(int threads, const char *last_set)
{
  const char *sets[5];
  tiny_images images = small_images(7000);
  mkd_detector *detector;
  memcpy(sets, small_tiles, sizeof small_tiles);
  sets[3] = "smoothgrad_samples=2";
  sets[4] = last_set;
  assert_ok(train_with(&detector, tiny_source(&images), threads, sets, 5));
  assert_int_equal(images.out, 0);
  assert_int_equal(images.got, 2 * IMAGES);
  return detector;
}

typedef struct {
  double score, p_value, map_max;
  float map[64 * 64];
} outcome;

static outcome score(const mkd_detector *detector, const mkd_image *image, int threads,
                     mkd_localize localize)
{
  static outcome o;
  mkd_session *session;
  mkd_session_options options = mkd_session_options_default();
  mkd_result result;
  options.threads = threads;
  options.localize = localize;
  assert_ok(mkd_session_create(&session, detector, &options));
  assert_ok(mkd_session_score(session, image, &result));
  o = (outcome){.score = result.score, .p_value = result.p_value, .map_max = result.map_max};
  assert_true(result.map.width == image->width && result.map.height == image->height);
  memcpy(o.map, result.map.data, sizeof(float) * (size_t)(image->width * image->height));
  mkd_session_destroy(session);
  return o;
}

/* ---- Scores and maps ------------------------------------------------------------------------- */

static mkd_image image_of(tiny_images *images, size_t index, void **handle)
{
  mkd_image image;
  assert_ok(tiny_get(images, index, &image, handle));
  return image;
}

/* An image's score is the largest of its tiles, each of which, alone, is an image of one tile; its
 * map is theirs, blended. */
static void images_are_the_sum_of_their_tiles(void **state)
{
  (void)state;
  const mkd_localize methods[] = {MKD_LOCALIZE_DISCREPANCY, MKD_LOCALIZE_GRADIENT,
                                  MKD_LOCALIZE_SMOOTHGRAD};
  const char *const scores[] = {"score=total", "score=standardised"};
  for (int i = 0; i < 6; ++i) {
    mkd_detector *detector = train(1, scores[i % 2]);
    tiny_images images = small_images(9000);
    void *handle = NULL;
    mkd_image image = image_of(&images, 0, &handle);
    outcome whole = score(detector, &image, 1, methods[i / 2]);
    mk_tile_grid grid;
    mk_blend blend;
    mk_scratch scratch = {0};
    static float map[64 * 64];
    double largest = -INFINITY, map_max = -INFINITY;
    assert_ok(mk_tile_grid_create(&grid, &image, 24, 16, 0.25));
    assert_int_equal(grid.count, 6);
    assert_ok(mk_blend_create(&blend, &grid, &scratch));
    for (size_t tile = 0; tile < grid.count; ++tile) {
      mkd_image view = mk_tile_view(&image, &grid, tile);
      outcome part = score(detector, &view, 1, methods[i / 2]);
      largest = fmax(largest, part.score);
      map_max = fmax(map_max, part.map_max);
      mk_blend_tile(&blend, map, tile, part.map);
    }
    if (i % 2 == 0) assert_true(whole.score == largest);
    if (i % 2 == 1) assert_true(whole.score >= largest);
    assert_true(whole.map_max == map_max);
    assert_memory_equal(whole.map, map, sizeof(float) * 41 * 36);
    mk_scratch_free(&scratch);
    tiny_release(&images, &image, handle);
    mkd_detector_destroy(detector);
  }
}

/* The largest square and the largest cosine may come from different tiles. */
static void standardised_parts_are_taken_over_all_tiles(void **state)
{
  (void)state;
  bool apart = false;
  mkd_detector *detector = train(1, "score=standardised");
  for (uint32_t seed = 0; seed < 20; ++seed) {
    tiny_images images = small_images(9000 + seed);
    void *handle = NULL;
    mk_tile_grid grid;
    mkd_image image = image_of(&images, 0, &handle);
    double whole = score(detector, &image, 1, MKD_LOCALIZE_RECIPE).score, largest = -INFINITY;
    assert_ok(mk_tile_grid_create(&grid, &image, 24, 16, 0.25));
    for (size_t tile = 0; tile < grid.count; ++tile) {
      mkd_image view = mk_tile_view(&image, &grid, tile);
      largest = fmax(largest, score(detector, &view, 1, MKD_LOCALIZE_RECIPE).score);
    }
    assert_true(whole >= largest);
    apart = apart || whole > largest;
    tiny_release(&images, &image, handle);
  }
  assert_true(apart);
  mkd_detector_destroy(detector);
}

static void one_tile_is_no_tile(void **state)
{
  (void)state;
  static const char *const tiles[][2] = {{"tile_width=0", "tile_height=0"},
                                         {"tile_width=41", "tile_height=36"},
                                         {"tile_width=0", "tile_height=36"},
                                         {"tile_width=1000000", "tile_height=1000000"}};
  outcome first = {0};
  for (int i = 0; i < 4; ++i) {
    mkd_detector *detector;
    tiny_images images = small_images(7000), others = small_images(9000);
    void *handle = NULL;
    assert_ok(train_with(&detector, tiny_source(&images), 1, tiles[i], 2));
    mkd_image image = image_of(&others, 3, &handle);
    outcome o = score(detector, &image, 1 + i % 2, MKD_LOCALIZE_RECIPE);
    if (i == 0) first = o;
    assert_memory_equal(&o, &first, sizeof o);
    tiny_release(&others, &image, handle);
    mkd_detector_destroy(detector);
  }
}

/* ---- Threads, files -------------------------------------------------------------------------- */

static void save(const mkd_detector *detector, char hex[MK_SHA256_HEX], mkd_detector **loaded)
{
  char path[] = "/tmp/mkd-tiled-XXXXXX";
  mk_bytes bytes;
  close(mkstemp(path));
  assert_ok(mkd_detector_save(detector, path));
  assert_ok(mk_file_read(&bytes, path, 1 << 24));
  assert_ok(mkd_detector_load(loaded, path, NULL));
  mk_sha256(hex, bytes.data, bytes.size);
  mk_free(bytes.data);
  unlink(path);
}

static void assert_threads_and_files_change_nothing(const char *set)
{
  char hex[2][MK_SHA256_HEX];
  mkd_detector *detectors[2], *loaded[2];
  for (int i = 0; i < 2; ++i) {
    detectors[i] = train(1 + 2 * i, set);
    save(detectors[i], hex[i], &loaded[i]);
  }
  assert_string_equal(hex[0], hex[1]);
  tiny_images images = small_images(9000);
  for (size_t index = 0; index < 3; ++index) {
    void *handle = NULL;
    images.width = 24 + 13 * (int)index; /* 1, 2 and 3 tiles a row */
    mkd_image image = image_of(&images, index, &handle);
    for (mkd_localize localize = MKD_LOCALIZE_DISCREPANCY; localize <= MKD_LOCALIZE_GBP;
         ++localize) {
      outcome alone = score(detectors[0], &image, 1, localize);
      for (int threads = 2; threads < 9; threads += 2) {
        outcome together = score(loaded[1], &image, threads, localize);
        assert_memory_equal(&together, &alone, sizeof alone);
      }
    }
    tiny_release(&images, &image, handle);
  }
  for (int i = 0; i < 2; ++i) {
    mkd_detector_destroy(detectors[i]);
    mkd_detector_destroy(loaded[i]);
  }
}

static void threads_and_files_change_nothing(void **state)
{
  (void)state;
  assert_threads_and_files_change_nothing("copies=1");
  assert_threads_and_files_change_nothing("augment=fresh");
}

/* ---- Calibration ----------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Held-out scores are those of images: what a session gives them. */
static void calibration_is_by_image(void **state)
{
  (void)state;
  const char *const scores[] = {"score=total", "score=standardised"};
  const mkd_localize methods[] = {MKD_LOCALIZE_DISCREPANCY, MKD_LOCALIZE_GRADIENT};
  for (int i = 0; i < 4; ++i) {
    mkd_detector *trained = train(2, scores[i % 2]), *detector;
    tiny_images images = small_images(8000);
    mkd_calibrate_options options = mkd_calibrate_options_default();
    mkd_threshold threshold;
    double score_of[IMAGES], map_max[IMAGES];
    options.localize = methods[i / 2];
    options.false_alarm = 1.0 / (IMAGES + 1); /* the largest score */
    assert_ok(mkd_detector_threshold(trained, 0.5, &threshold));
    assert_int_equal(threshold.held_out, 2); /* of 7 images, and not of 42 tiles */
    assert_ok(mkd_detector_calibrate(&detector, trained, tiny_source(&images), &options));
    assert_int_equal(images.out, 0);
    assert_int_equal(images.got, methods[i / 2] == MKD_LOCALIZE_GRADIENT ? 2 * IMAGES : IMAGES);
    for (size_t index = 0; index < IMAGES; ++index) {
      void *handle = NULL;
      mkd_image image = image_of(&images, index, &handle);
      outcome o = score(detector, &image, 2, MKD_LOCALIZE_RECIPE);
      score_of[index] = o.score;
      map_max[index] = o.map_max;
      tiny_release(&images, &image, handle);
    }
    qsort(score_of, IMAGES, sizeof *score_of, ascending);
    qsort(map_max, IMAGES, sizeof *map_max, ascending);
    for (int rank = 1; rank <= IMAGES; ++rank) {
      double rate = 1 - (rank - 0.5) / (IMAGES + 1);
      assert_ok(mkd_detector_threshold(detector, rate, &threshold));
      assert_int_equal(threshold.held_out, IMAGES);
      assert_true(threshold.score == score_of[rank - 1]);
      assert_true(threshold.map == map_max[rank - 1]);
    }
    mkd_detector_destroy(trained);
    mkd_detector_destroy(detector);
  }
}

/* Kept activations give the scores of sessions, image by image. */
static void features_know_tiles(void **state)
{
  (void)state;
  const char *const scores[] = {"score=total", "score=standardised"};
  mkd_detector *untiled;
  tiny_images whole = small_images(7000);
  assert_ok(train_with(&untiled, tiny_source(&whole), 1, NULL, 0));
  for (int i = 0; i < 2; ++i) {
    mkd_detector *detector = train(1, scores[i]);
    tiny_images images = small_images(8000);
    mkd_features *features;
    double found[IMAGES];
    assert_ok(mkd_features_create(&features, detector, tiny_source(&images), NULL));
    assert_int_equal(mkd_features_count(features), IMAGES);
    assert_false(mkd_features_match(features, untiled));
    for (int threads = 1; threads < 4; ++threads) {
      assert_ok(mkd_features_score(features, detector, threads, found));
      for (size_t index = 0; index < IMAGES; ++index) {
        void *handle = NULL;
        mkd_image image = image_of(&images, index, &handle);
        assert_true(found[index] == score(detector, &image, 1, MKD_LOCALIZE_RECIPE).score);
        tiny_release(&images, &image, handle);
      }
    }
    mkd_features_destroy(features);
    mkd_detector_destroy(detector);
  }
  mkd_detector_destroy(untiled);
}

/* ---- Progress -------------------------------------------------------------------------------- */

static bool check_progress(void *context, const mkd_progress *progress)
{
  mkd_progress *last = context;
  assert_true(progress->done >= 1 && progress->done <= progress->total);
  assert_true(progress->stage >= last->stage);
  if (progress->stage == last->stage && last->total)
    assert_true(progress->done >= last->done && progress->total == last->total);
  *last = *progress;
  return true;
}

static bool stop_at_once(void *context, const mkd_progress *progress)
{
  (void)context, (void)progress;
  return false;
}

static void progress_goes_on(void **state)
{
  (void)state;
  const char *sets[] = {TINY_SET, "tile_width=24", "tile_height=16", "copies=1"};
  mkd_train_options options = mkd_train_options_default();
  mkd_progress last = {0};
  mkd_detector *detector;
  mkd_expert *expert = tiny_expert();
  tiny_images images = small_images(7000);
  options.set = sets;
  options.set_count = sizeof sets / sizeof *sets;
  options.progress = check_progress;
  options.context = &last;
  assert_ok(mkd_train(&detector, expert, tiny_source(&images), &options));
  assert_int_equal(last.stage, MKD_STAGE_CALIBRATE);
  assert_int_equal(last.total, 2);
  mkd_detector_destroy(detector);
  options.progress = stop_at_once;
  images.got = 0;
  assert_int_equal(mkd_train(&detector, expert, tiny_source(&images), &options), MKD_CANCELLED);
  assert_true(images.got <= IMAGES); /* while tiles are counted */
  assert_int_equal(images.out, 0);
  mkd_expert_destroy(expert);
}

/* ---- Small defects --------------------------------------------------------------------------- */

/* Smooth stripes of 256 x 256 pixels, grey; the last half of a test has a speck of 3 x 3 pixels. */
static mkd_status stripes_get(void *context, size_t index, mkd_image *image, void **handle)
{
  uint32_t seed = *(const uint32_t *)context;
  uint8_t *pixels = malloc((size_t)SIDE * SIDE);
  if (!pixels) abort();
  double phase = 3 * (double)number(seed, 3 * index),
         turn = 0.2 * (double)number(seed, 3 * index + 1);
  for (int y = 0; y < SIDE; ++y)
    for (int x = 0; x < SIDE; ++x)
      pixels[y * SIDE + x] =
          (uint8_t)(120 + 40 * sin(0.15 * (x + turn * y) + phase) +
                    6 * (double)number(seed + 1 + (uint32_t)index, (size_t)(y * SIDE + x)));
  *image = (mkd_image){pixels, SIDE, SIDE, SIDE, MKD_GREY8};
  *handle = pixels;
  return MKD_OK;
}

static void stripes_release(void *context, const mkd_image *image, void *handle)
{
  (void)context, (void)image;
  free(handle);
}

/* Share of pairs of a normal and an anomalous image that the score puts in order. */
static double auroc_with(const char *tile_width, const char *tile_height, bool *located)
{
  enum { NORMAL = 12, TEST = 24 };
  uint32_t seed = 100, test_seed = 500;
  const char *const sets[] = {tile_width, tile_height, "epochs=6"};
  mkd_image_source source = {NORMAL, stripes_get, stripes_release, &seed};
  mkd_detector *detector;
  mkd_session *session;
  double scores[TEST];
  assert_ok(train_with(&detector, source, 2, sets, 3));
  assert_ok(mkd_session_create(&session, detector, NULL));
  *located = true;
  for (size_t i = 0; i < TEST; ++i) {
    mkd_image image;
    mkd_result result;
    void *handle = NULL;
    assert_ok(stripes_get(&test_seed, i, &image, &handle));
    int at_x = 10 + 9 * (int)i, at_y = 240 - 7 * (int)i;
    for (int k = 0; i >= TEST / 2 && k < 9; ++k)
      ((uint8_t *)handle)[(at_y + k / 3) * SIDE + at_x + k % 3] = 255;
    assert_ok(mkd_session_score(session, &image, &result));
    scores[i] = result.score;
    size_t most = 0;
    for (size_t p = 0; p < (size_t)SIDE * SIDE; ++p)
      if (result.map.data[p] > result.map.data[most]) most = p;
    int x = (int)most % SIDE - at_x, y = (int)most / SIDE - at_y;
    if (i >= TEST / 2 && (abs(x) > 12 || abs(y) > 12)) *located = false;
    stripes_release(NULL, &image, handle);
  }
  int ordered = 0;
  for (int i = 0; i < TEST / 2; ++i)
    for (int j = TEST / 2; j < TEST; ++j) ordered += scores[j] > scores[i];
  mkd_session_destroy(session);
  mkd_detector_destroy(detector);
  return ordered / (TEST / 2.0 * TEST / 2.0);
}

static void tiles_see_what_shrinking_loses(void **state)
{
  (void)state;
  bool located;
  double whole = auroc_with("tile_width=0", "tile_height=0", &located);
  assert_false(located);
  double tiled = auroc_with("tile_width=36", "tile_height=24", &located);
  print_message("AUROC %.3f as a whole, %.3f in tiles\n", whole, tiled);
  assert_true(whole < 0.8);
  assert_true(tiled > 0.99);
  assert_true(located);
}

/* ---- What is wrong --------------------------------------------------------------------------- */

static void wrong_tiles_are_refused(void **state)
{
  (void)state;
  static const char *const wrong[][2] = {{"tile_overlap=1", "tile_overlap = '1' cannot be"},
                                         {"tile_overlap=0.91", "tile_overlap = '0.91' cannot be"},
                                         {"tile_overlap=-0.1", "tile_overlap = '-0.1' cannot be"},
                                         {"tile_overlap=nan", "tile_overlap = 'nan' cannot be"},
                                         {"tile_width=1000001", "tile_width = '1000001' cannot be"},
                                         {"tile_height=-8", "tile_height = '-8' cannot be"},
                                         {"tile_height=8.5", "tile_height = '8.5' cannot be"},
                                         {"tile_width=7", "must be 0 (no tiles) or at least 8"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    mkd_detector *detector;
    tiny_images images = small_images(7000);
    assert_error(train_with(&detector, tiny_source(&images), 1, wrong[i], 1), MKD_ERROR_ARGUMENT,
                 wrong[i][1]);
    assert_int_equal(images.got, 0);
  }
}

/* Images that grow each time they are read; for one thread. */
static mkd_status growing_get(void *context, size_t index, mkd_image *image, void **handle)
{
  tiny_images *images = context;
  images->width = images->got < IMAGES ? 24 : 48;
  return tiny_get(images, index, image, handle);
}

static void images_that_change_are_refused(void **state)
{
  (void)state;
  mkd_detector *detector;
  tiny_images images = small_images(7000);
  mkd_image_source source = tiny_source(&images);
  source.get = growing_get;
  assert_error(train_with(&detector, source, 1, small_tiles, 3), MKD_ERROR_DATA,
               "image 1 has another size when it is read again");
  assert_int_equal(images.out, 0);

  mkd_detector *trained = train(1, "localize=gradient");
  images.got = 0;
  mkd_calibrate_options options = mkd_calibrate_options_default();
  options.threads = 1;
  assert_error(mkd_detector_calibrate(&detector, trained, source, &options), MKD_ERROR_DATA,
               "image 1 has another size when it is read again");
  assert_int_equal(images.out, 0);
  mkd_detector_destroy(trained);
}

static void failing_images_are_told(void **state)
{
  (void)state;
  for (int threads = 1; threads < 4; threads += 2) {
    mkd_detector *detector;
    tiny_images images = small_images(7000);
    images.failing = 4;
    assert_error(train_with(&detector, tiny_source(&images), threads, small_tiles, 3),
                 MKD_ERROR_STORAGE, "the camera is asleep");
    assert_int_equal(images.out, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(images_are_the_sum_of_their_tiles),
      cmocka_unit_test(standardised_parts_are_taken_over_all_tiles),
      cmocka_unit_test(one_tile_is_no_tile),
      cmocka_unit_test(threads_and_files_change_nothing),
      cmocka_unit_test(calibration_is_by_image),
      cmocka_unit_test(features_know_tiles),
      cmocka_unit_test(progress_goes_on),
      cmocka_unit_test(tiles_see_what_shrinking_loses),
      cmocka_unit_test(wrong_tiles_are_refused),
      cmocka_unit_test(images_that_change_are_refused),
      cmocka_unit_test(failing_images_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
