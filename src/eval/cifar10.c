/* The binary version of CIFAR-10: records of a label and the planes R, G, B of 32x32 bytes. */
#include "eval/dataset.h"

#include "core/memory.h"
#include "eval/gzip.h"
#include "eval/walk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE };

static const char *const kinds[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                    "dog",      "frog",       "horse", "ship", "truck"};

static bool begins(const char *text, const char *with)
{
  return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
  size_t length = strlen(text), tail = strlen(with);
  return length >= tail && strcmp(text + length - tail, with) == 0;
}

static bool is_part(const char *name, mkd_split split)
{
  if (!ends(name, ".bin") && !ends(name, ".bin.gz")) return false;
  if (split == MKD_SPLIT_TEST) return begins(name, "test");
  return begins(name, "train") || begins(name, "data_batch");
}

static int by_bytes(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* True for NAME.gz when NAME is there too; the names are sorted. */
static bool is_copy(const mk_list *names, const char *name)
{
  char plain[NAME_MAX + 1];
  const char *key = plain;
  if (!ends(name, ".gz")) return false;
  snprintf(plain, sizeof plain, "%.*s", (int)(strlen(name) - 3), name);
  return bsearch(&key, names->items, names->count, sizeof *names->items, by_bytes);
}

/* From planes to pixels, in place. */
static void interleave(uint8_t planes[3 * PLANE])
{
  uint8_t pixels[3 * PLANE];
  for (int i = 0; i < PLANE; ++i)
    for (int c = 0; c < 3; ++c) pixels[3 * i + c] = planes[c * PLANE + i];
  memcpy(planes, pixels, sizeof pixels);
}

static mkd_status add_file(mkd_dataset *dataset, const char *path)
{
  mk_bytes bytes;
  MK_TRY(mk_gzip_read(&bytes, path, dataset->limits.max_bytes));
  mkd_status status;
  if (bytes.size == 0 || bytes.size % RECORD != 0) {
    status = mk_fail(MKD_ERROR_FILE,
                     "%s: has %zu bytes; expected a multiple of %d, one label and "
                     "32x32x3 pixels for each image",
                     path, bytes.size, RECORD);
  } else {
    size_t count = bytes.size / RECORD;
    for (size_t i = 0; i < count; ++i) interleave(bytes.data + i * RECORD + 1);
    mk_packed_images images = {.file = path,
                               .label_file = path,
                               .count = count,
                               .labels = bytes.data,
                               .label_step = RECORD,
                               .pixels = bytes.data + 1,
                               .pixel_step = RECORD,
                               .kinds = kinds,
                               .kind_count = sizeof kinds / sizeof *kinds};
    status = mk_dataset_add_packed(dataset, &images);
  }
  mk_free(bytes.data);
  return status;
}

mkd_status mk_dataset_read_cifar10(mkd_dataset *dataset, const char *folder, mkd_split split)
{
  mk_list names = {.limit = dataset->limits.max_files};
  dataset->shape = (mkd_image){NULL, SIDE, SIDE, 3 * SIDE, MKD_RGB8};
  mkd_status status = mk_list_folder(&names, folder);
  for (size_t i = 0; status == MKD_OK && i < names.count; ++i) {
    if (!is_part(names.items[i], split) || is_copy(&names, names.items[i])) continue;
    char *path;
    status = mk_path_join(&path, folder, names.items[i]);
    if (status != MKD_OK) break;
    status = add_file(dataset, path);
    mk_free(path);
  }
  mk_list_free(&names);
  if (status == MKD_OK && dataset->count == 0)
    status =
        mk_fail(MKD_ERROR_FILE, "%s: has no file %s", folder,
                split == MKD_SPLIT_TEST ? "test*.bin or test*.bin.gz"
                                        : "data_batch*.bin or train*.bin, with or without .gz");
  return status;
}
