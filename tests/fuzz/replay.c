/* Runs a fuzz target on files, and on all files of folders. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replayed;

static void replay_file(const char *path)
{
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info) != 0) {
    perror(path);
    exit(1);
  }
  size_t size = (size_t)info.st_size;
  uint8_t *data = malloc(size ? size : 1); /* so that a sanitizer sees its end */
  if (!data || fread(data, 1, size, file) != size) exit(1);
  fclose(file);
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  ++replayed;
}

static void replay_folder(const char *path, DIR *folder)
{
  for (struct dirent *entry; (entry = readdir(folder));) {
    char name[4096];
    if (entry->d_name[0] == '.') continue;
    if (snprintf(name, sizeof name, "%s/%s", path, entry->d_name) < (int)sizeof name)
      replay_file(name);
  }
}

int main(int argc, char **argv)
{
  for (int i = 1; i < argc; ++i) {
    DIR *folder = opendir(argv[i]);
    if (!folder) {
      replay_file(argv[i]);
      continue;
    }
    replay_folder(argv[i], folder);
    closedir(folder);
  }
  printf("%d inputs\n", replayed);
  return replayed == 0;
}
