/* What a file is, and what the library is. */
#include "core/json.h"
#include "core/limits.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "distill/checkpoint.h"
#include "expert/expert.h"
#include "model/model_file.h"
#include "nn/exec.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <webp/decode.h>
#include <zip.h>

const char *mkd_version(void)
{
  return MKD_VERSION;
}

/* Thread-local, since the versions of shared libraries are known at run time only. */
const char *mkd_build_info(void)
{
  static _Thread_local char text[512];
  int webp = WebPGetDecoderVersion();
  char tiff[64];
  snprintf(tiff, sizeof tiff, "%s", TIFFGetVersion());
  tiff[strcspn(tiff, "\n")] = 0;
  const char *tiff_number = strrchr(tiff, ' ');
  snprintf(text, sizeof text,
           "kernels %s; libpng %s, libtiff%s, libwebp %d.%d.%d, jansson %s, libzip %s",
           mk_kernels_best()->name, png_get_libpng_ver(NULL), tiff_number ? tiff_number : "",
           webp >> 16, webp >> 8 & 255, webp & 255, jansson_version_str(), zip_libzip_version());
  return text;
}

/* ---- Descriptions ---------------------------------------------------------------------------- */

static mkd_status finish(char **json, json_t *object)
{
  return mk_json_format(json, object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
}

static size_t parameters(const mk_graph *graph)
{
  size_t count = 0;
  for (int i = 0; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    count += op->weight_count + (op->bias ? (size_t)op->channels : 0);
  }
  return count;
}

/* Of one image. What an image of that size does not get to is not counted. */
static mkd_status multiply_adds(double *sum, const mk_graph *graph, int height, int width)
{
  *sum = 0;
  for (int i = 1; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    mk_shape shape;
    if (op->kind != MK_OP_CONV) continue;
    mkd_status status = mk_graph_shape(graph, i, height, width, &shape);
    if (status == MKD_ERROR_MEMORY) return status;
    if (status == MKD_OK) *sum += (double)op->weight_count * shape.height * shape.width;
  }
  return MKD_OK;
}

static json_t *real_or_null(double value)
{
  return isfinite(value) ? json_real(value) : json_null();
}

static mkd_status describe_model(char **json, const mk_tensors *tensors, const char *path)
{
  mkd_detector *d;
  char *recipe_text;
  mkd_threshold threshold;
  double expert_sum, cloner_sum;
  MK_TRY(mk_model_from_tensors(&d, tensors, path));
  mkd_status status = mkd_detector_threshold(d, d->calibration.false_alarm, &threshold);
  if (status == MKD_OK)
    status = multiply_adds(&expert_sum, d->expert, d->input.height, d->input.width);
  if (status == MKD_OK)
    status = multiply_adds(&cloner_sum, d->cloner, d->input.height, d->input.width);
  if (status == MKD_OK) status = mk_recipe_to_json(&recipe_text, &d->recipe);
  if (status != MKD_OK) {
    mkd_detector_destroy(d);
    return status;
  }
  const mk_provenance *p = &d->provenance;
  const mk_input_spec *in = &d->input;
  json_t *recipe;
  status = mk_json_parse(&recipe, recipe_text, strlen(recipe_text));
  mk_free(recipe_text);
  if (status != MKD_OK) {
    mkd_detector_destroy(d);
    return status;
  }
  json_t *object = json_pack(
      "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:o, s:o, s:b, s:{s:i, s:i, s:b, s:f, s:f, s:i, "
      "s:i, s:f},"
      " s:{s:f, s:f, s:b, s:I, s:o}, s:{s:I, s:f}, s:{s:I, s:f}, s:o}",
      "kind", "model", "mkd_version", p->mkd_version, "expert", p->expert_arch, "expert_sha256",
      p->expert_sha256, "trained_with_kernels", p->kernels, "seed", (json_int_t)p->seed,
      "trained_images", (json_int_t)p->trained_images, "epochs", p->epochs, "loss",
      real_or_null(p->loss), "held_out_loss", real_or_null(p->held_out_loss), "converged",
      (int)p->converged, "input", "width", in->width, "height", in->height, "contrast_stretched",
      in->low > 0 || in->high < 255, "low", (double)in->low, "high", (double)in->high, "tile_width",
      in->tile_width, "tile_height", in->tile_height, "tile_overlap", in->tile_overlap,
      "calibration", "false_alarm", threshold.false_alarm, "threshold", threshold.score,
      "extrapolated", (int)threshold.extrapolated, "held_out_images",
      (json_int_t)threshold.held_out, "map_threshold", real_or_null(threshold.map), "expert_size",
      "parameters", (json_int_t)parameters(d->expert), "multiply_adds", expert_sum, "cloner_size",
      "parameters", (json_int_t)parameters(d->cloner), "multiply_adds", cloner_sum, "recipe",
      recipe);
  mkd_detector_destroy(d);
  return finish(json, object);
}

static json_t *output_names(const mk_graph *graph)
{
  json_t *names = json_array();
  for (int i = 1; names && i < graph->count; ++i) {
    if (!graph->ops[i].name[0]) continue;
    if (json_array_append_new(names, json_string(graph->ops[i].name)) == 0) continue;
    json_decref(names);
    return NULL;
  }
  return names;
}

static mkd_status describe_expert(char **json, const char *path, const mkd_limits *limits)
{
  mkd_expert *e;
  double sum;
  MK_TRY(mkd_expert_load(&e, path, limits));
  mkd_status status = multiply_adds(&sum, e->graph, e->input_size, e->input_size);
  if (status != MKD_OK) {
    mkd_expert_destroy(e);
    return status;
  }
  json_t *outputs = output_names(e->graph);
  json_t *object =
      json_pack("{s:s, s:s, s:s, s:I, s:i, s:f, s:[f, f, f], s:[f, f, f], s:o}", "kind", "expert",
                "expert", e->arch, "sha256", e->sha256, "parameters",
                (json_int_t)parameters(e->graph), "input_size", e->input_size, "multiply_adds", sum,
                "mean", (double)e->mean[0], (double)e->mean[1], (double)e->mean[2], "std",
                (double)e->std[0], (double)e->std[1], (double)e->std[2], "outputs", outputs);
  mkd_expert_destroy(e);
  return finish(json, object);
}

static mkd_status describe_recipe(char **json, const char *path)
{
  mk_recipe recipe = {0};
  char *text = NULL;
  MK_TRY(mk_recipe_load(&recipe, path));
  mkd_status status = mk_recipe_check(&recipe);
  if (status == MKD_OK) status = mk_recipe_to_json(&text, &recipe);
  mk_recipe_free(&recipe);
  MK_TRY(status);
  json_t *object;
  status = mk_json_parse(&object, text, strlen(text));
  mk_free(text);
  MK_TRY(status);
  return finish(json, json_pack("{s:s, s:o}", "kind", "recipe", "recipe", object));
}

static bool is_recipe_name(const char *path)
{
  return strcmp(path, "default") == 0 || strcmp(path, "paper") == 0 ||
         strcmp(path, "paper-code") == 0;
}

mkd_status mkd_describe(char **json, const char *path, const mkd_limits *limits)
{
  mkd_limits resolved;
  mk_bytes bytes;
  mk_tensors tensors = {0};
  if (is_recipe_name(path)) return describe_recipe(json, path);
  MK_TRY(mk_limits_resolve(&resolved, limits));
  MK_TRY(mk_file_read(&bytes, path, resolved.max_bytes));
  bool is_tensors = mk_safetensors_recognise(bytes.data, bytes.size);
  bool is_text = !is_tensors && bytes.size > 0 &&
                 (bytes.data[0] == '{' || bytes.data[0] == '\n' || bytes.data[0] == ' ');
  mkd_status status = MKD_OK;
  if (is_tensors) status = mk_safetensors_parse(&tensors, bytes.data, bytes.size, path);
  mk_free(bytes.data);
  if (status == MKD_OK) {
    if (is_text)
      status = describe_recipe(json, path);
    else if (is_tensors && mk_model_recognise(&tensors))
      status = describe_model(json, &tensors, path);
    else if (is_tensors && mk_checkpoint_recognise(&tensors))
      status = finish(json, json_pack("{s:s}", "kind", "checkpoint"));
    else if (is_tensors)
      status = describe_expert(json, path, &resolved);
    else
      status =
          mk_fail(MKD_ERROR_FILE, "%s: is neither a model, an expert nor a recipe of mkd", path);
  }
  mk_tensors_free(&tensors);
  return status;
}

void mkd_text_free(char *text)
{
  mk_free(text);
}
