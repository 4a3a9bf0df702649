/* mkd reproduce: the paper's experiments, each by one command. */
#include "cli.h"
#include "destination.h"
#include "expert_file.h"
#include "json.h"
#include "options.h"
#include "plot.h"
#include "rows_print.h"
#include "state.h"
#include "verbs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char **names;
  size_t count;
} name_list;

typedef struct {
  const char *data, *output; /* output NULL: the table on standard output is all */
  name_list classes;         /* as named; none = all */
  overrides set;             /* of the user */
  int threads;
  uint64_t cache_memory;
  bool quiet;
  int resolution; /* for pixel metrics */
  experiment e;
} reproduction;

/* ---- Options --------------------------------------------------------------------------------- */

static const char *parse_name(void *value, const char *text)
{
  if (!text[0]) return "the name of a class";
  name_list *list = value;
  list->names = must_grow(list->names, list->count + 1, sizeof *list->names);
  list->names[list->count++] = text_format("%s", text);
  return NULL;
}

static const char *parse_count(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 1, 1000000000, &number)) return "a whole number from 1 to 1000000000";
  *(size_t *)value = (size_t)number;
  return NULL;
}

static const char *parse_seeds(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 1, 1000, &number)) return "a whole number from 1 to 1000";
  *(size_t *)value = (size_t)number;
  return NULL;
}

static const char *parse_ablation(void *value, const char *text)
{
  const ablation *found = ablation_find(text);
  if (!found) return "layers, size, loss or maps";
  *(const ablation **)value = found;
  return NULL;
}

/* ---- What is to be run ----------------------------------------------------------------------- */

/* A key's value in the recipe itself, as text that the caller frees; numbers and texts only. */
static mkd_status recipe_value(const experiment *e, const char *key, char **value)
{
  char *text;
  mkd_status status = mkd_describe(&text, e->recipe, &e->limits);
  if (status != MKD_OK) return status;
  json_t *described = json_from_text(text);
  mkd_text_free(text);
  const json_t *found = json_object_get(json_object_get(described, "recipe"), key);
  if (json_is_string(found))
    *value = text_format("%s", json_string_value(found));
  else if (json_is_number(found))
    *value = text_format("%.17g", json_number_value(found));
  else
    status = refuse(MKD_ERROR_FILE, "%s: is no recipe", e->recipe);
  json_decref(described);
  return status;
}

/* The value in force: that of the settings, or else the recipe's. */
static mkd_status value_in_force(const experiment *e, const char *key, char **value)
{
  const char *set = overrides_find(&e->settings, key);
  if (!set) return recipe_value(e, key, value);
  *value = text_format("%s", set);
  return MKD_OK;
}

/* The paper's settings for these data that the user does not change, and the user's. */
static void make_settings(reproduction *r)
{
  const char *const *texts = protocol_settings(r->e.protocol, r->e.recipe);
  for (; *texts; ++texts) {
    char *key = text_format("%.*s", override_key_length(*texts), *texts);
    if (!overrides_find(&r->set, key)) overrides_add_text(&r->e.settings, *texts);
    free(key);
  }
  for (size_t i = 0; i < r->set.count; ++i) overrides_add_text(&r->e.settings, r->set.texts[i]);
}

static mkd_status check_ablation(const reproduction *r)
{
  const experiment *e = &r->e;
  for (size_t i = 0; i < r->set.count; ++i) {
    int length = override_key_length(r->set.texts[i]);
    if (ablation_sets(e->ablation, r->set.texts[i], (size_t)length))
      return refuse(MKD_ERROR_ARGUMENT, "--set %.*s: that is what the ablation varies", length,
                    r->set.texts[i]);
  }
  if (e->ablation->map_count > 1 && !protocol_has_masks(e->protocol))
    return refuse(MKD_ERROR_ARGUMENT, "--ablation %s needs masks, which only mvtec has",
                  e->ablation->name);
  return MKD_OK;
}

static void add_class(experiment *e, size_t index)
{
  for (size_t i = 0; i < e->class_count; ++i)
    if (e->classes[i] == index) return;
  e->classes = must_grow(e->classes, e->class_count + 1, sizeof *e->classes);
  e->classes[e->class_count++] = index;
}

/* The classes named, or all that there are images to train on. */
static mkd_status choose_classes(reproduction *r)
{
  experiment *e = &r->e;
  for (size_t i = 0; i < r->classes.count; ++i) {
    size_t index;
    mkd_status status = protocol_find(e->protocol, r->classes.names[i], &index);
    if (status != MKD_OK) return status;
    add_class(e, index);
  }
  for (size_t i = 0; r->classes.count == 0 && i < protocol_class_count(e->protocol); ++i) {
    if (protocol_can_train(e->protocol, i))
      add_class(e, i);
    else
      complain("reproduce", "%s: no image to train on; left out", protocol_class(e->protocol, i));
  }
  if (e->class_count > 0) return MKD_OK;
  return refuse(MKD_ERROR_DATA, "%s: has no image to train on", r->data);
}

/* Snapshots are models of their own only if the learning rate is constant. Pixels are measured at
 * the networks' input size, as the paper does; at each mask's own if that is no square. */
static mkd_status choose_measurements(reproduction *r)
{
  char *schedule = NULL, *width = NULL, *height = NULL;
  unsigned long long side;
  mkd_status status = value_in_force(&r->e, "schedule", &schedule);
  if (status == MKD_OK) status = value_in_force(&r->e, "input_width", &width);
  if (status == MKD_OK) status = value_in_force(&r->e, "input_height", &height);
  if (status == MKD_OK) {
    r->e.sampled = strcmp(schedule, "constant") == 0;
    if (strcmp(width, height) == 0 && parse_whole(width, 1, 8192, &side)) r->resolution = (int)side;
  }
  free(schedule);
  free(width);
  free(height);
  return status;
}

static mkd_status prepare(reproduction *r, const char *name)
{
  experiment *e = &r->e;
  mkd_status status = protocol_open(&e->protocol, name, r->data, &e->limits);
  if (status == MKD_OK) status = check_ablation(r);
  if (status == MKD_OK) status = choose_classes(r);
  if (status != MKD_OK) return status;
  make_settings(r);
  status = choose_measurements(r);
  if (status == MKD_OK) status = expert_open(&e->network, e->expert, &e->limits);
  if (status == MKD_OK && r->output) status = state_open(r->output, e);
  if (status != MKD_OK) return status;
  e->units = must_grow(NULL, experiment_size(e), sizeof *e->units);
  memset(e->units, 0, experiment_size(e) * sizeof *e->units);
  return MKD_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* What goes on from unit to unit. */
typedef struct {
  unit_features kept;
  size_t done, ran; /* units that are over, loaded ones included; that were run here */
  double seconds;   /* of those that were run */
} progress_state;

static mkd_status run_unit(reproduction *r, progress_state *p, size_t v, size_t index, size_t seed)
{
  experiment *e = &r->e;
  const trained_variant *varied = &e->ablation->variants[v];
  unit_name name = experiment_name(e, v, index, seed);
  unit_result *result = experiment_unit(e, v, index, seed);
  size_t total = experiment_size(e);
  class_images images;
  mkd_status status = protocol_images(e->protocol, e->classes[index], seed, e->limit, &images);
  if (status != MKD_OK) return status;
  overrides settings = {0};
  for (size_t i = 0; i < e->settings.count; ++i)
    overrides_add_text(&settings, e->settings.texts[i]);
  for (size_t i = 0; i < MAX_SETTINGS && varied->settings[i]; ++i)
    overrides_add_text(&settings, varied->settings[i]);
  char *label = text_format("%zu/%zu %s%s%s, seed %zu", p->done + 1, total, name.class_name,
                            name.variant[0] ? ", " : "", name.variant, seed);
  unit_plan plan = {.expert = e->network,
                    .images = &images,
                    .recipe = e->recipe,
                    .settings = &settings,
                    .limits = &e->limits,
                    .sampled = e->sampled,
                    .seed = seed,
                    .threads = r->threads,
                    .cache_memory = r->cache_memory,
                    .maps = e->ablation->maps,
                    .map_count = protocol_has_masks(e->protocol) ? e->ablation->map_count : 0,
                    .resolution = r->resolution,
                    .quiet = r->quiet,
                    .label = label,
                    .later = total - p->done - 1,
                    .mean_seconds = p->ran ? p->seconds / (double)p->ran : NAN};
  status = unit_run(result, &plan, &p->kept);
  if (status == MKD_OK) {
    p->seconds += result->seconds;
    ++p->ran;
    if (r->output) status = state_save(r->output, &name, result);
  }
  free(label);
  overrides_free(&settings);
  class_images_free(&images);
  return status;
}

/* Seeds of a class, then classes of a variant: units that share their test images' activations are
 * neighbours. */
static mkd_status run_all(reproduction *r)
{
  experiment *e = &r->e;
  progress_state p = {0};
  mkd_status status = MKD_OK;
  for (size_t unit = 0; status == MKD_OK && unit < experiment_size(e); ++unit) {
    size_t seed = unit % e->seeds, index = unit / e->seeds % e->class_count;
    size_t v = unit / e->seeds / e->class_count;
    unit_name name = experiment_name(e, v, index, seed);
    bool found = false;
    if (r->output) status = state_load(r->output, &name, e, &e->units[unit], &found);
    if (status == MKD_OK && !found) status = run_unit(r, &p, v, index, seed);
    ++p.done;
  }
  unit_features_free(&p.kept);
  return status;
}

/* ---- Results --------------------------------------------------------------------------------- */

static mkd_status save_rows(const reproduction *r, const char *name, const row *rows, size_t count,
                            void (*print)(FILE *, const experiment *, const row *, size_t))
{
  char *path = text_format("%s/%s", r->output, name);
  destination to;
  mkd_status status = destination_open(&to, path);
  if (status == MKD_OK) {
    print(to.file, &r->e, rows, count);
    status = destination_close(&to, status);
  }
  free(path);
  return status;
}

/* Rows come by series, bars by group. */
static void print_plot(FILE *file, const experiment *e, const row *rows, size_t count)
{
  size_t groups = e->class_count > 1 ? e->class_count + 1 : 1;
  size_t each = e->class_count + 1, series = count / each;
  bool pixels = e->ablation->map_count > 1;
  plot_bar *bars = must_grow(NULL, groups * series, sizeof *bars);
  const char **names = must_grow(NULL, groups, sizeof *names), *titles[PLOT_MAX_SERIES];
  for (size_t s = 0; s < series; ++s) {
    titles[s] = rows[s * each].title;
    for (size_t g = 0; g < groups; ++g) {
      const row *from = &rows[s * each + g];
      const figure *f = pixels ? &from->pixel_anomalous : &from->image;
      bars[g * series + s] = (plot_bar){f->mean, f->deviation};
      names[g] = row_name(from);
    }
  }
  char *title = text_format("%s: %s", protocol_name(e->protocol), e->ablation->subject);
  bar_plot plot = {.title = title,
                   .axis = pixels ? "pixel AUROC, %" : "image AUROC, %",
                   .groups = names,
                   .group_count = groups,
                   .series = titles,
                   .series_count = series,
                   .bars = bars};
  plot_write(file, &plot);
  free(title);
  free(names);
  free(bars);
}

static mkd_status give_results(const reproduction *r)
{
  size_t count;
  row *rows = rows_make(&r->e, &count);
  rows_print_table(stdout, &r->e, rows, count);
  mkd_status status = MKD_OK;
  if (r->output) {
    status = save_rows(r, "results.csv", rows, count, rows_print_csv);
    if (status == MKD_OK) status = save_rows(r, "results.json", rows, count, rows_print_json);
    if (status == MKD_OK && r->e.ablation->name)
      status = save_rows(r, "ablation.svg", rows, count, print_plot);
  }
  free(rows);
  return status;
}

/* ---- The verb -------------------------------------------------------------------------------- */

static int parse_command_line(reproduction *r, const char **name, int argc, char **argv)
{
  experiment *e = &r->e;
  const option_spec options[] = {
      {"data", 0, "DIR", "folder with the data (needed)", parse_text, &r->data},
      {"class", 0, "NAME", "only this class, by name or number; may be repeated", parse_name,
       &r->classes},
      {"category", 0, "NAME", "the same", parse_name, &r->classes},
      {"expert", 0, "FILE", "expert, or weights to import (default: the installed)", parse_text,
       &e->expert},
      {"recipe", 0, "RECIPE", "paper (default), paper-code, default or a JSON file", parse_text,
       &e->recipe},
      {"epochs", 0, "N", "passes over the images", parse_epochs, &r->set},
      {"set", 0, "KEY=VALUE", "any other key of the recipe; may be repeated", parse_set, &r->set},
      {"seeds", 0, "N", "train with seeds 0 to N-1 (default 1)", parse_seeds, &e->seeds},
      {"limit-train", 0, "N", "at most N training images a class, drawn by the seed", parse_count,
       &e->limit},
      {"ablation", 0, "WHAT", "vary layers, size, loss or maps; needs -o", parse_ablation,
       &e->ablation},
      {"output", 'o', "DIR", "results as CSV, JSON, plot; there, it can go on later", parse_text,
       &r->output},
      {"threads", 0, "N", "threads (default: one a core)", parse_threads, &r->threads},
      {"cache-mem", 0, "BYTES", "memory for each cache, then disk (default 2G)", parse_bytes,
       &r->cache_memory},
      {"limit", 0, "NAME=N", "refuse more than pixels=256M, bytes=4G or files=10M", parse_limit,
       &e->limits},
      {"quiet", 'q', NULL, "no progress", parse_switch, &r->quiet},
  };
  const command_spec command = {
      .verb = "reproduce",
      .operands = "[options] DATA-SET --data DIR",
      .purpose = "Runs an experiment of the paper and prints its figures beside those published.\n"
                 "DATA-SET is mnist, fashion-mnist, cifar-10, mvtec or medical.",
      .example = "mkd reproduce mnist --data mnist --expert vgg19.safetensors -o out",
      .options = options,
      .option_count = sizeof options / sizeof options[0],
      .min_operands = 1,
      .max_operands = 1,
  };
  char **operands;
  int count;
  int status = options_parse(&command, argc, argv, &operands, &count);
  if (status != OPTIONS_OK) return status;
  if (!r->data) return usage_error(&command, "--data DIR is missing");
  if (e->ablation->name && !r->output) return usage_error(&command, "--ablation needs -o DIR");
  const char *key = NULL;
  int length = overrides_contradiction(&r->set, &key);
  if (length > 0) return usage_error(&command, "%.*s is set more than once", length, key);
  *name = operands[0];
  return OPTIONS_OK;
}

int verb_reproduce(int argc, char **argv)
{
  const char *name = NULL;
  reproduction r = {
      .cache_memory = UINT64_C(2) << 30,
      .e = {
          .recipe = "paper", .ablation = &no_ablation, .seeds = 1, .limits = mkd_limits_default()}};
  int exit = parse_command_line(&r, &name, argc, argv);
  if (exit == OPTIONS_OK) {
    mkd_status status = prepare(&r, name);
    if (status == MKD_OK) status = run_all(&r);
    if (status == MKD_OK) status = give_results(&r);
    exit = fail("reproduce", status);
    if (status == MKD_CANCELLED && r.output)
      complain("reproduce", "stopped; the same command goes on from %s", r.output);
  }
  for (size_t i = 0; r.e.units && i < experiment_size(&r.e); ++i) unit_result_free(&r.e.units[i]);
  free(r.e.units);
  free(r.e.classes);
  overrides_free(&r.e.settings);
  overrides_free(&r.set);
  for (size_t i = 0; i < r.classes.count; ++i) free(r.classes.names[i]);
  free(r.classes.names);
  mkd_expert_destroy(r.e.network);
  protocol_close(r.e.protocol);
  return exit;
}
