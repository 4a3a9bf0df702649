/* A plain map is the one of a recipe without Gaussian and opening: neither takes part in training.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "tiny.h"

enum { WIDTH = 37, HEIGHT = 41 };

static mkd_detector *train(const char *sigma, const char *opening)
{
  const char *const set[] = {TINY_SET, "localize=gradient", "gradient_of=loss", sigma, opening};
  mkd_train_options options = mkd_train_options_default();
  mkd_detector *detector = NULL;
  mkd_expert *expert = tiny_expert();
  tiny_images images = tiny_images_of(12, 1);
  options.set = set;
  options.set_count = sizeof set / sizeof set[0];
  options.threads = 1;
  if (mkd_train(&detector, expert, tiny_source(&images), &options) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  mkd_expert_destroy(expert);
  return detector;
}

/* The map of one image; whether it is calibrated. */
static bool map_of(float map[WIDTH * HEIGHT], const mkd_detector *detector, mkd_localize localize,
                   bool plain)
{
  mkd_session_options options = mkd_session_options_default();
  mkd_session *session;
  mkd_image image;
  void *handle = NULL;
  mkd_result result;
  tiny_images images = tiny_images_of(1, 500);
  images.width = WIDTH;
  images.height = HEIGHT;
  options.localize = localize;
  options.plain_map = plain;
  assert_int_equal(mkd_session_create(&session, detector, &options), MKD_OK);
  assert_int_equal(tiny_get(&images, 0, &image, &handle), MKD_OK);
  assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
  assert_int_equal(result.map.width * result.map.height, WIDTH * HEIGHT);
  memcpy(map, result.map.data, WIDTH * HEIGHT * sizeof *map);
  tiny_release(&images, &image, handle);
  mkd_session_destroy(session);
  return result.map_calibrated;
}

static void is_that_of_a_recipe_without_smoothing(void **state)
{
  (void)state;
  static float smooth[WIDTH * HEIGHT], plain[WIDTH * HEIGHT], bare[WIDTH * HEIGHT];
  static const mkd_localize methods[] = {MKD_LOCALIZE_DISCREPANCY, MKD_LOCALIZE_GRADIENT,
                                         MKD_LOCALIZE_GBP};
  mkd_detector *smoothing = train("map_sigma=3", "map_opening=true");
  mkd_detector *none = train("map_sigma=0", "map_opening=false");
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i) {
    bool recipe = methods[i] == MKD_LOCALIZE_GRADIENT;
    assert_int_equal(map_of(smooth, smoothing, methods[i], false), recipe);
    assert_false(map_of(plain, smoothing, methods[i], true));
    (void)map_of(bare, none, methods[i], false);
    assert_memory_equal(plain, bare, sizeof plain);
    assert_memory_not_equal(plain, smooth, sizeof plain);
  }
  mkd_detector_destroy(smoothing);
  mkd_detector_destroy(none);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(is_that_of_a_recipe_without_smoothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
