/* Life of an exec, and its forward pass. */
#include "nn/exec.h"

#include "core/memory.h"
#include "nn/plan.h"

#include <math.h>
#include <string.h>

/* ---- Life ------------------------------------------------------------------------------------ */

static mkd_status check_options(const mk_graph *graph, const int *outputs, int output_count,
                                const mk_exec_options *options)
{
  if (options->batch < 1)
    return mk_fail(MKD_ERROR_ARGUMENT, "batch: %d is less than 1", options->batch);
  for (int i = 0; i < output_count; ++i) {
    bool known = outputs[i] >= 0 && outputs[i] < graph->count;
    for (int j = 0; j < i; ++j) known &= outputs[j] != outputs[i];
    if (!known)
      return mk_fail(MKD_ERROR_ARGUMENT, "output %d: operation %d is not there, or there twice", i,
                     outputs[i]);
  }
  return MKD_OK;
}

mkd_status mk_exec_create(mk_exec **out, const mk_net *net, const int *outputs, int output_count,
                          const mk_exec_options *options)
{
  MK_TRY(check_options(net->graph, outputs, output_count, options));
  mk_exec *exec;
  MK_TRY(mk_alloc(&exec, 1, sizeof *exec));
  exec->net = net;
  exec->graph = net->graph;
  exec->options = *options;
  exec->output_count = output_count;
  mkd_status status = mk_alloc(&exec->values, (size_t)net->graph->count, sizeof *exec->values);
  if (status == MKD_OK)
    status = mk_alloc(&exec->outputs, (size_t)output_count, sizeof *exec->outputs);
  for (int i = 0; status == MKD_OK && i < output_count; ++i) {
    exec->outputs[i] = outputs[i];
    exec->values[outputs[i]].wanted = true;
  }
  if (status == MKD_OK) status = mk_plan_shapes(exec);
  if (status == MKD_OK) status = mk_plan_steps(exec);
  if (status == MKD_OK) status = mk_plan_memory(exec);
  if (status == MKD_OK) status = mk_plan_lanes(exec);
  if (status != MKD_OK) {
    mk_exec_destroy(exec);
    return status;
  }
  mk_net_pack(net, options->pool);
  *out = exec;
  return MKD_OK;
}

void mk_exec_destroy(mk_exec *exec)
{
  if (!exec) return;
  for (int i = 0; i < exec->step_count; ++i) {
    mk_step *step = &exec->steps[i];
    mk_free(step->offsets);
    mk_free(step->phases);
    mk_free(step->mean);
    mk_free(step->variance);
    mk_free(step->inverse_deviation);
    mk_free(step->weight_gradient);
    mk_free(step->bias_gradient);
  }
  for (int l = 0; exec->lane && l < exec->image_lanes; ++l) {
    mk_free(exec->lane[l].values);
    mk_free(exec->lane[l].coefficients);
  }
  mk_free(exec->lane);
  mk_free(exec->steps);
  mk_free(exec->values);
  mk_free(exec->outputs);
  mk_free(exec->memory);
  mk_free(exec->zeros);
  mk_free(exec->scratch);
  mk_free(exec->partial);
  mk_free(exec->channel_partial);
  mk_free(exec->coefficients);
  mk_free(exec);
}

mk_shape mk_exec_output_shape(const mk_exec *exec, int output)
{
  return exec->values[exec->outputs[output]].shape;
}

float *mk_exec_input(mk_exec *exec)
{
  return mk_value_data(exec, 0);
}

const float *mk_exec_output(const mk_exec *exec, int output)
{
  return mk_value_data(exec, exec->outputs[output]);
}

float *mk_exec_output_gradient(mk_exec *exec, int output)
{
  return mk_value_diff(exec, exec->outputs[output]);
}

const float *mk_exec_input_gradient(const mk_exec *exec)
{
  return mk_value_diff(exec, 0);
}

static const mk_step *step_of(const mk_exec *exec, int op)
{
  for (int i = 0; i < exec->step_count; ++i) {
    if (exec->steps[i].index == op) return &exec->steps[i];
  }
  return NULL;
}

const float *mk_exec_weight_gradient(const mk_exec *exec, int op)
{
  const mk_step *step = step_of(exec, op);
  return step ? step->weight_gradient : NULL;
}

const float *mk_exec_bias_gradient(const mk_exec *exec, int op)
{
  const mk_step *step = step_of(exec, op);
  return step ? step->bias_gradient : NULL;
}

void mk_exec_update_statistics(const mk_exec *exec, mk_graph *graph)
{
  for (int i = 0; i < exec->step_count; ++i) {
    const mk_step *step = &exec->steps[i];
    if (step->op->kind != MK_OP_BATCH_NORM) continue;
    mk_op *op = &graph->ops[step->index];
    for (int c = 0; c < op->channels; ++c) {
      op->mean[c] += op->momentum * (step->mean[c] - op->mean[c]);
      op->variance[c] += op->momentum * (step->variance[c] - op->variance[c]);
    }
  }
}

/* ---- Ranges ---------------------------------------------------------------------------------- */

typedef struct {
  const mk_exec *exec;
  const mk_step *step;
  mk_range_work *work;
  int batch;
} ranges;

static void run_range(void *context, size_t begin, size_t end, int worker)
{
  (void)worker;
  const ranges *r = context;
  r->work(r->exec, r->step, r->batch, begin, end);
}

void mk_run_ranges(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch, size_t count,
                   size_t grain, mk_range_work *work)
{
  ranges r = {exec, step, work, batch};
  mk_pool_run_ranges(pool, count, grain, run_range, &r);
}

/* ---- Forward --------------------------------------------------------------------------------- */

static void pad_lines(const mk_exec *exec, const mk_step *step, int batch, size_t begin, size_t end)
{
  (void)batch;
  mk_shape src = exec->values[step->src[0]].shape;
  const float *data = mk_value_data(exec, step->src[0]);
  size_t channels = (size_t)src.channels, line = (size_t)step->padded_width * channels;
  int columns = step->padded_width - step->pad_left;
  if (columns > src.width) columns = src.width;
  for (size_t i = begin; i < end; ++i) {
    float *dst = mk_padded_source(exec, step) + i * line;
    size_t n = i / (size_t)step->padded_height;
    int y = (int)(i % (size_t)step->padded_height) - step->pad_top;
    memset(dst, 0, line * sizeof *dst);
    if (y < 0 || y >= src.height) continue;
    memcpy(dst + (size_t)step->pad_left * channels,
           data + (n * (size_t)src.height + (size_t)y) * (size_t)src.width * channels,
           (size_t)columns * channels * sizeof *dst);
  }
}

typedef struct {
  const mk_kernels *kernels;
  mk_gather_gemm op;
  size_t rows, row_grain;
  int panels, panel_grain;
} gemm_job;

static void gemm_part(void *context, size_t index, int worker)
{
  (void)worker;
  const gemm_job *job = context;
  size_t row_parts = (job->rows + job->row_grain - 1) / job->row_grain;
  size_t begin = index % row_parts * job->row_grain, end = begin + job->row_grain;
  int first = (int)(index / row_parts) * job->panel_grain, last = first + job->panel_grain;
  job->kernels->gather_gemm(&job->op, begin, end < job->rows ? end : job->rows, first,
                            last < job->panels ? last : job->panels);
}

static void dot_part(void *context, size_t index, int worker)
{
  (void)worker;
  const gemm_job *job = context;
  size_t begin = index * job->row_grain, end = begin + job->row_grain;
  job->kernels->gather_dot(&job->op, begin, end < job->rows ? end : job->rows);
}

static gemm_job make_job(const mk_exec *exec, const mk_gather_gemm *op)
{
  const mk_kernels *kernels = exec->net->kernels;
  const mk_gather *g = &op->gather;
  return (gemm_job){.kernels = kernels,
                    .op = *op,
                    .rows = (size_t)g->batch * (size_t)g->grid_height * (size_t)g->grid_width,
                    .panels = mk_panel_count(kernels, op->channels)};
}

static size_t divide_up(size_t a, size_t b)
{
  return (a + b - 1) / b;
}

/* Of `wanted` parts, as many as there can be, but at least one. */
static size_t limit(size_t wanted, size_t most)
{
  return most < 1 ? 1 : wanted < most ? wanted : most;
}

/* Enough parts to keep every thread busy to the end, not so many that handing them out costs: of
 * rows, as long as a part fills the kernel's blocks, then of panels; then of fewer rows. */
void mk_run_gemm(const mk_exec *exec, mk_pool *pool, const mk_gather_gemm *op)
{
  enum { BLOCK_TILES = 16, LEAST_TILES = 4 };
  gemm_job job = make_job(exec, op);
  if (job.rows == 0) return;
  size_t wanted = mk_pool_threads(pool) > 1 ? 4 * (size_t)mk_pool_threads(pool) : 1;
  size_t tile = (size_t)exec->net->kernels->row_tile;
  size_t row_parts = limit(wanted, job.rows / (BLOCK_TILES * tile));
  size_t panel_parts = limit(divide_up(wanted, row_parts), (size_t)job.panels);
  if (row_parts * panel_parts < wanted)
    row_parts = limit(divide_up(wanted, panel_parts), job.rows / (LEAST_TILES * tile));
  job.row_grain = divide_up(divide_up(job.rows, row_parts), tile) * tile;
  job.panel_grain = (int)divide_up((size_t)job.panels, panel_parts);
  row_parts = divide_up(job.rows, job.row_grain);
  panel_parts = divide_up((size_t)job.panels, (size_t)job.panel_grain);
  mk_pool_run(pool, row_parts * panel_parts, gemm_part, &job);
}

void mk_run_dot(const mk_exec *exec, mk_pool *pool, const mk_gather_gemm *op)
{
  gemm_job job = make_job(exec, op);
  job.row_grain = (size_t)job.kernels->row_tile * 32;
  mk_pool_run(pool, (job.rows + job.row_grain - 1) / job.row_grain, dot_part, &job);
}

typedef struct {
  const mk_exec *exec;
  mk_lane_work *work;
  void *context;
} lane_job;

static void run_part(void *context, size_t part, int lane)
{
  const lane_job *job = context;
  job->work(job->context, part, job->exec->scratch + (size_t)lane * job->exec->lane_size);
}

int mk_lane_count(const mk_exec *exec, const mk_pool *pool)
{
  int threads = mk_pool_threads(pool);
  return threads < exec->lanes ? threads : exec->lanes;
}

void mk_run_lanes(const mk_exec *exec, mk_pool *pool, size_t parts, mk_lane_work *work,
                  void *context)
{
  lane_job job = {exec, work, context};
  mk_pool_run_on(pool, exec->lanes, parts, run_part, &job);
}

int mk_panel_grain(int panels, size_t shares, int lanes)
{
  size_t wanted = lanes > 1 ? 2 * (size_t)lanes : 1;
  size_t parts = shares >= wanted ? 1 : (wanted + shares - 1) / shares;
  if (parts > (size_t)panels) parts = (size_t)panels;
  return (panels + (int)parts - 1) / (int)parts;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_winograd *op;
  size_t tiles, block, blocks;
  int panels, panel_grain;
} winograd_job;

static void winograd_part(void *context, size_t part, float *scratch)
{
  const winograd_job *job = context;
  size_t begin = part % job->blocks * job->block, end = begin + job->block;
  int first = (int)(part / job->blocks) * job->panel_grain, last = first + job->panel_grain;
  job->kernels->winograd(job->op, scratch, begin, end < job->tiles ? end : job->tiles, first,
                         last < job->panels ? last : job->panels);
}

void mk_run_winograd(const mk_exec *exec, mk_pool *pool, const mk_winograd *op)
{
  const mk_kernels *kernels = exec->net->kernels;
  winograd_job job = {.kernels = kernels,
                      .op = op,
                      .tiles = mk_winograd_tile_count(op),
                      .block = mk_winograd_block(kernels, op),
                      .panels = (op->channels + kernels->panel - 1) / kernels->panel};
  if (job.tiles == 0) return;
  job.blocks = (job.tiles + job.block - 1) / job.block;
  job.panel_grain = mk_panel_grain(job.panels, job.blocks, mk_lane_count(exec, pool));
  size_t panel_parts = (size_t)((job.panels + job.panel_grain - 1) / job.panel_grain);
  mk_run_lanes(exec, pool, job.blocks * panel_parts, winograd_part, &job);
}

static void winograd_forward(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  mk_winograd op = step->winograd;
  op.batch = batch;
  op.src = mk_value_data(exec, step->src[0]);
  op.bias = step->op->bias;
  op.activation = step->activation;
  op.dst = mk_value_data(exec, step->dst);
  mk_run_winograd(exec, pool, &op);
}

const float *mk_conv_source(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  if (!step->padded) return mk_value_data(exec, step->src[0]);
  mk_run_ranges(exec, step, pool, batch, (size_t)batch * (size_t)step->padded_height, 32,
                pad_lines);
  return mk_padded_source(exec, step);
}

static void conv_forward(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  if (step->winograd.tile) {
    winograd_forward(exec, step, pool, batch);
    return;
  }
  mk_shape shape = exec->values[step->dst].shape;
  mk_gather_gemm op = {.gather = step->gather,
                       .packed = step->packed,
                       .bias = step->op->bias,
                       .activation = step->activation,
                       .addend = step->src[1] < 0 ? NULL : mk_value_data(exec, step->src[1]),
                       .dst = mk_value_data(exec, step->dst),
                       .dst_height = shape.height,
                       .dst_width = shape.width,
                       .channels = shape.channels,
                       .dst_step = 1};
  op.gather.batch = batch;
  op.gather.src = mk_conv_source(exec, step, pool, batch);
  mk_run_gemm(exec, pool, &op);
}

static void pool_lines(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                       size_t end)
{
  mk_window w = step->window;
  w.batch = batch;
  exec->net->kernels->max_pool(&w, mk_value_data(exec, step->dst),
                               mk_value_data(exec, step->src[0]), begin, end);
}

static void activation_range(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                             size_t end)
{
  (void)batch;
  exec->net->kernels->activate(mk_value_data(exec, step->dst) + begin,
                               mk_value_data(exec, step->src[0]) + begin, step->activation,
                               end - begin);
}

static void add_range(const mk_exec *exec, const mk_step *step, int batch, size_t begin, size_t end)
{
  (void)batch;
  exec->net->kernels->add(mk_value_data(exec, step->dst) + begin,
                          mk_value_data(exec, step->src[0]) + begin,
                          mk_value_data(exec, step->src[1]) + begin, end - begin);
}

/* One image's sums, over which batch norm then adds up in order. */
static void sum_images(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                       size_t end)
{
  (void)batch;
  mk_shape shape = exec->values[step->dst].shape;
  size_t channels = (size_t)shape.channels;
  for (size_t n = begin; n < end; ++n)
    exec->net->kernels->channel_sums(exec->channel_partial + n * channels,
                                     mk_value_data(exec, step->src[0]) + n * mk_shape_size(shape),
                                     shape.channels, (size_t)shape.height * (size_t)shape.width);
}

static void square_images(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                          size_t end)
{
  (void)batch;
  mk_shape shape = exec->values[step->dst].shape;
  size_t channels = (size_t)shape.channels;
  for (size_t n = begin; n < end; ++n)
    exec->net->kernels->channel_squares(
        exec->channel_partial + n * channels,
        mk_value_data(exec, step->src[0]) + n * mk_shape_size(shape), step->mean, shape.channels,
        (size_t)shape.height * (size_t)shape.width);
}

static void batch_statistics(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  mk_shape shape = exec->values[step->dst].shape;
  size_t bytes = (size_t)batch * (size_t)shape.channels * sizeof(double);
  double rows = (double)batch * shape.height * shape.width;
  memset(exec->channel_partial, 0, bytes);
  mk_run_ranges(exec, step, pool, batch, (size_t)batch, 1, sum_images);
  for (int c = 0; c < shape.channels; ++c)
    step->mean[c] = (float)(mk_total(exec->channel_partial, batch, shape.channels, c) / rows);
  memset(exec->channel_partial, 0, bytes);
  mk_run_ranges(exec, step, pool, batch, (size_t)batch, 1, square_images);
  for (int c = 0; c < shape.channels; ++c) {
    double squares = mk_total(exec->channel_partial, batch, shape.channels, c);
    step->inverse_deviation[c] = (float)(1 / sqrt(squares / rows + (double)step->op->epsilon));
    /* The running estimate is the unbiased one, as in PyTorch. */
    step->variance[c] = (float)(squares / (rows > 1 ? rows - 1 : 1));
  }
}

static void affine_rows(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                        size_t end)
{
  (void)batch;
  size_t channels = (size_t)step->op->channels;
  exec->net->kernels->channel_affine(mk_value_data(exec, step->dst) + begin * channels,
                                     mk_value_data(exec, step->src[0]) + begin * channels,
                                     exec->coefficients, exec->coefficients + channels,
                                     step->activation, step->op->channels, end - begin);
}

static void batch_norm_forward(mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  const mk_op *op = step->op;
  mk_shape shape = exec->values[step->dst].shape;
  if (exec->options.train) batch_statistics(exec, step, pool, batch);
  float *scale = exec->coefficients, *shift = scale + op->channels;
  for (int c = 0; c < op->channels; ++c) {
    bool train = exec->options.train;
    scale[c] = op->weights[c] * (train ? step->inverse_deviation[c] : mk_inverse_deviation(op, c));
    shift[c] = op->bias[c] - (train ? step->mean[c] : op->mean[c]) * scale[c];
  }
  size_t rows = (size_t)batch * (size_t)shape.height * (size_t)shape.width;
  mk_run_ranges(exec, step, pool, batch, rows, 512, affine_rows);
}

static void run_steps(mk_exec *exec, mk_pool *pool, int batch, int begin, int end)
{
  for (int i = begin; i < end; ++i) {
    const mk_step *step = &exec->steps[i];
    if (step->feeds) continue;
    mk_shape shape = exec->values[step->dst].shape;
    size_t lines = (size_t)batch * (size_t)shape.height;
    size_t count = (size_t)batch * mk_shape_size(shape);
    switch (step->op->kind) {
    case MK_OP_CONV:
      if (step->op->groups == 1)
        conv_forward(exec, step, pool, batch);
      else
        mk_run_depthwise(exec, step, pool, batch);
      break;
    case MK_OP_BATCH_NORM:
      batch_norm_forward(exec, step, pool, batch);
      break;
    case MK_OP_RELU:
    case MK_OP_RELU6:
      mk_run_ranges(exec, step, pool, batch, count, 1 << 15, activation_range);
      break;
    case MK_OP_MAX_POOL:
      mk_run_ranges(exec, step, pool, batch, lines, 8, pool_lines);
      break;
    case MK_OP_ADD:
      mk_run_ranges(exec, step, pool, batch, count, 1 << 15, add_range);
      break;
    case MK_OP_INPUT:
      break;
    }
  }
}

/* ---- Image by image -------------------------------------------------------------------------- */

static void run_image(mk_exec *exec, mk_exec *lane, mk_pool *pool, size_t image)
{
  for (int v = 0; v < exec->graph->count; ++v) {
    const mk_value *value = &exec->values[v];
    if (!value->per_lane)
      lane->values[v].data_at = value->data_at + image * mk_shape_size(value->shape);
  }
  lane->lanes = pool ? exec->lanes : 1; /* of scratch: its own, or with lane 0 all */
  run_steps(lane, pool, 1, 0, exec->image_steps);
}

static void run_lane_image(void *context, size_t image, int lane)
{
  mk_exec *exec = context;
  run_image(exec, &exec->lane[lane], NULL, image);
}

/* Images of full rounds go to one thread each; those that are left, to all threads in turn. */
static void run_images(mk_exec *exec, mk_pool *pool, int batch)
{
  int threads = mk_pool_threads(pool),
      lanes = threads < exec->image_lanes ? threads : exec->image_lanes;
  size_t whole = (size_t)(batch / lanes * lanes);
  mk_pool_run_on(pool, lanes, whole, run_lane_image, exec);
  for (size_t image = whole; image < (size_t)batch; ++image)
    run_image(exec, &exec->lane[0], pool, image);
}

void mk_exec_forward(mk_exec *exec, mk_pool *pool, int batch)
{
  if (exec->image_steps) run_images(exec, pool, batch);
  run_steps(exec, pool, batch, exec->image_steps, exec->step_count);
}
