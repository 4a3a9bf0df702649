#if defined(__x86_64__)
#define MK_SET mk_kernels_avx512
#define MK_SET_NAME "avx512"
#define MK_LANES 16
#define MK_ROW_TILE 12
#define MK_PANEL_VECTORS 2
#include "nn/kernels/vector.h"
#endif
