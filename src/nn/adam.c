#include "nn/adam.h"

#include "core/memory.h"

#include <math.h>

static mkd_status collect(mk_adam *adam, mk_graph *graph)
{
  MK_TRY(mk_alloc(&adam->parameters, 2 * (size_t)graph->count, sizeof *adam->parameters));
  for (int i = 0; i < graph->count; ++i) {
    mk_op *op = &graph->ops[i];
    if (!op->weights) continue;
    adam->parameters[adam->parameter_count++] =
        (mk_parameter){.op = i, .data = op->weights, .count = op->weight_count};
    adam->total += op->weight_count;
    if (!op->bias) continue;
    adam->parameters[adam->parameter_count++] =
        (mk_parameter){.op = i, .is_bias = true, .data = op->bias, .count = (size_t)op->channels};
    adam->total += (size_t)op->channels;
  }
  MK_TRY(mk_alloc(&adam->first, adam->total, sizeof(float)));
  return mk_alloc(&adam->second, adam->total, sizeof(float));
}

mkd_status mk_adam_create(mk_adam **out, mk_graph *graph)
{
  mk_adam *adam;
  MK_TRY(mk_alloc(&adam, 1, sizeof *adam));
  mkd_status status = collect(adam, graph);
  if (status != MKD_OK) {
    mk_adam_destroy(adam);
    return status;
  }
  *out = adam;
  return MKD_OK;
}

void mk_adam_destroy(mk_adam *adam)
{
  if (!adam) return;
  mk_free(adam->parameters);
  mk_free(adam->first);
  mk_free(adam->second);
  mk_free(adam);
}

typedef struct {
  mk_adam *adam;
  const mk_exec *exec;
  const mk_kernels *kernels;
  mk_adam_step step;
} adam_job;

static void update_parameter(void *context, size_t index, int worker)
{
  (void)worker;
  const adam_job *job = context;
  mk_adam *adam = job->adam;
  const mk_parameter *parameter = &adam->parameters[index];
  size_t at = 0;
  for (size_t i = 0; i < index; ++i) at += adam->parameters[i].count;
  const float *gradient = parameter->is_bias ? mk_exec_bias_gradient(job->exec, parameter->op)
                                             : mk_exec_weight_gradient(job->exec, parameter->op);
  job->kernels->adam(parameter->data, adam->first + at, adam->second + at, gradient, &job->step,
                     parameter->count);
}

void mk_adam_step_run(mk_adam *adam, const mk_exec *exec, const mk_kernels *kernels, mk_pool *pool,
                      double learning_rate, double beta1)
{
  ++adam->steps;
  const double beta2 = 0.999;
  adam_job job = {adam,
                  exec,
                  kernels,
                  {.learning_rate = learning_rate,
                   .beta1 = beta1,
                   .beta2 = beta2,
                   .epsilon = 1e-8,
                   .correction1 = 1 - pow(beta1, (double)adam->steps),
                   .correction2 = 1 - pow(beta2, (double)adam->steps)}};
  mk_pool_run(pool, (size_t)adam->parameter_count, update_parameter, &job);
}
