#include "distill/store.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static mkd_status map_file(mk_store *store, size_t bytes)
{
  const char *folder = getenv("TMPDIR");
  if (!folder || !*folder) folder = "/tmp";
  char *path;
  MK_TRY(mk_text_format(&path, "%s/mkd-cache-XXXXXX", folder));
  int descriptor = mkostemp(path, O_CLOEXEC);
  int error = descriptor < 0 ? errno : 0;
  if (!error) {
    unlink(path);
    /* Reserves the blocks now: a full disk is an error here and no SIGBUS later. */
    do error = posix_fallocate(descriptor, 0, (off_t)bytes);
    while (error == EINTR);
  }
  void *data = MAP_FAILED;
  if (!error) {
    data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) error = errno;
  }
  if (descriptor >= 0) close(descriptor);
  mkd_status status =
      error ? mk_fail_writing(error, path, "cannot make the cache of inputs and targets") : MKD_OK;
  mk_free(path);
  MK_TRY(status);
  store->data = data;
  store->mapped = bytes;
  return MKD_OK;
}

mkd_status mk_store_create(mk_store **out, size_t count, size_t input_size, size_t target_size,
                           bool half, uint64_t memory_limit)
{
  mk_store *store;
  size_t input_bytes, target_bytes, bytes;
  MK_TRY(mk_alloc(&store, 1, sizeof *store));
  *store = (mk_store){
      .count = count, .input_size = input_size, .target_size = target_size, .half = half};
  mkd_status status = MKD_OK;
  if (!mk_mul(input_size, sizeof(uint16_t), &input_bytes) ||
      !mk_mul(target_size, half ? sizeof(uint16_t) : sizeof(float), &target_bytes) ||
      !mk_add(input_bytes, target_bytes, &store->item_bytes) ||
      !mk_add(store->item_bytes, 2 * MK_ALIGNMENT, &bytes)) {
    status = mk_fail_memory(SIZE_MAX);
  } else {
    store->item_bytes = bytes / MK_ALIGNMENT * MK_ALIGNMENT;
    if (!mk_mul(store->item_bytes, count, &bytes))
      status = mk_fail_memory(SIZE_MAX);
    else if (bytes <= memory_limit)
      status = mk_alloc(&store->data, bytes, 1);
    else
      status = map_file(store, bytes);
  }
  if (status != MKD_OK) {
    mk_store_destroy(store);
    return status;
  }
  *out = store;
  return MKD_OK;
}

void mk_store_destroy(mk_store *store)
{
  if (!store) return;
  if (store->mapped)
    munmap(store->data, store->mapped);
  else
    mk_free(store->data);
  mk_free(store);
}

uint16_t *mk_store_input(const mk_store *store, size_t item)
{
  return (uint16_t *)(void *)(store->data + item * store->item_bytes);
}

/* Targets start on a boundary of 4 bytes. */
static uint8_t *targets(const mk_store *store, size_t item)
{
  size_t input = (store->input_size * sizeof(uint16_t) + 3) / 4 * 4;
  return store->data + item * store->item_bytes + input;
}

const float *mk_store_targets(const mk_store *store, size_t item)
{
  return (const float *)(const void *)targets(store, item);
}

void mk_store_put_targets(const mk_store *store, size_t item, size_t begin, const float *src,
                          size_t count)
{
  if (!store->half) {
    memcpy((float *)(void *)targets(store, item) + begin, src, count * sizeof *src);
    return;
  }
  uint16_t *dst = (uint16_t *)(void *)targets(store, item) + begin;
  const float most = 65504;
  for (size_t i = 0; i < count; ++i) {
    float value = src[i] > most ? most : src[i] < -most ? -most : src[i];
    dst[i] = mk_half_from_float(value);
  }
}

void mk_store_get_targets(const mk_store *store, size_t item, size_t begin, float *dst,
                          size_t count)
{
  if (!store->half) {
    memcpy(dst, mk_store_targets(store, item) + begin, count * sizeof *dst);
    return;
  }
  mk_floats_from_halves(dst, (const uint16_t *)(const void *)targets(store, item) + begin, count);
}
