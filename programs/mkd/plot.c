#include "plot.h"

#include "html.h"
#include "output.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Pixels. */
enum {
  LEFT = 64,
  RIGHT = 24,
  TOP = 48, /* title */
  LEGEND_ROW = 22,
  HEIGHT = 280, /* of the area with the bars */
  BAR = 26,
  NARROW_BAR = 12,
  GAP = 30, /* between groups */
  LEAST_WIDTH = 520,
  LETTER = 7,  /* about the mean width of one */
  CROWDED = 24 /* bars that still have room for their values */
};

typedef struct {
  const bar_plot *plot;
  FILE *file;
  int bar, group, width, height; /* of a bar, a group with its gap, the figure */
  int legend_rows, legend_columns, legend_cell;
  int base;     /* y of the horizontal axis */
  bool slanted; /* names of groups */
  double low;   /* the value at the horizontal axis; 100 is at the top */
} layout;

/* Colours that differ for the colour-blind, too, and stand out from white and from black. */
static const char *const colours[PLOT_MAX_SERIES] = {"#2f7ed8", "#e8a202", "#12a37a",
                                                     "#c86da8", "#7a6ff0", "#e0632a"};

/* 50 is what chance gives: bars grow from there, or from below the shortest one. */
static double lowest(const bar_plot *plot)
{
  double low = 50;
  for (size_t i = 0; i < plot->group_count * plot->series_count; ++i) {
    const plot_bar *b = &plot->bars[i];
    double end = b->mean - (isnan(b->deviation) ? 0 : b->deviation);
    if (end < low) low = fmax(0, 10 * floor(end / 10));
  }
  return low;
}

static int longest(const char *const *names, size_t count)
{
  int most = 0;
  for (size_t i = 0; i < count; ++i) plain_widen(&most, names[i]);
  return most;
}

static layout plan(FILE *file, const bar_plot *plot)
{
  layout l = {.plot = plot, .file = file, .low = lowest(plot)};
  int groups = (int)plot->group_count, series = (int)plot->series_count;
  l.bar = groups * series > CROWDED ? NARROW_BAR : BAR;
  l.group = series * l.bar + GAP;
  int names = longest(plot->groups, plot->group_count) * LETTER;
  l.slanted = names + 8 > l.group && groups > 1;
  l.width = LEFT + groups * l.group + RIGHT;
  if (l.width < LEAST_WIDTH) {
    l.width = LEAST_WIDTH;
    l.group = (l.width - LEFT - RIGHT) / groups;
    l.slanted = names + 8 > l.group && groups > 1;
  }
  l.legend_cell = longest(plot->series, plot->series_count) * LETTER + 40;
  l.legend_columns = (l.width - LEFT - RIGHT) / l.legend_cell;
  if (l.legend_columns < 1) l.legend_columns = 1;
  l.legend_rows = (series + l.legend_columns - 1) / l.legend_columns;
  l.base = TOP + l.legend_rows * LEGEND_ROW + 12 + HEIGHT;
  l.height = l.base + (l.slanted ? 24 + names * 3 / 4 : 34);
  return l;
}

static double height_of(const layout *l, double value)
{
  return l->base - HEIGHT * (value - l->low) / (100 - l->low);
}

static void write_style(const layout *l)
{
  fputs("<style>\n"
        "text { font: 13px system-ui, sans-serif; fill: #222 }\n"
        ".title { font-size: 15px; font-weight: 600 }\n"
        ".value { font-size: 10.5px }\n"
        ".page { fill: #fff }\n"
        ".grid { stroke: #ddd }\n"
        ".axis, .error { stroke: #222; fill: none }\n"
        "@media (prefers-color-scheme: dark) {\n"
        "  text { fill: #e6e6e6 }\n"
        "  .page { fill: #17181a }\n"
        "  .grid { stroke: #3a3c40 }\n"
        "  .axis, .error { stroke: #e6e6e6 }\n"
        "}\n"
        "</style>\n",
        l->file);
}

static void write_legend(const layout *l)
{
  for (int s = 0; s < (int)l->plot->series_count; ++s) {
    int x = LEFT + s % l->legend_columns * l->legend_cell;
    int y = TOP + s / l->legend_columns * LEGEND_ROW;
    fprintf(l->file, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\" fill=\"%s\"/>\n",
            x, y, colours[s]);
    fprintf(l->file, "<text x=\"%d\" y=\"%d\">", x + 18, y + 11);
    html_text(l->file, l->plot->series[s]);
    fputs("</text>\n", l->file);
  }
}

static void write_axis(const layout *l)
{
  for (int value = (int)l->low; value <= 100; value += 10) {
    double y = height_of(l, value);
    fprintf(l->file, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, l->width - RIGHT);
    fprintf(l->file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", LEFT - 8, y + 4.5,
            value);
  }
  fprintf(l->file, "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">",
          l->base - HEIGHT / 2);
  html_text(l->file, l->plot->axis);
  fputs("</text>\n", l->file);
}

static void write_bar(const layout *l, const plot_bar *b, int series, double x)
{
  if (isnan(b->mean)) return;
  double top = height_of(l, b->mean), middle = x + l->bar / 2.0, label = top;
  fprintf(l->file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"/>\n",
          x + 1, top, l->bar - 2, l->base - top, colours[series]);
  if (!isnan(b->deviation)) {
    double high = height_of(l, fmin(b->mean + b->deviation, 100));
    double low = height_of(l, fmax(b->mean - b->deviation, l->low));
    label = high;
    fprintf(l->file, "<path class=\"error\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh6m-6 %.1fh6\"/>\n",
            middle, high, low, middle - 3, high, low - high);
  }
  if (l->bar == BAR)
    fprintf(l->file,
            "<text class=\"value\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>\n",
            middle, label - 4, b->mean);
}

static void write_group(const layout *l, size_t group)
{
  size_t series = l->plot->series_count;
  double middle = LEFT + l->group * ((double)group + 0.5);
  double x = middle - (double)series * l->bar / 2;
  for (size_t s = 0; s < series; ++s)
    write_bar(l, &l->plot->bars[group * series + s], (int)s, x + (double)s * l->bar);
  if (l->slanted)
    fprintf(l->file, "<text transform=\"translate(%.1f %d) rotate(-40)\" text-anchor=\"end\">",
            middle + 5, l->base + 16);
  else
    fprintf(l->file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", middle, l->base + 20);
  html_text(l->file, l->plot->groups[group]);
  fputs("</text>\n", l->file);
}

void plot_write(FILE *file, const bar_plot *plot)
{
  layout l = plan(file, plot);
  fprintf(file,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
          "%d\" role=\"img\">\n<title>",
          l.width, l.height, l.width, l.height);
  html_text(file, plot->title);
  fputs("</title>\n", file);
  write_style(&l);
  fprintf(file, "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", l.width, l.height);
  fprintf(file, "<text class=\"title\" x=\"%d\" y=\"28\">", LEFT);
  html_text(file, plot->title);
  fputs("</text>\n", file);
  write_legend(&l);
  write_axis(&l);
  for (size_t g = 0; g < plot->group_count; ++g) write_group(&l, g);
  fprintf(file, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n</svg>\n", LEFT, l.base, l.width - RIGHT);
}
