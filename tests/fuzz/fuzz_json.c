/* JSON; what is read is written and read again. */
#include "fuzz.h"

#include "core/json.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  json_t *root, *again;
  char *text;
  if (mk_json_parse(&root, (const char *)data, size) != MKD_OK) return 0;
  json_incref(root);
  if (mk_json_format(&text, root, JSON_COMPACT) != MKD_OK) abort();
  if (mk_json_parse(&again, text, strlen(text)) != MKD_OK || !json_equal(root, again)) abort();
  json_decref(root);
  json_decref(again);
  mk_free(text);
  return 0;
}
