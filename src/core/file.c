#include "core/file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct mk_writer {
  int descriptor;
  char *path;      /* as the caller names it */
  char *target;    /* what is replaced: where `path` leads if it is a link */
  char *temporary; /* NULL while the file has no name */
};

enum { MAX_NAME_KEPT = 200 }; /* bytes; room for more is left within NAME_MAX */

static mkd_status fail_errno(mkd_status status, int error, const char *path, const char *doing)
{
  if (error == ENOMEM) return mk_fail(MKD_ERROR_MEMORY, "%s: out of memory", path);
  return mk_fail(status, "%s: %s: %s", path, doing, strerror(error));
}

mkd_status mk_fail_reading(int error, const char *path, const char *doing)
{
  return fail_errno(MKD_ERROR_FILE, error, path, doing);
}

mkd_status mk_fail_writing(int error, const char *path, const char *doing)
{
  bool storage =
      error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG || error == EROFS;
  return fail_errno(storage ? MKD_ERROR_STORAGE : MKD_ERROR_FILE, error, path, doing);
}

static mkd_status read_all(mk_bytes *bytes, int descriptor, const char *path, uint64_t limit)
{
  struct stat info;
  if (fstat(descriptor, &info) != 0) return mk_fail_reading(errno, path, "cannot read");
  if (S_ISDIR(info.st_mode)) return mk_fail(MKD_ERROR_FILE, "%s: is a folder, not a file", path);
  if (!S_ISREG(info.st_mode)) return mk_fail(MKD_ERROR_FILE, "%s: is not a regular file", path);
  if ((uint64_t)info.st_size > limit)
    return mk_fail(MKD_ERROR_FILE, "%s: has %llu bytes, more than the limit of %llu", path,
                   (unsigned long long)info.st_size, (unsigned long long)limit);
  size_t size = (size_t)info.st_size, done = 0;
  uint8_t *data;
  MK_TRY(mk_alloc_any(&data, size, 1));
  while (done < size) {
    ssize_t n = read(descriptor, data + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      mk_free(data);
      if (n == 0) return mk_fail(MKD_ERROR_FILE, "%s: became shorter while it was read", path);
      return mk_fail_reading(errno, path, "cannot read");
    }
    done += (size_t)n;
  }
  *bytes = (mk_bytes){data, size};
  return MKD_OK;
}

mkd_status mk_file_read(mk_bytes *bytes, const char *path, uint64_t limit)
{
  /* O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return mk_fail_reading(errno, path, "cannot open");
  mkd_status status = read_all(bytes, descriptor, path, limit);
  close(descriptor);
  return status;
}

static void writer_free(mk_writer *writer)
{
  if (writer->descriptor >= 0) close(writer->descriptor);
  mk_free(writer->path);
  mk_free(writer->target);
  mk_free(writer->temporary);
  mk_free(writer);
}

/* A file of no name in the folder of `path`: whatever ends the process, nothing is left of it. -1
 * where the system or the file system has none such, or no /proc to give it a name by. */
static int open_nameless(const char *path)
{
  char *copy;
  if (access("/proc/self/fd", X_OK) != 0 || mk_text_copy(&copy, path) != MKD_OK) return -1;
  int descriptor = open(dirname(copy), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  mk_free(copy);
  return descriptor;
}

/* Gives the file a name that no file has: makes it if it is not open yet. */
static mkd_status take_name(mk_writer *writer)
{
  const char *slash = strrchr(writer->target, '/');
  size_t folder = slash ? (size_t)(slash - writer->target) + 1 : 0;
  size_t kept = folder + strnlen(writer->target + folder, MAX_NAME_KEPT);
  char nameless[32];
  snprintf(nameless, sizeof nameless, "/proc/self/fd/%d", writer->descriptor);
  for (int attempt = 0; attempt < 16; ++attempt) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0) random = (uint64_t)getpid();
    char *name;
    MK_TRY(mk_text_format(&name, "%.*s.%016llx.tmp", (int)kept, writer->target,
                          (unsigned long long)random));
    bool taken;
    if (writer->descriptor >= 0) {
      taken = linkat(AT_FDCWD, nameless, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
    } else {
      writer->descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      taken = writer->descriptor >= 0;
    }
    int error = errno;
    if (taken) {
      writer->temporary = name;
      return MKD_OK;
    }
    mk_free(name);
    if (error != EEXIST) return mk_fail_writing(error, writer->path, "cannot create");
  }
  return mk_fail_writing(EEXIST, writer->path, "cannot create");
}

/* The file that `path` stands for: a link stays, and what it leads to is replaced. */
static mkd_status find_target(char **target, const char *path)
{
  struct stat info;
  if (lstat(path, &info) != 0 || !S_ISLNK(info.st_mode)) return mk_text_copy(target, path);
  char *real = realpath(path, NULL);
  if (!real) return mk_fail_writing(errno, path, "cannot follow this link");
  mkd_status status = mk_text_copy(target, real);
  free(real);
  return status;
}

static mkd_status start(mk_writer *writer, const char *path)
{
  struct stat info;
  bool replaces = stat(path, &info) == 0;
  if (replaces && S_ISDIR(info.st_mode))
    return mk_fail(MKD_ERROR_FILE, "%s: is a folder, not a file", path);
  if (replaces && !S_ISREG(info.st_mode))
    return mk_fail(MKD_ERROR_FILE, "%s: is a device or a pipe, not a file", path);
  MK_TRY(mk_text_copy(&writer->path, path));
  MK_TRY(find_target(&writer->target, path));
  writer->descriptor = open_nameless(writer->target);
  if (writer->descriptor < 0) MK_TRY(take_name(writer));
  /* A file that only its owner may read stays so. Where modes cannot be set, they mean nothing. */
  if (replaces) (void)fchmod(writer->descriptor, info.st_mode & 0777);
  return MKD_OK;
}

mkd_status mk_writer_open(mk_writer **out, const char *path)
{
  mk_writer *writer;
  MK_TRY(mk_alloc(&writer, 1, sizeof *writer));
  writer->descriptor = -1;
  mkd_status status = start(writer, path);
  if (status != MKD_OK) {
    mk_writer_abort(writer);
    return status;
  }
  *out = writer;
  return MKD_OK;
}

mkd_status mk_writer_write(mk_writer *writer, const void *data, size_t size)
{
  const uint8_t *bytes = data;
  while (size > 0) {
    ssize_t n = write(writer->descriptor, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mk_fail_writing(errno, writer->path, "cannot write");
    bytes += n;
    size -= (size_t)n;
  }
  return MKD_OK;
}

static void sync_folder(const char *path)
{
  /* Makes the rename itself durable; failure leaves a complete file, so it is no error. */
  char *copy;
  if (mk_text_copy(&copy, path) != MKD_OK) return;
  int descriptor = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    fsync(descriptor);
    close(descriptor);
  }
  mk_free(copy);
}

static mkd_status put_in_place(mk_writer *writer)
{
  if (fsync(writer->descriptor) != 0) return mk_fail_writing(errno, writer->path, "cannot write");
  if (!writer->temporary) MK_TRY(take_name(writer));
  int descriptor = writer->descriptor;
  writer->descriptor = -1;
  if (close(descriptor) != 0 || rename(writer->temporary, writer->target) != 0)
    return mk_fail_writing(errno, writer->path, "cannot write");
  return MKD_OK;
}

mkd_status mk_writer_commit(mk_writer *writer)
{
  mkd_status status = put_in_place(writer);
  if (status != MKD_OK) {
    mk_writer_abort(writer);
    return status;
  }
  sync_folder(writer->target);
  writer_free(writer);
  return MKD_OK;
}

void mk_writer_abort(mk_writer *writer)
{
  if (!writer) return;
  if (writer->temporary) unlink(writer->temporary);
  writer_free(writer);
}

mkd_status mkd_file_save(const char *path, const void *data, size_t size)
{
  mk_writer *writer;
  MK_TRY(mk_writer_open(&writer, path));
  mkd_status status = mk_writer_write(writer, data, size);
  if (status != MKD_OK) {
    mk_writer_abort(writer);
    return status;
  }
  return mk_writer_commit(writer);
}
