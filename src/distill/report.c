#include "distill/dataset.h"

#include <stdarg.h>
#include <stdio.h>

mkd_status mk_report(const mk_reporter *reporter, const mkd_progress *progress)
{
  if (reporter->progress && !reporter->progress(reporter->context, progress))
    return mk_fail(MKD_CANCELLED, "stopped on request");
  return MKD_OK;
}

void mk_log(const mk_reporter *reporter, mkd_log_level level, const char *format, ...)
{
  if (!reporter->log) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  reporter->log(reporter->context, level, text);
}
