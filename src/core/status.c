#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[2048];

const char *mkd_last_error(void)
{
  return last_error;
}

mkd_status mkd_set_error(mkd_status status, const char *text)
{
  return mk_fail(status, "%s", text ? text : "");
}

void mk_set_error_text(const char *format, ...)
{
  /* The arguments may point into last_error itself. */
  char text[sizeof last_error];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  /* Names from files may hold anything; a text for the user is one line. */
  for (char *c = text; *c; ++c) {
    if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
  }
  memcpy(last_error, text, sizeof text);
}

mkd_status mk_fail_in(mkd_status status, const char *context)
{
  return mk_fail(status, "%s: %s", context, last_error);
}

mkd_status mk_fail_memory(size_t bytes)
{
  if (bytes == 0) return mk_fail(MKD_ERROR_MEMORY, "out of memory");
  return mk_fail(MKD_ERROR_MEMORY, "out of memory (%zu bytes asked for)", bytes);
}
