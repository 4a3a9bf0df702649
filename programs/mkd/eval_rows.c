#include "eval_rows.h"

#include "output.h"

#include <math.h>
#include <stdio.h>

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_member(const char *before, const char *key, double value)
{
  printf("%s\"%s\": ", before, key);
  json_number(stdout, value);
}

static void print_json_interval(const mkd_interval *interval)
{
  if (isnan(interval->low) || isnan(interval->high)) {
    fputs("null", stdout);
    return;
  }
  putchar('[');
  json_number(stdout, interval->low);
  fputs(", ", stdout);
  json_number(stdout, interval->high);
  putchar(']');
}

static void print_json_metrics(const mkd_metrics *m)
{
  fputs("\"image\": {", stdout);
  json_member("", "auroc", m->image_auroc.value);
  fputs(", \"auroc_ci95\": ", stdout);
  print_json_interval(&m->image_auroc);
  json_member(", ", "ap", m->image_ap.value);
  fputs(", \"ap_ci95\": ", stdout);
  print_json_interval(&m->image_ap);
  json_member(", ", "f1_max", m->image_f1_max);
  fputs("}, \"pixel\": {", stdout);
  json_member("", "auroc_all", m->pixel_auroc_all);
  json_member(", ", "auroc_anomalous", m->pixel_auroc_anomalous);
  json_member(", ", "aupro_0.3", m->aupro_30);
  json_member(", ", "aupro_0.05", m->aupro_5);
  json_member(", ", "f1_max", m->pixel_f1_max);
  json_member(", ", "ap", m->pixel_ap);
  fputs("}, \"at_threshold\": {", stdout);
  json_member("", "false_alarm_rate", m->false_alarm_rate.value);
  fputs(", \"false_alarm_rate_ci95\": ", stdout);
  print_json_interval(&m->false_alarm_rate);
  json_member(", ", "detection_rate", m->detection_rate.value);
  fputs(", \"detection_rate_ci95\": ", stdout);
  print_json_interval(&m->detection_rate);
  printf("}, \"images\": {\"normal\": %zu, \"anomalous\": %zu}", m->normal, m->anomalous);
}

void eval_print_json(const eval_row *rows, size_t count, const char *model, const char *data)
{
  putchar('{');
  print_json_metrics(&rows[count - 1].metrics);
  fputs(", \"kinds\": {", stdout);
  for (size_t i = 0; i + 1 < count; ++i) {
    if (i > 0) fputs(", ", stdout);
    json_text(stdout, rows[i].name);
    fputs(": {", stdout);
    print_json_metrics(&rows[i].metrics);
    putchar('}');
  }
  fputs("}, \"model\": ", stdout);
  json_text(stdout, model);
  fputs(", \"data\": ", stdout);
  json_text(stdout, data);
  puts("}");
}

/* ---- Table ----------------------------------------------------------------------------------- */

static const char *name_of(const eval_row *row)
{
  return row->name ? row->name : "all kinds";
}

static int name_width(const eval_row *rows, size_t count)
{
  int width = 16;
  for (size_t i = 0; i < count; ++i) plain_widen(&width, name_of(&rows[i]));
  return width;
}

static void print_percent(int width, double rate)
{
  plain_number(stdout, width, 1, 100 * rate);
}

static void print_image_row(int width, const eval_row *row)
{
  const mkd_metrics *m = &row->metrics;
  plain_field(stdout, width, name_of(row));
  printf("%7zu%10zu", m->normal, m->anomalous);
  print_percent(8, m->image_auroc.value);
  if (isnan(m->image_auroc.low) || isnan(m->image_auroc.high))
    printf("%14s", "-");
  else
    printf("  %5.1f -%6.1f", 100 * m->image_auroc.low, 100 * m->image_auroc.high);
  print_percent(8, m->image_ap.value);
  print_percent(8, m->image_f1_max);
  putchar('\n');
}

static void print_pixel_row(int width, const eval_row *row)
{
  const mkd_metrics *m = &row->metrics;
  plain_field(stdout, width, name_of(row));
  print_percent(11, m->pixel_auroc_all);
  print_percent(12, m->pixel_auroc_anomalous);
  print_percent(11, m->aupro_30);
  print_percent(12, m->aupro_5);
  print_percent(8, m->pixel_ap);
  print_percent(8, m->pixel_f1_max);
  putchar('\n');
}

static void print_threshold_row(int width, const eval_row *row)
{
  plain_field(stdout, width, name_of(row));
  print_percent(11, row->metrics.detection_rate.value);
  print_percent(12, row->metrics.false_alarm_rate.value);
  putchar('\n');
}

static bool has_pixels(const mkd_metrics *metrics)
{
  return !isnan(metrics->pixel_auroc_all) || !isnan(metrics->pixel_auroc_anomalous);
}

void eval_print_table(const eval_row *rows, size_t count)
{
  int width = name_width(rows, count);
  puts("Images, %: all normal ones against those of a kind");
  printf("%-*s normal anomalous   AUROC  95%% interval      AP  F1 max\n", width, "kind");
  for (size_t i = 0; i < count; ++i) print_image_row(width, &rows[i]);
  if (has_pixels(&rows[count - 1].metrics)) {
    puts("\nPixels, %: AUROC over all images and over anomalous ones only; the rest over all");
    printf("%-*s  AUROC all  AUROC anom.  AUPRO 0.3  AUPRO 0.05     AP  F1 max\n", width, "kind");
    for (size_t i = 0; i < count; ++i) print_pixel_row(width, &rows[i]);
  } else {
    puts("\nPixels: none, as the data has no masks or the model makes no map");
  }
  puts("\nAt the model's threshold, % of images");
  printf("%-*s  detected  false alarms\n", width, "kind");
  for (size_t i = 0; i < count; ++i) print_threshold_row(width, &rows[i]);
}
