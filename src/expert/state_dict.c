#include "expert/state_dict.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_DEPTH = 16,       /* of dictionaries in dictionaries */
  MAX_ENTRIES = 100000, /* of all dictionaries; one that contains itself ends here */
  MAX_NAME = 256,
  MAX_STORAGES = 65536
};

/* ---- Storages -------------------------------------------------------------------------------- */

static int compare_keys(const char *a, size_t a_size, const char *b, size_t b_size)
{
  int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
  return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_key(const void *a, const void *b)
{
  const mk_storage *x = a, *y = b;
  return compare_keys(x->key, x->key_size, y->key, y->key_size);
}

static mkd_status describe_storage(mk_storage *storage, const mk_pickle *pickle,
                                   const mk_pickle_value *value)
{
  const mk_pickle_value *key = &pickle->values[value->storage.key];
  *storage = (mk_storage){.key = key->text.bytes,
                          .key_size = key->text.size,
                          .type = value->storage.type,
                          .count = (size_t)value->storage.count};
  if (storage->key_size >= MAX_NAME)
    return mk_fail(MKD_ERROR_FILE, "a storage's name has more than %d bytes", MAX_NAME - 1);
  if ((uint64_t)value->storage.count > SIZE_MAX ||
      !mk_mul(storage->count, storage->type.size, &storage->bytes))
    return mk_fail(MKD_ERROR_FILE, "a storage is larger than any file");
  return MKD_OK;
}

/* Sorts the storages and drops repetitions, which have to agree. */
static mkd_status unite_storages(mk_state_dict *state)
{
  mk_storage *s = state->storages;
  size_t kept = 0;
  if (state->storage_count) qsort(s, state->storage_count, sizeof *s, by_key);
  for (size_t i = 0; i < state->storage_count; ++i) {
    if (kept == 0 || by_key(&s[kept - 1], &s[i]) != 0) {
      s[kept++] = s[i];
      continue;
    }
    const mk_storage *same = &s[kept - 1];
    if (same->bytes != s[i].bytes || same->type.size != s[i].type.size ||
        same->type.is_float != s[i].type.is_float || same->type.type != s[i].type.type)
      return mk_fail(MKD_ERROR_FILE, "storage '%.*s' is described in two ways",
                     (int)(s[i].key_size < 64 ? s[i].key_size : 64), s[i].key);
  }
  state->storage_count = kept;
  return MKD_OK;
}

static mkd_status check_total(const mk_state_dict *state, size_t available)
{
  size_t total = 0;
  for (size_t i = 0; i < state->storage_count; ++i)
    if (!mk_add(total, state->storages[i].bytes, &total) || total > available)
      return mk_fail(MKD_ERROR_FILE,
                     "its storages would have more bytes than the file; is it cut?");
  return MKD_OK;
}

static mkd_status collect_storages(mk_state_dict *state, const mk_pickle *pickle, size_t available)
{
  size_t count = 0;
  for (size_t i = 0; i < pickle->count; ++i) count += pickle->values[i].kind == MK_PICKLE_STORAGE;
  if (count > MAX_STORAGES)
    return mk_fail(MKD_ERROR_FILE, "the file has more than %d storages", MAX_STORAGES);
  MK_TRY(mk_alloc(&state->storages, count, sizeof *state->storages));
  for (size_t i = 0; i < pickle->count; ++i)
    if (pickle->values[i].kind == MK_PICKLE_STORAGE)
      MK_TRY(
          describe_storage(&state->storages[state->storage_count++], pickle, &pickle->values[i]));
  MK_TRY(unite_storages(state));
  return check_total(state, available);
}

mk_storage *mk_state_dict_find(const mk_state_dict *state, const char *key, size_t key_size)
{
  mk_storage wanted = {.key = key, .key_size = key_size};
  if (state->storage_count == 0) return NULL;
  return bsearch(&wanted, state->storages, state->storage_count, sizeof wanted, by_key);
}

/* ---- Tensors --------------------------------------------------------------------------------- */

/* What a walk through the dictionaries has done. */
typedef struct {
  mk_state_dict *state;
  const mk_pickle *pickle;
  size_t entries;       /* seen */
  size_t numbers, room; /* of the tensors: so far, and at most */
} walk;

static int64_t integer_item(const mk_pickle *pickle, const mk_pickle_value *tuple, int i)
{
  return pickle->values[tuple->list.items[i]].integer;
}

/* Reads shape and strides, and checks that the last number lies in the storage. */
static mkd_status place_tensor(mk_storage_use *use, size_t *shape, int *rank,
                               const mk_pickle *pickle, const mk_pickle_value *tensor,
                               const char *name)
{
  const mk_pickle_value *sizes = &pickle->values[tensor->tensor.shape],
                        *strides = &pickle->values[tensor->tensor.strides],
                        *storage = &pickle->values[tensor->tensor.storage];
  size_t last = 0;
  bool empty = false;
  if (sizes->list.count > MK_MAX_RANK || sizes->list.count != strides->list.count)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' has %zu dimensions and %zu strides; at most %d",
                   name, sizes->list.count, strides->list.count, MK_MAX_RANK);
  *rank = (int)sizes->list.count;
  for (int i = 0; i < *rank; ++i) {
    int64_t size = integer_item(pickle, sizes, i), stride = integer_item(pickle, strides, i);
    size_t step;
    if (size < 0 || stride < 0)
      return mk_fail(MKD_ERROR_FILE, "tensor '%s' has a negative size or stride", name);
    shape[i] = (size_t)size;
    use->strides[i] = (size_t)stride;
    empty = empty || size == 0;
    if (size > 0 && (!mk_mul(shape[i] - 1, use->strides[i], &step) || !mk_add(last, step, &last)))
      return mk_fail(MKD_ERROR_FILE, "tensor '%s' is too large", name);
  }
  int64_t offset = tensor->tensor.offset;
  size_t count = (size_t)storage->storage.view_count;
  if (offset < 0 || (!empty && ((size_t)offset >= count || last >= count - (size_t)offset)))
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' reaches beyond its storage of %zu numbers", name,
                   count);
  use->begin = empty ? 0 : (size_t)storage->storage.view_begin + (size_t)offset;
  return MKD_OK;
}

static mkd_status spend_numbers(walk *w, const size_t *shape, int rank, const char *name)
{
  size_t count = 1;
  for (int i = 0; i < rank; ++i)
    if (!mk_mul(count, shape[i], &count)) count = SIZE_MAX;
  if (count > w->room - w->numbers)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' repeats the numbers of its storage too often",
                   name);
  w->numbers += count;
  return MKD_OK;
}

static mkd_status add_tensor(walk *w, const mk_pickle_value *value, const char *name)
{
  mk_state_dict *state = w->state;
  const mk_pickle_value *s = &w->pickle->values[value->tensor.storage];
  const mk_pickle_value *key = &w->pickle->values[s->storage.key];
  mk_storage_use use = {0};
  size_t shape[MK_MAX_RANK];
  int rank = 0;
  mk_tensor *tensor;
  if (!s->storage.type.is_float) return MKD_OK;
  MK_TRY(place_tensor(&use, shape, &rank, w->pickle, value, name));
  MK_TRY(spend_numbers(w, shape, rank, name));
  if ((state->use_count & (state->use_count - 1)) == 0)
    MK_TRY(mk_grow(&state->uses, state->use_count, state->use_count ? 2 * state->use_count : 1,
                   sizeof use));
  MK_TRY(mk_tensors_add(&state->tensors, name, rank, shape, &tensor));
  mk_storage *storage = mk_state_dict_find(state, key->text.bytes, key->text.size);
  use.tensor = state->tensors.count - 1;
  use.next = storage->first_use;
  state->uses[state->use_count++] = use;
  storage->first_use = state->use_count;
  return MKD_OK;
}

/* Appends the key to the name, "a" and "b" become "a.b"; false for a key of another kind. */
static mkd_status extend_name(char *name, size_t *length, const mk_pickle_value *key, bool *usable)
{
  char text[MAX_NAME];
  *usable = true;
  if (key->kind == MK_PICKLE_INTEGER)
    snprintf(text, sizeof text, "%lld", (long long)key->integer);
  else if (key->kind == MK_PICKLE_TEXT && key->text.size < sizeof text &&
           !memchr(key->text.bytes, '\0', key->text.size))
    snprintf(text, sizeof text, "%.*s", (int)key->text.size, key->text.bytes);
  else
    *usable = false;
  if (!*usable) return MKD_OK;
  int added = snprintf(name + *length, MAX_NAME - *length, "%s%s", *length ? "." : "", text);
  if (added < 0 || (size_t)added >= MAX_NAME - *length)
    return mk_fail(MKD_ERROR_FILE, "a tensor's name has more than %d bytes", MAX_NAME - 1);
  *length += (size_t)added;
  return MKD_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): to MAX_DEPTH */
static mkd_status walk_dict(walk *w, const mk_pickle_value *dict, char *name, size_t length,
                            int depth)
{
  if (depth > MAX_DEPTH)
    return mk_fail(MKD_ERROR_FILE, "more than %d dictionaries in one another", MAX_DEPTH);
  for (size_t i = 0; i < dict->list.count; i += 2) {
    const mk_pickle_value *value = &w->pickle->values[dict->list.items[i + 1]];
    size_t longer = length;
    bool usable;
    if (++w->entries > MAX_ENTRIES)
      return mk_fail(MKD_ERROR_FILE, "the dictionaries have more than %d entries", MAX_ENTRIES);
    if (value->kind != MK_PICKLE_TENSOR && value->kind != MK_PICKLE_DICT) continue;
    MK_TRY(extend_name(name, &longer, &w->pickle->values[dict->list.items[i]], &usable));
    if (!usable) continue;
    if (value->kind == MK_PICKLE_TENSOR)
      MK_TRY(add_tensor(w, value, name));
    else
      MK_TRY(walk_dict(w, value, name, longer, depth + 1));
    name[length] = '\0';
  }
  return MKD_OK;
}

/* The dictionary of the model's tensors in one that also has the optimiser, the epoch, ... */
static const mk_pickle_value *find_model(const mk_pickle *pickle)
{
  static const char *const keys[] = {"state_dict", "model_state_dict", "model_state", "model",
                                     "net",        "network",          "params"};
  const mk_pickle_value *dict = &pickle->values[pickle->root];
  for (int depth = 0; depth < MAX_DEPTH; ++depth) {
    const mk_pickle_value *inner = NULL;
    for (size_t i = 0; !inner && i < sizeof keys / sizeof *keys; ++i) {
      inner = mk_pickle_get(pickle, dict, keys[i]);
      if (inner && inner->kind != MK_PICKLE_DICT) inner = NULL;
    }
    if (!inner) break;
    dict = inner;
  }
  return dict;
}

/* A tensor can repeat the numbers of its storage (stride 0), and tensors can share them; files that
 * do this without measure are refused. */
static size_t count_room(const mk_state_dict *state)
{
  size_t numbers = 0;
  for (size_t i = 0; i < state->storage_count; ++i)
    if (state->storages[i].type.is_float) numbers += state->storages[i].count;
  return mk_mul(numbers, 4, &numbers) ? numbers : SIZE_MAX;
}

mkd_status mk_state_dict_collect(mk_state_dict *out, const mk_pickle *pickle, size_t available)
{
  mk_state_dict state = {0};
  walk w = {.state = &state, .pickle = pickle};
  char name[MAX_NAME] = "";
  const mk_pickle_value *dict = find_model(pickle);
  if (dict->kind != MK_PICKLE_DICT)
    return mk_fail(MKD_ERROR_FILE, "it holds no dictionary of tensors; torch.save("
                                   "model.state_dict(), ...) writes one");
  mkd_status status = collect_storages(&state, pickle, available);
  w.room = count_room(&state);
  if (status == MKD_OK) status = walk_dict(&w, dict, name, 0, 0);
  if (status == MKD_OK && state.tensors.count == 0)
    status = mk_fail(MKD_ERROR_FILE, "it holds no floating-point tensor");
  if (status != MKD_OK) {
    mk_state_dict_free(&state);
    return status;
  }
  *out = state;
  return MKD_OK;
}

void mk_state_dict_free(mk_state_dict *state)
{
  mk_tensors_free(&state->tensors);
  mk_free(state->storages);
  mk_free(state->uses);
  memset(state, 0, sizeof *state);
}

/* ---- Filling --------------------------------------------------------------------------------- */

static bool contiguous(const mk_tensor *tensor, const mk_storage_use *use)
{
  size_t stride = 1;
  for (int i = tensor->rank - 1; i >= 0; --i) {
    if (tensor->shape[i] != 1 && use->strides[i] != stride) return false;
    stride *= tensor->shape[i];
  }
  return true;
}

/* Where the tensor's number `index`, counted in row-major order, is in the storage. */
static size_t number_at(const mk_tensor *tensor, const mk_storage_use *use, size_t index)
{
  size_t at = use->begin;
  for (int i = tensor->rank - 1; i >= 0; --i) {
    at += index % tensor->shape[i] * use->strides[i];
    index /= tensor->shape[i];
  }
  return at;
}

void mk_state_dict_fill(mk_state_dict *state, const mk_storage *storage, const uint8_t *bytes)
{
  mk_float_type type = storage->type.type;
  size_t size = storage->type.size;
  for (size_t u = storage->first_use; u != 0; u = state->uses[u - 1].next) {
    const mk_storage_use *use = &state->uses[u - 1];
    const mk_tensor *tensor = &state->tensors.tensors[use->tensor];
    if (contiguous(tensor, use)) {
      mk_float_decode(tensor->data, bytes + use->begin * size, tensor->count, type);
      continue;
    }
    for (size_t i = 0; i < tensor->count; ++i)
      mk_float_decode(&tensor->data[i], bytes + number_at(tensor, use, i) * size, 1, type);
  }
}
