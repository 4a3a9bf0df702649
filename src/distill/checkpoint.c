#include "distill/checkpoint.h"

#include "core/memory.h"
#include "core/safetensors.h"
#include "nn/graph_tensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char format_name[] = "mkd-checkpoint-1";

static mkd_status add_array(mk_tensors *tensors, const char *name, const float *data, size_t count)
{
  mk_tensor *tensor;
  MK_TRY(mk_tensors_add(tensors, name, 1, &count, &tensor));
  memcpy(tensor->data, data, count * sizeof *data);
  return MKD_OK;
}

/* The bits of a double as 16 hexadecimal digits: exact, NaN included, and of no locale. */
static mkd_status add_number(mk_tensors *tensors, const char *key, double value)
{
  char text[24];
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  snprintf(text, sizeof text, "%016" PRIx64, bits);
  return mk_tensors_add_metadata(tensors, key, text);
}

static mkd_status collect(mk_tensors *tensors, const mk_graph *cloner, const mk_adam *adam,
                          const mk_training_state *state, const char *identity)
{
  MK_TRY(mk_tensors_add_metadata(tensors, "format", format_name));
  MK_TRY(mk_tensors_add_metadata(tensors, "identity", identity));
  MK_TRY(add_number(tensors, "step", (double)state->step));
  MK_TRY(add_number(tensors, "weight_val", state->weight_val));
  MK_TRY(add_number(tensors, "weight_dir", state->weight_dir));
  MK_TRY(add_number(tensors, "epoch_loss", state->epoch_loss));
  MK_TRY(add_number(tensors, "loss", state->loss));
  MK_TRY(add_number(tensors, "held_out_loss", state->held_out_loss));
  MK_TRY(add_number(tensors, "earlier_held_out_loss", state->earlier_held_out_loss));
  MK_TRY(mk_graph_to_tensors(tensors, cloner, "cloner."));
  MK_TRY(add_array(tensors, "adam.first", adam->first, adam->total));
  return add_array(tensors, "adam.second", adam->second, adam->total);
}

mkd_status mk_checkpoint_save(const char *path, const mk_graph *cloner, const mk_adam *adam,
                              const mk_training_state *state, const char *identity)
{
  mk_tensors tensors = {0};
  mkd_status status = collect(&tensors, cloner, adam, state, identity);
  if (status == MKD_OK) status = mk_safetensors_write(&tensors, path);
  mk_tensors_free(&tensors);
  return status;
}

static mkd_status get_number(const mk_tensors *tensors, const char *key, double *value)
{
  const char *text = mk_tensors_metadata(tensors, key);
  if (!text) return mk_fail(MKD_ERROR_FILE, "metadata '%s' is missing", key);
  if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
    return mk_fail(MKD_ERROR_FILE, "metadata '%s' is not 16 hexadecimal digits", key);
  uint64_t bits = strtoull(text, NULL, 16);
  memcpy(value, &bits, sizeof bits);
  return MKD_OK;
}

static mkd_status get_array(const mk_tensors *tensors, const char *name, float *data, size_t count)
{
  const mk_tensor *tensor = mk_tensors_find(tensors, name);
  if (!tensor || tensor->count != count)
    return mk_fail(MKD_ERROR_FILE, "tensor '%s' is missing or has another size", name);
  MK_TRY(mk_tensor_check_finite(tensor));
  memcpy(data, tensor->data, count * sizeof *data);
  return MKD_OK;
}

static void copy_weights(mk_graph *to, const mk_graph *from)
{
  for (int i = 0; i < to->count; ++i) {
    mk_op *dst = &to->ops[i];
    const mk_op *src = &from->ops[i];
    size_t channels = (size_t)dst->channels * sizeof(float);
    if (dst->weights) memcpy(dst->weights, src->weights, dst->weight_count * sizeof(float));
    if (dst->bias) memcpy(dst->bias, src->bias, channels);
    if (dst->mean) memcpy(dst->mean, src->mean, channels);
    if (dst->variance) memcpy(dst->variance, src->variance, channels);
  }
}

static mkd_status get_weights(const mk_tensors *tensors, mk_graph *cloner)
{
  mk_graph *saved;
  char *expected, *found;
  MK_TRY(mk_graph_from_tensors(&saved, tensors, "cloner."));
  mkd_status status = mk_graph_to_json(&expected, cloner);
  if (status == MKD_OK) {
    status = mk_graph_to_json(&found, saved);
    if (status == MKD_OK) {
      if (strcmp(expected, found) != 0)
        status = mk_fail(MKD_ERROR_FILE, "the cloner in it is another one");
      else
        copy_weights(cloner, saved);
      mk_free(found);
    }
    mk_free(expected);
  }
  mk_graph_destroy(saved);
  return status;
}

bool mk_checkpoint_recognise(const mk_tensors *tensors)
{
  const char *format = mk_tensors_metadata(tensors, "format");
  return format && strcmp(format, format_name) == 0;
}

static mkd_status restore(const mk_tensors *tensors, mk_graph *cloner, mk_adam *adam,
                          mk_training_state *state, const char *identity)
{
  const char *saved_identity = mk_tensors_metadata(tensors, "identity");
  double step;
  if (!mk_checkpoint_recognise(tensors) || !saved_identity)
    return mk_fail(MKD_ERROR_FILE, "not a checkpoint of this version of mkd");
  if (strcmp(saved_identity, identity) != 0)
    return mk_fail(MKD_ERROR_FILE,
                   "belongs to a training with other images, recipe, seed, expert or kind of "
                   "processor; train without --resume to start anew");
  MK_TRY(get_number(tensors, "step", &step));
  if (!(step >= 0 && step < 1e15)) return mk_fail(MKD_ERROR_FILE, "'step' is out of range");
  MK_TRY(get_number(tensors, "weight_val", &state->weight_val));
  MK_TRY(get_number(tensors, "weight_dir", &state->weight_dir));
  MK_TRY(get_number(tensors, "epoch_loss", &state->epoch_loss));
  MK_TRY(get_number(tensors, "loss", &state->loss));
  MK_TRY(get_number(tensors, "held_out_loss", &state->held_out_loss));
  MK_TRY(get_number(tensors, "earlier_held_out_loss", &state->earlier_held_out_loss));
  MK_TRY(get_array(tensors, "adam.first", adam->first, adam->total));
  MK_TRY(get_array(tensors, "adam.second", adam->second, adam->total));
  MK_TRY(get_weights(tensors, cloner));
  state->step = adam->steps = (uint64_t)step;
  return MKD_OK;
}

mkd_status mk_checkpoint_load(const char *path, mk_graph *cloner, mk_adam *adam,
                              mk_training_state *state, const char *identity, bool *found)
{
  *found = access(path, F_OK) == 0 || errno != ENOENT;
  if (!*found) return MKD_OK;
  mk_bytes bytes;
  mk_tensors tensors = {0};
  MK_TRY(mk_file_read(&bytes, path, UINT64_C(1) << 34));
  mkd_status status = mk_safetensors_parse(&tensors, bytes.data, bytes.size, path);
  mk_free(bytes.data);
  if (status == MKD_OK) {
    status = restore(&tensors, cloner, adam, state, identity);
    if (status != MKD_OK) mk_fail_in(status, path);
  }
  mk_tensors_free(&tensors);
  return status;
}
