/* Augmentation: one random geometric and photometric change of an input-sized image. */
#ifndef MK_IMAGE_WARP_H
#define MK_IMAGE_WARP_H

#include "core/rng.h"
#include "core/status.h"

/* Ranges to draw from, each uniformly and independently. */
typedef struct {
  double rotation;              /* degrees, -r .. r */
  double shift;                 /* pixels of the input, -s .. s in x and in y */
  double scale_low, scale_high; /* > 1 enlarges */
  double contrast;              /* factor 1 - c .. 1 + c about the image's mean */
  double brightness;            /* grey levels, -b .. b */
} mk_warp_ranges;

/* RGB fp32 [height][width][3], values 0..255; bilinear, border replicated, result clamped to
 * 0..255. dst must not be src. Rotation (counter-clockwise) and scale are about the centre of the
 * image. Draws six random numbers: rotation, shift in x, shift in y, scale, contrast, brightness.
 */
void mk_warp_rgb(float *dst, const float *src, int width, int height, const mk_warp_ranges *ranges,
                 mk_rng *rng);

#endif
