/* Rows for people, for programs and for spreadsheets. */
#ifndef ROWS_PRINT_H
#define ROWS_PRINT_H

#include "rows.h"

#include <stdio.h>

void rows_print_table(FILE *file, const experiment *e, const row *rows, size_t count);
void rows_print_csv(FILE *file, const experiment *e, const row *rows, size_t count);
void rows_print_json(FILE *file, const experiment *e, const row *rows, size_t count);

#endif
