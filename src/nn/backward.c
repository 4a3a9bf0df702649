/* The backward pass of an exec. */
#include "nn/plan.h"

#include <string.h>

static void clear_range(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                        size_t end)
{
  (void)batch;
  memset(mk_value_diff(exec, step->src[0]) + begin, 0, (end - begin) * sizeof(float));
}

/* For kernels that add to the gradient of their source. */
static void clear_source(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  if (step->accumulate[0]) return;
  size_t count = (size_t)batch * mk_shape_size(exec->values[step->src[0]].shape);
  mk_run_ranges(exec, step, pool, batch, count, 1 << 16, clear_range);
}

/* ---- Activations ----------------------------------------------------------------------------- */

static void mask_range(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                       size_t end)
{
  (void)batch;
  exec->net->kernels->activation_backward(mk_value_diff(exec, step->dst) + begin,
                                          mk_value_data(exec, step->dst) + begin, step->activation,
                                          false, end - begin);
}

static void guided_range(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                         size_t end)
{
  (void)batch;
  exec->net->kernels->activation_backward(mk_value_diff(exec, step->dst) + begin,
                                          mk_value_data(exec, step->dst) + begin, step->activation,
                                          true, end - begin);
}

/* ---- Sources that get the gradient as it is: add, activations of their own ------------------- */

static void pass_to(const mk_exec *exec, const mk_step *step, int source, size_t begin, size_t end)
{
  float *diff_src = mk_value_diff(exec, step->src[source]) + begin;
  const float *diff_dst = mk_value_diff(exec, step->dst) + begin;
  if (step->accumulate[source])
    exec->net->kernels->accumulate(diff_src, diff_dst, 1, end - begin);
  else
    memcpy(diff_src, diff_dst, (end - begin) * sizeof *diff_src);
}

static void pass_to_first(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                          size_t end)
{
  (void)batch;
  pass_to(exec, step, 0, begin, end);
}

static void pass_to_second(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                           size_t end)
{
  (void)batch;
  pass_to(exec, step, 1, begin, end);
}

/* ---- Gradients of weights: groups of images, then their sum in order ------------------------- */

static int group_count(const mk_step *step, int batch)
{
  if (step->winograd_wgrad.tile) {
    mk_winograd op = step->winograd_wgrad;
    op.batch = batch;
    return mk_winograd_gradient_groups(&op, MK_GRADIENT_GROUPS);
  }
  return batch < MK_GRADIENT_GROUPS ? batch : MK_GRADIENT_GROUPS;
}

static int group_begin(int batch, int groups, int group)
{
  return batch * group / groups;
}

/* A part is some taps of one group. All taps at once go easiest on the caches, so that there are no
 * more parts than keep all threads busy. */
typedef struct {
  const mk_exec *exec;
  const mk_step *step;
  mk_gather_wgrad op;
  int tap_parts;
} wgrad_job;

static void wgrad_part(void *context, size_t index, int worker)
{
  (void)worker;
  const wgrad_job *job = context;
  int groups = group_count(job->step, job->op.gather.batch);
  int group = (int)index / job->tap_parts, part = (int)index % job->tap_parts;
  int taps = job->op.gather.taps, batch = job->op.gather.batch;
  int begin = taps * part / job->tap_parts, end = taps * (part + 1) / job->tap_parts;
  size_t tap_size = (size_t)job->op.gather.depth * (size_t)job->op.channels;
  float *partial = job->exec->partial + (size_t)group * job->step->op->weight_count;
  memset(partial + (size_t)begin * tap_size, 0, (size_t)(end - begin) * tap_size * sizeof *partial);
  job->exec->net->kernels->gather_wgrad(&job->op, partial, begin, end,
                                        group_begin(batch, groups, group),
                                        group_begin(batch, groups, group + 1));
}

static void run_wgrad(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  int groups = group_count(step, batch), threads = mk_pool_threads(pool);
  wgrad_job job = {.exec = exec,
                   .step = step,
                   .op = {.gather = step->gather,
                          .diff_dst = mk_value_diff(exec, step->dst),
                          .channels = step->op->channels},
                   .tap_parts = (3 * threads + groups - 1) / groups};
  job.op.gather.batch = batch;
  job.op.gather.src =
      step->padded ? mk_padded_source(exec, step) : mk_value_data(exec, step->src[0]);
  if (threads == 1) job.tap_parts = 1;
  if (job.tap_parts > job.op.gather.taps) job.tap_parts = job.op.gather.taps;
  mk_pool_run(pool, (size_t)(groups * job.tap_parts), wgrad_part, &job);
}

typedef struct {
  const mk_exec *exec;
  mk_winograd op;
  const float *diff_dst;
  size_t weight_count;
  int groups, panels, panel_grain;
} winograd_wgrad_job;

static void winograd_wgrad_part(void *context, size_t part, float *scratch)
{
  const winograd_wgrad_job *job = context;
  int batch = job->op.batch, group = (int)(part % (size_t)job->groups);
  int first = (int)(part / (size_t)job->groups) * job->panel_grain;
  int last = first + job->panel_grain;
  job->exec->net->kernels->winograd_wgrad(
      &job->op, job->diff_dst, job->exec->partial + (size_t)group * job->weight_count, scratch,
      MK_WINOGRAD_GRADIENT_BLOCK, group_begin(batch, job->groups, group),
      group_begin(batch, job->groups, group + 1), first, last < job->panels ? last : job->panels);
}

static void run_winograd_wgrad(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  int panel = exec->net->kernels->panel;
  winograd_wgrad_job job = {.exec = exec,
                            .op = step->winograd_wgrad,
                            .diff_dst = mk_value_diff(exec, step->dst),
                            .weight_count = step->op->weight_count,
                            .groups = group_count(step, batch),
                            .panels = (step->op->channels + panel - 1) / panel};
  job.op.batch = batch;
  job.op.src = mk_value_data(exec, step->src[0]);
  int most = mk_winograd_gradient_panels(exec->net->kernels, &job.op);
  job.panel_grain = mk_panel_grain(job.panels, (size_t)job.groups, mk_lane_count(exec, pool));
  if (job.panel_grain > most) job.panel_grain = most;
  int panel_parts = (job.panels + job.panel_grain - 1) / job.panel_grain;
  mk_run_lanes(exec, pool, (size_t)(job.groups * panel_parts), winograd_wgrad_part, &job);
}

static void depthwise_wgrad_parts(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                                  size_t end)
{
  mk_window w = step->window;
  int groups = group_count(step, batch);
  w.batch = batch;
  for (size_t group = begin; group < end; ++group) {
    float *partial = exec->partial + group * step->op->weight_count;
    memset(partial, 0, step->op->weight_count * sizeof *partial);
    exec->net->kernels->depthwise_backward_weights(
        &w, partial, mk_value_data(exec, step->src[0]), mk_value_diff(exec, step->dst),
        group_begin(batch, groups, (int)group), group_begin(batch, groups, (int)group + 1));
  }
}

static void sum_parts(const mk_exec *exec, const mk_step *step, int batch, size_t begin, size_t end)
{
  float *sum = step->weight_gradient + begin;
  int groups = group_count(step, batch);
  memcpy(sum, exec->partial + begin, (end - begin) * sizeof *sum);
  for (int group = 1; group < groups; ++group)
    exec->net->kernels->accumulate(
        sum, exec->partial + (size_t)group * step->op->weight_count + begin, 1, end - begin);
}

static void bias_images(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                        size_t end)
{
  (void)batch;
  mk_shape shape = exec->values[step->dst].shape;
  for (size_t n = begin; n < end; ++n)
    exec->net->kernels->channel_sums(exec->channel_partial + n * (size_t)shape.channels,
                                     mk_value_diff(exec, step->dst) + n * mk_shape_size(shape),
                                     shape.channels, (size_t)shape.height * (size_t)shape.width);
}

static void conv_weight_gradients(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  size_t groups = (size_t)group_count(step, batch);
  if (step->winograd_wgrad.tile)
    run_winograd_wgrad(exec, step, pool, batch);
  else if (step->op->groups == 1)
    run_wgrad(exec, step, pool, batch);
  else
    mk_run_ranges(exec, step, pool, batch, groups, 1, depthwise_wgrad_parts);
  mk_run_ranges(exec, step, pool, batch, step->op->weight_count, 1 << 14, sum_parts);
  if (!step->bias_gradient) return;
  int channels = step->op->channels;
  memset(exec->channel_partial, 0, (size_t)batch * (size_t)channels * sizeof(double));
  mk_run_ranges(exec, step, pool, batch, (size_t)batch, 1, bias_images);
  for (int c = 0; c < channels; ++c)
    step->bias_gradient[c] = (float)mk_total(exec->channel_partial, batch, channels, c);
}

/* ---- Gradients of activations ---------------------------------------------------------------- */

static void winograd_data_gradient(const mk_exec *exec, const mk_step *step, mk_pool *pool,
                                   int batch)
{
  mk_winograd op = step->winograd_backward;
  op.batch = batch;
  op.src = mk_value_diff(exec, step->dst);
  op.accumulate = step->accumulate[0];
  op.dst = mk_value_diff(exec, step->src[0]);
  mk_run_winograd(exec, pool, &op);
}

static void conv_data_gradient(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  if (step->winograd_backward.tile) {
    winograd_data_gradient(exec, step, pool, batch);
    return;
  }
  mk_shape src = exec->values[step->src[0]].shape;
  int phases = step->op->stride * step->op->stride;
  for (int i = 0; i < phases; ++i) {
    const mk_phase *phase = &step->phases[i];
    mk_gather_gemm op = {.gather = phase->gather,
                         .packed = phase->packed,
                         .accumulate = step->accumulate[0],
                         .dst = mk_value_diff(exec, step->src[0]),
                         .dst_height = src.height,
                         .dst_width = src.width,
                         .channels = src.channels,
                         .dst_step = step->op->stride,
                         .dst_y = phase->dst_y,
                         .dst_x = phase->dst_x};
    op.gather.batch = batch;
    op.gather.src = mk_value_diff(exec, step->dst);
    if (src.channels <= MK_FEW_CHANNELS)
      mk_run_dot(exec, pool, &op);
    else
      mk_run_gemm(exec, pool, &op);
  }
}

static void depthwise_data_lines(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                                 size_t end)
{
  mk_window w = step->window;
  w.batch = batch;
  exec->net->kernels->depthwise_backward_data(&w, mk_value_diff(exec, step->src[0]),
                                              mk_value_diff(exec, step->dst), step->op->weights,
                                              begin, end);
}

static void pool_images(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                        size_t end)
{
  mk_window w = step->window;
  w.batch = batch;
  exec->net->kernels->max_pool_backward(
      &w, mk_value_diff(exec, step->src[0]), mk_value_diff(exec, step->dst),
      mk_value_data(exec, step->dst), mk_value_data(exec, step->src[0]), (int)begin, (int)end);
}

/* ---- Batch norm ------------------------------------------------------------------------------ */

static void norm_sum_images(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                            size_t end)
{
  mk_shape shape = exec->values[step->dst].shape;
  size_t channels = (size_t)shape.channels;
  for (size_t n = begin; n < end; ++n)
    exec->net->kernels->channel_backward_sums(
        exec->channel_partial + n * channels,
        exec->channel_partial + ((size_t)batch + n) * channels,
        mk_value_diff(exec, step->dst) + n * mk_shape_size(shape),
        mk_value_data(exec, step->src[0]) + n * mk_shape_size(shape), step->mean, shape.channels,
        (size_t)shape.height * (size_t)shape.width);
}

static void norm_rows(const mk_exec *exec, const mk_step *step, int batch, size_t begin, size_t end)
{
  (void)batch;
  size_t channels = (size_t)step->op->channels;
  const float *a = exec->coefficients, *b = a + channels, *d = b + channels;
  exec->net->kernels->channel_backward(mk_value_diff(exec, step->src[0]) + begin * channels,
                                       mk_value_diff(exec, step->dst) + begin * channels,
                                       mk_value_data(exec, step->src[0]) + begin * channels, a, b,
                                       d, step->accumulate[0], step->op->channels, end - begin);
}

/* With x' = (x - mean) r, r = inverse deviation, y = scale x' + shift and m rows:
 *   diff_scale = sum(dy x'), diff_shift = sum(dy),
 *   dx = scale r (dy - diff_shift / m - x' diff_scale / m)       (batch statistics)
 *   dx = scale r dy                                              (running statistics) */
static void batch_norm_backward(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  const mk_op *op = step->op;
  mk_shape shape = exec->values[step->dst].shape;
  double rows = (double)batch * shape.height * shape.width;
  float *a = exec->coefficients, *b = a + op->channels, *d = b + op->channels;
  if (exec->options.train) {
    const double *sums = exec->channel_partial,
                 *products = sums + (size_t)batch * (size_t)op->channels;
    memset(exec->channel_partial, 0,
           2 * (size_t)batch * (size_t)op->channels * sizeof *exec->channel_partial);
    mk_run_ranges(exec, step, pool, batch, (size_t)batch, 1, norm_sum_images);
    for (int c = 0; c < op->channels; ++c) {
      double r = (double)step->inverse_deviation[c], scale = (double)op->weights[c] * r;
      double diff_shift = mk_total(sums, batch, op->channels, c);
      double diff_scale = mk_total(products, batch, op->channels, c) * r;
      double slope = -scale * r * diff_scale / rows;
      step->weight_gradient[c] = (float)diff_scale;
      step->bias_gradient[c] = (float)diff_shift;
      a[c] = (float)scale;
      b[c] = (float)slope;
      d[c] = (float)(-scale * diff_shift / rows - slope * (double)step->mean[c]);
    }
  } else {
    for (int c = 0; c < op->channels; ++c) {
      a[c] = op->weights[c] * mk_inverse_deviation(op, c);
      b[c] = d[c] = 0;
    }
  }
  if (!exec->values[step->src[0]].gradient) return;
  size_t count = (size_t)batch * (size_t)shape.height * (size_t)shape.width;
  mk_run_ranges(exec, step, pool, batch, count, 512, norm_rows);
}

/* ---- All of it ------------------------------------------------------------------------------- */

void mk_exec_backward(mk_exec *exec, mk_pool *pool, int batch, bool guided)
{
  for (int i = exec->step_count - 1; i >= 0; --i) {
    const mk_step *step = &exec->steps[i];
    if (!exec->values[step->dst].gradient) continue;
    mk_shape src = exec->values[step->src[0]].shape;
    size_t count = (size_t)batch * mk_shape_size(exec->values[step->dst].shape);
    bool to_source = exec->values[step->src[0]].gradient;
    if (step->activation != MK_ACT_NONE)
      mk_run_ranges(exec, step, pool, batch, count, 1 << 15, guided ? guided_range : mask_range);
    switch (step->op->kind) {
    case MK_OP_CONV:
      if (step->weight_gradient) conv_weight_gradients(exec, step, pool, batch);
      if (!to_source) break;
      if (step->op->groups == 1) {
        conv_data_gradient(exec, step, pool, batch);
      } else {
        clear_source(exec, step, pool, batch);
        mk_run_ranges(exec, step, pool, batch, (size_t)batch * (size_t)src.height, 4,
                      depthwise_data_lines);
      }
      break;
    case MK_OP_BATCH_NORM:
      batch_norm_backward(exec, step, pool, batch);
      break;
    case MK_OP_RELU:
    case MK_OP_RELU6:
      mk_run_ranges(exec, step, pool, batch, count, 1 << 15, pass_to_first);
      break;
    case MK_OP_MAX_POOL:
      clear_source(exec, step, pool, batch);
      mk_run_ranges(exec, step, pool, batch, (size_t)batch, 1, pool_images);
      break;
    case MK_OP_ADD:
      if (to_source) mk_run_ranges(exec, step, pool, batch, count, 1 << 15, pass_to_first);
      if (exec->values[step->src[1]].gradient)
        mk_run_ranges(exec, step, pool, batch, count, 1 << 15, pass_to_second);
      break;
    case MK_OP_INPUT:
      break;
    }
  }
}
