#include "distill/images.h"

#include "core/items.h"
#include "core/memory.h"
#include "core/scratch.h"

typedef struct read_job read_job;

struct read_job {
  const mk_input_spec *input;
  mkd_image_source source;
  const mk_reporter *reporter;
  mkd_status (*use)(const read_job *job, size_t index, const mkd_image *image, int lane);
  size_t before, total; /* of MKD_STAGE_READ */
  size_t *tiles;        /* to find: [images] */
  const mk_store *store;
  const size_t *first;
  mk_scratch *scratch; /* [threads] */
};

static mkd_status read_image(void *context, size_t index, int lane)
{
  const read_job *job = context;
  mkd_image image = {0};
  void *handle = NULL;
  MK_TRY(job->source.get(job->source.context, index, &image, &handle));
  mkd_status status = job->use(job, index, &image, lane);
  if (job->source.release) job->source.release(job->source.context, &image, handle);
  return status;
}

static mkd_status report(void *context, size_t done)
{
  const read_job *job = context;
  return mk_report_images(job->reporter, MKD_STAGE_READ, job->before + done, job->total);
}

static mkd_status run(read_job *job, mk_pool *pool)
{
  mk_items items = {
      .count = job->source.count, .work = read_image, .report = report, .context = job};
  return mk_items_run(&items, pool);
}

/* ---- Numbers of tiles ------------------------------------------------------------------------ */

static mkd_status count_tiles(const read_job *job, size_t index, const mkd_image *image, int lane)
{
  (void)lane;
  mk_tile_grid grid;
  MK_TRY(mk_input_tiles(&grid, job->input, image));
  job->tiles[index] = grid.count;
  return MKD_OK;
}

mkd_status mk_find_tiles(size_t **first, const mk_input_spec *input, mkd_image_source source,
                         const mk_reporter *reporter, mk_pool *pool)
{
  size_t *begins, count = source.count;
  MK_TRY(mk_alloc(&begins, count + 1, sizeof *begins));
  mkd_status status = MKD_OK;
  if (mk_input_is_tiled(input)) {
    read_job job = {.input = input,
                    .source = source,
                    .reporter = reporter,
                    .use = count_tiles,
                    .total = 2 * count,
                    .tiles = begins + 1};
    status = run(&job, pool);
  } else {
    for (size_t i = 0; i < count; ++i) begins[i + 1] = 1;
  }
  if (status != MKD_OK) {
    mk_free(begins);
    return status;
  }
  for (size_t i = 0; i < count; ++i) begins[i + 1] += begins[i];
  *first = begins;
  return MKD_OK;
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

static mkd_status read_tiles(const read_job *job, size_t index, const mkd_image *image, int lane)
{
  mk_scratch *scratch = &job->scratch[lane];
  mk_tile_grid grid;
  MK_TRY(mk_input_tiles(&grid, job->input, image));
  if (grid.count != job->first[index + 1] - job->first[index])
    return mk_fail(MKD_ERROR_DATA, "image %zu has another size when it is read again", index + 1);
  for (size_t tile = 0; tile < grid.count; ++tile) {
    mkd_image view = mk_tile_view(image, &grid, tile);
    mk_scratch_reset(scratch);
    MK_TRY(mk_input_read(mk_store_input(job->store, job->first[index] + tile), job->input, &view,
                         NULL, scratch));
  }
  return MKD_OK;
}

mkd_status mk_read_images(const mk_store *store, const size_t *first, const mk_input_spec *input,
                          mkd_image_source source, const mk_reporter *reporter, mk_pool *pool)
{
  bool again = mk_input_is_tiled(input);
  read_job job = {.input = input,
                  .source = source,
                  .reporter = reporter,
                  .use = read_tiles,
                  .before = again ? source.count : 0,
                  .total = again ? 2 * source.count : store->count,
                  .store = store,
                  .first = first};
  int threads = mk_pool_threads(pool);
  MK_TRY(mk_alloc(&job.scratch, (size_t)threads, sizeof *job.scratch));
  mkd_status status = run(&job, pool);
  for (int i = 0; i < threads; ++i) mk_scratch_free(&job.scratch[i]);
  mk_free(job.scratch);
  return status;
}
