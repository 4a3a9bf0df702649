/* From a source of images to a store of inputs and targets. Private to distill/. */
#ifndef MK_DISTILL_DATASET_H
#define MK_DISTILL_DATASET_H

#include "distill/trainer.h"
#include "nn/net.h"

/* Items 0 .. images - 1 of the store are the images, then come the warped copies of the images that
 * are trained on, all first copies before all second ones. */
typedef struct {
  mk_store *store;
  size_t images;
  size_t *train, train_count; /* items, copies included */
  size_t *held_out, held_out_count;
  size_t originals; /* images among `train` */
} mk_split;

/* Random split of `images`; at least one image on either side. */
mkd_status mk_split_create(mk_split *split, size_t images, const mk_recipe *recipe, uint64_t seed);
void mk_split_free(mk_split *split);

/* Decodes all images into the store; sets the contrast range of `input` if the recipe asks for it;
 * makes the warped copies. */
mkd_status mk_read_inputs(mk_split *split, mk_input_spec *input, const mk_recipe *recipe,
                          mkd_image_source source, uint64_t seed, const mk_reporter *reporter,
                          mk_pool *pool);

/* Mean and standard deviation of every channel over the images that are trained on. */
typedef struct {
  int channels;
  float *mean, *deviation;
} mk_channel_statistics;

/* Runs the expert over the store. statistics[i] belongs to critical point i. */
mkd_status mk_compute_targets(const mk_split *split, mk_channel_statistics *statistics,
                              const mk_input_spec *input, const mk_teacher *teacher,
                              const mk_recipe *recipe, const mk_reporter *reporter, mk_pool *pool);

/* Calls the progress callback; MKD_CANCELLED when it says so. */
mkd_status mk_report(const mk_reporter *reporter, const mkd_progress *progress);
__attribute__((format(printf, 3, 4))) void mk_log(const mk_reporter *reporter, mkd_log_level level,
                                                  const char *format, ...);

#endif
