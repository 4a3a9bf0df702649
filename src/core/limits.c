#include "core/limits.h"

mkd_limits mkd_limits_default(void)
{
  return (mkd_limits){.size = sizeof(mkd_limits),
                      .max_pixels = UINT64_C(1) << 28,
                      .max_bytes = UINT64_C(1) << 32,
                      .max_files = UINT64_C(10) << 20};
}

mkd_status mk_limits_resolve(mkd_limits *resolved, const mkd_limits *limits)
{
  *resolved = limits ? *limits : mkd_limits_default();
  if (resolved->size != sizeof *resolved)
    return mk_fail(MKD_ERROR_ARGUMENT,
                   "limits: size is %zu, must be %zu; start from "
                   "mkd_limits_default()",
                   resolved->size, sizeof *resolved);
  return MKD_OK;
}
