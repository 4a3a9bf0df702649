/* Adam (Kingma and Ba 2015) over all weights of a graph. */
#ifndef MK_NN_ADAM_H
#define MK_NN_ADAM_H

#include "nn/exec.h"

/* A trainable array of a graph: the weights or the bias of one operation. */
typedef struct {
  int op;
  bool is_bias;
  float *data;
  size_t count;
} mk_parameter;

typedef struct {
  mk_parameter *parameters; /* in the order of the operations */
  int parameter_count;
  size_t total;          /* numbers in all parameters */
  float *first, *second; /* [total] moments, in the same order */
  uint64_t steps;        /* done so far */
} mk_adam;

/* The graph has to outlive it. */
mkd_status mk_adam_create(mk_adam **adam, mk_graph *graph);
void mk_adam_destroy(mk_adam *adam);

/* One step with the gradients of the exec's last backward pass; beta2 0.999, epsilon 1e-8. As in
 * PyTorch, the bias correction takes the current beta1 to the power of the number of steps. */
void mk_adam_step_run(mk_adam *adam, const mk_exec *exec, const mk_kernels *kernels, mk_pool *pool,
                      double learning_rate, double beta1);

#endif
