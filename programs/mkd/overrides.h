/* "key=value" texts that change a recipe. */
#ifndef OVERRIDES_H
#define OVERRIDES_H

#include <stddef.h>

/* All zero is an empty list. Owns its texts. */
typedef struct {
  char **texts;
  size_t count;
} overrides;

void overrides_add(overrides *set, const char *key, const char *value);
void overrides_add_text(overrides *set, const char *text); /* "key=value" */
void overrides_free(overrides *set);

/* Length of the key of such a text. */
int override_key_length(const char *text);

/* The value that is in force for a key: that of its last override, or NULL. */
const char *overrides_find(const overrides *set, const char *key);

/* Length of the key of the first override that an earlier one contradicts, in `*text`; 0 if none.
 */
int overrides_contradiction(const overrides *set, const char **text);

/* Parsers of options; `value` points to overrides. */
const char *parse_set(void *value, const char *text);    /* KEY=VALUE */
const char *parse_epochs(void *value, const char *text); /* epochs */

#endif
