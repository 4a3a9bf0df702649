/* mkd import: pre-trained weights become an expert file. */
#include "cli.h"
#include "destination.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <stdio.h>

int verb_import(int argc, char **argv)
{
  const char *output = NULL, *arch = NULL;
  mkd_limits limits = mkd_limits_default();
  const option_spec options[] = {
      {"output", 'o', "EXPERT", "expert file to write (needed)", parse_text, &output},
      {"arch", 0, "NAME", "architecture: vgg16, vgg16_bn, efficientnet-lite0, ...", parse_text,
       &arch},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &limits},
  };
  const command_spec command = {
      .verb = "import",
      .operands = "[options] SOURCE -o EXPERT",
      .purpose = "Turns pre-trained weights into an expert file: PyTorch .pth in both its formats\n"
                 "(nothing in it is executed), or .safetensors. The architecture is told from the\n"
                 "tensors' names and shapes, unless --arch names it.",
      .example = "mkd import vgg16.pth -o vgg16.safetensors",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 1,
      .max_operands = 1,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;
  if (!output) return usage_error(&command, "-o EXPERT is missing");

  mkd_expert *expert = NULL;
  mkd_status status = destination_check(output);
  if (status == MKD_OK) status = destination_spares(output, operands[0]);
  if (status == MKD_OK) status = mkd_expert_import(&expert, operands[0], arch, &limits);
  if (status == MKD_OK && interrupted()) status = MKD_CANCELLED;
  if (status == MKD_OK) status = mkd_expert_save(expert, output);
  mkd_expert_destroy(expert);
  if (status != MKD_OK) return fail("import", status);
  plain_line(stdout, 11, "expert", output);
  return EXIT_DONE;
}
