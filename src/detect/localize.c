#include "detect/localize.h"

#include "core/memory.h"
#include "core/rng.h"
#include "image/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_NOISE = 7 };

mk_inspector_kind mk_localize_inspector(mkd_localize method)
{
  bool gradients = method == MKD_LOCALIZE_GRADIENT || method == MKD_LOCALIZE_SMOOTHGRAD ||
                   method == MKD_LOCALIZE_GBP;
  return gradients ? MK_INSPECTOR_GRADIENTS : MK_INSPECTOR_FORWARD;
}

static mkd_status create(mk_localizer *l, const mkd_detector *d, mkd_localize method)
{
  size_t pixels = (size_t)d->input.width * (size_t)d->input.height;
  MK_TRY(mk_alloc(&l->grown, pixels, sizeof(float)));
  if (d->recipe.map_scale == MK_MAP_P99) MK_TRY(mk_alloc(&l->sorted, pixels, sizeof(float)));
  if (method != MKD_LOCALIZE_SMOOTHGRAD) return MKD_OK;
  MK_TRY(mk_alloc(&l->clean, 3 * pixels, sizeof(float)));
  return mk_alloc(&l->sum, 3 * pixels, sizeof(float));
}

mkd_status mk_localizer_create(mk_localizer **out, const mkd_detector *detector,
                               mkd_localize method)
{
  mk_localizer *l;
  MK_TRY(mk_alloc(&l, 1, sizeof *l));
  mkd_status status = create(l, detector, method);
  if (status != MKD_OK) {
    mk_localizer_destroy(l);
    return status;
  }
  *out = l;
  return MKD_OK;
}

void mk_localizer_destroy(mk_localizer *l)
{
  if (!l) return;
  mk_free(l->grown);
  mk_free(l->clean);
  mk_free(l->sum);
  mk_free(l->sorted);
  mk_scratch_free(&l->scratch);
  mk_free(l);
}

/* Sum over points of the standardised squares, each grown to the size of the input. */
static mkd_status discrepancy(float *map, mk_localizer *l, const mk_inspector *in,
                              const mk_calibration *c)
{
  const mkd_detector *d = in->detector;
  int width = d->input.width, height = d->input.height;
  size_t pixels = (size_t)width * (size_t)height;
  memset(map, 0, pixels * sizeof *map);
  for (int p = 0; p < d->point_count; ++p) {
    if (!d->scored[p]) continue;
    MK_TRY(mk_upsample_plane(l->grown, width, height, in->squares[p], in->shapes[p].width,
                             in->shapes[p].height, in->pool, &l->scratch));
    float mean = (float)c->square_mean[p], scale = (float)(1 / c->square_deviation[p]);
    for (size_t i = 0; i < pixels; ++i) map[i] += (l->grown[i] - mean) * scale;
  }
  return MKD_OK;
}

static void sum_channels(float *map, const float *gradient, size_t pixels)
{
  for (size_t i = 0; i < pixels; ++i)
    map[i] = fabsf(gradient[3 * i]) + fabsf(gradient[3 * i + 1]) + fabsf(gradient[3 * i + 2]);
}

/* Mean of the gradient over copies of the input with Gaussian noise, sigma told as a part of the
 * input's range of values. The noise is the same for every image: same input, same map. */
static void smoothgrad(float *map, mk_localizer *l, mk_inspector *in)
{
  const mkd_detector *d = in->detector;
  const mk_kernels *kernels = d->expert_net->kernels;
  size_t values = mk_input_size(&d->input);
  float *input = mk_inspector_input(in), low = INFINITY, high = -INFINITY;
  memcpy(l->clean, input, values * sizeof *input);
  memset(l->sum, 0, values * sizeof *l->sum);
  for (size_t i = 0; i < values; ++i) {
    low = fminf(low, input[i]);
    high = fmaxf(high, input[i]);
  }
  double sigma = d->recipe.smoothgrad_sigma * (double)(high - low);
  for (int sample = 0; sample < d->recipe.smoothgrad_samples; ++sample) {
    mk_rng rng = mk_rng_seed((uint64_t)sample, STREAM_NOISE);
    for (size_t i = 0; i < values; ++i)
      input[i] = l->clean[i] + (float)(sigma * mk_rng_normal(&rng));
    mk_inspect(in);
    mk_inspector_differentiate(in, false);
    kernels->accumulate(l->sum, in->gradient, 1.0F / (float)d->recipe.smoothgrad_samples, values);
  }
  sum_channels(map, l->sum, values / 3);
}

static int ascending(const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* From [least, 99th percentile] to [0, 1], as the authors' code draws its maps. */
static void scale_to_p99(float *map, mk_localizer *l, size_t pixels)
{
  memcpy(l->sorted, map, pixels * sizeof *map);
  qsort(l->sorted, pixels, sizeof *map, ascending);
  double rank = 0.99 * (double)(pixels - 1);
  size_t below = (size_t)rank, above = below + 1 < pixels ? below + 1 : below;
  float part = (float)(rank - (double)below), low = l->sorted[0];
  float high = l->sorted[below] + part * (l->sorted[above] - l->sorted[below]);
  float scale = high > low ? 1 / (high - low) : 0;
  for (size_t i = 0; i < pixels; ++i) map[i] = fminf(fmaxf((map[i] - low) * scale, 0), 1);
}

mkd_status mk_localize(float *map, mk_localizer *l, mk_inspector *in, mkd_localize method,
                       const mk_calibration *calibration)
{
  const mkd_detector *d = in->detector;
  const mk_recipe *recipe = &d->recipe;
  int width = d->input.width, height = d->input.height;
  size_t pixels = (size_t)width * (size_t)height;
  mk_scratch_reset(&l->scratch);
  if (method == MKD_LOCALIZE_DISCREPANCY) {
    MK_TRY(discrepancy(map, l, in, calibration));
  } else {
    if (method == MKD_LOCALIZE_SMOOTHGRAD) {
      smoothgrad(map, l, in);
    } else {
      mk_inspector_differentiate(in, method == MKD_LOCALIZE_GBP);
      sum_channels(map, in->gradient, pixels);
    }
    if (recipe->map_scale == MK_MAP_P99) scale_to_p99(map, l, pixels);
  }
  if (l->plain) return MKD_OK;
  if (recipe->map_sigma > 0)
    MK_TRY(mk_gaussian_blur(map, width, height, recipe->map_sigma,
                            (int)floor(4 * recipe->map_sigma + 0.5), in->pool, &l->scratch));
  if (recipe->map_opening) MK_TRY(mk_open_plus(map, width, height, &l->scratch));
  return MKD_OK;
}
