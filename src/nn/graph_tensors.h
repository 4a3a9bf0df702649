/* A graph in a file of tensors: its operations as JSON in the metadata "<prefix>graph", and the
 * weights as tensors in the graph's order, named "<prefix><operation>.weight", ".bias",
 * ".running_mean" and ".running_var". <operation> is the operation's name, or "op<index>" when it
 * has none. */
#ifndef MK_NN_GRAPH_TENSORS_H
#define MK_NN_GRAPH_TENSORS_H

#include "core/safetensors.h"
#include "nn/graph.h"

mkd_status mk_graph_to_tensors(mk_tensors *tensors, const mk_graph *graph, const char *prefix);

/* Fails, naming the tensor, when one is missing, has another shape than the operations ask for, or
 * holds a NaN or infinity. Other tensors are ignored. Of tensors that lie in the set's file, the
 * graph uses the numbers there: the file has to outlive it. */
mkd_status mk_graph_from_tensors(mk_graph **graph, const mk_tensors *tensors, const char *prefix);

#endif
