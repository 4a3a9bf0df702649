/* The operations of a graph as text:
 *
 *   {"input":3,"ops":[{"op":"conv","src":0,"name":"a","channels":8,"kernel":3,"stride":2,
 *   "groups":1,"pad":"same","bias":true},{"op":"relu","src":1}]}
 *
 * The operations are numbered from 1, 0 is the input; "name" is left out where there is none. */
#include "nn/graph.h"

#include "core/json.h"
#include "core/memory.h"

#include <limits.h>
#include <string.h>

static const char *const kind_names[] = {
    [MK_OP_INPUT] = "input", [MK_OP_CONV] = "conv",   [MK_OP_BATCH_NORM] = "batch_norm",
    [MK_OP_RELU] = "relu",   [MK_OP_RELU6] = "relu6", [MK_OP_MAX_POOL] = "max_pool",
    [MK_OP_ADD] = "add",
};

/* ---- Writing --------------------------------------------------------------------------------- */

/* Takes over `value`. */
static bool set(json_t *object, const char *key, json_t *value)
{
  return json_object_set_new(object, key, value) == 0;
}

static bool describe_conv(json_t *object, const mk_op *op)
{
  return set(object, "channels", json_integer(op->channels)) &&
         set(object, "kernel", json_integer(op->kernel)) &&
         set(object, "stride", json_integer(op->stride)) &&
         set(object, "groups", json_integer(op->groups)) &&
         set(object, "pad",
             op->pad_mode == MK_PAD_SAME ? json_string("same") : json_integer(op->pad)) &&
         set(object, "bias", json_boolean(op->bias != NULL));
}

static bool describe_parameters(json_t *object, const mk_op *op)
{
  switch (op->kind) {
  case MK_OP_CONV:
    return describe_conv(object, op);
  case MK_OP_BATCH_NORM:
    return set(object, "epsilon", json_real((double)op->epsilon)) &&
           set(object, "momentum", json_real((double)op->momentum));
  case MK_OP_MAX_POOL:
    return set(object, "kernel", json_integer(op->kernel)) &&
           set(object, "stride", json_integer(op->stride));
  default:
    return true;
  }
}

static json_t *sources(const mk_op *op)
{
  if (op->src[1] < 0) return json_integer(op->src[0]);
  return json_pack("[i,i]", op->src[0], op->src[1]);
}

static bool describe_op(json_t *object, const mk_op *op)
{
  return set(object, "op", json_string(kind_names[op->kind])) && set(object, "src", sources(op)) &&
         (op->name[0] == '\0' || set(object, "name", json_string(op->name))) &&
         describe_parameters(object, op);
}

static bool describe(json_t *root, const mk_graph *graph)
{
  if (!set(root, "input", json_integer(graph->ops[0].channels))) return false;
  if (graph->ops[0].name[0] != '\0' && !set(root, "name", json_string(graph->ops[0].name)))
    return false;
  json_t *ops = json_array();
  if (!set(root, "ops", ops)) return false;
  for (int i = 1; i < graph->count; ++i) {
    json_t *object = json_object();
    if (json_array_append_new(ops, object) != 0 || !describe_op(object, &graph->ops[i]))
      return false;
  }
  return true;
}

mkd_status mk_graph_to_json(char **json, const mk_graph *graph)
{
  json_t *root = json_object();
  /* 9 digits tell every fp32 number from every other. */
  if (describe(root, graph))
    return mk_json_format(json, root, JSON_COMPACT | JSON_REAL_PRECISION(9));
  json_decref(root);
  return mk_fail_memory(0);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The value of `key`, which is marked as read by removing it: what is left over at the end is not
 * known. */
static json_t *take(json_t *object, const char *key)
{
  json_t *value = json_incref(json_object_get(object, key));
  json_object_del(object, key);
  return value;
}

static bool integer_value(const json_t *value, int *out)
{
  if (!json_is_integer(value)) return false;
  json_int_t number = json_integer_value(value);
  if (number < 0 || number > INT_MAX) return false;
  *out = (int)number;
  return true;
}

static mkd_status take_integer(json_t *object, const char *key, int *out)
{
  json_t *value = take(object, key);
  bool valid = integer_value(value, out);
  json_decref(value);
  return valid ? MKD_OK : mk_fail(MKD_ERROR_FILE, "\"%s\" is missing or not a whole number", key);
}

static mkd_status take_float(json_t *object, const char *key, float *out)
{
  json_t *value = take(object, key);
  bool valid = json_is_number(value);
  if (valid) *out = (float)json_number_value(value);
  json_decref(value);
  return valid ? MKD_OK : mk_fail(MKD_ERROR_FILE, "\"%s\" is missing or not a number", key);
}

static mkd_status take_sources(json_t *object, int count, int *src)
{
  json_t *value = take(object, "src");
  bool valid;
  if (count == 1)
    valid = integer_value(value, &src[0]);
  else
    valid = json_array_size(value) == 2 && integer_value(json_array_get(value, 0), &src[0]) &&
            integer_value(json_array_get(value, 1), &src[1]);
  json_decref(value);
  return valid ? MKD_OK
               : mk_fail(MKD_ERROR_FILE, "\"src\" has to name %s",
                         count == 1 ? "one operation" : "two operations");
}

static mkd_status take_conv(json_t *object, mk_conv *conv)
{
  MK_TRY(take_integer(object, "channels", &conv->channels));
  MK_TRY(take_integer(object, "kernel", &conv->kernel));
  MK_TRY(take_integer(object, "stride", &conv->stride));
  MK_TRY(take_integer(object, "groups", &conv->groups));
  const json_t *pad = json_object_get(object, "pad"), *bias = json_object_get(object, "bias");
  if (json_is_string(pad) && strcmp(json_string_value(pad), "same") == 0)
    conv->pad_mode = MK_PAD_SAME;
  else if (!integer_value(pad, &conv->pad))
    return mk_fail(MKD_ERROR_FILE, "\"pad\" has to be \"same\" or a whole number");
  if (!json_is_boolean(bias)) return mk_fail(MKD_ERROR_FILE, "\"bias\" has to be true or false");
  conv->bias = json_is_true(bias);
  json_object_del(object, "pad");
  json_object_del(object, "bias");
  return MKD_OK;
}

/* How many numbers the arrays of the convolution have; 0 for what mk_graph_conv refuses. */
static size_t conv_size(const mk_graph *graph, int src, const mk_conv *conv)
{
  size_t count = 0;
  if (src >= graph->count || conv->groups < 1) return 0;
  if (!mk_mul((size_t)conv->kernel, (size_t)conv->kernel, &count) ||
      !mk_mul(count, (size_t)(graph->ops[src].channels / conv->groups), &count) ||
      !mk_mul(count, (size_t)conv->channels, &count) ||
      !mk_add(count, conv->bias ? (size_t)conv->channels : 0, &count))
    return 0;
  return count;
}

/* Takes `count` off `left`, which bounds the memory that the text can ask for. */
static mkd_status spend(size_t *left, size_t count)
{
  if (count > *left) return mk_fail(MKD_ERROR_FILE, "there are more weights than the file has");
  *left -= count;
  return MKD_OK;
}

static mkd_status read_conv(mk_graph *graph, json_t *object, const char *name, size_t *left)
{
  mk_conv conv = {0};
  int src;
  MK_TRY(take_sources(object, 1, &src));
  MK_TRY(take_conv(object, &conv));
  MK_TRY(spend(left, conv_size(graph, src, &conv)));
  return mk_graph_conv(graph, NULL, src, &conv, name);
}

static mkd_status read_batch_norm(mk_graph *graph, json_t *object, const char *name, size_t *left)
{
  int src;
  float epsilon, momentum;
  MK_TRY(take_sources(object, 1, &src));
  MK_TRY(take_float(object, "epsilon", &epsilon));
  MK_TRY(take_float(object, "momentum", &momentum));
  if (src < graph->count) MK_TRY(spend(left, 4 * (size_t)graph->ops[src].channels));
  return mk_graph_batch_norm(graph, NULL, src, epsilon, momentum, name);
}

static mkd_status read_max_pool(mk_graph *graph, json_t *object, const char *name)
{
  int src, kernel, stride;
  MK_TRY(take_sources(object, 1, &src));
  MK_TRY(take_integer(object, "kernel", &kernel));
  MK_TRY(take_integer(object, "stride", &stride));
  return mk_graph_max_pool(graph, NULL, src, kernel, stride, name);
}

static mkd_status read_kind(mk_graph *graph, json_t *object, const char *kind, const char *name,
                            size_t *left)
{
  int src[2];
  if (strcmp(kind, "conv") == 0) return read_conv(graph, object, name, left);
  if (strcmp(kind, "batch_norm") == 0) return read_batch_norm(graph, object, name, left);
  if (strcmp(kind, "max_pool") == 0) return read_max_pool(graph, object, name);
  if (strcmp(kind, "add") == 0) {
    MK_TRY(take_sources(object, 2, src));
    return mk_graph_add(graph, NULL, src[0], src[1], name);
  }
  for (mk_op_kind k = MK_OP_RELU; k <= MK_OP_RELU6; ++k)
    if (strcmp(kind, kind_names[k]) == 0) {
      MK_TRY(take_sources(object, 1, src));
      return mk_graph_activation(graph, NULL, src[0], k, name);
    }
  return mk_fail(MKD_ERROR_FILE, "\"op\" is \"%.40s\", which is not known", kind);
}

static mkd_status read_op(mk_graph *graph, json_t *object, size_t *left)
{
  json_t *kind = take(object, "op"), *name = take(object, "name");
  mkd_status status;
  if (!json_is_string(kind) || (name && !json_is_string(name)))
    status = mk_fail(MKD_ERROR_FILE, "\"op\" or \"name\" is missing or not a text");
  else
    status = read_kind(graph, object, json_string_value(kind),
                       name ? json_string_value(name) : NULL, left);
  json_decref(kind);
  json_decref(name);
  if (status == MKD_OK && json_object_size(object) != 0)
    status = mk_fail(MKD_ERROR_FILE, "\"%.40s\" is not known here",
                     json_object_iter_key(json_object_iter(object)));
  return status;
}

static mkd_status read_ops(mk_graph *graph, const json_t *ops, size_t left)
{
  for (size_t i = 0; i < json_array_size(ops); ++i) {
    mkd_status status = read_op(graph, json_array_get(ops, i), &left);
    if (status == MKD_OK) continue;
    return mk_fail(status == MKD_ERROR_MEMORY ? status : MKD_ERROR_FILE, "operation %zu: %s", i + 1,
                   mkd_last_error());
  }
  return MKD_OK;
}

static mkd_status read_graph(mk_graph **out, json_t *root, size_t left, bool unfilled)
{
  const size_t most = ((size_t)64 << 20) / sizeof(float); /* made room for at once */
  int channels;
  MK_TRY(take_integer(root, "input", &channels));
  const json_t *ops = json_object_get(root, "ops"), *name = json_object_get(root, "name");
  if (!json_is_array(ops) || (name && !json_is_string(name)) ||
      json_object_size(root) != (name ? 2 : 1))
    return mk_fail(MKD_ERROR_FILE, "it has to have \"input\" and \"ops\", and nothing else");
  mk_graph *graph;
  MK_TRY(mk_graph_create(&graph, channels));
  graph->unfilled = unfilled;
  mkd_status status =
      mk_scratch_reserve(&graph->memory, (left < most ? left : most) * sizeof(float));
  if (status == MKD_OK && name) status = mk_graph_name(graph, 0, json_string_value(name));
  if (status == MKD_OK) status = read_ops(graph, ops, left);
  if (status != MKD_OK) {
    mk_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return MKD_OK;
}

static mkd_status parse(mk_graph **graph, const char *json, size_t max_weights, bool unfilled)
{
  json_t *root;
  mkd_status status = mk_json_parse(&root, json, strlen(json));
  if (status == MKD_OK) {
    status = read_graph(graph, root, max_weights, unfilled);
    json_decref(root);
  }
  if (status == MKD_OK || status == MKD_ERROR_MEMORY) return status;
  return mk_fail_in(MKD_ERROR_FILE, "the graph");
}

mkd_status mk_graph_from_json_within(mk_graph **graph, const char *json, size_t max_weights)
{
  return parse(graph, json, max_weights, true);
}

mkd_status mk_graph_from_json(mk_graph **graph, const char *json)
{
  return parse(graph, json, (size_t)1 << 28, false);
}
