/* mkd_measure_peak: what the arithmetic units give when nothing else is in the way, the yardstick
 * of all kernels. */
#include "core/threads.h"
#include "nn/kernels/kernels.h"

#include <string.h>
#include <time.h>

enum { CHAINS = 12, LOOPS = 400000, ROUNDS = 10 };

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Independent chains of x = x * a + b in registers, enough of them to hide the latency. */
#define DEFINE_CHAINS(name, lanes, target)                                                         \
  target static float name(void)                                                                   \
  {                                                                                                \
    typedef float vector __attribute__((vector_size(4 * (lanes))));                                \
    vector x[CHAINS], a = {0}, b = {0};                                                            \
    volatile float scale = 0.5f; /* nothing is known before it runs */                             \
    for (int l = 0; l < (lanes); ++l) a[l] = b[l] = scale;                                         \
    for (int c = 0; c < CHAINS; ++c) x[c] = a * (float)c;                                          \
    for (int i = 0; i < LOOPS; ++i) {                                                              \
      _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; ++c) x[c] = x[c] * a + b;               \
    }                                                                                              \
    for (int c = 1; c < CHAINS; ++c) x[0] += x[c];                                                 \
    return x[0][0];                                                                                \
  }

DEFINE_CHAINS(chains_4, 4, )
#if defined(__x86_64__)
DEFINE_CHAINS(chains_8, 8, __attribute__((target("avx2,fma"))))
DEFINE_CHAINS(chains_16, 16, __attribute__((target("avx512f"))))
#endif

typedef struct {
  float (*run)(void);
  int lanes;
} chains;

static chains best_chains(void)
{
#if defined(__x86_64__)
  const char *name = mk_kernels_best()->name;
  if (strcmp(name, "avx512") == 0) return (chains){chains_16, 16};
  if (strcmp(name, "avx2") == 0) return (chains){chains_8, 8};
#endif
  return (chains){chains_4, 4};
}

static void run_chains(void *context, size_t index, int worker)
{
  (void)index;
  (void)worker;
  const chains *c = context;
  (void)c->run();
}

mkd_status mkd_measure_peak(double *gflops, int threads)
{
  mk_pool *pool;
  MK_TRY(mk_pool_create(&pool, threads));
  chains c = best_chains();
  int count = mk_pool_threads(pool);
  double best = 0;
  for (int round = 0; round < ROUNDS; ++round) {
    double start = seconds();
    mk_pool_run(pool, (size_t)count, run_chains, &c);
    double rate = 2e-9 * c.lanes * CHAINS * LOOPS * count / (seconds() - start);
    if (rate > best) best = rate;
  }
  mk_pool_destroy(pool);
  *gflops = best;
  return MKD_OK;
}
