/* One detector, many sessions in many threads: the numbers of one session alone, to the bit. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>

#include "tiny.h"

enum { THREADS = 4, IMAGES = 6, ROUNDS = 3 };

typedef struct {
  double score, p_value, map_max;
  float map[64 * 64];
} outcome;

typedef struct {
  const mkd_detector *detector;
  mkd_session_options options;
  tiny_images *images;
  outcome outcomes[IMAGES];
  bool failed;
} scorer;

static mkd_status score_all(scorer *s)
{
  mkd_session *session;
  mkd_status status = mkd_session_create(&session, s->detector, &s->options);
  if (status != MKD_OK) return status;
  for (size_t round = 0; status == MKD_OK && round < ROUNDS; ++round) {
    for (size_t i = 0; status == MKD_OK && i < IMAGES; ++i) {
      mkd_image image = {0};
      mkd_result result;
      void *handle = NULL;
      tiny_get(s->images, i, &image, &handle);
      status = mkd_session_score(session, &image, &result);
      if (status == MKD_OK) {
        outcome *o = &s->outcomes[i];
        size_t pixels = (size_t)result.map.width * (size_t)result.map.height;
        *o = (outcome){result.score, result.p_value, result.map_max, {0}};
        memcpy(o->map, result.map.data, pixels * sizeof *o->map);
      }
      tiny_release(s->images, &image, handle);
    }
  }
  mkd_session_destroy(session);
  return status;
}

static void *thread_main(void *argument)
{
  scorer *s = argument;
  s->failed = score_all(s) != MKD_OK;
  return NULL;
}

static mkd_detector *train(void)
{
  static const char *const set[] = {TINY_SET};
  mkd_train_options options = mkd_train_options_default();
  mkd_detector *detector = NULL;
  mkd_expert *expert = tiny_expert();
  tiny_images images = tiny_images_of(12, 1);
  options.set = set;
  options.set_count = sizeof set / sizeof set[0];
  options.threads = 2;
  if (mkd_train(&detector, expert, tiny_source(&images), &options) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  mkd_expert_destroy(expert);
  return detector;
}

static void compare(mkd_localize localize)
{
  static scorer alone, scorers[THREADS];
  mkd_detector *detector = train();
  tiny_images images = tiny_images_of(IMAGES, 500);
  images.width = 37; /* the maps are brought to another size */
  images.height = 41;
  mkd_session_options options = mkd_session_options_default();
  options.localize = localize;
  alone = (scorer){.detector = detector, .options = options, .images = &images};
  if (score_all(&alone) != MKD_OK) fail_msg("%s", mkd_last_error());

  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    scorers[i] = (scorer){.detector = detector, .options = options, .images = &images};
    scorers[i].options.threads = 1 + i % 2; /* with a pool of its own, and without */
    assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &scorers[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; ++i) {
    assert_false(scorers[i].failed);
    assert_memory_equal(scorers[i].outcomes, alone.outcomes, sizeof alone.outcomes);
  }
  assert_int_equal(images.out, 0);
  mkd_detector_destroy(detector);
}

static void discrepancy_maps(void **state)
{
  (void)state;
  compare(MKD_LOCALIZE_DISCREPANCY);
}

static void gradient_maps(void **state)
{
  (void)state;
  compare(MKD_LOCALIZE_GRADIENT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(discrepancy_maps),
      cmocka_unit_test(gradient_maps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
