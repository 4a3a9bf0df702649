#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/utf8.h"

/* What jansson's reader takes is read to the same. */
static void texts_are_read_as_by_jansson(void **state)
{
  (void)state;
  static const char *const texts[] = {
      "{}",
      " [ ] \n",
      "{\"a\":[1,-2,3.5,-0.0,1e3,2E-2,1.25e+2,0,-0,9223372036854775807,-9223372036854775808]}",
      "{\"\": null, \"b\": true, \"c\": false, \"d\": {\"e\": {}}}",
      "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\uFFFF\"]",
      "[\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\", \"\x7f\"]",
      "[1e-400, 1.7976931348623157e308]",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    json_t *read, *expected = json_loads(texts[i], JSON_REJECT_DUPLICATES, NULL);
    if (mk_json_parse(&read, texts[i], strlen(texts[i])) != MKD_OK)
      fail_msg("%s: %s", texts[i], mkd_last_error());
    assert_non_null(expected);
    assert_true(json_equal(read, expected));
    json_decref(read);
    json_decref(expected);
  }
}

static void wrong_texts_are_refused(void **state)
{
  (void)state;
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"", "line 1: '{' or '[' expected (the text ends there)"},
      {"1", "'{' or '[' expected"},
      {"\n\n[1,\n}", "line 4: a value expected"},
      {"[1", "',' or ']' expected (the text ends there)"},
      {"[1,]", "a value expected"},
      {"[1] 2", "something follows"},
      {"[tru]", "a value expected"},
      {"[nul", "a value expected"},
      {"{1:2}", "'\"' expected"},
      {"{\"a\" 1}", "':' expected"},
      {"{\"a\":1,}", "'\"' expected"},
      {"{\"a\":1 \"b\":2}", "',' or '}' expected"},
      {"{\"a\":1,\"a\":1}", "duplicate key"},
      {"[\"a", "'\"' expected (the text ends there)"},
      {"[\"a\\", "invalid escape"},
      {"[\"\\x\"]", "invalid escape"},
      {"[\"\\u12g4\"]", "invalid escape"},
      {"[\"\\u0000\"]", "invalid escape"},
      {"[\"\\ud83d\"]", "invalid escape"},
      {"[\"\\ud83d\\u0041\"]", "invalid escape"},
      {"[\"\\ude00\"]", "invalid escape"},
      {"[\"a\nb\"]", "control character"},
      {"[\"\xff\"]", "not UTF-8"},
      {"[\"\xc0\xaf\"]", "not UTF-8"},
      {"[\"\xed\xa0\x80\"]", "not UTF-8"},
      {"[01]", "invalid number"},
      {"[-]", "invalid number"},
      {"[1.]", "invalid number"},
      {"[.5]", "a value expected"},
      {"[1e]", "invalid number"},
      {"[+1]", "a value expected"},
      {"[NaN]", "a value expected"},
      {"[9223372036854775808]", "63 bits"},
      {"[1e999]", "out of range"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    json_t *root;
    assert_int_equal(mk_json_parse(&root, cases[i].text, strlen(cases[i].text)), MKD_ERROR_FILE);
    if (!strstr(mkd_last_error(), cases[i].words))
      fail_msg("'%s' lacks '%s'", mkd_last_error(), cases[i].words);
    assert_null(json_loads(cases[i].text, JSON_REJECT_DUPLICATES, NULL));
  }
}

static void a_zero_byte_ends_nothing(void **state)
{
  (void)state;
  json_t *root;
  assert_int_equal(mk_json_parse(&root, "[1]\0", 4), MKD_ERROR_FILE);
  assert_int_equal(mk_json_parse(&root, "[1\0]", 4), MKD_ERROR_FILE);
  assert_int_equal(mk_json_parse(&root, "[\"\0\"]", 5), MKD_ERROR_FILE);
}

static void nesting_has_a_limit(void **state)
{
  (void)state;
  char text[2 * MK_JSON_DEPTH + 3] = "";
  json_t *root;
  memset(text, '[', MK_JSON_DEPTH);
  memset(text + MK_JSON_DEPTH, ']', MK_JSON_DEPTH);
  assert_int_equal(mk_json_parse(&root, text, strlen(text)), MKD_OK);
  json_decref(root);
  memset(text, '[', MK_JSON_DEPTH + 1);
  memset(text + MK_JSON_DEPTH + 1, ']', MK_JSON_DEPTH + 1);
  assert_int_equal(mk_json_parse(&root, text, strlen(text)), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "too deep"));
}

static void what_is_written_is_read_back(void **state)
{
  (void)state;
  json_t *value = json_pack("{s:[f,i,b,n], s:s}", "list", 0.1, -7, 1, "text", "a\"\n\xc3\xa9");
  json_t *copy = json_deep_copy(value), *read;
  char *text;
  assert_int_equal(mk_json_format(&text, value, JSON_COMPACT | JSON_REAL_PRECISION(17)), MKD_OK);
  assert_int_equal(mk_json_parse(&read, text, strlen(text)), MKD_OK);
  assert_true(json_equal(read, copy));
  json_decref(read);
  json_decref(copy);
  mk_free(text);
  assert_int_equal(mk_json_format(&text, NULL, 0), MKD_ERROR_MEMORY);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_are_read_as_by_jansson), cmocka_unit_test(wrong_texts_are_refused),
      cmocka_unit_test(a_zero_byte_ends_nothing),     cmocka_unit_test(nesting_has_a_limit),
      cmocka_unit_test(what_is_written_is_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
