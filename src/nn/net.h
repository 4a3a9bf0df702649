/* A graph whose weights are packed for one set of kernels: shared by all that execute it. A form of
 * a convolution's weights is packed when the first exec has asked for it. */
#ifndef MK_NN_NET_H
#define MK_NN_NET_H

#include "core/threads.h"
#include "nn/graph.h"
#include "nn/kernels/kernels.h"

typedef struct mk_packing mk_packing; /* the packed weights */

typedef struct {
  const mk_graph *graph;
  const mk_kernels *kernels;
  mk_packing *packing;
} mk_net;

/* The graph has to outlive the net. */
mkd_status mk_net_create(mk_net **net, const mk_graph *graph, const mk_kernels *kernels);
void mk_net_destroy(mk_net *net);

/* Packs the forms that have been asked for since the last time; from any thread. The pool, if there
 * is one, is free. */
void mk_net_pack(const mk_net *net, mk_pool *pool);

/* Packs all again, after the graph's weights have changed; packed weights stay where they are. */
void mk_net_pack_again(mk_net *net, mk_pool *pool);

/* Asks for the weights of a convolution with groups 1, which the net owns and mk_net_pack sets;
 * from any thread.
 *
 * Forward: [panel][kernel * kernel * source channels][mk_panel_width]. */
mkd_status mk_net_forward_weights(const mk_net *net, int op, const float **packed);

/* For backward-data, phase (qy, qx) of the stride holds the kernel positions (ky, kx) with
 * ky % stride == qy and kx % stride == qx, in ascending order:
 * [panel of source channels][positions * channels][mk_panel_width]. Of MK_FEW_CHANNELS source
 * channels or less, each is a panel of its own. */
mkd_status mk_net_backward_weights(const mk_net *net, int op, int qy, int qx, const float **packed);

/* For `winograd` with tiles of 2 or 4; `backward` for backward-data. */
mkd_status mk_net_winograd_weights(const mk_net *net, int op, int tile, bool backward,
                                   const float **packed);

/* Channels of an operation's source. */
int mk_op_src_channels(const mk_graph *graph, const mk_op *op);

/* Number of kernel positions 0 .. kernel - 1 that are congruent to `phase` modulo `stride`. */
int mk_phase_taps(int kernel, int stride, int phase);

#endif
