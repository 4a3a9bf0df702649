/* What an mkd_expert is: a frozen network, and how its input is made from grey levels. */
#ifndef MK_EXPERT_EXPERT_H
#define MK_EXPERT_EXPERT_H

#include "core/hash.h"
#include "core/safetensors.h"
#include "nn/graph.h"

enum { MK_ARCH_MAX = 32 };

struct mkd_expert {
  mk_graph *graph;            /* 3 input channels (R, G, B), no batch norm */
  char arch[MK_ARCH_MAX];     /* "vgg16", "efficientnet-lite0", ... */
  float mean[3], std[3];      /* of R, G, B: the input is (v - mean) / std for v in 0..255 */
  int input_size;             /* width and height that the network was trained with, pixels */
  char sha256[MK_SHA256_HEX]; /* of the file of weights that it was imported from */
  uint8_t *file;              /* that the graph's numbers may lie in; or NULL */
};

/* The expert as tensors (see nn/graph_tensors.h) and metadata, all names with the prefix, and back;
 * what is read is hostile until checked. */
mkd_status mk_expert_to_tensors(mk_tensors *tensors, const mkd_expert *expert, const char *prefix);
mkd_status mk_expert_from_tensors(mkd_expert **expert, const mk_tensors *tensors,
                                  const char *prefix);

#endif
