/* Max pool. */
#include "check.h"

#include <math.h>

static mk_window any_window(trial *t)
{
  mk_window w = {.batch = any(t, 1, 3),
                 .channels = any_channels(t),
                 .kernel = any(t, 1, 5),
                 .stride = any(t, 1, 3)};
  w.src_height = any(t, w.kernel, 10);
  w.src_width = any(t, w.kernel, 10);
  w.dst_height = (w.src_height - w.kernel) / w.stride + 1;
  w.dst_width = (w.src_width - w.kernel) / w.stride + 1;
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

/* Often with equal maxima, of which the first one counts. */
static const float *any_source(trial *t, const mk_window *w)
{
  float *src = input(t, src_count(w));
  if (coin(t)) {
    for (size_t i = 0; i < src_count(w); ++i) src[i] = rintf(src[i]);
  }
  return src;
}

static void check_max_pool(trial *t)
{
  mk_window w = any_window(t);
  const float *src = any_source(t, &w);
  output out = make_output(t, dst_count(&w), true);
  span lines = any_span(t, (size_t)(w.batch * w.dst_height));
  t->set->max_pool(&w, out.actual, src, lines.begin, lines.end);
  t->set->max_pool(&w, out.parts, src, lines.begin, lines.middle);
  t->set->max_pool(&w, out.parts, src, lines.middle, lines.end);
  t->reference->max_pool(&w, out.expected, src, lines.begin, lines.end);
  compare(t, &out, 0);
  compare_parts(t, &out);
}

static void check_max_pool_backward(trial *t)
{
  mk_window w = any_window(t);
  const float *src = any_source(t, &w), *diff = input(t, dst_count(&w));
  float *dst = input(t, dst_count(&w));
  t->reference->max_pool(&w, dst, src, 0, (size_t)(w.batch * w.dst_height));
  output out = make_output(t, src_count(&w), false);
  span images = any_span(t, (size_t)w.batch);
  int begin = (int)images.begin, middle = (int)images.middle, end = (int)images.end;
  t->set->max_pool_backward(&w, out.actual, diff, dst, src, begin, end);
  t->set->max_pool_backward(&w, out.parts, diff, dst, src, begin, middle);
  t->set->max_pool_backward(&w, out.parts, diff, dst, src, middle, end);
  t->reference->max_pool_backward(&w, out.expected, diff, dst, src, begin, end);
  compare(t, &out, 25);
  compare_parts(t, &out);
}

enum { SIDE = 32, CHANNELS = 128 };

static const mk_window timed_window = {1, CHANNELS, SIDE, SIDE, SIDE / 2, SIDE / 2, 2, 2, 0, 0};

static void time_max_pool(trial *t)
{
  const float *src = input(t, SIDE * SIDE * CHANNELS);
  float *dst = input(t, SIDE * SIDE / 4 * CHANNELS);
  TIME(t, t->set->max_pool(&timed_window, dst, src, 0, SIDE / 2));
}

static void time_max_pool_backward(trial *t)
{
  const float *src = input(t, SIDE * SIDE * CHANNELS);
  const float *diff = input(t, SIDE * SIDE / 4 * CHANNELS);
  float *dst = input(t, SIDE * SIDE / 4 * CHANNELS), *diff_src = zeros(t, SIDE * SIDE * CHANNELS);
  t->set->max_pool(&timed_window, dst, src, 0, SIDE / 2);
  TIME(t, t->set->max_pool_backward(&timed_window, diff_src, diff, dst, src, 0, 1));
}

const kernel_check pool_checks[] = {
    KERNEL(max_pool, 60),
    KERNEL(max_pool_backward, 60),
    {0},
};
