/* Pickles, without the containers that they come in. */
#include "fuzz.h"

#include "expert/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t used;
  mk_pickle pickle = {0};
  if (mk_pickle_read(&pickle, data, size, &used) == MKD_OK)
    (void)mk_pickle_get(&pickle, &pickle.values[pickle.root], "state_dict");
  mk_pickle_free(&pickle);
  return 0;
}
