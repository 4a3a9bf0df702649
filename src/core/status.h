/* Error reporting: a status code, and a text for the calling thread. */
#ifndef MK_CORE_STATUS_H
#define MK_CORE_STATUS_H

#include <mkd/mkd.h>

/* Sets the calling thread's error text and returns `status`, so that `return mk_fail(...)` works.
 * The text names the file, tensor or option that is wrong, and what would be right. */
__attribute__((format(printf, 2, 3))) mkd_status mk_fail(mkd_status status, const char *format,
                                                         ...);

/* Puts "context: " before the current error text; returns `status`. */
mkd_status mk_fail_in(mkd_status status, const char *context);

/* mk_fail for a failed allocation of `bytes`. */
mkd_status mk_fail_memory(size_t bytes);

#define MK_TRY(call)                                                                               \
  do {                                                                                             \
    mkd_status mk_try_status_ = (call);                                                            \
    if (mk_try_status_ != MKD_OK) return mk_try_status_;                                           \
  } while (0)

#endif
