#include "rows_print.h"

#include "output.h"
#include "state.h"

#include <math.h>
#include <string.h>

static const char *expert_name(const experiment *e)
{
  if (!e->expert) return "installed";
  const char *slash = strrchr(e->expert, '/');
  return slash ? slash + 1 : e->expert;
}

/* ---- Table ----------------------------------------------------------------------------------- */

/* Settings, one a word, on lines of at most 80 columns. The plan of a cloner is a sentence. */
static void print_settings(FILE *file, const experiment *e)
{
  size_t column = 9;
  fputs("settings ", file);
  for (size_t i = 0; i < e->settings.count; ++i) {
    size_t length = strlen(e->settings.texts[i]);
    if (i > 0 && column + length + 2 > 80) {
      fprintf(file, ",\n%9s", "");
      column = 9;
    } else if (i > 0) {
      fputs(", ", file);
      column += 2;
    }
    plain_text(file, e->settings.texts[i]);
    column += length;
  }
  fputs(e->settings.count ? "\n" : "none\n", file);
}

/* The epochs after which models were sampled, where all units have the same. */
static void print_models(FILE *file, const experiment *e)
{
  const unit_result *unit = &e->units[0];
  fputs("models   after epoch", file);
  size_t shown = 0;
  for (size_t i = 0; i < unit->sample_count; ++i) {
    if (i >= 3 && i + 1 < unit->sample_count) continue;
    fprintf(file, "%s%d", i == 0 ? " " : shown < i ? " ... " : ", ", unit->samples[i].epoch);
    shown = i + 1;
  }
  if (e->seeds == 1)
    fputs(", seed 0\n", file);
  else
    fprintf(file, ", seeds 0 to %zu\n", e->seeds - 1);
}

static void print_heading(FILE *file, const experiment *e)
{
  char text[128];
  plain_line(file, 9, "data", protocol_name(e->protocol));
  plain_line(file, 9, "", protocol_rule(e->protocol));
  if (e->limit > 0) {
    snprintf(text, sizeof text, "Not all is trained on: at most %zu normal images.", e->limit);
    plain_line(file, 9, "", text);
  }
  plain_line(file, 9, "recipe", e->recipe);
  print_settings(file, e);
  plain_line(file, 9, "expert", expert_name(e));
  print_models(file, e);
}

/* The mean of one class says nothing new. */
static bool is_shown(const experiment *e, const row *r)
{
  return r->class_name || e->class_count > 1;
}

static bool has_variants(const experiment *e)
{
  return e->ablation->name != NULL;
}

/* Widths of the columns that name a row; none for the variant where there is only one. */
typedef struct {
  int class_name, variant;
} name_widths;

static name_widths widths_of(const experiment *e, const row *rows, size_t count)
{
  name_widths widths = {12, has_variants(e) ? 20 : 0};
  for (size_t i = 0; i < count; ++i) {
    plain_widen(&widths.class_name, row_name(&rows[i]));
    if (has_variants(e)) plain_widen(&widths.variant, rows[i].title);
  }
  return widths;
}

static void print_names(FILE *file, name_widths widths, const char *class_name, const char *title)
{
  plain_field(file, widths.class_name, class_name);
  if (widths.variant == 0) return;
  fputc(' ', file);
  plain_field(file, widths.variant, title);
}

/* 14 columns. */
static void print_figure(FILE *file, const figure *f)
{
  plain_number(file, 6, 2, f->mean);
  if (isnan(f->deviation))
    fprintf(file, "%8s", "");
  else
    fprintf(file, " ± %-5.2f", f->deviation);
}

/* 16 columns. */
static void print_published(FILE *file, double ours, double published)
{
  plain_number(file, 9, 2, published);
  if (isnan(published) || isnan(ours))
    fprintf(file, "%7s", "-");
  else
    fprintf(file, "%+7.2f", ours - published);
}

static void print_images(FILE *file, const experiment *e, const row *rows, size_t count)
{
  name_widths widths = widths_of(e, rows, count);
  fputs("\nImages, AUROC in %: mean ± deviation of all sampled models; of the mean, over seeds\n",
        file);
  print_names(file, widths, "class", "variant");
  fprintf(file, "%8s %6s%8s%9s%7s\n", "models", "ours", "", "published", "diff.");
  for (size_t i = 0; i < count; ++i) {
    const row *r = &rows[i];
    if (!is_shown(e, r)) continue;
    print_names(file, widths, row_name(r), r->title);
    fprintf(file, "%8zu ", r->models);
    print_figure(file, &r->image);
    print_published(file, r->image.mean, r->published_image);
    fputc('\n', file);
  }
}

static void print_pixels(FILE *file, const experiment *e, const row *rows, size_t count)
{
  name_widths widths = widths_of(e, rows, count);
  fputs("\nPixels, AUROC in %: the last models, mean ± deviation over seeds; the paper's figures "
        "are\n"
        "those of anomalous images only\n",
        file);
  print_names(file, widths, "class", "variant");
  fprintf(file, " %-14s %-14s%9s%7s\n", "all images", "anomalous", "published", "diff.");
  for (size_t i = 0; i < count; ++i) {
    const row *r = &rows[i];
    if (!is_shown(e, r)) continue;
    print_names(file, widths, row_name(r), r->title);
    fputc(' ', file);
    print_figure(file, &r->pixel_all);
    fputc(' ', file);
    print_figure(file, &r->pixel_anomalous);
    print_published(file, r->pixel_anomalous.mean, r->published_pixel);
    fputc('\n', file);
  }
}

static bool shows_images(const experiment *e)
{
  return e->ablation->map_count == 1;
}

void rows_print_table(FILE *file, const experiment *e, const row *rows, size_t count)
{
  print_heading(file, e);
  if (shows_images(e)) print_images(file, e, rows, count);
  if (protocol_has_masks(e->protocol)) print_pixels(file, e, rows, count);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

void rows_print_csv(FILE *file, const experiment *e, const row *rows, size_t count)
{
  fputs("data,class,variant,models,image_auroc,image_deviation,image_published,"
        "pixel_auroc_anomalous,pixel_deviation_anomalous,pixel_published,pixel_auroc_all,"
        "pixel_deviation_all,aupro_0.3\n",
        file);
  for (size_t i = 0; i < count; ++i) {
    const row *r = &rows[i];
    csv_text(file, protocol_name(e->protocol));
    fputc(',', file);
    csv_text(file, row_name(r));
    fputc(',', file);
    csv_text(file, r->title);
    fprintf(file, ",%zu", r->models);
    const double values[] = {
        r->image.mean,           r->image.deviation,           r->published_image,
        r->pixel_anomalous.mean, r->pixel_anomalous.deviation, r->published_pixel,
        r->pixel_all.mean,       r->pixel_all.deviation,       r->aupro.mean};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; ++v) {
      fputc(',', file);
      csv_number(file, values[v]);
    }
    fputc('\n', file);
  }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_figure(FILE *file, const char *name, const figure *f, double published)
{
  fprintf(file, ", \"%s\": {\"mean\": ", name);
  json_number(file, f->mean);
  fputs(", \"deviation\": ", file);
  json_number(file, f->deviation);
  fputs(", \"published\": ", file);
  json_number(file, published);
  fputc('}', file);
}

static void json_row(FILE *file, const row *r)
{
  fputs("{\"class\": ", file);
  json_text_or_null(file, r->class_name);
  fputs(", \"variant\": ", file);
  json_text(file, r->title);
  fprintf(file, ", \"models\": %zu", r->models);
  json_figure(file, "image_auroc", &r->image, r->published_image);
  json_figure(file, "pixel_auroc_anomalous", &r->pixel_anomalous, r->published_pixel);
  json_figure(file, "pixel_auroc_all", &r->pixel_all, NAN);
  json_figure(file, "aupro_0.3", &r->aupro, NAN);
  fputc('}', file);
}

void rows_print_json(FILE *file, const experiment *e, const row *rows, size_t count)
{
  fputs("{\"data_set\": ", file);
  json_text(file, protocol_name(e->protocol));
  fputs(", \"data\": ", file);
  json_text(file, protocol_place(e->protocol));
  fputs(", \"recipe\": ", file);
  json_text(file, e->recipe);
  fputs(", \"settings\": [", file);
  for (size_t i = 0; i < e->settings.count; ++i) {
    if (i > 0) fputs(", ", file);
    json_text(file, e->settings.texts[i]);
  }
  fputs("], \"expert\": ", file);
  json_text_or_null(file, e->expert);
  fputs(", \"ablation\": ", file);
  json_text_or_null(file, e->ablation->name);
  fprintf(file, ", \"limit_train\": %zu, \"seeds\": %zu, \"version\": ", e->limit, e->seeds);
  json_text(file, mkd_version());
  fputs(",\n \"rows\": [", file);
  for (size_t i = 0; i < count; ++i) {
    fputs(i ? ",\n  " : "\n  ", file);
    json_row(file, &rows[i]);
  }
  fputs("],\n \"units\": [", file);
  bool first = true;
  for (size_t v = 0; v < e->ablation->variant_count; ++v) {
    for (size_t i = 0; i < e->class_count; ++i) {
      for (size_t seed = 0; seed < e->seeds; ++seed, first = false) {
        unit_name name = experiment_name(e, v, i, seed);
        fputs(first ? "\n  " : ",\n  ", file);
        state_write_unit(file, &name, experiment_unit(e, v, i, seed));
      }
    }
  }
  fputs("]}\n", file);
}
