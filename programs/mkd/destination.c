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

static mkd_status refuse_write(const char *path)
{
  bool storage = errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG;
  return refuse(storage ? MKD_ERROR_STORAGE : MKD_ERROR_FILE, "%s: cannot write: %s", path,
                strerror(errno));
}

mkd_status destination_open(destination *to, const char *path)
{
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) < 0) random = (uint64_t)getpid();
  *to = (destination){.path = path};
  to->temporary = text_format("%s.%016llx.tmp", path, (unsigned long long)random);
  int descriptor = open(to->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  to->file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
  if (to->file) return MKD_OK;
  mkd_status status = refuse_write(path);
  if (descriptor >= 0) {
    close(descriptor);
    unlink(to->temporary);
  }
  free(to->temporary);
  return status;
}

mkd_status destination_close(destination *to, mkd_status status)
{
  errno = 0;
  bool written = fflush(to->file) == 0 && !ferror(to->file) && fsync(fileno(to->file)) == 0;
  if (!errno) errno = EIO; /* an earlier failure, whose reason is gone */
  if (status == MKD_OK && !written) status = refuse_write(to->path);
  fclose(to->file);
  if (status == MKD_OK && rename(to->temporary, to->path) != 0) status = refuse_write(to->path);
  if (status != MKD_OK) unlink(to->temporary);
  free(to->temporary);
  return status;
}
