#include "expert/expert.h"

#include "core/json.h"
#include "core/limits.h"
#include "core/memory.h"
#include "expert/architecture.h"
#include "expert/weights.h"
#include "nn/graph_tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an expert file: what it says it is, and the version of the form. */
static const char *const format = "mkd-expert", *const version = "2";

void mkd_expert_destroy(mkd_expert *expert)
{
  if (!expert) return;
  mk_graph_destroy(expert->graph);
  mk_free(expert->file);
  mk_free(expert);
}

/* ---- Import ---------------------------------------------------------------------------------- */

/* Finite statistics can still give a factor that is not. */
static mkd_status check_finite(const mk_graph *graph)
{
  for (int i = 0; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    bool finite = true;
    for (size_t k = 0; finite && k < op->weight_count; ++k) finite = isfinite(op->weights[k]);
    for (int c = 0; finite && op->bias && c < op->channels; ++c) finite = isfinite(op->bias[c]);
    if (!finite)
      return mk_fail(MKD_ERROR_FILE, "the weights of '%s' overflow with their batch norm",
                     op->name);
  }
  return MKD_OK;
}

static bool is_expert(const mk_tensors *tensors)
{
  const char *found = mk_tensors_metadata(tensors, "format");
  return found && strcmp(found, format) == 0;
}

static mkd_status build(mkd_expert *expert, const mk_tensors *tensors, const char *arch)
{
  mk_graph *folded;
  if (is_expert(tensors))
    return mk_fail(MKD_ERROR_FILE, "is an expert file already and needs no import");
  MK_TRY(mk_architecture_build(expert, tensors, arch));
  MK_TRY(mk_graph_fold(&folded, expert->graph));
  mk_graph_destroy(expert->graph);
  expert->graph = folded;
  return check_finite(folded);
}

const char *mkd_expert_sha256(const mkd_expert *expert)
{
  return expert->sha256;
}

mkd_status mkd_expert_import(mkd_expert **out, const char *path, const char *arch,
                             const mkd_limits *limits)
{
  mkd_limits resolved;
  mk_tensors tensors = {0};
  mkd_expert *expert;
  MK_TRY(mk_limits_resolve(&resolved, limits));
  MK_TRY(mk_alloc(&expert, 1, sizeof *expert));
  mkd_status status = mk_weights_read(&tensors, path, resolved.max_bytes, expert->sha256);
  if (status == MKD_OK) {
    status = build(expert, &tensors, arch);
    if (status != MKD_OK && status != MKD_ERROR_ARGUMENT) mk_fail_in(status, path);
  }
  mk_tensors_free(&tensors);
  if (status != MKD_OK) {
    mkd_expert_destroy(expert);
    return status;
  }
  *out = expert;
  return MKD_OK;
}

/* ---- To and from tensors --------------------------------------------------------------------- */

static mkd_status add_metadata(mk_tensors *tensors, const char *prefix, const char *key,
                               const char *value)
{
  char *name;
  MK_TRY(mk_text_format(&name, "%s%s", prefix, key));
  mkd_status status = mk_tensors_add_metadata(tensors, name, value);
  mk_free(name);
  return status;
}

/* Three numbers as a JSON array: unlike printf's, its decimal point depends on no locale. */
static mkd_status add_numbers(mk_tensors *tensors, const char *prefix, const char *key,
                              const float *numbers)
{
  json_t *array = json_pack("[f,f,f]", (double)numbers[0], (double)numbers[1], (double)numbers[2]);
  char *text;
  MK_TRY(mk_json_format(&text, array, JSON_COMPACT | JSON_REAL_PRECISION(9)));
  mkd_status status = add_metadata(tensors, prefix, key, text);
  mk_free(text);
  return status;
}

mkd_status mk_expert_to_tensors(mk_tensors *tensors, const mkd_expert *expert, const char *prefix)
{
  char size[16];
  snprintf(size, sizeof size, "%d", expert->input_size);
  MK_TRY(add_metadata(tensors, prefix, "arch", expert->arch));
  MK_TRY(add_numbers(tensors, prefix, "mean", expert->mean));
  MK_TRY(add_numbers(tensors, prefix, "std", expert->std));
  MK_TRY(add_metadata(tensors, prefix, "input_size", size));
  MK_TRY(add_metadata(tensors, prefix, "source_sha256", expert->sha256));
  return mk_graph_to_tensors(tensors, expert->graph, prefix);
}

static mkd_status get_metadata(const char **value, const mk_tensors *tensors, const char *prefix,
                               const char *key)
{
  char *name;
  MK_TRY(mk_text_format(&name, "%s%s", prefix, key));
  *value = mk_tensors_metadata(tensors, name);
  mkd_status status = *value ? MKD_OK : mk_fail(MKD_ERROR_FILE, "its metadata has no '%s'", name);
  mk_free(name);
  return status;
}

static mkd_status get_numbers(float *numbers, const mk_tensors *tensors, const char *prefix,
                              const char *key)
{
  const char *text = NULL;
  json_t *array = NULL;
  MK_TRY(get_metadata(&text, tensors, prefix, key));
  mkd_status status = mk_json_parse(&array, text, strlen(text));
  if (status == MKD_ERROR_MEMORY) return status;
  bool valid = json_array_size(array) == 3;
  for (size_t i = 0; valid && i < 3; ++i) {
    const json_t *number = json_array_get(array, i);
    valid = json_is_number(number) && isfinite((float)json_number_value(number));
    if (valid) numbers[i] = (float)json_number_value(number);
  }
  json_decref(array);
  return valid ? MKD_OK
               : mk_fail(MKD_ERROR_FILE, "its metadata '%s%s' is not three numbers", prefix, key);
}

static bool is_digest(const char *text)
{
  return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* 1 to 65536, or 0 for anything else. */
static int parse_size(const char *text)
{
  size_t length = strlen(text);
  if (length == 0 || length > 5 || strspn(text, "0123456789") != length) return 0;
  int size = atoi(text);
  return size <= 65536 ? size : 0;
}

static mkd_status read_description(mkd_expert *expert, const mk_tensors *tensors,
                                   const char *prefix)
{
  const char *arch = NULL, *size = NULL, *digest = NULL;
  MK_TRY(get_metadata(&arch, tensors, prefix, "arch"));
  MK_TRY(get_metadata(&size, tensors, prefix, "input_size"));
  MK_TRY(get_metadata(&digest, tensors, prefix, "source_sha256"));
  MK_TRY(get_numbers(expert->mean, tensors, prefix, "mean"));
  MK_TRY(get_numbers(expert->std, tensors, prefix, "std"));
  if (strlen(arch) >= sizeof expert->arch)
    return mk_fail(MKD_ERROR_FILE, "its metadata '%sarch' is too long", prefix);
  for (const char *c = arch; *c; ++c)
    if (*c <= ' ' || *c > '~')
      return mk_fail(MKD_ERROR_FILE, "its metadata '%sarch' is no name", prefix);
  if (!is_digest(digest))
    return mk_fail(MKD_ERROR_FILE, "its metadata '%ssource_sha256' is no SHA-256 digest", prefix);
  expert->input_size = parse_size(size);
  if (expert->input_size == 0)
    return mk_fail(MKD_ERROR_FILE, "its metadata '%sinput_size' is no number of pixels", prefix);
  for (int c = 0; c < 3; ++c)
    if (!(expert->std[c] > 0) || !isfinite(1 / expert->std[c]))
      return mk_fail(MKD_ERROR_FILE, "its metadata '%sstd' has to be positive", prefix);
  snprintf(expert->arch, sizeof expert->arch, "%s", arch);
  snprintf(expert->sha256, sizeof expert->sha256, "%s", digest);
  return MKD_OK;
}

static mkd_status read_graph(mkd_expert *expert, const mk_tensors *tensors, const char *prefix)
{
  MK_TRY(mk_graph_from_tensors(&expert->graph, tensors, prefix));
  if (expert->graph->ops[0].channels != 3)
    return mk_fail(MKD_ERROR_FILE, "its network takes %d channels, it should take 3",
                   expert->graph->ops[0].channels);
  for (int i = 0; i < expert->graph->count; ++i)
    if (expert->graph->ops[i].kind == MK_OP_BATCH_NORM)
      return mk_fail(MKD_ERROR_FILE, "its network has batch norm, which should be folded");
  return MKD_OK;
}

mkd_status mk_expert_from_tensors(mkd_expert **out, const mk_tensors *tensors, const char *prefix)
{
  mkd_expert *expert;
  MK_TRY(mk_alloc(&expert, 1, sizeof *expert));
  mkd_status status = read_description(expert, tensors, prefix);
  if (status == MKD_OK) status = read_graph(expert, tensors, prefix);
  if (status != MKD_OK) {
    mkd_expert_destroy(expert);
    return status;
  }
  *out = expert;
  return MKD_OK;
}

/* ---- Files ----------------------------------------------------------------------------------- */

mkd_status mkd_expert_save(const mkd_expert *expert, const char *path)
{
  mk_tensors tensors = {0};
  mkd_status status = mk_tensors_add_metadata(&tensors, "format", format);
  if (status == MKD_OK) status = mk_tensors_add_metadata(&tensors, "version", version);
  if (status == MKD_OK) status = mk_expert_to_tensors(&tensors, expert, "");
  if (status == MKD_OK) status = mk_safetensors_write(&tensors, path);
  mk_tensors_free(&tensors);
  return status;
}

static mkd_status check_format(const mk_tensors *tensors)
{
  const char *found_version = mk_tensors_metadata(tensors, "version");
  if (!is_expert(tensors))
    return mk_fail(MKD_ERROR_FILE, "is a safetensors file, but no expert; `mkd import` makes one "
                                   "of pre-trained weights");
  if (!found_version || strcmp(found_version, version) != 0)
    return mk_fail(
        MKD_ERROR_FILE,
        "is an expert of version %.16s; this program reads version %s: import the weights "
        "again",
        found_version ? found_version : "", version);
  return MKD_OK;
}

mkd_status mkd_expert_load(mkd_expert **out, const char *path, const mkd_limits *limits)
{
  mkd_limits resolved;
  mk_bytes file;
  mk_tensors tensors = {0};
  MK_TRY(mk_limits_resolve(&resolved, limits));
  MK_TRY(mk_file_read(&file, path, resolved.max_bytes));
  if (!mk_safetensors_recognise(file.data, file.size)) {
    mk_free(file.data);
    return mk_fail(MKD_ERROR_FILE,
                   "%s: is no expert file; `mkd import` makes one of pre-trained weights", path);
  }
  MK_TRY(mk_safetensors_take(&tensors, &file, path));
  mkd_status status = check_format(&tensors);
  if (status == MKD_OK) status = mk_expert_from_tensors(out, &tensors, "");
  if (status == MKD_OK) {
    (*out)->file = tensors.file;
    tensors.file = NULL;
  }
  mk_tensors_free(&tensors);
  return status == MKD_OK ? status : mk_fail_in(status, path);
}
