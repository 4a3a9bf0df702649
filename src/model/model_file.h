/* Detectors in files. The format is described in docs/model-format.md. */
#ifndef MK_MODEL_MODEL_FILE_H
#define MK_MODEL_MODEL_FILE_H

#include "core/safetensors.h"
#include "detect/detector.h"

enum { MK_MODEL_VERSION = 2 };

/* True when the tensors come from a model file of any version. */
bool mk_model_recognise(const mk_tensors *tensors);

/* `name` is for error texts. Everything is checked: what loads can be scored with. */
mkd_status mk_model_from_tensors(mkd_detector **detector, const mk_tensors *tensors,
                                 const char *name);

#endif
