/* What the image tests share: the test image of tests/fixtures/make_*.py, and reading of their
 * results. Included after cmocka.h. */
#ifndef MK_TEST_IMAGE_FIXTURE_H
#define MK_TEST_IMAGE_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"

enum { WIDTH = 37, HEIGHT = 23 };

static inline int pattern(int x, int y, int channel)
{
  return (x * x * 7 + y * 13 * x + y * y * 5 + channel * 90) % 256;
}

/* A file of little-endian floats, read from front to back. */
typedef struct {
  mk_bytes bytes;
  size_t used;
} expected;

static inline expected expected_open(const char *path)
{
  expected e = {0};
  if (mk_file_read(&e.bytes, path, 1 << 24) != MKD_OK) fail_msg("%s", mkd_last_error());
  return e;
}

static inline void expected_close(expected *e)
{
  assert_int_equal(e->used, e->bytes.size); /* the test has looked at all of it */
  mk_free(e->bytes.data);
}

/* The largest difference between `values` and the next `count` floats of the file. */
static inline double expected_difference(expected *e, const float *values, size_t count)
{
  double largest = 0;
  assert_true(e->used + count * sizeof(float) <= e->bytes.size);
  for (size_t i = 0; i < count; ++i) {
    float want;
    memcpy(&want, e->bytes.data + e->used + i * sizeof want, sizeof want);
    double difference = fabs((double)values[i] - want);
    if (!(difference <= largest)) largest = difference; /* NaN stays */
  }
  e->used += count * sizeof(float);
  return largest;
}

#define assert_near(a, b, tolerance)                                                               \
  do {                                                                                             \
    double near_a_ = (a), near_b_ = (b);                                                           \
    if (!(fabs(near_a_ - near_b_) <= (tolerance)))                                                 \
      fail_msg("%s = %.9g, expected %.9g within %g", #a, near_a_, near_b_, (double)(tolerance));   \
  } while (0)

#endif
