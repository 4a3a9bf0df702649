/* mkd train: from a folder of normal images to a model file. */
#include "cli.h"
#include "destination.h"
#include "expert_file.h"
#include "interrupt.h"
#include "options.h"
#include "output.h"
#include "overrides.h"
#include "progress.h"
#include "summary.h"
#include "verbs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const char *data, *output, *expert;
  char *checkpoint; /* OUTPUT.ckpt */
  overrides set;
  mkd_limits limits;
  bool quiet;
  progress_bar progress;
  double loss, held_out_loss; /* the last ones known */
  double start;               /* seconds */
} train_run;

/* ---- Options that stand for keys of the recipe ----------------------------------------------- */

/* N or WIDTHxHEIGHT as two keys; a number is `least` to `most`, or 0 if `zero`. */
static bool override_size(overrides *set, const char *text, const char *const keys[2],
                          unsigned long long least, unsigned long long most, bool zero)
{
  unsigned long long size[2];
  char *copy = text_format("%s", text);
  char *x = strchr(copy, 'x');
  const char *parts[2] = {copy, x ? x + 1 : copy};
  bool valid = true;
  if (x) *x = '\0';
  for (int i = 0; i < 2; ++i)
    valid = valid && parse_whole(parts[i], 0, most, &size[i]) &&
            (size[i] >= least || (zero && size[i] == 0));
  for (int i = 0; valid && i < 2; ++i) overrides_add(set, keys[i], parts[i]);
  free(copy);
  return valid;
}

static const char *parse_size(void *value, const char *text)
{
  static const char *const keys[] = {"input_width", "input_height"};
  if (override_size(value, text, keys, 8, 8192, false)) return NULL;
  return "a size in pixels from 8 to 8192, N or WIDTHxHEIGHT";
}

static const char *parse_tiles(void *value, const char *text)
{
  static const char *const keys[] = {"tile_width", "tile_height"};
  if (override_size(value, text, keys, 8, 1000000, true)) return NULL;
  return "a size in pixels from 8 to 1000000, N or WIDTHxHEIGHT; 0 = as long as the image";
}

static const char *parse_overlap(void *value, const char *text)
{
  double share;
  if (!parse_share(text, 0.9, &share)) return "a number from 0 to 0.9";
  overrides_add(value, "tile_overlap", text);
  return NULL;
}

static const char *parse_batch(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 1, 4096, &number)) return "a whole number from 1 to 4096";
  overrides_add(value, "batch", text);
  return NULL;
}

static const char *parse_holdout(void *value, const char *text)
{
  double rate;
  const char *expected = parse_rate(&rate, text);
  if (!expected) overrides_add(value, "holdout", text);
  return expected;
}

/* ---- Training -------------------------------------------------------------------------------- */

static bool on_progress(void *context, const mkd_progress *state)
{
  train_run *training = context;
  if (!isnan(state->loss)) training->loss = state->loss;
  if (!isnan(state->held_out_loss)) training->held_out_loss = state->held_out_loss;
  progress_stage(&training->progress, state);
  return !interrupted();
}

static void on_log(void *context, mkd_log_level level, const char *text)
{
  train_run *training = context;
  if (level == MKD_LOG_WARNING)
    progress_note(&training->progress, "mkd train: warning: %s", text);
  else if (!training->quiet)
    progress_note(&training->progress, "mkd train: %s", text);
}

static void print_summary(const train_run *training, size_t images, const mkd_threshold *threshold)
{
  double seconds = seconds_now() - training->start;
  plain_line(stdout, 11, "model", training->output);
  printf("images     %zu trained on, %zu held out\n", images - threshold->held_out,
         threshold->held_out);
  if (!isnan(training->loss)) {
    printf("loss       %.5g", training->loss);
    if (!isnan(training->held_out_loss)) printf(" (held out %.5g)", training->held_out_loss);
    putchar('\n');
  }
  summary_threshold(threshold);
  printf("time       %.0f:%02.0f min\n", floor(seconds / 60), floor(fmod(seconds, 60)));
}

/* For a training that could have gone on, had it not been stopped or run out of disk. */
static void say_how_to_resume(const train_run *training)
{
  if (access(training->checkpoint, F_OK) == 0)
    complain("train", "stopped; the same command with --resume goes on from %s",
             training->checkpoint);
  else
    complain("train", "stopped before there was a checkpoint to resume from");
}

/* A checkpoint is replaced and, in the end, removed; nothing else is. */
static mkd_status check_checkpoint(const train_run *training, bool resume)
{
  char *json = NULL;
  if (resume || access(training->checkpoint, F_OK) != 0) return MKD_OK;
  mkd_status status = mkd_describe(&json, training->checkpoint, NULL);
  if (status == MKD_ERROR_MEMORY) return status;
  bool is_one = status == MKD_OK && strstr(json, "\"checkpoint\"");
  mkd_text_free(json);
  if (is_one) return MKD_OK;
  return refuse(
      MKD_ERROR_FILE,
      "%s: is there, and no checkpoint of this version; it would be lost: remove it, or name "
      "another model",
      training->checkpoint);
}

static void mention_checkpoint(train_run *training, bool resume)
{
  bool exists = access(training->checkpoint, F_OK) == 0;
  if (resume && !exists)
    on_log(training, MKD_LOG_WARNING, "there is no checkpoint to resume from; starting anew");
  if (!resume && exists)
    on_log(training, MKD_LOG_WARNING,
           "starting anew over the checkpoint of an unfinished training; --resume would go on");
}

static mkd_status train(train_run *training, mkd_train_options *options)
{
  mkd_expert *expert = NULL;
  mkd_dataset *normal = NULL;
  mkd_detector *detector = NULL;
  mkd_threshold threshold;
  mkd_status status = destination_check(training->output);
  if (status == MKD_OK) status = destination_check(training->checkpoint);
  char *place = expert_place(training->expert);
  const char *const written[] = {training->output, training->checkpoint};
  for (int i = 0; i < 2; ++i) {
    if (status == MKD_OK) status = destination_spares(written[i], place);
    if (status == MKD_OK) status = destination_spares(written[i], options->recipe);
  }
  free(place);
  if (status == MKD_OK) status = check_checkpoint(training, options->resume);
  if (status == MKD_OK)
    status = mkd_dataset_open(&normal, training->data, MKD_SPLIT_TRAIN, &training->limits);
  for (int i = 0; i < 2; ++i)
    if (status == MKD_OK) status = destination_spares_images(written[i], normal);
  if (status == MKD_OK) status = expert_open(&expert, training->expert, &training->limits);
  if (status == MKD_OK) {
    mention_checkpoint(training, options->resume);
    status = mkd_train(&detector, expert, mkd_dataset_source(normal), options);
  }
  if (status == MKD_OK) status = mkd_detector_threshold(detector, options->false_alarm, &threshold);
  if (status == MKD_OK) status = mkd_detector_save(detector, training->output);
  progress_end(&training->progress);
  if (status == MKD_OK) {
    unlink(training->checkpoint);
    print_summary(training, mkd_dataset_count(normal), &threshold);
  }
  mkd_detector_destroy(detector);
  mkd_dataset_destroy(normal);
  mkd_expert_destroy(expert);
  return status;
}

static int parse_command_line(train_run *training, mkd_train_options *settings, int argc,
                              char **argv)
{
  const option_spec options[] = {
      {"output", 'o', "MODEL", "model file to write (needed)", parse_text, &training->output},
      {"recipe", 0, "RECIPE", "default, paper, paper-code or a JSON file", parse_text,
       &settings->recipe},
      {"expert", 0, "FILE", "expert, or weights to import (default: the installed)", parse_text,
       &training->expert},
      {"size", 0, "SIZE", "size that images are scaled to: N or WxH", parse_size, &training->set},
      {"tiles", 0, "SIZE", "cut images into tiles: N or WxH, pixels of the image", parse_tiles,
       &training->set},
      {"tile-overlap", 0, "F", "share of a tile that its neighbour covers, too (0.25)",
       parse_overlap, &training->set},
      {"epochs", 0, "N", "passes over the images", parse_epochs, &training->set},
      {"batch", 0, "N", "images in one step", parse_batch, &training->set},
      {"holdout", 0, "SHARE", "share of the images kept for calibration (0.2)", parse_holdout,
       &training->set},
      {"set", 0, "KEY=VALUE", "any other key of the recipe; may be repeated", parse_set,
       &training->set},
      {"false-alarm", 0, "RATE", "rate of false alarms to aim at (default 0.01)", parse_rate,
       &settings->false_alarm},
      {"seed", 0, "N", "same seed, same model (default 0)", parse_seed, &settings->seed},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &settings->threads},
      {"cache-mem", 0, "BYTES", "memory for cached inputs, then disk (default 2G)", parse_bytes,
       &settings->cache_memory},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &training->limits},
      {"resume", 0, NULL, "go on from MODEL.ckpt after an interruption", parse_switch,
       &settings->resume},
      {"quiet", 'q', NULL, "no progress", parse_switch, &training->quiet},
  };
  const command_spec command = {
      .verb = "train",
      .operands = "[options] DATA -o MODEL",
      .purpose = "Learns what is normal. DATA is a folder of images or an MVTec AD category.",
      .example = "mkd train parts/good -o parts.mkd --false-alarm 0.005",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 1,
      .max_operands = 1,
  };
  char **operands;
  int count;
  int status = options_parse(&command, argc, argv, &operands, &count);
  if (status != OPTIONS_OK) return status;
  if (!training->output) return usage_error(&command, "-o MODEL is missing");
  const char *key = NULL;
  int length = overrides_contradiction(&training->set, &key);
  if (length > 0) return usage_error(&command, "%.*s is set more than once", length, key);
  training->data = operands[0];
  return OPTIONS_OK;
}

int verb_train(int argc, char **argv)
{
  train_run training = {
      .limits = mkd_limits_default(), .loss = NAN, .held_out_loss = NAN, .start = seconds_now()};
  mkd_train_options options = mkd_train_options_default();
  int exit = parse_command_line(&training, &options, argc, argv);
  if (exit == OPTIONS_OK) {
    training.checkpoint = text_format("%s.ckpt", training.output);
    training.progress = progress_start(training.quiet);
    options.set = (const char *const *)training.set.texts;
    options.set_count = training.set.count;
    options.checkpoint = training.checkpoint;
    options.progress = on_progress;
    options.log = on_log;
    options.context = &training;
    mkd_status status = train(&training, &options);
    exit = fail("train", status);
    if (exit == EXIT_INTERRUPTED || exit == EXIT_RESOURCES) say_how_to_resume(&training);
    free(training.checkpoint);
  }
  overrides_free(&training.set);
  return exit;
}
