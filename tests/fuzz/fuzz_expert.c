/* Expert files, and what `mkd info` makes of them. */
#include "fuzz.h"

#include <mkd/mkd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *path = file_with(data, size);
  mkd_expert *expert;
  char *json;
  if (mkd_expert_load(&expert, path, NULL) == MKD_OK) mkd_expert_destroy(expert);
  if (mkd_describe(&json, path, NULL) == MKD_OK) mkd_text_free(json);
  return 0;
}
