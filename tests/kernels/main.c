/* Compares every kernel of every instruction set that the machine has with the reference; or, with
 * --bench, times them.
 *
 *   test_kernels [--bench] [KERNEL...]
 */
#include "check.h"
#include "emulated.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SETS = 7, EXACTNESS_ROUNDS = 6 /* from 16 channels on, twice as many each */ };

static const kernel_check *const families[] = {gather_checks,    wgrad_checks, winograd_checks,
                                               depthwise_checks, pool_checks,  element_checks,
                                               channel_checks};
enum { FAMILIES = sizeof families / sizeof *families };

/* Every kernel is a function pointer behind the set's name and tile. */
enum {
  KERNELS = (sizeof(mk_kernels) - offsetof(mk_kernels, gather_gemm)) / sizeof(void (*)(void))
};

typedef struct {
  int cases, kernels, failures;
} tally;

static bool is_chosen(char **names, const char *kernel)
{
  if (!*names) return true;
  for (; *names; ++names) {
    if (strcmp(*names, kernel) == 0) return true;
  }
  return false;
}

/* ---- Check ----------------------------------------------------------------------------------- */

static void check_kernel(trial *t, const kernel_check *check, uint64_t stream, tally *sum)
{
  t->kernel = check->kernel;
  t->failed = false;
  for (t->round = 0; t->round < check->rounds && !t->failed; ++t->round) {
    t->rng = mk_rng_seed((uint64_t)t->round, stream);
    check->check(t);
    free_trial(t);
    ++sum->cases;
  }
  ++sum->kernels;
  sum->failures += t->failed;
}

static void print_tally(const char *set, const tally *sum)
{
  printf("%s: ", set);
  if (sum->cases >= 1000)
    printf("%d,%03d", sum->cases / 1000, sum->cases % 1000);
  else
    printf("%d", sum->cases);
  printf(" cases of %d kernels, %d failed\n", sum->kernels, sum->failures);
}

static tally check_set(const mk_kernels *reference, const mk_kernels *set, char **names)
{
  trial t = {.reference = reference, .set = set};
  tally sum = {0};
  uint64_t stream = 0;
  for (int f = 0; f < FAMILIES; ++f) {
    for (const kernel_check *check = families[f]; check->kernel; ++check, ++stream) {
      if (is_chosen(names, check->kernel)) check_kernel(&t, check, stream, &sum);
    }
  }
  if (is_chosen(names, "winograd")) {
    kernel_check exactness = {
        .kernel = "exactness", .rounds = EXACTNESS_ROUNDS, .check = check_exactness};
    tally apart = {0};
    check_kernel(&t, &exactness, stream, &apart);
    sum.failures += apart.failures;
  }
  return sum;
}

static int check_sets(const mk_kernels *const *sets, int count, char **names)
{
  tally sums[MAX_SETS + 1];
  int failures = 0;
  for (int s = 1; s < count; ++s) {
    sums[s] = check_set(sets[0], sets[s], names);
    failures += sums[s].failures;
  }
  for (int s = 1; s < count; ++s) print_tally(sets[s]->name, &sums[s]);
  if (!*names && sums[1].kernels != KERNELS) {
    fprintf(stderr, "there are %d kernels, of which %d are checked\n", KERNELS, sums[1].kernels);
    return 1;
  }
  return failures > 0;
}

/* ---- Time ------------------------------------------------------------------------------------ */

static bool has_kernel(const mk_kernels *set, const kernel_check *check)
{
  void (*kernel)(void);
  memcpy(&kernel, (const char *)set + check->offset, sizeof kernel);
  return kernel != NULL;
}

static void time_sets(const mk_kernels *const *sets, int count, char **names)
{
  printf("%-28s", "microseconds");
  for (int s = 0; s < count; ++s) printf("%16s", sets[s]->name);
  printf("\n");
  for (int f = 0; f < FAMILIES; ++f) {
    for (const kernel_check *check = families[f]; check->kernel; ++check) {
      if (!is_chosen(names, check->kernel)) continue;
      printf("%-28s", check->kernel);
      for (int s = 0; s < count; ++s) {
        trial t = {.reference = sets[0], .set = sets[s], .kernel = check->kernel};
        t.rng = mk_rng_seed(0, 0);
        if (has_kernel(sets[s], check)) {
          check->timing(&t);
          printf("%16.1f", 1e6 * t.best);
        } else {
          printf("%16s", "-");
        }
        free_trial(&t);
      }
      printf("\n");
    }
  }
}

/* ---- Command line ---------------------------------------------------------------------------- */

static bool are_kernels(char **names)
{
  for (; *names; ++names) {
    bool known = false;
    for (int f = 0; f < FAMILIES; ++f) {
      for (const kernel_check *check = families[f]; check->kernel; ++check)
        known = known || strcmp(*names, check->kernel) == 0;
    }
    if (known) continue;
    fprintf(stderr, "usage: test_kernels [--bench] [KERNEL...]\n%s is no kernel\n", *names);
    return false;
  }
  return true;
}

int main(int argc, char **argv)
{
  bool bench = argc > 1 && strcmp(argv[1], "--bench") == 0;
  char **names = argv + 1 + bench;
  if (!are_kernels(names)) return 2;
  const mk_kernels *sets[MAX_SETS + 1];
  int count = mk_kernels_list(sets, MAX_SETS);
  if (bench) {
    time_sets(sets, count, names);
    return 0;
  }
  if (emulated_avx512) sets[count++] = emulated_avx512;
  return check_sets(sets, count, names);
}
