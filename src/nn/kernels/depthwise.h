/* Depthwise convolution. Part of vector.h.
 *
 * A tile is OUTPUTS neighbours of a line in one vector of channels: its sums stay in registers
 * while the rows of the kernel go by, a row of weights at a time, and each source pixel is loaded
 * once for all the outputs that it is part of. Channels are the outer loop, so that the lines of a
 * call find the source rows that they share in the first-level cache. */

enum { OUTPUTS = 8, ROW_WEIGHTS = 5 /* of a row of weights in registers */ };

/* What a line reads: `rows` rows, those outside of the image left out. */
typedef struct {
  const float *src, *weights; /* column 0; the first row's */
  ptrdiff_t row;              /* floats from one source row to the next */
  int rows;
} depthwise_place;

/* Source rows of dst line y, and the weights that meet them. */
INLINE depthwise_place depthwise_line(const mk_depthwise *op, int y)
{
  const mk_window *w = &op->window;
  int top = y * w->stride - w->pad_top, begin = top < 0 ? -top : 0;
  int end = top + w->kernel > w->src_height ? w->src_height - top : w->kernel;
  depthwise_place at = {.row = (ptrdiff_t)w->src_width * op->src_pixel,
                        .rows = end > begin ? end - begin : 0};
  if (at.rows == 0) begin = top = op->src_top; /* nothing is read */
  at.src = op->src + (top + begin - op->src_top) * at.row;
  at.weights = op->weights + (ptrdiff_t)(begin * w->kernel) * op->dst_pixel;
  return at;
}

/* Outputs x .. x + OUTPUTS - 1 of a line, whose columns are all inside. */
INLINE void depthwise_tile(const mk_depthwise *op, const int kernel, const int stride,
                           const ptrdiff_t pixel, const depthwise_place *at, int x, vf bias,
                           float *out)
{
  const ptrdiff_t step = op->dst_pixel;
  const float *src = at->src + (x * stride - op->window.pad_left) * pixel, *weights = at->weights;
  vf acc[OUTPUTS];
  UNROLL for (int o = 0; o < OUTPUTS; ++o) acc[o] = bias;
  for (int ky = 0; ky < at->rows; ++ky, src += at->row) {
    vf w[ROW_WEIGHTS];
    UNROLL for (int kx = 0; kx < kernel; ++kx, weights += step) w[kx] = load(weights);
    UNROLL for (int i = 0; i < (OUTPUTS - 1) * stride + kernel; ++i)
    {
      const vf pixels = load(src + i * pixel);
      UNROLL for (int o = 0; o < OUTPUTS; ++o)
      {
        if (i >= o * stride && i < o * stride + kernel) acc[o] += pixels * w[i - o * stride];
      }
    }
  }
  if (op->activation != MK_ACT_NONE) {
    UNROLL for (int o = 0; o < OUTPUTS; ++o) acc[o] = greater(acc[o], (vf){0});
  }
  if (op->activation == MK_ACT_RELU6) {
    const vf six = splat(6);
    UNROLL for (int o = 0; o < OUTPUTS; ++o) acc[o] = lesser(acc[o], six);
  }
  UNROLL for (int o = 0; o < OUTPUTS; ++o) store(out + o * step, acc[o]);
}

/* Outputs x .. end - 1 of a line, of any kernel and stride. */
static void depthwise_outputs(const mk_depthwise *op, const depthwise_place *at, int x, int end,
                              vf bias, float *out)
{
  const mk_window *w = &op->window;
  for (; x < end; ++x, out += op->dst_pixel) {
    int first = x * w->stride - w->pad_left;
    int kx_begin = first < 0 ? -first : 0;
    int kx_end = first + w->kernel > w->src_width ? w->src_width - first : w->kernel;
    vf sum = bias;
    for (int ky = 0; ky < at->rows; ++ky) {
      const float *src = at->src + ky * at->row + first * op->src_pixel;
      const float *weights = at->weights + (ptrdiff_t)(ky * w->kernel) * op->dst_pixel;
      for (int kx = kx_begin; kx < kx_end; ++kx)
        sum += load(src + kx * op->src_pixel) * load(weights + kx * op->dst_pixel);
    }
    store(out, vector_activate(sum, op->activation));
  }
}

/* LANES channels from c on. The outputs from `left` to `right` have all their columns inside; the
 * last tile of them overlaps the one before. */
INLINE void depthwise_lines(const mk_depthwise *op, const int kernel, const int stride,
                            const ptrdiff_t pixel, int line_begin, int line_end, ptrdiff_t c)
{
  const mk_window *w = &op->window;
  const vf bias = op->bias ? load(op->bias + c) : (vf){0};
  int left = (w->pad_left + stride - 1) / stride;
  int right = (w->src_width - kernel + w->pad_left) / stride + 1;
  if (right > w->dst_width) right = w->dst_width;
  if (right - left < OUTPUTS) left = right = 0;
  for (int y = line_begin; y < line_end; ++y) {
    depthwise_place at = depthwise_line(op, y);
    float *out = op->dst + (ptrdiff_t)y * w->dst_width * op->dst_pixel + c;
    at.src += c;
    at.weights += c;
    if (left > 0) depthwise_outputs(op, &at, 0, left, bias, out);
    for (int next = left; next < right; next += OUTPUTS) {
      int x = next + OUTPUTS <= right ? next : right - OUTPUTS;
      depthwise_tile(op, kernel, stride, pixel, &at, x, bias, out + x * op->dst_pixel);
    }
    if (right < w->dst_width)
      depthwise_outputs(op, &at, right, w->dst_width, bias, out + right * op->dst_pixel);
  }
}

static void depthwise_channels(const mk_depthwise *op, int line_begin, int line_end, ptrdiff_t c)
{
  const mk_window *w = &op->window;
#define CASE(k, s)                                                                                 \
  if (w->kernel == (k) && w->stride == (s)) {                                                      \
    if (op->src_pixel == NR) /* a panel; then places in a line are known here */                   \
      depthwise_lines(op, k, s, NR, line_begin, line_end, c);                                      \
    else                                                                                           \
      depthwise_lines(op, k, s, op->src_pixel, line_begin, line_end, c);                           \
    return;                                                                                        \
  }
  CASE(3, 1)
  CASE(3, 2)
  CASE(5, 1)
  CASE(5, 2)
#undef CASE
  const vf bias = op->bias ? load(op->bias + c) : (vf){0};
  for (int y = line_begin; y < line_end; ++y) {
    depthwise_place at = depthwise_line(op, y);
    at.src += c;
    at.weights += c;
    depthwise_outputs(op, &at, 0, w->dst_width, bias,
                      op->dst + (ptrdiff_t)y * w->dst_width * op->dst_pixel + c);
  }
}

/* Fewer channels than LANES. */
static void depthwise_narrow(const mk_depthwise *op, int line_begin, int line_end)
{
  const mk_window *w = &op->window;
  for (int y = line_begin; y < line_end; ++y) {
    depthwise_place at = depthwise_line(op, y);
    float *out = op->dst + (ptrdiff_t)y * w->dst_width * op->dst_pixel;
    for (int x = 0; x < w->dst_width; ++x, out += op->dst_pixel) {
      for (int c = 0; c < w->channels; ++c) {
        float sum = op->bias ? op->bias[c] : 0;
        for (int k = 0; k < at.rows * w->kernel; ++k) {
          int column = x * w->stride - w->pad_left + k % w->kernel;
          if (column < 0 || column >= w->src_width) continue;
          sum += at.src[k / w->kernel * at.row + (ptrdiff_t)column * op->src_pixel + c] *
                 at.weights[(ptrdiff_t)k * op->dst_pixel + c];
        }
        out[c] = scalar_activate(sum, op->activation);
      }
    }
  }
}

/* The last LANES channels overlap those before, so that all but narrow layers use whole vectors. */
static void depthwise(const mk_depthwise *op, int line_begin, int line_end)
{
  int channels = op->window.channels;
  if (channels < LANES) {
    depthwise_narrow(op, line_begin, line_end);
    return;
  }
  for (int c = 0; c < channels; c += LANES)
    depthwise_channels(op, line_begin, line_end, c + LANES <= channels ? c : channels - LANES);
}

static void depthwise_backward_data(const mk_window *w, float *diff_src, const float *diff_dst,
                                    const float *weights, size_t line_begin, size_t line_end)
{
  size_t channels = (size_t)w->channels;
  for (size_t line = line_begin; line < line_end; ++line) {
    int n = (int)(line / (size_t)w->src_height), y = (int)(line % (size_t)w->src_height);
    for (int ky = 0; ky < w->kernel; ++ky) {
      int scaled = y + w->pad_top - ky;
      if (scaled < 0 || scaled % w->stride || scaled / w->stride >= w->dst_height) continue;
      size_t dst_line = (size_t)n * (size_t)w->dst_height + (size_t)(scaled / w->stride);
      for (int ox = 0; ox < w->dst_width; ++ox) {
        const float *diff = diff_dst + (dst_line * (size_t)w->dst_width + (size_t)ox) * channels;
        for (int kx = 0; kx < w->kernel; ++kx) {
          int x = ox * w->stride + kx - w->pad_left;
          if (x < 0 || x >= w->src_width) continue;
          float *out = diff_src + (line * (size_t)w->src_width + (size_t)x) * channels;
          const float *k = weights + (size_t)(ky * w->kernel + kx) * channels;
          for (size_t c = 0; c < channels; ++c) out[c] += diff[c] * k[c];
        }
      }
    }
  }
}

static void depthwise_backward_weights(const mk_window *w, float *diff_weights, const float *src,
                                       const float *diff_dst, int image_begin, int image_end)
{
  size_t channels = (size_t)w->channels;
  for (int n = image_begin; n < image_end; ++n) {
    for (int oy = 0; oy < w->dst_height; ++oy) {
      for (int ky = 0; ky < w->kernel; ++ky) {
        int y = oy * w->stride + ky - w->pad_top;
        if (y < 0 || y >= w->src_height) continue;
        for (int ox = 0; ox < w->dst_width; ++ox) {
          const float *diff =
              diff_dst + (((size_t)n * (size_t)w->dst_height + (size_t)oy) * (size_t)w->dst_width +
                          (size_t)ox) *
                             channels;
          for (int kx = 0; kx < w->kernel; ++kx) {
            int x = ox * w->stride + kx - w->pad_left;
            if (x < 0 || x >= w->src_width) continue;
            const float *in =
                src + (((size_t)n * (size_t)w->src_height + (size_t)y) * (size_t)w->src_width +
                       (size_t)x) *
                          channels;
            float *out = diff_weights + (size_t)(ky * w->kernel + kx) * channels;
            for (size_t c = 0; c < channels; ++c) out[c] += in[c] * diff[c];
          }
        }
      }
    }
  }
}
