/* mkd demo-data: something to try the other verbs with. */
#include "cli.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <stdio.h>

static bool go_on(void *context)
{
  (void)context;
  return !interrupted();
}

int verb_demo_data(int argc, char **argv)
{
  uint64_t seed = 0;
  const option_spec options[] = {
      {"seed", 0, "N", "another seed, other images (default 0)", parse_seed, &seed},
  };
  const command_spec command = {
      .verb = "demo-data",
      .operands = "[options] DIR",
      .purpose = "Writes a small made-up data set in MVTec AD layout to DIR, which must be new or\n"
                 "empty: textures, defects of several kinds, and masks.",
      .example = "mkd demo-data demo && mkd train demo -o demo.mkd",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 1,
      .max_operands = 1,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;
  mkd_status status = mkd_demo_data(operands[0], seed, go_on, NULL);
  if (status != MKD_OK) return fail("demo-data", status);
  plain_line(stdout, 11, "data", operands[0]);
  return EXIT_DONE;
}
