/* Which convolutions go by Winograd, and what they need. Private to nn/. */
#ifndef MK_NN_WINOGRAD_H
#define MK_NN_WINOGRAD_H

#include "nn/kernels/kernels.h"

/* Outputs on a side of the tile that suits a convolution best, 2 or 4; 0 for direct convolution.
 * It depends on shapes alone, and not on the batch: an image gets the same numbers in any company.
 */
int mk_winograd_tile(const mk_kernels *kernels, int kernel, int stride, int src_channels,
                     int channels, int dst_height, int dst_width);

/* Floats of packed weights. */
size_t mk_winograd_weight_count(const mk_kernels *kernels, int tile, int src_channels,
                                int channels);

/* Tiles of one block, which one task evaluates at once: of op->batch images, or less of them. */
size_t mk_winograd_block(const mk_kernels *kernels, const mk_winograd *op);

/* Tiles that one task evaluates at once for the gradient of the weights. */
enum { MK_WINOGRAD_GRADIENT_BLOCK = 48 };

/* Whether the gradient of the weights is faster by Winograd. */
bool mk_winograd_suits_gradient(const mk_kernels *kernels, int kernel, int stride,
                                const mk_winograd *op);

/* Into how many groups of images it is split, of which each adds up its tiles. */
int mk_winograd_gradient_groups(const mk_winograd *op, int most);

/* Most panels of channels whose gradient is made at once. */
int mk_winograd_gradient_panels(const mk_kernels *kernels, const mk_winograd *op);

size_t mk_winograd_gradient_scratch(const mk_kernels *kernels, const mk_winograd *op);

size_t mk_winograd_tile_count(const mk_winograd *op);

/* Scratch memory of one thread, in floats. */
size_t mk_winograd_scratch(const mk_kernels *kernels, const mk_winograd *op);

#endif
