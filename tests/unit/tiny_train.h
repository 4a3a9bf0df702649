/* Trainings of the tiny expert's cloners through the public API. */
#ifndef TEST_TINY_TRAIN_H
#define TEST_TINY_TRAIN_H

#include <stdio.h>
#include <unistd.h>

#include "core/file.h"
#include "tiny.h"

enum { TINY_MAX_SETS = 32 };

typedef struct {
  tiny_images images;
  mkd_train_options options;
  const char *sets[TINY_MAX_SETS];
} tiny_training;

static inline tiny_training tiny_training_of(size_t images, uint32_t seed)
{
  static const char *const sets[] = {TINY_SET};
  tiny_training t = {.images = tiny_images_of(images, seed),
                     .options = mkd_train_options_default()};
  memcpy(t.sets, sets, sizeof sets);
  t.options.set_count = sizeof sets / sizeof *sets;
  t.options.threads = 1;
  return t;
}

static inline void tiny_training_set(tiny_training *t, const char *set)
{
  if (t->options.set_count == TINY_MAX_SETS) abort();
  t->sets[t->options.set_count++] = set;
}

static inline mkd_status tiny_training_run(mkd_detector **detector, tiny_training *t)
{
  mkd_expert *expert = tiny_expert();
  t->options.set = t->sets;
  mkd_status status = mkd_train(detector, expert, tiny_source(&t->images), &t->options);
  mkd_expert_destroy(expert);
  return status;
}

/* The bytes of the model file; NULL data when it cannot be written. */
static inline mk_bytes tiny_model_bytes(const mkd_detector *detector)
{
  mk_bytes bytes = {NULL, 0};
  char path[] = "/tmp/mkd-model-XXXXXX";
  int file = mkstemp(path);
  if (file < 0) abort();
  close(file);
  if (mkd_detector_save(detector, path) != MKD_OK || mk_file_read(&bytes, path, 1 << 24) != MKD_OK)
    bytes.data = NULL;
  unlink(path);
  return bytes;
}

/* The bytes of the model file that a training gives. */
static inline mk_bytes tiny_trained_bytes(tiny_training *t)
{
  mkd_detector *detector;
  if (tiny_training_run(&detector, t) != MKD_OK) {
    fprintf(stderr, "%s\n", mkd_last_error());
    abort();
  }
  mk_bytes bytes = tiny_model_bytes(detector);
  mkd_detector_destroy(detector);
  return bytes;
}

static inline bool same_bytes(mk_bytes a, mk_bytes b)
{
  return a.data && b.data && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

#endif
