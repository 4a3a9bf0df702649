#include "detect/examiner.h"

#include "core/memory.h"

#include <math.h>

static mkd_status create(mk_examiner *e, mk_pool *pool)
{
  const mkd_detector *d = e->detector;
  MK_TRY(mk_inspector_create(&e->inspector, d, pool, mk_localize_inspector(e->localize)));
  MK_TRY(mk_localizer_create(&e->localizer, d, e->localize));
  MK_TRY(mk_alloc(&e->input, mk_input_size(&d->input), sizeof *e->input));
  return mk_alloc(&e->map, (size_t)d->input.width * (size_t)d->input.height, sizeof *e->map);
}

mkd_status mk_examiner_create(mk_examiner **out, const mkd_detector *detector,
                              mkd_localize localize, mk_pool *pool)
{
  mk_examiner *e;
  MK_TRY(mk_alloc(&e, 1, sizeof *e));
  e->detector = detector;
  e->localize = localize;
  mkd_status status = create(e, pool);
  if (status != MKD_OK) {
    mk_examiner_destroy(e);
    return status;
  }
  *out = e;
  return MKD_OK;
}

void mk_examiner_destroy(mk_examiner *e)
{
  if (!e) return;
  mk_inspector_destroy(e->inspector);
  mk_localizer_destroy(e->localizer);
  mk_scratch_free(&e->scratch);
  mk_free(e->input);
  mk_free(e->map);
  mk_free(e);
}

static mkd_status make_map(mk_examiner *e, const mkd_image *tile, float *map)
{
  const mkd_detector *d = e->detector;
  size_t count = (size_t)d->input.width * (size_t)d->input.height;
  MK_TRY(mk_localize(e->map, e->localizer, e->inspector, e->localize, &d->calibration));
  e->map_max = -INFINITY;
  for (size_t i = 0; i < count; ++i) {
    if ((double)e->map[i] > e->map_max) e->map_max = (double)e->map[i];
  }
  return mk_input_map_to_image(map, tile->width, tile->height, e->map, &d->input,
                               e->inspector->pool, &e->scratch);
}

mkd_status mk_examine(mk_examiner *e, const mkd_image *tile, mk_pool *pool, float *map)
{
  const mkd_detector *d = e->detector;
  mk_scratch_reset(&e->scratch);
  MK_TRY(mk_input_read(e->input, &d->input, tile, pool, &e->scratch));
  mk_input_normalise(mk_inspector_input(e->inspector), e->input, &d->input);
  e->inspector->pool = pool;
  mk_inspect(e->inspector);
  e->parts = mk_inspector_parts(e->inspector, &d->calibration);
  if (!isfinite(mk_score_of(e->parts, d, &d->calibration)))
    return mk_fail(MKD_ERROR_FILE, "the score is not finite: the model's weights are damaged");
  e->map_max = NAN;
  return e->localize == MKD_LOCALIZE_NONE ? MKD_OK : make_map(e, tile, map);
}
