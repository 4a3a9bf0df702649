/* Heat maps at the size of the input. */
#ifndef MK_DETECT_LOCALIZE_H
#define MK_DETECT_LOCALIZE_H

#include "core/scratch.h"
#include "detect/inspector.h"

/* The kind of inspector that the method needs. */
mk_inspector_kind mk_localize_inspector(mkd_localize method);

/* Working memory of one thread. */
typedef struct {
  float *grown;       /* [height][width] */
  float *clean, *sum; /* SmoothGrad: [height][width][3] */
  float *sorted;      /* p99: [height][width] */
  mk_scratch scratch;
  bool plain; /* no smoothing and no opening; for the owner to set, false at first */
} mk_localizer;

mkd_status mk_localizer_create(mk_localizer **localizer, const mkd_detector *detector,
                               mkd_localize method);
void mk_localizer_destroy(mk_localizer *localizer);

/* After mk_inspect: the map [height][width] by `method` (one that makes a map), smoothed and opened
 * as the recipe says, unless it is to be plain. Standardised squares use `calibration`. SmoothGrad
 * leaves the inspector with a noisy input; read score and losses before. */
mkd_status mk_localize(float *map, mk_localizer *localizer, mk_inspector *inspector,
                       mkd_localize method, const mk_calibration *calibration);

#endif
