/* Warps that are new in every epoch: the inputs that are fed, and trainings with them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "distill/feed.h"
#include "image_fixture.h"
#include "tiny_train.h"

enum { IMAGES = 11, STEPS = 3 /* an epoch */ };

static void assert_ok(mkd_status status)
{
  if (status != MKD_OK) fail_msg("%s", mkd_last_error());
}

/* The paper's augmentation of medical images: rotation and scale alone. */
#define MEDICAL                                                                                    \
  "augment=fresh", "warp_rotation=20", "warp_shift=0", "warp_scale_low=0.9",                       \
      "warp_scale_high=1.05", "warp_contrast=0", "warp_brightness=0"

/* ---- Batches --------------------------------------------------------------------------------- */

enum { VALUES = WIDTH * HEIGHT * 3, TRAINED = 2 };

/* Two images that are trained on and one that is held out, with what feeds them. */
typedef struct {
  mk_recipe recipe;
  mkd_expert *expert;
  mk_net *net;
  mk_exec *exec; /* of the expert, one image at a time */
  int outputs[2];
  mk_split split;
  mk_input_spec input;
  mk_channel_statistics statistics[2];
  size_t sizes[2];
  mk_pool *pool;
  mk_feed *feed;
} setting;

static const size_t trained[TRAINED] = {0, 1};

static void set_up_networks(setting *s)
{
  s->expert = tiny_expert();
  s->outputs[0] = mk_graph_find(s->expert->graph, "p1");
  s->outputs[1] = mk_graph_find(s->expert->graph, "p2");
  mk_exec_options options = {.batch = 1, .height = HEIGHT, .width = WIDTH};
  assert_ok(mk_net_create(&s->net, s->expert->graph, mk_kernels_best()));
  assert_ok(mk_exec_create(&s->exec, s->net, s->outputs, 2, &options));
  for (int p = 0; p < 2; ++p) {
    mk_shape shape = mk_exec_output_shape(s->exec, p);
    s->sizes[p] = (size_t)(shape.height * shape.width * shape.channels);
    s->statistics[p].channels = shape.channels;
    assert_ok(mk_alloc(&s->statistics[p].mean, (size_t)shape.channels, sizeof(float)));
    assert_ok(mk_alloc(&s->statistics[p].deviation, (size_t)shape.channels, sizeof(float)));
    fill_numbers(s->statistics[p].mean, (size_t)shape.channels, 1, 0, 1);
    fill_numbers(s->statistics[p].deviation, (size_t)shape.channels, 2, 2, 1);
  }
}

static void set_up(setting *s, int threads)
{
  static const char *const sets[] = {TINY_SET, MEDICAL};
  *s = (setting){.input = {.width = WIDTH,
                           .height = HEIGHT,
                           .resize_width = WIDTH,
                           .resize_height = HEIGHT,
                           .std = {255, 255, 255},
                           .high = 255}};
  assert_ok(mk_recipe_load(&s->recipe, "default"));
  for (size_t i = 0; i < sizeof sets / sizeof *sets; ++i)
    assert_ok(mk_recipe_set(&s->recipe, sets[i]));
  assert_ok(mk_recipe_check(&s->recipe));
  set_up_networks(s);
  s->split = (mk_split){.images = 3, .tiles = 3, .train_count = TRAINED, .originals = TRAINED};
  assert_ok(mk_alloc(&s->split.train, TRAINED, sizeof(size_t)));
  memcpy(s->split.train, trained, sizeof trained);
  assert_ok(mk_store_create(&s->split.store, 3, VALUES, 0, false, 1 << 20));
  for (int image = 0; image < 3; ++image) {
    uint16_t *input = mk_store_input(s->split.store, (size_t)image);
    for (int i = 0; i < VALUES; ++i)
      input[i] = (uint16_t)(257 * pattern(i / 3 % WIDTH, i / 3 / WIDTH, i % 3 + 3 * image));
  }
  assert_ok(mk_pool_create(&s->pool, threads));
  mk_feed_options options = {.split = &s->split,
                             .input = &s->input,
                             .recipe = &s->recipe,
                             .seed = 5,
                             .statistics = s->statistics,
                             .sizes = s->sizes,
                             .expert = s->net,
                             .outputs = s->outputs,
                             .batch = 3,
                             .threads = threads};
  assert_ok(mk_feed_create(&s->feed, &options));
}

static void tear_down(setting *s)
{
  mk_feed_destroy(s->feed);
  mk_pool_destroy(s->pool);
  mk_split_free(&s->split);
  for (int p = 0; p < 2; ++p) mk_statistics_free(&s->statistics[p]);
  mk_exec_destroy(s->exec);
  mk_net_destroy(s->net);
  mkd_expert_destroy(s->expert);
  mk_recipe_free(&s->recipe);
}

/* The targets of item `index` of a batch are the expert's of its input, normalised. */
static void assert_targets(setting *s, const float *inputs, size_t index)
{
  memcpy(mk_exec_input(s->exec), inputs + index * VALUES, VALUES * sizeof(float));
  mk_exec_forward(s->exec, NULL, 1);
  for (int p = 0; p < 2; ++p) {
    const float *target = mk_feed_targets(s->feed, p) + index * s->sizes[p];
    size_t channels = (size_t)s->statistics[p].channels;
    for (size_t i = 0; i < s->sizes[p]; ++i) {
      float activation = mk_exec_output(s->exec, p)[i], mean = s->statistics[p].mean[i % channels];
      assert_true(target[i] == (activation - mean) / s->statistics[p].deviation[i % channels]);
    }
  }
}

static void inputs_are_warped_as_the_definition_says(void **state)
{
  (void)state;
  for (int threads = 1; threads <= 3; ++threads) {
    setting s;
    static float inputs[3 * VALUES], levels[VALUES];
    expected e = expected_open(FIXTURES "/fresh.f32");
    set_up(&s, threads);
    for (int epoch = 0; epoch < 2; ++epoch) {
      mk_feed_load(s.feed, inputs, trained, TRAINED, epoch, s.pool);
      for (size_t k = 0; k < TRAINED; ++k) {
        for (size_t i = 0; i < VALUES; ++i) levels[i] = 255 * inputs[k * VALUES + i];
        /* One step of 1/257 where the two round to different sides. */
        assert_near(expected_difference(&e, levels, VALUES), 0, 1.01 / 257);
        assert_targets(&s, inputs, k);
      }
    }
    expected_close(&e);
    tear_down(&s);
  }
}

static void held_out_images_are_not_warped(void **state)
{
  (void)state;
  setting s;
  static float inputs[3 * VALUES];
  const size_t items[] = {2, 0, 1};
  set_up(&s, 2);
  mk_feed_load(s.feed, inputs, items, 3, MK_NOT_WARPED, s.pool);
  for (size_t k = 0; k < 3; ++k) {
    for (size_t i = 0; i < VALUES; ++i) {
      int level = pattern((int)i / 3 % WIDTH, (int)i / 3 / WIDTH, (int)(i % 3 + 3 * items[k]));
      assert_near((double)(255 * inputs[k * VALUES + i]), level, 1e-3);
    }
    assert_targets(&s, inputs, k);
  }
  tear_down(&s);
}

/* No two warps are alike: of items (copies of one image among them), of epochs, of places in a
 * batch; and each can be had again. */
static void warps_depend_on_epoch_and_item_alone(void **state)
{
  (void)state;
  setting s;
  enum { EPOCHS = 3, ITEMS = 4 };
  static float inputs[3 * VALUES], seen[EPOCHS][ITEMS][VALUES];
  set_up(&s, 1);
  for (int epoch = 0; epoch < EPOCHS; ++epoch) {
    /* Items 3 and 4 would be the first copies. */
    for (size_t i = 0; i < ITEMS; ++i) {
      size_t item = i < 2 ? i : i + 1;
      mk_feed_load(s.feed, seen[epoch][i], &item, 1, epoch, NULL);
    }
  }
  for (int a = 0; a < EPOCHS * ITEMS; ++a) {
    for (int b = 0; b < a; ++b)
      assert_memory_not_equal(seen[a / ITEMS][a % ITEMS], seen[b / ITEMS][b % ITEMS],
                              sizeof seen[0][0]);
  }
  const size_t items[] = {4, 1, 3};
  mk_feed_load(s.feed, inputs, items, 3, 1, s.pool);
  assert_memory_equal(inputs, seen[1][3], sizeof seen[0][0]);
  assert_memory_equal(inputs + VALUES, seen[1][1], sizeof seen[0][0]);
  assert_memory_equal(inputs + 2 * VALUES, seen[1][2], sizeof seen[0][0]);
  tear_down(&s);
}

/* ---- Trainings ------------------------------------------------------------------------------- */

typedef struct {
  uint64_t stop_at_step;
  size_t expert_saw; /* images of MKD_STAGE_TARGETS */
} watcher;

static bool on_progress(void *context, const mkd_progress *progress)
{
  watcher *w = context;
  if (progress->stage == MKD_STAGE_TARGETS) w->expert_saw = progress->total;
  return progress->stage != MKD_STAGE_DISTILL || progress->done != w->stop_at_step;
}

static tiny_training training_of(watcher *w)
{
  static const char *const medical[] = {MEDICAL};
  tiny_training t = tiny_training_of(IMAGES, 7000);
  for (size_t i = 0; i < sizeof medical / sizeof *medical; ++i) tiny_training_set(&t, medical[i]);
  t.options.progress = on_progress;
  t.options.context = w;
  return t;
}

static void threads_and_cache_give_same_bytes(void **state)
{
  (void)state;
  mk_bytes models[5];
  for (int i = 0; i < 5; ++i) {
    watcher w = {0};
    tiny_training t = training_of(&w);
    t.options.threads = i < 3 ? i + 1 : 2;
    if (i == 3) t.options.cache_memory = 0;
    if (i == 4) t.options.seed = 1;
    models[i] = tiny_trained_bytes(&t);
    assert_int_equal(w.expert_saw, 9); /* once, for the statistics, without those held out */
  }
  for (int i = 1; i < 5; ++i) assert_int_equal(same_bytes(models[0], models[i]), i < 4);
  for (int i = 0; i < 5; ++i) mk_free(models[i].data);
}

static void resumed_trainings_give_same_bytes(void **state)
{
  (void)state;
  char path[] = "/tmp/mkd-checkpoint-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  watcher w = {0};
  tiny_training t = training_of(&w);
  mk_bytes whole = tiny_trained_bytes(&t);
  t.options.checkpoint = path;
  for (uint64_t stop = 1; stop <= 4 * STEPS; ++stop) {
    mkd_detector *detector;
    unlink(path);
    w.stop_at_step = stop;
    t.options.resume = false;
    t.options.threads = 1 + (int)(stop % 3);
    assert_int_equal(tiny_training_run(&detector, &t), MKD_CANCELLED);
    w.stop_at_step = 0;
    t.options.resume = true;
    mk_bytes parts = tiny_trained_bytes(&t);
    assert_true(same_bytes(whole, parts));
    mk_free(parts.data);
  }
  unlink(path);
  mk_free(whole.data);
}

/* Warps of nothing: fresh ones are what is cached. */
static void empty_ranges_train_as_without_warps(void **state)
{
  (void)state;
  static const char *const sets[][2] = {{"warp_rotation=0", "warp_scale_low=1"},
                                        {"warp_scale_high=1", "normalise_targets=true"}};
  tiny_images probes = tiny_images_of(5, 9000);
  double scores[2][5];
  for (int normalise = 0; normalise < 2; ++normalise) {
    for (int fresh = 0; fresh < 2; ++fresh) {
      watcher w = {0};
      tiny_training t = training_of(&w);
      mkd_detector *detector;
      mkd_features *features;
      for (int i = 0; i < 4; ++i) tiny_training_set(&t, sets[i / 2][i % 2]);
      if (!normalise) tiny_training_set(&t, "normalise_targets=false");
      if (!fresh) tiny_training_set(&t, "augment=cached");
      assert_ok(tiny_training_run(&detector, &t));
      assert_int_equal(w.expert_saw, fresh ? normalise ? 9 : 0 : IMAGES);
      assert_ok(mkd_features_create(&features, detector, tiny_source(&probes), NULL));
      assert_ok(mkd_features_score(features, detector, 1, scores[fresh]));
      mkd_features_destroy(features);
      mkd_detector_destroy(detector);
    }
    assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
  }
}

/* Copies are more warps of each image in an epoch: two epochs of 27 in batches of 4. */
static void copies_make_epochs_longer(void **state)
{
  (void)state;
  watcher w = {.stop_at_step = 14};
  tiny_training t = training_of(&w);
  tiny_training_set(&t, "copies=2");
  tiny_training_set(&t, "copies_below=12");
  tiny_training_set(&t, "epochs=2");
  mkd_detector *detector;
  assert_int_equal(tiny_training_run(&detector, &t), MKD_CANCELLED);
  w.stop_at_step = 15;
  assert_ok(tiny_training_run(&detector, &t));
  mkd_detector_destroy(detector);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inputs_are_warped_as_the_definition_says),
      cmocka_unit_test(held_out_images_are_not_warped),
      cmocka_unit_test(warps_depend_on_epoch_and_item_alone),
      cmocka_unit_test(threads_and_cache_give_same_bytes),
      cmocka_unit_test(resumed_trainings_give_same_bytes),
      cmocka_unit_test(empty_ranges_train_as_without_warps),
      cmocka_unit_test(copies_make_epochs_longer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
