/* What a cloner learns from, batch by batch: inputs, and the expert's activations of them, which
 * are its targets. These come from the store; when the store keeps none, the expert runs. Private
 * to distill/. */
#ifndef MK_DISTILL_FEED_H
#define MK_DISTILL_FEED_H

#include "distill/dataset.h"

typedef struct {
  const mk_split *split;
  const mk_input_spec *input;
  const mk_recipe *recipe;
  uint64_t seed;
  const mk_channel_statistics *statistics; /* [points]; all zero: targets stay as they are */
  const size_t *sizes;                     /* [points]: numbers of one image's activation */
  const mk_net *expert;                    /* NULL when the store has the targets */
  const int *outputs;                      /* of the expert: [points] */
  int batch;                               /* most items at a time */
  int threads;                             /* of the pool */
} mk_feed_options;

typedef struct mk_feed mk_feed;

/* What the options point at has to outlive the feed. */
mkd_status mk_feed_create(mk_feed **feed, const mk_feed_options *options);
void mk_feed_destroy(mk_feed *feed);

/* Writes the inputs of `items` to `inputs`, [batch][height][width][3]; their targets are in
 * mk_feed_targets until the next load. With an expert, they are warped: every item in every epoch
 * in its own way, whatever the threads; an `epoch` of MK_NOT_WARPED leaves them as they are. */
enum { MK_NOT_WARPED = -1 };
void mk_feed_load(mk_feed *feed, float *inputs, const size_t *items, int batch, int epoch,
                  mk_pool *pool);

/* [batch][size of the point] */
const float *mk_feed_targets(const mk_feed *feed, int point);

#endif
