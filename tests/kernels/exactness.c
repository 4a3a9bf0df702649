/* How exact convolutions are, on numbers like those within VGG. */
#include "check.h"

#include <math.h>
#include <stdio.h>

enum { SIDE = 14, CHANNELS = 32, METHODS = 3 /* direct, and by tiles of 2x2 and 4x4 */ };

/* Largest error of any element, over the largest element. */
static double largest_error(const mk_winograd *op, const float *weights)
{
  double error = 0, scale = 0;
  for (int i = 0; i < op->dst_height * op->dst_width; ++i) {
    for (int c = 0; c < op->channels; ++c) {
      double exact = convolved(op, weights, 0, i / op->dst_width, i % op->dst_width, c);
      error = fmax(error, fabs(exact - (double)op->dst[i * op->channels + c]));
      scale = fmax(scale, fabs(exact));
    }
  }
  return error / scale;
}

/* Half of the source is cut off at zero, weights keep its size. */
static void measure_errors(trial *t, int sources, double errors[METHODS])
{
  taps at;
  mk_gather gather = square_gather(t, &at, SIDE, sources);
  float *src = normals(t, (size_t)(SIDE * SIDE * sources), 1);
  for (int i = 0; i < SIDE * SIDE * sources; ++i) src[i] = fmaxf(src[i], 0);
  gather.src = src;
  const float *weights = normals(t, (size_t)(9 * sources * CHANNELS), sqrt(2.0 / (9 * sources)));
  mk_winograd op = {.batch = 1,
                    .src = src,
                    .src_height = SIDE,
                    .src_width = SIDE,
                    .src_channels = sources,
                    .pad_top = 1,
                    .pad_left = 1,
                    .zeros = gather.zeros,
                    .dst = input(t, SIDE * SIDE * CHANNELS),
                    .dst_height = SIDE,
                    .dst_width = SIDE,
                    .channels = CHANNELS};
  int panels = (CHANNELS + t->set->panel - 1) / t->set->panel;
  mk_gather_gemm direct = {.gather = gather,
                           .packed = pack(t, t->set, weights, (size_t)(9 * sources), CHANNELS),
                           .dst = op.dst,
                           .dst_height = SIDE,
                           .dst_width = SIDE,
                           .channels = CHANNELS,
                           .dst_step = 1};
  t->set->gather_gemm(&direct, 0, SIDE * SIDE, 0, mk_panel_count(t->set, CHANNELS));
  errors[0] = largest_error(&op, weights);
  for (int k = 1; k < METHODS; ++k) {
    op.tile = 2 * k;
    op.packed = pack_winograd(t, &op, weights, false);
    size_t side = (size_t)((SIDE + op.tile - 1) / op.tile);
    run_winograd(t, &op, 0, side * side, 0, panels);
    errors[k] = largest_error(&op, weights);
  }
}

/* Bounds relative to the largest element; Winograd may cost little against direct convolution. */
void check_exactness(trial *t)
{
  static const double bounds[METHODS] = {4e-6, 4e-6, 5e-6};
  int sources = MK_WINOGRAD_CHANNELS << t->round;
  double errors[METHODS];
  measure_errors(t, sources, errors);
  printf("%s, %d channels: error of direct convolution %.1e, by tiles of 2x2 %.1e, of 4x4 %.1e\n",
         t->set->name, sources, errors[0], errors[1], errors[2]);
  for (int k = 0; k < METHODS; ++k) {
    if (!(errors[k] <= bounds[k])) wrong(t, "error %.1e is above %.1e", errors[k], bounds[k]);
  }
}
