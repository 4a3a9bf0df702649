/* The two terms by which expert and cloner differ at one critical point of one image (Salehi et al.
 * 2021, equations 1 and 2), with their gradients:
 *   val = (1/N) sum_j (s_j - c_j)^2        dir = 1 - cos(s, c), over all N activations
 * The loss is  weight_val * sum over points of val + weight_dir * sum over points of dir. */
#ifndef MK_NN_LOSS_H
#define MK_NN_LOSS_H

#include "nn/kernels/kernels.h"

typedef struct {
  double val, dir;
} mk_loss;

/* Loss of activations s and c, and what its gradient is made of: with respect to c it is
 * weight_val * (val_c c + val_s s) + weight_dir * (dir_c c + dir_s s), and with respect to s the
 * same with the two swapped, dir_s_own in place of dir_c. */
typedef struct {
  mk_loss loss;
  double val_own, val_other; /* 2/N and -2/N */
  double dir_c_own, dir_s_own, dir_other;
} mk_loss_point;

mk_loss_point mk_loss_compare(const mk_kernels *kernels, const float *s, const float *c,
                              size_t count);

/* diff_own[j] = gradient with respect to `own`; `own_is_cloner` says which of the two that is. */
void mk_loss_gradient(const mk_kernels *kernels, const mk_loss_point *point, double weight_val,
                      double weight_dir, bool own_is_cloner, float *diff_own, const float *own,
                      const float *other, size_t count);

#endif
