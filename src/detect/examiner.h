/* From the pixels of an image, or of one of its tiles, to what score and map are made of. */
#ifndef MK_DETECT_EXAMINER_H
#define MK_DETECT_EXAMINER_H

#include "detect/inspector.h"
#include "detect/localize.h"

/* Working memory of one thread; it grows with the largest tile and is then kept. */
typedef struct {
  const mkd_detector *detector;
  mkd_localize localize; /* the maps to make, or MKD_LOCALIZE_NONE */
  mk_inspector *inspector;
  mk_localizer *localizer;
  uint16_t *input;
  float *map; /* [height][width] of the input */
  mk_scratch scratch;
  /* What the last call found. */
  mk_score_parts parts;
  double map_max; /* largest value of the map at the input's size */
} mk_examiner;

/* `pool` is the largest that mk_examine will be given. */
mkd_status mk_examiner_create(mk_examiner **examiner, const mkd_detector *detector,
                              mkd_localize localize, mk_pool *pool);
void mk_examiner_destroy(mk_examiner *examiner); /* accepts NULL */

/* The threads of `pool` (or NULL) share the networks. Unless there are no maps to make, `map` takes
 * one of the tile's size. MKD_ERROR_FILE when the tile's score is not finite. */
mkd_status mk_examine(mk_examiner *examiner, const mkd_image *tile, mk_pool *pool, float *map);

#endif
