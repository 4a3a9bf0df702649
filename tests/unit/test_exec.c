/* What an exec refuses, and that it refuses cleanly. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <limits.h>
#include <string.h>

#include "nn/exec.h"

/* 3 -> 3x3 conv 8 (1) -> relu (2) -> pool 2/2 (3) -> 3x3 conv 8, no padding (4) */
static mk_graph *sample(void)
{
  mk_graph *g;
  assert_int_equal(mk_graph_create(&g, 3), MKD_OK);
  assert_int_equal(mk_graph_conv(g, NULL, 0, &(mk_conv){8, 3, 1, 1, MK_PAD_EXPLICIT, 1, true}, "a"),
                   MKD_OK);
  assert_int_equal(mk_graph_activation(g, NULL, 1, MK_OP_RELU, NULL), MKD_OK);
  assert_int_equal(mk_graph_max_pool(g, NULL, 2, 2, 2, "p"), MKD_OK);
  assert_int_equal(mk_graph_conv(g, NULL, 3, &(mk_conv){8, 3, 1, 1, MK_PAD_EXPLICIT, 0, true}, "b"),
                   MKD_OK);
  return g;
}

/* Status of an exec of the graph; the error text has to hold `text`. */
static void assert_refused(const mk_graph *graph, const int *outputs, int count,
                           mk_exec_options options, mkd_status expected, const char *text)
{
  mk_net *net;
  mk_exec *exec = NULL;
  assert_int_equal(mk_net_create(&net, graph, mk_kernels_best()), MKD_OK);
  assert_int_equal(mk_exec_create(&exec, net, outputs, count, &options), expected);
  assert_null(exec);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' is not in '%s'", text, mkd_last_error());
  mk_net_destroy(net);
}

static void absurd_options_are_refused(void **state)
{
  (void)state;
  mk_graph *g = sample();
  const mkd_status argument = MKD_ERROR_ARGUMENT, memory = MKD_ERROR_MEMORY;
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){0, 16, 16, true, true, 0, NULL}, argument,
                 "batch");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){-1, 16, 16, true, true, 0, NULL}, argument,
                 "batch");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){1, 0, 16, true, true, 0, NULL}, argument,
                 "16x0");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){1, 16, -5, true, true, 0, NULL}, argument,
                 "-5x16");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){1, 65537, 9, true, true, 0, NULL}, argument,
                 "65537");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){1, 5, 5, true, true, 0, NULL}, argument,
                 "'b'");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){1, 1, 1, true, true, 0, NULL}, argument,
                 "'p'");
  assert_refused(g, (int[]){4}, 1, (mk_exec_options){INT_MAX, 65536, 65536, true, true, 0, NULL},
                 memory, "");
  assert_refused(g, (int[]){4, 1}, 2,
                 (mk_exec_options){1 << 20, 65536, 65536, false, false, 0, NULL}, memory, "");
  assert_refused(g, (int[]){5}, 1, (mk_exec_options){1, 16, 16, true, true, 0, NULL}, argument,
                 "output 0");
  assert_refused(g, (int[]){4, -1}, 2, (mk_exec_options){1, 16, 16, true, true, 0, NULL}, argument,
                 "output 1");
  assert_refused(g, (int[]){4, 4}, 2, (mk_exec_options){1, 16, 16, true, true, 0, NULL}, argument,
                 "twice");
  assert_refused(g, (int[]){3}, 1, (mk_exec_options){1, 16, 16, true, true, 0, NULL}, argument,
                 "'b' serves no output");
  mk_graph_destroy(g);
}

static void graphs_that_cannot_run_are_refused(void **state)
{
  (void)state;
  mk_graph *g = sample();
  mk_exec_options options = {1, 16, 16, true, true, 0, NULL};
  int last;
  assert_int_equal(mk_graph_add(g, &last, 2, 4, "sum"), MKD_OK);
  assert_refused(g, &last, 1, options, MKD_ERROR_FILE, "'sum'");
  mk_graph_destroy(g);

  assert_int_equal(mk_graph_create(&g, 3), MKD_OK);
  assert_int_equal(
      mk_graph_conv(g, &last, 0, &(mk_conv){4, 17, 1, 1, MK_PAD_EXPLICIT, 8, false}, "wide"),
      MKD_OK);
  assert_refused(g, &last, 1, options, MKD_ERROR_FILE, "'wide'");
  mk_graph_destroy(g);
}

static void shapes_are_told_without_an_exec(void **state)
{
  (void)state;
  mk_graph *g = sample();
  mk_shape shape = {0, 0, 0};
  assert_int_equal(mk_graph_shape(g, 4, 17, 32, &shape), MKD_OK);
  assert_int_equal(shape.height, 6);
  assert_int_equal(shape.width, 14);
  assert_int_equal(shape.channels, 8);
  assert_int_equal(mk_graph_shape(g, 4, 17, 5, &shape), MKD_ERROR_ARGUMENT);
  assert_int_equal(mk_graph_shape(g, 4, INT_MAX, INT_MAX, &shape), MKD_ERROR_ARGUMENT);
  assert_int_equal(shape.width, 14); /* written on success alone */
  mk_graph_destroy(g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(absurd_options_are_refused),
      cmocka_unit_test(graphs_that_cannot_run_are_refused),
      cmocka_unit_test(shapes_are_told_without_an_exec),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
