/* Depthwise convolution. */
#include "check.h"

static mk_window any_window(trial *t)
{
  mk_window w = {.batch = any(t, 1, 3),
                 .channels = any_channels(t),
                 .src_height = any(t, 1, 10),
                 .src_width = any(t, 1, 10),
                 .kernel = any(t, 1, 5),
                 .stride = any(t, 1, 3)};
  w.pad_top = any(t, 0, w.kernel - 1);
  w.pad_left = any(t, 0, w.kernel - 1);
  /* As with "same": the padding at the far sides is whatever is left. */
  w.dst_height = (w.src_height + w.stride - 1) / w.stride;
  w.dst_width = (w.src_width + w.stride - 1) / w.stride;
  return w;
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* Some channels of a wider layer, from a source that has just the lines that are needed. */
static void check_depthwise(trial *t)
{
  mk_window w = any_window(t);
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
  span lines = any_span(t, (size_t)w.dst_height);
  int begin = (int)lines.begin, middle = (int)lines.middle, end = (int)lines.end;
  int top = begin * w.stride - w.pad_top, bottom = (end - 1) * w.stride - w.pad_top;
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
  t->set->depthwise(&op, begin, end);
  op.dst = out.parts + skipped;
  t->set->depthwise(&op, begin, middle);
  t->set->depthwise(&op, middle, end);
  op.dst = out.expected + skipped;
  t->reference->depthwise(&op, begin, end);
  compare(t, &out, 25);
  compare_parts(t, &out);
}

enum { SIDE = 32, CHANNELS = 144, PIXELS = SIDE * SIDE };

static const mk_window timed_window = {1, CHANNELS, SIDE, SIDE, SIDE, SIDE, 3, 1, 1, 1};

static void time_depthwise(trial *t)
{
  mk_depthwise op = {.window = timed_window,
                     .src = input(t, PIXELS * CHANNELS),
                     .src_pixel = CHANNELS,
                     .dst = input(t, PIXELS * CHANNELS),
                     .dst_pixel = CHANNELS,
                     .weights = input(t, 9 * CHANNELS)};
  TIME(t, t->set->depthwise(&op, 0, SIDE));
}

/* ---- Backward -------------------------------------------------------------------------------- */

static size_t src_count(const mk_window *w)
{
  return (size_t)(w->batch * w->src_height * w->src_width) * (size_t)w->channels;
}

static size_t dst_count(const mk_window *w)
{
  return (size_t)(w->batch * w->dst_height * w->dst_width) * (size_t)w->channels;
}

static size_t weight_count(const mk_window *w)
{
  return (size_t)(w->kernel * w->kernel) * (size_t)w->channels;
}

static void check_depthwise_backward_data(trial *t)
{
  mk_window w = any_window(t);
  const float *weights = input(t, weight_count(&w)), *diff = input(t, dst_count(&w));
  output out = make_output(t, src_count(&w), false);
  span lines = any_span(t, (size_t)(w.batch * w.src_height));
  t->set->depthwise_backward_data(&w, out.actual, diff, weights, lines.begin, lines.end);
  t->set->depthwise_backward_data(&w, out.parts, diff, weights, lines.begin, lines.middle);
  t->set->depthwise_backward_data(&w, out.parts, diff, weights, lines.middle, lines.end);
  t->reference->depthwise_backward_data(&w, out.expected, diff, weights, lines.begin, lines.end);
  compare(t, &out, 25);
  compare_parts(t, &out);
}

static void time_depthwise_backward_data(trial *t)
{
  float *diff_src = zeros(t, PIXELS * CHANNELS);
  const float *diff = input(t, PIXELS * CHANNELS), *weights = input(t, 9 * CHANNELS);
  TIME(t, t->set->depthwise_backward_data(&timed_window, diff_src, diff, weights, 0, SIDE));
}

static void check_depthwise_backward_weights(trial *t)
{
  mk_window w = any_window(t);
  const float *src = input(t, src_count(&w)), *diff = input(t, dst_count(&w));
  output out = make_output(t, weight_count(&w), false);
  span images = any_span(t, (size_t)w.batch);
  int begin = (int)images.begin, end = (int)images.end;
  t->set->depthwise_backward_weights(&w, out.actual, src, diff, begin, end);
  t->reference->depthwise_backward_weights(&w, out.expected, src, diff, begin, end);
  compare(t, &out, (double)dst_count(&w));
}

static void time_depthwise_backward_weights(trial *t)
{
  float *diff_weights = zeros(t, 9 * CHANNELS);
  const float *src = input(t, PIXELS * CHANNELS), *diff = input(t, PIXELS * CHANNELS);
  TIME(t, t->set->depthwise_backward_weights(&timed_window, diff_weights, src, diff, 0, 1));
}

const kernel_check depthwise_checks[] = {
    KERNEL(depthwise, 120),
    KERNEL(depthwise_backward_data, 60),
    KERNEL(depthwise_backward_weights, 60),
    {0},
};
