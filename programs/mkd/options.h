/* Options as a table, over getopt_long. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>

typedef struct {
  const char *name;     /* long name */
  char letter;          /* or 0 */
  const char *argument; /* as the help shows it; NULL for a switch */
  const char *help;

  /* Puts what `text` says (NULL for a switch) into `value`. Returns NULL, or else what would have
   * been right: "a number above 0 and below 1". */
  const char *(*parse)(void *value, const char *text);
  void *value;
} option_spec;

typedef struct {
  const char *verb;
  const char *operands;       /* as the help shows them: "MODEL PATH..." */
  const char *purpose;        /* lines of text */
  const char *example;        /* lines of text */
  const option_spec *options; /* --help is added to them */
  size_t option_count;
  int min_operands, max_operands;
} command_spec;

enum { OPTIONS_OK = -1 };

/* Parses a verb's command line (argv[0] is the verb). Returns OPTIONS_OK with the operands, or the
 * exit status to end with, after the help or a message. */
int options_parse(const command_spec *command, int argc, char **argv, char ***operands, int *count);

/* One line on standard error, which ends with where to find help; returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const command_spec *command,
                                                      const char *format, ...);

/* Parsers. The type that `value` points to stands beside each. */
const char *parse_switch(void *value, const char *text);     /* bool, set to true */
const char *parse_text(void *value, const char *text);       /* const char *, not empty */
const char *parse_resolution(void *value, const char *text); /* int, 8 to 16384 pixels */
const char *parse_threads(void *value, const char *text);    /* int, 0 (one a core) to 1024 */
const char *parse_seed(void *value, const char *text);       /* uint64_t */
const char *parse_rate(void *value, const char *text);       /* double, above 0 and below 1 */
const char *parse_bytes(void *value, const char *text);      /* uint64_t; suffix K, M, G or T */
const char *parse_limit(void *value, const char *text);      /* mkd_limits: NAME=N, one of them */
const char *parse_localize(void *value, const char *text);   /* mkd_localize */

/* A whole number within limits, nothing before or after it. */
int parse_whole(const char *text, unsigned long long low, unsigned long long high,
                unsigned long long *value);

/* A number from 0 to `high`, nothing before or after it. */
int parse_share(const char *text, double high, double *value);

#endif
