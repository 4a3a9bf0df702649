/* Antialiased resize, as Pillow's Image.resize does it (support scales with the shrink factor). The
 * threads of `pool`, which may be NULL, share the rows. */
#ifndef MK_IMAGE_RESAMPLE_H
#define MK_IMAGE_RESAMPLE_H

#include "core/scratch.h"
#include "core/threads.h"

typedef enum { MK_RESAMPLE_BILINEAR, MK_RESAMPLE_LANCZOS } mk_resample;

/* `image` of any format to RGB fp32 [height][width][3], values 0..255 (16-bit values / 257, not
 * rounded), grey repeated. Lanczos overshoot is clamped to 0..255. */
mkd_status mk_resize_rgb(float *dst, int width, int height, const mkd_image *image,
                         mk_resample filter, mk_pool *pool, mk_scratch *scratch);

/* One fp32 plane [src_height][src_width] to [height][width], bilinear between pixel centres
 * (half-pixel centres, edge replicated, no antialiasing): for maps that grow. dst must not be src.
 */
mkd_status mk_upsample_plane(float *dst, int width, int height, const float *src, int src_width,
                             int src_height, mk_pool *pool, mk_scratch *scratch);

#endif
