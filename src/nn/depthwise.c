/* Depthwise convolution, alone or together with the convolution that makes its source.
 *
 * The source of a depthwise convolution is often the widest activation of a network, and each of
 * its channels is needed for one channel only. So it is made a panel of channels and a few lines at
 * a time, in a buffer that stays in the cache, and is never whole in memory. */
#include "nn/plan.h"

#include <string.h>

enum {
  BUFFER = 1 << 14, /* floats, on the stack */
  NEAR = 6 << 10    /* of these, as many as stay in the first-level cache are used */
};

static int source_end(const mk_window *w, int line) /* past the last source line of dst line */
{
  int end = line * w->stride - w->pad_top + w->kernel;
  return end < w->src_height ? end : w->src_height;
}

static int source_begin(const mk_window *w, int line)
{
  int begin = line * w->stride - w->pad_top;
  return begin < 0 ? 0 : begin < w->src_height ? begin : w->src_height;
}

/* Of a source line with zeros on both sides, so that all columns are inside. */
static int padded_width(const mk_window *w)
{
  int right = (w->dst_width - 1) * w->stride + w->kernel, end = w->pad_left + w->src_width;
  return right > end ? right : end;
}

bool mk_can_feed(const mk_exec *exec, const mk_step *feeder, const mk_step *step)
{
  const mk_op *conv = feeder->op, *depthwise = step->op;
  if (conv->kind != MK_OP_CONV || conv->groups != 1 || feeder->winograd.tile ||
      feeder->src[1] >= 0 || depthwise->kind != MK_OP_CONV || depthwise->groups == 1)
    return false;
  size_t line = (size_t)padded_width(&step->window) * (size_t)exec->net->kernels->wide_panel;
  return (size_t)(depthwise->kernel + depthwise->stride) * line <= BUFFER;
}

static mk_depthwise depthwise_of(const mk_exec *exec, const mk_step *step, int image)
{
  return (mk_depthwise){
      .window = step->window,
      .dst = mk_value_data(exec, step->dst) +
             (size_t)image * mk_shape_size(exec->values[step->dst].shape),
      .dst_pixel = step->op->channels,
      .weights = step->op->weights,
      .bias = step->op->bias,
      .activation = step->activation,
  };
}

/* ---- Alone ----------------------------------------------------------------------------------- */

static void run_lines(const mk_exec *exec, const mk_step *step, int batch, size_t begin, size_t end)
{
  (void)batch;
  size_t height = (size_t)step->window.dst_height;
  size_t source = mk_shape_size(exec->values[step->src[0]].shape);
  while (begin < end) {
    size_t image = begin / height, first = begin % height;
    size_t last = end - image * height < height ? end - image * height : height;
    mk_depthwise op = depthwise_of(exec, step, (int)image);
    op.src = mk_value_data(exec, step->src[0]) + image * source;
    op.src_pixel = step->op->channels;
    exec->net->kernels->depthwise(&op, (int)first, (int)last);
    begin = image * height + last;
  }
}

/* ---- Fed ------------------------------------------------------------------------------------- */

typedef struct {
  const mk_exec *exec;
  const mk_step *step;
  const float *src; /* of the feeder */
  int panels, segments, segment_lines;
} feed_job;

static int panel_channels(const feed_job *job, int panel)
{
  const mk_kernels *kernels = job->exec->net->kernels;
  int channels = job->step->op->channels, left = channels - panel * kernels->panel;
  int width = mk_panel_width(kernels, channels, panel);
  return left < width ? left : width;
}

/* Lines [begin, end) of the feeder's output to dst: padded lines, of the channels of one panel. */
static void feed(const feed_job *job, float *dst, int image, int panel, int begin, int end)
{
  const mk_step *feeder = job->step->feeder;
  const mk_kernels *kernels = job->exec->net->kernels;
  const mk_gather *g = &feeder->gather;
  int first = panel * kernels->panel, channels = panel_channels(job, panel);
  mk_gather_gemm op = {.gather = *g,
                       .packed =
                           feeder->packed + (size_t)first * (size_t)g->taps * (size_t)g->depth,
                       .bias = feeder->op->bias ? feeder->op->bias + first : NULL,
                       .activation = feeder->activation,
                       .dst = dst,
                       .dst_height = end - begin,
                       .dst_width = padded_width(&job->step->window),
                       .channels = channels,
                       .dst_step = 1,
                       .dst_y = -begin,
                       .dst_x = job->step->window.pad_left};
  op.gather.batch = 1;
  op.gather.src = job->src + (size_t)image * (size_t)g->src_height * (size_t)g->src_width *
                                 (size_t)g->src_channels;
  kernels->gather_gemm(&op, (size_t)begin * (size_t)g->grid_width,
                       (size_t)end * (size_t)g->grid_width, 0, 1);
}

/* Zeros on both sides of some lines; what is fed comes in between. */
static void pad_sides(float *lines, int count, const mk_window *w, int channels)
{
  size_t left = (size_t)(w->pad_left * channels), inside = (size_t)(w->src_width * channels);
  size_t right = (size_t)(padded_width(w) * channels) - left - inside;
  for (int i = 0; i < count; ++i, lines += left + inside + right) {
    memset(lines, 0, left * sizeof *lines);
    memset(lines + left + inside, 0, right * sizeof *lines);
  }
}

/* Down the lines of a segment: those that the next dst lines need again move to the buffer's top.
 */
static void feed_segment(void *context, size_t index, int worker)
{
  (void)worker;
  const feed_job *job = context;
  int panel = (int)(index % (size_t)job->panels);
  int segment = (int)(index / (size_t)job->panels % (size_t)job->segments);
  int image = (int)(index / (size_t)job->panels / (size_t)job->segments);
  const mk_kernels *kernels = job->exec->net->kernels;
  const mk_window *w = &job->step->window;
  int first = panel * kernels->panel, channels = panel_channels(job, panel);
  mk_depthwise op = depthwise_of(job->exec, job->step, image);
  op.window.channels = channels;
  op.window.src_width = padded_width(w);
  op.window.pad_left = 0;
  op.dst += first;
  op.weights += first;
  if (op.bias) op.bias += first;
  float buffer[BUFFER];
  op.src = buffer;
  op.src_pixel = channels;
  size_t line = (size_t)op.window.src_width * (size_t)channels;
  int room = (int)(NEAR / line);
  if (room < w->kernel + w->stride) room = w->kernel + w->stride; /* for at least two dst lines */
  int y = segment * job->segment_lines, last = y + job->segment_lines;
  if (last > w->dst_height) last = w->dst_height;
  int top = 0, made = 0; /* source lines [top, made) are in the buffer */
  int most = source_end(w, last - 1) - source_begin(w, y);
  pad_sides(buffer, most < room ? most : room, w, channels);
  while (y < last) {
    int begin = source_begin(w, y), end = y + 1;
    while (end < last && source_end(w, end) - begin <= room) ++end;
    if (made > begin)
      memmove(buffer, buffer + (size_t)(begin - top) * line,
              (size_t)(made - begin) * line * sizeof *buffer);
    else
      made = begin;
    top = begin;
    int wanted = source_end(w, end - 1);
    if (wanted > made) feed(job, buffer + (size_t)(made - top) * line, image, panel, made, wanted);
    made = wanted > made ? wanted : made;
    op.src_top = top;
    kernels->depthwise(&op, y, end);
    y = end;
  }
}

static void run_fed(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  const mk_kernels *kernels = exec->net->kernels;
  int height = step->window.dst_height, threads = mk_pool_threads(pool);
  feed_job job = {.exec = exec,
                  .step = step,
                  .src = mk_conv_source(exec, step->feeder, pool, batch),
                  .panels = mk_panel_count(kernels, step->op->channels),
                  .segments = 1};
  /* A segment makes its first lines anew: no more segments than keep all threads busy. */
  int tasks = batch * job.panels;
  if (threads > 1 && tasks < 4 * threads) job.segments = (4 * threads + tasks - 1) / tasks;
  if (job.segments > height) job.segments = height;
  job.segment_lines = (height + job.segments - 1) / job.segments;
  mk_pool_run(pool, (size_t)(tasks * job.segments), feed_segment, &job);
}

void mk_run_depthwise(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch)
{
  if (step->feeder)
    run_fed(exec, step, pool, batch);
  else
    mk_run_ranges(exec, step, pool, batch, (size_t)batch * (size_t)step->window.dst_height, 4,
                  run_lines);
}
