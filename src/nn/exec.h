/* Executes a net: forward, and backward to activations, input and weights.
 *
 * All memory is planned when the exec is made. One thread uses an exec at a time (and may bring a
 * pool to help). Same input, same kernels: same bytes, whatever the pool. */
#ifndef MK_NN_EXEC_H
#define MK_NN_EXEC_H

#include "core/threads.h"
#include "nn/net.h"

typedef struct mk_exec mk_exec;

typedef struct {
  int batch;           /* most images of one call */
  int height, width;   /* of the input */
  bool train;          /* batch norm on batch statistics; gradients of the weights */
  bool input_gradient; /* gradient of the input */
  int threads;         /* most that share the work, each with memory of its own; 0 = one a core */
  mk_pool *pool;       /* to pack the net's weights with; may be NULL */
} mk_exec_options;

typedef struct {
  int height, width, channels;
} mk_shape;

/* `outputs` are indices of operations whose activations the caller wants, in that order, none
 * twice. Every operation of the graph has to serve one of them (mk_graph_prune). The net has to
 * outlive the exec. */
mkd_status mk_exec_create(mk_exec **exec, const mk_net *net, const int *outputs, int output_count,
                          const mk_exec_options *options);
void mk_exec_destroy(mk_exec *exec);

/* Shape of one image's activation at an output. */
mk_shape mk_exec_output_shape(const mk_exec *exec, int output);

/* [batch][height][width][channels], for the caller to fill before every forward, which may
 * overwrite it. */
float *mk_exec_input(mk_exec *exec);

/* Runs the first `batch` images. `pool` may be NULL. */
void mk_exec_forward(mk_exec *exec, mk_pool *pool, int batch);

/* [batch][shape], valid until the next forward. */
const float *mk_exec_output(const mk_exec *exec, int output);

/* With options.train or input_gradient: the gradient of the loss at an output, for the caller to
 * fill between forward and backward; every one of them, every time: backward overwrites it. */
float *mk_exec_output_gradient(mk_exec *exec, int output);

/* After forward with the same batch. With `guided`, negative gradients are cut at every ReLU. */
void mk_exec_backward(mk_exec *exec, mk_pool *pool, int batch, bool guided);

/* [batch][height][width][channels]; with options.input_gradient. */
const float *mk_exec_input_gradient(const mk_exec *exec);

/* Gradients of an operation's `weights` and `bias` (NULL when it has none); with options.train. */
const float *mk_exec_weight_gradient(const mk_exec *exec, int op);
const float *mk_exec_bias_gradient(const mk_exec *exec, int op);

/* Moves the running mean and variance of every batch norm towards the statistics of the last
 * training batch. `graph` is the net's. */
void mk_exec_update_statistics(const mk_exec *exec, mk_graph *graph);

/* Shape of an operation's output for a given input size, without an exec; an error when an image of
 * that size does not get through. */
mkd_status mk_graph_shape(const mk_graph *graph, int op, int height, int width, mk_shape *shape);

#endif
