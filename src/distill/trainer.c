#include "distill/trainer.h"

#include "core/hash.h"
#include "core/memory.h"
#include "distill/checkpoint.h"
#include "distill/cloner.h"
#include "distill/feed.h"
#include "distill/images.h"
#include "distill/schedule.h"
#include "nn/loss.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { STREAM_WEIGHTS = 2, STREAM_ORDER = 1000 }; /* of the random numbers */
enum { HELD_OUT_CHECKS = 10, CHECKPOINT_SECONDS = 10 };

/* Everything that lives while the cloner learns. */
typedef struct {
  const mk_recipe *recipe;
  const mk_training_options *options;
  const mk_reporter *reporter;
  mk_input_spec input;
  mk_pool *pool;
  mk_split *split;
  mk_channel_statistics statistics[MK_MAX_POINTS]; /* all zero when targets stay as they are */
  int points;
  char identity[MK_SHA256_HEX];

  mk_graph *cloner;
  int outputs[MK_MAX_POINTS];
  mk_net *net;
  mk_exec *exec, *evaluator; /* the latter for held-out images: running statistics */
  mk_adam *adam;
  int batch;
  mk_net *teacher; /* with fresh warps */
  mk_feed *feed;
  size_t sizes[MK_MAX_POINTS]; /* of one image's activation */
  mk_loss_point *losses;       /* [batch][points] */
  size_t *order;               /* [train_count] items in the order of the epoch */

  mk_training_state state;
  int epochs;
  uint64_t steps_per_epoch, steps, start_step;
  double start_time, saved_time;
} trainer;

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- One batch ------------------------------------------------------------------------------- */

typedef struct {
  trainer *t;
  mk_exec *exec;
  int batch;
} batch_job;

static void compare_item(void *context, size_t index, int worker)
{
  (void)worker;
  const batch_job *job = context;
  trainer *t = job->t;
  for (int p = 0; p < t->points; ++p)
    t->losses[index * (size_t)t->points + (size_t)p] =
        mk_loss_compare(t->net->kernels, mk_feed_targets(t->feed, p) + index * t->sizes[p],
                        mk_exec_output(job->exec, p) + index * t->sizes[p], t->sizes[p]);
}

static void differentiate_item(void *context, size_t index, int worker)
{
  (void)worker;
  const batch_job *job = context;
  trainer *t = job->t;
  double share = 1.0 / job->batch;
  for (int p = 0; p < t->points; ++p) {
    size_t at = index * t->sizes[p];
    mk_loss_gradient(t->net->kernels, &t->losses[index * (size_t)t->points + (size_t)p],
                     t->state.weight_val * share, t->state.weight_dir * share, true,
                     mk_exec_output_gradient(job->exec, p) + at, mk_exec_output(job->exec, p) + at,
                     mk_feed_targets(t->feed, p) + at, t->sizes[p]);
  }
}

static void forward(trainer *t, mk_exec *exec, const size_t *items, int batch, int epoch)
{
  batch_job job = {t, exec, batch};
  mk_feed_load(t->feed, mk_exec_input(exec), items, batch, epoch, t->pool);
  mk_exec_forward(exec, t->pool, batch);
  mk_pool_run(t->pool, (size_t)batch, compare_item, &job);
}

/* Sums over the batch and the critical points. */
static mk_loss batch_loss(const trainer *t, int batch)
{
  mk_loss sum = {0, 0};
  for (int i = 0; i < batch * t->points; ++i) {
    sum.val += t->losses[i].loss.val;
    sum.dir += t->losses[i].loss.dir;
  }
  return sum;
}

/* "auto": so large that the term starts at the size of the other one, on the untrained cloner. */
static void resolve_weights(trainer *t, mk_loss loss)
{
  if (isnan(t->state.weight_dir))
    t->state.weight_dir = loss.dir > 0 ? t->state.weight_val * loss.val / loss.dir : 0;
  if (isnan(t->state.weight_val))
    t->state.weight_val = loss.val > 0 ? t->state.weight_dir * loss.dir / loss.val : 0;
}

static mkd_status train_step(trainer *t, const size_t *items, int batch, int epoch)
{
  forward(t, t->exec, items, batch, epoch);
  mk_loss loss = batch_loss(t, batch);
  resolve_weights(t, loss);
  double total = t->state.weight_val * loss.val + t->state.weight_dir * loss.dir;
  if (!isfinite(total))
    return mk_fail(MKD_ERROR_DATA,
                   "training diverged at step %llu: the loss is not finite; try a learning_rate "
                   "below %g",
                   (unsigned long long)t->state.step + 1, t->recipe->learning_rate);
  t->state.epoch_loss += total;

  batch_job job = {t, t->exec, batch};
  mk_pool_run(t->pool, (size_t)batch, differentiate_item, &job);
  mk_exec_backward(t->exec, t->pool, batch, false);
  mk_rate rate = mk_schedule_at((mk_schedule)t->recipe->schedule, t->recipe->learning_rate,
                                t->state.step, t->steps);
  mk_adam_step_run(t->adam, t->exec, t->net->kernels, t->pool, rate.learning_rate, rate.beta1);
  mk_exec_update_statistics(t->exec, t->cloner);
  mk_net_pack_again(t->net, t->pool);
  ++t->state.step;
  return MKD_OK;
}

static void check_held_out(trainer *t)
{
  double sum = 0;
  const mk_split *split = t->split;
  for (size_t first = 0; first < split->held_out_count; first += (size_t)t->batch) {
    size_t left = split->held_out_count - first;
    int batch = left < (size_t)t->batch ? (int)left : t->batch;
    forward(t, t->evaluator, split->held_out + first, batch, MK_NOT_WARPED);
    mk_loss loss = batch_loss(t, batch);
    sum += t->state.weight_val * loss.val + t->state.weight_dir * loss.dir;
  }
  t->state.held_out_loss = sum / (double)split->held_out_count;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static mkd_status save_checkpoint(trainer *t)
{
  if (!t->options->checkpoint) return MKD_OK;
  t->saved_time = now();
  return mk_checkpoint_save(t->options->checkpoint, t->cloner, t->adam, &t->state, t->identity);
}

static mkd_status report_step(trainer *t, int epoch, size_t seen)
{
  double elapsed = now() - t->start_time, done = (double)(t->state.step - t->start_step);
  mkd_progress progress = {
      .stage = MKD_STAGE_DISTILL,
      .done = t->state.step,
      .total = t->steps,
      .epoch = epoch + 1,
      .epochs = t->epochs,
      .loss = seen ? t->state.epoch_loss / (double)seen : t->state.loss,
      .held_out_loss = t->state.held_out_loss,
      .seconds_left = done > 0 ? elapsed / done * (double)(t->steps - t->state.step) : NAN};
  mkd_status status = mk_report(t->reporter, &progress);
  if (status != MKD_CANCELLED) return status;
  MK_TRY(save_checkpoint(t));
  return mk_fail(MKD_CANCELLED, "stopped on request");
}

/* The order of an epoch depends on seed and epoch alone, so that a resumed training finds it. */
static void order_epoch(trainer *t, int epoch)
{
  memcpy(t->order, t->split->train, t->split->train_count * sizeof *t->order);
  mk_rng rng = mk_rng_seed(t->options->seed, STREAM_ORDER + (uint64_t)epoch);
  mk_rng_shuffle(&rng, t->order, t->split->train_count);
}

static void finish_epoch(trainer *t, int epoch)
{
  t->state.loss = t->state.epoch_loss / (double)t->split->train_count;
  t->state.epoch_loss = 0;
  int before = epoch * HELD_OUT_CHECKS / t->epochs,
      after = (epoch + 1) * HELD_OUT_CHECKS / t->epochs;
  if (after > before) check_held_out(t);
  /* The yardstick of convergence: the held-out loss when four fifths of the epochs are done. */
  if (epoch + 1 <= t->epochs * 4 / 5) t->state.earlier_held_out_loss = t->state.held_out_loss;
}

/* The cloner folded, and pruned again, so that the outputs' new places are known. */
static mkd_status fold_cloner(const trainer *t, mk_graph **cloner, int *outputs)
{
  mk_graph *folded;
  int places[MK_MAX_POINTS];
  MK_TRY(mk_graph_fold(&folded, t->cloner));
  for (int p = 0; p < t->points; ++p)
    places[p] = mk_graph_find(folded, t->recipe->critical_points.names[p]);
  mkd_status status = mk_graph_prune(cloner, folded, places, t->points, outputs);
  mk_graph_destroy(folded);
  return status;
}

/* The training as it stands: all but the cloner is still the trainer's. */
static mkd_status describe(const trainer *t, int epochs, mk_training *training)
{
  mk_graph *cloner;
  int outputs[MK_MAX_POINTS] = {0};
  MK_TRY(fold_cloner(t, &cloner, outputs));
  *training = (mk_training){.cloner = cloner,
                            .weight_val = t->state.weight_val,
                            .weight_dir = t->state.weight_dir,
                            .input = t->input,
                            .store = t->split->store,
                            .held_out = t->split->held_out,
                            .held_out_first = t->split->held_out_first,
                            .held_out_images = t->split->held_out_images,
                            .trained_images = t->split->images - t->split->held_out_images,
                            .epochs = epochs,
                            .loss = t->state.loss,
                            .held_out_loss = t->state.held_out_loss};
  memcpy(training->outputs, outputs, sizeof outputs);
  memcpy(training->statistics, t->statistics, sizeof t->statistics);
  return MKD_OK;
}

/* After `epochs` of them. */
static mkd_status take_snapshot(const trainer *t, int epochs)
{
  const mk_training_options *options = t->options;
  mk_training training;
  if (!options->snapshot_every || epochs % options->snapshot_every || epochs == t->epochs)
    return MKD_OK;
  MK_TRY(describe(t, epochs, &training));
  mkd_status status = options->snapshot(options->snapshot_context, &training);
  mk_graph_destroy(training.cloner);
  return status;
}

static mkd_status run_epochs(trainer *t)
{
  int epoch = (int)(t->state.step / t->steps_per_epoch);
  uint64_t in_epoch = t->state.step % t->steps_per_epoch;
  size_t count = t->split->train_count, width = (size_t)t->batch;
  t->start_time = t->saved_time = now();
  t->start_step = t->state.step;
  for (; epoch < t->epochs; ++epoch, in_epoch = 0) {
    order_epoch(t, epoch);
    for (; in_epoch < t->steps_per_epoch; ++in_epoch) {
      size_t first = (size_t)in_epoch * width;
      size_t batch = count - first < width ? count - first : width;
      MK_TRY(train_step(t, t->order + first, (int)batch, epoch));
      bool last = in_epoch + 1 == t->steps_per_epoch;
      if (last) {
        finish_epoch(t, epoch);
        MK_TRY(take_snapshot(t, epoch + 1));
      }
      MK_TRY(report_step(t, epoch, last ? 0 : first + batch));
      if (now() - t->saved_time > CHECKPOINT_SECONDS) MK_TRY(save_checkpoint(t));
    }
  }
  return MKD_OK;
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

/* Done before any image is read, since a plan may be wrong. */
static mkd_status make_cloner(trainer *t, const mk_teacher *teacher)
{
  t->points = t->recipe->critical_points.count;
  const mk_point_list *points = &t->recipe->critical_points;
  mk_rng rng = mk_rng_seed(t->options->seed, STREAM_WEIGHTS);
  MK_TRY(mk_cloner_create(&t->cloner, t->outputs, t->recipe->cloner, teacher->whole, points,
                          (mk_init)t->recipe->init, &rng));
  for (int p = 0; p < t->points; ++p) {
    mk_shape expert, cloner;
    MK_TRY(mk_graph_shape(teacher->graph, teacher->outputs[p], t->input.height, t->input.width,
                          &expert));
    MK_TRY(mk_graph_shape(t->cloner, t->outputs[p], t->input.height, t->input.width, &cloner));
    if (expert.height != cloner.height || expert.width != cloner.width)
      return mk_fail(MKD_ERROR_ARGUMENT,
                     "cloner: at input %dx%d, critical point %s has %dx%d positions, the expert "
                     "%dx%d",
                     t->input.width, t->input.height, points->names[p], cloner.width, cloner.height,
                     expert.width, expert.height);
    t->sizes[p] = (size_t)expert.height * (size_t)expert.width * (size_t)expert.channels;
    MK_TRY(mk_graph_name(t->cloner, t->outputs[p], points->names[p]));
  }
  return MKD_OK;
}

/* A hash of all that the result depends on. */
static mkd_status identify(trainer *t, const mk_teacher *teacher)
{
  char *recipe, *text;
  MK_TRY(mk_recipe_to_json(&recipe, t->recipe));
  /* The images stand for themselves: a few values of each are enough to tell other ones. */
  uint64_t sum = 0;
  for (size_t i = 0; i < t->split->tiles; ++i) {
    const uint16_t *input = mk_store_input(t->split->store, i);
    for (size_t j = 0; j < t->split->store->input_size; j += 97)
      sum = (sum ^ input[j]) * UINT64_C(1099511628211);
  }
  mkd_status status = mk_text_format(&text, "%s|%llu|%zu|%llu|%s|%dx%d|%s", recipe,
                                     (unsigned long long)t->options->seed, t->split->images,
                                     (unsigned long long)sum, teacher->identity, t->input.width,
                                     t->input.height, t->net->kernels->name);
  mk_free(recipe);
  MK_TRY(status);
  mk_sha256(t->identity, text, strlen(text));
  mk_free(text);
  return MKD_OK;
}

static mkd_status create_feed(trainer *t, const mk_teacher *teacher)
{
  mk_feed_options options = {.split = t->split,
                             .input = &t->input,
                             .recipe = t->recipe,
                             .seed = t->options->seed,
                             .statistics = t->statistics,
                             .sizes = t->sizes,
                             .expert = t->teacher,
                             .outputs = teacher->outputs,
                             .batch = t->batch,
                             .threads = mk_pool_threads(t->pool)};
  return mk_feed_create(&t->feed, &options);
}

static mkd_status set_up(trainer *t, const mk_teacher *teacher)
{
  size_t train_count = t->split->train_count;
  t->batch = (size_t)t->recipe->batch < train_count ? t->recipe->batch : (int)train_count;
  t->epochs = mk_recipe_epochs(t->recipe, t->split->tiles);
  t->steps_per_epoch = (train_count + (size_t)t->batch - 1) / (size_t)t->batch;
  t->steps = t->steps_per_epoch * (uint64_t)t->epochs;
  t->state = (mk_training_state){.weight_val = t->recipe->weight_val,
                                 .weight_dir = t->recipe->weight_dir,
                                 .loss = NAN,
                                 .held_out_loss = NAN,
                                 .earlier_held_out_loss = NAN};
  MK_TRY(mk_net_create(&t->net, t->cloner, mk_kernels_best()));
  mk_exec_options options = {.batch = t->batch,
                             .height = t->input.height,
                             .width = t->input.width,
                             .train = true,
                             .pool = t->pool};
  MK_TRY(mk_exec_create(&t->exec, t->net, t->outputs, t->points, &options));
  options.train = false;
  MK_TRY(mk_exec_create(&t->evaluator, t->net, t->outputs, t->points, &options));
  MK_TRY(mk_adam_create(&t->adam, t->cloner));
  MK_TRY(create_feed(t, teacher));
  MK_TRY(mk_alloc(&t->losses, (size_t)(t->batch * t->points), sizeof *t->losses));
  MK_TRY(mk_alloc(&t->order, train_count, sizeof *t->order));
  MK_TRY(identify(t, teacher));
  if (!t->options->resume || !t->options->checkpoint) return MKD_OK;
  bool found;
  MK_TRY(mk_checkpoint_load(t->options->checkpoint, t->cloner, t->adam, &t->state, t->identity,
                            &found));
  if (!found) return MKD_OK;
  if (t->state.step > t->steps)
    return mk_fail(MKD_ERROR_FILE, "%s: is at step %llu of %llu", t->options->checkpoint,
                   (unsigned long long)t->state.step, (unsigned long long)t->steps);
  mk_net_pack_again(t->net, t->pool);
  mk_log(t->reporter, MKD_LOG_INFO, "resumed at step %llu of %llu",
         (unsigned long long)t->state.step, (unsigned long long)t->steps);
  return MKD_OK;
}

static void tear_down(trainer *t)
{
  mk_feed_destroy(t->feed);
  mk_net_destroy(t->teacher);
  mk_free(t->losses);
  mk_free(t->order);
  mk_adam_destroy(t->adam);
  mk_exec_destroy(t->exec);
  mk_exec_destroy(t->evaluator);
  mk_net_destroy(t->net);
  mk_graph_destroy(t->cloner);
  for (int p = 0; p < t->points; ++p) mk_statistics_free(&t->statistics[p]);
}

static bool judge_convergence(const trainer *t)
{
  double earlier = t->state.earlier_held_out_loss, last = t->state.held_out_loss;
  bool converged = last > 0.9 * earlier; /* NAN, after a single epoch, tells nothing */
  if (isnan(earlier))
    mk_log(t->reporter, MKD_LOG_WARNING,
           "%d epoch%s cannot show whether training has converged; train for more", t->epochs,
           t->epochs == 1 ? "" : "s");
  else if (!converged)
    mk_log(t->reporter, MKD_LOG_WARNING,
           "training has not converged: the held-out loss fell from %.4g to %.4g in the last fifth "
           "of the epochs; train for more than %d epochs",
           earlier, last, t->epochs);
  if (converged && last > 2 * t->state.loss)
    mk_log(t->reporter, MKD_LOG_WARNING,
           "the held-out loss %.4g is far above the training loss %.4g: more normal images would "
           "help",
           last, t->state.loss);
  return converged;
}

static mkd_status compute_targets(trainer *t, const mk_net *expert, const int *outputs)
{
  const mk_split *split = t->split;
  mk_target_job job = {.store = split->store,
                       .input = &t->input,
                       .expert = expert,
                       .outputs = outputs,
                       .points = t->points,
                       .statistics = t->recipe->normalise_targets ? t->statistics : NULL};
  if (!job.statistics && split->store->target_size == 0) return MKD_OK;
  bool *counted;
  MK_TRY(mk_alloc(&counted, split->store->count, sizeof *counted));
  for (size_t i = 0; i < split->originals; ++i) counted[split->train[i]] = true;
  job.counted = counted;
  mkd_status status = mk_compute_targets(&job, t->reporter, t->pool);
  mk_free(counted);
  return status;
}

static mkd_status read_images(trainer *t, const size_t *first, mkd_image_source source)
{
  const mk_recipe *recipe = t->recipe;
  const mk_training_options *options = t->options;
  mk_split *split = t->split;
  bool fresh = recipe->augment == MK_AUGMENT_FRESH;
  size_t target_size = 0;
  for (int p = 0; p < t->points; ++p) target_size += t->sizes[p];
  MK_TRY(mk_split_create(split, source.count, first, recipe, options->seed));
  if (mk_input_is_tiled(&t->input))
    mk_log(t->reporter, MKD_LOG_INFO, "%zu images are cut into %zu tiles", split->images,
           split->tiles);
  size_t copies = split->train_count - split->originals;
  MK_TRY(mk_store_create(&split->store, split->tiles + (fresh ? 0 : copies),
                         mk_input_size(&t->input), fresh ? 0 : target_size,
                         recipe->target_type == MK_TARGETS_FP16, options->cache_memory));
  return mk_read_inputs(split, first, &t->input, recipe, source, options->seed, t->reporter,
                        t->pool);
}

/* Split, store, targets, and the expert if these are not kept. */
static mkd_status prepare(trainer *t, const mk_teacher *teacher, mkd_image_source source)
{
  size_t *first;
  MK_TRY(make_cloner(t, teacher));
  MK_TRY(mk_find_tiles(&first, &t->input, source, t->reporter, t->pool));
  mkd_status status = read_images(t, first, source);
  mk_free(first);
  MK_TRY(status);
  MK_TRY(mk_net_create(&t->teacher, teacher->graph, mk_kernels_best()));
  MK_TRY(compute_targets(t, t->teacher, teacher->outputs));
  if (t->recipe->augment == MK_AUGMENT_FRESH) return MKD_OK;
  mk_net_destroy(t->teacher);
  t->teacher = NULL;
  return MKD_OK;
}

static mkd_status run(trainer *t, mk_training *training, const mk_teacher *teacher,
                      mkd_image_source source)
{
  MK_TRY(prepare(t, teacher, source));
  MK_TRY(set_up(t, teacher));
  MK_TRY(run_epochs(t));
  MK_TRY(describe(t, t->epochs, training));
  training->converged = judge_convergence(t);
  return MKD_OK;
}

mkd_status mk_train(mk_training *training, const mk_recipe *recipe, const mk_teacher *teacher,
                    const mk_input_spec *input, mkd_image_source source,
                    const mk_training_options *options, const mk_reporter *reporter, mk_pool *pool)
{
  mk_split split = {0};
  trainer t = {.recipe = recipe,
               .options = options,
               .reporter = reporter,
               .input = *input,
               .pool = pool,
               .split = &split};
  *training = (mk_training){0};
  mkd_status status = run(&t, training, teacher, source);
  if (status == MKD_OK) { /* these are the result's now */
    memset(t.statistics, 0, sizeof t.statistics);
    split.store = NULL;
    split.held_out = split.held_out_first = NULL;
  }
  tear_down(&t);
  mk_split_free(&split);
  return status;
}

void mk_training_free(mk_training *training)
{
  mk_graph_destroy(training->cloner);
  for (int p = 0; p < MK_MAX_POINTS; ++p) mk_statistics_free(&training->statistics[p]);
  mk_store_destroy(training->store);
  mk_free(training->held_out);
  mk_free(training->held_out_first);
  memset(training, 0, sizeof *training);
}
