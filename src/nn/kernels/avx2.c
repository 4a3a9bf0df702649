#if defined(__x86_64__)
#include <immintrin.h>

#define MK_SET mk_kernels_avx2
#define MK_SET_NAME "avx2"
#define MK_LANES 8
#define MK_ROW_TILE 6
#define MK_PANEL_VECTORS 2
#define MK_MAX _mm256_max_ps
#define MK_MIN _mm256_min_ps
#include "nn/kernels/vector.h"
#endif
