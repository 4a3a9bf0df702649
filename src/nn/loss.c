#include "nn/loss.h"

#include <math.h>

/* As torch.nn.functional.cosine_similarity: norms below this count as this. */
static const double least_norm = 1e-8;

mk_loss_point mk_loss_compare(const mk_kernels *kernels, const float *s, const float *c,
                              size_t count)
{
  double sums[4];
  kernels->pair_sums(sums, s, c, count);
  double norm_s = fmax(sqrt(sums[0]), least_norm), norm_c = fmax(sqrt(sums[1]), least_norm);
  double cosine = sums[2] / (norm_s * norm_c), n = (double)count;
  return (mk_loss_point){.loss = {sums[3] / n, 1 - cosine},
                         .val_own = 2 / n,
                         .val_other = -2 / n,
                         .dir_c_own = cosine / (norm_c * norm_c),
                         .dir_s_own = cosine / (norm_s * norm_s),
                         .dir_other = -1 / (norm_s * norm_c)};
}

void mk_loss_gradient(const mk_kernels *kernels, const mk_loss_point *point, double weight_val,
                      double weight_dir, bool own_is_cloner, float *diff_own, const float *own,
                      const float *other, size_t count)
{
  double dir_own = own_is_cloner ? point->dir_c_own : point->dir_s_own;
  kernels->combine(diff_own, own, (float)(weight_val * point->val_own + weight_dir * dir_own),
                   other, (float)(weight_val * point->val_other + weight_dir * point->dir_other),
                   count);
}
