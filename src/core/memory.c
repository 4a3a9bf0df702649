#include "core/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 1 << 16, HUGE_PAGE = 1 << 21, LARGE = 1 << 19 }; /* pages of Arm have up to 64 KiB */

/* The address sanitizer watches the heap, not mappings. GCC tells of it by a macro, Clang by a
 * feature. */
#if defined __SANITIZE_ADDRESS__
enum { MAPS_LARGE = 0 };
#elif defined __has_feature
#if __has_feature(address_sanitizer)
enum { MAPS_LARGE = 0 };
#else
enum { MAPS_LARGE = 1 };
#endif
#else
enum { MAPS_LARGE = 1 };
#endif

/* Before each block, which it keeps aligned. */
typedef struct {
  size_t mapped; /* bytes of a mapping of its own, this header included; 0 = from the heap */
  char padding[MK_ALIGNMENT - sizeof(size_t)];
} header;

/* Bytes on huge pages, as far as they fill some: the kernel makes these available with a fraction
 * of the faults, and their addresses stay in the processor's tables. Not from the heap, since glibc
 * before 2.38 does not use again what it cut off to align a block so far. `bytes` is a multiple of
 * PAGE. */
static void *map_large(size_t bytes)
{
  if (bytes < HUGE_PAGE) {
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
  }
  char *start =
      mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return NULL;
  size_t before = -(uintptr_t)start % HUGE_PAGE;
  if (before > 0) munmap(start, before);
  munmap(start + before + bytes, HUGE_PAGE - before);
  (void)madvise(start + before, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a mere advice */
  return start + before;
}

mkd_status mk_alloc_any(void *out, size_t count, size_t size)
{
  size_t bytes, most;
  memset(out, 0, sizeof(void *)); /* a failure leaves NULL */
  if (!mk_mul(count, size, &bytes) || !mk_add(bytes, sizeof(header) + 2 * HUGE_PAGE, &most))
    return mk_fail_memory(SIZE_MAX);
  bool large = MAPS_LARGE && bytes >= LARGE;
  size_t alignment = large ? PAGE : MK_ALIGNMENT;
  size_t rounded = ((bytes + sizeof(header)) / alignment + 1) * alignment;
  header *block = large ? map_large(rounded) : aligned_alloc(MK_ALIGNMENT, rounded);
  if (!block) return mk_fail_memory(rounded);
  block->mapped = large ? rounded : 0;
  void *memory = block + 1;
  memcpy(out, &memory, sizeof memory);
  return MKD_OK;
}

mkd_status mk_alloc(void *out, size_t count, size_t size)
{
  void *memory;
  MK_TRY(mk_alloc_any(out, count, size));
  memcpy(&memory, out, sizeof memory);
  const header *block = (const header *)memory - 1;
  if (!block->mapped) memset(memory, 0, count * size); /* the kernel's pages are zero */
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
  if (!pointer) return;
  header *block = (header *)pointer - 1;
  if (block->mapped)
    munmap(block, block->mapped);
  else
    free(block);
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
