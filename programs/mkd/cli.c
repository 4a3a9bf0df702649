#include "cli.h"

#include "output.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int exit_status(mkd_status status)
{
  switch (status) {
  case MKD_OK:
    return EXIT_DONE;
  case MKD_ERROR_ARGUMENT:
    return EXIT_USAGE;
  case MKD_ERROR_FILE:
  case MKD_ERROR_DATA:
    return EXIT_BAD_FILE;
  case MKD_ERROR_MEMORY:
  case MKD_ERROR_STORAGE:
    return EXIT_RESOURCES;
  case MKD_CANCELLED:
    return EXIT_INTERRUPTED;
  }
  return EXIT_BAD_FILE;
}

void complain(const char *verb, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  flockfile(stderr);
  fprintf(stderr, "mkd%s%s: ", verb ? " " : "", verb ? verb : "");
  plain_text(stderr, text);
  fputc('\n', stderr);
  funlockfile(stderr);
  free(text);
}

int fail(const char *verb, mkd_status status)
{
  if (status != MKD_OK && status != MKD_CANCELLED) complain(verb, "%s", mkd_last_error());
  return exit_status(status);
}

_Noreturn void out_of_memory(void)
{
  fputs("mkd: out of memory\n", stderr);
  exit(EXIT_RESOURCES);
}

char *text_format_list(const char *format, va_list arguments)
{
  char *text = NULL;
  if (vasprintf(&text, format, arguments) < 0) out_of_memory();
  return text;
}

char *text_format(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  return text;
}

mkd_status refuse(mkd_status status, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  mkd_set_error(status, text);
  free(text);
  return status;
}

mkd_status refuse_write(int error, const char *path, const char *doing)
{
  if (error == ENOMEM) return refuse(MKD_ERROR_MEMORY, "%s: out of memory", path);
  bool storage =
      error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG || error == EROFS;
  return refuse(storage ? MKD_ERROR_STORAGE : MKD_ERROR_FILE, "%s: %s: %s", path, doing,
                strerror(error));
}

void *must_grow(void *array, size_t count, size_t size)
{
  void *grown = reallocarray(array, count ? count : 1, size);
  if (!grown) out_of_memory();
  return grown;
}

int core_count(void)
{
  cpu_set_t set;
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int)count;
}

bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
  const size_t stack = (size_t)1 << 20; /* libraries that decode images want some of it */
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  bool started = pthread_attr_setstacksize(&attributes, stack) == 0 &&
                 pthread_create(thread, &attributes, run, argument) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

double seconds_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *localize_name(mkd_localize localize)
{
  static const char *const names[] = {
      [MKD_LOCALIZE_RECIPE] = "recipe",           [MKD_LOCALIZE_NONE] = "none",
      [MKD_LOCALIZE_DISCREPANCY] = "discrepancy", [MKD_LOCALIZE_GRADIENT] = "gradient",
      [MKD_LOCALIZE_SMOOTHGRAD] = "smoothgrad",   [MKD_LOCALIZE_GBP] = "gbp",
  };
  return names[localize];
}
