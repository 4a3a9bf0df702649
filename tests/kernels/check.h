/* Checks kernels: random cases, computed by the reference and by the set on trial, on memory whose
 * ends are watched. Each family of kernels has a file with a list of its checks. */
#ifndef CHECK_H
#define CHECK_H

#include "core/rng.h"
#include "nn/kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>

enum { MAX_ARRAYS = 24, MAX_CHANNELS = 97 /* of any_channels */ };

/* One case of one kernel: arrays made for it are freed with it. */
typedef struct {
  const mk_kernels *reference, *set; /* set: the one on trial */
  const char *kernel;
  int round;
  mk_rng rng;
  bool failed;
  void *memory[MAX_ARRAYS];
  int count;
  double best, started, end; /* seconds; of TIME */
  int calls;
} trial;

typedef struct {
  const char *kernel;
  size_t offset;            /* in mk_kernels */
  int rounds;               /* how many cases */
  void (*check)(trial *t);  /* one random case */
  void (*timing)(trial *t); /* one case of a size as it occurs, within TIME */
} kernel_check;

#define KERNEL(name, rounds)                                                                       \
  {                                                                                                \
#name, offsetof(mk_kernels, name), rounds, check_##name, time_##name                           \
  }

/* Each ends with an entry without a name. */
extern const kernel_check gather_checks[], wgrad_checks[], winograd_checks[], depthwise_checks[],
    pool_checks[], element_checks[], channel_checks[];

/* Says what is wrong with the kernel on trial. */
__attribute__((format(printf, 2, 3))) void wrong(trial *t, const char *format, ...);

void free_trial(trial *t);

/* ---- Random choices -------------------------------------------------------------------------- */

int any(trial *t, int low, int high); /* low .. high */
bool coin(trial *t);
int any_channels(trial *t); /* around the widths of vectors and panels */
mk_activation any_activation(trial *t);

/* Part of a range, and a place to cut it: begin <= middle <= end. Often all of 0 .. count. */
typedef struct {
  size_t begin, middle, end;
} span;

span any_span(trial *t, size_t count);

/* ---- Memory ---------------------------------------------------------------------------------- */

/* `count` numbers in [-1, 1) at no special alignment, followed by nothing. */
float *input(trial *t, size_t count);
float *zeros(trial *t, size_t count);
float *normals(trial *t, size_t count, double deviation);
/* The same between guards; and whether they are intact. */
float *guarded(trial *t, size_t count);
bool guards_hold(const float *values, size_t count);

/* The same array three times, between guards: for the reference, for the set on trial, and for the
 * set again with the work cut in parts. And what was in it. */
typedef struct {
  const float *before;
  float *expected, *actual, *parts;
  size_t count;
} output;

/* `fresh`: the kernel has to write without reading, so that it starts as NaN. */
output make_output(trial *t, size_t count, bool fresh);

/* `terms`: how many products one element sums up. */
void compare(trial *t, const output *out, double terms);
double activated(double x, mk_activation activation);
/* How work is cut must not change a number. */
void compare_parts(trial *t, const output *out);
void compare_exact(trial *t, const char *what, double actual, double exact, double terms);
void compare_sums(trial *t, const double *actual, const double *expected, int count);

/* ---- Dense convolutions ---------------------------------------------------------------------- */

enum { MAX_TAPS = 25 };

/* Room for the taps of a gather. */
typedef struct {
  int dy[MAX_TAPS], dx[MAX_TAPS];
} taps;

mk_gather any_gather(trial *t, taps *at);
/* 3x3 on a padded square, without the source. */
mk_gather square_gather(trial *t, taps *at, int side, int channels);
/* What tap and depth of row (n, i, j) read. */
double gathered(const mk_gather *g, int n, int i, int j, int tap, int d);

/* Weights [rows][channels] as [panel][rows][panel width], for gather_gemm of `set`. */
const float *pack(trial *t, const mk_kernels *set, const float *weights, size_t rows, int channels);

/* winograd_pack, between guards. Weights [3][3][src_channels][channels]. */
const float *pack_winograd(trial *t, const mk_winograd *op, const float *weights, bool transposed);
/* winograd on tiles [tile_begin, tile_end), all panels of them [panel_begin, panel_end), with
 * guarded scratch memory. */
void run_winograd(trial *t, const mk_winograd *op, size_t tile_begin, size_t tile_end,
                  int panel_begin, int panel_end);
/* The convolution's definition, in fp64. */
double convolved(const mk_winograd *op, const float *weights, int n, int y, int x, int c);

/* Whether the set's convolutions have the errors that they are allowed. */
void check_exactness(trial *t);

/* ---- Time ------------------------------------------------------------------------------------ */

/* Runs `call` for a while; t->best is the shortest time. */
#define TIME(t, call)                                                                              \
  for (start_timing(t); go_on_timing(t);) call

void start_timing(trial *t);
bool go_on_timing(trial *t);

#endif
