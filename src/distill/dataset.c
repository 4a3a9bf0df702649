#include "distill/dataset.h"

#include "core/items.h"
#include "core/memory.h"
#include "distill/images.h"
#include "image/histogram.h"

#include <math.h>
#include <string.h>

enum { STREAM_SPLIT = 1, STREAM_COPIES = 1000000 }; /* of the random numbers */

/* ---- Split ----------------------------------------------------------------------------------- */

/* The items of images order[0 .. count - 1] one after the other; `begins` (or NULL) tells where
 * each image's begin, and where the last one's end. */
static mkd_status collect_items(size_t **items, size_t *item_count, size_t *begins,
                                const size_t *first, const size_t *order, size_t count)
{
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) total += first[order[i] + 1] - first[order[i]];
  MK_TRY(mk_alloc(items, total, sizeof **items));
  *item_count = total;
  for (size_t i = 0, at = 0; i < count; ++i) {
    if (begins) begins[i] = at;
    for (size_t item = first[order[i]]; item < first[order[i] + 1]; ++item) (*items)[at++] = item;
  }
  if (begins) begins[count] = total;
  return MKD_OK;
}

static mkd_status add_copies(mk_split *split, const mk_recipe *recipe)
{
  size_t copies = split->tiles < (size_t)recipe->copies_below ? (size_t)recipe->copies : 0;
  size_t originals = split->train_count, count = originals * (1 + copies);
  split->originals = originals;
  MK_TRY(mk_grow(&split->train, originals, count, sizeof *split->train));
  split->train_count = count;
  for (size_t i = originals; i < count; ++i) split->train[i] = split->tiles + (i - originals);
  return MKD_OK;
}

static mkd_status make_split(mk_split *split, const size_t *first, const mk_recipe *recipe,
                             const size_t *order)
{
  size_t held_out = split->held_out_images;
  MK_TRY(mk_alloc(&split->held_out_first, held_out + 1, sizeof *split->held_out_first));
  MK_TRY(collect_items(&split->held_out, &split->held_out_count, split->held_out_first, first,
                       order, held_out));
  MK_TRY(collect_items(&split->train, &split->train_count, NULL, first, order + held_out,
                       split->images - held_out));
  return add_copies(split, recipe);
}

mkd_status mk_split_create(mk_split *split, size_t images, const size_t *first,
                           const mk_recipe *recipe, uint64_t seed)
{
  *split = (mk_split){.images = images};
  if (images < 2)
    return mk_fail(
        MKD_ERROR_DATA,
        "%zu image%s: training needs at least 2 normal images, one to learn from and one "
        "to calibrate on",
        images, images == 1 ? "" : "s");
  size_t held_out = (size_t)floor(recipe->holdout * (double)images + 0.5);
  if (held_out < 2 && images >= 4) held_out = 2; /* one tells no spread */
  if (held_out < 1) held_out = 1;
  if (held_out > images - 1) held_out = images - 1;
  split->held_out_images = held_out;
  split->tiles = first[images];

  size_t *order;
  MK_TRY(mk_alloc(&order, images, sizeof *order));
  for (size_t i = 0; i < images; ++i) order[i] = i;
  mk_rng rng = mk_rng_seed(seed, STREAM_SPLIT);
  mk_rng_shuffle(&rng, order, images);
  mkd_status status = make_split(split, first, recipe, order);
  mk_free(order);
  if (status != MKD_OK) mk_split_free(split);
  return status;
}

void mk_split_free(mk_split *split)
{
  mk_store_destroy(split->store);
  mk_free(split->train);
  mk_free(split->held_out);
  mk_free(split->held_out_first);
  memset(split, 0, sizeof *split);
}

size_t mk_split_tile(const mk_split *split, size_t item)
{
  return item < split->tiles ? item : split->train[(item - split->tiles) % split->originals];
}

/* ---- Copies ---------------------------------------------------------------------------------- */

void mk_warp_input(uint16_t *dst, const uint16_t *src, const mk_input_spec *input,
                   const mk_warp_ranges *ranges, mk_rng *rng, float *levels, float *warped)
{
  size_t values = mk_input_size(input);
  mk_input_to_levels(levels, src, values);
  mk_warp_rgb(warped, levels, input->width, input->height, ranges, rng);
  mk_input_from_levels(dst, warped, values);
}

typedef struct {
  const mk_split *split;
  const mk_input_spec *input;
  const mk_warp_ranges *ranges;
  uint64_t seed;
  const mk_reporter *reporter;
  mk_scratch *scratch; /* [threads] */
} copy_job;

/* Copy `index` of the training set: item tiles + index. */
static mkd_status warp_image(void *context, size_t index, int lane)
{
  const copy_job *job = context;
  const mk_split *split = job->split;
  mk_scratch *scratch = &job->scratch[lane];
  size_t values = split->store->input_size, item = split->tiles + index;
  float *levels, *warped;
  mk_scratch_reset(scratch);
  MK_TRY(mk_scratch_get(scratch, &levels, values, sizeof *levels));
  MK_TRY(mk_scratch_get(scratch, &warped, values, sizeof *warped));
  mk_rng rng = mk_rng_seed(job->seed, STREAM_COPIES + index);
  mk_warp_input(mk_store_input(split->store, item),
                mk_store_input(split->store, mk_split_tile(split, item)), job->input, job->ranges,
                &rng, levels, warped);
  return MKD_OK;
}

/* With tiles, MKD_STAGE_READ counts images, which have all been read, twice. */
static mkd_status report_copy(void *context, size_t done)
{
  const copy_job *job = context;
  const mk_split *split = job->split;
  bool tiled = mk_input_is_tiled(job->input);
  size_t total = tiled ? 2 * split->images : split->store->count;
  return mk_report_images(job->reporter, MKD_STAGE_READ, tiled ? total : split->tiles + done,
                          total);
}

static mkd_status make_copies(copy_job *job, mk_pool *pool)
{
  mk_items items = {.count = job->split->store->count - job->split->tiles,
                    .work = warp_image,
                    .report = report_copy,
                    .context = job};
  int threads = mk_pool_threads(pool);
  MK_TRY(mk_alloc(&job->scratch, (size_t)threads, sizeof *job->scratch));
  mkd_status status = mk_items_run(&items, pool);
  for (int i = 0; i < threads; ++i) mk_scratch_free(&job->scratch[i]);
  mk_free(job->scratch);
  return status;
}

/* ---- Contrast -------------------------------------------------------------------------------- */

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

/* ---- The whole ------------------------------------------------------------------------------- */

mkd_status mk_read_inputs(mk_split *split, const size_t *first, mk_input_spec *input,
                          const mk_recipe *recipe, mkd_image_source source, uint64_t seed,
                          const mk_reporter *reporter, mk_pool *pool)
{
  copy_job copies = {
      .split = split, .input = input, .ranges = &recipe->warp, .seed = seed, .reporter = reporter};
  MK_TRY(mk_read_images(split->store, first, input, source, reporter, pool));
  MK_TRY(make_copies(&copies, pool));
  return find_contrast(input, split, recipe, reporter);
}
