/* Charts as inline SVG. Colours and line widths are those of the page's style sheet; what shows the
 * threshold is marked for its script. */
#ifndef CHARTS_H
#define CHARTS_H

#include "score_axis.h"

#include <mkd/mkd.h>

#include <stdio.h>

typedef struct {
  score_set normal, anomalous;
  double threshold;
  score_axis axis;
} score_chart;

/* Shares of the images of each class by score: normal ones upward, anomalous ones downward. */
void chart_histogram(FILE *out, const score_chart *chart);

void chart_roc(FILE *out, const score_chart *chart);
void chart_precision_recall(FILE *out, const score_chart *chart);

/* A mark for each score of `set`, and the threshold. */
void chart_strip(FILE *out, const score_chart *chart, const score_set *set, bool anomalous);

/* An interval within 0..1. */
void chart_interval(FILE *out, const mkd_interval *interval);

#endif
