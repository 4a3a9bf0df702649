#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 64 };

static const uint32_t guard_bits = 0x7fc0beef; /* a NaN that no kernel computes */

void wrong(trial *t, const char *format, ...)
{
  va_list arguments;
  t->failed = true;
  fprintf(stderr, "%s, %s, case %d: ", t->set->name, t->kernel, t->round);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

void free_trial(trial *t)
{
  for (int i = 0; i < t->count; ++i) free(t->memory[i]);
  t->count = 0;
}

/* ---- Random choices -------------------------------------------------------------------------- */

int any(trial *t, int low, int high)
{
  return low + (int)mk_rng_below(&t->rng, (uint64_t)(high - low + 1));
}

bool coin(trial *t)
{
  return any(t, 0, 1);
}

int any_channels(trial *t)
{
  static const int near[] = {1, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96};
  int channels = near[any(t, 0, 10)] + any(t, -1, 1);
  return channels < 1 ? 1 : channels;
}

mk_activation any_activation(trial *t)
{
  return (mk_activation)any(t, MK_ACT_NONE, MK_ACT_RELU6);
}

span any_span(trial *t, size_t count)
{
  span s;
  s.begin = coin(t) ? 0 : (size_t)any(t, 0, (int)count);
  s.end = coin(t) ? count : (size_t)any(t, (int)s.begin, (int)count);
  s.middle = (size_t)any(t, (int)s.begin, (int)s.end);
  return s;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static float *take(trial *t, size_t count)
{
  size_t shift = (size_t)any(t, 0, 3);
  float *memory = malloc((shift + count) * sizeof(float) + (count == 0));
  if (!memory || t->count == MAX_ARRAYS) {
    fprintf(stderr, "%s: %s\n", t->kernel, memory ? "more than MAX_ARRAYS" : "out of memory");
    exit(1);
  }
  t->memory[t->count++] = memory;
  return memory + shift;
}

float *input(trial *t, size_t count)
{
  float *values = take(t, count);
  for (size_t i = 0; i < count; ++i) values[i] = (float)(2 * mk_rng_uniform(&t->rng) - 1);
  return values;
}

float *zeros(trial *t, size_t count)
{
  float *values = take(t, count);
  memset(values, 0, count * sizeof(float));
  return values;
}

float *normals(trial *t, size_t count, double deviation)
{
  float *values = take(t, count);
  for (size_t i = 0; i < count; ++i) values[i] = (float)(deviation * mk_rng_normal(&t->rng));
  return values;
}

float *guarded(trial *t, size_t count)
{
  float *memory = input(t, count + 2 * GUARD);
  for (size_t i = 0; i < GUARD; ++i) {
    memcpy(memory + i, &guard_bits, sizeof guard_bits);
    memcpy(memory + GUARD + count + i, &guard_bits, sizeof guard_bits);
  }
  return memory + GUARD;
}

bool guards_hold(const float *values, size_t count)
{
  for (size_t i = 0; i < GUARD; ++i) {
    if (memcmp(values - GUARD + i, &guard_bits, sizeof guard_bits) != 0) return false;
    if (memcmp(values + count + i, &guard_bits, sizeof guard_bits) != 0) return false;
  }
  return true;
}

output make_output(trial *t, size_t count, bool fresh)
{
  float *before = input(t, count);
  output out = {before, guarded(t, count), guarded(t, count), guarded(t, count), count};
  for (size_t i = 0; fresh && i < count; ++i) before[i] = NAN;
  memcpy(out.expected, before, count * sizeof(float));
  memcpy(out.actual, before, count * sizeof(float));
  memcpy(out.parts, before, count * sizeof(float));
  return out;
}

/* ---- Comparisons ----------------------------------------------------------------------------- */

static bool near(double actual, double expected, double terms)
{
  return fabs(actual - expected) <= 2e-6 * sqrt(terms + 1) * (fabs(expected) + 1);
}

double activated(double x, mk_activation activation)
{
  if (activation != MK_ACT_NONE && x < 0) return 0;
  return activation == MK_ACT_RELU6 && x > 6 ? 6 : x;
}

void compare(trial *t, const output *out, double terms)
{
  if (!guards_hold(out->expected, out->count)) wrong(t, "the reference writes outside");
  if (!guards_hold(out->actual, out->count)) wrong(t, "writes outside");
  for (size_t i = 0; i < out->count; ++i) {
    double x = (double)out->actual[i], y = (double)out->expected[i];
    if ((isnan(x) && isnan(y)) || near(x, y, terms)) continue;
    wrong(t, "element %zu of %zu is %.9g, expected %.9g", i, out->count, x, y);
    return;
  }
}

void compare_parts(trial *t, const output *out)
{
  if (!guards_hold(out->parts, out->count)) wrong(t, "in parts, writes outside");
  for (size_t i = 0; i < out->count; ++i) {
    float x = out->parts[i], y = out->actual[i];
    if ((isnan(x) && isnan(y)) || x == y) continue;
    wrong(t, "element %zu of %zu is %.9g in parts, %.9g at once", i, out->count, (double)x,
          (double)y);
    return;
  }
}

void compare_exact(trial *t, const char *what, double actual, double exact, double terms)
{
  if (!near(actual, exact, terms)) wrong(t, "%s is %.9g, in fp64 %.9g", what, actual, exact);
}

void compare_sums(trial *t, const double *actual, const double *expected, int count)
{
  for (int i = 0; i < count; ++i) {
    if (!(fabs(actual[i] - expected[i]) <= 1e-5 * (fabs(expected[i]) + 1)))
      wrong(t, "sum %d is %.9g, expected %.9g", i, actual[i], expected[i]);
  }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static double now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void start_timing(trial *t)
{
  t->best = INFINITY;
  t->calls = 0;
  t->end = now() + 0.05;
}

bool go_on_timing(trial *t)
{
  double time = now();
  if (t->calls++ > 0) t->best = fmin(t->best, time - t->started);
  if (time >= t->end && t->calls > 3) return false;
  t->started = now();
  return true;
}
