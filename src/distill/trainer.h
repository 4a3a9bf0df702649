/* Training of a cloner: reads the images, caches the expert's activations, distils. */
#ifndef MK_DISTILL_TRAINER_H
#define MK_DISTILL_TRAINER_H

#include "core/threads.h"
#include "distill/report.h"
#include "distill/store.h"
#include "distill/targets.h"
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

typedef struct mk_training mk_training;

typedef struct {
  uint64_t seed;
  uint64_t cache_memory;
  const char *checkpoint; /* or NULL */
  bool resume;
  /* Called after every `snapshot_every` epochs but the last with the training as it stands; it
   * looks at it and changes nothing. 0 = never. */
  int snapshot_every;
  mkd_status (*snapshot)(void *context, const mk_training *training);
  void *snapshot_context;
} mk_training_options;

/* What training gives. */
struct mk_training {
  mk_graph *cloner; /* batch norm folded */
  int outputs[MK_MAX_POINTS];
  mk_channel_statistics statistics[MK_MAX_POINTS]; /* of the targets; all zero if not normalised */
  double weight_val, weight_dir;
  mk_input_spec input;
  mk_store *store; /* inputs of the held-out images are still needed, for calibration */
  size_t trained_images, held_out_images;
  size_t *held_out;       /* items of the store, image by image: the tiles of each */
  size_t *held_out_first; /* [held_out_images + 1]: where an image's begin in `held_out` */
  int epochs;
  double loss, held_out_loss; /* of the last epoch; of the last check */
  bool converged;             /* false before the end */
};

/* On failure, `training` is all zero. */
mkd_status mk_train(mk_training *training, const mk_recipe *recipe, const mk_teacher *teacher,
                    const mk_input_spec *input, mkd_image_source source,
                    const mk_training_options *options, const mk_reporter *reporter, mk_pool *pool);

void mk_training_free(mk_training *training); /* accepts an all-zero struct */

#endif
