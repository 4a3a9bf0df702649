#include "eval/ranked.h"

#include "core/memory.h"

#include <math.h>
#include <stdlib.h>

static int compare_descending(const void *left, const void *right)
{
  double a = ((const mk_ranked *)left)->score, b = ((const mk_ranked *)right)->score;
  return (a < b) - (a > b);
}

mkd_status mk_rank(mk_ranked **out, const double *scores, const bool *anomalous, size_t count)
{
  size_t positives = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!isfinite(scores[i]))
      return mk_fail(MKD_ERROR_DATA, "the score of image %zu of %zu is %g; scores are finite",
                     i + 1, count, scores[i]);
    positives += anomalous[i];
  }
  if (positives == 0 || positives == count)
    return mk_fail(MKD_ERROR_DATA, "%zu normal and %zu anomalous images; metrics need both kinds",
                   count - positives, positives);
  mk_ranked *ranked;
  MK_TRY(mk_alloc(&ranked, count, sizeof *ranked));
  for (size_t i = 0; i < count; ++i) ranked[i] = (mk_ranked){scores[i], anomalous[i]};
  qsort(ranked, count, sizeof *ranked, compare_descending);
  *out = ranked;
  return MKD_OK;
}
