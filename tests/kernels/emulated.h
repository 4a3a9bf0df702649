/* 512-bit vectors as the compiler makes them from shorter ones, so that the tiles of AVX-512 are
 * tried on machines that do not have it; NULL where there is no AVX-512 to try for. */
#ifndef EMULATED_H
#define EMULATED_H

#include "nn/kernels/kernels.h"

extern const mk_kernels *const emulated_avx512;

#endif
