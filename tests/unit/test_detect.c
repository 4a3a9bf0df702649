/* Scores, calibration and heat maps of a small detector against PyTorch and SciPy:
 * tests/fixtures/make_detect.py. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "detect/calibrate.h"
#include "detect/inspector.h"
#include "detect/localize.h"
#include "numbers.h"

enum { WIDTH = 32, HEIGHT = 24, VALUES = WIDTH * HEIGHT * 3, HELD_OUT = 5, POINTS = 4 };
enum { IMAGE_WIDTH = 41, IMAGE_HEIGHT = 29 };

/* Expert and cloner, as in the script. */
enum { CONV, RELU, RELU6, POOL, ADD };
typedef struct {
  int kind, src, other, channels, kernel, stride; /* `other`: second source of an addition */
  const char *name;
} layer;

static const layer expert_layers[] = {
    {CONV, 0, 0, 8, 3, 1, NULL},  {RELU6, 1, 0, 0, 0, 0, NULL},  {CONV, 2, 0, 8, 3, 1, NULL},
    {ADD, 2, 3, 0, 0, 0, NULL},   {RELU, 4, 0, 0, 0, 0, NULL},   {POOL, 5, 0, 0, 2, 2, "p1"},
    {CONV, 6, 0, 12, 3, 2, NULL}, {RELU, 7, 0, 0, 0, 0, "p2"},   {CONV, 8, 0, 10, 3, 1, "p3"},
    {POOL, 8, 0, 0, 2, 2, NULL},  {CONV, 10, 0, 10, 1, 1, "p4"},
};
static const layer cloner_layers[] = {
    {CONV, 0, 0, 8, 5, 2, NULL},  {RELU, 1, 0, 0, 0, 0, "p1"},  {POOL, 2, 0, 0, 2, 2, NULL},
    {CONV, 3, 0, 12, 3, 1, NULL}, {RELU6, 4, 0, 0, 0, 0, "p2"}, {CONV, 5, 0, 10, 1, 1, "p3"},
    {CONV, 5, 0, 10, 3, 2, "p4"},
};

static mk_graph *make_graph(const layer *layers, int count, uint32_t base, int *outputs)
{
  static const char *const points[POINTS] = {"p1", "p2", "p3", "p4"};
  mk_graph *graph;
  assert_int_equal(mk_graph_create(&graph, 3), MKD_OK);
  for (int i = 0; i < count; ++i) {
    const layer *l = &layers[i];
    mkd_status status = MKD_OK;
    int at;
    if (l->kind == CONV) {
      mk_conv conv = {l->channels, l->kernel, l->stride, 1, MK_PAD_EXPLICIT, l->kernel / 2, true};
      status = mk_graph_conv(graph, &at, l->src, &conv, l->name);
    } else if (l->kind == POOL) {
      status = mk_graph_max_pool(graph, &at, l->src, l->kernel, l->stride, l->name);
    } else if (l->kind == ADD) {
      status = mk_graph_add(graph, &at, l->src, l->other, l->name);
    } else {
      mk_op_kind kind = l->kind == RELU ? MK_OP_RELU : MK_OP_RELU6;
      status = mk_graph_activation(graph, &at, l->src, kind, l->name);
    }
    assert_int_equal(status, MKD_OK);
    assert_int_equal(at, i + 1);
    if (l->kind != CONV) continue;
    mk_op *op = &graph->ops[at];
    float scale = 1;
    while (scale * scale * (float)(op->weight_count / (size_t)op->channels) > 1) scale /= 2;
    fill_numbers(op->weights, op->weight_count, base + 2 * (uint32_t)at, 0, 2 * scale);
    fill_numbers(op->bias, (size_t)op->channels, base + 2 * (uint32_t)at + 1, 0, 0.5F);
  }
  for (int p = 0; p < POINTS; ++p) outputs[p] = mk_graph_find(graph, points[p]);
  return graph;
}

static void set(mkd_detector *d, const char *assignment)
{
  if (mk_recipe_set(&d->recipe, assignment) != MKD_OK) fail_msg("%s", mkd_last_error());
}

/* Two detectors of the same networks: k = 0 normalises targets, standardises its score and looks at
 * all points; k = 1 does neither and looks at p2 and p4. */
static mkd_detector *make_detector(int k)
{
  mkd_detector *d;
  assert_int_equal(mk_alloc(&d, 1, sizeof *d), MKD_OK);
  assert_int_equal(mk_recipe_load(&d->recipe, "default"), MKD_OK);
  set(d, "critical_points=p1,p2,p3,p4");
  set(d, "smoothgrad_samples=3");
  set(d, k == 0 ? "score=standardised" : "score=total");
  set(d, k == 0 ? "score_points=" : "score_points=p2,p4");
  d->point_count = POINTS;
  d->expert = make_graph(expert_layers, sizeof expert_layers / sizeof *expert_layers, 1000,
                         d->expert_outputs);
  d->cloner = make_graph(cloner_layers, sizeof cloner_layers / sizeof *cloner_layers, 2000,
                         d->cloner_outputs);
  d->input = (mk_input_spec){
      WIDTH, HEIGHT, WIDTH, HEIGHT, MK_RESAMPLE_BILINEAR, {100, 110, 120}, {50, 60, 70}, 0,
      255,   0,      0,     0};
  d->weight_val = k == 0 ? 1 : 0.7;
  d->weight_dir = k == 0 ? 2.5 : 1.3;
  for (uint32_t p = 0; k == 0 && p < POINTS; ++p) {
    size_t channels = (size_t)d->expert->ops[d->expert_outputs[p]].channels;
    assert_int_equal(mk_alloc(&d->target_mean[p], channels, sizeof(float)), MKD_OK);
    assert_int_equal(mk_alloc(&d->target_deviation[p], channels, sizeof(float)), MKD_OK);
    fill_numbers(d->target_mean[p], channels, 4000 + p, 0, 0.25F);
    fill_numbers(d->target_deviation[p], channels, 5000 + p, 1, 0.5F);
  }
  if (mk_detector_finish(d) != MKD_OK) fail_msg("%s", mkd_last_error());
  return d;
}

static void fill_held_out(float *dst, size_t index)
{
  fill_numbers(dst, VALUES, 3000 + (uint32_t)index, 0, 2);
}

enum { LANES = 2 };

/* `context` has the index of the open image for each lane. */
static mkd_status open_held_out(void *context, int lane, size_t index, size_t *tiles)
{
  assert_true(lane >= 0 && lane < LANES);
  ((size_t *)context)[lane] = index;
  *tiles = 1;
  return MKD_OK;
}

static mkd_status read_held_out(void *context, int lane, size_t tile, float *dst)
{
  assert_int_equal(tile, 0);
  fill_held_out(dst, ((size_t *)context)[lane]);
  return MKD_OK;
}

static void calibrate(mkd_detector *d, mkd_localize localize, mk_pool *pool)
{
  size_t images[LANES];
  mk_calibrate_job job = {.images = {.count = HELD_OUT,
                                     .open = open_held_out,
                                     .read = read_held_out,
                                     .context = images},
                          .false_alarm = 0.2,
                          .localize = localize};
  if (mk_calibrate(d, &job, pool) != MKD_OK) fail_msg("%s", mkd_last_error());
}

/* ---- The reference --------------------------------------------------------------------------- */

static mk_tensors reference;

static int load_reference(void **state)
{
  (void)state;
  mk_bytes bytes;
  assert_int_equal(mk_file_read(&bytes, FIXTURES "/detect.safetensors", 1 << 20), MKD_OK);
  assert_int_equal(mk_safetensors_parse(&reference, bytes.data, bytes.size, "detect"), MKD_OK);
  mk_free(bytes.data);
  return 0;
}

static int free_reference(void **state)
{
  (void)state;
  mk_tensors_free(&reference);
  return 0;
}

static const mk_tensor *expected(int k, const char *what)
{
  char name[64];
  snprintf(name, sizeof name, "%d.%s", k, what);
  const mk_tensor *tensor = mk_tensors_find(&reference, name);
  if (!tensor) fail_msg("the fixture has no %s", name);
  return tensor;
}

/* Differences are relative to the range of what is expected. */
static void assert_plane(int k, const char *what, const float *values, double tolerance)
{
  const mk_tensor *tensor = expected(k, what);
  float low = tensor->data[0], high = low;
  for (size_t i = 0; i < tensor->count; ++i) {
    low = fminf(low, tensor->data[i]);
    high = fmaxf(high, tensor->data[i]);
  }
  assert_true(high > low);
  double worst = 0;
  for (size_t i = 0; i < tensor->count; ++i) {
    double error = fabs((double)values[i] - (double)tensor->data[i]) / (double)(high - low);
    if (!(error <= worst)) worst = error;
  }
  if (!(worst < tolerance)) fail_msg("%d.%s differs by %g of its range", k, what, worst);
}

static void assert_numbers(int k, const char *what, const double *values, double tolerance)
{
  const mk_tensor *tensor = expected(k, what);
  for (size_t i = 0; i < tensor->count; ++i) {
    if (close_to(values[i], (double)tensor->data[i], tolerance, 0.1)) continue;
    fail_msg("%d.%s[%zu] is %.9g, expected %.9g", k, what, i, values[i], (double)tensor->data[i]);
  }
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void calibration_matches(void **state)
{
  (void)state;
  for (int k = 0; k < 2; ++k) {
    mkd_detector *d = make_detector(k);
    calibrate(d, MKD_LOCALIZE_DISCREPANCY, NULL);
    const mk_calibration *c = &d->calibration;
    double squares[2 * POINTS];
    memcpy(squares, c->square_mean, POINTS * sizeof(double));
    memcpy(squares + POINTS, c->square_deviation, POINTS * sizeof(double));
    assert_numbers(k, "squares", squares, 1e-5);
    assert_numbers(k, "cosine", (double[]){c->cosine_mean, c->cosine_deviation}, 1e-5);
    if (k == 0)
      assert_numbers(k, "parts",
                     (double[]){c->largest_square_mean, c->largest_cosine_mean,
                                c->largest_square_deviation, c->largest_cosine_deviation},
                     1e-5);
    assert_int_equal(c->held_out, HELD_OUT);
    assert_numbers(k, "scores", c->scores, 1e-5);
    mkd_detector_destroy(d);
  }
}

static void inspection_matches(void **state)
{
  (void)state;
  for (int k = 0; k < 2; ++k) {
    mkd_detector *d = make_detector(k);
    calibrate(d, MKD_LOCALIZE_NONE, NULL);
    mk_inspector *in;
    assert_int_equal(mk_inspector_create(&in, d, NULL, MK_INSPECTOR_FORWARD), MKD_OK);
    fill_numbers(mk_inspector_input(in), VALUES, 3100, 0, 2);
    mk_inspect(in);
    double losses[2 * POINTS];
    for (int p = 0; p < POINTS; ++p) {
      char name[32];
      snprintf(name, sizeof name, "squares.%d", p);
      assert_plane(k, name, in->squares[p], 1e-5);
      losses[2 * p] = in->losses[p].loss.val;
      losses[2 * p + 1] = in->losses[p].loss.dir;
    }
    assert_int_equal(in->deepest, 3);
    assert_plane(k, "cosines", in->cosines, 1e-5);
    assert_numbers(k, "losses", losses, 1e-5);
    double score = mk_inspector_score(in, &d->calibration);
    assert_numbers(k, "score", &score, 1e-5);
    mk_inspector_destroy(in);
    mkd_detector_destroy(d);
  }
}

/* In the order of the script. */
static const struct {
  mkd_localize localize;
  const char *gradient_of, *guided, *map_scale, *map_sigma, *map_opening;
} cases[] = {
    {MKD_LOCALIZE_DISCREPANCY, "loss", "both", "raw", "0", "false"},
    {MKD_LOCALIZE_DISCREPANCY, "loss", "both", "raw", "4", "true"},
    {MKD_LOCALIZE_GRADIENT, "loss", "both", "raw", "0", "false"},
    {MKD_LOCALIZE_GRADIENT, "excess", "both", "raw", "0", "false"},
    {MKD_LOCALIZE_GRADIENT, "loss", "both", "p99", "1.5", "true"},
    {MKD_LOCALIZE_SMOOTHGRAD, "loss", "both", "raw", "0", "false"},
    {MKD_LOCALIZE_SMOOTHGRAD, "excess", "both", "raw", "2", "false"},
    {MKD_LOCALIZE_GBP, "loss", "both", "raw", "0", "false"},
    {MKD_LOCALIZE_GBP, "loss", "cloner", "raw", "0", "false"},
    {MKD_LOCALIZE_GBP, "excess", "cloner", "p99", "2", "false"},
};

static void apply_case(mkd_detector *d, int i)
{
  const char *const pairs[][2] = {{"gradient_of", cases[i].gradient_of},
                                  {"guided", cases[i].guided},
                                  {"map_scale", cases[i].map_scale},
                                  {"map_sigma", cases[i].map_sigma},
                                  {"map_opening", cases[i].map_opening}};
  for (size_t j = 0; j < sizeof pairs / sizeof *pairs; ++j) {
    char assignment[64];
    snprintf(assignment, sizeof assignment, "%s=%s", pairs[j][0], pairs[j][1]);
    set(d, assignment);
  }
}

static void maps_match(void **state)
{
  (void)state;
  mk_pool *pool;
  assert_int_equal(mk_pool_create(&pool, 2), MKD_OK);
  for (int k = 0; k < 2; ++k) {
    mkd_detector *d = make_detector(k);
    calibrate(d, MKD_LOCALIZE_NONE, NULL);
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); ++i) {
      apply_case(d, i);
      mk_inspector *in;
      mk_localizer *localizer;
      float map[WIDTH * HEIGHT];
      mk_inspector_kind kind = mk_localize_inspector(cases[i].localize);
      assert_int_equal(kind == MK_INSPECTOR_GRADIENTS,
                       cases[i].localize != MKD_LOCALIZE_DISCREPANCY);
      assert_int_equal(mk_inspector_create(&in, d, i % 2 ? pool : NULL, kind), MKD_OK);
      assert_int_equal(mk_localizer_create(&localizer, d, cases[i].localize), MKD_OK);
      fill_numbers(mk_inspector_input(in), VALUES, 3100, 0, 2);
      mk_inspect(in);
      assert_int_equal(mk_localize(map, localizer, in, cases[i].localize, &d->calibration), MKD_OK);
      char name[32];
      snprintf(name, sizeof name, "map.%d", i);
      assert_plane(k, name, map, 1e-4);
      mk_localizer_destroy(localizer);
      mk_inspector_destroy(in);
    }
    mkd_detector_destroy(d);
  }
  mk_pool_destroy(pool);
}

/* What calibration says of maps is what localization of the held-out inputs gives. */
static void map_statistics_match(void **state)
{
  (void)state;
  for (int k = 0; k < 2; ++k) {
    for (int i = 1; i < 5; i += 3) {
      mkd_detector *d = make_detector(k);
      apply_case(d, i);
      calibrate(d, cases[i].localize, NULL);
      mk_inspector *in;
      mk_localizer *localizer;
      assert_int_equal(mk_inspector_create(&in, d, NULL, MK_INSPECTOR_GRADIENTS), MKD_OK);
      assert_int_equal(mk_localizer_create(&localizer, d, cases[i].localize), MKD_OK);
      double sum = 0, most = -INFINITY;
      for (size_t image = 0; image < HELD_OUT; ++image) {
        float map[WIDTH * HEIGHT];
        fill_held_out(mk_inspector_input(in), image);
        mk_inspect(in);
        assert_int_equal(mk_localize(map, localizer, in, cases[i].localize, &d->calibration),
                         MKD_OK);
        for (int j = 0; j < WIDTH * HEIGHT; ++j) {
          sum += (double)map[j];
          most = fmax(most, (double)map[j]);
        }
      }
      assert_true(d->calibration.localize == cases[i].localize);
      assert_true(close_to(d->calibration.map_mean, sum / (HELD_OUT * WIDTH * HEIGHT), 1e-6, 1));
      assert_true(close_to(d->calibration.map_maxima[HELD_OUT - 1], most, 1e-6, 0));
      for (int j = 1; j < HELD_OUT; ++j)
        assert_true(d->calibration.map_maxima[j - 1] <= d->calibration.map_maxima[j]);
      mk_localizer_destroy(localizer);
      mk_inspector_destroy(in);
      mkd_detector_destroy(d);
    }
  }
}

/* From pixels of another size to a score and a map of that size. */
static void sessions_match(void **state)
{
  (void)state;
  static uint8_t pixels[IMAGE_WIDTH * IMAGE_HEIGHT * 3];
  for (size_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)((number(6000, i) + 1) * 128);
  mkd_image image = {pixels, IMAGE_WIDTH, IMAGE_HEIGHT, IMAGE_WIDTH * 3, MKD_RGB8};
  for (int k = 0; k < 2; ++k) {
    mkd_detector *d = make_detector(k);
    const int which[] = {1, 4};
    const char *const names[] = {"image.discrepancy", "image.gradient"};
    for (int i = 0; i < 2; ++i) {
      apply_case(d, which[i]);
      calibrate(d, cases[which[i]].localize, NULL);
      mkd_session *session;
      mkd_result result;
      assert_int_equal(mkd_session_create(&session, d, NULL), MKD_OK);
      for (int repeat = 0; repeat < 2; ++repeat) {
        assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
        assert_numbers(k, "image.score", &result.score, 1e-5);
        assert_int_equal(result.map.width, IMAGE_WIDTH);
        assert_int_equal(result.map.height, IMAGE_HEIGHT);
        assert_plane(k, names[i], result.map.data, 1e-4);
        assert_true(result.map_calibrated);
      }
      assert_int_equal(result.threshold.held_out, HELD_OUT);
      assert_true(result.threshold.score == d->calibration.scores[HELD_OUT - 1]);
      assert_true(result.anomalous == (result.score > result.threshold.score));
      mkd_session_destroy(session);

      mkd_session_options options = mkd_session_options_default();
      options.localize = MKD_LOCALIZE_NONE;
      assert_int_equal(mkd_session_create(&session, d, &options), MKD_OK);
      assert_int_equal(mkd_session_score(session, &image, &result), MKD_OK);
      assert_numbers(k, "image.score", &result.score, 1e-5);
      assert_null(result.map.data);
      assert_true(isnan(result.map_max));
      assert_false(result.map_calibrated);
      mkd_session_destroy(session);
    }
    mkd_detector_destroy(d);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calibration_matches), cmocka_unit_test(inspection_matches),
      cmocka_unit_test(maps_match),          cmocka_unit_test(map_statistics_match),
      cmocka_unit_test(sessions_match),
  };
  return cmocka_run_group_tests(tests, load_reference, free_reference);
}
