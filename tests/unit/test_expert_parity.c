/* Real experts against the reference implementations, at every critical point and beyond; the
 * numbers are in fixtures/expert_activations.safetensors, by fixtures/make_expert.py.
 *
 * The images and VGG's weights are in the folder of real data; those of EfficientNet-Lite0 are
 * fetched by scripts/fetch-expert.sh: MKD_TEST_EXPERT is the file, or it is looked for in
 * build/expert. What is not there is skipped. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/safetensors.h"
#include "expert/expert.h"
#include "nn/exec.h"

enum { SAMPLES = 64, MAX_POINTS = 32, THREADS = 2 };
static const double tolerance = 1e-4; /* relative, of each point */

static const char *const image_names[] = {"synthetic", "hazelnut", "transistor"};

/* ---- Images ---------------------------------------------------------------------------------- */

typedef struct {
  int height, width;
  float *values; /* [height][width][3], 0..255 */
} pixels;

static pixels make_synthetic(void)
{
  pixels p = {101, 87, NULL};
  assert_int_equal(mk_alloc(&p.values, (size_t)(p.height * p.width * 3), sizeof(float)), MKD_OK);
  for (int y = 0; y < p.height; ++y)
    for (int x = 0; x < p.width; ++x)
      for (int c = 0; c < 3; ++c)
        p.values[(y * p.width + x) * 3 + c] = (float)((x * 7 + y * 13 + c * 50 + x * y / 8) % 256);
  return p;
}

/* The upper left corner of a real image; no values where it is not there. */
static pixels read_corner(const char *name, int size)
{
  pixels p = {size, size, NULL};
  char path[512];
  mkd_picture *picture;
  snprintf(path, sizeof path, "%s/data/mvtec-%s-small/train/good/000.png", SHARED_DIR, name);
  if (access(path, R_OK) != 0) return p;
  assert_int_equal(mkd_picture_load(&picture, path, NULL), MKD_OK);
  const mkd_image *image = mkd_picture_image(picture);
  assert_int_equal(image->format, MKD_RGB8);
  assert_true(image->width >= size && image->height >= size);
  assert_int_equal(mk_alloc(&p.values, (size_t)(size * size * 3), sizeof(float)), MKD_OK);
  for (int y = 0; y < size; ++y) {
    const uint8_t *row = (const uint8_t *)image->data + (size_t)y * image->stride;
    for (int i = 0; i < 3 * size; ++i) p.values[y * 3 * size + i] = row[i];
  }
  mkd_picture_destroy(picture);
  return p;
}

/* ---- Comparison ------------------------------------------------------------------------------ */

/* The points of an expert: names from the fixture's metadata. */
typedef struct {
  char text[1024];
  const char *names[MAX_POINTS];
  int indices[MAX_POINTS];
  int count;
} points;

static void find_points(points *p, const mk_tensors *expected, const char *expert_name,
                        const mk_graph *graph)
{
  snprintf(p->text, sizeof p->text, "%s", mk_tensors_metadata(expected, expert_name));
  p->count = 0;
  for (char *name = strtok(p->text, " "); name; name = strtok(NULL, " ")) {
    assert_in_range(p->count, 0, MAX_POINTS - 1);
    p->names[p->count] = name;
    p->indices[p->count] = mk_graph_find(graph, name);
    if (p->indices[p->count] < 0) fail_msg("%s has no '%s'", expert_name, name);
    ++p->count;
  }
}

/* The relative difference of an activation from 64 numbers, the mean and the root mean square. */
static double difference(const float *actual, size_t count, const float *expected)
{
  double error = 0, square = 0, sum = 0, sum_square = 0;
  for (size_t i = 0; i < SAMPLES; ++i) {
    double a = actual[(i * 2654435761u + 12345) % count], e = expected[i];
    error += (a - e) * (a - e);
    square += e * e;
  }
  for (size_t i = 0; i < count; ++i) {
    sum += actual[i];
    sum_square += (double)actual[i] * actual[i];
  }
  double scale = expected[SAMPLES + 1], mean = fabs(sum / (double)count - expected[SAMPLES]),
         norm = fabs(sqrt(sum_square / (double)count) - expected[SAMPLES + 1]);
  /* Should all samples be zero, a difference counts in full. */
  double samples = square > 0 ? sqrt(error / square) : sqrt(error) / scale;
  return fmax(samples, fmax(mean, norm) / scale);
}

static void compare(const mkd_expert *expert, const char *expert_name, const char *image_name,
                    const pixels *image, const mk_tensors *expected)
{
  points p;
  char key[128];
  int mapped[MAX_POINTS], worst_point = 0;
  double worst = 0;
  mk_graph *graph;
  mk_net *net;
  mk_exec *exec;
  mk_pool *pool;
  find_points(&p, expected, expert_name, expert->graph);
  snprintf(key, sizeof key, "%s.%s", expert_name, image_name);
  const mk_tensor *rows = mk_tensors_find(expected, key);
  assert_non_null(rows);
  assert_int_equal(rows->shape[0], p.count);
  assert_int_equal(rows->shape[1], SAMPLES + 2);

  assert_int_equal(mk_graph_prune(&graph, expert->graph, p.indices, p.count, mapped), MKD_OK);
  assert_int_equal(mk_net_create(&net, graph, mk_kernels_best()), MKD_OK);
  const mk_exec_options options = {1, image->height, image->width, false, false, 0, NULL};
  if (mk_exec_create(&exec, net, mapped, p.count, &options) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  assert_int_equal(mk_pool_create(&pool, THREADS), MKD_OK);
  float *input = mk_exec_input(exec);
  for (int i = 0; i < image->height * image->width * 3; ++i)
    input[i] = (image->values[i] - expert->mean[i % 3]) / expert->std[i % 3];
  mk_exec_forward(exec, pool, 1);
  for (int i = 0; i < p.count; ++i) {
    mk_shape shape = mk_exec_output_shape(exec, i);
    size_t count = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
    double d = difference(mk_exec_output(exec, i), count, rows->data + i * (SAMPLES + 2));
    if (!(d < tolerance)) fail_msg("%s %s differs by %g", key, p.names[i], d);
    if (d > worst) {
      worst = d;
      worst_point = i;
    }
  }
  print_message("%s: at most %.1e (%s)\n", key, worst, p.names[worst_point]);
  mk_pool_destroy(pool);
  mk_exec_destroy(exec);
  mk_net_destroy(net);
  mk_graph_destroy(graph);
}

static void compare_all(const char *weights, const char *arch, const char *expert_name, int size)
{
  mk_bytes file;
  mk_tensors expected = {0};
  mkd_expert *expert;
  const char *path = FIXTURES "/expert_activations.safetensors";
  if (access(weights, R_OK) != 0) skip();
  assert_int_equal(mk_file_read(&file, path, 1 << 20), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&expected, file.data, file.size, path), MKD_OK);
  mk_free(file.data);
  if (mkd_expert_import(&expert, weights, NULL, NULL) != MKD_OK &&
      mkd_expert_load(&expert, weights, NULL) != MKD_OK)
    fail_msg("%s", mkd_last_error());
  assert_string_equal(expert->arch, arch);
  for (int i = 0; i < 3; ++i) {
    pixels image = i == 0 ? make_synthetic() : read_corner(image_names[i], size);
    if (image.values) compare(expert, expert_name, image_names[i], &image, &expected);
    mk_free(image.values);
  }
  mkd_expert_destroy(expert);
  mk_tensors_free(&expected);
}

static void efficientnet_lite0_is_that_of_its_package(void **state)
{
  (void)state;
  const char *path = getenv("MKD_TEST_EXPERT");
  if (!path) path = FIXTURES "/../../build/expert/efficientnet-lite0-57934424.pth";
  compare_all(path, "efficientnet-lite0", "lite0", 256);
}

static void vgg19_is_that_of_torchvision(void **state)
{
  (void)state;
  compare_all(SHARED_DIR "/weights/vgg19-imagenet-features.safetensors", "vgg19", "vgg19", 96);
}

/* Narrower, with a preprocessing convolution, and of another naming. */
static void a_distilled_vgg19_is_that_of_torch(void **state)
{
  (void)state;
  compare_all(SHARED_DIR "/weights/vgg19-16x-distilled.pth", "vgg19", "distilled", 96);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(efficientnet_lite0_is_that_of_its_package),
      cmocka_unit_test(vgg19_is_that_of_torchvision),
      cmocka_unit_test(a_distilled_vgg19_is_that_of_torch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
