#include "distill/cloner.h"

#include "core/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STATEMENT = 256, MAX_WORDS = 8, MAX_KEPT = 32, MAX_WIDTH = 16384 };

typedef struct {
  char text[MAX_STATEMENT];
  char *words[MAX_WORDS];
  int count;
} statement;

typedef struct {
  mk_graph *graph;
  const mk_graph *expert;
  const mk_point_list *points;
  int *outputs;
  int current; /* operation that the next statement reads */
  struct {
    char name[MK_NAME_MAX];
    int op;
  } kept[MAX_KEPT];
  int kept_count;
  int convolutions; /* so far: names them */
} builder;

/* The next statement of a plan, or false at its end. */
static mkd_status next_statement(const char **plan, statement *s, bool *found)
{
  *found = false;
  s->count = 0;
  while (**plan == ';' || **plan == ' ' || **plan == '\n' || **plan == '\t') ++*plan;
  size_t length = strcspn(*plan, ";");
  if (length == 0) return MKD_OK;
  if (length >= MAX_STATEMENT)
    return mk_fail(MKD_ERROR_ARGUMENT, "cloner: statement '%.40s...' is too long", *plan);
  memcpy(s->text, *plan, length);
  s->text[length] = 0;
  *plan += length;
  char *state, *word = strtok_r(s->text, " \t\n", &state);
  for (; word; word = strtok_r(NULL, " \t\n", &state)) {
    if (s->count == MAX_WORDS)
      return mk_fail(MKD_ERROR_ARGUMENT, "cloner: too many words in '%s ...'", s->words[0]);
    s->words[s->count++] = word;
  }
  *found = s->count > 0;
  return MKD_OK;
}

static bool parse_window(const char *word, int *kernel, int *stride)
{
  int a, b, c = 0, used = 0;
  if (sscanf(word, "%2dx%2d%n", &a, &b, &used) < 2) return false;
  if (word[used] == '/') {
    int more = 0;
    if (sscanf(word + used, "/%2d%n", &c, &more) < 1 || c < 1) return false;
    used += more;
  }
  *kernel = a;
  *stride = c;
  return word[used] == 0 && a == b && a >= 1 && a <= 16 && c <= 16;
}

static mkd_status fail_statement(const statement *s, const char *what)
{
  return mk_fail(MKD_ERROR_ARGUMENT, "cloner: '%s%s%s': %s", s->words[0], s->count > 1 ? " " : "",
                 s->count > 1 ? s->words[1] : "", what);
}

/* Channels of the expert at the next point of the rest of the plan. */
static mkd_status expert_width(const builder *b, const char *rest, int *width)
{
  statement s;
  bool found = true;
  while (found) {
    MK_TRY(next_statement(&rest, &s, &found));
    if (!found || s.count != 2 || strcmp(s.words[0], "point") != 0) continue;
    int op = mk_graph_find(b->expert, s.words[1]);
    if (op < 1) return fail_statement(&s, "the expert has no such output to take a width from");
    *width = b->expert->ops[op].channels;
    return MKD_OK;
  }
  return mk_fail(MKD_ERROR_ARGUMENT, "cloner: a width 'expert' without a point after it");
}

static mkd_status build_conv(builder *b, const statement *s, const char *rest)
{
  mk_conv conv = {.stride = 1, .groups = 1};
  bool norm = false;
  int activation = -1, stride = 0;
  if (s->count < 3 || !parse_window(s->words[1], &conv.kernel, &stride))
    return fail_statement(s, "it is conv KxK[/STRIDE] WIDTH [bn] [bias] [relu|relu6]");
  if (stride > 0) conv.stride = stride;
  conv.pad = conv.kernel / 2;
  if (strcmp(s->words[2], "expert") == 0) {
    MK_TRY(expert_width(b, rest, &conv.channels));
  } else {
    char *end;
    long width = strtol(s->words[2], &end, 10);
    if (*end || width < 1 || width > MAX_WIDTH)
      return fail_statement(s, "the width is 'expert' or a number in 1 .. 16384");
    conv.channels = (int)width;
  }
  for (int i = 3; i < s->count; ++i) {
    if (strcmp(s->words[i], "bn") == 0 && !norm)
      norm = true;
    else if (strcmp(s->words[i], "bias") == 0 && !conv.bias)
      conv.bias = true;
    else if (strcmp(s->words[i], "relu") == 0 && activation < 0)
      activation = MK_OP_RELU;
    else if (strcmp(s->words[i], "relu6") == 0 && activation < 0)
      activation = MK_OP_RELU6;
    else
      return fail_statement(s, "after the width come bn, bias, and relu or relu6, each once");
  }
  char name[MK_NAME_MAX];
  snprintf(name, sizeof name, "conv%d", ++b->convolutions);
  MK_TRY(mk_graph_conv(b->graph, &b->current, b->current, &conv, name));
  if (norm) MK_TRY(mk_graph_batch_norm(b->graph, &b->current, b->current, 1e-5F, 0.1F, NULL));
  if (activation >= 0)
    MK_TRY(mk_graph_activation(b->graph, &b->current, b->current, (mk_op_kind)activation, NULL));
  return MKD_OK;
}

static mkd_status build_point(builder *b, const statement *s)
{
  for (int i = 0; i < b->points->count; ++i) {
    const char *name = b->points->names[i];
    if (strcmp(name, s->words[1]) != 0) continue;
    int channels = b->graph->ops[b->current].channels;
    int wanted = b->expert->ops[mk_graph_find(b->expert, name)].channels;
    if (b->current == 0) return fail_statement(s, "comes before any layer");
    if (b->outputs[i] >= 0) return fail_statement(s, "is there twice");
    for (int j = 0; j < b->points->count; ++j) {
      if (b->outputs[j] == b->current)
        return fail_statement(s, "is the output of another point already");
    }
    if (channels != wanted)
      return mk_fail(
          MKD_ERROR_ARGUMENT,
          "cloner: point %s has %d channels, the expert has %d there; write 'expert' for "
          "its width",
          name, channels, wanted);
    b->outputs[i] = b->current;
  }
  return MKD_OK;
}

static mkd_status build_statement(builder *b, const statement *s, const char *rest)
{
  const char *verb = s->words[0];
  if (strcmp(verb, "conv") == 0) return build_conv(b, s, rest);
  if (s->count != 2) return fail_statement(s, "takes one word");
  if (strcmp(verb, "pool") == 0) {
    int kernel, stride;
    if (!parse_window(s->words[1], &kernel, &stride))
      return fail_statement(s, "it is pool KxK[/STRIDE]");
    return mk_graph_max_pool(b->graph, &b->current, b->current, kernel, stride ? stride : kernel,
                             NULL);
  }
  if (strcmp(verb, "point") == 0) return build_point(b, s);
  if (strcmp(verb, "keep") == 0) {
    if (b->kept_count == MAX_KEPT || strlen(s->words[1]) >= MK_NAME_MAX)
      return fail_statement(s, "too many names, or too long a name");
    for (int i = 0; i < b->kept_count; ++i) {
      if (strcmp(b->kept[i].name, s->words[1]) == 0) return fail_statement(s, "is there twice");
    }
    strcpy(b->kept[b->kept_count].name, s->words[1]);
    b->kept[b->kept_count++].op = b->current;
    return MKD_OK;
  }
  if (strcmp(verb, "from") == 0) {
    for (int i = 0; i < b->kept_count; ++i) {
      if (strcmp(b->kept[i].name, s->words[1]) != 0) continue;
      b->current = b->kept[i].op;
      return MKD_OK;
    }
    return fail_statement(s, "no such name was kept");
  }
  return fail_statement(s, "a statement is conv, pool, keep, from or point");
}

static mkd_status build(builder *b, const char *plan)
{
  statement s;
  bool found;
  for (;;) {
    MK_TRY(next_statement(&plan, &s, &found));
    if (!found) break;
    MK_TRY(build_statement(b, &s, plan));
  }
  for (int i = 0; i < b->points->count; ++i) {
    if (b->outputs[i] < 0)
      return mk_fail(MKD_ERROR_ARGUMENT,
                     "cloner: critical point '%s' has no 'point %s' in the cloner's plan",
                     b->points->names[i], b->points->names[i]);
  }
  return MKD_OK;
}

static void initialise(mk_graph *graph, mk_init init, mk_rng *rng)
{
  for (int i = 0; i < graph->count; ++i) {
    mk_op *op = &graph->ops[i];
    if (op->kind == MK_OP_BATCH_NORM) {
      for (int c = 0; c < op->channels; ++c) {
        op->weights[c] = op->variance[c] = 1;
        op->bias[c] = op->mean[c] = 0;
      }
    }
    if (op->kind != MK_OP_CONV) continue;
    double area = (double)op->kernel * op->kernel;
    double fan_in = area * graph->ops[op->src[0]].channels, fan_out = area * op->channels;
    double narrow = 1 / sqrt(fan_in);
    double range = init == MK_INIT_XAVIER ? sqrt(6 / (fan_in + fan_out)) : narrow;
    for (size_t j = 0; j < op->weight_count; ++j)
      op->weights[j] = (float)((2 * mk_rng_uniform(rng) - 1) * range);
    for (int c = 0; op->bias && c < op->channels; ++c)
      op->bias[c] = (float)((2 * mk_rng_uniform(rng) - 1) * narrow);
  }
}

mkd_status mk_cloner_create(mk_graph **cloner, int *outputs, const char *plan,
                            const mk_graph *expert, const mk_point_list *points, mk_init init,
                            mk_rng *rng)
{
  int built[MK_MAX_POINTS];
  builder b = {.expert = expert, .points = points, .outputs = built};
  for (int i = 0; i < points->count; ++i) built[i] = -1;
  MK_TRY(mk_graph_create(&b.graph, 3));
  mkd_status status = build(&b, plan);
  if (status == MKD_OK) status = mk_graph_prune(cloner, b.graph, built, points->count, outputs);
  mk_graph_destroy(b.graph);
  MK_TRY(status);
  initialise(*cloner, init, rng);
  return MKD_OK;
}
