#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include <mkd/mkd.h>

static mkd_evaluation *create(void)
{
  mkd_evaluation *evaluation = NULL;
  assert_int_equal(mkd_evaluation_create(&evaluation, 0), MKD_OK);
  return evaluation;
}

static void add(mkd_evaluation *evaluation, const char *kind, double score, bool alarm,
                const mkd_map *map, const mkd_image *mask)
{
  mkd_result result = {.score = score, .anomalous = alarm};
  if (map) result.map = *map;
  if (mkd_evaluation_add(evaluation, kind, strcmp(kind, "good") != 0, &result, mask) != MKD_OK)
    fail_msg("%s", mkd_last_error());
}

static mkd_metrics metrics_of(const mkd_evaluation *evaluation, const char *kind)
{
  mkd_metrics metrics;
  if (mkd_evaluation_metrics(evaluation, kind, &metrics) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  return metrics;
}

static void assert_add_fails(mkd_evaluation *evaluation, bool anomalous, double score,
                             const mkd_map *map, const mkd_image *mask, mkd_status status,
                             const char *part)
{
  mkd_result result = {.score = score};
  if (map) result.map = *map;
  assert_int_equal(mkd_evaluation_add(evaluation, "dent", anomalous, &result, mask), status);
  if (!strstr(mkd_last_error(), part))
    fail_msg("\"%s\" does not contain \"%s\"", mkd_last_error(), part);
}

/* A defect that beats the rest of its image but not the other image, of 64 pixels: its weight is
 * that of one pixel among 67, or of 16 among 112. */
static void pixels_at_a_common_resolution(void **state)
{
  (void)state;
  static const uint8_t mask[] = {255, 0, 0, 0};
  static const float defect[] = {0.2F, 0, 0, 0};
  float normal[64];
  for (int i = 0; i < 64; ++i) normal[i] = 0.5F;
  const int resolutions[] = {0, 8};
  const double expected[] = {3.0 / 67, 48.0 / 112};
  for (int i = 0; i < 2; ++i) {
    mkd_evaluation *evaluation = NULL;
    assert_int_equal(mkd_evaluation_create(&evaluation, resolutions[i]), MKD_OK);
    add(evaluation, "good", 0, false, &(mkd_map){normal, 8, 8}, NULL);
    add(evaluation, "oil", 1, true, &(mkd_map){defect, 2, 2},
        &(mkd_image){mask, 2, 2, 2, MKD_GREY8});
    assert_float_equal(metrics_of(evaluation, NULL).pixel_auroc_all, expected[i], 1e-12);
    mkd_evaluation_destroy(evaluation);
  }
  mkd_evaluation *refused = NULL;
  assert_int_equal(mkd_evaluation_create(&refused, -1), MKD_ERROR_ARGUMENT);
  assert_null(refused);
}

static void images_over_all_and_by_kind(void **state)
{
  (void)state;
  mkd_evaluation *evaluation = create();
  static const double good[] = {1, 2, 3, 4}, oil[] = {3.5, 5}, cut[] = {0, 2, 6};
  for (int i = 0; i < 4; ++i) add(evaluation, "good", good[i], good[i] > 3.2, NULL, NULL);
  for (int i = 0; i < 2; ++i) add(evaluation, "oil", oil[i], oil[i] > 3.2, NULL, NULL);
  for (int i = 0; i < 3; ++i) add(evaluation, "cut", cut[i], cut[i] > 3.2, NULL, NULL);
  mkd_metrics all = metrics_of(evaluation, NULL), by_oil = metrics_of(evaluation, "oil"),
              by_cut = metrics_of(evaluation, "cut");
  assert_int_equal(all.normal, 4);
  assert_int_equal(all.anomalous, 5);
  assert_int_equal(by_oil.anomalous, 2);
  assert_int_equal(by_cut.anomalous, 3);
  /* pairs won: 3.5 -> 3, 5 -> 4, 0 -> 0, 2 -> 1.5, 6 -> 4 */
  assert_float_equal(by_oil.image_auroc.value, 7.0 / 8, 1e-15);
  assert_float_equal(by_cut.image_auroc.value, 5.5 / 12, 1e-15);
  assert_float_equal(all.image_auroc.value, 12.5 / 20, 1e-15);
  assert_true(all.image_auroc.low < all.image_auroc.value);
  assert_true(all.image_auroc.high > all.image_auroc.value);
  assert_float_equal(all.false_alarm_rate.value, 0.25, 0);
  assert_float_equal(all.detection_rate.value, 0.6, 0);
  assert_float_equal(by_oil.false_alarm_rate.value, 0.25, 0);
  assert_float_equal(by_oil.detection_rate.value, 1, 0);
  assert_float_equal(by_oil.tpr_at_fpr_1, 0.5, 0); /* 4 lies between 3.5 and 5 */
  assert_float_equal(by_oil.image_f1_max, 0.8, 1e-15);
  assert_float_equal(by_oil.image_f1_threshold, 3.5, 0);
  assert_float_equal(by_oil.image_ap.value, 0.5 + 0.5 * 2 / 3, 1e-15);
  const double absent[] = {all.pixel_auroc_all, all.pixel_auroc_anomalous, all.aupro_30,
                           all.aupro_5,         all.pixel_f1_max,          all.pixel_f1_threshold,
                           all.pixel_ap};
  for (size_t i = 0; i < sizeof absent / sizeof *absent; ++i) assert_true(isnan(absent[i]));
  mkd_evaluation_destroy(evaluation);
  mkd_evaluation_destroy(NULL);
}

static void one_class_is_an_error(void **state)
{
  (void)state;
  mkd_evaluation *evaluation = create();
  mkd_metrics metrics;
  assert_int_equal(mkd_evaluation_metrics(evaluation, NULL, &metrics), MKD_ERROR_DATA);
  add(evaluation, "good", 1, false, NULL, NULL);
  assert_int_equal(mkd_evaluation_metrics(evaluation, NULL, &metrics), MKD_ERROR_DATA);
  assert_non_null(strstr(mkd_last_error(), "1 normal and 0 anomalous images"));
  add(evaluation, "oil", 2, true, NULL, NULL);
  assert_int_equal(mkd_evaluation_metrics(evaluation, NULL, &metrics), MKD_OK);
  assert_int_equal(mkd_evaluation_metrics(evaluation, "cut", &metrics), MKD_ERROR_DATA);
  assert_non_null(strstr(mkd_last_error(), "cut: 1 normal and 0 anomalous images"));
  assert_int_equal(mkd_evaluation_metrics(evaluation, "good", &metrics), MKD_ERROR_DATA);
  mkd_evaluation_destroy(evaluation);
}

static void interval_below_1000_images(void **state)
{
  (void)state;
  mkd_evaluation *evaluation = create();
  for (int i = 0; i < 999; ++i) add(evaluation, i % 2 ? "good" : "oil", i % 10, false, NULL, NULL);
  assert_true(isfinite(metrics_of(evaluation, NULL).image_auroc.low));
  add(evaluation, "good", 5, false, NULL, NULL);
  mkd_interval auroc = metrics_of(evaluation, NULL).image_auroc;
  assert_true(isfinite(auroc.value) && isnan(auroc.low) && isnan(auroc.high));
  mkd_evaluation_destroy(evaluation);
}

static void pixels_over_all_and_by_kind(void **state)
{
  (void)state;
  mkd_evaluation *evaluation = create();
  const float normal[4] = {0, 1, 2, 3}, first[4] = {9, 1, 2, 2.5f}, second[2] = {2, 1};
  const uint8_t first_mask[4] = {255, 0, 0, 255}, second_mask[2] = {255, 0};
  add(evaluation, "good", 0, false, &(mkd_map){normal, 2, 2}, NULL);
  add(evaluation, "oil", 1, true, &(mkd_map){first, 4, 1},
      &(mkd_image){first_mask, 4, 1, 4, MKD_GREY8});
  add(evaluation, "cut", 1, true, &(mkd_map){second, 1, 2},
      &(mkd_image){second_mask, 1, 2, 1, MKD_GREY8});
  add(evaluation, "unmasked", 1, true, &(mkd_map){first, 4, 1}, NULL);
  /* oil: 9 and 2.5 against 0 1 2 3 and 1 2: 6 + 5 of 12; within the image 2 + 2 of 4 */
  mkd_metrics oil = metrics_of(evaluation, "oil");
  assert_float_equal(oil.pixel_auroc_all, 11.0 / 12, 1e-15);
  assert_float_equal(oil.pixel_auroc_anomalous, 1, 1e-15);
  /* one component at FPR 0, one from 1/6 on */
  assert_float_equal(oil.aupro_30, (0.3 + (0.3 - 1.0 / 6)) / 2 / 0.3, 1e-15);
  assert_float_equal(oil.aupro_5, 0.5, 1e-15);
  assert_float_equal(oil.pixel_ap, 0.5 + 0.5 * 2 / 3, 1e-15);
  assert_float_equal(oil.pixel_f1_max, 0.8, 1e-15);
  assert_float_equal(oil.pixel_f1_threshold, 2.5, 0);
  /* cut: 2 against 0 1 2 3 and 1: 3.5 of 5 */
  assert_float_equal(metrics_of(evaluation, "cut").pixel_auroc_all, 3.5 / 5, 1e-15);
  assert_float_equal(metrics_of(evaluation, "cut").pixel_auroc_anomalous, 1, 1e-15);
  mkd_metrics unmasked = metrics_of(evaluation, "unmasked");
  assert_float_equal(unmasked.image_auroc.value, 1, 0);
  assert_true(isnan(unmasked.pixel_auroc_all) && isnan(unmasked.aupro_30));
  /* all: 9, 2.5, 2 against 0 1 2 3, 1 2, 1: 7 + 6 + 5 of 21; in anomalous images 3 + 3 + 2.5 of 9
   */
  mkd_metrics all = metrics_of(evaluation, NULL);
  assert_int_equal(all.anomalous, 3);
  assert_float_equal(all.pixel_auroc_all, 18.0 / 21, 1e-15);
  assert_float_equal(all.pixel_auroc_anomalous, 8.5 / 9, 1e-15);
  mkd_evaluation_destroy(evaluation);
}

/* Pixel metrics tell which mask pixels were taken as defects: these have the highest scores. */
static void assert_mask_is(const mkd_image *mask, const uint8_t *expected)
{
  float map[16], normal[1] = {0};
  size_t positives = 0;
  for (int i = 0; i < mask->width * mask->height; ++i) {
    map[i] = expected[i];
    positives += expected[i];
  }
  mkd_evaluation *evaluation = create();
  add(evaluation, "good", 0, false, &(mkd_map){normal, 1, 1}, NULL);
  add(evaluation, "dent", 1, true, &(mkd_map){map, mask->width, mask->height}, mask);
  mkd_metrics metrics = metrics_of(evaluation, NULL);
  assert_true(positives > 0);
  assert_float_equal(metrics.pixel_f1_max, 1, 0);
  assert_float_equal(metrics.aupro_30, 1, 1e-15);
  mkd_evaluation_destroy(evaluation);
}

static void masks_of_every_format(void **state)
{
  (void)state;
  const uint8_t grey[8] = {127, 128, 7, 7, 0, 255, 7, 7}; /* 2x2 in rows of 4 bytes */
  assert_mask_is(&(mkd_image){grey, 2, 2, 4, MKD_GREY8}, (const uint8_t[]){0, 1, 0, 1});
  const uint8_t rgb[12] = {127, 127, 127, 0, 128, 0, 0, 0, 200, 200, 0, 0};
  assert_mask_is(&(mkd_image){rgb, 4, 1, 12, MKD_RGB8}, (const uint8_t[]){0, 1, 1, 1});
  assert_mask_is(&(mkd_image){rgb, 4, 1, 12, MKD_BGR8}, (const uint8_t[]){0, 1, 1, 1});
  const uint16_t grey16[3] = {127 * 257, 127 * 257 + 1, 65535};
  assert_mask_is(&(mkd_image){grey16, 3, 1, 6, MKD_GREY16}, (const uint8_t[]){0, 1, 1});
  const uint16_t rgb16[6] = {255, 255, 255, 0, 0, 40000};
  assert_mask_is(&(mkd_image){rgb16, 2, 1, 12, MKD_RGB16}, (const uint8_t[]){0, 1});
}

static void map_grows_to_the_mask(void **state)
{
  (void)state;
  /* 2 columns to 4: 0, 0.25, 0.75, 1 of the way. The threshold shows the interpolated value. */
  const float map[2] = {10, 20}, normal[1] = {0};
  const uint8_t mask[4] = {0, 0, 255, 255};
  mkd_evaluation *evaluation = create();
  add(evaluation, "good", 0, false, &(mkd_map){normal, 1, 1}, NULL);
  add(evaluation, "dent", 1, true, &(mkd_map){map, 2, 1}, &(mkd_image){mask, 4, 1, 4, MKD_GREY8});
  mkd_metrics metrics = metrics_of(evaluation, NULL);
  assert_float_equal(metrics.pixel_f1_max, 1, 0);
  assert_float_equal(metrics.pixel_f1_threshold, 17.5, 1e-6);
  mkd_evaluation_destroy(evaluation);
}

static void normal_image_with_a_mask(void **state)
{
  (void)state;
  /* An empty mask of a normal image sets the size that its pixels count at: 4 instead of 1. */
  const float one[1] = {5}, defect[2] = {7, 0};
  const uint8_t empty[4] = {0, 0, 127, 0}, mask[2] = {255, 0};
  mkd_evaluation *evaluation = create();
  add(evaluation, "good", 0, false, &(mkd_map){one, 1, 1}, &(mkd_image){empty, 2, 2, 2, MKD_GREY8});
  add(evaluation, "dent", 1, true, &(mkd_map){defect, 2, 1},
      &(mkd_image){mask, 2, 1, 2, MKD_GREY8});
  mkd_metrics metrics = metrics_of(evaluation, NULL);
  assert_float_equal(metrics.pixel_auroc_all, 1, 0);
  const float low[2] = {1, 0};
  add(evaluation, "dent", 1, true, &(mkd_map){low, 2, 1}, &(mkd_image){mask, 2, 1, 2, MKD_GREY8});
  /* 7 wins against 5 5 5 5 0 0, 1 against 0 0 */
  assert_float_equal(metrics_of(evaluation, NULL).pixel_auroc_all, 8.0 / 12, 1e-15);
  mkd_evaluation_destroy(evaluation);
}

static void what_cannot_be_added(void **state)
{
  (void)state;
  mkd_evaluation *evaluation = create();
  const float values[2] = {1, 2}, broken[2] = {1, NAN}, huge[2] = {FLT_MAX, INFINITY};
  const uint8_t mask[2] = {255, 0}, empty[2] = {127, 0};
  const mkd_map map = {values, 2, 1}, bad_map = {broken, 2, 1}, huge_map = {huge, 2, 1},
                no_map = {values, 0, 1};
  const mkd_image good = {mask, 2, 1, 2, MKD_GREY8}, blank = {empty, 2, 1, 2, MKD_GREY8},
                  short_rows = {mask, 2, 1, 1, MKD_GREY8};
  add(evaluation, "good", 0, false, &map, NULL);
  assert_add_fails(evaluation, true, NAN, &map, &good, MKD_ERROR_DATA,
                   "image 2 of the evaluation (dent): has the score nan");
  assert_add_fails(evaluation, true, INFINITY, &map, &good, MKD_ERROR_DATA, "score inf");
  assert_add_fails(evaluation, true, 1, &bad_map, &good, MKD_ERROR_DATA,
                   "image 2 of the evaluation (dent): the map is nan at column 1, row 0");
  assert_add_fails(evaluation, false, 1, &huge_map, NULL, MKD_ERROR_DATA, "the map is inf");
  assert_add_fails(evaluation, true, 1, &no_map, &good, MKD_ERROR_ARGUMENT, "0x1 pixels");
  assert_add_fails(evaluation, true, 1, &map, &short_rows, MKD_ERROR_ARGUMENT, "dent");
  assert_add_fails(evaluation, true, 1, &map, &blank, MKD_ERROR_DATA,
                   "is anomalous, but its mask has no pixel above 127");
  assert_add_fails(evaluation, false, 1, &map, &good, MKD_ERROR_DATA,
                   "is normal, but its mask marks a defect");
  assert_add_fails(evaluation, true, 1, NULL, &good, MKD_ERROR_ARGUMENT,
                   "has no map, but results before it had one");
  mkd_result result = {.score = 1};
  assert_int_equal(mkd_evaluation_add(evaluation, NULL, true, &result, NULL), MKD_ERROR_ARGUMENT);
  add(evaluation, "dent", 3, true, &map, &good); /* none of these left a trace */
  mkd_metrics metrics = metrics_of(evaluation, NULL);
  assert_int_equal(metrics.normal, 1);
  assert_int_equal(metrics.anomalous, 1);
  mkd_evaluation_destroy(evaluation);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pixels_at_a_common_resolution),
      cmocka_unit_test(images_over_all_and_by_kind),
      cmocka_unit_test(one_class_is_an_error),
      cmocka_unit_test(interval_below_1000_images),
      cmocka_unit_test(pixels_over_all_and_by_kind),
      cmocka_unit_test(masks_of_every_format),
      cmocka_unit_test(map_grows_to_the_mask),
      cmocka_unit_test(normal_image_with_a_mask),
      cmocka_unit_test(what_cannot_be_added),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
