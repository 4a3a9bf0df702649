#include "expert/pth.h"

#include "expert/pickle.h"
#include "expert/state_dict.h"

#include <endian.h>
#include <string.h>

/* 0x1950a86a20f9469cfc6c, little-endian. */
static const uint8_t magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
enum { VERSION = 1001 };

/* Bytes that are read from front to back. */
typedef struct {
  const uint8_t *data;
  size_t size;
} reader;

static mkd_status next_pickle(reader *r, mk_pickle *pickle)
{
  size_t used;
  MK_TRY(mk_pickle_read(pickle, r->data, r->size, &used));
  r->data += used;
  r->size -= used;
  return MKD_OK;
}

bool mk_pth_legacy_recognise(const uint8_t *data, size_t size)
{
  /* A pickle whose first value is the magic number, perhaps in a frame. */
  return size >= 24 && data[0] == 0x80 && memmem(data, 24, magic, sizeof magic);
}

static mkd_status check_magic(reader *r)
{
  mk_pickle pickle;
  MK_TRY(next_pickle(r, &pickle));
  const mk_pickle_value *root = &pickle.values[pickle.root];
  bool right = root->kind == MK_PICKLE_LONG && root->text.size == sizeof magic &&
               memcmp(root->text.bytes, magic, sizeof magic) == 0;
  mk_pickle_free(&pickle);
  return right ? MKD_OK : mk_fail(MKD_ERROR_FILE, "it is not a file of torch.save");
}

static mkd_status check_version(reader *r)
{
  mk_pickle pickle;
  MK_TRY(next_pickle(r, &pickle));
  const mk_pickle_value *root = &pickle.values[pickle.root];
  bool right = root->kind == MK_PICKLE_INTEGER && root->integer == VERSION;
  mk_pickle_free(&pickle);
  return right ? MKD_OK
               : mk_fail(MKD_ERROR_FILE,
                         "its version of torch.save's older format is not known; "
                         "%d is supported",
                         VERSION);
}

static mkd_status check_byte_order(reader *r)
{
  mk_pickle pickle;
  MK_TRY(next_pickle(r, &pickle));
  const mk_pickle_value *little =
      mk_pickle_get(&pickle, &pickle.values[pickle.root], "little_endian");
  bool right = little && little->kind == MK_PICKLE_BOOL && little->boolean;
  mk_pickle_free(&pickle);
  return right ? MKD_OK
               : mk_fail(MKD_ERROR_FILE, "it comes from a big-endian machine, which is not "
                                         "supported");
}

/* A storage is a count of numbers (8 bytes), and the numbers. */
static mkd_status read_storage(mk_state_dict *state, reader *r, const mk_pickle_value *key)
{
  const mk_storage *storage = NULL;
  uint64_t count;
  if (key->kind == MK_PICKLE_TEXT)
    storage = mk_state_dict_find(state, key->text.bytes, key->text.size);
  if (!storage) return mk_fail(MKD_ERROR_FILE, "a storage belongs to no tensor");
  mk_storage *own = &state->storages[storage - state->storages];
  if (own->filled) /* so another one would be left without numbers */
    return mk_fail(MKD_ERROR_FILE, "storage '%.*s' is listed twice",
                   (int)(storage->key_size < 64 ? storage->key_size : 64), storage->key);
  own->filled = true;
  if (r->size < sizeof count) return mk_fail(MKD_ERROR_FILE, "the file is cut");
  memcpy(&count, r->data, sizeof count);
  r->data += sizeof count;
  r->size -= sizeof count;
  if (le64toh(count) != storage->count)
    return mk_fail(MKD_ERROR_FILE, "storage '%.*s' has another size than its tensors say",
                   (int)(storage->key_size < 64 ? storage->key_size : 64), storage->key);
  if (r->size < storage->bytes) return mk_fail(MKD_ERROR_FILE, "the file is cut");
  mk_state_dict_fill(state, storage, r->data);
  r->data += storage->bytes;
  r->size -= storage->bytes;
  return MKD_OK;
}

static mkd_status read_storages(mk_state_dict *state, reader *r)
{
  mk_pickle keys;
  MK_TRY(next_pickle(r, &keys));
  const mk_pickle_value *list = &keys.values[keys.root];
  mkd_status status = MKD_OK;
  if (list->kind != MK_PICKLE_LIST || list->list.count != state->storage_count)
    status = mk_fail(MKD_ERROR_FILE, "its list of storages does not match its tensors");
  for (size_t i = 0; status == MKD_OK && i < list->list.count; ++i)
    status = read_storage(state, r, &keys.values[list->list.items[i]]);
  mk_pickle_free(&keys);
  return status;
}

mkd_status mk_pth_legacy_parse(mk_tensors *tensors, const uint8_t *data, size_t size)
{
  reader r = {data, size};
  mk_pickle pickle;
  mk_state_dict state = {0};
  MK_TRY(check_magic(&r));
  MK_TRY(check_version(&r));
  MK_TRY(check_byte_order(&r));
  MK_TRY(next_pickle(&r, &pickle));
  mkd_status status = mk_state_dict_collect(&state, &pickle, r.size);
  if (status == MKD_OK) status = read_storages(&state, &r);
  if (status == MKD_OK) {
    *tensors = state.tensors;
    memset(&state.tensors, 0, sizeof state.tensors);
  }
  mk_state_dict_free(&state);
  mk_pickle_free(&pickle);
  return status;
}
