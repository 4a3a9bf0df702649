/* MNIST's IDX files: 2 bytes of zero, 1 of the type, 1 with the number of dimensions, each of them
 * in 4 bytes, high byte first; then the numbers, last dimension fastest. */
#include "eval/dataset.h"

#include "core/memory.h"
#include "eval/gzip.h"
#include "eval/walk.h"

#include <unistd.h>

enum {
  TYPE_BYTE = 0x08,
  MAX_DIMENSIONS = 3,
  CLASSES = 10,
  MAX_SIDE = 4096 /* pixels */
};

typedef struct {
  char *path;
  mk_bytes bytes;
  size_t shape[MAX_DIMENSIONS];
  const uint8_t *values;
} idx_file;

static void idx_free(idx_file *file)
{
  mk_free(file->path);
  mk_free(file->bytes.data);
}

/* STEM-idxN-ubyte, STEM.idxN-ubyte, or one of these with .gz. */
static mkd_status find_file(char **path, const char *folder, const char *stem, int dimensions)
{
  for (int form = 0; form < 4; ++form) {
    char *name;
    MK_TRY(mk_text_format(&name, "%s%sidx%d-ubyte%s", stem, form % 2 ? "." : "-", dimensions,
                          form / 2 ? ".gz" : ""));
    mkd_status status = mk_path_join(path, folder, name);
    mk_free(name);
    if (status != MKD_OK) return status;
    if (access(*path, F_OK) == 0) return MKD_OK;
    mk_free(*path);
    *path = NULL;
  }
  return mk_fail(MKD_ERROR_FILE, "%s: has no file %s-idx%d-ubyte or %s-idx%d-ubyte.gz", folder,
                 stem, dimensions, stem, dimensions);
}

static size_t big_endian(const uint8_t *bytes)
{
  return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

static mkd_status parse(idx_file *file, int dimensions)
{
  const uint8_t *data = file->bytes.data;
  size_t header = 4 + 4 * (size_t)dimensions, values = 1;
  if (file->bytes.size < header || data[0] || data[1] || data[2] != TYPE_BYTE ||
      data[3] != dimensions)
    return mk_fail(MKD_ERROR_FILE, "%s: is no IDX file of bytes in %d dimension%s", file->path,
                   dimensions, dimensions == 1 ? "" : "s");
  bool fits = true;
  for (int i = 0; i < dimensions; ++i) {
    file->shape[i] = big_endian(data + 4 + 4 * i);
    fits = fits && mk_mul(values, file->shape[i], &values);
  }
  if (!fits || values != file->bytes.size - header)
    return mk_fail(MKD_ERROR_FILE, "%s: has %zu bytes after its header, which does not fit it",
                   file->path, file->bytes.size - header);
  file->values = data + header;
  return MKD_OK;
}

static mkd_status read_file(idx_file *file, const char *folder, const char *stem, int dimensions,
                            uint64_t max_bytes)
{
  MK_TRY(find_file(&file->path, folder, stem, dimensions));
  MK_TRY(mk_gzip_read(&file->bytes, file->path, max_bytes));
  return parse(file, dimensions);
}

static mkd_status add(mkd_dataset *dataset, const idx_file *images, const idx_file *labels,
                      const char *const *kinds)
{
  size_t height = images->shape[1], width = images->shape[2];
  if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE)
    return mk_fail(MKD_ERROR_FILE, "%s: its images have %zux%zu pixels; expected 1 to %d a side",
                   images->path, width, height, MAX_SIDE);
  if (images->shape[0] != labels->shape[0])
    return mk_fail(MKD_ERROR_FILE, "%s: has %zu images, but %s has %zu labels", images->path,
                   images->shape[0], labels->path, labels->shape[0]);
  dataset->shape = (mkd_image){NULL, (int)width, (int)height, width, MKD_GREY8};
  mk_packed_images packed = {.file = images->path,
                             .label_file = labels->path,
                             .count = images->shape[0],
                             .labels = labels->values,
                             .label_step = 1,
                             .pixels = images->values,
                             .pixel_step = width * height,
                             .kinds = kinds,
                             .kind_count = CLASSES};
  return mk_dataset_add_packed(dataset, &packed);
}

mkd_status mk_dataset_read_idx(mkd_dataset *dataset, const char *folder, mkd_split split,
                               const char *const *kinds)
{
  bool train = split == MKD_SPLIT_TRAIN;
  uint64_t max_bytes = dataset->limits.max_bytes;
  idx_file images = {0}, labels = {0};
  mkd_status status =
      read_file(&images, folder, train ? "train-images" : "t10k-images", 3, max_bytes);
  if (status == MKD_OK)
    status = read_file(&labels, folder, train ? "train-labels" : "t10k-labels", 1, max_bytes);
  if (status == MKD_OK) status = add(dataset, &images, &labels, kinds);
  idx_free(&images);
  idx_free(&labels);
  return status;
}
