#include "core/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21, LARGE = 1 << 19 };

mkd_status mk_alloc_any(void *out, size_t count, size_t size)
{
  size_t bytes, rounded;
  memset(out, 0, sizeof(void *)); /* a failure leaves NULL */
  if (!mk_mul(count, size, &bytes) || !mk_add(bytes, HUGE_PAGE, &rounded))
    return mk_fail_memory(SIZE_MAX);
  /* Large blocks on huge pages: the kernel makes them available with a fraction of the faults, and
   * their addresses stay in the processor's tables. */
  size_t alignment = bytes >= LARGE ? HUGE_PAGE : MK_ALIGNMENT;
  rounded = (bytes / alignment + 1) * alignment;
  void *memory = aligned_alloc(alignment, rounded);
  if (!memory) return mk_fail_memory(rounded);
  if (alignment == HUGE_PAGE) (void)madvise(memory, rounded, MADV_HUGEPAGE); /* a mere advice */
  memcpy(out, &memory, sizeof memory);
  return MKD_OK;
}

mkd_status mk_alloc(void *out, size_t count, size_t size)
{
  void *memory;
  MK_TRY(mk_alloc_any(out, count, size));
  memcpy(&memory, out, sizeof memory);
  memset(memory, 0, count * size);
  return MKD_OK;
}

mkd_status mk_grow(void *out, size_t old_count, size_t count, size_t size)
{
  void *old, *grown;
  memcpy(&old, out, sizeof old);
  MK_TRY(mk_alloc(&grown, count, size));
  size_t kept = old_count < count ? old_count : count;
  if (old && kept) memcpy(grown, old, kept * size);
  mk_free(old);
  memcpy(out, &grown, sizeof grown);
  return MKD_OK;
}

void mk_free(void *pointer)
{
  free(pointer);
}

void mk_memory_watch(void)
{
  errno = 0;
}

bool mk_memory_failed(void)
{
  return errno == ENOMEM;
}

mkd_status mk_text_copy_n(char **out, const char *text, size_t length)
{
  MK_TRY(mk_alloc(out, length + 1, 1));
  memcpy(*out, text, length);
  return MKD_OK;
}

mkd_status mk_text_copy(char **out, const char *text)
{
  return mk_text_copy_n(out, text, strlen(text));
}

mkd_status mk_text_format(char **out, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  *out = NULL;
  if (length < 0) return mk_fail(MKD_ERROR_ARGUMENT, "cannot format a text");
  MK_TRY(mk_alloc(out, (size_t)length + 1, 1));
  va_start(args, format);
  vsnprintf(*out, (size_t)length + 1, format, args);
  va_end(args);
  return MKD_OK;
}
