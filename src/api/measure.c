/* mkd_measure_...: where the time of scoring goes. */
#include "core/memory.h"
#include "detect/inspector.h"
#include "detect/localize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MIN_ROUNDS = 5, MAX_ROUNDS = 1000 };
static const double budget_ms = 300; /* of each part */

static double milliseconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* One run of a part: returns the milliseconds that count. */
typedef mkd_status part_run(void *context, double *ms);

/* Median of as many runs as fit the budget. The first one, with cold caches, is left out, unless it
 * takes all of the budget. */
static mkd_status median(double *ms, part_run *run, void *context)
{
  double times[MAX_ROUNDS], end = milliseconds() + budget_ms;
  int count = 0;
  MK_TRY(run(context, ms));
  if (*ms > budget_ms) return MKD_OK;
  while (count < MIN_ROUNDS || (count < MAX_ROUNDS && milliseconds() < end))
    MK_TRY(run(context, &times[count++]));
  qsort(times, (size_t)count, sizeof *times, ascending);
  *ms = times[count / 2];
  return MKD_OK;
}

static mkd_status count_gflop(double *gflop, const mk_graph *graph, int height, int width)
{
  *gflop = 0;
  for (int i = 1; i < graph->count; ++i) {
    mk_shape shape;
    if (graph->ops[i].kind != MK_OP_CONV) continue;
    MK_TRY(mk_graph_shape(graph, i, height, width, &shape));
    *gflop += 2e-9 * shape.height * shape.width * (double)graph->ops[i].weight_count;
  }
  return MKD_OK;
}

/* ---- Stages ---------------------------------------------------------------------------------- */

typedef struct {
  const mkd_detector *detector;
  const mkd_image *image;
  mkd_localize localize;
  mk_pool *pool;
  mk_inspector *inspector;
  mk_localizer *localizer;
  uint16_t *input;
  float *map, *grown;
  mk_scratch scratch;
} stages;

static void fill_input(const stages *s)
{
  mk_input_normalise(mk_inspector_input(s->inspector), s->input, &s->detector->input);
}

static mkd_status run_resize(void *context, double *ms)
{
  stages *s = context;
  double start = milliseconds();
  mk_scratch_reset(&s->scratch);
  MK_TRY(mk_input_read(s->input, &s->detector->input, s->image, s->pool, &s->scratch));
  fill_input(s);
  *ms = milliseconds() - start;
  return MKD_OK;
}

static mkd_status run_expert(void *context, double *ms)
{
  const stages *s = context;
  fill_input(s);
  double start = milliseconds();
  mk_exec_forward(s->inspector->expert, s->pool, 1);
  *ms = milliseconds() - start;
  return MKD_OK;
}

static mkd_status run_cloner(void *context, double *ms)
{
  const stages *s = context;
  mk_input_normalise(mk_exec_input(s->inspector->cloner), s->input, &s->detector->input);
  double start = milliseconds();
  mk_exec_forward(s->inspector->cloner, s->pool, 1);
  *ms = milliseconds() - start;
  return MKD_OK;
}

/* Both networks and what comes after them. */
static mkd_status run_inspect(void *context, double *ms)
{
  const stages *s = context;
  fill_input(s);
  double start = milliseconds();
  mk_inspect(s->inspector);
  mk_inspector_score(s->inspector, &s->detector->calibration);
  *ms = milliseconds() - start;
  return MKD_OK;
}

/* SmoothGrad changes the input, so that every run starts from a new inspection. */
static mkd_status run_map(void *context, double *ms)
{
  stages *s = context;
  const mkd_detector *d = s->detector;
  fill_input(s);
  mk_inspect(s->inspector);
  double start = milliseconds();
  MK_TRY(mk_localize(s->map, s->localizer, s->inspector, s->localize, &d->calibration));
  mk_scratch_reset(&s->scratch);
  MK_TRY(mk_input_map_to_image(s->grown, s->image->width, s->image->height, s->map, &d->input,
                               s->pool, &s->scratch));
  *ms = milliseconds() - start;
  return MKD_OK;
}

static mkd_status stages_create(stages *s, const mkd_session_options *options)
{
  const mkd_detector *d = s->detector;
  size_t pixels = (size_t)s->image->width * (size_t)s->image->height;
  s->localize = options->localize ? options->localize : d->calibration.localize;
  MK_TRY(mk_pool_create(&s->pool, options->threads));
  MK_TRY(mk_inspector_create(&s->inspector, d, s->pool, mk_localize_inspector(s->localize)));
  MK_TRY(mk_localizer_create(&s->localizer, d, s->localize));
  s->localizer->plain = options->plain_map;
  MK_TRY(mk_alloc(&s->input, mk_input_size(&d->input), sizeof *s->input));
  MK_TRY(mk_alloc(&s->map, (size_t)d->input.width * (size_t)d->input.height, sizeof *s->map));
  return mk_alloc(&s->grown, pixels, sizeof *s->grown);
}

static void stages_free(stages *s)
{
  mk_inspector_destroy(s->inspector);
  mk_localizer_destroy(s->localizer);
  mk_pool_destroy(s->pool);
  mk_free(s->input);
  mk_free(s->map);
  mk_free(s->grown);
  mk_scratch_free(&s->scratch);
}

static mkd_status measure_stages(stages *s, mkd_measure_report *report, void *context)
{
  const mk_input_spec *input = &s->detector->input;
  mkd_measurement resize = {.name = "resize"}, expert = {.name = "expert"},
                  cloner = {.name = "cloner"}, score = {.name = "score"}, map = {.name = "map"};
  MK_TRY(count_gflop(&expert.gflop, s->detector->expert, input->height, input->width));
  MK_TRY(count_gflop(&cloner.gflop, s->detector->cloner, input->height, input->width));
  MK_TRY(median(&resize.ms, run_resize, s));
  MK_TRY(median(&expert.ms, run_expert, s));
  MK_TRY(median(&cloner.ms, run_cloner, s));
  MK_TRY(median(&score.ms, run_inspect, s));
  score.ms -= expert.ms + cloner.ms;
  if (score.ms < 0) score.ms = 0; /* within the noise of the other two */
  report(context, &resize);
  report(context, &expert);
  report(context, &cloner);
  report(context, &score);
  if (s->localize == MKD_LOCALIZE_NONE) return MKD_OK;
  MK_TRY(median(&map.ms, run_map, s));
  report(context, &map);
  return MKD_OK;
}

mkd_status mkd_measure_stages(const mkd_detector *detector, const mkd_image *image,
                              const mkd_session_options *options, mkd_measure_report *report,
                              void *context)
{
  mkd_session_options defaults = mkd_session_options_default();
  mkd_session *session;
  /* A session of the same kind checks the options, and its score the image. */
  mkd_result result;
  MK_TRY(mkd_session_create(&session, detector, options));
  mkd_status status = mkd_session_score(session, image, &result);
  mkd_session_destroy(session);
  MK_TRY(status);
  mk_tile_grid grid;
  MK_TRY(mk_input_tiles(&grid, &detector->input, image));
  mkd_image tile = mk_tile_view(image, &grid, 0);
  stages s = {.detector = detector, .image = &tile};
  status = stages_create(&s, options ? options : &defaults);
  if (status == MKD_OK) status = measure_stages(&s, report, context);
  stages_free(&s);
  return status;
}

/* ---- Layers ---------------------------------------------------------------------------------- */

/* An operation alone, on an input of the size that it has in its network. */
typedef struct {
  mk_pool *pool;
  mk_exec *exec;
} single;

static mkd_status run_single(void *context, double *ms)
{
  const single *s = context;
  double start = milliseconds();
  mk_exec_forward(s->exec, s->pool, 1);
  *ms = milliseconds() - start;
  return MKD_OK;
}

static void describe(char *text, size_t size, const mk_op *op, mk_shape src)
{
  if (op->kind == MK_OP_MAX_POOL)
    snprintf(text, size, "pool %dx%d/%d %dx%dx%d", op->kernel, op->kernel, op->stride, src.height,
             src.width, src.channels);
  else if (op->groups > 1)
    snprintf(text, size, "depthwise %dx%d/%d %dx%dx%d", op->kernel, op->kernel, op->stride,
             src.height, src.width, src.channels);
  else
    snprintf(text, size, "conv %dx%d/%d %dx%dx%d to %d", op->kernel, op->kernel, op->stride,
             src.height, src.width, src.channels, op->channels);
}

static mkd_status measure_alone(mkd_measurement *m, const mk_graph *graph, mk_shape src,
                                mk_pool *pool)
{
  mk_net *net = NULL;
  single s = {.pool = pool};
  const int output = 1;
  mk_exec_options options = {.batch = 1, .height = src.height, .width = src.width};
  MK_TRY(count_gflop(&m->gflop, graph, src.height, src.width));
  MK_TRY(mk_net_create(&net, graph, mk_kernels_best()));
  mkd_status status = mk_exec_create(&s.exec, net, &output, 1, &options);
  if (status == MKD_OK) status = median(&m->ms, run_single, &s);
  mk_exec_destroy(s.exec);
  mk_net_destroy(net);
  return status;
}

static mkd_status measure_op(const mk_op *op, mk_shape src, const char *name, mk_pool *pool,
                             mkd_measure_report *report, void *context)
{
  mk_graph *graph;
  mkd_measurement m = {.name = name};
  MK_TRY(mk_graph_create(&graph, src.channels));
  mkd_status status = mk_graph_append_copy(graph, NULL, op, 0, -1);
  if (status == MKD_OK) status = measure_alone(&m, graph, src, pool);
  mk_graph_destroy(graph);
  if (status == MKD_OK) report(context, &m);
  return status;
}

static mkd_status source_shape(mk_shape *shape, const mk_graph *graph, const mk_op *op,
                               const mk_input_spec *input)
{
  return mk_graph_shape(graph, op->src[0], input->height, input->width, shape);
}

static mkd_status describe_op(char text[MK_NAME_MAX], const mk_graph *graph, int index,
                              const mk_input_spec *input)
{
  mk_shape src;
  MK_TRY(source_shape(&src, graph, &graph->ops[index], input));
  describe(text, MK_NAME_MAX, &graph->ops[index], src);
  return MKD_OK;
}

static bool has_kernel(const mk_op *op)
{
  return op->kind == MK_OP_CONV || op->kind == MK_OP_MAX_POOL;
}

/* Layers of the same shape are measured once. */
static mkd_status measure_network(const mk_graph *graph, const mk_input_spec *input, mk_pool *pool,
                                  mkd_measure_report *report, void *context)
{
  char name[MK_NAME_MAX], earlier[MK_NAME_MAX];
  for (int i = 1; i < graph->count; ++i) {
    bool seen = false;
    if (!has_kernel(&graph->ops[i])) continue;
    MK_TRY(describe_op(name, graph, i, input));
    for (int k = 1; !seen && k < i; ++k) {
      if (!has_kernel(&graph->ops[k])) continue;
      MK_TRY(describe_op(earlier, graph, k, input));
      seen = strcmp(name, earlier) == 0;
    }
    if (seen) continue;
    mk_shape src;
    MK_TRY(source_shape(&src, graph, &graph->ops[i], input));
    MK_TRY(measure_op(&graph->ops[i], src, name, pool, report, context));
  }
  return MKD_OK;
}

mkd_status mkd_measure_layers(const mkd_detector *detector, int threads, mkd_measure_report *report,
                              void *context)
{
  mk_pool *pool;
  MK_TRY(mk_pool_create(&pool, threads));
  mkd_status status = measure_network(detector->expert, &detector->input, pool, report, context);
  if (status == MKD_OK)
    status = measure_network(detector->cloner, &detector->input, pool, report, context);
  mk_pool_destroy(pool);
  return status;
}
