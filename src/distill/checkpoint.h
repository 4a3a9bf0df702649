/* The state of a training that was interrupted: enough to go on as if nothing had happened. */
#ifndef MK_DISTILL_CHECKPOINT_H
#define MK_DISTILL_CHECKPOINT_H

#include "core/safetensors.h"
#include "nn/adam.h"

typedef struct {
  uint64_t step; /* optimiser steps done */
  double weight_val, weight_dir;
  double epoch_loss; /* sum over the images of the epoch under way */
  double loss, held_out_loss, earlier_held_out_loss;
} mk_training_state;

/* `identity` names everything that the numbers depend on: recipe, seed, images, expert. */
mkd_status mk_checkpoint_save(const char *path, const mk_graph *cloner, const mk_adam *adam,
                              const mk_training_state *state, const char *identity);

/* Sets `*found` to false when there is no such file. A file of another identity, or a damaged one,
 * is an error. */
mkd_status mk_checkpoint_load(const char *path, mk_graph *cloner, mk_adam *adam,
                              mk_training_state *state, const char *identity, bool *found);

/* Whether the tensors are a checkpoint's, of this version. */
bool mk_checkpoint_recognise(const mk_tensors *tensors);

#endif
