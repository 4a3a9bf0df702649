/* Labelled scores of images in descending order. */
#ifndef MK_EVAL_RANKED_H
#define MK_EVAL_RANKED_H

#include "core/status.h"

typedef struct {
  double score;
  bool anomalous;
} mk_ranked;

/* mk_free the result. MKD_ERROR_DATA when a score is not finite, or one class is missing. */
mkd_status mk_rank(mk_ranked **ranked, const double *scores, const bool *anomalous, size_t count);

#endif
