/* What an exec does, step by step, and where its memory is. Private to nn/. */
#ifndef MK_NN_PLAN_H
#define MK_NN_PLAN_H

#include "nn/exec.h"
#include "nn/winograd.h"

#include <math.h>

/* Images whose weight gradients are summed by one task: the sums over tasks run in order, so the
 * number of groups may depend on the batch but never on the threads. */
enum { MK_GRADIENT_GROUPS = 8 };

typedef struct {
  mk_gather gather; /* without src and batch */
  int dst_y, dst_x;
  const float *packed;
} mk_phase;

typedef struct mk_step {
  const mk_op *op;
  int index;  /* of op, which owns the weights */
  int src[2]; /* operations whose outputs are read; of a convolution, the second is added */
  int dst;    /* operation whose output is written: op itself, or the activation fused into it */
  mk_activation activation;
  bool accumulate[2]; /* backward adds to the gradient of src[i] instead of setting it */

  mk_gather gather;              /* dense convolution; without src and batch */
  const float *packed;           /* weights, unless by Winograd */
  int *offsets;                  /* memory of all dy and dx of this step */
  mk_phase *phases;              /* of backward-data: stride * stride; NULL by Winograd */
  mk_winograd winograd;          /* geometry and weights of convolution; tile 0 if direct */
  mk_winograd winograd_backward; /* of its backward-data */
  mk_winograd winograd_wgrad;    /* of the gradient of its weights */
  mk_window window;              /* depthwise and pool; without batch */

  /* A depthwise convolution may have its source made for it, some lines and channels at a time, by
   * the convolution before, which then is no step of its own. */
  bool feeds;
  const struct mk_step *feeder;

  /* Dense convolutions of few channels read a copy with the padding written out, so that one row of
   * the kernel is one contiguous stretch. */
  bool padded;
  int padded_height, padded_width, pad_top, pad_left;

  float *mean, *inverse_deviation, *variance; /* batch norm: of the last batch */
  float *weight_gradient, *bias_gradient;
} mk_step;

typedef struct {
  mk_shape shape;
  bool wanted;             /* an output of the exec */
  bool gradient;           /* its gradient is needed */
  bool per_lane;           /* has room for one image a lane, not for the batch */
  size_t data_at, diff_at; /* offsets in memory, in floats */
  size_t padded_at;        /* of the padded copy that the convolution which makes it reads */
} mk_value;

struct mk_exec {
  const mk_net *net;
  const mk_graph *graph;
  mk_exec_options options;
  int *outputs;
  int output_count;

  mk_value *values; /* [graph->count] */
  mk_step *steps;
  int step_count;

  /* Of forward, the first steps, whose activations are larger than their weights, run image by
   * image, so that activations stay in the caches: lanes are copies of the exec, each of which has
   * one image of a batch in work. */
  int image_steps, image_lanes;
  size_t image_lane_size; /* memory of one, in floats */
  mk_exec *lane; /* [image_lanes]; values, coefficients and a share of the scratch are its own */

  float *memory;
  float *zeros;
  float *scratch; /* [lanes][lane_size]: of threads that convolve by Winograd */
  int lanes;
  size_t lane_size;
  float *partial;          /* [MK_GRADIENT_GROUPS][largest weights] */
  double *channel_partial; /* [2][batch][most channels] */
  float *coefficients;     /* [3][most channels] */
};

mkd_status mk_plan_shapes(mk_exec *exec);
mkd_status mk_plan_steps(mk_exec *exec);
mkd_status mk_plan_memory(mk_exec *exec);
mkd_status mk_plan_lanes(mk_exec *exec);

static inline float *mk_value_data(const mk_exec *exec, int op)
{
  return exec->memory + exec->values[op].data_at;
}

static inline float *mk_value_diff(const mk_exec *exec, int op)
{
  return exec->memory + exec->values[op].diff_at;
}

static inline float *mk_padded_source(const mk_exec *exec, const mk_step *step)
{
  return exec->memory + exec->values[step->index].padded_at;
}

/* Of batch norm's running statistics. */
static inline float mk_inverse_deviation(const mk_op *op, int c)
{
  return 1 / sqrtf(op->variance[c] + op->epsilon);
}

static inline size_t mk_shape_size(mk_shape shape)
{
  return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

/* Sum over images of one channel of partial [batch][channels], in order. */
static inline double mk_total(const double *partial, int batch, int channels, int c)
{
  double sum = 0;
  for (int n = 0; n < batch; ++n) sum += partial[(size_t)n * (size_t)channels + (size_t)c];
  return sum;
}

/* Calls work(exec, step, batch, begin, end) for stretches of `grain` of 0 .. count - 1. */
typedef void mk_range_work(const mk_exec *exec, const mk_step *step, int batch, size_t begin,
                           size_t end);
void mk_run_ranges(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch, size_t count,
                   size_t grain, mk_range_work *work);

/* Each spreads one gather_gemm, gather_dot or convolution by Winograd over the pool. */
void mk_run_gemm(const mk_exec *exec, mk_pool *pool, const mk_gather_gemm *op);
void mk_run_dot(const mk_exec *exec, mk_pool *pool, const mk_gather_gemm *op);
/* Source of a dense convolution, padded if it has to be. */
const float *mk_conv_source(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch);

/* Forward of a depthwise convolution, with that which feeds it. */
bool mk_can_feed(const mk_exec *exec, const mk_step *feeder, const mk_step *step);
void mk_run_depthwise(const mk_exec *exec, const mk_step *step, mk_pool *pool, int batch);
void mk_run_winograd(const mk_exec *exec, mk_pool *pool, const mk_winograd *op);

/* Calls work(context, part, scratch) for 0 .. parts - 1 on mk_lane_count threads at most, each of
 * which has scratch memory of exec->lane_size floats. */
typedef void mk_lane_work(void *context, size_t part, float *scratch);
int mk_lane_count(const mk_exec *exec, const mk_pool *pool);
void mk_run_lanes(const mk_exec *exec, mk_pool *pool, size_t parts, mk_lane_work *work,
                  void *context);

/* Panels of one part, when `shares` parts of a convolution by Winograd are not enough to keep all
 * lanes busy. Parts that share tiles each evaluate them, so there are no more than that. */
int mk_panel_grain(int panels, size_t shares, int lanes);

#endif
