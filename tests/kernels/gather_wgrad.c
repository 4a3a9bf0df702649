/* Dense convolution, gradient of the weights. */
#include "check.h"

/* Long lines: more rows than one block of the kernel holds. */
static mk_gather long_gather(trial *t, taps *at)
{
  mk_gather g = {.batch = 2,
                 .src_height = 3,
                 .src_width = any(t, 250, 400),
                 .src_channels = any_channels(t),
                 .grid_height = 3,
                 .step = any(t, 1, 2),
                 .taps = 1,
                 .dy = at->dy,
                 .dx = at->dx};
  at->dy[0] = 0;
  at->dx[0] = any(t, -2, 2);
  g.depth = g.src_channels;
  g.grid_width = g.src_width / g.step;
  g.src = input(t, (size_t)(g.batch * g.src_height * g.src_width * g.src_channels));
  g.zeros = zeros(t, (size_t)g.depth);
  return g;
}

/* As in gather.c, one element of the reference against the definition in fp64. */
static void compare_definition(trial *t, const mk_gather_wgrad *op, const output *out, span tap,
                               span images)
{
  const mk_gather *g = &op->gather;
  if (tap.begin == tap.end) return;
  int k = any(t, (int)tap.begin, (int)tap.end - 1), d = any(t, 0, g->depth - 1);
  int c = any(t, 0, op->channels - 1), at = (k * g->depth + d) * op->channels + c;
  int pixels = g->grid_height * g->grid_width;
  double sum = (double)out->before[at];
  for (int row = (int)images.begin * pixels; row < (int)images.end * pixels; ++row) {
    int i = row / g->grid_width % g->grid_height, j = row % g->grid_width;
    sum += gathered(g, row / pixels, i, j, k, d) * (double)op->diff_dst[row * op->channels + c];
  }
  compare_exact(t, "an element of the reference", (double)out->expected[at], sum,
                (double)((int)(images.end - images.begin) * pixels));
}

static void check_gather_wgrad(trial *t)
{
  taps at;
  bool is_long = t->round % 2;
  mk_gather_wgrad op = {.gather = is_long ? long_gather(t, &at) : any_gather(t, &at),
                        .channels = any_channels(t)};
  const mk_gather *g = &op.gather;
  size_t grid = (size_t)(g->batch * g->grid_height * g->grid_width);
  op.diff_dst = input(t, grid * (size_t)op.channels);
  output out = make_output(t, (size_t)(g->taps * g->depth) * (size_t)op.channels, false);
  span images = any_span(t, (size_t)g->batch), tap = any_span(t, (size_t)g->taps);
  if (is_long) images = (span){0, 1, 2};
  int first = (int)images.begin, last = (int)images.end;
  t->set->gather_wgrad(&op, out.actual, (int)tap.begin, (int)tap.end, first, last);
  t->set->gather_wgrad(&op, out.parts, (int)tap.begin, (int)tap.middle, first, last);
  t->set->gather_wgrad(&op, out.parts, (int)tap.middle, (int)tap.end, first, last);
  t->reference->gather_wgrad(&op, out.expected, (int)tap.begin, (int)tap.end, first, last);
  compare(t, &out, (double)grid);
  compare_parts(t, &out);
  compare_definition(t, &op, &out, tap, images);
}

static void time_gather_wgrad(trial *t)
{
  enum { SIDE = 32, CHANNELS = 48 };
  taps at;
  mk_gather_wgrad op = {.gather = square_gather(t, &at, SIDE, CHANNELS),
                        .diff_dst = input(t, SIDE * SIDE * CHANNELS),
                        .channels = CHANNELS};
  op.gather.src = input(t, SIDE * SIDE * CHANNELS);
  float *diff = zeros(t, 9 * CHANNELS * CHANNELS);
  TIME(t, t->set->gather_wgrad(&op, diff, 0, 9, 0, 1));
}

const kernel_check wgrad_checks[] = {
    KERNEL(gather_wgrad, 120),
    {0},
};
