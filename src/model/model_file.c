#include "model/model_file.h"

#include "core/download.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/memory.h"
#include "nn/exec.h"
#include "nn/graph_tensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_HELD_OUT = 10000000 };

static const char *const localize_names[] = {"",         "none",       "discrepancy",
                                             "gradient", "smoothgrad", "gbp"};
enum { LOCALIZE_COUNT = sizeof localize_names / sizeof localize_names[0] };

/* ---- Writing --------------------------------------------------------------------------------- */

/* Fails the whole when any part could not be allocated; frees both. */
static mkd_status add_json(mk_tensors *tensors, const char *key, json_t *value)
{
  char *text;
  MK_TRY(mk_json_format(&text, value, JSON_COMPACT | JSON_REAL_PRECISION(17)));
  mkd_status status = mk_tensors_add_metadata(tensors, key, text);
  mk_free(text);
  return status;
}

static json_t *number_array(const double *numbers, size_t count)
{
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; ++i) {
    if (json_array_append_new(array, json_real(numbers[i])) == 0) continue;
    json_decref(array);
    return NULL;
  }
  return array;
}

static json_t *float_array(const float *numbers, size_t count)
{
  double wide[3];
  for (size_t i = 0; i < count; ++i) wide[i] = (double)numbers[i];
  return number_array(wide, count);
}

static json_t *input_json(const mk_input_spec *input)
{
  return json_pack("{s:i, s:i, s:i, s:i, s:s, s:o, s:o, s:f, s:f, s:i, s:i, s:f}", "width",
                   input->width, "height", input->height, "resize_width", input->resize_width,
                   "resize_height", input->resize_height, "resample",
                   input->filter == MK_RESAMPLE_LANCZOS ? "lanczos" : "bilinear", "mean",
                   float_array(input->mean, 3), "std", float_array(input->std, 3), "low",
                   (double)input->low, "high", (double)input->high, "tile_width", input->tile_width,
                   "tile_height", input->tile_height, "tile_overlap", input->tile_overlap);
}

static json_t *calibration_json(const mkd_detector *d)
{
  const mk_calibration *c = &d->calibration;
  size_t points = (size_t)d->point_count;
  bool maps = c->localize != MKD_LOCALIZE_NONE;
  return json_pack("{s:f, s:s, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                   "false_alarm", c->false_alarm, "localize", localize_names[c->localize], "scores",
                   number_array(c->scores, c->held_out), "map_maxima",
                   number_array(c->map_maxima, maps ? c->held_out : 0), "square_mean",
                   number_array(c->square_mean, points), "square_deviation",
                   number_array(c->square_deviation, points), "cosine_mean", c->cosine_mean,
                   "cosine_deviation", c->cosine_deviation, "largest_square_mean",
                   c->largest_square_mean, "largest_square_deviation", c->largest_square_deviation,
                   "largest_cosine_mean", c->largest_cosine_mean, "largest_cosine_deviation",
                   c->largest_cosine_deviation, "map_mean", c->map_mean);
}

/* JSON has no NaN. */
static json_t *real_or_null(double value)
{
  return isfinite(value) ? json_real(value) : json_null();
}

static json_t *provenance_json(const mkd_detector *d)
{
  const mk_provenance *p = &d->provenance;
  return json_pack(
      "{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:o, s:o, s:b, s:f, s:f}", "mkd_version", p->mkd_version,
      "kernels", p->kernels, "expert_arch", p->expert_arch, "expert_sha256", p->expert_sha256,
      "seed", (json_int_t)p->seed, "trained_images", (json_int_t)p->trained_images, "epochs",
      p->epochs, "loss", real_or_null(p->loss), "held_out_loss", real_or_null(p->held_out_loss),
      "converged", (int)p->converged, "weight_val", d->weight_val, "weight_dir", d->weight_dir);
}

static mkd_status add_statistics(mk_tensors *tensors, const char *kind, const char *point,
                                 const float *values, size_t channels)
{
  char name[MK_NAME_MAX + 32];
  mk_tensor *tensor;
  if (!values) return MKD_OK;
  snprintf(name, sizeof name, "%s.%s", kind, point);
  MK_TRY(mk_tensors_add(tensors, name, 1, &channels, &tensor));
  memcpy(tensor->data, values, channels * sizeof *values);
  return MKD_OK;
}

static mkd_status collect(mk_tensors *tensors, const mkd_detector *d)
{
  char version[16], *recipe;
  snprintf(version, sizeof version, "%d", MK_MODEL_VERSION);
  MK_TRY(mk_tensors_add_metadata(tensors, "mkd_model", version));
  MK_TRY(mk_recipe_to_json(&recipe, &d->recipe));
  mkd_status status = mk_tensors_add_metadata(tensors, "recipe", recipe);
  mk_free(recipe);
  MK_TRY(status);
  MK_TRY(add_json(tensors, "input", input_json(&d->input)));
  MK_TRY(add_json(tensors, "calibration", calibration_json(d)));
  MK_TRY(add_json(tensors, "provenance", provenance_json(d)));
  MK_TRY(mk_graph_to_tensors(tensors, d->expert, "expert."));
  MK_TRY(mk_graph_to_tensors(tensors, d->cloner, "cloner."));
  for (int p = 0; p < d->point_count; ++p) {
    size_t channels = (size_t)d->expert->ops[d->expert_outputs[p]].channels;
    const char *point = d->recipe.critical_points.names[p];
    MK_TRY(add_statistics(tensors, "target_mean", point, d->target_mean[p], channels));
    MK_TRY(add_statistics(tensors, "target_deviation", point, d->target_deviation[p], channels));
  }
  return MKD_OK;
}

mkd_status mkd_detector_save(const mkd_detector *detector, const char *path)
{
  mk_tensors tensors = {0};
  mkd_status status = collect(&tensors, detector);
  if (status == MKD_OK) status = mk_safetensors_write(&tensors, path);
  mk_tensors_free(&tensors);
  return status;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static mkd_status get_json(json_t **object, const mk_tensors *tensors, const char *key)
{
  const char *text = mk_tensors_metadata(tensors, key);
  if (!text) return mk_fail(MKD_ERROR_FILE, "metadata '%s' is missing", key);
  mkd_status status = mk_json_parse(object, text, strlen(text));
  if (status != MKD_OK) return mk_fail_in(status, key);
  if (json_is_object(*object)) return MKD_OK;
  json_decref(*object);
  return mk_fail(MKD_ERROR_FILE, "metadata '%s' is no JSON object", key);
}

static mkd_status get_real(const json_t *object, const char *key, double low, double high,
                           double *value)
{
  const json_t *number = json_object_get(object, key);
  if (!json_is_number(number)) return mk_fail(MKD_ERROR_FILE, "'%s' is missing or no number", key);
  double found = json_number_value(number);
  if (!(found >= low && found <= high))
    return mk_fail(MKD_ERROR_FILE, "'%s' is %g, not in %g .. %g", key, found, low, high);
  *value = found;
  return MKD_OK;
}

/* NAN for null. */
static mkd_status get_real_or_null(const json_t *object, const char *key, double *value)
{
  *value = NAN;
  if (json_is_null(json_object_get(object, key))) return MKD_OK;
  return get_real(object, key, -1e300, 1e300, value);
}

static mkd_status get_integer(const json_t *object, const char *key, int low, int high, int *value)
{
  double number;
  MK_TRY(get_real(object, key, low, high, &number));
  if (number != floor(number)) return mk_fail(MKD_ERROR_FILE, "'%s' is no whole number", key);
  *value = (int)number;
  return MKD_OK;
}

static mkd_status get_reals(const json_t *object, const char *key, size_t count, double low,
                            double high, double *values)
{
  const json_t *array = json_object_get(object, key);
  if (!json_is_array(array) || json_array_size(array) != count)
    return mk_fail(MKD_ERROR_FILE, "'%s' is missing or has not %zu numbers", key, count);
  for (size_t i = 0; i < count; ++i) {
    const json_t *number = json_array_get(array, i);
    double found = json_number_value(number);
    if (!json_is_number(number) || !(found >= low && found <= high))
      return mk_fail(MKD_ERROR_FILE, "number %zu of '%s' is not one in %g .. %g", i + 1, key, low,
                     high);
    values[i] = found;
  }
  return MKD_OK;
}

static mkd_status get_text(const json_t *object, const char *key, char **text)
{
  const char *found = json_string_value(json_object_get(object, key));
  if (!found) return mk_fail(MKD_ERROR_FILE, "'%s' is missing or no text", key);
  return mk_text_copy(text, found);
}

static mkd_status read_input(mk_input_spec *input, const json_t *object)
{
  double mean[3], std[3], low, high;
  const double big = 1e6, small = 1e-6;
  const int most = 8192, largest_tile = 1000000;
  MK_TRY(get_integer(object, "width", 1, most, &input->width));
  MK_TRY(get_integer(object, "height", 1, most, &input->height));
  MK_TRY(get_integer(object, "resize_width", input->width, most, &input->resize_width));
  MK_TRY(get_integer(object, "resize_height", input->height, most, &input->resize_height));
  MK_TRY(get_integer(object, "tile_width", 0, largest_tile, &input->tile_width));
  MK_TRY(get_integer(object, "tile_height", 0, largest_tile, &input->tile_height));
  MK_TRY(get_real(object, "tile_overlap", 0, 0.9, &input->tile_overlap));
  MK_TRY(get_reals(object, "mean", 3, -big, big, mean));
  MK_TRY(get_reals(object, "std", 3, small, big, std));
  MK_TRY(get_real(object, "low", 0, 255, &low));
  MK_TRY(get_real(object, "high", 0, 255, &high));
  if (!(high - low >= small)) return mk_fail(MKD_ERROR_FILE, "'high' is not above 'low'");
  input->low = (float)low;
  input->high = (float)high;
  for (int c = 0; c < 3; ++c) {
    input->mean[c] = (float)mean[c];
    input->std[c] = (float)std[c];
  }
  const char *filter = json_string_value(json_object_get(object, "resample"));
  if (!filter || (strcmp(filter, "bilinear") != 0 && strcmp(filter, "lanczos") != 0))
    return mk_fail(MKD_ERROR_FILE, "'resample' is neither bilinear nor lanczos");
  input->filter = filter[0] == 'l' ? MK_RESAMPLE_LANCZOS : MK_RESAMPLE_BILINEAR;
  return MKD_OK;
}

static mkd_status check_ascending(const double *numbers, size_t count, const char *key)
{
  for (size_t i = 1; i < count; ++i) {
    if (numbers[i] < numbers[i - 1])
      return mk_fail(MKD_ERROR_FILE, "'%s' are not in ascending order", key);
  }
  return MKD_OK;
}

static mkd_status read_calibration(mk_calibration *c, const json_t *object, size_t points)
{
  /* Far beyond what calibration gives, and within what fp32 and quotients can bear. */
  const double huge = 1e300, big = 1e30, least = 1e-12;
  const char *name = json_string_value(json_object_get(object, "localize"));
  for (int i = 1; name && i < LOCALIZE_COUNT; ++i) {
    if (strcmp(name, localize_names[i]) == 0) c->localize = (mkd_localize)i;
  }
  if (!c->localize) return mk_fail(MKD_ERROR_FILE, "'localize' is no known method");
  size_t count = json_array_size(json_object_get(object, "scores"));
  if (count < 1 || count > MAX_HELD_OUT)
    return mk_fail(MKD_ERROR_FILE, "'scores' is missing, empty or too long");
  MK_TRY(mk_alloc(&c->scores, count, sizeof(double)));
  MK_TRY(mk_alloc(&c->map_maxima, count, sizeof(double)));
  c->held_out = count;
  MK_TRY(get_reals(object, "scores", count, -huge, huge, c->scores));
  MK_TRY(check_ascending(c->scores, count, "scores"));
  if (c->localize != MKD_LOCALIZE_NONE) {
    MK_TRY(get_reals(object, "map_maxima", count, -huge, huge, c->map_maxima));
    MK_TRY(check_ascending(c->map_maxima, count, "map_maxima"));
  }
  MK_TRY(get_real(object, "false_alarm", 1e-12, 1 - 1e-12, &c->false_alarm));
  MK_TRY(get_reals(object, "square_mean", points, 0, big, c->square_mean));
  MK_TRY(get_reals(object, "square_deviation", points, least, big, c->square_deviation));
  MK_TRY(get_real(object, "cosine_mean", -big, big, &c->cosine_mean));
  MK_TRY(get_real(object, "cosine_deviation", least, big, &c->cosine_deviation));
  MK_TRY(get_real(object, "map_mean", -big, big, &c->map_mean));
  MK_TRY(get_real(object, "largest_square_mean", -big, big, &c->largest_square_mean));
  MK_TRY(get_real(object, "largest_cosine_mean", -big, big, &c->largest_cosine_mean));
  MK_TRY(get_real(object, "largest_square_deviation", least, big, &c->largest_square_deviation));
  return get_real(object, "largest_cosine_deviation", least, big, &c->largest_cosine_deviation);
}

static mkd_status read_provenance(mkd_detector *d, const json_t *object)
{
  mk_provenance *p = &d->provenance;
  const json_t *seed = json_object_get(object, "seed");
  const json_t *converged = json_object_get(object, "converged");
  double images;
  MK_TRY(get_text(object, "mkd_version", &p->mkd_version));
  MK_TRY(get_text(object, "kernels", &p->kernels));
  MK_TRY(get_text(object, "expert_arch", &p->expert_arch));
  MK_TRY(get_text(object, "expert_sha256", &p->expert_sha256));
  if (!json_is_integer(seed) || json_integer_value(seed) < 0)
    return mk_fail(MKD_ERROR_FILE, "'seed' is no whole number from 0");
  p->seed = (uint64_t)json_integer_value(seed);
  MK_TRY(get_real(object, "trained_images", 1, 1e15, &images));
  p->trained_images = (size_t)images;
  MK_TRY(get_integer(object, "epochs", 1, 1 << 30, &p->epochs));
  MK_TRY(get_real_or_null(object, "loss", &p->loss));
  MK_TRY(get_real_or_null(object, "held_out_loss", &p->held_out_loss));
  if (!json_is_boolean(converged))
    return mk_fail(MKD_ERROR_FILE, "'converged' is neither true nor false");
  p->converged = json_is_true(converged);
  MK_TRY(get_real(object, "weight_val", 0, 1e300, &d->weight_val));
  return get_real(object, "weight_dir", 0, 1e300, &d->weight_dir);
}

static mkd_status read_statistics(const mk_tensors *tensors, const char *kind, const char *point,
                                  size_t channels, float **values)
{
  char name[MK_NAME_MAX + 32];
  snprintf(name, sizeof name, "%s.%s", kind, point);
  const mk_tensor *tensor = mk_tensors_find(tensors, name);
  if (!tensor || tensor->count != channels)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' is missing or has not %zu numbers", name, channels);
  MK_TRY(mk_tensor_check_finite(tensor));
  MK_TRY(mk_alloc(values, channels, sizeof **values));
  memcpy(*values, tensor->data, channels * sizeof **values);
  return MKD_OK;
}

static mkd_status read_points(mkd_detector *d, const mk_tensors *tensors)
{
  const mk_recipe *recipe = &d->recipe;
  d->point_count = recipe->critical_points.count;
  if (d->expert->ops[0].channels != 3 || d->cloner->ops[0].channels != 3)
    return mk_fail(MKD_ERROR_FILE, "the networks do not take 3 channels");
  for (int p = 0; p < d->point_count; ++p) {
    const char *name = recipe->critical_points.names[p];
    d->expert_outputs[p] = mk_graph_find(d->expert, name);
    d->cloner_outputs[p] = mk_graph_find(d->cloner, name);
    if (d->expert_outputs[p] < 1 || d->cloner_outputs[p] < 1)
      return mk_fail(MKD_ERROR_FILE, "critical point '%s' is missing in expert or cloner", name);
    if (!recipe->normalise_targets) continue;
    size_t channels = (size_t)d->expert->ops[d->expert_outputs[p]].channels;
    MK_TRY(read_statistics(tensors, "target_mean", name, channels, &d->target_mean[p]));
    MK_TRY(read_statistics(tensors, "target_deviation", name, channels, &d->target_deviation[p]));
    for (size_t c = 0; c < channels; ++c) {
      if (!(d->target_deviation[p][c] > 0))
        return mk_fail(MKD_ERROR_FILE, "tensor 'target_deviation.%s' is not positive", name);
    }
  }
  return MKD_OK;
}

/* Every operation has to serve a critical point: pruning makes that sure whatever the file says. */
static mkd_status read_graph(mk_graph **graph, const mk_tensors *tensors, const char *prefix,
                             const mk_point_list *points)
{
  mk_graph *whole;
  int outputs[MK_MAX_POINTS], mapped[MK_MAX_POINTS];
  MK_TRY(mk_graph_from_tensors(&whole, tensors, prefix));
  mkd_status status = MKD_OK;
  for (int p = 0; p < points->count && status == MKD_OK; ++p) {
    outputs[p] = mk_graph_find(whole, points->names[p]);
    if (outputs[p] < 1)
      status = mk_fail(MKD_ERROR_FILE, "critical point '%s' is missing in '%sgraph'",
                       points->names[p], prefix);
  }
  if (status == MKD_OK) status = mk_graph_prune_in_place(whole, outputs, points->count, mapped);
  if (status == MKD_OK)
    *graph = whole;
  else
    mk_graph_destroy(whole);
  return status;
}

static mkd_status read_parts(mkd_detector *d, const mk_tensors *tensors)
{
  json_t *object;
  const char *recipe = mk_tensors_metadata(tensors, "recipe");
  if (!recipe) return mk_fail(MKD_ERROR_FILE, "metadata 'recipe' is missing");
  MK_TRY(mk_recipe_parse(&d->recipe, recipe, "metadata 'recipe'"));
  MK_TRY(mk_recipe_check(&d->recipe));
  MK_TRY(get_json(&object, tensors, "input"));
  mkd_status status = read_input(&d->input, object);
  json_decref(object);
  MK_TRY(status);
  MK_TRY(get_json(&object, tensors, "provenance"));
  status = read_provenance(d, object);
  json_decref(object);
  MK_TRY(status);
  MK_TRY(read_graph(&d->expert, tensors, "expert.", &d->recipe.critical_points));
  MK_TRY(read_graph(&d->cloner, tensors, "cloner.", &d->recipe.critical_points));
  MK_TRY(read_points(d, tensors));
  MK_TRY(get_json(&object, tensors, "calibration"));
  status = read_calibration(&d->calibration, object, (size_t)d->point_count);
  json_decref(object);
  MK_TRY(status);
  return mk_detector_finish(d);
}

bool mk_model_recognise(const mk_tensors *tensors)
{
  return mk_tensors_metadata(tensors, "mkd_model") != NULL;
}

mkd_status mk_model_from_tensors(mkd_detector **out, const mk_tensors *tensors, const char *name)
{
  const char *version = mk_tensors_metadata(tensors, "mkd_model");
  char expected[16];
  snprintf(expected, sizeof expected, "%d", MK_MODEL_VERSION);
  if (!version)
    return mk_fail(MKD_ERROR_FILE, "%s: is not a model of mkd; 'mkd train' makes one", name);
  if (strcmp(version, expected) != 0)
    return mk_fail(MKD_ERROR_FILE,
                   "%s: is a model of format version %.20s; this mkd reads version %s", name,
                   version, expected);
  mkd_detector *d;
  MK_TRY(mk_alloc(&d, 1, sizeof *d));
  mkd_status status = read_parts(d, tensors);
  if (status != MKD_OK) {
    mkd_detector_destroy(d);
    /* Whatever is wrong in it, it is the file that is wrong. */
    return mk_fail_in(status == MKD_ERROR_MEMORY ? status : MKD_ERROR_FILE, name);
  }
  *out = d;
  return MKD_OK;
}

static mkd_status fail_other(const mk_bytes *file, const char *path)
{
  const char *accident = mk_failed_download(file->data, file->size);
  if (accident) return mk_fail(MKD_ERROR_FILE, "%s: is %s", path, accident);
  return mk_fail(MKD_ERROR_FILE, "%s: is not a model of mkd; 'mkd train' makes one", path);
}

mkd_status mkd_detector_load(mkd_detector **detector, const char *path, const mkd_limits *limits)
{
  mkd_limits resolved;
  mk_bytes bytes;
  mk_tensors tensors = {0};
  MK_TRY(mk_limits_resolve(&resolved, limits));
  MK_TRY(mk_file_read(&bytes, path, resolved.max_bytes));
  mkd_status status = mk_safetensors_recognise(bytes.data, bytes.size)
                          ? mk_safetensors_take(&tensors, &bytes, path)
                          : fail_other(&bytes, path);
  mk_free(bytes.data);
  if (status == MKD_OK) status = mk_model_from_tensors(detector, &tensors, path);
  if (status == MKD_OK) {
    (*detector)->file = tensors.file;
    tensors.file = NULL;
  }
  mk_tensors_free(&tensors);
  return status;
}
