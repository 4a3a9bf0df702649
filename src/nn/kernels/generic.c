#define MK_SET mk_kernels_generic
#define MK_LANES 4
#if defined(__aarch64__)
#define MK_SET_NAME "neon"
#define MK_ROW_TILE 6
#define MK_PANEL_VECTORS 4
#else
#define MK_SET_NAME "generic"
#define MK_ROW_TILE 4
#define MK_PANEL_VECTORS 2
#endif
#include "nn/kernels/vector.h"
