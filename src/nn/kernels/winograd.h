/* 3x3 convolution with stride 1 by Winograd's minimal filtering, as in Lavin & Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2016. Part of vector.h.
 *
 * Each tile of m x m outputs depends on (m + 2)^2 inputs. Inputs d, weights g and outputs y of one
 * axis are polynomials in disguise: evaluated at m + 2 points, their convolution is a product point
 * by point,
 *   y = A' [(G g) (B' d)],
 * and summing over source channels at each pair of points is a matrix product over tiles. m = 4
 * takes 36 multiplications for 16 outputs instead of 144, m = 2 takes 16 for 4 instead of 36.
 *
 * Points: 0, 1, -1, infinity for m = 2; 0, a, -a, b, -b, infinity with a = 5/8, b = 3/2 for m = 4.
 * Their powers and those of their products are exact in fp32, and they are near the best of the
 * pairs (a, b): against fp64, the error is that of direct convolution, a quarter of that of the
 * paper's (1, 2). Up to scale, the row of B' for a point holds the coefficients of the product of
 * (x - p) over the other points p; the scale is in G. */

enum { MAX_POINTS = 6, CACHE_LINE = 16 /* floats */ };

/* For m = 4. */
#define POINT_A 0.625f
#define POINT_B 1.5f
#define A2 (POINT_A * POINT_A)
#define B2 (POINT_B * POINT_B)
#define SCALE_A (1 / (2 * A2 * (A2 - B2)))
#define SCALE_B (1 / (2 * B2 * (B2 - A2)))

/* out = B' in */
INLINE void transform_source(const int m, vf out[MAX_POINTS], const vf in[MAX_POINTS])
{
  if (m == 2) {
    out[0] = in[0] - in[2];
    out[1] = in[2] + in[1];
    out[2] = in[2] - in[1];
    out[3] = in[3] - in[1];
    return;
  }
  const vf even_a = in[4] - B2 * in[2], odd_a = POINT_A * (in[3] - B2 * in[1]);
  const vf even_b = in[4] - A2 * in[2], odd_b = POINT_B * (in[3] - A2 * in[1]);
  out[0] = in[4] - (A2 + B2) * in[2] + (A2 * B2) * in[0];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = in[5] - (A2 + B2) * in[3] + (A2 * B2) * in[1];
}

/* out = G in */
INLINE void transform_kernel(const int m, vf out[MAX_POINTS], const vf in[3])
{
  if (m == 2) {
    const vf even = 0.5f * (in[0] + in[2]), odd = 0.5f * in[1];
    out[0] = in[0];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = in[2];
    return;
  }
  const vf even_a = SCALE_A * (in[0] + A2 * in[2]), odd_a = SCALE_A * POINT_A * in[1];
  const vf even_b = SCALE_B * (in[0] + B2 * in[2]), odd_b = SCALE_B * POINT_B * in[1];
  out[0] = 1 / (A2 * B2) * in[0];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = in[2];
}

/* out = A' in */
INLINE void transform_products(const int m, vf out[4], const vf in[MAX_POINTS])
{
  const vf even_a = in[1] + in[2], odd_a = in[1] - in[2];
  if (m == 2) {
    out[0] = in[0] + even_a;
    out[1] = odd_a + in[3];
    return;
  }
  const vf even_b = in[3] + in[4], odd_b = in[3] - in[4];
  out[0] = in[0] + even_a + even_b;
  out[1] = POINT_A * odd_a + POINT_B * odd_b;
  out[2] = A2 * even_a + B2 * even_b;
  out[3] = (A2 * POINT_A) * odd_a + (B2 * POINT_B) * odd_b + in[5];
}

/* out = A in: the gradient of products from that of outputs. */
INLINE void transform_outputs(vf out[MAX_POINTS], const vf in[4])
{
  const vf even_a = in[0] + A2 * in[2], odd_a = POINT_A * (in[1] + A2 * in[3]);
  const vf even_b = in[0] + B2 * in[2], odd_b = POINT_B * (in[1] + B2 * in[3]);
  out[0] = in[0];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = in[3];
}

/* out = G' in: the gradient of weights from that of their points. */
INLINE void transform_points(vf out[3], const vf in[MAX_POINTS])
{
  const vf even_a = SCALE_A * (in[1] + in[2]), odd_a = SCALE_A * POINT_A * (in[1] - in[2]);
  const vf even_b = SCALE_B * (in[3] + in[4]), odd_b = SCALE_B * POINT_B * (in[3] - in[4]);
  out[0] = 1 / (A2 * B2) * in[0] + even_a + even_b;
  out[1] = odd_a + odd_b;
  out[2] = A2 * even_a + B2 * even_b + in[5];
}

#undef POINT_A
#undef POINT_B
#undef A2
#undef B2
#undef SCALE_A
#undef SCALE_B

/* ---- Weights --------------------------------------------------------------------------------- */

/* The 3x3 weights that lead from source channel d to one panel of channels from c0: as they are,
 * or, for backward-data, turned by half a turn and with the two kinds of channels exchanged. */
static void panel_weights(const mk_winograd_weights *w, int d, int c0, float taps[9][NR])
{
  size_t row = w->transposed ? (size_t)w->src_channels : (size_t)w->channels;
  size_t tap = (size_t)w->src_channels * (size_t)w->channels;
  int width = w->channels - c0 < NR ? w->channels - c0 : NR;
  if (width < NR) memset(taps, 0, 9 * NR * sizeof(float));
  for (int k = 0; k < 9; ++k) {
    if (w->transposed) {
      const float *from = w->weights + (size_t)(8 - k) * tap + (size_t)c0 * row + (size_t)d;
      for (int c = 0; c < width; ++c) taps[k][c] = from[(size_t)c * row];
    } else {
      memcpy(taps[k], w->weights + (size_t)k * tap + (size_t)d * row + (size_t)c0,
             (size_t)width * sizeof(float));
    }
  }
}

INLINE void pack_panels(const mk_winograd_weights *w, const int m, float *packed)
{
  const int points = m + 2;
  size_t panel = (size_t)w->src_channels * NR;
  size_t plane = (size_t)((w->channels + NR - 1) / NR) * panel;
  for (int c0 = 0; c0 < w->channels; c0 += NR, packed += panel) {
    for (int d = 0; d < w->src_channels; ++d) {
      float taps[9][NR];
      panel_weights(w, d, c0, taps);
      for (int v = 0; v < NV; ++v) {
        vf columns[3][MAX_POINTS];
        UNROLL for (int x = 0; x < 3; ++x)
        {
          vf in[3];
          UNROLL for (int y = 0; y < 3; ++y) in[y] = load(taps[y * 3 + x] + v * LANES);
          transform_kernel(m, columns[x], in);
        }
        float *to = packed + (size_t)d * NR + (size_t)(v * LANES);
        UNROLL for (int y = 0; y < points; ++y)
        {
          vf out[MAX_POINTS];
          transform_kernel(m, out, (const vf[]){columns[0][y], columns[1][y], columns[2][y]});
          UNROLL for (int x = 0; x < points; ++x)
              store(to + (size_t)(y * points + x) * plane, out[x]);
        }
      }
    }
  }
}

static void winograd_pack(const mk_winograd_weights *w, float *packed)
{
  if (w->tile == 2)
    pack_panels(w, 2, packed);
  else
    pack_panels(w, 4, packed);
}

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* Place of a tile: its image, and its first output. */
static inline position tile_position(const mk_winograd *op, size_t tile)
{
  size_t across = (size_t)((op->dst_width + op->tile - 1) / op->tile);
  size_t down = (size_t)((op->dst_height + op->tile - 1) / op->tile);
  return (position){(int)(tile / across / down), (int)(tile / across % down) * op->tile,
                    (int)(tile % across) * op->tile};
}

/* Writes the (m + 2)^2 points of a tile, `plane` apart. The last vector of channels overlaps the
 * one before. Meanwhile the pixels come near that the tile to the right does not share. */
INLINE void source_tile(const mk_winograd *op, const int m, position at, float *points,
                        size_t plane)
{
  const int side = m + 2;
  const float *pixels[MAX_POINTS][MAX_POINTS];
  size_t channels = (size_t)op->src_channels;
  for (int i = 0; i < side; ++i) {
    int y = at.i - op->pad_top + i;
    bool inside = y >= 0 && y < op->src_height;
    size_t line = (size_t)at.n * (size_t)op->src_height + (size_t)(inside ? y : 0);
    for (int j = 0; j < side; ++j) {
      int x = at.j - op->pad_left + j;
      pixels[i][j] = inside && x >= 0 && x < op->src_width
                         ? op->src + (line * (size_t)op->src_width + (size_t)x) * channels
                         : op->zeros;
    }
  }
  for (size_t next = 0; next < channels; next += LANES) {
    size_t c = next + LANES <= channels ? next : channels - LANES;
    vf columns[MAX_POINTS][MAX_POINTS];
    UNROLL for (int x = 0; x < side; ++x)
    {
      vf in[MAX_POINTS];
      UNROLL for (int y = 0; y < side; ++y) in[y] = load(pixels[y][x] + c);
      if (x >= 2) {
        UNROLL for (int y = 0; y < side; ++y)
            __builtin_prefetch(pixels[y][x] + (size_t)m * channels + c);
      }
      transform_source(m, columns[x], in);
    }
    UNROLL for (int y = 0; y < side; ++y)
    {
      vf in[MAX_POINTS], out[MAX_POINTS];
      UNROLL for (int x = 0; x < side; ++x) in[x] = columns[x][y];
      transform_source(m, out, in);
      UNROLL for (int x = 0; x < side; ++x)
          store(points + (size_t)(y * side + x) * plane + c, out[x]);
    }
  }
}

/* The pixels of one tile that are inside dst. */
typedef struct {
  float *dst;
  int rows, columns;
} patch;

static inline patch patch_of(const mk_winograd *op, position at)
{
  size_t line = (size_t)at.n * (size_t)op->dst_height + (size_t)at.i;
  int rows = op->dst_height - at.i, columns = op->dst_width - at.j;
  return (patch){op->dst + (line * (size_t)op->dst_width + (size_t)at.j) * (size_t)op->channels,
                 rows < op->tile ? rows : op->tile, columns < op->tile ? columns : op->tile};
}

INLINE void store_channels(const mk_winograd *op, float *out, vf value, int width)
{
  if (width >= LANES) {
    store(out, op->accumulate ? load(out) + value : value);
    return;
  }
  for (int c = 0; c < width; ++c) out[c] = op->accumulate ? out[c] + value[c] : value[c];
}

/* Reads points of `width` channels from `channel`, as source_tile writes them. */
INLINE void product_tile(const mk_winograd *op, const int m, position at, const float *points,
                         size_t plane, int channel, int width)
{
  const int side = m + 2;
  patch to = patch_of(op, at);
  size_t pixel = (size_t)op->channels;
  for (int c = 0; c < width; c += LANES) {
    vf columns[MAX_POINTS][4];
    UNROLL for (int x = 0; x < side; ++x)
    {
      vf in[MAX_POINTS];
      UNROLL for (int y = 0; y < side; ++y) in[y] =
          load(points + (size_t)(y * side + x) * plane + c);
      transform_products(m, columns[x], in);
    }
    int valid = op->channels - channel - c;
    if (valid <= 0) return;
    vf bias = {0};
    if (op->bias && valid >= LANES)
      bias = load(op->bias + channel + c);
    else if (op->bias)
      memcpy(&bias, op->bias + channel + c, (size_t)valid * sizeof(float));
    for (int y = 0; y < to.rows; ++y) {
      vf in[MAX_POINTS], out[4];
      UNROLL for (int x = 0; x < side; ++x) in[x] = columns[x][y];
      transform_products(m, out, in);
      float *line = to.dst + (size_t)(y * op->dst_width) * pixel + (size_t)(channel + c);
      UNROLL for (int x = 0; x < m; ++x)
      {
        if (x < to.columns)
          store_channels(op, line + (size_t)x * pixel,
                         vector_activate(out[x] + bias, op->activation), valid);
      }
    }
  }
}

/* ---- Products -------------------------------------------------------------------------------- */

/* `rows` tiles times the first vectors of one panel, at one point. Meanwhile the next panel comes
 * near: of wide layers, the weights are too many for any cache. */
INLINE void product_rows(const int rows, const int vectors, int depth, const float *src,
                         const float *weights, float *dst, size_t dst_stride)
{
  vf acc[MR][NV];
  UNROLL for (int r = 0; r < rows; ++r)
  {
    UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] = (vf){0};
  }
  for (int d = 0; d < depth; ++d, weights += NR) {
    const float *next = weights + (size_t)depth * NR;
    for (int line = 0; line < NR; line += CACHE_LINE) __builtin_prefetch(next + line, 0, 2);
    vf w[NV];
    UNROLL for (int v = 0; v < vectors; ++v) w[v] = load(weights + v * LANES);
    UNROLL for (int r = 0; r < rows; ++r)
    {
      const vf x = splat(src[(size_t)r * (size_t)depth + (size_t)d]);
      UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] += x * w[v];
    }
  }
  UNROLL for (int r = 0; r < rows; ++r)
  {
    UNROLL for (int v = 0; v < vectors; ++v)
        store(dst + (size_t)r * dst_stride + v * LANES, acc[r][v]);
  }
}

/* All tiles of a block times the first vectors of one panel. */
INLINE void product_vectors(const int vectors, int tiles, int depth, const float *src,
                            const float *weights, float *dst, size_t dst_stride)
{
  for (; tiles >= MR; tiles -= MR, src += (size_t)MR * (size_t)depth, dst += MR * dst_stride)
    product_rows(MR, vectors, depth, src, weights, dst, dst_stride);
#define REST(rows) product_rows(rows, vectors, depth, src, weights, dst, dst_stride)
  BY_PAIRS(tiles, REST)
#undef REST
}

/* All tiles of a block times one panel, of which `channels` are left: one vector of them, often. */
static void product_panel(int channels, int tiles, int depth, const float *src,
                          const float *weights, float *dst, size_t dst_stride)
{
  if (channels <= LANES)
    product_vectors(1, tiles, depth, src, weights, dst, dst_stride);
  else
    product_vectors(NV, tiles, depth, src, weights, dst, dst_stride);
}

INLINE void winograd_block(const mk_winograd *op, const int m, float *scratch, size_t tile_begin,
                           size_t tile_end, int panel_begin, int panel_end)
{
  const int points = (m + 2) * (m + 2);
  int tiles = (int)(tile_end - tile_begin), width = (panel_end - panel_begin) * NR;
  size_t depth = (size_t)op->src_channels;
  size_t src_plane = mk_winograd_plane(tiles, op->src_channels);
  size_t dst_plane = mk_winograd_plane(tiles, width);
  float *src = scratch, *dst = scratch + (size_t)points * src_plane;

  for (int t = 0; t < tiles; ++t)
    source_tile(op, m, tile_position(op, tile_begin + (size_t)t), src + (size_t)t * depth,
                src_plane);
  for (int p = 0; p < points; ++p) {
    size_t panels = (size_t)((op->channels + NR - 1) / NR);
    const float *weights = op->packed + ((size_t)p * panels + (size_t)panel_begin) * depth * NR;
    for (int c = 0; c < width; c += NR, weights += depth * NR)
      product_panel(op->channels - panel_begin * NR - c, tiles, op->src_channels,
                    src + (size_t)p * src_plane, weights, dst + (size_t)p * dst_plane + (size_t)c,
                    (size_t)width);
  }
  for (int t = 0; t < tiles; ++t)
    product_tile(op, m, tile_position(op, tile_begin + (size_t)t), dst + (size_t)t * (size_t)width,
                 dst_plane, panel_begin * NR, width);
}

static void winograd(const mk_winograd *op, float *scratch, size_t tile_begin, size_t tile_end,
                     int panel_begin, int panel_end)
{
  if (op->tile == 2)
    winograd_block(op, 2, scratch, tile_begin, tile_end, panel_begin, panel_end);
  else
    winograd_block(op, 4, scratch, tile_begin, tile_end, panel_begin, panel_end);
}

/* ---- Gradient of the weights ----------------------------------------------------------------- */

/* y = A' [(G g) (B' d)] A gives the gradient of g as G' [(A dy A') (B' d)] G: again products point
 * by point, here summed over tiles. */

/* The first `count` of LANES floats, then zeros. */
INLINE vf load_some(const float *p, int count)
{
  vf values = {0};
  if (count >= LANES) return load(p);
  if (count > 0) memcpy(&values, p, (size_t)count * sizeof(float));
  return values;
}

/* Writes the 36 points of a tile's gradient, `plane` apart, for `width` channels from `channel`,
 * with zeros beyond the last channel. */
static void gradient_tile(const mk_winograd *op, position at, const float *diff_dst, float *points,
                          size_t plane, int channel, int width)
{
  const float *pixels[4][4];
  size_t channels = (size_t)op->channels;
  for (int i = 0; i < 4; ++i) {
    size_t line = (size_t)at.n * (size_t)op->dst_height + (size_t)(at.i + i);
    for (int j = 0; j < 4; ++j) {
      bool inside = at.i + i < op->dst_height && at.j + j < op->dst_width;
      size_t pixel = line * (size_t)op->dst_width + (size_t)(at.j + j);
      pixels[i][j] = inside ? diff_dst + pixel * channels : op->zeros;
    }
  }
  for (int c = 0; c < width; c += LANES) {
    int valid = op->channels - channel - c;
    vf columns[4][MAX_POINTS];
    UNROLL for (int x = 0; x < 4; ++x)
    {
      vf in[4];
      UNROLL for (int y = 0; y < 4; ++y) in[y] = load_some(pixels[y][x] + channel + c, valid);
      transform_outputs(columns[x], in);
    }
    UNROLL for (int y = 0; y < 6; ++y)
    {
      vf in[4], out[MAX_POINTS];
      UNROLL for (int x = 0; x < 4; ++x) in[x] = columns[x][y];
      transform_outputs(out, in);
      UNROLL for (int x = 0; x < 6; ++x)
          store(points + (size_t)(y * 6 + x) * plane + (size_t)c, out[x]);
    }
  }
}

/* Adds to MR rows of sums, but for the first `skip`, the products of source channels with the first
 * vectors of one panel, summed over tiles. */
INLINE void gradient_products(const int vectors, int tiles, const float *src, size_t src_stride,
                              const float *diff, float *sums, size_t stride, int skip)
{
  vf acc[MR][NV];
  UNROLL for (int r = 0; r < MR; ++r)
  {
    UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] = (vf){0};
  }
  for (int t = 0; t < tiles; ++t, src += src_stride, diff += stride) {
    vf w[NV];
    UNROLL for (int v = 0; v < vectors; ++v) w[v] = load(diff + v * LANES);
    UNROLL for (int r = 0; r < MR; ++r)
    {
      const vf x = splat(src[r]);
      UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] += x * w[v];
    }
  }
  UNROLL for (int r = 0; r < MR; ++r)
  {
    if (r < skip) continue;
    float *sum = sums + (size_t)r * stride;
    UNROLL for (int v = 0; v < vectors; ++v)
        store(sum + v * LANES, load(sum + v * LANES) + acc[r][v]);
  }
}

/* Of `width` channels, `channels` are there. Source channels count in rows of tiles, the last of
 * which overlaps the one before. */
static void gradient_point(int channels, int tiles, int depth, int width, const float *src,
                           const float *diff, float *sums)
{
  size_t stride = (size_t)width;
  for (int c = 0; c < width; c += NR) {
    for (int d = 0; d < depth; d += MR) {
      int start = d + MR <= depth ? d : depth - MR;
      float *sum = sums + (size_t)start * stride + c;
      if (channels - c <= LANES)
        gradient_products(1, tiles, src + start, (size_t)depth, diff + c, sum, stride, d - start);
      else
        gradient_products(NV, tiles, src + start, (size_t)depth, diff + c, sum, stride, d - start);
    }
  }
}

/* Sets the gradient of the weights of one source channel from its points. */
static void kernel_gradient(const mk_winograd *op, float *diff_weights, const float *points,
                            size_t plane, int channel, int width)
{
  size_t tap = (size_t)op->src_channels * (size_t)op->channels;
  for (int c = 0; c < width && channel + c < op->channels; c += LANES) {
    vf columns[MAX_POINTS][3];
    UNROLL for (int x = 0; x < 6; ++x)
    {
      vf in[MAX_POINTS];
      UNROLL for (int y = 0; y < 6; ++y) in[y] =
          load(points + (size_t)(y * 6 + x) * plane + (size_t)c);
      transform_points(columns[x], in);
    }
    int valid = op->channels - channel - c;
    for (int y = 0; y < 3; ++y) {
      vf in[MAX_POINTS], out[3];
      UNROLL for (int x = 0; x < 6; ++x) in[x] = columns[x][y];
      transform_points(out, in);
      for (int x = 0; x < 3; ++x)
        memcpy(diff_weights + (size_t)(y * 3 + x) * tap + (size_t)(channel + c), &out[x],
               (size_t)(valid < LANES ? valid : LANES) * sizeof(float));
    }
  }
}

static void winograd_wgrad(const mk_winograd *op, const float *diff_dst, float *diff_weights,
                           float *scratch, int block, int image_begin, int image_end,
                           int panel_begin, int panel_end)
{
  enum { SIDE = 6, POINTS_2D = SIDE * SIDE };
  int depth = op->src_channels, channel = panel_begin * NR, width = (panel_end - panel_begin) * NR;
  size_t src_plane = mk_winograd_plane(block, depth), diff_plane = mk_winograd_plane(block, width);
  size_t sum_plane = mk_winograd_plane(depth, width);
  float *src = scratch, *diff = src + POINTS_2D * src_plane, *sums = diff + POINTS_2D * diff_plane;
  size_t image = (size_t)((op->dst_height + 3) / 4) * (size_t)((op->dst_width + 3) / 4);
  size_t end = (size_t)image_end * image;

  memset(sums, 0, POINTS_2D * sum_plane * sizeof *sums);
  for (size_t first = (size_t)image_begin * image; first < end; first += (size_t)block) {
    int tiles = end - first < (size_t)block ? (int)(end - first) : block;
    for (int t = 0; t < tiles; ++t) {
      position at = tile_position(op, first + (size_t)t);
      source_tile(op, 4, at, src + (size_t)t * (size_t)depth, src_plane);
      gradient_tile(op, at, diff_dst, diff + (size_t)t * (size_t)width, diff_plane, channel, width);
    }
    for (size_t p = 0; p < POINTS_2D; ++p)
      gradient_point(op->channels - channel, tiles, depth, width, src + p * src_plane,
                     diff + p * diff_plane, sums + p * sum_plane);
  }
  for (int d = 0; d < depth; ++d)
    kernel_gradient(op, diff_weights + (size_t)d * (size_t)op->channels,
                    sums + (size_t)d * (size_t)width, sum_plane, channel, width);
}
