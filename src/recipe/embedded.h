/* The recipes of the folder recipes/, compiled in. */
#ifndef MK_RECIPE_EMBEDDED_H
#define MK_RECIPE_EMBEDDED_H

typedef struct {
  const char *name, *json;
} mk_embedded_recipe;

extern const mk_embedded_recipe mk_embedded_recipes[]; /* ends with a NULL name */

#endif
