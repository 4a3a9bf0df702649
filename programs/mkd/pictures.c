#include "pictures.h"

#include "cli.h"
#include "destination.h"
#include "folders.h"

#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mkd_overlay_options pictures_scale(const mkd_result *result)
{
  mkd_overlay_options options = {.size = sizeof options, .threshold = NAN};
  double low = result->map_mean_normal, threshold = result->threshold.map;
  if (result->map_calibrated && threshold > low) {
    options.low = low;
    options.high = threshold + (threshold - low) / 2;
    options.threshold = threshold;
    return options;
  }
  const mkd_map *map = &result->map;
  size_t count = (size_t)map->width * (size_t)map->height;
  float least = map->data[0];
  for (size_t i = 1; i < count; ++i) least = fminf(least, map->data[i]);
  options.low = least;
  options.high = result->map_max > least ? result->map_max : options.low + 1;
  return options;
}

static mkd_status save_overlay(const char *path, const mkd_image *image, const mkd_result *result)
{
  mkd_overlay_options options = pictures_scale(result);
  return mkd_overlay_save(path, image, &result->map, &options);
}

static mkd_status save_mask(const char *path, const mkd_image *image, const mkd_result *result)
{
  (void)image;
  return mkd_mask_save(path, &result->map, result->threshold.map);
}

static mkd_status save_map(const char *path, const mkd_image *image, const mkd_result *result)
{
  (void)image;
  return mkd_map_save(path, &result->map);
}

/* Whether files can be made in `folder`, or that folder where it, or what lies above it, exists. */
static mkd_status check_folder(const char *folder)
{
  struct stat info;
  char *path = text_format("%s", folder);
  while (stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR) &&
         strcmp(path, ".") != 0) {
    char *above = text_format("%s", dirname(path));
    free(path);
    path = above;
  }
  mkd_status status = MKD_OK;
  if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
    status = refuse(MKD_ERROR_FILE, "%s: is not a folder", path);
  else if (access(path, W_OK | X_OK) != 0)
    status = refuse_folder(errno, folder, path);
  free(path);
  return status;
}

mkd_status pictures_check(const picture_folders *folders, const mkd_detector *detector,
                          mkd_localize localize)
{
  const struct {
    const char *option, *folder;
  } wanted[] = {
      {"--maps", folders->maps}, {"--overlays", folders->overlays}, {"--masks", folders->masks}};
  mkd_localize calibrated = mkd_detector_localize(detector);
  if (localize == MKD_LOCALIZE_RECIPE) localize = calibrated;
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; ++i) {
    if (!wanted[i].folder) continue;
    if (localize == MKD_LOCALIZE_NONE)
      return refuse(MKD_ERROR_ARGUMENT,
                    "%s: the model makes no heat maps by itself; name a method with --localize",
                    wanted[i].option);
    mkd_status status = check_folder(wanted[i].folder);
    if (status != MKD_OK) return status;
  }
  if (folders->masks && localize != calibrated)
    return refuse(
        MKD_ERROR_ARGUMENT,
        "--masks: the model has no threshold for maps of this kind; leave out --localize, "
        "or run mkd calibrate with the same --localize first");
  return MKD_OK;
}

mkd_status pictures_save(const picture_folders *folders, const char *name, const mkd_image *image,
                         const mkd_result *result)
{
  const struct {
    const char *folder, *suffix;
    mkd_status (*save)(const char *path, const mkd_image *image, const mkd_result *result);
  } kinds[] = {
      {folders->maps, ".map.tiff", save_map},
      {folders->overlays, ".overlay.png", save_overlay},
      {folders->masks, ".mask.png", save_mask},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    if (!kinds[i].folder) continue;
    char *path = text_format("%s/%s%s", kinds[i].folder, name, kinds[i].suffix);
    mkd_status status = folders_make(path);
    if (status == MKD_OK) status = kinds[i].save(path, image, result);
    free(path);
    if (status != MKD_OK) return status;
  }
  return MKD_OK;
}
