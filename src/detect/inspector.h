/* Runs both networks on one canonical input and compares them: what score, calibration and
 * localization are made of. One thread's working memory; nothing is allocated per image. */
#ifndef MK_DETECT_INSPECTOR_H
#define MK_DETECT_INSPECTOR_H

#include "core/threads.h"
#include "detect/score.h"
#include "nn/exec.h"
#include "nn/loss.h"

typedef struct {
  const mkd_detector *detector;
  mk_pool *pool;            /* or NULL */
  mk_exec *expert, *cloner; /* expert: NULL with MK_INSPECTOR_CLONER */
  mk_shape shapes[MK_MAX_POINTS];
  float *targets[MK_MAX_POINTS]; /* the expert's activations, normalised */
  mk_loss_point losses[MK_MAX_POINTS];
  float *squares[MK_MAX_POINTS]; /* per location, mean over channels of (cloner - expert)^2 */
  float *cosines;                /* per location of the deepest point, 1 - cosine */
  int deepest;
  float *gradient; /* [height][width][3] of the input; with gradients */
} mk_inspector;

typedef enum {
  MK_INSPECTOR_FORWARD,
  MK_INSPECTOR_GRADIENTS, /* mk_inspector_differentiate, too */
  MK_INSPECTOR_CLONER     /* no expert: mk_inspect_activations alone */
} mk_inspector_kind;

/* The memory is for as many threads as `pool` has, one for NULL. */
mkd_status mk_inspector_create(mk_inspector **inspector, const mkd_detector *detector,
                               mk_pool *pool, mk_inspector_kind kind);
void mk_inspector_destroy(mk_inspector *inspector);

/* The networks' input, [height][width][3], for the caller to fill before mk_inspect. */
float *mk_inspector_input(mk_inspector *inspector);

/* Forward through both networks; fills targets, losses, squares and cosines. */
void mk_inspect(mk_inspector *inspector);

/* The same, with the expert's activations of this input at hand: those of all critical points one
 * after the other, not normalised. No gradient can follow. */
void mk_inspect_activations(mk_inspector *inspector, const float *activations);

/* After mk_inspect: the gradient with respect to the input of the recipe's `gradient_of`, through
 * both networks, into inspector->gradient. `guided` cuts negative gradients at the ReLUs that the
 * recipe names. */
void mk_inspector_differentiate(mk_inspector *inspector, bool guided);

/* What the score of the inspected input is made of. Wants the calibration's means and deviations of
 * squares and cosines. */
mk_score_parts mk_inspector_parts(const mk_inspector *inspector, const mk_calibration *calibration);

/* The recipe's score of the inspected input alone. */
double mk_inspector_score(const mk_inspector *inspector, const mk_calibration *calibration);

#endif
