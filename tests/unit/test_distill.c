/* Training from the split of the images to the folded cloner, against PyTorch:
 * tests/fixtures/make_training.py. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "distill/cloner.h"
#include "distill/dataset.h"
#include "distill/schedule.h"
#include "distill/trainer.h"
#include "nn/exec.h"
#include "tiny.h"

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("%s", mkd_last_error());
}

static void assert_error(mkd_status status, mkd_status expected, const char *text)
{
  assert_int_equal(status, expected);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' lacks '%s'", mkd_last_error(), text);
}

static mk_input_spec tiny_input(void)
{
  return (mk_input_spec){.width = TINY_WIDTH,
                         .height = TINY_HEIGHT,
                         .resize_width = TINY_WIDTH,
                         .resize_height = TINY_HEIGHT,
                         .filter = MK_RESAMPLE_BILINEAR,
                         .mean = {127, 127, 127},
                         .std = {128, 128, 128},
                         .low = 0,
                         .high = 255};
}

static mk_tensors reference;

static int load_reference(void **state)
{
  (void)state;
  mk_bytes bytes;
  assert_ok(mk_file_read(&bytes, FIXTURES "/training.safetensors", 1 << 20));
  assert_ok(mk_safetensors_parse(&reference, bytes.data, bytes.size, "training"));
  mk_free(bytes.data);
  return 0;
}

static int free_reference(void **state)
{
  (void)state;
  mk_tensors_free(&reference);
  return 0;
}

static const mk_tensor *expected(const char *name)
{
  const mk_tensor *tensor = mk_tensors_find(&reference, name);
  if (!tensor) fail_msg("the fixture has no %s", name);
  return tensor;
}

static void assert_array(const char *name, const float *values, double tolerance)
{
  const mk_tensor *tensor = expected(name);
  double scale = root_mean_square(tensor->data, tensor->count);
  for (size_t i = 0; i < tensor->count; ++i) {
    if (close_to((double)values[i], (double)tensor->data[i], tolerance, scale)) continue;
    fail_msg("%s[%zu] is %.9g, expected %.9g", name, i, (double)values[i], (double)tensor->data[i]);
  }
}

/* ---- Schedule -------------------------------------------------------------------------------- */

static void one_cycle_matches_the_reference_library(void **state)
{
  (void)state;
  static const uint64_t totals[] = {11, 12, 25, 100, 1170};
  for (size_t i = 0; i < sizeof totals / sizeof *totals; ++i) {
    char name[32];
    snprintf(name, sizeof name, "schedule.%d", (int)totals[i]);
    const mk_tensor *tensor = expected(name);
    assert_int_equal(tensor->count, 2 * totals[i]);
    for (uint64_t step = 0; step < totals[i]; ++step) {
      mk_rate rate = mk_schedule_at(MK_SCHEDULE_ONE_CYCLE, 1e-3, step, totals[i]);
      assert_true(close_to(rate.learning_rate, (double)tensor->data[2 * step], 1e-6, 0));
      assert_true(close_to(rate.beta1, (double)tensor->data[2 * step + 1], 1e-6, 0));
    }
  }
}

static void short_and_constant_schedules_are_usable(void **state)
{
  (void)state;
  for (uint64_t steps = 1; steps <= 10; ++steps) {
    for (uint64_t step = 0; step < steps; ++step) {
      mk_rate rate = mk_schedule_at(MK_SCHEDULE_ONE_CYCLE, 1, step, steps);
      assert_true(rate.learning_rate > 0 && rate.learning_rate <= 1);
      assert_true(rate.beta1 >= 0.85 && rate.beta1 <= 0.95);
      rate = mk_schedule_at(MK_SCHEDULE_CONSTANT, 0.25, step, steps);
      assert_true(rate.learning_rate == 0.25 && rate.beta1 == 0.9);
    }
    assert_true(mk_schedule_at(MK_SCHEDULE_ONE_CYCLE, 1, 0, steps).learning_rate == 1);
  }
}

/* ---- Cloner ---------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  int channels;
} point_width;

/* Something that has these outputs. */
static mk_graph *expert_of(const point_width *points, int count)
{
  mk_graph *graph;
  int at = 0;
  assert_ok(mk_graph_create(&graph, 3));
  for (int i = 0; i < count; ++i) {
    mk_conv conv = {points[i].channels, 1, 1, 1, MK_PAD_EXPLICIT, 0, false};
    assert_ok(mk_graph_conv(graph, &at, at, &conv, points[i].name));
  }
  return graph;
}

static mkd_status create(mk_graph **graph, int *outputs, const char *plan, mk_init init)
{
  mk_graph *expert = expert_of((point_width[]){{"p1", 8}, {"p2", 12}, {"other", 5}}, 3);
  mk_point_list points = {{(char[]){"p1"}, (char[]){"p2"}}, 2};
  mk_rng rng = mk_rng_seed(0, 2);
  mkd_status status = mk_cloner_create(graph, outputs, plan, expert, &points, init, &rng);
  mk_graph_destroy(expert);
  return status;
}

static void plans_become_networks(void **state)
{
  (void)state;
  mk_graph *graph;
  int outputs[2];
  const char *plan = " conv  5x5/3 7\tbias relu6 ;; keep a;\n pool 3x3/2; pool 2x2; point unasked;"
                     "conv 1x1 expert; point p1; from a; conv 2x2 12 bn; point p2; conv 3x3 9;";
  assert_ok(create(&graph, outputs, plan, MK_INIT_FAN_IN));
  assert_int_equal(graph->count, 8); /* without the last convolution */
  static const mk_op_kind kinds[] = {MK_OP_INPUT,    MK_OP_CONV, MK_OP_RELU6, MK_OP_MAX_POOL,
                                     MK_OP_MAX_POOL, MK_OP_CONV, MK_OP_CONV,  MK_OP_BATCH_NORM};
  static const int fields[][5] = {/* src, channels, kernel, stride, pad */
                                  {-1, 3, 0, 0, 0}, {0, 7, 5, 3, 2}, {1, 7, 0, 0, 0},
                                  {2, 7, 3, 2, 0},  {3, 7, 2, 2, 0}, {4, 8, 1, 1, 0},
                                  {2, 12, 2, 1, 1}, {6, 12, 0, 0, 0}};
  for (int i = 0; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    assert_int_equal(op->kind, kinds[i]);
    assert_int_equal(op->channels, fields[i][1]);
    if (i > 0) assert_int_equal(op->src[0], fields[i][0]);
    if (!fields[i][2]) continue;
    assert_int_equal(op->kernel, fields[i][2]);
    assert_int_equal(op->stride, fields[i][3]);
    if (op->kind != MK_OP_CONV) continue;
    assert_int_equal(op->pad, fields[i][4]);
    assert_true((op->bias != NULL) == (i == 1));
  }
  assert_int_equal(outputs[0], 5);
  assert_int_equal(outputs[1], 7);
  assert_true((double)graph->ops[7].epsilon == (double)1e-5F);
  assert_true((double)graph->ops[7].momentum == (double)0.1F);
  mk_graph_destroy(graph);
}

static void wrong_plans_are_refused(void **state)
{
  (void)state;
  char words[600], keeps[2000] = "";
  memset(words, 'x', sizeof words - 1);
  words[sizeof words - 1] = 0;
  for (int i = 0; i < 33; ++i) sprintf(keeps + strlen(keeps), "keep k%d;", i);
  const char *const wrong[][2] = {
      {"", "critical point 'p1' has no 'point p1'"},
      {" ; ; ", "critical point 'p1' has no 'point p1'"},
      {"conv 3x3 8; point p1", "critical point 'p2' has no 'point p2'"},
      {"conv", "'conv': it is conv KxK[/STRIDE] WIDTH"},
      {"conv 3x3", "'conv 3x3': it is conv"},
      {"conv 3 8", "'conv 3': it is conv"},
      {"conv 3x5 8", "it is conv"},
      {"conv 0x0 8", "it is conv"},
      {"conv 17x17 8", "it is conv"},
      {"conv -3x-3 8", "it is conv"},
      {"conv 3x3/0 8", "it is conv"},
      {"conv 3x3/ 8", "it is conv"},
      {"conv 3x3/17 8", "it is conv"},
      {"conv 3x3/2x 8", "it is conv"},
      {"conv 3x3y 8", "it is conv"},
      {"conv 100x100 8", "it is conv"},
      {"conv 3x3 0", "the width is 'expert' or a number in 1 .. 16384"},
      {"conv 3x3 16385", "the width is"},
      {"conv 3x3 8a", "the width is"},
      {"conv 3x3 -8", "the width is"},
      {"conv 3x3 99999999999999999999", "the width is"},
      {"conv 3x3 expert", "a width 'expert' without a point after it"},
      {"conv 3x3 expert; point p3", "'point p3': the expert has no such output"},
      {"conv 3x3 8 elu", "after the width come bn, bias"},
      {"conv 3x3 8 relu relu6", "each once"},
      {"conv 3x3 8 bn bn", "each once"},
      {"conv 3x3 8 bias relu bias", "each once"},
      {"conv 3x3 8 bn bias relu bn bias relu", "too many words in 'conv ...'"},
      {"pool", "'pool': takes one word"},
      {"pool 2x2 3", "'pool 2x2': takes one word"},
      {"pool 2", "it is pool KxK"},
      {"pool 2x3", "it is pool KxK"},
      {"keep", "takes one word"},
      {"keep a; conv 1x1 3; keep a", "'keep a': is there twice"},
      {keeps, "too many names"},
      {"from a", "'from a': no such name was kept"},
      {"point p1", "'point p1': comes before any layer"},
      {"conv 3x3 8; point p1; conv 3x3 8; point p1", "'point p1': is there twice"},
      {"conv 3x3 9; point p1", "point p1 has 9 channels, the expert has 8 there; write 'expert'"},
      {"conv 3x3 12; point p2; pool 2x2; conv 1x1 8; from p2", "no such name was kept"},
      {"dense 3", "'dense 3': a statement is conv, pool, keep, from or point"},
      {words, "is too long"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    mk_graph *graph;
    int outputs[2];
    mkd_status status = create(&graph, outputs, wrong[i][0], MK_INIT_FAN_IN);
    if (status != MKD_ERROR_ARGUMENT) fail_msg("%s is accepted", wrong[i][0]);
    assert_error(status, MKD_ERROR_ARGUMENT, wrong[i][1]);
    assert_ptr_equal(strstr(mkd_last_error(), "cloner: "), mkd_last_error());
  }
  mk_graph *graph, *expert = expert_of((point_width[]){{"p1", 8}, {"q1", 8}}, 2);
  mk_point_list points = {{(char[]){"p1"}, (char[]){"q1"}}, 2};
  int outputs[2];
  mk_rng rng = mk_rng_seed(0, 2);
  assert_error(mk_cloner_create(&graph, outputs, "conv 1x1 8; point p1; point q1", expert, &points,
                                MK_INIT_XAVIER, &rng),
               MKD_ERROR_ARGUMENT, "'point q1': is the output of another point already");
  mk_graph_destroy(expert);
}

static void weights_are_drawn_within_their_range(void **state)
{
  (void)state;
  const char *plan = "conv 3x3 200 bias; conv 1x1 300 bn relu; conv 3x3 expert bias; point p1; "
                     "conv 3x3 expert; point p2";
  for (int init = 0; init < 2; ++init) {
    mk_graph *graph;
    int outputs[2];
    assert_ok(create(&graph, outputs, plan, (mk_init)init));
    for (int i = 1; i < graph->count; ++i) {
      const mk_op *op = &graph->ops[i];
      if (op->kind == MK_OP_BATCH_NORM) {
        for (int c = 0; c < op->channels; ++c) {
          assert_true(op->weights[c] == 1 && op->variance[c] == 1);
          assert_true(op->bias[c] == 0 && op->mean[c] == 0);
        }
      }
      if (op->kind != MK_OP_CONV) continue;
      double area = op->kernel * op->kernel;
      double fan_in = area * graph->ops[op->src[0]].channels, fan_out = area * op->channels;
      double range = init == MK_INIT_XAVIER ? sqrt(6 / (fan_in + fan_out)) : 1 / sqrt(fan_in);
      double most = 0, deviation = root_mean_square(op->weights, op->weight_count);
      for (size_t j = 0; j < op->weight_count; ++j) most = fmax(most, fabs((double)op->weights[j]));
      assert_true(most <= range * 1.000001 && most > 0.99 * range);
      /* Of a uniform distribution; the smallest has 864 weights. */
      assert_true(close_to(deviation, range / sqrt(3), 0.06, 0));
      for (int c = 0; op->bias && c < op->channels; ++c)
        assert_true(fabs((double)op->bias[c]) <= 1.000001 / sqrt(fan_in));
    }
    mk_graph_destroy(graph);
  }
}

typedef struct {
  size_t convolution, norm, bias;
} sizes;

static sizes cloner_size(const char *name, const char *set, const mk_graph *expert)
{
  mk_recipe recipe;
  mk_graph *graph;
  int outputs[MK_MAX_POINTS];
  mk_rng rng = mk_rng_seed(0, 2);
  assert_ok(mk_recipe_load(&recipe, name));
  if (set) assert_ok(mk_recipe_set(&recipe, set));
  assert_ok(mk_cloner_create(&graph, outputs, recipe.cloner, expert, &recipe.critical_points,
                             (mk_init)recipe.init, &rng));
  sizes s = {0, 0, 0};
  for (int i = 1; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    size_t bias = op->bias ? (size_t)op->channels : 0;
    if (op->kind == MK_OP_CONV) {
      s.convolution += op->weight_count;
      s.bias += bias;
    } else if (op->kind == MK_OP_BATCH_NORM) {
      s.norm += op->weight_count + bias;
    }
  }
  mk_graph_destroy(graph);
  mk_recipe_free(&recipe);
  return s;
}

static void recipes_have_the_cloners_they_should(void **state)
{
  (void)state;
  mk_graph *vgg =
      expert_of((point_width[]){{"pool2", 128}, {"pool3", 256}, {"pool4", 512}, {"pool5", 512}}, 4);
  mk_graph *lite = expert_of((point_width[]){{"block10", 112}, {"block15", 320}}, 2);
  static const char *const paper[] = {"paper", "paper-code"};
  for (int i = 0; i < 2; ++i) {
    /* With fewer critical points, the cloner stays as it is. */
    static const char *const sets[] = {NULL, "critical_points=pool4,pool5",
                                       "critical_points=pool5"};
    for (int j = 0; j < 3; ++j) {
      sizes s = cloner_size(paper[i], sets[j], vgg);
      assert_int_equal(s.convolution, 343728);
      assert_int_equal(s.norm, 256);
      assert_int_equal(s.bias, 0);
    }
  }
  sizes s = cloner_size("default", NULL, lite);
  assert_int_equal(s.convolution + s.norm + s.bias, 401360);
  assert_int_equal(s.bias, 112 + 320);
  /* What leads to block15 alone is left out. */
  s = cloner_size("default", "critical_points=block10", lite);
  assert_int_equal(s.bias, 112);
  mk_graph_destroy(vgg);
  mk_graph_destroy(lite);
}

/* ---- Store ----------------------------------------------------------------------------------- */

static void stores_keep_what_they_are_given(void **state)
{
  (void)state;
  enum { ITEMS = 5, INPUT = 7, TARGETS = 11 };
  for (int half = 0; half < 2; ++half) {
    mk_store *stores[2];
    assert_ok(mk_store_create(&stores[0], ITEMS, INPUT, TARGETS, half, 1 << 20));
    assert_ok(mk_store_create(&stores[1], ITEMS, INPUT, TARGETS, half, 0));
    assert_int_equal(stores[0]->mapped, 0);
    assert_int_equal(stores[1]->mapped, ITEMS * stores[1]->item_bytes);
    for (int k = 0; k < 2; ++k) {
      for (size_t item = 0; item < ITEMS; ++item) {
        float targets[TARGETS];
        fill_numbers(targets, TARGETS, (uint32_t)item, 0, 100);
        for (size_t i = 0; i < INPUT; ++i)
          mk_store_input(stores[k], item)[i] = (uint16_t)number_bits((uint32_t)item, i);
        mk_store_put_targets(stores[k], item, 0, targets, 4);
        mk_store_put_targets(stores[k], item, 4, targets + 4, TARGETS - 4);
      }
      for (size_t item = 0; item < ITEMS; ++item) {
        float targets[TARGETS], found[TARGETS];
        fill_numbers(targets, TARGETS, (uint32_t)item, 0, 100);
        mk_store_get_targets(stores[k], item, 0, found, TARGETS);
        for (size_t i = 0; i < TARGETS; ++i) {
          float kept = half ? mk_float_from_half(mk_half_from_float(targets[i])) : targets[i];
          assert_true(found[i] == kept);
        }
        mk_store_get_targets(stores[k], item, 5, found, 2);
        assert_true(fabsf(found[1] - targets[6]) <= (half ? 0.05F : 0));
        for (size_t i = 0; i < INPUT; ++i)
          assert_int_equal(mk_store_input(stores[k], item)[i],
                           (uint16_t)number_bits((uint32_t)item, i));
      }
    }
    assert_memory_equal(stores[0]->data, stores[1]->data, ITEMS * stores[0]->item_bytes);
    size_t all = ITEMS * stores[0]->item_bytes;
    mk_store_destroy(stores[0]);
    mk_store_destroy(stores[1]);
    assert_ok(mk_store_create(&stores[0], ITEMS, INPUT, TARGETS, half, all));
    assert_ok(mk_store_create(&stores[1], ITEMS, INPUT, TARGETS, half, all - 1));
    assert_int_equal(stores[0]->mapped, 0);
    assert_int_equal(stores[1]->mapped, all);
    mk_store_destroy(stores[0]);
    mk_store_destroy(stores[1]);
  }
}

static void half_precision_saturates(void **state)
{
  (void)state;
  mk_store *store;
  const float values[] = {65504, 65505, 1e30F, -65504, -1e30F, INFINITY, -INFINITY, 1e-9F};
  const float kept[] = {65504, 65504, 65504, -65504, -65504, 65504, -65504, 0};
  float found[8];
  assert_ok(mk_store_create(&store, 1, 1, 8, true, 1 << 20));
  mk_store_put_targets(store, 0, 0, values, 8);
  mk_store_get_targets(store, 0, 0, found, 8);
  for (int i = 0; i < 8; ++i) assert_true(found[i] == kept[i]);
  mk_store_destroy(store);
}

static void impossible_stores_are_refused(void **state)
{
  (void)state;
  mk_store *store;
  assert_int_equal(mk_store_create(&store, SIZE_MAX / 2, 1, 1, true, 0), MKD_ERROR_MEMORY);
  assert_int_equal(mk_store_create(&store, 1, SIZE_MAX, 1, true, 0), MKD_ERROR_MEMORY);
  assert_int_equal(mk_store_create(&store, 1, 1, SIZE_MAX / 2, false, 0), MKD_ERROR_MEMORY);
  setenv("TMPDIR", "/no/such/folder", 1);
  assert_error(mk_store_create(&store, 1, 1, 1, true, 0), MKD_ERROR_FILE, "/no/such/folder/mkd-");
  unsetenv("TMPDIR");
}

/* ---- Split ----------------------------------------------------------------------------------- */

static size_t one_each[1001]; /* first tiles of images that are not cut */

static void number_tiles(void)
{
  for (size_t i = 0; i <= 1000; ++i) one_each[i] = i;
}

static void splits_are_random_and_disjoint(void **state)
{
  (void)state;
  static const struct {
    size_t images, held_out;
    const char *holdout;
  } wanted[] = {{2, 1, "0.2"},    {3, 1, "0.2"},    {4, 2, "0.2"},   {10, 2, "0.2"},
                {100, 20, "0.2"}, {2, 1, "0.9"},    {10, 9, "0.9"},  {5, 2, "0.001"},
                {7, 4, "0.5"},    {199, 40, "0.2"}, {200, 40, "0.2"}};
  mk_recipe recipe;
  assert_ok(mk_recipe_load(&recipe, "default"));
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
    char set[32];
    size_t images = wanted[i].images, originals = images - wanted[i].held_out;
    snprintf(set, sizeof set, "holdout=%s", wanted[i].holdout);
    assert_ok(mk_recipe_set(&recipe, set));
    mk_split split;
    assert_ok(mk_split_create(&split, images, one_each, &recipe, 3));
    assert_int_equal(split.held_out_count, wanted[i].held_out);
    assert_int_equal(split.originals, originals);
    assert_int_equal(split.train_count, originals * (images < 200 ? 5 : 1));
    bool seen[1000] = {false};
    for (size_t j = 0; j < split.held_out_count; ++j) {
      assert_true(split.held_out[j] < images && !seen[split.held_out[j]]);
      seen[split.held_out[j]] = true;
    }
    for (size_t j = 0; j < split.train_count; ++j) {
      assert_false(seen[split.train[j]]);
      assert_true((split.train[j] < images) == (j < originals));
      seen[split.train[j]] = true;
    }
    for (size_t j = 0; j < images + split.train_count - originals; ++j) assert_true(seen[j]);
    mk_split_free(&split);
  }
  mk_split splits[3];
  for (int i = 0; i < 3; ++i)
    assert_ok(mk_split_create(&splits[i], 100, one_each, &recipe, i == 2 ? 4 : 3));
  size_t bytes = splits[0].held_out_count * sizeof(size_t);
  assert_memory_equal(splits[0].held_out, splits[1].held_out, bytes);
  assert_memory_not_equal(splits[0].held_out, splits[2].held_out, bytes);
  for (int i = 0; i < 3; ++i) mk_split_free(&splits[i]);
  assert_error(mk_split_create(&splits[0], 1, one_each, &recipe, 0), MKD_ERROR_DATA,
               "1 image: training needs at least 2 normal images");
  assert_error(mk_split_create(&splits[0], 0, one_each, &recipe, 0), MKD_ERROR_DATA,
               "0 images: training");
  mk_recipe_free(&recipe);
}

/* Images of 1 to 4 tiles: those of one image are all on one side, in order. */
static void tiles_of_an_image_stay_together(void **state)
{
  (void)state;
  enum { TILED = 40 };
  size_t first[TILED + 1] = {0};
  mk_recipe recipe;
  mk_split split, plain;
  assert_ok(mk_recipe_load(&recipe, "default"));
  for (size_t i = 0; i < TILED; ++i) first[i + 1] = first[i] + 1 + i * 7 % 4;
  size_t items = first[TILED];
  assert_int_equal(items, 100);
  for (int copies = 0; copies < 2; ++copies) {
    if (copies == 0) assert_ok(mk_recipe_set(&recipe, "copies_below=100")); /* above the images */
    if (copies == 1) assert_ok(mk_recipe_set(&recipe, "copies_below=101"));
    assert_ok(mk_split_create(&split, TILED, first, &recipe, 3));
    assert_ok(mk_split_create(&plain, TILED, one_each, &recipe, 3));
    assert_int_equal(split.held_out_images, 8);
    assert_int_equal(split.tiles, items);
    assert_int_equal(split.held_out_first[8], split.held_out_count);
    assert_int_equal(split.originals + split.held_out_count, items);
    assert_int_equal(split.train_count, split.originals * (copies ? 5 : 1));
    for (size_t i = 0; i < 8; ++i) {
      size_t image = plain.held_out[i], begin = split.held_out_first[i];
      size_t count = first[image + 1] - first[image];
      assert_int_equal(split.held_out_first[i + 1] - begin, count);
      for (size_t k = 0; k < count; ++k)
        assert_int_equal(split.held_out[begin + k], first[image] + k);
    }
    size_t at = 0;
    for (size_t i = 0; i < TILED - 8; ++i)
      for (size_t item = first[plain.train[i]]; item < first[plain.train[i] + 1]; ++item)
        assert_int_equal(split.train[at++], item);
    assert_int_equal(at, split.originals);
    for (; at < split.train_count; ++at)
      assert_int_equal(split.train[at], items + at - split.originals);
    mk_split_free(&split);
    mk_split_free(&plain);
  }
  mk_recipe_free(&recipe);
}

/* ---- Training -------------------------------------------------------------------------------- */

static void assert_outputs(int k, const mk_training *training)
{
  mk_net *net;
  mk_exec *exec;
  assert_ok(mk_net_create(&net, training->cloner, mk_kernels_best()));
  mk_exec_options options = {.batch = 1, .height = TINY_HEIGHT, .width = TINY_WIDTH};
  assert_ok(mk_exec_create(&exec, net, training->outputs, 2, &options));
  mk_input_normalise(mk_exec_input(exec), mk_store_input(training->store, 0), &training->input);
  mk_exec_forward(exec, NULL, 1);
  for (int p = 0; p < 2; ++p) {
    char name[32];
    snprintf(name, sizeof name, "%d.output.%d", k, p);
    assert_array(name, mk_exec_output(exec, p), 1e-3);
  }
  mk_exec_destroy(exec);
  mk_net_destroy(net);
}

static void trainings_match_the_reference_library(void **state)
{
  (void)state;
  static const char *const common[] = {TINY_SET};
  static const char *const own[2][5] = {
      {"normalise_targets=true", "init=fan-in", "schedule=one-cycle", "weight_val=1",
       "weight_dir=auto"},
      {"normalise_targets=false", "init=xavier", "schedule=constant", "weight_val=auto",
       "weight_dir=1"},
  };
  mkd_expert *expert = tiny_expert();
  int outputs[2] = {mk_graph_find(expert->graph, "p1"), mk_graph_find(expert->graph, "p2")};
  mk_teacher teacher = {expert->graph, expert->graph, outputs, expert->sha256};
  mk_input_spec input = tiny_input();
  for (int k = 0; k < 2; ++k) {
    mk_recipe recipe;
    mk_training training;
    tiny_images images = tiny_images_of(11, 7000);
    assert_ok(mk_recipe_load(&recipe, "default"));
    for (size_t i = 0; i < sizeof common / sizeof *common; ++i)
      assert_ok(mk_recipe_set(&recipe, common[i]));
    for (size_t i = 0; i < 5; ++i) assert_ok(mk_recipe_set(&recipe, own[k][i]));
    mk_training_options options = {.seed = k == 0 ? 0 : 12345, .cache_memory = 1 << 20};
    mk_reporter reporter = {NULL, NULL, NULL};
    assert_ok(mk_train(&training, &recipe, &teacher, &input, tiny_source(&images), &options,
                       &reporter, NULL));
    const float results[] = {(float)training.weight_val, (float)training.weight_dir,
                             (float)training.loss, (float)training.held_out_loss};
    char name[32];
    snprintf(name, sizeof name, "%d.results", k);
    assert_array(name, results, 1e-4);
    assert_int_equal(training.epochs, 4);
    assert_int_equal(training.trained_images, 9);
    assert_int_equal(training.held_out_images, 2);
    snprintf(name, sizeof name, "%d.held_out", k);
    for (size_t i = 0; i < 2; ++i)
      assert_true(expected(name)->data[i] == (float)training.held_out[i]);
    for (int p = 0; p < 2; ++p) {
      assert_true((training.statistics[p].mean != NULL) == (k == 0));
      if (k != 0) continue;
      snprintf(name, sizeof name, "%d.mean.%d", k, p);
      assert_array(name, training.statistics[p].mean, 1e-5);
      snprintf(name, sizeof name, "%d.deviation.%d", k, p);
      assert_array(name, training.statistics[p].deviation, 1e-5);
    }
    for (int i = 0; i < training.cloner->count; ++i)
      assert_int_not_equal(training.cloner->ops[i].kind, MK_OP_BATCH_NORM);
    assert_outputs(k, &training);
    assert_int_equal(images.out, 0);
    assert_int_equal(images.got, 11);
    mk_training_free(&training);
    mk_recipe_free(&recipe);
  }
  mkd_expert_destroy(expert);
}

/* Sixteen copies of each image are warped, and none of those that are held out. */
static void copies_are_warped_images_of_the_training_part(void **state)
{
  (void)state;
  static const char *const sets[] = {TINY_SET, "copies=16", "copies_below=6"};
  mk_recipe recipe;
  assert_ok(mk_recipe_load(&recipe, "default"));
  for (size_t i = 0; i < sizeof sets / sizeof *sets; ++i)
    assert_ok(mk_recipe_set(&recipe, sets[i]));
  mk_input_spec input = tiny_input();
  mk_split split;
  mk_reporter reporter = {NULL, NULL, NULL};
  tiny_images images = tiny_images_of(5, 7000);
  assert_ok(mk_split_create(&split, 5, one_each, &recipe, 1));
  assert_int_equal(split.train_count, 3 * 17);
  assert_ok(mk_store_create(&split.store, 5 + 3 * 16, TINY_VALUES, 1, true, 1 << 24));
  assert_ok(
      mk_read_inputs(&split, one_each, &input, &recipe, tiny_source(&images), 1, &reporter, NULL));
  float levels[TINY_VALUES], warped[TINY_VALUES];
  uint16_t expected_levels[TINY_VALUES];
  for (size_t copy = 0; copy < 3 * 16; ++copy) {
    mk_rng rng = mk_rng_seed(1, 1000000 + copy);
    mk_input_to_levels(levels, mk_store_input(split.store, split.train[copy % 3]), TINY_VALUES);
    mk_warp_rgb(warped, levels, TINY_WIDTH, TINY_HEIGHT, &recipe.warp, &rng);
    mk_input_from_levels(expected_levels, warped, TINY_VALUES);
    assert_memory_equal(mk_store_input(split.store, 5 + copy), expected_levels,
                        sizeof expected_levels);
  }
  mk_split_free(&split);
  mk_recipe_free(&recipe);
}

/* The middle 98 % of the training part's grey levels, and of nothing else. */
static void low_contrast_is_stretched(void **state)
{
  (void)state;
  static const char *const sets[] = {TINY_SET, "contrast_below=128"};
  mk_recipe recipe;
  assert_ok(mk_recipe_load(&recipe, "default"));
  for (size_t i = 0; i < sizeof sets / sizeof *sets; ++i)
    assert_ok(mk_recipe_set(&recipe, sets[i]));
  enum { RANDOM, BLACK, GREY, WHITE, DIM, KINDS };
  for (int kind = 0; kind < KINDS; ++kind) {
    mk_input_spec input = tiny_input();
    mk_split split;
    mk_reporter reporter = {NULL, NULL, NULL};
    tiny_images images = tiny_images_of(6, 7000);
    assert_ok(mk_split_create(&split, 6, one_each, &recipe, 1));
    if (kind == DIM) images.bright = split.held_out[0];
    if (kind == BLACK || kind == GREY || kind == WHITE) images.constant = (kind - BLACK) * 255 / 2;
    assert_ok(mk_store_create(&split.store, 6, TINY_VALUES, 1, true, 1 << 24));
    assert_ok(mk_read_inputs(&split, one_each, &input, &recipe, tiny_source(&images), 1, &reporter,
                             NULL));
    /* Random pixels use the whole range, constant ones have none. */
    assert_true(input.low == (kind == DIM ? 100 : 0));
    assert_true(input.high == (kind == DIM ? 131 : 255));
    mk_split_free(&split);
  }
  mk_recipe_free(&recipe);
}

int main(void)
{
  number_tiles();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_cycle_matches_the_reference_library),
      cmocka_unit_test(short_and_constant_schedules_are_usable),
      cmocka_unit_test(plans_become_networks),
      cmocka_unit_test(wrong_plans_are_refused),
      cmocka_unit_test(weights_are_drawn_within_their_range),
      cmocka_unit_test(recipes_have_the_cloners_they_should),
      cmocka_unit_test(stores_keep_what_they_are_given),
      cmocka_unit_test(half_precision_saturates),
      cmocka_unit_test(impossible_stores_are_refused),
      cmocka_unit_test(splits_are_random_and_disjoint),
      cmocka_unit_test(tiles_of_an_image_stay_together),
      cmocka_unit_test(trainings_match_the_reference_library),
      cmocka_unit_test(copies_are_warped_images_of_the_training_part),
      cmocka_unit_test(low_contrast_is_stretched),
  };
  return cmocka_run_group_tests(tests, load_reference, free_reference);
}
