#include "report_facts.h"

#include "cli.h"
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static void add(report_facts *facts, const char *name,
                                                      const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  facts->facts[facts->count++] = (report_fact){name, text_format_list(format, arguments)};
  va_end(arguments);
}

void report_facts_free(report_facts *facts)
{
  for (size_t i = 0; i < facts->count; ++i) free(facts->facts[i].text);
}

char *report_threshold_origin(const mkd_threshold *threshold)
{
  double rate = 100 * threshold->false_alarm;
  if (!threshold->extrapolated)
    return text_format("The model's threshold is the split-conformal quantile of the scores of %zu "
                       "held-out normal images, for a false-alarm rate of %g\u202f%%.",
                       threshold->held_out, rate);
  return text_format("The model's threshold is extrapolated from the tail of the scores of %zu "
                     "held-out normal images: for a false-alarm rate of %g\u202f%%, at least %.0f "
                     "would be needed to read it off.",
                     threshold->held_out, rate, ceil(1 / threshold->false_alarm) - 1);
}

/* ---- From the description of the model ------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "unknown";
}

static long long whole_of(const json_t *object, const char *key)
{
  return (long long)json_integer_value(json_object_get(object, key));
}

static const char *localization(const json_t *recipe, mkd_localize asked)
{
  return asked == MKD_LOCALIZE_RECIPE ? text_of(recipe, "localize") : localize_name(asked);
}

static void add_maps(report_facts *facts, const json_t *recipe, const report_input *input)
{
  const char *method = localization(recipe, input->scan->session.localize);
  if (strcmp(method, "none") == 0)
    add(facts, "Heat maps", "none");
  else if (input->resolution > 0)
    add(facts, "Heat maps", "%s; pixels measured at %d × %d", method, input->resolution,
        input->resolution);
  else
    add(facts, "Heat maps", "%s; pixels measured at each mask's own size", method);
}

static void add_all(report_facts *facts, const json_t *model, const report_input *input)
{
  const json_t *recipe = json_object_get(model, "recipe"), *size = json_object_get(model, "input");
  const mkd_metrics *all = &input->rows[input->row_count - 1].metrics;
  bool converged = json_is_true(json_object_get(model, "converged"));
  char *origin = report_threshold_origin(&input->threshold);
  add(facts, "File", "%s", input->model);
  add(facts, "Expert", "%s, weights with SHA-256 %.12s…", text_of(model, "expert"),
      text_of(model, "expert_sha256"));
  add(facts, "Recipe", "%s, images of %lld × %lld pixels", text_of(recipe, "name"),
      whole_of(size, "width"), whole_of(size, "height"));
  add(facts, "Training", "%lld normal images, %lld epoch%s, seed %lld%s; mkd %s, kernels %s",
      whole_of(model, "trained_images"), whole_of(model, "epochs"),
      whole_of(model, "epochs") == 1 ? "" : "s", whole_of(model, "seed"),
      converged ? "" : ", not converged", text_of(model, "mkd_version"),
      text_of(model, "trained_with_kernels"));
  add(facts, "Threshold", "%.4g. %s", input->threshold.score, origin);
  add_maps(facts, recipe, input);
  add(facts, "Test images", "%s: %zu normal, %zu anomalous", input->data, all->normal,
      all->anomalous);
  free(origin);
}

mkd_status report_facts_of(report_facts *facts, const report_input *input)
{
  char *json;
  mkd_status status = mkd_describe(&json, input->model, &input->scan->limits);
  if (status != MKD_OK) return status;
  json_t *model = json_from_text(json);
  mkd_text_free(json);
  if (!model) return refuse(MKD_ERROR_FILE, "%s: its description cannot be read", input->model);
  *facts = (report_facts){0};
  add_all(facts, model, input);
  json_decref(model);
  return MKD_OK;
}
