/* The results of mkd eval, and printing them. */
#ifndef EVAL_ROWS_H
#define EVAL_ROWS_H

#include <mkd/mkd.h>

/* Metrics of all kinds together (name NULL), or of the normal images against one kind. */
typedef struct {
  const char *name;
  mkd_metrics metrics;
} eval_row;

/* The row of all kinds is the last one. */
void eval_print_json(const eval_row *rows, size_t count, const char *model, const char *data);
void eval_print_table(const eval_row *rows, size_t count);

#endif
