/* Filters of heat maps: fp32 planes [height][width]. */
#ifndef MK_IMAGE_FILTER_H
#define MK_IMAGE_FILTER_H

#include "core/scratch.h"
#include "core/threads.h"

/* In place. Gaussian of the given sigma (pixels) and radius (sigma or radius 0: unchanged), border
 * mirrored about the edge pixel's outer side as scipy.ndimage's "reflect": (d c b a | a b c d | d c
 * b a). Separable, weights normalised. The threads of `pool`, which may be NULL, share the rows. */
mkd_status mk_gaussian_blur(float *plane, int width, int height, double sigma, int radius,
                            mk_pool *pool, mk_scratch *scratch);

/* In place. Grey opening (erosion, then dilation) with a 3x3 plus sign; pixels outside are ignored
 * (OpenCV's default border for morphology). */
mkd_status mk_open_plus(float *plane, int width, int height, mk_scratch *scratch);

#endif
