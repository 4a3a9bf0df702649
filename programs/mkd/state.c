#include "state.h"

#include "cli.h"
#include "destination.h"
#include "folders.h"
#include "json.h"
#include "output.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SAMPLES = 100000, LONGEST_NAME = 160 };

/* ---- The command ----------------------------------------------------------------------------- */

static mkd_status refuse_json(const char *path, const json_error_t *error)
{
  return refuse(MKD_ERROR_FILE, "%s: line %d: %s", path, error->line, error->text);
}

static json_t *joined_settings(const overrides *settings)
{
  char *text = text_format("%s", "");
  for (size_t i = 0; i < settings->count; ++i) {
    char *longer = text_format("%s%s%s", text, i ? "; " : "", settings->texts[i]);
    free(text);
    text = longer;
  }
  json_t *value = json_string(text);
  free(text);
  return value;
}

/* Everything that results depend on, by the name that a message calls it. */
static mkd_status describe(json_t **command, const experiment *e)
{
  char *recipe;
  mkd_status status = mkd_describe(&recipe, e->recipe, &e->limits);
  if (status != MKD_OK) return status;
  char place[PATH_MAX];
  const char *expert = e->expert ? e->expert : getenv("MKD_EXPERT");
  if (expert && expert[0] && realpath(expert, place)) expert = place;
  *command = json_pack(
      "{s:s, s:s, s:s, s:o?, s:s, s:s, s:s, s:I, s:s, s:s}", "data set", protocol_name(e->protocol),
      "data", protocol_place(e->protocol), "recipe", e->recipe, "settings",
      joined_settings(&e->settings), "expert", expert && expert[0] ? expert : "the installed one",
      "content of the expert", mkd_expert_sha256(e->network), "ablation",
      e->ablation->name ? e->ablation->name : "none", "limit of training images",
      (json_int_t)e->limit, "version of mkd", mkd_version(), "content of the recipe", recipe);
  mkd_text_free(recipe);
  return *command ? MKD_OK
                  : refuse(MKD_ERROR_ARGUMENT, "names that are not UTF-8 cannot be kept with -o");
}

static char *value_text(const json_t *value)
{
  if (json_is_string(value)) return text_format("%.60s", json_string_value(value));
  if (json_is_integer(value)) return text_format("%lld", (long long)json_integer_value(value));
  return text_format("unknown");
}

static mkd_status compare(const char *folder, const json_t *before, json_t *now)
{
  const char *key;
  json_t *value;
  json_object_foreach(now, key, value)
  {
    const json_t *old = json_object_get(before, key);
    if (json_equal(old, value)) continue;
    char *was = value_text(old), *is = value_text(value);
    mkd_status status =
        strcmp(was, is) == 0
            ? refuse(MKD_ERROR_ARGUMENT,
                     "%s: holds results of another command: the %s has changed since; name another "
                     "folder with -o",
                     folder, key)
            : refuse(MKD_ERROR_ARGUMENT,
                     "%s: holds results of another command: the %s was \"%s\", now it is \"%s\"; "
                     "name another folder with -o",
                     folder, key, was, is);
    free(was);
    free(is);
    return status;
  }
  return MKD_OK;
}

static mkd_status save_json(const char *path, const json_t *object)
{
  destination to;
  mkd_status status = destination_open(&to, path);
  if (status != MKD_OK) return status;
  if (json_dumpf(object, to.file, JSON_INDENT(2)) != 0)
    status = refuse(MKD_ERROR_MEMORY, "%s: out of memory", path);
  fputc('\n', to.file);
  return destination_close(&to, status);
}

static bool has_files(const char *folder)
{
  DIR *stream = opendir(folder);
  bool found = false;
  for (struct dirent *entry; stream && !found && (entry = readdir(stream));)
    found = entry->d_name[0] != '.';
  if (stream) closedir(stream);
  return found;
}

/* Of a folder without command.json, which no experiment has filled. */
static mkd_status check_foreign(const char *folder)
{
  const char *const names[] = {"results.csv", "results.json", "ablation.svg", "units"};
  mkd_status status = MKD_OK;
  for (size_t i = 0; status == MKD_OK && i < sizeof names / sizeof names[0]; ++i) {
    char *path = text_format("%s/%s", folder, names[i]);
    if (access(path, F_OK) == 0)
      status = refuse(MKD_ERROR_ARGUMENT,
                      "%s: is there, but no command.json that tells what it is of; name another "
                      "folder with -o",
                      path);
    free(path);
  }
  return status;
}

mkd_status state_open(const char *folder, const experiment *e)
{
  json_t *now;
  mkd_status status = describe(&now, e);
  if (status != MKD_OK) return status;
  char *path = text_format("%s/command.json", folder), *units = text_format("%s/units/", folder);
  if (access(path, F_OK) != 0) {
    status = check_foreign(folder);
  } else if (has_files(
                 units)) { /* else no unit has been finished, and the command may be another */
    json_error_t error;
    json_t *before = json_from_file(path, &error);
    status = before ? compare(folder, before, now) : refuse_json(path, &error);
    json_decref(before);
  }
  if (status == MKD_OK) status = folders_make(units);
  if (status == MKD_OK) status = save_json(path, now);
  json_decref(now);
  free(path);
  free(units);
  return status;
}

/* ---- Units ----------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
  return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Of a class, whose name may be that of any folder: %XX for what is not plain; the end of a long
 * one is its hash (FNV-1a). */
static char *encoded(const char *name)
{
  char *text = must_grow(NULL, LONGEST_NAME + 24, 1);
  size_t used = 0;
  uint64_t hash = UINT64_C(14695981039346656037);
  for (const char *s = name; *s; ++s) {
    hash = (hash ^ (unsigned char)*s) * UINT64_C(1099511628211);
    if (used + 3 > LONGEST_NAME) continue;
    if (is_plain(*s))
      text[used++] = *s;
    else
      used += (size_t)snprintf(text + used, 4, "%%%02X", (unsigned char)*s);
  }
  if (used + 3 > LONGEST_NAME)
    snprintf(text + used, 24, "%%%016llx", (unsigned long long)hash);
  else
    text[used] = '\0';
  return text;
}

/* CLASS[.VARIANT].seed_N.json; variants differ in plain characters. */
static char *unit_path(const char *folder, const unit_name *name)
{
  char *class_name = encoded(name->class_name), *variant = text_format("%s", name->variant);
  for (char *s = variant; *s; ++s)
    if (!is_plain(*s)) *s = '_';
  char *path = text_format("%s/units/%s%s%s.seed_%llu.json", folder, class_name,
                           variant[0] ? "." : "", variant, (unsigned long long)name->seed);
  free(class_name);
  free(variant);
  return path;
}

void state_write_unit(FILE *file, const unit_name *name, const unit_result *r)
{
  fputs("{\"class\": ", file);
  json_text(file, name->class_name);
  fputs(", \"variant\": ", file);
  json_text(file, name->variant);
  fprintf(file, ", \"seed\": %llu, \"epochs\": %d", (unsigned long long)name->seed, r->epochs);
  fprintf(file, ", \"images\": {\"train\": %zu, \"normal\": %zu, \"anomalous\": %zu}",
          r->trained_on, r->normal, r->anomalous);
  fputs(", \"samples\": [", file);
  for (size_t i = 0; i < r->sample_count; ++i) {
    fprintf(file, "%s{\"epoch\": %d, \"auroc\": ", i ? ", " : "", r->samples[i].epoch);
    json_number(file, r->samples[i].auroc);
    fputc('}', file);
  }
  fputs("], \"maps\": [", file);
  for (size_t i = 0; i < r->map_count; ++i) {
    fprintf(file, "%s{\"auroc_anomalous\": ", i ? ", " : "");
    json_number(file, r->maps[i].auroc_anomalous);
    fputs(", \"auroc_all\": ", file);
    json_number(file, r->maps[i].auroc_all);
    fputs(", \"aupro_0.3\": ", file);
    json_number(file, r->maps[i].aupro);
    fputc('}', file);
  }
  fputs("], \"seconds\": ", file);
  json_number(file, r->seconds);
  fputc('}', file);
}

mkd_status state_save(const char *folder, const unit_name *name, const unit_result *result)
{
  char *path = unit_path(folder, name);
  destination to;
  mkd_status status = destination_open(&to, path);
  if (status == MKD_OK) {
    state_write_unit(to.file, name, result);
    fputc('\n', to.file);
    status = destination_close(&to, status);
  }
  free(path);
  return status;
}

static double number_of(const json_t *object, const char *key)
{
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool parse_samples(const json_t *array, unit_result *r)
{
  size_t i, count = json_array_size(array);
  json_t *item;
  if (count == 0 || count > MAX_SAMPLES) return false;
  r->samples = must_grow(NULL, count, sizeof *r->samples);
  json_array_foreach((json_t *)array, i, item)
  {
    double epoch = number_of(item, "epoch"), auroc = number_of(item, "auroc");
    if (!(epoch >= 1 && epoch <= r->epochs) || !(auroc >= 0 && auroc <= 1)) return false;
    r->samples[r->sample_count++] = (unit_sample){(int)epoch, auroc};
  }
  return true;
}

static bool parse_unit(const json_t *unit, const unit_name *name, size_t maps, unit_result *r)
{
  const char *class_name, *variant;
  json_int_t seed, trained_on, normal, anomalous;
  json_t *samples, *figures, *item;
  size_t i;
  if (json_unpack((json_t *)unit, "{s:s, s:s, s:I, s:i, s:{s:I, s:I, s:I}, s:o, s:o, s:F}", "class",
                  &class_name, "variant", &variant, "seed", &seed, "epochs", &r->epochs, "images",
                  "train", &trained_on, "normal", &normal, "anomalous", &anomalous, "samples",
                  &samples, "maps", &figures, "seconds", &r->seconds) != 0)
    return false;
  if (strcmp(class_name, name->class_name) != 0 || strcmp(variant, name->variant) != 0 ||
      seed != (json_int_t)name->seed || trained_on < 0 || normal < 0 || anomalous < 0)
    return false;
  r->trained_on = (size_t)trained_on;
  r->normal = (size_t)normal;
  r->anomalous = (size_t)anomalous;
  if (!parse_samples(samples, r) || json_array_size(figures) != maps) return false;
  json_array_foreach(figures, i, item)
  {
    if (!json_object_get(item, "auroc_anomalous")) return false;
    r->maps[r->map_count++] =
        (unit_maps){number_of(item, "auroc_anomalous"), number_of(item, "auroc_all"),
                    number_of(item, "aupro_0.3")};
  }
  return true;
}

mkd_status state_load(const char *folder, const unit_name *name, const experiment *e,
                      unit_result *result, bool *found)
{
  char *path = unit_path(folder, name);
  mkd_status status = MKD_OK;
  *found = access(path, F_OK) == 0;
  if (*found) {
    json_error_t error;
    size_t maps = protocol_has_masks(e->protocol) ? e->ablation->map_count : 0;
    json_t *unit = json_from_file(path, &error);
    *result = (unit_result){0};
    if (!unit)
      status = refuse_json(path, &error);
    else if (!parse_unit(unit, name, maps, result))
      status = refuse(MKD_ERROR_FILE, "%s: is no result of this command; remove it to run it again",
                      path);
    json_decref(unit);
    if (status != MKD_OK) unit_result_free(result);
  }
  free(path);
  return status;
}
