/* Snapshots of a training are detectors of their own, and change nothing of it. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "tiny_train.h"

enum { IMAGES = 11, EPOCHS = 7, STEPS = 3 /* an epoch */ };

/* What the callbacks have seen. */
typedef struct {
  int taken, epochs[EPOCHS];
  mk_bytes models[EPOCHS];
  int fail_at; /* epoch whose snapshot fails; 0 = none */
  uint64_t stop_at_step;
  mkd_stage stage;
} record;

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("%s", mkd_last_error());
}

static mkd_status on_snapshot(void *context, int epoch, const mkd_detector *detector)
{
  record *r = context;
  if (epoch == r->fail_at) return mkd_set_error(MKD_ERROR_STORAGE, "no place for snapshots");
  assert_true(r->taken < EPOCHS);
  r->epochs[r->taken] = epoch;
  r->models[r->taken] = tiny_model_bytes(detector);
  assert_non_null(r->models[r->taken].data);
  ++r->taken;
  return MKD_OK;
}

static bool on_progress(void *context, const mkd_progress *progress)
{
  record *r = context;
  assert_true(progress->stage >= r->stage);
  r->stage = progress->stage;
  return progress->stage != MKD_STAGE_DISTILL || progress->done != r->stop_at_step;
}

static void forget(record *r)
{
  for (int i = 0; i < r->taken; ++i) mk_free(r->models[i].data);
  *r = (record){0};
}

static tiny_training training_of(record *r, int every, const char *const *sets)
{
  tiny_training t = tiny_training_of(IMAGES, 7000);
  tiny_training_set(&t, "epochs=7");
  for (; *sets; ++sets) tiny_training_set(&t, *sets);
  t.options.snapshot_every = every;
  t.options.snapshot = on_snapshot;
  t.options.progress = on_progress;
  t.options.context = r;
  return t;
}

static const char *const variants[][4] = {
    {NULL},
    {"localize=gradient", "score=total", "normalise_targets=false", NULL},
    {"target_type=fp16", "copies=2", NULL},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static void training_goes_on_as_if_nothing_had_happened(void **state)
{
  (void)state;
  for (int v = 0; v < VARIANTS; ++v) {
    record none = {0};
    tiny_training t = training_of(&none, 0, variants[v]);
    mk_bytes expected = tiny_trained_bytes(&t);
    assert_int_equal(none.taken, 0);
    for (int every = 1; every <= EPOCHS + 1; ++every) {
      record r = {0};
      t = training_of(&r, every, variants[v]);
      t.options.threads = 1 + every % 3;
      mk_bytes bytes = tiny_trained_bytes(&t);
      assert_true(same_bytes(bytes, expected));
      /* Every so many epochs, and at the end. */
      assert_int_equal(r.taken, (EPOCHS + every - 1) / every);
      for (int i = 0; i < r.taken; ++i)
        assert_int_equal(r.epochs[i], (i + 1) * every < EPOCHS ? (i + 1) * every : EPOCHS);
      assert_true(same_bytes(r.models[r.taken - 1], expected));
      mk_free(bytes.data);
      forget(&r);
    }
    mk_free(expected.data);
  }
}

/* With a constant rate, the first epochs of a long training are a short one. */
static void snapshots_are_shorter_trainings(void **state)
{
  (void)state;
  record r = {0};
  static const char *const constant[] = {"schedule=constant", NULL};
  tiny_training t = training_of(&r, 3, constant);
  mk_bytes whole = tiny_trained_bytes(&t);
  mk_free(whole.data);
  assert_int_equal(r.taken, 3);
  record none = {0};
  t = training_of(&none, 0, constant);
  tiny_training_set(&t, "epochs=3");
  mkd_detector *detector, *early;
  assert_ok(tiny_training_run(&detector, &t));
  char path[] = "/tmp/mkd-model-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  assert_ok(mkd_file_save(path, r.models[0].data, r.models[0].size));
  assert_ok(mkd_detector_load(&early, path, NULL));
  unlink(path);
  tiny_images probes = tiny_images_of(5, 9000);
  mkd_features *features;
  double scores[2][5];
  assert_ok(mkd_features_create(&features, detector, tiny_source(&probes), NULL));
  assert_ok(mkd_features_score(features, detector, 1, scores[0]));
  assert_ok(mkd_features_score(features, early, 1, scores[1]));
  assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
  mkd_features_destroy(features);
  mkd_detector_destroy(detector);
  mkd_detector_destroy(early);
  forget(&r);
}

/* A resumed training gives those that are still to come, each once. */
static void resumed_trainings_give_the_rest(void **state)
{
  (void)state;
  char path[] = "/tmp/mkd-checkpoint-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  record whole = {0};
  tiny_training t = training_of(&whole, 2, variants[0]);
  mk_bytes expected = tiny_trained_bytes(&t);
  for (uint64_t stop = 1; stop < EPOCHS * STEPS; ++stop) {
    record r = {.stop_at_step = stop};
    mkd_detector *detector;
    unlink(path);
    t = training_of(&r, 2, variants[0]);
    t.options.checkpoint = path;
    assert_int_equal(tiny_training_run(&detector, &t), MKD_CANCELLED);
    assert_int_equal(r.taken, stop / STEPS / 2);
    r.stop_at_step = 0;
    r.stage = MKD_STAGE_READ;
    t.options.resume = true;
    mk_bytes bytes = tiny_trained_bytes(&t);
    assert_true(same_bytes(bytes, expected));
    assert_int_equal(r.taken, whole.taken);
    for (int i = 0; i < r.taken; ++i) {
      assert_int_equal(r.epochs[i], whole.epochs[i]);
      assert_true(same_bytes(r.models[i], whole.models[i]));
    }
    mk_free(bytes.data);
    forget(&r);
  }
  unlink(path);
  mk_free(expected.data);
  forget(&whole);
}

static void refusals_end_the_training(void **state)
{
  (void)state;
  mkd_detector *detector = NULL;
  for (int epoch = 2; epoch <= EPOCHS; epoch += epoch == 6 ? 1 : 2) {
    record r = {.fail_at = epoch};
    tiny_training t = training_of(&r, 2, variants[0]);
    assert_int_equal(tiny_training_run(&detector, &t), MKD_ERROR_STORAGE);
    assert_string_equal(mkd_last_error(), "no place for snapshots");
    assert_int_equal(r.taken, (epoch - 1) / 2);
    assert_null(detector);
    forget(&r);
  }
  record r = {0};
  tiny_training t = training_of(&r, -1, variants[0]);
  assert_int_equal(tiny_training_run(&detector, &t), MKD_ERROR_ARGUMENT);
  assert_non_null(strstr(mkd_last_error(), "snapshot_every: -1"));
  t = training_of(&r, 1, variants[0]);
  t.options.snapshot = NULL;
  assert_int_equal(tiny_training_run(&detector, &t), MKD_ERROR_ARGUMENT);
  assert_non_null(strstr(mkd_last_error(), "no callback"));
  assert_int_equal(t.images.got, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(training_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(snapshots_are_shorter_trainings),
      cmocka_unit_test(resumed_trainings_give_the_rest),
      cmocka_unit_test(refusals_end_the_training),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
