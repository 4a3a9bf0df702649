/* The safetensors container: named tensors and a text dictionary in one file.
 * Format: 8 bytes little-endian header length, JSON header, raw tensor data. */
#ifndef MK_CORE_SAFETENSORS_H
#define MK_CORE_SAFETENSORS_H

#include "core/file.h"

enum { MK_MAX_RANK = 8 };

typedef struct {
  char *name;
  int rank;
  size_t shape[MK_MAX_RANK];
  size_t count; /* product of shape */
  float *data;  /* fp32, whatever the file's type was (F32, F16, BF16, F64) */
  bool in_file; /* data is a part of the set's `file` */
} mk_tensor;

typedef struct {
  char *key, *value;
} mk_metadata;

/* A set of named tensors, as any reader of weights returns it. Owns everything in it. */
typedef struct {
  mk_tensor *tensors;
  size_t count;
  mk_metadata *metadata;
  size_t metadata_count;
  uint8_t *file; /* or NULL */
} mk_tensors;

void mk_tensors_free(mk_tensors *tensors); /* accepts an all-zero struct */

/* Appends a tensor with room for its data (zeroed); the pointer is valid until the next append. */
mkd_status mk_tensors_add(mk_tensors *tensors, const char *name, int rank, const size_t *shape,
                          mk_tensor **added);
/* The same with data that lies in tensors->file. */
mkd_status mk_tensors_add_in_file(mk_tensors *tensors, const char *name, int rank,
                                  const size_t *shape, float *data);
mkd_status mk_tensors_add_metadata(mk_tensors *tensors, const char *key, const char *value);

/* NULL when absent. */
mk_tensor *mk_tensors_find(const mk_tensors *tensors, const char *name);
const char *mk_tensors_metadata(const mk_tensors *tensors, const char *key);

/* MKD_ERROR_FILE that names the tensor when one of its numbers is not finite. */
mkd_status mk_tensor_check_finite(const mk_tensor *tensor);

/* A shape as text, "[64, 3, 3, 3]", cut to fit. */
enum { MK_SHAPE_TEXT = 64 };
const char *mk_shape_text(char text[MK_SHAPE_TEXT], const size_t *shape, int rank);

/* True when the bytes look like a safetensors file: plausible header length, then '{'. */
bool mk_safetensors_recognise(const uint8_t *data, size_t size);

/* `name` is the file's name for error texts. Checks everything: offsets inside the file, not
 * overlapping, sizes that match shapes, no duplicate name. Integer tensors are skipped. */
mkd_status mk_safetensors_parse(mk_tensors *tensors, const uint8_t *data, size_t size,
                                const char *name);

/* The same, but takes the bytes over (also when it fails), so that fp32 tensors need no copy. */
mkd_status mk_safetensors_take(mk_tensors *tensors, mk_bytes *bytes, const char *name);

/* Writes atomically, tensors as F32 in the order given, data aligned to 8 bytes; same input, same
 * bytes. */
mkd_status mk_safetensors_write(const mk_tensors *tensors, const char *path);

/* IEEE half precision, round to nearest even. */
uint16_t mk_half_from_float(float value);
float mk_float_from_half(uint16_t half);
void mk_floats_from_halves(float *values, const uint16_t *halves, size_t count);

#endif
