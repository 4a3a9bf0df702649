/* VGG-11, 13, 16 and 19 (Simonyan and Zisserman, 2015), with and without batch norm: five blocks of
 * 3x3 convolutions, each with a max pool at its end. The fully connected part is not used.
 *
 * Two ways to name the tensors are known:
 *
 *   torchvision's, "features.<position>.weight", where each convolution, batch norm, ReLU and pool
 *   has one position; the input is RGB in [0, 1], less the mean of ImageNet, over its deviation;
 *
 *   "conv<block><number>.weight" with a 1x1 convolution "conv0" before all, which takes RGB in
 *   [0, 1] to the input of the original Caffe model, BGR in 0..255 less the mean of ImageNet: its
 *   weights are within 0.2 % of 255 times the permutation that swaps R and B, and its bias is minus
 *   that mean. (Models of Collaborative Distillation, Wang et al., 2020. Their authors pad by
 *   reflection; here the convolutions pad with zeros as in VGG, which differs near the border
 * only.)
 *
 * The widths come from the tensors. When the last convolutions are missing the network ends before
 * them. Outputs are called "conv1_1" (after batch norm, if any), "relu1_1", ..., "pool5". */
#include "expert/architecture.h"

#include <stdio.h>
#include <string.h>

enum { BLOCKS = 5 };

typedef struct {
  const char *name;
  int convs[BLOCKS];
} layout;

static const layout layouts[] = {
    {"vgg11", {1, 1, 2, 2, 2}},
    {"vgg13", {2, 2, 2, 2, 2}},
    {"vgg16", {2, 2, 3, 3, 3}},
    {"vgg19", {2, 2, 4, 4, 4}},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

/* How the tensors are named. */
typedef struct {
  bool conv0;      /* "conv11", else "features.0" */
  bool batch_norm; /* only with "features.0" */
} naming;

/* Position of a convolution among torchvision's features. */
static int feature_position(const layout *l, naming n, int block, int conv)
{
  int each = n.batch_norm ? 3 : 2, position = 0;
  for (int b = 0; b < block; ++b) position += l->convs[b] * each + 1;
  return position + conv * each;
}

static void conv_tensor(char name[32], const layout *l, naming n, int block, int conv)
{
  if (n.conv0)
    snprintf(name, 32, "conv%d%d", block + 1, conv + 1);
  else
    snprintf(name, 32, "features.%d", feature_position(l, n, block, conv));
}

/* ---- Which one is it? ------------------------------------------------------------------------ */

static bool is_conv(const mk_tensors *tensors, const char *tensor)
{
  const mk_tensor *weight = mk_find_part(tensors, tensor, ".weight");
  return weight && weight->rank == 4;
}

static naming tell_naming(const mk_tensors *tensors)
{
  naming n = {.conv0 = is_conv(tensors, "conv0") && is_conv(tensors, "conv11")};
  n.batch_norm = !n.conv0 && mk_find_part(tensors, "features.1", ".running_mean");
  return n;
}

/* How many tensors have the name of a convolution, whether a layout has it or not. */
static int count_convs(const mk_tensors *tensors, naming n)
{
  int count = 0;
  for (size_t i = 0; i < tensors->count; ++i) {
    const mk_tensor *t = &tensors->tensors[i];
    int number, end = 0;
    if (sscanf(t->name, n.conv0 ? "conv%2d.weight%n" : "features.%9d.weight%n", &number, &end) != 1)
      continue;
    /* conv0 itself is none of them. */
    count += end > 0 && t->name[end] == '\0' && t->rank == 4 && !(n.conv0 && number == 0);
  }
  return count;
}

typedef enum {
  MATCH_NONE,
  MATCH_PART,   /* ends within a block */
  MATCH_BLOCKS, /* ends with a block */
  MATCH_ALL
} match;

/* Whether the convolutions that are there are the first ones of the layout, and no others. */
static match match_layout(const layout *l, naming n, const mk_tensors *tensors)
{
  char name[32];
  int found = 0, count = count_convs(tensors, n);
  for (int b = 0; b < BLOCKS; ++b)
    for (int c = 0; c < l->convs[b]; ++c) {
      conv_tensor(name, l, n, b, c);
      if (is_conv(tensors, name)) {
        ++found;
        continue;
      }
      if (found == 0 || found != count) return MATCH_NONE;
      return c == 0 ? MATCH_BLOCKS : MATCH_PART;
    }
  return found == count ? MATCH_ALL : MATCH_NONE;
}

/* The layout that matches best, NULL for none. When several do (the first blocks alone can be of
 * three of them) they give the same network, and `unique` is false. */
static const layout *best_layout(const mk_tensors *tensors, naming n, bool *unique)
{
  const layout *best = NULL;
  match best_match = MATCH_NONE;
  for (int i = 0; i < LAYOUTS; ++i) {
    match m = match_layout(&layouts[i], n, tensors);
    if (m != MATCH_NONE && m == best_match) *unique = false;
    if (m <= best_match) continue;
    best = &layouts[i];
    best_match = m;
    *unique = true;
  }
  return best;
}

static const char *suffix(bool batch_norm)
{
  return batch_norm ? "_bn" : "";
}

static bool vgg_recognises(char arch[MK_ARCH_MAX], const mk_tensors *tensors)
{
  naming n = tell_naming(tensors);
  bool unique;
  const layout *l = best_layout(tensors, n, &unique);
  if (l) snprintf(arch, MK_ARCH_MAX, "%s%s", unique ? l->name : "vgg", suffix(n.batch_norm));
  return l;
}

/* "vgg16_bn" and the like; also "vgg" and "vgg_bn", for the first blocks of any, with *l = NULL. */
static bool parse_name(const layout **l, bool *batch_norm, const char *arch)
{
  char name[MK_ARCH_MAX];
  for (int bn = 0; bn < 2; ++bn) {
    *batch_norm = bn;
    *l = NULL;
    snprintf(name, sizeof name, "vgg%s", suffix(bn));
    if (strcmp(arch, name) == 0) return true;
    for (int i = 0; i < LAYOUTS; ++i) {
      *l = &layouts[i];
      snprintf(name, sizeof name, "%s%s", layouts[i].name, suffix(bn));
      if (strcmp(arch, name) == 0) return true;
    }
  }
  return false;
}

static bool vgg_knows(const char *arch)
{
  const layout *l;
  bool batch_norm;
  return parse_name(&l, &batch_norm, arch);
}

/* ---- The network ----------------------------------------------------------------------------- */

static mkd_status append_conv(mk_graph *graph, int *at, const layout *l, naming n, int block,
                              int conv, const mk_tensors *tensors)
{
  const mk_conv shape = {
      .kernel = 3, .stride = 1, .groups = 1, .pad_mode = MK_PAD_EXPLICIT, .pad = 1, .bias = true};
  char tensor[32], name[32];
  conv_tensor(tensor, l, n, block, conv);
  snprintf(name, sizeof name, "conv%d_%d", block + 1, conv + 1);
  MK_TRY(mk_build_conv(graph, at, *at, shape, tensors, tensor, name));
  if (n.batch_norm) {
    snprintf(tensor, sizeof tensor, "features.%d", feature_position(l, n, block, conv) + 1);
    MK_TRY(mk_build_batch_norm(graph, at, *at, 1e-5f, tensors, tensor, NULL));
  }
  snprintf(name, sizeof name, "relu%d_%d", block + 1, conv + 1);
  return mk_graph_activation(graph, at, *at, MK_OP_RELU, name);
}

static mkd_status append_blocks(mk_graph *graph, int at, const layout *l, naming n,
                                const mk_tensors *tensors)
{
  char name[32];
  int found = 0, count = count_convs(tensors, n);
  for (int b = 0; b < BLOCKS; ++b) {
    for (int c = 0; c < l->convs[b]; ++c) {
      conv_tensor(name, l, n, b, c);
      if (found > 0 && found == count && !is_conv(tensors, name)) return MKD_OK;
      MK_TRY(append_conv(graph, &at, l, n, b, c, tensors));
      ++found;
    }
    snprintf(name, sizeof name, "pool%d", b + 1);
    MK_TRY(mk_graph_max_pool(graph, &at, at, 2, 2, name));
  }
  if (found != count)
    return mk_fail(MKD_ERROR_FILE, "there are %d convolutions, %s has %d", count, l->name, found);
  return MKD_OK;
}

static mkd_status vgg_build(mkd_expert *expert, const mk_tensors *tensors, const char *arch)
{
  const layout *l;
  bool batch_norm, unique;
  int at = 0;
  if (!parse_name(&l, &batch_norm, arch))
    return mk_fail(MKD_ERROR_ARGUMENT, "'%.64s' is no VGG", arch);
  naming n = tell_naming(tensors);
  n.conv0 = n.conv0 && !batch_norm;
  n.batch_norm = batch_norm;
  if (!l) l = best_layout(tensors, n, &unique);
  if (!l) l = &layouts[0]; /* whose first tensor that does not fit is an error */
  MK_TRY(mk_graph_create(&expert->graph, 3));
  if (n.conv0) {
    const mk_conv shape = {.channels = 3, .kernel = 1, .stride = 1, .groups = 1, .bias = true};
    MK_TRY(mk_build_conv(expert->graph, &at, 0, shape, tensors, "conv0", "conv0"));
  }
  MK_TRY(append_blocks(expert->graph, at, l, n, tensors));
  static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
  for (int c = 0; c < 3; ++c) {
    expert->mean[c] = n.conv0 ? 0 : 255 * mean[c];
    expert->std[c] = n.conv0 ? 255 : 255 * deviation[c];
  }
  expert->input_size = 224;
  snprintf(expert->arch, sizeof expert->arch, "%s", arch);
  return MKD_OK;
}

const mk_family mk_family_vgg = {
    .knows = vgg_knows,
    .recognises = vgg_recognises,
    .build = vgg_build,
    .names = "vgg11, vgg13, vgg16, vgg19 (each also with _bn)",
};
