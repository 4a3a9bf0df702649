/* Bars with error bars, as an SVG file that needs nothing else and suits light and dark pages. */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>
#include <stdio.h>

enum { PLOT_MAX_SERIES = 6 };

/* `mean` NAN is no bar, `deviation` NAN no error bar. */
typedef struct {
  double mean, deviation;
} plot_bar;

typedef struct {
  const char *title, *axis;  /* of the figure and of its vertical axis */
  const char *const *groups; /* names along the horizontal axis */
  const char *const *series; /* names in the legend, of the bars of each group */
  size_t group_count, series_count;
  const plot_bar *bars; /* [group][series], 0 .. 100 */
} bar_plot;

void plot_write(FILE *file, const bar_plot *plot);

#endif
