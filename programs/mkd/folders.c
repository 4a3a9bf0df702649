#include "folders.h"

#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

mkd_status folders_make(char *path)
{
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkd_status status = MKD_OK;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
      status = refuse_write(errno, path, "cannot make this folder");
    *slash = '/';
    if (status != MKD_OK) return status;
  }
  return MKD_OK;
}

static int is_visible(const struct dirent *entry)
{
  return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
  return strcmp((*a)->d_name, (*b)->d_name);
}

mkd_status folders_list(const char *folder, char ***names, size_t *count)
{
  struct dirent **entries;
  int found = scandir(folder, &entries, is_visible, by_bytes);
  if (found < 0)
    return refuse(MKD_ERROR_FILE, "%s: cannot read this folder: %s", folder, strerror(errno));
  *names = must_grow(NULL, (size_t)found, sizeof **names);
  *count = (size_t)found;
  for (int i = 0; i < found; ++i) {
    (*names)[i] = text_format("%s", entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return MKD_OK;
}
