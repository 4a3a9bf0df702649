/* Retinal OCT images: a folder for each split, in it a folder for each diagnosis. */
#include "eval/dataset.h"

#include "core/memory.h"
#include "eval/walk.h"

#include <string.h>

static mkd_status add_classes(mkd_dataset *dataset, const char *folder, const mk_list *names,
                              bool *normal)
{
  for (size_t i = 0; i < names->count; ++i) {
    bool is_normal = strcmp(names->items[i], "NORMAL") == 0;
    char *path;
    MK_TRY(mk_path_join(&path, folder, names->items[i]));
    bool is_folder;
    mkd_status status = mk_is_folder(&is_folder, path);
    if (status == MKD_OK && is_folder) {
      status = mk_dataset_add_folder(dataset, path, names->items[i], !is_normal);
      *normal = *normal || is_normal;
    }
    mk_free(path);
    if (status != MKD_OK) return status;
  }
  return MKD_OK;
}

mkd_status mk_dataset_read_oct(mkd_dataset *dataset, const char *folder, mkd_split split)
{
  const char *name = split == MKD_SPLIT_TRAIN ? "train" : "test";
  mk_list names = {.limit = dataset->limits.max_files};
  bool normal = false;
  char *path;
  MK_TRY(mk_path_join(&path, folder, name));
  mkd_status status = mk_list_folder(&names, path);
  if (status == MKD_OK) status = add_classes(dataset, path, &names, &normal);
  if (status == MKD_OK && !normal)
    status = mk_fail(MKD_ERROR_DATA,
                     "%s: has no folder NORMAL; expected NORMAL, and a folder for "
                     "each disease",
                     path);
  mk_list_free(&names);
  mk_free(path);
  return status;
}
