/* The vectorised kernels: included once per instruction set by a file that sets
 *   MK_SET, MK_SET_NAME   the table's symbol and name
 *   MK_LANES              floats in a vector register
 *   MK_ROW_TILE           rows of a register tile
 *   MK_PANEL_VECTORS      vectors across a register tile
 * Written with the compilers' vector types: one source for all of them. */
#include "nn/kernels/sets.h"

#include <math.h>
#include <string.h>

enum {
  LANES = MK_LANES,
  MR = MK_ROW_TILE,
  NV = MK_PANEL_VECTORS,
  NR = MK_LANES * MK_PANEL_VECTORS,
  NR_WIDE = NR + MK_LANES, /* of the last panel, when one more vector is all that is left */
  MR_WIDE = MK_ROW_TILE / 2
};

typedef float vf __attribute__((vector_size(MK_LANES * 4)));
typedef int vi __attribute__((vector_size(MK_LANES * 4)));
typedef float vf_unaligned __attribute__((vector_size(MK_LANES * 4), aligned(4), may_alias));

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

INLINE vf load(const float *p)
{
  return *(const vf_unaligned *)p;
}

INLINE void store(float *p, vf v)
{
  *(vf_unaligned *)p = v;
}

INLINE vf splat(float x)
{
  return x - (vf){0};
}

/* x > y ? x : y, and x < y ? x : y. Compilers know one instruction for it, but not for vectors. */
#if defined(MK_MAX)
INLINE vf greater(vf x, vf y)
{
  return (vf)MK_MAX(x, y);
}

INLINE vf lesser(vf x, vf y)
{
  return (vf)MK_MIN(x, y);
}
#else
INLINE vf greater(vf x, vf y)
{
  const vi mask = x > y;
  return (vf)((mask & (vi)x) | (~mask & (vi)y));
}

INLINE vf lesser(vf x, vf y)
{
  const vi mask = x < y;
  return (vf)((mask & (vi)x) | (~mask & (vi)y));
}
#endif

INLINE vf vector_activate(vf x, mk_activation activation)
{
  if (activation != MK_ACT_NONE) x = greater(x, (vf){0});
  if (activation == MK_ACT_RELU6) x = lesser(x, splat(6));
  return x;
}

INLINE float scalar_activate(float x, mk_activation activation)
{
  if (activation != MK_ACT_NONE) x = x > 0 ? x : 0;
  if (activation == MK_ACT_RELU6) x = x < 6 ? x : 6;
  return x;
}

/* clang-format off: they build on each other */
#include "nn/kernels/gather.h"
#include "nn/kernels/winograd.h"
#include "nn/kernels/depthwise.h"
/* clang-format on */

/* ---- Max pool -------------------------------------------------------------------------------- */

static void max_pool(const mk_window *w, float *dst, const float *src, size_t line_begin,
                     size_t line_end)
{
  size_t channels = (size_t)w->channels;
  for (size_t line = line_begin; line < line_end; ++line) {
    int n = (int)(line / (size_t)w->dst_height), oy = (int)(line % (size_t)w->dst_height);
    for (int ox = 0; ox < w->dst_width; ++ox) {
      float *out = dst + (line * (size_t)w->dst_width + (size_t)ox) * channels;
      for (int ky = 0; ky < w->kernel; ++ky) {
        size_t row = ((size_t)n * (size_t)w->src_height + (size_t)(oy * w->stride + ky)) *
                     (size_t)w->src_width;
        for (int kx = 0; kx < w->kernel; ++kx) {
          const float *in = src + (row + (size_t)(ox * w->stride + kx)) * channels;
          if (ky == 0 && kx == 0) {
            memcpy(out, in, channels * sizeof(float));
          } else {
            for (size_t c = 0; c < channels; ++c) out[c] = in[c] > out[c] ? in[c] : out[c];
          }
        }
      }
    }
  }
}

/* One window, LANES channels: the first element that equals the maximum takes the gradient. */
INLINE void max_pool_window_backward(const mk_window *w, float *diff_src, vf diff, vf top,
                                     const float *src)
{
  size_t channels = (size_t)w->channels, row = (size_t)w->src_width * channels;
  vi taken = {0};
  for (int ky = 0; ky < w->kernel; ++ky) {
    for (int kx = 0; kx < w->kernel; ++kx) {
      size_t at = (size_t)ky * row + (size_t)kx * channels;
      vi first = (load(src + at) == top) & ~taken;
      store(diff_src + at, load(diff_src + at) + (vf)((vi)diff & first));
      taken |= first;
    }
  }
}

static void max_pool_element_backward(const mk_window *w, float *diff_src, float diff, float top,
                                      const float *src)
{
  size_t channels = (size_t)w->channels, row = (size_t)w->src_width * channels;
  for (int k = 0; k < w->kernel * w->kernel; ++k) {
    size_t at = (size_t)(k / w->kernel) * row + (size_t)(k % w->kernel) * channels;
    if (src[at] != top) continue;
    diff_src[at] += diff;
    return;
  }
}

static void max_pool_backward(const mk_window *w, float *diff_src, const float *diff_dst,
                              const float *dst, const float *src, int image_begin, int image_end)
{
  size_t channels = (size_t)w->channels;
  size_t begin = (size_t)image_begin * (size_t)w->dst_height;
  size_t end = (size_t)image_end * (size_t)w->dst_height;
  for (size_t line = begin; line < end; ++line) {
    size_t n = line / (size_t)w->dst_height, oy = line % (size_t)w->dst_height;
    size_t y = n * (size_t)w->src_height + oy * (size_t)w->stride;
    for (int ox = 0; ox < w->dst_width; ++ox) {
      size_t in = (y * (size_t)w->src_width + (size_t)(ox * w->stride)) * channels;
      size_t out = (line * (size_t)w->dst_width + (size_t)ox) * channels;
      size_t c = 0;
      for (; c + LANES <= channels; c += LANES)
        max_pool_window_backward(w, diff_src + in + c, load(diff_dst + out + c),
                                 load(dst + out + c), src + in + c);
      for (; c < channels; ++c)
        max_pool_element_backward(w, diff_src + in + c, diff_dst[out + c], dst[out + c],
                                  src + in + c);
    }
  }
}

/* ---- Element by element ---------------------------------------------------------------------- */

static void activate(float *dst, const float *src, mk_activation activation, size_t count)
{
  float low = activation == MK_ACT_NONE ? -INFINITY : 0;
  float high = activation == MK_ACT_RELU6 ? 6 : INFINITY;
  for (size_t i = 0; i < count; ++i) {
    float x = src[i] > low ? src[i] : low;
    dst[i] = x < high ? x : high;
  }
}

static void activation_backward(float *diff, const float *dst, mk_activation activation,
                                bool guided, size_t count)
{
  float low = activation == MK_ACT_NONE ? -INFINITY : 0;
  float high = activation == MK_ACT_RELU6 ? 6 : INFINITY;
  if (guided) {
    for (size_t i = 0; i < count; ++i)
      diff[i] = dst[i] > low && dst[i] < high && diff[i] > 0 ? diff[i] : 0;
  } else {
    for (size_t i = 0; i < count; ++i) diff[i] = dst[i] > low && dst[i] < high ? diff[i] : 0;
  }
}

static void add(float *dst, const float *a, const float *b, size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] = a[i] + b[i];
}

static void accumulate(float *dst, const float *src, float scale, size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] += scale * src[i];
}

static void combine(float *dst, const float *a, float scale_a, const float *b, float scale_b,
                    size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] = a[i] * scale_a + b[i] * scale_b;
}

/* fp32 over short stretches, fp64 over the stretches. */
static void pair_sums(double sums[4], const float *a, const float *b, size_t count)
{
  enum { SHORT = 32 }; /* vectors */
  double total[4] = {0, 0, 0, 0};
  size_t i = 0;
  while (i + LANES <= count) {
    vf part[4] = {{0}, {0}, {0}, {0}};
    for (int k = 0; k < SHORT && i + LANES <= count; ++k, i += LANES) {
      vf x = load(a + i), y = load(b + i), difference = x - y;
      part[0] += x * x;
      part[1] += y * y;
      part[2] += x * y;
      part[3] += difference * difference;
    }
    for (int s = 0; s < 4; ++s) {
      for (int lane = 0; lane < LANES; ++lane) total[s] += (double)part[s][lane];
    }
  }
  for (; i < count; ++i) {
    double x = (double)a[i], y = (double)b[i];
    total[0] += x * x;
    total[1] += y * y;
    total[2] += x * y;
    total[3] += (x - y) * (x - y);
  }
  memcpy(sums, total, sizeof total);
}

/* ---- Per channel ----------------------------------------------------------------------------- */

/* Sums run in fp32 over short stretches of rows and in fp64 over the stretches: as fast as fp32,
 * and as exact as needed for means over millions of rows. */
enum { STRETCH = 64, BLOCK = 64 /* channels */ };

static void channel_sums(double *sums, const float *src, int channels, size_t rows)
{
  for (size_t first = 0; first < rows; first += STRETCH) {
    size_t last = first + STRETCH < rows ? first + STRETCH : rows;
    for (int c0 = 0; c0 < channels; c0 += BLOCK) {
      int width = channels - c0 < BLOCK ? channels - c0 : BLOCK;
      float part[BLOCK] = {0};
      for (size_t r = first; r < last; ++r) {
        const float *in = src + r * (size_t)channels + c0;
        for (int c = 0; c < width; ++c) part[c] += in[c];
      }
      for (int c = 0; c < width; ++c) sums[c0 + c] += (double)part[c];
    }
  }
}

static void channel_squares(double *sums, const float *src, const float *mean, int channels,
                            size_t rows)
{
  for (size_t first = 0; first < rows; first += STRETCH) {
    size_t last = first + STRETCH < rows ? first + STRETCH : rows;
    for (int c0 = 0; c0 < channels; c0 += BLOCK) {
      int width = channels - c0 < BLOCK ? channels - c0 : BLOCK;
      float part[BLOCK] = {0};
      for (size_t r = first; r < last; ++r) {
        const float *in = src + r * (size_t)channels + c0;
        for (int c = 0; c < width; ++c) {
          float centred = in[c] - mean[c0 + c];
          part[c] += centred * centred;
        }
      }
      for (int c = 0; c < width; ++c) sums[c0 + c] += (double)part[c];
    }
  }
}

static void channel_affine(float *dst, const float *src, const float *scale, const float *shift,
                           mk_activation activation, int channels, size_t rows)
{
  float low = activation == MK_ACT_NONE ? -INFINITY : 0;
  float high = activation == MK_ACT_RELU6 ? 6 : INFINITY;
  for (size_t r = 0; r < rows; ++r) {
    const float *in = src + r * (size_t)channels;
    float *out = dst + r * (size_t)channels;
    for (int c = 0; c < channels; ++c) {
      float x = in[c] * scale[c] + shift[c];
      x = x > low ? x : low;
      out[c] = x < high ? x : high;
    }
  }
}

static void channel_backward_sums(double *sums, double *products, const float *diff,
                                  const float *src, const float *mean, int channels, size_t rows)
{
  for (size_t first = 0; first < rows; first += STRETCH) {
    size_t last = first + STRETCH < rows ? first + STRETCH : rows;
    for (int c0 = 0; c0 < channels; c0 += BLOCK) {
      int width = channels - c0 < BLOCK ? channels - c0 : BLOCK;
      float sum[BLOCK] = {0}, product[BLOCK] = {0};
      for (size_t r = first; r < last; ++r) {
        const float *d = diff + r * (size_t)channels + c0, *in = src + r * (size_t)channels + c0;
        for (int c = 0; c < width; ++c) {
          sum[c] += d[c];
          product[c] += d[c] * (in[c] - mean[c0 + c]);
        }
      }
      for (int c = 0; c < width; ++c) {
        sums[c0 + c] += (double)sum[c];
        products[c0 + c] += (double)product[c];
      }
    }
  }
}

static void channel_backward(float *diff_src, const float *diff, const float *src, const float *a,
                             const float *b, const float *d, bool add_to, int channels, size_t rows)
{
  for (size_t r = 0; r < rows; ++r) {
    size_t at = r * (size_t)channels;
    if (add_to) {
      for (int c = 0; c < channels; ++c)
        diff_src[at + (size_t)c] +=
            a[c] * diff[at + (size_t)c] + (b[c] * src[at + (size_t)c] + d[c]);
    } else {
      for (int c = 0; c < channels; ++c)
        diff_src[at + (size_t)c] =
            a[c] * diff[at + (size_t)c] + (b[c] * src[at + (size_t)c] + d[c]);
    }
  }
}

static void adam(float *weights, float *first, float *second, const float *gradient,
                 const mk_adam_step *step, size_t count)
{
  const float beta1 = (float)step->beta1, beta2 = (float)step->beta2;
  const float rest1 = (float)(1 - step->beta1), rest2 = (float)(1 - step->beta2);
  const float rate = (float)(step->learning_rate / step->correction1);
  const float scale = (float)(1 / sqrt(step->correction2)), epsilon = (float)step->epsilon;
  for (size_t i = 0; i < count; ++i) {
    float g = gradient[i];
    first[i] = beta1 * first[i] + rest1 * g;
    second[i] = beta2 * second[i] + rest2 * g * g;
    weights[i] -= rate * first[i] / (sqrtf(second[i]) * scale + epsilon);
  }
}

const mk_kernels MK_SET = {
    .name = MK_SET_NAME,
    .row_tile = MR,
    .panel = NR,
    .wide_panel = NR_WIDE,
    .gather_gemm = gather_gemm,
    .gather_dot = gather_dot,
    .gather_wgrad = gather_wgrad,
    .winograd_pack = winograd_pack,
    .winograd = winograd,
    .winograd_wgrad = winograd_wgrad,
    .depthwise = depthwise,
    .depthwise_backward_data = depthwise_backward_data,
    .depthwise_backward_weights = depthwise_backward_weights,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .activate = activate,
    .activation_backward = activation_backward,
    .add = add,
    .accumulate = accumulate,
    .combine = combine,
    .pair_sums = pair_sums,
    .channel_sums = channel_sums,
    .channel_squares = channel_squares,
    .channel_affine = channel_affine,
    .channel_backward_sums = channel_backward_sums,
    .channel_backward = channel_backward,
    .adam = adam,
};
