/* The kernels: everything that touches activations, once in plain C (the reference) and once
 * vectorised, compiled per instruction set.
 *
 * Activations are NHWC fp32. A kernel works on a range of its rows or lines, so that the caller can
 * spread the ranges over threads; every output element is computed by one call in one fixed order,
 * so the result does not depend on how the ranges are cut. `diff_x` is the gradient of the loss
 * with respect to x. */
#ifndef MK_NN_KERNELS_H
#define MK_NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

enum { MK_FEW_CHANNELS = 4 };

typedef enum { MK_ACT_NONE, MK_ACT_RELU, MK_ACT_RELU6 } mk_activation;

/* A grid of rows, each of which gathers `taps` vectors of `depth` floats from src:
 *   row (n, i, j) reads, for tap t, src pixel (n, i * step + dy[t], j * step + dx[t]),
 * or zeros where that pixel is outside. Convolution forward has step = stride and one tap a kernel
 * position; convolution backward-data has step = 1 and, for each phase of the stride, the kernel
 * positions that meet it. `depth` may span several pixels of a source padded in advance. */
typedef struct {
  const float *src;
  int batch, src_height, src_width;
  int src_channels; /* floats from one pixel to the next */
  int grid_height, grid_width, step;
  int taps, depth;
  const int *dy, *dx;
  const float *zeros; /* depth of them */
} mk_gather;

/* dst[row][c] = activation(addend[row][c] + bias[c] + sum over taps t, d < depth of
 * gathered[row][t][d] * weights[t][d][c]). Row (n, i, j) is dst pixel (n, i * dst_step + dst_y, j *
 * dst_step + dst_x). */
typedef struct {
  mk_gather gather;
  const float *packed; /* weights [panel][tap][depth][mk_panel_width], zero beyond `channels` */
  const float *bias;   /* or NULL */
  mk_activation activation;
  bool accumulate;     /* dst += instead of dst =; not with bias or activation */
  const float *addend; /* of the shape of dst, or NULL; gather_dot takes none */
  float *dst;
  int dst_height, dst_width, channels;
  int dst_step, dst_y, dst_x;
} mk_gather_gemm;

/* diff_weights[t][d][c] += sum over rows of gathered[row][t][d] * diff_dst[row][c]. diff_dst has
 * the shape of the gather's grid. */
typedef struct {
  mk_gather gather;
  const float *diff_dst;
  int channels;
} mk_gather_wgrad;

/* Winograd's convolution: 3x3, stride 1, in tiles of 2x2 or 4x4 outputs. Its matrices have one row
 * a tile and one plane for each of the (tile + 2)^2 points at which tiles are evaluated. */
typedef struct {
  int tile; /* outputs on a side: 2 or 4 */
  const float *src;
  int batch, src_height, src_width, src_channels; /* at least MK_WINOGRAD_CHANNELS */
  int pad_top, pad_left;
  const float *zeros;  /* src_channels of them */
  const float *packed; /* by winograd_pack */
  const float *bias;   /* or NULL */
  mk_activation activation;
  bool accumulate; /* dst += instead of dst =; not with bias or activation */
  float *dst;
  int dst_height, dst_width, channels;
} mk_winograd;

enum { MK_WINOGRAD_CHANNELS = 16 };

/* Weights [3][3][src_channels][channels]; or, transposed, [3][3][channels][src_channels] of the
 * convolution whose backward-data this is. */
typedef struct {
  int tile;
  const float *weights;
  int src_channels, channels;
  bool transposed;
} mk_winograd_weights;

/* Floats from one point's matrix to the next: an even number of rows, and a cache line more, lest
 * the points of a tile all compete for the same lines of the cache. */
static inline size_t mk_winograd_plane(int tiles, int channels)
{
  return (size_t)(tiles + tiles % 2) * (size_t)channels + 16;
}

/* Depthwise convolution and max pool share their geometry. */
typedef struct {
  int batch, channels;
  int src_height, src_width, dst_height, dst_width;
  int kernel, stride, pad_top, pad_left;
} mk_window;

/* Depthwise convolution of `window.channels` channels of one image. They may be a part of those of
 * dst and weights [kernel][kernel], and the source a part of its lines. */
typedef struct {
  mk_window window; /* without batch */
  const float *src; /* line src_top */
  int src_top;
  ptrdiff_t src_pixel;         /* floats from one pixel to the next */
  float *dst;                  /* line 0 */
  ptrdiff_t dst_pixel;         /* the same, and floats from one weight of a channel to the next */
  const float *weights, *bias; /* bias may be NULL */
  mk_activation activation;
} mk_depthwise;

typedef struct {
  double learning_rate, beta1, beta2, epsilon;
  double correction1, correction2; /* 1 - beta^step */
} mk_adam_step;

typedef struct mk_kernels {
  const char *name;    /* "reference", "generic", "avx2", "avx512", "neon" */
  int row_tile, panel; /* rows and channels of one register tile */
  int wide_panel;      /* most channels of the last panel of gather_gemm */

  /* Rows [row_begin, row_end) of the grid, panels [panel_begin, panel_end). */
  void (*gather_gemm)(const mk_gather_gemm *op, size_t row_begin, size_t row_end, int panel_begin,
                      int panel_end);
  /* The same for at most MK_FEW_CHANNELS channels, too few to fill a panel: vectors run over depth.
   * Here `packed` is [channel][tap][depth]. */
  void (*gather_dot)(const mk_gather_gemm *op, size_t row_begin, size_t row_end);
  /* Images [image_begin, image_end), taps [tap_begin, tap_end) of diff_weights. */
  void (*gather_wgrad)(const mk_gather_wgrad *op, float *diff_weights, int tap_begin, int tap_end,
                       int image_begin, int image_end);

  /* packed [points][panel][src_channels][panel width], zero beyond `channels`. */
  void (*winograd_pack)(const mk_winograd_weights *weights, float *packed);
  /* Tiles [tile_begin, tile_end) of batch * (tiles down) * (tiles across), panels [panel_begin,
   * panel_end). `scratch` is points * (mk_winograd_plane of source channels + that of the panels'
   * channels) floats. The reference has none of the three: it convolves directly. */
  void (*winograd)(const mk_winograd *op, float *scratch, size_t tile_begin, size_t tile_end,
                   int panel_begin, int panel_end);
  /* diff_weights [3][3][src_channels][channels] = gradient of the weights over images [image_begin,
   * image_end), of the channels of panels [panel_begin, panel_end). Tiles of 4x4, `block` at once;
   * op's packed, bias, activation and dst are not looked at. `scratch` is 36 * (mk_winograd_plane
   * of block and source channels + that of block and panels' channels + that of source channels and
   * panels' channels) floats. */
  void (*winograd_wgrad)(const mk_winograd *op, const float *diff_dst, float *diff_weights,
                         float *scratch, int block, int image_begin, int image_end, int panel_begin,
                         int panel_end);

  /* Lines of dst. */
  void (*depthwise)(const mk_depthwise *op, int line_begin, int line_end);
  /* Lines are rows of pixels, batch * height of them, here of diff_src; adds to it. weights
   * [kernel][kernel][channels]. */
  void (*depthwise_backward_data)(const mk_window *w, float *diff_src, const float *diff_dst,
                                  const float *weights, size_t line_begin, size_t line_end);
  /* Adds to diff_weights. */
  void (*depthwise_backward_weights)(const mk_window *w, float *diff_weights, const float *src,
                                     const float *diff_dst, int image_begin, int image_end);

  /* No padding. Lines of dst. */
  void (*max_pool)(const mk_window *w, float *dst, const float *src, size_t line_begin,
                   size_t line_end);
  /* Adds to diff_src the gradient of the first maximum of each window. */
  void (*max_pool_backward)(const mk_window *w, float *diff_src, const float *diff_dst,
                            const float *dst, const float *src, int image_begin, int image_end);

  void (*activate)(float *dst, const float *src, mk_activation activation, size_t count);
  /* diff *= activation'(dst); with `guided`, negative gradients are cut as well. */
  void (*activation_backward)(float *diff, const float *dst, mk_activation activation, bool guided,
                              size_t count);
  void (*add)(float *dst, const float *a, const float *b, size_t count);
  /* dst += scale * src */
  void (*accumulate)(float *dst, const float *src, float scale, size_t count);

  /* dst = a[i] * scale_a + b[i] * scale_b */
  void (*combine)(float *dst, const float *a, float scale_a, const float *b, float scale_b,
                  size_t count);
  /* Sums over i of a^2, b^2, a b, (a - b)^2. */
  void (*pair_sums)(double sums[4], const float *a, const float *b, size_t count);

  /* sums[c] += sum over rows of src[row][c]; and of (src[row][c] - mean[c])^2. */
  void (*channel_sums)(double *sums, const float *src, int channels, size_t rows);
  void (*channel_squares)(double *sums, const float *src, const float *mean, int channels,
                          size_t rows);
  /* dst = activation(src * scale[c] + shift[c]) */
  void (*channel_affine)(float *dst, const float *src, const float *scale, const float *shift,
                         mk_activation activation, int channels, size_t rows);
  /* sums[c] += sum of diff; products[c] += sum of diff * (src - mean[c]). */
  void (*channel_backward_sums)(double *sums, double *products, const float *diff, const float *src,
                                const float *mean, int channels, size_t rows);
  /* diff_src = a[c] * diff + b[c] * src + d[c] (+ diff_src when accumulate); the three coefficients
   * are what batch norm's backward pass comes down to. */
  void (*channel_backward)(float *diff_src, const float *diff, const float *src, const float *a,
                           const float *b, const float *d, bool accumulate, int channels,
                           size_t rows);

  void (*adam)(float *weights, float *first, float *second, const float *gradient,
               const mk_adam_step *step, size_t count);
} mk_kernels;

/* Panels of gather_gemm. Few channels that would be left over make the last one wider; where there
 * are no others, it is a single vector. */
static inline int mk_panel_count(const mk_kernels *kernels, int channels)
{
  int count = channels / kernels->panel, rest = channels % kernels->panel;
  bool joined = count > 0 && rest <= kernels->wide_panel - kernels->panel;
  return count + (rest > 0 && !joined);
}

static inline int mk_panel_width(const mk_kernels *kernels, int channels, int panel)
{
  int vector = kernels->wide_panel - kernels->panel, left = channels - panel * kernels->panel;
  if (left <= vector) return vector;
  bool last = panel == mk_panel_count(kernels, channels) - 1;
  return last && left > kernels->panel ? kernels->wide_panel : kernels->panel;
}

/* The best that this machine can run. */
const mk_kernels *mk_kernels_best(void);
/* All that this machine can run, the reference first; returns their number, at most `room`. */
int mk_kernels_list(const mk_kernels **list, int room);

#endif
