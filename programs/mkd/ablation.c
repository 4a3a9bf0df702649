#include "ablation.h"

#include <math.h>
#include <string.h>

/* VGG-16's widths, with batch norm where the compact cloner has it. */
#define EQUAL_SIZE                                                                                 \
  "cloner=conv 3x3 64 bn relu; conv 3x3 64 relu; pool 2x2; conv 3x3 128 bn relu; conv 3x3 expert " \
  "relu; pool 2x2; point pool2; conv 3x3 256 bn relu; conv 3x3 256 bn relu; conv 3x3 expert "      \
  "relu; "                                                                                         \
  "pool 2x2; point pool3; conv 3x3 512 bn relu; conv 3x3 512 bn relu; conv 3x3 expert relu; "      \
  "pool 2x2; point pool4; conv 3x3 512 bn relu; conv 3x3 512 bn relu; conv 3x3 expert relu; pool " \
  "2x2; point pool5"

static const trained_variant as_it_is[] = {{"", {NULL}, true}};

static const trained_variant layers[] = {
    {"last layer", {"critical_points=pool5", "score_points=pool5"}, false},
    {"last 2", {"critical_points=pool4,pool5", "score_points=pool4,pool5"}, false},
    {"last 4", {NULL}, true},
};

static const trained_variant sizes[] = {
    {"compact", {NULL}, true},
    {"equal size", {EQUAL_SIZE}, false},
};

static const trained_variant losses[] = {
    {"value only", {"weight_val=1", "weight_dir=0"}, false},
    {"direction only", {"weight_val=0", "weight_dir=1"}, false},
    {"total", {NULL}, true},
};

static const map_variant recipe_map[] = {{"", MKD_LOCALIZE_RECIPE, false, NAN, true}};

static const map_variant methods[] = {
    {"gradient, plain", MKD_LOCALIZE_GRADIENT, true, 86.16, false},
    {"SmoothGrad, plain", MKD_LOCALIZE_SMOOTHGRAD, true, 86.97, false},
    {"GBP, plain", MKD_LOCALIZE_GBP, true, 84.38, false},
    {"gradient, Gaussian", MKD_LOCALIZE_GRADIENT, false, 90.51, true},
    {"SmoothGrad, Gaussian", MKD_LOCALIZE_SMOOTHGRAD, false, 90.54, false},
    {"GBP, Gaussian", MKD_LOCALIZE_GBP, false, 90.08, false},
};

#define ALL(array) array, sizeof(array) / sizeof(array)[0]

const ablation no_ablation = {NULL, NULL, ALL(as_it_is), ALL(recipe_map)};

static const ablation ablations[] = {
    {"layers", "critical layers", ALL(layers), ALL(recipe_map)},
    {"size", "size of the cloner", ALL(sizes), ALL(recipe_map)},
    {"loss", "terms of the loss", ALL(losses), ALL(recipe_map)},
    {"maps", "methods of localization", ALL(as_it_is), ALL(methods)},
};

const ablation *ablation_find(const char *name)
{
  for (size_t i = 0; i < sizeof ablations / sizeof ablations[0]; ++i)
    if (strcmp(ablations[i].name, name) == 0) return &ablations[i];
  return NULL;
}

bool ablation_sets(const ablation *varied, const char *text, size_t length)
{
  for (size_t v = 0; v < varied->variant_count; ++v) {
    const char *const *settings = varied->variants[v].settings;
    for (size_t i = 0; i < MAX_SETTINGS && settings[i]; ++i)
      if (strncmp(settings[i], text, length) == 0 && settings[i][length] == '=') return true;
  }
  return false;
}
