/* Files that may be compressed. */
#ifndef MK_EVAL_GZIP_H
#define MK_EVAL_GZIP_H

#include "core/file.h"

/* The content of a file, unpacked if gzip has compressed it (told by content, not by name).
 * MKD_ERROR_FILE when it is damaged or has more than `limit` bytes. */
mkd_status mk_gzip_read(mk_bytes *bytes, const char *path, size_t limit);

#endif
