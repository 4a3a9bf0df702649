/* mkd info: what a file is, as JSON or as an indented list. */
#include "cli.h"
#include "json.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <string.h>

enum { MAX_DEPTH = 16, MAX_ITEMS = 8 }; /* of the list: it is for reading; JSON has all */

static const char *parse_format(void *value, const char *text)
{
  bool json = strcmp(text, "json") == 0;
  if (!json && strcmp(text, "text") != 0) return "text or json";
  *(bool *)value = json;
  return NULL;
}

static void print_scalar(const json_t *value)
{
  switch (json_typeof(value)) {
  case JSON_STRING:
    plain_text(stdout, json_string_value(value));
    break;
  case JSON_INTEGER:
    printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    break;
  case JSON_REAL:
    printf("%.6g", json_real_value(value));
    break;
  case JSON_TRUE:
    fputs("yes", stdout);
    break;
  case JSON_FALSE:
    fputs("no", stdout);
    break;
  default:
    fputc('-', stdout);
  }
}

static bool is_compound(const json_t *value)
{
  return json_is_object(value) || json_is_array(value);
}

static bool is_flat_array(const json_t *value)
{
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item)
  {
    if (is_compound(item)) return false;
  }
  return json_is_array(value);
}

static void print_flat_array(const json_t *array)
{
  size_t count = json_array_size(array);
  for (size_t i = 0; i < count && i < MAX_ITEMS; ++i) {
    if (i > 0) fputs(", ", stdout);
    print_scalar(json_array_get(array, i));
  }
  if (count > MAX_ITEMS) printf(", ... (%zu in all)", count);
}

static void print_object(const json_t *object, int depth);

/* NOLINTNEXTLINE(misc-no-recursion): to MAX_DEPTH */
static void print_value(const json_t *value, int depth)
{
  if (!is_compound(value)) {
    print_scalar(value);
    putchar('\n');
  } else if (is_flat_array(value)) {
    print_flat_array(value);
    putchar('\n');
  } else if (depth == MAX_DEPTH) {
    puts("...");
  } else if (json_is_object(value)) {
    putchar('\n');
    print_object(value, depth + 1);
  } else {
    size_t i;
    json_t *item;
    putchar('\n');
    json_array_foreach(value, i, item)
    {
      printf("%*s-%s", 2 * (depth + 1), "", is_compound(item) && !is_flat_array(item) ? "" : " ");
      print_value(item, depth + 1);
    }
  }
}

/* NOLINTNEXTLINE(misc-no-recursion): to MAX_DEPTH */
static void print_object(const json_t *object, int depth)
{
  int width = 0;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value)
  {
    if (!is_compound(value) || is_flat_array(value)) plain_widen(&width, key);
  }
  json_object_foreach((json_t *)object, key, value)
  {
    printf("%*s", 2 * depth, "");
    bool in_line = !is_compound(value) || is_flat_array(value);
    plain_field(stdout, in_line ? width + 2 : 0, key);
    print_value(value, depth);
  }
}

static int print_text(const char *json)
{
  json_t *root = json_from_text(json);
  if (!root) {
    complain("info", "cannot read the description");
    return EXIT_BAD_FILE;
  }
  if (json_is_object(root))
    print_object(root, 0);
  else
    print_value(root, 0);
  json_decref(root);
  return EXIT_DONE;
}

int verb_info(int argc, char **argv)
{
  bool as_json = false;
  mkd_limits limits = mkd_limits_default();
  const option_spec options[] = {
      {"format", 0, "FORMAT", "text (default) or json", parse_format, &as_json},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &limits},
  };
  const command_spec command = {
      .verb = "info",
      .operands = "[options] FILE",
      .purpose = "Tells what a model, expert or recipe file is and holds. FILE may also be one of\n"
                 "the recipes that are built in: default, paper or paper-code.",
      .example = "mkd info parts.mkd",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 1,
      .max_operands = 1,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;
  interrupt_at_once();
  char *json = NULL;
  mkd_status status = mkd_describe(&json, operands[0], &limits);
  if (status != MKD_OK) return fail("info", status);
  int exit = EXIT_DONE;
  if (as_json)
    puts(json);
  else
    exit = print_text(json);
  mkd_text_free(json);
  return exit;
}
