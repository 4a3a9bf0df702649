/* What one command of `mkd reproduce` runs, and what has come out: classes x variants x seeds. */
#ifndef EXPERIMENT_H
#define EXPERIMENT_H

#include "unit.h"

typedef struct {
  protocol *protocol;
  const ablation *ablation;
  size_t *classes; /* [class_count], numbers of the protocol */
  size_t class_count, seeds;
  const char *recipe, *expert; /* as named; expert NULL = the installed one */
  mkd_expert *network;         /* that expert */
  overrides settings;          /* the paper's for these data, then the user's */
  size_t limit;                /* of images for training; 0 = none */
  bool sampled;
  mkd_limits limits;  /* of what is read */
  unit_result *units; /* [variant][class][seed] */
} experiment;

/* Its name in files and texts. */
typedef struct {
  const char *class_name, *variant; /* "" without ablation */
  uint64_t seed;
} unit_name;

static inline size_t experiment_size(const experiment *e)
{
  return e->ablation->variant_count * e->class_count * e->seeds;
}

static inline unit_result *experiment_unit(const experiment *e, size_t variant, size_t index,
                                           size_t seed)
{
  return &e->units[(variant * e->class_count + index) * e->seeds + seed];
}

static inline unit_name experiment_name(const experiment *e, size_t variant, size_t index,
                                        size_t seed)
{
  return (unit_name){protocol_class(e->protocol, e->classes[index]),
                     e->ablation->variants[variant].title, seed};
}

#endif
