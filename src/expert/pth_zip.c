#include "expert/pth.h"

#include "core/memory.h"
#include "expert/pickle.h"
#include "expert/state_dict.h"

#include <string.h>
#include <zip.h>

enum { MAX_ENTRIES = 65536, MAX_ENTRY_NAME = 512 };
static const size_t max_pickle = (size_t)64 << 20; /* bytes */

bool mk_pth_zip_recognise(const uint8_t *data, size_t size)
{
  return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static mkd_status open_archive(zip_t **archive, const uint8_t *data, size_t size)
{
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t *source = zip_source_buffer_create(data, size, 0, &error);
  *archive = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : NULL;
  mkd_status status = MKD_OK;
  if (!*archive) {
    status = mk_fail(MKD_ERROR_FILE, "the zip archive cannot be read: %s (is it cut?)",
                     zip_error_strerror(&error));
    zip_source_free(source); /* accepts NULL; a failed open does not take it over */
  } else if (zip_get_num_entries(*archive, 0) > MAX_ENTRIES) {
    status = mk_fail(MKD_ERROR_FILE, "the zip archive has more than %d entries", MAX_ENTRIES);
    zip_discard(*archive);
  }
  zip_error_fini(&error);
  return status;
}

/* Size of an entry that is stored as it is: compressed ones, which torch.save never writes, could
 * be much larger than the file. */
static mkd_status entry_size(zip_t *archive, zip_uint64_t index, size_t *size)
{
  zip_stat_t info;
  const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_NAME;
  if (zip_stat_index(archive, index, 0, &info) != 0 || (info.valid & needed) != needed)
    return mk_fail(MKD_ERROR_FILE, "the zip archive is damaged: %s", zip_strerror(archive));
  if (info.comp_method != ZIP_CM_STORE)
    return mk_fail(MKD_ERROR_FILE,
                   "entry '%.200s' of the archive is compressed; torch.save stores "
                   "its entries as they are",
                   info.name);
  if (info.size > SIZE_MAX)
    return mk_fail(MKD_ERROR_FILE, "entry '%.200s' is too large", info.name);
  *size = (size_t)info.size;
  return MKD_OK;
}

/* Reads an entry of known size into `bytes`, and checks its CRC. */
static mkd_status read_entry(zip_t *archive, zip_uint64_t index, uint8_t *bytes, size_t size)
{
  zip_file_t *file = zip_fopen_index(archive, index, 0);
  uint8_t beyond;
  if (!file)
    return mk_fail(MKD_ERROR_FILE, "the zip archive is damaged: %s", zip_strerror(archive));
  /* Reading beyond the end makes libzip compare the CRC. */
  bool complete =
      zip_fread(file, bytes, size) == (zip_int64_t)size && zip_fread(file, &beyond, 1) == 0;
  const char *name = zip_get_name(archive, index, 0);
  mkd_status status = MKD_OK;
  if (!complete)
    status = mk_fail(MKD_ERROR_FILE, "entry '%.200s' of the archive is damaged: %s",
                     name ? name : "?", zip_file_strerror(file));
  zip_fclose(file);
  return status;
}

static bool ends_with(const char *text, const char *end)
{
  size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The archive has one folder, named after the file that was saved, with the pickle in it. */
static mkd_status find_pickle(zip_t *archive, zip_uint64_t *index, const char **name)
{
  zip_int64_t count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    *name = zip_get_name(archive, (zip_uint64_t)i, 0);
    if (!*name || !ends_with(*name, "/data.pkl")) continue;
    *index = (zip_uint64_t)i;
    return MKD_OK;
  }
  return mk_fail(MKD_ERROR_FILE, "the zip archive has no 'data.pkl', so it is not a file of "
                                 "torch.save");
}

/* Index of the entry `tail` in the pickle's folder; false when there is none. */
static bool find_entry(zip_t *archive, const char *pickle_name, const char *tail, size_t tail_size,
                       zip_uint64_t *index)
{
  char name[MAX_ENTRY_NAME];
  size_t folder = strlen(pickle_name) - strlen("data.pkl");
  if (folder + tail_size >= sizeof name || memchr(tail, '\0', tail_size)) return false;
  memcpy(name, pickle_name, folder);
  memcpy(name + folder, tail, tail_size);
  name[folder + tail_size] = '\0';
  zip_int64_t found = zip_name_locate(archive, name, 0);
  if (found < 0) return false;
  *index = (zip_uint64_t)found;
  return true;
}

/* ---- Content --------------------------------------------------------------------------------- */

static mkd_status check_byte_order(zip_t *archive, const char *pickle_name)
{
  zip_uint64_t index;
  size_t size;
  uint8_t text[6];
  if (!find_entry(archive, pickle_name, "byteorder", 9, &index)) return MKD_OK; /* older files */
  MK_TRY(entry_size(archive, index, &size));
  if (size == sizeof text) {
    MK_TRY(read_entry(archive, index, text, size));
    if (memcmp(text, "little", sizeof text) == 0) return MKD_OK;
  }
  return mk_fail(MKD_ERROR_FILE, "it comes from a big-endian machine, which is not supported");
}

static mkd_status read_storage(mk_state_dict *state, const mk_storage *storage, zip_t *archive,
                               const char *pickle_name)
{
  char tail[MAX_ENTRY_NAME] = "data/";
  zip_uint64_t index;
  size_t size;
  bool found = storage->key_size < sizeof tail - 5;
  if (found) memcpy(tail + 5, storage->key, storage->key_size);
  found = found && find_entry(archive, pickle_name, tail, 5 + storage->key_size, &index);
  if (!found)
    return mk_fail(MKD_ERROR_FILE, "the zip archive lacks storage '%.*s'",
                   (int)(storage->key_size < 64 ? storage->key_size : 64), storage->key);
  MK_TRY(entry_size(archive, index, &size));
  if (size != storage->bytes)
    return mk_fail(MKD_ERROR_FILE, "storage '%.*s' has another size than its tensors say",
                   (int)storage->key_size, storage->key);
  uint8_t *bytes;
  MK_TRY(mk_alloc(&bytes, size, 1));
  mkd_status status = read_entry(archive, index, bytes, size);
  if (status == MKD_OK) mk_state_dict_fill(state, storage, bytes);
  mk_free(bytes);
  return status;
}

static mkd_status read_tensors(mk_tensors *tensors, zip_t *archive, const char *pickle_name,
                               const uint8_t *bytes, size_t size, size_t file_size)
{
  mk_pickle pickle;
  mk_state_dict state = {0};
  size_t used;
  MK_TRY(mk_pickle_read(&pickle, bytes, size, &used));
  mkd_status status = mk_state_dict_collect(&state, &pickle, file_size);
  for (size_t i = 0; status == MKD_OK && i < state.storage_count; ++i)
    if (state.storages[i].first_use != 0)
      status = read_storage(&state, &state.storages[i], archive, pickle_name);
  if (status == MKD_OK) {
    *tensors = state.tensors;
    memset(&state.tensors, 0, sizeof state.tensors);
  }
  mk_state_dict_free(&state);
  mk_pickle_free(&pickle);
  return status;
}

static mkd_status read_archive(mk_tensors *tensors, zip_t *archive, size_t file_size)
{
  zip_uint64_t index = 0, script;
  const char *name = NULL;
  size_t size;
  uint8_t *bytes;
  MK_TRY(find_pickle(archive, &index, &name));
  if (find_entry(archive, name, "constants.pkl", 13, &script))
    return mk_fail(MKD_ERROR_FILE, "it is a TorchScript program; torch.save(model.state_dict(), "
                                   "...) writes what is needed");
  MK_TRY(check_byte_order(archive, name));
  MK_TRY(entry_size(archive, index, &size));
  if (size > max_pickle || size > file_size)
    return mk_fail(MKD_ERROR_FILE, "its pickle has %zu bytes; at most %zu are read", size,
                   max_pickle);
  MK_TRY(mk_alloc(&bytes, size, 1));
  mkd_status status = read_entry(archive, index, bytes, size);
  if (status == MKD_OK) status = read_tensors(tensors, archive, name, bytes, size, file_size);
  mk_free(bytes);
  return status;
}

mkd_status mk_pth_zip_parse(mk_tensors *tensors, const uint8_t *data, size_t size)
{
  zip_t *archive;
  mk_memory_watch();
  mkd_status status = open_archive(&archive, data, size);
  if (status == MKD_OK) {
    status = read_archive(tensors, archive, size);
    zip_discard(archive);
  }
  return status == MKD_ERROR_FILE && mk_memory_failed() ? mk_fail_memory(0) : status;
}
