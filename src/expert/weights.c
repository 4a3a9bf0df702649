#include "expert/weights.h"

#include "core/download.h"
#include "core/memory.h"
#include "expert/pth.h"

#include <string.h>

static bool starts_with(const mk_bytes *file, const char *bytes, size_t size)
{
  return file->size >= size && memcmp(file->data, bytes, size) == 0;
}

/* What a file is that cannot be read, and is no failed download. */
static const char *describe_other(const mk_bytes *file)
{
  if (file->size == 0) return "it is empty";
  if (starts_with(file, "\x89HDF\r\n\x1a\n", 8)) return "it is HDF5 (Keras .h5)";
  if (starts_with(file, "\x80", 1)) return "it is a pickle, but not one of torch.save";
  if (file->size >= 8 && memcmp(file->data + 4, "TFL3", 4) == 0) return "it is TensorFlow Lite";
  if (starts_with(file, "\x1f\x8b", 2)) return "it is compressed with gzip";
  if (memmem(file->data, file->size < 4096 ? file->size : 4096, "ustar", 5))
    return "it is a tar archive";
  /* ONNX is a protobuf message: a version number, then most often the producer's name. */
  if (starts_with(file, "\x08", 1) && file->size >= 3 && file->data[1] < 32 &&
      file->data[2] == 0x12)
    return "it looks like ONNX";
  return "it is of an unknown kind";
}

static mkd_status parse(mk_tensors *tensors, const mk_bytes *file)
{
  if (mk_pth_legacy_recognise(file->data, file->size))
    return mk_pth_legacy_parse(tensors, file->data, file->size);
  if (mk_pth_zip_recognise(file->data, file->size))
    return mk_pth_zip_parse(tensors, file->data, file->size);
  const char *accident = mk_failed_download(file->data, file->size);
  if (accident) return mk_fail(MKD_ERROR_FILE, "it is %s", accident);
  return mk_fail(MKD_ERROR_FILE,
                 "%s; PyTorch .pth files (of a state dictionary) and safetensors files are read",
                 describe_other(file));
}

static bool all_start_with(const mk_tensors *tensors, const char *prefix)
{
  for (size_t i = 0; i < tensors->count; ++i)
    if (strncmp(tensors->tensors[i].name, prefix, strlen(prefix)) != 0) return false;
  return tensors->count > 0;
}

static void strip_wrappers(mk_tensors *tensors)
{
  static const char *const prefixes[] = {"module.",  "model.",    "net.",       "network.",
                                         "encoder.", "backbone.", "state_dict."};
  for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes;) {
    size_t length = strlen(prefixes[p]);
    if (!all_start_with(tensors, prefixes[p])) {
      ++p;
      continue;
    }
    for (size_t i = 0; i < tensors->count; ++i) {
      char *name = tensors->tensors[i].name;
      memmove(name, name + length, strlen(name) - length + 1);
    }
    p = 0; /* there can be several */
  }
}

mkd_status mk_weights_read(mk_tensors *tensors, const char *path, uint64_t max_bytes,
                           char sha256[MK_SHA256_HEX])
{
  mk_bytes file;
  mk_tensors read = {0};
  MK_TRY(mk_file_read(&file, path, max_bytes));
  mkd_status status;
  if (mk_safetensors_recognise(file.data, file.size)) {
    status = mk_safetensors_parse(&read, file.data, file.size, path);
  } else {
    status = parse(&read, &file);
    if (status != MKD_OK) mk_fail_in(status, path);
  }
  if (status == MKD_OK) {
    strip_wrappers(&read);
    if (sha256) mk_sha256(sha256, file.data, file.size);
    *tensors = read;
  }
  mk_free(file.data);
  return status;
}
