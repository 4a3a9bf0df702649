/* Model files; a small one that opens scores an image. */
#include "fuzz.h"

#include <mkd/mkd.h>

#include "detect/detector.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 8 };

static void score(const mkd_detector *detector)
{
  static const unsigned char pixels[SIDE * SIDE] = {1, 2, 3};
  const mkd_image image = {pixels, SIDE, SIDE, SIDE, MKD_GREY8};
  mkd_session *session;
  mkd_result result;
  if (mkd_session_create(&session, detector, NULL) != MKD_OK) return;
  if (mkd_session_score(session, &image, &result) == MKD_OK && isnan(result.score)) abort();
  mkd_session_destroy(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  mkd_detector *detector;
  if (mkd_detector_load(&detector, file_with(data, size), NULL) != MKD_OK) return 0;
  if (detector->input.width <= 64 && detector->input.height <= 64) score(detector);
  mkd_detector_destroy(detector);
  return 0;
}
