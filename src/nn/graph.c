#include "nn/graph.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

/* More than any known network needs; they keep every product of sizes far from overflow. */
enum { MAX_OPS = 4096, MAX_CHANNELS = 1 << 16, MAX_KERNEL = 64, MAX_STRIDE = 64 };
static const size_t max_weights = (size_t)1 << 28;

void mk_graph_destroy(mk_graph *graph)
{
  if (!graph) return;
  mk_scratch_free(&graph->memory);
  mk_free(graph->ops);
  mk_free(graph);
}

/* ---- Building -------------------------------------------------------------------------------- */

static mkd_status check_number(const char *what, int value, int low, int high)
{
  if (value >= low && value <= high) return MKD_OK;
  return mk_fail(MKD_ERROR_ARGUMENT, "%s is %d, it has to be %d to %d", what, value, low, high);
}

static mkd_status check_source(const mk_graph *graph, int src)
{
  if (src >= 0 && src < graph->count) return MKD_OK;
  return mk_fail(MKD_ERROR_ARGUMENT, "reads operation %d, there are %d before it", src,
                 graph->count);
}

mkd_status mk_graph_array(mk_graph *graph, float **array, size_t count)
{
  MK_TRY(mk_scratch_get(&graph->memory, array, count, sizeof(float)));
  if (!graph->unfilled) memset(*array, 0, count * sizeof(float));
  return MKD_OK;
}

static mkd_status op_alloc(mk_graph *graph, mk_op *op, size_t weight_count, bool bias,
                           bool statistics)
{
  size_t channels = (size_t)op->channels;
  op->weight_count = weight_count;
  MK_TRY(mk_graph_array(graph, &op->weights, weight_count));
  if (bias) MK_TRY(mk_graph_array(graph, &op->bias, channels));
  if (statistics) {
    MK_TRY(mk_graph_array(graph, &op->mean, channels));
    MK_TRY(mk_graph_array(graph, &op->variance, channels));
  }
  return MKD_OK;
}

static mkd_status append(mk_graph *graph, int *index, const mk_op *op, const char *name)
{
  if (graph->count >= MAX_OPS)
    return mk_fail(MKD_ERROR_ARGUMENT, "more than %d operations", MAX_OPS);
  size_t count = (size_t)graph->count;
  if ((count & (count - 1)) == 0) /* the capacity is a power of two */
    MK_TRY(mk_grow(&graph->ops, count, count ? 2 * count : 1, sizeof *op));
  graph->ops[count] = *op;
  graph->ops[count].name[0] = '\0';
  ++graph->count;
  mkd_status status = name ? mk_graph_name(graph, graph->count - 1, name) : MKD_OK;
  if (status != MKD_OK)
    --graph->count;
  else if (index)
    *index = graph->count - 1;
  return status;
}

mkd_status mk_graph_create(mk_graph **out, int input_channels)
{
  MK_TRY(check_number("the number of input channels", input_channels, 1, MAX_CHANNELS));
  mk_graph *graph;
  MK_TRY(mk_alloc(&graph, 1, sizeof *graph));
  mk_op input = {.kind = MK_OP_INPUT, .src = {-1, -1}, .channels = input_channels};
  mkd_status status = append(graph, NULL, &input, NULL);
  if (status != MKD_OK) {
    mk_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return MKD_OK;
}

static mkd_status check_conv(const mk_conv *conv, int src_channels)
{
  MK_TRY(check_number("the number of channels", conv->channels, 1, MAX_CHANNELS));
  MK_TRY(check_number("the kernel", conv->kernel, 1, MAX_KERNEL));
  MK_TRY(check_number("the stride", conv->stride, 1, MAX_STRIDE));
  if (conv->pad_mode == MK_PAD_EXPLICIT)
    MK_TRY(check_number("the padding", conv->pad, 0, conv->kernel - 1));
  if (conv->groups == 1) return MKD_OK;
  if (conv->groups == src_channels && conv->groups == conv->channels) return MKD_OK;
  return mk_fail(MKD_ERROR_ARGUMENT,
                 "a convolution of %d channels to %d in %d groups; only one group, or one for each "
                 "channel, is supported",
                 src_channels, conv->channels, conv->groups);
}

mkd_status mk_graph_conv(mk_graph *graph, int *index, int src, const mk_conv *conv,
                         const char *name)
{
  MK_TRY(check_source(graph, src));
  int src_channels = graph->ops[src].channels;
  MK_TRY(check_conv(conv, src_channels));
  mk_op op = {.kind = MK_OP_CONV,
              .src = {src, -1},
              .channels = conv->channels,
              .kernel = conv->kernel,
              .stride = conv->stride,
              .groups = conv->groups,
              .pad_mode = conv->pad_mode,
              .pad = conv->pad_mode == MK_PAD_EXPLICIT ? conv->pad : 0};
  size_t count = (size_t)(conv->kernel * conv->kernel);
  if (!mk_mul(count, (size_t)(src_channels / conv->groups), &count) ||
      !mk_mul(count, (size_t)conv->channels, &count) || count > max_weights)
    return mk_fail(MKD_ERROR_ARGUMENT, "a convolution with more than %zu weights", max_weights);
  MK_TRY(op_alloc(graph, &op, count, conv->bias, false));
  return append(graph, index, &op, name);
}

mkd_status mk_graph_batch_norm(mk_graph *graph, int *index, int src, float epsilon, float momentum,
                               const char *name)
{
  MK_TRY(check_source(graph, src));
  if (!(epsilon > 0 && epsilon <= 1) || !(momentum >= 0 && momentum <= 1))
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "batch norm with epsilon %g and momentum %g; both have to be in 0 to 1", epsilon,
                   momentum);
  mk_op op = {.kind = MK_OP_BATCH_NORM,
              .src = {src, -1},
              .channels = graph->ops[src].channels,
              .epsilon = epsilon,
              .momentum = momentum};
  MK_TRY(op_alloc(graph, &op, (size_t)op.channels, true, true));
  return append(graph, index, &op, name);
}

mkd_status mk_graph_activation(mk_graph *graph, int *index, int src, mk_op_kind kind,
                               const char *name)
{
  MK_TRY(check_source(graph, src));
  if (kind != MK_OP_RELU && kind != MK_OP_RELU6)
    return mk_fail(MKD_ERROR_ARGUMENT, "operation kind %d is no activation", (int)kind);
  mk_op op = {.kind = kind, .src = {src, -1}, .channels = graph->ops[src].channels};
  return append(graph, index, &op, name);
}

mkd_status mk_graph_max_pool(mk_graph *graph, int *index, int src, int kernel, int stride,
                             const char *name)
{
  MK_TRY(check_source(graph, src));
  MK_TRY(check_number("the kernel", kernel, 1, MAX_KERNEL));
  MK_TRY(check_number("the stride", stride, 1, MAX_STRIDE));
  mk_op op = {.kind = MK_OP_MAX_POOL,
              .src = {src, -1},
              .channels = graph->ops[src].channels,
              .kernel = kernel,
              .stride = stride};
  return append(graph, index, &op, name);
}

mkd_status mk_graph_add(mk_graph *graph, int *index, int src_a, int src_b, const char *name)
{
  MK_TRY(check_source(graph, src_a));
  MK_TRY(check_source(graph, src_b));
  int channels = graph->ops[src_a].channels;
  if (channels != graph->ops[src_b].channels)
    return mk_fail(MKD_ERROR_ARGUMENT, "adds %d channels to %d", channels,
                   graph->ops[src_b].channels);
  mk_op op = {.kind = MK_OP_ADD, .src = {src_a, src_b}, .channels = channels};
  return append(graph, index, &op, name);
}

mkd_status mk_graph_append_copy(mk_graph *graph, int *index, const mk_op *op, int src_a, int src_b)
{
  mk_op copy = *op;
  size_t channels = (size_t)op->channels;
  copy.src[0] = src_a;
  copy.src[1] = src_b;
  copy.weights = copy.bias = copy.mean = copy.variance = NULL;
  if (op->weights) {
    MK_TRY(op_alloc(graph, &copy, op->weight_count, op->bias, op->mean));
    memcpy(copy.weights, op->weights, op->weight_count * sizeof(float));
    if (op->bias) memcpy(copy.bias, op->bias, channels * sizeof(float));
    if (op->mean) memcpy(copy.mean, op->mean, channels * sizeof(float));
    if (op->variance) memcpy(copy.variance, op->variance, channels * sizeof(float));
  }
  return append(graph, index, &copy, op->name);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool valid_name(const char *name)
{
  size_t length = strlen(name);
  if (length >= MK_NAME_MAX) return false;
  for (size_t i = 0; i < length; ++i)
    if (name[i] <= ' ' || name[i] > '~') return false;
  return true;
}

mkd_status mk_graph_name(mk_graph *graph, int index, const char *name)
{
  if (index < 0 || index >= graph->count)
    return mk_fail(MKD_ERROR_ARGUMENT, "there is no operation %d to name", index);
  if (!valid_name(name))
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "a name has to be at most %d printable ASCII characters without space",
                   MK_NAME_MAX - 1);
  int named = mk_graph_find(graph, name);
  if (named >= 0 && named != index)
    return mk_fail(MKD_ERROR_ARGUMENT, "two operations are named '%s'", name);
  snprintf(graph->ops[index].name, MK_NAME_MAX, "%s", name);
  return MKD_OK;
}

int mk_graph_find(const mk_graph *graph, const char *name)
{
  if (name[0] == '\0') return -1;
  for (int i = 0; i < graph->count; ++i)
    if (strcmp(graph->ops[i].name, name) == 0) return i;
  return -1;
}

/* ---- Order of weights ------------------------------------------------------------------------ */

enum { TILE = 16 }; /* output channels at a time, so that neither side jumps for each number */

/* `count` output channels of one source channel and place in the kernel. */
static inline void gather_channels(float *dst, const float *src, size_t depth, size_t count)
{
  for (size_t o = 0; o < count; ++o) dst[o] = src[o * depth];
}

void mk_conv_weights_from_oihw(mk_op *conv, int src_channels, const float *oihw)
{
  size_t channels = (size_t)conv->channels, group = (size_t)(src_channels / conv->groups);
  size_t taps = (size_t)(conv->kernel * conv->kernel), depth = group * taps;
  for (size_t first = 0; first < channels; first += TILE) {
    const float *src = oihw + first * depth;
    for (size_t i = 0; i < group; ++i) {
      for (size_t k = 0; k < taps; ++k, ++src) {
        float *dst = conv->weights + (k * group + i) * channels + first;
        if (channels - first >= TILE)
          gather_channels(dst, src, depth, TILE); /* unrolled */
        else
          gather_channels(dst, src, depth, channels - first);
      }
    }
  }
}
