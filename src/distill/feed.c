#include "distill/feed.h"

#include "core/memory.h"

#include <string.h>

static const uint64_t stream_fresh = UINT64_C(1) << 40; /* of the random numbers; one an epoch */

/* One thread's memory for warps. */
typedef struct {
  uint16_t *input;
  float *levels, *warped;
} warp_memory;

struct mk_feed {
  mk_feed_options options;
  int points;
  mk_exec *expert;               /* NULL with targets in the store */
  warp_memory *memory;           /* [threads]; with an expert */
  float *targets[MK_MAX_POINTS]; /* [batch][size] */
};

/* ---- Life ------------------------------------------------------------------------------------ */

static mkd_status create_expert(mk_feed *feed)
{
  const mk_feed_options *o = &feed->options;
  size_t values = mk_input_size(o->input);
  mk_exec_options options = {
      .batch = o->batch, .height = o->input->height, .width = o->input->width};
  MK_TRY(mk_exec_create(&feed->expert, o->expert, o->outputs, feed->points, &options));
  MK_TRY(mk_alloc(&feed->memory, (size_t)o->threads, sizeof *feed->memory));
  for (int i = 0; i < o->threads; ++i) {
    warp_memory *m = &feed->memory[i];
    MK_TRY(mk_alloc(&m->input, values, sizeof *m->input));
    MK_TRY(mk_alloc(&m->levels, values, sizeof *m->levels));
    MK_TRY(mk_alloc(&m->warped, values, sizeof *m->warped));
  }
  return MKD_OK;
}

static mkd_status create(mk_feed *feed)
{
  const mk_feed_options *o = &feed->options;
  for (int p = 0; p < feed->points; ++p)
    MK_TRY(mk_alloc(&feed->targets[p], (size_t)o->batch * o->sizes[p], sizeof(float)));
  return o->expert ? create_expert(feed) : MKD_OK;
}

mkd_status mk_feed_create(mk_feed **out, const mk_feed_options *options)
{
  mk_feed *feed;
  MK_TRY(mk_alloc(&feed, 1, sizeof *feed));
  feed->options = *options;
  feed->points = options->recipe->critical_points.count;
  mkd_status status = create(feed);
  if (status != MKD_OK) {
    mk_feed_destroy(feed);
    return status;
  }
  *out = feed;
  return MKD_OK;
}

void mk_feed_destroy(mk_feed *feed)
{
  if (!feed) return;
  for (int i = 0; feed->memory && i < feed->options.threads; ++i) {
    mk_free(feed->memory[i].input);
    mk_free(feed->memory[i].levels);
    mk_free(feed->memory[i].warped);
  }
  mk_free(feed->memory);
  for (int p = 0; p < MK_MAX_POINTS; ++p) mk_free(feed->targets[p]);
  mk_exec_destroy(feed->expert);
  mk_free(feed);
}

const float *mk_feed_targets(const mk_feed *feed, int point)
{
  return feed->targets[point];
}

/* ---- One batch ------------------------------------------------------------------------------- */

typedef struct {
  mk_feed *feed;
  float *inputs;
  const size_t *items;
  int epoch;
} batch_job;

static const uint16_t *warp(const batch_job *job, size_t item, int worker)
{
  const mk_feed_options *o = &job->feed->options;
  const uint16_t *src = mk_store_input(o->split->store, mk_split_tile(o->split, item));
  if (job->epoch == MK_NOT_WARPED) return src;
  warp_memory *m = &job->feed->memory[worker];
  mk_rng rng = mk_rng_seed(o->seed, stream_fresh * ((uint64_t)job->epoch + 1) + item);
  mk_warp_input(m->input, src, o->input, &o->recipe->warp, &rng, m->levels, m->warped);
  return m->input;
}

/* The expert's input is the cloner's. */
static void load_pair(void *context, size_t index, int worker)
{
  const batch_job *job = context;
  const mk_input_spec *spec = job->feed->options.input;
  size_t values = mk_input_size(spec);
  float *input = job->inputs + index * values;
  mk_input_normalise(input, warp(job, job->items[index], worker), spec);
  memcpy(mk_exec_input(job->feed->expert) + index * values, input, values * sizeof *input);
}

static void normalise(float *target, size_t size, const mk_channel_statistics *s)
{
  if (!s->mean) return;
  size_t channels = (size_t)s->channels;
  for (size_t row = 0; row < size; row += channels) {
    for (size_t c = 0; c < channels; ++c)
      target[row + c] = (target[row + c] - s->mean[c]) / s->deviation[c];
  }
}

static void take_activations(void *context, size_t index, int worker)
{
  (void)worker;
  const batch_job *job = context;
  mk_feed *feed = job->feed;
  for (int p = 0; p < feed->points; ++p) {
    size_t size = feed->options.sizes[p], at = index * size;
    memcpy(feed->targets[p] + at, mk_exec_output(feed->expert, p) + at, size * sizeof(float));
    normalise(feed->targets[p] + at, size, &feed->options.statistics[p]);
  }
}

static void load_item(void *context, size_t index, int worker)
{
  (void)worker;
  const batch_job *job = context;
  mk_feed *feed = job->feed;
  const mk_feed_options *o = &feed->options;
  const mk_store *store = o->split->store;
  size_t item = job->items[index], begin = 0;
  mk_input_normalise(job->inputs + index * store->input_size, mk_store_input(store, item),
                     o->input);
  for (int p = 0; p < feed->points; ++p) {
    float *target = feed->targets[p] + index * o->sizes[p];
    mk_store_get_targets(store, item, begin, target, o->sizes[p]);
    normalise(target, o->sizes[p], &o->statistics[p]);
    begin += o->sizes[p];
  }
}

void mk_feed_load(mk_feed *feed, float *inputs, const size_t *items, int batch, int epoch,
                  mk_pool *pool)
{
  batch_job job = {feed, inputs, items, epoch};
  if (!feed->expert) {
    mk_pool_run(pool, (size_t)batch, load_item, &job);
    return;
  }
  mk_pool_run(pool, (size_t)batch, load_pair, &job);
  mk_exec_forward(feed->expert, pool, batch);
  mk_pool_run(pool, (size_t)batch, take_activations, &job);
}
