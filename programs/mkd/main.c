/* mkd: the command line of the library. SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "interrupt.h"
#include "output.h"
#include "verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct verb {
  const char *name, *summary;
  int (*run)(int argc, char **argv);
} verbs[] = {
    {"train", "learn what is normal from a folder of images", verb_train},
    {"score", "score images, and show where they are anomalous", verb_score},
    {"eval", "measure a model on a labelled test set", verb_eval},
    {"calibrate", "set a new threshold from other normal images", verb_calibrate},
    {"import", "turn pre-trained weights into an expert file", verb_import},
    {"info", "describe a model, expert or recipe file", verb_info},
    {"reproduce", "run an experiment of the paper", verb_reproduce},
    {"bench", "time the stages of scoring and the kernels", verb_bench},
    {"demo-data", "write a small made-up data set to try things with", verb_demo_data},
};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void print_help(void)
{
  puts("usage: mkd VERB [options] arguments\n\n"
       "Anomaly detection and localization in images, learnt from normal images only.\n");
  for (int i = 0; i < VERB_COUNT; ++i) printf("  %-11s%s\n", verbs[i].name, verbs[i].summary);
  puts("\n  mkd VERB --help   options of a verb, and an example\n"
       "  mkd --version     version, instruction set in use, libraries\n\n"
       "example, a first try without any data:\n"
       "  mkd demo-data demo && mkd train demo -o demo.mkd && mkd eval demo.mkd demo\n\n"
       "exit status: 0 done, 1 some inputs failed, 2 wrong usage, 3 bad or missing file,\n"
       "  4 out of memory or disk, 5 --fail-on-anomaly found one, 130 interrupted");
}

static int run(int argc, char **argv)
{
  const char *word = argc > 1 ? argv[1] : "";
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
    print_help();
    return EXIT_DONE;
  }
  if (strcmp(word, "--version") == 0) {
    printf("mkd %s\n%s\n", mkd_version(), mkd_build_info());
    return EXIT_DONE;
  }
  for (int i = 0; i < VERB_COUNT; ++i)
    if (strcmp(word, verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
  if (argc > 1)
    complain(NULL, "there is no verb '%s'; see mkd --help", word);
  else
    fputs("mkd: a verb is missing; see mkd --help\n", stderr);
  return EXIT_USAGE;
}

/* No file that is opened later may take the place of a standard stream that the caller has closed.
 * Input can only be written and output only be read, so that using them still fails. */
static void keep_standard_streams(void)
{
  int descriptor = open("/dev/null", O_WRONLY);
  if (descriptor > STDIN_FILENO) close(descriptor);
  do descriptor = open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO);
  if (descriptor >= 0) close(descriptor);
}

int main(int argc, char **argv)
{
  /* Large, so that it is output_flush that writes, and sees why it cannot. */
  static char buffer[1 << 18];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  keep_standard_streams();
  interrupt_install();
  return output_end(run(argc, argv));
}
