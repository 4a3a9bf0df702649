/* A detector: expert, cloner, how to feed them, how to score, and what normal images score. */
#ifndef MK_DETECT_DETECTOR_H
#define MK_DETECT_DETECTOR_H

#include "image/input.h"
#include "nn/net.h"
#include "recipe/recipe.h"

/* What held-out normal images look like to the detector. */
typedef struct {
  /* Per-location squared difference at each critical point: mean and deviation over all positions
   * and images; the same of the per-location 1 - cosine at the deepest point. */
  double square_mean[MK_MAX_POINTS], square_deviation[MK_MAX_POINTS];
  double cosine_mean, cosine_deviation;
  /* The two parts of the standardised score, over images. */
  double largest_square_mean, largest_square_deviation;
  double largest_cosine_mean, largest_cosine_deviation;
  /* Sorted ascending, one an image. map_maxima belong to localize's map. */
  double *scores, *map_maxima;
  size_t held_out;
  mkd_localize localize;
  double map_mean; /* of that map over all pixels and images */
  double false_alarm;
} mk_calibration;

/* Where a detector comes from. */
typedef struct {
  char *expert_arch, *expert_sha256, *mkd_version, *kernels;
  uint64_t seed;
  size_t trained_images;
  int epochs;
  double loss, held_out_loss;
  bool converged;
} mk_provenance;

struct mkd_detector {
  mk_recipe recipe;
  mk_graph *expert, *cloner; /* outputs only as deep as the critical points */
  int point_count;
  int expert_outputs[MK_MAX_POINTS], cloner_outputs[MK_MAX_POINTS];
  bool scored[MK_MAX_POINTS]; /* the point takes part in score and maps */
  int deepest;                /* scored point with the fewest positions */
  /* The expert's activations enter as (a - mean) / deviation, per channel; NULL = as they are. */
  float *target_mean[MK_MAX_POINTS], *target_deviation[MK_MAX_POINTS];
  mk_input_spec input;
  double weight_val, weight_dir;
  mk_calibration calibration;
  mk_provenance provenance;

  mk_net *expert_net, *cloner_net; /* shared by sessions */
  uint8_t *file;                   /* that the graphs' numbers may lie in; or NULL */
};

/* Packs the networks and checks that expert and cloner fit together; for a detector whose other
 * members are all set but the calibration. */
mkd_status mk_detector_finish(mkd_detector *detector);

/* Networks, recipe and provenance; the calibration of the copy is empty. */
mkd_status mk_detector_copy(mkd_detector **copy, const mkd_detector *detector);

void mk_calibration_free(mk_calibration *calibration);
#endif
