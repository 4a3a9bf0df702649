/* Training of a cloner: reads the images, caches the expert's activations, distils. */
#ifndef MK_DISTILL_TRAINER_H
#define MK_DISTILL_TRAINER_H

#include "core/threads.h"
#include "distill/store.h"
#include "image/input.h"
#include "nn/graph.h"
#include "recipe/recipe.h"

/* The expert as training sees it. */
typedef struct {
  const mk_graph *whole; /* names the outputs that the cloner's plan takes its widths from */
  const mk_graph *graph; /* pruned to the critical points */
  const int *outputs;    /* [recipe's critical points] */
  const char *identity;  /* hash: a checkpoint of another expert is refused */
} mk_teacher;

/* How the work reports; every call comes from the thread that trains. */
typedef struct {
  bool (*progress)(void *context, const mkd_progress *progress);     /* or NULL */
  void (*log)(void *context, mkd_log_level level, const char *text); /* or NULL */
  void *context;
} mk_reporter;

typedef struct {
  uint64_t seed;
  uint64_t cache_memory;
  const char *checkpoint; /* or NULL */
  bool resume;
} mk_training_options;

/* What training gives. */
typedef struct {
  mk_graph *cloner; /* batch norm folded */
  int outputs[MK_MAX_POINTS];
  float *target_mean[MK_MAX_POINTS], *target_deviation[MK_MAX_POINTS]; /* per channel, or NULL */
  double weight_val, weight_dir;
  mk_input_spec input;
  mk_store *store;  /* inputs of the held-out images are still needed, for calibration */
  size_t *held_out; /* items of the store */
  size_t held_out_count, trained_count;
  int epochs;
  double loss, held_out_loss; /* of the last epoch */
  bool converged;
} mk_training;

mkd_status mk_train(mk_training *training, const mk_recipe *recipe, const mk_teacher *teacher,
                    const mk_input_spec *input, mkd_image_source source,
                    const mk_training_options *options, const mk_reporter *reporter, mk_pool *pool);

void mk_training_free(mk_training *training); /* accepts an all-zero struct */

#endif
