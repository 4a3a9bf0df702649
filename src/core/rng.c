#include "core/rng.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *state)
{
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
  return (x << bits) | (x >> (64 - bits));
}

mk_rng mk_rng_seed(uint64_t seed, uint64_t stream)
{
  uint64_t mixer = stream;
  uint64_t state = seed ^ splitmix64(&mixer);
  mk_rng rng;
  for (int i = 0; i < 4; ++i) rng.state[i] = splitmix64(&state);
  return rng;
}

uint64_t mk_rng_next(mk_rng *rng)
{
  uint64_t *s = rng->state;
  uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

double mk_rng_uniform(mk_rng *rng)
{
  return (double)(mk_rng_next(rng) >> 11) * 0x1p-53;
}

uint64_t mk_rng_below(mk_rng *rng, uint64_t bound)
{
  uint64_t rejected = -bound % bound; /* 2^64 mod bound */
  uint64_t x;
  do x = mk_rng_next(rng);
  while (x < rejected);
  return x % bound;
}

double mk_rng_normal(mk_rng *rng)
{
  /* Box-Muller; the second number of the pair is not kept, so that no state hides here. */
  double u = 1 - mk_rng_uniform(rng), v = mk_rng_uniform(rng);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

void mk_rng_shuffle(mk_rng *rng, size_t *indices, size_t count)
{
  for (size_t i = count; i > 1; --i) {
    size_t j = (size_t)mk_rng_below(rng, i), kept = indices[i - 1];
    indices[i - 1] = indices[j];
    indices[j] = kept;
  }
}
