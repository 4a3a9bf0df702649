#include "nn/winograd.h"

/* Time of direct convolution over time with tiles of 2x2 and of 4x4 on one core with AVX2, median
 * of 7 rounds in turns:
 *
 *   grid       channels   batch 1        batch 16
 *                         2x2    4x4     2x2    4x4
 *   128x128    16 to  16                 1.1    1.8   (batch 4)
 *   128x128    64 to  64  1.7    2.6     1.7    2.6
 *    64x64     32 to  32                 1.4    2.3   (batch 4)
 *    64x64    128 to 128  1.9    3.0     1.9    3.0
 *    32x32     48 to  48                 1.5    2.5
 *    32x32    256 to 256  2.0    2.8     1.9    2.9
 *    16x16     64 to  64                 1.7    2.8
 *    16x16    512 to 512  2.0    3.2     2.3    3.8
 *    10x10    512 to 512  1.5    1.6
 *     8x8      96 to  96  2.0    2.5     1.9    3.0
 *     8x8     128 to 128  2.2    2.9
 *     8x8     256 to 256  1.7    1.4
 *     8x8     512 to 512  1.9    1.3     2.2    3.3
 *     6x6     128 to 128                 1.8    1.7
 *     4x4      64 to  64  1.5    0.7
 *     4x4     128 to 128  1.8    1.1     2.0    2.8
 *     4x4     512 to 512  1.2    0.5     2.2    3.0
 *     3x3     128 to 128  1.2    0.6     1.1    1.8
 *     2x2     512 to 512  0.7    0.3     2.0    0.9
 *
 * Where one image has few tiles, time goes into reading the weights, of which tiles of 4x4 have 36
 * for every 9, tiles of 2x2 have 16. One image must not be slower than it is directly. */
int mk_winograd_tile(const mk_kernels *kernels, int kernel, int stride, int src_channels,
                     int channels, int dst_height, int dst_width)
{
  const double many_weights = 256 * 256;
  if (!kernels->winograd || kernel != 3 || stride != 1) return 0;
  if (src_channels < MK_WINOGRAD_CHANNELS || channels < MK_WINOGRAD_CHANNELS) return 0;
  if (dst_height < 4 || dst_width < 4) return 0;
  double tiles = (double)((dst_height + 3) / 4) * (double)((dst_width + 3) / 4);
  bool many = (double)src_channels * channels >= many_weights;
  return tiles <= (many ? 4 : 1) ? 2 : 4;
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

/* Few tiles stay in the second-level cache with their products; but every block reads all weights,
 * and where these come from memory, half as many blocks are a tenth faster. Blocks are of one size,
 * so that threads get equal shares. */
size_t mk_winograd_block(const mk_kernels *kernels, const mk_winograd *op)
{
  enum { FEW = 24, MANY = 48 };
  const size_t few_weights = (8 << 20) / sizeof(float);
  size_t weights = mk_winograd_weight_count(kernels, op->tile, op->src_channels, op->channels);
  size_t most = weights <= few_weights ? FEW : MANY, count = mk_winograd_tile_count(op);
  if (count <= most) return count;
  size_t blocks = (count + most - 1) / most, block = (count + blocks - 1) / blocks;
  return block + block % 2;
}

size_t mk_winograd_scratch(const mk_kernels *kernels, const mk_winograd *op)
{
  int tiles = (int)mk_winograd_block(kernels, op);
  return (size_t)points(op->tile) *
         (mk_winograd_plane(tiles, op->src_channels) +
          mk_winograd_plane(tiles, panels(kernels, op->channels) * kernels->panel));
}

/* ---- Gradient of the weights ----------------------------------------------------------------- */

/* Time of the direct kernel over time by Winograd, one core, AVX2:
 *
 *   grid      channels    batch
 *   128x128   16 to  16    16   1.7
 *    64x64    32 to  32    16   2.1
 *    64x64   128 to 128     1   3.3
 *    32x32    48 to  48    16   2.1
 *    32x32    64 to  64    16   2.5
 *    16x16   128 to 128    16   2.8
 *    16x16   256 to 256    16   2.5
 *     8x8     96 to  96    16   2.2
 *     8x8     96 to  96     8   1.8
 *     8x8     96 to  96     2   0.9
 *    16x16   512 to 512    16   2.5
 *     8x8    128 to 512    16   2.5
 *     8x8    512 to 512    16   2.4
 *     5x5     96 to  96    16   0.8
 *     4x4    128 to 128    16   1.4
 *     4x4    128 to 128    64   2.6
 */
bool mk_winograd_suits_gradient(const mk_kernels *kernels, int kernel, int stride,
                                const mk_winograd *op)
{
  const double least_tiles = 16, least_used = 0.6;
  if (!kernels->winograd_wgrad || kernel != 3 || stride != 1) return false;
  if (op->src_channels < MK_WINOGRAD_CHANNELS || op->channels < MK_WINOGRAD_CHANNELS) return false;
  mk_winograd tiled = *op;
  tiled.tile = 4;
  double tiles = (double)mk_winograd_tile_count(&tiled);
  double outputs = (double)op->batch * op->dst_height * op->dst_width;
  return tiles >= least_tiles && outputs >= least_used * 16 * tiles;
}

/* Each group has sums to clear and to transform, which pays for enough tiles. */
int mk_winograd_gradient_groups(const mk_winograd *op, int most)
{
  const size_t group_tiles = 64;
  size_t groups = mk_winograd_tile_count(op) / group_tiles;
  if (groups > (size_t)most) groups = (size_t)most;
  if (groups > (size_t)op->batch) groups = (size_t)op->batch;
  return groups < 1 ? 1 : (int)groups;
}

/* The sums, 36 numbers a weight, of wide layers are made a part after the other, each of which
 * evaluates the source again: that costs less than sums that come from memory every time. */
int mk_winograd_gradient_panels(const mk_kernels *kernels, const mk_winograd *op)
{
  const int most_sums = (8 << 20) / (int)sizeof(float);
  int most = most_sums / (points(op->tile) * op->src_channels * kernels->panel);
  int count = panels(kernels, op->channels);
  return most < 1 ? 1 : most < count ? most : count;
}

size_t mk_winograd_gradient_scratch(const mk_kernels *kernels, const mk_winograd *op)
{
  int width = mk_winograd_gradient_panels(kernels, op) * kernels->panel;
  return (size_t)points(op->tile) *
         (mk_winograd_plane(MK_WINOGRAD_GRADIENT_BLOCK, op->src_channels) +
          mk_winograd_plane(MK_WINOGRAD_GRADIENT_BLOCK, width) +
          mk_winograd_plane(op->src_channels, width));
}
