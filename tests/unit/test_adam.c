/* Ten optimiser steps of a small distillation against PyTorch: tests/fixtures/make_distill.py. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "nn/adam.h"
#include "nn/loss.h"
#include "numbers.h"

enum { BATCH = 5, SIDE = 32, STEPS = 10, POINTS = 2, HEADS = 10 };

typedef struct {
  mk_graph *graph;
  int outputs[POINTS];
} cloner;

/* Three convolutions with batch norm and ReLU, and two heads with bias. */
static cloner make_cloner(void)
{
  static const mk_conv convs[] = {{16, 7, 4, 1, MK_PAD_EXPLICIT, 3, false},
                                  {24, 3, 2, 1, MK_PAD_EXPLICIT, 1, false},
                                  {24, 3, 1, 1, MK_PAD_EXPLICIT, 1, false}};
  cloner c;
  int maps[3], last = 0;
  assert_int_equal(mk_graph_create(&c.graph, 3), MKD_OK);
  for (int i = 0; i < 3; ++i) {
    assert_int_equal(mk_graph_conv(c.graph, &last, last, &convs[i], NULL), MKD_OK);
    assert_int_equal(mk_graph_batch_norm(c.graph, &last, last, 1e-5f, 0.1f, NULL), MKD_OK);
    assert_int_equal(mk_graph_activation(c.graph, &last, last, MK_OP_RELU, NULL), MKD_OK);
    maps[i] = last;
  }
  for (int k = 0; k < POINTS; ++k) {
    mk_conv head = {k == 0 ? 10 : 20, 1, 1, 1, MK_PAD_EXPLICIT, 0, true};
    assert_int_equal(mk_graph_conv(c.graph, &c.outputs[k], maps[k + 1], &head, k ? "y1" : "y0"),
                     MKD_OK);
  }
  assert_int_equal(c.outputs[0], HEADS);
  fill_parameters(c.graph);
  return c;
}

static size_t output_size(const mk_exec *exec, int k)
{
  mk_shape shape = mk_exec_output_shape(exec, k);
  return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* Losses and output gradients of one batch; lambda is set in the first step. */
static mk_loss distil(mk_exec *exec, const mk_kernels *kernels, int step, double *lambda)
{
  static float targets[POINTS][BATCH * 8 * 8 * 24];
  mk_loss_point points[POINTS][BATCH];
  mk_loss loss = {0, 0};
  for (int k = 0; k < POINTS; ++k) {
    size_t size = output_size(exec, k);
    assert_true(BATCH * size <= sizeof targets[k] / sizeof *targets[k]);
    fill_numbers(targets[k], BATCH * size, 600 + 20 * (uint32_t)k + (uint32_t)step, 0, 1);
    for (size_t n = 0; n < BATCH; ++n) {
      points[k][n] =
          mk_loss_compare(kernels, targets[k] + n * size, mk_exec_output(exec, k) + n * size, size);
      loss.val += points[k][n].loss.val / BATCH;
      loss.dir += points[k][n].loss.dir / BATCH;
    }
  }
  if (step == 0) *lambda = loss.val / loss.dir;
  for (int k = 0; k < POINTS; ++k) {
    size_t size = output_size(exec, k);
    for (size_t n = 0; n < BATCH; ++n)
      mk_loss_gradient(kernels, &points[k][n], 1.0 / BATCH, *lambda / BATCH, true,
                       mk_exec_output_gradient(exec, k) + n * size,
                       mk_exec_output(exec, k) + n * size, targets[k] + n * size, size);
  }
  return loss;
}

static void assert_matches(const mk_tensors *fixture, const char *what, int number,
                           const float *values, size_t count)
{
  char name[40];
  snprintf(name, sizeof name, "adam.%s.%d", what, number);
  const mk_tensor *digest = mk_tensors_find(fixture, name);
  assert_non_null(digest);
  assert_int_equal(digest->count, DIGEST);
  if (!matches_digest(values, count, digest->data, 1e-4)) fail_msg("%s", name);
}

/* Outputs of the trained graph in evaluation mode. */
static void assert_evaluates(const mk_tensors *fixture, const mk_graph *graph, const int *outputs,
                             const mk_kernels *kernels)
{
  mk_net *net;
  mk_exec *exec;
  assert_int_equal(mk_net_create(&net, graph, kernels), MKD_OK);
  mk_exec_options options = {.batch = BATCH, .height = SIDE, .width = SIDE};
  assert_int_equal(mk_exec_create(&exec, net, outputs, POINTS, &options), MKD_OK);
  fill_numbers(mk_exec_input(exec), (size_t)BATCH * SIDE * SIDE * 3, 500, 0, 1);
  mk_exec_forward(exec, NULL, BATCH);
  for (int k = 0; k < POINTS; ++k)
    assert_matches(fixture, "output", k, mk_exec_output(exec, k), BATCH * output_size(exec, k));
  mk_exec_destroy(exec);
  mk_net_destroy(net);
}

static void train(cloner *c, const mk_kernels *kernels, mk_pool *pool, const mk_tensor *steps)
{
  mk_net *net;
  mk_exec *exec;
  mk_adam *adam;
  assert_int_equal(mk_net_create(&net, c->graph, kernels), MKD_OK);
  mk_exec_options options = {.batch = BATCH, .height = SIDE, .width = SIDE, .train = true};
  assert_int_equal(mk_exec_create(&exec, net, c->outputs, POINTS, &options), MKD_OK);
  assert_int_equal(mk_adam_create(&adam, c->graph), MKD_OK);
  double lambda = 0;
  for (int step = 0; step < STEPS; ++step) {
    const float *row = steps->data + (size_t)step * 5; /* rate, beta1, val, dir, loss */
    fill_numbers(mk_exec_input(exec), (size_t)BATCH * SIDE * SIDE * 3, 500 + (uint32_t)step, 0, 1);
    mk_exec_forward(exec, pool, BATCH);
    mk_exec_update_statistics(exec, c->graph);
    mk_loss loss = distil(exec, kernels, step, &lambda);
    assert_true(close_to(loss.val, (double)row[2], 1e-4, 0));
    assert_true(close_to(loss.dir, (double)row[3], 1e-4, 0));
    assert_true(close_to(loss.val + lambda * loss.dir, (double)row[4], 1e-4, 0));
    mk_exec_backward(exec, pool, BATCH, false);
    mk_adam_step_run(adam, exec, kernels, pool, (double)row[0], (double)row[1]);
    mk_net_pack_again(net, pool);
  }
  assert_int_equal(adam->steps, STEPS);
  mk_adam_destroy(adam);
  mk_exec_destroy(exec);
  mk_net_destroy(net);
}

static void training_matches_the_reference_library(void **state)
{
  (void)state;
  mk_bytes bytes;
  mk_tensors fixture = {0};
  mk_pool *pool;
  assert_int_equal(mk_file_read(&bytes, FIXTURES "/distill.safetensors", 1 << 20), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&fixture, bytes.data, bytes.size, "distill"), MKD_OK);
  mk_free(bytes.data);
  assert_int_equal(mk_pool_create(&pool, 2), MKD_OK);
  const mk_tensor *steps = mk_tensors_find(&fixture, "adam.steps");
  assert_non_null(steps);
  assert_int_equal(steps->count, STEPS * 5);
  const mk_kernels *sets[8];
  int count = mk_kernels_list(sets, 8);
  for (int s = 0; s < count; ++s) {
    cloner c = make_cloner(), pooled = make_cloner();
    train(&c, sets[s], NULL, steps);
    train(&pooled, sets[s], pool, steps);
    for (int i = 1; i < c.graph->count; ++i) {
      const mk_op *op = &c.graph->ops[i], *other = &pooled.graph->ops[i];
      size_t channels = (size_t)op->channels;
      if (!op->weights) continue;
      assert_matches(&fixture, "weight", i, op->weights, op->weight_count);
      assert_memory_equal(op->weights, other->weights, op->weight_count * sizeof(float));
      if (op->bias) assert_matches(&fixture, "bias", i, op->bias, channels);
      if (op->mean) assert_matches(&fixture, "mean", i, op->mean, channels);
      if (op->variance) assert_matches(&fixture, "variance", i, op->variance, channels);
    }
    assert_evaluates(&fixture, c.graph, c.outputs, sets[s]);
    mk_graph *folded;
    assert_int_equal(mk_graph_fold(&folded, c.graph), MKD_OK);
    int outputs[POINTS] = {mk_graph_find(folded, "y0"), mk_graph_find(folded, "y1")};
    assert_int_equal(folded->count, c.graph->count - 3);
    assert_evaluates(&fixture, folded, outputs, sets[s]);
    mk_graph_destroy(folded);
    mk_graph_destroy(c.graph);
    mk_graph_destroy(pooled.graph);
  }
  mk_pool_destroy(pool);
  mk_tensors_free(&fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(training_matches_the_reference_library),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
