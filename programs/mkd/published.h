/* What the paper reports (Salehi et al., CVPR 2021): AUROC in percent. */
#ifndef PUBLISHED_H
#define PUBLISHED_H

#include <stddef.h>

typedef struct {
  const char *name;    /* of the class or category */
  double image, pixel; /* NAN = not reported */
} published_class;

typedef struct {
  const published_class *classes;
  size_t count;
  double image, pixel; /* means over all classes; NAN = not reported */
} published_set;

extern const published_set published_mnist, published_fashion_mnist, published_cifar_10,
    published_mvtec;

/* NULL if the paper has no such class. */
const published_class *published_find(const published_set *set, const char *name);

#endif
