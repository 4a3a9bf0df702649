/* Times the layers that the program lives on, single-threaded, against the machine's peak of fused
 * multiply-adds: forward, gradient of the source, gradient of the weights. Then a step of the
 * default cloner as a whole.
 *
 *   bench_kernels [set of kernels]
 */
#include "nn/exec.h"
#include "nn/kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 16, MAX_SETS = 8 };

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(mkd_status status)
{
  if (status == MKD_OK) return;
  fprintf(stderr, "%s\n", mkd_last_error());
  exit(1);
}

/* ---- The machine's peak ---------------------------------------------------------------------- */

enum { CHAINS = 12, LOOPS = 500000 };

/* Independent chains of x = x * a + b in registers; GFLOP/s. */
#define DEFINE_PEAK(name, lanes, target)                                                           \
  target static double name(void)                                                                  \
  {                                                                                                \
    typedef float vector __attribute__((vector_size(4 * (lanes))));                                \
    vector x[CHAINS], a, b;                                                                        \
    volatile float scale = 0.5f, sink = 0;                                                         \
    for (int l = 0; l < (lanes); ++l) a[l] = b[l] = scale;                                         \
    for (int c = 0; c < CHAINS; ++c) x[c] = a * (float)c;                                          \
    double start = now();                                                                          \
    for (int i = 0; i < LOOPS; ++i) {                                                              \
      _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; ++c) x[c] = x[c] * a + b;               \
    }                                                                                              \
    double seconds = now() - start;                                                                \
    for (int c = 0; c < CHAINS; ++c) sink += x[c][0];                                              \
    (void)sink;                                                                                    \
    return 2.0 * (lanes)*CHAINS * LOOPS / seconds * 1e-9;                                          \
  }

#if defined(__x86_64__)
DEFINE_PEAK(peak_avx512, 16, __attribute__((target("avx512f"))))
DEFINE_PEAK(peak_avx2, 8, __attribute__((target("avx2,fma"))))
#endif
DEFINE_PEAK(peak_128, 4, )

static double measure_peak(const mk_kernels *kernels)
{
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    double rate;
#if defined(__x86_64__)
    if (strcmp(kernels->name, "avx512") == 0)
      rate = peak_avx512();
    else if (strcmp(kernels->name, "avx2") == 0)
      rate = peak_avx2();
    else
#endif
      rate = peak_128();
    if (rate > best) best = rate;
  }
  return best;
}

/* ---- One pass of a graph --------------------------------------------------------------------- */

typedef struct {
  mk_graph *graph;
  int outputs[2], output_count;
} network;

static void fill(float *values, size_t count)
{
  unsigned state = 1;
  for (size_t i = 0; values && i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / (1 << 24) - 0.45f;
  }
}

static void fill_graph(mk_graph *graph)
{
  for (int i = 1; i < graph->count; ++i) {
    mk_op *op = &graph->ops[i];
    fill(op->weights, op->weight_count);
    fill(op->bias, (size_t)op->channels);
    for (int c = 0; op->variance && c < op->channels; ++c) op->variance[c] = 1;
  }
}

typedef struct {
  double forward, backward; /* best seconds of one pass */
} timing;

static timing time_passes(const network *net_graph, const mk_kernels *kernels, mk_pool *pool,
                          const mk_exec_options *options)
{
  mk_net *net;
  mk_exec *exec;
  bool backward = options->train || options->input_gradient;
  check(mk_net_create(&net, net_graph->graph, kernels));
  check(mk_exec_create(&exec, net, net_graph->outputs, net_graph->output_count, options));
  timing best = {INFINITY, INFINITY};
  double end = now() + 0.5;
  for (int round = 0; round < 3 || now() < end; ++round) {
    fill(mk_exec_input(exec), (size_t)options->batch * (size_t)options->height *
                                  (size_t)options->width *
                                  (size_t)net_graph->graph->ops[0].channels);
    double start = now();
    mk_exec_forward(exec, pool, options->batch);
    best.forward = fmin(best.forward, now() - start);
    if (!backward) continue;
    for (int k = 0; k < net_graph->output_count; ++k) {
      mk_shape shape = mk_exec_output_shape(exec, k);
      fill(mk_exec_output_gradient(exec, k), (size_t)options->batch * (size_t)shape.height *
                                                 (size_t)shape.width * (size_t)shape.channels);
    }
    start = now();
    mk_exec_backward(exec, pool, options->batch, false);
    best.backward = fmin(best.backward, now() - start);
  }
  mk_exec_destroy(exec);
  mk_net_destroy(net);
  return best;
}

/* ---- Single layers --------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  int batch, side, source, channels, kernel, stride;
  mk_op_kind kind;
  bool depthwise;
} layer;

static const layer layers[] = {
    {"VGG conv2_2", 1, 64, 128, 128, 3, 1, MK_OP_CONV, false},
    {"VGG conv3_3", 1, 32, 256, 256, 3, 1, MK_OP_CONV, false},
    {"VGG conv4_3", 1, 16, 512, 512, 3, 1, MK_OP_CONV, false},
    {"VGG conv5_3", 1, 8, 512, 512, 3, 1, MK_OP_CONV, false},
    {"VGG pool2", 1, 64, 128, 128, 2, 2, MK_OP_MAX_POOL, false},
    {"1x1 24 to 144", 1, 64, 24, 144, 1, 1, MK_OP_CONV, false},
    {"1x1 480 to 112", 1, 16, 480, 112, 1, 1, MK_OP_CONV, false},
    {"1x1 112 to 672", 1, 16, 112, 672, 1, 1, MK_OP_CONV, false},
    {"depthwise 3x3 of 144", 1, 64, 144, 144, 3, 1, MK_OP_CONV, true},
    {"depthwise 5x5 of 672", 1, 16, 672, 672, 5, 1, MK_OP_CONV, true},
    {"depthwise 5x5/2 of 672", 1, 16, 672, 672, 5, 2, MK_OP_CONV, true},
    {"cloner 7x7/4 3 to 32", BATCH, 256, 3, 32, 7, 4, MK_OP_CONV, false},
    {"cloner 3x3/2 32 to 48", BATCH, 64, 32, 48, 3, 2, MK_OP_CONV, false},
    {"cloner 3x3 48 to 48", BATCH, 32, 48, 48, 3, 1, MK_OP_CONV, false},
    {"cloner 3x3/2 48 to 64", BATCH, 32, 48, 64, 3, 2, MK_OP_CONV, false},
    {"cloner 3x3 64 to 64", BATCH, 16, 64, 64, 3, 1, MK_OP_CONV, false},
    {"cloner 3x3/2 64 to 96", BATCH, 16, 64, 96, 3, 2, MK_OP_CONV, false},
    {"cloner 3x3 96 to 96", BATCH, 8, 96, 96, 3, 1, MK_OP_CONV, false},
    {"cloner 1x1 64 to 112", BATCH, 16, 64, 112, 1, 1, MK_OP_CONV, false},
    {"cloner 1x1 96 to 320", BATCH, 8, 96, 320, 1, 1, MK_OP_CONV, false},
    {"batch norm of 32", BATCH, 64, 32, 32, 1, 1, MK_OP_BATCH_NORM, false},
    {"batch norm of 48", BATCH, 32, 48, 48, 1, 1, MK_OP_BATCH_NORM, false},
};

static void print_part(double seconds, double flop, double peak)
{
  double rate = flop / seconds * 1e-9;
  printf(" %9.3f ms", seconds * 1e3);
  if (flop > 0) printf(" %6.1f %3.0f %%", rate, 100 * rate / peak);
}

static void time_layer(const layer *l, const mk_kernels *kernels, double peak)
{
  network n = {.output_count = 1};
  check(mk_graph_create(&n.graph, l->source));
  int groups = l->depthwise ? l->source : 1;
  mk_conv conv = {l->channels, l->kernel, l->stride, groups, MK_PAD_EXPLICIT, l->kernel / 2, false};
  if (l->kind == MK_OP_CONV)
    check(mk_graph_conv(n.graph, &n.outputs[0], 0, &conv, "layer"));
  else if (l->kind == MK_OP_MAX_POOL)
    check(mk_graph_max_pool(n.graph, &n.outputs[0], 0, l->kernel, l->stride, "layer"));
  else
    check(mk_graph_batch_norm(n.graph, &n.outputs[0], 0, 1e-5f, 0.1f, "layer"));
  fill_graph(n.graph);
  mk_shape shape;
  check(mk_graph_shape(n.graph, 1, l->side, l->side, &shape));
  double flop = l->kind == MK_OP_CONV ? 2.0 * l->batch * shape.height * shape.width *
                                            (double)n.graph->ops[1].weight_count
                                      : 0;
  mk_exec_options options = {l->batch, l->side, l->side, l->kind == MK_OP_BATCH_NORM,
                             true,     0,       NULL};
  timing data = time_passes(&n, kernels, NULL, &options);
  printf("%-24s", l->name);
  print_part(data.forward, flop, peak);
  print_part(data.backward, flop, peak);
  if (l->kind == MK_OP_CONV) {
    options.train = true;
    options.input_gradient = false;
    print_part(time_passes(&n, kernels, NULL, &options).backward, flop, peak);
  }
  printf("\n");
  mk_graph_destroy(n.graph);
}

/* ---- The default cloner ---------------------------------------------------------------------- */

static int block(mk_graph *graph, int src, int channels, int kernel, int stride)
{
  mk_conv conv = {channels, kernel, stride, 1, MK_PAD_EXPLICIT, kernel / 2, false};
  check(mk_graph_conv(graph, &src, src, &conv, NULL));
  check(mk_graph_batch_norm(graph, &src, src, 1e-5f, 0.1f, NULL));
  check(mk_graph_activation(graph, &src, src, MK_OP_RELU, NULL));
  return src;
}

static network default_cloner(void)
{
  static const int plan[][3] = {{32, 7, 4}, {48, 3, 2}, {48, 3, 1}, {64, 3, 2}, {64, 3, 1},
                                {64, 3, 1}, {96, 3, 2}, {96, 3, 1}, {96, 3, 1}};
  network n = {.output_count = 2};
  check(mk_graph_create(&n.graph, 3));
  int src = 0, middle = 0;
  for (size_t i = 0; i < sizeof plan / sizeof *plan; ++i) {
    src = block(n.graph, src, plan[i][0], plan[i][1], plan[i][2]);
    if (i == 5) middle = src;
  }
  mk_conv head = {112, 1, 1, 1, MK_PAD_EXPLICIT, 0, true};
  check(mk_graph_conv(n.graph, &n.outputs[0], middle, &head, NULL));
  head.channels = 320;
  check(mk_graph_conv(n.graph, &n.outputs[1], src, &head, NULL));
  fill_graph(n.graph);
  return n;
}

static void time_cloner(const mk_kernels *kernels, double peak)
{
  network n = default_cloner();
  double flop = 0;
  for (int i = 1; i < n.graph->count; ++i) {
    const mk_op *op = &n.graph->ops[i];
    mk_shape shape;
    check(mk_graph_shape(n.graph, i, 256, 256, &shape));
    if (op->kind == MK_OP_CONV)
      flop += 2.0 * BATCH * shape.height * shape.width * (double)op->weight_count;
  }
  for (int threads = 1; threads <= mk_core_count(); threads *= 2) {
    mk_pool *pool;
    check(mk_pool_create(&pool, threads));
    mk_exec_options options = {BATCH, 256, 256, true, false, 0, NULL};
    timing t = time_passes(&n, kernels, pool, &options);
    printf("cloner, batch %d, 256x256, %d threads: forward", BATCH, threads);
    print_part(t.forward, flop, peak * threads);
    printf(", backward");
    print_part(t.backward, 2 * flop, peak * threads);
    printf("\n");
    mk_pool_destroy(pool);
  }
  mk_graph_destroy(n.graph);
}

int main(int argc, char **argv)
{
  const mk_kernels *sets[MAX_SETS], *kernels = mk_kernels_best();
  int count = mk_kernels_list(sets, MAX_SETS);
  for (int i = 0; argc > 1 && i < count; ++i) {
    if (strcmp(sets[i]->name, argv[1]) == 0) kernels = sets[i];
  }
  double peak = measure_peak(kernels);
  printf("%s, peak of one core %.1f GFLOP/s\n", kernels->name, peak);
  printf("%-24s %28s %28s %28s\n", "", "forward", "source gradient", "weight gradient");
  for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i) time_layer(&layers[i], kernels, peak);
  time_cloner(kernels, peak);
  return 0;
}
