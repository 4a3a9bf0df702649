/* 128-bit vectors, which every processor of the common architectures has. */
#define MK_SET mk_kernels_generic
#define MK_LANES 4
#if defined(__aarch64__)
#include <arm_neon.h>

#define MK_SET_NAME "neon"
#define MK_ROW_TILE 6
#define MK_PANEL_VECTORS 4
#define MK_MAX vmaxnmq_f32
#define MK_MIN vminnmq_f32
#else
#define MK_SET_NAME "generic"
#define MK_ROW_TILE 4
#define MK_PANEL_VECTORS 2
#if defined(__x86_64__)
#include <xmmintrin.h>

#define MK_MAX _mm_max_ps
#define MK_MIN _mm_min_ps
#endif
#endif
#include "nn/kernels/vector.h"
