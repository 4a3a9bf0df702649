/* The images of a training: which are trained on and which are held out, and their inputs. Private
 * to distill/. */
#ifndef MK_DISTILL_DATASET_H
#define MK_DISTILL_DATASET_H

#include "distill/trainer.h"

/* Items 0 .. tiles - 1 are the tiles of all images, one an image if the recipe asks for none; then
 * come the copies of those that are trained on, all first copies before all second ones. The store
 * has the inputs of all items, but with fresh warps, where copies differ by their warps alone,
 * those of the tiles. */
typedef struct {
  mk_store *store;
  size_t images, tiles;
  size_t *train, train_count; /* items, copies included */
  size_t originals;           /* tiles among `train` */
  size_t *held_out, held_out_count;
  size_t held_out_images;
  size_t *held_out_first; /* [held_out_images + 1]: where an image's tiles begin in `held_out` */
} mk_split;

/* Random split of `images`, whose tiles stay together; at least one image on either side. `first`
 * is what mk_find_tiles gives. */
mkd_status mk_split_create(mk_split *split, size_t images, const size_t *first,
                           const mk_recipe *recipe, uint64_t seed);
void mk_split_free(mk_split *split);

/* The tile that an item is a copy of, or is. */
size_t mk_split_tile(const mk_split *split, size_t item);

/* `src` warped as `rng` says. `levels` and `warped` have room for the input's values each. */
void mk_warp_input(uint16_t *dst, const uint16_t *src, const mk_input_spec *input,
                   const mk_warp_ranges *ranges, mk_rng *rng, float *levels, float *warped);

/* Decodes all images into the store, tile by tile; sets the contrast range of `input` if the recipe
 * asks for it; makes the warped copies. */
mkd_status mk_read_inputs(mk_split *split, const size_t *first, mk_input_spec *input,
                          const mk_recipe *recipe, mkd_image_source source, uint64_t seed,
                          const mk_reporter *reporter, mk_pool *pool);

#endif
