/* Error reporting: a status code, and a text for the calling thread. */
#ifndef MK_CORE_STATUS_H
#define MK_CORE_STATUS_H

#include <mkd/mkd.h>

/* Sets the calling thread's error text. */
__attribute__((format(printf, 1, 2))) void mk_set_error_text(const char *format, ...);

static inline mkd_status mk_status_same(mkd_status status)
{
  return status;
}

/* Sets the text and gives `status`, so that `return mk_fail(...)` works. The text names the file,
 * tensor or option that is wrong, and what would be right. A macro, so that compilers see that a
 * failure is not MKD_OK. */
#define mk_fail(status, ...) (mk_set_error_text(__VA_ARGS__), mk_status_same(status))

/* Puts "context: " before the current error text; returns `status`. */
mkd_status mk_fail_in(mkd_status status, const char *context);

/* mk_fail for a failed allocation of `bytes`; 0 = of an unknown size. */
mkd_status mk_fail_memory(size_t bytes);

#define MK_TRY(call)                                                                               \
  do {                                                                                             \
    mkd_status mk_try_status_ = (call);                                                            \
    if (mk_try_status_ != MKD_OK) return mk_try_status_;                                           \
  } while (0)

#endif
