#include "eval/walk.h"

#include "core/file.h"
#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64 };

/* Identity of a folder, whatever path leads to it. */
typedef struct {
  dev_t device;
  ino_t inode;
  bool used;
} identity;

/* The folders that were entered: a hash table with linear probing, at most half full. */
typedef struct {
  identity *slots;
  size_t capacity, count;
} visited_set;

typedef struct {
  char *path;
  int depth;
} pending;

typedef struct {
  pending *items; /* a stack: depth is bounded by MAX_DEPTH, not by recursion */
  size_t count, capacity;
  visited_set visited;
  const char *root;
} walk;

void mk_list_free(mk_list *list)
{
  for (size_t i = 0; i < list->count; ++i) mk_free(list->items[i]);
  mk_free(list->items);
  *list = (mk_list){0};
}

/* Takes over `text`, the name of something in `folder`, also when it fails. */
static mkd_status list_take(mk_list *list, char *text, const char *folder)
{
  if (list->count >= list->limit) {
    mk_free(text);
    return mk_fail(MKD_ERROR_DATA, "%s: has more files than the limit of %" PRIu64, folder,
                   list->limit);
  }
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    mkd_status status = mk_grow(&list->items, list->count, capacity, sizeof *list->items);
    if (status != MKD_OK) {
      mk_free(text);
      return status;
    }
    list->capacity = capacity;
  }
  list->items[list->count++] = text;
  return MKD_OK;
}

static int compare_texts(const void *left, const void *right)
{
  return strcmp(*(char *const *)left, *(char *const *)right);
}

static void list_sort(mk_list *list)
{
  if (list->count > 1) qsort(list->items, list->count, sizeof *list->items, compare_texts);
}

mkd_status mk_path_join(char **path, const char *folder, const char *name)
{
  size_t length = strlen(folder);
  const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
  return mk_text_format(path, "%s%s%s", folder, slash, name);
}

bool mk_image_name(const char *name)
{
  static const char *const extensions[] = {"jpg", "jpeg", "png", "tif", "tiff", "webp",
                                           "bmp", "pgm",  "ppm", "pbm", "pnm"};
  static const char *const results[] = {".map.tiff", ".overlay.png", ".mask.png"};
  const char *dot = strrchr(name, '.');
  if (!dot) return false;
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof results / sizeof *results; ++i) {
    size_t tail = strlen(results[i]);
    if (length >= tail && strcmp(name + length - tail, results[i]) == 0) return false;
  }
  for (size_t i = 0; i < sizeof extensions / sizeof *extensions; ++i)
    if (strcasecmp(dot + 1, extensions[i]) == 0) return true;
  return false;
}

mkd_status mk_is_folder(bool *yes, const char *path)
{
  struct stat info;
  *yes = false;
  if (stat(path, &info) == 0)
    *yes = S_ISDIR(info.st_mode);
  else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
    return mk_fail_reading(errno, path, "cannot look at it");
  return MKD_OK;
}

mkd_status mk_list_folder(mk_list *names, const char *folder)
{
  DIR *stream = opendir(folder);
  if (!stream) return mk_fail_reading(errno, folder, "cannot open the folder");
  mkd_status status = MKD_OK;
  while (status == MKD_OK) {
    errno = 0;
    const struct dirent *entry = readdir(stream);
    if (!entry) {
      if (errno != 0) status = mk_fail_reading(errno, folder, "cannot read the folder");
      break;
    }
    if (entry->d_name[0] == '.') continue;
    char *name;
    status = mk_text_copy(&name, entry->d_name);
    if (status == MKD_OK) status = list_take(names, name, folder);
  }
  closedir(stream);
  if (status == MKD_OK) list_sort(names);
  return status;
}

static size_t find_slot(const identity *slots, size_t capacity, identity key)
{
  uint64_t hash = ((uint64_t)key.inode ^ (uint64_t)key.device << 32) * 0x9E3779B97F4A7C15u;
  size_t i = (size_t)(hash >> 32) & (capacity - 1);
  while (slots[i].used && (slots[i].inode != key.inode || slots[i].device != key.device))
    i = (i + 1) & (capacity - 1);
  return i;
}

static mkd_status visited_grow(visited_set *set)
{
  size_t capacity = set->capacity ? 2 * set->capacity : 64; /* a power of 2 */
  identity *slots;
  MK_TRY(mk_alloc(&slots, capacity, sizeof *slots));
  for (size_t i = 0; i < set->capacity; ++i)
    if (set->slots[i].used) slots[find_slot(slots, capacity, set->slots[i])] = set->slots[i];
  mk_free(set->slots);
  set->slots = slots;
  set->capacity = capacity;
  return MKD_OK;
}

static mkd_status visited_add(visited_set *set, const struct stat *info, bool *is_new)
{
  if (2 * set->count >= set->capacity) MK_TRY(visited_grow(set));
  identity key = {info->st_dev, info->st_ino, true};
  size_t i = find_slot(set->slots, set->capacity, key);
  *is_new = !set->slots[i].used;
  set->slots[i] = key;
  set->count += *is_new;
  return MKD_OK;
}

/* Takes over `path`, also when it fails. */
static mkd_status push_folder(walk *w, char *path, int depth)
{
  mkd_status status = MKD_OK;
  if (depth > MAX_DEPTH)
    status = mk_fail(MKD_ERROR_DATA, "%s: folders are nested more than %d deep", path, MAX_DEPTH);
  if (status == MKD_OK && w->count == w->capacity) {
    size_t capacity = w->capacity ? 2 * w->capacity : 16;
    status = mk_grow(&w->items, w->count, capacity, sizeof *w->items);
    if (status == MKD_OK) w->capacity = capacity;
  }
  if (status != MKD_OK) {
    mk_free(path);
    return status;
  }
  w->items[w->count++] = (pending){path, depth};
  return MKD_OK;
}

/* Sorts one entry of a folder into files to list and folders to enter. */
static mkd_status walk_entry(walk *w, mk_list *files, const char *folder, const char *name,
                             int depth)
{
  char *path;
  bool is_folder;
  MK_TRY(mk_path_join(&path, folder, name));
  mkd_status status = mk_is_folder(&is_folder, path);
  if (status == MKD_OK && is_folder) return push_folder(w, path, depth);
  /* A broken link with the name of an image is listed: reading it says what is wrong. */
  if (status == MKD_OK && mk_image_name(name)) return list_take(files, path, w->root);
  mk_free(path);
  return status;
}

static mkd_status walk_folder(walk *w, mk_list *files, const char *folder, int depth)
{
  struct stat info;
  if (stat(folder, &info) != 0) return mk_fail_reading(errno, folder, "cannot open the folder");
  bool is_new;
  MK_TRY(visited_add(&w->visited, &info, &is_new));
  if (!is_new) return MKD_OK;
  mk_list names = {.limit = files->limit};
  mkd_status status = mk_list_folder(&names, folder);
  /* Pushed last to first, so that the stack yields folders in order: of two links to a folder, the
   * first is the one that counts. */
  for (size_t i = names.count; status == MKD_OK && i > 0; --i)
    status = walk_entry(w, files, folder, names.items[i - 1], depth + 1);
  mk_list_free(&names);
  return status;
}

mkd_status mk_walk_images(mk_list *paths, const char *folder)
{
  walk w = {.root = folder};
  char *root;
  MK_TRY(mk_text_copy(&root, folder));
  mkd_status status = push_folder(&w, root, 0);
  while (status == MKD_OK && w.count > 0) {
    pending next = w.items[--w.count];
    status = walk_folder(&w, paths, next.path, next.depth);
    mk_free(next.path);
  }
  for (size_t i = 0; i < w.count; ++i) mk_free(w.items[i].path);
  mk_free(w.items);
  mk_free(w.visited.slots);
  if (status == MKD_OK) list_sort(paths);
  return status;
}
