/* The paper's ablations: what is varied, and how each variant is named. */
#ifndef ABLATION_H
#define ABLATION_H

#include <mkd/mkd.h>

enum { MAX_SETTINGS = 4 };

/* Another training. */
typedef struct {
  const char *title;
  const char *settings[MAX_SETTINGS]; /* texts for the recipe; the rest are NULL */
  bool as_published;                  /* the method itself, whose figures the paper reports */
} trained_variant;

/* Another heat map of the same training. */
typedef struct {
  const char *title;
  mkd_localize localize;
  bool plain;       /* without Gaussian and opening */
  double published; /* mean pixel AUROC of the paper's table of methods, %; else NAN */
  bool as_published;
} map_variant;

/* Rows are all pairs of a variant and a map variant; one of the two counts is 1. */
typedef struct {
  const char *name;    /* as on the command line; NULL for a run without ablation */
  const char *subject; /* "critical layers" */
  const trained_variant *variants;
  size_t variant_count;
  const map_variant *maps;
  size_t map_count;
} ablation;

extern const ablation no_ablation;

/* NULL if there is none of that name. */
const ablation *ablation_find(const char *name);

/* True when a variant sets the recipe's key in the first `length` bytes of `text`. */
bool ablation_sets(const ablation *varied, const char *text, size_t length);

#endif
