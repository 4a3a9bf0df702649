/* The file that long work ends with. */
#ifndef DESTINATION_H
#define DESTINATION_H

#include <mkd/mkd.h>

/* Tells before the work whether `path` could be written at its end. */
mkd_status destination_check(const char *path);

#endif
