/* Convolution by Winograd. The reference has none of it: the yardstick is the definition, in fp64.
 */
#include "check.h"

#include <math.h>

double convolved(const mk_winograd *op, const float *weights, int n, int y, int x, int c)
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

static int panel_count(const trial *t, int channels)
{
  return (channels + t->set->panel - 1) / t->set->panel;
}

static int points(int tile)
{
  return (tile + 2) * (tile + 2);
}

/* ---- Weights --------------------------------------------------------------------------------- */

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

const float *pack_winograd(trial *t, const mk_winograd *op, const float *weights, bool transposed)
{
  size_t width = (size_t)(panel_count(t, op->channels) * t->set->panel);
  size_t count = (size_t)(points(op->tile) * op->src_channels) * width;
  float *packed = guarded(t, count);
  mk_winograd_weights w = {op->tile, weights, op->src_channels, op->channels, transposed};
  if (transposed) w.weights = turn(t, weights, op->src_channels, op->channels);
  t->set->winograd_pack(&w, packed);
  if (!guards_hold(packed, count)) wrong(t, "winograd_pack writes outside");
  return packed;
}

/* At the point (0, 0) and at that of infinities, the kernel is its first and its last weight. */
static void check_winograd_pack(trial *t)
{
  mk_winograd op = {.tile = coin(t) ? 2 : 4,
                    .src_channels = any(t, MK_WINOGRAD_CHANNELS, 70),
                    .channels = any_channels(t)};
  size_t tap = (size_t)(op.src_channels * op.channels);
  const float *weights = input(t, 9 * tap), *packed = pack_winograd(t, &op, weights, coin(t));
  int panel = t->set->panel;
  size_t plane = (size_t)(panel_count(t, op.channels) * panel * op.src_channels);
  const float *last = packed + (size_t)(points(op.tile) - 1) * plane;
  /* The scale of point 0 is 1 over the product of the others, squared, for tiles of 4x4. */
  double scale = op.tile == 2 ? 1 : pow(0.625 * 1.5, -4);
  for (int d = 0; d < op.src_channels && !t->failed; ++d) {
    for (int c = 0; c < panel_count(t, op.channels) * panel; ++c) {
      size_t at = (size_t)((c / panel * op.src_channels + d) * panel + c % panel);
      size_t from = (size_t)(d * op.channels + c);
      bool there = c < op.channels;
      compare_exact(t, "the first point", (double)packed[at],
                    there ? scale * (double)weights[from] : 0, 0);
      compare_exact(t, "the last point", (double)last[at],
                    there ? (double)weights[8 * tap + from] : 0, 0);
    }
  }
}

static void time_winograd_pack(trial *t)
{
  enum { CHANNELS = 64 };
  mk_winograd_weights w = {4, input(t, 9 * CHANNELS * CHANNELS), CHANNELS, CHANNELS, false};
  float *packed = input(t, 36 * (size_t)(panel_count(t, CHANNELS) * t->set->panel) * CHANNELS);
  TIME(t, t->set->winograd_pack(&w, packed));
}

/* ---- Forward --------------------------------------------------------------------------------- */

void run_winograd(trial *t, const mk_winograd *op, size_t tile_begin, size_t tile_end,
                  int panel_begin, int panel_end)
{
  int tiles = (int)(tile_end - tile_begin), width = (panel_end - panel_begin) * t->set->panel;
  size_t size = (size_t)points(op->tile) *
                (mk_winograd_plane(tiles, op->src_channels) + mk_winograd_plane(tiles, width));
  float *scratch = guarded(t, size);
  for (size_t i = 0; i < size; ++i) scratch[i] = NAN;
  t->set->winograd(op, scratch, tile_begin, tile_end, panel_begin, panel_end);
  if (!guards_hold(scratch, size)) wrong(t, "leaves its scratch memory");
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
  op.zeros = zeros(t, (size_t)(op.src_channels > op.channels ? op.src_channels : op.channels));
  op.src = input(t, (size_t)(op.batch * op.src_height * op.src_width * op.src_channels));
  return op;
}

static void check_winograd(trial *t)
{
  mk_winograd op = any_winograd(t);
  op.accumulate = coin(t);
  if (!op.accumulate) {
    op.activation = any_activation(t);
    if (coin(t)) op.bias = input(t, (size_t)op.channels);
  }
  const float *weights = input(t, (size_t)(9 * op.src_channels * op.channels));
  op.packed = pack_winograd(t, &op, weights, coin(t));
  int down = (op.dst_height + op.tile - 1) / op.tile;
  int across = (op.dst_width + op.tile - 1) / op.tile;
  span tiles = any_span(t, (size_t)(op.batch * down * across));
  span panels = any_span(t, (size_t)panel_count(t, op.channels));
  output out = make_output(t, (size_t)(op.batch * op.dst_height * op.dst_width * op.channels),
                           !op.accumulate);
  op.dst = out.actual;
  run_winograd(t, &op, tiles.begin, tiles.end, (int)panels.begin, (int)panels.end);
  op.dst = out.parts;
  run_winograd(t, &op, tiles.begin, tiles.middle, (int)panels.begin, (int)panels.end);
  run_winograd(t, &op, tiles.middle, tiles.end, (int)panels.begin, (int)panels.middle);
  run_winograd(t, &op, tiles.middle, tiles.end, (int)panels.middle, (int)panels.end);

  for (size_t i = 0; i < out.count; ++i) {
    int c = (int)(i % (size_t)op.channels), pixel = (int)(i / (size_t)op.channels);
    int x = pixel % op.dst_width, y = pixel / op.dst_width % op.dst_height;
    int n = pixel / op.dst_width / op.dst_height;
    size_t tile = (size_t)((n * down + y / op.tile) * across + x / op.tile);
    size_t panel = (size_t)(c / t->set->panel);
    if (tile < tiles.begin || tile >= tiles.end) continue;
    if (panel < panels.begin || panel >= panels.end) continue;
    double sum = convolved(&op, weights, n, y, x, c);
    if (op.accumulate)
      sum += (double)out.before[i];
    else
      sum = activated(sum + (op.bias ? (double)op.bias[c] : 0), op.activation);
    out.expected[i] = (float)sum;
  }
  compare(t, &out, 9.0 * op.src_channels);
  compare_parts(t, &out);
}

enum { SIDE = 32, CHANNELS = 48 };

static mk_winograd timed_winograd(trial *t)
{
  return (mk_winograd){.tile = 4,
                       .src = input(t, SIDE * SIDE * CHANNELS),
                       .batch = 1,
                       .src_height = SIDE,
                       .src_width = SIDE,
                       .src_channels = CHANNELS,
                       .pad_top = 1,
                       .pad_left = 1,
                       .zeros = zeros(t, CHANNELS),
                       .dst = input(t, SIDE * SIDE * CHANNELS),
                       .dst_height = SIDE,
                       .dst_width = SIDE,
                       .channels = CHANNELS};
}

static void time_winograd(trial *t)
{
  enum { TILES = SIDE * SIDE / 16 };
  mk_winograd op = timed_winograd(t);
  int panels = panel_count(t, CHANNELS), width = panels * t->set->panel;
  op.packed = pack_winograd(t, &op, input(t, 9 * CHANNELS * CHANNELS), false);
  float *scratch =
      input(t, 36 * (mk_winograd_plane(TILES, CHANNELS) + mk_winograd_plane(TILES, width)));
  TIME(t, t->set->winograd(&op, scratch, 0, TILES, 0, panels));
}

/* ---- Gradient of the weights ----------------------------------------------------------------- */

/* One gradient of a weight over some images, in fp64. */
static double weight_gradient(const mk_winograd *op, const float *diff_dst, int k, int d, int c,
                              span images)
{
  double sum = 0;
  for (int n = (int)images.begin; n < (int)images.end; ++n) {
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

static size_t wgrad_scratch(const mk_winograd *op, int block, int width)
{
  return 36 * (mk_winograd_plane(block, op->src_channels) + mk_winograd_plane(block, width) +
               mk_winograd_plane(op->src_channels, width));
}

static void run_wgrad(trial *t, const mk_winograd *op, const float *diff_dst, float *diff_weights,
                      int block, span images, size_t panel_begin, size_t panel_end)
{
  size_t size = wgrad_scratch(op, block, (int)(panel_end - panel_begin) * t->set->panel);
  float *scratch = guarded(t, size);
  for (size_t i = 0; i < size; ++i) scratch[i] = NAN;
  t->set->winograd_wgrad(op, diff_dst, diff_weights, scratch, block, (int)images.begin,
                         (int)images.end, (int)panel_begin, (int)panel_end);
  if (!guards_hold(scratch, size)) wrong(t, "leaves its scratch memory");
}

static void check_winograd_wgrad(trial *t)
{
  mk_winograd op = any_winograd(t);
  op.tile = 4;
  int pixels = op.dst_height * op.dst_width, block = any(t, 1, 30);
  const float *diff_dst = input(t, (size_t)(op.batch * pixels * op.channels));
  span images = any_span(t, (size_t)op.batch);
  span panels = any_span(t, (size_t)panel_count(t, op.channels));
  output out = make_output(t, (size_t)(9 * op.src_channels * op.channels), true);
  run_wgrad(t, &op, diff_dst, out.actual, block, images, panels.begin, panels.end);
  run_wgrad(t, &op, diff_dst, out.parts, block, images, panels.begin, panels.middle);
  run_wgrad(t, &op, diff_dst, out.parts, block, images, panels.middle, panels.end);

  for (size_t i = 0; i < out.count; ++i) {
    int c = (int)(i % (size_t)op.channels), d = (int)(i / (size_t)op.channels) % op.src_channels;
    size_t panel = (size_t)(c / t->set->panel);
    if (panel < panels.begin || panel >= panels.end) continue;
    int k = (int)(i / (size_t)(op.src_channels * op.channels));
    out.expected[i] = (float)weight_gradient(&op, diff_dst, k, d, c, images);
  }
  compare(t, &out, (double)(op.batch * pixels));
  compare_parts(t, &out);
}

static void time_winograd_wgrad(trial *t)
{
  enum { BLOCK = 32 };
  mk_winograd op = timed_winograd(t);
  const float *diff_dst = input(t, SIDE * SIDE * CHANNELS);
  int panels = panel_count(t, CHANNELS);
  float *diff = input(t, 9 * CHANNELS * CHANNELS);
  float *scratch = input(t, wgrad_scratch(&op, BLOCK, panels * t->set->panel));
  TIME(t, t->set->winograd_wgrad(&op, diff_dst, diff, scratch, BLOCK, 0, 1, 0, panels));
}

const kernel_check winograd_checks[] = {
    KERNEL(winograd_pack, 60),
    KERNEL(winograd, 360),
    KERNEL(winograd_wgrad, 60),
    {0},
};
