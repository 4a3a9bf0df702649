#include "json.h"

#include "cli.h"

#include <stdlib.h>

static void *must_allocate(size_t size)
{
  return must_grow(NULL, size, 1);
}

json_t *json_from_file(const char *path, json_error_t *error)
{
  json_set_alloc_funcs(must_allocate, free);
  return json_load_file(path, 0, error);
}

json_t *json_from_text(const char *text)
{
  json_set_alloc_funcs(must_allocate, free);
  return json_loads(text, JSON_DECODE_ANY, NULL);
}
