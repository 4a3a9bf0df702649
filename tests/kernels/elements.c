/* Kernels that go element by element, and Adam. */
#include "check.h"

#include <math.h>

enum { TIMED = 65536 };

static size_t any_count(trial *t)
{
  return (size_t)any(t, 0, coin(t) ? 40 : 3000);
}

/* Often with 0 and 6, where activations change. */
static const float *any_source(trial *t, size_t count)
{
  float *src = input(t, count);
  if (coin(t)) {
    for (size_t i = 0; i < count; ++i) src[i] = rintf(src[i] * 8);
  }
  return src;
}

static void check_activate(trial *t)
{
  size_t count = any_count(t);
  const float *src = any_source(t, count);
  mk_activation activation = any_activation(t);
  output out = make_output(t, count, true);
  t->set->activate(out.actual, src, activation, count);
  t->reference->activate(out.expected, src, activation, count);
  compare(t, &out, 0);
}

static void time_activate(trial *t)
{
  const float *src = input(t, TIMED);
  float *dst = input(t, TIMED);
  TIME(t, t->set->activate(dst, src, MK_ACT_RELU, TIMED));
}

static void check_activation_backward(trial *t)
{
  size_t count = any_count(t);
  mk_activation activation = any_activation(t);
  bool guided = coin(t);
  float *dst = input(t, count);
  t->reference->activate(dst, any_source(t, count), activation, count);
  output out = make_output(t, count, false);
  t->set->activation_backward(out.actual, dst, activation, guided, count);
  t->reference->activation_backward(out.expected, dst, activation, guided, count);
  compare(t, &out, 0);
}

static void time_activation_backward(trial *t)
{
  const float *dst = input(t, TIMED);
  float *diff = input(t, TIMED);
  TIME(t, t->set->activation_backward(diff, dst, MK_ACT_RELU, false, TIMED));
}

static void check_add(trial *t)
{
  size_t count = any_count(t);
  const float *a = any_source(t, count), *b = input(t, count);
  output out = make_output(t, count, true);
  t->set->add(out.actual, a, b, count);
  t->reference->add(out.expected, a, b, count);
  compare(t, &out, 0);
}

static void time_add(trial *t)
{
  const float *a = input(t, TIMED), *b = input(t, TIMED);
  float *dst = input(t, TIMED);
  TIME(t, t->set->add(dst, a, b, TIMED));
}

static void check_accumulate(trial *t)
{
  size_t count = any_count(t);
  const float *src = input(t, count);
  output out = make_output(t, count, false);
  t->set->accumulate(out.actual, src, 0.7f, count);
  t->reference->accumulate(out.expected, src, 0.7f, count);
  compare(t, &out, 1);
}

static void time_accumulate(trial *t)
{
  const float *src = input(t, TIMED);
  float *dst = input(t, TIMED);
  TIME(t, t->set->accumulate(dst, src, 0.7f, TIMED));
}

static void check_combine(trial *t)
{
  size_t count = any_count(t);
  const float *a = any_source(t, count), *b = input(t, count);
  output out = make_output(t, count, true);
  t->set->combine(out.actual, a, 0.3f, b, -1.7f, count);
  t->reference->combine(out.expected, a, 0.3f, b, -1.7f, count);
  compare(t, &out, 2);
}

static void time_combine(trial *t)
{
  const float *a = input(t, TIMED), *b = input(t, TIMED);
  float *dst = input(t, TIMED);
  TIME(t, t->set->combine(dst, a, 0.3f, b, -1.7f, TIMED));
}

static void check_pair_sums(trial *t)
{
  size_t count = any_count(t);
  const float *a = any_source(t, count), *b = input(t, count);
  double actual[4], expected[4];
  t->set->pair_sums(actual, a, b, count);
  t->reference->pair_sums(expected, a, b, count);
  compare_sums(t, actual, expected, 4);
}

static void time_pair_sums(trial *t)
{
  const float *a = input(t, TIMED), *b = input(t, TIMED);
  double sums[4];
  TIME(t, t->set->pair_sums(sums, a, b, TIMED));
}

static const mk_adam_step adam_step = {.learning_rate = 1e-2,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .epsilon = 1e-8,
                                       .correction1 = 0.19,
                                       .correction2 = 0.002};

static void check_adam(trial *t)
{
  size_t count = (size_t)any(t, 0, 300);
  const float *gradient = input(t, count);
  output weights = make_output(t, count, false), first = make_output(t, count, false);
  output second = make_output(t, count, false);
  for (size_t i = 0; i < count; ++i) second.expected[i] = second.actual[i] *= second.actual[i];
  t->set->adam(weights.actual, first.actual, second.actual, gradient, &adam_step, count);
  t->reference->adam(weights.expected, first.expected, second.expected, gradient, &adam_step,
                     count);
  compare(t, &weights, 4);
  compare(t, &first, 1);
  compare(t, &second, 1);
}

static void time_adam(trial *t)
{
  float *weights = input(t, TIMED), *first = zeros(t, TIMED), *second = zeros(t, TIMED);
  const float *gradient = input(t, TIMED);
  TIME(t, t->set->adam(weights, first, second, gradient, &adam_step, TIMED));
}

const kernel_check element_checks[] = {
    KERNEL(activate, 60), KERNEL(activation_backward, 60), KERNEL(add, 60),  KERNEL(accumulate, 60),
    KERNEL(combine, 60),  KERNEL(pair_sums, 60),           KERNEL(adam, 60), {0},
};
