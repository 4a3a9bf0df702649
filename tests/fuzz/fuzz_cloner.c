/* Plans of cloners, for an expert with two critical points. */
#include "fuzz.h"

#include "core/memory.h"
#include "distill/cloner.h"

#include <stdlib.h>
#include <string.h>

static mk_graph *make_expert(void)
{
  mk_graph *graph;
  int at = 0;
  const mk_conv first = {6, 3, 2, 1, MK_PAD_SAME, 0, true},
                second = {8, 3, 1, 1, MK_PAD_SAME, 0, true};
  if (mk_graph_create(&graph, 3) != MKD_OK ||
      mk_graph_conv(graph, &at, at, &first, "a") != MKD_OK ||
      mk_graph_conv(graph, &at, at, &second, "b") != MKD_OK)
    abort();
  return graph;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static mk_graph *expert;
  char a[] = "a", b[] = "b";
  const mk_point_list points = {.names = {a, b}, .count = 2};
  mk_rng rng = mk_rng_seed(0, 0);
  mk_graph *cloner;
  int outputs[MK_MAX_POINTS];
  char *plan;
  if (!expert) expert = make_expert();
  if (size > 4096 || memchr(data, 0, size) ||
      mk_text_copy_n(&plan, (const char *)data, size) != MKD_OK)
    return 0;
  if (mk_cloner_create(&cloner, outputs, plan, expert, &points, MK_INIT_XAVIER, &rng) == MKD_OK)
    mk_graph_destroy(cloner);
  mk_free(plan);
  return 0;
}
