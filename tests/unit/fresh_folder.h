/* Tests inside a fresh folder, so that paths are short and known. Include after cmocka.h. */
#ifndef TEST_FRESH_FOLDER_H
#define TEST_FRESH_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int enter_folder(void **state)
{
  char folder[] = "/tmp/mkd-dataset-XXXXXX";
  if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
  *state = strdup(folder);
  return *state ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
  (void)info;
  (void)type;
  (void)walk;
  return remove(path);
}

static inline int leave_folder(void **state)
{
  int failed = chdir("/") != 0 || nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0;
  free(*state);
  return failed ? -1 : 0;
}

/* Makes a file, and the folders it lies in. */
static inline void make_file(const char *path, const void *data, size_t size)
{
  char text[512];
  snprintf(text, sizeof text, "%s", path);
  for (char *slash = strchr(text, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(text, 0777);
    *slash = '/';
  }
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* An image of 2x1 pixels, 0x10 and 0x80. */
static inline void make(const char *path)
{
  static const char image[] = "P5\n2 1\n255\n\x10\x80";
  make_file(path, image, sizeof image - 1);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

#endif
