/* xoshiro256** (Blackman and Vigna), seeded by splitmix64: same seed, same numbers everywhere. */
#ifndef MK_CORE_RNG_H
#define MK_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t state[4];
} mk_rng;

/* `stream` separates uses of one seed: split, initial weights, shuffling, noise, ... */
mk_rng mk_rng_seed(uint64_t seed, uint64_t stream);
uint64_t mk_rng_next(mk_rng *rng);
double mk_rng_uniform(mk_rng *rng);                 /* in [0, 1) */
uint64_t mk_rng_below(mk_rng *rng, uint64_t bound); /* in 0 .. bound - 1, unbiased; bound > 0 */
double mk_rng_normal(mk_rng *rng);                  /* mean 0, variance 1 */
void mk_rng_shuffle(mk_rng *rng, size_t *indices, size_t count); /* Fisher-Yates */

#endif
