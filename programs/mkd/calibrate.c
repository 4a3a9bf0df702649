/* mkd calibrate: the same networks, with a threshold from other normal images. */
#include "cli.h"
#include "destination.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "summary.h"
#include "verbs.h"

#include <stdio.h>

static bool on_progress(void *context, const mkd_progress *state)
{
  progress_stage(context, state);
  return !interrupted();
}

static mkd_status calibrate(const char *model, const char *data, const mkd_limits *limits,
                            const char *output, const mkd_calibrate_options *options,
                            mkd_threshold *threshold)
{
  mkd_detector *detector = NULL, *calibrated = NULL;
  mkd_dataset *normal = NULL;
  mkd_status status = destination_check(output);
  if (status == MKD_OK) status = mkd_detector_load(&detector, model, limits);
  if (status == MKD_OK) status = mkd_dataset_open(&normal, data, MKD_SPLIT_TRAIN, limits);
  if (status == MKD_OK) status = destination_spares_images(output, normal);
  if (status == MKD_OK)
    status = mkd_detector_calibrate(&calibrated, detector, mkd_dataset_source(normal), options);
  if (status == MKD_OK)
    status = mkd_detector_threshold(calibrated, options->false_alarm, threshold);
  if (status == MKD_OK) status = mkd_detector_save(calibrated, output);
  mkd_detector_destroy(calibrated);
  mkd_dataset_destroy(normal);
  mkd_detector_destroy(detector);
  return status;
}

int verb_calibrate(int argc, char **argv)
{
  mkd_calibrate_options settings = mkd_calibrate_options_default();
  mkd_limits limits = mkd_limits_default();
  const char *output = NULL;
  bool quiet = false;
  const option_spec options[] = {
      {"output", 'o', "MODEL2", "model file to write (needed; may be MODEL itself)", parse_text,
       &output},
      {"false-alarm", 0, "RATE", "rate of false alarms to aim at (default 0.01)", parse_rate,
       &settings.false_alarm},
      {"localize", 0, "METHOD", "discrepancy, gradient, smoothgrad, gbp (else MODEL's)",
       parse_localize, &settings.localize},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &limits},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &settings.threads},
      {"quiet", 'q', NULL, "no progress", parse_switch, &quiet},
  };
  const command_spec command = {
      .verb = "calibrate",
      .operands = "[options] MODEL DATA -o MODEL2",
      .purpose = "Sets a new threshold from normal images that the model was not trained on. DATA\n"
                 "is a folder of them, or an MVTec AD category (its train/good).",
      .example = "mkd calibrate parts.mkd new-shift -o parts.mkd --false-alarm 0.001",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 2,
      .max_operands = 2,
  };
  char **operands;
  int count;
  int parsed = options_parse(&command, argc, argv, &operands, &count);
  if (parsed != OPTIONS_OK) return parsed;
  if (!output) return usage_error(&command, "-o MODEL2 is missing");

  progress_bar progress = progress_start(quiet);
  settings.progress = on_progress;
  settings.context = &progress;
  mkd_threshold threshold;
  mkd_status status = calibrate(operands[0], operands[1], &limits, output, &settings, &threshold);
  progress_end(&progress);
  if (status != MKD_OK) return fail("calibrate", status);
  plain_line(stdout, 11, "model", output);
  summary_threshold(&threshold);
  return EXIT_DONE;
}
