/* The cloner: a small network built from the recipe's plan.
 *
 * A plan is a text of statements, separated by ';':
 *   conv KxK[/STRIDE] WIDTH [bn] [bias] [relu|relu6]   padding K/2; WIDTH "expert" is the number of
 *                                                      channels of the next `point`
 *   pool KxK[/STRIDE]                                  max pool; stride K unless told
 *   keep NAME, from NAME                               remember an output, continue from it
 *   point NAME                                         the output is the clone of that critical
 *                                                      point
 */
#ifndef MK_DISTILL_CLONER_H
#define MK_DISTILL_CLONER_H

#include "core/rng.h"
#include "nn/graph.h"
#include "recipe/recipe.h"

/* What the plan has to match. */
typedef struct {
  const char *name;
  int channels;
} mk_point_width;

/* Builds what the named points need, with weights drawn from `rng`. outputs[i] is the operation
 * that clones points[i]. Points of the plan that are not asked for are left out. */
mkd_status mk_cloner_create(mk_graph **cloner, int *outputs, const char *plan,
                            const mk_point_width *points, int point_count, mk_init init,
                            mk_rng *rng);

#endif
