/* mkd_dataset of the public header, whatever layout it is read from. */
#include "eval/dataset.h"

#include "core/file.h"
#include "core/limits.h"
#include "core/memory.h"
#include "eval/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

void mkd_dataset_destroy(mkd_dataset *dataset)
{
  if (!dataset) return;
  for (size_t i = 0; i < dataset->count; ++i) {
    mk_free(dataset->entries[i].path);
    mk_free(dataset->entries[i].kind);
    mk_free(dataset->entries[i].mask);
  }
  mk_free(dataset->entries);
  mk_free(dataset->pixels);
  mk_free(dataset);
}

size_t mkd_dataset_count(const mkd_dataset *dataset)
{
  return dataset->count;
}

mkd_dataset_item mkd_dataset_get(const mkd_dataset *dataset, size_t index)
{
  if (index >= dataset->count) return (mkd_dataset_item){0};
  const mk_dataset_entry *e = &dataset->entries[index];
  return (mkd_dataset_item){e->path, e->kind, e->anomalous, e->mask};
}

static mkd_status source_get(void *context, size_t index, mkd_image *image, void **handle)
{
  const mkd_dataset *dataset = context;
  if (index >= dataset->count)
    return mk_fail(MKD_ERROR_ARGUMENT, "image %zu is not in 0 .. %zu", index, dataset->count - 1);
  if (dataset->pixels) {
    size_t size = dataset->shape.stride * (size_t)dataset->shape.height;
    *image = dataset->shape;
    image->data = dataset->pixels + index * size;
    *handle = NULL;
    return MKD_OK;
  }
  mkd_picture *picture;
  MK_TRY(mkd_picture_load(&picture, dataset->entries[index].path, &dataset->limits));
  *image = *mkd_picture_image(picture);
  *handle = picture;
  return MKD_OK;
}

static void source_release(void *context, const mkd_image *image, void *handle)
{
  (void)context;
  (void)image;
  mkd_picture_destroy(handle);
}

mkd_image_source mkd_dataset_source(const mkd_dataset *dataset)
{
  return (mkd_image_source){dataset->count, source_get, source_release, (void *)dataset};
}

/* ---- Making one ------------------------------------------------------------------------------ */

/* Room for `more` entries, which come from `path`. */
static mkd_status reserve(mkd_dataset *dataset, size_t more, const char *path)
{
  size_t needed, capacity = dataset->capacity ? dataset->capacity : 16;
  if (!mk_add(dataset->count, more, &needed)) return mk_fail_memory(SIZE_MAX);
  if (needed > dataset->limits.max_files)
    return mk_fail(MKD_ERROR_DATA, "%s: there are more images than the limit of %" PRIu64, path,
                   dataset->limits.max_files);
  if (needed <= dataset->capacity) return MKD_OK;
  while (capacity < needed) capacity = capacity <= SIZE_MAX / 2 ? 2 * capacity : needed;
  MK_TRY(mk_grow(&dataset->entries, dataset->count, capacity, sizeof *dataset->entries));
  dataset->capacity = capacity;
  return MKD_OK;
}

mkd_status mk_dataset_add(mkd_dataset *dataset, const char *path, const char *kind, bool anomalous)
{
  MK_TRY(reserve(dataset, 1, path));
  mk_dataset_entry *e = &dataset->entries[dataset->count++]; /* zero, so half of it can be freed */
  e->anomalous = anomalous;
  MK_TRY(mk_text_copy(&e->path, path));
  return mk_text_copy(&e->kind, kind);
}

mkd_status mk_dataset_add_folder(mkd_dataset *dataset, const char *folder, const char *kind,
                                 bool anomalous)
{
  mk_list paths = {.limit = dataset->limits.max_files};
  mkd_status status = mk_walk_images(&paths, folder);
  for (size_t i = 0; status == MKD_OK && i < paths.count; ++i)
    status = mk_dataset_add(dataset, paths.items[i], kind, anomalous);
  mk_list_free(&paths);
  return status;
}

/* Room for the pixels of as many images as there is room for. */
static mkd_status reserve_pixels(mkd_dataset *dataset)
{
  size_t size = dataset->shape.stride * (size_t)dataset->shape.height, bytes;
  if (dataset->pixel_capacity >= dataset->capacity) return MKD_OK;
  if (!mk_mul(dataset->capacity, size, &bytes)) return mk_fail_memory(SIZE_MAX);
  MK_TRY(mk_grow(&dataset->pixels, dataset->count * size, bytes, 1));
  dataset->pixel_capacity = dataset->capacity;
  return MKD_OK;
}

mkd_status mk_dataset_add_packed(mkd_dataset *dataset, const mk_packed_images *images)
{
  uint64_t pixels = (uint64_t)dataset->shape.width * (uint64_t)dataset->shape.height;
  if (pixels > dataset->limits.max_pixels)
    return mk_fail(
        MKD_ERROR_FILE, "%s: its images have %d x %d pixels, more than the limit of %" PRIu64,
        images->file, dataset->shape.width, dataset->shape.height, dataset->limits.max_pixels);
  for (size_t i = 0; i < images->count; ++i) {
    if (images->labels[i * images->label_step] >= images->kind_count)
      return mk_fail(MKD_ERROR_FILE, "%s: image %zu has the label %d; expected 0 .. %zu",
                     images->label_file, i, images->labels[i * images->label_step],
                     images->kind_count - 1);
  }
  MK_TRY(reserve(dataset, images->count, images->file));
  MK_TRY(reserve_pixels(dataset));
  size_t size = dataset->shape.stride * (size_t)dataset->shape.height;
  for (size_t i = 0; i < images->count; ++i) {
    char *path;
    MK_TRY(mk_text_format(&path, "%s#%zu", images->file, i));
    memcpy(dataset->pixels + dataset->count * size, images->pixels + i * images->pixel_step, size);
    mkd_status status =
        mk_dataset_add(dataset, path, images->kinds[images->labels[i * images->label_step]], false);
    mk_free(path);
    if (status != MKD_OK) return status;
  }
  return MKD_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static mkd_status read_classes(mkd_dataset *dataset, const char *folder, mkd_layout layout,
                               mkd_split split)
{
  static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  static const char *const clothes[] = {"t-shirt/top", "trouser",   "pullover", "dress",
                                        "coat",        "sandal",    "shirt",    "sneaker",
                                        "bag",         "ankle boot"};
  if (split != MKD_SPLIT_TRAIN && split != MKD_SPLIT_TEST)
    return mk_fail(MKD_ERROR_ARGUMENT, "%s: this layout has the splits train and test only",
                   folder);
  if (layout == MKD_LAYOUT_CIFAR_10) return mk_dataset_read_cifar10(dataset, folder, split);
  if (layout == MKD_LAYOUT_OCT) return mk_dataset_read_oct(dataset, folder, split);
  return mk_dataset_read_idx(dataset, folder, split, layout == MKD_LAYOUT_MNIST ? digits : clothes);
}

static mkd_status read_unsplit(mkd_dataset *dataset, const char *folder, mkd_layout layout,
                               mkd_split split)
{
  if (split != MKD_SPLIT_ALL)
    return mk_fail(MKD_ERROR_ARGUMENT, "%s: this layout does not split its images", folder);
  if (layout == MKD_LAYOUT_HEAD_CT) return mk_dataset_read_head_ct(dataset, folder);
  return mk_dataset_read_brain_mri(dataset, folder);
}

static mkd_status read_layout(mkd_dataset *dataset, const char *folder, mkd_layout layout,
                              mkd_split split)
{
  switch (layout) {
  case MKD_LAYOUT_FOLDER:
    return mk_dataset_read_folder(dataset, folder, split);
  case MKD_LAYOUT_MNIST:
  case MKD_LAYOUT_FASHION_MNIST:
  case MKD_LAYOUT_CIFAR_10:
  case MKD_LAYOUT_OCT:
    return read_classes(dataset, folder, layout, split);
  case MKD_LAYOUT_BRAIN_MRI:
  case MKD_LAYOUT_HEAD_CT:
    return read_unsplit(dataset, folder, layout, split);
  }
  return mk_fail(MKD_ERROR_ARGUMENT, "data set: there is no layout %d", (int)layout);
}

mkd_status mkd_dataset_open_layout(mkd_dataset **out, const char *folder, mkd_layout layout,
                                   mkd_split split, const mkd_limits *limits)
{
  struct stat info;
  mkd_limits resolved;
  if (!out || !folder) return mk_fail(MKD_ERROR_ARGUMENT, "data set: no folder given");
  if (stat(folder, &info) != 0) return mk_fail_reading(errno, folder, "cannot open");
  mkd_dataset *dataset;
  MK_TRY(mk_limits_resolve(&resolved, limits));
  MK_TRY(mk_alloc(&dataset, 1, sizeof *dataset));
  dataset->limits = resolved;
  mkd_status status = read_layout(dataset, folder, layout, split);
  if (status == MKD_OK && dataset->count == 0)
    status = mk_fail(MKD_ERROR_DATA,
                     "%s: no image found; looked for jpg, jpeg, png, tif, tiff, "
                     "webp, bmp, pgm, ppm, pbm and pnm files",
                     folder);
  if (status != MKD_OK) {
    mkd_dataset_destroy(dataset);
    return status;
  }
  *out = dataset;
  return MKD_OK;
}

mkd_status mkd_dataset_open(mkd_dataset **dataset, const char *folder, mkd_split split,
                            const mkd_limits *limits)
{
  return mkd_dataset_open_layout(dataset, folder, MKD_LAYOUT_FOLDER, split, limits);
}
