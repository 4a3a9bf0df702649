#include "nn/graph_tensors.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

enum { TENSOR_NAME = 256 };

/* One array of an operation, and the tensor that stands for it. */
typedef struct {
  char name[TENSOR_NAME];
  float **values; /* where the operation keeps its address */
  int rank;
  size_t shape[4];
} array;

enum { MAX_ARRAYS = 4 };

static void add_array(array *arrays, int *count, const mk_graph *graph, int index,
                      const char *prefix, const char *suffix, float **values)
{
  const mk_op *op = &graph->ops[index];
  array *a = &arrays[(*count)++];
  *a = (array){.values = values, .rank = 1, .shape = {(size_t)op->channels}};
  if (op->name[0] != '\0')
    snprintf(a->name, sizeof a->name, "%.128s%s%s", prefix, op->name, suffix);
  else
    snprintf(a->name, sizeof a->name, "%.128sop%d%s", prefix, index, suffix);
}

/* Returns how many arrays operation `index` has. */
static int list_arrays(array arrays[MAX_ARRAYS], const mk_graph *graph, int index,
                       const char *prefix)
{
  mk_op *op = &graph->ops[index];
  int count = 0;
  if (op->weights) add_array(arrays, &count, graph, index, prefix, ".weight", &op->weights);
  if (op->kind == MK_OP_CONV) {
    size_t group = (size_t)(graph->ops[op->src[0]].channels / op->groups);
    arrays[0].rank = 4;
    arrays[0].shape[0] = arrays[0].shape[1] = (size_t)op->kernel;
    arrays[0].shape[2] = group;
    arrays[0].shape[3] = (size_t)op->channels;
  }
  if (op->bias) add_array(arrays, &count, graph, index, prefix, ".bias", &op->bias);
  if (op->mean) add_array(arrays, &count, graph, index, prefix, ".running_mean", &op->mean);
  if (op->variance) add_array(arrays, &count, graph, index, prefix, ".running_var", &op->variance);
  return count;
}

static mkd_status write_arrays(mk_tensors *tensors, const mk_graph *graph, int index,
                               const char *prefix)
{
  array arrays[MAX_ARRAYS];
  int count = list_arrays(arrays, graph, index, prefix);
  for (int i = 0; i < count; ++i) {
    mk_tensor *tensor;
    MK_TRY(mk_tensors_add(tensors, arrays[i].name, arrays[i].rank, arrays[i].shape, &tensor));
    memcpy(tensor->data, *arrays[i].values, tensor->count * sizeof(float));
  }
  return MKD_OK;
}

mkd_status mk_graph_to_tensors(mk_tensors *tensors, const mk_graph *graph, const char *prefix)
{
  char *json = NULL, *key = NULL;
  mkd_status status = mk_graph_to_json(&json, graph);
  if (status == MKD_OK) status = mk_text_format(&key, "%sgraph", prefix);
  if (status == MKD_OK) status = mk_tensors_add_metadata(tensors, key, json);
  for (int i = 1; status == MKD_OK && i < graph->count; ++i)
    status = write_arrays(tensors, graph, i, prefix);
  mk_free(key);
  mk_free(json);
  return status;
}

static mkd_status check_shape(const mk_tensor *tensor, const array *a)
{
  if (tensor->rank == a->rank &&
      memcmp(tensor->shape, a->shape, (size_t)a->rank * sizeof *a->shape) == 0)
    return MKD_OK;
  char found[MK_SHAPE_TEXT], expected[MK_SHAPE_TEXT];
  return mk_fail(MKD_ERROR_FILE, "tensor '%s' has shape %s, it should be %s", a->name,
                 mk_shape_text(found, tensor->shape, tensor->rank),
                 mk_shape_text(expected, a->shape, a->rank));
}

static mkd_status read_arrays(const mk_graph *graph, int index, const mk_tensors *tensors,
                              const char *prefix)
{
  array arrays[MAX_ARRAYS];
  int count = list_arrays(arrays, graph, index, prefix);
  for (int i = 0; i < count; ++i) {
    const mk_tensor *tensor = mk_tensors_find(tensors, arrays[i].name);
    if (!tensor) return mk_fail(MKD_ERROR_FILE, "tensor '%s' is missing", arrays[i].name);
    MK_TRY(check_shape(tensor, &arrays[i]));
    MK_TRY(mk_tensor_check_finite(tensor));
    if (tensor->in_file)
      *arrays[i].values = tensor->data;
    else
      memcpy(*arrays[i].values, tensor->data, tensor->count * sizeof(float));
  }
  return MKD_OK;
}

/* How many numbers the tensors hold: no graph of theirs can ask for more. */
static size_t count_numbers(const mk_tensors *tensors)
{
  size_t numbers = 0;
  for (size_t i = 0; i < tensors->count; ++i) numbers += tensors->tensors[i].count;
  return numbers;
}

mkd_status mk_graph_from_tensors(mk_graph **out, const mk_tensors *tensors, const char *prefix)
{
  char *key;
  MK_TRY(mk_text_format(&key, "%sgraph", prefix));
  const char *json = mk_tensors_metadata(tensors, key);
  mk_graph *graph = NULL;
  mkd_status status;
  if (json)
    status = mk_graph_from_json_within(&graph, json, count_numbers(tensors));
  else
    status = mk_fail(MKD_ERROR_FILE, "its metadata has no '%s'", key);
  mk_free(key);
  for (int i = 1; status == MKD_OK && i < graph->count; ++i)
    status = read_arrays(graph, i, tensors, prefix);
  if (status != MKD_OK) {
    mk_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return MKD_OK;
}
