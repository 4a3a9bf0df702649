/* Large images in tiles that overlap: where they lie, and how their maps become one map. */
#ifndef MK_IMAGE_TILES_H
#define MK_IMAGE_TILES_H

#include "core/scratch.h"

/* Where tiles lie on one axis: tile i covers size pixels from the smaller of i * step and
 * length - size, so that they cover the axis exactly and the last one is shifted inward. */
typedef struct {
  int length; /* of the image */
  int size;   /* of every tile; not more than length */
  int step;
  size_t count;
} mk_tile_axis;

/* Tiles are numbered row by row. */
typedef struct {
  mk_tile_axis x, y;
  size_t count;
} mk_tile_grid;

/* Tiles of tile_width x tile_height pixels, 0 = as long as the image, of which neighbours share at
 * least the part `overlap`, 0 .. 0.9 of a tile (rounded to pixels). An image that is shorter than a
 * tile is one tile on that axis. Checks the image. */
mkd_status mk_tile_grid_create(mk_tile_grid *grid, const mkd_image *image, int tile_width,
                               int tile_height, double overlap);

/* A view of a tile's pixels. */
mkd_image mk_tile_view(const mkd_image *image, const mk_tile_grid *grid, size_t tile);

/* One map of the image from maps of its tiles: a mean whose weights fall off towards the borders of
 * each tile, as squares of a sine. One tile, or a constant, goes through unchanged to the bit. */
typedef struct mk_blend_axis {
  float *window;               /* [size] */
  float *own, *before, *total; /* [size] of a tile: its weight, that of earlier tiles, of all */
} mk_blend_axis;

typedef struct {
  const mk_tile_grid *grid;
  mk_blend_axis x, y;
} mk_blend;

/* Lives as long as the grid, and until the next reset of `scratch`. */
mkd_status mk_blend_create(mk_blend *blend, const mk_tile_grid *grid, mk_scratch *scratch);

/* Adds tile_map [y.size][x.size] to the image's map. Tiles come in order, all of them; the map may
 * hold anything before the first. */
void mk_blend_tile(mk_blend *blend, float *map, size_t tile, const float *tile_map);

#endif
