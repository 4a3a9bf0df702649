/* The reference: each kernel as its definition says, one element at a time. */
#include "nn/kernels/sets.h"

#include <math.h>

static size_t at(int n, int y, int x, int height, int width, int channels)
{
  return (((size_t)n * (size_t)height + (size_t)y) * (size_t)width + (size_t)x) * (size_t)channels;
}

static const float *gathered(const mk_gather *g, int n, int i, int j, int tap)
{
  int y = i * g->step + g->dy[tap], x = j * g->step + g->dx[tap];
  if (y < 0 || y >= g->src_height || x < 0 || x >= g->src_width) return g->zeros;
  return g->src + at(n, y, x, g->src_height, g->src_width, g->src_channels);
}

static float apply(float x, mk_activation activation)
{
  if (activation != MK_ACT_NONE && !(x > 0)) return 0;
  if (activation == MK_ACT_RELU6 && !(x < 6)) return 6;
  return x;
}

static void gather_gemm(const mk_gather_gemm *op, size_t row_begin, size_t row_end, int panel_begin,
                        int panel_end)
{
  const mk_gather *g = &op->gather;
  for (size_t row = row_begin; row < row_end; ++row) {
    int j = (int)(row % (size_t)g->grid_width);
    int i = (int)(row / (size_t)g->grid_width % (size_t)g->grid_height);
    int n = (int)(row / (size_t)g->grid_width / (size_t)g->grid_height);
    size_t pixel = at(n, i * op->dst_step + op->dst_y, j * op->dst_step + op->dst_x, op->dst_height,
                      op->dst_width, op->channels);
    float *dst = op->dst + pixel;
    for (int c = panel_begin; c < panel_end; ++c) {
      const float *weights = op->packed + (size_t)c * (size_t)g->taps * (size_t)g->depth;
      float sum = 0;
      for (int t = 0; t < g->taps; ++t) {
        const float *src = gathered(g, n, i, j, t);
        for (int d = 0; d < g->depth; ++d) sum += src[d] * *weights++;
      }
      if (op->accumulate)
        dst[c] += sum;
      else
        dst[c] = apply(sum + (op->bias ? op->bias[c] : 0) +
                           (op->addend ? op->addend[pixel + (size_t)c] : 0),
                       op->activation);
    }
  }
}

/* A panel is one channel here: the layouts are the same. */
static void gather_dot(const mk_gather_gemm *op, size_t row_begin, size_t row_end)
{
  gather_gemm(op, row_begin, row_end, 0, op->channels);
}

static void gather_wgrad(const mk_gather_wgrad *op, float *diff_weights, int tap_begin, int tap_end,
                         int image_begin, int image_end)
{
  const mk_gather *g = &op->gather;
  for (int k = tap_begin * g->depth; k < tap_end * g->depth; ++k) {
    int tap = k / g->depth, d = k % g->depth;
    for (int c = 0; c < op->channels; ++c) {
      float sum = 0;
      for (int n = image_begin; n < image_end; ++n) {
        for (int i = 0; i < g->grid_height; ++i) {
          for (int j = 0; j < g->grid_width; ++j)
            sum +=
                gathered(g, n, i, j, tap)[d] *
                op->diff_dst[at(n, i, j, g->grid_height, g->grid_width, op->channels) + (size_t)c];
        }
      }
      diff_weights[(size_t)k * (size_t)op->channels + (size_t)c] += sum;
    }
  }
}

static void depthwise(const mk_depthwise *op, int line_begin, int line_end)
{
  const mk_window *w = &op->window;
  for (int oy = line_begin; oy < line_end; ++oy) {
    for (int ox = 0; ox < w->dst_width; ++ox) {
      for (int c = 0; c < w->channels; ++c) {
        float sum = op->bias ? op->bias[c] : 0;
        for (int k = 0; k < w->kernel * w->kernel; ++k) {
          int y = oy * w->stride - w->pad_top + k / w->kernel;
          int x = ox * w->stride - w->pad_left + k % w->kernel;
          if (y < 0 || y >= w->src_height || x < 0 || x >= w->src_width) continue;
          sum += op->src[((y - op->src_top) * w->src_width + x) * op->src_pixel + c] *
                 op->weights[k * op->dst_pixel + c];
        }
        op->dst[(oy * w->dst_width + ox) * op->dst_pixel + c] = apply(sum, op->activation);
      }
    }
  }
}

static void depthwise_backward_data(const mk_window *w, float *diff_src, const float *diff_dst,
                                    const float *weights, size_t line_begin, size_t line_end)
{
  for (size_t line = line_begin; line < line_end; ++line) {
    int n = (int)(line / (size_t)w->src_height), y = (int)(line % (size_t)w->src_height);
    for (int x = 0; x < w->src_width; ++x) {
      for (int c = 0; c < w->channels; ++c) {
        float sum = 0;
        for (int k = 0; k < w->kernel * w->kernel; ++k) {
          int sy = y + w->pad_top - k / w->kernel, sx = x + w->pad_left - k % w->kernel;
          if (sy < 0 || sx < 0 || sy % w->stride || sx % w->stride) continue;
          if (sy / w->stride >= w->dst_height || sx / w->stride >= w->dst_width) continue;
          sum += diff_dst[at(n, sy / w->stride, sx / w->stride, w->dst_height, w->dst_width,
                             w->channels) +
                          (size_t)c] *
                 weights[k * w->channels + c];
        }
        diff_src[at(n, y, x, w->src_height, w->src_width, w->channels) + (size_t)c] += sum;
      }
    }
  }
}

static void depthwise_backward_weights(const mk_window *w, float *diff_weights, const float *src,
                                       const float *diff_dst, int image_begin, int image_end)
{
  for (int k = 0; k < w->kernel * w->kernel; ++k) {
    for (int c = 0; c < w->channels; ++c) {
      float sum = 0;
      for (int n = image_begin; n < image_end; ++n) {
        for (int oy = 0; oy < w->dst_height; ++oy) {
          for (int ox = 0; ox < w->dst_width; ++ox) {
            int y = oy * w->stride - w->pad_top + k / w->kernel;
            int x = ox * w->stride - w->pad_left + k % w->kernel;
            if (y < 0 || y >= w->src_height || x < 0 || x >= w->src_width) continue;
            sum += src[at(n, y, x, w->src_height, w->src_width, w->channels) + (size_t)c] *
                   diff_dst[at(n, oy, ox, w->dst_height, w->dst_width, w->channels) + (size_t)c];
          }
        }
      }
      diff_weights[k * w->channels + c] += sum;
    }
  }
}

/* Offset in src of the first maximum of a window. */
static size_t first_maximum(const mk_window *w, const float *src, int n, int oy, int ox, int c)
{
  size_t best = 0;
  for (int k = 0; k < w->kernel * w->kernel; ++k) {
    size_t here = at(n, oy * w->stride + k / w->kernel, ox * w->stride + k % w->kernel,
                     w->src_height, w->src_width, w->channels) +
                  (size_t)c;
    if (k == 0 || src[here] > src[best]) best = here;
  }
  return best;
}

static void max_pool(const mk_window *w, float *dst, const float *src, size_t line_begin,
                     size_t line_end)
{
  for (size_t line = line_begin; line < line_end; ++line) {
    int n = (int)(line / (size_t)w->dst_height), oy = (int)(line % (size_t)w->dst_height);
    for (int ox = 0; ox < w->dst_width; ++ox) {
      for (int c = 0; c < w->channels; ++c)
        dst[at(n, oy, ox, w->dst_height, w->dst_width, w->channels) + (size_t)c] =
            src[first_maximum(w, src, n, oy, ox, c)];
    }
  }
}

static void max_pool_backward(const mk_window *w, float *diff_src, const float *diff_dst,
                              const float *dst, const float *src, int image_begin, int image_end)
{
  (void)dst;
  for (int n = image_begin; n < image_end; ++n) {
    for (int oy = 0; oy < w->dst_height; ++oy) {
      for (int ox = 0; ox < w->dst_width; ++ox) {
        for (int c = 0; c < w->channels; ++c)
          diff_src[first_maximum(w, src, n, oy, ox, c)] +=
              diff_dst[at(n, oy, ox, w->dst_height, w->dst_width, w->channels) + (size_t)c];
      }
    }
  }
}

static void activate(float *dst, const float *src, mk_activation activation, size_t count)
{
  for (size_t i = 0; i < count; ++i) dst[i] = apply(src[i], activation);
}

static void activation_backward(float *diff, const float *dst, mk_activation activation,
                                bool guided, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    bool open =
        activation == MK_ACT_NONE || (dst[i] > 0 && (activation == MK_ACT_RELU || dst[i] < 6));
    if (!open || (guided && !(diff[i] > 0))) diff[i] = 0;
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

static void pair_sums(double sums[4], const float *a, const float *b, size_t count)
{
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  for (size_t i = 0; i < count; ++i) {
    double x = (double)a[i], y = (double)b[i];
    sums[0] += x * x;
    sums[1] += y * y;
    sums[2] += x * y;
    sums[3] += (x - y) * (x - y);
  }
}

static void channel_sums(double *sums, const float *src, int channels, size_t rows)
{
  for (size_t i = 0; i < rows * (size_t)channels; ++i) sums[i % (size_t)channels] += (double)src[i];
}

static void channel_squares(double *sums, const float *src, const float *mean, int channels,
                            size_t rows)
{
  for (size_t i = 0; i < rows * (size_t)channels; ++i) {
    double centred = (double)src[i] - (double)mean[i % (size_t)channels];
    sums[i % (size_t)channels] += centred * centred;
  }
}

static void channel_affine(float *dst, const float *src, const float *scale, const float *shift,
                           mk_activation activation, int channels, size_t rows)
{
  for (size_t i = 0; i < rows * (size_t)channels; ++i) {
    size_t c = i % (size_t)channels;
    dst[i] = apply(src[i] * scale[c] + shift[c], activation);
  }
}

static void channel_backward_sums(double *sums, double *products, const float *diff,
                                  const float *src, const float *mean, int channels, size_t rows)
{
  for (size_t i = 0; i < rows * (size_t)channels; ++i) {
    size_t c = i % (size_t)channels;
    sums[c] += (double)diff[i];
    products[c] += (double)diff[i] * ((double)src[i] - (double)mean[c]);
  }
}

static void channel_backward(float *diff_src, const float *diff, const float *src, const float *a,
                             const float *b, const float *d, bool add_to, int channels, size_t rows)
{
  for (size_t i = 0; i < rows * (size_t)channels; ++i) {
    size_t c = i % (size_t)channels;
    diff_src[i] = (add_to ? diff_src[i] : 0) + a[c] * diff[i] + b[c] * src[i] + d[c];
  }
}

static void adam(float *weights, float *first, float *second, const float *gradient,
                 const mk_adam_step *step, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    double g = (double)gradient[i];
    double m = step->beta1 * (double)first[i] + (1 - step->beta1) * g;
    double v = step->beta2 * (double)second[i] + (1 - step->beta2) * g * g;
    first[i] = (float)m;
    second[i] = (float)v;
    weights[i] -= (float)(step->learning_rate * (m / step->correction1) /
                          (sqrt(v / step->correction2) + step->epsilon));
  }
}

const mk_kernels mk_kernels_reference = {
    .name = "reference",
    .row_tile = 1,
    .panel = 1,
    .wide_panel = 1,
    .gather_gemm = gather_gemm,
    .gather_dot = gather_dot,
    .gather_wgrad = gather_wgrad,
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
