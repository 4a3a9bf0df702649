/* Pre-trained weights from a file of any supported kind, which its content tells. */
#ifndef MK_EXPERT_WEIGHTS_H
#define MK_EXPERT_WEIGHTS_H

#include "core/hash.h"
#include "core/safetensors.h"

/* Reads all floating-point tensors. A prefix that all names share because the model was wrapped
 * ("module.", "model.", ...) is taken off. A file of more than `max_bytes` is an error. `sha256`,
 * which may be NULL, gets the digest of the file. */
mkd_status mk_weights_read(mk_tensors *tensors, const char *path, uint64_t max_bytes,
                           char sha256[MK_SHA256_HEX]);

#endif
