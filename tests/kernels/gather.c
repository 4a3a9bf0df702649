/* Dense convolution: gather_gemm, gather_dot. */
#include "check.h"

mk_gather any_gather(trial *t, taps *at)
{
  mk_gather g = {.batch = any(t, 1, 3),
                 .src_height = any(t, 1, 9),
                 .src_width = any(t, 1, 9),
                 .src_channels = any_channels(t),
                 .grid_height = any(t, 1, 8),
                 .grid_width = any(t, 1, 8),
                 .step = any(t, 1, 3),
                 .taps = any(t, 1, 9),
                 .dy = at->dy,
                 .dx = at->dx};
  g.depth = g.src_channels;
  if (any(t, 0, 3) == 0) { /* several pixels of a padded source at once: all of them inside */
    int pixels = any(t, 1, 5);
    g.src_channels = any(t, 1, 4);
    g.depth = pixels * g.src_channels;
    g.src_height = (g.grid_height - 1) * g.step + g.taps;
    g.src_width = (g.grid_width - 1) * g.step + pixels;
    for (int k = 0; k < g.taps; ++k) {
      at->dy[k] = k;
      at->dx[k] = 0;
    }
  } else {
    for (int k = 0; k < g.taps; ++k) {
      at->dy[k] = any(t, -3, 3);
      at->dx[k] = any(t, -3, 3);
    }
  }
  g.src = input(t, (size_t)g.batch * (size_t)(g.src_height * g.src_width) * (size_t)g.src_channels);
  g.zeros = zeros(t, (size_t)g.depth);
  return g;
}

mk_gather square_gather(trial *t, taps *at, int side, int channels)
{
  for (int k = 0; k < 9; ++k) {
    at->dy[k] = k / 3 - 1;
    at->dx[k] = k % 3 - 1;
  }
  return (mk_gather){.batch = 1,
                     .src_height = side,
                     .src_width = side,
                     .src_channels = channels,
                     .grid_height = side,
                     .grid_width = side,
                     .step = 1,
                     .taps = 9,
                     .depth = channels,
                     .dy = at->dy,
                     .dx = at->dx,
                     .zeros = zeros(t, (size_t)channels)};
}

double gathered(const mk_gather *g, int n, int i, int j, int tap, int d)
{
  int y = i * g->step + g->dy[tap], x = j * g->step + g->dx[tap];
  if (y < 0 || y >= g->src_height || x < 0 || x >= g->src_width) return 0;
  return (double)g->src[((n * g->src_height + y) * g->src_width + x) * g->src_channels + d];
}

const float *pack(trial *t, const mk_kernels *set, const float *weights, size_t rows, int channels)
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

/* Makes `op` a 1x1 convolution, in which pixels are the rows of matrices; or what just looks like
 * one, as the source is shifted. */
static void make_matrix(trial *t, mk_gather_gemm *op, taps *at)
{
  mk_gather *g = &op->gather;
  g->batch = any(t, 1, 3);
  g->src_height = g->grid_height = op->dst_height = any(t, 1, 12);
  g->src_width = g->grid_width = op->dst_width = any(t, 1, 12);
  g->step = g->taps = op->dst_step = 1;
  g->depth = g->src_channels;
  bool is_shifted = any(t, 0, 3) == 0;
  at->dy[0] = is_shifted ? any(t, -1, 1) : 0;
  at->dx[0] = is_shifted ? any(t, -1, 1) : 0;
  g->src = input(t, (size_t)(g->batch * g->src_height * g->src_width * g->src_channels));
}

/* Without weights and dst. */
static mk_gather_gemm any_gemm(trial *t, taps *at, int channels)
{
  mk_gather_gemm op = {.gather = any_gather(t, at), .channels = channels};
  mk_gather *g = &op.gather;
  if (any(t, 0, 7) == 0) g->taps = 0;
  if (any(t, 0, 4) == 0) {
    make_matrix(t, &op, at);
  } else {
    op.dst_step = any(t, 1, 3);
    op.dst_y = any(t, 0, op.dst_step - 1);
    op.dst_x = any(t, 0, op.dst_step - 1);
    op.dst_height = (g->grid_height - 1) * op.dst_step + op.dst_y + any(t, 1, 3);
    op.dst_width = (g->grid_width - 1) * op.dst_step + op.dst_x + any(t, 1, 3);
  }
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

static size_t grid_rows(const mk_gather *g)
{
  return (size_t)(g->batch * g->grid_height * g->grid_width);
}

/* The reference, which all else is compared with, must itself be right: one element of it, of the
 * given rows and channels, against the definition in fp64. Weight k of channel c is
 * weights[k * row_stride + c * channel_stride]. */
static void compare_definition(trial *t, const mk_gather_gemm *op, const output *out,
                               const float *weights, size_t row_stride, size_t channel_stride,
                               span rows, span channels)
{
  const mk_gather *g = &op->gather;
  if (rows.begin == rows.end || channels.begin == channels.end) return;
  int row = any(t, (int)rows.begin, (int)rows.end - 1), line = row / g->grid_width;
  int c = any(t, (int)channels.begin, (int)channels.end - 1);
  int n = line / g->grid_height, i = line % g->grid_height, j = row % g->grid_width;
  int y = i * op->dst_step + op->dst_y, x = j * op->dst_step + op->dst_x;
  int at = ((n * op->dst_height + y) * op->dst_width + x) * op->channels + c;
  double sum = op->accumulate ? (double)out->before[at] : 0;
  for (int k = 0; k < g->taps * g->depth; ++k)
    sum += gathered(g, n, i, j, k / g->depth, k % g->depth) *
           (double)weights[(size_t)k * row_stride + (size_t)c * channel_stride];
  if (op->bias) sum += (double)op->bias[c];
  if (op->addend) sum += (double)op->addend[at];
  sum = activated(sum, op->activation);
  compare_exact(t, "an element of the reference", (double)out->expected[at], sum,
                (double)(g->taps * g->depth));
}

static span channels_of(const mk_kernels *set, span panels, int channels)
{
  bool to_the_last = panels.end == (size_t)mk_panel_count(set, channels);
  span s = {panels.begin * (size_t)set->panel, 0,
            to_the_last ? (size_t)channels : panels.end * (size_t)set->panel};
  if (panels.begin == panels.end) s.end = s.begin;
  return s;
}

static void check_gather_gemm(trial *t)
{
  taps at;
  mk_gather_gemm op = any_gemm(t, &at, any_channels(t));
  const mk_gather *g = &op.gather;
  size_t depth = (size_t)(g->taps * g->depth);
  const float *weights = input(t, depth * (size_t)op.channels);
  output out = gemm_output(t, &op);
  if (!op.accumulate && coin(t)) op.addend = input(t, out.count);
  span rows = any_span(t, grid_rows(g));
  span panels = any_span(t, (size_t)mk_panel_count(t->set, op.channels));

  op.packed = pack(t, t->set, weights, depth, op.channels);
  op.dst = out.actual;
  t->set->gather_gemm(&op, rows.begin, rows.end, (int)panels.begin, (int)panels.end);
  op.dst = out.parts;
  t->set->gather_gemm(&op, rows.begin, rows.middle, (int)panels.begin, (int)panels.end);
  t->set->gather_gemm(&op, rows.middle, rows.end, (int)panels.begin, (int)panels.middle);
  t->set->gather_gemm(&op, rows.middle, rows.end, (int)panels.middle, (int)panels.end);
  span channels = channels_of(t->set, panels, op.channels);
  op.packed = pack(t, t->reference, weights, depth, op.channels);
  op.dst = out.expected;
  t->reference->gather_gemm(&op, rows.begin, rows.end, (int)channels.begin, (int)channels.end);
  compare(t, &out, (double)depth);
  compare_parts(t, &out);
  compare_definition(t, &op, &out, weights, (size_t)op.channels, 1, rows, channels);
}

static void time_gather_gemm(trial *t)
{
  enum { SIDE = 32, CHANNELS = 48, DEPTH = 9 * CHANNELS };
  taps at;
  mk_gather_gemm op = {.gather = square_gather(t, &at, SIDE, CHANNELS),
                       .dst = input(t, SIDE * SIDE * CHANNELS),
                       .dst_height = SIDE,
                       .dst_width = SIDE,
                       .channels = CHANNELS,
                       .dst_step = 1};
  op.gather.src = input(t, SIDE * SIDE * CHANNELS);
  op.packed = pack(t, t->set, input(t, DEPTH * CHANNELS), DEPTH, CHANNELS);
  TIME(t, t->set->gather_gemm(&op, 0, SIDE * SIDE, 0, mk_panel_count(t->set, CHANNELS)));
}

static void check_gather_dot(trial *t)
{
  taps at;
  mk_gather_gemm op = any_gemm(t, &at, any(t, 1, MK_FEW_CHANNELS));
  size_t depth = (size_t)(op.gather.taps * op.gather.depth);
  op.packed = input(t, depth * (size_t)op.channels);
  output out = gemm_output(t, &op);
  span rows = any_span(t, grid_rows(&op.gather)), channels = {0, 0, (size_t)op.channels};
  op.dst = out.actual;
  t->set->gather_dot(&op, rows.begin, rows.end);
  op.dst = out.parts;
  t->set->gather_dot(&op, rows.begin, rows.middle);
  t->set->gather_dot(&op, rows.middle, rows.end);
  op.dst = out.expected;
  t->reference->gather_dot(&op, rows.begin, rows.end);
  compare(t, &out, (double)depth);
  compare_parts(t, &out);
  compare_definition(t, &op, &out, op.packed, 1, depth, rows, channels);
}

static void time_gather_dot(trial *t)
{
  enum { SIDE = 32, SOURCES = 48, CHANNELS = 3 };
  taps at;
  mk_gather_gemm op = {.gather = square_gather(t, &at, SIDE, SOURCES),
                       .packed = input(t, 9 * SOURCES * CHANNELS),
                       .dst = input(t, SIDE * SIDE * CHANNELS),
                       .dst_height = SIDE,
                       .dst_width = SIDE,
                       .channels = CHANNELS,
                       .dst_step = 1};
  op.gather.src = input(t, SIDE * SIDE * SOURCES);
  TIME(t, t->set->gather_dot(&op, 0, SIDE * SIDE));
}

const kernel_check gather_checks[] = {
    KERNEL(gather_gemm, 360),
    KERNEL(gather_dot, 60),
    {0},
};
