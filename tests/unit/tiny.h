/* A tiny expert, a plan to clone it, and images in memory. */
#ifndef TEST_TINY_H
#define TEST_TINY_H

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "expert/expert.h"
#include "numbers.h"

enum { TINY_WIDTH = 24, TINY_HEIGHT = 16, TINY_VALUES = TINY_WIDTH * TINY_HEIGHT * 3 };

/* Points "p1" (8 channels, stride 2) and "p2" (12 channels, stride 4). */
static inline mkd_expert *tiny_expert(void)
{
  mkd_expert *expert;
  int at = 0;
  mk_conv conv = {8, 3, 2, 1, MK_PAD_EXPLICIT, 1, true};
  if (mk_alloc(&expert, 1, sizeof *expert) != MKD_OK ||
      mk_graph_create(&expert->graph, 3) != MKD_OK ||
      mk_graph_conv(expert->graph, &at, at, &conv, NULL) != MKD_OK ||
      mk_graph_activation(expert->graph, &at, at, MK_OP_RELU, "p1") != MKD_OK)
    abort();
  conv.channels = 12;
  if (mk_graph_conv(expert->graph, &at, at, &conv, "p2") != MKD_OK) abort();
  fill_parameters(expert->graph);
  strcpy(expert->arch, "tiny");
  memset(expert->sha256, 'a', MK_SHA256_HEX - 1);
  for (int c = 0; c < 3; ++c) {
    expert->mean[c] = 127;
    expert->std[c] = 128;
  }
  expert->input_size = 32;
  return expert;
}

#define TINY_PLAN                                                                                  \
  "conv 3x3/2 6 bn relu; keep a; conv 1x1 expert bias; point p1; "                                 \
  "from a; conv 3x3/2 10 bn relu6; conv 1x1 expert bias; point p2"

/* What makes the default recipe one for the tiny expert. */
#define TINY_SET                                                                                   \
  "input_width=24", "input_height=16", "critical_points=p1,p2", "cloner=" TINY_PLAN, "batch=4",    \
      "epochs=4", "contrast_below=0", "copies=0", "target_type=fp32", "learning_rate=0.01"

/* RGB8 images of random pixels. */
typedef struct {
  size_t count;
  uint32_t seed;           /* of image 0 */
  int width, height;       /* at most 64 each */
  int constant;            /* all pixels of all images; -1 = random */
  size_t bright;           /* all images but this one have levels 100 to 131; SIZE_MAX = none has */
  size_t failing;          /* this image cannot be had; SIZE_MAX = all can */
  _Atomic size_t out, got; /* views that are not released; calls of get */
} tiny_images;

static inline mkd_status tiny_get(void *context, size_t index, mkd_image *image, void **handle)
{
  tiny_images *images = context;
  ++images->got;
  if (index == images->failing) return mkd_set_error(MKD_ERROR_STORAGE, "the camera is asleep");
  size_t size = (size_t)images->width * (size_t)images->height * 3;
  uint8_t *pixels = malloc(size);
  if (!pixels) abort();
  for (size_t i = 0; i < size; ++i) {
    int level = (int)((number(images->seed + (uint32_t)index, i) + 1) * 128);
    if (images->bright != SIZE_MAX && images->bright != index) level = 100 + level / 8;
    pixels[i] = (uint8_t)(images->constant >= 0 ? images->constant : level);
  }
  *image = (mkd_image){pixels, images->width, images->height, (size_t)images->width * 3, MKD_RGB8};
  *handle = pixels;
  ++images->out;
  return MKD_OK;
}

static inline void tiny_release(void *context, const mkd_image *image, void *handle)
{
  tiny_images *images = context;
  (void)image;
  --images->out;
  free(handle);
}

static inline mkd_image_source tiny_source(tiny_images *images)
{
  return (mkd_image_source){images->count, tiny_get, tiny_release, images};
}

static inline tiny_images tiny_images_of(size_t count, uint32_t seed)
{
  return (tiny_images){.count = count,
                       .seed = seed,
                       .width = TINY_WIDTH,
                       .height = TINY_HEIGHT,
                       .constant = -1,
                       .bright = SIZE_MAX,
                       .failing = SIZE_MAX};
}

#endif
