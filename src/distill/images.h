/* Decodes a source of images into a store. */
#ifndef MK_DISTILL_IMAGES_H
#define MK_DISTILL_IMAGES_H

#include "core/threads.h"
#include "distill/report.h"
#include "distill/store.h"
#include "image/input.h"

/* Where the tiles of each image of a source begin among those of all, and after the last image,
 * their number: [source.count + 1], for mk_free. How many there are is known only when all images
 * have been seen: unless `input` knows no tiles, they are decoded, which is half of
 * MKD_STAGE_READ. */
mkd_status mk_find_tiles(size_t **first, const mk_input_spec *input, mkd_image_source source,
                         const mk_reporter *reporter, mk_pool *pool);

/* The tiles of image i of the source become the inputs of items first[i] .. first[i + 1] - 1, for
 * all of them. MKD_STAGE_READ counts them among the items of the store; with tiles, it counts
 * images. */
mkd_status mk_read_images(const mk_store *store, const size_t *first, const mk_input_spec *input,
                          mkd_image_source source, const mk_reporter *reporter, mk_pool *pool);

#endif
