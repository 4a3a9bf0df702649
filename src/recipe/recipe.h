/* A recipe: every choice of training, scoring and localization, as a flat list of keys. It is data:
 * three come with the library, the user may bring a file or change single keys. docs/recipe.md
 * describes the keys. */
#ifndef MK_RECIPE_RECIPE_H
#define MK_RECIPE_RECIPE_H

#include "image/resample.h"
#include "image/warp.h"

enum { MK_MAX_POINTS = 8, MK_MAX_EPOCH_RULES = 8 };

typedef enum { MK_VALUES_EXPERT, MK_VALUES_UNIT, MK_VALUES_IMAGENET } mk_values;
typedef enum { MK_INIT_XAVIER, MK_INIT_FAN_IN } mk_init;
typedef enum { MK_SCHEDULE_CONSTANT, MK_SCHEDULE_ONE_CYCLE } mk_schedule;
typedef enum { MK_TARGETS_FP32, MK_TARGETS_FP16 } mk_target_type;
typedef enum { MK_AUGMENT_CACHED, MK_AUGMENT_FRESH } mk_augment;
typedef enum { MK_SCORE_TOTAL, MK_SCORE_STANDARDISED } mk_score_kind;
typedef enum { MK_GRADIENT_OF_LOSS, MK_GRADIENT_OF_EXCESS } mk_gradient_of;
typedef enum { MK_GUIDED_CLONER, MK_GUIDED_BOTH } mk_guided;
typedef enum { MK_MAP_RAW, MK_MAP_P99 } mk_map_scale;

/* Names of critical points. */
typedef struct {
  char *names[MK_MAX_POINTS];
  int count;
} mk_point_list;

/* The first rule with images < below holds; below = 0 always holds. */
typedef struct {
  int64_t below;
  int epochs;
} mk_epoch_rule;

typedef struct {
  mk_epoch_rule rules[MK_MAX_EPOCH_RULES];
  int count;
} mk_epoch_rules;

typedef struct {
  char *name;
  /* input */
  int input_width, input_height, resize_width, resize_height;
  int tile_width, tile_height; /* pixels of the image; 0 = all of it */
  double tile_overlap;
  int resample; /* mk_resample */
  int values;   /* mk_values */
  double contrast_below;
  /* networks */
  mk_point_list critical_points;
  char *cloner;
  int init; /* mk_init */
  bool normalise_targets;
  /* loss; NAN = "auto" */
  double weight_val, weight_dir;
  /* training */
  int batch;
  mk_epoch_rules epochs;
  double learning_rate;
  int schedule; /* mk_schedule */
  double holdout;
  int target_type; /* mk_target_type */
  int copies, copies_below;
  int augment; /* mk_augment */
  mk_warp_ranges warp;
  /* score */
  int score;                  /* mk_score_kind */
  mk_point_list score_points; /* empty: all critical points */
  /* localization */
  int localize;    /* mkd_localize */
  int gradient_of; /* mk_gradient_of */
  int guided;      /* mk_guided */
  int smoothgrad_samples;
  double smoothgrad_sigma;
  int map_scale; /* mk_map_scale */
  double map_sigma;
  bool map_opening;
} mk_recipe;

/* "default", "paper", "paper-code", or the path of a JSON file that sets some or all of the keys;
 * keys that it does not name are those of its "base" (a recipe's name; "default" if absent). */
mkd_status mk_recipe_load(mk_recipe *recipe, const char *name);

/* From JSON text that names a base or all keys; `origin` is for error texts. */
mkd_status mk_recipe_parse(mk_recipe *recipe, const char *json, const char *origin);

/* Overrides one key: "key=value". */
mkd_status mk_recipe_set(mk_recipe *recipe, const char *assignment);

/* Checks what single keys cannot tell. Call once after the last change. */
mkd_status mk_recipe_check(const mk_recipe *recipe);

/* All keys as JSON, in a stable order; what mk_recipe_parse reads back to the same recipe. */
mkd_status mk_recipe_to_json(char **json, const mk_recipe *recipe);

mkd_status mk_recipe_copy(mk_recipe *copy, const mk_recipe *recipe);
void mk_recipe_free(mk_recipe *recipe);

/* For a training set of that many images. */
int mk_recipe_epochs(const mk_recipe *recipe, size_t images);

#endif
