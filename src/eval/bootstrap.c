#include "core/memory.h"
#include "core/rng.h"
#include "eval/metrics.h"
#include "eval/ranked.h"

#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 2000, SEED = 95 };

/* The images of a class by the level of their score: 0 for the lowest distinct score of all. */
typedef struct {
  size_t *level; /* of each image */
  size_t count;
  size_t *drawn; /* how often each level was drawn */
} class_levels;

typedef struct {
  class_levels normal, anomalous;
  size_t levels;
} sample;

static void sample_free(sample *s)
{
  mk_free(s->normal.level);
  mk_free(s->normal.drawn);
  mk_free(s->anomalous.level);
  mk_free(s->anomalous.drawn);
}

static mkd_status sample_create(sample *s, const mk_ranked *ranked, size_t count)
{
  MK_TRY(mk_alloc(&s->normal.level, count, sizeof(size_t)));
  MK_TRY(mk_alloc(&s->normal.drawn, count, sizeof(size_t)));
  MK_TRY(mk_alloc(&s->anomalous.level, count, sizeof(size_t)));
  MK_TRY(mk_alloc(&s->anomalous.drawn, count, sizeof(size_t)));
  for (size_t i = count; i > 0; --i) { /* ranked is in descending order */
    if (i == count || ranked[i - 1].score != ranked[i].score) ++s->levels;
    class_levels *c = ranked[i - 1].anomalous ? &s->anomalous : &s->normal;
    c->level[c->count++] = s->levels - 1;
  }
  return MKD_OK;
}

static void draw(class_levels *c, size_t levels, mk_rng *rng)
{
  for (size_t i = 0; i < levels; ++i) c->drawn[i] = 0;
  for (size_t i = 0; i < c->count; ++i) ++c->drawn[c->level[mk_rng_below(rng, c->count)]];
}

/* ---- Metrics of what was drawn --------------------------------------------------------------- */

static double drawn_auroc(const sample *s)
{
  double below = 0, pairs = 0;
  for (size_t i = 0; i < s->levels; ++i) {
    double normal = (double)s->normal.drawn[i];
    pairs += (double)s->anomalous.drawn[i] * (below + normal / 2);
    below += normal;
  }
  return pairs / ((double)s->normal.count * (double)s->anomalous.count);
}

static double drawn_average_precision(const sample *s)
{
  double found = 0, alarms = 0, sum = 0;
  for (size_t i = s->levels; i > 0; --i) {
    double anomalous = (double)s->anomalous.drawn[i - 1];
    found += anomalous;
    alarms += anomalous + (double)s->normal.drawn[i - 1];
    if (anomalous > 0) sum += anomalous * found / alarms;
  }
  return sum / (double)s->anomalous.count;
}

/* ---- Intervals ------------------------------------------------------------------------------- */

static int compare_ascending(const void *left, const void *right)
{
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Linear between order statistics. */
static double quantile(const double *sorted, size_t count, double q)
{
  double place = q * (double)(count - 1);
  size_t i = (size_t)place;
  if (i + 1 >= count) return sorted[count - 1];
  return sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i]);
}

static mk_bounds percentile_interval(double *values)
{
  qsort(values, RESAMPLES, sizeof *values, compare_ascending);
  return (mk_bounds){quantile(values, RESAMPLES, 0.025), quantile(values, RESAMPLES, 0.975)};
}

mkd_status mk_image_intervals(mk_bounds *auroc, mk_bounds *average_precision, const double *scores,
                              const bool *anomalous, size_t count)
{
  mk_ranked *ranked;
  sample s = {0};
  MK_TRY(mk_rank(&ranked, scores, anomalous, count));
  mkd_status status = sample_create(&s, ranked, count);
  if (status == MKD_OK) {
    double areas[RESAMPLES], precisions[RESAMPLES];
    mk_rng rng = mk_rng_seed(SEED, 0);
    for (size_t i = 0; i < RESAMPLES; ++i) {
      draw(&s.normal, s.levels, &rng);
      draw(&s.anomalous, s.levels, &rng);
      areas[i] = drawn_auroc(&s);
      precisions[i] = drawn_average_precision(&s);
    }
    *auroc = percentile_interval(areas);
    *average_precision = percentile_interval(precisions);
  }
  sample_free(&s);
  mk_free(ranked);
  return status;
}

mk_bounds mk_rate_interval(size_t hits, size_t count)
{
  const double z = 1.959963984540054; /* 97.5 % quantile of the normal distribution */
  double n = (double)count, rate = (double)hits / n;
  double centre = rate + z * z / (2 * n);
  double half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n));
  double scale = 1 + z * z / n;
  /* Exact at the ends, where rounding could exclude the rate itself. */
  return (mk_bounds){hits == 0 ? 0 : (centre - half) / scale,
                     hits == count ? 1 : (centre + half) / scale};
}
