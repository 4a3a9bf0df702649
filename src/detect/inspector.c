#include "detect/inspector.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>

static size_t positions(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width;
}

static size_t shape_size(mk_shape shape)
{
  return positions(shape) * (size_t)shape.channels;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static mkd_status create(mk_inspector *in, mk_inspector_kind kind)
{
  const mkd_detector *d = in->detector;
  bool gradients = kind == MK_INSPECTOR_GRADIENTS;
  mk_exec_options options = {.batch = 1,
                             .height = d->input.height,
                             .width = d->input.width,
                             .input_gradient = gradients,
                             .threads = mk_pool_threads(in->pool),
                             .pool = in->pool};
  if (gradients) MK_TRY(mk_alloc(&in->gradient, mk_input_size(&d->input), sizeof(float)));
  if (kind != MK_INSPECTOR_CLONER)
    MK_TRY(mk_exec_create(&in->expert, d->expert_net, d->expert_outputs, d->point_count, &options));
  MK_TRY(mk_exec_create(&in->cloner, d->cloner_net, d->cloner_outputs, d->point_count, &options));
  in->deepest = d->deepest;
  for (int p = 0; p < d->point_count; ++p) {
    in->shapes[p] = mk_exec_output_shape(in->cloner, p);
    MK_TRY(mk_alloc(&in->targets[p], shape_size(in->shapes[p]), sizeof(float)));
    MK_TRY(mk_alloc(&in->squares[p], positions(in->shapes[p]), sizeof(float)));
  }
  return mk_alloc(&in->cosines, positions(in->shapes[in->deepest]), sizeof(float));
}

mkd_status mk_inspector_create(mk_inspector **out, const mkd_detector *detector, mk_pool *pool,
                               mk_inspector_kind kind)
{
  mk_inspector *in;
  MK_TRY(mk_alloc(&in, 1, sizeof *in));
  in->detector = detector;
  in->pool = pool;
  mkd_status status = create(in, kind);
  if (status != MKD_OK) {
    mk_inspector_destroy(in);
    return status;
  }
  *out = in;
  return MKD_OK;
}

void mk_inspector_destroy(mk_inspector *in)
{
  if (!in) return;
  mk_exec_destroy(in->expert);
  mk_exec_destroy(in->cloner);
  for (int p = 0; p < MK_MAX_POINTS; ++p) {
    mk_free(in->targets[p]);
    mk_free(in->squares[p]);
  }
  mk_free(in->cosines);
  mk_free(in->gradient);
  mk_free(in);
}

/* ---- Forward --------------------------------------------------------------------------------- */

float *mk_inspector_input(mk_inspector *in)
{
  return mk_exec_input(in->expert ? in->expert : in->cloner);
}

static void normalise_target(mk_inspector *in, int p, const float *src)
{
  const mkd_detector *d = in->detector;
  size_t channels = (size_t)in->shapes[p].channels, rows = positions(in->shapes[p]);
  float *dst = in->targets[p];
  if (!d->target_mean[p]) {
    memcpy(dst, src, rows * channels * sizeof *dst);
    return;
  }
  const float *mean = d->target_mean[p], *deviation = d->target_deviation[p];
  for (size_t row = 0; row < rows; ++row, src += channels, dst += channels) {
    for (size_t c = 0; c < channels; ++c) dst[c] = (src[c] - mean[c]) / deviation[c];
  }
}

static void compare_locations(mk_inspector *in, int p)
{
  const mk_kernels *kernels = in->detector->expert_net->kernels;
  size_t channels = (size_t)in->shapes[p].channels, rows = positions(in->shapes[p]);
  const float *t = in->targets[p], *y = mk_exec_output(in->cloner, p);
  for (size_t row = 0; row < rows; ++row, t += channels, y += channels) {
    mk_loss_point point = mk_loss_compare(kernels, t, y, channels);
    in->squares[p][row] = (float)point.loss.val;
    if (p == in->deepest) in->cosines[row] = (float)point.loss.dir;
  }
}

static void copy_input(mk_inspector *in)
{
  memcpy(mk_exec_input(in->cloner), mk_exec_input(in->expert),
         mk_input_size(&in->detector->input) * sizeof(float));
}

/* After the cloner's forward. */
static void compare_point(mk_inspector *in, int p, const float *activation)
{
  normalise_target(in, p, activation);
  in->losses[p] = mk_loss_compare(in->detector->expert_net->kernels, in->targets[p],
                                  mk_exec_output(in->cloner, p), shape_size(in->shapes[p]));
  compare_locations(in, p);
}

void mk_inspect(mk_inspector *in)
{
  copy_input(in);
  mk_exec_forward(in->expert, in->pool, 1);
  mk_exec_forward(in->cloner, in->pool, 1);
  for (int p = 0; p < in->detector->point_count; ++p)
    compare_point(in, p, mk_exec_output(in->expert, p));
}

void mk_inspect_activations(mk_inspector *in, const float *activations)
{
  if (in->expert) copy_input(in);
  mk_exec_forward(in->cloner, in->pool, 1);
  for (int p = 0; p < in->detector->point_count; ++p) {
    compare_point(in, p, activations);
    activations += shape_size(in->shapes[p]);
  }
}

/* ---- Gradient -------------------------------------------------------------------------------- */

/* The paper's loss at one point. */
static void differentiate_loss(mk_inspector *in, int p, float *diff_expert, float *diff_cloner)
{
  const mkd_detector *d = in->detector;
  const mk_kernels *kernels = d->expert_net->kernels;
  size_t size = shape_size(in->shapes[p]);
  const float *t = in->targets[p], *y = mk_exec_output(in->cloner, p);
  mk_loss_gradient(kernels, &in->losses[p], d->weight_val, d->weight_dir, true, diff_cloner, y, t,
                   size);
  mk_loss_gradient(kernels, &in->losses[p], d->weight_val, d->weight_dir, false, diff_expert, t, y,
                   size);
}

/* sum over locations of relu(m - mean)^2 / deviation^2, m the per-location squared difference: only
 * what exceeds the normal level counts. */
static void differentiate_excess(mk_inspector *in, int p, float *diff_expert, float *diff_cloner)
{
  const mk_calibration *c = &in->detector->calibration;
  size_t channels = (size_t)in->shapes[p].channels, rows = positions(in->shapes[p]);
  const float *t = in->targets[p], *y = mk_exec_output(in->cloner, p);
  double deviation = c->square_deviation[p];
  for (size_t row = 0; row < rows; ++row) {
    double excess = (double)in->squares[p][row] - c->square_mean[p];
    double slope = excess > 0 ? 2 * excess / (deviation * deviation) * 2 / (double)channels : 0;
    for (size_t i = row * channels; i < (row + 1) * channels; ++i) {
      diff_cloner[i] = (float)slope * (y[i] - t[i]);
      diff_expert[i] = -diff_cloner[i];
    }
  }
}

static void differentiate_point(mk_inspector *in, int p)
{
  const mkd_detector *d = in->detector;
  size_t channels = (size_t)in->shapes[p].channels, size = shape_size(in->shapes[p]);
  float *diff_expert = mk_exec_output_gradient(in->expert, p);
  float *diff_cloner = mk_exec_output_gradient(in->cloner, p);
  if (!d->scored[p]) {
    memset(diff_expert, 0, size * sizeof *diff_expert);
    memset(diff_cloner, 0, size * sizeof *diff_cloner);
    return;
  }
  if (d->recipe.gradient_of == MK_GRADIENT_OF_LOSS)
    differentiate_loss(in, p, diff_expert, diff_cloner);
  else
    differentiate_excess(in, p, diff_expert, diff_cloner);
  if (!d->target_deviation[p]) return;
  for (size_t i = 0; i < size; i += channels) {
    for (size_t c = 0; c < channels; ++c) diff_expert[i + c] /= d->target_deviation[p][c];
  }
}

void mk_inspector_differentiate(mk_inspector *in, bool guided)
{
  const mkd_detector *d = in->detector;
  for (int p = 0; p < d->point_count; ++p) differentiate_point(in, p);
  mk_exec_backward(in->expert, in->pool, 1, guided && d->recipe.guided == MK_GUIDED_BOTH);
  mk_exec_backward(in->cloner, in->pool, 1, guided);
  d->expert_net->kernels->add(in->gradient, mk_exec_input_gradient(in->expert),
                              mk_exec_input_gradient(in->cloner), mk_input_size(&d->input));
}

/* ---- Score ----------------------------------------------------------------------------------- */

static double total(const mk_inspector *in)
{
  const mkd_detector *d = in->detector;
  double loss = 0;
  for (int p = 0; p < d->point_count; ++p) {
    if (d->scored[p])
      loss += d->weight_val * in->losses[p].loss.val + d->weight_dir * in->losses[p].loss.dir;
  }
  return loss;
}

mk_score_parts mk_inspector_parts(const mk_inspector *in, const mk_calibration *c)
{
  if (in->detector->recipe.score == MK_SCORE_TOTAL) return (mk_score_parts){.total = total(in)};
  return mk_standardised_parts(in->detector, in->shapes, in->squares, in->cosines, c);
}

double mk_inspector_score(const mk_inspector *in, const mk_calibration *c)
{
  return mk_score_of(mk_inspector_parts(in, c), in->detector, c);
}
