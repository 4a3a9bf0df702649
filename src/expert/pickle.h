/* A reader of the pickles that torch.save writes (protocols 2 to 5).
 *
 * A pickle is a program for a stack machine. This one builds None, booleans, numbers, texts,
 * tuples, lists and dictionaries, and, of all that a pickle may import or call, knows
 * collections.OrderedDict, torch's storage types, and the functions of torch._utils that put
 * tensors and parameters together. Anything else is an error that names it; nothing is ever
 * executed.
 *
 * Objects are numbered; a program can make a container that contains itself, so whoever walks
 * through them has to bound the walk. */
#ifndef MK_EXPERT_PICKLE_H
#define MK_EXPERT_PICKLE_H

#include "core/float_types.h"
#include "core/status.h"

typedef enum {
  MK_PICKLE_NONE,
  MK_PICKLE_BOOL,
  MK_PICKLE_INTEGER,
  MK_PICKLE_LONG, /* an integer of more than 8 bytes: `text` has them, little-endian */
  MK_PICKLE_REAL,
  MK_PICKLE_TEXT,
  MK_PICKLE_TUPLE,
  MK_PICKLE_LIST,
  MK_PICKLE_DICT, /* items: key, value, key, value, ... */
  MK_PICKLE_GLOBAL,
  MK_PICKLE_STORAGE,
  MK_PICKLE_TENSOR
} mk_pickle_kind;

typedef enum {
  MK_GLOBAL_ORDERED_DICT,
  MK_GLOBAL_REBUILD_TENSOR,
  MK_GLOBAL_REBUILD_PARAMETER,
  MK_GLOBAL_STORAGE_TYPE
} mk_pickle_global;

/* What the numbers of a storage are. */
typedef struct {
  size_t size; /* bytes of one number */
  bool is_float;
  mk_float_type type; /* when is_float */
} mk_storage_type;

typedef uint32_t mk_pickle_index;

typedef struct {
  mk_pickle_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double real;
    struct {
      const char *bytes; /* in the pickle's data, not terminated */
      size_t size;
    } text;
    struct {
      mk_pickle_index *items;
      size_t count, capacity;
    } list; /* of tuples, lists and dictionaries */
    struct {
      mk_pickle_global which;
      mk_storage_type storage_type;
    } global;
    struct {
      mk_storage_type type;
      mk_pickle_index key;            /* a text */
      int64_t count;                  /* numbers in the whole storage */
      int64_t view_begin, view_count; /* the part that is meant; all of it unless torch is old */
    } storage;
    struct {
      mk_pickle_index storage, shape, strides; /* shape and strides: tuples of integers */
      int64_t offset;                          /* in the storage */
    } tensor;
  };
} mk_pickle_value;

typedef struct {
  mk_pickle_value *values;
  size_t count;
  mk_pickle_index root;
} mk_pickle;

/* Reads one pickle; `used` is where the next begins. The texts point into `data`, which has to stay
 * as long as the pickle. */
mkd_status mk_pickle_read(mk_pickle *pickle, const uint8_t *data, size_t size, size_t *used);
void mk_pickle_free(mk_pickle *pickle); /* accepts an all-zero struct */

/* True when the value is the text. */
bool mk_pickle_is_text(const mk_pickle_value *value, const char *text);

/* The value of a text key, the last if there are several; NULL when absent or not a dictionary. */
const mk_pickle_value *mk_pickle_get(const mk_pickle *pickle, const mk_pickle_value *dict,
                                     const char *key);

#endif
