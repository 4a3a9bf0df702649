/* Reading whole files within a limit, and writing files that are either complete or not there. */
#ifndef MK_CORE_FILE_H
#define MK_CORE_FILE_H

#include "core/status.h"

typedef struct {
  uint8_t *data; /* mk_free when done */
  size_t size;
} mk_bytes;

/* Reads a regular file of at most `limit` bytes. */
mkd_status mk_file_read(mk_bytes *bytes, const char *path, uint64_t limit);

/* A file under construction in the folder of `path`, without a name where the file system can do
 * that, else under a temporary one; synced and renamed onto `path` by commit. Abort (or commit that
 * fails) removes it and leaves `path` as it was. A file that is replaced keeps its permissions, a
 * link to it stays; devices and pipes are refused. mkd_file_save is all steps in one. */
typedef struct mk_writer mk_writer;

mkd_status mk_writer_open(mk_writer **writer, const char *path);
mkd_status mk_writer_write(mk_writer *writer, const void *data, size_t size);
mkd_status mk_writer_commit(mk_writer *writer); /* frees the writer, whatever it returns */
void mk_writer_abort(mk_writer *writer);        /* accepts NULL */

/* mk_fail with the text of `error` (an errno value). `doing` is for example "cannot read". What
 * cannot be read is MKD_ERROR_FILE; what cannot be written is that, too, but MKD_ERROR_STORAGE if
 * the disk is full or failing. */
mkd_status mk_fail_reading(int error, const char *path, const char *doing);
mkd_status mk_fail_writing(int error, const char *path, const char *doing);

#endif
