#include "core/safetensors.h"

#include "core/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  MAX_ENTRIES = 16384,
  MAX_NAME = 255
}; /* tensors, and metadata: names are searched one after the other */

void mk_tensors_free(mk_tensors *tensors)
{
  for (size_t i = 0; i < tensors->count; ++i) {
    mk_free(tensors->tensors[i].name);
    if (!tensors->tensors[i].in_file) mk_free(tensors->tensors[i].data);
  }
  for (size_t i = 0; i < tensors->metadata_count; ++i) {
    mk_free(tensors->metadata[i].key);
    mk_free(tensors->metadata[i].value);
  }
  mk_free(tensors->tensors);
  mk_free(tensors->metadata);
  mk_free(tensors->file);
  memset(tensors, 0, sizeof *tensors);
}

/* Room for one more; the capacity is the next power of two. */
static mkd_status grow_by_one(void *array, size_t count, size_t size)
{
  if (count & (count - 1)) return MKD_OK;
  return mk_grow(array, count, count ? 2 * count : 1, size);
}

/* Adds a tensor whose data is at `data`, or its own when NULL. */
static mkd_status add(mk_tensors *tensors, const char *name, int rank, const size_t *shape,
                      float *data, mk_tensor **added)
{
  if (tensors->count >= MAX_ENTRIES)
    return mk_fail(MKD_ERROR_FILE, "more than %d tensors", MAX_ENTRIES);
  if (rank < 0 || rank > MK_MAX_RANK)
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' has %d dimensions, at most %d can be", name,
                   rank, MK_MAX_RANK);
  if (strlen(name) > MAX_NAME)
    return mk_fail(MKD_ERROR_FILE, "tensor '%.40s...': its name has more than %d bytes", name,
                   MAX_NAME);
  if (mk_tensors_find(tensors, name))
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' is there twice", name);
  mk_tensor tensor = {.rank = rank, .count = 1, .data = data, .in_file = data != NULL};
  for (int i = 0; i < rank; ++i) {
    tensor.shape[i] = shape[i];
    if (!mk_mul(tensor.count, shape[i], &tensor.count))
      return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' is too large", name);
  }
  MK_TRY(grow_by_one(&tensors->tensors, tensors->count, sizeof tensor));
  MK_TRY(mk_text_copy(&tensor.name, name));
  mkd_status status = data ? MKD_OK : mk_alloc(&tensor.data, tensor.count, sizeof *tensor.data);
  if (status != MKD_OK) {
    mk_free(tensor.name);
    return status;
  }
  tensors->tensors[tensors->count] = tensor;
  *added = &tensors->tensors[tensors->count++];
  return MKD_OK;
}

mkd_status mk_tensors_add(mk_tensors *tensors, const char *name, int rank, const size_t *shape,
                          mk_tensor **added)
{
  return add(tensors, name, rank, shape, NULL, added);
}

mkd_status mk_tensors_add_in_file(mk_tensors *tensors, const char *name, int rank,
                                  const size_t *shape, float *data)
{
  mk_tensor *added;
  return add(tensors, name, rank, shape, data, &added);
}

mkd_status mk_tensors_add_metadata(mk_tensors *tensors, const char *key, const char *value)
{
  if (tensors->metadata_count >= MAX_ENTRIES)
    return mk_fail(MKD_ERROR_FILE, "more than %d entries of metadata", MAX_ENTRIES);
  if (strlen(key) > MAX_NAME)
    return mk_fail(MKD_ERROR_FILE, "metadata '%.40s...': its name has more than %d bytes", key,
                   MAX_NAME);
  if (mk_tensors_metadata(tensors, key))
    return mk_fail(MKD_ERROR_FILE, "metadata '%.200s' is there twice", key);
  mk_metadata entry;
  MK_TRY(grow_by_one(&tensors->metadata, tensors->metadata_count, sizeof entry));
  MK_TRY(mk_text_copy(&entry.key, key));
  mkd_status status = mk_text_copy(&entry.value, value);
  if (status != MKD_OK) {
    mk_free(entry.key);
    return status;
  }
  tensors->metadata[tensors->metadata_count++] = entry;
  return MKD_OK;
}

mk_tensor *mk_tensors_find(const mk_tensors *tensors, const char *name)
{
  for (size_t i = 0; i < tensors->count; ++i)
    if (strcmp(tensors->tensors[i].name, name) == 0) return &tensors->tensors[i];
  return NULL;
}

const char *mk_tensors_metadata(const mk_tensors *tensors, const char *key)
{
  for (size_t i = 0; i < tensors->metadata_count; ++i)
    if (strcmp(tensors->metadata[i].key, key) == 0) return tensors->metadata[i].value;
  return NULL;
}

const char *mk_shape_text(char text[MK_SHAPE_TEXT], const size_t *shape, int rank)
{
  size_t used = (size_t)snprintf(text, MK_SHAPE_TEXT, "[");
  for (int i = 0; i < rank && used < MK_SHAPE_TEXT - 24; ++i)
    used += (size_t)snprintf(text + used, MK_SHAPE_TEXT - used, i ? ", %zu" : "%zu", shape[i]);
  snprintf(text + used, MK_SHAPE_TEXT - used, "]");
  return text;
}

mkd_status mk_tensor_check_finite(const mk_tensor *tensor)
{
  /* Zero times a number is zero, unless it is not finite. */
  enum { LANES = 16 };
  float zeros[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= tensor->count; i += LANES) {
    for (int k = 0; k < LANES; ++k) zeros[k] += tensor->data[i + (size_t)k] * 0;
  }
  for (; i < tensor->count; ++i) zeros[0] += tensor->data[i] * 0;
  for (int k = 0; k < LANES; ++k) {
    if (isnan(zeros[k]))
      return mk_fail(MKD_ERROR_FILE, "tensor '%s' holds a NaN or infinity", tensor->name);
  }
  return MKD_OK;
}
