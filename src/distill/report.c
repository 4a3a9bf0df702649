#include "distill/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

mkd_status mk_report(const mk_reporter *reporter, const mkd_progress *progress)
{
  if (reporter->progress && !reporter->progress(reporter->context, progress))
    return mk_fail(MKD_CANCELLED, "stopped on request");
  return MKD_OK;
}

mkd_status mk_report_images(const mk_reporter *reporter, mkd_stage stage, size_t done, size_t total)
{
  return mk_report(reporter, &(mkd_progress){.stage = stage,
                                             .done = done,
                                             .total = total,
                                             .loss = NAN,
                                             .held_out_loss = NAN,
                                             .seconds_left = NAN});
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
