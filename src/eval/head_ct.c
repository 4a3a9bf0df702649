/* Head CT images: numbered files, and a table that tells which of them show a hemorrhage. */
#include "eval/dataset.h"

#include "core/file.h"
#include "core/memory.h"
#include "eval/walk.h"

#include <string.h>

enum { MAX_TABLE = 1 << 20, MAX_ID = 999999 };

#define TABLE "expected a first line id,hemorrhage, and then lines NUMBER,0 or NUMBER,1"

typedef enum { UNKNOWN, NORMAL, HEMORRHAGE } label;

typedef struct {
  uint8_t *labels; /* [MAX_ID + 1] of label */
  uint8_t *found;  /* [MAX_ID + 1]: there is an image */
  char *path;      /* of labels.csv */
} table;

/* The number at `*text`, and spaces around it; -1 when there is none up to MAX_ID. */
static int take_number(const char **text)
{
  const char *s = *text + strspn(*text, " \t");
  int number = 0;
  size_t digits = strspn(s, "0123456789");
  if (digits == 0 || digits > 9) return -1;
  for (size_t i = 0; i < digits; ++i) number = number * 10 + (s[i] - '0');
  s += digits;
  *text = s + strspn(s, " \t");
  return number <= MAX_ID ? number : -1;
}

static mkd_status parse_line(table *t, const char *line, size_t number)
{
  const char *s = line;
  int id = take_number(&s);
  bool comma = id >= 0 && *s++ == ',';
  int answer = comma ? take_number(&s) : -1;
  if (answer < 0 || answer > 1 || *s)
    return mk_fail(MKD_ERROR_FILE, "%s: line %zu is \"%.40s\"; " TABLE, t->path, number, line);
  if (t->labels[id] != UNKNOWN)
    return mk_fail(MKD_ERROR_FILE, "%s: line %zu: the image %d is there twice", t->path, number,
                   id);
  t->labels[id] = answer ? HEMORRHAGE : NORMAL;
  return MKD_OK;
}

/* Cuts `text` into lines. */
static mkd_status parse_table(table *t, char *text)
{
  size_t number = 0;
  for (char *line = text, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    line[strcspn(line, "\r")] = 0;
    if (++number == 1) {
      /* The header as published has a space behind the comma. */
      if (strncmp(line, "id,", 3) != 0 ||
          strcmp(line + 3 + strspn(line + 3, " "), "hemorrhage") != 0)
        return mk_fail(MKD_ERROR_FILE, "%s: begins with \"%.40s\"; " TABLE, t->path, line);
    } else if (*line) {
      MK_TRY(parse_line(t, line, number));
    }
  }
  return MKD_OK;
}

static mkd_status read_table(table *t)
{
  mk_bytes bytes;
  char *text;
  MK_TRY(mk_file_read(&bytes, t->path, MAX_TABLE));
  bool is_text = !memchr(bytes.data, 0, bytes.size);
  mkd_status status = mk_text_copy_n(&text, (const char *)bytes.data, bytes.size);
  mk_free(bytes.data);
  if (status != MKD_OK) return status;
  status =
      is_text ? parse_table(t, text) : mk_fail(MKD_ERROR_FILE, "%s: is no text; " TABLE, t->path);
  mk_free(text);
  return status;
}

/* The number that is the name of an image file, or -1. */
static int image_number(const char *path)
{
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  int number = take_number(&name);
  return *name == '.' && !strchr(name + 1, '.') ? number : -1;
}

static mkd_status add_images(mkd_dataset *dataset, table *t, const mk_list *paths)
{
  for (size_t i = 0; i < paths->count; ++i) {
    int id = image_number(paths->items[i]);
    if (id < 0 || t->labels[id] == UNKNOWN)
      return mk_fail(MKD_ERROR_DATA, "%s: has no line in %s", paths->items[i], t->path);
    if (t->found[id])
      return mk_fail(MKD_ERROR_DATA, "%s: is a second image with the number %d", paths->items[i],
                     id);
    t->found[id] = 1;
    bool anomalous = t->labels[id] == HEMORRHAGE;
    MK_TRY(
        mk_dataset_add(dataset, paths->items[i], anomalous ? "hemorrhage" : "normal", anomalous));
  }
  for (int id = 0; id <= MAX_ID; ++id)
    if (t->labels[id] != UNKNOWN && !t->found[id])
      return mk_fail(MKD_ERROR_DATA, "%s: names the image %d, which is not there", t->path, id);
  return MKD_OK;
}

mkd_status mk_dataset_read_head_ct(mkd_dataset *dataset, const char *folder)
{
  table t = {0};
  mk_list paths = {.limit = dataset->limits.max_files};
  mkd_status status = mk_path_join(&t.path, folder, "labels.csv");
  if (status == MKD_OK) status = mk_alloc(&t.labels, 2, MAX_ID + 1);
  if (status == MKD_OK) {
    t.found = t.labels + MAX_ID + 1;
    status = read_table(&t);
  }
  if (status == MKD_OK) status = mk_walk_images(&paths, folder);
  if (status == MKD_OK) status = add_images(dataset, &t, &paths);
  mk_list_free(&paths);
  mk_free(t.labels);
  mk_free(t.path);
  return status;
}
