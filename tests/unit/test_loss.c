/* Losses and their gradients against PyTorch: tests/fixtures/make_distill.py. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "nn/loss.h"
#include "numbers.h"

/* As in the script: numbers times these scales. */
static const struct {
  size_t count;
  float scale_s, scale_c;
} pairs[] = {{37, 1, 1}, {1, 1, 1},  {5000, 1, 0.7f}, {640, 3, 0.01f},
             {64, 1, 0}, {64, 0, 1}, {64, 0, 0}};

static void assert_gradient(const mk_tensors *fixture, int pair, const char *side,
                            const float *gradient, size_t count)
{
  char name[32];
  snprintf(name, sizeof name, "loss.%d.%s", pair, side);
  const mk_tensor *digest = mk_tensors_find(fixture, name);
  assert_non_null(digest);
  assert_int_equal(digest->count, DIGEST);
  if (!matches_digest(gradient, count, digest->data, 1e-5)) fail_msg("%s", name);
}

static void losses_match_the_reference_library(void **state)
{
  (void)state;
  mk_bytes bytes;
  mk_tensors fixture = {0};
  assert_int_equal(mk_file_read(&bytes, FIXTURES "/distill.safetensors", 1 << 20), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&fixture, bytes.data, bytes.size, "distill"), MKD_OK);
  mk_free(bytes.data);
  const mk_kernels *sets[8];
  int set_count = mk_kernels_list(sets, 8);
  for (int i = 0; i < set_count * (int)(sizeof pairs / sizeof *pairs); ++i) {
    const mk_kernels *kernels = sets[i % set_count];
    int pair = i / set_count;
    size_t count = pairs[pair].count;
    float *s = test_malloc(count * sizeof *s), *c = test_malloc(count * sizeof *c);
    float *gradient = test_malloc(count * sizeof *gradient);
    fill_numbers(s, count, 200 + (uint32_t)pair, 0, pairs[pair].scale_s);
    fill_numbers(c, count, 300 + (uint32_t)pair, 0, pairs[pair].scale_c);

    mk_loss_point point = mk_loss_compare(kernels, s, c, count);
    char name[32];
    snprintf(name, sizeof name, "loss.%d", pair);
    const mk_tensor *loss = mk_tensors_find(&fixture, name);
    assert_non_null(loss);
    assert_true(close_to(point.loss.val, (double)loss->data[0], 1e-6, 1e-3));
    assert_true(close_to(point.loss.dir, (double)loss->data[1], 1e-6, 1e-3));
    mk_loss_gradient(kernels, &point, 1, 0.5, true, gradient, c, s, count);
    assert_gradient(&fixture, pair, "c", gradient, count);
    mk_loss_gradient(kernels, &point, 1, 0.5, false, gradient, s, c, count);
    assert_gradient(&fixture, pair, "s", gradient, count);
    test_free(s);
    test_free(c);
    test_free(gradient);
  }
  mk_tensors_free(&fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(losses_match_the_reference_library),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
