#include "expert_file.h"

#include "cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_EXPERT "efficientnet-lite0.safetensors"

/* `folder`/`below` if that file can be read, else NULL. The caller frees it. */
static char *readable(const char *folder, const char *below)
{
  char *path = text_format("%s/%s", folder, below);
  if (access(path, R_OK) == 0) return path;
  free(path);
  return NULL;
}

/* Cuts the last component off; false when there is none. */
static bool cut(char *path)
{
  char *slash = strrchr(path, '/');
  if (slash) *slash = '\0';
  return slash;
}

/* An installation may have been moved as a whole, so the place relative to the program counts too.
 * A program that still lies where it was built finds the expert in the build folder or beside it.
 */
static char *find_near_program(void)
{
  char place[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", place, sizeof place - 1);
  if (length <= 0) return NULL;
  place[length] = '\0';
  static const char build_tree[] = "/programs/mkd/mkd";
  size_t tail = sizeof build_tree - 1;
  if ((size_t)length > tail && strcmp(place + length - tail, build_tree) == 0) {
    place[(size_t)length - tail] = '\0';
    char *path = readable(place, "expert/" DEFAULT_EXPERT);
    if (!path && cut(place)) path = readable(place, "expert/" DEFAULT_EXPERT);
    return path;
  }
  for (int i = 0; i < 2; ++i) { /* the program's name, and "bin" */
    if (!cut(place)) return NULL;
  }
  return readable(place, "share/mkd/" DEFAULT_EXPERT);
}

static mkd_status load_or_import(mkd_expert **expert, const char *path, const mkd_limits *limits)
{
  mkd_status loaded = mkd_expert_load(expert, path, limits);
  if (loaded != MKD_ERROR_FILE) return loaded;
  char *why = text_format("%s", mkd_last_error());
  mkd_status imported = mkd_expert_import(expert, path, NULL, limits);
  /* Both reasons, as only the user knows what the file was meant to be; once if they are equal, as
   * for a file that is not there. */
  if (imported == MKD_ERROR_FILE && strcmp(why, mkd_last_error()) != 0) {
    char *why_not_imported = text_format("%s", mkd_last_error());
    refuse(imported, "%s; taken for weights to import: %s", why, why_not_imported);
    free(why_not_imported);
  }
  free(why);
  return imported;
}

char *expert_place(const char *path)
{
  if (!path) path = getenv("MKD_EXPERT");
  if (path && path[0]) return text_format("%s", path);
  return access(MKD_EXPERT_PATH, R_OK) == 0 ? text_format("%s", MKD_EXPERT_PATH)
                                            : find_near_program();
}

mkd_status expert_open(mkd_expert **expert, const char *path, const mkd_limits *limits)
{
  bool named = path || (getenv("MKD_EXPERT") && getenv("MKD_EXPERT")[0]);
  char *place = expert_place(path);
  if (!place)
    return refuse(MKD_ERROR_FILE,
                  "the default expert %s is not installed; build mkd after scripts/fetch-expert.sh "
                  "build/expert and install again, or name another one with --expert or MKD_EXPERT",
                  MKD_EXPERT_PATH);
  mkd_status status =
      named ? load_or_import(expert, place, limits) : mkd_expert_load(expert, place, limits);
  free(place);
  return status;
}
