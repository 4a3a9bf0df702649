/* The paper's experiments: which images a class is trained and tested on. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "published.h"

#include <mkd/mkd.h>

/* Some images of a data set. */
typedef struct {
  const mkd_dataset *dataset;
  size_t *indices;
  size_t count;
} image_set;

mkd_image_source image_set_source(const image_set *set); /* lives as long as the set */

/* One class learnt as the normal one. */
typedef struct {
  image_set train, test;
  bool *anomalous;   /* [test.count] */
  uint64_t test_key; /* the same for the same test images in the same order */
} class_images;

void class_images_free(class_images *images);

typedef struct protocol protocol;

/* `name` is mnist, fashion-mnist, cifar-10, mvtec or medical. Opens the data in `folder`. */
mkd_status protocol_open(protocol **out, const char *name, const char *folder,
                         const mkd_limits *limits);
void protocol_close(protocol *p);

const char *protocol_name(const protocol *p);
const char *protocol_rule(const protocol *p);  /* a sentence: what is normal, what is tested */
const char *protocol_place(const protocol *p); /* the folder, without symbolic links */
bool protocol_has_masks(const protocol *p);
const published_set *protocol_published(const protocol *p); /* or NULL */

size_t protocol_class_count(const protocol *p);
const char *protocol_class(const protocol *p, size_t index);

/* The class of a name, or of a number where the data set has labels; MKD_ERROR_ARGUMENT lists what
 * there is. */
mkd_status protocol_find(const protocol *p, const char *name, size_t *index);

/* False when the data has no image to train this class on. */
bool protocol_can_train(const protocol *p, size_t index);

/* `seed` draws what the protocol leaves to chance, and which images remain when there are more than
 * `limit` for training (0 = no limit). */
mkd_status protocol_images(protocol *p, size_t index, uint64_t seed, size_t limit,
                           class_images *images);

/* What the paper changes in its recipe for these data: texts for the recipe of that name, ended by
 * NULL. None for other recipes. */
const char *const *protocol_settings(const protocol *p, const char *recipe);

#endif
