#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "nn/graph.h"
#include "nn/graph_tensors.h"

static void fill(mk_rng *rng, float *values, size_t count, double low)
{
  for (size_t i = 0; values && i < count; ++i) values[i] = (float)(low + mk_rng_uniform(rng));
}

/* 3 -> conv 4 + norm "a" + relu6 -> depthwise + norm -> 1x1 to 4 "b", added to the relu6 "sum";
 * beside it a pool "p" that nobody reads. */
static mk_graph *sample(void)
{
  mk_graph *g;
  int stem, a, relu, deep, norm, b;
  assert_int_equal(mk_graph_create(&g, 3), MKD_OK);
  assert_int_equal(mk_graph_conv(g, &stem, 0, &(mk_conv){4, 3, 1, 1, MK_PAD_SAME, 0, false}, "s"),
                   MKD_OK);
  assert_int_equal(mk_graph_batch_norm(g, &a, stem, 1e-3f, 0.01f, "a"), MKD_OK);
  assert_int_equal(mk_graph_activation(g, &relu, a, MK_OP_RELU6, NULL), MKD_OK);
  assert_int_equal(mk_graph_max_pool(g, NULL, relu, 2, 2, "p"), MKD_OK);
  assert_int_equal(
      mk_graph_conv(g, &deep, relu, &(mk_conv){4, 5, 1, 4, MK_PAD_EXPLICIT, 2, true}, "d"), MKD_OK);
  assert_int_equal(mk_graph_batch_norm(g, &norm, deep, 1e-5f, 0.1f, NULL), MKD_OK);
  assert_int_equal(
      mk_graph_conv(g, &b, norm, &(mk_conv){4, 1, 1, 1, MK_PAD_EXPLICIT, 0, true}, "b"), MKD_OK);
  assert_int_equal(mk_graph_add(g, NULL, relu, b, "sum"), MKD_OK);
  mk_rng rng = mk_rng_seed(5, 0);
  for (int i = 1; i < g->count; ++i) {
    mk_op *op = &g->ops[i];
    fill(&rng, op->weights, op->weight_count, -0.5);
    fill(&rng, op->bias, (size_t)op->channels, -0.5);
    fill(&rng, op->mean, (size_t)op->channels, -0.5);
    fill(&rng, op->variance, (size_t)op->channels, 0.1);
  }
  return g;
}

static void assert_same_graph(const mk_graph *x, const mk_graph *y, bool weights)
{
  assert_int_equal(x->count, y->count);
  for (int i = 0; i < x->count; ++i) {
    const mk_op *a = &x->ops[i], *b = &y->ops[i];
    size_t n = (size_t)a->channels * sizeof(float);
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(a->src, b->src, sizeof a->src);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->kernel, b->kernel);
    assert_int_equal(a->stride, b->stride);
    assert_int_equal(a->groups, b->groups);
    assert_int_equal(a->pad_mode, b->pad_mode);
    assert_int_equal(a->pad, b->pad);
    assert_true(a->epsilon == b->epsilon && a->momentum == b->momentum);
    assert_int_equal(a->weight_count, b->weight_count);
    assert_true(!a->weights == !b->weights && !a->bias == !b->bias && !a->mean == !b->mean);
    if (!weights || !a->weights) continue;
    assert_memory_equal(a->weights, b->weights, a->weight_count * sizeof(float));
    if (a->bias) assert_memory_equal(a->bias, b->bias, n);
    if (a->mean) assert_memory_equal(a->mean, b->mean, n);
    if (a->variance) assert_memory_equal(a->variance, b->variance, n);
  }
}

static void bad_operations_are_refused(void **state)
{
  (void)state;
  mk_graph *g = NULL;
  int index = -7;
  assert_int_equal(mk_graph_create(&g, 0), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_create(&g, 65537), MKD_ERROR_ARGUMENT);
  assert_null(g);
  assert_int_equal(mk_graph_create(&g, 4), MKD_OK);
  const struct {
    mk_conv conv;
    const char *text;
  } bad[] = {
      {{0, 3, 1, 1, MK_PAD_SAME, 0, true}, "channels is 0"},
      {{65537, 1, 1, 1, MK_PAD_SAME, 0, true}, "channels is 65537"},
      {{4, 65, 1, 1, MK_PAD_SAME, 0, true}, "kernel is 65"},
      {{4, 3, 0, 1, MK_PAD_SAME, 0, true}, "stride is 0"},
      {{4, 3, 1, 1, MK_PAD_EXPLICIT, 3, true}, "padding is 3"},
      {{4, 3, 1, 1, MK_PAD_EXPLICIT, -1, true}, "padding is -1"},
      {{4, 3, 1, 2, MK_PAD_SAME, 0, true}, "in 2 groups"},
      {{8, 3, 1, 4, MK_PAD_SAME, 0, true}, "in 4 groups"},
      {{4, 3, 1, 0, MK_PAD_SAME, 0, true}, "in 0 groups"},
      {{65536, 64, 1, 1, MK_PAD_SAME, 0, true}, "weights"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    assert_int_equal(mk_graph_conv(g, &index, 0, &bad[i].conv, NULL), MKD_ERROR_ARGUMENT);
    if (!strstr(mkd_last_error(), bad[i].text)) fail_msg("%s", mkd_last_error());
  }
  assert_int_equal(mk_graph_activation(g, &index, 1, MK_OP_RELU, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_activation(g, &index, -1, MK_OP_RELU, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_activation(g, &index, 0, MK_OP_ADD, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_max_pool(g, &index, 0, 0, 1, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_max_pool(g, &index, 0, 1, 65, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_batch_norm(g, &index, 0, 0, 0.1f, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_batch_norm(g, &index, 0, NAN, 0.1f, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(index, -7);
  assert_int_equal(g->count, 1);

  int conv;
  assert_int_equal(mk_graph_conv(g, &conv, 0, &(mk_conv){8, 1, 1, 1, MK_PAD_SAME, 0, false}, "c"),
                   MKD_OK);
  assert_int_equal(mk_graph_add(g, &index, 0, conv, NULL), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_activation(g, &index, conv, MK_OP_RELU, "c"), MKD_ERROR_ARGUMENT);
  assert_non_null(strstr(mkd_last_error(), "'c'"));
  assert_int_equal(mk_graph_activation(g, &index, conv, MK_OP_RELU, "a b"), MKD_ERROR_ARGUMENT);
  char longest[MK_NAME_MAX + 1];
  memset(longest, 'n', MK_NAME_MAX);
  longest[MK_NAME_MAX] = '\0';
  assert_int_equal(mk_graph_name(g, conv, longest), MKD_ERROR_ARGUMENT);
  longest[MK_NAME_MAX - 1] = '\0';
  assert_int_equal(mk_graph_name(g, conv, longest), MKD_OK);
  assert_int_equal(mk_graph_find(g, longest), conv);
  assert_int_equal(mk_graph_find(g, "c"), -1);
  assert_int_equal(mk_graph_find(g, ""), -1);
  assert_int_equal(g->count, 2);
  mk_graph_destroy(g);
}

static void weights_are_reordered(void **state)
{
  (void)state;
  mk_graph *g = sample();
  mk_op *conv = &g->ops[mk_graph_find(g, "s")];
  float oihw[4 * 3 * 3 * 3];
  for (int i = 0; i < 108; ++i) oihw[i] = (float)i;
  mk_conv_weights_from_oihw(conv, 3, oihw);
  for (int o = 0; o < 4; ++o)
    for (int i = 0; i < 3; ++i)
      for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 3; ++x)
          assert_true(conv->weights[((y * 3 + x) * 3 + i) * 4 + o] ==
                      oihw[((o * 3 + i) * 3 + y) * 3 + x]);

  conv = &g->ops[mk_graph_find(g, "d")];
  assert_int_equal(conv->weight_count, 100);
  mk_conv_weights_from_oihw(conv, 4, oihw);
  for (int c = 0; c < 4; ++c)
    for (int i = 0; i < 25; ++i) assert_true(conv->weights[i * 4 + c] == oihw[c * 25 + i]);
  mk_graph_destroy(g);
}

static void batch_norm_is_folded(void **state)
{
  (void)state;
  mk_graph *g = sample(), *f;
  assert_int_equal(mk_graph_fold(&f, g), MKD_OK);
  assert_int_equal(f->count, g->count - 2);
  assert_int_equal(mk_graph_find(f, "s"), -1); /* the output before the norm is gone */
  const mk_op *folded = &f->ops[mk_graph_find(f, "a")], *conv = &g->ops[mk_graph_find(g, "s")],
              *norm = &g->ops[mk_graph_find(g, "a")];
  assert_int_equal(folded->kind, MK_OP_CONV);
  for (int c = 0; c < 4; ++c) {
    double factor = norm->weights[c] / sqrt(norm->variance[c] + 1e-3);
    for (int i = c; i < 108; i += 4)
      assert_true(fabs(folded->weights[i] - conv->weights[i] * factor) < 1e-6);
    assert_true(fabs(folded->bias[c] - (norm->bias[c] - norm->mean[c] * factor)) < 1e-6);
  }
  folded = &f->ops[mk_graph_find(f, "d")];
  conv = &g->ops[mk_graph_find(g, "d")];
  norm = conv + 1;
  for (int c = 0; c < 4; ++c) {
    double factor = norm->weights[c] / sqrt(norm->variance[c] + 1e-5);
    assert_true(fabs(folded->bias[c] - ((conv->bias[c] - norm->mean[c]) * factor + norm->bias[c])) <
                1e-5);
    assert_true(fabs(folded->weights[c + 4] - conv->weights[c + 4] * factor) < 1e-5);
  }
  const mk_op *sum = &f->ops[mk_graph_find(f, "sum")];
  assert_int_equal(f->ops[sum->src[0]].kind, MK_OP_RELU6);
  assert_string_equal(f->ops[sum->src[1]].name, "b");
  mk_graph_destroy(f);
  f = NULL;

  /* Somebody else reads the convolution. */
  assert_int_equal(mk_graph_activation(g, NULL, mk_graph_find(g, "s"), MK_OP_RELU, NULL), MKD_OK);
  assert_int_equal(mk_graph_fold(&f, g), MKD_ERROR_ARGUMENT);
  assert_non_null(strstr(mkd_last_error(), "'a'"));
  mk_graph_destroy(g);

  g = sample();
  g->ops[mk_graph_find(g, "a")].variance[2] = -1;
  assert_int_equal(mk_graph_fold(&f, g), MKD_ERROR_ARGUMENT);
  mk_graph_destroy(g);
  assert_int_equal(mk_graph_create(&g, 4), MKD_OK);
  assert_int_equal(mk_graph_batch_norm(g, NULL, 0, 1e-3f, 0, "n"), MKD_OK);
  assert_int_equal(mk_graph_fold(&f, g), MKD_ERROR_ARGUMENT);
  assert_null(f);
  mk_graph_destroy(g);
}

static void what_is_not_needed_is_pruned(void **state)
{
  (void)state;
  mk_graph *g = sample(), *p = NULL;
  int mapped[2];
  assert_int_equal(
      mk_graph_prune(&p, g, (int[]){mk_graph_find(g, "p"), mk_graph_find(g, "a")}, 2, mapped),
      MKD_OK);
  assert_int_equal(p->count, 5);
  assert_int_equal(mapped[0], mk_graph_find(p, "p"));
  assert_int_equal(mapped[1], mk_graph_find(p, "a"));
  assert_int_equal(p->ops[mapped[0]].src[0], 3);
  assert_memory_equal(p->ops[1].weights, g->ops[1].weights, 108 * sizeof(float));
  mk_graph_destroy(p);

  assert_int_equal(mk_graph_prune(&p, g, (int[]){mk_graph_find(g, "sum")}, 1, mapped), MKD_OK);
  assert_int_equal(p->count, g->count - 1);
  assert_int_equal(p->ops[mapped[0]].src[1], mk_graph_find(p, "b"));
  mk_graph_destroy(p);
  p = NULL;
  assert_int_equal(mk_graph_prune(&p, g, (int[]){g->count}, 1, mapped), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_prune(&p, g, (int[]){-1}, 1, mapped), MKD_ERROR_ARGUMENT);
  assert_null(p);

  /* In place: the same graph as the copy. */
  int again[2], outputs[] = {mk_graph_find(g, "p"), mk_graph_find(g, "a")};
  assert_int_equal(mk_graph_prune(&p, g, outputs, 2, mapped), MKD_OK);
  assert_int_equal(mk_graph_prune_in_place(g, (int[]){-1}, 1, again), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_prune_in_place(g, outputs, 2, again), MKD_OK);
  assert_memory_equal(again, mapped, sizeof again);
  assert_int_equal(g->count, p->count);
  for (int i = 0; i < g->count; ++i) {
    assert_memory_equal(g->ops[i].src, p->ops[i].src, sizeof p->ops[i].src);
    assert_string_equal(g->ops[i].name, p->ops[i].name);
    if (p->ops[i].weights)
      assert_memory_equal(g->ops[i].weights, p->ops[i].weights,
                          p->ops[i].weight_count * sizeof(float));
  }
  mk_graph_destroy(p);
  mk_graph_destroy(g);
}

static void json_goes_there_and_back(void **state)
{
  (void)state;
  mk_graph *g = sample(), *read;
  char *json, *again;
  assert_int_equal(mk_graph_to_json(&json, g), MKD_OK);
  assert_string_equal(
      json, "{\"input\":3,\"ops\":["
            "{\"op\":\"conv\",\"src\":0,\"name\":\"s\",\"channels\":4,\"kernel\":3,\"stride\":1,"
            "\"groups\":1,\"pad\":\"same\",\"bias\":false},"
            "{\"op\":\"batch_norm\",\"src\":1,\"name\":\"a\",\"epsilon\":0.00100000005,"
            "\"momentum\":0.00999999978},"
            "{\"op\":\"relu6\",\"src\":2},"
            "{\"op\":\"max_pool\",\"src\":3,\"name\":\"p\",\"kernel\":2,\"stride\":2},"
            "{\"op\":\"conv\",\"src\":3,\"name\":\"d\",\"channels\":4,\"kernel\":5,\"stride\":1,"
            "\"groups\":4,\"pad\":2,\"bias\":true},"
            "{\"op\":\"batch_norm\",\"src\":5,\"epsilon\":9.99999975e-6,\"momentum\":0.100000001},"
            "{\"op\":\"conv\",\"src\":6,\"name\":\"b\",\"channels\":4,\"kernel\":1,\"stride\":1,"
            "\"groups\":1,\"pad\":0,\"bias\":true},"
            "{\"op\":\"add\",\"src\":[3,7],\"name\":\"sum\"}]}");
  assert_int_equal(mk_graph_from_json(&read, json), MKD_OK);
  assert_same_graph(g, read, false);
  assert_int_equal(mk_graph_to_json(&again, read), MKD_OK);
  assert_string_equal(json, again);
  mk_graph_destroy(read);

  /* 108 + 16 + 104 + 16 + 20 numbers */
  assert_int_equal(mk_graph_from_json_within(&read, json, 264), MKD_OK);
  mk_graph_destroy(read);
  assert_int_equal(mk_graph_from_json_within(&read, json, 263), MKD_ERROR_FILE);

  /* Any one character changed: read or refused, nothing else. */
  for (size_t i = 0; json[i]; ++i) {
    static const char others[] = "\"{[,:9-a\x80";
    char kept = json[i];
    for (size_t k = 0; k < sizeof others; ++k) {
      json[i] = others[k];
      if (mk_graph_from_json(&read, json) == MKD_OK) mk_graph_destroy(read);
    }
    json[i] = kept;
  }
  mk_free(json);
  mk_free(again);
  mk_graph_destroy(g);
}

static void hostile_json_is_refused(void **state)
{
  (void)state;
  static const char *const texts[][2] = {
      {"", "not valid JSON"},
      {"[]", "\"input\""},
      {"{\"input\":3}", "\"ops\""},
      {"{\"input\":3.0,\"ops\":[]}", "\"input\""},
      {"{\"input\":-3,\"ops\":[]}", "\"input\""},
      {"{\"input\":4294967299,\"ops\":[]}", "\"input\""},
      {"{\"input\":3,\"ops\":[],\"more\":1}", "nothing else"},
      {"{\"input\":3,\"ops\":[],\"ops\":[]}", "duplicate"},
      {"{\"input\":3,\"ops\":[7]}", "operation 1: \"op\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"softmax\",\"src\":0}]}", "\"softmax\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"input\",\"src\":0}]}", "\"input\", which is not known"},
      {"{\"input\":3,\"ops\":[{\"op\":\"relu\",\"src\":1}]}", "reads operation 1"},
      {"{\"input\":3,\"ops\":[{\"op\":\"relu\",\"src\":-1}]}", "\"src\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"relu\",\"src\":[0,0]}]}", "one operation"},
      {"{\"input\":3,\"ops\":[{\"op\":\"add\",\"src\":0}]}", "two operations"},
      {"{\"input\":3,\"ops\":[{\"op\":\"relu\",\"src\":0,\"slope\":1}]}", "\"slope\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"relu\",\"src\":0,\"name\":\"x\"},"
       "{\"op\":\"relu\",\"src\":1,\"name\":\"x\"}]}",
       "operation 2: two operations are named 'x'"},
      {"{\"input\":3,\"ops\":[{\"op\":\"max_pool\",\"src\":0,\"kernel\":2147483647,"
       "\"stride\":1}]}",
       "kernel"},
      {"{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":0,\"channels\":65536,\"kernel\":2147483647,"
       "\"stride\":1,\"groups\":1,\"pad\":0,\"bias\":true}]}",
       "the kernel is 2147483647"},
      {"{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":9,\"channels\":8,\"kernel\":1,"
       "\"stride\":1,\"groups\":1,\"pad\":0,\"bias\":true}]}",
       "reads operation 9"},
      {"{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":0,\"channels\":8,\"kernel\":1,"
       "\"stride\":1,\"groups\":0,\"pad\":0,\"bias\":true}]}",
       "0 groups"},
      {"{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":0,\"channels\":8,\"kernel\":1,"
       "\"stride\":1,\"groups\":1,\"pad\":\"valid\",\"bias\":true}]}",
       "\"pad\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":0,\"channels\":8,\"kernel\":1,"
       "\"stride\":1,\"groups\":1,\"pad\":0,\"bias\":1}]}",
       "\"bias\""},
      {"{\"input\":3,\"ops\":[{\"op\":\"batch_norm\",\"src\":0,\"epsilon\":1e300,"
       "\"momentum\":0}]}",
       "epsilon"},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    mk_graph *g = NULL;
    assert_int_equal(mk_graph_from_json(&g, texts[i][0]), MKD_ERROR_FILE);
    assert_null(g);
    if (!strstr(mkd_last_error(), texts[i][1]))
      fail_msg("'%s' should be in '%s'", texts[i][1], mkd_last_error());
  }

  /* One operation too many. */
  char *json;
  size_t size = 0;
  assert_int_equal(mk_alloc(&json, 4096, 32), MKD_OK);
  size += (size_t)sprintf(json, "{\"input\":3,\"ops\":[");
  for (int i = 0; i < 4096; ++i)
    size += (size_t)sprintf(json + size, "%s{\"op\":\"relu\",\"src\":0}", i ? "," : "");
  sprintf(json + size, "]}");
  mk_graph *g = NULL;
  assert_int_equal(mk_graph_from_json(&g, json), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "more than 4096"));
  mk_free(json);
}

static void tensors_go_there_and_back(void **state)
{
  (void)state;
  mk_graph *g = sample(), *read = NULL;
  mk_tensors tensors = {0};
  assert_int_equal(mk_graph_to_tensors(&tensors, g, "expert."), MKD_OK);
  const mk_tensor *t = mk_tensors_find(&tensors, "expert.s.weight");
  assert_int_equal(t->rank, 4);
  assert_int_equal(t->shape[2], 3);
  assert_int_equal(t->shape[3], 4);
  assert_memory_equal(t->data, g->ops[1].weights, t->count * sizeof(float));
  assert_non_null(mk_tensors_find(&tensors, "expert.op6.running_var"));
  assert_int_equal(mk_graph_from_tensors(&read, &tensors, "expert."), MKD_OK);
  assert_same_graph(g, read, true);
  mk_graph_destroy(read);
  read = NULL;

  assert_int_equal(mk_graph_from_tensors(&read, &tensors, "cloner."), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "'cloner.graph'"));
  mk_tensor *changed = mk_tensors_find(&tensors, "expert.d.bias");
  changed->data[1] = INFINITY;
  assert_int_equal(mk_graph_from_tensors(&read, &tensors, "expert."), MKD_ERROR_FILE);
  assert_string_equal(mkd_last_error(), "tensor 'expert.d.bias' holds a NaN or infinity");
  changed->shape[0] = 3;
  assert_int_equal(mk_graph_from_tensors(&read, &tensors, "expert."), MKD_ERROR_FILE);
  assert_string_equal(mkd_last_error(), "tensor 'expert.d.bias' has shape [3], it should be [4]");
  changed->name[0] = 'x';
  assert_int_equal(mk_graph_from_tensors(&read, &tensors, "expert."), MKD_ERROR_FILE);
  assert_string_equal(mkd_last_error(), "tensor 'expert.d.bias' is missing");
  assert_null(read);
  mk_tensors_free(&tensors);
  mk_graph_destroy(g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_operations_are_refused), cmocka_unit_test(weights_are_reordered),
      cmocka_unit_test(batch_norm_is_folded),       cmocka_unit_test(what_is_not_needed_is_pruned),
      cmocka_unit_test(json_goes_there_and_back),   cmocka_unit_test(hostile_json_is_refused),
      cmocka_unit_test(tensors_go_there_and_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
