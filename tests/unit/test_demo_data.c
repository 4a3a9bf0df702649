#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "eval/fabric.h"
#include "image/png_write.h"

static char base[64];

static int set_up(void **state)
{
  (void)state;
  strcpy(base, "/tmp/mkd-demo-XXXXXX");
  return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
  (void)state;
  char command[256];
  snprintf(command, sizeof command, "chmod -R u+w '%s' && rm -r '%s'", base, base);
  return system(command);
}

static const char *inside(const char *path)
{
  static char joined[2][160];
  static int next;
  next = !next;
  snprintf(joined[next], sizeof joined[next], "%s/%s", base, path);
  return joined[next];
}

static bool exists(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0;
}

/* The file holds the cloth that belongs to its number, which is nothing but seed and number. */
static void assert_holds(const char *path, mk_fabric_kind kind, uint64_t seed, uint64_t number)
{
  static mk_fabric fabric;
  mk_rng rng = mk_rng_seed(seed, number);
  mk_fabric_weave(&fabric, kind, &rng);
  mkd_picture *picture;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  const mkd_image *image = mkd_picture_image(picture);
  assert_int_equal(image->width, MK_FABRIC_SIDE);
  assert_int_equal(image->height, MK_FABRIC_SIDE);
  const bool mask = image->format == MKD_GREY8;
  for (int y = 0; y < MK_FABRIC_SIDE; ++y) {
    const uint8_t *row = (const uint8_t *)image->data + (size_t)y * image->stride;
    if (mask)
      assert_memory_equal(row, fabric.mask[y], sizeof fabric.mask[y]);
    else
      assert_memory_equal(row, fabric.rgb[y], sizeof fabric.rgb[y]);
  }
  mkd_picture_destroy(picture);
}

static void data_set_is_complete_and_repeatable(void **state)
{
  (void)state;
  assert_int_equal(mkdir(inside("a"), 0777), 0); /* empty: taken as it is */
  assert_int_equal(mkd_demo_data(inside("a"), 5, NULL, NULL), MKD_OK);
  assert_holds(inside("a/train/good/000.png"), MK_FABRIC_GOOD, 5, 0);
  assert_holds(inside("a/train/good/079.png"), MK_FABRIC_GOOD, 5, 79);
  assert_holds(inside("a/test/good/019.png"), MK_FABRIC_GOOD, 5, 99);
  assert_holds(inside("a/test/hole/000.png"), MK_FABRIC_HOLE, 5, 100);
  assert_holds(inside("a/ground_truth/hole/000_mask.png"), MK_FABRIC_HOLE, 5, 100);
  assert_holds(inside("a/test/stain/009.png"), MK_FABRIC_STAIN, 5, 139);
  assert_holds(inside("a/ground_truth/stain/009_mask.png"), MK_FABRIC_STAIN, 5, 139);

  mkd_dataset *dataset;
  assert_int_equal(mkd_dataset_open(&dataset, inside("a"), MKD_SPLIT_TRAIN, NULL), MKD_OK);
  assert_int_equal(mkd_dataset_count(dataset), 80);
  mkd_dataset_destroy(dataset);
  assert_int_equal(mkd_dataset_open(&dataset, inside("a"), MKD_SPLIT_TEST, NULL), MKD_OK);
  assert_int_equal(mkd_dataset_count(dataset), 60);
  int anomalous = 0;
  for (size_t i = 0; i < 60; ++i) {
    mkd_dataset_item item = mkd_dataset_get(dataset, i);
    anomalous += item.anomalous;
    assert_int_equal(item.anomalous, item.mask != NULL);
  }
  assert_int_equal(anomalous, 40);
  mkd_dataset_destroy(dataset);
}

/* True when the mask has a pixel at most `reach` away; the nearest are looked at first. */
static bool near_flaw(const mk_fabric *fabric, int x, int y, int reach)
{
  for (int r = 1; r <= reach; ++r)
    for (int i = y - r; i <= y + r; ++i)
      for (int k = x - r; k <= x + r; k += i == y - r || i == y + r ? 1 : 2 * r)
        if (i >= 0 && k >= 0 && i < MK_FABRIC_SIDE && k < MK_FABRIC_SIDE && fabric->mask[i][k])
          return true;
  return false;
}

/* The same cloth without the flaw differs under the mask, and further away not at all. */
static void masks_cover_the_flaws(void **state)
{
  (void)state;
  static mk_fabric flawed, good;
  for (int kind = MK_FABRIC_HOLE; kind < MK_FABRIC_KINDS; ++kind) {
    const int reach = kind == MK_FABRIC_HOLE ? 25 : 6; /* a hole pushes threads aside */
    for (uint64_t stream = 0; stream < 3; ++stream) {
      mk_rng rng = mk_rng_seed(7, stream), same = rng;
      mk_fabric_weave(&flawed, (mk_fabric_kind)kind, &rng);
      mk_fabric_weave(&good, MK_FABRIC_GOOD, &same);
      int covered = 0, inside = 0;
      for (int y = 0; y < MK_FABRIC_SIDE; ++y)
        for (int x = 0; x < MK_FABRIC_SIDE; ++x) {
          int difference = 0;
          for (int c = 0; c < 3; ++c) difference += abs(flawed.rgb[y][x][c] - good.rgb[y][x][c]);
          assert_true(flawed.mask[y][x] == 0 || flawed.mask[y][x] == 255);
          if (flawed.mask[y][x]) {
            ++covered;
            inside += difference;
          } else if (difference > 3) { /* more than rounding */
            assert_true(near_flaw(&flawed, x, y, reach));
          }
        }
      assert_in_range(covered, 40, 5000);
      assert_true(inside > 15 * covered); /* 5 grey levels */
    }
  }
}

static void seeds_and_numbers_give_other_cloth(void **state)
{
  (void)state;
  static mk_fabric one, other;
  mk_rng rng = mk_rng_seed(0, 0);
  mk_fabric_weave(&one, MK_FABRIC_GOOD, &rng);
  for (int i = 0; i < 2; ++i) {
    rng = i ? mk_rng_seed(1, 0) : mk_rng_seed(0, 1);
    mk_fabric_weave(&other, MK_FABRIC_GOOD, &rng);
    assert_memory_not_equal(one.rgb, other.rgb, sizeof one.rgb);
  }
}

static void good_cloth_has_no_flaw(void **state)
{
  (void)state;
  static mk_fabric fabric;
  mk_rng rng = mk_rng_seed(7, 0);
  mk_fabric_weave(&fabric, MK_FABRIC_GOOD, &rng);
  for (int y = 0; y < MK_FABRIC_SIDE; ++y)
    for (int x = 0; x < MK_FABRIC_SIDE; ++x) assert_int_equal(fabric.mask[y][x], 0);
}

static void folder_in_use_is_refused_and_left_alone(void **state)
{
  (void)state;
  assert_int_equal(mkd_file_save(inside("mine.txt"), "x", 1), MKD_OK);
  assert_int_equal(mkd_demo_data(base, 0, NULL, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "not empty"));
  assert_true(exists(inside("mine.txt")));
  assert_false(exists(inside("train")));
  assert_int_equal(mkd_demo_data(inside("mine.txt"), 0, NULL, NULL), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "not a folder"));
  assert_int_equal(mkd_demo_data(inside("no/such/parent"), 0, NULL, NULL), MKD_ERROR_FILE);
  assert_int_equal(mkd_demo_data("", 0, NULL, NULL), MKD_ERROR_ARGUMENT);
}

/* A limit on file sizes that only a later image exceeds. */
static void failure_leaves_nothing_behind(void **state)
{
  (void)state;
  static mk_fabric fabric;
  struct stat first;
  mk_rng rng = mk_rng_seed(0, 0);
  mk_fabric_weave(&fabric, MK_FABRIC_GOOD, &rng);
  const mkd_image image = {fabric.rgb, MK_FABRIC_SIDE, MK_FABRIC_SIDE, sizeof fabric.rgb[0],
                           MKD_RGB8};
  assert_int_equal(mk_png_write(inside("first.png"), &image), MKD_OK);
  assert_int_equal(stat(inside("first.png"), &first), 0);
  struct rlimit before, low;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  low = (struct rlimit){(rlim_t)first.st_size, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
  assert_int_equal(mkdir(inside("half"), 0777), 0);
  mkd_status status = mkd_demo_data(inside("half"), 0, NULL, NULL),
             other = mkd_demo_data(inside("new"), 0, NULL, NULL);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, MKD_ERROR_STORAGE);
  assert_int_equal(other, MKD_ERROR_STORAGE);
  assert_true(exists(inside("half"))); /* was there before */
  assert_false(exists(inside("half/train")));
  assert_false(exists(inside("new")));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(data_set_is_complete_and_repeatable, set_up, tear_down),
      cmocka_unit_test(masks_cover_the_flaws),
      cmocka_unit_test(seeds_and_numbers_give_other_cloth),
      cmocka_unit_test(good_cloth_has_no_flaw),
      cmocka_unit_test_setup_teardown(folder_in_use_is_refused_and_left_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(failure_leaves_nothing_behind, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
