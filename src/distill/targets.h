/* The expert's activations of the items of a store, and their statistics. */
#ifndef MK_DISTILL_TARGETS_H
#define MK_DISTILL_TARGETS_H

#include "core/threads.h"
#include "distill/report.h"
#include "distill/store.h"
#include "image/input.h"
#include "nn/exec.h"

/* Mean and standard deviation of every channel. Owns both arrays. */
typedef struct {
  int channels;
  float *mean, *deviation;
} mk_channel_statistics;

void mk_statistics_free(mk_channel_statistics *statistics); /* accepts an all-zero struct */

typedef struct {
  const mk_store *store;
  const mk_input_spec *input;
  const mk_net *expert;
  const int *outputs;                /* of the expert: [points] */
  int points;                        /* critical points, as the store has them one by one */
  const bool *counted;               /* [items]: enters the statistics */
  mk_channel_statistics *statistics; /* [points]; NULL = not wanted, nor `counted` */
} mk_target_job;

/* Runs the expert over the store's inputs and keeps its activations in the store; where the store
 * has no room for them, over the inputs that are counted. MKD_STAGE_TARGETS counts the inputs. */
mkd_status mk_compute_targets(const mk_target_job *job, const mk_reporter *reporter, mk_pool *pool);

/* Images that the expert is given at a time: many, where they are small. */
int mk_expert_batch(const mk_input_spec *input);

#endif
