/* Recipes: reading, changing, checking and writing them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "recipe/recipe.h"

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("%s", mkd_last_error());
}

static void assert_error(mkd_status status, mkd_status expected, const char *text)
{
  assert_int_equal(status, expected);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
}

static mk_recipe load(const char *name)
{
  mk_recipe recipe;
  assert_ok(mk_recipe_load(&recipe, name));
  return recipe;
}

static json_t *to_json(const mk_recipe *recipe)
{
  char *text;
  assert_ok(mk_recipe_to_json(&text, recipe));
  json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(object);
  mk_free(text);
  return object;
}

/* ---- Every key ------------------------------------------------------------------------------- */

/* Two values of each key that differ from each other, as `--set` and as JSON. */
static const struct {
  const char *key, *text[2], *json[2];
} values[] = {
    {"name", {"a", "b c"}, {"\"a\"", "\"b c\""}},
    {"input_width", {"8", "8192"}, {"8", "8192"}},
    {"input_height", {"8", "8192"}, {"8", "8192"}},
    {"resize_width", {"0", "8192"}, {"0", "8192"}},
    {"resize_height", {"0", "300"}, {"0", "300"}},
    {"tile_width", {"0", "1000000"}, {"0", "1000000"}},
    {"tile_height", {"0", "512"}, {"0", "512"}},
    {"tile_overlap", {"0", "0.9"}, {"0.0", "0.9"}},
    {"resample", {"bilinear", "lanczos"}, {"\"bilinear\"", "\"lanczos\""}},
    {"values", {"unit", "imagenet"}, {"\"unit\"", "\"imagenet\""}},
    {"contrast_below", {"0", "99.5"}, {"0.0", "99.5"}},
    {"critical_points", {"a", "a, b"}, {"[\"a\"]", "[\"a\",\"b\"]"}},
    {"cloner", {"x", "y"}, {"\"x\"", "\"y\""}},
    {"init", {"xavier", "fan-in"}, {"\"xavier\"", "\"fan-in\""}},
    {"normalise_targets", {"true", "false"}, {"true", "false"}},
    {"weight_val", {"auto", "0.1"}, {"\"auto\"", "0.1"}},
    {"weight_dir", {"auto", "1e9"}, {"\"auto\"", "1e9"}},
    {"batch", {"1", "4096"}, {"1", "4096"}},
    {"epochs", {"7", "200:40,500:60 30"}, {"\"7\"", "\"200:40 500:60 30\""}},
    {"learning_rate", {"1e-9", "1"}, {"1e-9", "1.0"}},
    {"schedule", {"constant", "one-cycle"}, {"\"constant\"", "\"one-cycle\""}},
    {"holdout", {"0.001", ".9"}, {"0.001", "0.9"}},
    {"target_type", {"fp32", "fp16"}, {"\"fp32\"", "\"fp16\""}},
    {"copies", {"0", "1000"}, {"0", "1000"}},
    {"copies_below", {"0", "1000000000"}, {"0", "1000000000"}},
    {"augment", {"cached", "fresh"}, {"\"cached\"", "\"fresh\""}},
    {"warp_rotation", {"0", "180"}, {"0.0", "180.0"}},
    {"warp_shift", {"0", "4096"}, {"0.0", "4096.0"}},
    {"warp_scale_low", {"0.1", "10"}, {"0.1", "10.0"}},
    {"warp_scale_high", {"0.1", "10"}, {"0.1", "10.0"}},
    {"warp_contrast", {"0", "1"}, {"0.0", "1.0"}},
    {"warp_brightness", {"0", "255"}, {"0.0", "255.0"}},
    {"score", {"total", "standardised"}, {"\"total\"", "\"standardised\""}},
    {"score_points", {"", "a,b"}, {"[]", "[\"a\",\"b\"]"}},
    {"localize", {"none", "gbp"}, {"\"none\"", "\"gbp\""}},
    {"gradient_of", {"loss", "excess"}, {"\"loss\"", "\"excess\""}},
    {"guided", {"cloner", "both"}, {"\"cloner\"", "\"both\""}},
    {"smoothgrad_samples", {"1", "10000"}, {"1", "10000"}},
    {"smoothgrad_sigma", {"0", "1"}, {"0.0", "1.0"}},
    {"map_scale", {"raw", "p99"}, {"\"raw\"", "\"p99\""}},
    {"map_sigma", {"0", "256"}, {"0.0", "256.0"}},
    {"map_opening", {"true", "false"}, {"true", "false"}},
};
enum { KEYS = sizeof values / sizeof *values };

static json_t *parse_any(const char *text)
{
  json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
  assert_non_null(value);
  return value;
}

static void assert_value(const mk_recipe *recipe, const char *key, const char *expected)
{
  json_t *object = to_json(recipe), *wanted = parse_any(expected);
  if (!json_equal(json_object_get(object, key), wanted)) fail_msg("%s is not %s", key, expected);
  json_decref(wanted);
  json_decref(object);
}

static void every_key_can_be_set(void **state)
{
  (void)state;
  mk_recipe recipe = load("default");
  json_t *object = to_json(&recipe);
  assert_int_equal(json_object_size(object), KEYS);
  json_decref(object);
  for (int i = 0; i < KEYS; ++i) {
    for (int v = 0; v < 2; ++v) {
      char assignment[128];
      snprintf(assignment, sizeof assignment, "%s=%s", values[i].key, values[i].text[v]);
      assert_ok(mk_recipe_set(&recipe, assignment));
      assert_value(&recipe, values[i].key, values[i].json[v]);
    }
  }
  mk_recipe_free(&recipe);
}

static void every_key_round_trips_as_json(void **state)
{
  (void)state;
  for (int v = 0; v < 2; ++v) {
    json_t *object = json_object();
    for (int i = 0; i < KEYS; ++i)
      json_object_set_new(object, values[i].key, parse_any(values[i].json[v]));
    char *text = json_dumps(object, 0), *first, *second;
    mk_recipe recipe, again;
    assert_ok(mk_recipe_parse(&recipe, text, "test"));
    json_t *back = to_json(&recipe);
    assert_true(json_equal(back, object));
    assert_ok(mk_recipe_copy(&again, &recipe));
    assert_ok(mk_recipe_to_json(&first, &recipe));
    assert_ok(mk_recipe_to_json(&second, &again));
    assert_string_equal(first, second);
    mk_free(first);
    mk_free(second);
    mk_recipe_free(&recipe);
    mk_recipe_free(&again);
    json_decref(back);
    json_decref(object);
    free(text);
  }
}

static void missing_keys_are_named(void **state)
{
  (void)state;
  mk_recipe recipe = load("paper");
  json_t *whole = to_json(&recipe);
  mk_recipe_free(&recipe);
  for (int i = 0; i < KEYS; ++i) {
    json_t *object = json_deep_copy(whole);
    json_object_del(object, values[i].key);
    char *text = json_dumps(object, 0), wanted[64];
    snprintf(wanted, sizeof wanted, "'%s'", values[i].key);
    assert_error(mk_recipe_parse(&recipe, text, "test"), MKD_ERROR_FILE, wanted);
    free(text);
    json_decref(object);
  }
  json_decref(whole);
}

/* ---- Wrong values ---------------------------------------------------------------------------- */

static void wrong_values_are_refused(void **state)
{
  (void)state;
  static const char *const wrong[][2] = {
      {"input_width=7", "a whole number in 8 .. 8192"},
      {"input_width=8193", "a whole number in 8 .. 8192"},
      {"input_width=9.5", "whole number"},
      {"input_width=", "whole number"},
      {"input_width=9x", "whole number"},
      {"input_width= 9", "whole number"},
      {"input_width=0x10", "whole number"},
      {"batch=0", "1 .. 4096"},
      {"batch=-1", "1 .. 4096"},
      {"batch=99999999999999999999", "1 .. 4096"},
      {"holdout=0", "a number in 0.001 .. 0.9"},
      {"holdout=1", "a number in 0.001 .. 0.9"},
      {"holdout=nan", "a number in 0.001 .. 0.9"},
      {"holdout=auto", "a number in 0.001 .. 0.9"},
      {"learning_rate=inf", "a number"},
      {"learning_rate=1e-400", "a number"},
      {"weight_val=-1", "'auto' or a number in 0 .. 1e+09"},
      {"weight_val=Auto", "'auto' or a number"},
      {"weight_dir=nan", "'auto' or a number"},
      {"map_opening=yes", "true or false"},
      {"map_opening=1", "true or false"},
      {"map_opening=", "true or false"},
      {"resample=nearest", "one of bilinear, lanczos"},
      {"values=", "one of expert, unit, imagenet"},
      {"localize=", "one of none, discrepancy, gradient, smoothgrad, gbp"},
      {"localize=recipe", "one of none, discrepancy"},
      {"critical_points=a,b,c,d,e,f,g,h,i", "at most 8 names"},
      {"epochs=0", "a number, or rules"},
      {"epochs=", "a number, or rules"},
      {"epochs=100001", "a number, or rules"},
      {"epochs=200:40", "a number, or rules"},
      {"epochs=500:40 200:60 30", "a number, or rules"},
      {"epochs=200:40 200:60 30", "a number, or rules"},
      {"epochs=30 200:40", "a number, or rules"},
      {"epochs=30 40", "a number, or rules"},
      {"epochs=200: 40", "a number, or rules"},
      {"epochs=0:40 30", "a number, or rules"},
      {"epochs=-1", "a number, or rules"},
      {"epochs=3.5", "a number, or rules"},
      {"epochs=1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9", "a number, or rules"},
      {"epochs=99999999999999999999:40 30", "a number, or rules"},
      {"name=\xff", "a text"},
      {"cloner=conv \xc3", "a text"},
      {"batch", "--set batch: it is key=value"},
      {"", "it is key=value"},
      {"=3", "no key ''"},
      {"Batch=3", "no key 'Batch'; the keys are name, input_width"},
      {"batc=3", "no key 'batc'"},
      {"batch =3", "no key 'batch '"},
  };
  mk_recipe recipe = load("default");
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    json_t *before = to_json(&recipe);
    if (mk_recipe_set(&recipe, wrong[i][0]) != MKD_ERROR_ARGUMENT)
      fail_msg("%s is accepted", wrong[i][0]);
    assert_error(MKD_ERROR_ARGUMENT, MKD_ERROR_ARGUMENT, wrong[i][1]);
    json_t *after = to_json(&recipe);
    if (!json_equal(before, after)) fail_msg("%s leaves a trace", wrong[i][0]);
    json_decref(before);
    json_decref(after);
  }
  mk_recipe_free(&recipe);
}

static void wrong_wholes_are_refused(void **state)
{
  (void)state;
  static const char *const wrong[][3] = {
      {"critical_points=", "", "critical_points is empty"},
      {"critical_points=a,b,a", "", "names 'a' twice"},
      {"score_points=block10,pool2", "", "score_points names 'pool2', which is not"},
      {"cloner=", "", "cloner is empty"},
      {"weight_val=auto", "weight_dir=auto", "cannot both be auto"},
      {"weight_val=0", "weight_dir=0", "both 0"},
      {"weight_val=auto", "weight_dir=0", "auto while the other is 0"},
      {"weight_val=0", "weight_dir=auto", "auto while the other is 0"},
      {"warp_scale_low=1.2", "", "warp_scale_low is above"},
      {"resize_width=255", "", "must not be below"},
      {"resize_height=255", "", "must not be below"},
      {"tile_width=7", "", "must be 0 (no tiles) or at least 8"},
      {"tile_height=1", "tile_width=8", "must be 0 (no tiles) or at least 8"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    mk_recipe recipe = load("default");
    assert_ok(mk_recipe_check(&recipe));
    for (int j = 0; j < 2; ++j)
      if (wrong[i][j][0]) assert_ok(mk_recipe_set(&recipe, wrong[i][j]));
    assert_error(mk_recipe_check(&recipe), MKD_ERROR_ARGUMENT, wrong[i][2]);
    mk_recipe_free(&recipe);
  }
}

/* ---- Text and files -------------------------------------------------------------------------- */

static void wrong_json_is_refused(void **state)
{
  (void)state;
  char deep[5001];
  memset(deep, '[', 5000);
  deep[5000] = 0;
  const struct {
    const char *json;
    mkd_status status;
    const char *text;
  } wrong[] = {
      {"", MKD_ERROR_FILE, "test: not a recipe"},
      {"[]", MKD_ERROR_FILE, "no JSON object"},
      {"3", MKD_ERROR_FILE, "test: not a recipe"},
      {"{", MKD_ERROR_FILE, "test: not a recipe: not valid JSON, line 1"},
      {"{\n\"batch\": 3,\n}", MKD_ERROR_FILE, "line 3"},
      {"{\"base\": \"default\", \"batch\": 3, \"batch\": 4}", MKD_ERROR_FILE, "duplicate"},
      {"{\"base\": \"other\"}", MKD_ERROR_FILE, "base 'other' is not default, paper or"},
      {"{\"base\": \"test.json\"}", MKD_ERROR_FILE, "base 'test.json' is not default"},
      {"{\"base\": 3}", MKD_ERROR_FILE, "base '(not a text)'"},
      {"{\"base\": null}", MKD_ERROR_FILE, "base '(not a text)'"},
      {"{\"batch\": 3}", MKD_ERROR_FILE, "neither a base nor the key 'name'"},
      {"{\"base\": \"paper\", \"bach\": 3}", MKD_ERROR_FILE, "test: a recipe has no key 'bach'"},
      {"{\"base\": \"paper\", \"batch\": 0}", MKD_ERROR_FILE, "test: batch = '0' cannot be"},
      {"{\"base\": \"paper\", \"batch\": null}", MKD_ERROR_FILE, "batch = 'null'"},
      {"{\"base\": \"paper\", \"batch\": [1]}", MKD_ERROR_FILE, "batch = '[1"},
      {"{\"base\": \"paper\", \"batch\": {\"a\": 1}}", MKD_ERROR_FILE, "batch = "},
      {"{\"base\": \"paper\", \"name\": 3}", MKD_ERROR_FILE, "name = '(not a text)'"},
      {"{\"base\": \"paper\", \"cloner\": [\"x\"]}", MKD_ERROR_FILE, "cloner = '(not a text)'"},
      {"{\"base\": \"paper\", \"name\": \"a\\u0000b\"}", MKD_ERROR_FILE, "not a recipe"},
      {"{\"base\": \"paper\", \"critical_points\": [3]}", MKD_ERROR_FILE, "(not a text)"},
      {"{\"base\": \"paper\", \"map_opening\": 1}", MKD_ERROR_FILE, "true or false"},
      {"{\"base\": \"paper\", \"localize\": \"\"}", MKD_ERROR_FILE, "one of none"},
      {deep, MKD_ERROR_FILE, "not a recipe"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    mk_recipe recipe;
    assert_error(mk_recipe_parse(&recipe, wrong[i].json, "test"), wrong[i].status, wrong[i].text);
  }
}

static char path[64];

static void write_file(const char *text)
{
  strcpy(path, "/tmp/mkd-recipe-XXXXXX.json");
  int descriptor = mkstemps(path, 5);
  assert_true(descriptor >= 0);
  close(descriptor);
  assert_ok(mkd_file_save(path, text, strlen(text)));
}

static void files_say_what_differs_from_their_base(void **state)
{
  (void)state;
  mk_recipe recipe;
  write_file("{\"name\": \"mine\", \"batch\": 5, \"epochs\": 12, \"map_sigma\": 2}");
  recipe = load(path);
  assert_string_equal(recipe.name, "mine");
  assert_int_equal(recipe.batch, 5);
  assert_int_equal(mk_recipe_epochs(&recipe, 1), 12);
  assert_true(recipe.map_sigma == 2);
  assert_int_equal(recipe.input_width, 256); /* default's */
  mk_recipe_free(&recipe);
  unlink(path);

  write_file("{\"batch\": 5, \"base\": \"paper-code\"}");
  recipe = load(path);
  assert_int_equal(recipe.batch, 5);
  assert_int_equal(recipe.score_points.count, 3);
  mk_recipe_free(&recipe);
  unlink(path);

  write_file("{\"batch\": 0}");
  assert_error(mk_recipe_load(&recipe, path), MKD_ERROR_FILE, path);
  unlink(path);
  write_file("[1, 2]");
  assert_error(mk_recipe_load(&recipe, path), MKD_ERROR_FILE, path);
  unlink(path);
  write_file("{\"batch\": 5, \"batch\": 5}");
  assert_error(mk_recipe_load(&recipe, path), MKD_ERROR_FILE, "duplicate");
  unlink(path);
  assert_error(mk_recipe_load(&recipe, path), MKD_ERROR_FILE, path);
  assert_error(mk_recipe_load(&recipe, "papers"), MKD_ERROR_ARGUMENT,
               "'papers' is not known; it is default, paper, paper-code");
}

static void numbers_depend_on_no_locale(void **state)
{
  (void)state;
  double number = 7;
  assert_true(mk_parse_number("-1.5e3", &number) && number == -1500);
  number = 7;
  static const char *const wrong[] = {"",    "1,5", "1.5 ", " 1", "0x1p3", "nan",
                                      "inf", "1e",  "e",    ".",  "1.5.2", "1e999"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
    assert_false(mk_parse_number(wrong[i], &number));
  assert_true(number == 7);
  if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) skip();
  mk_recipe recipe = load("default"), copy;
  assert_ok(mk_recipe_set(&recipe, "holdout=0.25"));
  assert_ok(mk_recipe_copy(&copy, &recipe));
  assert_true(copy.holdout == 0.25);
  mk_recipe_free(&recipe);
  mk_recipe_free(&copy);
  setlocale(LC_ALL, "C");
}

/* ---- The recipes that come with the library -------------------------------------------------- */

static void built_in_recipes_are_whole(void **state)
{
  (void)state;
  static const char *const names[] = {"default", "paper", "paper-code"};
  for (int i = 0; i < 3; ++i) {
    mk_recipe recipe = load(names[i]);
    assert_ok(mk_recipe_check(&recipe));
    assert_string_equal(recipe.name, names[i]);
    mk_recipe_free(&recipe);
  }
}

static void epochs_follow_the_rules(void **state)
{
  (void)state;
  mk_recipe recipe = load("default");
  assert_int_equal(mk_recipe_epochs(&recipe, 2), 40);
  assert_int_equal(mk_recipe_epochs(&recipe, 199), 40);
  assert_int_equal(mk_recipe_epochs(&recipe, 200), 60);
  assert_int_equal(mk_recipe_epochs(&recipe, 499), 60);
  assert_int_equal(mk_recipe_epochs(&recipe, 500), 30);
  assert_int_equal(mk_recipe_epochs(&recipe, 1000000), 30);
  mk_recipe_free(&recipe);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_key_can_be_set),
      cmocka_unit_test(every_key_round_trips_as_json),
      cmocka_unit_test(missing_keys_are_named),
      cmocka_unit_test(wrong_values_are_refused),
      cmocka_unit_test(wrong_wholes_are_refused),
      cmocka_unit_test(wrong_json_is_refused),
      cmocka_unit_test(files_say_what_differs_from_their_base),
      cmocka_unit_test(numbers_depend_on_no_locale),
      cmocka_unit_test(built_in_recipes_are_whole),
      cmocka_unit_test(epochs_follow_the_rules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
