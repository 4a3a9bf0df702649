#include "eval/curve.h"

void mk_curve_step(mk_curve *curve, double score, uint64_t positives, uint64_t negatives_above,
                   uint64_t negatives_tied)
{
  uint64_t below = curve->negatives - negatives_above - negatives_tied;
  curve->twice_pairs += positives * (2 * below + negatives_tied);
  curve->found += positives;
  double total = (double)curve->positives, found = (double)curve->found;
  double alarms = (double)(negatives_above + negatives_tied); /* false ones */
  curve->average_precision += (double)positives / total * (found / (found + alarms));
  /* Integers divided: equal ratios compare equal, and the highest threshold wins. */
  double f1 = 2 * found / (found + alarms + total);
  if (f1 > curve->f1_max) {
    curve->f1_max = f1;
    curve->f1_threshold = score;
  }
  double fpr = alarms / (double)curve->negatives;
  if (fpr <= 0.01) curve->tpr_at_fpr_1 = found / total;
  if (fpr <= 0.05) curve->tpr_at_fpr_5 = found / total;
}

double mk_curve_auroc(const mk_curve *curve)
{
  return (double)curve->twice_pairs / 2 / ((double)curve->positives * (double)curve->negatives);
}
