/* The input of a detector's networks: from an image of any size and format to normalised pixels,
 * and the way back for heat maps. The threads of a `pool`, which may be NULL, share the rows. */
#ifndef MK_IMAGE_INPUT_H
#define MK_IMAGE_INPUT_H

#include "image/resample.h"
#include "image/tiles.h"

/* Tiles, or else the whole image, to resize_width x resize_height, of which the central width x
 * height is the input. No axis of the input is longer than that of the resize; both are equal when
 * nothing is cut off.
 */
typedef struct {
  int width, height;
  int resize_width, resize_height;
  mk_resample filter;
  float mean[3], std[3]; /* of R, G and B; grey levels 0..255 */
  float low, high; /* grey levels mapped to 0..255 with a clamp before mean and std are applied;
                      0 and 255 = unchanged */
  int tile_width, tile_height; /* pixels of the image; 0 = as long as that */
  double tile_overlap;         /* least share of a tile that its neighbour covers, too */
} mk_input_spec;

/* Whether an image may have several inputs, one a tile. */
bool mk_input_is_tiled(const mk_input_spec *spec);

/* The tiles of an image; checks the image. */
mkd_status mk_input_tiles(mk_tile_grid *grid, const mk_input_spec *spec, const mkd_image *image);

/* Values per input: width * height * 3. */
size_t mk_input_size(const mk_input_spec *spec);

/* `image`, a tile or all of one, to RGB [height][width][3], 0..65535 for grey levels 0..255: the
 * canonical input, the same for training (which keeps it at 2 bytes a value) and for scoring. 8-bit
 * values are hit exactly.
 */
mkd_status mk_input_read(uint16_t *dst, const mk_input_spec *spec, const mkd_image *image,
                         mk_pool *pool, mk_scratch *scratch);

/* Canonical input to what the networks see: fp32 NHWC. */
void mk_input_normalise(float *dst, const uint16_t *src, const mk_input_spec *spec);

/* Canonical input to fp32 grey levels 0..255, and back with rounding; what is outside 0..255 is
 * clamped. */
void mk_input_to_levels(float *dst, const uint16_t *src, size_t count);
void mk_input_from_levels(uint16_t *dst, const float *src, size_t count);

/* Heat map [height][width] of the input to the size of the image (or tile), bilinear. Where the
 * input is only the central part of the image, the border of the map is continued outwards. */
mkd_status mk_input_map_to_image(float *dst, int image_width, int image_height, const float *map,
                                 const mk_input_spec *spec, mk_pool *pool, mk_scratch *scratch);

#endif
