#include "charts.h"

#include <math.h>

static double percent_place(const score_chart *chart, double score)
{
  return 100 * score_axis_place(&chart->axis, score);
}

static size_t above(const score_set *set, double threshold)
{
  size_t count = 0;
  while (count < set->count && set->scores[set->count - 1 - count] > threshold) ++count;
  return count;
}

/* ---- Histogram: places in percent of the width, heights in pixels ---------------------------- */

enum { BINS = 48, TOP = 24, PANEL = 96, BASE = TOP + PANEL, BOTTOM = BASE + PANEL };

static void count_bins(size_t counts[BINS], const score_axis *axis, const score_set *set)
{
  for (size_t i = 0; i < set->count; ++i) {
    int bin = (int)(BINS * score_axis_place(axis, set->scores[i]));
    ++counts[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1];
  }
}

static double greatest_share(const size_t counts[BINS], const score_set *set)
{
  size_t most = 0;
  for (int i = 0; i < BINS; ++i) most = counts[i] > most ? counts[i] : most;
  return (double)most / (double)set->count;
}

/* Bars from the base line upward (normal) or downward. */
static void draw_bars(FILE *out, const score_chart *chart, const size_t counts[BINS],
                      const score_set *set, double full, bool anomalous)
{
  fprintf(out, "<g class=\"bars-%s\">\n", anomalous ? "anomalous" : "normal");
  for (int i = 0; i < BINS; ++i) {
    if (counts[i] == 0) continue;
    double height = (PANEL - 4) * (double)counts[i] / (double)set->count / full;
    fprintf(out,
            "<rect x=\"%.3f%%\" y=\"%.1f\" width=\"%.3f%%\" height=\"%.1f\"><title>%zu %s, score "
            "%.3g to %.3g</title></rect>\n",
            100 * (i + 0.06) / BINS, anomalous ? BASE + 1 : BASE - 1 - height, 100 * 0.88 / BINS,
            height, counts[i], anomalous ? "anomalous" : "normal",
            score_axis_at(&chart->axis, (double)i / BINS),
            score_axis_at(&chart->axis, (i + 1.0) / BINS));
  }
  fputs("</g>\n", out);
}

static void draw_ticks(FILE *out, const score_chart *chart)
{
  double ticks[SCORE_AXIS_TICKS];
  score_axis_ticks(&chart->axis, ticks);
  for (int i = 0; i < SCORE_AXIS_TICKS; ++i) {
    double x = percent_place(chart, ticks[i]);
    fprintf(out,
            "<line class=\"grid\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"%d\" y2=\"%d\"/>"
            "<text x=\"%.3f%%\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n",
            x, x, TOP, BOTTOM + 5, x, BOTTOM + 20, ticks[i] + 0.0); /* no "-0" */
  }
  fprintf(out, "<text x=\"50%%\" y=\"%d\" text-anchor=\"middle\">anomaly score</text>\n",
          BOTTOM + 38);
}

static void draw_cut(FILE *out, const score_chart *chart)
{
  double x = percent_place(chart, chart->threshold);
  bool left = x < 50;
  fprintf(out,
          "<line data-cut class=\"cut-line\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"%d\" y2=\"%d\"/>\n"
          "<text data-cut class=\"cut-label\" x=\"%.3f%%\" y=\"14\" dx=\"%d\" text-anchor=\"%s\">"
          "threshold</text>\n",
          x, x, 4, BOTTOM, x, left ? 6 : -6, left ? "start" : "end");
}

void chart_histogram(FILE *out, const score_chart *chart)
{
  size_t normal[BINS] = {0}, anomalous[BINS] = {0};
  count_bins(normal, &chart->axis, &chart->normal);
  count_bins(anomalous, &chart->axis, &chart->anomalous);
  double full =
      fmax(greatest_share(normal, &chart->normal), greatest_share(anomalous, &chart->anomalous));
  double x = percent_place(chart, chart->threshold);
  fprintf(
      out,
      "<svg role=\"img\" aria-label=\"Histogram of scores. Normal images lie from %.3g to %.3g, "
      "anomalous ones from %.3g to %.3g, the threshold is %.4g.\">\n",
      chart->normal.scores[0], chart->normal.scores[chart->normal.count - 1],
      chart->anomalous.scores[0], chart->anomalous.scores[chart->anomalous.count - 1],
      chart->threshold);
  fprintf(out,
          "<rect data-cut class=\"zone\" x=\"%.3f%%\" y=\"%d\" width=\"%.3f%%\" height=\"%d\"/>\n",
          x, TOP, 100 - x, 2 * PANEL);
  draw_ticks(out, chart);
  draw_bars(out, chart, normal, &chart->normal, full, false);
  draw_bars(out, chart, anomalous, &chart->anomalous, full, true);
  fprintf(out, "<line class=\"axis\" x1=\"0%%\" x2=\"100%%\" y1=\"%d\" y2=\"%d\"/>\n", BASE, BASE);
  fprintf(out,
          "<text class=\"label-normal\" x=\"100%%\" y=\"%d\" dx=\"-6\" "
          "text-anchor=\"end\">normal</text>\n",
          TOP + 18);
  fprintf(out, "<text class=\"label-anomalous\" x=\"0%%\" y=\"%d\">anomalous</text>\n", BOTTOM - 8);
  draw_cut(out, chart);
  fputs("</svg>", out);
}

/* ---- Curves in the unit square --------------------------------------------------------------- */

enum { LEFT = 46, SIDE = 290, EDGE = 8, WIDTH = LEFT + SIDE + 14, HEIGHT = EDGE + SIDE + 42 };

static double curve_x(double value)
{
  return LEFT + SIDE * value;
}

static double curve_y(double value)
{
  return EDGE + SIDE * (1 - value);
}

static void begin_curve(FILE *out, const char *label, const char *x_name, const char *y_name)
{
  fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT,
          label);
  for (int i = 0; i <= 5; ++i) {
    double x = curve_x(i / 5.0), y = curve_y(i / 5.0);
    fprintf(out,
            "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%d\" y2=\"%d\"/>"
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.0f\" y2=\"%.0f\"/>"
            "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%d</text>"
            "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%d</text>\n",
            x, x, EDGE, EDGE + SIDE, LEFT, LEFT + SIDE, y, y, x, EDGE + SIDE + 18, 20 * i, LEFT - 8,
            y + 4, 20 * i);
  }
  fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s, %%</text>\n", LEFT + SIDE / 2,
          HEIGHT - 6, x_name);
  fprintf(out,
          "<text transform=\"translate(12 %d) rotate(-90)\" text-anchor=\"middle\">%s, %%</text>\n",
          EDGE + SIDE / 2, y_name);
}

/* The point of the threshold; not shown where it has no y. */
static void end_curve(FILE *out, const char *id, double x, double y)
{
  bool there = !isnan(y);
  fprintf(
      out,
      "<circle class=\"ring\" id=\"%s\" data-left=\"%d\" data-top=\"%d\" data-side=\"%d\" r=\"6\" "
      "cx=\"%.1f\" cy=\"%.1f\"%s/>\n</svg>",
      id, LEFT, EDGE, SIDE, curve_x(x), curve_y(there ? y : 0),
      there ? "" : " style=\"display: none\"");
}

/* Walks down the scores of both classes: how many are at least as high as the next lower one. */
typedef struct {
  const score_chart *chart;
  size_t alarms, found;
} walk;

static bool step(walk *w)
{
  const score_set *normal = &w->chart->normal, *anomalous = &w->chart->anomalous;
  double score = -INFINITY;
  if (w->alarms == normal->count && w->found == anomalous->count) return false;
  if (w->alarms < normal->count) score = normal->scores[normal->count - 1 - w->alarms];
  if (w->found < anomalous->count)
    score = fmax(score, anomalous->scores[anomalous->count - 1 - w->found]);
  while (w->alarms < normal->count && normal->scores[normal->count - 1 - w->alarms] == score)
    ++w->alarms;
  while (w->found < anomalous->count && anomalous->scores[anomalous->count - 1 - w->found] == score)
    ++w->found;
  return true;
}

static void roc_points(FILE *out, const score_chart *chart)
{
  walk w = {.chart = chart};
  fprintf(out, "M%.1f %.1f", curve_x(0), curve_y(0));
  while (step(&w))
    fprintf(out, "L%.1f %.1f", curve_x((double)w.alarms / (double)chart->normal.count),
            curve_y((double)w.found / (double)chart->anomalous.count));
}

void chart_roc(FILE *out, const score_chart *chart)
{
  begin_curve(out, "ROC curve", "false alarms", "detected");
  fprintf(out, "<line class=\"guess\" x1=\"%.0f\" y1=\"%.0f\" x2=\"%.0f\" y2=\"%.0f\"/>\n",
          curve_x(0), curve_y(0), curve_x(1), curve_y(1));
  fputs("<path class=\"under\" d=\"", out);
  roc_points(out, chart);
  fprintf(out, "V%.1fZ\"/>\n<path class=\"curve\" d=\"", curve_y(0));
  roc_points(out, chart);
  fputs("\"/>\n", out);
  end_curve(out, "roc-ring",
            (double)above(&chart->normal, chart->threshold) / (double)chart->normal.count,
            (double)above(&chart->anomalous, chart->threshold) / (double)chart->anomalous.count);
}

/* Steps, as average precision is the area under steps. */
static void precision_points(FILE *out, const score_chart *chart)
{
  walk w = {.chart = chart};
  size_t found = 0;
  while (step(&w)) {
    if (w.found == found) continue;
    double y = curve_y((double)w.found / (double)(w.found + w.alarms));
    if (found == 0)
      fprintf(out, "M%.1f %.1f", curve_x(0), y);
    else
      fprintf(out, "V%.1f", y);
    found = w.found;
    fprintf(out, "H%.1f", curve_x((double)found / (double)chart->anomalous.count));
  }
}

void chart_precision_recall(FILE *out, const score_chart *chart)
{
  double all = (double)(chart->anomalous.count + chart->normal.count);
  double guess = (double)chart->anomalous.count / all;
  begin_curve(out, "Precision-recall curve", "detected (recall)", "precision");
  fprintf(out, "<line class=\"guess\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\"/>\n",
          curve_x(0), curve_y(guess), curve_x(1), curve_y(guess));
  fputs("<path class=\"under\" d=\"", out);
  precision_points(out, chart);
  fprintf(out, "V%.1fH%.1fZ\"/>\n<path class=\"curve\" d=\"", curve_y(0), curve_x(0));
  precision_points(out, chart);
  fputs("\"/>\n", out);
  double found = (double)above(&chart->anomalous, chart->threshold);
  double alarms = (double)above(&chart->normal, chart->threshold);
  end_curve(out, "pr-ring", found / (double)chart->anomalous.count,
            found + alarms > 0 ? found / (found + alarms) : NAN);
}

/* ---- Small ones ------------------------------------------------------------------------------ */

void chart_strip(FILE *out, const score_chart *chart, const score_set *set, bool anomalous)
{
  fprintf(out, "<svg role=\"img\" aria-label=\"scores from %.3g to %.3g\">", set->scores[0],
          set->scores[set->count - 1]);
  fputs("<line class=\"grid\" x1=\"0%\" x2=\"100%\" y1=\"11\" y2=\"11\"/>", out);
  double last = -1;
  for (size_t i = 0; i < set->count; ++i) {
    double x = percent_place(chart, set->scores[i]);
    if (x - last < 0.05) continue; /* one could not see it */
    last = x;
    fprintf(out, "<line class=\"mark-%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"4\" y2=\"18\"/>",
            anomalous ? "anomalous" : "normal", x, x);
  }
  double x = percent_place(chart, chart->threshold);
  fprintf(
      out,
      "<line data-cut class=\"cut-line\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"0\" y2=\"22\"/></svg>", x,
      x);
}

void chart_interval(FILE *out, const mkd_interval *interval)
{
  fprintf(
      out,
      "<svg aria-hidden=\"true\"><line class=\"bar-track\" x1=\"0%%\" x2=\"100%%\" y1=\"5\" "
      "y2=\"5\"/><line class=\"bar-range\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"5\" y2=\"5\"/><line "
      "class=\"bar-value\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"10\"/></svg>",
      100 * interval->low, 100 * interval->high, 100 * interval->value, 100 * interval->value);
}
