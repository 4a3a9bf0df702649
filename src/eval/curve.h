/* The ROC and precision-recall curves of a ranking, walked once from the highest score down. */
#ifndef MK_EVAL_CURVE_H
#define MK_EVAL_CURVE_H

#include <stdint.h>

/* Set `positives` (at least 1) and `negatives` to the totals, their sum at most 2^32, and the rest
 * to zero; then step through all distinct scores of positives. Counts are integers, so ties are
 * exact. */
typedef struct {
  uint64_t positives, negatives;
  uint64_t found;       /* positives so far */
  uint64_t twice_pairs; /* 2 * pairs with positive > negative + pairs with a tie */
  double average_precision, f1_max, f1_threshold;
  double tpr_at_fpr_1, tpr_at_fpr_5;
} mk_curve;

/* Next lower score that at least one positive has: how many positives have it, how many negatives
 * lie above it, and how many share it. Scores of negatives alone change none of the sums. */
void mk_curve_step(mk_curve *curve, double score, uint64_t positives, uint64_t negatives_above,
                   uint64_t negatives_tied);

/* After the last step; NAN without negatives. */
double mk_curve_auroc(const mk_curve *curve);

#endif
