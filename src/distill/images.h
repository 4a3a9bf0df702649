/* Decodes a source of images into a store. */
#ifndef MK_DISTILL_IMAGES_H
#define MK_DISTILL_IMAGES_H

#include "core/threads.h"
#include "distill/report.h"
#include "distill/store.h"
#include "image/input.h"

/* Image i of the source becomes the input of item i, for all of them. MKD_STAGE_READ counts them
 * among the items of the store. */
mkd_status mk_read_images(const mk_store *store, const mk_input_spec *input,
                          mkd_image_source source, const mk_reporter *reporter, mk_pool *pool);

#endif
