/* The sets of kernels that are compiled in. */
#ifndef MK_NN_KERNELS_SETS_H
#define MK_NN_KERNELS_SETS_H

#include "nn/kernels/kernels.h"

extern const mk_kernels mk_kernels_reference; /* plain loops, the yardstick */
extern const mk_kernels mk_kernels_generic;   /* 128-bit vectors: SSE2, or NEON on Arm */
#if defined(__x86_64__)
extern const mk_kernels mk_kernels_avx2; /* and FMA */
extern const mk_kernels mk_kernels_avx512;
#endif

#endif
