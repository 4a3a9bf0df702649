#include "nn/net.h"

#include "core/memory.h"

int mk_op_src_channels(const mk_graph *graph, const mk_op *op)
{
  return graph->ops[op->src[0]].channels;
}

int mk_phase_taps(int kernel, int stride, int phase)
{
  return phase < kernel ? (kernel - 1 - phase) / stride + 1 : 0;
}

static bool is_dense(const mk_op *op)
{
  return op->kind == MK_OP_CONV && op->groups == 1;
}

static size_t panels(int channels, int panel)
{
  return (size_t)((channels + panel - 1) / panel);
}

static void pack_forward(const mk_net *net, const mk_op *op, float *packed)
{
  int width = net->kernels->panel;
  size_t depth = (size_t)(op->kernel * op->kernel) * (size_t)mk_op_src_channels(net->graph, op);
  for (int c0 = 0; c0 < op->channels; c0 += width) {
    for (size_t d = 0; d < depth; ++d) {
      const float *weights = op->weights + d * (size_t)op->channels;
      for (int c = c0; c < c0 + width; ++c) *packed++ = c < op->channels ? weights[c] : 0;
    }
  }
}

static int backward_panel(const mk_net *net, int sources)
{
  return sources <= MK_FEW_CHANNELS ? 1 : net->kernels->panel;
}

static void pack_backward(const mk_net *net, const mk_op *op, int qy, int qx, float *packed)
{
  int sources = mk_op_src_channels(net->graph, op), width = backward_panel(net, sources);
  for (int s0 = 0; s0 < sources; s0 += width) {
    for (int ky = qy; ky < op->kernel; ky += op->stride) {
      for (int kx = qx; kx < op->kernel; kx += op->stride) {
        const float *weights =
            op->weights + (size_t)(ky * op->kernel + kx) * (size_t)sources * (size_t)op->channels;
        for (int c = 0; c < op->channels; ++c) {
          for (int s = s0; s < s0 + width; ++s)
            *packed++ = s < sources ? weights[(size_t)s * (size_t)op->channels + (size_t)c] : 0;
        }
      }
    }
  }
}

void mk_net_pack(mk_net *net)
{
  for (int i = 0; i < net->graph->count; ++i) {
    const mk_op *op = &net->graph->ops[i];
    mk_packed *packed = &net->packed[i];
    if (packed->forward) pack_forward(net, op, packed->forward);
    for (int q = 0; packed->backward && q < op->stride * op->stride; ++q)
      pack_backward(net, op, q / op->stride, q % op->stride, packed->backward[q]);
  }
}

static mkd_status allocate(const mk_net *net, const mk_op *op, mk_packed *packed, bool backward)
{
  int width = net->kernels->panel, sources = mk_op_src_channels(net->graph, op);
  size_t taps = (size_t)(op->kernel * op->kernel);
  MK_TRY(mk_alloc(&packed->forward,
                  panels(op->channels, width) * (size_t)width * taps * (size_t)sources,
                  sizeof(float)));
  if (!backward) return MKD_OK;
  width = backward_panel(net, sources);
  MK_TRY(mk_alloc(&packed->backward, (size_t)(op->stride * op->stride), sizeof(float *)));
  for (int q = 0; q < op->stride * op->stride; ++q) {
    taps = (size_t)mk_phase_taps(op->kernel, op->stride, q / op->stride) *
           (size_t)mk_phase_taps(op->kernel, op->stride, q % op->stride);
    MK_TRY(mk_alloc(&packed->backward[q],
                    panels(sources, width) * (size_t)width * taps * (size_t)op->channels,
                    sizeof(float)));
  }
  return MKD_OK;
}

mkd_status mk_net_create(mk_net **out, const mk_graph *graph, const mk_kernels *kernels,
                         bool backward)
{
  mk_net *net;
  MK_TRY(mk_alloc(&net, 1, sizeof *net));
  net->graph = graph;
  net->kernels = kernels;
  mkd_status status = mk_alloc(&net->packed, (size_t)graph->count, sizeof *net->packed);
  for (int i = 0; status == MKD_OK && i < graph->count; ++i) {
    if (is_dense(&graph->ops[i])) status = allocate(net, &graph->ops[i], &net->packed[i], backward);
  }
  if (status != MKD_OK) {
    mk_net_destroy(net);
    return status;
  }
  mk_net_pack(net);
  *out = net;
  return MKD_OK;
}

void mk_net_destroy(mk_net *net)
{
  if (!net) return;
  for (int i = 0; net->packed && i < net->graph->count; ++i) {
    const mk_op *op = &net->graph->ops[i];
    mk_packed *packed = &net->packed[i];
    mk_free(packed->forward);
    for (int q = 0; packed->backward && q < op->stride * op->stride; ++q)
      mk_free(packed->backward[q]);
    mk_free(packed->backward);
  }
  mk_free(net->packed);
  mk_free(net);
}
