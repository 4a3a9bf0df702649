#include "destination.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

mkd_status destination_check(const char *path)
{
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
    return refuse(MKD_ERROR_FILE, "%s: is a folder; name a file in it", path);
  char *copy = text_format("%s", path);
  const char *folder = dirname(copy);
  mkd_status status = MKD_OK;
  /* Files are replaced by renaming, so what counts is the folder. */
  if (access(folder, W_OK | X_OK) != 0)
    status = refuse(MKD_ERROR_FILE, "%s: cannot write to the folder %s: %s", path, folder,
                    strerror(errno));
  free(copy);
  return status;
}

/* open_memstream forgets what it had no memory for. */
static ssize_t append(void *cookie, const char *text, size_t size)
{
  destination *to = cookie;
  if (size > to->room - to->size) {
    size_t room = 2 * to->room + size;
    char *grown = realloc(to->text, room);
    if (!grown) return 0; /* an error of the stream, and it stays one */
    to->text = grown;
    to->room = room;
  }
  memcpy(to->text + to->size, text, size);
  to->size += size;
  return (ssize_t)size;
}

mkd_status destination_open(destination *to, const char *path)
{
  *to = (destination){.path = path};
  to->file = fopencookie(to, "w", (cookie_io_functions_t){.write = append});
  return to->file ? MKD_OK : refuse_write(errno, path, "cannot write");
}

static bool write_all(int descriptor, const char *text, size_t size)
{
  while (size > 0) {
    ssize_t n = write(descriptor, text, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text += n;
    size -= (size_t)n;
  }
  return true;
}

/* Returns 0, or errno; then there is no such file. */
static int write_new(const char *path, const char *text, size_t size)
{
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return errno;
  int error = write_all(descriptor, text, size) && fsync(descriptor) == 0 ? 0 : errno;
  if (close(descriptor) != 0 && !error) error = errno;
  if (error) unlink(path);
  return error;
}

static mkd_status put(const destination *to)
{
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) < 0) random = (uint64_t)getpid();
  char *temporary = text_format("%s.%016llx.tmp", to->path, (unsigned long long)random);
  int error = write_new(temporary, to->text, to->size);
  if (!error && rename(temporary, to->path) != 0) {
    error = errno;
    unlink(temporary);
  }
  free(temporary);
  return error ? refuse_write(error, to->path, "cannot write") : MKD_OK;
}

mkd_status destination_close(destination *to, mkd_status status)
{
  errno = 0;
  bool whole = fflush(to->file) == 0 && !ferror(to->file);
  int error = errno ? errno : ENOMEM; /* memory is all that it can have lacked before */
  fclose(to->file);
  if (status == MKD_OK && !whole) status = refuse_write(error, to->path, "cannot write");
  if (status == MKD_OK) status = put(to);
  free(to->text);
  return status;
}
