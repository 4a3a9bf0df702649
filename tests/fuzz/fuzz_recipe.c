/* Recipes; one that is right is written and read again. */
#include "fuzz.h"

#include "core/memory.h"
#include "recipe/recipe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  mk_recipe recipe, again;
  char *text, *json, *json_again;
  if (memchr(data, 0, size) || mk_text_copy_n(&text, (const char *)data, size) != MKD_OK) return 0;
  mkd_status status = mk_recipe_parse(&recipe, text, "input");
  mk_free(text);
  if (status != MKD_OK) return 0;
  (void)mk_recipe_check(&recipe);
  if (mk_recipe_to_json(&json, &recipe) != MKD_OK) abort();
  if (mk_recipe_parse(&again, json, "again") != MKD_OK) abort();
  if (mk_recipe_to_json(&json_again, &again) != MKD_OK || strcmp(json, json_again) != 0) abort();
  mk_free(json);
  mk_free(json_again);
  mk_recipe_free(&recipe);
  mk_recipe_free(&again);
  return 0;
}
