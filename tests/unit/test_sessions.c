/* One detector, many sessions in many threads, and trainings beside them: the numbers of one
 * session or one training alone, to the bit. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "tiny.h"

enum { THREADS = 4, IMAGES = 6, ROUNDS = 3, LEARNERS = 2 };

typedef struct {
  double score, p_value, map_max;
  float map[64 * 64];
} outcome;

typedef struct {
  const mkd_detector *detector;
  mkd_session_options options;
  tiny_images *images;
  const atomic_int *learning; /* goes on while this is positive; NULL: for ROUNDS rounds */
  outcome outcomes[IMAGES];
  bool failed;
} scorer;

static bool goes_on(const scorer *s, size_t round)
{
  return round < ROUNDS || (s->learning && atomic_load(s->learning) > 0);
}

static mkd_status score_all(scorer *s)
{
  mkd_session *session;
  mkd_status status = mkd_session_create(&session, s->detector, &s->options);
  if (status != MKD_OK) return status;
  for (size_t round = 0; status == MKD_OK && goes_on(s, round); ++round) {
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

static mkd_status train(mkd_detector **detector, const mkd_expert *expert, int threads)
{
  static const char *const set[] = {TINY_SET};
  mkd_train_options options = mkd_train_options_default();
  tiny_images images = tiny_images_of(12, 1);
  options.set = set;
  options.set_count = sizeof set / sizeof set[0];
  options.threads = threads;
  return mkd_train(detector, expert, tiny_source(&images), &options);
}

static mkd_detector *train_alone(void)
{
  mkd_detector *detector = NULL;
  mkd_expert *expert = tiny_expert();
  if (train(&detector, expert, 2) != MKD_OK) fail_msg("%s", mkd_last_error());
  mkd_expert_destroy(expert);
  return detector;
}

static tiny_images unseen_images(void)
{
  tiny_images images = tiny_images_of(IMAGES, 500);
  images.width = 37; /* the maps are brought to another size */
  images.height = 41;
  return images;
}

static void start_scorers(pthread_t threads[THREADS], scorer scorers[THREADS], const scorer *like)
{
  for (int i = 0; i < THREADS; ++i) {
    scorers[i] = *like;
    memset(scorers[i].outcomes, 0, sizeof scorers[i].outcomes);
    scorers[i].options.threads = 1 + i % 2; /* with a pool of its own, and without */
    assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &scorers[i]), 0);
  }
}

static void join_scorers(const pthread_t threads[THREADS], const scorer scorers[THREADS],
                         const scorer *alone)
{
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; ++i) {
    assert_false(scorers[i].failed);
    assert_memory_equal(scorers[i].outcomes, alone->outcomes, sizeof alone->outcomes);
  }
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void compare(mkd_localize localize)
{
  static scorer alone, scorers[THREADS];
  mkd_detector *detector = train_alone();
  tiny_images images = unseen_images();
  mkd_session_options options = mkd_session_options_default();
  options.localize = localize;
  alone = (scorer){.detector = detector, .options = options, .images = &images};
  if (score_all(&alone) != MKD_OK) fail_msg("%s", mkd_last_error());

  pthread_t threads[THREADS];
  start_scorers(threads, scorers, &alone);
  join_scorers(threads, scorers, &alone);
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

/* ---- Trainings beside sessions --------------------------------------------------------------- */

typedef struct {
  const mkd_expert *expert; /* one for all */
  int threads;
  mkd_detector *detector;
  atomic_int *learning;
  bool failed;
} learner;

static void *learn(void *argument)
{
  learner *l = argument;
  l->failed = train(&l->detector, l->expert, l->threads) != MKD_OK;
  atomic_fetch_sub(l->learning, 1);
  return NULL;
}

static void training_and_scoring_at_once(void **state)
{
  (void)state;
  static scorer alone, scorers[THREADS], judge;
  atomic_int learning = LEARNERS;
  mkd_detector *detector = train_alone();
  mkd_expert *expert = tiny_expert();
  tiny_images images = unseen_images();
  alone =
      (scorer){.detector = detector, .options = mkd_session_options_default(), .images = &images};
  if (score_all(&alone) != MKD_OK) fail_msg("%s", mkd_last_error());

  learner learners[LEARNERS];
  pthread_t teachers[LEARNERS], threads[THREADS];
  alone.learning = &learning;
  start_scorers(threads, scorers, &alone);
  for (int i = 0; i < LEARNERS; ++i) {
    learners[i] = (learner){.expert = expert, .threads = 1 + i, .learning = &learning};
    assert_int_equal(pthread_create(&teachers[i], NULL, learn, &learners[i]), 0);
  }
  for (int i = 0; i < LEARNERS; ++i) pthread_join(teachers[i], NULL);
  join_scorers(threads, scorers, &alone);

  for (int i = 0; i < LEARNERS; ++i) {
    assert_false(learners[i].failed);
    judge = (scorer){.detector = learners[i].detector, .options = alone.options, .images = &images};
    if (score_all(&judge) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_memory_equal(judge.outcomes, alone.outcomes, sizeof alone.outcomes);
    mkd_detector_destroy(learners[i].detector);
  }
  assert_int_equal(images.out, 0);
  mkd_expert_destroy(expert);
  mkd_detector_destroy(detector);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(discrepancy_maps),
      cmocka_unit_test(gradient_maps),
      cmocka_unit_test(training_and_scoring_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
