/* JSON text to and from jansson's values. jansson's own reader and writer lose characters, and say
 * nothing or abort, when they run out of memory within a string. */
#ifndef MK_CORE_JSON_H
#define MK_CORE_JSON_H

#include "core/status.h"

#include <jansson.h>

/* Parses `length` bytes: an object or an array, in UTF-8, nested at most MK_JSON_DEPTH deep, in
 * which no object has a key twice and no text has a NUL. MKD_ERROR_FILE with the line and what is
 * wrong there as the error text, to be put into context by mk_fail_in, or MKD_ERROR_MEMORY;
 * *root is NULL then. The caller calls json_decref. */
enum { MK_JSON_DEPTH = 64 };
mkd_status mk_json_parse(json_t **root, const char *text, size_t length);

/* The text of `value`, which it takes over, with jansson's `flags`. NULL stands for a value that
 * could not be allocated. The caller calls mk_free. */
mkd_status mk_json_format(char **text, json_t *value, size_t flags);

#endif
