#include "expert/pickle.h"

#include "core/memory.h"

#include <endian.h>
#include <string.h>

enum {
  MAX_ITEMS = 1 << 21,  /* of all containers; OrderedDict copies those of another */
  MAX_VALUES = 1 << 19, /* also bounds the stack, the memo and each container */
  MARK = MAX_VALUES     /* on the stack; no value has this number */
};

typedef struct {
  const uint8_t *data;
  size_t size, at;
  mk_pickle *pickle;
  mk_pickle_index *stack;
  size_t depth;
  mk_pickle_index *memo; /* number of the value + 1; 0 = not set */
  size_t memo_capacity, memo_used;
  size_t items; /* that containers have taken */
} machine;

static mkd_status damaged(const char *what)
{
  mk_fail(MKD_ERROR_FILE, "the pickle is damaged: %s", what);
  return MKD_ERROR_FILE; /* a constant, so that compilers see that it is never MKD_OK */
}

static mkd_status too_large(void)
{
  mk_fail(MKD_ERROR_FILE, "the pickle has more than %d values", MAX_VALUES);
  return MKD_ERROR_FILE;
}

/* ---- Values and the stack -------------------------------------------------------------------- */

/* Room for one more in an array whose capacity is a power of two. */
static mkd_status grow_by_one(void *array, size_t count, size_t size)
{
  if (count >= MAX_VALUES) return too_large();
  if (count & (count - 1)) return MKD_OK;
  return mk_grow(array, count, count ? 2 * count : 1, size);
}

static mk_pickle_value *value_at(const machine *m, mk_pickle_index index)
{
  return &m->pickle->values[index];
}

static mkd_status push(machine *m, mk_pickle_index index)
{
  MK_TRY(grow_by_one(&m->stack, m->depth, sizeof *m->stack));
  m->stack[m->depth++] = index;
  return MKD_OK;
}

static mkd_status push_new(machine *m, mk_pickle_value value)
{
  mk_pickle *p = m->pickle;
  MK_TRY(grow_by_one(&p->values, p->count, sizeof value));
  p->values[p->count] = value;
  return push(m, (mk_pickle_index)p->count++);
}

static mkd_status push_kind(machine *m, mk_pickle_kind kind)
{
  return push_new(m, (mk_pickle_value){.kind = kind});
}

static mkd_status push_integer(machine *m, int64_t integer)
{
  return push_new(m, (mk_pickle_value){.kind = MK_PICKLE_INTEGER, .integer = integer});
}

/* The value on top, which stays there. */
static mkd_status top(const machine *m, mk_pickle_index *index)
{
  if (m->depth == 0 || m->stack[m->depth - 1] == MARK) return damaged("its stack is empty");
  *index = m->stack[m->depth - 1];
  return MKD_OK;
}

static mkd_status pop(machine *m, mk_pickle_index *index)
{
  MK_TRY(top(m, index));
  --m->depth;
  return MKD_OK;
}

/* Where the values above the last mark begin on the stack. */
static mkd_status find_mark(const machine *m, size_t *first)
{
  size_t at = m->depth;
  while (at > 0 && m->stack[at - 1] != MARK) --at;
  if (at == 0) return damaged("a mark is missing");
  *first = at;
  return MKD_OK;
}

/* Moves the values on the stack from `first` on to the end of the value's items. */
static mkd_status take_items(machine *m, mk_pickle_index index, size_t first)
{
  mk_pickle_value *value = value_at(m, index);
  size_t old = value->list.count, added = m->depth - first, capacity = value->list.capacity;
  if (old + added > MAX_VALUES) return too_large();
  m->items += added;
  if (m->items > MAX_ITEMS) return too_large();
  if (old + added > capacity) {
    capacity = capacity ? capacity : 1;
    while (capacity < old + added) capacity *= 2;
    MK_TRY(mk_grow(&value->list.items, old, capacity, sizeof *value->list.items));
    value->list.capacity = capacity;
  }
  if (added) memcpy(value->list.items + old, m->stack + first, added * sizeof *m->stack);
  value->list.count += added;
  m->depth = first;
  return MKD_OK;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static mkd_status take_bytes(machine *m, size_t count, const uint8_t **bytes)
{
  if (count > m->size - m->at) return damaged("it ends early");
  *bytes = m->data + m->at;
  m->at += count;
  return MKD_OK;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static mkd_status take_unsigned(machine *m, size_t bytes, uint64_t *number)
{
  const uint8_t *data;
  MK_TRY(take_bytes(m, bytes, &data));
  uint64_t value = 0;
  memcpy(&value, data, bytes);
  *number = le64toh(value);
  return MKD_OK;
}

/* A text after its length, which has `length_bytes` bytes. */
static mkd_status push_text(machine *m, size_t length_bytes)
{
  uint64_t length;
  const uint8_t *data;
  MK_TRY(take_unsigned(m, length_bytes, &length));
  if (length > m->size) return damaged("it ends early");
  MK_TRY(take_bytes(m, (size_t)length, &data));
  mk_pickle_value value = {.kind = MK_PICKLE_TEXT};
  value.text.bytes = (const char *)data;
  value.text.size = (size_t)length;
  return push_new(m, value);
}

static mkd_status push_long(machine *m, size_t length_bytes)
{
  uint64_t length;
  const uint8_t *data;
  MK_TRY(take_unsigned(m, length_bytes, &length));
  if (length > m->size) return damaged("it ends early");
  MK_TRY(take_bytes(m, (size_t)length, &data));
  if (length > 8) {
    mk_pickle_value value = {.kind = MK_PICKLE_LONG};
    value.text.bytes = (const char *)data;
    value.text.size = (size_t)length;
    return push_new(m, value);
  }
  bool negative = length > 0 && data[length - 1] & 0x80;
  uint64_t number = negative ? UINT64_MAX : 0;
  for (size_t i = (size_t)length; i-- > 0;) number = number << 8 | data[i];
  return push_integer(m, (int64_t)number);
}

static mkd_status push_small_integer(machine *m, size_t bytes)
{
  uint64_t number;
  MK_TRY(take_unsigned(m, bytes, &number));
  return push_integer(m, bytes == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number);
}

static mkd_status push_real(machine *m)
{
  const uint8_t *data;
  MK_TRY(take_bytes(m, 8, &data));
  uint64_t bits;
  mk_pickle_value value = {.kind = MK_PICKLE_REAL};
  memcpy(&bits, data, 8);
  bits = be64toh(bits); /* the one big-endian number of the format */
  memcpy(&value.real, &bits, 8);
  return push_new(m, value);
}

/* ---- The memo -------------------------------------------------------------------------------- */

static mkd_status memo_put(machine *m, uint64_t slot)
{
  mk_pickle_index index;
  MK_TRY(top(m, &index));
  if (slot >= MAX_VALUES) return too_large();
  if (slot >= m->memo_capacity) {
    size_t capacity = m->memo_capacity ? m->memo_capacity : 64;
    while (capacity <= slot) capacity *= 2;
    MK_TRY(mk_grow(&m->memo, m->memo_capacity, capacity, sizeof *m->memo));
    m->memo_capacity = capacity;
  }
  if (m->memo[slot] == 0) ++m->memo_used;
  m->memo[slot] = index + 1;
  return MKD_OK;
}

static mkd_status memo_put_numbered(machine *m, size_t bytes)
{
  uint64_t slot;
  MK_TRY(take_unsigned(m, bytes, &slot));
  return memo_put(m, slot);
}

static mkd_status memo_get(machine *m, size_t bytes)
{
  uint64_t slot;
  MK_TRY(take_unsigned(m, bytes, &slot));
  if (slot >= m->memo_capacity || m->memo[slot] == 0) return damaged("its memo has no such entry");
  return push(m, m->memo[slot] - 1);
}

/* ---- Containers ------------------------------------------------------------------------------ */

/* The values on the stack from `first` on become a tuple. */
static mkd_status make_tuple(machine *m, size_t first)
{
  MK_TRY(push_kind(m, MK_PICKLE_TUPLE));
  mk_pickle_index tuple = m->stack[--m->depth];
  MK_TRY(take_items(m, tuple, first));
  return push(m, tuple);
}

static mkd_status make_short_tuple(machine *m, size_t count)
{
  if (m->depth < count) return damaged("its stack is empty");
  for (size_t i = m->depth - count; i < m->depth; ++i)
    if (m->stack[i] == MARK) return damaged("its stack is empty");
  return make_tuple(m, m->depth - count);
}

static mkd_status make_marked_tuple(machine *m)
{
  size_t first;
  MK_TRY(find_mark(m, &first));
  memmove(m->stack + first - 1, m->stack + first, (m->depth - first) * sizeof *m->stack);
  --m->depth;
  return make_tuple(m, first - 1);
}

/* Adds the values from `first` on to the container below `base`, the end of what remains. */
static mkd_status add_items(machine *m, mk_pickle_kind kind, size_t base, size_t first)
{
  if (base == 0 || m->stack[base - 1] == MARK) return damaged("its stack is empty");
  mk_pickle_index container = m->stack[base - 1];
  if (value_at(m, container)->kind != kind) return damaged("it adds items to no container");
  if (kind == MK_PICKLE_DICT && (m->depth - first) % 2 != 0) return damaged("a key has no value");
  MK_TRY(take_items(m, container, first));
  m->depth = base;
  return MKD_OK;
}

static mkd_status add_marked(machine *m, mk_pickle_kind kind)
{
  size_t first;
  MK_TRY(find_mark(m, &first));
  return add_items(m, kind, first - 1, first);
}

static mkd_status add_few(machine *m, mk_pickle_kind kind, size_t count)
{
  if (m->depth < count) return damaged("its stack is empty");
  for (size_t i = m->depth - count; i < m->depth; ++i)
    if (m->stack[i] == MARK) return damaged("its stack is empty");
  return add_items(m, kind, m->depth - count, m->depth - count);
}

/* ---- What a pickle may import ---------------------------------------------------------------- */

typedef struct {
  const char *module, *name;
  mk_pickle_global which;
  mk_storage_type type;
} known_global;

static const known_global known_globals[] = {
    {"collections", "OrderedDict", MK_GLOBAL_ORDERED_DICT, {0}},
    {"torch._utils", "_rebuild_tensor_v2", MK_GLOBAL_REBUILD_TENSOR, {0}},
    {"torch._utils", "_rebuild_tensor", MK_GLOBAL_REBUILD_TENSOR, {0}},
    {"torch._utils", "_rebuild_parameter", MK_GLOBAL_REBUILD_PARAMETER, {0}},
    {"torch", "FloatStorage", MK_GLOBAL_STORAGE_TYPE, {4, true, MK_FLOAT32}},
    {"torch", "HalfStorage", MK_GLOBAL_STORAGE_TYPE, {2, true, MK_FLOAT16}},
    {"torch", "BFloat16Storage", MK_GLOBAL_STORAGE_TYPE, {2, true, MK_BFLOAT16}},
    {"torch", "DoubleStorage", MK_GLOBAL_STORAGE_TYPE, {8, true, MK_FLOAT64}},
    {"torch", "LongStorage", MK_GLOBAL_STORAGE_TYPE, {8, false, 0}},
    {"torch", "IntStorage", MK_GLOBAL_STORAGE_TYPE, {4, false, 0}},
    {"torch", "ShortStorage", MK_GLOBAL_STORAGE_TYPE, {2, false, 0}},
    {"torch", "CharStorage", MK_GLOBAL_STORAGE_TYPE, {1, false, 0}},
    {"torch", "ByteStorage", MK_GLOBAL_STORAGE_TYPE, {1, false, 0}},
    {"torch", "BoolStorage", MK_GLOBAL_STORAGE_TYPE, {1, false, 0}},
};

typedef struct {
  const char *bytes;
  size_t size;
} span;

static bool span_is(span s, const char *text)
{
  return s.size == strlen(text) && memcmp(s.bytes, text, s.size) == 0;
}

/* The start of a file's text, fit to be shown. */
static const char *printable(char shown[64], span s)
{
  size_t size = s.size < 63 ? s.size : 63;
  for (size_t i = 0; i < size; ++i)
    shown[i] = (char)(s.bytes[i] >= ' ' && s.bytes[i] <= '~' ? s.bytes[i] : '?');
  shown[size] = '\0';
  return shown;
}

static mkd_status push_global(machine *m, span module, span name)
{
  for (size_t i = 0; i < sizeof known_globals / sizeof *known_globals; ++i) {
    const known_global *known = &known_globals[i];
    if (!span_is(module, known->module) || !span_is(name, known->name)) continue;
    mk_pickle_value value = {.kind = MK_PICKLE_GLOBAL};
    value.global.which = known->which;
    value.global.storage_type = known->type;
    return push_new(m, value);
  }
  char shown_module[64], shown_name[64];
  return mk_fail(MKD_ERROR_FILE,
                 "it asks for %s.%s, which is not run; a file of tensors alone is needed, as "
                 "torch.save(model.state_dict(), ...) writes it",
                 printable(shown_module, module), printable(shown_name, name));
}

static mkd_status take_line(machine *m, span *line)
{
  const uint8_t *start = m->data + m->at;
  const uint8_t *end = m->at < m->size ? memchr(start, '\n', m->size - m->at) : NULL;
  if (!end) return damaged("it ends early");
  *line = (span){(const char *)start, (size_t)(end - start)};
  m->at += line->size + 1;
  return MKD_OK;
}

static mkd_status push_named_global(machine *m)
{
  span module, name;
  MK_TRY(take_line(m, &module));
  MK_TRY(take_line(m, &name));
  return push_global(m, module, name);
}

static mkd_status push_stacked_global(machine *m)
{
  mk_pickle_index name, module;
  MK_TRY(pop(m, &name));
  MK_TRY(pop(m, &module));
  const mk_pickle_value *n = value_at(m, name), *o = value_at(m, module);
  if (n->kind != MK_PICKLE_TEXT || o->kind != MK_PICKLE_TEXT)
    return damaged("the name of an import is not a text");
  return push_global(m, (span){o->text.bytes, o->text.size}, (span){n->text.bytes, n->text.size});
}

/* ---- Tensors --------------------------------------------------------------------------------- */

/* The kind of item `i` of the tuple; NONE where there is no such item. */
static mk_pickle_kind item_kind(const machine *m, const mk_pickle_value *tuple, size_t i)
{
  return i < tuple->list.count ? value_at(m, tuple->list.items[i])->kind : MK_PICKLE_NONE;
}

static int64_t item_integer(const machine *m, const mk_pickle_value *tuple, size_t i)
{
  return value_at(m, tuple->list.items[i])->integer;
}

/* The identifier is ('storage', type, key, device, count), and in older files a sixth item: None,
 * or (key, begin, count) for a part of the storage. */
static mkd_status push_storage(machine *m)
{
  mk_pickle_index index;
  MK_TRY(pop(m, &index));
  const mk_pickle_value *id = value_at(m, index);
  if (id->kind != MK_PICKLE_TUPLE || id->list.count < 5 || id->list.count > 6 ||
      !mk_pickle_is_text(value_at(m, id->list.items[0]), "storage") ||
      item_kind(m, id, 1) != MK_PICKLE_GLOBAL || item_kind(m, id, 2) != MK_PICKLE_TEXT ||
      item_kind(m, id, 4) != MK_PICKLE_INTEGER)
    return damaged("the description of a storage is not known");
  const mk_pickle_value *type = value_at(m, id->list.items[1]);
  if (type->global.which != MK_GLOBAL_STORAGE_TYPE)
    return damaged("the description of a storage has no type");
  mk_pickle_value value = {.kind = MK_PICKLE_STORAGE};
  value.storage.type = type->global.storage_type;
  value.storage.key = id->list.items[2];
  value.storage.count = item_integer(m, id, 4);
  value.storage.view_count = value.storage.count;
  if (item_kind(m, id, 5) != MK_PICKLE_NONE) {
    const mk_pickle_value *view = value_at(m, id->list.items[5]);
    if (view->kind != MK_PICKLE_TUPLE || view->list.count != 3 ||
        item_kind(m, view, 1) != MK_PICKLE_INTEGER || item_kind(m, view, 2) != MK_PICKLE_INTEGER)
      return damaged("the description of a part of a storage is not known");
    value.storage.view_begin = item_integer(m, view, 1);
    value.storage.view_count = item_integer(m, view, 2);
  }
  if (value.storage.count < 0 || value.storage.view_begin < 0 || value.storage.view_count < 0 ||
      value.storage.view_begin > value.storage.count ||
      value.storage.view_count > value.storage.count - value.storage.view_begin)
    return damaged("the size of a storage is impossible");
  return push_new(m, value);
}

/* Arguments: storage, offset, shape, strides, and what does not matter here. */
static mkd_status push_tensor(machine *m, const mk_pickle_value *arguments)
{
  if (item_kind(m, arguments, 0) != MK_PICKLE_STORAGE ||
      item_kind(m, arguments, 1) != MK_PICKLE_INTEGER ||
      item_kind(m, arguments, 2) != MK_PICKLE_TUPLE ||
      item_kind(m, arguments, 3) != MK_PICKLE_TUPLE)
    return damaged("the description of a tensor is not known");
  const mk_pickle_index *items = arguments->list.items;
  for (size_t i = 2; i < 4; ++i)
    for (size_t k = 0; k < value_at(m, items[i])->list.count; ++k)
      if (item_kind(m, value_at(m, items[i]), k) != MK_PICKLE_INTEGER)
        return damaged("the shape of a tensor is not made of integers");
  mk_pickle_value value = {.kind = MK_PICKLE_TENSOR};
  value.tensor.storage = items[0];
  value.tensor.offset = item_integer(m, arguments, 1);
  value.tensor.shape = items[2];
  value.tensor.strides = items[3];
  return push_new(m, value);
}

/* OrderedDict(), or OrderedDict([[key, value], ...]) in files of older Pythons. */
static mkd_status push_ordered_dict(machine *m, const mk_pickle_value *arguments)
{
  size_t argument_count = arguments->list.count;
  mk_pickle_index pairs = argument_count ? arguments->list.items[0] : 0;
  MK_TRY(push_kind(m, MK_PICKLE_DICT)); /* moves the values */
  if (argument_count == 0) return MKD_OK;
  if (argument_count > 1 || value_at(m, pairs)->kind != MK_PICKLE_LIST)
    return damaged("the content of a dictionary is not known");
  mk_pickle_index dict = m->stack[m->depth - 1];
  for (size_t i = 0; i < value_at(m, pairs)->list.count; ++i) {
    const mk_pickle_value *pair = value_at(m, value_at(m, pairs)->list.items[i]);
    if ((pair->kind != MK_PICKLE_LIST && pair->kind != MK_PICKLE_TUPLE) || pair->list.count != 2)
      return damaged("the content of a dictionary is not known");
    MK_TRY(push(m, pair->list.items[0]));
    MK_TRY(push(m, pair->list.items[1]));
    MK_TRY(take_items(m, dict, m->depth - 2));
  }
  return MKD_OK;
}

static mkd_status call(machine *m)
{
  mk_pickle_index arguments, callable;
  MK_TRY(pop(m, &arguments));
  MK_TRY(pop(m, &callable));
  const mk_pickle_value *a = value_at(m, arguments), *c = value_at(m, callable);
  if (c->kind != MK_PICKLE_GLOBAL || a->kind != MK_PICKLE_TUPLE)
    return damaged("it calls something that is no function");
  switch (c->global.which) {
  case MK_GLOBAL_ORDERED_DICT:
    return push_ordered_dict(m, a);
  case MK_GLOBAL_REBUILD_TENSOR:
    return push_tensor(m, a);
  case MK_GLOBAL_REBUILD_PARAMETER:
    if (item_kind(m, a, 0) != MK_PICKLE_TENSOR) return damaged("a parameter is no tensor");
    return push(m, a->list.items[0]);
  case MK_GLOBAL_STORAGE_TYPE:
    break;
  }
  return damaged("it makes a storage of its own");
}

/* Attributes, such as the version numbers of a state dictionary, are of no interest. */
static mkd_status drop_attributes(machine *m)
{
  mk_pickle_index attributes, object;
  MK_TRY(pop(m, &attributes));
  MK_TRY(top(m, &object));
  mk_pickle_kind kind = value_at(m, object)->kind;
  if (kind != MK_PICKLE_DICT && kind != MK_PICKLE_TENSOR)
    return damaged("it gives attributes to a value that has none");
  return MKD_OK;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static mkd_status check_protocol(machine *m)
{
  uint64_t version;
  MK_TRY(take_unsigned(m, 1, &version));
  if (version >= 2 && version <= 5) return MKD_OK;
  return mk_fail(MKD_ERROR_FILE, "the pickle has protocol %d; 2 to 5 are supported", (int)version);
}

static mkd_status push_bool(machine *m, bool boolean)
{
  return push_new(m, (mk_pickle_value){.kind = MK_PICKLE_BOOL, .boolean = boolean});
}

/* Names of operations are those of Python's pickletools. */
static mkd_status step(machine *m, uint8_t operation)
{
  const uint8_t *skipped;
  switch (operation) {
  case 0x80:
    return check_protocol(m); /* PROTO */
  case 0x95:
    return take_bytes(m, 8, &skipped); /* FRAME: a hint for buffered readers */
  case '(':
    return push(m, MARK); /* MARK */
  case 'N':
    return push_kind(m, MK_PICKLE_NONE); /* NONE */
  case 0x88:
    return push_bool(m, true); /* NEWTRUE */
  case 0x89:
    return push_bool(m, false); /* NEWFALSE */
  case 'K':
    return push_small_integer(m, 1); /* BININT1 */
  case 'M':
    return push_small_integer(m, 2); /* BININT2 */
  case 'J':
    return push_small_integer(m, 4); /* BININT */
  case 0x8a:
    return push_long(m, 1); /* LONG1 */
  case 0x8b:
    return push_long(m, 4); /* LONG4 */
  case 'G':
    return push_real(m); /* BINFLOAT */
  case 'U':              /* SHORT_BINSTRING, of Python 2 */
  case 0x8c:
    return push_text(m, 1); /* SHORT_BINUNICODE */
  case 'T':                 /* BINSTRING, of Python 2 */
  case 'X':
    return push_text(m, 4); /* BINUNICODE */
  case 0x8d:
    return push_text(m, 8); /* BINUNICODE8 */
  case 'q':
    return memo_put_numbered(m, 1); /* BINPUT */
  case 'r':
    return memo_put_numbered(m, 4); /* LONG_BINPUT */
  case 0x94:
    return memo_put(m, m->memo_used); /* MEMOIZE */
  case 'h':
    return memo_get(m, 1); /* BINGET */
  case 'j':
    return memo_get(m, 4); /* LONG_BINGET */
  case ')':
    return push_kind(m, MK_PICKLE_TUPLE); /* EMPTY_TUPLE */
  case ']':
    return push_kind(m, MK_PICKLE_LIST); /* EMPTY_LIST */
  case '}':
    return push_kind(m, MK_PICKLE_DICT); /* EMPTY_DICT */
  case 0x85:
    return make_short_tuple(m, 1); /* TUPLE1 */
  case 0x86:
    return make_short_tuple(m, 2); /* TUPLE2 */
  case 0x87:
    return make_short_tuple(m, 3); /* TUPLE3 */
  case 't':
    return make_marked_tuple(m); /* TUPLE */
  case 'a':
    return add_few(m, MK_PICKLE_LIST, 1); /* APPEND */
  case 'e':
    return add_marked(m, MK_PICKLE_LIST); /* APPENDS */
  case 's':
    return add_few(m, MK_PICKLE_DICT, 2); /* SETITEM */
  case 'u':
    return add_marked(m, MK_PICKLE_DICT); /* SETITEMS */
  case 'c':
    return push_named_global(m); /* GLOBAL */
  case 0x93:
    return push_stacked_global(m); /* STACK_GLOBAL */
  case 'Q':
    return push_storage(m); /* BINPERSID */
  case 'R':
    return call(m); /* REDUCE */
  case 'b':
    return drop_attributes(m); /* BUILD */
  }
  return mk_fail(MKD_ERROR_FILE,
                 "the pickle has operation 0x%02x at byte %zu, which torch.save does not write",
                 operation, m->at - 1);
}

static mkd_status run(machine *m)
{
  for (;;) {
    const uint8_t *operation;
    MK_TRY(take_bytes(m, 1, &operation));
    if (*operation == '.') return pop(m, &m->pickle->root); /* STOP */
    MK_TRY(step(m, *operation));
  }
}

mkd_status mk_pickle_read(mk_pickle *pickle, const uint8_t *data, size_t size, size_t *used)
{
  mk_pickle read = {0};
  machine m = {.data = data, .size = size, .pickle = &read};
  mkd_status status = run(&m);
  mk_free(m.stack);
  mk_free(m.memo);
  if (status != MKD_OK) {
    mk_pickle_free(&read);
    return status;
  }
  *pickle = read;
  *used = m.at;
  return MKD_OK;
}

void mk_pickle_free(mk_pickle *pickle)
{
  for (size_t i = 0; i < pickle->count; ++i) {
    mk_pickle_kind kind = pickle->values[i].kind;
    if (kind == MK_PICKLE_TUPLE || kind == MK_PICKLE_LIST || kind == MK_PICKLE_DICT)
      mk_free(pickle->values[i].list.items);
  }
  mk_free(pickle->values);
  memset(pickle, 0, sizeof *pickle);
}

bool mk_pickle_is_text(const mk_pickle_value *value, const char *text)
{
  return value->kind == MK_PICKLE_TEXT &&
         span_is((span){value->text.bytes, value->text.size}, text);
}

const mk_pickle_value *mk_pickle_get(const mk_pickle *pickle, const mk_pickle_value *dict,
                                     const char *key)
{
  if (dict->kind != MK_PICKLE_DICT) return NULL;
  for (size_t i = dict->list.count; i >= 2; i -= 2)
    if (mk_pickle_is_text(&pickle->values[dict->list.items[i - 2]], key))
      return &pickle->values[dict->list.items[i - 1]];
  return NULL;
}
