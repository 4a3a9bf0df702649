/* Shapes, steps and memory of an exec. */
#include "nn/plan.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KERNEL = 16, MAX_SIDE = 1 << 16, MERGE_CHANNELS = 4 };

/* ---- Shapes ---------------------------------------------------------------------------------- */

typedef struct {
  int out, before;
} extent; /* of one axis: output length, zeros before the first pixel */

static extent window_extent(const mk_op *op, int length)
{
  if (op->kind == MK_OP_CONV && op->pad_mode == MK_PAD_SAME) {
    int out = (length + op->stride - 1) / op->stride;
    int total = (out - 1) * op->stride + op->kernel - length;
    return (extent){out, total > 0 ? total / 2 : 0};
  }
  int pad = op->kind == MK_OP_CONV ? op->pad : 0;
  int room = length + 2 * pad - op->kernel;
  return (extent){room < 0 ? 0 : room / op->stride + 1, pad};
}

static mkd_status op_shape(const mk_op *op, const mk_shape *shapes, mk_shape *shape)
{
  mk_shape src = shapes[op->src[0]];
  *shape = src;
  if (op->kind == MK_OP_CONV || op->kind == MK_OP_MAX_POOL) {
    shape->height = window_extent(op, src.height).out;
    shape->width = window_extent(op, src.width).out;
    shape->channels = op->channels;
    if (shape->height < 1 || shape->width < 1)
      return mk_fail(MKD_ERROR_ARGUMENT,
                     "input size: too small for the network: %dx%d pixels are left before '%s', "
                     "which looks at %dx%d",
                     src.width, src.height, op->name, op->kernel, op->kernel);
    if (op->kernel > MAX_KERNEL)
      return mk_fail(MKD_ERROR_FILE, "'%s': kernel %dx%d is larger than %d", op->name, op->kernel,
                     op->kernel, MAX_KERNEL);
  }
  if (op->kind == MK_OP_ADD) {
    mk_shape other = shapes[op->src[1]];
    if (other.height != src.height || other.width != src.width || other.channels != src.channels)
      return mk_fail(MKD_ERROR_FILE, "'%s': adds %dx%dx%d and %dx%dx%d, which differ", op->name,
                     src.width, src.height, src.channels, other.width, other.height,
                     other.channels);
  }
  return MKD_OK;
}

static mkd_status all_shapes(const mk_graph *graph, int height, int width, mk_shape *shapes)
{
  if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE)
    return mk_fail(MKD_ERROR_ARGUMENT, "input size: %dx%d is not in 1 .. %d", width, height,
                   MAX_SIDE);
  shapes[0] = (mk_shape){height, width, graph->ops[0].channels};
  for (int i = 1; i < graph->count; ++i) MK_TRY(op_shape(&graph->ops[i], shapes, &shapes[i]));
  return MKD_OK;
}

mkd_status mk_graph_shape(const mk_graph *graph, int op, int height, int width, mk_shape *shape)
{
  mk_shape *shapes;
  MK_TRY(mk_alloc(&shapes, (size_t)graph->count, sizeof *shapes));
  mkd_status status = all_shapes(graph, height, width, shapes);
  if (status == MKD_OK) *shape = shapes[op];
  mk_free(shapes);
  return status;
}

mkd_status mk_plan_shapes(mk_exec *exec)
{
  mk_shape *shapes;
  MK_TRY(mk_alloc(&shapes, (size_t)exec->graph->count, sizeof *shapes));
  mkd_status status = all_shapes(exec->graph, exec->options.height, exec->options.width, shapes);
  for (int i = 0; i < exec->graph->count; ++i) exec->values[i].shape = shapes[i];
  mk_free(shapes);
  return status;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static int consumers(const mk_graph *graph, int index, int *last)
{
  int count = 0;
  for (int i = 1; i < graph->count; ++i) {
    for (int s = 0; s < 2; ++s) {
      if (graph->ops[i].src[s] != index) continue;
      ++count;
      *last = i;
    }
  }
  return count;
}

static bool can_fuse(const mk_exec *exec, int index, int *activation)
{
  const mk_op *op = &exec->graph->ops[index];
  if (op->kind != MK_OP_CONV && op->kind != MK_OP_BATCH_NORM) return false;
  if (exec->values[index].wanted || consumers(exec->graph, index, activation) != 1) return false;
  mk_op_kind next = exec->graph->ops[*activation].kind;
  return next == MK_OP_RELU || next == MK_OP_RELU6;
}

static mk_activation activation_of(mk_op_kind kind)
{
  return kind == MK_OP_RELU ? MK_ACT_RELU : kind == MK_OP_RELU6 ? MK_ACT_RELU6 : MK_ACT_NONE;
}

/* Sets tile 0 where direct convolution is faster. */
static mkd_status plan_winograd(const mk_exec *exec, const mk_step *step, bool backward,
                                mk_shape src, mk_shape dst, int pad_top, int pad_left,
                                mk_winograd *winograd)
{
  const mk_net *net = exec->net;
  *winograd =
      (mk_winograd){.tile = mk_winograd_tile(net->kernels, step->op->kernel, step->op->stride,
                                             src.channels, dst.channels, dst.height, dst.width),
                    .batch = exec->options.batch,
                    .src_height = src.height,
                    .src_width = src.width,
                    .src_channels = src.channels,
                    .pad_top = pad_top,
                    .pad_left = pad_left,
                    .zeros = exec->zeros,
                    .dst_height = dst.height,
                    .dst_width = dst.width,
                    .channels = dst.channels};
  if (!winograd->tile) return MKD_OK;
  return mk_net_winograd_weights(net, step->index, winograd->tile, backward, &winograd->packed);
}

static mkd_status plan_gather(mk_exec *exec, mk_step *step)
{
  const mk_op *op = step->op;
  mk_shape src = exec->values[step->src[0]].shape, dst = exec->values[step->dst].shape;
  int k = op->kernel, s = op->stride;
  extent y = window_extent(op, src.height), x = window_extent(op, src.width);
  MK_TRY(mk_alloc(&step->offsets, (size_t)(4 * k * k), sizeof(int)));
  int *dy = step->offsets, *dx = dy + k * k;
  step->padded = src.channels <= MERGE_CHANNELS && k > 1;
  step->gather = (mk_gather){.src_height = src.height,
                             .src_width = src.width,
                             .src_channels = src.channels,
                             .grid_height = dst.height,
                             .grid_width = dst.width,
                             .step = s,
                             .taps = k * k,
                             .depth = src.channels,
                             .dy = dy,
                             .dx = dx,
                             .zeros = exec->zeros};
  for (int t = 0; t < k * k; ++t) {
    dy[t] = t / k - y.before;
    dx[t] = t % k - x.before;
  }
  if (step->padded) {
    step->padded_height = (dst.height - 1) * s + k;
    step->padded_width = (dst.width - 1) * s + k;
    step->pad_top = y.before;
    step->pad_left = x.before;
    step->gather.src_height = step->padded_height;
    step->gather.src_width = step->padded_width;
    step->gather.taps = k;
    step->gather.depth = k * src.channels;
    for (int t = 0; t < k; ++t) {
      dy[t] = t;
      dx[t] = 0;
    }
  }
  MK_TRY(plan_winograd(exec, step, false, src, dst, y.before, x.before, &step->winograd));
  if (exec->options.train &&
      mk_winograd_suits_gradient(exec->net->kernels, k, s, &step->winograd)) {
    step->winograd_wgrad = step->winograd;
    step->winograd_wgrad.tile = 4;
  }
  if (step->winograd.tile) return MKD_OK;
  return mk_net_forward_weights(exec->net, step->index, &step->packed);
}

static mkd_status plan_backward_data(mk_exec *exec, mk_step *step)
{
  const mk_op *op = step->op;
  mk_shape src = exec->values[step->src[0]].shape, dst = exec->values[step->dst].shape;
  int k = op->kernel, s = op->stride;
  extent y = window_extent(op, src.height), x = window_extent(op, src.width);
  MK_TRY(plan_winograd(exec, step, true, dst, src, k - 1 - y.before, k - 1 - x.before,
                       &step->winograd_backward));
  if (step->winograd_backward.tile) return MKD_OK;

  /* Source pixel y meets kernel row ky at output row (y + before - ky) / s. */
  MK_TRY(mk_alloc(&step->phases, (size_t)(s * s), sizeof *step->phases));
  int *next = step->offsets + 2 * k * k;
  for (int py = 0; py < s; ++py) {
    for (int px = 0; px < s; ++px) {
      int qy = (py + y.before) % s, qx = (px + x.before) % s;
      int rows = mk_phase_taps(k, s, qy), columns = mk_phase_taps(k, s, qx);
      mk_phase *phase = &step->phases[py * s + px];
      int *phase_dy = next, *phase_dx = next + rows * columns;
      next = phase_dx + rows * columns;
      for (int t = 0; t < rows * columns; ++t) {
        phase_dy[t] = (py + y.before - (qy + t / columns * s)) / s;
        phase_dx[t] = (px + x.before - (qx + t % columns * s)) / s;
      }
      *phase = (mk_phase){.gather = {.src_height = dst.height,
                                     .src_width = dst.width,
                                     .src_channels = dst.channels,
                                     .grid_height = (src.height - py + s - 1) / s,
                                     .grid_width = (src.width - px + s - 1) / s,
                                     .step = 1,
                                     .taps = rows * columns,
                                     .depth = dst.channels,
                                     .dy = phase_dy,
                                     .dx = phase_dx,
                                     .zeros = exec->zeros},
                          .dst_y = py,
                          .dst_x = px};
      MK_TRY(mk_net_backward_weights(exec->net, step->index, qy, qx, &phase->packed));
    }
  }
  return MKD_OK;
}

static void plan_window(mk_exec *exec, mk_step *step)
{
  mk_shape src = exec->values[step->src[0]].shape, dst = exec->values[step->dst].shape;
  step->window = (mk_window){.channels = dst.channels,
                             .src_height = src.height,
                             .src_width = src.width,
                             .dst_height = dst.height,
                             .dst_width = dst.width,
                             .kernel = step->op->kernel,
                             .stride = step->op->stride,
                             .pad_top = window_extent(step->op, src.height).before,
                             .pad_left = window_extent(step->op, src.width).before};
}

static mkd_status plan_parameters(mk_exec *exec, mk_step *step)
{
  const mk_op *op = step->op;
  size_t channels = (size_t)op->channels;
  if (op->kind == MK_OP_BATCH_NORM) {
    MK_TRY(mk_alloc(&step->mean, channels, sizeof(float)));
    MK_TRY(mk_alloc(&step->variance, channels, sizeof(float)));
    MK_TRY(mk_alloc(&step->inverse_deviation, channels, sizeof(float)));
  }
  if (!exec->options.train || !op->weights) return MKD_OK;
  MK_TRY(mk_alloc(&step->weight_gradient, op->weight_count, sizeof(float)));
  if (op->bias) MK_TRY(mk_alloc(&step->bias_gradient, channels, sizeof(float)));
  return MKD_OK;
}

/* ---- Steps in one ---------------------------------------------------------------------------- */

static const mk_step *maker(const mk_exec *exec, int op)
{
  for (int i = 0; i < exec->step_count; ++i) {
    if (exec->steps[i].dst == op) return &exec->steps[i];
  }
  return NULL;
}

/* A sum whose second-made addend is a convolution's output that nobody else reads becomes part of
 * the convolution. */
static bool fuse_sum(mk_exec *exec, const mk_step *sum)
{
  const mk_step *makers[] = {maker(exec, sum->src[0]), maker(exec, sum->src[1])};
  int later = makers[0] > makers[1] ? 0 : 1, last;
  mk_step *conv = makers[later] ? &exec->steps[makers[later] - exec->steps] : NULL;
  if (!conv || conv->op->kind != MK_OP_CONV || conv->op->groups != 1 || conv->winograd.tile ||
      conv->activation != MK_ACT_NONE || conv->src[1] >= 0 || exec->values[conv->dst].wanted ||
      consumers(exec->graph, conv->dst, &last) != 1)
    return false;
  conv->src[1] = sum->src[1 - later];
  conv->dst = sum->dst;
  return true;
}

/* For execs that go forward only: nobody asks for what is in between. */
static void fuse_steps(mk_exec *exec)
{
  int count = 0, last;
  for (int i = 0; i < exec->step_count; ++i) {
    mk_step *step = &exec->steps[i];
    if (step->op->kind != MK_OP_ADD || !fuse_sum(exec, step)) exec->steps[count++] = *step;
  }
  exec->step_count = count;
  for (int i = 0; i + 1 < count; ++i) {
    mk_step *feeder = &exec->steps[i], *step = feeder + 1;
    if (feeder->dst != step->src[0] || exec->values[feeder->dst].wanted ||
        consumers(exec->graph, feeder->dst, &last) != 1 || !mk_can_feed(exec, feeder, step))
      continue;
    feeder->feeds = true;
    step->feeder = feeder;
  }
}

/* How many of the first steps run image by image. */
static int count_image_steps(const mk_exec *exec)
{
  int count = 0;
  for (; count < exec->step_count; ++count) {
    const mk_step *step = &exec->steps[count];
    size_t weights = step->op->weight_count * (step->winograd.tile ? 4 : 1);
    size_t activations = mk_shape_size(exec->values[step->src[0]].shape) +
                         mk_shape_size(exec->values[step->dst].shape);
    if (weights > activations && !step->feeder) break;
  }
  return count > 0 && exec->steps[count - 1].feeds ? count - 1 : count;
}

/* ---- All steps ------------------------------------------------------------------------------- */

/* An operation that nobody reads would get no gradient. */
static mkd_status check_readers(const mk_exec *exec)
{
  for (int i = 0; i < exec->graph->count; ++i) {
    int reader;
    if (!exec->values[i].wanted && consumers(exec->graph, i, &reader) == 0)
      return mk_fail(MKD_ERROR_ARGUMENT, "operation %d '%s' serves no output", i,
                     exec->graph->ops[i].name);
  }
  return MKD_OK;
}

mkd_status mk_plan_steps(mk_exec *exec)
{
  MK_TRY(check_readers(exec));
  const mk_graph *graph = exec->graph;
  size_t zeros = 1;
  for (int i = 0; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    mk_value *value = &exec->values[i];
    size_t depth = (size_t)value->shape.channels * MAX_KERNEL;
    if (depth > zeros) zeros = depth;
    value->gradient = i == 0 ? exec->options.input_gradient
                             : (exec->options.train && op->weights) ||
                                   exec->values[op->src[0]].gradient ||
                                   (op->src[1] >= 0 && exec->values[op->src[1]].gradient);
  }
  MK_TRY(mk_alloc(&exec->zeros, zeros, sizeof(float)));
  MK_TRY(mk_alloc(&exec->steps, (size_t)graph->count, sizeof *exec->steps));
  for (int i = 1; i < graph->count; ++i) {
    const mk_op *op = &graph->ops[i];
    int previous = op->src[0], fused = i;
    if (activation_of(op->kind) != MK_ACT_NONE && can_fuse(exec, previous, &fused)) continue;
    mk_step *step = &exec->steps[exec->step_count++];
    *step = (mk_step){.op = op, .index = i, .src = {op->src[0], op->src[1]}, .dst = i};
    if (can_fuse(exec, i, &fused)) {
      step->dst = fused;
      step->activation = activation_of(graph->ops[fused].kind);
    } else {
      step->activation = activation_of(op->kind);
    }
    if (op->kind == MK_OP_CONV && op->groups == 1) {
      MK_TRY(plan_gather(exec, step));
      if (exec->values[step->src[0]].gradient) MK_TRY(plan_backward_data(exec, step));
    } else if (op->kind == MK_OP_CONV || op->kind == MK_OP_MAX_POOL) {
      plan_window(exec, step);
    }
    MK_TRY(plan_parameters(exec, step));
  }
  /* Going backward, the first that touches a gradient sets it, unless the caller already has. */
  bool *set;
  MK_TRY(mk_alloc(&set, (size_t)graph->count, sizeof *set));
  for (int i = 0; i < graph->count; ++i) set[i] = exec->values[i].wanted;
  for (int i = exec->step_count - 1; i >= 0; --i) {
    mk_step *step = &exec->steps[i];
    for (int s = 0; s < 2 && step->src[s] >= 0; ++s) {
      step->accumulate[s] = set[step->src[s]];
      set[step->src[s]] = true;
    }
  }
  mk_free(set);
  if (exec->options.train || exec->options.input_gradient) return MKD_OK;
  fuse_steps(exec);
  if (exec->options.batch > 1) exec->image_steps = count_image_steps(exec);
  return MKD_OK;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* A block of memory that is in use from time `from` to time `to`. Forward steps are at times
 * 0 .. S - 1, the caller fills gradients at S, backward step i is at 2 S - i. */
typedef struct {
  size_t size, at, *result;
  int from, to;
} block;

static int larger_first(const void *a, const void *b)
{
  const block *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  return x->result < y->result ? -1 : x->result > y->result;
}

/* First fit, large blocks first. Returns the total size. */
static size_t place(block *blocks, int count)
{
  size_t total = 0;
  qsort(blocks, (size_t)count, sizeof *blocks, larger_first);
  for (int i = 0; i < count; ++i) {
    size_t at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (int j = 0; j < i; ++j) {
        bool together = blocks[i].from <= blocks[j].to && blocks[j].from <= blocks[i].to;
        bool overlap = at < blocks[j].at + blocks[j].size && blocks[j].at < at + blocks[i].size;
        if (!together || !overlap) continue;
        at = blocks[j].at + blocks[j].size;
        moved = true;
      }
    }
    blocks[i].at = *blocks[i].result = at;
    if (at + blocks[i].size > total) total = at + blocks[i].size;
  }
  return total;
}

static size_t aligned(size_t floats)
{
  return (floats + MK_ALIGNMENT - 1) / MK_ALIGNMENT * MK_ALIGNMENT;
}

/* Room for `floats` of `copies` images. */
static mkd_status block_size(size_t floats, int copies, size_t *size)
{
  const size_t most = SIZE_MAX >> 20; /* so that no sum over blocks overflows, nor its bytes */
  size_t all;
  if (!mk_mul(floats, (size_t)copies, &all) || all > most) return mk_fail_memory(SIZE_MAX);
  *size = aligned(all);
  return MKD_OK;
}

/* Those of a lane are placed among themselves: lanes are not in the same step at the same time. */
typedef struct {
  block *all, *lane;
  int count, lane_count;
} block_list;

static mkd_status add_block(const mk_exec *exec, block_list *list, bool per_lane, size_t floats,
                            block added)
{
  MK_TRY(block_size(floats, per_lane ? 1 : exec->options.batch, &added.size));
  if (per_lane)
    list->lane[list->lane_count++] = added;
  else
    list->all[list->count++] = added;
  return MKD_OK;
}

static size_t padded_size(const mk_step *step)
{
  return mk_shape_size(
      (mk_shape){step->padded_height, step->padded_width, step->gather.src_channels});
}

static mkd_status collect_blocks(mk_exec *exec, block_list *list)
{
  int steps = exec->step_count, end = 2 * steps + 1;
  bool backward = exec->options.train || exec->options.input_gradient;
  int values = exec->graph->count;
  for (int v = 0; v < values; ++v) {
    mk_value *value = &exec->values[v];
    block data = {.from = -1, .to = -1, .result = &value->data_at};
    block diff = {.from = end, .to = -1, .result = &value->diff_at};
    bool produced = v == 0;
    for (int i = 0; i < steps; ++i) {
      const mk_step *step = &exec->steps[i];
      if (step->dst == v && !step->feeds) {
        produced = true;
        data.from = i;
        if (data.to < i) data.to = i;
        diff.to = 2 * steps - i;
      }
      if (step->src[0] != v && step->src[1] != v) continue;
      data.to = step->feeds ? i + 1 : i;
      if (2 * steps - i < diff.from) diff.from = 2 * steps - i;
    }
    if (!produced) continue; /* fused away */
    value->per_lane = v > 0 && !value->wanted && data.to < exec->image_steps;
    if (!value->per_lane && data.from < exec->image_steps) { /* other images are in other steps */
      data.from = -1;
      if (data.to < exec->image_steps - 1) data.to = exec->image_steps - 1;
    }
    if (value->wanted || backward) data.to = end;
    if (value->wanted) { /* the caller may write a gradient that leads nowhere */
      diff.from = steps;
      if (diff.to < steps) diff.to = steps;
    }
    if (v == 0) diff.to = end;
    size_t size = mk_shape_size(value->shape);
    MK_TRY(add_block(exec, list, value->per_lane, size, data));
    if (backward && (value->gradient || value->wanted))
      MK_TRY(add_block(exec, list, false, size, diff));
  }
  for (int i = 0; i < steps; ++i) {
    mk_step *step = &exec->steps[i];
    if (!step->padded) continue;
    block padded = {.from = i,
                    .to = exec->options.train ? end
                          : step->feeds       ? i + 1
                                              : i,
                    .result = &exec->values[step->index].padded_at};
    MK_TRY(add_block(exec, list, i < exec->image_steps, padded_size(step), padded));
  }
  return MKD_OK;
}

static mkd_status plan_scratch(mk_exec *exec)
{
  const size_t limit = (size_t)1 << 26; /* floats for all lanes, where there are very many cores */
  size_t most = 0;
  for (int i = 0; i < exec->step_count; ++i) {
    const mk_winograd *both[] = {&exec->steps[i].winograd, &exec->steps[i].winograd_backward};
    for (int k = 0; k < 2; ++k) {
      size_t size = both[k]->tile ? mk_winograd_scratch(exec->net->kernels, both[k]) : 0;
      if (size > most) most = size;
    }
    const mk_winograd *wgrad = &exec->steps[i].winograd_wgrad;
    size_t size = wgrad->tile ? mk_winograd_gradient_scratch(exec->net->kernels, wgrad) : 0;
    if (size > most) most = size;
  }
  exec->lanes = exec->options.threads > 0 ? exec->options.threads : mk_core_count();
  if (most == 0) return MKD_OK;
  exec->lane_size = most;
  if ((size_t)exec->lanes > limit / most) exec->lanes = most < limit ? (int)(limit / most) : 1;
  return mk_alloc(&exec->scratch, (size_t)exec->lanes * most, sizeof(float));
}

static size_t most_channels(const mk_graph *graph)
{
  int most = 0;
  for (int i = 0; i < graph->count; ++i)
    most = most > graph->ops[i].channels ? most : graph->ops[i].channels;
  return (size_t)most;
}

/* Offsets of all blocks, and the total size. */
static mkd_status place_all(mk_exec *exec, block_list *list, size_t *total)
{
  MK_TRY(collect_blocks(exec, list));
  size_t lanes_at = 0;
  if (exec->image_steps) {
    exec->image_lane_size = place(list->lane, list->lane_count);
    block lanes = {.from = -1, .to = exec->image_steps - 1, .result = &lanes_at};
    MK_TRY(block_size(exec->image_lane_size, exec->image_lanes, &lanes.size));
    list->all[list->count++] = lanes;
  }
  *total = place(list->all, list->count);
  for (int i = 0; i < list->lane_count; ++i) *list->lane[i].result += lanes_at;
  return MKD_OK;
}

mkd_status mk_plan_memory(mk_exec *exec)
{
  block_list list = {0};
  size_t total = 0, most = 3 * (size_t)exec->graph->count + 1;
  MK_TRY(plan_scratch(exec));
  exec->image_lanes = exec->lanes < exec->options.batch ? exec->lanes : exec->options.batch;
  mkd_status status = mk_alloc(&list.all, most, sizeof *list.all);
  if (status == MKD_OK) status = mk_alloc(&list.lane, most, sizeof *list.lane);
  if (status == MKD_OK) status = place_all(exec, &list, &total);
  mk_free(list.all);
  mk_free(list.lane);
  MK_TRY(status);
  MK_TRY(mk_alloc_any(&exec->memory, total, sizeof(float)));

  size_t channels = most_channels(exec->graph), weights = 0;
  for (int i = 0; i < exec->graph->count; ++i) {
    const mk_op *op = &exec->graph->ops[i];
    if (op->kind == MK_OP_CONV && op->weight_count > weights) weights = op->weight_count;
  }
  MK_TRY(mk_alloc(&exec->coefficients, 3 * channels, sizeof(float)));
  if (!exec->options.train) return MKD_OK;
  MK_TRY(
      mk_alloc(&exec->channel_partial, 2 * (size_t)exec->options.batch * channels, sizeof(double)));
  return mk_alloc(&exec->partial, MK_GRADIENT_GROUPS * weights, sizeof(float));
}

mkd_status mk_plan_lanes(mk_exec *exec)
{
  if (!exec->image_steps) return MKD_OK;
  size_t count = (size_t)exec->graph->count;
  MK_TRY(mk_alloc(&exec->lane, (size_t)exec->image_lanes, sizeof *exec->lane));
  for (int l = 0; l < exec->image_lanes; ++l) {
    mk_exec *lane = &exec->lane[l];
    *lane = *exec;
    lane->values = NULL;
    lane->coefficients = NULL;
    lane->lanes = 1;
    if (exec->scratch) lane->scratch = exec->scratch + (size_t)l * exec->lane_size;
  }
  for (int l = 0; l < exec->image_lanes; ++l) {
    mk_exec *lane = &exec->lane[l];
    MK_TRY(mk_alloc(&lane->values, count, sizeof *lane->values));
    MK_TRY(mk_alloc(&lane->coefficients, 3 * most_channels(exec->graph), sizeof(float)));
    memcpy(lane->values, exec->values, count * sizeof *lane->values);
    size_t shift = (size_t)l * exec->image_lane_size;
    for (size_t v = 0; v < count; ++v) {
      if (lane->values[v].per_lane) lane->values[v].data_at += shift;
    }
    for (int i = 0; i < exec->image_steps; ++i)
      lane->values[exec->steps[i].index].padded_at += shift;
  }
  return MKD_OK;
}
