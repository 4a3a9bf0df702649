#include "inputs.h"

#include "cli.h"
#include "interrupt.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_LIMIT = 65536 }; /* bytes; far beyond any path, but a bound */

typedef struct {
  const char *path;     /* as given */
  char *place;          /* the folder it is, or lies in, without symbolic links; NULL if unknown */
  bool stream;          /* "-" */
  mkd_dataset *dataset; /* for a folder */
  char *error;          /* for a folder that cannot be listed; its status is not MKD_OK then */
  mkd_status status;
  size_t count, next; /* images; unused for a stream */
} input_source;

struct input_list {
  input_source *sources;
  size_t count, current;
  size_t root; /* length of the part that all places have in common */
  char line[LINE_LIMIT];
  size_t filled, used; /* of `line` */
  bool input_ended;
  int input_error; /* errno value that ended it, until it is told */
};

/* `path` without symbolic links, or NULL. */
static char *real_path(const char *path)
{
  char *real = realpath(path, NULL);
  if (!real && errno == ENOMEM) out_of_memory(); /* a NULL would give pictures another name */
  return real;
}

/* The folder that holds `path`, without symbolic links, or NULL. */
static char *folder_of(const char *path)
{
  char *copy = text_format("%s", path);
  char *folder = real_path(dirname(copy));
  free(copy);
  return folder;
}

static const char *base_of(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static input_source open_source(const char *path, const mkd_limits *limits)
{
  input_source source = {.path = path, .count = 1};
  struct stat info;
  if (strcmp(path, "-") == 0) {
    source.stream = true;
    source.place = text_format("/");
  } else if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
    source.place = real_path(path);
    source.status = mkd_dataset_open(&source.dataset, path, MKD_SPLIT_ALL, limits);
    if (source.status == MKD_OK)
      source.count = mkd_dataset_count(source.dataset);
    else
      source.error = text_format("%s", mkd_last_error());
  } else {
    source.place = folder_of(path);
  }
  return source;
}

/* Length of the longest folder that holds both, without a slash at its end: 0 for the root. */
static size_t common_length(const char *a, const char *b)
{
  size_t length = 0, i = 0;
  for (;; ++i) {
    bool a_ends = !a[i] || a[i] == '/', b_ends = !b[i] || b[i] == '/';
    if (a_ends && b_ends) length = i;
    if (!a[i] || a[i] != b[i]) return length;
  }
}

input_list *inputs_open(char **paths, int count, const mkd_limits *limits)
{
  input_list *inputs = must_grow(NULL, 1, sizeof *inputs);
  *inputs = (struct input_list){.count = (size_t)count};
  inputs->sources = must_grow(NULL, inputs->count, sizeof *inputs->sources);
  const char *first = NULL;
  for (size_t i = 0; i < inputs->count; ++i) {
    inputs->sources[i] = open_source(paths[i], limits);
    const char *place = inputs->sources[i].place;
    if (!place) continue;
    size_t common = common_length(place, first ? first : place);
    if (!first || common < inputs->root) inputs->root = common;
    if (!first) first = place;
  }
  return inputs;
}

void inputs_close(input_list *inputs)
{
  for (size_t i = 0; i < inputs->count; ++i) {
    mkd_dataset_destroy(inputs->sources[i].dataset);
    free(inputs->sources[i].place);
    free(inputs->sources[i].error);
  }
  free(inputs->sources);
  free(inputs);
}

size_t inputs_count(const input_list *inputs)
{
  size_t sum = 0;
  for (size_t i = 0; i < inputs->count; ++i) {
    if (inputs->sources[i].stream) return 0;
    sum += inputs->sources[i].count;
  }
  return sum;
}

/* `place`/`rest` as seen from the root of all inputs. Where the place is unknown there is no image,
 * so any name does. */
static char *name_below(const input_list *inputs, const char *place, const char *rest)
{
  const char *below = place ? place + inputs->root : "";
  while (*below == '/') ++below;
  while (*rest == '/') ++rest;
  return text_format("%s%s%s", below, *below ? "/" : "", rest);
}

/* Waits until standard input has something; false when interrupted. */
static bool wait_for_input(void)
{
  struct pollfd descriptors[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = interrupt_descriptor(), .events = POLLIN}};
  while (poll(descriptors, 2, -1) < 0 && errno == EINTR && !waiting_has_ended()) {
  }
  return !waiting_has_ended();
}

/* Reads more of standard input into the line; at its end, sets input_ended. */
static void fill_line(input_list *inputs)
{
  memmove(inputs->line, inputs->line + inputs->used, inputs->filled - inputs->used);
  inputs->filled -= inputs->used;
  inputs->used = 0;
  ssize_t n = -1;
  if (wait_for_input()) {
    do n = read(STDIN_FILENO, inputs->line + inputs->filled, LINE_LIMIT - inputs->filled);
    while (n < 0 && errno == EINTR && !waiting_has_ended());
  }
  if (n > 0) {
    inputs->filled += (size_t)n;
    return;
  }
  inputs->input_ended = true;
  if (n < 0 && !waiting_has_ended()) inputs->input_error = errno;
}

/* The next line without its end, in fresh memory; NULL = no more. What follows a NUL is cut off. */
static char *read_line(input_list *inputs, bool *has_nul)
{
  for (;;) {
    char *start = inputs->line + inputs->used;
    size_t available = inputs->filled - inputs->used;
    char *end = memchr(start, '\n', available);
    bool full = !end && inputs->used == 0 && inputs->filled == LINE_LIMIT;
    if (!end && !full && !inputs->input_ended) {
      fill_line(inputs);
      continue;
    }
    if (!end && (available == 0 || waiting_has_ended())) return NULL;
    size_t length = end ? (size_t)(end - start) : available;
    inputs->used += length + (end ? 1 : 0);
    if (length > 0 && start[length - 1] == '\r') --length;
    *has_nul = memchr(start, '\0', length);
    if (length > 0) return text_format("%.*s", (int)length, start);
  }
}

static bool next_of_stream(input_list *inputs, scan_job *job)
{
  bool has_nul = false;
  job->path = read_line(inputs, &has_nul);
  if (!job->path && inputs->input_error) {
    job->path = text_format("-");
    job->error = text_format("standard input: cannot read: %s", strerror(inputs->input_error));
    job->status = MKD_ERROR_FILE;
    inputs->input_error = 0;
    return true;
  }
  if (!job->path) return false;
  if (has_nul) {
    job->error = text_format("standard input: a line has a NUL; names are read one a line");
    job->status = MKD_ERROR_FILE;
    return true;
  }
  char *folder = folder_of(job->path);
  job->name = name_below(inputs, folder, base_of(job->path));
  free(folder);
  return true;
}

static void next_of_folder(const input_list *inputs, input_source *source, scan_job *job)
{
  if (source->error) {
    job->path = text_format("%s", source->path);
    job->error = text_format("%s", source->error);
    job->status = source->status;
    return;
  }
  const char *path = mkd_dataset_get(source->dataset, source->next).path;
  size_t length = strlen(source->path);
  const char *rest = strncmp(path, source->path, length) == 0 ? path + length : path;
  job->path = text_format("%s", path);
  job->name = name_below(inputs, source->place, rest);
}

bool inputs_next(input_list *inputs, scan_job *job)
{
  for (; inputs->current < inputs->count; ++inputs->current) {
    input_source *source = &inputs->sources[inputs->current];
    if (source->stream) {
      if (next_of_stream(inputs, job)) return true;
      continue;
    }
    if (source->next == source->count) continue;
    if (source->dataset || source->error) {
      next_of_folder(inputs, source, job);
    } else {
      job->path = text_format("%s", source->path);
      job->name = name_below(inputs, source->place, base_of(source->path));
    }
    ++source->next;
    return true;
  }
  return false;
}
