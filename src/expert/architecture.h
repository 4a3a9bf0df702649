/* The architectures whose weights can be imported: each knows the names that its tensors have, and
 * builds its graph from them. */
#ifndef MK_EXPERT_ARCHITECTURE_H
#define MK_EXPERT_ARCHITECTURE_H

#include "core/safetensors.h"
#include "expert/expert.h"

/* Fills all of the expert but its digest; the graph still has its batch norm. `arch` is a name, or
 * NULL to tell it from the tensors. Errors name the first tensor that is missing, of another shape
 * than expected, or not finite. */
mkd_status mk_architecture_build(mkd_expert *expert, const mk_tensors *tensors, const char *arch);

/* ---- For the architectures themselves -------------------------------------------------------- */

/* A family of architectures. */
typedef struct {
  /* Whether one of the family has that name. */
  bool (*knows)(const char *arch);
  /* Whether the tensors are those of the family; writes the name. */
  bool (*recognises)(char arch[MK_ARCH_MAX], const mk_tensors *tensors);
  mkd_status (*build)(mkd_expert *expert, const mk_tensors *tensors, const char *arch);
  const char *names; /* for error texts */
} mk_family;

extern const mk_family mk_family_vgg, mk_family_efficientnet_lite;

/* Appends the convolution with weights "<tensor>.weight" and, when conv->bias, "<tensor>.bias".
 * conv->channels may be 0: then the tensor tells. */
mkd_status mk_build_conv(mk_graph *graph, int *index, int src, mk_conv conv,
                         const mk_tensors *tensors, const char *tensor, const char *name);

/* Appends batch norm from "<tensor>.weight", ".bias", ".running_mean" and ".running_var". */
mkd_status mk_build_batch_norm(mk_graph *graph, int *index, int src, float epsilon,
                               const mk_tensors *tensors, const char *tensor, const char *name);

/* mk_tensors_find for "<tensor><suffix>". */
const mk_tensor *mk_find_part(const mk_tensors *tensors, const char *tensor, const char *suffix);

#endif
