/* What all verbs share: exit status, messages on standard error, text that cannot fail. */
#ifndef CLI_H
#define CLI_H

#include <mkd/mkd.h>

#include <pthread.h>
#include <stdarg.h>

enum {
  EXIT_DONE = 0,
  EXIT_SOME_FAILED = 1,
  EXIT_USAGE = 2,
  EXIT_BAD_FILE = 3,
  EXIT_RESOURCES = 4, /* out of memory or disk */
  EXIT_ANOMALY = 5,
  EXIT_INTERRUPTED = 130
};

int exit_status(mkd_status status);

/* "mkd VERB: TEXT" on standard error, without VERB if it is NULL; control characters, as names of
 * files may have, become '?'. */
__attribute__((format(printf, 2, 3))) void complain(const char *verb, const char *format, ...);

/* Complains with mkd_last_error() (says nothing of MKD_CANCELLED); returns the exit status. */
int fail(const char *verb, mkd_status status);

/* printf into fresh memory, which the caller frees. Out of memory ends the program, as there is
 * nothing left to do: EXIT_RESOURCES. The same goes for must_grow, a realloc. */
_Noreturn void out_of_memory(void);
__attribute__((format(printf, 1, 2))) char *text_format(const char *format, ...);
__attribute__((format(printf, 1, 0))) char *text_format_list(const char *format, va_list arguments);
void *must_grow(void *array, size_t count, size_t size);

/* mkd_set_error with a format; returns `status`. */
__attribute__((format(printf, 2, 3))) mkd_status refuse(mkd_status status, const char *format, ...);

/* The same for a write that failed with `error`, an errno value: the disk, memory, or else the file
 * is to blame. `doing` says what could not be done: "cannot write". */
mkd_status refuse_write(int error, const char *path, const char *doing);

enum { MAX_THREADS = 1024 };

/* Number of cores that this process may use, at most MAX_THREADS. */
int core_count(void);

/* pthread_create with a stack that does not shrink with `ulimit -s`; false if it cannot be started.
 */
bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* Seconds since some fixed moment. */
double seconds_now(void);

/* "discrepancy", ... as --localize takes them. */
const char *localize_name(mkd_localize localize);

#endif
