#include "image/tiles.h"

#include "image/pixels.h"

#include <math.h>
#include <string.h>

static mk_tile_axis axis_of(int length, int tile, double overlap)
{
  int size = tile > 0 && tile < length ? tile : length;
  int shared = (int)floor(overlap * size + 0.5);
  int step = size - shared > 1 ? size - shared : 1;
  int left = length - size; /* after the first tile */
  return (mk_tile_axis){length, size, step, 1 + (size_t)((left + (int64_t)step - 1) / step)};
}

mkd_status mk_tile_grid_create(mk_tile_grid *grid, const mkd_image *image, int tile_width,
                               int tile_height, double overlap)
{
  MK_TRY(mk_image_check(image));
  *grid = (mk_tile_grid){.x = axis_of(image->width, tile_width, overlap),
                         .y = axis_of(image->height, tile_height, overlap)};
  grid->count = grid->x.count * grid->y.count; /* not more than there are pixels */
  return MKD_OK;
}

static int first_pixel(const mk_tile_axis *axis, size_t tile)
{
  size_t first = tile * (size_t)axis->step, most = (size_t)(axis->length - axis->size);
  return (int)(first < most ? first : most);
}

mkd_image mk_tile_view(const mkd_image *image, const mk_tile_grid *grid, size_t tile)
{
  size_t x = (size_t)first_pixel(&grid->x, tile % grid->x.count);
  size_t y = (size_t)first_pixel(&grid->y, tile / grid->x.count);
  size_t pixel = (size_t)(mk_format_channels(image->format) * mk_format_bytes(image->format));
  mkd_image view = *image;
  view.data = (const uint8_t *)image->data + y * image->stride + x * pixel;
  view.width = grid->x.size;
  view.height = grid->y.size;
  return view;
}

/* ---- Blending -------------------------------------------------------------------------------- */

static mkd_status blend_axis_create(mk_blend_axis *b, const mk_tile_axis *axis, mk_scratch *scratch)
{
  const double pi = 3.14159265358979323846;
  size_t size = (size_t)axis->size;
  MK_TRY(mk_scratch_get(scratch, &b->window, size, 4 * sizeof *b->window));
  b->own = b->window + size;
  b->before = b->own + size;
  b->total = b->before + size;
  for (size_t i = 0; i < size; ++i) {
    double wave = sin(pi * ((double)i + 0.5) / (double)size);
    b->window[i] = (float)(wave * wave);
  }
  return MKD_OK;
}

/* What `other` weighs at the pixels of `tile`, added to `sum`. */
static void add_window(float *sum, const mk_blend_axis *b, const mk_tile_axis *axis, size_t tile,
                       size_t other)
{
  int shift = first_pixel(axis, tile) - first_pixel(axis, other);
  int begin = shift < 0 ? -shift : 0, end = shift < 0 ? axis->size : axis->size - shift;
  for (int i = begin; i < end; ++i) sum[i] += b->window[i + shift];
}

static void weigh(mk_blend_axis *b, const mk_tile_axis *axis, size_t tile)
{
  size_t bytes = (size_t)axis->size * sizeof *b->own;
  size_t reach = (size_t)((axis->size - 1) / axis->step); /* the last one, shifted, reaches on */
  size_t begin = tile > reach + 1 ? tile - reach - 1 : 0;
  size_t end = axis->count - tile > reach + 2 ? tile + reach + 2 : axis->count;
  memset(b->before, 0, bytes);
  for (size_t other = begin; other < tile; ++other) add_window(b->before, b, axis, tile, other);
  memcpy(b->own, b->window, bytes);
  memcpy(b->total, b->before, bytes);
  for (size_t other = tile; other < end; ++other) add_window(b->total, b, axis, tile, other);
}

mkd_status mk_blend_create(mk_blend *blend, const mk_tile_grid *grid, mk_scratch *scratch)
{
  *blend = (mk_blend){.grid = grid};
  MK_TRY(blend_axis_create(&blend->x, &grid->x, scratch));
  return blend_axis_create(&blend->y, &grid->y, scratch);
}

/* The mean so far moves towards the new value by the share that this has of all weights so far: no
 * sum of weights has to be kept, and equal values stay what they are. */
static void blend_row(float *map, const float *row, const mk_blend_axis *x, int size, float own,
                      float before)
{
  for (int i = 0; i < size; ++i) {
    float weight = x->own[i] * own;
    float share = weight / (x->total[i] * before + x->before[i] * own + weight);
    map[i] = share < 1 ? map[i] + (row[i] - map[i]) * share : row[i];
  }
}

void mk_blend_tile(mk_blend *blend, float *map, size_t tile, const float *tile_map)
{
  const mk_tile_grid *grid = blend->grid;
  size_t column = tile % grid->x.count, row = tile / grid->x.count;
  weigh(&blend->x, &grid->x, column);
  weigh(&blend->y, &grid->y, row);
  map += (size_t)first_pixel(&grid->y, row) * (size_t)grid->x.length;
  map += first_pixel(&grid->x, column);
  for (int y = 0; y < grid->y.size; ++y) {
    blend_row(map, tile_map, &blend->x, grid->x.size, blend->y.own[y], blend->y.before[y]);
    map += grid->x.length;
    tile_map += grid->x.size;
  }
}
