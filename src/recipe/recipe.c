/* The keys of a recipe, as a table; reading and writing follow it. */
#include "recipe/recipe.h"

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/utf8.h"
#include "recipe/embedded.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_POINT_NAME = 64 }; /* bytes */

typedef enum { INTEGER, REAL, REAL_OR_AUTO, BOOLEAN, CHOICE, TEXT, POINTS, EPOCHS } key_type;

typedef struct {
  const char *name;
  key_type type;
  size_t offset;
  double low, high;           /* INTEGER and REAL: inclusive range */
  const char *const *choices; /* CHOICE: in the order of the enum, NULL at the end */
} key;

#define AT(member) offsetof(mk_recipe, member)
#define CHOICES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const key keys[] = {
    {"name", TEXT, AT(name), 0, 0, NULL},
    {"input_width", INTEGER, AT(input_width), 8, 8192, NULL},
    {"input_height", INTEGER, AT(input_height), 8, 8192, NULL},
    {"resize_width", INTEGER, AT(resize_width), 0, 8192, NULL},
    {"resize_height", INTEGER, AT(resize_height), 0, 8192, NULL},
    {"tile_width", INTEGER, AT(tile_width), 0, 1000000, NULL},
    {"tile_height", INTEGER, AT(tile_height), 0, 1000000, NULL},
    {"tile_overlap", REAL, AT(tile_overlap), 0, 0.9, NULL},
    {"resample", CHOICE, AT(resample), 0, 0, CHOICES("bilinear", "lanczos")},
    {"values", CHOICE, AT(values), 0, 0, CHOICES("expert", "unit", "imagenet")},
    {"contrast_below", REAL, AT(contrast_below), 0, 255, NULL},
    {"critical_points", POINTS, AT(critical_points), 0, 0, NULL},
    {"cloner", TEXT, AT(cloner), 0, 0, NULL},
    {"init", CHOICE, AT(init), 0, 0, CHOICES("xavier", "fan-in")},
    {"normalise_targets", BOOLEAN, AT(normalise_targets), 0, 0, NULL},
    {"weight_val", REAL_OR_AUTO, AT(weight_val), 0, 1e9, NULL},
    {"weight_dir", REAL_OR_AUTO, AT(weight_dir), 0, 1e9, NULL},
    {"batch", INTEGER, AT(batch), 1, 4096, NULL},
    {"epochs", EPOCHS, AT(epochs), 1, 100000, NULL},
    {"learning_rate", REAL, AT(learning_rate), 1e-9, 1, NULL},
    {"schedule", CHOICE, AT(schedule), 0, 0, CHOICES("constant", "one-cycle")},
    {"holdout", REAL, AT(holdout), 0.001, 0.9, NULL},
    {"target_type", CHOICE, AT(target_type), 0, 0, CHOICES("fp32", "fp16")},
    {"copies", INTEGER, AT(copies), 0, 1000, NULL},
    {"copies_below", INTEGER, AT(copies_below), 0, 1000000000, NULL},
    {"augment", CHOICE, AT(augment), 0, 0, CHOICES("cached", "fresh")},
    {"warp_rotation", REAL, AT(warp.rotation), 0, 180, NULL},
    {"warp_shift", REAL, AT(warp.shift), 0, 4096, NULL},
    {"warp_scale_low", REAL, AT(warp.scale_low), 0.1, 10, NULL},
    {"warp_scale_high", REAL, AT(warp.scale_high), 0.1, 10, NULL},
    {"warp_contrast", REAL, AT(warp.contrast), 0, 1, NULL},
    {"warp_brightness", REAL, AT(warp.brightness), 0, 255, NULL},
    {"score", CHOICE, AT(score), 0, 0, CHOICES("total", "standardised")},
    {"score_points", POINTS, AT(score_points), 0, 0, NULL},
    {"localize", CHOICE, AT(localize), 0, 0,
     CHOICES("", "none", "discrepancy", "gradient", "smoothgrad", "gbp")},
    {"gradient_of", CHOICE, AT(gradient_of), 0, 0, CHOICES("loss", "excess")},
    {"guided", CHOICE, AT(guided), 0, 0, CHOICES("cloner", "both")},
    {"smoothgrad_samples", INTEGER, AT(smoothgrad_samples), 1, 10000, NULL},
    {"smoothgrad_sigma", REAL, AT(smoothgrad_sigma), 0, 1, NULL},
    {"map_scale", CHOICE, AT(map_scale), 0, 0, CHOICES("raw", "p99")},
    {"map_sigma", REAL, AT(map_sigma), 0, 256, NULL},
    {"map_opening", BOOLEAN, AT(map_opening), 0, 0, NULL},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static void *field(const mk_recipe *recipe, const key *k)
{
  return (char *)recipe + k->offset;
}

static const key *find_key(const char *name, size_t length)
{
  for (int i = 0; i < KEY_COUNT; ++i) {
    if (strlen(keys[i].name) == length && strncmp(keys[i].name, name, length) == 0) return &keys[i];
  }
  return NULL;
}

static mkd_status fail_unknown(const char *origin, const char *name, size_t length)
{
  char list[1024] = "";
  for (int i = 0; i < KEY_COUNT; ++i) {
    strcat(list, i ? ", " : "");
    strcat(list, keys[i].name);
  }
  return mk_fail(MKD_ERROR_ARGUMENT, "%s: a recipe has no key '%.*s'; the keys are %s", origin,
                 (int)(length < 64 ? length : 64), name, list);
}

/* ---- Values from text ------------------------------------------------------------------------ */

static void free_points(mk_point_list *list)
{
  for (int i = 0; i < list->count; ++i) mk_free(list->names[i]);
  list->count = 0;
}

static mkd_status fail_value(const char *origin, const key *k, const char *value)
{
  char wanted[256];
  switch (k->type) {
  case INTEGER:
    snprintf(wanted, sizeof wanted, "a whole number in %.0f .. %.0f", k->low, k->high);
    break;
  case REAL:
    snprintf(wanted, sizeof wanted, "a number in %g .. %g", k->low, k->high);
    break;
  case REAL_OR_AUTO:
    snprintf(wanted, sizeof wanted, "'auto' or a number in %g .. %g", k->low, k->high);
    break;
  case BOOLEAN:
    snprintf(wanted, sizeof wanted, "true or false");
    break;
  case CHOICE:
    wanted[0] = 0;
    for (int i = 0; k->choices[i]; ++i) {
      if (!k->choices[i][0]) continue;
      strcat(wanted, wanted[0] ? ", " : "one of ");
      strcat(wanted, k->choices[i]);
    }
    break;
  case POINTS:
    snprintf(wanted, sizeof wanted, "at most %d names, separated by commas", MK_MAX_POINTS);
    break;
  case EPOCHS:
    snprintf(wanted, sizeof wanted,
             "a number, or rules as '200:40 500:60 30' (40 epochs below 200 images, 60 below 500, "
             "else 30)");
    break;
  default:
    snprintf(wanted, sizeof wanted, "a text");
  }
  return mk_fail(MKD_ERROR_ARGUMENT, "%s: %s = '%.80s' cannot be; it is %s", origin, k->name, value,
                 wanted);
}

static mkd_status set_points(mk_point_list *list, const char *text, bool *fits)
{
  mk_point_list parsed = {.count = 0};
  mkd_status status = MKD_OK;
  *fits = true;
  while (*text && *fits && status == MKD_OK) {
    size_t length = strcspn(text, ", ");
    if (length > 0) {
      *fits = parsed.count < MK_MAX_POINTS && length <= MAX_POINT_NAME;
      if (*fits) status = mk_text_copy_n(&parsed.names[parsed.count], text, length);
      if (*fits && status == MKD_OK) ++parsed.count;
    }
    text += length;
    text += *text != 0;
  }
  if (status != MKD_OK || !*fits) {
    free_points(&parsed);
    return status;
  }
  free_points(list);
  *list = parsed;
  return MKD_OK;
}

static bool set_epochs(mk_epoch_rules *rules, const key *k, const char *text)
{
  mk_epoch_rules parsed = {.count = 0};
  for (;;) {
    while (*text == ' ' || *text == ',') ++text;
    if (!*text) break;
    if (parsed.count == MK_MAX_EPOCH_RULES || !isdigit((unsigned char)*text)) return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    mk_epoch_rule rule = {.below = 0};
    if (*end == ':') {
      rule.below = number;
      if (number < 1 || !isdigit((unsigned char)end[1])) return false;
      number = strtoll(end + 1, &end, 10);
    }
    if (errno || number < (long long)k->low || number > (long long)k->high) return false;
    if (*end && *end != ' ' && *end != ',') return false;
    rule.epochs = (int)number;
    parsed.rules[parsed.count++] = rule;
    text = end;
  }
  if (parsed.count == 0 || parsed.rules[parsed.count - 1].below != 0) return false;
  for (int i = 0; i + 1 < parsed.count; ++i) {
    int64_t previous = i ? parsed.rules[i - 1].below : 0;
    if (parsed.rules[i].below <= previous) return false;
  }
  *rules = parsed;
  return true;
}

static mkd_status set_text(mk_recipe *recipe, const key *k, const char *text, const char *origin)
{
  void *to = field(recipe, k);
  double number;
  bool fits = false;
  if (!mk_is_utf8(text, strlen(text))) return fail_value(origin, k, text); /* as JSON is */
  switch (k->type) {
  case INTEGER:
    fits = mk_parse_number(text, &number) && number >= k->low && number <= k->high &&
           number == floor(number);
    if (fits) *(int *)to = (int)number;
    break;
  case REAL_OR_AUTO:
    if (strcmp(text, "auto") == 0) {
      *(double *)to = NAN;
      return MKD_OK;
    } /* fall through */
  case REAL:
    fits = mk_parse_number(text, &number) && number >= k->low && number <= k->high;
    if (fits) *(double *)to = number;
    break;
  case BOOLEAN:
    fits = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (fits) *(bool *)to = text[0] == 't';
    break;
  case CHOICE:
    for (int i = 0; k->choices[i]; ++i) {
      if (!k->choices[i][0] || strcmp(k->choices[i], text) != 0) continue;
      *(int *)to = i;
      fits = true;
    }
    break;
  case POINTS:
    MK_TRY(set_points(to, text, &fits));
    break;
  case EPOCHS:
    fits = set_epochs(to, k, text);
    break;
  case TEXT: {
    char *copy;
    fits = true;
    MK_TRY(mk_text_copy(&copy, text));
    mk_free(*(char **)to);
    *(char **)to = copy;
  }
  }
  return fits ? MKD_OK : fail_value(origin, k, text);
}

mkd_status mk_recipe_set(mk_recipe *recipe, const char *assignment)
{
  const char *equals = strchr(assignment, '=');
  if (!equals)
    return mk_fail(MKD_ERROR_ARGUMENT, "--set %s: it is key=value, for example epochs=20",
                   assignment);
  const key *k = find_key(assignment, (size_t)(equals - assignment));
  if (!k) return fail_unknown("--set", assignment, (size_t)(equals - assignment));
  return set_text(recipe, k, equals + 1, "--set");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A JSON value as the text that set_text reads. */
static mkd_status value_text(char **text, json_t *value, const key *k, const char *origin)
{
  if (json_is_string(value)) return mk_text_copy(text, json_string_value(value));
  if (k->type == TEXT) return fail_value(origin, k, "(not a text)");
  if (json_is_array(value) && k->type == POINTS) {
    char list[MK_MAX_POINTS * 80] = "";
    size_t i, used = 0;
    json_t *item;
    json_array_foreach(value, i, item)
    {
      const char *name = json_string_value(item);
      if (!name || strlen(name) > MAX_POINT_NAME || i >= MK_MAX_POINTS)
        return fail_value(origin, k, name ? name : "(not a text)");
      used += (size_t)snprintf(list + used, sizeof list - used, "%s,", name);
    }
    return mk_text_copy(text, list);
  }
  return mk_json_format(text, json_incref(value), JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

static const char *embedded_json(const char *name)
{
  for (int i = 0; mk_embedded_recipes[i].name; ++i) {
    if (strcmp(mk_embedded_recipes[i].name, name) == 0) return mk_embedded_recipes[i].json;
  }
  return NULL;
}

/* What the object does not name comes from its base; without a base, it has to name everything. */
/* NOLINTNEXTLINE(misc-no-recursion): bases are recipes of our own */
static mkd_status parse_base(mk_recipe *recipe, const json_t *object, const char *origin)
{
  const json_t *base = json_object_get(object, "base");
  if (base) {
    const char *name = json_string_value(base), *json = name ? embedded_json(name) : NULL;
    if (!json)
      return mk_fail(MKD_ERROR_ARGUMENT, "%s: base '%.80s' is not default, paper or paper-code",
                     origin, name ? name : "(not a text)");
    return mk_recipe_parse(recipe, json, name);
  }
  for (int i = 0; i < KEY_COUNT; ++i) {
    if (!json_object_get(object, keys[i].name))
      return mk_fail(MKD_ERROR_FILE, "%s: has neither a base nor the key '%s'", origin,
                     keys[i].name);
  }
  return MKD_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): bases are recipes of our own */
static mkd_status parse_object(mk_recipe *recipe, json_t *object, const char *origin)
{
  const char *name;
  json_t *value;
  MK_TRY(parse_base(recipe, object, origin));
  json_object_foreach(object, name, value)
  {
    if (strcmp(name, "base") == 0) continue;
    const key *k = find_key(name, strlen(name));
    if (!k) return fail_unknown(origin, name, strlen(name));
    char *text;
    MK_TRY(value_text(&text, value, k, origin));
    mkd_status status = set_text(recipe, k, text, origin);
    mk_free(text);
    MK_TRY(status);
  }
  return MKD_OK;
}

/* The caller calls json_decref. */
static mkd_status load_object(json_t **object, const char *json, size_t size, const char *origin)
{
  mkd_status status = mk_json_parse(object, json, size);
  if (status == MKD_OK && !json_is_object(*object)) {
    json_decref(*object);
    status = mk_fail(MKD_ERROR_FILE, "no JSON object");
  }
  if (status == MKD_OK) return status;
  mk_fail_in(status, "not a recipe");
  return mk_fail_in(status, origin);
}

/* Takes the object over. */
/* NOLINTNEXTLINE(misc-no-recursion): bases are recipes of our own */
static mkd_status parse_whole(mk_recipe *recipe, json_t *object, const char *origin)
{
  memset(recipe, 0, sizeof *recipe);
  mkd_status status = parse_object(recipe, object, origin);
  json_decref(object);
  if (status != MKD_OK) mk_recipe_free(recipe);
  /* It is a file that is wrong, not the command. */
  return status == MKD_ERROR_ARGUMENT ? MKD_ERROR_FILE : status;
}

/* NOLINTNEXTLINE(misc-no-recursion): bases are recipes of our own */
mkd_status mk_recipe_parse(mk_recipe *recipe, const char *json, const char *origin)
{
  json_t *object;
  MK_TRY(load_object(&object, json, strlen(json), origin));
  return parse_whole(recipe, object, origin);
}

mkd_status mk_recipe_load(mk_recipe *recipe, const char *name)
{
  const char *embedded = embedded_json(name);
  if (embedded) return mk_recipe_parse(recipe, embedded, name);
  if (!strchr(name, '.') && !strchr(name, '/'))
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "recipe: '%s' is not known; it is default, paper, paper-code, or a JSON file",
                   name);
  mk_bytes bytes;
  json_t *object;
  MK_TRY(mk_file_read(&bytes, name, 1 << 20));
  mkd_status status = load_object(&object, (const char *)bytes.data, bytes.size, name);
  mk_free(bytes.data);
  MK_TRY(status);
  /* A file says only what differs from its base. */
  if (!json_object_get(object, "base") &&
      json_object_set_new(object, "base", json_string("default")) != 0) {
    json_decref(object);
    return mk_fail_memory(0);
  }
  return parse_whole(recipe, object, name);
}

static json_t *key_json(const mk_recipe *recipe, const key *k)
{
  const void *from = field(recipe, k);
  char text[256] = "";
  switch (k->type) {
  case INTEGER:
    return json_integer(*(const int *)from);
  case REAL_OR_AUTO:
    if (isnan(*(const double *)from)) return json_string("auto"); /* fall through */
  case REAL:
    return json_real(*(const double *)from);
  case BOOLEAN:
    return json_boolean(*(const bool *)from);
  case CHOICE:
    return json_string(k->choices[*(const int *)from]);
  case POINTS: {
    const mk_point_list *list = from;
    json_t *array = json_array();
    for (int i = 0; array && i < list->count; ++i) {
      if (json_array_append_new(array, json_string(list->names[i])) == 0) continue;
      json_decref(array);
      return NULL;
    }
    return array;
  }
  case EPOCHS: {
    const mk_epoch_rules *rules = from;
    size_t used = 0;
    for (int i = 0; i < rules->count && used < sizeof text; ++i) {
      const mk_epoch_rule *rule = &rules->rules[i];
      if (rule->below)
        used += (size_t)snprintf(text + used, sizeof text - used, "%lld:%d ",
                                 (long long)rule->below, rule->epochs);
      else
        used += (size_t)snprintf(text + used, sizeof text - used, "%d", rule->epochs);
    }
    return json_string(text);
  }
  case TEXT:
    return json_string(*(char *const *)from ? *(char *const *)from : "");
  }
  return NULL;
}

mkd_status mk_recipe_to_json(char **json, const mk_recipe *recipe)
{
  json_t *object = json_object();
  for (int i = 0; object && i < KEY_COUNT; ++i) {
    json_t *value = key_json(recipe, &keys[i]);
    if (!value || json_object_set_new(object, keys[i].name, value) != 0) {
      json_decref(object);
      object = NULL;
    }
  }
  return mk_json_format(json, object, JSON_COMPACT | JSON_REAL_PRECISION(17));
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool contains(const mk_point_list *list, const char *name)
{
  for (int i = 0; i < list->count; ++i) {
    if (strcmp(list->names[i], name) == 0) return true;
  }
  return false;
}

mkd_status mk_recipe_check(const mk_recipe *r)
{
  const mkd_status wrong = MKD_ERROR_ARGUMENT;
  const int least_tile = 8;
  if (r->critical_points.count == 0)
    return mk_fail(wrong, "recipe: critical_points is empty; name at least one");
  for (int i = 0; i < r->critical_points.count; ++i) {
    for (int j = 0; j < i; ++j) {
      if (strcmp(r->critical_points.names[i], r->critical_points.names[j]) == 0)
        return mk_fail(wrong, "recipe: critical_points names '%s' twice",
                       r->critical_points.names[i]);
    }
  }
  for (int i = 0; i < r->score_points.count; ++i) {
    if (!contains(&r->critical_points, r->score_points.names[i]))
      return mk_fail(wrong, "recipe: score_points names '%s', which is not a critical point",
                     r->score_points.names[i]);
  }
  if (!r->cloner || !*r->cloner) return mk_fail(wrong, "recipe: cloner is empty");
  if (isnan(r->weight_val) && isnan(r->weight_dir))
    return mk_fail(wrong, "recipe: weight_val and weight_dir cannot both be auto");
  if (r->weight_val == 0 && r->weight_dir == 0)
    return mk_fail(wrong, "recipe: weight_val and weight_dir are both 0: nothing to learn");
  if ((isnan(r->weight_val) && r->weight_dir == 0) || (isnan(r->weight_dir) && r->weight_val == 0))
    return mk_fail(wrong, "recipe: a weight is auto while the other is 0");
  if (r->warp.scale_low > r->warp.scale_high)
    return mk_fail(wrong, "recipe: warp_scale_low is above warp_scale_high");
  if ((r->resize_width && r->resize_width < r->input_width) ||
      (r->resize_height && r->resize_height < r->input_height))
    return mk_fail(wrong,
                   "recipe: resize_width and resize_height must not be below the input size");
  if ((r->tile_width && r->tile_width < least_tile) ||
      (r->tile_height && r->tile_height < least_tile))
    return mk_fail(wrong, "recipe: tile_width and tile_height must be 0 (no tiles) or at least %d",
                   least_tile);
  return MKD_OK;
}

mkd_status mk_recipe_copy(mk_recipe *copy, const mk_recipe *recipe)
{
  char *json;
  MK_TRY(mk_recipe_to_json(&json, recipe));
  mkd_status status = mk_recipe_parse(copy, json, "recipe");
  mk_free(json);
  return status;
}

void mk_recipe_free(mk_recipe *recipe)
{
  mk_free(recipe->name);
  mk_free(recipe->cloner);
  free_points(&recipe->critical_points);
  free_points(&recipe->score_points);
  memset(recipe, 0, sizeof *recipe);
}

int mk_recipe_epochs(const mk_recipe *recipe, size_t images)
{
  const mk_epoch_rules *rules = &recipe->epochs;
  for (int i = 0; i < rules->count; ++i) {
    if (rules->rules[i].below == 0 || images < (size_t)rules->rules[i].below)
      return rules->rules[i].epochs;
  }
  return 1;
}
