/* Learning rate and first moment of Adam at each step of training. */
#ifndef MK_DISTILL_SCHEDULE_H
#define MK_DISTILL_SCHEDULE_H

#include "recipe/recipe.h"

typedef struct {
  double learning_rate, beta1;
} mk_rate;

/* `step` in 0 .. steps - 1. "constant": the recipe's rate, beta1 0.9. "one-cycle" (Smith 2018, in
 * the form of torch.optim.lr_scheduler.OneCycleLR): cosine from rate / 25 to rate over the first
 * tenth of the steps, then down to rate / 250000, while beta1 goes 0.95, 0.85, 0.95. */
mk_rate mk_schedule_at(mk_schedule schedule, double learning_rate, uint64_t step, uint64_t steps);

#endif
