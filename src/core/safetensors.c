#include "core/safetensors.h"

#include "core/float_types.h"
#include "core/json.h"
#include "core/memory.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* The format allows 100 MB. A parsed header can take 80 times its size, and the largest that makes
 * sense here is a fraction of this. */
static const size_t max_header = (size_t)16 << 20;

static size_t header_size(const uint8_t *data)
{
  uint64_t size;
  memcpy(&size, data, sizeof size);
  size = le64toh(size);
  return size > SIZE_MAX ? SIZE_MAX : (size_t)size;
}

bool mk_safetensors_recognise(const uint8_t *data, size_t size)
{
  if (size < 10) return false;
  size_t header = header_size(data);
  return header >= 2 && header <= size - 8 && data[8] == '{';
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A tensor as the header describes it; `begin` and `end` are offsets into the data. */
typedef struct {
  const char *name;
  bool is_float;
  mk_float_type type;
  size_t item_size;
  int rank;
  size_t shape[MK_MAX_RANK];
  size_t count, begin, end;
} entry;

static bool entry_type(entry *e, const char *text)
{
  static const struct {
    const char *text;
    size_t size;
    bool is_float;
    mk_float_type type;
  } types[] = {
      {"F32", 4, true, MK_FLOAT32}, {"F16", 2, true, MK_FLOAT16}, {"BF16", 2, true, MK_BFLOAT16},
      {"F64", 8, true, MK_FLOAT64}, {"BOOL", 1, false, 0},        {"U8", 1, false, 0},
      {"I8", 1, false, 0},          {"U16", 2, false, 0},         {"I16", 2, false, 0},
      {"U32", 4, false, 0},         {"I32", 4, false, 0},         {"U64", 8, false, 0},
      {"I64", 8, false, 0},
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
    if (strcmp(types[i].text, text) != 0) continue;
    e->item_size = types[i].size;
    e->is_float = types[i].is_float;
    e->type = types[i].type;
    return true;
  }
  return false;
}

/* A whole number that is not negative. */
static bool read_size(const json_t *value, size_t *out)
{
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  return mk_add((size_t)json_integer_value(value), 0, out);
}

static mkd_status read_entry(entry *e, const char *name, const json_t *value, size_t data_size)
{
  e->name = name;
  const json_t *type = json_object_get(value, "dtype"), *shape = json_object_get(value, "shape"),
               *offsets = json_object_get(value, "data_offsets");
  if (!json_is_string(type) || !json_is_array(shape) || !json_is_array(offsets))
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' lacks its dtype, shape or data_offsets", name);
  if (!entry_type(e, json_string_value(type)))
    return mk_fail(MKD_ERROR_FILE,
                   "tensor '%.200s' has type '%.40s'; F64, F32, F16 and BF16 are supported", name,
                   json_string_value(type));
  if (json_array_size(shape) > MK_MAX_RANK)
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' has %zu dimensions, at most %d can be", name,
                   json_array_size(shape), MK_MAX_RANK);
  e->rank = (int)json_array_size(shape);
  e->count = 1;
  size_t bytes = 0;
  for (int i = 0; i < e->rank; ++i)
    if (!read_size(json_array_get(shape, (size_t)i), &e->shape[i]) ||
        !mk_mul(e->count, e->shape[i], &e->count))
      return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' has an impossible shape", name);
  if (!mk_mul(e->count, e->item_size, &bytes))
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' has an impossible shape", name);
  if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &e->begin) ||
      !read_size(json_array_get(offsets, 1), &e->end) || e->begin > e->end || e->end > data_size)
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' lies outside the file (is the file cut?)",
                   name);
  if (e->end - e->begin != bytes)
    return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' has %zu bytes, its shape asks for %zu", name,
                   e->end - e->begin, bytes);
  return MKD_OK;
}

static int by_offset(const void *a, const void *b)
{
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* The format wants the data to be covered by tensors, without overlap or gap. */
static mkd_status check_layout(const entry *entries, size_t count, size_t data_size)
{
  size_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    if (entries[i].begin != end)
      return mk_fail(MKD_ERROR_FILE, "tensor '%.200s' %s", entries[i].name,
                     entries[i].begin < end ? "overlaps another" : "follows a gap");
    end = entries[i].end;
  }
  if (end != data_size)
    return mk_fail(MKD_ERROR_FILE, "%zu bytes after the last tensor", data_size - end);
  return MKD_OK;
}

static mkd_status read_metadata(mk_tensors *tensors, json_t *metadata)
{
  if (!json_is_object(metadata))
    return mk_fail(MKD_ERROR_FILE, "its metadata is not a dictionary of texts");
  const char *key;
  json_t *value;
  json_object_foreach(metadata, key, value)
  {
    if (!json_is_string(value))
      return mk_fail(MKD_ERROR_FILE, "metadata '%.200s' is not a text", key);
    MK_TRY(mk_tensors_add_metadata(tensors, key, json_string_value(value)));
  }
  return MKD_OK;
}

/* Whether a tensor can be used where it is. */
static bool usable_in_file(const mk_tensors *tensors, const entry *e, const uint8_t *data)
{
  return tensors->file && e->type == MK_FLOAT32 && __BYTE_ORDER == __LITTLE_ENDIAN &&
         (uintptr_t)(data + e->begin) % sizeof(float) == 0;
}

static mkd_status read_tensors(mk_tensors *tensors, const entry *entries, size_t count,
                               const uint8_t *data)
{
  for (size_t i = 0; i < count; ++i) {
    const entry *e = &entries[i];
    if (!e->is_float) continue;
    if (usable_in_file(tensors, e, data)) {
      float *values = (float *)(void *)(tensors->file + (data + e->begin - tensors->file));
      MK_TRY(mk_tensors_add_in_file(tensors, e->name, e->rank, e->shape, values));
      continue;
    }
    mk_tensor *tensor;
    MK_TRY(mk_tensors_add(tensors, e->name, e->rank, e->shape, &tensor));
    mk_float_decode(tensor->data, data + e->begin, e->count, e->type);
  }
  return MKD_OK;
}

static mkd_status read_header(mk_tensors *tensors, json_t *header, const uint8_t *data,
                              size_t data_size)
{
  entry *entries;
  size_t count = 0;
  const char *name;
  json_t *value;
  mkd_status status = MKD_OK;
  MK_TRY(mk_alloc(&entries, json_object_size(header), sizeof *entries));
  json_object_foreach(header, name, value)
  {
    if (strcmp(name, "__metadata__") == 0)
      status = read_metadata(tensors, value);
    else
      status = read_entry(&entries[count++], name, value, data_size);
    if (status != MKD_OK) break;
  }
  if (status == MKD_OK) {
    qsort(entries, count, sizeof *entries, by_offset);
    status = check_layout(entries, count, data_size);
  }
  if (status == MKD_OK) status = read_tensors(tensors, entries, count, data);
  mk_free(entries);
  return status;
}

static mkd_status parse(mk_tensors *tensors, const uint8_t *data, size_t size)
{
  if (!mk_safetensors_recognise(data, size))
    return mk_fail(MKD_ERROR_FILE, "not a safetensors file, or one that is cut");
  size_t length = header_size(data);
  if (length > max_header)
    return mk_fail(MKD_ERROR_FILE, "its header has %zu bytes, at most %zu are read", length,
                   max_header);
  json_t *header;
  mkd_status status = mk_json_parse(&header, (const char *)data + 8, length);
  if (status != MKD_OK) return mk_fail_in(status, "its header");
  status = read_header(tensors, header, data + 8 + length, size - 8 - length);
  json_decref(header);
  return status;
}

mkd_status mk_safetensors_parse(mk_tensors *tensors, const uint8_t *data, size_t size,
                                const char *name)
{
  mk_tensors read = {0};
  mkd_status status = parse(&read, data, size);
  if (status != MKD_OK) {
    mk_tensors_free(&read);
    return mk_fail_in(status, name);
  }
  *tensors = read;
  return MKD_OK;
}

mkd_status mk_safetensors_take(mk_tensors *tensors, mk_bytes *bytes, const char *name)
{
  mk_tensors read = {.file = bytes->data};
  mkd_status status = parse(&read, bytes->data, bytes->size);
  *bytes = (mk_bytes){NULL, 0};
  if (status != MKD_OK) {
    mk_tensors_free(&read);
    return mk_fail_in(status, name);
  }
  *tensors = read;
  return MKD_OK;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static json_t *describe_tensor(const mk_tensor *tensor, size_t offset)
{
  json_t *shape = json_array();
  for (int i = 0; shape && i < tensor->rank; ++i) {
    if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i])) == 0) continue;
    json_decref(shape);
    return NULL;
  }
  return json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets",
                   (json_int_t)offset, (json_int_t)(offset + 4 * tensor->count));
}

static json_t *describe(const mk_tensors *tensors)
{
  json_t *header = json_object(), *metadata = json_object();
  bool complete = header && metadata;
  for (size_t i = 0; complete && i < tensors->metadata_count; ++i)
    complete = json_object_set_new(metadata, tensors->metadata[i].key,
                                   json_string(tensors->metadata[i].value)) == 0;
  if (complete && tensors->metadata_count)
    complete = json_object_set(header, "__metadata__", metadata) == 0;
  json_decref(metadata);
  size_t offset = 0;
  for (size_t i = 0; complete && i < tensors->count; ++i) {
    const mk_tensor *tensor = &tensors->tensors[i];
    complete = json_object_set_new(header, tensor->name, describe_tensor(tensor, offset)) == 0;
    offset += 4 * tensor->count;
  }
  if (complete) return header;
  json_decref(header);
  return NULL;
}

/* The header with its length before it, padded with spaces to a multiple of 8 bytes. */
static mkd_status format_header(mk_bytes *bytes, const mk_tensors *tensors)
{
  mk_memory_watch();
  json_t *header = describe(tensors);
  if (!header && mk_memory_failed()) return mk_fail_memory(0);
  if (!header)
    return mk_fail(MKD_ERROR_ARGUMENT, "the name of a tensor, or its metadata, is not UTF-8");
  char *text;
  MK_TRY(mk_json_format(&text, header, JSON_COMPACT));
  size_t length = strlen(text), padded = (length + 7) / 8 * 8;
  mkd_status status = MKD_OK;
  if (padded > max_header)
    status = mk_fail(MKD_ERROR_ARGUMENT, "its header would have %zu bytes, at most %zu can be",
                     padded, max_header);
  if (status == MKD_OK) status = mk_alloc(&bytes->data, 8 + padded, 1);
  if (status == MKD_OK) {
    uint64_t size = htole64(padded);
    memcpy(bytes->data, &size, 8);
    memcpy(bytes->data + 8, text, length);
    memset(bytes->data + 8 + length, ' ', padded - length);
    bytes->size = 8 + padded;
  }
  mk_free(text);
  return status;
}

static mkd_status write_tensor(mk_writer *writer, const mk_tensor *tensor)
{
  enum { CHUNK = 16384 };
  uint8_t *bytes;
  MK_TRY(mk_alloc(&bytes, CHUNK, 4));
  mkd_status status = MKD_OK;
  for (size_t i = 0; status == MKD_OK && i < tensor->count; i += CHUNK) {
    size_t count = tensor->count - i < CHUNK ? tensor->count - i : CHUNK;
    mk_float_encode(bytes, tensor->data + i, count);
    status = mk_writer_write(writer, bytes, 4 * count);
  }
  mk_free(bytes);
  return status;
}

mkd_status mk_safetensors_write(const mk_tensors *tensors, const char *path)
{
  if (mk_tensors_find(tensors, "__metadata__"))
    return mk_fail(MKD_ERROR_ARGUMENT, "%s: a tensor cannot be named '__metadata__'", path);
  mk_bytes header = {0};
  mkd_status status = format_header(&header, tensors);
  if (status != MKD_OK) return mk_fail_in(status, path);
  mk_writer *writer = NULL;
  status = mk_writer_open(&writer, path);
  if (status == MKD_OK) status = mk_writer_write(writer, header.data, header.size);
  mk_free(header.data);
  for (size_t i = 0; status == MKD_OK && i < tensors->count; ++i)
    status = write_tensor(writer, &tensors->tensors[i]);
  if (status != MKD_OK) {
    mk_writer_abort(writer);
    return status;
  }
  return mk_writer_commit(writer);
}
