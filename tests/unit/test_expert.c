#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "expert/architecture.h"
#include "expert/expert.h"

/* ---- Made-up weights ------------------------------------------------------------------------- */

static mk_tensor *add(mk_tensors *tensors, const char *base, const char *part, int rank, size_t o,
                      size_t i, size_t kernel)
{
  char name[192];
  mk_tensor *tensor;
  snprintf(name, sizeof name, "%s%s", base, part);
  assert_int_equal(mk_tensors_add(tensors, name, rank, (size_t[]){o, i, kernel, kernel}, &tensor),
                   MKD_OK);
  for (size_t k = 0; k < tensor->count; ++k) tensor->data[k] = (float)(k % 7) / 8 + 0.125f;
  return tensor;
}

static void add_norm(mk_tensors *tensors, const char *base, size_t channels)
{
  add(tensors, base, ".weight", 1, channels, 0, 0);
  add(tensors, base, ".bias", 1, channels, 0, 0);
  add(tensors, base, ".running_mean", 1, channels, 0, 0);
  add(tensors, base, ".running_var", 1, channels, 0, 0);
}

/* The line of fixtures/architectures.txt that begins with the name, without it. */
static void read_line(char line[2048], const char *arch)
{
  FILE *file = fopen(FIXTURES "/architectures.txt", "r");
  size_t length = strlen(arch);
  assert_non_null(file);
  while (fgets(line, 2048, file))
    if (strncmp(line, arch, length) == 0 && line[length] == ' ') {
      memmove(line, line + length, strlen(line + length) + 1);
      fclose(file);
      return;
    }
  fail_msg("no %s in architectures.txt", arch);
}

/* Tensors of the first `limit` convolutions, an eighth as wide. Returns how many there are. */
static int make_vgg(mk_tensors *tensors, const char *arch, int limit)
{
  char line[2048], base[64];
  int position, channels, used, count = 0;
  size_t input = 3;
  read_line(line, arch);
  for (const char *at = line;
       count < limit && sscanf(at, " %d:%d%n", &position, &channels, &used) == 2; at += used) {
    snprintf(base, sizeof base, "features.%d", position);
    add(tensors, base, ".weight", 4, (size_t)channels / 8, input, 3);
    add(tensors, base, ".bias", 1, (size_t)channels / 8, 0, 0);
    snprintf(base, sizeof base, "features.%d", position + 1);
    if (strstr(arch, "_bn")) add_norm(tensors, base, (size_t)channels / 8);
    input = (size_t)channels / 8;
    ++count;
  }
  add(tensors, "classifier.0", ".weight", 2, 4, 5, 0); /* is to be ignored */
  return count;
}

typedef struct {
  int input, expanded, kernel, stride, output;
} block;

static int read_blocks(block blocks[64], const char *arch)
{
  char line[2048];
  int used, count = 0;
  read_line(line, arch);
  for (const char *at = line;; at += used, ++count) {
    block *b = &blocks[count];
    if (sscanf(at, " %d:%d:%d:%d:%d%n", &b->input, &b->expanded, &b->kernel, &b->stride, &b->output,
               &used) != 5)
      return count;
  }
}

static void add_conv_norm(mk_tensors *tensors, const char *prefix, const char *conv,
                          const char *norm, size_t o, size_t i, size_t kernel)
{
  char base[128];
  snprintf(base, sizeof base, "%s%s", prefix, conv);
  add(tensors, base, ".weight", 4, o, i, kernel);
  snprintf(base, sizeof base, "%s%s", prefix, norm);
  add_norm(tensors, base, o);
}

static void make_lite(mk_tensors *tensors, const block *blocks, int count, bool head)
{
  add_conv_norm(tensors, "", "_conv_stem", "_bn0", 32, 3, 3);
  for (int i = 0; i < count; ++i) {
    char prefix[32];
    size_t expanded = (size_t)blocks[i].expanded, input = (size_t)blocks[i].input;
    snprintf(prefix, sizeof prefix, "_blocks.%d.", i);
    if (expanded != input)
      add_conv_norm(tensors, prefix, "_expand_conv", "_bn0", expanded, input, 1);
    add_conv_norm(tensors, prefix, "_depthwise_conv", "_bn1", expanded, 1,
                  (size_t)blocks[i].kernel);
    add_conv_norm(tensors, prefix, "_project_conv", "_bn2", (size_t)blocks[i].output, expanded, 1);
  }
  if (head)
    add_conv_norm(tensors, "", "_conv_head", "_bn1", 1280, (size_t)blocks[count - 1].output, 1);
}

static mkd_status build(mkd_expert *expert, mk_tensors *tensors, const char *arch)
{
  memset(expert, 0, sizeof *expert);
  mkd_status status = mk_architecture_build(expert, tensors, arch);
  mk_tensors_free(tensors);
  return status;
}

static const mk_op *op_named(const mkd_expert *expert, const char *name)
{
  int index = mk_graph_find(expert->graph, name);
  if (index < 0) fail_msg("no operation '%s'", name);
  return &expert->graph->ops[index];
}

/* ---- VGG ------------------------------------------------------------------------------------- */

static int count_kind(const mkd_expert *expert, mk_op_kind kind)
{
  int count = 0;
  for (int i = 0; i < expert->graph->count; ++i) count += expert->graph->ops[i].kind == kind;
  return count;
}

static void every_vgg_is_recognised_and_built(void **state)
{
  (void)state;
  static const char *const names[] = {"vgg11",    "vgg13",    "vgg16",    "vgg19",
                                      "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"};
  for (int n = 0; n < 8; ++n)
    for (int told = 0; told < 2; ++told) {
      mk_tensors tensors = {0};
      mkd_expert expert;
      int convs = make_vgg(&tensors, names[n], 100);
      if (build(&expert, &tensors, told ? names[n] : NULL) != MKD_OK)
        fail_msg("%s", mkd_last_error());
      assert_string_equal(expert.arch, names[n]);
      assert_int_equal(count_kind(&expert, MK_OP_CONV), convs);
      assert_int_equal(count_kind(&expert, MK_OP_RELU), convs);
      assert_int_equal(count_kind(&expert, MK_OP_MAX_POOL), 5);
      assert_int_equal(count_kind(&expert, MK_OP_BATCH_NORM), n < 4 ? 0 : convs);
      assert_int_equal(op_named(&expert, "conv5_2")->channels, 64);
      assert_int_equal(op_named(&expert, "pool5")->src[0],
                       mk_graph_find(expert.graph, n % 4 < 2    ? "relu5_2"
                                                   : n % 4 == 2 ? "relu5_3"
                                                                : "relu5_4"));
      assert_true(fabs(expert.mean[0] - 123.675) < 1e-3 && fabs(expert.std[2] - 57.375) < 1e-3);
      mk_graph_destroy(expert.graph);
    }
}

static void the_first_blocks_of_a_vgg_are_enough(void **state)
{
  (void)state;
  static const struct {
    const char *source, *told, *arch, *last;
    int convs;
  } cases[] = {
      {"vgg19", NULL, "vgg", "pool2", 4},       {"vgg19", "vgg19", "vgg19", "pool2", 4},
      {"vgg19", NULL, "vgg19", "pool3", 8},     {"vgg16", NULL, "vgg16", "pool4", 10},
      {"vgg19", NULL, "vgg19", "relu5_1", 13},  {"vgg11", NULL, "vgg11", "pool3", 4},
      {"vgg16_bn", NULL, "vgg_bn", "pool1", 2}, {"vgg16", "vgg16", "vgg16", "relu1_1", 1},
      {"vgg13", NULL, "vgg13", "pool3", 6},     {"vgg16", "vgg", "vgg", "relu4_1", 8},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    mk_tensors tensors = {0};
    mkd_expert expert;
    make_vgg(&tensors, cases[i].source, cases[i].convs);
    if (build(&expert, &tensors, cases[i].told) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_string_equal(expert.arch, cases[i].arch);
    assert_string_equal(expert.graph->ops[expert.graph->count - 1].name, cases[i].last);
    mk_graph_destroy(expert.graph);
  }
}

/* ---- EfficientNet-Lite ----------------------------------------------------------------------- */

static void every_efficientnet_lite_is_recognised_and_built(void **state)
{
  (void)state;
  static const int sizes[] = {224, 240, 260, 280, 300};
  for (int n = 0; n < 5; ++n) {
    char arch[32], name[64];
    block blocks[64];
    mk_tensors tensors = {0};
    mkd_expert expert;
    snprintf(arch, sizeof arch, "efficientnet-lite%d", n);
    int count = read_blocks(blocks, arch);
    assert_in_range(count, 16, 30);
    make_lite(&tensors, blocks, count, n != 3);
    if (build(&expert, &tensors, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_string_equal(expert.arch, arch);
    assert_int_equal(expert.input_size, sizes[n]);
    assert_true(expert.mean[1] == 127 && expert.std[1] == 128);
    assert_int_equal(op_named(&expert, "stem.conv")->stride, 2);
    assert_int_equal(mk_graph_find(expert.graph, "head") >= 0, n != 3);
    for (int i = 0; i < count; ++i) {
      snprintf(name, sizeof name, "block%d.depthwise", i);
      const mk_op *depthwise = op_named(&expert, name);
      assert_int_equal(depthwise->channels, blocks[i].expanded);
      assert_int_equal(depthwise->groups, blocks[i].expanded);
      assert_int_equal(depthwise->kernel, blocks[i].kernel);
      assert_int_equal(depthwise->stride, blocks[i].stride);
      assert_int_equal(depthwise->pad_mode, MK_PAD_SAME);
    }
    mk_graph *folded;
    assert_int_equal(mk_graph_fold(&folded, expert.graph), MKD_OK);
    mk_graph_destroy(expert.graph);
    expert.graph = folded;
    for (int i = 0; i < count; ++i) {
      snprintf(name, sizeof name, "block%d", i);
      const mk_op *output = op_named(&expert, name);
      bool residual = blocks[i].stride == 1 && blocks[i].input == blocks[i].output;
      assert_int_equal(output->channels, blocks[i].output);
      assert_int_equal(output->kind, residual ? MK_OP_ADD : MK_OP_CONV);
      if (!residual) continue;
      snprintf(name, sizeof name, "block%d", i - 1);
      assert_int_equal(output->src[1], mk_graph_find(folded, name));
    }
    mk_graph_destroy(folded);
  }
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void refused(mk_tensors *tensors, const char *arch, mkd_status status, const char *text)
{
  mkd_expert expert;
  assert_int_equal(build(&expert, tensors, arch), status);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' should be in '%s'", text, mkd_last_error());
  mk_graph_destroy(expert.graph);
}

static void rename_tensor(mk_tensors *tensors, const char *name)
{
  mk_tensor *tensor = mk_tensors_find(tensors, name);
  assert_non_null(tensor);
  tensor->name[strlen(tensor->name) - 1] = '~';
}

static void errors_name_the_first_wrong_tensor(void **state)
{
  (void)state;
  const mkd_status file = MKD_ERROR_FILE;
  mk_tensors t = {0};
  make_vgg(&t, "vgg16", 100);
  refused(&t, "vgg19", file, "'features.16.weight' [any, 32, 3, 3] is missing");
  make_vgg(&t, "vgg19", 100);
  refused(&t, "vgg16", file, "'features.17.weight' [any, 32, 3, 3] is missing");
  make_vgg(&t, "vgg16", 100);
  refused(&t, "vgg16_bn", file, "'features.1.weight' [8] is missing");
  make_vgg(&t, "vgg16_bn", 100);
  refused(&t, "vgg16", file, "'features.2.weight' [any, 8, 3, 3] is missing");
  make_vgg(&t, "vgg16", 100);
  rename_tensor(&t, "features.5.bias");
  refused(&t, NULL, file, "'features.5.bias' [16] is missing");
  make_vgg(&t, "vgg16", 100);
  mk_tensors_find(&t, "features.7.weight")->shape[1] = 9;
  refused(&t, NULL, file,
          "'features.7.weight' has shape [16, 9, 3, 3], expected is [any, 16, 3, 3]");
  make_vgg(&t, "vgg16", 100);
  mk_tensors_find(&t, "features.28.weight")->data[77] = NAN;
  refused(&t, NULL, file, "'features.28.weight' holds a NaN or infinity");
  make_vgg(&t, "vgg16_bn", 100);
  mk_tensors_find(&t, "features.1.running_var")->data[3] = -1;
  refused(&t, NULL, file, "'features.1.running_var' holds a negative variance");
  make_vgg(&t, "vgg16", 100);
  refused(&t, "resnet18", MKD_ERROR_ARGUMENT,
          "'resnet18' is no known architecture; there are vgg11");
  make_vgg(&t, "vgg16", 100);
  refused(&t, "efficientnet-lite0", file, "'_conv_stem.weight' [32, 3, 3, 3] is missing");
  make_vgg(&t, "vgg16", 0);
  refused(&t, NULL, file, "'classifier.0.weight' [4, 5]) are of no known architecture");
  refused(&t, NULL, file, "no tensors");

  block blocks[64];
  int count = read_blocks(blocks, "efficientnet-lite0");
  make_lite(&t, blocks, count, true);
  rename_tensor(&t, "_blocks.7._bn1.running_var");
  refused(&t, NULL, file, "'_blocks.7._bn1.running_var' [480] is missing");
  make_lite(&t, blocks, count, true);
  refused(
      &t, "efficientnet-lite2", file,
      "'_blocks.3._depthwise_conv.weight' has shape [144, 1, 5, 5], expected is [144, 1, 3, 3]");
}

/* ---- Files ----------------------------------------------------------------------------------- */

static mkd_expert *small_expert(void)
{
  mk_tensors tensors = {0};
  mkd_expert built = {0}, *expert;
  make_vgg(&tensors, "vgg11", 3);
  assert_int_equal(build(&built, &tensors, NULL), MKD_OK);
  assert_int_equal(mk_alloc(&expert, 1, sizeof *expert), MKD_OK);
  *expert = built;
  memset(expert->sha256, 'a', 64);
  return expert;
}

static void an_expert_goes_to_a_file_and_back(void **state)
{
  (void)state;
  char path[] = "/tmp/mkd-expert-XXXXXX";
  close(mkstemp(path));
  mkd_expert *expert = small_expert(), *loaded;
  assert_int_equal(mkd_expert_save(expert, path), MKD_OK);
  if (mkd_expert_load(&loaded, path, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
  assert_string_equal(loaded->arch, expert->arch);
  assert_string_equal(loaded->sha256, expert->sha256);
  assert_int_equal(loaded->input_size, 224);
  assert_memory_equal(loaded->mean, expert->mean, sizeof expert->mean);
  assert_memory_equal(loaded->std, expert->std, sizeof expert->std);
  assert_int_equal(loaded->graph->count, expert->graph->count);
  for (int i = 1; i < loaded->graph->count; ++i) {
    const mk_op *a = &loaded->graph->ops[i], *b = &expert->graph->ops[i];
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->weight_count, b->weight_count);
    if (a->weights) assert_memory_equal(a->weights, b->weights, a->weight_count * sizeof(float));
    if (a->bias) assert_memory_equal(a->bias, b->bias, (size_t)a->channels * sizeof(float));
  }
  mkd_expert_destroy(loaded);
  mkd_expert_destroy(expert);
  assert_int_equal(mkd_expert_import(&loaded, path, NULL, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "is an expert file already"));
  unlink(path);
  assert_int_equal(mkd_expert_load(&loaded, path, NULL), MKD_ERROR_FILE);
  assert_int_equal(mkd_expert_load(&loaded, FIXTURES "/reference.safetensors", NULL),
                   MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "mkd import"));
  assert_int_equal(mkd_expert_load(&loaded, FIXTURES "/weights/zip2.pth", NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "mkd import"));
}

static void a_file_without_what_it_needs_is_refused(void **state)
{
  (void)state;
  static const struct {
    const char *key, *value, *text;
  } cases[] = {
      {"arch", NULL, "no 'x.arch'"},
      {"arch", "vgg 16", "is no name"},
      {"arch", "a-name-of-more-than-thirty-one-characters", "too long"},
      {"mean", "[1,2]", "'x.mean' is not three numbers"},
      {"mean", "[1,2,1e300]", "'x.mean' is not three numbers"},
      {"mean", "nonsense", "'x.mean' is not three numbers"},
      {"std", "[1,2,\"3\"]", "'x.std' is not three numbers"},
      {"std", "[1,0,1]", "'x.std' has to be positive"},
      {"std", "[1,-1,1]", "'x.std' has to be positive"},
      {"std", "[1,1e-44,1]", "'x.std' has to be positive"},
      {"input_size", "0", "'x.input_size'"},
      {"input_size", "65537", "'x.input_size'"},
      {"input_size", "22x", "'x.input_size'"},
      {"source_sha256", "aa", "'x.source_sha256'"},
      {"graph", "{", "the graph: not valid JSON"},
      {"graph", "{\"input\":1,\"ops\":[]}", "takes 1 channels"},
      {"graph",
       "{\"input\":3,\"ops\":[{\"op\":\"conv\",\"src\":0,\"channels\":65536,\"kernel\":64,"
       "\"stride\":1,\"groups\":1,\"pad\":0,\"bias\":true}]}",
       "more weights than the file has"},
  };
  mkd_expert *expert = small_expert();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    mk_tensors tensors = {0};
    mkd_expert *read = NULL;
    char key[64];
    assert_int_equal(mk_expert_to_tensors(&tensors, expert, "x."), MKD_OK);
    snprintf(key, sizeof key, "x.%s", cases[i].key);
    for (size_t k = 0; k < tensors.metadata_count; ++k) {
      if (strcmp(tensors.metadata[k].key, key) != 0) continue;
      if (!cases[i].value) {
        tensors.metadata[k].key[0] = '~';
        continue;
      }
      mk_free(tensors.metadata[k].value);
      assert_int_equal(mk_text_copy(&tensors.metadata[k].value, cases[i].value), MKD_OK);
    }
    assert_int_equal(mk_expert_from_tensors(&read, &tensors, "x."), MKD_ERROR_FILE);
    assert_null(read);
    if (!strstr(mkd_last_error(), cases[i].text))
      fail_msg("'%s' should be in '%s'", cases[i].text, mkd_last_error());
    mk_tensors_free(&tensors);
  }
  mkd_expert_destroy(expert);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_vgg_is_recognised_and_built),
      cmocka_unit_test(the_first_blocks_of_a_vgg_are_enough),
      cmocka_unit_test(every_efficientnet_lite_is_recognised_and_built),
      cmocka_unit_test(errors_name_the_first_wrong_tensor),
      cmocka_unit_test(an_expert_goes_to_a_file_and_back),
      cmocka_unit_test(a_file_without_what_it_needs_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
