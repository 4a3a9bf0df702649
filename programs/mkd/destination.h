/* Files that work ends with. */
#ifndef DESTINATION_H
#define DESTINATION_H

#include <mkd/mkd.h>

#include <stdio.h>

/* Tells before the work whether `path` could be written at its end. */
mkd_status destination_check(const char *path);

/* A file that is either complete or not there: written beside `path`, synced, and renamed onto it.
 */
typedef struct {
  FILE *file;
  const char *path;
  char *temporary;
} destination;

mkd_status destination_open(destination *to, const char *path);

/* Commits if `status` is MKD_OK, else removes what was written. Returns `status`, or why it could
 * not be written. */
mkd_status destination_close(destination *to, mkd_status status);

#endif
