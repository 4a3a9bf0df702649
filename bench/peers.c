/* mkd's side of the comparisons with other programs (bench/run.sh), as turns.h describes it.
 *
 *   bench_peers forward GRAPH OUTPUT INPUT RESULT SIDE BATCH THREADS
 *   bench_peers backward-data|backward-weights GRAPH OUTPUT INPUT GRADIENT RESULT SIDE BATCH
 * THREADS bench_peers cloner EXPERT CLONER INPUT TARGETS RESULT SIDE BATCH THREADS bench_peers
 * epoch EXPERT IMAGES COUNT SIDE THREADS bench_peers localize MODEL IMAGE RESULT SIDE THREADS
 *
 * GRAPH is a safetensors file with a graph, EXPERT what `mkd import` writes. INPUT, GRADIENT and
 * TARGETS are raw fp32 files, IMAGES and IMAGE raw RGB. RESULT is written before the first turn,
 * for the other side to be compared with; CLONER is too, with the weights that training starts
 * from. */
#include "turns.h"

#include "core/file.h"
#include "core/memory.h"
#include "distill/cloner.h"
#include "expert/expert.h"
#include "nn/adam.h"
#include "nn/exec.h"
#include "nn/graph_tensors.h"
#include "nn/loss.h"
#include "recipe/recipe.h"

#include <math.h>
#include <string.h>

static void check(mkd_status status)
{
  if (status != MKD_OK) give_up("bench_peers", mkd_last_error());
}

static size_t image_size(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* ---- Passes of a graph ----------------------------------------------------------------------- */

/* The operations of the file that its operation `output` needs. */
static mk_graph *load_graph(const char *path, const char *output, int *index)
{
  mk_bytes bytes;
  mk_tensors tensors = {0};
  mk_graph *whole, *graph;
  check(mk_file_read(&bytes, path, UINT64_C(1) << 32));
  check(mk_safetensors_parse(&tensors, bytes.data, bytes.size, path));
  check(mk_graph_from_tensors(&whole, &tensors, ""));
  *index = mk_graph_find(whole, output);
  if (*index < 1) give_up(output, "is no output of the graph");
  check(mk_graph_prune(&graph, whole, index, 1, index));
  mk_graph_destroy(whole);
  mk_tensors_free(&tensors);
  mk_free(bytes.data);
  return graph;
}

typedef struct {
  mk_pool *pool;
  mk_exec *exec;
  int batch;
  const float *input, *gradient; /* gradient: NULL when forward is what counts */
  size_t input_count, gradient_count;
} passes;

static double run_pass(void *context)
{
  const passes *p = context;
  memcpy(mk_exec_input(p->exec), p->input, p->input_count * sizeof(float));
  double start = now_ms();
  mk_exec_forward(p->exec, p->pool, p->batch);
  if (!p->gradient) return now_ms() - start;
  memcpy(mk_exec_output_gradient(p->exec, 0), p->gradient, p->gradient_count * sizeof(float));
  start = now_ms();
  mk_exec_backward(p->exec, p->pool, p->batch, false);
  return now_ms() - start;
}

static void run_passes(const char *mode, char **argument)
{
  bool weights = strcmp(mode, "backward-weights") == 0;
  bool backward = weights || strcmp(mode, "backward-data") == 0;
  const char *gradient = backward ? argument[3] : NULL, *result = argument[backward ? 4 : 3];
  char **numbers = argument + (backward ? 5 : 4);
  int side = atoi(numbers[0]), output;
  passes p = {.batch = atoi(numbers[1])};
  mk_exec_options options = {p.batch, side, side, weights, backward && !weights, 0, NULL};
  mk_graph *graph = load_graph(argument[0], argument[1], &output);
  mk_net *net;
  check(mk_net_create(&net, graph, mk_kernels_best()));
  check(mk_exec_create(&p.exec, net, &output, 1, &options));
  check(mk_pool_create(&p.pool, atoi(numbers[2])));
  size_t batch = (size_t)p.batch;
  p.input_count = batch * (size_t)side * (size_t)side * (size_t)graph->ops[0].channels;
  p.gradient_count = batch * image_size(mk_exec_output_shape(p.exec, 0));
  p.input = read_floats(argument[2], p.input_count);
  if (backward) p.gradient = read_floats(gradient, p.gradient_count);
  run_pass(&p);
  if (weights)
    write_floats(result, mk_exec_weight_gradient(p.exec, output), graph->ops[output].weight_count);
  else if (backward)
    write_floats(result, mk_exec_input_gradient(p.exec), p.input_count);
  else
    write_floats(result, mk_exec_output(p.exec, 0), p.gradient_count);
  take_turns(run_pass, &p);
}

/* ---- A step of training ---------------------------------------------------------------------- */

enum { CHECKED_STEPS = 3 };

typedef struct {
  mk_pool *pool;
  mk_graph *cloner;
  mk_net *net;
  mk_exec *exec;
  mk_adam *adam;
  int batch, points;
  size_t input_count, sizes[MK_MAX_POINTS]; /* sizes: of one image's activation */
  const float *input, *targets[MK_MAX_POINTS];
  mk_loss_point *losses; /* [batch][points] */
  double weight_dir;     /* NAN before the first step */
  double loss;           /* of the last step */
} training;

static void compare_image(void *context, size_t index, int worker)
{
  (void)worker;
  const training *t = context;
  for (int p = 0; p < t->points; ++p)
    t->losses[index * (size_t)t->points + (size_t)p] =
        mk_loss_compare(t->net->kernels, t->targets[p] + index * t->sizes[p],
                        mk_exec_output(t->exec, p) + index * t->sizes[p], t->sizes[p]);
}

static void differentiate_image(void *context, size_t index, int worker)
{
  (void)worker;
  const training *t = context;
  for (int p = 0; p < t->points; ++p) {
    size_t at = index * t->sizes[p];
    mk_loss_gradient(t->net->kernels, &t->losses[index * (size_t)t->points + (size_t)p],
                     1.0 / t->batch, t->weight_dir / t->batch, true,
                     mk_exec_output_gradient(t->exec, p) + at, mk_exec_output(t->exec, p) + at,
                     t->targets[p] + at, t->sizes[p]);
  }
}

/* The paper's loss, its second term scaled to the size of the first at the first step. */
static double run_step(void *context)
{
  training *t = context;
  memcpy(mk_exec_input(t->exec), t->input, t->input_count * sizeof(float));
  double start = now_ms(), val = 0, dir = 0;
  mk_exec_forward(t->exec, t->pool, t->batch);
  mk_pool_run(t->pool, (size_t)t->batch, compare_image, t);
  for (int i = 0; i < t->batch * t->points; ++i) {
    val += t->losses[i].loss.val / t->batch;
    dir += t->losses[i].loss.dir / t->batch;
  }
  if (isnan(t->weight_dir)) t->weight_dir = val / dir;
  t->loss = val + t->weight_dir * dir;
  mk_pool_run(t->pool, (size_t)t->batch, differentiate_image, t);
  mk_exec_backward(t->exec, t->pool, t->batch, false);
  mk_adam_step_run(t->adam, t->exec, t->net->kernels, t->pool, 1e-3, 0.9);
  mk_exec_update_statistics(t->exec, t->cloner);
  mk_net_pack_again(t->net, t->pool);
  return now_ms() - start;
}

static void save_cloner(const mk_graph *cloner, const char *path)
{
  mk_tensors tensors = {0};
  check(mk_graph_to_tensors(&tensors, cloner, ""));
  check(mk_safetensors_write(&tensors, path));
  mk_tensors_free(&tensors);
}

static void run_cloner(char **argument)
{
  mkd_expert *expert;
  mk_recipe recipe;
  int outputs[MK_MAX_POINTS], side = atoi(argument[5]);
  training t = {.batch = atoi(argument[6]), .weight_dir = NAN};
  mk_rng rng = mk_rng_seed(0, 0);
  check(mkd_expert_load(&expert, argument[0], NULL));
  check(mk_recipe_load(&recipe, "paper"));
  t.points = recipe.critical_points.count;
  check(mk_cloner_create(&t.cloner, outputs, recipe.cloner, expert->graph, &recipe.critical_points,
                         (mk_init)recipe.init, &rng));
  for (int p = 0; p < t.points; ++p)
    check(mk_graph_name(t.cloner, outputs[p], recipe.critical_points.names[p]));
  save_cloner(t.cloner, argument[1]);

  mk_exec_options options = {t.batch, side, side, true, false, 0, NULL};
  check(mk_net_create(&t.net, t.cloner, mk_kernels_best()));
  check(mk_exec_create(&t.exec, t.net, outputs, t.points, &options));
  check(mk_adam_create(&t.adam, t.cloner));
  check(mk_pool_create(&t.pool, atoi(argument[7])));
  size_t batch = (size_t)t.batch, total = 0;
  check(mk_alloc(&t.losses, batch * (size_t)t.points, sizeof *t.losses));
  for (int p = 0; p < t.points; ++p)
    total += t.sizes[p] = image_size(mk_exec_output_shape(t.exec, p));
  const float *targets = read_floats(argument[3], batch * total);
  for (int p = 0; p < t.points; targets += batch * t.sizes[p++]) t.targets[p] = targets;
  t.input_count = batch * (size_t)side * (size_t)side * 3;
  t.input = read_floats(argument[2], t.input_count);
  float losses[CHECKED_STEPS];
  for (int i = 0; i < CHECKED_STEPS; ++i) {
    run_step(&t);
    losses[i] = (float)t.loss;
  }
  write_floats(argument[4], losses, CHECKED_STEPS);
  take_turns(run_step, &t);
}

/* ---- Epochs ---------------------------------------------------------------------------------- */

typedef struct {
  uint8_t *rgb;
  size_t count;
  int side;
} pixels;

static pixels read_pixels(const char *path, size_t count, int side)
{
  pixels p = {malloc(count * (size_t)side * (size_t)side * 3), count, side};
  FILE *file = fopen(path, "rb");
  if (!file || !p.rgb || fread(p.rgb, (size_t)side * (size_t)side * 3, count, file) != count)
    give_up(path, "has not as many pixels as are needed");
  fclose(file);
  return p;
}

static mkd_image view_pixels(const pixels *p, size_t index)
{
  size_t row = (size_t)p->side * 3;
  return (mkd_image){p->rgb + index * row * (size_t)p->side, p->side, p->side, row, MKD_RGB8};
}

static mkd_status get_pixels(void *context, size_t index, mkd_image *image, void **handle)
{
  *handle = NULL;
  *image = view_pixels(context, index);
  return MKD_OK;
}

typedef struct {
  int left;     /* epochs of this turn */
  double start; /* of the epoch */
} epoch_turns;

/* Training stands still at the end of the first epoch and of every turn. */
static bool on_progress(void *context, const mkd_progress *state)
{
  epoch_turns *turns = context;
  if (state->stage != MKD_STAGE_DISTILL) return true;
  if (state->done % (state->total / (uint64_t)state->epochs) != 0) return true;
  if (state->epoch == 1) {
    printf("ready");
  } else {
    printf("%.4f ", now_ms() - turns->start);
    --turns->left;
  }
  if (turns->left == 0) {
    putchar('\n');
    if (!next_turn(&turns->left)) return false;
  }
  turns->start = now_ms();
  return true;
}

static void run_epochs(char **argument)
{
  static const char *const endless[] = {"epochs=100000"};
  pixels images = read_pixels(argument[1], (size_t)atoll(argument[2]), atoi(argument[3]));
  epoch_turns turns = {0};
  mkd_expert *expert;
  mkd_detector *detector;
  mkd_train_options options = mkd_train_options_default();
  options.recipe = "paper";
  options.set = endless;
  options.set_count = 1;
  options.threads = atoi(argument[4]);
  options.progress = on_progress;
  options.context = &turns;
  check(mkd_expert_load(&expert, argument[0], NULL));
  mkd_image_source source = {images.count, get_pixels, NULL, &images};
  mkd_status status = mkd_train(&detector, expert, source, &options);
  if (status != MKD_CANCELLED) check(status);
}

/* ---- Localization ---------------------------------------------------------------------------- */

typedef struct {
  mkd_session *session;
  mkd_image image;
  mkd_result result;
} localization;

static double run_localization(void *context)
{
  localization *l = context;
  double start = now_ms();
  check(mkd_session_score(l->session, &l->image, &l->result));
  return now_ms() - start;
}

static void run_localize(char **argument)
{
  int side = atoi(argument[3]);
  pixels image = read_pixels(argument[1], 1, side);
  mkd_detector *detector;
  localization l = {.image = view_pixels(&image, 0)};
  mkd_session_options options = mkd_session_options_default();
  options.localize = MKD_LOCALIZE_GRADIENT;
  options.threads = atoi(argument[4]);
  check(mkd_detector_load(&detector, argument[0], NULL));
  check(mkd_session_create(&l.session, detector, &options));
  run_localization(&l);
  write_floats(argument[2], l.result.map.data, (size_t)side * (size_t)side);
  take_turns(run_localization, &l);
}

int main(int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";
  if (argc == 9 && strcmp(mode, "forward") == 0)
    run_passes(mode, argv + 2);
  else if (argc == 10 && strncmp(mode, "backward-", 9) == 0)
    run_passes(mode, argv + 2);
  else if (argc == 10 && strcmp(mode, "cloner") == 0)
    run_cloner(argv + 2);
  else if (argc == 7 && strcmp(mode, "epoch") == 0)
    run_epochs(argv + 2);
  else if (argc == 7 && strcmp(mode, "localize") == 0)
    run_localize(argv + 2);
  else
    give_up("bench_peers", "wrong arguments; bench/run.sh knows the right ones");
  return 0;
}
