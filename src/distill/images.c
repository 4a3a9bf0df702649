#include "distill/images.h"

#include "core/items.h"
#include "core/memory.h"
#include "core/scratch.h"

typedef struct {
  const mk_store *store;
  const mk_input_spec *input;
  mkd_image_source source;
  const mk_reporter *reporter;
  mk_scratch *scratch; /* [threads] */
} read_job;

static mkd_status read_image(void *context, size_t index, int lane)
{
  const read_job *job = context;
  mkd_image image = {0};
  void *handle = NULL;
  mk_scratch_reset(&job->scratch[lane]);
  MK_TRY(job->source.get(job->source.context, index, &image, &handle));
  mkd_status status =
      mk_input_read(mk_store_input(job->store, index), job->input, &image, &job->scratch[lane]);
  if (job->source.release) job->source.release(job->source.context, &image, handle);
  return status;
}

static mkd_status report(void *context, size_t done)
{
  const read_job *job = context;
  return mk_report_images(job->reporter, MKD_STAGE_READ, done, job->store->count);
}

mkd_status mk_read_images(const mk_store *store, const mk_input_spec *input,
                          mkd_image_source source, const mk_reporter *reporter, mk_pool *pool)
{
  read_job job = {.store = store, .input = input, .source = source, .reporter = reporter};
  mk_items items = {.count = source.count, .work = read_image, .report = report, .context = &job};
  int threads = mk_pool_threads(pool);
  MK_TRY(mk_alloc(&job.scratch, (size_t)threads, sizeof *job.scratch));
  mkd_status status = mk_items_run(&items, pool);
  for (int i = 0; i < threads; ++i) mk_scratch_free(&job.scratch[i]);
  mk_free(job.scratch);
  return status;
}
