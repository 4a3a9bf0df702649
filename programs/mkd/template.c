#include "template.h"

#include "cli.h"
#include "html.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 8 }; /* of sections in each other */

static template_text *find(const template_texts *texts, const char *name)
{
  for (size_t i = 0; i < texts->count; ++i)
    if (strcmp(texts->items[i].name, name) == 0) return &texts->items[i];
  return NULL;
}

void template_set(template_texts *texts, const char *name, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  template_text *item = find(texts, name);
  if (!item) {
    texts->items = must_grow(texts->items, texts->count + 1, sizeof *texts->items);
    item = &texts->items[texts->count++];
    snprintf(item->name, sizeof item->name, "%s", name);
    item->text = NULL;
  }
  free(item->text);
  item->text = text;
}

void template_free(template_texts *texts)
{
  for (size_t i = 0; i < texts->count; ++i) free(texts->items[i].text);
  free(texts->items);
}

/* What is between {{ and }}. */
typedef struct {
  char kind; /* '#', '/', '{' for markup, or 0 for a text */
  char name[sizeof((template_text *)0)->name];
  const char *start, *end; /* of the whole, with its braces */
} tag;

/* The next tag at or after `at`; false when there is none. */
static bool next_tag(tag *found, const char *at)
{
  const char *start = strstr(at, "{{");
  if (!start) return false;
  const char *name = start + 2;
  *found = (tag){.start = start};
  if (*name && strchr("#/{", *name)) found->kind = *name++;
  size_t length = strcspn(name, "}");
  const char *closing = found->kind == '{' ? "}}}" : "}}";
  if (length >= sizeof found->name || strncmp(name + length, closing, strlen(closing)) != 0)
    return false;
  memcpy(found->name, name, length);
  found->end = name + length + strlen(closing);
  return true;
}

/* The tag that closes the section that `open` opens. */
static bool closing_tag(tag *found, const tag *open)
{
  int depth = 0;
  for (const char *at = open->end; next_tag(found, at); at = found->end) {
    if (strcmp(found->name, open->name) != 0) continue;
    if (found->kind == '/' && depth-- == 0) return true;
    if (found->kind == '#') ++depth;
  }
  return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): to MAX_DEPTH */
static mkd_status write_part(FILE *out, const char *at, const char *end,
                             const template_source *source, int depth)
{
  tag t, closing;
  while (next_tag(&t, at) && t.start < end) {
    fwrite(at, 1, (size_t)(t.start - at), out);
    at = t.end;
    const template_text *item = t.kind ? NULL : find(source->texts, t.name);
    bool known =
        item || t.kind == '#' || (t.kind == '{' && source->markup(source->context, t.name, out));
    if (!known || depth == MAX_DEPTH || (t.kind == '#' && !closing_tag(&closing, &t)))
      return refuse(MKD_ERROR_ARGUMENT, "the template has no sense at {{%s}}", t.name);
    if (item) html_text(out, item->text);
    if (t.kind != '#') continue;
    for (size_t round = 0; source->enter(source->context, t.name, round); ++round) {
      mkd_status status = write_part(out, t.end, closing.start, source, depth + 1);
      if (status != MKD_OK) return status;
    }
    at = closing.end;
  }
  fwrite(at, 1, (size_t)(end - at), out);
  return MKD_OK;
}

mkd_status template_write(FILE *out, const char *page, const template_source *source)
{
  return write_part(out, page, page + strlen(page), source, 0);
}
