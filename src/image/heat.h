/* Drawing heat maps: over their image or alone, with a contour around what is above a threshold. */
#ifndef MK_IMAGE_HEAT_H
#define MK_IMAGE_HEAT_H

#include "image/canvas.h"
#include "image/colormap.h"

/* Where on the canvas, in its pixels. */
typedef struct {
  int left, top;
  int width, height; /* of the image, enlarged */
  int zoom;          /* whole number by which image and map are enlarged */
  float contour;     /* thickness of each of the contour's two tones */
} mk_heat_place;

/* Checks what a caller of the public API wants drawn: `map` and its options, and that the map is as
 * large as `image`, which is checked, or NULL. */
mkd_status mk_heat_check(const mkd_image *image, const mkd_map *map,
                         const mkd_overlay_options *options);

/* The colour at 0 (cold) to 1 (hot) of the colours that mk_colormap gives. */
mk_colour mk_heat_colour(float colours[MK_COLORMAP_SIZE][3], float t);

/* The image in grey under the colours of its map; image NULL: the colours alone. Values that are
 * not numbers are cold. */
void mk_heat_draw(mk_canvas *canvas, const mk_heat_place *at, const mkd_image *image,
                  const mkd_map *map, const mkd_overlay_options *options);

/* A light line just outside the pixels where map > threshold, and a dark one around it, so that one
 * of them stands out from whatever is below. */
mkd_status mk_heat_contour(mk_canvas *canvas, const mk_heat_place *at, const mkd_map *map,
                           double threshold);

#endif
