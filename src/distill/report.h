/* How the work reports; every call comes from the thread that the work was asked for. */
#ifndef MK_DISTILL_REPORT_H
#define MK_DISTILL_REPORT_H

#include "core/status.h"

typedef struct {
  bool (*progress)(void *context, const mkd_progress *progress);     /* or NULL */
  void (*log)(void *context, mkd_log_level level, const char *text); /* or NULL */
  void *context;
} mk_reporter;

/* Calls the progress callback; MKD_CANCELLED when it says so. */
mkd_status mk_report(const mk_reporter *reporter, const mkd_progress *progress);

/* The same for a stage that counts images. */
mkd_status mk_report_images(const mk_reporter *reporter, mkd_stage stage, size_t done,
                            size_t total);

__attribute__((format(printf, 3, 4))) void mk_log(const mk_reporter *reporter, mkd_log_level level,
                                                  const char *format, ...);

#endif
