/* Every kernel of every set against the reference, on random shapes and ranges; outputs lie between
 * guard zones, inputs end where their memory ends. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/kernels/sets.h"

/* 512-bit vectors as the compiler makes them from shorter ones: the tiles of AVX-512 are tried on
 * machines that do not have it. */
#pragma GCC diagnostic ignored "-Wpsabi"
#define MK_SET wide_kernels
#define MK_SET_NAME "512-bit vectors from shorter ones"
#define MK_LANES 16
#define MK_ROW_TILE 12
#define MK_PANEL_VECTORS 2
extern const mk_kernels wide_kernels;
#include "nn/kernels/vector.h"

enum { GUARD = 64, ROUNDS = 60, MAX_ARRAYS = 16 };

static const uint32_t guard_bits = 0x7fc0beef; /* a NaN that no kernel computes */

/* ---- Random cases ---------------------------------------------------------------------------- */

/* One case: arrays made for it, freed together. */
typedef struct {
  mk_rng rng;
  float *memory[MAX_ARRAYS];
  int count;
} trial;

static int any(trial *t, int low, int high) /* low .. high */
{
  return low + (int)mk_rng_below(&t->rng, (uint64_t)(high - low + 1));
}

static bool coin(trial *t)
{
  return any(t, 0, 1);
}

/* Channel counts around the widths of vectors and panels. */
static int any_channels(trial *t)
{
  static const int near[] = {1, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96};
  int channels = near[any(t, 0, 10)] + any(t, -1, 1);
  return channels < 1 ? 1 : channels;
}

/* `count` numbers in [-1, 1) at no special alignment, followed by nothing. */
static float *input(trial *t, size_t count)
{
  size_t shift = (size_t)any(t, 0, 3);
  float *memory = malloc((shift + count) * sizeof(float) + (count == 0));
  assert_non_null(memory);
  assert_in_range(t->count, 0, MAX_ARRAYS - 1);
  t->memory[t->count++] = memory;
  for (size_t i = 0; i < count; ++i) memory[shift + i] = (float)(2 * mk_rng_uniform(&t->rng) - 1);
  return memory + shift;
}

/* The same array twice, between guards: for the reference and for the set on trial. */
typedef struct {
  float *expected, *actual;
  size_t count;
} output;

static float *guarded(trial *t, size_t count)
{
  float *memory = input(t, count + 2 * GUARD);
  for (size_t i = 0; i < GUARD; ++i) {
    memcpy(memory + i, &guard_bits, sizeof guard_bits);
    memcpy(memory + GUARD + count + i, &guard_bits, sizeof guard_bits);
  }
  return memory + GUARD;
}

/* `fresh`: the kernel has to write without reading, so that it starts as NaN. */
static output make_output(trial *t, size_t count, bool fresh)
{
  output out = {guarded(t, count), guarded(t, count), count};
  for (size_t i = 0; fresh && i < count; ++i) out.actual[i] = NAN;
  memcpy(out.expected, out.actual, count * sizeof(float));
  return out;
}

static void free_trial(trial *t)
{
  for (int i = 0; i < t->count; ++i) free(t->memory[i]);
  t->count = 0;
}

static bool guards_hold(const float *values, size_t count)
{
  for (size_t i = 0; i < GUARD; ++i) {
    if (memcmp(values - GUARD + i, &guard_bits, sizeof guard_bits) != 0) return false;
    if (memcmp(values + count + i, &guard_bits, sizeof guard_bits) != 0) return false;
  }
  return true;
}

/* `terms`: how many products one element sums up. */
static void assert_same(const output *out, const mk_kernels *set, const char *kernel, double terms)
{
  double tolerance = 2e-6 * sqrt(terms + 1);
  if (!guards_hold(out->expected, out->count))
    fail_msg("%s of the reference writes outside", kernel);
  if (!guards_hold(out->actual, out->count)) fail_msg("%s of %s writes outside", kernel, set->name);
  for (size_t i = 0; i < out->count; ++i) {
    double x = (double)out->actual[i], y = (double)out->expected[i];
    if (isnan(x) && isnan(y)) continue;
    if (!(fabs(x - y) <= tolerance * (fabs(y) + 1)))
      fail_msg("%s of %s: element %zu of %zu is %.9g, expected %.9g", kernel, set->name, i,
               out->count, x, y);
  }
}

static void assert_same_sums(const double *actual, const double *expected, int count,
                             const mk_kernels *set, const char *kernel)
{
  for (int i = 0; i < count; ++i) {
    if (!(fabs(actual[i] - expected[i]) <= 1e-5 * (fabs(expected[i]) + 1)))
      fail_msg("%s of %s: sum %d is %.9g, expected %.9g", kernel, set->name, i, actual[i],
               expected[i]);
  }
}

static mk_activation any_activation(trial *t)
{
  return (mk_activation)any(t, MK_ACT_NONE, MK_ACT_RELU6);
}

/* A range in 0 .. count - 1, often all of it. */
static void any_range(trial *t, size_t count, size_t *begin, size_t *end)
{
  *begin = coin(t) ? 0 : (size_t)any(t, 0, (int)count);
  *end = coin(t) ? count : (size_t)any(t, (int)*begin, (int)count);
}

/* ---- Dense convolution ----------------------------------------------------------------------- */

enum { MAX_TAPS = 25 };

static mk_gather any_gather(trial *t, int *offsets)
{
  mk_gather g = {.batch = any(t, 1, 3),
                 .src_height = any(t, 1, 9),
                 .src_width = any(t, 1, 9),
                 .src_channels = any_channels(t),
                 .grid_height = any(t, 1, 8),
                 .grid_width = any(t, 1, 8),
                 .step = any(t, 1, 3),
                 .taps = any(t, 1, 9)};
  g.depth = g.src_channels;
  if (any(t, 0, 3) == 0) { /* several pixels of a padded source at once: all of them inside */
    int pixels = any(t, 1, 5);
    g.src_channels = any(t, 1, 4);
    g.depth = pixels * g.src_channels;
    g.src_height = (g.grid_height - 1) * g.step + g.taps;
    g.src_width = (g.grid_width - 1) * g.step + pixels;
    for (int k = 0; k < g.taps; ++k) {
      offsets[k] = k;
      offsets[MAX_TAPS + k] = 0;
    }
  } else {
    for (int k = 0; k < g.taps; ++k) {
      offsets[k] = any(t, -3, 3);
      offsets[MAX_TAPS + k] = any(t, -3, 3);
    }
  }
  g.dy = offsets;
  g.dx = offsets + MAX_TAPS;
  g.src = input(t, (size_t)g.batch * (size_t)(g.src_height * g.src_width) * (size_t)g.src_channels);
  float *zeros = input(t, (size_t)g.depth);
  memset(zeros, 0, (size_t)g.depth * sizeof(float));
  g.zeros = zeros;
  return g;
}

/* weights [rows][channels] as [panel][rows][panel width]. */
static const float *pack(trial *t, const float *weights, size_t rows, int channels,
                         const mk_kernels *set)
{
  int panels = mk_panel_count(set, channels), last = panels - 1;
  int columns = last * set->panel + mk_panel_width(set, channels, last);
  float *packed = input(t, rows * (size_t)columns), *next = packed;
  for (int p = 0; p < panels; ++p) {
    int first = p * set->panel, end = first + mk_panel_width(set, channels, p);
    for (size_t r = 0; r < rows; ++r) {
      for (int c = first; c < end; ++c)
        *next++ = c < channels ? weights[r * (size_t)channels + (size_t)c] : 0;
    }
  }
  return packed;
}

/* Makes `op` a 1x1 convolution, in which pixels are the rows of matrices. */
static mk_gather_gemm any_matrix(trial *t, mk_gather_gemm *op)
{
  static const int zero = 0;
  mk_gather *g = &op->gather;
  g->batch = any(t, 1, 3);
  g->src_height = g->grid_height = op->dst_height = any(t, 1, 12);
  g->src_width = g->grid_width = op->dst_width = any(t, 1, 12);
  g->step = g->taps = op->dst_step = 1;
  g->depth = g->src_channels;
  g->dy = g->dx = &zero;
  g->src = input(t, (size_t)(g->batch * g->src_height * g->src_width * g->src_channels));
  op->activation = any_activation(t);
  if (coin(t)) op->bias = input(t, (size_t)op->channels);
  return *op;
}

static mk_gather_gemm any_gemm(trial *t, int *offsets, int channels)
{
  mk_gather_gemm op = {.gather = any_gather(t, offsets), .channels = channels};
  mk_gather *g = &op.gather;
  if (any(t, 0, 7) == 0) g->taps = 0;
  if (any(t, 0, 4) == 0) return any_matrix(t, &op);
  op.dst_step = any(t, 1, 3);
  op.dst_y = any(t, 0, op.dst_step - 1);
  op.dst_x = any(t, 0, op.dst_step - 1);
  op.dst_height = (g->grid_height - 1) * op.dst_step + op.dst_y + any(t, 1, 3);
  op.dst_width = (g->grid_width - 1) * op.dst_step + op.dst_x + any(t, 1, 3);
  op.accumulate = coin(t);
  if (!op.accumulate) {
    op.activation = any_activation(t);
    if (coin(t)) op.bias = input(t, (size_t)op.channels);
  }
  return op;
}

static output gemm_output(trial *t, const mk_gather_gemm *op)
{
  size_t pixels = (size_t)(op->gather.batch * op->dst_height * op->dst_width);
  return make_output(t, pixels * (size_t)op->channels, !op->accumulate);
}

static void try_gather_gemm(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  int offsets[2 * MAX_TAPS];
  mk_gather_gemm op = any_gemm(t, offsets, any_channels(t));
  const mk_gather *g = &op.gather;
  size_t depth = (size_t)(g->taps * g->depth);
  const float *weights = input(t, depth * (size_t)op.channels);
  const float *plain = pack(t, weights, depth, op.channels, reference);
  const float *packed = pack(t, weights, depth, op.channels, set);
  output out = gemm_output(t, &op);
  if (!op.accumulate && coin(t)) op.addend = input(t, out.count);

  size_t rows = (size_t)(g->batch * g->grid_height * g->grid_width), begin, end, first, last;
  any_range(t, rows, &begin, &end);
  size_t panels = (size_t)mk_panel_count(set, op.channels);
  any_range(t, panels, &first, &last);
  op.packed = packed;
  op.dst = out.actual;
  set->gather_gemm(&op, begin, end, (int)first, (int)last);
  int first_channel = (int)first * set->panel, last_channel = (int)last * set->panel;
  if (last == panels && first < last) last_channel = op.channels;
  op.packed = plain;
  op.dst = out.expected;
  assert_int_equal(reference->panel, 1);
  if (first_channel < last_channel)
    reference->gather_gemm(&op, begin, end, first_channel, last_channel);
  assert_same(&out, set, "gather_gemm", (double)depth);
}

static void try_gather_dot(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  int offsets[2 * MAX_TAPS];
  mk_gather_gemm op = any_gemm(t, offsets, any(t, 1, MK_FEW_CHANNELS));
  const mk_gather *g = &op.gather;
  size_t depth = (size_t)(g->taps * g->depth);
  op.packed = input(t, depth * (size_t)op.channels);
  output out = gemm_output(t, &op);
  size_t begin, end;
  any_range(t, (size_t)(g->batch * g->grid_height * g->grid_width), &begin, &end);
  op.dst = out.actual;
  set->gather_dot(&op, begin, end);
  op.dst = out.expected;
  reference->gather_dot(&op, begin, end);
  assert_same(&out, set, "gather_dot", (double)depth);
}

static void try_gather_wgrad(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  int offsets[2 * MAX_TAPS];
  mk_gather_wgrad op = {.gather = any_gather(t, offsets), .channels = any_channels(t)};
  const mk_gather *g = &op.gather;
  size_t grid = (size_t)(g->batch * g->grid_height * g->grid_width), begin, end;
  op.diff_dst = input(t, grid * (size_t)op.channels);
  output out = make_output(t, (size_t)(g->taps * g->depth) * (size_t)op.channels, false);
  size_t tap_begin, tap_end;
  any_range(t, (size_t)g->batch, &begin, &end);
  any_range(t, (size_t)g->taps, &tap_begin, &tap_end);
  set->gather_wgrad(&op, out.actual, (int)tap_begin, (int)tap_end, (int)begin, (int)end);
  reference->gather_wgrad(&op, out.expected, (int)tap_begin, (int)tap_end, (int)begin, (int)end);
  assert_same(&out, set, "gather_wgrad", (double)grid);
}

/* Long lines: more rows than one block of the kernel holds. */
static void try_long_wgrad(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  int offsets[2] = {0, any(t, -2, 2)};
  mk_gather_wgrad op = {.gather = {.batch = 2,
                                   .src_height = 3,
                                   .src_width = any(t, 250, 400),
                                   .src_channels = any_channels(t),
                                   .grid_height = 3,
                                   .step = any(t, 1, 2),
                                   .taps = 1,
                                   .dy = offsets,
                                   .dx = offsets + 1},
                        .channels = any_channels(t)};
  mk_gather *g = &op.gather;
  g->depth = g->src_channels;
  g->grid_width = g->src_width / g->step;
  g->src = input(t, (size_t)(2 * 3 * g->src_width * g->src_channels));
  float *zeros = input(t, (size_t)g->depth);
  memset(zeros, 0, (size_t)g->depth * sizeof(float));
  g->zeros = zeros;
  op.diff_dst = input(t, (size_t)(2 * 3 * g->grid_width * op.channels));
  output out = make_output(t, (size_t)(g->depth * op.channels), false);
  set->gather_wgrad(&op, out.actual, 0, 1, 0, 2);
  reference->gather_wgrad(&op, out.expected, 0, 1, 0, 2);
  assert_same(&out, set, "gather_wgrad", 6.0 * g->grid_width);
}

/* ---- Convolution by Winograd ----------------------------------------------------------------- */

/* The convolution's definition, in fp64. Weights [3][3][src_channels][channels]. */
static double convolved(const mk_winograd *op, const float *weights, int n, int y, int x, int c)
{
  double sum = 0;
  for (int k = 0; k < 9; ++k) {
    int sy = y - op->pad_top + k / 3, sx = x - op->pad_left + k % 3;
    if (sy < 0 || sy >= op->src_height || sx < 0 || sx >= op->src_width) continue;
    const float *src = op->src + (size_t)((n * op->src_height + sy) * op->src_width + sx) *
                                     (size_t)op->src_channels;
    const float *w = weights + (size_t)(k * op->src_channels) * (size_t)op->channels + (size_t)c;
    for (int d = 0; d < op->src_channels; ++d)
      sum += (double)src[d] * (double)w[(size_t)d * (size_t)op->channels];
  }
  return sum;
}

static double activated(double x, mk_activation activation)
{
  if (activation != MK_ACT_NONE && x < 0) return 0;
  return activation == MK_ACT_RELU6 && x > 6 ? 6 : x;
}

/* The weights whose backward-data `weights` are: turned, and channels exchanged. */
static const float *turn(trial *t, const float *weights, int sources, int channels)
{
  float *turned = input(t, (size_t)(9 * sources * channels));
  for (int k = 0; k < 9; ++k) {
    for (int d = 0; d < sources; ++d) {
      for (int c = 0; c < channels; ++c)
        turned[((8 - k) * channels + c) * sources + d] = weights[(k * sources + d) * channels + c];
    }
  }
  return turned;
}

static const float *pack_winograd(trial *t, const mk_kernels *set, const mk_winograd *op,
                                  const float *weights, bool transposed)
{
  int panels = (op->channels + set->panel - 1) / set->panel;
  size_t points = (size_t)((op->tile + 2) * (op->tile + 2));
  size_t count = points * (size_t)(op->src_channels * panels * set->panel);
  float *packed = guarded(t, count);
  mk_winograd_weights w = {op->tile, weights, op->src_channels, op->channels, transposed};
  if (transposed) w.weights = turn(t, weights, op->src_channels, op->channels);
  set->winograd_pack(&w, packed);
  if (!guards_hold(packed, count)) fail_msg("winograd_pack of %s writes outside", set->name);
  return packed;
}

/* Runs one part between guards. */
static void run_winograd(trial *t, const mk_kernels *set, const mk_winograd *op, size_t tile_begin,
                         size_t tile_end, int panel_begin, int panel_end)
{
  int tiles = (int)(tile_end - tile_begin), width = (panel_end - panel_begin) * set->panel;
  size_t size = (size_t)((op->tile + 2) * (op->tile + 2)) *
                (mk_winograd_plane(tiles, op->src_channels) + mk_winograd_plane(tiles, width));
  float *scratch = guarded(t, size);
  for (size_t i = 0; i < size; ++i) scratch[i] = NAN;
  set->winograd(op, scratch, tile_begin, tile_end, panel_begin, panel_end);
  if (!guards_hold(scratch, size)) fail_msg("winograd of %s leaves its scratch memory", set->name);
}

static mk_winograd any_winograd(trial *t)
{
  static const int sources[] = {16, 17, 23, 24, 31, 32, 33, 40, 64};
  mk_winograd op = {.tile = coin(t) ? 2 : 4,
                    .batch = any(t, 1, 3),
                    .src_height = any(t, 1, 11),
                    .src_width = any(t, 1, 11),
                    .src_channels = sources[any(t, 0, 8)],
                    .pad_top = any(t, -1, 3),
                    .pad_left = any(t, -1, 3),
                    .dst_height = any(t, 1, 11),
                    .dst_width = any(t, 1, 11),
                    .channels = any_channels(t)};
  int widest = op.src_channels > op.channels ? op.src_channels : op.channels;
  float *zeros = input(t, (size_t)widest);
  memset(zeros, 0, (size_t)widest * sizeof(float));
  op.zeros = zeros;
  op.src = input(t, (size_t)(op.batch * op.src_height * op.src_width * op.src_channels));
  return op;
}

static void try_winograd(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  (void)reference;
  mk_winograd op = any_winograd(t);
  op.activation = any_activation(t);
  op.accumulate = coin(t);
  if (op.accumulate) op.activation = MK_ACT_NONE;
  if (!op.accumulate && coin(t)) op.bias = input(t, (size_t)op.channels);
  const float *weights = input(t, (size_t)(9 * op.src_channels * op.channels));
  op.packed = pack_winograd(t, set, &op, weights, coin(t));

  int down = (op.dst_height + op.tile - 1) / op.tile,
      across = (op.dst_width + op.tile - 1) / op.tile;
  int panels = (op.channels + set->panel - 1) / set->panel;
  size_t begin, end, first, last;
  any_range(t, (size_t)(op.batch * down * across), &begin, &end);
  any_range(t, (size_t)panels, &first, &last);
  output out = make_output(t, (size_t)(op.batch * op.dst_height * op.dst_width * op.channels),
                           !op.accumulate);
  op.dst = out.actual;
  run_winograd(t, set, &op, begin, end, (int)first, (int)last);
  for (size_t i = 0; i < out.count; ++i) {
    int c = (int)(i % (size_t)op.channels), pixel = (int)(i / (size_t)op.channels);
    int x = pixel % op.dst_width, y = pixel / op.dst_width % op.dst_height;
    int n = pixel / op.dst_width / op.dst_height;
    size_t tile = (size_t)((n * down + y / op.tile) * across + x / op.tile);
    size_t panel = (size_t)(c / set->panel);
    if (tile < begin || tile >= end || panel < first || panel >= last) continue;
    double sum = convolved(&op, weights, n, y, x, c);
    if (op.accumulate)
      sum += (double)out.expected[i];
    else
      sum = activated(sum + (op.bias ? (double)op.bias[c] : 0), op.activation);
    out.expected[i] = (float)sum;
  }
  assert_same(&out, set, "winograd", 9.0 * op.src_channels);
}

/* One gradient of a weight over some images, in fp64. */
static double weight_gradient(const mk_winograd *op, const float *diff_dst, int k, int d, int c,
                              int image_begin, int image_end)
{
  double sum = 0;
  for (int n = image_begin; n < image_end; ++n) {
    for (int i = 0; i < op->dst_height * op->dst_width; ++i) {
      int sy = i / op->dst_width - op->pad_top + k / 3;
      int sx = i % op->dst_width - op->pad_left + k % 3;
      if (sy < 0 || sy >= op->src_height || sx < 0 || sx >= op->src_width) continue;
      int src = (n * op->src_height + sy) * op->src_width + sx;
      int dst = n * op->dst_height * op->dst_width + i;
      sum += (double)op->src[src * op->src_channels + d] * (double)diff_dst[dst * op->channels + c];
    }
  }
  return sum;
}

static void try_winograd_wgrad(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  (void)reference;
  mk_winograd op = any_winograd(t);
  op.tile = 4;
  int pixels = op.dst_height * op.dst_width, panels = (op.channels + set->panel - 1) / set->panel;
  const float *diff_dst = input(t, (size_t)(op.batch * pixels * op.channels));
  size_t begin, end, first, last;
  any_range(t, (size_t)op.batch, &begin, &end);
  any_range(t, (size_t)panels, &first, &last);
  int block = any(t, 1, 30), width = (int)(last - first) * set->panel;
  size_t size = 36 * (mk_winograd_plane(block, op.src_channels) + mk_winograd_plane(block, width) +
                      mk_winograd_plane(op.src_channels, width));
  float *scratch = guarded(t, size);
  for (size_t i = 0; i < size; ++i) scratch[i] = NAN;
  output out = make_output(t, (size_t)(9 * op.src_channels * op.channels), true);
  set->winograd_wgrad(&op, diff_dst, out.actual, scratch, block, (int)begin, (int)end, (int)first,
                      (int)last);
  if (!guards_hold(scratch, size)) fail_msg("winograd_wgrad of %s leaves its scratch", set->name);
  for (size_t i = 0; i < out.count; ++i) {
    int c = (int)(i % (size_t)op.channels), d = (int)(i / (size_t)op.channels) % op.src_channels;
    size_t panel = (size_t)(c / set->panel);
    if (panel < first || panel >= last) continue;
    int k = (int)(i / (size_t)(op.src_channels * op.channels));
    out.expected[i] = (float)weight_gradient(&op, diff_dst, k, d, c, (int)begin, (int)end);
  }
  assert_same(&out, set, "winograd_wgrad", (double)(op.batch * pixels));
}

/* ---- Windows --------------------------------------------------------------------------------- */

static mk_window any_window(trial *t, bool padded)
{
  mk_window w = {.batch = any(t, 1, 3), .channels = any_channels(t)};
  w.kernel = any(t, 1, 5);
  w.stride = any(t, 1, 3);
  if (padded) {
    w.pad_top = any(t, 0, w.kernel - 1);
    w.pad_left = any(t, 0, w.kernel - 1);
    w.src_height = any(t, 1, 10);
    w.src_width = any(t, 1, 10);
    /* As with "same": the padding at the far sides is whatever is left. */
    w.dst_height = (w.src_height + w.stride - 1) / w.stride;
    w.dst_width = (w.src_width + w.stride - 1) / w.stride;
  } else {
    w.src_height = any(t, w.kernel, 10);
    w.src_width = any(t, w.kernel, 10);
    w.dst_height = (w.src_height - w.kernel) / w.stride + 1;
    w.dst_width = (w.src_width - w.kernel) / w.stride + 1;
  }
  return w;
}

static size_t src_count(const mk_window *w)
{
  return (size_t)(w->batch * w->src_height * w->src_width) * (size_t)w->channels;
}

static size_t dst_count(const mk_window *w)
{
  return (size_t)(w->batch * w->dst_height * w->dst_width) * (size_t)w->channels;
}

static size_t window_weights(const mk_window *w)
{
  return (size_t)(w->kernel * w->kernel) * (size_t)w->channels;
}

/* Some channels of a wider layer, from a source that has just the lines that are needed. */
static void try_depthwise(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  mk_window w = any_window(t, true);
  if (coin(t)) { /* shapes with a tile of their own */
    w.kernel = coin(t) ? 3 : 5;
    w.stride = any(t, 1, 2);
    w.src_width = any(t, 1, 40);
    w.dst_width = (w.src_width + w.stride - 1) / w.stride;
    w.dst_height = (w.src_height + w.stride - 1) / w.stride;
  }
  w.batch = 1;
  int all = w.channels + any(t, 0, 20), skipped = any(t, 0, all - w.channels);
  int src_pixel = w.channels + any(t, 0, 5);
  size_t begin, end;
  any_range(t, (size_t)w.dst_height, &begin, &end);
  int top = (int)begin * w.stride - w.pad_top, bottom = ((int)end - 1) * w.stride - w.pad_top;
  top = top < 0 ? 0 : top < w.src_height ? top : w.src_height;
  bottom += w.kernel;
  bottom = bottom < top ? top : bottom < w.src_height ? bottom : w.src_height;
  size_t pixels = (size_t)((bottom - top) * w.src_width), size = pixels * (size_t)src_pixel;
  size_t weights = (size_t)(w.kernel * w.kernel * all);
  /* Nothing behind the last channel of the last pixel may be read. */
  mk_depthwise op = {.window = w,
                     .src = input(t, size ? size - (size_t)(src_pixel - w.channels) : 0),
                     .src_top = top,
                     .src_pixel = src_pixel,
                     .dst_pixel = all,
                     .weights = input(t, weights - (size_t)(all - skipped - w.channels)) + skipped,
                     .bias = coin(t) ? input(t, (size_t)w.channels) : NULL,
                     .activation = any_activation(t)};
  output out = make_output(t, (size_t)(w.dst_height * w.dst_width * all), true);
  op.dst = out.actual + skipped;
  set->depthwise(&op, (int)begin, (int)end);
  op.dst = out.expected + skipped;
  reference->depthwise(&op, (int)begin, (int)end);
  assert_same(&out, set, "depthwise", 25);
}

static void try_depthwise_backward(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  mk_window w = any_window(t, true);
  const float *src = input(t, src_count(&w)), *weights = input(t, window_weights(&w));
  const float *diff = input(t, dst_count(&w));
  output data = make_output(t, src_count(&w), false);
  size_t begin, end;
  any_range(t, (size_t)(w.batch * w.src_height), &begin, &end);
  set->depthwise_backward_data(&w, data.actual, diff, weights, begin, end);
  reference->depthwise_backward_data(&w, data.expected, diff, weights, begin, end);
  assert_same(&data, set, "depthwise_backward_data", 25);

  output sum = make_output(t, window_weights(&w), false);
  any_range(t, (size_t)w.batch, &begin, &end);
  set->depthwise_backward_weights(&w, sum.actual, src, diff, (int)begin, (int)end);
  reference->depthwise_backward_weights(&w, sum.expected, src, diff, (int)begin, (int)end);
  assert_same(&sum, set, "depthwise_backward_weights", (double)dst_count(&w));
}

static void try_max_pool(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  mk_window w = any_window(t, false);
  float *src = input(t, src_count(&w));
  if (coin(t)) { /* equal maxima: the first one counts */
    for (size_t i = 0; i < src_count(&w); ++i) src[i] = rintf(src[i]);
  }
  output out = make_output(t, dst_count(&w), true);
  size_t begin, end;
  any_range(t, (size_t)(w.batch * w.dst_height), &begin, &end);
  set->max_pool(&w, out.actual, src, begin, end);
  reference->max_pool(&w, out.expected, src, begin, end);
  assert_same(&out, set, "max_pool", 0);

  reference->max_pool(&w, out.expected, src, 0, (size_t)(w.batch * w.dst_height));
  const float *diff = input(t, dst_count(&w));
  output data = make_output(t, src_count(&w), false);
  any_range(t, (size_t)w.batch, &begin, &end);
  set->max_pool_backward(&w, data.actual, diff, out.expected, src, (int)begin, (int)end);
  reference->max_pool_backward(&w, data.expected, diff, out.expected, src, (int)begin, (int)end);
  assert_same(&data, set, "max_pool_backward", 25);
}

/* ---- Element by element ---------------------------------------------------------------------- */

static void try_elements(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  size_t count = (size_t)any(t, 0, coin(t) ? 40 : 3000);
  float *a = input(t, count), *b = input(t, count);
  mk_activation activation = any_activation(t);
  bool guided = coin(t);
  if (coin(t)) {
    for (size_t i = 0; i < count; ++i) a[i] = rintf(a[i] * 8); /* 0 and 6 among them */
  }
  output out = make_output(t, count, true);
  set->activate(out.actual, a, activation, count);
  reference->activate(out.expected, a, activation, count);
  assert_same(&out, set, "activate", 0);

  output diff = make_output(t, count, false);
  set->activation_backward(diff.actual, out.expected, activation, guided, count);
  reference->activation_backward(diff.expected, out.expected, activation, guided, count);
  assert_same(&diff, set, "activation_backward", 0);

  out = make_output(t, count, true);
  set->add(out.actual, a, b, count);
  reference->add(out.expected, a, b, count);
  assert_same(&out, set, "add", 0);
  set->accumulate(out.actual, b, 0.7f, count);
  reference->accumulate(out.expected, b, 0.7f, count);
  assert_same(&out, set, "accumulate", 1);

  out = make_output(t, count, true);
  set->combine(out.actual, a, 0.3f, b, -1.7f, count);
  reference->combine(out.expected, a, 0.3f, b, -1.7f, count);
  assert_same(&out, set, "combine", 2);

  double actual[4], expected[4];
  set->pair_sums(actual, a, b, count);
  reference->pair_sums(expected, a, b, count);
  assert_same_sums(actual, expected, 4, set, "pair_sums");
}

static void try_adam(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  size_t count = (size_t)any(t, 0, 300);
  const float *gradient = input(t, count);
  output weights = make_output(t, count, false), first = make_output(t, count, false);
  output second = make_output(t, count, false);
  for (size_t i = 0; i < count; ++i) second.expected[i] = second.actual[i] *= second.actual[i];
  mk_adam_step step = {.learning_rate = 1e-2,
                       .beta1 = 0.9,
                       .beta2 = 0.999,
                       .epsilon = 1e-8,
                       .correction1 = 0.19,
                       .correction2 = 0.002};
  set->adam(weights.actual, first.actual, second.actual, gradient, &step, count);
  reference->adam(weights.expected, first.expected, second.expected, gradient, &step, count);
  assert_same(&weights, set, "adam", 4);
  assert_same(&first, set, "adam (first moment)", 1);
  assert_same(&second, set, "adam (second moment)", 1);
}

/* ---- Per channel ----------------------------------------------------------------------------- */

static void try_channels(trial *t, const mk_kernels *reference, const mk_kernels *set)
{
  int channels = any_channels(t);
  size_t width = (size_t)channels, rows = (size_t)any(t, 0, 200), count = rows * width;
  const float *src = input(t, count), *mean = input(t, width), *diff = input(t, count);
  const float *b = input(t, width), *d = input(t, width);
  double actual[2][128], expected[2][128];
  for (int c = 0; c < channels; ++c)
    actual[0][c] = actual[1][c] = expected[0][c] = expected[1][c] = c;
  set->channel_sums(actual[0], src, channels, rows);
  reference->channel_sums(expected[0], src, channels, rows);
  assert_same_sums(actual[0], expected[0], channels, set, "channel_sums");
  set->channel_squares(actual[1], src, mean, channels, rows);
  reference->channel_squares(expected[1], src, mean, channels, rows);
  assert_same_sums(actual[1], expected[1], channels, set, "channel_squares");
  set->channel_backward_sums(actual[0], actual[1], diff, src, mean, channels, rows);
  reference->channel_backward_sums(expected[0], expected[1], diff, src, mean, channels, rows);
  assert_same_sums(actual[0], expected[0], channels, set, "channel_backward_sums");
  assert_same_sums(actual[1], expected[1], channels, set, "channel_backward_sums (products)");

  mk_activation activation = any_activation(t);
  output out = make_output(t, count, true);
  set->channel_affine(out.actual, src, mean, b, activation, channels, rows);
  reference->channel_affine(out.expected, src, mean, b, activation, channels, rows);
  assert_same(&out, set, "channel_affine", 1);

  bool accumulates = coin(t);
  out = make_output(t, count, !accumulates);
  set->channel_backward(out.actual, diff, src, mean, b, d, accumulates, channels, rows);
  reference->channel_backward(out.expected, diff, src, mean, b, d, accumulates, channels, rows);
  assert_same(&out, set, "channel_backward", 3);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void every_set_does_what_the_reference_does(void **state)
{
  (void)state;
  typedef void try(trial *, const mk_kernels *, const mk_kernels *);
  static try *const tries[] = {try_gather_gemm, try_gather_dot, try_gather_wgrad,
                               try_long_wgrad,  try_depthwise,  try_depthwise_backward,
                               try_max_pool,    try_elements,   try_adam,
                               try_channels,    try_winograd,   try_winograd_wgrad};
  const mk_kernels *sets[8];
  int count = mk_kernels_list(sets, 7);
  sets[count++] = &wide_kernels;
  assert_string_equal(sets[0]->name, "reference");
  for (int s = 1; s < count; ++s) {
    int cases = 0;
    for (size_t k = 0; k < sizeof tries / sizeof *tries; ++k) {
      /* Convolutions have the most cases within. */
      bool many = tries[k] == try_gather_gemm || tries[k] == try_winograd;
      int rounds = many ? 6 * ROUNDS : ROUNDS;
      for (int round = 0; round < rounds; ++round, ++cases) {
        trial t = {.rng = mk_rng_seed((uint64_t)round, k)};
        tries[k](&t, sets[0], sets[s]);
        free_trial(&t);
      }
    }
    print_message("%s: %d cases\n", sets[s]->name, cases);
  }
}

/* ---- Exactness ------------------------------------------------------------------------------- */

/* Numbers like those within VGG: half of the source is cut off at zero, weights keep its size. */
static float *normal(trial *t, size_t count, double deviation, bool cut)
{
  float *values = input(t, count);
  for (size_t i = 0; i < count; ++i) {
    double u = 1 - mk_rng_uniform(&t->rng), v = mk_rng_uniform(&t->rng);
    double x = deviation * sqrt(-2 * log(u)) * cos(2 * acos(-1) * v);
    values[i] = (float)(cut && x < 0 ? 0 : x);
  }
  return values;
}

/* Largest error of any element, over the largest element. */
static double largest_error(const mk_winograd *op, const float *weights)
{
  double error = 0, scale = 0;
  for (int i = 0; i < op->dst_height * op->dst_width; ++i) {
    for (int c = 0; c < op->channels; ++c) {
      double exact = convolved(op, weights, 0, i / op->dst_width, i % op->dst_width, c);
      error = fmax(error, fabs(exact - (double)op->dst[i * op->channels + c]));
      scale = fmax(scale, fabs(exact));
    }
  }
  return error / scale;
}

/* Of direct convolution, and of tiles of 2x2 and 4x4. */
static void errors_on_vgg(const mk_kernels *set, int sources, double errors[3])
{
  enum { SIDE = 14, CHANNELS = 32 };
  trial t = {.rng = mk_rng_seed((uint64_t)sources, 77)};
  mk_winograd op = {.batch = 1,
                    .src_height = SIDE,
                    .src_width = SIDE,
                    .src_channels = sources,
                    .pad_top = 1,
                    .pad_left = 1,
                    .dst_height = SIDE,
                    .dst_width = SIDE,
                    .channels = CHANNELS};
  op.src = normal(&t, (size_t)(SIDE * SIDE * sources), 1, true);
  const float *weights =
      normal(&t, (size_t)(9 * sources * CHANNELS), sqrt(2.0 / (9 * sources)), false);
  float *zeros = input(&t, (size_t)sources);
  memset(zeros, 0, (size_t)sources * sizeof(float));
  op.zeros = zeros;
  op.dst = input(&t, SIDE * SIDE * CHANNELS);
  int panels = mk_panel_count(set, CHANNELS);

  int dy[9], dx[9];
  for (int k = 0; k < 9; ++k) {
    dy[k] = k / 3 - 1;
    dx[k] = k % 3 - 1;
  }
  mk_gather_gemm direct = {
      .gather = {op.src, 1, SIDE, SIDE, sources, SIDE, SIDE, 1, 9, sources, dy, dx, zeros},
      .packed = pack(&t, weights, (size_t)(9 * sources), CHANNELS, set),
      .dst = op.dst,
      .dst_height = SIDE,
      .dst_width = SIDE,
      .channels = CHANNELS,
      .dst_step = 1};
  set->gather_gemm(&direct, 0, SIDE * SIDE, 0, panels);
  errors[0] = largest_error(&op, weights);
  for (int k = 1; k < 3; ++k) {
    op.tile = 2 * k;
    op.packed = pack_winograd(&t, set, &op, weights, false);
    size_t side = (size_t)((SIDE + op.tile - 1) / op.tile);
    run_winograd(&t, set, &op, 0, side * side, 0, panels);
    errors[k] = largest_error(&op, weights);
  }
  free_trial(&t);
}

/* Bounds relative to the largest element; Winograd may cost little against direct convolution. */
static void convolutions_are_as_exact_as_promised(void **state)
{
  (void)state;
  static const double bounds[3] = {4e-6, 4e-6, 5e-6};
  const mk_kernels *sets[8];
  int count = mk_kernels_list(sets, 7);
  sets[count++] = &wide_kernels;
  for (int s = 1; s < count; ++s) {
    for (int sources = 16; sources <= 512; sources *= 2) {
      double errors[3];
      errors_on_vgg(sets[s], sources, errors);
      print_message("%s, %d channels: direct %.1e, 2x2 %.1e, 4x4 %.1e\n", sets[s]->name, sources,
                    errors[0], errors[1], errors[2]);
      for (int k = 0; k < 3; ++k) assert_true(errors[k] <= bounds[k]);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_set_does_what_the_reference_does),
      cmocka_unit_test(convolutions_are_as_exact_as_promised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
