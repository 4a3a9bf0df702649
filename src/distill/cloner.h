/* The cloner: a small network built from the recipe's plan.
 *
 * A plan is a text of statements, separated by ';':
 *   conv KxK[/STRIDE] WIDTH [bn] [bias] [relu|relu6]   padding K/2; WIDTH "expert" is that of the
 *                                                      expert at the next `point`
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

/* Builds what the critical points need, with weights drawn from `rng`. outputs[i] is the operation
 * that clones points->names[i]. Points of the plan that are not asked for are left out, but the
 * widths before them are still those of the expert: `expert` tells them by its names. It has all
 * `points`. */
mkd_status mk_cloner_create(mk_graph **cloner, int *outputs, const char *plan,
                            const mk_graph *expert, const mk_point_list *points, mk_init init,
                            mk_rng *rng);

#endif
