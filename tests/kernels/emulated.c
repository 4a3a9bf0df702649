#include "emulated.h"

#if defined(__x86_64__)
#define MK_SET wide_kernels
#define MK_SET_NAME "avx512 (emulated)"
#define MK_LANES 16
#define MK_ROW_TILE 12
#define MK_PANEL_VECTORS 2
extern const mk_kernels wide_kernels;
#include "nn/kernels/vector.h"

const mk_kernels *const emulated_avx512 = &wide_kernels;
#else
const mk_kernels *const emulated_avx512 = NULL;
#endif
