#ifndef JSON_H
#define JSON_H

#include <jansson.h>

/* Both give NULL for what is not JSON. Out of memory ends the program, as jansson would lose
 * characters and say nothing. The caller calls json_decref. */
json_t *json_from_text(const char *text);
json_t *json_from_file(const char *path, json_error_t *error);

#endif
