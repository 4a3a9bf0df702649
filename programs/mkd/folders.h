/* Making and listing folders. */
#ifndef FOLDERS_H
#define FOLDERS_H

#include <mkd/mkd.h>

/* Makes all folders on the way to `path`; what follows its last slash is not made. `path` is
 * changed meanwhile. */
mkd_status folders_make(char *path);

/* The names in a folder that do not start with a dot, sorted by bytes. The caller frees each name
 * and the array. */
mkd_status folders_list(const char *folder, char ***names, size_t *count);

#endif
