/* Folders of images: the layout of MVTec AD, with masks, or any other. */
#include "eval/dataset.h"

#include "core/memory.h"
#include "eval/walk.h"

#include <stdlib.h>
#include <string.h>

#define LAYOUT                                                                                     \
  "expected the layout of MVTec AD: train/good/*, test/good/*, test/<kind of defect>/*, and, if "  \
  "there are masks, ground_truth/<kind of defect>/<name>_mask.*"

/* An image by the name that its mask refers to: the path below test/, without extension. */
typedef struct {
  char *stem;
  size_t image;
} named;

typedef struct {
  named *items; /* sorted by stem */
  size_t count;
} name_index;

static mkd_status open_file(mkd_dataset *dataset, const char *path, mkd_split split)
{
  if (split == MKD_SPLIT_TEST)
    return mk_fail(MKD_ERROR_DATA, "%s: is a file, which tells no label; " LAYOUT, path);
  return mk_dataset_add(dataset, path, split == MKD_SPLIT_TRAIN ? "good" : "", false);
}

/* ---- Training images ------------------------------------------------------------------------- */

static mkd_status is_folder_in(bool *yes, const char *folder, const char *name)
{
  char *path;
  MK_TRY(mk_path_join(&path, folder, name));
  mkd_status status = mk_is_folder(yes, path);
  mk_free(path);
  return status;
}

/* Appends ", name" to `*text`, and "..." in place of the names after the tenth. */
static mkd_status append_category(char **text, size_t count, const char *name)
{
  enum { SHOWN = 10 };
  if (count > SHOWN) return MKD_OK;
  char *longer;
  MK_TRY(mk_text_format(&longer, "%s%s%s", *text ? *text : "", *text ? ", " : "",
                        count == SHOWN ? "..." : name));
  mk_free(*text);
  *text = longer;
  return MKD_OK;
}

/* Training on all categories at once, test images and masks included, is never what is meant. */
static mkd_status refuse_categories(const mkd_dataset *dataset, const char *folder)
{
  mk_list names = {.limit = dataset->limits.max_files};
  char *found = NULL, *example = NULL;
  size_t count = 0;
  mkd_status status = mk_list_folder(&names, folder);
  for (size_t i = 0; status == MKD_OK && i < names.count; ++i) {
    char *path;
    bool is_category = false;
    status = mk_path_join(&path, folder, names.items[i]);
    if (status != MKD_OK) break;
    status = is_folder_in(&is_category, path, "train/good");
    if (status == MKD_OK && is_category) {
      status = append_category(&found, count++, names.items[i]);
      if (!example) {
        example = path;
        path = NULL;
      }
    }
    mk_free(path);
  }
  if (status == MKD_OK && count > 0)
    status = mk_fail(MKD_ERROR_DATA,
                     "%s: holds data sets in MVTec AD layout (%s); name one, for "
                     "example %s",
                     folder, found, example);
  mk_list_free(&names);
  mk_free(found);
  mk_free(example);
  return status;
}

static mkd_status open_train(mkd_dataset *dataset, const char *folder)
{
  bool train, good, masks, test_good;
  MK_TRY(is_folder_in(&train, folder, "train"));
  MK_TRY(is_folder_in(&good, folder, "train/good"));
  if (good) {
    char *path;
    MK_TRY(mk_path_join(&path, folder, "train/good"));
    mkd_status status = mk_dataset_add_folder(dataset, path, "good", false);
    mk_free(path);
    return status;
  }
  if (train)
    return mk_fail(MKD_ERROR_DATA,
                   "%s: has a folder train, but no train/good; put the normal "
                   "images there, or name a folder of normal images",
                   folder);
  MK_TRY(is_folder_in(&masks, folder, "ground_truth"));
  MK_TRY(is_folder_in(&test_good, folder, "test/good"));
  if (masks || test_good)
    return mk_fail(MKD_ERROR_DATA,
                   "%s: has test images, but no train/good; put the normal images "
                   "there, or name a folder of normal images",
                   folder);
  MK_TRY(refuse_categories(dataset, folder));
  return mk_dataset_add_folder(dataset, folder, "good", false);
}

/* ---- Test images and their masks ------------------------------------------------------------- */

/* Length of a path without the extension of its last name. */
static size_t stem_length(const char *path)
{
  const char *dot = strrchr(path, '.');
  return dot ? (size_t)(dot - path) : strlen(path);
}

static int compare_named(const void *left, const void *right)
{
  const named *a = left, *b = right;
  int order = strcmp(a->stem, b->stem);
  return order != 0 ? order : (a->image > b->image) - (a->image < b->image);
}

static int compare_stem(const void *key, const void *element)
{
  return strcmp(key, ((const named *)element)->stem);
}

static void index_free(name_index *index)
{
  for (size_t i = 0; i < index->count; ++i) mk_free(index->items[i].stem);
  mk_free(index->items);
}

/* `skip` is the length of the path of test/, with its slash. */
static mkd_status index_images(name_index *index, const mkd_dataset *dataset, size_t skip)
{
  MK_TRY(mk_alloc(&index->items, dataset->count, sizeof *index->items));
  index->count = dataset->count;
  for (size_t i = 0; i < dataset->count; ++i) {
    const char *relative = dataset->entries[i].path + skip;
    index->items[i].image = i;
    MK_TRY(mk_text_copy_n(&index->items[i].stem, relative, stem_length(relative)));
  }
  qsort(index->items, index->count, sizeof *index->items, compare_named);
  return MKD_OK;
}

/* The first image of that name, or NULL. */
static const named *find_name(const name_index *index, const char *stem)
{
  const named *found =
      bsearch(stem, index->items, index->count, sizeof *index->items, compare_stem);
  while (found && found > index->items && strcmp(found[-1].stem, stem) == 0) --found;
  return found;
}

/* The image that a mask named <stem>_mask or <stem> belongs to, or NULL. Cuts `stem`. */
static const named *find_image(const name_index *index, char *stem)
{
  static const char suffix[] = "_mask";
  size_t length = strlen(stem), tail = sizeof suffix - 1;
  if (length > tail && strcmp(stem + length - tail, suffix) == 0) {
    stem[length - tail] = 0;
    const named *found = find_name(index, stem);
    if (found) return found;
    stem[length - tail] = suffix[0];
  }
  return find_name(index, stem);
}

static mkd_status pair_mask(mkd_dataset *dataset, const name_index *index, const char *mask,
                            const char *relative)
{
  char *stem;
  MK_TRY(mk_text_copy_n(&stem, relative, stem_length(relative)));
  const named *found = find_image(index, stem), *end = index->items + index->count;
  bool ambiguous = found && found + 1 < end && strcmp(found[1].stem, found->stem) == 0;
  mk_free(stem);
  if (!found)
    return mk_fail(MKD_ERROR_DATA,
                   "%s: is a mask of no image; expected an image test/<kind>/<name>.* for a mask "
                   "ground_truth/<kind>/<name>_mask.* or ground_truth/<kind>/<name>.*",
                   mask);
  mk_dataset_entry *e = &dataset->entries[found->image];
  if (ambiguous)
    return mk_fail(MKD_ERROR_DATA,
                   "%s: could be the mask of %s and of %s; give the images different names", mask,
                   e->path, dataset->entries[found[1].image].path);
  if (e->mask)
    return mk_fail(MKD_ERROR_DATA, "%s: is a second mask of %s, beside %s", mask, e->path, e->mask);
  return mk_text_copy(&e->mask, mask);
}

/* A kind of defect has all its masks or none. Entries of a kind are neighbours. */
static mkd_status check_complete(const mkd_dataset *dataset)
{
  for (size_t first = 0, end; first < dataset->count; first = end) {
    const char *kind = dataset->entries[first].kind;
    const mk_dataset_entry *with = NULL, *without = NULL;
    for (end = first; end < dataset->count && strcmp(dataset->entries[end].kind, kind) == 0;
         ++end) {
      const mk_dataset_entry *e = &dataset->entries[end];
      if (e->mask)
        with = e;
      else if (!without)
        without = e;
    }
    if (with && without && with->anomalous)
      return mk_fail(MKD_ERROR_DATA,
                     "%s: has no mask in ground_truth/%s, where other images of "
                     "this kind have one; expected <name>_mask.* or <name>.*",
                     without->path, kind);
  }
  return MKD_OK;
}

static mkd_status pair_masks(mkd_dataset *dataset, const char *truth, size_t skip)
{
  name_index index = {0};
  mk_list masks = {.limit = dataset->limits.max_files};
  mkd_status status = index_images(&index, dataset, skip);
  if (status == MKD_OK) status = mk_walk_images(&masks, truth);
  for (size_t i = 0; status == MKD_OK && i < masks.count; ++i)
    status = pair_mask(dataset, &index, masks.items[i], masks.items[i] + strlen(truth) + 1);
  if (status == MKD_OK) status = check_complete(dataset);
  mk_list_free(&masks);
  index_free(&index);
  return status;
}

static mkd_status label(mkd_dataset *dataset, size_t skip)
{
  for (size_t i = 0; i < dataset->count; ++i) {
    mk_dataset_entry *e = &dataset->entries[i];
    const char *relative = e->path + skip, *slash = strchr(relative, '/');
    if (!slash)
      return mk_fail(MKD_ERROR_DATA, "%s: lies in no folder that tells its kind; " LAYOUT, e->path);
    mk_free(e->kind);
    MK_TRY(mk_text_copy_n(&e->kind, relative, (size_t)(slash - relative)));
    e->anomalous = strcmp(e->kind, "good") != 0;
  }
  return MKD_OK;
}

static mkd_status open_test(mkd_dataset *dataset, const char *folder)
{
  char *test, *truth = NULL;
  MK_TRY(mk_path_join(&test, folder, "test"));
  size_t skip = strlen(test) + 1;
  bool has_test, has_truth = false;
  mkd_status status = mk_is_folder(&has_test, test);
  if (status == MKD_OK && !has_test)
    status = mk_fail(MKD_ERROR_DATA, "%s: has no folder test; " LAYOUT, folder);
  if (status == MKD_OK) status = mk_dataset_add_folder(dataset, test, "", false);
  if (status == MKD_OK) status = label(dataset, skip);
  if (status == MKD_OK) status = mk_path_join(&truth, folder, "ground_truth");
  if (status == MKD_OK) status = mk_is_folder(&has_truth, truth);
  if (status == MKD_OK && has_truth) status = pair_masks(dataset, truth, skip);
  mk_free(test);
  mk_free(truth);
  return status;
}

mkd_status mk_dataset_read_folder(mkd_dataset *dataset, const char *folder, mkd_split split)
{
  bool is_folder;
  MK_TRY(mk_is_folder(&is_folder, folder));
  if (!is_folder) return open_file(dataset, folder, split);
  if (split == MKD_SPLIT_TRAIN) return open_train(dataset, folder);
  if (split == MKD_SPLIT_TEST) return open_test(dataset, folder);
  if (split == MKD_SPLIT_ALL) return mk_dataset_add_folder(dataset, folder, "", false);
  return mk_fail(MKD_ERROR_ARGUMENT, "data set: there is no split %d", (int)split);
}
