#include "eval/metrics.h"

#include "core/memory.h"
#include "eval/curve.h"
#include "eval/ranked.h"

mkd_status mk_image_metrics_of(mk_image_metrics *metrics, const double *scores,
                               const bool *anomalous, size_t count)
{
  mk_ranked *ranked;
  mk_curve curve = {0};
  MK_TRY(mk_rank(&ranked, scores, anomalous, count));
  for (size_t i = 0; i < count; ++i)
    if (ranked[i].anomalous)
      ++curve.positives;
    else
      ++curve.negatives;
  uint64_t above = 0;
  for (size_t i = 0, end; i < count; i = end) {
    uint64_t tied[2] = {0, 0};
    for (end = i; end < count && ranked[end].score == ranked[i].score; ++end)
      ++tied[ranked[end].anomalous];
    if (tied[1] > 0) mk_curve_step(&curve, ranked[i].score, tied[1], above, tied[0]);
    above += tied[0];
  }
  mk_free(ranked);
  *metrics =
      (mk_image_metrics){mk_curve_auroc(&curve), curve.average_precision, curve.f1_max,
                         curve.f1_threshold,     curve.tpr_at_fpr_1,      curve.tpr_at_fpr_5};
  return MKD_OK;
}
