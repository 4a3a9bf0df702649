#include "published.h"

#include <math.h>
#include <string.h>

static const published_class digits[] = {
    {"0", NAN, NAN}, {"1", NAN, NAN}, {"2", NAN, NAN}, {"3", NAN, NAN}, {"4", NAN, NAN},
    {"5", NAN, NAN}, {"6", NAN, NAN}, {"7", NAN, NAN}, {"8", NAN, NAN}, {"9", NAN, NAN},
};
static const published_class clothes[] = {
    {"t-shirt/top", NAN, NAN}, {"trouser", NAN, NAN}, {"pullover", NAN, NAN},
    {"dress", NAN, NAN},       {"coat", NAN, NAN},    {"sandal", NAN, NAN},
    {"shirt", NAN, NAN},       {"sneaker", NAN, NAN}, {"bag", NAN, NAN},
    {"ankle boot", NAN, NAN},
};
static const published_class things[] = {
    {"airplane", 90.53, NAN}, {"automobile", 90.35, NAN}, {"bird", 79.66, NAN},
    {"cat", 77.02, NAN},      {"deer", 86.71, NAN},       {"dog", 91.40, NAN},
    {"frog", 88.98, NAN},     {"horse", 86.78, NAN},      {"ship", 91.45, NAN},
    {"truck", 88.91, NAN},
};
static const published_class categories[] = {
    {"bottle", 99.39, 96.32},     {"cable", 89.19, 82.40},     {"capsule", 80.46, 95.86},
    {"carpet", 79.25, 95.64},     {"grid", 78.01, 91.78},      {"hazelnut", 98.37, 94.62},
    {"leather", 95.05, 98.05},    {"metal_nut", 73.58, 86.38}, {"pill", 82.70, 89.63},
    {"screw", 83.31, 95.96},      {"tile", 91.57, 82.77},      {"toothbrush", 92.17, 96.12},
    {"transistor", 85.55, 76.45}, {"wood", 94.29, 84.80},      {"zipper", 93.24, 93.90},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const published_set published_mnist = {digits, COUNT(digits), 98.71, NAN};
const published_set published_fashion_mnist = {clothes, COUNT(clothes), 94.49, NAN};
const published_set published_cifar_10 = {things, COUNT(things), 87.18, NAN};
const published_set published_mvtec = {categories, COUNT(categories), 87.74, 90.71};

const published_class *published_find(const published_set *set, const char *name)
{
  for (size_t i = 0; set && i < set->count; ++i)
    if (strcmp(set->classes[i].name, name) == 0) return &set->classes[i];
  return NULL;
}
