#include "nn/net.h"

#include "core/memory.h"
#include "nn/winograd.h"

#include <pthread.h>
#include <string.h>

int mk_op_src_channels(const mk_graph *graph, const mk_op *op)
{
  return graph->ops[op->src[0]].channels;
}

int mk_phase_taps(int kernel, int stride, int phase)
{
  return phase < kernel ? (kernel - 1 - phase) / stride + 1 : 0;
}

/* Channels of all panels, those included that are not there. */
static size_t packed_channels(const mk_kernels *kernels, int channels)
{
  int last = mk_panel_count(kernels, channels) - 1;
  return (size_t)(last * kernels->panel + mk_panel_width(kernels, channels, last));
}

static void pack_forward(const mk_net *net, const mk_op *op, float *packed)
{
  const mk_kernels *kernels = net->kernels;
  size_t depth = (size_t)(op->kernel * op->kernel) * (size_t)mk_op_src_channels(net->graph, op);
  for (int p = 0; p < mk_panel_count(kernels, op->channels); ++p) {
    int first = p * kernels->panel, width = mk_panel_width(kernels, op->channels, p);
    int there = op->channels - first < width ? op->channels - first : width;
    for (size_t d = 0; d < depth; ++d) {
      const float *weights = op->weights + d * (size_t)op->channels + first;
      memcpy(packed, weights, (size_t)there * sizeof *packed);
      for (int c = there; c < width; ++c) packed[c] = 0;
      packed += width;
    }
  }
}

/* Source channels [first, end), those included that are not there. */
static float *pack_sources(const mk_op *op, int sources, int qy, int qx, int first, int end,
                           float *packed)
{
  for (int ky = qy; ky < op->kernel; ky += op->stride) {
    for (int kx = qx; kx < op->kernel; kx += op->stride) {
      const float *weights =
          op->weights + (size_t)(ky * op->kernel + kx) * (size_t)sources * (size_t)op->channels;
      for (int c = 0; c < op->channels; ++c) {
        for (int s = first; s < end; ++s)
          *packed++ = s < sources ? weights[(size_t)s * (size_t)op->channels + (size_t)c] : 0;
      }
    }
  }
  return packed;
}

static void pack_backward(const mk_net *net, const mk_op *op, int qy, int qx, float *packed)
{
  const mk_kernels *kernels = net->kernels;
  int sources = mk_op_src_channels(net->graph, op);
  if (sources <= MK_FEW_CHANNELS) {
    for (int s = 0; s < sources; ++s) packed = pack_sources(op, sources, qy, qx, s, s + 1, packed);
    return;
  }
  for (int p = 0; p < mk_panel_count(kernels, sources); ++p) {
    int first = p * kernels->panel, end = first + mk_panel_width(kernels, sources, p);
    packed = pack_sources(op, sources, qy, qx, first, end, packed);
  }
}

/* ---- Forms ----------------------------------------------------------------------------------- */

/* WINOGRAD + 2 * backward + (tile == 4); BACKWARD + phase. */
enum { FORWARD, WINOGRAD, BACKWARD = WINOGRAD + 4 };

typedef struct {
  float *weights; /* NULL: nobody has asked for it */
  bool packed;
} form_weights;

struct mk_packing {
  pthread_mutex_t lock;
  mk_scratch memory;    /* of the weights */
  form_weights **forms; /* [graph->count][form_count] */
};

static int form_count(const mk_op *op)
{
  bool dense = op->kind == MK_OP_CONV && op->groups == 1;
  return dense ? BACKWARD + op->stride * op->stride : 0;
}

static mk_winograd_weights winograd_form(const mk_net *net, const mk_op *op, int form)
{
  int sources = mk_op_src_channels(net->graph, op);
  bool backward = form >= WINOGRAD + 2;
  return (mk_winograd_weights){.tile = (form - WINOGRAD) % 2 ? 4 : 2,
                               .weights = op->weights,
                               .src_channels = backward ? op->channels : sources,
                               .channels = backward ? sources : op->channels,
                               .transposed = backward};
}

static void pack(const mk_net *net, const mk_op *op, int form, float *packed)
{
  if (form == FORWARD) {
    pack_forward(net, op, packed);
  } else if (form < BACKWARD) {
    mk_winograd_weights weights = winograd_form(net, op, form);
    net->kernels->winograd_pack(&weights, packed);
  } else {
    pack_backward(net, op, (form - BACKWARD) / op->stride, (form - BACKWARD) % op->stride, packed);
  }
}

static size_t packed_count(const mk_net *net, const mk_op *op, int form)
{
  int sources = mk_op_src_channels(net->graph, op);
  if (form == FORWARD)
    return packed_channels(net->kernels, op->channels) * (size_t)(op->kernel * op->kernel) *
           (size_t)sources;
  if (form < BACKWARD) {
    mk_winograd_weights weights = winograd_form(net, op, form);
    return mk_winograd_weight_count(net->kernels, weights.tile, weights.src_channels,
                                    weights.channels);
  }
  size_t columns =
      sources <= MK_FEW_CHANNELS ? (size_t)sources : packed_channels(net->kernels, sources);
  return columns * (size_t)mk_phase_taps(op->kernel, op->stride, (form - BACKWARD) / op->stride) *
         (size_t)mk_phase_taps(op->kernel, op->stride, (form - BACKWARD) % op->stride) *
         (size_t)op->channels;
}

static mkd_status need(const mk_net *net, int index, int form, const float **packed)
{
  mk_packing *packing = net->packing;
  form_weights *f = &packing->forms[index][form];
  mkd_status status = MKD_OK;
  pthread_mutex_lock(&packing->lock);
  if (!f->weights)
    status = mk_scratch_get(&packing->memory, &f->weights,
                            packed_count(net, &net->graph->ops[index], form), sizeof(float));
  *packed = f->weights;
  pthread_mutex_unlock(&packing->lock);
  return status;
}

mkd_status mk_net_forward_weights(const mk_net *net, int op, const float **packed)
{
  return need(net, op, FORWARD, packed);
}

mkd_status mk_net_backward_weights(const mk_net *net, int op, int qy, int qx, const float **packed)
{
  return need(net, op, BACKWARD + qy * net->graph->ops[op].stride + qx, packed);
}

mkd_status mk_net_winograd_weights(const mk_net *net, int op, int tile, bool backward,
                                   const float **packed)
{
  return need(net, op, WINOGRAD + 2 * backward + (tile == 4), packed);
}

static void pack_missing(void *context, size_t index, int worker)
{
  (void)worker;
  const mk_net *net = context;
  const mk_op *op = &net->graph->ops[index];
  for (int form = 0; form < form_count(op); ++form) {
    form_weights *f = &net->packing->forms[index][form];
    if (!f->weights || f->packed) continue;
    pack(net, op, form, f->weights);
    f->packed = true;
  }
}

void mk_net_pack(const mk_net *net, mk_pool *pool)
{
  mk_net shared = *net; /* a task's context is not constant */
  pthread_mutex_lock(&net->packing->lock);
  mk_pool_run(pool, (size_t)net->graph->count, pack_missing, &shared);
  pthread_mutex_unlock(&net->packing->lock);
}

void mk_net_pack_again(mk_net *net, mk_pool *pool)
{
  for (int i = 0; i < net->graph->count; ++i) {
    for (int form = 0; form < form_count(&net->graph->ops[i]); ++form)
      net->packing->forms[i][form].packed = false;
  }
  mk_net_pack(net, pool);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* Room for the form that going forward most likely asks for. */
static size_t forward_bytes(const mk_net *net)
{
  const size_t most = (size_t)64 << 20;
  size_t bytes = 0;
  for (int i = 0; i < net->graph->count; ++i) {
    const mk_op *op = &net->graph->ops[i];
    if (form_count(op) == 0) continue;
    size_t count = packed_count(net, op, FORWARD);
    if (op->kernel == 3 && op->stride == 1 && net->kernels->winograd)
      count = packed_count(net, op, WINOGRAD + 1);
    bytes += count * sizeof(float) + MK_ALIGNMENT;
  }
  return bytes < most ? bytes : most;
}

static mkd_status create(mk_net *net)
{
  int count = net->graph->count;
  MK_TRY(mk_alloc(&net->packing, 1, sizeof *net->packing));
  pthread_mutex_init(&net->packing->lock, NULL);
  MK_TRY(mk_alloc(&net->packing->forms, (size_t)count, sizeof *net->packing->forms));
  for (int i = 0; i < count; ++i)
    MK_TRY(mk_alloc(&net->packing->forms[i], (size_t)form_count(&net->graph->ops[i]),
                    sizeof **net->packing->forms));
  return mk_scratch_reserve(&net->packing->memory, forward_bytes(net));
}

mkd_status mk_net_create(mk_net **out, const mk_graph *graph, const mk_kernels *kernels)
{
  mk_net *net;
  MK_TRY(mk_alloc(&net, 1, sizeof *net));
  net->graph = graph;
  net->kernels = kernels;
  mkd_status status = create(net);
  if (status != MKD_OK) {
    mk_net_destroy(net);
    return status;
  }
  *out = net;
  return MKD_OK;
}

void mk_net_destroy(mk_net *net)
{
  if (!net) return;
  mk_packing *packing = net->packing;
  if (packing) {
    for (int i = 0; packing->forms && i < net->graph->count; ++i) mk_free(packing->forms[i]);
    mk_free(packing->forms);
    mk_scratch_free(&packing->memory);
    pthread_mutex_destroy(&packing->lock);
    mk_free(packing);
  }
  mk_free(net);
}
