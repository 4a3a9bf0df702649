/* Files that work ends with. */
#ifndef DESTINATION_H
#define DESTINATION_H

#include <mkd/mkd.h>

#include <stdio.h>

/* refuse_write of `path`, in `folder`. */
mkd_status refuse_folder(int error, const char *path, const char *folder);

/* Tells before the work whether `path` could be written at its end. */
mkd_status destination_check(const char *path);

/* MKD_ERROR_ARGUMENT if `path` is a file that is read, too, by whatever name: `input` (NULL =
 * none), or one of the images. */
mkd_status destination_spares(const char *path, const char *input);
mkd_status destination_spares_images(const char *path, const mkd_dataset *images);

/* A file that is either complete or not there: made in memory, then saved by mkd_file_save. */
typedef struct {
  FILE *file; /* to print to */
  const char *path;
  char *text; /* what was printed */
  size_t size, room;
} destination;

/* Until it is closed, `to` stays where it is. */
mkd_status destination_open(destination *to, const char *path);

/* Writes the file if `status` is MKD_OK, else drops what was printed. Returns `status`, or why it
 * could not be written. */
mkd_status destination_close(destination *to, mkd_status status);

#endif
