/* Training, calibration and scoring through the public API, with a tiny expert and images in
 * memory. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "tiny.h"

enum { MAX_SETS = 32, IMAGES = 11 };

/* ---- One training ---------------------------------------------------------------------------- */

typedef struct {
  tiny_images images;
  mkd_train_options options;
  const char *sets[MAX_SETS];
  int stop_at;           /* call of the progress callback that says stop; 0 = none */
  uint64_t stop_at_step; /* the same by the steps that are done */
  int calls, logs;
  mkd_progress last;
  char first_log[1024];
} job;

static bool on_progress(void *context, const mkd_progress *progress)
{
  job *j = context;
  ++j->calls;
  assert_true(progress->done >= 1 && progress->done <= progress->total);
  assert_true(progress->stage >= j->last.stage);
  if (progress->stage == j->last.stage && j->calls > 1)
    assert_true(progress->done > j->last.done && progress->total == j->last.total);
  if (progress->stage == MKD_STAGE_DISTILL) {
    assert_true(progress->epoch >= 1 && progress->epoch <= progress->epochs);
    assert_true(isfinite(progress->loss) && progress->loss >= 0);
    assert_true(progress->seconds_left >= 0);
  } else {
    assert_int_equal(progress->epochs, 0);
  }
  j->last = *progress;
  bool step = progress->stage == MKD_STAGE_DISTILL && progress->done == j->stop_at_step;
  return j->calls != j->stop_at && !step;
}

static void on_log(void *context, mkd_log_level level, const char *text)
{
  job *j = context;
  assert_true(level == MKD_LOG_INFO || level == MKD_LOG_WARNING);
  if (++j->logs == 1) snprintf(j->first_log, sizeof j->first_log, "%s", text);
}

static job job_of(size_t images, uint32_t seed)
{
  static const char *const sets[] = {TINY_SET};
  job j = {.images = tiny_images_of(images, seed), .options = mkd_train_options_default()};
  memcpy(j.sets, sets, sizeof sets);
  j.options.set_count = sizeof sets / sizeof *sets;
  j.options.threads = 1;
  return j;
}

static void add_set(job *j, const char *set)
{
  assert_true(j->options.set_count < MAX_SETS);
  j->sets[j->options.set_count++] = set;
}

static mkd_status run(mkd_detector **detector, job *j)
{
  mkd_expert *expert = tiny_expert();
  j->calls = j->logs = 0;
  j->last = (mkd_progress){0};
  j->options.set = j->sets;
  j->options.progress = on_progress;
  j->options.log = on_log;
  j->options.context = j;
  mkd_status status = mkd_train(detector, expert, tiny_source(&j->images), &j->options);
  mkd_expert_destroy(expert);
  assert_int_equal(j->images.out, 0);
  return status;
}

static mkd_detector *train(job *j)
{
  mkd_detector *detector;
  if (run(&detector, j) != MKD_OK) fail_msg("%s", mkd_last_error());
  return detector;
}

static void assert_error(mkd_status status, mkd_status expected, const char *text)
{
  if (status != expected) fail_msg("status %d: %s", (int)status, mkd_last_error());
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
}

static void assert_refused(job *j, mkd_status expected, const char *text)
{
  mkd_detector *detector = NULL;
  mkd_status status = run(&detector, j);
  assert_null(detector);
  assert_error(status, expected, text);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static char folder[64], model_path[96], checkpoint_path[96];

static int make_folder(void **state)
{
  (void)state;
  strcpy(folder, "/tmp/mkd-train-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(model_path, sizeof model_path, "%s/model.mkd", folder);
  snprintf(checkpoint_path, sizeof checkpoint_path, "%s/model.ckpt", folder);
  return 0;
}

static int remove_folder(void **state)
{
  (void)state;
  unlink(model_path);
  unlink(checkpoint_path);
  return rmdir(folder);
}

static mk_bytes bytes_of(const mkd_detector *detector)
{
  mk_bytes bytes;
  assert_int_equal(mkd_detector_save(detector, model_path), MKD_OK);
  assert_int_equal(mk_file_read(&bytes, model_path, 1 << 24), MKD_OK);
  return bytes;
}

/* Trains, and takes the bytes of the model file. */
static mk_bytes train_to_bytes(job *j)
{
  mkd_detector *detector = train(j);
  mk_bytes bytes = bytes_of(detector);
  mkd_detector_destroy(detector);
  return bytes;
}

static bool same(mk_bytes a, mk_bytes b)
{
  return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* ---- Scores ---------------------------------------------------------------------------------- */

enum { PROBES = 4, PROBE_WIDTH = 31, PROBE_HEIGHT = 22, PROBE_SIZE = PROBE_WIDTH * PROBE_HEIGHT };

typedef struct {
  double score, p_value;
  float map[PROBE_SIZE];
} scored;

static void score(const mkd_detector *detector, scored results[PROBES])
{
  mkd_session *session;
  tiny_images probes = tiny_images_of(PROBES, 9000);
  probes.width = PROBE_WIDTH;
  probes.height = PROBE_HEIGHT;
  assert_int_equal(mkd_session_create(&session, detector, NULL), MKD_OK);
  memset(results, 0, PROBES * sizeof *results);
  for (size_t i = 0; i < PROBES; ++i) {
    mkd_image image;
    void *handle = NULL;
    mkd_result result;
    assert_int_equal(tiny_get(&probes, i, &image, &handle), MKD_OK);
    assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
    assert_true(isfinite(result.score) && result.p_value > 0 && result.p_value <= 1);
    results[i].score = result.score;
    results[i].p_value = result.p_value;
    for (int k = 0; k < PROBE_SIZE; ++k) assert_true(isfinite(result.map.data[k]));
    memcpy(results[i].map, result.map.data, sizeof results[i].map);
    tiny_release(&probes, &image, handle);
  }
  mkd_session_destroy(session);
}

static void assert_scores_equal(const mkd_detector *a, const mkd_detector *b)
{
  static scored left[PROBES], right[PROBES];
  score(a, left);
  score(b, right);
  assert_memory_equal(left, right, sizeof left);
}

/* ---- Same bytes ------------------------------------------------------------------------------ */

static void saved_models_score_the_same(void **state)
{
  (void)state;
  static const char *const variants[] = {"localize=discrepancy", "localize=gradient",
                                         "localize=smoothgrad", "localize=gbp"};
  for (size_t i = 0; i < sizeof variants / sizeof *variants; ++i) {
    job j = job_of(IMAGES, 7000);
    add_set(&j, variants[i]);
    add_set(&j, "smoothgrad_samples=2");
    if (i % 2) add_set(&j, "score=total");
    if (i % 2) add_set(&j, "normalise_targets=false");
    j.images.width = 50; /* the input is made from other sizes */
    mkd_detector *detector = train(&j), *loaded;
    mk_bytes first = bytes_of(detector);
    if (mkd_detector_load(&loaded, model_path, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_scores_equal(detector, loaded);
    mk_bytes second = bytes_of(loaded);
    assert_true(same(first, second));
    mk_free(first.data);
    mk_free(second.data);
    mkd_detector_destroy(detector);
    mkd_detector_destroy(loaded);
  }
}

static void same_seed_gives_same_bytes(void **state)
{
  (void)state;
  mk_bytes models[4];
  for (int i = 0; i < 4; ++i) {
    job j = job_of(IMAGES, 7000);
    add_set(&j, "copies=2");
    j.options.threads = i < 3 ? i + 1 : 1;
    j.options.seed = i < 3 ? 5 : 6;
    models[i] = train_to_bytes(&j);
  }
  assert_true(same(models[0], models[1]));
  assert_true(same(models[0], models[2]));
  assert_false(same(models[0], models[3]));
  for (int i = 0; i < 4; ++i) mk_free(models[i].data);
}

static void cache_on_disk_gives_same_bytes(void **state)
{
  (void)state;
  static const char *const types[] = {"target_type=fp32", "target_type=fp16"};
  for (int i = 0; i < 2; ++i) {
    job j = job_of(IMAGES, 7000);
    add_set(&j, types[i]);
    mk_bytes memory = train_to_bytes(&j);
    j.options.cache_memory = 0;
    mk_bytes disk = train_to_bytes(&j);
    assert_true(same(memory, disk));
    mk_free(memory.data);
    mk_free(disk.data);
  }
}

/* ---- Interruption ---------------------------------------------------------------------------- */

static void resumed_trainings_give_same_bytes(void **state)
{
  (void)state;
  job j = job_of(IMAGES, 7000);
  mk_bytes whole = train_to_bytes(&j);
  int calls = j.calls, resumed = 0;
  assert_true(calls >= 12 + 4); /* 4 epochs of 3 steps, and something of the other stages */
  j.options.checkpoint = checkpoint_path;
  for (int stop = 1; stop <= calls; ++stop) {
    unlink(checkpoint_path);
    j.options.resume = false;
    j.stop_at = stop;
    assert_refused(&j, MKD_CANCELLED, "stopped on request");
    assert_int_equal(j.calls, stop);
    bool saved = access(checkpoint_path, F_OK) == 0;
    assert_int_equal(saved, j.last.stage == MKD_STAGE_DISTILL);
    uint64_t step = saved ? j.last.done : 0;
    j.options.resume = true;
    j.stop_at = 0;
    mk_bytes parts = train_to_bytes(&j);
    if (!same(whole, parts)) fail_msg("stopped at call %d", stop);
    mk_free(parts.data);
    if (saved) {
      char text[64];
      snprintf(text, sizeof text, "resumed at step %d of 12", (int)step);
      if (!strstr(j.first_log, text)) fail_msg("'%s' lacks '%s'", j.first_log, text);
      ++resumed;
    }
  }
  assert_int_equal(resumed, 12);

  /* Interrupted after every second step. */
  unlink(checkpoint_path);
  for (int i = 1; i <= 6; ++i) {
    j.stop_at_step = 2 * (uint64_t)i;
    assert_refused(&j, MKD_CANCELLED, "stopped");
    assert_int_equal(j.last.stage, MKD_STAGE_DISTILL);
    assert_int_equal(j.last.done, 2 * i);
  }
  j.stop_at_step = 0;
  mk_bytes parts = train_to_bytes(&j);
  assert_true(same(whole, parts));
  mk_free(parts.data);
  mk_free(whole.data);
  unlink(checkpoint_path);
}

/* Leaves a checkpoint of a training that was stopped. */
static void leave_checkpoint(job *j)
{
  unlink(checkpoint_path);
  j->options.checkpoint = checkpoint_path;
  j->options.resume = false;
  j->stop_at_step = 5;
  assert_refused(j, MKD_CANCELLED, "stopped");
  assert_int_equal(j->last.stage, MKD_STAGE_DISTILL);
  j->stop_at_step = 0;
  j->options.resume = true;
}

static void checkpoints_of_other_trainings_are_refused(void **state)
{
  (void)state;
  job first = job_of(IMAGES, 7000);
  leave_checkpoint(&first);
  for (int i = 0; i < 5; ++i) {
    job other = job_of(i == 3 ? IMAGES - 1 : IMAGES, i == 2 ? 7001 : 7000);
    other.options.checkpoint = checkpoint_path;
    other.options.resume = true;
    if (i == 0) other.options.seed = 1;
    if (i == 1) add_set(&other, "learning_rate=0.011");
    if (i == 4) add_set(&other, "input_width=32");
    assert_refused(&other, MKD_ERROR_FILE, "belongs to a training with other images, recipe");
    assert_non_null(strstr(mkd_last_error(), checkpoint_path));
  }
  /* What does not change the result is free. */
  first.options.threads = 2;
  first.options.cache_memory = 0;
  first.options.false_alarm = 0.3;
  mkd_detector_destroy(train(&first));
  unlink(checkpoint_path);
}

static void damaged_checkpoints_are_refused(void **state)
{
  (void)state;
  static char gone[] = "gone", garbage[] = "garbage";
  job j = job_of(IMAGES, 7000);
  leave_checkpoint(&j);
  mk_bytes bytes;
  assert_int_equal(mk_file_read(&bytes, checkpoint_path, 1 << 24), MKD_OK);
  for (size_t size = 0; size < bytes.size; size += 1 + size / 8) {
    assert_int_equal(mkd_file_save(checkpoint_path, bytes.data, size), MKD_OK);
    assert_refused(&j, MKD_ERROR_FILE, checkpoint_path);
  }
  mk_tensors tensors = {0};
  assert_int_equal(mk_safetensors_parse(&tensors, bytes.data, bytes.size, "checkpoint"), MKD_OK);
  for (size_t i = 0; i < tensors.metadata_count; ++i) {
    for (int garbled = 0; garbled < 2; ++garbled) {
      char *key = tensors.metadata[i].key, *value = tensors.metadata[i].value;
      if (garbled)
        tensors.metadata[i].value = garbage;
      else
        tensors.metadata[i].key = gone;
      assert_int_equal(mk_safetensors_write(&tensors, checkpoint_path), MKD_OK);
      tensors.metadata[i].key = key;
      tensors.metadata[i].value = value;
      assert_refused(&j, MKD_ERROR_FILE, checkpoint_path);
    }
  }
  for (size_t i = 0; i < tensors.count; ++i) {
    mk_tensor *tensor = &tensors.tensors[i];
    char *name = tensor->name;
    tensor->name = gone;
    assert_int_equal(mk_safetensors_write(&tensors, checkpoint_path), MKD_OK);
    tensor->name = name;
    assert_refused(&j, MKD_ERROR_FILE, tensor->name);
    float kept = tensor->data[0];
    tensor->data[0] = NAN;
    assert_int_equal(mk_safetensors_write(&tensors, checkpoint_path), MKD_OK);
    tensor->data[0] = kept;
    assert_refused(&j, MKD_ERROR_FILE, tensor->name);
  }
  mk_tensors_free(&tensors);
  mk_free(bytes.data);
  unlink(checkpoint_path);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static void few_images_work_down_to_two(void **state)
{
  (void)state;
  for (size_t count = 0; count < 5; ++count) {
    job j = job_of(count, 7000);
    if (count == 0) assert_refused(&j, MKD_ERROR_DATA, "no image");
    if (count == 1) assert_refused(&j, MKD_ERROR_DATA, "needs at least 2 normal images");
    if (count < 2) continue;
    static scored results[PROBES];
    mkd_detector *detector = train(&j);
    mkd_threshold threshold;
    score(detector, results);
    assert_int_equal(mkd_detector_threshold(detector, 0.01, &threshold), MKD_OK);
    assert_int_equal(threshold.held_out, count < 4 ? 1 : 2);
    assert_true(threshold.extrapolated && isfinite(threshold.score) && isfinite(threshold.map));
    mkd_detector_destroy(detector);
  }
}

static void images_without_contrast_work(void **state)
{
  (void)state;
  static scored results[PROBES];
  for (int grey = 0; grey < 256; grey += 51) {
    job j = job_of(6, 7000);
    j.images.constant = grey;
    add_set(&j, "contrast_below=128");
    add_set(&j, "copies=1");
    mkd_detector *detector = train(&j), *loaded;
    score(detector, results);
    mk_bytes bytes = bytes_of(detector);
    mk_free(bytes.data);
    if (mkd_detector_load(&loaded, model_path, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_scores_equal(detector, loaded);
    mkd_detector_destroy(detector);
    mkd_detector_destroy(loaded);
  }
}

static void errors_of_the_source_come_through(void **state)
{
  (void)state;
  for (size_t failing = 0; failing < IMAGES; ++failing) {
    job j = job_of(IMAGES, 7000);
    j.images.failing = failing;
    j.options.threads = 1 + (int)failing % 3;
    assert_refused(&j, MKD_ERROR_STORAGE, "the camera is asleep");
  }
}

/* ---- Wrong options --------------------------------------------------------------------------- */

static void wrong_options_are_refused_before_images_are_read(void **state)
{
  (void)state;
  static const struct {
    const char *set, *text;
  } wrong[] = {
      {"batch=0", "--set: batch = '0' cannot be"},
      {"bach=3", "no key 'bach'"},
      {"critical_points=p1,p3", "the expert tiny has no output 'p3' to be a critical point"},
      {"critical_points=", "critical_points is empty"},
      {"cloner=conv 3x3/2 8; point p1", "critical point 'p2' has no 'point p2'"},
      {"cloner=conv 3x3 8; point p1; conv 3x3 12; point p2",
       "at input 24x16, critical point p1 has 24x16 positions, the expert 12x8"},
      {"cloner=pool 9x9; pool 9x9; conv 1x1 8; point p1", "too small for the network"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    job j = job_of(IMAGES, 7000);
    add_set(&j, wrong[i].set);
    if (i == 6) add_set(&j, "critical_points=p1");
    assert_refused(&j, MKD_ERROR_ARGUMENT, wrong[i].text);
    assert_int_equal(j.images.got, 0);
  }
  job j = job_of(IMAGES, 7000);
  j.options.recipe = "papers";
  assert_refused(&j, MKD_ERROR_ARGUMENT, "'papers' is not known");
  j = job_of(IMAGES, 7000);
  j.options.size = 8;
  assert_refused(&j, MKD_ERROR_ARGUMENT, "mkd_train_options_default()");
  static const double rates[] = {0, 1, -1, 2, NAN};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i) {
    j = job_of(IMAGES, 7000);
    j.options.false_alarm = rates[i];
    assert_refused(&j, MKD_ERROR_ARGUMENT, "is not between 0 and 1");
  }
  j = job_of(IMAGES, 7000);
  j.options.threads = -1;
  assert_refused(&j, MKD_ERROR_ARGUMENT, "threads: -1");
  mkd_expert *expert = tiny_expert();
  mkd_detector *detector;
  assert_error(mkd_train(&detector, expert, tiny_source(&j.images), NULL), MKD_ERROR_ARGUMENT,
               "has no output 'block10'");
  mkd_expert_destroy(expert);
}

static void divergence_is_told(void **state)
{
  (void)state;
  char plan[1024] = "cloner=conv 3x3/2 64; ";
  for (int i = 0; i < 40; ++i) strcat(plan, "conv 1x1 64; ");
  strcat(plan, "conv 1x1 expert; point p1");
  job j = job_of(IMAGES, 7000);
  add_set(&j, plan);
  add_set(&j, "critical_points=p1");
  add_set(&j, "learning_rate=1");
  add_set(&j, "schedule=constant");
  assert_refused(&j, MKD_ERROR_DATA, "training diverged at step ");
  assert_non_null(strstr(mkd_last_error(), "try a learning_rate below 1"));
}

/* ---- Calibration ----------------------------------------------------------------------------- */

static bool on_calibrate(void *context, const mkd_progress *progress)
{
  int *left = context;
  assert_int_equal(progress->stage, MKD_STAGE_CALIBRATE);
  return --*left != 0;
}

static void calibration_changes_nothing_else(void **state)
{
  (void)state;
  job j = job_of(IMAGES, 7000);
  mkd_detector *detector = train(&j), *calibrated;
  tiny_images normal = tiny_images_of(30, 8000);
  normal.width = 60;
  mkd_calibrate_options options = mkd_calibrate_options_default();
  options.false_alarm = 0.1;
  mk_bytes before = bytes_of(detector);
  assert_int_equal(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
                   MKD_OK);
  assert_int_equal(normal.out, 0);
  mk_bytes after = bytes_of(calibrated), still = bytes_of(detector);
  assert_true(same(before, still));
  mk_tensors old = {0}, new = {0};
  assert_int_equal(mk_safetensors_parse(&old, before.data, before.size, "old"), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&new, after.data, after.size, "new"), MKD_OK);
  assert_int_equal(old.count, new.count);
  for (size_t i = 0; i < old.count; ++i) {
    assert_string_equal(old.tensors[i].name, new.tensors[i].name);
    assert_memory_equal(old.tensors[i].data, new.tensors[i].data,
                        old.tensors[i].count * sizeof(float));
  }
  assert_int_equal(old.metadata_count, new.metadata_count);
  for (size_t i = 0; i < old.metadata_count; ++i) {
    const char *key = old.metadata[i].key, *value = mk_tensors_metadata(&new, key);
    assert_non_null(value);
    assert_int_equal(strcmp(old.metadata[i].value, value) != 0, strcmp(key, "calibration") == 0);
  }
  mk_tensors_free(&old);
  mk_tensors_free(&new);

  mkd_threshold threshold;
  assert_int_equal(mkd_detector_threshold(calibrated, 0.1, &threshold), MKD_OK);
  assert_int_equal(threshold.held_out, 30);
  assert_false(threshold.extrapolated);
  mkd_detector_destroy(calibrated);

  /* Other methods of localization, any number of threads. */
  mk_bytes models[2];
  for (int threads = 1; threads <= 2; ++threads) {
    options.threads = threads;
    options.localize = MKD_LOCALIZE_GRADIENT;
    assert_int_equal(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
                     MKD_OK);
    models[threads - 1] = bytes_of(calibrated);
    mkd_detector_destroy(calibrated);
  }
  assert_true(same(models[0], models[1]));
  assert_false(same(models[0], after));

  /* Errors leave nothing behind. */
  options.localize = (mkd_localize)17;
  assert_error(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
               MKD_ERROR_ARGUMENT, "localize: 17 is no method");
  options.localize = MKD_LOCALIZE_RECIPE;
  normal.failing = 20;
  assert_error(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
               MKD_ERROR_STORAGE, "the camera is asleep");
  normal.failing = SIZE_MAX;
  options.progress = on_calibrate;
  for (int stop = 1; stop <= 30; stop += 7) {
    int left = stop;
    options.context = &left;
    assert_error(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
                 MKD_CANCELLED, "stopped on request");
  }
  normal.count = 0;
  assert_error(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), NULL),
               MKD_ERROR_DATA, "no image");
  assert_int_equal(normal.out, 0);
  options.size = 0;
  assert_error(mkd_detector_calibrate(&calibrated, detector, tiny_source(&normal), &options),
               MKD_ERROR_ARGUMENT, "mkd_calibrate_options_default()");
  mk_free(before.data);
  mk_free(after.data);
  mk_free(still.data);
  for (int i = 0; i < 2; ++i) mk_free(models[i].data);
  mkd_detector_destroy(detector);
}

static void thresholds_follow_the_false_alarm_rate(void **state)
{
  (void)state;
  job j = job_of(100, 7000);
  add_set(&j, "epochs=1");
  j.options.false_alarm = 0.2;
  mkd_detector *detector = train(&j);
  static const double rates[] = {0.5, 0.2, 0.1, 0.05, 0.04, 0.01, 0.001};
  double last = -INFINITY, last_map = -INFINITY;
  for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i) {
    mkd_threshold t;
    assert_int_equal(mkd_detector_threshold(detector, rates[i], &t), MKD_OK);
    assert_int_equal(t.held_out, 20);
    assert_true(t.false_alarm == rates[i]);
    assert_int_equal(t.extrapolated, 21 * rates[i] < 1);
    assert_true(t.score > last && t.map >= last_map);
    last = t.score;
    last_map = t.map;
    mkd_session *session;
    mkd_session_options options = mkd_session_options_default();
    options.false_alarm = rates[i];
    assert_int_equal(mkd_session_create(&session, detector, &options), MKD_OK);
    tiny_images one = tiny_images_of(1, 9000);
    mkd_image image;
    void *handle = NULL;
    mkd_result result;
    assert_int_equal(tiny_get(&one, 0, &image, &handle), MKD_OK);
    assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
    assert_memory_equal(&result.threshold.score, &t.score, sizeof t.score);
    assert_int_equal(result.anomalous, result.score > t.score);
    tiny_release(&one, &image, handle);
    mkd_session_destroy(session);
  }
  mkd_threshold own, asked;
  mkd_session *session;
  mkd_session_options options = mkd_session_options_default();
  assert_int_equal(mkd_detector_threshold(detector, 0, &own), MKD_ERROR_ARGUMENT);
  assert_int_equal(mkd_detector_threshold(detector, 0.2, &asked), MKD_OK);
  options.false_alarm = -1;
  assert_error(mkd_session_create(&session, detector, &options), MKD_ERROR_ARGUMENT,
               "false-alarm rate -1");
  options.false_alarm = 0;
  options.localize = (mkd_localize)6;
  assert_error(mkd_session_create(&session, detector, &options), MKD_ERROR_ARGUMENT, "localize: 6");
  options.size = 1;
  assert_error(mkd_session_create(&session, detector, &options), MKD_ERROR_ARGUMENT,
               "mkd_session_options_default()");
  mkd_detector_destroy(detector);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(saved_models_score_the_same),
      cmocka_unit_test(same_seed_gives_same_bytes),
      cmocka_unit_test(cache_on_disk_gives_same_bytes),
      cmocka_unit_test(resumed_trainings_give_same_bytes),
      cmocka_unit_test(checkpoints_of_other_trainings_are_refused),
      cmocka_unit_test(damaged_checkpoints_are_refused),
      cmocka_unit_test(few_images_work_down_to_two),
      cmocka_unit_test(images_without_contrast_work),
      cmocka_unit_test(errors_of_the_source_come_through),
      cmocka_unit_test(wrong_options_are_refused_before_images_are_read),
      cmocka_unit_test(divergence_is_told),
      cmocka_unit_test(calibration_changes_nothing_else),
      cmocka_unit_test(thresholds_follow_the_false_alarm_rate),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
