#include "nn/winograd.h"

/* Time of direct convolution over time with tiles of 2x2 and of 4x4, one core, AVX2:
 *
 *   grid     channels     batch   2x2    4x4
 *   128x128   16 to  16     4    1.3    1.9
 *   128x128   64 to  64     1    1.7    2.4
 *    64x64    32 to  32     4    1.5    2.3
 *    64x64   128 to 128     1    1.9    2.8
 *    32x32    48 to  48    16    1.5    2.5
 *    32x32   256 to 256     1    2.0    2.7
 *    16x16    64 to  64    16    1.8    3.0
 *    16x16   512 to 512     1    2.7    2.7
 *    16x16   512 to 512    16    2.4    3.9
 *     8x8     96 to  96    16    1.9    3.3
 *     8x8    512 to 512     1    1.7    1.2
 *     8x8    512 to 512    16    2.2    3.7
 *
 * The last but one is why there are 2x2 tiles: with four tiles an image, all the time goes into
 * reading the weights, of which tiles of 4x4 have 36 for every 9, tiles of 2x2 have 16. */
int mk_winograd_tile(const mk_kernels *kernels, int kernel, int stride, int src_channels,
                     int channels, int dst_height, int dst_width)
{
  const double few_tiles = 4, many_weights = 256 * 256;
  if (!kernels->winograd || kernel != 3 || stride != 1) return 0;
  if (src_channels < MK_WINOGRAD_CHANNELS || channels < MK_WINOGRAD_CHANNELS) return 0;
  if (dst_height < 4 || dst_width < 4) return 0;
  double tiles = (double)((dst_height + 3) / 4) * (double)((dst_width + 3) / 4);
  return tiles <= few_tiles && (double)src_channels * channels >= many_weights ? 2 : 4;
}

static int panels(const mk_kernels *kernels, int channels)
{
  return (channels - 1) / kernels->panel + 1;
}

static int points(int tile)
{
  return (tile + 2) * (tile + 2);
}

size_t mk_winograd_weight_count(const mk_kernels *kernels, int tile, int src_channels, int channels)
{
  return (size_t)panels(kernels, channels) * (size_t)kernels->panel * (size_t)src_channels *
         (size_t)points(tile);
}

/* ---- Blocks of tiles ------------------------------------------------------------------------- */

size_t mk_winograd_tile_count(const mk_winograd *op)
{
  size_t down = (size_t)((op->dst_height + op->tile - 1) / op->tile);
  size_t across = (size_t)((op->dst_width + op->tile - 1) / op->tile);
  return (size_t)op->batch * down * across;
}

/* Tiles of one block. Few of them stay in the second-level cache with their products; but weights
 * that do not stay there as well are read anew by every block, and then many are better. */
size_t mk_winograd_block(const mk_kernels *kernels, const mk_winograd *op)
{
  enum { FEW = 24, MANY = 72 }; /* multiples of every kernel's rows */
  const size_t few_weights = (1 << 22) / sizeof(float);
  size_t weights = mk_winograd_weight_count(kernels, op->tile, op->src_channels, op->channels);
  size_t most = weights <= few_weights ? FEW : MANY, count = mk_winograd_tile_count(op);
  return count < most ? count : most;
}

size_t mk_winograd_scratch(const mk_kernels *kernels, const mk_winograd *op)
{
  int tiles = (int)mk_winograd_block(kernels, op);
  return (size_t)points(op->tile) *
         (mk_winograd_plane(tiles, op->src_channels) +
          mk_winograd_plane(tiles, panels(kernels, op->channels) * kernels->panel));
}
