/* Copies of a graph: with batch norm folded, and without what is not needed. */
#include "nn/graph.h"

#include "core/memory.h"

#include <math.h>

/* ---- Folding --------------------------------------------------------------------------------- */

static int count_readers(const mk_graph *graph, int index)
{
  int readers = 0;
  for (int i = index + 1; i < graph->count; ++i)
    readers += (graph->ops[i].src[0] == index) + (graph->ops[i].src[1] == index);
  return readers;
}

static mkd_status fold_into(mk_graph *graph, mk_op *conv, const mk_op *norm)
{
  size_t channels = (size_t)conv->channels;
  if (!conv->bias) MK_TRY(mk_graph_array(graph, &conv->bias, channels));
  for (size_t c = 0; c < channels; ++c) {
    double variance = (double)norm->variance[c] + (double)norm->epsilon;
    if (!(variance > 0))
      return mk_fail(MKD_ERROR_ARGUMENT, "the variance of batch norm '%s' is %g in channel %zu",
                     norm->name, (double)norm->variance[c], c);
    double factor = (double)norm->weights[c] / sqrt(variance);
    /* Output channels are the last dimension of the weights. */
    for (size_t i = c; i < conv->weight_count; i += channels)
      conv->weights[i] = (float)(conv->weights[i] * factor);
    conv->bias[c] =
        (float)(((double)conv->bias[c] - (double)norm->mean[c]) * factor + (double)norm->bias[c]);
  }
  return MKD_OK;
}

/* Folds operation `index`, a batch norm, into the copy of the convolution that it reads. */
static mkd_status fold_norm(mk_graph *folded, const mk_graph *graph, int index, const int *mapped)
{
  const mk_op *norm = &graph->ops[index];
  int source = norm->src[0], target = mapped[source];
  if (graph->ops[source].kind != MK_OP_CONV || count_readers(graph, source) != 1)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "batch norm '%s' (operation %d) does not follow a convolution of its own",
                   norm->name, index);
  MK_TRY(fold_into(folded, &folded->ops[target], norm));
  if (norm->name[0] != '\0') MK_TRY(mk_graph_name(folded, target, norm->name));
  return MKD_OK;
}

static mkd_status fold_ops(mk_graph *folded, const mk_graph *graph, int *mapped)
{
  for (int i = 1; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    if (op->kind == MK_OP_BATCH_NORM) {
      MK_TRY(fold_norm(folded, graph, i, mapped));
      mapped[i] = mapped[op->src[0]];
    } else {
      int second = op->src[1] < 0 ? -1 : mapped[op->src[1]];
      MK_TRY(mk_graph_append_copy(folded, &mapped[i], op, mapped[op->src[0]], second));
    }
  }
  return MKD_OK;
}

mkd_status mk_graph_fold(mk_graph **out, const mk_graph *graph)
{
  int *mapped;
  MK_TRY(mk_alloc(&mapped, (size_t)graph->count, sizeof *mapped));
  mk_graph *folded = NULL;
  mkd_status status = mk_graph_create(&folded, graph->ops[0].channels);
  if (status == MKD_OK) status = mk_graph_name(folded, 0, graph->ops[0].name);
  if (status == MKD_OK) status = fold_ops(folded, graph, mapped);
  mk_free(mapped);
  if (status != MKD_OK) {
    mk_graph_destroy(folded);
    return status;
  }
  *out = folded;
  return MKD_OK;
}

/* ---- Pruning --------------------------------------------------------------------------------- */

static mkd_status mark_needed(bool *needed, const mk_graph *graph, const int *outputs, int count)
{
  for (int i = 0; i < count; ++i) {
    if (outputs[i] < 0 || outputs[i] >= graph->count)
      return mk_fail(MKD_ERROR_ARGUMENT, "there is no operation %d to keep", outputs[i]);
    needed[outputs[i]] = true;
  }
  for (int i = graph->count - 1; i > 0; --i)
    for (int s = 0; s < 2; ++s)
      if (needed[i] && graph->ops[i].src[s] >= 0) needed[graph->ops[i].src[s]] = true;
  return MKD_OK;
}

static mkd_status copy_needed(mk_graph *pruned, const mk_graph *graph, const bool *needed,
                              int *index)
{
  for (int i = 1; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    if (!needed[i]) continue;
    int second = op->src[1] < 0 ? -1 : index[op->src[1]];
    MK_TRY(mk_graph_append_copy(pruned, &index[i], op, index[op->src[0]], second));
  }
  return MKD_OK;
}

mkd_status mk_graph_prune(mk_graph **out, const mk_graph *graph, const int *outputs, int count,
                          int *mapped)
{
  bool *needed = NULL;
  int *index = NULL;
  mk_graph *pruned = NULL;
  mkd_status status = mk_alloc(&needed, (size_t)graph->count, sizeof *needed);
  if (status == MKD_OK) status = mk_alloc(&index, (size_t)graph->count, sizeof *index);
  if (status == MKD_OK) status = mark_needed(needed, graph, outputs, count);
  if (status == MKD_OK) status = mk_graph_create(&pruned, graph->ops[0].channels);
  if (status == MKD_OK) status = mk_graph_name(pruned, 0, graph->ops[0].name);
  if (status == MKD_OK) status = copy_needed(pruned, graph, needed, index);
  if (status == MKD_OK) {
    for (int i = 0; i < count; ++i) mapped[i] = index[outputs[i]];
    *out = pruned;
  } else {
    mk_graph_destroy(pruned);
  }
  mk_free(needed);
  mk_free(index);
  return status;
}

mkd_status mk_graph_prune_in_place(mk_graph *graph, const int *outputs, int count, int *mapped)
{
  bool *needed;
  int *index = NULL;
  MK_TRY(mk_alloc(&needed, (size_t)graph->count, sizeof *needed));
  mkd_status status = mk_alloc(&index, (size_t)graph->count, sizeof *index);
  if (status == MKD_OK) status = mark_needed(needed, graph, outputs, count);
  if (status == MKD_OK) {
    int kept = 1;
    for (int i = 1; i < graph->count; ++i) {
      mk_op *op = &graph->ops[i];
      if (!needed[i]) continue;
      for (int s = 0; s < 2; ++s) {
        if (op->src[s] >= 0) op->src[s] = index[op->src[s]];
      }
      index[i] = kept;
      graph->ops[kept++] = *op;
    }
    graph->count = kept;
    for (int i = 0; i < count; ++i) mapped[i] = index[outputs[i]];
  }
  mk_free(needed);
  mk_free(index);
  return status;
}
