/* Made-up pictures of a twill fabric, with and without flaws: the demonstration data. */
#ifndef MK_EVAL_FABRIC_H
#define MK_EVAL_FABRIC_H

#include "core/rng.h"

enum { MK_FABRIC_SIDE = 256 };

typedef enum {
  MK_FABRIC_GOOD,
  MK_FABRIC_HOLE,
  MK_FABRIC_MISSING_THREAD,
  MK_FABRIC_SCRATCH,
  MK_FABRIC_STAIN,
  MK_FABRIC_KINDS
} mk_fabric_kind;

typedef struct {
  uint8_t rgb[MK_FABRIC_SIDE][MK_FABRIC_SIDE][3];
  uint8_t mask[MK_FABRIC_SIDE][MK_FABRIC_SIDE];   /* 255 where the flaw is, else 0 */
  float cloth[MK_FABRIC_SIDE][MK_FABRIC_SIDE][3]; /* working memory: before the camera */
} mk_fabric;                                      /* about 1 MiB */

/* Position, light, threads, noise and flaw come from `rng`; same state, same picture. */
void mk_fabric_weave(mk_fabric *fabric, mk_fabric_kind kind, mk_rng *rng);

#endif
