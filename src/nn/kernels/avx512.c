#if defined(__x86_64__)
#include <immintrin.h>

#define MK_SET mk_kernels_avx512
#define MK_SET_NAME "avx512"
#define MK_LANES 16
#define MK_ROW_TILE 12
#define MK_PANEL_VECTORS 2
#define MK_MAX _mm512_max_ps
#define MK_MIN _mm512_min_ps
#include "nn/kernels/vector.h"
#endif
