#include "distill/dataset.h"

#include "core/memory.h"
#include "core/scratch.h"
#include "image/histogram.h"
#include "nn/exec.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { STREAM_SPLIT = 1, STREAM_COPIES = 1000000 }; /* of the random numbers */
enum { EXPERT_BATCH = 8 };

/* ---- Split ----------------------------------------------------------------------------------- */

mkd_status mk_split_create(mk_split *split, size_t images, const mk_recipe *recipe, uint64_t seed)
{
  *split = (mk_split){.images = images};
  if (images < 2)
    return mk_fail(
        MKD_ERROR_DATA,
        "%zu image%s: training needs at least 2 normal images, one to learn from and one "
        "to calibrate on",
        images, images == 1 ? "" : "s");
  size_t held_out = (size_t)floor(recipe->holdout * (double)images + 0.5);
  if (held_out < 1) held_out = 1;
  if (held_out > images - 1) held_out = images - 1;
  split->held_out_count = held_out;
  split->originals = images - held_out;
  size_t copies = images < (size_t)recipe->copies_below ? (size_t)recipe->copies : 0;
  split->train_count = split->originals * (1 + copies);

  size_t *order;
  MK_TRY(mk_alloc(&order, images, sizeof *order));
  for (size_t i = 0; i < images; ++i) order[i] = i;
  mk_rng rng = mk_rng_seed(seed, STREAM_SPLIT);
  mk_rng_shuffle(&rng, order, images);
  mkd_status status = mk_alloc(&split->train, split->train_count, sizeof(size_t));
  if (status == MKD_OK) status = mk_alloc(&split->held_out, held_out, sizeof(size_t));
  if (status == MKD_OK) {
    memcpy(split->held_out, order, held_out * sizeof *order);
    memcpy(split->train, order + held_out, split->originals * sizeof *order);
    for (size_t i = split->originals; i < split->train_count; ++i)
      split->train[i] = images + (i - split->originals);
  }
  mk_free(order);
  if (status != MKD_OK) mk_split_free(split);
  return status;
}

void mk_split_free(mk_split *split)
{
  mk_store_destroy(split->store);
  mk_free(split->train);
  mk_free(split->held_out);
  memset(split, 0, sizeof *split);
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* Work on many items in parallel: in rounds, so that progress is told between them by the thread
 * that trains, and the first error in order of the items is the one reported. */
typedef struct {
  const mk_split *split;
  const mk_input_spec *input;
  const mk_recipe *recipe;
  mkd_image_source source;
  uint64_t seed;
  mk_scratch *scratch; /* [threads] */
  size_t first;
  struct {
    mkd_status status;
    char text[512];
  } * results; /* [ROUND] */
} input_job;

enum { ROUND = 16 };

static mkd_status read_image(const input_job *job, size_t index, mk_scratch *scratch)
{
  mkd_image image = {0};
  void *handle = NULL;
  MK_TRY(job->source.get(job->source.context, index, &image, &handle));
  mkd_status status =
      mk_input_read(mk_store_input(job->split->store, index), job->input, &image, scratch);
  if (job->source.release) job->source.release(job->source.context, &image, handle);
  return status;
}

/* Copy `index` of the training set: item images + index. */
static mkd_status warp_image(const input_job *job, size_t index, mk_scratch *scratch)
{
  const mk_split *split = job->split;
  size_t values = split->store->input_size;
  const uint16_t *src = mk_store_input(split->store, split->train[index % split->originals]);
  float *levels, *warped;
  MK_TRY(mk_scratch_get(scratch, &levels, values, sizeof *levels));
  MK_TRY(mk_scratch_get(scratch, &warped, values, sizeof *warped));
  mk_rng rng = mk_rng_seed(job->seed, STREAM_COPIES + index);
  mk_input_to_levels(levels, src, values);
  mk_warp_rgb(warped, levels, job->input->width, job->input->height, &job->recipe->warp, &rng);
  mk_input_from_levels(mk_store_input(split->store, split->images + index), warped, values);
  return MKD_OK;
}

static void input_task(void *context, size_t index, int worker)
{
  const input_job *job = context;
  size_t item = job->first + index, images = job->split->images;
  mk_scratch *scratch = &job->scratch[worker];
  mk_scratch_reset(scratch);
  mkd_status status =
      item < images ? read_image(job, item, scratch) : warp_image(job, item - images, scratch);
  job->results[index].status = status;
  if (status != MKD_OK)
    strncpy(job->results[index].text, mkd_last_error(), sizeof job->results[index].text - 1);
}

static mkd_status fill_inputs(input_job *job, const mk_reporter *reporter, mk_pool *pool)
{
  size_t count = job->split->store->count;
  for (job->first = 0; job->first < count;) {
    /* No round goes across the end of the images: copies need all of them. */
    size_t limit = job->first < job->split->images ? job->split->images : count;
    size_t round = limit - job->first < ROUND ? limit - job->first : ROUND;
    memset(job->results, 0, ROUND * sizeof *job->results);
    mk_pool_run(pool, round, input_task, job);
    for (size_t i = 0; i < round; ++i) {
      if (job->results[i].status != MKD_OK)
        return mk_fail(job->results[i].status, "%s", job->results[i].text);
    }
    job->first += round;
    MK_TRY(mk_report(reporter, &(mkd_progress){.stage = MKD_STAGE_READ,
                                               .done = job->first,
                                               .total = count,
                                               .loss = NAN,
                                               .held_out_loss = NAN,
                                               .seconds_left = NAN}));
  }
  return MKD_OK;
}

/* Images of low contrast are stretched: the middle 98 % of their grey levels to the whole range.
 * Held-out images have no say, as they stand for images to come. */
static mkd_status find_contrast(mk_input_spec *input, const mk_split *split,
                                const mk_recipe *recipe, const mk_reporter *reporter)
{
  if (recipe->contrast_below <= 0) return MKD_OK;
  mk_histogram *histogram;
  MK_TRY(mk_alloc(&histogram, 1, sizeof *histogram));
  for (size_t i = 0; i < split->originals; ++i)
    mk_histogram_add(histogram, mk_store_input(split->store, split->train[i]),
                     split->store->input_size);
  double low = mk_histogram_percentile(histogram, 1) / 257;
  double high = mk_histogram_percentile(histogram, 99) / 257;
  mk_free(histogram);
  if (high - low >= recipe->contrast_below || high - low < 1) return MKD_OK;
  input->low = (float)low;
  input->high = (float)high;
  mk_log(reporter, MKD_LOG_INFO, "low contrast: grey levels %.1f to %.1f are stretched to 0 to 255",
         low, high);
  return MKD_OK;
}

mkd_status mk_read_inputs(mk_split *split, mk_input_spec *input, const mk_recipe *recipe,
                          mkd_image_source source, uint64_t seed, const mk_reporter *reporter,
                          mk_pool *pool)
{
  input_job job = {
      .split = split, .input = input, .recipe = recipe, .source = source, .seed = seed};
  int threads = mk_pool_threads(pool);
  mkd_status status = mk_alloc(&job.results, ROUND, sizeof *job.results);
  if (status == MKD_OK) status = mk_alloc(&job.scratch, (size_t)threads, sizeof *job.scratch);
  if (status == MKD_OK) status = fill_inputs(&job, reporter, pool);
  for (int i = 0; job.scratch && i < threads; ++i) mk_scratch_free(&job.scratch[i]);
  mk_free(job.scratch);
  mk_free(job.results);
  MK_TRY(status);
  return find_contrast(input, split, recipe, reporter);
}

/* ---- Targets --------------------------------------------------------------------------------- */

/* Running mean and sum of squares about it, per channel. */
typedef struct {
  double rows, *mean, *squares;
} moments;

/* Adds one image: its own mean and squares first, then merged (Chan et al. 1979), so that nothing
 * cancels. `scratch` has room for 2 doubles a channel, `mean` for one float. */
static void moments_add(moments *m, const mk_kernels *kernels, const float *data, mk_shape shape,
                        double *scratch, float *mean)
{
  size_t channels = (size_t)shape.channels, rows = (size_t)shape.height * (size_t)shape.width;
  double *sums = scratch, *squares = scratch + channels;
  memset(scratch, 0, 2 * channels * sizeof *scratch);
  kernels->channel_sums(sums, data, shape.channels, rows);
  for (size_t c = 0; c < channels; ++c) mean[c] = (float)(sums[c] / (double)rows);
  kernels->channel_squares(squares, data, mean, shape.channels, rows);
  double all = m->rows + (double)rows;
  for (size_t c = 0; c < channels; ++c) {
    double exact = sums[c] / (double)rows, error = exact - (double)mean[c];
    double step = exact - m->mean[c];
    m->squares[c] +=
        squares[c] - (double)rows * error * error + step * step * m->rows * (double)rows / all;
    m->mean[c] += step * (double)rows / all;
  }
  m->rows = all;
}

typedef struct {
  const mk_split *split;
  const mk_input_spec *input;
  mk_exec *exec;
  int points;
  size_t first; /* item of the batch */
} target_job;

static void load_input(void *context, size_t index, int worker)
{
  (void)worker;
  const target_job *job = context;
  mk_input_normalise(mk_exec_input(job->exec) + index * job->split->store->input_size,
                     mk_store_input(job->split->store, job->first + index), job->input);
}

static void save_targets(void *context, size_t index, int worker)
{
  (void)worker;
  const target_job *job = context;
  size_t begin = 0;
  for (int p = 0; p < job->points; ++p) {
    mk_shape shape = mk_exec_output_shape(job->exec, p);
    size_t size = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
    mk_store_put_targets(job->split->store, job->first + index, begin,
                         mk_exec_output(job->exec, p) + index * size, size);
    begin += size;
  }
}

typedef struct {
  mk_net *net;
  mk_exec *exec;
  moments moments[MK_MAX_POINTS];
  double *scratch;
  float *mean;
  bool *trained; /* [items]: an original that is trained on */
} target_memory;

static mkd_status target_memory_create(target_memory *m, const mk_split *split,
                                       const mk_input_spec *input, const mk_teacher *teacher,
                                       int points)
{
  int channels = 1;
  MK_TRY(mk_net_create(&m->net, teacher->graph, mk_kernels_best()));
  mk_exec_options options = {.batch = EXPERT_BATCH, .height = input->height, .width = input->width};
  MK_TRY(mk_exec_create(&m->exec, m->net, teacher->outputs, points, &options));
  for (int p = 0; p < points; ++p) {
    int width = mk_exec_output_shape(m->exec, p).channels;
    MK_TRY(mk_alloc(&m->moments[p].mean, (size_t)width, sizeof(double)));
    MK_TRY(mk_alloc(&m->moments[p].squares, (size_t)width, sizeof(double)));
    if (width > channels) channels = width;
  }
  MK_TRY(mk_alloc(&m->scratch, 2 * (size_t)channels, sizeof(double)));
  MK_TRY(mk_alloc(&m->mean, (size_t)channels, sizeof(float)));
  MK_TRY(mk_alloc(&m->trained, split->store->count, sizeof(bool)));
  for (size_t i = 0; i < split->originals; ++i) m->trained[split->train[i]] = true;
  return MKD_OK;
}

static void target_memory_free(target_memory *m)
{
  for (int p = 0; p < MK_MAX_POINTS; ++p) {
    mk_free(m->moments[p].mean);
    mk_free(m->moments[p].squares);
  }
  mk_free(m->scratch);
  mk_free(m->mean);
  mk_free(m->trained);
  mk_exec_destroy(m->exec);
  mk_net_destroy(m->net);
}

static mkd_status run_expert(target_memory *m, const mk_split *split, const mk_input_spec *input,
                             int points, const mk_reporter *reporter, mk_pool *pool)
{
  target_job job = {.split = split, .input = input, .exec = m->exec, .points = points};
  size_t count = split->store->count;
  for (size_t first = 0; first < count; first += EXPERT_BATCH) {
    int batch = (int)(count - first < EXPERT_BATCH ? count - first : EXPERT_BATCH);
    job.first = first;
    mk_pool_run(pool, (size_t)batch, load_input, &job);
    mk_exec_forward(m->exec, pool, batch);
    mk_pool_run(pool, (size_t)batch, save_targets, &job);
    for (int p = 0; p < points; ++p) {
      mk_shape shape = mk_exec_output_shape(m->exec, p);
      size_t size = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
      for (int n = 0; n < batch; ++n) {
        if (m->trained[first + (size_t)n])
          moments_add(&m->moments[p], m->net->kernels,
                      mk_exec_output(m->exec, p) + (size_t)n * size, shape, m->scratch, m->mean);
      }
    }
    MK_TRY(mk_report(reporter, &(mkd_progress){.stage = MKD_STAGE_TARGETS,
                                               .done = first + (size_t)batch,
                                               .total = count,
                                               .loss = NAN,
                                               .held_out_loss = NAN,
                                               .seconds_left = NAN}));
  }
  return MKD_OK;
}

static mkd_status finish_statistics(mk_channel_statistics *statistics, const moments *m,
                                    int channels)
{
  statistics->channels = channels;
  MK_TRY(mk_alloc(&statistics->mean, (size_t)channels, sizeof(float)));
  MK_TRY(mk_alloc(&statistics->deviation, (size_t)channels, sizeof(float)));
  for (int c = 0; c < channels; ++c) {
    double deviation = sqrt(m->squares[c] / m->rows);
    statistics->mean[c] = (float)m->mean[c];
    /* A channel that never moves says nothing; it must not divide by zero. */
    statistics->deviation[c] = deviation > 1e-6 ? (float)deviation : 1;
  }
  return MKD_OK;
}

mkd_status mk_compute_targets(const mk_split *split, mk_channel_statistics *statistics,
                              const mk_input_spec *input, const mk_teacher *teacher,
                              const mk_recipe *recipe, const mk_reporter *reporter, mk_pool *pool)
{
  target_memory memory = {0};
  int points = recipe->critical_points.count;
  mkd_status status = target_memory_create(&memory, split, input, teacher, points);
  if (status == MKD_OK) status = run_expert(&memory, split, input, points, reporter, pool);
  for (int p = 0; status == MKD_OK && p < points; ++p)
    status = finish_statistics(&statistics[p], &memory.moments[p],
                               mk_exec_output_shape(memory.exec, p).channels);
  target_memory_free(&memory);
  return status;
}
