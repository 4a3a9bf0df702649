#include "detect/detector.h"

#include "core/memory.h"
#include "nn/exec.h"

#include <limits.h>
#include <string.h>

/* Gives the number of positions. */
static mkd_status check_point(const mkd_detector *d, int p, int *positions)
{
  mk_shape expert, cloner;
  MK_TRY(mk_graph_shape(d->expert, d->expert_outputs[p], d->input.height, d->input.width, &expert));
  MK_TRY(mk_graph_shape(d->cloner, d->cloner_outputs[p], d->input.height, d->input.width, &cloner));
  if (expert.height != cloner.height || expert.width != cloner.width ||
      expert.channels != cloner.channels)
    return mk_fail(MKD_ERROR_FILE,
                   "critical point '%s': the cloner gives %dx%dx%d, the expert %dx%dx%d",
                   d->recipe.critical_points.names[p], cloner.width, cloner.height, cloner.channels,
                   expert.width, expert.height, expert.channels);
  if (expert.width > INT_MAX / expert.height)
    return mk_fail(MKD_ERROR_FILE, "critical point '%s' has %d x %d positions, which are too many",
                   d->recipe.critical_points.names[p], expert.width, expert.height);
  *positions = expert.height * expert.width;
  return MKD_OK;
}

static bool is_scored(const mk_recipe *recipe, const char *name)
{
  if (recipe->score_points.count == 0) return true;
  for (int i = 0; i < recipe->score_points.count; ++i) {
    if (strcmp(recipe->score_points.names[i], name) == 0) return true;
  }
  return false;
}

mkd_status mk_detector_finish(mkd_detector *d)
{
  int least = INT_MAX;
  for (int p = 0; p < d->point_count; ++p) {
    int positions;
    MK_TRY(check_point(d, p, &positions));
    d->scored[p] = is_scored(&d->recipe, d->recipe.critical_points.names[p]);
    if (!d->scored[p] || positions > least) continue;
    d->deepest = p;
    least = positions;
  }
  MK_TRY(mk_net_create(&d->expert_net, d->expert, mk_kernels_best()));
  return mk_net_create(&d->cloner_net, d->cloner, mk_kernels_best());
}

static mkd_status copy_array(float **copy, const float *array, size_t count)
{
  if (!array) return MKD_OK;
  MK_TRY(mk_alloc(copy, count, sizeof(float)));
  memcpy(*copy, array, count * sizeof(float));
  return MKD_OK;
}

static mkd_status copy_text(char **copy, const char *text)
{
  return text ? mk_text_copy(copy, text) : MKD_OK;
}

static mkd_status copy_into(mkd_detector *to, const mkd_detector *from)
{
  MK_TRY(mk_recipe_copy(&to->recipe, &from->recipe));
  MK_TRY(mk_graph_prune(&to->expert, from->expert, from->expert_outputs, from->point_count,
                        to->expert_outputs));
  MK_TRY(mk_graph_prune(&to->cloner, from->cloner, from->cloner_outputs, from->point_count,
                        to->cloner_outputs));
  to->point_count = from->point_count;
  for (int p = 0; p < from->point_count; ++p) {
    size_t channels = (size_t)from->expert->ops[from->expert_outputs[p]].channels;
    MK_TRY(copy_array(&to->target_mean[p], from->target_mean[p], channels));
    MK_TRY(copy_array(&to->target_deviation[p], from->target_deviation[p], channels));
  }
  to->input = from->input;
  to->weight_val = from->weight_val;
  to->weight_dir = from->weight_dir;
  const mk_provenance *p = &from->provenance;
  to->provenance = (mk_provenance){.seed = p->seed,
                                   .trained_images = p->trained_images,
                                   .epochs = p->epochs,
                                   .loss = p->loss,
                                   .held_out_loss = p->held_out_loss,
                                   .converged = p->converged};
  MK_TRY(copy_text(&to->provenance.expert_arch, p->expert_arch));
  MK_TRY(copy_text(&to->provenance.expert_sha256, p->expert_sha256));
  MK_TRY(copy_text(&to->provenance.mkd_version, p->mkd_version));
  MK_TRY(copy_text(&to->provenance.kernels, p->kernels));
  return mk_detector_finish(to);
}

mkd_status mk_detector_copy(mkd_detector **out, const mkd_detector *detector)
{
  mkd_detector *copy;
  MK_TRY(mk_alloc(&copy, 1, sizeof *copy));
  mkd_status status = copy_into(copy, detector);
  if (status != MKD_OK) {
    mkd_detector_destroy(copy);
    return status;
  }
  *out = copy;
  return MKD_OK;
}

void mk_calibration_free(mk_calibration *calibration)
{
  mk_free(calibration->scores);
  mk_free(calibration->map_maxima);
  memset(calibration, 0, sizeof *calibration);
}

void mkd_detector_destroy(mkd_detector *d)
{
  if (!d) return;
  mk_net_destroy(d->expert_net);
  mk_net_destroy(d->cloner_net);
  mk_graph_destroy(d->expert);
  mk_graph_destroy(d->cloner);
  for (int p = 0; p < MK_MAX_POINTS; ++p) {
    mk_free(d->target_mean[p]);
    mk_free(d->target_deviation[p]);
  }
  mk_recipe_free(&d->recipe);
  mk_calibration_free(&d->calibration);
  mk_free(d->provenance.expert_arch);
  mk_free(d->provenance.expert_sha256);
  mk_free(d->provenance.mkd_version);
  mk_free(d->provenance.kernels);
  mk_free(d->file);
  mk_free(d);
}
