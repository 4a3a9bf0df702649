/* Finding and reading the expert that a detector is trained against. */
#ifndef EXPERT_FILE_H
#define EXPERT_FILE_H

#include <mkd/mkd.h>

/* Reads `path`: an expert file, or weights that can be imported. NULL: $MKD_EXPERT, else the
 * installed default expert. */
char *expert_place(const char *path); /* of that file, from malloc, or NULL */
mkd_status expert_open(mkd_expert **expert, const char *path, const mkd_limits *limits);

#endif
