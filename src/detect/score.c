#include "detect/score.h"

#include <math.h>

static int positions(mk_shape shape)
{
  return shape.height * shape.width;
}

mk_score_parts mk_standardised_parts(const mkd_detector *d, const mk_shape *shapes,
                                     float *const *squares, const float *cosines,
                                     const mk_calibration *c)
{
  mk_score_parts parts = {.square = -INFINITY, .cosine = -INFINITY};
  /* On the grid of the finest point; coarser ones are repeated. */
  int finest = -1;
  for (int p = 0; p < d->point_count; ++p) {
    if (d->scored[p] && (finest < 0 || positions(shapes[p]) > positions(shapes[finest])))
      finest = p;
  }
  mk_shape grid = shapes[finest];
  for (int y = 0; y < grid.height; ++y) {
    for (int x = 0; x < grid.width; ++x) {
      double sum = 0;
      for (int p = 0; p < d->point_count; ++p) {
        if (!d->scored[p]) continue;
        int py = y * shapes[p].height / grid.height, px = x * shapes[p].width / grid.width;
        sum += ((double)squares[p][py * shapes[p].width + px] - c->square_mean[p]) /
               c->square_deviation[p];
      }
      if (sum > parts.square) parts.square = sum;
    }
  }
  for (int i = 0; i < positions(shapes[d->deepest]); ++i) {
    double z = ((double)cosines[i] - c->cosine_mean) / c->cosine_deviation;
    if (z > parts.cosine) parts.cosine = z;
  }
  return parts;
}

mk_score_parts mk_larger_parts(mk_score_parts a, mk_score_parts b)
{
  return (mk_score_parts){.total = a.total > b.total ? a.total : b.total,
                          .square = a.square > b.square ? a.square : b.square,
                          .cosine = a.cosine > b.cosine ? a.cosine : b.cosine};
}

double mk_score_of(mk_score_parts parts, const mkd_detector *d, const mk_calibration *c)
{
  if (d->recipe.score == MK_SCORE_TOTAL) return parts.total;
  return (parts.square - c->largest_square_mean) / c->largest_square_deviation +
         (parts.cosine - c->largest_cosine_mean) / c->largest_cosine_deviation;
}
