/* oneDNN's side of the comparison of single layers (bench/run.sh), as turns.h describes it: a 3x3
 * convolution with bias, stride 1 and padding 1, by its direct kernel in the layouts that it
 * prefers; conversion from and to them does not count. OMP_NUM_THREADS sets the threads.
 *
 *   bench_onednn forward|backward-data|backward-weights SOURCES CHANNELS SIDE BATCH
 *                INPUT WEIGHTS BIAS GRADIENT RESULT
 *
 * INPUT and GRADIENT (of the output) are raw fp32 files in NHWC order, WEIGHTS in OIHW. RESULT is
 * what the mode computes, in the same order as what it belongs to. */
#include "turns.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

static void check(dnnl_status_t status)
{
  if (status == dnnl_success) return;
  fprintf(stderr, "bench_onednn: oneDNN failed with status %d\n", (int)status);
  exit(1);
}

/* What a convolution reads and writes. */
typedef enum { SOURCE, WEIGHTS, BIAS, DESTINATION, TENSORS } role;

typedef struct {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_memory_desc_t plain[TENSORS]; /* layouts of the files */
  dnnl_memory_desc_t free[TENSORS];  /* same shapes, layout left to oneDNN */
  dnnl_primitive_desc_t forward, chosen;
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t arguments[4];
  int argument_count;
} convolution;

static const dnnl_dims_t one = {1, 1};

/* The descriptor of the mode's primitive; forward's is also a hint for the other two. */
static dnnl_primitive_desc_t describe(const convolution *c, const char *mode)
{
  const dnnl_memory_desc_t *m = c->free;
  const dnnl_alg_kind_t direct = dnnl_convolution_direct;
  dnnl_convolution_desc_t d;
  dnnl_primitive_desc_t description;
  if (strcmp(mode, "forward") == 0)
    check(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, direct, &m[SOURCE],
                                             &m[WEIGHTS], &m[BIAS], &m[DESTINATION], one, one,
                                             one));
  else if (strcmp(mode, "backward-data") == 0)
    check(dnnl_convolution_backward_data_desc_init(&d, direct, &m[SOURCE], &m[WEIGHTS],
                                                   &m[DESTINATION], one, one, one));
  else
    check(dnnl_convolution_backward_weights_desc_init(&d, direct, &m[SOURCE], &m[WEIGHTS], &m[BIAS],
                                                      &m[DESTINATION], one, one, one));
  check(dnnl_primitive_desc_create(&description, &d, NULL, c->engine, c->forward));
  return description;
}

static dnnl_memory_t create_memory(const convolution *c, const dnnl_memory_desc_t *layout)
{
  dnnl_memory_t memory;
  check(dnnl_memory_create(&memory, layout, c->engine, DNNL_MEMORY_ALLOCATE));
  return memory;
}

static void convert(const convolution *c, dnnl_memory_t src, dnnl_memory_t dst)
{
  dnnl_primitive_desc_t description;
  dnnl_primitive_t reorder;
  const dnnl_memory_desc_t *from, *to;
  check(dnnl_memory_get_memory_desc(src, &from));
  check(dnnl_memory_get_memory_desc(dst, &to));
  check(dnnl_reorder_primitive_desc_create(&description, from, c->engine, to, c->engine, NULL));
  check(dnnl_primitive_create(&reorder, description));
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, dst}};
  check(dnnl_primitive_execute(reorder, c->stream, 2, arguments));
  check(dnnl_stream_wait(c->stream));
  check(dnnl_primitive_destroy(reorder));
  check(dnnl_primitive_desc_destroy(description));
}

/* Argument `argument` of the primitive, in the layout that it asks for under `query`. */
static dnnl_memory_t add_argument(convolution *c, int argument, dnnl_query_t query, int index)
{
  dnnl_memory_t memory = create_memory(c, dnnl_primitive_desc_query_md(c->chosen, query, index));
  c->arguments[c->argument_count++] = (dnnl_exec_arg_t){argument, memory};
  return memory;
}

/* Fills an argument from a file of tensor `r`. */
static void read_argument(convolution *c, dnnl_memory_t argument, role r, const char *path)
{
  dnnl_memory_t plain = create_memory(c, &c->plain[r]);
  size_t bytes = dnnl_memory_desc_get_size(&c->plain[r]);
  float *values = read_floats(path, bytes / sizeof *values);
  void *data;
  check(dnnl_memory_get_data_handle(plain, &data));
  memcpy(data, values, bytes);
  free(values);
  convert(c, plain, argument);
  check(dnnl_memory_destroy(plain));
}

static void save_argument(const convolution *c, dnnl_memory_t argument, role r, const char *path)
{
  dnnl_memory_t plain = create_memory(c, &c->plain[r]);
  void *data;
  convert(c, argument, plain);
  check(dnnl_memory_get_data_handle(plain, &data));
  write_floats(path, data, dnnl_memory_desc_get_size(&c->plain[r]) / sizeof(float));
  check(dnnl_memory_destroy(plain));
}

typedef struct {
  const char *input, *weights, *bias, *gradient;
} input_files;

/* Each sets up the arguments of one mode; returns the one that is the result. */

static dnnl_memory_t bind_forward(convolution *c, const input_files *files)
{
  dnnl_memory_t source = add_argument(c, DNNL_ARG_SRC, dnnl_query_src_md, 0);
  dnnl_memory_t weights = add_argument(c, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
  dnnl_memory_t bias = add_argument(c, DNNL_ARG_BIAS, dnnl_query_weights_md, 1);
  read_argument(c, source, SOURCE, files->input);
  read_argument(c, weights, WEIGHTS, files->weights);
  read_argument(c, bias, BIAS, files->bias);
  return add_argument(c, DNNL_ARG_DST, dnnl_query_dst_md, 0);
}

static dnnl_memory_t bind_backward_data(convolution *c, const input_files *files)
{
  dnnl_memory_t weights = add_argument(c, DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0);
  dnnl_memory_t gradient = add_argument(c, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0);
  read_argument(c, weights, WEIGHTS, files->weights);
  read_argument(c, gradient, DESTINATION, files->gradient);
  return add_argument(c, DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0);
}

static dnnl_memory_t bind_backward_weights(convolution *c, const input_files *files)
{
  dnnl_memory_t source = add_argument(c, DNNL_ARG_SRC, dnnl_query_src_md, 0);
  dnnl_memory_t gradient = add_argument(c, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0);
  read_argument(c, source, SOURCE, files->input);
  read_argument(c, gradient, DESTINATION, files->gradient);
  add_argument(c, DNNL_ARG_DIFF_BIAS, dnnl_query_diff_weights_md, 1);
  return add_argument(c, DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0);
}

static const struct {
  const char *name;
  dnnl_memory_t (*bind)(convolution *c, const input_files *files);
  role result;
} modes[] = {
    {"forward", bind_forward, DESTINATION},
    {"backward-data", bind_backward_data, SOURCE},
    {"backward-weights", bind_backward_weights, WEIGHTS},
};
enum { MODES = sizeof modes / sizeof *modes };

static void set_shapes(convolution *c, dnnl_dim_t sources, dnnl_dim_t channels, dnnl_dim_t side,
                       dnnl_dim_t batch)
{
  const dnnl_dims_t shapes[TENSORS] = {[SOURCE] = {batch, sources, side, side},
                                       [WEIGHTS] = {channels, sources, 3, 3},
                                       [BIAS] = {channels},
                                       [DESTINATION] = {batch, channels, side, side}};
  static const dnnl_format_tag_t order[TENSORS] = {dnnl_nhwc, dnnl_oihw, dnnl_x, dnnl_nhwc};
  for (int r = 0; r < TENSORS; ++r) {
    int rank = r == BIAS ? 1 : 4;
    check(dnnl_memory_desc_init_by_tag(&c->plain[r], rank, shapes[r], dnnl_f32, order[r]));
    check(dnnl_memory_desc_init_by_tag(&c->free[r], rank, shapes[r], dnnl_f32,
                                       r == BIAS ? dnnl_x : dnnl_format_tag_any));
  }
}

static double run_convolution(void *context)
{
  const convolution *c = context;
  double start = now_ms();
  check(dnnl_primitive_execute(c->primitive, c->stream, c->argument_count, c->arguments));
  check(dnnl_stream_wait(c->stream));
  return now_ms() - start;
}

int main(int argc, char **argv)
{
  if (argc != 11) give_up("bench_onednn", "wrong arguments; bench/run.sh knows the right ones");
  int mode = 0;
  while (mode < MODES && strcmp(modes[mode].name, argv[1]) != 0) ++mode;
  if (mode == MODES) give_up(argv[1], "is no mode");
  convolution c = {0};
  check(dnnl_engine_create(&c.engine, dnnl_cpu, 0));
  check(dnnl_stream_create(&c.stream, c.engine, dnnl_stream_default_flags));
  set_shapes(&c, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
  c.forward = describe(&c, "forward");
  c.chosen = describe(&c, argv[1]);
  input_files files = {argv[6], argv[7], argv[8], argv[9]};
  dnnl_memory_t result = modes[mode].bind(&c, &files);
  check(dnnl_primitive_create(&c.primitive, c.chosen));
  run_convolution(&c);
  save_argument(&c, result, modes[mode].result, argv[10]);
  take_turns(run_convolution, &c);
  return 0;
}
