#include "distill/targets.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>

/* More images at once keep more threads busy and read weights less often; more than this many
 * pixels gain nothing, and cost memory. */
int mk_expert_batch(const mk_input_spec *input)
{
  const int least = 8, most = 64, pixels = 1 << 19;
  int batch = pixels / (input->width * input->height);
  return batch < least ? least : batch > most ? most : batch;
}

static size_t shape_size(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

/* Running mean and sum of squares about it, per channel. */
typedef struct {
  double rows, *mean, *squares;
} moments;

/* Of one image: mean per channel and sum of squares about it. */
static void image_moments(double *mean, double *squares, float *rounded, const mk_kernels *kernels,
                          const float *data, mk_shape shape)
{
  size_t channels = (size_t)shape.channels, rows = (size_t)shape.height * (size_t)shape.width;
  memset(mean, 0, channels * sizeof *mean);
  memset(squares, 0, channels * sizeof *squares);
  kernels->channel_sums(mean, data, shape.channels, rows);
  for (size_t c = 0; c < channels; ++c) {
    mean[c] /= (double)rows;
    rounded[c] = (float)mean[c];
  }
  kernels->channel_squares(squares, data, rounded, shape.channels, rows);
  for (size_t c = 0; c < channels; ++c) {
    double error = mean[c] - (double)rounded[c];
    squares[c] -= (double)rows * error * error;
  }
}

/* Adds one image; merged so that nothing cancels (Chan et al. 1979). */
static void moments_add(moments *m, const double *mean, const double *squares, mk_shape shape)
{
  double rows = (double)shape.height * shape.width, all = m->rows + rows;
  for (int c = 0; c < shape.channels; ++c) {
    double step = mean[c] - m->mean[c];
    m->squares[c] += squares[c] + step * step * m->rows * rows / all;
    m->mean[c] += step * rows / all;
  }
  m->rows = all;
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

void mk_statistics_free(mk_channel_statistics *statistics)
{
  mk_free(statistics->mean);
  mk_free(statistics->deviation);
  memset(statistics, 0, sizeof *statistics);
}

/* ---- Batches --------------------------------------------------------------------------------- */

typedef struct {
  const mk_target_job *job;
  mk_exec *exec;
  int batch;      /* most items at a time */
  size_t *items;  /* those that the expert has to see */
  size_t count;   /* of them */
  size_t *places; /* [points]: where each point's activations begin in the store */
  size_t first;   /* of `items` in the batch under way */
  /* Each image's own moments: [batch][channels of all points]. */
  size_t channels;
  double *mean, *squares;
  float *rounded;
  moments *total; /* [points] */
} runner;

static void load_input(void *context, size_t index, int worker)
{
  (void)worker;
  const runner *r = context;
  const mk_store *store = r->job->store;
  mk_input_normalise(mk_exec_input(r->exec) + index * store->input_size,
                     mk_store_input(store, r->items[r->first + index]), r->job->input);
}

static void take_activations(void *context, size_t index, int worker)
{
  (void)worker;
  const runner *r = context;
  const mk_target_job *job = r->job;
  size_t item = r->items[r->first + index], at = index * r->channels;
  for (int p = 0; p < job->points; ++p) {
    mk_shape shape = mk_exec_output_shape(r->exec, p);
    const float *data = mk_exec_output(r->exec, p) + index * shape_size(shape);
    if (job->store->target_size > 0)
      mk_store_put_targets(job->store, item, r->places[p], data, shape_size(shape));
    if (job->statistics && job->counted[item])
      image_moments(r->mean + at, r->squares + at, r->rounded + at, job->expert->kernels, data,
                    shape);
    at += (size_t)shape.channels;
  }
}

/* In the order of the items, so that the sums do not depend on the threads. */
static void add_statistics(const runner *r, size_t index)
{
  const mk_target_job *job = r->job;
  size_t at = index * r->channels;
  if (!job->counted[r->items[r->first + index]]) return;
  for (int p = 0; p < job->points; ++p) {
    mk_shape shape = mk_exec_output_shape(r->exec, p);
    moments_add(&r->total[p], r->mean + at, r->squares + at, shape);
    at += (size_t)shape.channels;
  }
}

static mkd_status run_batches(runner *r, const mk_reporter *reporter, mk_pool *pool)
{
  size_t most = (size_t)r->batch;
  for (r->first = 0; r->first < r->count; r->first += most) {
    size_t batch = r->count - r->first < most ? r->count - r->first : most;
    mk_pool_run(pool, batch, load_input, r);
    mk_exec_forward(r->exec, pool, (int)batch);
    mk_pool_run(pool, batch, take_activations, r);
    for (size_t i = 0; r->job->statistics && i < batch; ++i) add_statistics(r, i);
    MK_TRY(mk_report_images(reporter, MKD_STAGE_TARGETS, r->first + batch, r->count));
  }
  return MKD_OK;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static mkd_status runner_create(runner *r)
{
  const mk_target_job *job = r->job;
  size_t points = (size_t)job->points, count = job->store->count, place = 0;
  r->batch = mk_expert_batch(job->input);
  mk_exec_options options = {
      .batch = r->batch, .height = job->input->height, .width = job->input->width};
  MK_TRY(mk_exec_create(&r->exec, job->expert, job->outputs, job->points, &options));
  MK_TRY(mk_alloc(&r->places, points, sizeof *r->places));
  MK_TRY(mk_alloc(&r->total, points, sizeof *r->total));
  for (size_t p = 0; p < points; ++p) {
    mk_shape shape = mk_exec_output_shape(r->exec, (int)p);
    r->places[p] = place;
    place += shape_size(shape);
    r->channels += (size_t)shape.channels;
    MK_TRY(mk_alloc(&r->total[p].mean, (size_t)shape.channels, sizeof(double)));
    MK_TRY(mk_alloc(&r->total[p].squares, (size_t)shape.channels, sizeof(double)));
  }
  size_t all = (size_t)r->batch * r->channels;
  MK_TRY(mk_alloc(&r->mean, all, sizeof *r->mean));
  MK_TRY(mk_alloc(&r->squares, all, sizeof *r->squares));
  MK_TRY(mk_alloc(&r->rounded, all, sizeof *r->rounded));
  MK_TRY(mk_alloc(&r->items, count, sizeof *r->items));
  for (size_t i = 0; i < count; ++i) {
    if (job->store->target_size > 0 || job->counted[i]) r->items[r->count++] = i;
  }
  return MKD_OK;
}

static void runner_free(runner *r)
{
  for (int p = 0; r->total && p < r->job->points; ++p) {
    mk_free(r->total[p].mean);
    mk_free(r->total[p].squares);
  }
  mk_free(r->total);
  mk_free(r->places);
  mk_free(r->mean);
  mk_free(r->squares);
  mk_free(r->rounded);
  mk_free(r->items);
  mk_exec_destroy(r->exec);
}

mkd_status mk_compute_targets(const mk_target_job *job, const mk_reporter *reporter, mk_pool *pool)
{
  runner r = {.job = job};
  mkd_status status = runner_create(&r);
  if (status == MKD_OK) status = run_batches(&r, reporter, pool);
  for (int p = 0; status == MKD_OK && job->statistics && p < job->points; ++p)
    status = finish_statistics(&job->statistics[p], &r.total[p],
                               mk_exec_output_shape(r.exec, p).channels);
  runner_free(&r);
  return status;
}
