/* A library to preload (LD_PRELOAD) that lets the n-th call of one kind fail: of the system, or for
 * memory by whatever library. test_faults.py drives it.
 *
 * The program's main is run in a child for each fault, so that loading and linking are paid once.
 * Descriptor COMMANDS gives a line "KIND N ERRNO" for each run; REPLIES gets a line of what waitpid
 * says, how often the fault was met, and, for each kind, "KIND=CALLS". Only calls from main on are
 * counted. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum { COMMANDS = 198, REPLIES = 199 };

/* Kinds of calls; the last ones do not fail, but do less than they were asked for. */
typedef enum {
  OPEN,
  OPENDIR,
  READDIR,
  STAT,
  ACCESS,
  READ,
  READ_END, /* the file became shorter */
  WRITE,
  SYNC,
  CLOSE,
  RENAME,
  LINK,
  MKDIR,
  MMAP,
  ALLOCATE_DISK,
  RANDOM,
  THREAD,
  FLUSH, /* of a standard stream */
  MEMORY,
  READ_SHORT,
  WRITE_SHORT,
  KIND_COUNT
} call_kind;

static const char *const kind_names[KIND_COUNT] = {
    "open",   "opendir", "readdir", "stat",       "access",     "read", "read-end",        "write",
    "fsync",  "close",   "rename",  "linkat",     "mkdir",      "mmap", "posix_fallocate", "random",
    "thread", "flush",   "memory",  "read-short", "write-short"};

/* In memory that parent and child share. */
typedef struct {
  _Atomic long calls[KIND_COUNT], fired;
} counts;

static counts *shared;
static bool armed;
static call_kind faulty_kind;
static long faulty_call; /* below 0 = all of them */
static int fault_errno;

/* True if this call is the one to fail; errno is set. */
static bool fails(call_kind kind)
{
  if (!armed) return false;
  long call = atomic_fetch_add(&shared->calls[kind], 1);
  if (kind != faulty_kind) return false;
  if (faulty_call >= 0 && call != faulty_call) return false;
  atomic_fetch_add(&shared->fired, 1);
  errno = fault_errno;
  return true;
}

/* ISO C has no conversion from the void pointer of dlsym to a function. */
#define REAL(function)                                                                             \
  __typeof__(&function) real = NULL;                                                               \
  *(void **)&real = dlsym(RTLD_NEXT, #function)

/* ---- Files ----------------------------------------------------------------------------------- */

PUBLIC int open(const char *path, int flags, ...)
{
  REAL(open);
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return fails(OPEN) ? -1 : real(path, flags, mode);
}

PUBLIC int mkostemp(char *template, int flags)
{
  REAL(mkostemp);
  return fails(OPEN) ? -1 : real(template, flags);
}

PUBLIC DIR *opendir(const char *path)
{
  REAL(opendir);
  return fails(OPENDIR) ? NULL : real(path);
}

PUBLIC struct dirent *readdir(DIR *directory)
{
  REAL(readdir);
  return fails(READDIR) ? NULL : real(directory);
}

PUBLIC int stat(const char *restrict path, struct stat *restrict info)
{
  REAL(stat);
  return fails(STAT) ? -1 : real(path, info);
}

PUBLIC int fstat(int descriptor, struct stat *info)
{
  REAL(fstat);
  return fails(STAT) ? -1 : real(descriptor, info);
}

PUBLIC int access(const char *path, int mode)
{
  REAL(access);
  return fails(ACCESS) ? -1 : real(path, mode);
}

PUBLIC ssize_t read(int descriptor, void *data, size_t size)
{
  REAL(read);
  if (fails(READ)) return -1;
  if (fails(READ_END)) return 0;
  if (size > 1 && fails(READ_SHORT)) size /= 2;
  return real(descriptor, data, size);
}

/* What a fortified program calls. */
PUBLIC ssize_t __read_chk(int descriptor, void *data, size_t size, size_t room);
PUBLIC ssize_t __read_chk(int descriptor, void *data, size_t size, size_t room)
{
  if (size > room) abort();
  return read(descriptor, data, size);
}

PUBLIC ssize_t write(int descriptor, const void *data, size_t size)
{
  REAL(write);
  if (fails(WRITE)) return -1;
  if (size > 1 && fails(WRITE_SHORT)) size /= 2;
  return real(descriptor, data, size);
}

PUBLIC int fsync(int descriptor)
{
  REAL(fsync);
  return fails(SYNC) ? -1 : real(descriptor);
}

/* The descriptor is gone when close fails, as in Linux. */
PUBLIC int close(int descriptor)
{
  REAL(close);
  int result = real(descriptor);
  return fails(CLOSE) ? -1 : result;
}

PUBLIC int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
  REAL(linkat);
  return fails(LINK) ? -1 : real(from_folder, from, to_folder, to, flags);
}

PUBLIC int rename(const char *from, const char *to)
{
  REAL(rename);
  return fails(RENAME) ? -1 : real(from, to);
}

PUBLIC int mkdir(const char *path, mode_t mode)
{
  REAL(mkdir);
  return fails(MKDIR) ? -1 : real(path, mode);
}

PUBLIC void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at)
{
  REAL(mmap);
  return fails(MMAP) ? MAP_FAILED : real(address, size, protection, flags, descriptor, at);
}

/* Returns the error and leaves errno alone. */
PUBLIC int posix_fallocate(int descriptor, off_t offset, off_t size)
{
  REAL(posix_fallocate);
  int before = errno;
  if (!fails(ALLOCATE_DISK)) return real(descriptor, offset, size);
  errno = before;
  return fault_errno;
}

/* ---- The rest of the system ------------------------------------------------------------------ */

PUBLIC ssize_t getrandom(void *data, size_t size, unsigned flags)
{
  REAL(getrandom);
  return fails(RANDOM) ? -1 : real(data, size, flags);
}

PUBLIC int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                          void *(*start)(void *), void *restrict argument)
{
  REAL(pthread_create);
  return fails(THREAD) ? fault_errno : real(thread, attributes, start, argument);
}

PUBLIC int fflush(FILE *stream)
{
  REAL(fflush);
  return fails(FLUSH) ? EOF : real(stream);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Looking the real functions up allocates, before they are known: that is served from here. */
static _Alignas(16) char early[1 << 16];
static size_t early_used;
static bool looking_up;
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void (*real_free)(void *);

static void look_up(void)
{
  if (real_free || looking_up) return;
  looking_up = true;
  *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
  *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
  *(void **)&real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
  *(void **)&real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
  *(void **)&real_free = dlsym(RTLD_NEXT, "free");
  looking_up = false;
}

static void *early_alloc(size_t size)
{
  size = (size + 15) & ~(size_t)15;
  if (size > sizeof early - early_used) return NULL;
  void *memory = early + early_used;
  early_used += size;
  return memory;
}

static bool is_early(const void *pointer)
{
  return (const char *)pointer >= early && (const char *)pointer < early + sizeof early;
}

PUBLIC void *malloc(size_t size)
{
  look_up();
  if (!real_malloc) return early_alloc(size);
  return fails(MEMORY) ? NULL : real_malloc(size);
}

PUBLIC void *calloc(size_t count, size_t size)
{
  look_up();
  if (!real_calloc) return early_alloc(count * size); /* zero, and small */
  return fails(MEMORY) ? NULL : real_calloc(count, size);
}

PUBLIC void *realloc(void *pointer, size_t size)
{
  look_up();
  if (is_early(pointer)) {
    void *copy = malloc(size);
    size_t room = (size_t)(early + sizeof early - (char *)pointer); /* at least its size */
    if (copy) memcpy(copy, pointer, size < room ? size : room);
    return copy;
  }
  return fails(MEMORY) ? NULL : real_realloc(pointer, size);
}

PUBLIC void *reallocarray(void *pointer, size_t count, size_t size)
{
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(pointer, bytes);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
  look_up();
  return fails(MEMORY) ? NULL : real_aligned_alloc(alignment, size);
}

PUBLIC int posix_memalign(void **out, size_t alignment, size_t size)
{
  look_up();
  return fails(MEMORY) ? ENOMEM : real_posix_memalign(out, alignment, size);
}

PUBLIC void free(void *pointer)
{
  look_up();
  if (!is_early(pointer) && real_free) real_free(pointer);
}

/* ---- One run after another ------------------------------------------------------------------- */

typedef int main_function(int, char **, char **);

static main_function *real_main;

static void arm(const char *command)
{
  char name[32];
  if (sscanf(command, "%31s %ld %d", name, &faulty_call, &fault_errno) != 3) abort();
  for (int i = 0; i < KIND_COUNT; ++i)
    if (strcmp(name, kind_names[i]) == 0) {
      faulty_kind = (call_kind)i;
      armed = true;
      return;
    }
  abort();
}

static int serve(int argc, char **argv, char **environment)
{
  char command[64];
  ssize_t length;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 99;
  while ((length = read(COMMANDS, command, sizeof command - 1)) > 0) {
    command[length] = '\0';
    memset(shared, 0, sizeof *shared);
    pid_t child = fork();
    if (child == 0) {
      close(COMMANDS);
      close(REPLIES);
      arm(command);
      int status = real_main(argc, argv, environment);
      armed = false; /* what the C library does at the end is not the program's */
      exit(status);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 99;
    dprintf(REPLIES, "%d %ld", status, shared->fired);
    for (int i = 0; i < KIND_COUNT; ++i)
      dprintf(REPLIES, " %s=%ld", kind_names[i], shared->calls[i]);
    dprintf(REPLIES, "\n");
  }
  _exit(0); /* nothing of the program's has run here */
}

typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void),
                           void (*)(void), void *);

PUBLIC start_function __libc_start_main;

PUBLIC int __libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
                             void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
  start_function *real = NULL;
  *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
  real_main = program;
  return real(serve, argc, argv, init, fini, rtld_fini, stack_end);
}
