/* Model files: whatever is wrong in one is found when it is loaded. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "tiny.h"

static char folder[64], path[96];
static mk_bytes model;     /* the bytes of a good one */
static mk_tensors tensors; /* what is in it */

static int make_model(void **state)
{
  (void)state;
  static const char *const sets[] = {TINY_SET, "epochs=1"};
  strcpy(folder, "/tmp/mkd-model-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/model.mkd", folder);
  mkd_expert *expert = tiny_expert();
  mkd_detector *detector;
  tiny_images images = tiny_images_of(11, 7000);
  mkd_train_options options = mkd_train_options_default();
  options.set = sets;
  options.set_count = sizeof sets / sizeof *sets;
  options.threads = 1;
  options.seed = (uint64_t)INT64_MAX + 1;
  assert_int_equal(mkd_train(&detector, expert, tiny_source(&images), &options),
                   MKD_ERROR_ARGUMENT);
  options.seed = INT64_MAX;
  assert_int_equal(mkd_train(&detector, expert, tiny_source(&images), &options), MKD_OK);
  assert_int_equal(mkd_detector_save(detector, path), MKD_OK);
  assert_int_equal(mk_file_read(&model, path, 1 << 24), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&tensors, model.data, model.size, path), MKD_OK);
  mkd_detector_destroy(detector);
  mkd_expert_destroy(expert);
  return 0;
}

static int remove_model(void **state)
{
  (void)state;
  mk_tensors_free(&tensors);
  mk_free(model.data);
  unlink(path);
  return rmdir(folder);
}

/* The file is refused, and named, and `text` says why. */
static void assert_refused(const char *text)
{
  mkd_detector *detector = NULL;
  char *json = NULL;
  mkd_status status = mkd_detector_load(&detector, path, NULL);
  if (status != MKD_ERROR_FILE) fail_msg("%s: status %d", text, (int)status);
  assert_null(detector);
  if (!strstr(mkd_last_error(), path)) fail_msg("'%s' lacks the path", mkd_last_error());
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
  assert_int_equal(mkd_describe(&json, path, NULL), MKD_ERROR_FILE);
  assert_null(json);
}

static void assert_loads(void)
{
  mkd_detector *detector;
  if (mkd_detector_load(&detector, path, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
  mkd_detector_destroy(detector);
}

static void write_tensors(void)
{
  assert_int_equal(mk_safetensors_write(&tensors, path), MKD_OK);
}

static mk_metadata *find_metadata(const char *key)
{
  for (size_t i = 0; i < tensors.metadata_count; ++i)
    if (strcmp(tensors.metadata[i].key, key) == 0) return &tensors.metadata[i];
  fail_msg("no metadata %s", key);
  return NULL;
}

/* Writes the model with another text for `key`, or without it for NULL. */
static void write_with(const char *key, const char *value)
{
  static char gone[] = "gone";
  mk_metadata *m = find_metadata(key), kept = *m;
  if (value)
    m->value = (char *)(uintptr_t)value;
  else
    m->key = gone;
  write_tensors();
  *m = kept;
}

/* ---- The file -------------------------------------------------------------------------------- */

static void good_models_load(void **state)
{
  (void)state;
  write_tensors();
  mk_bytes again;
  assert_int_equal(mk_file_read(&again, path, 1 << 24), MKD_OK);
  assert_int_equal(again.size, model.size);
  assert_memory_equal(again.data, model.data, model.size);
  mk_free(again.data);
  assert_loads();
  char *json;
  assert_int_equal(mkd_describe(&json, path, NULL), MKD_OK);
  json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
  assert_string_equal(json_string_value(json_object_get(object, "kind")), "model");
  assert_string_equal(json_string_value(json_object_get(object, "expert")), "tiny");
  assert_int_equal(json_integer_value(json_object_get(object, "trained_images")), 9);
  json_decref(object);
  mkd_text_free(json);
}

static void truncated_models_are_refused(void **state)
{
  (void)state;
  for (size_t size = 0; size < model.size; size += size < 32 ? 1 : 199) {
    assert_int_equal(mkd_file_save(path, model.data, size), MKD_OK);
    assert_refused("");
  }
  assert_int_equal(mkd_file_save(path, model.data, model.size - 1), MKD_OK);
  assert_refused("");
  unlink(path);
  assert_refused("No such file");
}

/* Bytes of the header, changed one by one: refused or loaded, never worse. */
static void changed_bytes_do_no_harm(void **state)
{
  (void)state;
  uint64_t header;
  memcpy(&header, model.data, sizeof header);
  size_t end = 8 + (size_t)header;
  for (size_t i = 0; i < end; i += 19) {
    uint8_t kept = model.data[i];
    model.data[i] ^= (uint8_t)(1 << i % 7);
    assert_int_equal(mkd_file_save(path, model.data, model.size), MKD_OK);
    model.data[i] = kept;
    mkd_detector *detector = NULL;
    mkd_status status = mkd_detector_load(&detector, path, NULL);
    if (status != MKD_OK && status != MKD_ERROR_FILE)
      fail_msg("byte %zu: status %d: %s", i, (int)status, mkd_last_error());
    if (status == MKD_OK) {
      /* What loads can be scored with. */
      static uint8_t pixels[40 * 30];
      mkd_image image = {pixels, 40, 30, 40, MKD_GREY8};
      mkd_session *session;
      mkd_result result;
      if (mkd_session_create(&session, detector, NULL) != MKD_OK ||
          mkd_session_score(session, &image, &result) != MKD_OK)
        fail_msg("byte %zu: %s", i, mkd_last_error());
      mkd_session_destroy(session);
    }
    mkd_detector_destroy(detector);
  }
}

static void other_files_are_refused(void **state)
{
  (void)state;
  assert_int_equal(mkd_file_save(path, "some text", 9), MKD_OK);
  assert_refused("");
  mkd_detector *detector;
  assert_int_equal(mkd_detector_load(&detector, path, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "is not a model of mkd; 'mkd train' makes one"));
  mkd_expert *expert = tiny_expert();
  assert_int_equal(mkd_expert_save(expert, path), MKD_OK);
  mkd_expert_destroy(expert);
  assert_int_equal(mkd_detector_load(&detector, path, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "is not a model of mkd"));
  assert_int_equal(mkd_detector_load(&detector, folder, NULL), MKD_ERROR_FILE);
}

/* ---- Metadata -------------------------------------------------------------------------------- */

static void versions_to_come_are_refused(void **state)
{
  (void)state;
  write_with("mkd_model", "1");
  assert_refused("is a model of format version 1; this mkd reads version 2");
  write_with("mkd_model", "2.0");
  assert_refused("format version 2.0");
  write_with("mkd_model", "");
  assert_refused("format version ");
}

static void metadata_cannot_be_missing_or_garbled(void **state)
{
  (void)state;
  static const char *const garbage[] = {"", "garbage", "{", "[]", "{}", "null", "3", "{\"a\":1}"};
  for (size_t i = 0; i < tensors.metadata_count; ++i) {
    const char *key = tensors.metadata[i].key;
    if (strcmp(key, "mkd_model") != 0) {
      write_with(key, NULL);
      assert_refused(key);
    }
    for (size_t g = 0; g < sizeof garbage / sizeof *garbage; ++g) {
      write_with(key, garbage[g]);
      assert_refused("");
    }
  }
}

/* Writes the model with a member of a JSON metadata replaced; NULL removes it. */
static void write_member(const char *key, const char *member, const char *value)
{
  json_t *object = json_loads(find_metadata(key)->value, 0, NULL);
  assert_non_null(json_object_get(object, member));
  if (value)
    json_object_set_new(object, member, json_loads(value, JSON_DECODE_ANY, NULL));
  else
    json_object_del(object, member);
  char *text = json_dumps(object, JSON_REAL_PRECISION(17));
  write_with(key, text);
  free(text);
  json_decref(object);
}

static void members_cannot_be_missing_or_of_another_type(void **state)
{
  (void)state;
  static const char *const keys[] = {"recipe", "input", "calibration", "provenance"};
  static const char *const wrong[] = {"{}", "[{}]"};
  for (size_t k = 0; k < sizeof keys / sizeof *keys; ++k) {
    json_t *object = json_loads(find_metadata(keys[k])->value, 0, NULL), *value;
    const char *member;
    json_object_foreach(object, member, value)
    {
      write_member(keys[k], member, NULL);
      assert_refused(member);
      for (int w = 0; w < 2; ++w) {
        write_member(keys[k], member, wrong[w]);
        assert_refused("");
      }
    }
    json_decref(object);
  }
}

static void members_have_ranges(void **state)
{
  (void)state;
  static const char *const wrong[][3] = {
      {"recipe", "critical_points", "[\"p1\"]"},
      {"recipe", "critical_points", "[\"p1\",\"p3\"]"},
      {"recipe", "critical_points", "[]"},
      {"recipe", "score_points", "[\"p3\"]"},
      {"recipe", "batch", "0"},
      {"input", "width", "0"},
      {"input", "width", "25"}, /* above resize_width */
      {"input", "width", "8193"},
      {"input", "width", "1.5"},
      {"input", "height", "-1"},
      {"input", "resize_width", "23"},
      {"input", "resize_height", "100000"},
      {"input", "tile_width", "-1"},
      {"input", "tile_height", "1000001"},
      {"input", "tile_height", "8.5"},
      {"input", "tile_overlap", "1"},
      {"input", "tile_overlap", "-0.1"},
      {"input", "resample", "\"nearest\""},
      {"input", "mean", "[1,2]"},
      {"input", "mean", "[1,2,3,4]"},
      {"input", "mean", "[1,2,1e300]"},
      {"input", "mean", "[1,2,\"a\"]"},
      {"input", "std", "[1,2,0]"},
      {"input", "std", "[1,-2,3]"},
      {"input", "low", "-1"},
      {"input", "low", "255"},
      {"input", "high", "256"},
      {"input", "high", "0"},
      {"input", "high", "1e-30"},
      {"calibration", "false_alarm", "0"},
      {"calibration", "false_alarm", "1"},
      {"calibration", "localize", "\"\""},
      {"calibration", "localize", "\"other\""},
      {"calibration", "scores", "[]"},
      {"calibration", "scores", "[1]"},
      {"calibration", "scores", "[2,1]"},
      {"calibration", "scores", "[1,null]"},
      {"calibration", "map_maxima", "[]"},
      {"calibration", "map_maxima", "[1]"},
      {"calibration", "map_maxima", "[2,1]"},
      {"calibration", "square_mean", "[1]"},
      {"calibration", "square_mean", "[1,-1]"},
      {"calibration", "square_mean", "[1,1e40]"},
      {"calibration", "square_deviation", "[1,0]"},
      {"calibration", "square_deviation", "[1,1e-40]"},
      {"calibration", "square_deviation", "[1,1,1]"},
      {"calibration", "cosine_deviation", "0"},
      {"calibration", "cosine_mean", "1e40"},
      {"calibration", "largest_square_deviation", "0"},
      {"calibration", "largest_cosine_deviation", "-1"},
      {"provenance", "seed", "1.5"},
      {"provenance", "seed", "-1"},
      {"provenance", "seed", "\"1\""},
      {"provenance", "trained_images", "0"},
      {"provenance", "epochs", "0"},
      {"provenance", "epochs", "1e12"},
      {"provenance", "loss", "\"low\""},
      {"provenance", "converged", "1"},
      {"provenance", "weight_val", "-1"},
      {"provenance", "weight_dir", "null"},
      {"provenance", "kernels", "null"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    write_member(wrong[i][0], wrong[i][1], wrong[i][2]);
    mkd_detector *detector;
    if (strcmp(wrong[i][1], "critical_points") == 0 && i == 0) {
      /* Fewer points than the networks have are not wrong by themselves: the calibration is. */
      assert_int_equal(mkd_detector_load(&detector, path, NULL), MKD_ERROR_FILE);
      assert_refused("square_mean");
      continue;
    }
    if (mkd_detector_load(&detector, path, NULL) == MKD_OK)
      fail_msg("%s = %s is accepted", wrong[i][1], wrong[i][2]);
    assert_refused("");
  }
  write_member("provenance", "loss", "null");
  assert_loads();
  write_member("provenance", "held_out_loss", "null");
  assert_loads();
}

/* ---- Tensors --------------------------------------------------------------------------------- */

static void tensors_cannot_be_missing_misshapen_or_not_finite(void **state)
{
  (void)state;
  static char gone[] = "gone";
  for (size_t i = 0; i < tensors.count; ++i) {
    mk_tensor *tensor = &tensors.tensors[i], kept = *tensor;
    tensor->name = gone;
    write_tensors();
    tensor->name = kept.name;
    assert_refused(kept.name);

    /* One number less. */
    tensor->rank = 1;
    tensor->shape[0] = tensor->count = kept.count - 1;
    write_tensors();
    *tensor = kept;
    assert_refused(kept.name);

    for (int bad = 0; bad < 2; ++bad) {
      float number = tensor->data[kept.count - 1];
      tensor->data[kept.count - 1] = bad ? INFINITY : NAN;
      write_tensors();
      tensor->data[kept.count - 1] = number;
      assert_refused(kept.name);
    }
    if (strncmp(kept.name, "target_deviation", 16) != 0) continue;
    float number = tensor->data[0];
    tensor->data[0] = 0;
    write_tensors();
    tensor->data[0] = number;
    assert_refused("is not positive");
  }
}

static void networks_have_to_fit_together(void **state)
{
  (void)state;
  /* The cloner in the place of the expert, which has other sizes. */
  mk_metadata *expert = find_metadata("expert.graph"), *cloner = find_metadata("cloner.graph");
  char *kept = expert->value;
  expert->value = cloner->value;
  write_tensors();
  expert->value = kept;
  assert_refused("");
  /* An input that the networks cannot take. */
  write_member("input", "width", "1");
  assert_loads();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_models_load),
      cmocka_unit_test(truncated_models_are_refused),
      cmocka_unit_test(changed_bytes_do_no_harm),
      cmocka_unit_test(other_files_are_refused),
      cmocka_unit_test(versions_to_come_are_refused),
      cmocka_unit_test(metadata_cannot_be_missing_or_garbled),
      cmocka_unit_test(members_cannot_be_missing_or_of_another_type),
      cmocka_unit_test(members_have_ranges),
      cmocka_unit_test(tensors_cannot_be_missing_misshapen_or_not_finite),
      cmocka_unit_test(networks_have_to_fit_together),
  };
  return cmocka_run_group_tests(tests, make_model, remove_model);
}
