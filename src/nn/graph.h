/* A network as a flat list of operations, each with one output.
 *
 * Operations refer to earlier ones by index; index 0 is the input. Outputs that somebody else wants
 * to look at (critical points) have names. Activations are NHWC fp32. */
#ifndef MK_NN_GRAPH_H
#define MK_NN_GRAPH_H

#include "core/scratch.h"

enum { MK_NAME_MAX = 64 };

typedef enum {
  MK_OP_INPUT,
  MK_OP_CONV,       /* groups 1, or groups = channels = source channels (depthwise) */
  MK_OP_BATCH_NORM, /* per channel: (x - mean) / sqrt(variance + epsilon) * scale + shift */
  MK_OP_RELU,
  MK_OP_RELU6,
  MK_OP_MAX_POOL, /* windows that do not fit are dropped ("floor") */
  MK_OP_ADD       /* src[0] + src[1], same shape */
} mk_op_kind;

typedef enum {
  MK_PAD_EXPLICIT, /* `pad` zeros on every side */
  MK_PAD_SAME      /* TensorFlow: output = ceil(input / stride), odd pad at bottom and right */
} mk_pad_mode;

typedef struct {
  mk_op_kind kind;
  int src[2];                 /* indices of sources; -1 = none */
  char name[MK_NAME_MAX];     /* unique, or "" */
  int channels;               /* of the output */
  int kernel, stride, groups; /* convolution and pool: square kernels */
  mk_pad_mode pad_mode;
  int pad;
  float epsilon, momentum; /* batch norm; momentum is PyTorch's: new = (1 - m) old + m batch */

  /* Convolution: weights [kernel][kernel][source channels / groups][channels] and bias [channels]
   * or NULL. Batch norm: weights = scale, bias = shift, mean and variance, all [channels]. */
  float *weights, *bias, *mean, *variance;
  size_t weight_count; /* of `weights` */
} mk_op;

typedef struct {
  mk_op *ops;
  int count;
  mk_scratch memory; /* of the operations' arrays */
  bool unfilled;     /* new arrays are of any content, not zero */
} mk_graph;

mkd_status mk_graph_create(mk_graph **graph, int input_channels);
void mk_graph_destroy(mk_graph *graph);

/* Each appends an operation and gives its index (which may be NULL, as `name` may). Weights are
 * allocated, zero. */
typedef struct {
  int channels, kernel, stride, groups;
  mk_pad_mode pad_mode;
  int pad;
  bool bias;
} mk_conv;

mkd_status mk_graph_conv(mk_graph *graph, int *index, int src, const mk_conv *conv,
                         const char *name);
mkd_status mk_graph_batch_norm(mk_graph *graph, int *index, int src, float epsilon, float momentum,
                               const char *name);
mkd_status mk_graph_activation(mk_graph *graph, int *index, int src, mk_op_kind kind,
                               const char *name); /* MK_OP_RELU or MK_OP_RELU6 */
mkd_status mk_graph_max_pool(mk_graph *graph, int *index, int src, int kernel, int stride,
                             const char *name);
mkd_status mk_graph_add(mk_graph *graph, int *index, int src_a, int src_b, const char *name);

/* An array of zeros that lives as long as the graph, for an operation of it. */
mkd_status mk_graph_array(mk_graph *graph, float **array, size_t count);

/* Appends a copy of `op` (name, weights and all) that reads `src_a` and `src_b` (-1 = none). These
 * are trusted; used by functions that copy graphs. */
mkd_status mk_graph_append_copy(mk_graph *graph, int *index, const mk_op *op, int src_a, int src_b);

/* Names an operation (again): unique, printable ASCII without space; "" takes the name away. */
mkd_status mk_graph_name(mk_graph *graph, int index, const char *name);

/* Index of the operation with that name, or -1. */
int mk_graph_find(const mk_graph *graph, const char *name);

/* Copies convolution weights from PyTorch's order [channels][source channels / groups][k][k].
 * Depthwise: [channels][1][k][k]. */
void mk_conv_weights_from_oihw(mk_op *conv, int src_channels, const float *oihw);

/* A copy without batch norm: each is folded into the convolution before it (in evaluation mode).
 * Keeps names; of two, that of the batch norm, whose output it is. Fails when a batch norm does not
 * follow a convolution that nobody else reads. */
mkd_status mk_graph_fold(mk_graph **folded, const mk_graph *graph);

/* A copy of the operations that `outputs` need; `mapped[i]` is the new index of `outputs[i]`. */
mkd_status mk_graph_prune(mk_graph **pruned, const mk_graph *graph, const int *outputs, int count,
                          int *mapped);

/* The same done to the graph itself; on failure, it is as before. */
mkd_status mk_graph_prune_in_place(mk_graph *graph, const int *outputs, int count, int *mapped);

/* The operations without their weights as JSON (compact, stable order), and back; the text is
 * hostile until checked. Weights are allocated, zero. */
mkd_status mk_graph_to_json(char **json, const mk_graph *graph);
mkd_status mk_graph_from_json(mk_graph **graph, const char *json);

/* The same, with arrays of any content, for the caller to fill or replace. Refuses a text that asks
 * for more than `max_weights` numbers in all arrays; best told exactly, as room is made for so
 * many. */
mkd_status mk_graph_from_json_within(mk_graph **graph, const char *json, size_t max_weights);

#endif
