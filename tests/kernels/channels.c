/* Kernels that go channel by channel: batch norm, forward and backward. */
#include "check.h"

/* Arrays of a case: [rows][channels], and [channels]. */
typedef struct {
  int channels;
  size_t rows, count;
  const float *src, *diff, *a, *b, *c;
} matrices;

static matrices make_matrices(trial *t, int channels, size_t rows)
{
  size_t width = (size_t)channels, count = rows * width;
  return (matrices){
      channels,        rows,           count, input(t, count), input(t, count), input(t, width),
      input(t, width), input(t, width)};
}

static matrices any_matrices(trial *t)
{
  int channels = any_channels(t);
  return make_matrices(t, channels, (size_t)any(t, 0, 200));
}

static matrices timed_matrices(trial *t)
{
  return make_matrices(t, 48, 2048);
}

/* Kernels add to their sums. */
typedef struct {
  double actual[2][MAX_CHANNELS], expected[2][MAX_CHANNELS];
} sums;

static sums start_sums(int channels)
{
  sums s = {0};
  for (int c = 0; c < channels; ++c)
    s.actual[0][c] = s.expected[0][c] = s.actual[1][c] = s.expected[1][c] = c;
  return s;
}

static void check_channel_sums(trial *t)
{
  matrices m = any_matrices(t);
  sums s = start_sums(m.channels);
  t->set->channel_sums(s.actual[0], m.src, m.channels, m.rows);
  t->reference->channel_sums(s.expected[0], m.src, m.channels, m.rows);
  compare_sums(t, s.actual[0], s.expected[0], MAX_CHANNELS);
}

static void time_channel_sums(trial *t)
{
  matrices m = timed_matrices(t);
  sums s = start_sums(m.channels);
  TIME(t, t->set->channel_sums(s.actual[0], m.src, m.channels, m.rows));
}

static void check_channel_squares(trial *t)
{
  matrices m = any_matrices(t);
  sums s = start_sums(m.channels);
  t->set->channel_squares(s.actual[0], m.src, m.a, m.channels, m.rows);
  t->reference->channel_squares(s.expected[0], m.src, m.a, m.channels, m.rows);
  compare_sums(t, s.actual[0], s.expected[0], MAX_CHANNELS);
}

static void time_channel_squares(trial *t)
{
  matrices m = timed_matrices(t);
  sums s = start_sums(m.channels);
  TIME(t, t->set->channel_squares(s.actual[0], m.src, m.a, m.channels, m.rows));
}

static void check_channel_affine(trial *t)
{
  matrices m = any_matrices(t);
  mk_activation activation = any_activation(t);
  output out = make_output(t, m.count, true);
  t->set->channel_affine(out.actual, m.src, m.a, m.b, activation, m.channels, m.rows);
  t->reference->channel_affine(out.expected, m.src, m.a, m.b, activation, m.channels, m.rows);
  compare(t, &out, 1);
}

static void time_channel_affine(trial *t)
{
  matrices m = timed_matrices(t);
  float *dst = input(t, m.count);
  TIME(t, t->set->channel_affine(dst, m.src, m.a, m.b, MK_ACT_RELU, m.channels, m.rows));
}

static void check_channel_backward_sums(trial *t)
{
  matrices m = any_matrices(t);
  sums s = start_sums(m.channels);
  t->set->channel_backward_sums(s.actual[0], s.actual[1], m.diff, m.src, m.a, m.channels, m.rows);
  t->reference->channel_backward_sums(s.expected[0], s.expected[1], m.diff, m.src, m.a, m.channels,
                                      m.rows);
  compare_sums(t, s.actual[0], s.expected[0], MAX_CHANNELS);
  compare_sums(t, s.actual[1], s.expected[1], MAX_CHANNELS);
}

static void time_channel_backward_sums(trial *t)
{
  matrices m = timed_matrices(t);
  sums s = start_sums(m.channels);
  TIME(t, t->set->channel_backward_sums(s.actual[0], s.actual[1], m.diff, m.src, m.a, m.channels,
                                        m.rows));
}

static void check_channel_backward(trial *t)
{
  matrices m = any_matrices(t);
  bool accumulates = coin(t);
  output out = make_output(t, m.count, !accumulates);
  t->set->channel_backward(out.actual, m.diff, m.src, m.a, m.b, m.c, accumulates, m.channels,
                           m.rows);
  t->reference->channel_backward(out.expected, m.diff, m.src, m.a, m.b, m.c, accumulates,
                                 m.channels, m.rows);
  compare(t, &out, 3);
}

static void time_channel_backward(trial *t)
{
  matrices m = timed_matrices(t);
  float *diff_src = input(t, m.count);
  TIME(t,
       t->set->channel_backward(diff_src, m.diff, m.src, m.a, m.b, m.c, false, m.channels, m.rows));
}

const kernel_check channel_checks[] = {
    KERNEL(channel_sums, 60),     KERNEL(channel_squares, 60),       KERNEL(channel_affine, 60),
    KERNEL(channel_backward, 60), KERNEL(channel_backward_sums, 60), {0},
};
