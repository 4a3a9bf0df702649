/* Pages from templates that are compiled in:
 *
 *   {{name}}                  the text of that name, escaped
 *   {{{name}}}                markup, which `markup` writes
 *   {{#name}} ... {{/name}}   repeated for as long as `enter` says; may be nested
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <mkd/mkd.h>

#include <stdio.h>

typedef struct {
  char name[32]; /* as long as a name can be */
  char *text;
} template_text;

/* All zero is empty. */
typedef struct {
  template_text *items;
  size_t count;
} template_texts;

/* Sets the text of a name. */
__attribute__((format(printf, 3, 4))) void template_set(template_texts *texts, const char *name,
                                                        const char *format, ...);
void template_free(template_texts *texts);

typedef struct {
  template_texts *texts;

  /* Called before each round (0, 1, ...) of the section of that name: sets the texts of the round,
   * or ends the section with false. */
  bool (*enter)(void *context, const char *section, size_t round);

  /* Writes markup; false = nothing has that name. */
  bool (*markup)(void *context, const char *name, FILE *out);

  void *context;
} template_source;

/* MKD_ERROR_ARGUMENT for a template that is wrong. Whether all could be written is for ferror to
 * say. */
mkd_status template_write(FILE *out, const char *page, const template_source *source);

#endif
