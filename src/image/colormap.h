/* The colours of heat maps: from near-black through violet, red and orange to pale yellow. */
#ifndef MK_IMAGE_COLORMAP_H
#define MK_IMAGE_COLORMAP_H

enum { MK_COLORMAP_SIZE = 256 };

/* A perceptually uniform sequence, cold to hot, as gamma-encoded sRGB in 0..1: in OKLab, lightness
 * rises linearly and all steps have the same length. */
void mk_colormap(float rgb[MK_COLORMAP_SIZE][3]);

#endif
