#include "destination.h"

#include "cli.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mkd_status refuse_folder(int error, const char *path, const char *folder)
{
  char *doing = text_format("cannot write to the folder %s", folder);
  mkd_status status = refuse_write(error, path, doing);
  free(doing);
  return status;
}

mkd_status destination_check(const char *path)
{
  struct stat info;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  bool exists = stat(path, &info) == 0;
  int error = errno;
  if (!*name || (exists && S_ISDIR(info.st_mode)))
    return refuse(MKD_ERROR_FILE, "%s: is a folder; name a file in it", path);
  if (exists && !S_ISREG(info.st_mode))
    return refuse(MKD_ERROR_FILE, "%s: is a device or a pipe, not a file", path);
  if (!exists && lstat(path, &info) == 0)
    return refuse_write(error, path, "cannot follow this link");
  if (strlen(name) > NAME_MAX)
    return refuse(MKD_ERROR_FILE, "%s: %s", path, strerror(ENAMETOOLONG));
  char *copy = exists ? realpath(path, NULL) : text_format("%s", path);
  if (!copy) return refuse_write(errno, path, "cannot follow its path");
  const char *folder = dirname(copy);
  mkd_status status = MKD_OK;
  /* Files are replaced by renaming, so what counts is the folder. */
  if (access(folder, W_OK | X_OK) != 0) status = refuse_folder(errno, path, folder);
  free(copy);
  return status;
}

mkd_status destination_spares(const char *path, const char *input)
{
  struct stat output, other;
  if (!input || stat(path, &output) != 0 || stat(input, &other) != 0) return MKD_OK;
  if (output.st_dev != other.st_dev || output.st_ino != other.st_ino) return MKD_OK;
  return refuse(MKD_ERROR_ARGUMENT, "%s: is read as well, and would be lost; name another file",
                path);
}

mkd_status destination_spares_images(const char *path, const mkd_dataset *images)
{
  struct stat info;
  if (stat(path, &info) != 0) return MKD_OK; /* so it is none of them */
  mkd_status status = MKD_OK;
  for (size_t i = 0; status == MKD_OK && i < mkd_dataset_count(images); ++i) {
    mkd_dataset_item item = mkd_dataset_get(images, i);
    status = destination_spares(path, item.path);
    if (status == MKD_OK) status = destination_spares(path, item.mask);
  }
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

mkd_status destination_close(destination *to, mkd_status status)
{
  errno = 0;
  bool whole = fflush(to->file) == 0 && !ferror(to->file);
  int error = errno ? errno : ENOMEM; /* memory is all that it can have lacked before */
  fclose(to->file);
  if (status == MKD_OK && !whole) status = refuse_write(error, to->path, "cannot write");
  if (status == MKD_OK) status = mkd_file_save(to->path, to->text, to->size);
  free(to->text);
  return status;
}
