#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <mkd/mkd.h>

#include "fresh_folder.h"

static mkd_dataset *open_ok(const char *folder, mkd_split split)
{
  mkd_dataset *dataset = NULL;
  if (mkd_dataset_open(&dataset, folder, split, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
  return dataset;
}

static void assert_error(const char *folder, mkd_split split, mkd_status status, const char *part)
{
  mkd_dataset *dataset = NULL;
  assert_int_equal(mkd_dataset_open(&dataset, folder, split, NULL), status);
  assert_null(dataset);
  if (!strstr(mkd_last_error(), part))
    fail_msg("\"%s\" does not contain \"%s\"", mkd_last_error(), part);
}

static void assert_paths(const mkd_dataset *dataset, const char *const *paths)
{
  size_t count = 0;
  for (; paths[count]; ++count) {
    assert_true(count < mkd_dataset_count(dataset));
    assert_string_equal(mkd_dataset_get(dataset, count).path, paths[count]);
  }
  assert_int_equal(mkd_dataset_count(dataset), count);
}

static void assert_item(const mkd_dataset *dataset, size_t index, const char *path,
                        const char *kind, bool anomalous, const char *mask)
{
  mkd_dataset_item item = mkd_dataset_get(dataset, index);
  assert_string_equal(item.path, path);
  assert_string_equal(item.kind, kind);
  assert_int_equal(item.anomalous, anomalous);
  if (mask) {
    assert_non_null(item.mask);
    assert_string_equal(item.mask, mask);
  } else {
    assert_null(item.mask);
  }
}

static void finds_images_by_name_in_byte_order(void **state)
{
  (void)state;
  static const char *const files[] = {"d/B.JPG",
                                      "d/a b.jpeg",
                                      "d/a-b/1.ppm",
                                      "d/a.b.webp",
                                      "d/a/1.Tiff",
                                      "d/a/x/y/z.pnm",
                                      "d/a\nb.bmp",
                                      "d/b.tif",
                                      "d/c.pgm",
                                      "d/d.pbm",
                                      "d/\xc3\xa9t\xc3\xa9.png",
                                      NULL};
  static const char *const expected[] = {"d/B.JPG",
                                         "d/a\nb.bmp",
                                         "d/a b.jpeg",
                                         "d/a-b/1.ppm",
                                         "d/a.b.webp",
                                         "d/a/1.Tiff",
                                         "d/a/x/y/z.pnm",
                                         "d/b.tif",
                                         "d/c.pgm",
                                         "d/d.pbm",
                                         "d/\xc3\xa9t\xc3\xa9.png",
                                         NULL};
  for (size_t i = 0; files[i]; ++i) make(files[i]);
  static const char *const others[] = {"d/Thumbs.db", "d/readme.txt", "d/png",        "d/x.png.bak",
                                       "d/.h.png",    "d/.h/1.png",   "d/a/.DS_Store"};
  for (size_t i = 0; i < sizeof others / sizeof *others; ++i) make(others[i]);
  for (int split = 0; split < 2; ++split) {
    mkd_dataset *dataset = open_ok("d", split ? MKD_SPLIT_ALL : MKD_SPLIT_TRAIN);
    assert_paths(dataset, expected);
    assert_item(dataset, 0, "d/B.JPG", split ? "" : "good", false, NULL);
    assert_null(mkd_dataset_get(dataset, 11).path);
    mkd_dataset_destroy(dataset);
  }
  mkd_dataset *dataset = open_ok("d/", MKD_SPLIT_ALL);
  assert_paths(dataset, expected); /* no doubled slash */
  mkd_dataset_destroy(dataset);
  mkd_dataset_destroy(NULL);
}

static void links_and_loops(void **state)
{
  (void)state;
  make("d/a/1.png");
  make("other/2.png");
  assert_int_equal(symlink("..", "d/a/loop"), 0);
  assert_int_equal(symlink("self", "d/self"), 0);
  assert_int_equal(symlink("../other", "d/link"), 0);
  assert_int_equal(symlink("../other", "d/link2"), 0);
  assert_int_equal(symlink("nowhere.png", "d/broken.png"), 0);
  assert_int_equal(symlink("nowhere", "d/broken"), 0);
  mkd_dataset *dataset = open_ok("d", MKD_SPLIT_ALL);
  assert_paths(dataset, (const char *const[]){"d/a/1.png", "d/broken.png", "d/link/2.png", NULL});
  mkd_dataset_destroy(dataset);
}

static void depth_is_bounded(void **state)
{
  (void)state;
  char path[512] = "d";
  for (int depth = 0; depth < 64; ++depth) strcat(path, "/x");
  strcat(path, "/1.png");
  make(path);
  mkd_dataset *dataset = open_ok("d", MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 1);
  mkd_dataset_destroy(dataset);
  path[strlen(path) - strlen("1.png")] = 0;
  strcat(path, "x/1.png");
  make(path);
  assert_error("d", MKD_SPLIT_ALL, MKD_ERROR_DATA, "nested more than 64 deep");
}

static void many_folders_and_files(void **state)
{
  (void)state;
  char path[64];
  for (int i = 0; i < 300; ++i) {
    snprintf(path, sizeof path, "d/%03d/%03d.png", i, i);
    make(path);
  }
  mkd_dataset *dataset = open_ok("d", MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 300);
  assert_string_equal(mkd_dataset_get(dataset, 299).path, "d/299/299.png");
  mkd_dataset_destroy(dataset);
}

static void nothing_to_find(void **state)
{
  (void)state;
  make("d/notes.txt");
  make("d/1.png.overlay.png"); /* what mkd score writes */
  make("d/1.png.mask.png");
  make("d/1.png.map.tiff");
  assert_error("d", MKD_SPLIT_ALL, MKD_ERROR_DATA, "d: no image found");
  assert_error("d", MKD_SPLIT_TRAIN, MKD_ERROR_DATA, "d: no image found");
  assert_error("absent", MKD_SPLIT_ALL, MKD_ERROR_FILE, "absent: ");
  assert_error("d", (mkd_split)7, MKD_ERROR_ARGUMENT, "split 7");
  mkd_dataset *dataset = NULL;
  assert_int_equal(mkd_dataset_open(&dataset, NULL, MKD_SPLIT_ALL, NULL), MKD_ERROR_ARGUMENT);
  if (geteuid() != 0) {
    make("d/locked/1.png");
    assert_int_equal(chmod("d/locked", 0), 0);
    assert_error("d", MKD_SPLIT_ALL, MKD_ERROR_FILE, "d/locked: ");
    assert_int_equal(chmod("d/locked", 0700), 0);
  }
}

static void assert_beyond(const char *folder, mkd_layout layout, mkd_split split, uint64_t files,
                          const char *part)
{
  mkd_dataset *dataset = NULL;
  mkd_limits limits = mkd_limits_default();
  limits.max_files = files;
  assert_int_equal(mkd_dataset_open_layout(&dataset, folder, layout, split, &limits), MKD_OK);
  mkd_dataset_destroy(dataset);
  dataset = NULL;
  limits.max_files = files - 1;
  assert_int_equal(mkd_dataset_open_layout(&dataset, folder, layout, split, &limits),
                   MKD_ERROR_DATA);
  assert_null(dataset);
  if (!strstr(mkd_last_error(), part))
    fail_msg("\"%s\" does not contain \"%s\"", mkd_last_error(), part);
}

static void files_are_limited(void **state)
{
  (void)state;
  make("d/a/1.png");
  make("d/a/2.png");
  make("d/b/3.png");
  assert_beyond("d", MKD_LAYOUT_FOLDER, MKD_SPLIT_ALL, 3, "d: has more files than the limit of 2");
  make("d/b/1.txt");
  make("d/b/2.txt");
  make("d/b/3.txt");
  assert_beyond("d", MKD_LAYOUT_FOLDER, MKD_SPLIT_ALL, 4,
                "d/b: has more files than the limit of 3");
  make("oct/test/DRUSEN/1.png");
  make("oct/test/DRUSEN/2.png");
  make("oct/test/NORMAL/3.png");
  assert_beyond("oct", MKD_LAYOUT_OCT, MKD_SPLIT_TEST, 3,
                "NORMAL/3.png: there are more images than the limit of 2");
  make("brain/no/1.png");
  make("brain/yes/2.png");
  assert_beyond("brain", MKD_LAYOUT_BRAIN_MRI, MKD_SPLIT_ALL, 2,
                "yes/2.png: there are more images than the limit of 1");
  mkd_limits other = {.size = 3};
  mkd_dataset *dataset;
  assert_int_equal(mkd_dataset_open(&dataset, "d", MKD_SPLIT_ALL, &other), MKD_ERROR_ARGUMENT);
}

static void one_file(void **state)
{
  (void)state;
  make("part without extension");
  mkd_dataset *dataset = open_ok("part without extension", MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 1);
  assert_item(dataset, 0, "part without extension", "", false, NULL);
  mkd_dataset_destroy(dataset);
  dataset = open_ok("part without extension", MKD_SPLIT_TRAIN);
  assert_item(dataset, 0, "part without extension", "good", false, NULL);
  mkd_dataset_destroy(dataset);
  assert_error("part without extension", MKD_SPLIT_TEST, MKD_ERROR_DATA, "test/good");
}

static void make_category(const char *folder)
{
  static const char *const files[] = {"train/good/000.png",
                                      "train/good/001.png",
                                      "test/good/000.png",
                                      "test/crack/000.png",
                                      "test/crack/001.JPG",
                                      "test/oil/0.1.png",
                                      "test/oil/0.2_mask.png",
                                      "ground_truth/crack/000_mask.png",
                                      "ground_truth/crack/001_mask.tif",
                                      "ground_truth/oil/0.1.png",
                                      "ground_truth/oil/0.2_mask.bmp",
                                      "ground_truth/crack/notes.txt",
                                      "readme.txt"};
  char path[256];
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
    snprintf(path, sizeof path, "%s/%s", folder, files[i]);
    make(path);
  }
}

static void mvtec_layout(void **state)
{
  (void)state;
  make_category("nut");
  mkd_dataset *dataset = open_ok("nut", MKD_SPLIT_TRAIN);
  assert_paths(dataset,
               (const char *const[]){"nut/train/good/000.png", "nut/train/good/001.png", NULL});
  mkd_dataset_destroy(dataset);
  dataset = open_ok("nut/", MKD_SPLIT_TEST);
  assert_int_equal(mkd_dataset_count(dataset), 5);
  assert_item(dataset, 0, "nut/test/crack/000.png", "crack", true,
              "nut/ground_truth/crack/000_mask.png");
  assert_item(dataset, 1, "nut/test/crack/001.JPG", "crack", true,
              "nut/ground_truth/crack/001_mask.tif");
  assert_item(dataset, 2, "nut/test/good/000.png", "good", false, NULL);
  assert_item(dataset, 3, "nut/test/oil/0.1.png", "oil", true, "nut/ground_truth/oil/0.1.png");
  assert_item(dataset, 4, "nut/test/oil/0.2_mask.png", "oil", true,
              "nut/ground_truth/oil/0.2_mask.bmp");
  mkd_dataset_destroy(dataset);
  dataset = open_ok("nut", MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 11);
  mkd_dataset_destroy(dataset);
}

static void masks_may_be_absent(void **state)
{
  (void)state;
  make("d/test/good/1.png");
  make("d/test/tumour/a/1.png"); /* folders below a kind belong to it */
  make("d/test/tumour/2.png");
  mkd_dataset *dataset = open_ok("d", MKD_SPLIT_TEST);
  assert_int_equal(mkd_dataset_count(dataset), 3);
  assert_item(dataset, 0, "d/test/good/1.png", "good", false, NULL);
  assert_item(dataset, 1, "d/test/tumour/2.png", "tumour", true, NULL);
  assert_item(dataset, 2, "d/test/tumour/a/1.png", "tumour", true, NULL);
  mkd_dataset_destroy(dataset);
  /* one kind with masks, one without; a mask of a good image */
  make("d/test/oil/1.png");
  make("d/ground_truth/oil/1_mask.png");
  make("d/test/good/2.png");
  make("d/ground_truth/good/2.png");
  assert_int_equal(mkdir("d/ground_truth/tumour", 0777), 0);
  dataset = open_ok("d", MKD_SPLIT_TEST);
  assert_item(dataset, 0, "d/test/good/1.png", "good", false, NULL);
  assert_item(dataset, 1, "d/test/good/2.png", "good", false, "d/ground_truth/good/2.png");
  assert_item(dataset, 2, "d/test/oil/1.png", "oil", true, "d/ground_truth/oil/1_mask.png");
  assert_item(dataset, 3, "d/test/tumour/2.png", "tumour", true, NULL);
  mkd_dataset_destroy(dataset);
}

static void masks_that_do_not_fit(void **state)
{
  (void)state;
  make_category("a");
  make("a/test/crack/002.png");
  assert_error("a", MKD_SPLIT_TEST, MKD_ERROR_DATA, "a/test/crack/002.png: has no mask");
  make_category("b");
  make("b/ground_truth/crack/007_mask.png");
  assert_error("b", MKD_SPLIT_TEST, MKD_ERROR_DATA,
               "b/ground_truth/crack/007_mask.png: is a mask of no image");
  make_category("c");
  make("c/ground_truth/unknown/000_mask.png");
  assert_error("c", MKD_SPLIT_TEST, MKD_ERROR_DATA,
               "c/ground_truth/unknown/000_mask.png: is a mask of no image");
  make_category("d");
  make("d/ground_truth/crack/000.png");
  assert_error("d", MKD_SPLIT_TEST, MKD_ERROR_DATA, "is a second mask of d/test/crack/000.png");
  make_category("e");
  make("e/test/crack/000.bmp");
  assert_error("e", MKD_SPLIT_TEST, MKD_ERROR_DATA,
               "could be the mask of e/test/crack/000.bmp and of e/test/crack/000.png");
  make_category("f");
  make("f/ground_truth/000_mask.png");
  assert_error("f", MKD_SPLIT_TEST, MKD_ERROR_DATA, "f/ground_truth/000_mask.png");
}

static void layouts_that_mislead(void **state)
{
  (void)state;
  make("a/train/1.png");
  assert_error("a", MKD_SPLIT_TRAIN, MKD_ERROR_DATA, "a: has a folder train, but no train/good");
  assert_error("a", MKD_SPLIT_TEST, MKD_ERROR_DATA, "a: has no folder test");
  make("b/test/1.png");
  make("b/test/good/1.png");
  assert_error("b", MKD_SPLIT_TEST, MKD_ERROR_DATA, "b/test/1.png: lies in no folder");
  assert_error("b", MKD_SPLIT_TRAIN, MKD_ERROR_DATA, "b: has test images, but no train/good");
  make("e/ground_truth/x/1.png");
  assert_error("e", MKD_SPLIT_TRAIN, MKD_ERROR_DATA, "e: has test images, but no train/good");
  assert_int_equal(mkdir("c", 0777), 0);
  make_category("c/cable");
  make_category("c/bottle");
  assert_error("c", MKD_SPLIT_TRAIN, MKD_ERROR_DATA,
               "c: holds data sets in MVTec AD layout (bottle, cable); name one, for example "
               "c/bottle");
  char path[32];
  for (int i = 0; i < 20; ++i) {
    snprintf(path, sizeof path, "d/%02d/train/good/1.png", i);
    make(path);
  }
  assert_error("d", MKD_SPLIT_TRAIN, MKD_ERROR_DATA,
               "(00, 01, 02, 03, 04, 05, 06, 07, 08, 09, ...)");
}

static void source_decodes_on_demand(void **state)
{
  (void)state;
  make("d/1.png"); /* the type is told by content */
  make("d/2.pgm");
  FILE *file = fopen("d/3.png", "wb");
  assert_non_null(file);
  assert_int_equal(fclose(file), 0);
  mkd_dataset *dataset = open_ok("d", MKD_SPLIT_ALL);
  mkd_image_source source = mkd_dataset_source(dataset);
  assert_int_equal(source.count, 3);
  mkd_image images[2];
  void *handles[2];
  for (size_t i = 0; i < 2; ++i)
    assert_int_equal(source.get(source.context, i, &images[i], &handles[i]), MKD_OK);
  for (size_t i = 0; i < 2; ++i) {
    assert_int_equal(images[i].width, 2);
    assert_int_equal(images[i].height, 1);
    assert_int_equal(images[i].format, MKD_GREY8);
    assert_memory_equal(images[i].data, "\x10\x80", 2);
    source.release(source.context, &images[i], handles[i]);
  }
  assert_int_equal(source.get(source.context, 2, &images[0], &handles[0]), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "d/3.png"));
  assert_int_equal(source.get(source.context, 3, &images[0], &handles[0]), MKD_ERROR_ARGUMENT);
  mkd_dataset_destroy(dataset);
}

static void public_data_sets(void **state)
{
  (void)state;
  static const char data[] = SHARED_DIR "/data";
  struct stat info;
  if (stat(data, &info) != 0) skip();
  static const struct {
    const char *name;
    size_t train, normal, anomalous;
    bool masks;
  } sets[] = {{"magnetic-tile", 762, 190, 388, true}, {"brain-mri", 77, 10, 141, false}};
  for (size_t s = 0; s < sizeof sets / sizeof *sets; ++s) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", data, sets[s].name);
    mkd_dataset *dataset = open_ok(path, MKD_SPLIT_TRAIN);
    assert_int_equal(mkd_dataset_count(dataset), sets[s].train);
    mkd_dataset_destroy(dataset);
    dataset = open_ok(path, MKD_SPLIT_TEST);
    size_t counts[2] = {0, 0};
    for (size_t i = 0; i < mkd_dataset_count(dataset); ++i) {
      mkd_dataset_item item = mkd_dataset_get(dataset, i);
      ++counts[item.anomalous];
      assert_int_equal(item.mask != NULL, item.anomalous && sets[s].masks);
    }
    assert_int_equal(counts[0], sets[s].normal);
    assert_int_equal(counts[1], sets[s].anomalous);
    mkd_dataset_destroy(dataset);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_FOLDER(finds_images_by_name_in_byte_order),
      IN_FOLDER(links_and_loops),
      IN_FOLDER(depth_is_bounded),
      IN_FOLDER(many_folders_and_files),
      IN_FOLDER(nothing_to_find),
      IN_FOLDER(files_are_limited),
      IN_FOLDER(one_file),
      IN_FOLDER(mvtec_layout),
      IN_FOLDER(masks_may_be_absent),
      IN_FOLDER(masks_that_do_not_fit),
      IN_FOLDER(layouts_that_mislead),
      IN_FOLDER(source_decodes_on_demand),
      cmocka_unit_test(public_data_sets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
