/* The layouts of public data sets, against files that make_data_sets.py has made. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <mkd/mkd.h>

#include "core/file.h"
#include "core/memory.h"
#include "eval/gzip.h"
#include "fresh_folder.h"

#define MNIST FIXTURES "/data_sets/mnist"
#define CIFAR FIXTURES "/data_sets/cifar-10"

static mkd_dataset *open_ok(const char *folder, mkd_layout layout, mkd_split split)
{
  mkd_dataset *dataset = NULL;
  if (mkd_dataset_open_layout(&dataset, folder, layout, split, NULL) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  return dataset;
}

static void assert_error(const char *folder, mkd_layout layout, mkd_split split, mkd_status status,
                         const char *part)
{
  mkd_dataset *dataset = NULL;
  assert_int_equal(mkd_dataset_open_layout(&dataset, folder, layout, split, NULL), status);
  assert_null(dataset);
  if (!strstr(mkd_last_error(), part))
    fail_msg("\"%s\" does not contain \"%s\"", mkd_last_error(), part);
}

static int label_of(int image)
{
  return (3 * image + 1) % 10;
}

/* Compares an image with the formula of make_data_sets.py. */
static void assert_pixels(const mkd_dataset *dataset, size_t index, int number, int width,
                          int height, int channels)
{
  mkd_image_source source = mkd_dataset_source(dataset);
  mkd_image image;
  void *handle;
  assert_int_equal(source.get(source.context, index, &image, &handle), MKD_OK);
  assert_int_equal(image.width, width);
  assert_int_equal(image.height, height);
  assert_int_equal(image.format, channels == 1 ? MKD_GREY8 : MKD_RGB8);
  for (int y = 0; y < height; ++y) {
    const uint8_t *row = (const uint8_t *)image.data + (size_t)y * image.stride;
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        assert_int_equal(row[x * channels + c],
                         (37 * number + 11 * y + 3 * x + 101 * c + x * y) % 256);
  }
  source.release(source.context, &image, handle);
}

static void assert_item(const mkd_dataset *dataset, size_t index, const char *path,
                        const char *kind, bool anomalous)
{
  mkd_dataset_item item = mkd_dataset_get(dataset, index);
  assert_string_equal(item.path, path);
  assert_string_equal(item.kind, kind);
  assert_int_equal(item.anomalous, anomalous);
  assert_null(item.mask);
}

static void idx(void **state)
{
  (void)state;
  mkd_dataset *dataset = open_ok(MNIST, MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN);
  assert_int_equal(mkd_dataset_count(dataset), 12);
  for (int i = 0; i < 12; ++i) {
    char kind[2] = {(char)('0' + label_of(i)), 0}, path[512];
    snprintf(path, sizeof path, MNIST "/train-images-idx3-ubyte#%d", i);
    assert_item(dataset, (size_t)i, path, kind, false);
    assert_pixels(dataset, (size_t)i, i, 7, 5, 1);
  }
  mkd_dataset_destroy(dataset);

  dataset = open_ok(MNIST "/", MKD_LAYOUT_FASHION_MNIST, MKD_SPLIT_TEST); /* two gzip members */
  assert_int_equal(mkd_dataset_count(dataset), 6);
  assert_pixels(dataset, 5, 5, 7, 5, 1);
  assert_item(dataset, 0, MNIST "/t10k-images-idx3-ubyte.gz#0", "trouser", false);
  assert_item(dataset, 3, MNIST "/t10k-images-idx3-ubyte.gz#3", "t-shirt/top", false);
  mkd_dataset_destroy(dataset);
}

static void cifar10(void **state)
{
  (void)state;
  mkd_dataset *dataset = open_ok(CIFAR, MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TRAIN);
  assert_int_equal(mkd_dataset_count(dataset), 3);
  assert_item(dataset, 0, CIFAR "/data_batch_1.bin#0", "automobile", false);
  assert_item(dataset, 1, CIFAR "/train_others.bin.gz#0", "deer", false);
  assert_item(dataset, 2, CIFAR "/train_others.bin.gz#1", "horse", false);
  for (int i = 0; i < 3; ++i) assert_pixels(dataset, (size_t)i, i, 32, 32, 3);
  mkd_dataset_destroy(dataset);
  dataset = open_ok(CIFAR, MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TEST);
  assert_int_equal(mkd_dataset_count(dataset), 1);
  assert_item(dataset, 0, CIFAR "/test_batch.bin.gz#0", "airplane", false);
  assert_pixels(dataset, 0, 3, 32, 32, 3);
  mkd_dataset_destroy(dataset);
}

static void medical_folders(void **state)
{
  (void)state;
  static const char *const files[] = {
      "oct/train/NORMAL/1.jpeg", "oct/train/CNV/2.jpeg", "oct/test/DME/3.jpeg",
      "oct/test/NORMAL/4.jpeg",  "oct/val/CNV/5.jpeg",   "brain/yes/Y1.JPG",
      "brain/no/1 no.jpeg",      "ct/head/000.png",      "ct/head/001.png",
      "ct/head/100.png",
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) make(files[i]);
  make_file("oct/train/readme.txt", "x", 1);
  mkd_dataset *dataset = open_ok("oct", MKD_LAYOUT_OCT, MKD_SPLIT_TRAIN);
  assert_int_equal(mkd_dataset_count(dataset), 2);
  assert_item(dataset, 0, "oct/train/CNV/2.jpeg", "CNV", true);
  assert_item(dataset, 1, "oct/train/NORMAL/1.jpeg", "NORMAL", false);
  mkd_dataset_destroy(dataset);
  dataset = open_ok("oct", MKD_LAYOUT_OCT, MKD_SPLIT_TEST);
  assert_int_equal(mkd_dataset_count(dataset), 2);
  assert_item(dataset, 0, "oct/test/DME/3.jpeg", "DME", true);
  mkd_dataset_destroy(dataset);

  dataset = open_ok("brain", MKD_LAYOUT_BRAIN_MRI, MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 2);
  assert_item(dataset, 0, "brain/no/1 no.jpeg", "no", false);
  assert_item(dataset, 1, "brain/yes/Y1.JPG", "yes", true);
  mkd_dataset_destroy(dataset);

  static const char labels[] = "id, hemorrhage\r\n0,1\r\n1, 0\r\n 100 ,1";
  make_file("ct/labels.csv", labels, sizeof labels - 1);
  dataset = open_ok("ct", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL);
  assert_int_equal(mkd_dataset_count(dataset), 3);
  assert_item(dataset, 0, "ct/head/000.png", "hemorrhage", true);
  assert_item(dataset, 1, "ct/head/001.png", "normal", false);
  assert_item(dataset, 2, "ct/head/100.png", "hemorrhage", true);
  mkd_dataset_destroy(dataset);
}

static void wrong_folders(void **state)
{
  (void)state;
  make("d/1.png");
  assert_error("d", MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN, MKD_ERROR_FILE, "train-images-idx3-ubyte");
  assert_error("d", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TEST, MKD_ERROR_FILE, "test*.bin");
  assert_error("d", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TRAIN, MKD_ERROR_FILE, "data_batch*.bin");
  assert_error("d", MKD_LAYOUT_OCT, MKD_SPLIT_TRAIN, MKD_ERROR_FILE, "d/train");
  assert_error("d", MKD_LAYOUT_BRAIN_MRI, MKD_SPLIT_ALL, MKD_ERROR_FILE, "d/no");
  assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL, MKD_ERROR_FILE, "d/labels.csv");
  assert_error("d/1.png", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TEST, MKD_ERROR_FILE, "d/1.png");
  assert_error("e", MKD_LAYOUT_MNIST, MKD_SPLIT_TEST, MKD_ERROR_FILE, "e: cannot open");
  assert_error("d", MKD_LAYOUT_MNIST, MKD_SPLIT_ALL, MKD_ERROR_ARGUMENT, "train and test");
  assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_TEST, MKD_ERROR_ARGUMENT, "split");
  assert_error("d", (mkd_layout)99, MKD_SPLIT_TEST, MKD_ERROR_ARGUMENT, "99");
  make("oct/test/CNV/1.png");
  assert_error("oct", MKD_LAYOUT_OCT, MKD_SPLIT_TEST, MKD_ERROR_DATA, "NORMAL");
  make("brain/no/1.txt");
  make("brain/yes/1.txt");
  assert_error("brain", MKD_LAYOUT_BRAIN_MRI, MKD_SPLIT_ALL, MKD_ERROR_DATA, "no image found");
}

static void wrong_labels(void **state)
{
  (void)state;
  static const struct {
    const char *text, *error;
    mkd_status status;
  } tables[] = {
      {"", "begins with", MKD_ERROR_FILE},
      {"id,tumour\n7,1\n", "begins with", MKD_ERROR_FILE},
      {"id,hemorrhage\n7,2\n", "line 2 is \"7,2\"", MKD_ERROR_FILE},
      {"id,hemorrhage\n\n7;1\n", "line 3", MKD_ERROR_FILE},
      {"id,hemorrhage\n7,1,1\n", "line 2", MKD_ERROR_FILE},
      {"id,hemorrhage\n-7,1\n", "line 2", MKD_ERROR_FILE},
      {"id,hemorrhage\n1000000,1\n", "line 2", MKD_ERROR_FILE},
      {"id,hemorrhage\n99999999999999999999,1\n", "line 2", MKD_ERROR_FILE},
      {"id,hemorrhage\n7,1\n07,1\n", "line 3: the image 7 is there twice", MKD_ERROR_FILE},
      {"id,hemorrhage\n8,1\n", "d/007.png: has no line", MKD_ERROR_DATA},
      {"id,hemorrhage\n7,1\n8,1\n", "names the image 8", MKD_ERROR_DATA},
  };
  make("d/007.png");
  for (size_t i = 0; i < sizeof tables / sizeof *tables; ++i) {
    make_file("d/labels.csv", tables[i].text, strlen(tables[i].text));
    assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL, tables[i].status, tables[i].error);
  }
  make_file("d/labels.csv", "id,hemorrhage\n7,1\n\0", 19);
  assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL, MKD_ERROR_FILE, "is no text");
  make_file("d/labels.csv", "id,hemorrhage\n7,1\n", 18);
  make("d/7.png");
  assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL, MKD_ERROR_DATA, "second image");
  assert_int_equal(remove("d/7.png"), 0);
  make("d/7a.png");
  assert_error("d", MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL, MKD_ERROR_DATA, "d/7a.png: has no line");
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static mk_bytes fixture(const char *path)
{
  mk_bytes bytes;
  assert_int_equal(mk_file_read(&bytes, path, 1 << 20), MKD_OK);
  return bytes;
}

static void copy(const char *from, const char *to)
{
  mk_bytes bytes = fixture(from);
  make_file(to, bytes.data, bytes.size);
  mk_free(bytes.data);
}

/* Cut anywhere, the file is refused; with any bit changed, it may not crash. */
static void assert_refused_when_cut(const char *path, const char *folder, mkd_layout layout,
                                    mkd_split split, size_t unit)
{
  mk_bytes bytes = fixture(path);
  for (size_t size = 0; size < bytes.size; size += 1 + size / 64) {
    make_file(path, bytes.data, size);
    if (size % unit != 0 || size == 0) assert_error(folder, layout, split, MKD_ERROR_FILE, path);
  }
  for (size_t i = 0; i < bytes.size && i < 400; ++i) {
    uint8_t before = bytes.data[i];
    bytes.data[i] ^= (uint8_t)(1 << i % 8);
    make_file(path, bytes.data, bytes.size);
    mkd_dataset *dataset = NULL;
    (void)mkd_dataset_open_layout(&dataset, folder, layout, split, NULL);
    mkd_dataset_destroy(dataset);
    bytes.data[i] = before;
  }
  make_file(path, bytes.data, bytes.size);
  mkd_dataset_destroy(open_ok(folder, layout, split));
  mk_free(bytes.data);
}

static void damaged_idx(void **state)
{
  (void)state;
  copy(MNIST "/train-images-idx3-ubyte", "d/train-images-idx3-ubyte");
  copy(MNIST "/train-labels.idx1-ubyte", "d/train-labels.idx1-ubyte");
  copy(MNIST "/t10k-images-idx3-ubyte.gz", "d/t10k-images-idx3-ubyte.gz");
  copy(MNIST "/t10k-labels-idx1-ubyte.gz", "d/t10k-labels-idx1-ubyte.gz");
  size_t never = SIZE_MAX;
  assert_refused_when_cut("d/train-images-idx3-ubyte", "d", MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN,
                          never);
  assert_refused_when_cut("d/train-labels.idx1-ubyte", "d", MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN,
                          never);
  assert_refused_when_cut("d/t10k-images-idx3-ubyte.gz", "d", MKD_LAYOUT_MNIST, MKD_SPLIT_TEST,
                          never);
  assert_refused_when_cut("d/t10k-labels-idx1-ubyte.gz", "d", MKD_LAYOUT_MNIST, MKD_SPLIT_TEST,
                          never);
  copy(MNIST "/train-labels.idx1-ubyte", "d/t10k-labels-idx1-ubyte");
  assert_error("d", MKD_LAYOUT_MNIST, MKD_SPLIT_TEST, MKD_ERROR_FILE, "has 6 images");
}

static void headers_that_lie(void **state)
{
  (void)state;
  static const char *const images[] = {
      "\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
      "\0\0\x08\x03\x80\0\0\0\x80\0\0\0\0\0\0\4", /* the product is 0 in 64 bits */
      "\0\0\x08\x03\0\0\0\0\0\0\0\4\0\0\0\4",
      "\0\0\x08\x03\0\0\0\0\0\0\0\0\0\0\0\0",
      "\0\0\x0d\x03\0\0\0\0\0\0\0\4\0\0\0\4",
      "\0\0\x08\x01\0\0\0\x08\0\0\0\4\0\0\0\4",
  };
  make_file("d/train-labels-idx1-ubyte", "\0\0\x08\1\0\0\0\0", 8);
  for (size_t i = 0; i < sizeof images / sizeof *images; ++i) {
    make_file("d/train-images-idx3-ubyte", images[i], 16);
    mkd_dataset *dataset = NULL;
    assert_int_not_equal(
        mkd_dataset_open_layout(&dataset, "d", MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN, NULL), MKD_OK);
  }
  make_file("d/train-images-idx3-ubyte", "\0\0\x08\3\0\0\0\1\0\0\0\1\0\0\0\1x", 17);
  make_file("d/train-labels-idx1-ubyte", "\0\0\x08\1\0\0\0\1\x0a", 9);
  assert_error("d", MKD_LAYOUT_MNIST, MKD_SPLIT_TRAIN, MKD_ERROR_FILE, "image 0 has the label 10");
}

static void damaged_cifar10(void **state)
{
  (void)state;
  copy(CIFAR "/data_batch_1.bin", "d/data_batch_1.bin");
  copy(CIFAR "/test_batch.bin.gz", "d/test_batch.bin.gz");
  assert_refused_when_cut("d/data_batch_1.bin", "d", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TRAIN, 3073);
  assert_refused_when_cut("d/test_batch.bin.gz", "d", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TEST,
                          SIZE_MAX);
  make_file("d/data_batch_1.bin", "\x0a", 1);
  assert_int_equal(truncate("d/data_batch_1.bin", 3073), 0);
  assert_error("d", MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TRAIN, MKD_ERROR_FILE, "has the label 10");
}

static void gzip_limits(void **state)
{
  (void)state;
  mk_bytes bytes = {0};
  /* 16 + 6 * 5 * 7 = 226 bytes */
  assert_int_equal(mk_gzip_read(&bytes, MNIST "/t10k-images-idx3-ubyte.gz", 226 + 40), MKD_OK);
  assert_int_equal(bytes.size, 226);
  mk_free(bytes.data);
  assert_int_equal(mk_gzip_read(&bytes, MNIST "/t10k-images-idx3-ubyte.gz", 226), MKD_ERROR_FILE);
  mk_bytes packed = fixture(CIFAR "/test_batch.bin.gz");
  assert_int_equal(mk_gzip_read(&bytes, CIFAR "/test_batch.bin.gz", packed.size), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "more than the limit"));
  assert_int_equal(mk_gzip_read(&bytes, CIFAR "/test_batch.bin.gz", 3072), MKD_ERROR_FILE);
  assert_int_equal(mk_gzip_read(&bytes, CIFAR "/test_batch.bin.gz", 3073), MKD_OK);
  mk_free(bytes.data);
  packed.data[packed.size - 5] ^= 1; /* of the checksum */
  make_file("d", packed.data, packed.size);
  assert_int_equal(mk_gzip_read(&bytes, "d", 3073), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "d: damaged gzip file"));
  packed.data[packed.size - 5] ^= 1;
  packed.data[packed.size - 1] = 1; /* of the length */
  make_file("d", packed.data, packed.size);
  assert_int_equal(mk_gzip_read(&bytes, "d", 3073), MKD_ERROR_FILE);
  make_file("e", "\x1f\x8b", 2);
  assert_int_equal(mk_gzip_read(&bytes, "e", 3073), MKD_ERROR_FILE);
  make_file("f", "", 0);
  assert_int_equal(mk_gzip_read(&bytes, "f", 3073), MKD_OK);
  assert_int_equal(bytes.size, 0);
  mk_free(bytes.data);
  mk_free(packed.data);
}

static void something_behind_the_end(void **state)
{
  (void)state;
  mk_bytes packed = fixture(CIFAR "/test_batch.bin.gz"), bytes;
  uint8_t longer[4096] = {0};
  memcpy(longer, packed.data, packed.size);
  make_file("d", longer, packed.size + 3);
  assert_int_equal(mk_gzip_read(&bytes, "d", 1 << 20), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "follows its end"));
  mk_free(packed.data);
}

/* ---- The data itself ------------------------------------------------------------------------- */

static void as_published(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    mkd_layout layout;
    size_t train, test, each; /* images; of each class in the test */
  } sets[] = {{"mnist", MKD_LAYOUT_MNIST, 60000, 10000, 0},
              {"fashion-mnist", MKD_LAYOUT_FASHION_MNIST, 60000, 10000, 1000},
              {"cifar-10", MKD_LAYOUT_CIFAR_10, 15000, 10000, 1000}};
  for (size_t s = 0; s < sizeof sets / sizeof *sets; ++s) {
    char path[512];
    struct stat info;
    snprintf(path, sizeof path, SHARED_DIR "/data/%s", sets[s].name);
    if (stat(path, &info) != 0) skip();
    mkd_dataset *dataset = open_ok(path, sets[s].layout, MKD_SPLIT_TRAIN);
    assert_int_equal(mkd_dataset_count(dataset), sets[s].train);
    mkd_dataset_destroy(dataset);
    dataset = open_ok(path, sets[s].layout, MKD_SPLIT_TEST);
    assert_int_equal(mkd_dataset_count(dataset), sets[s].test);
    size_t of_first = 0;
    const char *first = mkd_dataset_get(dataset, 0).kind;
    for (size_t i = 0; i < sets[s].test; ++i)
      of_first += strcmp(mkd_dataset_get(dataset, i).kind, first) == 0;
    if (sets[s].each) assert_int_equal(of_first, sets[s].each);
    mkd_dataset_destroy(dataset);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(idx),          cmocka_unit_test(cifar10),
      IN_FOLDER(medical_folders),     IN_FOLDER(wrong_folders),
      IN_FOLDER(wrong_labels),        IN_FOLDER(damaged_idx),
      IN_FOLDER(headers_that_lie),    IN_FOLDER(damaged_cifar10),
      IN_FOLDER(gzip_limits),         IN_FOLDER(something_behind_the_end),
      cmocka_unit_test(as_published),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
