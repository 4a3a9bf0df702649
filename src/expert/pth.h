/* The two containers of torch.save. Only floating-point tensors are read; nothing is executed. */
#ifndef MK_EXPERT_PTH_H
#define MK_EXPERT_PTH_H

#include "core/safetensors.h"

/* The older format (until PyTorch 1.5, and on request since): five pickles - a magic number, the
 * version, the byte order, the tensors, the storages' keys - and then the storages. */
bool mk_pth_legacy_recognise(const uint8_t *data, size_t size);
mkd_status mk_pth_legacy_parse(mk_tensors *tensors, const uint8_t *data, size_t size);

/* A zip archive, with a pickle of the tensors and one entry for each storage. */
bool mk_pth_zip_recognise(const uint8_t *data, size_t size);
mkd_status mk_pth_zip_parse(mk_tensors *tensors, const uint8_t *data, size_t size);

#endif
