#include "expert/architecture.h"

#include <stdio.h>
#include <string.h>

enum { TENSOR_NAME = 256 };

static const mk_family *const families[] = {&mk_family_vgg, &mk_family_efficientnet_lite};
enum { FAMILIES = sizeof families / sizeof *families };

static mkd_status fail_unknown_arch(const char *arch)
{
  return mk_fail(MKD_ERROR_ARGUMENT, "'%.64s' is no known architecture; there are %s, %s", arch,
                 families[0]->names, families[1]->names);
}

static mkd_status fail_unknown_tensors(const mk_tensors *tensors)
{
  char shape[MK_SHAPE_TEXT];
  if (tensors->count == 0) return mk_fail(MKD_ERROR_FILE, "it has no tensors");
  const mk_tensor *first = &tensors->tensors[0];
  return mk_fail(MKD_ERROR_FILE,
                 "its tensors (the first is '%.100s' %s) are of no known architecture; there are "
                 "%s, %s",
                 first->name, mk_shape_text(shape, first->shape, first->rank), families[0]->names,
                 families[1]->names);
}

mkd_status mk_architecture_build(mkd_expert *expert, const mk_tensors *tensors, const char *arch)
{
  char told[MK_ARCH_MAX];
  for (int i = 0; i < FAMILIES; ++i) {
    if (arch ? !families[i]->knows(arch) : !families[i]->recognises(told, tensors)) continue;
    mkd_status status = families[i]->build(expert, tensors, arch ? arch : told);
    /* The arguments of the graph's functions come from the file. */
    return status == MKD_ERROR_ARGUMENT ? MKD_ERROR_FILE : status;
  }
  return arch ? fail_unknown_arch(arch) : fail_unknown_tensors(tensors);
}

/* ---- Help for the architectures -------------------------------------------------------------- */

const mk_tensor *mk_find_part(const mk_tensors *tensors, const char *tensor, const char *suffix)
{
  char name[TENSOR_NAME];
  snprintf(name, sizeof name, "%.200s%s", tensor, suffix);
  return mk_tensors_find(tensors, name);
}

/* As mk_shape_text, for an expected shape in which 0 stands for any size. */
static const char *expected_text(char text[MK_SHAPE_TEXT], const size_t *shape, int rank)
{
  char rest[MK_SHAPE_TEXT];
  if (shape[0] != 0) return mk_shape_text(text, shape, rank);
  mk_shape_text(rest, shape + 1, rank - 1);
  snprintf(text, MK_SHAPE_TEXT, "[any%s%.48s", rank > 1 ? ", " : "", rest + 1);
  return text;
}

/* A tensor of the shape, whose first size may be 0: any. */
static mkd_status find_tensor(const mk_tensor **found, const mk_tensors *tensors,
                              const char *tensor, const char *suffix, const size_t *shape, int rank)
{
  char expected[MK_SHAPE_TEXT], actual[MK_SHAPE_TEXT];
  const mk_tensor *t = mk_find_part(tensors, tensor, suffix);
  if (!t)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s%s' %s is missing", tensor, suffix,
                   expected_text(expected, shape, rank));
  bool fits = t->rank == rank && t->shape[0] > 0;
  for (int i = 0; fits && i < rank; ++i) fits = t->shape[i] == shape[i] || (i == 0 && !shape[0]);
  if (!fits)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' has shape %s, expected is %s", t->name,
                   mk_shape_text(actual, t->shape, t->rank), expected_text(expected, shape, rank));
  MK_TRY(mk_tensor_check_finite(t));
  *found = t;
  return MKD_OK;
}

/* Copies the tensor, which has to have as many numbers as the operation has channels. */
static mkd_status copy_vector(float *values, int channels, const mk_tensors *tensors,
                              const char *tensor, const char *suffix)
{
  const mk_tensor *found = NULL;
  MK_TRY(find_tensor(&found, tensors, tensor, suffix, (size_t[]){(size_t)channels}, 1));
  memcpy(values, found->data, (size_t)channels * sizeof *values);
  return MKD_OK;
}

mkd_status mk_build_conv(mk_graph *graph, int *index, int src, mk_conv conv,
                         const mk_tensors *tensors, const char *tensor, const char *name)
{
  int src_channels = graph->ops[src].channels, at = 0;
  size_t kernel = (size_t)conv.kernel;
  size_t shape[4] = {(size_t)conv.channels, (size_t)(src_channels / conv.groups), kernel, kernel};
  const mk_tensor *weight = NULL;
  MK_TRY(find_tensor(&weight, tensors, tensor, ".weight", shape, 4));
  if (conv.channels == 0) {
    if (weight->shape[0] > 65536) /* mk_graph_conv tells the limit */
      conv.channels = 65537;
    else
      conv.channels = (int)weight->shape[0];
  }
  MK_TRY(mk_graph_conv(graph, &at, src, &conv, name));
  mk_op *op = &graph->ops[at];
  mk_conv_weights_from_oihw(op, src_channels, weight->data);
  if (conv.bias) MK_TRY(copy_vector(op->bias, op->channels, tensors, tensor, ".bias"));
  *index = at;
  return MKD_OK;
}

mkd_status mk_build_batch_norm(mk_graph *graph, int *index, int src, float epsilon,
                               const mk_tensors *tensors, const char *tensor, const char *name)
{
  int at = 0;
  MK_TRY(mk_graph_batch_norm(graph, &at, src, epsilon, 0, name));
  mk_op *op = &graph->ops[at];
  MK_TRY(copy_vector(op->weights, op->channels, tensors, tensor, ".weight"));
  MK_TRY(copy_vector(op->bias, op->channels, tensors, tensor, ".bias"));
  MK_TRY(copy_vector(op->mean, op->channels, tensors, tensor, ".running_mean"));
  MK_TRY(copy_vector(op->variance, op->channels, tensors, tensor, ".running_var"));
  for (int c = 0; c < op->channels; ++c)
    if (op->variance[c] < 0)
      return mk_fail(MKD_ERROR_FILE, "tensor '%s.running_var' holds a negative variance", tensor);
  *index = at;
  return MKD_OK;
}
