/* Forward and backward of every layer and of small networks, on every set of kernels, against
 * PyTorch: tests/fixtures/make_layers.py. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "core/threads.h"
#include "nn/exec.h"
#include "numbers.h"

enum { MAX_OUTPUTS = 4, MAX_RESULTS = 256, MAX_SETS = 8 };

/* ---- Cases ----------------------------------------------------------------------------------- */

typedef struct {
  char key[24]; /* prefix of its tensors */
  const char *name;
  char *graph; /* JSON */
  mk_exec_options options;
  int batch, outputs[MAX_OUTPUTS], output_count;
  bool guided;
} layer_case;

static layer_case read_case(json_t *object, size_t number)
{
  layer_case c = {.batch = 0};
  snprintf(c.key, sizeof c.key, "%03zu.", number);
  json_t *graph, *outputs;
  int train, input_gradient, guided;
  const char *name;
  assert_int_equal(json_unpack(object, "{s:s, s:o, s:o, s:i, s:i, s:i, s:i, s:b, s:b, s:b}", "name",
                               &name, "graph", &graph, "outputs", &outputs, "height",
                               &c.options.height, "width", &c.options.width, "batch", &c.batch,
                               "most", &c.options.batch, "train", &train, "input_gradient",
                               &input_gradient, "guided", &guided),
                   0);
  c.name = name;
  c.options.train = train;
  c.options.input_gradient = input_gradient;
  c.guided = guided;
  c.graph = json_dumps(graph, JSON_COMPACT);
  c.output_count = (int)json_array_size(outputs);
  assert_in_range(c.output_count, 1, MAX_OUTPUTS);
  for (int k = 0; k < c.output_count; ++k)
    c.outputs[k] = (int)json_integer_value(json_array_get(outputs, (size_t)k));
  return c;
}

/* ---- Results: everything that an exec tells ----------------------------------------------------
 */

typedef struct {
  char name[32];
  float *data;
  size_t count;
} result;

typedef struct {
  result all[MAX_RESULTS];
  int count;
} results;

static void keep(results *r, const char *what, int number, const float *data, size_t count)
{
  assert_true(r->count < MAX_RESULTS);
  result *added = &r->all[r->count++];
  snprintf(added->name, sizeof added->name, number < 0 ? "%s" : "%s.%d", what, number);
  added->count = count;
  added->data = test_malloc(count * sizeof(float));
  memcpy(added->data, data, count * sizeof(float));
}

static void free_results(results *r)
{
  for (int i = 0; i < r->count; ++i) test_free(r->all[i].data);
  r->count = 0;
}

static size_t output_size(const mk_exec *exec, int output)
{
  mk_shape shape = mk_exec_output_shape(exec, output);
  return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* One pass over `batch` images made of numbers with this seed. */
static void pass(mk_exec *exec, const layer_case *c, mk_pool *pool, int batch, uint32_t seed,
                 size_t input_size, results *r)
{
  size_t images = (size_t)batch;
  fill_numbers(mk_exec_input(exec), images * input_size, seed, 0, 1);
  mk_exec_forward(exec, pool, batch);
  for (int k = 0; r && k < c->output_count; ++k)
    keep(r, "output", k, mk_exec_output(exec, k), images * output_size(exec, k));
  if (!c->options.train && !c->options.input_gradient) return;
  for (int k = 0; k < c->output_count; ++k)
    fill_numbers(mk_exec_output_gradient(exec, k), images * output_size(exec, k),
                 4 + seed + (uint32_t)k, 0, 1);
  for (int k = 0; r && k < c->output_count; ++k) /* the outputs are still there */
    assert_memory_equal(mk_exec_output(exec, k), r->all[k].data, r->all[k].count * sizeof(float));
  mk_exec_backward(exec, pool, batch, c->guided);
}

static void run_case(const layer_case *c, const mk_kernels *kernels, mk_pool *pool, results *r)
{
  mk_graph *graph;
  mk_net *net;
  mk_exec *exec;
  r->count = 0;
  assert_int_equal(mk_graph_from_json(&graph, c->graph), MKD_OK);
  fill_parameters(graph);
  assert_int_equal(mk_net_create(&net, graph, kernels), MKD_OK);
  assert_int_equal(mk_exec_create(&exec, net, c->outputs, c->output_count, &c->options), MKD_OK);
  size_t input_size =
      (size_t)c->options.height * (size_t)c->options.width * (size_t)graph->ops[0].channels;
  /* A pass of other numbers first must leave no trace. */
  pass(exec, c, pool, c->options.batch, 7, input_size, NULL);
  pass(exec, c, pool, c->batch, 1, input_size, r);
  if (c->options.input_gradient)
    keep(r, "input", -1, mk_exec_input_gradient(exec), (size_t)c->batch * input_size);
  if (c->options.train) {
    mk_exec_update_statistics(exec, graph);
    for (int i = 1; i < graph->count; ++i) {
      const mk_op *op = &graph->ops[i];
      size_t channels = (size_t)op->channels;
      if (op->weights) keep(r, "weight", i, mk_exec_weight_gradient(exec, i), op->weight_count);
      if (op->bias) keep(r, "bias", i, mk_exec_bias_gradient(exec, i), channels);
      if (op->mean) keep(r, "mean", i, op->mean, channels);
      if (op->variance) keep(r, "variance", i, op->variance, channels);
    }
  }
  mk_exec_destroy(exec);
  mk_net_destroy(net);
  mk_graph_destroy(graph);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static void assert_matches_fixture(const layer_case *c, const mk_kernels *kernels, const results *r,
                                   const mk_tensors *fixture)
{
  int found = 0;
  for (int i = 0; i < r->count; ++i) {
    char name[80];
    snprintf(name, sizeof name, "%s%s", c->key, r->all[i].name);
    const mk_tensor *digest = mk_tensors_find(fixture, name);
    if (!digest) { /* zero, but for rounding: the gradient of a shift that a batch norm undoes */
      for (size_t k = 0; k < r->all[i].count; ++k)
        if (!close_to((double)r->all[i].data[k], 0, 1e-4, 1))
          fail_msg("%s: %s on %s should be zero", c->name, r->all[i].name, kernels->name);
      continue;
    }
    assert_int_equal(digest->count, DIGEST);
    if (!matches_digest(r->all[i].data, r->all[i].count, digest->data, 1e-4))
      fail_msg("%s: %s on %s", c->name, r->all[i].name, kernels->name);
    ++found;
  }
  for (size_t i = 0; i < fixture->count; ++i)
    found -= strncmp(fixture->tensors[i].name, c->key, strlen(c->key)) == 0;
  assert_int_equal(found, 0); /* everything in the fixture was compared */
}

static void assert_same_bytes(const layer_case *c, const mk_kernels *kernels, const results *a,
                              const results *b)
{
  assert_int_equal(a->count, b->count);
  for (int i = 0; i < a->count; ++i) {
    if (memcmp(a->all[i].data, b->all[i].data, a->all[i].count * sizeof(float)) != 0)
      fail_msg("%s: %s on %s depends on the threads", c->name, a->all[i].name, kernels->name);
  }
}

static void assert_close(const layer_case *c, const mk_kernels *kernels, const results *a,
                         const results *b)
{
  assert_int_equal(a->count, b->count);
  for (int i = 0; i < a->count; ++i) {
    const result *x = &a->all[i], *y = &b->all[i];
    double scale = fmax(root_mean_square(y->data, y->count), 0.5);
    for (size_t k = 0; k < x->count; ++k) {
      if (!close_to((double)x->data[k], (double)y->data[k], 1e-4, scale))
        fail_msg("%s: %s[%zu] is %g on %s, %g on the reference", c->name, x->name, k,
                 (double)x->data[k], kernels->name, (double)y->data[k]);
    }
  }
}

/* Without batch statistics, an image gets the same bytes in any company. */
static void assert_first_image_alone(const layer_case *c, const mk_kernels *kernels,
                                     const results *all)
{
  if (c->options.train || c->batch == 1) return;
  layer_case one = *c;
  one.batch = 1;
  results alone;
  run_case(&one, kernels, NULL, &alone);
  assert_int_equal(alone.count, all->count);
  for (int i = 0; i < alone.count; ++i) {
    if (memcmp(alone.all[i].data, all->all[i].data, alone.all[i].count * sizeof(float)) != 0)
      fail_msg("%s: %s on %s depends on the batch", c->name, alone.all[i].name, kernels->name);
  }
  free_results(&alone);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void layers_match_the_reference_library(void **state)
{
  (void)state;
  mk_bytes bytes;
  mk_tensors fixture = {0};
  assert_int_equal(mk_file_read(&bytes, FIXTURES "/layers.safetensors", 1 << 20), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&fixture, bytes.data, bytes.size, "layers"), MKD_OK);
  mk_free(bytes.data);
  const mk_kernels *sets[MAX_SETS];
  int set_count = mk_kernels_list(sets, MAX_SETS);
  mk_pool *pools[3] = {NULL};
  assert_int_equal(mk_pool_create(&pools[1], 2), MKD_OK);
  assert_int_equal(mk_pool_create(&pools[2], 3), MKD_OK);

  json_t *described = json_loads(mk_tensors_metadata(&fixture, "cases"), 0, NULL);
  size_t cases = json_array_size(described);
  for (size_t k = 0; k < cases; ++k) {
    layer_case c = read_case(json_array_get(described, k), k);
    results reference, own, pooled;
    for (int s = 0; s < set_count; ++s) {
      results *first = s == 0 ? &reference : &own;
      run_case(&c, sets[s], NULL, first);
      assert_matches_fixture(&c, sets[s], first, &fixture);
      assert_first_image_alone(&c, sets[s], first);
      for (int p = 1; p < 3; ++p) {
        run_case(&c, sets[s], pools[p], &pooled);
        assert_same_bytes(&c, sets[s], first, &pooled);
        free_results(&pooled);
      }
      if (s == 0) continue;
      assert_close(&c, sets[s], &own, &reference);
      free_results(&own);
    }
    free_results(&reference);
    free(c.graph);
  }
  json_decref(described);
  print_message("%zu cases on %d sets of kernels\n", cases, set_count);
  assert_in_range(cases, 150, 1000);
  mk_pool_destroy(pools[1]);
  mk_pool_destroy(pools[2]);
  mk_tensors_free(&fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_match_the_reference_library),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
