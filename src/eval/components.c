#include "eval/metrics.h"

/* Union-find over pixels, in the array that becomes the labels: a pixel of the mask holds the index
 * of a pixel of its component that is not later than itself; a root holds its own index. */

static uint32_t find_root(uint32_t *parent, uint32_t i)
{
  while (parent[i] != i) {
    parent[i] = parent[parent[i]]; /* path halving */
    i = parent[i];
  }
  return i;
}

static void join(uint32_t *parent, uint32_t a, uint32_t b)
{
  a = find_root(parent, a);
  b = find_root(parent, b);
  if (a < b)
    parent[b] = a;
  else
    parent[a] = b;
}

uint32_t mk_label_components(uint32_t *labels, const uint8_t *mask, int width, int height)
{
  uint32_t w = (uint32_t)width, count = 0;
  for (int y = 0; y < height; ++y) {
    uint32_t row = (uint32_t)y * w;
    for (uint32_t x = 0, i = row; x < w; ++x, ++i) {
      if (!mask[i]) continue;
      labels[i] = i;
      if (x > 0 && mask[i - 1]) join(labels, i, i - 1);
      if (y == 0) continue;
      if (mask[i - w]) {
        join(labels, i, i - w); /* its own neighbours left and right are joined to it already */
      } else {
        if (x > 0 && mask[i - w - 1]) join(labels, i, i - w - 1);
        if (x + 1 < w && mask[i - w + 1]) join(labels, i, i - w + 1);
      }
    }
  }
  /* In raster order every parent is numbered before its children. */
  uint32_t pixels = w * (uint32_t)height;
  for (uint32_t i = 0; i < pixels; ++i) {
    if (!mask[i])
      labels[i] = 0;
    else
      labels[i] = labels[i] == i ? ++count : labels[labels[i]];
  }
  return count;
}
