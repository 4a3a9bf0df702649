/* The tensors of an unpickled state dictionary, and the storages that hold their numbers. */
#ifndef MK_EXPERT_STATE_DICT_H
#define MK_EXPERT_STATE_DICT_H

#include "core/safetensors.h"
#include "expert/pickle.h"

/* One storage, shared by any number of tensors. */
typedef struct {
  const char *key; /* `key_size` bytes, not terminated */
  size_t key_size;
  mk_storage_type type;
  size_t count, bytes; /* numbers, and bytes that these take in the file */
  size_t first_use;    /* + 1, into `uses`; 0 = none */
  bool filled;         /* for readers that meet storages in any order */
} mk_storage;

/* A tensor (of `tensors`) that has its numbers in a storage. */
typedef struct {
  size_t tensor;
  size_t begin; /* of the tensor's first number in the storage */
  size_t strides[MK_MAX_RANK];
  size_t next; /* use of the same storage, + 1; 0 = none */
} mk_storage_use;

typedef struct {
  mk_tensors tensors;
  mk_storage *storages; /* sorted by key */
  size_t storage_count;
  mk_storage_use *uses;
  size_t use_count;
} mk_state_dict;

/* Collects the floating-point tensors of the dictionary in `pickle` under dotted names. When the
 * dictionary has one that is called "state_dict", "model" or the like, that one is read in its
 * place. The tensors are zero until they are filled. Checks every size: the storages have at most
 * `available` bytes together, the tensors a few times as many numbers as the storages. */
mkd_status mk_state_dict_collect(mk_state_dict *state, const mk_pickle *pickle, size_t available);
void mk_state_dict_free(mk_state_dict *state); /* accepts an all-zero struct */

/* The storage with that key, or NULL. */
mk_storage *mk_state_dict_find(const mk_state_dict *state, const char *key, size_t key_size);

/* Fills the tensors that use the storage; `bytes` are all of it, little-endian. */
void mk_state_dict_fill(mk_state_dict *state, const mk_storage *storage, const uint8_t *bytes);

#endif
