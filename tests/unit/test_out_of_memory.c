/* Training, saving, loading, calibrating, describing and scoring (kept activations, too), with
 * every single allocation failing in its turn: it is told, and nothing leaks (which the address
 * sanitizer sees). Linked with
 * --wrap=aligned_alloc, through which the library allocates. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tiny.h"

static long left;   /* allocations until the one that fails; below 0 = none does */
static bool failed; /* it has */
static char outcome[MK_SHA256_HEX];

static bool fails(void)
{
  if (left < 0) return false;
  if (left > 0) {
    --left;
    return false;
  }
  left = -1;
  failed = true;
  return true;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
  return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

static char folder[64], model_path[96], checkpoint_path[96], expert_path[96];

static int make_folder(void **state)
{
  (void)state;
  strcpy(folder, "/tmp/mkd-memory-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(model_path, sizeof model_path, "%s/model.mkd", folder);
  snprintf(checkpoint_path, sizeof checkpoint_path, "%s/model.ckpt", folder);
  snprintf(expert_path, sizeof expert_path, "%s/tiny.safetensors", folder);
  left = -1;
  mkd_expert *expert = tiny_expert();
  assert_int_equal(mkd_expert_save(expert, expert_path), MKD_OK);
  mkd_expert_destroy(expert);
  return 0;
}

static int remove_folder(void **state)
{
  (void)state;
  unlink(model_path);
  unlink(checkpoint_path);
  unlink(expert_path);
  return rmdir(folder);
}

static const char *tiles;                      /* images of 24 x 16 pixels are one tile, or three */
static const char *augment = "augment=cached"; /* of the trainings */

static bool stop_at_step(void *context, const mkd_progress *progress)
{
  (void)context;
  return progress->stage != MKD_STAGE_DISTILL;
}

static mkd_status take_snapshot(void *context, int epoch, const mkd_detector *detector)
{
  (void)context, (void)epoch, (void)detector;
  return MKD_OK;
}

static mkd_status train(mkd_detector **detector, const mkd_expert *expert, tiny_images *images,
                        bool stop)
{
  const char *const sets[] = {TINY_SET,
                              "epochs=2",
                              "copies=1",
                              "localize=smoothgrad",
                              "smoothgrad_samples=1",
                              "map_scale=p99",
                              "map_opening=true",
                              tiles,
                              augment};
  mkd_train_options options = mkd_train_options_default();
  options.set = sets;
  options.set_count = sizeof sets / sizeof *sets;
  options.threads = 1;
  options.checkpoint = checkpoint_path;
  options.resume = !stop;
  options.progress = stop ? stop_at_step : NULL;
  options.snapshot_every = 1;
  options.snapshot = take_snapshot;
  return mkd_train(detector, expert, tiny_source(images), &options);
}

static mkd_status score(const mkd_detector *detector, mkd_localize localize)
{
  static uint8_t pixels[40 * 30];
  mkd_image image = {pixels, 40, 30, 40, MKD_GREY8};
  mkd_session_options options = mkd_session_options_default();
  mkd_session *session;
  mkd_result result;
  options.localize = localize;
  mkd_status status = mkd_session_create(&session, detector, &options);
  if (status != MKD_OK) return status;
  status = mkd_session_score(session, &image, &result);
  if (status == MKD_OK) mk_sha256(outcome, result.map.data, sizeof(float) * 40 * 30);
  mkd_session_destroy(session);
  return status;
}

static mkd_status score_features(const mkd_detector *detector)
{
  mkd_features *features;
  tiny_images images = tiny_images_of(2, 9000);
  mkd_features_options options = mkd_features_options_default();
  double scores[2];
  options.threads = 1;
  mkd_status status = mkd_features_create(&features, detector, tiny_source(&images), &options);
  assert_int_equal(images.out, 0);
  if (status != MKD_OK) return status;
  status = mkd_features_score(features, detector, 1, scores);
  if (status == MKD_OK) mk_sha256(outcome, scores, sizeof scores);
  mkd_features_destroy(features);
  return status;
}

/* ---- What is tried --------------------------------------------------------------------------- */

static mkd_status train_and_save(void)
{
  mkd_expert *expert = NULL;
  mkd_detector *detector = NULL;
  tiny_images images = tiny_images_of(2, 7000);
  unlink(checkpoint_path);
  mkd_status status = mkd_expert_load(&expert, expert_path, NULL);
  if (status == MKD_OK) status = train(&detector, expert, &images, true);
  if (status == MKD_CANCELLED) status = train(&detector, expert, &images, false);
  if (status == MKD_OK) status = mkd_detector_save(detector, model_path);
  mk_bytes bytes = {0};
  if (status == MKD_OK) status = mk_file_read(&bytes, model_path, 1 << 24);
  if (status == MKD_OK) mk_sha256(outcome, bytes.data, bytes.size);
  mk_free(bytes.data);
  mkd_detector_destroy(detector);
  mkd_expert_destroy(expert);
  assert_int_equal(images.out, 0);
  return status;
}

static mkd_status load_and_score(void)
{
  mkd_detector *detector = NULL, *calibrated = NULL;
  tiny_images images = tiny_images_of(2, 8000);
  mkd_status status = mkd_detector_load(&detector, model_path, NULL);
  if (status == MKD_OK)
    status = mkd_detector_calibrate(&calibrated, detector, tiny_source(&images), NULL);
  if (status == MKD_OK) status = score(calibrated, MKD_LOCALIZE_RECIPE);
  if (status == MKD_OK) status = score(detector, MKD_LOCALIZE_DISCREPANCY);
  mkd_detector_destroy(detector);
  mkd_detector_destroy(calibrated);
  assert_int_equal(images.out, 0);
  return status;
}

static mkd_status load_and_score_features(void)
{
  mkd_detector *detector = NULL;
  mkd_status status = mkd_detector_load(&detector, model_path, NULL);
  if (status == MKD_OK) status = score_features(detector);
  mkd_detector_destroy(detector);
  return status;
}

static mkd_status describe(void)
{
  const char *const paths[] = {model_path, expert_path, "default"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
    char *json = NULL;
    mkd_status status = mkd_describe(&json, paths[i], NULL);
    if (status != MKD_OK) return status;
    mk_sha256(outcome, json, strlen(json));
    mkd_text_free(json);
  }
  return MKD_OK;
}

static void assert_survives_with(mkd_status (*work)(void), const char *tile_width)
{
  char expected[MK_SHA256_HEX];
  left = -1;
  tiles = tile_width;
  assert_int_equal(train_and_save(), MKD_OK);
  if (work() != MKD_OK) fail_msg("%s", mkd_last_error());
  strcpy(expected, outcome);
  for (long n = 0;; ++n) {
    left = n;
    failed = false;
    mkd_status status = work();
    left = -1;
    if (!failed) {
      assert_int_equal(status, MKD_OK);
      assert_true(n > 100);
      return;
    }
    /* That a folder is not synced does not count. */
    bool harmless = status == MKD_OK && strcmp(outcome, expected) == 0;
    if (status != MKD_ERROR_MEMORY && !harmless)
      fail_msg("allocation %ld fails: status %d: %s", n, (int)status, mkd_last_error());
  }
}

static void assert_survives(mkd_status (*work)(void))
{
  assert_survives_with(work, "tile_width=0");
  assert_survives_with(work, "tile_width=10");
}

static void training_survives(void **state)
{
  (void)state;
  assert_survives(train_and_save);
}

static void training_with_fresh_warps_survives(void **state)
{
  (void)state;
  augment = "augment=fresh";
  assert_survives(train_and_save);
  augment = "augment=cached";
}

/* Once epochs run, no allocation may be asked for. */
static bool forbid_in_epochs(void *context, const mkd_progress *progress)
{
  (void)context;
  if (progress->stage == MKD_STAGE_DISTILL) left = progress->done < progress->total ? 0 : -1;
  return true;
}

static void epochs_need_no_more_memory(void **state)
{
  (void)state;
  for (int fresh = 0; fresh < 2; ++fresh) {
    const char *const sets[] = {TINY_SET, fresh ? "augment=fresh" : "augment=cached", "epochs=9"};
    mkd_train_options options = mkd_train_options_default();
    mkd_expert *expert = tiny_expert();
    mkd_detector *detector;
    tiny_images images = tiny_images_of(11, 7000);
    options.set = sets;
    options.set_count = sizeof sets / sizeof *sets;
    options.threads = 2;
    options.progress = forbid_in_epochs;
    failed = false;
    mkd_status status = mkd_train(&detector, expert, tiny_source(&images), &options);
    left = -1;
    assert_false(failed);
    assert_int_equal(status, MKD_OK);
    mkd_detector_destroy(detector);
    mkd_expert_destroy(expert);
  }
}

static void scoring_survives(void **state)
{
  (void)state;
  assert_survives(load_and_score);
}

static void features_survive(void **state)
{
  (void)state;
  assert_int_equal(train_and_save(), MKD_OK);
  assert_survives(load_and_score_features);
}

static void description_survives(void **state)
{
  (void)state;
  assert_survives(describe);
}

/* After two images of the largest size, images are scored without any allocation. */
static void assert_settles(const char *tile_width)
{
  static uint8_t pixels[90 * 70 * 3];
  mkd_detector *detector;
  tiles = tile_width;
  assert_int_equal(train_and_save(), MKD_OK);
  assert_int_equal(mkd_detector_load(&detector, model_path, NULL), MKD_OK);
  for (mkd_localize localize = MKD_LOCALIZE_NONE; localize <= MKD_LOCALIZE_GBP; ++localize) {
    mkd_session_options options = mkd_session_options_default();
    options.localize = localize;
    mkd_session *session;
    assert_int_equal(mkd_session_create(&session, detector, &options), MKD_OK);
    for (int round = 0; round < 8; ++round) {
      bool largest = round < 2 || round % 2;
      mkd_image image = {pixels, largest ? 90 : 31, largest ? 70 : 47, 270, MKD_RGB8};
      mkd_result result;
      left = round < 2 ? -1 : 0;
      failed = false;
      assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
      assert_false(failed);
    }
    left = -1;
    mkd_session_destroy(session);
  }
  mkd_detector_destroy(detector);
}

static void scoring_settles(void **state)
{
  (void)state;
  assert_settles("tile_width=0");
  assert_settles("tile_width=24");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(training_survives),
      cmocka_unit_test(training_with_fresh_warps_survives),
      cmocka_unit_test(epochs_need_no_more_memory),
      cmocka_unit_test(scoring_survives),
      cmocka_unit_test(features_survive),
      cmocka_unit_test(description_survives),
      cmocka_unit_test(scoring_settles),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
