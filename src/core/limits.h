/* The limits that a caller sets, or the defaults. */
#ifndef MK_CORE_LIMITS_H
#define MK_CORE_LIMITS_H

#include "core/status.h"

/* `limits` may be NULL. MKD_ERROR_ARGUMENT when its size is another one. */
mkd_status mk_limits_resolve(mkd_limits *resolved, const mkd_limits *limits);

#endif
