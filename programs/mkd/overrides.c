#include "overrides.h"

#include "cli.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

static void take(overrides *set, char *text)
{
  set->texts = must_grow(set->texts, set->count + 1, sizeof *set->texts);
  set->texts[set->count++] = text;
}

void overrides_add(overrides *set, const char *key, const char *value)
{
  take(set, text_format("%s=%s", key, value));
}

void overrides_add_text(overrides *set, const char *text)
{
  take(set, text_format("%s", text));
}

void overrides_free(overrides *set)
{
  for (size_t i = 0; i < set->count; ++i) free(set->texts[i]);
  free(set->texts);
  *set = (overrides){0};
}

int override_key_length(const char *text)
{
  return (int)strcspn(text, "=");
}

const char *overrides_find(const overrides *set, const char *key)
{
  size_t length = strlen(key);
  for (size_t i = set->count; i > 0; --i) {
    const char *text = set->texts[i - 1];
    if (strncmp(text, key, length) == 0 && text[length] == '=') return text + length + 1;
  }
  return NULL;
}

int overrides_contradiction(const overrides *set, const char **text)
{
  for (size_t i = 0; i < set->count; ++i) {
    int length = override_key_length(set->texts[i]);
    for (size_t j = 0; j < i; ++j) {
      if (strncmp(set->texts[i], set->texts[j], (size_t)length + 1) != 0) continue;
      *text = set->texts[i];
      return length;
    }
  }
  return 0;
}

const char *parse_set(void *value, const char *text)
{
  const char *equals = strchr(text, '=');
  if (!equals || equals == text) return "key=value";
  overrides_add_text(value, text);
  return NULL;
}

const char *parse_epochs(void *value, const char *text)
{
  unsigned long long number;
  if (!parse_whole(text, 1, 100000, &number)) return "a whole number from 1 to 100000";
  overrides_add(value, "epochs", text);
  return NULL;
}
