#include "destination.h"

#include "cli.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
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
