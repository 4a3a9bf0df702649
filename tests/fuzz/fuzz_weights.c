/* Pre-trained weights: .pth of both formats, and safetensors. */
#include "fuzz.h"

#include <mkd/mkd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  mkd_expert *expert;
  if (mkd_expert_import(&expert, file_with(data, size), NULL, NULL) == MKD_OK)
    mkd_expert_destroy(expert);
  return 0;
}
