/* A graph whose weights are packed for one set of kernels: shared by all that execute it. */
#ifndef MK_NN_NET_H
#define MK_NN_NET_H

#include "nn/graph.h"
#include "nn/kernels/kernels.h"

typedef struct {
  float *forward; /* [panel][kernel * kernel * source channels][panel width] */
  /* For backward-data, phase (qy, qx) of the stride holds the kernel positions (ky, kx) with
   * ky % stride == qy and kx % stride == qx, in ascending order:
   * [panel of source channels][positions * channels][panel width]. Of MK_FEW_CHANNELS source
   * channels or less, each is a panel of its own. */
  float **backward; /* [stride * stride], or NULL */
} mk_packed;

typedef struct {
  const mk_graph *graph;
  const mk_kernels *kernels;
  mk_packed *packed; /* [graph->count]; empty for all but convolutions with groups 1 */
} mk_net;

/* `backward` asks for what gradients of activations need. The graph has to outlive the net. */
mkd_status mk_net_create(mk_net **net, const mk_graph *graph, const mk_kernels *kernels,
                         bool backward);
void mk_net_destroy(mk_net *net);

/* Packs again after the graph's weights have changed. */
void mk_net_pack(mk_net *net);

/* Channels of an operation's source. */
int mk_op_src_channels(const mk_graph *graph, const mk_op *op);

/* Number of kernel positions 0 .. kernel - 1 that are congruent to `phase` modulo `stride`. */
int mk_phase_taps(int kernel, int stride, int phase);

#endif
