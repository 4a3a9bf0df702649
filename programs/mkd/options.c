#include "options.h"

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 31, HELP = 256, LONG_ONLY = 257 }; /* getopt codes beyond any letter */

static int option_heading(char *text, size_t size, const option_spec *option)
{
  char letter[8] = "    ";
  if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
  return snprintf(text, size, "  %s--%s%s%s", letter, option->name, option->argument ? " " : "",
                  option->argument ? option->argument : "");
}

static void print_help(const command_spec *command)
{
  static const option_spec help = {"help", 'h', NULL, "this text", NULL, NULL};
  printf("usage: mkd %s %s\n\n%s\n\n", command->verb, command->operands, command->purpose);
  int width = 0;
  char heading[80];
  for (size_t i = 0; i < command->option_count; ++i) {
    int length = option_heading(heading, sizeof heading, &command->options[i]);
    if (length > width) width = length;
  }
  for (size_t i = 0; i <= command->option_count; ++i) {
    const option_spec *option = i < command->option_count ? &command->options[i] : &help;
    option_heading(heading, sizeof heading, option);
    printf("%-*s  %s\n", width, heading, option->help);
  }
  printf("\nexample: %s\n", command->example);
}

int usage_error(const command_spec *command, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  complain(command->verb, "%s; see mkd %s --help", text, command->verb);
  free(text);
  return EXIT_USAGE;
}

static int parse_one(const command_spec *command, const option_spec *option, const char *text)
{
  const char *expected = option->parse(option->value, text);
  if (!expected) return OPTIONS_OK;
  return usage_error(command, "--%s: '%s' is not %s", option->name, text, expected);
}

int options_parse(const command_spec *command, int argc, char **argv, char ***operands, int *count)
{
  struct option table[MAX_OPTIONS + 2] = {{0}};
  char letters[2 * MAX_OPTIONS + 4] = ":h"; /* ":" = tell a missing value from an unknown option */
  size_t used = 2;
  for (size_t i = 0; i < command->option_count; ++i) {
    const option_spec *option = &command->options[i];
    int wants_value = option->argument ? required_argument : no_argument;
    table[i] = (struct option){option->name, wants_value, NULL, LONG_ONLY + (int)i};
    if (option->letter) letters[used++] = option->letter;
    if (option->letter && option->argument) letters[used++] = ':';
  }
  table[command->option_count] = (struct option){"help", no_argument, NULL, HELP};

  opterr = 0;
  for (;;) {
    int code = getopt_long(argc, argv, letters, table, NULL);
    if (code == -1) break;
    if (code == HELP || code == 'h') {
      print_help(command);
      return EXIT_DONE;
    }
    if (code == ':') return usage_error(command, "%s needs a value", argv[optind - 1]);
    if (code == '?' && optopt > 0 && optopt < 128)
      return usage_error(command, "unknown option -%c", optopt);
    if (code == '?' && optopt != 0 && optopt < 256) /* below 0 if char has a sign */
      return usage_error(command, "unknown option, beyond ASCII");
    if (code == '?' && optopt >= LONG_ONLY)
      return usage_error(command, "--%s takes no value", command->options[optopt - LONG_ONLY].name);
    if (code == '?')
      return usage_error(command, "unknown or ambiguous option %s", argv[optind - 1]);
    size_t i = 0;
    if (code >= LONG_ONLY)
      i = (size_t)(code - LONG_ONLY);
    else
      while (command->options[i].letter != code) ++i;
    int status = parse_one(command, &command->options[i], optarg);
    if (status != OPTIONS_OK) return status;
  }
  *operands = argv + optind;
  *count = argc - optind;
  if (*count < command->min_operands)
    return usage_error(command, "arguments are missing: %s", command->operands);
  if (*count > command->max_operands)
    return usage_error(command, "'%s' is one argument too many",
                       (*operands)[command->max_operands]);
  return OPTIONS_OK;
}

int parse_whole(const char *text, unsigned long long low, unsigned long long high,
                unsigned long long *value)
{
  if (!isdigit((unsigned char)text[0])) return 0; /* no sign, no space */
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno || *end || number < low || number > high) return 0;
  *value = number;
  return 1;
}

const char *parse_switch(void *value, const char *text)
{
  (void)text;
  *(bool *)value = true;
  return NULL;
}

const char *parse_text(void *value, const char *text)
{
  if (!text[0]) return "a text of at least one character";
  *(const char **)value = text;
  return NULL;
}

const char *parse_threads(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 0, 1024, &number))
    return "a whole number from 1 to 1024, or 0 for one thread a core";
  *(int *)value = (int)number;
  return NULL;
}

const char *parse_resolution(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 8, 16384, &number)) return "a whole number from 8 to 16384";
  *(int *)value = (int)number;
  return NULL;
}

const char *parse_seed(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 0, INT64_MAX, &number)) return "a whole number from 0 to 2^63 - 1";
  *(uint64_t *)value = number;
  return NULL;
}

int parse_share(const char *text, double high, double *value)
{
  char *end;
  double number = strtod(text, &end);
  /* The first test keeps out what only strtod takes for a number: spaces, signs, "inf", "nan". */
  if (!*text || !strchr("0123456789.", *text) || *end || !(number <= high)) return 0;
  *value = number;
  return 1;
}

const char *parse_rate(void *value, const char *text)
{
  double number;
  if (!parse_share(text, 1, &number) || number == 0 || number == 1)
    return "a number above 0 and below 1";
  *(double *)value = number;
  return NULL;
}

/* A whole number that may end with K, M, G or T for 2^10 to 2^40. */
static bool parse_scaled(const char *text, uint64_t *value)
{
  if (!isdigit((unsigned char)text[0])) return false;
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno) return false;
  int shift = 0;
  if (*end) {
    const char *units = "KMGT";
    const char *unit = strchr(units, toupper((unsigned char)*end));
    if (!unit || end[1]) return false;
    shift = 10 * (int)(unit - units + 1);
  }
  if (number > UINT64_MAX >> shift) return false;
  *value = number << shift;
  return true;
}

const char *parse_bytes(void *value, const char *text)
{
  return parse_scaled(text, value) ? NULL : "a number of bytes such as 512M or 2G";
}

const char *parse_limit(void *value, const char *text)
{
  mkd_limits *limits = value;
  const struct {
    const char *name;
    uint64_t *limit;
  } all[] = {{"pixels=", &limits->max_pixels},
             {"bytes=", &limits->max_bytes},
             {"files=", &limits->max_files}};
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    size_t length = strlen(all[i].name);
    uint64_t number;
    if (strncmp(text, all[i].name, length) != 0) continue;
    if (!parse_scaled(text + length, &number) || number < 1 || number > UINT64_C(1) << 40) break;
    *all[i].limit = number;
    return NULL;
  }
  return "pixels=N, bytes=N or files=N, such as bytes=512M, with N from 1 to 1T";
}

const char *parse_localize(void *value, const char *text)
{
  for (int i = MKD_LOCALIZE_DISCREPANCY; i <= MKD_LOCALIZE_GBP; ++i) {
    if (strcmp(text, localize_name((mkd_localize)i)) != 0) continue;
    *(mkd_localize *)value = (mkd_localize)i;
    return NULL;
  }
  return "discrepancy, gradient, smoothgrad or gbp";
}
