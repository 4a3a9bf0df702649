/* Convolution as the product of gathered rows with weights, and the gradient of the weights. Part
 * of vector.h; Winograd's kernels share its places and its tiles' remainders. */

/* ---- Gather, then multiply ------------------------------------------------------------------- */

enum { POINTERS = 4096 }; /* of one block of rows, on the stack */

static inline const float *gathered(const mk_gather *g, int n, int i, int j, int tap)
{
  int y = i * g->step + g->dy[tap], x = j * g->step + g->dx[tap];
  if (y < 0 || y >= g->src_height || x < 0 || x >= g->src_width) return g->zeros;
  return g->src +
         (((size_t)n * (size_t)g->src_height + (size_t)y) * (size_t)g->src_width + (size_t)x) *
             (size_t)g->src_channels;
}

/* Place of a row in the grid. */
typedef struct {
  int n, i, j;
} position;

static inline position position_of(const mk_gather *g, size_t row)
{
  size_t line = row / (size_t)g->grid_width;
  return (position){(int)(line / (size_t)g->grid_height), (int)(line % (size_t)g->grid_height),
                    (int)(row % (size_t)g->grid_width)};
}

static inline void next_position(const mk_gather *g, position *at)
{
  if (++at->j < g->grid_width) return;
  at->j = 0;
  if (++at->i < g->grid_height) return;
  at->i = 0;
  ++at->n;
}

static inline float *destination(const mk_gather_gemm *op, position at)
{
  size_t y = (size_t)(at.i * op->dst_step + op->dst_y);
  size_t x = (size_t)(at.j * op->dst_step + op->dst_x);
  size_t line = (size_t)at.n * (size_t)op->dst_height + y;
  return op->dst + (line * (size_t)op->dst_width + x) * (size_t)op->channels;
}

/* A tile's rows, and where they go. */
typedef struct {
  const float *const *src; /* [tap][MR], each of `depth` floats */
  float *const *dst;       /* [MR] */
  int count;               /* of rows that are there; those after it are zeros and go nowhere */
} tile_rows;

typedef struct {
  int channel; /* the first */
  const float *weights, *bias;
} weight_panel;

/* One vector of channels, all of them there. */
INLINE void store_column(const mk_gather_gemm *op, const int rows, vf column[MR],
                         const tile_rows *tile, int channel)
{
  if (op->addend) {
    UNROLL for (int r = 0; r < rows; ++r)
    {
      if (r < tile->count) column[r] += load(op->addend + (tile->dst[r] + channel - op->dst));
    }
  }
  if (op->accumulate) {
    UNROLL for (int r = 0; r < rows; ++r)
    {
      if (r < tile->count) column[r] += load(tile->dst[r] + channel);
    }
  }
  if (op->activation != MK_ACT_NONE) {
    UNROLL for (int r = 0; r < rows; ++r) column[r] = greater(column[r], (vf){0});
  }
  if (op->activation == MK_ACT_RELU6) {
    const vf six = splat(6);
    UNROLL for (int r = 0; r < rows; ++r) column[r] = lesser(column[r], six);
  }
  UNROLL for (int r = 0; r < rows; ++r)
  {
    if (r < tile->count) store(tile->dst[r] + channel, column[r]);
  }
}

/* sums [rows][LANES], of which `count` columns are there. */
static void store_ragged(const mk_gather_gemm *op, const float *sums, const tile_rows *tile,
                         int channel, int count)
{
  for (int r = 0; r < tile->count; ++r, sums += LANES) {
    float *out = tile->dst[r] + channel;
    for (int c = 0; c < count; ++c) {
      float value = sums[c];
      if (op->addend) value += op->addend[out + c - op->dst];
      if (op->accumulate) value += out[c];
      out[c] = scalar_activate(value, op->activation);
    }
  }
}

INLINE void store_tile(const mk_gather_gemm *op, const int rows, const int vectors,
                       vf acc[MR][NV + 1], const tile_rows *tile, int channel)
{
  UNROLL for (int v = 0; v < vectors; ++v)
  {
    int at = channel + v * LANES, left = op->channels - at;
    vf column[MR];
    UNROLL for (int r = 0; r < rows; ++r) column[r] = acc[r][v];
    if (left >= LANES) {
      store_column(op, rows, column, tile, at);
    } else if (left > 0) {
      float sums[MR * LANES];
      UNROLL for (int r = 0; r < rows; ++r) store(sums + r * LANES, column[r]);
      store_ragged(op, sums, tile, at, left);
    }
  }
}

/* A register tile: `rows` rows times a panel of `vectors` vectors. The next panel is not fetched
 * meanwhile: two of them do not fit into the first-level cache. */
INLINE void gemm_tile(const mk_gather_gemm *op, const int rows, const int vectors,
                      const tile_rows *tile, const weight_panel *p)
{
  const float *weights = p->weights;
  const int taps = op->gather.taps, depth = op->gather.depth, width = vectors * LANES;
  const float *const *src = tile->src;
  vf acc[MR][NV + 1];
  UNROLL for (int v = 0; v < vectors; ++v)
  {
    const vf bias = load(p->bias + v * LANES);
    UNROLL for (int r = 0; r < rows; ++r) acc[r][v] = bias;
  }
  for (int t = 0; t < taps; ++t, src += MR) {
    const float *row[MR];
    UNROLL for (int r = 0; r < rows; ++r) row[r] = src[r];
    for (int d = 0; d < depth; ++d, weights += width) {
      vf w[NV + 1];
      UNROLL for (int v = 0; v < vectors; ++v) w[v] = load(weights + v * LANES);
      UNROLL for (int r = 0; r < rows; ++r)
      {
        const vf x = splat(row[r][d]);
        UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] += x * w[v];
      }
    }
  }
  store_tile(op, rows, vectors, acc, tile, p->channel);
}

/* work(rows) for the fewest rows, a constant, that hold `count` of less than MR: pairs, so that the
 * last may be one that nobody needs. */
#define PAIRS(n, work)                                                                             \
  case n:                                                                                          \
    work(2 * n < MR ? 2 * n : MR);                                                                 \
    break;
#define BY_PAIRS(count, work)                                                                      \
  switch (((count) + 1) / 2) {                                                                     \
    PAIRS(1, work)                                                                                 \
    PAIRS(2, work)                                                                                 \
    PAIRS(3, work)                                                                                 \
    PAIRS(4, work)                                                                                 \
    PAIRS(5, work)                                                                                 \
    PAIRS(6, work)                                                                                 \
  default:                                                                                         \
    break;                                                                                         \
  }
_Static_assert(MR <= 12 && MR % 2 == 0, "rows that are left over are up to six pairs");

/* `count` rows, MR at a time, times one panel. */
INLINE void gemm_panel(const mk_gather_gemm *op, const int vectors, const float *const *src,
                       float *const *dst, int count, const weight_panel *p)
{
  for (; count >= MR; count -= MR, src += op->gather.taps * MR, dst += MR)
    gemm_tile(op, MR, vectors, &(tile_rows){src, dst, MR}, p);
  const tile_rows rest = {src, dst, count};
#define REST(rows) gemm_tile(op, rows, vectors, &rest, p)
  BY_PAIRS(count, REST)
#undef REST
}

/* Not inlined: together, GCC keeps some of their vectors on the stack. */
NOINLINE void gemm_full_panel(const mk_gather_gemm *op, const float *const *src, float *const *dst,
                              int count, const weight_panel *p)
{
  gemm_panel(op, NV, src, dst, count, p);
}

NOINLINE void gemm_narrow_panel(const mk_gather_gemm *op, const float *const *src,
                                float *const *dst, int count, const weight_panel *p)
{
  gemm_panel(op, 1, src, dst, count, p);
}

/* In tiles of half as many rows. */
NOINLINE void gemm_wide_panel(const mk_gather_gemm *op, const float *const *src, float *const *dst,
                              int count, const weight_panel *p)
{
  for (int row = 0; row < count; row += MR_WIDE, dst += MR_WIDE) {
    int left = count - row;
    const tile_rows tile = {src + row / MR * op->gather.taps * MR + row % MR, dst,
                            left < MR_WIDE ? left : MR_WIDE};
    gemm_tile(op, MR_WIDE, NV + 1, &tile, p);
  }
}

/* Row r of the grid reads source pixel r. */
static bool reads_matrix(const mk_gather *g)
{
  return g->taps == 1 && g->dy[0] == 0 && g->dx[0] == 0 && g->step == 1 &&
         g->src_height == g->grid_height && g->src_width == g->grid_width;
}

/* Where pointers go: [tile][tap][MR], of one tap. */
typedef struct {
  const float **tile;
  int lane, tile_size;
} row_slots;

static inline void put_rows(row_slots *slots, int count, const float *row, ptrdiff_t step)
{
  if (slots->tile_size == MR) { /* a single tap: one after the other */
    for (int k = 0; k < count; ++k) slots->tile[slots->lane + k] = row + k * step;
    slots->lane += count;
    return;
  }
  for (; count > 0; --count, row += step) {
    slots->tile[slots->lane] = row;
    if (++slots->lane < MR) continue;
    slots->lane = 0;
    slots->tile += slots->tile_size;
  }
}

/* The source of one tap for `count` grid columns from at->j on. */
static inline void locate_sources(const mk_gather *g, row_slots slots, position at, int tap,
                                  int count)
{
  int y = at.i * g->step + g->dy[tap], x = at.j * g->step + g->dx[tap];
  if (y < 0 || y >= g->src_height) {
    put_rows(&slots, count, g->zeros, 0);
    return;
  }
  int before = x < 0 ? (-x + g->step - 1) / g->step : 0;
  int inside = x < g->src_width ? (g->src_width - 1 - x) / g->step + 1 : 0;
  if (inside > count) inside = count;
  if (before > inside) before = inside;
  size_t line = ((size_t)at.n * (size_t)g->src_height + (size_t)y) * (size_t)g->src_width;
  const float *row = g->src + line * (size_t)g->src_channels;
  ptrdiff_t step = (ptrdiff_t)g->step * g->src_channels;
  put_rows(&slots, before, g->zeros, 0);
  put_rows(&slots, inside - before, row + (ptrdiff_t)(x + before * g->step) * g->src_channels,
           step);
  put_rows(&slots, count - inside, g->zeros, 0);
}

/* rows[tile][tap][MR] and dst of `count` rows from *at on, which moves on, line by line. */
static void locate_rows(const mk_gather_gemm *op, const float **rows, float **dst, position *at,
                        int count)
{
  const mk_gather *g = &op->gather;
  const bool matrix = reads_matrix(g);
  if (matrix) {
    size_t line = (size_t)at->n * (size_t)g->grid_height + (size_t)at->i;
    size_t first = line * (size_t)g->grid_width + (size_t)at->j;
    for (int r = 0; r < count; ++r)
      rows[r] = g->src + (first + (size_t)r) * (size_t)g->src_channels;
  }
  for (int r = 0, last; r < count; r = last) {
    last = r + g->grid_width - at->j < count ? r + g->grid_width - at->j : count;
    float *out = destination(op, *at);
    for (int k = r; k < last; ++k, out += op->dst_step * op->channels) dst[k] = out;
    row_slots slots = {rows + (size_t)(r / MR) * (size_t)g->taps * MR, r % MR, g->taps * MR};
    for (int t = 0; t < g->taps && !matrix; ++t, slots.tile += MR)
      locate_sources(g, slots, *at, t, last - r);
    at->j += last - r - 1;
    next_position(g, at);
  }
}

static void gather_gemm(const mk_gather_gemm *op, size_t row_begin, size_t row_end, int panel_begin,
                        int panel_end)
{
  const mk_gather *g = &op->gather;
  size_t panel_size = (size_t)g->taps * (size_t)g->depth * NR;
  const float *rows[POINTERS];
  enum { TILES = 16 };
  float *dst[TILES * MR];
  int tiles = g->taps ? POINTERS / (g->taps * MR) : TILES;
  if (tiles > TILES) tiles = TILES;
  size_t block = (size_t)tiles * MR;
  position at = position_of(g, row_begin);

  for (size_t first = row_begin; first < row_end; first += block) {
    int count = (int)(row_end - first < block ? row_end - first : block);
    int block_tiles = (count + MR - 1) / MR;
    locate_rows(op, rows, dst, &at, count);
    for (int r = count; r < block_tiles * MR; ++r) { /* rows that fill up the last tile */
      const float **tile = rows + (size_t)(r / MR) * (size_t)g->taps * MR + r % MR;
      for (int t = 0; t < g->taps; ++t) tile[t * MR] = g->zeros;
    }
    for (int p = panel_begin; p < panel_end; ++p) {
      float bias[NR_WIDE] = {0};
      const weight_panel columns = {p * NR, op->packed + (size_t)p * panel_size, bias};
      int left = op->channels - columns.channel, width = left < NR_WIDE ? left : NR_WIDE;
      if (op->bias) memcpy(bias, op->bias + columns.channel, (size_t)width * sizeof *bias);
      if (left <= LANES)
        gemm_narrow_panel(op, rows, dst, count, &columns);
      else if (left > NR && left <= NR_WIDE)
        gemm_wide_panel(op, rows, dst, count, &columns);
      else
        gemm_full_panel(op, rows, dst, count, &columns);
    }
  }
}

/* ---- To few channels ------------------------------------------------------------------------- */

enum { DOT_ROWS = 8 };

/* Sum of a vector's lanes, four at a time. */
INLINE float lane_sum(vf v)
{
  typedef float quad __attribute__((vector_size(16)));
  quad parts[LANES / 4];
  memcpy(parts, &v, sizeof parts);
  for (int k = 1; k < LANES / 4; ++k) parts[0] += parts[k];
  return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
}

/* Products of DOT_ROWS gathered rows with the weights of one channel. */
INLINE void dot_tile(float sums[DOT_ROWS], const mk_gather *g, const float *const *rows,
                     const float *weights)
{
  vf acc[DOT_ROWS];
  UNROLL for (int r = 0; r < DOT_ROWS; ++r) acc[r] = (vf){0};
  for (int r = 0; r < DOT_ROWS; ++r) sums[r] = 0;
  for (int t = 0; t < g->taps; ++t, rows += DOT_ROWS, weights += g->depth) {
    int d = 0;
    for (; d + LANES <= g->depth; d += LANES) {
      const vf w = load(weights + d);
      UNROLL for (int r = 0; r < DOT_ROWS; ++r) acc[r] += load(rows[r] + d) * w;
    }
    for (; d < g->depth; ++d) {
      for (int r = 0; r < DOT_ROWS; ++r) sums[r] += rows[r][d] * weights[d];
    }
  }
  UNROLL for (int r = 0; r < DOT_ROWS; ++r) sums[r] += lane_sum(acc[r]);
}

static void gather_dot(const mk_gather_gemm *op, size_t row_begin, size_t row_end)
{
  const mk_gather *g = &op->gather;
  const float *rows[POINTERS];
  position at = position_of(g, row_begin);
  for (size_t first = row_begin; first < row_end; first += DOT_ROWS) {
    int count = (int)(row_end - first < DOT_ROWS ? row_end - first : DOT_ROWS);
    float *dst[DOT_ROWS];
    for (int r = 0; r < DOT_ROWS; ++r) {
      if (r >= count) {
        for (int t = 0; t < g->taps; ++t) rows[t * DOT_ROWS + r] = g->zeros;
        continue;
      }
      for (int t = 0; t < g->taps; ++t) rows[t * DOT_ROWS + r] = gathered(g, at.n, at.i, at.j, t);
      dst[r] = destination(op, at);
      next_position(g, &at);
    }
    for (int c = 0; c < op->channels; ++c) {
      float sums[DOT_ROWS], bias = op->bias ? op->bias[c] : 0;
      dot_tile(sums, g, rows, op->packed + (size_t)c * (size_t)g->taps * (size_t)g->depth);
      for (int r = 0; r < count; ++r) {
        if (op->accumulate)
          dst[r][c] += sums[r];
        else
          dst[r][c] = scalar_activate(sums[r] + bias, op->activation);
      }
    }
  }
}

/* ---- Gradient of the weights ----------------------------------------------------------------- */

/* Stretches of grid lines, and what one tap makes of them: src and diff_dst advance by constant
 * steps. */
typedef struct {
  int n, i, j, count;
} stretch;

typedef struct {
  const float *src, *diff;
  int count;
} run;

enum { BLOCK_ROWS = 128 }; /* rows of one block: all taps find them in the caches */

/* What the tiles of one block and tap have in common. */
typedef struct {
  float *dst; /* [depth][channels] */
  int depth, channels;
  const run *runs;
  int count;
  size_t src_step, diff_step;
} wgrad_job;

/* Adds `rows` source channels from d on times `vectors` vectors of channels from c on, but for the
 * first `skip` of these. */
INLINE void wgrad_tile(const wgrad_job *job, const int rows, const int vectors, int d, int c,
                       int skip)
{
  vf acc[MR][NV];
  UNROLL for (int r = 0; r < rows; ++r)
  {
    UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] = (vf){0};
  }
  for (int k = 0; k < job->count; ++k) {
    const float *a = job->runs[k].src + d, *b = job->runs[k].diff + c;
    for (int left = job->runs[k].count; left > 0; --left, a += job->src_step, b += job->diff_step) {
      vf w[NV];
      UNROLL for (int v = 0; v < vectors; ++v) w[v] = load(b + v * LANES);
      UNROLL for (int r = 0; r < rows; ++r)
      {
        const vf x = splat(a[r]);
        UNROLL for (int v = 0; v < vectors; ++v) acc[r][v] += x * w[v];
      }
    }
  }
  float *dst = job->dst + (size_t)d * (size_t)job->channels + (size_t)c;
  if (skip == 0) {
    UNROLL for (int r = 0; r < rows; ++r)
    {
      float *out = dst + (size_t)r * (size_t)job->channels;
      UNROLL for (int v = 0; v < vectors; ++v)
          store(out + v * LANES, load(out + v * LANES) + acc[r][v]);
    }
    return;
  }
  float sums[MR][NR];
  UNROLL for (int r = 0; r < rows; ++r)
  {
    UNROLL for (int v = 0; v < vectors; ++v) store(sums[r] + v * LANES, acc[r][v]);
  }
  for (int r = 0; r < rows; ++r) {
    float *out = dst + (size_t)r * (size_t)job->channels;
    for (int i = skip; i < vectors * LANES; ++i) out[i] += sums[r][i];
  }
}

/* All source channels: nothing is read past the end of a pixel. */
INLINE void wgrad_columns(const wgrad_job *job, const int vectors, int c, int skip)
{
  int d = 0;
  for (; d + MR <= job->depth; d += MR) wgrad_tile(job, MR, vectors, d, c, skip);
#define REST(rows) wgrad_tile(job, rows, vectors, d, c, skip)
  BY_PAIRS((job->depth - d) / 2 * 2, REST)
#undef REST
  if (job->depth % 2) wgrad_tile(job, 1, vectors, job->depth - 1, c, skip);
}

/* For fewer channels than a vector holds. */
static void wgrad_small(const wgrad_job *job)
{
  for (int k = 0; k < job->count; ++k) {
    const float *a = job->runs[k].src, *b = job->runs[k].diff;
    for (int left = job->runs[k].count; left > 0; --left, a += job->src_step, b += job->diff_step) {
      float *dst = job->dst;
      for (int d = 0; d < job->depth; ++d, dst += job->channels) {
        for (int c = 0; c < job->channels; ++c) dst[c] += a[d] * b[c];
      }
    }
  }
}

/* The last vector of channels may overlap the one before. */
static void wgrad_block(const wgrad_job *job)
{
  if (job->channels < LANES) {
    wgrad_small(job);
    return;
  }
  int c = 0;
  for (; c + NR <= job->channels; c += NR) wgrad_columns(job, NV, c, 0);
  for (; c < job->channels; c += LANES) {
    int start = c + LANES <= job->channels ? c : job->channels - LANES;
    wgrad_columns(job, 1, start, c - start);
  }
}

/* The part of a stretch whose source columns are inside for this tap. */
static run clip_run(const mk_gather_wgrad *op, const stretch *s, int tap)
{
  const mk_gather *g = &op->gather;
  int y = s->i * g->step + g->dy[tap], dx = g->dx[tap];
  if (y < 0 || y >= g->src_height || dx >= g->src_width) return (run){.count = 0};
  int begin = dx < 0 ? (-dx + g->step - 1) / g->step : 0;
  int end = (g->src_width - 1 - dx) / g->step + 1;
  if (begin < s->j) begin = s->j;
  if (end > s->j + s->count) end = s->j + s->count;
  if (begin >= end) return (run){.count = 0};
  size_t line = (size_t)s->n * (size_t)g->grid_height + (size_t)s->i;
  size_t pixel = line * (size_t)g->grid_width + (size_t)begin;
  return (run){gathered(g, s->n, s->i, begin, tap), op->diff_dst + pixel * (size_t)op->channels,
               end - begin};
}

static void gather_wgrad(const mk_gather_wgrad *op, float *diff_weights, int tap_begin, int tap_end,
                         int image_begin, int image_end)
{
  const mk_gather *g = &op->gather;
  size_t tap_size = (size_t)g->depth * (size_t)op->channels;
  position at = {.n = image_begin};
  while (at.n < image_end) {
    stretch stretches[BLOCK_ROWS];
    int count = 0;
    for (int rows = 0; rows < BLOCK_ROWS && at.n < image_end;) {
      int left = g->grid_width - at.j, room = BLOCK_ROWS - rows;
      stretch *s = &stretches[count++];
      *s = (stretch){at.n, at.i, at.j, left < room ? left : room};
      rows += s->count;
      at.j += s->count - 1;
      next_position(g, &at);
    }
    for (int tap = tap_begin; tap < tap_end; ++tap) {
      run runs[BLOCK_ROWS];
      int run_count = 0;
      for (int k = 0; k < count; ++k) {
        runs[run_count] = clip_run(op, &stretches[k], tap);
        run_count += runs[run_count].count > 0;
      }
      const wgrad_job job = {diff_weights + (size_t)tap * tap_size,
                             g->depth,
                             op->channels,
                             runs,
                             run_count,
                             (size_t)g->step * (size_t)g->src_channels,
                             (size_t)op->channels};
      if (run_count) wgrad_block(&job);
    }
  }
}
