/* One unit of an experiment: a class, learnt with one seed by one variant of the recipe. */
#ifndef UNIT_H
#define UNIT_H

#include "ablation.h"
#include "overrides.h"
#include "progress.h"
#include "protocol.h"

enum { SAMPLE_EVERY = 10, MAX_MAPS = 6 }; /* epochs between two sampled models; of an ablation */

/* AUROC of the test images by the model as it was after an epoch, 0..1. */
typedef struct {
  int epoch;
  double auroc;
} unit_sample;

/* Of the pixels, by the last model, 0..1. */
typedef struct {
  double auroc_anomalous, auroc_all; /* over anomalous images only, over all */
  double aupro;                      /* to a false-positive rate of 0.3 */
} unit_maps;

typedef struct {
  size_t trained_on, normal, anomalous; /* images: for training, and of both kinds in the test */
  int epochs;
  unit_sample *samples; /* in order of epochs; the last one is the last epoch's */
  size_t sample_count;
  unit_maps maps[MAX_MAPS];
  size_t map_count;
  double seconds; /* that it took */
} unit_result;

void unit_result_free(unit_result *result);

/* The expert's activations of the test images, kept from unit to unit. All zero is empty. */
typedef struct {
  mkd_features *features;
  uint64_t key; /* test_key */
} unit_features;

void unit_features_free(unit_features *kept);

typedef struct {
  const mkd_expert *expert;
  const class_images *images;
  const char *recipe;
  const overrides *settings;
  const mkd_limits *limits;
  bool sampled; /* models of the second half of the epochs count, not only the last one */
  uint64_t seed;
  int threads;
  uint64_t cache_memory;
  const map_variant *maps; /* [map_count] to be measured */
  size_t map_count;
  int resolution; /* pixels a side, that they are measured at */
  bool quiet;
  const char *label;   /* for progress */
  size_t later;        /* units that follow */
  double mean_seconds; /* of units that have been run; NAN if none */
} unit_plan;

mkd_status unit_run(unit_result *result, const unit_plan *plan, unit_features *kept);

#endif
