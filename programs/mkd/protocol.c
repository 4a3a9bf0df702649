#include "protocol.h"

#include "cli.h"
#include "folders.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEST_NORMALS = 10 }; /* of medical data that has no split of its own */

/* How the images of a class are found. */
typedef enum {
  ONE_CLASS, /* one class normal, all others anomalous */
  SPLIT,     /* the data set's own split */
  DRAWN      /* TEST_NORMALS normal images, drawn, and all anomalous ones are the test */
} division;

typedef struct {
  char *name, *folder;
  mkd_dataset *train, *test; /* the same one if DRAWN; opened when needed */
} class_data;

struct protocol {
  const char *name;
  char *place;
  mkd_layout layout;
  division division;
  const published_set *published;
  class_data *classes; /* those of ONE_CLASS have no data of their own */
  size_t count;
  mkd_limits limits;
  mkd_dataset *train, *test; /* of ONE_CLASS */
};

/* ---- Some images of a data set --------------------------------------------------------------- */

static mkd_status get(void *context, size_t index, mkd_image *image, void **handle)
{
  const image_set *set = context;
  mkd_image_source all = mkd_dataset_source(set->dataset);
  return all.get(all.context, set->indices[index], image, handle);
}

static void release(void *context, const mkd_image *image, void *handle)
{
  const image_set *set = context;
  mkd_image_source all = mkd_dataset_source(set->dataset);
  all.release(all.context, image, handle);
}

mkd_image_source image_set_source(const image_set *set)
{
  return (mkd_image_source){set->count, get, release, (void *)set};
}

void class_images_free(class_images *images)
{
  free(images->train.indices);
  free(images->test.indices);
  free(images->anomalous);
  *images = (class_images){0};
}

static void add_train(class_images *images, size_t index)
{
  images->train.indices[images->train.count++] = index;
}

static void add_test(class_images *images, size_t index, bool anomalous)
{
  images->anomalous[images->test.count] = anomalous;
  images->test.indices[images->test.count++] = index;
}

/* ---- Chance ---------------------------------------------------------------------------------- */

/* splitmix64: a counter, scrambled. */
static uint64_t scramble(uint64_t *state)
{
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* Fisher-Yates; the remainder's bias is below count / 2^64. */
static void shuffle(size_t *indices, size_t count, uint64_t seed)
{
  for (size_t i = count; i > 1; --i) {
    size_t j = (size_t)(scramble(&seed) % i), other = indices[j];
    indices[j] = indices[i - 1];
    indices[i - 1] = other;
  }
}

static int ascending(const void *a, const void *b)
{
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static class_data *add_class(protocol *p, const char *name, const char *folder)
{
  p->classes = must_grow(p->classes, p->count + 1, sizeof *p->classes);
  class_data *added = &p->classes[p->count++];
  *added = (class_data){.name = text_format("%s", name),
                        .folder = folder ? text_format("%s", folder) : NULL};
  return added;
}

static bool has_folder(const char *folder, const char *name)
{
  struct stat info;
  char *path = text_format("%s/%s", folder, name);
  bool found = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
  free(path);
  return found;
}

static const char *last_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

static mkd_status open_classes(protocol *p)
{
  p->division = ONE_CLASS;
  for (size_t i = 0; i < p->published->count; ++i)
    add_class(p, p->published->classes[i].name, NULL);
  mkd_status status =
      mkd_dataset_open_layout(&p->train, p->place, p->layout, MKD_SPLIT_TRAIN, &p->limits);
  if (status != MKD_OK) return status;
  return mkd_dataset_open_layout(&p->test, p->place, p->layout, MKD_SPLIT_TEST, &p->limits);
}

/* The folder itself, or those in it. */
static mkd_status open_categories(protocol *p)
{
  p->division = SPLIT;
  if (has_folder(p->place, "train/good")) {
    add_class(p, last_name(p->place), p->place);
    return MKD_OK;
  }
  char **names = NULL;
  size_t count = 0;
  mkd_status status = folders_list(p->place, &names, &count);
  if (count > p->limits.max_files)
    status = refuse(MKD_ERROR_DATA, "%s: has more files than the limit of %llu", p->place,
                    (unsigned long long)p->limits.max_files);
  for (size_t i = 0; i < count; ++i) {
    char *folder = text_format("%s/%s", p->place, names[i]);
    if (has_folder(folder, "train/good")) add_class(p, names[i], folder);
    free(folder);
    free(names[i]);
  }
  free(names);
  if (status == MKD_OK && p->count == 0)
    status = refuse(MKD_ERROR_DATA,
                    "%s: holds no category in MVTec AD layout; expected train/good and test in it "
                    "or in a folder in it",
                    p->place);
  return status;
}

static bool has_file(const char *folder, const char *name)
{
  char *path = text_format("%s/%s", folder, name);
  bool found = access(path, F_OK) == 0;
  free(path);
  return found;
}

static mkd_status open_medical(protocol *p)
{
  const char *place = p->place;
  if (has_folder(place, "train/good")) {
    p->division = SPLIT;
    p->layout = MKD_LAYOUT_FOLDER;
  } else if (has_folder(place, "train/NORMAL")) {
    p->division = SPLIT;
    p->layout = MKD_LAYOUT_OCT;
  } else if (has_folder(place, "yes") && has_folder(place, "no")) {
    p->division = DRAWN;
    p->layout = MKD_LAYOUT_BRAIN_MRI;
  } else if (has_file(place, "labels.csv")) {
    p->division = DRAWN;
    p->layout = MKD_LAYOUT_HEAD_CT;
  } else {
    return refuse(
        MKD_ERROR_DATA,
        "%s: is no known medical data set; expected train/NORMAL (retinal OCT), yes and no "
        "(brain MRI), labels.csv (head CT), or the layout of MVTec AD",
        place);
  }
  add_class(p, last_name(place), place);
  return MKD_OK;
}

static const struct {
  const char *name;
  mkd_layout layout;
  const published_set *published; /* or NULL */
  mkd_status (*open)(protocol *p);
} kinds[] = {
    {"mnist", MKD_LAYOUT_MNIST, &published_mnist, open_classes},
    {"fashion-mnist", MKD_LAYOUT_FASHION_MNIST, &published_fashion_mnist, open_classes},
    {"cifar-10", MKD_LAYOUT_CIFAR_10, &published_cifar_10, open_classes},
    {"mvtec", MKD_LAYOUT_FOLDER, &published_mvtec, open_categories},
    {"medical", MKD_LAYOUT_FOLDER, NULL, open_medical},
};

mkd_status protocol_open(protocol **out, const char *name, const char *folder,
                         const mkd_limits *limits)
{
  size_t kind = 0;
  while (kind < sizeof kinds / sizeof kinds[0] && strcmp(kinds[kind].name, name) != 0) ++kind;
  if (kind == sizeof kinds / sizeof kinds[0])
    return refuse(MKD_ERROR_ARGUMENT,
                  "'%s' is none of mnist, fashion-mnist, cifar-10, mvtec and medical", name);
  char place[PATH_MAX];
  if (!realpath(folder, place))
    return refuse(MKD_ERROR_FILE, "%s: there is no such folder", folder);
  protocol *p = must_grow(NULL, 1, sizeof *p);
  *p = (protocol){.name = kinds[kind].name,
                  .place = text_format("%s", place),
                  .layout = kinds[kind].layout,
                  .limits = *limits,
                  .published = kinds[kind].published};
  mkd_status status = kinds[kind].open(p);
  if (status != MKD_OK) {
    protocol_close(p);
    return status;
  }
  *out = p;
  return MKD_OK;
}

void protocol_close(protocol *p)
{
  if (!p) return;
  for (size_t i = 0; i < p->count; ++i) {
    class_data *data = &p->classes[i];
    if (data->test != data->train) mkd_dataset_destroy(data->test);
    mkd_dataset_destroy(data->train);
    free(data->name);
    free(data->folder);
  }
  mkd_dataset_destroy(p->train);
  mkd_dataset_destroy(p->test);
  free(p->classes);
  free(p->place);
  free(p);
}

/* ---- What it is ------------------------------------------------------------------------------ */

const char *protocol_name(const protocol *p)
{
  return p->name;
}

const char *protocol_place(const protocol *p)
{
  return p->place;
}

const char *protocol_rule(const protocol *p)
{
  switch (p->division) {
  case ONE_CLASS:
    return "One class is normal, all others are anomalous; the whole test set.";
  case SPLIT:
    return "Training and test images as the data set divides them.";
  case DRAWN:
    return "Test: 10 normal images drawn by the seed, and all anomalous ones.";
  }
  return "";
}

bool protocol_has_masks(const protocol *p)
{
  return strcmp(p->name, "mvtec") == 0;
}

const published_set *protocol_published(const protocol *p)
{
  return p->published;
}

size_t protocol_class_count(const protocol *p)
{
  return p->count;
}

const char *protocol_class(const protocol *p, size_t index)
{
  return p->classes[index].name;
}

mkd_status protocol_find(const protocol *p, const char *name, size_t *index)
{
  for (size_t i = 0; i < p->count; ++i) {
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    if (strcmp(p->classes[i].name, name) != 0 &&
        (p->division != ONE_CLASS || strcmp(number, name) != 0))
      continue;
    *index = i;
    return MKD_OK;
  }
  char *known = text_format("%s", p->classes[0].name);
  for (size_t i = 1; i < p->count; ++i) {
    char *longer = text_format("%s, %s", known, p->classes[i].name);
    free(known);
    known = longer;
  }
  mkd_status status =
      refuse(MKD_ERROR_ARGUMENT, "%s: there is no class '%s'; there are %s", p->place, name, known);
  free(known);
  return status;
}

bool protocol_can_train(const protocol *p, size_t index)
{
  if (p->division != ONE_CLASS) return true;
  for (size_t i = 0; i < mkd_dataset_count(p->train); ++i)
    if (strcmp(mkd_dataset_get(p->train, i).kind, p->classes[index].name) == 0) return true;
  return false;
}

/* ---- The images of a class ------------------------------------------------------------------- */

static mkd_status open_data(const protocol *p, class_data *data)
{
  if (data->train) return MKD_OK;
  mkd_split first = p->division == DRAWN ? MKD_SPLIT_ALL : MKD_SPLIT_TRAIN;
  mkd_dataset *train, *test;
  mkd_status status = mkd_dataset_open_layout(&train, data->folder, p->layout, first, &p->limits);
  if (status != MKD_OK) return status;
  test = train;
  if (p->division != DRAWN)
    status = mkd_dataset_open_layout(&test, data->folder, p->layout, MKD_SPLIT_TEST, &p->limits);
  if (status != MKD_OK) {
    mkd_dataset_destroy(train);
    return status;
  }
  data->train = train;
  data->test = test;
  return MKD_OK;
}

/* The normal images that remain for training are in the order of the data set. */
static void draw(class_images *images, const mkd_dataset *dataset, uint64_t seed)
{
  size_t count = mkd_dataset_count(dataset), normals = 0;
  size_t *normal = must_grow(NULL, count, sizeof *normal);
  for (size_t i = 0; i < count; ++i)
    if (!mkd_dataset_get(dataset, i).anomalous) normal[normals++] = i;
  shuffle(normal, normals, seed);
  size_t tested = normals < TEST_NORMALS ? normals : TEST_NORMALS;
  qsort(normal, tested, sizeof *normal, ascending);
  qsort(normal + tested, normals - tested, sizeof *normal, ascending);
  for (size_t i = 0; i < tested; ++i) add_test(images, normal[i], false);
  for (size_t i = tested; i < normals; ++i) add_train(images, normal[i]);
  for (size_t i = 0; i < count; ++i)
    if (mkd_dataset_get(dataset, i).anomalous) add_test(images, i, true);
  free(normal);
}

static void divide(const protocol *p, size_t index, class_images *images)
{
  const char *name = p->division == ONE_CLASS ? p->classes[index].name : NULL;
  const mkd_dataset *train = images->train.dataset, *test = images->test.dataset;
  for (size_t i = 0; i < mkd_dataset_count(train); ++i) {
    mkd_dataset_item item = mkd_dataset_get(train, i);
    if (name ? strcmp(item.kind, name) == 0 : !item.anomalous) add_train(images, i);
  }
  for (size_t i = 0; i < mkd_dataset_count(test); ++i) {
    mkd_dataset_item item = mkd_dataset_get(test, i);
    add_test(images, i, name ? strcmp(item.kind, name) != 0 : item.anomalous);
  }
}

static void limit_training(image_set *train, uint64_t seed, size_t limit)
{
  if (limit == 0 || train->count <= limit) return;
  shuffle(train->indices, train->count, ~seed);
  train->count = limit;
  qsort(train->indices, limit, sizeof *train->indices, ascending);
}

static mkd_status check_images(const protocol *p, size_t index, const class_images *images)
{
  size_t anomalous = 0;
  for (size_t i = 0; i < images->test.count; ++i) anomalous += images->anomalous[i];
  const char *name = p->classes[index].name;
  if (images->train.count < 2)
    return refuse(MKD_ERROR_DATA, "%s: has %zu normal images to train %s on; at least 2 are needed",
                  p->place, images->train.count, name);
  if (anomalous == 0 || anomalous == images->test.count)
    return refuse(MKD_ERROR_DATA,
                  "%s: the test of %s has %zu normal and %zu anomalous images; both are needed",
                  p->place, name, images->test.count - anomalous, anomalous);
  return MKD_OK;
}

mkd_status protocol_images(protocol *p, size_t index, uint64_t seed, size_t limit,
                           class_images *images)
{
  class_data *data = &p->classes[index];
  if (p->division != ONE_CLASS) {
    mkd_status status = open_data(p, data);
    if (status != MKD_OK) return status;
  }
  const mkd_dataset *train = p->division == ONE_CLASS ? p->train : data->train;
  const mkd_dataset *test = p->division == ONE_CLASS ? p->test : data->test;
  size_t trained = mkd_dataset_count(train), tested = mkd_dataset_count(test);
  *images = (class_images){
      .train = {train, must_grow(NULL, trained, sizeof(size_t)), 0},
      .test = {test, must_grow(NULL, tested, sizeof(size_t)), 0},
      .anomalous = must_grow(NULL, tested, sizeof(bool)),
      .test_key = p->division == SPLIT   ? index
                  : p->division == DRAWN ? seed
                                         : 0,
  };
  if (p->division == DRAWN)
    draw(images, test, seed);
  else
    divide(p, index, images);
  limit_training(&images->train, seed, limit);
  mkd_status status = check_images(p, index, images);
  if (status != MKD_OK) class_images_free(images);
  return status;
}

/* ---- The paper's settings -------------------------------------------------------------------- */

/* All normal images are trained on: the least share is held out, for a threshold that nobody asks
 * for here. */
#define ALL_IMAGES "holdout=0.001"

const char *const *protocol_settings(const protocol *p, const char *recipe)
{
  static const char *const none[] = {NULL};
  static const char *const digits[] = {"input_width=32", "input_height=32", "epochs=20", ALL_IMAGES,
                                       NULL};
  static const char *const digits_code[] = {"input_width=32",  "input_height=32", "epochs=51",
                                            "weight_val=0.01", ALL_IMAGES,        NULL};
  static const char *const things[] = {
      "resize_width=256", "resize_height=256", "input_width=224", "input_height=224",
      "resample=lanczos", "values=imagenet",   ALL_IMAGES,        NULL};
  static const char *const things_code[] = {"resize_width=256", "resize_height=256",
                                            "input_width=224",  "input_height=224",
                                            "resample=lanczos", "values=imagenet",
                                            "epochs=201",       "weight_val=0.01",
                                            ALL_IMAGES,         NULL};
  static const char *const textures[] = {ALL_IMAGES, NULL};
  static const char *const medical_code[] = {"weight_val=0.01", ALL_IMAGES, NULL};
  bool code = strcmp(recipe, "paper-code") == 0;
  if (!code && strcmp(recipe, "paper") != 0) return none;
  switch (p->layout) {
  case MKD_LAYOUT_MNIST:
  case MKD_LAYOUT_FASHION_MNIST:
    return code ? digits_code : digits;
  case MKD_LAYOUT_CIFAR_10:
    return code ? things_code : things;
  default:
    return code && !protocol_has_masks(p) ? medical_code : textures;
  }
}
