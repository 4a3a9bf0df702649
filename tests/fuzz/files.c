#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(int good, const char *what)
{
  if (good) return;
  perror(what);
  abort();
}

static void write_all(int descriptor, const void *data, size_t size)
{
  must(size == 0 || pwrite(descriptor, data, size, 0) == (ssize_t)size, "pwrite");
}

const char *file_with(const uint8_t *data, size_t size)
{
  static int descriptor = -1;
  static char path[64];
  if (descriptor < 0) {
    descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    must(descriptor >= 0, "memfd_create");
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  }
  must(ftruncate(descriptor, 0) == 0, "ftruncate");
  write_all(descriptor, data, size);
  return path;
}

static char folder[64];

static void remove_folder(void)
{
  char command[96];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (system(command) != 0) fprintf(stderr, "%s cannot be removed\n", folder);
}

const char *scratch_folder(void)
{
  if (!*folder) {
    strcpy(folder, "/dev/shm/mkd-fuzz-XXXXXX");
    must(mkdtemp(folder) != NULL, folder);
    atexit(remove_folder);
  }
  return folder;
}

void scratch_file(const char *name, const void *data, size_t size)
{
  char path[160];
  snprintf(path, sizeof path, "%s/%s", scratch_folder(), name);
  FILE *file = fopen(path, "wb");
  must(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, path);
}
