/* Flow: sort the scores, choose images and score them again, then walk the template, whose names
 * are given their texts here. */
#include "report.h"

#include "charts.h"
#include "cli.h"
#include "destination.h"
#include "html.h"
#include "output.h"
#include "report_facts.h"
#include "report_files.h"
#include "template.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ERRORS = 50 }; /* that are told one by one */

#define DASH "\u2013"
#define PERCENT "\u202f%" /* with a thin space that does not break */

typedef struct {
  const report_input *input;
  const mkd_metrics *all;
  double *scores;   /* ascending: normal, anomalous, then those of each kind */
  score_set *kinds; /* as rows */
  score_chart chart;
  size_t alarms, detected;
  size_t *kind_detected; /* as rows */
  gallery shown;
  report_facts facts;
  bool has_masks, has_maps;
  template_texts texts;
  /* Where the walk is: */
  size_t kind, image, view;
  gallery_group group;
  mkd_interval figure;
} report;

/* ---- Scores ---------------------------------------------------------------------------------- */

static int compare_ascending(const void *left, const void *right)
{
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Collects the scores of a class, or of a kind (SIZE_MAX = all) of it, behind `used` others. */
static score_set collect(const report *r, size_t *used, bool anomalous, size_t kind)
{
  double *scores = r->scores + *used;
  size_t count = 0;
  for (size_t i = 0; i < r->input->record_count; ++i) {
    const image_record *record = &r->input->records[i];
    if (record->anomalous == anomalous && (kind == SIZE_MAX || record->kind == kind))
      scores[count++] = record->score;
  }
  qsort(scores, count, sizeof *scores, compare_ascending);
  *used += count;
  return (score_set){scores, count};
}

static size_t kind_of(const report_input *input, const image_record *record)
{
  const char *kind = mkd_dataset_get(input->dataset, record->item).kind;
  size_t i = 0;
  while (record->anomalous && strcmp(input->rows[i].name, kind) != 0) ++i;
  return i;
}

static void sort_scores(report *r)
{
  const report_input *input = r->input;
  size_t kinds = input->row_count - 1, used = 0;
  r->kind_detected = must_grow(NULL, kinds, sizeof *r->kind_detected);
  for (size_t i = 0; i < kinds; ++i) r->kind_detected[i] = 0;
  for (size_t i = 0; i < input->record_count; ++i) {
    image_record *record = &input->records[i];
    record->kind = kind_of(input, record);
    if (!record->alarm) continue;
    ++*(record->anomalous ? &r->detected : &r->alarms);
    if (record->anomalous) ++r->kind_detected[record->kind];
  }
  r->scores = must_grow(NULL, 2 * input->record_count, sizeof *r->scores);
  r->kinds = must_grow(NULL, kinds, sizeof *r->kinds);
  r->chart.normal = collect(r, &used, false, SIZE_MAX);
  r->chart.anomalous = collect(r, &used, true, SIZE_MAX);
  for (size_t i = 0; i < kinds; ++i) r->kinds[i] = collect(r, &used, true, i);
  r->chart.threshold = input->threshold.score;
  r->chart.axis = score_axis_of(&r->chart.normal, &r->chart.anomalous, r->chart.threshold);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void set_percent(report *r, const char *name, double rate)
{
  if (isnan(rate))
    template_set(&r->texts, name, DASH);
  else
    template_set(&r->texts, name, "%.1f%s", 100 * rate, PERCENT);
}

static void set_exact(report *r, const char *name, double value)
{
  char text[NUMBER_TEXT] = "";
  if (isfinite(value)) number_text(text, value);
  template_set(&r->texts, name, "%s", text);
}

/* What is behind the last slash, but for slashes at the end. */
static void set_base_name(report *r, const char *name, const char *path)
{
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') --end;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') --start;
  template_set(&r->texts, name, "%.*s", (int)(end - start), path + start);
}

static void set_page_texts(report *r)
{
  template_texts *t = &r->texts;
  size_t normal = r->all->normal, anomalous = r->all->anomalous;
  char *origin = report_threshold_origin(&r->input->threshold);
  set_base_name(r, "data_name", r->input->data);
  set_base_name(r, "model_name", r->input->model);
  template_set(t, "summary",
               "At the model's threshold, %zu of %zu anomalous images are detected, and %zu of %zu "
               "normal images raise a false alarm.",
               r->detected, anomalous, r->alarms, normal);
  template_set(t, "threshold", "%.4g", r->chart.threshold);
  set_exact(r, "threshold_place", score_axis_place(&r->chart.axis, r->chart.threshold));
  template_set(t, "threshold_origin", "%s", origin);
  template_set(t, "normal_count", "%zu", normal);
  template_set(t, "anomalous_count", "%zu", anomalous);
  template_set(t, "passed", "%zu", normal - r->alarms);
  template_set(t, "alarms", "%zu", r->alarms);
  template_set(t, "missed", "%zu", anomalous - r->detected);
  template_set(t, "detected", "%zu", r->detected);
  template_set(t, "alarms_of", "%zu of %zu", r->alarms, normal);
  set_percent(r, "alarm_rate", r->all->false_alarm_rate.value);
  set_percent(r, "detection_rate", r->all->detection_rate.value);
  set_percent(r, "auroc_percent", r->all->image_auroc.value);
  set_percent(r, "ap_percent", r->all->image_ap.value);
  template_set(t, "version", "%s", mkd_version());
  free(origin);
}

/* ---- Headline figures ------------------------------------------------------------------------ */

static bool enter_figures(report *r, size_t round)
{
  const mkd_metrics *m = r->all;
  const mkd_interval pixel_auroc = {m->pixel_auroc_all, NAN, NAN}, aupro = {m->aupro_30, NAN, NAN};
  const struct {
    const char *id, *name;
    mkd_interval value;
  } figures[] = {
      {"image-auroc", "Image AUROC", m->image_auroc},
      {"image-ap", "Average precision", m->image_ap},
      {"detection-rate", "Detection rate", m->detection_rate},
      {"false-alarm-rate", "False-alarm rate", m->false_alarm_rate},
      {"pixel-auroc", "Pixel AUROC", pixel_auroc},
      {"aupro-30", "AU-PRO 30" PERCENT, aupro},
  };
  const char *const notes[] = {"",
                               "",
                               "of anomalous images, at the threshold",
                               "of normal images, at the threshold",
                               "over all images",
                               "mean overlap with each defect"};
  size_t count = isnan(m->pixel_auroc_all) ? 4 : 6;
  if (round == count) return false;
  r->figure = figures[round].value;
  template_set(&r->texts, "figure_id", "%s", figures[round].id);
  template_set(&r->texts, "figure_name", "%s", figures[round].name);
  template_set(&r->texts, "figure_note", "%s", notes[round]);
  set_exact(r, "figure_value", r->figure.value);
  set_percent(r, "figure_percent", r->figure.value);
  return true;
}

static bool enter_interval(report *r)
{
  set_exact(r, "figure_low", r->figure.low);
  set_exact(r, "figure_high", r->figure.high);
  set_percent(r, "figure_low_percent", r->figure.low);
  set_percent(r, "figure_high_percent", r->figure.high);
  return !isnan(r->figure.low);
}

static bool enter_no_pixels(report *r)
{
  template_set(&r->texts, "no_pixels_reason",
               r->has_maps ? "the data has no masks" : "the model makes no heat maps");
  return isnan(r->all->pixel_auroc_all);
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

static bool enter_kinds(report *r, size_t round)
{
  if (round + 1 == r->input->row_count) return false;
  const eval_row *row = &r->input->rows[round];
  const struct {
    const char *exact, *percent;
    double value;
  } values[] = {
      {"kind_auroc", "kind_auroc_percent", row->metrics.image_auroc.value},
      {"kind_ap", "kind_ap_percent", row->metrics.image_ap.value},
      {"kind_pixel_auroc", "kind_pixel_auroc_percent", row->metrics.pixel_auroc_all},
      {"kind_aupro", "kind_aupro_percent", row->metrics.aupro_30},
  };
  r->kind = round;
  template_set(&r->texts, "kind_name", "%s", row->name);
  template_set(&r->texts, "kind_index", "%zu", round);
  template_set(&r->texts, "kind_detected", "%zu of %zu", r->kind_detected[round],
               row->metrics.anomalous);
  for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i) {
    set_exact(r, values[i].exact, values[i].value);
    set_percent(r, values[i].percent, values[i].value);
  }
  return true;
}

/* ---- Gallery --------------------------------------------------------------------------------- */

static void set_group_texts(report *r, size_t count)
{
  static const char *const ids[] = {"lowest-anomalous", "highest-normal", "hits"};
  static const char *const titles[] = {"Anomalous images with the lowest scores",
                                       "Normal images with the highest scores",
                                       "Detected, typically"};
  template_texts *t = &r->texts;
  size_t missed = r->all->anomalous - r->detected;
  template_set(t, "group_id", "%s", ids[r->group]);
  template_set(t, "group_title", "%s", titles[r->group]);
  if (r->group == GALLERY_LOWEST_ANOMALOUS && missed > count)
    template_set(t, "group_note", "%zu of %zu were missed. These %zu have the lowest scores.",
                 missed, r->all->anomalous, count);
  else if (r->group == GALLERY_LOWEST_ANOMALOUS)
    template_set(t, "group_note", "%zu of %zu were missed.", missed, r->all->anomalous);
  else if (r->group == GALLERY_HIGHEST_NORMAL)
    template_set(t, "group_note", "%zu of %zu raised a false alarm.", r->alarms, r->all->normal);
  else
    template_set(t, "group_note", "Spread over kinds of defect and scores.");
}

static bool enter_groups(report *r, size_t round)
{
  for (size_t group = 0; group < GALLERY_GROUPS; ++group) {
    size_t count = r->shown.starts[group + 1] - r->shown.starts[group];
    if (count == 0 || round-- > 0) continue;
    r->group = (gallery_group)group;
    set_group_texts(r, count);
    return true;
  }
  return false;
}

static bool enter_scale(report *r)
{
  const mkd_overlay_options *scale = &r->shown.scale;
  if (scale->size == 0) return false;
  bool nothing = fabs(scale->low) < 1e-4 * (scale->high - scale->low);
  template_set(&r->texts, "scale_low", "%.3g", nothing ? 0 : scale->low);
  template_set(&r->texts, "scale_high", "%.3g", scale->high);
  template_set(&r->texts, "scale_threshold", "%.3g", scale->threshold);
  template_set(&r->texts, "scale_place", "%.1f",
               100 * (scale->threshold - scale->low) / (scale->high - scale->low));
  return true;
}

/* The path below the data. */
static const char *name_of(const report *r, const image_record *record)
{
  const char *path = mkd_dataset_get(r->input->dataset, record->item).path;
  size_t length = strlen(r->input->data);
  if (strncmp(path, r->input->data, length) == 0) path += length;
  return path + strspn(path, "/");
}

static bool enter_images(report *r, size_t round)
{
  r->image = r->shown.starts[r->group] + round;
  if (r->image == r->shown.starts[r->group + 1]) return false;
  const image_record *record = r->shown.images[r->image].record;
  template_set(&r->texts, "image_name", "%s", name_of(r, record));
  template_set(&r->texts, "image_verdict", "%s",
               record->anomalous ? record->alarm ? "detected" : "missed"
               : record->alarm   ? "false alarm"
                                 : "called normal");
  template_set(&r->texts, "image_class", "%s",
               record->anomalous == record->alarm ? "right" : "wrong");
  template_set(&r->texts, "image_score", "%.4g", record->score);
  template_set(&r->texts, "image_p", "%.3g", record->p_value);
  set_exact(r, "image_score_exact", record->score);
  set_exact(r, "image_p_exact", record->p_value);
  return true;
}

static bool enter_lost(report *r)
{
  const char *error = r->shown.images[r->image].error;
  template_set(&r->texts, "image_error", "%s", error ? error : "");
  return error != NULL;
}

static bool enter_views(report *r, size_t round)
{
  static const char *const names[] = {"Image", "Ground truth", "Heat map", "Overlay"};
  for (size_t view = 0; view < GALLERY_VIEWS; ++view) {
    bool there = view == GALLERY_IMAGE || (view == GALLERY_TRUTH ? r->has_masks : r->has_maps);
    if (!there || round-- > 0) continue;
    r->view = view;
    template_set(&r->texts, "view_name", "%s", names[view]);
    template_set(&r->texts, "view_absence",
                 r->shown.images[r->image].record->anomalous ? "no mask" : "no defect");
    return true;
  }
  return false;
}

static const gallery_picture *picture_of(const report *r)
{
  return &r->shown.images[r->image].views[r->view];
}

/* ---- Facts and errors ------------------------------------------------------------------------ */

static bool enter_facts(report *r, size_t round)
{
  if (round == r->facts.count) return false;
  template_set(&r->texts, "fact_name", "%s", r->facts.facts[round].name);
  template_set(&r->texts, "fact_text", "%s", r->facts.facts[round].text);
  return true;
}

static bool enter_failed(report *r)
{
  size_t count = r->input->error_count;
  template_set(&r->texts, "failed_count", "%zu image%s", count, count == 1 ? "" : "s");
  template_set(&r->texts, "failed_verb", count == 1 ? "is" : "are");
  return count > 0;
}

static bool enter_errors(report *r, size_t round)
{
  if (round == r->input->error_count || round == MAX_ERRORS) return false;
  template_set(&r->texts, "error", "%s", r->input->errors[round]);
  return true;
}

static bool enter_more_errors(report *r)
{
  if (r->input->error_count <= MAX_ERRORS) return false;
  template_set(&r->texts, "more_errors_count", "%zu", r->input->error_count - MAX_ERRORS);
  return true;
}

/* ---- Sections and markup --------------------------------------------------------------------- */

static bool enter_pixels(report *r)
{
  return !isnan(r->all->pixel_auroc_all);
}

static bool enter_shown(report *r)
{
  return !r->shown.images[r->image].error;
}

static bool enter_view_there(report *r)
{
  return picture_of(r)->jpeg != NULL;
}

static bool enter_view_absent(report *r)
{
  return !picture_of(r)->jpeg;
}

static bool enter(void *context, const char *section, size_t round)
{
  static const struct {
    const char *name;
    bool (*repeated)(report *r, size_t round);
    bool (*once)(report *r);
  } sections[] = {
      {"figures", enter_figures, NULL},
      {"figure_interval", NULL, enter_interval},
      {"no_pixels", NULL, enter_no_pixels},
      {"pixels", NULL, enter_pixels},
      {"kinds", enter_kinds, NULL},
      {"groups", enter_groups, NULL},
      {"group_scale", NULL, enter_scale},
      {"images", enter_images, NULL},
      {"image_shown", NULL, enter_shown},
      {"image_lost", NULL, enter_lost},
      {"views", enter_views, NULL},
      {"view_there", NULL, enter_view_there},
      {"view_absent", NULL, enter_view_absent},
      {"facts", enter_facts, NULL},
      {"failed", NULL, enter_failed},
      {"errors", enter_errors, NULL},
      {"more_errors", NULL, enter_more_errors},
  };
  for (size_t i = 0; i < sizeof sections / sizeof sections[0]; ++i) {
    if (strcmp(sections[i].name, section) != 0) continue;
    if (sections[i].repeated) return sections[i].repeated(context, round);
    return round == 0 && sections[i].once(context);
  }
  return false;
}

static void write_picture(FILE *out, const gallery_picture *picture)
{
  fputs("data:image/jpeg;base64,", out);
  html_base64(out, picture->jpeg, picture->bytes);
}

static void write_set(FILE *out, const score_set *set)
{
  fputc('[', out);
  for (size_t i = 0; i < set->count; ++i) {
    if (i > 0) fputc(',', out);
    json_number(out, set->scores[i]);
  }
  fputc(']', out);
}

/* For the script: numbers alone, so that nothing in it has to be escaped. */
static void write_scores(FILE *out, const report *r)
{
  const score_axis *axis = &r->chart.axis;
  const double numbers[] = {r->chart.threshold, axis->centre, axis->width, axis->low, axis->high};
  static const char *const before[] = {
      "{\"threshold\":", ",\"axis\":{\"centre\":", ",\"width\":", ",\"low\":", ",\"high\":"};
  for (int i = 0; i < 5; ++i) {
    fputs(before[i], out);
    json_number(out, numbers[i]);
  }
  fputs("},\"normal\":", out);
  write_set(out, &r->chart.normal);
  fputs(",\"kinds\":[", out);
  for (size_t i = 0; i + 1 < r->input->row_count; ++i) {
    if (i > 0) fputc(',', out);
    write_set(out, &r->kinds[i]);
  }
  fputs("]}", out);
}

static bool write_markup(void *context, const char *name, FILE *out)
{
  const report *r = context;
  if (strcmp(name, "style") == 0)
    fputs(report_style, out);
  else if (strcmp(name, "script") == 0)
    fputs(report_script, out);
  else if (strcmp(name, "scores") == 0)
    write_scores(out, r);
  else if (strcmp(name, "histogram") == 0)
    chart_histogram(out, &r->chart);
  else if (strcmp(name, "roc") == 0)
    chart_roc(out, &r->chart);
  else if (strcmp(name, "precision_recall") == 0)
    chart_precision_recall(out, &r->chart);
  else if (strcmp(name, "normal_strip") == 0)
    chart_strip(out, &r->chart, &r->chart.normal, false);
  else if (strcmp(name, "kind_strip") == 0)
    chart_strip(out, &r->chart, &r->kinds[r->kind], true);
  else if (strcmp(name, "figure_bar") == 0)
    chart_interval(out, &r->figure);
  else if (strcmp(name, "view_data") == 0)
    write_picture(out, picture_of(r));
  else if (strcmp(name, "scale_ramp") == 0)
    write_picture(out, &r->shown.ramp);
  else
    return false;
  return true;
}

/* ---- The page -------------------------------------------------------------------------------- */

static void find_views(report *r)
{
  for (size_t i = 0; i < r->shown.starts[GALLERY_GROUPS]; ++i) {
    r->has_masks |= r->shown.images[i].views[GALLERY_TRUTH].jpeg != NULL;
    r->has_maps |= r->shown.images[i].views[GALLERY_MAP].jpeg != NULL;
  }
}

static mkd_status write_page(report *r)
{
  const template_source source = {
      .texts = &r->texts, .enter = enter, .markup = write_markup, .context = r};
  destination to;
  mkd_status status = destination_open(&to, r->input->path);
  if (status != MKD_OK) return status;
  return destination_close(&to, template_write(to.file, report_page, &source));
}

mkd_status report_write(const report_input *input, size_t *undrawn)
{
  report r = {.input = input, .all = &input->rows[input->row_count - 1].metrics};
  mkd_status status = report_facts_of(&r.facts, input);
  if (status != MKD_OK) return status;
  sort_scores(&r);
  gallery_choose(&r.shown, input->records, input->record_count);
  status = gallery_draw(&r.shown, input->dataset, input->scan);
  *undrawn = r.shown.failed;
  if (status == MKD_OK) {
    find_views(&r);
    set_page_texts(&r);
    status = write_page(&r);
  }
  template_free(&r.texts);
  report_facts_free(&r.facts);
  gallery_free(&r.shown);
  free(r.scores);
  free(r.kinds);
  free(r.kind_detected);
  return status;
}
