/* Brain MRI images: a folder of those with a tumour, and one of those without. */
#include "eval/dataset.h"

#include "core/memory.h"
#include "eval/walk.h"

static mkd_status add_answer(mkd_dataset *dataset, const char *folder, const char *answer,
                             bool anomalous)
{
  char *path;
  MK_TRY(mk_path_join(&path, folder, answer));
  mkd_status status = mk_dataset_add_folder(dataset, path, answer, anomalous);
  mk_free(path);
  return status;
}

mkd_status mk_dataset_read_brain_mri(mkd_dataset *dataset, const char *folder)
{
  MK_TRY(add_answer(dataset, folder, "no", false));
  return add_answer(dataset, folder, "yes", true);
}
