/* Numbers that tests and the Python scripts of tests/fixtures both compute, and the digests of
 * results that these scripts store. */
#ifndef TEST_NUMBERS_H
#define TEST_NUMBERS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/graph.h"

enum { DIGEST_SAMPLES = 12, DIGEST_SUMS = 4, DIGEST = DIGEST_SAMPLES + DIGEST_SUMS };

/* A 32-bit hash of seed and index. */
static inline uint32_t number_bits(uint32_t seed, size_t index)
{
  uint32_t x = (uint32_t)index + seed * 0x9E3779B1u;
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

/* In [-1, 1), exact in fp32. */
static inline float number(uint32_t seed, size_t index)
{
  return (float)(number_bits(seed, index) >> 8) / (1 << 23) - 1;
}

/* values[i] = base + scale * number */
static inline void fill_numbers(float *values, size_t count, uint32_t seed, float base, float scale)
{
  for (size_t i = 0; i < count; ++i) values[i] = base + scale * number(seed, i);
}

/* Weights of about 1 / sqrt(fan-in), as the scripts fill them. */
static inline void fill_parameters(mk_graph *graph)
{
  for (int i = 1; i < graph->count; ++i) {
    mk_op *op = &graph->ops[i];
    size_t channels = (size_t)op->channels;
    uint32_t seed = (uint32_t)i;
    if (op->kind == MK_OP_CONV) {
      float scale = 1;
      while (scale * scale * (float)(op->weight_count / channels) > 1) scale /= 2;
      fill_numbers(op->weights, op->weight_count, 10 + seed, 0, 2 * scale);
      if (op->bias) fill_numbers(op->bias, channels, 40 + seed, 0, 1);
    } else if (op->kind == MK_OP_BATCH_NORM) {
      fill_numbers(op->weights, channels, 10 + seed, 1, 0.5f);
      fill_numbers(op->bias, channels, 40 + seed, 0, 1);
      fill_numbers(op->mean, channels, 60 + seed, 0, 0.5f);
      fill_numbers(op->variance, channels, 80 + seed, 1, 0.5f);
    }
  }
}

static inline double root_mean_square(const float *values, size_t count)
{
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += (double)values[i] * (double)values[i];
  return sqrt(sum / (double)(count ? count : 1));
}

/* Whether |a - b| <= tolerance * (|b| + scale); false for NaN. */
static inline bool close_to(double a, double b, double tolerance, double scale)
{
  return fabs(a - b) <= tolerance * (fabs(b) + scale);
}

/* Whether values match the digest of their reference: samples, and signed sums over all. */
static inline bool matches_digest(const float *values, size_t count, const float *digest,
                                  double tolerance)
{
  double scale = root_mean_square(values, count);
  for (int k = 0; k < DIGEST_SAMPLES; ++k) {
    size_t place = number_bits(99, (size_t)k) % count;
    if (close_to((double)values[place], (double)digest[k], tolerance, scale)) continue;
    fprintf(stderr, "element %zu of %zu is %.8g, expected %.8g\n", place, count,
            (double)values[place], (double)digest[k]);
    return false;
  }
  for (uint32_t k = 0; k < DIGEST_SUMS; ++k) {
    double sum = 0, wanted = (double)digest[DIGEST_SAMPLES + k];
    for (size_t i = 0; i < count; ++i)
      sum += number_bits(100 + k, i) & 1 ? (double)values[i] : -(double)values[i];
    if (close_to(sum, wanted, tolerance, scale * sqrt((double)count))) continue;
    fprintf(stderr, "signed sum %u over %zu elements is %.8g, expected %.8g\n", k, count, sum,
            wanted);
    return false;
  }
  return true;
}

#endif
