/* Activations that are kept give the scores that sessions give. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "tiny_train.h"

enum { IMAGES = 11, PROBES = 70 };

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("%s", mkd_last_error());
}

static void assert_error(mkd_status status, mkd_status expected, const char *text)
{
  if (status != expected) fail_msg("status %d: %s", (int)status, mkd_last_error());
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
}

/* `sets` ends with NULL. */
static mkd_detector *train(uint64_t seed, const char *const *sets)
{
  tiny_training t = tiny_training_of(IMAGES, 7000);
  mkd_detector *detector;
  t.options.seed = seed;
  for (; *sets; ++sets) tiny_training_set(&t, *sets);
  assert_ok(tiny_training_run(&detector, &t));
  return detector;
}

static tiny_images probes_of(int width, int height)
{
  tiny_images probes = tiny_images_of(PROBES, 9000);
  probes.width = width;
  probes.height = height;
  return probes;
}

static mkd_features *features_of(const mkd_detector *detector, int threads, uint64_t memory)
{
  mkd_features *features;
  mkd_features_options options = mkd_features_options_default();
  tiny_images probes = probes_of(31, 22);
  options.threads = threads;
  options.cache_memory = memory;
  assert_ok(mkd_features_create(&features, detector, tiny_source(&probes), &options));
  assert_int_equal(probes.out, 0);
  assert_int_equal(probes.got, PROBES);
  assert_int_equal(mkd_features_count(features), PROBES);
  return features;
}

/* By a session of the recipe's own kind of map, or without a map. */
static void score_by_session(const mkd_detector *detector, mkd_localize localize, int threads,
                             double *scores)
{
  mkd_session *session;
  mkd_session_options options = mkd_session_options_default();
  options.localize = localize;
  options.threads = threads;
  assert_ok(mkd_session_create(&session, detector, &options));
  tiny_images probes = probes_of(31, 22);
  for (size_t i = 0; i < PROBES; ++i) {
    mkd_image image;
    void *handle = NULL;
    mkd_result result;
    assert_ok(tiny_get(&probes, i, &image, &handle));
    assert_ok(mkd_session_score(session, &image, &result));
    tiny_release(&probes, &image, handle);
    scores[i] = result.score;
  }
  mkd_session_destroy(session);
}

static void scores_are_those_of_sessions(void **state)
{
  (void)state;
  static const char *const variants[][4] = {
      {"localize=discrepancy", NULL},
      {"localize=gradient", "score=total", NULL},
      {"localize=none", "normalise_targets=false", "score_points=p1", NULL},
      {"resize_width=40", "contrast_below=255", "score=total", NULL},
  };
  for (size_t v = 0; v < sizeof variants / sizeof *variants; ++v) {
    mkd_detector *detector = train(v, variants[v]);
    double expected[PROBES], scores[PROBES];
    score_by_session(detector, MKD_LOCALIZE_RECIPE, 1, expected);
    score_by_session(detector, MKD_LOCALIZE_NONE, 2, scores);
    assert_memory_equal(scores, expected, sizeof scores);
    for (int threads = 1; threads <= 3; ++threads) {
      mkd_features *features = features_of(detector, threads, threads == 2 ? 0 : 1 << 30);
      memset(scores, 0, sizeof scores);
      assert_ok(mkd_features_score(features, detector, 4 - threads, scores));
      assert_memory_equal(scores, expected, sizeof scores);
      mkd_features_destroy(features);
    }
    mkd_detector_destroy(detector);
  }
}

/* Other cloners, other ways to score: the same features. */
static void detectors_share_features(void **state)
{
  (void)state;
  static const char *const first[] = {NULL}, *const other[] = {"score=total", "epochs=2", NULL};
  mkd_detector *detectors[] = {train(0, first), train(1, first), train(2, other)};
  mkd_features *features = features_of(detectors[0], 0, 0);
  for (int i = 0; i < 3; ++i) {
    double expected[PROBES], scores[PROBES];
    assert_true(mkd_features_match(features, detectors[i]));
    score_by_session(detectors[i], MKD_LOCALIZE_RECIPE, 1, expected);
    assert_ok(mkd_features_score(features, detectors[i], 2, scores));
    assert_memory_equal(scores, expected, sizeof scores);
  }
  mkd_features_destroy(features);
  for (int i = 0; i < 3; ++i) mkd_detector_destroy(detectors[i]);
}

static void detectors_that_see_something_else_are_refused(void **state)
{
  (void)state;
  static const char *const none[] = {NULL};
  static const char *const others[][3] = {
      {"input_width=32", NULL},     {"input_height=24", NULL},       {"resize_width=25", NULL},
      {"resize_height=17", NULL},   {"resample=lanczos", NULL},      {"values=unit", NULL},
      {"critical_points=p1", NULL}, {"critical_points=p2,p1", NULL},
  };
  mkd_detector *detector = train(0, none);
  mkd_features *features = features_of(detector, 1, 0);
  double scores[PROBES] = {42};
  for (size_t i = 0; i < sizeof others / sizeof *others; ++i) {
    mkd_detector *other = train(0, others[i]);
    assert_false(mkd_features_match(features, other));
    assert_error(mkd_features_score(features, other, 1, scores), MKD_ERROR_ARGUMENT,
                 "another expert, input or critical points");
    mkd_detector_destroy(other);
  }
  /* Low contrast stretches the input. */
  tiny_training t = tiny_training_of(IMAGES, 7000);
  mkd_detector *stretched;
  t.images.bright = 1000;
  tiny_training_set(&t, "contrast_below=128");
  assert_ok(tiny_training_run(&stretched, &t));
  assert_false(mkd_features_match(features, stretched));
  mkd_detector_destroy(stretched);

  /* Another file of weights. */
  mkd_expert *expert = tiny_expert();
  t = tiny_training_of(IMAGES, 7000);
  t.options.set = t.sets;
  expert->sha256[3] = 'b';
  assert_ok(mkd_train(&stretched, expert, tiny_source(&t.images), &t.options));
  assert_false(mkd_features_match(features, stretched));
  mkd_expert_destroy(expert);
  mkd_detector_destroy(stretched);

  assert_true(scores[0] == 42);
  assert_true(mkd_features_match(features, detector));
  assert_error(mkd_features_score(features, detector, -1, scores), MKD_ERROR_ARGUMENT,
               "threads: -1");
  mkd_features_destroy(features);
  mkd_detector_destroy(detector);
}

/* It names the expert of the features, but has another one. */
static void models_that_lie_are_refused(void **state)
{
  (void)state;
  static const char *const none[] = {NULL};
  mkd_detector *detector = train(0, none), *liar;
  mkd_features *features = features_of(detector, 1, 0);
  double scores[PROBES] = {42};
  tiny_training t = tiny_training_of(IMAGES, 7000);
  mkd_expert *expert = tiny_expert();
  t.options.set = t.sets;
  assert_ok(mk_graph_name(expert->graph, mk_graph_find(expert->graph, "p2"), "p0"));
  assert_ok(mk_graph_name(expert->graph, mk_graph_find(expert->graph, "p1"), "p2"));
  assert_ok(mk_graph_name(expert->graph, mk_graph_find(expert->graph, "p0"), "p1"));
  tiny_training_set(&t, "cloner=conv 3x3/2 6 bn relu; keep a; conv 1x1 expert bias; point p2; "
                        "from a; conv 3x3/2 10 bn relu6; conv 1x1 expert bias; point p1");
  assert_ok(mkd_train(&liar, expert, tiny_source(&t.images), &t.options));
  assert_true(mkd_features_match(features, liar));
  assert_error(mkd_features_score(features, liar, 1, scores), MKD_ERROR_FILE,
               "critical point 'p1': the model gives 6x4x12, the expert that it names 12x8x8");
  assert_true(scores[0] == 42);
  mkd_expert_destroy(expert);
  mkd_features_destroy(features);
  mkd_detector_destroy(detector);
  mkd_detector_destroy(liar);
}

typedef struct {
  size_t calls, stop_at;
  mkd_progress last;
} watcher;

static bool on_progress(void *context, const mkd_progress *progress)
{
  watcher *w = context;
  assert_true(progress->stage == MKD_STAGE_READ || progress->stage == MKD_STAGE_TARGETS);
  assert_true(progress->stage >= w->last.stage && progress->total == PROBES);
  if (progress->stage == w->last.stage) assert_true(progress->done > w->last.done);
  w->last = *progress;
  return ++w->calls != w->stop_at;
}

static void errors_leave_nothing_behind(void **state)
{
  (void)state;
  static const char *const none[] = {NULL};
  mkd_detector *detector = train(0, none);
  mkd_features *features = NULL;
  mkd_features_options options = mkd_features_options_default();
  watcher w = {0};
  options.progress = on_progress;
  options.context = &w;
  options.threads = 2;
  tiny_images probes = probes_of(31, 22);
  assert_ok(mkd_features_create(&features, detector, tiny_source(&probes), &options));
  assert_int_equal(w.last.stage, MKD_STAGE_TARGETS);
  assert_int_equal(w.last.done, PROBES);
  mkd_features_destroy(features);
  features = NULL;

  size_t calls = w.calls;
  for (size_t stop = 1; stop <= calls; stop += stop == 1 ? calls / 2 : calls - stop ? 1 : calls) {
    w = (watcher){.stop_at = stop};
    assert_error(mkd_features_create(&features, detector, tiny_source(&probes), &options),
                 MKD_CANCELLED, "stopped on request");
    assert_int_equal(w.calls, stop);
  }
  options.progress = NULL;
  for (size_t failing = 0; failing < PROBES; failing += PROBES - 1) {
    probes.failing = failing;
    assert_error(mkd_features_create(&features, detector, tiny_source(&probes), &options),
                 MKD_ERROR_STORAGE, "the camera is asleep");
  }
  assert_int_equal(probes.out, 0);
  probes.count = 0;
  assert_error(mkd_features_create(&features, detector, tiny_source(&probes), NULL), MKD_ERROR_DATA,
               "no image");
  probes = probes_of(31, 22);
  options.threads = -1;
  assert_error(mkd_features_create(&features, detector, tiny_source(&probes), &options),
               MKD_ERROR_ARGUMENT, "threads: -1");
  options.size = 8;
  assert_error(mkd_features_create(&features, detector, tiny_source(&probes), &options),
               MKD_ERROR_ARGUMENT, "mkd_features_options_default()");
  assert_null(features);
  mkd_features_destroy(NULL);
  mkd_detector_destroy(detector);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scores_are_those_of_sessions),
      cmocka_unit_test(detectors_share_features),
      cmocka_unit_test(detectors_that_see_something_else_are_refused),
      cmocka_unit_test(models_that_lie_are_refused),
      cmocka_unit_test(errors_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
