#include "core/scratch.h"

#include "core/memory.h"

#include <string.h>

struct mk_scratch_block {
  mk_scratch_block *next;
  size_t size, used;
  uint8_t *data;
};

static mkd_status add_block(mk_scratch *scratch, size_t size)
{
  mk_scratch_block *block;
  MK_TRY(mk_alloc(&block, 1, sizeof *block));
  mkd_status status = mk_alloc_any(&block->data, size, 1);
  if (status != MKD_OK) {
    mk_free(block);
    return status;
  }
  block->size = size;
  block->next = scratch->blocks;
  scratch->blocks = block;
  scratch->total += size;
  return MKD_OK;
}

mkd_status mk_scratch_get(mk_scratch *scratch, void *out, size_t count, size_t size)
{
  size_t bytes;
  memset(out, 0, sizeof(void *));
  if (!mk_mul(count, size, &bytes) || !mk_add(bytes, MK_ALIGNMENT, &bytes))
    return mk_fail_memory(SIZE_MAX);
  bytes = bytes / MK_ALIGNMENT * MK_ALIGNMENT;
  mk_scratch_block *block = scratch->blocks;
  if (!block || block->size - block->used < bytes) {
    /* All that the last round took, so that one block is enough for the next. */
    size_t wanted = block ? bytes : bytes > scratch->total ? bytes : scratch->total;
    if (!block) scratch->total = 0;
    MK_TRY(add_block(scratch, wanted));
    block = scratch->blocks;
  }
  uint8_t *start = block->data + block->used;
  block->used += bytes;
  memcpy(out, &start, sizeof start);
  return MKD_OK;
}

mkd_status mk_scratch_reserve(mk_scratch *scratch, size_t bytes)
{
  const mk_scratch_block *block = scratch->blocks;
  return block && block->size - block->used >= bytes ? MKD_OK : add_block(scratch, bytes);
}

static void free_blocks(mk_scratch *scratch)
{
  while (scratch->blocks) {
    mk_scratch_block *block = scratch->blocks;
    scratch->blocks = block->next;
    mk_free(block->data);
    mk_free(block);
  }
}

void mk_scratch_reset(mk_scratch *scratch)
{
  if (scratch->blocks && scratch->blocks->next)
    free_blocks(scratch);
  else if (scratch->blocks)
    scratch->blocks->used = 0;
}

void mk_scratch_free(mk_scratch *scratch)
{
  free_blocks(scratch);
  scratch->total = 0;
}
