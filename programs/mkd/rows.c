#include "rows.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>

/* Running sums of numbers. */
typedef struct {
  double *values;
  size_t count;
} numbers;

static void add(numbers *list, double value)
{
  list->values = must_grow(list->values, list->count + 1, sizeof *list->values);
  list->values[list->count++] = value;
}

/* In percent; frees the numbers. */
static figure summarise(numbers *list)
{
  double sum = 0, squares = 0, count = (double)list->count;
  for (size_t i = 0; i < list->count; ++i) sum += list->values[i];
  double mean = sum / count;
  for (size_t i = 0; i < list->count; ++i)
    squares += (list->values[i] - mean) * (list->values[i] - mean);
  figure f = {100 * mean, list->count > 1 ? 100 * sqrt(squares / (count - 1)) : NAN};
  if (list->count == 0) f.mean = NAN;
  free(list->values);
  *list = (numbers){0};
  return f;
}

/* Figures of a unit, by number. */
enum { PIXEL_ANOMALOUS, PIXEL_ALL, AUPRO, FIGURES };

static double figure_of(const unit_result *unit, size_t map, int which)
{
  if (map >= unit->map_count) return NAN;
  const unit_maps *m = &unit->maps[map];
  return which == PIXEL_ANOMALOUS ? m->auroc_anomalous
         : which == PIXEL_ALL     ? m->auroc_all
                                  : m->aupro;
}

static double mean_sample(const unit_result *unit)
{
  double sum = 0;
  for (size_t i = 0; i < unit->sample_count; ++i) sum += unit->samples[i].auroc;
  return sum / (double)unit->sample_count;
}

static bool is_published(const experiment *e, size_t variant, size_t map)
{
  return e->ablation->variants[variant].as_published && e->ablation->maps[map].as_published;
}

static row class_row(const experiment *e, size_t variant, size_t map, size_t index)
{
  const char *name = protocol_class(e->protocol, e->classes[index]);
  row r = {.class_name = name, .published_image = NAN, .published_pixel = NAN};
  numbers images = {0}, pixels[FIGURES] = {{0}};
  for (size_t seed = 0; seed < e->seeds; ++seed) {
    const unit_result *unit = experiment_unit(e, variant, index, seed);
    for (size_t i = 0; i < unit->sample_count; ++i) add(&images, unit->samples[i].auroc);
    for (int f = 0; f < FIGURES; ++f) add(&pixels[f], figure_of(unit, map, f));
  }
  r.models = images.count;
  r.image = summarise(&images);
  r.pixel_anomalous = summarise(&pixels[PIXEL_ANOMALOUS]);
  r.pixel_all = summarise(&pixels[PIXEL_ALL]);
  r.aupro = summarise(&pixels[AUPRO]);
  const published_class *published = published_find(protocol_published(e->protocol), name);
  if (published && is_published(e, variant, map)) {
    r.published_image = published->image;
    r.published_pixel = published->pixel;
  }
  return r;
}

/* Mean over the classes for each seed, and over seeds of that. */
static figure mean_figure(const experiment *e, size_t variant, size_t map, int which)
{
  numbers seeds = {0};
  for (size_t seed = 0; seed < e->seeds; ++seed) {
    double sum = 0;
    for (size_t i = 0; i < e->class_count; ++i) {
      const unit_result *unit = experiment_unit(e, variant, i, seed);
      sum += which < 0 ? mean_sample(unit) : figure_of(unit, map, which);
    }
    add(&seeds, sum / (double)e->class_count);
  }
  return summarise(&seeds);
}

/* The paper's own mean where all its classes are there, else that of the classes that are. */
static void publish_mean(const experiment *e, const row *classes, row *mean)
{
  const published_set *set = protocol_published(e->protocol);
  double image = 0, pixel = 0;
  size_t known = 0;
  for (size_t i = 0; i < e->class_count; ++i) {
    image += classes[i].published_image;
    pixel += classes[i].published_pixel;
    known += published_find(set, classes[i].class_name) != NULL;
  }
  bool complete = set && known == set->count && known == e->class_count;
  mean->published_image = complete ? set->image : image / (double)e->class_count;
  mean->published_pixel = complete ? set->pixel : pixel / (double)e->class_count;
}

static row mean_row(const experiment *e, size_t variant, size_t map, const row *classes)
{
  row r = {.published_image = NAN, .published_pixel = NAN};
  for (size_t i = 0; i < e->class_count; ++i) r.models += classes[i].models;
  r.image = mean_figure(e, variant, map, -1);
  r.pixel_anomalous = mean_figure(e, variant, map, PIXEL_ANOMALOUS);
  r.pixel_all = mean_figure(e, variant, map, PIXEL_ALL);
  r.aupro = mean_figure(e, variant, map, AUPRO);
  if (is_published(e, variant, map)) publish_mean(e, classes, &r);
  const published_set *set = protocol_published(e->protocol);
  if (e->ablation->map_count > 1 && set && e->class_count == set->count)
    r.published_pixel = e->ablation->maps[map].published;
  return r;
}

const char *row_name(const row *r)
{
  return r->class_name ? r->class_name : "mean";
}

row *rows_make(const experiment *e, size_t *count)
{
  size_t used = 0, variants = e->ablation->variant_count, maps = e->ablation->map_count;
  row *rows = must_grow(NULL, variants * maps * (e->class_count + 1), sizeof *rows);
  for (size_t v = 0; v < variants; ++v) {
    for (size_t m = 0; m < maps; ++m) {
      const char *title = maps > 1 ? e->ablation->maps[m].title : e->ablation->variants[v].title;
      row *first = &rows[used];
      for (size_t i = 0; i < e->class_count; ++i) rows[used++] = class_row(e, v, m, i);
      rows[used++] = mean_row(e, v, m, first);
      for (row *r = first; r < &rows[used]; ++r) r->title = title;
    }
  }
  *count = used;
  return rows;
}
